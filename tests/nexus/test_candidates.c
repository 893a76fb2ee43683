/// Candidates: weights are what they should be, resampling prefers nobody, and what is chosen has the law that the
/// energy asks for.
#include "nexus/candidates.h"

#include "sampler_run.h"

// ---------------------------------------------------------------------------------------------------------------------
// Weights

static void weights_are_exact(void **state) {
    (void)state;
    static const struct {
        uint32_t count;
        double logs[4], weights[4], effective;
    } cases[] = {
        {4, {0, 0, 0, 0}, {0.25, 0.25, 0.25, 0.25}, 4.0},
        {3, {-1000.0, -1000.0 + 0.6931471805599453, -1000.0}, {0.25, 0.5, 0.25}, 1.0 / 0.375},
        {2, {1e6, -1e6}, {1.0, 0.0}, 1.0},
        {4, {0.0, 1.0986122886681098, 0.0, -1e300}, {0.2, 0.6, 0.2, 0.0}, 1.0 / 0.44},
        {1, {123.0}, {1.0}, 1.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        double weights[4];
        const double effective = nm_candidate_weights(cases[i].count, cases[i].logs, weights);
        assert_float_equal(effective, cases[i].effective, 1e-9);
        for (uint32_t k = 0; k < cases[i].count; ++k) assert_float_equal(weights[k], cases[i].weights[k], 1e-10);
    }
}

static void draws_follow_the_weights(void **state) {
    (void)state;
    static const double weights[4] = {0.125, 0.0, 0.5, 0.375};
    uint32_t times[4] = {0};
    for (int i = 0; i < 1000; ++i) times[nm_candidate_draw(4, weights, (i + 0.5) / 1000.0)]++;
    assert_int_equal(times[0], 125);
    assert_int_equal(times[1], 0);
    assert_int_equal(times[2], 500);
    assert_int_equal(times[3], 375);
    assert_int_equal(nm_candidate_draw(4, weights, 0.0), 0);
    static const double rounded[3] = {0.3, 0.3, 0.0}; // a sum that rounding left below u
    assert_int_equal(nm_candidate_draw(3, rounded, 0.99), 1);
}

static void resampling_prefers_nobody(void **state) {
    (void)state;
    static const double sets[][5] = {{0.2, 0.2, 0.2, 0.2, 0.2},
                                     {0.05, 0.6, 0.05, 0.25, 0.05},
                                     {0.0, 0.0, 1.0, 0.0, 0.0},
                                     {0.31, 0.3, 0.2, 0.19, 0.0}};
    enum { DRAWS = 4000 };
    for (size_t s = 0; s < sizeof sets / sizeof *sets; ++s) {
        double mean[5] = {0};
        for (int i = 0; i < DRAWS; ++i) {
            uint32_t from[5], times[5] = {0};
            nm_candidate_resample(5, sets[s], (i + 0.5) / DRAWS, from);
            for (int k = 0; k < 5; ++k) times[from[k]]++;
            for (int k = 0; k < 5; ++k) {
                const double expected = 5.0 * sets[s][k];
                assert_true(times[k] >= floor(expected - 1e-9) && times[k] <= ceil(expected + 1e-9));
                if (times[k]) assert_int_equal(from[k], k); // keeps its place
                mean[k] += times[k] / (double)DRAWS;
            }
        }
        for (int k = 0; k < 5; ++k) assert_float_equal(mean[k], 5.0 * sets[s][k], 2e-3);
    }
}

static void keys_tell_candidates_apart(void **state) {
    (void)state;
    assert_true(nm_candidate_key(77, 0) == 77);
    uint64_t seen[2 * 8];
    for (uint32_t i = 0; i < 16; ++i) {
        seen[i] = nm_candidate_key(77 + i / 8, i % 8);
        for (uint32_t k = 0; k < i; ++k) assert_true(seen[i] != seen[k]);
    }
}

static nm_status nothing(void *context, const nm_denoise_input *in, const float *x0, double *energy, nm_error *error) {
    (void)x0, (void)error;
    for (uint32_t i = 0; i < in->scene_count; ++i) energy[i] = 7.5;
    if (context) ++*(int *)context;
    return NM_OK;
}

static void configurations_that_can_not_be_are_refused(void **state) {
    (void)state;
    nm_error error;
    const nm_candidates_config good = {.count = 4, .first = 0.25, .last = 0.5, .temperature = 1.0, .energy = nothing};
    assert_int_equal(nm_candidates_config_check(&good, &error), NM_OK);
    nm_candidates_config wrong[8];
    for (int i = 0; i < 8; ++i) wrong[i] = good;
    wrong[0].count = 0;
    wrong[1].count = NM_CANDIDATES_MOST + 1;
    wrong[2].first = -0.1;
    wrong[3].first = 0.6;
    wrong[4].last = 1.1;
    wrong[5].temperature = 0.0;
    wrong[6].energy = NULL;
    wrong[7].last = (double)NAN;
    for (int i = 0; i < 8; ++i) {
        nm_candidates *candidates = (nm_candidates *)&error;
        assert_int_equal(nm_candidates_create(&wrong[i], 2, 0, &candidates, &error), NM_E_ARGUMENT);
        assert_null(candidates);
    }
    nm_candidate_choice choice;
    assert_int_equal(nm_candidate_choice_parse("best", &choice, &error), NM_OK);
    assert_int_equal(choice, NM_CHOOSE_BEST);
    assert_int_equal(nm_candidate_choice_parse("worst", &choice, &error), NM_E_ARGUMENT);
}

static void costs_are_counted_in_passes_over_a_scene(void **state) {
    (void)state;
    nm_candidates_config c = nm_candidates_config_default();
    assert_int_equal(nm_candidates_cost(&c, 17), 17);
    c.count = 4;
    assert_int_equal(nm_candidates_cost(&c, 17), 68);
    c.first = c.last = 0.5;
    assert_int_equal(nm_candidates_cost(&c, 16), 4 * 8 + 8);
    assert_int_equal(nm_candidates_cost(&c, 17), 4 * 9 + 8);
    c.first = c.last = 0.0;
    assert_int_equal(nm_candidates_cost(&c, 17), 4 + 16);
}

// ---------------------------------------------------------------------------------------------------------------------
// Whole runs, in a world of known law: the last token of the second agent is what energies look at.

enum { WATCHED = 7, SIZE = 8 };

static nm_status tilt(void *context, const nm_denoise_input *in, const float *x0, double *energy, nm_error *error) {
    (void)error;
    for (uint32_t i = 0; i < in->scene_count; ++i)
        energy[i] = -*(const double *)context * (double)x0[((size_t)i * SIZE + WATCHED) * in->channels];
    return NM_OK;
}

typedef struct law {
    double mean, variance; ///< of the watched token of the chosen ones
    double effective;      ///< mean
    uint32_t chosen[64];   ///< how often each was
    uint32_t resampled;
} law;

enum { FUTURES = 1000 };

static law sample(const nm_candidates_config *config, nm_solver solver, const char *schedule, uint64_t seed) {
    nm_sampler_config s = small(1);
    s.max_scenes = FUTURES * config->count;
    s.max_tokens = s.max_scenes * SIZE;
    s.solver = solver;
    s.seed = seed;
    run r;
    start(&r, s.max_scenes, 5000, schedule, &s);
    nm_error error;
    nm_candidates *c;
    uint64_t keys[FUTURES];
    int chosen = 0;
    law out = {0};
    for (uint32_t i = 0; i < FUTURES; ++i) keys[i] = 100 + i;
    assert_int_equal(nm_candidates_create(config, FUTURES, seed, &c, &error), NM_OK);
    nm_candidates_begin(c, keys, FUTURES, (uint64_t)nm_sampler_remaining(r.sampler));
    while (nm_sampler_remaining(r.sampler) > 0) {
        step(&r);
        if (!chosen) assert_int_equal(nm_candidates_after_pass(c, r.sampler, &chosen, &error), NM_OK);
    }
    assert_true(chosen);
    const float *z = nm_sampler_get(r.sampler).in.noised;
    double squares = 0.0;
    for (uint32_t i = 0; i < FUTURES; ++i) {
        const nm_candidate_report *report = nm_candidates_report(c, i);
        const double x = (double)z[((size_t)i * config->count + report->chosen) * SIZE + WATCHED];
        out.mean += x / FUTURES;
        squares += x * x / FUTURES;
        out.effective += report->effective / FUTURES;
        out.chosen[report->chosen]++;
        out.resampled += report->resampled;
    }
    out.variance = squares - out.mean * out.mean;
    nm_candidates_destroy(c);
    finish(&r);
    return out;
}

/// Mean and variance of the watched token without candidates, of 8000 scenes: few levels make another Gaussian of the
/// world's.
static void plain(nm_solver solver, const char *schedule, double *mean, double *variance) {
    enum { MANY = 8000 };
    nm_sampler_config s = small(1);
    nm_error error;
    s.max_scenes = MANY;
    s.max_tokens = MANY * SIZE;
    s.solver = solver;
    s.seed = 99;
    run r;
    start(&r, MANY, 1, schedule, &s);
    assert_int_equal(nm_sampler_run(r.sampler, &r.denoiser, NULL, NULL, &error), NM_OK);
    const float *z = nm_sampler_get(r.sampler).in.noised;
    double squares = 0.0;
    *mean = 0.0;
    for (size_t i = 0; i < MANY; ++i) {
        const double x = (double)z[i * SIZE + WATCHED];
        *mean += x / MANY;
        squares += x * x / MANY;
    }
    *variance = squares - *mean * *mean;
    finish(&r);
}

static void a_constant_energy_changes_nothing(void **state) {
    (void)state;
    double mean, variance;
    plain(NM_SOLVER_DDIM, "full", &mean, &variance);
    const nm_candidates_config config = {.count = 4, .first = 0.0, .last = 1.0, .temperature = 1.0, .energy = nothing};
    const law got = sample(&config, NM_SOLVER_DDIM, "pyramid:3", 3);
    assert_float_equal(got.mean, mean, 4.0 * sqrt(variance * (1.0 / FUTURES + 1.0 / 8000.0)));
    assert_float_equal(got.variance, variance, 4.0 * variance * sqrt(2.0 / FUTURES + 2.0 / 8000.0));
    assert_float_equal(got.effective, 4.0, 1e-12);
    assert_int_equal(got.resampled, 0);
    double chi2 = 0.0;
    for (int k = 0; k < 4; ++k) chi2 += pow(got.chosen[k] - FUTURES / 4.0, 2.0) / (FUTURES / 4.0);
    assert_true(chi2 < 16.27); // 3 degrees of freedom, 0.1 %
}

/// exp(b x) times a Gaussian is the Gaussian moved by b times its variance: with the choice at the end, with resampling
/// on the way (the energy counts once), at half the temperature (twice the move).
static void a_tilt_moves_the_mean_as_it_should(void **state) {
    (void)state;
    static const struct {
        const char *schedule;
        nm_solver solver;
        double first, temperature, move; ///< move in deviations
    } runs[] = {{"full", NM_SOLVER_DDIM, 1.0, 1.0, 1.0},
                {"full", NM_SOLVER_ANCESTRAL, 0.0, 1.0, 1.0},
                {"pyramid:3", NM_SOLVER_DDIM, 0.3, 1.0, 1.0},
                {"full", NM_SOLVER_ANCESTRAL, 1.0, 2.0, 0.5}};
    for (size_t i = 0; i < sizeof runs / sizeof *runs; ++i) {
        double mean, variance;
        plain(runs[i].solver, runs[i].schedule, &mean, &variance);
        double b = 1.0 / sqrt(variance);
        const nm_candidates_config config = {.count = 24,
                                             .first = runs[i].first,
                                             .last = 1.0,
                                             .temperature = runs[i].temperature,
                                             .energy = tilt,
                                             .context = &b};
        const law got = sample(&config, runs[i].solver, runs[i].schedule, 10 + i);
        // 24 weights with a deviation of 1 in their logarithm: the mean of the chosen falls short by about (e - 1) / 24
        const double off = (got.mean - mean) / sqrt(variance) - runs[i].move;
        if (fabs(off + 0.04 * runs[i].move) > 4.0 / sqrt(FUTURES) + 0.05)
            fail_msg("%s, window from %g: off by %g deviations", runs[i].schedule, runs[i].first, off);
        assert_true(got.effective > 6.0 && got.effective < 23.0);
        if (runs[i].first == 1.0) assert_int_equal(got.resampled, 0);
    }
}

static void the_best_is_the_one_of_least_energy(void **state) {
    (void)state;
    double mean, variance, b = 1.0;
    plain(NM_SOLVER_DDIM, "full", &mean, &variance);
    const nm_candidates_config config = {.count = 8,
                                         .first = 0.0,
                                         .last = 1.0,
                                         .choice = NM_CHOOSE_BEST,
                                         .temperature = 1.0,
                                         .energy = tilt,
                                         .context = &b};
    const law got = sample(&config, NM_SOLVER_DDIM, "full", 4);
    // the largest of eight normals is 1.4236 deviations above the mean, with a variance of 0.3729
    assert_float_equal((got.mean - mean) / sqrt(variance), 1.4236, 4.0 * sqrt(0.3729 / FUTURES) + 0.05);
    assert_int_equal(got.resampled, 0);
}

/// Candidates of no weight are replaced; a copy has the finished tokens of whom it copies, and its own noise where
/// nothing has happened yet.
static nm_status only_second(void *context, const nm_denoise_input *in, const float *x0, double *energy,
                             nm_error *error) {
    (void)context, (void)x0, (void)error;
    for (uint32_t i = 0; i < in->scene_count; ++i) energy[i] = i % 4 == 1 ? -500.0 : 500.0;
    return NM_OK;
}

static void copies_share_what_is_done_and_keep_their_noise(void **state) {
    (void)state;
    nm_sampler_config s = small(1);
    run r;
    start(&r, 4, 1, "ar", &s);
    const nm_candidates_config config = {
        .count = 4, .first = 0.0, .last = 1.0, .temperature = 1.0, .energy = only_second};
    nm_candidates *c;
    nm_error error;
    const uint64_t key = 9;
    float noise[4 * SIZE];
    int chosen;
    assert_int_equal(nm_candidates_create(&config, 1, 0, &c, &error), NM_OK);
    nm_candidates_begin(c, &key, 1, (uint64_t)nm_sampler_remaining(r.sampler));
    memcpy(noise, nm_sampler_get(r.sampler).in.noised, sizeof noise);
    step(&r);
    assert_int_equal(nm_candidates_after_pass(c, r.sampler, &chosen, &error), NM_OK);
    assert_int_equal(chosen, 0);
    assert_int_equal(nm_candidates_report(c, 0)->resampled, 1);
    const nm_sampler_state now = nm_sampler_get(r.sampler);
    for (uint32_t n = 0; n < SIZE; ++n) {
        for (uint32_t k = 0; k < 4; ++k) {
            const float value = now.in.noised[k * SIZE + n];
            if (now.step[n] == now.levels) // not begun
                assert_true(value == noise[k * SIZE + n]);
            else
                assert_true(value == now.in.noised[SIZE + n]);
        }
    }
    nm_candidates_destroy(c);
    finish(&r);
}

static nm_status broken(void *context, const nm_denoise_input *in, const float *x0, double *energy, nm_error *error) {
    (void)context, (void)x0, (void)error;
    for (uint32_t i = 0; i < in->scene_count; ++i) energy[i] = i == 3 ? (double)NAN : 0.0;
    return NM_OK;
}

static void energies_that_are_no_numbers_end_a_run(void **state) {
    (void)state;
    nm_sampler_config s = small(1);
    run r;
    start(&r, 4, 1, "full", &s);
    nm_candidates_config config = {.count = 2, .first = 0.0, .last = 0.0, .temperature = 1.0, .energy = broken};
    nm_candidates *c;
    nm_error error;
    const uint64_t keys[2] = {9, 10};
    int chosen, calls = 0;
    assert_int_equal(nm_candidates_create(&config, 2, 0, &c, &error), NM_OK);
    nm_candidates_begin(c, keys, 2, 12);
    step(&r);
    assert_int_equal(nm_candidates_after_pass(c, r.sampler, &chosen, &error), NM_E_NUMERIC);
    assert_string_equal(error.message, "the energy of candidate 1 of future 1 is not finite");
    nm_candidates_destroy(c);
    config.energy = nothing; // asked in the window only
    config.context = &calls;
    config.first = 0.5;
    config.last = 0.75;
    assert_int_equal(nm_candidates_create(&config, 2, 0, &c, &error), NM_OK);
    nm_candidates_begin(c, keys, 2, 12);
    for (int pass = 1; pass <= 9; ++pass) {
        assert_int_equal(nm_candidates_after_pass(c, r.sampler, &chosen, &error), NM_OK);
        assert_int_equal(chosen, pass == 9);
        assert_int_equal(calls, pass < 6 ? 0 : pass - 5);
    }
    nm_candidates_destroy(c);
    finish(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_exact),
        cmocka_unit_test(draws_follow_the_weights),
        cmocka_unit_test(resampling_prefers_nobody),
        cmocka_unit_test(keys_tell_candidates_apart),
        cmocka_unit_test(configurations_that_can_not_be_are_refused),
        cmocka_unit_test(costs_are_counted_in_passes_over_a_scene),
        cmocka_unit_test(a_constant_energy_changes_nothing),
        cmocka_unit_test(a_tilt_moves_the_mean_as_it_should),
        cmocka_unit_test(the_best_is_the_one_of_least_energy),
        cmocka_unit_test(copies_share_what_is_done_and_keep_their_noise),
        cmocka_unit_test(energies_that_are_no_numbers_end_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
