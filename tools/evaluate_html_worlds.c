/// Worlds side by side, and how real their agents are.
#include <math.h>

#include "base/text.h"
#include "tools/evaluate_html.h"
#include "tools/evaluate_svg.h"
#include "tools/markup.h"

#define COLUMNS_MOST 3u ///< worlds that fit beside each other

static void heading(FILE *file, const char *text) {
    fprintf(file, "<th scope=\"col\" class=\"wrap\">%s</th>", text);
}

/// The name of a world as a cell of its own.
static void world_cell(const nm_evaluate_study *study, size_t world, FILE *file) {
    fputs("<th scope=\"row\">", file);
    nm_markup_text(file, study->worlds[world].name);
    fputs("</th>", file);
}

/// A mean difference and its interval; bold where that leaves out 0.
static void difference_cell(FILE *file, const nm_estimate *e, int digits) {
    if (isfinite(e->value))
        fprintf(file, "<td class=\"group%s\">%+.*f<br><span class=\"dim\">%+.*f to %+.*f</span></td>",
                e->low > 0.0 || e->high < 0.0 ? " best" : "", digits, e->value, digits, e->low, digits, e->high);
    else
        fputs("<td class=\"group\">-</td>", file);
}

// ---------------------------------------------------------------------------------------------------------------------
// Scores

static void write_score_columns(const nm_evaluate_study *study, FILE *file) {
    fputs("<div class=\"tight\">", file);
    nm_html_begin_table(file);
    fputs("<th scope=\"col\"></th>", file);
    for (size_t w = 0; w < study->world_count; ++w) {
        fputs("<th scope=\"colgroup\" colspan=\"4\" class=\"group\">", file);
        nm_markup_text(file, study->worlds[w].name);
        fprintf(file, "<br><span class=\"dim\">%zu scenes, %u groups</span></th>", study->worlds[w].scenes,
                study->worlds[w].groups);
    }
    fputs("</tr>\n<tr><th scope=\"col\">planner</th>", file);
    for (size_t w = 0; w < study->world_count; ++w)
        fputs("<th scope=\"col\" class=\"group\">score</th><th scope=\"col\" class=\"wrap\">no collision at fault</th>"
              "<th scope=\"col\">progress</th><th scope=\"col\">TTC</th>",
              file);
    fputs("</tr></thead>\n<tbody>\n", file);
    for (size_t p = 0; p < study->worlds->summary->planner_count; ++p) {
        fputs("<tr>", file);
        nm_html_planner_cell(study->worlds, p, file);
        for (size_t w = 0; w < study->world_count; ++w) {
            const nm_evaluation_sum *sum = &study->worlds[w].summary->planners[p];
            if (sum->all.scenes)
                fprintf(file, "<td class=\"group\"><b>%.3f</b><br><span class=\"dim\">%.3f&#8211;%.3f</span></td>",
                        sum->all.score, sum->mean.low, sum->mean.high);
            else
                fputs("<td class=\"group\">-</td>", file);
            nm_html_tinted(file, sum->all.metric[NM_NUPLAN_COLLISIONS]);
            nm_html_tinted(file, sum->all.metric[NM_NUPLAN_PROGRESS]);
            nm_html_tinted(file, sum->all.metric[NM_NUPLAN_TTC]);
        }
        fputs("</tr>\n", file);
    }
    nm_html_end_table(file);
    fputs("</div>\n", file);
}

/// A row for each planner and world.
static void write_score_rows(const nm_evaluate_study *study, FILE *file) {
    fputs("<div class=\"tight\">", file);
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">planner</th><th scope=\"col\" class=\"left\">world</th><th scope=\"col\">scenes</th>"
          "<th scope=\"col\">groups</th><th scope=\"col\">score</th><th scope=\"col\">95 % interval</th>"
          "<th scope=\"col\" class=\"wrap\">no collision at fault</th><th scope=\"col\">progress</th>"
          "<th scope=\"col\">TTC</th><th scope=\"col\">failed</th><th scope=\"col\">unfit</th></tr></thead>\n<tbody>\n",
          file);
    for (size_t p = 0; p < study->worlds->summary->planner_count; ++p)
        for (size_t w = 0; w < study->world_count; ++w) {
            const nm_evaluation_sum *sum = &study->worlds[w].summary->planners[p];
            fputs(w ? "<tr>" : "<tr class=\"first\">", file);
            if (w)
                fputs("<td></td>", file);
            else
                nm_html_planner_cell(study->worlds, p, file);
            fputs("<td class=\"left\">", file);
            nm_markup_text(file, study->worlds[w].name);
            fputs("</td>", file);
            nm_html_count(file, sum->all.scenes);
            nm_html_count(file, sum->mean.groups);
            if (sum->all.scenes)
                fprintf(file, "<td><b>%.3f</b></td><td class=\"dim\">%.3f&#8211;%.3f</td>", sum->all.score,
                        sum->mean.low, sum->mean.high);
            else
                fputs("<td>-</td><td>-</td>", file);
            nm_html_tinted(file, sum->all.metric[NM_NUPLAN_COLLISIONS]);
            nm_html_tinted(file, sum->all.metric[NM_NUPLAN_PROGRESS]);
            nm_html_tinted(file, sum->all.metric[NM_NUPLAN_TTC]);
            nm_html_count(file, sum->all.failed);
            nm_html_count(file, sum->all.unfit);
            fputs("</tr>\n", file);
        }
    nm_html_end_table(file);
    fputs("</div>\n", file);
}

static void write_shifts(const nm_evaluate_study *study, FILE *file) {
    const nm_evaluation_comparison *c = study->comparison;
    if (!c->shift_count) return;
    fputs("<h3>What other agents change</h3>\n<p class=\"note\">Mean difference scene by scene, the second world minus "
          "the first, over the same scenes; bold where the 95&#8201;% interval leaves out 0.</p>\n",
          file);
    fputs("<div class=\"tight\">", file);
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">planner</th><th scope=\"col\" class=\"left\">worlds</th>"
          "<th scope=\"col\" class=\"group\">score</th><th scope=\"col\" class=\"group\">no collision at fault</th>"
          "<th scope=\"col\" class=\"group\">progress</th><th scope=\"col\">scenes</th></tr></thead>\n<tbody>\n",
          file);
    for (size_t p = 0; p < study->worlds->summary->planner_count; ++p)
        for (size_t i = 0; i < c->shift_count; ++i) {
            const nm_evaluation_shift *s = &c->shifts[i];
            if (s->planner != p) continue;
            fputs("<tr>", file);
            nm_html_planner_cell(study->worlds, p, file);
            fputs("<td class=\"left\">", file);
            nm_markup_text(file, study->worlds[s->from].name);
            fputs(" &#8594; ", file);
            nm_markup_text(file, nm_episode_agents_name(study->worlds[s->to].episode->agents)); // of the same store
            fputs(" agents</td>", file);
            difference_cell(file, &s->score, 4);
            difference_cell(file, &s->collisions, 3);
            difference_cell(file, &s->progress, 3);
            nm_html_count(file, s->scenes);
            fputs("</tr>\n", file);
        }
    nm_html_end_table(file);
    fputs("</div>\n", file);
}

// ---------------------------------------------------------------------------------------------------------------------
// Rankings

static void write_agreements(const nm_evaluate_study *study, FILE *file) {
    fputs(
        "<h3>Do the worlds rank the planners alike?</h3>\n<p class=\"note\">Two planners are apart where the "
        "95&#8201;% interval of their mean difference leaves out 0; else they tie. Kendall's tau is 1 for the same "
        "ranking by mean scores and &#8722;1 for the reverse; the second one counts planners that tie as equal.</p>\n",
        file);
    nm_html_begin_table(file);
    static const char *const headings[] = {"worlds",
                                           "",
                                           "Kendall's tau",
                                           "tau, ties by interval",
                                           "apart alike",
                                           "apart oppositely",
                                           "apart in one only",
                                           "apart in neither"};
    for (size_t i = 0; i < sizeof headings / sizeof *headings; ++i) heading(file, headings[i]);
    fputs("</tr></thead>\n<tbody>\n", file);
    for (size_t i = 0; i < study->comparison->agreement_count; ++i) {
        const nm_evaluation_agreement *a = &study->comparison->agreements[i];
        fputs("<tr>", file);
        world_cell(study, a->first, file);
        fputs("<td class=\"left\">", file);
        nm_markup_text(file, study->worlds[a->second].name);
        fputs("</td>", file);
        nm_html_number(file, a->tau, 2);
        nm_html_number(file, a->tau_apart, 2);
        nm_html_count(file, a->same);
        nm_html_count(file, a->opposite);
        nm_html_count(file, a->only_first + a->only_second);
        nm_html_count(file, a->neither);
        fputs("</tr>\n", file);
    }
    nm_html_end_table(file);
}

static int splits(const nm_evaluate_study *study, size_t pair) {
    for (size_t i = 0; i < study->comparison->split_count; ++i)
        if (study->comparison->splits[i].pair == pair) return 1;
    return 0;
}

static void write_pair_cell(FILE *file, const nm_evaluation_pair *pair) {
    const nm_estimate *d = &pair->difference;
    if (!pair->scenes)
        fputs("<td class=\"group\">-</td>", file);
    else if (nm_evaluation_apart(pair))
        fprintf(file, "<td class=\"group apart\"><b>%+.4f</b><br><span class=\"dim\">%+.4f to %+.4f</span></td>",
                d->value, d->low, d->high);
    else
        fprintf(file, "<td class=\"group\">tie <span class=\"dim\">%+.4f<br>%+.4f to %+.4f</span></td>", d->value,
                d->low, d->high);
}

static void write_pairs(const nm_evaluate_study *study, FILE *file) {
    const nm_evaluation_summary *first = study->worlds->summary;
    fputs("<h3>Who is told apart where</h3>\n<p class=\"note\">Mean difference of the scores of two planners in each "
          "world. Marked: pairs that tie in one world and are apart in another.</p>\n",
          file);
    fputs("<div class=\"tight\">", file);
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">pair</th>", file);
    for (size_t w = 0; w < study->world_count; ++w) {
        fputs("<th scope=\"col\" class=\"wrap group\">", file);
        nm_markup_text(file, study->worlds[w].name);
        fputs("</th>", file);
    }
    fputs("</tr></thead>\n<tbody>\n", file);
    for (size_t i = 0; i < first->pair_count; ++i) {
        fputs("<tr><th scope=\"row\" class=\"pair\">", file);
        nm_markup_text(file, nm_html_name(study->worlds, first->pairs[i].first));
        fputs(" <span class=\"dim\">against</span> ", file);
        nm_markup_text(file, nm_html_name(study->worlds, first->pairs[i].second));
        if (splits(study, i)) fputs(" <span class=\"mark-split\">worlds differ</span>", file);
        fputs("</th>", file);
        for (size_t w = 0; w < study->world_count; ++w) write_pair_cell(file, &study->worlds[w].summary->pairs[i]);
        fputs("</tr>\n", file);
    }
    nm_html_end_table(file);
    fputs("</div>\n", file);
}

void nm_html_worlds(const nm_evaluate_study *study, FILE *file) {
    nm_html_section(file, "worlds", "", "Worlds side by side",
                    "The same planners among other agents, or over other sets of scenes. Score with its 95&#8201;% "
                    "interval, and three of its parts tinted by what was lost.");
    if (study->world_count <= COLUMNS_MOST)
        write_score_columns(study, file);
    else
        write_score_rows(study, file);
    write_shifts(study, file);
    if (study->worlds->summary->pair_count) {
        write_agreements(study, file);
        write_pairs(study, file);
    }
    fputs("</section>\n", file);
}

// ---------------------------------------------------------------------------------------------------------------------
// Realism

static void write_realism(const nm_evaluate_realism *r, FILE *file) {
    const nm_realism *mean = &r->of.mean;
    const int none = !r->of.scenes;
    fputs("<tr><th scope=\"row\">", file);
    nm_markup_text(file, nm_episode_agents_name(r->agents));
    if (r->agents == NM_EPISODE_LOG) fputs("<span class=\"badge\">bound</span>", file);
    fputs("</th><td class=\"left\">", file);
    nm_markup_text(file, nm_base_name(r->store));
    fprintf(file, "</td><td>%zu</td><td>%u</td><td>%u</td>", r->of.scenes, none ? 0 : mean->agents, r->of.rollouts);
    if (none)
        fputs("<td>-</td>", file);
    else
        fprintf(file, "<td><b>%.3f</b><br><span class=\"dim\">%.3f&#8211;%.3f</span></td>", mean->meta, r->of.meta.low,
                r->of.meta.high);
    const double values[] = {mean->kinematic, mean->interactive,    mean->map_based,    mean->ade,
                             mean->min_ade,   mean->collision_rate, mean->off_road_rate};
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i) nm_html_number(file, none ? NAN : values[i], 3);
    fputs("</tr>\n", file);
}

static void write_likelihoods(const nm_evaluate_study *study, FILE *file) {
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">likelihood of</th>", file);
    for (size_t i = 0; i < study->realism_count; ++i) {
        fputs("<th scope=\"col\" class=\"wrap\">", file);
        nm_markup_text(file, nm_episode_agents_name(study->realism[i].agents));
        fputs("<br><span class=\"dim\">", file);
        nm_markup_text(file, nm_base_name(study->realism[i].store));
        fputs("</span></th>", file);
    }
    fputs("</tr></thead>\n<tbody>\n", file);
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; ++f) {
        fputs("<tr><th scope=\"row\">", file);
        for (const char *at = nm_realism_feature_name((nm_realism_feature)f); *at; ++at)
            fputc(*at == '_' ? ' ' : *at, file);
        fputs("</th>", file);
        for (size_t i = 0; i < study->realism_count; ++i)
            nm_html_number(file, study->realism[i].of.scenes ? study->realism[i].of.mean.likelihood[f] : NAN, 3);
        fputs("</tr>\n", file);
    }
    nm_html_end_table(file);
}

void nm_html_realism(const nm_evaluate_study *study, FILE *file) {
    nm_html_section(
        file, "realism", "", "How real the agents are",
        "Waymo's sim agents meta-metric of the agents against the recording, over the window that planners drive in, "
        "the ego driving as it was recorded: how likely the recorded motion is under that of the simulated agents. "
        "1 is never reached; agents that are replayed are the bound, so the distance to them is what to read. The "
        "further below it, the less a score among these agents says of real traffic. An independent reimplementation, "
        "no official score: see NOTICE about licence and patents.");
    nm_html_begin_table(file);
    fputs("<th scope=\"col\">agents</th><th scope=\"col\" class=\"left\">store</th><th scope=\"col\">scenes</th>"
          "<th scope=\"col\">rated</th><th scope=\"col\">rollouts</th>"
          "<th scope=\"col\">meta-metric</th>",
          file);
    static const char *const headings[] = {"kinematic",    "interactive",    "map",     "ADE, m",
                                           "least ADE, m", "in a collision", "off road"};
    for (size_t i = 0; i < sizeof headings / sizeof *headings; ++i) heading(file, headings[i]);
    fputs("</tr></thead>\n<tbody>\n", file);
    for (size_t i = 0; i < study->realism_count; ++i) write_realism(&study->realism[i], file);
    nm_html_end_table(file);
    write_likelihoods(study, file);
    fputs("</section>\n", file);
}
