#include "scenarios/block_rollout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "scenarios/future_guidance.h"
#include "scenarios/future_tokens.h"

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
    return (nm_block_rollout_config){
        .generator = nm_future_generator_default(), .agents = 160, .guidance = nm_future_guidance_default()};
}

nm_status nm_block_rollout_create(nm_model *model, const nm_recipe *recipe, const nm_block_rollout_config *config,
                                  nm_block_rollout **rollout, nm_error *error) {
    *rollout = NULL;
    if (config->generator.scenes < 1 || config->generator.scenes > 4096)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u scenes at once, not 1..4096", config->generator.scenes);
    nm_block_rollout *r = calloc(1, sizeof *r);
    if (!r) return no_memory(error);
    const uint32_t scenes = config->generator.scenes;
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
    for (uint32_t i = 0; status == NM_OK && i < scenes; ++i) r->keep[i].config = r->recipe.tokens;
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

/// The block that was sampled becomes states, and its values those of these states: what later blocks are to see is
/// what recordings would show. Who drives off the map is gone.
static nm_status live(nm_block_rollout *r, rolling *to, uint32_t current, nm_error *error) {
    const nm_tokens *t = &to->tokens;
    const uint32_t steps = t->shape.steps, past = t->config.past;
    const size_t channels = nm_token_channels(&t->config);
    if (t->shape.agents == 0) return NM_OK;
    uint8_t *present = NM_ARENA_ARRAY(r->of_block, uint8_t, (size_t)t->shape.agents * steps);
    if (!present) return no_memory(error);
    nm_future_present(&to->view, t, to->values, present);
    for (uint32_t a = 0; a < t->shape.agents; ++a) {
        for (uint32_t k = past + 1; k <= past + r->recipe.blocks.size; ++k) {
            const size_t at = (size_t)a * steps + k;
            nm_state states[NM_TOKEN_STEPS];
            if (!present[at]) continue;
            nm_token_decode(&t->config, nm_tokens_frame(t, a), to->values + at * channels, states);
            const uint32_t first = current + NM_TOKEN_STEPS * (k - past - 1) + 1;
            for (uint32_t i = 0; i < NM_TOKEN_STEPS; ++i) {
                if (!usable(&states[i]))
                    return NM_ERROR(error, NM_E_NUMERIC, "track %u would be at (%g, %g) at step %u", t->track[a],
                                    (double)states[i].x, (double)states[i].y, first + i);
                write_state(to, t->track[a], first + i, current, &states[i]);
            }
            nm_token_encode(&t->config, nm_tokens_frame(t, a), states, to->values + at * channels);
        }
    }
    return NM_OK;
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

/// Tokens of all scenes `done` steps after their current ones.
static nm_status build(nm_block_rollout *r, const nm_block_request *requests, uint32_t count, uint32_t done,
                       nm_error *error) {
    nm_arena_reset(r->of_block);
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) {
        rolling *to = &r->rolling[i];
        status = nm_future_tokens_build(&r->keep[i], &to->view, requests[i].current_step + done, NM_TASK_FREE, NULL,
                                        r->of_block, &to->tokens, error);
        if (status == NM_E_NOT_FOUND) { // everybody has left: the rest of the scene is empty
            to->tokens = (nm_tokens){.config = r->recipe.tokens, .current_step = requests[i].current_step + done};
            to->tokens.shape.steps = nm_token_count(&r->recipe.tokens);
            status = NM_OK;
        }
        if (status != NM_OK) break;
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
        status = live(r, &r->rolling[i], requests[i].current_step + done, error);
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

nm_status nm_block_rollout_run(nm_block_rollout *r, const nm_block_request *requests, uint32_t count, uint32_t steps,
                               const nm_scene **out, nm_block_cost *cost, nm_error *error) {
    const uint32_t length = NM_TOKEN_STEPS * r->recipe.blocks.size, blocks = (steps + length - 1) / length;
    const uint64_t passes = nm_block_generator_passes(r->generator);
    nm_block_cost spent = {0};
    const double start = nm_clock();
    NM_ASSERT(steps >= 1 && (out || !count));
    for (uint32_t i = 0; i < count; ++i) out[i] = NULL;
    if (count > r->config.generator.scenes)
        return NM_ERROR(error, NM_E_LIMIT, "%u rollouts at once, not %u", count, r->config.generator.scenes);
    if ((uint64_t)blocks * r->recipe.blocks.size + r->recipe.tokens.past + 1 > NM_NOISE_MAX_FRAME)
        return NM_ERROR(error, NM_E_LIMIT, "%u steps are more than noise can tell apart", steps);
    nm_arena_reset(r->arena);
    nm_block_generator_forget(r->generator);
    nm_status status = NM_OK;
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
