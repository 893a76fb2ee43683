/// Where is a point in the map of the nuPlan metrics?
#include <math.h>

#include "sim/metrics/nuplan_map.h"
#include "sim/metrics/nuplan_private.h"

/// What the edge ab adds to the number of times an outline winds around the point: crossings of the ray towards +x,
/// upwards +1, downwards -1, half-open in y so that a corner counts once. *edge is set when the point lies on it.
static inline int crossing(nm_nuplan_point a, nm_nuplan_point b, double x, double y, int *edge) {
    const int below = a.y <= y;
    int turn = 0;
    if (below != (b.y <= y)) {
        const double side = (b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x); // > 0: left of the edge
        if (side == 0.0) *edge = 1;
        turn = below ? side > 0.0 : -(side < 0.0);
    } else if (a.y == y && b.y == y && (a.x <= x) != (b.x < x)) {
        *edge = 1;
    }
    if (b.x == x && b.y == y) *edge = 1;
    return turn;
}

/// The end of the block of points that `k` is in.
static inline uint32_t block_end(uint32_t k, uint32_t end) {
    const uint32_t next = (k / NM_NUPLAN_BLOCK + 1) * NM_NUPLAN_BLOCK;
    return next < end ? next : end;
}

/// How often the ring winds around the point. Blocks of edges that the point is not beside need no look at each: to
/// their right no ray crosses them, to their left it crosses them as often as they end on the other side.
static int winding(const nm_nuplan_map *map, nm_range ring, double x, double y, int *edge) {
    const nm_nuplan_point *points = map->def.points;
    const uint32_t end = ring.first + ring.count;
    int turns = crossing(points[end - 1], points[ring.first], x, y, edge);
    for (uint32_t k = ring.first + 1, stop; k < end; k = stop) {
        const nm_nuplan_bounds *b = &map->block_bounds[k / NM_NUPLAN_BLOCK];
        stop = block_end(k, end);
        if (y < b->lo_y || y > b->hi_y || x > b->hi_x) continue;
        if (x < b->lo_x) {
            turns += (points[k - 1].y <= y) - (points[stop - 1].y <= y);
            continue;
        }
        for (; k < stop; ++k) turns += crossing(points[k - 1], points[k], x, y, edge);
    }
    return turns;
}

/// 1 inside, -1 on the outline, 0 outside.
static int place(const nm_nuplan_map *map, uint32_t polygon, double x, double y) {
    const nm_nuplan_map_def *d = &map->def;
    const nm_nuplan_bounds *b = &map->polygon_bounds[polygon];
    if (!(x >= b->lo_x && x <= b->hi_x && y >= b->lo_y && y <= b->hi_y)) return 0;
    const nm_range rings = d->polygons[polygon];
    int turns = 0, edge = 0;
    for (uint32_t r = rings.first; r < rings.first + rings.count; ++r)
        turns += map->ring_turn[r] * winding(map, d->rings[r], x, y, &edge);
    return edge ? -1 : turns != 0;
}

int nm_nuplan_polygon_contains(const nm_nuplan_map *map, uint32_t polygon, double x, double y) {
    NM_DEBUG_ASSERT(polygon < map->def.polygon_count);
    return place(map, polygon, x, y) > 0;
}

/// Where on the segment ab the point nearest to (x, y) lies, from 0 to 1; *square: m^2 to it.
static double nearest(nm_nuplan_point a, nm_nuplan_point b, double x, double y, double *square) {
    const double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    double t = length2 > 0.0 ? ((x - a.x) * dx + (y - a.y) * dy) / length2 : 0.0;
    t = t < 0.0 ? 0.0 : t > 1.0 ? 1.0 : t;
    const double ex = x - (a.x + t * dx), ey = y - (a.y + t * dy);
    *square = ex * ex + ey * ey;
    return t;
}

double nm_nuplan_polygon_distance(const nm_nuplan_map *map, uint32_t polygon, double x, double y) {
    NM_DEBUG_ASSERT(polygon < map->def.polygon_count);
    if (place(map, polygon, x, y)) return 0.0;
    const nm_nuplan_map_def *d = &map->def;
    const nm_range rings = d->polygons[polygon];
    double least = INFINITY;
    for (uint32_t r = rings.first; r < rings.first + rings.count; ++r) {
        const nm_range ring = d->rings[r];
        nm_nuplan_point a = d->points[ring.first + ring.count - 1];
        for (uint32_t k = ring.first; k < ring.first + ring.count; ++k) {
            double square;
            nearest(a, d->points[k], x, y, &square);
            least = square < least ? square : least;
            a = d->points[k];
        }
    }
    return sqrt(least);
}

int nm_nuplan_area_contains(const nm_nuplan_map *map, nm_range area, double x, double y) {
    for (uint32_t k = area.first; k < area.first + area.count; ++k)
        if (nm_nuplan_polygon_contains(map, map->def.parts[k], x, y)) return 1;
    return 0;
}

// --- layers ----------------------------------------------------------------------------------------------------------

/// The items that may have the point, ascending; NULL and 0 where there are none.
static const uint32_t *items_at(const nm_nuplan_grid *grid, double x, double y, uint32_t *count) {
    const double u = (x - grid->origin_x) / grid->size, v = (y - grid->origin_y) / grid->size;
    *count = 0;
    if (!(u >= 0.0 && v >= 0.0 && u < (double)grid->columns && v < (double)grid->rows)) return NULL;
    const size_t cell = (size_t)(uint32_t)v * grid->columns + (uint32_t)u;
    *count = grid->start[cell + 1] - grid->start[cell];
    return grid->items + grid->start[cell];
}

static int item_near(const nm_nuplan_map *map, nm_nuplan_layer layer, uint32_t item, double x, double y, double reach) {
    const nm_nuplan_map_def *d = &map->def;
    nm_range area = {0, 1};
    if (layer != NM_NUPLAN_OBJECTS)
        area = layer == NM_NUPLAN_INTERSECTIONS ? d->intersections[item] : d->drivable[item];
    for (uint32_t k = area.first; k < area.first + area.count; ++k) {
        const uint32_t polygon = layer == NM_NUPLAN_OBJECTS ? d->objects[item].surface : d->parts[k];
        const nm_nuplan_bounds *b = &map->polygon_bounds[polygon];
        if (x < b->lo_x - reach || x > b->hi_x + reach || y < b->lo_y - reach || y > b->hi_y + reach) continue;
        if (reach > 0.0 ? nm_nuplan_polygon_distance(map, polygon, x, y) < reach : place(map, polygon, x, y) > 0)
            return 1;
    }
    return 0;
}

int nm_nuplan_layer_contains(const nm_nuplan_map *map, nm_nuplan_layer layer, double x, double y) {
    uint32_t count;
    const uint32_t *items = items_at(&map->grid[layer], x, y, &count);
    for (uint32_t i = 0; i < count; ++i)
        if (item_near(map, layer, items[i], x, y, 0.0)) return 1;
    return 0;
}

int nm_nuplan_layer_near(const nm_nuplan_map *map, nm_nuplan_layer layer, double x, double y, double reach) {
    const nm_nuplan_grid *grid = &map->grid[layer];
    NM_DEBUG_ASSERT(reach > 0.0);
    if (!grid->columns || !isfinite(x) || !isfinite(y)) return 0;
    const nm_nuplan_bounds around = {x - reach, y - reach, x + reach, y + reach};
    const nm_nuplan_cells at = nm_nuplan_cells_of(grid, &around);
    for (uint32_t row = at.row[0]; row <= at.row[1]; ++row)
        for (uint32_t column = at.column[0]; column <= at.column[1]; ++column) {
            const size_t cell = (size_t)row * grid->columns + column;
            for (uint32_t k = grid->start[cell]; k < grid->start[cell + 1]; ++k)
                if (item_near(map, layer, grid->items[k], x, y, reach)) return 1;
        }
    return 0;
}

// --- baselines -------------------------------------------------------------------------------------------------------

/// m^2 to the nearest point of the bounds.
static double bounds_square(const nm_nuplan_bounds *b, double x, double y) {
    const double dx = x < b->lo_x ? b->lo_x - x : x > b->hi_x ? x - b->hi_x : 0.0;
    const double dy = y < b->lo_y ? b->lo_y - y : y > b->hi_y ? y - b->hi_y : 0.0;
    return dx * dx + dy * dy;
}

/// A place on a line: the nearest so far, the first of equals.
typedef struct place_on_line {
    double s, square;
} place_on_line;

static void project_block(const nm_nuplan_map *map, uint32_t k, uint32_t stop, double x, double y,
                          place_on_line *best) {
    const nm_nuplan_point *points = map->def.points;
    for (; k < stop; ++k) {
        double square;
        const double t = nearest(points[k - 1], points[k], x, y, &square);
        if (square > best->square) continue;
        const double s = map->point_s[k - 1] + t * (map->point_s[k] - map->point_s[k - 1]);
        if (square < best->square || s < best->s) *best = (place_on_line){s, square};
    }
}

/// Starts with the block whose bounds are nearest, so that most others can be left out.
static double project(const nm_nuplan_map *map, uint32_t object, double x, double y, double *square) {
    const nm_range line = map->def.objects[object].baseline;
    const uint32_t begin = line.first + 1, end = line.first + line.count;
    place_on_line best = {0.0, INFINITY};
    uint32_t first = begin;
    double least = INFINITY;
    for (uint32_t k = begin; k < end && line.count > NM_NUPLAN_BLOCK; k = block_end(k, end)) {
        const double here = bounds_square(&map->block_bounds[k / NM_NUPLAN_BLOCK], x, y);
        if (here < least) least = here, first = k;
    }
    project_block(map, first, block_end(first, end), x, y, &best);
    for (uint32_t k = begin, stop; k < end; k = stop) {
        stop = block_end(k, end);
        // bounds may be rounded up to be further than what is in them
        if (k == first || bounds_square(&map->block_bounds[k / NM_NUPLAN_BLOCK], x, y) > best.square * (1.0 + 1e-12))
            continue;
        project_block(map, k, stop, x, y, &best);
    }
    *square = best.square;
    return best.s;
}

double nm_nuplan_project(const nm_nuplan_map *map, uint32_t object, double x, double y) {
    double square;
    NM_DEBUG_ASSERT(object < map->def.object_count);
    return project(map, object, x, y, &square);
}

double nm_nuplan_length(const nm_nuplan_map *map, uint32_t object) {
    const nm_range line = map->def.objects[object].baseline;
    return map->point_s[line.first + line.count - 1];
}

uint32_t nm_nuplan_objects_at(const nm_nuplan_map *map, double x, double y, uint32_t *objects, uint32_t max) {
    const nm_nuplan_object *all = map->def.objects;
    uint32_t count, found = 0, lane = NM_NONE;
    double least = INFINITY;
    const uint32_t *items = items_at(&map->grid[NM_NUPLAN_OBJECTS], x, y, &count);
    for (uint32_t i = 0; i < count; ++i) {
        const nm_nuplan_object *o = &all[items[i]];
        if (!(o->kind == NM_NUPLAN_LANE || lane == NM_NONE)) continue; // a lane goes before connectors
        if (place(map, o->surface, x, y) <= 0) continue;
        if (o->kind == NM_NUPLAN_LANE) {
            double square;
            project(map, items[i], x, y, &square);
            if (square < least) least = square, lane = items[i];
        } else {
            if (found < max) objects[found] = items[i];
            ++found;
        }
    }
    if (lane == NM_NONE) return found;
    if (max) objects[0] = lane;
    return 1;
}
