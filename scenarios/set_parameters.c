// How far the parameters of a generated set reach, and how they are distributed.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/kinds.h"
#include "scenarios/set_reader.h"

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

/// What a run says of a number for one severity: JSON {"kinds": [{"kind": ..., "sampling": ..., "near_miss": {"given":
/// 2, "gap": [3, 8]}, ...}]}, as `nearmiss generate --kind` writes it.
typedef struct nm_asked {
    nm_kind kind;
    const char *name;
    double low, high;
    uint64_t scenes; ///< that were made so
    int levels;      ///< of a lattice or of combinations: as many values, equally likely; 0 = any value
    int critical;    ///< density rises linearly to the upper (1) or the lower (-1) end; 0 = uniform
} nm_asked;

typedef struct nm_asked_list {
    nm_asked *items;
    size_t count;
} nm_asked_list;

static void set_shape(nm_asked *asked, const char *sampling, uint64_t given) {
    const nm_kind_spec *spec = nm_kind_spec_of(asked->kind);
    nm_sampling is;
    size_t at = 0;
    while (at < spec->param_count && strcmp(spec->params[at].name, asked->name) != 0) at++;
    if (at == spec->param_count || !nm_sampling_from_name(sampling, &is)) return;
    if (is == NM_SAMPLING_GRID || (is == NM_SAMPLING_ALL && (given >> at & 1u))) asked->levels = NM_SAMPLING_LEVELS;
    if (is == NM_SAMPLING_CRITICAL) asked->critical = spec->params[at].critical;
}

/// Of all runs and those severities of which there are scenes. Every level may be anything: json_each must not see
/// what is no object.
static void read_ranges(nm_reader *reader, nm_asked_list *ranges) {
    nm_reader_begin(
        reader,
        "WITH used AS (SELECT generation, kind, severity, count(*) AS scenes FROM generated GROUP BY 1, 2, 3), "
        "kinds AS (SELECT used.*, CASE asked.type WHEN 'object' THEN asked.value END AS asked, CASE WHEN "
        "json_valid(parameters) THEN json_extract(parameters, '$.sampling') END AS general, kind.name FROM used JOIN "
        "generation ON generation.id = used.generation JOIN kind ON kind.id = used.kind, json_each(CASE WHEN "
        "json_valid(parameters) THEN parameters END, '$.kinds') AS asked) "
        "SELECT kinds.kind, range.key, json_extract(CASE range.type WHEN 'array' THEN range.value END, '$[0]'), "
        "json_extract(CASE range.type WHEN 'array' THEN range.value END, '$[1]'), scenes, coalesce(json_extract(asked, "
        "'$.sampling'), general), json_extract(CASE level.type WHEN 'object' THEN level.value END, '$.given') "
        "FROM kinds, json_each(asked) AS level, json_each(CASE level.type WHEN 'object' THEN level.value END) AS range "
        "WHERE json_extract(asked, '$.kind') = kinds.name AND level.key IN ('near_miss', 'collision') AND "
        "kinds.severity IN ('', level.key)");
    while (nm_reader_next(reader)) {
        nm_asked range = {.low = nm_reader_real(reader, 2), .high = nm_reader_real(reader, 3)};
        if (!nm_reader_kind(reader, 0, &range.kind) || !(fabs(range.low) <= LARGEST && fabs(range.high) <= LARGEST))
            continue;
        if (range.low > range.high) continue;
        ranges->items = nm_reader_grow(reader, ranges->items, ranges->count, sizeof *ranges->items);
        if (!ranges->items) continue;
        range.name = nm_reader_text(reader, 1);
        range.scenes = nm_reader_number(reader, 4);
        set_shape(&range, nm_reader_text(reader, 5), nm_reader_number(reader, 6));
        ranges->items[ranges->count++] = range;
    }
}

static int is_of(const nm_asked *range, const nm_set_parameter *parameter) {
    return range->kind == parameter->kind && strcmp(range->name, parameter->name) == 0;
}

/// Over all of them. 1 = there are some.
static int set_range(nm_set_parameter *parameter, const nm_asked_list *ranges) {
    int any = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        const nm_asked *range = &ranges->items[i];
        if (!is_of(range, parameter)) continue;
        if (!any || range->low < parameter->low) parameter->low = range->low;
        if (!any || range->high > parameter->high) parameter->high = range->high;
        any = 1;
    }
    return any;
}

/// Probability that what was asked for is at most `value`; with `below`, less than it.
static double probability(const nm_asked *range, double value, int below) {
    if (range->high <= range->low) return (below ? value > range->low : value >= range->low) ? 1.0 : 0.0;
    const double share = (value - range->low) / (range->high - range->low);
    if (range->levels > 1) {
        const double step = share * (range->levels - 1), whole = below ? ceil(step) : floor(step) + 1.0;
        return fmin(fmax(whole / range->levels, 0.0), 1.0);
    }
    const double at = fmin(fmax(share, 0.0), 1.0);
    return range->critical > 0 ? at * at : range->critical < 0 ? 1.0 - (1.0 - at) * (1.0 - at) : at;
}

/// Of all that was asked for, each part as often as there are scenes of it.
static double asked_for(const nm_set_parameter *parameter, const nm_asked_list *ranges, double value, int below) {
    double sum = 0, scenes = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        const nm_asked *range = &ranges->items[i];
        if (!is_of(range, parameter)) continue;
        sum += (double)range->scenes * probability(range, value, below);
        scenes += (double)range->scenes;
    }
    return scenes > 0 ? sum / scenes : NAN;
}

/// One-sample Kolmogorov-Smirnov statistic of sorted numbers (Kolmogorov 1933): the largest distance of their empirical
/// distribution function from the distribution that was asked for, which may have steps.
static double kolmogorov(const nm_set_parameter *parameter, const nm_asked_list *ranges, const nm_numbers *got) {
    const double count = (double)got->count;
    double most = 0;
    if (!got->count || !(parameter->high > parameter->low)) return NAN;
    for (size_t i = 0; i < got->count;) {
        const double at = got->values[i], before = (double)i / count;
        while (i < got->count && got->values[i] <= at) i++;
        most = fmax(most, fabs(before - asked_for(parameter, ranges, at, 1)));
        most = fmax(most, fabs((double)i / count - asked_for(parameter, ranges, at, 0)));
    }
    return most;
}

static void count_bins(nm_set_parameter *parameter, const nm_numbers *got) {
    const double size = parameter->high - parameter->low;
    for (size_t i = 0; i < got->count && isfinite(size); i++) {
        const double value = got->values[i];
        if (value < parameter->low || value > parameter->high) {
            parameter->outside++;
            continue;
        }
        const double bin = size > 0 ? (value - parameter->low) / size * NM_SET_PARAMETER_BINS : 0;
        parameter->bins[(int)fmin(fmax(bin, 0), NM_SET_PARAMETER_BINS - 1)]++;
    }
}

static void describe(nm_set_parameter *parameter, nm_numbers *asked, nm_numbers *got, const nm_asked_list *ranges) {
    parameter->requested = asked->count;
    parameter->achieved = got->count;
    parameter->low = parameter->high = NAN;
    parameter->achieved_low = parameter->achieved_median = parameter->achieved_high = NAN;
    if (asked->count) qsort(asked->values, asked->count, sizeof *asked->values, compare_numbers);
    if (got->count) qsort(got->values, got->count, sizeof *got->values, compare_numbers);
    if (set_range(parameter, ranges)) {
        parameter->ks = kolmogorov(parameter, ranges, got);
    } else {
        parameter->ks = smirnov(asked, got);
        if (asked->count) {
            parameter->low = asked->values[0];
            parameter->high = asked->values[asked->count - 1];
        }
    }
    if (!got->count) return;
    parameter->achieved_low = got->values[0];
    parameter->achieved_median = 0.5 * (got->values[(got->count - 1) / 2] + got->values[got->count / 2]);
    parameter->achieved_high = got->values[got->count - 1];
    count_bins(parameter, got);
}

/// Puts what was gathered for `parameter` away.
static void finish_parameter(nm_reader *reader, nm_set_stats *stats, nm_set_parameter *parameter, nm_numbers *asked,
                             nm_numbers *got, const nm_asked_list *ranges) {
    if (!parameter->name) return;
    stats->parameters = nm_reader_grow(reader, stats->parameters, stats->parameter_count, sizeof *stats->parameters);
    describe(parameter, asked, got, ranges);
    if (stats->parameters) stats->parameters[stats->parameter_count++] = *parameter;
    asked->count = got->count = 0;
}

void nm_set_read_parameters(nm_reader *reader, nm_set_stats *stats) {
    nm_numbers asked = {0}, got = {0};
    nm_set_parameter parameter = {0};
    nm_asked_list ranges = {0};
    read_ranges(reader, &ranges);
    // what was asked for with each scene, and what is a result: asked for as a range alone (min_ttc)
    nm_reader_begin(
        reader,
        "WITH texts AS (SELECT scene, kind, CASE WHEN json_valid(requested) THEN requested ELSE '{}' END AS requested, "
        "CASE WHEN json_valid(achieved) THEN achieved ELSE '{}' END AS achieved FROM generated) "
        "SELECT kind, asked.key, asked.value, (SELECT value FROM json_each(achieved) WHERE key = asked.key AND type IN "
        "('integer', 'real')), scene FROM texts, json_each(requested) AS asked WHERE asked.type IN ('integer', 'real') "
        "AND asked.key IS NOT NULL UNION ALL "
        "SELECT kind, got.key, NULL, got.value, scene FROM texts, json_each(achieved) AS got WHERE got.type IN "
        "('integer', 'real') AND got.key = 'min_ttc' AND NOT EXISTS (SELECT 1 FROM json_each(requested) WHERE key = "
        "'min_ttc') ORDER BY 1, 2, 5");
    while (nm_reader_next(reader)) {
        nm_kind kind;
        const char *name = (const char *)sqlite3_column_text(reader->row, 1);
        if (!nm_reader_kind(reader, 0, &kind) || !name) continue;
        if (!parameter.name || parameter.kind != kind || strcmp(parameter.name, name) != 0) {
            finish_parameter(reader, stats, &parameter, &asked, &got, &ranges);
            parameter = (nm_set_parameter){.kind = kind, .name = nm_reader_text(reader, 1)};
        }
        if (!add_number(&asked, nm_reader_real(reader, 2)) || !add_number(&got, nm_reader_real(reader, 3)))
            nm_reader_out_of_memory(reader);
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
