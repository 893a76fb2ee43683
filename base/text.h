/// Text from files and command lines made safe to show: no control characters reach a terminal, no invalid UTF-8 gets
/// into JSON. Pure functions, safe everywhere.
#ifndef NM_BASE_TEXT_H
#define NM_BASE_TEXT_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Bytes of the UTF-8 character that `text` begins with; 0 when the first bytes of the `length` are not one (overlong
/// forms, surrogates and values over U+10FFFF are not).
NM_API size_t nm_utf8_next(const char *text, size_t length);

/// Copies `text` for people to read: control characters (C0, DEL, C1) become \n, \t, \r or \xNN, bytes that are not
/// UTF-8 become \xNN. Always terminated; cut between characters when `size` is too small. Returns the bytes written
/// without the terminator. At most 4 bytes out for each byte in.
NM_API size_t nm_text_escape(char *out, size_t size, const char *text);

/// The same for the inside of a JSON string: RFC 8259 escapes, U+FFFD for bytes that are not UTF-8. At most 6 bytes out
/// for each byte in.
NM_API size_t nm_text_escape_json(char *out, size_t size, const char *text);

/// Columns a terminal needs for `text`: one per UTF-8 character.
NM_API size_t nm_text_columns(const char *text);

/// The last part of a path, or of "archive!member": what follows the last '/' or '!' that is not its last character.
/// Points into `path`.
NM_API const char *nm_base_name(const char *path);

/// Edit distance with adjacent transpositions (Damerau 1964, restricted form), for "did you mean". Texts are compared
/// up to their first 64 bytes.
NM_API size_t nm_text_distance(const char *a, const char *b);

#ifdef __cplusplus
}
#endif
#endif
