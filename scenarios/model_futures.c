#include "scenarios/model_futures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "scenarios/future_candidates.h"
#include "scenarios/future_guidance.h"
#include "scenarios/future_sampler.h"
#include "scenarios/future_tokens.h"

struct nm_model_futures {
    nm_model_futures_config config;
    nm_future_tokens keep;
    nm_future_sampler sampler;
    nm_future_candidates *candidates; ///< NULL: one of each
    nm_arena *arena;                  ///< of one run
};

nm_model_futures_config nm_model_futures_config_default(void) {
    return (nm_model_futures_config){.generator = nm_future_generator_default(),
                                     .agents = 160,
                                     .guidance = nm_future_guidance_default(),
                                     .candidates = nm_candidates_config_default(),
                                     .driver = NM_DRIVER_PATH};
}

static nm_status create_sampler(nm_model_futures *f, nm_model *model, const nm_recipe *wide, nm_error *error) {
    const nm_model_futures_config *c = &f->config;
    const nm_block_rollout_config config = {.generator = c->generator,
                                            .agents = c->agents,
                                            .guidance = c->guidance,
                                            .standstill = NM_BLOCK_STANDSTILL,
                                            .stop = c->stop,
                                            .stop_context = c->stop_context};
    return nm_future_sampler_create(model, wide, &config, c->driver, &f->sampler, error);
}

nm_status nm_model_futures_create(nm_model *model, const nm_recipe *recipe, const nm_model_futures_config *config,
                                  nm_model_futures **futures, nm_error *error) {
    *futures = NULL;
    nm_model_futures *f = calloc(1, sizeof *f);
    if (f) f->arena = nm_arena_create(0);
    if (!f || !f->arena) {
        free(f);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the futures of a model");
    }
    const nm_recipe wide = nm_future_recipe(recipe, config->agents);
    f->config = *config;
    f->keep.config = wide.tokens;
    nm_status status = nm_future_candidates_create(config->energy, &config->candidates, &wide.tokens,
                                                   &f->config.generator, &f->candidates, error);
    if (status == NM_OK) status = create_sampler(f, model, &wide, error);
    if (status == NM_OK)
        *futures = f;
    else
        nm_model_futures_destroy(f);
    return status;
}

void nm_model_futures_destroy(nm_model_futures *f) {
    if (!f) return;
    nm_future_sampler_destroy(&f->sampler);
    nm_future_candidates_destroy(f->candidates);
    nm_future_tokens_release(&f->keep);
    nm_arena_destroy(f->arena);
    free(f);
}

static nm_status allocate(const nm_future_request *r, uint32_t steps, nm_arena *arena, nm_futures *out,
                          nm_error *error) {
    const size_t states = (size_t)r->samples * r->agents * steps;
    float *all = NM_ARENA_ARRAY(arena, float, 4 * states);
    uint32_t *track = NM_ARENA_ARRAY(arena, uint32_t, r->agents);
    if (!all || !track) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u futures", r->samples);
    memcpy(track, r->track, r->agents * sizeof *track);
    *out = (nm_futures){.samples = r->samples,
                        .agents = r->agents,
                        .steps = steps,
                        .track = track,
                        .x = all,
                        .y = all + states,
                        .z = all + 2 * states,
                        .heading = all + 3 * states};
    return NM_OK;
}

/// The future of one agent of one sample: decoded states; where there are none straight on from the last one, at its
/// speed. Window models write states also beyond the end of the map: who left there in a rollout goes on as well, and
/// both are scored alike.
static void write_agent(const nm_future_request *r, const nm_state *states, const uint8_t *valid, nm_futures *out,
                        uint32_t sample, uint32_t agent) {
    const size_t at = ((size_t)sample * out->agents + agent) * out->steps;
    float *x = (float *)(uintptr_t)out->x + at, *y = (float *)(uintptr_t)out->y + at;
    float *z = (float *)(uintptr_t)out->z + at, *heading = (float *)(uintptr_t)out->heading + at;
    nm_state now = {0};
    nm_scene_get_state(r->scene, r->track[agent], r->current_step, &now);
    nm_state last = now;
    uint32_t since = 0;
    for (uint32_t k = 0; k < out->steps; ++k) {
        const int there = states && valid[k];
        if (there) last = states[k];
        since = there ? 0 : since + 1;
        const float time = 0.1f * (float)since;
        x[k] = last.x + time * last.vx;
        y[k] = last.y + time * last.vy;
        heading[k] = last.heading;
        z[k] = now.z;
    }
}

static nm_status decode(nm_model_futures *f, const nm_future_request *r, const nm_tokens *tokens, const float *values,
                        uint32_t sample, nm_futures *out, nm_error *error) {
    const uint32_t line = nm_token_timeline(&tokens->config, NM_RATE_10HZ), agents = tokens->shape.agents;
    const nm_arena_mark mark = nm_arena_get_mark(f->arena);
    nm_state *states = NM_ARENA_ARRAY(f->arena, nm_state, (size_t)agents * line);
    uint8_t *valid = NM_ARENA_ARRAY(f->arena, uint8_t, (size_t)agents * line);
    nm_status status =
        states && valid ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for the states of futures");
    if (status == NM_OK) status = nm_tokens_decode(tokens, values, NULL, NM_RATE_10HZ, states, valid, error);
    const uint32_t first = line - out->steps;
    for (uint32_t i = 0; status == NM_OK && i < r->agents; ++i) {
        uint32_t a = 0;
        while (a < agents && tokens->track[a] != r->track[i]) ++a;
        const size_t at = (size_t)a * line + first;
        write_agent(r, a < agents ? states + at : NULL, a < agents ? valid + at : NULL, out, sample, i);
    }
    nm_arena_release(f->arena, mark);
    return status;
}

/// What became of the wanted agents in a scene that was rolled out.
static nm_status read_rollout(nm_model_futures *f, const nm_future_request *r, const nm_scene *scene, uint32_t sample,
                              nm_futures *out, nm_error *error) {
    nm_state *states = NM_ARENA_ARRAY(f->arena, nm_state, out->steps);
    uint8_t *valid = NM_ARENA_ARRAY(f->arena, uint8_t, out->steps);
    if (!states || !valid) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the states of futures");
    for (uint32_t i = 0; i < r->agents; ++i) {
        for (uint32_t k = 0; k < out->steps; ++k)
            valid[k] = (uint8_t)nm_scene_get_state(scene, r->track[i], r->current_step + 1 + k, &states[k]);
        write_agent(r, states, valid, out, sample, i);
    }
    return NM_OK;
}

/// Samples [first, first + count) side by side, block by block.
static nm_status roll_out(nm_model_futures *f, const nm_future_request *r, uint32_t first, uint32_t count,
                          nm_futures *out, nm_future_cost *cost, nm_error *error) {
    if (r->task != NM_TASK_FREE || r->feedback)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "a model trained on blocks knows no goals, and no feedback: the task must be free");
    const nm_arena_mark mark = nm_arena_get_mark(f->arena);
    nm_block_request *requests = NM_ARENA_ARRAY(f->arena, nm_block_request, count);
    const nm_scene **scenes = NM_ARENA_ARRAY(f->arena, const nm_scene *, count);
    nm_block_cost spent = {0};
    nm_status status = requests && scenes ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for %u futures", count);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i)
        requests[i] = (nm_block_request){
            .scene = r->scene, .current_step = r->current_step, .key = nm_future_key(r->scene, r->seed, first + i)};
    if (status == NM_OK)
        status = nm_block_rollout_run(f->sampler.rollout, requests, count, out->steps, scenes, &spent, error);
    const int made = status == NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < count; ++i)
        status = read_rollout(f, r, scenes[i], first + i, out, error);
    for (uint32_t i = 0; made && i < count; ++i) nm_scene_destroy(scenes[i]);
    nm_arena_release(f->arena, mark);
    if (status == NM_OK && cost) nm_future_cost_add_blocks(cost, &spent, count);
    return status;
}

/// Tells guidance and energy whose the tokens are, of futures and their candidates: all are the same scene's.
static nm_status set_guided(nm_model_futures *f, const nm_scene *scene, const nm_tokens *tokens, uint32_t futures,
                            nm_error *error) {
    const uint32_t count = futures * f->config.generator.candidates.count;
    const nm_scene **scenes = NM_ARENA_ARRAY(f->arena, const nm_scene *, count);
    const nm_tokens **same = NM_ARENA_ARRAY(f->arena, const nm_tokens *, count);
    if (!scenes || !same) return NM_ERROR(error, NM_E_MEMORY, "out of memory for guidance");
    for (uint32_t i = 0; i < count; ++i) {
        scenes[i] = scene;
        same[i] = tokens;
    }
    const nm_guided_scene *guided;
    const nm_status status = nm_future_guided(scenes, same, count, NULL, f->arena, &guided, error);
    if (status == NM_OK && f->sampler.guidance) nm_guidance_set_scenes(f->sampler.guidance, guided, count);
    if (status == NM_OK && f->candidates) nm_future_candidates_set(f->candidates, guided, count);
    return status;
}

/// Called once a pass: the guidance, if there is one, and the question whether to end the run.
static nm_status guide(void *context, const nm_denoise_input *in, float *x0, nm_error *error) {
    const nm_model_futures *f = context;
    if (f->config.stop && f->config.stop(f->config.stop_context)) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    return f->sampler.guidance ? nm_guidance_apply(f->sampler.guidance, in, x0, error) : NM_OK;
}

void nm_future_cost_add(nm_future_cost *cost, const nm_generator *generator, uint32_t futures, double seconds) {
    cost->seconds += seconds;
    cost->passes += nm_generator_passes(generator);
    cost->batches++;
    cost->future_count += futures;
    const nm_reuse_stats kept = nm_generator_reuse_stats(generator);
    nm_reuse_stats_add(&cost->reuse, &kept);
    for (uint32_t i = 0; i < futures; ++i) {
        const nm_generated_count one = nm_generator_count(generator, i);
        cost->futures.passes += one.passes;
        cost->futures.tokens += one.tokens;
        cost->futures.agreed += one.agreed;
        const nm_candidate_report *report = nm_generator_candidates(generator, i);
        if (!report) continue;
        cost->chosen++;
        cost->effective += report->effective;
        cost->energy_gained += report->mean_energy - report->energy;
    }
}

void nm_future_cost_add_blocks(nm_future_cost *cost, const nm_block_cost *spent, uint32_t futures) {
    cost->seconds += spent->sampling;
    cost->passes += spent->passes;
    cost->batches++;
    cost->future_count += futures;
    cost->futures.passes += spent->passes * futures;
}

/// Samples [first, first + count) in one batch.
static nm_status sample(nm_model_futures *f, const nm_future_request *r, const nm_tokens *tokens,
                        const nm_proposal *proposal, uint32_t first, uint32_t count, nm_futures *out,
                        nm_future_cost *cost, nm_error *error) {
    const size_t size = (size_t)tokens->shape.agents * tokens->shape.steps * nm_token_channels(&tokens->config);
    const nm_arena_mark mark = nm_arena_get_mark(f->arena);
    nm_generation *batch = NM_ARENA_ARRAY(f->arena, nm_generation, count);
    float *values = NM_ARENA_ARRAY(f->arena, float, size *count);
    nm_status status = batch && values ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for %u futures", count);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i)
        batch[i] = (nm_generation){.tokens = tokens,
                                   .feedback = r->feedback ? tokens->logged : NULL,
                                   .key = nm_future_key(r->scene, r->seed, first + i),
                                   .proposal = proposal->values,
                                   .proposed = proposal->proposed,
                                   .values = values + i * size};
    if (status == NM_OK && (f->sampler.guidance || f->candidates))
        status = set_guided(f, r->scene, tokens, count, error);
    const double start = nm_clock();
    nm_guide *asked = f->sampler.guidance || f->config.stop ? guide : NULL;
    if (status == NM_OK) status = nm_generator_run(f->sampler.generator, batch, count, asked, f, error);
    if (status == NM_OK && cost) nm_future_cost_add(cost, f->sampler.generator, count, nm_clock() - start);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i)
        status = decode(f, r, tokens, values + i * size, first + i, out, error);
    nm_arena_release(f->arena, mark);
    return status;
}

nm_status nm_model_futures_run(nm_model_futures *f, const nm_future_request *r, nm_arena *arena, nm_futures *out,
                               nm_future_cost *cost, nm_error *error) {
    NM_ASSERT(r->samples > 0);
    nm_tokens tokens;
    nm_arena_reset(f->arena);
    nm_status status =
        nm_future_tokens_build(&f->keep, r->scene, r->current_step, r->task, NULL, f->arena, &tokens, error);
    if (status == NM_OK) status = allocate(r, NM_TOKEN_STEPS * f->keep.config.future, arena, out, error);
    nm_proposal proposal = {0};
    const double start = nm_clock();
    if (status == NM_OK && nm_agreement_is_on(&f->config.generator.agreement))
        status = nm_proposal_make(r->scene, &tokens, f->config.driver, f->arena, &proposal, error);
    if (status == NM_OK && cost) cost->seconds += proposal.values ? nm_clock() - start : 0.0;
    const uint32_t batch = f->config.generator.scenes;
    for (uint32_t first = 0; status == NM_OK && first < r->samples; first += batch) {
        const uint32_t left = r->samples - first;
        const uint32_t count = left < batch ? left : batch;
        status = f->sampler.rollout ? roll_out(f, r, first, count, out, cost, error)
                                    : sample(f, r, &tokens, &proposal, first, count, out, cost, error);
    }
    return status;
}
