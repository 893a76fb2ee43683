/// Sampling online: a window over time that slides as the simulation goes on (nexus-core section 4).
///
/// The window holds H frames that happened, at level 0, and W frames to come, each `stride` levels noisier than the one
/// before. `stride` passes bring the nearest of them to level 0: it is executed, what really happened takes its place
/// as the newest history, everything moves one frame nearer, and a frame of pure noise is pushed at the far end. So
/// with stride 1 every pass yields a frame, and what happened bears on the very next pass.
///
/// A row is an agent of a scene, known by an id that never changes (nm_tokens.agent_id) and that keys its noise: the
/// same vehicle keeps its noise whoever else comes or goes. Rows are ordered by (scene, id). Frames in calls count from
/// the present: -1 is the newest that happened, 0 the next to execute, W - 1 the farthest. The denoiser sees time H +
/// frame and, as agent, the row's place among the rows of its scene. One thread at a time. Memory is sized by the
/// creation; nothing after it allocates.
#ifndef NM_NEXUS_WINDOW_H
#define NM_NEXUS_WINDOW_H

#include "nexus/sampler.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_window nm_window;

typedef struct nm_window_config {
    uint32_t max_rows, max_scenes; ///< >= 1; no default
    uint32_t history;              ///< H, [1, 1000]; default 5
    uint32_t future;               ///< W, [1, 1000]; default 16
    uint32_t stride;               ///< levels between frames, stride * future <= NM_SCHEDULE_MAX_LEVELS; default 1
    nm_sampler_config sampler;     ///< its levels (stride * future), max_tokens and max_scenes are set by the window
} nm_window_config;
NM_API nm_window_config nm_window_config_default(void);

NM_API nm_status nm_window_create(const nm_window_config *config, nm_window **window, nm_error *error);
NM_API void nm_window_destroy(nm_window *window); ///< NULL is fine

/// Empties the window; call it first. frame: the number of the frame next to execute, counted from any fixed moment; it
/// keys the noise and may grow to NM_NOISE_MAX_FRAME + 1 - H - W (NM_E_ARGUMENT here and from nm_window_slide).
/// scene_key [scenes]: stable ids, copied. No row yet: add them. NM_E_LIMIT for too many scenes. On failure nothing has
/// changed.
NM_API nm_status nm_window_begin(nm_window *window, uint32_t scenes, const uint64_t *scene_key, uint32_t frame,
                                 nm_error *error);

/// A row to add.
typedef struct nm_window_row {
    uint32_t scene, id;
    const float *history; ///< [H][channels], oldest first
    const uint8_t *valid; ///< [H]
    const float *guess;   ///< [W][channels, nullable] what may come, such as going on at the same speed
} nm_window_row;

/// Adds rows, in any order. Before the first pass the future is pure noise; the window is then ready after stride * W
/// passes. Later the future is the guess, noised to the level that its frame is at; without a guess only frames that
/// are pushed from now on are denoised, and until then the simulation alone drives the agent.
/// NM_E_EXISTS, NM_E_LIMIT, NM_E_ARGUMENT, NM_E_NUMERIC: nothing was added. O(all rows (count + H + W)).
NM_API nm_status nm_window_add(nm_window *window, const nm_window_row *rows, uint32_t count, nm_error *error);
/// Takes a row out; the rows after it move up.
NM_API nm_status nm_window_remove(nm_window *window, uint32_t row, nm_error *error);

NM_API uint32_t nm_window_rows(const nm_window *window);
/// Row of an agent, or NM_TOKEN_NEW.
NM_API uint32_t nm_window_find(const nm_window *window, uint32_t scene, uint32_t id);
/// The first row of a scene, which the scene's agents are counted from; where it has none, the next scene's.
NM_API uint32_t nm_window_first_row(const nm_window *window, uint32_t scene);
/// scene, id  [out]
NM_API void nm_window_row_at(const nm_window *window, uint32_t row, uint32_t *scene, uint32_t *id);
/// The token of a row at `frame` in [-H, W), or NM_TOKEN_NEW when there is none: an index into nm_sampler_get.
NM_API uint32_t nm_window_token(const nm_window *window, uint32_t row, int32_t frame);
/// For its state and its denoise_input; the window alone changes it.
NM_API const nm_sampler *nm_window_sampler(const nm_window *window);

/// One pass over the whole window; see nm_sampler_step. Calls nobody when ready.
NM_API nm_status nm_window_pass(nm_window *window, const nm_denoiser *denoiser, nm_guide *guide, void *guide_context,
                                nm_error *error);
/// 1 when frame 0 is at level 0: execute it and slide.
NM_API int nm_window_ready(const nm_window *window);
/// Frame 0 of all rows: values [out, rows x channels], present [out, rows] 0 where a row has no token there (the values
/// are then 0). Call when ready.
NM_API void nm_window_frame(const nm_window *window, float *values, uint8_t *present);

/// Frame 0 happened, as `actual` [rows][channels] says (NULL: as denoised): it becomes history and the window moves by
/// a frame. alive [rows, nullable]: rows with 0 are taken out, their values are ignored. Call when ready.
/// NM_E_NUMERIC when an actual value is not finite: nothing has changed.
NM_API nm_status nm_window_slide(nm_window *window, const float *actual, const uint8_t *alive, nm_error *error);

/// The frames of all rows move: motions [rows] make coordinates of each row's old frame those of its new one. What is
/// in the window goes along, see nm_sampler_reframe; what is added or overwritten from now on is in the new frames.
/// Between passes or frames, whenever. On failure nothing has changed.
NM_API nm_status nm_window_reframe(nm_window *window, const nm_state_encoding *encoding, const nm_motion *motions,
                                   nm_error *error);

/// Overwrites any token of the window, at whatever level: it is clean from the next pass on. NM_E_NOT_FOUND when the
/// row has no token at `frame`.
NM_API nm_status nm_window_overwrite(nm_window *window, uint32_t row, int32_t frame, const float *values,
                                     nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
