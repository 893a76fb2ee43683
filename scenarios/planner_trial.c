#include "scenarios/planner_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/audit.h"
#include "sim/world_box.h"

#define CONTACTS_EACH 16u // as many as a world keeps of an agent
#define BATCH 64u

// --- one run ---------------------------------------------------------------------------------------------------------

// Whom the ego came to touch in this step; NM_NONE = nobody. Who appears on top of it because the recording begins
// there was not hit.
static uint32_t struck(const nm_scene *scene, uint32_t step, const nm_contact *contacts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const nm_contact *c = &contacts[i];
        if (!c->started || (c->first != scene->ego && c->second != scene->ego)) continue;
        const uint32_t other = c->first == scene->ego ? c->second : c->first;
        if (scene->tracks[other].first_step < step) return other;
    }
    return NM_NONE;
}

static int is_at_fault(const nm_world *world, const nm_scene *scene, uint32_t other) {
    const nm_world_view view = nm_world_get_view(world);
    const uint32_t a = view.slot_of[scene->ego], b = view.slot_of[other];
    if (a == NM_NONE || b == NM_NONE) return 0;
    const nm_box ego = nm_world_box(&view, a), box = nm_world_box(&view, b);
    const nm_criticality_params params = nm_criticality_params_default();
    const nm_collision collision = nm_classify_collision(&ego, &box, (nm_agent_type)scene->tracks[scene->ego].type,
                                                         (nm_agent_type)scene->tracks[other].type, &params);
    return collision.fault == NM_FAULT_FIRST || collision.fault == NM_FAULT_BOTH;
}

/// contacts  [CONTACTS_EACH * track_count] scratch
static void drive(nm_world *world, const nm_scene *scene, const nm_audit_case *about, uint32_t from, uint32_t to,
                  nm_contact *contacts, nm_trial *trial) {
    const size_t room = (size_t)CONTACTS_EACH * scene->track_count;
    trial->runs++;
    for (uint32_t t = from + 1; t <= to; t++) {
        size_t count;
        for (uint32_t i = 0; i < about->staged_count; i++)
            nm_world_set_policy(world, about->staged[i], NM_POLICY_LOG); // as soon as it is there
        nm_world_step(world, contacts, room, &count); // who becomes non-finite is frozen, and goes on as that
        trial->steps++;
        const uint32_t other = struck(scene, t, contacts, count < room ? count : room);
        if (other != NM_NONE) {
            trial->collided++;
            trial->at_fault += (uint64_t)is_at_fault(world, scene, other);
            return;
        }
        if (nm_world_track_events(world, scene->ego) & NM_AGENT_LEFT) return;
    }
}

static nm_status run(const nm_scene *scene, const nm_audit_case *about, uint32_t ego, uint32_t from, uint32_t to,
                     const nm_world_config *config, nm_trial *trial, nm_error *error) {
    nm_scene seen = *scene; // the same, seen from another ego
    nm_world_config own = *config;
    nm_world *world;
    seen.ego = ego;
    own.start_step = from;
    own.checks = NM_CHECK_COLLISION;
    // all of them: the ego's may be the last ones
    nm_contact *contacts = malloc((size_t)CONTACTS_EACH * scene->track_count * sizeof *contacts);
    if (!contacts) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a trial");
    const nm_status status = nm_world_create(&seen, &own, &world, error);
    if (status == NM_OK) {
        drive(world, &seen, about, from, to, contacts, trial);
        nm_world_destroy(world);
    }
    free(contacts);
    return status;
}

// --- one scene -------------------------------------------------------------------------------------------------------

// The steps that it is recorded for, from the current one on; 0 when that is not enough.
static int takes_turn(const nm_scene *scene, uint32_t track, uint32_t *from, uint32_t *to) {
    const nm_track *info = &scene->tracks[track];
    const uint8_t *valid = scene->valid + nm_scene_at(scene, track, 0);
    if ((info->flags & NM_TRACK_STATIC) || !nm_agent_type_vehicle((nm_agent_type)info->type)) return 0;
    uint32_t t = info->first_step > scene->current_step ? info->first_step : scene->current_step;
    while (t < scene->step_count && !valid[t]) t++;
    *from = *to = t;
    while (*to + 1 < scene->step_count && valid[*to + 1]) ++*to;
    if (t >= scene->step_count || *to - *from < NM_TRIAL_STEPS) return 0;
    const size_t a = nm_scene_at(scene, track, *from), b = nm_scene_at(scene, track, *to);
    return hypotf(scene->x[b] - scene->x[a], scene->y[b] - scene->y[a]) >= NM_TRIAL_WAY;
}

nm_status nm_trial_scene(const nm_scene *scene, const nm_world_config *config, nm_trial *trial, nm_error *error) {
    NM_ASSERT(scene && config && trial);
    const uint64_t before = trial->runs;
    nm_audit_case about;
    nm_status status = NM_OK;
    if (nm_audit_read_case(scene, &about, NULL) != NM_OK) about.staged_count = 0; // a recording
    if (scene->ego != NM_NONE) {
        uint32_t last = scene->tracks[scene->ego].last_step;
        const int there = scene->valid[nm_scene_at(scene, scene->ego, scene->current_step)];
        if (there && last > scene->current_step)
            status = run(scene, &about, scene->ego, scene->current_step, last, config, trial, error);
    }
    for (uint32_t track = 0; status == NM_OK && scene->ego == NM_NONE && track < scene->track_count; track++) {
        uint32_t from, to;
        if (takes_turn(scene, track, &from, &to)) status = run(scene, &about, track, from, to, config, trial, error);
    }
    trial->scenes += trial->runs > before;
    return status;
}

// --- a store ---------------------------------------------------------------------------------------------------------

typedef struct trials {
    const char *path;
    int generated;
    nm_trial_filter *filter;
    void *context;
    const nm_world_config *config;
    nm_store **stores; ///< one a thread
    nm_arena **arenas;
    const int64_t *ids;
    nm_trial found[BATCH];
} trials;

static nm_status fetch(nm_store *store, int64_t id, const nm_scene **ready, nm_error *error) {
    const nm_scene *scene;
    nm_status status = nm_store_get_scene(store, id, &scene, error);
    if (status != NM_OK) return status;
    *ready = scene;
    if (fabsf(scene->dt - NM_STEP_SECONDS) <= 1e-4f) return NM_OK;
    status = nm_scene_resample(scene, (double)NM_STEP_SECONDS, ready, error);
    nm_scene_destroy(scene);
    return status;
}

/// 1 = it is one of those that take part: generated ones, or recordings.
static nm_status is_of_trial(const trials *t, int64_t id, int thread, int *takes_part, nm_error *error) {
    nm_generated row;
    nm_arena_reset(t->arenas[thread]);
    const nm_status status = nm_store_get_generated(t->stores[thread], id, t->arenas[thread], &row, error);
    *takes_part = t->generated ? status == NM_OK : status == NM_E_NOT_FOUND;
    if (status != NM_E_NOT_FOUND) return status;
    nm_error_clear(error);
    return NM_OK;
}

static nm_status try_scene(const trials *t, int64_t id, int thread, nm_trial *found, nm_error *error) {
    const nm_scene *scene;
    int takes_part;
    nm_status status = is_of_trial(t, id, thread, &takes_part, error);
    if (status != NM_OK || !takes_part) return status;
    status = fetch(t->stores[thread], id, &scene, error);
    if (status != NM_OK) return status;
    takes_part = t->generated || strcmp(scene->provenance.source, "nexus") != 0; // a model's futures are no recordings
    if (takes_part && (!t->filter || t->filter(t->context, scene)))
        status = nm_trial_scene(scene, t->config, found, error);
    nm_scene_destroy(scene);
    return status;
}

static nm_status try_one(void *context, size_t index, int thread, nm_error *error) {
    trials *t = context;
    nm_trial *found = &t->found[index];
    nm_error why;
    memset(found, 0, sizeof *found);
    nm_error_clear(&why);
    const nm_status status = try_scene(t, t->ids[index], thread, found, &why);
    if (status == NM_E_MEMORY || status == NM_E_CANCELLED) *error = why;
    if (status == NM_OK || status == NM_E_MEMORY || status == NM_E_CANCELLED) return status;
    *found = (nm_trial){.unreadable = 1}; // the others go on
    return NM_OK;
}

static nm_status try_all(trials *t, size_t count, nm_thread_pool *pool, nm_trial *trial, nm_error *error) {
    const int64_t *ids = t->ids;
    nm_status status = NM_OK;
    for (size_t at = 0; status == NM_OK && at < count; at += BATCH) {
        const size_t some = count - at < BATCH ? count - at : BATCH;
        t->ids = ids + at;
        status = nm_thread_pool_for(pool, some, 1, try_one, t, error);
        for (size_t i = 0; status == NM_OK && i < some; i++) {
            trial->scenes += t->found[i].scenes;
            trial->runs += t->found[i].runs;
            trial->steps += t->found[i].steps;
            trial->collided += t->found[i].collided;
            trial->at_fault += t->found[i].at_fault;
            trial->unreadable += t->found[i].unreadable;
        }
        if (status == NM_OK && t->config->stop && t->config->stop(t->config->stop_context))
            status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    return status;
}

static nm_status open_stores(trials *t, int threads, nm_error *error) {
    t->stores = calloc((size_t)threads, sizeof *t->stores);
    t->arenas = calloc((size_t)threads, sizeof *t->arenas);
    if (!t->stores || !t->arenas) return NM_ERROR(error, NM_E_MEMORY, "out of memory for trials");
    for (int i = 0; i < threads; i++) {
        const nm_status status = nm_store_open(t->path, NM_STORE_READ, &t->stores[i], error);
        if (status != NM_OK) return status;
        t->arenas[i] = nm_arena_create(0);
        if (!t->arenas[i]) return NM_ERROR(error, NM_E_MEMORY, "out of memory for trials");
    }
    return NM_OK;
}

nm_status nm_trial_store(const char *path, int generated, nm_trial_filter *filter, void *context,
                         const nm_world_config *config, nm_thread_pool *pool, nm_trial *trial, nm_error *error) {
    NM_ASSERT(path && config && pool && trial);
    const int threads = nm_thread_pool_threads(pool);
    trials t = {.path = path, .generated = generated, .filter = filter, .context = context, .config = config};
    nm_arena *arena = nm_arena_create(0);
    int64_t *ids;
    size_t count;
    memset(trial, 0, sizeof *trial);
    nm_status status = arena ? open_stores(&t, threads, error) : NM_ERROR(error, NM_E_MEMORY, "out of memory");
    if (status == NM_OK) status = nm_store_scene_ids(t.stores[0], -1, arena, &ids, &count, error);
    if (status == NM_OK) {
        t.ids = ids;
        status = try_all(&t, count, pool, trial, error);
    }
    if (status == NM_OK && !trial->runs)
        status = NM_ERROR_AT(error, NM_E_NOT_FOUND, path, 0, -1, "holds nobody for the planner to drive");
    for (int i = 0; i < threads; i++) {
        if (t.stores) nm_store_close(t.stores[i]);
        if (t.arenas) nm_arena_destroy(t.arenas[i]);
    }
    free(t.stores);
    free(t.arenas);
    nm_arena_destroy(arena);
    return status;
}
