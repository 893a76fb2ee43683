/// Validation finds each kind of trouble in a scene made to have exactly that.
#include "sim/scenes.h"

typedef struct found {
    nm_issue issues[64];
    size_t total;
    uint32_t counts[NM_ISSUE_COUNT];
} found;

static found validate(const nm_scene *scene) {
    found f;
    f.total = nm_scene_validate(scene, f.issues, 64, f.counts);
    size_t sum = 0;
    for (int i = 0; i < NM_ISSUE_COUNT; i++) sum += f.counts[i];
    assert_int_equal(sum, f.total);
    for (size_t i = 0; i < f.total && i < 64; i++) {
        assert_true(f.issues[i].detail[0]);
        if (i) assert_true(f.issues[i].kind >= f.issues[i - 1].kind);
    }
    uint32_t counts[NM_ISSUE_COUNT];
    assert_int_equal(nm_scene_validate(scene, NULL, 0, counts), f.total);
    assert_memory_equal(counts, f.counts, sizeof counts);
    return f;
}

/// Exactly one issue, of this kind.
static nm_issue only(const nm_scene *scene, nm_issue_kind kind) {
    found f = validate(scene);
    if (f.total != 1 || f.issues[0].kind != kind) {
        for (size_t i = 0; i < f.total && i < 64; i++) {
            print_message("  %s: %s\n", nm_issue_name(f.issues[i].kind), f.issues[i].detail);
        }
        fail_msg("expected only %s, found %zu issues", nm_issue_name(kind), f.total);
    }
    nm_scene_destroy(scene);
    return f.issues[0];
}

/// A road whose lane ends would be dead ends if they were not at the map's bounds; nothing assumed or mended.
static const nm_map *road(void) {
    return nm_test_road(200.0);
}

static const nm_scene *two_cars(double x, double y) {
    nm_test_agent agents[2] = {{.x = 50.0, .speed = 10.0}, {.x = x, .y = y, .speed = 10.0}};
    return nm_test_scene(road(), agents, 2, 10);
}

static void test_clean(void **state) {
    (void)state;
    const nm_scene *scene = two_cars(70.0, 3.5);
    assert_int_equal(validate(scene).total, 0);
    nm_scene_destroy(scene);
    scene = two_cars(54.5, 0.0); // bumper to bumper
    assert_int_equal(validate(scene).total, 0);
    nm_scene_destroy(scene);
}

static void test_overlap(void **state) {
    (void)state;
    nm_issue issue = only(two_cars(54.0, 0.0), NM_ISSUE_OVERLAP_AT_START);
    assert_true(issue.track == 0 && issue.other == 1 && issue.step == 0);
    assert_true(fabsf(issue.value - 0.5f) < 1e-3f);
}

/// Tracks made by hand: `step` and x of each state; y 0, heading 0, speed `speed`.
typedef struct point {
    uint32_t track, step;
    double x, y, heading, speed;
} point;

static const nm_scene *by_hand(const nm_map *map, const nm_track_def *defs, size_t tracks, const point *points,
                               size_t count, uint32_t steps) {
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, &error), NM_OK);
    for (size_t i = 0; i < tracks; i++) {
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &defs[i], &track, &error), NM_OK);
    }
    for (size_t i = 0; i < count; i++) {
        const point *p = &points[i];
        nm_state_def s = {.x = p->x, .y = p->y, .heading = p->heading, .vx = p->speed};
        assert_int_equal(nm_scene_builder_add_state(builder, p->track, p->step, &s, &error), NM_OK);
    }
    const nm_scene *scene;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

static const nm_track_def car = {.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
static const nm_track_def second_car = {.id = 2, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};

static void test_overlap_when_one_appears(void **state) {
    (void)state;
    const nm_track_def cars[2] = {car, second_car};
    const point points[] = {{0, 0, 50, 0, 0, 0}, {0, 1, 50, 0, 0, 0}, {0, 2, 50, 0, 0, 0}, {1, 2, 52, 0, 0, 0}};
    nm_issue issue = only(by_hand(road(), cars, 2, points, 4, 3), NM_ISSUE_OVERLAP_AT_START);
    assert_true(issue.track == 0 && issue.other == 1 && issue.step == 2);
    // two that drive into each other later are none of this
    const point later[] = {{0, 0, 50, 0, 0, 10}, {0, 1, 51, 0, 0, 10}, {1, 0, 55, 0, 0, 0}, {1, 1, 55, 0, 0, 0}};
    const nm_scene *scene = by_hand(road(), cars, 2, later, 4, 2);
    assert_int_equal(validate(scene).total, 0);
    nm_scene_destroy(scene);
    // two static things may lie on one another
    nm_track_def parked[2] = {car, second_car};
    parked[0].flags = parked[1].flags = NM_TRACK_STATIC;
    const point still[] = {{0, 0, 50, 0, 0, 0}, {1, 0, 51, 0, 0, 0}};
    scene = by_hand(road(), parked, 2, still, 2, 1);
    assert_int_equal(validate(scene).total, 0);
    nm_scene_destroy(scene);
}

static void test_overlaps_are_those_of_brute_force(void **state) {
    (void)state;
    enum { COUNT = 400 };
    static nm_test_agent agents[COUNT];
    uint32_t draw = 0;
    for (int i = 0; i < COUNT; i++) {
        double size = i % 50 == 0 ? 60.0 : 4.0; // some span very many cells
        agents[i] = (nm_test_agent){.x = nm_test_uniform(3, &draw, 0, 200),
                                    .y = nm_test_uniform(3, &draw, 0, 200),
                                    .heading = nm_test_uniform(3, &draw, -3, 3),
                                    .length = size,
                                    .width = 2.0};
    }
    const nm_scene *scene = nm_test_scene(road(), agents, COUNT, 1);
    uint32_t counts[NM_ISSUE_COUNT];
    nm_scene_validate(scene, NULL, 0, counts);
    uint32_t expected = 0;
    for (int i = 0; i < COUNT; i++) {
        for (int k = i + 1; k < COUNT; k++) { // separating axes in double
            double depth = INFINITY;
            for (int axis = 0; axis < 4; axis++) {
                double h = (axis < 2 ? agents[i] : agents[k]).heading + (axis % 2) * NM_PI / 2.0;
                double c = cos(h), s = sin(h), reach = 0.0;
                for (int side = 0; side < 2; side++) {
                    const nm_test_agent *a = side ? &agents[k] : &agents[i];
                    double ca = cos(a->heading), sa = sin(a->heading);
                    reach += 0.5 * a->length * fabs(c * ca + s * sa) + 0.5 * a->width * fabs(-c * sa + s * ca);
                }
                double apart = fabs(c * (agents[k].x - agents[i].x) + s * (agents[k].y - agents[i].y));
                depth = fmin(depth, reach - apart);
            }
            expected += depth > 0.01;
        }
    }
    assert_true(expected > 50);
    assert_in_range(counts[NM_ISSUE_OVERLAP_AT_START], expected - 1, expected + 1); // a float may tip one over
    nm_scene_destroy(scene);
}

static void test_off_road(void **state) {
    (void)state;
    nm_issue issue = only(two_cars(70.0, 20.0), NM_ISSUE_OFF_ROAD_AT_START);
    assert_true(issue.track == 1 && fabsf(issue.value - 11.25f) < 1e-3f);
    nm_test_agent walker[1] = {{.x = 50.0, .y = 20.0, .type = NM_AGENT_PEDESTRIAN, .length = 0.5, .width = 0.5}};
    const nm_scene *scene = nm_test_scene(road(), walker, 1, 3);
    assert_int_equal(validate(scene).total, 0);
    nm_scene_destroy(scene);
}

static void test_between_states(void **state) {
    (void)state;
    const point jump[] = {{0, 0, 50, 0, 0, 30}, {0, 1, 55.3, 0, 0, 30}};
    const nm_scene *scene = by_hand(road(), &car, 1, jump, 2, 2);
    found f = validate(scene); // a jump is a speed mismatch, too
    nm_scene_destroy(scene);
    assert_true(f.total == 2 && f.counts[NM_ISSUE_JUMP] == 1 && f.counts[NM_ISSUE_SPEED_MISMATCH] == 1);
    assert_true(f.issues[0].step == 1 && fabsf(f.issues[0].value - 5.3f) < 1e-3f);
    const point fast[] = {{0, 0, 50, 0, 0, 71}, {0, 1, 57.1, 0, 0, 71}};
    only(by_hand(road(), &car, 1, fast, 2, 2), NM_ISSUE_JUMP);
    const point turn[] = {{0, 0, 50, 0, 3.1, 0}, {0, 1, 50, 0, -2.5, 0}};
    nm_issue issue = only(by_hand(road(), &car, 1, turn, 2, 2), NM_ISSUE_HEADING_JUMP);
    assert_true(fabsf(issue.value - 0.6832f) < 1e-3f);
    const point wrap[] = {{0, 0, 50, 0, 3.1, 0}, {0, 1, 50, 0, -3.1, 0}};
    scene = by_hand(road(), &car, 1, wrap, 2, 2);
    assert_int_equal(validate(scene).total, 0);
    nm_scene_destroy(scene);
    const point slow[] = {{0, 0, 50, 0, 0, 2}, {0, 1, 51, 0, 0, 2}};
    only(by_hand(road(), &car, 1, slow, 2, 2), NM_ISSUE_SPEED_MISMATCH);
}

static void test_tracks(void **state) {
    (void)state;
    nm_track_def odd = car;
    const point there[] = {{0, 0, 50, 0, 0, 0}};
    odd.width = 0.2f;
    only(by_hand(road(), &odd, 1, there, 1, 1), NM_ISSUE_SIZE);
    odd.width = 0.0f;
    odd.type = NM_AGENT_PEDESTRIAN;
    only(by_hand(road(), &odd, 1, there, 1, 1), NM_ISSUE_SIZE);
    odd = car;
    odd.length = 31.0f;
    assert_true(only(by_hand(road(), &odd, 1, there, 1, 1), NM_ISSUE_SIZE).value == 31.0f);
    const point gap[] = {{0, 0, 50, 0, 0, 0}, {0, 1, 50, 0, 0, 0}, {0, 4, 50, 0, 0, 0}};
    nm_issue issue = only(by_hand(road(), &car, 1, gap, 3, 6), NM_ISSUE_GAP);
    assert_true(issue.step == 2 && fabsf(issue.value - 0.2f) < 1e-6f);
    assert_int_equal(only(by_hand(road(), &car, 1, NULL, 0, 1), NM_ISSUE_NO_STATE).track, 0);
}

static const nm_scene *with_goal(const nm_map *map, double x, double y, int64_t lane, int anywhere) {
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 1, &error), NM_OK);
    nm_state_def start = {.x = -40.0};
    nm_goal goal = {.last_step = 100};
    assert_int_equal(nm_scene_builder_add_problem(builder, 33, &start, 0, &error), NM_OK);
    assert_int_equal(nm_scene_builder_add_goal(builder, &goal, &error), NM_OK);
    if (!anywhere) {
        assert_int_equal(nm_scene_builder_add_goal_area(builder, x, y, 4.0, 2.0, 0.0, lane, &error), NM_OK);
    }
    const nm_scene *scene;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    return scene;
}

static void test_goals(void **state) {
    (void)state;
    const nm_map *map = nm_test_crossing(NM_CONTROL_NONE, NM_CONTROL_NONE);
    const struct {
        double x, y;
        int64_t lane;
        int anywhere;
        uint32_t unreachable;
    } cases[] = {{40, 0, -1, 0, 0}, {0, 40, -1, 0, 1}, {0, 0, 3, 0, 0},   {0, 0, 6, 0, 1},
                 {0, 0, 0, 1, 0},   {0, 0, 1, 0, 0},   {500, 0, -1, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const nm_scene *scene = with_goal(map, cases[i].x, cases[i].y, cases[i].lane, cases[i].anywhere);
        found f = validate(scene);
        assert_int_equal(f.counts[NM_ISSUE_GOAL_UNREACHABLE], cases[i].unreachable);
        assert_int_equal(f.counts[NM_ISSUE_REPAIRED], 1); // predecessors were completed
        assert_int_equal(f.total, 1 + cases[i].unreachable);
        nm_scene_destroy(scene);
    }
    nm_map_release(map);
}

/// A map of lanes by centreline or borders; lanes at the bounds so that their ends are no dead ends.
static nm_scene *empty_scene(nm_map_builder *maps) {
    const nm_map *map = nm_test_build(maps);
    return (nm_scene *)(uintptr_t)by_hand(map, NULL, 0, NULL, 0, 1);
}

static const nm_scene *one_lane(const double *xy, size_t count, double width) {
    nm_map_builder *maps = nm_map_builder_create();
    nm_lane_def def = nm_lane_def_default();
    nm_test_lane(maps, &def, xy, count, width);
    return empty_scene(maps);
}

static void test_lanes(void **state) {
    (void)state;
    assert_int_equal(only(one_lane((double[]){0, 0, 0.05, 0}, 2, 3.5), NM_ISSUE_SHORT_LANE).lane, 0);
    assert_true(only(one_lane((double[]){0, 0, 50, 0}, 2, 0.9), NM_ISSUE_NARROW_LANE).value < 1.0f);
    assert_true(only(one_lane((double[]){0, 0, 50, 0}, 2, 8.5), NM_ISSUE_WIDE_LANE).value > 8.0f);
    nm_issue issue = only(one_lane((double[]){0, 0, 50, 0, 49, 5, 49, 40}, 4, 3.0), NM_ISSUE_KINK);
    assert_true(issue.value > 1.6f && issue.value < 1.9f);
    only(one_lane((double[]){0, 0, 20, 0}, 2, 0.0), NM_ISSUE_REPAIRED); // width assumed
    nm_map_builder *maps = nm_map_builder_create();
    nm_lane_def def = nm_lane_def_default();
    const int64_t next = 2, before = 1;
    def.id = 1;
    def.successors = &next;
    def.successor_count = 1;
    nm_test_lane(maps, &def, (double[]){0, 0, 50, 0}, 2, 3.5);
    def = nm_lane_def_default();
    def.id = 2;
    def.predecessors = &before;
    def.predecessor_count = 1;
    nm_test_lane(maps, &def, (double[]){50.6, 0, 100, 0}, 2, 3.5);
    issue = only(empty_scene(maps), NM_ISSUE_DISCONNECTED);
    assert_true(issue.lane == 0 && fabsf(issue.value - 0.6f) < 1e-3f);
    maps = nm_map_builder_create(); // the middle of a ring of lanes: nowhere to go
    const double ends[3][4] = {{0, 0, 50, 0}, {-50, -50, 100, -50}, {100, 50, -50, 50}};
    for (int i = 0; i < 3; i++) {
        def = nm_lane_def_default();
        def.id = i;
        nm_test_lane(maps, &def, ends[i], 2, 3.5);
    }
    issue = only(empty_scene(maps), NM_ISSUE_DEAD_END);
    assert_true(issue.lane == 0 && issue.value > 20.0f);
    only(empty_scene(nm_map_builder_create()), NM_ISSUE_EMPTY_MAP);
}

static void test_a_full_array_still_counts(void **state) {
    (void)state;
    nm_test_agent agents[10];
    for (int i = 0; i < 10; i++) agents[i] = (nm_test_agent){.x = 50.0 + 0.1 * i};
    const nm_scene *scene = nm_test_scene(road(), agents, 10, 1);
    nm_issue few[3];
    assert_int_equal(nm_scene_validate(scene, few, 3, NULL), 45);
    assert_true(few[2].track == 0 && few[2].other == 3); // in order
    nm_scene_destroy(scene);
}

/// A hundred thousand agents must not cost their square.
static void test_many_agents(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    nm_test_agent *agents = calloc(COUNT, sizeof *agents);
    for (int i = 0; i < COUNT; i++) agents[i] = (nm_test_agent){.x = 6.0 * (i % 400), .y = 3.0 * (i / 400)};
    agents[COUNT / 2].x += 5.0;
    const nm_scene *scene = nm_test_scene(road(), agents, COUNT, 1);
    uint32_t counts[NM_ISSUE_COUNT];
    nm_scene_validate(scene, NULL, 0, counts);
    assert_int_equal(counts[NM_ISSUE_OVERLAP_AT_START], 1);
    nm_scene_destroy(scene);
    for (int i = 0; i < COUNT; i++) agents[i].x = agents[i].y = 0.0; // all in one place: capped
    scene = nm_test_scene(road(), agents, 3000, 1);
    nm_scene_validate(scene, NULL, 0, counts);
    assert_int_equal(counts[NM_ISSUE_OVERLAP_AT_START], 3000 * 2999 / 2);
    nm_scene_destroy(scene);
    free(agents);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_overlap_when_one_appears),
        cmocka_unit_test(test_overlaps_are_those_of_brute_force),
        cmocka_unit_test(test_off_road),
        cmocka_unit_test(test_between_states),
        cmocka_unit_test(test_tracks),
        cmocka_unit_test(test_goals),
        cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_a_full_array_still_counts),
        cmocka_unit_test(test_many_agents),
    };
    return cmocka_run_group_tests_name("scene_validate", tests, NULL, NULL);
}
