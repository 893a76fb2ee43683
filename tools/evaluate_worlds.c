/// Worlds side by side, as JSON and for people.
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "tools/cli.h"
#include "tools/evaluate_report.h"

// ---------------------------------------------------------------------------------------------------------------------
// JSON

static void add_estimate(cJSON *object, const char *name, const nm_estimate *estimate) {
    cJSON *to = cJSON_AddObjectToObject(object, name);
    nm_json_number(to, "value", estimate->value);
    nm_json_number(to, "low", estimate->low);
    nm_json_number(to, "high", estimate->high);
}

static cJSON *shift_json(const nm_evaluate_study *study, const nm_evaluation_shift *s) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "planner", study->worlds[s->to].entrants[s->planner].planner);
    nm_json_integer(object, "from", s->from);
    nm_json_integer(object, "to", s->to);
    nm_json_integer(object, "scenes", s->scenes);
    nm_json_integer(object, "groups", s->score.groups);
    add_estimate(object, "score", &s->score);
    add_estimate(object, "no_ego_at_fault_collisions", &s->collisions);
    add_estimate(object, "ego_progress_along_expert_route", &s->progress);
    return object;
}

static cJSON *agreement_json(const nm_evaluation_agreement *a) {
    cJSON *object = cJSON_CreateObject();
    nm_json_integer(object, "first", a->first);
    nm_json_integer(object, "second", a->second);
    nm_json_number(object, "kendall_tau", a->tau);
    nm_json_number(object, "kendall_tau_apart", a->tau_apart);
    nm_json_integer(object, "same_order", a->same);
    nm_json_integer(object, "opposite_order", a->opposite);
    nm_json_integer(object, "apart_in_first_only", a->only_first);
    nm_json_integer(object, "apart_in_second_only", a->only_second);
    nm_json_integer(object, "apart_in_neither", a->neither);
    return object;
}

static cJSON *split_json(const nm_evaluate_study *study, const nm_evaluation_split *s) {
    const nm_evaluation_pair *pair = &study->worlds[s->apart_in].summary->pairs[s->pair];
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "planner", study->worlds->entrants[pair->first].planner);
    cJSON_AddStringToObject(object, "against", study->worlds->entrants[pair->second].planner);
    nm_json_integer(object, "tied_in", s->tied_in);
    nm_json_integer(object, "apart_in", s->apart_in);
    return object;
}

static void add_comparison(const nm_evaluate_study *study, cJSON *document) {
    const nm_evaluation_comparison *c = study->comparison;
    cJSON *to = cJSON_AddObjectToObject(document, "comparison");
    cJSON *shifts = cJSON_AddArrayToObject(to, "shifts"), *agreements = cJSON_AddArrayToObject(to, "agreements");
    cJSON *splits = cJSON_AddArrayToObject(to, "splits");
    for (size_t i = 0; i < c->shift_count; ++i) cJSON_AddItemToArray(shifts, shift_json(study, &c->shifts[i]));
    for (size_t i = 0; i < c->agreement_count; ++i) cJSON_AddItemToArray(agreements, agreement_json(&c->agreements[i]));
    for (size_t i = 0; i < c->split_count; ++i) cJSON_AddItemToArray(splits, split_json(study, &c->splits[i]));
}

static cJSON *realism_json(const nm_evaluate_realism *r) {
    const nm_realism *mean = &r->of.mean;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "store", nm_base_name(r->store));
    cJSON_AddStringToObject(object, "agents", nm_episode_agents_name(r->agents));
    nm_json_integer(object, "rollouts", r->of.rollouts);
    nm_json_integer(object, "scenes", r->of.scenes);
    nm_json_integer(object, "skipped", r->of.skipped);
    if (!r->of.scenes) return object;
    nm_json_integer(object, "groups", r->of.meta.groups);
    nm_json_integer(object, "scored_agents", mean->agents);
    nm_json_number(object, "meta", mean->meta);
    nm_json_number(object, "meta_low", r->of.meta.low);
    nm_json_number(object, "meta_high", r->of.meta.high);
    nm_json_number(object, "kinematic", mean->kinematic);
    nm_json_number(object, "interactive", mean->interactive);
    nm_json_number(object, "map_based", mean->map_based);
    nm_json_number(object, "ade_m", mean->ade);
    nm_json_number(object, "min_ade_m", mean->min_ade);
    nm_json_number(object, "collision_rate", mean->collision_rate);
    nm_json_number(object, "off_road_rate", mean->off_road_rate);
    nm_json_number(object, "red_light_rate", mean->red_light_rate);
    cJSON *features = cJSON_AddObjectToObject(object, "likelihoods");
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; ++f)
        nm_json_number(features, nm_realism_feature_name((nm_realism_feature)f), mean->likelihood[f]);
    return object;
}

void nm_evaluate_add_worlds_json(const nm_evaluate_study *study, cJSON *document) {
    cJSON *worlds = cJSON_AddArrayToObject(document, "worlds");
    cJSON_AddStringToObject(document, "grouped_by", study->grouping);
    for (size_t w = 0; w < study->world_count; ++w) {
        const nm_evaluate_report *world = &study->worlds[w];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "store", nm_base_name(world->store));
        cJSON_AddStringToObject(object, "agents", nm_episode_agents_name(world->episode->agents));
        nm_json_integer(object, "scenes", world->scenes);
        nm_json_integer(object, "groups", world->groups);
        cJSON_AddItemToArray(worlds, object);
    }
    if (study->comparison) add_comparison(study, document);
    if (!study->realism_count) return;
    cJSON *realism = cJSON_AddArrayToObject(document, "realism");
    for (size_t i = 0; i < study->realism_count; ++i) cJSON_AddItemToArray(realism, realism_json(&study->realism[i]));
}

// ---------------------------------------------------------------------------------------------------------------------
// For people

static const nm_evaluation_shift *shift_of(const nm_evaluate_study *study, size_t world, size_t planner) {
    for (size_t i = 0; i < study->comparison->shift_count; ++i)
        if (study->comparison->shifts[i].to == world && study->comparison->shifts[i].planner == planner)
            return &study->comparison->shifts[i];
    return NULL;
}

static void interval_cell(nm_table *table, const nm_estimate *e, int sign) {
    if (!isfinite(e->value))
        nm_table_cell(table, "-");
    else if (sign)
        nm_table_cell(table, "%+.4f (%+.4f to %+.4f)", e->value, e->low, e->high);
    else
        nm_table_cell(table, "%.3f to %.3f", e->low, e->high);
}

static void print_scores(const nm_evaluate_study *study, FILE *file) {
    static const char *const headings[] = {"planner",   "world", ">score",  "95 % interval", ">no collision at fault",
                                           ">progress", ">TTC",  ">failed", ">unfit",        "score against the first"};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    char text[NM_EVALUATE_NUMBER];
    for (size_t p = 0; p < study->worlds->summary->planner_count; ++p)
        for (size_t w = 0; w < study->world_count; ++w) {
            const nm_evaluation_sum *sum = &study->worlds[w].summary->planners[p];
            const nm_evaluation_shift *shift = shift_of(study, w, p);
            nm_table_cell(table, "%s", w ? "" : study->worlds->entrants[p].planner);
            nm_table_cell(table, "%s", study->worlds[w].name);
            nm_table_cell(table, "%s", nm_evaluate_number(text, sum->all.score, 4));
            interval_cell(table, &sum->mean, 0);
            nm_table_cell(table, "%s", nm_evaluate_number(text, sum->all.metric[NM_NUPLAN_COLLISIONS], 3));
            nm_table_cell(table, "%s", nm_evaluate_number(text, sum->all.metric[NM_NUPLAN_PROGRESS], 3));
            nm_table_cell(table, "%s", nm_evaluate_number(text, sum->all.metric[NM_NUPLAN_TTC], 3));
            nm_table_cell(table, "%zu", sum->all.failed);
            nm_table_cell(table, "%zu", sum->all.unfit);
            if (shift)
                interval_cell(table, &shift->score, 1);
            else
                nm_table_cell(table, "%s", "");
        }
    nm_table_print(table, file);
    nm_table_destroy(table);
}

static void print_agreements(const nm_evaluate_study *study, FILE *file) {
    static const char *const headings[] = {"worlds",
                                           "",
                                           ">Kendall tau",
                                           ">tau, ties by interval",
                                           ">apart alike",
                                           ">apart oppositely",
                                           ">apart in one only",
                                           ">apart in neither"};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    char text[NM_EVALUATE_NUMBER];
    for (size_t i = 0; i < study->comparison->agreement_count; ++i) {
        const nm_evaluation_agreement *a = &study->comparison->agreements[i];
        nm_table_cell(table, "%s", study->worlds[a->first].name);
        nm_table_cell(table, "%s", study->worlds[a->second].name);
        nm_table_cell(table, "%s", nm_evaluate_number(text, a->tau, 2));
        nm_table_cell(table, "%s", nm_evaluate_number(text, a->tau_apart, 2));
        nm_table_cell(table, "%zu", a->same);
        nm_table_cell(table, "%zu", a->opposite);
        nm_table_cell(table, "%zu", a->only_first + a->only_second);
        nm_table_cell(table, "%zu", a->neither);
    }
    nm_table_print(table, file);
    nm_table_destroy(table);
}

static int is_split(const nm_evaluate_study *study, size_t pair) {
    for (size_t i = 0; i < study->comparison->split_count; ++i)
        if (study->comparison->splits[i].pair == pair) return 1;
    return 0;
}

static void print_splits(const nm_evaluate_study *study, FILE *file) {
    static const char *const headings[] = {"tie in one, apart in another", "world", "difference of scores", ""};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    size_t shown = 0;
    for (size_t i = 0; i < study->worlds->summary->pair_count; ++i) {
        if (!is_split(study, i)) continue;
        for (size_t w = 0; w < study->world_count; ++w) {
            const nm_evaluation_pair *pair = &study->worlds[w].summary->pairs[i];
            const nm_evaluation_entrant *entrants = study->worlds[w].entrants;
            if (w)
                nm_table_cell(table, "%s", "");
            else
                nm_table_cell(table, "%s against %s", entrants[pair->first].planner, entrants[pair->second].planner);
            nm_table_cell(table, "%s", study->worlds[w].name);
            interval_cell(table, &pair->difference, 1);
            nm_table_cell(table, "%s", nm_evaluation_apart(pair) ? "apart" : "tie");
            ++shown;
        }
    }
    if (shown)
        nm_table_print(table, file);
    else
        fputs("Every pair of planners is apart in all worlds, or in none.\n", file);
    nm_table_destroy(table);
}

void nm_evaluate_print_worlds(const nm_evaluate_study *study, FILE *file) {
    print_scores(study, file);
    if (!study->worlds->summary->pair_count) return;
    fputs("\n", file);
    print_agreements(study, file);
    fputs("\n", file);
    print_splits(study, file);
}

void nm_evaluate_print_realism(const nm_evaluate_study *study, FILE *file) {
    static const char *const headings[] = {
        "realism of agents", ">scenes", ">rollouts", ">meta-metric", "95 % interval", ">kinematic",
        ">interactive",      ">map",    ">ADE m",    ">min ADE m",   ">collide",      ">off road"};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    char text[NM_EVALUATE_NUMBER];
    for (size_t i = 0; i < study->realism_count; ++i) {
        const nm_evaluate_realism *r = &study->realism[i];
        const nm_realism none = {.meta = NAN,
                                 .kinematic = NAN,
                                 .interactive = NAN,
                                 .map_based = NAN,
                                 .ade = NAN,
                                 .min_ade = NAN,
                                 .collision_rate = NAN,
                                 .off_road_rate = NAN};
        const nm_realism *mean = r->of.scenes ? &r->of.mean : &none;
        nm_table_cell(table, "%s, %s", nm_episode_agents_name(r->agents), nm_base_name(r->store));
        nm_table_cell(table, "%zu", r->of.scenes);
        nm_table_cell(table, "%u", r->of.rollouts);
        nm_table_cell(table, "%s", nm_evaluate_number(text, mean->meta, 3));
        interval_cell(table, &r->of.meta, 0);
        const double values[] = {mean->kinematic, mean->interactive,    mean->map_based,    mean->ade,
                                 mean->min_ade,   mean->collision_rate, mean->off_road_rate};
        for (size_t k = 0; k < sizeof values / sizeof *values; ++k)
            nm_table_cell(table, "%s", nm_evaluate_number(text, values[k], 3));
    }
    nm_table_print(table, file);
    nm_table_destroy(table);
    fputs("Realism: Waymo's sim agents meta-metric of the agents alone, over the episode's window, the ego driving as "
          "recorded. 1 is never reached:\nthe agents that are replayed (log) are the bound. An independent "
          "reimplementation, no official score: see NOTICE.\n",
          file);
}
