/// Is a generated scene fit to be kept? One verdict for each thing that can be wrong with it, all of them stored.
///
/// A verdict is a value that must not pass a limit. The value is that of the worst agent at the worst moment, relative
/// to its own limit. Who is judged: the ego and the adversaries (with `everyone`: every track that is not static), from
/// one step before the generated part to the end, so that the seam is judged too; each only until it first touches
/// somebody, because what a crash does to a vehicle is not modelled. The rules of the road are asked of the adversaries
/// alone: how the ego drives is its own affair.
///
/// Motion is measured by fitting polynomials to the POSITIONS (Savitzky and Golay 1964), never by differences of
/// neighbouring steps, and angles only over distances driven: neither float noise at standstill nor a decimetre of
/// tracking noise is an acceleration. Only whole windows inside one run of valid steps count.
///   speed, acceleration   parabola over +-0.5 s (the detectors' window), along and across the direction of motion (at
///                         under 1 m/s: of the heading). Along, the slope of the stated velocities counts instead
///                         where it is weaker, and nothing where the two disagree in sign, as the detectors have it
///   jerk                  slope of the acceleration along over +-0.3 s
///   yaw rate              slope of the unwrapped heading over +-0.2 s (nuPlan's window); at 0 where it moves less than
///                         NM_VALID_CHORD within it
///   slip                  angle between the heading and the motion of the rear axle or the centre, whichever is less
///                         (sources differ in which of them drives along the heading; NM_VALID_REAR of the length
///                         lies between them), over 3 m/s
///   curvature             2 sin(turn / 2) / chord over the shortest chord of at least 2 m
///   turn_on_spot          largest turn within 2 s during which the centre stays within NM_VALID_CHORD
/// Limits of feasibility (the default), by type: nm_kinematic_limits_of.
///
/// Road and rules need lanes; without, the verdicts are not judged. Realism is judged for motor vehicles alone: no
/// recordings of ordinary pedestrians and cyclists are at hand that a range could be taken from.
#ifndef NM_SCENARIOS_VALIDITY_H
#define NM_SCENARIOS_VALIDITY_H

#include "scenarios/avoidability.h"
#include "scenarios/kinds.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Stable numbers and names: stored. Append only.
typedef enum nm_verdict_kind {
    NM_VERDICT_SPEED = 0,            ///< m/s
    NM_VERDICT_ACCELERATION,         ///< m/s^2, speeding up
    NM_VERDICT_BRAKING,              ///< m/s^2
    NM_VERDICT_LATERAL_ACCELERATION, ///< m/s^2
    NM_VERDICT_JERK,                 ///< m/s^3, along
    NM_VERDICT_YAW_RATE,             ///< rad/s
    NM_VERDICT_CURVATURE,            ///< 1/m
    NM_VERDICT_SLIP,                 ///< rad, sideways over the ground
    NM_VERDICT_TELEPORT,             ///< m, change of displacement from one step to the next
    NM_VERDICT_HEADING_JUMP,         ///< rad from one step to the next
    NM_VERDICT_VELOCITY,             ///< m/s, stated velocity against displacement
    NM_VERDICT_GAP,                  ///< s without a state between states
    NM_VERDICT_TURN_ON_SPOT,         ///< rad
    NM_VERDICT_OVERLAP_AT_START,     ///< m that two boxes reach into each other where both are first there
    NM_VERDICT_OFF_ROAD,  ///< m, the corner furthest off the road; of cyclists the centre, off cycle ways too
    NM_VERDICT_JAYWALK,   ///< m that a pedestrian is on the carriageway, off every crosswalk
    NM_VERDICT_RED_LIGHT, ///< m/s, speed over the stop line of a red light
    NM_VERDICT_STOP_LINE, ///< m/s, least speed on the last 5 m before the line of a stop sign
    NM_VERDICT_WRONG_WAY, ///< m driven against the lane without a break
    NM_VERDICT_SPEEDING,  ///< m/s over the limit
    NM_VERDICT_REALISM,   ///< nats: see nm_realism_of_motion
    NM_VERDICT_CAUSE,     ///< m/s^2, the braking that others than the adversaries demand of the ego
    NM_VERDICT_COUNT
} nm_verdict_kind;

typedef struct nm_verdict_info {
    const char *name; ///< "lateral_acceleration"
    const char *unit;
    const char *meaning; ///< one sentence, with the source of the limit
} nm_verdict_info;
NM_API const nm_verdict_info *nm_verdict_about(nm_verdict_kind kind);     ///< static
NM_API int nm_verdict_from_name(const char *name, nm_verdict_kind *kind); ///< 1 when found

/// Violations that may be asked for (NM_VIOLATION_... of kinds.h): then the adversaries' verdict of the same name is
/// ALLOWED instead of FAIL. Those that no verdict has the name of change nothing.
typedef enum nm_verdict_result {
    NM_VERDICT_UNJUDGED = 0, ///< nobody it applies to, or nothing to judge by; does not count against the scene
    NM_VERDICT_PASS,
    NM_VERDICT_ALLOWED, ///< passes the limit, as was asked for
    NM_VERDICT_FAIL
} nm_verdict_result;
NM_API const char *nm_verdict_result_name(nm_verdict_result result); ///< "unjudged", "pass", "allowed", "fail"

typedef struct nm_verdict {
    nm_verdict_result result;
    float value, limit;   ///< value <= limit passes; 0 when unjudged
    uint32_t track, step; ///< of the value; NM_NONE when unjudged
} nm_verdict;

/// Limits of motion of one type; INFINITY = none.
typedef struct nm_kinematic_limits {
    float speed, acceleration, braking, lateral, jerk, yaw_rate, curvature, slip, turn_on_spot;
} nm_kinematic_limits;
typedef enum nm_limit_profile {
    NM_LIMITS_FEASIBLE = 0, ///< what the vehicle can do
    NM_LIMITS_COMFORT       ///< what nuPlan calls comfortable (vehicles; others as feasible): not for adversaries
} nm_limit_profile;

/// Feasible, cars: speed 70 m/s; speeding up 6 m/s^2 (the acceleration bound of Waymax's bicycle model); braking
/// 9.81 m/s^2 (the full braking of UNECE R157's scenarios); lateral 8.83 m/s^2 (0.9 g, the grip of
/// nm_dynamics_limits_of); jerk 15 m/s^3 as measured: the windows make 13.5 of full braking that sets in within one
/// step, 18.5 of full acceleration that turns into it; curvature 0.3 1/m (Waymax's kinematic infeasibility); yaw rate
/// sqrt(curvature * lateral), where full lock meets the grip: 1.63 rad/s; slip and turn on the spot 0.2 rad. Other
/// types: the same reasons with the numbers of nm_dynamics_limits_of; see validity_limits.c.
/// Of 2402 tracks of the NGSIM scenes of CommonRoad 96.1 % keep all limits of motion and 95.2 % stay on the road
/// (tests/scenarios/test_validity.c).
/// Comfort: nuPlan's bounds, -4.05 to 2.40 m/s^2 along, 4.89 across, 0.95 rad/s, jerk 4.13 m/s^3.
NM_API nm_kinematic_limits nm_kinematic_limits_of(nm_agent_type type, nm_limit_profile profile);

/// Fill with nm_validity_params_default().
typedef struct nm_validity_params {
    nm_limit_profile profile;
    uint32_t violations; ///< NM_VIOLATION_... that were asked for; default 0
    int everyone;        ///< judge the motion and road of all tracks; default 0
    float teleport;      ///< m; default 1 (a change of speed by 10 m/s from one step to the next)
    float heading_jump;  ///< rad; default 0.5 (nm_scene_validate)
    float velocity;      ///< m/s; default 5 (nm_scene_validate)
    float overlap;       ///< m; default 0.1: drawing boxes exactly side by side is not overlapping
    float off_road;      ///< m; default 0.3 (nuPlan's drivable area compliance)
    float jaywalk;       ///< m; default 0.5: walking along the edge is not
    float red_light;     ///< m/s; default 0.5: creeping over the line
    float stop_line;     ///< m/s; default 1: a stop that the measured speed still shows as one
    float wrong_way;     ///< m; default 6 (nuPlan's driving direction compliance)
    float speeding;      ///< m/s; default 5; a request "over the limit by x" puts x here
    float realism;       ///< nats; default NM_ORDINARY_REALISM
    float cause;         ///< m/s^2; default 3.4, what AASHTO's Green Book lets any driver be asked for
    uint32_t from;       ///< first step of the scene whose motion, road and rules are judged, where that is sooner than
                         ///< the case's `begin`: of a scene that was generated from its start on, 0; default NM_NONE
    nm_reference_driver driver;
} nm_validity_params;
NM_API nm_validity_params nm_validity_params_default(void);

typedef struct nm_validity {
    int valid; ///< no verdict is FAIL. An unavoidable scene can be valid: it is labelled
    nm_verdict verdicts[NM_VERDICT_COUNT];
    nm_avoidability avoidability;
} nm_validity;

/// Judges one scene. Pure and thread-safe for different arenas; what was taken from `arena` is given back. Prepares the
/// map. Errors as nm_avoidability_of, and NM_E_ARGUMENT for params that make no sense (negative or NaN limits). Costs
/// about 0.25 ms for 9 s with 40 tracks.
NM_API nm_status nm_validity_of(const nm_conflict_case *conflict, const nm_validity_params *params, nm_arena *arena,
                                nm_validity *out, nm_error *error);

/// Judges the drive of one track over the steps [first, last] on its own, as an adversary's: overlaps, motion, road and
/// rules. Nothing else is judged: no realism, no cause, no avoidability. Else as nm_validity_of; the steps are within
/// the scene.
NM_API nm_status nm_validity_of_drive(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t last,
                                      const nm_validity_params *params, nm_arena *arena, nm_validity *out,
                                      nm_error *error);

/// {"valid": true, "verdicts": {"speed": {"result": "pass", "value": 13.9, "limit": 70, "unit": "m/s", "track": 3,
/// "step": 41}, ...}, "avoidability": {...}}. Tracks are indices; steps and tracks that are not there, and numbers that
/// are not finite, are null. NULL: no memory. Release with cJSON_Delete.
struct cJSON;
NM_API struct cJSON *nm_validity_json(const nm_validity *validity);

// ---------------------------------------------------------------------------------------------------------------------
// Realism, cheaply

/// How unlike ordinary driving the motion of a motor vehicle over steps [first, last] is: the mean, over the steps and
/// over three features - acceleration along, acceleration across, jerk, each given the speed - of minus the logarithm
/// of how often recorded drivers did that, in units of the most common there; a single value counts at most
/// NM_REALISM_CEILING. 0 = always the most common thing to do. NaN when no whole window fits. Costs some microseconds.
///
/// The frequencies (ordinary_motion.h) were counted over all moving motor vehicles of the NGSIM scenes of CommonRoad
/// that the project trains on, by the test of this file, which counts them again and compares.
NM_API nm_status nm_realism_of_motion(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t last,
                                      nm_arena *arena, float *nats, nm_error *error);
#define NM_REALISM_CEILING 8.0f
/// The range of ordinary traffic: of 1432 recorded drives of 8 s 99.9 % lie below 2.495, half below 0.6. Of the
/// recordings that were not counted (30 drives) all lie below 1.5.
#define NM_ORDINARY_REALISM 2.5f

#ifdef __cplusplus
}
#endif
#endif
