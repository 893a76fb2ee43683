#include "scenarios/closed_loop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/block_rollout.h"
#include "scenarios/future_guidance.h"
#include "scenarios/future_tokens.h"
#include "sim/math.h"

#define WRECK_BRAKING 6.0f // m/s^2, after a collision

/// How somebody who was in a collision slides to a stop.
typedef struct wreck {
    int is, on_plan;
    float speed;      ///< m/s
    float at;         ///< step of its plan whose way it is on
    float x, y, turn; ///< m, rad off its plan
} wreck;

struct nm_closed_loop {
    nm_closed_loop_config config;
    nm_future_tokens keep;
    nm_generator *generator;
    nm_block_rollout *rollout; ///< instead of the three around it, of models that were trained on blocks
    nm_guidance *apart;        ///< keeps agents apart; NULL: none
    nm_guidance *touching;     ///< does not; NULL: none
    nm_guidance *guidance;     ///< of the run: one of the two
    nm_scene_builder *builder;
    nm_arena *arena; ///< of one run
    // of the run
    const nm_loop_request *request;
    nm_tokens tokens;
    nm_world *world;
    int crashed;       ///< somebody was in a collision
    uint32_t place;    ///< of the ego among the agents
    float *pull;       ///< [A] 0 = none
    uint16_t *draft;   ///< [A] as in nm_generation
    nm_scene driven;   ///< the request's scene as the world sees it
    uint8_t *unbound;  ///< [A] guidance does not draw it to lanes
    wreck *wrecks;     ///< [tracks]
    float *executed;   ///< [A x T x C] what happened where it is not what was sampled
    uint8_t *happened; ///< [A x T] `executed` counts
    float *values;     ///< [A x T x C]
    uint64_t passes;   ///< of rollouts
};

nm_closed_loop_config nm_closed_loop_config_default(void) {
    nm_closed_loop_config c = {
        .generator = nm_future_generator_default(), .agents = 32, .guidance = nm_future_guidance_default()};
    c.guidance.adversarial = 0.5f;
    return c;
}

nm_loop_request nm_loop_request_default(const nm_scene *scene) {
    return (nm_loop_request){.scene = scene,
                             .current_step = scene->current_step,
                             .ego = NM_POLICY_IDM,
                             .rest = NM_POLICY_EXTERNAL,
                             .idm = nm_idm_named("nearmiss")};
}

nm_loop_plan nm_loop_plan_default(uint32_t track) {
    return (nm_loop_plan){.track = track, .most = NM_SCHEDULE_MAX_LEVELS, .pull = 0.7f, .goal = NM_NONE};
}

static nm_status create_sampler(nm_closed_loop *l, nm_model *model, const nm_recipe *wide, nm_error *error) {
    const nm_closed_loop_config *c = &l->config;
    if (wide->blocks.size) {
        const nm_block_rollout_config config = {.generator = c->generator,
                                                .agents = c->agents,
                                                .guidance = c->guidance,
                                                .standstill = NM_BLOCK_STANDSTILL,
                                                .stop = c->stop,
                                                .stop_context = c->stop_context};
        return nm_block_rollout_create(model, wide, &config, &l->rollout, error);
    }
    nm_guidance_config touching = c->guidance;
    touching.overlap = 0.0f;
    nm_status status = nm_generator_create(model, wide, &c->generator, &l->generator, error);
    if (status == NM_OK) status = nm_future_guidance_create(&c->guidance, &wide->tokens, 1, &l->apart, error);
    if (status == NM_OK) status = nm_future_guidance_create(&touching, &wide->tokens, 1, &l->touching, error);
    return status;
}

nm_status nm_closed_loop_create(nm_model *model, const nm_recipe *recipe, const nm_closed_loop_config *config,
                                nm_closed_loop **loop, nm_error *error) {
    *loop = NULL;
    nm_closed_loop *l = calloc(1, sizeof *l);
    if (!l) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a closed loop");
    nm_recipe wide = nm_future_recipe(recipe, config->agents);
    l->config = *config;
    l->config.generator.scenes = 1;
    if (!l->config.future) l->config.future = wide.tokens.future;
    if (!wide.blocks.size) wide.tokens.future = l->config.future;
    l->keep = (nm_future_tokens){.config = wide.tokens, .present = wide.blocks.size > 0};
    l->arena = nm_arena_create(0);
    l->builder = nm_scene_builder_create();
    nm_status status = l->arena && l->builder ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for a closed loop");
    if (status == NM_OK) status = create_sampler(l, model, &wide, error);
    if (status == NM_OK)
        *loop = l;
    else
        nm_closed_loop_destroy(l);
    return status;
}

void nm_closed_loop_destroy(nm_closed_loop *l) {
    if (!l) return;
    nm_generator_destroy(l->generator);
    nm_block_rollout_destroy(l->rollout);
    nm_guidance_destroy(l->apart);
    nm_guidance_destroy(l->touching);
    nm_future_tokens_release(&l->keep);
    nm_scene_builder_destroy(l->builder);
    nm_arena_destroy(l->arena);
    free(l);
}

// ---------------------------------------------------------------------------------------------------------------------
// The request

static uint32_t place_of(const nm_tokens *tokens, uint32_t track) {
    for (uint32_t a = 0; a < tokens->shape.agents; ++a)
        if (tokens->track[a] == track) return a;
    return NM_NONE;
}

static nm_status check(const nm_closed_loop *l, const nm_loop_request *r, nm_error *error) {
    const nm_scene *scene = r->scene;
    if (r->current_step >= scene->step_count)
        return NM_ERROR(error, NM_E_ARGUMENT, "current step %u is not in the scene, which has %u steps",
                        r->current_step, scene->step_count);
    if (scene->ego >= scene->track_count || !scene->valid[nm_scene_at(scene, scene->ego, r->current_step)])
        return NM_ERROR(error, NM_E_ARGUMENT, "the scene has no ego at step %u", r->current_step);
    if (l->rollout && (r->plan_count || r->adversary_count || r->touching))
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "a model trained on blocks knows of no plans: they lie beyond the block in the making");
    if (r->adversary_count && !l->guidance)
        return NM_ERROR(error, NM_E_ARGUMENT, "adversaries need guidance: its strengths are 0");
    if (r->ego == NM_POLICY_EXTERNAL && !r->driver)
        return NM_ERROR(error, NM_E_ARGUMENT, "nobody drives an ego under the policy 'external'");
    return NM_OK;
}

/// What stands by its role stays where it is, whatever the model says.
static int stands(const nm_closed_loop *l, uint32_t agent) {
    return (l->request->scene->tracks[l->tokens.track[agent]].flags & NM_TRACK_STATIC) != 0;
}

/// Everybody may reckon with that.
static void give_what_stands(nm_closed_loop *l) {
    const uint32_t steps = l->tokens.shape.steps, first = l->tokens.config.past + 1;
    for (uint32_t a = 0; a < l->tokens.shape.agents; ++a) {
        const size_t at = (size_t)a * steps + first;
        if (a != l->place && stands(l, a)) memcpy(l->tokens.known + at, l->tokens.logged + at, steps - first);
    }
}

/// The agent that a track is, which must be there and not the ego.
static nm_status find_other(const nm_closed_loop *l, uint32_t track, uint32_t *place, nm_error *error) {
    const nm_scene *scene = l->request->scene;
    const int there = track < scene->track_count && scene->valid[nm_scene_at(scene, track, l->request->current_step)];
    *place = there ? place_of(&l->tokens, track) : NM_NONE;
    if (*place != NM_NONE && *place != l->place) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT, "track %u is %s", track,
                    *place == NM_NONE ? "no agent that takes part" : "the ego");
}

static uint32_t time_of(const nm_closed_loop *l, uint32_t step) {
    return l->tokens.config.past + (step - l->request->current_step + NM_TOKEN_STEPS - 1) / NM_TOKEN_STEPS;
}

static nm_status take_plan(nm_closed_loop *l, const nm_loop_plan *plan, uint32_t last, nm_error *error) {
    uint32_t place;
    const nm_status status = find_other(l, plan->track, &place, error);
    if (status != NM_OK) return status;
    if (!(plan->pull >= 0.0f && plan->pull <= 1.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "pull is %g, not in 0..1", (double)plan->pull);
    if (plan->most < 1) return NM_ERROR(error, NM_E_ARGUMENT, "a plan of level 0 is no plan but given");
    const uint32_t levels = l->config.generator.levels;
    l->pull[place] = plan->pull;
    l->unbound[place] = plan->unbound != 0;
    l->draft[place] = plan->most < levels ? (uint16_t)plan->most : 0;
    if (plan->goal == NM_NONE) return NM_OK;
    if (plan->goal <= l->request->current_step || plan->goal > last)
        return NM_ERROR(error, NM_E_ARGUMENT, "a goal at step %u is not within %u..%u", plan->goal,
                        l->request->current_step + 1, last);
    const size_t at = (size_t)place * l->tokens.shape.steps + time_of(l, plan->goal);
    l->tokens.known[at] = l->tokens.logged[at];
    return NM_OK;
}

/// Whom plans and adversaries are about.
static nm_status find_others(nm_closed_loop *l, nm_error *error) {
    const nm_loop_request *r = l->request;
    const uint32_t last = r->current_step + l->tokens.config.future * NM_TOKEN_STEPS;
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < r->plan_count; ++i) status = take_plan(l, &r->plans[i], last, error);
    for (uint32_t i = 0; status == NM_OK && i < r->adversary_count; ++i) {
        const nm_loop_adversary *adversary = &r->adversaries[i];
        uint32_t place;
        status = find_other(l, adversary->track, &place, error);
        if (status == NM_OK && (adversary->step <= r->current_step || adversary->step > last))
            return NM_ERROR(error, NM_E_ARGUMENT, "an adversary is to meet the ego at step %u, not within %u..%u",
                            adversary->step, r->current_step + 1, last);
    }
    return status;
}

static nm_status set_guidance(nm_closed_loop *l, nm_error *error) {
    const nm_loop_request *r = l->request;
    const nm_tokens *tokens = &l->tokens;
    nm_status status = nm_future_guidance_set(l->guidance, &r->scene, &tokens, 1, l->unbound, l->arena, error);
    nm_adversary *all = NM_ARENA_ARRAY(l->arena, nm_adversary, r->adversary_count + 1u);
    if (status == NM_OK && !all) status = NM_ERROR(error, NM_E_MEMORY, "out of memory for adversaries");
    for (uint32_t i = 0; status == NM_OK && i < r->adversary_count; ++i) {
        const nm_loop_adversary *from = &r->adversaries[i];
        all[i] = nm_adversary_default();
        all[i].ego = l->place;
        all[i].adversary = place_of(tokens, from->track);
        all[i].time = time_of(l, from->step);
        all[i].aim = from->aim;
    }
    return status == NM_OK ? nm_guidance_set_adversaries(l->guidance, all, r->adversary_count, error) : status;
}

static nm_status open_world(nm_closed_loop *l, nm_error *error) {
    const nm_loop_request *r = l->request;
    nm_world_config config = nm_world_config_default();
    config.seed = r->drivers ? r->drivers : r->seed;
    config.start_step = r->current_step;
    config.agents = NM_POLICY_EXTERNAL;
    config.ego = r->ego;
    config.idm = r->idm;
    config.custom = r->custom;
    config.spawn_later = 0;
    config.checks = NM_CHECK_COLLISION | r->checks; // who collides stands still from then on
    l->driven = *r->scene;
    if (r->drivers_scene) l->driven.hash = r->drivers_scene;
    const nm_status status = nm_world_create(&l->driven, &config, &l->world, error);
    if (status != NM_OK) return status;
    if (r->current_step < r->notices) nm_world_set_policy(l->world, r->scene->ego, NM_POLICY_CONSTANT_VELOCITY);
    for (uint32_t track = 0; r->rest != NM_POLICY_EXTERNAL && track < r->scene->track_count; ++track)
        if (place_of(&l->tokens, track) == NM_NONE) nm_world_set_policy(l->world, track, r->rest);
    return NM_OK;
}

/// Everything that a run needs besides the network.
static nm_status prepare(nm_closed_loop *l, nm_error *error) {
    const nm_loop_request *r = l->request;
    nm_status status = check(l, r, error);
    if (status == NM_OK)
        status = nm_future_tokens_build(&l->keep, r->scene, r->current_step, NM_TASK_FREE, NULL, l->arena, &l->tokens,
                                        error);
    if (status != NM_OK) return status;
    const size_t tokens = (size_t)l->tokens.shape.agents * l->tokens.shape.steps;
    const size_t channels = nm_token_channels(&l->tokens.config);
    l->pull = nm_arena_calloc(l->arena, l->tokens.shape.agents, sizeof *l->pull, 64);
    l->draft = nm_arena_calloc(l->arena, l->tokens.shape.agents, sizeof *l->draft, 64);
    l->unbound = nm_arena_calloc(l->arena, l->tokens.shape.agents, 1, 64);
    l->wrecks = nm_arena_calloc(l->arena, r->scene->track_count, sizeof *l->wrecks, 64);
    l->happened = nm_arena_calloc(l->arena, tokens, 1, 64);
    l->executed = NM_ARENA_ARRAY(l->arena, float, tokens *channels);
    l->values = NM_ARENA_ARRAY(l->arena, float, tokens *channels);
    if (!l->pull || !l->draft || !l->unbound || !l->wrecks || !l->happened || !l->executed || !l->values)
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for a closed loop");
    l->place = place_of(&l->tokens, r->scene->ego);
    NM_ASSERT(l->place != NM_NONE);       // it is there, and the ego comes first
    if (!l->rollout) give_what_stands(l); // a rollout in blocks does that itself
    status = find_others(l, error);
    if (status == NM_OK && l->guidance) status = set_guidance(l, error);
    if (status == NM_OK) status = open_world(l, error);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// The loop

/// Pulls predictions towards the plans; a token that has none is left alone.
static void pull(const nm_closed_loop *l, const nm_denoise_input *in, float *x0) {
    const size_t steps = l->tokens.shape.steps, channels = in->channels;
    for (uint32_t n = 0; n < in->count; ++n) {
        const size_t at = in->agent[n] * steps + in->time[n];
        const float share = l->pull[in->agent[n]];
        if (share == 0.0f || !l->tokens.logged[at] || in->mask[n * channels] != 0.0f) continue;
        const float *plan = l->tokens.values + at * channels;
        for (size_t k = 0; k < channels; ++k) x0[n * channels + k] += share * (plan[k] - x0[n * channels + k]);
    }
}

static nm_status guide(void *context, const nm_denoise_input *in, float *x0, nm_error *error) {
    const nm_closed_loop *l = context;
    if (l->config.stop && l->config.stop(l->config.stop_context)) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    pull(l, in, x0);
    return l->guidance ? nm_guidance_apply(l->guidance, in, x0, error) : NM_OK;
}

static int has_plan(const nm_closed_loop *l, uint32_t agent) {
    return l->pull[agent] != 0.0f || l->draft[agent] != 0;
}

/// The state of a plan at a moment between steps; 0 where it has none.
static int plan_at(const nm_closed_loop *l, uint32_t agent, float step, nm_state *out) {
    const nm_scene *scene = l->request->scene;
    const uint32_t first = (uint32_t)step, track = l->tokens.track[agent];
    nm_state next;
    if (!has_plan(l, agent) || first + 1 >= scene->step_count || !nm_scene_get_state(scene, track, first, out) ||
        !nm_scene_get_state(scene, track, first + 1, &next))
        return 0;
    const float share = step - (float)first;
    out->x += share * (next.x - out->x);
    out->y += share * (next.y - out->y);
    out->heading = nm_wrap_angle(out->heading + share * nm_wrap_angle(next.heading - out->heading));
    return 1;
}

/// The model has no say any more: the wreck brakes along the way that was planned for it, or goes straight on.
static void begin_wreck(nm_closed_loop *l, uint32_t agent, const nm_world_view *view, uint32_t slot) {
    wreck *w = &l->wrecks[l->tokens.track[agent]];
    nm_state plan;
    *w = (wreck){.is = 1, .speed = hypotf(view->vx[slot], view->vy[slot]), .at = (float)view->step};
    w->on_plan = plan_at(l, agent, w->at, &plan);
    if (!w->on_plan) return;
    w->x = view->x[slot] - plan.x;
    w->y = view->y[slot] - plan.y;
    w->turn = nm_wrap_angle(view->heading[slot] - plan.heading);
}

/// What is learnt of ordinary traffic says nothing about wrecks: after a collision whoever has no plan drives by IDM.
static void leave_traffic_to_the_world(const nm_closed_loop *l) {
    const nm_tokens *t = &l->tokens;
    for (uint32_t a = 0; a < t->shape.agents; ++a) {
        const nm_track *track = &l->request->scene->tracks[t->track[a]];
        if (a == l->place || l->wrecks[l->tokens.track[a]].is || has_plan(l, a) || stands(l, a) ||
            !nm_agent_type_vehicle((nm_agent_type)track->type))
            continue;
        nm_world_set_policy(l->world, t->track[a], NM_POLICY_IDM);
    }
}

/// `way` m on along a plan from the moment *step, which is moved; 0 where the plan ends or stands before that.
static int go_along(const nm_closed_loop *l, uint32_t agent, float way, float *step, nm_state *out) {
    nm_state from, to;
    float at = *step;
    while (plan_at(l, agent, at, &from) && plan_at(l, agent, floorf(at) + 1.0f, &to)) {
        const float piece = hypotf(to.x - from.x, to.y - from.y), left = floorf(at) + 1.0f - at;
        if (piece < way) {
            way -= piece;
            at = floorf(at) + 1.0f;
            continue;
        }
        *step = piece > 0.0f ? at + left * way / piece : at;
        return plan_at(l, agent, *step, out);
    }
    return 0;
}

/// The next step of a wreck.
static void slide(nm_closed_loop *l, uint32_t agent) {
    wreck *w = &l->wrecks[l->tokens.track[agent]];
    const nm_world_view view = nm_world_get_view(l->world);
    const uint32_t track = l->tokens.track[agent], slot = view.slot_of[track];
    nm_state to;
    if (slot == NM_NONE) return;
    w->speed = nm_maxf(w->speed - WRECK_BRAKING * NM_STEP_SECONDS, 0.0f);
    const float way = w->speed * NM_STEP_SECONDS;
    if (w->on_plan && go_along(l, agent, way, &w->at, &to)) {
        nm_world_set_state(l->world, track, to.x + w->x, to.y + w->y, to.heading + w->turn, w->speed);
        return;
    }
    w->on_plan = 0;
    nm_world_set_state(l->world, track, view.x[slot] + way * view.cos_h[slot], view.y[slot] + way * view.sin_h[slot],
                       view.heading[slot], w->speed);
}

/// The ego, what stands, wrecks, and traffic after a collision.
static int driven_by_the_world(const nm_closed_loop *l, const nm_world_view *view, uint32_t agent) {
    const uint32_t slot = view->slot_of[l->tokens.track[agent]];
    return slot != NM_NONE && (view->policy[slot] != NM_POLICY_EXTERNAL || agent == l->place || stands(l, agent) ||
                               l->wrecks[l->tokens.track[agent]].is);
}

/// Says to the simulator where the others are after its next step.
static void move_others(nm_closed_loop *l, uint32_t time, const nm_state *wanted, uint32_t stride) {
    const nm_tokens *t = &l->tokens;
    for (uint32_t a = 0; a < t->shape.agents; ++a) {
        if (l->wrecks[l->tokens.track[a]].is) slide(l, a);
        if (l->wrecks[l->tokens.track[a]].is || stands(l, a) || !t->valid[(size_t)a * t->shape.steps + time]) continue;
        if (a == l->place && l->request->driver) continue;
        const nm_state *s = &wanted[(size_t)a * stride];
        nm_world_set_state(l->world, t->track[a], s->x, s->y, s->heading, hypotf(s->vx, s->vy));
    }
}

/// One step of the simulator and of whoever drives the ego from outside.
static nm_status step_world(nm_closed_loop *l, nm_error *error) {
    const nm_loop_request *r = l->request;
    const nm_loop_driver *driver = r->driver;
    nm_status status = NM_OK;
    if (nm_world_get_view(l->world).step == r->notices && r->notices > r->current_step)
        nm_world_set_policy(l->world, r->scene->ego, r->ego);
    if (driver) status = driver->before(driver->context, l->world, error);
    if (status != NM_OK) return status;
    (void)nm_world_step(l->world, NULL, 0, NULL); // somebody who became non-finite is frozen where he was
    return driver ? driver->after(driver->context, l->world, error) : NM_OK;
}

/// Who is where after a step, who is driven by whom from then on, and who was in a collision.
static void look_at_step(nm_closed_loop *l, uint8_t *told, nm_state *driven) {
    const nm_tokens *t = &l->tokens;
    const nm_world_view view = nm_world_get_view(l->world);
    int crash = 0;
    for (uint32_t a = 0; a < t->shape.agents; ++a) {
        const uint32_t slot = view.slot_of[t->track[a]];
        const int collided = slot != NM_NONE && (nm_world_track_events(l->world, t->track[a]) & NM_AGENT_COLLIDED);
        if (collided && view.policy[slot] == NM_POLICY_EXTERNAL && a != l->place && !l->wrecks[l->tokens.track[a]].is &&
            !stands(l, a))
            begin_wreck(l, a, &view, slot);
        crash |= collided;
        told[a] = (uint8_t)driven_by_the_world(l, &view, a);
        if (slot == NM_NONE) continue; // whoever is told at the end was written at every step
        driven[(size_t)a * NM_TOKEN_STEPS] = (nm_state){.x = view.x[slot],
                                                        .y = view.y[slot],
                                                        .heading = view.heading[slot],
                                                        .vx = view.vx[slot],
                                                        .vy = view.vy[slot],
                                                        .length = view.length[slot],
                                                        .width = view.width[slot]};
    }
    if (crash && !l->crashed) leave_traffic_to_the_world(l);
    l->crashed |= crash;
}

/// Drives the half second before token `time`.
static nm_status happen(void *context, uint32_t time, const float *sampled, uint8_t *told, float *actual,
                        nm_error *error) {
    nm_closed_loop *l = context;
    const nm_tokens *t = &l->tokens;
    const nm_token_config *c = &t->config;
    const uint32_t agents = t->shape.agents, channels = nm_token_channels(c), states = nm_token_states(c);
    const nm_arena_mark mark = nm_arena_get_mark(l->arena);
    nm_state *driven = nm_arena_calloc(l->arena, (size_t)agents * NM_TOKEN_STEPS, sizeof *driven, 64);
    nm_state *wanted = nm_arena_calloc(l->arena, (size_t)agents * NM_TOKEN_STEPS, sizeof *wanted, 64);
    if (!driven || !wanted) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a closed loop");
    for (uint32_t a = 0; a < agents; ++a)
        if (t->valid[(size_t)a * t->shape.steps + time])
            nm_token_decode(c, nm_tokens_frame(t, a), sampled + (size_t)a * channels, wanted + (size_t)a * states);
    for (uint32_t i = 0; i < NM_TOKEN_STEPS; ++i) {
        move_others(l, time, wanted + (states == NM_TOKEN_STEPS ? i : 0), states);
        const nm_status status = step_world(l, error);
        if (status != NM_OK) return status;
        look_at_step(l, told, driven + i);
    }
    for (uint32_t a = 0; a < agents; ++a) {
        const size_t at = (size_t)a * t->shape.steps + time;
        if (!told[a] || !t->valid[at]) continue;
        const nm_state *from = driven + (size_t)a * NM_TOKEN_STEPS + (NM_TOKEN_STEPS - states);
        nm_token_encode(c, nm_tokens_frame(t, a), from, actual + (size_t)a * channels);
        memcpy(l->executed + at * channels, actual + (size_t)a * channels, channels * sizeof *actual);
        l->happened[at] = 1;
    }
    nm_arena_release(l->arena, mark);
    return NM_OK;
}

/// The scene out of what was sampled and what happened.
static nm_status keep(nm_closed_loop *l, const nm_scene **out, nm_error *error) {
    const nm_loop_request *r = l->request;
    const nm_tokens *t = &l->tokens;
    const size_t tokens = (size_t)t->shape.agents * t->shape.steps, channels = nm_token_channels(&t->config);
    uint8_t *present = NM_ARENA_ARRAY(l->arena, uint8_t, tokens);
    if (!present) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a generated scene");
    for (size_t n = 0; n < tokens; ++n)
        if (l->happened[n]) memcpy(l->values + n * channels, l->executed + n * channels, channels * sizeof(float));
    nm_future_present(r->scene, t, l->values, present);
    // an ego that left the simulation has no states after that
    for (uint32_t k = t->config.past + 1; k < t->shape.steps; ++k)
        if (!l->happened[(size_t)l->place * t->shape.steps + k]) present[(size_t)l->place * t->shape.steps + k] = 0;
    const nm_token_output output = {
        .source = r->source, .parameters = r->parameters, .seed = r->seed, .parent = r->parent};
    return nm_tokens_to_scene(t, r->scene, l->values, present, &output, l->builder, l->arena, out, error);
}

/// Who is not in the scene any more after the next step, is not in the simulator either: nobody drives it, and it would
/// go straight on for others to brake for.
static void let_go(const nm_closed_loop *l, const nm_block_happening *block, uint32_t step) {
    const nm_world_view view = nm_world_get_view(l->world);
    for (uint32_t a = 0; a < l->tokens.shape.agents; ++a)
        if (!block->present[(size_t)a * block->steps + step] && !driven_by_the_world(l, &view, a))
            nm_world_take_out(l->world, l->tokens.track[a]);
}

/// The same of a block: drives all of it.
static nm_status happen_block(void *context, nm_block_happening *block, nm_error *error) {
    nm_closed_loop *l = context;
    const uint32_t agents = block->tokens->shape.agents;
    l->tokens = *block->tokens;
    l->place = place_of(&l->tokens, l->request->scene->ego);
    const nm_arena_mark mark = nm_arena_get_mark(l->arena);
    uint8_t *told = nm_arena_calloc(l->arena, agents, 1, 64);
    nm_state *driven = nm_arena_calloc(l->arena, (size_t)agents * NM_TOKEN_STEPS, sizeof *driven, 64);
    if (!told || !driven) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a closed loop");
    const uint32_t end = l->request->current_step + NM_TOKEN_STEPS * l->config.future; // within the last block
    for (uint32_t k = 0; k < block->steps && block->first + k <= end; ++k) {
        let_go(l, block, k);
        move_others(l, l->tokens.config.past + 1 + k / NM_TOKEN_STEPS, block->states + k, block->steps);
        const nm_status status = step_world(l, error);
        if (status != NM_OK) return status;
        look_at_step(l, told, driven);
        const nm_world_view view = nm_world_get_view(l->world);
        for (uint32_t a = 0; a < agents; ++a) {
            const size_t at = (size_t)a * block->steps + k;
            const int gone = view.slot_of[l->tokens.track[a]] == NM_NONE;
            if (told[a]) block->states[at] = driven[(size_t)a * NM_TOKEN_STEPS];
            if (told[a] || gone) block->present[at] = !gone;
        }
    }
    nm_arena_release(l->arena, mark);
    return NM_OK;
}

static nm_status roll_out(nm_closed_loop *l, const nm_scene **out, nm_error *error) {
    const nm_loop_request *r = l->request;
    const nm_block_request request = {
        .scene = r->scene,
        .current_step = r->current_step,
        .key = nm_future_key(r->scene, r->seed, r->sample),
        .output = {.source = r->source, .parameters = r->parameters, .seed = r->seed, .parent = r->parent},
        .happen = happen_block,
        .happen_context = l};
    nm_block_cost cost = {0};
    const nm_scene *made = NULL;
    const nm_status status =
        nm_block_rollout_run(l->rollout, &request, 1, NM_TOKEN_STEPS * l->config.future, &made, &cost, error);
    l->passes = cost.passes;
    if (status == NM_OK && out)
        *out = made;
    else
        nm_scene_destroy(made);
    return status;
}

static nm_status sample(nm_closed_loop *l, const nm_scene **out, nm_error *error) {
    const nm_loop_request *r = l->request;
    if (l->rollout) return roll_out(l, out, error);
    const nm_generation scene = {.tokens = &l->tokens,
                                 .key = nm_future_key(r->scene, r->seed, r->sample),
                                 .draft = l->draft,
                                 .happened = happen,
                                 .happened_context = l,
                                 .values = l->values};
    const nm_status status = nm_generator_run(l->generator, &scene, 1, guide, l, error);
    return status == NM_OK && out ? keep(l, out, error) : status;
}

nm_status nm_closed_loop_run(nm_closed_loop *l, const nm_loop_request *request, const nm_scene **out, nm_error *error) {
    if (out) *out = NULL;
    nm_arena_reset(l->arena);
    l->request = request;
    l->crashed = 0;
    l->guidance = request->touching ? l->touching : l->apart;
    nm_status status = prepare(l, error);
    if (status == NM_OK) status = sample(l, out, error);
    nm_world_destroy(l->world);
    l->world = NULL;
    l->request = NULL;
    return status;
}

uint64_t nm_closed_loop_passes(const nm_closed_loop *l) {
    return l->rollout ? l->passes : nm_generator_passes(l->generator);
}
