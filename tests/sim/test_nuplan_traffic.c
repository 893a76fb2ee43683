/// Collisions, their class and fault, and the time to collision.
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

// --- boxes -----------------------------------------------------------------------------------------------------------

static void test_boxes(void **state) {
    (void)state;
    const nm_nuplan_rectangle a = {0, 0, 1, 0, 2, 1};
    nm_nuplan_rectangle b = {4, 0, 1, 0, 2, 1};
    assert_int_equal(nm_nuplan_collide(&a, &b), 1); // touching
    b.x = 4.000001;
    assert_int_equal(nm_nuplan_collide(&a, &b), 0);
    b = (nm_nuplan_rectangle){4, 2, 1, 0, 2, 1}; // corner to corner: the centres are half the diagonals apart, not less
    assert_int_equal(nm_nuplan_overlap(&a, &b), 1);
    assert_int_equal(nm_nuplan_collide(&a, &b), 0);
    b = (nm_nuplan_rectangle){3, 0, 0.6, 0.8, 0.5, 0.5}; // corners reach 0.7 to the west: 2.3
    assert_int_equal(nm_nuplan_collide(&a, &b), 0);
    b.x = 2.69;
    assert_int_equal(nm_nuplan_collide(&a, &b), 1);
}

// --- classes ---------------------------------------------------------------------------------------------------------

/// The ego stands (in position) with its centre at (50, y), rear axle at (49, y), and the speed given; one track.
static const nm_nuplan_collision *collide(double y, double ego_speed, nm_nuplan_type type, nm_nuplan_box box) {
    drive_east(&d, map, 10, 50, y, 0);
    for (int k = 0; k < 10; ++k) d.ego[k].vx = ego_speed;
    put_track(&d, 1, 0, type, (nm_nuplan_box){.length = 1, .width = 1});
    for (int k = 0; k < 10; ++k) d.boxes[k] = box;
    assert_int_equal(score(&d)->collisions, 1);
    assert_int_equal(d.collisions[0].step, 0);
    assert_int_equal(d.collisions[0].track, 0);
    assert_int_equal(d.collisions[0].type, type);
    const uint32_t faults = d.result.at_fault_people + d.result.at_fault_vehicles + d.result.at_fault_objects;
    assert_int_equal(faults, d.collisions[0].at_fault);
    assert_metric(&d, NM_NUPLAN_COLLISIONS,
                  !faults                     ? 1.0
                  : d.result.at_fault_objects ? 0.5
                                              : 0.0,
                  faults, faults ? 0 : NM_NONE);
    return &d.collisions[0];
}

#define ASSERT_CLASS(collision, which, fault)                                                                          \
    do {                                                                                                               \
        const nm_nuplan_collision *c_ = (collision);                                                                   \
        assert_string_equal(nm_nuplan_class_name((nm_nuplan_class)c_->collision_class), nm_nuplan_class_name(which));  \
        assert_int_equal(c_->at_fault, fault);                                                                         \
    } while (0)

/// A car of 4 m by 2 m, moving east.
static nm_nuplan_box car(double x, double y, double speed) {
    return (nm_nuplan_box){.x = x, .y = y, .vx = speed, .length = 4, .width = 2};
}

static void test_stopped(void **state) {
    (void)state;
    const nm_nuplan_type v = NM_NUPLAN_VEHICLE;
    ASSERT_CLASS(collide(0, 0.05, v, car(53, 0, 0)), NM_NUPLAN_STOPPED_EGO, 0); // before the stopped track
    ASSERT_CLASS(collide(0, 0.0500001, v, car(53, 0, 0.05)), NM_NUPLAN_STOPPED_TRACK, 1);
    ASSERT_CLASS(collide(0, 0.0500001, v, car(53, 0, 0.0500001)), NM_NUPLAN_ACTIVE_FRONT, 1);
    ASSERT_CLASS(collide(0, 5, v, car(47, 0, 0.05)), NM_NUPLAN_STOPPED_TRACK, 1); // before the one behind
    // the speed is that of the rear axle, sideways motion included
    drive_east(&d, map, 10, 50, 0, 0);
    for (int k = 0; k < 10; ++k) d.ego[k].vy = 0.06;
    put_track(&d, 1, 0, v, car(53, 0, 0));
    score(&d);
    ASSERT_CLASS(&d.collisions[0], NM_NUPLAN_STOPPED_TRACK, 1);
}

/// Things have no velocity, whatever is said of it; people do.
static void test_static_types(void **state) {
    (void)state;
    for (int type = NM_NUPLAN_TRAFFIC_CONE; type <= NM_NUPLAN_GENERIC_OBJECT; ++type) {
        ASSERT_CLASS(collide(0, 5, (nm_nuplan_type)type, car(47, 0, 9)), NM_NUPLAN_STOPPED_TRACK, 1);
        assert_float_equal(d.collisions[0].energy, 2.5, 1e-12);
        assert_int_equal(d.result.at_fault_objects, 1);
        ASSERT_CLASS(collide(0, 0, (nm_nuplan_type)type, car(47, 0, 9)), NM_NUPLAN_STOPPED_EGO, 0);
    }
    ASSERT_CLASS(collide(0, 5, NM_NUPLAN_PEDESTRIAN, car(47, 0, 9)), NM_NUPLAN_ACTIVE_REAR, 0);
    ASSERT_CLASS(collide(0, 5, NM_NUPLAN_PEDESTRIAN, car(53, 0, 1)), NM_NUPLAN_ACTIVE_FRONT, 1);
    assert_int_equal(d.result.at_fault_people, 1);
    ASSERT_CLASS(collide(0, 5, NM_NUPLAN_BICYCLE, car(53, 0, 1)), NM_NUPLAN_ACTIVE_FRONT, 1);
    assert_int_equal(d.result.at_fault_people, 1);
}

/// Behind is beyond 150 degrees, as seen from the rear axle at (49, 0): 3 m away, the border is 2.598 m back and 1.5 m
/// aside. There both boxes overlap: the car reaches from x = 44.4 to 48.4, the ego from 48.
static void test_behind(void **state) {
    (void)state;
    const double angle = 150.0 * NM_PI / 180.0;
    for (int side = -1; side <= 1; side += 2) {
        const double past = angle + 1e-9, before = angle - 1e-9;
        ASSERT_CLASS(collide(0, 5, NM_NUPLAN_VEHICLE, car(49 + 3 * cos(past), side * 3 * sin(past), 9)),
                     NM_NUPLAN_ACTIVE_REAR, 0);
        ASSERT_CLASS(collide(0, 5, NM_NUPLAN_VEHICLE, car(49 + 3 * cos(before), side * 3 * sin(before), 9)),
                     NM_NUPLAN_ACTIVE_LATERAL, 0);
    }
    // a centre on the rear axle is not behind: a small box there is hit by nothing but the sides
    nm_nuplan_box small = car(49, 0, 9);
    small.length = small.width = 0.5;
    ASSERT_CLASS(collide(0, 5, NM_NUPLAN_VEHICLE, small), NM_NUPLAN_ACTIVE_LATERAL, 0);
}

/// The front bumper runs from (52, -1) to (52, 1).
static void test_front_and_side(void **state) {
    (void)state;
    const nm_nuplan_type v = NM_NUPLAN_VEHICLE;
    ASSERT_CLASS(collide(0, 5, v, car(50, 2, 4)), NM_NUPLAN_ACTIVE_FRONT, 1); // touches the bumper's end at (52, 1)
    ASSERT_CLASS(collide(0, 5, v, car(49.999, 2, 4)), NM_NUPLAN_ACTIVE_LATERAL, 0);
    ASSERT_CLASS(collide(0, 5, v, car(54, 0, 4)), NM_NUPLAN_ACTIVE_FRONT, 1); // touches along it
    // at the side, the fault is with whoever is not in one lane: astride A and B, y from 1 to 3
    ASSERT_CLASS(collide(2, 5, v, car(49, 4, 4)), NM_NUPLAN_ACTIVE_LATERAL, 1);
    assert_int_equal(d.multi_lane[0], 1);
    assert_int_equal(d.result.multi_lane_samples, 10);
    ASSERT_CLASS(collide(-2, 5, v, car(49, -4, 4)), NM_NUPLAN_ACTIVE_LATERAL, 1); // partly off the road
    ASSERT_CLASS(collide(0, 5, v, car(49, 2, 4)), NM_NUPLAN_ACTIVE_LATERAL, 0);
}

static void test_energy(void **state) {
    (void)state;
    nm_nuplan_box box = car(53, 0, 3);
    assert_float_equal(collide(0, 5, NM_NUPLAN_VEHICLE, box)->energy, 1.0, 1e-12); // (5 - 3) / 2
    box.heading = NM_PI;
    assert_float_equal(collide(0, 5, NM_NUPLAN_VEHICLE, box)->energy, 4.0, 1e-12); // (5 + 3) / 2: by the headings
    box.heading = NM_PI / 2;
    assert_float_equal(collide(0, 5, NM_NUPLAN_VEHICLE, box)->energy, 0.5 * sqrt(34.0), 1e-12);
    box.heading = 0, box.vx = 3, box.vy = 4; // a magnitude of 5, as the ego's
    assert_float_equal(collide(0, 5, NM_NUPLAN_VEHICLE, box)->energy, 0.0, 1e-7);
}

/// Counts and groups: f(people, 0) f(vehicles, 0) f(objects, 1).
static void test_groups(void **state) {
    (void)state;
    static const struct {
        nm_nuplan_type types[3];
        uint32_t count;
        double value;
    } cases[] = {
        {{NM_NUPLAN_TRAFFIC_CONE}, 1, 0.5},
        {{NM_NUPLAN_TRAFFIC_CONE, NM_NUPLAN_BARRIER}, 2, 0.0},
        {{NM_NUPLAN_TRAFFIC_CONE, NM_NUPLAN_BARRIER, NM_NUPLAN_CZONE_SIGN}, 3, 0.0},
        {{NM_NUPLAN_VEHICLE}, 1, 0.0},
        {{NM_NUPLAN_PEDESTRIAN}, 1, 0.0},
        {{NM_NUPLAN_BICYCLE}, 1, 0.0},
        {{NM_NUPLAN_GENERIC_OBJECT, NM_NUPLAN_VEHICLE}, 2, 0.0},
        {{NM_NUPLAN_PEDESTRIAN, NM_NUPLAN_VEHICLE, NM_NUPLAN_BICYCLE}, 3, 0.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        drive_east(&d, map, 10, 50, 0, 5);
        for (uint32_t t = 0; t < cases[i].count; ++t) // one after the other: at samples 2, 4, 6
            put_track(&d, cases[i].count, t, cases[i].types[t],
                      (nm_nuplan_box){.x = 53.3 + t, .length = 0.7, .width = 1});
        score(&d);
        assert_metric(&d, NM_NUPLAN_COLLISIONS, cases[i].value, cases[i].count, 2);
        assert_int_equal(d.result.collisions, cases[i].count);
        for (uint32_t t = 0; t < cases[i].count; ++t) assert_int_equal(d.collisions[t].step, 2 + 2 * t);
    }
}

/// A track counts once, at its first contact, however often it comes back; not where it is not there.
static void test_once_per_track(void **state) {
    (void)state;
    drive_east(&d, map, 10, 50, 0, 0);
    for (int k = 0; k < 10; ++k) d.ego[k].vx = 5;
    put_track(&d, 2, 0, NM_NUPLAN_VEHICLE, car(53, 0, 0));
    put_track(&d, 2, 1, NM_NUPLAN_VEHICLE, car(53, 0, 0));
    for (int k = 0; k < 10; ++k) {
        if (k % 2) d.boxes[2 * k].x = 70;      // gone and back
        if (k < 7) d.present[2 * k + 1] = 0;   // appears at sample 7
        if (k < 7) d.boxes[2 * k + 1].x = NAN; // what is not there is not looked at
    }
    score(&d);
    assert_int_equal(d.result.collisions, 2);
    assert_int_equal(d.collisions[0].step, 0);
    assert_int_equal(d.collisions[1].step, 7);
    assert_int_equal(d.collisions[1].track, 1);
}

/// More collisions than room: all are counted, the first are told.
static void test_room(void **state) {
    (void)state;
    drive_east(&d, map, 10, 50, 0, 0);
    for (int k = 0; k < 10; ++k) d.ego[k].vx = 5;
    for (uint32_t t = 0; t < 3; ++t) put_track(&d, 3, t, NM_NUPLAN_VEHICLE, car(53, 0, 0));
    nm_nuplan_collision two[2] = {{.track = 9}, {.track = 9}};
    nm_error error;
    assert_int_equal(nm_nuplan_score(&d.view, &d.result, two, 1, NULL, &error), NM_OK);
    assert_int_equal(d.result.collisions, 3);
    assert_int_equal(two[0].track, 0);
    assert_int_equal(two[1].track, 9);
}

// --- time to collision -----------------------------------------------------------------------------------------------

/// The ego stands with its centre at (x, y), looking east, and has the speed given at sample 0 alone; one track.
static double ttc_of(double x, double y, double speed, nm_nuplan_type type, nm_nuplan_box box) {
    drive_east(&d, map, 10, x, y, 0);
    d.ego[0].vx = speed;
    put_track(&d, 1, 0, type, (nm_nuplan_box){.length = 1, .width = 1});
    for (int k = 0; k < 10; ++k) d.boxes[k] = box;
    score(&d);
    for (int k = 1; k < 10; ++k) assert_true(isinf(d.ttc[k]));
    const double ttc = d.ttc[0];
    assert_metric(&d, NM_NUPLAN_TTC, ttc > 0.95, ttc, isinf(ttc) ? NM_NONE : 0);
    return ttc;
}
/// A standing car whose rear is `gap` ahead of the ego at (50, 0), whose front is at 52.
static nm_nuplan_box ahead(double gap) {
    return car(54 + gap, 0, 0);
}

static void test_ttc_grid(void **state) {
    (void)state;
    const nm_nuplan_type v = NM_NUPLAN_VEHICLE;
    // at 5 m/s: 0.5 m a step
    assert_float_equal(ttc_of(50, 0, 5, v, ahead(0.1)), 0.1, 0);
    assert_float_equal(ttc_of(50, 0, 5, v, ahead(4.49)), 0.9, 0); // fails
    assert_float_equal(ttc_of(50, 0, 5, v, ahead(4.51)), 1.0, 0); // passes
    assert_float_equal(ttc_of(50, 0, 5, v, ahead(14.49)), 2.9, 0);
    assert_true(isinf(ttc_of(50, 0, 5, v, ahead(14.51)))); // 3.0 is past the end, though the stretched boxes meet
    // stopped: 0.005 m/s and below
    assert_true(isinf(ttc_of(50, 0, 0.005, v, ahead(0.001))));
    assert_float_equal(ttc_of(50, 0, 0.0051, v, ahead(0.001)), 0.2, 0); // 0.00051 m a step
}

static void test_ttc_moving(void **state) {
    (void)state;
    const nm_nuplan_type v = NM_NUPLAN_VEHICLE;
    nm_nuplan_box box = ahead(5.01);
    box.vx = -5; // towards the ego, but pointing away: projected forward, away
    assert_true(isinf(ttc_of(50, 0, 5, v, box)));
    box.heading = NM_PI; // oncoming: 1 m a step
    assert_float_equal(ttc_of(50, 0, 5, v, box), 0.6, 0);
    assert_float_equal(ttc_of(50, 0, 5, NM_NUPLAN_BARRIER, box), 1.1, 0); // things stand
    box.heading = 0, box.vx = 3;                                          // closing at 2 m/s: 0.2 m a step
    assert_float_equal(ttc_of(50, 0, 5, v, box), 2.6, 0);
    box.vx = 3, box.vy = 4; // the magnitude, 5, along the heading
    assert_true(isinf(ttc_of(50, 0, 5, v, box)));
}

/// Ahead is within 30 degrees from the rear axle, at (49, 0). A crossing car 10 m away at 29.9 or 30.1 degrees, heading
/// south at 4 m/s: it meets the ego (5 m/s) where? Its centre is at (57.67, 4.98) or (57.65, 5.02); its half width (1)
/// reaches x = 56.65, the ego's front (52 + 5 t) gets there at 0.93 s or so, its front (y - 2 - 4 t) reaches y = 1 at
/// 0.5 s: collision at 1.0 s.
static nm_nuplan_box crossing(double rear_x, double rear_y, double degrees) {
    const double angle = degrees * NM_PI / 180.0;
    return (nm_nuplan_box){.x = rear_x + 10 * cos(angle),
                           .y = rear_y + 10 * sin(angle),
                           .heading = -NM_PI / 2,
                           .vy = -4,
                           .length = 4,
                           .width = 2};
}

static void test_ttc_who(void **state) {
    (void)state;
    const nm_nuplan_type v = NM_NUPLAN_VEHICLE;
    assert_float_equal(ttc_of(50, 0, 5, v, crossing(49, 0, 29.9)), 1.0, 0);
    assert_true(isinf(ttc_of(50, 0, 5, v, crossing(49, 0, 30.1))));           // in one lane, outside intersections
    assert_float_equal(ttc_of(50, 2, 5, v, crossing(49, 2, 30.1)), 1.0, 0);   // astride two lanes
    assert_float_equal(ttc_of(110, 0, 5, v, crossing(109, 0, 30.1)), 1.0, 0); // in the intersection
    // it is the rear axle that has to be in it: at x = 99.5 the centre is, in one lane all the same
    assert_true(isinf(ttc_of(100.5, 0, 5, v, crossing(99.5, 0, 30.1))));
    assert_int_equal(d.multi_lane[0], 0);
    assert_float_equal(ttc_of(101.5, 0, 5, v, crossing(100.5, 0, 30.1)), 1.0, 0);
    // behind, beyond 150 degrees, is never looked at; just before it is. A car 10 m away at 8 m/s eastwards, 3 m/s ego:
    // its front is at x - 8.66 + 2, the ego's rear at x - 1: 5.66 m, closing at 5 m/s; but aside by 5 m: turned towards
    // the ego it would meet it
    nm_nuplan_box chaser = {.x = 109 - 8.66, .y = 4.99, .vx = 8, .vy = 0, .length = 4, .width = 9};
    assert_true(isinf(ttc_of(110, 0, 3, v, chaser))); // 150.05 degrees
    chaser.y = 5.01;                                  // 149.95 degrees; width 9 reaches down to 0.51
    assert_float_equal(ttc_of(110, 0, 3, v, chaser), 1.2, 0);
}

/// A collision at fault makes its sample's TTC 0; from then on the track is gone. One without fault is gone, too.
static void test_ttc_after_collisions(void **state) {
    (void)state;
    drive_east(&d, map, 20, 50, 0, 5);
    put_track(&d, 1, 0, NM_NUPLAN_TRAFFIC_CONE, (nm_nuplan_box){.x = 54.8, .length = 0.7, .width = 0.7});
    score(&d); // its near side at 54.45 is reached at sample 5: 52 + 2.5 = 54.5
    assert_int_equal(d.collisions[0].step, 5);
    assert_float_equal(d.ttc[0], 0.5, 0);
    assert_float_equal(d.ttc[4], 0.1, 0);
    assert_float_equal(d.ttc[5], 0.0, 0);
    for (int k = 6; k < 20; ++k) assert_true(isinf(d.ttc[k]));
    assert_metric(&d, NM_NUPLAN_TTC, 0.0, 0.0, 5);
    assert_metric(&d, NM_NUPLAN_COLLISIONS, 0.5, 1.0, 5);

    // beside, in one lane, not at fault, then in front of the ego: it would be hit within 0.1 s, but is gone
    drive_east(&d, map, 20, 50, 0, 0);
    for (int k = 0; k < 20; ++k) d.ego[k].vx = 5;
    put_track(&d, 1, 0, NM_NUPLAN_VEHICLE, car(49, 2, 4));
    for (int k = 1; k < 20; ++k) d.boxes[k] = car(54.1, 0, 0);
    score(&d);
    assert_int_equal(d.collisions[0].at_fault, 0);
    for (int k = 0; k < 20; ++k) assert_true(isinf(d.ttc[k]));

    // gone from the very sample of its contact: in the intersection, where what is beside is looked at
    drive_east(&d, map, 10, 110, 0, 0);
    for (int k = 0; k < 10; ++k) d.ego[k].vx = 5;
    put_track(&d, 1, 0, NM_NUPLAN_VEHICLE, car(109, 2.4, 5));
    for (int k = 0; k < 10; ++k) { // turned by 0.1 rad it reaches 0.995 + 0.2 m down: to 1.2 m at first, then to 0.7 m
        d.boxes[k].heading = -0.1;
        d.boxes[k].x = 109;
        if (k >= 3) d.boxes[k].y = 1.9;
    }
    score(&d);
    assert_int_equal(d.collisions[0].step, 3);
    assert_string_equal(nm_nuplan_class_name((nm_nuplan_class)d.collisions[0].collision_class), "active_lateral");
    assert_int_equal(d.collisions[0].at_fault, 0);
    assert_true(d.ttc[2] < 1.0);
    for (int k = 3; k < 10; ++k) assert_true(isinf(d.ttc[k]));
}

/// Random boxes around an ego astride two lanes, whose TTC step by step is that of moved boxes.
static void test_ttc_step_by_step(void **state) {
    (void)state;
    uint32_t draw = 0, finite = 0;
    for (int n = 0; n < 400; ++n) {
        const double heading = nm_test_uniform(5, &draw, -3, 3), speed = nm_test_uniform(5, &draw, 0, 9);
        const nm_nuplan_box box = {.x = nm_test_uniform(5, &draw, 50, 80),
                                   .y = nm_test_uniform(5, &draw, -15, 19),
                                   .heading = heading,
                                   .vx = speed * cos(heading),
                                   .vy = speed * sin(heading),
                                   .length = nm_test_uniform(5, &draw, 1, 9),
                                   .width = nm_test_uniform(5, &draw, 0.5, 3)};
        const nm_nuplan_rectangle ego = {50, 2, 1, 0, 2, 1}, other = nm_nuplan_rectangle_of(&box);
        if (nm_nuplan_collide(&ego, &other)) continue;
        double want = INFINITY;
        for (int i = 29; i >= 1; --i) {
            const nm_nuplan_rectangle a = nm_nuplan_advanced(ego, 0.7 * i),
                                      b = nm_nuplan_advanced(other, 0.1 * i * speed);
            if (nm_nuplan_collide(&a, &b)) want = 0.1 * i;
        }
        assert_float_equal(ttc_of(50, 2, 7, NM_NUPLAN_VEHICLE, box), want, 1e-9);
        finite += isfinite(want) != 0;
    }
    assert_true(finite > 40);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boxes),          cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_static_types),   cmocka_unit_test(test_behind),
        cmocka_unit_test(test_front_and_side), cmocka_unit_test(test_energy),
        cmocka_unit_test(test_groups),         cmocka_unit_test(test_once_per_track),
        cmocka_unit_test(test_room),           cmocka_unit_test(test_ttc_grid),
        cmocka_unit_test(test_ttc_moving),     cmocka_unit_test(test_ttc_step_by_step),
        cmocka_unit_test(test_ttc_who),        cmocka_unit_test(test_ttc_after_collisions),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
