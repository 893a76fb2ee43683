/// Every state, lane and signal of the public test records against decode_womd.py, which walks the wire format on its
/// own with nothing but Python's standard library.
#include "support.h"

#include <inttypes.h>

#include "dataset/readers.h"

typedef struct facts {
    FILE *pipe;
    char *line;
    size_t capacity;
} facts;

static int next_line(facts *f) {
    ssize_t length = getline(&f->line, &f->capacity, f->pipe);
    if (length <= 0) return 0;
    f->line[length - 1] = 0;
    return 1;
}

static nm_status keep(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)record, (void)error;
    const nm_scene **out = context;
    assert_null(*out); // each of the files has one record
    *out = scene;
    return NM_OK;
}

static uint8_t *load(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

/// To float precision: half a unit in the last place of the value relative to the origin.
static void same(float found, double expected) {
    if (fabs((double)found - expected) > 6e-8 * fabs(expected) + 1e-12)
        fail_msg("%.9g instead of %.17g", (double)found, expected);
}

static void check_state(const nm_scene *scene, uint32_t track, const char *line) {
    uint32_t step;
    double v[9];
    assert_int_equal(sscanf(line, "state %" SCNu32 " %lf %lf %lf %lf %lf %lf %lf %lf %lf", &step, &v[0], &v[1], &v[2],
                            &v[3], &v[4], &v[5], &v[6], &v[7], &v[8]),
                     10);
    assert_true(step < scene->step_count);
    size_t at = nm_scene_at(scene, track, step);
    assert_int_equal(scene->valid[at], 1);
    same(scene->x[at], v[0] - scene->map->origin.x);
    same(scene->y[at], v[1] - scene->map->origin.y);
    same(scene->z[at], v[2] - scene->map->origin.z);
    const double pi = 3.14159265358979323846;
    double turns = remainder(v[3] - (double)scene->heading[at], 2.0 * pi);
    assert_true(fabs(turns) < 3e-7);
    assert_true((double)scene->heading[at] > -pi - 1e-7 && (double)scene->heading[at] <= pi + 1e-7);
    if (fabs(v[3]) < 3.14) assert_true(scene->heading[at] == (float)v[3]);
    assert_true(scene->vx[at] == (float)v[4] && scene->vy[at] == (float)v[5]);
    assert_true(scene->state_length[at] == (float)v[6] && scene->state_width[at] == (float)v[7] &&
                scene->state_height[at] == (float)v[8]);
}

static uint32_t lane_index(const nm_map *map, int64_t id) {
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (map->lanes[i].source_id == id) return i;
    }
    return NM_NONE;
}

/// The ids behind `word` that are lanes of the map are exactly the references in `range`.
static void check_references(const nm_map *map, nm_range range, const char *line) {
    uint32_t found = 0;
    char *at = strchr(line, ' ');
    while (at && *at) {
        int64_t id = strtoll(at, &at, 10);
        uint32_t lane = lane_index(map, id);
        if (lane == NM_NONE) continue;
        found++;
        int there = 0;
        for (uint32_t i = 0; i < range.count; i++) there |= map->lane_refs[range.first + i] == lane;
        assert_true(there);
    }
    assert_int_equal(found, range.count);
}

static uint32_t check_lane(const nm_map *map, facts *f) {
    int64_t id;
    int type;
    double mph;
    uint32_t points, first;
    assert_int_equal(sscanf(f->line, "lane %" SCNd64 " %d %lf %" SCNu32, &id, &type, &mph, &points), 4);
    uint32_t index = lane_index(map, id);
    assert_int_equal(index == NM_NONE, points < 2);
    const nm_lane *lane = index == NM_NONE ? NULL : &map->lanes[index];
    assert_true(next_line(f));
    if (lane) check_references(map, lane->predecessors, f->line);
    assert_true(next_line(f));
    if (lane) check_references(map, lane->successors, f->line);
    if (lane) same(lane->speed_limit, mph * 0.44704);
    if (lane) assert_int_equal(lane->points.count, points);
    first = lane ? lane->points.first : 0;
    for (uint32_t i = 0; i < points; i++) {
        double x, y, z;
        assert_true(next_line(f));
        assert_int_equal(sscanf(f->line, "point %lf %lf %lf", &x, &y, &z), 3);
        if (!lane) continue;
        same(map->centre[first + i].x, x - map->origin.x);
        same(map->centre[first + i].y, y - map->origin.y);
        same(map->z[first + i], z - map->origin.z);
        // each border lies on the normal, at most as far as a border is looked for
        double left = hypot((double)(map->left[first + i].x - map->centre[first + i].x),
                            (double)(map->left[first + i].y - map->centre[first + i].y));
        assert_true(left > 0.01 && left <= 15.01);
    }
    return lane != NULL;
}

static void check_signal(const nm_scene *scene, const char *line) {
    uint32_t step, state, signal = 0;
    int64_t lane;
    assert_int_equal(sscanf(line, "signal %" SCNu32 " %" SCNd64 " %" SCNu32, &step, &lane, &state), 3);
    while (signal < scene->map->signal_count && scene->map->signals[signal].source_id != lane) signal++;
    assert_true(signal < scene->map->signal_count);
    assert_int_equal(nm_scene_signal(scene, signal, step), state);
    assert_int_equal(scene->map->signals[signal].lanes.count, 1); // of both records all approaches are on the map
    const nm_lane *approach = &scene->map->lanes[scene->map->lane_refs[scene->map->signals[signal].lanes.first]];
    assert_int_equal(approach->control, NM_CONTROL_SIGNAL);
}

typedef struct totals {
    uint32_t tracks, states, lanes, lines, areas, signs, signals;
} totals;

static totals compare(const nm_scene *scene, facts *f) {
    totals n = {0};
    double number;
    char id[64], kind[32];
    uint32_t steps, tracks, sdc, current, points;
    int64_t feature;
    int type, index;
    assert_true(next_line(f));
    assert_int_equal(sscanf(f->line, "record 0 %63s %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32, id, &steps, &tracks,
                            &sdc, &current),
                     5);
    assert_string_equal(scene->provenance.scene_id, id);
    assert_int_equal(scene->step_count, steps);
    assert_int_equal(scene->track_count, tracks);
    assert_int_equal(scene->ego, sdc);
    assert_int_equal(scene->current_step, current);
    uint32_t time = 0;
    while (next_line(f)) {
        if (sscanf(f->line, "time %lf", &number) == 1) {
            assert_true(scene->timestamps[time++] == number);
        } else if (sscanf(f->line, "predict %d %d", &index, &type) == 2) {
            assert_true(scene->tracks[index].flags & NM_TRACK_TO_PREDICT);
            assert_int_equal(scene->tracks[index].difficulty, type);
        } else if (sscanf(f->line, "interest %" SCNd64, &feature) == 1) {
            uint32_t i = 0;
            while (scene->tracks[i].source_id != feature) i++;
            assert_true(scene->tracks[i].flags & NM_TRACK_OF_INTEREST);
        } else if (sscanf(f->line, "track %" SCNd64 " %d", &feature, &type) == 2) {
            assert_int_equal(scene->tracks[n.tracks].source_id, feature);
            int vehicle =
                scene->tracks[n.tracks].type == NM_AGENT_CAR || scene->tracks[n.tracks].type == NM_AGENT_TRUCK;
            assert_int_equal(vehicle, type == 1);
            assert_int_equal(scene->tracks[n.tracks].type == NM_AGENT_PEDESTRIAN, type == 2);
            assert_int_equal(scene->tracks[n.tracks].type == NM_AGENT_CYCLIST, type == 3);
            n.tracks++;
        } else if (!strncmp(f->line, "state ", 6)) {
            check_state(scene, n.tracks - 1, f->line);
            n.states++;
        } else if (!strncmp(f->line, "signal ", 7)) {
            check_signal(scene, f->line);
            n.signals++;
        } else if (!strncmp(f->line, "lane ", 5)) {
            n.lanes += check_lane(scene->map, f);
        } else if (sscanf(f->line, "feature %" SCNd64 " %31s %d %" SCNu32, &feature, kind, &type, &points) == 4) {
            if (!strcmp(kind, "line") || !strcmp(kind, "edge"))
                n.lines += points > 1;
            else if (!strcmp(kind, "stop"))
                n.signs++;
            else
                n.areas += points > 2;
        } else {
            assert_true(!strncmp(f->line, "point ", 6));
        }
    }
    return n;
}

static double distance_to(nm_vec2 p, nm_vec2 a, nm_vec2 b) {
    double dx = (double)(b.x - a.x), dy = (double)(b.y - a.y), square = dx * dx + dy * dy;
    double k = square > 0.0 ? ((double)(p.x - a.x) * dx + (double)(p.y - a.y) * dy) / square : 0.0;
    k = fmin(fmax(k, 0.0), 1.0);
    return hypot((double)(p.x - a.x) - k * dx, (double)(p.y - a.y) - k * dy);
}

static int on_a_line(const nm_map *map, nm_vec2 p) {
    for (uint32_t i = 0; i < map->line_count; i++) {
        const nm_range range = map->lines[i].points;
        for (uint32_t k = range.first; k + 1 < range.first + range.count; k++) {
            if (distance_to(p, map->line_points[k], map->line_points[k + 1]) < 0.01) return 1;
        }
    }
    return 0;
}

/// Share of the border points (one in seven is looked at) that lie on a painted line or road edge.
static double share_on_lines(const nm_map *map) {
    uint32_t on = 0, looked = 0;
    for (uint32_t i = 0; i < map->point_count; i += 7) {
        on += (uint32_t)(on_a_line(map, map->left[i]) + on_a_line(map, map->right[i]));
        looked += 2;
    }
    return (double)on / looked;
}

static void check_record(const char *file, totals expected, double least_share) {
    char path[512], relative[128], command[1600];
    snprintf(relative, sizeof relative, "data/womd/%s", file);
    if (!nm_test_have(path, sizeof path, relative)) skip();
    if (system("python3 -c 0") != 0) {
        printf("skipped: there is no python3\n");
        skip();
    }
    size_t size;
    uint8_t *bytes = load(path, &size);
    nm_reader_context context = {.limits = nm_import_limits_default(),
                                 .map_builder = nm_map_builder_create(),
                                 .scene_builder = nm_scene_builder_create()};
    const nm_scene *scene = NULL;
    nm_error error = {0};
    if (nm_womd_read(&context, file, bytes, size, keep, NULL, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    snprintf(command, sizeof command, "python3 '%s/tests/dataset/decode_womd.py' '%s'", NM_SOURCE_DIR, path);
    facts f = {.pipe = popen(command, "r")};
    assert_non_null(f.pipe);
    totals found = compare(scene, &f);
    assert_int_equal(pclose(f.pipe), 0);
    free(f.line);
    assert_memory_equal(&found, &expected, sizeof found);
    uint32_t valid = 0;
    for (size_t i = 0; i < (size_t)scene->track_count * scene->step_count; i++) valid += scene->valid[i];
    assert_int_equal(valid, expected.states);
    assert_int_equal(scene->track_count, expected.tracks);
    assert_int_equal(scene->map->lane_count, expected.lanes);
    assert_int_equal(scene->map->line_count, expected.lines);
    assert_int_equal(scene->map->area_count, expected.areas);
    assert_int_equal(scene->map->sign_count, expected.signs);
    printf("%s: %u tracks, %u states, %u lanes, %u signal states equal\n", file, found.tracks, found.states,
           found.lanes, found.signals);
    for (uint32_t i = 0; i < scene->tag_count; i++) printf("  %s\n", scene->tags[i]);
    double share = share_on_lines(scene->map);
    printf("  %.3f of the border points lie on lines\n", share);
    assert_true(share > least_share); // 12,012 of 20,268 and 4,239 of 8,996 rays meet theirs, worked out on its own
    nm_scene_destroy(scene);
    nm_womd_release(&context);
    nm_scene_builder_destroy(context.scene_builder);
    nm_map_builder_destroy(context.map_builder);
    free(bytes);
}

static void first_record(void **state) {
    (void)state;
    // 199 lanes and 59 + 28 lines in the record, one of each with a single point
    check_record("motion_data_one_scenario.tfrecord", (totals){83, 4596, 198, 86, 7, 8, 1092}, 0.58);
}
static void second_record(void **state) {
    (void)state;
    check_record("womd_scenario_input.tfrecord", (totals){257, 8568, 114, 87, 10, 4, 0}, 0.45);
}

/// What a tf.Example becomes is in test_export_womd_example.c; here that it is told from a Scenario.
static void example_record(void **state) {
    (void)state;
    char path[512];
    if (!nm_test_have(path, sizeof path, "data/womd/motion_data_one_example.tfrecord")) skip();
    size_t size;
    uint8_t *bytes = load(path, &size);
    assert_true(nm_womd_is_example(bytes + 12, 4000));
    assert_int_equal(nm_detect_format(bytes, 4096), NM_FORMAT_WOMD_EXAMPLE);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_record),
        cmocka_unit_test(second_record),
        cmocka_unit_test(example_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
