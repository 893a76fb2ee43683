/// The border of the drivable area, and a raster of the area so that most tests need no geometry.
///
/// The drivable area is the union of the surface quads of drivable lanes and of driveways, grown by r =
/// NM_SURFACE_TOLERANCE. A raster cell that the outline of that set does not touch is wholly in or wholly out; the
/// others are MIXED and left to the exact test.
///
/// Where can the outline be? A point p of it has distance r to a nearest point b of the union's own outline, which lies
/// on an outer edge of some surface, and p - b is normal to that edge (or between the normals of two edges at a
/// corner). If the edge, moved outwards by E < r, lies in another surface there, then p is nearer than r to that
/// surface: a contradiction. So only the parts of outer edges that are not covered so matter, and those are few:
/// borders between adjacent lanes drop out, also when the lanes miss each other by up to E. At a corner the argument
/// needs a normal within acos(E / 2r) = 84 degrees of p - b: corners sharper than that are kept apart as points.
#include "sim/geometry.h"
#include "sim/map_private.h"

#define SHIFT 0.01            // m, E above
#define SHORT_GAP 0.01        // m: gaps between covers below this can not hold a nearest point either (same argument)
#define MAX_COVERS 64         // intervals remembered for one edge; the rest only makes the border longer than it is
#define MAX_CUTS 32           // crossings of one edge with the outline of one driveway; more are not worth it
#define MAX_TRIES 1024        // quads looked at for one edge; likewise
#define CELL 0.5              // m, raster
#define FEW_CELLS 4194304.0   // up to here 0.5 m (1 MiB)
#define MOST_CELLS 16777216.0 // 4 MiB

typedef struct interval {
    double from, to; // along an edge, in [0, 1]
} interval;

typedef struct spot {
    nm_vec2 points[4]; // their convex hull
} spot;

typedef struct bordering {
    const nm_map *map;
    const nm_map_grid *grid;
    nm_lattice lattice;   // of the grid
    nm_pile borders;      // nm_border
    nm_pile spots;        // nm_bounds: everything within is MIXED (corners, surfaces that are folded)
    nm_bounds *quads;     // [points] of the quads that can cover; of others empty
    uint32_t *seen;       // [points] quads already tried for this edge: edge number
    uint32_t *seen_areas; // [areas] likewise
    uint32_t edge_number;
    int tries;
    // the edge at work
    double ax, ay, bx, by, length; // moved outwards
    nm_bounds moved;
    nm_vec2 quad_edge[2]; // where it really is
    interval covers[MAX_COVERS];
    int cover_count;
    int failed;
} bordering;

/// Convex and counter-clockwise? Anything else neither covers nor has a known outside.
static int is_sound(const nm_vec2 quad[4]) {
    double area = 0.0;
    for (int i = 0; i < 4; i++) {
        nm_vec2 a = quad[i], b = quad[(i + 1) & 3], c = quad[(i + 2) & 3];
        double turn = ((double)b.x - (double)a.x) * ((double)c.y - (double)b.y) -
                      ((double)b.y - (double)a.y) * ((double)c.x - (double)b.x);
        if (turn < 0.0) return 0;
        area += turn;
    }
    return area > 1e-6;
}

/// Remembers which part of the edge at work lies within a sound quad (Cyrus-Beck clipping).
static void cover_by(bordering *b, const nm_vec2 quad[4]) {
    double from = 0.0, to = 1.0, dx = b->bx - b->ax, dy = b->by - b->ay;
    for (int i = 0; i < 4; i++) {
        double px = (double)quad[i].x, py = (double)quad[i].y;
        double ex = (double)quad[(i + 1) & 3].x - px, ey = (double)quad[(i + 1) & 3].y - py;
        double side = ex * (b->ay - py) - ey * (b->ax - px); // > 0: start is inside of this edge
        double slope = ex * dy - ey * dx;
        if (slope == 0.0) {
            if (side < 0.0) return;
        } else if (slope > 0.0) {
            from = nm_max(from, -side / slope);
        } else {
            to = nm_min(to, -side / slope);
        }
        if (!(from < to)) return;
    }
    if (b->cover_count < MAX_COVERS) b->covers[b->cover_count++] = (interval){from, to};
}

static void sort_intervals(interval *intervals, int count) {
    for (int i = 1; i < count; i++) {
        interval x = intervals[i];
        int at = i;
        for (; at > 0 && intervals[at - 1].from > x.from; at--) intervals[at] = intervals[at - 1];
        intervals[at] = x;
    }
}

/// The same for a driveway: any polygon, inside by the even-odd rule.
static void cover_by_area(bordering *b, const nm_area *area) {
    const nm_vec2 *points = b->map->area_points + area->points.first;
    double dx = b->bx - b->ax, dy = b->by - b->ay;
    interval cuts[MAX_CUTS + 1];
    int count = 0;
    for (uint32_t i = 0, k = area->points.count - 1; i < area->points.count; k = i++) {
        double px = (double)points[k].x - b->ax, py = (double)points[k].y - b->ay;
        double ex = (double)points[i].x - (double)points[k].x, ey = (double)points[i].y - (double)points[k].y;
        double parallel = dx * ey - dy * ex;
        if (parallel == 0.0) continue;
        double t = (px * ey - py * ex) / parallel, u = (px * dy - py * dx) / parallel;
        if (!(t > 0.0 && t < 1.0 && u >= 0.0 && u <= 1.0)) continue;
        if (count == MAX_CUTS) return;
        cuts[count++] = (interval){t, t};
    }
    sort_intervals(cuts, count);
    cuts[count] = (interval){1.0, 1.0};
    double from = 0.0;
    for (int i = 0; i <= count; i++) {
        double middle = 0.5 * (from + cuts[i].from);
        nm_vec2 p = {(float)(b->ax + middle * dx), (float)(b->ay + middle * dy)};
        int inside = 0;
        for (uint32_t j = 0, k = area->points.count - 1; j < area->points.count; k = j++) {
            inside ^= nm_ray_crosses(points[k], points[j], p);
        }
        if (inside && b->cover_count < MAX_COVERS) b->covers[b->cover_count++] = (interval){from, cuts[i].from};
        from = cuts[i].from;
    }
}

static void cover_by_owner(bordering *b, const nm_span *span) {
    uint32_t index = span->owner & ~NM_SPAN_AREA;
    if (!nm_span_drivable(b->map, span) || b->seen_areas[index] == b->edge_number) return;
    b->seen_areas[index] = b->edge_number;
    cover_by_area(b, &b->map->areas[index]);
}

static void cover_cells(void *context, int32_t row, int32_t first, int32_t last) {
    bordering *b = context;
    const nm_map_grid *grid = b->grid;
    const nm_bounds moved = b->moved;
    for (int32_t column = first; column <= last; column++) {
        size_t cell = (size_t)row * (size_t)grid->columns + (size_t)column;
        for (uint32_t k = grid->start[cell]; k < grid->start[cell + 1]; k++) {
            const nm_span *span = &grid->spans[k];
            if (span->owner & NM_SPAN_AREA) {
                cover_by_owner(b, span);
                continue;
            }
            for (uint32_t i = span->first; i < span->first + span->count; i++) {
                if (!nm_bounds_meet(&b->quads[i], &moved) || b->seen[i] == b->edge_number) continue;
                b->seen[i] = b->edge_number;
                if (b->tries++ > MAX_TRIES || b->cover_count == MAX_COVERS) return;
                nm_vec2 quad[4];
                nm_quad(b->map, i, quad);
                cover_by(b, quad);
            }
        }
    }
}

static void keep_piece(bordering *b, double from, double to) {
    nm_border *border = NM_PUSH(&b->borders, nm_border, 1);
    if (!border) {
        b->failed = 1;
        return;
    }
    border->a = nm_lerp(b->quad_edge[0], b->quad_edge[1], (float)from);
    border->b = nm_lerp(b->quad_edge[0], b->quad_edge[1], (float)to);
}

/// Keeps what no other surface covers of an outer edge that has the area on its right.
static void add_edge(bordering *b, nm_vec2 from, nm_vec2 to) {
    double dx = (double)to.x - (double)from.x, dy = (double)to.y - (double)from.y;
    b->length = sqrt(dx * dx + dy * dy);
    if (!(b->length > 0.0)) return;
    double nx = -dy / b->length * SHIFT, ny = dx / b->length * SHIFT; // outwards is left
    b->ax = (double)from.x + nx;
    b->ay = (double)from.y + ny;
    b->bx = (double)to.x + nx;
    b->by = (double)to.y + ny;
    b->quad_edge[0] = from;
    b->quad_edge[1] = to;
    b->cover_count = b->tries = 0;
    b->edge_number++;
    nm_vec2 moved[2] = {{(float)b->ax, (float)b->ay}, {(float)b->bx, (float)b->by}};
    b->moved = nm_bounds_of(moved, 2);
    nm_visit_cells(&b->lattice, moved, 2, 0.0, cover_cells, b);
    if (!b->cover_count) {
        keep_piece(b, 0.0, 1.0);
        return;
    }
    sort_intervals(b->covers, b->cover_count);
    double reached = 0.0;
    for (int i = 0; i < b->cover_count; i++) {
        if ((b->covers[i].from - reached) * b->length > SHORT_GAP) keep_piece(b, reached, b->covers[i].from);
        reached = nm_max(reached, b->covers[i].to);
    }
    if ((1.0 - reached) * b->length > SHORT_GAP) keep_piece(b, reached, 1.0);
}

static void add_spot(bordering *b, const nm_vec2 *points, int count) {
    spot *to = NM_PUSH(&b->spots, spot, 1);
    if (!to) {
        b->failed = 1;
        return;
    }
    for (int i = 0; i < 4; i++) to->points[i] = points[i % count];
}

/// Walks round one lane with its surface on the right: across the start, the left border forward, the right one back.
static void add_lane(bordering *b, const nm_lane *lane) {
    const nm_map *map = b->map;
    uint32_t first = lane->points.first, last = first + lane->points.count - 1, n = lane->points.count;
    for (uint32_t i = first; i < last; i++) {
        if (b->quads[i].lo.x <= b->quads[i].hi.x) continue;
        nm_vec2 quad[4];
        nm_quad(map, i, quad);
        add_spot(b, quad, 4);
    }
    nm_vec2 corner = map->right[first], before = {0.0f, 0.0f};
    for (uint32_t i = 0; i <= 2 * n; i++) { // right[first], left[first..last], right[last..first], left[first]
        uint32_t at = i % (2 * n);
        nm_vec2 next = at < n ? map->left[first + at] : map->right[last - (at - n)];
        nm_vec2 edge = nm_sub(next, corner);
        float length = nm_hypotf(edge.x, edge.y);
        if (!(length > 0.0f)) continue;
        nm_vec2 direction = {edge.x / length, edge.y / length};
        if (nm_dot(before, direction) < -0.8f) add_spot(b, &corner, 1); // sharp: see above
        before = direction;
        if (i < 2 * n) add_edge(b, corner, next);
        corner = next;
    }
}

/// The quads of drivable lanes that are sound, by their bounds.
static void measure_quads(bordering *b) {
    for (uint32_t lane = 0; lane < b->map->lane_count; lane++) {
        nm_range points = b->map->lanes[lane].points;
        int drivable = nm_lane_type_drivable((nm_lane_type)b->map->lanes[lane].type);
        for (uint32_t i = points.first; i + 1 < points.first + points.count; i++) {
            nm_vec2 quad[4];
            nm_quad(b->map, i, quad);
            b->quads[i] = drivable && is_sound(quad) ? nm_bounds_of(quad, 4) : nm_bounds_of(NULL, 0);
        }
    }
}

/// Driveways: nothing says which way their outline goes round, so both sides are tried; the inner one is covered by the
/// driveway itself.
static void add_area(bordering *b, const nm_area *area) {
    const nm_vec2 *points = b->map->area_points + area->points.first;
    for (uint32_t i = 0, k = area->points.count - 1; i < area->points.count; k = i++) {
        add_edge(b, points[k], points[i]);
        add_edge(b, points[i], points[k]);
        add_spot(b, &points[i], 1); // corners may be sharp
    }
}

/// Where each border piece lies on the grid. Two passes: count, place.
typedef struct placing {
    uint32_t *start, *refs;
    int32_t columns;
    uint32_t border;
} placing;

static void place_border(void *context, int32_t row, int32_t first, int32_t last) {
    placing *p = context;
    for (int32_t column = first; column <= last; column++) {
        size_t cell = (size_t)row * (size_t)p->columns + (size_t)column;
        if (p->refs)
            p->refs[p->start[cell]++] = p->border;
        else
            p->start[cell + 1]++;
    }
}

static int index_borders(const nm_lattice *lattice, nm_map_grid *grid) {
    size_t cells = (size_t)grid->columns * (size_t)grid->rows;
    uint32_t *start = calloc(cells + 2, sizeof *start);
    if (!start) return 0;
    placing p = {.start = start + 1, .columns = grid->columns};
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < grid->border_count; i++) {
            nm_vec2 ends[2] = {grid->borders[i].a, grid->borders[i].b};
            p.border = i;
            nm_visit_cells(lattice, ends, 2, 0.0, place_border, &p);
        }
        if (pass) break;
        for (size_t i = 0; i < cells; i++) start[i + 2] += start[i + 1];
        p.refs = malloc(((size_t)start[cells + 1] + 1) * sizeof *p.refs);
        if (!p.refs) {
            free(start);
            return 0;
        }
    }
    grid->border_start = start;
    grid->border_refs = p.refs;
    grid->bytes += (cells + 2 + start[cells]) * sizeof *start + grid->border_count * sizeof *grid->borders;
    return 1;
}

// ---------------------------------------------------------------------------------------------------------------------
// The raster

typedef struct raster {
    uint32_t *words;
    int32_t columns;
} raster;

static void mark_mixed(void *context, int32_t row, int32_t first, int32_t last) {
    raster *r = context;
    uint32_t *line = r->words + (size_t)row * (size_t)(r->columns / 16);
    uint32_t all = 0x55555555u * NM_CELL_MIXED;
    uint32_t head = all << ((unsigned)(first & 15) * 2), tail = all >> ((15u - (unsigned)(last & 15)) * 2);
    int32_t from = first >> 4, to = last >> 4;
    if (from == to) {
        line[from] |= head & tail;
        return;
    }
    line[from] |= head;
    for (int32_t word = from + 1; word < to; word++) line[word] = all;
    line[to] |= tail;
}

static void size_raster(const nm_map *map, nm_map_grid *grid, nm_lattice *lattice) {
    nm_vec2 lo = {0.0f, 0.0f}, hi = {0.0f, 0.0f};
    int any = 0;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (!nm_lane_type_drivable((nm_lane_type)map->lanes[i].type)) continue;
        const nm_bounds *bounds = &nm_map_object_of(map)->lane_bounds[i];
        lo = any ? (nm_vec2){nm_minf(lo.x, bounds->lo.x), nm_minf(lo.y, bounds->lo.y)} : bounds->lo;
        hi = any ? (nm_vec2){nm_maxf(hi.x, bounds->hi.x), nm_maxf(hi.y, bounds->hi.y)} : bounds->hi;
        any = 1;
    }
    for (uint32_t i = 0; i < map->area_count; i++) {
        const nm_area *area = &map->areas[i];
        if (area->kind != NM_AREA_DRIVEWAY) continue;
        for (uint32_t k = area->points.first; k < area->points.first + area->points.count; k++) {
            nm_vec2 p = map->area_points[k];
            lo = any ? (nm_vec2){nm_minf(lo.x, p.x), nm_minf(lo.y, p.y)} : p;
            hi = any ? (nm_vec2){nm_maxf(hi.x, p.x), nm_maxf(hi.y, p.y)} : p;
            any = 1;
        }
    }
    double size = CELL, width = 0.0, height = 0.0, margin = 0.0;
    for (;; size *= 2.0) {
        margin = 2.0 * size + 2.0 * nm_map_rounding(map); // so that the outermost cells are OUT
        width = ceil(((double)hi.x - (double)lo.x + 2.0 * margin) / size / 16.0) * 16.0;
        height = ceil(((double)hi.y - (double)lo.y + 2.0 * margin) / size);
        if (width * height <= (size <= CELL ? FEW_CELLS : MOST_CELLS)) break;
    }
    grid->raster_origin = (nm_vec2){(float)((double)lo.x - margin), (float)((double)lo.y - margin)};
    grid->raster_inverse = (float)(1.0 / size);
    grid->raster_columns = (int32_t)width;
    grid->raster_rows = (int32_t)height;
    *lattice = (nm_lattice){(double)grid->raster_origin.x, (double)grid->raster_origin.y, size, grid->raster_columns,
                            grid->raster_rows};
}

/// Gives each run of unmarked cells its value. Neighbouring unmarked cells have the same one, since the outline lies
/// between cells of different values and would have marked them; so one exact test a region mostly does.
static void fill_runs(const nm_map *map, const nm_map_grid *grid, const nm_lattice *lattice, uint32_t *words) {
    int32_t columns = lattice->columns, stride = columns / 16;
    for (int32_t row = 0; row < lattice->rows; row++) {
        uint32_t *line = words + (size_t)row * (size_t)stride;
        const uint32_t *above = row ? line - stride : NULL;
        int value = NM_CELL_OUT; // the outermost cells are OUT
        int known = 1;
        for (int32_t column = 0; column < columns; column++) {
            uint32_t word = line[column >> 4];
            if ((column & 15) == 0 && word == 0 && known) { // sixteen unmarked cells at once
                if (value == NM_CELL_IN) line[column >> 4] = 0x55555555u;
                column += 15;
                continue;
            }
            unsigned shift = (unsigned)(column & 15) * 2;
            if (word >> shift & NM_CELL_MIXED) {
                known = 0;
                continue;
            }
            if (!known) {
                uint32_t up = above ? above[column >> 4] >> shift & 3u : NM_CELL_OUT;
                if (up != NM_CELL_MIXED) {
                    value = (int)up;
                } else {
                    float x = (float)(lattice->x + (column + 0.5) * lattice->size);
                    float y = (float)(lattice->y + (row + 0.5) * lattice->size);
                    value = nm_map_drivable_exact(map, grid, x, y) ? NM_CELL_IN : NM_CELL_OUT;
                }
                known = 1;
            }
            line[column >> 4] |= (uint32_t)value << shift;
        }
    }
}

static int make_raster(const nm_map *map, nm_map_grid *grid, const nm_pile *spots) {
    nm_lattice lattice;
    size_raster(map, grid, &lattice);
    size_t words = (size_t)lattice.columns / 16 * (size_t)lattice.rows;
    raster r = {calloc(words + 1, sizeof(uint32_t)), lattice.columns};
    if (!r.words) return 0;
    double reach = (double)NM_SURFACE_TOLERANCE + nm_map_rounding(map);
    for (uint32_t i = 0; i < grid->border_count; i++) {
        nm_vec2 ends[2] = {grid->borders[i].a, grid->borders[i].b};
        nm_visit_cells(&lattice, ends, 2, reach, mark_mixed, &r);
    }
    for (size_t i = 0; i < spots->count; i++) {
        nm_visit_cells(&lattice, NM_AT(*spots, spot, i).points, 4, reach, mark_mixed, &r);
    }
    fill_runs(map, grid, &lattice, r.words);
    grid->raster = r.words;
    grid->bytes += (words + 1) * sizeof *r.words;
    return 1;
}

int nm_map_make_raster(nm_map_object *object) {
    nm_map *map = &object->map;
    nm_map_grid *grid = object->grid;
    bordering b = {.map = map, .grid = grid};
    b.lattice =
        (nm_lattice){(double)grid->origin.x, (double)grid->origin.y, (double)grid->size, grid->columns, grid->rows};
    b.seen = calloc((size_t)map->point_count + 1, sizeof *b.seen);
    b.seen_areas = calloc((size_t)map->area_count + 1, sizeof *b.seen_areas);
    b.quads = malloc(((size_t)map->point_count + 1) * sizeof *b.quads);
    b.failed = !b.seen || !b.seen_areas || !b.quads;
    if (!b.failed) measure_quads(&b);
    for (uint32_t i = 0; i < map->lane_count && !b.failed; i++) {
        if (nm_lane_type_drivable((nm_lane_type)map->lanes[i].type)) add_lane(&b, &map->lanes[i]);
    }
    for (uint32_t i = 0; i < map->area_count && !b.failed; i++) {
        const nm_area *area = &map->areas[i];
        if (area->kind == NM_AREA_DRIVEWAY && area->points.count >= 3) add_area(&b, area);
    }
    free(b.seen);
    free(b.seen_areas);
    free(b.quads);
    if (!b.failed) {
        free(grid->borders); // of an earlier try that ran out of memory
        grid->borders = b.borders.data;
        grid->border_count = (uint32_t)b.borders.count;
        b.borders.data = NULL;
        b.failed = (!grid->border_start && !index_borders(&b.lattice, grid)) || !make_raster(map, grid, &b.spots);
    }
    nm_pile_free(&b.borders);
    nm_pile_free(&b.spots);
    map->bytes += b.failed ? 0 : grid->bytes;
    return !b.failed;
}
