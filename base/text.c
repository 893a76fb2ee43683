#include "base/text.h"

#include <stdio.h>
#include <string.h>

/// The smallest value that needs N bytes; anything below it in N bytes is an overlong form.
static const uint32_t smallest_of_length[5] = {0, 0, 0x80, 0x800, 0x10000};

size_t nm_utf8_next(const char *text, size_t length) {
    const unsigned char *bytes = (const unsigned char *)text;
    if (length == 0) return 0;
    if (bytes[0] < 0x80) return 1;
    size_t need = 0;
    uint32_t value = 0;
    if ((bytes[0] & 0xe0) == 0xc0) {
        need = 2;
        value = bytes[0] & 0x1fu;
    } else if ((bytes[0] & 0xf0) == 0xe0) {
        need = 3;
        value = bytes[0] & 0x0fu;
    } else if ((bytes[0] & 0xf8) == 0xf0) {
        need = 4;
        value = bytes[0] & 0x07u;
    }
    if (need == 0 || need > length) return 0;
    for (size_t i = 1; i < need; i++) {
        if ((bytes[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (bytes[i] & 0x3fu);
    }
    if (value < smallest_of_length[need] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return 0;
    return need;
}

/// Appends `piece` whole or not at all. Returns 0 when it does not fit.
static int append(char *out, size_t size, size_t *used, const char *piece, size_t length) {
    if (length >= size - *used) return 0;
    memcpy(out + *used, piece, length);
    *used += length;
    out[*used] = '\0';
    return 1;
}

/// C1 controls are two bytes in UTF-8 (C2 80 .. C2 9F); terminals obey them like C0.
static int is_c1(const char *text, size_t length) {
    return length == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0;
}

size_t nm_text_escape(char *out, size_t size, const char *text) {
    if (size == 0) return 0;
    out[0] = '\0';
    size_t used = 0;
    for (size_t left = strlen(text); left > 0;) {
        const unsigned char c = (unsigned char)*text;
        size_t length = nm_utf8_next(text, left);
        char escape[16];
        const char *piece = text;
        size_t piece_length = length;
        if (length == 0 || c < 0x20 || c == 0x7f || is_c1(text, length)) {
            const char *known = c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\r' ? "\\r" : NULL;
            if (known) {
                snprintf(escape, sizeof escape, "%s", known);
            } else if (length == 2) {
                snprintf(escape, sizeof escape, "\\x%02x\\x%02x", c, (unsigned char)text[1]);
            } else {
                snprintf(escape, sizeof escape, "\\x%02x", c);
            }
            piece = escape;
            piece_length = strlen(escape);
        }
        if (!append(out, size, &used, piece, piece_length)) break;
        if (length == 0) length = 1;
        text += length;
        left -= length;
    }
    return used;
}

size_t nm_text_escape_json(char *out, size_t size, const char *text) {
    if (size == 0) return 0;
    out[0] = '\0';
    size_t used = 0;
    for (size_t left = strlen(text); left > 0;) {
        const unsigned char c = (unsigned char)*text;
        size_t length = nm_utf8_next(text, left);
        char escape[16];
        const char *piece = text;
        size_t piece_length = length;
        if (length == 0) {
            piece = "\xef\xbf\xbd";
            piece_length = 3;
        } else if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) {
            const char *known = c == '\n'   ? "\\n"
                                : c == '\t' ? "\\t"
                                : c == '\r' ? "\\r"
                                : c == '"'  ? "\\\""
                                : c == '\\' ? "\\\\"
                                            : NULL;
            if (known) {
                snprintf(escape, sizeof escape, "%s", known);
            } else {
                snprintf(escape, sizeof escape, "\\u%04x", c);
            }
            piece = escape;
            piece_length = strlen(escape);
        }
        if (!append(out, size, &used, piece, piece_length)) break;
        if (length == 0) length = 1;
        text += length;
        left -= length;
    }
    return used;
}

size_t nm_text_columns(const char *text) {
    size_t columns = 0;
    for (; *text; text++) columns += ((unsigned char)*text & 0xc0) != 0x80; // continuation bytes take no column
    return columns;
}

const char *nm_base_name(const char *path) {
    const char *base = path;
    for (const char *at = path; *at; at++) {
        if ((*at == '/' || *at == '!') && at[1]) base = at + 1;
    }
    return base;
}

#define DISTANCE_MAX 64

size_t nm_text_distance(const char *a, const char *b) {
    const size_t m = strnlen(a, DISTANCE_MAX), n = strnlen(b, DISTANCE_MAX);
    size_t rows[3][DISTANCE_MAX + 1]; // the row two back, the one before, this one
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= n; j++) last[j] = before[j] = j;
    for (size_t i = 1; i <= m; i++) {
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            const int swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[n];
}
