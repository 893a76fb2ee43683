/// The manoeuvre generator: corner cases made of an adversary's parametric manoeuvre whose timing is solved so that the
/// conflict happens with an ego that reacts.
///
/// An attempt takes a place on the scene's map where the kind can happen, puts the ego there with its traffic around
/// it, runs the closed loop once without the adversary, lays the adversary's manoeuvre against what the ego did, runs
/// again, measures, and corrects: first the timing until the wanted gaps are met, then the parameters within their
/// ranges until the severity is met. What results is kept only when the detectors find the kind with the roles that
/// were meant.
///
/// An ego may be late: where something stands in its way already, and with the parameter `reaction`, it keeps its
/// velocity until it notices. What comes before there is something to see counts as history: the scene's current step
/// is where a planner under test takes over, which may be sooner than the ego did that is recorded.
///
/// Attempt n of a request about a scene is a function of these three: the same for any number of threads.
#ifndef NM_SCENARIOS_MANOEUVRE_H
#define NM_SCENARIOS_MANOEUVRE_H

#include "scenarios/kinds.h"
#include "scenarios/places.h"
#include "sim/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Fill with nm_manoeuvre_request_default(). Borrowed pointers outlive the attempts.
typedef struct nm_manoeuvre_request {
    nm_kind_ranges ranges; ///< kind, severity and parameters: nm_kind_ranges_default, nm_kind_ranges_set
    nm_sampling sampling;
    uint64_t seed;
    nm_policy_kind ego;       ///< default IDM; LOG and EXTERNAL are refused: nothing is recorded of this ego
    const nm_policy *custom;  ///< for NM_POLICY_CUSTOM
    const nm_idm_params *idm; ///< of all reactive agents; default nm_idm_named("nearmiss") without lane changes
    uint32_t start_step;      ///< of the scene, whose traffic is taken; NM_NONE (default) = its current step
    uint32_t steps;           ///< of 0.1 s, 60..400; default 100
    uint32_t traffic;         ///< others kept, the nearest ones, 0..NM_MANOEUVRE_MAX_TRAFFIC; default 6
} nm_manoeuvre_request;
#define NM_MANOEUVRE_MAX_TRAFFIC 32u
NM_API nm_manoeuvre_request nm_manoeuvre_request_default(void);

/// Why an attempt was not kept. Append only.
typedef enum nm_reject {
    NM_REJECT_NONE = 0,
    NM_REJECT_EGO_SPEED,     ///< the wanted speed and what the place allows have nothing in common
    NM_REJECT_NO_ROOM,       ///< the manoeuvre does not fit into the way there is
    NM_REJECT_EGO_ELSEWHERE, ///< the ego did not come to the place
    NM_REJECT_SIGNALS,       ///< no moment at which the signals are as the kind needs them
    NM_REJECT_PARAMETERS,    ///< the wanted values were not met within tolerance
    NM_REJECT_TOO_MILD,      ///< the ego avoids even the most dangerous values of the ranges
    NM_REJECT_TOO_HARD,      ///< even the least dangerous ones end in a collision, or below min_ttc
    NM_REJECT_OTHERS,        ///< somebody else was hit
    NM_REJECT_NOT_FOUND,     ///< the detectors do not see the kind
    NM_REJECT_COUNT
} nm_reject;
NM_API const char *nm_reject_name(nm_reject reject); ///< "ego_speed", ...

/// How closely gaps and speeds are met: m, s, m/s.
#define NM_TOLERANCE_GAP 0.5f
#define NM_TOLERANCE_TIME 0.1f
#define NM_TOLERANCE_SPEED 0.5f

/// One attempt. Arrays by place in the kind's table of parameters.
typedef struct nm_manoeuvre {
    nm_reject reject;
    const nm_scene *scene;               ///< the caller's (nm_scene_destroy); NULL when rejected
    uint32_t ego, adversary, other;      ///< tracks of the scene; other NM_NONE when the kind has no further role
    float drawn[NM_KIND_MAX_PARAMS];     ///< what the sampler gave
    float requested[NM_KIND_MAX_PARAMS]; ///< what was aimed at in the end: moved within the ranges for the severity
    float achieved[NM_KIND_MAX_PARAMS];  ///< measured in the scene; NaN where nothing is to measure
    float min_ttc;                       ///< s, INFINITY = none
    float min_distance;                  ///< m
    int contact;
    uint32_t conflict_step; ///< the moment the parameters are of
    nm_event event;         ///< of the kind
    const nm_event *events; ///< all of the scene, until the next attempt with this work
    size_t event_count;
    const nm_scene_criticality *criticality; ///< likewise
    uint32_t simulations;                    ///< closed-loop runs that it took
    uint32_t stagings;                       ///< places at which the manoeuvre was tried
} nm_manoeuvre;

/// Working memory: one per thread.
typedef struct nm_manoeuvre_work nm_manoeuvre_work;
NM_API nm_manoeuvre_work *nm_manoeuvre_work_create(void);       ///< NULL: no memory
NM_API void nm_manoeuvre_work_destroy(nm_manoeuvre_work *work); ///< NULL is fine

/// Everything that can be said before work starts: NM_E_ARGUMENT for a request that makes no sense or a scene at
/// another time step than 0.1 s, or without a valid start step; NM_E_UNSUPPORTED when the map cannot hold the kind (see
/// nm_kind_check_map).
NM_API nm_status nm_manoeuvre_check(const nm_scene *scene, const nm_manoeuvre_request *request, nm_error *error);

/// Attempt `index`. `scene` gives map, signals and traffic (who is in the way of the roles is left out; everybody else
/// drives by IDM); its ego's size is the ego's. The request has been checked.
/// NM_OK whether it is kept or not; NM_E_MEMORY, NM_E_UNSUPPORTED as nm_kind_check_map, or what world and detectors
/// return. About 10 closed-loop runs of 2 to 16 agents at most: 1 to 2 ms, detection included. Memory: one world an
/// attempt and what the kept scene takes; no allocation within runs.
///
/// Provenance of what is kept: source "manoeuvre", the scene's file and id, parent its hash, seed and parameters: all
/// of the request, the index and what was achieved; nm_manoeuvre_parse reads the request back.
NM_API nm_status nm_manoeuvre_attempt(nm_manoeuvre_work *work, const nm_scene *scene,
                                      const nm_manoeuvre_request *request, uint64_t index, nm_manoeuvre *out,
                                      nm_error *error);

/// Request and index out of the parameters of a kept scene's provenance, so that the scene can be made again from its
/// parent. A custom policy and IDM sets other than the named ones are the caller's to fill in again. NM_E_FORMAT.
NM_API nm_status nm_manoeuvre_parse(const char *parameters, nm_manoeuvre_request *request, uint64_t *index,
                                    nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
