/// A file that appears under its name when it is complete.
#ifndef NM_BASE_WHOLE_FILE_H
#define NM_BASE_WHOLE_FILE_H

#include <stdio.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_whole_file {
    FILE *stream;
    char *path;      ///< as it was given, for messages
    char *target;    ///< behind its links: what is replaced
    char *temporary; ///< beside the target; NULL: `path` is a device or pipe and written directly
} nm_whole_file;

typedef enum nm_whole_file_use {
    NM_WHOLE_FILE_STREAM, ///< written from beginning to end: pipes will do
    NM_WHOLE_FILE_SEEKS   ///< goes back: NM_E_IO for pipes
} nm_whole_file_use;

/// A link stays a link, the file behind it is replaced. The new file has the permissions that the umask leaves,
/// whatever those of the old one. Until then it lies beside the target as NAME.RANDOM.part, never over anything: what a
/// killed process leaves. Opening a pipe waits for its reader. NM_E_IO naming the path, NM_E_MEMORY; on failure there
/// is nothing to release.
NM_API nm_status nm_whole_file_open(nm_whole_file *file, const char *path, nm_whole_file_use use, nm_error *error);
/// Flushes to the disk, closes, renames. On failure nothing is left behind.
NM_API nm_status nm_whole_file_keep(nm_whole_file *file, nm_error *error);
/// The same for many at about the cost of one: all are on their way to the disk before the first is waited for. They
/// are renamed in their order, when all are on the disk. On failure those that have no name yet are dropped.
NM_API nm_status nm_whole_files_keep(nm_whole_file *files, size_t count, nm_error *error);
NM_API void nm_whole_file_drop(nm_whole_file *file); ///< closes and removes

#ifdef __cplusplus
}
#endif

#endif
