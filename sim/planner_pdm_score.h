/// Proposals of a planner that has several, and what they are worth: those of planner_pdm.c, and of the diffusion model
/// (scenarios/planner_nexus.h). Not installed.
#ifndef NM_SIM_PLANNER_PDM_SCORE_H
#define NM_SIM_PLANNER_PDM_SCORE_H

#include "sim/metrics/criticality.h"
#include "sim/route.h"

#define NM_PDM_STEPS 40u // 4 s
#define NM_PDM_LOOK 50u  // boxes of a predicted agent: as far as the time to collision is looked at from there
#define NM_PDM_SPEEDS 5u
#define NM_PDM_OFFSETS 3u
#define NM_PDM_PROPOSALS (NM_PDM_SPEEDS * NM_PDM_OFFSETS)

typedef struct nm_pdm_state {
    nm_planner_pose rear_axle;
    float x, y, cos_h, sin_h; ///< box centre
    float speed, s;
} nm_pdm_state;

typedef struct nm_pdm_proposal {
    nm_pdm_state states[NM_PDM_STEPS + 1];
    float progress;     ///< m
    float allowed;      ///< product of the multipliers: collisions at fault, drivable area
    float collision_at; ///< s of the first collision at fault, INFINITY = none
    int keeps_distance, comfortable;
    float score;
} nm_pdm_proposal;

/// An agent near enough to matter.
typedef struct nm_pdm_agent {
    nm_box box;            ///< now
    const nm_box *future;  ///< nullable: [NM_PDM_LOOK] 0.1 s apart, from now on; NULL: it keeps its velocity
    float reach;           ///< m, half diagonal
    uint8_t type, touches; ///< touches: overlaps the ego now, which no proposal can change
} nm_pdm_agent;

/// Fills everything but `score` of a proposal whose states are there. Where the route ends, the map does, as a rule:
/// states past it do not count as off the road.
void nm_pdm_judge(const nm_planner_scenario *scenario, const nm_map *map, const nm_pdm_agent *agents, uint32_t count,
                  nm_pdm_proposal *proposal);

#endif
