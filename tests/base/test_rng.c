#include "support.h"

#include "base/rng.h"
#include "base/rng_inline.h"

/// Known answers of the Random123 distribution (kat_vectors, philox4x32 with 10 rounds).
static void philox_known_answers(void **state) {
    (void)state;
    static const uint32_t vectors[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
         0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1},
    };
    for (size_t i = 0; i < 3; i++) {
        uint32_t out[4];
        nm_philox4x32(vectors[i], vectors[i] + 4, out);
        assert_memory_equal(out, vectors[i] + 6, sizeof out);
    }
}

static void hash_known_answers(void **state) {
    (void)state;
    // splitmix64 seeded with 0: first two outputs
    assert_true(nm_hash64(0) == UINT64_C(0xE220A8397B1DCDAF));
    assert_true(nm_hash64(UINT64_C(0x9E3779B97F4A7C15)) == UINT64_C(0x6E789E6AA1B965F4));
    // FNV-1a 64 reference values
    assert_true(nm_hash_bytes("", 0, 0) == UINT64_C(0xCBF29CE484222325));
    assert_true(nm_hash_bytes("a", 1, 0) == UINT64_C(0xAF63DC4C8601EC8C));
    assert_true(nm_hash_bytes("foobar", 6, 0) == UINT64_C(0x85944171F73967E8));
    assert_true(nm_hash_bytes("bar", 3, nm_hash_bytes("foo", 3, 0)) == nm_hash_bytes("foobar", 6, 0));
}

static void every_part_of_the_key_matters(void **state) {
    (void)state;
    const nm_rng_key base = {.seed = 5, .scene = 6, .agent = 7, .step = 8, .purpose = NM_PURPOSE_NOISE};
    nm_rng_key keys[6] = {base, base, base, base, base, base};
    keys[1].seed++;
    keys[2].scene++;
    keys[3].agent++;
    keys[4].step++;
    keys[5].purpose++;
    uint32_t words[7][4];
    for (int i = 0; i < 6; i++) nm_rng_words(&keys[i], 3, words[i]);
    nm_rng_words(&base, 4, words[6]);
    for (int i = 0; i < 7; i++) {
        for (int j = 0; j < i; j++) assert_memory_not_equal(words[i], words[j], sizeof words[i]);
    }
    uint32_t again[4];
    nm_rng_words(&base, 3, again);
    assert_memory_equal(again, words[0], sizeof again);
    // seed and scene are mixed, not added
    const nm_rng_key shifted = {.seed = 6, .scene = 5, .agent = 7, .step = 8, .purpose = NM_PURPOSE_NOISE};
    nm_rng_words(&shifted, 3, again);
    assert_memory_not_equal(again, words[0], sizeof again);
}

#define DRAWS 200000

static void uniform_is_uniform(void **state) {
    (void)state;
    const nm_rng_key key = {.seed = 1234};
    uint32_t bins[64] = {0};
    double sum = 0.0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const float u = nm_rng_uniform(&key, i);
        assert_true(u >= 0.0f && u < 1.0f);
        bins[(int)(u * 64.0f)]++;
        sum += (double)u;
    }
    double chi2 = 0.0;
    const double expected = DRAWS / 64.0;
    for (int i = 0; i < 64; i++) chi2 += (bins[i] - expected) * (bins[i] - expected) / expected;
    assert_true(chi2 > 30.0 && chi2 < 110.0); // 63 degrees of freedom: far outside 0.01 % either way
    assert_true(fabs(sum / DRAWS - 0.5) < 0.003);
}

__extension__ typedef unsigned __int128 wide;

static void below_is_unbiased(void **state) {
    (void)state;
    const nm_rng_key key = {.seed = 99};
    uint32_t counts[7] = {0};
    for (uint32_t i = 0; i < DRAWS; i++) {
        const uint32_t value = nm_rng_below(&key, i, 7);
        assert_true(value < 7);
        counts[value]++;
    }
    double chi2 = 0.0;
    for (int i = 0; i < 7; i++) chi2 += pow(counts[i] - DRAWS / 7.0, 2) / (DRAWS / 7.0);
    assert_true(chi2 < 28.0); // 6 degrees of freedom: 0.01 %
    // With this bound a 32-bit modulo would hit the lower third twice as often as the rest.
    const uint32_t bound = UINT32_C(3) << 30;
    uint32_t low = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const uint32_t value = nm_rng_below(&key, i, bound);
        assert_true(value < bound);
        low += value < (UINT32_C(1) << 30);
    }
    assert_true(fabs(low / (double)DRAWS - 1.0 / 3.0) < 0.005);
    assert_int_equal(nm_rng_below(&key, 0, 1), 0);
    // exactly the high word of the 64-bit draw times the bound
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t words[4];
        nm_rng_words(&key, i, words);
        const wide draw = (wide)words[0] << 32 | words[1];
        assert_int_equal(nm_rng_below(&key, i, UINT32_MAX - i), (uint32_t)(draw * (UINT32_MAX - i) >> 64));
    }
}

static void normal_has_its_moments(void **state) {
    (void)state;
    double sum[4] = {0};
    uint32_t inside = 0, beyond = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const nm_rng_key key = {.seed = 3, .agent = i, .purpose = NM_PURPOSE_NOISE};
        const double x = (double)nm_rng_normal(&key, 0);
        double power = 1.0;
        for (int k = 0; k < 4; k++) sum[k] += power *= x;
        inside += fabs(x) < 1.0;
        beyond += fabs(x) > 3.0;
        assert_true(fabs(x) < 6.8);
    }
    assert_true(fabs(sum[0] / DRAWS) < 0.01);
    assert_true(fabs(sum[1] / DRAWS - 1.0) < 0.015);
    assert_true(fabs(sum[2] / DRAWS) < 0.03);
    assert_true(fabs(sum[3] / DRAWS - 3.0) < 0.12);
    assert_true(fabs(inside / (double)DRAWS - 0.682689) < 0.005);
    assert_true(fabs(beyond / (double)DRAWS - 0.0026998) < 0.0006);
}

/// The draw must be Box-Muller to float precision: compared with libm's log and cos over many words.
static void normal_agrees_with_libm(void **state) {
    (void)state;
    const double pi = 3.14159265358979323846;
    for (uint32_t i = 0; i < 20000; i++) {
        const nm_rng_key key = {.seed = 17, .step = i};
        uint32_t words[4];
        nm_rng_words(&key, 1, words);
        const double u = (words[0] + 0.5) * 0x1p-32, v = (words[1] + 0.5) * 0x1p-32;
        const double expected = sqrt(-2.0 * log(u)) * cos(2.0 * pi * v);
        const double got = (double)nm_rng_normal(&key, 1);
        assert_true(fabs(got - expected) <= 1e-7 * fabs(expected) + 1e-9);
    }
}

/// Far under the float that is returned, so that rounding to it hides the rest on every machine.
static void log_and_cos_are_good_to_twelve_digits(void **state) {
    (void)state;
    for (uint32_t i = 0; i <= 100000; i++) {
        const double u = (i * 42949.0 + 0.5) * 0x1p-32, x = i * 1.5707963267948966e-5;
        assert_true(fabs(nm_exact_log(u) - log(u)) < 1e-12 * fmax(1.0, -log(u)));
        assert_true(fabs(nm_exact_cos(x) - cos(x)) < 1e-12);
    }
}

/// The other three values of a block: the sine of the first pair, and the second pair, each uncorrelated with the rest.
static void four_normals_are_box_muller_twice(void **state) {
    (void)state;
    const double pi = 3.14159265358979323846;
    double product[4][4] = {{0}};
    for (uint32_t i = 0; i < 50000; i++) {
        const nm_rng_key key = {.seed = 23, .agent = i};
        uint32_t words[4];
        float got[4];
        nm_rng_words(&key, 2, words);
        nm_rng_normal4(&key, 2, got);
        assert_true(got[0] == nm_rng_normal(&key, 2));
        for (int k = 0; k < 4; k++) {
            const double radius = sqrt(-2.0 * log((words[k & 2] + 0.5) * 0x1p-32));
            const double angle = 2.0 * pi * ((words[k | 1] + 0.5) * 0x1p-32);
            const double expected = radius * (k & 1 ? sin(angle) : cos(angle));
            assert_true(fabs((double)got[k] - expected) <= 1e-7 * fabs(expected) + 1e-9);
            for (int l = 0; l < 4; l++) product[k][l] += (double)got[k] * (double)got[l] / 50000.0;
        }
    }
    for (int k = 0; k < 4; k++) {
        for (int l = 0; l < 4; l++) assert_true(fabs(product[k][l] - (k == l)) < 0.025);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(hash_known_answers),
        cmocka_unit_test(uniform_is_uniform),
        cmocka_unit_test(every_part_of_the_key_matters),
        cmocka_unit_test(below_is_unbiased),
        cmocka_unit_test(normal_has_its_moments),
        cmocka_unit_test(normal_agrees_with_libm),
        cmocka_unit_test(four_normals_are_box_muller_twice),
        cmocka_unit_test(log_and_cos_are_good_to_twelve_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
