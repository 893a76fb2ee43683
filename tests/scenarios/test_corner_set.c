/// Sets of corner cases: the same for any number of threads and however they are cut, everything counted, everything
/// kept confirmed and judged; and regenerated from its row.
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "scenarios/corner_set.h"
#include "sim/builtin.h"
#include "support.h"

enum { SOURCES = 3, KINDS = 3, GENERATORS = NM_CASE_GENERATOR_COUNT };

typedef struct stage {
    const nm_scene *sources[SOURCES];
    nm_corner_kind kinds[KINDS];
    nm_corner_config config;
    nm_corner_yield yields[KINDS * GENERATORS];
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
        const nm_corner_yield *y = &s.yields[k * GENERATORS];
        assert_int_equal(y->kept, 12);
        assert_true(y->attempts >= 12 && !y->given_up && y->share == 1.0 && y->generator == NM_CASE_MANOEUVRE);
        assert_true(y[1].share == 0.0 && y[1].attempts == 0 && y[2].share == 0.0);
    }
    assert_int_equal(s.yields[2 * GENERATORS].sources, 2); // nobody walks on a highway
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
    // `mine` has nothing to do again
    const nm_detect_params params = nm_detect_params_default();
    cJSON *json = nm_detect_params_json(&params);
    char *mining = cJSON_PrintUnformatted(json);
    assert_non_null(strstr(mining, "\"max_gap\":30"));
    assert_int_equal(nm_store_unmined_ids(store, mining, arena, &ids, &count, &error), NM_OK);
    assert_int_equal(count, 0);
    cJSON_free(mining);
    cJSON_Delete(json);
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
    assert_int_equal(s.yields[0].kept, 36); // half of them
    assert_int_equal(s.yields[GENERATORS].kept, 18);
    stage_close(&s);
}

// --- several generators
// ------------------------------------------------------------------------------------------------

/// Every generator is the manoeuvre one, but that resample never finds a hard_brake and diffusion makes every other
/// attempt in vain.
static nm_status pretend(nm_case_work *work, const nm_scene *scene, const nm_case_request *request, uint64_t index,
                         nm_case *out, nm_error *error) {
    nm_case_request real = *request;
    if (request->generator == NM_CASE_RESAMPLE && request->ranges.kind == NM_KIND_HARD_BRAKE) {
        *out = (nm_case){.reject = NM_REJECT_NO_CANDIDATE};
        return NM_OK;
    }
    if (request->generator == NM_CASE_DIFFUSION && index % 2)
        return NM_ERROR(error, NM_E_NUMERIC, "the model said nothing");
    real.generator = NM_CASE_MANOEUVRE;
    real.adversaries = 1;
    return nm_case_attempt(work, scene, &real, index, out, error);
}

/// A model that nobody looks into.
static void give_model(stage *s) {
    static const nm_recipe recipe;
    static char somewhere;
    s->config.model = (nm_model *)(void *)&somewhere;
    s->config.recipe = &recipe;
    s->config.attempt = pretend;
}

static uint64_t attempts_for(const char *path, nm_kind kind, const char *generator, uint64_t *kept) {
    nm_store *store;
    nm_error error;
    uint64_t attempts;
    nm_error_clear(&error);
    assert_int_equal(nm_store_open(path, NM_STORE_READ, &store, &error), NM_OK);
    assert_int_equal(nm_store_counted_attempts(store, 1, kind, generator, &attempts, kept, &error), NM_OK);
    nm_store_close(store);
    return attempts;
}

/// Which attempts of the request made the scenes of a kind: no two generators may try the same values.
static void no_index_is_used_twice(const char *path, nm_kind kind) {
    nm_store *store;
    nm_error error;
    nm_arena *arena = nm_arena_create(0);
    int64_t *ids;
    size_t count;
    uint64_t used[64], indices = 0;
    nm_error_clear(&error);
    assert_int_equal(nm_store_open(path, NM_STORE_READ, &store, &error), NM_OK);
    assert_int_equal(nm_store_scene_ids(store, -1, arena, &ids, &count, &error), NM_OK);
    for (size_t i = 0; i < count; i++) {
        const nm_scene *scene;
        nm_case_request request;
        uint64_t index;
        assert_int_equal(nm_store_get_scene(store, ids[i], &scene, &error), NM_OK);
        assert_int_equal(nm_case_parse(scene->provenance.parameters, &request, &index, &error), NM_OK);
        nm_scene_destroy(scene);
        if (request.ranges.kind != kind) continue;
        for (uint64_t k = 0; k < indices; k++) assert_true(used[k] != index);
        used[indices++] = index;
    }
    assert_int_equal(indices, 20);
    nm_store_close(store);
    nm_arena_destroy(arena);
}

static void generators_have_their_shares(void **state) {
    (void)state;
    stage s = stage_open();
    nm_corner_report one = {0}, three = {0};
    nm_error error;
    give_model(&s);
    s.config.count = 20;
    memcpy(s.config.generators, (double[]){2.0, 2.0, 1.0}, sizeof s.config.generators);
    memcpy(s.kinds[2].generators, (double[]){0.0, 1.0, 0.0}, sizeof s.kinds[2].generators);
    s.kinds[1].generators[NM_CASE_RESAMPLE] = s.kinds[1].generators[NM_CASE_MANOEUVRE] = 3.0;
    if (run(&s, s.path[0], 1, &one, &error) != NM_OK) fail_msg("%s", error.message);
    const nm_corner_yield *cut_in = &s.yields[0], *brake = &s.yields[GENERATORS], *walk = &s.yields[2 * GENERATORS];
    assert_int_equal(cut_in[0].kept, 8); // 2 of 5
    assert_int_equal(cut_in[1].kept, 8);
    assert_int_equal(cut_in[2].kept, 4);
    assert_true(cut_in[2].attempts >= 7 && fabs(cut_in[2].share - 0.2) < 1e-12);
    assert_true(brake[1].given_up && brake[1].kept == 0 && !brake[0].given_up);
    assert_int_equal(brake[0].kept, 20); // whoever can do it does all of it
    assert_int_equal(brake[2].attempts, 0);
    assert_int_equal(walk[1].kept, 20);
    assert_int_equal(walk[0].attempts + walk[2].attempts, 0);
    if (run(&s, s.path[1], 3, &three, &error) != NM_OK) fail_msg("%s", error.message);
    size_t count[2];
    assert_true(hash_of(s.path[0], &count[0]) == hash_of(s.path[1], &count[1]));
    assert_int_equal(count[0], 60);
    uint64_t kept;
    assert_int_equal(attempts_for(s.path[0], NM_KIND_CUT_IN, "diffusion", &kept), cut_in[2].attempts);
    assert_int_equal(kept, 4);
    no_index_is_used_twice(s.path[0], NM_KIND_CUT_IN);
    stage_close(&s);
}

/// By hours the shares hold as well, whatever the yields; and a set cut at every round is the one that was not.
static void shares_of_hours_go_on(void **state) {
    (void)state;
    stage s = stage_open();
    nm_corner_report report = {0};
    nm_error error;
    give_model(&s);
    s.config.kind_count = 1;
    s.config.count = 0;
    s.config.hours = 0.4; // 144 scenes
    memcpy(s.config.generators, (double[]){1.0, 1.0, 2.0}, sizeof s.config.generators);
    assert_int_equal(run(&s, s.path[0], 2, &report, &error), NM_OK);
    assert_int_equal(report.kept, 144);
    assert_int_equal(s.yields[2].kept, 72);
    assert_in_range(s.yields[0].kept, 35, 37);
    int cut = 0;
    for (nm_status status = NM_E_CANCELLED; status == NM_E_CANCELLED && cut < 60; cut++) {
        int asked = 1 + (int)NM_CORNER_MODEL_ROUND; // once before the round, once before each with the model
        s.config.stop = stop_soon;
        s.config.stop_context = &asked;
        status = run(&s, s.path[1], 2, &report, &error);
        assert_true(status == NM_OK || status == NM_E_CANCELLED);
    }
    assert_in_range(cut, 5, 59);
    size_t count[2];
    assert_true(hash_of(s.path[0], &count[0]) == hash_of(s.path[1], &count[1]));
    assert_true(count[0] == 144 && count[1] == 144 && fabs(report.hours - 0.4) < 1e-7);
    stage_close(&s);
}

/// Stopped in the middle of the attempts with the model nothing of the round is in the store.
static void stopped_within_a_round(void **state) {
    (void)state;
    stage s = stage_open();
    nm_corner_report report = {0};
    nm_error error;
    int asked = 4;
    give_model(&s);
    memcpy(s.config.generators, (double[]){1.0, 0.0, 1.0}, sizeof s.config.generators);
    s.config.stop = stop_soon;
    s.config.stop_context = &asked;
    assert_int_equal(run(&s, s.path[0], 2, &report, &error), NM_E_CANCELLED);
    uint64_t kept;
    assert_int_equal(report.attempts, 0);
    assert_int_equal(attempts_for(s.path[0], NM_KIND_CUT_IN, "manoeuvre", &kept), 0);
    stage_close(&s);
}

static void sources_have_their_weights(void **state) {
    (void)state;
    static const double weights[SOURCES] = {1.0, 3.0, 1.0};
    stage s = stage_open();
    nm_corner_report report = {0};
    nm_error error;
    s.config.kind_count = 1; // a cut_in wants two lanes: the t_junction has none
    s.config.count = 0;
    s.config.hours = 0.25;
    s.config.source_weights = weights;
    s.kinds[0] = s.kinds[1];
    assert_int_equal(run(&s, s.path[0], 2, &report, &error), NM_OK);
    assert_int_equal(s.yields[0].sources, 3);
    nm_store *store;
    nm_arena *arena = nm_arena_create(0);
    int64_t *ids;
    size_t count;
    int of[SOURCES] = {0};
    assert_int_equal(nm_store_open(s.path[0], NM_STORE_READ, &store, &error), NM_OK);
    assert_int_equal(nm_store_scene_ids(store, -1, arena, &ids, &count, &error), NM_OK);
    for (size_t i = 0; i < count; i++) {
        const nm_scene *scene;
        assert_int_equal(nm_store_get_scene(store, ids[i], &scene, &error), NM_OK);
        for (int k = 0; k < SOURCES; k++) of[k] += s.sources[k]->hash == scene->provenance.parent;
        nm_scene_destroy(scene);
    }
    assert_int_equal(of[0] + of[1] + of[2], 90);
    assert_in_range(of[1], 42, 66); // 54 expected, standard deviation 4.6
    assert_true(of[0] >= 8 && of[2] >= 8);
    nm_store_close(store);
    nm_arena_destroy(arena);
    stage_close(&s);
}

/// The command is for people: another spelling of the same request goes on with the same set.
static void the_command_is_no_part_of_a_set(void **state) {
    (void)state;
    stage s = stage_open();
    nm_corner_report first = {0}, again = {0};
    nm_error error;
    s.config.run.command = "nearmiss generate --kind cut_in";
    assert_int_equal(run(&s, s.path[0], 2, &first, &error), NM_OK);
    s.config.run.command = "nearmiss generate --mix mix.json";
    assert_int_equal(run(&s, s.path[0], 2, &again, &error), NM_OK);
    assert_true(again.kept == 0 && again.attempts == 0 && again.generation == first.generation);
    assert_true(again.hours == first.hours);
    s.config.run.parameters = "{\"test\":2}";
    assert_int_equal(run(&s, s.path[0], 2, &again, &error), NM_OK);
    assert_int_not_equal(again.generation, first.generation);
    stage_close(&s);
}

static void what_makes_no_sense_is_refused_before_any_work(void **state) {
    (void)state;
    nm_error error;
    nm_corner_kind kind;
    assert_int_equal(nm_corner_kind_default(NM_KIND_COLLISION, &kind, &error), NM_E_ARGUMENT);
    static const double bad_weights[SOURCES] = {1.0, 0.0, 1.0};
    static const double model_only[] = {[NM_CASE_DIFFUSION] = 1.0};
    for (int i = 0; i < 15; i++) {
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
        if (i == 9) s.config.generators[NM_CASE_MANOEUVRE] = 0.0;
        if (i == 10) s.config.generators[NM_CASE_RESAMPLE] = -1.0;
        if (i == 11) s.kinds[1].generators[NM_CASE_RESAMPLE] = NAN;
        if (i == 12) s.config.source_weights = bad_weights;
        if (i == 13) memcpy(s.config.generators, model_only, sizeof model_only);
        if (i == 14) memcpy(s.kinds[2].generators, model_only, sizeof model_only);
        nm_error_clear(&error);
        const nm_status status = nm_corner_check(&s.config, &error);
        if (status != (i == 7 ? NM_E_UNSUPPORTED : NM_E_ARGUMENT))
            fail_msg("case %d: %d, %s", i, (int)status, error.message);
        if (i == 7) assert_non_null(strstr(error.message, "pedestrian_crossing"));
        if (i >= 13) assert_non_null(strstr(error.message, "diffusion takes a model"));
        stage_close(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_for_any_number_of_threads),
        cmocka_unit_test(what_was_stopped_goes_on),
        cmocka_unit_test(what_is_kept_is_what_was_asked_for),
        cmocka_unit_test(hours_are_shared_by_weight),
        cmocka_unit_test(generators_have_their_shares),
        cmocka_unit_test(shares_of_hours_go_on),
        cmocka_unit_test(stopped_within_a_round),
        cmocka_unit_test(sources_have_their_weights),
        cmocka_unit_test(the_command_is_no_part_of_a_set),
        cmocka_unit_test(what_makes_no_sense_is_refused_before_any_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
