/// Searching: conditions to SQL, the index that fits how many rows a range holds, hits to the caller.
///
/// A search has two steps: one statement yields the ids of the events in order, which is where indexes matter; then
/// each hit is read by its id. Users' conditions run over the view `events`, all others over the table `event`, whose
/// column names are the same.
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "scenarios/store_internal.h"

#define FEW 4000 ///< rows that are faster collected and sorted than walked past in order of severity

nm_query nm_query_default(void) {
    return (nm_query){.kind = -1,
                      .ttc_min = NAN,
                      .ttc_max = NAN,
                      .distance_min = NAN,
                      .distance_max = NAN,
                      .severity_min = NAN,
                      .limit = 20,
                      .seconds = 60};
}

// --- text ------------------------------------------------------------------------------------------------------------

typedef struct nm_text {
    char *bytes;
    size_t size, capacity;
    int failed;
} nm_text;

static void append(nm_text *text, const char *format, ...) NM_PRINTF(2, 3);
static void append(nm_text *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int needed = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    size_t wanted = text->size + (size_t)(needed < 0 ? 0 : needed) + 1;
    if (!text->failed && wanted > text->capacity) {
        char *moved = realloc(text->bytes, wanted * 2);
        text->failed = !moved;
        if (moved) {
            text->bytes = moved;
            text->capacity = wanted * 2;
        }
    }
    if (!text->failed && needed >= 0) {
        vsnprintf(text->bytes + text->size, (size_t)needed + 1, format, again);
        text->size += (size_t)needed;
    }
    va_end(again);
}

/// Words to an FTS5 expression that holds nothing but strings: "word" "pre"* mean both must be found.
static char *fts_expression(const char *words) {
    char *out = malloc(strlen(words) * 3 + 8), *to = out;
    if (!out) return NULL;
    while (*words) {
        size_t size = strcspn(words, " \t\r\n");
        size_t prefix = size > 1 && words[size - 1] == '*';
        if (size) {
            *to++ = '"';
            for (size_t i = 0; i < size - prefix; i++) {
                if (words[i] == '"') *to++ = '"';
                *to++ = words[i];
            }
            *to++ = '"';
            if (prefix) *to++ = '*';
            *to++ = ' ';
        }
        words += size;
        words += strspn(words, " \t\r\n");
    }
    *to = '\0';
    return out;
}

// --- the statement ---------------------------------------------------------------------------------------------------

typedef struct nm_search {
    nm_store *store;
    const nm_query *query;
    char *fts; ///< NULL = any text
    nm_hit_sink *sink;
    void *context;
    uint64_t hits;
} nm_search;

static int about_events(const nm_query *query) {
    return query->kind >= 0 || !isnan(query->ttc_min) || !isnan(query->ttc_max) || !isnan(query->distance_min) ||
           !isnan(query->distance_max) || !isnan(query->severity_min) || query->where;
}

/// " FROM ... WHERE ..." with the names of parameters that bind_all binds.
static void append_conditions(nm_text *sql, const nm_search *search, const char *index, int by_range) {
    const nm_query *query = search->query;
    const char *t = query->where ? "events" : "event";
    append(sql, " FROM %s%s WHERE 1", t, index);
    if (query->kind >= 0)
        append(sql, query->where ? " AND events.kind = (SELECT name FROM kind WHERE id = :kind)"
                                 : " AND event.kind = :kind");
    if (!isnan(query->ttc_min)) append(sql, " AND %s.min_ttc_s >= :ttc_min", t);
    if (!isnan(query->ttc_max)) append(sql, " AND %s.min_ttc_s <= :ttc_max", t);
    if (!isnan(query->distance_min)) append(sql, " AND %s.min_distance_m >= :distance_min", t);
    if (!isnan(query->distance_max)) append(sql, " AND %s.min_distance_m <= :distance_max", t);
    if (!isnan(query->severity_min)) append(sql, " AND %s.severity >= :severity", t);
    if (search->fts) append(sql, " AND %s.scene IN (SELECT rowid FROM scene_fts WHERE scene_fts MATCH :text)", t);
    if (query->source && query->where)
        append(sql, " AND events.source = :source");
    else if (query->source)
        append(sql,
               " AND (SELECT source FROM scene WHERE id = event.scene) = (SELECT id FROM source WHERE name = :source)");
    if (by_range)
        append(sql, " AND event.id IN (SELECT id FROM event_rtree WHERE ttc_high_s >= :low_ttc AND ttc_low_s <= "
                    ":high_ttc AND distance_high_m >= :low_distance AND distance_low_m <= :high_distance AND "
                    "kind_high >= :low_kind AND kind_low <= :high_kind)");
    if (query->where) append(sql, " AND (%s\n)", query->where);
}

static void bind_real(sqlite3_stmt *statement, const char *name, double value) {
    int index = sqlite3_bind_parameter_index(statement, name);
    if (index) sqlite3_bind_double(statement, index, value);
}

static double or_else(double value, double open) {
    return isnan(value) ? open : fmax(-NM_RTREE_MISSING, fmin(value, NM_RTREE_MISSING));
}

/// Every parameter that the statement names.
static void bind_all(sqlite3_stmt *statement, const nm_search *search) {
    const nm_query *query = search->query;
    bind_real(statement, ":kind", query->kind);
    bind_real(statement, ":ttc_min", query->ttc_min);
    bind_real(statement, ":ttc_max", query->ttc_max);
    bind_real(statement, ":distance_min", query->distance_min);
    bind_real(statement, ":distance_max", query->distance_max);
    bind_real(statement, ":severity", query->severity_min);
    bind_real(statement, ":low_ttc", or_else(query->ttc_min, -NM_RTREE_MISSING));
    bind_real(statement, ":high_ttc", or_else(query->ttc_max, NM_RTREE_MISSING));
    bind_real(statement, ":low_distance", or_else(query->distance_min, -NM_RTREE_MISSING));
    bind_real(statement, ":high_distance", or_else(query->distance_max, NM_RTREE_MISSING));
    bind_real(statement, ":low_kind", query->kind >= 0 ? query->kind : 0);
    bind_real(statement, ":high_kind", query->kind >= 0 ? query->kind : NM_KIND_COUNT);
    int text = sqlite3_bind_parameter_index(statement, ":text");
    int source = sqlite3_bind_parameter_index(statement, ":source");
    if (text) sqlite3_bind_text(statement, text, search->fts, -1, SQLITE_STATIC);
    if (source) sqlite3_bind_text(statement, source, query->source, -1, SQLITE_STATIC);
}

static nm_status prepare(const nm_search *search, nm_text *sql, sqlite3_stmt **statement, nm_error *error) {
    *statement = NULL;
    if (sql->failed) return NM_ERROR(error, NM_E_MEMORY, "out of memory: searching");
    int result = sqlite3_prepare_v2(search->store->db, sql->bytes, -1, statement, NULL);
    if (result != SQLITE_OK) return nm_store_fail(search->store, result, "searching", error);
    // the conditions were checked; this is the belt to those braces
    if (!sqlite3_stmt_readonly(*statement)) {
        sqlite3_finalize(*statement);
        *statement = NULL;
        return NM_ERROR(error, NM_E_ARGUMENT, "a search only reads");
    }
    bind_all(*statement, search);
    return NM_OK;
}

/// 1 when at most FEW events lie within the ranges, as the given index counts them.
static nm_status few(const nm_search *search, const char *select, int *answer, nm_error *error) {
    nm_text sql = {0};
    sqlite3_stmt *statement = NULL;
    append(&sql, "SELECT count(*) FROM (%s LIMIT %d)", select, FEW + 1);
    nm_status status = prepare(search, &sql, &statement, error);
    free(sql.bytes);
    if (status != NM_OK) return status;
    int result = sqlite3_step(statement);
    *answer = result == SQLITE_ROW && sqlite3_column_int64(statement, 0) <= FEW;
    if (result != SQLITE_ROW) status = nm_store_fail(search->store, result, "searching", error);
    sqlite3_finalize(statement);
    return status;
}

/// How to walk: a range that holds few events is collected and sorted; otherwise events are walked in order of severity
/// until there are enough hits. SQLite cannot know which it will be; counting to FEW costs well under a millisecond.
static nm_status choose(const nm_search *search, const char **index, int *by_range, nm_error *error) {
    const nm_query *query = search->query;
    const int ttc = !isnan(query->ttc_min) || !isnan(query->ttc_max);
    const int distance = !isnan(query->distance_min) || !isnan(query->distance_max);
    nm_status status = NM_OK;
    int answer = 0;
    *index = "";
    *by_range = 0;
    if (query->where || search->fts || query->source || query->limit == 0) return NM_OK;
    if (query->kind >= 0 && ttc) {
        status = few(search,
                     isnan(query->ttc_min)   ? "SELECT 1 FROM event WHERE kind = :kind AND min_ttc_s <= :ttc_max"
                     : isnan(query->ttc_max) ? "SELECT 1 FROM event WHERE kind = :kind AND min_ttc_s >= :ttc_min"
                                             : "SELECT 1 FROM event WHERE kind = :kind AND min_ttc_s BETWEEN :ttc_min "
                                               "AND :ttc_max",
                     &answer, error);
        if (status == NM_OK && answer) *index = " INDEXED BY event_kind_ttc";
    }
    if (status == NM_OK && !answer && (distance || (ttc && query->kind < 0))) {
        status = few(search,
                     "SELECT 1 FROM event_rtree WHERE ttc_high_s >= :low_ttc AND ttc_low_s <= :high_ttc AND "
                     "distance_high_m >= :low_distance AND distance_low_m <= :high_distance AND kind_high >= :low_kind "
                     "AND kind_low <= :high_kind",
                     &answer, error);
        *by_range = answer;
    }
    if (status == NM_OK && !answer)
        *index = query->kind >= 0 ? " INDEXED BY event_kind_severity" : " INDEXED BY event_severity";
    return status;
}

// --- hits ------------------------------------------------------------------------------------------------------------

static void copy_text(char *to, size_t size, sqlite3_stmt *statement, int column) {
    const unsigned char *text = sqlite3_column_text(statement, column);
    snprintf(to, size, "%s", text ? (const char *)text : "");
}

static nm_status give(nm_search *search, nm_hit *hit, nm_error *error) {
    search->hits++;
    return search->sink(search->context, hit, error);
}

/// Reads an event and hands it out.
static nm_status give_event(nm_search *search, int64_t event, double distance, nm_error *error) {
    nm_store *store = search->store;
    sqlite3_stmt *get = nm_store_statement(store, NM_SQL_HIT_EVENT, error);
    if (!get) return nm_store_status(store);
    nm_hit hit = {.distance = distance};
    sqlite3_bind_int64(get, 1, event);
    int result = sqlite3_step(get);
    nm_status status = NM_OK;
    if (result == SQLITE_ROW) {
        hit.event = sqlite3_column_int64(get, 0);
        hit.scene = sqlite3_column_int64(get, 1);
        if (!nm_column_event(get, 2, &hit.detail))
            status = NM_ERROR_AT(error, NM_E_FORMAT, store->path, 0, -1,
                                 "event %" PRId64 " is of a kind that this program does not know", event);
        hit.kind = (int)hit.detail.kind;
        copy_text(hit.source, sizeof hit.source, get, 21);
        copy_text(hit.scene_id, sizeof hit.scene_id, get, 22);
        copy_text(hit.file, sizeof hit.file, get, 23);
    } else {
        status = result == SQLITE_DONE ? NM_ERROR_AT(error, NM_E_FORMAT, store->path, 0, -1,
                                                     "event %" PRId64 " belongs to no scene", event)
                                       : nm_store_fail(store, result, "reading a hit", error);
    }
    sqlite3_reset(get);
    return status == NM_OK ? give(search, &hit, error) : status;
}

/// A scene without an event that fits.
static nm_status give_scene(nm_search *search, int64_t scene, double distance, nm_error *error) {
    nm_store *store = search->store;
    sqlite3_stmt *get = nm_store_statement(store, NM_SQL_HIT_SCENE, error);
    if (!get) return nm_store_status(store);
    nm_hit hit = {.scene = scene, .kind = -1, .distance = distance};
    hit.detail = (nm_event){.first_step = NM_NONE,
                            .last_step = NM_NONE,
                            .critical_step = NM_NONE,
                            .actor = NM_NONE,
                            .other = NM_NONE,
                            .min_ttc = NAN,
                            .min_distance = NAN,
                            .min_thw = NAN,
                            .max_drac = NAN,
                            .pet = NAN,
                            .min_ttr = NAN,
                            .closing_speed = NAN,
                            .gap = NAN,
                            .lateral_speed = NAN,
                            .deceleration = NAN,
                            .impact_speed = NAN,
                            .delta_v = NAN,
                            .severity = NAN};
    sqlite3_bind_int64(get, 1, scene);
    int result = sqlite3_step(get);
    nm_status status = NM_OK;
    if (result == SQLITE_ROW) {
        copy_text(hit.source, sizeof hit.source, get, 0);
        copy_text(hit.scene_id, sizeof hit.scene_id, get, 1);
        copy_text(hit.file, sizeof hit.file, get, 2);
    } else if (result != SQLITE_DONE) {
        status = nm_store_fail(store, result, "reading a hit", error);
    }
    sqlite3_reset(get);
    return status == NM_OK ? give(search, &hit, error) : status;
}

typedef nm_status nm_give(nm_search *search, int64_t id, double distance, nm_error *error);

/// Runs a statement that yields ids.
static nm_status walk(nm_search *search, nm_text *sql, nm_give *take, nm_error *error) {
    sqlite3_stmt *statement = NULL;
    nm_status status = prepare(search, sql, &statement, error);
    int result = SQLITE_DONE;
    while (status == NM_OK && (result = sqlite3_step(statement)) == SQLITE_ROW)
        status = take(search, sqlite3_column_int64(statement, 0), 0, error);
    if (status == NM_OK && result != SQLITE_DONE) status = nm_store_fail(search->store, result, "searching", error);
    sqlite3_finalize(statement);
    return status;
}

static nm_status find_events(nm_search *search, nm_error *error) {
    const nm_query *query = search->query;
    const char *t = query->where ? "events" : "event", *index = "";
    int by_range = 0;
    nm_status status = choose(search, &index, &by_range, error);
    if (status != NM_OK) return status;
    nm_text sql = {0};
    append(&sql, "SELECT %s", query->where ? "events.event" : "event.id");
    append_conditions(&sql, search, index, by_range);
    append(&sql, " ORDER BY %s.severity DESC, %s", t, query->where ? "events.event" : "event.id");
    if (query->limit) append(&sql, " LIMIT %" PRIu32, query->limit);
    status = walk(search, &sql, give_event, error);
    free(sql.bytes);
    return status;
}

/// Scenes in which nothing was found, or that were not mined.
static nm_status find_quiet_scenes(nm_search *search, nm_error *error) {
    const nm_query *query = search->query;
    if (query->limit && search->hits >= query->limit) return NM_OK;
    nm_text sql = {0};
    append(&sql, "SELECT id FROM scene WHERE NOT EXISTS (SELECT 1 FROM event WHERE event.scene = scene.id)");
    if (search->fts) append(&sql, " AND id IN (SELECT rowid FROM scene_fts WHERE scene_fts MATCH :text)");
    if (query->source) append(&sql, " AND source = (SELECT id FROM source WHERE name = :source)");
    append(&sql, " ORDER BY id");
    if (query->limit) append(&sql, " LIMIT %" PRIu64, query->limit - search->hits);
    nm_status status = walk(search, &sql, give_scene, error);
    free(sql.bytes);
    return status;
}

// --- similar scenes --------------------------------------------------------------------------------------------------

/// The scenes that satisfy the other conditions, ascending. *ids is malloced.
static nm_status allowed_scenes(nm_search *search, int64_t **ids, size_t *count, nm_error *error) {
    const nm_query *query = search->query;
    nm_text sql = {0};
    *ids = NULL;
    *count = 0;
    if (about_events(query)) {
        append(&sql, "SELECT DISTINCT %s.scene", query->where ? "events" : "event");
        append_conditions(&sql, search, "", 0);
        append(&sql, " ORDER BY 1");
    } else {
        append(&sql, "SELECT id FROM scene WHERE 1");
        if (search->fts) append(&sql, " AND id IN (SELECT rowid FROM scene_fts WHERE scene_fts MATCH :text)");
        if (query->source) append(&sql, " AND source = (SELECT id FROM source WHERE name = :source)");
        append(&sql, " ORDER BY id");
    }
    sqlite3_stmt *statement = NULL;
    nm_status status = prepare(search, &sql, &statement, error);
    free(sql.bytes);
    int result = SQLITE_DONE;
    size_t capacity = 0;
    while (status == NM_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 256;
            int64_t *moved = realloc(*ids, capacity * sizeof *moved);
            if (!moved) {
                status = NM_ERROR(error, NM_E_MEMORY, "out of memory: searching");
                break;
            }
            *ids = moved;
        }
        (*ids)[(*count)++] = sqlite3_column_int64(statement, 0);
    }
    if (status == NM_OK && result != SQLITE_DONE) status = nm_store_fail(search->store, result, "searching", error);
    sqlite3_finalize(statement);
    return status;
}

/// The most severe event of a similar scene that fits, or the scene alone.
static nm_status give_similar(nm_search *search, sqlite3_stmt *best, const nm_neighbour_scene *near, nm_error *error) {
    bind_real(best, ":scene", (double)near->scene);
    int result = sqlite3_step(best);
    int64_t event = result == SQLITE_ROW ? sqlite3_column_int64(best, 0) : 0;
    sqlite3_reset(best);
    if (result == SQLITE_ROW) return give_event(search, event, (double)near->distance, error);
    if (result == SQLITE_DONE) return give_scene(search, near->scene, (double)near->distance, error);
    return nm_store_fail(search->store, result, "searching", error);
}

static nm_status find_similar(nm_search *search, nm_error *error) {
    const nm_query *query = search->query;
    const int narrowed = about_events(query) || search->fts || query->source;
    const char *t = query->where ? "events" : "event";
    int64_t *allowed = NULL;
    size_t allowed_count = 0, count = 0;
    nm_neighbour_scene *near = NULL;
    sqlite3_stmt *best = NULL;
    nm_text sql = {0};
    nm_status status = narrowed ? allowed_scenes(search, &allowed, &allowed_count, error) : NM_OK;
    if (status == NM_OK && narrowed && !allowed) // nothing fits: an empty list, not no list
        allowed = calloc(1, sizeof *allowed);
    if (status == NM_OK && narrowed && !allowed) status = NM_ERROR(error, NM_E_MEMORY, "out of memory: searching");
    if (status == NM_OK)
        status = nm_like_search(search->store, query->like, allowed, allowed_count, query->limit, &near, &count, error);
    if (status == NM_OK) {
        append(&sql, "SELECT %s", query->where ? "events.event" : "event.id");
        append_conditions(&sql, search, "", 0);
        append(&sql, " AND %s.scene = :scene ORDER BY %s.severity DESC, 1 LIMIT 1", t, t);
        status = prepare(search, &sql, &best, error);
    }
    for (size_t i = 0; i < count && status == NM_OK; i++) status = give_similar(search, best, &near[i], error);
    sqlite3_finalize(best);
    free(sql.bytes);
    free(near);
    free(allowed);
    return status;
}

nm_status nm_store_find(nm_store *store, const nm_query *query, nm_hit_sink *sink, void *context, nm_error *error) {
    NM_ASSERT(store && query && sink && query->kind < NM_KIND_COUNT);
    nm_error local;
    error = error ? error : &local;
    nm_error_clear(error);
    nm_search search = {.store = store, .query = query, .sink = sink, .context = context};
    const int worded = query->text && query->text[strspn(query->text, " \t\r\n")];
    nm_status status = query->where ? nm_where_check(store, query->where, error) : NM_OK;
    if (status == NM_OK && worded && !(search.fts = fts_expression(query->text)))
        status = NM_ERROR(error, NM_E_MEMORY, "out of memory: searching");
    if (status == NM_OK) status = nm_store_enter_read(store, error);
    if (status != NM_OK) {
        free(search.fts);
        return status;
    }
    store->stopped = NM_OK;
    store->deadline = query->seconds > 0 ? nm_clock() + query->seconds : 0;
    if (query->where) nm_where_enter(store);
    if (query->like)
        status = find_similar(&search, error);
    else
        status = find_events(&search, error);
    if (status == NM_OK && !query->like && !about_events(query)) status = find_quiet_scenes(&search, error);
    if (query->where) nm_where_leave(store);
    store->deadline = 0;
    store->stopped = NM_OK;
    nm_store_leave_read(store);
    free(search.fts);
    return status;
}
