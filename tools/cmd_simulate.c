/// `nearmiss simulate`: closed-loop rollouts of stored scenes or of a built-in map, kept as new scenes.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "scenarios/store.h"
#include "sim/builtin.h"
#include "sim/world.h"
#include "tools/cli.h"

#define BATCH 32 ///< rollouts in memory at once

typedef struct sim_options {
    const char *store, *map, *agents, *planner, *idm;
    double seconds, history;
    int64_t seed, count;
    int no_save, remove;
} sim_options;

typedef struct sim_job {
    int64_t scene_id; ///< 0 = built-in
    uint64_t seed;
    const nm_scene *scene;
    uint64_t parent; ///< hash of the stored scene when this one was resampled from it, else 0
    int owns_scene;  ///< several rollouts share one: the last of them releases it
    nm_rollout_result result;
    nm_packed_scene *packed;
    double log_speed_sum;
    uint64_t log_states;
    int64_t stored_id;
    nm_status status; ///< of the rollout; `error` says why it is not NM_OK
    nm_error error;
} sim_job;

typedef struct sim_totals {
    uint64_t rollouts, agents, agent_steps, collided, off_road, wrong_way, left, frozen, lane_changes, held_back;
    uint64_t started_in_contact, started_off_road, log_states, stored, existed;
    uint64_t recorded_agent_steps;
    double speed_sum, recorded_speed_sum, log_speed_sum;
    uint64_t hash;
} sim_totals;

typedef struct sim_run {
    const nm_command *command;
    const nm_common *common;
    sim_options options;
    nm_world_config config;
    nm_store *store;
    nm_thread_pool *pool;
    nm_packer **packers; ///< one a thread
    nm_progress *progress;
    sim_job jobs[BATCH];
    size_t job_count;
    sim_totals totals;
    cJSON *rows;
    uint64_t too_short, failed; ///< scenes; rollouts or scenes
} sim_run;

/// Mean speed of the recording over the simulated stretch, moving agents only: what the rollout is compared with.
static void sum_log_speed(sim_job *job, uint32_t start, uint32_t steps) {
    const nm_scene *scene = job->scene;
    for (uint32_t track = 0; track < scene->track_count; ++track) {
        if (scene->tracks[track].flags & NM_TRACK_STATIC) continue;
        for (uint32_t t = start + 1; t <= start + steps && t < scene->step_count; ++t) {
            const size_t at = nm_scene_at(scene, track, t);
            if (!scene->valid[at]) continue;
            job->log_speed_sum += hypot((double)scene->vx[at], (double)scene->vy[at]);
            job->log_states++;
        }
    }
}

static nm_status roll_out(sim_run *run, sim_job *job, nm_packer *packer) {
    nm_world_config config = run->config;
    config.seed = job->seed;
    config.parent = job->parent;
    const uint32_t steps = (uint32_t)lround(run->options.seconds / (double)NM_STEP_SECONDS);
    const int keep = !run->options.no_save;
    nm_status status = nm_rollout(job->scene, &config, steps, keep, &job->result, &job->error);
    if (status == NM_OK) sum_log_speed(job, config.start_step, steps);
    if (status == NM_OK && keep) status = nm_pack_scene(packer, job->result.scene, &job->packed, &job->error);
    return status;
}

/// A scene that can not be driven does not stop the others: the status stays with the job.
static nm_status run_job(void *context, size_t index, int worker, nm_error *error) {
    sim_run *run = context;
    sim_job *job = &run->jobs[index];
    nm_error_clear(&job->error);
    job->status = roll_out(run, job, run->packers[worker]);
    if (job->status != NM_E_CANCELLED) return NM_OK;
    *error = job->error;
    return NM_E_CANCELLED;
}

/// Says which scene could not be used and why, and counts it. The rest goes on; the exit status tells.
static void report_failed(sim_run *run, int64_t scene, uint64_t seed, const nm_error *why) {
    nm_error error;
    char message[sizeof why->input + sizeof why->message];
    nm_error_clear(&error);
    nm_error_format(why, message, sizeof message);
    if (scene)
        NM_ERROR(&error, why->code, "scene %" PRId64 ": %s", scene, message);
    else
        NM_ERROR(&error, why->code, "seed %" PRIu64 ": %s", seed, message);
    nm_cli_fail(run->command, &error);
    run->failed++;
}

static void release_jobs(sim_run *run) {
    for (size_t i = 0; i < run->job_count; ++i) {
        if (run->jobs[i].owns_scene) nm_scene_destroy(run->jobs[i].scene);
        nm_scene_destroy(run->jobs[i].result.scene);
        nm_packed_scene_destroy(run->jobs[i].packed);
    }
    memset(run->jobs, 0, sizeof run->jobs);
    run->job_count = 0;
}

static void add_row(sim_run *run, const sim_job *job) {
    const nm_world_stats *s = &job->result.stats;
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, job->result.hash);
    cJSON *row = cJSON_CreateObject();
    nm_json_integer(row, "scene", (uint64_t)job->scene_id);
    nm_json_integer(row, "seed", job->seed);
    nm_json_integer(row, "agents", s->agents);
    nm_json_integer(row, "collided", s->collided);
    nm_json_integer(row, "off_road", s->off_road);
    nm_json_number(row, "mean_speed", s->agent_steps ? s->speed_sum / (double)s->agent_steps : NAN);
    nm_json_number(row, "log_mean_speed", job->log_states ? job->log_speed_sum / (double)job->log_states : NAN);
    nm_json_number(row, "first_collision_step",
                   s->first_collision_step == NM_NONE ? NAN : (double)s->first_collision_step);
    cJSON_AddStringToObject(row, "hash", hash);
    if (job->stored_id) nm_json_integer(row, "stored", (uint64_t)job->stored_id);
    cJSON_AddItemToArray(run->rows, row);
}

static void add_totals(sim_totals *t, const sim_job *job) {
    const nm_world_stats *s = &job->result.stats;
    t->rollouts++;
    t->agents += s->agents;
    t->agent_steps += s->agent_steps;
    t->collided += s->collided;
    t->off_road += s->off_road;
    t->wrong_way += s->wrong_way;
    t->left += s->left;
    t->frozen += s->frozen;
    t->lane_changes += s->lane_changes;
    t->held_back += s->held_back;
    t->started_in_contact += s->started_in_contact;
    t->started_off_road += s->started_off_road;
    t->speed_sum += s->speed_sum;
    t->recorded_agent_steps += s->recorded_agent_steps;
    t->recorded_speed_sum += s->recorded_speed_sum;
    t->log_speed_sum += job->log_speed_sum;
    t->log_states += job->log_states;
    t->hash = nm_hash_bytes(&job->result.hash, sizeof job->result.hash, t->hash);
}

/// Runs the gathered jobs in parallel and stores what came out, in order.
static nm_status flush_jobs(sim_run *run, nm_error *error) {
    nm_status status = nm_thread_pool_for(run->pool, run->job_count, 1, run_job, run, error);
    const int save = !run->options.no_save;
    if (status == NM_OK && save) status = nm_store_begin(run->store, error);
    for (size_t i = 0; status == NM_OK && i < run->job_count; ++i) {
        sim_job *job = &run->jobs[i];
        nm_progress_add(run->progress, 1);
        if (job->status != NM_OK) {
            report_failed(run, job->scene_id, job->seed, &job->error);
            continue;
        }
        if (save) {
            status = nm_store_put_packed(run->store, job->packed, &job->stored_id, error);
            if (status == NM_E_EXISTS) {
                run->totals.existed++;
                status = NM_OK;
            } else if (status == NM_OK) {
                run->totals.stored++;
            }
        }
        add_totals(&run->totals, job);
        add_row(run, job);
    }
    if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    if (status == NM_OK && save)
        status = nm_store_commit(run->store, error);
    else if (save)
        nm_store_rollback(run->store);
    release_jobs(run);
    return status;
}

/// A stored scene at the time step of the simulation.
static nm_status fetch_scene(const sim_run *run, int64_t id, const nm_scene **ready, uint64_t *parent,
                             nm_error *error) {
    *parent = 0;
    const nm_scene *scene;
    nm_status status = nm_store_get_scene(run->store, id, &scene, error);
    if (status != NM_OK) return status;
    *ready = scene;
    if (fabsf(scene->dt - NM_STEP_SECONDS) <= 1e-4f) return NM_OK;
    *parent = scene->hash; // what is simulated is not what is stored
    status = nm_scene_resample(scene, (double)NM_STEP_SECONDS, ready, error);
    nm_scene_destroy(scene);
    return status;
}

/// Queues one scene (ownership passes) for `count` rollouts.
static nm_status queue_scene(sim_run *run, int64_t id, const nm_scene *ready, uint64_t parent, nm_error *error) {
    nm_status status = NM_OK;
    if (run->config.start_step >= ready->step_count) {
        nm_scene_destroy(ready);
        run->too_short++;
        nm_progress_add(run->progress, (uint64_t)run->options.count);
        return NM_OK;
    }
    for (int64_t k = 0; k < run->options.count; ++k) {
        const int last = k + 1 == run->options.count;
        run->jobs[run->job_count++] = (sim_job){.scene_id = id,
                                                .seed = (uint64_t)(run->options.seed + k),
                                                .scene = ready,
                                                .owns_scene = last,
                                                .parent = parent};
        if (run->job_count < BATCH) continue;
        status = flush_jobs(run, error);
        if (status == NM_OK || last) continue;
        nm_scene_destroy(ready);
        break;
    }
    return status;
}

static nm_status run_builtin(sim_run *run, nm_error *error) {
    for (int64_t k = 0; k < run->options.count; ++k) {
        const nm_scene *scene;
        const uint64_t seed = (uint64_t)(run->options.seed + k);
        nm_status status = nm_builtin_scene(run->options.map, seed, &scene, error);
        if (status != NM_OK) return status;
        run->jobs[run->job_count++] = (sim_job){.seed = seed, .scene = scene, .owns_scene = 1};
        if (run->job_count == BATCH) status = flush_jobs(run, error);
        if (status != NM_OK) return status;
    }
    return flush_jobs(run, error);
}

static nm_status run_stored(sim_run *run, int id_count, char **ids, nm_error *error) {
    nm_arena *arena = nm_arena_create(0);
    if (!arena) return NM_ERROR(error, NM_E_MEMORY, "no memory");
    int64_t *all = NULL;
    size_t count = (size_t)id_count;
    nm_status status = NM_OK;
    if (id_count == 0) {
        status = nm_store_scene_ids(run->store, -1, arena, &all, &count, error);
    } else {
        all = nm_arena_calloc(arena, count, sizeof *all, 16);
        for (size_t i = 0; all && i < count; ++i) {
            char *end;
            all[i] = strtoll(ids[i], &end, 10);
            if (*end || end == ids[i] || all[i] <= 0)
                status = NM_ERROR(error, NM_E_ARGUMENT, "'%s' is not the id of a scene", ids[i]);
        }
        if (!all) status = NM_ERROR(error, NM_E_MEMORY, "no memory");
    }
    run->progress = nm_progress_start("simulate", "rollouts", (uint64_t)count * (uint64_t)run->options.count,
                                      run->common->quiet || run->common->json);
    for (size_t i = 0; status == NM_OK && i < count; ++i) {
        const nm_scene *scene;
        uint64_t parent;
        status = fetch_scene(run, all[i], &scene, &parent, error);
        if (status == NM_OK) {
            status = queue_scene(run, all[i], scene, parent, error);
        } else if (status != NM_E_CANCELLED) {
            report_failed(run, all[i], 0, error);
            nm_error_clear(error);
            nm_progress_add(run->progress, (uint64_t)run->options.count);
            status = NM_OK;
        }
    }
    if (status == NM_OK) status = flush_jobs(run, error);
    nm_progress_finish(run->progress);
    nm_arena_destroy(arena);
    return status;
}

static double percent(uint64_t part, uint64_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

static void print_table(const sim_run *run, double speed, double same_steps, double log_speed) {
    const sim_totals *t = &run->totals;
    const nm_idm_params *idm = run->config.idm;
    printf("rollouts %" PRIu64 " (%g s at 0.1 s, from %g s), agents %" PRIu64 ", agent-steps %" PRIu64 "\n",
           t->rollouts, run->options.seconds, run->options.history, t->agents, t->agent_steps);
    if (run->too_short)
        printf("skipped %" PRIu64 " scenes that are shorter than the history asked for\n", run->too_short);
    printf("policy %s, planner %s, IDM set %s: T %.2f s, s0 %.1f m, a %.1f, b %.1f m/s2\n", run->options.agents,
           run->options.planner, idm->name, (double)idm->time_gap, (double)idm->min_gap, (double)idm->accel,
           (double)idm->brake);
    printf("collided %" PRIu64 " (%.2f %%), off road %" PRIu64 " (%.2f %%), wrong way %" PRIu64
           ", left the map %" PRIu64 ", lane changes %" PRIu64 "\n",
           t->collided, percent(t->collided, t->agents), t->off_road, percent(t->off_road, t->agents), t->wrong_way,
           t->left, t->lane_changes);
    printf("in contact when they entered %" PRIu64 ", off the road when they entered %" PRIu64
           ", no room to enter %" PRIu64 ", frozen %" PRIu64 "\n",
           t->started_in_contact, t->started_off_road, t->held_back, t->frozen);
    printf("mean speed %.2f m/s", speed);
    if (t->log_states)
        printf("; over the recorded steps %.2f m/s, recorded %.2f m/s (%+.1f %%)", same_steps, log_speed,
               100.0 * (same_steps / log_speed - 1.0));
    printf("\nhash %016" PRIx64 "\n", t->hash);
    if (!run->options.no_save)
        printf("stored %" PRIu64 " scenes, %" PRIu64 " were there already\n", t->stored, t->existed);
}

static void add_counts(cJSON *document, const sim_run *run) {
    const sim_totals *t = &run->totals;
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"rollouts", t->rollouts},
                  {"skipped_too_short", run->too_short},
                  {"failed", run->failed},
                  {"agents", t->agents},
                  {"agent_steps", t->agent_steps},
                  {"collided", t->collided},
                  {"off_road", t->off_road},
                  {"wrong_way", t->wrong_way},
                  {"left", t->left},
                  {"frozen", t->frozen},
                  {"lane_changes", t->lane_changes},
                  {"held_back", t->held_back},
                  {"started_in_contact", t->started_in_contact},
                  {"started_off_road", t->started_off_road},
                  {"stored", t->stored},
                  {"existed", t->existed}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i)
        nm_json_integer(document, counts[i].name, counts[i].value);
    nm_json_number(document, "collided_percent", percent(t->collided, t->agents));
    nm_json_number(document, "off_road_percent", percent(t->off_road, t->agents));
}

static int print_result(sim_run *run) {
    const sim_totals *t = &run->totals;
    const nm_idm_params *idm = run->config.idm;
    const double speed = t->agent_steps ? t->speed_sum / (double)t->agent_steps : NAN;
    // compared over the steps that the recording covers; it often ends before the rollout
    const double same_steps = t->recorded_agent_steps ? t->recorded_speed_sum / (double)t->recorded_agent_steps : NAN;
    const double log_speed = t->log_states ? t->log_speed_sum / (double)t->log_states : NAN;
    if (!run->common->json) {
        cJSON_Delete(run->rows);
        print_table(run, speed, same_steps, log_speed);
        return nm_cli_finish(run->command);
    }
    cJSON *document = cJSON_CreateObject();
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, t->hash);
    add_counts(document, run);
    nm_json_number(document, "mean_speed", speed);
    nm_json_number(document, "mean_speed_recorded_steps", same_steps);
    nm_json_number(document, "log_mean_speed", log_speed);
    cJSON_AddStringToObject(document, "hash", hash);
    cJSON *set = cJSON_AddObjectToObject(document, "idm");
    cJSON_AddStringToObject(set, "name", idm->name);
    nm_json_number(set, "time_gap_s", (double)idm->time_gap);
    nm_json_number(set, "min_gap_m", (double)idm->min_gap);
    nm_json_number(set, "accel_mps2", (double)idm->accel);
    nm_json_number(set, "brake_mps2", (double)idm->brake);
    cJSON_AddItemToObject(document, "rows", run->rows);
    return nm_cli_print_json(run->command, document);
}

/// Names to policies; a message that lists what there is.
static int read_choices(const nm_command *command, sim_run *run) {
    const sim_options *o = &run->options;
    if (!nm_policy_from_name(o->agents, &run->config.agents) || run->config.agents >= NM_POLICY_EXTERNAL)
        return nm_cli_usage(command, "--agents '%s': log, idm or constant_velocity", o->agents);
    if (!nm_policy_from_name(o->planner, &run->config.ego) || run->config.ego >= NM_POLICY_EXTERNAL)
        return nm_cli_usage(command, "--planner '%s': log, idm or constant_velocity", o->planner);
    run->config.idm = nm_idm_named(o->idm);
    if (!run->config.idm) return nm_cli_usage(command, "--idm '%s': nearmiss, nuplan, waymax or metadrive", o->idm);
    if (!o->map && !o->store)
        return nm_cli_usage(command, "--store S.db says where the scenes are, or --map makes one");
    if (!o->store && !o->no_save) return nm_cli_usage(command, "--store S.db says where the result goes, or --no-save");
    return NM_EXIT_OK;
}

static nm_status open_all(sim_run *run, nm_error *error) {
    const sim_options *o = &run->options;
    nm_status status = nm_thread_pool_create((int)run->common->threads, &run->pool, error);
    if (status != NM_OK) return status;
    const int threads = nm_thread_pool_threads(run->pool);
    run->packers = calloc((size_t)threads, sizeof *run->packers);
    if (!run->packers) return NM_ERROR(error, NM_E_MEMORY, "no memory");
    for (int i = 0; i < threads; ++i)
        if (!(run->packers[i] = nm_packer_create())) return NM_ERROR(error, NM_E_MEMORY, "no memory");
    if (!o->store || (o->map && o->no_save)) return NM_OK;
    const nm_store_mode mode = o->no_save ? NM_STORE_READ : o->map ? NM_STORE_CREATE : NM_STORE_WRITE;
    status = nm_store_open(o->store, mode, &run->store, error);
    if (status == NM_OK) nm_store_set_interrupt(run->store, nm_cli_stop, NULL);
    return status;
}

static void close_all(sim_run *run) {
    release_jobs(run);
    nm_store_close(run->store);
    for (int i = 0; run->packers && i < nm_thread_pool_threads(run->pool); ++i) nm_packer_destroy(run->packers[i]);
    free(run->packers);
    nm_thread_pool_destroy(run->pool);
}

/// Returns -1 to go on, else the exit status.
static int read_options(sim_run *run, nm_common *common, int argc, char **argv, int *positional) {
    sim_options *o = &run->options;
    *o = (sim_options){.agents = "idm", .planner = "idm", .idm = "nearmiss", .seconds = 8.0, .count = 1};
    const nm_option options[] = {
        {"store", NM_OPTION_TEXT, (void *)&o->store, "S.db", "store to read scenes from and to put the result in", 0,
         0},
        {"map", NM_OPTION_TEXT, (void *)&o->map, "SPEC", "a built-in map instead, e.g. highway:lanes=4,density=25", 0,
         0},
        {"agents", NM_OPTION_TEXT, (void *)&o->agents, "NAME", "log, idm or constant_velocity (default idm)", 0, 0},
        {"planner", NM_OPTION_TEXT, (void *)&o->planner, "NAME", "policy of the ego, as --agents (default idm)", 0, 0},
        {"idm", NM_OPTION_TEXT, (void *)&o->idm, "SET", "nearmiss, nuplan, waymax or metadrive (default nearmiss)", 0,
         0},
        {"seconds", NM_OPTION_REAL, &o->seconds, "S", "simulated time, s (default 8)", 0.1, 9000.0},
        {"history", NM_OPTION_REAL, &o->history, "S", "s of the recording before the start (default 0)", 0.0, 9000.0},
        {"seed", NM_OPTION_INTEGER, &o->seed, "K", "seed of the first rollout (default 0)", 0.0, 9e15},
        {"count", NM_OPTION_INTEGER, &o->count, "N", "rollouts per scene, seeds K, K+1, ... (default 1)", 1.0, 1e6},
        {"no-save", NM_OPTION_FLAG, &o->no_save, NULL, "only report, store nothing", 0, 0},
        {"remove-collided", NM_OPTION_FLAG, &o->remove, NULL, "agents leave after a collision instead of standing", 0,
         0},
    };
    const int exit_status = nm_cli_parse(run->command, options, sizeof options / sizeof *options, common, argc, argv, 0,
                                         1 << 20, positional);
    if (exit_status >= 0) return exit_status;
    run->config = nm_world_config_default();
    run->config.stop = nm_cli_stop;
    if (read_choices(run->command, run) != NM_EXIT_OK) return NM_EXIT_USAGE;
    if (o->map && *positional > 0) return nm_cli_usage(run->command, "either ids of stored scenes or --map, not both");
    run->config.start_step = (uint32_t)lround(o->history / (double)NM_STEP_SECONDS);
    run->config.remove_on_collision = o->remove;
    return -1;
}

static int simulate(const nm_command *command, int argc, char **argv) {
    sim_run *run = calloc(1, sizeof *run);
    nm_error error;
    nm_error_clear(&error);
    if (!run) {
        NM_ERROR(&error, NM_E_MEMORY, "no memory");
        return nm_cli_fail(command, &error);
    }
    nm_common common = {0};
    run->command = command;
    run->common = &common;
    int positional;
    int exit_status = read_options(run, &common, argc, argv, &positional);
    if (exit_status < 0) {
        run->rows = cJSON_CreateArray();
        nm_status status = open_all(run, &error);
        if (status == NM_OK)
            status = run->options.map ? run_builtin(run, &error) : run_stored(run, positional, argv, &error);
        close_all(run);
        if (status == NM_OK) {
            exit_status = print_result(run);
            if (run->failed > 0) exit_status = NM_EXIT_FAILED;
        } else {
            cJSON_Delete(run->rows);
            nm_cli_fail(command, &error);
            exit_status = status == NM_E_ARGUMENT ? NM_EXIT_USAGE : NM_EXIT_FAILED;
        }
    }
    free(run);
    return exit_status;
}

const nm_command nm_command_simulate = {
    .name = "simulate",
    .summary = "Drives scenes in closed loop with reactive agents and keeps what happened as new scenes.",
    .usage = "simulate [ID...] --store S.db | --map SPEC",
    .example = "nearmiss simulate --map junction_signal:density=30 --store corner.db --seconds 20 --count 8",
    .run = simulate,
};
