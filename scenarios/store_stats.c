/// Totals, and looking for damage.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/store_internal.h"

static nm_status by_kind(nm_store *store, nm_store_stats *stats, nm_error *error) {
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store->db,
                                    "SELECT kind, count(*), count(DISTINCT scene) FROM event GROUP BY kind ORDER BY 1",
                                    -1, &statement, NULL);
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = sqlite3_step(statement);
        int64_t kind = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
        if (kind >= 0 && kind < NM_KIND_COUNT) {
            stats->by_kind[kind] = (uint64_t)sqlite3_column_int64(statement, 1);
            stats->scenes_by_kind[kind] = (uint64_t)sqlite3_column_int64(statement, 2);
        }
    }
    nm_status status = result == SQLITE_DONE ? NM_OK : nm_store_fail(store, result, "counting events", error);
    sqlite3_finalize(statement);
    return status;
}

static nm_status totals(nm_store *store, nm_store_stats *stats, nm_error *error) {
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(
        store->db,
        "SELECT count(*), sum(agents), sum(agent_states), sum(dt_s * (steps - 1)) / 3600.0, "
        "sum(dt_s * agent_states) / 3600.0, (SELECT count(*) FROM map), (SELECT count(*) FROM event), "
        "(SELECT count(*) FROM imported), (SELECT count(*) FROM criticality), "
        "(SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) FROM scene",
        -1, &statement, NULL);
    if (result == SQLITE_OK) result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        stats->scenes = (uint64_t)sqlite3_column_int64(statement, 0);
        stats->agents = (uint64_t)sqlite3_column_int64(statement, 1);
        stats->agent_states = (uint64_t)sqlite3_column_int64(statement, 2);
        stats->hours = sqlite3_column_double(statement, 3);
        stats->agent_hours = sqlite3_column_double(statement, 4);
        stats->maps = (uint64_t)sqlite3_column_int64(statement, 5);
        stats->events = (uint64_t)sqlite3_column_int64(statement, 6);
        stats->sources = (uint64_t)sqlite3_column_int64(statement, 7);
        stats->mined = (uint64_t)sqlite3_column_int64(statement, 8);
        stats->bytes = (uint64_t)sqlite3_column_int64(statement, 9);
    }
    nm_status status = result == SQLITE_ROW ? NM_OK : nm_store_fail(store, result, "counting scenes", error);
    sqlite3_finalize(statement);
    return status;
}

nm_status nm_store_get_stats(nm_store *store, nm_store_stats *stats, nm_error *error) {
    NM_ASSERT(store && stats);
    memset(stats, 0, sizeof *stats);
    nm_status status = nm_store_enter_read(store, error);
    if (status != NM_OK) return status;
    store->stopped = NM_OK;
    status = totals(store, stats, error);
    if (status == NM_OK) status = by_kind(store, stats, error);
    nm_store_leave_read(store);
    return status;
}

nm_status nm_store_by_source(nm_store *store, nm_source_sink *sink, void *context, nm_error *error) {
    NM_ASSERT(store && sink);
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store->db,
                                    "SELECT name, count(*), sum(agent_states) FROM scene JOIN source ON source.id = "
                                    "scene.source GROUP BY source.id ORDER BY name",
                                    -1, &statement, NULL);
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = sqlite3_step(statement);
        const unsigned char *name = result == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
        if (name)
            sink(context, (const char *)name, (uint64_t)sqlite3_column_int64(statement, 1),
                 (uint64_t)sqlite3_column_int64(statement, 2));
    }
    nm_status status = result == SQLITE_DONE ? NM_OK : nm_store_fail(store, result, "counting sources", error);
    sqlite3_finalize(statement);
    return status;
}

// --- damage ----------------------------------------------------------------------------------------------------------

typedef struct nm_check {
    nm_store *store;
    nm_finding_sink *sink;
    void *context;
    uint64_t findings;
} nm_check;

static void report(nm_check *check, const char *format, ...) NM_PRINTF(2, 3);
static void report(nm_check *check, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    check->findings++;
    if (check->sink) check->sink(check->context, text);
}

/// Every row of `sql` is a finding, except the word "ok".
static nm_status rows(nm_check *check, const char *sql, nm_error *error) {
    nm_store *store = check->store;
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = sqlite3_step(statement);
        const unsigned char *text = result == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
        if (text && strcmp((const char *)text, "ok") != 0) report(check, "%s", (const char *)text);
    }
    nm_status status = NM_OK;
    if ((result & 0xff) == SQLITE_CORRUPT) // that is what was looked for
        report(check, "%s", sqlite3_errmsg(store->db));
    else if (result != SQLITE_DONE)
        status = nm_store_fail(store, result, "checking the store", error);
    sqlite3_finalize(statement);
    return status;
}

/// What the schema promises beyond what SQLite checks.
static const char *const invariants[] = {
    "SELECT printf('scene %d has no content', id) FROM scene WHERE NOT EXISTS (SELECT 1 FROM scene_data WHERE scene = "
    "id)",
    "SELECT printf('content of scene %d, which is not there', scene) FROM scene_data WHERE NOT EXISTS (SELECT 1 FROM "
    "scene WHERE id = scene_data.scene)",
    "SELECT printf('map %016x is used by no scene', hash) FROM map WHERE NOT EXISTS (SELECT 1 FROM scene WHERE map = "
    "hash)",
    "SELECT printf('scene %d should have %d events but has %d', scene, events, (SELECT count(*) FROM event WHERE "
    "event.scene = criticality.scene)) FROM criticality WHERE events != (SELECT count(*) FROM event WHERE event.scene "
    "= criticality.scene)",
    "SELECT printf('event %d has no range', id) FROM event WHERE NOT EXISTS (SELECT 1 FROM event_rtree WHERE "
    "event_rtree.id = event.id)",
    "SELECT printf('range of event %d, which is not there', id) FROM event_rtree WHERE NOT EXISTS (SELECT 1 FROM event "
    "WHERE event.id = event_rtree.id)",
    "SELECT rtreecheck('event_rtree')",
};

/// Every feature must be found in its block as it was rounded.
static nm_status check_features(nm_check *check, nm_error *error) {
    nm_store *store = check->store;
    sqlite3_stmt *statement = NULL;
    int64_t held = -1;
    uint8_t *block = malloc(NM_BLOCK_BYTES), entry[NM_BLOCK_ENTRY];
    if (!block) return NM_ERROR(error, NM_E_MEMORY, "out of memory: checking the store");
    int result = sqlite3_prepare_v2(
        store->db,
        "SELECT scene, feature, vectors FROM criticality LEFT JOIN feature_block ON block = scene / 1024 WHERE feature "
        "IS NOT NULL ORDER BY scene",
        -1, &statement, NULL);
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = sqlite3_step(statement);
        if (result != SQLITE_ROW) continue;
        int64_t scene = sqlite3_column_int64(statement, 0);
        float feature[NM_FEATURE_COUNT];
        const void *bytes = sqlite3_column_blob(statement, 1);
        if (sqlite3_column_bytes(statement, 1) != (int)sizeof feature) {
            report(check, "the feature of scene %" PRId64 " has a wrong size", scene);
            continue;
        }
        memcpy(feature, bytes, sizeof feature);
        nm_like_encode(feature, entry);
        if (held != scene / NM_BLOCK_SCENES) {
            const void *vectors = sqlite3_column_blob(statement, 2);
            memset(block, 0, NM_BLOCK_BYTES);
            if (vectors && sqlite3_column_bytes(statement, 2) == NM_BLOCK_BYTES) memcpy(block, vectors, NM_BLOCK_BYTES);
            held = scene / NM_BLOCK_SCENES;
        }
        if (memcmp(block + (size_t)(scene % NM_BLOCK_SCENES) * NM_BLOCK_ENTRY, entry, NM_BLOCK_ENTRY) != 0)
            report(check, "the packed feature of scene %" PRId64 " differs from its feature", scene);
    }
    nm_status status = result == SQLITE_DONE ? NM_OK : nm_store_fail(store, result, "checking features", error);
    sqlite3_finalize(statement);
    free(block);
    return status;
}

/// Decodes every scene and compares it with its row.
static nm_status check_contents(nm_check *check, nm_error *error) {
    nm_store *store = check->store;
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(
        store->db, "SELECT id, content_hash, map, steps, tracks, agents, agent_states FROM scene ORDER BY id", -1,
        &statement, NULL);
    nm_status status = NM_OK;
    while (status == NM_OK && (result == SQLITE_OK || result == SQLITE_ROW)) {
        result = sqlite3_step(statement);
        if (result != SQLITE_ROW) continue;
        int64_t id = sqlite3_column_int64(statement, 0);
        const nm_scene *scene = NULL;
        nm_error trouble;
        nm_error_clear(&trouble);
        if (nm_store_get_scene(store, id, &scene, &trouble) != NM_OK) {
            report(check, "%s", trouble.message);
            continue;
        }
        uint64_t agents = 0, states = 0;
        nm_scene_count(scene, &agents, &states);
        if (scene->hash != (uint64_t)sqlite3_column_int64(statement, 1) ||
            scene->map->hash != (uint64_t)sqlite3_column_int64(statement, 2))
            report(check, "the content of scene %" PRId64 " is another one's", id);
        else if (scene->step_count != sqlite3_column_int64(statement, 3) ||
                 scene->track_count != sqlite3_column_int64(statement, 4) ||
                 agents != (uint64_t)sqlite3_column_int64(statement, 5) ||
                 states != (uint64_t)sqlite3_column_int64(statement, 6))
            report(check, "the counts of scene %" PRId64 " are not those of its content", id);
        nm_scene_destroy(scene);
        if (store->interrupt && store->interrupt(store->interrupt_context))
            status = NM_ERROR(error, NM_E_CANCELLED, "checking the store: interrupted");
    }
    if (status == NM_OK && result != SQLITE_DONE) status = nm_store_fail(store, result, "checking scenes", error);
    sqlite3_finalize(statement);
    return status;
}

static nm_status check_all(nm_check *check, int deep, nm_error *error) {
    nm_status status = rows(check, "PRAGMA integrity_check", error);
    if (status == NM_OK)
        status = rows(check,
                      "SELECT printf('row %d of %s refers to a missing row of %s', rowid, \"table\", parent) "
                      "FROM pragma_foreign_key_check",
                      error);
    for (size_t i = 0; i < sizeof invariants / sizeof *invariants && status == NM_OK; i++)
        status = rows(check, invariants[i], error);
    // the words: an INSERT that writes nothing, but wants the right to
    if (status == NM_OK && check->store->mode != NM_STORE_READ)
        status = rows(check, "INSERT INTO scene_fts (scene_fts, rank) VALUES ('integrity-check', 1)", error);
    if (status == NM_OK) status = check_features(check, error);
    return status == NM_OK && deep ? check_contents(check, error) : status;
}

nm_status nm_store_check(nm_store *store, int deep, nm_finding_sink *sink, void *context, uint64_t *findings,
                         nm_error *error) {
    NM_ASSERT(store && !store->in_transaction);
    nm_error local;
    error = error ? error : &local;
    nm_check check = {.store = store, .sink = sink, .context = context};
    store->stopped = NM_OK;
    // nobody may write meanwhile: half of an answer from before a change would contradict the other half
    const int writing = store->mode != NM_STORE_READ;
    nm_status status = writing ? nm_store_begin(store, error) : nm_store_enter_read(store, error);
    if (status != NM_OK) return status;
    status = check_all(&check, deep, error);
    if (writing)
        nm_store_rollback(store);
    else
        nm_store_leave_read(store);
    if (findings) *findings = check.findings;
    return status;
}
