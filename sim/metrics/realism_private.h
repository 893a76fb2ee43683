/// Inside of the realism metrics. Private to realism*.c.
///
/// A world is what happens to all agents in one sample, or in the recording: states over a window that begins one step
/// before the current one, so that step k of the future is at k + NM_REALISM_PAST of a row of `width` entries. Where
/// the scene has no step before the current one that entry is NaN, and so is what is derived from it.
#ifndef NM_SIM_METRICS_REALISM_PRIVATE_H
#define NM_SIM_METRICS_REALISM_PRIVATE_H

#include <math.h>
#include <string.h>

#include "sim/geometry.h"
#include "sim/metrics/realism.h"

#define NM_REALISM_PAST 2 ///< entries of a row before the future: the step before the current one, the current one

typedef struct nm_realism_box {
    double half_length, half_width, height;
    double radius;                  ///< of the rounded corners
    double core_length, core_width; ///< half extents without the rounding
    double reach;                   ///< of the circle around the rounded box
} nm_realism_box;

typedef struct nm_realism_world {
    uint32_t agents, width;
    const nm_realism_box *box;  ///< [agents]
    float *x, *y, *z, *heading; ///< [agents][width]
    float *cos_h, *sin_h;       ///< likewise
    float *speed;               ///< likewise: planar, m/s; NaN at the ends of the window
    float *turned;              ///< likewise: headings with whole turns; NULL: these do not matter
    const uint8_t *valid;       ///< likewise
} nm_realism_world;

static inline size_t nm_realism_at(const nm_realism_world *world, uint32_t agent, uint32_t step) {
    return (size_t)agent * world->width + NM_REALISM_PAST + step;
}

/// Distance features of `agent` at `steps` steps. distance, ttc [out] steps.
void nm_realism_nearest(const nm_realism_world *world, uint32_t agent, uint32_t steps, float *distance);
void nm_realism_ttc(const nm_realism_world *world, uint32_t agent, uint32_t steps, float *ttc);
/// Signed distance of the rounded boxes.
double nm_realism_distance(const nm_realism_world *world, size_t at_a, size_t at_b, const nm_realism_box *a,
                           const nm_realism_box *b);

/// The edges of the road, made once a scene.
typedef struct nm_realism_edges nm_realism_edges;
/// NULL in *edges when the map has no road edge. 0 when memory is out.
int nm_realism_make_edges(const nm_map *map, nm_arena *arena, const nm_realism_edges **edges);
/// Signed distance of a point to the nearest edge. *hint: any segment (0 to begin with), best the one found last time;
/// receives the one found.
double nm_realism_edge_distance(const nm_realism_edges *edges, double x, double y, double z, uint32_t *hint);
/// Are there surfaces to drive on?
int nm_realism_has_surface(const nm_map *map);
/// The feature, from the edges, or where they are NULL from the drivable area.
void nm_realism_road(const nm_map *map, const nm_realism_edges *edges, const nm_realism_world *world, uint32_t agent,
                     uint32_t steps, float *distance);

typedef struct nm_realism_lights nm_realism_lights;
/// The signals that are red at some step of the future. NULL in *lights when there are none. 0 when memory is out.
int nm_realism_make_lights(const nm_scene *scene, uint32_t steps, nm_arena *arena, const nm_realism_lights **lights);
/// 1 when the agent runs a red light at step `step`.
int nm_realism_runs_red(const nm_realism_lights *lights, const nm_realism_world *world, uint32_t agent, uint32_t step);

#endif
