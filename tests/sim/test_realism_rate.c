/// From values to likelihoods: every rule with numbers that can be worked out by hand.
#include "support.h"

#include "sim/metrics/realism.h"

#define SAMPLES 4u
#define STEPS 5u

/// Values of up to two agents, all 0, all valid, all vehicles.
typedef struct made {
    nm_realism_values v;
    uint32_t track[2];
    uint8_t vehicle[2], valid[2 * STEPS];
    float series[NM_REALISM_FEATURE_COUNT][(1 + SAMPLES) * 2 * STEPS];
    uint8_t flag[NM_REALISM_FEATURE_COUNT][(1 + SAMPLES) * 2];
    float displacement[SAMPLES * 2];
} made;

static made *make(uint32_t agents, uint32_t steps) {
    made *m = calloc(1, sizeof *m);
    m->v = (nm_realism_values){.samples = SAMPLES,
                               .agents = agents,
                               .steps = steps,
                               .track = m->track,
                               .vehicle = m->vehicle,
                               .valid = m->valid,
                               .displacement = m->displacement};
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; f++) {
        if (nm_realism_feature_flag((nm_realism_feature)f))
            m->v.flag[f] = m->flag[f];
        else
            m->v.series[f] = m->series[f];
    }
    memset(m->vehicle, 1, sizeof m->vehicle);
    memset(m->valid, 1, sizeof m->valid);
    return m;
}

/// Ten bins of 0.1 from 0, no smoothing, for all time series; weights 1.
static nm_realism_config plain(void) {
    nm_realism_config config = nm_realism_config_of(NM_REALISM_2025);
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; f++) {
        config.feature[f].smoothing = 0.0;
        config.feature[f].weight = 1.0;
        config.feature[f].min = 0.0, config.feature[f].max = 1.0, config.feature[f].bins = 10;
    }
    return config;
}

static nm_realism rate(const made *m, const nm_realism_config *config) {
    nm_realism out;
    nm_error error = {0};
    if (nm_realism_rate(&m->v, config, &out, &error) != NM_OK) fail_msg("%s", error.message);
    return out;
}

#define EDGE NM_REALISM_ROAD_EDGE_DISTANCE // scored wherever valid

static void test_histogram(void **state) {
    (void)state;
    made *m = make(1, 1);
    nm_realism_config config = plain();
    float *series = m->series[EDGE];
    const float samples[4] = {0.05f, 0.15f, 0.25f, 0.25f};
    memcpy(series + 1, samples, sizeof samples);
    static const struct {
        float recorded;
        double expected;
    } cases[] = {{0.05f, 0.25}, {0.1f, 0.25}, {0.2f, 0.5}, {0.29f, 0.5}, {0.3f, 0.0}, {-7.0f, 0.25}, {7.0f, 0.0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        series[0] = cases[i].recorded;
        assert_float_equal(rate(m, &config).likelihood[EDGE], cases[i].expected, 1e-12);
    }
    series[0] = 0.5f; // (0 + 0.1) / (4 + 10 * 0.1)
    config.feature[EDGE].smoothing = 0.1;
    assert_float_equal(rate(m, &config).likelihood[EDGE], 0.1 / 5.0, 1e-9);
    config.feature[EDGE].smoothing = 0.0;
    series[2] = NAN; // in the highest bin, where the end of the range lies, too
    series[0] = 1.0f;
    assert_float_equal(rate(m, &config).likelihood[EDGE], 0.25, 1e-12);
    series[3] = 12.0f;
    assert_float_equal(rate(m, &config).likelihood[EDGE], 0.5, 1e-12);
    free(m);
}

/// Distributions of steps and agents, apart or together. Sample r of agent a at step k is 0.1 (a + 2 k) + 0.05.
static void test_pools(void **state) {
    (void)state;
    made *m = make(2, 2);
    for (uint32_t slot = 0; slot <= SAMPLES; slot++) {
        for (uint32_t a = 0; a < 2; a++) {
            for (uint32_t k = 0; k < 2; k++)
                m->series[EDGE][(slot * 2 + a) * 2 + k] = 0.1f * (float)(a + 2 * k) + 0.05f;
        }
    }
    for (int together = 0; together < 2; together++) {
        for (int independent = 0; independent < 2; independent++) {
            nm_realism_config config = plain();
            config.feature[EDGE].independent = independent;
            config.feature[EDGE].aggregate_agents = together;
            double expected = (together ? 0.5 : 1.0) * (independent ? 0.5 : 1.0);
            assert_float_equal(rate(m, &config).likelihood[EDGE], expected, 1e-12);
        }
    }
    m->valid[1] = 0; // masks the recording, not the pools
    nm_realism_config config = plain();
    m->series[EDGE][1] = 0.95f;
    assert_float_equal(rate(m, &config).likelihood[EDGE], 0.5, 1e-12);
    // one mean over all scored pairs: 3 of them, one impossible but for the smoothing
    m->series[EDGE][0] = 0.95f;
    config.feature[EDGE].smoothing = 1.0;
    double low = 1.0 / 18.0, high = 5.0 / 18.0;
    assert_float_equal(rate(m, &config).likelihood[EDGE], exp((log(low) + 2.0 * log(high)) / 3.0), 1e-9);
    free(m);
}

static void test_kernel(void **state) {
    (void)state;
    made *m = make(1, 1);
    nm_realism_config config = plain();
    config.feature[EDGE].kind = NM_REALISM_KERNEL;
    config.feature[EDGE].bandwidth = 0.5;
    const float samples[5] = {1.0f, 0.5f, 1.0f, NAN, 3.0f};
    memcpy(m->series[EDGE], samples, sizeof samples);
    assert_float_equal(rate(m, &config).likelihood[EDGE], (exp(-0.5) + 1.0 + exp(-8.0)) / 3.0, 1e-9);
    free(m);
}

static void test_flags(void **state) {
    (void)state;
    static const struct {
        uint8_t recorded, samples[4];
        double expected;
    } cases[] = {{0, {0, 0, 0, 0}, 1.0},
                 {1, {1, 1, 1, 1}, 1.0},
                 {1, {0, 0, 0, 0}, 0.0},
                 {0, {1, 1, 1, 1}, 0.0},
                 {1, {1, 0, 0, 0}, 0.25}};
    made *m = make(1, 1);
    nm_realism_config config = plain();
    uint8_t *flag = m->flag[NM_REALISM_OFF_ROAD];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        flag[0] = cases[i].recorded;
        memcpy(flag + 1, cases[i].samples, 4);
        nm_realism found = rate(m, &config);
        assert_float_equal(found.likelihood[NM_REALISM_OFF_ROAD], cases[i].expected, 1e-12);
        assert_float_equal(found.off_road_rate, (flag[1] + flag[2] + flag[3] + flag[4]) / 4.0, 1e-12);
    }
    config.feature[NM_REALISM_OFF_ROAD].smoothing = 0.001;
    flag[0] = 1;
    memset(flag + 1, 0, 4);
    assert_float_equal(rate(m, &config).likelihood[NM_REALISM_OFF_ROAD], 0.001 / 4.002, 1e-9);
    free(m);
}

/// Which steps are scored: those whose recorded value, when it lies where no sample is, makes the likelihood 0.
static void scored_steps(nm_realism_feature feature, const char *valid, const char *expected) {
    for (uint32_t k = 0; k < STEPS; k++) {
        made *m = make(1, STEPS);
        nm_realism_config config = plain();
        for (uint32_t i = 0; i < STEPS; i++) m->valid[i] = valid[i] == 'T';
        m->series[feature][k] = 0.95f;
        double found = rate(m, &config).likelihood[feature];
        if (!strchr(expected, 'T'))
            assert_true(isnan(found)); // nothing to score at all
        else if ((found == 0.0) != (expected[k] == 'T'))
            fail_msg("%s, valid %s: step %u", nm_realism_feature_name(feature), valid, k);
        free(m);
    }
}

static void test_masks(void **state) {
    (void)state;
    static const char *const speeds[][2] = {
        {"TTTTT", "FTTTF"}, {"FTTFF", "FFFFF"}, {"FTFTF", "FFTFF"}, {"TFTFT", "FTFTF"}};
    static const char *const accelerations[] = {"FFTFF", "FFFFF", "FFFFF", "FFTFF"};
    for (int i = 0; i < 4; i++) {
        scored_steps(NM_REALISM_LINEAR_SPEED, speeds[i][0], speeds[i][1]);
        scored_steps(NM_REALISM_ANGULAR_SPEED, speeds[i][0], speeds[i][1]);
        scored_steps(NM_REALISM_LINEAR_ACCELERATION, speeds[i][0], accelerations[i]);
        scored_steps(NM_REALISM_ANGULAR_ACCELERATION, speeds[i][0], accelerations[i]);
        scored_steps(NM_REALISM_NEAREST_DISTANCE, speeds[i][0], speeds[i][0]);
        scored_steps(NM_REALISM_TIME_TO_COLLISION, speeds[i][0], speeds[i][0]);
        scored_steps(NM_REALISM_ROAD_EDGE_DISTANCE, speeds[i][0], speeds[i][0]);
    }
}

/// Who is no vehicle has no time to collision and runs no red light, but counts in the rate of those.
static void test_vehicles_only(void **state) {
    (void)state;
    made *m = make(2, 1);
    nm_realism_config config = plain();
    m->vehicle[1] = 0;
    m->series[NM_REALISM_TIME_TO_COLLISION][1] = 0.95f;
    memset(m->flag[NM_REALISM_RED_LIGHT], 0, sizeof m->flag[0]);
    m->flag[NM_REALISM_RED_LIGHT][3] = m->flag[NM_REALISM_RED_LIGHT][5] = 1; // samples 0 and 1 of the second agent
    nm_realism found = rate(m, &config);
    assert_float_equal(found.likelihood[NM_REALISM_TIME_TO_COLLISION], 1.0, 1e-12);
    assert_float_equal(found.likelihood[NM_REALISM_RED_LIGHT], 1.0, 1e-12);
    assert_float_equal(found.red_light_rate, 0.25, 1e-12);
    m->vehicle[1] = 1;
    found = rate(m, &config);
    assert_float_equal(found.likelihood[NM_REALISM_TIME_TO_COLLISION], 0.0, 1e-12);
    assert_float_equal(found.likelihood[NM_REALISM_RED_LIGHT], sqrt(0.5), 1e-12);
    free(m);
}

/// Kinematic likelihoods 0.5, distance and time 0, collision 1 at twice the weight, map 1.
static void test_sums(void **state) {
    (void)state;
    made *m = make(1, STEPS);
    nm_realism_config config = plain();
    config.feature[NM_REALISM_COLLISION].weight = 2.0;
    for (int f = 0; f < 4; f++) {
        for (uint32_t i = 3 * STEPS; i < 5 * STEPS; i++) m->series[f][i] = 0.95f;
    }
    for (uint32_t k = 0; k < STEPS; k++) {
        m->series[NM_REALISM_NEAREST_DISTANCE][k] = 0.95f;
        m->series[NM_REALISM_TIME_TO_COLLISION][k] = 0.95f;
    }
    nm_realism found = rate(m, &config);
    assert_float_equal(found.kinematic, 0.5, 1e-12);
    assert_float_equal(found.interactive, 0.5, 1e-12);
    assert_float_equal(found.map_based, 1.0, 1e-12);
    assert_float_equal(found.meta, 4 * 0.5 + 2 + 3, 1e-12); // no division by the weights
    // without a road the other weights, 9 in all, take over the 2 of its features
    m->v.series[NM_REALISM_ROAD_EDGE_DISTANCE] = NULL;
    m->v.flag[NM_REALISM_OFF_ROAD] = NULL;
    found = rate(m, &config);
    assert_true(isnan(found.likelihood[NM_REALISM_OFF_ROAD]) && isnan(found.off_road_rate));
    assert_true(found.weight[NM_REALISM_OFF_ROAD] == 0.0 && found.weight[NM_REALISM_ROAD_EDGE_DISTANCE] == 0.0);
    assert_float_equal(found.weight[NM_REALISM_COLLISION], 2.0 * 11 / 9, 1e-12);
    assert_float_equal(found.meta, (4 * 0.5 + 2 + 1) * 11 / 9, 1e-12);
    assert_float_equal(found.map_based, 1.0, 1e-12);
    config.feature[NM_REALISM_RED_LIGHT].weight = 0.0;
    assert_true(isnan(rate(m, &config).map_based));
    free(m);
}

static void test_mean(void **state) {
    (void)state;
    made *m = make(1, STEPS);
    nm_realism_config config = plain();
    nm_realism scenes[3] = {rate(m, &config), rate(m, &config), rate(m, &config)};
    nm_realism mean = nm_realism_mean(scenes, 3);
    assert_int_equal(mean.agents, 3);
    assert_float_equal(mean.meta, scenes[0].meta, 1e-12);
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; f++) assert_float_equal(mean.likelihood[f], 1.0, 1e-12);
    scenes[0].likelihood[EDGE] = NAN, scenes[1].likelihood[EDGE] = 0.5; // of two that have it
    scenes[2].ade = 3.0, scenes[0].red_light_rate = 0.3, scenes[1].weight[EDGE] = 4.0;
    mean = nm_realism_mean(scenes, 3);
    assert_float_equal(mean.likelihood[EDGE], 0.75, 1e-12);
    assert_float_equal(mean.ade, 1.0, 1e-12);
    assert_float_equal(mean.red_light_rate, 0.1, 1e-12);
    assert_float_equal(mean.weight[EDGE], 2.0, 1e-12);
    free(m);
}

static void test_presets(void **state) {
    (void)state;
    static const double sums[NM_REALISM_PRESET_COUNT] = {1.0, 1.0, 0.99};
    made *m = make(1, STEPS);
    for (int p = 0; p < NM_REALISM_PRESET_COUNT; p++) {
        nm_realism_config config = nm_realism_config_of((nm_realism_preset)p);
        nm_realism found = rate(m, &config);
        double sum = 0.0;
        for (int f = 0; f < NM_REALISM_FEATURE_COUNT; f++) sum += found.weight[f];
        assert_float_equal(sum, sums[p], 1e-12);
        assert_true(atoi(nm_realism_preset_name((nm_realism_preset)p)) == 2025 - p);
    }
    free(m);
}

static void refused(const made *m, const nm_realism_config *config, const char *why) {
    nm_realism out;
    nm_error error = {0};
    assert_int_equal(nm_realism_rate(&m->v, config, &out, &error), NM_E_ARGUMENT);
    if (!strstr(error.message, why)) fail_msg("\"%s\" does not say \"%s\"", error.message, why);
}

static void test_refusals(void **state) {
    (void)state;
    made *m = make(1, 1);
#define REFUSED(feature_, field, value, why)                                                                           \
    do {                                                                                                               \
        nm_realism_config config = plain();                                                                            \
        config.feature[feature_].field = (value);                                                                      \
        refused(m, &config, why);                                                                                      \
    } while (0)
    REFUSED(EDGE, weight, -1.0, "distance_to_road_edge: its weight");
    REFUSED(EDGE, weight, NAN, "its weight");
    REFUSED(EDGE, weight, INFINITY, "its weight");
    REFUSED(EDGE, kind, NM_REALISM_BERNOULLI, "it is a time series");
    REFUSED(NM_REALISM_COLLISION, kind, NM_REALISM_HISTOGRAM, "collision_indication: it is a flag");
    REFUSED(NM_REALISM_COLLISION, smoothing, -0.1, "its smoothing");
    REFUSED(EDGE, smoothing, NAN, "its smoothing");
    REFUSED(EDGE, kind, NM_REALISM_KERNEL, "its bandwidth");
    REFUSED(EDGE, bins, 0, "its number of bins");
    REFUSED(EDGE, bins, NM_REALISM_MAX_BINS + 1, "its number of bins");
    REFUSED(EDGE, max, 0.0, "its range is empty");
    REFUSED(EDGE, min, NAN, "its range is empty");
    REFUSED(EDGE, max, INFINITY, "its range is empty");
    free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram), cmocka_unit_test(test_pools), cmocka_unit_test(test_kernel),
        cmocka_unit_test(test_flags),     cmocka_unit_test(test_masks), cmocka_unit_test(test_vehicles_only),
        cmocka_unit_test(test_sums),      cmocka_unit_test(test_mean),  cmocka_unit_test(test_presets),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
