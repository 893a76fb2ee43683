/// A closed-loop run that goes on while one looks at it, and the scene that it writes.
#ifndef NM_RENDER_VIEWER_LIVE_H
#define NM_RENDER_VIEWER_LIVE_H

#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_viewer_live nm_viewer_live;

/// Starts a world over `scene` (borrowed) at `start_step` in which every agent reacts (NM_POLICY_IDM) and the tracks
/// that stand by their role stay. A scene of another rate than 10 Hz is resampled. steps: that the run can last. Sized
/// here: stepping allocates nothing. NM_E_ARGUMENT when the step or the number is out of range; NM_E_LIMIT when the
/// states would take over 1 GiB.
NM_API nm_status nm_viewer_live_create(const nm_scene *scene, uint32_t start_step, uint32_t steps, uint64_t seed,
                                       nm_viewer_live **live, nm_error *error);
NM_API void nm_viewer_live_destroy(nm_viewer_live *live); ///< NULL is fine
/// One step of 0.1 s. NM_E_LIMIT at the end; NM_E_NUMERIC as nm_world_step, the run can go on.
NM_API nm_status nm_viewer_live_step(nm_viewer_live *live, nm_error *error);
/// History as recorded, then what happened. Its arrays are written by steps, so that it has as many steps as it can
/// ever have; those that have not happened yet have no valid states.
NM_API const nm_scene *nm_viewer_live_scene(const nm_viewer_live *live);
NM_API uint32_t nm_viewer_live_now(const nm_viewer_live *live); ///< last step that happened
NM_API int nm_viewer_live_ended(const nm_viewer_live *live);    ///< 1: no step is left
NM_API nm_world_stats nm_viewer_live_stats(const nm_viewer_live *live);

#ifdef __cplusplus
}
#endif
#endif
