// Where kinds can happen on built-in maps.
#include "support.h"

#include "scenarios/places.h"
#include "sim/builtin.h"

#define MOST 512

static const nm_map *map_of(nm_builtin_kind kind) {
    const nm_builtin_params params = nm_builtin_params_default(kind);
    const nm_map *map;
    nm_error error;
    if (nm_builtin_map(&params, &map, &error) != NM_OK) fail_msg("%s", error.message);
    return map;
}

static size_t places_of(const nm_map *map, nm_kind kind, nm_place *places) {
    size_t count;
    nm_error error;
    if (nm_kind_places(map, kind, places, places ? MOST : 0, &count, &error) != NM_OK) fail_msg("%s", error.message);
    return count;
}

// A file may say that a lane winds for 10,000 km: looking for places on it has an end.
static void endless_lanes_are_looked_at_for_a_while(void **state) {
    (void)state;
    nm_point3 points[11] = {{0}};
    nm_map_builder *builder = nm_map_builder_create();
    nm_lane_def lane = nm_lane_def_default();
    const nm_map *map;
    nm_error error;
    for (int i = 0; i < 11; i++) points[i] = (nm_point3){i % 2 ? 1e6 : 0, 4.0 * i, 0};
    lane.id = 1;
    lane.centre = points;
    lane.point_count = 11;
    lane.width = 3.5;
    lane.speed_limit = 13;
    lane.type = NM_LANE_STREET;
    assert_int_equal(nm_map_builder_add_lane(builder, &lane, &error), NM_OK);
    assert_int_equal(nm_map_builder_build(builder, &map, &error), NM_OK);
    assert_in_range(places_of(map, NM_KIND_HARD_BRAKE, NULL), 1900, 2000);
    nm_map_release(map);
    nm_map_builder_destroy(builder);
}

static void maps_hold_what_their_lanes_allow(void **state) {
    (void)state;
    const struct {
        nm_builtin_kind map;
        nm_kind kind;
        int holds;
    } cases[] = {
        {NM_BUILTIN_HIGHWAY, NM_KIND_CUT_IN, 1},
        {NM_BUILTIN_HIGHWAY, NM_KIND_CUT_OUT, 1},
        {NM_BUILTIN_HIGHWAY, NM_KIND_HARD_BRAKE, 1},
        {NM_BUILTIN_HIGHWAY, NM_KIND_MERGE_CONFLICT, 0},
        {NM_BUILTIN_HIGHWAY, NM_KIND_HEAD_ON, 0},
        {NM_BUILTIN_HIGHWAY, NM_KIND_PEDESTRIAN_CROSSING, 0},
        {NM_BUILTIN_HIGHWAY, NM_KIND_RED_LIGHT_RUNNER, 0},
        {NM_BUILTIN_HIGHWAY, NM_KIND_NEAR_MISS, 0},
        {NM_BUILTIN_ON_RAMP, NM_KIND_MERGE_CONFLICT, 1},
        {NM_BUILTIN_JUNCTION_SIGNAL, NM_KIND_RED_LIGHT_RUNNER, 1},
        {NM_BUILTIN_JUNCTION_SIGNAL, NM_KIND_UNPROTECTED_LEFT_TURN, 1},
        {NM_BUILTIN_JUNCTION_SIGNAL, NM_KIND_CROSSING_CONFLICT, 0},
        {NM_BUILTIN_JUNCTION_PRIORITY, NM_KIND_CROSSING_CONFLICT, 1},
        {NM_BUILTIN_JUNCTION_PRIORITY, NM_KIND_RIGHT_TURN_CONFLICT, 1},
        {NM_BUILTIN_JUNCTION_PRIORITY, NM_KIND_RED_LIGHT_RUNNER, 0},
        {NM_BUILTIN_JUNCTION_ALL_WAY, NM_KIND_CROSSING_CONFLICT, 0}, // everybody stops
        {NM_BUILTIN_CROSSWALK, NM_KIND_PEDESTRIAN_CROSSING, 1},
        {NM_BUILTIN_CROSSWALK, NM_KIND_HEAD_ON, 1},
        {NM_BUILTIN_CROSSWALK, NM_KIND_CUT_IN, 0},
        {NM_BUILTIN_CROSSWALK, NM_KIND_OCCLUDED_PEDESTRIAN, 1},
        {NM_BUILTIN_CROSSWALK, NM_KIND_SUDDEN_U_TURN, 0}, // too narrow
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const nm_map *map = map_of(cases[i].map);
        nm_error error;
        uint32_t kinds;
        const int holds = places_of(map, cases[i].kind, NULL) > 0;
        if (holds != cases[i].holds)
            fail_msg("%s on %s: %d", nm_kind_name(cases[i].kind), nm_builtin_name(cases[i].map), holds);
        assert_int_equal(nm_kinds_on_map(map, &kinds, &error), NM_OK);
        assert_int_equal(kinds >> cases[i].kind & 1u, holds);
        assert_int_equal(nm_kind_check_map(map, cases[i].kind, &error), holds ? NM_OK : NM_E_UNSUPPORTED);
        nm_map_release(map);
    }
}

static void a_refusal_says_what_would_fit(void **state) {
    (void)state;
    nm_error error;
    const nm_map *map = map_of(NM_BUILTIN_HIGHWAY);
    assert_int_equal(nm_kind_check_map(map, NM_KIND_PEDESTRIAN_CROSSING, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "a street on which people walk"));
    assert_non_null(strstr(error.message, "cut_in, cut_out, hard_brake"));
    assert_null(strstr(error.message, "red_light_runner"));
    nm_map_release(map);
}

static void places_are_in_order_and_on_their_lanes(void **state) {
    (void)state;
    for (int m = 0; m < NM_BUILTIN_COUNT; m++) {
        const nm_map *map = map_of((nm_builtin_kind)m);
        for (int k = 0; k < NM_KIND_COUNT; k++) {
            static nm_place places[MOST], again[MOST];
            memset(places, 0, sizeof places);
            memset(again, 0, sizeof again);
            const size_t count = places_of(map, (nm_kind)k, places);
            assert_true(count <= MOST);
            assert_int_equal(places_of(map, (nm_kind)k, again), count);
            assert_memory_equal(places, again, count * sizeof *places);
            for (size_t i = 0; i < count; i++) {
                const nm_place *p = &places[i];
                assert_true(p->ego_lane < map->lane_count);
                assert_true(p->ego_s >= 0 && p->ego_s <= map->lanes[p->ego_lane].length + 0.01f);
                assert_true(p->behind >= 25 && p->ahead >= 10);
                if (i > 0) assert_true(places[i - 1].ego_lane <= p->ego_lane);
                if (p->lane == NM_NONE) continue;
                assert_true(p->lane < map->lane_count && p->lane != p->ego_lane);
            }
        }
        nm_map_release(map);
    }
}

// The offset is where the neighbour's centreline really lies.
static void adjacent_lanes_lie_where_the_place_says(void **state) {
    (void)state;
    const nm_builtin_kind maps[] = {NM_BUILTIN_HIGHWAY_CURVED, NM_BUILTIN_ON_RAMP};
    for (size_t m = 0; m < 2; m++) {
        const nm_map *map = map_of(maps[m]);
        static nm_place places[MOST];
        const size_t count = places_of(map, NM_KIND_CUT_IN, places);
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++) {
            float x, y, heading;
            nm_map_position(map, places[i].ego_lane, places[i].ego_s, places[i].offset, &x, &y, &heading);
            const nm_frenet there = nm_map_project(map, places[i].lane, x, y);
            assert_true(fabsf(there.d) < 0.1f);
            assert_true((places[i].offset > 0) == (places[i].side > 0));
            assert_true(places[i].border > 0 && places[i].border < fabsf(places[i].offset));
        }
        nm_map_release(map);
    }
}

// The two lanes of a crossing place really share ground: their points come within a metre there.
static void crossing_lanes_meet(void **state) {
    (void)state;
    const nm_map *map = map_of(NM_BUILTIN_JUNCTION_PRIORITY);
    static nm_place places[MOST];
    const size_t count = places_of(map, NM_KIND_CROSSING_CONFLICT, places);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        const nm_place *p = &places[i];
        float nearest = INFINITY, turn = 0;
        for (float s = p->ego_s; s <= p->ego_out; s += 0.25f) {
            float x, y, heading;
            nm_map_position(map, p->ego_lane, s, 0, &x, &y, &heading);
            const nm_frenet there = nm_map_project(map, p->lane, x, y);
            if (there.s < p->in || there.s > p->out || fabsf(there.d) > nearest) continue;
            nearest = fabsf(there.d);
            turn = fabsf(remainderf(there.heading - heading, 6.2831853f));
        }
        assert_true(nearest < 1);
        assert_true(turn > 0.7f && turn < 2.5f);
    }
    nm_map_release(map);
}

/// Whole lanes at the usual spacing give what the map gives; pieces give those on them, and no others.
static void pieces_of_lanes_hold_their_part(void **state) {
    (void)state;
    static nm_place all[MOST], some[MOST], fine[MOST];
    for (int road = 0; road < NM_BUILTIN_COUNT; road++) {
        const nm_map *map = map_of((nm_builtin_kind)road);
        nm_lane_piece pieces[MOST];
        assert_true(map->lane_count <= MOST);
        for (int kind = 0; kind < NM_KIND_COUNT; kind++) {
            size_t count = 0, on = 0, within = 0, expected = 0;
            for (uint32_t lane = 0; lane < map->lane_count; lane++) pieces[lane] = (nm_lane_piece){lane, 0, INFINITY};
            assert_int_equal(nm_kind_places(map, (nm_kind)kind, all, MOST, &count, NULL), NM_OK);
            assert_int_equal(nm_kind_places_on(map, (nm_kind)kind, pieces, map->lane_count, 25, some, MOST, &on, NULL),
                             NM_OK);
            assert_int_equal(on, count);
            assert_true(count <= MOST);
            for (size_t i = 0; i < count; i++)
                assert_true(all[i].ego_lane == some[i].ego_lane && all[i].ego_s == some[i].ego_s);
            if (count == 0) continue;
            // around one of them, on its lane alone
            const nm_place *one = &all[count / 2];
            const nm_lane_piece piece = {one->ego_lane, one->ego_s - 30, one->ego_s + 30};
            assert_int_equal(nm_kind_places_on(map, (nm_kind)kind, &piece, 1, 5, fine, MOST, &within, NULL), NM_OK);
            for (size_t i = 0; i < within; i++) {
                assert_true(fine[i].ego_lane == piece.lane);
                assert_true(fine[i].ego_s >= piece.from && fine[i].ego_s <= piece.to);
            }
            for (size_t i = 0; i < count; i++)
                expected += all[i].ego_lane == piece.lane && all[i].ego_s >= piece.from && all[i].ego_s <= piece.to;
            if (one->ego_s > 30) assert_true(within >= expected);
        }
        nm_map_release(map);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_hold_what_their_lanes_allow),
        cmocka_unit_test(endless_lanes_are_looked_at_for_a_while),
        cmocka_unit_test(a_refusal_says_what_would_fit),
        cmocka_unit_test(places_are_in_order_and_on_their_lanes),
        cmocka_unit_test(adjacent_lanes_lie_where_the_place_says),
        cmocka_unit_test(crossing_lanes_meet),
        cmocka_unit_test(pieces_of_lanes_hold_their_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
