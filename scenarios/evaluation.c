#include "scenarios/evaluation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/// One scene of a round.
typedef struct slot {
    int64_t id;
    nm_results_row row;
    char name[128], type[64];
    int driven; ///< 0 = it was in the results already
} slot;

/// What one thread works with.
typedef struct worker {
    nm_store *store;
    nm_planner *planner;
    nm_episode_work *work;
    nm_arena *arena;
} worker;

typedef struct evaluation {
    const nm_evaluation_config *config;
    nm_episode_config episode;
    nm_results *results;
    worker *workers;
    int worker_count;
    int64_t run;
    slot slots[NM_EVALUATION_ROUND];
} evaluation;

nm_status nm_evaluation_type(nm_store *store, int64_t id, const nm_scene *scene, nm_arena *arena, const char **type,
                             nm_error *error) {
    nm_generated made;
    nm_status status = nm_store_get_generated(store, id, arena, &made, error);
    if (status == NM_OK) {
        *type = nm_kind_name(made.kind);
        return NM_OK;
    }
    if (status != NM_E_NOT_FOUND) return status;
    nm_event *events;
    size_t count;
    status = nm_store_get_events(store, id, arena, &events, &count, error);
    if (status != NM_OK) return status;
    *type = count ? nm_kind_name(events[0].kind) : scene->provenance.source;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// A scene

static void no_scene(slot *s, const nm_error *why) {
    s->row.episode = (nm_episode){.outcome = NM_EPISODE_UNFIT,
                                  .min_ttc = INFINITY,
                                  .min_distance = INFINITY,
                                  .worst_sample = NM_NONE,
                                  .worst = ""};
    snprintf(s->row.episode.reason, sizeof s->row.episode.reason, "%s", why->message);
    s->driven = 1;
}

static nm_status get_scene(worker *w, int64_t id, const nm_scene **scene, nm_error *error) {
    nm_status status = nm_store_get_scene(w->store, id, scene, error);
    if (status != NM_OK || fabsf((*scene)->dt - NM_STEP_SECONDS) <= 1e-4f) return status;
    const nm_scene *ready = NULL;
    status = nm_scene_resample(*scene, (double)NM_STEP_SECONDS, &ready, error);
    nm_scene_destroy(*scene);
    *scene = ready;
    return status;
}

static nm_status drive(void *context, size_t index, int thread, nm_error *error) {
    evaluation *e = context;
    slot *s = &e->slots[index];
    worker *w = &e->workers[thread];
    if (s->driven < 0) return NM_OK; // there already
    nm_error why;
    nm_error_clear(&why);
    const nm_scene *scene = NULL;
    s->row = (nm_results_row){.scene = s->id, .name = s->name, .type = s->type};
    nm_arena_reset(w->arena);
    nm_status status = get_scene(w, s->id, &scene, &why);
    if (status == NM_E_MEMORY || status == NM_E_CANCELLED) {
        if (error) *error = why;
        return status;
    }
    if (status != NM_OK) {
        no_scene(s, &why);
        return NM_OK;
    }
    const char *type = "";
    s->row.scene_hash = scene->hash;
    snprintf(s->name, sizeof s->name, "%s", scene->provenance.scene_id);
    status = nm_evaluation_type(w->store, s->id, scene, w->arena, &type, error);
    snprintf(s->type, sizeof s->type, "%s", type);
    if (status == NM_OK) status = nm_episode_run(w->work, scene, w->planner, &e->episode, &s->row.episode, error);
    nm_scene_destroy(scene);
    s->driven = 1;
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Rounds

static void close_workers(evaluation *e) {
    for (int i = 0; e->workers && i < e->worker_count; ++i) {
        nm_planner_destroy(e->workers[i].planner);
        nm_store_close(e->workers[i].store);
        nm_episode_work_destroy(e->workers[i].work);
        nm_arena_destroy(e->workers[i].arena);
    }
    free(e->workers);
}

static nm_status open_workers(evaluation *e, int count, nm_error *error) {
    const nm_evaluation_config *c = e->config;
    e->worker_count = count;
    e->workers = calloc((size_t)count, sizeof *e->workers);
    nm_status status = e->workers ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for an evaluation");
    for (int i = 0; status == NM_OK && i < count; ++i) {
        worker *w = &e->workers[i];
        w->work = nm_episode_work_create();
        w->arena = nm_arena_create(0);
        if (!w->work || !w->arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an evaluation");
        status = nm_store_open(c->store, NM_STORE_READ, &w->store, error);
        if (status == NM_OK) status = c->planner(c->planner_context, &w->planner, error);
    }
    return status;
}

/// The scenes of a round that are not in the results yet are marked 0. Only the id is compared here: what a scene holds
/// is not known before it is read, and stored scenes never change.
static uint32_t plan(evaluation *e, size_t first) {
    const size_t left = e->config->scene_count - first;
    const uint32_t count = left < NM_EVALUATION_ROUND ? (uint32_t)left : NM_EVALUATION_ROUND;
    for (uint32_t i = 0; i < count; ++i) {
        slot *s = &e->slots[i];
        s->id = e->config->scenes[first + i];
        s->driven = nm_results_has(e->results, e->run, s->id) ? -1 : 0;
    }
    return count;
}

static nm_status commit(evaluation *e, uint32_t count, nm_evaluation_report *report, nm_error *error) {
    nm_status status = nm_results_begin(e->results, error);
    if (status != NM_OK) return status;
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) {
        const slot *s = &e->slots[i];
        if (s->driven <= 0) continue;
        status = nm_results_put(e->results, e->run, &s->row, error);
        report->driven++;
        report->driven_seconds += (double)s->row.episode.seconds;
    }
    if (status == NM_OK) return nm_results_commit(e->results, error);
    nm_results_rollback(e->results);
    return status;
}

static nm_status count_outcomes(const evaluation *e, nm_evaluation_report *report, nm_error *error) {
    nm_results_row *rows;
    size_t count;
    nm_arena *arena = e->workers[0].arena;
    nm_arena_reset(arena);
    const nm_status status = nm_results_rows(e->results, e->run, arena, &rows, &count, error);
    for (size_t i = 0; status == NM_OK && i < count; ++i) {
        report->done += rows[i].episode.outcome == NM_EPISODE_DONE;
        report->failed += rows[i].episode.outcome == NM_EPISODE_FAILED;
        report->unfit += rows[i].episode.outcome == NM_EPISODE_UNFIT;
    }
    return status;
}

static nm_results_run run_of(const nm_evaluation_config *c) {
    nm_results_run run = c->run;
    run.agents = c->episode.agents;
    run.idm = c->episode.idm->name;
    run.perfect = c->episode.perfect;
    run.seconds = c->episode.seconds;
    run.deadline = c->episode.deadline;
    run.seed = c->episode.seed;
    return run;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

nm_status nm_evaluation_run(const nm_evaluation_config *config, nm_results *results, nm_thread_pool *pool,
                            nm_evaluation_report *report, nm_error *error) {
    const double begin = now();
    memset(report, 0, sizeof *report);
    evaluation *e = calloc(1, sizeof *e);
    if (!e) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an evaluation");
    e->config = config;
    e->results = results;
    e->episode = config->episode;
    e->episode.keep_scene = 0;
    e->episode.stop = config->stop;
    e->episode.stop_context = config->stop_context;
    const nm_results_run run = run_of(config);
    nm_status status = nm_episode_check(&e->episode, error);
    if (status == NM_OK) status = open_workers(e, nm_thread_pool_threads(pool), error);
    if (status == NM_OK) status = nm_results_begin_run(results, &run, &e->run, error);
    report->run = e->run;
    for (size_t first = 0; status == NM_OK && first < config->scene_count; first += NM_EVALUATION_ROUND) {
        const uint32_t count = plan(e, first);
        status = nm_thread_pool_for(pool, count, 1, drive, e, error);
        if (status == NM_OK) status = commit(e, count, report, error);
        if (status == NM_OK && config->progress) config->progress(config->progress_context, count);
    }
    if (status == NM_OK) status = nm_results_end_run(results, e->run, error);
    if (status == NM_OK) status = count_outcomes(e, report, error);
    close_workers(e);
    free(e);
    report->wall_seconds = now() - begin;
    return status;
}
