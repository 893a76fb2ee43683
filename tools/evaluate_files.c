/// Results as CSV, JSON and JUnit XML.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "base/whole_file.h"
#include "tools/cli.h"
#include "tools/evaluate_reasons.h"
#include "tools/markup.h"

// ---------------------------------------------------------------------------------------------------------------------
// Columns, the same in CSV and JSON

typedef enum column {
    C_PLANNER = 0,
    C_SCENE,
    C_SCENE_HASH,
    C_NAME,
    C_TYPE,
    C_OUTCOME,
    C_REASON,
    C_START_STEP,
    C_EGO_TRACK,
    C_SAMPLES,
    C_SCORE,
    C_METRIC, // NM_NUPLAN_SCORED_COUNT of them
    C_COLLISIONS = C_METRIC + NM_NUPLAN_SCORED_COUNT,
    C_AT_FAULT,
    C_FIRST_COLLISION,
    C_COLLISION_WITH,
    C_COLLISION_STEP,
    C_COLLISION_TRACK,
    C_MIN_TTC,
    C_MIN_DISTANCE,
    C_WORST,
    C_WORST_STEP,
    C_PLAN_MEAN,
    C_PLAN_MAX,
    C_WALL,
    C_DANGER, // NM_EGO_MEASURE_COUNT of them
    C_DANGER_STEP = C_DANGER + NM_EGO_MEASURE_COUNT,
    C_DANGER_TRACK,
    C_AGENTS,
    C_STORE,
    C_ADVERSARY,
    C_ADVERSARY_TRACK,
    C_STAGED,
    C_MET,
    C_AVOIDABLE,
    C_COUNT
} column;

static const char *column_name(size_t c) {
    static const char *const names[C_COUNT] = {
        [C_PLANNER] = "planner",
        [C_SCENE] = "scene",
        [C_SCENE_HASH] = "scene_hash",
        [C_NAME] = "name",
        [C_TYPE] = "type",
        [C_OUTCOME] = "outcome",
        [C_REASON] = "reason",
        [C_START_STEP] = "start_step",
        [C_EGO_TRACK] = "ego_track",
        [C_SAMPLES] = "samples",
        [C_SCORE] = "score",
        [C_COLLISIONS] = "collisions",
        [C_AT_FAULT] = "at_fault",
        [C_FIRST_COLLISION] = "first_collision",
        [C_COLLISION_WITH] = "collision_with",
        [C_COLLISION_STEP] = "collision_step",
        [C_COLLISION_TRACK] = "collision_track",
        [C_MIN_TTC] = "min_ttc_s",
        [C_MIN_DISTANCE] = "min_distance_m",
        [C_WORST] = "worst",
        [C_WORST_STEP] = "worst_step",
        [C_PLAN_MEAN] = "plan_mean_ms",
        [C_PLAN_MAX] = "plan_max_ms",
        [C_WALL] = "wall_s",
        [C_DANGER_STEP] = "danger_step",
        [C_DANGER_TRACK] = "danger_track",
        [C_AGENTS] = "agents",
        [C_STORE] = "store",
        [C_ADVERSARY] = "adversary",
        [C_ADVERSARY_TRACK] = "adversary_track",
        [C_STAGED] = "staged",
        [C_MET] = "met_adversary",
        [C_AVOIDABLE] = "avoidable",
    };
    if (c >= C_DANGER && c < C_DANGER_STEP) return nm_ego_describe((nm_ego_measure)(c - C_DANGER))->name;
    return names[c] ? names[c] : nm_nuplan_describe((nm_nuplan_metric)(c - C_METRIC))->name;
}

typedef struct cell {
    const char *text; // NULL: a number
    double number;    // NaN: none
    char space[24];
} cell;

static double step_number(const nm_episode *e, uint32_t sample) {
    return sample == NM_NONE ? NAN : (double)e->start_step + (double)sample;
}

static double index_number(uint32_t index) {
    return index == NM_NONE ? NAN : (double)index;
}

static void fill_text(const nm_evaluate_report *report, const nm_evaluation_entrant *entrant, const nm_results_row *row,
                      size_t c, cell *to) {
    const nm_episode *e = &row->episode;
    const nm_nuplan_collision *first = e->collision_count ? e->collisions : NULL;
    switch (c) {
    case C_PLANNER:
        to->text = entrant->planner;
        break;
    case C_SCENE_HASH:
        snprintf(to->space, sizeof to->space, "%016" PRIx64, row->scene_hash);
        to->text = to->space;
        break;
    case C_NAME:
        to->text = row->name;
        break;
    case C_TYPE:
        to->text = row->type;
        break;
    case C_OUTCOME:
        to->text = nm_episode_outcome_name(e->outcome);
        break;
    case C_REASON:
        to->text = e->reason;
        break;
    case C_FIRST_COLLISION:
        to->text = first ? nm_nuplan_class_name((nm_nuplan_class)first->collision_class) : "";
        break;
    case C_COLLISION_WITH:
        to->text = first ? nm_nuplan_type_name((nm_nuplan_type)first->type) : "";
        break;
    case C_WORST:
        to->text = e->worst;
        break;
    case C_AGENTS:
        to->text = nm_episode_agents_name(report->episode->agents);
        break;
    case C_STORE:
        to->text = nm_base_name(report->store);
        break;
    case C_ADVERSARY:
        to->text = nm_evaluation_adversary_of(row);
        break;
    case C_AVOIDABLE:
        to->text = e->adversary == NM_NONE ? "" : nm_avoid_label_name(e->avoid);
        break;
    default:
        to->text = NULL;
    }
}

/// 1.8 rather than 1.79999995: what a float means.
static double decimal(float value) {
    return round(1e6 * (double)value) / 1e6;
}

static double number_of(const nm_results_row *row, size_t c) {
    const nm_episode *e = &row->episode;
    const nm_nuplan_collision *first = e->collision_count ? e->collisions : NULL;
    switch (c) {
    case C_SCENE:
        return (double)row->scene;
    case C_START_STEP:
        return e->start_step;
    case C_EGO_TRACK:
        return index_number(e->ego_track);
    case C_SAMPLES:
        return e->samples;
    case C_SCORE:
        return nm_evaluation_score_of(row);
    case C_COLLISIONS:
        return e->score.collisions;
    case C_AT_FAULT:
        return (double)e->score.at_fault_people + e->score.at_fault_vehicles + e->score.at_fault_objects;
    case C_COLLISION_STEP:
        return first ? step_number(e, first->step) : NAN;
    case C_COLLISION_TRACK:
        return first ? index_number(first->track) : NAN;
    case C_MIN_TTC:
        return decimal(e->min_ttc);
    case C_MIN_DISTANCE:
        return decimal(e->min_distance);
    case C_WORST_STEP:
        return step_number(e, e->worst_sample);
    case C_PLAN_MEAN:
        return 1e3 * e->plan_mean;
    case C_PLAN_MAX:
        return 1e3 * e->plan_max;
    case C_WALL:
        return e->wall_seconds;
    case C_DANGER_STEP:
        return step_number(e, e->danger.worst_step);
    case C_DANGER_TRACK:
        return index_number(e->danger.worst_track);
    case C_ADVERSARY_TRACK:
        return index_number(e->adversary);
    case C_STAGED:
        return e->adversary == NM_NONE ? NAN : (double)e->staged;
    case C_MET:
        return e->adversary == NM_NONE ? NAN : (double)e->met;
    default: // a metric
        if (c >= C_DANGER && c < C_DANGER_STEP)
            return e->outcome == NM_EPISODE_DONE ? decimal(e->danger.value[c - C_DANGER]) : NAN;
        if (e->outcome == NM_EPISODE_UNFIT) return NAN;
        return e->outcome == NM_EPISODE_DONE ? e->score.metric[c - C_METRIC].value : 0.0;
    }
}

static void fill(const nm_evaluate_report *report, const nm_evaluation_entrant *entrant, const nm_results_row *row,
                 size_t c, cell *to) {
    fill_text(report, entrant, row, c, to);
    to->number = to->text ? NAN : number_of(row, c);
}

// ---------------------------------------------------------------------------------------------------------------------
// CSV

static void write_line(const nm_evaluate_report *report, const nm_evaluation_entrant *entrant,
                       const nm_results_row *row, FILE *file) {
    for (size_t c = 0; c < C_COUNT; ++c) {
        cell value;
        fill(report, entrant, row, c, &value);
        if (c) fputc(',', file);
        if (value.text)
            nm_csv_text(file, value.text);
        else if (isfinite(value.number))
            fprintf(file, value.number == floor(value.number) ? "%.0f" : "%.12g", value.number);
    }
    fputs("\r\n", file);
}

nm_status nm_evaluate_write_csv(const nm_evaluate_study *study, const char *path, nm_error *error) {
    nm_whole_file file;
    const nm_status status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status != NM_OK) return status;
    for (size_t c = 0; c < C_COUNT; ++c) fprintf(file.stream, "%s%s", c ? "," : "", column_name(c));
    fputs("\r\n", file.stream);
    for (size_t w = 0; w < study->world_count; ++w)
        for (size_t p = 0; p < study->worlds[w].summary->planner_count; ++p) {
            const nm_evaluation_entrant *entrant = &study->worlds[w].entrants[p];
            for (size_t i = 0; i < entrant->count; ++i)
                write_line(&study->worlds[w], entrant, &entrant->rows[i], file.stream);
        }
    return nm_whole_file_keep(&file, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON

static cJSON *head_json(const nm_evaluate_study *study) {
    const nm_evaluate_report *first = study->worlds;
    const nm_episode_config *episode = first->episode;
    cJSON *head = cJSON_CreateObject();
    cJSON_AddStringToObject(head, "program", "nearmiss " NM_VERSION);
    cJSON_AddStringToObject(head, "made", study->made);
    cJSON_AddStringToObject(head, "command", study->command_line);
    cJSON_AddStringToObject(head, "store", first->store);
    cJSON_AddStringToObject(head, "results", study->results);
    nm_json_integer(head, "scenes", first->scenes);
    cJSON_AddStringToObject(head, "agents", nm_episode_agents_name(episode->agents));
    cJSON_AddStringToObject(head, "idm", episode->idm->name);
    cJSON_AddStringToObject(head, "execution", episode->perfect ? "perfect" : "tracked");
    nm_json_number(head, "seconds", (double)episode->seconds);
    nm_json_number(head, "deadline_s", (double)episode->deadline);
    nm_json_integer(head, "seed", episode->seed);
    nm_evaluate_add_worlds_json(study, head);
    cJSON *planners = cJSON_AddArrayToObject(head, "planners"), *pairs = cJSON_AddArrayToObject(head, "pairs");
    for (size_t w = 0; w < study->world_count; ++w) {
        for (size_t p = 0; p < study->worlds[w].summary->planner_count; ++p)
            cJSON_AddItemToArray(planners, nm_evaluate_planner_json(&study->worlds[w], p));
        nm_evaluate_add_pairs_json(&study->worlds[w], pairs);
    }
    return head;
}

static cJSON *row_json(const nm_evaluate_report *report, const nm_evaluation_entrant *entrant,
                       const nm_results_row *row) {
    cJSON *object = cJSON_CreateObject();
    for (size_t c = 0; c < C_COUNT; ++c) {
        cell value;
        fill(report, entrant, row, c, &value);
        if (value.text)
            cJSON_AddStringToObject(object, column_name(c), value.text);
        else
            nm_json_number(object, column_name(c), value.number);
    }
    cJSON_AddItemToObject(object, "losses", nm_evaluate_losses_json(row));
    if (row->said && row->said[0]) cJSON_AddStringToObject(object, "said", row->said);
    return object;
}

static int write_rows(const nm_evaluate_report *report, const char **before, FILE *file) {
    for (size_t p = 0; p < report->summary->planner_count; ++p)
        for (size_t i = 0; i < report->entrants[p].count; ++i) {
            char *text = nm_json_text(row_json(report, &report->entrants[p], &report->entrants[p].rows[i]), 0);
            if (!text) return 0;
            fprintf(file, "%s%s", *before, text);
            cJSON_free(text);
            *before = ",\n";
        }
    return 1;
}

/// The members of the head, then the rows one by one.
static int write_json(const nm_evaluate_study *study, FILE *file) {
    char *text = nm_json_text(head_json(study), 1);
    if (!text) return 0;
    text[strlen(text) - 2] = '\0'; // without its last "\n}"
    fprintf(file, "%s,\n\t\"rows\":\t[", text);
    cJSON_free(text);
    const char *before = "\n";
    for (size_t w = 0; w < study->world_count; ++w)
        if (!write_rows(&study->worlds[w], &before, file)) return 0;
    fputs("\n\t]\n}\n", file);
    return 1;
}

nm_status nm_evaluate_write_json(const nm_evaluate_study *study, const char *path, nm_error *error) {
    nm_whole_file file;
    const nm_status status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status != NM_OK) return status;
    if (write_json(study, file.stream)) return nm_whole_file_keep(&file, error);
    nm_whole_file_drop(&file);
    return NM_ERROR(error, NM_E_MEMORY, "out of memory while writing JSON");
}

// ---------------------------------------------------------------------------------------------------------------------
// JUnit XML

static int fails(const nm_evaluate_study *study, const nm_results_row *row) {
    if (row->episode.outcome == NM_EPISODE_FAILED) return 1;
    return row->episode.outcome == NM_EPISODE_DONE && row->episode.score.score < study->pass_score; // not when NaN
}

static void write_property(FILE *file, const char *name, const char *value) {
    fprintf(file, "   <property name=\"%s\" value=\"", name);
    nm_markup_text(file, value);
    fputs("\"/>\n", file);
}

static void write_attribute(FILE *file, const char *name, const char *value) {
    fprintf(file, " %s=\"", name);
    nm_markup_text(file, value);
    fputc('"', file);
}

static void write_case(const nm_evaluate_study *study, const nm_evaluation_entrant *entrant, const nm_results_row *row,
                       FILE *file) {
    const nm_episode *e = &row->episode;
    fputs("  <testcase", file);
    write_attribute(file, "classname", entrant->planner);
    fprintf(file, " name=\"scene %" PRId64, row->scene);
    if (*row->name) fputc(' ', file);
    nm_markup_text(file, row->name);
    if (*nm_evaluation_adversary_of(row)) fputs(" against ", file);
    nm_markup_text(file, nm_evaluation_adversary_of(row));
    fprintf(file, "\" time=\"%.6f\">", e->wall_seconds);
    if (e->outcome == NM_EPISODE_UNFIT) {
        fputs("<skipped", file);
        write_attribute(file, "message", e->reason);
        fputs("/>", file);
    } else if (e->outcome == NM_EPISODE_FAILED) {
        fputs("<failure type=\"planner\"", file);
        write_attribute(file, "message", e->reason);
        fputs("/>", file);
    } else if (fails(study, row)) {
        fprintf(file, "<failure type=\"score\" message=\"score %.4f is below %g", e->score.score, study->pass_score);
        if (*e->worst) fputs(": ", file);
        nm_markup_text(file, e->worst);
        fputs("\"/>", file);
    }
    fputs("</testcase>\n", file);
}

static void write_suite(const nm_evaluate_study *study, const nm_evaluate_report *report,
                        const nm_evaluation_entrant *entrant, FILE *file) {
    size_t failures = 0, skipped = 0;
    double seconds = 0.0;
    for (size_t i = 0; i < entrant->count; ++i) {
        failures += (size_t)fails(study, &entrant->rows[i]);
        skipped += entrant->rows[i].episode.outcome == NM_EPISODE_UNFIT;
        seconds += entrant->rows[i].episode.wall_seconds;
    }
    fputs(" <testsuite name=\"", file);
    nm_markup_text(file, entrant->planner);
    if (*report->name) fputs(", ", file);
    nm_markup_text(file, report->name);
    fprintf(file, "\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\" time=\"%.6f\">\n  <properties>\n",
            entrant->count, failures, skipped, seconds);
    write_property(file, "program", "nearmiss " NM_VERSION);
    write_property(file, "store", report->store);
    write_property(file, "agents", nm_episode_agents_name(report->episode->agents));
    write_property(file, "idm", report->episode->idm->name);
    write_property(file, "execution", report->episode->perfect ? "perfect" : "tracked");
    fputs("  </properties>\n", file);
    for (size_t i = 0; i < entrant->count; ++i) write_case(study, entrant, &entrant->rows[i], file);
    fputs(" </testsuite>\n", file);
}

nm_status nm_evaluate_write_junit(const nm_evaluate_study *study, const char *path, nm_error *error) {
    nm_whole_file file;
    const nm_status status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status != NM_OK) return status;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"nearmiss evaluate\">\n", file.stream);
    for (size_t w = 0; w < study->world_count; ++w)
        for (size_t p = 0; p < study->worlds[w].summary->planner_count; ++p)
            write_suite(study, &study->worlds[w], &study->worlds[w].entrants[p], file.stream);
    fputs("</testsuites>\n", file.stream);
    return nm_whole_file_keep(&file, error);
}
