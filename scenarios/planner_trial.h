/// How often a planner collides: it drives through scenes in closed loop, while everybody else does what was recorded
/// (NM_POLICY_LOG) or reacts; those who are staged in a generated scene do what is scripted in either case. The same
/// measure for recordings and for generated sets, so that they can be compared.
///
/// In a scene with an ego that is who the planner drives, from the scene's current step on. Recordings often have none:
/// then every motor vehicle takes its turn that is recorded for NM_TRIAL_STEPS without a gap and moves by
/// NM_TRIAL_WAY, from when it first appears at or after the current step. A run ends with the ego's recording, with its
/// first collision, or when it leaves the map. Recorded others do not react, so a planner that is slower than the
/// driver it replaces is run into from behind: `at_fault` leaves those out.
#ifndef NM_SCENARIOS_PLANNER_TRIAL_H
#define NM_SCENARIOS_PLANNER_TRIAL_H

#include "base/thread_pool.h"
#include "scenarios/store.h"
#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_TRIAL_STEPS 30u
#define NM_TRIAL_WAY 5.0f ///< m from its first place to its last

typedef struct nm_trial {
    uint64_t scenes; ///< with at least one run
    uint64_t runs;
    uint64_t steps;      ///< driven, of 0.1 s
    uint64_t collided;   ///< runs in which the ego comes to touch somebody
    uint64_t at_fault;   ///< of them those that nm_classify_collision lays on the ego, or on both
    uint64_t unreadable; ///< scenes of a store that are damaged or cannot be driven in
} nm_trial;

/// Adds the runs of one scene. config: its start_step and checks are replaced. NM_E_ARGUMENT for another time
/// step than 0.1 s; errors of nm_world_create.
NM_API nm_status nm_trial_scene(const nm_scene *scene, const nm_world_config *config, nm_trial *trial, nm_error *error);

/// Whether a scene of a store takes part; NULL = all.
typedef int nm_trial_filter(void *context, const nm_scene *scene);

/// The scenes of a store, at 0.1 s. Same result for any number of threads. One that cannot be read is counted, not an
/// error. NM_E_NOT_FOUND when there is nobody to drive; NM_E_CANCELLED when config->stop says so.
/// generated  1 = those that a generator put in; 0 = those that neither a generator nor a model made
NM_API nm_status nm_trial_store(const char *path, int generated, nm_trial_filter *filter, void *context,
                                const nm_world_config *config, nm_thread_pool *pool, nm_trial *trial, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
