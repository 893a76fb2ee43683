/// The closed-loop score of nuPlan (Karnchanachari et al. 2024; motional/nuplan-devkit, commit e9241677), of one driven
/// scenario: how the published evaluation computes it, accidents of its implementation included, since a score is worth
/// something only when it equals everybody else's.
///
///   score = no_ego_at_fault_collisions * drivable_area_compliance * ego_is_making_progress *
///           driving_direction_compliance *
///           (5 ego_progress_along_expert_route + 5 time_to_collision_within_bound + 4 speed_limit_compliance +
///            2 ego_is_comfortable) / 16
///
/// Reference points. The ego's pose, velocity and acceleration are those of the REAR AXLE; its speed is |velocity|
/// there; its box, its corners and the point that follows the route are about its CENTRE, rear_to_centre ahead. Tracks
/// are boxes about their centres. Frame and origin are the map's.
///
/// Route. A point is assigned to the lane that strictly contains it, else to all connectors that do; members of the
/// last sample's set, and successors of a single one, go before a fresh look; connectors nearer than 5 m are kept when
/// only connectors, or nothing but an intersection, are found instead; a backward pass narrows sets down to what the
/// next sample has, or to what leads into its lane.
///   One lane: the four corners share an object, or lie on two that follow one another. A footprint that is partly off
///   every lane is not in one lane.
///
/// Metrics (nm_nuplan_describe has weights and thresholds; "first match wins"):
///   collisions     every track at its first contact with the ego, touching included: ego stopped (<= 0.05 m/s, not at
///                  fault); track stopped or static (at fault); track behind the rear axle (> 150 degrees, not);
///                  front bumper meets the track (at fault); lateral: at fault when not in one lane. 0 for one at fault
///                  with a pedestrian, cyclist or vehicle, or two objects; 0.5 for one object
///   TTC            0 where a collision at fault begins; else boxes of tracks not yet collided, ahead (< 30 degrees
///   from
///                  the rear axle), or not behind while the ego is not in one lane or its rear axle is in an
///                  intersection, are moved along their headings at their speeds' magnitudes by 0.1 .. 2.9 s
///   drivable area  no corner that is in no lane lies 0.3 m or more from the drivable area and from the objects of the
///                  ego's route
///   direction      least progress along the first route object within 1 s, whose window has floor(1 s / mean dt) + 1
///                  terms; the first two samples of every later object count 0
///   progress       of the ego's samples over that of the expert's along the expert's roadblocks; below 2 m counts as
///                  2 m, less than -2 m gives 0
///   speed limit    excess over the limit times mean dt, over 2.23 m/s times the duration; no limit, no violation
///   comfort        Savitzky-Golay-filtered series within six bounds, see nm_nuplan_series
///
/// Different from the published code, where that would give up or depends on chance: where lanes overlap, the one whose
/// baseline is nearest is taken (there: an error); connectors of one point are in the order of their indices (there: of
/// a search tree); a connector without any neighbour has no speed limit (there: an error). Lane changes, which have no
/// score, are not judged; nm_nuplan_result.multi_lane_samples is what they are judged by.
///
/// Computed in double; what is compared was computed from 64-bit time stamps in microseconds. Pure, thread-safe.
#ifndef NM_SIM_METRICS_NUPLAN_SCORE_H
#define NM_SIM_METRICS_NUPLAN_SCORE_H

#include "sim/metrics/nuplan_map.h"
#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

// --- what was driven -------------------------------------------------------------------------------------------------

typedef struct nm_nuplan_vehicle {
    double length, width;  ///< m
    double rear_to_centre; ///< m, from the rear axle forward to the centre of the box
    double wheelbase;      ///< m
} nm_nuplan_vehicle;
/// nuPlan's own: 5.176 m by 2.297 m, 1.461 m, 3.089 m.
NM_API nm_nuplan_vehicle nm_nuplan_vehicle_pacifica(void);
/// Another, its axles where the Pacifica's are in proportion to the length.
NM_API nm_nuplan_vehicle nm_nuplan_vehicle_sized(double length, double width);

/// A state of the ego. Velocity and acceleration are in the ego's own frame (x forward, y left).
typedef struct nm_nuplan_ego {
    int64_t time_us;            ///< as recorded or driven, ascending
    double x, y, heading;       ///< rear axle
    double vx, vy;              ///< m/s, rear axle
    double ax, ay;              ///< m/s^2, rear axle
    double yaw_rate, yaw_accel; ///< rad/s, rad/s^2
} nm_nuplan_ego;

typedef struct nm_nuplan_pose {
    double x, y, heading;
} nm_nuplan_pose;

typedef enum nm_nuplan_type {
    NM_NUPLAN_VEHICLE = 0,
    NM_NUPLAN_PEDESTRIAN,
    NM_NUPLAN_BICYCLE,
    NM_NUPLAN_TRAFFIC_CONE,
    NM_NUPLAN_BARRIER,
    NM_NUPLAN_CZONE_SIGN,
    NM_NUPLAN_GENERIC_OBJECT,
    NM_NUPLAN_TYPE_COUNT
} nm_nuplan_type;
NM_API const char *nm_nuplan_type_name(nm_nuplan_type type); ///< nuPlan's: "vehicle", "traffic_cone"
/// What the simulator's agents are to nuPlan: motorcycles are BICYCLE, obstacles GENERIC_OBJECT, trains VEHICLE.
NM_API nm_nuplan_type nm_nuplan_type_of(nm_agent_type type);
/// Cones, barriers, signs and generic objects have no speed, whatever their boxes say.
NM_API int nm_nuplan_type_static(nm_nuplan_type type);

/// A tracked object at a sample.
typedef struct nm_nuplan_box {
    double x, y, heading; ///< of the centre
    double vx, vy;        ///< m/s, scene frame; only the magnitude is looked at
    double length, width; ///< m, > 0
} nm_nuplan_box;

/// A scenario of N iterations is recorded as N - 1 samples of the ego and of what it observed (nuPlan does not keep the
/// last one), and N poses of the expert. The counts are not tied to each other here.
typedef struct nm_nuplan_drive {
    const nm_nuplan_map *map;
    nm_nuplan_vehicle vehicle;
    const nm_nuplan_ego *ego;     ///< [samples]
    uint32_t samples;             ///< 4 to 1e6: the yaw acceleration is fitted to no fewer
    const nm_nuplan_pose *expert; ///< [expert_samples] rear axle
    uint32_t expert_samples;      ///< at least 1
    uint32_t tracks;
    const uint8_t *types;       ///< [tracks] nm_nuplan_type
    const uint8_t *present;     ///< [samples][tracks]; boxes are not looked at where 0
    const nm_nuplan_box *boxes; ///< [samples][tracks]
} nm_nuplan_drive;

// --- scores ----------------------------------------------------------------------------------------------------------

typedef enum nm_nuplan_metric {
    NM_NUPLAN_COLLISIONS = 0,
    NM_NUPLAN_DRIVABLE_AREA,
    NM_NUPLAN_MAKING_PROGRESS,
    NM_NUPLAN_DRIVING_DIRECTION,
    NM_NUPLAN_PROGRESS,
    NM_NUPLAN_TTC,
    NM_NUPLAN_SPEED_LIMIT,
    NM_NUPLAN_COMFORT,
    NM_NUPLAN_SCORED_COUNT,                       ///< those above make up the score
    NM_NUPLAN_LON_ACCEL = NM_NUPLAN_SCORED_COUNT, ///< the parts of comfort: 1 within bounds, else 0
    NM_NUPLAN_LAT_ACCEL,
    NM_NUPLAN_YAW_RATE,
    NM_NUPLAN_YAW_ACCEL,
    NM_NUPLAN_LON_JERK,
    NM_NUPLAN_JERK, ///< d/dt of the MAGNITUDE of the acceleration, not the magnitude of the jerk
    NM_NUPLAN_METRIC_COUNT
} nm_nuplan_metric;

typedef enum nm_nuplan_role { NM_NUPLAN_MULTIPLIER = 0, NM_NUPLAN_AVERAGE, NM_NUPLAN_PART } nm_nuplan_role;

typedef struct nm_nuplan_description {
    const char *name;    ///< nuPlan's
    const char *unit;    ///< of the worst value
    nm_nuplan_role role; ///< a PART has no score of its own
    double weight;       ///< of an average, else 0
    double low, high;    ///< thresholds as `meaning` has them; equal where there is one, NaN where there is none
    const char *meaning;
} nm_nuplan_description;
NM_API const nm_nuplan_description *nm_nuplan_describe(nm_nuplan_metric metric);

#define NM_NUPLAN_TTC_BOUND 0.95          ///< s, exclusive
#define NM_NUPLAN_TTC_STEP 0.1            ///< s
#define NM_NUPLAN_TTC_STEPS 29            ///< times looked at
#define NM_NUPLAN_TTC_HORIZON 3.0         ///< s, of the stretched boxes
#define NM_NUPLAN_TTC_STOPPED 0.005       ///< m/s, inclusive
#define NM_NUPLAN_COLLISION_STOPPED 0.05  ///< m/s, inclusive
#define NM_NUPLAN_AREA_TOLERANCE 0.3      ///< m, exclusive
#define NM_NUPLAN_DIRECTION_COMPLIANT 2.0 ///< m, exclusive
#define NM_NUPLAN_DIRECTION_VIOLATION 6.0 ///< m, exclusive
#define NM_NUPLAN_PROGRESS_THRESHOLD 2.0  ///< m
#define NM_NUPLAN_MAKING_PROGRESS_MIN 0.2 ///< inclusive
#define NM_NUPLAN_SPEED_EXCESS 2.23       ///< m/s
#define NM_NUPLAN_LON_ACCEL_MIN (-4.05)   ///< m/s^2; all six bounds are exclusive
#define NM_NUPLAN_LON_ACCEL_MAX 2.40      ///< m/s^2
#define NM_NUPLAN_LAT_ACCEL_MAX 4.89      ///< m/s^2
#define NM_NUPLAN_YAW_RATE_MAX 0.95       ///< rad/s
#define NM_NUPLAN_YAW_ACCEL_MAX 1.93      ///< rad/s^2
#define NM_NUPLAN_LON_JERK_MAX 4.13       ///< m/s^3
#define NM_NUPLAN_JERK_MAX 8.37           ///< m/s^3

typedef enum nm_nuplan_class {
    NM_NUPLAN_STOPPED_EGO = 0,
    NM_NUPLAN_STOPPED_TRACK,
    NM_NUPLAN_ACTIVE_REAR,
    NM_NUPLAN_ACTIVE_FRONT,
    NM_NUPLAN_ACTIVE_LATERAL,
    NM_NUPLAN_CLASS_COUNT
} nm_nuplan_class;
NM_API const char *nm_nuplan_class_name(nm_nuplan_class which); ///< such as "active_front"

typedef struct nm_nuplan_collision {
    uint32_t track, step;
    uint8_t collision_class; ///< nm_nuplan_class
    uint8_t at_fault;
    uint8_t type;  ///< nm_nuplan_type of the track
    double energy; ///< m/s, so called in nuPlan: the change of velocity between equal masses, half the difference
} nm_nuplan_collision;

/// `worst` is what the metric hinges on, in the unit of its description; `step` the sample where it is reached, NM_NONE
/// where no moment can be named.
///   collisions      collisions at fault; step of the first
///   drivable area   corners that are far off the area, over all samples; step of the first
///   direction       least progress within the window, m (<= 0); step where that window ends
///   (making) progress  the ratio of progress; no step
///   TTC             least TTC, s, INFINITY for none
///   speed limit     greatest excess, m/s, 0 for none; no step then
///   comfort         the greatest share of a bound that any part reaches; its step
///   parts           the value with the greatest share of its bound
typedef struct nm_nuplan_value {
    double value; ///< in [0, 1]
    double worst;
    uint32_t step;
    uint32_t track; ///< of the TTC: with whom; NM_NONE of others, and where the ego is at fault in a collision then
} nm_nuplan_value;

typedef struct nm_nuplan_result {
    double score;
    nm_nuplan_value metric[NM_NUPLAN_METRIC_COUNT];
    uint32_t collisions;                                           ///< all, at fault or not
    uint32_t at_fault_people, at_fault_vehicles, at_fault_objects; ///< people: pedestrians and cyclists
    double ego_progress, expert_progress;                          ///< m along the expert's route; 0 without one
    uint32_t off_route_samples;                                    ///< samples of the ego without a lane
    uint32_t multi_lane_samples;                                   ///< samples whose footprint is not in one lane
} nm_nuplan_result;

/// What the metrics saw, sample by sample, for charts; each [samples], or NULL for what is not wanted.
/// The accelerations are of the centre: the rear axle's, plus rear_to_centre * (yaw_rate^2 + yaw_accel) in x alone.
typedef struct nm_nuplan_series {
    double *ttc;         ///< s, INFINITY for none
    double *over_limit;  ///< m/s above the speed limit, 0 below it
    double *progress_1s; ///< m along the lane within the window that ends here
    double *lon_accel;   ///< m/s^2, window 8 (evaluated half a sample ahead but for the ends), degree 2
    double *lat_accel;
    double *yaw_rate;    ///< rad/s, first derivative of the heading, window 5, degree 2
    double *yaw_accel;   ///< rad/s^2, second derivative, window 5, degree 3
    double *lon_jerk;    ///< m/s^3, first derivative of lon_accel, window 15, degree 2
    double *jerk;        ///< m/s^3, the same of the magnitude of the rear axle's acceleration, smoothed alike
    uint8_t *multi_lane; ///< 1 = footprint not in one lane
    uint8_t *far_off;    ///< corners far off the drivable area, a bit each: front left, rear left, rear right, front
                         ///< right
} nm_nuplan_series;

/// collisions [out, nullable] by step, then track; at most `max`; result->collisions counts all
/// series     [nullable]
/// returns    NM_OK; NM_E_ARGUMENT, naming the sample, for too few samples, time stamps that do not ascend, sizes that
///            are not positive, unknown types; NM_E_NUMERIC for values that are not finite, or beyond 1e8; NM_E_MEMORY.
///            `result` is changed only with NM_OK
/// O(samples * (tracks + points of the lanes there)); 0.2 to 0.5 ms for 150 samples and 64 tracks.
NM_API nm_status nm_nuplan_score(const nm_nuplan_drive *drive, nm_nuplan_result *result,
                                 nm_nuplan_collision *collisions, uint32_t max, const nm_nuplan_series *series,
                                 nm_error *error);

/// The score from the values of the scored metrics, [NM_NUPLAN_SCORED_COUNT]. NaN is a metric without a score: it is
/// left out of product and mean. Without any average the mean is 0.
NM_API double nm_nuplan_combine(const double *values);

// --- many scenarios --------------------------------------------------------------------------------------------------

typedef struct nm_nuplan_entry {
    uint32_t type; ///< scenario type, below type_count
    int failed;    ///< the simulation produced no result: everything counts as 0
    double score;
    double metric[NM_NUPLAN_SCORED_COUNT];
} nm_nuplan_entry;

typedef struct nm_nuplan_mean {
    uint32_t scenarios; ///< counted: the weight of the row
    uint32_t failed;    ///< whether counted or not
    double score;       ///< mean; NaN without scenarios
    double metric[NM_NUPLAN_SCORED_COUNT];
} nm_nuplan_mean;

typedef enum nm_nuplan_failures {
    NM_NUPLAN_FAILURES_COUNT = 0, ///< as scenarios of score 0
    NM_NUPLAN_FAILURES_SKIP       ///< as the devkit does: a crash is no data
} nm_nuplan_failures;

/// Scores by type and over all. As in the devkit the final score is the mean of the types' weighted by their
/// scenarios, that is the mean over scenarios, and `metric` holds SUMS in the rows of types but means in the final one.
/// NM_E_ARGUMENT for a type out of range; NM_E_NUMERIC for a score that is not finite, or a metric that is infinite. A
/// metric that is NaN (without a score) counts as 0 there.
/// types [type_count].
NM_API nm_status nm_nuplan_aggregate(const nm_nuplan_entry *entries, size_t count, nm_nuplan_failures failures,
                                     nm_nuplan_mean *types, uint32_t type_count, nm_nuplan_mean *all, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
