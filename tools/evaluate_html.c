/// One page of HTML: what was run, scores, comparisons, charts, troubles, pictures. No script, nothing from elsewhere.
#include "tools/evaluate_html.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "base/whole_file.h"
#include "tools/markup.h"

#include "evaluate.css.h"

int nm_html_is_expert(const nm_evaluate_report *report, size_t planner) {
    return strcmp(report->entrants[planner].planner, "expert") == 0;
}

int nm_html_colour(const nm_evaluate_report *report, size_t planner) {
    int colour = 0;
    if (nm_html_is_expert(report, planner)) return 8;
    for (size_t i = 0; i < planner; ++i) colour += !nm_html_is_expert(report, i);
    return colour % 8;
}

const char *nm_html_name(const nm_evaluate_report *report, size_t planner) {
    const char *whole = report->entrants[planner].planner, *name = nm_base_name(whole);
    if (strncmp(whole, "exec:", 5) == 0 || strncmp(whole, "unix:", 5) == 0) return whole;
    for (size_t i = 0; i < report->summary->planner_count; ++i)
        if (i != planner && strcmp(nm_base_name(report->entrants[i].planner), name) == 0) return whole;
    return name;
}

void nm_html_planner_cell(const nm_evaluate_report *report, size_t planner, FILE *file) {
    fputs("<th scope=\"row\" title=\"", file);
    nm_markup_text(file, report->entrants[planner].planner);
    fprintf(file, "\"><i class=\"key k%d\"></i>", nm_html_colour(report, planner));
    nm_markup_text(file, nm_html_name(report, planner));
    if (nm_html_is_expert(report, planner)) fputs("<span class=\"badge\">recorded drive</span>", file);
    fputs("</th>", file);
}

void nm_html_number(FILE *file, double value, int digits) {
    char text[NM_EVALUATE_NUMBER];
    fprintf(file, "<td>%s</td>", nm_evaluate_number(text, value, digits));
}

void nm_html_count(FILE *file, size_t value) {
    fprintf(file, value ? "<td>%zu</td>" : "<td class=\"dim\">%zu</td>", value);
}

// ---------------------------------------------------------------------------------------------------------------------

static void begin_fact(FILE *file, const char *name) {
    fprintf(file, "<div><dt>%s</dt><dd>", name);
}

static void write_fact(FILE *file, const char *name, const char *value) {
    begin_fact(file, name);
    nm_markup_text(file, value);
    fputs("</dd></div>\n", file);
}

static void write_facts(const nm_evaluate_report *report, FILE *file) {
    static const char *const agents[NM_EPISODE_AGENTS_COUNT] = {"replayed as recorded (non-reactive)", "IDM (reactive)",
                                                                "Nexus, the trained model (reactive)"};
    const nm_episode_config *episode = report->episode;
    const nm_idm_params *idm = episode->idm;
    fputs("<dl class=\"facts\">\n", file);
    write_fact(file, "Store", report->store);
    write_fact(file, "Agents", agents[episode->agents]);
    if (episode->agents == NM_EPISODE_IDM) {
        begin_fact(file, "IDM parameters");
        nm_markup_text(file, idm->name);
        fprintf(file, ": T %.2f s, s0 %.1f m, a %.1f, b %.1f m/s&#178;</dd></div>\n", (double)idm->time_gap,
                (double)idm->min_gap, (double)idm->accel, (double)idm->brake);
    }
    write_fact(file, "Execution", episode->perfect ? "plans followed exactly" : "nuPlan's two-stage controller");
    begin_fact(file, "Driven");
    fprintf(file, "%g s at most, 0.1 s steps</dd></div>\n", (double)episode->seconds);
    begin_fact(file, "Deadline for an answer");
    if (episode->deadline > 0.0f)
        fprintf(file, "%g s</dd></div>\n", (double)episode->deadline);
    else
        fputs("none</dd></div>\n", file);
    begin_fact(file, "Seed");
    fprintf(file, "%llu</dd></div>\n", (unsigned long long)episode->seed);
    write_fact(file, "Results", report->results);
    write_fact(file, "Program", "nearmiss " NM_VERSION);
    write_fact(file, "Made", report->made);
    fputs("</dl>\n<pre><code>", file);
    nm_markup_text(file, report->command_line);
    fputs("</code></pre>\n", file);
}

static int has_troubles(const nm_evaluate_report *report) {
    for (size_t p = 0; p < report->summary->planner_count; ++p)
        if (report->summary->planners[p].all.failed + report->summary->planners[p].all.unfit) return 1;
    return 0;
}

static void write_head(const nm_evaluate_report *report, FILE *file) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
          "'unsafe-inline'\">\n"
          "<link rel=\"icon\" href=\"data:,\">\n<title>Closed-loop evaluation: ",
          file);
    nm_markup_text(file, nm_base_name(report->store));
    fputs("</title>\n<style>\n", file);
    fputs((const char *)nm_evaluate_css, file);
    fputs("</style>\n</head>\n<body>\n<header class=\"top\">\n<h1>Closed-loop evaluation</h1>\n", file);
    fprintf(file, "<p class=\"lead\">%zu planner%s through %zu scene%s, scored as nuPlan does.</p>\n",
            report->summary->planner_count, report->summary->planner_count == 1 ? "" : "s", report->scenes,
            report->scenes == 1 ? "" : "s");
    write_facts(report, file);
    fputs("<nav><a href=\"#scores\">Scores</a> <a href=\"#metrics\">Metrics</a> ", file);
    if (report->summary->pair_count) fputs("<a href=\"#pairs\">Comparison</a> ", file);
    fputs("<a href=\"#types\">Types of scene</a> <a href=\"#charts\">Distributions</a> "
          "<a href=\"#collisions\">Collisions</a> ",
          file);
    if (has_troubles(report)) fputs("<a href=\"#troubles\">Failed and unfit</a> ", file);
    if (report->gallery) fputs("<a href=\"#gallery\">Worst scenes</a>", file);
    fputs("</nav>\n</header>\n<main>\n", file);
}

static nm_status write_page(const nm_evaluate_report *report, FILE *file, nm_error *error) {
    write_head(report, file);
    nm_html_scores(report, file);
    nm_html_metrics(report, file);
    if (report->summary->pair_count) nm_html_pairs(report, file);
    nm_html_types(report, file);
    const nm_status status = nm_html_charts(report, file, error);
    if (status != NM_OK) return status;
    nm_html_collisions(report, file);
    if (has_troubles(report)) nm_html_troubles(report, file);
    if (report->gallery) nm_html_gallery(report, file);
    fputs("</main>\n<footer>\n<p>Beside this page: results.csv and results.json hold every scene, results.xml is JUnit "
          "XML for continuous integration; the file of results is SQLite and opens with <code>sqlite3</code>.</p>\n"
          "</footer>\n</body>\n</html>\n",
          file);
    return NM_OK;
}

nm_status nm_evaluate_write_html(const nm_evaluate_report *report, const char *path, nm_error *error) {
    nm_whole_file file;
    nm_status status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status != NM_OK) return status;
    status = write_page(report, file.stream, error);
    if (status == NM_OK) return nm_whole_file_keep(&file, error);
    nm_whole_file_drop(&file);
    return status;
}
