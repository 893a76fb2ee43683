/// The way of the ego through a scene: lanes, and the line along them that a planner may follow.
///
/// Constant once made, shared by threads. Frame and units as in planner.h: the scene's frame, m.
#ifndef NM_SIM_ROUTE_H
#define NM_SIM_ROUTE_H

#include "sim/planner.h"
#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_route nm_route;

#define NM_ROUTE_BEYOND 100.0f ///< m of road that a route goes on beyond the goal, where there is so much
#define NM_ROUTE_AHEAD 300.0f  ///< m that the goal lies ahead where nothing was recorded of the ego's future

/// The lanes that the ego was recorded on from `start_step` on, found together over the whole path (Viterbi's algorithm
/// over the lanes near each 2 m of it: Newson and Krumm 2009, with linear costs), links that the path skips filled in
/// by nm_map_route. The goal is the last recorded pose. Where the recording of the ego ends at the start, the route
/// follows the straightest lanes, and the goal lies NM_ROUTE_AHEAD ahead on them.
///
/// scene    borrowed only during the call
/// returns  NM_OK; NM_E_NOT_FOUND that names what is missing: lanes, an ego that is there at start_step, or a lane at
///          most 5 m from its path; NM_E_LIMIT for a line under 1 m or over 200 km; NM_E_MEMORY. *route is NULL
///          unless NM_OK. Prepares the map.
NM_API nm_status nm_route_of_scene(const nm_scene *scene, uint32_t start_step, nm_route **route, nm_error *error);

/// A given way: lanes in driving order, from the place on the first that is nearest to `start` to the place on the last
/// nearest to `goal`, then straight on. Lanes side by side are changed between as soon as possible. NM_E_ARGUMENT for
/// lanes that there are not, NM_E_LIMIT as above.
NM_API nm_status nm_route_through(const nm_map *map, const uint32_t *lanes, uint32_t count, nm_planner_pose start,
                                  nm_planner_pose goal, nm_route **route, nm_error *error);
NM_API void nm_route_destroy(nm_route *route); ///< NULL is fine

NM_API const nm_planner_route *nm_route_get(const nm_route *route); ///< valid as long as the route
NM_API nm_planner_pose nm_route_goal(const nm_route *route);        ///< pose of the box centre

/// A place on a route.
typedef struct nm_route_place {
    nm_planner_pose pose;
    float curvature, speed_limit;
} nm_route_place;
/// At `s` m along, linear between points; clamped to the route.
NM_API nm_route_place nm_route_at(const nm_planner_route *route, float s);

/// The nearest place to a point: m along, and in *offset (nullable) m left of it. Looks from `near` - 20 m to `near` +
/// 50 m first; everywhere when what it finds is over 20 m away or at an end of that stretch, or `near` is negative.
NM_API float nm_route_project(const nm_planner_route *route, float x_scene, float y_scene, float near, float *offset);
/// The same among the places from `from` to `to` m only. O(to - from).
NM_API float nm_route_project_within(const nm_planner_route *route, float x_scene, float y_scene, float from, float to,
                                     float *offset);

#ifdef __cplusplus
}
#endif
#endif
