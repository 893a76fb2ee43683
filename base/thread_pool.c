#define _GNU_SOURCE // sched_getaffinity
#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 256

typedef struct worker {
    nm_thread_pool *pool;
    pthread_t thread;
    int index;
} worker;

/// One loop. Written by nm_thread_pool_for before the workers are woken; what they share is atomic or under the mutex.
typedef struct loop {
    nm_task *task;
    void *context;
    size_t count, grain;
    atomic_size_t next;   ///< first index not handed out
    atomic_bool stopping; ///< a call failed: hand out no more
    size_t failed_index;  ///< under the mutex; valid when `status` is not NM_OK
    nm_status status;     ///< under the mutex
    nm_error error;       ///< under the mutex
} loop;

struct nm_thread_pool {
    pthread_mutex_t mutex;
    pthread_cond_t wake;     ///< a new loop, or the end
    pthread_cond_t finished; ///< the last worker left the loop
    uint64_t generation;     ///< counts loops: a worker joins each once
    int running;             ///< workers still in the loop, the caller not counted
    int closing;
    int busy; ///< a loop is on: catches calls from a task
    int threads;
    loop loop;
    worker workers[]; ///< threads - 1; the caller is worker 0
};

int nm_cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        const int count = CPU_COUNT(&set);
        if (count > 0) return count;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN); // more cores than cpu_set_t holds
    return online > 0 && online < INT32_MAX ? (int)online : 1;
}

static void record_failure(nm_thread_pool *pool, size_t index, nm_status status, const nm_error *error) {
    pthread_mutex_lock(&pool->mutex);
    if (pool->loop.status == NM_OK || index < pool->loop.failed_index) {
        pool->loop.status = status;
        pool->loop.failed_index = index;
        pool->loop.error = *error;
    }
    pthread_mutex_unlock(&pool->mutex);
    atomic_store(&pool->loop.stopping, true);
}

/// Indices are handed out in order, so every index below a failed one has been handed out before it: those calls run to
/// their end and the lowest failure wins, whatever the timing.
static void work(nm_thread_pool *pool, int worker_index) {
    loop *l = &pool->loop;
    while (!atomic_load_explicit(&l->stopping, memory_order_relaxed)) {
        // A compare-and-swap instead of an addition: the counter can not run past the end and wrap.
        size_t first = atomic_load_explicit(&l->next, memory_order_relaxed);
        size_t size;
        do {
            if (first >= l->count) return;
            size = l->count - first < l->grain ? l->count - first : l->grain;
        } while (!atomic_compare_exchange_weak(&l->next, &first, first + size));
        for (size_t i = first; i < first + size; i++) {
            nm_error error;
            nm_error_clear(&error);
            const nm_status status = l->task(l->context, i, worker_index, &error);
            if (status == NM_OK) continue;
            if (error.code == NM_OK) error.code = status;
            record_failure(pool, i, status, &error);
            break; // the rest of this share lies above a failed index
        }
    }
}

static void *worker_main(void *argument) {
    worker *self = argument;
    nm_thread_pool *pool = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (!pool->closing && pool->generation == seen) pthread_cond_wait(&pool->wake, &pool->mutex);
        if (pool->closing) break;
        seen = pool->generation;
        pthread_mutex_unlock(&pool->mutex);
        work(pool, self->index);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->running == 0) pthread_cond_signal(&pool->finished);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static void close_workers(nm_thread_pool *pool, int started) {
    pthread_mutex_lock(&pool->mutex);
    pool->closing = 1;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < started; i++) pthread_join(pool->workers[i].thread, NULL);
}

static void release(nm_thread_pool *pool) {
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

/// Workers take no signals: the program's handlers run in the program's own thread. Returns how many started.
static int start_workers(nm_thread_pool *pool, int *system_error) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int started = 0;
    *system_error = 0;
    while (started < pool->threads - 1) {
        worker *w = &pool->workers[started];
        *w = (worker){.pool = pool, .index = started + 1};
        *system_error = pthread_create(&w->thread, NULL, worker_main, w);
        if (*system_error) break;
        started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

nm_status nm_thread_pool_create(int threads, nm_thread_pool **pool, nm_error *error) {
    *pool = NULL;
    if (threads < 0 || threads > THREADS_MAX) {
        return NM_ERROR(error, NM_E_ARGUMENT, "the number of threads is %d, not in 0..%d", threads, THREADS_MAX);
    }
    if (threads == 0) threads = nm_cpu_count() < THREADS_MAX ? nm_cpu_count() : THREADS_MAX;
    nm_thread_pool *made = calloc(1, sizeof *made + (size_t)(threads - 1) * sizeof(worker));
    if (!made) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a pool of %d threads", threads);
    made->threads = threads;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->wake, NULL);
    pthread_cond_init(&made->finished, NULL);
    int system_error;
    const int started = start_workers(made, &system_error);
    if (system_error) {
        close_workers(made, started);
        release(made);
        return NM_ERROR(error, NM_E_MEMORY, "can not start thread %d of %d: %s", started + 2, threads,
                        strerror(system_error));
    }
    *pool = made;
    return NM_OK;
}

void nm_thread_pool_destroy(nm_thread_pool *pool) {
    if (!pool) return;
    close_workers(pool, pool->threads - 1);
    release(pool);
}

int nm_thread_pool_threads(const nm_thread_pool *pool) {
    return pool->threads;
}

nm_status nm_thread_pool_for(nm_thread_pool *pool, size_t count, size_t grain, nm_task *task, void *context,
                             nm_error *error) {
    NM_ASSERT(grain >= 1);
    pthread_mutex_lock(&pool->mutex);
    NM_ASSERT(!pool->busy);
    pool->busy = 1;
    loop *l = &pool->loop;
    l->task = task;
    l->context = context;
    l->count = count;
    l->grain = grain;
    atomic_store(&l->next, 0);
    atomic_store(&l->stopping, false);
    l->status = NM_OK;
    const int alone = pool->threads == 1 || count <= grain; // waking the others costs more than it brings
    if (!alone) {
        pool->running = pool->threads - 1;
        pool->generation++;
        pthread_cond_broadcast(&pool->wake);
    }
    pthread_mutex_unlock(&pool->mutex);

    work(pool, 0);

    pthread_mutex_lock(&pool->mutex);
    while (pool->running > 0) pthread_cond_wait(&pool->finished, &pool->mutex);
    pool->busy = 0;
    const nm_status status = l->status;
    if (status != NM_OK && error) *error = l->error;
    pthread_mutex_unlock(&pool->mutex);
    return status;
}
