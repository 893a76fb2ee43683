/// The planners that look at nobody: the recording, and constant velocity.
#include <stdio.h>
#include <stdlib.h>

#include "sim/math.h"
#include "sim/planner_builtin.h"
#include "sim/scene.h"

#define AHEAD_STEPS 80u // 8 s, as nuPlan asks of planners

typedef struct memory {
    nm_planner_scenario scenario;
} memory;

static void *create(const char *config, char *error, size_t error_size) {
    (void)config;
    memory *m = calloc(1, sizeof *m);
    if (!m) snprintf(error, error_size, "out of memory");
    return m;
}

static void destroy(void *planner) {
    free(planner);
}

/// Neither looks at the past or the map.
static void needs(void *planner, nm_planner_needs *needs) {
    (void)planner;
    *needs = (nm_planner_needs){.history = 2, .map_radius = 0.0f};
}

static int begin(void *planner, const nm_planner_scenario *scenario, char *error, size_t error_size) {
    memory *m = planner;
    m->scenario = *scenario;
    if (scenario->scene) return 0;
    snprintf(error, error_size, "there is no recording to look at");
    return NM_E_NOT_FOUND;
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

/// The recorded rear axle at a step; 0 where the ego was not there.
static int recorded(const nm_planner_scenario *scenario, uint32_t step, nm_planner_pose *pose, float *speed) {
    const nm_scene *scene = scenario->scene;
    nm_state state;
    if (step >= scene->step_count || !nm_scene_get_state(scene, scenario->ego_track, step, &state)) return 0;
    float sine, cosine;
    nm_sincosf(state.heading, &sine, &cosine);
    const float back = scenario->vehicle.rear_axle_to_box_centre;
    *pose = (nm_planner_pose){state.x - back * cosine, state.y - back * sine, state.heading};
    *speed = state.vx * cosine + state.vy * sine;
    return 1;
}

static int plan_expert(void *planner, const nm_planner_observation *observation, nm_planner_output *output, char *error,
                       size_t error_size) {
    const memory *m = planner;
    const uint32_t now = m->scenario.start_step + observation->step;
    const uint32_t last = m->scenario.scene->tracks[m->scenario.ego_track].last_step;
    nm_planner_pose end;
    float end_speed;
    if (!recorded(&m->scenario, last, &end, &end_speed)) {
        snprintf(error, error_size, "the ego was never recorded");
        return NM_E_NOT_FOUND;
    }
    for (uint32_t k = 0; k <= AHEAD_STEPS; k++) {
        const float time = 0.1f * (float)k;
        nm_planner_trajectory_point point = {.time = time};
        if (now + k > last)
            point = straight(end, end_speed, end_speed * 0.1f * (float)(now + k - last), time);
        else if (!recorded(&m->scenario, now + k, &point.rear_axle, &point.speed_ahead))
            continue; // a gap of the recording: the points around it span it
        output->points[output->point_count++] = point;
    }
    output->answer = NM_PLANNER_TRAJECTORY;
    return 0;
}

const nm_planner_vtable nm_planner_expert = {
    .abi = NM_PLANNER_ABI,
    .size = sizeof(nm_planner_vtable),
    .name = "expert",
    .create = create,
    .destroy = destroy,
    .needs = needs,
    .begin = begin,
    .plan = plan_expert,
};

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
