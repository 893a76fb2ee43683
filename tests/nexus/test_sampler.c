/// The sampler pass by pass: against the solvers' published formulas, and what must hold whatever the denoiser says.
#include "sampler_run.h"

#include "base/rng.h"

// ---------------------------------------------------------------------------------------------------------------------

typedef struct seen {
    run *r;
    uint64_t passes;
} seen;

static void check_state(void *context, const nm_sampler *sampler) {
    seen *s = context;
    const nm_sampler_state state = nm_sampler_get(sampler);
    assert_true(state.passes == s->passes++);
    for (uint32_t n = 0; s->r->sampler && n < state.in.count; n++) {
        const uint32_t level =
            s->r->clean[n] ? 0 : nm_schedule_level(state.levels, s->r->delay[n], (int64_t)state.passes);
        assert_int_equal(state.step[n], level);
        assert_true(state.in.level[n] == (float)((double)level / state.levels));
        const size_t at = n * s->r->channels, bytes = s->r->channels * sizeof(float);
        for (uint32_t c = 0; c < s->r->channels; c++) {
            assert_true(state.in.mask[at + c] == (level == 0 ? 1.0f : 0.0f));
            assert_true(state.in.known[at + c] == (level == 0 ? state.in.noised[at + c] : 0.0f));
            assert_true(isfinite(state.in.noised[at + c]));
        }
        if (s->r->clean[n]) assert_memory_equal(state.in.noised + at, s->r->values + at, bytes);
        if (level == 0) assert_memory_equal(state.in.noised + at, state.in.known + at, bytes);
        for (uint32_t c = 0; c < s->r->channels; c++) // the value of what is clean, the noise of what nobody predicted
            if (level == 0 || state.passes == 0) assert_true(state.x0[at + c] == state.in.noised[at + c]);
    }
}

static void levels_follow_the_schedule_and_clean_tokens_stay(void **state) {
    (void)state;
    static const char *const schedules[] = {"full", "ar", "pyramid:2.5", "trapezoid:3", "block:2"};
    for (int solver = 0; solver < 3; solver++) {
        for (int i = 0; i < 5; i++) {
            nm_sampler_config config = small(3);
            run r = {0};
            seen s = {.r = &r};
            config.solver = (nm_solver)solver;
            config.observer = check_state;
            config.observer_context = &s;
            start(&r, 3, 40, schedules[i], &config);
            const int64_t passes = nm_schedule_passes(config.levels, r.layout.count, r.delay);
            assert_true(nm_sampler_remaining(r.sampler) == passes);
            nm_error error;
            assert_int_equal(nm_sampler_run(r.sampler, &r.denoiser, NULL, NULL, &error), NM_OK);
            assert_true(nm_sampler_remaining(r.sampler) == 0);
            assert_true((int64_t)s.passes == passes + 1 && r.world.calls == passes);
            step(&r); // nothing left to do: nobody is asked, the pass counts
            assert_true(r.world.calls == passes && (int64_t)s.passes == passes + 1);
            assert_true((int64_t)nm_sampler_get(r.sampler).passes == passes + 1);
            s.passes = 0;    // another run
            r.delay[0] = -1; // of a given token: ignored
            assert_int_equal(nm_sampler_begin(r.sampler, &r.layout, r.clean, r.values, r.delay, &error), NM_OK);
            assert_true(s.passes == 1);
            finish(&r);
        }
    }
}

/// What a pass said of its tokens: which of them it moves.
typedef struct said {
    uint32_t count;
    uint8_t moves[1000];
} said;
static nm_status listen(void *context, const nm_denoise_input *in, float *x0, nm_error *error) {
    said *s = context;
    (void)x0, (void)error;
    assert_true(in->count <= sizeof s->moves);
    s->count = in->count;
    memcpy(s->moves, in->moves, in->count);
    return NM_OK;
}

static void passes_say_what_they_move(void **state) {
    (void)state;
    static const char *const schedules[] = {"full", "ar", "pyramid:2.5", "trapezoid:3", "block:2"};
    for (int i = 0; i < 5; i++) {
        nm_sampler_config config = small(3);
        run r = {0};
        said s = {0};
        nm_error error;
        uint32_t moved = 0, waited = 0;
        uint16_t before[1000];
        start(&r, 3, 40, schedules[i], &config);
        assert_int_equal(nm_sampler_draft(r.sampler, r.layout.count - 1, r.values, 2, &error), NM_OK);
        while (nm_sampler_remaining(r.sampler) > 0) {
            assert_null(nm_sampler_get(r.sampler).in.moves); // known within a pass
            memcpy(before, nm_sampler_get(r.sampler).step, r.layout.count * sizeof *before);
            assert_int_equal(nm_sampler_step(r.sampler, &r.denoiser, listen, &s, &error), NM_OK);
            assert_int_equal(s.count, r.layout.count);
            for (uint32_t n = 0; n < s.count; n++) {
                const uint16_t after = nm_sampler_get(r.sampler).step[n];
                assert_int_equal(s.moves[n], before[n] != after);
                moved += s.moves[n];
                waited += !s.moves[n] && before[n] > 0;
            }
        }
        if (moved < 100 || (waited < 20 && i > 0)) fail_msg("%u moved, %u waited", moved, waited);
        finish(&r);
    }
}

/// One token alone, everything in double, straight from the papers: Ho et al. 2020 (posterior), Song et al. 2021 (eq.
/// 12, eta 0), Lu et al. 2022 (algorithm 2).
static double reference_path(nm_solver solver, nm_snr_schedule snr, uint32_t levels, double z, uint64_t seed,
                             uint64_t scene, double mean, double variance) {
    double past = 0.0, past_lambda = 0.0;
    for (uint32_t k = levels; k >= 1; k--) {
        const double u = nm_logsnr(snr, (double)k / levels);
        const double a = sqrt(1.0 / (1.0 + exp(-u))), s = sqrt(1.0 / (1.0 + exp(u)));
        const double x0 = mean + variance * a / (a * a * variance + s * s) * (z - a * mean);
        if (k == 1) return x0;
        const double w = nm_logsnr(snr, (double)(k - 1) / levels);
        const double b = sqrt(1.0 / (1.0 + exp(-w))), t = sqrt(1.0 / (1.0 + exp(w)));
        const double lambda = log(a / s), h = log(b / t) - lambda;
        if (solver == NM_SOLVER_ANCESTRAL) {
            const double ratio = a / b, between = s * s - ratio * ratio * t * t; // variance of z_u given z_w
            float noise[4];
            const nm_rng_key key = {seed, scene, 0, nm_noise_step(0, k - 1), NM_PURPOSE_NOISE};
            nm_rng_normal4(&key, 0, noise);
            z = ratio * t * t / (s * s) * z + b * between / (s * s) * x0 + sqrt(between) * t / s * (double)noise[0];
        } else if (solver == NM_SOLVER_DDIM) {
            z = b * x0 + t * (z - a * x0) / s;
        } else {
            const double r = (lambda - past_lambda) / h;
            const double d = k == levels ? x0 : (1.0 + 1.0 / (2.0 * r)) * x0 - 1.0 / (2.0 * r) * past;
            z = t / s * z - b * (exp(-h) - 1.0) * d;
        }
        past = x0;
        past_lambda = lambda;
    }
    return z;
}

static void solvers_are_the_published_ones(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++) {
        const nm_solver solver = (nm_solver)(i % 3);
        gaussian g;
        gaussian_init(&g, 1, 1);
        g.snr = (nm_snr_schedule)(i / 3);
        nm_token_layout layout = gaussian_layout(&g, 8, 70);
        nm_sampler_config config = small(1);
        config.solver = solver;
        config.snr = g.snr;
        config.levels = 20;
        nm_sampler *sampler;
        nm_error error;
        const uint8_t clean[8] = {0};
        const nm_denoiser denoiser = {&g, gaussian_predict};
        assert_int_equal(nm_sampler_create(&config, &sampler, &error), NM_OK);
        assert_int_equal(nm_sampler_begin(sampler, &layout, clean, NULL, NULL, &error), NM_OK);
        double expected[8];
        for (uint64_t n = 0; n < 8; n++) {
            float first[4];
            const nm_rng_key key = {config.seed, 70 + n, 0, nm_noise_step(0, 20), NM_PURPOSE_NOISE};
            nm_rng_normal4(&key, 0, first);
            assert_true(nm_sampler_get(sampler).in.noised[n] == first[0]);
            expected[n] =
                reference_path(solver, g.snr, 20, (double)first[0], config.seed, 70 + n, g.mean[0], g.covariance[0][0]);
        }
        assert_int_equal(nm_sampler_run(sampler, &denoiser, NULL, NULL, &error), NM_OK);
        for (int n = 0; n < 8; n++) {
            const double off = fabs((double)nm_sampler_get(sampler).in.noised[n] - expected[n]);
            if (off > 3e-5) fail_msg("%s, schedule %d: off by %g", nm_solver_name(solver), i / 3, off);
        }
        nm_sampler_destroy(sampler);
        gaussian_layout_free(&layout);
    }
}

/// The same scene gives the same bits alone and in a batch, and other bits under another seed or key.
static void scenes_do_not_depend_on_the_batch(void **state) {
    (void)state;
    for (int solver = 0; solver < 3; solver++) {
        nm_sampler_config config = small(8);
        config.solver = (nm_solver)solver;
        run all, one, other;
        start(&all, 5, 100, "pyramid:2", &config);
        start(&one, 1, 103, "pyramid:2", &config);
        config.seed++;
        start(&other, 1, 103, "pyramid:2", &config);
        while (nm_sampler_remaining(all.sampler)) {
            step(&all);
            step(&one);
            step(&other);
        }
        const size_t scene = 8 * 8;
        const float *z = nm_sampler_get(all.sampler).in.noised;
        assert_memory_equal(z + 3 * scene, nm_sampler_get(one.sampler).in.noised, scene * sizeof(float));
        assert_memory_not_equal(z + 8, nm_sampler_get(other.sampler).in.noised + 8, 8 * sizeof(float));
        assert_memory_not_equal(z + 8, z + scene + 8, 8 * sizeof(float));
        finish(&all);
        finish(&one);
        finish(&other);
    }
}

// ---------------------------------------------------------------------------------------------------------------------

typedef struct spy {
    nm_denoiser inner;
    uint32_t token;
    float known, mask, noised, level; ///< of the token's first channel, at the last call
    uint64_t layout;
    int fail; ///< 1 = say so, 2 = NaN in a token that is not clean, 3 = in one that is
} spy;

static nm_status spy_predict(void *context, const nm_denoise_input *in, float *v, nm_error *error) {
    spy *s = context;
    const size_t at = (size_t)s->token * in->channels;
    s->known = in->known[at];
    s->mask = in->mask[at];
    s->noised = in->noised[at];
    s->level = in->level[s->token];
    s->layout = in->layout;
    if (s->fail == 1) return NM_ERROR(error, NM_E_BUSY, "not now");
    const nm_status status = s->inner.predict(s->inner.context, in, v, error);
    if (s->fail >= 2) v[(s->fail == 2 ? 1 : 0) * in->channels + in->channels - 1] = s->token % 2 ? NAN : INFINITY;
    return status;
}

static void an_overwritten_token_is_seen_by_the_next_pass(void **state) {
    (void)state;
    for (int solver = 0; solver < 3; solver++) {
        nm_sampler_config config = small(2);
        config.solver = (nm_solver)solver;
        run r;
        start(&r, 2, 5, "pyramid:2", &config);
        spy s = {.inner = r.denoiser, .token = 8 + 2};
        r.denoiser = (nm_denoiser){&s, spy_predict};
        for (int i = 0; i < 5; i++) step(&r);
        assert_true(s.mask == 0.0f && s.level > 0.5f);
        const float value[2] = {1.75f, -0.0f};
        nm_error error;
        assert_int_equal(nm_sampler_set_token(r.sampler, s.token, value, &error), NM_OK);
        assert_memory_equal(nm_sampler_get(r.sampler).x0 + s.token * 2, value, sizeof value);
        step(&r);
        assert_true(s.known == 1.75f && s.mask == 1.0f && s.noised == 1.75f && s.level == 0.0f);
        while (nm_sampler_remaining(r.sampler)) step(&r);
        assert_memory_equal(nm_sampler_get(r.sampler).in.noised + s.token * 2, value, sizeof value);

        const float bad[2] = {0.0f, NAN};
        assert_int_equal(nm_sampler_set_token(r.sampler, 3, bad, &error), NM_E_NUMERIC);
        assert_true(isfinite(nm_sampler_get(r.sampler).in.noised[7]));
        r.denoiser = s.inner;
        finish(&r);
    }
}

/// What 2M remembers was predicted before the news: the pass after it must be the first-order one, for that scene only.
static void news_make_the_solver_forget(void **state) {
    (void)state;
    nm_sampler_config config = small(2);
    run second, first, plain;
    config.solver = NM_SOLVER_2M;
    start(&second, 2, 5, "full", &config);
    start(&plain, 2, 5, "full", &config);
    for (int i = 0; i < 5; i++) {
        step(&second);
        step(&plain);
    }
    const nm_sampler_state at = nm_sampler_get(second.sampler);
    float z[2 * 8 * 2];
    memcpy(z, at.in.noised, sizeof z);
    const float value[2] = {0.5f, 0.5f};
    nm_error error;
    assert_int_equal(nm_sampler_set_token(second.sampler, 2, value, &error), NM_OK);
    const nm_noise_level from = nm_noise_level_at(config.snr, 7.0 / 12.0),
                         to = nm_noise_level_at(config.snr, 6.0 / 12.0);
    step(&second);
    step(&plain);
    const nm_sampler_state after = nm_sampler_get(second.sampler);
    for (uint32_t n = 0; n < 16; n++) {
        if (second.clean[n] || n == 2) continue;
        for (uint32_t c = 0; c < 2; c++) {
            const double x0 = (double)after.x0[n * 2 + c], was = (double)z[n * 2 + c];
            const double ddim = to.alpha * x0 + to.sigma * (was - from.alpha * x0) / from.sigma;
            const double off = fabs((double)after.in.noised[n * 2 + c] - ddim);
            if (n < 8)
                assert_true(off < 1e-6);
            else
                assert_true(after.in.noised[n * 2 + c] == nm_sampler_get(plain.sampler).in.noised[n * 2 + c]);
        }
    }
    // telling it what it knows is no news
    float same[2];
    memcpy(same, after.in.noised + 2 * 2, sizeof same);
    assert_int_equal(nm_sampler_set_token(second.sampler, 2, same, &error), NM_OK);
    start(&first, 2, 5, "full", &config);
    for (int i = 0; i < 5; i++) step(&first);
    assert_int_equal(nm_sampler_set_token(first.sampler, 2, value, &error), NM_OK);
    step(&first);
    step(&first);
    step(&second);
    assert_memory_equal(nm_sampler_get(second.sampler).in.noised, nm_sampler_get(first.sampler).in.noised, sizeof z);
    finish(&second);
    finish(&first);
    finish(&plain);
}

/// A given token that comes with a new layout is news like any; one of noise is none.
static void given_newcomers_make_the_solver_forget(void **state) {
    (void)state;
    nm_sampler_config config = small(2);
    config.solver = NM_SOLVER_2M;
    run told, set, noise;
    start(&told, 2, 5, "full", &config);
    start(&set, 2, 5, "full", &config);
    start(&noise, 2, 5, "full", &config);
    uint32_t from[16];
    int32_t delay[16] = {0};
    float guess[16 * 2] = {0}, z[16 * 2];
    for (uint32_t n = 0; n < 16; n++) from[n] = n == 10 ? NM_TOKEN_NEW : n;
    guess[20] = guess[21] = 0.5f;
    for (int i = 0; i < 5; i++) {
        step(&told);
        step(&set);
        step(&noise);
    }
    memcpy(z, nm_sampler_get(noise.sampler).in.noised, sizeof z);
    nm_error error;
    assert_int_equal(nm_sampler_rearrange(noise.sampler, &noise.layout, from, delay, guess, &error), NM_OK);
    delay[10] = -12;
    assert_int_equal(nm_sampler_rearrange(told.sampler, &told.layout, from, delay, guess, &error), NM_OK);
    assert_int_equal(nm_sampler_set_token(set.sampler, 10, guess + 20, &error), NM_OK);
    step(&told);
    step(&set);
    step(&noise);
    assert_memory_equal(nm_sampler_get(told.sampler).in.noised, nm_sampler_get(set.sampler).in.noised, sizeof z);
    const nm_noise_level high = nm_noise_level_at(config.snr, 7.0 / 12.0),
                         low = nm_noise_level_at(config.snr, 6.0 / 12.0);
    const nm_sampler_state at = nm_sampler_get(noise.sampler);
    for (uint32_t i = 11 * 2; i < 12 * 2; i++) { // a neighbour of the newcomer still goes by the second order
        const double x0 = (double)at.x0[i],
                     ddim = low.alpha * x0 + low.sigma * ((double)z[i] - high.alpha * x0) / high.sigma;
        assert_true(fabs((double)at.in.noised[i] - ddim) > 1e-4);
    }
    finish(&told);
    finish(&set);
    finish(&noise);
}

static void a_failed_pass_changes_nothing(void **state) {
    (void)state;
    nm_sampler_config config = small(3);
    run r, good;
    start(&r, 2, 5, "pyramid", &config);
    start(&good, 2, 5, "pyramid", &config);
    spy s = {.inner = r.denoiser};
    r.denoiser = (nm_denoiser){&s, spy_predict};
    for (int i = 0; nm_sampler_remaining(r.sampler); i++) {
        nm_error error;
        for (s.fail = 1; s.fail <= 2; s.fail++) {
            s.token = (uint32_t)(i % 2);
            if (s.fail == 2 && nm_sampler_get(r.sampler).step[1] == 0) continue;
            const nm_status status = nm_sampler_step(r.sampler, &r.denoiser, NULL, NULL, &error);
            assert_int_equal(status, s.fail == 1 ? NM_E_BUSY : NM_E_NUMERIC);
            if (s.fail == 2)
                assert_non_null(strstr(error.message, "1 of 16 tokens, the first of them of scene 0, agent 0"));
        }
        s.fail = i % 2 ? 0 : 3; // rubbish for a clean token does no harm
        step(&r);
        step(&good);
    }
    assert_memory_equal(nm_sampler_get(r.sampler).in.noised, nm_sampler_get(good.sampler).in.noised,
                        16 * 3 * sizeof(float));
    finish(&r);
    finish(&good);
}

/// Far out, and on the other side in the second half: x0 = alpha z - sigma v is then larger than any float.
static nm_status exaggerate(void *context, const nm_denoise_input *in, float *v, nm_error *error) {
    (void)context, (void)error;
    for (size_t i = 0; i < (size_t)in->count * in->channels; i++)
        v[i] = in->level[i / in->channels] > 0.5f ? -3e38f : 3e38f;
    return NM_OK;
}

static void values_that_would_overflow_are_refused(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++) {
        nm_sampler_config config = small(2);
        config.solver = (nm_solver)(i % 3);
        config.clip = i < 3 ? 0.0f : 0.5f; // clipped, any prediction is fine
        run r;
        nm_error error;
        start(&r, 2, 5, "full", &config);
        r.denoiser = (nm_denoiser){NULL, exaggerate};
        const float before = nm_sampler_get(r.sampler).in.noised[4];
        const nm_status status = nm_sampler_run(r.sampler, &r.denoiser, NULL, NULL, &error);
        assert_int_equal(status, i < 3 ? NM_E_NUMERIC : NM_OK);
        const nm_sampler_state at = nm_sampler_get(r.sampler);
        for (uint32_t n = 0; n < 16 * 2; n++) assert_true(isfinite(at.in.noised[n]));
        if (i < 3) {
            assert_non_null(strstr(error.message, "the prediction made token 1 (scene 0, agent 0, time 1) not finite"));
            assert_true(at.passes == 0 && at.in.noised[4] == before);
        } else {
            for (uint32_t n = 0; n < 16 * 2; n++) assert_true(fabsf(at.in.noised[n]) <= 0.5f);
            assert_memory_equal(at.in.noised, r.values, 2 * sizeof(float));
        }
        finish(&r);
    }
}

static nm_status push(void *context, const nm_denoise_input *in, float *x0, nm_error *error) {
    const int fail = *(const int *)context;
    for (size_t i = 0; i < (size_t)in->count * in->channels; i++) x0[i] = fail == 2 ? NAN : 0.125f;
    return fail == 1 ? NM_ERROR(error, NM_E_CANCELLED, "stop") : NM_OK;
}

static void guidance_changes_x0_but_no_clean_token(void **state) {
    (void)state;
    nm_sampler_config config = small(2);
    config.clip = 0.01f; // given values may exceed it
    run r;
    start(&r, 2, 5, "pyramid", &config);
    nm_error error;
    int fail = 1;
    assert_int_equal(nm_sampler_run(r.sampler, &r.denoiser, push, &fail, &error), NM_E_CANCELLED);
    fail = 2;
    assert_int_equal(nm_sampler_run(r.sampler, &r.denoiser, push, &fail, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "guidance"));
    fail = 0;
    assert_int_equal(nm_sampler_run(r.sampler, &r.denoiser, push, &fail, &error), NM_OK);
    const nm_sampler_state at = nm_sampler_get(r.sampler);
    for (uint32_t n = 0; n < 16; n++) {
        if (r.clean[n]) assert_memory_equal(at.in.noised + n * 2, r.values + n * 2, 2 * sizeof(float));
        if (!r.clean[n]) assert_true(at.in.noised[n * 2] == 0.125f && at.in.noised[n * 2 + 1] == 0.125f);
    }
    finish(&r);
}

// ---------------------------------------------------------------------------------------------------------------------

/// Fewer tokens make another layout; nonsense is refused and nothing changes.
static void check_refusals(run *r, const spy *s, nm_token_layout *next, uint32_t *from, int32_t *delay,
                           uint64_t layout) {
    nm_error error;
    next->count = 16;
    next->scene_count = 2;
    for (uint32_t n = 0; n < 16; n++) from[n] = n;
    assert_int_equal(nm_sampler_rearrange(r->sampler, next, from, NULL, NULL, &error), NM_OK);
    step(r);
    assert_true(s->layout != layout);
    from[3] = 2;
    assert_int_equal(nm_sampler_rearrange(r->sampler, next, from, NULL, NULL, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "token 2 is continued twice"));
    from[3] = 16;
    assert_int_equal(nm_sampler_rearrange(r->sampler, next, from, NULL, NULL, &error), NM_E_ARGUMENT);
    from[3] = NM_TOKEN_NEW;
    delay[3] = NM_SCHEDULE_MAX_DELAY + 1;
    assert_int_equal(nm_sampler_rearrange(r->sampler, next, from, delay, NULL, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_sampler_get(r->sampler).in.count, 16);
    step(r);
}

static void rearranging_keeps_what_goes_on(void **state) {
    (void)state;
    for (int solver = 0; solver < 3; solver++) {
        nm_sampler_config config = small(4);
        config.solver = (nm_solver)solver;
        run r, good;
        start(&r, 3, 5, "pyramid:2", &config);
        start(&good, 3, 5, "pyramid:2", &config);
        spy s = {.inner = r.denoiser};
        r.denoiser = (nm_denoiser){&s, spy_predict};
        for (int i = 0; i < 6; i++) {
            step(&r);
            step(&good);
        }
        const uint64_t layout = s.layout;
        // scene 1 leaves, scenes 0 and 2 change places, and a new one comes last
        const uint64_t key[3] = {7, 5, 99};
        uint32_t from[24];
        int32_t delay[24];
        for (uint32_t n = 0; n < 24; n++) {
            from[n] = n < 8 ? 16 + n : n < 16 ? n - 8 : NM_TOKEN_NEW;
            delay[n] = n < 16 ? -99 : (int32_t)n - 16;
        }
        nm_token_layout next = r.layout;
        next.scene_key = key;
        nm_error error;
        assert_int_equal(nm_sampler_rearrange(r.sampler, &next, from, delay, NULL, &error), NM_OK);
        for (int i = 0; i < 3; i++) {
            step(&r);
            step(&good);
            assert_true(s.layout == layout); // the same scenes, agents and times by index
        }
        const nm_sampler_state a = nm_sampler_get(r.sampler), b = nm_sampler_get(good.sampler);
        assert_memory_equal(a.in.noised, b.in.noised + 16 * 4, 8 * 4 * sizeof(float));
        assert_memory_equal(a.in.noised + 8 * 4, b.in.noised, 8 * 4 * sizeof(float));
        assert_memory_equal(a.step, b.step + 16, 8 * sizeof *a.step);
        for (uint32_t n = 16; n < 24; n++) {
            assert_int_equal(a.step[n], nm_schedule_level(12, delay[n], 3));
            float first[4];
            const nm_rng_key noise = {config.seed, 99, next.agent[n], nm_noise_step(next.time[n], 12),
                                      NM_PURPOSE_NOISE};
            nm_rng_normal4(&noise, 0, first);
            if (delay[n] >= 3) assert_memory_equal(a.in.noised + n * 4, first, sizeof first);
        }
        check_refusals(&r, &s, &next, from, delay, layout);
        finish(&r);
        finish(&good);
    }
}

/// Whoever keeps groups of tokens must be told when they change, and only then.
static void another_layout_has_another_number(void **state) {
    (void)state;
    nm_sampler_config config = small(2);
    run r;
    nm_error error;
    start(&r, 4, 5, "full", &config);
    r.layout.count = 16;
    r.layout.scene_count = 2;
    assert_int_equal(nm_sampler_begin(r.sampler, &r.layout, r.clean, r.values, r.delay, &error), NM_OK);
    uint32_t *const fields[3] = {(uint32_t *)r.layout.scene, (uint32_t *)r.layout.agent, (uint32_t *)r.layout.time};
    uint64_t last = nm_sampler_get(r.sampler).in.layout;
    for (int i = 0; i < 8; i++) {
        if (i % 2 && i < 6) fields[i / 2][15] += 1; // i = 1: scene 2, which is there from now on
        if (i == 1 || i == 7) r.layout.scene_count++;
        assert_int_equal(nm_sampler_begin(r.sampler, &r.layout, r.clean, r.values, r.delay, &error), NM_OK);
        const uint64_t layout = nm_sampler_get(r.sampler).in.layout;
        assert_int_equal(layout != last, i % 2);
        last = layout;
    }
    finish(&r);
}

/// Two tokens of an agent with one number would get the same noise.
static void frames_must_rise(void **state) {
    (void)state;
    nm_sampler_config config = small(2);
    run r;
    nm_error error;
    start(&r, 2, 5, "full", &config);
    uint32_t frame[16];
    for (uint32_t n = 0; n < 16; n++) frame[n] = 7 + r.layout.time[n];
    r.layout.frame = frame;
    assert_int_equal(nm_sampler_begin(r.sampler, &r.layout, r.clean, r.values, r.delay, &error), NM_OK);
    frame[6] = frame[5];
    assert_int_equal(nm_sampler_begin(r.sampler, &r.layout, r.clean, r.values, r.delay, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "token 6 (scene 0, agent 1, time 2) does not come after"));
    finish(&r);
}

static void bad_input_is_refused(void **state) {
    (void)state;
    nm_error error;
    nm_sampler *sampler;
    for (int i = 0; i < 7; i++) {
        nm_sampler_config config = small(2);
        if (i == 0) config.max_tokens = 0;
        if (i == 1) config.max_scenes = 0;
        if (i == 2) config.channels = 65;
        if (i == 3) config.levels = 4096;
        if (i == 4) config.clip = NAN;
        if (i == 5) config.solver = (nm_solver)3;
        if (i == 6) config.levels = 0;
        assert_int_equal(nm_sampler_create(&config, &sampler, &error), NM_E_ARGUMENT);
        assert_null(sampler);
    }
    nm_sampler_config config = small(2);
    run r;
    start(&r, 2, 5, "full", &config);
    uint32_t *scene = (uint32_t *)r.layout.scene, *time = (uint32_t *)r.layout.time,
             *agent = (uint32_t *)r.layout.agent;
    struct {
        uint32_t *at, value;
        const char *says;
    } cases[] = {
        {&scene[9], 2, "token 9 is of scene 2, of 2"},
        {&scene[3], 1, "token 4 (scene 0"},
        {&time[2], 1, "token 2 (scene 0, agent 0, time 1) does not come after"},
        {&agent[4], 0, "token 4"},
        {&time[15], NM_NOISE_MAX_FRAME + 1, "token 15 is of frame 1048576"},
        {&r.layout.count, 65, "65 tokens of 2 scenes; the sampler was made for 64 of 8"},
        {&r.layout.scene_count, 9, "16 tokens of 9 scenes"},
        {(uint32_t *)&r.delay[5], UINT32_MAX, "token 5 has delay -1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t kept = *cases[i].at;
        *cases[i].at = cases[i].value;
        const nm_status status = nm_sampler_begin(r.sampler, &r.layout, r.clean, r.values, r.delay, &error);
        assert_int_equal(status, i == 5 || i == 6 ? NM_E_LIMIT : NM_E_ARGUMENT);
        if (!strstr(error.message, cases[i].says)) fail_msg("case %d: %s", (int)i, error.message);
        *cases[i].at = kept;
    }
    r.values[8 * 2 + 1] = INFINITY;
    assert_int_equal(nm_sampler_begin(r.sampler, &r.layout, r.clean, r.values, r.delay, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "token 8"));
    r.layout.count = r.layout.scene_count = 0;
    assert_int_equal(nm_sampler_begin(r.sampler, &r.layout, r.clean, r.values, r.delay, &error), NM_OK);
    step(&r);
    finish(&r);

    nm_solver solver;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(nm_solver_parse(nm_solver_name((nm_solver)i), &solver, &error), NM_OK);
        assert_int_equal(solver, i);
    }
    assert_int_equal(nm_solver_parse("euler", &solver, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "no solver \"euler\"; known are ancestral, ddim, 2m"));
}

/// Predicts every token from itself alone, so that only its own noise bears on it.
static nm_status hermit(void *context, const nm_denoise_input *in, float *v, nm_error *error) {
    (void)context;
    (void)error;
    for (uint32_t i = 0; i < in->count * in->channels; i++) v[i] = 0.4f * in->noised[i];
    return NM_OK;
}

enum { PEOPLE = 4, DAYS = 3 };

/// Tokens of `count` agents of one scene with these ids.
typedef struct people {
    uint32_t scene[PEOPLE * DAYS], agent[PEOPLE * DAYS], time[PEOPLE * DAYS], id[PEOPLE * DAYS];
    uint64_t key;
} people;
static nm_token_layout layout_of(people *p, uint32_t count, const uint32_t *ids) {
    p->key = 5;
    for (uint32_t n = 0; n < count * DAYS; n++) {
        p->scene[n] = 0;
        p->agent[n] = n / DAYS;
        p->time[n] = n % DAYS;
        p->id[n] = ids[n / DAYS];
    }
    return (nm_token_layout){.count = count * DAYS,
                             .scene_count = 1,
                             .scene = p->scene,
                             .agent = p->agent,
                             .time = p->time,
                             .agent_id = p->id,
                             .scene_key = &p->key};
}

/// z of agent `a` of one sampler is that of agent `b` of the other, bit for bit.
static void check_same_agent(const nm_sampler *one, uint32_t a, const nm_sampler *other, uint32_t b) {
    const float *first = nm_sampler_get(one).in.noised, *second = nm_sampler_get(other).in.noised;
    assert_memory_equal(first + a * DAYS * 3, second + b * DAYS * 3, DAYS * 3 * sizeof *first);
}

/// Agents change their places as others come nearer or leave; their noise, first and later, goes with them.
static void noise_belongs_to_the_agent_and_not_to_its_place(void **state) {
    (void)state;
    const nm_sampler_config config = small(3);
    const nm_denoiser denoiser = {NULL, hermit};
    const uint32_t ids[PEOPLE] = {40, 7, 900, 3}, turned[PEOPLE] = {900, 40, 3, 7}, fewer[PEOPLE - 1] = {40, 900, 3};
    const uint8_t clean[PEOPLE * DAYS] = {0};
    people memory[3];
    const nm_token_layout layouts[3] = {layout_of(&memory[0], PEOPLE, ids), layout_of(&memory[1], PEOPLE, turned),
                                        layout_of(&memory[2], PEOPLE - 1, fewer)};
    nm_sampler *s[3];
    nm_error error;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(nm_sampler_create(&config, &s[i], &error), NM_OK);
        assert_int_equal(nm_sampler_begin(s[i], &layouts[i], clean, NULL, NULL, &error), NM_OK);
        float noise[4]; // of agent 40 at time 1
        const nm_rng_key key = {config.seed, 5, 40, nm_noise_step(1, config.levels), NM_PURPOSE_NOISE};
        nm_rng_normal4(&key, 0, noise);
        const size_t at = (i == 1 ? 1 * DAYS + 1 : 1) * 3;
        assert_memory_equal(nm_sampler_get(s[i]).in.noised + at, noise, 3 * sizeof(float));
    }
    static const uint32_t place[PEOPLE] = {1, 3, 0, 2}; // among the turned
    for (uint32_t pass = 0; pass < 4; pass++) {
        for (uint32_t a = 0; a < PEOPLE; a++) {
            check_same_agent(s[0], a, s[1], place[a]);
            if (a != 1) check_same_agent(s[0], a, s[2], a - (a > 1));
        }
        for (int i = 0; i < 3; i++) assert_int_equal(nm_sampler_step(s[i], &denoiser, NULL, NULL, &error), NM_OK);
    }
    const uint32_t left[PEOPLE - 1] = {3, 40, 900}, from[(PEOPLE - 1) * DAYS] = {6, 7, 8, 3, 4, 5, 0, 1, 2};
    people rest; // of the turned, one leaves and two change places
    const nm_token_layout layout = layout_of(&rest, PEOPLE - 1, left);
    assert_int_equal(nm_sampler_rearrange(s[1], &layout, from, NULL, NULL, &error), NM_OK);
    while (nm_sampler_remaining(s[0])) {
        for (int i = 0; i < 3; i++) assert_int_equal(nm_sampler_step(s[i], &denoiser, NULL, NULL, &error), NM_OK);
        check_same_agent(s[0], 0, s[1], 1);
        check_same_agent(s[0], 2, s[1], 2);
        check_same_agent(s[0], 3, s[1], 0);
        check_same_agent(s[0], 2, s[2], 1);
    }
    for (int i = 0; i < 3; i++) nm_sampler_destroy(s[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_follow_the_schedule_and_clean_tokens_stay),
        cmocka_unit_test(passes_say_what_they_move),
        cmocka_unit_test(solvers_are_the_published_ones),
        cmocka_unit_test(scenes_do_not_depend_on_the_batch),
        cmocka_unit_test(an_overwritten_token_is_seen_by_the_next_pass),
        cmocka_unit_test(news_make_the_solver_forget),
        cmocka_unit_test(given_newcomers_make_the_solver_forget),
        cmocka_unit_test(a_failed_pass_changes_nothing),
        cmocka_unit_test(values_that_would_overflow_are_refused),
        cmocka_unit_test(guidance_changes_x0_but_no_clean_token),
        cmocka_unit_test(rearranging_keeps_what_goes_on),
        cmocka_unit_test(noise_belongs_to_the_agent_and_not_to_its_place),
        cmocka_unit_test(another_layout_has_another_number),
        cmocka_unit_test(frames_must_rise),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
