/// The noise schedule against its definition and its golden values, and the noise against the generator it is drawn
/// from.
#include "support.h"

#include "base/rng.h"
#include "nexus/noise.h"
#include "nexus/safetensors.h"

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

static void agents_are_what_their_ids_say(void **state) {
    (void)state;
    assert_true(nm_noise_agent(0) == 0 && nm_noise_agent(INT32_MAX) == INT32_MAX);
    const int64_t large[] = {INT64_C(1) << 31, INT64_C(1) << 32, INT64_C(1) << 40, INT64_MAX, -1, -2, INT64_MIN};
    const size_t count = sizeof large / sizeof *large;
    for (size_t i = 0; i < count; i++) {
        assert_true(nm_noise_agent(large[i]) >> 31); // none that a small id has
        for (size_t k = 0; k < i; k++) assert_true(nm_noise_agent(large[i]) != nm_noise_agent(large[k]));
    }
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

static float *values_of(const nm_safetensors *file, const char *what, const char *schedule, size_t count) {
    char name[64];
    snprintf(name, sizeof name, "%s%s", what, schedule);
    const nm_stored_tensor *t = nm_safetensors_find(file, name);
    if (!t || t->elements != count) fail_msg("the golden file has no %s of %d values", name, (int)count);
    float *values = malloc(count * sizeof *values);
    nm_error error;
    assert_int_equal(nm_safetensors_read_f32(file, name, t->rank, t->shape, values, &error), NM_OK);
    return values;
}

/// Log-SNR, clipped x0 and one ancestral step of every token of a golden file, against a run in float32: to 1e-5.
static void compare_schedule(const nm_safetensors *file, nm_snr_schedule schedule) {
    const char *name = schedule == NM_SNR_COSINE ? "_cosine" : "_shifted_cosine";
    const uint32_t count = (uint32_t)nm_safetensors_find(file, "u")->elements;
    float *u = values_of(file, "u", "", count), *next = values_of(file, "u_next", "", count);
    float *z = values_of(file, "z", "", count * 8), *v = values_of(file, "v_valid_mask", "", count * 8);
    float *logsnr = values_of(file, "logsnr", name, count), *variance = values_of(file, "var", name, count);
    float *x0 = values_of(file, "x0", name, count * 8), *mean = values_of(file, "mean", name, count * 8);
    float *alpha = malloc(count * sizeof *alpha), *sigma = malloc(count * sizeof *sigma);
    for (uint32_t n = 0; n < count; n++) {
        const double from = nm_logsnr(schedule, (double)u[n]);
        const nm_noise_level level = nm_noise_level_of(from);
        assert_true(fabs(from - (double)logsnr[n]) < 1e-5);
        alpha[n] = (float)level.alpha;
        sigma[n] = (float)level.sigma;
    }
    nm_x0_of_v(count, 8, z, v, alpha, sigma, 1.0f, v);
    for (uint32_t n = 0; n < count; n++) {
        assert_true(next[n] <= u[n]);
        // by the schedule itself also at u = 0, as published; the sampler's own level 0 is cleaner
        const nm_ancestral step =
            nm_ancestral_step(nm_logsnr(schedule, (double)u[n]), nm_logsnr(schedule, (double)next[n]));
        assert_true(fabs(step.variance - (double)variance[n]) < 1e-5);
        for (uint32_t i = n * 8; i < n * 8 + 8; i++) {
            assert_true(fabsf(v[i] - x0[i]) < 1e-5f);
            const double got = step.z_weight * (double)z[i] + step.x0_weight * (double)v[i];
            assert_true(fabs(got - (double)mean[i]) < 1e-5);
        }
    }
    float *all[] = {u, next, z, v, logsnr, variance, x0, mean, alpha, sigma};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void compare_file(const char *path) {
    nm_safetensors *file;
    nm_error error;
    if (nm_safetensors_open(path, &file, &error)) fail_msg("%s", error.message);
    compare_schedule(file, NM_SNR_COSINE);
    compare_schedule(file, NM_SNR_SHIFTED_COSINE);
    nm_safetensors_close(file);
}

static void golden_files_agree(void **state) {
    (void)state;
    compare_file(NM_SOURCE_DIR "/tests/nexus/golden/small-io.safetensors");
    char path[600];
    if (nm_test_have(path, sizeof path, "reference/nexus-small-io.safetensors")) compare_file(path);
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
        cmocka_unit_test(levels_are_what_the_schedule_says),
        cmocka_unit_test(level_zero_is_exactly_clean),
        cmocka_unit_test(agents_are_what_their_ids_say),
        cmocka_unit_test(ancestral_step_keeps_the_marginals),
        cmocka_unit_test(golden_files_agree),
        cmocka_unit_test(prediction_undoes_the_noising),
        cmocka_unit_test(noise_is_drawn_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
