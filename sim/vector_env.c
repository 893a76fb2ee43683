#include "sim/vector_env.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "sim/math.h"
#include "sim/observation.h"
#include "sim/vector_private.h"

nm_vector_env_config nm_vector_env_config_default(void) {
    return (nm_vector_env_config){
        .env_count = 64,
        .action_steps = 1,
        .others = NM_POLICY_IDM,
        .idm = nm_idm_named("nearmiss"),
        .start_step = NM_NONE,
        .max_steps = 200,
        .shuffle = 1,
        .end_on_collision = 1,
        .end_off_road = 1,
        .neighbours = 8,
        .neighbour_radius = 60.0f,
        .lane_points = 10,
        .route_points = 10,
        .point_spacing = 5.0f,
        .progress_reward = 0.1f,
        .collision_reward = -10.0f,
        .off_road_reward = -10.0f,
        .wrong_way_reward = -0.1f,
        .goal_reward = 1.0f,
    };
}

// ---------------------------------------------------------------------------------------------------------------------
// Creation

static nm_status check_config(const nm_vector_env_config *c, nm_error *error) {
    if (c->env_count < 1 || c->env_count > 65536)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u environments are not in 1..65536", c->env_count);
    if (!c->scenes || c->scene_count == 0) return NM_ERROR(error, NM_E_ARGUMENT, "there is no scene to drive in");
    if (c->control >= NM_VECTOR_CONTROL_COUNT || c->action >= NM_VECTOR_ACTION_COUNT ||
        c->autoreset >= NM_VECTOR_AUTORESET_COUNT)
        return NM_ERROR(error, NM_E_ARGUMENT, "control %d, action %d or autoreset %d does not exist", (int)c->control,
                        (int)c->action, (int)c->autoreset);
    if (c->action_steps < 1 || c->action_steps > NM_VECTOR_MAX_ACTION_STEPS)
        return NM_ERROR(error, NM_E_ARGUMENT, "an action of %u steps is not in 1..%u", c->action_steps,
                        NM_VECTOR_MAX_ACTION_STEPS);
    if (c->agents > NM_VECTOR_MAX_AGENTS)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u agents an environment: at most %u", c->agents, NM_VECTOR_MAX_AGENTS);
    if (c->others != NM_POLICY_IDM && c->others != NM_POLICY_LOG && c->others != NM_POLICY_CONSTANT_VELOCITY)
        return NM_ERROR(error, NM_E_ARGUMENT, "the others drive by idm, log or constant_velocity");
    if (c->max_steps == 0) return NM_ERROR(error, NM_E_ARGUMENT, "an episode of no steps");
    if (c->neighbours > NM_VECTOR_MAX_ROWS || c->lane_points > NM_VECTOR_MAX_ROWS ||
        c->route_points > NM_VECTOR_MAX_ROWS)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u neighbours, %u lane points, %u route points: at most %u each",
                        c->neighbours, c->lane_points, c->route_points, NM_VECTOR_MAX_ROWS);
    if (!(c->neighbour_radius >= 1.0f && c->neighbour_radius <= 1000.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "a neighbour radius of %g m is not in 1..1000",
                        (double)c->neighbour_radius);
    if (!(c->point_spacing >= 0.5f && c->point_spacing <= 50.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "points %g m apart are not in 0.5..50", (double)c->point_spacing);
    const float rewards[] = {c->progress_reward, c->collision_reward, c->off_road_reward, c->wrong_way_reward,
                             c->goal_reward};
    for (size_t i = 0; i < sizeof rewards / sizeof *rewards; ++i)
        if (!isfinite(rewards[i])) return NM_ERROR(error, NM_E_ARGUMENT, "a reward is not finite");
    return nm_idm_check(c->idm, error);
}

static uint32_t recorded_from(const nm_scene *scene, uint32_t track, uint32_t start) {
    uint32_t steps = 0;
    while (start + steps < scene->step_count && scene->valid[nm_scene_at(scene, track, start + steps)]) ++steps;
    return steps;
}

/// The scene's ego if it is there at the start, else the motor vehicle recorded longest from then on, the first of
/// several; NM_NONE = there is none.
static uint32_t find_ego(const nm_scene *scene, uint32_t start) {
    if (scene->ego != NM_NONE) return recorded_from(scene, scene->ego, start) ? scene->ego : NM_NONE;
    uint32_t best = NM_NONE, longest = 0;
    for (uint32_t track = 0; track < scene->track_count; ++track) {
        const nm_track *info = &scene->tracks[track];
        if (info->flags & NM_TRACK_STATIC || !nm_agent_type_vehicle((nm_agent_type)info->type)) continue;
        const uint32_t steps = recorded_from(scene, track, start);
        if (steps <= longest) continue;
        best = track;
        longest = steps;
    }
    return best;
}

static int drives(const nm_scene *scene, uint32_t track, uint32_t start) {
    const nm_track *info = &scene->tracks[track];
    return !(info->flags & NM_TRACK_STATIC) && scene->valid[nm_scene_at(scene, track, start)] &&
           (nm_agent_type_vehicle((nm_agent_type)info->type) || info->type == NM_AGENT_CYCLIST);
}

static nm_world_config world_config(const nm_vector_env *env, const nm_vector_stage *stage, uint64_t seed) {
    nm_world_config config = nm_world_config_default();
    config.seed = seed;
    config.start_step = stage->start_step;
    config.agents = config.ego = env->config.others;
    config.idm = env->config.idm;
    return config;
}

/// Who is controlled in scene `index`, and what a world over it takes.
static nm_status set_stage(nm_vector_env *env, uint32_t index, nm_error *error) {
    const nm_vector_env_config *c = &env->config;
    const nm_scene *scene = c->scenes[index];
    nm_vector_stage *stage = &env->stages[index];
    stage->start_step = c->start_step == NM_NONE ? scene->current_step : c->start_step;
    nm_error why;
    nm_error_clear(&why);
    const nm_world_config config = world_config(env, stage, 0);
    size_t bytes;
    const nm_status status = nm_world_measure(scene, &config, &bytes, &why);
    if (status != NM_OK) return NM_ERROR(error, status, "scene %u: %s", index, why.message);
    if (bytes > env->world_bytes) env->world_bytes = bytes;
    if (c->others == NM_POLICY_LOG && stage->start_step + 1 >= scene->step_count)
        return NM_ERROR(error, NM_E_ARGUMENT, "scene %u has nothing recorded after step %u to replay", index,
                        stage->start_step);
    const uint32_t ego = find_ego(scene, stage->start_step);
    uint32_t most = c->control == NM_VECTOR_EGO ? 1 : c->agents ? c->agents : scene->track_count;
    if (most > scene->track_count) most = scene->track_count;
    stage->track = calloc((size_t)most + 1, sizeof *stage->track);
    stage->route = calloc((size_t)most + 1, sizeof *stage->route);
    if (!stage->track || !stage->route) return NM_ERROR(error, NM_E_MEMORY, "no memory for the agents of a scene");
    if (ego != NM_NONE) stage->track[stage->agents++] = ego;
    for (uint32_t track = 0; c->control == NM_VECTOR_ALL && track < scene->track_count; ++track)
        if (track != ego && stage->agents < most && drives(scene, track, stage->start_step))
            stage->track[stage->agents++] = track;
    if (stage->agents == 0)
        return NM_ERROR(error, NM_E_ARGUMENT, "scene %u has nobody to control at step %u", index, stage->start_step);
    if (stage->agents > env->rows) env->rows = stage->agents;
    return NM_OK;
}

/// The routes of a scene's agents: a scene whose ego is another is a copy of the struct.
static nm_status find_routes(void *context, size_t index, int worker, nm_error *error) {
    (void)worker;
    nm_vector_env *env = context;
    nm_vector_stage *stage = &env->stages[index];
    for (uint32_t i = 0; i < stage->agents; ++i) {
        nm_scene scene = *env->config.scenes[index];
        scene.ego = stage->track[i];
        const nm_status status = nm_route_of_scene(&scene, stage->start_step, &stage->route[i], error);
        if (status == NM_E_MEMORY) return status;
    }
    return NM_OK;
}

static nm_status make_worlds(nm_vector_env *env, nm_error *error) {
    const uint32_t count = env->config.env_count;
    env->worlds = calloc(count, sizeof *env->worlds);
    for (uint32_t e = 0; env->worlds && e < count; ++e) {
        nm_vector_world *w = &env->worlds[e];
        w->memory = aligned_alloc(64, env->world_bytes);
        w->agent = calloc(env->rows, sizeof *w->agent);
        w->seed = env->config.seed + e;
        if (!w->memory || !w->agent) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u worlds", count);
    }
    if (!env->worlds) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u worlds", count);
    env->bytes = sizeof *env + count * (sizeof *env->worlds + env->world_bytes + env->rows * sizeof(nm_vector_agent));
    return NM_OK;
}

nm_status nm_vector_env_create(const nm_vector_env_config *config, nm_vector_env **out, nm_error *error) {
    NM_ASSERT(config && out);
    static const uint8_t action_size[NM_VECTOR_ACTION_COUNT] = {2, 3, 0};
    *out = NULL;
    nm_status status = check_config(config, error);
    if (status != NM_OK) return status;
    nm_vector_env *env = calloc(1, sizeof *env);
    if (!env) return NM_ERROR(error, NM_E_MEMORY, "no memory for environments");
    env->config = *config;
    env->action_size = action_size[config->action];
    if (config->action == NM_VECTOR_WAYPOINT) env->action_size *= config->action_steps;
    env->rows = config->control == NM_VECTOR_ALL && config->agents ? config->agents : 1;
    nm_vector_lay_out(env);
    env->stages = calloc(config->scene_count, sizeof *env->stages);
    if (!env->stages) status = NM_ERROR(error, NM_E_MEMORY, "no memory for %u scenes", config->scene_count);
    if (status == NM_OK) status = nm_thread_pool_create(config->threads, &env->pool, error);
    for (uint32_t i = 0; status == NM_OK && i < config->scene_count; ++i) status = set_stage(env, i, error);
    if (status == NM_OK) status = nm_thread_pool_for(env->pool, config->scene_count, 1, find_routes, env, error);
    if (status == NM_OK) status = make_worlds(env, error);
    if (status == NM_OK)
        *out = env;
    else
        nm_vector_env_destroy(env);
    return status;
}

void nm_vector_env_destroy(nm_vector_env *env) {
    if (!env) return;
    nm_thread_pool_destroy(env->pool);
    for (uint32_t i = 0; env->stages && i < env->config.scene_count; ++i) {
        for (uint32_t k = 0; k < env->stages[i].agents; ++k) nm_route_destroy(env->stages[i].route[k]);
        free(env->stages[i].route);
        free(env->stages[i].track);
    }
    for (uint32_t e = 0; env->worlds && e < env->config.env_count; ++e) {
        free(env->worlds[e].memory);
        free(env->worlds[e].agent);
    }
    free(env->stages);
    free(env->worlds);
    free(env);
}

// ---------------------------------------------------------------------------------------------------------------------
// Episodes

static uint32_t next_scene(const nm_vector_env *env, uint32_t e) {
    const nm_vector_world *w = &env->worlds[e];
    const uint32_t count = env->config.scene_count;
    if (!env->config.shuffle) return (uint32_t)((e + w->episode * env->config.env_count) % count);
    const nm_rng_key key = {.seed = w->seed, .scene = w->episode, .agent = e, .step = 0, .purpose = NM_PURPOSE_EXAMPLE};
    return nm_rng_below(&key, 0, count);
}

static float project(const nm_planner_route *route, float x, float y, float near) {
    return nm_route_project(route, x, y, near, NULL);
}

static void seat_agents(nm_vector_env *env, nm_vector_world *w) {
    const nm_vector_stage *stage = &env->stages[w->scene];
    const nm_world_view view = nm_world_get_view(w->world);
    w->agents = stage->agents;
    for (uint32_t i = 0; i < stage->agents; ++i) {
        const uint32_t track = stage->track[i], slot = view.slot_of[track];
        nm_vector_agent *agent = &w->agent[i];
        *agent = (nm_vector_agent){.track = track, .known = view.events[track], .done = slot == NM_NONE};
        if (agent->done) continue;
        agent->route = stage->route[i] ? nm_route_get(stage->route[i]) : NULL;
        if (agent->route) agent->route_at = project(agent->route, view.x[slot], view.y[slot], -1.0f);
        agent->wheelbase =
            nm_planner_vehicle_of((nm_agent_type)view.type[slot], view.length[slot], view.width[slot]).wheelbase;
        if (env->config.action != NM_VECTOR_NO_ACTION) nm_world_set_policy(w->world, track, NM_POLICY_EXTERNAL);
    }
}

/// Observations and what else describes the episode as it stands.
static void show(nm_vector_env *env, uint32_t e) {
    const nm_vector_world *w = &env->worlds[e];
    const size_t at = (size_t)e * env->rows;
    for (uint32_t i = 0; i < env->rows; ++i) {
        nm_vector_observe(env, w, i, env->out.observation + (at + i) * env->features);
        env->out.active[at + i] = i < w->agents && !w->agent[i].done && !w->over;
    }
    if (env->out.scene) env->out.scene[e] = w->scene;
    if (env->out.step) env->out.step[e] = w->steps;
}

/// Begins episode w->episode. Everything was checked at creation, so this can not fail.
static void begin(nm_vector_env *env, uint32_t e) {
    nm_vector_world *w = &env->worlds[e];
    const uint32_t scene = next_scene(env, e);
    const uint64_t seed = w->seed + w->episode * env->config.env_count;
    if (w->world && w->scene == scene) {
        nm_world_reset(w->world, seed);
    } else {
        const nm_world_config config = world_config(env, &env->stages[scene], seed);
        const nm_status status =
            nm_world_create_in(w->memory, env->world_bytes, env->config.scenes[scene], &config, &w->world, NULL);
        NM_ASSERT(status == NM_OK);
    }
    w->scene = scene;
    w->steps = 0;
    w->begun = 1;
    w->over = 0;
    seat_agents(env, w);
}

static void clear_results(nm_vector_env *env, uint32_t e) {
    const size_t at = (size_t)e * env->rows;
    memset(env->out.reward + at, 0, sizeof(float) * env->rows);
    memset(env->out.events + at, 0, sizeof(uint32_t) * env->rows);
    memset(env->out.progress + at, 0, sizeof(float) * env->rows);
    env->out.terminated[e] = env->out.truncated[e] = 0;
}

void nm_vector_env_bind(nm_vector_env *env, const nm_vector_buffers *buffers) {
    NM_ASSERT(buffers->observation && buffers->reward && buffers->terminated && buffers->truncated && buffers->active &&
              buffers->events && buffers->progress);
    env->out = *buffers;
}

typedef struct reset_order {
    nm_vector_env *env;
    const uint64_t *seed;
    const uint8_t *mask;
} reset_order;

static nm_status reset_one(void *context, size_t index, int worker, nm_error *error) {
    (void)worker;
    (void)error;
    const reset_order *order = context;
    nm_vector_world *w = &order->env->worlds[index];
    const uint32_t e = (uint32_t)index;
    if (order->mask && !order->mask[index]) return NM_OK;
    if (order->seed) w->seed = *order->seed + e;
    w->episode = order->seed || !w->begun ? 0 : w->episode + 1;
    begin(order->env, e);
    clear_results(order->env, e);
    show(order->env, e);
    return NM_OK;
}

nm_status nm_vector_env_reset(nm_vector_env *env, const uint64_t *seed, const uint8_t *mask, nm_error *error) {
    NM_ASSERT(env->out.observation);
    reset_order order = {env, seed, mask};
    return nm_thread_pool_for(env->pool, env->config.env_count, 1, reset_one, &order, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Steps

/// NM_OK when every action that counts is finite and every episode may be stepped.
static nm_status check_step(const nm_vector_env *env, const float *actions, nm_error *error) {
    const uint32_t size = env->action_size;
    for (uint32_t e = 0; e < env->config.env_count; ++e) {
        const nm_vector_world *w = &env->worlds[e];
        if (!w->begun) return NM_ERROR(error, NM_E_ARGUMENT, "environment %u was never reset", e);
        if (w->over && env->config.autoreset == NM_VECTOR_DISABLED)
            return NM_ERROR(error, NM_E_ARGUMENT, "the episode of environment %u is over: reset it", e);
        if (w->over) continue;
        for (uint32_t i = 0; i < w->agents; ++i) {
            const float *action = actions ? actions + ((size_t)e * env->rows + i) * size : NULL;
            for (uint32_t k = 0; !w->agent[i].done && k < size; ++k)
                if (!isfinite(action[k]))
                    return NM_ERROR(error, NM_E_NUMERIC, "environment %u, agent %u: action %u is not finite", e, i, k);
        }
    }
    return NM_OK;
}

/// The agents' frames, in which waypoints are.
static void begin_action(nm_vector_world *w) {
    const nm_world_view view = nm_world_get_view(w->world);
    for (uint32_t i = 0; i < w->agents; ++i) {
        nm_vector_agent *agent = &w->agent[i];
        const uint32_t slot = view.slot_of[agent->track];
        if (slot == NM_NONE) continue;
        agent->x = view.x[slot], agent->y = view.y[slot], agent->heading = view.heading[slot];
        agent->cos_h = view.cos_h[slot], agent->sin_h = view.sin_h[slot];
    }
}

/// In the agent's frame as the action began.
typedef struct waypoint {
    float x, y, turn;
} waypoint;

static waypoint waypoint_of(const float *action) {
    const float reach = 1e4f;
    return (waypoint){nm_clampf(action[0], -reach, reach), nm_clampf(action[1], -reach, reach),
                      nm_clampf(action[2], -NM_PI_F, NM_PI_F)};
}

/// To waypoint `step` of the action from the one before it.
static void go_to(nm_world *world, const nm_vector_agent *agent, const float *action, uint32_t step) {
    const waypoint from = step ? waypoint_of(action + 3 * (step - 1)) : (waypoint){0.0f, 0.0f, 0.0f};
    const waypoint to = waypoint_of(action + 3 * step);
    const float dx = to.x - from.x, dy = to.y - from.y, way = nm_hypotf(dx, dy);
    float sine, cosine;
    nm_sincosf(from.turn, &sine, &cosine);
    nm_world_set_state(world, agent->track, agent->x + agent->cos_h * to.x - agent->sin_h * to.y,
                       agent->y + agent->sin_h * to.x + agent->cos_h * to.y, agent->heading + to.turn,
                       (cosine * dx + sine * dy < 0.0f ? -way : way) / NM_STEP_SECONDS);
}

/// What agent `i` does in step `step` of its action.
static void command(const nm_vector_env *env, nm_vector_world *w, const nm_world_view *view, uint32_t i,
                    const float *action, uint32_t step) {
    const nm_vector_agent *agent = &w->agent[i];
    const uint32_t slot = view->slot_of[agent->track];
    if (slot == NM_NONE || env->config.action == NM_VECTOR_NO_ACTION) return;
    if (agent->done) { // in nobody's hands: brakes to a stop, and stands
        if (view->policy[slot] == NM_POLICY_EXTERNAL) nm_world_set_control(w->world, agent->track, -4.0f, 0.0f);
        return;
    }
    if (env->config.action == NM_VECTOR_WAYPOINT) {
        go_to(w->world, agent, action, step);
        return;
    }
    float sine, cosine;
    nm_sincosf(nm_clampf(action[1], -1.5f, 1.5f), &sine, &cosine);
    nm_world_set_control(w->world, agent->track, nm_clampf(action[0], -1e3f, 1e3f), sine / (cosine * agent->wheelbase));
}

/// What came to agent `i` in the step just done: its events, and whether it is done.
static uint32_t look(const nm_vector_env *env, nm_vector_world *w, const nm_world_view *view, uint32_t i,
                     float *progress) {
    nm_vector_agent *agent = &w->agent[i];
    const uint32_t slot = view->slot_of[agent->track], now = view->events[agent->track];
    const uint32_t fresh = now & ~agent->known;
    uint32_t events = 0;
    agent->known = now;
    if (fresh & NM_AGENT_COLLIDED) events |= NM_VECTOR_COLLIDED;
    if (fresh & NM_AGENT_WENT_OFF_ROAD) events |= NM_VECTOR_OFF_ROAD;
    if (fresh & NM_AGENT_FROZEN) events |= NM_VECTOR_FROZEN;
    if (slot == NM_NONE) {
        events |= NM_VECTOR_LEFT;
    } else {
        if (view->wrong_way[slot]) events |= NM_VECTOR_WRONG_WAY;
        if (agent->route) {
            const float at = project(agent->route, view->x[slot], view->y[slot], agent->route_at);
            *progress = at - agent->route_at;
            agent->route_at = at;
            if (at >= agent->route->goal) events |= NM_VECTOR_GOAL;
        }
        if (nm_world_at_end(w->world, agent->track)) events |= NM_VECTOR_LEFT;
    }
    agent->done = (events & (NM_VECTOR_GOAL | NM_VECTOR_LEFT | NM_VECTOR_FROZEN)) != 0 ||
                  (events & NM_VECTOR_COLLIDED && env->config.end_on_collision) ||
                  (events & NM_VECTOR_OFF_ROAD && env->config.end_off_road);
    return events;
}

static float reward_of(const nm_vector_env_config *c, uint32_t events, float progress) {
    float reward = c->progress_reward * progress;
    if (events & NM_VECTOR_COLLIDED) reward += c->collision_reward;
    if (events & NM_VECTOR_OFF_ROAD) reward += c->off_road_reward;
    if (events & NM_VECTOR_WRONG_WAY) reward += c->wrong_way_reward;
    if (events & NM_VECTOR_GOAL) reward += c->goal_reward;
    return reward;
}

/// 1 = nothing more can come of this episode but a cut.
static int cut_now(const nm_vector_env *env, const nm_vector_world *w) {
    if (w->steps >= env->config.max_steps) return 1;
    const nm_scene *scene = env->config.scenes[w->scene];
    return env->config.others == NM_POLICY_LOG && env->stages[w->scene].start_step + w->steps + 1 >= scene->step_count;
}

/// Step `step` of the action.
static void drive(nm_vector_env *env, uint32_t e, uint32_t step) {
    nm_vector_world *w = &env->worlds[e];
    const size_t at = (size_t)e * env->rows;
    const nm_world_view before = nm_world_get_view(w->world);
    for (uint32_t i = 0; i < w->agents; ++i)
        command(env, w, &before, i, env->actions ? env->actions + (at + i) * env->action_size : NULL, step);
    nm_world_step(w->world, NULL, 0, NULL); // an agent that froze is an event of its own
    w->steps++;
    const nm_world_view view = nm_world_get_view(w->world);
    int left = 0;
    for (uint32_t i = 0; i < w->agents; ++i) {
        if (w->agent[i].done) continue;
        float progress = 0.0f;
        const uint32_t events = look(env, w, &view, i, &progress);
        env->out.events[at + i] |= events;
        env->out.progress[at + i] += progress;
        env->out.reward[at + i] += reward_of(&env->config, events, progress);
        left += !w->agent[i].done;
    }
    env->out.terminated[e] = left == 0;
    env->out.truncated[e] = left > 0 && cut_now(env, w);
    w->over = env->out.terminated[e] || env->out.truncated[e];
}

static nm_status step_one(void *context, size_t index, int worker, nm_error *error) {
    (void)worker;
    (void)error;
    nm_vector_env *env = context;
    const uint32_t e = (uint32_t)index;
    nm_vector_world *w = &env->worlds[e];
    clear_results(env, e);
    if (w->over) { // NEXT_STEP
        w->episode++;
        begin(env, e);
    } else {
        begin_action(w);
        for (uint32_t k = 0; k < env->config.action_steps && !w->over; ++k) drive(env, e, k);
        if (w->over && env->config.autoreset == NM_VECTOR_SAME_STEP) {
            const size_t row = (size_t)env->rows * env->features, at = e * row;
            for (uint32_t i = 0; env->out.final_observation && i < env->rows; ++i)
                nm_vector_observe(env, w, i, env->out.final_observation + at + (size_t)i * env->features);
            w->episode++;
            begin(env, e);
        }
    }
    show(env, e);
    return NM_OK;
}

nm_status nm_vector_env_step(nm_vector_env *env, const float *actions, nm_error *error) {
    NM_ASSERT(actions || env->action_size == 0);
    nm_status status = check_step(env, actions, error);
    if (status != NM_OK) return status;
    env->actions = actions;
    status = nm_thread_pool_for(env->pool, env->config.env_count, 1, step_one, env, error);
    env->actions = NULL;
    return status;
}

nm_status nm_vector_env_run(nm_vector_env *env, const float *actions, uint32_t steps, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < steps; ++i) status = nm_vector_env_step(env, actions, error);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// What there is to see

uint32_t nm_vector_env_agents(const nm_vector_env *env) {
    return env->rows;
}

uint32_t nm_vector_env_features(const nm_vector_env *env) {
    return env->features;
}

uint32_t nm_vector_env_action_size(const nm_vector_env *env) {
    return env->action_size;
}

size_t nm_vector_env_bytes(const nm_vector_env *env) {
    return env->bytes;
}

const nm_vector_block *nm_vector_env_layout(const nm_vector_env *env) {
    return env->layout;
}

const nm_world *nm_vector_env_world(const nm_vector_env *env, uint32_t index) {
    NM_ASSERT(index < env->config.env_count);
    return env->worlds[index].world;
}

uint32_t nm_vector_env_track(const nm_vector_env *env, uint32_t index, uint32_t agent) {
    NM_ASSERT(index < env->config.env_count && agent < env->rows);
    const nm_vector_world *w = &env->worlds[index];
    return agent < w->agents ? w->agent[agent].track : NM_NONE;
}
