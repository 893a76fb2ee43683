/// `nearmiss mine`: finds and labels the dangerous moments of the scenes in a store.
///
/// Scenes are taken in order of their ids, a batch at a time: the threads read and search them, each through a store
/// object of its own, then this thread writes the batch in one transaction. So what ends up in the store does not
/// depend on the number of threads, memory is bounded by the batch, and an interrupted run keeps whole batches.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "scenarios/store.h"
#include "tools/cli.h"
#include "tools/cmd_event.h"
#include "tools/commands.h"

#define BATCH_PER_THREAD 32

typedef struct mine_options {
    const char *store;
    int again, list;
    nm_text_list kinds, params;
    nm_detect_params detect;
    char *params_json; // stored with what was found
} mine_options;

/// What one scene gave. Plain values: the arenas they came from are reused.
typedef struct mine_result {
    int64_t scene;
    nm_event *events; // own block
    size_t count;
    nm_scene_criticality criticality; // arrays NULL
    float feature[NM_FEATURE_COUNT];
    nm_status status;
    nm_error error;
} mine_result;

typedef struct mine_worker {
    nm_store *store;
    nm_arena *arena;
} mine_worker;

typedef struct mine_tally {
    uint64_t events, scenes;
    float severity; // of the worst
    int64_t worst;  // its scene
} mine_tally;

typedef struct mine_job {
    const mine_options *options;
    nm_store *store; // the one that writes
    nm_thread_pool *pool;
    mine_worker *workers;
    int worker_count;
    mine_result *results;
    size_t batch;
    nm_progress *progress;
    mine_tally tally[NM_KIND_COUNT];
    uint64_t scenes, failed, events;
} mine_job;

// --- options ---------------------------------------------------------------------------------------------------------

static int apply_kinds(const nm_command *command, mine_options *options) {
    if (options->kinds.count > 0) options->detect.enabled = 0;
    for (size_t i = 0; i < options->kinds.count; i++) {
        nm_kind kind;
        if (!nm_kind_from_name(options->kinds.items[i], &kind)) {
            const char *names[NM_KIND_COUNT];
            for (int j = 0; j < NM_KIND_COUNT; j++) names[j] = nm_kind_name((nm_kind)j);
            const char *near = nm_cli_nearest(options->kinds.items[i], names, NM_KIND_COUNT);
            return nm_cli_usage(command, "there is no kind '%s'%s%s%s; --list-kinds lists them",
                                options->kinds.items[i], near ? "; did you mean '" : "", near ? near : "",
                                near ? "'?" : "");
        }
        options->detect.enabled |= 1u << kind;
    }
    return -1;
}

static int apply_params(const nm_command *command, mine_options *options) {
    for (size_t i = 0; i < options->params.count; i++) {
        char name[96];
        const char *text = options->params.items[i];
        const char *equals = strchr(text, '=');
        double value = 0.0;
        const int read = equals && nm_decimal_parse(equals + 1, strlen(equals + 1), &value);
        if (!read || (size_t)(equals - text) >= sizeof name)
            return nm_cli_usage(command, "--param wants KIND.NAME=NUMBER, such as cut_in.max_gap=20, not '%s'", text);
        memcpy(name, text, (size_t)(equals - text));
        name[equals - text] = '\0';
        nm_error error;
        nm_error_clear(&error);
        if (nm_detect_params_set(&options->detect, name, value, &error) != NM_OK)
            return nm_cli_usage(command, "%s", error.message);
    }
    return -1;
}

static void json_float(cJSON *object, const char *name, float value) {
    nm_json_number(object, name, nm_decimal_of_float(value));
}

// --- the list of kinds -----------------------------------------------------------------------------------------------

static int list_json(const nm_command *command, const nm_detect_params *params) {
    cJSON *document = cJSON_CreateObject(), *kinds = cJSON_AddArrayToObject(document, "kinds");
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        const nm_detector_info *info = nm_detector((nm_kind)i);
        cJSON *kind = cJSON_CreateObject(), *list = cJSON_CreateArray();
        cJSON_AddStringToObject(kind, "kind", info->name);
        cJSON_AddStringToObject(kind, "definition", info->definition);
        for (size_t j = 0; j < info->param_count; j++) {
            const nm_detector_param *param = &info->params[j];
            cJSON *entry = cJSON_CreateObject();
            cJSON_AddStringToObject(entry, "name", param->name);
            cJSON_AddStringToObject(entry, "unit", param->unit);
            json_float(entry, "value", params->values[i][j]);
            json_float(entry, "default", param->value);
            json_float(entry, "min", param->min);
            json_float(entry, "max", param->max);
            cJSON_AddStringToObject(entry, "meaning", param->meaning);
            cJSON_AddItemToArray(list, entry);
        }
        cJSON_AddItemToObject(kind, "params", list);
        cJSON_AddItemToArray(kinds, kind);
    }
    return nm_cli_print_json(command, document);
}

static int list_kinds(const nm_command *command, const nm_detect_params *params, int json) {
    if (json) return list_json(command, params);
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        const nm_detector_info *info = nm_detector((nm_kind)i);
        printf("%s%s\n    %s\n", i ? "\n" : "", info->name, info->definition);
        for (size_t j = 0; j < info->param_count; j++) {
            const nm_detector_param *param = &info->params[j];
            printf("    %-16s %6.4g %-6s [%g .. %g]  %s\n", param->name, (double)params->values[i][j], param->unit,
                   (double)param->min, (double)param->max, param->meaning);
        }
    }
    return nm_cli_finish(command);
}

// --- one scene -------------------------------------------------------------------------------------------------------

static nm_status keep(mine_result *result, const nm_event *events, size_t count, nm_error *error) {
    result->count = count;
    if (count == 0) return NM_OK;
    result->events = malloc(count * sizeof *events);
    if (!result->events) return NM_ERROR(error, NM_E_MEMORY, "no memory for %zu events", count);
    memcpy(result->events, events, count * sizeof *events);
    return NM_OK;
}

static nm_status mine_scene(const mine_options *options, mine_worker *worker, mine_result *result) {
    const nm_scene *scene = NULL;
    nm_event *events = NULL;
    size_t count = 0;
    nm_status status = nm_store_get_scene(worker->store, result->scene, &scene, &result->error);
    if (status != NM_OK) return status;
    status = nm_detect(scene, &options->detect, worker->arena, &events, &count, &result->criticality, &result->error);
    if (status == NM_OK) {
        nm_scene_feature(scene, &result->criticality, events, count, result->feature);
        status = keep(result, events, count, &result->error);
    }
    result->criticality.pairs = NULL;
    result->criticality.collisions = NULL;
    nm_arena_reset(worker->arena);
    nm_scene_destroy(scene);
    return status;
}

/// A scene that can not be read or searched does not stop the others: the status stays in its slot.
static nm_status mine_task(void *context, size_t index, int worker, nm_error *error) {
    mine_job *job = context;
    mine_result *result = &job->results[index];
    if (nm_cli_interrupted()) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    result->status = mine_scene(job->options, &job->workers[worker], result);
    nm_progress_add(job->progress, 1);
    return NM_OK;
}

// --- batches ---------------------------------------------------------------------------------------------------------

static void count_events(mine_job *job, const mine_result *result) {
    int seen[NM_KIND_COUNT] = {0};
    for (size_t i = 0; i < result->count; i++) {
        const nm_event *event = &result->events[i];
        mine_tally *tally = &job->tally[event->kind];
        if (tally->events++ == 0 || event->severity > tally->severity) {
            tally->severity = event->severity;
            tally->worst = result->scene;
        }
        tally->scenes += !seen[event->kind];
        seen[event->kind] = 1;
    }
    job->events += result->count;
    job->scenes++;
}

static nm_status write_batch(const nm_command *command, mine_job *job, size_t count, nm_error *error) {
    nm_status status = nm_store_begin(job->store, error);
    for (size_t i = 0; i < count && status == NM_OK; i++) {
        mine_result *result = &job->results[i];
        if (result->status != NM_OK) {
            char message[1024];
            nm_error_format(&result->error, message, sizeof message);
            nm_error_clear(error);
            NM_ERROR(error, result->status, "scene %lld: %s", (long long)result->scene, message);
            nm_cli_fail(command, error);
            nm_error_clear(error);
            job->failed++;
            continue;
        }
        status = nm_store_put_events(job->store, result->scene, result->events, result->count, &result->criticality,
                                     result->feature, job->options->params_json, error);
        if (status == NM_OK) count_events(job, result);
    }
    if (status == NM_OK) return nm_store_commit(job->store, error);
    nm_store_rollback(job->store);
    return status;
}

static nm_status mine_all(const nm_command *command, mine_job *job, const int64_t *ids, size_t count, nm_error *error) {
    nm_status status = NM_OK;
    for (size_t done = 0; done < count && status == NM_OK; done += job->batch) {
        size_t batch = count - done < job->batch ? count - done : job->batch;
        memset(job->results, 0, batch * sizeof *job->results);
        for (size_t i = 0; i < batch; i++) job->results[i].scene = ids[done + i];
        status = nm_thread_pool_for(job->pool, batch, 1, mine_task, job, error);
        if (status == NM_OK) status = write_batch(command, job, batch, error);
        for (size_t i = 0; i < batch; i++) free(job->results[i].events);
    }
    return status;
}

static nm_status open_job(const mine_options *options, const nm_common *common, mine_job *job, nm_error *error) {
    nm_status status = nm_store_open(options->store, NM_STORE_WRITE, &job->store, error);
    if (status == NM_OK) nm_store_set_interrupt(job->store, nm_cli_stop, NULL);
    if (status == NM_OK) status = nm_thread_pool_create((int)common->threads, &job->pool, error);
    if (status != NM_OK) return status;
    job->worker_count = nm_thread_pool_threads(job->pool);
    job->batch = (size_t)job->worker_count * BATCH_PER_THREAD;
    job->workers = calloc((size_t)job->worker_count, sizeof *job->workers);
    job->results = calloc(job->batch, sizeof *job->results);
    if (!job->workers || !job->results) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    for (int i = 0; i < job->worker_count; i++) {
        job->workers[i].arena = nm_arena_create(0);
        if (!job->workers[i].arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
        status = nm_store_open(options->store, NM_STORE_READ, &job->workers[i].store, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

static void close_job(mine_job *job) {
    for (int i = 0; job->workers && i < job->worker_count; i++) {
        nm_store_close(job->workers[i].store);
        nm_arena_destroy(job->workers[i].arena);
    }
    nm_thread_pool_destroy(job->pool);
    nm_store_close(job->store);
    free(job->workers);
    free(job->results);
}

// --- output ----------------------------------------------------------------------------------------------------------

static int print_json(const nm_command *command, const mine_job *job, uint64_t skipped, double seconds) {
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "store", job->options->store);
    nm_json_integer(document, "scenes_mined", job->scenes);
    nm_json_integer(document, "scenes_mined_before", skipped);
    nm_json_integer(document, "scenes_failed", job->failed);
    nm_json_integer(document, "events", job->events);
    nm_json_number(document, "seconds", seconds);
    cJSON *kinds = cJSON_AddArrayToObject(document, "kinds");
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        if (!((job->options->detect.enabled >> i) & 1u)) continue;
        const mine_tally *tally = &job->tally[i];
        cJSON *kind = cJSON_CreateObject();
        cJSON_AddStringToObject(kind, "kind", nm_kind_name((nm_kind)i));
        nm_json_integer(kind, "events", tally->events);
        nm_json_integer(kind, "scenes", tally->scenes);
        json_float(kind, "max_severity", tally->events ? tally->severity : NAN);
        if (tally->events)
            nm_json_integer(kind, "worst_scene", (uint64_t)tally->worst);
        else
            cJSON_AddNullToObject(kind, "worst_scene");
        cJSON_AddItemToArray(kinds, kind);
    }
    cJSON_AddItemToObject(document, "parameters", nm_detect_params_json(&job->options->detect));
    return nm_cli_print_json(command, document);
}

static int print_table(const nm_command *command, const mine_job *job, uint64_t skipped, double seconds) {
    const char *const headings[] = {"kind", ">events", ">scenes", ">worst severity", ">in scene"};
    nm_table *table = nm_table_create(headings, 5);
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        const mine_tally *tally = &job->tally[i];
        if (!((job->options->detect.enabled >> i) & 1u)) continue;
        nm_table_cell(table, "%s", nm_kind_name((nm_kind)i));
        nm_table_cell(table, "%llu", (unsigned long long)tally->events);
        nm_table_cell(table, "%llu", (unsigned long long)tally->scenes);
        if (tally->events) {
            nm_table_cell(table, "%.2f", (double)tally->severity);
            nm_table_cell(table, "%lld", (long long)tally->worst);
        } else {
            nm_table_cell(table, "-");
            nm_table_cell(table, "-");
        }
    }
    if (job->scenes > 0) nm_table_print(table, stdout);
    nm_table_destroy(table);
    printf("%s%llu scenes mined in %.1f s, %llu events", job->scenes > 0 ? "\n" : "", (unsigned long long)job->scenes,
           seconds, (unsigned long long)job->events);
    if (skipped)
        printf("; %llu were mined before with these parameters (--again mines them anew)", (unsigned long long)skipped);
    printf(".\n");
    return nm_cli_finish(command);
}

// --- the command -----------------------------------------------------------------------------------------------------

static int mine(const nm_command *command, const mine_options *options, const nm_common *common) {
    mine_job job = {.options = options};
    nm_error error;
    nm_error_clear(&error);
    double start = nm_clock();
    int64_t *ids = NULL;
    size_t count = 0, all = 0;
    nm_arena *arena = nm_arena_create(0);
    nm_status status = arena ? open_job(options, common, &job, &error) : NM_ERROR(&error, NM_E_MEMORY, "out of memory");
    if (status == NM_OK) status = nm_store_scene_ids(job.store, -1, arena, &ids, &all, &error);
    count = all;
    if (status == NM_OK && !options->again)
        status = nm_store_unmined_ids(job.store, options->params_json, arena, &ids, &count, &error);
    if (status == NM_OK) {
        job.progress = nm_progress_start("mine", "scenes", count, common->quiet || common->json);
        status = mine_all(command, &job, ids, count, &error);
        nm_progress_finish(job.progress);
    }
    int exit_status = status == NM_OK ? NM_EXIT_OK : nm_cli_fail(command, &error);
    if (status == NM_OK) {
        double seconds = nm_clock() - start;
        exit_status = common->json ? print_json(command, &job, all - count, seconds)
                                   : print_table(command, &job, all - count, seconds);
        if (job.failed > 0) exit_status = NM_EXIT_FAILED;
    }
    close_job(&job);
    nm_arena_destroy(arena);
    return exit_status;
}

static int run(const nm_command *command, int argc, char **argv) {
    mine_options options = {.detect = nm_detect_params_default()};
    nm_common common = {0};
    int positional;
    const nm_option list[] = {
        {"store", NM_OPTION_TEXT, &options.store, "S.db", "the store whose scenes are mined", 0, 0},
        {"kind", NM_OPTION_LIST, &options.kinds, "K", "look for this kind only; may be repeated; default all", 0, 0},
        {"param", NM_OPTION_LIST, &options.params, "K.P=V",
         "set a parameter, such as cut_in.max_gap=20; may be repeated", 0, 0},
        {"again", NM_OPTION_FLAG, &options.again, NULL, "mine scenes anew that were mined with these parameters", 0, 0},
        {"list-kinds", NM_OPTION_FLAG, &options.list, NULL, "print kinds and parameters, and end", 0, 0},
    };
    int status = nm_cli_parse(command, list, sizeof list / sizeof *list, &common, argc, argv, 0, 0, &positional);
    if (status < 0) status = apply_kinds(command, &options);
    if (status < 0) status = apply_params(command, &options);
    if (status >= 0) return status;
    if (options.list) return list_kinds(command, &options.detect, common.json);
    if (!options.store) return nm_cli_usage(command, "--store S.db is missing");
    cJSON *params = nm_detect_params_json(&options.detect);
    options.params_json = cJSON_PrintUnformatted(params);
    cJSON_Delete(params);
    if (!options.params_json) {
        nm_error error;
        nm_error_clear(&error);
        NM_ERROR(&error, NM_E_MEMORY, "out of memory");
        return nm_cli_fail(command, &error);
    }
    status = mine(command, &options, &common);
    cJSON_free(options.params_json);
    return status;
}

const nm_command nm_command_mine = {
    .name = "mine",
    .summary = "Finds and labels the dangerous moments of the scenes in a store.",
    .usage = "mine --store S.db [--kind K]... [--param K.P=V]... [--again] | --list-kinds",
    .example = "nearmiss mine --store S.db --param cut_in.max_gap=20",
    .run = run,
};
