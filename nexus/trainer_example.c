#include "nexus/trainer_example.h"

#include <math.h>

nm_status nm_example_check(const nm_example_how *how, const nm_tokens *tokens, uint64_t number, nm_error *error) {
    const nm_model_config *m = &how->model;
    const nm_token_config *c = &tokens->config;
    if (nm_token_channels(c) == m->channels && nm_token_conditions(c) == m->conditions &&
        nm_token_map_channels(c) == m->map_channels) {
        if (how->config.prior == NM_PRIOR_NONE) return NM_OK;
        if (c->encoding == NM_TOKENS_AGENT && (how->config.prior != NM_PRIOR_LANE || c->paths)) return NM_OK;
        return NM_ERROR(error, NM_E_ARGUMENT, "example %llu: only tokens in own frames%s have a prior '%s'",
                        (unsigned long long)number, c->encoding == NM_TOKENS_AGENT ? " with paths" : "",
                        nm_prior_name(how->config.prior));
    }
    return NM_ERROR(error, NM_E_ARGUMENT,
                    "example %llu has %u channels, %u conditions, %u map channels; the model has %u, %u, %u",
                    (unsigned long long)number, nm_token_channels(c), nm_token_conditions(c), nm_token_map_channels(c),
                    m->channels, m->conditions, m->map_channels);
}

nm_status nm_example_pack(nm_example_slot *s, const nm_token_scene *shape, nm_error *error) {
    nm_token_scene scene = *shape;
    scene.points = 0;
    const uint32_t most = shape->agents * shape->steps;
    if (!s->batch.block || s->batch.capacity.tokens < most) {
        const nm_batch_capacity capacity = {.scenes = 1, .tokens = most};
        nm_batch_destroy(&s->batch);
        const nm_status status = nm_batch_create(&capacity, 1, &s->batch, error);
        if (status != NM_OK) return status;
    }
    return nm_batch_set(&s->batch, &scene, 1, 0, error);
}

int nm_example_allocate(const nm_example_how *how, nm_arena *arena, uint32_t count, nm_loaded *e) {
    const size_t n = count, channels = how->model.channels, conditions = how->model.conditions;
    e->count = count;
    e->condition = e->pose = e->says_next = NULL;
    if (how->config.next > 0.0f) {
        if (!(e->says_next = NM_ARENA_ARRAY(arena, float, n))) return 0;
        for (size_t i = 0; i < n; ++i) e->says_next[i] = 0.0f;
    }
    if (conditions && !(e->condition = NM_ARENA_ARRAY(arena, float, n *conditions))) return 0;
    if (nm_model_wants_poses(&how->model) && !(e->pose = NM_ARENA_ARRAY(arena, float, n * 4))) return 0;
    return (e->known = NM_ARENA_ARRAY(arena, float, n *channels)) &&
           (e->mask = NM_ARENA_ARRAY(arena, float, n *channels)) &&
           (e->noised = NM_ARENA_ARRAY(arena, float, n *channels)) &&
           (e->noise = NM_ARENA_ARRAY(arena, float, n *channels)) && (e->level = NM_ARENA_ARRAY(arena, float, n)) &&
           (e->alpha = NM_ARENA_ARRAY(arena, float, n)) && (e->sigma = NM_ARENA_ARRAY(arena, float, n)) &&
           (e->weight = NM_ARENA_ARRAY(arena, float, n));
}

static int allocate_scratch(const nm_example_how *how, nm_example_slot *s) {
    const size_t n = s->batch.tokens;
    return (s->scene = NM_ARENA_ARRAY(s->arena, uint64_t, n)) && (s->agent = NM_ARENA_ARRAY(s->arena, uint32_t, n)) &&
           (s->step = NM_ARENA_ARRAY(s->arena, uint32_t, n)) &&
           (s->prior = NM_ARENA_ARRAY(s->arena, float, n * how->model.channels)) &&
           (s->spread = NM_ARENA_ARRAY(s->arena, float, n));
}

static void draw_noise(const nm_example_how *how, nm_example_slot *s, nm_loaded *e, uint64_t seed, uint64_t number) {
    for (uint32_t n = 0; n < e->count; ++n) {
        s->scene[n] = number;
        s->agent[n] = s->batch.refs[n].agent;
        s->step[n] = nm_noise_step(s->place + s->batch.refs[n].time, 0);
    }
    nm_noise_fill(seed, e->count, how->model.channels, s->scene, s->agent, s->step, e->noise);
}

/// Leaves of the values what the prior does not explain, in units of what is likely to be left (prior.h).
static void subtract_prior(const nm_example_how *how, nm_example_slot *s, const nm_tokens *of, nm_loaded *e) {
    const nm_token_config *tokens = &of->config;
    const nm_prior kind = how->config.prior;
    const size_t channels = how->model.channels;
    const nm_path *paths = of->path;
    if (kind == NM_PRIOR_NONE || e->count == 0) return;
    for (uint32_t n = 0; n < e->count; ++n) e->mask[n * channels] = e->level[n] <= 0.0f ? 1.0f : 0.0f;
    nm_prior_fill(kind, tokens, &s->batch, e->condition, &paths, e->known, e->mask, s->prior, s->spread);
    for (uint32_t n = 0; n < e->count; ++n) {
        float *known = e->known + n * channels;
        nm_prior_rest(kind, (float)tokens->heading_scale, (uint32_t)channels, known, s->prior + n * channels,
                      s->spread[n], known);
    }
}

/// What the network is shown token n at.
static nm_noise_level level_of(const nm_example_how *how, const nm_example_slot *s, const nm_loaded *e, uint32_t n) {
    const nm_noise_level level = nm_noise_level_at(how->config.snr, (double)e->level[n]);
    if (how->config.prior == NM_PRIOR_NONE || e->level[n] <= 0.0f) return level;
    const nm_spread_level at = nm_spread_level_of(&level, (double)s->spread[n]);
    return (nm_noise_level){at.logsnr, at.alpha, at.sigma};
}

static float weight_of(const nm_example_how *how, const nm_noise_level *level) {
    if (how->config.loss == NM_LOSS_V) return (float)(1.0 / (level->alpha * level->alpha));
    return (float)(1.0 / (1.0 + fmin(exp(level->logsnr), 5.0)));
}

static void add_noise(const nm_example_how *how, const nm_example_slot *s, nm_loaded *e) {
    const uint32_t channels = how->model.channels;
    e->noised_count = 0;
    for (uint32_t n = 0; n < e->count; ++n) {
        const nm_noise_level level = level_of(how, s, e, n);
        const int clean = e->level[n] <= 0.0f;
        e->noised_count += !clean;
        e->alpha[n] = (float)level.alpha;
        e->sigma[n] = (float)level.sigma;
        e->weight[n] = clean ? 0.0f : weight_of(how, &level);
        for (size_t k = (size_t)n * channels; k < ((size_t)n + 1) * channels; ++k) {
            const float x = e->known[k];
            e->noised[k] = clean ? x : e->alpha[n] * x + e->sigma[n] * e->noise[k];
            e->mask[k] = clean ? 1.0f : 0.0f;
            e->known[k] = clean ? x : 0.0f;
        }
    }
}

nm_status nm_example_fill(const nm_example_how *how, nm_example_slot *s, const nm_tokens *tokens, const float *level,
                          uint64_t seed, uint64_t number, nm_loaded *e, nm_error *error) {
    const nm_model_config *m = &how->model;
    const uint32_t steps = tokens->shape.steps;
    NM_ASSERT(e->count == s->batch.tokens);
    if (!allocate_scratch(how, s)) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an example");
    nm_batch_gather(&s->batch, 0, steps, m->channels, tokens->values, e->known);
    nm_batch_gather(&s->batch, 0, steps, 1, level, e->level);
    if (e->condition) nm_batch_gather(&s->batch, 0, steps, m->conditions, tokens->condition, e->condition);
    if (e->pose) nm_batch_gather(&s->batch, 0, steps, 4, tokens->pose, e->pose);
    draw_noise(how, s, e, seed, number);
    subtract_prior(how, s, tokens, e);
    add_noise(how, s, e);
    return NM_OK;
}
