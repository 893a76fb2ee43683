/// The part of the page about adversaries: what each kind came to with each planner.
#include "tools/evaluate_html.h"
#include "tools/markup.h"

static void write_cells(const nm_evaluation_part *part, FILE *file) {
    nm_html_count(file, part->scenes);
    nm_html_count(file, part->staged);
    nm_html_tinted(file, part->score);
    nm_html_count(file, part->met);
    nm_html_count(file, part->avoidable);
    nm_html_count(file, part->collided);
    nm_html_count(file, part->unfit);
}

int nm_html_has_adversaries(const nm_evaluate_report *report) {
    const nm_evaluation_summary *summary = report->summary;
    return summary->adversary_count > 1 || (summary->adversary_count == 1 && *summary->adversaries[0]);
}

void nm_html_adversaries(const nm_evaluate_report *report, FILE *file) {
    const nm_evaluation_summary *summary = report->summary;
    if (!nm_html_has_adversaries(report)) return;
    nm_html_section(
        file, "adversaries", report->anchor, "By adversary",
        "One agent was steered against the planner by a kind of corner case. Staged: scenes in which the detectors see "
        "that kind in what was driven. Collided: ego and adversary touched, whoever's fault it was; avoidable: of "
        "these, those that UNECE R157's careful driver in the ego's place would have avoided. At fault: scenes with a "
        "collision that is the ego's fault, with anybody. No place: scenes in which the kind cannot happen, or which "
        "are unfit.");
    nm_html_begin_table(file);
    fputs(
        "<th scope=\"col\">adversary</th><th scope=\"col\" class=\"left\">planner</th><th scope=\"col\">scenes</th>"
        "<th scope=\"col\">staged</th><th scope=\"col\">score</th><th scope=\"col\">collided</th>"
        "<th scope=\"col\">avoidable</th><th scope=\"col\">at fault</th><th scope=\"col\">no place</th></tr></thead>\n"
        "<tbody>\n",
        file);
    for (size_t k = 0; k < summary->adversary_count; ++k)
        for (size_t i = 0; i < summary->planner_count; ++i) {
            fputs("<tr><th scope=\"row\">", file);
            if (i == 0) nm_markup_text(file, summary->adversaries[k]);
            fputs("</th><td class=\"left\">", file);
            nm_markup_text(file, nm_html_name(report, i));
            fputs("</td>", file);
            write_cells(&summary->planners[i].adversaries[k], file);
            fputs("</tr>\n", file);
        }
    nm_html_end_table(file);
    fputs("</section>\n", file);
}
