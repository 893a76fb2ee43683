/// A file that appears under its name when it is complete. Private to render/media.
#ifndef NM_RENDER_WHOLE_FILE_H
#define NM_RENDER_WHOLE_FILE_H

#include <stdio.h>

#include "base/status.h"

typedef struct nm_whole_file {
    FILE *stream;
    char *path;
    char *temporary; ///< beside it; NULL: `path` is a device or pipe and written directly
} nm_whole_file;

/// NM_E_IO naming the path. On failure there is nothing to release.
nm_status nm_whole_file_open(nm_whole_file *file, const char *path, nm_error *error);
/// Flushes, closes, renames. On failure nothing is left behind.
nm_status nm_whole_file_keep(nm_whole_file *file, nm_error *error);
void nm_whole_file_drop(nm_whole_file *file); ///< closes and removes

#endif
