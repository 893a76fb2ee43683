#include "nexus/ops/cpu/team.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread_pool.h"

#define TEAM_MAX 256
/// Pauses before sleeping: 20 to 60 us, by processor.
#define TEAM_SPINS 1200

typedef struct member {
    nm_team *team;
    pthread_t thread;
    uint32_t index;
} member;

/// A run is published by raising `round` and is over when `left` is 0 again. Who waits spins, then sleeps on the
/// condition; who changes `round` or `left` wakes sleepers, if it sees any. Both sides use sequentially consistent
/// atomics, and a sleeper announces itself before it looks a last time, so one of the two sees the other.
struct nm_team {
    _Alignas(64) atomic_uint round;
    _Alignas(64) atomic_uint left;
    _Alignas(64) atomic_uint sleepers; ///< members asleep
    atomic_int caller_sleeps;
    nm_team_task *task; ///< these three are written before `round`
    void *context;
    uint32_t workers;
    int closing;
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    void (*begin)(void);
    uint32_t threads;
    int spins;
    member *members; ///< threads - 1
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static unsigned wait_for_round(nm_team *team, unsigned seen) {
    for (int i = 0; i < team->spins; i++) {
        const unsigned now = atomic_load_explicit(&team->round, memory_order_acquire);
        if (now != seen) return now;
        relax();
    }
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->sleepers, 1);
    while (atomic_load(&team->round) == seen) pthread_cond_wait(&team->wake, &team->mutex);
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->mutex);
    return atomic_load(&team->round);
}

static void finish_share(nm_team *team) {
    if (atomic_fetch_sub(&team->left, 1) != 1) return;
    if (!atomic_load(&team->caller_sleeps)) return;
    pthread_mutex_lock(&team->mutex);
    pthread_cond_signal(&team->done);
    pthread_mutex_unlock(&team->mutex);
}

static void *member_main(void *argument) {
    const member *self = argument;
    nm_team *team = self->team;
    if (team->begin) team->begin();
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_round(team, seen);
        if (team->closing) return NULL;
        if (self->index < team->workers) team->task(team->context, self->index, team->workers);
        finish_share(team); // members without a share too: the caller must not write the next run while they read
    }
}

static void publish(nm_team *team) {
    atomic_store(&team->left, team->threads - 1);
    atomic_fetch_add(&team->round, 1);
    if (atomic_load(&team->sleepers) == 0) return;
    pthread_mutex_lock(&team->mutex);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->mutex);
}

static void wait_for_all(nm_team *team) {
    for (int i = 0; i < team->spins; i++) {
        if (atomic_load_explicit(&team->left, memory_order_acquire) == 0) return;
        relax();
    }
    pthread_mutex_lock(&team->mutex);
    atomic_store(&team->caller_sleeps, 1);
    while (atomic_load(&team->left) != 0) pthread_cond_wait(&team->done, &team->mutex);
    atomic_store(&team->caller_sleeps, 0);
    pthread_mutex_unlock(&team->mutex);
}

void nm_team_run(nm_team *team, uint32_t wanted, nm_team_task *task, void *context) {
    const uint32_t workers = wanted < team->threads ? wanted : team->threads;
    if (workers <= 1) {
        task(context, 0, 1);
        return;
    }
    team->task = task;
    team->context = context;
    team->workers = workers;
    publish(team);
    task(context, 0, workers);
    wait_for_all(team);
}

static void release(nm_team *team, uint32_t started) {
    team->closing = 1;
    publish(team);
    for (uint32_t i = 0; i < started; i++) pthread_join(team->members[i].thread, NULL);
    pthread_cond_destroy(&team->done);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->mutex);
    free(team->members);
    free(team);
}

/// Members take no signals: the program's handlers run in the program's own thread. Returns how many started.
static uint32_t start_members(nm_team *team, int *system_error) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    uint32_t started = 0;
    *system_error = 0;
    while (started < team->threads - 1) {
        member *m = &team->members[started];
        *m = (member){.team = team, .index = started + 1};
        *system_error = pthread_create(&m->thread, NULL, member_main, m);
        if (*system_error) break;
        started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

nm_status nm_team_create(int threads, void (*begin)(void), nm_team **team, nm_error *error) {
    *team = NULL;
    if (threads < 0 || threads > TEAM_MAX) {
        return NM_ERROR(error, NM_E_ARGUMENT, "the number of threads is %d, not in 0..%d", threads, TEAM_MAX);
    }
    const int cores = nm_cpu_count();
    if (threads == 0) threads = cores < TEAM_MAX ? cores : TEAM_MAX;
    nm_team *made = aligned_alloc(64, (sizeof *made + 63) / 64 * 64);
    if (made) {
        memset(made, 0, sizeof *made);
        made->members = calloc((size_t)threads, sizeof *made->members);
    }
    if (!made || !made->members) {
        free(made);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for a team of %d threads", threads);
    }
    made->threads = (uint32_t)threads;
    made->begin = begin;
    made->spins = threads <= cores ? TEAM_SPINS : 0;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->wake, NULL);
    pthread_cond_init(&made->done, NULL);
    int system_error;
    const uint32_t started = start_members(made, &system_error);
    if (system_error) {
        release(made, started);
        return NM_ERROR(error, NM_E_MEMORY, "can not start thread %u of %d: %s", started + 2, threads,
                        strerror(system_error));
    }
    *team = made;
    return NM_OK;
}

void nm_team_destroy(nm_team *team) {
    if (team) release(team, team->threads - 1);
}

uint32_t nm_team_threads(const nm_team *team) {
    return team->threads;
}
