/// How far the borders of a road, as they are written, lie from those of the map.
#include <math.h>

#include "dataset/opendrive_plan.h"

#define CHORD_ERROR 0.0003 // m by which a written border may leave its chord between two samples
#define MOST_SAMPLES 64.0  // of one stretch of a border on one arc
#define NEAR 0.0025        // m: a distance that needs no better one
#define MOST_SEARCHED 4096 // segments to both sides: what comes near again only behind those counts as far

static int push_drawn(nm_ow_plan *plan, double s, double t) {
    double x, y, hdg;
    nm_ow_pose(plan, s, &x, &y, &hdg);
    nm_point3 *at = NM_PUSH(&plan->drawn, nm_point3, 1);
    if (at) *at = (nm_point3){x - t * sin(hdg), y + t * cos(hdg), 0.0};
    return at != NULL;
}

/// From (s0, t0) to (s1, t1) on an arc of curvature k, t linear in s: the second derivative of the place is at most
/// k |1 - k t| + 2 k |dt/ds|.
static int draw_stretch(nm_ow_plan *plan, double s0, double t0, double s1, double t1, double k) {
    double ds = s1 - s0, slope = ds > 0.0 ? fabs(t1 - t0) / ds : 0.0;
    double bend = fabs(k) * (fmax(fabs(1.0 - k * t0), fabs(1.0 - k * t1)) + 2.0 * slope);
    double parts = fmin(ceil(ds * sqrt(bend / (8.0 * CHORD_ERROR))), MOST_SAMPLES);
    for (double i = 1.0; i < parts; i += 1.0) {
        double share = i / parts;
        if (!push_drawn(plan, s0 + share * ds, t0 + share * (t1 - t0))) return 0;
    }
    return push_drawn(plan, s1, t1);
}

/// A border as a polyline, into plan->drawn.
static int draw(nm_ow_plan *plan, uint32_t border, double length) {
    nm_range range = NM_AT(plan->ranges, nm_range, border);
    size_t arc = 0, n = plan->arcs.count;
    uint32_t i = 0;
    double s = 0.0, t = NM_AT(plan->borders, nm_ow_place, range.first).t;
    plan->drawn.count = 0;
    if (!push_drawn(plan, s, t)) return 0;
    while (s < length) {
        double arc_end = arc + 1 < n ? NM_AT(plan->arcs, nm_ow_arc, arc + 1).s : length;
        double bend = i + 1 < range.count ? NM_AT(plan->borders, nm_ow_place, range.first + i + 1).s : length;
        double next = fmin(fmin(arc_end, bend), length);
        double to = i + 1 < range.count && next == bend ? NM_AT(plan->borders, nm_ow_place, range.first + i + 1).t
                                                        : nm_ow_border_at(plan, border, next);
        if (!draw_stretch(plan, s, t, next, to, NM_AT(plan->arcs, nm_ow_arc, arc).curvature)) return 0;
        if (next == arc_end && arc + 1 < n) ++arc;
        if (next == bend && i + 1 < range.count) ++i;
        s = next;
        t = to;
    }
    return 1;
}

static double segment_distance(const nm_point3 *p, const nm_point3 *a, const nm_point3 *b) {
    double dx = b->x - a->x, dy = b->y - a->y, px = p->x - a->x, py = p->y - a->y, square = dx * dx + dy * dy;
    double share = square > 0.0 ? fmin(fmax((px * dx + py * dy) / square, 0.0), 1.0) : 0.0;
    return hypot(px - share * dx, py - share * dy);
}

/// The furthest that a corner of one line lies from another line, or `worst` when that is more. Lines run along one
/// another: the search for the nearest segment starts from where the last one was, and goes both ways. It ends where
/// the distance can not be the worst any more: to look through all of the line for every corner of a ragged one takes
/// minutes.
static double furthest(const nm_point3 *from, size_t from_count, const nm_point3 *line, size_t count, double worst) {
    size_t at = 0;
    for (size_t i = 0; i < from_count; ++i) {
        double best = INFINITY;
        size_t found = at;
        for (size_t step = 0; step < count && step < MOST_SEARCHED && best > fmax(NEAR, worst); ++step) {
            for (int side = 0; side < 2; ++side) {
                size_t k = side ? at - step : at + step; // below 0 wraps round to far over count
                if (k + 1 >= count || k > count) continue;
                double distance = segment_distance(&from[i], &line[k], &line[k + 1]);
                if (distance >= best) continue;
                best = distance;
                found = k;
            }
        }
        at = found;
        worst = fmax(worst, best);
    }
    return worst;
}

int nm_ow_measure(nm_ow_plan *plan, const nm_ow_road *road, uint32_t border, double length, double *error) {
    const nm_map *map = plan->map;
    uint32_t place = border < road->lanes.count ? border : border - 1;
    const nm_lane *lane = &map->lanes[nm_ow_lane_of(plan, road, place)];
    int backward = place < road->backward;
    const nm_vec2 *line = (border == place) != backward ? map->left : map->right;
    uint32_t n = lane->points.count;
    plan->kept.count = 0;
    nm_point3 *kept = NM_PUSH(&plan->kept, nm_point3, n);
    if (!kept || !draw(plan, border, length)) return 0;
    for (uint32_t i = 0; i < n; ++i) {
        nm_vec2 p = line[lane->points.first + (backward ? n - 1 - i : i)];
        kept[i] = (nm_point3){(double)p.x + map->origin.x, (double)p.y + map->origin.y, 0.0};
    }
    *error = furthest(kept, n, plan->drawn.data, plan->drawn.count, *error);
    *error = furthest(plan->drawn.data, plan->drawn.count, kept, n, *error);
    return 1;
}
