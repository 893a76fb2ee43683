/// A recording of one sampling run, pass by pass, and how it looks: tokens losing their noise.
///
/// Plain data: what made it (which network, which schedule) is not known here. A token is one agent at one token time;
/// a pass is the state before the first pass (0) or after a pass of the sampler.
#ifndef NM_RENDER_DENOISING_H
#define NM_RENDER_DENOISING_H

#include "render/scene_drawing.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_DENOISING_MAX_TOKENS (1u << 20)
#define NM_DENOISING_MAX_TIMES 4096u
#define NM_DENOISING_MAX_PASSES 65536u
#define NM_DENOISING_TITLE 64u

typedef struct nm_denoising {
    const nm_scene *scene;          ///< owned; what the tokens were made from
    char title[NM_DENOISING_TITLE]; ///< such as "pyramid, 32 levels"
    uint32_t tokens, times, passes;
    uint32_t now;          ///< time of the current token, < times
    const uint32_t *track; ///< [tokens] of the scene, grouped
    const uint32_t *time;  ///< [tokens] < times, rising within a track
    const float *level;    ///< [passes][tokens] noise level in [0, 1]; 0 = given or done
    const float *x, *y;    ///< [passes][tokens] m, scene frame: what the pass predicts the token to be without noise
    const float *heading;  ///< [passes][tokens] rad
    const uint8_t *valid;  ///< [passes][tokens] 0: nothing is predicted, x, y and heading are 0
} nm_denoising;

// --- recording -------------------------------------------------------------------------------------------------------

/// Passes are added one by one; memory grows as they come.
typedef struct nm_denoising_builder nm_denoising_builder;
/// The scene is copied. track, time [tokens], as above. NM_E_ARGUMENT saying which token is out of order or range;
/// NM_E_LIMIT; NM_E_MEMORY.
NM_API nm_status nm_denoising_builder_create(const nm_scene *scene, const char *title, uint32_t tokens, uint32_t times,
                                             uint32_t now, const uint32_t *track, const uint32_t *time,
                                             nm_denoising_builder **builder, nm_error *error);
NM_API void nm_denoising_builder_destroy(nm_denoising_builder *builder); ///< NULL is fine
/// level, x, y, heading, valid [tokens]. Levels are cut to [0, 1]; a token that is not finite or more than 1e6 m from
/// the origin counts as not valid. NM_E_LIMIT, NM_E_MEMORY: nothing was added.
NM_API nm_status nm_denoising_builder_add(nm_denoising_builder *builder, const float *level, const float *x,
                                          const float *y, const float *heading, const uint8_t *valid, nm_error *error);
/// Hands the recording over and releases the builder, whatever happens. NM_E_ARGUMENT without any pass.
NM_API nm_status nm_denoising_builder_finish(nm_denoising_builder *builder, nm_denoising **denoising, nm_error *error);
NM_API void nm_denoising_destroy(nm_denoising *denoising); ///< NULL is fine

// --- files -----------------------------------------------------------------------------------------------------------

/// One file with the scene and its map in it; layout in denoising_file.c. It appears under its name when it is
/// complete. NM_E_IO names the path.
NM_API nm_status nm_denoising_write(const nm_denoising *denoising, const char *path, nm_error *error);
/// Refuses what is cut short, longer than it says, inconsistent or altered (NM_E_FORMAT, with the offset of
/// the part that is wrong), made by a newer program (NM_E_VERSION), or over 2 GiB (NM_E_LIMIT).
NM_API nm_status nm_denoising_read(const char *path, nm_denoising **denoising, nm_error *error);
/// The same from and to memory. encode: *bytes by malloc.
NM_API nm_status nm_denoising_encode(const nm_denoising *denoising, void **bytes, size_t *size, nm_error *error);
NM_API nm_status nm_denoising_decode(const void *bytes, size_t size, nm_denoising **denoising, nm_error *error);

// --- pictures --------------------------------------------------------------------------------------------------------

/// Adds the tokens of a pass to a world drawing (NM_LAYER_TOKENS): a box of its agent's size at each token, coloured by
/// its noise level, and a line through each agent's tokens. O(tokens).
NM_API void nm_draw_denoising(nm_drawing *drawing, const nm_denoising *denoising, uint32_t pass, const nm_theme *theme);

/// Where the panel goes, px.
typedef struct nm_denoising_panel {
    float x, y, width, height; ///< at least 120 x 120 to show anything
} nm_denoising_panel;
/// Adds to a screen drawing: a legend of noise levels, the K matrix of this pass (agents x time), and the mean level by
/// time x passes with a cursor at this pass. At most 64 agents, 128 times and 256 passes are told apart; more are
/// thinned out evenly. O(tokens) times the passes told apart.
NM_API void nm_draw_denoising_panel(nm_drawing *drawing, const nm_denoising *denoising, uint32_t pass,
                                    const nm_denoising_panel *panel, const nm_theme *theme);

#ifdef __cplusplus
}
#endif
#endif
