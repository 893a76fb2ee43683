/// Large blocks of memory that are zero and cost nothing until they are touched.
///
/// Where the system can, a block is backed by huge pages: blocks made for the largest batch are written to all over by
/// the first one, and a fault for every 4 kB of it takes longer than what is computed there.
#ifndef NM_BASE_PAGES_H
#define NM_BASE_PAGES_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Aligned to NM_PAGES_ALIGNMENT, all 0; also for 0 bytes. NULL: no memory. Any thread.
#define NM_PAGES_ALIGNMENT 256
void *nm_pages_allocate(size_t bytes);
void nm_pages_release(void *pages); ///< NULL is fine

#ifdef __cplusplus
}
#endif
#endif
