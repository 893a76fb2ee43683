/// What an export puts into its folder, below the level of scenes: files with checksums, the list of these, and the
/// manifest. Private to dataset/export*.c.
///
/// SHA-256 comes from nettle: it uses the processor's instructions, where a plain C one would take longer than encoding
/// a scene; and libarchive and FFmpeg, which are linked anyway, bring it along.
#ifndef NM_DATASET_EXPORT_FILES_H
#define NM_DATASET_EXPORT_FILES_H

#include <nettle/sha2.h>

#include "base/whole_file.h"
#include "dataset/encoders.h"

/// A file that is being written, and its checksum so far.
typedef struct nm_export_file {
    nm_whole_file whole;
    int open;
    char name[256]; ///< within the folder
    struct sha256_ctx sum;
    uint64_t bytes, scenes;
} nm_export_file;

/// Complete files that wait for the disk together: it is asked once for many, since it takes as long for one. Few
/// enough to be held open.
#define NM_EXPORT_WAITING 64
#define NM_EXPORT_WAITING_BYTES (UINT64_C(64) << 20)

typedef struct nm_export_folder {
    char *path;
    size_t made; ///< bytes of `path` that name the first of its folders that we made; 0 = all were there
    nm_whole_file waiting[NM_EXPORT_WAITING];
    char waiting_names[NM_EXPORT_WAITING][256];
    size_t waiting_count;
    uint64_t waiting_bytes;
    nm_whole_file sums, manifest;
    int sums_open, manifest_open;
    nm_byte_buffer files; ///< entries of the manifest's list of files
    uint64_t file_count, file_bytes, entries;
} nm_export_folder;

/// Makes the folder, and those above it, or looks through it, removes what an earlier export left (overwrite), and
/// opens list and manifest. On failure the folder is to be abandoned as well.
nm_status nm_export_folder_open(nm_export_folder *folder, const nm_export_options *options, const nm_encoder *encoder,
                                nm_error *error);
/// Completes list and manifest.
nm_status nm_export_folder_finish(nm_export_folder *folder, const nm_export_totals *totals, nm_error *error);
void nm_export_folder_abandon(nm_export_folder *folder); ///< removes what is not complete; releases everything

nm_status nm_export_file_open(nm_export_folder *folder, nm_export_file *file, const char *name, nm_error *error);
nm_status nm_export_file_write(nm_export_file *file, const void *bytes, size_t size, nm_error *error);
/// Completes the file and notes it. It has its name when some more are complete, at the end at the latest.
nm_status nm_export_file_keep(nm_export_folder *folder, nm_export_file *file, nm_error *error);
void nm_export_file_drop(nm_export_file *file);
/// 1 when the folder holds a file of that name, or will.
int nm_export_file_exists(const nm_export_folder *folder, const char *name);

/// Where a scene went; texts nullable.
typedef struct nm_export_place {
    const char *file, *shared, *refused;
    uint64_t record;
    int has_record;
    uint32_t left_out;
} nm_export_place;
nm_status nm_export_folder_note(nm_export_folder *folder, const nm_export_item *item, const nm_export_place *place,
                                nm_error *error);

#endif
