/// The interface between nearmiss and a planner: what a planner sees, what it answers, and the functions it gives.
///
/// Stands alone (C99, C++): a planner built as a shared library includes this file only and exports one function,
///
///     const nm_planner_vtable *nm_planner_entry(uint32_t abi)
///
/// which is declared below and returns its table when it was built for that `abi`, else NULL. Programs in other
/// languages get the same structures as protobuf messages (dataset/protos/planner.proto).
///
/// Frames and reference points are in the names. `_scene` is the scene's frame: x east, y north, m relative to the
/// scenario's origin; headings rad counter-clockwise from +x in (-pi, pi]. `rear_axle` is the middle of the rear axle,
/// `box_centre` the middle of the bounding box; both lie on the vehicle's axis, vehicle.rear_axle_to_box_centre apart.
/// `_ahead` is along the vehicle's heading. SI units. Steps are 0.1 s. Absence is a flag, never a magic coordinate; no
/// number in an observation is NaN or infinite.
///
/// Ownership: what the host hands in (scenario, observation and all arrays in them) is the host's and may be read only
/// until the call returns; scenario->map, ->route and ->scene stay until end. Output memory is the host's.
///
/// Threads: the functions of one planner object are called by one thread at a time. The host makes several objects of
/// one table and calls them from several threads at once: keep all state in the object.
///
/// Determinism: an answer should be a function of config, scenario and the observations so far; draw random numbers
/// from observation->seed.
#ifndef NM_SIM_PLANNER_H
#define NM_SIM_PLANNER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NM_PLANNER_ABI 1u          ///< of everything in this file; a change of any structure changes it
#define NM_PLANNER_HISTORY 22u     ///< samples, by default: 2.1 s and now, as in nuPlan
#define NM_PLANNER_MAX_POINTS 512u ///< of a trajectory
#define NM_PLANNER_NONE UINT32_MAX

#if defined(__GNUC__)
#define NM_PLANNER_EXPORT __attribute__((visibility("default")))
#else
#define NM_PLANNER_EXPORT
#endif

typedef struct nm_planner_point {
    float x_scene, y_scene;
} nm_planner_point;
typedef struct nm_planner_pose {
    float x_scene, y_scene, heading_scene;
} nm_planner_pose;

/// The values are those of nm_agent_type.
typedef enum nm_planner_type {
    NM_PLANNER_UNKNOWN = 0,
    NM_PLANNER_CAR,
    NM_PLANNER_TRUCK,
    NM_PLANNER_BUS,
    NM_PLANNER_MOTORCYCLE,
    NM_PLANNER_CYCLIST,
    NM_PLANNER_PEDESTRIAN,
    NM_PLANNER_TRAIN,
    NM_PLANNER_OBSTACLE ///< construction zone, cone, other static thing
} nm_planner_type;

/// The values are those of nm_signal_state.
typedef enum nm_planner_light {
    NM_PLANNER_LIGHT_UNKNOWN = 0,
    NM_PLANNER_LIGHT_ARROW_STOP,
    NM_PLANNER_LIGHT_ARROW_CAUTION,
    NM_PLANNER_LIGHT_ARROW_GO,
    NM_PLANNER_LIGHT_STOP,
    NM_PLANNER_LIGHT_CAUTION,
    NM_PLANNER_LIGHT_GO,
    NM_PLANNER_LIGHT_FLASHING_STOP,
    NM_PLANNER_LIGHT_FLASHING_CAUTION,
    NM_PLANNER_LIGHT_OFF
} nm_planner_light;

typedef struct nm_planner_vehicle {
    float length, width;           ///< m, of the bounding box
    float wheelbase;               ///< m
    float rear_axle_to_box_centre; ///< m, the centre is ahead
} nm_planner_vehicle;

/// The ego now.
typedef struct nm_planner_ego {
    nm_planner_pose rear_axle; ///< reference point of trajectories
    nm_planner_pose box_centre;
    float rear_axle_speed_ahead;                                    ///< m/s; negative backwards
    float box_centre_velocity_x_scene, box_centre_velocity_y_scene; ///< m/s
    float acceleration_ahead;                                       ///< m/s^2
    float rear_axle_curvature;                                      ///< 1/m of its path, left positive
    float steering_angle;                                           ///< rad: atan(wheelbase * curvature)
    float yaw_rate;                                                 ///< rad/s
    nm_planner_vehicle vehicle;
} nm_planner_ego;

/// Samples 0.1 s apart, the last one is now. Where valid is 0 (before the recording, or not there) the others are 0.
typedef struct nm_planner_history {
    uint32_t sample_count;                                ///< per agent
    const uint8_t *valid;                                 ///< [agents][sample_count]; the last is always 1
    const float *box_centre_x_scene, *box_centre_y_scene; ///< m
    const float *heading_scene;                           ///< rad
    const float *velocity_x_scene, *velocity_y_scene;     ///< m/s, of the box centre
} nm_planner_history;

/// Everybody there now but the ego, ordered by track.
typedef struct nm_planner_agents {
    uint32_t count;
    const uint32_t *track;       ///< [count] index in the scene: the agent's name as long as the scenario lasts
    const int64_t *id;           ///< [count] the source's
    const uint8_t *type;         ///< [count] nm_planner_type
    const uint8_t *is_static;    ///< [count] 1 = parked or an obstacle
    const float *length, *width; ///< [count] m
    nm_planner_history history;  ///< [count][sample_count]
} nm_planner_agents;

/// Lights now, one entry per light and lane whose END it rules.
typedef struct nm_planner_signals {
    uint32_t count;
    const uint32_t *lane;   ///< [count] lane id
    const uint8_t *state;   ///< [count] nm_planner_light
    const uint8_t *turn;    ///< [count] what it is meant for: 0 all, 1 straight, 2 left, 3 right, 4 U-turn
    const float *lane_stop; ///< [count] m along the lane where to stop
} nm_planner_signals;

/// A lane of the excerpt. Ids are indices into the scene's map: the same in all excerpts; the ids of neighbours and
/// successors may lie outside of the excerpt.
typedef struct nm_planner_lane {
    uint32_t id;
    int64_t source_id;
    uint8_t type;    ///< 0 unknown, 1 freeway, 2 street, 3 ramp, 4 shoulder, 5 driveway, 6 bus, 7 bike, 8 sidewalk,
                     ///< 9 crosswalk
    uint8_t turn;    ///< 0 unknown, 1 straight, 2 left, 3 right, 4 U-turn
    uint8_t control; ///< of its end: 0 none, 1 priority, 2 yield, 3 stop, 4 all-way stop, 5 signal
    uint8_t in_junction;
    uint8_t on_route;
    uint8_t may_change_left, may_change_right;
    float speed_limit;                 ///< m/s, 0 = unknown
    float length;                      ///< m
    float stop;                        ///< m along the lane where to stop for its control; = length without a line
    uint32_t left, right;              ///< lane beside it, same direction, or NM_PLANNER_NONE
    uint32_t first_point, point_count; ///< into the points of the map
    uint32_t first_successor, successor_count;     ///< into map->links
    uint32_t first_predecessor, predecessor_count; ///< into map->links
} nm_planner_lane;

typedef struct nm_planner_stop_line {
    nm_planner_point left_end, right_end;
    uint32_t lane; ///< id
} nm_planner_stop_line;
typedef struct nm_planner_area {
    uint32_t first_point, point_count; ///< into map->area_points; closed implicitly
} nm_planner_area;

/// What lies within `radius` of where the ego was when the excerpt was made; made again after some metres of way.
/// Lanes and crosswalks are whole when any part of them is near.
typedef struct nm_planner_map {
    uint32_t version; ///< counts up with every excerpt of the scenario, from 1
    nm_planner_point middle;
    float radius; ///< m
    uint32_t lane_count;
    const nm_planner_lane *lanes; ///< ascending by id
    uint32_t point_count;         ///< of centreline and borders, paired
    const nm_planner_point *centre, *left_border, *right_border;
    uint32_t link_count;
    const uint32_t *links; ///< lane ids
    uint32_t stop_line_count;
    const nm_planner_stop_line *stop_lines;
    uint32_t crosswalk_count;
    const nm_planner_area *crosswalks;
    uint32_t area_point_count;
    const nm_planner_point *area_points;
} nm_planner_map;

/// The way to the goal and a stretch beyond it, so that nobody has to brake for its end.
typedef struct nm_planner_route {
    uint32_t lane_count;
    const uint32_t *lanes;  ///< [lane_count] ids in driving order: each follows from the one before or lies beside it
    const float *lane_from; ///< [lane_count] m along the route where each begins
    uint32_t point_count;   ///< 1 m apart but for the last; centrelines, changes of lane drawn out smoothly
    const nm_planner_point *points;
    const float *heading_scene; ///< [point_count] rad
    const float *curvature;     ///< [point_count] 1/m, left positive
    const float *speed_limit;   ///< [point_count] m/s, never 0: unknown limits are replaced by the usual ones
    float length;               ///< m
    float goal;                 ///< m along the route where the goal lies
} nm_planner_route;

struct nm_scene; // sim/scene.h

/// What stays the same over a run.
typedef struct nm_planner_scenario {
    const char *name;                    ///< for messages
    uint64_t seed;                       ///< of the run
    float step_seconds;                  ///< 0.1
    uint32_t step_count;                 ///< planned to be driven; 0 = unknown
    double origin_x, origin_y, origin_z; ///< of the scene's frame in the source's coordinates, m
    nm_planner_vehicle vehicle;
    uint32_t ego_track;
    uint32_t start_step;       ///< of the recording, at which the run starts
    const nm_planner_map *map; ///< excerpt at the start
    const nm_planner_route *route;
    nm_planner_pose goal_box_centre; ///< where the recording of the ego ends
    /// The recording itself, for planners that link nearmiss (its current and future states would be cheating); NULL
    /// when the planner is another program.
    const struct nm_scene *scene;
} nm_planner_scenario;

/// What a planner sees at one step.
typedef struct nm_planner_observation {
    uint32_t step;  ///< steps driven so far, from 0
    double time;    ///< s since the start: step * 0.1
    uint64_t seed;  ///< of this step
    float deadline; ///< s of real time for the answer; 0 = none
    nm_planner_ego ego;
    nm_planner_history ego_history; ///< [1][sample_count]
    nm_planner_agents agents;
    nm_planner_signals signals;
    const nm_planner_map *map;     ///< of another version where it has changed
    const nm_planner_route *route; ///< the scenario's
    float route_position;          ///< m along the route of the ego's box centre, its nearest point
    float route_offset;            ///< m left of it, or of its straight prolongation
    nm_planner_pose goal_box_centre;
} nm_planner_observation;

typedef enum nm_planner_answer {
    NM_PLANNER_NO_ANSWER = 0,
    NM_PLANNER_TRAJECTORY,        ///< points
    NM_PLANNER_CONTROL_CURVATURE, ///< acceleration and curvature
    NM_PLANNER_CONTROL_STEERING   ///< acceleration and steering rate
} nm_planner_answer;

/// `time` counts from the observation: 0 is now, 0.1 the next step.
typedef struct nm_planner_trajectory_point {
    float time; ///< s, >= 0
    nm_planner_pose rear_axle;
    float speed_ahead; ///< m/s, negative backwards
} nm_planner_trajectory_point;

/// Filled by plan. A trajectory has at least two points (the ego now counts as a first one at time 0 where there is
/// none), times that rise by 0.01 ms at least, and reaches the next step. How far it goes, up to 100 s, is the
/// planner's choice; trackers work best with 1 s or more.
typedef struct nm_planner_output {
    uint32_t answer;                     ///< nm_planner_answer; NM_PLANNER_NO_ANSWER when handed in
    uint32_t point_count;                ///< at most point_capacity
    uint32_t point_capacity;             ///< NM_PLANNER_MAX_POINTS
    nm_planner_trajectory_point *points; ///< [point_capacity], the host's
    float acceleration_ahead;            ///< m/s^2
    float rear_axle_curvature;           ///< 1/m, left positive
    float steering_rate;                 ///< rad/s, left positive
    char text[256];                      ///< anything to show beside the run, "" = nothing
} nm_planner_output;

/// What a planner wants to be shown; smaller is faster for programs behind a pipe. Filled with defaults when handed in.
typedef struct nm_planner_needs {
    uint32_t history; ///< samples, 1..100; NM_PLANNER_HISTORY
    float map_radius; ///< m, 0..1000, 0 = no map; 100
} nm_planner_needs;

/// Functions return 0 when all is well; otherwise they write a sentence into `error` (of error_size bytes), and the
/// scenario counts as failed. Those marked so may be NULL.
typedef struct nm_planner_vtable {
    uint32_t abi;  ///< NM_PLANNER_ABI
    uint32_t size; ///< sizeof(nm_planner_vtable)
    const char *name;
    /// config: text that the user gave ("" = none), a file's name, say. Returns the planner object; NULL with an error
    /// when it can not be made. A planner without state returns any pointer but NULL.
    void *(*create)(const char *config, char *error, size_t error_size);
    void (*destroy)(void *planner);                        ///< nullable
    void (*needs)(void *planner, nm_planner_needs *needs); ///< nullable
    /// A scenario begins. Also after one that failed: forget everything.
    int (*begin)(void *planner, const nm_planner_scenario *scenario, char *error, size_t error_size);
    int (*plan)(void *planner, const nm_planner_observation *observation, nm_planner_output *output, char *error,
                size_t error_size);
    void (*end)(void *planner); ///< nullable; the scenario is over, however it went
} nm_planner_vtable;

#define NM_PLANNER_ENTRY "nm_planner_entry"
typedef const nm_planner_vtable *nm_planner_entry_function(uint32_t abi);
/// The planner's, never the host's. Declared so that it is found by this name when it is written in C++, too.
NM_PLANNER_EXPORT const nm_planner_vtable *nm_planner_entry(uint32_t abi);

#ifdef __cplusplus
}
#endif
#endif
