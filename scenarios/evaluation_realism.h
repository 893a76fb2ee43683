/// How real the agents of an evaluation are: the realism metrics of realism.h, of the agents that planners meet against
/// the recording.
///
/// Each scene is driven so many times, with other seeds, by its recorded drive followed exactly, among the agents of
/// the configuration: the episodes of nm_episode_run, nothing else. So it does not depend on a planner. Scored are the
/// agents alone, not the ego that was replayed: those whom the recording says are to be predicted and that are there at
/// the start, or all that are there then and not static where it names none. Who leaves (the map, say) goes on at its
/// last velocity, as the metrics want a state at every step. Agents that are replayed are the upper bound, below 1: see
/// realism.h.
#ifndef NM_SCENARIOS_EVALUATION_REALISM_H
#define NM_SCENARIOS_EVALUATION_REALISM_H

#include "base/thread_pool.h"
#include "scenarios/evaluation_summary.h"
#include "scenarios/store.h"
#include "sim/metrics/realism.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Everything is borrowed during the call.
typedef struct nm_evaluation_realism_config {
    const char *store;     ///< path
    const int64_t *scenes; ///< [scene_count]
    const uint32_t *group; ///< [scene_count], nullable: see nm_evaluation_entrant
    size_t scene_count;
    nm_episode_config episode; ///< agents, loop, idm, seconds, seed (rollout r has seed + 1 + r); the rest is ignored
    uint32_t rollouts;         ///< >= 1; the challenge has 32
    int (*stop)(void *context);
    void *stop_context;
    void (*progress)(void *context, size_t scenes); ///< nullable; how many more are done
    void *progress_context;
} nm_evaluation_realism_config;

typedef struct nm_evaluation_realism {
    uint32_t rollouts;
    size_t scenes, skipped; ///< rated; and those that nobody can drive in, or with nobody to rate
    nm_realism mean;        ///< over the scenes; all 0 when there is none
    nm_estimate meta;       ///< of the meta-metric, with its interval over groups; NaN without scenes
} nm_evaluation_realism;

/// Errors: NM_E_ARGUMENT for a configuration that makes no sense; NM_E_MEMORY; NM_E_CANCELLED; those of the store. The
/// same bits for any number of threads; agents that a model drives are driven by the calling thread alone.
NM_API nm_status nm_evaluation_realism_run(const nm_evaluation_realism_config *config, nm_thread_pool *pool,
                                           nm_evaluation_realism *out, nm_error *error);

/// Of one scene, rated where *rated is 1. Takes working memory from `arena`.
NM_API nm_status nm_evaluation_realism_of(nm_episode_work *work, const nm_scene *scene, nm_planner *expert,
                                          const nm_episode_config *episode, uint32_t rollouts, nm_arena *arena,
                                          nm_realism *out, int *rated, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
