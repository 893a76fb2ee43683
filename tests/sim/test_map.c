/// Building maps: what is derived, mended and refused.
#include "sim/scenes.h"

static const nm_conflict *conflict_with(const nm_map *map, uint32_t lane, uint32_t other) {
    nm_range range = map->lanes[lane].conflicts;
    for (uint32_t k = range.first; k < range.first + range.count; k++) {
        if (map->conflicts[k].lane == other) return &map->conflicts[k];
    }
    return NULL;
}

static void test_road(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(200.0);
    assert_int_equal(map->lane_count, 3);
    assert_int_equal(map->neighbour_count, 4);
    assert_int_equal(map->conflict_count, 0); // side by side is no conflict
    for (uint32_t i = 0; i < 3; i++) {
        const nm_lane *lane = &map->lanes[i];
        assert_true(fabsf(lane->length - 200.0f) < 1e-3f);
        assert_int_equal(lane->rail.count, 201);
        assert_int_equal(lane->turn, NM_TURN_STRAIGHT);
        assert_int_equal(lane->junction, NM_NONE);
        assert_true(lane->stop_s == lane->length);
        for (uint32_t k = 0; k < lane->rail.count; k++) {
            const nm_rail_point *p = &map->rail[lane->rail.first + k];
            assert_true(fabsf(p->x - (float)k) < 1e-3f && fabsf(p->y - 3.5f * (float)i) < 1e-4f);
            assert_true(p->cos_h == 1.0f && p->sin_h == 0.0f && p->curvature == 0.0f);
            assert_true(fabsf(p->left - 1.75f) < 1e-4f && fabsf(p->right - 1.75f) < 1e-4f);
            assert_true(p->speed_limit == 30.0f);
        }
    }
    const nm_neighbour *n = &map->neighbours[map->lanes[1].left.first];
    assert_int_equal(map->lanes[1].left.count, 1);
    assert_int_equal(n->lane, 2);
    assert_true(n->may_change && !n->opposite && n->self_start == 0.0f && fabsf(n->self_end - 200.0f) < 1e-3f);
    nm_map_release(map);
}

static void test_crossing(void **state) {
    (void)state;
    const nm_map *map = nm_test_crossing(NM_CONTROL_PRIORITY, NM_CONTROL_YIELD);
    assert_int_equal(map->conflict_count, 2);
    const nm_conflict *c = conflict_with(map, 1, 4);
    assert_non_null(c);
    assert_int_equal(c->kind, NM_CONFLICT_CROSS);
    assert_int_equal(c->precedence, NM_PRECEDENCE_MINE);
    assert_true(c->self_in > 7.0f && c->self_in < 9.5f && c->self_out > 10.5f && c->self_out < 13.0f);
    assert_int_equal(conflict_with(map, 4, 1)->precedence, NM_PRECEDENCE_THEIRS);
    assert_true(map->lanes[1].flags & NM_LANE_JUNCTION);
    assert_false(map->lanes[0].flags & NM_LANE_JUNCTION);
    assert_int_equal(map->lanes[1].junction, map->lanes[4].junction);
    assert_int_equal(map->junction_count, 1);
    // predecessors were not given: completed
    assert_int_equal(map->repairs[NM_REPAIR_ONE_WAY_REFERENCE], 4);
    assert_int_equal(map->lane_refs[map->lanes[2].predecessors.first], 1);
    nm_map_release(map);
    map = nm_test_crossing(NM_CONTROL_NONE, NM_CONTROL_NONE); // the road from the south comes from the right
    assert_int_equal(conflict_with(map, 1, 4)->precedence, NM_PRECEDENCE_THEIRS);
    nm_map_release(map);
    map = nm_test_crossing(NM_CONTROL_ALL_WAY_STOP, NM_CONTROL_ALL_WAY_STOP);
    assert_int_equal(conflict_with(map, 1, 4)->precedence, NM_PRECEDENCE_EQUAL);
    nm_map_release(map);
}

static void test_curve(void **state) {
    (void)state;
    const nm_map *map = nm_test_curve(30.0, 1.5);
    const nm_lane *lane = &map->lanes[0];
    assert_true(fabsf(lane->length - 45.0f) < 0.05f);
    assert_int_equal(lane->turn, NM_TURN_LEFT);
    for (uint32_t i = 0; i < lane->rail.count; i++) {
        const nm_rail_point *p = &map->rail[lane->rail.first + i];
        float angle = (float)i * lane->rail_step / 30.0f;
        assert_true(fabsf(p->curvature - 1.0f / 30.0f) < 5e-4f);
        assert_true(fabsf(p->cos_h - cosf(angle)) < 2e-3f && fabsf(p->sin_h - sinf(angle)) < 2e-3f);
        assert_true(fabsf(p->left - 2.0f) < 0.02f && fabsf(p->right - 2.0f) < 0.02f);
        assert_true(fabsf(p->speed_limit - 50.0f / 3.6f) < 1e-4f);
    }
    nm_map_release(map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_road),
        cmocka_unit_test(test_crossing),
        cmocka_unit_test(test_curve),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
