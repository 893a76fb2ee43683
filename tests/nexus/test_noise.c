/// The noise schedule against its definition and its golden values, and the noise against the generator it is drawn
/// from.
#include "support.h"

#include "base/rng.h"
#include "nexus/noise.h"

#define EDGE 1e-9

static void levels_are_what_the_schedule_says(void **state) {
    (void)state;
    for (int schedule = 0; schedule < 2; schedule++) {
        double before = (double)INFINITY;
        for (int i = 0; i <= 1000; i++) {
            const double u = i / 1000.0, logsnr = nm_logsnr((nm_snr_schedule)schedule, u);
            assert_true(isfinite(logsnr) && logsnr < before);
            before = logsnr;
            const nm_noise_level level = nm_noise_level_of(logsnr);
            assert_true(fabs(level.alpha * level.alpha + level.sigma * level.sigma - 1.0) < EDGE);
            assert_true(fabs(2.0 * log(level.alpha / level.sigma) - logsnr) < EDGE);
        }
        // the ends: Lmax and Lmin of nexus-core section 2, moved by the shift of the variant
        const double shift = log(0.5), moved = schedule ? 2.0 * shift : 0.0;
        assert_true(fabs(nm_logsnr((nm_snr_schedule)schedule, 0.0) - (15.0 + shift + moved)) < 1e-6);
        assert_true(fabs(nm_logsnr((nm_snr_schedule)schedule, 1.0) - (-15.0 + shift + moved)) < 1e-6);
    }
    assert_string_equal(nm_snr_schedule_name(NM_SNR_COSINE), "cosine");
    assert_string_equal(nm_snr_schedule_name(NM_SNR_SHIFTED_COSINE), "shifted_cosine");
}

static void level_zero_is_exactly_clean(void **state) {
    (void)state;
    const nm_noise_level clean = nm_noise_level_at(NM_SNR_COSINE, 0.0);
    assert_true(clean.alpha == 1.0 && clean.sigma == 0.0 && isinf(clean.logsnr));
    const nm_noise_level pure = nm_noise_level_of(-(double)INFINITY);
    assert_true(pure.alpha == 0.0 && pure.sigma == 1.0);
    assert_true(nm_noise_level_at(NM_SNR_COSINE, 0.25).logsnr == nm_logsnr(NM_SNR_COSINE, 0.25));

    const nm_ancestral last = nm_ancestral_step(nm_logsnr(NM_SNR_COSINE, 0.02), (double)INFINITY);
    assert_true(last.z_weight == 0.0 && last.x0_weight == 1.0 && last.variance == 0.0);
    const nm_ancestral still = nm_ancestral_step(1.5, 1.5);
    assert_true(still.z_weight == 1.0 && still.x0_weight == 0.0 && still.variance == 0.0);
}

/// The step is the posterior of z_w given z_u and x: composed with z_u's own noise it must give z_w's, exactly.
static void ancestral_step_keeps_the_marginals(void **state) {
    (void)state;
    for (int i = 1; i <= 40; i++) {
        for (int j = 0; j < i; j++) {
            const double from = nm_logsnr(NM_SNR_SHIFTED_COSINE, i / 40.0);
            const double to = j ? nm_logsnr(NM_SNR_SHIFTED_COSINE, j / 40.0) : (double)INFINITY;
            const nm_noise_level a = nm_noise_level_of(from), b = nm_noise_level_of(to);
            const nm_ancestral s = nm_ancestral_step(from, to);
            assert_true(fabs(s.z_weight * a.alpha + s.x0_weight - b.alpha) < EDGE);
            const double variance = s.z_weight * s.z_weight * a.sigma * a.sigma + s.variance;
            assert_true(fabs(variance - b.sigma * b.sigma) < EDGE);
        }
    }
}

/// Single values of the published implementation, run in float32 (a token at u = 0.98248279 stepping to 0.95123279, one
/// at 0.47247118 to 0.44122118, one at 0.18997759 to 0.15872759); the whole file is compared where weights are read.
static void golden_values(void **state) {
    (void)state;
    static const double from[3] = {0.98248279, 0.47247118, 0.18997759}, to[3] = {0.95123279, 0.44122118, 0.15872759};
    static const double logsnr[2][3] = {{-7.15870905, 0.17226967, 2.35392189}, {-8.54500389, -1.21402466, 0.96762753}};
    static const double variance[2][3] = {{0.86394083, 0.07340056, 0.01921377}, {0.86778587, 0.13193448, 0.06493782}};
    for (int schedule = 0; schedule < 2; schedule++) {
        for (int i = 0; i < 3; i++) {
            const double a = nm_logsnr((nm_snr_schedule)schedule, from[i]);
            assert_true(fabs(a - logsnr[schedule][i]) < 1e-5);
            const nm_ancestral step = nm_ancestral_step(a, nm_logsnr((nm_snr_schedule)schedule, to[i]));
            assert_true(fabs(step.variance - variance[schedule][i]) < 1e-5);
        }
    }
}

static void prediction_undoes_the_noising(void **state) {
    (void)state;
    enum { TOKENS = 37 };
    for (uint32_t channels = 1; channels <= 9; channels = channels == 1 ? 8 : channels + 1) {
        float z[TOKENS * 9], v[TOKENS * 9], x[TOKENS * 9], out[TOKENS * 9], alpha[TOKENS], sigma[TOKENS];
        for (uint32_t n = 0; n < TOKENS; n++) {
            const nm_noise_level level = nm_noise_level_at(NM_SNR_COSINE, n / (TOKENS - 1.0));
            alpha[n] = (float)level.alpha;
            sigma[n] = (float)level.sigma;
            for (uint32_t c = 0; c < channels; c++) {
                const nm_rng_key key = {.seed = 1, .agent = n};
                const size_t i = (size_t)n * channels + c;
                x[i] = nm_rng_normal(&key, c);
                const float e = nm_rng_normal(&key, c + 100);
                z[i] = alpha[n] * x[i] + sigma[n] * e;
                v[i] = alpha[n] * e - sigma[n] * x[i];
            }
        }
        nm_x0_of_v(TOKENS, channels, z, v, alpha, sigma, 0.0f, out);
        for (size_t i = 0; i < (size_t)TOKENS * channels; i++) assert_true(fabsf(out[i] - x[i]) < 2e-6f);
        v[channels] = NAN;
        nm_x0_of_v(TOKENS, channels, z, v, alpha, sigma, 0.5f, v); // in place
        for (size_t i = 0; i < (size_t)TOKENS * channels; i++) {
            const float expected = x[i] < -0.5f ? -0.5f : x[i] > 0.5f ? 0.5f : x[i];
            if (i == channels)
                assert_true(isnan(v[i]));
            else
                assert_true(fabsf(v[i] - expected) < 2e-6f);
        }
    }
}

/// Noise is a function of its key: the same bits as drawn singly, whatever else is in the batch.
static void noise_is_drawn_by_key(void **state) {
    (void)state;
    enum { TOKENS = 301, MOST = 11 };
    static uint64_t scene[TOKENS];
    static uint32_t agent[TOKENS], step[TOKENS];
    static float all[TOKENS * MOST], one[MOST];
    for (uint32_t n = 0; n < TOKENS; n++) {
        scene[n] = nm_hash64(n / 50);
        agent[n] = n % 50 / 10;
        step[n] = nm_noise_step(n % 10 + 7, n % 3);
    }
    static const uint32_t widths[] = {1, 3, 4, 8, MOST};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        const uint32_t channels = widths[w];
        nm_noise_fill(99, TOKENS, channels, scene, agent, step, all);
        for (uint32_t n = 0; n < TOKENS; n++) {
            const nm_rng_key key = {99, scene[n], agent[n], step[n], NM_PURPOSE_NOISE};
            for (uint32_t c = 0; c < channels; c++) {
                float four[4];
                nm_rng_normal4(&key, c / 4, four);
                assert_true(all[n * channels + c] == four[c % 4]);
            }
            if (n % 60) continue;
            nm_noise_fill(99, 1, channels, scene + n, agent + n, step + n, one);
            assert_memory_equal(one, all + n * channels, channels * sizeof *one);
        }
    }
    nm_noise_fill(99, 0, 8, scene, agent, step, all);
    assert_int_equal(nm_noise_step(NM_NOISE_MAX_FRAME, NM_NOISE_MAX_LEVEL), UINT32_MAX);
    assert_int_not_equal(nm_noise_step(1, 0), nm_noise_step(0, NM_NOISE_MAX_LEVEL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_what_the_schedule_says),  cmocka_unit_test(level_zero_is_exactly_clean),
        cmocka_unit_test(ancestral_step_keeps_the_marginals), cmocka_unit_test(golden_values),
        cmocka_unit_test(prediction_undoes_the_noising),      cmocka_unit_test(noise_is_drawn_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
