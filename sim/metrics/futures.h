/// Simulated futures of a recorded scene, as the metrics of generated motion take them (generation.h, realism.h).
#ifndef NM_SIM_METRICS_FUTURES_H
#define NM_SIM_METRICS_FUTURES_H

#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

/// `samples` joint futures of the same agents. Borrowed; the state of sample r, agent a, step k (k = 0 is the scene's
/// step current_step + 1, one scene step apart) is at index (r * agents + a) * steps + k. Box centres, m, rad in
/// (-pi, pi], the scene's frame; sizes are the tracks' at the current step. Every state must be finite: a future has no
/// gaps, whether or not the recording has.
typedef struct nm_futures {
    uint32_t samples, agents, steps;
    const uint32_t *track; ///< [agents] of the scene, ascending, each valid at the current step
    const float *x, *y, *z, *heading;
} nm_futures;

#ifdef __cplusplus
}
#endif
#endif
