#include "scenarios/model_futures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "scenarios/future_candidates.h"
#include "scenarios/future_guidance.h"
#include "scenarios/future_tokens.h"
#include "scenarios/future_workers.h"

struct nm_model_futures {
    nm_model_futures_config config;
    nm_future_tokens keep;
    nm_future_workers *workers;
    nm_future_candidates *candidates; ///< NULL: one of each
    nm_arena *arena;                  ///< of one run
};

/// One run, as those who sample it see it.
typedef struct one_run {
    const nm_model_futures *f;
    const nm_future_request *request;
    const nm_tokens *tokens;
    nm_proposal proposal;
    nm_futures *out;
} one_run;

nm_model_futures_config nm_model_futures_config_default(void) {
    return (nm_model_futures_config){.generator = nm_future_generator_default(),
                                     .agents = 160,
                                     .guidance = nm_future_guidance_default(),
                                     .candidates = nm_candidates_config_default(),
                                     .driver = NM_DRIVER_PATH};
}

static nm_status create_workers(nm_model_futures *f, nm_model *model, const nm_recipe *wide, nm_error *error) {
    const nm_model_futures_config *c = &f->config;
    const nm_block_rollout_config config = {.generator = c->generator,
                                            .agents = c->agents,
                                            .guidance = c->guidance,
                                            .standstill = NM_BLOCK_STANDSTILL,
                                            .stop = c->stop,
                                            .stop_context = c->stop_context};
    return nm_future_workers_create(model, wide, &config, c->driver, &f->workers, error);
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
    if (status == NM_OK) status = create_workers(f, model, &wide, error);
    if (status == NM_OK)
        *futures = f;
    else
        nm_model_futures_destroy(f);
    return status;
}

void nm_model_futures_destroy(nm_model_futures *f) {
    if (!f) return;
    nm_future_workers_destroy(f->workers);
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

static nm_status decode(const one_run *run, nm_arena *arena, const float *values, uint32_t sample, nm_error *error) {
    const nm_future_request *r = run->request;
    const nm_tokens *tokens = run->tokens;
    const uint32_t line = nm_token_timeline(&tokens->config, NM_RATE_10HZ), agents = tokens->shape.agents;
    const nm_arena_mark mark = nm_arena_get_mark(arena);
    nm_state *states = NM_ARENA_ARRAY(arena, nm_state, (size_t)agents * line);
    uint8_t *valid = NM_ARENA_ARRAY(arena, uint8_t, (size_t)agents * line);
    nm_status status =
        states && valid ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for the states of futures");
    if (status == NM_OK) status = nm_tokens_decode(tokens, values, NULL, NM_RATE_10HZ, states, valid, error);
    const uint32_t first = line - run->out->steps;
    for (uint32_t i = 0; status == NM_OK && i < r->agents; ++i) {
        uint32_t a = 0;
        while (a < agents && tokens->track[a] != r->track[i]) ++a;
        const size_t at = (size_t)a * line + first;
        write_agent(r, a < agents ? states + at : NULL, a < agents ? valid + at : NULL, run->out, sample, i);
    }
    nm_arena_release(arena, mark);
    return status;
}

/// What became of the wanted agents in a scene that was rolled out.
static nm_status read_rollout(const one_run *run, nm_arena *arena, const nm_scene *scene, uint32_t sample,
                              nm_error *error) {
    const nm_future_request *r = run->request;
    const uint32_t steps = run->out->steps;
    nm_state *states = NM_ARENA_ARRAY(arena, nm_state, steps);
    uint8_t *valid = NM_ARENA_ARRAY(arena, uint8_t, steps);
    if (!states || !valid) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the states of futures");
    for (uint32_t i = 0; i < r->agents; ++i) {
        for (uint32_t k = 0; k < steps; ++k)
            valid[k] = (uint8_t)nm_scene_get_state(scene, r->track[i], r->current_step + 1 + k, &states[k]);
        write_agent(r, states, valid, run->out, sample, i);
    }
    return NM_OK;
}

/// Samples [first, first + count) side by side, block by block.
static nm_status roll_out(void *context, nm_future_worker *worker, uint32_t first, uint32_t count, nm_future_cost *cost,
                          nm_error *error) {
    const one_run *run = context;
    const nm_future_request *r = run->request;
    nm_block_request *requests = NM_ARENA_ARRAY(worker->arena, nm_block_request, count);
    const nm_scene **scenes = NM_ARENA_ARRAY(worker->arena, const nm_scene *, count);
    nm_block_cost spent = {0};
    nm_status status = requests && scenes ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for %u futures", count);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i)
        requests[i] = (nm_block_request){
            .scene = r->scene, .current_step = r->current_step, .key = nm_future_key(r->scene, r->seed, first + i)};
    if (status == NM_OK)
        status = nm_block_rollout_run(worker->sampler.rollout, requests, count, run->out->steps, scenes, &spent, error);
    const int made = status == NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < count; ++i)
        status = read_rollout(run, worker->arena, scenes[i], first + i, error);
    for (uint32_t i = 0; made && i < count; ++i) nm_scene_destroy(scenes[i]);
    if (status == NM_OK) nm_future_cost_add_blocks(cost, &spent, count);
    return status;
}

/// Tells guidance and energy whose the tokens are, of futures and their candidates: all are the same scene's.
static nm_status set_guided(const one_run *run, nm_future_worker *worker, uint32_t futures, nm_error *error) {
    const uint32_t count = futures * run->f->config.generator.candidates.count;
    const nm_scene **scenes = NM_ARENA_ARRAY(worker->arena, const nm_scene *, count);
    const nm_tokens **same = NM_ARENA_ARRAY(worker->arena, const nm_tokens *, count);
    if (!scenes || !same) return NM_ERROR(error, NM_E_MEMORY, "out of memory for guidance");
    for (uint32_t i = 0; i < count; ++i) {
        scenes[i] = run->request->scene;
        same[i] = run->tokens;
    }
    const nm_guided_scene *guided;
    const nm_status status = nm_future_guided(scenes, same, count, NULL, worker->arena, &guided, error);
    if (status == NM_OK && worker->sampler.guidance) nm_guidance_set_scenes(worker->sampler.guidance, guided, count);
    if (status == NM_OK && run->f->candidates) nm_future_candidates_set(run->f->candidates, guided, count);
    return status;
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
static nm_status sample(void *context, nm_future_worker *worker, uint32_t first, uint32_t count, nm_future_cost *cost,
                        nm_error *error) {
    const one_run *run = context;
    const nm_tokens *tokens = run->tokens;
    const nm_future_request *r = run->request;
    const size_t size = (size_t)tokens->shape.agents * tokens->shape.steps * nm_token_channels(&tokens->config);
    nm_generation *batch = NM_ARENA_ARRAY(worker->arena, nm_generation, count);
    float *values = NM_ARENA_ARRAY(worker->arena, float, size *count);
    nm_status status = batch && values ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for %u futures", count);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i)
        batch[i] = (nm_generation){.tokens = tokens,
                                   .feedback = r->feedback ? tokens->logged : NULL,
                                   .key = nm_future_key(r->scene, r->seed, first + i),
                                   .proposal = run->proposal.values,
                                   .proposed = run->proposal.proposed,
                                   .values = values + i * size};
    if (status == NM_OK && (worker->sampler.guidance || run->f->candidates))
        status = set_guided(run, worker, count, error);
    nm_guide *asked = nm_future_worker_asks(worker) ? nm_future_worker_guide : NULL;
    const double start = nm_clock();
    if (status == NM_OK) status = nm_generator_run(worker->sampler.generator, batch, count, asked, worker, error);
    if (status == NM_OK) nm_future_cost_add(cost, worker->sampler.generator, count, nm_clock() - start);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i)
        status = decode(run, worker->arena, values + i * size, first + i, error);
    return status;
}

nm_status nm_model_futures_run(nm_model_futures *f, const nm_future_request *r, nm_arena *arena, nm_futures *out,
                               nm_future_cost *cost, nm_error *error) {
    NM_ASSERT(r->samples > 0);
    nm_tokens tokens;
    nm_arena_reset(f->arena);
    const int blocks = nm_future_workers_sampler(f->workers)->rollout != NULL;
    nm_status status =
        nm_future_tokens_build(&f->keep, r->scene, r->current_step, r->task, NULL, f->arena, &tokens, error);
    if (status == NM_OK && blocks && (r->task != NM_TASK_FREE || r->feedback))
        status = NM_ERROR(error, NM_E_ARGUMENT,
                          "a model trained on blocks knows no goals, and no feedback: the task must be free");
    if (status == NM_OK) status = allocate(r, NM_TOKEN_STEPS * f->keep.config.future, arena, out, error);
    one_run run = {.f = f, .request = r, .tokens = &tokens, .out = out};
    const double start = nm_clock();
    if (status == NM_OK && nm_agreement_is_on(&f->config.generator.agreement))
        status = nm_proposal_make(r->scene, &tokens, f->config.driver, f->arena, &run.proposal, error);
    if (status == NM_OK && cost) cost->seconds += run.proposal.values ? nm_clock() - start : 0.0;
    if (status == NM_OK)
        status = nm_future_workers_run(f->workers, r->samples, blocks ? roll_out : sample, &run, cost, error);
    return status;
}
