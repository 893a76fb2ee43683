/// The plots of `nearmiss stats`.
#include "tools/cmd_stats_set.h"

#ifdef NM_NO_PICTURES

nm_status nm_set_plot(const nm_set_stats *stats, const char *folder, nm_error *error) {
    (void)stats;
    (void)folder;
    return NM_ERROR(error, NM_E_ARGUMENT, "--plots: this program was built without pictures");
}

#else

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "render/plot.h"

#define NAME 96

/// Bars under way: rows with names, up to as many as can be drawn.
typedef struct nm_rows {
    char names[NM_BARS_MAX][NAME];
    const char *pointers[NM_BARS_MAX];
    double values[NM_BARS_MAX_SERIES][NM_BARS_MAX];
    size_t count;
} nm_rows;

/// The row of that name, made when it is missing; NULL when there are too many.
static double *row_of(nm_rows *rows, const char *name, size_t series) {
    size_t at = 0;
    char cut[NAME];
    snprintf(cut, sizeof cut, "%s", name);
    while (at < rows->count && strcmp(rows->names[at], cut) != 0) at++;
    if (at == NM_BARS_MAX) return NULL;
    if (at == rows->count) {
        memcpy(rows->names[at], cut, sizeof cut);
        rows->pointers[at] = rows->names[at];
        for (int k = 0; k < NM_BARS_MAX_SERIES; k++) rows->values[k][at] = 0;
        rows->count++;
    }
    return &rows->values[series][at];
}

static void add(nm_rows *rows, const char *name, size_t series, double value) {
    double *row = row_of(rows, name, series);
    if (row) *row += value;
}

static nm_status write_bars(nm_bars *bars, const char *folder, const char *name, nm_error *error) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (!path) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    snprintf(path, size, "%s/%s", folder, name);
    nm_status status = nm_bars_png(bars, path, error);
    free(path);
    return status;
}

static nm_status write_rows(nm_rows *rows, const char *folder, const char *name, const char *title, nm_plot_axis value,
                            const char *const *series_names, size_t series_count, nm_error *error) {
    nm_bar_series series[NM_BARS_MAX_SERIES];
    if (rows->count == 0) return NM_OK;
    for (size_t k = 0; k < series_count; k++)
        series[k] = (nm_bar_series){series_names ? series_names[k] : NULL, rows->values[k]};
    nm_bars bars = nm_bars_default();
    bars.height = nm_bars_height(rows->count);
    bars.title = title;
    bars.names = rows->pointers;
    bars.count = rows->count;
    bars.value = value;
    bars.series = series;
    bars.series_count = series_count;
    return write_bars(&bars, folder, name, error);
}

static nm_plot_axis axis_of(const char *label, const char *unit, double high) {
    return (nm_plot_axis){.label = label, .unit = unit, .low = 0, .high = high};
}

static nm_status plot_kinds(const nm_set_stats *stats, nm_rows *rows, const char *folder, nm_error *error) {
    static const char *const names[] = {"near miss", "collision", "any severity"};
    rows->count = 0;
    for (size_t i = 0; i < stats->group_count; i++) {
        const nm_set_group *group = &stats->groups[i];
        size_t series = strcmp(group->severity, "near_miss") == 0   ? 0
                        : strcmp(group->severity, "collision") == 0 ? 1
                                                                    : 2;
        add(rows, nm_kind_name(group->kind), series, (double)group->scenes);
    }
    return write_rows(rows, folder, "kinds.png", "Scenes by kind and severity asked for", axis_of("scenes", NULL, NAN),
                      names, 3, error);
}

static nm_status plot_yields(const nm_set_stats *stats, nm_rows *rows, const char *folder, nm_error *error) {
    rows->count = 0;
    for (size_t i = 0; i < stats->yield_count; i++) {
        const nm_set_yield *yield = &stats->yields[i];
        char name[NAME];
        snprintf(name, sizeof name, "%s, %s", nm_kind_name(yield->kind), yield->generator);
        if (yield->attempts) add(rows, name, 0, 100.0 * (double)yield->kept / (double)yield->attempts);
    }
    return write_rows(rows, folder, "yields.png", "Attempts that were kept", axis_of("kept", "%", 100), NULL, 1, error);
}

static nm_status plot_rejects(const nm_set_stats *stats, nm_rows *rows, const char *folder, nm_error *error) {
    rows->count = 0;
    for (size_t i = 0; i < stats->reject_count; i++) {
        char name[NAME];
        snprintf(name, sizeof name, "%s: %s", stats->rejects[i].generator, stats->rejects[i].reason);
        add(rows, name, 0, (double)stats->rejects[i].count);
    }
    return write_rows(rows, folder, "rejects.png", "Attempts that were rejected, by reason",
                      axis_of("attempts", NULL, NAN), NULL, 1, error);
}

static nm_status plot_parameters(const nm_set_stats *stats, nm_rows *rows, const char *folder, nm_error *error) {
    rows->count = 0;
    for (size_t i = 0; i < stats->parameter_count; i++) {
        const nm_set_parameter *p = &stats->parameters[i];
        char name[NAME];
        snprintf(name, sizeof name, "%s.%s", nm_kind_name(p->kind), p->name);
        const double covered = nm_set_covered(p);
        if (isfinite(covered)) add(rows, name, 0, covered);
    }
    return write_rows(rows, folder, "parameters.png", "Tenths of the range asked for that hold a scene",
                      axis_of("covered", "%", 100), NULL, 1, error);
}

static nm_status plot_distributions(const nm_set_stats *stats, nm_rows *rows, const char *folder, nm_error *error) {
    rows->count = 0;
    for (size_t i = 0; i < stats->parameter_count; i++) {
        const nm_set_parameter *p = &stats->parameters[i];
        char name[NAME];
        snprintf(name, sizeof name, "%s.%s", nm_kind_name(p->kind), p->name);
        if (isfinite(p->ks)) add(rows, name, 0, p->ks);
    }
    return write_rows(rows, folder, "distributions.png", "How far what was achieved is from what was asked for",
                      axis_of("Kolmogorov-Smirnov distance of the distributions", NULL, 1), NULL, 1, error);
}

static nm_status plot_confusion(const nm_set_stats *stats, nm_rows *rows, const char *folder, nm_error *error) {
    static const char *const names[] = {"as asked for", "another kind instead", "nothing"};
    rows->count = 0;
    for (int asked = 0; asked < NM_KIND_COUNT; asked++) {
        uint64_t scenes;
        const double right = nm_set_right(stats, (nm_kind)asked, &scenes);
        if (!scenes) continue;
        const double nothing = 100.0 * (double)stats->confusion[asked][NM_KIND_COUNT] / (double)scenes;
        const char *name = nm_kind_name((nm_kind)asked);
        add(rows, name, 0, right);
        add(rows, name, 1, fmax(100.0 - right - nothing, 0));
        add(rows, name, 2, nothing);
    }
    return write_rows(rows, folder, "confusion.png", "What was found where a kind was asked for",
                      axis_of("scenes", "%", 100), names, 3, error);
}

static nm_status plot_severities(const nm_set_stats *stats, nm_rows *rows, const char *folder, nm_error *error) {
    static const char *const names[] = {"near miss", "collision", "any severity"};
    rows->count = 0;
    for (size_t i = 0; i < stats->quality_count; i++) {
        const nm_set_quality *q = &stats->qualities[i];
        const uint64_t named = q->near_misses + q->collisions;
        if (q->kind != NM_KIND_COUNT || !q->scenes) continue;
        add(rows, q->generator, 0, 100.0 * (double)q->near_misses / (double)q->scenes);
        add(rows, q->generator, 1, 100.0 * (double)q->collisions / (double)q->scenes);
        add(rows, q->generator, 2, named < q->scenes ? 100.0 * (double)(q->scenes - named) / (double)q->scenes : 0);
    }
    return write_rows(rows, folder, "severities.png", "Severities by generator", axis_of("scenes", "%", 100), names, 3,
                      error);
}

/// One number of each generator: over all kinds, then by kind.
static nm_status plot_quality(const nm_set_stats *stats, int diversity, nm_rows *rows, const char *folder,
                              nm_error *error) {
    rows->count = 0;
    for (int by_kind = 0; by_kind < 2; by_kind++) {
        for (size_t i = 0; i < stats->quality_count; i++) {
            const nm_set_quality *q = &stats->qualities[i];
            const double value = diversity ? q->diversity : q->realism;
            char name[NAME];
            if ((q->kind != NM_KIND_COUNT) != by_kind || !(value >= 0 && value <= 1e9)) continue;
            snprintf(name, sizeof name, "%s, %s", by_kind ? nm_kind_name(q->kind) : "all kinds", q->generator);
            add(rows, name, 0, value);
        }
    }
    return diversity ? write_rows(rows, folder, "diversity.png", "How different two scenes of a kind are",
                                  axis_of("mean distance of features", NULL, NAN), NULL, 1, error)
                     : write_rows(rows, folder, "realism.png", "How unlike ordinary traffic the motion is",
                                  axis_of("realism score, less is more ordinary", "nats", NAN), NULL, 1, error);
}

static nm_status plot_ttc(const nm_set_stats *stats, const char *folder, nm_error *error) {
    double values[NM_SET_TTC_BINS];
    if (!stats->mined) return NM_OK;
    for (int i = 0; i < NM_SET_TTC_BINS; i++) values[i] = (double)stats->ttc[i];
    const nm_bar_series series = {NULL, values};
    nm_bars bars = nm_bars_default();
    bars.title = "Least time to collision";
    bars.count = NM_SET_TTC_BINS;
    bars.value.label = "scenes";
    bars.x = axis_of("least time to collision", "s", NM_SET_TTC_BINS * NM_SET_TTC_WIDTH);
    bars.series = &series;
    bars.series_count = 1;
    return write_bars(&bars, folder, "min_ttc.png", error);
}

nm_status nm_set_plot(const nm_set_stats *stats, const char *folder, nm_error *error) {
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return NM_ERROR_AT(error, NM_E_IO, folder, 0, -1, "cannot be made: %s", strerror(errno));
    nm_rows *rows = calloc(1, sizeof *rows);
    if (!rows) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_status status = plot_kinds(stats, rows, folder, error);
    if (status == NM_OK) status = plot_ttc(stats, folder, error);
    if (status == NM_OK) status = plot_yields(stats, rows, folder, error);
    if (status == NM_OK) status = plot_rejects(stats, rows, folder, error);
    if (status == NM_OK) status = plot_parameters(stats, rows, folder, error);
    if (status == NM_OK) status = plot_distributions(stats, rows, folder, error);
    if (status == NM_OK) status = plot_confusion(stats, rows, folder, error);
    if (status == NM_OK) status = plot_severities(stats, rows, folder, error);
    if (status == NM_OK) status = plot_quality(stats, 0, rows, folder, error);
    if (status == NM_OK) status = plot_quality(stats, 1, rows, folder, error);
    free(rows);
    return status;
}

#endif
