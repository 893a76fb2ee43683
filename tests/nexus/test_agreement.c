/// Agreement: what counts as agreeing, and what the sampler does with tokens that are finished early.
#include "nexus/agreement.h"

#include "base/rng.h"
#include "sampler_run.h"
#include "support.h"

enum { CHANNELS = 25, ROWS = 9 };

static float value_of(uint32_t what) {
    const nm_rng_key key = {.seed = 5, .step = what, .purpose = NM_PURPOSE_TEST};
    return 2.0f * nm_rng_uniform(&key, 0) - 1.0f;
}

static nm_agreement_tokens own_tokens(void) {
    return (nm_agreement_tokens){.encoding = nm_state_encoding_own(20.0f, 1.0f, 10.0f), .dt = 0.5f, .past = 2};
}

/// One state of a token is off by so many m along x and y, and m/s; state i of time t is ahead by 0.5 (t - 2) - 0.1 (4
/// - i).
static void one_state_is_enough(void **state) {
    (void)state;
    const nm_agreement_tokens tokens = own_tokens();
    const nm_agreement a = {.position = 0.5f, .speed = 2.0f};
    for (uint32_t time = 3; time < 9; time++) {
        for (uint32_t i = 0; i < 5; i++) {
            float x0[CHANNELS], proposal[CHANNELS];
            for (uint32_t k = 0; k < CHANNELS; k++) x0[k] = proposal[k] = value_of(k);
            const float ahead = 0.5f * (float)(time - 2) - 0.1f * (float)(4 - i);
            x0[5 * i + 0] += 0.3f / 20.0f;
            x0[5 * i + 1] -= 0.4f / 20.0f;
            x0[5 * i + 2] += 9.0f; // headings are not compared
            assert_float_equal(nm_agreement_distance(&a, &tokens, time, x0, proposal), 0.5f / (0.5f * ahead), 1e-3);
            x0[5 * i + 4] += 3.0f / 10.0f;
            assert_float_equal(nm_agreement_distance(&a, &tokens, time, x0, proposal), 3.0f / (2.0f * ahead), 1e-3);
        }
    }
}

/// The published encoding has one state, with a velocity of two components.
static void velocities_are_vectors(void **state) {
    (void)state;
    const nm_agreement_tokens tokens = {.encoding = nm_state_encoding_published(), .dt = 0.5f, .past = 4};
    const nm_agreement a = {.position = 1.0f, .speed = 1.0f};
    float x0[8] = {0}, proposal[8] = {0};
    x0[4] = 3.0f / tokens.encoding.scale[NM_FIELD_VX];
    x0[5] = 4.0f / tokens.encoding.scale[NM_FIELD_VY];
    assert_float_equal(nm_agreement_distance(&a, &tokens, 8, x0, proposal), 5.0f / 2.0f, 1e-4);
    assert_float_equal(nm_agreement_distance(&a, &tokens, 6, x0, proposal), 5.0f, 1e-4);
}

static void thresholds_at_their_ends(void **state) {
    (void)state;
    const nm_agreement_tokens tokens = own_tokens();
    float x0[CHANNELS], proposal[CHANNELS];
    nm_error error;
    for (uint32_t k = 0; k < CHANNELS; k++) x0[k] = 1e6f * value_of(k), proposal[k] = -x0[k];
    const nm_agreement all = {.position = INFINITY, .speed = INFINITY}, none = {0};
    const nm_agreement half = {.position = INFINITY}, other = {.speed = INFINITY};
    assert_true(nm_agreement_distance(&all, &tokens, 3, x0, proposal) == 0.0f);
    assert_true(nm_agreement_distance(&none, &tokens, 3, x0, x0) == INFINITY);
    assert_true(nm_agreement_distance(&half, &tokens, 3, x0, x0) == INFINITY);
    for (uint32_t past = 0; past <= 2; past++) // what is not ahead
        assert_true(nm_agreement_distance(&all, &tokens, past, x0, x0) == INFINITY);
    assert_true(nm_agreement_is_on(&all) && !nm_agreement_is_on(&none) && !nm_agreement_is_on(&half) &&
                !nm_agreement_is_on(&other));
    assert_int_equal(nm_agreement_check(&all, &error), NM_OK);
    const nm_agreement bad[] = {
        {.position = -1.0f}, {.speed = -1.0f}, {.position = NAN}, {.speed = NAN}, {.value = (nm_agreement_value)2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(nm_agreement_check(&bad[i], &error), NM_E_ARGUMENT);
}

/// Rows of two scenes with agents of the same place; agreement ends at the first row of an agent that disagrees.
static void agreement_ends_with_disagreement(void **state) {
    (void)state;
    static const uint32_t scene[ROWS] = {0, 0, 0, 0, 0, 0, 1, 1, 1}, agent[ROWS] = {0, 0, 0, 0, 1, 1, 1, 1, 1},
                          time[ROWS] = {2, 3, 4, 5, 3, 4, 3, 4, 5};
    static const uint8_t clean[ROWS] = {1, 0, 0, 0, 0, 0, 0, 1, 0};
    static const uint8_t near[ROWS] = {0, 1, 0, 1, 1, 1, 1, 0, 1}, proposed[ROWS] = {1, 1, 1, 1, 1, 1, 0, 1, 1};
    static const uint8_t in_order[ROWS] = {0, 1, 0, 0, 1, 1, 0, 0, 0}, scattered[ROWS] = {0, 1, 0, 1, 1, 1, 0, 0, 1};
    float x0[ROWS * CHANNELS], proposal[ROWS * CHANNELS], mask[ROWS * CHANNELS], kept[ROWS * CHANNELS];
    uint8_t settled[ROWS];
    const nm_agreement_tokens tokens = own_tokens();
    for (uint32_t i = 0; i < ROWS * CHANNELS; i++) {
        const uint32_t n = i / CHANNELS;
        x0[i] = kept[i] = value_of(i);
        proposal[i] = x0[i] + (near[n] ? 1e-4f : 3.0f);
        mask[i] = clean[n];
    }
    const nm_denoise_input in = {.count = ROWS,
                                 .channels = CHANNELS,
                                 .scene_count = 2,
                                 .scene = scene,
                                 .agent = agent,
                                 .time = time,
                                 .mask = mask};
    nm_agreement a = {.position = 0.1f, .speed = 0.1f};
    assert_int_equal(nm_agreement_settle(&a, &tokens, &in, x0, proposal, proposed, settled), 3);
    for (int n = 0; n < ROWS; n++) assert_int_equal(settled[n], in_order[n] ? NM_SETTLED_AS_PREDICTED : 0);
    assert_memory_equal(x0, kept, sizeof x0);
    a.scattered = 1;
    a.value = NM_AGREE_ON_PROPOSAL;
    assert_int_equal(nm_agreement_settle(&a, &tokens, &in, x0, proposal, proposed, settled), 5);
    for (int n = 0; n < ROWS; n++) {
        assert_int_equal(settled[n], scattered[n] ? NM_SETTLED_OTHERWISE : 0);
        assert_memory_equal(x0 + n * CHANNELS, (scattered[n] ? proposal : kept) + n * CHANNELS, CHANNELS * sizeof *x0);
    }
    a.most = 1; // the first of each agent
    static const uint8_t few[ROWS] = {0, 1, 0, 0, 1, 0, 0, 0, 1};
    assert_int_equal(nm_agreement_settle(&a, &tokens, &in, x0, proposal, proposed, settled), 3);
    for (int n = 0; n < ROWS; n++) assert_int_equal(settled[n] != NM_NOT_SETTLED, few[n]);
    a.position = 0.0f;
    assert_int_equal(nm_agreement_settle(&a, &tokens, &in, x0, x0, proposed, settled), 0);
    for (int n = 0; n < ROWS; n++) assert_int_equal(settled[n], NM_NOT_SETTLED);
}

// ---------------------------------------------------------------------------------------------------------------------
// The sampler

/// Settles the tokens of agent 0 up to `last` in pass `at`, with another value where `value` is not NaN.
typedef struct settler {
    uint32_t calls, at, last;
    float value;
    float first[64][8]; ///< what the pass had predicted of the tokens that were settled
} settler;

static void settle(void *context, const nm_denoise_input *in, float *x0, uint8_t *settled) {
    settler *s = context;
    for (uint32_t n = 0; n < in->count; n++) {
        assert_int_equal(settled[n], NM_NOT_SETTLED);
        if (s->calls != s->at || in->agent[n] != 0 || in->time[n] > s->last) continue;
        settled[n] = isnan(s->value) ? NM_SETTLED_AS_PREDICTED : NM_SETTLED_OTHERWISE;
        for (uint32_t c = 0; c < in->channels; c++) {
            if (!isnan(s->value) && in->mask[n * in->channels] == 0.0f) x0[n * in->channels + c] = s->value;
            s->first[n][c] = x0[n * in->channels + c];
        }
    }
    s->calls++;
}

static void sampler_run_of(run *r, settler *s, const char *schedule, nm_solver solver) {
    nm_sampler_config config = small(8);
    config.solver = solver;
    config.settle = s ? settle : NULL;
    config.settle_context = s;
    start(r, 2, 40, schedule, &config);
}

static void nothing_settled_changes_nothing(void **state) {
    (void)state;
    for (int solver = NM_SOLVER_ANCESTRAL; solver <= NM_SOLVER_2M; solver++) {
        settler never = {.at = UINT32_MAX};
        run with, without;
        sampler_run_of(&with, &never, "pyramid:2", (nm_solver)solver);
        sampler_run_of(&without, NULL, "pyramid:2", (nm_solver)solver);
        while (nm_sampler_remaining(without.sampler) > 0) {
            step(&with);
            step(&without);
            const nm_sampler_state a = nm_sampler_get(with.sampler), b = nm_sampler_get(without.sampler);
            assert_memory_equal(a.in.noised, b.in.noised, (size_t)a.in.count * 8 * sizeof(float));
            assert_memory_equal(a.step, b.step, a.in.count * sizeof *a.step);
        }
        assert_int_equal(never.calls, nm_sampler_get(with.sampler).passes);
        assert_int_equal(nm_sampler_remaining(with.sampler), 0);
        finish(&with);
        finish(&without);
    }
}

/// Settled tokens have their row of x0, are known to the next pass, and stay; given ones are as they were.
static void settled_tokens_stay(void **state) {
    (void)state;
    for (int other = 0; other < 2; other++) {
        settler s = {.at = 2, .last = 2, .value = other ? 0.75f : NAN};
        run r;
        sampler_run_of(&r, &s, "full", NM_SOLVER_ANCESTRAL);
        for (int pass = 0; pass < 3; pass++) step(&r);
        int seen = 0;
        for (int pass = 3; pass <= 12; pass++) {
            const nm_sampler_state now = nm_sampler_get(r.sampler);
            for (uint32_t n = 0; n < now.in.count; n++) {
                if (now.in.agent[n] != 0 || now.in.time[n] > 2) {
                    assert_int_equal(now.step[n], now.in.time[n] == 0 ? 0 : 12 - pass);
                    continue;
                }
                const float *expected = r.clean[n] ? r.values + n * 8 : s.first[n];
                assert_int_equal(now.step[n], 0);
                assert_true(now.in.mask[n * 8] == 1.0f && now.in.level[n] == 0.0f);
                assert_memory_equal(now.in.noised + n * 8, expected, 8 * sizeof(float));
                assert_memory_equal(now.in.known + n * 8, expected, 8 * sizeof(float));
                seen++;
            }
            if (pass < 12) step(&r);
        }
        assert_int_equal(seen, 10 * 2 * 3);
        finish(&r);
    }
}

/// Passes that would move no token of an agent are left out, of that agent alone.
static void waiting_ends(void **state) {
    (void)state;
    static const struct {
        const char *schedule;
        int passes[2]; ///< of agents 0 and 1: levels 12, times 1 .. 3, of which 1 and 2 are settled in pass 1
    } cases[] = {{"full", {12, 12}}, {"pyramid:2", {13, 16}}, {"ar", {13, 36}}, {"block:3", {12, 12}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        settler s = {.at = 0, .last = 2, .value = NAN};
        run r;
        sampler_run_of(&r, &s, cases[i].schedule, NM_SOLVER_DDIM);
        int passes[2] = {0, 0};
        while (nm_sampler_remaining(r.sampler) > 0) {
            step(&r);
            const nm_sampler_state now = nm_sampler_get(r.sampler);
            for (uint32_t agent = 0; agent < 2; agent++) {
                int left = 0;
                for (uint32_t n = 0; n < now.in.count; n++) left += now.in.agent[n] == agent && now.step[n] > 0;
                if (left == 0 && !passes[agent]) passes[agent] = (int)now.passes;
            }
        }
        for (int agent = 0; agent < 2; agent++) assert_int_equal(passes[agent], cases[i].passes[agent]);
        assert_int_equal(nm_sampler_get(r.sampler).passes, passes[passes[1] > passes[0]]);
        finish(&r);
    }
}

/// A value that is no prediction is news: the next pass of 2M is as if the token had been set, and so not as if its
/// prediction had been kept.
static void other_values_are_news(void **state) {
    (void)state;
    settler s = {.at = 3, .last = 3, .value = 0.5f}, never = {.at = UINT32_MAX};
    run settled, set;
    nm_error error;
    sampler_run_of(&settled, &s, "full", NM_SOLVER_2M);
    sampler_run_of(&set, &never, "full", NM_SOLVER_2M);
    for (int pass = 0; pass < 4; pass++) step(&settled), step(&set);
    const float value[8] = {0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f};
    for (uint32_t n = 0; n < set.layout.count; n++)
        if (set.layout.agent[n] == 0 && set.layout.time[n] > 0)
            assert_int_equal(nm_sampler_set_token(set.sampler, n, value, &error), NM_OK);
    for (int pass = 0; pass < 3; pass++) {
        step(&settled), step(&set);
        const nm_sampler_state a = nm_sampler_get(settled.sampler), b = nm_sampler_get(set.sampler);
        assert_memory_equal(a.in.noised, b.in.noised, (size_t)a.in.count * 8 * sizeof(float));
    }
    finish(&settled);
    finish(&set);
}

static void bad_values_end_the_pass(void **state) {
    (void)state;
    settler s = {.at = 1, .last = 3, .value = INFINITY};
    run r;
    nm_error error;
    float before[64 * 8];
    sampler_run_of(&r, &s, "full", NM_SOLVER_DDIM);
    step(&r);
    const size_t bytes = (size_t)r.layout.count * 8 * sizeof(float);
    memcpy(before, nm_sampler_get(r.sampler).in.noised, bytes);
    assert_int_equal(nm_sampler_step(r.sampler, &r.denoiser, NULL, NULL, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "early"));
    assert_memory_equal(nm_sampler_get(r.sampler).in.noised, before, bytes);
    assert_int_equal(nm_sampler_get(r.sampler).passes, 1);
    finish(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_state_is_enough),
        cmocka_unit_test(velocities_are_vectors),
        cmocka_unit_test(thresholds_at_their_ends),
        cmocka_unit_test(agreement_ends_with_disagreement),
        cmocka_unit_test(nothing_settled_changes_nothing),
        cmocka_unit_test(settled_tokens_stay),
        cmocka_unit_test(waiting_ends),
        cmocka_unit_test(other_values_are_news),
        cmocka_unit_test(bad_values_end_the_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
