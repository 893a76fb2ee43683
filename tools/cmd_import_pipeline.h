/// Reading scene files with many threads while keeping their order: the machinery behind `nearmiss import`.
///
/// One thread walks the inputs (unpacking archives, cutting files of records into these), `threads` threads parse,
/// encode and compress, and the caller takes the results in the order of the inputs, whatever finished first. Memory is
/// bounded: readers wait while about 100 MB of input and results lie unprocessed (a single larger file or record passes
/// through alone).
#ifndef NM_TOOLS_CMD_IMPORT_PIPELINE_H
#define NM_TOOLS_CMD_IMPORT_PIPELINE_H

#include "dataset/import.h"
#include "scenarios/store.h"
#include "tools/cmd_import_extras.h"

typedef struct nm_pipeline nm_pipeline;

/// Asked from the walking thread, before a file is parsed or an archive is unpacked: 1 = skip it; it held *scenes.
typedef int nm_known_file(void *context, const char *file, uint64_t size, uint64_t hash, uint64_t *scenes);

typedef enum nm_item_kind {
    NM_ITEM_NONE = 0, ///< nothing was ready in time: ask again
    NM_ITEM_SCENE,    ///< `packed` and `extras` are the taker's
    NM_ITEM_REFUSED,  ///< a scene or file could not be read: `error` says where and why
    NM_ITEM_FILE,     ///< everything of a file was handed out (or it was skipped)
    NM_ITEM_ARCHIVE,  ///< the same of an archive
    NM_ITEM_END
} nm_item_kind;

typedef struct nm_item {
    nm_item_kind kind;
    nm_packed_scene *packed;
    nm_import_extras *extras;      ///< NULL: the file says no more
    uint64_t agents, agent_states; ///< of the scene
    nm_error error;
    char file[256];            ///< base name of the file or archive
    uint64_t size, hash;       ///< its identity: bytes and content; 0 when it could not be read
    uint64_t scenes, refusals; ///< how many it held; refusals that were lost (below) count for every later file
    int skipped;
} nm_item;

/// The paths and the texts of the options must outlive the pipeline. threads: 1..256, 0 = one per core. known:
/// nullable. NULL: no memory or threads.
nm_pipeline *nm_pipeline_start(const char *const *paths, size_t count, int threads, const nm_import_nuplan *nuplan,
                               nm_known_file *known, void *context);
/// The next item in order, waiting at most `seconds`. One thread takes.
void nm_pipeline_next(nm_pipeline *pipeline, double seconds, nm_item *item);
uint64_t nm_pipeline_bytes(nm_pipeline *pipeline); ///< of scene files read so far, decompressed; skipped ones too
/// Refusals that could not be handed out for lack of memory. At the end of an import they mean that it is not complete.
uint64_t nm_pipeline_lost(nm_pipeline *pipeline);
void nm_pipeline_destroy(nm_pipeline *pipeline); ///< stops what still runs; NULL is fine

#endif
