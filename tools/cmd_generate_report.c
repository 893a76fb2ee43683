/// `nearmiss generate`: what it prints.
#include <inttypes.h>
#include <math.h>

#include "tools/cmd_generate.h"

void nm_generate_add_row(nm_generate_run *run, const nm_generate_job *job, int64_t stored) {
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, job->made.scene->hash);
    cJSON *row = cJSON_CreateObject();
    nm_json_integer(row, "scene", (uint64_t)job->parent->id);
    nm_json_integer(row, "sample", job->sample);
    nm_json_integer(row, "stored", (uint64_t)stored);
    nm_json_integer(row, "agents", job->made.agents);
    nm_json_integer(row, "left_out", job->made.left_out);
    nm_json_integer(row, "collided", job->stats.collided);
    nm_json_integer(row, "off_road", job->stats.off_road);
    cJSON_AddStringToObject(row, "hash", hash);
    cJSON_AddItemToArray(run->rows, row);
}

static double percent(uint64_t part, uint64_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : NAN;
}

static void add_checks(cJSON *document, const char *name, const nm_world_stats *s, uint64_t scenes) {
    cJSON *checks = cJSON_AddObjectToObject(document, name);
    nm_json_integer(checks, "scenes", scenes);
    nm_json_integer(checks, "agents", s->agents);
    nm_json_integer(checks, "collided", s->collided);
    nm_json_number(checks, "collided_percent", percent(s->collided, s->agents));
    nm_json_integer(checks, "off_road", s->off_road);
    nm_json_number(checks, "off_road_percent", percent(s->off_road, s->agents));
    nm_json_integer(checks, "started_in_contact", s->started_in_contact);
    nm_json_integer(checks, "started_off_road", s->started_off_road);
}

static int print_json(nm_generate_run *run) {
    const nm_generate_totals *t = &run->totals;
    char text[64];
    cJSON *document = cJSON_CreateObject();
    cJSON *model = cJSON_AddObjectToObject(document, "model");
    cJSON_AddStringToObject(model, "name", run->recipe.name);
    cJSON_AddStringToObject(model, "file", run->model_path);
    snprintf(text, sizeof text, "%016" PRIx64, run->model_hash);
    cJSON_AddStringToObject(model, "hash", text);
    nm_schedule_format(&run->schedule, text, sizeof text);
    cJSON_AddStringToObject(document, "schedule", text);
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"levels", (uint64_t)run->options.levels},
                  {"scenes", t->scenes},
                  {"parents", t->parents},
                  {"agents", t->agents},
                  {"left_out", t->left_out},
                  {"stored", t->stored},
                  {"existed", t->existed},
                  {"failed", t->failed},
                  {"skipped_too_short", t->too_short},
                  {"skipped_generated", t->generated_before},
                  {"passes", t->cost.passes},
                  {"batches", t->cost.batches}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i)
        nm_json_integer(document, counts[i].name, counts[i].value);
    nm_json_number(document, "passes_per_future",
                   t->cost.future_count ? (double)t->cost.futures.passes / (double)t->cost.future_count : NAN);
    nm_json_number(document, "agreed_percent", percent(t->cost.futures.agreed, t->cost.futures.tokens));
    nm_json_number(document, "seconds", t->cost.seconds);
    nm_json_number(document, "seconds_per_scene", t->scenes ? t->cost.seconds / (double)t->scenes : NAN);
    nm_reuse_json(document, &t->cost.reuse);
    if (t->cost.chosen) {
        nm_json_integer(document, "candidates", run->candidates.count);
        nm_json_number(document, "effective_candidates", t->cost.effective / (double)t->cost.chosen);
        nm_json_number(document, "energy_gained", t->cost.energy_gained / (double)t->cost.chosen);
    }
    add_checks(document, "generated", &t->made, t->scenes);
    add_checks(document, "generated_while_recorded", &t->compared, t->compared_scenes);
    add_checks(document, "recorded", &t->recorded, t->parents_checked);
    cJSON_AddItemToObject(document, "rows", run->rows);
    run->rows = NULL;
    return nm_cli_print_json(run->command, document);
}

static void add_line(nm_table *table, const char *name, const nm_world_stats *s, uint64_t scenes) {
    nm_table_cell(table, "%s", name);
    nm_table_cell(table, "%" PRIu64, scenes);
    nm_table_cell(table, "%u", s->agents);
    nm_table_cell(table, "%u (%.1f %%)", s->collided, s->agents ? percent(s->collided, s->agents) : 0.0);
    nm_table_cell(table, "%u (%.1f %%)", s->off_road, s->agents ? percent(s->off_road, s->agents) : 0.0);
    nm_table_cell(table, "%u", s->started_in_contact);
    nm_table_cell(table, "%u", s->started_off_road);
}

static void print_checks(const nm_generate_totals *t) {
    static const char *const headings[] = {
        "checked", ">scenes", ">agents", ">collided", ">off the road", ">in contact before", ">off road before"};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    add_line(table, "generated", &t->made, t->scenes);
    add_line(table, "generated, as long as recorded", &t->compared, t->compared_scenes);
    add_line(table, "recorded", &t->recorded, t->parents_checked);
    nm_table_print(table, stdout);
    nm_table_destroy(table);
}

static int print_text(const nm_generate_run *run) {
    const nm_generate_totals *t = &run->totals;
    char schedule[48];
    nm_schedule_format(&run->schedule, schedule, sizeof schedule);
    printf("model %s (%" PRIu64 " training steps), task %s, schedule %s, %d levels, solver %s\n", run->recipe.name,
           run->recipe.steps, run->options.task, schedule, (int)run->options.levels, nm_solver_name(run->solver));
    printf("generated %" PRIu64 " scenes from %" PRIu64 ", %" PRIu64 " agents; %" PRIu64 " passes in %u batches",
           t->scenes, t->parents, t->agents, t->cost.passes, t->cost.batches);
    if (t->scenes) printf(", %.3g s a scene", t->cost.seconds / (double)t->scenes);
    if (t->cost.chosen)
        printf("; %u candidates of each, %.2f effective by their weights", run->candidates.count,
               t->cost.effective / (double)t->cost.chosen);
    if (nm_agreement_is_on(&run->agreement) && t->cost.future_count)
        printf("\n%.1f passes a scene; %.0f %% of what was to be denoised finished early",
               (double)t->cost.futures.passes / (double)t->cost.future_count,
               percent(t->cost.futures.agreed, t->cost.futures.tokens));
    printf("\n");
    if (t->cost.reuse.passes) {
        char text[400];
        printf("reuse: %s\n", nm_reuse_describe(&t->cost.reuse, text, sizeof text));
    }
    printf("\n");
    print_checks(t);
    printf("\n");
    if (t->left_out)
        printf("%" PRIu64 " agents have no future: a scene has room for the %u nearest to its ego\n", t->left_out,
               nm_scene_generator_config_default().agents);
    if (t->too_short) printf("skipped %" PRIu64 " scenes that are too short\n", t->too_short);
    if (t->generated_before)
        printf("skipped %" PRIu64 " scenes that a model made: --scene ID takes them, too\n", t->generated_before);
    if (run->options.recording) printf("recording: %s\n", run->options.recording);
    printf("stored %" PRIu64 " scenes, %" PRIu64 " were there already\n", t->stored, t->existed);
    return nm_cli_finish(run->command);
}

int nm_generate_print(nm_generate_run *run) {
    const int status = run->common->json ? print_json(run) : print_text(run);
    return run->totals.failed ? NM_EXIT_FAILED : status;
}
