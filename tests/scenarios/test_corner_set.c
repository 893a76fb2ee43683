/// Sets of corner cases: the same for any number of threads and however they are cut, everything counted, everything
/// kept confirmed and judged; and regenerated from its row.
#include <cjson/cJSON.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "scenarios/corner_set.h"
#include "sim/builtin.h"
#include "support.h"

enum { SOURCES = 3, KINDS = 3 };

typedef struct stage {
    const nm_scene *sources[SOURCES];
    nm_corner_kind kinds[KINDS];
    nm_corner_config config;
    nm_corner_yield yields[KINDS];
    char path[2][64];
} stage;

static stage stage_open(void) {
    static const char *const maps[SOURCES] = {"highway:density=12", "junction_signal:density=12",
                                              "t_junction:density=12"};
    static const nm_kind kinds[KINDS] = {NM_KIND_CUT_IN, NM_KIND_HARD_BRAKE, NM_KIND_PEDESTRIAN_CROSSING};
    stage s = {.config = nm_corner_config_default()};
    nm_error error;
    nm_error_clear(&error);
    for (int i = 0; i < SOURCES; i++)
        if (nm_builtin_scene(maps[i], 3, &s.sources[i], &error) != NM_OK) fail_msg("%s", error.message);
    for (int k = 0; k < KINDS; k++) assert_int_equal(nm_corner_kind_default(kinds[k], &s.kinds[k], &error), NM_OK);
    s.config.source_count = SOURCES;
    s.config.kind_count = KINDS;
    s.config.count = 12;
    s.config.seed = 5;
    s.config.run = (nm_generation_run){.parameters = "{\"test\":1}", .program = "test"};
    for (int i = 0; i < 2; i++) {
        snprintf(s.path[i], sizeof s.path[i], "/tmp/nm_corner_%d_%ld.db", i, (long)getpid());
        unlink(s.path[i]);
    }
    return s;
}

static void stage_close(stage *s) {
    for (int i = 0; i < SOURCES; i++) nm_scene_destroy(s->sources[i]);
    for (int i = 0; i < 2; i++) unlink(s->path[i]);
}

static nm_status run(stage *s, const char *path, int threads, nm_corner_report *report, nm_error *error) {
    nm_store *store;
    nm_thread_pool *pool;
    nm_error_clear(error);
    s->config.kinds = s->kinds;
    s->config.sources = s->sources;
    report->yields = s->yields;
    assert_int_equal(nm_thread_pool_create(threads, &pool, error), NM_OK);
    assert_int_equal(nm_store_open(path, NM_STORE_CREATE, &store, error), NM_OK);
    const nm_status status = nm_corner_set_run(&s->config, store, pool, report, error);
    nm_store_close(store);
    nm_thread_pool_destroy(pool);
    return status;
}

/// Hash of all scenes in order, with what they are stored with.
static uint64_t hash_of(const char *path, size_t *count) {
    nm_store *store;
    nm_error error;
    nm_error_clear(&error);
    nm_arena *arena = nm_arena_create(0);
    int64_t *ids;
    uint64_t hash = 0;
    assert_int_equal(nm_store_open(path, NM_STORE_READ, &store, &error), NM_OK);
    assert_int_equal(nm_store_scene_ids(store, 1, arena, &ids, count, &error), NM_OK); // all are mined
    for (size_t i = 0; i < *count; i++) {
        const nm_scene *scene;
        nm_generated row;
        assert_int_equal(nm_store_get_scene(store, ids[i], &scene, &error), NM_OK);
        assert_int_equal(nm_store_get_generated(store, ids[i], arena, &row, &error), NM_OK);
        hash = nm_hash_bytes(&scene->hash, sizeof scene->hash, hash);
        hash = nm_hash_bytes(row.verdicts, strlen(row.verdicts), hash);
        hash = nm_hash_bytes(row.achieved, strlen(row.achieved), hash);
        hash = nm_hash_bytes(row.label, strlen(row.label), hash ^ (uint64_t)row.kind);
        nm_scene_destroy(scene);
    }
    nm_store_close(store);
    nm_arena_destroy(arena);
    return hash;
}

static void the_same_for_any_number_of_threads(void **state) {
    (void)state;
    stage s = stage_open();
    nm_corner_report one = {0}, three = {0};
    nm_error error;
    if (run(&s, s.path[0], 1, &one, &error) != NM_OK) fail_msg("%s", error.message);
    for (int k = 0; k < KINDS; k++) {
        assert_int_equal(s.yields[k].kept, 12);
        assert_true(s.yields[k].attempts >= 12 && !s.yields[k].given_up);
    }
    assert_int_equal(s.yields[2].sources, 2); // nobody walks on a highway
    if (run(&s, s.path[1], 3, &three, &error) != NM_OK) fail_msg("%s", error.message);
    assert_true(one.kept == 36 && three.kept == 36 && one.attempts == three.attempts);
    assert_float_equal((float)one.hours, 0.1f, 1e-5f);
    size_t count[2];
    assert_true(hash_of(s.path[0], &count[0]) == hash_of(s.path[1], &count[1]));
    assert_int_equal(count[0], 36);
    stage_close(&s);
}

static int stop_soon(void *context) {
    int *left = context;
    return (*left)-- <= 0;
}

/// Stopped after every round and gone on with, it is the set that one run makes.
static void what_was_stopped_goes_on(void **state) {
    (void)state;
    stage s = stage_open();
    nm_corner_report report = {0};
    nm_error error;
    s.config.count = 40; // several rounds
    assert_int_equal(run(&s, s.path[0], 2, &report, &error), NM_OK);
    uint64_t cut = 0, kept = 0;
    for (nm_status status = NM_E_CANCELLED; status == NM_E_CANCELLED && cut < 50; cut++) {
        int rounds = 1;
        s.config.stop = stop_soon;
        s.config.stop_context = &rounds;
        status = run(&s, s.path[1], 2, &report, &error);
        assert_true(status == NM_OK || status == NM_E_CANCELLED);
        kept += report.kept;
    }
    assert_true(cut > 2);
    assert_int_equal(kept, 120);
    size_t count[2];
    assert_true(hash_of(s.path[0], &count[0]) == hash_of(s.path[1], &count[1]));
    assert_true(count[0] == 120 && count[1] == 120);
    stage_close(&s);
}

/// Each kept scene has the event that was asked for, no verdict against it, and comes out of its row again.
static void what_is_kept_is_what_was_asked_for(void **state) {
    (void)state;
    stage s = stage_open();
    nm_corner_report report = {0};
    nm_error error;
    for (int k = 0; k < KINDS; k++) s.kinds[k].collisions = 0.5;
    assert_int_equal(nm_kind_ranges_set(&s.kinds[0].ranges[0], "gap=3:8", &error), NM_OK);
    assert_int_equal(nm_kind_ranges_set(&s.kinds[0].ranges[1], "gap=3:8", &error), NM_OK);
    assert_int_equal(run(&s, s.path[0], 2, &report, &error), NM_OK);
    nm_store *store;
    nm_arena *arena = nm_arena_create(0);
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    int64_t *ids;
    size_t count;
    uint32_t collisions = 0;
    assert_int_equal(nm_store_open(s.path[0], NM_STORE_READ, &store, &error), NM_OK);
    assert_int_equal(nm_store_scene_ids(store, -1, arena, &ids, &count, &error), NM_OK);
    for (size_t i = 0; i < count; i++) {
        const nm_scene *scene, *parent = NULL;
        nm_generated row;
        assert_int_equal(nm_store_get_scene(store, ids[i], &scene, &error), NM_OK);
        assert_int_equal(nm_store_get_generated(store, ids[i], arena, &row, &error), NM_OK);
        assert_non_null(strstr(row.verdicts, "\"valid\":true"));
        assert_null(strstr(row.verdicts, "\"fail\""));
        collisions += strcmp(row.severity, "collision") == 0;
        cJSON *achieved = cJSON_Parse(row.achieved);
        const double gap = row.kind == NM_KIND_CUT_IN ? cJSON_GetObjectItem(achieved, "gap")->valuedouble : 5.0;
        assert_true(gap > 3.0 - 0.51 && gap < 8.0 + 0.51);
        cJSON_Delete(achieved);
        nm_case_request request = nm_case_request_default();
        uint64_t index;
        assert_int_equal(nm_case_parse(scene->provenance.parameters, &request, &index, &error), NM_OK);
        for (int k = 0; k < SOURCES; k++)
            if (s.sources[k]->hash == scene->provenance.parent) parent = s.sources[k];
        assert_non_null(parent);
        nm_case again;
        assert_int_equal(nm_case_attempt(work, parent, &request, index, &again, &error), NM_OK);
        assert_non_null(again.scene);
        assert_true(again.scene->hash == scene->hash);
        nm_scene_destroy(again.scene);
        nm_scene_destroy(scene);
    }
    assert_int_equal(count, 36);
    assert_in_range(collisions, 6, 30);
    nm_case_work_destroy(work);
    nm_store_close(store);
    nm_arena_destroy(arena);
    stage_close(&s);
}

static void hours_are_shared_by_weight(void **state) {
    (void)state;
    stage s = stage_open();
    nm_corner_report report = {0};
    nm_error error;
    s.config.count = 0;
    s.config.hours = 0.2; // 72 scenes of 10 s
    s.kinds[0].weight = 2.0;
    assert_int_equal(run(&s, s.path[0], 2, &report, &error), NM_OK);
    assert_int_equal(report.kept, 72);
    assert_in_range(s.yields[0].kept, 30, 42); // half of them
    assert_in_range(s.yields[1].kept, 12, 24);
    stage_close(&s);
}

static void what_makes_no_sense_is_refused_before_any_work(void **state) {
    (void)state;
    nm_error error;
    nm_corner_kind kind;
    assert_int_equal(nm_corner_kind_default(NM_KIND_COLLISION, &kind, &error), NM_E_ARGUMENT);
    static const nm_status wanted[] = {NM_E_ARGUMENT, NM_E_ARGUMENT, NM_E_ARGUMENT,    NM_E_ARGUMENT, NM_E_ARGUMENT,
                                       NM_E_ARGUMENT, NM_E_ARGUMENT, NM_E_UNSUPPORTED, NM_E_ARGUMENT};
    for (int i = 0; i < 9; i++) {
        stage s = stage_open();
        s.config.kinds = s.kinds;
        s.config.sources = s.sources;
        if (i == 0) s.config.kind_count = 0;
        if (i == 1) s.config.source_count = 0;
        if (i == 2) s.config.count = 0;
        if (i == 3) s.kinds[1] = s.kinds[0];
        if (i == 4) s.kinds[0].weight = NAN;
        if (i == 5) s.kinds[0].collisions = 1.1;
        if (i == 6) s.config.steps = 20;
        if (i == 7) s.config.source_count = 1; // a highway
        if (i == 8) s.config.ego = NM_POLICY_LOG;
        nm_error_clear(&error);
        const nm_status status = nm_corner_check(&s.config, &error);
        if (status != wanted[i]) fail_msg("case %d: %d, %s", i, (int)status, error.message);
        if (i == 7) assert_non_null(strstr(error.message, "pedestrian_crossing"));
        stage_close(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_for_any_number_of_threads),
        cmocka_unit_test(what_was_stopped_goes_on),
        cmocka_unit_test(what_is_kept_is_what_was_asked_for),
        cmocka_unit_test(hours_are_shared_by_weight),
        cmocka_unit_test(what_makes_no_sense_is_refused_before_any_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
