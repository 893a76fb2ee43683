#include "tools/agreement_option.h"

#include <math.h>
#include <string.h>

#include "base/decimal.h"

static int same(const char *text, size_t length, const char *word) {
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/// A threshold: 0 or more, or "inf".
static int read_threshold(const char *text, size_t length, float *value) {
    double number = 0.0;
    if (same(text, length, "inf")) {
        *value = INFINITY;
        return 1;
    }
    if (!nm_decimal_parse(text, length, &number) || !(number >= 0.0 && number <= 1e6)) return 0;
    *value = (float)number;
    return 1;
}

/// One of two words: 0, 1, or -1 for neither.
static int read_word(const char *text, size_t length, const char *first, const char *second) {
    return same(text, length, first) ? 0 : same(text, length, second) ? 1 : -1;
}

static int read_term(const char *name, size_t name_length, const char *text, size_t length, nm_agreement *agreement,
                     nm_future_driver *driver) {
    int word = -1;
    if (same(name, name_length, "m")) return read_threshold(text, length, &agreement->position);
    if (same(name, name_length, "mps")) return read_threshold(text, length, &agreement->speed);
    if (same(name, name_length, "by") && (word = read_word(text, length, "path", "idm")) >= 0)
        *driver = word ? NM_DRIVER_IDM : NM_DRIVER_PATH;
    if (same(name, name_length, "keep") && (word = read_word(text, length, "model", "driver")) >= 0)
        agreement->value = word ? NM_AGREE_ON_PROPOSAL : NM_AGREE_ON_PREDICTION;
    if (same(name, name_length, "most")) {
        double most = 0.0;
        if (!nm_decimal_parse(text, length, &most) || !(most >= 0.0 && most <= 1e6) || most != floor(most)) return 0;
        agreement->most = (uint32_t)most;
        return 1;
    }
    if (same(name, name_length, "scattered") && (word = read_word(text, length, "0", "1")) >= 0)
        agreement->scattered = word;
    return word >= 0;
}

nm_status nm_agreement_option(const char *text, nm_agreement *agreement, nm_future_driver *driver, nm_error *error) {
    *agreement = (nm_agreement){.position = -1.0f, .speed = -1.0f};
    *driver = NM_DRIVER_PATH;
    const int none = strcmp(text, "none") == 0;
    int good = 1;
    while (!none && good) {
        const size_t length = strcspn(text, ","), name = strcspn(text, "=,");
        good = name < length && read_term(text, name, text + name + 1, length - name - 1, agreement, driver);
        text += length;
        if (!*text++) break;
    }
    if (none) *agreement = (nm_agreement){0};
    if (good && agreement->position >= 0.0f && agreement->speed >= 0.0f) return NM_OK;
    *agreement = (nm_agreement){0};
    return NM_ERROR(error, NM_E_ARGUMENT,
                    "--agree wants none, or both m= and mps=, 0 or more or inf, and perhaps by=path or idm, keep=model "
                    "or driver, most= a whole number, scattered=0 or 1");
}
