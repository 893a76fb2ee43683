#define _DEFAULT_SOURCE // MAP_ANONYMOUS, madvise
#include "base/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define WATCHED 1 // what is allocated is watched, what is mapped is not
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WATCHED 1
#endif
#endif
#ifndef WATCHED
#define WATCHED 0
#endif

#define LARGE (4u << 20) ///< bytes from which a block is mapped

/// In front of every block.
typedef struct header {
    size_t mapped; ///< bytes, the header's included; 0 = the block is of the heap
} header;

static void *map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(memory, bytes, MADV_HUGEPAGE); // a wish: without them it is slower
#endif
    return memory;
}

void *nm_pages_allocate(size_t bytes) {
    if (bytes > PTRDIFF_MAX - 2 * NM_PAGES_ALIGNMENT) return NULL; // no object is so large
    const size_t size = (bytes + 2 * NM_PAGES_ALIGNMENT - 1) / NM_PAGES_ALIGNMENT * NM_PAGES_ALIGNMENT;
    const int large = size >= LARGE && !WATCHED;
    char *memory = large ? map(size) : aligned_alloc(NM_PAGES_ALIGNMENT, size);
    if (!memory) return NULL;
    if (!large) memset(memory, 0, size);
    ((header *)(void *)memory)->mapped = large ? size : 0;
    return memory + NM_PAGES_ALIGNMENT;
}

void nm_pages_release(void *pages) {
    if (!pages) return;
    char *memory = (char *)pages - NM_PAGES_ALIGNMENT;
    const size_t mapped = ((const header *)(const void *)memory)->mapped;
    if (mapped)
        munmap(memory, mapped);
    else
        free(memory);
}
