/// The IDM planner: follows the route behind whoever is on it.
///
/// Parameters of nuPlan's IDM planner: s0 1.0 m, T 1.5 s, a 1.0, b 3.0 m/s^2, no more than b and a, 8 s of plan, what
/// is on the route within 40 m, red lights as obstacles. Ours: wants the limit of the place rather than the first one
/// of the route, slows down for bends (limits of our junctions do not), and looks further where it needs more than 40 m
/// to stop. Like nuPlan's it gives way to nobody who is not on its route yet.
#include <stdio.h>
#include <stdlib.h>

#include "sim/math.h"
#include "sim/planner_builtin.h"
#include "sim/planner_path.h"

#define AHEAD_STEPS 80u
#define LOOK_METRES 40.0f

static const nm_route_path_idm parameters = {.accel = 1.0f, .brake = 3.0f, .min_gap = 1.0f, .time_gap = 1.5f};

static void *create(const char *config, char *error, size_t error_size) {
    (void)config;
    nm_route_path_plan *plan = calloc(1, sizeof *plan);
    if (!plan) snprintf(error, error_size, "out of memory");
    return plan;
}

static void destroy(void *planner) {
    nm_route_path_plan_release(planner);
    free(planner);
}

static void needs(void *planner, nm_planner_needs *needs) {
    (void)planner;
    *needs = (nm_planner_needs){.history = 2, .map_radius = 0.0f};
}

static int begin(void *planner, const nm_planner_scenario *scenario, char *error, size_t error_size) {
    return nm_route_path_plan_begin(planner, scenario, error, error_size);
}

static int plan(void *planner, const nm_planner_observation *observation, nm_planner_output *output, char *error,
                size_t error_size) {
    (void)error, (void)error_size;
    nm_route_path_plan *p = planner;
    const nm_route_path path = nm_route_path_from(p->scenario.route, observation, 0.0f);
    float speed = nm_maxf(observation->ego.rear_axle_speed_ahead, 0.0f), s = path.s, gap;
    const float stopping = speed * parameters.time_gap + speed * speed / (2.0f * parameters.brake);
    nm_route_path_find_obstacles(p, observation, s, nm_maxf(LOOK_METRES, stopping + 20.0f));
    const nm_obstacle *leader = nm_route_path_leader(p, &path, &gap);
    const float lead_speed = leader ? leader->speed : 0.0f;
    const float dt = 0.1f;
    for (uint32_t k = 0; k <= AHEAD_STEPS; k++) {
        output->points[output->point_count++] =
            (nm_planner_trajectory_point){dt * (float)k, nm_route_path_pose(&path, s), speed};
        const float accel = nm_route_path_idm_accel(&parameters, speed, nm_route_path_cruise(p, s), gap, lead_speed);
        const float next = nm_maxf(speed + accel * dt, 0.0f), way = 0.5f * (speed + next) * dt;
        s += way;
        gap += lead_speed * dt - way; // the leader keeps its speed
        speed = next;
    }
    output->answer = NM_PLANNER_TRAJECTORY;
    return 0;
}

const nm_planner_vtable nm_planner_idm = {
    .abi = NM_PLANNER_ABI,
    .size = sizeof(nm_planner_vtable),
    .name = "idm",
    .create = create,
    .destroy = destroy,
    .needs = needs,
    .begin = begin,
    .plan = plan,
};
