/// Which lanes a point and the corners of the ego are assigned to; the footprint in one lane.
#include "nuplan_support.h"

static hand_map town;
static const nm_nuplan_map *map;

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

/// The route of `count` points, as text: a letter an object, "-" for none, a blank between samples.
static char text[256];
static const char *route_of(const nm_nuplan_map *on, const nm_nuplan_point *points, uint32_t count) {
    nm_range sets[16];
    nm_nuplan_route route = {.set = sets};
    assert_true(count <= 16);
    assert_int_equal(nm_nuplan_find_route(on, points, count, &route), 1);
    size_t at = 0;
    for (uint32_t k = 0; k < count; ++k) {
        if (k) text[at++] = ' ';
        if (!sets[k].count) text[at++] = '-';
        for (uint32_t i = 0; i < sets[k].count; ++i) text[at++] = (char)('A' + nm_nuplan_set(&route, k)[i]);
    }
    text[at] = 0;
    nm_pile_free(&route.refs);
    return text;
}
#define POINTS(...)                                                                                                    \
    ((const nm_nuplan_point[]){__VA_ARGS__}), sizeof((const nm_nuplan_point[]){__VA_ARGS__}) / sizeof(nm_nuplan_point)

/// In the town, letters are A .. F of its drawing in the order of its enumeration: A, B, C, D = connector E, E = lane
/// D.
static void test_straight_on(void **state) {
    (void)state;
    // on the connectors both contain the point; backwards, only C leads into lane D
    assert_string_equal(route_of(map, POINTS({95, 0}, {101, 0}, {110, 0}, {129, 0}, {131, 0})), "A C C C E");
    // without an end in lane D both stay
    assert_string_equal(route_of(map, POINTS({95, 0}, {101, 0}, {110, 0})), "A CD CD");
    // the set shrinks to what goes on: above y = 2 there is only connector E
    assert_string_equal(route_of(map, POINTS({95, 0}, {101, 0}, {110, 1}, {113, 5}, {115, 11})), "A D D D F");
}

static void test_strictly_inside(void **state) {
    (void)state;
    assert_string_equal(route_of(map, POINTS({99, 0}, {100, 0}, {101, 0})), "A - CD"); // the border is in neither
    assert_string_equal(route_of(map, POINTS({50, 2})), "-");                          // nor is that of A and B
    assert_string_equal(route_of(map, POINTS({50, 1.999999}, {50, 2.000001})), "A B");
    assert_string_equal(route_of(map, POINTS({0, 0})), "-");
    assert_string_equal(route_of(map, POINTS({0, -2})), "-"); // a corner
}

/// Only a single object is extended by its successors; two are left for a fresh look.
static void test_successors_of_a_single_object(void **state) {
    (void)state;
    hand_map m;
    hand_begin(&m);
    // lane A leads to connector B; B and C overlap from 20 to 30
    hand_lane(&m, NM_NUPLAN_LANE, 0, 0, 20, 4, (nm_nuplan_point){0, 2}, (nm_nuplan_point){20, 2}, 0);
    hand_lane(&m, NM_NUPLAN_CONNECTOR, 20, 0, 30, 4, (nm_nuplan_point){20, 2}, (nm_nuplan_point){30, 2}, 0);
    hand_lane(&m, NM_NUPLAN_CONNECTOR, 20, 0, 30, 4, (nm_nuplan_point){20, 3}, (nm_nuplan_point){30, 3}, 0);
    hand_link(&m, 0, 1);
    const nm_nuplan_map *made = hand_finish(&m);
    assert_string_equal(route_of(made, POINTS({10, 2}, {25, 2})), "A B");
    assert_string_equal(route_of(made, POINTS({25, 2}, {26, 2})), "BC BC");
    nm_nuplan_map_destroy(made);
}

/// Connectors A (0 .. 10) and B (10 .. 30), not linked, in an intersection 0 .. 30 by 0 .. 20.
static void test_staying_near_connectors(void **state) {
    (void)state;
    hand_map m;
    hand_begin(&m);
    hand_lane(&m, NM_NUPLAN_CONNECTOR, 0, 0, 10, 4, (nm_nuplan_point){0, 2}, (nm_nuplan_point){10, 2}, 0);
    hand_lane(&m, NM_NUPLAN_CONNECTOR, 10, 0, 30, 4, (nm_nuplan_point){10, 2}, (nm_nuplan_point){30, 2}, 0);
    hand_lane(&m, NM_NUPLAN_LANE, -20, 0, 0, 4, (nm_nuplan_point){-20, 2}, (nm_nuplan_point){0, 2}, 0);
    m.intersections[m.def.intersection_count++] = hand_area(&m, hand_polygon(&m, 0, 0, 30, 20));
    const nm_nuplan_map *made = hand_finish(&m);
    // up to (not at) 5 m from A it stays there, from the third sample on
    assert_string_equal(route_of(made, POINTS({5, 2}, {6, 2}, {11, 2}, {14.999, 2}, {15, 2})), "A A A A B");
    assert_string_equal(route_of(made, POINTS({6, 2}, {11, 2}, {12, 2})), "A B B");
    // into nothing: kept within the intersection, dropped outside
    assert_string_equal(route_of(made, POINTS({5, 2}, {6, 2}, {6, 8.999}, {6, 9}, {6, 8})), "A A A - -");
    assert_string_equal(route_of(made, POINTS({5, 2}, {6, 2}, {6, -1})), "A A -");
    // into a lane: taken at once
    assert_string_equal(route_of(made, POINTS({5, 2}, {6, 2}, {-1, 2})), "A A C");
    // from a lane nothing is kept
    assert_string_equal(route_of(made, POINTS({-5, 2}, {-4, 2}, {-4, 5})), "C C -");
    nm_nuplan_map_destroy(made);
}

/// The backward pass: an empty set is a subset of any, so that two candidates vanish before it; one stays.
static void test_narrowing_to_nothing(void **state) {
    (void)state;
    assert_string_equal(route_of(map, POINTS({105, 0}, {106, 0}, {107, -3})), "- - -");
    assert_string_equal(route_of(map, POINTS({98, 0}, {99, 0}, {99, -3})), "A A -");
}

/// The backward pass looks for what leads into the next lane among the ORIGINAL members: lanes B and C follow A, and
/// overlap; C leads into B. {B, C} before {B} is first narrowed to {B}, then to {C}.
static void test_narrowing_to_what_leads_on(void **state) {
    (void)state;
    hand_map m;
    hand_begin(&m);
    hand_lane(&m, NM_NUPLAN_LANE, 0, 0, 10, 4, (nm_nuplan_point){0, 2}, (nm_nuplan_point){10, 2}, 0);
    hand_lane(&m, NM_NUPLAN_LANE, 10, 0, 30, 4, (nm_nuplan_point){10, 2}, (nm_nuplan_point){30, 2}, 0);
    hand_lane(&m, NM_NUPLAN_LANE, 10, 0, 20, 4, (nm_nuplan_point){10, 2}, (nm_nuplan_point){20, 2}, 0);
    hand_link(&m, 0, 1);
    hand_link(&m, 0, 2);
    const nm_nuplan_map *apart = hand_finish(&m);
    assert_string_equal(route_of(apart, POINTS({5, 2}, {12, 2}, {25, 2})), "A B B");
    nm_nuplan_map_destroy(apart);
    hand_link(&m, 2, 1);
    const nm_nuplan_map *linked = hand_finish(&m);
    assert_string_equal(route_of(linked, POINTS({5, 2}, {12, 2}, {25, 2})), "A C B");
    nm_nuplan_map_destroy(linked);
}

// --- corners ---------------------------------------------------------------------------------------------------------

/// Lane A, far from connectors B (20 .. 30) and C (20 .. 25, over B). Footprints in A, then with the front in B alone
/// and the rear in both.
static void test_second_sample_of_corners(void **state) {
    (void)state;
    hand_map m;
    hand_begin(&m);
    hand_lane(&m, NM_NUPLAN_LANE, 0, 0, 10, 10, (nm_nuplan_point){0, 5}, (nm_nuplan_point){10, 5}, 0);
    hand_lane(&m, NM_NUPLAN_CONNECTOR, 20, 0, 30, 10, (nm_nuplan_point){20, 5}, (nm_nuplan_point){30, 5}, 0);
    hand_lane(&m, NM_NUPLAN_CONNECTOR, 20, 0, 25, 10, (nm_nuplan_point){20, 5}, (nm_nuplan_point){25, 5}, 0);
    const nm_nuplan_map *made = hand_finish(&m);
    const nm_nuplan_moment in_a = {.corner = {{8, 6}, {2, 6}, {2, 4}, {8, 4}}};
    const nm_nuplan_moment on = {.corner = {{28, 6}, {22, 6}, {22, 4}, {28, 4}}};
    const nm_nuplan_moment moments[3] = {in_a, in_a, on};
    nm_range sets[12];
    for (uint32_t first = 0; first < 2; ++first) { // first = 1: `on` is the second sample
        nm_nuplan_route route = {.set = sets};
        const uint32_t last = 2 - first;
        assert_int_equal(nm_nuplan_find_corners(made, moments + first, last + 1, &route), 1);
        assert_int_equal(sets[4 * last].count, 1); // front left: B
        assert_int_equal(nm_nuplan_set(&route, 4 * last)[0], 1);
        // as published: on the second sample the rear corners are offered what the front left one found, and take it
        assert_int_equal(sets[4 * last + 1].count, first ? 1 : 2);
        assert_int_equal(sets[4 * last + 2].count, first ? 1 : 2);
        nm_pile_free(&route.refs);
    }
    nm_nuplan_map_destroy(made);
}

/// Front left, rear left, rear right, front right: an object each, or none.
static int one_lane(uint32_t fl, uint32_t rl, uint32_t rr, uint32_t fr) {
    uint32_t refs[4] = {fl, rl, rr, fr};
    nm_range sets[4];
    for (uint32_t c = 0; c < 4; ++c) sets[c] = (nm_range){c, refs[c] != NM_NONE};
    const nm_nuplan_route route = {.set = sets, .refs = {.data = refs, .count = 4, .capacity = 4}};
    return nm_nuplan_in_one_lane(map, &route, 0);
}

static void test_one_lane(void **state) {
    (void)state;
    enum { A = LANE_A, B = LANE_B, C = CONNECTOR_C, E = CONNECTOR_E, D = LANE_D, F = LANE_F };
    const uint32_t none = NM_NONE;
    assert_int_equal(one_lane(none, none, none, none), 0);
    assert_int_equal(one_lane(A, A, A, none), 0);
    assert_int_equal(one_lane(none, A, A, A), 0);
    assert_int_equal(one_lane(A, A, A, A), 1);
    // astride A and B, which do not follow one another
    assert_int_equal(one_lane(B, B, A, A), 0);
    assert_int_equal(one_lane(B, A, A, A), 0); // {B} and what leads to it, against A and its successors: nothing
    // passing from A into C. RR+ = RL+ = {A, C, E}; front and before: {C, A}
    assert_int_equal(one_lane(C, A, A, C), 1);
    assert_int_equal(one_lane(C, A, A, A), 1);
    assert_int_equal(one_lane(C, A, A, E), 1); // {C, A} and {E, A}: A
    // skewed: RR+ = {C, D}, RL+ = {A, C, E}
    assert_int_equal(one_lane(C, A, C, C), 1);
    assert_int_equal(one_lane(D, C, A, C), 1); // {D, C} n {A, C, E} and {C, A} n {C, D}: C
    // a whole connector further on: {D, C} n {A, C, E}: C
    assert_int_equal(one_lane(D, A, A, D), 1);
    // the front on two branches: {F, E} n RR+ = E, {D, C} n RL+ = C: nothing in common
    assert_int_equal(one_lane(F, A, A, D), 0);
    // the front is in one lane with each rear corner, but the rear is not: B and A do not follow one another
    assert_int_equal(one_lane(A, B, A, B), 0);
}

/// Corners that share one of several objects.
static void test_shared_object(void **state) {
    (void)state;
    uint32_t refs[6] = {CONNECTOR_C, CONNECTOR_E, CONNECTOR_E, CONNECTOR_E, CONNECTOR_C, CONNECTOR_E};
    nm_range sets[4] = {{0, 2}, {2, 1}, {3, 1}, {4, 2}};
    const nm_nuplan_route route = {.set = sets, .refs = {.data = refs, .count = 6, .capacity = 6}};
    assert_int_equal(nm_nuplan_in_one_lane(map, &route, 0), 1);
    refs[3] = CONNECTOR_C; // rear left E, rear right C: nothing shared by all, and neither follows the other
    assert_int_equal(nm_nuplan_in_one_lane(map, &route, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_straight_on),
        cmocka_unit_test(test_strictly_inside),
        cmocka_unit_test(test_successors_of_a_single_object),
        cmocka_unit_test(test_staying_near_connectors),
        cmocka_unit_test(test_narrowing_to_nothing),
        cmocka_unit_test(test_narrowing_to_what_leads_on),
        cmocka_unit_test(test_second_sample_of_corners),
        cmocka_unit_test(test_one_lane),
        cmocka_unit_test(test_shared_object),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
