// The kinds about chains, standing and turning road users: what must not be taken for them, and other ways in which
// they happen.
#include "test_detect_worlds.h"

static const placing plain = {0};

static void expect(const world *w, nm_kind kind, int wanted, const char *what) {
    found f = detect(w, &plain);
    if ((int)count_of_kind(&f, kind) != wanted) {
        print_events(&f);
        fail_msg("%s: %zu times %s, not %d", what, count_of_kind(&f, kind), nm_kind_name(kind), wanted);
    }
    release(&f);
}

static void expect_with(const world *w, nm_kind kind, int wanted, const char *name, double value) {
    nm_detect_params params = nm_detect_params_default();
    assert_int_equal(nm_detect_params_set(&params, name, value, NULL), NM_OK);
    found f = detect_with(w, &plain, &params);
    if ((int)count_of_kind(&f, kind) != wanted) {
        print_events(&f);
        fail_msg("%s = %g: %zu times %s, not %d", name, value, count_of_kind(&f, kind), nm_kind_name(kind), wanted);
    }
    release(&f);
}

// --- chain_brake -----------------------------------------------------------------------------------------------------

// `cars` of them 21 m apart at 15 m/s, each braking with 6 m/s^2 for 1.8 s, `delay` steps after the one ahead.
static void convoy(world *w, int cars, int delay) {
    double speeds[STEPS_MAX];
    start_world(w, MAP_HIGHWAY, 150);
    for (int i = 0; i < cars; i++) {
        profile(speeds, w->steps, 15, 30 + delay * i, -6, 4);
        straight(w, add_car(w), 250 - 21 * i, 0, 0, speeds);
    }
}

static void test_chain(void **state) {
    (void)state;
    static world w;
    convoy(&w, 2, 8);
    expect(&w, NM_KIND_CHAIN_BRAKE, 0, "one follower");
    expect_with(&w, NM_KIND_CHAIN_BRAKE, 1, "chain_brake.min_followers", 1);
    convoy(&w, 5, 8);
    expect(&w, NM_KIND_CHAIN_BRAKE, 1, "four followers are one chain");
    expect_with(&w, NM_KIND_CHAIN_BRAKE, 1, "chain_brake.min_followers", 4);
    expect_with(&w, NM_KIND_CHAIN_BRAKE, 0, "chain_brake.min_followers", 5);
    expect_with(&w, NM_KIND_CHAIN_BRAKE, 0, "chain_brake.max_delay", 0.5);
    found f = detect(&w, &plain);
    const nm_event *event = event_of(&f, NM_KIND_CHAIN_BRAKE);
    assert_int_equal(agent_of(&f, event->actor), 0); // the first of all, whose follower is the other
    assert_int_equal(agent_of(&f, event->other), 1);
    assert_true(event->first_step >= 28 && event->first_step <= 33);
    assert_true(event->last_step >= 76 && event->last_step <= 84); // agent 4 is done at 8 s
    release(&f);
}

static void test_no_chain(void **state) {
    (void)state;
    static world w;
    convoy(&w, 4, 0);
    expect(&w, NM_KIND_CHAIN_BRAKE, 0, "all at once");
    convoy(&w, 4, -8);
    expect(&w, NM_KIND_CHAIN_BRAKE, 0, "the last one first");
    convoy(&w, 3, 8);
    for (int t = 0; t < w.steps; t++) w.agent[1].poses[t].y = 3.5;
    expect(&w, NM_KIND_CHAIN_BRAKE, 0, "the one between is in the next lane");
    convoy(&w, 3, 8); // the first one brakes softly, and so does not begin it
    double speeds[STEPS_MAX];
    profile(speeds, w.steps, 15, 30, -2, 4);
    straight(&w, &w.agent[0], 250, 0, 0, speeds);
    expect(&w, NM_KIND_CHAIN_BRAKE, 0, "two hard brakings behind a soft one");
}

// --- parked_pull_out -------------------------------------------------------------------------------------------------

// Agent 0 at `y` until 3 s, then over to y = 0 and on at up to 6 m/s; agent 1 behind at 12 m/s, 22 m away then, and
// braking.
static void pull_out(world *w, map_kind map, double y) {
    point path[63];
    double speeds[STEPS_MAX];
    start_world(w, map, 120);
    size_t count = change_path(path, 190, y, 0, 201, 212);
    profile(speeds, w->steps, 0, 30, 2, 6);
    drive(w, add_car(w), path, count, 10, speeds);
    profile(speeds, w->steps, 12, 50, -4, 5);
    straight(w, add_car(w), 204 - 5 - 12 * 5.0 - 22, 0, 0, speeds);
}

static void test_pull_out(void **state) {
    (void)state;
    static world w;
    pull_out(&w, MAP_TWO_WAY, -1.6);
    expect(&w, NM_KIND_PARKED_PULL_OUT, 1, "from the edge of the lane");
    pull_out(&w, MAP_TWO_WAY, -5);
    expect(&w, NM_KIND_PARKED_PULL_OUT, 1, "from beside the road");
    double speeds[STEPS_MAX]; // the other does not brake, but would have to
    pull_out(&w, MAP_TWO_WAY, -2.9);
    profile(speeds, w.steps, 12, 0, 0, 12);
    for (int t = 65; t < w.steps; t++) w.agent[1].poses[t].valid = 0;
    straight(&w, &w.agent[1], 204 - 5 - 12 * 5.0 - 22, 0, 0, speeds);
    expect(&w, NM_KIND_PARKED_PULL_OUT, 1, "who does not brake");
}

static void test_no_pull_out(void **state) {
    (void)state;
    static world w;
    double speeds[STEPS_MAX];
    pull_out(&w, MAP_TWO_WAY, -0.4);
    expect(&w, NM_KIND_PARKED_PULL_OUT, 0, "moves off in the lane");
    pull_out(&w, MAP_HIGHWAY, 3.5);
    expect(&w, NM_KIND_PARKED_PULL_OUT, 0, "out of a queue in the next lane");
    pull_out(&w, MAP_HIGHWAY, 2.2);
    expect(&w, NM_KIND_PARKED_PULL_OUT, 0, "out of the edge of the next lane");
    pull_out(&w, MAP_TWO_WAY, -2.9);
    straight_at(&w, &w.agent[0], 200, -2.9, 0, 0);
    expect(&w, NM_KIND_PARKED_PULL_OUT, 0, "stays parked");
    pull_out(&w, MAP_TWO_WAY, -2.9);
    profile(speeds, w.steps, 0, 30, 2, 6);
    straight(&w, &w.agent[0], 200, -2.9, 0, speeds);
    expect(&w, NM_KIND_PARKED_PULL_OUT, 0, "drives on beside the lane");
    pull_out(&w, MAP_TWO_WAY, -2.9); // so slow that nobody has to brake
    straight_at(&w, &w.agent[1], 170, 0, 0, 3.5);
    expect(&w, NM_KIND_PARKED_PULL_OUT, 0, "nobody has to brake");
    pull_out(&w, MAP_TWO_WAY, -2.9);
    straight_at(&w, &w.agent[1], 320, 3.5, PI, 12);
    expect(&w, NM_KIND_PARKED_PULL_OUT, 0, "only oncoming traffic");
    pull_out(&w, MAP_TWO_WAY, -2.9); // it never stood: it rolled beside the lane
    profile(speeds, w.steps, 1.5, 30, 2, 6);
    point path[63];
    size_t count = change_path(path, 180, -2.9, 0, 201, 212);
    drive(&w, &w.agent[0], path, count, 15, speeds);
    expect(&w, NM_KIND_PARKED_PULL_OUT, 0, "rolls in");
}

// --- occluded_pedestrian ---------------------------------------------------------------------------------------------

static void test_occluded(void **state) {
    (void)state;
    static world w;
    world_occluded(&w, 0);
    w.agent[2].type = NM_AGENT_OBSTACLE; // anything may hide
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 1, "behind a thing");
    w.agent[2].height = 2.5;
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 1, "behind a high thing");
    world_occluded(&w, 0); // two cars hide him together, neither alone
    w.agent[2].length = 2.8;
    for (int t = 0; t < w.steps; t++) w.agent[2].poses[t].x = 199.6;
    agent *second = add_agent(&w, NM_AGENT_CAR, 2.8, 2.2);
    second->flags = NM_TRACK_STATIC;
    straight_at(&w, second, 196.6, -2.9, 0, 0);
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 1, "behind two cars");
    world_occluded(&w, 0); // no map: straight ahead
    w.map = MAP_EMPTY;
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 1, "without a map");
}

static void test_not_occluded(void **state) {
    (void)state;
    static world w;
    world_occluded(&w, 0);
    w.agents = 2;
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 0, "nothing hides him");
    world_occluded(&w, 0);
    w.agent[2].height = 0.6;
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 0, "lower than he is");
    world_occluded(&w, 0);
    w.agent[2].length = w.agent[2].width = 0.4;
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 0, "a cone");
    world_occluded(&w, 0);
    w.agent[2].type = NM_AGENT_CYCLIST;
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 0, "a cyclist");
    world_occluded(&w, 0); // he stays on the kerb, and the vehicle passes
    straight_at(&w, &w.agent[0], 202, -5, PI / 2, 0);
    straight_at(&w, &w.agent[1], 140, 0, 0, 10);
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 0, "stays out of the way");
    world_occluded(&w, 0); // comes out, stands in sight for 3 s, then walks on
    for (int t = 0; t < w.steps; t++) {
        double y = t < 20 ? -5.5 + 0.14 * t : t < 50 ? -2.7 : -2.7 + 0.14 * (t - 50);
        w.agent[0].poses[t].y = y;
        w.agent[0].poses[t].speed = t >= 20 && t < 50 ? 0 : 1.4;
        w.agent[2].poses[t].y = -5.2;
    }
    straight_at(&w, &w.agent[1], 202 - 2.5 - 15 - 60, 0, 0, 10);
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 0, "seen for long");
    expect_with(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 1, "occluded_pedestrian.max_visible", 7);
    world_occluded(&w, 0); // the vehicle stands
    straight_at(&w, &w.agent[1], 190, 0, 0, 0);
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 0, "in front of a standing vehicle");
    world_occluded(&w, 0); // too far away to matter
    straight_at(&w, &w.agent[1], 100, 0, 0, 10);
    expect(&w, NM_KIND_OCCLUDED_PEDESTRIAN, 0, "far away");
}

// --- blocked_lane ----------------------------------------------------------------------------------------------------

// Agent 0 stands in the lane from the start; agent 1 comes at 12 m/s and stops 3 m behind it with 3 m/s^2.
static void stop_behind(world *w, map_kind map, double x, double y, double heading) {
    double speeds[STEPS_MAX], way = 12 * 4 + 144 / 6.0 + 5 + 3;
    start_world(w, map, 150);
    straight_at(w, add_car(w), x, y, heading, 0);
    profile(speeds, w->steps, 12, 40, -3, 0);
    straight(w, add_car(w), x - way * cos(heading), y - way * sin(heading), heading, speeds);
}

static void test_blocked(void **state) {
    (void)state;
    static world w;
    stop_behind(&w, MAP_HIGHWAY, 200, 0, 0);
    expect(&w, NM_KIND_BLOCKED_LANE, 1, "stops behind one that broke down");
    expect_with(&w, NM_KIND_BLOCKED_LANE, 0, "blocked_lane.min_standing", 10);
    expect_with(&w, NM_KIND_BLOCKED_LANE, 0, "blocked_lane.max_stop", 2);
    found f = detect(&w, &plain);
    const nm_event *event = event_of(&f, NM_KIND_BLOCKED_LANE);
    assert_int_equal(agent_of(&f, event->actor), 0);
    assert_int_equal(agent_of(&f, event->other), 1);
    assert_true(fabs((double)event->max_drac - 2) < 1); // 12^2 / 2 (24 + 3 m) = 2.7 at first, less with smoothing
    release(&f);
    stop_behind(&w, MAP_HIGHWAY, 200, 0, 0); // runs into it
    straight_at(&w, &w.agent[1], 120, 0, 0, 12);
    expect(&w, NM_KIND_BLOCKED_LANE, 1, "runs into it");
    world_blocked_lane(&w, 0); // a barrier across the road, whose middle is outside the lane
    w.agent[0].length = 0.5;
    w.agent[0].width = 7;
    for (int t = 0; t < w.steps; t++) w.agent[0].poses[t].y = -2.4;
    expect(&w, NM_KIND_BLOCKED_LANE, 1, "a barrier");
    point path[63];
    world_blocked_lane(&w, 0); // into the oncoming lane and back
    w.map = MAP_TWO_WAY;
    size_t count = change_path(path, 0, 0, 3.2, 165, 195);
    cruise(&w, &w.agent[1], path, count, 120, 10);
    expect(&w, NM_KIND_BLOCKED_LANE, 1, "over the oncoming lane");
}

static void test_not_blocked(void **state) {
    (void)state;
    static world w;
    stop_behind(&w, MAP_HIGHWAY, 200, 0, 0);
    straight_at(&w, add_car(&w), 212, 0, 0, 0);
    expect(&w, NM_KIND_BLOCKED_LANE, 0, "the end of a queue");
    stop_behind(&w, MAP_JUNCTION, -14, -1.75, 0);
    w.signal = NM_SIGNAL_STOP;
    expect(&w, NM_KIND_BLOCKED_LANE, 0, "waits at the light");
    stop_behind(&w, MAP_JUNCTION, 1.75, -14, PI / 2);
    expect(&w, NM_KIND_BLOCKED_LANE, 0, "waits at the junction");
    stop_behind(&w, MAP_HIGHWAY, 200, 0, 0); // the second in the row stops for the first
    w.agent[0].flags = NM_TRACK_STATIC;
    for (int t = 0; t < w.steps; t++) w.agent[0].poses[t].x += 8;
    straight_at(&w, add_car(&w), 200, 0, 0, 0);
    found f = detect(&w, &plain);
    for (size_t i = 0; i < f.count; i++)
        assert_false(f.events[i].kind == NM_KIND_BLOCKED_LANE && agent_of(&f, f.events[i].actor) == 0);
    release(&f);
    world_blocked_lane(&w, 0); // leaves the lane long before
    point path[63];
    size_t count = change_path(path, 0, 0, 3.5, 125, 150);
    cruise(&w, &w.agent[1], path, count, 110, 10);
    for (int t = 0; t < w.steps; t++) w.agent[0].poses[t].x = 215;
    expect(&w, NM_KIND_BLOCKED_LANE, 0, "changes lanes in good time");
    world_blocked_lane(&w, 0); // passes with a metre of its width, in its own lane
    straight_at(&w, &w.agent[1], 120, 3.5, 0, 10);
    expect(&w, NM_KIND_BLOCKED_LANE, 0, "in the next lane");
    stop_behind(&w, MAP_HIGHWAY, 200, 0, 0); // it drives on before the other is near
    double speeds[STEPS_MAX];
    profile(speeds, w.steps, 0, 30, 3, 15);
    straight(&w, &w.agent[0], 200, 0, 0, speeds);
    expect(&w, NM_KIND_BLOCKED_LANE, 0, "drives on");
}

// --- sudden_u_turn ---------------------------------------------------------------------------------------------------

static void test_u_turn(void **state) {
    (void)state;
    static world w;
    world_u_turn(&w, 0); // oncoming traffic suffers as well
    straight_at(&w, &w.agent[1], 209 + 12 * 7.2 + 12, 3.5, PI, 12);
    expect(&w, NM_KIND_SUDDEN_U_TURN, 1, "oncoming");
    world_u_turn(&w, 0);
    found f = detect(&w, &plain);
    const nm_event *event = event_of(&f, NM_KIND_SUDDEN_U_TURN);
    assert_true(event->min_ttc > 0.5f && event->min_ttc < 3);
    release(&f);
    expect_with(&w, NM_KIND_SUDDEN_U_TURN, 0, "sudden_u_turn.max_time", 1.5);
    expect_with(&w, NM_KIND_SUDDEN_U_TURN, 0, "sudden_u_turn.min_way", 30);
}

static void test_no_u_turn(void **state) {
    (void)state;
    static world w;
    point line[49], path[23];
    world_u_turn(&w, 0);
    w.agents = 1;
    expect(&w, NM_KIND_SUDDEN_U_TURN, 0, "alone");
    world_u_turn(&w, 0); // the other leaves the place behind
    straight_at(&w, &w.agent[1], 190, 0, 0, 12);
    expect(&w, NM_KIND_SUDDEN_U_TURN, 0, "behind the other");
    start_world(&w, MAP_TWO_WAY, 100); // a left turn of 90 degrees, closely in front
    size_t count = arc(path + 1, 205, 4.2, 4.2, -PI / 2, 0);
    path[0] = (point){150, 0};
    path[count + 1] = (point){209.2, 80};
    cruise(&w, add_car(&w), path, count + 2, 30, 5);
    straight_at(&w, add_car(&w), 205 - 5 - 12 * 5 - 30, 0, 0, 12);
    expect(&w, NM_KIND_SUDDEN_U_TURN, 0, "a left turn");
    start_world(&w, MAP_HAIRPIN, 60); // along the lanes of a bend of 137 degrees, closely behind one another
    count = bend(line, 16, 16, 0);
    cruise(&w, add_car(&w), line, count, 9, 6);
    cruise(&w, add_car(&w), line, count, 0, 7);
    expect_with(&w, NM_KIND_SUDDEN_U_TURN, 0, "sudden_u_turn.min_angle", 1.76);
    w.map = MAP_EMPTY; // the same without lanes is one: the parameter is what counts
    expect_with(&w, NM_KIND_SUDDEN_U_TURN, 1, "sudden_u_turn.min_angle", 1.76);
    world_u_turn(&w, 0); // a standing track whose heading flips
    straight_at(&w, &w.agent[0], 205, 0, 0, 0);
    for (int t = 50; t < w.steps; t++) w.agent[0].poses[t].heading = PI;
    expect(&w, NM_KIND_SUDDEN_U_TURN, 0, "a flipped heading");
    world_u_turn(&w, 0); // one that drives, and is said to go backwards from one step to the next
    straight_at(&w, &w.agent[0], 180, 0, 0, 5);
    for (int t = 60; t < w.steps; t++) w.agent[0].poses[t].heading = PI;
    expect(&w, NM_KIND_SUDDEN_U_TURN, 0, "a tracking error");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),       cmocka_unit_test(test_no_chain),    cmocka_unit_test(test_pull_out),
        cmocka_unit_test(test_no_pull_out), cmocka_unit_test(test_occluded),    cmocka_unit_test(test_not_occluded),
        cmocka_unit_test(test_blocked),     cmocka_unit_test(test_not_blocked), cmocka_unit_test(test_u_turn),
        cmocka_unit_test(test_no_u_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
