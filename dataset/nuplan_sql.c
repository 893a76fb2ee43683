/// Other people's SQLite files. What a file may contain that acts (views, triggers, virtual tables, generated columns
/// that call functions) is never run, what it may contain that is large is bounded, and it is taken as it lies there:
/// neither locked nor recovered from a journal.
#include <math.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/decimal.h"
#include "dataset/nuplan.h"

#define WORK_TICK 1000                     // instructions between two calls of on_progress
#define WORK_BASE UINT64_C(1000000)        // ticks that any file may take
#define WORK_OF_BYTES(size) ((size) / 32u) // and those of a large one: tens of instructions a byte
#define MAX_BLOB (64 << 20)

static int on_progress(void *context) {
    nm_np_database *database = context;
    if (database->work == 0) return 1;
    database->work--;
    return 0;
}

/// Reading columns of tables is all that statements do here.
static int on_action(void *context, int action, const char *a, const char *b, const char *c, const char *d) {
    (void)context, (void)a, (void)b, (void)c, (void)d;
    return action == SQLITE_SELECT || action == SQLITE_READ ? SQLITE_OK : SQLITE_DENY;
}

static void restrict_database(sqlite3 *db, nm_np_database *database) {
    static const int limits[][2] = {
        {SQLITE_LIMIT_LENGTH, MAX_BLOB}, {SQLITE_LIMIT_SQL_LENGTH, 100000},       {SQLITE_LIMIT_COLUMN, 200},
        {SQLITE_LIMIT_EXPR_DEPTH, 100},  {SQLITE_LIMIT_COMPOUND_SELECT, 2},       {SQLITE_LIMIT_VDBE_OP, 25000},
        {SQLITE_LIMIT_ATTACHED, 0},      {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100}, {SQLITE_LIMIT_VARIABLE_NUMBER, 10},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 1}, {SQLITE_LIMIT_WORKER_THREADS, 0},        {SQLITE_LIMIT_FUNCTION_ARG, 10}};
    static const int switches[][2] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
                                      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                      {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
                                      {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                                      {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
                                      {SQLITE_DBCONFIG_DQS_DDL, 0},
                                      {SQLITE_DBCONFIG_DQS_DML, 0}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; ++i) sqlite3_limit(db, limits[i][0], limits[i][1]);
    for (size_t i = 0; i < sizeof switches / sizeof *switches; ++i)
        sqlite3_db_config(db, switches[i][0], switches[i][1], NULL);
    sqlite3_extended_result_codes(db, 1);
    sqlite3_progress_handler(db, WORK_TICK, on_progress, database);
    // pages are checked for what corrupts memory elsewhere; no part of the file is mapped: one that shrinks would kill
    (void)sqlite3_exec(db, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA cache_size = -16000", NULL, NULL,
                       NULL);
    sqlite3_set_authorizer(db, on_action, NULL);
}

/// SQLite's own words name no secret and say more than a code.
static nm_status refuse(const nm_np_database *database, const char *doing) {
    const int code = database->db ? sqlite3_errcode(database->db) : SQLITE_NOMEM;
    if (code == SQLITE_NOMEM)
        return NM_ERROR_AT(database->error, NM_E_MEMORY, database->name, 0, -1, "out of memory: %s", doing);
    if (code == SQLITE_INTERRUPT)
        return NM_ERROR_AT(database->error, NM_E_LIMIT, database->name, 0, -1,
                           "%s takes far longer than a file of this size can need", doing);
    nm_status status = code == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR ? NM_E_IO : NM_E_FORMAT;
    return NM_ERROR_AT(database->error, status, database->name, 0, -1, "%s: %s", doing, sqlite3_errmsg(database->db));
}

/// "file:PATH?immutable=1", whatever characters the path has; NULL without memory.
static char *uri_of(const char *path) {
    static const char hex[] = "0123456789ABCDEF";
    const size_t length = strlen(path);
    char *uri = malloc(3 * length + 32), *to = uri;
    if (!uri) return NULL;
    to += sprintf(to, "file:%s", path[0] == '/' ? "" : "./");
    for (const char *at = path; *at; ++at) {
        const unsigned char c = (unsigned char)*at;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("/._-", c)) {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        }
    }
    strcpy(to, "?immutable=1");
    return uri;
}

nm_status nm_np_open(nm_np_database *database, const char *name, const char *what, const void *bytes, size_t size,
                     nm_error *error) {
    *database = (nm_np_database){.name = name, .what = what, .error = error};
    char *uri = bytes ? NULL : uri_of(name);
    const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    // bytes become the content of a database in memory; what is opened before that has none
    int result = bytes || uri
                     ? sqlite3_open_v2(bytes ? ":memory:" : uri, &database->db,
                                       bytes ? flags ^ SQLITE_OPEN_READONLY ^ SQLITE_OPEN_READWRITE : flags, NULL)
                     : SQLITE_NOMEM;
    free(uri);
    if (result == SQLITE_OK && bytes)
        result = sqlite3_deserialize(database->db, "main", (unsigned char *)(uintptr_t)bytes, (sqlite3_int64)size,
                                     (sqlite3_int64)size, SQLITE_DESERIALIZE_READONLY);
    if (result != SQLITE_OK) return refuse(database, "opening it");
    database->work = WORK_BASE + WORK_OF_BYTES(size);
    restrict_database(database->db, database);
    return NM_OK;
}

void nm_np_close(nm_np_database *database) {
    if (database->db) sqlite3_close(database->db);
    database->db = NULL;
}

int nm_np_has_table(const nm_np_database *database, const char *table) {
    sqlite3_stmt *statement = NULL;
    int found = 0;
    // virtual tables have no root page, views are of another type
    if (sqlite3_prepare_v2(database->db,
                           "SELECT 1 FROM sqlite_master WHERE name = ?1 AND type = 'table' AND rootpage > 0", -1,
                           &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC) == SQLITE_OK)
        found = sqlite3_step(statement) == SQLITE_ROW;
    sqlite3_finalize(statement);
    return found;
}

int nm_np_has_column(const nm_np_database *database, const char *table, const char *column) {
    return sqlite3_table_column_metadata(database->db, "main", table, column, NULL, NULL, NULL, NULL, NULL) ==
           SQLITE_OK;
}

nm_status nm_np_need_tables(const nm_np_database *database, const char *kind, const char *const *tables) {
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(database->db, "SELECT 1 FROM sqlite_master", -1, &statement, NULL);
    if (result == SQLITE_OK) result = sqlite3_step(statement);
    nm_status status = result == SQLITE_ROW || result == SQLITE_DONE ? NM_OK : refuse(database, "reading its tables");
    sqlite3_finalize(statement);
    for (; status == NM_OK && *tables; ++tables)
        if (!nm_np_has_table(database, *tables))
            status = NM_ERROR_AT(database->error, NM_E_FORMAT, database->name, 0, -1, "no %s %s: not %s", kind, *tables,
                                 database->what);
    return status;
}

// --- queries ---------------------------------------------------------------------------------------------------------

nm_np_query nm_np_select(nm_np_database *database, const char *table, const char *columns, const char *rest) {
    nm_np_query query = {.database = database, .table = table};
    char sql[1024], doing[128];
    const int length = snprintf(sql, sizeof sql, "SELECT %s FROM %s %s", columns, table, rest);
    NM_ASSERT(length > 0 && (size_t)length < sizeof sql);
    snprintf(doing, sizeof doing, "table %s", table);
    if (sqlite3_prepare_v2(database->db, sql, -1, &query.statement, NULL) != SQLITE_OK)
        query.status = refuse(database, doing);
    return query;
}

static int step(nm_np_query *query) {
    const int result = sqlite3_step(query->statement);
    if (result == SQLITE_ROW) return 1;
    if (result != SQLITE_DONE) {
        char doing[160];
        snprintf(doing, sizeof doing, "table %s, behind row %llu", query->table, (unsigned long long)query->row);
        query->status = refuse(query->database, doing);
    }
    return 0;
}

int nm_np_next(nm_np_query *query) {
    if (query->status != NM_OK || !step(query)) return 0;
    query->row++;
    return 1;
}

int nm_np_find_row(nm_np_query *query, int64_t rowid) {
    if (query->status != NM_OK) return 0;
    sqlite3_reset(query->statement);
    sqlite3_bind_int64(query->statement, 1, rowid);
    query->row = (uint64_t)rowid;
    return step(query);
}

nm_status nm_np_finish(nm_np_query *query) {
    sqlite3_finalize(query->statement);
    query->statement = NULL;
    return query->status;
}

nm_status nm_np_wrong(nm_np_query *query, const char *format, ...) {
    if (query->status != NM_OK) return query->status;
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    query->status = NM_ERROR_AT(query->database->error, NM_E_FORMAT, query->database->name, 0, -1,
                                "table %s, row %llu: %s", query->table, (unsigned long long)query->row, text);
    return query->status;
}

static int wrong_type(nm_np_query *query, int column, const char *wanted) {
    nm_np_wrong(query, "%s is not %s", sqlite3_column_name(query->statement, column), wanted);
    return 0;
}

int nm_np_is_null(const nm_np_query *query, int column) {
    return sqlite3_column_type(query->statement, column) == SQLITE_NULL;
}

uint64_t nm_np_token(nm_np_query *query, int column) {
    const uint8_t *bytes = sqlite3_column_type(query->statement, column) == SQLITE_BLOB
                               ? sqlite3_column_blob(query->statement, column)
                               : NULL;
    if (!bytes || sqlite3_column_bytes(query->statement, column) != 8)
        return (uint64_t)wrong_type(query, column, "a token of 8 bytes");
    uint64_t token = 0;
    for (int i = 0; i < 8; ++i) token = token << 8 | bytes[i];
    return token;
}

int64_t nm_np_integer(nm_np_query *query, int column) {
    if (sqlite3_column_type(query->statement, column) != SQLITE_INTEGER) return wrong_type(query, column, "an integer");
    return sqlite3_column_int64(query->statement, column);
}

double nm_np_real(nm_np_query *query, int column) {
    const int type = sqlite3_column_type(query->statement, column);
    const double value = sqlite3_column_double(query->statement, column);
    if ((type != SQLITE_FLOAT && type != SQLITE_INTEGER) || !isfinite(value))
        return wrong_type(query, column, "a finite number");
    return value;
}

int nm_np_number(nm_np_query *query, int column, double *value) {
    *value = 0.0;
    if (nm_np_is_null(query, column)) return 0;
    if (sqlite3_column_type(query->statement, column) == SQLITE_TEXT) {
        char text[40];
        nm_np_text(query, column, text, sizeof text);
        if (!text[0] || strcmp(text, "nan") == 0) return 0;
        if (!nm_decimal_parse(text, strlen(text), value)) return wrong_type(query, column, "a number");
    } else {
        *value = nm_np_real(query, column);
    }
    return query->status == NM_OK;
}

void nm_np_text(nm_np_query *query, int column, char *text, size_t size) {
    const int type = sqlite3_column_type(query->statement, column);
    text[0] = '\0';
    if (type == SQLITE_NULL) return;
    const unsigned char *from = type == SQLITE_TEXT || type == SQLITE_INTEGER || type == SQLITE_FLOAT
                                    ? sqlite3_column_text(query->statement, column)
                                    : NULL;
    if (!from) {
        (void)wrong_type(query, column, "text");
        return;
    }
    size_t i = 0;
    for (; from[i] && i + 1 < size; ++i) text[i] = from[i] < 0x20 || from[i] >= 0x7f ? ' ' : (char)from[i];
    text[i] = '\0';
}

const void *nm_np_blob(nm_np_query *query, int column, size_t *size) {
    *size = 0;
    if (sqlite3_column_type(query->statement, column) != SQLITE_BLOB) {
        (void)wrong_type(query, column, "a BLOB");
        return NULL;
    }
    const void *blob = sqlite3_column_blob(query->statement, column);
    if (!blob) {
        (void)wrong_type(query, column, "a BLOB with anything in it");
        return NULL;
    }
    *size = (size_t)sqlite3_column_bytes(query->statement, column);
    return blob;
}
