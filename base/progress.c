#define _GNU_SOURCE // TIOCGWINSZ
#include "base/progress.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define REDRAW_SECONDS 0.1
#define BAR_WIDTH 10

struct nm_progress {
    atomic_uint_least64_t done;
    uint64_t total;
    double started;
    pthread_mutex_t mutex; ///< guards what is below
    double drawn;          ///< when the line was last drawn
    char title[32];
    char unit[16];
    char note[64];
};

double nm_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/// snprintf to the end of a text that may be full already.
static void add(char *text, size_t size, size_t *used, const char *format, ...) NM_PRINTF(4, 5);
static void add(char *text, size_t size, size_t *used, const char *format, ...) {
    if (*used + 1 >= size) return;
    va_list args;
    va_start(args, format);
    const int wrote = vsnprintf(text + *used, size - *used, format, args);
    va_end(args);
    if (wrote > 0) *used += (size_t)wrote;
}

/// A number of about three digits: 21.0, 340, 12.3k, 8.1M.
static void add_rate(char *text, size_t size, size_t *used, double rate, const char *unit) {
    const char *suffix = "";
    if (rate >= 1e6) {
        rate *= 1e-6;
        suffix = "M";
    } else if (rate >= 1e4) {
        rate *= 1e-3;
        suffix = "k";
    }
    add(text, size, used, "  %.*f%s %s/s", rate < 100.0 ? 1 : 0, rate, suffix, unit);
}

static void add_time_left(char *text, size_t size, size_t *used, double seconds) {
    const double days_10 = 864000.0; // beyond that the guess says nothing
    if (!isfinite(seconds) || seconds < 0.0 || seconds > days_10) return;
    const unsigned long whole = (unsigned long)seconds;
    if (whole >= 3600) {
        add(text, size, used, "  %lu:%02lu:%02lu left", whole / 3600, whole / 60 % 60, whole % 60);
    } else {
        add(text, size, used, "  %lu:%02lu left", whole / 60, whole % 60);
    }
}

void nm_progress_format(char *text, size_t size, const char *title, const char *unit, uint64_t done, uint64_t total,
                        double seconds, const char *note) {
    if (size == 0) return;
    text[0] = '\0';
    size_t used = 0;
    add(text, size, &used, "%s", title);
    if (total > 0) {
        const double part = done >= total ? 1.0 : (double)done / (double)total;
        char bar[BAR_WIDTH + 1];
        memset(bar, ' ', BAR_WIDTH);
        memset(bar, '=', (size_t)(part * BAR_WIDTH));
        bar[BAR_WIDTH] = '\0';
        add(text, size, &used, " %3d%% [%s] %" PRIu64 "/%" PRIu64 " %s", (int)(part * 100.0), bar, done, total, unit);
    } else {
        add(text, size, &used, " %" PRIu64 " %s", done, unit);
    }
    if (seconds > 0.0 && done > 0) {
        const double rate = (double)done / seconds;
        add_rate(text, size, &used, rate, unit);
        if (total > done) add_time_left(text, size, &used, (double)(total - done) / rate);
    }
    if (note && note[0]) add(text, size, &used, "  %s", note);
}

nm_progress *nm_progress_start(const char *title, const char *unit, uint64_t total, int quiet) {
    if (quiet || !isatty(STDERR_FILENO)) return NULL;
    nm_progress *progress = calloc(1, sizeof *progress);
    if (!progress) return NULL;
    if (pthread_mutex_init(&progress->mutex, NULL) != 0) {
        free(progress);
        return NULL;
    }
    atomic_init(&progress->done, 0);
    progress->total = total;
    progress->started = nm_clock();
    nm_text_escape(progress->title, sizeof progress->title, title);
    nm_text_escape(progress->unit, sizeof progress->unit, unit);
    return progress;
}

static size_t terminal_columns(void) {
    struct winsize window;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col < 20) return 80;
    return window.ws_col;
}

/// Cuts `text` to `columns` characters, so that a line never wraps: "\r" could not take a wrapped one back.
static void cut_columns(char *text, size_t columns) {
    for (; *text; text++) {
        const int begins_character = ((unsigned char)*text & 0xc0) != 0x80;
        if (begins_character && columns-- == 0) break;
    }
    *text = '\0';
}

static void draw(nm_progress *progress, double now) {
    char line[256];
    nm_progress_format(line, sizeof line, progress->title, progress->unit, atomic_load(&progress->done),
                       progress->total, now - progress->started, progress->note);
    cut_columns(line, terminal_columns() - 1);
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    progress->drawn = now;
}

void nm_progress_add(nm_progress *progress, uint64_t done) {
    if (!progress) return;
    atomic_fetch_add(&progress->done, done);
    if (pthread_mutex_trylock(&progress->mutex) != 0) return; // somebody draws just now
    const double now = nm_clock();
    if (now - progress->drawn >= REDRAW_SECONDS) draw(progress, now);
    pthread_mutex_unlock(&progress->mutex);
}

void nm_progress_note(nm_progress *progress, const char *text) {
    if (!progress) return;
    pthread_mutex_lock(&progress->mutex);
    nm_text_escape(progress->note, sizeof progress->note, text);
    pthread_mutex_unlock(&progress->mutex);
}

void nm_progress_finish(nm_progress *progress) {
    if (!progress) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    pthread_mutex_destroy(&progress->mutex);
    free(progress);
}
