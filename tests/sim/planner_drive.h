/// A planner drives the ego of a scene: what the tests of planners share.
#ifndef NM_TESTS_PLANNER_DRIVE_H
#define NM_TESTS_PLANNER_DRIVE_H

#include "world_scenes.h"

#include "sim/builtin.h"
#include "sim/observation.h"
#include "sim/planner_host.h"

/// What came of it.
typedef struct drive_result {
    nm_status status;
    uint32_t steps;       ///< driven
    uint32_t ego_events;  ///< NM_AGENT_... of the ego
    float way, top_speed; ///< m and m/s of the ego
    uint64_t hash;        ///< of the final world
    double seconds;       ///< of real time per plan, mean
    nm_error error;
} drive_result;

/// Drives `steps` steps by perfect execution, `deadline` s (0 = none) for each; the others follow `agents`.
static inline drive_result drive_within(nm_planner *planner, const nm_scene *scene, nm_policy_kind agents,
                                        uint32_t steps, uint64_t seed, float deadline) {
    drive_result result = {.status = NM_OK};
    nm_world_config world_config = nm_world_config_default();
    world_config.seed = seed;
    world_config.start_step = scene->current_step;
    world_config.agents = agents;
    world_config.ego = NM_POLICY_EXTERNAL;
    nm_world *world;
    nm_error_clear(&result.error);
    if (nm_world_create(scene, &world_config, &world, &result.error) != NM_OK) fail_msg("%s", result.error.message);
    nm_observation_config config = nm_observation_config_default(scene);
    const nm_planner_needs needs = nm_planner_get_needs(planner);
    config.history = needs.history;
    config.map_radius = needs.map_radius;
    config.seed = seed;
    config.deadline = deadline;
    nm_observation *observation;
    result.status = nm_observation_create(scene, &config, &observation, &result.error);
    if (result.status == NM_OK)
        result.status = nm_planner_begin(planner, nm_observation_scenario(observation), &result.error);
    for (; result.status == NM_OK && result.steps < steps; result.steps++) {
        const nm_planner_observation *seen;
        const nm_planner_output *output;
        nm_planner_motion next;
        result.status = nm_observation_update(observation, world, &seen, &result.error);
        if (result.status == NM_OK) result.status = nm_planner_plan(planner, seen, &output, &result.error);
        if (result.status != NM_OK) break;
        result.seconds += nm_planner_last_seconds(planner) / steps;
        nm_planner_follow_exactly(NULL, output, &seen->ego, NM_STEP_SECONDS, &next);
        result.way += fabsf(next.speed_ahead) * NM_STEP_SECONDS;
        result.top_speed = fmaxf(result.top_speed, next.speed_ahead);
        nm_world_set_state(world, scene->ego, next.box_centre.x_scene, next.box_centre.y_scene,
                           next.box_centre.heading_scene, next.speed_ahead);
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    }
    nm_planner_end(planner);
    result.ego_events = nm_world_track_events(world, scene->ego);
    result.hash = nm_world_hash(world);
    nm_observation_destroy(observation);
    nm_world_destroy(world);
    return result;
}

static inline drive_result drive_with(nm_planner *planner, const nm_scene *scene, nm_policy_kind agents, uint32_t steps,
                                      uint64_t seed) {
    return drive_within(planner, scene, agents, steps, seed, 0.0f);
}

static inline const nm_scene *scene_of(const char *specification, uint64_t seed) {
    const nm_scene *scene = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_builtin_scene(specification, seed, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    return scene;
}

static inline nm_planner *planner_named(const char *name) {
    nm_planner *planner = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_planner_named(name, "", &planner, &error) != NM_OK) fail_msg("%s", error.message);
    return planner;
}

#endif
