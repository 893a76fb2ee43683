/// Which scenes are still to be mined.
#include <stdio.h>

#include "scenarios/store_internal.h"

#define DOING "listing the scenes to mine"

nm_status nm_store_unmined_ids(nm_store *store, const char *params_json, nm_arena *arena, int64_t **ids, size_t *count,
                               nm_error *error) {
    static const char missing[] = "FROM scene WHERE NOT EXISTS (SELECT 1 FROM criticality JOIN mining ON mining.id = "
                                  "criticality.mining WHERE criticality.scene = scene.id AND mining.parameters = ?1)";
    NM_ASSERT(store && params_json && arena && ids && count);
    *ids = NULL;
    *count = 0;
    char text[512];
    sqlite3_stmt *statement = NULL;
    // one statement counts and lists, so that both see the same scenes
    snprintf(text, sizeof text, "SELECT id, (SELECT count(*) %s) %s ORDER BY id", missing, missing);
    int result = sqlite3_prepare_v2(store->db, text, -1, &statement, NULL);
    if (result == SQLITE_OK) result = sqlite3_bind_text(statement, 1, params_json, -1, SQLITE_STATIC);
    if (result != SQLITE_OK) {
        nm_status status = nm_store_fail(store, result, DOING, error);
        sqlite3_finalize(statement);
        return status;
    }
    size_t capacity = 0;
    nm_status status = NM_OK;
    while (status == NM_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!*ids) {
            int64_t total = sqlite3_column_int64(statement, 1);
            capacity = total > 0 ? (size_t)total : 0;
            *ids = NM_ARENA_ARRAY(arena, int64_t, capacity);
            if (!*ids) status = NM_ERROR(error, NM_E_MEMORY, "out of memory: " DOING);
        }
        if (status == NM_OK && *count < capacity) (*ids)[(*count)++] = sqlite3_column_int64(statement, 0);
    }
    if (status == NM_OK && result != SQLITE_DONE) status = nm_store_fail(store, result, DOING, error);
    sqlite3_finalize(statement);
    if (status != NM_OK) *count = 0;
    return status;
}
