/// Planners over the scenes of a store: any number of threads, stopped and gone on with, what can not be read.
#include "store_support.h"

#include <stdatomic.h>

#include "base/thread_pool.h"
#include "scenarios/evaluation.h"
#include "sim/builtin.h"
#include "sim/world.h"

#define SCENES 70u // more than a round

/// Short recordings: built-in roads, driven by IDM for so many steps.
static void fill_with(const char *path, uint64_t from, uint32_t count, uint32_t steps) {
    nm_store *store = open_store(path, NM_STORE_CREATE);
    for (uint32_t i = 0; i < count; ++i) {
        const nm_scene *scene = NULL;
        must(nm_builtin_scene(i % 2 ? "highway:density=10,length=300" : "t_junction:density=10", from + i, &scene,
                              error));
        nm_world_config config = nm_world_config_default();
        config.seed = from + i;
        nm_rollout_result driven;
        must(nm_rollout(scene, &config, steps, 1, &driven, error));
        int64_t id;
        must(nm_store_put_scene(store, driven.scene, &id, error));
        assert_int_equal(id, i + 1);
        nm_scene_destroy(driven.scene);
        nm_scene_destroy(scene);
    }
    nm_store_close(store);
}

static void fill(const char *path, uint64_t from, uint32_t count) {
    fill_with(path, from, count, 25);
}

typedef struct fixture {
    folder folder;
    char results[3][256];
    int64_t ids[SCENES];
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    const folder made = folder_make();
    f->folder = made;
    for (int i = 0; i < 3; ++i) snprintf(f->results[i], sizeof f->results[i], "%s/r%d.db", made.path, i);
    for (uint32_t i = 0; i < SCENES; ++i) f->ids[i] = i + 1;
    fill(f->folder.store, 100, SCENES);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    folder_remove(&((fixture *)*state)->folder);
    free(*state);
    return 0;
}

static nm_status idm_planner(void *context, nm_planner **planner, nm_error *error) {
    atomic_uint *made = context;
    if (made) atomic_fetch_add(made, 1);
    return nm_planner_named("idm", "", planner, error);
}

static nm_evaluation_config config_of(const fixture *f) {
    nm_evaluation_config config = {
        .episode = nm_episode_config_default(),
        .planner = idm_planner,
        .run = {.planner = "idm", .store = "s.db", .weights = "", .program = "nearmiss test"},
        .store = f->folder.store,
        .scenes = f->ids,
        .scene_count = SCENES};
    config.episode.seconds = 1.5f;
    config.episode.deadline = 0.0f;
    return config;
}

static nm_status evaluate(const nm_evaluation_config *config, const char *path, int threads,
                          nm_evaluation_report *report, nm_error *why) {
    nm_results *results = NULL;
    nm_thread_pool *pool = NULL;
    must(nm_results_open(path, 1, &results, error));
    must(nm_thread_pool_create(threads, &pool, error));
    nm_error_clear(why);
    const nm_status status = nm_evaluation_run(config, results, pool, report, why);
    nm_thread_pool_destroy(pool);
    nm_results_close(results);
    return status;
}

static nm_evaluation_report evaluated(const nm_evaluation_config *config, const char *path, int threads) {
    nm_evaluation_report report;
    nm_error why;
    if (evaluate(config, path, threads, &report, &why) != NM_OK) fail_msg("%s", why.message);
    return report;
}

/// Everything but measured times.
#define CONTENT                                                                                                        \
    "SELECT scene, scene_hash, name, type, outcome, reason, start_step, ego_track, samples, score, "                   \
    "no_ego_at_fault_collisions, drivable_area_compliance, ego_is_making_progress, driving_direction_compliance, "     \
    "ego_progress_along_expert_route, time_to_collision_within_bound, speed_limit_compliance, ego_is_comfortable, "    \
    "collisions, at_fault, first_collision, collision_step, collision_track, min_ttc_s, min_distance_m, worst, "       \
    "worst_step, sweep_ttc_s, min_thw_s, pet_s, closing_mps, max_drac_mps2, required_decel_mps2, danger_step, "        \
    "danger_track, adversary_track, staged, met, avoidable FROM "

static void assert_same(const char *a, const char *b, int count) {
    char text[4096];
    snprintf(text, sizeof text,
             "ATTACH '%s' AS other; CREATE TEMP TABLE apart AS SELECT * FROM (" CONTENT "main.episode EXCEPT " CONTENT
             "other.episode) UNION ALL SELECT * FROM (" CONTENT "other.episode EXCEPT " CONTENT "main.episode)",
             b);
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(a, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s", message);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT count(*), (SELECT count(*) FROM main.episode) FROM apart", -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement, 0), 0);
    assert_int_equal(sqlite3_column_int(statement, 1), count);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void assert_same_rows(const char *a, const char *b) {
    assert_same(a, b, SCENES);
}

static void any_number_of_threads_is_the_same(void **state) {
    const fixture *f = *state;
    const nm_evaluation_config config = config_of(f);
    const nm_evaluation_report one = evaluated(&config, f->results[0], 1);
    const nm_evaluation_report three = evaluated(&config, f->results[1], 3);
    assert_int_equal(one.driven, SCENES);
    assert_int_equal(one.done + one.failed + one.unfit, SCENES);
    assert_true(one.done > SCENES / 2 && one.failed == 0);
    assert_true(one.done == three.done && one.unfit == three.unfit && one.driven_seconds == three.driven_seconds);
    assert_same_rows(f->results[0], f->results[1]);
    // what happens in a scene, for want of a kind, is what the recorded drive shows
    assert_int_equal(sql_integer(f->results[0], "SELECT count(*) FROM episode WHERE type LIKE '%_: _%'"), SCENES);
    assert_int_equal(sql_integer(f->results[0], "SELECT sum(outcome = 'done') = sum(max_drac_mps2 IS NOT NULL) AND "
                                                "count(sweep_ttc_s) > 0 FROM episode"),
                     1);
    assert_int_equal(sql_integer(f->results[0], "SELECT count(DISTINCT scene_hash) FROM episode"), SCENES);
    assert_int_equal(sql_integer(f->results[0], "SELECT count(*) FROM runs WHERE finished"), 1);
}

static int stop_after(void *context) {
    atomic_int *left = context;
    return atomic_fetch_sub(left, 1) <= 0;
}

static void stopped_and_gone_on_with_is_the_same(void **state) {
    const fixture *f = *state;
    nm_evaluation_config config = config_of(f);
    atomic_int left = 200; // steps: within the first round
    config.stop = stop_after;
    config.stop_context = &left;
    nm_evaluation_report report;
    nm_error why;
    assert_int_equal(evaluate(&config, f->results[2], 2, &report, &why), NM_E_CANCELLED);
    const int64_t kept = sql_integer(f->results[2], "SELECT count(*) FROM episode");
    assert_true(kept > 3 && kept < 60 && (size_t)kept == report.driven);
    assert_int_equal(sql_integer(f->results[2], "SELECT count(*) FROM runs WHERE finished"), 0);
    left = (int)(sql_integer(f->results[0], "SELECT sum(samples) FROM episode") -
                 sql_integer(f->results[2], "SELECT sum(samples) FROM episode")) -
           20; // steps: within the second
    assert_int_equal(evaluate(&config, f->results[2], 1, &report, &why), NM_E_CANCELLED);
    config.stop = NULL;
    const int64_t there = sql_integer(f->results[2], "SELECT count(*) FROM episode");
    assert_true(there > kept && there < SCENES);
    report = evaluated(&config, f->results[2], 2);
    assert_int_equal(report.driven, SCENES - there);
    assert_int_equal(report.done + report.failed + report.unfit, SCENES);
    assert_same_rows(f->results[0], f->results[2]); // of the test before
    // nothing is left to do, and only what was asked for is counted
    config.scene_count = 10;
    report = evaluated(&config, f->results[2], 2);
    assert_int_equal(report.driven, 0);
    assert_int_equal(report.done + report.failed + report.unfit, 10);
}

/// A store of the same name with other scenes is not taken for the one that was driven.
static void scenes_are_known_by_content(void **state) {
    const fixture *f = *state;
    char path[256], results[256];
    snprintf(path, sizeof path, "%s/other.db", f->folder.path);
    snprintf(results, sizeof results, "%s/known.db", f->folder.path);
    fill(path, 500, 4);
    nm_evaluation_config config = config_of(f);
    config.scene_count = 4;
    assert_int_equal(evaluated(&config, results, 1).driven, 4);
    assert_int_equal(evaluated(&config, results, 1).driven, 0);
    config.store = path;
    assert_int_equal(evaluated(&config, results, 1).driven, 4);
    assert_int_equal(sql_integer(results, "SELECT count(*) FROM episode"), 4);
    // what has changed behind its name is driven again when that is said; stopped, it is not finished
    config.fresh = 1;
    assert_int_equal(evaluated(&config, results, 1).driven, 4);
    atomic_int left = 0;
    nm_evaluation_report report;
    nm_error why;
    config.stop = stop_after;
    config.stop_context = &left;
    assert_int_equal(evaluate(&config, results, 1, &report, &why), NM_E_CANCELLED);
    assert_int_equal(sql_integer(results, "SELECT count(*) FROM episode"), 0);
    assert_int_equal(sql_integer(results, "SELECT count(*) FROM runs WHERE finished"), 0);
}

/// Puts a scene of one store into another; seed: of its provenance.
static void put_again(nm_store *from, nm_store *to, int64_t id, uint64_t seed) {
    const nm_scene *scene = NULL;
    int64_t put;
    must(nm_store_get_scene(from, id, &scene, error));
    nm_scene other = *scene;
    other.provenance.seed = seed;
    must(nm_store_put_scene(to, &other, &put, error));
    nm_scene_destroy(scene);
}

/// The same scenes by other numbers are driven again; the same content under two numbers is not.
static void scenes_are_known_by_number(void **state) {
    const fixture *f = *state;
    char path[256], results[256];
    snprintf(path, sizeof path, "%s/swapped.db", f->folder.path);
    snprintf(results, sizeof results, "%s/numbers.db", f->folder.path);
    nm_store *from = open_store(f->folder.store, NM_STORE_READ), *to = open_store(path, NM_STORE_CREATE);
    put_again(from, to, 2, 1);
    put_again(from, to, 1, 1);
    put_again(from, to, 3, 1);
    put_again(from, to, 3, 2);
    nm_store_close(from);
    nm_store_close(to);
    nm_evaluation_config config = config_of(f);
    config.scene_count = 3;
    assert_int_equal(evaluated(&config, results, 1).driven, 3);
    config.store = path;
    config.scene_count = 4;
    assert_int_equal(evaluated(&config, results, 1).driven, 3);
    assert_int_equal(evaluated(&config, results, 1).driven, 0);
    assert_int_equal(sql_integer(results, "SELECT count(DISTINCT scene_hash) FROM episode"), 3);
    assert_int_equal(sql_integer(results, "SELECT count(*) FROM episode WHERE scene = 2 AND name LIKE 't_junction%'"),
                     1);
}

static void what_can_not_be_read_is_unfit(void **state) {
    const fixture *f = *state;
    char path[256], results[256];
    snprintf(path, sizeof path, "%s/damaged.db", f->folder.path);
    snprintf(results, sizeof results, "%s/damaged-results.db", f->folder.path);
    fill(path, 300, 3);
    sql(path, "UPDATE scene_data SET content = x'00' WHERE scene = 2");
    nm_evaluation_config config = config_of(f);
    const int64_t ids[] = {1, 2, 3, 99};
    config.store = path;
    config.scenes = ids;
    config.scene_count = 4;
    const nm_evaluation_report report = evaluated(&config, results, 2);
    assert_int_equal(report.driven, 4);
    assert_true(report.unfit >= 2);
    assert_int_equal(sql_integer(results,
                                 "SELECT count(*) FROM episode WHERE scene IN (2, 99) AND outcome = 'unfit' AND "
                                 "length(reason) > 10 AND score IS NULL AND scene_hash = 0"),
                     2);
    assert_int_equal(sql_integer(results, "SELECT count(*) FROM episode WHERE scene IN (1, 3) AND scene_hash <> 0"), 2);
    assert_int_equal(evaluated(&config, results, 2).driven, 2); // these are tried again
}

static nm_status no_planner(void *context, nm_planner **planner, nm_error *error) {
    (void)context;
    *planner = NULL;
    return NM_ERROR(error, NM_E_NOT_FOUND, "nobody");
}

static void without_a_planner_nothing_is_written(void **state) {
    const fixture *f = *state;
    char results[256];
    snprintf(results, sizeof results, "%s/none.db", f->folder.path);
    nm_evaluation_config config = config_of(f);
    nm_evaluation_report report;
    nm_error why;
    config.planner = no_planner;
    assert_int_equal(evaluate(&config, results, 2, &report, &why), NM_E_NOT_FOUND);
    assert_string_equal(why.message, "nobody");
    config.planner = idm_planner;
    config.store = "/no/such/store.db";
    assert_int_equal(evaluate(&config, results, 2, &report, &why), NM_E_NOT_FOUND);
    config.store = f->folder.store;
    config.episode.agents = NM_EPISODE_NEXUS;
    assert_int_equal(evaluate(&config, results, 2, &report, &why), NM_E_ARGUMENT);
    assert_int_equal(sql_integer(results, "SELECT count(*) FROM run"), 0);
}

/// One scene is one thread's, whatever the pool has.
static void planners_are_made_where_they_are_needed(void **state) {
    const fixture *f = *state;
    char results[256];
    snprintf(results, sizeof results, "%s/few.db", f->folder.path);
    nm_evaluation_config config = config_of(f);
    atomic_uint made = 0;
    config.planner_context = &made;
    config.scene_count = 1;
    assert_int_equal(evaluated(&config, results, 8).driven, 1);
    assert_int_equal(made, 1);
}

/// Whoever is steered makes another run of it; threads and pauses make no difference.
static void adversaries_make_runs_of_their_own(void **state) {
    (void)state;
    enum { COUNT = 12 };
    const folder f = folder_make();
    char paths[2][300];
    int64_t ids[COUNT];
    for (int i = 0; i < 2; ++i) snprintf(paths[i], sizeof paths[i], "%s/a%d.db", f.path, i);
    for (int i = 0; i < COUNT; ++i) ids[i] = i + 1;
    fill_with(f.store, 500, COUNT, 80);
    nm_evaluation_config config = {
        .episode = nm_episode_config_default(),
        .planner = idm_planner,
        .run = {.planner = "idm", .store = "s.db", .weights = "", .program = "nearmiss test"},
        .store = f.store,
        .scenes = ids,
        .scene_count = COUNT};
    config.episode.deadline = 0.0f;
    config.episode.adversary = NM_KIND_HARD_BRAKE;
    assert_int_equal(evaluated(&config, paths[0], 1).driven, COUNT);
    atomic_int left = 300; // steps
    config.stop = stop_after;
    config.stop_context = &left;
    nm_evaluation_report report;
    nm_error why;
    assert_int_equal(evaluate(&config, paths[1], 2, &report, &why), NM_E_CANCELLED);
    assert_true(report.driven > 0 && report.driven < COUNT);
    config.stop = NULL;
    evaluated(&config, paths[1], 3);
    assert_same(paths[0], paths[1], COUNT);
    assert_true(sql_integer(paths[0], "SELECT sum(staged) FROM episodes WHERE adversary = 'hard_brake'") > 0);
    assert_int_equal(sql_integer(paths[0], "SELECT count(*) FROM episode WHERE (outcome = 'done') != "
                                           "(adversary_track IS NOT NULL)"),
                     0);
    assert_int_equal(sql_integer(paths[0], "SELECT count(*) FROM episode WHERE outcome = 'unfit' AND reason NOT LIKE "
                                           "'no place for hard_brake'"),
                     0);
    config.episode.adversary = -1;
    assert_int_equal(evaluated(&config, paths[0], 1).driven, COUNT);
    config.episode.adversary = NM_KIND_TAILGATE;
    assert_int_equal(evaluated(&config, paths[0], 1).driven, COUNT);
    config.episode.adversary = NM_KIND_HARD_BRAKE;
    assert_int_equal(evaluated(&config, paths[0], 1).driven, 0);
    assert_int_equal(sql_integer(paths[0], "SELECT count(*) FROM runs WHERE adversary IN ('', 'hard_brake', "
                                           "'tailgate')"),
                     3);
    folder_remove(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_threads_is_the_same),
        cmocka_unit_test(stopped_and_gone_on_with_is_the_same),
        cmocka_unit_test(scenes_are_known_by_content),
        cmocka_unit_test(scenes_are_known_by_number),
        cmocka_unit_test(what_can_not_be_read_is_unfit),
        cmocka_unit_test(without_a_planner_nothing_is_written),
        cmocka_unit_test(planners_are_made_where_they_are_needed),
        cmocka_unit_test(adversaries_make_runs_of_their_own),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
