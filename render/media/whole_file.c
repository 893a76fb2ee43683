#include "render/media/whole_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void release(nm_whole_file *file) {
    free(file->path);
    free(file->temporary);
    memset(file, 0, sizeof *file);
}

static nm_status refuse(nm_whole_file *file, int code, nm_error *error) {
    const nm_status status =
        NM_ERROR_AT(error, NM_E_IO, file->path, 0, -1, "can not be written: %s", strerror(code ? code : EIO));
    release(file);
    return status;
}

nm_status nm_whole_file_open(nm_whole_file *file, const char *path, nm_error *error) {
    struct stat there;
    memset(file, 0, sizeof *file);
    const size_t size = strlen(path) + 32;
    file->path = malloc(size);
    file->temporary = malloc(size);
    if (!file->path || !file->temporary) {
        release(file);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    }
    memcpy(file->path, path, strlen(path) + 1);
    const int exists = stat(path, &there) == 0;
    if (exists && S_ISDIR(there.st_mode)) return refuse(file, EISDIR, error);
    if (exists && !S_ISREG(there.st_mode)) { // a rename would replace the device
        free(file->temporary);
        file->temporary = NULL;
    } else {
        snprintf(file->temporary, size, "%s.%ld.part", path, (long)getpid());
    }
    file->stream = fopen(file->temporary ? file->temporary : path, "wb");
    return file->stream ? NM_OK : refuse(file, errno, error);
}

nm_status nm_whole_file_keep(nm_whole_file *file, nm_error *error) {
    errno = 0;
    int failed = ferror(file->stream) || fflush(file->stream) != 0;
    int code = errno;
    if (fclose(file->stream) != 0 && !failed) {
        failed = 1;
        code = errno;
    }
    if (!failed && file->temporary && rename(file->temporary, file->path) != 0) {
        failed = 1;
        code = errno;
    }
    if (failed && file->temporary) remove(file->temporary);
    if (failed) return refuse(file, code, error);
    release(file);
    return NM_OK;
}

void nm_whole_file_drop(nm_whole_file *file) {
    if (!file->stream) return;
    fclose(file->stream);
    if (file->temporary) remove(file->temporary);
    release(file);
}
