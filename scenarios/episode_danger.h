/// How dangerous what was driven was for the ego. Private to episodes.
#ifndef NM_SCENARIOS_EPISODE_DANGER_H
#define NM_SCENARIOS_EPISODE_DANGER_H

#include "scenarios/episode.h"

/// What was driven, as the score has it. Borrowed.
typedef struct nm_episode_drive {
    const nm_planner_vehicle *vehicle;
    const nm_nuplan_ego *ego; ///< [samples]
    uint32_t samples, tracks;
    const uint8_t *present;     ///< [samples][tracks]; the ego's track is not
    const nm_nuplan_box *boxes; ///< the same
} nm_episode_drive;

/// Of the samples after the first; tracks are those of the drive. Working memory is given back to `arena`.
/// NM_E_MEMORY: *out is nm_episode_no_danger.
nm_status nm_episode_measure_danger(const nm_episode_drive *drive, nm_arena *arena, nm_ego_criticality *out,
                                    nm_error *error);

#endif
