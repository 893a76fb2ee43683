#include "base/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char *const status_names[NM_STATUS_COUNT] = {
    [NM_OK] = "NM_OK",
    [NM_E_ARGUMENT] = "NM_E_ARGUMENT",
    [NM_E_MEMORY] = "NM_E_MEMORY",
    [NM_E_IO] = "NM_E_IO",
    [NM_E_FORMAT] = "NM_E_FORMAT",
    [NM_E_LIMIT] = "NM_E_LIMIT",
    [NM_E_UNSUPPORTED] = "NM_E_UNSUPPORTED",
    [NM_E_NUMERIC] = "NM_E_NUMERIC",
    [NM_E_NOT_FOUND] = "NM_E_NOT_FOUND",
    [NM_E_EXISTS] = "NM_E_EXISTS",
    [NM_E_BUSY] = "NM_E_BUSY",
    [NM_E_VERSION] = "NM_E_VERSION",
    [NM_E_CANCELLED] = "NM_E_CANCELLED",
};

const char *nm_status_name(nm_status status) {
    return (unsigned)status < NM_STATUS_COUNT ? status_names[status] : "NM_E_UNKNOWN";
}

void nm_error_clear(nm_error *error) {
    if (!error) return;
    *error = (nm_error){.code = NM_OK, .offset = -1};
}

/// Copies what fits, without cutting a UTF-8 character in two, and without trailing newlines.
static void copy_cut(char *out, size_t size, const char *text) {
    size_t length = strlen(text);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80) length--;
    }
    memcpy(out, text, length);
    while (length > 0 && (out[length - 1] == '\n' || out[length - 1] == '\r')) length--;
    out[length] = '\0';
}

/// `args` may point into `error`, as when a message is wrapped: everything is formatted before anything is overwritten.
static nm_status fill(nm_error *error, nm_status code, const char *file, int line, const char *input,
                      int64_t input_line, int64_t offset, const char *format, va_list args) {
    if (!error) return code;
    char message[sizeof error->message + 8]; // more than fits, so that copy_cut sees a cut character whole
    if (vsnprintf(message, sizeof message, format, args) < 0) message[0] = '\0';
    char name[sizeof error->input + 8] = "";
    if (input) snprintf(name, sizeof name, "%s", input);
    error->code = code;
    error->raised_in = file;
    error->raised_at = line;
    copy_cut(error->input, sizeof error->input, name);
    error->line = input_line;
    error->offset = offset;
    copy_cut(error->message, sizeof error->message, message);
    return code;
}

nm_status nm_error_fill(nm_error *error, nm_status code, const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(error, code, file, line, NULL, 0, -1, format, args);
    va_end(args);
    return code;
}

nm_status nm_error_fill_at(nm_error *error, nm_status code, const char *file, int line, const char *input,
                           int64_t input_line, int64_t offset, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(error, code, file, line, input, input_line, offset, format, args);
    va_end(args);
    return code;
}

void nm_error_format(const nm_error *error, char *text, size_t size) {
    if (size == 0) return;
    char place[64] = "";
    if (error->line > 0) {
        snprintf(place, sizeof place, "%s%" PRId64 ": ", error->input[0] ? "" : "line ", error->line);
    } else if (error->offset >= 0) {
        snprintf(place, sizeof place, "%soffset %" PRId64 ": ", error->input[0] ? " " : "", error->offset);
    } else if (error->input[0]) {
        snprintf(place, sizeof place, " ");
    }
    char whole[sizeof error->input + sizeof place + sizeof error->message];
    snprintf(whole, sizeof whole, "%s%s%s%s", error->input, error->input[0] ? ":" : "", place,
             error->message[0] ? error->message : nm_status_name(error->code));
    nm_text_escape(text, size, whole); // names and contents of files must not steer a terminal
}

/// The one piece of process-wide state in the library, as in assert(): a failed assertion has no object to ask.
static _Atomic(nm_assert_handler *) assert_handler;

void nm_set_assert_handler(nm_assert_handler *handler) {
    atomic_store(&assert_handler, handler);
}

void nm_assert_failed(const char *condition, const char *file, int line) {
    nm_assert_handler *handler = atomic_load(&assert_handler);
    if (handler) {
        handler(condition, file, line);
        return;
    }
    fprintf(stderr, "nearmiss: assertion failed: %s (%s:%d)\n", condition, file, line);
    abort();
}
