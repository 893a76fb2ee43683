/// With a perfect denoiser, what is sampled must be distributed as the world is: mean, covariance over time and agents,
/// shape. For every schedule and solver, with some tokens given.
///
/// Tolerances: 4 standard errors plus the solver's bias. The bias was measured with 20,000 scenes at S = 64, where it
/// is, over the five schedules, 0.028-0.037 for ancestral, 0.015-0.020 for DDIM and under 0.005 for 2M, in units where
/// a variance is 0.36; it halves with every doubling of S for the first two and falls faster for 2M.
#include "gaussian.h"

#define SCENES 1200
#define CHANNELS 2
#define SAMPLES (SCENES * CHANNELS)
#define SIZE 8

typedef struct statistics {
    double mean[SIZE], covariance[SIZE][SIZE];
    double across; ///< largest correlation of one channel with the other
    double inside; ///< largest deviation from the normal law of the share within one standard deviation
} statistics;

static void measure(const float *z, statistics *s) {
    memset(s, 0, sizeof *s);
    for (int i = 0; i < SCENES; i++) {
        for (int a = 0; a < SIZE; a++) {
            for (int c = 0; c < CHANNELS; c++) s->mean[a] += (double)z[(i * SIZE + a) * CHANNELS + c] / SAMPLES;
        }
    }
    double across[SIZE] = {0}, inside[SIZE] = {0};
    for (int i = 0; i < SCENES; i++) {
        const float *row = z + i * SIZE * CHANNELS;
        for (int a = 0; a < SIZE; a++) {
            const double x = (double)row[a * CHANNELS] - s->mean[a], y = (double)row[a * CHANNELS + 1] - s->mean[a];
            across[a] += x * y / SCENES;
            for (int b = 0; b < SIZE; b++) {
                s->covariance[a][b] +=
                    (x * ((double)row[b * CHANNELS] - s->mean[b]) + y * ((double)row[b * CHANNELS + 1] - s->mean[b])) /
                    (SAMPLES - 1);
            }
        }
    }
    for (int i = 0; i < SCENES * SIZE * CHANNELS; i++) {
        const int a = i / CHANNELS % SIZE;
        inside[a] += fabs((double)z[i] - s->mean[a]) < sqrt(s->covariance[a][a]) ? 1.0 / SAMPLES : 0.0;
    }
    for (int a = 0; a < SIZE; a++) {
        if (s->covariance[a][a] < 1e-12) continue; // given
        s->across = fmax(s->across, fabs(across[a] / s->covariance[a][a]));
        s->inside = fmax(s->inside, fabs(inside[a] - 0.6826894921));
    }
}

static void sample(const gaussian *g, nm_solver solver, const char *name, uint32_t levels, uint64_t seed,
                   statistics *out, double *expected_mean, double expected[GAUSSIAN_MOST][GAUSSIAN_MOST]) {
    nm_token_layout layout = gaussian_layout(g, SCENES, 1000);
    uint8_t *clean = calloc(layout.count, 1);
    float *values = calloc(layout.count * CHANNELS, sizeof *values), given[SIZE] = {0};
    int32_t *delay = calloc(layout.count, sizeof *delay);
    for (uint32_t n = 0; n < layout.count; n++) {
        clean[n] = layout.time[n] == 0 || n % SIZE == 7; // history, and a goal of the second agent
        if (n < SIZE && clean[n]) given[n] = n == 0 ? -0.4f : n == 7 ? 1.1f : 0.9f;
        for (int c = 0; c < CHANNELS; c++) values[n * CHANNELS + c] = given[n % SIZE];
    }
    gaussian_condition(g, clean, given, expected_mean, expected);
    nm_error error;
    nm_schedule schedule;
    assert_int_equal(nm_schedule_parse(name, &schedule, &error), NM_OK);
    schedule.slope = levels / 8.0; // of those that have one: overlapping by half and more
    nm_schedule_delays(&schedule, levels, layout.count, layout.time, 1, g->times, NULL, delay);

    nm_sampler_config config = nm_sampler_config_default();
    config.max_tokens = layout.count;
    config.max_scenes = SCENES;
    config.channels = CHANNELS;
    config.levels = levels;
    config.solver = solver;
    config.seed = seed;
    nm_sampler *sampler;
    gaussian copy = *g;
    const nm_denoiser denoiser = {&copy, gaussian_predict};
    if (nm_sampler_create(&config, &sampler, &error) ||
        nm_sampler_begin(sampler, &layout, clean, values, delay, &error) ||
        nm_sampler_run(sampler, &denoiser, NULL, NULL, &error)) {
        fail_msg("%s", error.message);
    }
    measure(nm_sampler_get(sampler).in.noised, out);
    nm_sampler_destroy(sampler);
    gaussian_layout_free(&layout);
    free(clean);
    free(values);
    free(delay);
}

static double worst(const statistics *got, double expected[GAUSSIAN_MOST][GAUSSIAN_MOST]) {
    double most = 0.0;
    for (int a = 0; a < SIZE; a++) {
        for (int b = 0; b < SIZE; b++) most = fmax(most, fabs(got->covariance[a][b] - expected[a][b]));
    }
    return most;
}

static void check(const statistics *got, const double *mean, double expected[GAUSSIAN_MOST][GAUSSIAN_MOST], double bias,
                  const char *what) {
    for (int a = 0; a < SIZE; a++) {
        const double error = fabs(got->mean[a] - mean[a]);
        if (error > 4.0 * sqrt(expected[a][a] / SAMPLES) + 0.1 * bias + 1e-6)
            fail_msg("%s: mean of token %d is off by %g", what, a, error);
        for (int b = 0; b < SIZE; b++) {
            const double product = expected[a][a] * expected[b][b] + expected[a][b] * expected[a][b];
            const double off = fabs(got->covariance[a][b] - expected[a][b]);
            if (off > 4.0 * sqrt(product / SAMPLES) + bias + 1e-6)
                fail_msg("%s: covariance of tokens %d, %d is off by %g", what, a, b, off);
        }
    }
    if (got->across > 4.0 / sqrt(SCENES)) fail_msg("%s: channels correlate by %g", what, got->across);
    if (got->inside > 4.0 * sqrt(0.683 * 0.317 / SAMPLES)) fail_msg("%s: not normal, by %g", what, got->inside);
}

static void sampled_scenes_have_the_law_of_the_world(void **state) {
    (void)state;
    static const char *const schedules[] = {"full", "ar", "pyramid", "trapezoid", "block:2"};
    static const double bias[] = {0.035, 0.020, 0.008};
    gaussian g;
    gaussian_init(&g, 2, 4);
    for (int solver = 0; solver < 3; solver++) {
        for (int i = 0; i < 5; i++) {
            double mean[GAUSSIAN_MOST], expected[GAUSSIAN_MOST][GAUSSIAN_MOST];
            const uint64_t seed = (uint64_t)(10 * solver + i);
            char what[64];
            snprintf(what, sizeof what, "%s, %s", nm_solver_name((nm_solver)solver), schedules[i]);
            statistics fine, coarse;
            sample(&g, (nm_solver)solver, schedules[i], 64, seed, &fine, mean, expected);
            check(&fine, mean, expected, bias[solver], what);
            sample(&g, (nm_solver)solver, schedules[i], 4, seed, &coarse, mean, expected);
            const double few = worst(&coarse, expected), many = worst(&fine, expected);
            if (!(many < 0.5 * few)) fail_msg("%s: error %g with 4 levels, %g with 64", what, few, many);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sampled_scenes_have_the_law_of_the_world)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
