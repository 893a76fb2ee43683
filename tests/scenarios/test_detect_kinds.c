// Every kind is found where it was built, with the right actor, other and time; and not just outside its thresholds.
#include "test_detect_worlds.h"

static const placing plain = {0};

static void check_case(const kind_case *c) {
    static world w;
    c->make(&w, 0);
    found f = detect(&w, &plain);
    const nm_event *event = event_of(&f, c->kind);
    if (!event) {
        print_events(&f);
        fail_msg("%s was not found", nm_kind_name(c->kind));
    }
    double time = event->critical_step * DT;
    if (agent_of(&f, event->actor) != c->actor || agent_of(&f, event->other) != c->other || time < c->from ||
        time > c->to || count_of_kind(&f, c->kind) != 1) {
        print_events(&f);
        fail_msg("%s: wrong actor, other, time (%.1f s) or number", nm_kind_name(c->kind), time);
    }
    assert_true(event->first_step <= event->critical_step && event->critical_step <= event->last_step);
    assert_true(event->last_step < f.scene->step_count);
    assert_true(event->severity > 0 && event->severity <= 1);
    release(&f);
    c->make(&w, 1);
    f = detect(&w, &plain);
    if (event_of(&f, c->kind)) {
        print_events(&f);
        fail_msg("%s was found outside its thresholds", nm_kind_name(c->kind));
    }
    release(&f);
}

static void test_every_kind(void **state) {
    (void)state;
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        assert_int_equal(kind_cases[i].kind, i);
        check_case(&kind_cases[i]);
    }
}

static void expect_none(const world *w, nm_kind kind) {
    found f = detect(w, &plain);
    if (event_of(&f, kind)) {
        print_events(&f);
        fail_msg("%s where there is none", nm_kind_name(kind));
    }
    release(&f);
}

static void expect_nothing(const world *w) {
    found f = detect(w, &plain);
    if (f.count) {
        print_events(&f);
        fail_msg("events where there are none");
    }
    release(&f);
}

// --- what must not be taken for a lane change
// -------------------------------------------------------------------------

static void test_successor_is_no_change(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 150); // over the joint of two pieces, one ahead of the other in the next lane
    straight_at(&w, add_car(&w), 215, 3.5, 0, 20);
    straight_at(&w, add_car(&w), 200, 0, 0, 20);
    expect_nothing(&w);
}

static void test_change_taken_back(void **state) {
    (void)state;
    static world w;
    point path[123];
    start_world(&w, MAP_HIGHWAY, 120); // 2.2 m over and back again
    path[0] = (point){0, 3.5};
    for (int i = 0; i <= 120; i++) path[1 + i] = (point){180 + i * 0.5, 3.5 - 1.1 * (1 - cos(2 * PI * i / 120))};
    path[122] = (point){1200, 3.5};
    cruise(&w, add_car(&w), path, 123, 115, 20);
    straight_at(&w, add_car(&w), 100, 0, 0, 20);
    expect_none(&w, NM_KIND_CUT_IN);
}

static void test_wobble_over_the_border(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 120); // the centre runs along the border with noise of a decimetre
    agent *a = add_car(&w);
    straight_at(&w, a, 115, 1.75, 0, 20);
    for (int t = 0; t < w.steps; t++) a->poses[t].y += (t * 7919 % 13 - 6) * 0.03;
    straight_at(&w, add_car(&w), 100, 0, 0, 20);
    expect_none(&w, NM_KIND_CUT_IN);
    expect_none(&w, NM_KIND_CUT_OUT);
}

// The one ahead drives on the border: it stays the leader while it wobbles over it.
static void test_leader_on_the_border(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 80);
    straight_at(&w, add_car(&w), 100, 0.9, 0, 20);
    straight_at(&w, add_car(&w), 117, 1.72, 0, 20);
    for (int t = 0; t < w.steps; t++) w.agent[1].poses[t].y += 0.12 * sin(2 * PI * t / 25);
    found f = detect(&w, &plain);
    const nm_event *event = event_of(&f, NM_KIND_TAILGATE);
    assert_non_null(event);
    assert_true(event->first_step <= 2 && event->last_step >= 78);
    release(&f);
}

// Where two lanes lie on each other the one that runs the agents' way is theirs.
static void test_lanes_on_each_other(void **state) {
    (void)state;
    static world w;
    for (int west = 0; west < 2; west++) {
        start_world(&w, MAP_SINGLE, 60);
        straight_at(&w, add_car(&w), west ? 317 : 300, 0, west ? PI : 0, 20);
        straight_at(&w, add_car(&w), west ? 300 : 317, 0, west ? PI : 0, 20);
        found f = detect(&w, &plain);
        assert_int_equal(count_of_kind(&f, NM_KIND_TAILGATE), 1);
        assert_int_equal(f.count, 1);
        release(&f);
    }
}

static void test_jump_in_position_is_no_change(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 120); // a tracker that swaps lanes within one step
    agent *a = add_car(&w);
    straight_at(&w, a, 115, 3.5, 0, 20);
    for (int t = 60; t < w.steps; t++) a->poses[t].y = 0;
    straight_at(&w, add_car(&w), 100, 0, 0, 20);
    expect_none(&w, NM_KIND_CUT_IN);
}

static void test_cut_in_behind_is_none(void **state) {
    (void)state;
    static world w;
    point path[63];
    start_world(&w, MAP_HIGHWAY, 100);
    size_t count = change_path(path, 0, 3.5, 0, 160, 230);
    cruise(&w, add_car(&w), path, count, 85, 20); // comes in behind
    straight_at(&w, add_car(&w), 100, 0, 0, 20);
    expect_none(&w, NM_KIND_CUT_IN);
}

// --- spawn frames, gaps, overlaps from the start
// ----------------------------------------------------------------------

static void test_overlap_from_the_start(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 60);
    straight_at(&w, add_car(&w), 100, 0, 0, 15);
    straight_at(&w, add_car(&w), 103, 0, 0, 12);
    expect_none(&w, NM_KIND_COLLISION);
    expect_none(&w, NM_KIND_NEAR_MISS);
}

// A car that leaves the border it was driving on did not come from the next lane.
static void test_half_a_change_is_none(void **state) {
    (void)state;
    static world w;
    point path[63];
    start_world(&w, MAP_HIGHWAY, 100);
    size_t count = change_path(path, 0, 2.0, -0.2, 180, 230);
    cruise(&w, add_car(&w), path, count, 115, 20);
    straight_at(&w, add_car(&w), 95, 0, 0, 20);
    expect_none(&w, NM_KIND_CUT_IN);
}

// The one ahead turns sharply across the line of the one behind: that is no crossing of ways.
static void test_turning_ahead_is_no_crossing(void **state) {
    (void)state;
    static world w;
    point path[23];
    start_world(&w, MAP_HIGHWAY, 120);
    size_t count = arc(path + 1, 200, 4.4, 5, -PI / 2, 0);
    path[0] = (point){100, -0.6};
    path[count + 1] = (point){205, 40};
    cruise(&w, add_car(&w), path, count + 2, 60, 6);
    straight_at(&w, add_car(&w), 148, 0.6, 0, 6);
    expect_none(&w, NM_KIND_CROSSING_CONFLICT);
    expect_none(&w, NM_KIND_NEAR_MISS);
}

static void test_along_the_middle_is_no_wrong_way(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_TWO_WAY, 60);
    straight_at(&w, add_car(&w), 400, 1.5, PI, 10);
    expect_none(&w, NM_KIND_WRONG_WAY);
}

static void test_without_evasion_no_near_miss(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 50); // the scene ends before it is decided
    straight_at(&w, add_car(&w), 100, 0, 0, 20);
    straight_at(&w, add_car(&w), 100 + 5 + 12 * 4.9 + 1.5, 0, 0, 8);
    expect_none(&w, NM_KIND_NEAR_MISS);
}

static void test_overlap_after_a_gap(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 40); // the one behind is not seen while it would have run into the other
    straight_at(&w, add_car(&w), 100, 0, 0, 15);
    straight_at(&w, add_car(&w), 115, 0, 0, 5);
    for (int t = 5; t < 15; t++) w.agent[0].poses[t].valid = 0;
    expect_none(&w, NM_KIND_COLLISION);
}

static void test_parked_overlap(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 40);
    for (int i = 0; i < 2; i++) {
        agent *a = add_car(&w);
        a->flags = NM_TRACK_STATIC;
        straight_at(&w, a, 100 + 4.0 * i, 0, 0, 0);
    }
    expect_nothing(&w);
}

static void test_spawn_frame(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 2); // one step with a predecessor is too short for anything that must last
    straight_at(&w, add_car(&w), 100, 0, 0, 20);
    straight_at(&w, add_car(&w), 107.5, 0, 0, 5);
    expect_nothing(&w);
    start_world(&w, MAP_HIGHWAY, 1);
    straight_at(&w, add_car(&w), 100, 0, 0, 20);
    straight_at(&w, add_car(&w), 107.5, 0, 0, 5);
    expect_nothing(&w);
}

static void test_contradictory_motion(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 60); // says 20 m/s, moves at 5
    agent *a = add_car(&w);
    straight_at(&w, a, 100, 0, 0, 5);
    for (int t = 0; t < w.steps; t++) a->poses[t].speed = 20;
    straight_at(&w, add_car(&w), 112, 0, 0, 5);
    expect_none(&w, NM_KIND_TAILGATE);
    expect_none(&w, NM_KIND_REAR_END);
}

// --- noise -----------------------------------------------------------------------------------------------------------

static void test_noise_is_no_braking(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 200); // speeds that jump by +-1 m/s, positions by +-0.15 m
    agent *a = add_car(&w);
    straight_at(&w, a, 100, 0, 0, 15);
    uint32_t draw = 12345;
    for (int t = 0; t < w.steps; t++) {
        draw = draw * 1664525u + 1013904223u;
        a->poses[t].speed += (double)(draw >> 16) / 32768 - 1;
        draw = draw * 1664525u + 1013904223u;
        a->poses[t].x += 0.15 * ((double)(draw >> 16) / 32768 - 1);
        draw = draw * 1664525u + 1013904223u;
        a->poses[t].y += 0.15 * ((double)(draw >> 16) / 32768 - 1);
    }
    expect_nothing(&w);
}

static void test_side_by_side_is_no_near_miss(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 150); // overtaking at 1.7 m
    straight_at(&w, add_car(&w), 50, 3.5, 0, 25);
    straight_at(&w, add_car(&w), 100, 0, 0, 15);
    expect_nothing(&w);
    start_world(&w, MAP_CURVE, 150); // the same in a bend, where straight projections cross
    point inner[121], outer[121];
    for (int i = 0; i <= 120; i++) {
        double angle = -PI / 2 + 2.4 * i / 120;
        inner[i] = (point){150 * cos(angle), 150 + 150 * sin(angle)};
        outer[i] = (point){153.5 * cos(angle), 150 + 153.5 * sin(angle)};
    }
    cruise(&w, add_car(&w), outer, 121, 10, 20);
    cruise(&w, add_car(&w), inner, 121, 40, 14);
    expect_nothing(&w);
}

static void test_passing_oncoming_is_nothing(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_TWO_WAY, 100);
    straight_at(&w, add_car(&w), 100, 0, 0, 15);
    straight_at(&w, add_car(&w), 300, 3.5, PI, 15);
    expect_nothing(&w);
}

static void test_stopping_at_red_is_nothing(void **state) {
    (void)state;
    static world w;
    double speeds[STEPS_MAX];
    start_world(&w, MAP_JUNCTION, 100);
    w.signal = NM_SIGNAL_STOP;
    profile(speeds, w.steps, 10, 20, -2, 0); // comes to rest with its front 0.5 m over the line
    straight(&w, add_car(&w), -10 - 2.5 + 0.5 - 20 - 25, -1.75, 0, speeds);
    expect_nothing(&w);
}

static void test_oncoming_in_a_bend_is_nothing(void **state) {
    (void)state;
    static world w;
    point line[49];
    start_world(&w, MAP_BEND, 110); // straight on, each would run into the other
    size_t count = bend(line, 150, 150, 0);
    cruise(&w, add_car(&w), line, count, 20, 15);
    count = bend(line, 150, 146.5, 1);
    cruise(&w, add_car(&w), line, count, 20, 15);
    expect_nothing(&w);
    bend(line, 150, 148.5, 1); // now 1.5 m over the middle: nothing but head-on
    cruise(&w, &w.agent[1], line, count, 20, 15);
    found f = detect(&w, &plain);
    assert_non_null(event_of(&f, NM_KIND_HEAD_ON));
    assert_int_equal(agent_of(&f, event_of(&f, NM_KIND_HEAD_ON)->actor), 1);
    release(&f);
    double speeds[STEPS_MAX];
    start_world(&w, MAP_HAIRPIN, 60); // so tight that they point across each other's way, and one brakes besides
    count = bend(line, 16, 16, 0);
    cruise(&w, add_car(&w), line, count, 0, 8);
    count = bend(line, 16, 12.5, 1);
    profile(speeds, w.steps, 8, 10, -4, 2);
    drive(&w, add_car(&w), line, count, 0, speeds);
    expect_none(&w, NM_KIND_NEAR_MISS);
    expect_none(&w, NM_KIND_CROSSING_CONFLICT);
}

// The second one stops at the last moment, so that no paths cross and no PET exists.
static void test_conflict_without_crossing(void **state) {
    (void)state;
    static world w;
    double speeds[STEPS_MAX];
    for (int outside = 0; outside < 2; outside++) {
        start_world(&w, MAP_JUNCTION, 90);
        straight_at(&w, add_car(&w), 1.75, -1.75 - 45, PI / 2, 10);
        double brake = outside ? 2.5 : 7.5, stop = -1.2 - 2.5; // front 0.3 m short of the first one's side
        profile(speeds, w.steps, 10, 45 - (int)(10 / brake / DT), -brake, 0);
        straight(&w, add_car(&w), stop - 10 * (4.5 - 10 / brake) - 50 / brake, -1.75, 0, speeds);
        found f = detect(&w, &plain);
        if ((event_of(&f, NM_KIND_CROSSING_CONFLICT) != NULL) == outside ||
            (event_of(&f, NM_KIND_NEAR_MISS) != NULL) == outside) {
            print_events(&f);
            fail_msg("stopping with %.1f m/s^2", brake);
        }
        release(&f);
    }
}

static void test_signal_that_nobody_obeys(void **state) {
    (void)state;
    static world w;
    world_red_light(&w, 0);
    straight_at(&w, add_car(&w), -80, -1.75, 0, 10);
    straight_at(&w, add_car(&w), -100, -1.75, 0, 10);
    expect_none(&w, NM_KIND_RED_LIGHT_RUNNER); // it is the signal that is wrong
}

static void test_right_on_red(void **state) {
    (void)state;
    static world w;
    point path[23], turn[21];
    start_world(&w, MAP_JUNCTION, 100);
    w.signal = NM_SIGNAL_STOP;
    size_t count = arc(turn, -10, -10, 8.25, PI / 2, 0);
    path[0] = (point){-60, -1.75};
    memcpy(path + 1, turn, count * sizeof *turn);
    path[count + 1] = (point){-1.75, -100};
    cruise(&w, add_car(&w), path, count + 2, 0, 6);
    expect_none(&w, NM_KIND_RED_LIGHT_RUNNER);
}

// --- what trackers make of speed -------------------------------------------------------------------------------------

static void test_stairs_are_no_braking(void **state) {
    (void)state;
    static world w;
    double speeds[STEPS_MAX];
    start_world(&w, MAP_HIGHWAY, 120); // 2.25 m/s^2 on average, recorded as a plateau of 1 s, then 6 m/s^2 for 0.6 s
    for (int t = 0; t < w.steps; t++) {
        int stair = t / 16, within = t % 16;
        speeds[t] = 16 - 3.6 * stair - (within > 10 ? 0.6 * (within - 10) : 0);
        if (speeds[t] < 0) speeds[t] = 0;
    }
    straight(&w, add_car(&w), 100, 0, 0, speeds);
    expect_none(&w, NM_KIND_HARD_BRAKE);
}

static void test_lost_and_found_is_no_braking(void **state) {
    (void)state;
    static world w;
    double speeds[STEPS_MAX];
    start_world(&w, MAP_HIGHWAY, 120); // the tracker falls behind for 2 s and catches up within one
    for (int t = 0; t < w.steps; t++) {
        speeds[t] = 14;
        if (t >= 40 && t < 60) speeds[t] = 14 - 0.45 * (t - 40);
        if (t >= 60 && t < 70) speeds[t] = 5 + 0.9 * (t - 60);
    }
    straight(&w, add_car(&w), 100, 0, 0, speeds);
    expect_none(&w, NM_KIND_HARD_BRAKE);
}

// --- collisions ------------------------------------------------------------------------------------------------------

static void test_collision_numbers(void **state) {
    (void)state;
    static world w;
    world_collision(&w, 0);
    found f = detect(&w, &plain);
    const nm_event *event = event_of(&f, NM_KIND_COLLISION);
    assert_non_null(event);
    assert_true(fabs((double)event->impact_speed - 10) < 0.5);
    assert_true(fabs((double)event->delta_v - 5) < 0.5); // plastic impact of equal masses
    assert_true(event->severity >= 0.8f);
    assert_null(event_of(&f, NM_KIND_NEAR_MISS)); // it was no miss
    assert_non_null(event_of(&f, NM_KIND_REAR_END));
    release(&f);
}

static void test_touch_within_tolerance(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 60); // sides overlap by 0.1 m: logged boxes are not that exact
    straight_at(&w, add_car(&w), 80, 1.7, 0, 20);
    straight_at(&w, add_car(&w), 100, 0, 0, 15);
    expect_none(&w, NM_KIND_COLLISION);
    nm_detect_params params = nm_detect_params_default();
    assert_int_equal(nm_detect_params_set(&params, "collision.min_penetration", 0.05, NULL), NM_OK);
    found f = detect_with(&w, &plain, &params);
    assert_non_null(event_of(&f, NM_KIND_COLLISION));
    release(&f);
}

// --- numbers of other kinds ------------------------------------------------------------------------------------------

// By the time that it comes to the lane they share, the other has braked behind the actor.
static void test_right_turn_braked_for(void **state) {
    (void)state;
    static world w;
    double speeds[STEPS_MAX];
    point path[23], turn[21];
    start_world(&w, MAP_JUNCTION, 160);
    size_t count = right_turn(turn);
    path[0] = (point){1.75, -60};
    memcpy(path + 1, turn, count * sizeof *turn);
    path[count + 1] = (point){200, -1.75};
    cruise(&w, add_car(&w), path, count + 2, 0, 6);
    agent *other = add_car(&w);
    profile(speeds, w.steps, 12, 95, -6, 5); // 5 m/s from 10.7 s on; the actor is through the turn at 10.5 s
    straight(&w, other, -126, -1.75, 0, speeds);
    found f = detect(&w, &plain);
    const nm_event *event = event_of(&f, NM_KIND_RIGHT_TURN_CONFLICT);
    assert_non_null(event);
    assert_int_equal(agent_of(&f, event->actor), 0);
    assert_int_equal(agent_of(&f, event->other), 1);
    assert_true(event->critical_step < 110);
    release(&f);
    profile(speeds, w.steps, 12, 60, -6, 5); // in good time
    straight(&w, other, -126, -1.75, 0, speeds);
    expect_none(&w, NM_KIND_RIGHT_TURN_CONFLICT);
}

static void test_numbers(void **state) {
    (void)state;
    static world w;
    world_tailgate(&w, 0);
    found f = detect(&w, &plain);
    const nm_event *event = event_of(&f, NM_KIND_TAILGATE);
    assert_true(fabs((double)event->min_thw - 0.6) < 0.02 && fabs((double)event->gap - 12) < 0.1);
    assert_true(isnan(event->pet) && isnan(event->impact_speed));
    release(&f);
    world_cut_in(&w, 0);
    f = detect(&w, &plain);
    event = event_of(&f, NM_KIND_CUT_IN);
    assert_true(fabs((double)event->gap - 10) < 0.5 && fabs((double)event->closing_speed) < 0.5);
    assert_true(event->lateral_speed > 0.3f);
    release(&f);
    world_crossing(&w, 0);
    f = detect(&w, &plain);
    event = event_of(&f, NM_KIND_CROSSING_CONFLICT);
    assert_true(fabs((double)event->pet - (1.5 - 0.68)) < 0.15); // (5 + 1.8) m at 10 m/s are spent on the ground
    release(&f);
    world_hard_brake(&w, 0);
    f = detect(&w, &plain);
    event = event_of(&f, NM_KIND_HARD_BRAKE);
    assert_true(fabs((double)event->deceleration - 6) < 0.7);
    release(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_successor_is_no_change),
        cmocka_unit_test(test_change_taken_back),
        cmocka_unit_test(test_wobble_over_the_border),
        cmocka_unit_test(test_leader_on_the_border),
        cmocka_unit_test(test_lanes_on_each_other),
        cmocka_unit_test(test_half_a_change_is_none),
        cmocka_unit_test(test_turning_ahead_is_no_crossing),
        cmocka_unit_test(test_along_the_middle_is_no_wrong_way),
        cmocka_unit_test(test_without_evasion_no_near_miss),
        cmocka_unit_test(test_overlap_after_a_gap),
        cmocka_unit_test(test_jump_in_position_is_no_change),
        cmocka_unit_test(test_cut_in_behind_is_none),
        cmocka_unit_test(test_overlap_from_the_start),
        cmocka_unit_test(test_parked_overlap),
        cmocka_unit_test(test_spawn_frame),
        cmocka_unit_test(test_contradictory_motion),
        cmocka_unit_test(test_noise_is_no_braking),
        cmocka_unit_test(test_side_by_side_is_no_near_miss),
        cmocka_unit_test(test_passing_oncoming_is_nothing),
        cmocka_unit_test(test_stopping_at_red_is_nothing),
        cmocka_unit_test(test_oncoming_in_a_bend_is_nothing),
        cmocka_unit_test(test_conflict_without_crossing),
        cmocka_unit_test(test_signal_that_nobody_obeys),
        cmocka_unit_test(test_right_on_red),
        cmocka_unit_test(test_stairs_are_no_braking),
        cmocka_unit_test(test_lost_and_found_is_no_braking),
        cmocka_unit_test(test_collision_numbers),
        cmocka_unit_test(test_touch_within_tolerance),
        cmocka_unit_test(test_right_turn_braked_for),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
