#include "scenarios/set_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/store_internal.h"

#define MOST (INT64_C(1) << 53) // of a count: up to there a double holds every integer
#define LARGEST 1e30            // of a parameter: differences and sums of two stay finite

/// A query under way, whose rows go into one growing array of the arena.
typedef struct nm_reader {
    nm_store *store;
    nm_arena *arena;
    nm_error *error;
    sqlite3_stmt *row;
    nm_status status;
    size_t capacity; ///< of the array being filled
} nm_reader;

static void begin(nm_reader *reader, const char *sql) {
    reader->row = NULL;
    reader->capacity = 0;
    if (reader->status != NM_OK) return;
    int result = sqlite3_prepare_v2(reader->store->db, sql, -1, &reader->row, NULL);
    if (result != SQLITE_OK)
        reader->status = nm_store_fail(reader->store, result, "counting generated scenes", reader->error);
}

/// 1 while there are rows; ends the query by itself.
static int next(nm_reader *reader) {
    if (!reader->row) return 0;
    int result = reader->status == NM_OK ? sqlite3_step(reader->row) : SQLITE_DONE;
    if (result == SQLITE_ROW) return 1;
    if (result != SQLITE_DONE)
        reader->status = nm_store_fail(reader->store, result, "counting generated scenes", reader->error);
    sqlite3_finalize(reader->row);
    reader->row = NULL;
    return 0;
}

static void *out_of_memory(nm_reader *reader) {
    reader->status = NM_ERROR(reader->error, NM_E_MEMORY, "out of memory while counting generated scenes");
    return NULL;
}

/// Room for one more element: `items` itself or its larger copy.
static void *grow(nm_reader *reader, void *items, size_t count, size_t size) {
    if (reader->status != NM_OK || count < reader->capacity) return items;
    size_t capacity = reader->capacity ? 2 * reader->capacity : 16;
    void *grown = nm_arena_calloc(reader->arena, capacity, size, 16);
    if (!grown) return out_of_memory(reader);
    if (count) memcpy(grown, items, count * size);
    reader->capacity = capacity;
    return grown;
}

static const char *text(nm_reader *reader, int column) {
    const char *value = (const char *)sqlite3_column_text(reader->row, column);
    size_t size = value ? (size_t)sqlite3_column_bytes(reader->row, column) : 0;
    const char *copy = nm_arena_strndup(reader->arena, value ? value : "", size);
    if (!copy) out_of_memory(reader);
    return copy ? copy : "";
}

/// A count, whatever a store of others says: none is negative, and sums of some thousands of them fit.
static uint64_t number(const nm_reader *reader, int column) {
    int64_t value = sqlite3_column_int64(reader->row, column); // SQLite bounds what is no integer
    return value < 0 ? 0 : value > MOST ? (uint64_t)MOST : (uint64_t)value;
}

static double real(const nm_reader *reader, int column) {
    int type = sqlite3_column_type(reader->row, column);
    return type == SQLITE_INTEGER || type == SQLITE_FLOAT ? sqlite3_column_double(reader->row, column) : NAN;
}

/// 0 when this program does not know the kind: a newer one wrote it.
static int kind_of(const nm_reader *reader, int column, nm_kind *kind) {
    int64_t value = sqlite3_column_int64(reader->row, column);
    if (value < 0 || value >= NM_KIND_COUNT) return 0;
    *kind = (nm_kind)value;
    return 1;
}

// --- counts ----------------------------------------------------------------------------------------------------------

static void read_totals(nm_reader *reader, nm_set_stats *stats) {
    begin(reader, "SELECT count(*), count(criticality.scene), total(dt_s * (steps - 1)) / 3600.0, min(dt_s * (steps - "
                  "1)), max(dt_s * (steps - 1)), coalesce(sum(collisions > 0), 0), (SELECT page_count * page_size FROM "
                  "pragma_page_count, pragma_page_size) FROM generated JOIN scene ON scene.id = generated.scene LEFT "
                  "JOIN criticality ON criticality.scene = generated.scene");
    while (next(reader)) {
        stats->scenes = number(reader, 0);
        stats->mined = number(reader, 1);
        stats->hours = real(reader, 2);
        stats->duration_low = real(reader, 3);
        stats->duration_high = real(reader, 4);
        stats->collisions = number(reader, 5);
        stats->bytes = number(reader, 6);
    }
}

static void read_ttc(nm_reader *reader, nm_set_stats *stats) {
    begin(reader, "SELECT min_ttc_s FROM generated JOIN criticality ON criticality.scene = generated.scene");
    while (next(reader)) {
        double ttc = real(reader, 0);
        if (isnan(ttc))
            stats->ttc_none++;
        else if (ttc >= NM_SET_TTC_BINS * NM_SET_TTC_WIDTH)
            stats->ttc_above++;
        else
            stats->ttc[ttc > 0 ? (int)(ttc / NM_SET_TTC_WIDTH) : 0]++;
    }
}

static void read_detected(nm_reader *reader, nm_set_stats *stats) {
    begin(reader, "SELECT generated.kind, event.kind, count(DISTINCT event.scene) FROM generated JOIN event ON "
                  "event.scene = generated.scene GROUP BY 1, 2");
    while (next(reader)) {
        nm_kind asked, found;
        if (kind_of(reader, 0, &asked) && kind_of(reader, 1, &found)) stats->detected[asked][found] = number(reader, 2);
    }
}

static void read_runs(nm_reader *reader, nm_set_stats *stats) {
    begin(reader, "SELECT id, parameters, command, program, started_utc, finished_utc, seed, (SELECT total(max("
                  "count, 0)) FROM attempt WHERE generation = id), (SELECT total(max(count, 0)) FROM attempt WHERE "
                  "generation = id AND reason = 'kept'), (SELECT count(*) FROM generated WHERE generation = id) FROM "
                  "generation ORDER BY id");
    while (next(reader)) {
        stats->runs = grow(reader, stats->runs, stats->run_count, sizeof *stats->runs);
        if (!stats->runs) continue;
        stats->runs[stats->run_count++] = (nm_set_run){.id = sqlite3_column_int64(reader->row, 0),
                                                       .parameters = text(reader, 1),
                                                       .command = text(reader, 2),
                                                       .program = text(reader, 3),
                                                       .started = text(reader, 4),
                                                       .finished = text(reader, 5),
                                                       .seed = (uint64_t)sqlite3_column_int64(reader->row, 6),
                                                       .attempts = number(reader, 7),
                                                       .kept = number(reader, 8),
                                                       .scenes = number(reader, 9)};
    }
}

static void read_groups(nm_reader *reader, nm_set_stats *stats) {
    begin(reader, "SELECT generated.kind, generator, severity, label, count(*), sum(EXISTS (SELECT 1 FROM event WHERE "
                  "event.scene = generated.scene AND event.kind = generated.kind)), total(dt_s * (steps - 1)) / 3600.0 "
                  "FROM generated JOIN scene ON scene.id = generated.scene GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4");
    while (next(reader)) {
        nm_set_group group = {0};
        if (!kind_of(reader, 0, &group.kind)) continue;
        stats->groups = grow(reader, stats->groups, stats->group_count, sizeof *stats->groups);
        if (!stats->groups) continue;
        group.generator = text(reader, 1);
        group.severity = text(reader, 2);
        group.label = text(reader, 3);
        group.scenes = number(reader, 4);
        group.confirmed = number(reader, 5);
        group.hours = real(reader, 6);
        stats->groups[stats->group_count++] = group;
    }
}

static void read_yields(nm_reader *reader, nm_set_stats *stats) {
    // total() counts in floating point: sum() fails where integers overflow
    begin(reader, "SELECT kind, generator, total(max(count, 0)), total(CASE WHEN reason = 'kept' THEN max(count, 0) "
                  "ELSE 0 END) FROM attempt GROUP BY 1, 2 ORDER BY 1, 2");
    while (next(reader)) {
        nm_set_yield yield = {0};
        if (!kind_of(reader, 0, &yield.kind)) continue;
        stats->yields = grow(reader, stats->yields, stats->yield_count, sizeof *stats->yields);
        if (!stats->yields) continue;
        yield.generator = text(reader, 1);
        yield.attempts = number(reader, 2);
        yield.kept = number(reader, 3);
        stats->yields[stats->yield_count++] = yield;
    }
}

static void read_rejects(nm_reader *reader, nm_set_stats *stats) {
    begin(reader,
          "SELECT generator, reason, total(max(count, 0)) FROM attempt WHERE reason <> 'kept' GROUP BY 1, 2 ORDER BY 3 "
          "DESC, 1, 2");
    while (next(reader)) {
        stats->rejects = grow(reader, stats->rejects, stats->reject_count, sizeof *stats->rejects);
        if (!stats->rejects) continue;
        stats->rejects[stats->reject_count++] =
            (nm_set_reject){.generator = text(reader, 0), .reason = text(reader, 1), .count = number(reader, 2)};
    }
}

static void read_sources(nm_reader *reader, nm_set_stats *stats) {
    begin(reader, "SELECT source.name, coalesce((SELECT own.name FROM scene AS parent JOIN source AS own ON own.id = "
                  "parent.source WHERE parent.content_hash = scene.parent_hash ORDER BY parent.id LIMIT 1), CASE WHEN "
                  "json_valid(scene.parameters) THEN json_extract(scene.parameters, '$.parent_source') END, '') AS "
                  "parent, count(*) FROM generated JOIN scene ON scene.id = generated.scene JOIN source ON source.id "
                  "= scene.source GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2");
    while (next(reader)) {
        stats->sources = grow(reader, stats->sources, stats->source_count, sizeof *stats->sources);
        if (!stats->sources) continue;
        stats->sources[stats->source_count++] =
            (nm_set_source){.source = text(reader, 0), .parent = text(reader, 1), .scenes = number(reader, 2)};
    }
}

// --- parameters ------------------------------------------------------------------------------------------------------

/// Numbers of one kind and parameter, malloced: they are many, and not kept.
typedef struct nm_numbers {
    double *values;
    size_t count, capacity;
} nm_numbers;

static int add_number(nm_numbers *numbers, double value) {
    if (!(fabs(value) <= LARGEST)) return 1; // also NaN
    if (numbers->count == numbers->capacity) {
        size_t capacity = numbers->capacity ? 2 * numbers->capacity : 256;
        double *grown = realloc(numbers->values, capacity * sizeof *grown);
        if (!grown) return 0;
        numbers->values = grown;
        numbers->capacity = capacity;
    }
    numbers->values[numbers->count++] = value;
    return 1;
}

static int compare_numbers(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/// Two-sample Kolmogorov-Smirnov statistic of sorted numbers (Smirnov 1939): the largest distance between their
/// empirical distribution functions.
static double smirnov(const nm_numbers *a, const nm_numbers *b) {
    size_t i = 0, j = 0;
    double most = 0;
    if (!a->count || !b->count) return NAN;
    while (i < a->count && j < b->count) {
        double at = fmin(a->values[i], b->values[j]);
        while (i < a->count && a->values[i] <= at) i++;
        while (j < b->count && b->values[j] <= at) j++;
        most = fmax(most, fabs((double)i / (double)a->count - (double)j / (double)b->count));
    }
    return most;
}

/// What the runs' parameters say of a number: JSON {"kinds": [{"kind": ..., "near_miss": {"gap": [3, 8]}, ...}]}, as
/// `nearmiss generate --kind` writes it.
typedef struct nm_asked {
    nm_kind kind;
    const char *name;
    double low, high;
} nm_asked;

typedef struct nm_asked_list {
    nm_asked *items;
    size_t count;
} nm_asked_list;

/// Over all runs and those severities of which there are scenes. Every level may be anything: json_each must not see
/// what is no object.
static void read_ranges(nm_reader *reader, nm_asked_list *ranges) {
    begin(reader,
          "WITH used AS (SELECT DISTINCT generation, kind, severity FROM generated) SELECT used.kind, range.key, "
          "min(json_extract(CASE range.type WHEN 'array' THEN range.value END, '$[0]')), "
          "max(json_extract(CASE range.type WHEN 'array' THEN range.value END, '$[1]')) "
          "FROM used JOIN generation ON generation.id = used.generation JOIN kind ON kind.id = used.kind, "
          "json_each(CASE WHEN json_valid(generation.parameters) THEN generation.parameters END, '$.kinds') AS asked, "
          "json_each(CASE asked.type WHEN 'object' THEN asked.value END) AS level, "
          "json_each(CASE level.type WHEN 'object' THEN level.value END) AS range "
          "WHERE json_extract(CASE asked.type WHEN 'object' THEN asked.value END, '$.kind') = kind.name AND "
          "level.key IN ('near_miss', 'collision') AND used.severity IN ('', level.key) GROUP BY 1, 2");
    while (next(reader)) {
        nm_asked range = {.low = real(reader, 2), .high = real(reader, 3)};
        if (!kind_of(reader, 0, &range.kind) || !(fabs(range.low) <= LARGEST && fabs(range.high) <= LARGEST)) continue;
        if (range.low > range.high) continue;
        ranges->items = grow(reader, ranges->items, ranges->count, sizeof *ranges->items);
        if (!ranges->items) continue;
        range.name = text(reader, 1);
        ranges->items[ranges->count++] = range;
    }
}

static void set_range(nm_set_parameter *parameter, const nm_asked_list *ranges) {
    for (size_t i = 0; i < ranges->count; i++) {
        const nm_asked *range = &ranges->items[i];
        if (range->kind != parameter->kind || strcmp(range->name, parameter->name) != 0) continue;
        parameter->low = range->low;
        parameter->high = range->high;
    }
}

static void describe(nm_set_parameter *parameter, nm_numbers *asked, nm_numbers *got, const nm_asked_list *ranges) {
    parameter->requested = asked->count;
    parameter->achieved = got->count;
    parameter->low = parameter->high = NAN;
    parameter->achieved_low = parameter->achieved_median = parameter->achieved_high = NAN;
    if (asked->count) qsort(asked->values, asked->count, sizeof *asked->values, compare_numbers);
    if (got->count) qsort(got->values, got->count, sizeof *got->values, compare_numbers);
    parameter->ks = smirnov(asked, got);
    if (asked->count) {
        parameter->low = asked->values[0];
        parameter->high = asked->values[asked->count - 1];
        set_range(parameter, ranges);
    }
    if (!got->count) return;
    parameter->achieved_low = got->values[0];
    parameter->achieved_median = 0.5 * (got->values[(got->count - 1) / 2] + got->values[got->count / 2]);
    parameter->achieved_high = got->values[got->count - 1];
    double size = parameter->high - parameter->low;
    for (size_t i = 0; i < got->count && asked->count; i++) {
        double value = got->values[i];
        if (value < parameter->low || value > parameter->high) {
            parameter->outside++;
            continue;
        }
        double bin = size > 0 ? (value - parameter->low) / size * NM_SET_PARAMETER_BINS : 0;
        parameter->bins[(int)fmin(fmax(bin, 0), NM_SET_PARAMETER_BINS - 1)]++;
    }
}

/// Puts what was gathered for `parameter` away.
static void finish_parameter(nm_reader *reader, nm_set_stats *stats, nm_set_parameter *parameter, nm_numbers *asked,
                             nm_numbers *got, const nm_asked_list *ranges) {
    if (!parameter->name) return;
    stats->parameters = grow(reader, stats->parameters, stats->parameter_count, sizeof *stats->parameters);
    describe(parameter, asked, got, ranges);
    if (stats->parameters) stats->parameters[stats->parameter_count++] = *parameter;
    asked->count = got->count = 0;
}

static void read_parameters(nm_reader *reader, nm_set_stats *stats) {
    nm_numbers asked = {0}, got = {0};
    nm_set_parameter parameter = {0};
    nm_asked_list ranges = {0};
    read_ranges(reader, &ranges);
    begin(reader,
          "SELECT generated.kind, asked.key, asked.value, (SELECT value FROM json_each(CASE WHEN json_valid(achieved) "
          "THEN achieved ELSE '{}' END) WHERE key = asked.key AND type IN ('integer', 'real')) FROM generated, "
          "json_each(CASE WHEN json_valid(requested) THEN requested ELSE '{}' END) AS asked WHERE asked.type IN "
          "('integer', 'real') AND asked.key IS NOT NULL ORDER BY 1, 2, "
          "generated.scene");
    while (next(reader)) {
        nm_kind kind;
        const char *name = (const char *)sqlite3_column_text(reader->row, 1);
        if (!kind_of(reader, 0, &kind) || !name) continue;
        if (!parameter.name || parameter.kind != kind || strcmp(parameter.name, name) != 0) {
            finish_parameter(reader, stats, &parameter, &asked, &got, &ranges);
            parameter = (nm_set_parameter){.kind = kind, .name = text(reader, 1)};
        }
        if (!add_number(&asked, real(reader, 2)) || !add_number(&got, real(reader, 3))) out_of_memory(reader);
    }
    if (reader->status == NM_OK) finish_parameter(reader, stats, &parameter, &asked, &got, &ranges);
    free(asked.values);
    free(got.values);
}

double nm_set_covered(const nm_set_parameter *parameter) {
    NM_ASSERT(parameter);
    int filled = 0;
    for (int bin = 0; bin < NM_SET_PARAMETER_BINS; bin++) filled += parameter->bins[bin] > 0;
    return parameter->high > parameter->low ? 100.0 * filled / NM_SET_PARAMETER_BINS : NAN;
}

nm_status nm_set_stats_read(nm_store *store, nm_arena *arena, nm_set_stats *stats, nm_error *error) {
    NM_ASSERT(store && arena && stats);
    nm_error local;
    nm_reader reader = {.store = store, .arena = arena, .error = error ? error : &local, .status = NM_OK};
    memset(stats, 0, sizeof *stats);
    stats->duration_low = stats->duration_high = NAN;
    if (store->schema < 2) return NM_OK; // from before there was anything to count
    nm_status status = nm_store_enter_read(store, error);
    if (status != NM_OK) return status;
    store->stopped = NM_OK;
    read_totals(&reader, stats);
    read_ttc(&reader, stats);
    read_detected(&reader, stats);
    read_runs(&reader, stats);
    read_groups(&reader, stats);
    read_yields(&reader, stats);
    read_rejects(&reader, stats);
    read_sources(&reader, stats);
    read_parameters(&reader, stats);
    nm_store_leave_read(store);
    return reader.status;
}
