/// A fixed set of threads that share out an index range. Results must not depend on which worker took which index:
/// write to slots addressed by the index only, and every run is the same for any number of threads.
#ifndef NM_BASE_THREAD_POOL_H
#define NM_BASE_THREAD_POOL_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_thread_pool nm_thread_pool;

/// One index of a parallel loop. `worker` is in [0, threads) and is never used by two calls at once: index per-worker
/// scratch with it. A status other than NM_OK stops the loop as soon as running calls end.
typedef nm_status nm_task(void *context, size_t index, int worker, nm_error *error);

/// threads  1..256; 0 = one per core that this process may use. The caller's thread is one of them.
NM_API nm_status nm_thread_pool_create(int threads, nm_thread_pool **pool, nm_error *error);
NM_API void nm_thread_pool_destroy(nm_thread_pool *pool); ///< waits; NULL is fine
NM_API int nm_thread_pool_threads(const nm_thread_pool *pool);

/// Runs task(context, i, worker) for i in [0, count), handed out in order, `grain` (>= 1) at a time. Returns when all
/// are done. On failure returns the status and error of the failed call with the LOWEST index among those that ran, so
/// the message does not depend on timing more than it must. One loop at a time per pool; not to be called from a task.
NM_API nm_status nm_thread_pool_for(nm_thread_pool *pool, size_t count, size_t grain, nm_task *task, void *context,
                                    nm_error *error);

NM_API int nm_cpu_count(void); ///< cores this process may use, at least 1

#ifdef __cplusplus
}
#endif
#endif
