/// Stores in a folder of their own, random scenes and random events.
#ifndef NM_TESTS_STORE_SUPPORT_H
#define NM_TESTS_STORE_SUPPORT_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scenarios/store_internal.h"
#include "sim/scenes.h"

typedef struct folder {
    char path[64];
    char store[96]; ///< PATH/s.db
} folder;

static inline folder folder_make(void) {
    folder f;
    snprintf(f.path, sizeof f.path, "/tmp/nearmiss-test-XXXXXX");
    assert_non_null(mkdtemp(f.path));
    chmod(f.path, 0755);
    snprintf(f.store, sizeof f.store, "%s/s.db", f.path);
    return f;
}

static inline void folder_remove(const folder *f) {
    DIR *directory = opendir(f->path);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", f->path, entry->d_name);
        unlink(path);
    }
    if (directory) closedir(directory);
    rmdir(f->path);
}

#define must(call)                                                                                                     \
    do {                                                                                                               \
        nm_error error_;                                                                                               \
        nm_error *error = &error_;                                                                                     \
        nm_error_clear(error);                                                                                         \
        if ((call) != NM_OK) fail_msg("%s: %s", #call, error->message);                                                \
    } while (0)

static inline nm_store *open_store(const char *path, nm_store_mode mode) {
    nm_store *store = NULL;
    must(nm_store_open(path, mode, &store, error));
    return store;
}

/// One SQL statement on a connection of the test's own.
static inline void sql(const char *path, const char *text) {
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 2000);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s: %s", text, message);
    sqlite3_close(db);
}

static inline int64_t sql_integer(const char *path, const char *text) {
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) != SQLITE_OK) fail_msg("%s: %s", text, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

/// A scene of up to 12 agents on a road or a crossing, with gaps, tags and provenance, all drawn from `seed`.
static inline const nm_scene *random_scene(uint64_t seed) {
    uint32_t draw = 0;
    const int road = nm_test_uniform(seed, &draw, 0, 1) < 0.5;
    const nm_map *map = road ? nm_test_road(100 + 50 * floor(nm_test_uniform(seed, &draw, 0, 4)))
                             : nm_test_crossing(NM_CONTROL_STOP, NM_CONTROL_PRIORITY);
    const uint32_t steps = 1 + (uint32_t)nm_test_uniform(seed, &draw, 0, 60);
    const uint32_t agents = (uint32_t)nm_test_uniform(seed, &draw, 0, 12.99);
    nm_scene_builder *builder = nm_scene_builder_create();
    must(nm_scene_builder_begin(builder, map, 0.1, steps, error));
    for (uint32_t i = 0; i < agents; i++) {
        uint32_t track;
        nm_track_def def = {.id = 1000 * (int64_t)i - 3,
                            .type = (nm_agent_type)(1 + (int)nm_test_uniform(seed, &draw, 0, 7.99)),
                            .flags = nm_test_uniform(seed, &draw, 0, 1) < 0.2 ? NM_TRACK_STATIC : 0,
                            .length = (float)nm_test_uniform(seed, &draw, 0.5, 12),
                            .width = (float)nm_test_uniform(seed, &draw, 0.5, 2.5)};
        must(nm_scene_builder_add_track(builder, &def, &track, error));
        for (uint32_t t = 0; t < steps; t++) {
            nm_state_def state = {.x = nm_test_uniform(seed, &draw, -50, 200),
                                  .y = nm_test_uniform(seed, &draw, -50, 50),
                                  .heading = nm_test_uniform(seed, &draw, -3, 3),
                                  .vx = nm_test_uniform(seed, &draw, -30, 30)};
            if (nm_test_uniform(seed, &draw, 0, 1) < 0.8)
                must(nm_scene_builder_add_state(builder, track, t, &state, error));
        }
    }
    nm_scene_builder_set_current(builder, (uint32_t)nm_test_uniform(seed, &draw, 0, steps - 0.01),
                                 agents ? 0 : NM_NONE);
    must(nm_scene_builder_add_tag(builder, road ? "highway" : "intersection", error));
    if (seed % 3 == 0) must(nm_scene_builder_add_tag(builder, "two words", error));
    char file[32], name[32], parameters[48];
    snprintf(file, sizeof file, "file-%d.xml", (int)(seed % 7));
    snprintf(name, sizeof name, "TEST_Road-%d_1_T-1", (int)seed);
    snprintf(parameters, sizeof parameters, "{\"seed\": %d}", (int)seed);
    nm_provenance from = {.source = seed % 2 ? "commonroad" : "womd",
                          .file = file,
                          .scene_id = name,
                          .record = seed,
                          .program = "nearmiss test",
                          .seed = seed * UINT64_C(0x9E3779B97F4A7C15),
                          .parent = seed % 4 ? 0 : UINT64_MAX - seed,
                          .parameters = parameters};
    must(nm_scene_builder_set_provenance(builder, &from, error));
    const nm_scene *scene = NULL;
    must(nm_scene_builder_build(builder, &scene, error));
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

static inline int64_t put_random(nm_store *store, uint64_t seed) {
    const nm_scene *scene = random_scene(seed);
    int64_t id = 0;
    must(nm_store_put_scene(store, scene, &id, error));
    nm_scene_destroy(scene);
    return id;
}

/// A float or, one time in five, something that the store shall make NULL.
static inline float random_number(uint64_t seed, uint32_t *draw, double low, double high) {
    double chance = nm_test_uniform(seed, draw, 0, 1);
    float value = (float)nm_test_uniform(seed, draw, low, high);
    return chance < 0.1 ? NAN : chance < 0.2 ? INFINITY : value;
}

static inline nm_event random_event(uint64_t seed) {
    uint32_t draw = 0;
    nm_event event = {.kind = (nm_kind)(int)nm_test_uniform(seed, &draw, 0, NM_KIND_COUNT - 0.01),
                      .first_step = (uint32_t)nm_test_uniform(seed, &draw, 0, 10),
                      .critical_step = (uint32_t)nm_test_uniform(seed, &draw, 10, 20),
                      .last_step = (uint32_t)nm_test_uniform(seed, &draw, 20, 30),
                      .actor = (uint32_t)nm_test_uniform(seed, &draw, 0, 12),
                      .other = nm_test_uniform(seed, &draw, 0, 1) < 0.2 ? NM_NONE : 7};
    float *const numbers[] = {&event.min_ttc,       &event.min_distance, &event.min_thw,       &event.max_drac,
                              &event.pet,           &event.min_ttr,      &event.closing_speed, &event.gap,
                              &event.lateral_speed, &event.deceleration, &event.impact_speed,  &event.delta_v};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) *numbers[i] = random_number(seed, &draw, 0, 10);
    // few different severities, so that ties are common
    event.severity = (float)floor(nm_test_uniform(seed, &draw, 0, 20)) / 20.0f;
    return event;
}

static inline void random_feature(uint64_t seed, float feature[NM_FEATURE_COUNT]) {
    uint32_t draw = 0;
    for (int i = 0; i < NM_FEATURE_COUNT; i++) feature[i] = (float)nm_test_uniform(seed ^ 77, &draw, -1, 1);
}

#endif
