/// The map of the nuPlan metrics: checks, copies and what is derived.
#include "sim/metrics/nuplan_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/metrics/nuplan_private.h"

#define MAX_COORDINATE 1e8 // m
#define MAX_ITEMS (1u << 28)
#define MIN_CELL 10.0 // m
#define MAX_CELL 200.0
#define MAX_CELLS 4000000.0

// --- checks ----------------------------------------------------------------------------------------------------------

static int within(nm_range range, uint32_t count) {
    return range.first <= count && range.count <= count - range.first;
}

static nm_status check_counts(const nm_nuplan_map_def *d, nm_error *error) {
    const uint32_t counts[] = {d->point_count,     d->ring_count,         d->polygon_count,
                               d->part_count,      d->object_count,       d->link_count,
                               d->roadblock_count, d->intersection_count, d->drivable_count};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i)
        if (counts[i] > MAX_ITEMS)
            return NM_ERROR(error, NM_E_LIMIT, "%u elements in a map are more than %u", counts[i], MAX_ITEMS);
    return NM_OK;
}

static nm_status check_ranges(const nm_range *ranges, uint32_t count, uint32_t least, uint32_t limit, const char *what,
                              nm_error *error) {
    for (uint32_t i = 0; i < count; ++i)
        if (ranges[i].count < least || !within(ranges[i], limit))
            return NM_ERROR(error, NM_E_FORMAT, "%s %u has the elements %u to %u, of %u; at least %u are needed", what,
                            i, ranges[i].first, ranges[i].first + ranges[i].count, limit, least);
    return NM_OK;
}

static nm_status check_geometry(const nm_nuplan_map_def *d, nm_error *error) {
    for (uint32_t i = 0; i < d->point_count; ++i)
        if (!(fabs(d->points[i].x) <= MAX_COORDINATE && fabs(d->points[i].y) <= MAX_COORDINATE))
            return NM_ERROR(error, NM_E_FORMAT, "point %u at (%g, %g) is not finite or too far away", i, d->points[i].x,
                            d->points[i].y);
    for (uint32_t i = 0; i < d->part_count; ++i)
        if (d->parts[i] >= d->polygon_count)
            return NM_ERROR(error, NM_E_FORMAT, "part %u is polygon %u of %u", i, d->parts[i], d->polygon_count);
    nm_status status = check_ranges(d->rings, d->ring_count, 3, d->point_count, "ring", error);
    if (status == NM_OK) status = check_ranges(d->polygons, d->polygon_count, 1, d->ring_count, "polygon", error);
    if (status == NM_OK) status = check_ranges(d->roadblocks, d->roadblock_count, 1, d->part_count, "roadblock", error);
    if (status == NM_OK)
        status = check_ranges(d->intersections, d->intersection_count, 1, d->part_count, "intersection", error);
    if (status == NM_OK)
        status = check_ranges(d->drivable, d->drivable_count, 1, d->part_count, "drivable area", error);
    return status;
}

static nm_status check_objects(const nm_nuplan_map_def *d, nm_error *error) {
    for (uint32_t i = 0; i < d->object_count; ++i) {
        const nm_nuplan_object *o = &d->objects[i];
        if (o->kind > NM_NUPLAN_CONNECTOR || o->surface >= d->polygon_count || o->roadblock >= d->roadblock_count ||
            o->baseline.count < 2 || !within(o->baseline, d->point_count))
            return NM_ERROR(error, NM_E_FORMAT, "lane %u (%lld) has no such kind, surface, roadblock or baseline", i,
                            (long long)o->id);
        if (isinf(o->speed_limit) || o->speed_limit < 0.0)
            return NM_ERROR(error, NM_E_FORMAT, "lane %u (%lld) has a speed limit of %g m/s", i, (long long)o->id,
                            o->speed_limit);
    }
    for (uint32_t i = 0; i < d->link_count; ++i)
        if (d->links[i].from >= d->object_count || d->links[i].to >= d->object_count)
            return NM_ERROR(error, NM_E_FORMAT, "link %u leads from %u to %u of %u", i, d->links[i].from,
                            d->links[i].to, d->object_count);
    return NM_OK;
}

// --- copies ----------------------------------------------------------------------------------------------------------

/// A copy, or NULL when memory is out; never NULL for nothing.
static void *copy_of(const void *data, size_t count, size_t size) {
    void *copy = malloc(count ? count * size : 1);
    if (copy && count) memcpy(copy, data, count * size);
    return copy;
}

static int copy_def(nm_nuplan_map_def *to, const nm_nuplan_map_def *from) {
    *to = *from;
    to->points = copy_of(from->points, from->point_count, sizeof *from->points);
    to->rings = copy_of(from->rings, from->ring_count, sizeof *from->rings);
    to->polygons = copy_of(from->polygons, from->polygon_count, sizeof *from->polygons);
    to->parts = copy_of(from->parts, from->part_count, sizeof *from->parts);
    to->objects = copy_of(from->objects, from->object_count, sizeof *from->objects);
    to->links = copy_of(from->links, from->link_count, sizeof *from->links);
    to->roadblocks = copy_of(from->roadblocks, from->roadblock_count, sizeof *from->roadblocks);
    to->intersections = copy_of(from->intersections, from->intersection_count, sizeof *from->intersections);
    to->drivable = copy_of(from->drivable, from->drivable_count, sizeof *from->drivable);
    return to->points && to->rings && to->polygons && to->parts && to->objects && to->links && to->roadblocks &&
           to->intersections && to->drivable;
}

static void release(const void *data) {
    free((void *)(uintptr_t)data);
}

void nm_nuplan_map_destroy(const nm_nuplan_map *map) {
    if (!map) return;
    const nm_nuplan_map_def *d = &map->def;
    const void *owned[] = {d->points,      d->rings,       d->polygons,         d->parts,          d->objects,
                           d->links,       d->roadblocks,  d->intersections,    d->drivable,       map->point_s,
                           map->ring_turn, map->out_edges, map->polygon_bounds, map->block_bounds, map->in_edges,
                           map->outgoing,  map->incoming};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; ++i) release(owned[i]);
    for (int layer = 0; layer < NM_NUPLAN_LAYER_COUNT; ++layer) {
        free(map->grid[layer].start);
        free(map->grid[layer].items);
    }
    release(map);
}

// --- derived ---------------------------------------------------------------------------------------------------------

/// Arc lengths; NM_E_FORMAT for a baseline without length, or one that overlaps another.
static nm_status measure(nm_nuplan_map *map, nm_error *error) {
    const nm_nuplan_map_def *d = &map->def;
    double *s = calloc((size_t)d->point_count + 1, sizeof *s);
    uint8_t *used = calloc((size_t)d->point_count + 1, 1);
    nm_status status = s && used ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "no memory for a map");
    for (uint32_t i = 0; status == NM_OK && i < d->object_count; ++i) {
        const nm_range line = d->objects[i].baseline;
        for (uint32_t k = line.first; k < line.first + line.count; ++k) {
            if (used[k]++) {
                status = NM_ERROR(error, NM_E_FORMAT, "lane %u shares its baseline with another", i);
                break;
            }
            if (k == line.first) continue;
            s[k] = s[k - 1] + hypot(d->points[k].x - d->points[k - 1].x, d->points[k].y - d->points[k - 1].y);
        }
        if (status == NM_OK && !(s[line.first + line.count - 1] > 0.0))
            status = NM_ERROR(error, NM_E_FORMAT, "the baseline of lane %u has no length", i);
    }
    free(used);
    map->point_s = s;
    return status;
}

static void grow(nm_nuplan_bounds *bounds, const nm_nuplan_bounds *by) {
    bounds->lo_x = fmin(bounds->lo_x, by->lo_x), bounds->lo_y = fmin(bounds->lo_y, by->lo_y);
    bounds->hi_x = fmax(bounds->hi_x, by->hi_x), bounds->hi_y = fmax(bounds->hi_y, by->hi_y);
}

static const nm_nuplan_bounds NOWHERE = {INFINITY, INFINITY, -INFINITY, -INFINITY};

/// Twice the signed area, relative to the first point: coordinates may be large.
static double signed_area(const nm_nuplan_point *points, nm_range ring) {
    const nm_nuplan_point o = points[ring.first];
    double sum = 0.0;
    for (uint32_t k = ring.first + 1; k + 1 < ring.first + ring.count; ++k)
        sum += (points[k].x - o.x) * (points[k + 1].y - o.y) - (points[k].y - o.y) * (points[k + 1].x - o.x);
    return sum;
}

static int make_blocks(nm_nuplan_map *map) {
    const nm_nuplan_map_def *d = &map->def;
    nm_nuplan_bounds *bounds = malloc(((size_t)d->point_count / NM_NUPLAN_BLOCK + 1) * sizeof *bounds);
    map->block_bounds = bounds;
    if (!bounds) return 0;
    for (uint32_t k = 0; k <= d->point_count / NM_NUPLAN_BLOCK; ++k) bounds[k] = NOWHERE;
    for (uint32_t k = 0; k < d->point_count; ++k) {
        const nm_nuplan_bounds point = {d->points[k].x, d->points[k].y, d->points[k].x, d->points[k].y};
        grow(&bounds[k / NM_NUPLAN_BLOCK], &point);
        grow(&bounds[(k + 1) / NM_NUPLAN_BLOCK], &point); // the edge into the next block begins here
    }
    return 1;
}

/// Bounds, and which way to walk each ring so that the outer one counts +1 and a hole takes it away.
static int make_polygons(nm_nuplan_map *map) {
    const nm_nuplan_map_def *d = &map->def;
    nm_nuplan_bounds *bounds = calloc((size_t)d->polygon_count + 1, sizeof *bounds);
    int8_t *turn = calloc((size_t)d->ring_count + 1, 1);
    map->polygon_bounds = bounds, map->ring_turn = turn;
    if (!bounds || !turn) return 0;
    for (uint32_t i = 0; i < d->polygon_count; ++i) {
        const nm_range rings = d->polygons[i];
        bounds[i] = NOWHERE;
        for (uint32_t r = rings.first; r < rings.first + rings.count; ++r) {
            const nm_range ring = d->rings[r];
            const int left = signed_area(d->points, ring) >= 0.0;
            turn[r] = left == (r == rings.first) ? 1 : -1;
            for (uint32_t k = ring.first; k < ring.first + ring.count; ++k) {
                const nm_nuplan_point p = d->points[k];
                grow(&bounds[i], &(nm_nuplan_bounds){p.x, p.y, p.x, p.y});
            }
        }
    }
    return 1;
}

/// Edges by object, in the order of the links: a counting sort by `from` (or by `to`).
static int make_edges(const nm_nuplan_map_def *d, int forward, const uint32_t **edges, const nm_range **ranges) {
    uint32_t *list = calloc((size_t)d->link_count + 1, sizeof *list);
    nm_range *of = calloc((size_t)d->object_count + 1, sizeof *of);
    *edges = list, *ranges = of;
    if (!list || !of) return 0;
    for (uint32_t i = 0; i < d->link_count; ++i) of[forward ? d->links[i].from : d->links[i].to].count++;
    for (uint32_t i = 0, sum = 0; i < d->object_count; ++i) {
        of[i].first = sum;
        sum += of[i].count;
        of[i].count = 0;
    }
    for (uint32_t i = 0; i < d->link_count; ++i) {
        nm_range *range = &of[forward ? d->links[i].from : d->links[i].to];
        list[range->first + range->count++] = forward ? d->links[i].to : d->links[i].from;
    }
    return 1;
}

// --- grids -----------------------------------------------------------------------------------------------------------

static uint32_t layer_items(const nm_nuplan_map_def *d, int layer) {
    return layer == NM_NUPLAN_OBJECTS         ? d->object_count
           : layer == NM_NUPLAN_INTERSECTIONS ? d->intersection_count
                                              : d->drivable_count;
}

static nm_nuplan_bounds item_bounds(const nm_nuplan_map *map, int layer, uint32_t item) {
    const nm_nuplan_map_def *d = &map->def;
    if (layer == NM_NUPLAN_OBJECTS) return map->polygon_bounds[d->objects[item].surface];
    const nm_range area = layer == NM_NUPLAN_INTERSECTIONS ? d->intersections[item] : d->drivable[item];
    nm_nuplan_bounds bounds = NOWHERE;
    for (uint32_t k = area.first; k < area.first + area.count; ++k) grow(&bounds, &map->polygon_bounds[d->parts[k]]);
    return bounds;
}

static int add_items(const nm_nuplan_map *map, nm_nuplan_grid *grid, int layer, uint32_t items) {
    const size_t cells = (size_t)grid->columns * grid->rows;
    for (int pass = 0; pass < 2; ++pass) {
        for (uint32_t i = items; i-- > 0;) { // downwards: the second pass fills each cell from its end
            const nm_nuplan_bounds b = item_bounds(map, layer, i);
            const nm_nuplan_cells at = nm_nuplan_cells_of(grid, &b);
            for (uint32_t row = at.row[0]; row <= at.row[1]; ++row)
                for (uint32_t column = at.column[0]; column <= at.column[1]; ++column) {
                    uint32_t *start = &grid->start[(size_t)row * grid->columns + column];
                    if (pass == 0)
                        ++*start;
                    else
                        grid->items[--*start] = i;
                }
        }
        if (pass == 1) break;
        uint64_t sum = 0;
        for (size_t c = 0; c <= cells; ++c) {
            sum += c < cells ? grid->start[c] : 0;
            if (sum > MAX_ITEMS) return 0;
            grid->start[c] = (uint32_t)sum;
        }
        grid->items = malloc(sum ? (size_t)sum * sizeof *grid->items : 1);
        if (!grid->items) return 0;
    }
    return 1;
}

/// Cells of about one item each.
static int make_grid(nm_nuplan_map *map, int layer) {
    nm_nuplan_grid *grid = &map->grid[layer];
    const uint32_t items = layer_items(&map->def, layer);
    if (!items) return 1;
    nm_nuplan_bounds all = NOWHERE;
    for (uint32_t i = 0; i < items; ++i) {
        const nm_nuplan_bounds b = item_bounds(map, layer, i);
        grow(&all, &b);
    }
    const double width = all.hi_x - all.lo_x, height = all.hi_y - all.lo_y;
    double size = fmin(fmax(sqrt(width * height / (double)items), MIN_CELL), MAX_CELL);
    while ((width / size + 1.0) * (height / size + 1.0) > MAX_CELLS) size *= 2.0;
    *grid = (nm_nuplan_grid){.columns = (uint32_t)(width / size) + 1,
                             .rows = (uint32_t)(height / size) + 1,
                             .origin_x = all.lo_x,
                             .origin_y = all.lo_y,
                             .size = size};
    grid->start = calloc((size_t)grid->columns * grid->rows + 1, sizeof *grid->start);
    return grid->start && add_items(map, grid, layer, items);
}

static nm_status derive(nm_nuplan_map *map, nm_error *error) {
    nm_status status = measure(map, error);
    if (status != NM_OK) return status;
    int ok = make_blocks(map) && make_polygons(map) && make_edges(&map->def, 1, &map->out_edges, &map->outgoing) &&
             make_edges(&map->def, 0, &map->in_edges, &map->incoming);
    for (int layer = 0; ok && layer < NM_NUPLAN_LAYER_COUNT; ++layer) ok = make_grid(map, layer);
    return ok ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "no memory for a map of %u lanes", map->def.object_count);
}

nm_status nm_nuplan_map_create(const nm_nuplan_map_def *def, const nm_nuplan_map **map, nm_error *error) {
    NM_ASSERT(def && map);
    *map = NULL;
    nm_status status = check_counts(def, error);
    if (status == NM_OK) status = check_geometry(def, error);
    if (status == NM_OK) status = check_objects(def, error);
    if (status != NM_OK) return status;
    nm_nuplan_map *made = calloc(1, sizeof *made);
    if (!made) return NM_ERROR(error, NM_E_MEMORY, "no memory for a map");
    if (!copy_def(&made->def, def))
        status = NM_ERROR(error, NM_E_MEMORY, "no memory for a map of %u lanes", def->object_count);
    else
        status = derive(made, error);
    if (status == NM_OK)
        *map = made;
    else
        nm_nuplan_map_destroy(made);
    return status;
}
