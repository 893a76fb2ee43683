/// Decimal numbers of text formats, read fast and to the last bit. Private to dataset/.
#ifndef NM_DATASET_DECIMAL_H
#define NM_DATASET_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

/// Reads all of `text` (white space around it is allowed) as a decimal number: sign, digits, point, digits, exponent.
/// Returns 1 and the double nearest to it, the same bits as strtod in the C locale, whatever the locale; 0 when the
/// text is anything else: empty, hexadecimal, "nan", "inf", trailing characters. A number too large for a double gives
/// infinity, as strtod does: check with isfinite. `text` need not be terminated. Thread-safe.
int nm_decimal_parse(const char *text, size_t length, double *value);

/// Reads all of `text` as a decimal integer of at most 18 digits; returns 0 when it is anything else.
int nm_decimal_parse_integer(const char *text, size_t length, int64_t *value);

#endif
