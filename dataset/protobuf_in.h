/// Unpacking protobuf messages into an arena, whose limit is what a hostile message can make us spend: two bytes on the
/// wire can ask for more than a hundred in memory. Nothing is freed singly. Private to dataset/.
#ifndef NM_DATASET_PROTOBUF_IN_H
#define NM_DATASET_PROTOBUF_IN_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"

typedef struct nm_pb_memory {
    nm_arena *arena;
    int refused; ///< memory was asked for that the arena did not give
} nm_pb_memory;

static inline void *nm_pb_take(void *data, size_t size) {
    nm_pb_memory *from = data;
    void *memory = nm_arena_alloc(from->arena, size, 1, 16);
    if (!memory) from->refused = 1;
    return memory;
}
static inline void nm_pb_give(void *data, void *memory) {
    (void)data, (void)memory;
}
static inline ProtobufCAllocator nm_pb_allocator(nm_pb_memory *memory) {
    return (ProtobufCAllocator){.alloc = nm_pb_take, .free = nm_pb_give, .allocator_data = memory};
}

#endif
