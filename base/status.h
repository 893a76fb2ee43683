/// Status codes, errors that say where, and the hookable assertion.
///
/// Three tiers, everywhere in the project:
///   1. a caller's bug (NULL where the contract forbids it, an index out of range)   -> NM_ASSERT
///   2. trouble of the environment (a bad file, a full disk, no memory)              -> nm_status + nm_error
///   3. numeric trouble (a state that became NaN)                                    -> counted and reported
/// A library function never prints and never exits.
#ifndef NM_BASE_STATUS_H
#define NM_BASE_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_status {
    NM_OK = 0,
    NM_E_ARGUMENT,    ///< an option or value that makes no sense
    NM_E_MEMORY,      ///< out of memory, or over a stated memory limit
    NM_E_IO,          ///< the operating system refused: open, read, write, full disk
    NM_E_FORMAT,      ///< the input breaks its format
    NM_E_LIMIT,       ///< the input is larger than a stated limit
    NM_E_UNSUPPORTED, ///< well-formed, but something this program does not do
    NM_E_NUMERIC,     ///< a value became NaN or infinite
    NM_E_NOT_FOUND,   ///< no such scene, file, lane, ...
    NM_E_EXISTS,      ///< it is there already
    NM_E_BUSY,        ///< somebody else holds the lock
    NM_E_VERSION,     ///< made by a newer program
    NM_E_CANCELLED,   ///< the caller asked to stop
    NM_STATUS_COUNT
} nm_status;

/// Where and why something failed. Plain data: copy it freely, nothing to release.
typedef struct nm_error {
    nm_status code;
    const char *raised_in; ///< source file of this project that raised it (static string), or NULL
    int raised_at;         ///< and its line
    char input[256];       ///< file (or "archive!member") the trouble was found in; "" = none
    int64_t line;          ///< line of that file, from 1; 0 = unknown
    int64_t offset;        ///< byte offset in that file; -1 = unknown
    char message[512];     ///< what is wrong, one sentence, no trailing newline
} nm_error;

/// Short stable name of a code, such as "NM_E_FORMAT". Never NULL.
NM_API const char *nm_status_name(nm_status status);

/// Clears `error` (nullable) to NM_OK.
NM_API void nm_error_clear(nm_error *error);

/// Fills `error` (nullable) with a formatted message and returns `code`, so that `return nm_error_set(...)` reads well.
/// Call through the macros below, which add the place in the source.
NM_API nm_status nm_error_fill(nm_error *error, nm_status code, const char *file, int line, const char *format, ...)
    NM_PRINTF(5, 6);

/// The same, with the place in the input. `input` nullable; `input_line` 0 and `offset` -1 mean unknown.
NM_API nm_status nm_error_fill_at(nm_error *error, nm_status code, const char *file, int line, const char *input,
                                  int64_t input_line, int64_t offset, const char *format, ...) NM_PRINTF(8, 9);

#define NM_ERROR(error, code, ...) nm_error_fill((error), (code), __FILE__, __LINE__, __VA_ARGS__)
#define NM_ERROR_AT(error, code, input, input_line, offset, ...)                                                       \
    nm_error_fill_at((error), (code), __FILE__, __LINE__, (input), (input_line), (offset), __VA_ARGS__)

/// Writes "INPUT:LINE: MESSAGE" (or with "offset N" where only that is known) into `text`. Always terminated.
NM_API void nm_error_format(const nm_error *error, char *text, size_t size);

/// Called for a failed NM_ASSERT. The default writes one line to standard error and aborts. Not for recoverable errors.
typedef void nm_assert_handler(const char *condition, const char *file, int line);
NM_API void nm_set_assert_handler(nm_assert_handler *handler); ///< NULL restores the default; set before threads start
NM_API void nm_assert_failed(const char *condition, const char *file, int line);

/// Checked in every build: for conditions that cost nothing. NM_DEBUG_ASSERT vanishes under NDEBUG: for hot loops.
#define NM_ASSERT(condition) ((condition) ? (void)0 : nm_assert_failed(#condition, __FILE__, __LINE__))
#ifdef NDEBUG
#define NM_DEBUG_ASSERT(condition) ((void)0)
#else
#define NM_DEBUG_ASSERT(condition) NM_ASSERT(condition)
#endif

#ifdef __cplusplus
}
#endif
#endif
