#include "scenarios/evaluation_realism.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/evaluation.h"
#include "sim/planner_host.h"

// ---------------------------------------------------------------------------------------------------------------------
// A scene

/// The scene with other flags: the agents are to be predicted, and nobody is the ego.
typedef struct subject {
    nm_scene scene;
    uint32_t *track; ///< [agents] that are there at the start, ascending
    uint32_t agents, scored, steps;
    float *plane[4]; ///< x, y, z, heading: [rollouts][agents][room]
    uint32_t room;   ///< steps
} subject;

static int is_named(const nm_scene *scene, uint32_t ego) {
    for (uint32_t i = 0; i < scene->track_count; ++i)
        if (i != ego && (scene->tracks[i].flags & NM_TRACK_TO_PREDICT)) return 1;
    return 0;
}

/// Room for all rollouts. scored stays 0 where there is nobody to rate.
static nm_status prepare(const nm_scene *scene, uint32_t ego, uint32_t start, uint32_t steps, uint32_t rollouts,
                         nm_arena *arena, subject *s, nm_error *error) {
    nm_track *tracks = NM_ARENA_ARRAY(arena, nm_track, scene->track_count);
    *s = (subject){.scene = *scene, .steps = steps, .room = steps};
    s->track = NM_ARENA_ARRAY(arena, uint32_t, scene->track_count);
    if (!tracks || !s->track) return NM_ERROR(error, NM_E_MEMORY, "out of memory for realism");
    const int named = is_named(scene, ego);
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        nm_track *t = &tracks[i];
        *t = scene->tracks[i];
        const int there = scene->valid[nm_scene_at(scene, i, start)] && !(t->flags & NM_TRACK_STATIC);
        const int wanted = there && i != ego && (!named || (t->flags & NM_TRACK_TO_PREDICT));
        t->flags = (uint8_t)((t->flags & ~(NM_TRACK_TO_PREDICT | NM_TRACK_EGO)) | (wanted ? NM_TRACK_TO_PREDICT : 0u));
        if (there) s->track[s->agents++] = i;
        s->scored += (uint32_t)wanted;
    }
    s->scene.tracks = tracks;
    s->scene.current_step = start;
    s->scene.ego = NM_NONE;
    for (int p = 0; p < 4; ++p) {
        s->plane[p] = NM_ARENA_ARRAY(arena, float, (size_t)rollouts * s->agents * steps);
        if (!s->plane[p]) return NM_ERROR(error, NM_E_MEMORY, "out of memory for realism");
    }
    return NM_OK;
}

/// What was driven, as futures. Who is gone goes on at its last velocity.
static void take(subject *s, uint32_t rollout, const nm_scene *driven) {
    const float dt = driven->dt;
    for (uint32_t a = 0; a < s->agents; ++a) {
        const uint32_t start = s->scene.current_step;
        size_t last = nm_scene_at(driven, s->track[a], start);
        uint32_t since = 0;
        for (uint32_t k = 0; k < s->steps; ++k) {
            const size_t at = nm_scene_at(driven, s->track[a], start + 1 + k);
            since = driven->valid[at] ? 0 : since + 1;
            if (!since) last = at;
            const size_t to = ((size_t)rollout * s->agents + a) * s->room + k;
            s->plane[0][to] = driven->x[last] + (float)since * dt * driven->vx[last];
            s->plane[1][to] = driven->y[last] + (float)since * dt * driven->vy[last];
            s->plane[2][to] = driven->z[last];
            s->plane[3][to] = driven->heading[last];
        }
    }
}

/// One state after the other without what was not driven in every rollout.
static nm_futures futures_of(const subject *s, uint32_t rollouts) {
    for (int p = 0; p < 4 && s->steps < s->room; ++p)
        for (size_t row = 0; row < (size_t)rollouts * s->agents; ++row)
            memmove(s->plane[p] + row * s->steps, s->plane[p] + row * s->room, s->steps * sizeof(float));
    return (nm_futures){.samples = rollouts,
                        .agents = s->agents,
                        .steps = s->steps,
                        .track = s->track,
                        .x = s->plane[0],
                        .y = s->plane[1],
                        .z = s->plane[2],
                        .heading = s->plane[3]};
}

/// Drives once. s->steps: how many of its steps are in all rollouts so far; 0 where nobody can drive.
static nm_status roll_out(nm_episode_work *work, const nm_scene *scene, nm_planner *expert,
                          const nm_episode_config *episode, uint32_t rollout, subject *s, nm_error *error) {
    nm_episode_config config = *episode;
    nm_episode drive;
    config.perfect = 1;
    config.keep_scene = 1;
    config.deadline = 0.0f;
    config.seed += 1 + rollout;
    const nm_status status = nm_episode_run(work, scene, expert, &config, &drive, error);
    if (status != NM_OK) return status;
    const uint32_t driven = drive.outcome == NM_EPISODE_DONE && drive.scene ? drive.samples - 1 : 0;
    s->steps = driven < s->steps ? driven : s->steps;
    if (s->steps) take(s, rollout, drive.scene);
    nm_scene_destroy(drive.scene);
    return NM_OK;
}

nm_status nm_evaluation_realism_of(nm_episode_work *work, const nm_scene *scene, nm_planner *expert,
                                   const nm_episode_config *episode, uint32_t rollouts, nm_arena *arena,
                                   nm_realism *out, int *rated, nm_error *error) {
    NM_ASSERT(work && scene && expert && episode && rollouts && arena && out && rated);
    uint32_t ego, start, last;
    subject s;
    *rated = 0;
    if (!nm_episode_span(scene, episode, &ego, &start, &last) || last <= start) return NM_OK;
    nm_status status = prepare(scene, ego, start, last - start, rollouts, arena, &s, error);
    if (status != NM_OK || !s.scored) return status;
    for (uint32_t r = 0; status == NM_OK && r < rollouts && s.steps; ++r)
        status = roll_out(work, scene, expert, episode, r, &s, error);
    if (status != NM_OK || !s.steps) return status;
    const nm_futures futures = futures_of(&s, rollouts);
    status = nm_realism_score(&s.scene, &futures, NULL, arena, out, error);
    *rated = status == NM_OK;
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// All scenes

typedef struct worker {
    nm_store *store;
    nm_planner *expert;
    nm_episode_work *work;
    nm_arena *arena;
} worker;

typedef struct rating {
    const nm_evaluation_realism_config *config;
    nm_episode_config episode;
    worker *workers;
    nm_realism *of;  ///< [scenes]
    uint8_t *rated;  ///< [scenes]
    double *metas;   ///< [scenes] of those that are rated, one after the other
    uint32_t *group; ///< the same
} rating;

static nm_status open_worker(const rating *r, worker *w, nm_error *error) {
    if (w->expert) return NM_OK;
    if (!w->work) w->work = nm_episode_work_create();
    if (!w->arena) w->arena = nm_arena_create(0);
    if (!w->work || !w->arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory for realism");
    const nm_status status = w->store ? NM_OK : nm_store_open(r->config->store, NM_STORE_READ, &w->store, error);
    return status == NM_OK ? nm_planner_named("expert", "", &w->expert, error) : status;
}

/// One that cannot be read, driven in or rated is left out.
static nm_status rate(void *context, size_t index, int thread, nm_error *error) {
    rating *r = context;
    worker *w = &r->workers[thread];
    nm_error why;
    nm_error_clear(&why);
    const nm_scene *scene = NULL;
    int rated = 0;
    nm_status status = open_worker(r, w, error);
    if (status != NM_OK) return status;
    nm_arena_reset(w->arena);
    status = nm_evaluation_scene(w->store, r->config->scenes[index], &scene, &why);
    if (status == NM_OK)
        status = nm_evaluation_realism_of(w->work, scene, w->expert, &r->episode, r->config->rollouts, w->arena,
                                          &r->of[index], &rated, &why);
    nm_scene_destroy(scene);
    r->rated[index] = (uint8_t)rated;
    const int machine = status == NM_E_MEMORY || status == NM_E_CANCELLED || status == NM_E_BUSY || status == NM_E_IO;
    if (machine && error) *error = why;
    return machine ? status : NM_OK;
}

/// In rounds, for the progress.
static nm_status rate_all(rating *r, nm_thread_pool *pool, nm_error *error) {
    const nm_evaluation_realism_config *c = r->config;
    nm_status status = NM_OK;
    const size_t round = c->episode.agents == NM_EPISODE_NEXUS ? 1 : 16;
    nm_realism *all = r->of;
    uint8_t *rated = r->rated;
    nm_evaluation_realism_config part = *c;
    for (size_t first = 0; status == NM_OK && first < c->scene_count; first += round) {
        const size_t left = c->scene_count - first, count = left < round ? left : round;
        part.scenes = c->scenes + first;
        rating now = *r;
        now.config = &part;
        now.of = all + first;
        now.rated = rated + first;
        status = round == 1 ? rate(&now, 0, 0, error) : nm_thread_pool_for(pool, count, 1, rate, &now, error);
        if (status == NM_OK && c->progress) c->progress(c->progress_context, count);
    }
    return status;
}

static nm_status sum_up(rating *r, nm_evaluation_realism *out, nm_error *error) {
    const nm_evaluation_realism_config *c = r->config;
    for (size_t i = 0; i < c->scene_count; ++i) {
        if (!r->rated[i]) continue;
        r->of[out->scenes] = r->of[i];
        r->metas[out->scenes] = r->of[i].meta;
        r->group[out->scenes++] = c->group ? c->group[i] : (uint32_t)i;
    }
    out->skipped = c->scene_count - out->scenes;
    if (out->scenes) out->mean = nm_realism_mean(r->of, out->scenes);
    nm_arena *arena = nm_arena_create(0);
    if (!arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory for realism");
    const nm_status status = nm_evaluation_mean(r->metas, r->group, out->scenes, NULL, arena, &out->meta, error);
    nm_arena_destroy(arena);
    return status;
}

nm_status nm_evaluation_realism_run(const nm_evaluation_realism_config *config, nm_thread_pool *pool,
                                    nm_evaluation_realism *out, nm_error *error) {
    NM_ASSERT(config && pool && out);
    *out = (nm_evaluation_realism){.rollouts = config->rollouts, .meta = {.value = NAN, .low = NAN, .high = NAN}};
    if (!config->rollouts) return NM_ERROR(error, NM_E_ARGUMENT, "realism needs at least one rollout");
    const int threads = nm_thread_pool_threads(pool);
    const size_t room = config->scene_count + 1;
    rating r = {.config = config, .episode = config->episode};
    r.episode.stop = config->stop;
    r.episode.stop_context = config->stop_context;
    r.workers = calloc((size_t)threads, sizeof *r.workers);
    r.of = calloc(room, sizeof *r.of);
    r.rated = calloc(room, 1);
    r.metas = calloc(room, sizeof *r.metas);
    r.group = calloc(room, sizeof *r.group);
    nm_status status = nm_episode_check(&r.episode, error);
    if (status == NM_OK && !(r.workers && r.of && r.rated && r.metas && r.group))
        status = NM_ERROR(error, NM_E_MEMORY, "out of memory for realism");
    if (status == NM_OK) status = rate_all(&r, pool, error);
    if (status == NM_OK) status = sum_up(&r, out, error);
    for (int i = 0; r.workers && i < threads; ++i) {
        nm_planner_destroy(r.workers[i].expert);
        nm_store_close(r.workers[i].store);
        nm_episode_work_destroy(r.workers[i].work);
        nm_arena_destroy(r.workers[i].arena);
    }
    free(r.workers);
    free(r.of);
    free(r.rated);
    free(r.metas);
    free(r.group);
    return status;
}
