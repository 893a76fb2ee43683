#include "scenarios/scene_generator.h"

#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "scenarios/future_candidates.h"
#include "scenarios/future_guidance.h"
#include "scenarios/future_tokens.h"
#include "scenarios/future_workers.h"

struct nm_scene_generator {
    nm_scene_generator_config config;
    nm_future_tokens keep;
    nm_future_workers *workers;
    int blocks;                       ///< 1: the model rolls out block by block
    nm_future_candidates *candidates; ///< NULL: one of each
    nm_scene_builder *builder;
    nm_arena *arena;            ///< of one batch
    nm_scene_request *requests; ///< [config.generator.scenes]
    nm_tokens **tokens;         ///< [config.generator.scenes] in the arena, shared by requests in succession
    nm_proposal *proposals;     ///< [config.generator.scenes] in the arena, shared as tokens are
    nm_generation *batch;       ///< [config.generator.scenes]
    uint32_t count;
};

nm_scene_generator_config nm_scene_generator_config_default(void) {
    return (nm_scene_generator_config){.generator = nm_future_generator_default(),
                                       .agents = 160,
                                       .guidance = nm_future_guidance_default(),
                                       .candidates = nm_candidates_config_default(),
                                       .driver = NM_DRIVER_PATH};
}

static nm_status create_workers(nm_scene_generator *g, nm_model *model, const nm_recipe *wide, nm_error *error) {
    nm_scene_generator_config *c = &g->config;
    const nm_status status =
        nm_future_candidates_create(c->energy, &c->candidates, &wide->tokens, &c->generator, &g->candidates, error);
    if (status != NM_OK) return status;
    if (!wide->blocks.size && c->steps && c->steps != NM_TOKEN_STEPS * wide->tokens.future)
        return NM_ERROR(error, NM_E_ARGUMENT, "the model writes %u steps, not %u: only models trained on blocks go on",
                        NM_TOKEN_STEPS * wide->tokens.future, c->steps);
    if (wide->blocks.size && c->steps) {
        const nm_status fits = nm_block_rollout_check_steps(wide, c->steps, error);
        if (fits != NM_OK) return fits;
    }
    const nm_block_rollout_config config = {.generator = c->generator,
                                            .agents = c->agents,
                                            .guidance = c->guidance,
                                            .standstill = NM_BLOCK_STANDSTILL,
                                            .stop = c->stop,
                                            .stop_context = c->stop_context};
    g->blocks = wide->blocks.size != 0;
    return nm_future_workers_create(model, wide, &config, c->driver, &g->workers, error);
}

nm_status nm_scene_generator_create(nm_model *model, const nm_recipe *recipe, const nm_scene_generator_config *config,
                                    nm_scene_generator **generator, nm_error *error) {
    *generator = NULL;
    nm_scene_generator *g = calloc(1, sizeof *g);
    if (!g) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a generator of scenes");
    const nm_recipe wide = nm_future_recipe(recipe, config->agents);
    const uint32_t scenes = config->generator.scenes;
    g->config = *config;
    g->keep.config = wide.tokens;
    g->keep.present = wide.blocks.size > 0; // as in the rollout
    g->arena = nm_arena_create(0);
    g->builder = nm_scene_builder_create();
    g->requests = calloc(scenes + 1u, sizeof *g->requests);
    g->tokens = calloc(scenes + 1u, sizeof *g->tokens);
    g->batch = calloc(scenes + 1u, sizeof *g->batch);
    g->proposals = calloc(scenes + 1u, sizeof *g->proposals);
    nm_status status = NM_OK;
    if (!g->arena || !g->builder || !g->requests || !g->tokens || !g->batch || !g->proposals)
        status = NM_ERROR(error, NM_E_MEMORY, "out of memory for a generator of scenes");
    if (status == NM_OK) status = create_workers(g, model, &wide, error);
    if (status == NM_OK)
        *generator = g;
    else
        nm_scene_generator_destroy(g);
    return status;
}

void nm_scene_generator_destroy(nm_scene_generator *g) {
    if (!g) return;
    nm_future_workers_destroy(g->workers);
    nm_future_candidates_destroy(g->candidates);
    nm_future_tokens_release(&g->keep);
    nm_scene_builder_destroy(g->builder);
    nm_arena_destroy(g->arena);
    free(g->requests);
    free(g->tokens);
    free(g->batch);
    free(g->proposals);
    free(g);
}

// ---------------------------------------------------------------------------------------------------------------------
// The batch

static int same_tokens(const nm_scene_request *a, const nm_scene_request *b) {
    return a->scene == b->scene && a->current_step == b->current_step && a->task == b->task && a->bound == b->bound;
}

nm_status nm_scene_generator_add(nm_scene_generator *g, const nm_scene_request *request, nm_error *error) {
    NM_ASSERT(request->scene && (request->task == NM_TASK_FREE || request->task == NM_TASK_GOAL));
    if (g->blocks && request->task != NM_TASK_FREE)
        return NM_ERROR(error, NM_E_ARGUMENT, "a model trained on blocks knows no goals: the task must be free");
    if (g->count == g->config.generator.scenes)
        return NM_ERROR(error, NM_E_LIMIT, "a batch holds %u scenes", g->config.generator.scenes);
    const int shared = g->count && same_tokens(&g->requests[g->count - 1], request);
    nm_tokens *tokens = shared ? g->tokens[g->count - 1] : NULL;
    if (!shared) {
        const nm_arena_mark mark = nm_arena_get_mark(g->arena);
        tokens = NM_ARENA_ARRAY(g->arena, nm_tokens, 1);
        if (!tokens) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the tokens of a scene");
        const nm_status status = nm_future_tokens_build(&g->keep, request->scene, request->current_step, request->task,
                                                        request->bound, g->arena, tokens, error);
        if (status != NM_OK) {
            nm_arena_release(g->arena, mark);
            return status;
        }
    }
    g->requests[g->count] = *request;
    g->tokens[g->count] = tokens;
    g->count++;
    return NM_OK;
}

uint32_t nm_scene_generator_count(const nm_scene_generator *g) {
    return g->count;
}

const nm_tokens *nm_scene_generator_tokens(const nm_scene_generator *g, uint32_t index) {
    NM_ASSERT(index < g->count);
    return g->tokens[index];
}

// ---------------------------------------------------------------------------------------------------------------------
// The run

/// What those who sample it see of one run.
typedef struct one_run {
    nm_scene_generator *g;
    nm_generated_scene *out; ///< of the whole batch
    uint32_t first;          ///< scene of the batch that is the run's first one
} one_run;

/// Tells guidance and energy whose the tokens are: candidates of a request are all the same scene's.
static nm_status set_guided(nm_scene_generator *g, nm_future_worker *worker, uint32_t first, uint32_t count,
                            nm_error *error) {
    const uint32_t each = g->config.candidates.count;
    const nm_scene **from = NM_ARENA_ARRAY(worker->arena, const nm_scene *, count *each);
    const nm_tokens **tokens = NM_ARENA_ARRAY(worker->arena, const nm_tokens *, count *each);
    if (!from || !tokens) return NM_ERROR(error, NM_E_MEMORY, "out of memory for guidance");
    for (uint32_t i = 0; i < count * each; ++i) {
        from[i] = g->requests[first + i / each].scene;
        tokens[i] = g->tokens[first + i / each];
    }
    const nm_guided_scene *guided;
    const nm_status status = nm_future_guided(from, tokens, count * each, NULL, worker->arena, &guided, error);
    if (status == NM_OK && worker->sampler.guidance)
        nm_guidance_set_scenes(worker->sampler.guidance, guided, count * each);
    if (status == NM_OK && g->candidates) nm_future_candidates_set(g->candidates, guided, count * each);
    return status;
}

/// Scenes [first, first + count) of the run.
static nm_status sample(void *context, nm_future_worker *worker, uint32_t first, uint32_t count, nm_future_cost *cost,
                        nm_error *error) {
    const one_run *run = context;
    nm_scene_generator *g = run->g;
    nm_status status =
        worker->sampler.guidance || g->candidates ? set_guided(g, worker, run->first + first, count, error) : NM_OK;
    const double start = nm_clock();
    if (status == NM_OK)
        status = nm_generator_run(worker->sampler.generator, &g->batch[run->first + first], count,
                                  nm_future_worker_guide, worker, error);
    if (status == NM_OK) nm_future_cost_add(cost, worker->sampler.generator, count, nm_clock() - start);
    return status;
}

/// Those who are there at the current step: in the tokens, or without a place there.
static void count_agents(const nm_scene_request *r, const nm_tokens *tokens, nm_generated_scene *out) {
    out->agents = out->left_out = 0;
    for (uint32_t a = 0; a < tokens->shape.agents; ++a)
        out->agents += r->scene->valid[nm_scene_at(r->scene, tokens->track[a], r->current_step)] != 0;
    for (uint32_t i = 0; i < r->scene->track_count; ++i)
        out->left_out += r->scene->valid[nm_scene_at(r->scene, i, r->current_step)] != 0;
    out->left_out -= out->agents;
}

/// Block by block, if the model was trained so: scenes [first, first + count) of the run.
static nm_status roll_out(void *context, nm_future_worker *worker, uint32_t first, uint32_t count, nm_future_cost *cost,
                          nm_error *error) {
    const one_run *run = context;
    nm_scene_generator *g = run->g;
    nm_block_request *requests = NM_ARENA_ARRAY(worker->arena, nm_block_request, count);
    const nm_scene **scenes = NM_ARENA_ARRAY(worker->arena, const nm_scene *, count);
    if (!requests || !scenes) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u futures", count);
    for (uint32_t i = 0; i < count; ++i) {
        const nm_scene_request *from = &g->requests[run->first + first + i];
        requests[i] =
            (nm_block_request){.scene = from->scene,
                               .current_step = from->current_step,
                               .key = nm_future_key(from->scene, from->seed, from->sample),
                               .bound = from->bound,
                               .output = {.parameters = from->parameters, .seed = from->seed, .parent = from->parent}};
    }
    const uint32_t steps = g->config.steps ? g->config.steps : NM_TOKEN_STEPS * g->keep.config.future;
    nm_block_cost spent = {0};
    const nm_status status =
        nm_block_rollout_run(worker->sampler.rollout, requests, count, steps, scenes, &spent, error);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) {
        const uint32_t at = run->first + first + i;
        run->out[at].scene = scenes[i];
        count_agents(&g->requests[at], g->tokens[at], &run->out[at]);
    }
    if (status == NM_OK) nm_future_cost_add_blocks(cost, &spent, count);
    return status;
}

/// Samples scenes [first, first + count) of the batch, and makes them where that belongs together. Nothing is in `out`
/// for them after a failure, though some may have been rolled out.
static nm_status sample_some(nm_scene_generator *g, uint32_t first, uint32_t count, nm_generated_scene *out,
                             nm_future_cost *cost, nm_error *error) {
    one_run run = {.g = g, .out = out, .first = first};
    const nm_status status = nm_future_workers_run(g->workers, count, g->blocks ? roll_out : sample, &run, cost, error);
    for (uint32_t i = first; status != NM_OK && i < first + count; ++i) {
        nm_scene_destroy(out[i].scene);
        out[i].scene = NULL;
        out[i].agents = out[i].left_out = 0;
    }
    return status;
}

/// All together; where something came out that is not finite, one by one, so that only its own request fails.
static nm_status sample_all(nm_scene_generator *g, nm_generated_scene *out, nm_future_cost *cost, nm_error *error) {
    nm_error first;
    nm_error_clear(&first);
    nm_status status = sample_some(g, 0, g->count, out, cost, &first);
    if (status == NM_E_NUMERIC && g->count > 1) {
        status = NM_OK;
        for (uint32_t i = 0; status == NM_OK && i < g->count; ++i) {
            out[i].status = sample_some(g, i, 1, out, cost, &out[i].error);
            if (out[i].status == NM_OK || out[i].status == NM_E_NUMERIC) continue;
            status = out[i].status;
            first = out[i].error;
        }
    } else if (status == NM_E_NUMERIC) {
        out[0].status = status;
        out[0].error = first;
        status = NM_OK;
    }
    if (status != NM_OK && error) *error = first;
    return status;
}

/// What is proposed for request `index`, where agreement is asked for.
static nm_status propose(nm_scene_generator *g, uint32_t index, nm_future_cost *cost, nm_error *error) {
    const double start = nm_clock();
    g->proposals[index] = (nm_proposal){0};
    if (!nm_agreement_is_on(&g->config.generator.agreement)) return NM_OK;
    if (index > 0 && g->tokens[index] == g->tokens[index - 1]) {
        g->proposals[index] = g->proposals[index - 1];
        return NM_OK;
    }
    const nm_status status = nm_proposal_make(g->requests[index].scene, g->tokens[index], g->config.driver, g->arena,
                                              &g->proposals[index], error);
    if (cost) cost->seconds += nm_clock() - start;
    return status;
}

static nm_status prepare(nm_scene_generator *g, nm_future_cost *cost, nm_error *error) {
    for (uint32_t i = 0; i < g->count; ++i) {
        const nm_scene_request *r = &g->requests[i];
        const nm_tokens *t = g->tokens[i];
        const size_t size = (size_t)t->shape.agents * t->shape.steps * nm_token_channels(&t->config);
        float *values = NM_ARENA_ARRAY(g->arena, float, size);
        if (!values) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u futures", g->count);
        const nm_status status = propose(g, i, cost, error);
        if (status != NM_OK) return status;
        g->batch[i] = (nm_generation){.tokens = t,
                                      .key = nm_future_key(r->scene, r->seed, r->sample),
                                      .proposal = g->proposals[i].values,
                                      .proposed = g->proposals[i].proposed,
                                      .values = values};
    }
    return NM_OK;
}

static void make_scene(nm_scene_generator *g, uint32_t index, nm_generated_scene *out) {
    const nm_scene_request *r = &g->requests[index];
    const nm_token_output output = {.parameters = r->parameters, .seed = r->seed, .parent = r->parent};
    count_agents(r, g->tokens[index], out);
    const nm_tokens *tokens = g->tokens[index];
    uint8_t *present = NM_ARENA_ARRAY(g->arena, uint8_t, (size_t)tokens->shape.agents * tokens->shape.steps);
    if (!present) {
        out->status = NM_ERROR(&out->error, NM_E_MEMORY, "out of memory for a generated scene");
        return;
    }
    nm_future_present(r->scene, tokens, g->batch[index].values, present);
    out->status = nm_tokens_to_scene(tokens, r->scene, g->batch[index].values, present, &output, g->builder, g->arena,
                                     &out->scene, &out->error);
}

nm_status nm_scene_generator_run(nm_scene_generator *g, nm_generated_scene *out, nm_future_cost *cost,
                                 nm_error *error) {
    NM_ASSERT(out || !g->count);
    for (uint32_t i = 0; i < g->count; ++i) {
        out[i] = (nm_generated_scene){0};
        nm_error_clear(&out[i].error);
    }
    nm_status status = prepare(g, cost, error);
    if (status == NM_OK && g->count) status = sample_all(g, out, cost, error);
    for (uint32_t i = 0; status == NM_OK && i < g->count; ++i) {
        if (out[i].status == NM_OK && !g->blocks) make_scene(g, i, &out[i]);
    }
    for (uint32_t i = 0; status != NM_OK && i < g->count; ++i) { // what was rolled out before it failed
        nm_scene_destroy(out[i].scene);
        out[i].scene = NULL;
    }
    g->count = 0;
    nm_arena_reset(g->arena);
    return status;
}
