#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define NM_ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NM_ARENA_ASAN 1
#endif
#endif
#ifdef NM_ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(address, size) ASAN_POISON_MEMORY_REGION(address, size)
#define UNPOISON(address, size) ASAN_UNPOISON_MEMORY_REGION(address, size)
#else
#define POISON(address, size) ((void)(address), (void)(size))
#define UNPOISON(address, size) ((void)(address), (void)(size))
#endif

#define CHUNK_ALIGN 64            // where the bytes of a chunk begin
#define CHUNK_FIRST (64u << 10)   // chunks double from here ...
#define CHUNK_LARGEST (16u << 20) // ... to here, unless one allocation needs more
#define ALIGN_LARGEST 4096

/// Chunks form a list in the order of use: those before `current` hold allocations, those behind it are empty and wait.
typedef struct chunk {
    struct chunk *next;
    size_t capacity;
    size_t used;
    unsigned char *bytes;
} chunk;

struct nm_arena {
    chunk *first;
    chunk *current; ///< NULL before the first chunk is used
    size_t limit;   ///< 0 = none
    size_t used;    ///< sum over the chunks
    size_t high_water;
    size_t next_capacity;
};

nm_arena *nm_arena_create(size_t limit_bytes) {
    nm_arena *arena = calloc(1, sizeof *arena);
    if (!arena) return NULL;
    arena->limit = limit_bytes;
    arena->next_capacity = CHUNK_FIRST;
    return arena;
}

void nm_arena_destroy(nm_arena *arena) {
    if (!arena) return;
    for (chunk *c = arena->first; c;) {
        chunk *next = c->next;
        UNPOISON(c->bytes, c->capacity);
        free(c);
        c = next;
    }
    free(arena);
}

/// Bytes from the fill level of `c` to the next address aligned to `align`.
static size_t padding(const chunk *c, size_t align) {
    const uintptr_t address = (uintptr_t)(c->bytes + c->used);
    return (size_t)(-address & (align - 1));
}

static int fits(const chunk *c, size_t bytes, size_t align) {
    const size_t left = c->capacity - c->used, pad = padding(c, align);
    return pad <= left && bytes <= left - pad;
}

/// The link after the chunk in use.
static chunk **behind_current(nm_arena *arena) {
    return arena->current ? &arena->current->next : &arena->first;
}

/// Puts an empty chunk that fits right behind the current one: a waiting one, else a new one. NULL without memory.
static chunk *next_chunk(nm_arena *arena, size_t bytes, size_t align) {
    chunk **place = behind_current(arena);
    for (chunk **link = place; *link; link = &(*link)->next) {
        chunk *found = *link;
        if (!fits(found, bytes, align)) continue;
        *link = found->next;
        found->next = *place;
        *place = found;
        return found;
    }
    const size_t slack = align > CHUNK_ALIGN ? align : 0;
    size_t capacity = arena->next_capacity;
    // Growing by doubling must not take much more than a small limit allows.
    if (arena->limit && capacity > arena->limit - arena->used) capacity = arena->limit - arena->used;
    if (bytes > SIZE_MAX - slack) return NULL;
    if (capacity < bytes + slack) capacity = bytes + slack;
    const size_t overhead = sizeof(chunk) + CHUNK_ALIGN;
    if (capacity > SIZE_MAX - overhead) return NULL;
    chunk *made = malloc(capacity + overhead);
    if (!made) return NULL;
    unsigned char *start = (unsigned char *)(made + 1);
    made->bytes = start + (size_t)(-(uintptr_t)start & (CHUNK_ALIGN - 1));
    made->capacity = capacity;
    made->used = 0;
    made->next = *place;
    *place = made;
    POISON(made->bytes, made->capacity);
    if (arena->next_capacity < CHUNK_LARGEST) arena->next_capacity *= 2;
    return made;
}

static int over_limit(const nm_arena *arena, size_t more) {
    return arena->limit && (arena->used > arena->limit || more > arena->limit - arena->used);
}

nm_status nm_arena_reserve(nm_arena *arena, size_t bytes) {
    if (over_limit(arena, bytes)) return NM_E_MEMORY;
    if (arena->current && fits(arena->current, bytes, CHUNK_ALIGN)) return NM_OK;
    return next_chunk(arena, bytes, CHUNK_ALIGN) ? NM_OK : NM_E_MEMORY;
}

void *nm_arena_alloc(nm_arena *arena, size_t count, size_t size, size_t align) {
    NM_ASSERT(align > 0 && (align & (align - 1)) == 0 && align <= ALIGN_LARGEST);
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    const size_t bytes = count * size;
    if (over_limit(arena, bytes)) return NULL;
    chunk *c = arena->current;
    if (!c || !fits(c, bytes, align)) {
        c = next_chunk(arena, bytes, align);
        if (!c) return NULL;
    }
    const size_t pad = padding(c, align);
    if (over_limit(arena, bytes + pad)) return NULL;
    unsigned char *address = c->bytes + c->used + pad;
    c->used += pad + bytes;
    arena->current = c;
    arena->used += pad + bytes;
    if (arena->used > arena->high_water) arena->high_water = arena->used;
    UNPOISON(address, bytes);
    return address;
}

void *nm_arena_calloc(nm_arena *arena, size_t count, size_t size, size_t align) {
    void *address = nm_arena_alloc(arena, count, size, align);
    if (address) memset(address, 0, count * size);
    return address;
}

char *nm_arena_strndup(nm_arena *arena, const char *text, size_t length) {
    if (length == SIZE_MAX) return NULL;
    char *copy = nm_arena_alloc(arena, length + 1, 1, 1);
    if (!copy) return NULL;
    if (length > 0) memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

nm_arena_mark nm_arena_get_mark(const nm_arena *arena) {
    return (nm_arena_mark){.chunk = arena->current, .used = arena->current ? arena->current->used : 0};
}

static void empty_down_to(nm_arena *arena, chunk *c, size_t used) {
    NM_ASSERT(used <= c->used); // else marks were released out of order
    POISON(c->bytes + used, c->used - used);
    arena->used -= c->used - used;
    c->used = used;
}

void nm_arena_release(nm_arena *arena, nm_arena_mark mark) {
    if (!arena->current) return;
    chunk *keep = mark.chunk;
    for (chunk *c = keep ? keep->next : arena->first; c && keep != arena->current; c = c->next) {
        empty_down_to(arena, c, 0);
        if (c == arena->current) break;
    }
    if (keep) empty_down_to(arena, keep, mark.used);
    arena->current = keep;
}

void nm_arena_reset(nm_arena *arena) {
    nm_arena_release(arena, (nm_arena_mark){0});
}

size_t nm_arena_used(const nm_arena *arena) {
    return arena->used;
}

size_t nm_arena_high_water(const nm_arena *arena) {
    return arena->high_water;
}
