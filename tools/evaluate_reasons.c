#include "tools/evaluate_reasons.h"

#include <inttypes.h>
#include <math.h>

#include "base/text.h"
#include "base/whole_file.h"
#include "tools/cli.h"

#define LOST_LEAST 1e-4 // of a score: losses of single metrics below NM_LOSS_LEAST, all together, are less

size_t nm_evaluate_reasons_of(const nm_evaluation_entrant *entrant, nm_reasons *reasons, size_t *unknown) {
    size_t done = 0, silent = 0;
    *reasons = (nm_reasons){0};
    for (size_t i = 0; i < entrant->count; ++i) {
        const nm_episode *e = &entrant->rows[i].episode;
        if (e->outcome != NM_EPISODE_DONE) continue;
        if (!e->loss_count && e->score.score < 1.0 - LOST_LEAST) {
            ++silent;
            continue;
        }
        ++done;
        nm_reasons_add(reasons, e->losses, e->loss_count);
    }
    nm_reasons_sort(reasons);
    if (unknown) *unknown = silent;
    return done;
}

static const char *metric_of(const nm_loss *loss) {
    return nm_nuplan_describe((nm_nuplan_metric)loss->metric)->name;
}

void nm_evaluate_print_reasons(const nm_evaluate_report *report, FILE *file) {
    static const char *const headings[] = {"planner", "reason", "", ">episodes", ">mean cost", ">in the recording"};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    size_t silent = 0;
    for (size_t p = 0; p < report->summary->planner_count; ++p) {
        nm_reasons reasons;
        size_t unknown;
        const size_t done = nm_evaluate_reasons_of(&report->entrants[p], &reasons, &unknown);
        silent += unknown;
        for (uint32_t i = 0; i < reasons.count; ++i) {
            const nm_reason *r = &reasons.reasons[i];
            nm_table_cell(table, "%s", i ? "" : report->entrants[p].planner);
            nm_table_cell(table, "%s", metric_of(&r->about));
            nm_table_cell(table, "%s", nm_loss_detail(&r->about));
            nm_table_cell(table, "%zu", r->episodes);
            nm_table_cell(table, "%.4f", r->cost / (double)done);
            nm_table_cell(table, "%zu", r->recordings);
        }
    }
    nm_table_print(table, file);
    nm_table_destroy(table);
    if (silent) fprintf(file, "%zu more are from an older version, which kept no reasons\n", silent);
}

cJSON *nm_evaluate_reasons_json(const nm_evaluation_entrant *entrant) {
    nm_reasons reasons;
    const size_t done = nm_evaluate_reasons_of(entrant, &reasons, NULL);
    cJSON *list = cJSON_CreateArray();
    for (uint32_t i = 0; i < reasons.count; ++i) {
        const nm_reason *r = &reasons.reasons[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "metric", metric_of(&r->about));
        cJSON_AddStringToObject(object, "detail", nm_loss_detail(&r->about));
        nm_json_integer(object, "episodes", r->episodes);
        nm_json_number(object, "mean_cost", r->cost / (double)done);
        nm_json_integer(object, "recordings", r->recordings);
        cJSON_AddItemToArray(list, object);
    }
    return list;
}

static double step_of(const nm_episode *e, const nm_loss *loss) {
    return loss->sample == NM_NONE ? NAN : (double)e->start_step + (double)loss->sample;
}

static double track_of(const nm_loss *loss) {
    return loss->track == NM_NONE ? NAN : (double)loss->track;
}

cJSON *nm_evaluate_losses_json(const nm_results_row *row) {
    const nm_episode *e = &row->episode;
    cJSON *list = cJSON_CreateArray();
    for (uint32_t i = 0; i < e->loss_count; ++i) {
        const nm_loss *loss = &e->losses[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "metric", metric_of(loss));
        cJSON_AddStringToObject(object, "detail", nm_loss_detail(loss));
        nm_json_number(object, "value", loss->value);
        nm_json_number(object, "cost", loss->cost);
        nm_json_number(object, "step", step_of(e, loss));
        nm_json_number(object, "track", track_of(loss));
        cJSON_AddBoolToObject(object, "recording", loss->recording);
        nm_json_number(object, "recorded", loss->recorded);
        cJSON_AddItemToArray(list, object);
    }
    return list;
}

static void write_number(FILE *file, double value) {
    if (isfinite(value)) fprintf(file, "%.12g", value);
}

static void write_line(FILE *file, const nm_evaluate_report *report, const char *planner, const nm_results_row *row,
                       const nm_loss *loss) {
    nm_csv_text(file, planner);
    fprintf(file, ",%" PRId64 ",%s,%s,", row->scene, metric_of(loss), nm_loss_detail(loss));
    const double values[] = {loss->value, loss->cost, step_of(&row->episode, loss), track_of(loss)};
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
        write_number(file, values[i]);
        fputc(',', file);
    }
    fprintf(file, "%d,", loss->recording);
    write_number(file, loss->recorded);
    fprintf(file, ",%s,", nm_episode_agents_name(report->episode->agents));
    nm_csv_text(file, nm_base_name(report->store));
    fputc(',', file);
    nm_csv_text(file, nm_evaluation_adversary_of(row));
    fputs("\r\n", file);
}

static void write_world(FILE *file, const nm_evaluate_report *report) {
    for (size_t p = 0; p < report->summary->planner_count; ++p)
        for (size_t i = 0; i < report->entrants[p].count; ++i) {
            const nm_results_row *row = &report->entrants[p].rows[i];
            for (uint32_t k = 0; k < row->episode.loss_count; ++k)
                write_line(file, report, report->entrants[p].planner, row, &row->episode.losses[k]);
        }
}

nm_status nm_evaluate_write_losses(const nm_evaluate_study *study, const char *path, nm_error *error) {
    nm_whole_file file;
    const nm_status status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status != NM_OK) return status;
    fputs("planner,scene,metric,detail,value,cost,step,track,recording,recorded,agents,store,adversary\r\n",
          file.stream);
    for (size_t w = 0; w < study->world_count; ++w) write_world(file.stream, &study->worlds[w]);
    return nm_whole_file_keep(&file, error);
}
