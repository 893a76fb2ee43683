/// Private to sim: whether a scene and a choice of its tracks can have futures (futures.h).
#ifndef NM_SIM_METRICS_FUTURES_CHECK_H
#define NM_SIM_METRICS_FUTURES_CHECK_H

#include "sim/metrics/futures.h"

/// NM_E_ARGUMENT for a time step other than 0.1 s, a current step outside the scene, and tracks that do not ascend, are
/// not the scene's or not valid at the current step.
static inline nm_status nm_futures_check(const nm_scene *scene, const uint32_t *track, uint32_t agents,
                                         nm_error *error) {
    if (!(scene->dt > 0.0999f && scene->dt < 0.1001f))
        return NM_ERROR(error, NM_E_ARGUMENT, "the scene's time step is %g s; futures need 0.1 s: resample it",
                        (double)scene->dt);
    if (scene->current_step >= scene->step_count)
        return NM_ERROR(error, NM_E_ARGUMENT, "the current step %u is outside the scene's %u steps",
                        scene->current_step, scene->step_count);
    for (uint32_t a = 0; a < agents; ++a) {
        if (track[a] >= scene->track_count || (a > 0 && track[a] <= track[a - 1]))
            return NM_ERROR(error, NM_E_ARGUMENT, "agent %u is track %u of %u: tracks must ascend", a, track[a],
                            scene->track_count);
        if (!scene->valid[nm_scene_at(scene, track[a], scene->current_step)])
            return NM_ERROR(error, NM_E_ARGUMENT, "track %u has no state at the current step %u", track[a],
                            scene->current_step);
    }
    return NM_OK;
}

#endif
