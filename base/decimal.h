/// Decimal numbers of text that is stored or parsed, the same whatever the locale of the program that holds us: read
/// fast and to the last bit, printed with a point. Pure functions, thread-safe.
#ifndef NM_BASE_DECIMAL_H
#define NM_BASE_DECIMAL_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Reads all of `text` (white space around it is allowed) as a decimal number: sign, digits, point, digits, exponent.
/// Returns 1 and the double nearest to it, the same bits as strtod in the C locale; 0 when the text is anything else:
/// empty, hexadecimal, "nan", "inf", trailing characters. A number too large for a double gives infinity, as strtod
/// does: check with isfinite. `text` need not be terminated.
NM_API int nm_decimal_parse(const char *text, size_t length, double *value);

/// Reads all of `text` as a decimal integer of at most 18 digits; returns 0 when it is anything else.
NM_API int nm_decimal_parse_integer(const char *text, size_t length, int64_t *value);

typedef enum nm_decimal_style {
    NM_DECIMAL_FIXED = 0, ///< digits after the point, as %.*f
    NM_DECIMAL_SHORT      ///< significant digits, as %.*g
} nm_decimal_style;

/// What snprintf makes of `value` in the C locale: always terminated, cut when `size` is too small. digits in [0, 40].
/// Returns the length of the whole.
NM_API size_t nm_decimal_print(char *text, size_t size, nm_decimal_style style, int digits, double value);

/// The same with the fewest digits, at least `least`, that read back as `value`; with 17 (SHORT) or 40 (FIXED) where
/// none do, as of what is not finite.
NM_API size_t nm_decimal_print_exact(char *text, size_t size, nm_decimal_style style, int least, double value);

/// The double whose shortest decimal is the shortest that reads back as this float: 0.9, not 0.89999997615814209. What
/// is not finite stays what it is.
NM_API double nm_decimal_of_float(float value);

#ifdef __cplusplus
}
#endif
#endif
