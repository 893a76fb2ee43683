/// Writing: scenes, events, input files; and deleting.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "scenarios/store_internal.h"

// --- scenes ----------------------------------------------------------------------------------------------------------

static nm_status put_map(nm_store *store, const nm_packed_map *map, nm_error *error) {
    if (store->map_known && store->map_hash == map->hash) return NM_OK;
    sqlite3_stmt *statement = nm_store_statement(store, NM_SQL_PUT_MAP, error);
    if (!statement) return nm_store_status(store);
    sqlite3_bind_int64(statement, 1, (int64_t)map->hash);
    sqlite3_bind_int64(statement, 2, map->lanes);
    sqlite3_bind_double(statement, 3, map->lane_km);
    sqlite3_bind_double(statement, 4, map->origin_x);
    sqlite3_bind_double(statement, 5, map->origin_y);
    sqlite3_bind_int64(statement, 6, (int64_t)map->raw_size);
    sqlite3_bind_blob64(statement, 7, map->bytes, map->size, SQLITE_STATIC);
    nm_status status = nm_store_run(store, statement, "storing a map", error);
    store->map_known = status == NM_OK;
    store->map_hash = map->hash;
    return status;
}

static nm_status source_of(nm_store *store, const char *name, nm_error *error) {
    if (store->source_id && strcmp(store->source_name, name) == 0) return NM_OK;
    store->source_id = 0;
    sqlite3_stmt *get = nm_store_statement(store, NM_SQL_GET_SOURCE, error);
    sqlite3_stmt *put = get ? nm_store_statement(store, NM_SQL_PUT_SOURCE, error) : NULL;
    if (!put) return nm_store_status(store);
    sqlite3_bind_text(get, 1, name, -1, SQLITE_STATIC);
    int result = sqlite3_step(get);
    int64_t id = result == SQLITE_ROW ? sqlite3_column_int64(get, 0) : 0;
    sqlite3_reset(get);
    if (result == SQLITE_DONE) {
        sqlite3_bind_text(put, 1, name, -1, SQLITE_STATIC);
        nm_status status = nm_store_run(store, put, "storing a source", error);
        if (status != NM_OK) return status;
        id = sqlite3_last_insert_rowid(store->db);
    } else if (result != SQLITE_ROW) {
        return nm_store_fail(store, result, "looking for a source", error);
    }
    store->source_id = id;
    // a name too long to be remembered is looked up each time
    if (snprintf(store->source_name, sizeof store->source_name, "%s", name) >= (int)sizeof store->source_name)
        store->source_name[0] = '\0';
    return NM_OK;
}

static nm_status put_row(nm_store *store, const nm_packed_scene *scene, nm_error *error) {
    sqlite3_stmt *put = nm_store_statement(store, NM_SQL_PUT_SCENE, error);
    if (!put) return nm_store_status(store);
    sqlite3_bind_int64(put, 1, store->source_id);
    sqlite3_bind_text(put, 2, scene->file, -1, SQLITE_STATIC);
    sqlite3_bind_int64(put, 3, (int64_t)scene->record);
    sqlite3_bind_text(put, 4, scene->scene_id, -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 5, scene->tags, -1, SQLITE_STATIC);
    sqlite3_bind_int64(put, 6, (int64_t)scene->hash);
    sqlite3_bind_int64(put, 7, (int64_t)scene->map->hash);
    sqlite3_bind_text(put, 8, scene->program, -1, SQLITE_STATIC);
    sqlite3_bind_int64(put, 9, (int64_t)scene->seed);
    if (scene->parent)
        sqlite3_bind_int64(put, 10, (int64_t)scene->parent);
    else
        sqlite3_bind_null(put, 10);
    sqlite3_bind_text(put, 11, scene->parameters, -1, SQLITE_STATIC);
    sqlite3_bind_double(put, 12, scene->dt);
    sqlite3_bind_int64(put, 13, scene->steps);
    sqlite3_bind_int64(put, 14, scene->current_step);
    nm_bind_index(put, 15, scene->ego);
    sqlite3_bind_int64(put, 16, scene->tracks);
    sqlite3_bind_int64(put, 17, (int64_t)scene->agents);
    sqlite3_bind_int64(put, 18, (int64_t)scene->agent_states);
    sqlite3_bind_int64(put, 19, scene->problems);
    return nm_store_run(store, put, "storing a scene", error);
}

/// NM_E_EXISTS when the same scene is there, with its id. (Asked first: an insert that conflicts would use up an id.)
static nm_status find_same(nm_store *store, const nm_packed_scene *scene, int64_t *id, nm_error *error) {
    sqlite3_stmt *find = nm_store_statement(store, NM_SQL_FIND_SCENE, error);
    if (!find) return nm_store_status(store);
    sqlite3_bind_int64(find, 1, (int64_t)scene->hash);
    sqlite3_bind_text(find, 2, scene->file, -1, SQLITE_STATIC);
    sqlite3_bind_int64(find, 3, (int64_t)scene->record);
    sqlite3_bind_int64(find, 4, (int64_t)scene->seed);
    sqlite3_bind_int64(find, 5, store->source_id);
    int result = sqlite3_step(find);
    *id = result == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
    sqlite3_reset(find);
    if (result == SQLITE_ROW)
        return NM_ERROR_AT(error, NM_E_EXISTS, store->path, 0, -1, "the scene is there already: %" PRId64, *id);
    if (result == SQLITE_DONE) return NM_OK;
    return nm_store_fail(store, result, "looking for a scene", error);
}

static nm_status put_packed(nm_store *store, const nm_packed_scene *scene, int64_t *id, nm_error *error) {
    nm_status status = source_of(store, scene->source, error);
    if (status == NM_OK) status = find_same(store, scene, id, error);
    if (status == NM_OK) status = put_map(store, scene->map, error);
    if (status == NM_OK) status = put_row(store, scene, error);
    if (status != NM_OK) return status;
    *id = sqlite3_last_insert_rowid(store->db);
    sqlite3_stmt *data = nm_store_statement(store, NM_SQL_PUT_DATA, error);
    sqlite3_stmt *text = data ? nm_store_statement(store, NM_SQL_PUT_TEXT, error) : NULL;
    if (!text) return nm_store_status(store);
    sqlite3_bind_int64(data, 1, *id);
    sqlite3_bind_int64(data, 2, (int64_t)scene->raw_size);
    sqlite3_bind_blob64(data, 3, scene->bytes, scene->size, SQLITE_STATIC);
    status = nm_store_run(store, data, "storing a scene", error);
    if (status != NM_OK) return status;
    sqlite3_bind_int64(text, 1, *id);
    sqlite3_bind_text(text, 2, scene->tags, -1, SQLITE_STATIC);
    sqlite3_bind_text(text, 3, scene->source, -1, SQLITE_STATIC);
    sqlite3_bind_text(text, 4, scene->file, -1, SQLITE_STATIC);
    sqlite3_bind_text(text, 5, scene->scene_id, -1, SQLITE_STATIC);
    return nm_store_run(store, text, "storing the words of a scene", error);
}

nm_status nm_store_put_packed(nm_store *store, const nm_packed_scene *packed, int64_t *id, nm_error *error) {
    NM_ASSERT(store && packed && id);
    nm_error local;
    error = error ? error : &local;
    *id = 0;
    nm_status status = nm_store_enter(store, error);
    if (status != NM_OK) return status;
    status = put_packed(store, packed, id, error);
    return nm_store_leave(store, status, error);
}

nm_status nm_store_put_scene(nm_store *store, const nm_scene *scene, int64_t *id, nm_error *error) {
    NM_ASSERT(store && scene && id);
    *id = 0;
    if (!store->packer) store->packer = nm_packer_create();
    if (!store->packer) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_packed_scene *packed = NULL;
    nm_status status = nm_pack_scene(store->packer, scene, &packed, error);
    if (status != NM_OK) return status;
    status = nm_store_put_packed(store, packed, id, error);
    nm_packed_scene_destroy(packed);
    return status;
}

/// NM_E_NOT_FOUND with a message when there is no such scene. mined [out, nullable]
static nm_status has_scene(nm_store *store, int64_t scene, int *mined, nm_error *error) {
    sqlite3_stmt *has = nm_store_statement(store, NM_SQL_HAS_SCENE, error);
    if (!has) return nm_store_status(store);
    sqlite3_bind_int64(has, 1, scene);
    int result = sqlite3_step(has);
    if (mined) *mined = result == SQLITE_ROW && sqlite3_column_int(has, 0);
    sqlite3_reset(has);
    if (result == SQLITE_ROW) return NM_OK;
    if (result == SQLITE_DONE)
        return NM_ERROR_AT(error, NM_E_NOT_FOUND, store->path, 0, -1, "there is no scene %" PRId64, scene);
    return nm_store_fail(store, result, "looking for a scene", error);
}

/// Runs a statement whose one parameter is a scene.
static nm_status run_for(nm_store *store, nm_sql which, int64_t scene, const char *what, nm_error *error) {
    sqlite3_stmt *statement = nm_store_statement(store, which, error);
    if (!statement) return nm_store_status(store);
    sqlite3_bind_int64(statement, 1, scene);
    return nm_store_run(store, statement, what, error);
}

nm_status nm_store_delete_scene(nm_store *store, int64_t id, nm_error *error) {
    NM_ASSERT(store);
    nm_error local;
    error = error ? error : &local;
    nm_status status = nm_store_enter(store, error);
    if (status != NM_OK) return status;
    status = has_scene(store, id, NULL, error);
    if (status == NM_OK) status = nm_like_set(store, id, NULL, error);
    // triggers clear what belongs to it
    if (status == NM_OK) status = run_for(store, NM_SQL_DELETE_SCENE, id, "deleting a scene", error);
    nm_store_forget(store); // its map may have gone with it
    return nm_store_leave(store, status, error);
}

// --- events ----------------------------------------------------------------------------------------------------------

static nm_status mining_of(nm_store *store, const char *parameters, int64_t *id, nm_error *error) {
    const uint64_t hash = nm_hash_bytes(parameters, strlen(parameters), 0);
    *id = store->mining_id;
    if (*id && store->mining_hash == hash) return NM_OK;
    sqlite3_stmt *get = nm_store_statement(store, NM_SQL_GET_MINING, error);
    sqlite3_stmt *put = get ? nm_store_statement(store, NM_SQL_PUT_MINING, error) : NULL;
    if (!put) return nm_store_status(store);
    nm_status status = NM_OK;
    sqlite3_bind_text(get, 1, parameters, -1, SQLITE_STATIC);
    int result = sqlite3_step(get);
    *id = result == SQLITE_ROW ? sqlite3_column_int64(get, 0) : 0;
    sqlite3_reset(get);
    if (result == SQLITE_DONE) {
        sqlite3_bind_text(put, 1, parameters, -1, SQLITE_STATIC);
        status = nm_store_run(store, put, "storing mining parameters", error);
        *id = sqlite3_last_insert_rowid(store->db);
    } else if (result != SQLITE_ROW) {
        status = nm_store_fail(store, result, "looking for mining parameters", error);
    }
    store->mining_hash = hash;
    store->mining_id = status == NM_OK ? *id : 0;
    return status;
}

static nm_status put_criticality(nm_store *store, int64_t scene, int64_t mining, size_t events,
                                 const nm_scene_criticality *from, const float *feature, nm_error *error) {
    sqlite3_stmt *put = nm_store_statement(store, NM_SQL_PUT_CRITICALITY, error);
    if (!put) return nm_store_status(store);
    sqlite3_clear_bindings(put);
    sqlite3_bind_int64(put, 1, scene);
    sqlite3_bind_int64(put, 2, mining);
    sqlite3_bind_int64(put, 3, (int64_t)events);
    if (from) {
        const float numbers[] = {
            from->min_ttc, from->min_ttc_projected, from->min_distance, from->min_thw, from->max_drac, from->max_ittc,
            from->min_pet, from->min_ttr,           from->max_delta_v,  from->tet,     from->tit};
        sqlite3_bind_int64(put, 4, from->pair_count);
        sqlite3_bind_int64(put, 5, from->collision_count);
        for (int i = 0; i < 11; i++) nm_bind_float(put, 6 + i, numbers[i]);
        nm_bind_index(put, 17, from->critical_step);
        nm_bind_index(put, 18, from->critical_first);
        nm_bind_index(put, 19, from->critical_second);
    }
    if (feature) sqlite3_bind_blob(put, 20, feature, NM_FEATURE_COUNT * (int)sizeof *feature, SQLITE_STATIC);
    nm_status status = nm_store_run(store, put, "storing the criticality of a scene", error);
    sqlite3_clear_bindings(put);
    return status;
}

static double rtree_place(float value) {
    return isfinite(value) ? nm_decimal(value) : NM_RTREE_MISSING;
}

static nm_status put_event(nm_store *store, int64_t scene, const nm_event *event, nm_error *error) {
    sqlite3_stmt *put = nm_store_statement(store, NM_SQL_PUT_EVENT, error);
    sqlite3_stmt *box = put ? nm_store_statement(store, NM_SQL_PUT_RTREE, error) : NULL;
    if (!box) return nm_store_status(store);
    const float numbers[] = {event->min_ttc,       event->min_distance, event->min_thw,       event->max_drac,
                             event->pet,           event->min_ttr,      event->closing_speed, event->gap,
                             event->lateral_speed, event->deceleration, event->impact_speed,  event->delta_v};
    const double severity = isfinite(event->severity) ? nm_decimal(event->severity) : 0.0;
    sqlite3_bind_int64(put, 1, scene);
    sqlite3_bind_int(put, 2, (int)event->kind);
    sqlite3_bind_int64(put, 3, event->first_step);
    sqlite3_bind_int64(put, 4, event->last_step);
    sqlite3_bind_int64(put, 5, event->critical_step);
    sqlite3_bind_int64(put, 6, event->actor);
    nm_bind_index(put, 7, event->other);
    for (int i = 0; i < 12; i++) nm_bind_float(put, 8 + i, numbers[i]);
    sqlite3_bind_double(put, 20, severity);
    nm_status status = nm_store_run(store, put, "storing an event", error);
    if (status != NM_OK) return status;
    sqlite3_bind_int64(box, 1, sqlite3_last_insert_rowid(store->db));
    sqlite3_bind_int(box, 2, (int)event->kind);
    sqlite3_bind_double(box, 3, rtree_place(event->min_ttc));
    sqlite3_bind_double(box, 4, rtree_place(event->min_distance));
    sqlite3_bind_double(box, 5, severity);
    return nm_store_run(store, box, "storing the range of an event", error);
}

static nm_status put_events(nm_store *store, int64_t scene, const nm_event *events, size_t count,
                            const nm_scene_criticality *criticality, const float *feature, const char *parameters,
                            nm_error *error) {
    int64_t mining = 0;
    int mined = 0;
    nm_status status = has_scene(store, scene, &mined, error);
    if (status == NM_OK) status = mining_of(store, parameters, &mining, error);
    if (status == NM_OK && mined) status = run_for(store, NM_SQL_DELETE_EVENTS, scene, "replacing events", error);
    if (status == NM_OK && mined)
        status = run_for(store, NM_SQL_DELETE_CRITICALITY, scene, "replacing the criticality of a scene", error);
    if (status == NM_OK) status = put_criticality(store, scene, mining, count, criticality, feature, error);
    for (size_t i = 0; i < count && status == NM_OK; i++) status = put_event(store, scene, &events[i], error);
    return status == NM_OK ? nm_like_set(store, scene, feature, error) : status;
}

nm_status nm_store_put_events(nm_store *store, int64_t scene, const nm_event *events, size_t count,
                              const nm_scene_criticality *criticality, const float feature[NM_FEATURE_COUNT],
                              const char *params_json, nm_error *error) {
    NM_ASSERT(store && (events || count == 0));
    for (size_t i = 0; i < count; i++) NM_ASSERT((unsigned)events[i].kind < NM_KIND_COUNT);
    for (int i = 0; feature && i < NM_FEATURE_COUNT; i++)
        if (!isfinite(feature[i]))
            return NM_ERROR(error, NM_E_NUMERIC, "entry %d of the feature of scene %" PRId64 " is not finite", i,
                            scene);
    nm_error local;
    error = error ? error : &local;
    nm_status status = nm_store_enter(store, error);
    if (status != NM_OK) return status;
    status = put_events(store, scene, events, count, criticality, feature, params_json ? params_json : "{}", error);
    return nm_store_leave(store, status, error);
}

// --- input files -----------------------------------------------------------------------------------------------------

nm_status nm_store_source_done(nm_store *store, const char *file, uint64_t size, uint64_t hash, uint64_t scenes,
                               nm_error *error) {
    NM_ASSERT(store && file);
    nm_error local;
    error = error ? error : &local;
    nm_status status = nm_store_enter(store, error);
    if (status != NM_OK) return status;
    sqlite3_stmt *put = nm_store_statement(store, NM_SQL_IMPORTED_PUT, error);
    if (put) {
        sqlite3_bind_text(put, 1, file, -1, SQLITE_STATIC);
        sqlite3_bind_int64(put, 2, (int64_t)size);
        sqlite3_bind_int64(put, 3, (int64_t)hash);
        sqlite3_bind_int64(put, 4, (int64_t)scenes);
        status = nm_store_run(store, put, "remembering an input file", error);
    } else {
        status = nm_store_status(store);
    }
    return nm_store_leave(store, status, error);
}

int nm_store_source_known(nm_store *store, const char *file, uint64_t size, uint64_t hash, uint64_t *scenes) {
    NM_ASSERT(store && file);
    sqlite3_stmt *get = nm_store_statement(store, NM_SQL_IMPORTED_GET, NULL);
    if (!get) return 0;
    sqlite3_bind_text(get, 1, file, -1, SQLITE_STATIC);
    sqlite3_bind_int64(get, 2, (int64_t)size);
    sqlite3_bind_int64(get, 3, (int64_t)hash);
    int known = sqlite3_step(get) == SQLITE_ROW;
    if (known && scenes) *scenes = (uint64_t)sqlite3_column_int64(get, 0);
    sqlite3_reset(get);
    return known;
}
