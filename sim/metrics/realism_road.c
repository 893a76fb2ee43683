/// Distance to the edge of the road.
#include "sim/metrics/realism_private.h"

#define STRETCH 3.0   // weight of heights when the nearest edge is chosen: keeps bridges and what is below apart
#define CLOSED2 1.0   // m^2: a line whose ends are closer is closed
#define FAN 8u        // children of a node
#define LEVELS 12     // 8^12 segments are more than there can be
#define FIRST_REACH 3 // m: most boxes are near a border

typedef struct segment {
    double x, y, z;      // start
    double bx, by, bz;   // to the end
    double inverse;      // of the planar length squared; 0 = no length
    uint32_t last, next; // neighbours along the line, or NM_NONE
} segment;

/// A tree of bounding boxes over the segments in their order, which follows the lines and so keeps neighbours together:
/// box i of a level holds FAN boxes of the level below (level 0: segments) from FAN * i on.
struct nm_realism_edges {
    uint32_t count;
    int flat; // heights are not known
    segment *segments;
    int levels;
    uint32_t nodes[LEVELS];
    nm_bounds *boxes[LEVELS];
};

static int is_edge(const nm_line *line) {
    return line->kind != NM_LINE_ROAD_LINE && line->points.count >= 2;
}

static void add_line(const nm_map *map, const nm_line *line, uint32_t longest, struct nm_realism_edges *e) {
    uint32_t first = e->count, last = first + line->points.count - 2;
    for (uint32_t k = line->points.first; k + 1 < line->points.first + line->points.count; k++, e->count++) {
        segment *s = &e->segments[e->count];
        nm_vec2 a = map->line_points[k], b = map->line_points[k + 1];
        double az = e->flat ? 0.0 : map->line_z[k], bz = e->flat ? 0.0 : map->line_z[k + 1];
        *s = (segment){.x = a.x, .y = a.y, .z = az, .bx = (double)b.x - a.x, .by = (double)b.y - a.y, .bz = bz - az};
        double square = s->bx * s->bx + s->by * s->by;
        s->inverse = square > 0.0 ? 1.0 / square : 0.0;
        s->last = e->count > first ? e->count - 1 : NM_NONE;
        s->next = e->count < last ? e->count + 1 : NM_NONE;
    }
    segment *start = &e->segments[first], *end = &e->segments[last];
    double x = end->x + end->bx - start->x, y = end->y + end->by - start->y, z = end->z + end->bz - start->z;
    if (line->points.count == longest && x * x + y * y + z * z < CLOSED2) {
        start->last = last;
        end->next = first;
    }
}

static void include(nm_bounds *bounds, nm_vec2 lo, nm_vec2 hi) {
    bounds->lo = (nm_vec2){nm_minf(bounds->lo.x, lo.x), nm_minf(bounds->lo.y, lo.y)};
    bounds->hi = (nm_vec2){nm_maxf(bounds->hi.x, hi.x), nm_maxf(bounds->hi.y, hi.y)};
}

/// One level above `count` things; `below` NULL: above the segments, whose points lie in `points` as their starts.
static int add_level(struct nm_realism_edges *e, nm_arena *arena, const nm_bounds *below, uint32_t count) {
    uint32_t nodes = (count + FAN - 1) / FAN;
    nm_bounds *boxes = NM_ARENA_ARRAY(arena, nm_bounds, nodes);
    if (!boxes) return 0;
    for (uint32_t i = 0; i < nodes; i++) {
        boxes[i] = nm_bounds_of(NULL, 0);
        for (uint32_t k = i * FAN; k < count && k < (i + 1) * FAN; k++) {
            if (below) {
                include(&boxes[i], below[k].lo, below[k].hi);
                continue;
            }
            const segment *s = &e->segments[k]; // both ends were floats, and so are again
            nm_vec2 a = {(float)s->x, (float)s->y}, b = {(float)(s->x + s->bx), (float)(s->y + s->by)};
            include(&boxes[i], a, a);
            include(&boxes[i], b, b);
        }
    }
    e->boxes[e->levels] = boxes;
    e->nodes[e->levels++] = nodes;
    return 1;
}

int nm_realism_make_edges(const nm_map *map, nm_arena *arena, const nm_realism_edges **edges) {
    uint32_t count = 0, longest = 0;
    *edges = NULL;
    for (uint32_t i = 0; i < map->line_count; i++) {
        if (!is_edge(&map->lines[i])) continue;
        count += map->lines[i].points.count - 1;
        if (map->lines[i].points.count > longest) longest = map->lines[i].points.count;
    }
    if (count == 0) return 1;
    struct nm_realism_edges *e = nm_arena_calloc(arena, 1, sizeof *e, _Alignof(struct nm_realism_edges));
    if (!e) return 0;
    e->flat = map->line_z_count == 0;
    e->segments = NM_ARENA_ARRAY(arena, segment, count);
    if (!e->segments) return 0;
    for (uint32_t i = 0; i < map->line_count; i++) {
        if (is_edge(&map->lines[i])) add_line(map, &map->lines[i], longest, e);
    }
    if (!add_level(e, arena, NULL, count)) return 0;
    while (e->nodes[e->levels - 1] > 1 && e->levels < LEVELS) {
        if (!add_level(e, arena, e->boxes[e->levels - 1], e->nodes[e->levels - 1])) return 0;
    }
    *edges = e;
    return 1;
}

// ---------------------------------------------------------------------------------------------------------------------

typedef struct search {
    const nm_realism_edges *edges;
    double x, y, z;
    double best; // square of the distance with stretched heights
    uint32_t found;
} search;

/// Fraction along the segment (not clamped) and the planar offset from its nearest point; returns the square of the
/// stretched distance.
static double offset(const segment *s, const search *q, double *along, double *planar2) {
    double ax = q->x - s->x, ay = q->y - s->y, az = q->z - s->z;
    *along = (ax * s->bx + ay * s->by) * s->inverse;
    double t = nm_min(nm_max(*along, 0.0), 1.0);
    double rx = ax - t * s->bx, ry = ay - t * s->by, rz = STRETCH * (az - t * s->bz);
    *planar2 = rx * rx + ry * ry;
    return *planar2 + rz * rz;
}

static void consider(search *q, uint32_t index) {
    double along, planar2, square = offset(&q->edges->segments[index], q, &along, &planar2);
    if (square < q->best || (square == q->best && index < q->found)) {
        q->best = square;
        q->found = index;
    }
}

static void descend(search *q, int level, uint32_t node) {
    const nm_bounds *box = &q->edges->boxes[level][node];
    double x = nm_max(nm_max(box->lo.x - q->x, q->x - box->hi.x), 0.0);
    double y = nm_max(nm_max(box->lo.y - q->y, q->y - box->hi.y), 0.0);
    if (x * x + y * y > q->best) return;
    uint32_t count = level ? q->edges->nodes[level - 1] : q->edges->count;
    for (uint32_t k = node * FAN; k < count && k < (node + 1) * FAN; k++) {
        if (level)
            descend(q, level - 1, k);
        else
            consider(q, k);
    }
}

static double side(const segment *s, const search *q) {
    double cross = (q->x - s->x) * s->by - (q->y - s->y) * s->bx; // > 0: on the right, off the road
    return cross > 0.0 ? 1.0 : cross < 0.0 ? -1.0 : 0.0;
}

/// Past an end of the segment it shares a corner with its neighbour: outside a convex corner one is out if outside
/// either, outside a reflex one if outside both.
static double side_at_corner(const segment *first, const segment *second, const search *q) {
    int convex = first->bx * second->by - first->by * second->bx > 0.0;
    double a = side(first, q), b = side(second, q);
    return convex ? nm_max(a, b) : nm_min(a, b);
}

double nm_realism_edge_distance(const nm_realism_edges *edges, double x, double y, double z, uint32_t *hint) {
    search q = {.edges = edges, .x = x, .y = y, .z = edges->flat ? 0.0 : z, .best = INFINITY, .found = NM_NONE};
    consider(&q, *hint);
    descend(&q, edges->levels - 1, 0);
    *hint = q.found;
    double along, planar2;
    const segment *s = &edges->segments[q.found];
    offset(s, &q, &along, &planar2);
    double sign = along < 0.0 && s->last != NM_NONE   ? side_at_corner(&edges->segments[s->last], s, &q)
                  : along > 1.0 && s->next != NM_NONE ? side_at_corner(s, &edges->segments[s->next], &q)
                                                      : side(s, &q);
    return sign * sqrt(planar2);
}

// ---------------------------------------------------------------------------------------------------------------------

int nm_realism_has_surface(const nm_map *map) {
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (nm_lane_type_drivable((nm_lane_type)map->lanes[i].type)) return 1;
    }
    for (uint32_t i = 0; i < map->area_count; i++) {
        if (map->areas[i].kind == NM_AREA_DRIVEWAY) return 1;
    }
    return 0;
}

/// The cost of a look grows with its reach: begin near.
static double border_distance(const nm_map *map, double x, double y) {
    for (float reach = FIRST_REACH;; reach *= 3.0f) {
        reach = nm_minf(reach, NM_REALISM_REACH);
        float distance = nm_map_border_distance(map, (float)x, (float)y, reach);
        if (fabsf(distance) < reach || reach >= NM_REALISM_REACH) return distance;
    }
}

void nm_realism_road(const nm_map *map, const nm_realism_edges *edges, const nm_realism_world *world, uint32_t agent,
                     uint32_t steps, float *distance) {
    const nm_realism_box *box = &world->box[agent];
    uint32_t hints[4] = {0, 0, 0, 0};
    for (uint32_t k = 0; k < steps; k++) {
        size_t at = nm_realism_at(world, agent, k);
        double furthest = -INFINITY, c = world->cos_h[at], s = world->sin_h[at];
        for (int corner = 0; world->valid[at] && corner < 4; corner++) {
            double l = corner & 2 ? -box->half_length : box->half_length;
            double w = corner & 1 ? -box->half_width : box->half_width;
            double x = world->x[at] + c * l - s * w, y = world->y[at] + s * l + c * w;
            double z = world->z[at] - 0.5 * box->height;
            double found =
                edges ? nm_realism_edge_distance(edges, x, y, z, &hints[corner]) : border_distance(map, x, y);
            furthest = nm_max(furthest, found);
        }
        distance[k] = world->valid[at] ? (float)furthest : -NM_REALISM_NOBODY;
    }
}
