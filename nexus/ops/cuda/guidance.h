/// A pass of guidance as kernels. What it computes: nexus/guidance.h; who fills in the arguments:
/// nexus/guidance_cuda.c. Private to the two.
#ifndef NM_NEXUS_OPS_CUDA_GUIDANCE_H
#define NM_NEXUS_OPS_CUDA_GUIDANCE_H

#include "nexus/guidance_paths.h"
#include "nexus/ops/ops.h"
#include "sim/map_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A copy of a map: what map_inline.h reads of it, with pointers to device memory.
typedef struct nm_cuda_guide_map {
    nm_map map;
    nm_map_grid grid; ///< start NULL = none
    const nm_bounds *bounds;
} nm_cuda_guide_map;

/// What a pass has to know of the agent of a token.
typedef struct nm_cuda_guide_token {
    nm_motion pose;
    float length, width;
    uint32_t lane_mask;
    uint32_t map; ///< index, or NM_NONE
} nm_cuda_guide_token;

/// Encounters of the same path are a list, taken in their order by one thread, which begins at the one that leads.
typedef struct nm_cuda_guide_encounter {
    nm_guide_encounter encounter;
    uint32_t leads;
    uint32_t then; ///< index of the next one, or NM_NONE
} nm_cuda_guide_encounter;

/// By value to every kernel; pointers are of the device. `view` has the arrays of the same name as constants.
typedef struct nm_cuda_guide {
    nm_guidance_config config;
    nm_guide_descent descent;
    nm_guide_view view;
    double *sum[NM_GUIDE_STATES];  ///< [states] slope of a step
    double *term[NM_GUIDE_STATES]; ///< [states] pulls of the windows, then the slope of an encounter
    double *length, *width, *lane_x, *lane_y, *lane_cos, *lane_sin, *lane_half;
    uint8_t *fixed, *clean, *on_lane, *touched;
    const uint32_t *group; ///< [states] the group that a state is in
    const nm_cuda_guide_token *tokens;
    const nm_cuda_guide_map *maps;
    const nm_cuda_guide_encounter *encounters;
    uint32_t encounter_count;
    const float *level;
    uint32_t level_stride;
    float *x0;
    uint32_t x0_stride;
} nm_cuda_guide;

/// Whether nm_backend_create_cuda made the backend.
int nm_cuda_made(const nm_backend *backend);

/// One pass. Asynchronous, may be recorded.
void nm_cuda_guide_pass(nm_backend *backend, const nm_cuda_guide *guide);

#ifdef __cplusplus
}
#endif
#endif
