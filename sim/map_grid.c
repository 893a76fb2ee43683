/// A uniform grid over the surfaces of lanes and areas, so that a query looks at a handful of segments.
#include "sim/geometry.h"
#include "sim/map_private.h"

#define CELL 5.0               // m to begin with: a lane and a half
#define MAX_CELLS_PER_ITEM 8.0 // keeps sparse maps small
#define MAX_SPANS_PER_ITEM 16.0

// ---------------------------------------------------------------------------------------------------------------------
// Cells of a polygon

/// Narrows [lo, hi] to the x that edge ab takes for y in [bottom, top].
static void clip_edge(nm_vec2 a, nm_vec2 b, double bottom, double top, double *lo, double *hi) {
    double ay = (double)a.y, by = (double)b.y;
    if ((ay < bottom && by < bottom) || (ay > top && by > top)) return;
    double t0 = 0.0, t1 = 1.0;
    if (ay != by) {
        double u = (bottom - ay) / (by - ay), v = (top - ay) / (by - ay);
        t0 = nm_max(t0, nm_min(u, v));
        t1 = nm_min(t1, nm_max(u, v));
    }
    double x0 = (double)a.x + t0 * ((double)b.x - (double)a.x), x1 = (double)a.x + t1 * ((double)b.x - (double)a.x);
    *lo = nm_min(*lo, nm_min(x0, x1));
    *hi = nm_max(*hi, nm_max(x0, x1));
}

void nm_visit_cells(const nm_lattice *lattice, const nm_vec2 *points, size_t count, double reach, nm_row_visitor *visit,
                    void *context) {
    double lo_y = INFINITY, hi_y = -INFINITY, lo_x = INFINITY, hi_x = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        lo_x = nm_min(lo_x, (double)points[i].x);
        hi_x = nm_max(hi_x, (double)points[i].x);
        lo_y = nm_min(lo_y, (double)points[i].y);
        hi_y = nm_max(hi_y, (double)points[i].y);
    }
    double width = lattice->size * lattice->columns, height = lattice->size * lattice->rows;
    lo_x -= reach + lattice->x;
    hi_x += reach - lattice->x;
    lo_y -= reach + lattice->y;
    hi_y += reach - lattice->y;
    if (!(hi_x >= 0.0 && lo_x <= width && hi_y >= 0.0 && lo_y <= height)) return;
    int32_t first_row = nm_clamp_index(lo_y / lattice->size, lattice->rows);
    int32_t last_row = nm_clamp_index(hi_y / lattice->size, lattice->rows);
    int32_t first = nm_clamp_index(lo_x / lattice->size, lattice->columns);
    int32_t last = nm_clamp_index(hi_x / lattice->size, lattice->columns);
    if (last_row - first_row < 2 || last == first) { // small: the box around it is as good
        for (int32_t row = first_row; row <= last_row; row++) visit(context, row, first, last);
        return;
    }
    for (int32_t row = first_row; row <= last_row; row++) {
        double bottom = lattice->y + lattice->size * row - reach;
        double top = lattice->y + lattice->size * (row + 1) + reach;
        double lo = INFINITY, hi = -INFINITY;
        for (size_t i = 0, k = count - 1; i < count; k = i++) clip_edge(points[k], points[i], bottom, top, &lo, &hi);
        if (!(lo <= hi)) continue;
        lo -= reach + lattice->x;
        hi += reach - lattice->x;
        if (hi < 0.0 || lo > width) continue;
        visit(context, row, nm_clamp_index(lo / lattice->size, lattice->columns),
              nm_clamp_index(hi / lattice->size, lattice->columns));
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Filling. Two passes with the same visitor: the first counts spans by cell, the second writes them.

typedef struct filling {
    int32_t columns;
    uint32_t *start; // [cells + 1]: counts shifted by one, then places
    uint32_t *last;  // [cells] the segment + 1 that was added last, to join neighbours into one span
    nm_span *spans;  // NULL in the first pass
    uint32_t owner, segment;
    uint64_t added, limit;
} filling;

static void add_segment(void *context, int32_t row, int32_t first, int32_t last) {
    filling *f = context;
    if (f->added > f->limit) return;
    for (int32_t column = first; column <= last; column++) {
        size_t cell = (size_t)row * (size_t)f->columns + (size_t)column;
        // points of two lanes never follow each other as segments: i + 1 is the next segment of the same lane
        int joins = f->last[cell] == f->segment && f->segment != 0;
        f->last[cell] = f->segment + 1;
        if (!f->spans) {
            f->start[cell + 1] += !joins;
            f->added += !joins;
        } else if (joins) {
            f->spans[f->start[cell] - 1].count++;
        } else {
            f->spans[f->start[cell]++] = (nm_span){f->owner, f->segment, 1};
        }
    }
}

static void add_area(void *context, int32_t row, int32_t first, int32_t last) {
    filling *f = context;
    if (f->added > f->limit) return;
    for (int32_t column = first; column <= last; column++) {
        size_t cell = (size_t)row * (size_t)f->columns + (size_t)column;
        if (!f->spans)
            f->start[cell + 1]++;
        else
            f->spans[f->start[cell]++] = (nm_span){f->owner, 0, 0};
        f->added++;
    }
}

static void add_everything(const nm_map *map, const nm_lattice *lattice, filling *f) {
    size_t cells = (size_t)lattice->columns * (size_t)lattice->rows;
    memset(f->last, 0, cells * sizeof *f->last);
    double reach = (double)NM_SURFACE_TOLERANCE + nm_map_rounding(map);
    for (uint32_t i = 0; i < map->lane_count && f->added <= f->limit; i++) {
        const nm_lane *lane = &map->lanes[i];
        f->owner = i;
        for (uint32_t k = lane->points.first; k < lane->points.first + lane->points.count - 1; k++) {
            nm_vec2 quad[4];
            nm_quad(map, k, quad);
            f->segment = k;
            nm_visit_cells(lattice, quad, 4, reach, add_segment, f);
        }
    }
    for (uint32_t i = 0; i < map->area_count && f->added <= f->limit; i++) {
        const nm_area *area = &map->areas[i];
        if (area->points.count < 3) continue;
        f->owner = i | NM_SPAN_AREA;
        nm_visit_cells(lattice, map->area_points + area->points.first, area->points.count, reach, add_area, f);
    }
}

static void choose_lattice(const nm_map *map, double size, nm_lattice *lattice) {
    double width = (double)map->bounds_max.x - (double)map->bounds_min.x + 2.0;
    double height = (double)map->bounds_max.y - (double)map->bounds_min.y + 2.0;
    double most = MAX_CELLS_PER_ITEM * (map->point_count + map->area_point_count) + 4096.0;
    while (ceil(width / size) * ceil(height / size) > most) size *= 2.0;
    *lattice = (nm_lattice){(double)(map->bounds_min.x - 1.0f), (double)(map->bounds_min.y - 1.0f), size,
                            (int32_t)ceil(width / size), (int32_t)ceil(height / size)};
}

/// Fills start and spans for one cell size. 1 = done, 0 = no memory, -1 = too many spans: take larger cells.
static int fill(const nm_map *map, const nm_lattice *lattice, nm_map_grid *grid) {
    size_t cells = (size_t)lattice->columns * (size_t)lattice->rows;
    uint32_t *start = calloc(cells + 2, sizeof *start);
    uint32_t *last = malloc(cells * sizeof *last);
    nm_span *spans = NULL;
    int result = 0;
    if (!start || !last) goto done;
    // one slot late, as in the bucket sort of map_build.c: the places end up as the ends of the bucket before
    filling f = {.columns = lattice->columns, .start = start + 1, .last = last};
    f.limit = (uint64_t)(MAX_SPANS_PER_ITEM * (map->point_count + map->area_point_count)) + 4096;
    add_everything(map, lattice, &f);
    result = -1;
    if (f.added > f.limit) goto done;
    for (size_t i = 0; i < cells; i++) start[i + 2] += start[i + 1];
    result = 0;
    spans = f.spans = malloc(((size_t)start[cells + 1] + 1) * sizeof *spans);
    if (!spans) goto done;
    f.added = 0;
    add_everything(map, lattice, &f);
    grid->start = start;
    grid->spans = spans;
    grid->bytes = sizeof *grid + (cells + 2) * sizeof *start + ((size_t)start[cells] + 1) * sizeof *spans;
    start = NULL;
    result = 1;
done:
    free(start);
    free(last);
    return result;
}

int nm_map_make_grid(nm_map_object *object) {
    nm_map *map = &object->map;
    nm_map_grid *grid = calloc(1, sizeof *grid);
    if (!grid) return 0;
    nm_lattice lattice;
    double size = CELL;
    int result;
    do {
        choose_lattice(map, size, &lattice);
        result = fill(map, &lattice, grid);
        size = lattice.size * 2.0;
    } while (result < 0);
    if (!result) {
        free(grid);
        return 0;
    }
    grid->origin = (nm_vec2){(float)lattice.x, (float)lattice.y};
    grid->size = (float)lattice.size;
    grid->inverse = (float)(1.0 / lattice.size);
    grid->columns = lattice.columns;
    grid->rows = lattice.rows;
    object->grid = grid;
    map->grid = grid;
    return 1;
}

void nm_map_free_grid(nm_map_grid *grid) {
    if (!grid) return;
    free(grid->start);
    free(grid->spans);
    free(grid->borders);
    free(grid->border_start);
    free(grid->border_refs);
    free(grid->raster);
    free(grid);
}
