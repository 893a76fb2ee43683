#include "dataset/events.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "dataset/protos/event.pb-c.h"
#include "dataset/tfrecord.h"

#define SESSION_START 1
#define NAMES 10000u // tried for a file

struct nm_event_writer {
    char *path;
    FILE *file;
    nm_event_clock *clock;
    void *context;
    int failed;
    uint8_t *record; // scratch
    size_t record_capacity;
    Tfevents__Value *values; // scratch: [value_capacity] values, and pointers to them
    Tfevents__Value **pointers;
    size_t value_capacity;
};

static double system_clock(void *context) {
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

nm_event_config nm_event_config_default(void) {
    return (nm_event_config){.first_step = 0};
}

static nm_status no_memory(const char *path, nm_error *error) {
    return NM_ERROR_AT(error, NM_E_MEMORY, path, 0, -1, "no memory to write events");
}

static nm_status system_error(const char *path, nm_error *error) {
    const int code = errno ? errno : EIO;
    return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "can not be written: %s", strerror(code));
}

// --- records ---------------------------------------------------------------------------------------------------------

static nm_status write_event(nm_event_writer *w, const Tfevents__Event *event, nm_error *error) {
    if (w->failed) return NM_ERROR_AT(error, NM_E_IO, w->path, 0, -1, "could not be written before");
    const size_t size = tfevents__event__get_packed_size(event);
    if (size > w->record_capacity) {
        uint8_t *grown = realloc(w->record, 2 * size);
        if (!grown) return no_memory(w->path, error);
        w->record = grown;
        w->record_capacity = 2 * size;
    }
    tfevents__event__pack(event, w->record);
    const nm_status status = nm_tfrecord_write(w->file, w->path, w->record, size, error);
    w->failed = status != NM_OK;
    return status;
}

static Tfevents__Event event_at(const nm_event_writer *w, int64_t step) {
    Tfevents__Event event = TFEVENTS__EVENT__INIT;
    event.has_wall_time = 1;
    event.wall_time = w->clock(w->context);
    event.has_step = step != 0;
    event.step = step;
    return event;
}

static nm_status write_beginning(nm_event_writer *w, int64_t first_step, nm_error *error) {
    static char version[] = "brain.Event:2";
    Tfevents__Event event = event_at(w, 0);
    event.file_version = version;
    nm_status status = write_event(w, &event, error);
    if (status == NM_OK && first_step > 0) {
        Tfevents__SessionLog log = TFEVENTS__SESSION_LOG__INIT;
        log.has_status = 1;
        log.status = SESSION_START;
        event = event_at(w, first_step);
        event.session_log = &log;
        status = write_event(w, &event, error);
    }
    return status == NM_OK ? nm_event_writer_flush(w, error) : status;
}

static int is_tag(const char *tag) {
    size_t left = strlen(tag);
    if (left == 0) return 0;
    while (left > 0) {
        const size_t bytes = nm_utf8_next(tag, left);
        if (bytes == 0) return 0;
        tag += bytes;
        left -= bytes;
    }
    return 1;
}

static nm_status reserve_values(nm_event_writer *w, size_t count, nm_error *error) {
    if (count <= w->value_capacity) return NM_OK;
    Tfevents__Value *values = calloc(count, sizeof *values);
    Tfevents__Value **pointers = calloc(count, sizeof *pointers);
    if (!values || !pointers) {
        free(values);
        free(pointers);
        return no_memory(w->path, error);
    }
    free(w->values);
    free(w->pointers);
    w->values = values;
    w->pointers = pointers;
    w->value_capacity = count;
    for (size_t i = 0; i < count; i++) pointers[i] = &values[i];
    return NM_OK;
}

nm_status nm_event_writer_scalars(nm_event_writer *w, int64_t step, const nm_event_scalar *scalars, size_t count,
                                  nm_error *error) {
    NM_ASSERT(w && (scalars || count == 0));
    if (step < 0) return NM_ERROR_AT(error, NM_E_ARGUMENT, w->path, 0, -1, "a step of %" PRId64, step);
    for (size_t i = 0; i < count; i++)
        if (!is_tag(scalars[i].tag))
            return NM_ERROR_AT(error, NM_E_ARGUMENT, w->path, 0, -1, "a tag that is empty or not UTF-8");
    nm_status status = reserve_values(w, count, error);
    if (status != NM_OK || count == 0) return status;
    for (size_t i = 0; i < count; i++) {
        tfevents__value__init(&w->values[i]);
        w->values[i].tag = (char *)(uintptr_t)scalars[i].tag; // only read
        w->values[i].has_simple_value = 1;
        w->values[i].simple_value = scalars[i].value;
    }
    Tfevents__Summary summary = TFEVENTS__SUMMARY__INIT;
    summary.n_value = count;
    summary.value = w->pointers;
    Tfevents__Event event = event_at(w, step);
    event.summary = &summary;
    return write_event(w, &event, error);
}

nm_status nm_event_writer_scalar(nm_event_writer *w, const char *tag, int64_t step, float value, nm_error *error) {
    return nm_event_writer_scalars(w, step, &(nm_event_scalar){tag, value}, 1, error);
}

// --- files -----------------------------------------------------------------------------------------------------------

static void host_name(const nm_event_config *config, char *out, size_t size) {
    if (config->host)
        snprintf(out, size, "%s", config->host);
    else if (gethostname(out, size) != 0)
        out[0] = '\0';
    out[size - 1] = '\0'; // a long one may come without
    for (char *c = out; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '.' ||
              *c == '-'))
            *c = '_';
    if (!out[0]) snprintf(out, size, "host");
}

/// Creates a file under a name that nobody has.
static nm_status open_file(nm_event_writer *w, const char *folder, const nm_event_config *config, nm_error *error) {
    char host[65];
    host_name(config, host, sizeof host);
    const size_t size = strlen(folder) + 200;
    w->path = malloc(size);
    if (!w->path) return no_memory(folder, error);
    const int64_t seconds = (int64_t)w->clock(w->context);
    int file = -1;
    errno = EEXIST;
    for (unsigned i = 0; file < 0 && errno == EEXIST && i < NAMES; i++) {
        snprintf(w->path, size, "%s/events.out.tfevents.%010" PRId64 ".%s.%ld.%u", folder, seconds, host,
                 (long)getpid(), i);
        file = open(w->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (file < 0) return system_error(w->path, error);
    w->file = fdopen(file, "wb");
    if (!w->file) close(file);
    return w->file ? NM_OK : no_memory(w->path, error);
}

nm_status nm_event_writer_create(const char *folder, const nm_event_config *config, nm_event_writer **writer,
                                 nm_error *error) {
    NM_ASSERT(folder && writer);
    const nm_event_config standard = nm_event_config_default();
    *writer = NULL;
    if (!config) config = &standard;
    if (config->first_step < 0)
        return NM_ERROR_AT(error, NM_E_ARGUMENT, folder, 0, -1, "a first step of %" PRId64, config->first_step);
    nm_event_writer *w = calloc(1, sizeof *w);
    if (!w) return no_memory(folder, error);
    w->clock = config->clock ? config->clock : system_clock;
    w->context = config->context;
    nm_status status = open_file(w, folder, config, error);
    if (status == NM_OK) {
        status = write_beginning(w, config->first_step, error);
        if (status != NM_OK) unlink(w->path); // not even begun
    }
    if (status == NM_OK)
        *writer = w;
    else
        nm_event_writer_destroy(w);
    return status;
}

const char *nm_event_writer_path(const nm_event_writer *w) {
    return w->path;
}

nm_status nm_event_writer_flush(nm_event_writer *w, nm_error *error) {
    if (w->failed) return NM_ERROR_AT(error, NM_E_IO, w->path, 0, -1, "could not be written before");
    errno = 0;
    if (fflush(w->file) == 0) return NM_OK;
    w->failed = 1;
    return system_error(w->path, error);
}

void nm_event_writer_destroy(nm_event_writer *w) {
    if (!w) return;
    if (w->file) fclose(w->file);
    free(w->path);
    free(w->record);
    free(w->values);
    free(w->pointers);
    free(w);
}
