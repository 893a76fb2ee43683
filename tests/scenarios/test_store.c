/// Putting scenes in and getting the same out, once each, whole or not at all.
#include <pthread.h>

#include "store_support.h"

static void same_floats(const float *a, const float *b, size_t count) {
    assert_true((a == NULL) == (b == NULL));
    if (a) assert_memory_equal(a, b, count * sizeof *a);
}

static void same_scene(const nm_scene *a, const nm_scene *b) {
    const size_t states = (size_t)a->track_count * a->step_count;
    assert_int_equal(a->hash, b->hash);
    assert_int_equal(a->map->hash, b->map->hash);
    assert_int_equal(a->track_count, b->track_count);
    assert_int_equal(a->step_count, b->step_count);
    assert_int_equal(a->current_step, b->current_step);
    assert_int_equal(a->ego, b->ego);
    assert_memory_equal(&a->dt, &b->dt, sizeof a->dt);
    if (states) {
        assert_memory_equal(a->tracks, b->tracks, a->track_count * sizeof *a->tracks);
        assert_memory_equal(a->valid, b->valid, states);
        same_floats(a->x, b->x, states);
        same_floats(a->y, b->y, states);
        same_floats(a->heading, b->heading, states);
        same_floats(a->vx, b->vx, states);
        same_floats(a->vy, b->vy, states);
    }
    assert_int_equal(a->tag_count, b->tag_count);
    for (uint32_t i = 0; i < a->tag_count; i++) assert_string_equal(a->tags[i], b->tags[i]);
    assert_string_equal(a->provenance.source, b->provenance.source);
    assert_string_equal(a->provenance.file, b->provenance.file);
    assert_string_equal(a->provenance.scene_id, b->provenance.scene_id);
    assert_string_equal(a->provenance.program, b->provenance.program);
    assert_string_equal(a->provenance.parameters, b->provenance.parameters);
    assert_int_equal(a->provenance.record, b->provenance.record);
    assert_int_equal(a->provenance.seed, b->provenance.seed);
    assert_int_equal(a->provenance.parent, b->provenance.parent);
}

static void no_damage(void *context, const char *finding) {
    (void)context;
    fail_msg("damage: %s", finding);
}

static void check_sound(nm_store *store) {
    uint64_t findings = 0;
    must(nm_store_check(store, 1, no_damage, NULL, &findings, error));
    assert_int_equal(findings, 0);
}

static void test_same_scenes_come_out(void **state) {
    (void)state;
    enum { SCENES = 60 };
    folder f = folder_make();
    int64_t ids[SCENES];
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    must(nm_store_begin(store, error));
    for (int i = 0; i < SCENES; i++) ids[i] = put_random(store, (uint64_t)i);
    must(nm_store_commit(store, error));
    nm_store_close(store);
    store = open_store(f.store, NM_STORE_READ);
    for (int i = 0; i < SCENES; i++) {
        const nm_scene *put = random_scene((uint64_t)i), *got = NULL;
        assert_int_equal(ids[i], i + 1);
        must(nm_store_get_scene(store, ids[i], &got, error));
        same_scene(put, got);
        nm_scene_destroy(put);
        nm_scene_destroy(got);
    }
    nm_store_close(store);
    store = open_store(f.store, NM_STORE_WRITE);
    check_sound(store);
    nm_store_close(store);
    // the columns say what the content says: of scene 9, made from seed 8
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM scene WHERE parent_hash IS NOT NULL"), SCENES / 4);
    assert_int_equal(sql_integer(f.store, "SELECT parent_hash FROM scene WHERE id = 9"), -9);
    assert_int_equal(sql_integer(f.store, "SELECT seed FROM scene WHERE id = 9"),
                     (int64_t)(8 * UINT64_C(0x9E3779B97F4A7C15)));
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM scene WHERE id = 9 AND record = 8 AND file = "
                                          "'file-1.xml' AND scene_name = 'TEST_Road-8_1_T-1' AND program = 'nearmiss "
                                          "test' AND json_extract(parameters, '$.seed') = 8 AND dt_s = 0.1"),
                     1);
    folder_remove(&f);
}

static void test_maps_are_stored_once(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    for (uint64_t i = 0; i < 60; i++) put_random(store, i);
    nm_store_stats stats;
    must(nm_store_get_stats(store, &stats, error));
    assert_int_equal(stats.scenes, 60);
    assert_int_equal(stats.maps, 5); // four lengths of road and the crossing
    nm_stored_info info;
    must(nm_store_get_info(store, 1, &info, error));
    assert_true(info.map_scenes > 1);
    assert_false(info.mined);
    nm_store_close(store);
    folder_remove(&f);
}

static void test_the_same_scene_is_not_stored_twice(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    const nm_scene *scene = random_scene(5);
    int64_t first = 0, second = 0;
    nm_error failure;
    must(nm_store_put_scene(store, scene, &first, error));
    assert_int_equal(nm_store_put_scene(store, scene, &second, &failure), NM_E_EXISTS);
    assert_int_equal(first, second);
    // each part of the identity makes another scene
    nm_scene other = *scene;
    other.provenance.seed++;
    must(nm_store_put_scene(store, &other, &second, error));
    assert_int_not_equal(first, second);
    other.provenance.record++;
    must(nm_store_put_scene(store, &other, &second, error));
    other.provenance.file = "elsewhere";
    must(nm_store_put_scene(store, &other, &second, error));
    other.provenance.source = "simulate";
    must(nm_store_put_scene(store, &other, &second, error));
    assert_int_equal(nm_store_put_scene(store, &other, &first, &failure), NM_E_EXISTS);
    assert_int_equal(first, second);
    // but not what does not belong to it
    other.provenance.program = "nearmiss 9";
    assert_int_equal(nm_store_put_scene(store, &other, &first, &failure), NM_E_EXISTS);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM scene"), 5);
    nm_scene_destroy(scene);
    nm_store_close(store);
    folder_remove(&f);
}

static void test_transactions(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    put_random(store, 0);
    must(nm_store_begin(store, error));
    put_random(store, 1);
    // a duplicate inside a transaction is harmless
    const nm_scene *scene = random_scene(1);
    int64_t id;
    assert_int_equal(nm_store_put_scene(store, scene, &id, NULL), NM_E_EXISTS);
    nm_scene_destroy(scene);
    nm_store_rollback(store);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM scene"), 1);
    must(nm_store_begin(store, error));
    put_random(store, 2);
    nm_store_close(store); // takes back what was not committed
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM scene"), 1);
    store = open_store(f.store, NM_STORE_WRITE);
    check_sound(store);
    nm_store_close(store);
    folder_remove(&f);
}

/// A failure in the middle of a transaction must not let the rest be committed.
static void test_a_broken_transaction_is_not_committed(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    put_random(store, 0);
    must(nm_store_begin(store, error));
    put_random(store, 1);
    assert_int_equal(sqlite3_exec(store->db, "PRAGMA max_page_count = 1", NULL, NULL, NULL), SQLITE_OK);
    nm_error failure;
    nm_status status = NM_OK;
    for (uint64_t i = 2; i < 200 && status == NM_OK; i++) {
        const nm_scene *scene = random_scene(i);
        int64_t id;
        status = nm_store_put_scene(store, scene, &id, &failure);
        nm_scene_destroy(scene);
    }
    assert_int_equal(status, NM_E_IO);
    assert_non_null(strstr(failure.message, "disk is full"));
    const nm_scene *scene = random_scene(1);
    int64_t id;
    assert_int_equal(nm_store_put_scene(store, scene, &id, &failure), NM_E_IO); // and says why again
    nm_scene_destroy(scene);
    assert_int_equal(nm_store_commit(store, &failure), NM_E_IO);
    assert_non_null(strstr(failure.message, "disk is full"));
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM scene"), 1);
    assert_int_equal(sqlite3_exec(store->db, "PRAGMA max_page_count = 1000000", NULL, NULL, NULL), SQLITE_OK);
    put_random(store, 1); // the store is as good as before
    check_sound(store);
    nm_store_close(store);
    folder_remove(&f);
}

/// SQLite takes a transaction back by itself when the disk is full, but not after every failure.
static void test_a_failure_that_sqlite_forgives_is_not(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    nm_error failure;
    must(nm_store_begin(store, error));
    put_random(store, 1);
    assert_int_equal(sqlite3_exec(store->db, "DROP TABLE imported", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(nm_store_source_done(store, "a", 1, 2, 3, &failure), NM_E_FORMAT);
    assert_int_equal(nm_store_commit(store, &failure), NM_E_FORMAT);
    assert_non_null(strstr(failure.message, "imported"));
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM scene"), 0);
    must(nm_store_source_done(store, "a", 1, 2, 3, error)); // the table is back
    nm_store_close(store);
    folder_remove(&f);
}

static void same_number(float wanted, float got) {
    if (isfinite(wanted))
        assert_memory_equal(&wanted, &got, sizeof got); // bit for bit
    else
        assert_true(isnan(got));
}

static void same_event(const nm_event *a, const nm_event *b) {
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->first_step, b->first_step);
    assert_int_equal(a->last_step, b->last_step);
    assert_int_equal(a->critical_step, b->critical_step);
    assert_int_equal(a->actor, b->actor);
    assert_int_equal(a->other, b->other);
    same_number(a->min_ttc, b->min_ttc);
    same_number(a->min_distance, b->min_distance);
    same_number(a->min_thw, b->min_thw);
    same_number(a->max_drac, b->max_drac);
    same_number(a->pet, b->pet);
    same_number(a->min_ttr, b->min_ttr);
    same_number(a->closing_speed, b->closing_speed);
    same_number(a->gap, b->gap);
    same_number(a->lateral_speed, b->lateral_speed);
    same_number(a->deceleration, b->deceleration);
    same_number(a->impact_speed, b->impact_speed);
    same_number(a->delta_v, b->delta_v);
    same_number(a->severity, b->severity);
}

static void test_events_are_replaced(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    nm_arena *arena = nm_arena_create(0);
    int64_t id = put_random(store, 9);
    nm_event events[20], *got;
    size_t count;
    float feature[NM_FEATURE_COUNT];
    nm_scene_criticality criticality = {.pair_count = 3,
                                        .collision_count = 1,
                                        .min_ttc = 0.1f,
                                        .min_distance = INFINITY,
                                        .min_pet = NAN,
                                        .tet = 1.25f,
                                        .critical_step = 4,
                                        .critical_first = NM_NONE};
    random_feature(1, feature);
    for (int i = 0; i < 20; i++) events[i] = random_event((uint64_t)i);
    must(nm_store_put_events(store, id, events, 20, &criticality, feature, "{\"a\": 1}", error));
    must(nm_store_put_events(store, id, events, 12, &criticality, feature, "{\"a\": 1}", error));
    must(nm_store_get_events(store, id, arena, &got, &count, error));
    assert_int_equal(count, 12);
    for (size_t i = 0; i < count; i++) {
        int found = 0; // they come in order of severity; kind and numbers identify them
        for (int k = 0; k < 12; k++)
            if (events[k].severity == got[i].severity && events[k].kind == got[i].kind &&
                events[k].actor == got[i].actor && events[k].first_step == got[i].first_step) {
                same_event(&events[k], &got[i]);
                found = 1;
            }
        assert_true(found);
        if (i) assert_true(got[i - 1].severity >= got[i].severity);
    }
    nm_stored_info info;
    must(nm_store_get_info(store, id, &info, error));
    assert_true(info.mined && info.has_feature);
    assert_int_equal(info.events, 12);
    assert_int_equal(info.criticality.pair_count, 3);
    assert_int_equal(info.criticality.critical_step, 4);
    assert_int_equal(info.criticality.critical_first, NM_NONE);
    assert_true(info.criticality.min_ttc == 0.1f && info.criticality.tet == 1.25f);
    assert_true(isnan(info.criticality.min_distance) && isnan(info.criticality.min_pet));
    assert_memory_equal(info.feature, feature, sizeof feature);
    // numbers look as people write them, and conditions on them hold
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM criticality WHERE min_ttc_s = 0.1 AND tet_s = 1.25"),
                     1);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM mining"), 1);
    nm_error failure;
    assert_int_equal(nm_store_put_events(store, 77, NULL, 0, NULL, NULL, NULL, &failure), NM_E_NOT_FOUND);
    feature[3] = NAN;
    assert_int_equal(nm_store_put_events(store, id, NULL, 0, NULL, feature, NULL, &failure), NM_E_NUMERIC);
    check_sound(store);
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

static void test_shortest_decimals(void **state) {
    (void)state;
    const float values[] = {0.0f, 0.1f, -0.3f, 1.5f, 33.3f, 1e-6f, 0.00012345f, 123456.7f, 16777216.0f, 1e30f, 3e-39f};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) assert_true((float)nm_decimal(values[i]) == values[i]);
    assert_true(nm_decimal(0.1f) == 0.1);
    assert_true(nm_decimal(-33.3f) == -33.3);
    assert_true(nm_decimal(0.00012345f) == 0.00012345);
    uint32_t draw = 0;
    for (int i = 0; i < 20000; i++) {
        float value = (float)pow(10, nm_test_uniform(3, &draw, -8, 8));
        assert_true((float)nm_decimal(value) == value);
    }
}

static void test_deleting_leaves_nothing(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    float feature[NM_FEATURE_COUNT];
    for (uint64_t i = 0; i < 30; i++) {
        int64_t id = put_random(store, i);
        nm_event event = random_event(i);
        random_feature(i, feature);
        must(nm_store_put_events(store, id, &event, 1, NULL, feature, NULL, error));
    }
    for (int64_t id = 1; id <= 30; id++)
        if (id % 2) must(nm_store_delete_scene(store, id, error));
    nm_error failure;
    assert_int_equal(nm_store_delete_scene(store, 1, &failure), NM_E_NOT_FOUND);
    check_sound(store);
    // by hand, even without foreign keys
    sql(f.store, "PRAGMA foreign_keys = OFF; DELETE FROM scene WHERE id > 1");
    check_sound(store);
    static const char *const tables[] = {"scene", "scene_data", "map", "event", "event_rtree", "criticality"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char text[64];
        snprintf(text, sizeof text, "SELECT count(*) FROM %s", tables[i]);
        assert_int_equal(sql_integer(f.store, text), 0);
    }
    assert_int_equal(put_random(store, 3), 31); // numbers are never given twice
    nm_store_close(store);
    folder_remove(&f);
}

static void test_scene_ids(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    nm_arena *arena = nm_arena_create(0);
    for (uint64_t i = 0; i < 300; i++) put_random(store, i % 5 + 10 * (i / 5));
    must(nm_store_put_events(store, 7, NULL, 0, NULL, NULL, NULL, error));
    int64_t *ids;
    size_t count;
    must(nm_store_scene_ids(store, -1, arena, &ids, &count, error));
    assert_int_equal(count, 300);
    for (size_t i = 0; i < count; i++) assert_int_equal(ids[i], i + 1);
    must(nm_store_scene_ids(store, 0, arena, &ids, &count, error));
    assert_int_equal(count, 299);
    must(nm_store_scene_ids(store, 1, arena, &ids, &count, error));
    assert_int_equal(count, 1);
    assert_int_equal(ids[0], 7);
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

static void test_scenes_by_hash(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    nm_error refused;
    int64_t ids[20], found = -1;
    nm_error_clear(&refused);
    for (int i = 0; i < 20; i++) ids[i] = put_random(store, (uint64_t)i);
    for (int i = 0; i < 20; i++) {
        const nm_scene *scene = random_scene((uint64_t)i);
        must(nm_store_find_hash(store, scene->hash, &found, error));
        assert_int_equal(found, ids[i]);
        assert_int_equal(nm_store_find_hash(store, scene->hash ^ 1, &found, &refused), NM_E_NOT_FOUND);
        assert_int_equal(found, 0);
        nm_scene_destroy(scene);
    }
    assert_int_equal(nm_store_find_hash(store, 0, &found, &refused), NM_E_NOT_FOUND); // a parent that there is not
    const nm_scene *gone = random_scene(7);
    must(nm_store_delete_scene(store, ids[7], error));
    assert_int_equal(nm_store_find_hash(store, gone->hash, &found, &refused), NM_E_NOT_FOUND);
    nm_scene_destroy(gone);
    char explain[200];
    sqlite3_stmt *plan = NULL;
    snprintf(explain, sizeof explain, "EXPLAIN QUERY PLAN %s",
             sqlite3_sql(nm_store_statement(store, NM_SQL_FIND_HASH, &refused)));
    assert_int_equal(sqlite3_prepare_v2(store->db, explain, -1, &plan, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(plan), SQLITE_ROW);
    assert_non_null(strstr((const char *)sqlite3_column_text(plan, 3), "COVERING INDEX scene_identity"));
    sqlite3_finalize(plan);
    nm_store_close(store);
    folder_remove(&f);
}

static void test_sources(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    assert_false(nm_store_source_known(store, "a.xml", 10, 20, NULL));
    must(nm_store_source_done(store, "a.xml", 10, UINT64_MAX, 1, error));
    assert_true(nm_store_source_known(store, "a.xml", 10, UINT64_MAX, NULL));
    assert_false(nm_store_source_known(store, "a.xml", 11, UINT64_MAX, NULL));
    assert_false(nm_store_source_known(store, "b.xml", 10, UINT64_MAX, NULL));
    assert_false(nm_store_source_known(store, "a.xml", 10, 20, NULL));
    must(nm_store_begin(store, error));
    must(nm_store_source_done(store, "b.xml", 10, 1, 1, error));
    nm_store_rollback(store);
    assert_false(nm_store_source_known(store, "b.xml", 10, 1, NULL));
    nm_store_close(store);
    folder_remove(&f);
}

static void count_source(void *context, const char *source, uint64_t scenes, uint64_t agent_states) {
    uint64_t *totals = context;
    assert_true(strcmp(source, "commonroad") == 0 || strcmp(source, "womd") == 0);
    totals[0] += scenes;
    totals[1] += agent_states;
}

static void test_stats(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    uint64_t agents = 0, states = 0, by_kind[NM_KIND_COUNT] = {0}, totals[2] = {0};
    double seconds = 0;
    for (uint64_t i = 0; i < 40; i++) {
        const nm_scene *scene = random_scene(i);
        uint64_t a, s;
        int64_t id;
        nm_scene_count(scene, &a, &s);
        agents += a;
        states += s;
        seconds += 0.1 * (scene->step_count - 1);
        must(nm_store_put_scene(store, scene, &id, error));
        nm_scene_destroy(scene);
        nm_event events[3] = {random_event(3 * i), random_event(3 * i + 1), random_event(3 * i + 2)};
        for (int k = 0; k < 3; k++) by_kind[events[k].kind]++;
        must(nm_store_put_events(store, id, events, 3, NULL, NULL, NULL, error));
    }
    nm_store_stats stats;
    must(nm_store_get_stats(store, &stats, error));
    assert_int_equal(stats.scenes, 40);
    assert_int_equal(stats.mined, 40);
    assert_int_equal(stats.events, 120);
    assert_int_equal(stats.agents, agents);
    assert_int_equal(stats.agent_states, states);
    assert_true(fabs(stats.hours - seconds / 3600) < 1e-9);
    assert_memory_equal(stats.by_kind, by_kind, sizeof by_kind);
    must(nm_store_by_source(store, count_source, totals, error));
    assert_int_equal(totals[0], 40);
    assert_int_equal(totals[1], states);
    nm_store_close(store);
    folder_remove(&f);
}

// --- at the same time ------------------------------------------------------------------------------------------------

typedef struct reading {
    const char *path;
    int stop, rounds;
} reading;

/// Whatever a reader sees is a whole number of transactions of ten scenes, each complete.
static void *read_on(void *context) {
    reading *r = context;
    nm_store *store = NULL;
    if (nm_store_open(r->path, NM_STORE_READ, &store, NULL) != NM_OK) return (void *)"cannot open";
    const char *trouble = NULL;
    while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE) && !trouble) {
        nm_store_stats stats;
        const nm_scene *scene = NULL;
        if (nm_store_get_stats(store, &stats, NULL) != NM_OK)
            trouble = "cannot count";
        else if (stats.scenes % 10)
            trouble = "half a transaction is seen";
        else if (stats.scenes && nm_store_get_scene(store, (int64_t)stats.scenes, &scene, NULL) != NM_OK)
            trouble = "cannot read the last scene";
        nm_scene_destroy(scene);
        r->rounds++;
    }
    nm_store_close(store);
    return (void *)(uintptr_t)trouble;
}

static void test_readers_see_whole_transactions(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    reading r = {.path = f.store};
    pthread_t thread;
    void *trouble;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &r), 0);
    for (uint64_t i = 0; i < 200; i += 10) {
        must(nm_store_begin(store, error));
        for (uint64_t k = 0; k < 10; k++) put_random(store, i + k);
        must(nm_store_commit(store, error));
    }
    __atomic_store_n(&r.stop, 1, __ATOMIC_RELEASE);
    pthread_join(thread, &trouble);
    if (trouble) fail_msg("%s", (const char *)trouble);
    nm_store_close(store);
    folder_remove(&f);
}

typedef struct writing {
    const char *path;
    uint64_t first;
} writing;

static void *write_on(void *context) {
    const writing *w = context;
    nm_store *store = NULL;
    if (nm_store_open(w->path, NM_STORE_CREATE, &store, NULL) != NM_OK) return (void *)"cannot open";
    const char *trouble = NULL;
    for (uint64_t i = 0; i < 60 && !trouble; i++) {
        const nm_scene *scene = random_scene(w->first + i);
        int64_t id;
        if (nm_store_put_scene(store, scene, &id, NULL) != NM_OK) trouble = "cannot put";
        nm_scene_destroy(scene);
    }
    nm_store_close(store);
    return (void *)(uintptr_t)trouble;
}

/// Both make the store, both write: nothing is lost.
static void test_two_writers_take_turns(void **state) {
    (void)state;
    folder f = folder_make();
    writing w[2] = {{f.store, 0}, {f.store, 1000}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, write_on, &w[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *trouble;
        pthread_join(threads[i], &trouble);
        if (trouble) fail_msg("%s", (const char *)trouble);
    }
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM scene"), 120);
    nm_store *store = open_store(f.store, NM_STORE_WRITE);
    check_sound(store);
    nm_store_close(store);
    folder_remove(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_scenes_come_out),
        cmocka_unit_test(test_maps_are_stored_once),
        cmocka_unit_test(test_the_same_scene_is_not_stored_twice),
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_a_broken_transaction_is_not_committed),
        cmocka_unit_test(test_a_failure_that_sqlite_forgives_is_not),
        cmocka_unit_test(test_events_are_replaced),
        cmocka_unit_test(test_shortest_decimals),
        cmocka_unit_test(test_deleting_leaves_nothing),
        cmocka_unit_test(test_scene_ids),
        cmocka_unit_test(test_scenes_by_hash),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_readers_see_whole_transactions),
        cmocka_unit_test(test_two_writers_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
