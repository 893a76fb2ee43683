/// `nearmiss import FILE...`: recorded scenes into the store.
///
/// Many threads parse and compress, this one writes, in the order of the inputs. Transactions are short (a quarter of a
/// second), so that a killed import loses little, another writer gets its turn, and readers see the store grow.
/// Whatever was committed is complete: every scene, and every file marked as done. Running the same import again goes
/// on where it stopped.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "scenarios/store.h"
#include "tools/cli.h"
#include "tools/cmd_import_inputs.h"
#include "tools/cmd_import_pipeline.h"

#define TRANSACTION_SECONDS 0.25
#define TRANSACTION_BYTES ((size_t)64 << 20)
#define REFUSALS_KEPT 10000u ///< listed in full; more are only counted
#define FILES_NAMED 100u     ///< in the run of scenes that were generated elsewhere

typedef struct import_options {
    const char *store;
    int again;
    nm_import_nuplan nuplan;
} import_options;

typedef struct import_run {
    const nm_command *command;
    nm_store *store;
    nm_pipeline *pipeline;
    nm_progress *progress;
    const nm_inputs *inputs;
    int64_t generation; ///< the run that stands for this import where scenes are generated ones; 0 = not begun
    int open;           ///< a transaction is
    double began;
    size_t uncommitted; ///< bytes
    uint64_t files, skipped, scenes, agents, agent_states, already, refusals;
    nm_error *refused; ///< [listed] of the refusals, the first ones
    size_t listed, listed_room;
    double seconds;
} import_run;

// --- writing ---------------------------------------------------------------------------------------------------------

static nm_status begin(import_run *run, nm_error *error) {
    if (run->open) return NM_OK;
    nm_status status = nm_store_begin(run->store, error);
    run->open = status == NM_OK;
    run->began = nm_clock();
    run->uncommitted = 0;
    return status;
}

static nm_status commit(import_run *run, nm_error *error) {
    if (!run->open) return NM_OK;
    run->open = 0;
    return nm_store_commit(run->store, error);
}

/// The run of scenes that were generated elsewhere: named after the files, since what made them is not here to be
/// asked.
static nm_status begin_generation(import_run *run, nm_error *error) {
    if (run->generation) return NM_OK;
    cJSON *parameters = cJSON_CreateObject(), *files = cJSON_AddArrayToObject(parameters, "import");
    for (size_t i = 0; i < run->inputs->count && i < FILES_NAMED; i++) {
        char name[1024]; // a file's name may be any bytes
        nm_text_escape(name, sizeof name, nm_base_name(run->inputs->paths[i]));
        cJSON_AddItemToArray(files, cJSON_CreateString(name));
    }
    nm_json_integer(parameters, "files", run->inputs->count);
    char *text = cJSON_PrintUnformatted(parameters);
    cJSON_Delete(parameters);
    const nm_generation_run row = {.parameters = text, .program = "nearmiss " NM_VERSION};
    const nm_status status = text ? nm_store_begin_generation(run->store, &row, &run->generation, NULL, error)
                                  : NM_ERROR(error, NM_E_MEMORY, "out of memory");
    free(text);
    return status;
}

static nm_status take_extras(import_run *run, int64_t scene, const nm_import_extras *extras, nm_error *error) {
    nm_status status = NM_OK;
    if (extras->is_generated) status = begin_generation(run, error);
    if (status == NM_OK) status = nm_import_extras_put(run->store, scene, extras, run->generation, error);
    return status;
}

static nm_status take_scene(import_run *run, nm_item *item, nm_error *error) {
    int64_t id;
    nm_status status = begin(run, error);
    if (status == NM_OK) status = nm_store_put_packed(run->store, item->packed, &id, error);
    if (status == NM_OK && item->extras) status = take_extras(run, id, item->extras, error);
    if (status == NM_OK) {
        run->scenes++;
        run->agents += item->agents;
        run->agent_states += item->agent_states;
        run->uncommitted += nm_packed_scene_bytes(item->packed);
    } else if (status == NM_E_EXISTS) {
        run->already++;
        status = NM_OK;
    }
    nm_packed_scene_destroy(item->packed);
    nm_import_extras_destroy(item->extras);
    return status;
}

static void take_refusal(import_run *run, const nm_error *error) {
    if (run->refusals++ >= REFUSALS_KEPT) return;
    if (run->listed == run->listed_room) {
        const size_t room = run->listed_room ? 2 * run->listed_room : 16;
        nm_error *moved = realloc(run->refused, room * sizeof *moved);
        if (!moved) return; // it stays counted
        run->refused = moved;
        run->listed_room = room;
    }
    run->refused[run->listed++] = *error;
}

/// A file or archive is over. It counts as done only when everything in it went in: what was refused is looked at again
/// next time, perhaps by a program that understands it.
static nm_status take_end(import_run *run, const nm_item *item, nm_error *error) {
    if (item->kind == NM_ITEM_FILE || item->skipped) {
        run->files += !item->skipped;
        run->skipped += item->skipped;
        nm_progress_add(run->progress, 1);
    }
    if (item->skipped || item->refusals || item->size == 0) return NM_OK;
    nm_status status = begin(run, error);
    if (status != NM_OK) return status;
    return nm_store_source_done(run->store, item->file, item->size, item->hash, item->scenes, error);
}

static nm_status take(import_run *run, nm_item *item, nm_error *error) {
    nm_status status = NM_OK;
    switch (item->kind) {
    case NM_ITEM_SCENE:
        status = take_scene(run, item, error);
        break;
    case NM_ITEM_REFUSED:
        take_refusal(run, &item->error);
        break;
    case NM_ITEM_FILE:
    case NM_ITEM_ARCHIVE:
        status = take_end(run, item, error);
        break;
    case NM_ITEM_END:
        if (run->generation) status = begin(run, error);
        if (run->generation && status == NM_OK) status = nm_store_end_generation(run->store, run->generation, error);
        break;
    case NM_ITEM_NONE:
        break;
    }
    // between files where possible (not in the middle of a large shard), so that a file's scenes and its mark go in
    // together
    const int between = item->kind == NM_ITEM_FILE || item->kind == NM_ITEM_ARCHIVE || item->kind == NM_ITEM_NONE;
    const double open = run->open ? nm_clock() - run->began : 0;
    if (status == NM_OK && (open > (between ? 1 : 4) * TRANSACTION_SECONDS || run->uncommitted > TRANSACTION_BYTES ||
                            item->kind == NM_ITEM_END))
        status = commit(run, error);
    return status;
}

static nm_status import_all(import_run *run, nm_error *error) {
    nm_status status = NM_OK;
    nm_item item = {.kind = NM_ITEM_NONE};
    while (status == NM_OK && item.kind != NM_ITEM_END) {
        if (nm_cli_interrupted()) {
            status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
            break;
        }
        nm_pipeline_next(run->pipeline, 0.1, &item);
        status = take(run, &item, error);
    }
    if (status != NM_OK && run->open) nm_store_rollback(run->store);
    run->open = 0;
    return status;
}

// --- reporting -------------------------------------------------------------------------------------------------------

static int report_json(const import_run *run, const char *store, double bytes) {
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "store", store);
    nm_json_integer(document, "files", run->files);
    nm_json_integer(document, "scenes", run->scenes);
    nm_json_integer(document, "agents", run->agents);
    nm_json_integer(document, "agent_states", run->agent_states);
    nm_json_integer(document, "skipped", run->skipped);
    nm_json_integer(document, "already_there", run->already);
    nm_json_integer(document, "refusals", run->refusals);
    cJSON *refused = cJSON_AddArrayToObject(document, "refused");
    for (size_t i = 0; i < run->listed; i++) {
        const nm_error *error = &run->refused[i];
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "file", error->input);
        if (error->line > 0) nm_json_integer(entry, "line", (uint64_t)error->line);
        if (error->line <= 0 && error->offset >= 0) nm_json_integer(entry, "offset", (uint64_t)error->offset);
        cJSON_AddStringToObject(entry, "message", error->message);
        cJSON_AddItemToArray(refused, entry);
    }
    nm_json_number(document, "megabytes", bytes / 1e6);
    nm_json_number(document, "seconds", run->seconds);
    nm_json_number(document, "mb_per_s", run->seconds > 0 ? bytes / 1e6 / run->seconds : 0);
    return nm_cli_print_json(run->command, document);
}

static int report_table(const import_run *run, double bytes) {
    static const char *const headings[] = {">files",  ">skipped",      ">refused", ">scenes",  ">already there",
                                           ">agents", ">agent states", ">MB",      ">seconds", ">MB/s"};
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    const uint64_t counts[] = {run->files,   run->skipped, run->refusals,    run->scenes,
                               run->already, run->agents,  run->agent_states};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        nm_table_cell(table, "%llu", (unsigned long long)counts[i]);
    nm_table_cell(table, "%.1f", bytes / 1e6);
    nm_table_cell(table, "%.2f", run->seconds);
    nm_table_cell(table, "%.1f", run->seconds > 0 ? bytes / 1e6 / run->seconds : 0);
    nm_table_print(table, stdout);
    nm_table_destroy(table);
    return nm_cli_finish(run->command);
}

static int report(import_run *run, const import_options *options, const nm_common *common, double bytes,
                  nm_status status, nm_error *error) {
    for (size_t i = 0; i < run->listed; i++) nm_cli_fail(run->command, &run->refused[i]);
    if (run->refusals > run->listed)
        fprintf(stderr, "nearmiss import: %llu more were refused\n", (unsigned long long)(run->refusals - run->listed));
    if (status == NM_E_CANCELLED)
        NM_ERROR(error, status, "interrupted: %llu scenes had been read; the same command goes on where this stopped",
                 (unsigned long long)run->scenes);
    if (status != NM_OK) return nm_cli_fail(run->command, error);
    int result = NM_EXIT_OK;
    if (common->json)
        result = report_json(run, options->store, bytes);
    else if (!common->quiet)
        result = report_table(run, bytes);
    return run->refusals ? NM_EXIT_FAILED : result;
}

// --- the command -----------------------------------------------------------------------------------------------------

/// The walking thread asks through a connection of its own. Without one nothing is skipped, and scenes that are there
/// already are recognised one by one.
static int known_file(void *context, const char *file, uint64_t size, uint64_t hash, uint64_t *scenes) {
    return nm_store_source_known(context, file, size, hash, scenes);
}

static int import_files(const nm_command *command, const import_options *options, const nm_common *common,
                        const nm_inputs *inputs) {
    nm_error error;
    nm_error_clear(&error);
    import_run run = {.command = command, .inputs = inputs};
    nm_store *lookup = NULL;
    if (nm_store_open(options->store, NM_STORE_CREATE, &run.store, &error) != NM_OK)
        return nm_cli_fail(command, &error);
    nm_store_set_interrupt(run.store, nm_cli_stop, NULL);
    if (!options->again) (void)nm_store_open(options->store, NM_STORE_READ, &lookup, NULL);
    const double start = nm_clock();
    double bytes = 0;
    nm_status status = NM_E_MEMORY;
    run.pipeline = nm_pipeline_start((const char *const *)inputs->paths, inputs->count, (int)common->threads,
                                     &options->nuplan, lookup ? known_file : NULL, lookup);
    if (run.pipeline) {
        const int silent = common->quiet || common->json;
        run.progress = nm_progress_start("import", "files", inputs->archives ? 0 : inputs->count, silent);
        status = import_all(&run, &error);
        nm_progress_finish(run.progress);
        bytes = (double)nm_pipeline_bytes(run.pipeline);
        const uint64_t lost = nm_pipeline_lost(run.pipeline);
        if (status == NM_OK && lost > 0)
            status = NM_ERROR(&error, NM_E_MEMORY, "out of memory: %llu refusals could not even be named",
                              (unsigned long long)lost);
        nm_pipeline_destroy(run.pipeline);
    } else {
        NM_ERROR(&error, status, "no memory or threads to import with");
    }
    // the writer closes last: it copies the log into the file
    nm_store_close(lookup);
    nm_store_close(run.store);
    run.seconds = nm_clock() - start;
    const int result = report(&run, options, common, bytes, status, &error);
    free(run.refused);
    return result;
}

/// Fails, naming each, when not one of the files is there: a mistyped name must not leave an empty store behind.
static int all_missing(const nm_command *command, const nm_inputs *inputs) {
    nm_error error;
    for (size_t i = 0; i < inputs->count; i++)
        if (access(inputs->paths[i], F_OK) == 0) return 0;
    for (size_t i = 0; i < inputs->count; i++) {
        NM_ERROR_AT(&error, NM_E_IO, inputs->paths[i], 0, -1, "cannot open: No such file or directory");
        nm_cli_fail(command, &error);
    }
    return 1;
}

/// The option, else the variable that nuPlan's own tools read.
static void find_maps(nm_import_nuplan *nuplan) {
    const char *root = getenv("NUPLAN_MAPS_ROOT");
    if (nuplan->maps && strcmp(nuplan->maps, "none") == 0) {
        nuplan->without_map = 1;
        nuplan->maps = NULL;
    } else if (!nuplan->maps && root && root[0]) {
        nuplan->maps = root;
    }
}

static int run_import(const nm_command *command, int argc, char **argv) {
    import_options options = {.nuplan = nm_import_nuplan_default()};
    nm_import_nuplan *nuplan = &options.nuplan;
    nm_common common = {0};
    const nm_option table[] = {
        {"store", NM_OPTION_TEXT, &options.store, "S.db", "store to add to; made when it is missing", 0, 0},
        {"again", NM_OPTION_FLAG, &options.again, NULL,
         "read files again that went in before (nothing is stored twice)", 0, 0},
        {"maps", NM_OPTION_TEXT, &nuplan->maps, "DIR|F.gpkg|none",
         "nuPlan logs: where their maps are (default: $NUPLAN_MAPS_ROOT, else \"maps\" beside or above the log)", 0, 0},
        {"nuplan-types", NM_OPTION_TEXT, &nuplan->types, "A,B", "nuPlan logs: types of tags that make scenes (all)", 0,
         0},
        {"nuplan-spacing", NM_OPTION_REAL, &nuplan->spacing, "S",
         "nuPlan logs: s between tags of a type that make scenes (15)", 0, 1e6},
        {"nuplan-windows", NM_OPTION_REAL, &nuplan->windows, "S",
         "nuPlan logs: scenes of S s one after the other instead", 1, 3600},
        {"nuplan-radius", NM_OPTION_REAL, &nuplan->radius, "M", "nuPlan logs: m of map around what the ego drove (300)",
         1, 1e6},
    };
    int count;
    int status = nm_cli_parse(command, table, sizeof table / sizeof *table, &common, argc, argv, 1, -1, &count);
    if (status >= 0) return status;
    if (!options.store) return nm_cli_usage(command, "--store S.db is missing");
    find_maps(nuplan);
    nm_inputs inputs = {0};
    nm_error error;
    nm_error_clear(&error);
    for (int i = 0; i < count; i++) {
        if (nm_inputs_add(&inputs, argv[i], &error) == NM_OK) continue;
        nm_inputs_release(&inputs);
        return nm_cli_fail(command, &error);
    }
    if (inputs.count == 0) {
        NM_ERROR(&error, NM_E_NOT_FOUND, "nothing to import: no file of a known format in %s", argv[0]);
        status = nm_cli_fail(command, &error);
    } else if (all_missing(command, &inputs)) {
        status = NM_EXIT_FAILED;
    } else {
        status = import_files(command, &options, &common, &inputs);
    }
    nm_inputs_release(&inputs);
    return status;
}

const nm_command nm_command_import = {
    .name = "import",
    .summary = "Reads scenes (WOMD, nuPlan, CommonRoad, OpenSCENARIO, OSI, nearmiss, CSV: docs/formats.md) and road "
               "networks (OpenDRIVE, nuPlan maps), in archives and folders, too, into a store.",
    .usage = "import FILE|FOLDER|BASE@SHARDS... --store S.db [--maps DIR] [--again]",
    .example = "nearmiss import ngsim-train.tar.xz --store scenes.db",
    .run = run_import,
};
