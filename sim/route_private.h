/// Private to sim/route*.c.
#ifndef NM_SIM_ROUTE_PRIVATE_H
#define NM_SIM_ROUTE_PRIVATE_H

#include "base/arena.h"
#include "sim/geometry.h"
#include "sim/route.h"

/// A lane of a way, and where the way leaves it for the next: at its end, or beside it.
typedef struct nm_route_leg {
    uint32_t lane;
    float change_at; ///< m along the lane around which the next one is changed to; < 0 = as soon as possible
} nm_route_leg;

typedef struct nm_route_legs {
    nm_route_leg *items;
    uint32_t count, capacity;
} nm_route_legs;

nm_status nm_route_add_leg(nm_route_legs *legs, uint32_t lane, float change_at, nm_error *error);
/// Is `next` among the successors of `lane`?
int nm_route_follows(const nm_map *map, uint32_t lane, uint32_t next);

/// route_match.c: the lanes under a recorded path, from `start_step` on. NM_E_NOT_FOUND where there are none.
nm_status nm_route_match(const nm_scene *scene, uint32_t start_step, nm_route_legs *legs, nm_error *error);

#endif
