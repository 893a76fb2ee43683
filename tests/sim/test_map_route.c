/// Routes against Floyd and Warshall on small random graphs.
#include "base/arena.h"
#include "sim/scenes.h"

enum { MAX_LANES = 24 };

/// What a step from lane a to lane b costs, or INFINITY.
static double step_cost(const nm_map *map, uint32_t a, uint32_t b, double change) {
    const nm_lane *lane = &map->lanes[a];
    double cost = INFINITY;
    for (uint32_t k = lane->successors.first; k < lane->successors.first + lane->successors.count; k++) {
        if (map->lane_refs[k] == b) cost = fmin(cost, (double)lane->length);
    }
    const nm_range sides[2] = {lane->left, lane->right};
    for (int side = 0; side < 2; side++) {
        for (uint32_t k = sides[side].first; k < sides[side].first + sides[side].count; k++) {
            const nm_neighbour *n = &map->neighbours[k];
            if (n->lane == b && n->may_change && !n->opposite) cost = fmin(cost, change);
        }
    }
    if (!nm_lane_type_drivable((nm_lane_type)map->lanes[b].type)) return INFINITY;
    return cost;
}

static void check_map(const nm_map *map, double change, nm_arena *arena) {
    static double cost[MAX_LANES][MAX_LANES];
    uint32_t n = map->lane_count;
    for (uint32_t a = 0; a < n; a++) {
        for (uint32_t b = 0; b < n; b++) cost[a][b] = a == b ? 0.0 : step_cost(map, a, b, change);
    }
    for (uint32_t k = 0; k < n; k++) {
        for (uint32_t a = 0; a < n; a++) {
            for (uint32_t b = 0; b < n; b++) cost[a][b] = fmin(cost[a][b], cost[a][k] + cost[k][b]);
        }
    }
    for (uint32_t a = 0; a < n; a++) {
        for (uint32_t b = 0; b < n; b++) {
            if (!nm_lane_type_drivable((nm_lane_type)map->lanes[a].type) ||
                !nm_lane_type_drivable((nm_lane_type)map->lanes[b].type)) {
                continue;
            }
            uint32_t lanes[MAX_LANES];
            uint32_t count = nm_map_route(map, a, b, (float)change, lanes, MAX_LANES, b % 2 ? arena : NULL);
            if (cost[a][b] == INFINITY) {
                assert_int_equal(count, 0);
                continue;
            }
            assert_true(count >= 1 && count <= MAX_LANES);
            assert_int_equal(lanes[0], a);
            assert_int_equal(lanes[count - 1], b);
            double sum = 0.0;
            for (uint32_t i = 0; i + 1 < count; i++) sum += step_cost(map, lanes[i], lanes[i + 1], change);
            assert_true(fabs(sum - cost[a][b]) < 1e-6 * (1.0 + sum));
            if (count > 1) assert_int_equal(nm_map_route(map, a, b, (float)change, lanes, count - 1, NULL), NM_NONE);
        }
    }
}

static void test_routes_are_optimal(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        const nm_map *map = nm_test_tangle(seed, MAX_LANES, 60.0);
        size_t used = nm_arena_used(arena);
        check_map(map, seed % 2 ? 10.0 : 0.0, arena);
        assert_int_equal(nm_arena_used(arena), used);
        nm_map_release(map);
    }
    nm_arena_destroy(arena);
}

static void test_lane_changes(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(100.0);
    uint32_t lanes[3];
    assert_int_equal(nm_map_route(map, 0, 2, 5.0f, lanes, 3, NULL), 3);
    assert_int_equal(lanes[1], 1);
    assert_int_equal(nm_map_route(map, 1, 1, 5.0f, lanes, 3, NULL), 1);
    nm_map_release(map);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_routes_are_optimal), cmocka_unit_test(test_lane_changes)};
    return cmocka_run_group_tests_name("map_route", tests, NULL, NULL);
}
