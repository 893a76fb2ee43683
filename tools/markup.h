/// Text from outside into HTML and XML, and pictures into HTML.
#ifndef NM_TOOLS_MARKUP_H
#define NM_TOOLS_MARKUP_H

#include <stdint.h>
#include <stdio.h>

/// Writes `text` so that it stands for itself, as text or between quotes of either kind: & < > " ' and line ends become
/// references; what XML 1.0 does not allow (control characters, U+FFFE, U+FFFF) and bytes that are not UTF-8 become
/// U+FFFD.
void nm_markup_text(FILE *file, const char *text);

/// RFC 4648, padded, in one line.
void nm_markup_base64(FILE *file, const uint8_t *bytes, size_t count);

#endif
