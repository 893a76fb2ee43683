/// The diffusion model as planner: what it says the ego will do, given what happened to all around it, is the plan.
///
/// Every half second it samples several futures of everybody (scene_generator.h) from the observed past, and plans the
/// ego's part of the one that is worth most over all of them, by the terms of nuPlan's score, 8 s with the usual
/// recipes; where that ends, at the end of the map, say, it goes straight on. Of a model whose recipe has paths the
/// ego's is the one that the route takes; others choose themselves where ways fork.
#ifndef NM_SCENARIOS_PLANNER_NEXUS_H
#define NM_SCENARIOS_PLANNER_NEXUS_H

#include "nexus/recipe.h"
#include "sim/planner_host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_PLANNER_NEXUS_SAMPLES 6u       ///< futures, where nothing else is asked for
#define NM_PLANNER_NEXUS_MOST_SAMPLES 16u ///< and at most

/// model   borrowed, outlives the planner; its backend's thread is the planner's. Not one that is in use while a
///         plan is made, as by a closed loop (closed_loop.h) whose ego this planner drives
/// recipe  copied
/// samples 1..NM_PLANNER_NEXUS_MOST_SAMPLES futures to choose from; 1: the model's word is taken, but for braking
/// Errors as nm_scene_generator_create; NM_E_UNSUPPORTED for a recipe that wants more past than planners are shown.
/// Scenarios without nm_planner_scenario.scene, which the tracks' sizes are taken from, fail to begin.
NM_API nm_status nm_planner_nexus(nm_model *model, const nm_recipe *recipe, uint32_t samples, nm_planner **planner,
                                  nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
