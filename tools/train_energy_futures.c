#include "tools/train_energy_futures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"

/// Before the first moment.
typedef struct head {
    char magic[8];
    nm_energy_futures_key key;
    uint64_t check; ///< of what is before it
} head;

/// Before the values of each.
typedef struct record {
    uint64_t index, count;
    uint64_t check; ///< of the two above and the values
} record;

struct nm_energy_futures {
    char path[4200];
    FILE *file;
    uint64_t index; ///< of the next moment
    int complete;   ///< none is left: the file ends where it is
    float *values;  ///< [room]
    size_t room;
};

static const char magic[8] = {'N', 'M', 'F', 'U', 'T', 'R', '0', '1'};

static nm_status failed(const nm_energy_futures *f, nm_error *error) {
    return NM_ERROR(error, NM_E_IO, "%s: %s", f->path, strerror(errno));
}

static nm_status no_futures(const nm_energy_futures *f, nm_error *error) {
    return NM_ERROR(error, NM_E_EXISTS, "%s is there and holds no futures: train into another folder", f->path);
}

static uint64_t check_of_head(const head *h) {
    return nm_hash_bytes(h, offsetof(head, check), 0);
}

static uint64_t check_of_record(const record *r, const float *values) {
    return nm_hash_bytes(values, (size_t)r->count * sizeof *values, nm_hash_bytes(r, offsetof(record, check), 0));
}

/// Cuts the file at `end`, where it is written from then on.
static nm_status cut(nm_energy_futures *f, long end, nm_error *error) {
    clearerr(f->file);
    if (fflush(f->file) != 0 || ftruncate(fileno(f->file), end) != 0 || fseek(f->file, end, SEEK_SET) != 0)
        return failed(f, error);
    return NM_OK;
}

/// All or nothing: what is half-written is cut off again, or by the next process.
static nm_status write_all(nm_energy_futures *f, const void *first, size_t first_size, const void *rest,
                           size_t rest_size, nm_error *error) {
    const long end = ftell(f->file);
    if (end < 0) return failed(f, error);
    if (fwrite(first, 1, first_size, f->file) == first_size &&
        (!rest_size || fwrite(rest, 1, rest_size, f->file) == rest_size) && fflush(f->file) == 0)
        return NM_OK;
    const nm_status status = failed(f, error);
    nm_error ignored;
    (void)cut(f, end, &ignored);
    return status;
}

static nm_status begin(nm_energy_futures *f, const nm_energy_futures_key *key, nm_error *error) {
    head h = {.key = *key}, there;
    memcpy(h.magic, magic, sizeof magic);
    h.check = check_of_head(&h);
    const size_t size = fread(&there, 1, sizeof there, f->file);
    if (ferror(f->file)) return failed(f, error);
    if (size < sizeof there && memcmp(&there, &h, size) == 0) { // new, or somebody was killed before anything was in it
        const nm_status status = cut(f, 0, error);
        return status == NM_OK ? write_all(f, &h, sizeof h, NULL, 0, error) : status;
    }
    if (size < sizeof there || memcmp(there.magic, magic, sizeof magic) != 0 || there.check != check_of_head(&there))
        return no_futures(f, error);
    if (there.key.model != key->model)
        return NM_ERROR(error, NM_E_ARGUMENT, "%s holds futures of another model: train into another folder", f->path);
    if (there.key.sampling != key->sampling)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "%s holds futures of other moments, or sampled otherwise: train into another folder", f->path);
    return NM_OK;
}

/// Of anything but a regular file nothing is read: a pipe would be waited for without end.
static nm_status open_file(nm_energy_futures *f, nm_error *error) {
    struct stat is;
    const int descriptor = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (descriptor < 0) return errno == EISDIR || errno == ENXIO ? no_futures(f, error) : failed(f, error);
    nm_status status = fstat(descriptor, &is) != 0 ? failed(f, error) : NM_OK;
    if (status == NM_OK && !S_ISREG(is.st_mode)) status = no_futures(f, error);
    if (status == NM_OK && !(f->file = fdopen(descriptor, "r+"))) status = failed(f, error);
    if (status != NM_OK) close(descriptor);
    return status;
}

nm_status nm_energy_futures_open(const char *folder, const nm_energy_futures_key *key, nm_energy_futures **file,
                                 nm_error *error) {
    *file = NULL;
    nm_energy_futures *f = calloc(1, sizeof *f);
    if (!f) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the futures of an energy");
    snprintf(f->path, sizeof f->path, "%s/futures.bin", folder);
    nm_status status = open_file(f, error);
    if (status != NM_OK) {
        free(f);
        return status;
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; // the whole file, until it is closed
    if (fcntl(fileno(f->file), F_SETLK, &lock) != 0 && (errno == EACCES || errno == EAGAIN))
        status = NM_ERROR(error, NM_E_BUSY, "%s: another process trains in this folder", f->path);
    if (status == NM_OK) status = begin(f, key, error);
    if (status == NM_OK)
        *file = f;
    else
        nm_energy_futures_close(f);
    return status;
}

void nm_energy_futures_close(nm_energy_futures *f) {
    if (!f) return;
    fclose(f->file); // all is written
    free(f->values);
    free(f);
}

/// Values that the file has from here on at most: a count that is damaged is not believed.
static uint64_t most_values(const nm_energy_futures *f, long at) {
    const off_t end = lseek(fileno(f->file), 0, SEEK_END);
    return end > at ? (uint64_t)(end - at) / sizeof(float) : 0;
}

static nm_status make_room(nm_energy_futures *f, size_t count, nm_error *error) {
    if (count <= f->room) return NM_OK;
    float *grown = realloc(f->values, count * sizeof *grown);
    if (!grown) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the futures of an energy");
    f->values = grown;
    f->room = count;
    return NM_OK;
}

nm_status nm_energy_futures_next(nm_energy_futures *f, const float **values, size_t *count, nm_error *error) {
    record r;
    const long at = f->complete ? 0 : ftell(f->file);
    if (f->complete) return NM_ERROR(error, NM_E_NOT_FOUND, "%s: no moment is left", f->path);
    if (at < 0) return failed(f, error);
    int good = fread(&r, sizeof r, 1, f->file) == 1 && r.index == f->index;
    if (good) {
        const long behind = ftell(f->file);
        good = r.count <= most_values(f, behind);
        if (fseek(f->file, behind, SEEK_SET) != 0) return failed(f, error);
    }
    const nm_status status = good ? make_room(f, (size_t)r.count, error) : NM_OK;
    if (status != NM_OK) return status;
    good = good && fread(f->values, sizeof *f->values, (size_t)r.count, f->file) == r.count &&
           check_of_record(&r, f->values) == r.check;
    if (ferror(f->file)) return failed(f, error);
    if (good) {
        *values = f->values;
        *count = (size_t)r.count;
        f->index++;
        return NM_OK;
    }
    f->complete = 1;
    const nm_status cleared = cut(f, at, error);
    return cleared == NM_OK ? NM_ERROR(error, NM_E_NOT_FOUND, "%s: no moment is left", f->path) : cleared;
}

nm_status nm_energy_futures_add(nm_energy_futures *f, const float *values, size_t count, nm_error *error) {
    NM_ASSERT(f->complete);
    record r = {.index = f->index, .count = count};
    r.check = check_of_record(&r, values);
    const nm_status status = write_all(f, &r, sizeof r, values, count * sizeof *values, error);
    if (status == NM_OK) f->index++;
    return status;
}
