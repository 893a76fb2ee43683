/// Two boxes at rest or in straight motion: distance, overlap, closest approach.
#include "sim/metrics/pair.h"

typedef struct point {
    double x, y;
} point;

int nm_box_overlap(const nm_box *a, const nm_box *b) {
    nm_pair_axes axes = nm_pair_axes_of(a, b);
    return nm_axes_overlap(&axes, 0.0, 0.0);
}

/// Square of the least distance of `box`'s corners to a rectangle of half extents (length, width) at the origin, along
/// the axes; `box` has its centre at (x, y) and is turned by (c, s).
static double corners_to_rectangle(double length, double width, double x, double y, double c, double s,
                                   const nm_box *box) {
    double hl = nm_half_length(box), hw = nm_half_width(box);
    double least = INFINITY;
    for (int corner = 0; corner < 4; corner++) {
        double l = corner & 1 ? hl : -hl, w = corner & 2 ? hw : -hw;
        double beyond_x = nm_positive(fabs(x + c * l - s * w) - length);
        double beyond_y = nm_positive(fabs(y + s * l + c * w) - width);
        least = nm_smaller(least, beyond_x * beyond_x + beyond_y * beyond_y);
    }
    return least;
}

/// The least distance of two disjoint convex polygons is attained at a corner of one of them.
static double distance_displaced(const nm_box *a, const nm_box *b, const nm_pair_axes *axes, double dx, double dy) {
    if (nm_axes_overlap(axes, dx, dy)) return 0.0;
    double c = axes->x[0] * axes->x[2] + axes->y[0] * axes->y[2];
    double s = axes->x[0] * axes->y[2] - axes->y[0] * axes->x[2];
    double p[4];
    for (int k = 0; k < 4; k++) p[k] = axes->p[k] + axes->x[k] * dx + axes->y[k] * dy;
    double of_b = corners_to_rectangle(nm_half_length(a), nm_half_width(a), p[0], p[1], c, s, b);
    double of_a = corners_to_rectangle(nm_half_length(b), nm_half_width(b), -p[2], -p[3], c, -s, a);
    return sqrt(nm_smaller(of_a, of_b));
}

float nm_box_distance(const nm_box *a, const nm_box *b) {
    nm_pair_axes axes = nm_pair_axes_of(a, b);
    return nm_result(distance_displaced(a, b, &axes, 0.0, 0.0));
}

/// The corner of `box` number 0..3, relative to its centre.
static point corner_of(const nm_box *box, int corner) {
    double l = (corner & 1 ? 1.0 : -1.0) * nm_half_length(box), w = (corner & 2 ? 1.0 : -1.0) * nm_half_width(box);
    return (point){box->cos_h * l - box->sin_h * w, box->sin_h * l + box->cos_h * w};
}

/// b relative to a runs along a segment; the distance of the boxes is that of b's centre to the Minkowski sum of both,
/// a convex polygon whose corners are among the 16 sums of corners. A segment that misses a convex polygon is closest
/// to it at one of its ends or at a corner of the polygon.
void nm_closest_approach(const nm_box *a, const nm_box *b, float horizon, float *ttce, float *dce) {
    nm_pair_axes axes = nm_pair_axes_of(a, b);
    double end = nm_positive(horizon);
    double vx = (double)b->vx - a->vx, vy = (double)b->vy - a->vy, vv = vx * vx + vy * vy;
    double dx = (double)b->x - a->x, dy = (double)b->y - a->y;
    nm_interval contact = nm_sweep(&axes, vx, vy, (nm_interval){0.0, end});
    if (contact.from <= contact.to) {
        *ttce = nm_result(contact.from), *dce = 0.0f;
        return;
    }
    double time = 0.0, least = distance_displaced(a, b, &axes, 0.0, 0.0);
    double last = distance_displaced(a, b, &axes, vx * end, vy * end);
    // Where the distance stays the same for a while (driving past in parallel), rounding must not pick the time: only
    // what is nearer by a nanometre counts, or earlier and not further by one.
    const double tie = 1e-9;
    if (last < least - tie) time = end, least = last;
    for (int i = 0; i < 16 && vv > 0.0; i++) {
        point ca = corner_of(a, i & 3), cb = corner_of(b, i >> 2);
        double x = dx + cb.x - ca.x, y = dy + cb.y - ca.y;
        double t = nm_smaller(nm_positive(-(x * vx + y * vy) / vv), end);
        double mx = x + vx * t, my = y + vy * t, distance = sqrt(mx * mx + my * my);
        if (distance < least - tie || (distance < least + tie && t < time)) least = distance, time = t;
    }
    *ttce = nm_result(time), *dce = nm_result(least);
}
