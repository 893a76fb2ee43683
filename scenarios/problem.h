/// Planning problems (CommonRoad) as scenes that a planner can be driven through: a start, and a goal to be reached.
///
/// Nobody drove there, so there is no expert. In its place a REFERENCE leads along the route: the shortest way over the
/// lane graph from the lane of the start to the goal's, at constant acceleration, so as to be at the goal at the last
/// step that the goal allows; it brakes to a stand there when it would have to reverse (with 10 m/s^2 where the goal
/// lies behind). nuPlan's progress of a planner is then its way along the route over the way that the goal asks for.
/// The reference looks at nobody.
#ifndef NM_SCENARIOS_PROBLEM_H
#define NM_SCENARIOS_PROBLEM_H

#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_PROBLEM_LENGTH 4.508f ///< m of the ego that is placed: CommonRoad's vehicle type 2 (BMW 320i)
#define NM_PROBLEM_WIDTH 1.610f  ///< m
#define NM_PROBLEM_STEPS 600u    ///< after the start, at most

/// A copy of the scene with a track more: the ego, at the start of problem `problem` at its step, then as the
/// reference. The copy's problems stay behind. The goal's place is the middle of the first area of the first goal, of a
/// lane the middle of its centreline; a goal without a place lies straight on as far as the start's speed leads in its
/// time.
///
/// *out      the caller's (nm_scene_destroy); NULL unless NM_OK
/// returns   NM_OK; NM_E_NOT_FOUND that says what is missing: the problem, a lane at most 5 m from start or goal, or a
///           way from one to the other; NM_E_ARGUMENT for a time step other than 0.1 s, or a start behind its goal's
///           last step; NM_E_LIMIT; NM_E_MEMORY. Prepares the map.
NM_API nm_status nm_problem_scene(const nm_scene *scene, uint32_t problem, const nm_scene **out, nm_error *error);

/// Is a goal of the problem satisfied: time, place, heading and speed of one of its goals. The centre of the box is in
/// one of the areas.
NM_API int nm_problem_reached(const nm_scene *scene, uint32_t problem, uint32_t step, float x, float y, float heading,
                              float speed);

#ifdef __cplusplus
}
#endif
#endif
