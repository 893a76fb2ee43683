#include "nexus/block_generator.h"

#include <stdlib.h>
#include <string.h>

struct nm_block_generator {
    nm_recipe recipe;
    nm_generator_config config;
    uint32_t channels;
    nm_block_cache *cache;
    nm_sampler *sampler;
    nm_arena *arena;
    uint64_t passes;
    const nm_tokens **tokens;                    ///< [scenes]
    uint64_t *keys;                              ///< [scenes]
    float *values;                               ///< [N][C] packed: given ones, then all that became of the block
    uint8_t *clean;                              ///< [N]
    uint32_t *scene, *agent, *time, *frame, *id; ///< [N]
    int32_t *delay;                              ///< [N]
};

static int allocate(nm_block_generator *g, size_t tokens) {
    nm_arena *a = g->arena;
    return (g->tokens = NM_ARENA_ARRAY(a, const nm_tokens *, g->config.scenes)) &&
           (g->keys = NM_ARENA_ARRAY(a, uint64_t, g->config.scenes)) &&
           (g->values = NM_ARENA_ARRAY(a, float, tokens * g->channels)) &&
           (g->clean = NM_ARENA_ARRAY(a, uint8_t, tokens)) && (g->scene = NM_ARENA_ARRAY(a, uint32_t, tokens)) &&
           (g->agent = NM_ARENA_ARRAY(a, uint32_t, tokens)) && (g->time = NM_ARENA_ARRAY(a, uint32_t, tokens)) &&
           (g->frame = NM_ARENA_ARRAY(a, uint32_t, tokens)) && (g->id = NM_ARENA_ARRAY(a, uint32_t, tokens)) &&
           (g->delay = NM_ARENA_ARRAY(a, int32_t, tokens));
}

static nm_status create_parts(nm_block_generator *g, nm_model *model, nm_error *error) {
    nm_status status = nm_block_cache_create(model, &g->recipe, g->config.scenes, &g->cache, error);
    if (status != NM_OK) return status;
    const uint32_t tokens = nm_block_cache_batch(g->cache)->capacity.tokens;
    g->channels = nm_model_get_config(model)->channels;
    g->arena = nm_arena_create(0);
    if (!g->arena || !allocate(g, tokens))
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for blocks of %u tokens", tokens);
    nm_sampler_config s = nm_sampler_config_default();
    s.max_tokens = tokens;
    s.max_scenes = g->config.scenes;
    s.channels = g->channels;
    s.levels = g->config.levels;
    s.snr = g->recipe.snr;
    s.solver = g->config.solver;
    s.clip = g->config.clip;
    s.seed = g->config.seed;
    s.observer = g->config.observer;
    s.observer_context = g->config.observer_context;
    return nm_sampler_create(&s, &g->sampler, error);
}

nm_status nm_block_generator_create(nm_model *model, const nm_recipe *recipe, const nm_generator_config *config,
                                    nm_block_generator **generator, nm_error *error) {
    *generator = NULL;
    if (nm_agreement_is_on(&config->agreement))
        return NM_ERROR(error, NM_E_ARGUMENT, "models trained on blocks take no proposals: agreement must be off");
    if (config->reuse.on)
        return NM_ERROR(error, NM_E_ARGUMENT, "blocks keep keys of their own: reuse of passes must be off");
    if (config->candidates.count > 1)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "models trained on blocks write the future piece by piece: there can be no candidates of it");
    nm_block_generator *g = calloc(1, sizeof *g);
    if (!g) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a generator");
    g->recipe = *recipe;
    g->config = *config;
    const nm_status status = create_parts(g, model, error);
    if (status == NM_OK)
        *generator = g;
    else
        nm_block_generator_destroy(g);
    return status;
}

void nm_block_generator_destroy(nm_block_generator *g) {
    if (!g) return;
    nm_sampler_destroy(g->sampler);
    nm_block_cache_destroy(g->cache);
    nm_arena_destroy(g->arena);
    free(g);
}

void nm_block_generator_forget(nm_block_generator *g) {
    nm_block_cache_forget(g->cache);
}

/// Lays out the tokens of one scene: history and what is given are clean.
static void lay_out(nm_block_generator *g, const nm_block_generation *from, uint32_t index) {
    const nm_batch *batch = nm_block_cache_batch(g->cache);
    const nm_tokens *t = from->tokens;
    const uint32_t steps = t->shape.steps, place = nm_block_cache_blocks(g->cache) * g->recipe.blocks.size;
    nm_batch_gather(batch, index, steps, g->channels, t->values, g->values);
    for (uint32_t n = batch->scene_tokens[index]; n < batch->scene_tokens[index + 1]; ++n) {
        const nm_token_ref r = batch->refs[n];
        g->scene[n] = index;
        g->agent[n] = r.agent;
        g->time[n] = r.time;
        g->frame[n] = place + r.time;
        g->id[n] = t->agent_id[r.agent];
        g->clean[n] = r.time <= t->config.past || t->known[(size_t)r.agent * steps + r.time];
    }
    g->keys[index] = from->key;
}

/// What was sampled: of the history, whose place is in the tokens, nothing.
static void hand_out(const nm_block_generator *g, const nm_block_generation *to, uint32_t index) {
    const nm_batch *batch = nm_block_cache_batch(g->cache);
    const uint32_t steps = to->tokens->shape.steps;
    const size_t size = g->channels * sizeof(float);
    memset(to->values, 0, (size_t)to->tokens->shape.agents * steps * size);
    for (uint32_t n = batch->scene_tokens[index]; n < batch->scene_tokens[index + 1]; ++n) {
        if (g->time[n] <= to->tokens->config.past) continue;
        memcpy(to->values + ((size_t)g->agent[n] * steps + g->time[n]) * g->channels, g->values + n * g->channels,
               size);
    }
}

nm_status nm_block_generator_run(nm_block_generator *g, const nm_block_generation *scenes, uint32_t count,
                                 nm_guide *guide, void *guide_context, nm_error *error) {
    if (count > g->config.scenes)
        return NM_ERROR(error, NM_E_LIMIT, "%u scenes at once for a generator of %u", count, g->config.scenes);
    for (uint32_t i = 0; i < count; ++i) g->tokens[i] = scenes[i].tokens;
    nm_status status = nm_block_cache_set(g->cache, g->tokens, count, error);
    if (status != NM_OK) return status;
    for (uint32_t i = 0; i < count; ++i) lay_out(g, &scenes[i], i);
    const uint32_t n = nm_block_cache_batch(g->cache)->tokens, first = g->recipe.tokens.past + 1;
    nm_schedule_delays(&g->config.schedule, g->config.levels, n, g->time, first, first + g->recipe.blocks.size, NULL,
                       g->delay);
    const nm_token_layout layout = {.count = n,
                                    .scene_count = count,
                                    .scene = g->scene,
                                    .agent = g->agent,
                                    .time = g->time,
                                    .frame = g->frame,
                                    .agent_id = g->id,
                                    .scene_key = g->keys};
    status = nm_sampler_begin(g->sampler, &layout, g->clean, g->values, g->delay, error);
    const nm_denoiser denoiser = nm_block_cache_denoiser(g->cache);
    if (status == NM_OK) status = nm_sampler_run(g->sampler, &denoiser, guide, guide_context, error);
    if (status != NM_OK) return status;
    const nm_sampler_state state = nm_sampler_get(g->sampler);
    g->passes += state.passes;
    memcpy(g->values, state.in.noised, (size_t)n * g->channels * sizeof *g->values); // all are clean now
    for (uint32_t i = 0; i < count; ++i) hand_out(g, &scenes[i], i);
    return NM_OK;
}

nm_status nm_block_generator_keep(nm_block_generator *g, const float *const *values, nm_error *error) {
    const nm_batch *batch = nm_block_cache_batch(g->cache);
    const uint32_t steps = nm_token_count(&g->recipe.tokens);
    for (uint32_t n = 0; values && n < batch->tokens; ++n) {
        const float *from = values[g->scene[n]];
        if (!from || g->time[n] <= g->recipe.tokens.past) continue;
        memcpy(g->values + (size_t)n * g->channels, from + ((size_t)g->agent[n] * steps + g->time[n]) * g->channels,
               g->channels * sizeof *from);
    }
    g->passes++;
    return nm_block_cache_keep(g->cache, g->values, error);
}

uint64_t nm_block_generator_passes(const nm_block_generator *g) {
    return g->passes;
}

const nm_block_cache *nm_block_generator_cache(const nm_block_generator *g) {
    return g->cache;
}
