/// Structured log: one line per event, "level component: message key=value ...", to a sink the program chooses.
/// The library logs through a handle given to it; there is no global logger.
#ifndef NM_BASE_LOG_H
#define NM_BASE_LOG_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_log_level { NM_LOG_DEBUG, NM_LOG_INFO, NM_LOG_WARN, NM_LOG_ERROR, NM_LOG_NONE } nm_log_level;

typedef struct nm_log nm_log;

/// Receives one finished line without newline. Calls are serialised by the log.
typedef void nm_log_sink(void *context, nm_log_level level, const char *line);

/// sink NULL = write to standard error. `json` writes {"level":..,"component":..,"message":..} lines instead of text.
NM_API nm_log *nm_log_create(nm_log_level threshold, int json, nm_log_sink *sink, void *context); ///< NULL: no memory
NM_API void nm_log_destroy(nm_log *log);                                                          ///< NULL is fine

/// Thread-safe. `log` NULL drops the message. Control characters in the message are escaped.
NM_API void nm_log_write(nm_log *log, nm_log_level level, const char *component, const char *format, ...)
    NM_PRINTF(4, 5);
/// Logs an error with its place.
NM_API void nm_log_error(nm_log *log, const char *component, const nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
