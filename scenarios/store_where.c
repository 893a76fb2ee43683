/// Conditions that users write (`find --where`): read as SQL, trusted with nothing.
///
/// Three fences. A scanner makes sure that the text is one expression, so that nothing can follow it or close the
/// parenthesis it is put in. SQLite compiles it alone under an authorizer that knows which tables, columns and
/// functions may be read; whatever else SQL can do is refused there. While it runs, values are small and the progress
/// handler of store_open.c ends it when time is up or the user interrupts.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/store_internal.h"

#define WHERE_NAME "--where"

// --- one expression --------------------------------------------------------------------------------------------------

/// The end of the quoted or commented stretch that begins at `at`, or NULL when it never ends. `at` itself when none
/// begins there.
static const char *skip_quoted(const char *at) {
    if (at[0] == '-' && at[1] == '-') {
        const char *end = strchr(at, '\n');
        return end ? end : at + strlen(at); // a newline is put behind the text
    }
    if (at[0] == '/' && at[1] == '*') {
        const char *end = strstr(at + 2, "*/");
        return end ? end + 2 : NULL;
    }
    const char close = *at == '[' ? ']' : *at;
    if (!strchr("'\"`[", *at)) return at;
    const char *end = strchr(at + 1, close);
    while (end && close != ']' && end[1] == close) // a doubled quote stands for itself
        end = strchr(end + 2, close);
    return end ? end + 1 : NULL;
}

static nm_status scan(const char *text, nm_error *error) {
    int depth = 0;
    for (const char *at = text; *at;) {
        const char *next = skip_quoted(at);
        const long long place = at - text;
        if (!next)
            return NM_ERROR_AT(error, NM_E_ARGUMENT, WHERE_NAME, 0, place, "what begins with %c here never ends", *at);
        if (next != at) {
            at = next;
            continue;
        }
        if (*at == ';') return NM_ERROR_AT(error, NM_E_ARGUMENT, WHERE_NAME, 0, place, "one condition only: no ';'");
        depth += (*at == '(') - (*at == ')');
        if (depth < 0) return NM_ERROR_AT(error, NM_E_ARGUMENT, WHERE_NAME, 0, place, "')' without '('");
        at++;
    }
    if (depth) return NM_ERROR_AT(error, NM_E_ARGUMENT, WHERE_NAME, 0, -1, "%d '(' without ')'", depth);
    return NM_OK;
}

// --- what it may do --------------------------------------------------------------------------------------------------

static int listed(const char *name, const char *const *list) {
    for (; *list; list++)
        if (sqlite3_stricmp(name, *list) == 0) return 1;
    return 0;
}

static const char *const tables[] = {"events", "scenes",      "kinds",    "sources",    "event",
                                     "scene",  "kind",        "source",   "map",        "mining",
                                     "meta",   "criticality", "imported", "scene_text", NULL};
static const char *const blobs[] = {"content", "feature", NULL};
static const char *const functions[] = {
    "abs",    "round",        "min",       "max",        "coalesce", "ifnull",    "nullif",   "iif",
    "length", "lower",        "upper",     "like",       "glob",     "instr",     "substr",   "substring",
    "trim",   "ltrim",        "rtrim",     "replace",    "printf",   "format",    "typeof",   "sign",
    "json",   "json_extract", "json_type", "json_valid", "->",       "->>",       "count",    "sum",
    "avg",    "total",        "date",      "time",       "datetime", "julianday", "strftime", "unixepoch",
    "sqrt",   "pow",          "power",     "exp",        "ln",       "log",       "log10",    "log2",
    "mod",    "pi",           "sin",       "cos",        "tan",      "asin",      "acos",     "atan",
    "atan2",  "degrees",      "radians",   "ceil",       "ceiling",  "floor",     "trunc",    "unlikely",
    "likely", "likelihood",   NULL};

/// SQLite asks about every table, column, function and statement while it compiles.
static int authorize(void *context, int action, const char *first, const char *second, const char *schema,
                     const char *inner) {
    char *refused = context; // the first refusal is the one that is told
    const char *what = "do anything but read";
    const char *name = "";
    (void)schema;
    (void)inner;
    switch (action) {
    case SQLITE_SELECT:
        return SQLITE_OK;
    case SQLITE_READ:
        if (listed(first, tables) && !listed(second, blobs)) return SQLITE_OK;
        what = listed(first, tables) ? "read the column " : "read the table ";
        name = listed(first, tables) ? second : first;
        break;
    case SQLITE_FUNCTION:
        if (listed(second, functions)) return SQLITE_OK;
        what = "call ";
        name = second;
        break;
    case SQLITE_RECURSIVE:
        what = "recurse";
        break;
    default:
        break;
    }
    if (!refused[0]) snprintf(refused, 128, "a condition may not %s%s", what, name);
    return SQLITE_DENY;
}

static nm_status compile_error(nm_store *store, const char *refused, nm_error *error) {
    const char *message = sqlite3_errmsg(store->db);
    const char *hint = "";
    if (refused[0]) return NM_ERROR_AT(error, NM_E_ARGUMENT, WHERE_NAME, 0, -1, "%s", refused);
    if (strstr(message, "no such column"))
        hint = " (text goes in single quotes; the columns are those of the view events)";
    return NM_ERROR_AT(error, NM_E_ARGUMENT, WHERE_NAME, 0, -1, "%s%s", message, hint);
}

nm_status nm_where_check(nm_store *store, const char *text, nm_error *error) {
    static const char before[] = "SELECT 1 FROM events WHERE (", after[] = "\n)";
    size_t size = strlen(text);
    if (size > NM_STORE_MAX_WHERE)
        return NM_ERROR_AT(error, NM_E_LIMIT, WHERE_NAME, 0, -1, "%zu bytes are too many: at most %u", size,
                           NM_STORE_MAX_WHERE);
    nm_status status = scan(text, error);
    if (status != NM_OK) return status;
    char *sql = malloc(sizeof before + size + sizeof after);
    if (!sql) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    sprintf(sql, "%s%s%s", before, text, after);
    char refused[128] = "";
    sqlite3_stmt *statement = NULL;
    sqlite3_set_authorizer(store->db, authorize, refused);
    int result = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    sqlite3_set_authorizer(store->db, NULL, NULL);
    free(sql);
    if (result != SQLITE_OK)
        status = (result & 0xff) == SQLITE_ERROR || (result & 0xff) == SQLITE_AUTH
                     ? compile_error(store, refused, error)
                     : nm_store_fail(store, result, "reading the condition", error);
    else if (sqlite3_bind_parameter_count(statement) > 0)
        status = NM_ERROR_AT(error, NM_E_ARGUMENT, WHERE_NAME, 0, -1, "a condition has no parameters (?, :name)");
    else if (!sqlite3_stmt_readonly(statement))
        status = NM_ERROR_AT(error, NM_E_ARGUMENT, WHERE_NAME, 0, -1, "a condition only reads");
    sqlite3_finalize(statement);
    return status;
}

void nm_where_enter(nm_store *store) {
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, 1 << 20);
    sqlite3_limit(store->db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000);
}

void nm_where_leave(nm_store *store) {
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, (int)NM_STORE_MAX_BLOB);
    sqlite3_limit(store->db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50000);
}
