/// Two boxes at rest or in straight motion: distance, overlap, closest approach.
#include "sim/metrics/pair.h"

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

/// Half extent of `box` along the unit vector (nx, ny), and where along (vx, vy) the points of the box furthest that
/// way lie: an edge when it is square to the vector (to within 1e-6), else a corner.
static double support(const nm_box *box, double nx, double ny, double vx, double vy, nm_interval *along) {
    double sides[2][3] = {{box->cos_h, box->sin_h, nm_half_length(box)}, {-box->sin_h, box->cos_h, nm_half_width(box)}};
    double extent = 0.0;
    for (int i = 0; i < 2; i++) {
        double forward = sides[i][0] * nx + sides[i][1] * ny;
        double place = (sides[i][0] * vx + sides[i][1] * vy) * sides[i][2];
        extent += fabs(forward) * sides[i][2];
        double low = forward > 1e-6 ? place : forward < -1e-6 ? -place : -fabs(place);
        double high = forward > 1e-6 ? place : forward < -1e-6 ? -place : fabs(place);
        along->from += low, along->to += high;
    }
    return extent;
}

/// b's centre relative to a's runs along a line; the distance of the boxes is its distance to the Minkowski sum of
/// both, a convex polygon, and so a convex function of time. If the line misses the polygon, it is nearest to the
/// corner (or the edge) furthest on its side, unless it is there before now or after the horizon; then, and if the line
/// meets the polygon before now or after the horizon, the end on that side is nearest.
void nm_closest_approach(const nm_box *a, const nm_box *b, float horizon, float *ttce, float *dce) {
    nm_pair_axes axes = nm_pair_axes_of(a, b);
    double end = nm_positive(horizon);
    double vx = (double)b->vx - a->vx, vy = (double)b->vy - a->vy, speed = sqrt(vx * vx + vy * vy);
    nm_interval near = nm_sweep(&axes, vx, vy, (nm_interval){-INFINITY, INFINITY}); // they touch, ever
    double distance = 0.0;
    if (near.from > near.to && speed > 0.0) {
        double dx = (double)b->x - a->x, dy = (double)b->y - a->y;
        double nx = -vy / speed, ny = vx / speed, side = nx * dx + ny * dy;
        if (side < 0.0) nx = -nx, ny = -ny, side = -side;
        nm_interval corner = {0.0, 0.0};
        distance = side - support(a, nx, ny, vx, vy, &corner);
        distance = nm_positive(distance - support(b, nx, ny, vx, vy, &corner));
        double now = dx * vx + dy * vy;
        near = (nm_interval){(corner.from - now) / (speed * speed), (corner.to - now) / (speed * speed)};
    }
    double time = near.to < 0.0 || !(speed > 0.0) ? 0.0 : nm_smaller(nm_positive(near.from), end);
    if (time < near.from || time > near.to) distance = distance_displaced(a, b, &axes, vx * time, vy * time);
    *ttce = nm_result(time), *dce = nm_result(distance);
}
