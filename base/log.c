#include "base/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

struct nm_log {
    pthread_mutex_t mutex;
    nm_log_level threshold;
    int json;
    nm_log_sink *sink;
    void *context;
};

/// Longer messages are cut: a log line is for people, and hostile input must not blow it up.
#define MESSAGE_MAX 2048
#define LINE_MAX_BYTES (6 * MESSAGE_MAX + 2048)

static const char *const level_names[NM_LOG_NONE + 1] = {"debug", "info", "warn", "error", "none"};

static void write_stderr(void *context, nm_log_level level, const char *line) {
    (void)context;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

nm_log *nm_log_create(nm_log_level threshold, int json, nm_log_sink *sink, void *context) {
    nm_log *log = calloc(1, sizeof *log);
    if (!log) return NULL;
    if (pthread_mutex_init(&log->mutex, NULL) != 0) {
        free(log);
        return NULL;
    }
    log->threshold = threshold;
    log->json = json;
    log->sink = sink ? sink : write_stderr;
    log->context = context;
    return log;
}

void nm_log_destroy(nm_log *log) {
    if (!log) return;
    pthread_mutex_destroy(&log->mutex);
    free(log);
}

/// `extra` are further JSON members, already written out with a leading comma; text lines do not show them.
static void emit(nm_log *log, nm_log_level level, const char *component, const char *message, const char *extra) {
    char line[LINE_MAX_BYTES], shown[6 * MESSAGE_MAX + 1], name[6 * 64 + 1];
    if (log->json) {
        nm_text_escape_json(shown, sizeof shown, message);
        nm_text_escape_json(name, sizeof name, component);
        snprintf(line, sizeof line, "{\"level\":\"%s\",\"component\":\"%s\",\"message\":\"%s\"%s}", level_names[level],
                 name, shown, extra);
    } else {
        nm_text_escape(shown, sizeof shown, message);
        nm_text_escape(name, sizeof name, component);
        snprintf(line, sizeof line, "%s %s: %s", level_names[level], name, shown);
    }
    pthread_mutex_lock(&log->mutex);
    log->sink(log->context, level, line);
    pthread_mutex_unlock(&log->mutex);
}

static int wanted(const nm_log *log, nm_log_level level) {
    return log && level >= log->threshold && level < NM_LOG_NONE;
}

void nm_log_write(nm_log *log, nm_log_level level, const char *component, const char *format, ...) {
    if (!wanted(log, level)) return;
    char message[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    if (vsnprintf(message, sizeof message, format, args) < 0) message[0] = '\0';
    va_end(args);
    emit(log, level, component, message, "");
}

void nm_log_error(nm_log *log, const char *component, const nm_error *error) {
    if (!wanted(log, NM_LOG_ERROR)) return;
    if (!log->json) {
        char text[MESSAGE_MAX];
        nm_error_format(error, text, sizeof text);
        emit(log, NM_LOG_ERROR, component, text, "");
        return;
    }
    char input[6 * sizeof error->input + 1], extra[sizeof input + 128];
    nm_text_escape_json(input, sizeof input, error->input);
    int used = snprintf(extra, sizeof extra, ",\"code\":\"%s\"", nm_status_name(error->code));
    if (error->input[0]) used += snprintf(extra + used, sizeof extra - (size_t)used, ",\"input\":\"%s\"", input);
    if (error->line > 0) {
        used += snprintf(extra + used, sizeof extra - (size_t)used, ",\"line\":%" PRId64, error->line);
    }
    if (error->offset >= 0) {
        snprintf(extra + used, sizeof extra - (size_t)used, ",\"offset\":%" PRId64, error->offset);
    }
    emit(log, NM_LOG_ERROR, component, error->message, extra);
}
