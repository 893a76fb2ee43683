/// Which of the futures that a model imagined the ego should take. Private to scenarios/planner_nexus*.c.
#ifndef NM_SCENARIOS_PLANNER_NEXUS_CHOICE_H
#define NM_SCENARIOS_PLANNER_NEXUS_CHOICE_H

#include "scenarios/planner_nexus.h"
#include "sim/planner.h"
#include "sim/scene.h"

#define NM_NEXUS_AHEAD 80u // steps of a plan

/// The middle of the box at a step of the plan.
typedef struct nm_nexus_pose {
    float x, y, heading, speed;
} nm_nexus_pose;
typedef struct nm_nexus_plan {
    nm_nexus_pose poses[NM_NEXUS_AHEAD + 1]; ///< the first is now
} nm_nexus_plan;

/// Working memory.
typedef struct nm_nexus_choice nm_nexus_choice;
/// samples: at most NM_PLANNER_NEXUS_MOST_SAMPLES.
nm_nexus_choice *nm_nexus_choice_create(uint32_t samples, uint32_t agents); ///< NULL: no memory
void nm_nexus_choice_destroy(nm_nexus_choice *choice);                      ///< NULL is fine

/// The plan that is worth most (planner_pdm_score.h) on average over all futures: who is around may do what they do in
/// any of them. Where that one collides within two seconds in most of them, the ego brakes on its way, at the end of
/// nuPlan's comfort or, where the plan brakes harder, as it does.
///
/// futures  [samples] of the same past; track 0 is the ego; `now` is their current step
/// plans    [in/out, samples] the ego's part of each; the chosen one may become a braking one
/// returns  which
uint32_t nm_nexus_choose(nm_nexus_choice *choice, const nm_planner_scenario *scenario,
                         const nm_planner_observation *seen, const nm_scene *const *futures, uint32_t now,
                         nm_nexus_plan *plans);

#endif
