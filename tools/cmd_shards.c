/// `nearmiss shards`: writes scenes of a store as training shards.
///
/// Scenes are taken in order of their ids, a batch at a time: the threads read them, each through a store object of its
/// own, then this thread writes the batch. So the files do not depend on the number of threads, and memory is bounded
/// by the batch.
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/decimal.h"
#include "dataset/shards.h"
#include "dataset/tfrecord.h"
#include "scenarios/store.h"
#include "tools/cli.h"
#include "tools/scene_ids.h"

#define BATCH_PER_THREAD 16

typedef struct shards_options {
    const char *store, *where, *out, *name;
    int64_t megabytes;
    nm_text_list weight_texts;
    float weights[NM_KIND_COUNT];
} shards_options;

typedef struct fetched {
    int64_t id;
    const nm_scene *scene; // NULL: it can not be read
    nm_shard_label label;
    nm_status status;
    nm_error error;
} fetched;

typedef struct worker {
    nm_store *store;
    nm_arena *arena;
} worker;

typedef struct shards_job {
    const shards_options *options;
    char *base; // DIR/NAME
    int made_folder;
    nm_scene_ids list;
    nm_thread_pool *pool;
    worker *workers;
    int worker_count;
    fetched *results;
    size_t batch;
    nm_progress *progress;
    nm_shard_writer *writer;
    uint64_t failed;
    nm_shard_totals totals;
} shards_job;

// --- options ---------------------------------------------------------------------------------------------------------

/// "KIND=W". Returns -1 to go on.
static int parse_weight(const nm_command *command, const char *text, shards_options *options) {
    const char *equals = strchr(text, '=');
    char name[64];
    nm_kind kind;
    double weight;
    const size_t length = equals ? (size_t)(equals - text) : 0;
    if (!equals || length >= sizeof name)
        return nm_cli_usage(command, "--weight wants KIND=W, such as cut_in=4, not '%s'", text);
    memcpy(name, text, length);
    name[length] = '\0';
    if (!nm_kind_from_name(name, &kind)) {
        const char *names[NM_KIND_COUNT];
        for (int i = 0; i < NM_KIND_COUNT; i++) names[i] = nm_kind_name((nm_kind)i);
        const char *near = nm_cli_nearest(name, names, NM_KIND_COUNT);
        return nm_cli_usage(command, "there is no kind '%s'%s%s%s", name, near ? "; did you mean '" : "",
                            near ? near : "; nearmiss mine --list-kinds lists them", near ? "'?" : "");
    }
    if (!nm_decimal_parse(equals + 1, strlen(equals + 1), &weight) || !(weight >= 0 && weight <= 1e6))
        return nm_cli_usage(command, "the weight of %s must be 0 to 1e6, not '%s'", name, equals + 1);
    options->weights[kind] = (float)weight;
    return -1;
}

static int check_options(const nm_command *command, shards_options *options) {
    if (!options->store) return nm_cli_usage(command, "--store S.db is missing");
    if (!options->out || !options->out[0]) return nm_cli_usage(command, "--out DIR is missing");
    if (!options->name[0] || strchr(options->name, '/'))
        return nm_cli_usage(command, "--name wants the beginning of a file's name, not '%s'", options->name);
    for (int i = 0; i < NM_KIND_COUNT; i++) options->weights[i] = 1.0f;
    for (size_t i = 0; i < options->weight_texts.count; i++) {
        const int status = parse_weight(command, options->weight_texts.items[i], options);
        if (status >= 0) return status;
    }
    return -1;
}

// --- which scenes ----------------------------------------------------------------------------------------------------

static nm_status choose_scenes(shards_job *job, nm_error *error) {
    const shards_options *options = job->options;
    return nm_scene_ids_choose(options->store, NULL, -1, options->where, 0, &job->list, error);
}

// --- reading and writing ---------------------------------------------------------------------------------------------

/// Variants of a scene belong to its group, so that none is tested on what another was trained on.
static nm_status fetch(const shards_job *job, worker *w, fetched *result) {
    nm_event *events = NULL;
    size_t count = 0;
    nm_status status = nm_store_get_scene(w->store, result->id, &result->scene, &result->error);
    if (status == NM_OK) status = nm_store_get_events(w->store, result->id, w->arena, &events, &count, &result->error);
    if (status == NM_OK) {
        const uint64_t parent = result->scene->provenance.parent;
        result->label = (nm_shard_label){
            .source = result->id, .group = parent ? parent : result->scene->hash, .weight = count ? 0.0f : 1.0f};
        for (size_t i = 0; i < count; i++) {
            result->label.tags |= 1u << events[i].kind;
            result->label.weight = fmaxf(result->label.weight, job->options->weights[events[i].kind]);
        }
    }
    nm_arena_reset(w->arena);
    return status;
}
_Static_assert(NM_KIND_COUNT <= 32, "a kind is a bit of a label's tags");

/// A scene that can not be read does not stop the others: the status stays in its slot.
static nm_status fetch_task(void *context, size_t index, int number, nm_error *error) {
    shards_job *job = context;
    if (nm_cli_interrupted()) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    job->results[index].status = fetch(job, &job->workers[number], &job->results[index]);
    return NM_OK;
}

static nm_status write_batch(const nm_command *command, shards_job *job, size_t count, nm_error *error) {
    nm_status status = NM_OK;
    for (size_t i = 0; i < count && status == NM_OK; i++) {
        fetched *result = &job->results[i];
        if (nm_cli_interrupted()) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        if (result->status != NM_OK) {
            nm_cli_fail(command, &result->error);
            job->failed++;
        } else {
            status = nm_shard_writer_add(job->writer, result->scene, &result->label, error);
        }
        nm_progress_add(job->progress, 1);
    }
    return status;
}

static nm_status write_all(const nm_command *command, shards_job *job, nm_error *error) {
    nm_status status = NM_OK;
    for (size_t done = 0; done < job->list.count && status == NM_OK; done += job->batch) {
        const size_t left = job->list.count - done, batch = left < job->batch ? left : job->batch;
        memset(job->results, 0, batch * sizeof *job->results);
        for (size_t i = 0; i < batch; i++) job->results[i].id = job->list.ids[done + i];
        status = nm_thread_pool_for(job->pool, batch, 1, fetch_task, job, error);
        if (status == NM_OK) status = write_batch(command, job, batch, error);
        for (size_t i = 0; i < batch; i++) nm_scene_destroy(job->results[i].scene);
    }
    return status;
}

static nm_status open_job(shards_job *job, const nm_common *common, nm_error *error) {
    const shards_options *options = job->options;
    nm_status status = nm_thread_pool_create((int)common->threads, &job->pool, error);
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
    job->made_folder = mkdir(options->out, 0777) == 0;
    if (!job->made_folder && errno != EEXIST)
        return NM_ERROR_AT(error, NM_E_IO, options->out, 0, -1, "can not be made: %s", strerror(errno));
    const size_t size = strlen(options->out) + strlen(options->name) + 2;
    job->base = malloc(size);
    if (!job->base) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    snprintf(job->base, size, "%s/%s", options->out, options->name);
    return nm_shard_writer_create(job->base, (uint64_t)options->megabytes * 1000000u, &job->writer, error);
}

static void close_job(shards_job *job, int good) {
    nm_shard_writer_abandon(job->writer);
    for (int i = 0; job->workers && i < job->worker_count; i++) {
        nm_store_close(job->workers[i].store);
        nm_arena_destroy(job->workers[i].arena);
    }
    nm_thread_pool_destroy(job->pool);
    if (job->made_folder && !good) rmdir(job->options->out);
    free(job->workers);
    free(job->results);
    nm_scene_ids_release(&job->list);
    free(job->base);
}

// --- output ----------------------------------------------------------------------------------------------------------

static int print_json(const nm_command *command, const shards_job *job, double seconds) {
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "store", job->options->store);
    cJSON_AddStringToObject(document, "base", job->base);
    nm_json_integer(document, "scenes", job->totals.scenes);
    nm_json_integer(document, "scenes_failed", job->failed);
    nm_json_integer(document, "maps", job->totals.maps);
    nm_json_integer(document, "shards", job->totals.shards);
    nm_json_integer(document, "bytes", job->totals.bytes);
    nm_json_number(document, "seconds", seconds);
    const size_t size = strlen(job->base) + 64;
    char *name = malloc(size);
    cJSON *files = cJSON_AddArrayToObject(document, "files");
    for (uint32_t i = 0; name && i < job->totals.shards; i++) {
        nm_shards_name(job->base, strlen(job->base), i, job->totals.shards, name, size);
        strcat(name, NM_SHARD_ENDING);
        cJSON *text = cJSON_CreateString(name);
        if (!cJSON_AddItemToArray(files, text)) cJSON_Delete(text);
    }
    free(name);
    return nm_cli_print_json(command, document);
}

static int print_text(const nm_command *command, const shards_job *job, double seconds) {
    printf("%llu scenes in %u shards, %.1f MB, in %.1f s: %s-*%s\n", (unsigned long long)job->totals.scenes,
           job->totals.shards, (double)job->totals.bytes / 1e6, seconds, job->base, NM_SHARD_ENDING);
    return nm_cli_finish(command);
}

// --- the command -----------------------------------------------------------------------------------------------------

static int shards(const nm_command *command, const shards_options *options, const nm_common *common) {
    shards_job job = {.options = options};
    nm_error error;
    nm_error_clear(&error);
    const double start = nm_clock();
    nm_status status = choose_scenes(&job, &error);
    if (status == NM_E_ARGUMENT) {
        nm_cli_fail(command, &error);
        close_job(&job, 0);
        return NM_EXIT_USAGE;
    }
    if (status == NM_OK) status = open_job(&job, common, &error);
    if (status == NM_OK) {
        job.progress = nm_progress_start("shards", "scenes", job.list.count, common->quiet || common->json);
        status = write_all(command, &job, &error);
        nm_progress_finish(job.progress);
    }
    if (status == NM_OK) {
        status = nm_shard_writer_finish(job.writer, &job.totals, &error);
        job.writer = NULL;
    }
    int result = status == NM_OK ? NM_EXIT_OK : nm_cli_fail(command, &error);
    if (status == NM_OK) {
        const double seconds = nm_clock() - start;
        result = common->json ? print_json(command, &job, seconds) : print_text(command, &job, seconds);
        if (job.failed > 0) result = NM_EXIT_FAILED;
    }
    close_job(&job, status == NM_OK);
    return result;
}

static int run(const nm_command *command, int argc, char **argv) {
    shards_options options = {.name = "scenes", .megabytes = 256};
    nm_common common = {0};
    int positional;
    const nm_option list[] = {
        {"store", NM_OPTION_TEXT, &options.store, "S.db", "the store whose scenes are written", 0, 0},
        {"out", NM_OPTION_TEXT, &options.out, "DIR", "folder of the shards; made when it is missing", 0, 0},
        {"where", NM_OPTION_TEXT, &options.where, "SQL",
         "only scenes with an event for which this holds, over the columns of the view events", 0, 0},
        {"shard-mb", NM_OPTION_INTEGER, &options.megabytes, "N", "size of a shard in MB at most (default 256)", 1, 1e6},
        {"name", NM_OPTION_TEXT, &options.name, "NAME", "how the files' names begin (default scenes)", 0, 0},
        {"weight", NM_OPTION_LIST, &options.weight_texts, "KIND=W",
         "draw scenes with such an event W times as often; may be repeated; default 1", 0, 0},
    };
    int status = nm_cli_parse(command, list, sizeof list / sizeof *list, &common, argc, argv, 0, 0, &positional);
    if (status < 0) status = check_options(command, &options);
    return status >= 0 ? status : shards(command, &options, &common);
}

const nm_command nm_command_shards = {
    .name = "shards",
    .summary = "Writes scenes of a store as training shards.",
    .usage = "shards --store S.db --out DIR [--where SQL] [--shard-mb N] [--name NAME] [--weight KIND=W]...",
    .example = "nearmiss shards --store scenes.db --where \"severity > 0.5\" --out training --weight cut_in=4",
    .run = run,
};
