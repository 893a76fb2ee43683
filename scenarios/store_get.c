/// Reading scenes, their events and what is known about them.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/store_internal.h"

/// Runs a prepared "SELECT raw_bytes, content" and decompresses the one row. NM_E_NOT_FOUND without a message.
static nm_status read_blob(nm_store *store, sqlite3_stmt *statement, const char *name, uint8_t **raw, size_t *size,
                           nm_error *error) {
    nm_status status = NM_E_NOT_FOUND;
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        uint64_t raw_size = (uint64_t)sqlite3_column_int64(statement, 0);
        const void *bytes = sqlite3_column_blob(statement, 1); // before its size is asked: SQLite's rule
        status = nm_store_unpack(store, bytes, (size_t)sqlite3_column_bytes(statement, 1), raw_size, name, raw, error);
        *size = (size_t)raw_size;
    } else if (result != SQLITE_DONE) {
        status = nm_store_fail(store, result, name, error);
    }
    sqlite3_reset(statement);
    return status;
}

/// Says in which store and row the decoder's complaint arose.
static nm_status placed(const nm_store *store, nm_status status, const char *name, nm_error *error) {
    if (error) {
        char message[sizeof error->message];
        memcpy(message, error->message, sizeof message);
        nm_error_fill_at(error, status, error->raised_in, error->raised_at, store->path, 0, -1, "%s: %s", name,
                         message);
    }
    return status;
}

static void keep_map(nm_store *store, const nm_map *map) {
    nm_store_map *slot = &store->maps[0];
    for (int i = 1; i < NM_STORE_MAPS; i++)
        if (store->maps[i].used < slot->used) slot = &store->maps[i];
    nm_map_release(slot->map);
    *slot = (nm_store_map){.map = nm_map_retain(map), .used = ++store->map_clock};
}

nm_status nm_store_load_map(nm_store *store, uint64_t hash, const nm_map **map, nm_error *error) {
    for (int i = 0; i < NM_STORE_MAPS; i++) {
        if (store->maps[i].used && store->maps[i].map->hash == hash) {
            store->maps[i].used = ++store->map_clock;
            *map = nm_map_retain(store->maps[i].map);
            return NM_OK;
        }
    }
    char name[48];
    snprintf(name, sizeof name, "map %016" PRIx64, hash);
    sqlite3_stmt *statement = nm_store_statement(store, NM_SQL_GET_MAP, error);
    if (!statement) return nm_store_status(store);
    sqlite3_bind_int64(statement, 1, (int64_t)hash);
    uint8_t *raw = NULL;
    size_t size = 0;
    nm_status status = read_blob(store, statement, name, &raw, &size, error);
    if (status == NM_E_NOT_FOUND) return NM_ERROR_AT(error, NM_E_FORMAT, store->path, 0, -1, "%s is missing", name);
    if (status != NM_OK) return status;
    status = nm_map_decode(raw, size, map, error);
    free(raw);
    if (status != NM_OK) return placed(store, status, name, error);
    if ((*map)->hash != hash) {
        nm_map_release(*map);
        *map = NULL;
        return NM_ERROR_AT(error, NM_E_FORMAT, store->path, 0, -1, "%s holds another map", name);
    }
    keep_map(store, *map);
    return NM_OK;
}

static nm_status decode_scene(nm_store *store, const char *name, const uint8_t *raw, size_t size,
                              const nm_scene **scene, nm_error *error) {
    uint64_t hash = 0;
    const nm_map *map = NULL;
    nm_status status = nm_scene_peek_map(raw, size, &hash, error);
    if (status != NM_OK) return placed(store, status, name, error);
    status = nm_store_load_map(store, hash, &map, error);
    if (status != NM_OK) return status;
    status = nm_scene_decode(raw, size, map, scene, error);
    nm_map_release(map);
    return status == NM_OK ? NM_OK : placed(store, status, name, error);
}

nm_status nm_store_get_scene(nm_store *store, int64_t id, const nm_scene **scene, nm_error *error) {
    NM_ASSERT(store && scene);
    *scene = NULL;
    char name[32];
    snprintf(name, sizeof name, "scene %" PRId64, id);
    nm_status status = nm_store_enter_read(store, error);
    if (status != NM_OK) return status;
    uint8_t *raw = NULL;
    size_t size = 0;
    sqlite3_stmt *statement = nm_store_statement(store, NM_SQL_GET_DATA, error);
    if (statement) {
        sqlite3_bind_int64(statement, 1, id);
        status = read_blob(store, statement, name, &raw, &size, error);
    } else {
        status = nm_store_status(store);
    }
    if (status == NM_E_NOT_FOUND) NM_ERROR_AT(error, NM_E_NOT_FOUND, store->path, 0, -1, "there is no %s", name);
    if (status == NM_OK) status = decode_scene(store, name, raw, size, scene, error);
    free(raw);
    nm_store_leave_read(store);
    return status;
}

nm_status nm_store_find_hash(nm_store *store, uint64_t hash, int64_t *id, nm_error *error) {
    NM_ASSERT(store && id);
    *id = 0;
    sqlite3_stmt *statement = nm_store_statement(store, NM_SQL_FIND_HASH, error);
    if (!statement) return nm_store_status(store);
    sqlite3_bind_int64(statement, 1, (int64_t)hash);
    const int result = sqlite3_step(statement);
    if (result == SQLITE_ROW && hash) *id = sqlite3_column_int64(statement, 0); // NULL reads as 0
    sqlite3_reset(statement);
    if (result != SQLITE_ROW) return nm_store_fail(store, result, "looking for a scene by its hash", error);
    if (*id) return NM_OK;
    return NM_ERROR_AT(error, NM_E_NOT_FOUND, store->path, 0, -1, "there is no scene with hash %016" PRIx64, hash);
}

/// An array in an arena that grows by doubling: the arena keeps the smaller copies until it is released.
static void *grown(nm_arena *arena, void *items, size_t count, size_t *capacity, size_t item) {
    if (count < *capacity) return items;
    size_t larger = *capacity ? *capacity * 2 : 64;
    void *moved = nm_arena_alloc(arena, larger, item, 16);
    if (moved && count) memcpy(moved, items, count * item);
    *capacity = larger;
    return moved;
}

/// The first column of all rows; the statement is finished.
static nm_status list_ids(nm_store *store, sqlite3_stmt *statement, nm_arena *arena, int64_t **ids, size_t *count,
                          nm_error *error) {
    size_t capacity = 0;
    int result;
    nm_status status = NM_OK;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        *ids = grown(arena, *ids, *count, &capacity, sizeof **ids);
        if (!*ids) {
            status = NM_ERROR(error, NM_E_MEMORY, "out of memory: listing the scenes");
            break;
        }
        (*ids)[(*count)++] = sqlite3_column_int64(statement, 0);
    }
    if (status == NM_OK && result != SQLITE_DONE) status = nm_store_fail(store, result, "listing the scenes", error);
    sqlite3_finalize(statement);
    if (status != NM_OK) *count = 0;
    return status;
}

nm_status nm_store_scene_ids(nm_store *store, int mined, nm_arena *arena, int64_t **ids, size_t *count,
                             nm_error *error) {
    static const char *const texts[] = {
        "SELECT id FROM scene ORDER BY id",
        "SELECT id FROM scene WHERE NOT EXISTS (SELECT 1 FROM criticality WHERE scene = id) ORDER BY id",
        "SELECT scene FROM criticality ORDER BY scene",
    };
    NM_ASSERT(store && arena && ids && count && mined >= -1 && mined <= 1);
    *ids = NULL;
    *count = 0;
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store->db, texts[mined + 1], -1, &statement, NULL);
    if (result != SQLITE_OK) return nm_store_fail(store, result, "listing the scenes", error);
    return list_ids(store, statement, arena, ids, count, error);
}

nm_status nm_store_ids_without(nm_store *store, const char *const *sources, size_t source_count, nm_arena *arena,
                               int64_t **ids, size_t *count, nm_error *error) {
    NM_ASSERT(store && sources && source_count >= 1 && source_count <= 8 && arena && ids && count);
    *ids = NULL;
    *count = 0;
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store->db,
                                    "SELECT scene.id FROM scene JOIN source ON source.id = scene.source WHERE "
                                    "source.name NOT IN (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ORDER BY scene.id",
                                    -1, &statement, NULL);
    if (result != SQLITE_OK) return nm_store_fail(store, result, "listing the scenes", error);
    for (size_t i = 0; i < 8; i++) // to name one twice changes nothing
        sqlite3_bind_text(statement, (int)i + 1, sources[i < source_count ? i : 0], -1, SQLITE_STATIC);
    return list_ids(store, statement, arena, ids, count, error);
}

nm_status nm_store_generated_ids(nm_store *store, int64_t generation, nm_arena *arena, int64_t **ids, size_t *count,
                                 nm_error *error) {
    NM_ASSERT(store && arena && ids && count);
    *ids = NULL;
    *count = 0;
    sqlite3_stmt *statement = NULL;
    const int result = sqlite3_prepare_v2(store->db, "SELECT scene FROM generated WHERE generation = ?1 ORDER BY scene",
                                          -1, &statement, NULL);
    if (result != SQLITE_OK) return nm_store_fail(store, result, "listing the scenes of a generation", error);
    sqlite3_bind_int64(statement, 1, generation);
    return list_ids(store, statement, arena, ids, count, error);
}

int nm_column_event(sqlite3_stmt *statement, int first, nm_event *event) {
    int64_t kind = sqlite3_column_int64(statement, first);
    *event = (nm_event){
        .kind = (nm_kind)(kind < 0 || kind >= NM_KIND_COUNT ? 0 : kind),
        .first_step = nm_column_index(statement, first + 1),
        .last_step = nm_column_index(statement, first + 2),
        .critical_step = nm_column_index(statement, first + 3),
        .actor = nm_column_index(statement, first + 4),
        .other = nm_column_index(statement, first + 5),
        .min_ttc = nm_column_float(statement, first + 6),
        .min_distance = nm_column_float(statement, first + 7),
        .min_thw = nm_column_float(statement, first + 8),
        .max_drac = nm_column_float(statement, first + 9),
        .pet = nm_column_float(statement, first + 10),
        .min_ttr = nm_column_float(statement, first + 11),
        .closing_speed = nm_column_float(statement, first + 12),
        .gap = nm_column_float(statement, first + 13),
        .lateral_speed = nm_column_float(statement, first + 14),
        .deceleration = nm_column_float(statement, first + 15),
        .impact_speed = nm_column_float(statement, first + 16),
        .delta_v = nm_column_float(statement, first + 17),
        .severity = nm_column_float(statement, first + 18),
    };
    return kind >= 0 && kind < NM_KIND_COUNT;
}

nm_status nm_store_get_events(nm_store *store, int64_t scene, nm_arena *arena, nm_event **events, size_t *count,
                              nm_error *error) {
    NM_ASSERT(store && arena && events && count);
    *events = NULL;
    *count = 0;
    sqlite3_stmt *statement = nm_store_statement(store, NM_SQL_SCENE_EVENTS, error);
    if (!statement) return nm_store_status(store);
    sqlite3_bind_int64(statement, 1, scene);
    size_t capacity = 0;
    int result;
    nm_status status = NM_OK;
    while (status == NM_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        *events = grown(arena, *events, *count, &capacity, sizeof **events);
        if (!*events)
            status = NM_ERROR(error, NM_E_MEMORY, "out of memory: the events of scene %" PRId64, scene);
        else if (!nm_column_event(statement, 2, &(*events)[*count]))
            status = NM_ERROR_AT(error, NM_E_FORMAT, store->path, 0, -1,
                                 "an event of scene %" PRId64 " is of a kind that this program does not know", scene);
        else
            ++*count;
    }
    if (status == NM_OK && result != SQLITE_DONE) status = nm_store_fail(store, result, "reading events", error);
    sqlite3_reset(statement);
    if (status != NM_OK) *count = 0;
    return status;
}

static void read_criticality(sqlite3_stmt *statement, nm_stored_info *info) {
    nm_scene_criticality *to = &info->criticality;
    to->pair_count = (uint32_t)sqlite3_column_int64(statement, 7);
    to->collision_count = (uint32_t)sqlite3_column_int64(statement, 8);
    float *const numbers[] = {&to->min_ttc,  &to->min_ttc_projected, &to->min_distance, &to->min_thw,     &to->max_drac,
                              &to->max_ittc, &to->min_pet,           &to->min_ttr,      &to->max_delta_v, &to->tet,
                              &to->tit};
    for (int i = 0; i < 11; i++) *numbers[i] = nm_column_float(statement, 9 + i);
    to->critical_step = nm_column_index(statement, 20);
    to->critical_first = nm_column_index(statement, 21);
    to->critical_second = nm_column_index(statement, 22);
    const void *feature = sqlite3_column_blob(statement, 23);
    info->has_feature = feature && sqlite3_column_bytes(statement, 23) == (int)sizeof info->feature;
    if (info->has_feature) memcpy(info->feature, feature, sizeof info->feature);
}

nm_status nm_store_get_info(nm_store *store, int64_t scene, nm_stored_info *info, nm_error *error) {
    NM_ASSERT(store && info);
    memset(info, 0, sizeof *info);
    sqlite3_stmt *statement = nm_store_statement(store, NM_SQL_INFO, error);
    if (!statement) return nm_store_status(store);
    sqlite3_bind_int64(statement, 1, scene);
    nm_status status = NM_OK;
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        info->content_bytes = (uint64_t)sqlite3_column_int64(statement, 0);
        info->content_raw_bytes = (uint64_t)sqlite3_column_int64(statement, 1);
        info->map_bytes = (uint64_t)sqlite3_column_int64(statement, 2);
        info->map_raw_bytes = (uint64_t)sqlite3_column_int64(statement, 3);
        info->map_scenes = (uint64_t)sqlite3_column_int64(statement, 4);
        info->mined = sqlite3_column_type(statement, 5) != SQLITE_NULL;
        info->events = (uint64_t)sqlite3_column_int64(statement, 6);
        read_criticality(statement, info);
    } else if (result == SQLITE_DONE) {
        status = NM_ERROR_AT(error, NM_E_NOT_FOUND, store->path, 0, -1, "there is no scene %" PRId64, scene);
    } else {
        status = nm_store_fail(store, result, "reading about a scene", error);
    }
    sqlite3_reset(statement);
    return status;
}
