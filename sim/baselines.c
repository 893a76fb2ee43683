/// Futures without a model: extrapolated, simulated, or recorded.
#include "sim/baselines.h"

#include <string.h>

#include "base/arena.h"
#include "sim/math.h"
#include "sim/metrics/futures_check.h"
#include "sim/world.h"

#define FRAME_STEPS 5u  // goals are states of the 0.5 s grid
#define GOAL_STEPS 80u  // and within 8 s
#define GOAL_MOVES 0.5f // m, from which on a way has a heading

/// One agent at one step, on its way on.
typedef struct moving {
    float x, y, z, heading, vx, vy;
} moving;

/// What is being made: nm_futures with arrays that can be written.
typedef struct maker {
    const nm_scene *scene;
    const nm_baseline_request *request;
    float *x, *y, *z, *heading;
} maker;

static const char *const names[NM_BASELINE_COUNT] = {"constant_velocity", "straight", "idm", "log"};

const char *nm_baseline_name(nm_baseline kind) {
    NM_ASSERT(kind >= 0 && kind < NM_BASELINE_COUNT);
    return names[kind];
}

int nm_baseline_from_name(const char *name, nm_baseline *kind) {
    NM_ASSERT(name && kind);
    for (int i = 0; i < NM_BASELINE_COUNT; ++i) {
        if (strcmp(name, names[i]) != 0) continue;
        *kind = (nm_baseline)i;
        return 1;
    }
    return 0;
}

nm_baseline_request nm_baseline_request_default(void) {
    return (nm_baseline_request){.samples = 1, .steps = GOAL_STEPS, .idm = nm_idm_named("nearmiss")};
}

uint32_t nm_futures_tracks(const nm_scene *scene, unsigned type_mask, uint32_t *track, uint32_t max) {
    NM_ASSERT(scene && (track || max == 0));
    uint32_t count = 0;
    for (uint32_t a = 0; a < scene->track_count && scene->current_step < scene->step_count; ++a) {
        const nm_track *info = &scene->tracks[a];
        if ((info->flags & NM_TRACK_STATIC) || !((type_mask >> info->type) & 1u)) continue;
        if (!scene->valid[nm_scene_at(scene, a, scene->current_step)]) continue;
        if (count < max) track[count] = a;
        count++;
    }
    return count;
}

// --- parts -----------------------------------------------------------------------------------------------------------

/// The recorded state, where there is one.
static int recorded(const nm_scene *scene, uint32_t track, uint32_t step, moving *m) {
    nm_state state;
    if (step >= scene->step_count || !nm_scene_get_state(scene, track, step, &state)) return 0;
    *m = (moving){state.x, state.y, state.z, state.heading, state.vx, state.vy};
    return 1;
}

static moving current(const maker *m, uint32_t agent) {
    moving state = {0};
    const int valid = recorded(m->scene, m->request->track[agent], m->scene->current_step, &state);
    NM_ASSERT(valid);
    return state;
}

static void put(const maker *m, uint32_t sample, uint32_t agent, uint32_t step, const moving *state) {
    const size_t at = ((size_t)sample * m->request->agents + agent) * m->request->steps + step;
    m->x[at] = state->x;
    m->y[at] = state->y;
    m->z[at] = state->z;
    m->heading[at] = state->heading;
}

/// `steps` steps later, at the velocity of `from`: one product, so that errors do not add up.
static moving later(const moving *from, uint32_t steps) {
    moving state = *from;
    state.x = (float)((double)from->x + 0.1 * steps * (double)from->vx);
    state.y = (float)((double)from->y + 0.1 * steps * (double)from->vy);
    return state;
}

// --- baselines -------------------------------------------------------------------------------------------------------

static void hold_velocity(const maker *m, uint32_t agent) {
    const moving now = current(m, agent);
    for (uint32_t k = 0; k < m->request->steps; ++k) {
        const moving state = later(&now, k + 1);
        put(m, 0, agent, k, &state);
    }
}

static void drive_straight(const maker *m, uint32_t agent) {
    moving now = current(m, agent), goal;
    const uint32_t last = m->request->steps < GOAL_STEPS ? m->request->steps : GOAL_STEPS;
    uint32_t ahead = last - last % FRAME_STEPS;
    while (ahead > 0 && !recorded(m->scene, m->request->track[agent], m->scene->current_step + ahead, &goal))
        ahead -= FRAME_STEPS;
    if (ahead == 0) {
        hold_velocity(m, agent);
        return;
    }
    const float dx = goal.x - now.x, dy = goal.y - now.y, climb = goal.z - now.z;
    if (nm_hypotf(dx, dy) > GOAL_MOVES) now.heading = nm_atan2f(dy, dx);
    now.vx = dx / (0.1f * (float)ahead);
    now.vy = dy / (0.1f * (float)ahead);
    for (uint32_t k = 0; k < m->request->steps; ++k) {
        const uint32_t steps = k + 1;
        moving state = later(&now, steps);
        if (steps == ahead) state.x = goal.x, state.y = goal.y;
        state.z = steps < ahead ? now.z + climb * (float)steps / (float)ahead : goal.z;
        put(m, 0, agent, k, &state);
    }
}

static void replay(const maker *m, uint32_t agent) {
    moving last = current(m, agent);
    uint32_t since = 0; // steps from `last`
    for (uint32_t k = 0; k < m->request->steps; ++k) {
        const int valid = recorded(m->scene, m->request->track[agent], m->scene->current_step + k + 1, &last);
        since = valid ? 0 : since + 1;
        const moving state = later(&last, since);
        put(m, 0, agent, k, &state);
    }
}

/// Steps one world; `last` and `since` are [agents].
static void follow_world(const maker *m, nm_world *world, uint32_t sample, moving *last, uint32_t *since) {
    const nm_baseline_request *request = m->request;
    for (uint32_t a = 0; a < request->agents; ++a) last[a] = current(m, a), since[a] = 0;
    for (uint32_t k = 0; k < request->steps; ++k) {
        nm_world_step(world, NULL, 0, NULL); // an agent whose state broke is frozen where it was
        const nm_world_view view = nm_world_get_view(world);
        for (uint32_t a = 0; a < request->agents; ++a) {
            const uint32_t slot = view.slot_of[request->track[a]];
            if (slot == NM_NONE) {
                since[a]++;
            } else {
                since[a] = 0;
                last[a].x = view.x[slot], last[a].y = view.y[slot], last[a].heading = view.heading[slot];
                last[a].vx = view.vx[slot], last[a].vy = view.vy[slot];
            }
            const moving state = later(&last[a], since[a]);
            put(m, sample, a, k, &state);
        }
    }
}

static nm_status simulate(const maker *m, nm_arena *arena, nm_error *error) {
    const uint32_t agents = m->request->agents;
    nm_world_config config = nm_world_config_default();
    config.start_step = m->scene->current_step;
    config.idm = m->request->idm;
    config.seed = m->request->seed;
    config.spawn_later = 0;
    const nm_arena_mark mark = nm_arena_get_mark(arena);
    moving *last = nm_arena_alloc(arena, agents, sizeof *last, _Alignof(moving));
    uint32_t *since = nm_arena_alloc(arena, agents, sizeof *since, _Alignof(uint32_t));
    if (!last || !since) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u agents", agents);
    nm_world *world;
    const nm_status status = nm_world_create(m->scene, &config, &world, error);
    for (uint32_t r = 0; status == NM_OK && r < m->request->samples; ++r) {
        if (r > 0) nm_world_reset(world, m->request->seed + r);
        follow_world(m, world, r, last, since);
    }
    if (status == NM_OK) nm_world_destroy(world);
    nm_arena_release(arena, mark);
    return status;
}

static void repeat_first_sample(const maker *m) {
    const size_t size = (size_t)m->request->agents * m->request->steps;
    float *const planes[] = {m->x, m->y, m->z, m->heading};
    for (size_t p = 0; p < sizeof planes / sizeof *planes; ++p)
        for (uint32_t r = 1; r < m->request->samples; ++r)
            memcpy(planes[p] + r * size, planes[p], size * sizeof(float));
}

/// Room for all states; NM_E_MEMORY also where their number overflows.
static nm_status reserve(maker *m, nm_arena *arena, nm_error *error) {
    const nm_baseline_request *request = m->request;
    const size_t one = (size_t)request->agents * request->steps, most = SIZE_MAX / sizeof(float);
    if (one > 0 && request->samples > most / one)
        return NM_ERROR(error, NM_E_MEMORY, "%u samples of %u steps of %u agents are too many", request->samples,
                        request->steps, request->agents);
    float **const planes[] = {&m->x, &m->y, &m->z, &m->heading};
    for (size_t p = 0; p < sizeof planes / sizeof *planes; ++p) {
        *planes[p] = nm_arena_alloc(arena, one * request->samples, sizeof(float), 64);
        if (!*planes[p]) return NM_ERROR(error, NM_E_MEMORY, "no memory for %zu states", one * request->samples);
    }
    return NM_OK;
}

static void extrapolate(const maker *m, nm_baseline kind) {
    for (uint32_t a = 0; a < m->request->agents; ++a) {
        if (kind == NM_BASELINE_LOG)
            replay(m, a);
        else if (kind == NM_BASELINE_STRAIGHT)
            drive_straight(m, a);
        else
            hold_velocity(m, a);
    }
    repeat_first_sample(m);
}

nm_status nm_baseline_futures(const nm_scene *scene, nm_baseline kind, const nm_baseline_request *request,
                              nm_arena *arena, nm_futures *futures, nm_error *error) {
    NM_ASSERT(scene && request && arena && futures && kind >= 0 && kind < NM_BASELINE_COUNT);
    NM_ASSERT(request->agents == 0 || request->track);
    if (request->samples == 0 || request->steps == 0 || request->steps > NM_SCENE_MAX_STEPS)
        return NM_ERROR(error, NM_E_ARGUMENT, "cannot make %u samples of %u steps", request->samples, request->steps);
    nm_status status = nm_futures_check(scene, request->track, request->agents, error);
    if (status != NM_OK) return status;
    const nm_arena_mark mark = nm_arena_get_mark(arena);
    maker m = {.scene = scene, .request = request};
    status = reserve(&m, arena, error);
    if (status == NM_OK && kind == NM_BASELINE_IDM)
        status = simulate(&m, arena, error);
    else if (status == NM_OK)
        extrapolate(&m, kind);
    if (status != NM_OK) {
        nm_arena_release(arena, mark);
        return status;
    }
    *futures = (nm_futures){.samples = request->samples,
                            .agents = request->agents,
                            .steps = request->steps,
                            .track = request->track,
                            .x = m.x,
                            .y = m.y,
                            .z = m.z,
                            .heading = m.heading};
    return NM_OK;
}
