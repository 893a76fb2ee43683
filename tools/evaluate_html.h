/// The parts of the page that an evaluation leaves behind. Private to evaluate_html*.c.
#ifndef NM_TOOLS_EVALUATE_HTML_H
#define NM_TOOLS_EVALUATE_HTML_H

#include "tools/evaluate_report.h"

void nm_html_scores(const nm_evaluate_report *report, FILE *file);
void nm_html_metrics(const nm_evaluate_report *report, FILE *file);
void nm_html_pairs(const nm_evaluate_report *report, FILE *file);
int nm_html_has_adversaries(const nm_evaluate_report *report);          ///< 0 where nobody was steered
void nm_html_adversaries(const nm_evaluate_report *report, FILE *file); ///< nothing there
void nm_html_reasons(const nm_evaluate_report *report, FILE *file);
void nm_html_types(const nm_evaluate_report *report, FILE *file);
void nm_html_collisions(const nm_evaluate_report *report, FILE *file);
/// Scenes of a planner that it lists: failed, or unfit for more than having no place for an adversary.
size_t nm_html_count_troubles(const nm_evaluate_report *report, size_t planner);
void nm_html_troubles(const nm_evaluate_report *report, FILE *file);
nm_status nm_html_charts(const nm_evaluate_report *report, FILE *file, nm_error *error); ///< NM_E_MEMORY
void nm_html_gallery(const nm_evaluate_report *report, FILE *file);
nm_status nm_html_danger(const nm_evaluate_report *report, FILE *file, nm_error *error); ///< NM_E_MEMORY
void nm_html_worlds(const nm_evaluate_study *study, FILE *file);                         ///< of several
void nm_html_realism(const nm_evaluate_study *study, FILE *file);

/// text may hold markup; title may not.
void nm_html_section(FILE *file, const char *id, const char *anchor, const char *title, const char *text);
void nm_html_begin_table(FILE *file); ///< up to its first row of headings
void nm_html_end_table(FILE *file);
void nm_html_tinted(FILE *file, double value); ///< a share of 1, tinted by how much is lost

/// Class number of a planner's colour: 8 for the expert, 0 to 7 in turn for the others.
int nm_html_colour(const nm_evaluate_report *report, size_t planner);
/// A library's name without its folder where that tells it from the others, else the planner as it was given.
const char *nm_html_name(const nm_evaluate_report *report, size_t planner);
int nm_html_is_expert(const nm_evaluate_report *report, size_t planner);
/// The planner's name with its colour, as the first cell of a row.
void nm_html_planner_cell(const nm_evaluate_report *report, size_t planner, FILE *file);
/// <td>number</td>, "-" for what is not finite.
void nm_html_number(FILE *file, double value, int digits);
void nm_html_count(FILE *file, size_t value); ///< dim where 0

#endif
