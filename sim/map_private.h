/// Inside of the map: its memory, the parts of the build, the grid. Private to sim/map_*.c.
#ifndef NM_SIM_MAP_PRIVATE_H
#define NM_SIM_MAP_PRIVATE_H

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "sim/map_inline.h"
#include "sim/pile.h"

/// Every array of a map: element type, name, and the field with its length. Cuts the block, and nothing else has to
/// know the list: a forgotten array is a NULL pointer at the first test.
#define NM_MAP_ARRAYS(X)                                                                                               \
    X(nm_lane, lanes, lane_count)                                                                                      \
    X(nm_vec2, centre, point_count)                                                                                    \
    X(nm_vec2, left, point_count)                                                                                      \
    X(nm_vec2, right, point_count)                                                                                     \
    X(float, z, point_count)                                                                                           \
    X(float, point_s, point_count)                                                                                     \
    X(uint32_t, lane_refs, lane_ref_count)                                                                             \
    X(nm_neighbour, neighbours, neighbour_count)                                                                       \
    X(nm_line, lines, line_count)                                                                                      \
    X(nm_vec2, line_points, line_point_count)                                                                          \
    X(float, line_z, line_z_count)                                                                                     \
    X(nm_area, areas, area_count)                                                                                      \
    X(nm_vec2, area_points, area_point_count)                                                                          \
    X(nm_stop_line, stop_lines, stop_line_count)                                                                       \
    X(nm_sign, signs, sign_count)                                                                                      \
    X(nm_signal, signals, signal_count)                                                                                \
    X(uint32_t, signal_refs, signal_ref_count)                                                                         \
    X(nm_phase, phases, phase_count)

/// What a map really is. The arrays follow in the same block.
typedef struct nm_map_object {
    nm_map map; // first: a pointer to one is a pointer to the other
    _Atomic uint32_t references;
    atomic_int prepared; // 1 once the derived part is published
    pthread_mutex_t mutex;
    float default_speed[NM_LANE_TYPE_COUNT]; // m/s
    uint8_t *source_flags;                   // [lane_count] flags without what nm_map_prepare adds
    uint32_t *source_junction;               // [lane_count] likewise
    uint32_t source_junction_count;
    nm_bounds *lane_bounds; // [lane_count] of the borders
    nm_rail_point *rail;    // derived, each a block of its own
    nm_conflict *conflicts;
    nm_map_grid *grid;
} nm_map_object;

/// Maps are built and prepared through this view; everybody else has const pointers.
static inline nm_map_object *nm_map_object_of(const nm_map *map) {
    return (nm_map_object *)(uintptr_t)map;
}
#define NM_MUTABLE(type, pointer) ((type *)(uintptr_t)(pointer))

/// Allocates a map with the counts of `shape`, arrays zeroed, one reference; NULL when memory is out or sizes overflow.
nm_map_object *nm_map_allocate(const nm_map *shape);
/// Fills what follows from the lanes' points: point_s, length, lane bounds, map bounds. Returns NM_NONE, or the first
/// lane whose centreline has no length.
uint32_t nm_map_measure(nm_map_object *object);
/// Sets map->hash from the content; the map is complete then. 0 when memory is out.
int nm_map_seal(nm_map_object *object);
/// Direction change over a lane, classified.
nm_turn nm_map_classify_turn(const nm_vec2 *centre, uint32_t count);

// The stages of nm_map_prepare. Each returns 0 when memory is out.
int nm_map_make_rails(nm_map_object *object);
int nm_map_thin_rails(nm_map_object *object); // after the conflicts
int nm_map_make_grid(nm_map_object *object);
int nm_map_make_raster(nm_map_object *object);
int nm_map_make_conflicts(nm_map_object *object);
void nm_map_free_grid(nm_map_grid *grid);

// ---------------------------------------------------------------------------------------------------------------------
// Grid and raster

/// Raster: 2 bits a cell, row by row, 16 cells a word. The outermost cells are OUT, so that clamping an index is
/// enough.
enum { NM_CELL_OUT = 0, NM_CELL_IN = 1, NM_CELL_MIXED = 2 };

/// The cell of a point; 0 when it is outside.
static inline int nm_grid_cell(const nm_map_grid *grid, float x, float y, size_t *cell) {
    float u = (x - grid->origin.x) * grid->inverse;
    float v = (y - grid->origin.y) * grid->inverse;
    if (!(u >= 0.0f && v >= 0.0f && u < (float)grid->columns && v < (float)grid->rows)) return 0;
    *cell = (size_t)(int32_t)v * (size_t)grid->columns + (size_t)(int32_t)u;
    return 1;
}

typedef void nm_row_visitor(void *context, int32_t row, int32_t first, int32_t last);
/// What float arithmetic on coordinates of this map may be off by, generously, m.
static inline double nm_map_rounding(const nm_map *map) {
    double x = fmax(fabs((double)map->bounds_min.x), fabs((double)map->bounds_max.x));
    double y = fmax(fabs((double)map->bounds_min.y), fabs((double)map->bounds_max.y));
    return 1e-3 + 1e-6 * fmax(x, y);
}
/// Visits, row by row, the cells [first, last] that the convex hull of a polygon, grown by `reach`, may touch:
/// never too few, few too many. Cells outside the lattice are left out.
void nm_visit_cells(const nm_lattice *lattice, const nm_vec2 *points, size_t count, double reach, nm_row_visitor *visit,
                    void *context);

/// Is the point on a span (of lane or area surface), tolerance included?
int nm_span_contains(const nm_map *map, const nm_span *span, float x, float y);
/// Is the span part of the drivable area?
int nm_span_drivable(const nm_map *map, const nm_span *span);
/// nm_map_drivable without the raster; `grid` NULL: without the grid as well.
int nm_map_drivable_exact(const nm_map *map, const nm_map_grid *grid, float x, float y);
/// 1 once prepared; tries to prepare first.
int nm_map_ready(const nm_map *map);

/// Walks over the spans that may contain a point: those of its grid cell, or, when the map could not be prepared for
/// lack of memory, all lanes and areas whole.
typedef struct nm_candidates {
    const nm_map *map;
    const nm_span *spans; // NULL: no grid
    uint32_t count, next;
    nm_span whole;
} nm_candidates;
nm_candidates nm_map_candidates(const nm_map *map, float x, float y);
static inline const nm_span *nm_next_candidate(nm_candidates *c) {
    if (NM_UNLIKELY(c->next == c->count)) return NULL;
    uint32_t i = c->next++;
    if (NM_LIKELY(c->spans != NULL)) return &c->spans[i];
    if (i < c->map->lane_count) {
        c->whole = (nm_span){i, c->map->lanes[i].points.first, c->map->lanes[i].points.count - 1};
    } else {
        c->whole = (nm_span){(i - c->map->lane_count) | NM_SPAN_AREA, 0, 0};
    }
    return &c->whole;
}

/// The corners of the surface between points i and i + 1, counter-clockwise.
static inline void nm_quad(const nm_map *map, uint32_t i, nm_vec2 quad[4]) {
    quad[0] = map->right[i];
    quad[1] = map->right[i + 1];
    quad[2] = map->left[i + 1];
    quad[3] = map->left[i];
}

#endif
