/// The expert: drives as the ego was recorded, then on at the last velocity.
///
/// Where the ego is as recorded, the plan is the recording. A tracker leaves it behind or beside what was recorded by
/// now. A plan that began there would pull the ego across bends, and leave nuPlan's controller, which damps little, to
/// swing about it: so the plan begins where the ego is, at the recorded place nearest to it, `shift` seconds from now
/// in the recording, and comes back
///   to the recorded times:  place at t = recorded place at  now + t + shift / (1 + t / T)^2,  T = 4 s or more
///   to the recorded way:    by a cubic that begins with the ego's offset and heading, over 0.4 s of way, at least 3 m.
/// Of 0.2 to 3 s for the latter short ones lead nuPlan's controller best through bends one way and then the other.
#include <stdio.h>
#include <stdlib.h>

#include "sim/math.h"
#include "sim/planner_builtin.h"
#include "sim/route.h"

#define AHEAD_STEPS 80u   // 8 s, as nuPlan asks of planners
#define SHIFT_STEPS 30    // how far from now the ego is looked for in the recording
#define SHIFT_COST 0.5f   // m/s: a place that is so much nearer per second of shift is as good: at rest, no shift is
#define AS_RECORDED 0.01f // m
#define CATCH_UP 4.0f     // s
#define LONG_GAP 10u      // steps, from which on the road shows where the ego went
#define RETURN_TIME 0.4f  // s, and
#define RETURN_WAY 3.0f   // m, until it is back on the recorded way
#define STEEPEST 0.5f     // m per m that a plan begins with beside the recording
#define BESIDE_ROUTE 5.0f // m, up to which it is the ego's road

typedef struct memory {
    nm_planner_scenario scenario;
} memory;

/// A place of the rear axle.
typedef struct place {
    nm_planner_pose pose;
    float speed;
} place;

static void *create(const char *config, char *error, size_t error_size) {
    (void)config;
    memory *m = calloc(1, sizeof *m);
    if (!m) snprintf(error, error_size, "out of memory");
    return m;
}

static void destroy(void *planner) {
    free(planner);
}

static void needs(void *planner, nm_planner_needs *needs) {
    (void)planner;
    *needs = (nm_planner_needs){.history = 2, .map_radius = 0.0f};
}

static int there_at_all(const nm_planner_scenario *scenario) {
    const nm_track *track = &scenario->scene->tracks[scenario->ego_track];
    return track->first_step <= track->last_step;
}

static int begin(void *planner, const nm_planner_scenario *scenario, char *error, size_t error_size) {
    memory *m = planner;
    m->scenario = *scenario;
    if (scenario->scene && there_at_all(scenario)) return 0;
    snprintf(error, error_size, scenario->scene ? "the ego was never recorded" : "there is no recording to look at");
    return NM_E_NOT_FOUND;
}

/// 0 where the ego was not recorded.
static int recorded(const nm_planner_scenario *scenario, uint32_t step, place *out) {
    nm_state state;
    if (step >= scenario->scene->step_count || !nm_scene_get_state(scenario->scene, scenario->ego_track, step, &state))
        return 0;
    float sine, cosine;
    nm_sincosf(state.heading, &sine, &cosine);
    const float back = scenario->vehicle.rear_axle_to_box_centre;
    out->pose = (nm_planner_pose){state.x - back * cosine, state.y - back * sine, state.heading};
    out->speed = state.vx * cosine + state.vy * sine;
    return 1;
}

static float mix(float a, float b, float t) {
    return a + t * (b - a);
}

static float mix_heading(float a, float b, float t) {
    return nm_wrap_angle(a + t * nm_wrap_angle(b - a));
}

/// Along the route from one end of a gap to the other, where the ego was on it at both; else 0.
static int bridge(const nm_planner_route *route, const place *a, const place *b, float t, float seconds, place *out) {
    float beside_a, beside_b;
    const float from = nm_route_project(route, a->pose.x_scene, a->pose.y_scene, -1.0f, &beside_a);
    const float to = nm_route_project(route, b->pose.x_scene, b->pose.y_scene, -1.0f, &beside_b);
    if (!(to > from) || fabsf(beside_a) > BESIDE_ROUTE || fabsf(beside_b) > BESIDE_ROUTE) return 0;
    const nm_route_place on = nm_route_at(route, mix(from, to, t));
    const float off_a = nm_wrap_angle(a->pose.heading_scene - nm_route_at(route, from).pose.heading_scene);
    const float off_b = nm_wrap_angle(b->pose.heading_scene - nm_route_at(route, to).pose.heading_scene);
    const float beside = mix(beside_a, beside_b, t);
    float sine, cosine;
    nm_sincosf(on.pose.heading_scene, &sine, &cosine);
    out->pose = (nm_planner_pose){on.pose.x_scene - beside * sine, on.pose.y_scene + beside * cosine,
                                  nm_wrap_angle(on.pose.heading_scene + mix(off_a, off_b, t))};
    out->speed = (to - from) / seconds;
    return 1;
}

/// The recording at a time in steps: linear between states, over long gaps along the route, after the end straight on.
static place at_time(const nm_planner_scenario *scenario, float time) {
    const nm_track *track = &scenario->scene->tracks[scenario->ego_track];
    const float dt = scenario->step_seconds;
    place a = {0}, b = {0};
    if (time >= (float)track->last_step) {
        recorded(scenario, track->last_step, &a);
        const float way = a.speed * (time - (float)track->last_step) * dt;
        float sine, cosine;
        nm_sincosf(a.pose.heading_scene, &sine, &cosine);
        a.pose.x_scene += way * cosine;
        a.pose.y_scene += way * sine;
        return a;
    }
    uint32_t before = (uint32_t)nm_maxf(time, (float)track->first_step), after = before + 1;
    while (!recorded(scenario, before, &a)) --before; // not below the first state
    while (!recorded(scenario, after, &b)) ++after;   // nor beyond the last one
    const float steps = (float)(after - before), t = nm_clampf((time - (float)before) / steps, 0.0f, 1.0f);
    place on;
    if (after - before > LONG_GAP && bridge(scenario->route, &a, &b, t, steps * dt, &on)) return on;
    const float way = nm_hypotf(b.pose.x_scene - a.pose.x_scene, b.pose.y_scene - a.pose.y_scene);
    return (place){{mix(a.pose.x_scene, b.pose.x_scene, t), mix(a.pose.y_scene, b.pose.y_scene, t),
                    mix_heading(a.pose.heading_scene, b.pose.heading_scene, t)},
                   after - before > 1 ? way / (steps * dt) : mix(a.speed, b.speed, t)};
}

/// m^2 from the ego to the nearest place of a piece of the recording; *t is where on it, 0 to 1.
static float square_to(const place *a, const place *b, nm_planner_pose ego, float *t) {
    const float dx = b->pose.x_scene - a->pose.x_scene, dy = b->pose.y_scene - a->pose.y_scene;
    const float ex = ego.x_scene - a->pose.x_scene, ey = ego.y_scene - a->pose.y_scene, length2 = dx * dx + dy * dy;
    *t = length2 > 0.0f ? nm_clampf((ex * dx + ey * dy) / length2, 0.0f, 1.0f) : 0.0f;
    const float x = ex - *t * dx, y = ey - *t * dy;
    return x * x + y * y;
}

/// Where in the recording the ego is, in steps from now.
static float shift_of(const nm_planner_scenario *scenario, uint32_t now, nm_planner_pose ego, int *as_recorded) {
    const float cost = SHIFT_COST * scenario->step_seconds;
    const uint32_t first = scenario->scene->tracks[scenario->ego_track].first_step;
    place a = at_time(scenario, (float)now);
    *as_recorded = nm_hypotf(a.pose.x_scene - ego.x_scene, a.pose.y_scene - ego.y_scene) < AS_RECORDED;
    if (*as_recorded) return 0.0f;
    float best = INFINITY, shift = 0.0f, t;
    for (int k = -SHIFT_STEPS; k < SHIFT_STEPS; ++k) {
        if ((int64_t)now + k < (int64_t)first) continue;
        a = at_time(scenario, (float)((int64_t)now + k));
        const place b = at_time(scenario, (float)((int64_t)now + k + 1));
        const float square = square_to(&a, &b, ego, &t), here = (float)k + t;
        const float price = square + cost * cost * here * here;
        if (price < best) best = price, shift = here;
    }
    return shift;
}

/// How far the ego is from the recording, to the left, and how it goes on from there.
typedef struct offset {
    float beside, slope; // m; m per m of way
    float way;           // m until it is gone
} offset;

static offset offset_of(const place *on, const nm_planner_ego *ego) {
    float sine, cosine;
    nm_sincosf(on->pose.heading_scene, &sine, &cosine);
    const float dx = ego->rear_axle.x_scene - on->pose.x_scene, dy = ego->rear_axle.y_scene - on->pose.y_scene;
    const float turned = nm_wrap_angle(ego->rear_axle.heading_scene - on->pose.heading_scene);
    const float slope = nm_clampf(turned, -STEEPEST, STEEPEST);
    return (offset){dy * cosine - dx * sine, slope,
                    nm_maxf(RETURN_TIME * fabsf(ego->rear_axle_speed_ahead), RETURN_WAY)};
}

/// The place beside the recording after `way` m: the offset is a cubic that begins as the ego is and ends in nothing.
static void put_beside(place *there, const offset *from, float way) {
    const float t = way / from->way;
    if (t >= 1.0f) return;
    const float u = 1.0f - t, along = from->slope * from->way;
    const float beside = u * u * (from->beside * (1.0f + 2.0f * t) + along * t);
    const float slope = (u * (along * (1.0f - 3.0f * t) - 6.0f * from->beside * t)) / from->way;
    float sine, cosine;
    nm_sincosf(there->pose.heading_scene, &sine, &cosine);
    there->pose.x_scene -= beside * sine;
    there->pose.y_scene += beside * cosine;
    there->pose.heading_scene = nm_wrap_angle(there->pose.heading_scene + nm_atan2f(slope, 1.0f));
}

static int plan(void *planner, const nm_planner_observation *observation, nm_planner_output *output, char *error,
                size_t error_size) {
    (void)error, (void)error_size;
    const nm_planner_scenario *scenario = &((const memory *)planner)->scenario;
    const nm_planner_ego *ego = &observation->ego;
    const uint32_t now = scenario->start_step + observation->step;
    const float dt = scenario->step_seconds;
    int as_recorded;
    const float shift = shift_of(scenario, now, ego->rear_axle, &as_recorded);
    const float catch_up = nm_maxf(CATCH_UP, 4.0f * fabsf(shift) * dt);
    place before = at_time(scenario, (float)now + shift);
    const offset from = offset_of(&before, ego);
    float way = 0.0f;
    for (uint32_t k = 0; k <= AHEAD_STEPS; k++) {
        const float time = dt * (float)k, q = 1.0f + time / catch_up;
        place there = at_time(scenario, (float)(now + k) + shift / (q * q));
        const float haste = 1.0f - 2.0f * shift * dt / (catch_up * q * q * q); // recorded time over time
        way += nm_hypotf(there.pose.x_scene - before.pose.x_scene, there.pose.y_scene - before.pose.y_scene);
        before = there;
        if (!as_recorded) put_beside(&there, &from, way);
        output->points[output->point_count++] = (nm_planner_trajectory_point){time, there.pose, there.speed * haste};
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
    .plan = plan,
};
