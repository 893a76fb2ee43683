/// Evaluations: planners over the scenes of a store, into a file of results.
///
/// Scenes are driven in rounds of NM_EVALUATION_ROUND by the threads of a pool (among agents that a model drives by the
/// calling thread alone), each with a planner of its own, one
/// scene in memory a thread; a round goes into the results in one transaction, in the order of the scenes. A run that
/// was stopped or killed goes on where it was, and equals one that was not: scenes count as driven by number and
/// content; those that could not be read are tried again. Results are the same for any number of threads, as long as
/// planners are functions of what they see; only measured times differ.
#ifndef NM_SCENARIOS_EVALUATION_H
#define NM_SCENARIOS_EVALUATION_H

#include "base/thread_pool.h"
#include "scenarios/results.h"
#include "scenarios/store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_EVALUATION_ROUND 64u

/// Makes a planner for one more thread, such as nm_planner_open; called on that thread when it is first needed, by
/// several at once. context as configured.
typedef nm_status nm_evaluation_planner(void *context, nm_planner **planner, nm_error *error);

/// Everything is borrowed during the run.
typedef struct nm_evaluation_config {
    nm_episode_config episode; ///< keep_scene without effect
    nm_evaluation_planner *planner;
    void *planner_context;
    nm_results_run run; ///< its agents, idm, perfect, seconds, deadline, seed and adversary are set from `episode`
    int fresh;          ///< 1 = what the results have of this run is forgotten first
    int problems;       ///< 1 = scenes without ego are driven from their first planning problem to its goal (problem.h)
    int needs_recording;   ///< 1 = the planner drives as the ego was recorded: planning problems are unfit for it
    const char *store;     ///< path
    const int64_t *scenes; ///< [scene_count] ids, ascending, each once
    size_t scene_count;
    /// Nullable: asked every step; not 0 ends the run with NM_E_CANCELLED, finished episodes stay.
    int (*stop)(void *context);
    void *stop_context;
    void (*progress)(void *context, size_t episodes); ///< nullable; after each round, how many more are done
    void *progress_context;
} nm_evaluation_config;

typedef struct nm_evaluation_report {
    int64_t run;                ///< row of the results
    size_t driven;              ///< in this call; the others were there
    size_t done, failed, unfit; ///< of all scenes of the configuration
    double driven_seconds;      ///< simulated in this call
    double wall_seconds;        ///< of this call
} nm_evaluation_report;

/// A scene that cannot be read counts as unfit, with the reason. Errors: those of store, results and
/// nm_episode_run's configuration; NM_E_CANCELLED; what `planner` returns when it makes none. What was driven before is
/// in the results. Call it from a thread that stays until it returns, with a pool that stays (planner_open.h).
NM_API nm_status nm_evaluation_run(const nm_evaluation_config *config, nm_results *results, nm_thread_pool *pool,
                                   nm_evaluation_report *report, nm_error *error);

/// A stored scene as it is driven, at steps of 0.1 s. *scene is the caller's (nm_scene_destroy). Errors of the store,
/// and of nm_scene_resample.
NM_API nm_status nm_evaluation_scene(nm_store *store, int64_t id, const nm_scene **scene, nm_error *error);

/// 1 = with `problems`, it is driven as a planning problem: it has no ego, but one.
NM_API int nm_evaluation_is_problem(const nm_scene *scene);

/// What happens in a stored scene, in a few words: the kind it was generated for, else the most severe kind that was
/// mined in it, else what the ego's recorded drive shows (scene_type.h), else its source.
/// scene   as it is driven, at steps of 0.1 s
/// text    terminated, cut to `size`
/// arena   for working memory
NM_API nm_status nm_evaluation_type(nm_store *store, int64_t id, const nm_scene *scene,
                                    const nm_episode_config *episode, nm_arena *arena, char *text, size_t size,
                                    nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
