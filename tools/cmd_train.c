/// `nearmiss train`: trains a denoising network as a configuration file says, and goes on where an earlier call ended.
///
/// DIR holds configuration.json (what the run was begun with), state.safetensors or state2.safetensors (values,
/// moments, average: in files of at most shard_mb; see train_state.h), weights.safetensors (the average with its
/// recipe: what other commands load), log.csv and validation.csv. A run that is killed at any moment goes on from its
/// last checkpoint and gives the same numbers as one that was never stopped.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/whole_file.h"
#include "tools/cli.h"
#include "tools/train_config.h"
#include "tools/train_energy.h"
#include "tools/train_log.h"
#include "tools/train_start.h"
#include "tools/train_state.h"

typedef struct train_options {
    const char *config, *out, *energy;
    double minutes;
    int64_t steps;
    int list;
} train_options;

typedef struct train_run {
    const nm_command *command;
    const nm_common *common;
    train_options options;
    nm_train_config config;
    nm_train_data data, validation;
    nm_thread_pool *pool;
    nm_backend *backend;
    nm_model *model;
    nm_trainer *trainer;
    nm_train_log *log;
    nm_progress *progress;
    double started, saved; ///< nm_clock
    uint64_t first_step;   ///< done before this call
    int slot;              ///< of the last checkpoint, see train_state.h; -1 = none
    double scenes, flops, seconds, loss, validation_loss;
} train_run;

static void path_in(const train_run *run, const char *name, char path[4096]) {
    snprintf(path, 4096, "%s/%s", run->options.out, name);
}

// ---------------------------------------------------------------------------------------------------------------------
// The folder of a run

/// Keys that may change from slice to slice: they do not change what is computed.
static void forget_free_keys(cJSON *document) {
    cJSON_DeleteItemFromObjectCaseSensitive(document, "checkpoint_seconds");
    cJSON_DeleteItemFromObjectCaseSensitive(document, "shard_mb");
    cJSON_DeleteItemFromObjectCaseSensitive(document, "validation");
    cJSON_DeleteItemFromObjectCaseSensitive(document, "name");
}

static nm_status refuse_other(const cJSON *begun, const cJSON *now, const char *path, nm_error *error) {
    const cJSON *item;
    const char *name = "";
    cJSON_ArrayForEach(item, now) {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(begun, item->string);
        if (!other || !cJSON_Compare(other, item, 1)) name = item->string;
    }
    cJSON_ArrayForEach(item, begun) if (!cJSON_GetObjectItemCaseSensitive(now, item->string)) name = item->string;
    return NM_ERROR(error, NM_E_ARGUMENT,
                    "%s: this run was begun with another '%s'; train into another folder, or with that configuration",
                    path, name);
}

static nm_status compare_config(const train_run *run, const char *path, nm_error *error) {
    cJSON *begun;
    nm_status status = nm_config_load(path, &begun, error);
    if (status != NM_OK) return status;
    cJSON *now = cJSON_Duplicate(run->config.document, 1);
    forget_free_keys(begun);
    forget_free_keys(now);
    if (!now)
        status = NM_ERROR(error, NM_E_MEMORY, "out of memory");
    else if (!cJSON_Compare(begun, now, 1))
        status = refuse_other(begun, now, path, error);
    cJSON_Delete(begun);
    cJSON_Delete(now);
    return status;
}

/// Written under another name first: a folder has a whole configuration or none.
static nm_status write_config(const train_run *run, nm_error *error) {
    char path[4096];
    path_in(run, "configuration.json", path);
    char *text = cJSON_Print(run->config.document);
    if (!text) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_whole_file file;
    nm_status status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status == NM_OK) {
        fprintf(file.stream, "%s\n", text);
        status = nm_whole_file_keep(&file, error);
    }
    free(text);
    return status;
}

/// *resume = there is a checkpoint to go on from. Where there is none nothing was learnt yet, and the configuration may
/// still be changed: a wrong path is mended in place.
static nm_status open_folder(train_run *run, int *resume, nm_error *error) {
    char path[4096];
    *resume = 0;
    if (mkdir(run->options.out, 0777) != 0 && errno != EEXIST)
        return NM_ERROR(error, NM_E_IO, "%s: %s", run->options.out, strerror(errno));
    if (!nm_train_state_exists(run->options.out)) return NM_OK;
    *resume = 1;
    path_in(run, "configuration.json", path);
    return compare_config(run, path, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Beginning

/// resume: the values come from the checkpoint, whatever they began as.
static nm_status open_model(train_run *run, int resume, nm_error *error) {
    nm_backend_config backend = nm_backend_config_default();
    backend.threads = (int)run->common->threads;
    backend.compute = run->config.precision == NM_TRAIN_BF16 ? NM_BF16 : NM_F32;
    nm_status status = strcmp(run->common->device, "cuda") == 0 ? nm_backend_create_cuda(&backend, &run->backend, error)
                                                                : nm_backend_create_cpu(&backend, &run->backend, error);
    const uint64_t seed = run->config.trainer.seed;
    if (status != NM_OK) return status;
    if (run->config.start[0] && !resume) return nm_train_start(&run->config, run->backend, &run->model, error);
    return nm_model_create(&run->config.model, run->backend, seed, &run->model, error);
}

static nm_status open_run(train_run *run, nm_error *error) {
    const int quiet = run->common->quiet || run->common->json;
    int resume = 0;
    nm_status status = nm_train_config_load(run->options.config, &run->config, error);
    if (status == NM_OK) status = open_folder(run, &resume, error);
    if (status == NM_OK) status = open_model(run, resume, error); // before the data, which may take minutes
    if (status == NM_OK) status = nm_thread_pool_create((int)run->common->threads, &run->pool, error);
    if (status == NM_OK)
        status = nm_train_data_open(&run->config, &run->config.data, NM_TRAIN_TO_LEARN, quiet, &run->data, error);
    const nm_train_parts *held = run->config.validation.count ? &run->config.validation : &run->config.data;
    if (status == NM_OK && run->config.validation_examples)
        status = nm_train_data_open(&run->config, held, NM_TRAIN_TO_VALIDATE, quiet, &run->validation, error);
    run->config.trainer.ahead = strcmp(run->common->device, "cuda") == 0;
    if (status == NM_OK)
        status = nm_trainer_create(run->model, nm_training_set_source(run->data.set), &run->config.trainer, run->pool,
                                   &run->trainer, error);
    run->slot = -1;
    if (status == NM_OK && resume)
        status = nm_train_state_load(run->options.out, nm_trainer_optimizer(run->trainer), &run->slot, error);
    if (status != NM_OK) return status;
    run->first_step = nm_trainer_steps(run->trainer);
    status = nm_train_log_open(run->options.out, run->first_step, &run->log, error); // from here on the folder is ours
    if (status != NM_OK) return status;
    nm_train_state_sweep(run->options.out);
    return resume ? NM_OK : write_config(run, error);
}

static void close_run(train_run *run) {
    nm_progress_finish(run->progress);
    nm_train_log_close(run->log);
    nm_trainer_destroy(run->trainer);
    nm_model_destroy(run->model);
    nm_backend_destroy(run->backend);
    nm_train_data_close(&run->validation);
    nm_train_data_close(&run->data);
    nm_thread_pool_destroy(run->pool);
    nm_train_config_release(&run->config);
}

// ---------------------------------------------------------------------------------------------------------------------
// Steps

/// Those of the last step.
static nm_block_config learnt_blocks(const train_run *run) {
    const uint64_t steps = nm_trainer_steps(run->trainer);
    return nm_trainer_blocks(&run->config.trainer, steps ? steps : 1);
}

/// The log first: a checkpoint never speaks of steps that the log does not have.
static nm_status save(train_run *run, nm_error *error) {
    char path[4096];
    const size_t shard = (size_t)(1e6 * run->config.shard_mb);
    nm_optimizer *optimizer = nm_trainer_optimizer(run->trainer);
    const int average = run->config.trainer.optimizer.ema_decay > 0.0f;
    nm_status status = nm_train_log_flush(run->log, error);
    if (status == NM_OK) status = nm_train_state_save(run->options.out, optimizer, shard, &run->slot, error);
    if (status == NM_OK && average) status = nm_optimizer_swap_average(optimizer, error);
    if (status != NM_OK) return status;
    path_in(run, "weights.safetensors", path);
    run->config.recipe.steps = nm_trainer_steps(run->trainer);
    run->config.recipe.blocks = learnt_blocks(run);
    status = nm_recipe_save(&run->config.recipe, run->model, path, shard, error);
    nm_error ignored;
    const nm_status back = average ? nm_optimizer_swap_average(optimizer, status == NM_OK ? error : &ignored) : NM_OK;
    run->saved = nm_clock();
    return status == NM_OK ? back : status;
}

static nm_status validate(train_run *run, uint64_t step, nm_error *error) {
    const uint64_t count = run->config.validation_examples, seed = run->config.trainer.seed + 1;
    const int average = run->config.trainer.optimizer.ema_decay > 0.0f;
    double loss = NAN, averaged = NAN;
    if (!count) return NM_OK;
    const nm_example_source source = nm_training_set_source(run->validation.set);
    nm_status status = nm_trainer_validate(run->trainer, source, seed, 0, count, 0, &loss, error);
    averaged = loss;
    if (status == NM_OK && average)
        status = nm_trainer_validate(run->trainer, source, seed, 0, count, 1, &averaged, error);
    run->validation_loss = averaged;
    return status == NM_OK ? nm_train_log_validation(run->log, step, loss, averaged, error) : status;
}

static nm_status step(train_run *run, nm_error *error) {
    nm_train_report report;
    const double start = nm_clock();
    nm_status status = nm_trainer_step(run->trainer, &report, error);
    const double seconds = nm_clock() - start;
    if (status != NM_OK) return status;
    run->scenes += (double)report.scenes;
    run->flops += 3.0 * report.flops;
    run->seconds += seconds;
    run->loss = run->loss > 0.0 ? run->loss + 0.02 * (report.loss - run->loss) : report.loss;
    status = nm_train_log_step(run->log, &report, seconds, error);
    const uint64_t every = run->config.validation_every;
    if (status == NM_OK && (report.step % every == 0 || report.step == run->config.trainer.steps))
        status = validate(run, report.step, error);
    char note[128];
    snprintf(note, sizeof note, "loss %.4f, %.1f scenes/s, %.0f GFLOP/s", run->loss, run->scenes / run->seconds,
             1e-9 * run->flops / run->seconds);
    nm_progress_note(run->progress, note);
    nm_progress_add(run->progress, 1);
    return status;
}

static uint64_t last_step(const train_run *run) {
    const uint64_t all = run->config.trainer.steps;
    const uint64_t slice = run->first_step + (uint64_t)run->options.steps;
    return run->options.steps && slice < all ? slice : all;
}

static int time_is_up(const train_run *run) {
    return run->options.minutes > 0.0 && nm_clock() - run->started > 60.0 * run->options.minutes;
}

static nm_status train(train_run *run, nm_error *error) {
    const uint64_t end = last_step(run);
    const int quiet = run->common->quiet || run->common->json;
    run->saved = nm_clock();
    run->progress = nm_progress_start("train", "steps", run->config.trainer.steps, quiet);
    nm_progress_add(run->progress, run->first_step);
    nm_status status = NM_OK;
    while (status == NM_OK && nm_trainer_steps(run->trainer) < end && !time_is_up(run) && !nm_cli_interrupted()) {
        status = step(run, error);
        if (status == NM_OK && nm_clock() - run->saved > (double)run->config.checkpoint_seconds)
            status = save(run, error);
    }
    // the model is as it was before the step that failed: what was learnt so far is kept
    nm_error ignored;
    const int keep = status == NM_OK || status == NM_E_NUMERIC;
    const nm_status saved = keep ? save(run, status == NM_OK ? error : &ignored) : NM_OK;
    if (status != NM_OK || saved != NM_OK) return status == NM_OK ? saved : status;
    const uint64_t steps = nm_trainer_steps(run->trainer);
    if (steps >= end || !nm_cli_interrupted()) return NM_OK;
    return NM_ERROR(error, NM_E_CANCELLED, "interrupted after step %" PRIu64 "; the same command goes on", steps);
}

static int print(const train_run *run) {
    const uint64_t steps = nm_trainer_steps(run->trainer);
    const int done = steps >= run->config.trainer.steps;
    const nm_block_growth *growth = &run->config.trainer.growth;
    if (run->common->json) {
        cJSON *document = cJSON_CreateObject();
        cJSON_AddStringToObject(document, "out", run->options.out);
        nm_json_integer(document, "steps", steps);
        cJSON_AddBoolToObject(document, "finished", done);
        nm_json_integer(document, "parameters", nm_model_parameter_count(run->model));
        nm_json_number(document, "loss", run->loss > 0.0 ? run->loss : NAN);
        nm_json_number(document, "validation_loss", run->validation_loss > 0.0 ? run->validation_loss : NAN);
        if (growth->count) nm_json_integer(document, "validation_blocks", run->config.trainer.blocks.size);
        if (growth->count) nm_json_integer(document, "blocks", learnt_blocks(run).size);
        nm_json_number(document, "scenes_per_s", run->scenes / run->seconds);
        nm_json_number(document, "gflops", 1e-9 * run->flops / run->seconds);
        return nm_cli_print_json(run->command, document);
    }
    printf("%" PRIu64 " of %" PRIu64 " steps, %zu parameters", steps, run->config.trainer.steps,
           nm_model_parameter_count(run->model));
    if (run->loss > 0.0) printf(", loss %.4f", run->loss);
    if (run->validation_loss > 0.0) printf(", validation %.4f", run->validation_loss);
    if (run->validation_loss > 0.0 && growth->count) printf(" in blocks of %u", run->config.trainer.blocks.size);
    if (growth->count) printf(", now blocks of %u", learnt_blocks(run).size);
    if (run->seconds > 0.0)
        printf("; %.1f scenes/s, %.0f GFLOP/s", run->scenes / run->seconds, 1e-9 * run->flops / run->seconds);
    printf("\nweights: %s/weights.safetensors\n", run->options.out);
    if (!done) printf("stopped early: the same command goes on\n");
    return nm_cli_finish(run->command);
}

static int run_train(const nm_command *command, int argc, char **argv) {
    nm_common common = {0};
    train_run run = {.command = command, .common = &common, .started = nm_clock()};
    const nm_option table[] = {
        {"config", NM_OPTION_TEXT, &run.options.config, "F", "what to train, on what, how long: a JSON file", 0, 0},
        {"out", NM_OPTION_TEXT, &run.options.out, "DIR",
         "folder of the run, made if missing; an interrupted one goes on", 0, 0},
        {"minutes", NM_OPTION_REAL, &run.options.minutes, "M", "stop after so many minutes, with a checkpoint", 0.001,
         1e6},
        {"steps", NM_OPTION_INTEGER, &run.options.steps, "N", "stop after so many further steps, with a checkpoint", 1,
         1e12},
        {"energy", NM_OPTION_TEXT, &run.options.energy, "MODEL",
         "train an energy instead, which tells recorded futures from those of these weights (or shipped): "
         "DIR/energy.safetensors; see docs/energy.md",
         0, 0},
        {"list-keys", NM_OPTION_FLAG, &run.options.list, NULL, "print the keys of a configuration, and end", 0, 0},
    };
    int count;
    const int status = nm_cli_parse(command, table, sizeof table / sizeof *table, &common, argc, argv, 0, 0, &count);
    if (status >= 0) return status;
    if (run.options.list) return nm_train_print_keys(command, common.json);
    if (!run.options.config) return nm_cli_usage(command, "--config F is missing");
    if (!run.options.out) return nm_cli_usage(command, "--out DIR is missing");
    if (strlen(run.options.out) > 3000) return nm_cli_usage(command, "--out is longer than 3000 bytes");
    if (run.options.energy && (run.options.minutes > 0.0 || run.options.steps))
        return nm_cli_usage(command, "--minutes and --steps are of runs that go on, not of --energy");
    if (run.options.energy)
        return nm_train_energy(command, &common, run.options.energy, run.options.config, run.options.out);
    nm_error error;
    nm_error_clear(&error);
    nm_status done = open_run(&run, &error);
    if (done == NM_OK) done = train(&run, &error);
    nm_progress_finish(run.progress);
    run.progress = NULL;
    const int result = done == NM_OK ? print(&run) : nm_cli_fail(command, &error);
    close_run(&run);
    return result;
}

const nm_command nm_command_train = {
    .name = "train",
    .summary = "Trains a denoising network on stored, imported and simulated scenes; stops and goes on at any moment.",
    .usage = "train --config F --out DIR [--minutes M] [--steps N] [--energy MODEL] | --list-keys",
    .example = "nearmiss train --config small.json --out run --minutes 10",
    .cuda = 1,
    .run = run_train,
};
