#include "scenarios/evaluation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/text.h"
#include "scenarios/planner_open.h"
#include "scenarios/problem.h"
#include "scenarios/scene_type.h"

#define SAID_MOST 2048u // bytes kept of a failed planner's standard error

/// One scene of a round.
typedef struct slot {
    int64_t id;
    nm_results_row row;
    char name[128], type[64], said[SAID_MOST];
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

/// What the recorded drive shows; without one the scene's source.
static void type_of_drive(const nm_scene *scene, const nm_episode_config *episode, char *text, size_t size) {
    uint32_t ego, first, last;
    if (nm_episode_span(scene, episode, &ego, &first, &last))
        nm_scene_type(scene, ego, first, last, text, size);
    else
        snprintf(text, size, "%s", scene->provenance.source);
}

nm_status nm_evaluation_type(nm_store *store, int64_t id, const nm_scene *scene, const nm_episode_config *episode,
                             nm_arena *arena, char *text, size_t size, nm_error *error) {
    nm_generated made;
    nm_status status = nm_store_get_generated(store, id, arena, &made, error);
    if (status == NM_OK) {
        snprintf(text, size, "%s", nm_kind_name(made.kind));
        return NM_OK;
    }
    if (status != NM_E_NOT_FOUND) return status;
    nm_event *events;
    size_t count;
    status = nm_store_get_events(store, id, arena, &events, &count, error);
    if (status != NM_OK) return status;
    if (count)
        snprintf(text, size, "%s", nm_kind_name(events[0].kind));
    else
        type_of_drive(scene, episode, text, size);
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// A scene

/// On the thread that is going to use it: a planner's program ends with the thread that started it, and threads that
/// find nothing to do need none.
static nm_status open_worker(const evaluation *e, worker *w, nm_error *error) {
    if (w->planner) return NM_OK;
    if (!w->work) w->work = nm_episode_work_create();
    if (!w->arena) w->arena = nm_arena_create(0);
    if (!w->work || !w->arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an evaluation");
    nm_status status = NM_OK;
    if (!w->store) status = nm_store_open(e->config->store, NM_STORE_READ, &w->store, error);
    if (status == NM_OK) status = e->config->planner(e->config->planner_context, &w->planner, error);
    return status;
}

static void no_scene(slot *s, const nm_error *why) {
    const uint64_t hash = s->row.scene_hash; // of one that could be read
    s->row = (nm_results_row){.scene = s->id, .scene_hash = hash, .name = s->name, .type = s->type};
    s->row.episode = (nm_episode){.outcome = NM_EPISODE_UNFIT,
                                  .min_ttc = INFINITY,
                                  .min_distance = INFINITY,
                                  .danger = nm_episode_no_danger(),
                                  .goal_sample = NM_NONE,
                                  .worst_sample = NM_NONE,
                                  .worst = "",
                                  .adversary = NM_NONE};
    snprintf(s->row.episode.reason, sizeof s->row.episode.reason, "%s", why->message);
}

/// In steps of 0.1 s. On failure *scene is released and NULL.
static nm_status at_time_step(const nm_scene **scene, nm_error *error) {
    if (fabsf((*scene)->dt - NM_STEP_SECONDS) <= 1e-4f) return NM_OK;
    const nm_scene *ready = NULL;
    const nm_status status = nm_scene_resample(*scene, (double)NM_STEP_SECONDS, &ready, error);
    nm_scene_destroy(*scene);
    *scene = ready;
    return status;
}

nm_status nm_evaluation_scene(nm_store *store, int64_t id, const nm_scene **scene, nm_error *error) {
    const nm_status status = nm_store_get_scene(store, id, scene, error);
    return status == NM_OK ? at_time_step(scene, error) : status;
}

/// The scene, and what happens in it.
static nm_status get_scene(const evaluation *e, worker *w, slot *s, const nm_scene **scene, nm_error *error) {
    nm_status status = nm_store_get_scene(w->store, s->id, scene, error);
    if (status != NM_OK) return status;
    s->row.scene_hash = (*scene)->hash;
    snprintf(s->name, sizeof s->name, "%s", (*scene)->provenance.scene_id);
    snprintf(s->type, sizeof s->type, "%s", (*scene)->provenance.source);
    status = at_time_step(scene, error);
    if (status == NM_OK && e->config->problems && nm_evaluation_is_problem(*scene)) return NM_OK; // nobody drove there
    return status == NM_OK
               ? nm_evaluation_type(w->store, s->id, *scene, &e->episode, w->arena, s->type, sizeof s->type, error)
               : status;
}

/// The end of what a failed planner's program wrote, line by line as people can read it.
static void keep_said(const nm_planner *planner, char said[SAID_MOST]) {
    char raw[SAID_MOST / 2];
    size_t used = 0;
    nm_planner_stderr(planner, raw, sizeof raw);
    for (char *line = raw; *line && used + 2 < SAID_MOST;) {
        char *end = line + strcspn(line, "\n");
        const int more = *end != '\0';
        *end = '\0';
        used += nm_text_escape(said + used, SAID_MOST - used - 1, line);
        said[used++] = '\n';
        line = end + more;
    }
    said[used] = '\0';
}

static nm_status drive_in(worker *w, slot *s, const nm_scene *scene, const nm_episode_config *config, nm_error *error) {
    const nm_status status = nm_episode_run(w->work, scene, w->planner, config, &s->row.episode, error);
    if (status == NM_OK && s->row.episode.outcome == NM_EPISODE_FAILED) keep_said(w->planner, s->said);
    return status;
}

/// The file, not the machine: the same the next time, too.
static int is_the_scenes(nm_status status) {
    return status != NM_E_MEMORY && status != NM_E_CANCELLED && status != NM_E_BUSY && status != NM_E_IO;
}

int nm_evaluation_is_problem(const nm_scene *scene) {
    return scene->ego == NM_NONE && scene->problem_count > 0;
}

/// From the start of the scene's first planning problem to its goal.
static nm_status drive_problem(const evaluation *e, worker *w, slot *s, const nm_scene *scene, nm_error *error) {
    nm_episode_config config = e->episode;
    const nm_scene *placed = NULL;
    nm_status status =
        e->config->needs_recording
            ? NM_ERROR(error, NM_E_NOT_FOUND, "a planning problem, for which nobody's drive was recorded")
            : nm_problem_scene(scene, 0, &placed, error);
    if (status != NM_OK && is_the_scenes(status)) {
        no_scene(s, error);
        return NM_OK;
    }
    config.asked = scene;
    if (status == NM_OK) status = drive_in(w, s, placed, &config, error);
    nm_scene_destroy(placed);
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
    nm_status status = open_worker(e, w, &why);
    if (status == NM_OK) {
        s->name[0] = s->type[0] = '\0';
        s->said[0] = '\0';
        s->row = (nm_results_row){.scene = s->id, .name = s->name, .type = s->type, .said = s->said};
        nm_arena_reset(w->arena);
        status = get_scene(e, w, s, &scene, &why);
        if (status == NM_OK)
            status = e->config->problems && nm_evaluation_is_problem(scene) ? drive_problem(e, w, s, scene, &why)
                                                                            : drive_in(w, s, scene, &e->episode, &why);
        else if (is_the_scenes(status)) {
            no_scene(s, &why);
            status = NM_OK;
        }
    }
    nm_scene_destroy(scene);
    s->driven = status == NM_OK;
    if (status != NM_OK && error) *error = why;
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

/// The first one is opened here, so that a planner that can not be had leaves no trace in the results.
static nm_status make_workers(evaluation *e, int count, nm_error *error) {
    e->workers = calloc((size_t)count, sizeof *e->workers);
    if (!e->workers) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an evaluation");
    e->worker_count = count;
    return open_worker(e, &e->workers[0], error);
}

/// 1 = the store's scene of this number has this content.
static int holds(nm_store *store, int64_t id, uint64_t hash) {
    int64_t first;
    if (nm_store_find_hash(store, hash, &first, NULL) != NM_OK || first > id) return 0;
    if (first == id) return 1;
    const nm_scene *scene = NULL; // either both have it, or it is that of another number
    const int same = nm_store_get_scene(store, id, &scene, NULL) == NM_OK && scene->hash == hash;
    nm_scene_destroy(scene);
    return same;
}

/// Another store of the same name may hold another scene by that number; and one that could not be read may be mended.
static int is_there(evaluation *e, int64_t scene) {
    uint64_t hash = 0;
    return nm_results_find(e->results, e->run, scene, &hash) && hash && holds(e->workers[0].store, scene, hash);
}

/// The scenes of a round that are not in the results yet are marked 0.
static uint32_t plan(evaluation *e, size_t first) {
    const size_t left = e->config->scene_count - first;
    const uint32_t count = left < NM_EVALUATION_ROUND ? (uint32_t)left : NM_EVALUATION_ROUND;
    for (uint32_t i = 0; i < count; ++i) {
        slot *s = &e->slots[i];
        s->id = e->config->scenes[first + i];
        s->driven = is_there(e, s->id) ? -1 : 0;
    }
    return count;
}

/// A model works on one thread, with others of its own.
static nm_status drive_round(evaluation *e, nm_thread_pool *pool, uint32_t count, nm_error *error) {
    if (e->episode.agents != NM_EPISODE_NEXUS) return nm_thread_pool_for(pool, count, 1, drive, e, error);
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) status = drive(e, i, 0, error);
    return status;
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
    if (status == NM_OK) count = nm_results_select(rows, count, e->config->scenes, e->config->scene_count);
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
    run.adversary = c->episode.adversary >= 0 ? nm_kind_name((nm_kind)c->episode.adversary) : "";
    return run;
}

nm_status nm_evaluation_run(const nm_evaluation_config *config, nm_results *results, nm_thread_pool *pool,
                            nm_evaluation_report *report, nm_error *error) {
    const double begin = nm_clock();
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
    if (status == NM_OK) status = make_workers(e, nm_thread_pool_threads(pool), error);
    if (status == NM_OK) status = nm_results_begin_run(results, &run, &e->run, error);
    if (status == NM_OK && config->fresh) status = nm_results_forget(results, e->run, error);
    report->run = e->run;
    for (size_t first = 0; status == NM_OK && first < config->scene_count; first += NM_EVALUATION_ROUND) {
        const uint32_t count = plan(e, first);
        status = drive_round(e, pool, count, error);
        const nm_status kept =
            commit(e, count, report, status == NM_OK ? error : NULL); // also what was done until then
        if (status == NM_OK) status = kept;
        if (status == NM_OK && config->progress) config->progress(config->progress_context, count);
    }
    if (status == NM_OK) status = nm_results_end_run(results, e->run, error);
    if (status == NM_OK) status = count_outcomes(e, report, error);
    close_workers(e);
    free(e);
    report->wall_seconds = nm_clock() - begin;
    return status;
}
