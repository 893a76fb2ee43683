/// The store's statements, and SQLite's errors in the project's words.
#include <math.h>
#include <string.h>

#include "scenarios/store_internal.h"

#define EVENT_COLUMNS                                                                                                  \
    "kind, first_step, last_step, critical_step, actor_track, other_track, min_ttc_s, min_distance_m, min_thw_s, "     \
    "max_drac_mps2, pet_s, min_ttr_s, closing_speed_mps, gap_m, lateral_speed_mps, deceleration_mps2, "                \
    "impact_speed_mps, delta_v_mps, severity"

/// What may stop half-way (REPLACE, triggers, several rows) makes SQLite open a savepoint, and each savepoint makes
/// FTS5 write its pending words out as a tiny segment. So whatever runs once a scene inserts exactly one row, plainly.
static const char *const sql_texts[NM_SQL_COUNT] = {
    [NM_SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [NM_SQL_BEGIN_READ] = "BEGIN DEFERRED",
    [NM_SQL_COMMIT] = "COMMIT",
    [NM_SQL_ROLLBACK] = "ROLLBACK",
    [NM_SQL_PUT_MAP] = "INSERT INTO map (hash, lanes, lane_km, origin_x_m, origin_y_m, raw_bytes, content) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
    [NM_SQL_GET_SOURCE] = "SELECT id FROM source WHERE name = ?1",
    [NM_SQL_PUT_SOURCE] = "INSERT INTO source (name) VALUES (?1)",
    [NM_SQL_PUT_SCENE] = "INSERT INTO scene (source, file, record, scene_name, tags, content_hash, map, program, seed, "
                         "parent_hash, parameters, dt_s, steps, current_step, ego_track, tracks, agents, agent_states, "
                         "problems) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, "
                         "?17, ?18, ?19)",
    [NM_SQL_FIND_SCENE] = "SELECT id FROM scene WHERE content_hash = ?1 AND file = ?2 AND record = ?3 AND seed = ?4 "
                          "AND source = ?5",
    [NM_SQL_PUT_DATA] = "INSERT INTO scene_data (scene, raw_bytes, content) VALUES (?1, ?2, ?3)",
    [NM_SQL_PUT_TEXT] = "INSERT INTO scene_fts (rowid, tags, source, file, scene_name) VALUES (?1, ?2, ?3, ?4, ?5)",
    [NM_SQL_HAS_SCENE] = "SELECT EXISTS (SELECT 1 FROM criticality WHERE scene = ?1) FROM scene WHERE id = ?1",
    [NM_SQL_DELETE_SCENE] = "DELETE FROM scene WHERE id = ?1",
    [NM_SQL_GET_MINING] = "SELECT id FROM mining WHERE parameters = ?1",
    [NM_SQL_PUT_MINING] = "INSERT INTO mining (parameters) VALUES (?1)",
    [NM_SQL_DELETE_EVENTS] = "DELETE FROM event WHERE scene = ?1",
    [NM_SQL_DELETE_CRITICALITY] = "DELETE FROM criticality WHERE scene = ?1",
    [NM_SQL_PUT_CRITICALITY] =
        "INSERT INTO criticality (scene, mining, events, pairs, collisions, min_ttc_s, min_ttc_projected_s, "
        "min_distance_m, min_thw_s, max_drac_mps2, max_ittc_per_s, min_pet_s, min_ttr_s, max_delta_v_mps, tet_s, "
        "tit_s2, critical_step, first_track, second_track, feature) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
        "?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
    [NM_SQL_PUT_EVENT] = "INSERT INTO event (scene, " EVENT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
                         "?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
    [NM_SQL_PUT_RTREE] = "INSERT INTO event_rtree VALUES (?1, ?2, ?2, ?3, ?3, ?4, ?4, ?5, ?5)",
    [NM_SQL_GET_BLOCK] = "SELECT vectors FROM feature_block WHERE block = ?1",
    [NM_SQL_PUT_BLOCK] = "INSERT INTO feature_block (block, vectors) VALUES (?1, ?2) "
                         "ON CONFLICT (block) DO UPDATE SET vectors = excluded.vectors",
    [NM_SQL_SCAN_BLOCKS] = "SELECT block, vectors FROM feature_block",
    [NM_SQL_GET_FEATURE] = "SELECT feature FROM criticality WHERE scene = ?1",
    [NM_SQL_GET_DATA] = "SELECT raw_bytes, content FROM scene_data WHERE scene = ?1",
    [NM_SQL_GET_MAP] = "SELECT raw_bytes, content FROM map WHERE hash = ?1",
    [NM_SQL_FIND_HASH] = "SELECT min(id) FROM scene WHERE content_hash = ?1", // scene_identity begins with it
    [NM_SQL_SCENE_EVENTS] =
        "SELECT id, scene, " EVENT_COLUMNS " FROM event WHERE scene = ?1 ORDER BY severity DESC, id",
    [NM_SQL_INFO] =
        "SELECT length(scene_data.content), scene_data.raw_bytes, length(map.content), map.raw_bytes, "
        "(SELECT count(*) FROM scene AS other WHERE other.map = scene.map), criticality.scene, events, pairs, "
        "collisions, min_ttc_s, min_ttc_projected_s, min_distance_m, min_thw_s, max_drac_mps2, max_ittc_per_s, "
        "min_pet_s, min_ttr_s, max_delta_v_mps, tet_s, tit_s2, critical_step, first_track, second_track, feature "
        "FROM scene JOIN scene_data ON scene_data.scene = scene.id JOIN map ON map.hash = scene.map "
        "LEFT JOIN criticality ON criticality.scene = scene.id WHERE scene.id = ?1",
    [NM_SQL_HIT_EVENT] = "SELECT event.id, event.scene, " EVENT_COLUMNS ", source.name, scene_name, file FROM event "
                         "JOIN scene ON scene.id = event.scene JOIN source ON source.id = scene.source "
                         "WHERE event.id = ?1",
    [NM_SQL_HIT_SCENE] = "SELECT source.name, scene_name, file FROM scene JOIN source ON source.id = scene.source "
                         "WHERE scene.id = ?1",
    [NM_SQL_IMPORTED_PUT] = "INSERT INTO imported (file, file_bytes, file_hash, scenes, finished_utc) VALUES (?1, ?2, "
                            "?3, ?4, strftime('%Y-%m-%dT%H:%M:%SZ', 'now')) ON CONFLICT DO NOTHING",
    [NM_SQL_IMPORTED_GET] = "SELECT scenes FROM imported WHERE file = ?1 AND file_bytes = ?2 AND file_hash = ?3",
    [NM_SQL_FIND_GENERATION] = "SELECT id, (SELECT coalesce(sum(count), 0) FROM attempt WHERE generation = id) FROM "
                               "generation WHERE parameters = ?1 AND seed = ?3 AND program = ?4 AND finished_utc IS "
                               "NULL ORDER BY id DESC LIMIT 1",
    [NM_SQL_FINISHED_GENERATION] = "SELECT id FROM generation WHERE parameters = ?1 AND seed = ?3 AND program = ?4 "
                                   "AND finished_utc IS NOT NULL ORDER BY id LIMIT 1",
    [NM_SQL_PUT_GENERATION] = "INSERT INTO generation (parameters, command, seed, program, started_utc) VALUES (?1, "
                              "?2, ?3, ?4, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
    [NM_SQL_END_GENERATION] = "UPDATE generation SET finished_utc = strftime('%Y-%m-%dT%H:%M:%SZ', 'now') WHERE id = "
                              "?1 AND finished_utc IS NULL",
    [NM_SQL_PUT_ATTEMPT] = "INSERT INTO attempt (generation, kind, generator, reason, count) VALUES (?1, ?2, ?3, ?4, "
                           "?5) ON CONFLICT DO UPDATE SET count = count + excluded.count",
    [NM_SQL_GET_ATTEMPTS] =
        "SELECT coalesce(sum(count), 0), coalesce(sum(CASE WHEN reason = 'kept' THEN count END), 0) "
        "FROM attempt WHERE generation = ?1 AND kind = ?2 AND generator = ?3",
    [NM_SQL_GENERATED_STEPS] = "SELECT coalesce(sum(steps - 1), 0) FROM generated JOIN scene ON scene.id = "
                               "generated.scene WHERE generation = ?1",
    [NM_SQL_PUT_GENERATED] = "INSERT INTO generated (scene, generation, kind, generator, severity, label, requested, "
                             "achieved, verdicts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [NM_SQL_GET_GENERATED] = "SELECT generation, kind, generator, severity, label, requested, achieved, verdicts FROM "
                             "generated WHERE scene = ?1",
};

static nm_status status_of(int result) {
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return NM_E_BUSY;
    case SQLITE_NOMEM:
        return NM_E_MEMORY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_CONSTRAINT: // rows that contradict the schema's promises
    case SQLITE_MISMATCH:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR: // our own statement fails: a table or column is not there
        return NM_E_FORMAT;
    case SQLITE_TOOBIG:
        return NM_E_LIMIT;
    case SQLITE_INTERRUPT:
    case SQLITE_ABORT:
        return NM_E_CANCELLED;
    default:
        return NM_E_IO;
    }
}

nm_status nm_store_status(const nm_store *store) {
    return status_of(sqlite3_errcode(store->db));
}

nm_status nm_store_fail(nm_store *store, int result, const char *what, nm_error *error) {
    const char *path = store->path;
    int system_error = store->db ? sqlite3_system_errno(store->db) : 0;
    const char *reason = store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(result);
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return NM_ERROR_AT(error, NM_E_BUSY, path, 0, -1,
                           "another program is writing to the store and did not finish within %.0f s: try again later",
                           NM_STORE_BUSY_SECONDS);
    case SQLITE_FULL:
        return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "%s: the disk is full", what);
    case SQLITE_READONLY:
        return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "%s: the file or its folder is read-only", what);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "%s: %s%s%s", what, reason, system_error ? ": " : "",
                           system_error ? strerror(system_error) : "");
    case SQLITE_CORRUPT:
        return NM_ERROR_AT(error, NM_E_FORMAT, path, 0, -1, "%s: the file is damaged (%s)", what, reason);
    case SQLITE_NOTADB:
        return NM_ERROR_AT(error, NM_E_FORMAT, path, 0, -1, "is not a SQLite database, so not a store");
    case SQLITE_INTERRUPT:
        if (store->stopped == NM_E_LIMIT)
            return NM_ERROR_AT(error, NM_E_LIMIT, path, 0, -1, "%s: took too long, given up", what);
        return NM_ERROR_AT(error, NM_E_CANCELLED, path, 0, -1, "%s: interrupted", what);
    default:
        return NM_ERROR_AT(error, status_of(result), path, 0, -1, "%s: %s", what, reason);
    }
}

nm_status nm_store_exec(nm_store *store, const char *sql, const char *what, nm_error *error) {
    int result = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? NM_OK : nm_store_fail(store, result, what, error);
}

sqlite3_stmt *nm_store_statement(nm_store *store, nm_sql which, nm_error *error) {
    sqlite3_stmt *statement = store->statements[which];
    if (statement) return statement;
    int result = sqlite3_prepare_v3(store->db, sql_texts[which], -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (result != SQLITE_OK) {
        nm_store_fail(store, result, "preparing a statement", error);
        return NULL;
    }
    store->statements[which] = statement;
    return statement;
}

nm_status nm_store_run(nm_store *store, sqlite3_stmt *statement, const char *what, nm_error *error) {
    int result = sqlite3_step(statement);
    nm_status status = NM_OK;
    if (result != SQLITE_DONE && result != SQLITE_ROW) status = nm_store_fail(store, result, what, error);
    sqlite3_reset(statement);
    return status;
}

nm_status nm_store_integer(nm_store *store, const char *sql, int64_t fallback, int64_t *value, nm_error *error) {
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    *value = fallback;
    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
        if (result == SQLITE_ROW) *value = sqlite3_column_int64(statement, 0);
        if (result == SQLITE_ROW || result == SQLITE_DONE) result = SQLITE_OK;
    }
    nm_status status = result == SQLITE_OK ? NM_OK : nm_store_fail(store, result, "reading the store", error);
    sqlite3_finalize(statement);
    return status;
}

double nm_decimal(float value) {
    // fewest decimals first; beyond 2^53 the product is no longer a whole number that a double holds
    double power = 1.0;
    for (; fabs(value * power) < 9007199254740992.0 && power < 1e17; power *= 10.0) {
        double rounded = nearbyint(value * power) / power;
        if ((float)rounded == value) return rounded;
    }
    return value;
}

void nm_bind_number(sqlite3_stmt *statement, int index, double value) {
    if (isfinite(value))
        sqlite3_bind_double(statement, index, value);
    else
        sqlite3_bind_null(statement, index);
}

void nm_bind_float(sqlite3_stmt *statement, int index, float value) {
    nm_bind_number(statement, index, isfinite(value) ? nm_decimal(value) : NAN);
}

void nm_bind_index(sqlite3_stmt *statement, int index, uint32_t value) {
    if (value == NM_NONE)
        sqlite3_bind_null(statement, index);
    else
        sqlite3_bind_int64(statement, index, value);
}

float nm_column_float(sqlite3_stmt *statement, int column) {
    if (sqlite3_column_type(statement, column) == SQLITE_NULL) return NAN;
    return (float)sqlite3_column_double(statement, column);
}

uint32_t nm_column_index(sqlite3_stmt *statement, int column) {
    if (sqlite3_column_type(statement, column) == SQLITE_NULL) return NM_NONE;
    int64_t value = sqlite3_column_int64(statement, column);
    return value < 0 || value >= NM_NONE ? NM_NONE : (uint32_t)value;
}
