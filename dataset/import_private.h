/// Shared by import.c and archive.c.
#ifndef NM_DATASET_IMPORT_PRIVATE_H
#define NM_DATASET_IMPORT_PRIVATE_H

#include "dataset/readers.h"

#define NM_IMPORT_HEAD ((size_t)4096) // bytes that tell a format

struct nm_importer {
    nm_reader_context readers;
    uint8_t *bytes; ///< the file being read
    size_t capacity;
};

/// Where scenes and refusals go.
typedef struct nm_import_target {
    nm_scene_sink *sink;
    nm_refusal_sink *refused; ///< nullable: the first refusal ends the import
    void *context;
    uint64_t *bytes_read; ///< nullable
    nm_piece_sink *visit; ///< nullable; gets the pieces instead of the readers
} nm_import_target;

/// Makes importer->bytes hold at least `size`. Returns 0 when there is no memory.
int nm_import_room(nm_importer *importer, size_t size);
/// Reports a refusal. NM_OK when the import goes on, else `status` with `error` filled.
nm_status nm_import_refuse(const nm_import_target *target, nm_status status, const nm_error *refusal, nm_error *error);
/// Refuses what no reader takes: empty, unknown.
nm_status nm_import_check_format(const char *name, nm_format format, const void *head, size_t size, nm_error *error);
/// Reads one file, which is whole in memory.
nm_status nm_import_bytes(nm_importer *importer, const char *name, const void *bytes, size_t size,
                          const nm_import_target *target, nm_error *error);

/// Reads a file of records (nm_format_has_records) from a stream, or gives its records to the visitor.
nm_status nm_import_stream(nm_importer *importer, nm_format format, const char *name, nm_byte_source *source,
                           void *source_context, const nm_import_target *target, nm_error *error);

/// archive.c: reads the members of the archive behind the descriptor, which stays open.
nm_status nm_import_archive(nm_importer *importer, int file, const char *path, const nm_import_target *target,
                            nm_error *error);

#endif
