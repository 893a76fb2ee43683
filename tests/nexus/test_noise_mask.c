/// Noise levels of training examples: the families and tasks are what their names say, as often as asked for.
#include "nexus/noise_mask.h"
#include "tests/support.h"

enum { AGENTS = 6, STEPS = 21, HISTORY = 5, TOKENS = AGENTS * STEPS };

/// Draws example `number` with every token valid.
static nm_noise_mask draw_all(const nm_noise_mask_config *config, uint64_t number, float *level) {
    uint8_t valid[TOKENS];
    memset(valid, 1, sizeof valid);
    return nm_noise_mask_draw(config, 3, number, AGENTS, STEPS, valid, HISTORY, level);
}

/// Only one family, no threshold, conditioned generation never: every future token has a level of the family.
static nm_noise_mask_config only(nm_noise_family family) {
    nm_noise_mask_config c = nm_noise_mask_config_default();
    for (int i = 0; i < NM_NOISE_FAMILIES; ++i) c.weight[i] = i == (int)family;
    c.threshold = 0.0f;
    c.behaviour = 1.0f;
    c.goals = 0.0f;
    return c;
}

static float at(const float *level, uint32_t agent, uint32_t t) {
    return level[agent * STEPS + t];
}

static void check_family(nm_noise_family family, const float *level) {
    for (uint32_t a = 0; a < AGENTS; ++a) {
        for (uint32_t t = HISTORY; t < STEPS; ++t) {
            const float u = at(level, a, t);
            assert_true(u >= 0.0f && u <= 1.0f);
            if (family == NM_NOISE_SCENE) assert_true(u == at(level, 0, HISTORY));
            if (family == NM_NOISE_AGENT) assert_true(u == at(level, a, HISTORY));
            if (t == HISTORY) continue;
            if (family == NM_NOISE_RISING) {
                assert_true(u >= at(level, a, t - 1));
                assert_true(u == at(level, 0, t));
            }
            // two waves of at most one turn over the steps: no jumps
            if (family == NM_NOISE_SMOOTH) assert_true(fabsf(u - at(level, a, t - 1)) <= 3.15f / STEPS);
        }
    }
}

static void families_are_what_they_say(void **state) {
    (void)state;
    float level[TOKENS];
    for (int family = 0; family < NM_NOISE_FAMILIES; ++family) {
        const nm_noise_mask_config config = only((nm_noise_family)family);
        double sum = 0.0, square = 0.0, changes = 0.0;
        enum { EXAMPLES = 400 };
        for (uint64_t i = 0; i < EXAMPLES; ++i) {
            assert_int_equal(draw_all(&config, i, level).family, family);
            check_family((nm_noise_family)family, level);
            const double u = (double)at(level, 1, STEPS - 1);
            sum += u;
            square += u * u;
            changes += fabs((double)at(level, 1, STEPS - 2) - u) > 1e-6;
        }
        const double mean = sum / EXAMPLES, variance = square / EXAMPLES - mean * mean;
        // the last token of the rising family is the larger of two uniform draws
        assert_true(fabs(mean - (family == NM_NOISE_RISING ? 2.0 / 3.0 : 0.5)) < 0.06);
        assert_true(variance > 0.04); // all of [0, 1] is used
        const int constant = family == NM_NOISE_SCENE || family == NM_NOISE_AGENT;
        assert_true(constant ? changes == 0.0 : changes > 0.9 * EXAMPLES);
    }
}

static void tasks_have_their_conditions(void **state) {
    (void)state;
    float level[TOKENS];
    nm_noise_mask_config config = nm_noise_mask_config_default();
    config.threshold = 0.0f;
    enum { EXAMPLES = 2000 };
    int behaviour = 0, goals = 0, families[NM_NOISE_FAMILIES] = {0};
    double given = 0.0;
    for (uint64_t i = 0; i < EXAMPLES; ++i) {
        const nm_noise_mask mask = draw_all(&config, i, level);
        behaviour += mask.behaviour;
        goals += mask.goals;
        families[mask.family]++;
        for (uint32_t a = 0; a < AGENTS; ++a) {
            int clean = 0;
            for (uint32_t t = 0; t < STEPS; ++t) clean += at(level, a, t) == 0.0f;
            if (mask.behaviour) {
                for (uint32_t t = 0; t < HISTORY; ++t) assert_true(at(level, a, t) == 0.0f);
                if (mask.goals) assert_true(at(level, a, STEPS - 1) == 0.0f);
            } else {
                if (a == 0) assert_int_equal(clean, STEPS);
                if (a > 0) given += clean == STEPS;
            }
        }
    }
    assert_true(abs(behaviour - EXAMPLES / 2) < 90); // four standard deviations
    assert_true(abs(goals - EXAMPLES / 8) < 60);
    for (int f = 0; f < NM_NOISE_FAMILIES; ++f) assert_true(abs(families[f] - EXAMPLES / NM_NOISE_FAMILIES) < 72);
    given /= (double)(EXAMPLES - behaviour) * (AGENTS - 1);
    assert_true(given > 0.44 && given < 0.56); // a uniform share of the others
}

static void low_levels_become_conditions_half_of_the_time(void **state) {
    (void)state;
    float level[TOKENS];
    nm_noise_mask_config config = only(NM_NOISE_TOKEN);
    config.threshold = 0.15f;
    int low = 0, clean = 0, count = 0;
    for (uint64_t i = 0; i < 300; ++i) {
        draw_all(&config, i, level);
        for (uint32_t a = 0; a < AGENTS; ++a)
            for (uint32_t t = HISTORY; t < STEPS; ++t) {
                count++;
                clean += at(level, a, t) == 0.0f;
                low += at(level, a, t) > 0.0f && at(level, a, t) < 0.15f;
            }
    }
    assert_true(fabs((double)clean / count - 0.075) < 0.008);
    assert_true(fabs((double)low / count - 0.075) < 0.008);
}

static void padding_has_no_level_of_its_own(void **state) {
    (void)state;
    float level[TOKENS], full[TOKENS];
    uint8_t valid[TOKENS];
    const nm_noise_mask_config config = nm_noise_mask_config_default();
    for (uint64_t i = 0; i < 50; ++i) {
        for (uint32_t k = 0; k < TOKENS; ++k) valid[k] = (k * 7 + i) % 3 > 0;
        const nm_noise_mask mask = nm_noise_mask_draw(&config, 3, i, AGENTS, STEPS, valid, HISTORY, level);
        draw_all(&config, i, full);
        for (uint32_t k = 0; k < TOKENS; ++k) {
            if (!valid[k]) assert_true(level[k] == 1.0f);
            // goals depend on what is valid, nothing else does
            if (valid[k] && !mask.goals) assert_true(level[k] == full[k]);
        }
    }
    // no agent, one step, all history
    nm_noise_mask_draw(&config, 3, 0, 0, STEPS, valid, HISTORY, level);
    memset(valid, 1, sizeof valid);
    nm_noise_mask_draw(&config, 3, 1, 1, 1, valid, 1, level);
    assert_true(level[0] >= 0.0f && level[0] <= 1.0f);
}

static void nonsense_is_refused(void **state) {
    (void)state;
    nm_error error;
    nm_noise_mask_config c = nm_noise_mask_config_default();
    assert_int_equal(nm_noise_mask_config_check(&c, &error), NM_OK);
    c.goals = 1.5f;
    assert_int_equal(nm_noise_mask_config_check(&c, &error), NM_E_ARGUMENT);
    c = only(NM_NOISE_SCENE);
    c.weight[NM_NOISE_SCENE] = 0.0f;
    assert_int_equal(nm_noise_mask_config_check(&c, &error), NM_E_ARGUMENT);
    c.weight[NM_NOISE_SCENE] = NAN;
    assert_int_equal(nm_noise_mask_config_check(&c, &error), NM_E_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_are_what_they_say),
        cmocka_unit_test(tasks_have_their_conditions),
        cmocka_unit_test(low_levels_become_conditions_half_of_the_time),
        cmocka_unit_test(padding_has_no_level_of_its_own),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
