#include "nexus/noise.h"

#include "base/rng.h"
#include "base/rng_inline.h"

#include <math.h>
#include <string.h>

const char *nm_snr_schedule_name(nm_snr_schedule schedule) {
    return schedule == NM_SNR_COSINE ? "cosine" : "shifted_cosine";
}

double nm_logsnr(nm_snr_schedule schedule, double u) {
    NM_DEBUG_ASSERT(u >= 0.0 && u <= 1.0);
    const double shift = -0.69314718055994530942; // ln(64 / 128): resolution of the noise against that of the tokens
    const double least = -15.0 + shift, most = 15.0 + shift;
    const double t0 = atan(exp(-0.5 * most)), t1 = atan(exp(-0.5 * least));
    const double logsnr = -2.0 * log(tan(t0 + u * (t1 - t0)));
    return schedule == NM_SNR_SHIFTED_COSINE ? logsnr + 2.0 * shift : logsnr;
}

nm_noise_level nm_noise_level_of(double logsnr) {
    // exp of the infinities is 0 and +inf, and both quotients are then exact
    return (nm_noise_level){logsnr, sqrt(1.0 / (1.0 + exp(-logsnr))), sqrt(1.0 / (1.0 + exp(logsnr)))};
}

nm_noise_level nm_noise_level_at(nm_snr_schedule schedule, double u) {
    return nm_noise_level_of(u <= 0.0 ? (double)INFINITY : nm_logsnr(schedule, u));
}

/// With `channels` a constant after inlining, so that the common width becomes whole vectors.
static inline void x0_rows(uint32_t count, const uint32_t channels, const float *z, const float *v, const float *alpha,
                           const float *sigma, float clip, float *x0) {
    for (size_t n = 0; n < count; n++) {
        const float a = alpha[n], s = sigma[n];
        NM_INDEPENDENT
        for (size_t i = n * channels; i < (n + 1) * (size_t)channels; i++) {
            float value = a * z[i] - s * v[i];
            value = value > clip ? clip : value; // comparisons with NaN are false: it passes
            x0[i] = value < -clip ? -clip : value;
        }
    }
}

NM_TARGET_CLONES
static void x0_of_v(uint32_t count, uint32_t channels, const float *z, const float *v, const float *alpha,
                    const float *sigma, float clip, float *x0) {
    if (channels == 8)
        x0_rows(count, 8, z, v, alpha, sigma, clip, x0);
    else
        x0_rows(count, channels, z, v, alpha, sigma, clip, x0);
}

void nm_x0_of_v(uint32_t count, uint32_t channels, const float *z, const float *v, const float *alpha,
                const float *sigma, float clip, float *x0) {
    NM_ASSERT(clip >= 0.0f);
    x0_of_v(count, channels, z, v, alpha, sigma, clip > 0.0f ? clip : INFINITY, x0);
}

nm_ancestral nm_ancestral_step(double from, double to) {
    NM_ASSERT(from > -(double)INFINITY && to >= from);
    if (to == from) return (nm_ancestral){1.0, 0.0, 0.0};
    const nm_noise_level before = nm_noise_level_of(from), after = nm_noise_level_of(to);
    const double c = -expm1(from - to); // 1 - exp(...) would lose the digits of a short step
    return (nm_ancestral){after.alpha * exp(from - to) / before.alpha, after.alpha * c, after.sigma * after.sigma * c};
}

// ---------------------------------------------------------------------------------------------------------------------
// Drawing, in batches of blocks laid out by word, so that every loop below is one vector loop.

#define BATCH 128

typedef struct blocks {
    uint32_t agent[BATCH], step[BATCH], draw[BATCH], key0[BATCH], key1[BATCH];
    uint32_t words[4][BATCH];
    double radius[2][BATCH];
    float normal[4][BATCH];
} blocks;

/// (double)word, exactly, by way of a signed conversion: AVX2 has no other.
static inline double double_of(uint32_t word) {
    return (double)(int32_t)(word ^ UINT32_C(0x80000000)) + 2147483648.0;
}

static inline double radius_of(uint32_t word) {
    return sqrt(-2.0 * nm_exact_log((double_of(word) + 0.5) * 0x1p-32));
}

NM_TARGET_CLONES
static void draw_blocks(blocks *b) {
    NM_INDEPENDENT
    for (size_t i = 0; i < BATCH; i++) {
        nm_philox_rounds(b->agent[i], b->step[i], NM_PURPOSE_NOISE, b->draw[i], b->key0[i], b->key1[i], &b->words[0][i],
                         BATCH);
    }
    for (size_t pair = 0; pair < 2; pair++) {
        NM_INDEPENDENT
        for (size_t i = 0; i < BATCH; i++) b->radius[pair][i] = radius_of(b->words[2 * pair][i]);
        NM_INDEPENDENT
        for (size_t i = 0; i < BATCH; i++) {
            b->normal[2 * pair][i] = (float)(b->radius[pair][i] * nm_cos_of_turn(b->words[2 * pair + 1][i]));
        }
        NM_INDEPENDENT
        for (size_t i = 0; i < BATCH; i++) {
            const uint32_t back = b->words[2 * pair + 1][i] - UINT32_C(0x40000000);
            b->normal[2 * pair + 1][i] = (float)(b->radius[pair][i] * nm_cos_of_turn(back));
        }
    }
}

/// Block `block` of all holds channels 4 d .. of token n: block = n * draws + d.
static void store_blocks(const blocks *b, size_t first, size_t count, uint32_t draws, uint32_t channels, float *out) {
    for (size_t i = 0; i < count; i++) {
        const size_t token = (first + i) / draws, channel = (first + i) % draws * 4;
        for (size_t k = 0; k < 4 && channel + k < channels; k++) {
            out[token * channels + channel + k] = b->normal[k][i];
        }
    }
}

uint32_t nm_noise_agent(int64_t source_id) {
    const uint64_t id = (uint64_t)source_id;
    return id >> 31 ? (uint32_t)(nm_hash64(id) >> 32) | UINT32_C(0x80000000) : (uint32_t)id;
}

void nm_noise_fill(uint64_t seed, uint32_t count, uint32_t channels, const uint64_t *scene, const uint32_t *agent,
                   const uint32_t *step, float *out) {
    blocks b;
    memset(&b, 0, sizeof b); // the last batch is drawn whole
    const uint32_t draws = (channels + 3) / 4;
    const uint64_t hashed_seed = nm_hash64(seed);
    size_t used = 0, first = 0;
    for (uint32_t n = 0; n < count; n++) {
        const uint64_t mixed = nm_hash64(hashed_seed ^ scene[n]); // as nm_rng_words does
        for (uint32_t d = 0; d < draws; d++) {
            b.agent[used] = agent[n];
            b.step[used] = step[n];
            b.draw[used] = d;
            b.key0[used] = (uint32_t)mixed;
            b.key1[used] = (uint32_t)(mixed >> 32);
            if (++used == BATCH) {
                draw_blocks(&b);
                store_blocks(&b, first, used, draws, channels, out);
                first += used;
                used = 0;
            }
        }
    }
    if (used) {
        draw_blocks(&b);
        store_blocks(&b, first, used, draws, channels, out);
    }
}
