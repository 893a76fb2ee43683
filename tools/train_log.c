#include "tools/train_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataset/events.h"
#ifndef NM_NO_PICTURES
#include "render/plot.h"
#endif

static const char step_header[] = "step,loss,gradient_norm,rate,scenes,tokens,seconds,gflops\n";
static const char validation_header[] = "step,loss,average_loss\n";

struct nm_train_log {
    char folder[4096];
    FILE *steps, *validation;
    nm_event_writer *events;
};

static nm_status fail(const nm_train_log *log, const char *name, nm_error *error) {
    return NM_ERROR(error, NM_E_IO, "%s/%s: %s", log->folder, name, strerror(errno));
}

/// Where the rows of steps up to `step` end; the header is row 0. A last row without an end is not taken. -1: the file
/// begins with something else than the header, or some of it.
static long end_of_rows(FILE *file, uint64_t step, const char *header) {
    char line[512];
    if (!fgets(line, sizeof line, file)) return 0;
    if (strcmp(line, header) != 0) return strncmp(line, header, strlen(line)) == 0 ? 0 : -1;
    long end = ftell(file);
    while (fgets(line, sizeof line, file) && strchr(line, '\n')) {
        if (strtoull(line, NULL, 10) > step) break;
        end = ftell(file);
    }
    return end;
}

static nm_status open_file(nm_train_log *log, const char *name, uint64_t step, const char *header, FILE **out,
                           nm_error *error) {
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", log->folder, name);
    FILE *file = fopen(path, "r+");
    if (!file && errno == ENOENT) file = fopen(path, "w+");
    if (!file) return fail(log, name, error);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; // the whole file, until it is closed
    if (fcntl(fileno(file), F_SETLK, &lock) != 0 && (errno == EACCES || errno == EAGAIN)) {
        fclose(file);
        return NM_ERROR(error, NM_E_BUSY, "%s: another process trains in this folder", path);
    }
    const long end = end_of_rows(file, step, header);
    if (end < 0) {
        fclose(file);
        return NM_ERROR(error, NM_E_EXISTS, "%s is there and no log of a training run: train into another folder",
                        path);
    }
    int bad = fflush(file) != 0 || ftruncate(fileno(file), end) != 0 || fseek(file, end, SEEK_SET) != 0;
    if (!bad && end == 0) bad = fputs(header, file) < 0;
    if (bad) {
        const nm_status status = fail(log, name, error);
        fclose(file);
        return status;
    }
    *out = file;
    return NM_OK;
}

nm_status nm_train_log_open(const char *folder, uint64_t step, nm_train_log **log, nm_error *error) {
    *log = NULL;
    nm_train_log *l = calloc(1, sizeof *l);
    if (!l) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a log");
    snprintf(l->folder, sizeof l->folder, "%s", folder);
    nm_status status = open_file(l, "log.csv", step, step_header, &l->steps, error);
    if (status == NM_OK) status = open_file(l, "validation.csv", step, validation_header, &l->validation, error);
    nm_event_config events = nm_event_config_default();
    events.first_step = step ? (int64_t)step + 1 : 0;
    if (status == NM_OK) status = nm_event_writer_create(folder, &events, &l->events, error);
    if (status == NM_OK)
        *log = l;
    else
        nm_train_log_close(l);
    return status;
}

nm_status nm_train_log_step(nm_train_log *l, const nm_train_report *r, double seconds, nm_error *error) {
    const double gflops = 3e-9 * r->flops / seconds;
    if (fprintf(l->steps, "%" PRIu64 ",%.9g,%.9g,%.9g,%" PRIu64 ",%" PRIu64 ",%.6f,%.1f\n", r->step, r->loss, r->norm,
                (double)r->rate, r->scenes, r->tokens, seconds, gflops) < 0)
        return fail(l, "log.csv", error);
    const nm_event_scalar scalars[] = {{"loss/train", (float)r->loss},
                                       {"gradient_norm", (float)r->norm},
                                       {"rate", r->rate},
                                       {"speed/scenes_per_s", (float)((double)r->scenes / seconds)},
                                       {"speed/gflops", (float)gflops}};
    return nm_event_writer_scalars(l->events, (int64_t)r->step, scalars, sizeof scalars / sizeof *scalars, error);
}

nm_status nm_train_log_validation(nm_train_log *l, uint64_t step, double loss, double average_loss, nm_error *error) {
    if (fprintf(l->validation, "%" PRIu64 ",%.9g,%.9g\n", step, loss, average_loss) < 0)
        return fail(l, "validation.csv", error);
    const nm_event_scalar scalars[] = {{"loss/validation", (float)loss},
                                       {"loss/validation_average", (float)average_loss}};
    return nm_event_writer_scalars(l->events, (int64_t)step, scalars, sizeof scalars / sizeof *scalars, error);
}

#ifndef NM_NO_PICTURES
/// Two columns of a CSV file. Returns the number of rows; arrays are the caller's, NULL without memory.
static size_t read_columns(FILE *file, double **steps, double *columns[2]) {
    char line[512];
    size_t count = 0, capacity = 0;
    *steps = columns[0] = columns[1] = NULL;
    rewind(file);
    if (!fgets(line, sizeof line, file)) return 0;
    while (fgets(line, sizeof line, file)) {
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 1024;
            double *grown[3] = {realloc(*steps, capacity * sizeof **steps),
                                realloc(columns[0], capacity * sizeof **columns),
                                realloc(columns[1], capacity * sizeof **columns)};
            if (grown[0]) *steps = grown[0];
            if (grown[1]) columns[0] = grown[1];
            if (grown[2]) columns[1] = grown[2];
            if (!grown[0] || !grown[1] || !grown[2]) break;
        }
        char *next;
        (*steps)[count] = strtod(line, &next);
        columns[0][count] = strtod(next + (*next == ','), &next);
        columns[1][count] = strtod(next + (*next == ','), NULL);
        count++;
    }
    fseek(file, 0, SEEK_END);
    return count;
}

/// The training loss is that of a few examples each: its moving average is what one wants to see.
static void smooth(double *values, size_t count) {
    for (size_t i = 1; i < count; ++i) values[i] = values[i - 1] + 0.05 * (values[i] - values[i - 1]);
}

/// A picture is no reason to end a run: where it can not be drawn (no font) there is none.
static void draw_curves(nm_train_log *l) {
    double *steps, *train[2], *held_steps, *held[2];
    char path[4200];
    const size_t count = read_columns(l->steps, &steps, train),
                 held_count = read_columns(l->validation, &held_steps, held);
    if (train[0]) smooth(train[0], count);
    const nm_plot_series series[] = {{"training, smoothed", steps, train[0], count},
                                     {"validation", held_steps, held[0], held_count},
                                     {"validation, averaged weights", held_steps, held[1], held_count}};
    nm_plot plot = nm_plot_default();
    plot.title = "Loss";
    plot.x.label = "step";
    plot.y.logarithmic = 1;
    plot.series = series;
    plot.series_count = held_count ? 3 : 1;
    nm_error ignored;
    snprintf(path, sizeof path, "%s/curves.png", l->folder);
    if (count) nm_plot_png(&plot, path, &ignored);
    void *parts[] = {steps, train[0], train[1], held_steps, held[0], held[1]};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) free(parts[i]);
}
#endif

nm_status nm_train_log_flush(nm_train_log *l, nm_error *error) {
    if (fflush(l->steps) != 0 || fsync(fileno(l->steps)) != 0) return fail(l, "log.csv", error);
    if (fflush(l->validation) != 0 || fsync(fileno(l->validation)) != 0) return fail(l, "validation.csv", error);
#ifndef NM_NO_PICTURES
    draw_curves(l);
#endif
    return nm_event_writer_flush(l->events, error);
}

void nm_train_log_close(nm_train_log *l) {
    if (!l) return;
    if (l->steps) fclose(l->steps);
    if (l->validation) fclose(l->validation);
    nm_event_writer_destroy(l->events);
    free(l);
}
