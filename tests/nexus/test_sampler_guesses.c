/// Tokens of which something is known beforehand: guesses of new ones, and drafts of little noise.
#include "sampler_run.h"

#include "base/rng.h"

/// New tokens may come with a guess, noised to their level, or given.
static void new_tokens_may_come_with_a_guess(void **state) {
    (void)state;
    const nm_sampler_config config = small(3);
    run r;
    start(&r, 1, 5, "full", &config);
    uint32_t from[8];
    int32_t delay[8];
    float guess[8 * 3];
    for (uint32_t n = 0; n < 8; n++) {
        from[n] = n < 2 ? n : NM_TOKEN_NEW;
        delay[n] = 2 * (int32_t)n - 12; // -8 .. 2; of token 0 and 1 ignored
        for (int c = 0; c < 3; c++) guess[n * 3 + (uint32_t)c] = n < 6 ? 0.1f * (float)n - 0.2f * (float)c : NAN;
    }
    delay[2] = -12;
    nm_error error;
    assert_int_equal(nm_sampler_rearrange(r.sampler, &r.layout, from, delay, guess, &error), NM_OK);
    const nm_sampler_state at = nm_sampler_get(r.sampler);
    assert_int_equal(at.step[2], 0);
    assert_memory_equal(at.in.known + 6, guess + 6, 3 * sizeof(float));
    for (uint32_t n = 3; n < 8; n++) {
        const uint32_t level = n < 6 ? 2 * n : 12;
        float noise[4];
        const nm_rng_key key = {config.seed, 5, at.in.agent[n], nm_noise_step(at.in.time[n], level), NM_PURPOSE_NOISE};
        nm_rng_normal4(&key, 0, noise);
        const nm_noise_level l = nm_noise_level_at(NM_SNR_COSINE, level / 12.0);
        assert_int_equal(at.step[n], level);
        assert_memory_equal(at.x0 + n * 3, at.in.noised + n * 3, 3 * sizeof(float)); // nobody predicted it yet
        for (uint32_t c = 0; c < 3; c++) {
            const double z = (double)at.in.noised[n * 3 + c];
            const double expected =
                n < 6 ? l.alpha * (double)guess[n * 3 + c] + l.sigma * (double)noise[c] : (double)noise[c];
            assert_true(fabs(z - expected) < 1e-6);
        }
    }
    guess[5 * 3] = NAN;
    assert_int_equal(nm_sampler_rearrange(r.sampler, &r.layout, from, delay, guess, &error), NM_E_NUMERIC);
    delay[5] = -13;
    assert_int_equal(nm_sampler_rearrange(r.sampler, &r.layout, from, delay, guess, &error), NM_E_ARGUMENT);
    finish(&r);
}

/// A draft is its guess and the noise of the level it waits at, is never noisier than that, and finishes when it would
/// have anyway.
static void drafts_wait_at_little_noise(void **state) {
    (void)state;
    nm_sampler_config config = small(3);
    for (int solver = 0; solver < 3; solver++) {
        run r;
        config.solver = (nm_solver)solver;
        start(&r, 1, 5, "pyramid:2", &config);
        const float guess[3] = {0.5f, -0.25f, 0.125f};
        const uint32_t token = 3, most = 4; // the farthest of the first agent: delay 4
        nm_error error;
        assert_int_equal(r.delay[token], 4);
        const float broken[3] = {0.0f, NAN, 0.0f};
        assert_int_equal(nm_sampler_draft(r.sampler, token, broken, most, &error), NM_E_NUMERIC);
        assert_int_equal(nm_sampler_get(r.sampler).step[token], 12);
        assert_int_equal(nm_sampler_draft(r.sampler, token, guess, most, &error), NM_OK);
        float noise[4], first[3];
        const nm_rng_key key = {config.seed, 5, 0, nm_noise_step(3, most), NM_PURPOSE_NOISE};
        nm_rng_normal4(&key, 0, noise);
        const nm_noise_level l = nm_noise_level_at(NM_SNR_COSINE, most / 12.0);
        for (uint32_t c = 0; c < 3; c++) {
            first[c] = nm_sampler_get(r.sampler).in.noised[token * 3 + c];
            assert_true(fabs((double)first[c] - l.alpha * (double)guess[c] - l.sigma * (double)noise[c]) < 1e-6);
        }
        for (int64_t pass = 0; nm_sampler_remaining(r.sampler) > 0; pass++) {
            const nm_sampler_state at = nm_sampler_get(r.sampler);
            const uint32_t free = nm_schedule_level(12, r.delay[token], pass);
            assert_int_equal(at.step[token], free < most ? free : most);
            for (uint32_t n = 0; n < at.in.count; n++) // the others do not mind
                if (n != token && !r.clean[n]) assert_int_equal(at.step[n], nm_schedule_level(12, r.delay[n], pass));
            if (free >= most) assert_memory_equal(at.in.noised + token * 3, first, sizeof first);
            step(&r);
        }
        finish(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_tokens_may_come_with_a_guess),
        cmocka_unit_test(drafts_wait_at_little_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
