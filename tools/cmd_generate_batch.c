/// `nearmiss generate`, one batch: sampled together, checked and packed in parallel, stored in order.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd_generate.h"

void nm_generate_report_failed(nm_generate_run *run, int64_t id, const nm_error *why) {
    nm_error error;
    char message[sizeof why->input + sizeof why->message];
    nm_error_clear(&error);
    nm_error_format(why, message, sizeof message);
    if (id)
        NM_ERROR(&error, why->code, "scene %" PRId64 ": %s", id, message);
    else
        error = *why;
    nm_cli_fail(run->command, &error);
    run->totals.failed++;
}

void nm_generate_let_go(nm_generate_parent *parent) {
    if (--parent->holders) return;
    nm_scene_destroy(parent->scene);
    free(parent);
}

void nm_generate_release_jobs(nm_generate_run *run) {
    for (uint32_t i = 0; i < run->job_count; ++i) {
        nm_generate_job *job = &run->jobs[i];
        nm_scene_destroy(job->made.scene);
        nm_packed_scene_destroy(job->packed);
        free(job->parameters);
        nm_generate_let_go(job->parent);
    }
    run->job_count = 0;
}

// ---------------------------------------------------------------------------------------------------------------------
// Provenance

/// Everything needed to make a future again. The batch's size and the threads are not: they change nothing.
static char *describe(const nm_generate_run *run, const nm_generate_parent *parent, uint32_t sample) {
    const nm_provenance *from = &parent->scene->provenance;
    char text[64];
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "model", run->recipe.name);
    snprintf(text, sizeof text, "%016" PRIx64, run->model_hash);
    cJSON_AddStringToObject(json, "model_hash", text);
    nm_json_integer(json, "training_steps", run->recipe.steps);
    cJSON_AddStringToObject(json, "device", run->common->device);
    cJSON_AddStringToObject(json, "precision", run->options.precision);
    nm_schedule_format(&run->schedule, text, sizeof text);
    cJSON_AddStringToObject(json, "schedule", text);
    nm_json_integer(json, "levels", (uint64_t)run->options.levels);
    cJSON_AddStringToObject(json, "solver", nm_solver_name(run->solver));
    cJSON_AddStringToObject(json, "guidance", run->options.guidance);
    if (nm_agreement_is_on(&run->agreement)) cJSON_AddStringToObject(json, "agree", run->options.agree);
    if (run->options.attention) cJSON_AddStringToObject(json, "attention", run->options.attention);
    if (run->options.reuse) cJSON_AddStringToObject(json, "reuse", run->options.reuse);
    if (run->options.reduce) cJSON_AddStringToObject(json, "reduce", run->options.reduce);
    if (run->candidates.count > 1) {
        snprintf(text, sizeof text, "%016" PRIx64, run->energy_hash);
        cJSON_AddStringToObject(json, "energy_hash", text);
        nm_json_integer(json, "candidates", run->candidates.count);
        nm_json_number(json, "window_first", run->candidates.first);
        nm_json_number(json, "window_last", run->candidates.last);
        cJSON_AddStringToObject(json, "choice", nm_candidate_choice_name(run->candidates.choice));
        nm_json_number(json, "temperature", run->candidates.temperature);
    }
    cJSON_AddStringToObject(json, "task", run->options.task);
    if (run->options.seconds > 0.0) nm_json_number(json, "seconds", run->options.seconds);
    nm_json_integer(json, "seed", (uint64_t)run->options.seed);
    nm_json_integer(json, "sample", sample);
    nm_json_integer(json, "current_step", parent->current_step);
    nm_json_integer(json, "resampled", parent->hash != 0);
    cJSON_AddStringToObject(json, "parent_source", from->source);
    // A parent that was generated is no file one could go back to: its own recipe travels along.
    cJSON *recipe = from->file[0] == '\0' ? cJSON_Parse(from->parameters) : NULL;
    if (recipe) {
        nm_json_integer(json, "parent_seed", from->seed);
        cJSON_AddItemToObject(json, "parent_parameters", recipe);
    }
    char *out = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return out;
}

static nm_status add_sample(nm_generate_run *run, nm_generate_parent *parent, uint32_t sample, nm_error *error) {
    char *parameters = describe(run, parent, sample);
    if (!parameters) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the provenance of a scene");
    const nm_scene_request request = {.scene = parent->scene,
                                      .current_step = parent->current_step,
                                      .task = run->task,
                                      .seed = (uint64_t)run->options.seed,
                                      .sample = sample,
                                      .parent = parent->hash,
                                      .parameters = parameters};
    const nm_status status = nm_scene_generator_add(run->generator, &request, error);
    if (status != NM_OK) {
        free(parameters);
        return status;
    }
    parent->holders++;
    run->jobs[run->job_count++] = (nm_generate_job){.parent = parent, .sample = sample, .parameters = parameters};
    return NM_OK;
}

nm_status nm_generate_add(nm_generate_run *run, nm_generate_parent *parent, nm_error *error) {
    const uint32_t count = (uint32_t)run->options.count;
    nm_status status = NM_OK;
    for (uint32_t k = 0; status == NM_OK && k < count; ++k) {
        nm_error trouble;
        nm_error_clear(&trouble);
        status = add_sample(run, parent, k, &trouble);
        if (status == NM_OK) {
            if (run->job_count == (uint32_t)run->options.batch) status = nm_generate_flush(run, error);
            continue;
        }
        if (status == NM_E_MEMORY) {
            *error = trouble;
            break;
        }
        nm_generate_report_failed(run, parent->id, &trouble);
        nm_progress_add(run->progress, count - k);
        status = NM_OK;
        break;
    }
    nm_generate_let_go(parent);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Checks

/// What the simulator sees when a scene is played back from `start` on. Who comes later is not looked at: no model knew
/// of them.
static nm_status play_back(const nm_scene *scene, uint32_t start, uint32_t steps, nm_world_stats *stats,
                           nm_error *error) {
    nm_world_config config = nm_world_config_default();
    nm_rollout_result result;
    config.agents = config.ego = NM_POLICY_LOG;
    config.start_step = start;
    config.spawn_later = 0;
    config.checks = NM_CHECK_COLLISION | NM_CHECK_OFF_ROAD;
    config.stop = nm_cli_stop;
    const nm_status status = nm_rollout(scene, &config, steps, 0, &result, error);
    *stats = result.stats;
    return status;
}

/// Steps of a future of `steps` that the recording of its parent has, too.
static uint32_t recorded_steps(const nm_generate_parent *parent, uint32_t steps) {
    const uint32_t recorded = parent->scene->step_count - 1 - parent->current_step;
    return recorded < steps ? recorded : steps;
}

/// A scene that can not be played back or packed does not stop the others: the status stays with the job.
static nm_status finish_job(void *context, size_t index, int worker, nm_error *error) {
    nm_generate_run *run = context;
    nm_generate_job *job = &run->jobs[index];
    nm_generated_scene *made = &job->made;
    if (made->status != NM_OK) return NM_OK;
    const uint32_t start = job->parent->current_step, steps = made->scene->step_count - 1 - start;
    const uint32_t recorded = recorded_steps(job->parent, steps);
    made->status = play_back(made->scene, start, steps, &job->stats, &made->error);
    if (made->status == NM_OK && recorded)
        made->status = play_back(made->scene, start, recorded, &job->compared, &made->error);
    if (made->status == NM_OK)
        made->status = nm_pack_scene(run->packers[worker], made->scene, &job->packed, &made->error);
    if (made->status != NM_E_CANCELLED) return NM_OK;
    *error = made->error;
    return NM_E_CANCELLED;
}

static void add_stats(nm_world_stats *to, const nm_world_stats *from) {
    to->agents += from->agents;
    to->collided += from->collided;
    to->off_road += from->off_road;
    to->started_in_contact += from->started_in_contact;
    to->started_off_road += from->started_off_road;
}

/// The recording over the seconds that the futures have, as far as it goes: once for each scene.
static nm_status check_parent(nm_generate_run *run, nm_generate_parent *parent, uint32_t steps, nm_error *error) {
    if (parent->checked) return NM_OK;
    parent->checked = 1;
    run->totals.parents++;
    if (!recorded_steps(parent, steps)) return NM_OK;
    const nm_status status =
        play_back(parent->scene, parent->current_step, recorded_steps(parent, steps), &parent->stats, error);
    if (status == NM_E_CANCELLED) return status;
    if (status != NM_OK) return NM_OK; // nothing to compare with, which the number of those compared says
    run->totals.parents_checked++;
    add_stats(&run->totals.recorded, &parent->stats);
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// The batch

static nm_status sample(nm_generate_run *run, nm_error *error) {
    char title[64];
    nm_status status = NM_OK;
    if (run->recording) {
        char schedule[48];
        nm_schedule_format(&run->schedule, schedule, sizeof schedule);
        snprintf(title, sizeof title, "%s, %d levels", schedule, (int)run->options.levels);
        status = nm_generate_recording_begin(run->recording, nm_scene_generator_tokens(run->generator, 0),
                                             run->jobs[0].parent->scene, title, error);
    }
    nm_generated_scene *made = calloc(run->job_count, sizeof *made);
    if (status == NM_OK && !made) status = NM_ERROR(error, NM_E_MEMORY, "out of memory for %u scenes", run->job_count);
    if (status == NM_OK) status = nm_scene_generator_run(run->generator, made, &run->totals.cost, error);
    for (uint32_t i = 0; status == NM_OK && i < run->job_count; ++i) run->jobs[i].made = made[i];
    free(made);
    if (status == NM_OK && run->recording) {
        status = nm_generate_recording_write(run->recording, run->options.recording, error);
    }
    return status;
}

static nm_status store_job(nm_generate_run *run, nm_generate_job *job, nm_error *error) {
    int64_t id = 0;
    if (job->made.status != NM_OK) {
        nm_generate_report_failed(run, job->parent->id, &job->made.error);
        return NM_OK;
    }
    nm_status status = nm_store_put_packed(run->store, job->packed, &id, error);
    if (status != NM_OK && status != NM_E_EXISTS) return status;
    run->totals.existed += status == NM_E_EXISTS;
    run->totals.stored += status == NM_OK;
    run->totals.scenes++;
    run->totals.agents += job->made.agents;
    run->totals.left_out += job->made.left_out;
    const uint32_t steps = job->made.scene->step_count - 1 - job->parent->current_step;
    add_stats(&run->totals.made, &job->stats);
    add_stats(&run->totals.compared, &job->compared);
    run->totals.compared_scenes += recorded_steps(job->parent, steps) > 0;
    status = check_parent(run, job->parent, steps, error);
    if (status == NM_OK) nm_generate_add_row(run, job, id);
    return status;
}

nm_status nm_generate_flush(nm_generate_run *run, nm_error *error) {
    if (!run->job_count) return NM_OK;
    nm_status status = sample(run, error);
    if (status == NM_OK) status = nm_thread_pool_for(run->pool, run->job_count, 1, finish_job, run, error);
    int open = 0;
    if (status == NM_OK) status = nm_store_begin(run->store, error);
    if (status == NM_OK) open = 1;
    for (uint32_t i = 0; status == NM_OK && i < run->job_count; ++i) {
        status = store_job(run, &run->jobs[i], error);
        nm_progress_add(run->progress, 1);
    }
    if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    if (status == NM_OK)
        status = nm_store_commit(run->store, error);
    else if (open)
        nm_store_rollback(run->store);
    nm_generate_release_jobs(run);
    return status;
}
