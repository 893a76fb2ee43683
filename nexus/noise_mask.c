#include "nexus/noise_mask.h"

#include <math.h>

#include "base/rng.h"

nm_noise_mask_config nm_noise_mask_config_default(void) {
    return (nm_noise_mask_config){
        .weight = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f}, .threshold = 0.15f, .behaviour = 0.5f, .goals = 0.25f};
}

static int is_share(float value) {
    return value >= 0.0f && value <= 1.0f;
}

nm_status nm_noise_mask_config_check(const nm_noise_mask_config *c, nm_error *error) {
    float sum = 0.0f;
    for (int i = 0; i < NM_NOISE_FAMILIES; ++i) {
        if (!(c->weight[i] >= 0.0f && c->weight[i] < 1e6f))
            return NM_ERROR(error, NM_E_ARGUMENT, "weight %d of the noise families is %g", i, (double)c->weight[i]);
        sum += c->weight[i];
    }
    if (!(sum > 0.0f)) return NM_ERROR(error, NM_E_ARGUMENT, "the weights of the noise families are all 0");
    if (!is_share(c->threshold) || !is_share(c->behaviour) || !is_share(c->goals))
        return NM_ERROR(error, NM_E_ARGUMENT, "threshold %g, behaviour %g or goals %g of a noise mask is not in 0..1",
                        (double)c->threshold, (double)c->behaviour, (double)c->goals);
    return NM_OK;
}

/// What a number of an example is drawn for; the key's `agent` and `step` are those of the token where there is one.
enum {
    DRAW_FAMILY,
    DRAW_TASK,
    DRAW_GOALS,
    DRAW_GIVEN_SHARE,
    DRAW_GIVEN,
    DRAW_LOW,
    DRAW_HIGH,
    DRAW_AGENT,
    DRAW_TOKEN,
    DRAW_CLEAN,
    DRAW_WAVE // and the five after it
};

typedef struct example {
    nm_rng_key key;
    const nm_noise_mask_config *config;
    uint32_t agents, steps, history;
    float low, high;  ///< RISING; SCENE uses low
    float wave[2][3]; ///< SMOOTH: phase, and turns over all agents and over all steps
    float given;      ///< share of agents that are given
    nm_noise_mask mask;
} example;

static float draw(const example *e, uint32_t what) {
    return nm_rng_uniform(&e->key, what);
}
static float draw_at(const example *e, uint32_t agent, uint32_t step, uint32_t what) {
    nm_rng_key key = e->key;
    key.agent = agent + 1; // 0 is the example as a whole
    key.step = step;
    return nm_rng_uniform(&key, what);
}

static nm_noise_family draw_family(const example *e) {
    float sum = 0.0f;
    for (int i = 0; i < NM_NOISE_FAMILIES; ++i) sum += e->config->weight[i];
    float left = draw(e, DRAW_FAMILY) * sum;
    int last = 0;
    for (int i = 0; i < NM_NOISE_FAMILIES; ++i) {
        if (e->config->weight[i] <= 0.0f) continue;
        last = i;
        left -= e->config->weight[i];
        if (left < 0.0f) break;
    }
    return (nm_noise_family)last;
}

static void draw_example(example *e) {
    const float a = draw(e, DRAW_LOW), b = draw(e, DRAW_HIGH);
    e->low = a < b ? a : b;
    e->high = a < b ? b : a;
    e->given = draw(e, DRAW_GIVEN_SHARE);
    for (uint32_t w = 0; w < 2; ++w) {
        e->wave[w][0] = draw(e, DRAW_WAVE + 3 * w);
        e->wave[w][1] = 2.0f * draw(e, DRAW_WAVE + 3 * w + 1) - 1.0f;
        e->wave[w][2] = 2.0f * draw(e, DRAW_WAVE + 3 * w + 2) - 1.0f;
    }
    e->mask.family = draw_family(e);
    e->mask.behaviour = draw(e, DRAW_TASK) < e->config->behaviour;
    e->mask.goals = e->mask.behaviour && draw(e, DRAW_GOALS) < e->config->goals;
}

static float family_level(const example *e, uint32_t agent, uint32_t t) {
    const float turn = 6.2831853f;
    switch (e->mask.family) {
    case NM_NOISE_SCENE:
        return draw(e, DRAW_LOW);
    case NM_NOISE_RISING: {
        const uint32_t future = e->steps - e->history;
        const float along = t < e->history || future < 2 ? 0.0f : (float)(t - e->history) / (float)(future - 1);
        return e->low + (e->high - e->low) * along;
    }
    case NM_NOISE_AGENT:
        return draw_at(e, agent, 0, DRAW_AGENT);
    case NM_NOISE_SMOOTH: {
        float sum = 0.0f;
        for (int w = 0; w < 2; ++w) {
            const float at = e->wave[w][0] + e->wave[w][1] * (float)agent / (float)e->agents +
                             e->wave[w][2] * (float)t / (float)e->steps;
            sum += 0.5f + 0.5f * sinf(turn * at);
        }
        return 0.5f * sum;
    }
    default:
        return draw_at(e, agent, t, DRAW_TOKEN);
    }
}

/// The last valid token of an agent, or `steps`.
static uint32_t last_valid(const uint8_t *valid, uint32_t steps) {
    for (uint32_t t = steps; t-- > 0;)
        if (valid[t]) return t;
    return steps;
}

nm_noise_mask nm_noise_mask_draw(const nm_noise_mask_config *config, uint64_t seed, uint64_t number, uint32_t agents,
                                 uint32_t steps, const uint8_t *valid, uint32_t history, float *level) {
    NM_ASSERT(history <= steps);
    example e = {.key = {.seed = seed, .scene = number, .purpose = NM_PURPOSE_MASK},
                 .config = config,
                 .agents = agents,
                 .steps = steps,
                 .history = history};
    draw_example(&e);
    for (uint32_t a = 0; a < agents; ++a) {
        const uint8_t *row = valid + (size_t)a * steps;
        const int given = !e.mask.behaviour && (a == 0 || draw_at(&e, a, 0, DRAW_GIVEN) < e.given);
        const uint32_t goal = e.mask.goals ? last_valid(row, steps) : steps;
        for (uint32_t t = 0; t < steps; ++t) {
            float u = family_level(&e, a, t);
            if (u < config->threshold && draw_at(&e, a, t, DRAW_CLEAN) < 0.5f) u = 0.0f;
            if (given || t == goal || (e.mask.behaviour && t < history)) u = 0.0f;
            level[(size_t)a * steps + t] = row[t] ? u : 1.0f;
        }
    }
    return e.mask;
}
