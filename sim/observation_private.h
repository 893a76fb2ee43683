/// Private to sim/observation*.c.
#ifndef NM_SIM_OBSERVATION_PRIVATE_H
#define NM_SIM_OBSERVATION_PRIVATE_H

#include "base/arena.h"
#include "sim/math.h"
#include "sim/observation.h"

/// A light over the end of a lane.
typedef struct nm_seen_signal {
    uint32_t lane, signal;
} nm_seen_signal;

/// An excerpt of the map, and the memory it is made in: enough for the whole map.
typedef struct nm_excerpt {
    const nm_map *map;
    nm_planner_map public;
    float refresh;
    uint8_t *on_route;   ///< [lanes]
    uint8_t *in_excerpt; ///< [lanes]
    uint32_t *near;      ///< [lanes] scratch
    nm_planner_lane *lanes;
    nm_planner_point *centre, *left, *right;
    uint32_t *links;
    nm_planner_stop_line *stop_lines;
    nm_planner_area *crosswalks;
    nm_planner_point *area_points;
    // lights of these lanes and of the route's
    nm_seen_signal *all, *seen; ///< [all_count] ordered by (lane, signal); those shown
    uint32_t all_count, seen_count;
    uint32_t *signal_lane; ///< [all_count] what is shown of them
    uint8_t *signal_state, *signal_turn;
    float *signal_stop;
} nm_excerpt;

/// All memory comes from the arena. radius 0: lanes are never shown, lights on the route are.
nm_status nm_excerpt_create(nm_excerpt *excerpt, const nm_map *map, const nm_planner_route *route, float radius,
                            float refresh, nm_arena *arena, nm_error *error);
void nm_excerpt_reset(nm_excerpt *excerpt); ///< the next look makes a new one, version 1
void nm_excerpt_look(nm_excerpt *excerpt, float x, float y);
/// The lights now, at `step` of the scene.
nm_planner_signals nm_excerpt_signals(nm_excerpt *excerpt, const nm_scene *scene, uint32_t step);

#endif
