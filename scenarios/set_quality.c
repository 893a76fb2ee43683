// What was found in generated scenes, beside what was asked for; how severe, plausible and various they are.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/case.h"
#include "scenarios/set_reader.h"

// --- confusion -------------------------------------------------------------------------------------------------------

/// One scene under way.
typedef struct nm_found {
    int64_t scene;
    nm_kind asked;
    int64_t ego, adversary; ///< tracks; -1 = not known
    int right;              ///< the kind asked for was found
    int instead, outcome;   ///< most severe other kinds, or -1; outcome: near_miss and collision
    uint32_t also;          ///< bit per other kind
} nm_found;

/// {"ego": 0, "adversary": 3, ...}: plain numbers, written by nm_case_write_recipe. Anything else is not known.
static int64_t role_of(const char *text, const char *key) {
    const char *at = text ? strstr(text, key) : NULL;
    char *end;
    if (!at) return -1;
    at += strlen(key);
    const long long track = strtoll(at, &end, 10);
    return end == at || track < 0 || track > UINT32_MAX ? -1 : (int64_t)track;
}

/// Is the event the kind that was asked for, with everybody in the role that was meant (nm_case_confirm)?
static int is_right(const nm_found *f, nm_kind kind, int64_t actor, int64_t other) {
    const nm_kind_spec *spec = nm_kind_spec_of(f->asked);
    const int64_t first = spec->actor == NM_ROLE_EGO ? f->ego : f->adversary;
    const int64_t second = spec->actor == NM_ROLE_EGO ? f->adversary : f->ego;
    return kind == f->asked && actor == first && (!spec->other_named || other == second);
}

static int is_between(const nm_found *f, nm_kind kind, int64_t actor, int64_t other) {
    if (!nm_kind_spec_of(kind)->other_named && nm_kind_spec_of(kind)->generable) return actor == f->adversary;
    return (actor == f->ego && other == f->adversary) || (actor == f->adversary && other == f->ego);
}

static void add_event(nm_found *f, nm_kind kind, int64_t actor, int64_t other) {
    if (is_right(f, kind, actor, other)) f->right = 1;
    if (kind == f->asked || !is_between(f, kind, actor, other)) return;
    f->also |= 1u << kind;
    int *most = nm_kind_spec_of(kind)->generable ? &f->instead : &f->outcome; // the most severe comes first
    if (*most < 0) *most = (int)kind;
}

static void finish_scene(nm_set_stats *stats, const nm_found *f) {
    if (!f->scene || f->ego < 0 || f->adversary < 0) return;
    const int found = f->right ? (int)f->asked : f->instead >= 0 ? f->instead : f->outcome;
    stats->confusion[f->asked][found >= 0 ? found : NM_KIND_COUNT]++;
    for (int k = 0; k < NM_KIND_COUNT; k++) stats->also[f->asked][k] += f->also >> k & 1u;
}

static void read_confusion(nm_reader *reader, nm_set_stats *stats) {
    nm_found f = {0};
    nm_reader_begin(reader,
                    "SELECT generated.scene, generated.kind, CASE WHEN json_valid(parameters) THEN "
                    "json_extract(parameters, '$.roles') END, event.kind, actor_track, coalesce(other_track, -1) FROM "
                    "generated JOIN scene ON scene.id = generated.scene JOIN criticality ON criticality.scene = "
                    "generated.scene LEFT JOIN event ON event.scene = generated.scene ORDER BY generated.scene, "
                    "event.severity DESC, event.id");
    while (nm_reader_next(reader)) {
        nm_kind asked, kind;
        const int64_t scene = sqlite3_column_int64(reader->row, 0);
        if (!nm_reader_kind(reader, 1, &asked)) continue;
        if (scene != f.scene) {
            const char *roles = (const char *)sqlite3_column_text(reader->row, 2);
            finish_scene(stats, &f);
            f = (nm_found){scene, asked, role_of(roles, "\"ego\":"), role_of(roles, "\"adversary\":"), 0, -1, -1, 0};
        }
        if (sqlite3_column_type(reader->row, 3) == SQLITE_INTEGER && nm_reader_kind(reader, 3, &kind))
            add_event(&f, kind, sqlite3_column_int64(reader->row, 4), sqlite3_column_int64(reader->row, 5));
    }
    finish_scene(stats, &f);
}

double nm_set_right(const nm_set_stats *stats, nm_kind kind, uint64_t *scenes) {
    NM_ASSERT(stats && (unsigned)kind < NM_KIND_COUNT);
    uint64_t all = 0;
    for (int found = 0; found <= NM_KIND_COUNT; found++) all += stats->confusion[kind][found];
    if (scenes) *scenes = all;
    return all ? 100.0 * (double)stats->confusion[kind][kind] / (double)all : NAN;
}

uint64_t nm_set_not_found(const nm_set_stats *stats, nm_kind kind) {
    NM_ASSERT(stats);
    uint64_t count = 0;
    for (size_t i = 0; i < stats->reason_count; i++)
        if (stats->reasons[i].kind == kind &&
            strcmp(stats->reasons[i].reason, nm_reject_name(NM_REJECT_NOT_FOUND)) == 0)
            count += stats->reasons[i].count;
    return count;
}

// --- by generator ----------------------------------------------------------------------------------------------------

static nm_set_quality *quality_of(nm_set_stats *stats, nm_kind kind, const char *generator) {
    for (size_t i = 0; i < stats->quality_count; i++)
        if (stats->qualities[i].kind == kind && strcmp(stats->qualities[i].generator, generator) == 0)
            return &stats->qualities[i];
    return NULL;
}

static void add_quality(nm_reader *reader, nm_set_stats *stats, nm_kind kind) {
    stats->qualities = nm_reader_grow(reader, stats->qualities, stats->quality_count, sizeof *stats->qualities);
    if (!stats->qualities) return;
    stats->qualities[stats->quality_count++] = (nm_set_quality){.kind = kind,
                                                                .generator = nm_reader_text(reader, 1),
                                                                .scenes = nm_reader_number(reader, 2),
                                                                .near_misses = nm_reader_number(reader, 3),
                                                                .collisions = nm_reader_number(reader, 4),
                                                                .unavoidable = nm_reader_number(reader, 5),
                                                                .min_ttc = NAN,
                                                                .realism = nm_reader_real(reader, 6),
                                                                .realism_scenes = nm_reader_number(reader, 7),
                                                                .diversity = NAN};
}

/// Once by kind and once over all of them: what is summed needs no row of a scene in memory.
static void read_qualities(nm_reader *reader, nm_set_stats *stats) {
    // the verdict as a number of sane size, or NULL
    nm_reader_begin(
        reader,
        "WITH judged AS (SELECT kind, generator, severity, label, CASE WHEN json_valid(verdicts) AND "
        "json_type(verdicts, "
        "'$.verdicts.realism.value') IN ('integer', 'real') AND json_extract(verdicts, '$.verdicts.realism.result') IN "
        "('pass', 'allowed', 'fail') AND abs(json_extract(verdicts, '$.verdicts.realism.value')) <= 1e30 THEN "
        "json_extract(verdicts, '$.verdicts.realism.value') END AS nats FROM generated), "
        "sums AS (SELECT kind, generator, count(*) AS scenes, sum(severity = 'near_miss') AS near, sum(severity = "
        "'collision') AS hits, sum(label = 'unavoidable') AS lost, total(nats) AS nats, count(nats) AS counted FROM "
        "judged GROUP BY 1, 2) "
        "SELECT kind, generator, scenes, near, hits, lost, CASE WHEN counted THEN nats / counted END, counted, 0 FROM "
        "sums UNION ALL SELECT NULL, generator, sum(scenes), sum(near), sum(hits), sum(lost), CASE WHEN sum(counted) "
        "THEN sum(nats) / sum(counted) END, sum(counted), 1 FROM sums GROUP BY generator ORDER BY 9, 1, 2");
    while (nm_reader_next(reader)) {
        nm_kind kind = NM_KIND_COUNT;
        if (sqlite3_column_type(reader->row, 0) != SQLITE_NULL && !nm_reader_kind(reader, 0, &kind)) continue;
        add_quality(reader, stats, kind);
    }
}

/// Middle of what a query gives in order: (kind or NULL, generator, value, place from 1 on, how many).
static void read_medians(nm_reader *reader, nm_set_stats *stats, const char *sql) {
    nm_reader_begin(reader, sql);
    while (nm_reader_next(reader)) {
        nm_kind kind = NM_KIND_COUNT;
        if (sqlite3_column_type(reader->row, 0) != SQLITE_NULL && !nm_reader_kind(reader, 0, &kind)) continue;
        const char *generator = (const char *)sqlite3_column_text(reader->row, 1);
        nm_set_quality *q = generator ? quality_of(stats, kind, generator) : NULL;
        if (q) q->min_ttc = nm_reader_real(reader, 2);
    }
}

#define MEDIAN(by)                                                                                                     \
    "SELECT " by ", generator, avg(ttc) FROM (SELECT kind, generator, min_ttc_s AS ttc, row_number() OVER (PARTITION " \
    "BY " by ", generator ORDER BY min_ttc_s) AS place, count(*) OVER (PARTITION BY " by                               \
    ", generator) AS places FROM "                                                                                     \
    "generated JOIN criticality ON criticality.scene = generated.scene WHERE typeof(min_ttc_s) = 'real' AND "          \
    "abs(min_ttc_s) <= 1e30) WHERE place IN ((places + 1) / 2, (places + 2) / 2) GROUP BY " by ", generator"

// --- diversity -------------------------------------------------------------------------------------------------------

typedef struct nm_sample {
    float features[NM_SET_SAMPLE][NM_FEATURE_COUNT];
    size_t count;
} nm_sample;

static double distance(const float *a, const float *b) {
    double sum = 0;
    for (int i = 0; i < NM_FEATURE_COUNT; i++) sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum);
}

static void finish_sample(nm_set_quality *q, nm_sample *sample) {
    double sum = 0;
    size_t pairs = 0;
    for (size_t i = 0; i < sample->count; i++)
        for (size_t j = 0; j < i; j++, pairs++) sum += distance(sample->features[i], sample->features[j]);
    if (q && pairs) q->diversity = sum / (double)pairs;
    sample->count = 0;
}

static void add_feature(nm_sample *sample, const void *blob, int bytes) {
    float *feature = sample->features[sample->count];
    if (!blob || bytes != (int)sizeof sample->features[0] || sample->count == NM_SET_SAMPLE) return;
    memcpy(feature, blob, sizeof sample->features[0]);
    for (int i = 0; i < NM_FEATURE_COUNT; i++)
        if (!(fabsf(feature[i]) <= 1e9f)) return; // also NaN
    sample->count++;
}

static void read_features(nm_reader *reader, nm_set_stats *stats, nm_sample *sample) {
    nm_set_quality *q = NULL;
    nm_reader_begin(reader,
                    "WITH numbered AS (SELECT scene, kind, generator, row_number() OVER (PARTITION BY kind, generator "
                    "ORDER BY scene) AS place, count(*) OVER (PARTITION BY kind, generator) AS places FROM generated) "
                    "SELECT kind, generator, feature FROM numbered JOIN criticality ON criticality.scene = "
                    "numbered.scene WHERE place * 200 / places <> (place - 1) * 200 / places ORDER BY kind, generator, "
                    "numbered.scene");
    while (nm_reader_next(reader)) {
        nm_kind kind;
        const char *generator = (const char *)sqlite3_column_text(reader->row, 1);
        if (!nm_reader_kind(reader, 0, &kind) || !generator) continue;
        nm_set_quality *of = quality_of(stats, kind, generator);
        if (of != q) finish_sample(q, sample);
        q = of;
        add_feature(sample, sqlite3_column_blob(reader->row, 2), sqlite3_column_bytes(reader->row, 2));
    }
    finish_sample(q, sample);
}
_Static_assert(NM_SET_SAMPLE == 200, "the number stands in the query, too");

static void mean_diversity(nm_set_stats *stats, nm_set_quality *all) {
    double sum = 0, scenes = 0;
    for (size_t i = 0; i < stats->quality_count; i++) {
        const nm_set_quality *q = &stats->qualities[i];
        if (q->kind == NM_KIND_COUNT || !isfinite(q->diversity) || strcmp(q->generator, all->generator) != 0) continue;
        sum += q->diversity * (double)q->scenes;
        scenes += (double)q->scenes;
    }
    if (scenes > 0) all->diversity = sum / scenes;
}

void nm_set_read_quality(nm_reader *reader, nm_set_stats *stats) {
    read_confusion(reader, stats);
    read_qualities(reader, stats);
    read_medians(reader, stats, MEDIAN("kind"));
    read_medians(reader, stats, MEDIAN("NULL"));
    nm_sample *sample = reader->status == NM_OK ? calloc(1, sizeof *sample) : NULL;
    if (sample)
        read_features(reader, stats, sample);
    else if (reader->status == NM_OK)
        nm_reader_out_of_memory(reader);
    free(sample);
    for (size_t i = 0; reader->status == NM_OK && i < stats->quality_count; i++)
        if (stats->qualities[i].kind == NM_KIND_COUNT) mean_diversity(stats, &stats->qualities[i]);
}
