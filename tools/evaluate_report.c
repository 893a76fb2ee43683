#include "tools/evaluate_report.h"
#include "tools/evaluate_reasons.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tools/cli.h"
#include "tools/evaluate_adversaries.h"

const nm_nuplan_metric nm_evaluate_order[NM_NUPLAN_SCORED_COUNT] = {
    NM_NUPLAN_COLLISIONS, NM_NUPLAN_DRIVABLE_AREA, NM_NUPLAN_DRIVING_DIRECTION, NM_NUPLAN_MAKING_PROGRESS,
    NM_NUPLAN_PROGRESS,   NM_NUPLAN_TTC,           NM_NUPLAN_SPEED_LIMIT,       NM_NUPLAN_COMFORT};

const char *nm_evaluate_metric_title(nm_nuplan_metric metric) {
    static const char *const titles[NM_NUPLAN_SCORED_COUNT] = {[NM_NUPLAN_COLLISIONS] = "no collision at fault",
                                                               [NM_NUPLAN_DRIVABLE_AREA] = "on road",
                                                               [NM_NUPLAN_MAKING_PROGRESS] = "making way",
                                                               [NM_NUPLAN_DRIVING_DIRECTION] = "direction",
                                                               [NM_NUPLAN_PROGRESS] = "progress",
                                                               [NM_NUPLAN_TTC] = "TTC",
                                                               [NM_NUPLAN_SPEED_LIMIT] = "speed limit",
                                                               [NM_NUPLAN_COMFORT] = "comfort"};
    NM_ASSERT((unsigned)metric < NM_NUPLAN_SCORED_COUNT);
    return titles[metric];
}

const char *nm_evaluate_number(char text[NM_EVALUATE_NUMBER], double value, int digits) {
    if (isfinite(value))
        snprintf(text, NM_EVALUATE_NUMBER, "%.*f", digits, value);
    else
        snprintf(text, NM_EVALUATE_NUMBER, "-");
    return text;
}

void nm_evaluate_shell_word(FILE *file, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:,=@%";
    if (*text && strspn(text, plain) == strlen(text)) {
        fputs(text, file);
        return;
    }
    fputc('\'', file);
    for (; *text; ++text)
        if (*text == '\'')
            fputs("'\\''", file);
        else
            fputc(*text, file);
    fputc('\'', file);
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON

static void add_distribution(cJSON *object, const char *name, const nm_distribution *d, double scale) {
    cJSON *to = cJSON_AddObjectToObject(object, name);
    const struct {
        const char *name;
        double value;
    } values[] = {{"mean", d->mean}, {"deviation", d->deviation}, {"least", d->least}, {"p05", d->p05},
                  {"p25", d->p25},   {"median", d->median},       {"p75", d->p75},     {"p95", d->p95},
                  {"most", d->most}};
    nm_json_integer(to, "count", d->count);
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i)
        nm_json_number(to, values[i].name, scale * values[i].value);
}

static void add_part(cJSON *object, const nm_evaluation_part *part) {
    nm_json_integer(object, "scenes", part->scenes);
    nm_json_integer(object, "failed", part->failed);
    nm_json_integer(object, "unfit", part->unfit);
    nm_json_number(object, "score", part->score);
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m)
        nm_json_number(object, nm_nuplan_describe((nm_nuplan_metric)m)->name, part->metric[m]);
    nm_json_number(object, "collided_at_fault", part->scenes ? (double)part->collided / (double)part->scenes : NAN);
}

static void add_contacts(cJSON *object, const char *list_name, const char *name, const size_t counts[2]) {
    cJSON *list = cJSON_GetObjectItemCaseSensitive(object, list_name);
    if (!list) list = cJSON_AddObjectToObject(object, list_name);
    cJSON *to = cJSON_AddObjectToObject(list, name);
    nm_json_integer(to, "at_fault", counts[1]);
    nm_json_integer(to, "not_at_fault", counts[0]);
}

static void add_world(cJSON *object, const nm_evaluate_report *report) {
    cJSON_AddStringToObject(object, "agents", nm_episode_agents_name(report->episode->agents));
    cJSON_AddStringToObject(object, "store", nm_base_name(report->store));
}

cJSON *nm_evaluate_planner_json(const nm_evaluate_report *report, size_t planner) {
    const nm_evaluation_summary *summary = report->summary;
    const nm_evaluation_sum *p = &summary->planners[planner];
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "planner", report->entrants[planner].planner);
    add_world(object, report);
    add_part(object, &p->all);
    nm_json_integer(object, "groups", p->mean.groups);
    nm_json_number(object, "score_low", p->mean.low);
    nm_json_number(object, "score_high", p->mean.high);
    nm_json_number(object, "plan_ms", 1e3 * p->plan_mean.mean);
    nm_json_number(object, "plan_most_ms", 1e3 * p->plan_most);
    add_distribution(object, "score_distribution", &p->score, 1.0);
    add_distribution(object, "min_ttc_s", &p->min_ttc, 1.0);
    nm_json_integer(object, "scenes_without_ttc", p->no_ttc);
    nm_json_integer(object, "danger_measured", p->measured);
    for (int m = 0; m < NM_EGO_MEASURE_COUNT; ++m)
        add_distribution(object, nm_ego_describe((nm_ego_measure)m)->name, &p->danger[m], 1.0);
    add_distribution(object, "plan_mean_ms", &p->plan_mean, 1e3);
    for (int c = 0; c < NM_NUPLAN_CLASS_COUNT; ++c)
        add_contacts(object, "collisions_by_class", nm_nuplan_class_name((nm_nuplan_class)c), p->by_class[c]);
    for (int t = 0; t < NM_NUPLAN_TYPE_COUNT; ++t)
        add_contacts(object, "collisions_by_type", nm_nuplan_type_name((nm_nuplan_type)t), p->by_type[t]);
    cJSON_AddItemToObject(object, "reasons", nm_evaluate_reasons_json(&report->entrants[planner]));
    cJSON *types = cJSON_AddArrayToObject(object, "types");
    for (size_t t = 0; t < summary->type_count; ++t) {
        cJSON *type = cJSON_CreateObject();
        cJSON_AddStringToObject(type, "type", summary->types[t]);
        add_part(type, &p->types[t]);
        cJSON_AddItemToArray(types, type);
    }
    cJSON_AddItemToObject(object, "adversaries", nm_evaluate_adversaries_json(report, planner));
    return object;
}

void nm_evaluate_add_pairs_json(const nm_evaluate_report *report, cJSON *list) {
    for (size_t i = 0; i < report->summary->pair_count; ++i) {
        const nm_evaluation_pair *p = &report->summary->pairs[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "first", report->entrants[p->first].planner);
        cJSON_AddStringToObject(object, "second", report->entrants[p->second].planner);
        add_world(object, report);
        nm_json_integer(object, "scenes", p->scenes);
        nm_json_integer(object, "groups", p->difference.groups);
        nm_json_number(object, "difference", p->difference.value);
        nm_json_number(object, "low", p->difference.low);
        nm_json_number(object, "high", p->difference.high);
        nm_json_integer(object, "wins", p->wins);
        nm_json_integer(object, "ties", p->ties);
        nm_json_integer(object, "losses", p->losses);
        cJSON_AddItemToArray(list, object);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// For people

void nm_evaluate_print_types(const nm_evaluate_report *report, FILE *file) {
    static const char *const headings[] = {"type",      "planner",  ">scenes", ">score", ">no collision at fault",
                                           ">progress", ">comfort", ">failed", ">unfit"};
    const nm_evaluation_summary *summary = report->summary;
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    char text[NM_EVALUATE_NUMBER];
    for (size_t t = 0; t < summary->type_count; ++t)
        for (size_t i = 0; i < summary->planner_count; ++i) {
            const nm_evaluation_part *part = &summary->planners[i].types[t];
            nm_table_cell(table, "%s", i ? "" : summary->types[t]);
            nm_table_cell(table, "%s", report->entrants[i].planner);
            nm_table_cell(table, "%zu", part->scenes);
            nm_table_cell(table, "%s", nm_evaluate_number(text, part->score, 4));
            nm_table_cell(table, "%s", nm_evaluate_number(text, part->metric[NM_NUPLAN_COLLISIONS], 3));
            nm_table_cell(table, "%s", nm_evaluate_number(text, part->metric[NM_NUPLAN_PROGRESS], 3));
            nm_table_cell(table, "%s", nm_evaluate_number(text, part->metric[NM_NUPLAN_COMFORT], 3));
            nm_table_cell(table, "%zu", part->failed);
            nm_table_cell(table, "%zu", part->unfit);
        }
    nm_table_print(table, file);
    nm_table_destroy(table);
}
