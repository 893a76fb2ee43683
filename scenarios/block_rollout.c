#include "scenarios/block_rollout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "scenarios/future_guidance.h"
#include "scenarios/future_tokens.h"
#include "sim/math.h"

/// A scene that grows: what tokens are built from, with arrays of its own for all steps there will be.
typedef struct rolling {
    nm_scene view; ///< the request's scene, but for its states and how long tracks are; nobody destroys it
    nm_track *tracks;
    float *x, *y, *z, *heading, *vx, *vy;
    uint8_t *valid, *signals;
    nm_tokens tokens; ///< of the block in the making
    float *values;    ///< [A][T][C] of it
} rolling;

struct nm_block_rollout {
    nm_block_rollout_config config;
    nm_recipe recipe;
    nm_future_tokens *keep; ///< [scenes] maps, cut
    nm_block_generator *generator;
    nm_guidance *guidance; ///< NULL: none
    nm_scene_builder *builder;
    nm_arena *arena;            ///< of one run
    nm_arena *of_block;         ///< of one block
    rolling *rolling;           ///< [scenes]
    nm_block_generation *batch; ///< [scenes]
};

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for rolling scenes out");
}

nm_block_rollout_config nm_block_rollout_config_default(void) {
    return (nm_block_rollout_config){.generator = nm_future_generator_default(),
                                     .agents = 160,
                                     .guidance = nm_future_guidance_default(),
                                     .standstill = NM_BLOCK_STANDSTILL};
}

nm_status nm_block_rollout_create(nm_model *model, const nm_recipe *recipe, const nm_block_rollout_config *config,
                                  nm_block_rollout **rollout, nm_error *error) {
    *rollout = NULL;
    if (config->generator.scenes < 1 || config->generator.scenes > 4096)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u scenes at once, not 1..4096", config->generator.scenes);
    nm_block_rollout *r = calloc(1, sizeof *r);
    if (!r) return no_memory(error);
    const uint32_t scenes = config->generator.scenes;
    NM_ASSERT(config->standstill >= 0.0f);
    r->config = *config;
    r->recipe = nm_future_recipe(recipe, config->agents);
    r->keep = calloc(scenes + 1u, sizeof *r->keep);
    r->rolling = calloc(scenes + 1u, sizeof *r->rolling);
    r->batch = calloc(scenes + 1u, sizeof *r->batch);
    r->builder = nm_scene_builder_create();
    r->arena = nm_arena_create(0);
    r->of_block = nm_arena_create(0);
    nm_status status =
        r->keep && r->rolling && r->batch && r->builder && r->arena && r->of_block ? NM_OK : no_memory(error);
    for (uint32_t i = 0; status == NM_OK && i < scenes; ++i)
        r->keep[i] = (nm_future_tokens){.config = r->recipe.tokens, .present = 1};
    if (status == NM_OK)
        status = nm_block_generator_create(model, &r->recipe, &config->generator, &r->generator, error);
    if (status == NM_OK)
        status = nm_future_guidance_create(&config->guidance, &r->recipe.tokens, scenes, &r->guidance, error);
    if (status == NM_OK)
        *rollout = r;
    else
        nm_block_rollout_destroy(r);
    return status;
}

void nm_block_rollout_destroy(nm_block_rollout *r) {
    if (!r) return;
    nm_block_generator_destroy(r->generator);
    nm_guidance_destroy(r->guidance);
    for (uint32_t i = 0; r->keep && i < r->config.generator.scenes; ++i) nm_future_tokens_release(&r->keep[i]);
    nm_scene_builder_destroy(r->builder);
    nm_arena_destroy(r->arena);
    nm_arena_destroy(r->of_block);
    free(r->keep);
    free(r->rolling);
    free(r->batch);
    free(r);
}

// ---------------------------------------------------------------------------------------------------------------------
// A scene that grows

static float *copy_floats(nm_arena *arena, const nm_scene *scene, const float *from, uint32_t current, uint32_t steps) {
    float *to = NM_ARENA_ARRAY(arena, float, (size_t)scene->track_count *steps);
    for (uint32_t i = 0; to && i < scene->track_count; ++i) {
        memcpy(to + (size_t)i * steps, from + nm_scene_at(scene, i, 0), (current + 1) * sizeof *to);
        memset(to + (size_t)i * steps + current + 1, 0, (steps - current - 1) * sizeof *to);
    }
    return to;
}

/// What signals show where they were recorded; after the recording as nm_scene_signal says.
static int copy_signals(nm_arena *arena, const nm_scene *scene, uint32_t steps, rolling *to) {
    const uint32_t count = scene->map->signal_count;
    to->signals = NULL;
    if (!scene->signal_states || !count) return 1;
    to->signals = NM_ARENA_ARRAY(arena, uint8_t, (size_t)count * steps);
    for (uint32_t i = 0; to->signals && i < count; ++i)
        for (uint32_t k = 0; k < steps; ++k) to->signals[(size_t)i * steps + k] = (uint8_t)nm_scene_signal(scene, i, k);
    return to->signals != NULL;
}

/// Steps [0, steps), of which the request's scene has those up to its current one.
static nm_status begin(nm_block_rollout *r, const nm_block_request *request, uint32_t steps, rolling *to,
                       nm_error *error) {
    const nm_scene *scene = request->scene;
    const uint32_t current = request->current_step;
    if (current >= scene->step_count)
        return NM_ERROR(error, NM_E_ARGUMENT, "current step %u is not in the scene, which has %u steps", current,
                        scene->step_count);
    to->view = *scene;
    to->tracks = NM_ARENA_ARRAY(r->arena, nm_track, scene->track_count);
    to->x = copy_floats(r->arena, scene, scene->x, current, steps);
    to->y = copy_floats(r->arena, scene, scene->y, current, steps);
    to->z = copy_floats(r->arena, scene, scene->z, current, steps);
    to->heading = copy_floats(r->arena, scene, scene->heading, current, steps);
    to->vx = copy_floats(r->arena, scene, scene->vx, current, steps);
    to->vy = copy_floats(r->arena, scene, scene->vy, current, steps);
    to->valid = nm_arena_calloc(r->arena, (size_t)scene->track_count * steps, 1, 64);
    if (!to->tracks || !to->x || !to->y || !to->z || !to->heading || !to->vx || !to->vy || !to->valid ||
        !copy_signals(r->arena, scene, steps, to))
        return no_memory(error);
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        to->tracks[i] = scene->tracks[i];
        if (to->tracks[i].last_step > current) to->tracks[i].last_step = current;
        memcpy(to->valid + (size_t)i * steps, scene->valid + nm_scene_at(scene, i, 0), current + 1);
    }
    to->view.step_count = steps;
    to->view.tracks = to->tracks;
    to->view.x = to->x;
    to->view.y = to->y;
    to->view.z = to->z;
    to->view.heading = to->heading;
    to->view.vx = to->vx;
    to->view.vy = to->vy;
    to->view.valid = to->valid;
    to->view.signal_states = to->signals;
    to->view.state_length = to->view.state_width = to->view.state_height = NULL; // tokens take the tracks'
    to->view.timestamps = NULL;
    return NM_OK;
}

static void write_state(rolling *to, uint32_t track, uint32_t step, uint32_t current, const nm_state *state) {
    const size_t at = nm_scene_at(&to->view, track, step);
    to->x[at] = state->x;
    to->y[at] = state->y;
    to->z[at] = to->z[nm_scene_at(&to->view, track, current)]; // of the ground, as far as anybody knows
    to->heading[at] = state->heading;
    to->vx[at] = state->vx;
    to->vy[at] = state->vy;
    to->valid[at] = 1;
    to->tracks[track].last_step = step;
}

/// Written so that NaN fails.
static int usable(const nm_state *s) {
    return fabs((double)s->x) <= NM_SCENE_MAX_DISTANCE && fabs((double)s->y) <= NM_SCENE_MAX_DISTANCE &&
           fabs((double)s->vx) <= NM_SCENE_MAX_SPEED && fabs((double)s->vy) <= NM_SCENE_MAX_SPEED;
}

/// Half a second of a vehicle from the state `before` on: who would roll back from standing goes on standing.
static void hold(const nm_block_rollout *r, const nm_state *before, nm_state *states) {
    const float most = r->config.standstill;
    float sine, cosine;
    nm_sincosf(before->heading, &sine, &cosine);
    const float speed = before->vx * cosine + before->vy * sine;
    const nm_state *last = &states[NM_TOKEN_STEPS - 1];
    const float way = (last->x - before->x) * cosine + (last->y - before->y) * sine;
    if (fabsf(speed) > most || !(way < 0.0f) || way < -0.5f * most) return;
    for (uint32_t i = 0; i < NM_TOKEN_STEPS; ++i) {
        states[i] = *before;
        states[i].vx = states[i].vy = 0.0f;
    }
}

/// All that vehicles would roll back, from the end of the scene until now on.
static void hold_block(const nm_block_rollout *r, const rolling *from, nm_block_happening *block) {
    const nm_tokens *t = &from->tokens;
    for (uint32_t a = 0; a < t->shape.agents && r->config.standstill > 0.0f; ++a) {
        nm_state before;
        if (!nm_agent_type_vehicle((nm_agent_type)from->view.tracks[t->track[a]].type) ||
            !nm_scene_get_state(&from->view, t->track[a], block->first - 1, &before))
            continue;
        for (uint32_t i = 0; i < block->steps; i += NM_TOKEN_STEPS) {
            nm_state *states = block->states + (size_t)a * block->steps + i;
            hold(r, &before, states);
            before = states[NM_TOKEN_STEPS - 1];
        }
    }
}

/// Where somebody stands who does so by its role, whatever the model says; 0 for others.
static int standing(const rolling *from, uint32_t agent, nm_state *at) {
    const uint32_t track = from->tokens.track[agent];
    if (!(from->view.tracks[track].flags & NM_TRACK_STATIC) ||
        !nm_scene_get_state(&from->view, track, from->tokens.current_step, at))
        return 0;
    at->vx = at->vy = 0.0f;
    return 1;
}

/// Everybody may reckon with that: its tokens are known.
static void give_what_stands(rolling *to) {
    nm_tokens *t = &to->tokens;
    const uint32_t steps = t->shape.steps, first = t->config.past + 1, channels = nm_token_channels(&t->config);
    for (uint32_t a = 0; a < t->shape.agents; ++a) {
        nm_state states[NM_TOKEN_STEPS];
        if (!standing(to, a, &states[0])) continue;
        for (uint32_t i = 1; i < NM_TOKEN_STEPS; ++i) states[i] = states[0];
        for (uint32_t k = first; k < steps; ++k) {
            const size_t at = (size_t)a * steps + k;
            nm_token_encode(&t->config, nm_tokens_frame(t, a), states, t->values + at * channels);
            t->known[at] = 1;
        }
    }
}

/// The block as states. Who drives off the map is gone, and who stands by its role stays to the last bit.
static nm_status decode_block(nm_block_rollout *r, const rolling *from, nm_block_happening *out, nm_error *error) {
    const nm_tokens *t = &from->tokens;
    const uint32_t steps = t->shape.steps, first = t->config.past + 1;
    const size_t channels = nm_token_channels(&t->config), states = (size_t)t->shape.agents * out->steps;
    uint8_t *present = NM_ARENA_ARRAY(r->of_block, uint8_t, (size_t)t->shape.agents * steps);
    out->states = nm_arena_calloc(r->of_block, states, sizeof *out->states, 64);
    out->present = nm_arena_calloc(r->of_block, states, 1, 64);
    if (!present || !out->states || !out->present) return no_memory(error);
    nm_future_present(&from->view, t, from->values, present);
    for (uint32_t a = 0; a < t->shape.agents; ++a) {
        for (uint32_t k = 0; k < r->recipe.blocks.size; ++k) {
            const size_t at = (size_t)a * steps + first + k;
            const size_t to = (size_t)a * out->steps + (size_t)k * NM_TOKEN_STEPS;
            if (!t->valid[at]) continue;
            nm_token_decode(&t->config, nm_tokens_frame(t, a), from->values + at * channels, out->states + to);
            memset(out->present + to, present[at], NM_TOKEN_STEPS);
        }
        nm_state stands;
        if (!standing(from, a, &stands)) continue;
        for (uint32_t i = 0; i < out->steps; ++i) out->states[(size_t)a * out->steps + i] = stands;
        memset(out->present + (size_t)a * out->steps, 1, out->steps);
    }
    return NM_OK;
}

/// States that happened join the scene, and tokens that have all of theirs are those of these states.
static nm_status write_block(rolling *to, const nm_block_happening *block, nm_error *error) {
    const nm_tokens *t = &to->tokens;
    const uint32_t steps = t->shape.steps, channels = nm_token_channels(&t->config);
    for (uint32_t a = 0; a < t->shape.agents; ++a) {
        const nm_state *states = block->states + (size_t)a * block->steps;
        const uint8_t *present = block->present + (size_t)a * block->steps;
        for (uint32_t i = 0; i < block->steps; ++i) {
            if (!present[i]) continue;
            if (!usable(&states[i]))
                return NM_ERROR(error, NM_E_NUMERIC, "track %u would be at (%g, %g) at step %u", t->track[a],
                                (double)states[i].x, (double)states[i].y, block->first + i);
            write_state(to, t->track[a], block->first + i, block->first - 1, &states[i]);
        }
        for (uint32_t k = 0; k < block->steps / NM_TOKEN_STEPS; ++k) {
            const size_t at = (size_t)a * steps + t->config.past + 1 + k;
            if (memchr(present + (size_t)k * NM_TOKEN_STEPS, 0, NM_TOKEN_STEPS)) continue;
            nm_token_encode(&t->config, nm_tokens_frame(t, a), states + (size_t)k * NM_TOKEN_STEPS,
                            to->values + at * channels);
        }
    }
    return NM_OK;
}

/// The block that was sampled becomes states, and its values those of these states: what later blocks are to see is
/// what recordings would show.
static nm_status live(nm_block_rollout *r, const nm_block_request *request, rolling *to, uint32_t current,
                      nm_error *error) {
    nm_block_happening block = {
        .tokens = &to->tokens, .first = current + 1, .steps = NM_TOKEN_STEPS * r->recipe.blocks.size};
    if (to->tokens.shape.agents == 0 && !request->happen) return NM_OK;
    nm_status status = decode_block(r, to, &block, error);
    if (status == NM_OK) hold_block(r, to, &block);
    if (status == NM_OK && request->happen) status = request->happen(request->happen_context, &block, error);
    return status == NM_OK ? write_block(to, &block, error) : status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Blocks

/// Called once a pass: the guidance, if there is one, and the question whether to end the run.
static nm_status guide(void *context, const nm_denoise_input *in, float *x0, nm_error *error) {
    const nm_block_rollout *r = context;
    if (r->config.stop && r->config.stop(r->config.stop_context)) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    return r->guidance ? nm_guidance_apply(r->guidance, in, x0, error) : NM_OK;
}

static nm_status set_guidance(nm_block_rollout *r, uint32_t count, nm_error *error) {
    const nm_scene **scenes = NM_ARENA_ARRAY(r->of_block, const nm_scene *, count);
    const nm_tokens **tokens = NM_ARENA_ARRAY(r->of_block, const nm_tokens *, count);
    if (!scenes || !tokens) return no_memory(error);
    for (uint32_t i = 0; i < count; ++i) {
        scenes[i] = &r->rolling[i].view;
        tokens[i] = &r->rolling[i].tokens;
    }
    return nm_future_guidance_set(r->guidance, scenes, tokens, count, NULL, r->of_block, error);
}

/// Tokens of all scenes `done` steps after their current ones. Only who is there takes part: those who have left would
/// take places of agents that drive, which were gone for good then. So those who have a place keep it, as nobody comes.
static nm_status build(nm_block_rollout *r, const nm_block_request *requests, uint32_t count, uint32_t done,
                       nm_error *error) {
    nm_arena_reset(r->of_block);
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) {
        rolling *to = &r->rolling[i];
        status = nm_future_tokens_build(&r->keep[i], &to->view, requests[i].current_step + done, NM_TASK_FREE,
                                        requests[i].bound, r->of_block, &to->tokens, error);
        if (status == NM_E_NOT_FOUND) { // everybody has left: the rest of the scene is empty
            to->tokens = (nm_tokens){.config = r->recipe.tokens, .current_step = requests[i].current_step + done};
            to->tokens.shape.steps = nm_token_count(&r->recipe.tokens);
            status = NM_OK;
        }
        if (status != NM_OK) break;
        give_what_stands(to);
        const nm_token_scene *shape = &to->tokens.shape;
        to->values = NM_ARENA_ARRAY(r->of_block, float,
                                    (size_t)shape->agents * shape->steps * nm_token_channels(&to->tokens.config));
        if (!to->values) status = no_memory(error);
        r->batch[i] = (nm_block_generation){.tokens = &to->tokens, .key = requests[i].key, .values = to->values};
    }
    if (status == NM_OK && r->guidance) status = set_guidance(r, count, error);
    return status;
}

/// One block of all scenes. last: nobody sees it later.
static nm_status roll(nm_block_rollout *r, const nm_block_request *requests, uint32_t count, uint32_t done, int last,
                      nm_block_cost *cost, nm_error *error) {
    nm_status status = build(r, requests, count, done, error);
    const double start = nm_clock();
    if (status == NM_OK) status = nm_block_generator_run(r->generator, r->batch, count, guide, r, error);
    cost->sampling += nm_clock() - start;
    const float **values = NM_ARENA_ARRAY(r->of_block, const float *, count);
    if (status == NM_OK && !values) status = no_memory(error);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) {
        status = live(r, &requests[i], &r->rolling[i], requests[i].current_step + done, error);
        values[i] = r->rolling[i].values;
    }
    const double again = nm_clock();
    if (status == NM_OK && !last) status = nm_block_generator_keep(r->generator, values, error);
    cost->sampling += nm_clock() - again;
    cost->blocks++;
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// The scene that is kept

static nm_status add_tracks(nm_block_rollout *r, const rolling *from, const nm_block_request *request, uint32_t steps,
                            nm_error *error) {
    const nm_scene *scene = request->scene;
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < scene->track_count; ++i) {
        const nm_track *info = &scene->tracks[i];
        const nm_track_def def = {.id = info->source_id,
                                  .type = (nm_agent_type)info->type,
                                  .flags = info->flags,
                                  .difficulty = info->difficulty,
                                  .length = info->length,
                                  .width = info->width,
                                  .height = info->height};
        uint32_t index;
        status = nm_scene_builder_add_track(r->builder, &def, &index, error);
        for (uint32_t k = 0; status == NM_OK && k < steps; ++k) {
            nm_state state;
            // history with the sizes that it has, which the view has not
            if (!nm_scene_get_state(k <= request->current_step ? scene : &from->view, i, k, &state)) continue;
            status = nm_scene_builder_add_local_state(r->builder, index, k, &state, error);
        }
    }
    return status;
}

static nm_status describe(nm_block_rollout *r, const rolling *from, const nm_block_request *request, uint32_t steps,
                          nm_error *error) {
    const nm_scene *scene = request->scene;
    const nm_token_output *output = &request->output;
    const nm_provenance provenance = {.source = output->source ? output->source : "nexus",
                                      .file = scene->provenance.file,
                                      .scene_id = scene->provenance.scene_id,
                                      .record = scene->provenance.record,
                                      .program = "nearmiss " NM_VERSION,
                                      .seed = output->seed,
                                      .parent = output->parent ? output->parent : scene->hash,
                                      .parameters = output->parameters ? output->parameters : "{}"};
    nm_status status = NM_OK;
    for (uint32_t i = 0; from->signals && i < scene->map->signal_count; ++i)
        for (uint32_t k = 0; status == NM_OK && k < steps; ++k)
            status = nm_scene_builder_set_signal(r->builder, i, k, nm_scene_signal(&from->view, i, k), error);
    if (status == NM_OK) status = nm_scene_builder_set_provenance(r->builder, &provenance, error);
    for (uint32_t i = 0; status == NM_OK && i < scene->tag_count; ++i)
        status = nm_scene_builder_add_tag(r->builder, scene->tags[i], error);
    nm_scene_builder_set_current(r->builder, request->current_step, scene->ego);
    return status;
}

static nm_status make_scene(nm_block_rollout *r, const rolling *from, const nm_block_request *request, uint32_t steps,
                            const nm_scene **out, nm_error *error) {
    nm_scene_builder_reset(r->builder);
    nm_status status =
        nm_scene_builder_begin(r->builder, request->scene->map, (double)request->scene->dt, steps, error);
    if (status == NM_OK) status = add_tracks(r, from, request, steps, error);
    if (status == NM_OK) status = describe(r, from, request, steps, error);
    return status == NM_OK ? nm_scene_builder_build(r->builder, out, error) : status;
}

static uint64_t block_steps(const nm_recipe *recipe, uint32_t steps) {
    const uint64_t length = NM_TOKEN_STEPS * recipe->blocks.size;
    return (steps + length - 1) / length * length;
}

nm_status nm_block_rollout_check_steps(const nm_recipe *recipe, uint32_t steps, nm_error *error) {
    const uint64_t all = block_steps(recipe, steps), frames = all / NM_TOKEN_STEPS + recipe->tokens.past + 1;
    NM_ASSERT(recipe->blocks.size > 0);
    if (all >= NM_SCENE_MAX_STEPS)
        return NM_ERROR(error, NM_E_LIMIT, "%u steps are to come: a scene has at most %u", steps, NM_SCENE_MAX_STEPS);
    if (frames > NM_NOISE_MAX_FRAME)
        return NM_ERROR(error, NM_E_LIMIT, "%u steps are more than noise can tell apart", steps);
    return NM_OK;
}

/// The scene as it will be must be one that a builder takes.
static nm_status check_length(const nm_block_rollout *r, const nm_block_request *request, uint32_t steps,
                              nm_error *error) {
    const uint64_t all = request->current_step + 1 + block_steps(&r->recipe, steps);
    if (all > NM_SCENE_MAX_STEPS)
        return NM_ERROR(error, NM_E_LIMIT, "%u steps after step %u: a scene has at most %u", steps,
                        request->current_step, NM_SCENE_MAX_STEPS);
    if (all * request->scene->track_count > NM_SCENE_MAX_STATES)
        return NM_ERROR(error, NM_E_LIMIT, "%u tracks over %llu steps are more than %u states",
                        request->scene->track_count, (unsigned long long)all, NM_SCENE_MAX_STATES);
    return NM_OK;
}

nm_status nm_block_rollout_run(nm_block_rollout *r, const nm_block_request *requests, uint32_t count, uint32_t steps,
                               const nm_scene **out, nm_block_cost *cost, nm_error *error) {
    const uint32_t length = NM_TOKEN_STEPS * r->recipe.blocks.size;
    const uint32_t blocks = (uint32_t)(block_steps(&r->recipe, steps) / length);
    const uint64_t passes = nm_block_generator_passes(r->generator);
    nm_block_cost spent = {0};
    const double start = nm_clock();
    NM_ASSERT(steps >= 1 && (out || !count));
    for (uint32_t i = 0; i < count; ++i) out[i] = NULL;
    if (count > r->config.generator.scenes)
        return NM_ERROR(error, NM_E_LIMIT, "%u rollouts at once, not %u", count, r->config.generator.scenes);
    nm_status status = nm_block_rollout_check_steps(&r->recipe, steps, error);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) status = check_length(r, &requests[i], steps, error);
    if (status != NM_OK) return status;
    nm_arena_reset(r->arena);
    nm_block_generator_forget(r->generator);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i)
        status = begin(r, &requests[i], requests[i].current_step + 1 + blocks * length, &r->rolling[i], error);
    for (uint32_t b = 0; status == NM_OK && count && b < blocks; ++b)
        status = roll(r, requests, count, b * length, b + 1 == blocks, &spent, error);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i)
        status = make_scene(r, &r->rolling[i], &requests[i], requests[i].current_step + 1 + steps, &out[i], error);
    for (uint32_t i = 0; status != NM_OK && i < count; ++i) {
        nm_scene_destroy(out[i]);
        out[i] = NULL;
    }
    if (!cost) return status;
    cost->seconds += nm_clock() - start;
    cost->sampling += spent.sampling;
    cost->blocks += spent.blocks;
    cost->passes += nm_block_generator_passes(r->generator) - passes;
    return status;
}
