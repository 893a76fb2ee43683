/// Bump allocator. Everything allocated from an arena is released at once; nothing is released singly.
///
/// Two uses: (1) building an immutable object of unknown size (grows by chunks); (2) scratch of a step or a pass, sized
/// once: after nm_arena_reserve, allocations within the reserve never call malloc. Not thread-safe: one arena a thread.
#ifndef NM_BASE_ARENA_H
#define NM_BASE_ARENA_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_arena nm_arena;
typedef struct nm_arena_mark {
    void *chunk;
    size_t used;
} nm_arena_mark;

/// limit_bytes  the sum of all allocations may not pass this; 0 = no limit
/// returns NULL when out of memory. Release with nm_arena_destroy.
NM_API nm_arena *nm_arena_create(size_t limit_bytes);
NM_API void nm_arena_destroy(nm_arena *arena); ///< NULL is fine

/// Makes sure that `bytes` more can be allocated without touching malloc. NM_E_MEMORY when they can not be had or would
/// pass the limit. Padding counts: the reserve begins at a multiple of 64, so a sum of sizes, each rounded up to 64, is
/// enough for any allocations aligned to at most 64.
NM_API nm_status nm_arena_reserve(nm_arena *arena, size_t bytes);

/// Uninitialised memory for `count` elements of `size` bytes, aligned to `align` (a power of two, at most 4096).
/// NULL when count * size overflows, memory is out or the limit is passed. A count of 0 gives a non-NULL pointer.
NM_API void *nm_arena_alloc(nm_arena *arena, size_t count, size_t size, size_t align);
/// The same, zeroed.
NM_API void *nm_arena_calloc(nm_arena *arena, size_t count, size_t size, size_t align);
/// A terminated copy of `length` bytes of `text`.
NM_API char *nm_arena_strndup(nm_arena *arena, const char *text, size_t length);

#define NM_ARENA_ARRAY(arena, type, count) ((type *)nm_arena_alloc((arena), (count), sizeof(type), 64))

/// LIFO scratch: what was allocated after the mark is given back by the release (memory is kept for reuse and poisoned
/// under AddressSanitizer). Marks must be released in reverse order.
NM_API nm_arena_mark nm_arena_get_mark(const nm_arena *arena);
NM_API void nm_arena_release(nm_arena *arena, nm_arena_mark mark);
NM_API void nm_arena_reset(nm_arena *arena); ///< releases everything, keeps the memory

NM_API size_t nm_arena_used(const nm_arena *arena);       ///< bytes handed out now, padding included
NM_API size_t nm_arena_high_water(const nm_arena *arena); ///< the most that was ever handed out

#ifdef __cplusplus
}
#endif
#endif
