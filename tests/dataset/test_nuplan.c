/// The nuPlan readers, on logs and maps that make_nuplan.py writes: its documentation says what is in them. That script
/// goes from metres to degrees by another series than the reader comes back by.
#include "opendrive_support.h"

#include <sqlite3.h>
#include <unistd.h>

#include "dataset/nuplan.h"
#include "sim/metrics/nuplan_map.h"

#define E 664000.0
#define N 3997000.0
#define MOST 64

typedef struct catch_all {
    const nm_scene *scenes[MOST];
    int count, refusals;
    nm_error refusal;
} catch_all;

static nm_status take(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)error;
    catch_all *c = context;
    assert_true(c->count < MOST);
    assert_int_equal(record, c->count + c->refusals);
    c->scenes[c->count++] = scene;
    return NM_OK;
}

static void take_refused(void *context, const nm_error *error) {
    catch_all *c = context;
    c->refusals++;
    c->refusal = *error;
}

static void drop(catch_all *c) {
    for (int i = 0; i < c->count; ++i) nm_scene_destroy(c->scenes[i]);
    *c = (catch_all){0};
}

static char folder[64];

/// Writes a log and a map with these options of make_nuplan.py; skips without Python.
static void make(const char *options) {
    static char made[1000] = "nothing";
    char command[2000];
    if (strcmp(made, options) == 0) return; // whoever changes them changes them back
    snprintf(made, sizeof made, "%s", options);
    snprintf(command, sizeof command, "python3 '" NM_SOURCE_DIR "/tests/cli/make_nuplan.py' %s %s", folder, options);
    if (system(command) == 0) return;
    assert_int_not_equal(system("python3 -c 'import sqlite3' 2> /dev/null"), 0);
    print_message("python3 with sqlite3 is missing\n");
    skip();
}

static const char *path_of(const char *name) {
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}
#define LOG path_of("log.db")
#define MAP path_of("maps/us-nv-las-vegas-strip/9.15.1915/map.gpkg")

static catch_all import_with(const char *path, const nm_import_nuplan *options) {
    catch_all c = {0};
    nm_error error;
    nm_importer *importer = nm_importer_create(NULL);
    if (options) nm_importer_set_nuplan(importer, options);
    assert_int_equal(nm_import_file(importer, path, take, take_refused, &c, NULL, &error), NM_OK);
    nm_importer_destroy(importer);
    return c;
}

/// All scenes of a log that must be accepted whole.
static catch_all import_good(const char *path, const nm_import_nuplan *options, int scenes) {
    catch_all c = import_with(path, options);
    if (c.refusals) fail_msg("refused: %s", c.refusal.message);
    assert_int_equal(c.count, scenes);
    return c;
}

static int has_tag(const nm_scene *scene, const char *tag) {
    for (uint32_t i = 0; i < scene->tag_count; ++i)
        if (strcmp(scene->tags[i], tag) == 0) return 1;
    return 0;
}

static uint32_t track_of(const nm_scene *scene, int64_t id) {
    for (uint32_t i = 0; i < scene->track_count; ++i)
        if (scene->tracks[i].source_id == id) return i;
    fail_msg("there is no track %lld", (long long)id);
    return 0;
}

static const nm_lane *lane_of(const nm_map *map, int64_t id) {
    for (uint32_t i = 0; i < map->lane_count; ++i)
        if (map->lanes[i].source_id == id) return &map->lanes[i];
    fail_msg("there is no lane %lld", (long long)id);
    return NULL;
}

/// In metres of the map's system, relative to (E, N).
static double east(const nm_scene *scene, float x) {
    return (double)x + scene->map->origin.x - E;
}
static double north(const nm_scene *scene, float y) {
    return (double)y + scene->map->origin.y - N;
}
static void expect_near(double value, double wanted, double tolerance) {
    if (!(fabs(value - wanted) <= tolerance)) fail_msg("%.9g instead of %.9g", value, wanted);
}

// --- logs ------------------------------------------------------------------------------------------------------------

/// Sample k of the scene of the tag at frame 100 is frame 2 k: 40 is where the scenario begins, 20 samples lie before.
static void test_states(void **state) {
    (void)state;
    make("");
    catch_all c = import_good(LOG, NULL, 2);
    const nm_scene *s = c.scenes[0];
    assert_int_equal(s->step_count, 20 + 151);
    assert_int_equal(s->current_step, 20);
    expect_near((double)s->dt, 0.1, 1e-8);
    assert_string_equal(s->provenance.scene_id, "a200000000000064");
    assert_string_equal(s->provenance.source, "nuplan");
    assert_true(has_tag(s, "following_lane_with_lead") && has_tag(s, "near_long_vehicle"));
    assert_string_equal(s->tags[0], "near_long_vehicle"); // the last by name is the devkit's
    assert_true(has_tag(s, "start_us:1620858000000000") && has_tag(s, "map:us-nv-las-vegas-strip"));
    assert_int_equal(s->tracks[s->ego].source_id, 0);
    assert_int_equal(s->tracks[s->ego].flags, NM_TRACK_EGO);
    expect_near((double)s->tracks[s->ego].length, 5.176, 1e-6);
    expect_near((double)s->tracks[s->ego].width, 2.297, 1e-6);
    const uint32_t truck = track_of(s, 1), walker = track_of(s, 2), cone = track_of(s, 3), late = track_of(s, 4);
    for (uint32_t k = 0; k < s->step_count; ++k) {
        const double t = 0.1 * k, jitter = 3e-4 * (2 * k % 3);
        const size_t ego = nm_scene_at(s, s->ego, k), at = nm_scene_at(s, truck, k);
        expect_near(s->timestamps[k], t + jitter, 1e-9);
        expect_near(east(s, s->x[ego]), 20.0 + 10.0 * t + 1.461, 1e-4); // the axle's pose, moved to the centre
        expect_near(north(s, s->y[ego]), -1.75, 1e-4);
        expect_near((double)s->vx[ego], 10.0, 1e-5);
        expect_near((double)s->vy[ego], 0.25 + 1.461 * 0.1, 1e-5);
        expect_near((double)s->z[ego], 0.02 * ((double)k - 20.0) + 1.777 / 2.0, 1e-4);
        expect_near(east(s, s->x[at]), 50.0 + 10.0 * t, 1e-4);
        expect_near((double)s->z[at], 601.6 - 600.4, 1e-4); // above the ego's pose now
        expect_near((double)s->vx[at], 10.0, 1e-5);
    }
    const uint32_t now = s->current_step;
    assert_int_equal(s->tracks[truck].type, NM_AGENT_TRUCK);
    expect_near((double)s->tracks[truck].length, 9.0, 1e-6);
    expect_near((double)s->tracks[truck].width, 2.5, 1e-6);
    expect_near((double)s->tracks[truck].height, 3.2, 1e-6);
    assert_int_equal(s->tracks[walker].type, NM_AGENT_PEDESTRIAN);
    expect_near((double)s->heading[nm_scene_at(s, walker, now)], 3.5 - 2.0 * 3.14159265358979, 1e-5); // wrapped
    assert_int_equal(s->tracks[cone].type, NM_AGENT_OBSTACLE);
    assert_int_equal(s->tracks[cone].flags, NM_TRACK_STATIC);
    assert_true(s->vx[nm_scene_at(s, cone, now)] == 0.0f && s->vy[nm_scene_at(s, cone, now)] == 0.0f); // not 0.3, 0.4
    assert_int_equal(s->tracks[late].type, NM_AGENT_CAR);
    assert_int_equal(s->tracks[late].first_step, 50); // frames 100 to 138
    assert_int_equal(s->tracks[late].last_step, 69);
    assert_true(c.scenes[1]->map == s->map); // the same part of the city is made once
    assert_int_equal(c.scenes[1]->step_count, 20 + 151);
    assert_true(has_tag(c.scenes[1], "medium_magnitude_speed"));
    drop(&c);
}

static void test_lights(void **state) {
    (void)state;
    make("");
    catch_all c = import_good(LOG, NULL, 2);
    const nm_scene *s = c.scenes[0];
    assert_int_equal(s->map->signal_count, 1);
    const nm_signal *signal = &s->map->signals[0];
    assert_int_equal(signal->source_id, 21);
    assert_int_equal(signal->turn, NM_TURN_STRAIGHT);
    assert_int_equal(signal->lanes.count, 1);
    assert_int_equal(s->map->lanes[s->map->lane_refs[signal->lanes.first]].source_id, 12);
    expect_near(east(s, signal->position.x), 97.0, 0.01); // where the lane's baseline enters the stop polygon
    for (uint32_t k = 0; k < s->step_count; ++k)
        assert_int_equal(nm_scene_signal(s, 0, k), 2 * k < 40 ? NM_SIGNAL_STOP : NM_SIGNAL_GO);
    drop(&c);
}

static void test_heading_and_speed(void **state) {
    (void)state;
    make("yaw=190.0 null_velocity=1");
    catch_all c = import_good(LOG, NULL, 2);
    const nm_scene *s = c.scenes[0];
    const double yaw = 190.0 * 3.14159265358979323846 / 180.0, across = 0.25 + 0.1461;
    const size_t at = nm_scene_at(s, s->ego, 0), truck = nm_scene_at(s, track_of(s, 1), 0);
    expect_near((double)s->heading[at], yaw - 2.0 * 3.14159265358979323846, 1e-5);
    expect_near(east(s, s->x[at]), 20.0 + 1.461 * cos(yaw), 1e-4);
    expect_near(north(s, s->y[at]), -1.75 + 1.461 * sin(yaw), 1e-4);
    expect_near((double)s->vx[at], 10.0 * cos(yaw) - across * sin(yaw), 1e-4);
    expect_near((double)s->vy[at], 10.0 * sin(yaw) + across * cos(yaw), 1e-4);
    expect_near((double)s->vx[truck], 0.0, 0.0); // not given, and nothing before it
    expect_near((double)s->vx[truck + 1], 1.0 / (s->timestamps[1] - s->timestamps[0]), 1e-3);
    drop(&c);
}

static void test_windows(void **state) {
    (void)state;
    make("");
    nm_import_nuplan options = nm_import_nuplan_default();
    options.types = "near_long_vehicle,medium_magnitude_speed";
    catch_all c = import_good(LOG, &options, 2);
    drop(&c);
    options.types = "following_lane_with_lead";
    c = import_good(LOG, &options, 1); // the second one is 2 s behind the first
    drop(&c);
    options.spacing = 2.0;
    c = import_good(LOG, &options, 2);
    assert_string_equal(c.scenes[1]->provenance.scene_id, "a20000000000008c");
    assert_int_equal(c.scenes[1]->current_step, 20);
    assert_int_equal(c.scenes[1]->step_count, 20 + 151); // frames 80 to 380
    drop(&c);
    options.types = "following";
    c = import_good(LOG, &options, 0); // not by part of a name
    options = nm_import_nuplan_default();
    options.windows = 6.0;
    c = import_good(LOG, &options, 3); // frames 40 to 160 to 280 to 399
    for (int i = 0; i < 3; ++i) {
        const nm_scene *s = c.scenes[i];
        assert_int_equal(s->current_step, 20);
        expect_near(s->timestamps[20], 2.0, 1e-3);
        assert_false(has_tag(s, "following_lane_with_lead"));
        assert_int_equal(s->step_count, i < 2 ? 81 : 80);
    }
    drop(&c);
    make("tags=stationary@0,stationary@399");
    c = import_good(LOG, NULL, 2);
    assert_int_equal(c.scenes[0]->current_step, 0); // nothing lies before the first frame
    assert_int_equal(c.scenes[0]->step_count, 1 + 120);
    assert_int_equal(c.scenes[1]->step_count, 20 + 1 + 30); // it ends with the recording
    drop(&c);
    make("'log_sql=DELETE FROM lidar_pc WHERE timestamp BETWEEN 1620858006000000 AND 1620858006600000'");
    c = import_good(LOG, NULL, 1);                      // one of the tagged frames was in it
    assert_int_equal(c.scenes[0]->step_count, 20 + 40); // a hole ends it: frames 40 to 118
    drop(&c);
    make("'log_sql=DELETE FROM scenario_tag'");
    c = import_good(LOG, NULL, 2); // 15 s, then what is left
    assert_int_equal(c.scenes[0]->step_count, 20 + 151);
    drop(&c);
}

// --- maps ------------------------------------------------------------------------------------------------------------

static void expect_successor(const nm_map *map, int64_t from, int64_t to) {
    const nm_lane *a = lane_of(map, from), *b = lane_of(map, to);
    assert_int_equal(a->successors.count, 1);
    assert_ptr_equal(&map->lanes[map->lane_refs[a->successors.first]], b);
    assert_int_equal(b->predecessors.count, 1);
    assert_ptr_equal(&map->lanes[map->lane_refs[b->predecessors.first]], a);
}

static void expect_border(const nm_scene *s, const nm_vec2 *border, nm_range range, uint32_t i, double x, double y) {
    const nm_vec2 p = border[range.first + (i == NM_NONE ? range.count - 1 : i)];
    expect_near(east(s, p.x), x, 2e-3);
    expect_near(north(s, p.y), y, 2e-3);
}

static void test_map(void **state) {
    (void)state;
    make("");
    catch_all c = import_good(MAP, NULL, 1);
    const nm_scene *s = c.scenes[0];
    const nm_map *map = s->map;
    assert_string_equal(s->provenance.scene_id, "us-nv-las-vegas-strip/9.15.1915/map.gpkg");
    assert_int_equal(s->track_count, 0);
    assert_int_equal(map->lane_count, 7);
    expect_successor(map, 12, 21);
    expect_successor(map, 21, 13);
    expect_successor(map, 11, 22);
    expect_successor(map, 22, 14);
    const nm_lane *l11 = lane_of(map, 11), *l12 = lane_of(map, 12), *c21 = lane_of(map, 21), *c22 = lane_of(map, 22);
    expect_border(s, map->left, l12->points, 0, 0.0, 0.0); // the boundary runs the other way
    expect_border(s, map->left, l12->points, NM_NONE, 100.0, 0.0);
    expect_border(s, map->right, l11->points, 0, 0.0, 0.0);
    expect_border(s, map->right, l11->points, NM_NONE, 100.0, 0.0);
    expect_border(s, map->right, l12->points, 0, 0.0, -3.5);
    expect_border(s, map->right, l12->points, NM_NONE, 100.0, -4.0);
    expect_border(s, map->centre, l12->points, NM_NONE, 100.0, -2.0);
    assert_int_equal(l12->points.count, 4); // ends, and the corners at 50 m of baseline and right border
    expect_near((double)l12->length, 50.0 + hypot(50.0, 0.25), 2e-3);
    expect_near((double)l12->speed_limit, 15.0, 1e-6);
    assert_true(lane_of(map, 13)->speed_limit == 0.0f);
    assert_int_equal(l11->left_marking, NM_MARKING_SOLID);
    assert_int_equal(l11->right_marking, NM_MARKING_DASHED);
    assert_int_equal(lane_of(map, 13)->left_marking, NM_MARKING_UNKNOWN);
    assert_int_equal(l11->right.count, 1);
    assert_int_equal(l11->left.count, 0);
    assert_ptr_equal(&map->lanes[map->neighbours[l11->right.first].lane], l12);
    assert_ptr_equal(&map->lanes[map->neighbours[l12->left.first].lane], l11);
    assert_true((c21->flags & NM_LANE_JUNCTION) && (c22->flags & NM_LANE_JUNCTION));
    assert_false(nm_map_get_source(map).lane_flags[l12 - map->lanes] & NM_LANE_JUNCTION);
    assert_int_equal(c21->junction, c22->junction);
    assert_int_equal(c21->turn, NM_TURN_STRAIGHT);
    assert_int_equal(c22->turn, NM_TURN_LEFT);
    assert_int_equal(l12->control, NM_CONTROL_SIGNAL);
    assert_int_equal(l11->control, NM_CONTROL_STOP); // not an all-way one: lane 12 has none
    expect_near((double)l11->stop_s, 96.0, 1e-2);
    expect_near((double)l12->stop_s, 97.0, 1e-2);
    assert_int_equal(lane_of(map, 15)->type, NM_LANE_BIKE);
    assert_true(lane_of(map, 15)->flags & NM_LANE_ASSUMED_LEFT);
    assert_int_equal(map->repairs[NM_REPAIR_ONE_WAY_REFERENCE], 0);
    int areas[4] = {0};
    for (uint32_t i = 0; i < map->area_count; ++i) areas[map->areas[i].kind]++;
    assert_int_equal(areas[NM_AREA_CROSSWALK], 1);
    assert_int_equal(areas[NM_AREA_DRIVEWAY], 3 + 1 + 1 + 1);
#define ON(e, n) nm_map_drivable(map, (float)(E + (e)-map->origin.x), (float)(N + (n)-map->origin.y))
    assert_true(ON(5, -20) && ON(70, -10) && ON(110, 10) && ON(50, 1) && ON(150, -1));
    assert_false(ON(15, -25) || ON(50, 5) || ON(50, -8) || ON(150, 3)); // the first lies in the hole of a car park
    drop(&c);
}

/// The view that the score has of the map: nuPlan's notions, one to one.
static void test_view(void **state) {
    (void)state;
    make("");
    catch_all c = import_good(LOG, NULL, 2);
    const nm_map *map = c.scenes[0]->map;
    const nm_nuplan_map *view;
    nm_error error;
    assert_int_equal(nm_nuplan_map_of(map, &view, &error), NM_OK);
    assert_int_equal(view->def.object_count, 6); // the bike lane is 5 km away
    assert_int_equal(view->def.link_count, 4);
    assert_int_equal(view->def.intersection_count, 1);
    assert_int_equal(view->def.roadblock_count, 5);
    uint32_t block[30] = {0}, object;
    for (uint32_t i = 0; i < 6; ++i) {
        const nm_nuplan_object *o = &view->def.objects[i];
        assert_int_equal(o->kind, o->id > 20 ? NM_NUPLAN_CONNECTOR : NM_NUPLAN_LANE);
        block[o->id] = o->roadblock;
    }
    assert_int_equal(block[11], block[12]);
    assert_int_not_equal(block[11], block[13]);
    assert_int_not_equal(block[21], block[22]);
    assert_int_equal(nm_nuplan_objects_at(view, E + 110 - map->origin.x, N - 2 - map->origin.y, &object, 1), 1);
    assert_int_equal(view->def.objects[object].id, 21);
#define INSIDE(e, n) nm_nuplan_layer_contains(view, NM_NUPLAN_DRIVABLE, E + (e)-map->origin.x, N + (n)-map->origin.y)
    assert_true(INSIDE(5, -20) && INSIDE(110, 10));
    assert_false(INSIDE(15, -25) || INSIDE(50, 5)); // a hole is none for the rule of winding, too
    nm_nuplan_map_destroy(view);
    drop(&c);
}

/// Furthest apart that corners of lanes of equal ids are.
static double difference(const nm_map *a, const nm_map *b) {
    double worst = 0.0;
    assert_int_equal(a->lane_count, b->lane_count);
    for (uint32_t i = 0; i < a->lane_count; ++i)
        worst = fmax(worst, lane_distance(a, &a->lanes[i], b, lane_of(b, a->lanes[i].source_id)));
    return worst;
}

static void test_shapes(void **state) {
    (void)state;
    make("");
    catch_all plain = import_good(MAP, NULL, 1);
    make("big=1");
    catch_all big = import_good(MAP, NULL, 1);
    make("z=1");
    catch_all high = import_good(MAP, NULL, 1);
    make("planar=1");
    catch_all planar = import_good(MAP, NULL, 1);
    make("text=1"); // numbers in columns of text
    catch_all text = import_good(MAP, NULL, 1);
    assert_int_equal(plain.scenes[0]->hash, text.scenes[0]->hash);
    drop(&text);
    assert_int_equal(plain.scenes[0]->hash, big.scenes[0]->hash);
    assert_int_equal(plain.scenes[0]->hash, high.scenes[0]->hash);
    expect_near(difference(plain.scenes[0]->map, planar.scenes[0]->map), 0.0, 1.5e-3); // floats 5 km from their origin
    drop(&plain);
    drop(&big);
    drop(&high);
    drop(&planar);
}

static void test_same_ids(void **state) {
    (void)state;
    make("same_ids=1");
    catch_all c = import_good(LOG, NULL, 2);
    const nm_scene *s = c.scenes[0];
    assert_true(has_tag(s, "connector_ids_plus:100"));
    expect_successor(s->map, 12, 111);
    expect_successor(s->map, 111, 13);
    assert_int_equal(s->map->signals[0].source_id, 111);
    assert_int_equal(nm_scene_signal(s, 0, 0), NM_SIGNAL_STOP);
    drop(&c);
}

static void test_places(void **state) {
    (void)state;
    char path[NM_NP_PATH], from[150], to[700];
    nm_error error;
    make("");
    // a higher version, by number and not by letter
    snprintf(from, sizeof from, "%s/maps/us-nv-las-vegas-strip/9.15.1915", folder);
    snprintf(
        to, sizeof to,
        "mkdir -p %s/maps/us-nv-las-vegas-strip/9.2.3 %s/a/b && cp %s/map.gpkg %s/maps/us-nv-las-vegas-strip/9.2.3",
        folder, folder, from, folder);
    assert_int_equal(system(to), 0);
    snprintf(to, sizeof to, "%s/a/b/x.db", folder);
    assert_int_equal(nm_np_find_map(to, NULL, "us-nv-las-vegas-strip", path, &error), NM_OK);
    assert_non_null(strstr(path, "/9.15.1915/map.gpkg"));
    snprintf(to, sizeof to, "%s/maps", folder);
    assert_int_equal(nm_np_find_map("x.db", to, "us-nv-las-vegas-strip", path, &error), NM_OK);
    assert_int_equal(nm_np_find_map("x.db", to, "sg-one-north", path, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "sg-one-north"));
    assert_int_equal(nm_np_find_map("x.db", to, "../maps/us-nv-las-vegas-strip", path, &error), NM_E_FORMAT);
    assert_int_equal(nm_np_find_map("x.db", MAP, "whatever it is called", path, &error), NM_OK);
    assert_string_equal(path, MAP);
    nm_import_nuplan options = nm_import_nuplan_default();
    options.without_map = 1;
    catch_all c = import_good(LOG, &options, 2);
    assert_true(has_tag(c.scenes[0], "map_not_read"));
    assert_int_equal(c.scenes[0]->map->lane_count, 0);
    drop(&c);
    options = nm_import_nuplan_default();
    options.radius = 10.0; // tiles of 100 m: the lane far away and nothing else is left out
    c = import_good(LOG, &options, 2);
    assert_int_equal(c.scenes[0]->map->lane_count, 6);
    drop(&c);
}

/// In memory, as a member of an archive is: the same scenes.
static void test_memory(void **state) {
    (void)state;
    make("");
    size_t size;
    char *bytes = read_text(LOG, &size);
    catch_all file = import_good(LOG, NULL, 2), memory = {0};
    nm_error error;
    nm_importer *importer = nm_importer_create(NULL);
    assert_int_equal(nm_import_memory(importer, LOG, bytes, size, take, take_refused, &memory, &error), NM_OK);
    assert_int_equal(memory.count, 2);
    assert_int_equal(memory.scenes[0]->hash, file.scenes[0]->hash);
    assert_int_equal(memory.scenes[1]->hash, file.scenes[1]->hash);
    nm_importer_destroy(importer);
    free(bytes);
    drop(&file);
    drop(&memory);
}

// --- bad input -------------------------------------------------------------------------------------------------------

static const struct {
    const char *options;
    int changes_map; ///< not the log
    const char *sql;
    int imports_map;
    const char *words[2];
} bad[] = {
    {"", 0, "DROP TABLE lidar_box", 0, {"no table lidar_box: not a nuPlan log", ""}},
    {"",
     0,
     "ALTER TABLE lidar_box RENAME TO b; CREATE VIEW lidar_box AS SELECT * FROM b",
     0,
     {"no table lidar_box", ""}},
    {"",
     0,
     "DROP TABLE lidar_box; CREATE VIRTUAL TABLE lidar_box USING rtree(token, a, b)",
     0,
     {"no table lidar_box", ""}},
    {"", 0, "ALTER TABLE track RENAME COLUMN category_token TO c", 0, {"table track", "category_token"}},
    {"", 0, "DELETE FROM log", 0, {"table log", "no row"}},
    {"", 0, "UPDATE lidar SET channel = 'x'", 0, {"MergedPointCloud", ""}},
    {"",
     0,
     "UPDATE lidar_pc SET ego_pose_token = x'00' WHERE rowid = 5",
     0,
     {"table lidar_pc, row 5", "token of 8 bytes"}},
    {"", 0, "DELETE FROM ego_pose WHERE rowid = 9", 0, {"lidar_pc: frame a2", "names the pose a3"}},
    {"", 0, "UPDATE ego_pose SET qw = 0, qz = 0 WHERE rowid = 9", 0, {"ego_pose, row 9", "quaternion"}},
    {"", 0, "UPDATE ego_pose SET x = 9e999 WHERE rowid = 9", 0, {"ego_pose, row 9", "x is not a finite number"}},
    {"", 0, "UPDATE lidar_pc SET timestamp = 1620858000050300 WHERE rowid = 9", 0, {"time", "twice"}},
    {"", 0, "DELETE FROM category", 0, {"table track, row 1", "no category a5"}},
    {"", 0, "DELETE FROM track WHERE rowid = 2", 0, {"scene 1, from frame", "no track a400000000000001"}},
    {"", 0, "UPDATE lidar_box SET width = -1", 0, {"lidar_box", "a box of"}},
    {"", 0, "UPDATE lidar_box SET yaw = NULL", 0, {"lidar_box", "yaw is not a finite number"}},
    {"", 0, "UPDATE log SET map_version = 'sg-one-north'", 0, {"no map sg-one-north", "beside the log"}},
    {"", 0, "UPDATE log SET map_version = '../x'", 0, {"names no map", ""}},
    {"", 1, "DROP TABLE lanes_polygons", 1, {"no layer lanes_polygons: not a nuPlan map", ""}},
    {"", 1, "DROP TABLE lanes_polygons", 0, {"no layer lanes_polygons: not a nuPlan map", ""}},
    {"", 1, "DELETE FROM meta", 1, {"projectedCoordSystem", "not a nuPlan map"}},
    {"", 1, "UPDATE meta SET value = 'EPSG:3857'", 1, {"EPSG:3857", "UTM"}},
    {"",
     1,
     "UPDATE boundaries SET geom = x'4750000100000000' WHERE fid = 33",
     1,
     {"boundaries, row 3", "ends in the middle"}},
    {"", 1, "UPDATE boundaries SET geom = NULL WHERE fid = 33", 1, {"boundaries, row 3", "geom is not a BLOB"}},
    {"",
     1,
     "UPDATE intersections SET geom = (SELECT geom FROM boundaries)",
     1,
     {"intersections, row 1", "not a polygon"}},
    {"planar=1", 1, "UPDATE meta SET value = 'EPSG:32612' WHERE key LIKE 'p%'", 1, {"reference system 32611", "32612"}},
    {"", 1, "UPDATE meta SET value = 'EPSG:32648' WHERE key LIKE 'p%'", 1, {"30 degrees", "EPSG:32648"}},
    {"", 1, "DELETE FROM baseline_paths WHERE fid = 5", 1, {"lane connector 21 has no baseline path", ""}},
    {"",
     1,
     "UPDATE baseline_paths SET lane_fid = 11 WHERE fid = 2",
     1,
     {"baseline_paths", "lane 11 has a second baseline"}},
    {"", 1, "UPDATE baseline_paths SET lane_fid = NULL WHERE fid = 2", 1, {"baseline_paths, row 2", "neither"}},
    {"", 1, "UPDATE lanes_polygons SET speed_limit_mps = 1e300", 1, {"lanes_polygons, row 1", "speed limit"}},
    {"text=1",
     1,
     "UPDATE lanes_polygons SET lane_index = 'left'",
     1,
     {"lanes_polygons, row 1", "lane_index is not a number"}},
    {"", 1, "UPDATE lanes_polygons SET lane_index = 0.5", 1, {"lanes_polygons, row 1", "a fid of 0.5"}},
    {"", 1, "UPDATE lanes_polygons SET fid = -fid", 1, {"fid", "negative"}},
    {"", 1, "UPDATE lane_connectors SET intersection_fid = 1 << 60", 1, {"lane_connectors, row 1", "a fid of"}},
};

static void change(const char *path, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void write_bytes(const char *path, const char *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void test_bad(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        char options[200];
        size_t size;
        snprintf(options, sizeof options, "seconds=4 tags=stationary@20,near_long_vehicle@40 %s", bad[i].options);
        make(options);
        char *bytes = read_text(bad[i].changes_map ? MAP : LOG, &size);
        change(bad[i].changes_map ? MAP : LOG, bad[i].sql);
        catch_all c = import_with(bad[i].imports_map ? MAP : LOG, NULL);
        if (c.count || !c.refusals) fail_msg("%s: %d scenes, %d refusals", bad[i].sql, c.count, c.refusals);
        for (int k = 0; k < 2; ++k)
            if (!strstr(c.refusal.message, bad[i].words[k]))
                fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].sql, c.refusal.message, bad[i].words[k]);
        assert_true(c.refusal.input[0]);
        drop(&c);
        write_bytes(bad[i].changes_map ? MAP : LOG, bytes, size);
        free(bytes);
    }
}

/// What is missing or leads in circles within a map is left out and counted.
static void test_odd(void **state) {
    (void)state;
    make("\"map_sql=UPDATE lane_connectors SET entry_lane_fid = 12 WHERE fid = 21;"
         "UPDATE lane_connectors SET entry_lane_fid = 4711 WHERE fid = 22;"
         "DELETE FROM boundaries WHERE fid = 31; UPDATE boundaries SET geom = (SELECT geom FROM boundaries WHERE "
         "fid = 41) WHERE fid = 37\"");
    catch_all c = import_good(LOG, NULL, 2);
    const nm_map *map = c.scenes[0]->map;
    const nm_lane *l12 = lane_of(map, 12);
    assert_int_equal(l12->successors.count, 1);
    assert_int_equal(l12->predecessors.count, 1);
    assert_int_equal(map->lane_refs[l12->successors.first], map->lane_refs[l12->predecessors.first]); // a ring
    assert_int_equal(lane_of(map, 22)->successors.count, 0);
    assert_true(lane_of(map, 11)->flags & NM_LANE_ASSUMED_LEFT);
    assert_true(lane_of(map, 13)->flags & NM_LANE_ASSUMED_RIGHT);
    assert_true(has_tag(c.scenes[0], "dangling_references:2"));
    assert_true(has_tag(c.scenes[0], "boundaries_not_beside:1"));
    drop(&c);
}

// --- parts -----------------------------------------------------------------------------------------------------------

static void test_geometry(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *wrong; ///< NULL: nothing
        size_t offset;
    } cases[] = {
#define HEADER "GP\0\1\xe6\x10\0\0"
#define XY "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\x40"
#define CASE(bytes, wrong, offset) {bytes, sizeof(bytes) - 1, wrong, offset}
        CASE(HEADER "\1\2\0\0\0\2\0\0\0" XY XY, NULL, 49),
        CASE("GX\0\1\xe6\x10\0\0", "\"GP\"", 0),
        CASE("GP\1\1\xe6\x10\0\0", "version", 2),
        CASE("GP\0\x0b\xe6\x10\0\0", "envelope", 3),
        CASE("GP\0\x11\xe6\x10\0\0", "empty", 3),
        CASE("GP\0\x21\xe6\x10\0\0", "extended", 3),
        CASE("GP\0\3\xe6\x10\0\0\0\0", "middle", 8),
        CASE(HEADER "\2\2\0\0\0", "byte order", 9),
        CASE(HEADER "\1\x88\x13\0\0", "does not have", 13),
        CASE(HEADER "\1\3\0\0\0", "not a line", 13),
        CASE(HEADER "\1\2\0\0\0\xff\xff\xff\xff" XY, "middle", 17),
        CASE(HEADER "\1\2\0\0\0\1\0\0\0" XY, "too few", 17),
        CASE(HEADER "\1\2\0\0\0\2\0\0\0" XY XY "\0", "behind", 49),
        CASE(HEADER "\1\2\0\0\0\2\0\0\0" XY "\0\0\0\0\0\0\xf8\x7f\0\0\0\0\0\0\0\x40", "no number", 49),
        CASE(HEADER "\1\5\0\0\0\2\0\0\0", "several parts", 17),
        CASE(HEADER "\1\5\0\0\0\1\0\0\0\1\5\0\0\0\1\0\0\0", "another type", 22),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        nm_pile points = {0}, rings = {0};
        int32_t srs = 0;
        size_t offset;
        const char *wrong = nm_np_decode(cases[i].bytes, cases[i].size, NM_NP_LINE, &srs, &points, &rings, &offset);
        if (!wrong != !cases[i].wrong || (wrong && !strstr(wrong, cases[i].wrong)))
            fail_msg("case %zu: %s", i, wrong ? wrong : "accepted");
        assert_int_equal(offset, cases[i].offset);
        if (!wrong) {
            assert_int_equal(srs, 4326);
            assert_int_equal(points.count, 2);
            assert_true(NM_AT(points, nm_np_point, 1).x == 1.0 && NM_AT(points, nm_np_point, 1).y == 2.0);
        }
        nm_pile_free(&points);
        nm_pile_free(&rings);
    }
}

static void test_projection(void **state) {
    (void)state;
    nm_np_projection p;
    assert_true(nm_np_projection_of(32611, &p));
    assert_false(nm_np_projection_of(3857, &p) || nm_np_projection_of(32600, &p) || nm_np_projection_of(32761, &p));
    assert_true(nm_np_projection_of(32611, &p));
    nm_np_point at[2] = {{-117.0, 0.0}, {-117.0, 45.0}};
    assert_true(nm_np_project(&p, at, 2));
    expect_near(at[0].x, 500000.0, 1e-9);
    expect_near(at[0].y, 0.0, 1e-9);
    expect_near(at[1].y, 0.9996 * 4984944.378,
                2e-3); // a quarter of the way to the pole and half: WGS 84's meridian arc
    nm_np_point far = {100.0, 0.0};
    assert_false(nm_np_project(&p, &far, 1));
}

static void test_lines(void **state) {
    (void)state;
    nm_pile stack = {0}, out[3] = {{0}}, shares = {0};
    nm_np_point bent[5] = {{0, 0}, {1, 0.0005}, {2, 0}, {2, 1}, {2, 2}};
    assert_int_equal(nm_np_simplify(bent, 5, &stack), 3);
    assert_true(bent[1].x == 2.0 && bent[1].y == 0.0 && bent[2].y == 2.0);
    const nm_np_point a[2] = {{0, 0}, {10, 0}}, b[3] = {{10, 2}, {5, 3}, {0, 2}};
    const nm_np_line lines[3] = {{a, 2, 0}, {b, 3, 1}, {0}};
    assert_true(nm_np_pair(lines, out, &shares));
    assert_int_equal(out[0].count, 3);
    assert_int_equal(out[1].count, 3);
    assert_int_equal(out[2].count, 0);
    assert_true(NM_AT(out[1], nm_point3, 0).x == 0.0 && NM_AT(out[1], nm_point3, 2).x == 10.0);
    expect_near(NM_AT(out[0], nm_point3, 1).x, 5.0, 1e-12);
    expect_near(NM_AT(out[1], nm_point3, 1).y, 3.0, 1e-12);
    assert_int_equal(nm_np_orientation(a, 2, b, 3, 5.0), 1);
    assert_int_equal(nm_np_orientation(a, 2, b, 3, 1.0), -1);
    const nm_np_point square[4] = {{4, -1}, {6, -1}, {6, 1}, {4, 1}};
    expect_near(nm_np_enter(a, 2, 0.0, 10.0, square, 4), 4.0, 1e-12);
    expect_near(nm_np_enter(a, 2, 5.0, 10.0, square, 4), 5.0, 1e-12);
    assert_true(nm_np_enter(a, 2, 7.0, 10.0, square, 4) < 0.0 && nm_np_enter(a, 2, 0.0, 3.0, square, 4) < 0.0);
    nm_pile_free(&stack);
    nm_pile_free(&shares);
    for (int i = 0; i < 3; ++i) nm_pile_free(&out[i]);
}

static void test_detect(void **state) {
    (void)state;
    uint8_t head[100] = "SQLite format 3";
    assert_int_equal(nm_detect_format(head, sizeof head), NM_FORMAT_NUPLAN);
    memcpy(head + 68, "GPKG", 4);
    assert_int_equal(nm_detect_format(head, sizeof head), NM_FORMAT_NUPLAN_MAP);
    memcpy(head + 68, "nmss", 4); // a store of this program
    assert_int_equal(nm_detect_format(head, sizeof head), NM_FORMAT_UNKNOWN);
    assert_int_equal(nm_detect_format(head, 50), NM_FORMAT_UNKNOWN);
}

static int begin(void **state) {
    (void)state;
    strcpy(folder, "/tmp/nm_nuplan_XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int end(void **state) {
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0;
}

// --- goals -----------------------------------------------------------------------------------------------------------

/// The scene's goal is the pose of frame 399: 199.5 m ahead of the first one, the middle of the ego 1.461 m ahead of
/// it.
static void test_goal(void **state) {
    (void)state;
    make("");
    catch_all c = import_good(LOG, NULL, 2);
    const nm_scene *s = c.scenes[0];
    assert_int_equal(s->problem_count, 1);
    assert_int_equal(s->goal_count, 1);
    assert_int_equal(s->goal_area_count, 1);
    const nm_problem *problem = &s->problems[0];
    const nm_goal *goal = &s->goals[problem->goals.first];
    const nm_goal_area *area = &s->goal_areas[goal->areas.first];
    expect_near(east(s, area->centre.x), 20.0 + 199.5 + 1.461, 1e-3);
    expect_near(north(s, area->centre.y), -1.75, 1e-3);
    expect_near((double)area->length, 5.176, 1e-5);
    expect_near((double)area->width, 2.297, 1e-5);
    assert_int_equal(area->lane, NM_NONE);
    assert_int_equal(problem->start_step, s->current_step);
    assert_int_equal(goal->first_step, s->current_step);
    assert_int_equal(goal->last_step, s->current_step + 600);
    assert_true(goal->heading_min > goal->heading_max && goal->speed_min > goal->speed_max); // any
    const size_t now = nm_scene_at(s, s->ego, s->current_step);
    assert_true(problem->start.x == s->x[now] && problem->start.y == s->y[now] && problem->start.vx == s->vx[now]);
    assert_true(s->ego != NM_NONE); // it is recorded traffic, not a problem alone
    drop(&c);
}

/// Without a goal, or one whose pose is not there, or the table: the same scenes without a problem.
static void test_no_goal(void **state) {
    (void)state;
    static const char *const options[] = {
        "'log_sql=DROP TABLE scene'",
        "'log_sql=UPDATE scene SET goal_ego_pose_token = NULL'",
        "'log_sql=UPDATE lidar_pc SET scene_token = NULL'",
        "'log_sql=UPDATE scene SET goal_ego_pose_token = zeroblob(8)'",
        "'log_sql=ALTER TABLE scene DROP COLUMN goal_ego_pose_token'",
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; ++i) {
        make(options[i]);
        catch_all c = import_good(LOG, NULL, 2);
        assert_int_equal(c.scenes[0]->problem_count, 0);
        assert_int_equal(c.scenes[0]->goal_count, 0);
        drop(&c);
    }
    make("");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),   cmocka_unit_test(test_lights),     cmocka_unit_test(test_heading_and_speed),
        cmocka_unit_test(test_windows),  cmocka_unit_test(test_map),        cmocka_unit_test(test_view),
        cmocka_unit_test(test_shapes),   cmocka_unit_test(test_same_ids),   cmocka_unit_test(test_places),
        cmocka_unit_test(test_memory),   cmocka_unit_test(test_bad),        cmocka_unit_test(test_odd),
        cmocka_unit_test(test_geometry), cmocka_unit_test(test_projection), cmocka_unit_test(test_lines),
        cmocka_unit_test(test_detect),   cmocka_unit_test(test_goal),       cmocka_unit_test(test_no_goal)};
    return cmocka_run_group_tests(tests, begin, end);
}
