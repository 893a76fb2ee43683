/// Last moments to brake and to steer: against closed forms, against a second implementation that was written for this
/// test (straight roads, doubles, small steps of time, boxes compared by their outlines), and in situations whose
/// answer is known.
#include "test_detect_worlds.h"

#include "base/rng.h"
#include "scenarios/avoidability.h"

#define BEGIN 5u

static world w; // large; one at a time
static const placing here = {0};

static nm_avoidability judge_with(uint32_t ego, uint32_t adversary, const nm_reference_driver *driver,
                                  const placing *where, const nm_event *event) {
    const nm_scene *scene = build_scene(&w, where);
    nm_arena *arena = nm_arena_create(0);
    nm_error error;
    nm_avoidability out;
    const nm_conflict_case conflict = {
        .scene = scene, .ego = ego, .adversaries = &adversary, .adversary_count = 1, .begin = BEGIN, .event = event};
    if (nm_avoidability_of(&conflict, driver, arena, &out, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_arena_used(arena), 0);
    nm_arena_destroy(arena);
    nm_scene_destroy(scene);
    return out;
}
static nm_avoidability judge(uint32_t ego, uint32_t adversary) {
    nm_reference_driver driver = nm_reference_driver_default();
    return judge_with(ego, adversary, &driver, &here, NULL);
}

static void expect_step(uint32_t got, uint32_t expected, uint32_t slack, const char *what) {
    if (got == NM_NONE || expected == NM_NONE) {
        if (got != expected) fail_msg("%s: %u, expected %u", what, got, expected);
        return;
    }
    uint32_t apart = got > expected ? got - expected : expected - got;
    if (apart > slack) fail_msg("%s: %u, expected %u", what, got, expected);
}

static void expect_ordered(const nm_avoidability *a) {
    if (a->last_brake_step != NM_NONE) assert_true(a->last_both_step >= a->last_brake_step);
    if (a->last_steer_step != NM_NONE) assert_true(a->last_both_step >= a->last_steer_step);
    if (a->last_both_step != NM_NONE) assert_true(a->last_both_step < a->conflict_step);
    assert_true(a->danger_step <= a->conflict_step);
}

// --- closed forms ----------------------------------------------------------------------------------------------------

/// m that the reference driver needs from when the brakes begin to act.
static double stopping_distance(double v) {
    const double b = 0.774 * 9.81, j = 12.65, dt = 1e-4;
    double a = 0, s = 0;
    while (v > 0) {
        a = fmin(a + j * dt, b);
        v -= a * dt;
        s += v * dt;
    }
    return s;
}

#define CONTACT 5.77 // s after which the ego runs into a car that stands ahead; nobody else is there

static void standing_car(map_kind map, double v) {
    start_world(&w, map, 65);
    straight_at(&w, add_car(&w), 100, 0, 0, v);
    straight_at(&w, add_car(&w), 105 + CONTACT * v, 0, 0, 0);
}

static void test_last_brake_is_the_stopping_distance(void **state) {
    (void)state;
    for (double v = 4; v <= 36; v += 4) {
        standing_car(MAP_HIGHWAY, v);
        nm_avoidability a = judge(0, 1);
        assert_int_equal(a.collided, 1);
        assert_int_equal(a.other, 1);
        assert_int_equal(a.conflict_step, (uint32_t)ceil(CONTACT / DT));
        uint32_t last = (uint32_t)floor((CONTACT - stopping_distance(v) / v) / DT);
        expect_step(a.last_brake_step, last, 1, "braking");
        // the danger shows the horizon before, and 1.15 s go by until the driver acts
        assert_true(fabs((a.conflict_step - a.danger_step) * DT - 4.0) < 0.11);
        assert_float_equal(a.margin, DT * a.last_both_step - DT * a.danger_step - 1.15, 1e-4);
        assert_int_equal(a.label, NM_AVOID_AVOIDABLE);
        expect_ordered(&a);
        // slow: braking is the later way out; fast: steering (braking grows with v^2, steering with v)
        if (v <= 4) assert_true(a.last_brake_step > a.last_steer_step);
        if (v >= 16) assert_true(a.last_brake_step < a.last_steer_step);
    }
}

/// Clear of the standing car means 1.8 m aside, which at 4.89 m/s^2 takes at least sqrt(2 * 1.8 / 4.89) s.
static void test_last_steer(void **state) {
    (void)state;
    for (double v = 16; v <= 36; v += 4) {
        standing_car(MAP_HIGHWAY, v);
        nm_avoidability a = judge(0, 1);
        double ahead = CONTACT - DT * a.last_steer_step; // s to the contact
        assert_true(ahead >= sqrt(2 * 1.8 / 4.89) - 0.11 && ahead <= 2 * sqrt(2.0 / 4.89) + 0.21);
    }
}

// --- the second implementation ---------------------------------------------------------------------------------------

typedef struct rect {
    double x, y, heading, length, width;
} rect;

static int inside(const rect *r, double x, double y) {
    double dx = x - r->x, dy = y - r->y, c = cos(r->heading), s = sin(r->heading);
    return fabs(dx * c + dy * s) <= 0.5 * r->length && fabs(dy * c - dx * s) <= 0.5 * r->width;
}
/// Points of the outline of one, every 5 cm, in the other.
static int outline_in(const rect *a, const rect *b) {
    double c = cos(a->heading), s = sin(a->heading);
    for (int side = 0; side < 4; side++) {
        double length = side & 1 ? a->width : a->length, across = side & 1 ? a->length : a->width;
        double turn = side & 2 ? -0.5 : 0.5;
        for (double at = -0.5 * length; at <= 0.5 * length; at += 0.05) {
            double u = side & 1 ? turn * across : at, v = side & 1 ? at : turn * across;
            if (inside(b, a->x + u * c - v * s, a->y + u * s + v * c)) return 1;
        }
    }
    return 0;
}
static int rects_meet(const rect *a, const rect *b) {
    double reach = 0.5 * (hypot(a->length, a->width) + hypot(b->length, b->width));
    return hypot(a->x - b->x, a->y - b->y) <= reach && (outline_in(a, b) || outline_in(b, a));
}

/// The other goes on with its last velocity after the recording.
static rect other_at(const agent *other, int step) {
    int last = w.steps - 1, known = step < last ? step : last;
    const pose *p = &other->poses[known];
    double more = (step - known) * DT * p->speed;
    return (rect){p->x + more * cos(p->heading), p->y + more * sin(p->heading), p->heading, other->length,
                  other->width};
}

/// Does the ego, who drives east along y = 0 at speed v, miss the other when it brakes and goes `side` m aside?
static int misses(const agent *ego, const agent *other, int step, int until, int brake, double side) {
    const double most = 0.774 * 9.81, lateral = 4.89, fine = 0.002;
    double v = ego->poses[step].speed, x = ego->poses[step].x, a = 0, vy, y, turn = 0;
    double half = sqrt(fabs(side) / lateral), sign = side < 0 ? -1 : 1;
    int substeps = (int)lround(DT / fine);
    for (int k = step + 1, n = 0; k <= until; k++) {
        double at = 0;
        y = side;
        vy = 0;
        for (int i = 0; i < substeps; i++, n++) {
            at = (n + 1) * fine;
            double left = side != 0 && at < 2 * half ? sqrt(most * most - lateral * lateral) : most;
            if (brake) a = fmin(a + 12.65 * fine, left);
            v = fmax(v - a * fine, 0);
            x += v * fine;
        }
        if (side != 0 && at < half) y = sign * 0.5 * lateral * at * at, vy = sign * lateral * at;
        if (side != 0 && at >= half && at < 2 * half) {
            double rest = 2 * half - at;
            y = side - sign * 0.5 * lateral * rest * rest, vy = sign * lateral * rest;
        }
        turn = v > 0.01 ? atan2(vy, v) : turn;
        const rect self = {x, y, side != 0 ? turn : 0, ego->length, ego->width}, them = other_at(other, k);
        if (rects_meet(&self, &them)) return 0;
    }
    return 1;
}

static uint32_t last_saving(int conflict, int brake, int steer) {
    int until = conflict + 30;
    for (int step = conflict - 1; step >= (int)BEGIN; step--) {
        if (!steer && misses(&w.agent[0], &w.agent[1], step, until, brake, 0)) return (uint32_t)step;
        for (int i = 1; steer && i <= 8; i++)
            if (misses(&w.agent[0], &w.agent[1], step, until, brake, 0.5 * i) ||
                misses(&w.agent[0], &w.agent[1], step, until, brake, -0.5 * i))
                return (uint32_t)step;
    }
    return NM_NONE;
}

static double draw(uint32_t i, uint32_t n, double low, double high) {
    const nm_rng_key key = {.seed = 77, .scene = i};
    return low + (high - low) * (double)nm_rng_uniform(&key, n);
}

/// Random courses that meet the ego at a random moment, on a plain without lanes.
static void test_second_implementation(void **state) {
    (void)state;
    int compared = 0, apart = 0;
    for (uint32_t i = 0; i < 40; i++) {
        double v = draw(i, 0, 12, 30), u = draw(i, 1, 2, 20), angle = draw(i, 2, 0.3, 2 * PI - 0.3);
        double meet = draw(i, 3, 3.5, 4.5);
        start_world(&w, MAP_EMPTY, 55);
        straight_at(&w, add_car(&w), 0, 0, 0, v);
        straight_at(&w, add_car(&w), v * meet - u * meet * cos(angle), -u * meet * sin(angle), angle, u);
        nm_avoidability a = judge(0, 1);
        if (!a.collided) continue; // it passed by
        int conflict = (int)a.conflict_step;
        const rect self = {v * DT * conflict, 0, 0, 5, 1.8}, them = other_at(&w.agent[1], conflict);
        assert_true(rects_meet(&self, &them));
        expect_step(a.last_brake_step, last_saving(conflict, 1, 0), 1, "braking");
        expect_step(a.last_steer_step, last_saving(conflict, 0, 1), 1, "steering");
        uint32_t both = last_saving(conflict, 1, 1);
        if (both == NM_NONE || (a.last_brake_step != NM_NONE && both < a.last_brake_step)) both = a.last_brake_step;
        if (both == NM_NONE || (a.last_steer_step != NM_NONE && both < a.last_steer_step)) both = a.last_steer_step;
        expect_step(a.last_both_step, both, 1, "both");
        expect_ordered(&a);
        apart += a.last_both_step != both;
        compared++;
    }
    assert_true(compared >= 25);
    assert_true(apart <= 2); // steps of 0.1 s against 0.002 s may differ by one now and then
}

// --- situations ------------------------------------------------------------------------------------------------------

static void test_no_conflict(void **state) {
    (void)state;
    start_world(&w, MAP_HIGHWAY, 60);
    straight_at(&w, add_car(&w), 100, 0, 0, 20);
    straight_at(&w, add_car(&w), 110, 3.5, 0, 20);
    nm_avoidability a = judge(0, 1);
    assert_int_equal(a.label, NM_AVOID_NO_CONFLICT);
    assert_true(a.conflict_step == NM_NONE && a.last_both_step == NM_NONE && a.other == NM_NONE && !a.collided);
    assert_true(isinf(a.margin) && a.margin > 0);
}

/// The ego braked in time: judged is what would have been without.
static void test_near_miss(void **state) {
    (void)state;
    double speeds[STEPS_MAX];
    start_world(&w, MAP_HIGHWAY, 100);
    profile(speeds, 100, 20, 30, -6, 0);
    straight(&w, add_car(&w), 100, 0, 0, speeds); // stops after 60 + 33 m
    straight_at(&w, add_car(&w), 200, 0, 0, 0);
    nm_avoidability a = judge(0, 1);
    assert_int_equal(a.collided, 0);
    assert_int_equal(a.label, NM_AVOID_AVOIDABLE);
    expect_step(a.conflict_step, 48, 1, "conflict"); // 95 m at 20 m/s
    expect_step(a.last_brake_step, (uint32_t)floor((95 - stopping_distance(20)) / 2), 1, "braking");
    // from the event on: as if the ego had gone on as it was at its beginning, already at 14 m/s
    nm_event event = {.kind = NM_KIND_REAR_END, .first_step = 40, .last_step = 60, .critical_step = 50};
    nm_reference_driver driver = nm_reference_driver_default();
    a = judge_with(0, 1, &driver, &here, &event);
    assert_int_equal(a.first_step, 40);
    assert_true(a.conflict_step > 48 && a.conflict_step < 56);
    // an ego that drives off in front of its follower is not in danger, though it would be if it had stayed
    start_world(&w, MAP_HIGHWAY, 100);
    profile(speeds, 100, 2, 10, 3, 20);
    straight(&w, add_car(&w), 150, 0, 0, speeds);
    profile(speeds, 100, 12, 10, 1, 20);
    straight(&w, add_car(&w), 105, 0, 0, speeds);
    assert_int_equal(judge(0, 1).label, NM_AVOID_NO_CONFLICT);
}

/// Beside the ego, 2 m ahead, and over into its lane within a second, braking: nobody could have done anything.
static void test_unavoidable(void **state) {
    (void)state;
    point path[63];
    double speeds[STEPS_MAX];
    start_world(&w, MAP_HIGHWAY, 60);
    straight_at(&w, add_car(&w), 100, 0, 0, 30);
    size_t count = change_path(path, 0, 3.5, 0, 197, 220);
    profile(speeds, 60, 30, 30, -9, 10);
    drive(&w, add_car(&w), path, count, 106, speeds);
    nm_avoidability a = judge(0, 1);
    assert_int_equal(a.collided, 1);
    assert_int_equal(a.label, NM_AVOID_UNAVOIDABLE);
    assert_true(a.danger_step >= 28); // before, both keep their lanes
    assert_true(a.margin < 0);
    expect_ordered(&a);
}

static void test_hidden_behind_a_van(void **state) {
    (void)state;
    uint32_t danger[2];
    for (int hidden = 0; hidden < 2; hidden++) {
        start_world(&w, MAP_TWO_WAY, 60);
        straight_at(&w, add_car(&w), 100, 0, 0, 12);
        straight_at(&w, add_agent(&w, NM_AGENT_PEDESTRIAN, 0.5, 0.5), 148, -6, PI / 2, 1.5);
        agent *van = add_agent(&w, NM_AGENT_TRUCK, 8, 2.4);
        straight_at(&w, van, hidden ? 140 : 200, -3.2, 0, 0);
        van->flags = NM_TRACK_STATIC;
        nm_avoidability a = judge(0, 1);
        assert_int_equal(a.collided, 1);
        danger[hidden] = a.danger_step;
        assert_int_equal(a.label, hidden ? NM_AVOID_UNAVOIDABLE : NM_AVOID_AVOIDABLE);
    }
    assert_true(danger[1] > danger[0] + 10);
}

/// No steering where there is no road beside, nor where somebody drives there.
static void test_no_room_to_steer(void **state) {
    (void)state;
    standing_car(MAP_SINGLE, 20);
    nm_avoidability single = judge(0, 1);
    assert_int_equal(single.last_steer_step, NM_NONE);
    assert_true(single.last_brake_step != NM_NONE);
    standing_car(MAP_HIGHWAY, 20); // the ego in the right lane: beside it is the middle one
    nm_avoidability open = judge(0, 1);
    assert_true(open.last_steer_step != NM_NONE);
    straight_at(&w, add_agent(&w, NM_AGENT_TRUCK, 18, 2.5), 100, 3.5, 0, 20);
    nm_avoidability walled = judge(0, 1);
    assert_int_equal(walled.last_steer_step, NM_NONE);
    assert_int_equal(walled.last_brake_step, open.last_brake_step);
    assert_int_equal(walled.last_both_step, open.last_brake_step);
}

/// Who is close behind was recorded with an ego that did not brake: it is passed over. An adversary never is.
static void test_followers(void **state) {
    (void)state;
    standing_car(MAP_SINGLE, 20);
    nm_avoidability alone = judge(0, 1);
    straight_at(&w, add_car(&w), 92, 0, 0, 20);
    nm_avoidability followed = judge(0, 1);
    assert_int_equal(followed.last_brake_step, alone.last_brake_step);
    // run into from behind: braking makes it no better
    start_world(&w, MAP_SINGLE, 60);
    straight_at(&w, add_car(&w), 200, 0, 0, 10);
    straight_at(&w, add_car(&w), 150, 0, 0, 25);
    nm_avoidability struck = judge(0, 1);
    assert_int_equal(struck.collided, 1);
    assert_int_equal(struck.last_brake_step, NM_NONE);
    assert_int_equal(struck.label, NM_AVOID_UNAVOIDABLE);
    assert_true(isinf(struck.margin) && struck.margin < 0);
}

/// Left turn across the ego's way, on curved lanes: the same in every frame.
static void test_frames(void **state) {
    (void)state;
    const placing frames[] = {{.turn = 1.1, .east = 5000, .north = -700}, {.mirror = 1}, {.delay = 0, .turn = -2.9}};
    nm_reference_driver driver = nm_reference_driver_default();
    world_left_turn(&w, 0);
    straight_at(&w, &w.agent[1], -1.7 + 10 * 9.0, 1.75, PI, 10); // meets it
    nm_avoidability plain = judge(1, 0);
    assert_int_equal(plain.collided, 1);
    for (size_t i = 0; i < 3; i++) {
        nm_avoidability a = judge_with(1, 0, &driver, &frames[i], NULL);
        assert_int_equal(a.label, plain.label);
        expect_step(a.conflict_step, plain.conflict_step, 1, "conflict");
        expect_step(a.last_brake_step, plain.last_brake_step, 1, "braking");
        expect_step(a.last_steer_step, plain.last_steer_step, 1, "steering");
    }
}

static void test_driver(void **state) {
    (void)state;
    standing_car(MAP_HIGHWAY, 24);
    nm_reference_driver driver = nm_reference_driver_default();
    nm_avoidability usual = judge_with(0, 1, &driver, &here, NULL);
    driver.delay += 0.5f;
    nm_avoidability slow = judge_with(0, 1, &driver, &here, NULL);
    assert_float_equal(usual.margin - slow.margin, 0.5, 1e-4);
    assert_int_equal(slow.last_both_step, usual.last_both_step);
    driver.delay = 5;
    assert_int_equal(judge_with(0, 1, &driver, &here, NULL).label, NM_AVOID_UNAVOIDABLE);
    driver = nm_reference_driver_default();
    driver.lateral = 0;
    nm_avoidability brakes = judge_with(0, 1, &driver, &here, NULL);
    assert_int_equal(brakes.last_steer_step, NM_NONE);
    assert_int_equal(brakes.last_both_step, usual.last_brake_step);
    driver.brake = 5;
    assert_true(judge_with(0, 1, &driver, &here, NULL).last_brake_step < usual.last_brake_step);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_brake_is_the_stopping_distance),
        cmocka_unit_test(test_last_steer),
        cmocka_unit_test(test_second_implementation),
        cmocka_unit_test(test_no_conflict),
        cmocka_unit_test(test_near_miss),
        cmocka_unit_test(test_unavoidable),
        cmocka_unit_test(test_hidden_behind_a_van),
        cmocka_unit_test(test_no_room_to_steer),
        cmocka_unit_test(test_followers),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_driver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
