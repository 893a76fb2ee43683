/// What the sources of nexus/safetensors share.
#ifndef NM_NEXUS_SAFETENSORS_PRIVATE_H
#define NM_NEXUS_SAFETENSORS_PRIVATE_H

#include "base/arena.h"
#include "nexus/safetensors.h"

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the format is little-endian, and elements are copied as they are"
#endif

#define NM_SAFETENSORS_METADATA "__metadata__"
#define NM_SAFETENSORS_INDEX ".index.json"

/// One file: a descriptor, or memory of the caller.
typedef struct nm_safetensors_source {
    const char *path; ///< in the arena
    int descriptor;   ///< -1: in memory
    const uint8_t *bytes;
    uint64_t size;
} nm_safetensors_source;

/// A text of the metadata and the file that states it.
typedef struct nm_safetensors_meta {
    const char *key, *value; ///< in the arena
    uint32_t file;
} nm_safetensors_meta;

struct nm_safetensors {
    nm_arena *arena; ///< paths, names, metadata
    nm_safetensors_source *sources;
    nm_stored_tensor *tensors; ///< by name once opened
    nm_safetensors_meta *meta; ///< by key once opened
    size_t source_count, tensor_count, tensor_capacity, meta_count, meta_capacity;
};

/// A name made fit for a message: escaped, at most 100 bytes.
typedef struct nm_shown {
    char text[101];
} nm_shown;
nm_shown nm_show(const char *name);
/// "[2, 3]".
nm_shown nm_show_shape(uint32_t rank, const uint64_t *shape);

/// elements and bytes of a shape; 0 when a product overflows.
int nm_stored_extent(nm_stored_type type, uint32_t rank, const uint64_t *shape, uint64_t *elements, uint64_t *bytes);

/// Whether all `length` bytes are UTF-8; `bad` [out, nullable]: the first that is not.
int nm_safetensors_is_utf8(const char *text, size_t length, size_t *bad);

/// Makes room for one more element of a growing array. 0: out of memory, `array` unchanged.
int nm_safetensors_grow(void **array, size_t *capacity, size_t count, size_t element);

/// Copies `size` bytes at `offset` out of a source.
nm_status nm_safetensors_source_read(const nm_safetensors_source *source, uint64_t offset, void *out, uint64_t size,
                                     nm_error *error);

/// Parses the header of source number `index` and appends its tensors and metadata, in the order of their data.
nm_status nm_safetensors_parse(nm_safetensors *file, uint32_t index, nm_error *error);

/// Whether source `index` can be no tensors file but may be an index: its first bytes read as a length are over the
/// limit and the first is '{'.
int nm_safetensors_is_index(const nm_safetensors_source *source);

/// The tensor-to-file table of an index.
typedef struct nm_shard_entry {
    const char *tensor, *file;
} nm_shard_entry;
/// entries   [out] sorted by tensor; release with free; texts are in `arena`. NULL on failure
nm_status nm_shard_index_parse(const nm_safetensors_source *source, nm_arena *arena, nm_shard_entry **entries,
                               size_t *count, nm_error *error);

#endif
