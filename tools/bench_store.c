/// `nearmiss bench store`: how fast scenes go in, next to SQLite alone, and are found among a million.
///
/// Inserting: blobs of the 16 KiB class, 1,000 rows a transaction, into fresh files on the same disk, our store and a
/// bare loop of INSERTs (a table with the blob and two indexed columns, same pragmas) taking turns; the time includes
/// closing, which syncs. Finding: a store of a million mined scenes with one event each, made through the public
/// interface; answers are compared with brute force before anything is timed.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "scenarios/store_internal.h"
#include "tools/cli.h"

#define BLOBS 3000
#define ROUNDS 5
#define PER_TRANSACTION 1000
#define MILLION 1000000
#define FILL_TRANSACTION 250000
#define FILL_CACHE "PRAGMA cache_size = -500000" ///< indexes in random order want all their pages at hand
#define QUERIES 40

typedef struct store_bench {
    nm_bench *bench;
    char folder[256], ours[288], bare[288];
    nm_packed_scene *packed[BLOBS];
    size_t rows; ///< of the large store
    uint8_t *kinds;
    float *ttc, *severity;
} store_bench;

// --- made-up scenes and events ---------------------------------------------------------------------------------------

static float uniform(uint64_t seed, uint32_t what, uint32_t draw, double low, double high) {
    const nm_rng_key key = {.seed = seed, .scene = what, .purpose = NM_PURPOSE_TEST};
    return (float)(low + (high - low) * (double)nm_rng_uniform(&key, draw));
}

static nm_status make_map(const nm_map **map, nm_error *error) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_lane_def def = nm_lane_def_default();
    const nm_point3 line[] = {{0, 0, 0}, {1000, 0, 0}};
    def.id = 1;
    def.centre = line;
    def.point_count = 2;
    nm_status status =
        builder ? nm_map_builder_add_lane(builder, &def, error) : NM_ERROR(error, NM_E_MEMORY, "no memory");
    if (status == NM_OK) status = nm_map_builder_build(builder, map, error);
    nm_map_builder_destroy(builder);
    return status;
}

/// Noise does not compress: `agents` times `steps` times about 20 bytes.
static nm_status make_scene(nm_scene_builder *builder, const nm_map *map, uint64_t seed, uint32_t agents,
                            uint32_t steps, const nm_scene **scene, nm_error *error) {
    char name[40];
    uint32_t draw = 0;
    nm_scene_builder_reset(builder);
    nm_status status = nm_scene_builder_begin(builder, map, 0.1, steps, error);
    for (uint32_t i = 0; i < agents && status == NM_OK; i++) {
        uint32_t track;
        const nm_track_def def = {.id = i, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
        status = nm_scene_builder_add_track(builder, &def, &track, error);
        for (uint32_t t = 0; t < steps && status == NM_OK; t++) {
            nm_state_def state = {.heading = (double)uniform(seed, 1, draw, -3, 3)};
            state.x = (double)uniform(seed, 2, draw, 0, 1000);
            state.y = (double)uniform(seed, 3, draw, -20, 20);
            state.vx = (double)uniform(seed, 4, draw, -20, 20);
            state.vy = (double)uniform(seed, 5, draw++, -20, 20);
            status = nm_scene_builder_add_state(builder, track, t, &state, error);
        }
    }
    if (status == NM_OK) status = nm_scene_builder_add_tag(builder, "highway", error);
    if (status == NM_OK) status = nm_scene_builder_add_tag(builder, "multi_lane", error);
    snprintf(name, sizeof name, "BENCH_Road-%llu_1_T-1", (unsigned long long)seed);
    const nm_provenance from = {.source = "bench", .file = name, .scene_id = name, .program = "nearmiss " NM_VERSION};
    if (status == NM_OK) status = nm_scene_builder_set_provenance(builder, &from, error);
    return status == NM_OK ? nm_scene_builder_build(builder, scene, error) : status;
}

static nm_status make_blobs(store_bench *b, nm_error *error) {
    const nm_map *map = NULL;
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_packer *packer = nm_packer_create();
    nm_status status = builder && packer ? make_map(&map, error) : NM_ERROR(error, NM_E_MEMORY, "no memory");
    double bytes = 0;
    for (size_t i = 0; i < BLOBS && status == NM_OK; i++) {
        const nm_scene *scene = NULL;
        status = make_scene(builder, map, i, 20, 42, &scene, error);
        if (status == NM_OK) status = nm_pack_scene(packer, scene, &b->packed[i], error);
        nm_scene_destroy(scene);
        if (status == NM_OK) bytes += (double)b->packed[i]->size;
    }
    if (status == NM_OK) nm_bench_row(b->bench, "blob_bytes", bytes / BLOBS, "B");
    nm_packer_destroy(packer);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return status;
}

// --- inserting -------------------------------------------------------------------------------------------------------

static void remove_database(const char *path) {
    char beside[320];
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(beside, sizeof beside, "%s%s", path, ends[i]);
        unlink(beside);
    }
}

static nm_status insert_ours(const store_bench *b, double *seconds, nm_error *error) {
    nm_store *store = NULL;
    remove_database(b->ours);
    nm_status status = nm_store_open(b->ours, NM_STORE_CREATE, &store, error);
    const double start = nm_clock();
    for (size_t i = 0; i < BLOBS && status == NM_OK; i++) {
        int64_t id;
        if (i % PER_TRANSACTION == 0) status = nm_store_begin(store, error);
        if (status == NM_OK) status = nm_store_put_packed(store, b->packed[i], &id, error);
        // as import does for a file with one scene
        if (status == NM_OK) status = nm_store_source_done(store, b->packed[i]->file, 1000, i, 1, error);
        if (status == NM_OK && (i + 1) % PER_TRANSACTION == 0) status = nm_store_commit(store, error);
    }
    nm_store_stats stats = {0};
    nm_store_close(store);
    *seconds = nm_clock() - start;
    if (status == NM_OK) status = nm_store_open(b->ours, NM_STORE_READ, &store, error);
    if (status == NM_OK) status = nm_store_get_stats(store, &stats, error);
    if (status == NM_OK) nm_store_close(store);
    if (status == NM_OK && stats.scenes != BLOBS) status = NM_ERROR(error, NM_E_FORMAT, "the store lost scenes");
    return status;
}

static int insert_rows(sqlite3 *db, const store_bench *b) {
    sqlite3_stmt *insert = NULL;
    int result = sqlite3_prepare_v2(db, "INSERT INTO t (kind, ttc, data) VALUES (?, ?, ?)", -1, &insert, NULL);
    for (size_t i = 0; i < BLOBS && result == SQLITE_OK; i++) {
        if (i % PER_TRANSACTION == 0) result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        sqlite3_bind_int(insert, 1, (int)(i % 18));
        sqlite3_bind_double(insert, 2, (double)(i * 7919 % 10007) * 1e-3);
        sqlite3_bind_blob64(insert, 3, b->packed[i]->bytes, b->packed[i]->size, SQLITE_STATIC);
        if (result == SQLITE_OK && sqlite3_step(insert) != SQLITE_DONE) result = SQLITE_ERROR;
        sqlite3_reset(insert);
        if (result == SQLITE_OK && (i + 1) % PER_TRANSACTION == 0)
            result = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    sqlite3_finalize(insert);
    return result;
}

static nm_status insert_bare(const store_bench *b, double *seconds, nm_error *error) {
    sqlite3 *db = NULL;
    char sql[512];
    remove_database(b->bare);
    snprintf(sql, sizeof sql,
             "PRAGMA page_size = %d; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = "
             "OFF; PRAGMA cache_size = -%d; PRAGMA wal_autocheckpoint = %u; CREATE TABLE t (id INTEGER PRIMARY KEY, "
             "kind INTEGER, ttc REAL, data BLOB); CREATE INDEX t_kind ON t (kind); CREATE INDEX t_ttc ON t (ttc)",
             NM_STORE_PAGE, NM_STORE_CACHE, NM_STORE_CHECKPOINT / NM_STORE_PAGE);
    int result = sqlite3_open(b->bare, &db);
    if (result == SQLITE_OK) result = sqlite3_exec(db, sql, NULL, NULL, NULL);
    const double start = nm_clock();
    if (result == SQLITE_OK) result = insert_rows(db, b);
    nm_status status =
        result == SQLITE_OK ? NM_OK : NM_ERROR_AT(error, NM_E_IO, b->bare, 0, -1, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    *seconds = nm_clock() - start;
    return status;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static nm_status bench_insert(store_bench *b, nm_error *error) {
    double ours[ROUNDS], bare[ROUNDS], ratio[ROUNDS];
    double warm;
    nm_status status = make_blobs(b, error);
    if (status == NM_OK) status = insert_bare(b, &warm, error);
    for (int i = 0; i < ROUNDS && status == NM_OK; i++) {
        status = insert_ours(b, &ours[i], error);
        if (status == NM_OK) status = insert_bare(b, &bare[i], error);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        ratio[i] = bare[i] / ours[i];
    }
    remove_database(b->ours);
    remove_database(b->bare);
    if (status != NM_OK) return status;
    nm_bench_row(b->bench, "insert_rows_per_s", BLOBS / median(ours, ROUNDS), "rows/s");
    nm_bench_row(b->bench, "bare_rows_per_s", BLOBS / median(bare, ROUNDS), "rows/s");
    nm_bench_row(b->bench, "insert_ratio", median(ratio, ROUNDS), "");
    return NM_OK;
}

// --- a million -------------------------------------------------------------------------------------------------------

static void feature_of(size_t row, float feature[NM_FEATURE_COUNT]) {
    uint32_t words[4];
    const nm_rng_key key = {.seed = 7, .scene = row, .purpose = NM_PURPOSE_TEST};
    for (uint32_t i = 0; i < NM_FEATURE_COUNT; i += 4) {
        nm_rng_words(&key, i / 4, words);
        for (uint32_t k = 0; k < 4; k++) feature[i + k] = (float)(words[k] >> 8) * 0x1p-23f - 1.0f;
    }
}

static nm_event event_of(const store_bench *b, size_t row) {
    return (nm_event){.kind = (nm_kind)b->kinds[row],
                      .last_step = 10,
                      .critical_step = 5,
                      .actor = 1,
                      .other = 2,
                      .min_ttc = b->ttc[row],
                      .min_distance = b->ttc[row] * 3.0f,
                      .min_thw = NAN,
                      .max_drac = 2.5f,
                      .pet = NAN,
                      .min_ttr = NAN,
                      .closing_speed = 3.0f,
                      .gap = 5.0f,
                      .lateral_speed = 0.5f,
                      .deceleration = 1.0f,
                      .impact_speed = NAN,
                      .delta_v = NAN,
                      .severity = b->severity[row]};
}

static nm_status fill(store_bench *b, nm_store *store, const nm_scene *scene, nm_error *error) {
    nm_packer *packer = nm_packer_create();
    nm_packed_scene *packed = NULL;
    nm_status status =
        packer ? nm_pack_scene(packer, scene, &packed, error) : NM_ERROR(error, NM_E_MEMORY, "no memory");
    nm_progress *progress = nm_progress_start("filling", "scenes", b->rows, 0);
    for (size_t i = 0; i < b->rows && status == NM_OK; i++) {
        float feature[NM_FEATURE_COUNT];
        const nm_event event = event_of(b, i);
        int64_t id;
        packed->record = i; // what tells them apart
        feature_of(i, feature);
        if (i % FILL_TRANSACTION == 0) status = nm_store_begin(store, error);
        if (status == NM_OK) status = nm_store_put_packed(store, packed, &id, error);
        if (status == NM_OK) status = nm_store_put_events(store, id, &event, 1, NULL, feature, "{}", error);
        if (status == NM_OK && ((i + 1) % FILL_TRANSACTION == 0 || i + 1 == b->rows)) {
            status = nm_store_commit(store, error);
        }
        if (i % 1000 == 999) nm_progress_add(progress, 1000);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    nm_progress_finish(progress);
    nm_packed_scene_destroy(packed);
    nm_packer_destroy(packer);
    return status;
}

static nm_status make_million(store_bench *b, nm_store **store, nm_error *error) {
    const nm_map *map = NULL;
    const nm_scene *scene = NULL;
    nm_scene_builder *builder = nm_scene_builder_create();
    b->kinds = malloc(b->rows);
    b->ttc = malloc(b->rows * sizeof *b->ttc);
    b->severity = malloc(b->rows * sizeof *b->severity);
    nm_status status = builder && b->kinds && b->ttc && b->severity ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "no memory");
    for (size_t i = 0; i < b->rows && status == NM_OK; i++) {
        b->kinds[i] = (uint8_t)(uniform(i, 11, 0, 0, NM_KIND_COUNT - 0.001));
        b->ttc[i] = uniform(i, 12, 0, 0, 10);
        // dangerous ones have short times, but not strictly
        b->severity[i] = 0.8f * (1.0f - b->ttc[i] / 10.0f) + uniform(i, 13, 0, 0, 0.2);
    }
    const double start = nm_clock();
    if (status == NM_OK) status = make_map(&map, error);
    if (status == NM_OK) status = make_scene(builder, map, 1, 1, 1, &scene, error);
    if (status == NM_OK) status = nm_store_open(b->ours, NM_STORE_CREATE, store, error);
    if (status == NM_OK && sqlite3_exec((*store)->db, FILL_CACHE, NULL, NULL, NULL) != SQLITE_OK)
        status = NM_ERROR(error, NM_E_IO, "cannot enlarge the cache");
    if (status == NM_OK) status = fill(b, *store, scene, error);
    if (status == NM_OK) {
        nm_store_close(*store); // what is measured was read from the file
        *store = NULL;
        nm_bench_row(b->bench, "fill_rows_per_s", (double)b->rows / (nm_clock() - start), "rows/s");
        status = nm_store_open(b->ours, NM_STORE_READ, store, error);
    }
    nm_scene_destroy(scene);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return status;
}

typedef struct answer {
    int64_t ids[20];
    size_t count;
} answer;

static nm_status take(void *context, const nm_hit *hit, nm_error *error) {
    answer *a = context;
    if (a->count == 20) return NM_ERROR(error, NM_E_LIMIT, "more hits than were asked for");
    a->ids[a->count++] = hit->scene;
    return NM_OK;
}

/// Keeps the best 20 of what is offered in order of ids: larger values first.
typedef struct best {
    double values[20];
    int64_t ids[20];
    size_t count;
} best;

static void offer(best *top, int64_t id, double value) {
    size_t at = top->count < 20 ? top->count++ : 20;
    if (at == 20 && value <= top->values[19]) return;
    if (at == 20) at = 19;
    for (; at > 0 && top->values[at - 1] < value; at--) {
        top->values[at] = top->values[at - 1];
        top->ids[at] = top->ids[at - 1];
    }
    top->values[at] = value;
    top->ids[at] = id;
}

static best brute_find(const store_bench *b, const nm_query *query) {
    best top = {.count = 0};
    for (size_t i = 0; i < b->rows; i++)
        if ((int)b->kinds[i] == query->kind && (double)b->ttc[i] >= query->ttc_min &&
            (double)b->ttc[i] <= query->ttc_max)
            offer(&top, (int64_t)i + 1, (double)b->severity[i]);
    return top;
}

static best brute_like(const store_bench *b, const nm_query *query) {
    best top = {.count = 0};
    float self[NM_FEATURE_COUNT], other[NM_FEATURE_COUNT];
    feature_of((size_t)query->like - 1, self);
    for (size_t i = 0; i < b->rows; i++) {
        double sum = 0;
        if ((int64_t)i + 1 == query->like) continue;
        feature_of(i, other);
        for (int k = 0; k < NM_FEATURE_COUNT; k++)
            sum += ((double)other[k] - (double)self[k]) * ((double)other[k] - (double)self[k]);
        offer(&top, (int64_t)i + 1, -(double)(float)sqrt(sum));
    }
    return top;
}

/// Query `i` of its kind: windows from narrow to everything, anywhere; any scene.
static nm_query query_of(const store_bench *b, int like, uint32_t i) {
    nm_query query = nm_query_default();
    if (like) {
        query.like = 1 + (int64_t)(uniform(21, 0, i, 0, 0.999999) * (float)b->rows);
        return query;
    }
    const double width = pow(10.0, (double)uniform(22, 0, i, -3, 1));
    query.kind = (int)uniform(23, 0, i, 0, NM_KIND_COUNT - 0.001);
    query.ttc_min = (double)uniform(24, 0, i, 0, 10) - width / 2;
    query.ttc_max = query.ttc_min + width;
    return query;
}

static nm_status bench_queries(store_bench *b, nm_store *store, int like, nm_error *error) {
    const char *name = like ? "like_ms" : "find_ms";
    double times[QUERIES];
    nm_status status = NM_OK;
    for (uint32_t i = 0; i < 4 && status == NM_OK; i++) {
        const nm_query query = query_of(b, like, i * 3);
        const best wanted = like ? brute_like(b, &query) : brute_find(b, &query);
        answer got = {.count = 0};
        status = nm_store_find(store, &query, take, &got, error);
        if (status == NM_OK && (got.count != wanted.count || memcmp(got.ids, wanted.ids, got.count * sizeof *got.ids)))
            status = NM_ERROR(error, NM_E_FORMAT, "%s: the answer differs from brute force", name);
    }
    for (uint32_t i = 0; i < QUERIES && status == NM_OK; i++) {
        const nm_query query = query_of(b, like, i);
        answer got = {.count = 0};
        const double start = nm_clock();
        status = nm_store_find(store, &query, take, &got, error);
        times[i] = 1e3 * (nm_clock() - start);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    if (status != NM_OK) return status;
    char worst[32];
    snprintf(worst, sizeof worst, "%s.worst", name);
    nm_bench_row(b->bench, name, median(times, QUERIES), "ms");
    nm_bench_row(b->bench, worst, times[QUERIES - 1], "ms");
    return NM_OK;
}

static nm_status bench_million(store_bench *b, nm_error *error) {
    nm_store *store = NULL;
    nm_status status = make_million(b, &store, error);
    if (status == NM_OK) status = bench_queries(b, store, 0, error);
    if (status == NM_OK) status = bench_queries(b, store, 1, error);
    nm_store_close(store);
    return status;
}

static void clean_up(store_bench *b) {
    remove_database(b->ours);
    remove_database(b->bare);
    rmdir(b->folder);
    for (size_t i = 0; i < BLOBS; i++) nm_packed_scene_destroy(b->packed[i]);
    free(b->kinds);
    free(b->ttc);
    free(b->severity);
    free(b);
}

static nm_status run(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error) {
    const char *parent = getenv("TMPDIR");
    char *end = NULL;
    const long rows = argc > 0 ? strtol(argv[0], &end, 10) : MILLION;
    (void)common;
    if (argc > 1 || (end && *end) || rows < 100 || rows > 100000000)
        return NM_ERROR(error, NM_E_ARGUMENT, "bench store wants at most a number of rows, at least 100");
    store_bench *b = calloc(1, sizeof *b);
    if (!b) return NM_ERROR(error, NM_E_MEMORY, "no memory");
    b->bench = bench;
    b->rows = (size_t)rows;
    snprintf(b->folder, sizeof b->folder, "%s/nearmiss-bench-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(b->folder)) {
        free(b);
        return NM_ERROR(error, NM_E_IO, "cannot make a folder for the bench: set TMPDIR");
    }
    snprintf(b->ours, sizeof b->ours, "%s/ours.db", b->folder);
    snprintf(b->bare, sizeof b->bare, "%s/bare.db", b->folder);
    nm_status status = bench_insert(b, error);
    if (status == NM_OK) status = bench_million(b, error);
    nm_bench_row(bench, "rows", (double)rows, "");
    clean_up(b);
    return status;
}

const nm_bench_entry nm_bench_store = {
    .name = "store",
    .summary = "Inserting next to SQLite alone; finding by kind and range, and by likeness, among a million (or ROWS).",
    .run = run,
};
