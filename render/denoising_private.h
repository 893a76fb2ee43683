/// A recording as it lies in memory. Private.
#ifndef NM_RENDER_DENOISING_PRIVATE_H
#define NM_RENDER_DENOISING_PRIVATE_H

#include "render/denoising.h"

#define NM_DENOISING_MAX_COORDINATE 1e6f

/// Arrays for `passes` passes, to be filled in. NULL: no memory.
nm_denoising *nm_denoising_new(uint32_t tokens, uint32_t passes);
/// What the header promises of tokens and the scene. NM_E_ARGUMENT names the first that is wrong.
nm_status nm_denoising_check_tokens(const nm_scene *scene, uint32_t tokens, uint32_t times, uint32_t now,
                                    const uint32_t *track, const uint32_t *time, nm_error *error);
/// 1 when all numbers of a token in a pass are such as nm_denoising_builder_add leaves them.
int nm_denoising_good(float level, float x, float y, float heading, uint8_t valid);

#endif
