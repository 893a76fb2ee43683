/// What proposals of the PDM planner are worth: each term from both sides.
#include "planner_drive.h"

#include "sim/math.h"
#include "sim/planner_pdm_score.h"

static const nm_planner_route route = {.length = 1e6f};
static const nm_planner_scenario scenario = {
    .vehicle = {.length = 4.5f, .width = 1.8f, .wheelbase = 2.7f, .rear_axle_to_box_centre = 1.35f}, .route = &route};

/// Along y, the centre at x = 100 now, at constant speed.
static nm_pdm_proposal along(float y, float speed) {
    nm_pdm_proposal p;
    memset(&p, 0, sizeof p);
    for (uint32_t k = 0; k <= NM_PDM_STEPS; k++) {
        const float s = 0.1f * speed * (float)k;
        p.states[k] =
            (nm_pdm_state){.rear_axle = {98.65f + s, y, 0}, .x = 100 + s, .y = y, .cos_h = 1, .speed = speed, .s = s};
    }
    return p;
}

static nm_pdm_agent agent_at(float x, float y, float vx, float vy, nm_agent_type type) {
    nm_pdm_agent a = {.box = {.x = x, .y = y, .vx = vx, .vy = vy, .cos_h = 1, .length = 4, .width = 2},
                      .reach = 2.3f,
                      .type = (uint8_t)type};
    const float speed = hypotf(vx, vy);
    if (speed > 0.0f) a.box.cos_h = vx / speed, a.box.sin_h = vy / speed;
    return a;
}

static nm_pdm_proposal judged(const nm_map *map, nm_pdm_proposal p, const nm_pdm_agent *agents, uint32_t count) {
    nm_pdm_judge(&scenario, map, agents, count, &p);
    return p;
}

static void collisions_at_fault_rule_it_out(void **state) {
    (void)state;
    const nm_map *map = straight_road(3, 500, 20);
    assert_int_equal(nm_map_prepare(map, NULL), NM_OK);
    nm_pdm_agent a = agent_at(120, 0, 0, 0, NM_AGENT_CAR); // stands 15.75 m before the front: at 10 m/s in 1.575 s
    nm_pdm_proposal p = judged(map, along(0, 10), &a, 1);
    assert_float_equal(p.allowed, 0.0f, 0.0f);
    assert_float_equal(p.collision_at, 1.6f, 1e-5f);
    assert_float_equal(p.progress, 40.0f, 1e-3f);
    a.touches = 1; // now already: no proposal changes that
    assert_float_equal(judged(map, along(0, 10), &a, 1).allowed, 1.0f, 0.0f);
    a = agent_at(120, 0, 0, 0, NM_AGENT_OBSTACLE);
    assert_float_equal(judged(map, along(0, 10), &a, 1).allowed, 0.5f, 0.0f);
    a = agent_at(120, 3.5f, 0, 0, NM_AGENT_CAR); // in the next lane
    p = judged(map, along(0, 10), &a, 1);
    assert_float_equal(p.allowed, 1.0f, 0.0f);
    assert_true(isinf(p.collision_at));
    a = agent_at(80, 0, 20, 0, NM_AGENT_CAR); // runs into the ego from behind
    assert_float_equal(judged(map, along(0, 10), &a, 1).allowed, 1.0f, 0.0f);
    a = agent_at(120, 0, -10, 0, NM_AGENT_CAR); // head-on
    assert_float_equal(judged(map, along(0, 10), &a, 1).allowed, 0.0f, 0.0f);
    assert_float_equal(judged(map, along(0, 0.04f), &a, 1).allowed, 1.0f, 0.0f); // the ego stands
    a = agent_at(120, -12, 0, 6, NM_AGENT_PEDESTRIAN);                           // comes across: there after 2 s
    assert_float_equal(judged(map, along(0, 10), &a, 1).allowed, 0.0f, 0.0f);
    assert_float_equal(judged(map, along(0, 2), &a, 1).allowed, 1.0f, 0.0f);
    nm_map_release(map);
}

/// What is predicted of an agent counts, not its velocity now.
static void predicted_agents_go_where_it_is_said(void **state) {
    (void)state;
    const nm_map *map = straight_road(3, 500, 20);
    assert_int_equal(nm_map_prepare(map, NULL), NM_OK);
    nm_pdm_agent a = agent_at(120, 3.5f, 10, 0, NM_AGENT_CAR); // beside the way, as fast as the ego
    nm_box future[NM_PDM_LOOK];
    for (uint32_t k = 0; k < NM_PDM_LOOK; k++) {
        future[k] = a.box;
        future[k].x += 1.0f * (float)(k < 10 ? k : 10);  // it stops after a second
        future[k].y -= k < 10 ? 0.35f * (float)k : 3.5f; // in the way of the ego
        if (k >= 10) future[k].vx = 0.0f;
    }
    assert_float_equal(judged(map, along(0, 10), &a, 1).allowed, 1.0f, 0.0f);
    a.future = future;
    const nm_pdm_proposal p = judged(map, along(0, 10), &a, 1);
    assert_float_equal(p.allowed, 0.0f, 0.0f);
    assert_float_equal(p.collision_at, 2.6f, 1e-5f);                 // rear at 128, front at 102.25 now
    for (uint32_t k = 0; k < NM_PDM_LOOK; k++) future[k].x += 16.0f; // 1.75 m beyond the front after 4 s: TTC 0.175 s
    assert_float_equal(judged(map, along(0, 10), &a, 1).allowed, 1.0f, 0.0f);
    assert_int_equal(judged(map, along(0, 10), &a, 1).keeps_distance, 0);
    nm_map_release(map);
}

static void leaving_the_road_rules_it_out(void **state) {
    (void)state;
    const nm_map *map = straight_road(1, 500, 20);
    assert_int_equal(nm_map_prepare(map, NULL), NM_OK);
    nm_pdm_proposal p = along(0, 10);
    for (uint32_t k = 0; k <= NM_PDM_STEPS; k++) p.states[k].y = 0.032f * (float)k; // 1.28 m to the left: 0.43 over
    assert_float_equal(judged(map, p, NULL, 0).allowed, 0.0f, 0.0f);
    for (uint32_t k = 0; k <= NM_PDM_STEPS; k++) p.states[k].y = 0.025f * (float)k; // 0.15 m over: within the margin
    assert_float_equal(judged(map, p, NULL, 0).allowed, 1.0f, 0.0f);
    assert_float_equal(judged(map, along(2, 10), NULL, 0).allowed, 1.0f, 0.0f); // it is off now
    nm_map_release(map);
}

static void closing_in_costs(void **state) {
    (void)state;
    const nm_map *map = straight_road(3, 500, 20);
    assert_int_equal(nm_map_prepare(map, NULL), NM_OK);
    nm_pdm_agent a = agent_at(100 + 4.25f + 12, 0, 10, 0, NM_AGENT_CAR); // 12 m ahead, as fast as the ego
    assert_int_equal(judged(map, along(0, 10), &a, 1).keeps_distance, 1);
    a = agent_at(100 + 4.25f + 12, 0, 7.2f, 0, NM_AGENT_CAR); // 0.8 m left after 4 s: 0.29 s
    nm_pdm_proposal p = judged(map, along(0, 10), &a, 1);
    assert_int_equal(p.keeps_distance, 0);
    assert_float_equal(p.allowed, 1.0f, 0.0f);
    a = agent_at(100 + 4.25f + 12, 3.5f, 7.2f, 0, NM_AGENT_CAR);
    assert_int_equal(judged(map, along(0, 10), &a, 1).keeps_distance, 1);
    a = agent_at(90, 0, 12, 0, NM_AGENT_CAR); // behind
    assert_int_equal(judged(map, along(0, 10), &a, 1).keeps_distance, 1);
    nm_map_release(map);
}

static void discomfort_costs(void **state) {
    (void)state;
    const nm_map *map = straight_road(3, 500, 20);
    assert_int_equal(nm_map_prepare(map, NULL), NM_OK);
    assert_int_equal(judged(map, along(3.5f, 10), NULL, 0).comfortable, 1);
    const float accels[4] = {-4.1f, -4.0f, 2.5f, 2.3f};
    for (int i = 0; i < 4; i++) {
        nm_pdm_proposal p = along(3.5f, 10);
        for (uint32_t k = 20; k <= NM_PDM_STEPS; k++) p.states[k].speed += 0.1f * accels[i];
        assert_int_equal(judged(map, p, NULL, 0).comfortable, i % 2);
    }
    const float rates[4] = {0.50f, 0.48f, 0.96f, 0.94f}; // 4.89 m/s^2 at 10 m/s; 0.95 rad/s at 5 m/s
    for (int i = 0; i < 4; i++) {
        nm_pdm_proposal p = along(3.5f, i < 2 ? 10.0f : 5.0f);
        for (uint32_t k = 20; k <= NM_PDM_STEPS; k++) p.states[k].rear_axle.heading_scene = 0.1f * rates[i];
        assert_int_equal(judged(map, p, NULL, 0).comfortable, i % 2);
    }
    nm_map_release(map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collisions_at_fault_rule_it_out),
        cmocka_unit_test(predicted_agents_go_where_it_is_said),
        cmocka_unit_test(leaving_the_road_rules_it_out),
        cmocka_unit_test(closing_in_costs),
        cmocka_unit_test(discomfort_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
