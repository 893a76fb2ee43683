/// The file of results: what goes in comes out, and what is no such file is refused.
#include "store_support.h"

#include "base/thread_pool.h"
#include "scenarios/results.h"

#define NEWEST 4 // schema

static nm_error failure;

static nm_status open_status(const char *path, int create) {
    nm_results *results = NULL;
    nm_error_clear(&failure);
    const nm_status status = nm_results_open(path, create, &results, &failure);
    if (status == NM_OK) {
        nm_results_close(results);
    } else {
        assert_null(results);
        assert_true(failure.code == status && failure.message[0]);
    }
    return status;
}

static nm_results *open_results(const char *path) {
    nm_results *results = NULL;
    must(nm_results_open(path, 1, &results, error));
    return results;
}

static nm_results_run some_run(void) {
    return (nm_results_run){.planner = "exec:python3 mine.py",
                            .store = "s.db",
                            .weights = "",
                            .program = "nearmiss test",
                            .agents = NM_EPISODE_IDM,
                            .idm = "nuplan",
                            .seconds = 15.0f,
                            .deadline = 0.1f, // no binary fraction
                            .seed = UINT64_MAX - 3};
}

static int64_t begin(nm_results *results, const nm_results_run *run) {
    int64_t id = 0;
    must(nm_results_begin_run(results, run, &id, error));
    assert_true(id > 0);
    return id;
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void what_is_no_file_of_results_is_refused(void **state) {
    (void)state;
    folder f = folder_make();
    assert_int_equal(open_status(f.store, 0), NM_E_NOT_FOUND);
    assert_int_equal(access(f.store, F_OK), -1);
    assert_int_equal(open_status("/no/such/folder/r.db", 1), NM_E_IO);
    assert_int_equal(open_status(f.path, 1), NM_E_IO);
    write_file(f.store, "");
    assert_int_equal(open_status(f.store, 0), NM_E_FORMAT);
    assert_int_equal(open_status(f.store, 1), NM_OK); // an empty file may become one
    assert_int_equal(open_status(f.store, 0), NM_OK);
    write_file(f.store,
               "This is not a database, however long it may be, and it is longer than a page header of SQLite is: "
               "that has a hundred bytes.");
    assert_int_equal(open_status(f.store, 1), NM_E_FORMAT);
    assert_non_null(strstr(failure.input, "s.db"));
    unlink(f.store);
    sql(f.store, "CREATE TABLE mine (x); INSERT INTO mine VALUES (7)");
    assert_int_equal(open_status(f.store, 1), NM_E_FORMAT);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM sqlite_schema"), 1);
    unlink(f.store);
    nm_store_close(open_store(f.store, NM_STORE_CREATE)); // a store is none either
    assert_int_equal(open_status(f.store, 1), NM_E_FORMAT);
    folder_remove(&f);
}

static void newer_and_damaged_files_are_refused(void **state) {
    (void)state;
    folder f = folder_make();
    nm_results_close(open_results(f.store));
    char text[160];
    snprintf(text, sizeof text, "PRAGMA user_version = %d", NEWEST + 1);
    sql(f.store, text);
    assert_int_equal(open_status(f.store, 1), NM_E_VERSION);
    snprintf(text, sizeof text, "PRAGMA user_version = %d; ALTER TABLE episode RENAME COLUMN score TO points", NEWEST);
    sql(f.store, text);
    assert_int_equal(open_status(f.store, 1), NM_E_FORMAT);
    assert_non_null(strstr(failure.message, "damaged"));
    sql(f.store, "ALTER TABLE episode RENAME COLUMN points TO score");
    assert_int_equal(open_status(f.store, 1), NM_OK);
    sql(f.store, "DROP VIEW runs; DROP VIEW episodes; DROP TABLE episode");
    assert_int_equal(open_status(f.store, 1), NM_E_FORMAT);
    folder_remove(&f);
}

static void a_file_says_what_it_is(void **state) {
    (void)state;
    folder f = folder_make();
    nm_results *results = open_results(f.store);
    const nm_results_run run = some_run();
    begin(results, &run);
    nm_results_close(results);
    assert_int_equal(sql_integer(f.store, "PRAGMA application_id"), 0x6e6d6576);
    assert_int_equal(sql_integer(f.store, "PRAGMA user_version"), NEWEST);
    assert_int_equal(
        sql_integer(f.store, "SELECT count(*) FROM meta WHERE name = 'program' AND value LIKE 'nearmiss %'"), 1);
    // an empty run has a row in the view, without a score
    assert_int_equal(
        sql_integer(f.store, "SELECT count(*) FROM runs WHERE episodes = 0 AND score IS NULL AND NOT finished"), 1);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM run WHERE started_utc LIKE '20__-__-__T__:__:__Z'"), 1);
    folder_remove(&f);
}

static void a_run_is_the_same_in_everything(void **state) {
    (void)state;
    folder f = folder_make();
    nm_results *results = open_results(f.store);
    const nm_results_run base = some_run();
    const int64_t first = begin(results, &base);
    assert_int_equal(begin(results, &base), first);
    nm_results_run other[12];
    for (int i = 0; i < 12; ++i) other[i] = base;
    other[0].planner = "idm";
    other[1].store = "t.db";
    other[2].weights = "0123";
    other[3].program = "nearmiss 9";
    other[4].agents = NM_EPISODE_LOG;
    other[5].idm = "waymax";
    other[6].perfect = 1;
    other[7].seconds = 14.9f;
    other[8].deadline = 0.0f;
    other[9].seed--;
    other[10].config = "fast";
    other[11].adversary = "cut_in";
    int64_t ids[12];
    for (int i = 0; i < 12; ++i) {
        ids[i] = begin(results, &other[i]);
        assert_true(ids[i] != first);
        for (int k = 0; k < i; ++k) assert_true(ids[i] != ids[k]);
    }
    nm_results_close(results);
    results = open_results(f.store); // and is found again
    assert_int_equal(begin(results, &base), first);
    for (int i = 0; i < 12; ++i) assert_int_equal(begin(results, &other[i]), ids[i]);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM run"), 13);
    must(nm_results_end_run(results, first, error));
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM runs WHERE finished"), 1);
    nm_results_close(results);
    folder_remove(&f);
}

static nm_results_row done_row(void) {
    nm_results_row row = {
        .scene = 41,
        .scene_hash = UINT64_C(0xFEDCBA9876543210),
        .name = "a 'quoted' name; DROP TABLE episode",
        .type = "cut_in",
        .episode = {
            .outcome = NM_EPISODE_DONE,
            .start_step = 10,
            .ego_track = 3,
            .samples = 150,
            .wall_seconds = 0.25,
            .plan_mean = 0.001,
            .plan_max = 0.002,
            .score = {.score = 0.875, .collisions = 2, .at_fault_vehicles = 1},
            .collision_count = 2,
            .min_ttc = 0.5f,
            .min_distance = 0.25f,
            .danger = {.value = {1.5f, INFINITY, 0.75f, 8.25f, 3.5f, 4.125f}, .worst_step = 12, .worst_track = 5},
            .worst_sample = 7,
            .adversary = 6,
            .staged = 1,
            .met = 1,
            .avoid = NM_AVOID_UNAVOIDABLE,
            .worst = "time_to_collision_within_bound"}};
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) row.episode.score.metric[m].value = 0.125 * (m + 1);
    row.episode.collisions[0] =
        (nm_nuplan_collision){.track = 5, .step = 36, .collision_class = NM_NUPLAN_ACTIVE_LATERAL, .at_fault = 1};
    row.episode.collisions[1] = (nm_nuplan_collision){.track = 6, .step = 40};
    return row;
}

static size_t read_rows(nm_results *results, int64_t run, nm_arena *arena, nm_results_row **rows) {
    size_t count = 0;
    must(nm_results_rows(results, run, arena, rows, &count, error));
    return count;
}

static void rows_come_back(void **state) {
    (void)state;
    folder f = folder_make();
    nm_arena *arena = nm_arena_create(0);
    nm_results *results = open_results(f.store);
    nm_results_run run = some_run();
    run.adversary = "tailgate";
    const int64_t id = begin(results, &run);
    const nm_results_row put = done_row();
    must(nm_results_put(results, id, &put, error));
    nm_results_row *rows;
    assert_int_equal(read_rows(results, id, arena, &rows), 1);
    const nm_episode *a = &put.episode, *b = &rows[0].episode;
    assert_true(rows[0].scene == put.scene && rows[0].scene_hash == put.scene_hash);
    assert_string_equal(rows[0].name, put.name);
    assert_string_equal(rows[0].type, put.type);
    assert_true(b->outcome == a->outcome && b->start_step == a->start_step && b->ego_track == a->ego_track);
    assert_true(b->samples == a->samples && fabsf(b->seconds - 15.0f) < 1e-5f);
    assert_true(b->score.score == a->score.score && b->score.collisions == 2 && b->score.at_fault_vehicles == 1);
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) assert_true(b->score.metric[m].value == a->score.metric[m].value);
    assert_int_equal(b->collision_count, 2);
    assert_true(b->collisions[0].track == 5 && b->collisions[0].step == 36);
    assert_int_equal(b->collisions[0].collision_class, NM_NUPLAN_ACTIVE_LATERAL);
    assert_true(b->min_ttc == a->min_ttc && b->min_distance == a->min_distance);
    for (int m = 0; m < NM_EGO_MEASURE_COUNT; ++m) assert_true(b->danger.value[m] == a->danger.value[m]);
    assert_true(b->danger.worst_step == 12 && b->danger.worst_track == 5);
    assert_int_equal(sql_integer(f.store, "SELECT sweep_ttc_s = 1.5 AND min_thw_s IS NULL AND pet_s = 0.75 AND "
                                          "closing_mps = 8.25 AND max_drac_mps2 = 3.5 AND required_decel_mps2 = 4.125 "
                                          "AND danger_step = 22 AND danger_track = 5 FROM episodes"),
                     1);
    assert_true(b->worst_sample == 7 && strcmp(b->worst, a->worst) == 0);
    assert_true(fabs(b->plan_mean - a->plan_mean) < 1e-15 && fabs(b->plan_max - a->plan_max) < 1e-15);
    assert_true(b->wall_seconds == a->wall_seconds);
    assert_string_equal(rows[0].adversary, "tailgate");
    assert_true(b->adversary == 6 && b->staged == 1 && b->met == 1 && b->avoid == NM_AVOID_UNAVOIDABLE);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM episodes WHERE adversary = 'tailgate' AND staged AND "
                                          "met AND avoidable = 'unavoidable' AND adversary_track = 6"),
                     1);
    assert_int_equal(sql_integer(f.store, "SELECT staged + met FROM runs WHERE adversary = 'tailgate'"), 2);
    // in the file: steps of the scene, milliseconds
    assert_int_equal(sql_integer(f.store, "SELECT collision_step FROM episode"), 46);
    assert_int_equal(sql_integer(f.store, "SELECT worst_step FROM episodes WHERE planner LIKE 'exec%'"), 17);
    assert_int_equal(sql_integer(f.store, "SELECT plan_mean_ms FROM episode"), 1);
    assert_int_equal(sql_integer(f.store, "SELECT at_fault FROM episode"), 1);
    assert_int_equal(sql_integer(f.store, "SELECT no_ego_at_fault_collisions = 0.125 AND ego_is_comfortable = 1 "
                                          "FROM episode"),
                     1);
    nm_results_close(results);
    nm_arena_destroy(arena);
    folder_remove(&f);
}

static void what_has_no_value_is_null(void **state) {
    (void)state;
    folder f = folder_make();
    nm_arena *arena = nm_arena_create(0);
    nm_results *results = open_results(f.store);
    const nm_results_run run = some_run();
    const int64_t id = begin(results, &run);
    nm_results_row row = done_row();
    row.episode.min_ttc = row.episode.min_distance = INFINITY;
    row.episode.score.metric[NM_NUPLAN_SPEED_LIMIT].value = NAN;
    row.episode.collision_count = row.episode.score.collisions = 0;
    row.episode.worst_sample = NM_NONE;
    row.episode.worst = "";
    must(nm_results_put(results, id, &row, error));
    nm_results_row failed = {.scene = 42, .name = "", .type = ""};
    failed.episode = (nm_episode){.outcome = NM_EPISODE_FAILED,
                                  .samples = 6,
                                  .min_ttc = NAN,
                                  .min_distance = 3.0f,
                                  .danger = nm_episode_no_danger(),
                                  .worst_sample = NM_NONE,
                                  .worst = ""};
    snprintf(failed.episode.reason, sizeof failed.episode.reason, "planner 'p' said \xc3\xa9\xff");
    must(nm_results_put(results, id, &failed, error));
    nm_results_row unfit = {.scene = 43, .name = "", .type = ""};
    unfit.episode = (nm_episode){.outcome = NM_EPISODE_UNFIT, .worst_sample = NM_NONE, .worst = ""};
    must(nm_results_put(results, id, &unfit, error));
    nm_results_row *rows;
    assert_int_equal(read_rows(results, id, arena, &rows), 3);
    assert_true(isinf(rows[0].episode.min_ttc) && isinf(rows[0].episode.min_distance));
    assert_int_equal(rows[0].episode.collision_count, 0);
    assert_int_equal(rows[0].episode.worst_sample, NM_NONE);
    assert_int_equal(rows[1].episode.outcome, NM_EPISODE_FAILED);
    assert_string_equal(rows[1].episode.reason, failed.episode.reason);
    assert_true(rows[1].episode.score.score == 0.0);
    for (int m = 0; m < NM_EGO_MEASURE_COUNT; ++m) assert_true(isnan(rows[1].episode.danger.value[m]));
    assert_int_equal(rows[2].episode.outcome, NM_EPISODE_UNFIT);
    assert_int_equal(rows[2].episode.ego_track, NM_NONE); // nobody was driven
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM episode WHERE scene = 41 AND min_ttc_s IS NULL AND "
                                          "min_distance_m IS NULL AND speed_limit_compliance IS NULL AND worst_step IS "
                                          "NULL AND collision_step IS NULL AND score IS NOT NULL"),
                     1);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM episode WHERE scene > 41 AND score IS NULL"), 2);
    // failed counts as 0, unfit for nobody: 0.875 / 2
    assert_int_equal(
        sql_integer(f.store, "SELECT score = 0.4375 AND failed = 1 AND unfit = 1 AND episodes = 3 FROM runs"), 1);
    nm_results_close(results);
    nm_arena_destroy(arena);
    folder_remove(&f);
}

/// Whatever somebody wrote into the file: rows come out, and nothing breaks.
static void hostile_rows_are_read(void **state) {
    (void)state;
    folder f = folder_make();
    nm_arena *arena = nm_arena_create(0);
    nm_results *results = open_results(f.store);
    const nm_results_run run = some_run();
    const int64_t id = begin(results, &run);
    const nm_results_row row = done_row();
    must(nm_results_put(results, id, &row, error));
    sql(f.store,
        "UPDATE episode SET outcome = 'splendid', first_collision = 'big', worst_step = -5, ego_track = 1e300, "
        "collision_step = 9223372036854775807, min_ttc_s = 'soon', samples = 'many', score = x'00ff', "
        "reason = printf('%.*c', 5000, 'x'), start_step = -1; UPDATE collision SET class = 'big', type = x'ff'");
    nm_results_row *rows;
    assert_int_equal(read_rows(results, id, arena, &rows), 1);
    assert_int_equal(rows[0].episode.outcome, NM_EPISODE_UNFIT);
    assert_int_equal(rows[0].episode.collision_count, 0);
    assert_int_equal(strlen(rows[0].episode.reason), sizeof rows[0].episode.reason - 1);
    nm_results_close(results);
    nm_arena_destroy(arena);
    folder_remove(&f);
}

/// Shares beyond 0 to 1, times and numbers beyond those of floats: nobody's mean becomes infinite by them.
static void hostile_numbers_read_as_absent(void **state) {
    (void)state;
    folder f = folder_make();
    nm_arena *arena = nm_arena_create(0);
    nm_results *results = open_results(f.store);
    const nm_results_run run = some_run();
    const int64_t id = begin(results, &run);
    nm_results_row row = done_row();
    row.episode.loss_count = 2;
    row.episode.losses[0] = (nm_loss){.metric = NM_NUPLAN_TTC, .cost = 0.25, .recorded = 0.5};
    row.episode.losses[1] = (nm_loss){.metric = NM_NUPLAN_SPEED_LIMIT, .cost = 0.5, .recorded = 0.5};
    must(nm_results_put(results, id, &row, error));
    sql(f.store, "UPDATE episode SET score = 1e308, ego_is_comfortable = -9e999, plan_mean_ms = -1, plan_max_ms = "
                 "9e999, wall_s = 9e999, min_ttc_s = 1e300, min_distance_m = -9e999; UPDATE collision SET energy = "
                 "1e300; UPDATE loss SET cost = 1e308 WHERE metric LIKE 'speed%'; UPDATE loss SET recorded = 2");
    nm_results_row *rows;
    assert_int_equal(read_rows(results, id, arena, &rows), 1);
    const nm_episode *e = &rows[0].episode;
    assert_true(e->outcome == NM_EPISODE_DONE && e->score.score <= 0 && e->score.score >= 0);
    assert_true(e->score.metric[NM_NUPLAN_COMFORT].value <= 0 && e->score.metric[NM_NUPLAN_COMFORT].value >= 0);
    assert_true(e->plan_mean <= 0 && e->plan_mean >= 0 && e->plan_max <= 0 && e->wall_seconds <= 0);
    assert_true(isinf(e->min_ttc) && e->min_ttc > 0 && isinf(e->min_distance) && e->min_distance > 0);
    assert_true(e->collision_count > 0 && isnan(e->collisions[0].energy));
    assert_int_equal(e->loss_count, 1);
    assert_int_equal(e->losses[0].metric, NM_NUPLAN_TTC);
    assert_true(isnan(e->losses[0].recorded));
    nm_results_close(results);
    nm_arena_destroy(arena);
    folder_remove(&f);
}

static void a_run_is_forgotten_with_all_it_has(void **state) {
    (void)state;
    folder f = folder_make();
    nm_results *results = open_results(f.store);
    nm_results_run run = some_run();
    const int64_t id = begin(results, &run);
    run.config = "another";
    const int64_t other = begin(results, &run);
    nm_results_row row = done_row();
    row.said = "I am lost";
    must(nm_results_put(results, id, &row, error));
    must(nm_results_put(results, other, &row, error));
    must(nm_results_forget(results, id, error));
    assert_int_equal(nm_results_has(results, id, row.scene), 0);
    assert_int_equal(nm_results_has(results, other, row.scene), 1);
    const char *const tables[] = {"episode", "collision", "said"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; ++i) {
        char text[128];
        snprintf(text, sizeof text, "SELECT count(*) = 0 FROM %s WHERE run <> %d", tables[i], (int)other);
        assert_int_equal(sql_integer(f.store, text), 1);
        snprintf(text, sizeof text, "SELECT count(*) > 0 FROM %s WHERE run = %d", tables[i], (int)other);
        assert_int_equal(sql_integer(f.store, text), 1);
    }
    nm_results_close(results);
    folder_remove(&f);
}

#define RACES 40

/// context: the file
static nm_status begin_many(void *context, size_t index, int thread, nm_error *error) {
    (void)index, (void)thread;
    nm_results *results = NULL;
    nm_status status = nm_results_open(context, 1, &results, error);
    for (uint64_t seed = 0; status == NM_OK && seed < RACES; ++seed) {
        nm_results_run run = some_run();
        int64_t id;
        run.seed = seed;
        status = nm_results_begin_run(results, &run, &id, error);
    }
    nm_results_close(results);
    return status;
}

/// Two evaluations into one file: the same run once, or one would not go on with what the other drove.
static void a_run_that_two_begin_is_one(void **state) {
    (void)state;
    folder f = folder_make();
    nm_thread_pool *pool = NULL;
    must(nm_thread_pool_create(4, &pool, error));
    must(nm_thread_pool_for(pool, 4, 1, begin_many, f.store, error));
    nm_thread_pool_destroy(pool);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM run"), RACES);
    folder_remove(&f);
}

/// A file of an older schema, as it was made then, with one episode in it.
static void make_old(const char *path, int version) {
    char name[300], text[16384];
    snprintf(name, sizeof name, NM_SOURCE_DIR "/tests/scenarios/results-%d.sql", version);
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    const size_t size = fread(text, 1, sizeof text, file);
    assert_true(size < sizeof text);
    text[size] = '\0';
    fclose(file);
    sql(path, text);
    assert_int_equal(sql_integer(path, "PRAGMA user_version"), version);
}

/// Columns are told apart by their names: in this file and in one that was made new they are the same ones, and views
/// show them all.
static void assert_as_new(const char *path) {
    static const char *const names[] = {"run", "episode", "collision", "loss", "said", "goal", "runs", "episodes"};
    folder f = folder_make();
    char text[4096];
    nm_results_close(open_results(f.store));
    int used = snprintf(text, sizeof text, "ATTACH '%s' AS o; CREATE TABLE differ (name, type);", f.store);
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        for (int back = 0; back < 2; ++back)
            used += snprintf(text + used, sizeof text - (size_t)used,
                             "INSERT INTO differ SELECT name, type FROM pragma_table_info('%s', '%s') EXCEPT "
                             "SELECT name, type FROM pragma_table_info('%s', '%s');",
                             names[i], back ? "o" : "main", names[i], back ? "main" : "o");
    assert_true(used < (int)sizeof text);
    sql(path, text);
    assert_int_equal(sql_integer(path, "SELECT count(*) FROM differ"), 0);
    folder_remove(&f);
}

static void older_files_are_brought_up_to_date(void **state) {
    (void)state;
    for (int version = 1; version < NEWEST; ++version) {
        folder f = folder_make();
        nm_arena *arena = nm_arena_create(0);
        make_old(f.store, version);
        nm_results *results = NULL;
        must(nm_results_open(f.store, 0, &results, error));
        const nm_results_run run = some_run();
        assert_int_equal(begin(results, &run), 1); // the same run as that of the file
        nm_results_row *rows;
        assert_int_equal(read_rows(results, 1, arena, &rows), 1);
        const nm_episode *e = &rows[0].episode;
        assert_true(rows[0].scene == 41 && e->score.score == 0.5 && e->samples == 150 && e->wall_seconds == 0.5);
        assert_true(e->collision_count == 1 && e->collisions[0].track == 9);
        for (int m = 0; m < NM_EGO_MEASURE_COUNT; ++m) assert_int_equal(isnan(e->danger.value[m]), version < 2);
        assert_int_equal(e->danger.worst_step, version < 2 ? NM_NONE : 12);
        assert_string_equal(rows[0].adversary, "");
        assert_true(e->adversary == NM_NONE && !e->staged && !e->met && e->avoid == NM_AVOID_NO_CONFLICT);
        assert_true(!rows[0].said && !e->loss_count && !e->has_goal && e->goal_sample == NM_NONE);
        nm_results_row put = done_row(); // beside it, in the new columns and tables
        put.said = "oh";
        put.episode.has_goal = 1;
        put.episode.goal_sample = 90;
        put.episode.loss_count = 1;
        put.episode.losses[0] = (nm_loss){.metric = NM_NUPLAN_PROGRESS, .value = 0.5, .cost = 0.25, .track = NM_NONE};
        put.scene = 42;
        must(nm_results_put(results, 1, &put, error));
        assert_int_equal(read_rows(results, 1, arena, &rows), 2);
        assert_true(rows[1].episode.danger.value[NM_EGO_CLOSING] == 8.25f && rows[1].episode.adversary == 6);
        assert_string_equal(rows[1].said, "oh");
        assert_true(rows[1].episode.loss_count == 1 && rows[1].episode.losses[0].cost == 0.25);
        assert_true(rows[1].episode.has_goal && rows[1].episode.goal_sample == 90 && !rows[0].episode.has_goal);
        nm_results_close(results);
        assert_int_equal(sql_integer(f.store, "PRAGMA user_version"), NEWEST);
        assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM episodes WHERE adversary = '' AND staged = 0"), 1);
        assert_int_equal(open_status(f.store, 0), NM_OK); // once more
        assert_as_new(f.store);
        nm_arena_destroy(arena);
        folder_remove(&f);
    }
}

/// All or nothing: what can not be brought up to date stays as it was.
static void damaged_older_files_are_refused(void **state) {
    (void)state;
    folder f = folder_make();
    make_old(f.store, 1);
    sql(f.store, "ALTER TABLE episode ADD COLUMN pet_s REAL");
    assert_int_equal(open_status(f.store, 0), NM_E_FORMAT);
    assert_int_equal(sql_integer(f.store, "PRAGMA user_version"), 1);
    assert_int_equal(
        sql_integer(f.store, "SELECT count(*) FROM pragma_table_info('episode') WHERE name = 'sweep_ttc_s'"), 0);
    sql(f.store, "PRAGMA user_version = 0");
    assert_int_equal(open_status(f.store, 0), NM_E_FORMAT);
    folder_remove(&f);
}

static void many_rows_in_order_and_transactions(void **state) {
    (void)state;
    folder f = folder_make();
    nm_arena *arena = nm_arena_create(0);
    nm_results *results = open_results(f.store);
    const nm_results_run run = some_run();
    nm_results_run other = run;
    other.planner = "other";
    const int64_t id = begin(results, &run), beside = begin(results, &other);
    nm_results_row row = done_row();
    must(nm_results_begin(results, error));
    for (int i = 0; i < 700; ++i) { // more than one block
        row.scene = 1 + (i * 263) % 700;
        must(nm_results_put(results, id, &row, error));
    }
    row.scene = 5;
    row.episode.score.score = 0.5; // in the place of the one there
    must(nm_results_put(results, id, &row, error));
    must(nm_results_put(results, beside, &row, error));
    must(nm_results_commit(results, error));
    must(nm_results_begin(results, error));
    row.scene = 1000;
    must(nm_results_put(results, id, &row, error));
    assert_true(nm_results_has(results, id, 1000));
    nm_results_rollback(results);
    nm_results_row *rows;
    assert_int_equal(read_rows(results, id, arena, &rows), 700);
    for (int i = 0; i < 700; ++i) assert_int_equal(rows[i].scene, i + 1);
    assert_true(rows[4].episode.score.score == 0.5 && rows[5].episode.score.score == 0.875);
    uint64_t hash = 0;
    assert_true(nm_results_find(results, id, 700, &hash) && hash == row.scene_hash);
    assert_false(nm_results_has(results, id, 1000));
    assert_false(nm_results_has(results, beside, 6));
    const int64_t wanted[] = {0, 3, 4, 650, 9000};
    assert_int_equal(nm_results_select(rows, 700, wanted, 5), 3);
    assert_true(rows[0].scene == 3 && rows[1].scene == 4 && rows[2].scene == 650);
    assert_int_equal(nm_results_select(rows, 3, NULL, 0), 0);
    // what is open when the file is closed is rolled back
    must(nm_results_begin(results, error));
    must(nm_results_put(results, id, &row, error));
    nm_results_close(results);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM episode"), 701);
    nm_arena_destroy(arena);
    folder_remove(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_file_of_results_is_refused),
        cmocka_unit_test(newer_and_damaged_files_are_refused),
        cmocka_unit_test(a_file_says_what_it_is),
        cmocka_unit_test(a_run_is_the_same_in_everything),
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(older_files_are_brought_up_to_date),
        cmocka_unit_test(damaged_older_files_are_refused),
        cmocka_unit_test(what_has_no_value_is_null),
        cmocka_unit_test(hostile_rows_are_read),
        cmocka_unit_test(hostile_numbers_read_as_absent),
        cmocka_unit_test(a_run_is_forgotten_with_all_it_has),
        cmocka_unit_test(a_run_that_two_begin_is_one),
        cmocka_unit_test(many_rows_in_order_and_transactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
