/// The tables of the page.
#include <inttypes.h>
#include <math.h>

#include "tools/evaluate_adversaries.h"
#include "tools/evaluate_html.h"
#include "tools/evaluate_svg.h"
#include "tools/markup.h"

#define TROUBLES_MOST 100u ///< listed of a planner

static void begin_section(const nm_evaluate_report *report, FILE *file, const char *id, const char *title,
                          const char *text) {
    nm_html_section(file, id, report->anchor, title, text);
}

// ---------------------------------------------------------------------------------------------------------------------
// Scores

static void write_score_row(const nm_evaluate_report *report, size_t i, FILE *file) {
    const nm_evaluation_sum *p = &report->summary->planners[i];
    fputs("<tr>", file);
    nm_html_planner_cell(report, i, file);
    if (p->all.scenes)
        fprintf(file,
                "<td><b>%.4f</b><span class=\"meter\"><i class=\"k%d\" style=\"width:%.1f%%\"></i></span></td>"
                "<td class=\"dim\">%.3f&#8211;%.3f</td>",
                p->all.score, nm_html_colour(report, i), 100.0 * fmin(fmax(p->all.score, 0.0), 1.0), p->mean.low,
                p->mean.high);
    else
        fputs("<td>-</td><td class=\"dim\">-</td>", file);
    nm_html_number(file, p->score.p05, 3);
    nm_html_number(file, p->score.p25, 3);
    nm_html_number(file, p->score.median, 3);
    nm_html_number(file, p->score.p75, 3);
    nm_html_number(file, p->score.p95, 3);
    nm_html_number(file, p->all.scenes ? 100.0 * (double)p->all.collided / (double)p->all.scenes : NAN, 1);
    nm_html_count(file, p->all.scenes);
    nm_html_count(file, p->mean.groups);
    nm_html_count(file, p->all.failed);
    nm_html_count(file, p->all.unfit);
    nm_html_number(file, 1e3 * p->plan_mean.mean, 3);
    fputs("</tr>\n", file);
}

void nm_html_scores(const nm_evaluate_report *report, FILE *file) {
    begin_section(
        report, file, "scores", "Scores",
        "nuPlan closed-loop score, 0 to 1. A scene in which a planner failed counts as 0; an unfit one, which "
        "nobody can drive, for nobody. Interval: 95&#8201;%, bootstrap over groups of scenes that are not "
        "independent, such as cuts of one recording.");
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">planner</th><th scope=\"col\">mean score</th><th scope=\"col\">95 % interval</th>"
          "<th scope=\"col\" title=\"5 % of the scenes score no more\">P5</th><th scope=\"col\">P25</th>"
          "<th scope=\"col\">median</th><th scope=\"col\">P75</th><th scope=\"col\">P95</th>"
          "<th scope=\"col\" class=\"wrap\">at-fault collision, % of scenes</th><th scope=\"col\">scenes</th>"
          "<th scope=\"col\" title=\"of scenes that are independent of each other: what intervals are drawn "
          "from\">groups</th>"
          "<th scope=\"col\">failed</th><th scope=\"col\">unfit</th><th scope=\"col\">ms/step</th></tr></thead>\n"
          "<tbody>\n",
          file);
    for (size_t i = 0; i < report->summary->planner_count; ++i) write_score_row(report, i, file);
    nm_html_end_table(file);
    fputs("</section>\n", file);
}

void nm_html_metrics(const nm_evaluate_report *report, FILE *file) {
    begin_section(report, file, "metrics", "What the score is made of",
                  "Means over scenes, 1 is best. The first four multiply the weighted mean of the last four. Tinted by "
                  "what was lost.");
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">planner</th>", file);
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) {
        const nm_nuplan_description *about = nm_nuplan_describe(nm_evaluate_order[m]);
        fputs("<th scope=\"col\" class=\"wrap\" title=\"", file);
        nm_markup_text(file, about->name);
        fputs(": ", file);
        nm_markup_text(file, about->meaning);
        fprintf(file, "\">%s<br><span class=\"dim\">", nm_evaluate_metric_title(nm_evaluate_order[m]));
        if (about->role == NM_NUPLAN_MULTIPLIER)
            fputs("factor", file);
        else
            fprintf(file, "weight %g", about->weight);
        fputs("</span></th>", file);
    }
    fputs("</tr></thead>\n<tbody>\n", file);
    for (size_t i = 0; i < report->summary->planner_count; ++i) {
        fputs("<tr>", file);
        nm_html_planner_cell(report, i, file);
        for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m)
            nm_html_tinted(file, report->summary->planners[i].all.metric[nm_evaluate_order[m]]);
        fputs("</tr>\n", file);
    }
    nm_html_end_table(file);
    fputs("</section>\n", file);
}

// ---------------------------------------------------------------------------------------------------------------------
// Pairs

static void write_share(FILE *file, const char *name, size_t part, size_t whole) {
    if (part) fprintf(file, "<i class=\"%s\" style=\"width:%.2f%%\"></i>", name, 100.0 * (double)part / (double)whole);
}

static void write_pair(const nm_evaluate_report *report, const nm_evaluation_pair *p, double reach, FILE *file) {
    fputs("<tr><th scope=\"row\" class=\"pair\">", file);
    nm_markup_text(file, nm_html_name(report, p->first));
    fputs(" <span class=\"dim\">against</span> ", file);
    nm_markup_text(file, nm_html_name(report, p->second));
    fprintf(file, "</th><td>%zu</td><td>%u</td>", p->scenes, p->difference.groups);
    if (!p->scenes) {
        fputs("<td>-</td><td>-</td><td></td><td></td><td>-</td></tr>\n", file);
        return;
    }
    const int apart = p->difference.low > 0.0 || p->difference.high < 0.0;
    fprintf(file, "<td class=\"%s\">%+.4f</td><td class=\"dim\">%+.4f to %+.4f</td><td>", apart ? "best" : "",
            p->difference.value, p->difference.low, p->difference.high);
    nm_svg_interval(file, p->difference.value, p->difference.low, p->difference.high, reach);
    fputs("</td><td><span class=\"wtl\">", file);
    write_share(file, "win", p->wins, p->scenes);
    write_share(file, "tie", p->ties, p->scenes);
    write_share(file, "loss", p->losses, p->scenes);
    fprintf(file, "</span></td><td>%zu / %zu / %zu</td></tr>\n", p->wins, p->ties, p->losses);
}

void nm_html_pairs(const nm_evaluate_report *report, FILE *file) {
    const nm_evaluation_summary *summary = report->summary;
    double reach = 1e-3;
    for (size_t i = 0; i < summary->pair_count; ++i) {
        const nm_estimate *d = &summary->pairs[i].difference; // fmax leaves NaN out
        reach = fmax(reach, fmax(fabs(d->low), fabs(d->high)));
    }
    begin_section(
        report, file, "pairs", "Planners compared on the same scenes",
        "Mean difference of the scores scene by scene, with its 95&#8201;% bootstrap interval; bold where that "
        "leaves out 0. Won, tied and lost are scenes of the first planner.");
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">pair</th><th scope=\"col\">scenes</th><th scope=\"col\">groups</th>"
          "<th scope=\"col\">difference</th>"
          "<th scope=\"col\">95 % interval</th>",
          file);
    fprintf(file, "<th scope=\"col\"><span class=\"ends\"><i>&#8722;%.3f</i><i>0</i><i>+%.3f</i></span></th>", reach,
            reach);
    fputs("<th scope=\"col\"></th><th scope=\"col\">won / tied / lost</th></tr></thead>\n<tbody>\n", file);
    for (size_t i = 0; i < summary->pair_count; ++i) write_pair(report, &summary->pairs[i], reach, file);
    nm_html_end_table(file);
    fputs("</section>\n", file);
}

// ---------------------------------------------------------------------------------------------------------------------
// Types

static double best_of_type(const nm_evaluate_report *report, size_t type) {
    double best = NAN;
    for (size_t i = 0; i < report->summary->planner_count; ++i)
        if (!nm_html_is_expert(report, i)) best = fmax(best, report->summary->planners[i].types[type].score);
    return best;
}

static void write_type(const nm_evaluate_report *report, size_t type, FILE *file) {
    const nm_evaluation_summary *summary = report->summary;
    size_t scenes = 0;
    char text[NM_EVALUATE_NUMBER];
    for (size_t i = 0; i < summary->planner_count; ++i) {
        const nm_evaluation_part *part = &summary->planners[i].types[type];
        if (part->scenes > scenes) scenes = part->scenes;
    }
    const double best = best_of_type(report, type);
    fputs("<tr><th scope=\"row\">", file);
    nm_markup_text(file, summary->types[type]);
    fprintf(file, "</th><td>%zu</td>", scenes);
    for (size_t i = 0; i < summary->planner_count; ++i) {
        const nm_evaluation_part *part = &summary->planners[i].types[type];
        const int is_best = !nm_html_is_expert(report, i) && part->score >= best;
        const double lost = isfinite(part->score) ? fmin(fmax(1.0 - part->score, 0.0), 1.0) : 0.0;
        fprintf(file,
                "<td style=\"background:rgba(var(--tint),%.3f)\"%s title=\"%zu at-fault, %zu failed, %zu unfit\">%s",
                0.55 * lost, is_best ? " class=\"best\"" : "", part->collided, part->failed, part->unfit,
                nm_evaluate_number(text, part->score, 3));
        fprintf(file, "</td><td class=\"dim\">%zu</td>", part->collided);
    }
    fputs("</tr>\n", file);
}

void nm_html_types(const nm_evaluate_report *report, FILE *file) {
    const nm_evaluation_summary *summary = report->summary;
    begin_section(
        report, file, "types", "By type of scene",
        "Mean score, and beside it the number of scenes with a collision at fault; the best planner bold. The "
        "type is the kind a scene was generated for, else the most severe kind mined in it, else where the ego was "
        "recorded and what it did there.");
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">type</th><th scope=\"col\">scenes</th>", file);
    for (size_t i = 0; i < summary->planner_count; ++i) {
        fprintf(file, "<th scope=\"col\" class=\"wrap\" colspan=\"2\"><i class=\"key k%d\"></i>",
                nm_html_colour(report, i));
        nm_markup_text(file, nm_html_name(report, i));
        fputs("</th>", file);
    }
    fputs("</tr></thead>\n<tbody>\n", file);
    for (size_t t = 0; t < summary->type_count; ++t) write_type(report, t, file);
    nm_html_end_table(file);
    fputs("</section>\n", file);
}

// ---------------------------------------------------------------------------------------------------------------------
// Collisions

static const char *class_meaning(nm_nuplan_class which) {
    static const char *const meanings[NM_NUPLAN_CLASS_COUNT] = {
        [NM_NUPLAN_STOPPED_EGO] = "the ego stood: not its fault",
        [NM_NUPLAN_STOPPED_TRACK] = "the other stood: the ego's fault",
        [NM_NUPLAN_ACTIVE_REAR] = "hit from behind: not the ego's fault",
        [NM_NUPLAN_ACTIVE_FRONT] = "with the front bumper: the ego's fault",
        [NM_NUPLAN_ACTIVE_LATERAL] = "from the side: the ego's fault when it is not in one lane",
    };
    return meanings[which];
}

static void write_contacts(const nm_evaluate_report *report, const char *name, const char *meaning, int by_class,
                           int which, FILE *file) {
    size_t all = 0;
    for (size_t i = 0; i < report->summary->planner_count; ++i) {
        const nm_evaluation_sum *p = &report->summary->planners[i];
        all += by_class ? p->by_class[which][0] + p->by_class[which][1] : p->by_type[which][0] + p->by_type[which][1];
    }
    if (!all) return;
    fputs("<tr><th scope=\"row\" title=\"", file);
    nm_markup_text(file, meaning);
    fprintf(file, "\">%s</th>", name);
    for (size_t i = 0; i < report->summary->planner_count; ++i) {
        const nm_evaluation_sum *p = &report->summary->planners[i];
        const size_t *counts = by_class ? p->by_class[which] : p->by_type[which];
        nm_html_count(file, counts[1]);
        nm_html_count(file, counts[0]);
    }
    fputs("</tr>\n", file);
}

static size_t contacts_of_all(const nm_evaluate_report *report) {
    size_t all = 0;
    for (size_t i = 0; i < report->summary->planner_count; ++i)
        for (int c = 0; c < NM_NUPLAN_CLASS_COUNT; ++c)
            all += report->summary->planners[i].by_class[c][0] + report->summary->planners[i].by_class[c][1];
    return all;
}

void nm_html_collisions(const nm_evaluate_report *report, FILE *file) {
    begin_section(report, file, "collisions", "Collisions",
                  "First contacts of the ego with anybody, by nuPlan's classes and by what it met, at most 8 a "
                  "scene.");
    if (!contacts_of_all(report)) {
        fputs("<p>There was none.</p>\n</section>\n", file);
        return;
    }
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">class</th>", file);
    for (size_t i = 0; i < report->summary->planner_count; ++i) {
        fprintf(file, "<th scope=\"col\" colspan=\"2\"><i class=\"key k%d\"></i>", nm_html_colour(report, i));
        nm_markup_text(file, nm_html_name(report, i));
        fputs("<br><span class=\"dim\">at fault / not</span></th>", file);
    }
    fputs("</tr></thead>\n<tbody>\n", file);
    for (int c = 0; c < NM_NUPLAN_CLASS_COUNT; ++c)
        write_contacts(report, nm_nuplan_class_name((nm_nuplan_class)c), class_meaning((nm_nuplan_class)c), 1, c, file);
    for (int t = 0; t < NM_NUPLAN_TYPE_COUNT; ++t) {
        char name[40];
        snprintf(name, sizeof name, "with a %s", nm_nuplan_type_name((nm_nuplan_type)t));
        write_contacts(report, name, "what the ego met", 0, t, file);
    }
    nm_html_end_table(file);
    fputs("</section>\n", file);
}

// ---------------------------------------------------------------------------------------------------------------------
// Troubles

/// To be listed: what has no place for an adversary is in the table of those.
static int is_trouble(const nm_results_row *row) {
    return row->episode.outcome != NM_EPISODE_DONE && !nm_evaluate_is_no_place(row);
}

size_t nm_html_count_troubles(const nm_evaluate_report *report, size_t planner) {
    const nm_evaluation_entrant *entrant = &report->entrants[planner];
    size_t count = 0;
    for (size_t i = 0; i < entrant->count; ++i) count += (size_t)is_trouble(&entrant->rows[i]);
    return count;
}

static void list_troubles(const nm_evaluate_report *report, size_t planner, FILE *file) {
    const nm_evaluation_entrant *entrant = &report->entrants[planner];
    const size_t failures = report->summary->planners[planner].all.failed;
    const size_t troubles = nm_html_count_troubles(report, planner);
    size_t shown = 0;
    if (!troubles) return;
    fprintf(file, "<h3><i class=\"key k%d\"></i>", nm_html_colour(report, planner));
    nm_markup_text(file, entrant->planner);
    fprintf(file, ": %zu failed, %zu unfit</h3>\n", failures, troubles - failures);
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">scene</th><th scope=\"col\" class=\"left\">type</th><th scope=\"col\" "
          "class=\"left\">outcome</th><th scope=\"col\" class=\"left\">reason</th></tr></thead>\n<tbody>\n",
          file);
    for (int failed = 1; failed >= 0; --failed) // those that count against it first
        for (size_t i = 0; i < entrant->count && shown < TROUBLES_MOST; ++i) {
            const nm_results_row *row = &entrant->rows[i];
            if (!is_trouble(row) || (row->episode.outcome == NM_EPISODE_FAILED) != failed) continue;
            fprintf(file, "<tr><th scope=\"row\">%" PRId64 "</th><td class=\"left\">", row->scene);
            nm_markup_text(file, row->type);
            if (*nm_evaluation_adversary_of(row)) fputs(" against ", file);
            nm_markup_text(file, nm_evaluation_adversary_of(row));
            fprintf(file, "</td><td class=\"left\">%s</td><td class=\"text\">",
                    nm_episode_outcome_name(row->episode.outcome));
            nm_markup_text(file, row->episode.reason);
            if (row->said && row->said[0]) {
                fputs("<pre>", file);
                nm_markup_text(file, row->said);
                fputs("</pre>", file);
            }
            fputs("</td></tr>\n", file);
            ++shown;
        }
    nm_html_end_table(file);
    if (troubles > shown) fprintf(file, "<p class=\"note\">%zu more are in results.csv.</p>\n", troubles - shown);
}

void nm_html_troubles(const nm_evaluate_report *report, FILE *file) {
    begin_section(report, file, "troubles", "Failed and unfit scenes",
                  "Failed: the planner broke down, and the scene counts as 0. Unfit: it has no ego, route or map to "
                  "drive on, or too little recording.");
    for (size_t i = 0; i < report->summary->planner_count; ++i) list_troubles(report, i, file);
    fputs("</section>\n", file);
}
