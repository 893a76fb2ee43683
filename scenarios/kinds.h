/// The kinds of corner cases as declarations: what each is, who takes part, what the map must offer, which parameters
/// it has and where their values come from; and the sampler that draws parameters.
///
/// The numbers and names are those of the detectors (detect.h), so that what was asked for and what is found can be
/// compared. near_miss and collision are no manoeuvres but outcomes of the others: the severities below.
///
/// Pure functions of their arguments, safe everywhere.
#ifndef NM_SCENARIOS_KINDS_H
#define NM_SCENARIOS_KINDS_H

#include "scenarios/detect.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_severity {
    NM_SEVERITY_NEAR_MISS = 0, ///< ego and adversary do not touch, and come as close as `min_ttc` asks: in time to
                               ///< collision, or, on ways that cross and unless min_ttc was asked for, in the time by
                               ///< which one came after the other (post-encroachment time)
    NM_SEVERITY_COLLISION,     ///< they do touch
    NM_SEVERITY_COUNT
} nm_severity;
NM_API const char *nm_severity_name(nm_severity severity);                 ///< "near_miss", "collision"
NM_API int nm_severity_from_name(const char *name, nm_severity *severity); ///< 1 when found

/// What a map must offer, as bits of nm_kind_spec.needs.
#define NM_NEED_ROAD 1u            ///< a lane to drive on, long enough ahead and behind
#define NM_NEED_ADJACENT_LANE 2u   ///< a lane beside it that runs the same way, and a change is allowed
#define NM_NEED_ENDING_LANE 4u     ///< a lane beside it that ends or is a ramp
#define NM_NEED_ONCOMING_LANE 8u   ///< a lane beside it that runs the other way
#define NM_NEED_CROSSING_LANE 16u  ///< a lane that crosses it from the side, without signals
#define NM_NEED_LEFT_TURN 32u      ///< a lane that turns left across it from ahead
#define NM_NEED_RIGHT_TURN 64u     ///< a lane that turns right into it
#define NM_NEED_SIGNAL 128u        ///< a lane that crosses it from the side and has a signal
#define NM_NEED_STREET 256u        ///< a street on which people walk: no motorway, at most 60 km/h
#define NM_NEED_ROADSIDE 512u      ///< a street's outermost lane
#define NM_NEED_TURNING_ROOM 1024u ///< ground to turn back on
#define NM_NEED_COUNT 11
/// In words, for messages ("a lane that crosses another from the side, without signals"); `bit` is one of the above.
NM_API const char *nm_need_text(unsigned bit);

/// What an adversary does against the rules, because the kind asks for it. Everything else must be lawful.
#define NM_VIOLATION_RED_LIGHT 1u
#define NM_VIOLATION_WRONG_WAY 2u ///< drives in a lane that runs the other way
#define NM_VIOLATION_PRIORITY 4u  ///< takes somebody else's right of way
#define NM_VIOLATION_HEADWAY 8u   ///< keeps too short a distance, or changes lanes into one
#define NM_VIOLATION_LANE_KEEPING 16u
#define NM_VIOLATION_STOPPING 32u ///< stands or brakes where traffic has to move
#define NM_VIOLATION_OFF_ROAD 64u
#define NM_VIOLATION_JAYWALK 128u ///< walks on the carriageway off the crosswalks
#define NM_VIOLATION_STOP_LINE 256u
#define NM_VIOLATION_SPEEDING 512u

/// Every parameter that kinds have. All are of the moment that the kind's table names, and measured as kinds_measure.h
/// says.
typedef enum nm_kind_param_id {
    NM_PARAM_EGO_SPEED = 0,  ///< m/s, at the start (R157: Ve0)
    NM_PARAM_GAP,            ///< m, bumper to bumper, ego and adversary (R157: dx0)
    NM_PARAM_CLOSING,        ///< m/s, closing speed (R157: Ve0 - Vo0)
    NM_PARAM_LATERAL_SPEED,  ///< m/s, largest sideways speed of the adversary (R157: Vy)
    NM_PARAM_BRAKING,        ///< m/s^2, hardest of the adversary after its change of lane
    NM_PARAM_REVEAL,         ///< m, adversary's front to the rear of what it hides (R157: dx0_f)
    NM_PARAM_REVEALED_SPEED, ///< m/s, of what it hides
    NM_PARAM_HEADWAY,        ///< s, gap over the follower's speed
    NM_PARAM_DECELERATION,   ///< m/s^2, of the adversary
    NM_PARAM_WARNING,        ///< s, gap over the ego's speed when it begins to brake
    NM_PARAM_BRAKE_TTC,      ///< s, time to collision at which the adversary gives in
    NM_PARAM_OVERHANG,       ///< m, of the adversary beyond its lane
    NM_PARAM_DURATION,       ///< s, that it is beyond
    NM_PARAM_SPEED,          ///< m/s, of the adversary
    NM_PARAM_PREDICTED_PET,  ///< s, from the adversary's leaving the shared ground to the ego's coming, had it not
                             ///< reacted; negative: they would be on it together for that long
    NM_PARAM_REACTION,       ///< s, for which the ego keeps its velocity once there is something to see
    NM_PARAM_MIN_TTC,        ///< s, least time to collision of the two: the severity of a near miss
    NM_PARAM_ID_COUNT
} nm_kind_param_id;

typedef struct nm_kind_range {
    float low, high;
} nm_kind_range;

typedef struct nm_kind_param {
    nm_kind_param_id id;
    const char *name, *unit;
    nm_kind_range bounds;                      ///< what may be asked for
    nm_kind_range fallback[NM_SEVERITY_COUNT]; ///< what is drawn from when nothing is asked for
    int critical;                              ///< -1 the smaller the more dangerous, +1 the larger, 0 neither
    int free;                                  ///< 1 = moved first when the severity is not met
    const char *source;                        ///< meaning, and where the values come from
} nm_kind_param;

#define NM_KIND_MAX_PARAMS 8
typedef enum nm_role { NM_ROLE_EGO = 0, NM_ROLE_ADVERSARY, NM_ROLE_OTHER } nm_role;

typedef struct nm_kind_spec {
    nm_kind kind;
    const char *name;
    const char *definition;      ///< one line: what the adversary does
    int generable;               ///< 0 = no manoeuvre of its own: an outcome of the others
    unsigned severities;         ///< bit per nm_severity that the manoeuvre can have
    const char *ego, *adversary; ///< roles, in words
    const char *others;          ///< further roles, or ""
    nm_role actor;               ///< who is the actor of the detectors' event
    int other_named;             ///< 1 = the event names both; 0 = only the actor (red_light_runner, wrong_way)
    unsigned needs;              ///< NM_NEED_...
    unsigned violations;         ///< NM_VIOLATION_...
    const char *typology;        ///< the NHTSA pre-crash scenario it covers (DOT HS 810 767), by name
    const char *tests;           ///< test protocols that have it: R157, Euro NCAP
    size_t param_count;
    nm_kind_param params[NM_KIND_MAX_PARAMS];
} nm_kind_spec;

/// Static, never NULL for a valid kind; spec->kind is the kind asked for.
NM_API const nm_kind_spec *nm_kind_spec_of(nm_kind kind);

// --- ranges ----------------------------------------------------------------------------------------------------------

/// What was asked for of one kind and severity: a range per parameter, in the order of the kind's table.
typedef struct nm_kind_ranges {
    nm_kind kind;
    nm_severity severity;
    nm_kind_range range[NM_KIND_MAX_PARAMS];
    uint32_t given; ///< bit per parameter that was asked for; the others have the table's range
} nm_kind_ranges;

/// The table's ranges. NM_E_ARGUMENT when the kind is no manoeuvre or cannot have that severity: the message says why
/// and what is possible. *ranges is then unchanged.
NM_API nm_status nm_kind_ranges_default(nm_kind kind, nm_severity severity, nm_kind_ranges *ranges, nm_error *error);
/// Sets from "name=low:high", or "name=value" for a single one. NM_E_ARGUMENT, and nothing is changed, when there is no
/// such parameter (the message lists those there are), the numbers are not finite, low > high, or they pass the bounds
/// (which it names).
NM_API nm_status nm_kind_ranges_set(nm_kind_ranges *ranges, const char *text, nm_error *error);
/// Contradictions between ranges that are each possible: for example min_ttc of a collision. Called by the generators.
NM_API nm_status nm_kind_ranges_check(const nm_kind_ranges *ranges, nm_error *error);

// --- sampling --------------------------------------------------------------------------------------------------------

typedef enum nm_sampling {
    NM_SAMPLING_UNIFORM = 0,
    NM_SAMPLING_GRID,     ///< NM_SAMPLING_LEVELS values a parameter; all move together along a lattice (rank-1)
    NM_SAMPLING_ALL,      ///< every combination of NM_SAMPLING_LEVELS values of those asked for, in turn; the others
                          ///< uniform
    NM_SAMPLING_CRITICAL, ///< density rises linearly from 0 at the harmless end to the dangerous one
    NM_SAMPLING_COUNT
} nm_sampling;
#define NM_SAMPLING_LEVELS 5
NM_API const char *nm_sampling_name(nm_sampling sampling); ///< "uniform", "grid", "all", "critical"
NM_API int nm_sampling_from_name(const char *name, nm_sampling *sampling);

/// Parameters of attempt `index`: value[i] within range[i]. A function of its arguments alone (NM_PURPOSE_KIND).
NM_API void nm_kind_sample(const nm_kind_ranges *ranges, nm_sampling sampling, uint64_t seed, uint64_t index,
                           float value[NM_KIND_MAX_PARAMS]);
/// How many attempts NM_SAMPLING_ALL takes to have every combination once.
NM_API uint64_t nm_kind_combinations(const nm_kind_ranges *ranges);

/// Place of a parameter in the kind's table, or -1.
NM_API int nm_kind_param_index(nm_kind kind, nm_kind_param_id id);

#ifdef __cplusplus
}
#endif
#endif
