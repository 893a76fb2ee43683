/// Sampling in a closed loop: the window (window.h) over a pass of the network (network.h), one call per simulated
/// frame.
///
/// It keeps the pass's tokens those of the window as agents come and go, encodes maps when they are set and not again,
/// lets conditions slide with their tokens, and moves frames. Agents are known by scene and id as in the window; of
/// each scene the network sees them in the order of their ids.
///
/// One thread at a time, that of the model's backend. Memory is sized by the creation; nothing after it allocates, but
/// what a backend may for recording a pass.
#ifndef NM_NEXUS_ONLINE_H
#define NM_NEXUS_ONLINE_H

#include "nexus/network.h"
#include "nexus/reuse.h"
#include "nexus/window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_online nm_online;

typedef struct nm_online_config {
    nm_window_config window;    ///< its sampler's channels are set to the model's
    nm_state_encoding encoding; ///< of the tokens; default published
    uint32_t max_points;        ///< map rows of all scenes; no default
    nm_reuse_config reuse;      ///< of passes, see reuse.h; default off
} nm_online_config;
NM_API nm_online_config nm_online_config_default(void);

/// model  borrowed, and must outlive it
/// NM_E_ARGUMENT, NM_E_LIMIT for a value out of range; NM_E_MEMORY; errors of nm_reuse_create.
NM_API nm_status nm_online_create(nm_model *model, const nm_online_config *config, nm_online **online, nm_error *error);
NM_API void nm_online_destroy(nm_online *online); ///< NULL is fine
/// For its rows, tokens and state; online alone changes it.
NM_API const nm_window *nm_online_window(const nm_online *online);

/// The map of a scene, as in nm_token_scene but with owners that do not change places. Read during the call only.
typedef struct nm_online_map {
    uint32_t points;
    const float *map;         ///< [points][map channels]
    const uint8_t *map_valid; ///< [points] nullable
    const uint32_t *owner;    ///< [points] id of the agent a polyline belongs to, be it there or not (NM_MAP_POLYLINES)
} nm_online_map;

/// Empties everything and encodes the maps; call it first. scene_key, maps [scenes]; the rest and refusals as in
/// nm_window_begin and nm_pass_set_scenes. After a failure begin again.
NM_API nm_status nm_online_begin(nm_online *online, uint32_t scenes, const uint64_t *scene_key,
                                 const nm_online_map *maps, uint32_t frame, nm_error *error);
/// Other maps of the same scenes: what is in them changed, or they are to be in the frames that the next nm_online_step
/// moves to. Encodes them. After a failure there are no maps, and no steps (NM_E_ARGUMENT), until they are set again.
NM_API nm_status nm_online_set_maps(nm_online *online, const nm_online_map *maps, nm_error *error);

/// Adds agents, see nm_window_add. Call before the first step, or between steps: then frame 0 has been popped, and what
/// happened in it is told with the next step, of new agents too; their history ends before it, and may be all invalid.
///
/// condition  [count][H + W][K] of their tokens, oldest first, copied; NULL when K = 0
/// pose       [count][4] as in nm_pass_input, copied; NULL unless nm_model_wants_poses
NM_API nm_status nm_online_add(nm_online *online, const nm_window_row *rows, const float *condition, const float *pose,
                               uint32_t count, nm_error *error);
/// Takes a row out at once; the rows after it move up. Between steps those that are not alive go with nm_online_step.
NM_API nm_status nm_online_remove(nm_online *online, uint32_t row, nm_error *error);
/// Other conditions of a row, [H + W][K]. From frame to frame they slide with the tokens; what is pushed has
/// that of the farthest before it.
NM_API void nm_online_set_condition(nm_online *online, uint32_t row, const float *condition);

/// What happened to the rows in the frame that was popped. All nullable; of rows that are not alive nothing is read.
typedef struct nm_online_frame {
    const float *actual;      ///< [rows][channels] in the frames that rows had so far; NULL: as denoised
    const uint8_t *alive;     ///< [rows] 0 = taken out; NULL: all stay
    const nm_motion *motions; ///< [rows] that frames make now (nm_window_reframe); NULL: they stay
    const float *pose;        ///< [rows][4] poses from now on; NULL: they stay
} nm_online_frame;

/// One frame on: frames move, what happened becomes history, a frame of noise is pushed at the far end, and passes are
/// done until the next frame is clean. It is popped: values [out, rows x channels] and present [out, rows] as in
/// nm_window_frame, of the rows that are there now.
///
/// happened  NULL = as denoised, everybody stays. Read only where a frame was popped, not by the first step
/// guide     nullable; sees agents in their places (nm_window_first_row)
/// returns   NM_E_NUMERIC for an actual state or a motion that is not finite, NM_E_ARGUMENT after the last frame that
///           noise can tell apart: nothing has changed. The failure of a pass: what happened is history, and the next
///           call goes on with the passes.
/// Maps must be in the frames that it moves to: where motions are given, nm_online_set_maps comes first.
NM_API nm_status nm_online_step(nm_online *online, const nm_online_frame *happened, nm_guide *guide,
                                void *guide_context, float *values, uint8_t *present, nm_error *error);

/// See nm_window_overwrite.
NM_API nm_status nm_online_overwrite(nm_online *online, uint32_t row, int32_t frame, const float *values,
                                     nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
