/// The map as nuPlan's metrics see it: geometry, checks, and what is made of the simulator's maps.
#include "nuplan_support.h"

#include "scenes.h"
#include "sim/builtin.h"

// --- geometry --------------------------------------------------------------------------------------------------------

/// A square of 10 m with a square hole of 4 m in the middle, in all four combinations of orientations.
static void test_polygon_with_hole(void **state) {
    (void)state;
    for (int way = 0; way < 4; ++way) {
        nm_nuplan_point points[10] = {{0, 0}, {10, 0}, {10, 10}, {0, 10}, {3, 3},
                                      {7, 3}, {7, 7},  {3, 7},   {0, 5},  {1, 5}};
        for (int ring = 0; ring < 2; ++ring) {
            nm_nuplan_point *p = points + 4 * ring, second = p[1];
            if (way >> ring & 1) p[1] = p[3], p[3] = second;
        }
        const nm_range rings[2] = {{0, 4}, {4, 4}}, polygon = {0, 2}, part = {0, 1};
        const uint32_t parts[1] = {0};
        const nm_nuplan_object lane = {.baseline = {8, 2}};
        const nm_nuplan_map_def def = {.points = points,
                                       .point_count = 10,
                                       .rings = rings,
                                       .ring_count = 2,
                                       .polygons = &polygon,
                                       .polygon_count = 1,
                                       .parts = parts,
                                       .part_count = 1,
                                       .objects = &lane,
                                       .object_count = 1,
                                       .roadblocks = &part,
                                       .roadblock_count = 1};
        const nm_nuplan_map *map;
        nm_error error;
        assert_int_equal(nm_nuplan_map_create(&def, &map, &error), NM_OK);
        static const struct {
            double x, y, distance;
            int inside;
        } cases[] = {
            {1, 1, 0, 1},  {5, 5, 2, 0},   {3.5, 4, 0.5, 0}, {3, 5, 0, 0},  {0, 5, 0, 0}, {10, 10, 0, 0},
            {8, 5, 0, 1},  {12, 5, 2, 0},  {13, 14, 5, 0},   {-1, 0, 1, 0}, {2, 3, 0, 1}, {3, 3, 0, 0},
            {11, 3, 1, 0}, {-5, 10, 5, 0}, {5, 0, 0, 0},     {5, 3, 0, 0},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
            assert_int_equal(nm_nuplan_polygon_contains(map, 0, cases[i].x, cases[i].y), cases[i].inside);
            assert_float_equal(nm_nuplan_polygon_distance(map, 0, cases[i].x, cases[i].y), cases[i].distance, 1e-12);
        }
        nm_nuplan_map_destroy(map);
    }
}

/// A border that crosses itself, as the inner side of a tight bend does, leaves no hole.
static void test_folded_polygon(void **state) {
    (void)state;
    hand_map m;
    hand_begin(&m);
    hand_lane(&m, NM_NUPLAN_LANE, 0, 0, 4, 1, (nm_nuplan_point){0, 0.5}, (nm_nuplan_point){4, 0.5}, 0);
    // east along y = 0 to x = 6, back west along y = 2, and south over the start: counted twice in 0 .. 1, 0 .. 1
    const nm_nuplan_point ring[] = {{0, 0}, {6, 0}, {6, 2}, {-1, 2}, {-1, -1}, {1, -1}, {1, 1}, {0, 1}};
    m.rings[0] = (nm_range){m.def.point_count, 8};
    memcpy(m.points + m.def.point_count, ring, sizeof ring);
    m.def.point_count += 8;
    const nm_nuplan_map *map = hand_finish(&m);
    assert_int_equal(nm_nuplan_polygon_contains(map, 0, 0.5, 0.5), 1); // wound around twice
    assert_int_equal(nm_nuplan_polygon_contains(map, 0, 3, 1), 1);
    assert_int_equal(nm_nuplan_polygon_contains(map, 0, -0.5, 1.5), 1);
    assert_int_equal(nm_nuplan_polygon_contains(map, 0, 3, -0.5), 0);
    nm_nuplan_map_destroy(map);
}

/// Outlines and baselines of hundreds of points, against sums over all of them.
static void test_long_outlines(void **state) {
    (void)state;
    enum { RING = 333, LINE = 150 };
    nm_nuplan_point points[RING + LINE];
    for (int i = 0; i < RING; ++i) { // a star-shaped wave, so that every ray crosses it many times
        const double a = 2.0 * NM_PI * i / RING, r = 30.0 + 8.0 * sin(17.0 * a) + 3.0 * sin(53.0 * a);
        points[i] = (nm_nuplan_point){r * cos(a), r * sin(a)};
    }
    for (int i = 0; i < LINE; ++i) points[RING + i] = (nm_nuplan_point){0.4 * i - 30.0, 9.0 * sin(0.35 * i)};
    const nm_range ring = {0, RING}, one = {0, 1};
    const uint32_t parts[1] = {0};
    const nm_nuplan_object lane = {.baseline = {RING, LINE}};
    const nm_nuplan_map_def def = {.points = points,
                                   .point_count = RING + LINE,
                                   .rings = &ring,
                                   .ring_count = 1,
                                   .polygons = &one,
                                   .polygon_count = 1,
                                   .parts = parts,
                                   .part_count = 1,
                                   .objects = &lane,
                                   .object_count = 1,
                                   .roadblocks = &one,
                                   .roadblock_count = 1};
    const nm_nuplan_map *map;
    nm_error error;
    uint32_t draw = 0, inside = 0;
    assert_int_equal(nm_nuplan_map_create(&def, &map, &error), NM_OK);
    for (int n = 0; n < 3000; ++n) {
        const double x = nm_test_uniform(11, &draw, -45, 45), y = nm_test_uniform(11, &draw, -45, 45);
        int odd = 0; // crossings of the ray towards -y, unlike the code
        for (int i = 0, k = RING - 1; i < RING; k = i++) {
            const nm_nuplan_point a = points[k], b = points[i];
            if ((a.x <= x) != (b.x <= x)) odd ^= a.y + (x - a.x) / (b.x - a.x) * (b.y - a.y) < y;
        }
        assert_int_equal(nm_nuplan_polygon_contains(map, 0, x, y), odd);
        inside += odd != 0;
        double least = INFINITY, s = 0.0, at = 0.0;
        for (int i = RING; i + 1 < RING + LINE; ++i) {
            const double dx = points[i + 1].x - points[i].x, dy = points[i + 1].y - points[i].y, l = hypot(dx, dy);
            const double t = fmin(fmax(((x - points[i].x) * dx + (y - points[i].y) * dy) / l, 0.0), l);
            const double far = hypot(x - points[i].x - t * dx / l, y - points[i].y - t * dy / l);
            if (far < least - 1e-12) least = far, at = s + t;
            s += l;
        }
        assert_float_equal(nm_nuplan_project(map, 0, x, y), at, 1e-9);
    }
    assert_true(inside > 800 && inside < 2200);
    nm_nuplan_map_destroy(map);
}

static void test_project(void **state) {
    (void)state;
    hand_map m;
    hand_begin(&m);
    hand_lane(&m, NM_NUPLAN_LANE, 0, -5, 20, 5, (nm_nuplan_point){0, 0}, (nm_nuplan_point){10, 0}, 0);
    m.points[m.def.point_count++] = (nm_nuplan_point){10, 0}; // repeated: no length
    m.points[m.def.point_count++] = (nm_nuplan_point){10, 20};
    m.objects[0].baseline.count = 4;
    const nm_nuplan_map *map = hand_finish(&m);
    assert_float_equal(nm_nuplan_length(map, 0), 30, 0);
    assert_float_equal(nm_nuplan_project(map, 0, 4, 3), 4, 1e-12);
    assert_float_equal(nm_nuplan_project(map, 0, -4, 3), 0, 0);
    assert_float_equal(nm_nuplan_project(map, 0, 12, 5), 15, 1e-12);
    assert_float_equal(nm_nuplan_project(map, 0, 12, 50), 30, 1e-12);
    assert_float_equal(nm_nuplan_project(map, 0, 7, 3), 7, 1e-12); // as near to (10, 3): the first
    nm_nuplan_map_destroy(map);
}

/// Lanes go before connectors; of overlapping lanes the one whose baseline is nearest; of connectors all, ascending.
static void test_objects_at(void **state) {
    (void)state;
    hand_map m;
    uint32_t found[4] = {9, 9, 9, 9};
    hand_begin(&m);
    hand_lane(&m, NM_NUPLAN_CONNECTOR, 0, 0, 30, 10, (nm_nuplan_point){0, 1}, (nm_nuplan_point){30, 1}, 0);
    hand_lane(&m, NM_NUPLAN_CONNECTOR, 0, 0, 30, 10, (nm_nuplan_point){0, 2}, (nm_nuplan_point){30, 2}, 0);
    hand_lane(&m, NM_NUPLAN_LANE, 10, 0, 20, 10, (nm_nuplan_point){10, 2}, (nm_nuplan_point){20, 2}, 0);
    hand_lane(&m, NM_NUPLAN_LANE, 15, 0, 20, 10, (nm_nuplan_point){15, 6}, (nm_nuplan_point){20, 6}, 0);
    const nm_nuplan_map *map = hand_finish(&m);
    assert_int_equal(nm_nuplan_objects_at(map, 5, 5, found, 4), 2);
    assert_true(found[0] == 0 && found[1] == 1 && found[2] == 9);
    assert_int_equal(nm_nuplan_objects_at(map, 5, 5, found, 1), 2);
    assert_int_equal(nm_nuplan_objects_at(map, 12, 5, found, 4), 1);
    assert_int_equal(found[0], 2);
    assert_int_equal(nm_nuplan_objects_at(map, 17, 5, found, 4), 1);
    assert_int_equal(found[0], 3);
    assert_int_equal(nm_nuplan_objects_at(map, 17, 3, found, 4), 1);
    assert_int_equal(found[0], 2);
    assert_int_equal(nm_nuplan_objects_at(map, 17, 4, found, 4), 1); // 2 m from both
    assert_int_equal(found[0], 2);
    assert_int_equal(nm_nuplan_objects_at(map, 50, 5, found, 4), 0);
    assert_int_equal(nm_nuplan_objects_at(map, NAN, 5, found, 4), 0);
    nm_nuplan_map_destroy(map);
}

/// The grids against all polygons one by one.
static void test_layers_against_all_polygons(void **state) {
    (void)state;
    hand_map m;
    uint32_t draw = 0;
    hand_begin(&m);
    for (int i = 0; i < 12; ++i) {
        const double x = nm_test_uniform(7, &draw, -200, 200), y = nm_test_uniform(7, &draw, -200, 200);
        const double w = nm_test_uniform(7, &draw, 1, 90), h = nm_test_uniform(7, &draw, 1, 90);
        hand_lane(&m, i % 2 ? NM_NUPLAN_LANE : NM_NUPLAN_CONNECTOR, x, y, x + w, y + h, (nm_nuplan_point){x, y},
                  (nm_nuplan_point){x + w, y}, 0);
        if (i % 3 == 0) m.intersections[m.def.intersection_count++] = hand_area(&m, m.objects[i].surface);
    }
    const nm_nuplan_map *map = hand_finish(&m);
    int inside = 0, near = 0;
    for (int i = 0; i < 4000; ++i) {
        const double x = nm_test_uniform(7, &draw, -310, 310), y = nm_test_uniform(7, &draw, -310, 310);
        int in_any = 0, near_any = 0, lanes = 0, connectors = 0, crossing = 0;
        for (uint32_t k = 0; k < 12; ++k) {
            const int in = nm_nuplan_polygon_contains(map, m.objects[k].surface, x, y);
            in_any |= in;
            near_any |= nm_nuplan_polygon_distance(map, m.objects[k].surface, x, y) < 4.0;
            lanes += in && k % 2 == 1;
            connectors += in && k % 2 == 0;
            crossing |= in && k % 3 == 0;
        }
        uint32_t found[16];
        assert_int_equal(nm_nuplan_objects_at(map, x, y, found, 16), lanes ? 1 : connectors);
        assert_int_equal(nm_nuplan_layer_contains(map, NM_NUPLAN_DRIVABLE, x, y), in_any);
        assert_int_equal(nm_nuplan_layer_near(map, NM_NUPLAN_DRIVABLE, x, y, 4.0), near_any);
        assert_int_equal(nm_nuplan_layer_contains(map, NM_NUPLAN_INTERSECTIONS, x, y), crossing);
        inside += in_any;
        near += near_any;
    }
    assert_true(inside > 100 && near > inside && near < 3900);
    nm_nuplan_map_destroy(map);
}

// --- checks ----------------------------------------------------------------------------------------------------------

static void refuse(const hand_map *m, nm_status status, const char *what) {
    const nm_nuplan_map *map = (const nm_nuplan_map *)(uintptr_t)8;
    nm_error error;
    assert_int_equal(nm_nuplan_map_create(&m->def, &map, &error), status);
    assert_null(map);
    if (!strstr(error.message, what)) fail_msg("\"%s\" does not speak of %s", error.message, what);
}

static void test_refuses(void **state) {
    (void)state;
    hand_map good, m;
    hand_town(&good);
#define BAD(change, what)                                                                                              \
    do {                                                                                                               \
        hand_town(&m);                                                                                                 \
        change;                                                                                                        \
        refuse(&m, NM_E_FORMAT, what);                                                                                 \
    } while (0)
    BAD(m.points[3].x = NAN, "point 3");
    BAD(m.points[3].y = 2e8, "point 3");
    BAD(m.rings[2].count = 2, "ring 2");
    BAD(m.rings[2].first = m.def.point_count - 2, "ring 2");
    BAD(m.rings[2].first = UINT32_MAX, "ring 2");
    BAD(m.polygons[1].count = 0, "polygon 1");
    BAD(m.polygons[1].first = 99, "polygon 1");
    BAD(m.parts[1] = 77, "part 1");
    BAD(m.roadblocks[2].count = 1000, "roadblock 2");
    BAD(m.intersections[0].first = 1000, "intersection 0");
    BAD(m.drivable[4].count = 0, "drivable area 4");
    BAD(m.objects[5].surface = 7, "lane 5 (105)");
    BAD(m.objects[5].roadblock = 6, "lane 5 (105)");
    BAD(m.objects[5].kind = 2, "lane 5 (105)");
    BAD(m.objects[5].baseline.count = 1, "lane 5 (105)");
    BAD(m.objects[5].baseline.first = m.def.point_count, "lane 5 (105)");
    BAD(m.objects[5].baseline = m.objects[4].baseline, "lane 5");
    BAD(m.points[5] = m.points[4], "lane 0");
    BAD(m.objects[2].speed_limit = -1, "speed limit");
    BAD(m.objects[2].speed_limit = INFINITY, "speed limit");
    BAD(m.links[1].to = 6, "link 1");
#undef BAD
    good.def.point_count = UINT32_MAX;
    refuse(&good, NM_E_LIMIT, "elements");
    nm_nuplan_map_destroy(NULL);
}

/// A map of nothing is a map: nobody is anywhere on it.
static void test_empty(void **state) {
    (void)state;
    const nm_nuplan_map_def def = {0};
    const nm_nuplan_map *map;
    uint32_t found[1];
    nm_error error;
    assert_int_equal(nm_nuplan_map_create(&def, &map, &error), NM_OK);
    assert_int_equal(nm_nuplan_objects_at(map, 0, 0, found, 1), 0);
    assert_int_equal(nm_nuplan_layer_contains(map, NM_NUPLAN_DRIVABLE, 0, 0), 0);
    assert_int_equal(nm_nuplan_layer_near(map, NM_NUPLAN_DRIVABLE, 0, 0, 1e6), 0);
    nm_nuplan_map_destroy(map);
}

// --- from the simulator's maps ---------------------------------------------------------------------------------------

static const nm_nuplan_map *view_of(const nm_map *map) {
    const nm_nuplan_map *view;
    nm_error error;
    if (nm_nuplan_map_of(map, &view, &error) != NM_OK) fail_msg("%s", error.message);
    return view;
}

/// Three lanes side by side: one roadblock, no connectors.
static void test_road(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(200);
    const nm_nuplan_map *view = view_of(map);
    uint32_t found[2];
    assert_int_equal(view->def.object_count, 3);
    assert_int_equal(view->def.roadblock_count, 1);
    assert_int_equal(view->def.intersection_count, 0);
    for (uint32_t i = 0; i < 3; ++i) {
        assert_int_equal(view->def.objects[i].id, 10 + i);
        assert_int_equal(view->def.objects[i].kind, NM_NUPLAN_LANE);
        assert_float_equal(view->def.objects[i].speed_limit, 30, 0);
        assert_float_equal(nm_nuplan_length(view, i), 200, 1e-4);
        assert_int_equal(nm_nuplan_objects_at(view, 50, 3.5 * i + 1.7, found, 2), 1);
        assert_int_equal(found[0], i);
        assert_int_equal(nm_nuplan_area_contains(view, view->def.roadblocks[0], 50, 3.5 * i), 1);
        assert_float_equal(nm_nuplan_project(view, i, 60, 1), 60, 1e-4);
    }
    assert_int_equal(nm_nuplan_layer_contains(view, NM_NUPLAN_DRIVABLE, 50, -1.7), 1);
    assert_int_equal(nm_nuplan_layer_contains(view, NM_NUPLAN_DRIVABLE, 50, -1.8), 0);
    assert_int_equal(nm_nuplan_layer_near(view, NM_NUPLAN_DRIVABLE, 50, -2.0, 0.3), 1);
    nm_nuplan_map_destroy(view);
    nm_map_release(map);
}

/// Two roads that cross: entries and exits are lanes, the middles connectors of one intersection.
static void test_crossing(void **state) {
    (void)state;
    const nm_map *map = nm_test_crossing(NM_CONTROL_NONE, NM_CONTROL_NONE);
    const nm_nuplan_map *view = view_of(map);
    assert_int_equal(view->def.object_count, 6);
    assert_int_equal(view->def.roadblock_count, 6);
    assert_int_equal(view->def.intersection_count, 1);
    assert_int_equal(view->def.link_count, 4);
    for (uint32_t i = 0; i < 6; ++i) {
        assert_int_equal(view->def.objects[i].id, 1 + i);
        assert_int_equal(view->def.objects[i].kind, i % 3 == 1 ? NM_NUPLAN_CONNECTOR : NM_NUPLAN_LANE);
        assert_int_equal(view->outgoing[i].count, i % 3 < 2);
        assert_int_equal(view->incoming[i].count, i % 3 > 0);
        if (i % 3 < 2) assert_int_equal(view->out_edges[view->outgoing[i].first], i + 1);
        if (i % 3 > 0) assert_int_equal(view->in_edges[view->incoming[i].first], i - 1);
    }
    assert_int_equal(nm_nuplan_layer_contains(view, NM_NUPLAN_INTERSECTIONS, 0, 0), 1);
    assert_int_equal(nm_nuplan_layer_contains(view, NM_NUPLAN_INTERSECTIONS, 0, 9), 1);
    assert_int_equal(nm_nuplan_layer_contains(view, NM_NUPLAN_INTERSECTIONS, 9, 9), 0);
    assert_int_equal(nm_nuplan_layer_contains(view, NM_NUPLAN_INTERSECTIONS, 0, 11), 0);
    nm_nuplan_map_destroy(view);
    nm_map_release(map);
}

/// Lanes of 100 m, one behind the other beside a single one of 200 m: no roadblock holds a lane and its successor. Two
/// connectors from one lane into two of a roadblock share theirs.
static void test_roadblocks(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    nm_neighbour_def to_long[2] = {{.lane = 1, .other_start = 0, .other_end = 100},
                                   {.lane = 1, .other_start = 100, .other_end = 200}};
    nm_neighbour_def to_short[2] = {{.lane = 2, .self_start = 0, .self_end = 100},
                                    {.lane = 3, .self_start = 100, .self_end = 200}};
    int64_t next = 3, connectors[2] = {4, 5}, six = 6, seven = 7;
    nm_lane_def def = nm_lane_def_default();
    def.type = NM_LANE_STREET;
    def.id = 1, def.right_neighbours = to_short, def.right_neighbour_count = 2;
    nm_test_lane(builder, &def, (double[]){0, 4, 200, 4}, 2, 4);
    def.right_neighbour_count = 0, def.left_neighbours = &to_long[0], def.left_neighbour_count = 1;
    def.id = 2, def.successors = &next, def.successor_count = 1;
    nm_test_lane(builder, &def, (double[]){0, 0, 100, 0}, 2, 4);
    def.left_neighbours = &to_long[1];
    def.id = 3, def.successors = connectors, def.successor_count = 2;
    nm_test_lane(builder, &def, (double[]){100, 0, 200, 0}, 2, 4);
    def.left_neighbour_count = 0, def.junction = 1;
    def.id = 4, def.successors = &six, def.successor_count = 1;
    nm_test_lane(builder, &def, (double[]){200, 0, 220, 0}, 2, 4);
    def.id = 5, def.successors = &seven;
    nm_test_lane(builder, &def, (double[]){200, 0, 220, -4}, 2, 4);
    nm_neighbour_def right = {.lane = 7}, left = {.lane = 6};
    def.junction = -1, def.successor_count = 0;
    def.id = 6, def.right_neighbours = &right, def.right_neighbour_count = 1;
    nm_test_lane(builder, &def, (double[]){220, 0, 300, 0}, 2, 4);
    def.right_neighbour_count = 0, def.left_neighbours = &left, def.left_neighbour_count = 1;
    def.id = 7;
    nm_test_lane(builder, &def, (double[]){220, -4, 300, -4}, 2, 4);
    def.left_neighbour_count = 0, def.type = NM_LANE_SIDEWALK; // nobody drives there
    def.id = 8;
    nm_test_lane(builder, &def, (double[]){0, 8, 200, 8}, 2, 2);
    const nm_map *map = nm_test_build(builder);
    const nm_nuplan_map *view = view_of(map);
    const nm_nuplan_object *o = view->def.objects;
    assert_int_equal(view->def.object_count, 7);
    assert_int_not_equal(o[1].roadblock, o[2].roadblock);
    assert_int_not_equal(o[0].roadblock, o[1].roadblock);
    assert_int_equal(o[3].roadblock, o[4].roadblock); // the connectors
    assert_int_equal(o[5].roadblock, o[6].roadblock);
    assert_int_equal(view->def.roadblock_count, 5);
    assert_int_equal(view->def.roadblocks[o[5].roadblock].count, 2);
    assert_int_equal(nm_nuplan_area_contains(view, view->def.roadblocks[o[5].roadblock], 250, -5), 1);
    nm_nuplan_map_destroy(view);
    nm_map_release(map);
}

/// A junction whose way straight on is drawn in two pieces, the second shared with a way that begins beside it: two
/// whole ways, each from lane to lane.
static void test_ways_in_pieces(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    int64_t two = 2, three = 3, four = 4;
    nm_lane_def def = nm_lane_def_default();
    def.type = NM_LANE_STREET, def.speed_limit = 10;
    def.id = 1, def.successors = &two, def.successor_count = 1;
    nm_test_lane(builder, &def, (double[]){0, 0, 100, 0}, 2, 4);
    def.junction = 1;
    def.id = 2, def.successors = &three;
    nm_test_lane(builder, &def, (double[]){100, 0, 110, 0}, 2, 4);
    def.id = 3, def.successors = &four;
    nm_test_lane(builder, &def, (double[]){110, 0, 130, 0}, 2, 4);
    def.junction = -1;
    def.id = 4, def.successor_count = 0;
    nm_test_lane(builder, &def, (double[]){130, 0, 200, 0}, 2, 4);
    def.id = 5, def.successors = (int64_t[]){6}, def.successor_count = 1;
    nm_test_lane(builder, &def, (double[]){105, -60, 105, -20}, 2, 4);
    def.junction = 1;
    def.id = 6, def.successors = &three;
    nm_test_lane(builder, &def, (double[]){105, -20, 105, -5, 110, 0}, 3, 4);
    const nm_map *map = nm_test_build(builder);
    const nm_nuplan_map *view = view_of(map);
    assert_int_equal(view->def.object_count, 5); // lanes 1, 4, 5 and the ways 2-3 and 6-3
    const nm_nuplan_object *o = view->def.objects;
    const int64_t ids[] = {1, 2, 4, 5, 6};
    for (uint32_t i = 0; i < 5; ++i) assert_int_equal(o[i].id, ids[i]);
    assert_int_equal(o[1].kind, NM_NUPLAN_CONNECTOR);
    assert_float_equal(nm_nuplan_length(view, 1), 30, 1e-4);
    assert_int_equal(o[1].baseline.count, 3); // the joint once
    assert_float_equal(nm_nuplan_project(view, 1, 120, 1), 20, 1e-4);
    assert_int_equal(view->def.link_count, 4);
    for (uint32_t i = 1; i < 5; i += 3) { // both from their lane to lane 4
        assert_int_equal(view->incoming[i].count, 1);
        assert_int_equal(view->in_edges[view->incoming[i].first], i - 1);
        assert_int_equal(view->outgoing[i].count, 1);
        assert_int_equal(view->out_edges[view->outgoing[i].first], 2);
    }
    uint32_t found[4];
    assert_int_equal(nm_nuplan_objects_at(view, 120, 0, found, 4), 2); // the shared piece is of both
    assert_true(found[0] == 1 && found[1] == 4);
    assert_int_equal(nm_nuplan_objects_at(view, 102, 1, found, 4), 1);
    assert_int_equal(found[0], 1);
    nm_nuplan_map_destroy(view);
    nm_map_release(map);
}

/// On a built-in town: everywhere the drivable layer answers what the simulator does, but for its tolerance of 5 cm.
static void test_drivable_as_the_simulator(void **state) {
    (void)state;
    nm_builtin_kind kind;
    nm_error error;
    const nm_map *map;
    assert_int_equal(nm_builtin_from_name("junction_signal", &kind, &error), NM_OK);
    const nm_builtin_params params = nm_builtin_params_default(kind);
    assert_int_equal(nm_builtin_map(&params, &map, &error), NM_OK);
    const nm_nuplan_map *view = view_of(map);
    assert_true(view->def.intersection_count >= 1);
    uint32_t draw = 0, inside = 0;
    for (int i = 0; i < 5000; ++i) {
        const float x = (float)nm_test_uniform(3, &draw, map->bounds_min.x, map->bounds_max.x);
        const float y = (float)nm_test_uniform(3, &draw, map->bounds_min.y, map->bounds_max.y);
        const int here = nm_map_drivable(map, x, y);
        if (nm_nuplan_layer_contains(view, NM_NUPLAN_DRIVABLE, x, y)) assert_true(here);
        if (here) assert_true(nm_nuplan_layer_near(view, NM_NUPLAN_DRIVABLE, x, y, 0.051));
        inside += here != 0;
    }
    assert_true(inside > 200 && inside < 4800);
    nm_nuplan_map_destroy(view);
    nm_map_release(map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_polygon_with_hole),
        cmocka_unit_test(test_folded_polygon),
        cmocka_unit_test(test_long_outlines),
        cmocka_unit_test(test_project),
        cmocka_unit_test(test_objects_at),
        cmocka_unit_test(test_layers_against_all_polygons),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_road),
        cmocka_unit_test(test_crossing),
        cmocka_unit_test(test_roadblocks),
        cmocka_unit_test(test_ways_in_pieces),
        cmocka_unit_test(test_drivable_as_the_simulator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
