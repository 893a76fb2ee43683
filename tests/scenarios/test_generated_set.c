/// How generated scenes came about: what goes into the store with them, older stores, what is counted, the data sheet.
#include "store_support.h"

#include "scenarios/set_stats.h"

static nm_error failure;

static const nm_generation_run request = {
    .parameters = "{\"kind\": [\"cut_in\", \"chain_brake\"], \"gap\": [3, 8]}",
    .command = "nearmiss generate --hours 1 --seed 7",
    .program = "nearmiss test",
    .seed = UINT64_C(0xFEDCBA9876543210),
};

/// Puts scene `seed` with an event of `found`, asked for as `kind`.
static int64_t put_made(nm_store *store, int64_t run, uint64_t seed, nm_kind kind, nm_kind found, double asked,
                        double got, float ttc) {
    char requested[64], achieved[64];
    snprintf(requested, sizeof requested, "{\"gap\": %g, \"note\": \"text\"}", asked);
    snprintf(achieved, sizeof achieved, "{\"gap\": %g}", got);
    nm_generated row = {.generation = run,
                        .kind = kind,
                        .generator = "manoeuvre",
                        .severity = seed % 2 ? "near_miss" : "collision",
                        .label = seed < 10 && seed != 1 ? "unavoidable"
                                 : seed == 12           ? "no_conflict"
                                                        : "avoidable",
                        .requested = requested,
                        .achieved = achieved,
                        .verdicts = "{\"on_road\": {\"ok\": true}}"};
    nm_event event = {.kind = found, .actor = 0, .other = NM_NONE, .severity = 0.5f, .min_ttc = ttc};
    nm_scene_criticality criticality = {.min_ttc = ttc, .collision_count = seed % 2 ? 0 : 1};
    int64_t id = put_random(store, seed);
    must(nm_store_put_events(store, id, &event, 1, &criticality, NULL, "{}", error));
    must(nm_store_put_generated(store, id, &row, error));
    return id;
}

/// Forty scenes asked for, gap 3 to 8: 30 cut-ins, of which 27 are found, and 10 chain brakings; 60 attempts.
static int64_t make_set(nm_store *store) {
    int64_t run = 0;
    uint64_t attempts = 1;
    must(nm_store_begin(store, error));
    put_random(store, 1000); // a scene of the log: not of the set
    must(nm_store_begin_generation(store, &request, &run, &attempts, error));
    assert_int_equal(attempts, 0);
    for (uint64_t i = 0; i < 40; i++) {
        nm_kind kind = i < 30 ? NM_KIND_CUT_IN : NM_KIND_CHAIN_BRAKE;
        double asked = 3 + 5.0 * (double)(i % 30) / 29;
        put_made(store, run, i, kind, i >= 27 && i < 30 ? NM_KIND_TAILGATE : kind, asked, asked + (i == 0 ? -1 : 0.1),
                 i == 5 ? INFINITY : (float)i * 0.2f);
        must(nm_store_count_attempts(store, run, kind, "manoeuvre", NM_ATTEMPT_KEPT, 1, error));
    }
    must(nm_store_count_attempts(store, run, NM_KIND_CUT_IN, "manoeuvre", "off_road", 12, error));
    must(nm_store_count_attempts(store, run, NM_KIND_CUT_IN, "manoeuvre", "off_road", 3, error));
    must(nm_store_count_attempts(store, run, NM_KIND_CHAIN_BRAKE, "resample", "overlap | at start", 5, error));
    must(nm_store_commit(store, error));
    return run;
}

// --- the store -------------------------------------------------------------------------------------------------------

static void test_rows_come_back(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    int64_t run = make_set(store);
    nm_arena *arena = nm_arena_create(0);
    nm_generated row;
    must(nm_store_get_generated(store, 2, arena, &row, error)); // scene 1 is the log's
    assert_int_equal(row.generation, run);
    assert_int_equal(row.kind, NM_KIND_CUT_IN);
    assert_string_equal(row.generator, "manoeuvre");
    assert_string_equal(row.severity, "collision");
    assert_string_equal(row.label, "unavoidable");
    assert_string_equal(row.requested, "{\"gap\": 3, \"note\": \"text\"}");
    assert_string_equal(row.achieved, "{\"gap\": 2}");
    assert_string_equal(row.verdicts, "{\"on_road\": {\"ok\": true}}");
    assert_int_equal(nm_store_get_generated(store, 1, arena, &row, &failure), NM_E_NOT_FOUND);
    assert_int_equal(nm_store_get_generated(store, 999, arena, &row, &failure), NM_E_NOT_FOUND);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM generated_scenes WHERE confirmed"), 37);
    assert_int_equal(sql_integer(f.store, "SELECT attempts FROM yields WHERE kind = 'cut_in'"), 45);
    must(nm_store_delete_scene(store, 2, error)); // and nothing is left behind
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM generated"), 39);
    uint64_t findings = 1;
    must(nm_store_check(store, 1, NULL, NULL, &findings, error));
    assert_int_equal(findings, 0);
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

static void test_what_is_refused(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    int64_t run = 0, id = put_random(store, 1), again;
    nm_generation_run bad = request;
    bad.parameters = "{gap";
    assert_int_equal(nm_store_begin_generation(store, &bad, &run, NULL, &failure), NM_E_FORMAT);
    must(nm_store_begin_generation(store, &request, &run, NULL, error));
    nm_generated row = {.generation = run, .kind = NM_KIND_CUT_IN, .generator = "resample", .requested = "[1,"};
    assert_int_equal(nm_store_put_generated(store, id, &row, &failure), NM_E_FORMAT);
    row.requested = NULL;
    assert_int_equal(nm_store_put_generated(store, 99, &row, &failure), NM_E_NOT_FOUND);
    row.generation = 99;
    assert_int_equal(nm_store_put_generated(store, id, &row, &failure), NM_E_NOT_FOUND);
    row.generation = run;
    must(nm_store_put_generated(store, id, &row, error));
    assert_int_equal(nm_store_put_generated(store, id, &row, &failure), NM_E_EXISTS);
    assert_non_null(strstr(failure.message, "scene 1 "));
    assert_int_equal(nm_store_count_attempts(store, 99, NM_KIND_CUT_IN, "x", "y", 1, &failure), NM_E_FORMAT);
    assert_int_equal(nm_store_end_generation(store, 99, &failure), NM_E_NOT_FOUND);
    // a scene and what it was for go in together or not at all
    const nm_scene *scene = random_scene(2);
    must(nm_store_begin(store, error));
    must(nm_store_put_scene(store, scene, &again, error));
    must(nm_store_put_generated(store, again, &row, error));
    nm_store_rollback(store);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM scene"), 1);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM generated"), 1);
    nm_scene_destroy(scene);
    nm_store_close(store);
    store = open_store(f.store, NM_STORE_READ);
    assert_int_equal(nm_store_begin_generation(store, &request, &run, NULL, &failure), NM_E_ARGUMENT);
    nm_store_close(store);
    folder_remove(&f);
}

static void test_going_on(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    int64_t run = make_set(store), other;
    uint64_t attempts;
    must(nm_store_begin_generation(store, &request, &other, &attempts, error)); // stopped before: the same one
    assert_int_equal(other, run);
    assert_int_equal(attempts, 60);
    nm_generation_run different = request;
    different.command = "nearmiss generate --seed 7 --hours 1.0"; // the same, spelled differently
    must(nm_store_begin_generation(store, &different, &other, &attempts, error));
    assert_true(other == run && attempts == 60);
    different.seed = 8;
    must(nm_store_begin_generation(store, &different, &other, &attempts, error));
    assert_int_not_equal(other, run);
    assert_int_equal(attempts, 0);
    must(nm_store_end_generation(store, run, error));
    assert_int_equal(nm_store_end_generation(store, run, &failure), NM_E_NOT_FOUND); // once
    must(nm_store_begin_generation(store, &request, &other, &attempts, error));      // a finished one is done again
    assert_int_not_equal(other, run);
    assert_int_equal(attempts, 0);
    nm_store_close(store);
    folder_remove(&f);
}

// --- stores of version 1 ---------------------------------------------------------------------------------------------

static void make_version_1(const char *path) {
    FILE *file = fopen(NM_SOURCE_DIR "/tests/scenarios/schema-1.sql", "rb");
    assert_non_null(file);
    static char text[65536];
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    sql(path, text);
    char mark[400];
    snprintf(mark, sizeof mark,
             "PRAGMA application_id = %d; PRAGMA user_version = 1; PRAGMA journal_mode = WAL; INSERT INTO meta (name, "
             "value) VALUES ('schema_version', 1), ('program', 'old'), ('like_scale', 100), ('created_utc', "
             "'2025-01-31T12:00:00Z'); INSERT INTO kind (id, name, definition) VALUES (0, 'cut_in', 'as it was')",
             NM_STORE_APPLICATION_ID);
    sql(path, mark);
}

static void test_version_1_is_read_and_migrated(void **state) {
    (void)state;
    folder f = folder_make();
    make_version_1(f.store);
    nm_store *store = open_store(f.store, NM_STORE_READ); // as it is
    nm_arena *arena = nm_arena_create(0);
    nm_store_stats totals;
    nm_set_stats stats;
    nm_generated row;
    must(nm_store_get_stats(store, &totals, error));
    must(nm_set_stats_read(store, arena, &stats, error));
    assert_int_equal(stats.scenes, 0);
    assert_int_equal(nm_store_get_generated(store, 1, arena, &row, &failure), NM_E_NOT_FOUND);
    nm_store_close(store);
    assert_int_equal(sql_integer(f.store, "PRAGMA user_version"), 1);
    store = open_store(f.store, NM_STORE_WRITE);
    assert_int_equal(sql_integer(f.store, "PRAGMA user_version"), NM_STORE_SCHEMA);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM kind"), NM_KIND_COUNT);
    make_set(store);
    nm_store_close(store);
    // it is what a new store is, statement by statement
    folder fresh = folder_make();
    nm_store_close(open_store(fresh.store, NM_STORE_CREATE));
    char both[512];
    snprintf(
        both, sizeof both,
        "ATTACH '%s' AS fresh; CREATE TEMP TABLE d AS SELECT type, name, sql FROM main.sqlite_schema EXCEPT SELECT "
        "type, name, sql FROM fresh.sqlite_schema; INSERT INTO d SELECT type, name, sql FROM fresh.sqlite_schema "
        "EXCEPT SELECT type, name, sql FROM main.sqlite_schema; CREATE TABLE differences AS SELECT * FROM d",
        fresh.store);
    sql(f.store, both);
    assert_int_equal(sql_integer(f.store, "SELECT count(*) FROM differences"), 0);
    assert_true(sql_integer(fresh.store, "SELECT count(*) FROM sqlite_schema") > 30);
    nm_arena_destroy(arena);
    folder_remove(&f);
    folder_remove(&fresh);
}

// --- what is counted -------------------------------------------------------------------------------------------------

static void test_counts(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    int64_t run = make_set(store);
    nm_arena *arena = nm_arena_create(0);
    nm_set_stats stats;
    must(nm_set_stats_read(store, arena, &stats, error));
    assert_int_equal(stats.scenes, 40);
    assert_int_equal(stats.mined, 40);
    assert_int_equal(stats.collisions, 20);
    assert_true(stats.hours * 3600 >= 40 * stats.duration_low && stats.hours * 3600 <= 40 * stats.duration_high);
    assert_int_equal(stats.run_count, 1);
    assert_int_equal(stats.runs[0].id, run);
    assert_true(stats.runs[0].seed == request.seed && stats.runs[0].attempts == 60 && stats.runs[0].kept == 40);
    assert_string_equal(stats.runs[0].command, request.command);
    assert_string_equal(stats.runs[0].finished, "");
    assert_int_equal(stats.group_count, 7); // two kinds, each with two severities; other labels of cut-ins
    uint64_t scenes = 0, confirmed = 0;
    for (size_t i = 0; i < stats.group_count; i++) {
        scenes += stats.groups[i].scenes;
        confirmed += stats.groups[i].confirmed;
    }
    assert_true(scenes == 40 && confirmed == 37);
    assert_int_equal(stats.detected[NM_KIND_CUT_IN][NM_KIND_CUT_IN], 27);
    assert_int_equal(stats.detected[NM_KIND_CUT_IN][NM_KIND_TAILGATE], 3);
    assert_int_equal(stats.detected[NM_KIND_CHAIN_BRAKE][NM_KIND_CHAIN_BRAKE], 10);
    assert_int_equal(stats.yield_count, 3);
    assert_true(stats.yields[0].kind == NM_KIND_CUT_IN && stats.yields[0].attempts == 45 && stats.yields[0].kept == 30);
    assert_int_equal(stats.reject_count, 2);
    assert_string_equal(stats.rejects[0].reason, "off_road");
    assert_int_equal(stats.rejects[0].count, 15);
    // times to collision: i * 0.2 s for i = 0 ... 39 but 5; bins of 0.25 s
    assert_int_equal(stats.ttc[0], 2);
    assert_int_equal(stats.ttc[1], 1);
    assert_int_equal(stats.ttc[4], 1); // 1.0 is not there, 1.2 is
    assert_int_equal(stats.ttc_none, 1);
    assert_int_equal(stats.ttc_above, 15); // 5 s and more: i = 25 ... 39
    uint64_t sum = stats.ttc_above + stats.ttc_none;
    for (int i = 0; i < NM_SET_TTC_BINS; i++) sum += stats.ttc[i];
    assert_int_equal(sum, 40);
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

static void test_parameters(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    make_set(store);
    nm_arena *arena = nm_arena_create(0);
    nm_set_stats stats;
    must(nm_set_stats_read(store, arena, &stats, error));
    assert_int_equal(stats.parameter_count, 2); // the gap of both kinds; the note is no number
    const nm_set_parameter *gap = &stats.parameters[0];
    assert_int_equal(gap->kind, NM_KIND_CUT_IN);
    assert_string_equal(gap->name, "gap");
    assert_int_equal(gap->requested, 30);
    assert_int_equal(gap->achieved, 30);
    assert_true(gap->low == 3 && gap->high == 8);
    assert_true(gap->achieved_low == 2 && fabs(gap->achieved_high - 8.1) < 1e-9);
    assert_true(fabs(gap->achieved_median - 5.6) < 1e-4); // 5.5 asked for, 0.1 more achieved
    assert_int_equal(gap->outside, 2);                    // 2 and 8.1
    uint64_t sum = gap->outside;
    for (int i = 0; i < NM_SET_PARAMETER_BINS; i++) {
        assert_true(gap->bins[i] >= 2 && gap->bins[i] <= 4);
        sum += gap->bins[i];
    }
    assert_int_equal(sum, 30);
    // steps of 5/29 = 0.172 are larger than 0.1: the achieved one lies behind by one of 30, and 2 before all
    assert_true(fabs(gap->ks - 1.0 / 30) < 1e-9);
    const nm_set_parameter *chain = &stats.parameters[1];
    assert_true(chain->kind == NM_KIND_CHAIN_BRAKE && chain->requested == 10);
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

static void test_ranges_of_the_runs(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    make_set(store);
    nm_arena *arena = nm_arena_create(0);
    nm_set_stats stats;
    sql(f.store, "UPDATE generation SET parameters = '{\"kinds\": [7, \"text\", {\"kind\": \"cut_in\", \"near_miss\": "
                 "{\"gap\": [2, 12], \"speed\": 3}, \"collision\": {\"gap\": [1, 7]}}, {\"kind\": \"chain_brake\", "
                 "\"near_miss\": {\"gap\": [4, 4]}, \"collision\": 5}]}'");
    must(nm_set_stats_read(store, arena, &stats, error));
    const nm_set_parameter *gap = &stats.parameters[0];
    assert_true(gap->low == 1 && gap->high == 12 && gap->achieved_low == 2); // of both severities
    assert_int_equal(gap->outside, 0);
    assert_true(gap->bins[0] == 1 && gap->bins[9] == 0); // 2; 8.1 is the largest
    assert_true(nm_set_covered(gap) == 60);              // one in 1 ... 2.1, the others in 3.1 ... 8.1
    assert_true(stats.parameters[1].low == 4 && stats.parameters[1].high == 4);
    assert_true(isnan(nm_set_covered(&stats.parameters[1]))); // of a single value there are no tenths
    sql(f.store,
        "UPDATE generated SET severity = 'near_miss' WHERE kind = (SELECT id FROM kind WHERE name = 'cut_in')");
    must(nm_set_stats_read(store, arena, &stats, error));
    assert_true(stats.parameters[0].low == 2 && stats.parameters[0].high == 12);
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

/// The statistic against the distribution that was asked for, computed by hand.
static void test_distributions(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    make_set(store);
    nm_arena *arena = nm_arena_create(0);
    nm_set_stats stats;
    // ten chain brakings: gap 3 + i 5/29 for i = 0 ... 9, of [3, 8] the first 1/3; achieved 0.1 more
    sql(f.store,
        "UPDATE generation SET parameters = '{\"sampling\": \"uniform\", \"kinds\": [{\"kind\": \"chain_brake\","
        "\"near_miss\": {\"gap\": [3, 8]}, \"collision\": {\"gap\": [3, 8]}}]}'");
    must(nm_set_stats_read(store, arena, &stats, error));
    const nm_set_parameter *gap = &stats.parameters[1];
    assert_int_equal(gap->kind, NM_KIND_CHAIN_BRAKE);
    assert_true(fabs(gap->ks - (1 - (9.0 / 29 + 0.1 / 5))) < 1e-5); // 1 at the last, which is to be of 8 m
    // half of the scenes are near misses: the mixture of two ranges, of which the lower holds all that was achieved
    sql(f.store, "UPDATE generation SET parameters = '{\"kinds\": [{\"kind\": \"chain_brake\","
                 "\"near_miss\": {\"gap\": [3, 8]}, \"collision\": {\"gap\": [20, 30]}}]}'");
    must(nm_set_stats_read(store, arena, &stats, error));
    assert_true(stats.parameters[1].low == 3 && stats.parameters[1].high == 30);
    assert_true(fabs(stats.parameters[1].ks - (1 - 0.5 * (9.0 / 29 + 0.1 / 5))) < 1e-5);
    // cut-ins, which have a gap: the smaller the more dangerous, so that 1 - (1 - u)^2 lie below the share u
    sql(f.store, "UPDATE generation SET parameters = '{\"kinds\": [{\"kind\": \"cut_in\", \"sampling\": \"critical\","
                 "\"near_miss\": {\"gap\": [3, 8]}, \"collision\": {\"gap\": [3, 8]}}]}'");
    must(nm_set_stats_read(store, arena, &stats, error));
    double most = 0;
    for (int i = 1; i < 30; i++) { // achieved: 2, and 3.1 + 5 i / 29
        const double u = fmin(0.02 + i / 29.0, 1), at = 1 - (1 - u) * (1 - u);
        most = fmax(most, fmax(fabs(at - i / 30.0), fabs(at - (i + 1) / 30.0)));
    }
    assert_true(most > 0.2 && fabs(stats.parameters[0].ks - most) < 1e-5);
    // a lattice of five values: 3, 4.25, 5.5, ...; at 3.1 + 5 (7/29) = 4.307 eight lie at or below it, wanted are 2 of
    // 5
    sql(f.store, "UPDATE generation SET parameters = '{\"kinds\": [{\"kind\": \"cut_in\", \"sampling\": \"grid\","
                 "\"near_miss\": {\"gap\": [3, 8]}, \"collision\": {\"gap\": [3, 8]}}]}'");
    must(nm_set_stats_read(store, arena, &stats, error));
    most = 0;
    for (int i = 0; i < 30; i++) {
        const double at = i ? 3.1 + 5.0 * i / 29 : 2, step = (at - 3) / 1.25;
        const double below = fmin(fmax(ceil(step), 0), 5) / 5, upto = fmin(fmax(floor(step) + 1, 0), 5) / 5;
        most = fmax(most, fmax(fabs(below - i / 30.0), fabs(upto - (i + 1) / 30.0)));
    }
    assert_true(most > 0.1 && fabs(stats.parameters[0].ks - most) < 1e-5);
    // what is asked for as a range alone
    sql(f.store, "UPDATE generated SET achieved = json_set(achieved, '$.min_ttc', 0.5 + scene / 100.0) WHERE kind = "
                 "(SELECT id FROM kind WHERE name = 'cut_in')");
    sql(f.store, "UPDATE generation SET parameters = '{\"kinds\": [{\"kind\": \"cut_in\","
                 "\"near_miss\": {\"min_ttc\": [0.5, 1.5]}, \"collision\": {\"min_ttc\": [0.5, 1.5]}}]}'");
    must(nm_set_stats_read(store, arena, &stats, error));
    assert_int_equal(stats.parameter_count, 3);
    const nm_set_parameter *ttc = &stats.parameters[1];
    assert_string_equal(ttc->name, "min_ttc");
    assert_true(ttc->requested == 0 && ttc->achieved == 30 && ttc->low == 0.5 && ttc->high == 1.5);
    assert_true(fabs(ttc->ks - (1 - 0.31)) < 1e-9); // scenes 2 ... 31
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

/// Who is the ego and who the adversary is in the scenes' own parameters.
static void test_confusion(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    make_set(store);
    nm_arena *arena = nm_arena_create(0);
    nm_set_stats stats;
    must(nm_set_stats_read(store, arena, &stats, error));
    uint64_t scenes = 1;
    assert_true(isnan(nm_set_right(&stats, NM_KIND_CUT_IN, &scenes)) && scenes == 0); // no roles are named
    sql(f.store,
        "DROP TRIGGER scene_update;"
        "UPDATE scene SET parameters = '{\"kind\":\"cut_in\",\"roles\":{\"ego\":3,\"adversary\":0,\"other\":5}}';"
        "UPDATE event SET other_track = 3;"
        // scene 2: roles the wrong way round; 3: with somebody else; 4: none; 5: only a near miss
        "UPDATE event SET actor_track = 3, other_track = 0 WHERE scene = 2;"
        "UPDATE event SET other_track = 4 WHERE scene = 3;"
        "DELETE FROM event WHERE scene = 4;"
        "UPDATE event SET kind = (SELECT id FROM kind WHERE name = 'near_miss') WHERE scene = 5;"
        // 6: no roles; 7: they are no numbers; 8: the actor of wrong_way is named alone
        "UPDATE scene SET parameters = '{}' WHERE id = 6;"
        "UPDATE scene SET parameters = '{\"roles\":{\"ego\":\"x\",\"adversary\":-1}}' WHERE id = 7;"
        "UPDATE event SET kind = (SELECT id FROM kind WHERE name = 'wrong_way'), other_track = NULL WHERE scene = 8;"
        // 9: head_on besides; 10: a more severe tailgate instead of it
        "INSERT INTO event (scene, kind, first_step, last_step, critical_step, actor_track, other_track, severity) "
        "SELECT 9, id, 0, 1, 1, 3, 0, 0.1 FROM kind WHERE name = 'head_on';"
        "UPDATE event SET kind = (SELECT id FROM kind WHERE name = 'hard_brake') WHERE scene = 10;"
        "INSERT INTO event (scene, kind, first_step, last_step, critical_step, actor_track, other_track, severity) "
        "SELECT 10, id, 0, 1, 1, 3, 0, 0.9 FROM kind WHERE name = 'tailgate';");
    must(nm_set_stats_read(store, arena, &stats, error));
    const uint64_t *row = stats.confusion[NM_KIND_CUT_IN], *also = stats.also[NM_KIND_CUT_IN];
    const double right = nm_set_right(&stats, NM_KIND_CUT_IN, &scenes);
    assert_int_equal(scenes, 28);                      // 30 but 6 and 7
    assert_int_equal(row[NM_KIND_CUT_IN], 28 - 3 - 6); // three were made as tailgates; 2, 3, 4, 5, 8, 10
    assert_true(fabs(right - 100.0 * 19 / 28) < 1e-9);
    assert_int_equal(row[NM_KIND_COUNT], 3); // 2, 3 and 4
    assert_int_equal(row[NM_KIND_NEAR_MISS], 1);
    assert_int_equal(row[NM_KIND_WRONG_WAY], 1);
    assert_int_equal(row[NM_KIND_TAILGATE], 4);
    assert_int_equal(row[NM_KIND_HARD_BRAKE], 0);
    assert_int_equal(also[NM_KIND_HEAD_ON], 1);
    assert_int_equal(also[NM_KIND_HARD_BRAKE], 1);
    assert_int_equal(also[NM_KIND_TAILGATE], 4);
    assert_int_equal(also[NM_KIND_CUT_IN], 0);
    assert_int_equal(nm_set_not_found(&stats, NM_KIND_CUT_IN), 0);
    sql(f.store, "INSERT INTO attempt SELECT generation, kind, 'resample', 'not_found', 4 FROM attempt WHERE reason = "
                 "'off_road'; INSERT INTO attempt SELECT generation, kind, 'manoeuvre', 'not_found', 3 FROM attempt "
                 "WHERE reason = 'off_road'");
    must(nm_set_stats_read(store, arena, &stats, error));
    assert_int_equal(nm_set_not_found(&stats, NM_KIND_CUT_IN), 7);
    assert_int_equal(nm_set_not_found(&stats, NM_KIND_CHAIN_BRAKE), 0);
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

static const nm_set_quality *quality(const nm_set_stats *stats, nm_kind kind, const char *generator) {
    for (size_t i = 0; i < stats->quality_count; i++)
        if (stats->qualities[i].kind == kind && strcmp(stats->qualities[i].generator, generator) == 0)
            return &stats->qualities[i];
    fail_msg("nothing is said of %s", generator);
    return NULL;
}

static void test_qualities(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    make_set(store);
    nm_arena *arena = nm_arena_create(0);
    nm_set_stats stats;
    // chain brakings (scenes 32 to 41) by resample; of the cut-ins (2 to 31) 20 have a verdict, of which 2 are no
    // numbers
    sql(f.store,
        "UPDATE generated SET generator = 'resample' WHERE scene > 31;"
        "UPDATE generated SET verdicts = json_object('verdicts', json_object('realism', json_object('result', "
        "'pass', 'value', scene / 10.0))) WHERE scene <= 21;"
        "UPDATE generated SET verdicts = json_set(verdicts, '$.verdicts.realism.value', 'x') WHERE scene = 20;"
        "UPDATE generated SET verdicts = json_set(verdicts, '$.verdicts.realism.value', 1e300) WHERE scene = 21;"
        "UPDATE generated SET verdicts = json_object('verdicts', json_object('realism', json_object('result', "
        "'unjudged', 'value', 0))) WHERE scene > 31;"
        // features: 128 bytes of zeros but in scenes 3 and 4, whose first number is 4, and 5, which is cut short
        "UPDATE criticality SET feature = zeroblob(128);"
        "UPDATE criticality SET feature = x'00008040' || zeroblob(124) WHERE scene IN (3, 4);"
        "UPDATE criticality SET feature = zeroblob(12) WHERE scene = 5;"
        "UPDATE criticality SET feature = NULL WHERE scene > 32;");
    must(nm_set_stats_read(store, arena, &stats, error));
    assert_int_equal(stats.quality_count, 4);
    const nm_set_quality *cut_in = quality(&stats, NM_KIND_CUT_IN, "manoeuvre");
    assert_true(cut_in->scenes == 30 && cut_in->near_misses == 15 && cut_in->collisions == 15);
    assert_true(cut_in->realism_scenes == 18 && fabs(cut_in->realism - 1.05) < 1e-9); // 0.2 ... 1.9
    // 29 features, 2 of them 4 away from the other 27
    assert_true(fabs(cut_in->diversity - 4.0 * 2 * 27 / (29 * 28 / 2)) < 1e-6);
    // least times to collision 0.2 i for i = 0 ... 29 but 5: the middle of 29 is that of i = 15
    assert_true(fabs(cut_in->min_ttc - 3.0) < 1e-5);
    const nm_set_quality *chain = quality(&stats, NM_KIND_CHAIN_BRAKE, "resample");
    assert_true(chain->realism_scenes == 0 && isnan(chain->realism) && isnan(chain->diversity));
    assert_true(fabs(chain->min_ttc - 6.9) < 1e-5); // i = 30 ... 39
    const nm_set_quality *all = quality(&stats, NM_KIND_COUNT, "manoeuvre");
    assert_true(all->scenes == 30 && all->realism == cut_in->realism && all->diversity == cut_in->diversity);
    assert_true(all->min_ttc == cut_in->min_ttc && all->unavoidable == 9);
    assert_int_equal(quality(&stats, NM_KIND_COUNT, "resample")->scenes, 10);
    // where both generators make a kind each is by itself
    sql(f.store, "UPDATE generated SET generator = 'resample' WHERE scene IN (2, 3)");
    must(nm_set_stats_read(store, arena, &stats, error));
    assert_true(fabs(quality(&stats, NM_KIND_CUT_IN, "resample")->diversity - 4.0) < 1e-9);
    assert_true(fabs(quality(&stats, NM_KIND_COUNT, "resample")->diversity - 4.0) < 1e-9);
    assert_int_equal(stats.reason_count, 2);
    assert_string_equal(stats.reasons[0].reason, "off_road");
    assert_int_equal(stats.reasons[0].count, 15);
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

static uint64_t scenes_from(const nm_set_stats *stats, const char *parent) {
    uint64_t scenes = 0;
    for (size_t i = 0; i < stats->source_count; i++)
        if (strcmp(stats->sources[i].parent, parent) == 0) scenes += stats->sources[i].scenes;
    return scenes;
}

static void test_sources(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    make_set(store);
    nm_store_close(store);
    sql(f.store, "DROP TRIGGER scene_update;"
                 "UPDATE scene SET parameters = '{\"parent_source\": \"builtin\"}' WHERE id "
                 "IN (2, 3, 4);"
                 "UPDATE scene SET parameters = '{\"parent_source' WHERE id = 5;"
                 "UPDATE scene SET parent_hash = (SELECT content_hash FROM scene WHERE id = 1) WHERE id = 4");
    store = open_store(f.store, NM_STORE_READ);
    nm_arena *arena = nm_arena_create(0);
    nm_set_stats stats;
    must(nm_set_stats_read(store, arena, &stats, error));
    assert_int_equal(scenes_from(&stats, "builtin"), 2); // the parent of scene 4 is there, and of womd
    assert_int_equal(scenes_from(&stats, "womd"), 1);
    assert_int_equal(scenes_from(&stats, ""), 37);
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

static void test_nothing_generated(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    put_random(store, 3);
    nm_arena *arena = nm_arena_create(0);
    nm_set_stats stats;
    must(nm_set_stats_read(store, arena, &stats, error));
    assert_true(stats.scenes == 0 && stats.run_count == 0 && stats.group_count == 0 && isnan(stats.duration_low));
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

/// What a store that others wrote may say, past the checks of its tables.
static void test_hostile_rows(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    make_set(store);
    nm_store_close(store);
    sql(f.store, "PRAGMA ignore_check_constraints = 1;"
                 "UPDATE generated SET achieved = '{\"gap\": -1e308}' WHERE scene = 2;"
                 "UPDATE generated SET achieved = '{\"gap\": 1e308}', requested = '{\"gap\": 1e308}' WHERE scene = 3;"
                 "UPDATE generated SET requested = '{\"gap\": -1e308}' WHERE scene = 4;"
                 "UPDATE generated SET achieved = '{\"gap' WHERE scene = 5;"
                 "UPDATE generated SET requested = '[1,' WHERE scene = 6;"
                 "UPDATE generated SET achieved = '{\"gap\": 1e999}' WHERE scene = 7;"
                 "UPDATE attempt SET count = -1 WHERE reason = 'off_road';"
                 "UPDATE attempt SET count = 9223372036854775807 WHERE reason <> 'off_road'");
    store = open_store(f.store, NM_STORE_READ);
    nm_arena *arena = nm_arena_create(0);
    nm_set_stats stats;
    must(nm_set_stats_read(store, arena, &stats, error));
    const nm_set_parameter *gap = &stats.parameters[0];
    assert_int_equal(gap->requested, 27); // but scenes 3, 4 and 6
    assert_int_equal(gap->achieved, 25);  // but 2, 3, 5, 6 and 7
    assert_true(gap->low == 3 && gap->high == 8 && gap->achieved_low > 3 && gap->achieved_high < 8.2);
    assert_true(isfinite(gap->achieved_median) && gap->ks >= 0 && gap->ks <= 1);
    uint64_t sum = gap->outside;
    for (int i = 0; i < NM_SET_PARAMETER_BINS; i++) sum += gap->bins[i];
    assert_int_equal(sum, 25);
    const uint64_t most = UINT64_C(1) << 53;
    assert_int_equal(stats.scenes, 40);
    assert_true(stats.runs[0].seed == request.seed); // every number is one
    assert_true(stats.runs[0].attempts == most && stats.runs[0].kept == most);
    assert_int_equal(stats.yield_count, 3);
    assert_true(stats.yields[0].attempts == most && stats.yields[0].kept == most);
    assert_int_equal(stats.reject_count, 2);
    assert_true(stats.rejects[0].count == most && stats.rejects[1].count == 0);
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

// --- the data sheet --------------------------------------------------------------------------------------------------

static void expect_text(const char *sheet, const char *text) {
    if (!strstr(sheet, text)) fail_msg("the data sheet lacks: %s\n%s", text, sheet);
}

static void test_data_sheet(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    make_set(store);
    nm_arena *arena = nm_arena_create(0);
    nm_set_stats stats;
    must(nm_set_stats_read(store, arena, &stats, error));
    char path[128];
    static char sheet[65536];
    snprintf(path, sizeof path, "%s/sheet.md", f.path);
    must(nm_data_sheet_write(&stats, "corner\ncases", "plots", path, error));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    sheet[fread(sheet, 1, sizeof sheet - 1, file)] = '\0';
    fclose(file);
    expect_text(sheet, "# Data sheet: corner\\ncases\n");
    expect_text(sheet, "| scenes | 40 |");
    expect_text(sheet, "| unavoidable for a reference driver, near misses asked for | 4 |");
    expect_text(sheet, "| unavoidable for a reference driver, collisions asked for | 5 |");
    assert_null(strstr(sheet, "of any severity"));
    expect_text(sheet, "acts 1.15 s after the danger shows");
    expect_text(sheet, "| cut_in | manoeuvre | collision | no_conflict | 1 |");
    expect_text(sheet, "| kept of them | 40 (66.7 %) |");
    expect_text(sheet, "    nearmiss generate --hours 1 --seed 7\n");
    expect_text(sheet, "nearmiss test, seed 18364758544493064720, begun ");
    expect_text(sheet, "| womd | - |");
    expect_text(sheet, "not for commercial use");
    expect_text(sheet, "| cut_in | manoeuvre | 45 | 30 | 66.7 |");
    expect_text(sheet, "| resample | overlap \\| at start | 5 |"); // no cell is ended
    expect_text(sheet, "| cut_in | gap | 30 | 3.00 | 8.00 | 2.00 | 5.60 | 8.10 | 2 | 100 | 0.033 |");
    expect_text(sheet, "| 0.00 to 0.25 | 2 |");
    expect_text(sheet, "| all | manoeuvre | 40 | 20 | 20 | 9 |");
    expect_text(sheet, "| cut_in | manoeuvre | off_road | 15 |");
    expect_text(sheet, "![Distances of distributions](<plots/distributions.png>)");
    expect_text(sheet, "![Severities by generator](<plots/severities.png>)");
    assert_null(strstr(sheet, "confusion.png")); // no scene names its roles, has a verdict or a feature
    assert_null(strstr(sheet, "realism.png"));
    assert_null(strstr(sheet, "diversity.png"));
    expect_text(sheet, "![Scenes by kind](<plots/kinds.png>)");
    expect_text(sheet, "- `chain_brake`: The actor brakes hard");
    assert_null(strstr(sheet, "tailgate`:")); // only kinds that were asked for
    assert_null(strstr(sheet, "nan"));
    assert_int_equal(nm_data_sheet_write(&stats, "x", NULL, "/no/such/folder/s.md", &failure), NM_E_IO);
    assert_non_null(strstr(failure.message, "No such"));
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

static void test_data_sheet_of_hostile_texts(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    make_set(store);
    nm_arena *arena = nm_arena_create(0);
    nm_set_stats stats;
    must(nm_set_stats_read(store, arena, &stats, error));
    nm_set_run *run = &stats.runs[0];
    run->program = "p\n# p <script>p</script> \\<b>";
    run->started = "s\x1b[31m\n\n<script>s";
    run->finished = "f\n<script>f \\";
    run->command = "c\n\n<script>c";
    run->parameters = "{\"a\":\n\n\"<script>\"}";
    char path[128];
    static char sheet[65536];
    snprintf(path, sizeof path, "%s/sheet.md", f.path);
    must(nm_data_sheet_write(&stats, "t\n<script>t\x1b[0m", NULL, path, error));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    sheet[fread(sheet, 1, sizeof sheet - 1, file)] = '\0';
    fclose(file);
    expect_text(sheet, "# Data sheet: t\\n\\<script\\>t\\x1b\\[0m\n");
    expect_text(sheet, ": p\\n# p \\<script\\>p\\</script\\> \\\\\\<b\\>, seed ");
    expect_text(sheet, ", begun s\\x1b\\[31m\\n\\n\\<script\\>s, finished f\\n\\<script\\>f \\\\; ");
    expect_text(sheet, "\n\n    c\\n\\n<script>c\n"); // code: one line, and nothing in it is markup
    expect_text(sheet, "\n\n    {\"a\":\\n\\n\"<script>\"}\n");
    assert_null(strchr(sheet, '\x1b'));
    nm_arena_destroy(arena);
    nm_store_close(store);
    folder_remove(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_back),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_going_on),
        cmocka_unit_test(test_version_1_is_read_and_migrated),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_ranges_of_the_runs),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_confusion),
        cmocka_unit_test(test_qualities),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_nothing_generated),
        cmocka_unit_test(test_hostile_rows),
        cmocka_unit_test(test_data_sheet),
        cmocka_unit_test(test_data_sheet_of_hostile_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
