#include "sim/planner_path.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/geometry.h"

// Chosen: what passengers put up with (nuPlan's comfort bound is 4.9 m/s^2), and how gently speed is taken off for it.
#define BEND_ACCEL 2.5f
#define BEND_BRAKE 1.5f
#define SLOWEST 2.0f // m/s in the sharpest bend
#define BESIDE 5.0f  // m, up to which a place is told by an offset to the route
#define REST 0.5f    // m, up to which the route may begin beside where offset and slope say

nm_route_path nm_route_path_from(const nm_planner_route *route, const nm_planner_observation *observation,
                                 float target) {
    const nm_planner_ego *ego = &observation->ego;
    const nm_planner_pose axle = ego->rear_axle;
    nm_route_path path = {.route = route, .target = target};
    path.s = nm_route_project(route, axle.x_scene, axle.y_scene, observation->route_position, &path.offset);
    const nm_planner_pose at = nm_route_at(route, path.s).pose;
    float sine, cosine;
    if (path.s <= 0.0f || path.s >= route->length) { // before or past it: measured from its straight prolongation
        const float dx = axle.x_scene - at.x_scene, dy = axle.y_scene - at.y_scene;
        nm_sincosf(at.heading_scene, &sine, &cosine);
        const float along = dx * cosine + dy * sine;
        path.offset = dy * cosine - dx * sine;
        // beside a route that turns back, an end may be nearest though the place is not beyond it
        if (path.s <= 0.0f ? along < 0.0f : along > 0.0f) path.s += along;
    }
    const float turned = nm_wrap_angle(axle.heading_scene - at.heading_scene);
    nm_sincosf(nm_clampf(turned, -0.8f, 0.8f), &sine, &cosine);
    path.slope = sine / cosine;
    // way enough for a lateral acceleration of about 1 m/s^2 per metre at any speed
    path.length = nm_maxf(8.0f, 2.5f * fabsf(ego->rear_axle_speed_ahead));
    // far beside a bend the places across from it are far apart, or before one another: then straight to the route
    if (fabsf(path.offset) > BESIDE) path.offset = target, path.slope = 0.0f;
    const nm_planner_pose begin = nm_route_path_pose(&path, path.s);
    const float rest_x = axle.x_scene - begin.x_scene, rest_y = axle.y_scene - begin.y_scene;
    if (nm_hypotf(rest_x, rest_y) > REST) path.rest_x = rest_x, path.rest_y = rest_y;
    return path;
}

float nm_route_path_offset(const nm_route_path *path, float s, float *slope) {
    const float u = nm_clampf((s - path->s) / path->length, 0.0f, 1.0f), u2 = u * u, u3 = u2 * u;
    const float d = path->offset - path->target;
    if (slope) *slope = (6.0f * u2 - 6.0f * u) / path->length * d + (3.0f * u2 - 4.0f * u + 1.0f) * path->slope;
    return path->target + (2.0f * u3 - 3.0f * u2 + 1.0f) * d + (u3 - 2.0f * u2 + u) * path->length * path->slope;
}

nm_planner_pose nm_route_path_pose(const nm_route_path *path, float s) {
    const nm_route_place at = nm_route_at(path->route, s);
    float slope, sine, cosine;
    const float d = nm_route_path_offset(path, s, &slope);
    const float beyond = nm_maxf(s - path->route->length, 0.0f) + nm_minf(s, 0.0f);
    nm_sincosf(at.pose.heading_scene, &sine, &cosine);
    // along the inside of a bend the way is shorter: d' counts per metre of it
    const float stretch = nm_maxf(1.0f - at.curvature * d, 0.2f);
    const float left = 1.0f - nm_clampf((s - path->s) / path->length, 0.0f, 1.0f), rest = left * left;
    return (nm_planner_pose){at.pose.x_scene + beyond * cosine - d * sine + rest * path->rest_x,
                             at.pose.y_scene + beyond * sine + d * cosine + rest * path->rest_y,
                             nm_wrap_angle(at.pose.heading_scene + nm_atan2f(slope, stretch))};
}

// ---------------------------------------------------------------------------------------------------------------------

void nm_route_path_plan_release(nm_route_path_plan *plan) {
    free(plan->cruise);
    free(plan->stops);
    free(plan->obstacles);
    *plan = (nm_route_path_plan){0};
}

static void find_cruise(nm_route_path_plan *plan) {
    const nm_planner_route *route = plan->scenario.route;
    for (uint32_t i = route->point_count; i-- > 0;) {
        const float bend = sqrtf(BEND_ACCEL / nm_maxf(fabsf(route->curvature[i]), 1e-4f));
        float speed = nm_minf(route->speed_limit[i], nm_maxf(bend, SLOWEST));
        if (i + 1 < route->point_count) // brakes for what comes a metre later
            speed = nm_minf(speed, sqrtf(plan->cruise[i + 1] * plan->cruise[i + 1] + 2.0f * BEND_BRAKE));
        plan->cruise[i] = speed;
    }
}

static void find_stops(nm_route_path_plan *plan, const nm_map *map) {
    const nm_planner_route *route = plan->scenario.route;
    for (uint32_t i = 0; i < route->lane_count; i++) {
        const nm_lane *lane = &map->lanes[route->lanes[i]];
        const int follows = i + 1 < route->lane_count && map->lanes[route->lanes[i + 1]].predecessors.count > 0;
        if (lane->signals.count == 0) continue;
        float x, y, heading, offset;
        nm_map_position(map, route->lanes[i], lane->stop_s, 0.0f, &x, &y, &heading);
        const float s = nm_route_project(route, x, y, route->lane_from[i] + lane->stop_s, &offset);
        if (fabsf(offset) > 2.0f) continue; // changed away from before its end
        const uint8_t turn = follows ? map->lanes[route->lanes[i + 1]].turn : (uint8_t)NM_TURN_UNKNOWN;
        plan->stops[plan->stop_count++] = (nm_route_path_stop){s, route->lanes[i], turn};
    }
}

int nm_route_path_plan_begin(nm_route_path_plan *plan, const nm_planner_scenario *scenario, char *error,
                             size_t error_size) {
    nm_route_path_plan_release(plan);
    const nm_scene *scene = scenario->scene;
    if (!scene || !scenario->route || scenario->route->point_count < 2) {
        snprintf(error, error_size, "the scenario has no route");
        return NM_E_NOT_FOUND;
    }
    plan->scenario = *scenario;
    const uint32_t lights = scene->map->signal_ref_count + scenario->route->lane_count;
    plan->obstacle_capacity = scene->track_count + lights;
    plan->cruise = malloc(scenario->route->point_count * sizeof *plan->cruise);
    plan->stops = malloc(scenario->route->lane_count * sizeof *plan->stops);
    plan->obstacles = malloc(plan->obstacle_capacity * sizeof *plan->obstacles);
    if (!plan->cruise || !plan->stops || !plan->obstacles) {
        nm_route_path_plan_release(plan);
        snprintf(error, error_size, "out of memory");
        return NM_E_MEMORY;
    }
    find_cruise(plan);
    find_stops(plan, scene->map);
    return 0;
}

float nm_route_path_cruise(const nm_route_path_plan *plan, float s) {
    const uint32_t last = plan->scenario.route->point_count - 1;
    const float on = nm_clampf(s, 0.0f, (float)last);
    return plan->cruise[(uint32_t)on];
}

/// The box of an agent seen from the route at its nearest point: exact where the route is straight.
static nm_obstacle seen_from_route(const nm_planner_route *route, const nm_planner_agents *agents, uint32_t i,
                                   float from, float to) {
    const nm_planner_history *h = &agents->history;
    const size_t now = (size_t)i * h->sample_count + h->sample_count - 1;
    const float x = h->box_centre_x_scene[now], y = h->box_centre_y_scene[now];
    float offset, sine, cosine, route_sine, route_cosine;
    const float s = nm_route_project_within(route, x, y, from, to, &offset);
    const float tangent = nm_route_at(route, s).pose.heading_scene;
    nm_sincosf(h->heading_scene[now] - tangent, &sine, &cosine);
    nm_sincosf(tangent, &route_sine, &route_cosine);
    const float l = 0.5f * agents->length[i], w = 0.5f * agents->width[i];
    const float along = l * fabsf(cosine) + w * fabsf(sine), across = l * fabsf(sine) + w * fabsf(cosine);
    const float speed = h->velocity_x_scene[now] * route_cosine + h->velocity_y_scene[now] * route_sine;
    return (nm_obstacle){s - along, s + along, offset - across, offset + across, nm_maxf(speed, 0.0f), i};
}

static int says_stop(uint8_t state, float speed, float gap) {
    if (state == NM_SIGNAL_STOP || state == NM_SIGNAL_ARROW_STOP) return 1;
    if (state != NM_SIGNAL_CAUTION && state != NM_SIGNAL_ARROW_CAUTION) return 0;
    return speed * speed < 2.0f * 3.0f * gap; // who can still stop at 3 m/s^2 does
}

static void find_lights(nm_route_path_plan *plan, const nm_planner_observation *observation, float s, float reach) {
    const nm_planner_vehicle *vehicle = &observation->ego.vehicle;
    const float front = s + vehicle->rear_axle_to_box_centre + 0.5f * vehicle->length;
    const nm_planner_signals *lights = &observation->signals;
    for (uint32_t i = 0; i < plan->stop_count; i++) {
        const nm_route_path_stop *stop = &plan->stops[i];
        if (stop->s < front - 1.0f || stop->s > s + reach) continue; // a metre over the line it still waits
        for (uint32_t k = 0; k < lights->count; k++) {
            if (lights->lane[k] != stop->lane) continue;
            if (lights->turn[k] && stop->turn && lights->turn[k] != stop->turn) continue;
            if (!says_stop(lights->state[k], observation->ego.rear_axle_speed_ahead, stop->s - front)) continue;
            plan->obstacles[plan->obstacle_count++] =
                (nm_obstacle){stop->s, stop->s + 1.0f, -100.0f, 100.0f, 0.0f, NM_NONE};
            break;
        }
    }
}

void nm_route_path_find_obstacles(nm_route_path_plan *plan, const nm_planner_observation *observation, float s,
                                  float reach) {
    const nm_planner_agents *agents = &observation->agents;
    const nm_planner_history *h = &agents->history;
    const nm_planner_pose ego = observation->ego.box_centre;
    const float far = reach + 20.0f;
    plan->obstacle_count = 0;
    for (uint32_t i = 0; i < agents->count; i++) {
        const size_t now = (size_t)i * h->sample_count + h->sample_count - 1;
        const float dx = h->box_centre_x_scene[now] - ego.x_scene, dy = h->box_centre_y_scene[now] - ego.y_scene;
        if (dx * dx + dy * dy > far * far) continue;
        const nm_obstacle seen = seen_from_route(plan->scenario.route, agents, i, s - 20.0f, s + far);
        if (seen.to < s || seen.from > s + reach) continue;
        plan->obstacles[plan->obstacle_count++] = seen;
    }
    find_lights(plan, observation, s, reach);
}

float nm_route_path_idm_accel(const nm_route_path_idm *idm, float speed, float desired, float gap, float lead_speed) {
    const float share = speed / nm_maxf(desired, 0.1f), share2 = share * share;
    const float approach = speed * (speed - lead_speed) / (2.0f * sqrtf(idm->accel * idm->brake));
    const float wanted = idm->min_gap + nm_maxf(speed * idm->time_gap + approach, 0.0f);
    const float ratio = wanted / nm_maxf(gap, idm->min_gap); // nuPlan's floor
    return nm_clampf(idm->accel * (1.0f - share2 * share2 - ratio * ratio), -idm->brake, idm->accel);
}

const nm_obstacle *nm_route_path_leader(const nm_route_path_plan *plan, const nm_route_path *path, float *gap) {
    const nm_planner_vehicle *vehicle = &plan->scenario.vehicle;
    const float half = 0.5f * vehicle->width, centre = path->s + vehicle->rear_axle_to_box_centre;
    const float front = centre + 0.5f * vehicle->length;
    const nm_obstacle *leader = NULL;
    *gap = INFINITY;
    for (uint32_t i = 0; i < plan->obstacle_count; i++) {
        const nm_obstacle *o = &plan->obstacles[i];
        if (0.5f * (o->from + o->to) < centre) continue; // beside or behind
        // the rear axle drives over the place of the obstacle at that offset
        const float d = nm_route_path_offset(path, o->from, NULL);
        if (o->right > d + half || o->left < d - half) continue;
        const float to = nm_maxf(o->from - front, 0.0f);
        if (to >= *gap) continue;
        *gap = to;
        leader = o;
    }
    return leader;
}
