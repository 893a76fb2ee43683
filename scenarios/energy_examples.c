#include "scenarios/energy_examples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/future_guidance.h"
#include "scenarios/future_tokens.h"

struct nm_energy_examples {
    nm_model_futures_config config;
    uint32_t futures;
    nm_future_tokens keep;
    nm_generator *generator;
    nm_guidance *guidance; ///< NULL: none
    nm_energy_reader *reader;
    nm_arena *arena; ///< of one moment
    float *sampled;  ///< [sampled_count] in the arena: what is recorded after the step, of each future
    size_t sampled_count;
};

nm_status nm_energy_examples_create(nm_model *model, const nm_recipe *recipe, uint32_t futures,
                                    const nm_model_futures_config *config, nm_energy_examples **examples,
                                    nm_error *error) {
    *examples = NULL;
    nm_energy_examples *x = calloc(1, sizeof *x);
    if (x) x->arena = nm_arena_create(0);
    if (!x || !x->arena) {
        free(x);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the examples of an energy");
    }
    const nm_recipe wide = nm_future_recipe(recipe, config->agents);
    const nm_energy_reader_config reader = {.max_tokens = wide.tokens.agents * nm_token_count(&wide.tokens),
                                            .past = wide.tokens.past,
                                            .future = wide.tokens.future,
                                            .encoding = nm_token_state_encoding(&wide.tokens),
                                            .dt = 0.1f * (float)NM_TOKEN_STEPS};
    x->config = *config;
    x->config.generator.scenes = futures;
    x->config.generator.candidates = nm_candidates_config_default();
    x->config.generator.agreement = (nm_agreement){0};
    x->futures = futures;
    x->keep.config = wide.tokens;
    nm_status status = nm_generator_create(model, &wide, &x->config.generator, &x->generator, error);
    if (status == NM_OK)
        status = nm_future_guidance_create(&config->guidance, &wide.tokens, futures, &x->guidance, error);
    if (status == NM_OK) status = nm_energy_reader_create(&reader, &x->reader, error);
    if (status == NM_OK)
        *examples = x;
    else
        nm_energy_examples_destroy(x);
    return status;
}

void nm_energy_examples_destroy(nm_energy_examples *x) {
    if (!x) return;
    nm_generator_destroy(x->generator);
    nm_guidance_destroy(x->guidance);
    nm_energy_reader_destroy(x->reader);
    nm_future_tokens_release(&x->keep);
    nm_arena_destroy(x->arena);
    free(x);
}

const float *nm_energy_examples_sampled(const nm_energy_examples *x, size_t *count) {
    *count = x->sampled_count;
    return x->sampled;
}

// ---------------------------------------------------------------------------------------------------------------------

static nm_status guide(void *context, const nm_denoise_input *in, float *x0, nm_error *error) {
    const nm_energy_examples *x = context;
    if (x->config.stop && x->config.stop(x->config.stop_context)) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    return x->guidance ? nm_guidance_apply(x->guidance, in, x0, error) : NM_OK;
}

/// The model's futures, [futures] arrays of [A][T][C] in succession.
static nm_status sample(nm_energy_examples *x, const nm_scene *scene, const nm_tokens *tokens,
                        const nm_guided_scene *guided, uint64_t seed, float *values, nm_error *error) {
    const size_t size = (size_t)tokens->shape.agents * tokens->shape.steps * nm_token_channels(&tokens->config);
    nm_generation *batch = NM_ARENA_ARRAY(x->arena, nm_generation, x->futures);
    if (!batch) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u futures", x->futures);
    for (uint32_t i = 0; i < x->futures; ++i)
        batch[i] = (nm_generation){.tokens = tokens, .key = nm_future_key(scene, seed, i), .values = values + i * size};
    if (x->guidance) nm_guidance_set_scenes(x->guidance, guided, x->futures);
    return nm_generator_run(x->generator, batch, x->futures, guide, x, error);
}

/// Logged tokens, packed: those of whom the recording has a future are compared, the others are seen by them.
typedef struct packed {
    uint32_t count;
    uint32_t *agent, *time;
    float *values;
    float *rows; ///< [1 + futures][count][NM_ENERGY_ROW]
} packed;

static nm_status allocate(nm_energy_examples *x, const nm_tokens *t, packed *p, nm_error *error) {
    const size_t most = (size_t)t->shape.agents * t->shape.steps;
    *p = (packed){.agent = NM_ARENA_ARRAY(x->arena, uint32_t, most),
                  .time = NM_ARENA_ARRAY(x->arena, uint32_t, most),
                  .values = NM_ARENA_ARRAY(x->arena, float, most *nm_token_channels(&t->config)),
                  .rows = NM_ARENA_ARRAY(x->arena, float, most *(1 + x->futures) * NM_ENERGY_ROW)};
    if (!p->agent || !p->time || !p->values || !p->rows)
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the rows of an energy");
    return NM_OK;
}

/// Whether a token is compared, or seen by those that are.
static int is_recorded(const nm_tokens *t, uint32_t n) {
    return t->logged[n] && t->valid[n];
}

static void pack(const nm_tokens *t, const float *values, packed *p) {
    const uint32_t channels = nm_token_channels(&t->config), steps = t->shape.steps;
    p->count = 0;
    for (uint32_t n = 0; n < t->shape.agents * steps; ++n) {
        if (!is_recorded(t, n)) continue;
        p->agent[p->count] = n / steps;
        p->time[p->count] = n % steps;
        memcpy(p->values + (size_t)p->count++ * channels, values + (size_t)n * channels, channels * sizeof *values);
    }
}

/// Moves what the model made of tokens that are recorded between arrays [A][T][C] of each future and `sampled`, which
/// has nothing else; to = 1: into it.
static size_t keep(const nm_energy_examples *x, const nm_tokens *t, float *values, float *sampled, int to) {
    const uint32_t channels = nm_token_channels(&t->config), steps = t->shape.steps, all = t->shape.agents * steps;
    size_t count = 0;
    for (uint32_t i = 0; i < x->futures; ++i) {
        for (uint32_t n = 0; n < all; ++n) {
            if (!is_recorded(t, n) || n % steps <= x->keep.config.past) continue;
            float *one = values + ((size_t)i * all + n) * channels;
            if (sampled && to) memcpy(sampled + count, one, channels * sizeof *one);
            if (sampled && !to) memcpy(one, sampled + count, channels * sizeof *one);
            count += channels;
        }
    }
    return count;
}

/// The model's futures as they were kept.
static nm_status restore(nm_energy_examples *x, const nm_tokens *t, const float *sampled, size_t count, float *values,
                         nm_error *error) {
    const size_t size = (size_t)t->shape.agents * t->shape.steps * nm_token_channels(&t->config);
    if (count != x->sampled_count)
        return NM_ERROR(error, NM_E_FORMAT, "%zu values of a moment that has %zu", count, x->sampled_count);
    for (size_t k = 0; k < count; ++k)
        if (!isfinite(sampled[k])) return NM_ERROR(error, NM_E_NUMERIC, "a future that was kept is not finite");
    for (uint32_t i = 0; i < x->futures; ++i) memcpy(values + i * size, t->values, size * sizeof *values);
    if (count) memcpy(x->sampled, sampled, count * sizeof *sampled);
    keep(x, t, values, x->sampled, 0);
    return NM_OK;
}

/// Rows of the recording (future 0) or of what the model made of it.
static nm_status read_rows(nm_energy_examples *x, const nm_tokens *t, const nm_guided_scene *guided,
                           const float *values, uint32_t future, packed *p, nm_error *error) {
    pack(t, values, p);
    const nm_energy_tokens tokens = {.count = p->count,
                                     .agent = p->agent,
                                     .time = p->time,
                                     .channels = nm_token_channels(&t->config),
                                     .values = p->values};
    return nm_energy_rows(x->reader, guided, &tokens, p->rows + (size_t)future * p->count * NM_ENERGY_ROW, error);
}

static nm_status add_agents(const nm_energy_examples *x, const packed *p, int held, nm_energy_set *set,
                            nm_error *error) {
    const uint32_t past = x->keep.config.past;
    nm_status status = nm_energy_set_begin(set, held, error);
    for (uint32_t first = 0, end; status == NM_OK && first < p->count; first = end) {
        uint32_t from = first;
        for (end = first; end < p->count && p->agent[end] == p->agent[first]; ++end)
            if (p->time[end] <= past) from = end + 1;
        if (from == end) continue;
        float *rows;
        const size_t size = (size_t)(end - from) * NM_ENERGY_ROW;
        status = nm_energy_set_add(set, end - from, &rows, error);
        for (uint32_t i = 0; status == NM_OK && i <= x->futures; ++i)
            memcpy(rows + i * size, p->rows + ((size_t)i * p->count + from) * NM_ENERGY_ROW, size * sizeof *rows);
    }
    return status;
}

/// The model's futures, kept ones or new ones, and their rows.
static nm_status read_moment(nm_energy_examples *x, const nm_scene *scene, const nm_tokens *tokens, uint64_t seed,
                             const float *sampled, size_t count, packed *p, nm_error *error) {
    const size_t size = (size_t)tokens->shape.agents * tokens->shape.steps * nm_token_channels(&tokens->config);
    const nm_guided_scene *guided = NULL;
    float *values = NM_ARENA_ARRAY(x->arena, float, size * x->futures);
    const nm_scene **scenes = NM_ARENA_ARRAY(x->arena, const nm_scene *, x->futures);
    const nm_tokens **same = NM_ARENA_ARRAY(x->arena, const nm_tokens *, x->futures);
    if (!values || !scenes || !same) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u futures", x->futures);
    x->sampled_count = keep(x, tokens, values, NULL, 1);
    x->sampled = NM_ARENA_ARRAY(x->arena, float, x->sampled_count + 1);
    if (!x->sampled) return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u futures", x->futures);
    for (uint32_t i = 0; i < x->futures; ++i) {
        scenes[i] = scene;
        same[i] = tokens;
    }
    nm_status status = nm_future_guided(scenes, same, x->futures, NULL, x->arena, &guided, error);
    if (status == NM_OK && sampled)
        status = restore(x, tokens, sampled, count, values, error);
    else if (status == NM_OK)
        status = sample(x, scene, tokens, guided, seed, values, error);
    if (status == NM_OK) keep(x, tokens, values, x->sampled, 1);
    if (status == NM_OK) status = allocate(x, tokens, p, error);
    for (uint32_t i = 0; status == NM_OK && i <= x->futures; ++i)
        status = read_rows(x, tokens, guided, i ? values + (i - 1) * size : tokens->values, i, p, error);
    return status;
}

nm_status nm_energy_examples_add(nm_energy_examples *x, const nm_scene *scene, uint32_t current_step, uint64_t seed,
                                 int held, const float *sampled, size_t count, nm_energy_set *set, nm_error *error) {
    nm_tokens tokens;
    packed p = {0};
    nm_arena_reset(x->arena);
    x->sampled = NULL;
    x->sampled_count = 0;
    nm_status status =
        nm_future_tokens_build(&x->keep, scene, current_step, NM_TASK_FREE, NULL, x->arena, &tokens, error);
    if (status == NM_OK) status = read_moment(x, scene, &tokens, seed, sampled, count, &p, error);
    return status == NM_OK ? add_agents(x, &p, held, set, error) : status;
}
