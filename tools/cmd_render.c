/// `nearmiss render`: pictures, contact sheets and films of scenes, without a screen.
#include "tools/cmd_render.h"

#include <math.h>
#include <stdlib.h>

static int report_json(const render_options *options, const render_shot *shots, size_t count,
                       const render_result *result) {
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "out", options->out);
    nm_json_integer(document, "width_px", (uint64_t)options->width);
    nm_json_integer(document, "height_px", (uint64_t)options->height);
    nm_json_integer(document, "frames", result->frames);
    if (options->film) nm_json_number(document, "seconds", result->seconds);
    cJSON_AddStringToObject(document, "renderer", result->renderer);
    cJSON *scenes = cJSON_AddArrayToObject(document, "scenes");
    for (size_t i = 0; i < count; i++) {
        cJSON *scene = cJSON_CreateObject();
        nm_json_integer(scene, "scene", (uint64_t)shots[i].scene);
        nm_json_number(scene, options->film ? "first_step" : "step", (double)shots[i].step);
        if (shots[i].has_event) {
            cJSON_AddStringToObject(scene, "kind", nm_kind_name(shots[i].event.kind));
            nm_json_number(scene, "min_ttc_s", round((double)shots[i].event.min_ttc * 1e4) / 1e4);
        } else {
            cJSON_AddNullToObject(scene, "kind");
        }
        cJSON_AddItemToArray(scenes, scene);
    }
    return nm_cli_print_json(options->command, document);
}

static int report_text(const render_options *options, const render_shot *shots, size_t count,
                       const render_result *result) {
    static const char *const headings[] = {"file", ">px", ">frames", "shows", ">step"};
    char size[32], title[160];
    nm_table *table = nm_table_create(headings, 5);
    snprintf(size, sizeof size, "%dx%d", options->width, options->height);
    for (size_t i = 0; i < count; i++) {
        nm_render_title(&shots[i], title, sizeof title);
        nm_table_cell(table, "%s", i ? "" : options->out);
        nm_table_cell(table, "%s", i ? "" : size);
        if (i)
            nm_table_cell(table, "%s", "");
        else
            nm_table_cell(table, "%llu", (unsigned long long)result->frames);
        nm_table_cell(table, "%s", title);
        nm_table_cell(table, "%.0f", (double)shots[i].step);
    }
    nm_table_print(table, stdout);
    nm_table_destroy(table);
    return nm_cli_finish(options->command);
}

static int render(const render_options *options) {
    nm_error error;
    nm_error_clear(&error);
    nm_store *store = NULL;
    render_shot *shots = NULL;
    render_result result;
    size_t count = 0;
    int exit_status;
    nm_status status = nm_store_open(options->store, NM_STORE_READ, &store, &error);
    if (status == NM_OK) {
        nm_store_set_interrupt(store, nm_cli_stop, NULL);
        status = nm_render_choose(store, options, &shots, &count, &error);
    }
    const int bad_condition = status == NM_E_ARGUMENT; // --where, in SQLite's words
    if (status == NM_OK) status = nm_render_draw(store, options, shots, count, &result, &error);
    if (status != NM_OK)
        exit_status = nm_cli_fail(options->command, &error);
    else if (options->common.json)
        exit_status = report_json(options, shots, count, &result);
    else
        exit_status = report_text(options, shots, count, &result);
    if (bad_condition) exit_status = NM_EXIT_USAGE;
    free(shots);
    nm_store_close(store);
    return exit_status;
}

static int run_render(const nm_command *command, int argc, char **argv) {
    render_options options;
    int64_t *ids = calloc((size_t)argc + 1, sizeof *ids);
    if (!ids) {
        nm_error error;
        NM_ERROR(&error, NM_E_MEMORY, "out of memory");
        return nm_cli_fail(command, &error);
    }
    int status = nm_render_parse(command, argc, argv, &options, ids);
    if (status < 0) status = render(&options);
    free(ids);
    return status;
}

const nm_command nm_command_render = {
    .name = "render",
    .summary = "Draws scenes without a screen: a picture of the worst moment, a contact sheet, or a film.",
    .usage = "render [ID...] --store S.db --out F.png|F.mp4 [--sheet CxR] [--kind KIND] [--where SQL] [--camera NAME]",
    .example = "nearmiss render --store scenes.db --kind cut_in --sheet 4x6 --out cut_ins.png",
    .run = run_render,
};
