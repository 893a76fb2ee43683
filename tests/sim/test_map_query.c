/// Queries on maps against brute force and against each other.
#include "sim/scenes.h"

// ---------------------------------------------------------------------------------------------------------------------
// An independent answer, in double, by the definition: inside a quad of the surface, or within the tolerance of it.

static double segment_distance(nm_vec2 a, nm_vec2 b, double x, double y) {
    double dx = (double)b.x - a.x, dy = (double)b.y - a.y, square = dx * dx + dy * dy;
    double t = square > 0.0 ? ((x - a.x) * dx + (y - a.y) * dy) / square : 0.0;
    t = t < 0.0 ? 0.0 : t > 1.0 ? 1.0 : t;
    return hypot(x - (a.x + t * dx), y - (a.y + t * dy));
}

/// Signed: negative inside.
static double polygon_distance(const nm_vec2 *q, uint32_t count, double x, double y) {
    double least = INFINITY;
    int inside = 0;
    for (uint32_t i = 0, k = count - 1; i < count; k = i++) {
        least = fmin(least, segment_distance(q[k], q[i], x, y));
        if ((q[i].y > y) != (q[k].y > y)) {
            double at = q[i].x + (y - q[i].y) / ((double)q[k].y - q[i].y) * ((double)q[k].x - q[i].x);
            if (x < at) inside = !inside;
        }
    }
    return inside ? -least : least;
}

static double lane_distance(const nm_map *map, uint32_t lane, double x, double y) {
    double least = INFINITY;
    nm_range points = map->lanes[lane].points;
    for (uint32_t i = points.first; i + 1 < points.first + points.count; i++) {
        nm_vec2 quad[4] = {map->right[i], map->right[i + 1], map->left[i + 1], map->left[i]};
        least = fmin(least, polygon_distance(quad, 4, x, y));
    }
    return least;
}

/// 1 on, 0 off, -1 too near to the outline to be told apart in float.
static int on_road(const nm_map *map, double x, double y) {
    double least = INFINITY;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (nm_lane_type_drivable((nm_lane_type)map->lanes[i].type)) {
            least = fmin(least, lane_distance(map, i, x, y));
        }
    }
    for (uint32_t i = 0; i < map->area_count; i++) {
        nm_range points = map->areas[i].points;
        least = fmin(least, polygon_distance(map->area_points + points.first, points.count, x, y));
    }
    if (fabs(least - (double)NM_SURFACE_TOLERANCE) < 1e-4) return -1;
    return least < (double)NM_SURFACE_TOLERANCE;
}

static void test_drivable_is_the_polygons(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        const nm_map *map = nm_test_tangle(seed, 20, 50.0);
        uint32_t draw = 1000000;
        int on = 0, off = 0;
        for (int i = 0; i < 3000; i++) {
            double x = nm_test_uniform(seed, &draw, -100.0, 100.0), y = nm_test_uniform(seed, &draw, -100.0, 100.0);
            if (i % 2) { // near borders
                uint32_t k = (uint32_t)nm_test_uniform(seed, &draw, 0.0, map->point_count);
                nm_vec2 p = i % 4 == 1 ? map->left[k] : map->right[k];
                if (i % 8 == 3) p = map->area_points[k % map->area_point_count];
                x = p.x + nm_test_uniform(seed, &draw, -0.3, 0.3);
                y = p.y + nm_test_uniform(seed, &draw, -0.3, 0.3);
            }
            x = (double)(float)x;
            y = (double)(float)y;
            int expected = on_road(map, x, y);
            if (expected < 0) continue;
            if (nm_map_drivable(map, (float)x, (float)y) != expected) {
                fail_msg("seed %d: (%.9g, %.9g) should be %d", (int)seed, x, y, expected);
            }
            on += expected;
            off += !expected;
        }
        assert_true(on > 500 && off > 500);
        nm_map_release(map);
    }
}

static void test_boxes_off_road(void **state) {
    (void)state;
    enum { COUNT = 500 };
    static float x[COUNT], y[COUNT], c[COUNT], s[COUNT], length[COUNT], width[COUNT];
    static uint8_t off[COUNT];
    const nm_map *map = nm_test_tangle(11, 25, 60.0);
    uint32_t draw = 0;
    for (int i = 0; i < COUNT; i++) {
        uint32_t k = (uint32_t)nm_test_uniform(5, &draw, 0.0, map->rail_count);
        float h = (float)nm_test_uniform(5, &draw, -3.0, 3.0);
        x[i] = map->rail[k].x;
        y[i] = map->rail[k].y;
        nm_sincosf(h, &s[i], &c[i]);
        length[i] = (float)nm_test_uniform(5, &draw, 0.5, 6.0);
        width[i] = (float)nm_test_uniform(5, &draw, 0.5, 2.5);
    }
    for (int m = 0; m < 2; m++) {
        float margin = m ? 0.4f : 0.0f;
        int count = 0;
        nm_map_boxes_off_road(map, x, y, c, s, length, width, margin, COUNT, off);
        for (int i = 0; i < COUNT; i++) {
            float l = fmaxf(0.5f * length[i] - margin, 0.0f), w = fmaxf(0.5f * width[i] - margin, 0.0f);
            int expected = 0;
            for (int k = 0; k < 4; k++) {
                float a = k & 2 ? -l : l, b = k & 1 ? -w : w;
                expected |= !nm_map_drivable(map, x[i] + a * c[i] - b * s[i], y[i] + a * s[i] + b * c[i]);
            }
            assert_int_equal(off[i], expected);
            count += expected;
        }
        assert_true(count > 20 && count < COUNT - 20);
    }
    x[0] = NAN;
    y[1] = INFINITY;
    nm_map_boxes_off_road(map, x, y, c, s, length, width, 0.0f, 2, off);
    assert_true(off[0] && off[1]);
    nm_map_release(map);
}

static void test_slivers_are_road(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0});
    for (int i = 0; i < 3; i++) { // gaps of 8 cm, then 15 cm
        nm_lane_def def = nm_lane_def_default();
        def.id = i;
        double y = i == 0 ? 0.0 : i == 1 ? 3.58 : 7.23;
        nm_test_lane(builder, &def, (double[]){0.0, y, 40.0, y}, 2, 3.5);
    }
    const nm_map *map = nm_test_build(builder);
    assert_true(nm_map_drivable(map, 20.0f, 1.79f));
    assert_false(nm_map_drivable(map, 20.0f, 5.405f));
    assert_true(nm_map_drivable(map, 20.0f, 5.35f));
    assert_false(nm_map_drivable(map, 20.0f, -1.81f));
    assert_true(nm_map_drivable(map, 20.0f, -1.79f));
    nm_map_release(map);
}

static void test_driveway_is_drivable(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0});
    nm_lane_def def = nm_lane_def_default();
    def.id = 1;
    nm_test_lane(builder, &def, (double[]){0.0, 0.0, 40.0, 0.0}, 2, 3.5);
    nm_point3 square[4] = {{10.0, 1.0, 0.0}, {20.0, 1.0, 0.0}, {20.0, 15.0, 0.0}, {10.0, 15.0, 0.0}};
    nm_error error;
    assert_int_equal(nm_map_builder_add_area(builder, 2, NM_AREA_DRIVEWAY, square, 4, &error), NM_OK);
    nm_point3 walk[3] = {{30.0, 1.0, 0.0}, {35.0, 1.0, 0.0}, {35.0, 15.0, 0.0}};
    assert_int_equal(nm_map_builder_add_area(builder, 3, NM_AREA_CROSSWALK, walk, 3, &error), NM_OK);
    const nm_map *map = nm_test_build(builder);
    assert_true(nm_map_drivable(map, 15.0f, 8.0f));
    assert_false(nm_map_drivable(map, 34.0f, 3.0f));
    assert_false(nm_map_drivable(map, 9.5f, 8.0f));
    assert_true(nm_map_drivable(map, 15.0f, 1.5f));
    // the border between lane and driveway is none
    assert_true(fabsf(nm_map_border_distance(map, 15.0f, 1.75f, 10.0f) + 3.5f) < 1e-3f);
    assert_true(fabsf(nm_map_border_distance(map, 15.0f, 10.0f, 10.0f) + 5.0f) < 1e-3f);
    nm_map_release(map);
}

static void test_border_distance(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(200.0); // drivable: y from -1.75 to 8.75
    assert_true(fabsf(nm_map_border_distance(map, 100.0f, 0.0f, 10.0f) + 1.75f) < 1e-4f);
    assert_true(fabsf(nm_map_border_distance(map, 100.0f, 3.5f, 10.0f) + 5.25f) < 1e-4f);
    assert_true(fabsf(nm_map_border_distance(map, 100.0f, 12.75f, 10.0f) - 4.0f) < 1e-4f);
    assert_true(nm_map_border_distance(map, 100.0f, 50.0f, 10.0f) == 10.0f);
    assert_true(nm_map_border_distance(map, 1e6f, 1e6f, 10.0f) == 10.0f);
    nm_map_release(map);
}

// ---------------------------------------------------------------------------------------------------------------------

static void test_frenet_round_trip(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        const nm_map *map = nm_test_tangle(seed, 10, 50.0);
        uint32_t draw = 5000000;
        for (uint32_t i = 0; i < map->lane_count; i++) {
            const nm_lane *lane = &map->lanes[i];
            for (int n = 0; n < 20; n++) {
                float s = (float)nm_test_uniform(seed, &draw, 0.0, lane->length);
                float d = (float)nm_test_uniform(seed, &draw, -1.0, 1.0);
                float x, y, heading, x2, y2, heading2;
                nm_map_position(map, i, s, d, &x, &y, &heading);
                nm_frenet f = nm_map_project(map, i, x, y);
                assert_true(f.lane == i && f.s >= 0.0f && f.s <= lane->length);
                // the nearest point may be another one, but never a farther one
                assert_true(fabsf(f.d) <= fabsf(d) + 1e-4f);
                nm_map_position(map, i, f.s + f.beyond, f.d, &x2, &y2, &heading2);
                // at a kink of the polyline the normals of the two segments differ: by up to 0.16 rad here
                assert_true(hypotf(x2 - x, y2 - y) <= 2e-4f + 0.2f * fabsf(f.d));
            }
        }
        nm_map_release(map);
    }
    // on a straight lane everything is exact, also beyond its ends
    const nm_map *map = nm_test_road(100.0);
    nm_frenet f = nm_map_project(map, 1, -5.0f, 4.5f);
    assert_true(f.s == 0.0f && fabsf(f.beyond + 5.0f) < 1e-5f && fabsf(f.d - 1.0f) < 1e-5f && f.heading == 0.0f);
    assert_true(fabsf(f.left - 1.75f) < 1e-5f && fabsf(f.right - 1.75f) < 1e-5f);
    f = nm_map_project(map, 1, 103.0f, 2.5f);
    assert_true(fabsf(f.s - 100.0f) < 1e-4f && fabsf(f.beyond - 3.0f) < 1e-4f && fabsf(f.d + 1.0f) < 1e-5f);
    float x, y, heading;
    nm_map_position(map, 1, 103.0f, -1.0f, &x, &y, &heading);
    assert_true(fabsf(x - 103.0f) < 1e-4f && fabsf(y - 2.5f) < 1e-4f);
    nm_map_release(map);
}

static void test_rail_follows_the_lane(void **state) {
    (void)state;
    const nm_map *map = nm_test_curve(30.0, 2.0);
    for (float s = 0.0f; s < map->lanes[0].length; s += 0.37f) {
        nm_rail_point r = nm_map_rail(map, 0, s);
        float x, y, heading;
        nm_map_position(map, 0, s, 0.0f, &x, &y, &heading);
        assert_true(hypotf(r.x - x, r.y - y) < 0.01f);
        assert_true(fabsf(nm_wrap_angle(nm_atan2f(r.sin_h, r.cos_h) - s / 30.0f)) < 2e-3f);
        assert_true(fabsf(r.cos_h * r.cos_h + r.sin_h * r.sin_h - 1.0f) < 1e-5f);
    }
    nm_rail_point a = nm_map_rail(map, 0, -10.0f), b = nm_map_rail(map, 0, 0.0f);
    assert_memory_equal(&a, &b, sizeof a);
    nm_map_release(map);
}

static void test_lanes_at(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        const nm_map *map = nm_test_tangle(seed, 30, 50.0);
        uint32_t draw = 7000000;
        size_t total = 0;
        for (int i = 0; i < 500; i++) {
            float x = (float)nm_test_uniform(seed, &draw, -80.0, 80.0);
            float y = (float)nm_test_uniform(seed, &draw, -80.0, 80.0);
            nm_frenet at[40], few[2];
            size_t found = nm_map_lanes_at(map, x, y, at, 40);
            assert_true(found <= 30);
            uint8_t hit[30] = {0};
            for (size_t k = 0; k < found; k++) {
                hit[at[k].lane] = 1;
                if (k) assert_true(fabsf(at[k].d) >= fabsf(at[k - 1].d));
            }
            for (uint32_t lane = 0; lane < map->lane_count; lane++) {
                double distance = lane_distance(map, lane, x, y) - (double)NM_SURFACE_TOLERANCE;
                if (fabs(distance) > 1e-4) assert_int_equal(hit[lane], distance < 0.0);
            }
            assert_int_equal(nm_map_lanes_at(map, x, y, few, 2), found);
            for (size_t k = 0; k < 2 && k < found; k++) assert_int_equal(few[k].lane, at[k].lane);
            assert_int_equal(nm_map_lanes_at(map, x, y, NULL, 0), found);
            total += found;
        }
        assert_true(total > 100);
        nm_map_release(map);
    }
}

static void test_match(void **state) {
    (void)state;
    const nm_map *map = nm_test_crossing(NM_CONTROL_NONE, NM_CONTROL_NONE);
    nm_frenet f = nm_map_match(map, 0.5f, 0.5f, 0.1f, 5.0f, NM_LANE_MASK_VEHICLE);
    assert_int_equal(map->lanes[f.lane].source_id, 2); // heading east
    f = nm_map_match(map, 0.5f, 0.5f, 1.5f, 5.0f, NM_LANE_MASK_VEHICLE);
    assert_int_equal(map->lanes[f.lane].source_id, 5); // heading north
    f = nm_map_match(map, -30.0f, 4.0f, 0.0f, 5.0f, NM_LANE_MASK_VEHICLE);
    assert_int_equal(map->lanes[f.lane].source_id, 1);
    assert_int_equal(nm_map_match(map, -30.0f, 7.0f, 0.0f, 5.0f, NM_LANE_MASK_VEHICLE).lane, NM_NONE);
    assert_int_equal(nm_map_match(map, -30.0f, 0.0f, 0.0f, 5.0f, 1u << NM_LANE_BIKE).lane, NM_NONE);
    assert_int_equal(nm_map_match(map, NAN, 0.0f, 0.0f, 5.0f, NM_LANE_MASK_VEHICLE).lane, NM_NONE);
    assert_int_equal(nm_map_match(map, -30.0f, 7.0f, 0.0f, 1e6f, NM_LANE_MASK_VEHICLE).lane, 0);
    nm_map_release(map);
}

/// The lane that costs least of all within the radius, by the definition.
static uint32_t cheapest_lane(const nm_map *map, float x, float y, float heading, float radius) {
    float least = INFINITY;
    uint32_t best = NM_NONE;
    for (uint32_t lane = 0; lane < map->lane_count; lane++) {
        if (!nm_lane_type_drivable((nm_lane_type)map->lanes[lane].type)) continue;
        const nm_frenet p = nm_map_project(map, lane, x, y);
        const float outside = fmaxf(fabsf(p.d) - (p.d > 0.0f ? p.left : p.right), 0.0f);
        if (hypotf(outside, p.beyond) > radius) continue;
        const float cost = fabsf(p.d) + fabsf(p.beyond) + 3.0f * fabsf(nm_wrap_angle(heading - p.heading));
        if (cost >= least) continue;
        least = cost;
        best = lane;
    }
    return best;
}

/// Lanes that can not win are not looked at: seen from the road, from far beside all of it (where the nearest lane
/// often runs the wrong way and one behind it is meant), and with a radius that walks over lanes instead of cells.
static void test_match_is_the_cheapest(void **state) {
    (void)state;
    static const float radii[] = {6.0f, 40.0f, 1000.0f};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        const nm_map *map = nm_test_tangle(seed, seed % 2 ? 30 : 6, 50.0);
        uint32_t draw = 9000000;
        for (int i = 0; i < 600; i++) {
            const float radius = radii[i % 3], reach = 70.0f + fminf(radius, 40.0f);
            const float x = (float)nm_test_uniform(seed, &draw, -(double)reach, (double)reach);
            const float y = (float)nm_test_uniform(seed, &draw, -(double)reach, (double)reach);
            const float heading = (float)nm_test_uniform(seed, &draw, -3.1, 3.1);
            const uint32_t lane = nm_map_match(map, x, y, heading, radius, NM_LANE_MASK_VEHICLE).lane;
            assert_int_equal(lane, cheapest_lane(map, x, y, heading, radius));
        }
        nm_map_release(map);
    }
}

static void test_lanes_in(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(200.0);
    uint32_t lanes[3];
    assert_int_equal(nm_map_lanes_in(map, (nm_vec2){50.0f, -1.0f}, (nm_vec2){51.0f, 1.0f}, lanes, 3), 1);
    assert_int_equal(lanes[0], 0);
    assert_int_equal(nm_map_lanes_in(map, (nm_vec2){50.0f, 1.0f}, (nm_vec2){51.0f, 9.0f}, lanes, 3), 3);
    assert_int_equal(lanes[2], 2);
    assert_int_equal(nm_map_lanes_in(map, (nm_vec2){-50.0f, -50.0f}, (nm_vec2){500.0f, 50.0f}, lanes, 1), 3);
    assert_int_equal(nm_map_lanes_in(map, (nm_vec2){50.0f, 9.0f}, (nm_vec2){51.0f, 10.0f}, lanes, 3), 0);
    nm_map_release(map);
    map = nm_test_tangle(3, 1, 10.0); // a small rectangle over each point of the centreline touches the lane
    for (uint32_t i = 0; i < map->point_count; i++) {
        nm_vec2 p = map->centre[i];
        assert_int_equal(
            nm_map_lanes_in(map, (nm_vec2){p.x - 0.1f, p.y - 0.1f}, (nm_vec2){p.x + 0.1f, p.y + 0.1f}, lanes, 3), 1);
    }
    nm_map_release(map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drivable_is_the_polygons),
        cmocka_unit_test(test_boxes_off_road),
        cmocka_unit_test(test_slivers_are_road),
        cmocka_unit_test(test_driveway_is_drivable),
        cmocka_unit_test(test_border_distance),
        cmocka_unit_test(test_frenet_round_trip),
        cmocka_unit_test(test_rail_follows_the_lane),
        cmocka_unit_test(test_lanes_at),
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_match_is_the_cheapest),
        cmocka_unit_test(test_lanes_in),
    };
    return cmocka_run_group_tests_name("map_query", tests, NULL, NULL);
}
