/// How generated scenes came about: runs, what their attempts came to, what each scene was asked for.
#include <inttypes.h>
#include <string.h>

#include "scenarios/store_internal.h"

static const char *text_or(const char *text, const char *fallback) {
    return text ? text : fallback;
}

static void bind_run(sqlite3_stmt *statement, const nm_generation_run *run) {
    sqlite3_bind_text(statement, 1, run->parameters, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, text_or(run->command, ""), -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, (int64_t)run->seed);
    sqlite3_bind_text(statement, 4, run->program, -1, SQLITE_STATIC);
}

static nm_status begin_run(nm_store *store, const nm_generation_run *run, int64_t *id, uint64_t *attempts,
                           nm_error *error) {
    sqlite3_stmt *find = nm_store_statement(store, NM_SQL_FIND_GENERATION, error);
    sqlite3_stmt *put = find ? nm_store_statement(store, NM_SQL_PUT_GENERATION, error) : NULL;
    if (!put) return nm_store_status(store);
    bind_run(find, run);
    bind_run(put, run);
    int result = sqlite3_step(find);
    if (result == SQLITE_ROW) {
        *id = sqlite3_column_int64(find, 0);
        *attempts = (uint64_t)sqlite3_column_int64(find, 1);
        sqlite3_reset(find);
        return NM_OK;
    }
    nm_status status = result == SQLITE_DONE ? NM_OK : nm_store_fail(store, result, "looking for a run", error);
    sqlite3_reset(find);
    if (status == NM_OK) status = nm_store_run(store, put, "beginning a run of generation", error);
    if (status == NM_OK) *id = sqlite3_last_insert_rowid(store->db);
    return status;
}

nm_status nm_store_begin_generation(nm_store *store, const nm_generation_run *run, int64_t *id, uint64_t *attempts,
                                    nm_error *error) {
    NM_ASSERT(store && run && run->parameters && run->program && id);
    nm_error local;
    error = error ? error : &local;
    uint64_t counted = 0;
    *id = 0;
    nm_status status = nm_store_enter(store, error);
    if (status != NM_OK) return status;
    status = begin_run(store, run, id, &counted, error);
    if (attempts) *attempts = counted;
    return nm_store_leave(store, status, error);
}

nm_status nm_store_finished_generation(nm_store *store, const nm_generation_run *run, int64_t *id, nm_error *error) {
    NM_ASSERT(store && run && run->parameters && run->program && id);
    nm_error local;
    error = error ? error : &local;
    *id = 0;
    sqlite3_stmt *find = nm_store_statement(store, NM_SQL_FINISHED_GENERATION, error);
    if (!find) return nm_store_status(store);
    bind_run(find, run);
    const int result = sqlite3_step(find);
    if (result == SQLITE_ROW) *id = sqlite3_column_int64(find, 0);
    const nm_status status = result == SQLITE_ROW || result == SQLITE_DONE
                                 ? NM_OK
                                 : nm_store_fail(store, result, "looking for a run", error);
    sqlite3_reset(find);
    return status;
}

nm_status nm_store_end_generation(nm_store *store, int64_t id, nm_error *error) {
    NM_ASSERT(store);
    nm_error local;
    error = error ? error : &local;
    nm_status status = nm_store_enter(store, error);
    if (status != NM_OK) return status;
    sqlite3_stmt *end = nm_store_statement(store, NM_SQL_END_GENERATION, error);
    if (end) {
        sqlite3_bind_int64(end, 1, id);
        status = nm_store_run(store, end, "ending a run of generation", error);
        if (status == NM_OK && sqlite3_changes(store->db) == 0)
            status = NM_ERROR_AT(error, NM_E_NOT_FOUND, store->path, 0, -1,
                                 "there is no unfinished run of generation %" PRId64, id);
    } else {
        status = nm_store_status(store);
    }
    return nm_store_leave(store, status, error);
}

nm_status nm_store_count_attempts(nm_store *store, int64_t generation, nm_kind kind, const char *generator,
                                  const char *reason, uint64_t count, nm_error *error) {
    NM_ASSERT(store && (unsigned)kind < NM_KIND_COUNT && generator && reason && reason[0]);
    nm_error local;
    error = error ? error : &local;
    nm_status status = nm_store_enter(store, error);
    if (status != NM_OK) return status;
    sqlite3_stmt *put = nm_store_statement(store, NM_SQL_PUT_ATTEMPT, error);
    if (put) {
        sqlite3_bind_int64(put, 1, generation);
        sqlite3_bind_int(put, 2, (int)kind);
        sqlite3_bind_text(put, 3, generator, -1, SQLITE_STATIC);
        sqlite3_bind_text(put, 4, reason, -1, SQLITE_STATIC);
        sqlite3_bind_int64(put, 5, (int64_t)count);
        status = nm_store_run(store, put, "counting attempts", error);
    } else {
        status = nm_store_status(store);
    }
    return nm_store_leave(store, status, error);
}

nm_status nm_store_counted_attempts(nm_store *store, int64_t generation, nm_kind kind, const char *generator,
                                    uint64_t *attempts, uint64_t *kept, nm_error *error) {
    NM_ASSERT(store && (unsigned)kind < NM_KIND_COUNT && generator && attempts && kept);
    nm_error local;
    error = error ? error : &local;
    *attempts = *kept = 0;
    sqlite3_stmt *get = nm_store_statement(store, NM_SQL_GET_ATTEMPTS, error);
    if (!get) return nm_store_status(store);
    sqlite3_bind_int64(get, 1, generation);
    sqlite3_bind_int(get, 2, (int)kind);
    sqlite3_bind_text(get, 3, generator, -1, SQLITE_STATIC);
    const int result = sqlite3_step(get);
    if (result == SQLITE_ROW) {
        *attempts = (uint64_t)sqlite3_column_int64(get, 0);
        *kept = (uint64_t)sqlite3_column_int64(get, 1);
    }
    const nm_status status = result == SQLITE_ROW ? NM_OK : nm_store_fail(store, result, "counting attempts", error);
    sqlite3_reset(get);
    return status;
}

nm_status nm_store_generated_steps(nm_store *store, int64_t generation, uint64_t *steps, nm_error *error) {
    NM_ASSERT(store && steps);
    nm_error local;
    error = error ? error : &local;
    *steps = 0;
    sqlite3_stmt *get = nm_store_statement(store, NM_SQL_GENERATED_STEPS, error);
    if (!get) return nm_store_status(store);
    sqlite3_bind_int64(get, 1, generation);
    const int result = sqlite3_step(get);
    const int64_t sum = result == SQLITE_ROW ? sqlite3_column_int64(get, 0) : 0;
    if (sum > 0) *steps = (uint64_t)sum;
    const nm_status status = result == SQLITE_ROW ? NM_OK : nm_store_fail(store, result, "counting steps", error);
    sqlite3_reset(get);
    return status;
}

// --- scenes ----------------------------------------------------------------------------------------------------------

// SQLite's word for a broken promise of the schema, in ours.
static nm_status refuse(nm_store *store, int64_t scene, int result, nm_error *error) {
    switch (result) {
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return NM_ERROR_AT(error, NM_E_EXISTS, store->path, 0, -1,
                           "it is already known what scene %" PRId64 " was generated for", scene);
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return NM_ERROR_AT(error, NM_E_NOT_FOUND, store->path, 0, -1,
                           "scene %" PRId64 " or the run that generated it is not there", scene);
    default:
        return nm_store_fail(store, result, "storing what a scene was generated for", error);
    }
}

static nm_status put_generated(nm_store *store, int64_t scene, const nm_generated *row, nm_error *error) {
    sqlite3_stmt *put = nm_store_statement(store, NM_SQL_PUT_GENERATED, error);
    if (!put) return nm_store_status(store);
    sqlite3_bind_int64(put, 1, scene);
    sqlite3_bind_int64(put, 2, row->generation);
    sqlite3_bind_int(put, 3, (int)row->kind);
    sqlite3_bind_text(put, 4, row->generator, -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 5, text_or(row->severity, ""), -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 6, text_or(row->label, ""), -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 7, text_or(row->requested, "{}"), -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 8, text_or(row->achieved, "{}"), -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 9, text_or(row->verdicts, "{}"), -1, SQLITE_STATIC);
    int result = sqlite3_step(put);
    nm_status status = result == SQLITE_DONE ? NM_OK : refuse(store, scene, result, error);
    sqlite3_reset(put);
    return status;
}

nm_status nm_store_put_generated(nm_store *store, int64_t scene, const nm_generated *row, nm_error *error) {
    NM_ASSERT(store && row && (unsigned)row->kind < NM_KIND_COUNT && row->generator);
    nm_error local;
    error = error ? error : &local;
    nm_status status = nm_store_enter(store, error);
    if (status != NM_OK) return status;
    status = put_generated(store, scene, row, error);
    return nm_store_leave(store, status, error);
}

static const char *copy_column(sqlite3_stmt *statement, int column, nm_arena *arena) {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    size_t size = text ? (size_t)sqlite3_column_bytes(statement, column) : 0;
    return nm_arena_strndup(arena, text ? text : "", size);
}

static nm_status read_generated(nm_store *store, sqlite3_stmt *get, int64_t scene, nm_arena *arena, nm_generated *row,
                                nm_error *error) {
    int64_t kind = sqlite3_column_int64(get, 1);
    if (kind < 0 || kind >= NM_KIND_COUNT)
        return NM_ERROR_AT(error, NM_E_VERSION, store->path, 0, -1,
                           "scene %" PRId64 " was generated for a kind that this program does not know", scene);
    *row = (nm_generated){.generation = sqlite3_column_int64(get, 0), .kind = (nm_kind)kind};
    const char **const texts[] = {&row->generator, &row->severity, &row->label,
                                  &row->requested, &row->achieved, &row->verdicts};
    for (int i = 0; i < 6; i++) {
        *texts[i] = copy_column(get, 2 + i, arena);
        if (!*texts[i]) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    }
    return NM_OK;
}

nm_status nm_store_get_generated(nm_store *store, int64_t scene, nm_arena *arena, nm_generated *row, nm_error *error) {
    NM_ASSERT(store && arena && row);
    if (store->schema < 2)
        return NM_ERROR_AT(error, NM_E_NOT_FOUND, store->path, 0, -1,
                           "the store is older than what it knows of generated scenes");
    nm_status status = nm_store_enter_read(store, error);
    if (status != NM_OK) return status;
    store->stopped = NM_OK;
    sqlite3_stmt *get = nm_store_statement(store, NM_SQL_GET_GENERATED, error);
    if (get) {
        sqlite3_bind_int64(get, 1, scene);
        int result = sqlite3_step(get);
        if (result == SQLITE_ROW)
            status = read_generated(store, get, scene, arena, row, error);
        else if (result == SQLITE_DONE)
            status = NM_ERROR_AT(error, NM_E_NOT_FOUND, store->path, 0, -1,
                                 "scene %" PRId64 " was not generated by a run", scene);
        else
            status = nm_store_fail(store, result, "reading what a scene was generated for", error);
        sqlite3_reset(get);
    } else {
        status = nm_store_status(store);
    }
    nm_store_leave_read(store);
    return status;
}
