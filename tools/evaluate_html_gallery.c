/// The charts and the gallery of the page.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/evaluate_html.h"
#include "tools/evaluate_svg.h"
#include "tools/markup.h"

// ---------------------------------------------------------------------------------------------------------------------
// Charts

#define PLAN_LEAST_MS 0.001 ///< nothing faster is told apart

typedef enum quantity { SCORE = 0, TTC, PLAN_MS } quantity;

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/// Fills `values` [rows of the entrant].
static nm_svg_series series_of(const nm_evaluate_report *report, size_t planner, quantity what, double *values) {
    const nm_evaluation_entrant *entrant = &report->entrants[planner];
    nm_svg_series s = {.name = entrant->planner, .colour = nm_html_colour(report, planner), .values = values};
    for (size_t i = 0; i < entrant->count; ++i) {
        const nm_episode *e = &entrant->rows[i].episode;
        if (e->outcome == NM_EPISODE_UNFIT || (what == TTC && e->outcome != NM_EPISODE_DONE)) continue;
        const double value = what == SCORE ? nm_evaluation_score_of(&entrant->rows[i])
                             : what == TTC ? (double)e->min_ttc
                                           : 1e3 * e->plan_mean;
        s.total++;
        if (isfinite(value)) values[s.count++] = value;
    }
    qsort(values, s.count, sizeof *values, ascending);
    return s;
}

static void begin_chart(FILE *file, const char *title) {
    fprintf(file, "<figure><figcaption>%s</figcaption>\n", title);
}

/// Whole decades around all values.
static nm_svg_chart time_chart(const nm_svg_series *series, size_t count) {
    double low = INFINITY, high = 0.0;
    for (size_t i = 0; i < count; ++i)
        for (size_t k = 0; k < series[i].count; ++k)
            if (series[i].values[k] > 0.0) {
                low = fmin(low, fmax(series[i].values[k], PLAN_LEAST_MS));
                high = fmax(high, series[i].values[k]);
            }
    if (!(low <= high)) low = high = 1.0;
    low = pow(10.0, floor(log10(low)));
    high = pow(10.0, ceil(log10(high)));
    return (nm_svg_chart){.title = "Shares of scenes by time of an answer",
                          .x_label = "ms, mean of a scene",
                          .low = low,
                          .high = high > low ? high : 10.0 * low,
                          .logarithmic = 1};
}

static void write_charts(const nm_evaluate_report *report, nm_svg_series *series, double *values, FILE *file) {
    const size_t count = report->summary->planner_count;
    nm_svg_chart chart = {.title = "Shares of scenes by score", .x_label = "score", .high = 1.0, .digits = 1};
    for (int what = SCORE; what <= PLAN_MS; ++what) {
        double *next = values;
        for (size_t i = 0; i < count; next += report->entrants[i++].count)
            series[i] = series_of(report, i, (quantity)what, next);
        if (what == SCORE) {
            begin_chart(file, "Scores");
            nm_svg_histogram(file, &chart, series, count);
            fputs("</figure>\n", file);
            begin_chart(file, "Share of scenes with at most this score");
        } else if (what == TTC) {
            chart = (nm_svg_chart){.title = "Shares of scenes by least time to collision",
                                   .x_label = "s, least time to collision of the ego",
                                   .high = 3.0,
                                   .digits = 1};
            begin_chart(file, "Share of scenes with at most this time to collision");
        } else {
            chart = time_chart(series, count);
            begin_chart(file, "Share of scenes planned within this time a step");
        }
        nm_svg_shares(file, &chart, series, count);
        fputs("</figure>\n", file);
    }
}

nm_status nm_html_charts(const nm_evaluate_report *report, FILE *file, nm_error *error) {
    const size_t count = report->summary->planner_count;
    size_t rows = 0;
    for (size_t i = 0; i < count; ++i) rows += report->entrants[i].count;
    nm_svg_series *series = calloc(count + 1, sizeof *series);
    double *values = calloc(rows + 1, sizeof *values);
    if (series && values) {
        fprintf(file, "<section id=\"charts%s\">\n<h2>Distributions</h2>\n<div class=\"legend\">", report->anchor);
        for (size_t i = 0; i < count; ++i) {
            fprintf(file, "<span><i class=\"key k%d\"></i>", nm_html_colour(report, i));
            nm_markup_text(file, report->entrants[i].planner);
            fputs("</span>\n", file);
        }
        fputs("</div>\n<div class=\"charts\">\n", file);
        write_charts(report, series, values, file);
        fputs("</div>\n</section>\n", file);
    }
    const nm_status status =
        series && values ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for the charts of a report");
    free(series);
    free(values);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Gallery

/// What went wrong, in words.
static void write_story(const nm_results_row *row, FILE *file) {
    const nm_episode *e = &row->episode;
    if (e->outcome == NM_EPISODE_FAILED) {
        fputs("the planner failed: ", file);
        nm_markup_text(file, e->reason);
        return;
    }
    for (uint32_t i = 0; i < e->collision_count; ++i) {
        const nm_nuplan_collision *c = &e->collisions[i];
        if (!c->at_fault) continue;
        fprintf(file, "collision at fault with a %s (%s)", nm_nuplan_type_name((nm_nuplan_type)c->type),
                nm_nuplan_class_name((nm_nuplan_class)c->collision_class));
        if (c->step != NM_NONE) fprintf(file, " at %.1f s", 0.1 * c->step);
        return;
    }
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) {
        if (strcmp(e->worst, nm_nuplan_describe((nm_nuplan_metric)m)->name) != 0) continue;
        fprintf(file, "lost most by: %s (%.3f)", nm_evaluate_metric_title((nm_nuplan_metric)m),
                e->score.metric[m].value);
        if (e->worst_sample != NM_NONE) fprintf(file, " at %.1f s", 0.1 * e->worst_sample);
    }
}

static void write_frames(const nm_evaluate_report *report, size_t planner, const nm_evaluate_shot *shot, FILE *file) {
    fputs("<div class=\"strip\">\n", file);
    for (size_t i = 0; i < shot->frame_count; ++i) {
        const nm_evaluate_frame *frame = &shot->frames[i];
        fprintf(file, "<figure class=\"frame%s\"><img width=\"%d\" height=\"%d\" alt=\"scene %" PRId64 ", ",
                frame->moment ? " now" : "", NM_EVALUATE_FRAME_WIDTH, NM_EVALUATE_FRAME_HEIGHT, shot->row->scene);
        nm_markup_text(file, report->entrants[planner].planner);
        fprintf(file, ", after %.1f s\" src=\"data:image/png;base64,", frame->seconds);
        nm_markup_base64(file, frame->png, frame->size);
        fprintf(file, "\"><figcaption>%.1f s%s</figcaption></figure>\n", frame->seconds,
                frame->moment ? " &#9664; the moment" : "");
    }
    fputs("</div>\n", file);
}

/// The lines that show it again, as a shell reads them.
static void write_commands(const nm_evaluate_report *report, size_t planner, const nm_evaluate_shot *shot, FILE *file) {
    char *line = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&line, &size);
    if (!memory) return;
    fprintf(memory, "nearmiss evaluate %" PRId64 " --store ", shot->row->scene);
    nm_evaluate_shell_word(memory, report->store);
    fputs(" --planner ", memory);
    nm_evaluate_shell_word(memory, report->entrants[planner].planner);
    fputs(report->options, memory);
    const char *adversary = nm_evaluation_adversary_of(shot->row);
    if (*adversary) fputs(" --adversary ", memory);
    if (*adversary) nm_evaluate_shell_word(memory, adversary);
    if (shot->driven) {
        fprintf(memory, "\nnearmiss view %" PRId64 " --store ", shot->driven);
        nm_evaluate_shell_word(memory, report->gallery->driven);
    }
    if (fclose(memory) == 0) {
        fputs("<pre><code>", file);
        nm_markup_text(file, line);
        fputs("</code></pre>\n", file);
    }
    free(line);
}

static void write_shot(const nm_evaluate_report *report, size_t planner, const nm_evaluate_shot *shot, FILE *file) {
    const nm_results_row *row = shot->row;
    const double score = nm_evaluation_score_of(row), again = shot->again.score.score;
    fprintf(file, "<article class=\"shot\">\n<header><h4>Scene %" PRId64 " <span class=\"badge\">", row->scene);
    nm_markup_text(file, row->type);
    if (*nm_evaluation_adversary_of(row)) fputs("</span> against <span class=\"badge\">", file);
    nm_markup_text(file, nm_evaluation_adversary_of(row));
    fprintf(file, "</span></h4><span class=\"mark\">%.3f</span><span>", score);
    write_story(row, file);
    fputs("</span></header>\n<p class=\"note\">", file);
    nm_markup_text(file, row->name);
    if (isfinite(row->episode.min_ttc)) fprintf(file, " &#183; least TTC %.1f s", (double)row->episode.min_ttc);
    if (isfinite(row->episode.min_distance))
        fprintf(file, " &#183; least distance %.1f m", (double)row->episode.min_distance);
    fputs("</p>\n", file);
    if (shot->again.outcome == row->episode.outcome && !shot->trouble[0] && fabs(again - score) > NM_EVALUATION_TIE)
        fprintf(file,
                "<p class=\"again\">Driven again for these pictures it scored %.3f: this planner does not do the "
                "same every time.</p>\n",
                again);
    if (shot->again.outcome != row->episode.outcome && !shot->trouble[0])
        fprintf(file, "<p class=\"again\">Driven again for these pictures its outcome was another: %s.</p>\n",
                nm_episode_outcome_name(shot->again.outcome));
    if (shot->frame_count) write_frames(report, planner, shot, file);
    if (shot->trouble[0]) {
        fputs("<p class=\"note\">", file);
        nm_markup_text(file, shot->trouble);
        fputs("</p>\n", file);
    }
    write_commands(report, planner, shot, file);
    fputs("</article>\n", file);
}

void nm_html_gallery(const nm_evaluate_report *report, FILE *file) {
    const nm_evaluate_gallery *gallery = report->gallery;
    fprintf(file, "<section id=\"gallery%s\">\n<h2>Worst scenes</h2>\n", report->anchor);
    fputs("<p class=\"note\">Driven once more for these pictures. Up is where the ego heads at the moment that cost "
          "most; "
          "there a ring is around the ego and around whom it met. Dashes are the recorded way of the ego. Below: the "
          "lines "
          "that evaluate the scene again, and that show the drive in the viewer.</p>\n",
          file);
    for (size_t p = 0; p < gallery->planners; ++p) {
        fprintf(file, "<h3><i class=\"key k%d\"></i>", nm_html_colour(report, p));
        nm_markup_text(file, report->entrants[p].planner);
        fputs("</h3>\n", file);
        if (!gallery->counts[p]) fputs("<p>No scene lost anything.</p>\n", file);
        for (size_t i = 0; i < gallery->counts[p]; ++i) write_shot(report, p, &gallery->shots[p][i], file);
    }
    fputs("</section>\n", file);
}
