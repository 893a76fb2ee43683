/// Opening, closing, transactions and schema versions of a store.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/progress.h"
#include "scenarios/store_internal.h"
#include "schema.sql.h"
#include "schema_generation.sql.h"

// --- waiting and stopping --------------------------------------------------------------------------------------------

static int asked_to_stop(const nm_store *store) {
    return store->interrupt && store->interrupt(store->interrupt_context);
}

static void sleep_ms(long ms) {
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/// Somebody else holds the lock: looks again every millisecond, because long writers pause only shortly (see
/// nm_store_commit), until Ctrl-C or the end of patience.
static int on_busy(void *context, int calls) {
    nm_store *store = context;
    if (calls == 0) store->busy_since = nm_clock();
    if (nm_clock() - store->busy_since > NM_STORE_BUSY_SECONDS || asked_to_stop(store)) return 0;
    sleep_ms(1);
    return 1;
}

/// Called by SQLite every few thousand instructions.
static int on_progress(void *context) {
    nm_store *store = context;
    if (asked_to_stop(store))
        store->stopped = NM_E_CANCELLED;
    else if (store->deadline > 0 && nm_clock() > store->deadline)
        store->stopped = NM_E_LIMIT;
    return store->stopped != NM_OK;
}

void nm_store_set_interrupt(nm_store *store, nm_interrupt *interrupt, void *context) {
    NM_ASSERT(store);
    store->interrupt = interrupt;
    store->interrupt_context = context;
}

void nm_store_set_cache(nm_store *store, uint32_t mebibytes) {
    NM_ASSERT(store && mebibytes >= 1 && mebibytes <= 4096);
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA cache_size = -%" PRIu32, mebibytes * 1024);
    (void)nm_store_exec(store, sql, "bounding the cache", NULL); // else it stays as it was
}

// --- transactions ----------------------------------------------------------------------------------------------------

static nm_status run_plain(nm_store *store, nm_sql which, const char *what, nm_error *error) {
    sqlite3_stmt *statement = nm_store_statement(store, which, error);
    if (!statement) return nm_store_status(store);
    return nm_store_run(store, statement, what, error);
}

void nm_store_forget(nm_store *store) {
    store->source_id = 0;
    store->map_known = 0;
    store->mining_id = 0;
}

static void roll_back(nm_store *store) {
    // SQLite may have rolled back by itself (disk full): then there is nothing left to do
    if (!sqlite3_get_autocommit(store->db)) (void)run_plain(store, NM_SQL_ROLLBACK, "rolling back", NULL);
    nm_like_forget(store);
    nm_store_forget(store);
}

nm_status nm_store_begin(nm_store *store, nm_error *error) {
    NM_ASSERT(store && !store->in_transaction);
    if (store->mode == NM_STORE_READ)
        return NM_ERROR_AT(error, NM_E_ARGUMENT, store->path, 0, -1, "the store was opened for reading only");
    nm_store_forget(store);
    nm_status status = run_plain(store, NM_SQL_BEGIN_WRITE, "beginning to write", error);
    if (status == NM_OK) {
        store->in_transaction = 1;
        store->began = nm_clock();
        nm_error_clear(&store->broken);
    }
    return status;
}

static nm_status commit(nm_store *store, nm_error *error) {
    nm_status status = nm_like_flush(store, error);
    if (status == NM_OK) status = run_plain(store, NM_SQL_COMMIT, "committing", error);
    if (status != NM_OK) roll_back(store);
    return status;
}

nm_status nm_store_commit(nm_store *store, nm_error *error) {
    NM_ASSERT(store && store->in_transaction);
    store->in_transaction = 0;
    if (store->broken.code != NM_OK) {
        roll_back(store);
        if (error) *error = store->broken;
        return store->broken.code;
    }
    nm_status status = commit(store, error);
    // who writes one long transaction after another would lock everybody else out: leaves a gap that they find
    if (nm_clock() - store->began > 0.1) sleep_ms(3);
    return status;
}

void nm_store_rollback(nm_store *store) {
    NM_ASSERT(store);
    if (!store->in_transaction) return;
    store->in_transaction = 0;
    roll_back(store);
}

nm_status nm_store_enter(nm_store *store, nm_error *error) {
    if (store->in_transaction) {
        if (store->broken.code == NM_OK) return NM_OK;
        if (error) *error = store->broken;
        return store->broken.code;
    }
    if (store->mode == NM_STORE_READ)
        return NM_ERROR_AT(error, NM_E_ARGUMENT, store->path, 0, -1, "the store was opened for reading only");
    nm_store_forget(store);
    return run_plain(store, NM_SQL_BEGIN_WRITE, "beginning to write", error);
}

nm_status nm_store_leave(nm_store *store, nm_status status, nm_error *error) {
    const int harmless = status == NM_OK || status == NM_E_EXISTS || status == NM_E_NOT_FOUND;
    if (store->in_transaction) {
        if (!harmless) {
            if (error)
                store->broken = *error;
            else
                nm_error_fill(&store->broken, status, __FILE__, __LINE__, "an earlier write failed");
        }
        return status;
    }
    if (!harmless) {
        roll_back(store);
        return status;
    }
    nm_status committed = commit(store, error);
    return committed != NM_OK ? committed : status;
}

nm_status nm_store_enter_read(nm_store *store, nm_error *error) {
    if (store->in_transaction) return nm_like_flush(store, error); // what was put in this transaction is found too
    nm_status status = store->readers ? NM_OK : run_plain(store, NM_SQL_BEGIN_READ, "beginning to read", error);
    store->readers += status == NM_OK;
    return status;
}

void nm_store_leave_read(nm_store *store) {
    if (store->in_transaction) return;
    NM_ASSERT(store->readers > 0);
    if (--store->readers == 0 && !sqlite3_get_autocommit(store->db))
        (void)run_plain(store, NM_SQL_COMMIT, "ending to read", NULL);
}

// --- schema ----------------------------------------------------------------------------------------------------------

/// Steps from older schemas, oldest first. A new step goes together with a changed schema, a larger NM_STORE_SCHEMA,
/// and the old schema kept as a test fixture.
static const nm_migration migrations[] = {{1, (const char *)nm_schema_generation_sql}};
static const size_t migration_count = sizeof migrations / sizeof *migrations;

nm_status nm_store_migrate(nm_store *store, const nm_migration *steps, size_t count, int target, nm_error *error) {
    nm_status status = nm_store_exec(store, "BEGIN IMMEDIATE", "beginning to migrate", error);
    int64_t version = 0;
    if (status == NM_OK) // read under the lock: another process may just have done it
        status = nm_store_integer(store, "PRAGMA user_version", 0, &version, error);
    if (status == NM_OK && version > target)
        status = NM_ERROR_AT(error, NM_E_VERSION, store->path, 0, -1,
                             "the store has schema %" PRId64 ", this program (" NM_VERSION
                             ") knows up to %d: use a newer nearmiss",
                             version, target);
    while (status == NM_OK && version < target) {
        const nm_migration *step = NULL;
        for (size_t i = 0; i < count && !step; i++) step = steps[i].from == version ? &steps[i] : NULL;
        if (!step) {
            status = NM_ERROR_AT(error, NM_E_VERSION, store->path, 0, -1,
                                 "the store has schema %" PRId64 ", which is older than this program (" NM_VERSION
                                 ", schema %d) can migrate",
                                 version, target);
            break;
        }
        status = nm_store_exec(store, step->sql, "migrating the schema", error);
        char sql[160];
        version++;
        snprintf(sql, sizeof sql,
                 "PRAGMA user_version = %" PRId64 "; UPDATE meta SET value = %" PRId64 " WHERE name = 'schema_version'",
                 version, version);
        if (status == NM_OK) status = nm_store_exec(store, sql, "migrating the schema", error);
    }
    if (status == NM_OK) status = nm_store_exec(store, "COMMIT", "migrating the schema", error);
    if (status != NM_OK && !sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/// Kinds that this program knows and the store does not (they are only ever added).
static nm_status add_kinds(nm_store *store, nm_error *error) {
    int64_t known = 0;
    nm_status status = nm_store_integer(store, "SELECT count(*) FROM kind", 0, &known, error);
    sqlite3_stmt *statement = NULL;
    if (status != NM_OK || known >= NM_KIND_COUNT) return status;
    int result = sqlite3_prepare_v2(store->db, "INSERT OR IGNORE INTO kind (id, name, definition) VALUES (?1, ?2, ?3)",
                                    -1, &statement, NULL);
    for (int kind = 0; kind < NM_KIND_COUNT && result == SQLITE_OK; kind++) {
        const nm_detector_info *info = nm_detector((nm_kind)kind);
        sqlite3_bind_int(statement, 1, kind);
        sqlite3_bind_text(statement, 2, info->name, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 3, info->definition, -1, SQLITE_STATIC);
        result = sqlite3_step(statement) == SQLITE_DONE ? sqlite3_reset(statement) : sqlite3_reset(statement);
    }
    if (result != SQLITE_OK) status = nm_store_fail(store, result, "naming the kinds", error);
    sqlite3_finalize(statement);
    return status;
}

/// Makes the schema in an empty database, in one transaction. Another process may be doing the same: whoever comes
/// second finds it done.
static nm_status create_schema(nm_store *store, nm_error *error) {
    nm_status status = nm_store_exec(store, "BEGIN IMMEDIATE", "creating the store", error);
    int64_t tables = 0;
    if (status == NM_OK) status = nm_store_integer(store, "SELECT count(*) FROM sqlite_schema", 0, &tables, error);
    if (status == NM_OK && tables == 0) {
        char sql[512];
        snprintf(sql, sizeof sql,
                 "PRAGMA application_id = %d; PRAGMA user_version = %d; INSERT INTO meta (name, value) VALUES "
                 "('schema_version', %d), ('program', 'nearmiss " NM_VERSION "'), ('like_scale', %g), "
                 "('created_utc', strftime('%%Y-%%m-%%dT%%H:%%M:%%SZ', 'now'))",
                 NM_STORE_APPLICATION_ID, NM_STORE_SCHEMA, NM_STORE_SCHEMA, (double)NM_LIKE_SCALE);
        status = nm_store_exec(store, (const char *)nm_schema_sql, "creating the store", error);
        if (status == NM_OK)
            status = nm_store_exec(store, (const char *)nm_schema_generation_sql, "creating the store", error);
        if (status == NM_OK) status = nm_store_exec(store, sql, "creating the store", error);
        if (status == NM_OK) status = add_kinds(store, error);
    }
    if (status == NM_OK) status = nm_store_exec(store, "COMMIT", "creating the store", error);
    if (status != NM_OK && !sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/// An empty file or database is a store to be; anything else must carry our mark.
static nm_status identify(nm_store *store, int *empty, int *old, nm_error *error) {
    int64_t application = 0, version = 0, tables = 0;
    // one look at the file: somebody else may be making it between two
    nm_status status = nm_store_exec(store, "BEGIN", "reading the store", error);
    if (status == NM_OK) status = nm_store_integer(store, "PRAGMA application_id", 0, &application, error);
    if (status == NM_OK) status = nm_store_integer(store, "PRAGMA user_version", 0, &version, error);
    if (status == NM_OK) status = nm_store_integer(store, "SELECT count(*) FROM sqlite_schema", 0, &tables, error);
    if (!sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    if (status != NM_OK) return status;
    *empty = application == 0 && version == 0 && tables == 0;
    *old = !*empty && version < NM_STORE_SCHEMA;
    if (*empty && store->mode != NM_STORE_CREATE)
        return NM_ERROR_AT(error, NM_E_FORMAT, store->path, 0, -1, "is empty, not a store");
    if (!*empty && application != NM_STORE_APPLICATION_ID)
        return NM_ERROR_AT(error, NM_E_FORMAT, store->path, 0, -1,
                           "is a SQLite database of another program, not a nearmiss store");
    if (version > NM_STORE_SCHEMA)
        return NM_ERROR_AT(error, NM_E_VERSION, store->path, 0, -1,
                           "the store has schema %" PRId64 ", this program (" NM_VERSION
                           ") knows up to %d: use a newer nearmiss",
                           version, NM_STORE_SCHEMA);
    store->schema = (int)version;
    if (version < NM_STORE_READABLE && *old && store->mode == NM_STORE_READ)
        return NM_ERROR_AT(error, NM_E_VERSION, store->path, 0, -1,
                           "the store has schema %" PRId64 ", this program (" NM_VERSION
                           ") reads %d: any command that writes, such as import, brings it up to date",
                           version, NM_STORE_SCHEMA);
    return NM_OK;
}

// --- opening ---------------------------------------------------------------------------------------------------------

/// What is decided before SQLite sees the path: it would make a database of a missing file, and say little of others.
static nm_status look_at(const char *path, nm_store_mode mode, nm_error *error) {
    struct stat info;
    if (path[0] == '\0') return NM_ERROR(error, NM_E_ARGUMENT, "the name of the store is empty");
    if (stat(path, &info) != 0) {
        if (errno == ENOENT && mode == NM_STORE_CREATE) return NM_OK;
        if (errno == ENOENT)
            return NM_ERROR_AT(error, NM_E_NOT_FOUND, path, 0, -1,
                               "there is no such store (nearmiss import FILE --store %s makes one)", path);
        return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "%s", strerror(errno));
    }
    if (S_ISDIR(info.st_mode)) return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "is a directory, not a store");
    if (!S_ISREG(info.st_mode)) return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "is not a regular file");
    if (access(path, R_OK) != 0) return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "%s", strerror(errno));
    if (mode != NM_STORE_READ && access(path, W_OK) != 0)
        return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "cannot be written: %s", strerror(errno));
    return NM_OK;
}

/// "file:PATH?immutable=1": how SQLite reads a WAL database where it may not write the files beside it.
static char *immutable_uri(const char *path) {
    static const char hex[] = "0123456789abcdef";
    char *uri = malloc(strlen(path) * 3 + 32);
    if (!uri) return NULL;
    char *out = uri + sprintf(uri, "file:%s", path[0] == '/' ? "" : "./");
    for (const unsigned char *in = (const unsigned char *)path; *in; in++) {
        if (strchr("?#%", *in) || *in < 0x20 || *in > 0x7e) {
            *out++ = '%';
            *out++ = hex[*in >> 4];
            *out++ = hex[*in & 15];
        } else {
            *out++ = (char)*in;
        }
    }
    strcpy(out, "?immutable=1");
    return uri;
}

/// No write-ahead log that holds anything: then the file alone is the whole store.
static int log_is_empty(const char *path) {
    char name[4096];
    struct stat info;
    if (snprintf(name, sizeof name, "%s-wal", path) >= (int)sizeof name) return 0;
    return stat(name, &info) != 0 || info.st_size == 0;
}

static nm_status connect_to(nm_store *store, int immutable, nm_error *error) {
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    flags |= store->mode == NM_STORE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    flags |= store->mode == NM_STORE_CREATE ? SQLITE_OPEN_CREATE : 0;
    // a path is a path: ":memory:" and "file:..." mean nothing special
    char *name = immutable ? immutable_uri(store->path) : malloc(strlen(store->path) + 3);
    if (!name) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    if (!immutable) sprintf(name, "%s%s", store->path[0] == '/' ? "" : "./", store->path);
    int result = sqlite3_open_v2(name, &store->db, flags | (immutable ? SQLITE_OPEN_URI : 0), NULL);
    free(name);
    if (result != SQLITE_OK) return nm_store_fail(store, result, "opening the store", error);
    sqlite3_busy_handler(store->db, on_busy, store);
    sqlite3_progress_handler(store->db, 4000, on_progress, store);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    // a file from elsewhere may hold other views and triggers than ours; only writing needs one that uses the R*Tree
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, store->mode != NM_STORE_READ, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    // "text" in double quotes is a column or an error, never silently a string
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    return nm_store_exec(store, "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0",
                         "opening the store", error);
}

/// Write-ahead logging survives a killed process with synchronous = NORMAL, which syncs at checkpoints only.
static nm_status tune(nm_store *store, nm_error *error) {
    char sql[256];
    if (store->mode == NM_STORE_READ)
        return nm_store_exec(store, "PRAGMA cache_size = -65536", "opening the store", error);
    snprintf(sql, sizeof sql,
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = OFF; "
             "PRAGMA cache_size = -%d; PRAGMA wal_autocheckpoint = %u; PRAGMA journal_size_limit = %u",
             NM_STORE_CACHE, NM_STORE_CHECKPOINT / NM_STORE_PAGE, 2 * NM_STORE_CHECKPOINT);
    return nm_store_exec(store, sql, "opening the store", error);
}

/// Two processes may make the same store at once; while one switches the new file to WAL, SQLite tells the other "busy"
/// without asking the busy handler.
static nm_status prepare_new(nm_store *store, nm_error *error) {
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA page_size = %d", NM_STORE_PAGE);
    nm_status status = nm_store_exec(store, sql, "creating the store", error);
    if (status != NM_OK) return status;
    status = tune(store, error);
    for (int calls = 0; status == NM_E_BUSY && on_busy(store, calls); calls++) status = tune(store, error);
    return status == NM_OK ? create_schema(store, error) : status;
}

static nm_status open_database(nm_store *store, nm_error *error) {
    int empty = 0, old = 0;
    nm_status status = connect_to(store, 0, error);
    if (status == NM_OK) status = identify(store, &empty, &old, error);
    if (status == NM_E_IO && store->mode == NM_STORE_READ && log_is_empty(store->path)) {
        sqlite3_close(store->db);
        store->db = NULL;
        nm_error_clear(error);
        status = connect_to(store, 1, error);
        if (status == NM_OK) status = identify(store, &empty, &old, error);
    }
    if (status != NM_OK) return status;
    if (store->mode != NM_STORE_READ) store->schema = NM_STORE_SCHEMA; // once this has gone well
    if (empty) return prepare_new(store, error);
    status = tune(store, error);
    if (status == NM_OK && old && store->mode != NM_STORE_READ)
        status = nm_store_migrate(store, migrations, migration_count, NM_STORE_SCHEMA, error);
    if (status == NM_OK && store->mode != NM_STORE_READ) status = add_kinds(store, error);
    return status;
}

nm_status nm_store_open(const char *path, nm_store_mode mode, nm_store **out, nm_error *error) {
    NM_ASSERT(path && out);
    *out = NULL;
    nm_error local;
    error = error ? error : &local;
    nm_error_clear(error);
    nm_status status = look_at(path, mode, error);
    if (status != NM_OK) return status;
    nm_store *store = calloc(1, sizeof *store);
    if (!store) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    store->mode = mode;
    store->block = -1;
    store->path = malloc(strlen(path) + 1);
    store->vectors = malloc(NM_BLOCK_BYTES);
    if (!store->path || !store->vectors) {
        nm_store_close(store);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    }
    strcpy(store->path, path);
    status = open_database(store, error);
    if (status != NM_OK) {
        nm_store_close(store);
        return status;
    }
    *out = store;
    return NM_OK;
}

void nm_store_close(nm_store *store) {
    if (!store) return;
    nm_store_rollback(store);
    for (int i = 0; i < NM_SQL_COUNT; i++) sqlite3_finalize(store->statements[i]);
    for (int i = 0; i < NM_STORE_MAPS; i++) nm_map_release(store->maps[i].map);
    sqlite3_close(store->db); // the last connection copies the log into the file and syncs it
    nm_packer_destroy(store->packer);
    ZSTD_freeDCtx(store->decompressor);
    free(store->vectors);
    free(store->path);
    free(store);
}
