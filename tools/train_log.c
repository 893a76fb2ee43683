#include "tools/train_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char step_header[] = "step,loss,gradient_norm,rate,scenes,tokens,seconds,gflops\n";
static const char validation_header[] = "step,loss,average_loss\n";

struct nm_train_log {
    char folder[4096];
    FILE *steps, *validation;
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
    return NM_OK;
}

nm_status nm_train_log_validation(nm_train_log *l, uint64_t step, double loss, double average_loss, nm_error *error) {
    if (fprintf(l->validation, "%" PRIu64 ",%.9g,%.9g\n", step, loss, average_loss) < 0)
        return fail(l, "validation.csv", error);
    return NM_OK;
}

nm_status nm_train_log_flush(nm_train_log *l, nm_error *error) {
    if (fflush(l->steps) != 0 || fsync(fileno(l->steps)) != 0) return fail(l, "log.csv", error);
    if (fflush(l->validation) != 0 || fsync(fileno(l->validation)) != 0) return fail(l, "validation.csv", error);
    return NM_OK;
}

void nm_train_log_close(nm_train_log *l) {
    if (!l) return;
    if (l->steps) fclose(l->steps);
    if (l->validation) fclose(l->validation);
    free(l);
}
