/// Classification of collisions: worked cases from both sides of each threshold.
#include "criticality_support.h"

static nm_criticality_params params;
static const double degree = 0.017453292519943295;

static nm_collision classify(nm_box a, nm_box b) {
    nm_collision one = nm_classify_collision(&a, &b, NM_AGENT_CAR, NM_AGENT_CAR, &params);
    // the same seen from the other side
    nm_collision other = nm_classify_collision(&b, &a, NM_AGENT_CAR, NM_AGENT_CAR, &params);
    assert_int_equal(one.first_impact, other.second_impact);
    assert_int_equal(one.second_impact, other.first_impact);
    assert_int_equal(one.fault == NM_FAULT_FIRST, other.fault == NM_FAULT_SECOND);
    assert_int_equal(one.fault == NM_FAULT_BOTH, other.fault == NM_FAULT_BOTH);
    assert_near(one.impact_speed, other.impact_speed, 1e-5);
    assert_near(one.x, other.x, 1e-4);
    assert_near(one.y, other.y, 1e-4);
    return one;
}

static void expect(nm_collision c, nm_impact first, nm_impact second, nm_fault fault) {
    if (c.first_impact != first || c.second_impact != second || c.fault != fault)
        fail_msg("%s, %s, fault %s; expected %s, %s, %s", nm_impact_name(c.first_impact),
                 nm_impact_name(c.second_impact), nm_fault_name(c.fault), nm_impact_name(first), nm_impact_name(second),
                 nm_fault_name(fault));
}

static void test_rear_end(void **state) {
    (void)state;
    // 0.5 m apart, closing 10: contact in 0.05 s at x = 2 + 0.05 * 15
    nm_collision c = classify(car_at(0, 0, 15), car_at(4.5, 1, 5));
    expect(c, NM_IMPACT_FRONT, NM_IMPACT_REAR, NM_FAULT_FIRST);
    assert_near(c.impact_speed, 10, 0);
    assert_near(c.first_delta_v, 5, 0); // equal masses
    assert_near(c.second_delta_v, 5, 0);
    assert_near(c.x, 2.75, 1e-4);
    assert_near(c.y, 0.5, 1e-4); // they share y in [0, 1]
    // overlapping already: taken back to the contact, 0.05 s ago
    c = classify(car_at(0, 0, 15), car_at(3.5, 1, 5));
    expect(c, NM_IMPACT_FRONT, NM_IMPACT_REAR, NM_FAULT_FIRST);
    assert_near(c.x, 2.0 - 0.75, 1e-4);
    // deep, where the side would be the least penetration
    c = classify(car_at(0, 0, 15), car_at(2.5, 1.5, 5));
    expect(c, NM_IMPACT_FRONT, NM_IMPACT_REAR, NM_FAULT_FIRST);
    // the leader backs up into one that stands, rolls slowly forward, backs up slower
    expect(classify(car_at(0, 0, 0), car_at(4.5, 0, -3)), NM_IMPACT_FRONT, NM_IMPACT_REAR, NM_FAULT_SECOND);
    expect(classify(car_at(0, 0, 0.06), car_at(4.5, 0, -3)), NM_IMPACT_FRONT, NM_IMPACT_REAR, NM_FAULT_FIRST);
    expect(classify(car_at(0, 0, -1), car_at(4.5, 0, -3)), NM_IMPACT_FRONT, NM_IMPACT_REAR, NM_FAULT_SECOND);
}

static void test_standing(void **state) {
    (void)state;
    expect(classify(car_at(0, 0, 5), car_at(4.1, 0, 0.05)), NM_IMPACT_FRONT, NM_IMPACT_REAR, NM_FAULT_FIRST);
    expect(classify(car_at(0, 0, 0.05), car_at(4.0, 0, 0)), NM_IMPACT_FRONT, NM_IMPACT_REAR, NM_FAULT_UNKNOWN);
    // backing into a standing car's front
    expect(classify(car_at(0, 0, 0), car_at(4.2, 0, -2)), NM_IMPACT_FRONT, NM_IMPACT_REAR, NM_FAULT_SECOND);
}

static void test_head_on_and_crossing(void **state) {
    (void)state;
    nm_collision c = classify(car_at(0, 0, 10), box_at(4.4, 0, 180 * degree, 4, 2, 10));
    expect(c, NM_IMPACT_FRONT, NM_IMPACT_FRONT, NM_FAULT_BOTH);
    assert_near(c.impact_speed, 20, 1e-5);
    assert_near(c.first_delta_v, 10, 1e-5);
    // T: b comes from below into a's side. a's side is at y = -1, b's front at -1.5: 0.05 s
    c = classify(car_at(0, 0, 10), box_at(0, -3.5, 90 * degree, 4, 2, 10));
    expect(c, NM_IMPACT_SIDE, NM_IMPACT_FRONT, NM_FAULT_SECOND);
    assert_near(c.impact_speed, 10, 1e-5);
    assert_near(c.first_delta_v, sqrt(200.0) / 2, 1e-5);
    assert_near(c.y, -1, 1e-4);
    assert_near(c.x, 0, 1e-4); // a covers x in [-1.5, 2.5] then, b [-1, 1]
}

static void test_sweeping_sides(void **state) {
    (void)state;
    // beside each other; b drifts into a at 1 m/s
    nm_box a = car_at(0, 0, 10), b = car_at(1, 2.05, 10);
    b.vy = -1;
    nm_collision c = classify(a, b);
    expect(c, NM_IMPACT_SIDE, NM_IMPACT_SIDE, NM_FAULT_SECOND);
    assert_near(c.impact_speed, 1, 1e-6);
    assert_near(c.x, 1.0, 1e-3); // shared [-1, 2] at 0.05 s later: + 0.5
    a.vy = 0.25f;                // a share of exactly 0.2
    b.vy = -1.0f;
    expect(classify(a, b), NM_IMPACT_SIDE, NM_IMPACT_SIDE, NM_FAULT_SECOND);
    a.vy = 0.26f;
    expect(classify(a, b), NM_IMPACT_SIDE, NM_IMPACT_SIDE, NM_FAULT_UNKNOWN);
    // a corner against a side: a front from 30 degrees on
    a = car_at(0, 0, 0.5);
    b = box_at(0, 3.0, -29 * degree, 4, 2, 10);
    expect(classify(a, b), NM_IMPACT_SIDE, NM_IMPACT_SIDE, NM_FAULT_SECOND);
    b = box_at(0, 3.0, -31 * degree, 4, 2, 10);
    expect(classify(a, b), NM_IMPACT_SIDE, NM_IMPACT_FRONT, NM_FAULT_SECOND);
}

static void test_masses(void **state) {
    (void)state;
    nm_box a = car_at(0, 0, 9), b = car_at(4.4, 0, 0);
    const struct {
        nm_agent_type first, second;
        double first_delta, second_delta;
    } cases[] = {
        {NM_AGENT_CAR, NM_AGENT_TRUCK, 8, 1}, // 9 * 8 / 9, 9 * 1 / 9
        {NM_AGENT_BUS, NM_AGENT_CAR, 1, 8},
        {NM_AGENT_TRUCK, NM_AGENT_BUS, 4.5, 4.5},
        {NM_AGENT_CAR, NM_AGENT_MOTORCYCLE, 1.5, 7.5},
        {NM_AGENT_CAR, NM_AGENT_PEDESTRIAN, 9 * 0.05 / 1.05, 9 / 1.05},
        {NM_AGENT_CYCLIST, NM_AGENT_CAR, 9 / 1.05, 9 * 0.05 / 1.05},
        {NM_AGENT_CAR, NM_AGENT_OBSTACLE, 9, 0},
        {NM_AGENT_TRAIN, NM_AGENT_CAR, 0, 9},
        {NM_AGENT_TRAIN, NM_AGENT_OBSTACLE, 4.5, 4.5},
        {NM_AGENT_UNKNOWN, NM_AGENT_CAR, 4.5, 4.5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nm_collision c = nm_classify_collision(&a, &b, cases[i].first, cases[i].second, &params);
        assert_near(c.first_delta_v, cases[i].first_delta, 1e-5);
        assert_near(c.second_delta_v, cases[i].second_delta, 1e-5);
    }
}

/// However a collision is given - shortly before it, at it, after it - it is the same collision.
static void test_moment_given_does_not_matter(void **state) {
    (void)state;
    draws from = draws_of(5);
    int seen = 0;
    for (int i = 0; i < 20000; i++) {
        nm_box a = random_box(&from, 20), b = random_box(&from, 20);
        float ttc = nm_ttc(&a, &b, 10);
        if (ttc == INFINITY || ttc < 0.2f) continue;
        nm_box before_a = moved(a, ttc - 0.1), before_b = moved(b, ttc - 0.1);
        nm_box after_a = moved(a, ttc + 0.02), after_b = moved(b, ttc + 0.02);
        if (!nm_box_overlap(&after_a, &after_b)) continue; // a graze
        nm_collision one = nm_classify_collision(&before_a, &before_b, NM_AGENT_CAR, NM_AGENT_TRUCK, &params);
        nm_collision two = nm_classify_collision(&after_a, &after_b, NM_AGENT_CAR, NM_AGENT_TRUCK, &params);
        seen++;
        // two axes may close within rounding of one another: tolerate none but that
        if (fabs(one.impact_speed - two.impact_speed) > 1e-3) continue;
        assert_int_equal(one.first_impact, two.first_impact);
        assert_int_equal(one.second_impact, two.second_impact);
        assert_int_equal(one.fault, two.fault);
        assert_near(one.x, two.x, 0.02);
        assert_near(one.y, two.y, 0.02);
        // the point lies on both
        nm_box at_a = moved(a, ttc), at_b = moved(b, ttc);
        nm_box point = box_at(one.x, one.y, 0, 0, 0, 0);
        assert_near(nm_box_distance(&at_a, &point), 0, 0.01);
        assert_near(nm_box_distance(&at_b, &point), 0, 0.01);
    }
    assert_true(seen > 300);
}

static void test_names(void **state) {
    (void)state;
    assert_string_equal(nm_impact_name(NM_IMPACT_NONE), "none");
    assert_string_equal(nm_impact_name(NM_IMPACT_SIDE), "side");
    assert_string_equal(nm_fault_name(NM_FAULT_BOTH), "both");
}

int main(void) {
    params = nm_criticality_params_default();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rear_end),
        cmocka_unit_test(test_standing),
        cmocka_unit_test(test_head_on_and_crossing),
        cmocka_unit_test(test_sweeping_sides),
        cmocka_unit_test(test_masses),
        cmocka_unit_test(test_moment_given_does_not_matter),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
