/// The nuPlan score as a whole: a scenario by hand, how metrics and scenarios add up, what it must not depend on.
#include "nuplan_support.h"

#include "scenes.h"

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

// --- a scenario by hand ----------------------------------------------------------------------------------------------

/// 101 iterations at 10 Hz. The expert drives from (10, 0) at 9.6 m/s: 96 m, of which 90 in lane A and 6 in C. The ego
/// has 100 samples at 8 m/s: 79.2 m, to x = 89.2.
///   progress   79.2 / 96 = 0.825; making progress 1
///   speed      20 samples claim 11 m/s where 10 is the limit: 1 - 0.1 * 20 / (2.23 * 9.9) = 0.909408
///   track 0    a cone, its near side at 60.2, in the way. The front is at 12 + 0.8 k: contact at k = 61 (60.8).
///              STOPPED_TRACK, at fault: 0.5; so the TTC of sample 61 is 0. Before that, at 8 m/s, 0.8 m a step:
///              at k = 48 the gap is 9.8 m: 1.3 s; at k = 51 7.4 m: 1.0 s; at k = 52 6.6 m: 0.9 s
///   track 1    a car behind that is faster, 12 m/s at first 12.2 m behind the ego's rear: runs into it from behind at
///              k = 31 (0.4 m a step: 12.4): ACTIVE_REAR, not at fault, energy (12 - 8) / 2 = 2
///   track 2    a car at the side, present from k = 70 on, into the ego's left side: ACTIVE_LATERAL, in one lane, not
///              at fault
///   direction, area and comfort 1
/// Score: 0.5 * 1 * 1 * 1 * (5 * 0.825 + 5 * 0 + 4 * 0.909408 + 2 * 1) / 16 = 0.5 * 9.762632 / 16 = 0.3050823
static void make_scenario(void) {
    drive_east(&d, map, 100, 10, 0, 8);
    for (uint32_t k = 0; k <= 100; ++k) put_expert(&d, k, 10 + 0.96 * k, 0, 0);
    for (uint32_t k = 40; k < 60; ++k) d.ego[k].vx = 11;
    put_track(&d, 3, 0, NM_NUPLAN_TRAFFIC_CONE, (nm_nuplan_box){.x = 60.4, .length = 0.4, .width = 0.4});
    put_track(&d, 3, 1, NM_NUPLAN_VEHICLE, (nm_nuplan_box){.x = 8 - 12.2 - 2, .vx = 12, .length = 4, .width = 2});
    put_track(&d, 3, 2, NM_NUPLAN_VEHICLE, (nm_nuplan_box){.x = 9, .y = 1.5, .vx = 8, .length = 4, .width = 2});
    for (uint32_t k = 0; k < 70; ++k) d.present[3 * k + 2] = 0;
}

static void test_scenario_by_hand(void **state) {
    (void)state;
    make_scenario();
    const nm_nuplan_result *r = score(&d);
    assert_metric(&d, NM_NUPLAN_COLLISIONS, 0.5, 1.0, 61);
    assert_metric(&d, NM_NUPLAN_DRIVABLE_AREA, 1.0, 0.0, NM_NONE);
    assert_metric(&d, NM_NUPLAN_MAKING_PROGRESS, 1.0, 0.825, NM_NONE);
    assert_metric(&d, NM_NUPLAN_DRIVING_DIRECTION, 1.0, 0.0, NM_NONE);
    assert_metric(&d, NM_NUPLAN_PROGRESS, 0.825, 0.825, NM_NONE);
    assert_metric(&d, NM_NUPLAN_TTC, 0.0, 0.0, 61);
    assert_float_equal(r->metric[NM_NUPLAN_SPEED_LIMIT].value, 0.909408, 1e-6);
    assert_float_equal(r->metric[NM_NUPLAN_SPEED_LIMIT].worst, 1.0, 0);
    assert_int_equal(r->metric[NM_NUPLAN_SPEED_LIMIT].step, 40);
    assert_float_equal(r->metric[NM_NUPLAN_COMFORT].value, 1.0, 0);
    assert_float_equal(r->score, 0.3050823, 1e-7);
    assert_int_equal(r->collisions, 3);
    const nm_nuplan_class classes[3] = {NM_NUPLAN_ACTIVE_REAR, NM_NUPLAN_STOPPED_TRACK, NM_NUPLAN_ACTIVE_LATERAL};
    const uint32_t steps[3] = {31, 61, 70}, tracks[3] = {1, 0, 2};
    const double energy[3] = {2.0, 4.0, 0.0};
    for (int i = 0; i < 3; ++i) {
        assert_int_equal(d.collisions[i].collision_class, classes[i]);
        assert_int_equal(d.collisions[i].step, steps[i]);
        assert_int_equal(d.collisions[i].track, tracks[i]);
        assert_int_equal(d.collisions[i].at_fault, i == 1);
        assert_float_equal(d.collisions[i].energy, energy[i], 1e-9);
    }
    assert_int_equal(r->at_fault_objects, 1);
    assert_int_equal(r->at_fault_people + r->at_fault_vehicles, 0);
    assert_true(isinf(d.ttc[20]) && d.ttc[61] == 0.0 && isinf(d.ttc[62]));
    assert_float_equal(d.ttc[39], 2.2, 0); // 17.0 m
    // samples 40 .. 59 claim 11 m/s, 1.1 m a step
    assert_float_equal(d.ttc[48], 0.9, 0); // 9.8 m
    assert_float_equal(d.ttc[60], 0.1, 0); // 0.2 m
    assert_int_equal(r->off_route_samples, 0);
    assert_int_equal(r->multi_lane_samples, 0);
}

/// The same without the cone, and with a bound of comfort broken: (4.125 + 5 + 3.637632 + 0) / 16.
static void test_scenario_without_fault(void **state) {
    (void)state;
    make_scenario();
    for (uint32_t k = 0; k < 100; ++k) d.present[3 * k] = 0, d.ego[k].ax = -4.1;
    score(&d);
    assert_metric(&d, NM_NUPLAN_COLLISIONS, 1.0, 0.0, NM_NONE);
    assert_float_equal(d.result.metric[NM_NUPLAN_TTC].value, 1.0, 0);
    assert_metric(&d, NM_NUPLAN_COMFORT, 0.0, 4.1 / 4.05, d.result.metric[NM_NUPLAN_COMFORT].step);
    assert_float_equal(d.result.score, (4.125 + 5.0 + 3.637632) / 16.0, 1e-7);
}

// --- what it must not depend on --------------------------------------------------------------------------------------

static void assert_same_score(const nm_nuplan_result *a, const nm_nuplan_result *b, double tolerance) {
    assert_float_equal(a->score, b->score, tolerance);
    for (int m = 0; m < NM_NUPLAN_METRIC_COUNT; ++m) {
        assert_float_equal(a->metric[m].value, b->metric[m].value, tolerance);
        assert_float_equal(a->metric[m].worst, b->metric[m].worst, 10 * tolerance);
        if (tolerance == 0.0) assert_int_equal(a->metric[m].step, b->metric[m].step);
    }
    assert_int_equal(a->collisions, b->collisions);
    assert_float_equal(a->ego_progress, b->ego_progress, 10 * tolerance);
}

/// A drive with something of everything: sways, brakes, turns into lane F, meets moving tracks.
static void wild(const nm_nuplan_map *on, uint64_t seed) {
    uint32_t draw = 0;
    drive_east(&d, on, 120, 60, 0, 8);
    for (uint32_t k = 0; k < 120; ++k) {
        const double t = 0.1 * k, h = t < 6 ? 0.05 * sin(t + (double)seed) : 0.13 * (t - 6.0);
        put_ego(&d, k, 60 + 7.3 * t, 0.4 * sin(t) + (t < 6 ? 0 : 0.5 * (t - 6) * (t - 6)), h, 7.5 + 4 * sin(0.5 * t));
        d.ego[k].ax = 2 * cos(0.5 * t), d.ego[k].yaw_rate = 0.05;
        d.ego[k].time_us = 100000 * (int64_t)k + (int64_t)(2000 * sin(9.0 * k));
    }
    for (uint32_t t = 0; t < 6; ++t) {
        const double heading = nm_test_uniform(seed, &draw, -3, 3), speed = nm_test_uniform(seed, &draw, 0, 9);
        put_track(&d, 6, t, (nm_nuplan_type)(t % NM_NUPLAN_TYPE_COUNT),
                  (nm_nuplan_box){.x = nm_test_uniform(seed, &draw, 70, 150),
                                  .y = nm_test_uniform(seed, &draw, -6, 12),
                                  .heading = heading,
                                  .vx = speed * cos(heading),
                                  .vy = speed * sin(heading),
                                  .length = nm_test_uniform(seed, &draw, 1, 12),
                                  .width = nm_test_uniform(seed, &draw, 0.5, 3)});
    }
}

/// Turned by an angle and moved away, nothing changes.
static void test_rigid_motion(void **state) {
    (void)state;
    const double angle = 2.1, c = cos(angle), s = sin(angle), x0 = 4000.5, y0 = -2500.25;
    hand_map turned;
    hand_town(&turned);
    for (uint32_t i = 0; i < turned.def.point_count; ++i) {
        const nm_nuplan_point p = turned.points[i];
        turned.points[i] = (nm_nuplan_point){x0 + c * p.x - s * p.y, y0 + s * p.x + c * p.y};
    }
    const nm_nuplan_map *other = hand_finish(&turned);
    int collisions = 0;
    double product = 0.0;
    for (uint64_t seed = 0; seed < 12; ++seed) {
        wild(map, seed);
        const nm_nuplan_result here = *score(&d);
        for (uint32_t k = 0; k < 121; ++k) {
            nm_nuplan_ego *e = &d.ego[k];
            const double x = e->x, y = e->y, ex = d.expert[k].x, ey = d.expert[k].y;
            if (k < 120)
                e->x = x0 + c * x - s * y, e->y = y0 + s * x + c * y, e->heading = nm_wrap_angle_d(e->heading + angle);
            d.expert[k] = (nm_nuplan_pose){x0 + c * ex - s * ey, y0 + s * ex + c * ey, d.expert[k].heading + angle};
        }
        for (uint32_t i = 0; i < 120 * 6; ++i) {
            nm_nuplan_box *b = &d.boxes[i];
            const nm_nuplan_box o = *b;
            b->x = x0 + c * o.x - s * o.y, b->y = y0 + s * o.x + c * o.y;
            b->vx = c * o.vx - s * o.vy, b->vy = s * o.vx + c * o.vy;
            b->heading = nm_wrap_angle_d(o.heading + angle);
        }
        d.view.map = other;
        assert_same_score(&here, score(&d), 1e-7);
        collisions += (int)here.collisions;
        product += here.metric[NM_NUPLAN_SPEED_LIMIT].value;
    }
    assert_true(collisions >= 5);                  // the drives have something to be scored
    assert_true(product > 0.1 && product < 11.99); // and something to be lost
    nm_nuplan_map_destroy(other);
}

/// The tracks in another order: the same score, and the same collisions under their new numbers.
static void test_order_of_tracks(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 12; ++seed) {
        wild(map, seed);
        const nm_nuplan_result here = *score(&d);
        nm_nuplan_collision before[TRACK_MAX];
        memcpy(before, d.collisions, sizeof before);
        for (uint32_t k = 0; k < 120; ++k)
            for (uint32_t t = 0; t < 3; ++t) {
                const nm_nuplan_box box = d.boxes[6 * k + t];
                d.boxes[6 * k + t] = d.boxes[6 * k + 5 - t];
                d.boxes[6 * k + 5 - t] = box;
            }
        for (uint32_t t = 0; t < 3; ++t) {
            const uint8_t type = d.types[t];
            d.types[t] = d.types[5 - t];
            d.types[5 - t] = type;
        }
        const nm_nuplan_result *there = score(&d);
        assert_same_score(&here, there, 0);
        for (uint32_t i = 0; i < here.collisions; ++i) {
            uint32_t k = 0;
            while (k < here.collisions && d.collisions[k].track != 5 - before[i].track) ++k;
            assert_true(k < here.collisions);
            assert_int_equal(d.collisions[k].step, before[i].step);
            assert_int_equal(d.collisions[k].collision_class, before[i].collision_class);
        }
    }
}

/// Tracks far away, or not present, change nothing; nor does asking for the series.
static void test_indifference(void **state) {
    (void)state;
    make_scenario();
    const nm_nuplan_result here = *score(&d);
    nm_nuplan_result alone;
    nm_error error;
    assert_int_equal(nm_nuplan_score(&d.view, &alone, NULL, 0, NULL, &error), NM_OK);
    assert_same_score(&here, &alone, 0);
    put_track(&d, 3, 2, NM_NUPLAN_VEHICLE, (nm_nuplan_box){.x = 1e6, .y = 1e6, .vx = 8, .length = 4, .width = 2});
    score(&d);
    assert_int_equal(d.result.collisions, 2);
    assert_float_equal(d.result.score, here.score, 0);
    d.view.tracks = 0;
    d.view.boxes = NULL, d.view.types = NULL, d.view.present = NULL;
    score(&d);
    assert_int_equal(d.result.collisions, 0);
}

// --- how metrics add up ----------------------------------------------------------------------------------------------

static void test_combine(void **state) {
    (void)state;
    // collisions, area, making progress, direction; progress, TTC, speed, comfort
    const double all[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    assert_float_equal(nm_nuplan_combine(all), 1.0, 0);
    for (int m = 0; m < 8; ++m) {
        double one[8];
        memcpy(one, all, sizeof one);
        one[m] = 0.5;
        const double weight = m < 4 ? 16 : m < 6 ? 5 : m == 6 ? 4 : 2;
        assert_float_equal(nm_nuplan_combine(one), 1.0 - 0.5 * weight / 16.0, 1e-15);
    }
    const double mixed[8] = {0.5, 1, 1, 0.5, 0.8, 1, 0.25, 0};
    assert_float_equal(nm_nuplan_combine(mixed), 0.25 * (4 + 5 + 1) / 16.0, 1e-15);
    // without a score: neither in the sum nor in the weights
    const double none[8] = {NAN, 1, 1, 1, 0.5, NAN, 1, NAN};
    assert_float_equal(nm_nuplan_combine(none), (2.5 + 4) / 9.0, 1e-15);
    const double no_average[8] = {1, 1, 1, 1, NAN, NAN, NAN, NAN};
    assert_float_equal(nm_nuplan_combine(no_average), 0.0, 0);
}

static void test_descriptions(void **state) {
    (void)state;
    double weights = 0.0;
    for (int m = 0; m < NM_NUPLAN_METRIC_COUNT; ++m) {
        const nm_nuplan_description *one = nm_nuplan_describe((nm_nuplan_metric)m);
        assert_true(one->name && *one->name && one->unit && *one->unit && one->meaning && *one->meaning);
        assert_true(one->low <= one->high);
        assert_int_equal(one->role, m < 4 ? NM_NUPLAN_MULTIPLIER : m < 8 ? NM_NUPLAN_AVERAGE : NM_NUPLAN_PART);
        assert_int_equal(one->weight > 0.0, one->role == NM_NUPLAN_AVERAGE);
        weights += one->weight;
        for (int k = 0; k < m; ++k) assert_string_not_equal(one->name, nm_nuplan_describe((nm_nuplan_metric)k)->name);
    }
    assert_float_equal(weights, 16.0, 0);
    assert_string_equal(nm_nuplan_describe(NM_NUPLAN_TTC)->name, "time_to_collision_within_bound");
}

static nm_nuplan_entry entry_of(uint32_t type, double value, int failed) {
    nm_nuplan_entry entry = {.type = type, .failed = failed, .score = value};
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) entry.metric[m] = value + 0.01 * m;
    return entry;
}

/// Type 0: 1.0, 0.5 and a crash; type 1: 0.2; type 2: nothing.
static void test_aggregate(void **state) {
    (void)state;
    nm_nuplan_entry entries[4] = {entry_of(0, 1.0, 0), entry_of(1, 0.2, 0), entry_of(0, 0.5, 0), entry_of(0, NAN, 1)};
    nm_nuplan_mean types[3], all;
    nm_error error;
    entries[1].metric[NM_NUPLAN_TTC] = NAN;
    assert_int_equal(nm_nuplan_aggregate(entries, 4, NM_NUPLAN_FAILURES_COUNT, types, 3, &all, &error), NM_OK);
    assert_float_equal(types[0].score, 0.5, 1e-15); // 1.5 / 3
    assert_float_equal(types[1].score, 0.2, 1e-15);
    assert_true(isnan(types[2].score));
    assert_true(types[0].scenarios == 3 && types[0].failed == 1 && types[2].scenarios == 0);
    assert_float_equal(types[0].metric[2], 1.54, 1e-15); // a sum
    assert_float_equal(all.score, (3 * 0.5 + 1 * 0.2) / 4, 1e-15);
    assert_float_equal(all.metric[2], (1.54 + 0.22) / 4, 1e-15); // a mean
    assert_float_equal(all.metric[NM_NUPLAN_TTC], (1.5 + 0.1) / 4, 1e-15);
    assert_true(all.scenarios == 4 && all.failed == 1);
    // as the devkit: the crash is no scenario
    assert_int_equal(nm_nuplan_aggregate(entries, 4, NM_NUPLAN_FAILURES_SKIP, types, 3, &all, &error), NM_OK);
    assert_float_equal(types[0].score, 0.75, 1e-15);
    assert_float_equal(all.score, 1.7 / 3, 1e-15);
    assert_true(all.scenarios == 3 && all.failed == 1 && types[0].scenarios == 2);
    assert_int_equal(nm_nuplan_aggregate(NULL, 0, NM_NUPLAN_FAILURES_COUNT, NULL, 0, &all, &error), NM_OK);
    assert_true(isnan(all.score) && all.scenarios == 0);
    assert_int_equal(nm_nuplan_aggregate(entries, 4, NM_NUPLAN_FAILURES_COUNT, types, 1, &all, &error), NM_E_ARGUMENT);
    entries[3].failed = 0;
    assert_int_equal(nm_nuplan_aggregate(entries, 4, NM_NUPLAN_FAILURES_COUNT, types, 3, &all, &error), NM_E_NUMERIC);
}

// --- input -----------------------------------------------------------------------------------------------------------

static void test_refuses(void **state) {
    (void)state;
    nm_nuplan_result result = {.score = 77};
    nm_error error;
#define BAD(change, status, what)                                                                                      \
    do {                                                                                                               \
        make_scenario();                                                                                               \
        change;                                                                                                        \
        assert_int_equal(nm_nuplan_score(&d.view, &result, NULL, 0, NULL, &error), status);                            \
        if (!strstr(error.message, what)) fail_msg("\"%s\" does not speak of %s", error.message, what);                \
        assert_float_equal(result.score, 77, 0);                                                                       \
    } while (0)
    BAD(d.view.samples = 3, NM_E_ARGUMENT, "3 samples");
    BAD(d.view.samples = 2000000, NM_E_ARGUMENT, "2000000 samples");
    BAD(d.view.expert_samples = 0, NM_E_ARGUMENT, "0 of the expert");
    BAD(d.ego[9].time_us = d.ego[8].time_us, NM_E_ARGUMENT, "sample 9");
    BAD(d.ego[0].time_us = -1, NM_E_ARGUMENT, "sample 0");
    BAD(d.ego[9].heading = NAN, NM_E_NUMERIC, "sample 9");
    BAD(d.ego[9].yaw_accel = INFINITY, NM_E_NUMERIC, "sample 9");
    BAD(d.ego[99].x = 1e9, NM_E_NUMERIC, "sample 99");
    BAD(d.expert[100].y = NAN, NM_E_NUMERIC, "pose 100");
    BAD(d.view.vehicle.width = 0, NM_E_ARGUMENT, "vehicle");
    BAD(d.view.vehicle.rear_to_centre = NAN, NM_E_ARGUMENT, "vehicle");
    BAD(d.types[1] = NM_NUPLAN_TYPE_COUNT, NM_E_ARGUMENT, "track 1");
    BAD(d.boxes[3 * 80 + 1].vy = NAN, NM_E_NUMERIC, "track 1 at sample 80");
    BAD(d.boxes[3 * 80 + 1].length = 0, NM_E_ARGUMENT, "track 1 at sample 80");
#undef BAD
}

static void test_vehicles_and_types(void **state) {
    (void)state;
    const nm_nuplan_vehicle p = nm_nuplan_vehicle_pacifica(), same = nm_nuplan_vehicle_sized(5.176, 2.297);
    assert_float_equal(same.rear_to_centre, 1.461, 0);
    assert_float_equal(same.wheelbase, 3.089, 0);
    // front 4.049 and rear 1.127 from the rear axle
    assert_float_equal(p.rear_to_centre + p.length / 2, 4.049, 1e-12);
    assert_float_equal(p.length / 2 - p.rear_to_centre, 1.127, 1e-12);
    const nm_nuplan_vehicle half = nm_nuplan_vehicle_sized(2.588, 1);
    assert_float_equal(half.rear_to_centre, 1.461 / 2, 1e-12);
    assert_float_equal(half.wheelbase, 3.089 / 2, 1e-12);
    assert_int_equal(nm_nuplan_type_of(NM_AGENT_TRUCK), NM_NUPLAN_VEHICLE);
    assert_int_equal(nm_nuplan_type_of(NM_AGENT_UNKNOWN), NM_NUPLAN_VEHICLE);
    assert_int_equal(nm_nuplan_type_of(NM_AGENT_CYCLIST), NM_NUPLAN_BICYCLE);
    assert_int_equal(nm_nuplan_type_of(NM_AGENT_MOTORCYCLE), NM_NUPLAN_BICYCLE);
    assert_int_equal(nm_nuplan_type_of(NM_AGENT_PEDESTRIAN), NM_NUPLAN_PEDESTRIAN);
    assert_int_equal(nm_nuplan_type_of(NM_AGENT_OBSTACLE), NM_NUPLAN_GENERIC_OBJECT);
    assert_int_equal(nm_nuplan_type_static(NM_NUPLAN_BICYCLE), 0);
    assert_int_equal(nm_nuplan_type_static(NM_NUPLAN_TRAFFIC_CONE), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenario_by_hand), cmocka_unit_test(test_scenario_without_fault),
        cmocka_unit_test(test_rigid_motion),     cmocka_unit_test(test_order_of_tracks),
        cmocka_unit_test(test_indifference),     cmocka_unit_test(test_combine),
        cmocka_unit_test(test_descriptions),     cmocka_unit_test(test_aggregate),
        cmocka_unit_test(test_refuses),          cmocka_unit_test(test_vehicles_and_types),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
