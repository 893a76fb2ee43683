/// Reference lines and borders of roads.
///
/// The line that a reference line follows is the centreline of a lane in the middle of the road, thinned out to
/// LINE_TOLERANCE: it need not be kept, since the borders are given by their distance from it. Two of its points, with
/// a heading each, are joined by a biarc: two arcs of which the first has the heading of the first point, the second
/// that of the second, and both the same where they meet. With d the same on both sides (a and b unit vectors along the
/// headings, v from the first point to the second),
///
///     2 (1 - a b) d^2 + 2 v (a + b) d - v v = 0,
///
/// and the arcs meet half-way between p + d a and q - d b. Headings inside are those of the circle through a point and
/// its neighbours; at the ends they are square to the line between the lanes' outermost points there, so that all lanes
/// of a road end with it, as far as that does not bend the line more than MOST_BEND.
///
/// A border is projected onto the reference line, corner by corner and often enough between them that arcs are kept,
/// and what comes out, t over s, is thinned out with a tolerance.
#include "dataset/opendrive_plan.h"

#include <math.h>

#include "sim/geometry.h"
#include "sim/math.h"

#define LINE_TOLERANCE 0.05 // m
#define LONG_LEG 8.0        // m: legs over this get points LEG_END from both ends, so that bends stay where they are
#define LEG_END 2.5         // m
#define LEAST_LEG 0.3       // m between points of the line
#define MOST_SKEW 0.7       // rad between the end of a road and the square to its lanes
#define MOST_BEND 0.7       // of the reference line, times the distance of the outermost border
#define CHORD_ERROR 0.0005  // m by which a border may leave its chord between two samples

static nm_point3 map_point(const nm_map *map, nm_vec2 p) {
    return (nm_point3){(double)p.x + map->origin.x, (double)p.y + map->origin.y, 0.0};
}

static int push_place(nm_pile *pile, double s, double t) {
    nm_ow_place *at = NM_PUSH(pile, nm_ow_place, 1);
    if (at) *at = (nm_ow_place){s, t};
    return at != NULL;
}

// --- the line --------------------------------------------------------------------------------------------------------

/// A lane's points in the direction of the road: index i from its start.
static uint32_t along_road(const nm_lane *lane, int backward, uint32_t i) {
    return lane->points.first + (backward ? lane->points.count - 1 - i : i);
}

/// The last point from `first` on that can be reached by a leg which stays near all points between.
static uint32_t reach(const nm_map *map, const nm_lane *lane, int backward, uint32_t first) {
    uint32_t last = first + 1;
    nm_vec2 a = map->centre[along_road(lane, backward, first)];
    for (uint32_t end = first + 2; end < lane->points.count && end < first + 64; ++end) {
        nm_vec2 b = map->centre[along_road(lane, backward, end)];
        float dx = b.x - a.x, dy = b.y - a.y, length = sqrtf(dx * dx + dy * dy), before = 0.0f;
        if (!(length > 0.0f)) break;
        int near = 1;
        for (uint32_t k = first + 1; near && k < end; ++k) {
            nm_vec2 p = map->centre[along_road(lane, backward, k)];
            float along = ((p.x - a.x) * dx + (p.y - a.y) * dy) / length;
            near = fabsf((p.y - a.y) * dx - (p.x - a.x) * dy) <= (float)LINE_TOLERANCE * length && along >= before;
            before = along;
        }
        if (!near) break;
        last = end;
    }
    return last;
}

static int push_point(nm_ow_plan *plan, double x, double y) {
    nm_point3 *at = NM_PUSH(&plan->path, nm_point3, 1);
    if (at) *at = (nm_point3){x, y, 0.0};
    return at != NULL;
}

static int add_leg(nm_ow_plan *plan, nm_point3 p) {
    if (plan->path.count) {
        nm_point3 before = NM_AT(plan->path, nm_point3, plan->path.count - 1);
        double dx = p.x - before.x, dy = p.y - before.y, length = sqrt(dx * dx + dy * dy);
        if (length < LEAST_LEG) return 1;
        double share = LEG_END / length;
        if (length > LONG_LEG && (!push_point(plan, before.x + share * dx, before.y + share * dy) ||
                                  !push_point(plan, p.x - share * dx, p.y - share * dy)))
            return 0;
    }
    return push_point(plan, p.x, p.y);
}

/// The centreline of a lane, thinned out. The ends are kept.
static int make_path(nm_ow_plan *plan, const nm_lane *lane, int backward) {
    const nm_map *map = plan->map;
    plan->path.count = 0;
    for (uint32_t i = 0; i + 1 < lane->points.count; i = reach(map, lane, backward, i)) {
        if (!add_leg(plan, map_point(map, map->centre[along_road(lane, backward, i)]))) return 0;
    }
    nm_point3 end = map_point(map, map->centre[along_road(lane, backward, lane->points.count - 1)]);
    if (plan->path.count >= 2) { // the last point but one may be too near to the end
        nm_point3 last = NM_AT(plan->path, nm_point3, plan->path.count - 1);
        if (fabs(end.x - last.x) + fabs(end.y - last.y) < LEAST_LEG) --plan->path.count;
    }
    if (add_leg(plan, end) && plan->path.count >= 2) return 1;
    return push_point(plan, end.x, end.y); // a lane shorter than a leg
}

// --- headings --------------------------------------------------------------------------------------------------------

/// Of the circle through three points, at the middle one.
static double circle_heading(const nm_point3 *p) {
    double ax = p[0].x - p[-1].x, ay = p[0].y - p[-1].y, bx = p[1].x - p[0].x, by = p[1].y - p[0].y;
    double a = ax * ax + ay * ay, b = bx * bx + by * by;
    return atan2(ay * b + by * a, ax * b + bx * a);
}

/// Square to the line over all lanes at an end of the road, when that is near enough to `heading`.
static double end_heading(const nm_ow_plan *plan, const nm_ow_road *road, int at_end, double heading, double leg) {
    const nm_map *map = plan->map;
    nm_vec2 side[2];
    for (uint32_t k = 0; k < 2; ++k) {
        uint32_t place = k ? road->lanes.count - 1 : 0;
        const nm_lane *lane = &map->lanes[nm_ow_lane_of(plan, road, place)];
        int backward = place < road->backward;
        uint32_t i = along_road(lane, backward, at_end ? lane->points.count - 1 : 0);
        side[k] = (k == 0) == !backward ? map->left[i] : map->right[i];
    }
    double dx = (double)side[1].x - (double)side[0].x, dy = (double)side[1].y - (double)side[0].y;
    double width = sqrt(dx * dx + dy * dy);
    double skew = remainder(atan2(dx, -dy) - heading, 2.0 * NM_PI);
    double most = fmin(MOST_SKEW, 0.25 * leg * MOST_BEND / fmax(0.5 * width, 0.5));
    return width > 0.05 && fabs(skew) <= most ? heading + skew : heading;
}

static int make_headings(nm_ow_plan *plan, const nm_ow_road *road) {
    size_t n = plan->path.count;
    plan->headings.count = 0;
    const nm_point3 *p = plan->path.data;
    double *h = NM_PUSH(&plan->headings, double, n);
    if (!h) return 0;
    for (size_t i = 1; i + 1 < n; ++i) h[i] = circle_heading(&p[i]);
    for (size_t k = 0; k < 2; ++k) {
        size_t i = k ? n - 1 : 0, next = k ? n - 2 : 1;
        double dx = k ? p[i].x - p[next].x : p[next].x - p[i].x, dy = k ? p[i].y - p[next].y : p[next].y - p[i].y;
        double chord = atan2(dy, dx), own = chord;
        // the arc through the end that has the next point's heading there
        if (n > 2) own = chord - remainder(h[next] - chord, 2.0 * NM_PI);
        h[i] = end_heading(plan, road, (int)k, own, sqrt(dx * dx + dy * dy));
    }
    return 1;
}

// --- biarcs ----------------------------------------------------------------------------------------------------------

/// An arc from where the last one ended, or from the start, to (x, y). Returns its heading at the end.
static int add_arc(nm_ow_plan *plan, double px, double py, double heading, double x, double y,
                   double *end_heading_out) {
    double dx = x - px, dy = y - py, chord = sqrt(dx * dx + dy * dy);
    double half = remainder(atan2(dy, dx) - heading, 2.0 * NM_PI);
    *end_heading_out = heading + 2.0 * half;
    if (chord < 1e-9) return 1;
    double length = fabs(half) > 1e-7 ? chord * half / sin(half) : chord;
    double s = 0.0;
    if (plan->arcs.count) {
        const nm_ow_arc *before = &NM_AT(plan->arcs, nm_ow_arc, plan->arcs.count - 1);
        s = before->s + before->length;
        // a line goes on where it goes on
        if (before->curvature == 0.0 && fabs(half) <= 1e-7 &&
            fabs(remainder(heading - before->hdg, 2.0 * NM_PI)) < 1e-7) {
            NM_AT(plan->arcs, nm_ow_arc, plan->arcs.count - 1).length += length;
            return 1;
        }
    }
    nm_ow_arc *arc = NM_PUSH(&plan->arcs, nm_ow_arc, 1);
    if (!arc) return 0;
    *arc = (nm_ow_arc){s, px, py, heading, length, fabs(half) > 1e-7 ? 2.0 * half / length : 0.0};
    return 1;
}

static int add_biarc(nm_ow_plan *plan, const nm_point3 *p, double h0, const nm_point3 *q, double h1) {
    double ax = cos(h0), ay = sin(h0), bx = cos(h1), by = sin(h1), vx = q->x - p->x, vy = q->y - p->y, after;
    double square = vx * vx + vy * vy, along = vx * (ax + bx) + vy * (ay + by), bend = 2.0 * (1.0 - ax * bx - ay * by);
    double d = bend > 1e-9     ? (sqrt(along * along + bend * square) - along) / bend
               : along > 1e-12 ? 0.5 * square / along
                               : 0.5 * sqrt(square);
    double x = 0.5 * (p->x + d * ax + q->x - d * bx), y = 0.5 * (p->y + d * ay + q->y - d * by);
    return add_arc(plan, p->x, p->y, h0, x, y, &after) && add_arc(plan, x, y, after, q->x, q->y, &after);
}

// --- beside the line -------------------------------------------------------------------------------------------------

static const nm_ow_arc *arc_at(const nm_ow_plan *plan, double s) {
    size_t low = 1, high = plan->arcs.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (NM_AT(plan->arcs, nm_ow_arc, middle).s <= s)
            low = middle + 1;
        else
            high = middle;
    }
    return &NM_AT(plan->arcs, nm_ow_arc, low - 1);
}

static void pose_at(const nm_ow_plan *plan, double s, double *x, double *y, double *hdg, double *curvature) {
    const nm_ow_arc *arc = arc_at(plan, s);
    double ds = s - arc->s, half = 0.5 * arc->curvature * ds;
    double chord = ds * (fabs(half) > 1e-9 ? sin(half) / half : 1.0);
    *x = arc->x + chord * cos(arc->hdg + half);
    *y = arc->y + chord * sin(arc->hdg + half);
    *hdg = arc->hdg + 2.0 * half;
    *curvature = arc->curvature;
}

/// Newton's method for the foot of the perpendicular: along the line, a point at t moves by 1 - k t a metre.
nm_ow_place nm_ow_project(const nm_ow_plan *plan, double x, double y, double guess) {
    double s = guess, t = 0.0;
    for (int i = 0; i < 20; ++i) {
        double px, py, hdg, k;
        pose_at(plan, s, &px, &py, &hdg, &k);
        double c = cos(hdg), n = sin(hdg), along = (x - px) * c + (y - py) * n;
        t = (y - py) * c - (x - px) * n;
        double step = along / fmax(1.0 - k * t, 0.2);
        step = fmin(fmax(step, -20.0), 20.0);
        s += step;
        if (fabs(step) < 1e-9) break;
    }
    return (nm_ow_place){s, t};
}

/// Border `border` of a road: on the left of lane `border`, or on the right of the last one.
static int sample_border(nm_ow_plan *plan, const nm_ow_road *road, uint32_t border) {
    const nm_map *map = plan->map;
    uint32_t place = border < road->lanes.count ? border : border - 1;
    const nm_lane *lane = &map->lanes[nm_ow_lane_of(plan, road, place)];
    int backward = place < road->backward, left = (border == place) != backward;
    const nm_vec2 *line = left ? map->left : map->right;
    double s = 0.0;
    plan->places.count = 0;
    for (uint32_t i = 0; i < lane->points.count; ++i) {
        nm_point3 p = map_point(map, line[along_road(lane, backward, i)]);
        nm_point3 q = i ? map_point(map, line[along_road(lane, backward, i - 1)]) : p;
        double dx = p.x - q.x, dy = p.y - q.y, length = sqrt(dx * dx + dy * dy);
        double k = plan->arcs.count ? fabs(arc_at(plan, s)->curvature) : 0.0;
        double ahead = fabs(arc_at(plan, s + length)->curvature), bend = fmax(fmax(k, ahead), 1e-4);
        double step = fmax(fmin(sqrt(8.0 * CHORD_ERROR / bend), LONG_LEG / 4.0), 0.05);
        uint32_t parts = i ? 1 + (uint32_t)(length / step) : 1;
        for (uint32_t part = 1; part <= parts; ++part) {
            double share = (double)part / parts;
            nm_ow_place at = nm_ow_project(plan, q.x + share * dx, q.y + share * dy, s + length / parts);
            if (plan->places.count && at.s <= s + 1e-9) continue; // the border turns back on itself
            if (!push_place(&plan->places, at.s, at.t)) return 0;
            s = at.s;
        }
    }
    return 1;
}

/// Thins a border out: from the last point kept, as far as one line stays within the tolerance of all points passed.
static int simplify(nm_ow_plan *plan, double length) {
    const nm_ow_place *p = plan->places.data;
    size_t n = plan->places.count, i = 0;
    nm_range *range = NM_PUSH(&plan->ranges, nm_range, 1);
    if (!range) return 0;
    *range = (nm_range){(uint32_t)plan->borders.count, 0};
    while (i + 1 < n && p[i + 1].s <= 0.0) ++i; // what lies before the road's start is beyond its end
    double s = 0.0, t = p[i].t;
    if (i + 1 < n && p[i].s < 0.0) t += (p[i + 1].t - p[i].t) * (0.0 - p[i].s) / (p[i + 1].s - p[i].s);
    if (!push_place(&plan->borders, s, t)) return 0;
    if (p[i].s <= 0.0) ++i;
    while (i < n && s < length) {
        double low = -INFINITY, high = INFINITY, slope = 0.0;
        size_t k = i, last = i;
        for (; k < n; ++k) {
            double ds = p[k].s - s;
            if (ds <= 1e-9) continue;
            low = fmax(low, (p[k].t - NM_OW_TOLERANCE - t) / ds);
            high = fmin(high, (p[k].t + NM_OW_TOLERANCE - t) / ds);
            if (low > high) break;
            slope = fmin(fmax((p[k].t - t) / ds, low), high);
            last = k;
        }
        double to = fmin(p[last].s, length);
        if (to <= s) break;
        t += slope * (to - s);
        s = to;
        if (!push_place(&plan->borders, s, t)) return 0;
        i = last + 1;
    }
    range->count = (uint32_t)plan->borders.count - range->first;
    return 1;
}

double nm_ow_border_at(const nm_ow_plan *plan, uint32_t border, double s) {
    nm_range range = NM_AT(plan->ranges, nm_range, border);
    const nm_ow_place *p = &NM_AT(plan->borders, nm_ow_place, range.first);
    uint32_t low = 0, high = range.count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (p[middle].s <= s)
            low = middle;
        else
            high = middle;
    }
    if (low + 1 >= range.count) return p[low].t;
    return p[low].t + (p[low + 1].t - p[low].t) * (s - p[low].s) / (p[low + 1].s - p[low].s);
}

int nm_ow_lay_out(nm_ow_plan *plan, const nm_ow_road *road, double *length) {
    uint32_t place = road->lanes.count / 2;
    const nm_lane *middle = &plan->map->lanes[nm_ow_lane_of(plan, road, place)];
    plan->arcs.count = plan->borders.count = plan->ranges.count = 0;
    if (!make_path(plan, middle, place < road->backward) || !make_headings(plan, road)) return 0;
    const nm_point3 *p = plan->path.data;
    const double *h = plan->headings.data;
    for (size_t i = 0; i + 1 < plan->path.count; ++i) {
        if (!add_biarc(plan, &p[i], h[i], &p[i + 1], h[i + 1])) return 0;
    }
    if (plan->arcs.count == 0) { // a road must have a length, whatever the lane's ends are
        nm_ow_arc *arc = NM_PUSH(&plan->arcs, nm_ow_arc, 1);
        if (!arc) return 0;
        *arc = (nm_ow_arc){0.0, p[0].x, p[0].y, h[0], 0.01, 0.0};
    }
    const nm_ow_arc *last = &NM_AT(plan->arcs, nm_ow_arc, plan->arcs.count - 1);
    *length = last->s + last->length;
    for (uint32_t border = 0; border <= road->lanes.count; ++border) {
        if (!sample_border(plan, road, border) || !simplify(plan, *length)) return 0;
    }
    return 1;
}
