/// Scenes as drives that nuPlan's score can be computed of: a recording, to see what the expert itself would get, or a
/// rollout against the recording it started from.
///
/// Scenes have box centres and velocities; the score wants rear axles and accelerations. The axle lies where the
/// Pacifica's does in proportion to the length (nm_nuplan_vehicle_sized) and does not slip: its velocity is the
/// centre's along the heading. Accelerations are those of the motion, by central differences (one-sided at the ends):
/// along the heading the change of speed, across it speed times yaw rate. Yaw rate and acceleration are 0 as in nuPlan,
/// whose loader fills in neither for recorded states; so the centre accelerates like the rear axle. Whoever has the
/// states of a controller (sim/tracker.h) fills in a nm_nuplan_drive with those instead.
#ifndef NM_SIM_METRICS_NUPLAN_SCENE_H
#define NM_SIM_METRICS_NUPLAN_SCENE_H

#include "sim/metrics/nuplan_score.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Owns its arrays; constant once made. Track t is track t of the scene (the ego among them, never present).
typedef struct nm_nuplan_record {
    nm_nuplan_drive drive;
    nm_nuplan_ego *ego;
    nm_nuplan_pose *expert;
    uint8_t *types, *present;
    nm_nuplan_box *boxes;
    uint32_t sizeless; ///< tracks left out, at least at some step, since their boxes have no size
} nm_nuplan_record;

/// Reads `iterations` steps from `first_step` on: iterations - 1 samples, as nuPlan records them, and as many poses of
/// the expert as iterations. Sample k is step first_step + k. What must not be scored, such as the step a scene was
/// spawned at, or padding, is the caller's to leave out.
///
/// map        the view of the scenes' map; must outlive the record
/// driven     who drove: its ego track
/// expert     whose ego track is the expert; may be `driven`
/// returns    NM_OK; NM_E_ARGUMENT for a scene without ego, steps outside a scene, steps at which the ego is not valid
///            (naming the first), fewer than 5 iterations, or time stamps that make no sense; NM_E_MEMORY. On failure
///            *record is NULL
/// Time stamps are the scene's, or step * dt. O(iterations * tracks).
NM_API nm_status nm_nuplan_record_scene(const nm_nuplan_map *map, const nm_scene *driven, const nm_scene *expert,
                                        uint32_t first_step, uint32_t iterations, nm_nuplan_record **record,
                                        nm_error *error);
NM_API void nm_nuplan_record_destroy(nm_nuplan_record *record); ///< NULL is fine

#ifdef __cplusplus
}
#endif
#endif
