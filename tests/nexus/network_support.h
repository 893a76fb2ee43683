/// Random models and batches for the tests of the network.
#ifndef NM_TESTS_NETWORK_SUPPORT_H
#define NM_TESTS_NETWORK_SUPPORT_H

#include "base/rng.h"
#include "nexus/network_private.h"
#include "tests/support.h"

/// A small model of every kind; `variant` 0: as published; 1: rotary, pose bias, conditions; 2: polylines as well;
/// 3, 4: the same with joint attention in the place of the pose bias, full and to blocks.
enum { NETWORK_VARIANTS = 5 };
static inline nm_model_config small_config(int variant) {
    nm_model_config c = nm_model_config_default();
    c.channels = 3;
    c.hidden = 16;
    c.heads = 2;
    c.blocks = 2;
    c.widening = 2;
    c.frequencies = 12;
    c.map_channels = 5;
    c.latents = 4;
    c.encoder_self_heads = 4;
    if (variant >= 1) {
        c.rotary = 1;
        c.pose_bias = 1;
        c.conditions = 2;
    }
    if (variant >= 2) c.map_encoder = NM_MAP_POLYLINES;
    if (variant >= 3) {
        c.pose_bias = 0;
        c.attention.kind = variant == 3 ? NM_ATTENTION_FULL : NM_ATTENTION_BLOCKS;
        c.attention.target = 16;
        c.attention.tau = 0.6f;
    }
    return c;
}

/// A random number in -1..1 for each (seed, what, index).
static inline float random_value(uint64_t seed, uint32_t what, size_t index) {
    const nm_rng_key key = {.seed = seed, .agent = what, .step = (uint32_t)index, .purpose = NM_PURPOSE_TEST};
    return 2.0f * nm_rng_uniform(&key, 0) - 1.0f;
}

/// Values for all parameters, none of them zero, so that every part of the network matters; of a size at which a
/// layer's outputs are about as large as its inputs.
static inline void randomise_model(nm_model *model, uint64_t seed) {
    const nm_tensor values = nm_model_values(model);
    float *host = calloc(values.cols, sizeof *host); // gaps between parameters stay 0
    assert_non_null(host);
    for (size_t i = 0; i < model->parameter_count; ++i) {
        const nm_parameter *p = &model->parameters[i];
        const float scale = 0.4f * fminf(1.0f, 4.0f / sqrtf((float)p->cols));
        for (size_t k = p->offset; k < p->offset + (size_t)p->rows * p->cols; ++k)
            host[k] = (p->vector ? 0.4f : scale) * random_value(seed, 1, k);
    }
    model->backend->ops->upload(model->backend, host, values);
    free(host);
    nm_error error;
    assert_int_equal(nm_model_repack(model, &error), NM_OK);
}

enum { SCENE_AGENTS = 5, SCENE_STEPS = 6, SCENE_POINTS = 12 };

/// Memory of one random scene.
typedef struct random_scene {
    uint8_t valid[SCENE_AGENTS * SCENE_STEPS], map_valid[SCENE_POINTS];
    uint32_t map_agent[SCENE_POINTS];
    float map[SCENE_POINTS * 16];
} random_scene;

/// Irregular validity; agent 1 has no token at all. `agents` and `points` may be 0.
static inline nm_token_scene make_scene(random_scene *s, uint64_t seed, uint32_t agents, uint32_t points,
                                        const nm_model_config *config) {
    for (uint32_t i = 0; i < agents * SCENE_STEPS; ++i)
        s->valid[i] = i / SCENE_STEPS != 1 && random_value(seed, 2, i) > -0.4f;
    for (uint32_t i = 0; i < points; ++i) {
        s->map_valid[i] = random_value(seed, 3, i) > -0.5f;
        s->map_agent[i] = agents ? i % agents : 0;
        for (uint32_t c = 0; c < config->map_channels; ++c)
            s->map[i * config->map_channels + c] = random_value(seed, 4, i * config->map_channels + c);
    }
    return (nm_token_scene){.agents = agents,
                            .steps = SCENE_STEPS,
                            .valid = s->valid,
                            .points = points,
                            .map = s->map,
                            .map_valid = s->map_valid,
                            .map_agent = config->map_encoder == NM_MAP_POLYLINES ? s->map_agent : NULL};
}

/// Random inputs and targets for `tokens` tokens. Values depend on (seed, token's scene, agent, time), not on its row.
typedef struct random_tokens {
    float *known, *mask, *noised, *condition, *level, *pose, *noise, *alpha, *sigma, *weight;
    nm_pass_input input;
    nm_pass_target target;
} random_tokens;

static inline random_tokens make_tokens(const nm_batch *batch, const nm_model_config *config, uint64_t seed) {
    const uint32_t n = batch->tokens + 1, channels = config->channels;
    random_tokens t;
    float **arrays[] = {&t.known, &t.mask,  &t.noised, &t.condition, &t.level,
                        &t.pose,  &t.noise, &t.alpha,  &t.sigma,     &t.weight};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; ++i) {
        *arrays[i] = calloc((size_t)n * (channels + config->conditions + 4), sizeof(float));
        assert_non_null(*arrays[i]);
    }
    for (uint32_t row = 0; row < batch->tokens; ++row) {
        const nm_token_ref r = batch->refs[row];
        const uint32_t name = (r.agent * 64 + r.time) * 64;
        const uint64_t scene_seed = seed + 1000 * (uint64_t)r.scene;
        for (uint32_t c = 0; c < channels; ++c) {
            const size_t at = (size_t)row * channels + c;
            t.known[at] = random_value(scene_seed, 10, name + c);
            t.mask[at] = random_value(scene_seed, 11, name + c) > 0.0f;
            t.noised[at] = random_value(scene_seed, 12, name + c);
            t.noise[at] = random_value(scene_seed, 13, name + c);
        }
        for (uint32_t c = 0; c < config->conditions; ++c)
            t.condition[(size_t)row * config->conditions + c] = random_value(scene_seed, 14, name + c);
        t.level[row] = r.time < 2 ? 0.0f : 0.25f * (float)(1 + (r.agent + r.time) % 4); // few levels, shared
        const float turn = 3.0f * random_value(scene_seed, 15, r.agent);
        t.pose[4 * row] = 30.0f * random_value(scene_seed, 16, r.agent);
        t.pose[4 * row + 1] = 30.0f * random_value(scene_seed, 17, r.agent);
        t.pose[4 * row + 2] = cosf(turn);
        t.pose[4 * row + 3] = sinf(turn);
        t.alpha[row] = 0.8f;
        t.sigma[row] = 0.6f;
        t.weight[row] = r.time < 2 ? 0.0f : 0.1f + 0.05f * (float)r.agent;
    }
    t.input = (nm_pass_input){t.known, t.mask, t.noised, t.condition, t.level, t.pose};
    t.target = (nm_pass_target){t.noise, t.alpha, t.sigma, t.weight};
    return t;
}

static inline void free_tokens(random_tokens *t) {
    float *arrays[] = {t->known, t->mask,  t->noised, t->condition, t->level,
                       t->pose,  t->noise, t->alpha,  t->sigma,     t->weight};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; ++i) free(arrays[i]);
}

#endif
