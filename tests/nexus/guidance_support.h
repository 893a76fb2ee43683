/// Random scenes for guidance, and one of its implementations against the CPU's.
#ifndef NM_TESTS_GUIDANCE_SUPPORT_H
#define NM_TESTS_GUIDANCE_SUPPORT_H

#include "sim/scenes.h"

#include "nexus/guidance_cuda.h"

/// The functions of nexus/guidance_cuda.h, wherever they run.
typedef struct nm_test_guide {
    nm_backend *backend;
    nm_status (*create)(nm_backend *, const nm_guidance_config *, uint32_t, nm_guidance_cuda **, nm_error *);
    void (*destroy)(nm_guidance_cuda *);
    nm_status (*set_scenes)(nm_guidance_cuda *, const nm_guided_scene *, uint32_t, nm_error *);
    nm_status (*set_adversaries)(nm_guidance_cuda *, const nm_adversary *, uint32_t, nm_error *);
    nm_guide *apply;
    nm_status (*link)(nm_guidance_cuda *, const nm_denoise_input *, nm_error *);
    void (*run)(nm_guidance_cuda *, nm_tensor, nm_tensor);
    double tolerance; ///< of encoded values; 0 = the same bits
} nm_test_guide;

typedef struct nm_test_crowd_shape {
    uint32_t scenes, agents, times; ///< agents of a scene, times of an agent
    int several;                    ///< tokens of five states instead of one
    int maps;
    uint32_t adversaries;
} nm_test_crowd_shape;

/// Dense traffic of all kinds: on and off lanes that cross at will, slow and fast, with gaps in time, overlapping.
typedef struct nm_test_crowd {
    nm_guidance_config config;
    nm_denoise_input in;
    nm_guided_scene *scenes;
    nm_guided_agent *agents;
    nm_adversary *adversaries;
    uint32_t adversary_count;
    uint32_t *scene, *agent, *time;
    float *level, *x0;
    const nm_map *maps[2];
} nm_test_crowd;

enum { NM_TEST_TERMS = 6 }; ///< overlap, road, smooth, consistent, adversarial, all of them
static inline void nm_test_crowd_strength(nm_test_crowd *c, int term, float strength) {
    nm_guidance_config *g = &c->config;
    float *const strengths[] = {&g->overlap, &g->road, &g->smooth, &g->consistent, &g->adversarial};
    for (int i = 0; i < 5; i++) *strengths[i] = i == term || term == 5 ? strength : 0.0f;
}

/// Writes the token: states in the frame of the agent's pose, each a step further along a bent path.
static inline void nm_test_crowd_token(nm_test_crowd *c, uint64_t seed, uint32_t *draw, const double *start,
                                       uint32_t time, float *row) {
    const nm_state_encoding *e = &c->config.encoding;
    for (uint32_t i = 0; i < e->states; i++) {
        const double t = (double)c->config.dt * (time + (i + 1.0) / e->states);
        const double heading = start[2] + start[4] * t, way = start[3] * t,
                     wild = nm_test_uniform(seed, draw, -0.3, 0.3);
        const double value[NM_FIELD_COUNT] = {start[0] + way * cos(heading) + wild,
                                              start[1] + way * sin(heading) - wild,
                                              (1.0 + 0.2 * wild) * cos(heading + wild),
                                              (1.0 + 0.2 * wild) * sin(heading + wild),
                                              start[3] * (e->channel[NM_FIELD_VY] < 0 ? 1.0 : cos(heading - wild)),
                                              start[3] * sin(heading - wild),
                                              nm_test_uniform(seed, draw, 0.2, 14.0),
                                              nm_test_uniform(seed, draw, 0.4, 2.7)};
        for (int f = 0; f < NM_FIELD_COUNT; f++) {
            if (e->channel[f] < 0) continue;
            row[i * e->stride + (uint32_t)e->channel[f]] =
                (float)((value[f] - (double)e->mean[f]) / (double)e->scale[f]);
        }
    }
}

static inline void nm_test_crowd_agent(nm_test_crowd *c, uint64_t seed, uint32_t *draw, uint32_t scene, uint32_t id,
                                       uint32_t times) {
    nm_guided_agent *agent = (nm_guided_agent *)(uintptr_t)&c->scenes[scene].agents[c->scenes[scene].agent_count++];
    const double turn = nm_test_uniform(seed, draw, -3.0, 3.0), side = sqrt(c->config.max_tokens) * 1.5;
    *agent = (nm_guided_agent){.agent = id, .lane_mask = id % 5 == 4 ? 0 : NM_LANE_MASK_VEHICLE};
    if (id % 3 == 0) agent->length = 4.7f, agent->width = 1.9f;
    agent->pose = (nm_motion){nm_test_uniform(seed, draw, -side, side), nm_test_uniform(seed, draw, -side, side),
                              cos(turn), sin(turn)};
    const double start[5] = {nm_test_uniform(seed, draw, -9.0, 9.0), nm_test_uniform(seed, draw, -9.0, 9.0),
                             nm_test_uniform(seed, draw, -3.0, 3.0),
                             id % 7 == 6 ? 0.3 : nm_test_uniform(seed, draw, 1.0, 20.0),
                             nm_test_uniform(seed, draw, -0.3, 0.3)};
    const uint32_t gap = id % 4 == 3 ? times / 2 : times; // a time without a token
    for (uint32_t t = 0; t < times; t++) {
        if (t == gap) continue;
        const uint32_t n = c->in.count++;
        c->scene[n] = scene;
        c->agent[n] = id;
        c->time[n] = t + scene; // windows need not begin alike
        c->level[n] = t < 2 || nm_test_uniform(seed, draw, 0.0, 1.0) < 0.05 ? 0.0f : 0.6f;
        nm_test_crowd_token(c, seed, draw, start, t, c->x0 + (size_t)n * c->in.channels);
    }
}

static inline void nm_test_crowd_adversaries(nm_test_crowd *c, uint64_t seed, uint32_t *draw, uint32_t count) {
    c->adversaries = calloc(count + 1, sizeof *c->adversaries);
    for (uint32_t tries = 0; c->adversary_count < count && tries < 1000; tries++) {
        const uint32_t a = (uint32_t)nm_test_uniform(seed, draw, 0.0, c->in.count - 0.5);
        const uint32_t b = (uint32_t)nm_test_uniform(seed, draw, 0.0, c->in.count - 0.5);
        if (c->scene[a] != c->scene[b] || c->time[a] != c->time[b] || c->agent[a] == c->agent[b]) continue;
        nm_adversary *what = &c->adversaries[c->adversary_count];
        *what = nm_adversary_default();
        what->scene = c->scene[a];
        what->adversary = c->agent[a];
        what->ego = c->agent[b];
        what->time = c->time[a];
        what->aim = (nm_conflict_aim)(c->adversary_count++ % NM_AIM_COUNT);
    }
}

static inline void nm_test_crowd_begin(nm_test_crowd *c, const nm_test_crowd_shape *shape, uint64_t seed) {
    memset(c, 0, sizeof *c);
    const uint32_t agents = shape->scenes * shape->agents, tokens = agents * shape->times;
    uint32_t draw = 0;
    c->config = nm_guidance_config_default();
    c->config.max_tokens = tokens;
    if (shape->several)
        c->config.encoding = nm_state_encoding_own(20.0f, 1.0f, 10.0f);
    else
        for (int f = 0; f < NM_FIELD_COUNT; f++) c->config.encoding.channel[f] = (f + 3) % NM_FIELD_COUNT;
    c->config.window = shape->several ? 3 : 2;
    c->config.max_move = 8.0f;
    c->config.iterations = 4;
    c->in.channels = shape->several ? 27 : 9; // some of no meaning to guidance
    c->in.scene_count = shape->scenes;
    c->scenes = calloc(shape->scenes, sizeof *c->scenes);
    c->agents = calloc(agents, sizeof *c->agents);
    c->in.scene = c->scene = calloc(tokens, sizeof *c->scene);
    c->in.agent = c->agent = calloc(tokens, sizeof *c->agent);
    c->in.time = c->time = calloc(tokens, sizeof *c->time);
    c->in.level = c->level = calloc(tokens, sizeof *c->level);
    c->x0 = calloc((size_t)tokens * c->in.channels, sizeof *c->x0);
    for (int m = 0; m < 2 && shape->maps; m++) c->maps[m] = nm_test_tangle(seed + (uint64_t)m, 30, 80.0);
    for (uint32_t s = 0; s < shape->scenes; s++) {
        c->scenes[s] = (nm_guided_scene){.map = s % 3 < 2 ? c->maps[s % 3] : NULL, // NULL among those with maps
                                         .agents = c->agents + (size_t)s * shape->agents};
        for (uint32_t a = 0; a < shape->agents; a++) nm_test_crowd_agent(c, seed, &draw, s, 2 * a + s, shape->times);
    }
    nm_test_crowd_adversaries(c, seed, &draw, shape->adversaries);
}

static inline void nm_test_crowd_end(nm_test_crowd *c) {
    void *all[] = {c->scenes, c->agents, c->scene, c->agent, c->time, c->level, c->x0, c->adversaries};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    for (int m = 0; m < 2; m++) nm_map_release(c->maps[m]);
}

static inline size_t nm_test_crowd_bytes(const nm_test_crowd *c) {
    return (size_t)c->in.count * c->in.channels * sizeof *c->x0;
}
static inline float *nm_test_crowd_copy(const nm_test_crowd *c) {
    float *x0 = malloc(nm_test_crowd_bytes(c) + 1);
    assert_non_null(x0);
    memcpy(x0, c->x0, nm_test_crowd_bytes(c));
    return x0;
}

/// What the CPU makes of it. Release with free.
static inline float *nm_test_crowd_on_cpu(const nm_test_crowd *c) {
    nm_guidance *guidance;
    nm_error error;
    if (nm_guidance_create(&c->config, &guidance, &error)) fail_msg("%s", error.message);
    nm_guidance_set_scenes(guidance, c->scenes, c->in.scene_count);
    assert_int_equal(nm_guidance_set_adversaries(guidance, c->adversaries, c->adversary_count, &error), NM_OK);
    float *x0 = nm_test_crowd_copy(c);
    if (nm_guidance_apply(guidance, &c->in, x0, &error)) fail_msg("%s", error.message);
    nm_guidance_destroy(guidance);
    return x0;
}

static inline nm_guidance_cuda *nm_test_crowd_guidance(const nm_test_crowd *c, const nm_test_guide *on) {
    nm_guidance_cuda *guidance;
    nm_error error;
    if (on->create(on->backend, &c->config, c->in.channels, &guidance, &error)) fail_msg("%s", error.message);
    if (on->set_scenes(guidance, c->scenes, c->in.scene_count, &error)) fail_msg("%s", error.message);
    if (on->set_adversaries(guidance, c->adversaries, c->adversary_count, &error)) fail_msg("%s", error.message);
    return guidance;
}
/// What the other implementation makes of it.
static inline float *nm_test_crowd_on(const nm_test_crowd *c, const nm_test_guide *on) {
    nm_guidance_cuda *guidance = nm_test_crowd_guidance(c, on);
    nm_error error;
    float *x0 = nm_test_crowd_copy(c);
    if (on->apply(guidance, &c->in, x0, &error)) fail_msg("%s", error.message);
    on->destroy(guidance);
    return x0;
}

/// Fails where the two differ; returns how many tokens the first one changed. Clean ones must have kept their bits.
static inline uint32_t nm_test_crowd_compare(const nm_test_crowd *c, const float *expected, const float *got,
                                             double tolerance) {
    uint32_t changed = 0;
    for (uint32_t n = 0; n < c->in.count; n++) {
        const size_t at = (size_t)n * c->in.channels, bytes = c->in.channels * sizeof(float);
        const int same = memcmp(expected + at, c->x0 + at, bytes) == 0;
        if (c->level[n] == 0.0f && memcmp(got + at, c->x0 + at, bytes) != 0) fail_msg("clean token %u changed", n);
        if (same && memcmp(got + at, c->x0 + at, bytes) != 0) fail_msg("token %u changed, but not on the CPU", n);
        changed += !same;
        for (uint32_t k = 0; k < c->in.channels; k++) {
            const double a = (double)expected[at + k], b = (double)got[at + k];
            const int close = tolerance > 0.0 ? fabs(a - b) <= tolerance * (1.0 + fabs(a))
                                              : memcmp(&expected[at + k], &got[at + k], sizeof(float)) == 0;
            if (!close) fail_msg("token %u of %u, channel %u: %.9g, on the CPU %.9g", n, c->in.count, k, b, a);
        }
    }
    return changed;
}

/// Every term alone, then all of them, at every shape; each must do something somewhere.
static inline void nm_test_crowd_run_all(const nm_test_guide *on, const nm_test_crowd_shape *shapes, int count) {
    uint32_t changed[NM_TEST_TERMS] = {0};
    for (int s = 0; s < count; s++) {
        nm_test_crowd crowd;
        nm_test_crowd_begin(&crowd, &shapes[s], 10 + (uint64_t)s);
        for (int term = 0; term < NM_TEST_TERMS; term++) {
            nm_test_crowd_strength(&crowd, term, 0.7f);
            float *expected = nm_test_crowd_on_cpu(&crowd), *got = nm_test_crowd_on(&crowd, on);
            changed[term] += nm_test_crowd_compare(&crowd, expected, got, on->tolerance);
            free(expected);
            free(got);
        }
        nm_test_crowd_end(&crowd);
    }
    for (int term = 0; term < NM_TEST_TERMS; term++) {
        if (changed[term] < 20) fail_msg("term %d was hardly tested: it changed %u tokens", term, changed[term]);
    }
}

#endif
