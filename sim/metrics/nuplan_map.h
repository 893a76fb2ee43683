/// The map as nuPlan's metrics see it: lanes and lane connectors with their surfaces and centrelines, roadblocks,
/// intersections, the drivable area. A view made once a map and shared by all scores over it: see nuplan_score.h.
///
/// It is made from definitions (nm_nuplan_map_create; a nuPlan map maps onto them one to one) or from a map of the
/// simulator (nm_nuplan_map_of), which has no such notions and is read like this:
///   lane         a lane that vehicles drive on (nm_lane_type_drivable) outside junctions
///   connector    a whole way through a junction, from the lane before it to the lane behind it, over such lanes inside
///                (NM_LANE_JUNCTION, those found by geometry included), however many: as in nuPlan, no connector leads
///                into another, but for rings that no lane leads into, and ways of over 32 lanes or beside 64 others
///   surface      the area between the left and the right border
///   baseline     the centreline
///   edges        successors and predecessors. In nuPlan lanes meet connectors only; here a lane may lead into a lane
///   roadblock    lanes side by side that run the same way: neighbours over more than half of the length of both, so
///                that no lane shares a roadblock with its own successor. Connectors that join the same pair of
///                roadblocks share one. Its polygon is the union of its members' surfaces
///   intersection the union of the surfaces of all connectors of a junction
///   drivable     the union of the surfaces of all lanes and connectors, and the driveways: what nm_map_drivable
///   answers
///                from, without its tolerance of NM_SURFACE_TOLERANCE
///   speed limit  the lane's; 0 is missing
/// Lanes that may be driven both ways have no counterpart; here they have the one direction of their centreline.
///
/// Frame and origin are those of what it was made from; metres, doubles. Inside is strictly inside: a point on the
/// outline is not contained. A ring that overlaps itself, as the border of a tight bend may, counts where it winds
/// around the point at all (nonzero rule). Constant after creation; queries are pure, thread-safe and do not allocate.
#ifndef NM_SIM_METRICS_NUPLAN_MAP_H
#define NM_SIM_METRICS_NUPLAN_MAP_H

#include "sim/map.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_nuplan_point {
    double x, y;
} nm_nuplan_point;

typedef enum nm_nuplan_kind { NM_NUPLAN_LANE = 0, NM_NUPLAN_CONNECTOR } nm_nuplan_kind;

/// A lane or a lane connector.
typedef struct nm_nuplan_object {
    int64_t id;         ///< the source's, for reports; need not be unique
    uint8_t kind;       ///< nm_nuplan_kind
    uint32_t surface;   ///< polygon
    uint32_t roadblock; ///< roadblock, or roadblock connector, it belongs to
    nm_range baseline;  ///< into points: at least 2, in driving direction
    double speed_limit; ///< m/s; 0 or NaN = missing
} nm_nuplan_object;

/// Edge of the lane graph, between objects.
typedef struct nm_nuplan_link {
    uint32_t from, to;
} nm_nuplan_link;

/// An area is any of the polygons parts[first .. first + count).
typedef struct nm_nuplan_map_def {
    const nm_nuplan_point *points;
    uint32_t point_count;
    const nm_range *rings; ///< into points: at least 3, closed implicitly (a repeated last point does no harm)
    uint32_t ring_count;
    const nm_range *polygons; ///< into rings: the outer one, then holes; orientations do not matter
    uint32_t polygon_count;
    const uint32_t *parts; ///< polygons, of which areas are made
    uint32_t part_count;
    const nm_nuplan_object *objects;
    uint32_t object_count;
    const nm_nuplan_link *links;
    uint32_t link_count;
    const nm_range *roadblocks; ///< into parts; roadblock connectors too
    uint32_t roadblock_count;
    const nm_range *intersections; ///< into parts
    uint32_t intersection_count;
    const nm_range *drivable; ///< into parts
    uint32_t drivable_count;
} nm_nuplan_map_def;

typedef struct nm_nuplan_bounds {
    double lo_x, lo_y, hi_x, hi_y;
} nm_nuplan_bounds;

typedef enum nm_nuplan_layer {
    NM_NUPLAN_OBJECTS = 0,
    NM_NUPLAN_INTERSECTIONS,
    NM_NUPLAN_DRIVABLE,
    NM_NUPLAN_LAYER_COUNT
} nm_nuplan_layer;

/// Private: which items of a layer may meet a cell, ascending.
typedef struct nm_nuplan_grid {
    uint32_t columns, rows; ///< 0: the layer is empty
    double origin_x, origin_y, size;
    uint32_t *start; ///< [columns * rows + 1] into items
    uint32_t *items;
} nm_nuplan_grid;

#define NM_NUPLAN_BLOCK 16u ///< points

typedef struct nm_nuplan_map {
    nm_nuplan_map_def def;                  ///< copies
    const double *point_s;                  ///< [point_count] m along the baseline a point belongs to
    const nm_nuplan_bounds *block_bounds;   ///< [point_count / NM_NUPLAN_BLOCK + 1] of a block and the point before it
    const nm_nuplan_bounds *polygon_bounds; ///< [polygon_count]
    const int8_t *ring_turn;                ///< [ring_count] +1, or -1 for a ring to be walked backwards
    const uint32_t *out_edges, *in_edges;   ///< [link_count] objects, in the order of the links
    const nm_range *outgoing, *incoming;    ///< [object_count] into them
    nm_nuplan_grid grid[NM_NUPLAN_LAYER_COUNT];
} nm_nuplan_map;

/// Copies `def` and derives the rest. NM_E_FORMAT, naming the element, for ranges and indices that lead nowhere,
/// coordinates that are not finite or beyond 1e8 m, rings of fewer than 3 points and baselines without length or shared
/// with another object; NM_E_LIMIT; NM_E_MEMORY. On failure *map is NULL.
NM_API nm_status nm_nuplan_map_create(const nm_nuplan_map_def *def, const nm_nuplan_map **map, nm_error *error);
/// The view of a map of the simulator; see above. Prepares it. Objects are in the order of the (first) lanes they are
/// of, but for rings, which come last; ids are source ids, of a connector its first lane's.
NM_API nm_status nm_nuplan_map_of(const nm_map *map, const nm_nuplan_map **view, nm_error *error);
NM_API void nm_nuplan_map_destroy(const nm_nuplan_map *map); ///< NULL is fine

// ---------------------------------------------------------------------------------------------------------------------
// Queries. O(points of the polygons near the point).

NM_API int nm_nuplan_polygon_contains(const nm_nuplan_map *map, uint32_t polygon, double x, double y);
/// m to the nearest point of the polygon; 0 inside and on the outline.
NM_API double nm_nuplan_polygon_distance(const nm_nuplan_map *map, uint32_t polygon, double x, double y);
/// Is the point inside any polygon of the area?
NM_API int nm_nuplan_area_contains(const nm_nuplan_map *map, nm_range area, double x, double y);
/// Is the point in the layer at all?
NM_API int nm_nuplan_layer_contains(const nm_nuplan_map *map, nm_nuplan_layer layer, double x, double y);
/// Is the point inside the layer, or less than `reach` (m, > 0) from it?
NM_API int nm_nuplan_layer_near(const nm_nuplan_map *map, nm_nuplan_layer layer, double x, double y, double reach);
/// The lane that contains the point, else all connectors that do, ascending; at most `max` are written, the number of
/// all is returned. Where lanes overlap, which nuPlan refuses, the one whose baseline is nearest (the lower index).
NM_API uint32_t nm_nuplan_objects_at(const nm_nuplan_map *map, double x, double y, uint32_t *objects, uint32_t max);
/// m along the object's baseline of the point of it nearest to (x, y): the first such.
NM_API double nm_nuplan_project(const nm_nuplan_map *map, uint32_t object, double x, double y);
NM_API double nm_nuplan_length(const nm_nuplan_map *map, uint32_t object); ///< m, of the baseline

#ifdef __cplusplus
}
#endif
#endif
