#include "scenarios/problem.h"

#include <math.h>

#include "base/arena.h"
#include "sim/math.h"
#include "sim/recording.h"
#include "sim/route.h"

#define LANES_MAX 1024u   // of a route
#define NEAR_LANE 5.0f    // m
#define CHANGE_COST 20.0f // m that a change of lanes counts as
#define BACK_ON 20.0f     // m over which the reference comes onto the line of the route

// ---------------------------------------------------------------------------------------------------------------------
// The goal

static const nm_goal *first_goal(const nm_scene *scene, uint32_t problem) {
    const nm_range goals = scene->problems[problem].goals;
    return goals.count ? &scene->goals[goals.first] : NULL;
}

static int within(float value, float low, float high) {
    return low > high || (value >= low && value <= high);
}

/// Headings are angles: the range is the one from low upwards to high.
static int heads(float heading, const nm_goal *goal) {
    if (goal->heading_min > goal->heading_max) return 1;
    const float middle = 0.5f * (goal->heading_min + goal->heading_max);
    return fabsf(nm_wrap_angle(heading - middle)) <= 0.5f * (goal->heading_max - goal->heading_min);
}

static int inside(const nm_map *map, const nm_goal_area *area, float x, float y) {
    if (area->lane != NM_NONE) {
        const nm_frenet on = nm_map_project(map, area->lane, x, y);
        return on.beyond <= 0.0f && on.beyond >= 0.0f && on.d <= on.left && on.d >= -on.right;
    }
    const float dx = x - area->centre.x, dy = y - area->centre.y;
    if (!(area->width > 0.0f)) return nm_hypotf(dx, dy) <= 0.5f * area->length;
    float sine, cosine;
    nm_sincosf(area->heading, &sine, &cosine);
    return fabsf(dx * cosine + dy * sine) <= 0.5f * area->length &&
           fabsf(dy * cosine - dx * sine) <= 0.5f * area->width;
}

static int in_areas(const nm_scene *scene, const nm_goal *goal, float x, float y) {
    for (uint32_t i = goal->areas.first; i < goal->areas.first + goal->areas.count; ++i)
        if (inside(scene->map, &scene->goal_areas[i], x, y)) return 1;
    return goal->areas.count == 0;
}

int nm_problem_reached(const nm_scene *scene, uint32_t problem, uint32_t step, float x, float y, float heading,
                       float speed) {
    NM_ASSERT(scene && problem < scene->problem_count);
    const nm_range goals = scene->problems[problem].goals;
    for (uint32_t i = goals.first; i < goals.first + goals.count; ++i) {
        const nm_goal *goal = &scene->goals[i];
        if (step >= goal->first_step && step <= goal->last_step && heads(heading, goal) &&
            within(speed, goal->speed_min, goal->speed_max) && in_areas(scene, goal, x, y))
            return 1;
    }
    return 0;
}

// ---------------------------------------------------------------------------------------------------------------------
// The reference

/// What leads from the start to the goal.
typedef struct reference {
    const nm_scene *scene;
    const nm_problem *problem;
    nm_route *route;
    float begin, offset; // where the start lies on the route, and beside it
    float way, speed;    // to the goal; at the start
    uint32_t steps;      // after the start
} reference;

static float speed_of(const nm_state *state) {
    return nm_hypotf(state->vx, state->vy);
}

/// *lane NM_NONE: nowhere in particular.
static nm_status place_of(const nm_scene *scene, const nm_goal *goal, uint32_t *lane, nm_planner_pose *pose,
                          nm_error *error) {
    *lane = NM_NONE;
    if (!goal || !goal->areas.count) return NM_OK;
    const nm_map *map = scene->map;
    const nm_goal_area *area = &scene->goal_areas[goal->areas.first];
    if (area->lane != NM_NONE) {
        *lane = area->lane;
        nm_map_position(map, *lane, 0.5f * map->lanes[*lane].length, 0.0f, &pose->x_scene, &pose->y_scene,
                        &pose->heading_scene);
        return NM_OK;
    }
    const int headed = goal->heading_min <= goal->heading_max;
    const float heading = headed ? 0.5f * (goal->heading_min + goal->heading_max) : area->heading;
    const nm_frenet on = nm_map_match(map, area->centre.x, area->centre.y, heading, NEAR_LANE, NM_LANE_MASK_VEHICLE);
    if (on.lane == NM_NONE) return NM_ERROR(error, NM_E_NOT_FOUND, "the goal lies on no lane");
    *lane = on.lane;
    *pose = (nm_planner_pose){area->centre.x, area->centre.y, on.heading};
    return NM_OK;
}

static nm_status find_route(reference *r, nm_error *error) {
    const nm_map *map = r->scene->map;
    const nm_state *start = &r->problem->start;
    const nm_planner_pose from = {start->x, start->y, start->heading};
    nm_planner_pose to = from;
    uint32_t lanes[LANES_MAX], goal, count = 1;
    nm_status status =
        place_of(r->scene, first_goal(r->scene, (uint32_t)(r->problem - r->scene->problems)), &goal, &to, error);
    if (status != NM_OK) return status;
    lanes[0] = nm_map_match(map, from.x_scene, from.y_scene, from.heading_scene, NEAR_LANE, NM_LANE_MASK_VEHICLE).lane;
    if (lanes[0] == NM_NONE) return NM_ERROR(error, NM_E_NOT_FOUND, "the problem starts on no lane");
    if (goal != NM_NONE) {
        count = nm_map_route(map, lanes[0], goal, CHANGE_COST, lanes, LANES_MAX, NULL);
        if (count == 0 || count > LANES_MAX)
            return NM_ERROR(error, NM_E_NOT_FOUND, "no way leads from the problem's start to its goal");
    } else {
        const float way = speed_of(start) * NM_STEP_SECONDS * (float)r->steps;
        float sine, cosine;
        nm_sincosf(start->heading, &sine, &cosine);
        to.x_scene += way * cosine;
        to.y_scene += way * sine;
    }
    status = nm_route_through(map, lanes, count, from, to, &r->route, error);
    if (status != NM_OK) return status;
    const nm_planner_route *line = nm_route_get(r->route);
    r->begin = nm_route_project(line, from.x_scene, from.y_scene, 0.0f, &r->offset);
    r->way =
        goal != NM_NONE ? nm_maxf(line->goal - r->begin, 0.0f) : speed_of(start) * NM_STEP_SECONDS * (float)r->steps;
    return NM_OK;
}

/// Where the reference is `step` steps after the start.
static nm_state reference_at(const reference *r, uint32_t step) {
    const float time = NM_STEP_SECONDS * (float)step, whole = NM_STEP_SECONDS * (float)r->steps;
    float accel = 2.0f * (r->way - r->speed * whole) / (whole * whole), until = whole;
    if (r->speed + accel * whole < 0.0f) { // brakes to a stand
        accel = r->way > 0.01f ? -r->speed * r->speed / (2.0f * r->way) : -10.0f;
        until = -r->speed / accel;
    }
    const float t = nm_minf(time, until), s = r->speed * t + 0.5f * accel * t * t;
    const float speed = time < until ? nm_maxf(r->speed + accel * t, 0.0f) : 0.0f;
    const float left = 1.0f - nm_minf(s / BACK_ON, 1.0f), beside = r->offset * left * left;
    const nm_planner_pose on = nm_route_at(nm_route_get(r->route), r->begin + s).pose;
    float sine, cosine;
    nm_sincosf(on.heading_scene, &sine, &cosine);
    return (nm_state){.x = on.x_scene - beside * sine,
                      .y = on.y_scene + beside * cosine,
                      .heading = on.heading_scene,
                      .vx = speed * cosine,
                      .vy = speed * sine};
}

// ---------------------------------------------------------------------------------------------------------------------
// The scene

static int64_t free_id(const nm_scene *scene) {
    int64_t most = 0;
    for (uint32_t track = 0; track < scene->track_count; ++track)
        if (scene->tracks[track].source_id > most) most = scene->tracks[track].source_id;
    return most < INT64_MAX ? most + 1 : -1;
}

static nm_status put_ego(const reference *r, nm_scene_builder *builder, uint32_t *ego, nm_error *error) {
    const nm_track_def def = {
        .id = free_id(r->scene), .type = NM_AGENT_CAR, .length = NM_PROBLEM_LENGTH, .width = NM_PROBLEM_WIDTH};
    nm_status status = nm_scene_builder_add_track(builder, &def, ego, error);
    nm_state state = r->problem->start;
    state.length = state.width = state.height = 0.0f;
    // a step more, since an episode ends a step before the recording does, and may reach its goal at the last one
    for (uint32_t k = 0; status == NM_OK && k <= r->steps + 1; ++k) {
        if (k) state = reference_at(r, k);
        status = nm_scene_builder_add_local_state(builder, *ego, r->problem->start_step + k, &state, error);
    }
    return status;
}

static nm_status copy_lights(nm_scene_builder *builder, const nm_scene *scene, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t step = 0; step < scene->step_count; ++step)
        for (uint32_t signal = 0; status == NM_OK && signal < scene->map->signal_count; ++signal)
            status = nm_scene_builder_set_signal(builder, signal, step, nm_scene_signal(scene, signal, step), error);
    return status;
}

static nm_status build(const reference *r, nm_scene_builder *builder, const nm_scene **out, nm_error *error) {
    const nm_scene *scene = r->scene;
    const uint32_t last = r->problem->start_step + r->steps + 1;
    const uint32_t steps = scene->step_count > last ? scene->step_count : last + 1;
    uint32_t ego = NM_NONE;
    nm_status status = nm_recording_begin(builder, scene, scene->step_count, steps, error);
    if (status == NM_OK) status = copy_lights(builder, scene, error);
    if (status == NM_OK) status = put_ego(r, builder, &ego, error);
    if (status != NM_OK) return status;
    nm_scene_builder_set_current(builder, r->problem->start_step, ego);
    const nm_provenance *of = &scene->provenance;
    const nm_provenance provenance = {.source = of->source,
                                      .file = of->file,
                                      .scene_id = of->scene_id,
                                      .record = of->record,
                                      .program = "nearmiss " NM_VERSION,
                                      .parent = scene->hash,
                                      .parameters = "{\"planning_problem\":true}"};
    status = nm_scene_builder_set_provenance(builder, &provenance, error);
    for (uint32_t i = 0; status == NM_OK && i < scene->tag_count; ++i)
        status = nm_scene_builder_add_tag(builder, scene->tags[i], error);
    return status == NM_OK ? nm_scene_builder_build(builder, out, error) : status;
}

nm_status nm_problem_scene(const nm_scene *scene, uint32_t problem, const nm_scene **out, nm_error *error) {
    NM_ASSERT(scene && out);
    *out = NULL;
    if (problem >= scene->problem_count)
        return NM_ERROR(error, NM_E_NOT_FOUND, "the scene has no planning problem %u", problem);
    if (fabsf(scene->dt - NM_STEP_SECONDS) > 1e-4f)
        return NM_ERROR(error, NM_E_ARGUMENT, "the scene's time step is not 0.1 s: resample it");
    reference r = {.scene = scene, .problem = &scene->problems[problem]};
    const nm_goal *goal = first_goal(scene, problem);
    const uint32_t start = r.problem->start_step, last = goal ? goal->last_step : scene->step_count - 1;
    if (last <= start)
        return NM_ERROR(error, NM_E_ARGUMENT, "the problem starts at step %u, its goal ends at step %u", start, last);
    r.steps = last - start < NM_PROBLEM_STEPS ? last - start : NM_PROBLEM_STEPS;
    r.speed = speed_of(&r.problem->start);
    nm_status status = nm_map_prepare(scene->map, error);
    nm_scene_builder *builder = nm_scene_builder_create();
    if (status == NM_OK && !builder) status = NM_ERROR(error, NM_E_MEMORY, "out of memory for a planning problem");
    if (status == NM_OK) status = find_route(&r, error);
    if (status == NM_OK) status = build(&r, builder, out, error);
    nm_route_destroy(r.route);
    nm_scene_builder_destroy(builder);
    return status;
}
