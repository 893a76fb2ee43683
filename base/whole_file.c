#define _GNU_SOURCE // sync_file_range
#include "base/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"

#define LINKS_MOST 40 ///< one behind the other, as Linux has it
#define NAME_MOST 200 ///< bytes of a file's name that its temporary one repeats
#define TARGET_MOST 4096
#define TRIES_MOST 100 ///< names that somebody else has

static void release(nm_whole_file *file) {
    free(file->path);
    free(file->target);
    free(file->temporary);
    memset(file, 0, sizeof *file);
}

static nm_status refuse(nm_whole_file *file, int code, nm_error *error) {
    const char *why = code == ESPIPE ? "it is a pipe, in which there is no going back" : strerror(code ? code : EIO);
    const nm_status status =
        NM_ERROR_AT(error, code == ENOMEM ? NM_E_MEMORY : NM_E_IO, file->path, 0, -1, "can not be written: %s", why);
    release(file);
    return status;
}

static char *copy_of(const char *text, size_t length, size_t more) {
    char *copy = malloc(length + more + 1);
    if (!copy) return NULL;
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

/// Bytes up to the name within a path, the last slash included.
static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/// What a link at the end of `path` says, seen from where `path` was seen from; NULL with errno.
static char *read_link(const char *path) {
    char *said = malloc(TARGET_MOST);
    if (!said) return NULL;
    const ssize_t length = readlink(path, said, TARGET_MOST - 1);
    char *target = NULL;
    if (length == TARGET_MOST - 1) errno = ENAMETOOLONG;
    if (length > 0 && length < TARGET_MOST - 1) {
        const size_t folder = said[0] == '/' ? 0 : folder_length(path);
        said[length] = 0;
        target = copy_of(path, folder, (size_t)length);
        if (target) strcpy(target + folder, said);
    }
    const int code = errno;
    free(said);
    errno = code;
    return target;
}

/// The file behind the links, which need not be there: a rename in place of a link would leave the file it stands for
/// as it was. 0 or errno.
static int find_target(nm_whole_file *file) {
    struct stat there;
    file->target = copy_of(file->path, strlen(file->path), 0);
    for (int links = 0; file->target; links++) {
        if (lstat(file->target, &there) != 0) return errno == ENOENT ? 0 : errno;
        if (!S_ISLNK(there.st_mode)) return 0;
        if (links == LINKS_MOST) return ELOOP;
        char *next = read_link(file->target);
        if (!next) return errno;
        free(file->target);
        file->target = next;
    }
    return ENOMEM;
}

/// Not to be guessed: who knew the next name could put something of that name there and keep us from writing.
static uint64_t random_number(const void *salt) {
    uint64_t number = 0;
    const int source = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    const int good = source >= 0 && read(source, &number, sizeof number) == (ssize_t)sizeof number;
    if (source >= 0) close(source);
    if (good) return number;
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    return nm_hash64((uint64_t)now.tv_nsec ^ nm_hash64((uint64_t)now.tv_sec ^ (uint64_t)getpid() << 32) ^
                     (uint64_t)(uintptr_t)salt);
}

/// A new file beside the target; its descriptor, or -1 with errno. Nothing that is there is opened, links neither.
static int create_temporary(nm_whole_file *file) {
    const size_t folder = folder_length(file->target);
    const char *name = file->target + folder;
    const size_t kept = strnlen(name, NAME_MOST);
    file->temporary = copy_of(file->target, folder + kept, 32);
    if (!file->temporary) return -1;
    for (int i = 0; i < TRIES_MOST; i++) {
        sprintf(file->temporary + folder + kept, ".%016llx.part", (unsigned long long)random_number(file->temporary));
        const int descriptor =
            open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666); // less the umask
        if (descriptor >= 0 || errno != EEXIST) return descriptor;
    }
    return -1;
}

/// Opens what `file` names: errno or 0.
static int open_stream(nm_whole_file *file, nm_whole_file_use use) {
    struct stat there;
    const int exists = stat(file->path, &there) == 0;
    int descriptor;
    if (!file->path[0]) return ENOENT;
    if (exists && S_ISDIR(there.st_mode)) return EISDIR;
    if (exists && !S_ISREG(there.st_mode)) { // a rename would replace the device
        if (use == NM_WHOLE_FILE_SEEKS && (S_ISFIFO(there.st_mode) || S_ISSOCK(there.st_mode))) return ESPIPE;
        descriptor = open(file->path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    } else {
        const int code = find_target(file);
        if (code) return code;
        descriptor = create_temporary(file);
    }
    if (descriptor < 0) return errno;
    file->stream = fdopen(descriptor, "wb");
    if (file->stream) return 0;
    const int code = errno;
    close(descriptor);
    if (file->temporary) unlink(file->temporary);
    return code;
}

nm_status nm_whole_file_open(nm_whole_file *file, const char *path, nm_whole_file_use use, nm_error *error) {
    memset(file, 0, sizeof *file);
    file->path = copy_of(path, strlen(path), 0);
    if (!file->path) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    const int code = open_stream(file, use);
    return code ? refuse(file, code, error) : NM_OK;
}

/// Hands everything to the system and has it begin to write. Errno or 0.
static int begin_flush(nm_whole_file *file) {
    errno = 0;
    if (ferror(file->stream) || fflush(file->stream) != 0) return errno ? errno : EIO;
#ifdef SYNC_FILE_RANGE_WRITE
    // only a hint: fsync, which says whether it went well, then finds the blocks placed and one journal entry for all
    if (file->temporary) (void)sync_file_range(fileno(file->stream), 0, 0, SYNC_FILE_RANGE_WRITE);
#endif
    return 0;
}

/// Waits for the disk: else a rename may outlive the content. Closes. Errno or 0.
static int end_flush(nm_whole_file *file) {
    int code = 0;
    if (file->temporary && fsync(fileno(file->stream)) != 0) code = errno;
    if (fclose(file->stream) != 0 && !code) code = errno;
    file->stream = NULL;
    return code;
}

nm_status nm_whole_files_keep(nm_whole_file *files, size_t count, nm_error *error) {
    int code = 0;
    size_t at = 0; // the one that failed
    for (size_t i = 0; i < count && !code; i++) code = begin_flush(&files[at = i]);
    for (size_t i = 0; i < count && !code; i++) code = end_flush(&files[at = i]);
    for (size_t i = 0; i < count && !code; i++) {
        if (files[i].temporary && rename(files[i].temporary, files[i].target) != 0)
            code = errno;
        else
            release(&files[i]);
        at = i;
    }
    for (size_t i = 0; i < count && code; i++) {
        if (i != at) nm_whole_file_drop(&files[i]);
    }
    if (!code) return NM_OK;
    if (files[at].stream) fclose(files[at].stream);
    if (files[at].temporary) unlink(files[at].temporary);
    return refuse(&files[at], code, error);
}

nm_status nm_whole_file_keep(nm_whole_file *file, nm_error *error) {
    return nm_whole_files_keep(file, 1, error);
}

void nm_whole_file_drop(nm_whole_file *file) {
    if (file->stream) fclose(file->stream);
    if (file->temporary) unlink(file->temporary);
    release(file);
}
