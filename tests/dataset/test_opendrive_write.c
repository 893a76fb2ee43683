/// Maps written as OpenDRIVE and read back: by our reader, and by a small evaluator in Python that shares nothing with
/// it.
#include "opendrive_support.h"

#include <unistd.h>

#include "base/rng.h"

/// The issue's: borders of lanes come back within 1 cm.
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

// --- recorded maps: untidy ones --------------------------------------------------------------------------------------

typedef struct tally {
    uint32_t lanes, off, maps;
} tally;

/// Nothing is lost of the graph; borders that turn back on themselves are cut, nearly all others come back.
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

static void tally_file(const char *relative, double share) {
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
    assert_true(sum.off <= share * sum.lanes);
}

static void test_recorded_maps(void **state) {
    (void)state;
    tally_file("data/womd/motion_data_one_scenario.tfrecord", 0.07);
    tally_file("data/womd/womd_scenario_input.tfrecord", 0.13);
    tally_file("data/commonroad/ngsim-val.tar.xz", 0.03);
    tally_file("data/commonroad/osm-traffic.tar.xz", 0.01);
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
        cmocka_unit_test(test_builtin_maps), cmocka_unit_test(test_random_maps),   cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_rest),         cmocka_unit_test(test_recorded_maps), cmocka_unit_test(test_evaluator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
