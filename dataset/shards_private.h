/// Sizes and places of a shard file (shards.h has the layout). Private to dataset/shards*.c and their tests.
#ifndef NM_DATASET_SHARDS_PRIVATE_H
#define NM_DATASET_SHARDS_PRIVATE_H

#include "dataset/shards.h"

#define NM_SHARD_HEADER 64u
#define NM_SHARD_ALIGN 64u
#define NM_SHARD_MAP_ENTRY 32u
#define NM_SHARD_SCENE_ENTRY 64u
#define NM_SHARD_MAGIC "nm-shd\n" // with its terminator 8 bytes

/// Offsets within the header.
enum {
    NM_SHARD_AT_VERSION = 8,
    NM_SHARD_AT_HEADER_SIZE = 12,
    NM_SHARD_AT_FILE_SIZE = 16,
    NM_SHARD_AT_CONTENTS = 24,
    NM_SHARD_AT_MAPS = 32,
    NM_SHARD_AT_SCENES = 36,
    NM_SHARD_AT_NUMBER = 40,
    NM_SHARD_AT_COUNT = 44,
    NM_SHARD_AT_SET = 48,
    NM_SHARD_AT_CONTENTS_CRC = 56,
    NM_SHARD_AT_HEADER_CRC = 60
};

/// Up to the next multiple of NM_SHARD_ALIGN; `size` at most UINT64_MAX - 63.
static inline uint64_t nm_shard_padded(uint64_t size) {
    return (size + NM_SHARD_ALIGN - 1) / NM_SHARD_ALIGN * NM_SHARD_ALIGN;
}

/// Looks for shards of this base. NM_OK with the count their names give (not that all are there), NM_E_NOT_FOUND when
/// there are none, NM_E_FORMAT when names of several sets are mixed, NM_E_IO when the folder can not be read.
nm_status nm_shards_find(const char *base, uint32_t *count, nm_error *error);

#endif
