/// Private to sim/metrics: two boxes seen along their four separating axes.
///
/// Two rectangles overlap exactly when, along each of their four edge normals n_k, the centres are no further apart
/// than the sum of their half extents: |p_k| <= e_k (Gottschalk et al. 1996). Under constant velocities p_k grows by
/// v_k t, so all questions about time become intersections of intervals. Doubles throughout: inputs are floats, so
/// differences of positions are nearly exact and thresholds are not blurred.
#ifndef NM_SIM_METRICS_PAIR_H
#define NM_SIM_METRICS_PAIR_H

#include <math.h>

#include "sim/metrics/criticality.h"

typedef struct nm_pair_axes {
    double x[4], y[4]; ///< unit normals: a's heading, a's left, b's heading, b's left
    double p[4];       ///< (centre of b - centre of a) along each
    double e[4];       ///< half extents of both along each
} nm_pair_axes;

typedef struct nm_interval {
    double from, to; ///< empty when from > to
} nm_interval;

static inline double nm_positive(double value) {
    return value > 0.0 ? value : 0.0;
}
static inline double nm_smaller(double a, double b) {
    return a < b ? a : b;
}
static inline double nm_larger(double a, double b) {
    return a > b ? a : b;
}
static inline uint32_t nm_minu(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}
static inline uint32_t nm_maxu(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}
static inline double nm_half_length(const nm_box *box) {
    return 0.5 * nm_positive(box->length);
}
static inline double nm_half_width(const nm_box *box) {
    return 0.5 * nm_positive(box->width);
}
/// A time or distance as results carry it: beyond float's range it is infinite, below 0 it is 0.
static inline float nm_result(double value) {
    return value > 3.4e38 ? INFINITY : (float)nm_positive(value);
}

static inline nm_pair_axes nm_pair_axes_of(const nm_box *a, const nm_box *b) {
    nm_pair_axes axes;
    double dx = (double)b->x - a->x, dy = (double)b->y - a->y;
    double ac = a->cos_h, as = a->sin_h, bc = b->cos_h, bs = b->sin_h;
    double c = fabs(ac * bc + as * bs), s = fabs(ac * bs - as * bc);
    double al = nm_half_length(a), aw = nm_half_width(a), bl = nm_half_length(b), bw = nm_half_width(b);
    axes.x[0] = ac, axes.y[0] = as, axes.e[0] = al + c * bl + s * bw;
    axes.x[1] = -as, axes.y[1] = ac, axes.e[1] = aw + s * bl + c * bw;
    axes.x[2] = bc, axes.y[2] = bs, axes.e[2] = bl + c * al + s * aw;
    axes.x[3] = -bs, axes.y[3] = bc, axes.e[3] = bw + s * al + c * aw;
    for (int k = 0; k < 4; k++) axes.p[k] = axes.x[k] * dx + axes.y[k] * dy;
    return axes;
}

/// Cuts `interval` to the times at which |p + v t| <= e.
static inline nm_interval nm_clip_slab(nm_interval interval, double p, double v, double e) {
    if (v < 0.0) p = -p, v = -v;
    if (v > 0.0) {
        interval.from = nm_larger(interval.from, (-e - p) / v);
        interval.to = nm_smaller(interval.to, (e - p) / v);
    } else if (p > e || p < -e) {
        interval.to = -INFINITY;
    }
    return interval;
}

/// When, within `interval`, the boxes overlap if b moves by (vx, vy) a second relative to a.
static inline nm_interval nm_sweep(const nm_pair_axes *axes, double vx, double vy, nm_interval interval) {
    for (int k = 0; k < 4; k++) {
        interval = nm_clip_slab(interval, axes->p[k], axes->x[k] * vx + axes->y[k] * vy, axes->e[k]);
        if (interval.from > interval.to) break;
    }
    return interval;
}

/// Overlap with b displaced by (dx, dy).
static inline int nm_axes_overlap(const nm_pair_axes *axes, double dx, double dy) {
    for (int k = 0; k < 4; k++)
        if (!(fabs(axes->p[k] + axes->x[k] * dx + axes->y[k] * dy) <= axes->e[k])) return 0;
    return 1;
}

/// nm_follow and nm_rss_dangerous with the cosine of params->follow_angle at hand.
nm_following nm_follow_within(const nm_box *follower, const nm_box *leader, const nm_criticality_params *params,
                              double follow_cos);
int nm_rss_dangerous_within(const nm_box *a, const nm_box *b, const nm_criticality_params *params, double follow_cos);

/// A small convex polygon, and what of it lies on the side a x + b y <= c.
#define NM_POLYGON_MAX 16
typedef struct nm_polygon {
    int count;
    double x[NM_POLYGON_MAX], y[NM_POLYGON_MAX];
} nm_polygon;

/// Sutherland and Hodgman 1974. Adds at most one corner: start with few enough.
static inline void nm_polygon_clip(nm_polygon *polygon, double a, double b, double c) {
    nm_polygon in = *polygon;
    polygon->count = 0;
    for (int i = 0; i < in.count && polygon->count + 2 <= NM_POLYGON_MAX; i++) {
        int next = i + 1 < in.count ? i + 1 : 0;
        double here = a * in.x[i] + b * in.y[i] - c, there = a * in.x[next] + b * in.y[next] - c;
        if (here <= 0.0) polygon->x[polygon->count] = in.x[i], polygon->y[polygon->count++] = in.y[i];
        if ((here < 0.0 && there > 0.0) || (here > 0.0 && there < 0.0)) {
            double share = here / (here - there);
            polygon->x[polygon->count] = in.x[i] + share * (in.x[next] - in.x[i]);
            polygon->y[polygon->count++] = in.y[i] + share * (in.y[next] - in.y[i]);
        }
    }
}

#endif
