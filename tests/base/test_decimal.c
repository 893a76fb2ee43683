/// The decimal parser against strtod, bit for bit.
#include "support.h"

#include <float.h>
#include <locale.h>

#include "base/decimal.h"
#include "base/rng.h"

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void expect_same(const char *text) {
    double value = -1.0, expected = strtod(text, NULL);
    // handed over without a terminator: AddressSanitizer sees a read past the end
    size_t length = strlen(text);
    char *copy = malloc(length);
    memcpy(copy, text, length);
    int accepted = nm_decimal_parse(copy, length, &value);
    free(copy);
    if (!accepted || bits_of(value) != bits_of(expected))
        fail_msg("%s: %d %.17g, strtod says %.17g", text, accepted, value, expected);
}

static void test_examples(void **state) {
    (void)state;
    static const char *const texts[] = {"0",
                                        "-0",
                                        "0.0",
                                        "-0.0e5",
                                        "00012.500",
                                        ".5",
                                        "5.",
                                        "+1.25",
                                        "1e3",
                                        "1E+3",
                                        "1e-3",
                                        "-131.41310000000001",
                                        "0.1",
                                        "0.30000000000000004",
                                        "123456789012345678",
                                        "9007199254740993",
                                        "9007199254740992.5",
                                        "9007199254740993.0000000001",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "99999999999999999999",
                                        "1.7976931348623157e308",
                                        "1.7976931348623159e308",
                                        "1e400",
                                        "-1e400",
                                        "4.9406564584124654e-324",
                                        "2e-324",
                                        "2.2250738585072011e-308",
                                        "1e22",
                                        "1e23",
                                        "123456789e22",
                                        "1e-22",
                                        "1e-23",
                                        "0.000000000000000000000000001",
                                        "0.1000000000000000055511151231257827021181583404541015625",
                                        "8.5",
                                        "4503599627370496.5",
                                        "4503599627370497.5",
                                        "0.500000000000000166533453693773481063544750213623046875",
                                        "1e0000000000000000000000001",
                                        "1e-99999999999999",
                                        "0e99999999999999",
                                        "10000000000000000000e-19",
                                        "9999999999999999999e-19"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) expect_same(texts[i]);
}

static void test_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",     " ",   "+",   "-",  ".",        "e5",   "1e",           "1e+", "--1",   "1..2", "1.2.3", "nan", "inf",
        "0x10", "1,5", "1 2", "1f", "infinity", "1e5.", "\xef\xbb\xbf", "1_0", "1e+-5", "NaN",  "1e 5",  "+ 1"};
    double value;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
        if (nm_decimal_parse(texts[i], strlen(texts[i]), &value)) fail_msg("accepted: '%s'", texts[i]);
    }
    assert_int_equal(nm_decimal_parse(" \n 1.5\t\r ", 9, &value), 1);
    assert_true(value == 1.5);
}

/// Numbers as programs print them: %.17g, %.15g, fixed places, long strings of digits, halfway cases and their
/// neighbours.
static void test_random(void **state) {
    (void)state;
    const uint64_t seed = 7;
    printf("seed %llu\n", (unsigned long long)seed);
    for (uint32_t run = 0; run < 200000; ++run) {
        nm_rng_key key = {.seed = seed, .agent = run, .purpose = NM_PURPOSE_TEST};
        uint32_t w[4];
        nm_rng_words(&key, 0, w);
        uint64_t bits = (uint64_t)w[0] << 32 | w[1];
        double any, usual = (double)(int64_t)bits / (double)(UINT64_C(1) << (20 + w[2] % 40));
        memcpy(&any, &bits, sizeof any);
        char text[800];
        switch (w[3] % 6) {
        case 0:
            snprintf(text, sizeof text, "%.17g", usual);
            break;
        case 1:
            snprintf(text, sizeof text, "%.*f", (int)(w[2] % 20), usual);
            break;
        case 2:
            snprintf(text, sizeof text, "%.*e", (int)(w[2] % 25), any == any && any - any == 0.0 ? any : usual);
            break;
        case 3:
            snprintf(text, sizeof text, "%u.%09u%08u", w[0] % 100000, w[1] % 1000000000, w[2] % 100000000);
            break;
        case 4: // exactly between two doubles, and one digit beside it
            snprintf(text, sizeof text, "%.30f", (double)(bits >> 11) + 0.5);
            if (w[2] & 1) text[strlen(text) - 1] = '1';
            break;
        default:
            snprintf(text, sizeof text, "%s%llu%se%d", w[2] & 1 ? "-" : "", (unsigned long long)(bits >> w[2] % 60),
                     w[2] & 2 ? ".0" : "", (int)(w[1] % 60) - 30);
        }
        expect_same(text);
    }
}

/// Every quotient the 128-bit path takes: all counts of digits by all places.
static void test_places(void **state) {
    (void)state;
    for (int digits = 1; digits <= 19; ++digits) {
        for (int places = 0; places <= 25; ++places) {
            for (uint32_t run = 0; run < 60; ++run) {
                nm_rng_key key = {
                    .seed = 9, .agent = run, .step = (uint32_t)(digits * 32 + places), .purpose = NM_PURPOSE_TEST};
                char text[64] = "";
                int n = 0;
                for (int d = 0; d < digits; ++d)
                    text[n++] = (char)('0' + (run < 4 ? (run % 2 ? 9 : d == 0) : nm_rng_below(&key, (uint32_t)d, 10)));
                snprintf(text + n, sizeof text - (size_t)n, "e-%d", places);
                expect_same(text);
            }
        }
    }
}

/// 19 digits after the point: the quotient keeps only 11 bits beyond the double, so that a remainder decides a tie once
/// in some thousand numbers.
static void test_ties(void **state) {
    (void)state;
    for (uint32_t run = 0; run < 100000; ++run) {
        nm_rng_key key = {.seed = 11, .agent = run, .purpose = NM_PURPOSE_TEST};
        uint32_t w[4];
        nm_rng_words(&key, 0, w);
        char text[32];
        snprintf(text, sizeof text, "0.%01u%09u%09u", 1 + w[0] % 9, w[1] % 1000000000, w[2] % 1000000000);
        expect_same(text);
    }
}

static void test_integers(void **state) {
    (void)state;
    int64_t value;
    assert_int_equal(nm_decimal_parse_integer(" 42\n", 4, &value), 1);
    assert_int_equal(value, 42);
    assert_int_equal(nm_decimal_parse_integer("-7", 2, &value), 1);
    assert_int_equal(value, -7);
    assert_int_equal(nm_decimal_parse_integer("999999999999999999", 18, &value), 1);
    assert_true(value == INT64_C(999999999999999999));
    assert_int_equal(nm_decimal_parse_integer("00000000000000000000005", 23, &value), 1);
    assert_int_equal(value, 5);
    static const char *const refused[] = {"", "-", "1.0", "1e3", "1000000000000000000", "1a", "0x1", "1 2"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; ++i)
        assert_int_equal(nm_decimal_parse_integer(refused[i], strlen(refused[i]), &value), 0);
}

static void expect_printed(nm_decimal_style style, int digits, double value, const char *expected) {
    char text[400];
    const size_t length = nm_decimal_print(text, sizeof text, style, digits, value);
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
    nm_decimal_print_exact(text, sizeof text, style, digits, value);
    double read = 0.0;
    assert_int_equal(nm_decimal_parse(text, strlen(text), &read), 1);
    assert_true(read == value);
}

static void check_printing(void) {
    expect_printed(NM_DECIMAL_SHORT, 6, 0.5, "0.5");
    expect_printed(NM_DECIMAL_SHORT, 6, -1234567.0, "-1.23457e+06");
    expect_printed(NM_DECIMAL_SHORT, 3, 100.0, "100");
    expect_printed(NM_DECIMAL_SHORT, 17, 0.1, "0.10000000000000001");
    expect_printed(NM_DECIMAL_FIXED, 2, 1.0 / 3.0, "0.33");
    expect_printed(NM_DECIMAL_FIXED, 0, 12.0, "12");
    char text[400];
    assert_int_equal(nm_decimal_print(text, sizeof text, NM_DECIMAL_FIXED, 40, -DBL_MAX), 1 + 309 + 1 + 40);
    nm_decimal_print_exact(text, sizeof text, NM_DECIMAL_SHORT, 6, 13.9);
    assert_string_equal(text, "13.9");
    nm_decimal_print_exact(text, sizeof text, NM_DECIMAL_FIXED, 0, 1.25);
    assert_string_equal(text, "1.25");
    assert_int_equal(nm_decimal_print(text, 4, NM_DECIMAL_FIXED, 3, 12.5), 6); // "12.500", cut
    assert_string_equal(text, "12.");
    text[0] = 'x';
    assert_int_equal(nm_decimal_print(text, 0, NM_DECIMAL_FIXED, 0, 7.0), 1);
    assert_int_equal(text[0], 'x');
    nm_decimal_print_exact(text, sizeof text, NM_DECIMAL_SHORT, 6, INFINITY);
    assert_string_equal(text, "inf");
}

static void test_printing(void **state) {
    (void)state;
    check_printing();
    for (uint32_t run = 0; run < 2000; ++run) {
        nm_rng_key key = {.seed = 12, .agent = run, .purpose = NM_PURPOSE_TEST};
        uint32_t w[4];
        nm_rng_words(&key, 0, w);
        const uint64_t bits = (uint64_t)w[0] << 32 | w[1];
        double value, read;
        memcpy(&value, &bits, sizeof value);
        char text[400], expected[400];
        const int digits = (int)(w[2] % 17) + 1;
        nm_decimal_print(text, sizeof text, NM_DECIMAL_SHORT, digits, value);
        snprintf(expected, sizeof expected, "%.*g", digits, value);
        assert_string_equal(text, expected);
        if (!isfinite(value)) continue;
        nm_decimal_print_exact(text, sizeof text, NM_DECIMAL_SHORT, 1, value);
        assert_int_equal(nm_decimal_parse(text, strlen(text), &read), 1);
        assert_true(bits_of(read) == bits);
    }
}

/// A comma as decimal point, where such a locale is installed: neither the slow path nor printing may follow it.
static void test_locale(void **state) {
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    double value, expected = 0.1000000000000000055511151231257827;
    int found = 0;
    for (size_t i = 0; !found && i < sizeof names / sizeof names[0]; ++i) found = setlocale(LC_ALL, names[i]) != NULL;
    if (!found) skip();
    char half[8];
    snprintf(half, sizeof half, "%.1f", 0.5);
    const int is_comma = strcmp(half, "0,5") == 0;
    const int parsed = nm_decimal_parse("0.1000000000000000055511151231257827", 36, &value);
    const int refused = !nm_decimal_parse("0,5", 3, &(double){0.0});
    check_printing();
    setlocale(LC_ALL, "C");
    assert_true(is_comma && parsed && refused);
    assert_true(bits_of(value) == bits_of(expected));
}

static void test_floats(void **state) {
    (void)state;
    assert_true(nm_decimal_of_float(0.9f) == 0.9);
    assert_true(nm_decimal_of_float(-4.05f) == -4.05);
    assert_true(nm_decimal_of_float(30.0f) == 30.0);
    assert_true(nm_decimal_of_float(0.0f) == 0.0);
    assert_true(nm_decimal_of_float(16777217.0f) == 16777216.0);
    assert_true(nm_decimal_of_float(1.17549435e-38f) == 1.1754944e-38);
    assert_true(isinf(nm_decimal_of_float(INFINITY)) && isnan(nm_decimal_of_float(NAN)));
    for (uint32_t i = 0; i < 20000; ++i) {
        const uint32_t bits = i * 214013u + 2531011u;
        float value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) assert_true((float)nm_decimal_of_float(value) == value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples), cmocka_unit_test(test_refused), cmocka_unit_test(test_random),
        cmocka_unit_test(test_places),   cmocka_unit_test(test_ties),    cmocka_unit_test(test_integers),
        cmocka_unit_test(test_printing), cmocka_unit_test(test_locale),  cmocka_unit_test(test_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
