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

void nm_html_section(FILE *file, const char *id, const char *anchor, const char *title, const char *text) {
    fprintf(file, "<section id=\"%s%s\">\n<h2>%s</h2>\n<p class=\"note\">%s</p>\n", id, anchor, title, text);
}

void nm_html_begin_table(FILE *file) {
    fputs("<div class=\"scroll\"><table>\n<thead><tr>", file);
}

void nm_html_end_table(FILE *file) {
    fputs("</tbody>\n</table></div>\n", file);
}

void nm_html_tinted(FILE *file, double value) {
    char text[NM_EVALUATE_NUMBER];
    const double lost = isfinite(value) ? fmin(fmax(1.0 - value, 0.0), 1.0) : 0.0;
    fprintf(file, "<td style=\"background:rgba(var(--tint),%.3f)\">%s</td>", 0.55 * lost,
            nm_evaluate_number(text, value, 3));
}

// ---------------------------------------------------------------------------------------------------------------------
// What was run

static const char *const agents_meaning[NM_EPISODE_AGENTS_COUNT] = {
    "replayed as recorded (non-reactive)", "IDM (reactive)", "Nexus, the trained model (reactive)"};

static int same_store_before(const nm_evaluate_study *study, size_t world) {
    for (size_t i = 0; i < world; ++i)
        if (strcmp(study->worlds[i].store, study->worlds[world].store) == 0) return 1;
    return 0;
}

static int same_agents_before(const nm_evaluate_study *study, size_t world) {
    for (size_t i = 0; i < world; ++i)
        if (study->worlds[i].episode->agents == study->worlds[world].episode->agents) return 1;
    return 0;
}

/// Each store and each kind of agents once.
static void write_world_facts(const nm_evaluate_study *study, FILE *file) {
    int has_idm = 0;
    begin_fact(file, "Store");
    for (size_t w = 0; w < study->world_count; ++w) {
        if (same_store_before(study, w)) continue;
        if (w) fputs("<br>", file);
        nm_markup_text(file, study->worlds[w].store);
        fprintf(file, " <span class=\"dim\">%zu scenes in %u group%s</span>", study->worlds[w].scenes,
                study->worlds[w].groups, study->worlds[w].groups == 1 ? "" : "s");
    }
    fputs("</dd></div>\n", file);
    begin_fact(file, "Agents");
    for (size_t w = 0; w < study->world_count; ++w) {
        has_idm |= study->worlds[w].episode->agents == NM_EPISODE_IDM;
        if (same_agents_before(study, w)) continue;
        fprintf(file, "%s%s", w ? "<br>" : "", agents_meaning[study->worlds[w].episode->agents]);
    }
    fputs("</dd></div>\n", file);
    if (!has_idm) return;
    const nm_idm_params *idm = study->worlds->episode->idm;
    begin_fact(file, "IDM parameters");
    nm_markup_text(file, idm->name);
    fprintf(file, ": T %.2f s, s0 %.1f m, a %.1f, b %.1f m/s&#178;</dd></div>\n", (double)idm->time_gap,
            (double)idm->min_gap, (double)idm->accel, (double)idm->brake);
}

static void write_facts(const nm_evaluate_study *study, FILE *file) {
    const nm_episode_config *episode = study->worlds->episode;
    fputs("<dl class=\"facts\">\n", file);
    write_world_facts(study, file);
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
    write_fact(file, "Results", study->results);
    write_fact(file, "Program", "nearmiss " NM_VERSION);
    write_fact(file, "Made", study->made);
    fputs("</dl>\n<pre><code>", file);
    nm_markup_text(file, study->command_line);
    fputs("</code></pre>\n", file);
}

static int has_troubles(const nm_evaluate_report *report) {
    for (size_t p = 0; p < report->summary->planner_count; ++p)
        if (nm_html_count_troubles(report, p)) return 1;
    return 0;
}

static void write_link(FILE *file, const char *id, const nm_evaluate_report *report, const char *text) {
    fprintf(file, "<a href=\"#%s%s\">%s</a> ", id, report->anchor, text);
}

/// Links to the sections of a world.
static void write_world_links(const nm_evaluate_report *report, FILE *file) {
    write_link(file, "scores", report, "Scores");
    write_link(file, "metrics", report, "Metrics");
    if (report->summary->pair_count) write_link(file, "pairs", report, "Comparison");
    write_link(file, "losses", report, "Losses");
    write_link(file, "types", report, "Types of scene");
    if (nm_html_has_adversaries(report)) write_link(file, "adversaries", report, "Adversaries");
    write_link(file, "danger", report, "Criticality");
    write_link(file, "charts", report, "Distributions");
    write_link(file, "collisions", report, "Collisions");
    if (has_troubles(report)) write_link(file, "troubles", report, "Failed and unfit");
    if (report->gallery) write_link(file, "gallery", report, "Worst scenes");
}

static void write_navigation(const nm_evaluate_study *study, FILE *file) {
    fputs("<nav>", file);
    if (study->comparison) fputs("<a href=\"#worlds\">Side by side</a> ", file);
    if (study->realism_count) fputs("<a href=\"#realism\">Realism</a> ", file);
    for (size_t w = 0; w < study->world_count; ++w) {
        if (!study->comparison) {
            write_world_links(&study->worlds[w], file);
            continue;
        }
        fprintf(file, "<a href=\"#world%s\">", study->worlds[w].anchor);
        nm_markup_text(file, study->worlds[w].name);
        fputs("</a> ", file);
    }
    fputs("</nav>\n", file);
}

static void write_head(const nm_evaluate_study *study, FILE *file) {
    const size_t planners = study->worlds->summary->planner_count;
    size_t scenes = 0;
    for (size_t w = 0; w < study->world_count; ++w)
        if (!same_store_before(study, w)) scenes += study->worlds[w].scenes;
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
          "'unsafe-inline'\">\n"
          "<link rel=\"icon\" href=\"data:,\">\n<title>Closed-loop evaluation: ",
          file);
    nm_markup_text(file, nm_base_name(study->worlds->store));
    fputs("</title>\n<style>\n", file);
    fputs((const char *)nm_evaluate_css, file);
    fputs("</style>\n</head>\n<body>\n<header class=\"top\">\n<h1>Closed-loop evaluation</h1>\n", file);
    fprintf(file, "<p class=\"lead\">%zu planner%s through %zu scene%s", planners, planners == 1 ? "" : "s", scenes,
            scenes == 1 ? "" : "s");
    if (study->world_count > 1) fprintf(file, " in %zu worlds", study->world_count);
    fputs(", scored as nuPlan does.</p>\n", file);
    write_facts(study, file);
    write_navigation(study, file);
    fputs("</header>\n<main>\n", file);
}

// ---------------------------------------------------------------------------------------------------------------------

static nm_status write_world(const nm_evaluate_study *study, const nm_evaluate_report *report, FILE *file,
                             nm_error *error) {
    if (study->comparison) {
        fprintf(file, "<header class=\"world\" id=\"world%s\"><h1>", report->anchor);
        nm_markup_text(file, report->name);
        fprintf(file, "</h1><p class=\"lead\">%s, ", agents_meaning[report->episode->agents]);
        nm_markup_text(file, nm_base_name(report->store));
        fputs("</p><nav>", file);
        write_world_links(report, file);
        fputs("</nav></header>\n", file);
    }
    nm_html_scores(report, file);
    nm_html_metrics(report, file);
    if (report->summary->pair_count) nm_html_pairs(report, file);
    nm_html_reasons(report, file);
    nm_html_types(report, file);
    nm_html_adversaries(report, file);
    nm_status status = nm_html_danger(report, file, error);
    if (status == NM_OK) status = nm_html_charts(report, file, error);
    if (status != NM_OK) return status;
    nm_html_collisions(report, file);
    if (has_troubles(report)) nm_html_troubles(report, file);
    if (report->gallery) nm_html_gallery(report, file);
    return NM_OK;
}

static nm_status write_page(const nm_evaluate_study *study, FILE *file, nm_error *error) {
    write_head(study, file);
    if (study->comparison) nm_html_worlds(study, file);
    if (study->realism_count) nm_html_realism(study, file);
    nm_status status = NM_OK;
    for (size_t w = 0; status == NM_OK && w < study->world_count; ++w)
        status = write_world(study, &study->worlds[w], file, error);
    if (status != NM_OK) return status;
    fputs("</main>\n<footer>\n<p>Beside this page: results.csv and results.json hold every scene, losses.csv every "
          "loss, results.xml is JUnit "
          "XML for continuous integration; the file of results is SQLite and opens with <code>sqlite3</code>.</p>\n"
          "</footer>\n</body>\n</html>\n",
          file);
    return NM_OK;
}

nm_status nm_evaluate_write_html(const nm_evaluate_study *study, const char *path, nm_error *error) {
    nm_whole_file file;
    nm_status status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status != NM_OK) return status;
    status = write_page(study, file.stream, error);
    if (status == NM_OK) return nm_whole_file_keep(&file, error);
    nm_whole_file_drop(&file);
    return status;
}
