/// The box of an agent in a world, for tests of overlap and distance. Private to sim/ and scenarios/.
#ifndef NM_SIM_WORLD_BOX_H
#define NM_SIM_WORLD_BOX_H

#include "sim/geometry.h"
#include "sim/world.h"

/// Of `slot` of the view, with its velocity: m, m/s, scene frame.
static inline nm_box nm_world_box(const nm_world_view *view, uint32_t slot) {
    return (nm_box){.x = view->x[slot],
                    .y = view->y[slot],
                    .cos_h = view->cos_h[slot],
                    .sin_h = view->sin_h[slot],
                    .length = view->length[slot],
                    .width = view->width[slot],
                    .vx = view->vx[slot],
                    .vy = view->vy[slot]};
}

#endif
