/// Noise of the diffusion: how much there is at each level, what is taken away in a step, and where it is drawn from.
///
/// Levels u in [0, 1] are mapped to log-SNR (nexus-core section 2: the cosine schedule of Nichol and Dhariwal 2021 in
/// the form of Hoogeboom et al. 2023). Everything about a level is a function of its log-SNR L, in double:
///   alpha^2 = sigmoid(L), sigma^2 = sigmoid(-L), z = alpha x + sigma e, v = alpha e - sigma x.
/// Pure functions, safe everywhere.
#ifndef NM_NEXUS_NOISE_H
#define NM_NEXUS_NOISE_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_snr_schedule {
    NM_SNR_COSINE = 0,
    NM_SNR_SHIFTED_COSINE ///< 2 ln(64 / 128) less log-SNR at every level
} nm_snr_schedule;

NM_API const char *nm_snr_schedule_name(nm_snr_schedule schedule); ///< "cosine", "shifted_cosine"

/// L(u) = -2 ln tan(t0 + u (t1 - t0)) (+ the shift), u in [0, 1]: from about 14.3 at 0 to about -15.7 at 1, finite.
NM_API double nm_logsnr(nm_snr_schedule schedule, double u);

/// What a level is. L = +inf is an exactly clean token: alpha 1, sigma 0. L = -inf is pure noise: alpha 0, sigma 1.
typedef struct nm_noise_level {
    double logsnr, alpha, sigma;
} nm_noise_level;
NM_API nm_noise_level nm_noise_level_of(double logsnr);
/// The level at u; u <= 0 is exactly clean (the schedule itself would leave sigma = 8e-4 there).
NM_API nm_noise_level nm_noise_level_at(nm_snr_schedule schedule, double u);

/// x0[n] = alpha[n] z[n] - sigma[n] v[n], then clamped to [-clip, clip] unless clip is 0. All [count][channels]; alpha
/// and sigma [count]. x0 may be v. A NaN stays a NaN.
NM_API void nm_x0_of_v(uint32_t count, uint32_t channels, const float *z, const float *v, const float *alpha,
                       const float *sigma, float clip, float *x0);

/// One ancestral step from log-SNR `from` to `to` >= from: with c = 1 - exp(from - to),
///   mean = alpha_to (z (1 - c) / alpha_from + c x0) = z_weight z + x0_weight x0,  variance = sigma_to^2 c.
/// to = +inf gives mean x0 without noise; to = from gives z as it is. from > -inf.
typedef struct nm_ancestral {
    double z_weight, x0_weight, variance;
} nm_ancestral;
NM_API nm_ancestral nm_ancestral_step(double from, double to);

// ---------------------------------------------------------------------------------------------------------------------
// Drawing. Noise belongs to a token, not to its place in a batch: the key is Philox's (base/rng.h) with
//   seed     of the run
//   scene    a stable id of the scene (a hash), not its index in the batch
//   agent    a stable id of the agent in its scene (nm_noise_agent), not its place among the others
//   step     nm_noise_step(frame, level): which time token, and the level that the noised value is at afterwards, in
//            steps of 1 / levels; the first noise of a token is that of the highest level
//   purpose  NM_PURPOSE_NOISE
// and channels 4 d .. 4 d + 3 are the values of draw d (nm_rng_normal4).

#define NM_NOISE_MAX_LEVEL 4095u
#define NM_NOISE_MAX_FRAME 1048575u

/// The agent of the key, of a source's id (nm_track.source_id): 0 .. 2^31 - 1 stay what they are, all others are hashed
/// to 2^31 and above.
NM_API uint32_t nm_noise_agent(int64_t source_id);

/// frame <= NM_NOISE_MAX_FRAME, level <= NM_NOISE_MAX_LEVEL: no two pairs share a value.
static inline uint32_t nm_noise_step(uint32_t frame, uint32_t level) {
    return frame << 12 | level;
}

/// One row of noise each for `count` tokens; scene, agent, step as above, [count]. out [out, count x channels].
/// The same bits as nm_rng_normal4, several times faster. No allocation.
NM_API void nm_noise_fill(uint64_t seed, uint32_t count, uint32_t channels, const uint64_t *scene,
                          const uint32_t *agent, const uint32_t *step, float *out);

#ifdef __cplusplus
}
#endif
#endif
