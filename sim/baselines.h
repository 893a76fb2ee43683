/// Simple futures of a recorded scene, to see generated ones against: what no model is needed for.
#ifndef NM_SIM_BASELINES_H
#define NM_SIM_BASELINES_H

#include "sim/metrics/futures.h"
#include "sim/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nm_arena;

typedef enum nm_baseline {
    NM_BASELINE_CONSTANT_VELOCITY = 0, ///< velocity and heading of the current state, held
    /// The goal task's: each agent on a straight line, at constant speed, to where it was last recorded among the
    /// states 0.5, 1.0, .. 8 s ahead (and within the asked steps), at that time; then on with the same velocity. Heads
    /// along its way where that is over 0.5 m, else as it does now. Who has no such state ahead keeps its velocity.
    NM_BASELINE_STRAIGHT,
    /// The simulator's reactive world (world.h) driven on from the current step: everybody present by the Intelligent
    /// Driver Model, pedestrians walking. Nothing later than the current step is used, but that what is NM_TRACK_STATIC
    /// stands while it is recorded, and that drivers' characters are drawn from the hash of the scene (and the seed);
    /// who would appear later does not. Who leaves at the road's end keeps its last velocity. Sample r has seed + r.
    NM_BASELINE_IDM,
    NM_BASELINE_LOG, ///< what was recorded; where nothing was, the last velocity, held
    NM_BASELINE_COUNT
} nm_baseline;

NM_API const char *nm_baseline_name(nm_baseline kind); ///< "constant_velocity", "straight", "idm", "log"
NM_API int nm_baseline_from_name(const char *name, nm_baseline *kind); ///< 1 when found

/// Tracks that are valid at the scene's current step, not NM_TRACK_STATIC, and of a type in `type_mask` (1 << type), as
/// nm_futures names them. Returns how many there are, writes at most `max` (track nullable with max 0).
NM_API uint32_t nm_futures_tracks(const nm_scene *scene, unsigned type_mask, uint32_t *track, uint32_t max);
#define NM_TYPE_MASK_ALL ((1u << NM_AGENT_TYPE_COUNT) - 1u)
/// Those of nm_agent_type_vehicle: what Nexus is scored on.
#define NM_TYPE_MASK_VEHICLE                                                                                           \
    ((1u << NM_AGENT_UNKNOWN) | (1u << NM_AGENT_CAR) | (1u << NM_AGENT_TRUCK) | (1u << NM_AGENT_BUS) |                 \
     (1u << NM_AGENT_MOTORCYCLE))

/// Fill with nm_baseline_request_default().
typedef struct nm_baseline_request {
    const uint32_t *track; ///< [agents], see nm_futures; borrowed, also by what is made
    uint32_t agents;
    uint32_t samples;         ///< all alike but for NM_BASELINE_IDM; default 1
    uint32_t steps;           ///< of 0.1 s; default 80
    uint64_t seed;            ///< of NM_BASELINE_IDM
    const nm_idm_params *idm; ///< default nm_idm_named("nearmiss")
} nm_baseline_request;
NM_API nm_baseline_request nm_baseline_request_default(void);

/// Makes futures of the scene from its current step on. Arrays come from `arena`.
///
/// scene    its time step must be 0.1 s. To start elsewhere than at the recording's current step, hand in a copy of the
///          struct with another current_step
/// returns  NM_OK; NM_E_ARGUMENT for another time step, no samples or steps, more than NM_SCENE_MAX_STEPS of these, or
///          tracks that are not as nm_futures wants them; NM_E_MEMORY. *futures is written only with NM_OK
///
/// z keeps its current value but in the recording's own states and on the way to a goal. Deterministic. Thread-safe for
/// different arenas. IDM prepares the map and costs samples * steps * everybody; the others samples * steps * agents.
NM_API nm_status nm_baseline_futures(const nm_scene *scene, nm_baseline kind, const nm_baseline_request *request,
                                     struct nm_arena *arena, nm_futures *futures, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
