/// Bootstrap intervals: cases whose resampling distribution is known in closed form.
#include "support.h"

#include "base/rng.h"
#include "sim/metrics/interval.h"

static nm_estimate of(const double *numerator, const double *denominator, size_t groups, size_t parts, uint64_t seed) {
    nm_bootstrap_config config = nm_bootstrap_config_default();
    nm_estimate estimate;
    nm_error error;
    config.seed = seed;
    if (nm_bootstrap_ratio(numerator, denominator, groups, parts, &config, &estimate, &error) != NM_OK)
        fail_msg("%s", error.message);
    return estimate;
}

static void assert_same(const nm_estimate *a, const nm_estimate *b) {
    assert_float_equal(a->value, b->value, 0);
    assert_true(a->low == b->low && a->high == b->high && a->groups == b->groups);
}

/// Eight of sixteen groups hit: a resample's hits are binomial(16, 1/2), where P(X <= 3) = 0.0106 and P(X <= 4) =
/// 0.0384, so that the 2.5 % point is 4 of 16, and 12 of 16 the 97.5 % point. With 2000 draws each is over three
/// standard errors away from the next step.
static void test_binomial(void **state) {
    (void)state;
    double hits[16], tries[16];
    for (int i = 0; i < 16; ++i) hits[i] = i % 2, tries[i] = 1.0;
    for (uint64_t seed = 0; seed < 5; ++seed) {
        const nm_estimate e = of(hits, tries, 16, 1, seed);
        assert_float_equal(e.value, 0.5, 0);
        assert_float_equal(e.low, 4.0 / 16.0, 0);
        assert_float_equal(e.high, 12.0 / 16.0, 0);
        assert_int_equal(e.groups, 16);
    }
}

/// Two groups of unequal weight: a resample is (a, a), (a, b), (b, a) or (b, b), each with probability 1/4, and the
/// mixed ones give the ratio of sums, not the mean of ratios (0.35).
static void test_weights(void **state) {
    (void)state;
    const double numerator[2] = {1.0, 1.0}, denominator[2] = {10.0, 1.6666666666666667};
    const nm_estimate e = of(numerator, denominator, 2, 1, 0);
    assert_float_equal(e.value, 2.0 / 11.6666666666666667, 1e-12);
    assert_float_equal(e.low, 0.1, 1e-12);
    assert_float_equal(e.high, 0.6, 1e-12);
    nm_bootstrap_config config = nm_bootstrap_config_default();
    nm_estimate middle;
    nm_error error;
    config.low = 0.35, config.high = 0.65; // both within the half of the draws that are mixed
    assert_int_equal(nm_bootstrap_ratio(numerator, denominator, 2, 1, &config, &middle, &error), NM_OK);
    assert_float_equal(middle.low, e.value, 1e-12);
    assert_float_equal(middle.high, e.value, 1e-12);
}

/// Means of many groups: the interval is that of the normal distribution, mean -+ 1.96 sd / sqrt(groups).
static void test_normal(void **state) {
    (void)state;
    enum { N = 200 };
    double value[N], one[N], sum = 0.0, square = 0.0;
    for (uint32_t i = 0; i < N; ++i) {
        const nm_rng_key key = {.seed = 5, .agent = i, .purpose = NM_PURPOSE_TEST};
        value[i] = 3.0 + 2.0 * (double)nm_rng_normal(&key, 0);
        one[i] = 1.0;
        sum += value[i], square += value[i] * value[i];
    }
    const double mean = sum / N, deviation = sqrt(square / N - mean * mean) / sqrt(N);
    const nm_estimate e = of(value, one, N, 1, 1);
    assert_float_equal(e.value, mean, 1e-12);
    // a 2.5 % point out of 2000 draws has a standard error of 0.06 deviations
    assert_float_equal(e.low, mean - 1.96 * deviation, 0.2 * deviation);
    assert_float_equal(e.high, mean + 1.96 * deviation, 0.2 * deviation);
}

/// The same groups, resampled alike: a score that is a line of another has an interval that is the same line of its.
static void test_paired(void **state) {
    (void)state;
    double a[7], b[7], one[7];
    for (int i = 0; i < 7; ++i) a[i] = i * i, b[i] = 10.0 + 2.0 * a[i], one[i] = 1.0;
    const nm_estimate x = of(a, one, 7, 1, 3), y = of(b, one, 7, 1, 3), again = of(a, one, 7, 1, 3);
    const nm_estimate other = of(a, one, 7, 1, 4);
    assert_float_equal(y.low, 10.0 + 2.0 * x.low, 1e-9);
    assert_float_equal(y.high, 10.0 + 2.0 * x.high, 1e-9);
    assert_same(&x, &again);
    assert_float_equal(other.value, x.value, 0);
    assert_true(other.low != x.low || other.high != x.high); // the seed does something
    assert_true(x.low < x.value && x.value < x.high);
}

static void test_parts(void **state) {
    (void)state;
    // ratios 2, 4 and nothing: the mean of what there is
    const double numerator[2][3] = {{2.0, 12.0, 0.0}, {2.0, 0.0, 0.0}};
    const double denominator[2][3] = {{1.0, 3.0, 0.0}, {1.0, 0.0, 0.0}};
    const nm_estimate e = of(numerator[0], denominator[0], 2, 3, 0);
    assert_float_equal(e.value, 3.0, 0);
    assert_float_equal(e.high, 3.0, 0); // (a, a) and the mixed ones: (2 + 4) / 2
    assert_float_equal(e.low, 2.0, 0);  // (b, b): the second part is not there
}

static void test_groups_that_count_nothing(void **state) {
    (void)state;
    const double numerator[4] = {0.0, 3.0, 0.0, 5.0}, denominator[4] = {0.0, 1.0, 0.0, 1.0};
    const double fewer[2] = {3.0, 5.0}, one[2] = {1.0, 1.0};
    const nm_estimate e = of(numerator, denominator, 4, 1, 2), f = of(fewer, one, 2, 1, 2);
    assert_int_equal(e.groups, 2);
    assert_same(&e, &f); // not even the draws see them
    const nm_estimate single = of(fewer, one, 1, 1, 0);
    assert_int_equal(single.groups, 1);
    assert_float_equal(single.value, 3.0, 0);
    assert_float_equal(single.low, 3.0, 0);
    assert_float_equal(single.high, 3.0, 0);
}

static void refuses(const double *numerator, const double *denominator, size_t groups, size_t parts,
                    nm_bootstrap_config config, nm_status expected) {
    nm_estimate estimate = {.value = 77.0};
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_bootstrap_ratio(numerator, denominator, groups, parts, &config, &estimate, &error), expected);
    assert_int_equal(error.code, expected);
    assert_true(error.message[0] != '\0');
    assert_float_equal(estimate.value, 77.0, 0);
}

static void test_refusals(void **state) {
    (void)state;
    const nm_bootstrap_config good = nm_bootstrap_config_default();
    const double ones[2] = {1.0, 1.0}, zeros[2] = {0.0, 0.0}, nan[2] = {1.0, NAN}, minus[2] = {1.0, -1.0};
    refuses(ones, zeros, 2, 1, good, NM_E_NOT_FOUND);
    refuses(NULL, NULL, 0, 1, good, NM_E_NOT_FOUND);
    refuses(nan, ones, 2, 1, good, NM_E_ARGUMENT);
    refuses(ones, nan, 2, 1, good, NM_E_ARGUMENT);
    refuses(ones, minus, 2, 1, good, NM_E_ARGUMENT);
    refuses(ones, ones, 2, 0, good, NM_E_ARGUMENT);
    nm_bootstrap_config bad = good;
    bad.draws = 0;
    refuses(ones, ones, 2, 1, bad, NM_E_ARGUMENT);
    bad = good;
    bad.low = 0.99;
    refuses(ones, ones, 2, 1, bad, NM_E_ARGUMENT);
    bad = good;
    bad.high = NAN;
    refuses(ones, ones, 2, 1, bad, NM_E_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binomial), cmocka_unit_test(test_weights),
        cmocka_unit_test(test_normal),   cmocka_unit_test(test_paired),
        cmocka_unit_test(test_parts),    cmocka_unit_test(test_groups_that_count_nothing),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
