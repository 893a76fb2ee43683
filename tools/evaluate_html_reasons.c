/// The part of the page that says why scores are not 1.
#include "tools/evaluate_html.h"
#include "tools/evaluate_reasons.h"
#include "tools/markup.h"

/// Returns how many rows there were. *silent grows by the drives that nothing is known of.
static size_t write_reasons(const nm_evaluate_report *report, size_t planner, size_t *silent, FILE *file) {
    nm_reasons reasons;
    size_t unknown;
    const size_t done = nm_evaluate_reasons_of(&report->entrants[planner], &reasons, &unknown);
    *silent += unknown;
    for (uint32_t i = 0; i < reasons.count; ++i) {
        const nm_reason *r = &reasons.reasons[i];
        fputs("<tr>", file);
        if (i)
            fputs("<th scope=\"row\"></th>", file);
        else
            nm_html_planner_cell(report, planner, file);
        fprintf(file, "<td class=\"left\">%s</td><td class=\"left\">%s</td>",
                nm_evaluate_metric_title((nm_nuplan_metric)r->about.metric), nm_loss_detail(&r->about));
        nm_html_count(file, r->episodes);
        nm_html_number(file, r->cost / (double)done, 4);
        nm_html_count(file, r->recordings);
        fputs("</tr>\n", file);
    }
    return reasons.count;
}

void nm_html_reasons(const nm_evaluate_report *report, FILE *file) {
    size_t shown = 0, silent = 0;
    nm_html_section(
        file, "losses", report->anchor, "Why scores are not 1",
        "Every metric below its maximum in scenes that were driven to the end: in how many, what it cost on average "
        "over all of them (the score with that metric at its maximum, less the score), and in how many of these the "
        "recorded drive itself lacks at least half as much. Collisions are told apart by class, comfort by the bound "
        "that was passed by most. Each single loss, with its moment and the other's track, is in losses.csv.");
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">planner</th><th scope=\"col\" class=\"left\">reason</th><th scope=\"col\" "
          "class=\"left\"></th><th scope=\"col\">scenes</th><th scope=\"col\">mean cost</th>"
          "<th scope=\"col\">in the recording</th></tr></thead>\n<tbody>\n",
          file);
    for (size_t i = 0; i < report->summary->planner_count; ++i) shown += write_reasons(report, i, &silent, file);
    nm_html_end_table(file);
    if (silent)
        fprintf(file, "<p class=\"note\">%zu more drives are from an older version, which kept no reasons.</p>\n",
                silent);
    if (!shown && !silent) fputs("<p>Nobody lost anything.</p>\n", file);
    fputs("</section>\n", file);
}
