/// The planner that looks at nothing: constant velocity.
#include <stdio.h>
#include <stdlib.h>

#include "sim/math.h"
#include "sim/planner_builtin.h"

static void *create(const char *config, char *error, size_t error_size) {
    (void)config;
    char *nothing = malloc(1); // an object to be told from none
    if (!nothing) snprintf(error, error_size, "out of memory");
    return nothing;
}

static void destroy(void *planner) {
    free(planner);
}

/// No past and no map.
static void needs(void *planner, nm_planner_needs *needs) {
    (void)planner;
    *needs = (nm_planner_needs){.history = 2, .map_radius = 0.0f};
}

static int begin(void *planner, const nm_planner_scenario *scenario, char *error, size_t error_size) {
    (void)planner, (void)scenario, (void)error, (void)error_size;
    return 0;
}

/// Straight on from a pose of the rear axle.
static nm_planner_trajectory_point straight(nm_planner_pose pose, float speed, float way, float time) {
    float sine, cosine;
    nm_sincosf(pose.heading_scene, &sine, &cosine);
    pose.x_scene += way * cosine;
    pose.y_scene += way * sine;
    return (nm_planner_trajectory_point){time, pose, speed};
}

static int plan_constant(void *planner, const nm_planner_observation *observation, nm_planner_output *output,
                         char *error, size_t error_size) {
    (void)planner, (void)error, (void)error_size;
    const nm_planner_ego *ego = &observation->ego;
    for (uint32_t i = 0; i <= 16; i++) {
        const float time = 0.5f * (float)i, speed = ego->rear_axle_speed_ahead;
        output->points[output->point_count++] = straight(ego->rear_axle, speed, speed * time, time);
    }
    output->answer = NM_PLANNER_TRAJECTORY;
    return 0;
}

const nm_planner_vtable nm_planner_constant_velocity = {
    .abi = NM_PLANNER_ABI,
    .size = sizeof(nm_planner_vtable),
    .name = "constant_velocity",
    .create = create,
    .destroy = destroy,
    .needs = needs,
    .begin = begin,
    .plan = plan_constant,
};
