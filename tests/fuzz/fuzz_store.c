/// Arbitrary bytes opened as a store, then everything asked of it. The seed is a small store with pages of 512 bytes.
/// SQLite guards its pages; what is ours to guard is what the rows say: blobs, counts, kinds, features, versions.
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "scenarios/set_stats.h"
#include "sim/builtin.h"

static void name_file(char *path, size_t size, const char *end) {
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, size, "%s/nearmiss-fuzz-%ld%s", folder, (long)getpid(), end);
}

static void remove_files(void) {
    static const char *const ends[] = {".db", ".db-wal", ".db-shm", ".db-journal", "-small.db"};
    char path[128];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        name_file(path, sizeof path, ends[i]);
        unlink(path);
    }
}

static nm_status take_hit(void *context, const nm_hit *hit, nm_error *error) {
    (void)error;
    ++*(int *)context;
    if (hit->kind >= NM_KIND_COUNT || strlen(hit->source) >= sizeof hit->source) abort();
    return NM_OK;
}

static void take_finding(void *context, const char *finding) {
    (void)context;
    if (!finding[0]) abort();
}

static void take_source(void *context, const char *source, uint64_t scenes, uint64_t agent_states) {
    (void)context, (void)scenes, (void)agent_states;
    if (!source) abort();
}

/// Refused with words, or done.
static void judge(nm_status status, const nm_error *error) {
    if (status != NM_OK && (error->code != status || !error->message[0])) abort();
}

static void search(nm_store *store) {
    nm_error error;
    int hits = 0;
    nm_query query = nm_query_default();
    query.seconds = 1;
    judge(nm_store_find(store, &query, take_hit, &hits, &error), &error);
    query.text = "highway";
    query.where = "severity > 0.1 OR min_ttc_s < 3";
    judge(nm_store_find(store, &query, take_hit, &hits, &error), &error);
    query = nm_query_default();
    query.seconds = 1;
    query.kind = NM_KIND_CUT_IN;
    query.ttc_max = 5;
    judge(nm_store_find(store, &query, take_hit, &hits, &error), &error);
    query.like = 1;
    judge(nm_store_find(store, &query, take_hit, &hits, &error), &error);
}

static void use(nm_store *store) {
    nm_error error;
    nm_store_stats stats;
    nm_stored_info info;
    nm_event *events;
    size_t count;
    nm_arena *arena = nm_arena_create((size_t)64 << 20);
    if (!arena) abort();
    search(store);
    judge(nm_store_get_stats(store, &stats, &error), &error);
    judge(nm_store_by_source(store, take_source, NULL, &error), &error);
    nm_set_stats set;
    judge(nm_set_stats_read(store, arena, &set, &error), &error);
    nm_generated made;
    for (int64_t id = 1; id <= 2; id++) {
        const nm_scene *scene = NULL;
        const nm_status status = nm_store_get_scene(store, id, &scene, &error);
        judge(status, &error);
        if ((status == NM_OK) != (scene != NULL)) abort();
        nm_scene_destroy(scene);
        judge(nm_store_get_generated(store, id, arena, &made, &error), &error);
        judge(nm_store_get_info(store, id, &info, &error), &error);
        judge(nm_store_get_events(store, id, arena, &events, &count, &error), &error);
    }
    judge(nm_store_check(store, 1, take_finding, NULL, NULL, &error), &error);
    judge(nm_store_put_events(store, 2, NULL, 0, NULL, NULL, "{}", &error), &error);
    judge(nm_store_delete_scene(store, 1, &error), &error);
    nm_arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[128];
    nm_error error;
    nm_store *store = NULL;
    name_file(path, sizeof path, ".db");
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) abort();
    const nm_status status = nm_store_open(path, NM_STORE_WRITE, &store, &error);
    judge(status, &error);
    if (status == NM_OK) use(store);
    nm_store_close(store);
    remove_files();
    return 0;
}

static void put_scene(nm_store *store, const char *specification) {
    nm_error error;
    const nm_scene *scene = NULL;
    int64_t id;
    nm_event event = {.kind = NM_KIND_CUT_IN, .actor = 1, .other = NM_NONE, .min_ttc = 1.5f, .severity = 0.5f};
    float feature[NM_FEATURE_COUNT] = {0.5f, -0.25f};
    const nm_generation_run run = {.parameters = "{}", .program = "fuzz", .seed = 1};
    nm_generated made = {
        .kind = NM_KIND_CUT_IN, .generator = "manoeuvre", .requested = "{\"gap\": 3}", .achieved = "{\"gap\": 3.5}"};
    if (nm_builtin_scene(specification, 1, &scene, &error) != NM_OK ||
        nm_store_put_scene(store, scene, &id, &error) != NM_OK ||
        nm_store_put_events(store, id, &event, 1, NULL, feature, "{}", &error) != NM_OK ||
        nm_store_begin_generation(store, &run, &made.generation, NULL, &error) != NM_OK ||
        nm_store_count_attempts(store, made.generation, NM_KIND_CUT_IN, "manoeuvre", NM_ATTEMPT_KEPT, 1, &error) !=
            NM_OK ||
        nm_store_put_generated(store, id, &made, &error) != NM_OK)
        abort();
    nm_scene_destroy(scene);
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    char path[128], small[128], sql[256];
    nm_store *store = NULL;
    nm_error error;
    sqlite3 *db = NULL;
    if (index > 0) return 0;
    remove_files();
    name_file(path, sizeof path, ".db");
    name_file(small, sizeof small, "-small.db");
    if (nm_store_open(path, NM_STORE_CREATE, &store, &error) != NM_OK) abort();
    put_scene(store, "highway:length=200,density=5");
    put_scene(store, "t_junction:length=60,density=5");
    nm_store_close(store);
    snprintf(sql, sizeof sql,
             "PRAGMA journal_mode = DELETE; DELETE FROM feature_block; PRAGMA page_size = 512; "
             "VACUUM INTO '%s'",
             small);
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) abort();
    sqlite3_close(db);
    FILE *file = fopen(small, "rb");
    const size_t size = file ? fread(buffer, 1, capacity, file) : 0;
    if (file) fclose(file);
    remove_files();
    return size < capacity ? size : 0;
}
