#include "tools/bench_attention_tokens.h"

#include <math.h>

#include "base/rng.h"

enum { NORMALS = 4096, PAIRS = NM_BENCH_DEPTH / 2, MINUTES_STEPS = 240 };

/// Where a scene is, and for how long.
typedef struct extent {
    float left, right, bottom, top;
    uint32_t stride, times, count; ///< steps between tokens, tokens of a track, tokens of all
} extent;

static extent extent_of(const nm_scene *scene) {
    extent e = {INFINITY, -INFINITY, INFINITY, -INFINITY, 0, 0, 0};
    e.stride = (uint32_t)fmaxf(1.0f, roundf(0.5f / scene->dt));
    e.times = (scene->step_count + e.stride - 1) / e.stride;
    for (uint32_t k = 0; k < scene->track_count; ++k) {
        for (uint32_t t = 0; t < scene->step_count; t += e.stride) {
            const size_t at = nm_scene_at(scene, k, t);
            if (!scene->valid[at]) continue;
            e.count++;
            e.left = fminf(e.left, scene->x[at]);
            e.right = fmaxf(e.right, scene->x[at]);
            e.bottom = fminf(e.bottom, scene->y[at]);
            e.top = fmaxf(e.top, scene->y[at]);
        }
    }
    return e;
}

nm_status nm_bench_place_tokens(const nm_scene *scene, uint32_t count, nm_block_token *tokens, nm_error *error) {
    const extent e = extent_of(scene);
    if (e.count == 0) return NM_ERROR(error, NM_E_NOT_FOUND, "the scene has no agent");
    const uint32_t stays = e.times < MINUTES_STEPS ? (MINUTES_STEPS + e.times - 1) / e.times : 1;
    uint32_t n = 0;
    for (uint32_t tile = 0; n < count; ++tile) {
        const uint32_t stay = tile % stays, place = tile / stays, column = place % 4, row = place / 4;
        const float east = (float)column * (e.right - e.left + 20.0f), north = (float)row * (e.top - e.bottom + 20.0f);
        for (uint32_t k = 0; k < scene->track_count; ++k) {
            for (uint32_t t = 0; n < count && t < scene->step_count; t += e.stride) {
                const size_t at = nm_scene_at(scene, k, t);
                if (!scene->valid[at]) continue;
                const float x = tile % 2 ? e.right - scene->x[at] : scene->x[at] - e.left;
                tokens[n++] = (nm_block_token){.scene = 0,
                                               .time = stay * e.times + t / e.stride,
                                               .x = x + east,
                                               .y = scene->y[at] - e.bottom + north};
            }
        }
    }
    return NM_OK;
}

/// Noise: one of a few thousand normal numbers, chosen by the finaliser of SplitMix64 (Steele et al. 2014).
static float noise(const float *normals, uint64_t index) {
    uint64_t z = (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return normals[(z ^ z >> 31) % NORMALS];
}

void nm_bench_fill_tokens(const nm_block_token *tokens, uint32_t count, nm_bench_tokens_part part, float peak,
                          float *values) {
    static const float metres[NM_BENCH_HEADS] = {15.0f, 40.0f, 100.0f, 40.0f};
    static const float steps[NM_BENCH_HEADS] = {2.0f, 6.0f, 20.0f, 1e9f};
    float normals[NORMALS], wave[NM_BENCH_HEADS][PAIRS][3];
    const nm_rng_key key = {.seed = 1, .purpose = NM_PURPOSE_TEST};
    for (uint32_t i = 0; i < NORMALS; ++i) normals[i] = nm_rng_normal(&key, i);
    for (uint32_t h = 0, n = 0; h < NM_BENCH_HEADS; ++h)
        for (uint32_t p = 0; p < PAIRS; ++p)
            for (uint32_t c = 0; c < 3; ++c) wave[h][p][c] = normals[n++] / (c < 2 ? metres[h] : steps[h]);
    // a product of two tokens at one place and time is the sum of PAIRS cos^2 + sin^2, over sqrt(D)
    const float size = part == NM_BENCH_QUERIES ? peak * sqrtf(NM_BENCH_DEPTH) / PAIRS : 1.0f;
    for (size_t i = 0; i < count; ++i) {
        for (uint32_t c = 0; c < NM_BENCH_WIDTH; ++c) {
            const uint32_t head = part == NM_BENCH_VALUES ? 1 : c / NM_BENCH_DEPTH;
            const float *w = wave[head][c % NM_BENCH_DEPTH / 2];
            const float phase = w[0] * tokens[i].x + w[1] * tokens[i].y + w[2] * (float)tokens[i].time;
            const float at = c % 2 ? sinf(phase) : cosf(phase);
            const float off = noise(normals, ((uint64_t)part * count + i) * NM_BENCH_WIDTH + c);
            values[i * NM_BENCH_WIDTH + c] =
                part == NM_BENCH_VALUES ? 0.5f * (at + off) : size * (at + 0.3f * 0.70710678f * off);
        }
    }
}
