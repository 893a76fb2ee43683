/// Threads that stand ready between the operations of a pass: about 90 hand-overs in a few milliseconds, so a thread
/// without work first spins for some tens of microseconds and only then sleeps. base/thread_pool.h, made for long
/// tasks, wakes through a condition variable each time, which costs more than a small operation.
#ifndef NM_NEXUS_OPS_CPU_TEAM_H
#define NM_NEXUS_OPS_CPU_TEAM_H

#include "base/status.h"

typedef struct nm_team nm_team;

/// One share of an operation; `worker` in [0, workers). Worker 0 is the calling thread.
typedef void nm_team_task(void *context, uint32_t worker, uint32_t workers);

/// threads 1..256, 0 = one per core that this process may use. `begin` (nullable) runs first in every new thread.
/// With more threads than cores nobody spins.
nm_status nm_team_create(int threads, void (*begin)(void), nm_team **team, nm_error *error);
void nm_team_destroy(nm_team *team); ///< NULL is fine
uint32_t nm_team_threads(const nm_team *team);

/// Runs task(context, w, workers) for w in [0, workers), workers = the lower of `wanted` (>= 1) and the team's threads,
/// each w always in the same thread; returns when all are done. One caller at a time; not from a task.
void nm_team_run(nm_team *team, uint32_t wanted, nm_team_task *task, void *context);

#endif
