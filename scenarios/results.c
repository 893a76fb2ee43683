#include "scenarios/results.h"

#include <float.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scenarios/results_internal.h"
#include "schema_losses.sql.h"
#include "schema_results.sql.h"
#include "schema_results_views.sql.h"

#define APPLICATION_ID 0x6e6d6576 // "nmev"
#define SCHEMA 4
#define BUSY_MS 10000

enum { FIND_RUN = 0, PUT_RUN, RESUME, FORGET, END_RUN, HAS, PUT, ROWS, PUT_COLLISION, COLLISIONS, STATEMENT_COUNT };

#define SAME_RUN                                                                                                       \
    "planner = ?1 AND agents = ?2 AND idm = ?3 AND execution = ?4 AND seconds = ?5 AND deadline_s = ?6 AND "           \
    "seed = ?7 AND weights = ?8 AND store = ?9 AND program = ?10 AND config = ?11 AND "                                \
    "adversary = ?12"

#define METRICS                                                                                                        \
    "no_ego_at_fault_collisions, drivable_area_compliance, ego_is_making_progress, driving_direction_compliance, "     \
    "ego_progress_along_expert_route, time_to_collision_within_bound, speed_limit_compliance, ego_is_comfortable"
/// In the order of nm_ego_measure.
#define DANGER                                                                                                         \
    "sweep_ttc_s, min_thw_s, pet_s, closing_mps, max_drac_mps2, required_decel_mps2, danger_step, danger_track"
#define ADVERSARY "adversary_track, staged, met, avoidable"

/// What makes a file of schema i + 1 one of schema i + 2. Rows that are there have nothing of it. Views are made anew
/// after all of them.
static const char *const migrations[SCHEMA - 1] = {
    "ALTER TABLE episode ADD COLUMN sweep_ttc_s REAL; ALTER TABLE episode ADD COLUMN min_thw_s REAL;"
    "ALTER TABLE episode ADD COLUMN pet_s REAL; ALTER TABLE episode ADD COLUMN closing_mps REAL;"
    "ALTER TABLE episode ADD COLUMN max_drac_mps2 REAL; ALTER TABLE episode ADD COLUMN required_decel_mps2 REAL;"
    "ALTER TABLE episode ADD COLUMN danger_step INTEGER; ALTER TABLE episode ADD COLUMN danger_track INTEGER;",
    "ALTER TABLE run ADD COLUMN adversary TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE episode ADD COLUMN adversary_track INTEGER;"
    "ALTER TABLE episode ADD COLUMN staged INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE episode ADD COLUMN met INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE episode ADD COLUMN avoidable TEXT NOT NULL DEFAULT '';",
    (const char *)nm_schema_losses_sql,
};

static const char *const texts[STATEMENT_COUNT] = {
    [FIND_RUN] = "SELECT id FROM run WHERE " SAME_RUN " ORDER BY id LIMIT 1",
    [PUT_RUN] = "INSERT INTO run (planner, agents, idm, execution, seconds, deadline_s, seed, weights, store, program, "
                "config, adversary, started_utc) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13 WHERE "
                "NOT EXISTS (SELECT 1 FROM run WHERE " SAME_RUN ")", // somebody else may begin it at the same time
    [RESUME] = "UPDATE run SET finished_utc = NULL WHERE id = ?1 AND finished_utc IS NOT NULL",
    [FORGET] = "DELETE FROM episode WHERE run = ?1",
    [END_RUN] = "UPDATE run SET finished_utc = ?2 WHERE id = ?1",
    [HAS] = "SELECT scene_hash FROM episode WHERE run = ?1 AND scene = ?2",
    [PUT] = "INSERT OR REPLACE INTO episode (run, scene, scene_hash, name, type, outcome, reason, start_step, "
            "ego_track, samples, score, " METRICS ", collisions, at_fault, first_collision, collision_step, "
            "collision_track, min_ttc_s, min_distance_m, worst, worst_step, plan_mean_ms, plan_max_ms, wall_s, " DANGER
            ", " ADVERSARY
            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, "
            "?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, "
            "?41, ?42, ?43)",
    [ROWS] = "SELECT scene, scene_hash, name, type, outcome, reason, start_step, ego_track, samples, score, " METRICS
             ", collisions, at_fault, min_ttc_s, min_distance_m, worst, worst_step, plan_mean_ms, plan_max_ms, "
             "wall_s, " DANGER ", (SELECT adversary FROM run WHERE id = ?1), " ADVERSARY
             " FROM episode WHERE run = ?1 ORDER BY scene",
    [PUT_COLLISION] = "INSERT INTO collision VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [COLLISIONS] = ("SELECT scene, step, track, type, class, at_fault, energy FROM collision WHERE run = ?1 "
                    "ORDER BY scene, step, track"),
};

struct nm_results {
    sqlite3 *db;
    char path[1024];
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

static nm_status fail(const nm_results *r, int result, const char *what, nm_error *error) {
    const int code = result & 0xff;
    const nm_status status = code == SQLITE_BUSY || code == SQLITE_LOCKED      ? NM_E_BUSY
                             : code == SQLITE_NOMEM                            ? NM_E_MEMORY
                             : code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? NM_E_FORMAT
                                                                               : NM_E_IO;
    return NM_ERROR_AT(error, status, r->path, 0, -1, "%s: %s", what, sqlite3_errmsg(r->db));
}

sqlite3 *nm_results_database(nm_results *results) {
    return results->db;
}

nm_status nm_results_fail(const nm_results *results, int result, const char *what, nm_error *error) {
    return fail(results, result, what, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Opening

static int pragma(sqlite3 *db, const char *text, int64_t *value) {
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(db, text, -1, &statement, NULL);
    if (result == SQLITE_OK) result = sqlite3_step(statement);
    if (result == SQLITE_ROW) *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return result == SQLITE_ROW ? SQLITE_OK : result;
}

static nm_status check_schema(nm_results *r, int create, nm_error *error);

/// Somebody else may make the file at the same time: who comes second finds it made.
static nm_status create_schema(nm_results *r, nm_error *error) {
    int64_t objects = 0;
    int begun = sqlite3_exec(r->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (begun == SQLITE_OK) begun = pragma(r->db, "SELECT count(*) FROM sqlite_master", &objects);
    if (begun != SQLITE_OK) return fail(r, begun, "making the tables of results", error);
    if (objects > 0) {
        nm_results_rollback(r);
        return check_schema(r, 0, error);
    }
    const size_t size =
        sizeof nm_schema_results_sql + sizeof nm_schema_losses_sql + sizeof nm_schema_results_views_sql + 256;
    char *text = malloc(size);
    if (!text) return NM_ERROR(error, NM_E_MEMORY, "out of memory for results");
    snprintf(text, size,
             "%s %s %s INSERT INTO meta VALUES ('program', 'nearmiss " NM_VERSION
             "'); PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
             (const char *)nm_schema_results_sql, (const char *)nm_schema_losses_sql,
             (const char *)nm_schema_results_views_sql, APPLICATION_ID, SCHEMA);
    const int result = sqlite3_exec(r->db, text, NULL, NULL, NULL);
    free(text);
    return result == SQLITE_OK ? NM_OK : fail(r, result, "making the tables of results", error);
}

/// Brings an older file up to date, all at once or not at all. Somebody else may do so at the same time: who comes
/// second finds it done.
static nm_status migrate(nm_results *r, nm_error *error) {
    int64_t version = 0;
    char text[64];
    int result = sqlite3_exec(r->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (result == SQLITE_OK) result = pragma(r->db, "PRAGMA user_version", &version);
    if (result == SQLITE_OK && version < 1) {
        nm_results_rollback(r);
        return NM_ERROR_AT(error, NM_E_FORMAT, r->path, 0, -1, "damaged results: of no version");
    }
    for (; result == SQLITE_OK && version < SCHEMA; ++version)
        result = sqlite3_exec(r->db, migrations[version - 1], NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_exec(r->db, "DROP VIEW IF EXISTS runs; DROP VIEW IF EXISTS episodes", NULL, NULL, NULL);
    if (result == SQLITE_OK) result = sqlite3_exec(r->db, (const char *)nm_schema_results_views_sql, NULL, NULL, NULL);
    snprintf(text, sizeof text, "PRAGMA user_version = %d; COMMIT", SCHEMA);
    if (result == SQLITE_OK) result = sqlite3_exec(r->db, text, NULL, NULL, NULL);
    if (result == SQLITE_OK) return NM_OK;
    const nm_status status =
        result == SQLITE_ERROR // a table is not there, or a column already is
            ? NM_ERROR_AT(error, NM_E_FORMAT, r->path, 0, -1, "damaged results: %s", sqlite3_errmsg(r->db))
            : fail(r, result, "bringing older results up to date", error);
    nm_results_rollback(r);
    return status;
}

static nm_status check_schema(nm_results *r, int create, nm_error *error) {
    int64_t id = 0, version = 0, objects = 0;
    // one look at the file: somebody else may be making it between two
    int result = sqlite3_exec(r->db, "BEGIN", NULL, NULL, NULL);
    if (result == SQLITE_OK) result = pragma(r->db, "PRAGMA application_id", &id);
    if (result == SQLITE_OK) result = pragma(r->db, "PRAGMA user_version", &version);
    if (result == SQLITE_OK) result = pragma(r->db, "SELECT count(*) FROM sqlite_master", &objects);
    const nm_status status = result == SQLITE_OK ? NM_OK : fail(r, result, "reading the file of results", error);
    nm_results_rollback(r);
    if (status != NM_OK) return status;
    if (objects == 0 && create) return create_schema(r, error);
    if (id != APPLICATION_ID)
        return NM_ERROR_AT(error, NM_E_FORMAT, r->path, 0, -1, "this is not a file of evaluation results");
    if (version > SCHEMA)
        return NM_ERROR_AT(error, NM_E_VERSION, r->path, 0, -1, "these results were written by a newer nearmiss");
    return version < SCHEMA ? migrate(r, error) : NM_OK;
}

static nm_status prepare(nm_results *r, nm_error *error) {
    for (int i = 0; i < STATEMENT_COUNT; ++i) {
        const int result = sqlite3_prepare_v3(r->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &r->statements[i], NULL);
        if (result == SQLITE_ERROR) // it says what it is, but lacks a table or a column
            return NM_ERROR_AT(error, NM_E_FORMAT, r->path, 0, -1, "damaged results: %s", sqlite3_errmsg(r->db));
        if (result != SQLITE_OK) return fail(r, result, "preparing to read results", error);
    }
    return NM_OK;
}

nm_status nm_results_open(const char *path, int create, nm_results **results, nm_error *error) {
    *results = NULL;
    nm_results *r = calloc(1, sizeof *r);
    if (!r) return NM_ERROR(error, NM_E_MEMORY, "out of memory for results");
    snprintf(r->path, sizeof r->path, "%s", path);
    const int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
    const int result = sqlite3_open_v2(path, &r->db, flags, NULL);
    nm_status status = NM_OK;
    if (!r->db)
        status = NM_ERROR(error, NM_E_MEMORY, "out of memory for results");
    else if (result != SQLITE_OK)
        status = NM_ERROR_AT(error, (result & 0xff) == SQLITE_CANTOPEN && !create ? NM_E_NOT_FOUND : NM_E_IO, path, 0,
                             -1, "results cannot be opened: %s", sqlite3_errmsg(r->db));
    if (status == NM_OK) {
        sqlite3_busy_timeout(r->db, BUSY_MS);
        sqlite3_db_config(r->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        status = check_schema(r, create, error);
    }
    if (status == NM_OK) {
        sqlite3_exec(r->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON", NULL,
                     NULL, NULL);
        status = prepare(r, error);
    }
    if (status == NM_OK)
        *results = r;
    else
        nm_results_close(r);
    return status;
}

void nm_results_close(nm_results *r) {
    if (!r) return;
    for (int i = 0; i < STATEMENT_COUNT; ++i) sqlite3_finalize(r->statements[i]);
    sqlite3_close(r->db);
    free(r);
}

nm_status nm_results_begin(nm_results *r, nm_error *error) {
    const int result = sqlite3_exec(r->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    return result == SQLITE_OK ? NM_OK : fail(r, result, "beginning to write results", error);
}

nm_status nm_results_commit(nm_results *r, nm_error *error) {
    const int result = sqlite3_exec(r->db, "COMMIT", NULL, NULL, NULL);
    if (result == SQLITE_OK) return NM_OK;
    const nm_status status = fail(r, result, "writing results", error);
    nm_results_rollback(r);
    return status;
}

void nm_results_rollback(nm_results *r) {
    if (!sqlite3_get_autocommit(r->db)) sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
}

// ---------------------------------------------------------------------------------------------------------------------
// Runs

static void utc_now(char text[32]) {
    const time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static void bind_text(sqlite3_stmt *s, int at, const char *text) {
    sqlite3_bind_text(s, at, text ? text : "", -1, SQLITE_STATIC);
}

static sqlite3_stmt *bind_run(nm_results *r, int which, const nm_results_run *run) {
    sqlite3_stmt *s = r->statements[which];
    bind_text(s, 1, run->planner);
    bind_text(s, 2, nm_episode_agents_name(run->agents));
    bind_text(s, 3, run->idm);
    bind_text(s, 4, run->perfect ? "perfect" : "tracked");
    sqlite3_bind_double(s, 5, (double)run->seconds);
    sqlite3_bind_double(s, 6, (double)run->deadline);
    sqlite3_bind_int64(s, 7, (int64_t)run->seed);
    bind_text(s, 8, run->weights);
    bind_text(s, 9, run->store);
    bind_text(s, 10, run->program);
    bind_text(s, 11, run->config);
    bind_text(s, 12, run->adversary);
    return s;
}

/// Runs a statement to its end; the row it may give stays readable until it is reset.
static nm_status finish(const nm_results *r, sqlite3_stmt *s, const char *what, nm_error *error) {
    const int result = sqlite3_step(s);
    const nm_status status = result == SQLITE_DONE ? NM_OK : fail(r, result, what, error);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return status;
}

/// *id 0: there is none.
static nm_status find_run(nm_results *r, const nm_results_run *run, int64_t *id, nm_error *error) {
    sqlite3_stmt *s = bind_run(r, FIND_RUN, run);
    const int result = sqlite3_step(s);
    *id = result == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    const nm_status status =
        result == SQLITE_ROW || result == SQLITE_DONE ? NM_OK : fail(r, result, "looking for a run", error);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return status;
}

nm_status nm_results_begin_run(nm_results *r, const nm_results_run *run, int64_t *id, nm_error *error) {
    nm_status status = find_run(r, run, id, error);
    if (status != NM_OK) return status;
    if (*id) {
        sqlite3_stmt *resume = r->statements[RESUME];
        sqlite3_bind_int64(resume, 1, *id);
        return finish(r, resume, "going on with a run", error);
    }
    char started[32];
    utc_now(started);
    sqlite3_stmt *s = bind_run(r, PUT_RUN, run);
    bind_text(s, 13, started);
    status = finish(r, s, "writing a run", error);
    return status == NM_OK ? find_run(r, run, id, error) : status;
}

nm_status nm_results_forget(nm_results *r, int64_t run, nm_error *error) {
    sqlite3_stmt *s = r->statements[FORGET];
    sqlite3_bind_int64(s, 1, run);
    return finish(r, s, "forgetting the episodes of a run", error);
}

nm_status nm_results_end_run(nm_results *r, int64_t run, nm_error *error) {
    char finished[32];
    utc_now(finished);
    sqlite3_stmt *s = r->statements[END_RUN];
    sqlite3_bind_int64(s, 1, run);
    bind_text(s, 2, finished);
    return finish(r, s, "ending a run", error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Episodes

int nm_results_has(nm_results *r, int64_t run, int64_t scene) {
    return nm_results_find(r, run, scene, NULL);
}

int nm_results_find(nm_results *r, int64_t run, int64_t scene, uint64_t *scene_hash) {
    sqlite3_stmt *s = r->statements[HAS];
    sqlite3_bind_int64(s, 1, run);
    sqlite3_bind_int64(s, 2, scene);
    const int there = sqlite3_step(s) == SQLITE_ROW;
    if (there && scene_hash) *scene_hash = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return there;
}

static void bind_number(sqlite3_stmt *s, int at, double value) {
    if (isfinite(value))
        sqlite3_bind_double(s, at, value);
    else
        sqlite3_bind_null(s, at);
}

void nm_results_bind_index(sqlite3_stmt *s, int at, uint32_t index, uint32_t start) {
    if (index == NM_NONE)
        sqlite3_bind_null(s, at);
    else
        sqlite3_bind_int64(s, at, (int64_t)start + index);
}

static void bind_score(sqlite3_stmt *s, const nm_episode *e) {
    const int done = e->outcome == NM_EPISODE_DONE;
    bind_number(s, 11, done ? e->score.score : NAN);
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) bind_number(s, 12 + m, done ? e->score.metric[m].value : NAN);
    sqlite3_bind_int64(s, 20, e->score.collisions);
    sqlite3_bind_int64(s, 21,
                       (int64_t)e->score.at_fault_people + e->score.at_fault_vehicles + e->score.at_fault_objects);
    const nm_nuplan_collision *first = e->collision_count ? e->collisions : NULL;
    bind_text(s, 22, first ? nm_nuplan_class_name((nm_nuplan_class)first->collision_class) : "");
    nm_results_bind_index(s, 23, first ? first->step : NM_NONE, e->start_step);
    nm_results_bind_index(s, 24, first ? first->track : NM_NONE, 0);
}

static void bind_danger(sqlite3_stmt *s, const nm_episode *e) {
    for (int m = 0; m < NM_EGO_MEASURE_COUNT; ++m) bind_number(s, 32 + m, (double)e->danger.value[m]);
    nm_results_bind_index(s, 32 + NM_EGO_MEASURE_COUNT, e->danger.worst_step, e->start_step);
    nm_results_bind_index(s, 33 + NM_EGO_MEASURE_COUNT, e->danger.worst_track, 0);
}

static nm_status put_collisions(nm_results *r, int64_t run, const nm_results_row *row, nm_error *error) {
    const nm_episode *e = &row->episode;
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < e->collision_count; ++i) {
        const nm_nuplan_collision *c = &e->collisions[i];
        sqlite3_stmt *s = r->statements[PUT_COLLISION];
        sqlite3_bind_int64(s, 1, run);
        sqlite3_bind_int64(s, 2, row->scene);
        nm_results_bind_index(s, 3, c->step, e->start_step);
        nm_results_bind_index(s, 4, c->track, 0);
        bind_text(s, 5, nm_nuplan_type_name((nm_nuplan_type)c->type));
        bind_text(s, 6, nm_nuplan_class_name((nm_nuplan_class)c->collision_class));
        sqlite3_bind_int64(s, 7, c->at_fault);
        bind_number(s, 8, c->energy);
        status = finish(r, s, "writing a collision", error);
    }
    return status;
}

static nm_status put_episode(nm_results *r, int64_t run, const nm_results_row *row, nm_error *error) {
    const nm_episode *e = &row->episode;
    sqlite3_stmt *s = r->statements[PUT];
    sqlite3_bind_int64(s, 1, run);
    sqlite3_bind_int64(s, 2, row->scene);
    sqlite3_bind_int64(s, 3, (int64_t)row->scene_hash);
    bind_text(s, 4, row->name);
    bind_text(s, 5, row->type);
    bind_text(s, 6, nm_episode_outcome_name(e->outcome));
    bind_text(s, 7, e->reason);
    sqlite3_bind_int64(s, 8, e->start_step);
    nm_results_bind_index(s, 9, e->samples ? e->ego_track : NM_NONE, 0);
    sqlite3_bind_int64(s, 10, e->samples);
    bind_score(s, e);
    bind_number(s, 25, (double)e->min_ttc);
    bind_number(s, 26, (double)e->min_distance);
    bind_text(s, 27, e->worst);
    nm_results_bind_index(s, 28, e->worst_sample, e->start_step);
    sqlite3_bind_double(s, 29, 1e3 * e->plan_mean);
    sqlite3_bind_double(s, 30, 1e3 * e->plan_max);
    sqlite3_bind_double(s, 31, e->wall_seconds);
    bind_danger(s, e);
    nm_results_bind_index(s, 40, e->adversary, 0);
    sqlite3_bind_int64(s, 41, e->staged);
    sqlite3_bind_int64(s, 42, e->met);
    bind_text(s, 43, e->adversary != NM_NONE ? nm_avoid_label_name(e->avoid) : "");
    return finish(r, s, "writing an episode", error);
}

/// Whatever contacts there were go with the episode that is replaced.
nm_status nm_results_put(nm_results *r, int64_t run, const nm_results_row *row, nm_error *error) {
    nm_status status = put_episode(r, run, row, error);
    if (status == NM_OK) status = put_collisions(r, run, row, error);
    return status == NM_OK ? nm_results_put_losses(r, run, row, error) : status;
}

static const char *text_of(sqlite3_stmt *s, int at, nm_arena *arena) {
    const char *text = (const char *)sqlite3_column_text(s, at);
    const size_t size = text ? strlen(text) + 1 : 1;
    char *copy = nm_arena_calloc(arena, size, 1, 1);
    if (copy && text) memcpy(copy, text, size);
    return copy;
}

double nm_results_number(sqlite3_stmt *s, int at, double missing) {
    const double value = sqlite3_column_double(s, at);
    return sqlite3_column_type(s, at) == SQLITE_NULL || !(fabs(value) <= (double)FLT_MAX) ? missing : value;
}

double nm_results_share(sqlite3_stmt *s, int at, double missing) {
    const double value = nm_results_number(s, at, missing);
    return value >= 0.0 && value <= 1.0 ? value : missing;
}

/// A time that was measured.
static double seconds_of(sqlite3_stmt *s, int at, double unit) {
    return unit * fmax(nm_results_number(s, at, 0.0), 0.0);
}

uint32_t nm_results_index(sqlite3_stmt *s, int at, uint32_t start) {
    const int64_t value = sqlite3_column_int64(s, at);
    if (sqlite3_column_type(s, at) == SQLITE_NULL || value < (int64_t)start || value - (int64_t)start >= NM_NONE)
        return NM_NONE;
    return (uint32_t)(value - (int64_t)start);
}

static int class_of(const char *name, uint8_t *which) {
    for (int c = 0; name && c < NM_NUPLAN_CLASS_COUNT; ++c)
        if (strcmp(name, nm_nuplan_class_name((nm_nuplan_class)c)) == 0) {
            *which = (uint8_t)c;
            return 1;
        }
    return 0;
}

static int type_of(const char *name, uint8_t *which) {
    for (int t = 0; name && t < NM_NUPLAN_TYPE_COUNT; ++t)
        if (strcmp(name, nm_nuplan_type_name((nm_nuplan_type)t)) == 0) {
            *which = (uint8_t)t;
            return 1;
        }
    return 0;
}

/// A time that is not there was not measured where nothing was, and none elsewhere.
static void read_danger(sqlite3_stmt *s, int at, nm_episode *e) {
    e->danger = nm_episode_no_danger();
    if (sqlite3_column_type(s, at + NM_EGO_CLOSING) == SQLITE_NULL) return;
    e->danger = nm_ego_criticality_none();
    for (int m = 0; m < NM_EGO_MEASURE_COUNT; ++m)
        e->danger.value[m] = (float)nm_results_number(s, at + m, (double)e->danger.value[m]);
    e->danger.worst_step = nm_results_index(s, at + NM_EGO_MEASURE_COUNT, e->start_step);
    e->danger.worst_track = nm_results_index(s, at + NM_EGO_MEASURE_COUNT + 1, 0);
}

static nm_avoid_label label_of(const char *name) {
    for (int i = NM_AVOID_AVOIDABLE; name && i <= NM_AVOID_UNAVOIDABLE; ++i)
        if (strcmp(name, nm_avoid_label_name((nm_avoid_label)i)) == 0) return (nm_avoid_label)i;
    return NM_AVOID_NO_CONFLICT;
}

/// 0: no memory. Files are hostile: whatever is no name or number of ours reads as absent.
static int read_row(sqlite3_stmt *s, nm_arena *arena, nm_results_row *row) {
    nm_episode *e = &row->episode;
    row->scene = sqlite3_column_int64(s, 0);
    row->scene_hash = (uint64_t)sqlite3_column_int64(s, 1);
    row->name = text_of(s, 2, arena);
    row->type = text_of(s, 3, arena);
    const char *outcome = text_of(s, 4, arena), *reason = text_of(s, 5, arena);
    e->worst = text_of(s, 22, arena);
    row->adversary = text_of(s, 35, arena);
    if (!row->name || !row->type || !row->adversary || !outcome || !reason || !e->worst) return 0;
    e->outcome = strcmp(outcome, "done") == 0     ? NM_EPISODE_DONE
                 : strcmp(outcome, "failed") == 0 ? NM_EPISODE_FAILED
                                                  : NM_EPISODE_UNFIT;
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    e->start_step = (uint32_t)sqlite3_column_int64(s, 6);
    e->ego_track = nm_results_index(s, 7, 0);
    e->samples = (uint32_t)sqlite3_column_int64(s, 8);
    e->seconds = 0.1f * (float)e->samples;
    e->score.score = nm_results_share(s, 9, 0.0);
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) e->score.metric[m].value = nm_results_share(s, 10 + m, 0.0);
    e->score.collisions = (uint32_t)sqlite3_column_int64(s, 18);
    e->score.at_fault_vehicles = (uint32_t)sqlite3_column_int64(s, 19);
    e->min_ttc = (float)nm_results_number(s, 20, (double)INFINITY);
    e->min_distance = (float)nm_results_number(s, 21, (double)INFINITY);
    e->worst_sample = nm_results_index(s, 23, e->start_step);
    e->plan_mean = seconds_of(s, 24, 1e-3);
    e->plan_max = seconds_of(s, 25, 1e-3);
    e->wall_seconds = seconds_of(s, 26, 1.0);
    read_danger(s, 27, e);
    e->adversary = nm_results_index(s, 36, 0);
    e->staged = sqlite3_column_int(s, 37) != 0;
    e->met = sqlite3_column_int(s, 38) != 0;
    e->avoid = label_of((const char *)sqlite3_column_text(s, 39));
    return 1;
}

/// Both are ascending by scene.
static nm_status read_collisions(nm_results *r, int64_t run, nm_results_row *rows, size_t count, nm_error *error) {
    sqlite3_stmt *s = r->statements[COLLISIONS];
    sqlite3_bind_int64(s, 1, run);
    int result;
    size_t at = 0;
    while ((result = sqlite3_step(s)) == SQLITE_ROW) {
        const int64_t scene = sqlite3_column_int64(s, 0);
        while (at < count && rows[at].scene < scene) ++at;
        if (at == count || rows[at].scene != scene) continue;
        nm_episode *e = &rows[at].episode;
        nm_nuplan_collision c = {.step = nm_results_index(s, 1, e->start_step),
                                 .track = nm_results_index(s, 2, 0),
                                 .at_fault = sqlite3_column_int(s, 5) != 0,
                                 .energy = nm_results_number(s, 6, NAN)};
        if (e->collision_count == NM_EPISODE_COLLISIONS || !type_of((const char *)sqlite3_column_text(s, 3), &c.type) ||
            !class_of((const char *)sqlite3_column_text(s, 4), &c.collision_class))
            continue;
        e->collisions[e->collision_count++] = c;
    }
    const nm_status status = result == SQLITE_DONE ? NM_OK : fail(r, result, "reading collisions", error);
    sqlite3_reset(s);
    return status;
}

nm_status nm_results_rows(nm_results *r, int64_t run, nm_arena *arena, nm_results_row **rows, size_t *count,
                          nm_error *error) {
    sqlite3_stmt *s = r->statements[ROWS];
    size_t capacity = 256, n = 0;
    nm_results_row *all = NM_ARENA_ARRAY(arena, nm_results_row, capacity);
    sqlite3_bind_int64(s, 1, run);
    int result = SQLITE_DONE, memory = all != NULL;
    while (memory && (result = sqlite3_step(s)) == SQLITE_ROW) {
        if (n == capacity) {
            nm_results_row *grown = NM_ARENA_ARRAY(arena, nm_results_row, 2 * capacity);
            if (grown) memcpy(grown, all, n * sizeof *all);
            all = grown;
            capacity *= 2;
        }
        memory = all != NULL;
        if (memory) {
            memset(&all[n], 0, sizeof *all);
            memory = read_row(s, arena, &all[n++]);
        }
    }
    nm_status status = NM_OK;
    if (!memory)
        status = NM_ERROR(error, NM_E_MEMORY, "out of memory for results");
    else if (result != SQLITE_DONE)
        status = fail(r, result, "reading episodes", error);
    sqlite3_reset(s);
    *rows = all;
    *count = n;
    if (status == NM_OK) status = read_collisions(r, run, all, n, error);
    return status == NM_OK ? nm_results_read_losses(r, run, arena, all, n, error) : status;
}

size_t nm_results_select(nm_results_row *rows, size_t count, const int64_t *scenes, size_t scene_count) {
    size_t kept = 0;
    for (size_t i = 0, k = 0; i < count; ++i) {
        while (k < scene_count && scenes[k] < rows[i].scene) ++k;
        if (k < scene_count && scenes[k] == rows[i].scene) rows[kept++] = rows[i];
    }
    return kept;
}
