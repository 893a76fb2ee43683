/// Where is a point in the map of the nuPlan metrics?
#include <math.h>

#include "sim/metrics/nuplan_map.h"
#include "sim/metrics/nuplan_private.h"

/// How often the ring winds around the point, counted along the y axis; *edge is set when the point lies on it.
static int winding(const nm_nuplan_point *points, nm_range ring, double x, double y, int *edge) {
    int turns = 0;
    nm_nuplan_point a = points[ring.first + ring.count - 1];
    for (uint32_t k = ring.first; k < ring.first + ring.count; ++k) {
        const nm_nuplan_point b = points[k];
        const int below = a.y <= y;
        if (below != (b.y <= y)) {
            const double side = (b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x); // > 0: left of the edge
            if (side == 0.0) *edge = 1;
            if (below && side > 0.0) ++turns;
            if (!below && side < 0.0) --turns;
        } else if (a.y == y && b.y == y && (a.x <= x) != (b.x < x)) {
            *edge = 1;
        }
        if (b.x == x && b.y == y) *edge = 1;
        a = b;
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
        turns += map->ring_turn[r] * winding(d->points, d->rings[r], x, y, &edge);
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

static double project(const nm_nuplan_map *map, uint32_t object, double x, double y, double *square) {
    const nm_nuplan_point *points = map->def.points;
    const nm_range line = map->def.objects[object].baseline;
    double s = 0.0;
    *square = INFINITY;
    for (uint32_t k = line.first; k + 1 < line.first + line.count; ++k) {
        double here;
        const double t = nearest(points[k], points[k + 1], x, y, &here);
        if (!(here < *square)) continue;
        *square = here;
        s = map->point_s[k] + t * (map->point_s[k + 1] - map->point_s[k]);
    }
    return s;
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
