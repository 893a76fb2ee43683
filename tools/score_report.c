#include "tools/score_report.h"

#include "base/whole_file.h"
#include "tools/cmd_event.h"
#include "tools/reuse_option.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *task_name(const nm_score_row *row) {
    return row->task == NM_TASK_GOAL ? "goal" : "free";
}

const char *nm_score_column_name(nm_score_column column) {
    static const char *const names[] = {"displacement_m", "best_of_scene_m", "best_of_agent_m", "collision_rate",
                                        "off_road_rate"};
    return column < NM_SCORE_STABILITY ? names[column] : nm_stability_name((nm_stability)(column - NM_SCORE_STABILITY));
}

/// Numerators and denominators of a column in one group; returns the number of parts.
static size_t parts_of(const nm_generation_sums *s, const nm_score_row *row, nm_score_column column, double *numerator,
                       double *denominator) {
    if (column <= NM_SCORE_BEST_AGENT) {
        static const nm_generation_over over[] = {NM_OVER_MEAN, NM_OVER_BEST_SCENE, NM_OVER_BEST_AGENT};
        const size_t seconds = row->task == NM_TASK_GOAL ? 7 : 8; // the goal itself is given
        for (size_t k = 0; k < seconds; ++k) {
            numerator[k] = s->displacement[NM_WHO_AGENTS][over[column]][k];
            denominator[k] = s->displacement_count[NM_WHO_AGENTS][k];
        }
        return seconds;
    }
    if (column == NM_SCORE_COLLISION) {
        for (size_t k = 0; k < NM_GENERATION_SECONDS; ++k) {
            numerator[k] = s->collisions[k];
            denominator[k] = s->collision_count[k];
        }
        return NM_GENERATION_SECONDS;
    }
    numerator[0] = column == NM_SCORE_OFF_ROAD ? s->off_road_share : s->stability[column - NM_SCORE_STABILITY];
    denominator[0] = column == NM_SCORE_OFF_ROAD ? s->off_road_scenes : s->stability_count;
    return 1;
}

nm_estimate nm_score_estimate(const nm_score_report *report, const nm_score_result *result, nm_score_column column) {
    nm_estimate e = {.value = NAN, .low = NAN, .high = NAN};
    double *all = calloc((size_t)report->groups * NM_GENERATION_SECONDS * 2 + 1, sizeof *all);
    if (!all) return e;
    double *numerator = all, *denominator = all + (size_t)report->groups * NM_GENERATION_SECONDS;
    size_t parts = 0;
    for (uint32_t g = 0; g < report->groups; ++g) {
        double n[NM_GENERATION_SECONDS] = {0}, d[NM_GENERATION_SECONDS] = {0};
        parts = parts_of(&result->groups[g], &result->row, column, n, d);
        memcpy(numerator + g * parts, n, parts * sizeof *n);
        memcpy(denominator + g * parts, d, parts * sizeof *d);
    }
    const nm_bootstrap_config config = nm_bootstrap_config_default();
    nm_error ignored;
    if (parts) nm_bootstrap_ratio(numerator, denominator, report->groups, parts, &config, &e, &ignored);
    free(all);
    return e;
}

/// Sums of realism scores and their numbers by group, numerators before denominators; NULL without any, else to be
/// freed.
static double *realism_parts(const nm_score_report *report, const nm_score_result *r) {
    double *all = r->realism_count ? calloc((size_t)report->groups * 2 + 1, sizeof *all) : NULL;
    for (size_t i = 0; all && i < r->realism_count; ++i) {
        if (!isfinite(r->realism[i].meta)) continue;
        all[r->realism_group[i]] += r->realism[i].meta;
        all[report->groups + r->realism_group[i]] += 1.0;
    }
    return all;
}

/// The interval of a realism score over groups of scenes.
static nm_estimate realism_estimate(const nm_score_report *report, const nm_score_result *r) {
    nm_estimate e = {.value = NAN, .low = NAN, .high = NAN};
    double *all = realism_parts(report, r);
    if (!all) return e;
    const nm_bootstrap_config config = nm_bootstrap_config_default();
    nm_error ignored;
    nm_bootstrap_ratio(all, all + report->groups, report->groups, 1, &config, &e, &ignored);
    free(all);
    return e;
}

/// Seconds of a pass over one scene and sample, NaN without any.
static double pass_seconds(const nm_score_result *r) {
    if (!r->cost.batches) return NAN;
    const double passes = (double)r->cost.passes / (double)r->cost.batches;
    return r->cost.seconds / (double)(r->scenes * r->samples) / passes;
}

/// Of one future of a scene; NaN where nothing was sampled by a model.
static double scene_seconds(const nm_score_result *r) {
    return r->cost.batches ? r->cost.seconds / (double)(r->scenes * r->samples) : (double)NAN;
}

/// Seconds until a change of the surroundings shows in the next frame: a pass where every token has a level of its own
/// and the near ones are nearly clean; all levels where a frame begins anew from pure noise.
static double response_seconds(const nm_score_report *report, const nm_score_result *r) {
    if (r->row.model < 0) return NAN;
    const nm_schedule_kind kind = report->models->sampling.schedule[r->row.schedule].kind;
    const int own_levels = kind == NM_SCHEDULE_PYRAMID || kind == NM_SCHEDULE_TRAPEZOID;
    return pass_seconds(r) * (own_levels ? 1.0 : (double)report->models->sampling.levels);
}

// ---------------------------------------------------------------------------------------------------------------------
// For people

static void cell(nm_table *table, nm_estimate e, double scale, int decimals) {
    if (!isfinite(e.value))
        nm_table_cell(table, "-");
    else
        nm_table_cell(table, "%.*f (%.*f, %.*f)", decimals, scale * e.value, decimals, scale * e.low, decimals,
                      scale * e.high);
}

static void print_main(const nm_score_report *report) {
    static const char *const headings[] = {"task",         ">displacement m", ">best of scene m", ">best of agent m",
                                           ">collision %", ">off road %",     ">s/scene",         ">response s",
                                           "system"};
    nm_table *table = nm_table_create(headings, 9);
    for (size_t i = 0; i < report->count; ++i) {
        const nm_score_result *r = &report->results[i];
        nm_table_cell(table, "%s", task_name(&r->row));
        for (int c = 0; c <= NM_SCORE_BEST_AGENT; ++c)
            cell(table, nm_score_estimate(report, r, (nm_score_column)c), 1.0, 2);
        cell(table, nm_score_estimate(report, r, NM_SCORE_COLLISION), 100.0, 2);
        cell(table, nm_score_estimate(report, r, NM_SCORE_OFF_ROAD), 100.0, 2);
        nm_table_number(table, 3, scene_seconds(r));
        nm_table_number(table, 3, response_seconds(report, r));
        nm_table_cell(table, "%s", r->row.name);
    }
    nm_table_print(table, stdout);
    nm_table_destroy(table);
}

static void print_stability(const nm_score_report *report) {
    char text[NM_STABILITY_COUNT][40];
    const char *headings[NM_STABILITY_COUNT + 2] = {"task"};
    for (int i = 0; i < NM_STABILITY_COUNT; ++i) {
        snprintf(text[i], sizeof text[i], ">%s", nm_stability_name((nm_stability)i));
        headings[1 + i] = text[i];
    }
    headings[NM_STABILITY_COUNT + 1] = "system";
    nm_table *table = nm_table_create(headings, NM_STABILITY_COUNT + 2);
    for (size_t i = 0; i < report->count; ++i) {
        const nm_score_result *r = &report->results[i];
        nm_table_cell(table, "%s", task_name(&r->row));
        for (int c = NM_SCORE_STABILITY; c < NM_SCORE_COLUMNS; ++c)
            nm_table_number(table, 3, nm_score_estimate(report, r, (nm_score_column)c).value);
        nm_table_cell(table, "%s", r->row.name);
    }
    printf("\nStability, lower is smoother (degrees, m/s, m/s2, m/s3, degrees/s2, degrees/s3)\n");
    nm_table_print(table, stdout);
    nm_table_destroy(table);
}

static void print_realism(const nm_score_report *report) {
    static const char *const headings[] = {">meta-metric", ">kinematic",  ">interactive", ">map",  ">minADE m",
                                           ">collided %",  ">off road %", ">red light %", "system"};
    nm_table *table = NULL;
    for (size_t i = 0; i < report->count; ++i) {
        const nm_score_result *r = &report->results[i];
        if (!r->realism_count) continue;
        if (!table) table = nm_table_create(headings, 9);
        const nm_realism m = nm_realism_mean(r->realism, r->realism_count);
        cell(table, realism_estimate(report, r), 1.0, 4);
        nm_table_number(table, 4, m.kinematic);
        nm_table_number(table, 4, m.interactive);
        nm_table_number(table, 4, m.map_based);
        nm_table_number(table, 2, m.min_ade);
        nm_table_number(table, 2, 100.0 * m.collision_rate);
        nm_table_number(table, 2, 100.0 * m.off_road_rate);
        nm_table_number(table, 2, 100.0 * m.red_light_rate);
        nm_table_cell(table, "%s", r->row.name);
    }
    if (!table) return;
    printf("\nRealism (sim agents 2025; an independent reimplementation, not an official score: see NOTICE)\n");
    nm_table_print(table, stdout);
    nm_table_destroy(table);
    if (report->no_realism)
        printf("without %llu scenes where somebody who is to be scored is not there\n",
               (unsigned long long)report->no_realism);
}

/// What passes kept, of the rows whose models were asked to.
static void print_reuse(const nm_score_report *report) {
    int any = 0;
    for (size_t i = 0; i < report->count; ++i) {
        const nm_score_result *r = &report->results[i];
        char text[400];
        if (!r->cost.reuse.passes) continue;
        if (!any++) printf("\nReuse of what earlier passes computed; errors are of v, against exact passes\n");
        printf("%s %s: %s\n", task_name(&r->row), r->row.name, nm_reuse_describe(&r->cost.reuse, text, sizeof text));
    }
}

/// Effective number of candidates by their weights, mean over the futures of all rows.
static double effective_candidates(const nm_score_result *results, size_t count) {
    double sum = 0.0, chosen = 0.0;
    for (size_t i = 0; i < count; ++i) {
        sum += results[i].cost.effective;
        chosen += (double)results[i].cost.chosen;
    }
    return chosen > 0.0 ? sum / chosen : (double)NAN;
}

static void print_candidates(const nm_score_report *report) {
    const nm_candidates_config *c = &report->models->sampling.candidates;
    printf("\n%u candidates of each future, %s by energy, window %g to %g of the passes", c->count,
           nm_candidate_choice_name(c->choice), c->first, c->last);
    const double effective = effective_candidates(report->results, report->count);
    if (isfinite(effective)) printf("; %.2f effective by their weights", effective);
}

static int has_no_goals(const nm_score_report *report, uint32_t model) {
    return report->goals && report->models->model[model].recipe.blocks.size > 0;
}

int nm_score_print(const nm_command *command, const nm_score_report *report) {
    printf("%s: %llu scenes in %u independent groups, %llu agents; ", report->data, (unsigned long long)report->scenes,
           report->groups, (unsigned long long)report->agents);
    if (report->history < 0.0)
        printf("the history that each has, up to 8 s ahead");
    else
        printf("%g s of history, up to 8 s ahead", report->history);
    if (report->skipped)
        printf("; %llu scenes were too short, or had nobody to score", (unsigned long long)report->skipped);
    if (report->models->sampling.candidates.count > 1) print_candidates(report);
    printf("\n95 %% intervals over groups in brackets. Displacement: mean over 1..8 s (free), 1..7 s (goal given).\n");
    print_main(report);
    print_stability(report);
    print_realism(report);
    print_reuse(report);
    for (uint32_t m = 0; m < report->models->count; ++m)
        if (has_no_goals(report, m))
            printf("\n%s was trained on blocks: it knows no goals, and has no row at that task\n",
                   report->models->model[m].name);
    return nm_cli_finish(command);
}

// ---------------------------------------------------------------------------------------------------------------------
// For programs

static void add_estimate(cJSON *object, const char *name, nm_estimate e) {
    cJSON *one = cJSON_AddObjectToObject(object, name);
    nm_json_number(one, "value", e.value);
    nm_json_number(one, "low", e.low);
    nm_json_number(one, "high", e.high);
}

static void add_seconds(cJSON *object, const nm_score_report *report, const nm_score_result *r) {
    nm_generation_sums all = {0};
    for (uint32_t g = 0; g < report->groups; ++g) nm_generation_merge(&all, &r->groups[g]);
    const nm_generation_result result = nm_generation_result_of(&all);
    cJSON *list = cJSON_AddArrayToObject(object, "displacement_by_second_m");
    cJSON *everybody = cJSON_AddArrayToObject(object, "displacement_with_ego_by_second_m");
    for (int k = 0; k < (int)NM_GENERATION_SECONDS; ++k) {
        const double agents = result.displacement[NM_WHO_AGENTS][NM_OVER_MEAN][k];
        const double all_of = result.displacement[NM_WHO_EVERYBODY][NM_OVER_MEAN][k];
        cJSON_AddItemToArray(list, isfinite(agents) ? cJSON_CreateNumber(agents) : cJSON_CreateNull());
        cJSON_AddItemToArray(everybody, isfinite(all_of) ? cJSON_CreateNumber(all_of) : cJSON_CreateNull());
    }
    nm_json_number(object, "off_road_rate_pooled", result.off_road_pooled);
}

static void add_realism(cJSON *object, const nm_score_report *report, const nm_score_result *r) {
    if (!r->realism_count) return;
    const nm_realism m = nm_realism_mean(r->realism, r->realism_count);
    cJSON *one = cJSON_AddObjectToObject(object, "realism");
    nm_json_integer(one, "scenes", r->realism_count);
    add_estimate(one, "meta", realism_estimate(report, r));
    nm_json_number(one, "kinematic", m.kinematic);
    nm_json_number(one, "interactive", m.interactive);
    nm_json_number(one, "map_based", m.map_based);
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; ++f)
        nm_json_number(one, nm_realism_feature_name((nm_realism_feature)f), m.likelihood[f]);
    nm_json_number(one, "ade_m", m.ade);
    nm_json_number(one, "min_ade_m", m.min_ade);
    nm_json_number(one, "collision_rate", m.collision_rate);
    nm_json_number(one, "off_road_rate", m.off_road_rate);
    nm_json_number(one, "red_light_rate", m.red_light_rate);
}

/// What a column is the mean ratio of, for comparing rows group by group: [numerator, denominator] of each part of each
/// group.
static void add_groups(cJSON *object, const nm_score_report *report, const nm_score_result *r) {
    cJSON *by_group = cJSON_AddObjectToObject(object, "by_group");
    for (int c = 0; c < NM_SCORE_COLUMNS; ++c) {
        cJSON *groups = cJSON_AddArrayToObject(by_group, nm_score_column_name((nm_score_column)c));
        for (uint32_t g = 0; g < report->groups; ++g) {
            double n[NM_GENERATION_SECONDS] = {0}, d[NM_GENERATION_SECONDS] = {0};
            const size_t parts = parts_of(&r->groups[g], &r->row, (nm_score_column)c, n, d);
            cJSON *list = cJSON_CreateArray();
            for (size_t k = 0; k < parts; ++k)
                cJSON_AddItemToArray(list, cJSON_CreateDoubleArray((double[]){n[k], d[k]}, 2));
            cJSON_AddItemToArray(groups, list);
        }
    }
    double *realism = realism_parts(report, r);
    if (!realism) return;
    cJSON *groups = cJSON_AddArrayToObject(by_group, "realism");
    for (uint32_t g = 0; g < report->groups; ++g) {
        cJSON *list = cJSON_CreateArray();
        cJSON_AddItemToArray(list, cJSON_CreateDoubleArray((double[]){realism[g], realism[report->groups + g]}, 2));
        cJSON_AddItemToArray(groups, list);
    }
    free(realism);
}

static cJSON *row_json(const nm_score_report *report, const nm_score_result *r) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "system", r->row.name);
    cJSON_AddStringToObject(object, "task", task_name(&r->row));
    for (int c = 0; c < NM_SCORE_COLUMNS; ++c)
        add_estimate(object, nm_score_column_name((nm_score_column)c),
                     nm_score_estimate(report, r, (nm_score_column)c));
    add_seconds(object, report, r);
    nm_json_number(object, "seconds_per_scene", scene_seconds(r));
    nm_json_number(object, "response_seconds", response_seconds(report, r));
    if (r->cost.chosen) {
        nm_json_number(object, "effective_candidates", r->cost.effective / (double)r->cost.chosen);
        nm_json_number(object, "energy_gained", r->cost.energy_gained / (double)r->cost.chosen);
    }
    nm_json_number(object, "passes", r->cost.batches ? (double)r->cost.passes / (double)r->cost.batches : NAN);
    const double futures = r->cost.future_count ? (double)r->cost.future_count : NAN;
    nm_json_number(object, "passes_per_future", (double)r->cost.futures.passes / futures);
    nm_json_number(object, "agreed_share",
                   r->cost.futures.tokens ? (double)r->cost.futures.agreed / (double)r->cost.futures.tokens : NAN);
    nm_reuse_json(object, &r->cost.reuse);
    add_realism(object, report, r);
    add_groups(object, report, r);
    return object;
}

int nm_score_print_json(const nm_command *command, const nm_score_report *report) {
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "data", report->data);
    nm_json_integer(document, "scenes", report->scenes);
    nm_json_integer(document, "skipped_too_short", report->skipped);
    nm_json_integer(document, "groups", report->groups);
    nm_json_integer(document, "agents", report->agents);
    nm_json_integer(document, "without_realism", report->no_realism);
    nm_json_number(document, "history_s", report->history);
    cJSON *without = cJSON_AddArrayToObject(document, "without_goals");
    for (uint32_t m = 0; m < report->models->count; ++m)
        if (has_no_goals(report, m)) cJSON_AddItemToArray(without, cJSON_CreateString(report->models->model[m].name));
    cJSON *rows = cJSON_AddArrayToObject(document, "rows");
    for (size_t i = 0; i < report->count; ++i) cJSON_AddItemToArray(rows, row_json(report, &report->results[i]));
    return nm_cli_print_json(command, document);
}

/// Behind a comma; nothing where there is no number.
static void write_number(FILE *file, double value) {
    fputc(',', file);
    if (isfinite(value)) fprintf(file, "%.9g", value);
}

static void write_estimate(FILE *file, nm_estimate e) {
    write_number(file, e.value);
    write_number(file, e.low);
    write_number(file, e.high);
}

static void write_rows(const nm_score_report *report, FILE *file) {
    fprintf(file, "system,task");
    for (int c = 0; c < NM_SCORE_COLUMNS; ++c) {
        const char *name = nm_score_column_name((nm_score_column)c);
        fprintf(file, ",%s,%s_low,%s_high", name, name, name);
    }
    fprintf(file, ",seconds_per_scene,realism_meta,realism_meta_low,realism_meta_high\n");
    for (size_t i = 0; i < report->count; ++i) {
        const nm_score_result *r = &report->results[i];
        nm_csv_text(file, r->row.name);
        fprintf(file, ",%s", task_name(&r->row));
        for (int c = 0; c < NM_SCORE_COLUMNS; ++c) {
            const nm_estimate e = nm_score_estimate(report, r, (nm_score_column)c);
            write_estimate(file, e);
        }
        write_number(file, scene_seconds(r));
        write_estimate(file, realism_estimate(report, r));
        fputc('\n', file);
    }
}

nm_status nm_score_try_csv(const char *path, nm_error *error) {
    struct stat there;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode) && !S_ISDIR(there.st_mode)) return NM_OK; // a pipe waits
    nm_whole_file file;
    const nm_status status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status == NM_OK) nm_whole_file_drop(&file);
    return status;
}

nm_status nm_score_write_csv(const nm_score_report *report, const char *path, nm_error *error) {
    nm_whole_file file;
    const nm_status status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status != NM_OK) return status;
    write_rows(report, file.stream);
    return nm_whole_file_keep(&file, error);
}
