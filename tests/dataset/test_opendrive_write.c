/// Maps written as OpenDRIVE and read back: by our reader, and by a small evaluator in Python that shares nothing with
/// it.
#include "opendrive_support.h"

#include <unistd.h>

#include "base/rng.h"

/// m: within which borders of lanes come back.
#define BORDER 0.01

typedef struct written {
    nm_opendrive_writer *writer;
    nm_byte_buffer text;
} written;

static written write_map(const nm_map *map) {
    written w = {.writer = nm_opendrive_writer_create()};
    nm_error error;
    assert_non_null(w.writer);
    if (nm_opendrive_write(w.writer, map, "+proj=utm +zone=32", &w.text, &error) != NM_OK)
        fail_msg("%s", error.message);
    return w;
}

static void release(written *w) {
    nm_opendrive_writer_destroy(w->writer);
    nm_byte_buffer_free(&w->text);
}

typedef struct place {
    uint32_t road;
    int32_t lane_id;
    uint32_t lane;
} place;

static int from_left(const void *a, const void *b) {
    const place *x = a, *y = b;
    if (x->road != y->road) return x->road < y->road ? -1 : 1;
    return (x->lane_id < y->lane_id) - (x->lane_id > y->lane_id);
}

/// Lanes are read in the order of the roads, from left to right: order[i] is the lane of the map that lane i comes
/// from.
static place *reading_order(const written *w, const nm_map *map) {
    place *order = malloc(map->lane_count * sizeof *order);
    assert_non_null(order);
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        order[i].lane = i;
        nm_opendrive_lane(w->writer, i, &order[i].road, &order[i].lane_id);
    }
    qsort(order, map->lane_count, sizeof *order, from_left);
    return order;
}

static nm_lane_type kept_type(const nm_lane *lane) {
    if (lane->type == NM_LANE_UNKNOWN || lane->type == NM_LANE_DRIVEWAY) return NM_LANE_STREET;
    return lane->type == NM_LANE_CROSSWALK ? NM_LANE_SIDEWALK : (nm_lane_type)lane->type;
}

static int has_successor(const nm_map *map, const nm_lane *lane, uint32_t to) {
    for (uint32_t k = 0; k < lane->successors.count; ++k)
        if (map->lane_refs[lane->successors.first + k] == to) return 1;
    return 0;
}

static void compare_lane(const nm_map *a, const nm_lane *x, const nm_map *b, const nm_lane *y, const uint32_t *to_b) {
    double off = lane_distance(a, x, b, y);
    if (!(off < BORDER)) fail_msg("lane %lld comes back %.4f m off", (long long)x->source_id, off);
    assert_int_equal(y->type, kept_type(x));
    assert_true(x->speed_limit == y->speed_limit);
    if (nm_lane_type_drivable((nm_lane_type)x->type))
        assert_int_equal(x->flags & NM_LANE_BIDIRECTIONAL, y->flags & NM_LANE_BIDIRECTIONAL);
    assert_int_equal(x->control, y->control);
    assert_float_equal(x->stop_s, y->stop_s, 0.05f);
    assert_int_equal(x->successors.count, y->successors.count);
    for (uint32_t k = 0; k < x->successors.count; ++k)
        assert_true(has_successor(b, y, to_b[a->lane_refs[x->successors.first + k]]));
    assert_int_equal(x->signals.count, y->signals.count);
}

/// A lane's neighbours of its own direction the whole way along. Those that share its border come back.
static void compare_neighbours(const nm_map *a, const nm_lane *x, const nm_map *b, const nm_lane *y,
                               const uint32_t *to_b, uint32_t *kept) {
    for (uint32_t k = 0; k < x->left.count; ++k) {
        const nm_neighbour *n = &a->neighbours[x->left.first + k];
        const nm_lane *other = &a->lanes[n->lane];
        if (n->opposite || n->self_end - n->self_start < x->length - 0.1f ||
            n->other_end - n->other_start < other->length - 0.1f)
            continue;
        if (line_distance(a, a->left, x->points, a, a->right, other->points) > 0.002) continue;
        int found = 0;
        for (uint32_t m = 0; m < y->left.count; ++m) {
            const nm_neighbour *back = &b->neighbours[y->left.first + m];
            if (back->lane != to_b[n->lane]) continue;
            found = 1;
            assert_int_equal(back->may_change, n->may_change);
        }
        if (!found) fail_msg("lane %lld has lost its left neighbour", (long long)x->source_id);
        ++*kept;
    }
}

static void round_trip(const nm_map *map, uint32_t *neighbours) {
    written w = write_map(map);
    const nm_scene *scene = read_roads((const char *)w.text.bytes, w.text.size);
    const nm_map *back = scene->map;
    assert_int_equal(back->lane_count, map->lane_count);
    assert_int_equal(back->signal_count, map->signal_count);
    place *order = reading_order(&w, map);
    uint32_t *to_back = malloc(map->lane_count * sizeof *to_back);
    assert_non_null(to_back);
    for (uint32_t i = 0; i < map->lane_count; ++i) to_back[order[i].lane] = i;
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        const nm_lane *own = &map->lanes[order[i].lane];
        compare_lane(map, own, back, &back->lanes[i], to_back);
        compare_neighbours(map, own, back, &back->lanes[i], to_back, neighbours);
    }
    free(order);
    free(to_back);
    nm_scene_destroy(scene);
    release(&w);
}

// --- an independent reader -------------------------------------------------------------------------------------------

/// Every border point that the evaluator finds lies on our border.
static void evaluate(const nm_map *map) {
    char path[] = "/tmp/nearmiss-opendrive-XXXXXX", command[600], line[400];
    written w = write_map(map);
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, w.text.bytes, w.text.size), (ssize_t)w.text.size);
    close(file);
    snprintf(command, sizeof command, "python3 '" NM_SOURCE_DIR "/tests/dataset/evaluate_opendrive.py' %s 4", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    uint32_t rows = 0;
    place *order = reading_order(&w, map);
    while (fgets(line, sizeof line, pipe)) {
        place wanted = {0};
        int section;
        double s, p[4];
        assert_int_equal(sscanf(line, "%u,%d,%d,%lf,%lf,%lf,%lf,%lf", &wanted.road, &section, &wanted.lane_id, &s,
                                &p[0], &p[1], &p[2], &p[3]),
                         8);
        const place *found = bsearch(&wanted, order, map->lane_count, sizeof *order, from_left);
        if (!found) { // a stub, by which lanes fork
            assert_int_equal(wanted.lane_id, -1);
            assert_true(s < 0.05);
            continue;
        }
        const nm_lane *lane = &map->lanes[found->lane];
        for (int i = 0; i < 2;
             ++i) { // of either direction, the border nearer to the middle of the road is the left one
            const nm_vec2 *border = i ? map->right : map->left;
            double off = to_line(p[2 * i] - map->origin.x, p[2 * i + 1] - map->origin.y, border, lane->points);
            if (!(off < BORDER))
                fail_msg("road %u, lane %d, s = %.2f: %.4f m off", wanted.road, wanted.lane_id, s, off);
        }
        ++rows;
    }
    assert_int_equal(pclose(pipe), 0);
    assert_true(rows >= map->lane_count);
    unlink(path);
    free(order);
    release(&w);
}

// --- tests -----------------------------------------------------------------------------------------------------------

static const char *const specifications[] = {
    "highway:lanes=4,density=0",   "highway:carriageways=2,density=0",
    "highway_curved:density=0",    "highway_curved:radius=60,lanes=5,density=0",
    "on_ramp:density=0",           "off_ramp:lanes=4,density=0",
    "junction_signal:density=0",   "junction_signal:lanes=3,density=0",
    "junction_priority:density=0", "junction_priority:minor_control=stop,density=0",
    "junction_all_way:density=0",  "t_junction:density=0",
    "roundabout:density=0",        "roundabout:lanes=2,radius=18,density=0",
    "crosswalk:density=0",
};

static void test_builtin_maps(void **state) {
    (void)state;
    uint32_t neighbours = 0;
    for (size_t i = 0; i < sizeof specifications / sizeof *specifications; ++i) {
        const nm_scene *scene = builtin_scene(specifications[i]);
        print_message("%s\n", specifications[i]);
        round_trip(scene->map, &neighbours);
        nm_scene_destroy(scene);
    }
    assert_true(neighbours > 50);
}

/// Drawn from the whole range of what built-in maps can be.
static void test_random_maps(void **state) {
    (void)state;
    uint32_t neighbours = 0;
    for (uint64_t i = 0; i < 40; ++i) {
        nm_rng_key key = {.seed = 11, .scene = i};
        nm_builtin_params params = nm_builtin_params_default((nm_builtin_kind)(i % NM_BUILTIN_COUNT));
        const nm_map *map;
        nm_error error;
        int ring = params.kind == NM_BUILTIN_ROUNDABOUT, highway = params.kind <= NM_BUILTIN_OFF_RAMP;
        params.lanes = (highway ? 2 : 1) + (int)nm_rng_below(&key, 0, ring ? 2 : highway ? 4 : 3);
        params.lane_width = 2.6 + 0.01 * nm_rng_below(&key, 1, 200);
        params.radius = ring ? 22.0 + nm_rng_below(&key, 2, 60) : 60.0 + 10.0 * nm_rng_below(&key, 2, 100);
        params.length = (highway ? 500.0 : 60.0) + nm_rng_below(&key, 3, 200);
        params.carriageways = 1 + (int)nm_rng_below(&key, 4, 2);
        if (nm_builtin_map(&params, &map, &error) != NM_OK) fail_msg("map %d: %s", (int)i, error.message);
        round_trip(map, &neighbours);
        nm_map_release(map);
    }
    assert_true(neighbours > 100);
}

static void test_same_bytes(void **state) {
    (void)state;
    const nm_scene *scene = builtin_scene("junction_signal:density=0"), *other = builtin_scene("on_ramp:density=0");
    written a = write_map(scene->map), b = write_map(other->map);
    nm_error error;
    b.text.size = 0; // a writer that has written another map
    assert_int_equal(nm_opendrive_write(b.writer, scene->map, "+proj=utm +zone=32", &b.text, &error), NM_OK);
    assert_int_equal(a.text.size, b.text.size);
    assert_memory_equal(a.text.bytes, b.text.bytes, a.text.size);
    release(&a);
    release(&b);
    nm_scene_destroy(scene);
    nm_scene_destroy(other);
}

/// The format's own things that are not of lanes: the reference is a tag again, crosswalks are areas again.
static void test_rest(void **state) {
    (void)state;
    const nm_scene *scene = builtin_scene("crosswalk:density=0");
    written w = write_map(scene->map);
    const nm_scene *back = read_roads((const char *)w.text.bytes, w.text.size);
    assert_int_equal(back->tag_count, 1);
    assert_string_equal(back->tags[0], "geoReference:+proj=utm +zone=32");
    const nm_map *a = scene->map, *b = back->map;
    assert_int_equal(a->area_count, b->area_count);
    assert_true(a->area_count > 0);
    for (uint32_t i = 0; i < a->area_point_count; ++i) {
        assert_float_equal((double)a->area_points[i].x + a->origin.x, (double)b->area_points[i].x + b->origin.x, 1e-3);
        assert_float_equal((double)a->area_points[i].y + a->origin.y, (double)b->area_points[i].y + b->origin.y, 1e-3);
    }
    nm_scene_destroy(back);
    release(&w);
    nm_scene_destroy(scene);
}

// --- lanes that no reference line along their middle serves
// -----------------------------------------------------------

#define POINTS 60

/// A map of one lane with these borders.
static const nm_map *one_lane(const nm_point3 *left, const nm_point3 *right, size_t count) {
    nm_error error;
    const nm_map *map = NULL;
    nm_map_builder *builder = nm_map_builder_create();
    assert_non_null(builder);
    nm_lane_def def = {.id = 7, .type = NM_LANE_STREET, .left = left, .right = right, .point_count = count};
    if (nm_map_builder_add_lane(builder, &def, &error) != NM_OK || nm_map_builder_build(builder, &map, &error) != NM_OK)
        fail_msg("%s", error.message);
    nm_map_builder_destroy(builder);
    return map;
}

/// Comes back within 1 cm by our reader and by the other one.
static void expect_kept(const nm_point3 *left, const nm_point3 *right, size_t count, int python) {
    uint32_t neighbours = 0;
    const nm_map *map = one_lane(left, right, count);
    round_trip(map, &neighbours);
    if (python) evaluate(map);
    nm_map_release(map);
}

/// U-turns of a lane 4 m wide, the middle at `radius`: one border runs backwards around the centre of the bend where
/// that is less than 2 m. `side` 1 turns left.
static void test_hairpins(void **state) {
    (void)state;
    static const double radii[] = {3.0, 2.0, 1.8, 1.2, 0.6};
    const int python = system("python3 -c 0") == 0;
    for (size_t r = 0; r < sizeof radii / sizeof *radii; ++r) {
        for (int side = -1; side <= 1; side += 2) {
            nm_point3 inner[POINTS], outer[POINTS];
            for (int i = 0; i < POINTS; ++i) {
                // 10 m straight on, half a circle, 10 m back
                double along = i < 20 ? 0.5 * (i - 20) : i >= 40 ? -0.5 * (i - 39) : 0.0;
                double angle = i < 20 ? 0.0 : i >= 40 ? 3.14159265 : 3.14159265 * (i - 19) / 21.0;
                double c = sin(angle), s = -cos(angle), in = radii[r] - 2.0, out = radii[r] + 2.0;
                inner[i] = (nm_point3){50.0 + along + in * c, side * in * s, 0.0};
                outer[i] = (nm_point3){50.0 + along + out * c, side * out * s, 0.0};
            }
            print_message("radius %.1f m, side %d\n", radii[r], side);
            expect_kept(side > 0 ? inner : outer, side > 0 ? outer : inner, POINTS, python && r == 3);
        }
    }
}

/// Borders that jump towards the lane's middle and back, as recorded ones do where a driveway begins; and they lean
/// backwards in a bend.
static void test_ragged(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        nm_point3 left[POINTS], right[POINTS];
        nm_rng_key key = {.seed = seed};
        double heading = 0.3, x = 100.0, y = -40.0;
        for (int i = 0; i < POINTS; ++i) {
            double l = 1.0 + 0.002 * nm_rng_below(&key, 2 * (uint64_t)i, 2000),
                   w = 1.0 + 0.002 * nm_rng_below(&key, 2 * (uint64_t)i + 1, 2000);
            left[i] = (nm_point3){x - l * sin(heading), y + l * cos(heading), 0.0};
            right[i] = (nm_point3){x + w * sin(heading), y - w * cos(heading), 0.0};
            heading += i < 30 ? 0.0 : (seed % 2 ? 0.08 : -0.08);
            x += 0.5 * cos(heading);
            y += 0.5 * sin(heading);
        }
        expect_kept(left, right, POINTS, 0);
    }
}

/// Long and ragged all along, as hostile maps are.
static void test_long_and_ragged(void **state) {
    (void)state;
    enum { COUNT = 2000 };
    nm_point3 *left = malloc(2 * COUNT * sizeof *left), *right = left + COUNT;
    assert_non_null(left);
    nm_rng_key key = {.seed = 3};
    for (uint64_t i = 0; i < COUNT; ++i) {
        for (uint64_t side = 0; side < 2; ++side) {
            const double ahead = i % 3 ? 0.0 : 0.006 * nm_rng_below(&key, 4 * i + side, 1000);
            const double across = 0.001 * nm_rng_below(&key, 4 * i + side + 2, 1000);
            left[i + side * COUNT] = (nm_point3){0.5 * (double)i + ahead, 4.0 - 4.0 * (double)side + across, 0.0};
        }
    }
    const nm_map *map = one_lane(left, right, COUNT);
    written w = write_map(map);
    const nm_scene *scene = read_roads((const char *)w.text.bytes, w.text.size);
    assert_true(scene->map->lane_count >= 1);
    nm_scene_destroy(scene);
    release(&w);
    nm_map_release(map);
    free(left);
}

/// Where a lane itself runs backwards at its end no road can follow, but it is there, linked, and as wide.
static void test_nowhere(void **state) {
    (void)state;
    const nm_point3 left[3] = {{0.135, 96.482, 0.0}, {0.138, 96.470, 0.0}, {0.106, 96.461, 0.0}};
    const nm_point3 right[3] = {{0.0, 93.183, 0.0}, {-0.364, 93.006, 0.0}, {-0.101, 92.980, 0.0}};
    const nm_map *map = one_lane(left, right, 3);
    written w = write_map(map);
    const nm_scene *back = read_roads((const char *)w.text.bytes, w.text.size);
    assert_int_equal(back->map->lane_count, 1);
    assert_true(lane_distance(map, &map->lanes[0], back->map, &back->map->lanes[0]) < 0.7);
    nm_scene_destroy(back);
    release(&w);
    nm_map_release(map);
}

/// A lane whose border ends before its road: the last offset does not go on rising.
static void test_early_end(void **state) {
    (void)state;
    static const double borders[12][4] = {
        {-10.179, 21.448, -13.600, 20.712}, {-9.953, 20.526, -13.260, 19.335}, {-8.922, 16.676, -11.777, 14.206},
        {-8.013, 13.779, -10.355, 10.407},  {-7.308, 11.848, -9.144, 7.883},   {-6.484, 9.943, -7.641, 5.490},
        {-5.984, 8.962, -6.665, 4.317},     {-5.418, 8.014, -5.479, 3.232},    {-4.734, 7.080, -4.018, 2.333},
        {-3.834, 6.181, -2.318, 1.801},     {-2.517, 5.439, -0.556, 1.754},    {-0.367, 5.364, 0.869, 2.064}};
    nm_point3 left[12], right[12];
    for (int i = 0; i < 12; ++i) {
        left[i] = (nm_point3){borders[i][0], borders[i][1], 0.0};
        right[i] = (nm_point3){borders[i][2], borders[i][3], 0.0};
    }
    const nm_map *map = one_lane(left, right, 12);
    written w = write_map(map);
    const nm_scene *back = read_roads((const char *)w.text.bytes, w.text.size);
    double off = lane_distance(map, &map->lanes[0], back->map, &back->map->lanes[0]);
    if (!(off < BORDER)) fail_msg("%.4f m off", off);
    nm_scene_destroy(back);
    release(&w);
    nm_map_release(map);
}

// --- recorded maps: untidy ones --------------------------------------------------------------------------------------

typedef struct tally {
    uint32_t lanes, off, maps;
} tally;

/// Nothing is lost of the graph, and borders come back. (Of the 394 maps of osm-traffic, 7 lanes of 23,737 do not:
/// those run backwards themselves for some centimetres.)
static nm_status tally_map(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)record, (void)error;
    tally *sum = context;
    const nm_map *map = scene->map;
    written w = write_map(map);
    const nm_scene *copy = read_roads((const char *)w.text.bytes, w.text.size);
    const nm_map *back = copy->map;
    assert_int_equal(back->lane_count, map->lane_count);
    place *order = reading_order(&w, map);
    uint32_t *to_back = malloc(map->lane_count * sizeof *to_back);
    assert_non_null(to_back);
    for (uint32_t i = 0; i < map->lane_count; ++i) to_back[order[i].lane] = i;
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        const nm_lane *x = &map->lanes[order[i].lane], *y = &back->lanes[i];
        assert_int_equal(x->successors.count, y->successors.count);
        for (uint32_t k = 0; k < x->successors.count; ++k)
            assert_true(has_successor(back, y, to_back[map->lane_refs[x->successors.first + k]]));
        sum->off += !(lane_distance(map, x, back, y) < BORDER);
    }
    sum->lanes += map->lane_count;
    free(order);
    free(to_back);
    nm_scene_destroy(copy);
    release(&w);
    nm_scene_destroy(scene);
    return ++sum->maps < 3 ? NM_OK : NM_E_CANCELLED;
}

static void tally_file(const char *relative) {
    char path[600];
    tally sum = {0};
    nm_error error;
    if (!nm_test_have(path, sizeof path, relative)) return;
    nm_importer *importer = nm_importer_create(NULL);
    assert_non_null(importer);
    nm_import_file(importer, path, tally_map, NULL, &sum, NULL, &error);
    nm_importer_destroy(importer);
    print_message("%s: %u of %u lanes over 1 cm off\n", relative, sum.off, sum.lanes);
    assert_true(sum.lanes > 50);
    assert_int_equal(sum.off, 0);
}

static void test_recorded_maps(void **state) {
    (void)state;
    tally_file("data/womd/motion_data_one_scenario.tfrecord");
    tally_file("data/womd/womd_scenario_input.tfrecord");
    tally_file("data/commonroad/ngsim-val.tar.xz");
    tally_file("data/commonroad/osm-traffic.tar.xz");
}

static void test_evaluator(void **state) {
    (void)state;
    if (system("python3 -c 0") != 0) {
        printf("skipped: there is no python3\n");
        skip();
    }
    for (size_t i = 1; i < sizeof specifications / sizeof *specifications; i += 4) {
        const nm_scene *scene = builtin_scene(specifications[i]);
        print_message("%s\n", specifications[i]);
        evaluate(scene->map);
        nm_scene_destroy(scene);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin_maps),    cmocka_unit_test(test_random_maps),
        cmocka_unit_test(test_same_bytes),      cmocka_unit_test(test_rest),
        cmocka_unit_test(test_hairpins),        cmocka_unit_test(test_ragged),
        cmocka_unit_test(test_nowhere),         cmocka_unit_test(test_early_end),
        cmocka_unit_test(test_long_and_ragged), cmocka_unit_test(test_recorded_maps),
        cmocka_unit_test(test_evaluator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
