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
/// its neighbours.
///
/// A road ends square to its reference line, lanes end as they like: most of those of real maps, askew. So the line is
/// bent at its ends until it is square to the line over the lanes' ends. From a point J some way in, where it has the
/// heading of left normal n, one arc does that: the one whose centre J + R n lies on that end line.
///
/// A border is projected onto the reference line, corner by corner and often enough between them that arcs are kept,
/// and what comes out, t over s, is thinned out with a tolerance. Where the line bends more sharply than a border is
/// far from it, the border cannot be written; then one of the outer borders is tried instead of the middle.
#include "dataset/opendrive_plan.h"

#include <math.h>

#include "sim/geometry.h"
#include "sim/math.h"

#define LINE_TOLERANCE 0.05 // m
#define LONG_LEG 8.0        // m: legs over this get points LEG_END from both ends, so that bends stay where they are
#define LEG_END 2.5         // m
#define LEAST_LEG 0.3       // m between points of the line
#define MOST_SKEW 1.2       // rad between the end of a road and the square to its lanes
#define FINE 0.006          // m: a reference line that keeps the borders so well needs no other
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
static uint32_t reach(const nm_vec2 *line, const nm_lane *lane, int backward, uint32_t first) {
    uint32_t last = first + 1;
    nm_vec2 a = line[along_road(lane, backward, first)];
    for (uint32_t end = first + 2; end < lane->points.count && end < first + 64; ++end) {
        nm_vec2 b = line[along_road(lane, backward, end)];
        float dx = b.x - a.x, dy = b.y - a.y, length = sqrtf(dx * dx + dy * dy), before = 0.0f;
        if (!(length > 0.0f)) break;
        int near = 1;
        for (uint32_t k = first + 1; near && k < end; ++k) {
            nm_vec2 p = line[along_road(lane, backward, k)];
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

/// What the reference line follows: 0 the middle, 1 and 2 the road's left and right edge.
typedef struct base {
    const nm_vec2 *line;
    const nm_lane *lane;
    int backward;
} base;

static base base_of(const nm_ow_plan *plan, const nm_ow_road *road, int choice) {
    const nm_map *map = plan->map;
    uint32_t place = choice == 0 ? road->lanes.count / 2 : choice == 1 ? 0 : road->lanes.count - 1;
    int backward = place < road->backward;
    const nm_vec2 *line = choice == 0 ? map->centre : (choice == 1) != backward ? map->left : map->right;
    return (base){line, &map->lanes[nm_ow_lane_of(plan, road, place)], backward};
}

/// The line thinned out. The ends are kept.
static int make_path(nm_ow_plan *plan, const base *from) {
    const nm_map *map = plan->map;
    const nm_lane *lane = from->lane;
    plan->path.count = 0;
    for (uint32_t i = 0; i + 1 < lane->points.count; i = reach(from->line, lane, from->backward, i)) {
        if (!add_leg(plan, map_point(map, from->line[along_road(lane, from->backward, i)]))) return 0;
    }
    nm_point3 end = map_point(map, from->line[along_road(lane, from->backward, lane->points.count - 1)]);
    if (plan->path.count >= 2) { // the last point but one may be too near to the end
        nm_point3 last = NM_AT(plan->path, nm_point3, plan->path.count - 1);
        if (fabs(end.x - last.x) + fabs(end.y - last.y) < LEAST_LEG) --plan->path.count;
    }
    if (!add_leg(plan, end)) return 0;
    return plan->path.count >= 2 || push_point(plan, end.x, end.y); // a lane shorter than a leg
}

// --- headings --------------------------------------------------------------------------------------------------------

/// Of the circle through three points, at the middle one.
static double circle_heading(const nm_point3 *p) {
    double ax = p[0].x - p[-1].x, ay = p[0].y - p[-1].y, bx = p[1].x - p[0].x, by = p[1].y - p[0].y;
    double a = ax * ax + ay * ay, b = bx * bx + by * by;
    return atan2(ay * b + by * a, ax * b + bx * a);
}

static int make_headings(nm_ow_plan *plan) {
    size_t n = plan->path.count;
    plan->headings.count = 0;
    const nm_point3 *p = plan->path.data;
    double *h = NM_PUSH(&plan->headings, double, n);
    if (!h) return 0;
    for (size_t i = 1; i + 1 < n; ++i) h[i] = circle_heading(&p[i]);
    for (size_t k = 0; k < 2; ++k) {
        size_t i = k ? n - 1 : 0, next = k ? n - 2 : 1, from = k ? next : i, to = k ? i : next;
        double chord = atan2(p[to].y - p[from].y, p[to].x - p[from].x);
        // the arc through the end that has the next point's heading there
        h[i] = n > 2 ? chord - remainder(h[next] - chord, 2.0 * NM_PI) : chord;
    }
    return 1;
}

/// The outermost points of the lanes at an end of the road: left, right.
static void end_line(const nm_ow_plan *plan, const nm_ow_road *road, int at_end, nm_point3 side[2]) {
    const nm_map *map = plan->map;
    for (uint32_t k = 0; k < 2; ++k) {
        uint32_t place = k ? road->lanes.count - 1 : 0;
        const nm_lane *lane = &map->lanes[nm_ow_lane_of(plan, road, place)];
        int backward = place < road->backward;
        uint32_t i = along_road(lane, backward, at_end ? lane->points.count - 1 : 0);
        side[k] = map_point(map, (k == 0) == !backward ? map->left[i] : map->right[i]);
    }
}

/// Takes `length` m off an end of the path; *point and *heading are where it ends then. Returns how many of its points
/// are gone.
static size_t cut_back(const nm_ow_plan *plan, int at_end, double length, nm_point3 *point, double *heading) {
    const nm_point3 *p = plan->path.data;
    const double *h = plan->headings.data;
    size_t n = plan->path.count, gone = 1;
    double passed = 0.0;
    for (; gone < n; ++gone) {
        size_t a = at_end ? n - gone : gone - 1, b = at_end ? a - 1 : a + 1;
        double dx = p[b].x - p[a].x, dy = p[b].y - p[a].y, leg = sqrt(dx * dx + dy * dy);
        if (passed + leg < length && gone + 1 < n) {
            passed += leg;
            continue;
        }
        double share = leg > 0.0 ? fmin((length - passed) / leg, 1.0) : 1.0;
        if (leg * (1.0 - share) < LEAST_LEG) { // at the next point, which goes as well
            share = 1.0;
            ++gone;
        }
        *point = (nm_point3){p[a].x + share * dx, p[a].y + share * dy, 0.0};
        *heading = h[a] + share * remainder(h[b] - h[a], 2.0 * NM_PI);
        return gone;
    }
    return n;
}

/// Bends an end of the path until it is square to the line over the lanes' ends.
static int square_end(nm_ow_plan *plan, const nm_ow_road *road, int at_end, double whole) {
    nm_point3 side[2], *p = plan->path.data, joint;
    double *h = plan->headings.data, at_joint = 0.0;
    size_t n = plan->path.count, tip = at_end ? n - 1 : 0;
    end_line(plan, road, at_end, side);
    double dx = side[1].x - side[0].x, dy = side[1].y - side[0].y, width = sqrt(dx * dx + dy * dy);
    double heading = atan2(dx, -dy), skew = remainder(heading - h[tip], 2.0 * NM_PI);
    if (width < 0.05 || fabs(skew) > MOST_SKEW || fabs(skew) < 1e-5) return 1;
    double far = 0.0;
    for (int k = 0; k < 2; ++k) far = fmax(far, hypot(side[k].x - p[tip].x, side[k].y - p[tip].y));
    double length = fmin((1.3 * far + 0.3) * tan(fabs(skew)), 0.45 * whole);
    size_t gone = cut_back(plan, at_end, fmax(length, 0.01), &joint, &at_joint);
    double mx = cos(heading), my = sin(heading), turn = sin(remainder(at_joint - heading, 2.0 * NM_PI));
    double ahead = (joint.x - side[0].x) * mx + (joint.y - side[0].y) * my;
    if ((at_end ? -ahead : ahead) < 0.01) return 1; // the joint lies beyond the end line: nothing to be done
    nm_point3 end = {joint.x - ahead * mx, joint.y - ahead * my, 0.0};
    if (fabs(turn) > 1e-4) {
        double radius = ahead / turn;
        end.x = joint.x - radius * sin(at_joint) + radius * my;
        end.y = joint.y + radius * cos(at_joint) - radius * mx;
    }
    // `gone` points make room for two
    size_t kept = n - gone;
    if (!NM_PUSH(&plan->path, nm_point3, 2) || !NM_PUSH(&plan->headings, double, 2)) return 0;
    p = plan->path.data;
    h = plan->headings.data;
    if (!at_end) {
        memmove(p + 2, p + gone, kept * sizeof *p);
        memmove(h + 2, h + gone, kept * sizeof *h);
    }
    size_t outer = at_end ? kept + 1 : 0, inner = at_end ? kept : 1;
    p[outer] = end;
    h[outer] = heading;
    p[inner] = joint;
    h[inner] = at_joint;
    plan->path.count = plan->headings.count = kept + 2;
    return 1;
}

// --- biarcs ----------------------------------------------------------------------------------------------------------

/// An arc from where the last one ended, or from the start, to (x, y). Returns its heading at the end.
int nm_ow_add_arc(nm_ow_plan *plan, double px, double py, double heading, double x, double y, double *end_heading_out) {
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
    return nm_ow_add_arc(plan, p->x, p->y, h0, x, y, &after) && nm_ow_add_arc(plan, x, y, after, q->x, q->y, &after);
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

void nm_ow_pose(const nm_ow_plan *plan, double s, double *x, double *y, double *hdg) {
    double curvature;
    pose_at(plan, s, x, y, hdg, &curvature);
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

// --- the whole road --------------------------------------------------------------------------------------------------

static int lay_out(nm_ow_plan *plan, const nm_ow_road *road, int choice, double *length, double *error) {
    base from = base_of(plan, road, choice);
    plan->arcs.count = plan->borders.count = plan->ranges.count = 0;
    *error = 0.0;
    if (!make_path(plan, &from) || !make_headings(plan)) return 0;
    double whole = 0.0;
    for (size_t i = 0; i + 1 < plan->path.count; ++i) {
        const nm_point3 *p = &NM_AT(plan->path, nm_point3, i);
        whole += hypot(p[1].x - p[0].x, p[1].y - p[0].y);
    }
    if (!square_end(plan, road, 0, whole) || !square_end(plan, road, 1, whole)) return 0;
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
        if (!nm_ow_measure(plan, road, border, *length, error)) return 0;
    }
    return 1;
}

/// A road of one lane, its reference line square to all rows.
static int lay_out_rows(nm_ow_plan *plan, const nm_ow_road *road, double *length, double *error) {
    int followed = nm_ow_follow_rows(plan, road, length);
    plan->borders.count = plan->ranges.count = 0;
    *error = followed > 0 ? 0.0 : INFINITY;
    if (followed <= 0) return followed == 0;
    for (uint32_t border = 0; border < 2; ++border) {
        if (border) {
            nm_pile swapped = plan->places;
            plan->places = plan->places_right;
            plan->places_right = swapped;
        }
        if (!simplify(plan, *length) || !nm_ow_measure(plan, road, border, *length, error)) return 0;
    }
    return 1;
}

#define CHOICES 4
static int lay_out_by(nm_ow_plan *plan, const nm_ow_road *road, int choice, double *length, double *error) {
    return choice < 3 ? lay_out(plan, road, choice, length, error) : lay_out_rows(plan, road, length, error);
}

int nm_ow_lay_out(nm_ow_plan *plan, const nm_ow_road *road, double *length, double *error) {
    double best = INFINITY;
    int choice = 0;
    for (int c = 0; c < (road->lanes.count == 1 ? CHOICES : CHOICES - 1); ++c) {
        if (!lay_out_by(plan, road, c, length, error)) return 0;
        if (*error < best) {
            best = *error;
            choice = c;
        }
        if (*error <= FINE) return 1;
    }
    return lay_out_by(plan, road, choice, length, error);
}
