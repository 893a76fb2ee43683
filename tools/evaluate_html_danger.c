/// How dangerous the drives were: quantiles and histograms of the ego's criticality.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/evaluate_html.h"
#include "tools/evaluate_svg.h"
#include "tools/markup.h"

static void write_row(const nm_evaluate_report *report, nm_ego_measure measure, size_t planner, FILE *file) {
    const nm_evaluation_sum *p = &report->summary->planners[planner];
    const nm_distribution *d = &p->danger[measure];
    fputs("<tr>", file);
    nm_html_planner_cell(report, planner, file);
    nm_html_count(file, d->count);
    nm_html_count(file, p->measured - d->count);
    const double values[] = {d->least, d->p05, d->p25, d->median, d->p75, d->p95, d->most};
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i)
        nm_html_number(file, values[i], values[i] < 100.0 ? 2 : 0);
    fputs("</tr>\n", file);
}

static void write_table(const nm_evaluate_report *report, nm_ego_measure measure, FILE *file) {
    nm_html_begin_table(file);
    fputs(
        "<th scope=\"col\">planner</th><th scope=\"col\">scenes</th>"
        "<th scope=\"col\" title=\"scenes without any\">none</th><th scope=\"col\">least</th><th scope=\"col\">P5</th>"
        "<th scope=\"col\">P25</th><th scope=\"col\">median</th><th scope=\"col\">P75</th><th scope=\"col\">P95</th>"
        "<th scope=\"col\">most</th></tr></thead>\n<tbody>\n",
        file);
    for (size_t i = 0; i < report->summary->planner_count; ++i) write_row(report, measure, i, file);
    nm_html_end_table(file);
}

/// "m/s2" with its 2 raised, as UTF-8.
static const char *unit_of(const nm_ego_description *about) {
    return strcmp(about->unit, "m/s2") == 0 ? "m/s\xc2\xb2" : about->unit;
}

/// values: room for all rows of all planners.
static void write_chart(const nm_evaluate_report *report, nm_ego_measure measure, nm_svg_series *series, double *values,
                        FILE *file) {
    const nm_ego_description *about = nm_ego_describe(measure);
    char label[96];
    snprintf(label, sizeof label, "%s, %s; the last bin holds all beyond", about->title, unit_of(about));
    const nm_svg_chart chart = {.title = about->title,
                                .x_label = label,
                                .high = (double)about->drawn_to,
                                .digits = about->drawn_to > 9.0f ? 0 : 1};
    for (size_t i = 0; i < report->summary->planner_count; ++i) {
        const nm_evaluation_entrant *entrant = &report->entrants[i];
        nm_svg_series *s = &series[i];
        *s = (nm_svg_series){.name = entrant->planner,
                             .colour = nm_html_colour(report, i),
                             .values = values,
                             .total = report->summary->planners[i].measured};
        for (size_t k = 0; k < entrant->count; ++k) {
            const nm_episode *e = &entrant->rows[k].episode;
            if (e->outcome == NM_EPISODE_DONE && isfinite(e->danger.value[measure]))
                values[s->count++] = (double)e->danger.value[measure];
        }
        values += s->count;
    }
    nm_svg_histogram(file, &chart, series, report->summary->planner_count);
}

static int any_measured(const nm_evaluate_report *report) {
    for (size_t i = 0; i < report->summary->planner_count; ++i)
        if (report->summary->planners[i].measured) return 1;
    return 0;
}

nm_status nm_html_danger(const nm_evaluate_report *report, FILE *file, nm_error *error) {
    size_t rows = 0;
    for (size_t i = 0; i < report->summary->planner_count; ++i) rows += report->entrants[i].count;
    nm_svg_series *series = calloc(report->summary->planner_count + 1, sizeof *series);
    double *values = calloc(rows + 1, sizeof *values);
    const nm_status status =
        series && values ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for the charts of a report");
    if (status == NM_OK) {
        nm_html_section(file, "danger", report->anchor, "Criticality of the ego's drive",
                        "Extremes of each scene that was driven to its end, and how they spread over scenes: small "
                        "times and large decelerations are near misses that a score of 1 does not show. Bars are "
                        "shares of these scenes.");
        if (!any_measured(report)) fputs("<p>Nothing was measured.</p>\n", file);
        for (int m = 0; m < NM_EGO_MEASURE_COUNT && any_measured(report); ++m) {
            const nm_ego_description *about = nm_ego_describe((nm_ego_measure)m);
            fprintf(file, "<div class=\"measure tight\"><div><h3>%s, %s</h3>\n<p class=\"note\">%s</p>\n", about->title,
                    unit_of(about), about->meaning);
            write_table(report, (nm_ego_measure)m, file);
            fputs("</div>\n<figure>", file);
            write_chart(report, (nm_ego_measure)m, series, values, file);
            fputs("</figure></div>\n", file);
        }
        fputs("</section>\n", file);
    }
    free(series);
    free(values);
    return status;
}
