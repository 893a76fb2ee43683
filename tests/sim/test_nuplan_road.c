/// Drivable area, driving direction, speed limit and progress.
#include "nuplan_support.h"

static hand_map town;
static const nm_nuplan_map *map;
static hand_drive d;

static int setup(void **state) {
    (void)state;
    hand_town(&town);
    map = hand_finish(&town);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    nm_nuplan_map_destroy(map);
    return 0;
}

// --- drivable area ---------------------------------------------------------------------------------------------------

/// The ego's right side is at y - 1, the road's edge at -2.
static void test_area_tolerance(void **state) {
    (void)state;
    drive_east(&d, map, 10, 50, 0, 5);
    put_ego(&d, 4, 52, -1.2999, 0, 5);
    score(&d);
    assert_metric(&d, NM_NUPLAN_DRIVABLE_AREA, 1.0, 0.0, NM_NONE);
    put_ego(&d, 4, 52, -1.3001, 0, 5);
    score(&d);
    assert_metric(&d, NM_NUPLAN_DRIVABLE_AREA, 0.0, 2.0, 4);
    assert_int_equal(d.far_off[4], 1u << 2 | 1u << 3); // rear right and front right
}

/// One corner is enough: a box turned by 0.1 rad at y = -1.1 has its front right corner at (50 + 2 c + s, -1.1 + 2 s -
/// c) = (52.09, -1.895) and its rear right one at (48.11, -2.295): within 0.3 m. At -1.11 it is out.
static void test_area_single_corner(void **state) {
    (void)state;
    drive_east(&d, map, 10, 50, 0, 5);
    put_ego(&d, 9, 50, -1.1, 0.1, 5);
    score(&d);
    assert_metric(&d, NM_NUPLAN_DRIVABLE_AREA, 1.0, 0.0, NM_NONE);
    put_ego(&d, 9, 50, -1.11, 0.1, 5);
    score(&d);
    assert_metric(&d, NM_NUPLAN_DRIVABLE_AREA, 0.0, 1.0, 9);
    assert_int_equal(d.far_off[9], 1u << 2);
}

/// Where the drivable layer has nothing, lanes still count: corners in them, and those near the ones of the ego's
/// centre; but not those near lanes that the ego is not on.
static void test_area_by_the_route(void **state) {
    (void)state;
    hand_map m;
    hand_town(&m);
    m.def.drivable_count = 0;
    const nm_nuplan_map *made = hand_finish(&m);
    drive_east(&d, made, 10, 50, -1.29, 5);
    score(&d);
    assert_metric(&d, NM_NUPLAN_DRIVABLE_AREA, 1.0, 0.0, NM_NONE);
    drive_east(&d, made, 10, 50, -1.31, 5);
    score(&d);
    assert_metric(&d, NM_NUPLAN_DRIVABLE_AREA, 0.0, 20.0, 0);
    // the centre is off lane A, by 0.2 m: no object is its route, and the right corners are far anyway; the left ones
    // are in the lane
    drive_east(&d, made, 10, 50, -2.2, 5);
    score(&d);
    assert_metric(&d, NM_NUPLAN_DRIVABLE_AREA, 0.0, 20.0, 0);
    // left corners at y = -2.1: 0.1 m from lane A, on which the centre is not
    drive_east(&d, made, 10, 50, -3.1, 5);
    score(&d);
    assert_metric(&d, NM_NUPLAN_DRIVABLE_AREA, 0.0, 40.0, 0);
    nm_nuplan_map_destroy(made);
}

// --- driving direction -----------------------------------------------------------------------------------------------

/// Backwards along lane A at `speed`, 20 samples: eleven terms are summed, 0.1 s each: 1.1 speed.
static double reverse(double speed, int64_t step_us) {
    drive_east(&d, map, 20, 50, 0, -speed);
    for (int k = 0; k < 20; ++k) d.ego[k].time_us = step_us * k;
    score(&d);
    return d.result.metric[NM_NUPLAN_DRIVING_DIRECTION].value;
}

static void test_direction_thresholds(void **state) {
    (void)state;
    assert_float_equal(reverse(1.81, 100000), 1.0, 0); // 1.991 m
    assert_float_equal(d.result.metric[NM_NUPLAN_DRIVING_DIRECTION].worst, -1.991, 1e-9);
    assert_true(d.result.metric[NM_NUPLAN_DRIVING_DIRECTION].step >= 11);
    assert_float_equal(d.progress_1s[5], -5 * 0.181, 1e-9); // windows at the start are shorter, the first term is 0
    assert_float_equal(d.progress_1s[10], -10 * 0.181, 1e-9);
    assert_float_equal(reverse(1.83, 100000), 0.5, 0); // 2.013 m
    assert_float_equal(reverse(5.44, 100000), 0.5, 0); // 5.984 m
    assert_float_equal(reverse(5.46, 100000), 0.0, 0); // 6.006 m
    // floor(1 s / 0.100001 s) = 9, so ten terms: 1.98 m instead of 2.178 m
    assert_float_equal(reverse(1.98, 100000), 0.5, 0);
    assert_float_equal(reverse(1.98, 100001), 1.0, 0);
    drive_east(&d, map, 20, 50, 0, 5); // forwards
    score(&d);
    assert_metric(&d, NM_NUPLAN_DRIVING_DIRECTION, 1.0, 0.0, NM_NONE);
}

/// At 1.1 s between samples the window has a single term, so that the series shows the progress itself.
static void slowly(const double *x, const double *y, uint32_t count) {
    drive_east(&d, map, count, 50, 0, 5);
    for (uint32_t k = 0; k < count; ++k) {
        put_ego(&d, k, x[k], y[k], 0, 5);
        d.ego[k].time_us = 1100000 * (int64_t)k;
    }
    score(&d);
}

/// 3000 samples within 1.5 s: windows of 2001 terms. 2.2 m/s backwards are 2.2 m a second, 1.9 m/s forgivable.
static void test_direction_of_many_samples(void **state) {
    (void)state;
    enum { MANY = 3000 };
    static nm_nuplan_ego ego[MANY];
    static double progress[MANY];
    const double speeds[] = {2.2, 1.9, 6.1};
    const double want[] = {0.5, 1.0, 0.0};
    for (int i = 0; i < 3; ++i) {
        drive_east(&d, map, 20, 50, 0, 0);
        for (int64_t k = 0; k < MANY; ++k)
            ego[k] = (nm_nuplan_ego){.time_us = 500 * k, .x = 60.0 - speeds[i] * 0.0005 * (double)k, .vx = -speeds[i]};
        nm_nuplan_drive many = d.view;
        many.ego = ego;
        many.samples = MANY;
        many.tracks = 0;
        const nm_nuplan_series series = {.progress_1s = progress};
        nm_nuplan_result result;
        nm_error error;
        if (nm_nuplan_score(&many, &result, NULL, 0, &series, &error) != NM_OK) fail_msg("%s", error.message);
        assert_float_equal(result.metric[NM_NUPLAN_DRIVING_DIRECTION].value, want[i], 0);
        assert_float_equal(progress[MANY - 1], -2001 * 0.0005 * speeds[i], 1e-9);
        assert_float_equal(progress[1000], -1000 * 0.0005 * speeds[i], 1e-9);
    }
}

static void test_direction_memory(void **state) {
    (void)state;
    // A, A, A, then C (narrowed by D): its first two samples count 0; D likewise
    const double x[] = {90, 94, 99, 103, 108, 114, 135, 141, 148}, y[9] = {0};
    slowly(x, y, 9);
    const double want[] = {0, 4, 5, 0, 0, 6, 0, 0, 7};
    for (int k = 0; k < 9; ++k) assert_float_equal(d.progress_1s[k], want[k], 1e-9);
    // off the road and back: the memory is left as it was
    const double x2[] = {50, 53, 55, 57, 54}, y2[] = {0, 0, -30, -30, 0};
    slowly(x2, y2, 5);
    const double want2[] = {0, 3, 0, 0, 1};
    for (int k = 0; k < 5; ++k) assert_float_equal(d.progress_1s[k], want2[k], 1e-9);
    // nothing at the start: then the first lane, too, loses two
    const double x3[] = {50, 53, 55, 58}, y3[] = {-30, 0, 0, 0};
    slowly(x3, y3, 4);
    const double want3[] = {0, 0, 0, 3};
    for (int k = 0; k < 4; ++k) assert_float_equal(d.progress_1s[k], want3[k], 1e-9);
    // to lane B and back: each change forgets
    const double x4[] = {50, 53, 55, 58, 51, 50}, y4[] = {0, 0, 4, 4, 0, 0};
    slowly(x4, y4, 6);
    const double want4[] = {0, 3, 0, 0, 0, 0};
    for (int k = 0; k < 5; ++k) assert_float_equal(d.progress_1s[k], want4[k], 1e-9);
}

/// A projection onto the very start of the baseline is no progress, as published; but it is remembered.
static void test_direction_at_the_start_of_a_baseline(void **state) {
    (void)state;
    hand_map m;
    hand_begin(&m);
    hand_lane(&m, NM_NUPLAN_LANE, 0, -2, 100, 2, (nm_nuplan_point){20, 0}, (nm_nuplan_point){100, 0}, 0);
    const nm_nuplan_map *made = hand_finish(&m), *before = map;
    map = made;
    const double x[] = {30, 25, 10, 12, 24}, y[5] = {0};
    slowly(x, y, 5);
    const double want[] = {0, -5, 0, 0, 4}; // not -5 at the third: s is 0 there
    for (int k = 0; k < 5; ++k) assert_float_equal(d.progress_1s[k], want[k], 1e-9);
    map = before;
    nm_nuplan_map_destroy(made);
}

// --- speed limit -----------------------------------------------------------------------------------------------------

static void test_speed_on_a_lane(void **state) {
    (void)state;
    drive_east(&d, map, 41, 10, 0, 10);
    score(&d);
    assert_metric(&d, NM_NUPLAN_SPEED_LIMIT, 1.0, 0.0, NM_NONE); // at the limit
    // 2 m/s too fast for 11 of 41 samples, which last 4 s: 1 - 0.1 * 22 / (2.23 * 4)
    for (int k = 20; k <= 30; ++k) d.ego[k].vx = 12;
    d.ego[25].vx = 12.5;
    score(&d);
    assert_metric(&d, NM_NUPLAN_SPEED_LIMIT, 1.0 - 0.1 * 22.5 / (2.23 * 4.0), 2.5, 25);
    // sideways motion counts; and it cannot be below 0
    for (int k = 0; k < 41; ++k) d.ego[k].vx = 9, d.ego[k].vy = 12;
    score(&d);
    assert_metric(&d, NM_NUPLAN_SPEED_LIMIT, 0.0, 5.0, 0);
    // just all of it: 41 samples of o: 0.1 * 41 o = 2.23 * 4 at o = 2.1756
    for (int k = 0; k < 41; ++k) d.ego[k].vy = 0, d.ego[k].vx = 10 + 2.17;
    score(&d);
    assert_metric(&d, NM_NUPLAN_SPEED_LIMIT, 1.0 - 4.1 * 2.17 / 8.92, 2.17,
                  d.result.metric[NM_NUPLAN_SPEED_LIMIT].step);
    assert_true(d.result.metric[NM_NUPLAN_SPEED_LIMIT].value > 0.0);
}

/// On connectors the limits around all of them count, not their own (99 m/s): with D ahead only C remains, between 10
/// and 15 m/s. With nothing ahead E remains, too, whose lane F has no limit: no violation.
static void test_speed_on_connectors(void **state) {
    (void)state;
    drive_east(&d, map, 10, 120, 0, 16); // up to x = 134.4: D from sample 7
    score(&d);
    for (int k = 0; k < 10; ++k) assert_float_equal(d.over_limit[k], 1.0, 1e-12);
    drive_east(&d, map, 10, 105, 0, 16); // up to 119.4
    score(&d);
    for (int k = 0; k < 10; ++k) assert_float_equal(d.over_limit[k], 0.0, 0);
    assert_metric(&d, NM_NUPLAN_SPEED_LIMIT, 1.0, 0.0, NM_NONE);
    // a lane without a limit; and off the road
    drive_east(&d, map, 10, 115, 30, 1);
    for (int k = 0; k < 10; ++k) put_ego(&d, k, 115, 20 + k, NM_PI / 2, 50);
    score(&d);
    assert_metric(&d, NM_NUPLAN_SPEED_LIMIT, 1.0, 0.0, NM_NONE);
    drive_east(&d, map, 10, 50, -30, 50);
    score(&d);
    assert_metric(&d, NM_NUPLAN_SPEED_LIMIT, 1.0, 0.0, NM_NONE);
    assert_int_equal(d.result.off_route_samples, 10);
    // NaN is missing as well
    hand_map m;
    hand_town(&m);
    m.objects[LANE_A].speed_limit = NAN;
    const nm_nuplan_map *made = hand_finish(&m);
    drive_east(&d, made, 10, 50, 0, 50);
    score(&d);
    assert_metric(&d, NM_NUPLAN_SPEED_LIMIT, 1.0, 0.0, NM_NONE);
    nm_nuplan_map_destroy(made);
}

/// Real time stamps: twice the time between samples is twice the time of all of them, so the share of N / (N - 1)
/// stays.
static void test_speed_with_other_time_stamps(void **state) {
    (void)state;
    drive_east(&d, map, 11, 10, 0, 11);
    for (int k = 0; k < 11; ++k) d.ego[k].time_us = 250000 * k + (k == 4 ? 90000 : 0);
    score(&d);
    assert_metric(&d, NM_NUPLAN_SPEED_LIMIT, 1.0 - 0.25 * 11.0 / (2.23 * 2.5), 1.0,
                  d.result.metric[NM_NUPLAN_SPEED_LIMIT].step);
}

// --- progress --------------------------------------------------------------------------------------------------------

/// The expert drives from (x, y) for `steps` steps of `way`, the ego likewise, one fewer sample.
static void race(double expert_from, double expert_way, double ego_from, double ego_way, double ego_y) {
    drive_east(&d, map, 100, 50, 0, 5);
    for (uint32_t k = 0; k <= 100; ++k) put_expert(&d, k, expert_from + expert_way * k / 100.0, 0, 0);
    for (uint32_t k = 0; k < 100; ++k) put_ego(&d, k, ego_from + ego_way * k / 99.0, ego_y, 0, 5);
    score(&d);
}
static double ratio(void) {
    return d.result.metric[NM_NUPLAN_PROGRESS].value;
}

static void test_progress_ratio(void **state) {
    (void)state;
    race(10, 80, 10, 40, 0); // within lane A
    assert_float_equal(d.result.expert_progress, 80, 1e-9);
    assert_float_equal(d.result.ego_progress, 40, 1e-9);
    assert_metric(&d, NM_NUPLAN_PROGRESS, 0.5, 0.5, NM_NONE);
    assert_metric(&d, NM_NUPLAN_MAKING_PROGRESS, 1.0, 0.5, NM_NONE);
    race(10, 80, 10, 85, 0); // more is not better
    assert_float_equal(ratio(), 1.0, 0);
    race(10, 80, 10, 40, 4); // on lane B: the same roadblock, measured along A
    assert_float_equal(ratio(), 0.5, 1e-9);
    race(60, 141, 60, 141, 0); // A, C and D: through three roadblocks
    assert_float_equal(d.result.expert_progress, 141, 1e-9);
    assert_float_equal(d.result.ego_progress, 141, 1e-9);
    // an expert with a sample on the very border of C, which is in no lane: the two connectors before it, as published,
    // vanish from its route, and 30 m with them
    race(60, 140, 60, 140, 0);
    assert_float_equal(d.result.expert_progress, 110, 1e-9);
    // 0.2 of the expert's
    race(10, 80, 10, 16.001, 0);
    assert_float_equal(d.result.metric[NM_NUPLAN_MAKING_PROGRESS].value, 1.0, 0);
    race(10, 80, 10, 15.999, 0);
    assert_float_equal(d.result.metric[NM_NUPLAN_MAKING_PROGRESS].value, 0.0, 0);
    assert_float_equal(ratio(), 15.999 / 80, 1e-9);
    assert_float_equal(d.result.score, 0.0, 0);
}

/// 2 m, not 0.1 m: less counts as 2 m on both sides, but going back further than that is 0.
static void test_progress_threshold(void **state) {
    (void)state;
    race(50, 1.9, 50, -1.9, 0);
    assert_float_equal(ratio(), 1.0, 0);
    race(50, 1.9, 50, -2.1, 0);
    assert_float_equal(ratio(), 0.0, 0);
    race(50, 20, 50, 1, 0);
    assert_float_equal(ratio(), 0.1, 1e-9); // 2 / 20
    race(50, 20, 50, -1.99, 0);
    assert_float_equal(ratio(), 0.1, 1e-9);
    race(50, 20, 50, 3, 0);
    assert_float_equal(ratio(), 0.15, 1e-9);
}

/// The ego has a sample less: as fast as the expert it makes 19.5 of 20 m.
static void test_progress_of_one_sample_fewer(void **state) {
    (void)state;
    drive_east(&d, map, 40, 10, 0, 5);
    score(&d);
    assert_float_equal(d.result.expert_progress, 20, 1e-9);
    assert_float_equal(d.result.ego_progress, 19.5, 1e-9);
    assert_float_equal(ratio(), 19.5 / 20.0, 1e-12);
}

static void test_progress_along_roadblocks(void **state) {
    (void)state;
    race(60, 141, 60, 141, 0);
    // from A to D at once: the rest of A (100 - 90), C from end to end (30), and 5 of D
    for (uint32_t k = 0; k < 100; ++k) put_ego(&d, k, k < 50 ? 90 : 135, 0, 0, 5);
    score(&d);
    assert_float_equal(d.result.ego_progress, 45, 1e-9);
    // off the roadblocks nothing is counted, and caught up with later
    for (uint32_t k = 0; k < 100; ++k) put_ego(&d, k, 70 + k / 10.0, k > 30 && k < 60 ? -30 : 0, 0, 5);
    score(&d);
    assert_float_equal(d.result.ego_progress, 9.9, 1e-9);
    // ... unless it ends there
    for (uint32_t k = 0; k < 100; ++k) put_ego(&d, k, 70 + k / 10.0, k > 30 ? -30 : 0, 0, 5);
    score(&d);
    assert_float_equal(d.result.ego_progress, 3.0, 1e-9);
    // nobody goes back to an earlier roadblock: from C back into A nothing is counted. The 4.9 m from 101 m on are,
    // and the first metre of C: everybody starts on the first baseline, at whose end (100) the ego is taken to be
    for (uint32_t k = 0; k < 100; ++k) put_ego(&d, k, k < 50 ? 101 + k / 10.0 : 90 - (k - 50) / 10.0, 0, 0, 5);
    score(&d);
    assert_float_equal(d.result.ego_progress, 5.9, 1e-9);
    // an expert without any lane
    race(60, 141, 60, 10, 0);
    for (uint32_t k = 0; k <= 100; ++k) put_expert(&d, k, 50, -30, 0);
    score(&d);
    assert_float_equal(ratio(), 1.0, 0);
    assert_float_equal(d.result.expert_progress, 0, 0);
}

/// The distance between the end of one baseline and its projection on the next is not counted twice, nor lost: lane B's
/// begins 3 m before lane A's ends, and 2 m of it are past A's surface.
static void test_progress_over_a_seam(void **state) {
    (void)state;
    hand_map m;
    hand_begin(&m);
    hand_lane(&m, NM_NUPLAN_LANE, 0, -2, 40, 2, (nm_nuplan_point){0, 0}, (nm_nuplan_point){38, 0}, 0);
    hand_lane(&m, NM_NUPLAN_LANE, 40, -2, 90, 2, (nm_nuplan_point){35, 0}, (nm_nuplan_point){90, 0}, 0);
    hand_link(&m, 0, 1);
    const nm_nuplan_map *made = hand_finish(&m), *before = map;
    map = made;
    race(10, 60, 10, 60, 0);
    // from 10 to 38 on A; from 38 (s = 3 on B) to 70 (s = 35): 28 + 32
    assert_float_equal(d.result.ego_progress, 60, 1e-9);
    map = before;
    nm_nuplan_map_destroy(made);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_area_tolerance),
        cmocka_unit_test(test_area_single_corner),
        cmocka_unit_test(test_area_by_the_route),
        cmocka_unit_test(test_direction_thresholds),
        cmocka_unit_test(test_direction_of_many_samples),
        cmocka_unit_test(test_direction_memory),
        cmocka_unit_test(test_direction_at_the_start_of_a_baseline),
        cmocka_unit_test(test_speed_on_a_lane),
        cmocka_unit_test(test_speed_on_connectors),
        cmocka_unit_test(test_speed_with_other_time_stamps),
        cmocka_unit_test(test_progress_ratio),
        cmocka_unit_test(test_progress_threshold),
        cmocka_unit_test(test_progress_of_one_sample_fewer),
        cmocka_unit_test(test_progress_along_roadblocks),
        cmocka_unit_test(test_progress_over_a_seam),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
