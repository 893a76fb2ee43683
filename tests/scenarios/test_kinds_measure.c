// Measuring against worlds whose values are known: by how they were built, or by brute force over their poses. The ego
// drives east along y = 0 in all of them.
#include "base/rng.h"
#include "scenarios/case.h"
#include "scenarios/kinds_measure.h"

#include "test_detect_support.h" // last: its names are short

#define BORDER 1.75 // m, of the ego's lane
#define STRIP 0.9   // m, half of the ego's width
#define FINE 0.01   // s

// --- brute force -----------------------------------------------------------------------------------------------------

static pose pose_at(const agent *a, double time) {
    const int t = (int)floor(time / DT);
    const double share = time / DT - t;
    const pose p = a->poses[t], q = a->poses[t + 1];
    return (pose){p.x + share * (q.x - p.x), p.y + share * (q.y - p.y),
                  p.heading + share * remainder(q.heading - p.heading, 2 * PI), p.speed + share * (q.speed - p.speed),
                  1};
}

// Points all around the box, 5 cm apart.
static int outline(const agent *a, double time, point *out) {
    const pose p = pose_at(a, time);
    const double c = cos(p.heading), s = sin(p.heading);
    int count = 0;
    for (int side = 0; side < 4; side++) {
        const double l = a->length / 2, w = a->width / 2;
        const double from[4][2] = {{l, w}, {l, -w}, {-l, -w}, {-l, w}};
        for (int i = 0; i < 100; i++) {
            const double u = i / 100.0, along = from[side][0] + u * (from[(side + 1) % 4][0] - from[side][0]);
            const double across = from[side][1] + u * (from[(side + 1) % 4][1] - from[side][1]);
            out[count++] = (point){p.x + along * c - across * s, p.y + along * s + across * c};
        }
    }
    return count;
}

typedef struct extent {
    double x0, x1, y0, y1;
    double first_in; // least x within the ego's strip, INFINITY = not in it
} extent;

static extent extent_at(const agent *a, double time) {
    point points[400];
    const int count = outline(a, time, points);
    extent e = {INFINITY, -INFINITY, INFINITY, -INFINITY, INFINITY};
    for (int i = 0; i < count; i++) {
        e.x0 = fmin(e.x0, points[i].x);
        e.x1 = fmax(e.x1, points[i].x);
        e.y0 = fmin(e.y0, points[i].y);
        e.y1 = fmax(e.y1, points[i].y);
        if (fabs(points[i].y) <= STRIP) e.first_in = fmin(e.first_in, points[i].x);
    }
    return e;
}

static int in_strip(const extent *e) {
    return e->y0 < STRIP && e->y1 > -STRIP;
}

// The first time from `from` on at which the box is in the ego's strip, or no longer.
static double strip_time(const world *w, const agent *a, double from, int in) {
    for (double time = from; time < (w->steps - 1) * DT; time += FINE) {
        const extent e = extent_at(a, time);
        if (in_strip(&e) == in) return time;
    }
    return NAN;
}

// The ego's front at a speed that it keeps.
static double comes_at(const agent *ego, double speed, double x) {
    return (x - ego->poses[0].x - ego->length / 2) / speed;
}

static double pet_of(const world *w, const agent *ego, double speed, const agent *a) {
    const double enters = strip_time(w, a, 0, 1), leaves = strip_time(w, a, enters, 0);
    double first = INFINITY;
    for (double time = enters; time < leaves; time += FINE) first = fmin(first, extent_at(a, time).first_in);
    return comes_at(ego, speed, first) - leaves;
}

// --- measuring -------------------------------------------------------------------------------------------------------

static const placing plain = {0};
static const placing placings[] = {{0}, {.turn = 2.1, .east = 4000, .north = -900}, {.delay = 25}, {.backwards = 1}};
static const placing mirrored = {.mirror = 1, .turn = -0.7};

typedef struct measured {
    float value[NM_KIND_MAX_PARAMS];
    uint32_t step;
} measured;

static uint32_t track_of(const nm_scene *scene, int which) {
    for (uint32_t i = 0; which >= 0 && i < scene->track_count; i++)
        if (scene->tracks[i].source_id == 100 + which) return i;
    return NM_NONE;
}

// Agent 0 is the ego, 1 the adversary, 2 the other where there is one. `around`: s, where to look, of an event that
// begins and ends at the others.
static measured measure_event(const world *w, const placing *p, nm_kind kind, double from, double around, double to) {
    const nm_scene *scene = build_scene(w, p);
    const nm_kind_roles roles = {track_of(scene, 0), track_of(scene, 1), track_of(scene, w->agents > 2 ? 2 : -1)};
    const nm_event event = {.kind = kind,
                            .first_step = (uint32_t)(from / DT + 0.5) + (uint32_t)p->delay,
                            .critical_step = (uint32_t)(around / DT + 0.5) + (uint32_t)p->delay,
                            .last_step = (uint32_t)(to / DT + 0.5) + (uint32_t)p->delay};
    measured m;
    nm_kind_measure(scene, &event, &roles, m.value, &m.step);
    m.step -= (uint32_t)p->delay;
    nm_scene_destroy(scene);
    return m;
}

static measured measure(const world *w, const placing *p, nm_kind kind, double around) {
    return measure_event(w, p, kind, around, around, around + 2);
}

static float value_of(const measured *m, nm_kind kind, nm_kind_param_id id) {
    return m->value[nm_kind_param_index(kind, id)];
}

// Wherever the world is put, and whoever comes first.
static void expect(const world *w, nm_kind kind, double around, nm_kind_param_id id, double wanted, double tolerance) {
    for (size_t i = 0; i <= sizeof placings / sizeof *placings; i++) {
        const int mirror = i == sizeof placings / sizeof *placings;
        if (mirror && kind == NM_KIND_RIGHT_TURN_CONFLICT) continue; // it would be a left turn
        const measured m = measure(w, mirror ? &mirrored : &placings[i], kind, around);
        const float is = value_of(&m, kind, id);
        if (!(fabs((double)is - wanted) <= tolerance))
            fail_msg("%s, placing %zu, parameter %d: %g, not %g", nm_kind_name(kind), i, id, (double)is, wanted);
    }
}

static void expect_nothing(const world *w, nm_kind kind, double around, nm_kind_param_id id) {
    const measured m = measure(w, &plain, kind, around);
    if (!isnan(value_of(&m, kind, id)))
        fail_msg("%s, parameter %d: %g where there is nothing to see", nm_kind_name(kind), id,
                 (double)value_of(&m, kind, id));
}

static void begin(world *w, map_kind map, int steps) {
    memset(w, 0, sizeof *w);
    w->map = map;
    w->steps = steps;
    w->signal = NM_SIGNAL_UNKNOWN;
}

static agent *add_ego(world *w, double x, double speed, int brakes, double deceleration) {
    double speeds[STEPS_MAX];
    agent *ego = add_car(w);
    profile(speeds, w->steps, speed, brakes, -deceleration, 0);
    straight(w, ego, x, 0, 0, speeds);
    return ego;
}

// --- lanes -----------------------------------------------------------------------------------------------------------

// From y = 3.5 over at 17 m/s; peak of the cosine 17 * 1.75 pi / 60 = 1.56 m/s. Brakes by 3.5 m/s^2 at the end.
static void a_cut_in_is_measured(void **state) {
    (void)state;
    world w;
    point path[63];
    double speeds[STEPS_MAX], time = 0;
    begin(&w, MAP_HIGHWAY, 120);
    const agent *ego = add_ego(&w, 100, 20, 200, 0);
    agent *a = add_car(&w);
    const size_t count = change_path(path, 0, 3.5, 0, 180, 240);
    profile(speeds, w.steps, 17, 60, -3.5, 9);
    drive(&w, a, path, count, 126, speeds);
    while (extent_at(a, time).y0 > BORDER) time += FINE;
    const double gap = extent_at(a, time).x0 - pose_at(ego, time).x - 2.5;
    expect(&w, NM_KIND_CUT_IN, 5, NM_PARAM_EGO_SPEED, 20, 1e-3);
    expect(&w, NM_KIND_CUT_IN, 5, NM_PARAM_GAP, gap, 0.1);
    expect(&w, NM_KIND_CUT_IN, 5, NM_PARAM_CLOSING, 3, 0.1);
    expect(&w, NM_KIND_CUT_IN, 5, NM_PARAM_LATERAL_SPEED, 1.56, 0.05);
    expect(&w, NM_KIND_CUT_IN, 5, NM_PARAM_BRAKING, 3.5, 0.1);
    const measured m = measure(&w, &plain, NM_KIND_CUT_IN, 5);
    assert_true(fabs(m.step * DT - time) <= 0.5 * DT + FINE);
    // wherever around it is looked for
    expect(&w, NM_KIND_CUT_IN, time - 1, NM_PARAM_GAP, gap, 0.1);
    expect(&w, NM_KIND_CUT_IN, time + 2, NM_PARAM_GAP, gap, 0.1);
}

// The ego runs into it while it comes over, faster and faster: its sideways speed ends near 15 * 1.75 pi / 60.
#define CUT_OFF_AT (15 * 1.75 * PI / 60)
static void world_cut_off(world *w) {
    point path[63];
    begin(w, MAP_HIGHWAY, 100);
    add_ego(w, 100, 25, 200, 0);
    const size_t count = change_path(path, 0, 3.5, 0, 180, 240);
    cruise(w, add_car(w), path, count, 146, 15);
}

// How fast it would have gone sideways, or braked, nobody knows.
static void what_a_contact_cuts_off_is_not_measured(void **state) {
    (void)state;
    world w;
    world_cut_off(&w);
    expect_nothing(&w, NM_KIND_CUT_IN, 3, NM_PARAM_LATERAL_SPEED);
    expect_nothing(&w, NM_KIND_CUT_IN, 3, NM_PARAM_BRAKING);
    expect(&w, NM_KIND_CUT_IN, 3, NM_PARAM_CLOSING, 10, 0.2);
}

static measured reached(const world *w, const placing *p, nm_kind kind, double around) {
    const nm_scene *scene = build_scene(w, p);
    const nm_kind_roles roles = {track_of(scene, 0), track_of(scene, 1), NM_NONE};
    const uint32_t step = (uint32_t)(around / DT + 0.5) + (uint32_t)p->delay;
    const nm_event event = {.kind = kind, .first_step = step, .critical_step = step, .last_step = step};
    measured m = {.step = 0};
    nm_kind_reached(scene, &event, &roles, m.value);
    nm_scene_destroy(scene);
    return m;
}

// It comes over gently, keeps beside the ego, and swerves into it within a third of a second: the windows of what is
// measured see the first alone, the contact cuts them off the second.
static void what_it_comes_to_in_the_last_moment_is_known_too(void **state) {
    (void)state;
    world w;
    point path[] = {{0, 4.5}, {140, 4.5}, {160, 3}, {172, 3}, {172 + 20 * 0.4, 3 - 3 * 0.4}, {400, 1.8}};
    const int sideways = nm_kind_param_index(NM_KIND_CUT_IN, NM_PARAM_LATERAL_SPEED);
    begin(&w, MAP_HIGHWAY, 100);
    add_ego(&w, 100, 20, 200, 0);
    cruise(&w, add_car(&w), path, sizeof path / sizeof *path, 100, 20);
    const measured m = measure(&w, &plain, NM_KIND_CUT_IN, 3.5);
    assert_true(m.value[sideways] > 1.2f && m.value[sideways] < 1.8f);
    assert_true(reached(&w, &plain, NM_KIND_CUT_IN, 3.5).value[sideways] > m.value[sideways] + 0.3f);
}

// In a cut-out it is what was revealed that the ego runs up to.
static void whom_the_ego_is_in_danger_of(void **state) {
    (void)state;
    const nm_kind_roles two = {4, 2, NM_NONE}, three = {4, 2, 7};
    for (int kind = 0; kind < NM_KIND_COUNT; kind++) {
        assert_int_equal(nm_kind_danger((nm_kind)kind, &two), 2);
        assert_int_equal(nm_kind_danger((nm_kind)kind, &three), kind == NM_KIND_CUT_OUT ? 7 : 2);
    }
}

// But what it had come to by then is known. Alone of that, and only with a contact.
static void what_it_had_come_to_before_is_known(void **state) {
    (void)state;
    world w;
    point path[124];
    const int sideways = nm_kind_param_index(NM_KIND_CUT_IN, NM_PARAM_LATERAL_SPEED);
    world_cut_off(&w);
    for (size_t i = 0; i < sizeof placings / sizeof *placings; i++) {
        const measured m = reached(&w, &placings[i], NM_KIND_CUT_IN, 3);
        assert_float_equal(m.value[sideways], CUT_OFF_AT, 0.06);
        for (int k = 0; k < NM_KIND_MAX_PARAMS; k++) assert_true(k == sideways || isnan(m.value[k]));
    }
    straight_at(&w, &w.agent[0], 60, 0, 0, 15); // stays behind
    const measured m = reached(&w, &plain, NM_KIND_CUT_IN, 3);
    for (int k = 0; k < NM_KIND_MAX_PARAMS; k++) assert_true(isnan(m.value[k]));
    w.steps = 8; // too short for a sideways speed
    assert_true(isnan(reached(&w, &plain, NM_KIND_CUT_IN, 0.4).value[sideways]));
    // beside the ego: 0.85 m of it are over the border when they touch
    begin(&w, MAP_HIGHWAY, 120);
    add_ego(&w, 100, 20, 200, 0);
    for (int i = 0; i <= 122; i++) path[i + 1] = (point){170 + i, 3.5 - 1 + cos(2 * PI * i / 122)};
    path[0] = (point){0, 3.5};
    cruise(&w, add_car(&w), path, 124, 104, 20);
    const int overhang = nm_kind_param_index(NM_KIND_LANE_DRIFT, NM_PARAM_OVERHANG);
    const float over = reached(&w, &plain, NM_KIND_LANE_DRIFT, 5).value[overhang];
    assert_true(over > 0.84f && over < 1.1f);
    expect_nothing(&w, NM_KIND_LANE_DRIFT, 5, NM_PARAM_OVERHANG);
}

// So a case that a contact ends may have had too little time, but not come to too much.
static void what_was_cut_off_may_not_exceed_its_range(void **state) {
    (void)state;
    world w;
    point path[64];
    double speeds[STEPS_MAX];
    begin(&w, MAP_HIGHWAY, 100);
    for (int i = 0; i < w.steps; i++) speeds[i] = i < 46 ? 25 : 14; // stays behind it after the contact
    straight(&w, add_car(&w), 100, 0, 0, speeds);
    // ever more across: y = 1 when they touch, by 0.148 of 15 m/s then
    for (int i = 0; i < 62; i++) path[i + 1] = (point){180 + i, i < 40 ? 3.5 * (1 - i * i / 1600.0) : 0};
    path[0] = (point){0, 3.5};
    path[63] = (point){600, 0};
    cruise(&w, add_car(&w), path, 64, 148.5, 15);
    const nm_scene *scene = build_scene(&w, &plain);
    nm_case_request request = nm_case_request_default();
    const int at = nm_kind_param_index(NM_KIND_CUT_IN, NM_PARAM_LATERAL_SPEED);
    const nm_kind_range ranges[] = {{2.8f, 3}, {0.6f, 2.3f}, {0.6f, 1.6f}};
    nm_arena *arena = nm_arena_create(0);
    nm_error error;
    assert_int_equal(nm_kind_ranges_default(NM_KIND_CUT_IN, NM_SEVERITY_COLLISION, &request.ranges, &error), NM_OK);
    for (int i = 0; i < NM_KIND_MAX_PARAMS; i++) request.ranges.range[i] = (nm_kind_range){-1e9f, 1e9f};
    for (int i = 0; i < 3; i++) {
        nm_case made = {.ego = track_of(scene, 0), .adversary = track_of(scene, 1), .other = NM_NONE};
        nm_scene_criticality criticality;
        request.ranges.range[at] = ranges[i];
        assert_int_equal(nm_case_confirm(scene, &request, arena, &criticality, &made, &error), NM_OK);
        assert_true(isnan(made.achieved[at]));
        assert_int_equal(made.reject, i < 2 ? NM_REJECT_NONE : NM_REJECT_PARAMETERS);
    }
    nm_arena_destroy(arena);
    nm_scene_destroy(scene);
}

// Begins to leave at x = 200; the box is out of the lane when all of it is beyond y = 1.75.
static void a_cut_out_is_measured(void **state) {
    (void)state;
    world w;
    point path[63];
    double begins = 0, left = 0;
    begin(&w, MAP_HIGHWAY, 100);
    const agent *ego = add_ego(&w, 100, 20, 200, 0);
    const size_t count = change_path(path, 0, 0, 3.5, 200, 260);
    agent *a = add_car(&w), *slow = add_car(&w);
    cruise(&w, a, path, count, 125, 20);
    straight_at(&w, slow, 230, 0, 0, 6);
    while (pose_at(a, begins).y < 0.1) begins += FINE;
    while (extent_at(a, left).y0 < BORDER) left += FINE;
    const double headway = (extent_at(a, begins).x0 - pose_at(ego, begins).x - 2.5) / 20;
    expect(&w, NM_KIND_CUT_OUT, 6.5, NM_PARAM_HEADWAY, headway, 0.02);
    expect(&w, NM_KIND_CUT_OUT, 6.5, NM_PARAM_REVEAL, extent_at(slow, left).x0 - extent_at(a, left).x1, 0.15);
    expect(&w, NM_KIND_CUT_OUT, 6.5, NM_PARAM_REVEALED_SPEED, 6, 1e-3);
    expect(&w, NM_KIND_CUT_OUT, 6.5, NM_PARAM_LATERAL_SPEED, 20 * 1.75 * PI / 60, 0.06);
}

// Out of the lane beside to y = 1.9 and back: 0.75 m of the box over the border, and some more as it is turned.
static void a_lane_drift_is_measured(void **state) {
    (void)state;
    world w;
    point path[124];
    begin(&w, MAP_HIGHWAY, 120);
    add_ego(&w, 100, 20, 200, 0);
    agent *a = add_car(&w);
    for (int i = 0; i <= 122; i++) path[i + 1] = (point){170 + i, 3.5 - 0.8 * (1 - cos(2 * PI * i / 122))};
    path[0] = (point){0, 3.5};
    cruise(&w, a, path, 124, 104, 20);
    double first = NAN, last = NAN, most = -INFINITY;
    for (double time = 0; time < 11; time += FINE) {
        const double over = BORDER - extent_at(a, time).y0;
        if (over > 0 && isnan(first)) first = time;
        if (over > 0) last = time;
        most = fmax(most, over);
    }
    expect(&w, NM_KIND_LANE_DRIFT, 6, NM_PARAM_OVERHANG, most, 0.05);
    expect(&w, NM_KIND_LANE_DRIFT, 6, NM_PARAM_DURATION, last - first, 0.05);
    expect(&w, NM_KIND_LANE_DRIFT, 5, NM_PARAM_DURATION, last - first, 0.05);
}

// --- along one lane --------------------------------------------------------------------------------------------------

// Braking by 6 m/s^2 from 3 s on, at a gap of 12 m; the ego brakes 0.6 s later.
static void hard_braking_is_measured(void **state) {
    (void)state;
    const nm_kind kinds[] = {NM_KIND_HARD_BRAKE, NM_KIND_CHAIN_BRAKE};
    world w;
    double speeds[STEPS_MAX];
    begin(&w, MAP_HIGHWAY, 80);
    add_ego(&w, 100, 15, 36, 5);
    profile(speeds, w.steps, 15, 30, -6, 0);
    straight(&w, add_car(&w), 117, 0, 0, speeds);
    for (int i = 0; i < 2; i++) {
        expect(&w, kinds[i], 4, NM_PARAM_HEADWAY, 12 / 15.0, 0.02);
        expect(&w, kinds[i], 4, NM_PARAM_DECELERATION, 6, 0.1);
    }
    expect(&w, NM_KIND_HARD_BRAKE, 4, NM_PARAM_REACTION, 0.6, 0.06);
}

// An ego that keeps its velocity to the end shows no reaction, nor does one that was braking already.
static void a_reaction_shows_or_is_not_measured(void **state) {
    (void)state;
    world w;
    double speeds[STEPS_MAX];
    for (int which = 0; which < 2; which++) {
        begin(&w, MAP_HIGHWAY, 80);
        add_ego(&w, 100, 15, which ? 20 : 200, which ? 1.5 : 0);
        profile(speeds, w.steps, 15, 30, -6, 8);
        straight(&w, add_car(&w), 160, 0, 0, speeds);
        expect_nothing(&w, NM_KIND_HARD_BRAKE, 4, NM_PARAM_REACTION);
    }
}

static void a_rear_end_conflict_is_measured(void **state) {
    (void)state;
    world w;
    double speeds[STEPS_MAX];
    begin(&w, MAP_HIGHWAY, 80);
    add_ego(&w, 160, 10, 200, 0);
    profile(speeds, w.steps, 18, 40, -8, 8);
    straight(&w, add_car(&w), 160 - 5 - 7 - 8 * 4, 0, 0, speeds); // 7 m left when it brakes
    expect(&w, NM_KIND_REAR_END, 5, NM_PARAM_CLOSING, 8, 0.5);
    expect(&w, NM_KIND_REAR_END, 5, NM_PARAM_BRAKE_TTC, 7.0 / 8, 0.06);
    // without braking it is the contact that counts
    straight_at(&w, &w.agent[1], 160 - 5 - 7 - 8 * 4, 0, 0, 18);
    expect(&w, NM_KIND_REAR_END, 4, NM_PARAM_BRAKE_TTC, 0, 0.06);
}

static void a_standing_one_is_noticed_when_the_ego_brakes(void **state) {
    (void)state;
    const nm_kind kinds[] = {NM_KIND_LEAD_STOPPED, NM_KIND_BLOCKED_LANE};
    world w;
    begin(&w, MAP_HIGHWAY, 80);
    add_ego(&w, 100, 12, 30, 6);
    straight_at(&w, add_car(&w), 100 + 12 * 3 + 5 + 18, 0, 0, 0); // 18 m left when it brakes
    for (int i = 0; i < 2; i++) expect(&w, kinds[i], 4, NM_PARAM_WARNING, 1.5, 0.06);
    add_ego(&w, 100, 12, 200, 0);
    w.agent[0] = w.agent[2];
    w.agents = 2;
    expect_nothing(&w, NM_KIND_LEAD_STOPPED, 4, NM_PARAM_WARNING);
}

static void a_wrong_way_driver_is_measured(void **state) {
    (void)state;
    world w;
    double speeds[STEPS_MAX];
    begin(&w, MAP_HIGHWAY, 60);
    add_ego(&w, 100, 15, 40, 5);
    profile(speeds, w.steps, 10, 30, -7, 0);
    straight(&w, add_car(&w), 100 + 5 + 50 + 25 * 3, 0, PI, speeds);
    expect(&w, NM_KIND_WRONG_WAY, 4, NM_PARAM_SPEED, 10, 0.5);
    expect(&w, NM_KIND_WRONG_WAY, 4, NM_PARAM_BRAKE_TTC, 2, 0.06);
}

// It is in the wrong lane, and as critical as it gets, long before it brakes.
static void a_wrong_way_that_lasts_is_measured_where_it_ends(void **state) {
    (void)state;
    world w;
    double speeds[STEPS_MAX];
    begin(&w, MAP_HIGHWAY, 100);
    add_ego(&w, 100, 15, 80, 5);
    profile(speeds, w.steps, 10, 70, -7, 0);
    straight(&w, add_car(&w), 100 + 5 + 50 + 25 * 7, 0, PI, speeds);
    const measured all = measure_event(&w, &plain, NM_KIND_WRONG_WAY, 0.1, 0.1, 8);
    assert_float_equal(value_of(&all, NM_KIND_WRONG_WAY, NM_PARAM_SPEED), 10, 0.5);
    assert_float_equal(value_of(&all, NM_KIND_WRONG_WAY, NM_PARAM_BRAKE_TTC), 2, 0.06);
    assert_in_range(all.step, 69, 73);
    // over before: that it brakes then is another matter
    const measured before = measure_event(&w, &plain, NM_KIND_WRONG_WAY, 0.1, 0.1, 1.5);
    assert_true(isnan(value_of(&before, NM_KIND_WRONG_WAY, NM_PARAM_BRAKE_TTC)));
}

// Strays from y = 3.5 to 1.5 on a cosine and back; begins to go back in earnest once it is 0.1 m back.
static void one_who_strays_towards_the_ego_is_measured(void **state) {
    (void)state;
    world w;
    point path[103];
    double time = 0;
    begin(&w, MAP_TWO_WAY, 90);
    const agent *ego = add_ego(&w, 100, 12, 200, 0);
    agent *a = add_car(&w);
    path[0] = (point){500, 3.5};
    for (int i = 0; i <= 100; i++) path[i + 1] = (point){300 - 0.8 * i, 3.5 - 1.0 * (1 - cos(2 * PI * i / 100))};
    path[102] = (point){0, 3.5};
    cruise(&w, a, path, 103, 150, 14);
    while (pose_at(a, time).x > 260) time += FINE;
    while (pose_at(a, time).y < 1.6) time += FINE;
    const double gap = extent_at(a, time).x0 - pose_at(ego, time).x - 2.5;
    expect(&w, NM_KIND_HEAD_ON, 6.5, NM_PARAM_SPEED, 14, 0.1);
    expect(&w, NM_KIND_HEAD_ON, 6.5, NM_PARAM_BRAKE_TTC, gap / 26, 0.04);
}

static void a_tailgater_is_measured(void **state) {
    (void)state;
    world w;
    begin(&w, MAP_HIGHWAY, 60);
    add_ego(&w, 140, 20, 200, 0);
    straight_at(&w, add_car(&w), 140 - 5 - 9, 0, 0, 20);
    expect(&w, NM_KIND_TAILGATE, 3, NM_PARAM_HEADWAY, 9 / 20.0, 0.01);
}

static void one_who_pulls_out_is_measured(void **state) {
    (void)state;
    world w;
    point path[63];
    double speeds[STEPS_MAX];
    begin(&w, MAP_TWO_WAY, 100);
    const agent *ego = add_ego(&w, 100, 10, 200, 0);
    agent *a = add_car(&w);
    const size_t count = change_path(path, 0, -2.6, 0, 160, 172);
    profile(speeds, w.steps, 0, 20, 2, 6);
    drive(&w, a, path, count, 159, speeds);
    const double time = strip_time(&w, a, 0, 1);
    const double gap = extent_at(a, time).x0 - pose_at(ego, time).x - 2.5;
    expect(&w, NM_KIND_PARKED_PULL_OUT, time + 0.5, NM_PARAM_HEADWAY, gap / 10, 0.03);
}

// --- crossing ways ---------------------------------------------------------------------------------------------------

// Walks north over y = 0 at x = 200. What the ego does about it does not change what was predicted.
static void a_crossing_is_measured_as_if_the_ego_had_not_reacted(void **state) {
    (void)state;
    const double speeds[] = {1.4, 2.0}, starts[] = {-11, -14};
    for (int i = 0; i < 2; i++)
        for (int brakes = 0; brakes < 2; brakes++) {
            world w;
            begin(&w, MAP_HIGHWAY, 150);
            const agent *ego = add_ego(&w, 95, 11, brakes ? 70 : 200, brakes ? 3 : 0);
            agent *a = add_agent(&w, NM_AGENT_PEDESTRIAN, 0.5, 0.5);
            straight_at(&w, a, 200, starts[i], PI / 2, speeds[i]);
            const double pet = pet_of(&w, ego, 11, a);
            assert_true(pet > 0.3 && pet < 3);
            expect(&w, NM_KIND_PEDESTRIAN_CROSSING, 7.5, NM_PARAM_PREDICTED_PET, pet, brakes ? 0.1 : 0.03);
            expect(&w, NM_KIND_PEDESTRIAN_CROSSING, 7.5, NM_PARAM_SPEED, speeds[i], 1e-3);
        }
}

// The ego hits it on the way: it is thought to go on.
static void a_crossing_that_ends_in_a_contact_is_measured(void **state) {
    (void)state;
    world w, on;
    begin(&w, MAP_HIGHWAY, 130);
    const agent *ego = add_ego(&w, 100, 12, 200, 0);
    agent *a = add_agent(&w, NM_AGENT_CYCLIST, 1.8, 0.6);
    straight_at(&w, a, 200, -24.5, PI / 2, 3);
    const double pet = pet_of(&w, ego, 12, a);
    assert_true(pet < -0.2 && pet > -1.5);
    on = w;
    for (int t = 82; t < w.steps; t++) w.agent[1].poses[t] = w.agent[1].poses[82]; // it lies there
    expect(&on, NM_KIND_CYCLIST_CROSSING, 8, NM_PARAM_PREDICTED_PET, pet, 0.05);
    expect(&w, NM_KIND_CYCLIST_CROSSING, 8, NM_PARAM_PREDICTED_PET, pet, 0.05);
}

static void cars_that_cross_are_measured(void **state) {
    (void)state;
    const nm_kind kinds[] = {NM_KIND_CROSSING_CONFLICT, NM_KIND_RED_LIGHT_RUNNER, NM_KIND_UNPROTECTED_LEFT_TURN};
    world w;
    begin(&w, MAP_HIGHWAY, 120);
    const agent *ego = add_ego(&w, 100, 12, 200, 0);
    agent *a = add_car(&w);
    straight_at(&w, a, 250, -83, 2.1, 12);
    const double pet = pet_of(&w, ego, 12, a);
    assert_true(fabs(pet) < 2);
    for (int i = 0; i < 3; i++) {
        expect(&w, kinds[i], 7.5, NM_PARAM_PREDICTED_PET, pet, 0.06);
        expect(&w, kinds[i], 7.5, NM_PARAM_SPEED, 12, 1e-3);
    }
}

// A half circle from beside the right edge, at 4 m/s.
static void a_u_turn_is_measured(void **state) {
    (void)state;
    world w;
    point path[64];
    begin(&w, MAP_HIGHWAY, 120);
    const agent *ego = add_ego(&w, 100, 12, 200, 0);
    agent *a = add_car(&w);
    path[0] = (point){150, -2.4};
    for (int i = 0; i <= 60; i++)
        path[i + 1] = (point){185 + 5.4 * sin(PI * i / 60), -2.4 + 5.4 * (1 - cos(PI * i / 60))};
    path[62] = (point){0, 8.4};
    cruise(&w, a, path, 63, 20, 4);
    const double pet = pet_of(&w, ego, 12, a);
    assert_true(fabs(pet) < 3);
    expect(&w, NM_KIND_SUDDEN_U_TURN, 6.5, NM_PARAM_PREDICTED_PET, pet, 0.08);
    expect(&w, NM_KIND_SUDDEN_U_TURN, 6.5, NM_PARAM_SPEED, 4, 1e-3);
}

// From the south into the eastbound lane, whose right border is 1.75 m beside its middle. Here the ego is on y = -1.75.
static void a_right_turn_is_measured(void **state) {
    (void)state;
    world w;
    point turn[21], path[23];
    double time = 0;
    begin(&w, MAP_JUNCTION, 150);
    const agent *ego = add_car(&w);
    straight_at(&w, &w.agent[0], -60, -1.75, 0, 11);
    agent *a = add_car(&w);
    const size_t count = right_turn(turn);
    path[0] = (point){1.75, -100};
    memcpy(path + 1, turn, count * sizeof *turn);
    path[22] = (point){150, -1.75};
    cruise(&w, a, path, 23, 68, 4.5);
    while (pose_at(a, time).heading > 0.6 || extent_at(a, time).y0 < -3.5) time += FINE;
    const double pet = comes_at(ego, 11, extent_at(a, time).x0) - time;
    assert_true(fabs(pet) < 3);
    expect(&w, NM_KIND_RIGHT_TURN_CONFLICT, time, NM_PARAM_PREDICTED_PET, pet, 0.1);
    expect(&w, NM_KIND_RIGHT_TURN_CONFLICT, time, NM_PARAM_SPEED, 4.5, 1e-3);
    // found where the ego is nearest, long after the turn: it brakes and follows
    double speeds[STEPS_MAX];
    profile(speeds, w.steps, 11, (int)(time / DT) - 40, -5, 3);
    straight(&w, &w.agent[0], -60, -1.75, 0, speeds);
    const measured late = measure_event(&w, &plain, NM_KIND_RIGHT_TURN_CONFLICT, time - 1, time + 5, time + 5);
    assert_float_equal(value_of(&late, NM_KIND_RIGHT_TURN_CONFLICT, NM_PARAM_PREDICTED_PET), pet, 0.15);
}

// --- noise, limits ---------------------------------------------------------------------------------------------------

static double shake(uint64_t seed, int which, int step, int axis) {
    const nm_rng_key key = {.seed = seed, .agent = (uint32_t)which, .step = (uint32_t)step, .purpose = NM_PURPOSE_KIND};
    double sum = -3;
    for (uint32_t i = 0; i < 6; i++) sum += (double)nm_rng_uniform(&key, 8 * (uint32_t)axis + i);
    return sum / sqrt(0.5); // variance 1
}

// Positions off by 2 cm: still within what is promised.
static void noise_of_centimetres_stays_within_the_tolerances(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        world w;
        point path[63];
        double speeds[STEPS_MAX];
        begin(&w, MAP_HIGHWAY, 120);
        add_ego(&w, 100, 20, 75, 4);
        const size_t count = change_path(path, 0, 3.5, 0, 180, 240);
        profile(speeds, w.steps, 17, 60, -3.5, 9);
        drive(&w, add_car(&w), path, count, 126, speeds);
        const measured before = measure(&w, &plain, NM_KIND_CUT_IN, 5);
        for (int i = 0; i < 2; i++)
            for (int t = 0; t < w.steps; t++) {
                w.agent[i].poses[t].x += 0.02 * shake(seed, i, t, 0);
                w.agent[i].poses[t].y += 0.02 * shake(seed, i, t, 1);
            }
        const measured now = measure(&w, &plain, NM_KIND_CUT_IN, 5);
        const nm_kind_spec *spec = nm_kind_spec_of(NM_KIND_CUT_IN);
        for (size_t k = 0; k < spec->param_count; k++) {
            if (spec->params[k].id == NM_PARAM_MIN_TTC) continue;
            const float off = fabsf(now.value[k] - before.value[k]);
            if (!(off <= nm_kind_tolerance(spec->params[k].id)))
                fail_msg("%s is off by %g", spec->params[k].name, (double)off);
        }
    }
}

// Who is not there at the moment, at the ends of the scene, alone on no map: no numbers, no crash.
static void what_is_not_there_is_not_measured(void **state) {
    (void)state;
    for (int kind = 0; kind < NM_KIND_COUNT; kind++) {
        if (!nm_kind_spec_of((nm_kind)kind)->generable) continue;
        for (int which = 0; which < 3; which++) {
            world w;
            begin(&w, which == 2 ? MAP_EMPTY : MAP_HIGHWAY, 40);
            add_ego(&w, 100, 10, 200, 0);
            straight_at(&w, add_car(&w), 130, 3.5, 0, 10);
            straight_at(&w, add_car(&w), 160, 3.5, 0, 10);
            for (int t = 15; t < 25 && which == 1; t++) w.agent[1].poses[t].valid = 0;
            const double around[] = {0, 2, 3.9};
            for (int i = 0; i < 3; i++) {
                const measured m = measure(&w, &plain, (nm_kind)kind, around[i]);
                const nm_kind_spec *spec = nm_kind_spec_of((nm_kind)kind);
                assert_true(m.step < 40);
                for (size_t k = 0; k < NM_KIND_MAX_PARAMS; k++) {
                    const int speed = k < spec->param_count && spec->params[k].id == NM_PARAM_EGO_SPEED;
                    if (speed) assert_float_equal(m.value[k], 10, 1e-4);
                    if (k >= spec->param_count || (which == 1 && i == 1 && !speed)) assert_true(isnan(m.value[k]));
                }
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_in_is_measured),
        cmocka_unit_test(what_a_contact_cuts_off_is_not_measured),
        cmocka_unit_test(what_it_had_come_to_before_is_known),
        cmocka_unit_test(whom_the_ego_is_in_danger_of),
        cmocka_unit_test(what_it_comes_to_in_the_last_moment_is_known_too),
        cmocka_unit_test(what_was_cut_off_may_not_exceed_its_range),
        cmocka_unit_test(a_cut_out_is_measured),
        cmocka_unit_test(a_lane_drift_is_measured),
        cmocka_unit_test(hard_braking_is_measured),
        cmocka_unit_test(a_reaction_shows_or_is_not_measured),
        cmocka_unit_test(a_rear_end_conflict_is_measured),
        cmocka_unit_test(a_standing_one_is_noticed_when_the_ego_brakes),
        cmocka_unit_test(a_wrong_way_driver_is_measured),
        cmocka_unit_test(a_wrong_way_that_lasts_is_measured_where_it_ends),
        cmocka_unit_test(one_who_strays_towards_the_ego_is_measured),
        cmocka_unit_test(a_tailgater_is_measured),
        cmocka_unit_test(one_who_pulls_out_is_measured),
        cmocka_unit_test(a_crossing_is_measured_as_if_the_ego_had_not_reacted),
        cmocka_unit_test(a_crossing_that_ends_in_a_contact_is_measured),
        cmocka_unit_test(cars_that_cross_are_measured),
        cmocka_unit_test(a_u_turn_is_measured),
        cmocka_unit_test(a_right_turn_is_measured),
        cmocka_unit_test(noise_of_centimetres_stays_within_the_tolerances),
        cmocka_unit_test(what_is_not_there_is_not_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
