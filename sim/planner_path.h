/// What the planners along a route share: the line they drive, speeds that it allows, what is in the way on it, and the
/// Intelligent Driver Model. Private to sim/planner_*.c.
///
/// Distances are along the route (s) and left of it (d), m, of the rear axle where nothing else is said.
#ifndef NM_SIM_PLANNER_PATH_H
#define NM_SIM_PLANNER_PATH_H

#include "sim/route.h"

/// How the rear axle gets from where it is to an offset of the route: a cubic in the way driven, with the ego's offset
/// and direction now and the route's at the end. Asked again at every step it acts as a well damped spring (0.8 of the
/// critical damping at constant speed).
typedef struct nm_route_path {
    const nm_planner_route *route;
    float s;              ///< now
    float offset, slope;  ///< now; slope is d offset / d s
    float target, length; ///< offset aimed at, and m over which
    float rest_x, rest_y; ///< m, scene frame: from where offset and slope begin to the ego, where no place of a route
                          ///< that turns back is beside it; fades over length
} nm_route_path;
nm_route_path nm_route_path_from(const nm_planner_route *route, const nm_planner_observation *observation,
                                 float target);
float nm_route_path_offset(const nm_route_path *path, float s, float *slope); ///< slope nullable
/// Pose of the rear axle at s. Goes straight on past the route's end.
nm_planner_pose nm_route_path_pose(const nm_route_path *path, float s);

/// A light over the route.
typedef struct nm_route_path_stop {
    float s;       ///< of the front bumper
    uint32_t lane; ///< whose end is ruled
    uint8_t turn;  ///< of what follows on the route
} nm_route_path_stop;

/// Something on the route now.
typedef struct nm_obstacle {
    float from, to;    ///< m along, of its box
    float right, left; ///< m left of the route, of its box
    float speed;       ///< m/s along the route, >= 0
    uint32_t agent;    ///< index among the observation's, NM_NONE for a light
} nm_obstacle;

/// What a planner keeps of a scenario.
typedef struct nm_route_path_plan {
    nm_planner_scenario scenario;
    float *cruise; ///< [points of the route] m/s that limits and bends allow, bends ahead included
    nm_route_path_stop *stops;
    uint32_t stop_count;
    nm_obstacle *obstacles; ///< of this step
    uint32_t obstacle_count, obstacle_capacity;
} nm_route_path_plan;

/// Releases what was made for the scenario before. 0, or an nm_status with a message.
int nm_route_path_plan_begin(nm_route_path_plan *plan, const nm_planner_scenario *scenario, char *error,
                             size_t error_size);
void nm_route_path_plan_release(nm_route_path_plan *plan);

float nm_route_path_cruise(const nm_route_path_plan *plan, float s); ///< m/s
/// Lists who overlaps the surroundings of the route up to `reach` m ahead of the ego, and lights that say stop.
void nm_route_path_find_obstacles(nm_route_path_plan *plan, const nm_planner_observation *observation, float s,
                                  float reach);

typedef struct nm_route_path_idm {
    float accel, brake, min_gap, time_gap; ///< a, b, s0, T
} nm_route_path_idm;
/// Acceleration at `speed` wanting `desired` (Treiber, Hennecke, Helbing 2000, with exponent 4) `gap` m behind
/// something at `lead_speed`; INFINITY: nothing there. In [-brake, accel].
float nm_route_path_idm_accel(const nm_route_path_idm *idm, float speed, float desired, float gap, float lead_speed);

/// The nearest obstacle in the way of a path, and the gap of the front bumper to it now; NULL when there is none.
const nm_obstacle *nm_route_path_leader(const nm_route_path_plan *plan, const nm_route_path *path, float *gap);

#endif
