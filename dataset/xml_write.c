#include "dataset/xml_write.h"

#include <math.h>

#include "base/decimal.h"
#include "sim/math.h"

#define MAX_PLACES 22            // of the powers of ten that a double holds
#define EXACT 9007199254740992.0 // 2^53

static const double powers[MAX_PLACES + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/// The digits of a whole number, at the end of `text`; returns where they begin.
static char *digits_of(uint64_t number, char text[24]) {
    char *at = text + 24;
    do *--at = (char)('0' + number % 10);
    while (number /= 10);
    return at;
}

/// number / 10^places, without zeros at the end.
static size_t put_scaled(char *to, int negative, uint64_t number, unsigned places) {
    while (places && number % 10 == 0) {
        number /= 10;
        --places;
    }
    char text[24], *digits = digits_of(number, text), *begin = to;
    size_t count = (size_t)(text + 24 - digits);
    if (negative && number) *to++ = '-';
    if (!places) {
        memcpy(to, digits, count);
        return (size_t)(to + count - begin);
    }
    size_t whole = count > places ? count - places : 0;
    if (!whole) *to++ = '0';
    memcpy(to, digits, whole);
    to += whole;
    *to++ = '.';
    for (size_t zeros = places; zeros > count; --zeros) *to++ = '0';
    memcpy(to, digits + whole, count - whole);
    return (size_t)(to + (count - whole) - begin);
}

/// Places at which decimals are just further apart than floats are around `value`: fewer lose nothing that more would
/// find, since a shorter decimal is found at this many, too, with zeros at its end.
static unsigned places_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    int exponent = (int)(bits >> 23 & 0xff);
    // floats are 2^(exponent - 150) apart; log10(2) = 0.30103
    return exponent >= 150 ? 0 : (unsigned)((150 - exponent) * 30103 / 100000);
}

static size_t put_shortest(char *to, double target, double origin, double offset, float value) {
    for (unsigned places = places_of(value), tries = 0; places <= MAX_PLACES && tries < 4; ++places, ++tries) {
        double scaled = rint(target * powers[places]);
        if (!(fabs(scaled) < EXACT)) break;
        // both operands are exact, so the quotient is the double that a reader makes of the digits
        double back = scaled / powers[places];
        if ((float)(back + offset - origin) == value)
            return put_scaled(to, scaled < 0.0, (uint64_t)fabs(scaled), places);
    }
    return nm_decimal_print_exact(to, NM_XML_NUMBER, NM_DECIMAL_FIXED, 0, target);
}

size_t nm_xml_local(char *to, double origin, float value) {
    double target = origin + (double)value;
    if (target == 0.0) {
        *to = '0';
        return 1;
    }
    if (value == 0.0f) return nm_decimal_print_exact(to, NM_XML_NUMBER, NM_DECIMAL_FIXED, 0, origin);
    return put_shortest(to, target, origin, 0.0, value);
}

size_t nm_xml_moved(char *to, double origin, double offset, float value) {
    if (offset == 0.0) return nm_xml_local(to, origin, value);
    double target = origin + (double)value - offset;
    return put_shortest(to, target == 0.0 ? 0.0 : target, origin, offset, value);
}

size_t nm_xml_time(char *to, float dt, uint64_t half_steps) {
    for (unsigned places = 0; places < 10; ++places) {
        double scaled = rint((double)dt * powers[places]);
        if (scaled < 1e9 && half_steps < UINT32_MAX && (float)(scaled / powers[places]) == dt)
            return put_scaled(to, 0, (uint64_t)scaled * half_steps * 5, places + 1);
    }
    return nm_decimal_print_exact(to, NM_XML_NUMBER, NM_DECIMAL_FIXED, 0, 0.5 * (double)half_steps * (double)dt);
}

size_t nm_xml_angle(char *to, float angle) {
    if ((double)angle <= NM_PI) return nm_xml_local(to, 0.0, angle);
    static const char pi[] = "3.14159265"; // the shortest decimal under pi whose float is NM_PI_F
    memcpy(to, pi, sizeof pi - 1);
    return sizeof pi - 1;
}

size_t nm_xml_integer(char *to, int64_t value) {
    return put_scaled(to, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 0);
}

void nm_xml_put_local(nm_byte_buffer *buffer, double origin, float value) {
    char text[NM_XML_NUMBER];
    nm_byte_buffer_put(buffer, text, nm_xml_local(text, origin, value));
}

void nm_xml_put_angle(nm_byte_buffer *buffer, float angle) {
    char text[NM_XML_NUMBER];
    nm_byte_buffer_put(buffer, text, nm_xml_angle(text, angle));
}

void nm_xml_put_integer(nm_byte_buffer *buffer, int64_t value) {
    char text[NM_XML_NUMBER];
    nm_byte_buffer_put(buffer, text, nm_xml_integer(text, value));
}

/// Bytes of the well-formed UTF-8 sequence (RFC 3629) at `text` whose character XML 1.0 allows; 0 when there is none.
static size_t sequence(const uint8_t *text) {
    if (text[0] < 0x80) return text[0] >= 0x20 || text[0] == '\t' || text[0] == '\n' || text[0] == '\r';
    size_t size = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4) return 0;
    for (size_t i = 1; i < size; ++i) {
        if ((text[i] & 0xc0) != 0x80) return 0; // the end of the text is none either
    }
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f)) return 0; // overlong; surrogates
    if ((text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f)) return 0;
    if (text[0] == 0xef && text[1] == 0xbf && text[2] >= 0xbe) return 0; // U+FFFE, U+FFFF
    return size;
}

void nm_xml_put_text(nm_byte_buffer *buffer, const char *text) {
    for (const uint8_t *at = (const uint8_t *)text; *at;) {
        size_t size = sequence(at);
        const char *escaped = *at == '&'    ? "&amp;"
                              : *at == '<'  ? "&lt;"
                              : *at == '>'  ? "&gt;"
                              : *at == '"'  ? "&quot;"
                              : *at == '\'' ? "&apos;"
                              : *at == '\t' ? "&#9;"
                              : *at == '\n' ? "&#10;"
                              : *at == '\r' ? "&#13;"
                              : !size       ? "?"
                                            : NULL;
        if (escaped)
            nm_byte_buffer_text(buffer, escaped);
        else
            nm_byte_buffer_put(buffer, at, size);
        at += size ? size : 1;
    }
}
