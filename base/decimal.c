#include "base/decimal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

/// Powers of ten that a double holds exactly.
static const double exact_power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                     1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const uint64_t integer_power[] = {1u,
                                         10u,
                                         100u,
                                         1000u,
                                         10000u,
                                         100000u,
                                         1000000u,
                                         10000000u,
                                         100000000u,
                                         1000000000u,
                                         10000000000u,
                                         100000000000u,
                                         1000000000000u,
                                         10000000000000u,
                                         100000000000000u,
                                         1000000000000000u,
                                         10000000000000000u,
                                         100000000000000000u,
                                         1000000000000000000u,
                                         10000000000000000000u};
#define MAX_DIGITS 19u // as many as always fit 64 bits
#define MAX_INTEGER_DIGITS 18u
#define MAX_PRINTED 40

static int is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
static int is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// Cuts white space off both ends.
static void trim(const char **text, size_t *length) {
    while (*length > 0 && is_space((*text)[0])) {
        ++*text;
        --*length;
    }
    while (*length > 0 && is_space((*text)[*length - 1])) --*length;
}

/// mantissa / 10^places to the nearest double, ties to even. 0 < mantissa, 1 <= places <= 19.
///
/// Python prints 16 or 17 digits, more than Clinger's fast path can take, so this is the common case in files written
/// by it. The quotient of mantissa * 2^shift by 10^places, with the shift so large that the quotient has at least 65
/// bits, is rounded by hand; its remainder tells ties and sticky bits apart exactly.
static double divide(uint64_t mantissa, unsigned places) {
    int shift = __builtin_clzll(mantissa) + 64; // now mantissa * 2^shift fills 128 bits: 2^127 <= numerator < 2^128
    wide numerator = (wide)mantissa << 64 << (shift - 64);
    uint64_t divisor = integer_power[places];
    wide quotient = numerator / divisor; // >= 2^127 / 10^19 > 2^63
    int sticky = quotient * divisor != numerator;

    uint64_t high = (uint64_t)(quotient >> 64);
    int bits = high ? 128 - __builtin_clzll(high) : 64 - __builtin_clzll((uint64_t)quotient);
    int drop = bits - 53; // >= 11
    uint64_t kept = (uint64_t)(quotient >> drop);
    wide rest = quotient & (((wide)1 << drop) - 1), half = (wide)1 << (drop - 1);
    if (rest > half || (rest == half && (sticky || (kept & 1)))) ++kept; // 2^53 converts exactly too

    // the value is kept * 2^(drop - shift); between 1e-19 and 2^64, so the power of two is normal: made from its bits
    uint64_t exponent_bits = (uint64_t)(1023 + drop - shift) << 52;
    double scale;
    memcpy(&scale, &exponent_bits, sizeof scale);
    return (double)kept * scale;
}

/// The decimal point of the current locale into `point`; its length, 0 when it is none that we know how to handle.
/// "0.5" without its digits: localeconv is not thread-safe.
static size_t find_point(char point[8]) {
    char half[10];
    int written = snprintf(half, sizeof half, "%.1f", 0.5);
    if (written < 3 || written >= (int)sizeof half) return 0;
    memcpy(point, half + 1, (size_t)written - 2);
    return (size_t)written - 2;
}

/// The rare rest: more than 19 digits or large exponents. strtod wants a terminated copy and the locale's point.
static int parse_slowly(const char *text, size_t length, double *value) {
    char stack[128], point[8];
    size_t point_length = find_point(point);
    if (!point_length) return 0;
    char *copy = length + point_length < sizeof stack ? stack : malloc(length + point_length + 1);
    if (!copy) return 0;
    size_t n = 0;
    for (size_t i = 0; i < length; ++i) {
        if (text[i] == '.') {
            memcpy(copy + n, point, point_length);
            n += point_length;
        } else {
            copy[n++] = text[i];
        }
    }
    copy[n] = 0;
    char *end;
    *value = strtod(copy, &end);
    int whole = end == copy + n;
    if (copy != stack) free(copy);
    return whole;
}

/// Reads "e+12" at `p`. The magnitude saturates: what matters is only that it is huge. NULL when malformed.
static const char *parse_exponent(const char *p, const char *end, int *exponent) {
    ++p;
    int negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) ++p;
    if (p == end) return NULL;
    int magnitude = 0;
    for (; p < end && is_digit(*p); ++p) {
        if (magnitude < 100000) magnitude = magnitude * 10 + (*p - '0');
    }
    *exponent = negative ? -magnitude : magnitude;
    return p;
}

int nm_decimal_parse(const char *text, size_t length, double *value) {
    trim(&text, &length);
    const char *p = text, *end = text + length;
    int negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) ++p;

    uint64_t mantissa = 0;
    const char *digits = p;
    while (p < end && *p == '0') ++p; // leading zeros are no digits of the mantissa
    const char *significant = p;
    while (p < end && is_digit(*p)) mantissa = mantissa * 10 + (uint64_t)(*p++ - '0');
    size_t digit_count = (size_t)(p - digits), used = (size_t)(p - significant);
    ptrdiff_t places = 0;
    if (p < end && *p == '.') {
        const char *fraction = ++p;
        if (used == 0) {
            while (p < end && *p == '0') ++p;
        }
        significant = p;
        while (p < end && is_digit(*p)) mantissa = mantissa * 10 + (uint64_t)(*p++ - '0');
        used += (size_t)(p - significant);
        places = p - fraction;
        digit_count += (size_t)places;
    }
    if (digit_count == 0) return 0;
    int exponent = 0;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p = parse_exponent(p, end, &exponent);
        if (!p) return 0;
    }
    if (p != end) return 0;

    // more than 19 digits: the mantissa may have wrapped
    if (used > MAX_DIGITS) return parse_slowly(text, length, value);
    double magnitude;
    ptrdiff_t power = (ptrdiff_t)exponent - places;
    if (mantissa == 0) {
        magnitude = 0.0;
    } else if (power == 0) {
        magnitude = (double)mantissa; // one rounding, to nearest
    } else if (mantissa <= (UINT64_C(1) << 53) && power >= -22 && power <= 22) {
        // both exact, so one correctly rounded operation (Clinger, "How to read floating point numbers accurately",
        // PLDI 1990)
        magnitude = power < 0 ? (double)mantissa / exact_power[-power] : (double)mantissa * exact_power[power];
    } else if (power < 0 && power >= -19) {
        magnitude = divide(mantissa, (unsigned)-power);
    } else {
        return parse_slowly(text, length, value);
    }
    *value = negative ? -magnitude : magnitude;
    return 1;
}

int nm_decimal_parse_integer(const char *text, size_t length, int64_t *value) {
    trim(&text, &length);
    const char *p = text, *end = text + length;
    int negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) ++p;
    if (p == end) return 0;
    while (end - p > 1 && *p == '0') ++p;
    if ((size_t)(end - p) > MAX_INTEGER_DIGITS) return 0;
    int64_t result = 0;
    for (; p < end; ++p) {
        if (!is_digit(*p)) return 0;
        result = result * 10 + (*p - '0');
    }
    *value = negative ? -result : result;
    return 1;
}

/// Puts a point where the locale's is; the new length.
static size_t set_point(char *text, size_t length) {
    char point[8];
    size_t point_length = find_point(point);
    if (!point_length || (point_length == 1 && point[0] == '.')) return length;
    for (size_t i = 0; i + point_length <= length; ++i) {
        if (memcmp(text + i, point, point_length) != 0) continue;
        text[i] = '.';
        memmove(text + i + 1, text + i + point_length, length - i - point_length + 1);
        return length - point_length + 1;
    }
    return length;
}

size_t nm_decimal_print(char *text, size_t size, nm_decimal_style style, int digits, double value) {
    NM_ASSERT(digits >= 0 && digits <= MAX_PRINTED);
    char whole[1 + 309 + 8 + MAX_PRINTED + 1]; // sign, digits of the largest double, point, digits after it
    int written = snprintf(whole, sizeof whole, style == NM_DECIMAL_FIXED ? "%.*f" : "%.*g", digits, value);
    NM_ASSERT(written >= 0 && written < (int)sizeof whole);
    size_t length = set_point(whole, (size_t)written);
    if (size == 0) return length;
    size_t kept = length < size ? length : size - 1;
    memcpy(text, whole, kept);
    text[kept] = '\0';
    return length;
}

size_t nm_decimal_print_exact(char *text, size_t size, nm_decimal_style style, int least, double value) {
    char whole[400];
    int most = style == NM_DECIMAL_FIXED ? MAX_PRINTED : 17; // 17 significant digits tell all doubles apart
    int digits = least < most ? least : most;
    for (; digits < most; ++digits) {
        double read;
        size_t length = nm_decimal_print(whole, sizeof whole, style, digits, value);
        if (nm_decimal_parse(whole, length, &read) && read == value) break;
    }
    return nm_decimal_print(text, size, style, digits, value);
}

double nm_decimal_of_float(float value) {
    double shortest = (double)value;
    for (int digits = 1; digits <= 9; ++digits) { // 9 significant digits tell all floats apart
        char text[32];
        double read;
        const size_t length = nm_decimal_print(text, sizeof text, NM_DECIMAL_SHORT, digits, (double)value);
        if (!nm_decimal_parse(text, length, &read)) break;
        shortest = read;
        if ((float)read == value) break;
    }
    return shortest;
}
