/// Corner-case detectors: find and label kinds of dangerous moments in any scene, logged or simulated.
///
/// A detector is one entry in a table: name, one-line definition, parameters with unit, default and source, and a
/// function over precomputed scene features (lane of each agent at each step, lateral offset and speed, gaps, pair
/// criticality). Pure: the same scene and parameters give the same events, in the same order. One call per thread and
/// scene.
#ifndef NM_SCENARIOS_DETECT_H
#define NM_SCENARIOS_DETECT_H

#include "base/arena.h"
#include "sim/metrics/criticality.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Stable numbers and names: stored in databases. Append only.
typedef enum nm_kind {
    NM_KIND_CUT_IN = 0,
    NM_KIND_CUT_OUT,
    NM_KIND_HARD_BRAKE,
    NM_KIND_REAR_END,
    NM_KIND_LEAD_STOPPED,
    NM_KIND_MERGE_CONFLICT,
    NM_KIND_UNPROTECTED_LEFT_TURN,
    NM_KIND_CROSSING_CONFLICT,
    NM_KIND_RED_LIGHT_RUNNER,
    NM_KIND_RIGHT_TURN_CONFLICT,
    NM_KIND_PEDESTRIAN_CROSSING,
    NM_KIND_CYCLIST_CROSSING,
    NM_KIND_WRONG_WAY,
    NM_KIND_TAILGATE,
    NM_KIND_LANE_DRIFT,
    NM_KIND_HEAD_ON,
    NM_KIND_NEAR_MISS,
    NM_KIND_COLLISION,
    NM_KIND_CHAIN_BRAKE,
    NM_KIND_PARKED_PULL_OUT,
    NM_KIND_OCCLUDED_PEDESTRIAN,
    NM_KIND_BLOCKED_LANE,
    NM_KIND_SUDDEN_U_TURN,
    NM_KIND_COUNT
} nm_kind;

typedef struct nm_detector_param {
    const char *name;
    const char *unit;
    float value; ///< default
    float min, max;
    const char *meaning; ///< and source
} nm_detector_param;

#define NM_DETECTOR_MAX_PARAMS 8
typedef struct nm_detector_info {
    nm_kind kind;
    const char *name;       ///< "cut_in"
    const char *definition; ///< one sentence
    size_t param_count;
    nm_detector_param params[NM_DETECTOR_MAX_PARAMS];
} nm_detector_info;

/// The table, in order of nm_kind. Static; never NULL for a valid kind.
NM_API const nm_detector_info *nm_detector(nm_kind kind);
NM_API const char *nm_kind_name(nm_kind kind);
NM_API int nm_kind_from_name(const char *name, nm_kind *kind); ///< 1 when found

/// Values for all detectors; start from nm_detect_params_default().
typedef struct nm_detect_params {
    nm_criticality_params criticality;
    float values[NM_KIND_COUNT][NM_DETECTOR_MAX_PARAMS];
    uint32_t enabled;      ///< bit per kind; default all
    int conflict_only_ego; ///< 1 = only events that involve the ego; default 0
} nm_detect_params;
NM_API nm_detect_params nm_detect_params_default(void);
/// Sets "kind.param" to value. NM_E_ARGUMENT names what is unknown or out of range.
NM_API nm_status nm_detect_params_set(nm_detect_params *params, const char *name, double value, nm_error *error);
/// {"cut_in": {"max_gap": 30, ...}, ...} for the kinds that are looked for: unformatted, it is what nm_store_put_events
/// and nm_store_unmined_ids take. NULL: no memory. Release with cJSON_Delete.
struct cJSON;
NM_API struct cJSON *nm_detect_params_json(const nm_detect_params *params);

/// One labelled event. Unset numbers are NaN in memory and NULL in the store. They are those of actor and other, from
/// smoothed motion, but of cut_out: there gap, closing speed, min_ttc and max_drac are the other's to the vehicle that
/// was revealed. In head_on min_ttc is the time until the two meet along the lane, in sudden_u_turn the time until the
/// other reaches the actor along its lane. In chain_brake the actor is the first to brake and the other the next one;
/// in blocked_lane the actor is what stands in the way and the other who has to stop or swerve.
typedef struct nm_event {
    nm_kind kind;
    uint32_t first_step, last_step; ///< inclusive
    uint32_t critical_step;         ///< the moment that matters
    uint32_t actor;                 ///< track that does it (cuts in, brakes, runs the light)
    uint32_t other;                 ///< track that suffers it, or NM_NONE
    float min_ttc;                  ///< s, exact sweep, of the pair within the event
    float min_distance;             ///< m
    float min_thw;                  ///< s
    float max_drac;                 ///< m/s^2
    float pet;                      ///< s
    float min_ttr;                  ///< s, time to react
    float closing_speed;            ///< m/s at the critical step
    float gap;                      ///< m at the critical step
    float lateral_speed;            ///< m/s of the actor at the critical step
    float deceleration;             ///< m/s^2, the largest of the actor within the event
    float impact_speed, delta_v;    ///< m/s, collisions only
    float severity;                 ///< 0..1, one number to order by; collisions from 0.8 on: formula in detect.c
} nm_event;

/// Finds all events of a scene, ordered by (kind, critical_step, actor, other). `*events` is allocated from `arena`.
/// criticality [out, nullable]: the scene's summary, which the detectors compute anyway.
NM_API nm_status nm_detect(const nm_scene *scene, const nm_detect_params *params, nm_arena *arena, nm_event **events,
                           size_t *count, nm_scene_criticality *criticality, nm_error *error);

/// A fixed-length description of a scene or an event for similarity search: see feature.c for each entry, its scale and
/// the distance (Euclidean over scaled entries). All finite, about [-1, 1].
#define NM_FEATURE_COUNT 32
NM_API void nm_scene_feature(const nm_scene *scene, const nm_scene_criticality *criticality, const nm_event *events,
                             size_t event_count, float feature[NM_FEATURE_COUNT]);

#ifdef __cplusplus
}
#endif
#endif
