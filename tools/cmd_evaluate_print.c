/// What `nearmiss evaluate` prints.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "tools/cmd_evaluate.h"
#include "tools/evaluate_reasons.h"

static void print_scores(const nm_evaluate_run *run) {
    static const char *const headings[] = {"planner",   ">score",     ">no collision at fault",
                                           ">on road",  ">direction", ">making way",
                                           ">progress", ">TTC",       ">limit",
                                           ">comfort",  ">failed",    ">unfit",
                                           ">ms/step"};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    char text[NM_EVALUATE_NUMBER];
    for (uint32_t i = 0; i < run->planner_count; ++i) {
        const nm_evaluation_sum *p = &run->places->summary.planners[i];
        nm_table_cell(table, "%s", run->planners[i]);
        nm_table_cell(table, "%s", nm_evaluate_number(text, p->all.score, 4));
        for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m)
            nm_table_cell(table, "%s", nm_evaluate_number(text, p->all.metric[nm_evaluate_order[m]], 3));
        nm_table_cell(table, "%zu", p->all.failed);
        nm_table_cell(table, "%zu", p->all.unfit);
        nm_table_cell(table, "%s", nm_evaluate_number(text, 1e3 * p->plan_mean.mean, 3));
    }
    nm_table_print(table, stdout);
    nm_table_destroy(table);
}

/// What was driven, and how.
static void print_conditions(const nm_evaluate_run *run) {
    const nm_idm_params *idm = run->episode.idm;
    int has_idm = 0;
    for (uint32_t s = 0; s < run->store_count; ++s) {
        printf("%s%zu scenes", s ? "; " : "\n", run->stores[s].scenes.count);
        if (run->store_count > 1) printf(" of %s", run->stores[s].path);
        if (run->stores[s].groups < run->stores[s].scenes.count) printf(" in %u groups", run->stores[s].groups);
    }
    for (uint32_t a = 0; a < run->agents_count; ++a) {
        printf("%s%s", a ? "," : ", agents ", nm_episode_agents_name(run->agents[a]));
        has_idm |= run->agents[a] == NM_EPISODE_IDM;
    }
    printf(", %s, %g s at most",
           run->episode.perfect ? "plans followed exactly" : "plans tracked by nuPlan's two-stage controller",
           (double)run->episode.seconds);
    if (has_idm)
        printf(", IDM set %s: T %.2f s, s0 %.1f m, a %.1f, b %.1f m/s2", idm->name, (double)idm->time_gap,
               (double)idm->min_gap, (double)idm->accel, (double)idm->brake);
    if (run->uses_model) printf(", weights %s", run->model.name);
    printf("\n");
}

/// A planner may have changed behind its name: nobody should take its old scores for its new ones.
static void print_reused(const nm_evaluate_run *run) {
    size_t all = 0, reused = 0;
    for (uint32_t w = 0; w < run->place_count; ++w)
        for (uint32_t i = 0; i < run->planner_count; ++i)
            for (uint32_t k = 0; k < run->adversaries.count; ++k) {
                all += run->places[w].store->scenes.count;
                reused += run->places[w].store->scenes.count - run->places[w].reports[i][k].driven;
            }
    if (reused)
        printf("%zu of %zu drives are from before, in %s: --fresh drives them again\n", reused, all,
               run->study.results);
}

/// Of planning problems, how many.
static size_t count_goals(const nm_evaluation_entrant *entrant, size_t *reached) {
    size_t goals = 0;
    *reached = 0;
    for (size_t i = 0; i < entrant->count; ++i) {
        const nm_episode *e = &entrant->rows[i].episode;
        goals += e->has_goal != 0;
        *reached += e->has_goal && e->goal_sample != NM_NONE;
    }
    return goals;
}

static void print_goals(const nm_evaluate_run *run) {
    for (uint32_t w = 0; w < run->place_count; ++w)
        for (uint32_t i = 0; i < run->planner_count; ++i) {
            const nm_evaluate_place *place = &run->places[w];
            size_t reached;
            const size_t goals = count_goals(&place->entrants[i], &reached);
            if (goals)
                printf("%s%s%s reached %zu of %zu goals of planning problems\n", run->planners[i],
                       *place->name ? ", " : "", place->name, reached, goals);
        }
}

static void print_clean(const nm_evaluate_run *run) {
    for (uint32_t s = 0; s < run->store_count; ++s) {
        if (run->store_count > 1) printf("%s: ", run->stores[s].path);
        nm_evaluate_print_clean(&run->stores[s].tally, stdout);
    }
}

/// Of all stores; of several each for itself, too.
static cJSON *clean_json(const nm_evaluate_run *run) {
    nm_evaluate_clean all = {0};
    for (uint32_t s = 0; s < run->store_count; ++s) nm_evaluate_clean_add(&all, &run->stores[s].tally);
    cJSON *object = nm_evaluate_clean_json(&all);
    if (run->store_count < 2) return object;
    cJSON *stores = cJSON_AddArrayToObject(object, "stores");
    for (uint32_t s = 0; s < run->store_count; ++s) {
        cJSON *store = nm_evaluate_clean_json(&run->stores[s].tally);
        cJSON_AddStringToObject(store, "store", nm_base_name(run->stores[s].path));
        cJSON_AddItemToArray(stores, store);
    }
    return object;
}

int nm_evaluate_print_table(const nm_evaluate_run *run) {
    if (run->study.comparison)
        nm_evaluate_print_worlds(&run->study, stdout);
    else
        print_scores(run);
    for (uint32_t w = 0; w < run->place_count && run->options->by; ++w) {
        printf("\n");
        if (run->study.comparison) printf("%s:\n", run->places[w].name);
        nm_evaluate_print_types(&run->worlds[w], stdout);
    }
    for (uint32_t w = 0; w < run->place_count && run->options->reasons; ++w) {
        printf("\n");
        if (run->study.comparison) printf("%s:\n", run->places[w].name);
        nm_evaluate_print_reasons(&run->worlds[w], stdout);
    }
    for (uint32_t w = 0; w < run->place_count && run->options->adversaries.count; ++w) {
        printf("\n");
        if (run->study.comparison) printf("%s:\n", run->places[w].name);
        nm_evaluate_print_adversaries(&run->worlds[w], stdout);
    }
    if (run->study.realism_count) {
        printf("\n");
        nm_evaluate_print_realism(&run->study, stdout);
    }
    print_conditions(run);
    print_reused(run);
    print_goals(run);
    if (run->options->clean) print_clean(run);
    if (run->folder.path) printf("report: %s\n", run->folder.page);
    return nm_cli_finish(run->command);
}

/// Of all adversaries.
static nm_evaluation_report report_of(const nm_evaluate_run *run, const nm_evaluate_place *place, uint32_t planner) {
    nm_evaluation_report sum = {0};
    for (uint32_t k = 0; k < run->adversaries.count; ++k) {
        const nm_evaluation_report *r = &place->reports[planner][k];
        sum.driven += r->driven;
        sum.driven_seconds += r->driven_seconds;
        sum.wall_seconds += r->wall_seconds;
    }
    return sum;
}

int nm_evaluate_print_json(const nm_evaluate_run *run) {
    cJSON *document = cJSON_CreateObject();
    nm_json_integer(document, "scenes", run->stores->scenes.count);
    cJSON_AddStringToObject(document, "agents", nm_episode_agents_name(run->places->episode.agents));
    cJSON_AddStringToObject(document, "idm", run->episode.idm->name);
    cJSON_AddStringToObject(document, "weights", run->model.name);
    cJSON_AddStringToObject(document, "execution", run->episode.perfect ? "perfect" : "tracked");
    nm_json_number(document, "seconds", (double)run->episode.seconds);
    if (run->folder.path) cJSON_AddStringToObject(document, "report", run->folder.page);
    if (run->options->clean) cJSON_AddItemToObject(document, "clean", clean_json(run));
    nm_evaluate_add_worlds_json(&run->study, document);
    cJSON *list = cJSON_AddArrayToObject(document, "planners"), *pairs = cJSON_AddArrayToObject(document, "pairs");
    for (uint32_t w = 0; w < run->place_count; ++w) {
        for (uint32_t i = 0; i < run->planner_count; ++i) {
            const nm_evaluation_report r = report_of(run, &run->places[w], i);
            cJSON *object = nm_evaluate_planner_json(&run->worlds[w], i);
            size_t reached;
            nm_json_integer(object, "goals", count_goals(&run->places[w].entrants[i], &reached));
            nm_json_integer(object, "goals_reached", reached);
            nm_json_integer(object, "driven_now", r.driven);
            nm_json_number(object, "realtime_factor", r.driven ? r.driven_seconds / r.wall_seconds : NAN);
            cJSON_AddItemToArray(list, object);
        }
        nm_evaluate_add_pairs_json(&run->worlds[w], pairs);
    }
    return nm_cli_print_json(run->command, document);
}

/// The end of a planner's standard error, indented.
static void show_said(const char *said) {
    for (const char *line = said ? said : ""; *line;) {
        const int length = (int)strcspn(line, "\n");
        fprintf(stderr, "    | %.*s\n", length, line);
        line += length + (line[length] == '\n');
    }
}

static void list_of(const nm_evaluate_run *run, const nm_evaluate_place *place, uint32_t planner) {
    const nm_evaluation_entrant *e = &place->entrants[planner];
    size_t shown = 0;
    for (size_t i = 0; i < e->count && shown < 5; ++i) {
        const nm_results_row *row = &e->rows[i];
        if (row->episode.outcome == NM_EPISODE_DONE || nm_evaluate_is_no_place(row)) continue;
        nm_error why;
        nm_error_clear(&why);
        NM_ERROR(&why, NM_E_UNSUPPORTED, "%s, %s%sscene %" PRId64 "%s%s %s: %.300s", e->planner, place->name,
                 *place->name ? ", " : "", row->scene, *nm_evaluation_adversary_of(row) ? " against " : "",
                 nm_evaluation_adversary_of(row), nm_episode_outcome_name(row->episode.outcome), row->episode.reason);
        nm_cli_fail(run->command, &why);
        show_said(row->said);
        ++shown;
    }
}

void nm_evaluate_list_failures(const nm_evaluate_run *run) {
    for (uint32_t w = 0; w < run->place_count; ++w)
        for (uint32_t i = 0; i < run->planner_count; ++i) list_of(run, &run->places[w], i);
}
