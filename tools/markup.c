#include "tools/markup.h"

#include <string.h>

#include "base/text.h"

static const char *reference_of(unsigned char c) {
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\t':
        return "&#9;";
    case '\n':
        return "&#10;";
    case '\r':
        return "&#13;";
    default:
        return NULL;
    }
}

/// C0 but for those above, DEL and C1 (allowed, but never meant), U+FFFE and U+FFFF.
static int is_barred(const unsigned char *c, size_t length) {
    if (length == 1) return c[0] < 0x20 || c[0] == 0x7f;
    if (length == 2) return c[0] == 0xc2 && c[1] < 0xa0;
    return length == 3 && c[0] == 0xef && c[1] == 0xbf && c[2] >= 0xbe;
}

void nm_markup_text(FILE *file, const char *text) {
    for (size_t left = strlen(text); left;) {
        size_t length = nm_utf8_next(text, left);
        const char *reference = reference_of((unsigned char)*text);
        if (reference)
            fputs(reference, file);
        else if (!length || is_barred((const unsigned char *)text, length))
            fputs("\xef\xbf\xbd", file);
        else
            fwrite(text, 1, length, file);
        if (!length) length = 1;
        text += length;
        left -= length;
    }
}

void nm_markup_base64(FILE *file, const uint8_t *bytes, size_t count) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < count; i += 3) {
        const size_t n = count - i < 3 ? count - i : 3;
        uint32_t word = (uint32_t)bytes[i] << 16;
        if (n > 1) word |= (uint32_t)bytes[i + 1] << 8;
        if (n > 2) word |= bytes[i + 2];
        fputc(digits[word >> 18], file);
        fputc(digits[word >> 12 & 63], file);
        fputc(n > 1 ? digits[word >> 6 & 63] : '=', file);
        fputc(n > 2 ? digits[word & 63] : '=', file);
    }
}
