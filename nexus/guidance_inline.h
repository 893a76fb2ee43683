/// The formulas of guidance for one pair, one token or one path, as inline functions: what the CPU and a GPU compute
/// with, so that both give the same. Private to guidance*.c and nexus/ops/cuda. C and C++ at once.
///
/// A view's pointers are of the memory of whoever calls.
#ifndef NM_NEXUS_GUIDANCE_INLINE_H
#define NM_NEXUS_GUIDANCE_INLINE_H

#include "nexus/guidance_terms.h"

#include "sim/math.h"

#include <math.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_guide_vector {
    double x, y;
} nm_guide_vector;

NM_HOST_DEVICE static inline double nm_guide_dot(nm_guide_vector a, nm_guide_vector b) {
    return a.x * b.x + a.y * b.y;
}
NM_HOST_DEVICE static inline nm_guide_vector nm_guide_left_of(nm_guide_vector a) {
    return (nm_guide_vector){-a.y, a.x};
}
NM_HOST_DEVICE static inline nm_guide_vector nm_guide_right_of(nm_guide_vector a) {
    return (nm_guide_vector){a.y, -a.x};
}
NM_HOST_DEVICE static inline nm_guide_vector nm_guide_plus(nm_guide_vector a, double factor, nm_guide_vector b) {
    return (nm_guide_vector){a.x + factor * b.x, a.y + factor * b.y};
}
NM_HOST_DEVICE static inline nm_guide_vector nm_guide_step_between(const nm_guide_view *view, uint32_t a, uint32_t b) {
    return (nm_guide_vector){view->state[NM_FIELD_X][b] - view->state[NM_FIELD_X][a],
                             view->state[NM_FIELD_Y][b] - view->state[NM_FIELD_Y][a]};
}

// ---------------------------------------------------------------------------------------------------------------------
// Agents apart

/// |x|, rounded off at 0.
NM_HOST_DEVICE static inline double nm_guide_size_of(double x) {
    return sqrt(x * x + 4e-4);
}

/// One of the four directions that may separate two boxes, and how deep they are in each other along it.
typedef struct nm_guide_separation {
    double depth;
    /// gradient by a - b, by the heading of the axis's box, by the other heading
    nm_guide_vector by_apart, by_own, by_other;
} nm_guide_separation;

/// Along (0) or across (1) the box of heading `own` and half size `half`, the other being of `length` and `width`.
NM_HOST_DEVICE static inline nm_guide_separation nm_guide_axis_of(nm_guide_vector apart, nm_guide_vector own,
                                                                  int across, double half, nm_guide_vector other,
                                                                  double length, double width) {
    const nm_guide_vector n = across ? nm_guide_left_of(own) : own;
    const double p = nm_guide_dot(apart, n), lengthwise = nm_guide_dot(other, n),
                 sideways = nm_guide_dot(nm_guide_left_of(other), n);
    const double reach = half + 0.5 * (length * nm_guide_size_of(lengthwise) + width * nm_guide_size_of(sideways));
    const double by_p = -p / nm_guide_size_of(p);
    const double by_length = 0.5 * length * lengthwise / nm_guide_size_of(lengthwise);
    const double by_width = 0.5 * width * sideways / nm_guide_size_of(sideways);
    const nm_guide_vector by_n =
        nm_guide_plus(nm_guide_plus((nm_guide_vector){by_p * apart.x, by_p * apart.y}, by_length, other), by_width,
                      nm_guide_left_of(other));
    nm_guide_separation result;
    result.depth = reach - nm_guide_size_of(p);
    result.by_apart = (nm_guide_vector){by_p * n.x, by_p * n.y};
    result.by_own = across ? nm_guide_right_of(by_n) : by_n;
    result.by_other =
        nm_guide_plus((nm_guide_vector){by_length * n.x, by_length * n.y}, by_width, nm_guide_right_of(n));
    return result;
}

NM_HOST_DEVICE static inline nm_guide_vector nm_guide_unit_heading(const nm_guide_view *view, uint32_t n,
                                                                   double *size) {
    const double c = view->state[NM_FIELD_COS][n], s = view->state[NM_FIELD_SIN][n];
    *size = sqrt(c * c + s * s + 1e-12);
    return (nm_guide_vector){c / *size, s / *size};
}

/// The gradient by a heading made that by (cos, sin) of any size.
NM_HOST_DEVICE static inline nm_guide_vector nm_guide_turn(nm_guide_vector heading, double size, nm_guide_vector g) {
    const double along = nm_guide_dot(g, heading);
    return (nm_guide_vector){(g.x - along * heading.x) / size, (g.y - along * heading.y) / size};
}

/// What a pair costs, and its gradient by a - b and by the (cos, sin) of a and b.
typedef struct nm_guide_overlap {
    double energy;
    nm_guide_vector apart, heading_a, heading_b;
} nm_guide_overlap;

/// 1 / 2^2: a depth across a box counts as twice that along it, when the way out is chosen.
#define NM_GUIDE_SIDEWAYS 0.25

NM_HOST_DEVICE static inline nm_guide_overlap nm_guide_overlap_of(const nm_guide_view *view, uint32_t a, uint32_t b,
                                                                  double margin) {
    nm_guide_overlap result = {0.0, {0.0, 0.0}, {0.0, 0.0}, {0.0, 0.0}};
    double *const *q = view->state;
    const double la = view->length[a], wa = view->width[a], lb = view->length[b], wb = view->width[b];
    const nm_guide_vector apart = {q[NM_FIELD_X][a] - q[NM_FIELD_X][b], q[NM_FIELD_Y][a] - q[NM_FIELD_Y][b]};
    double size_a, size_b;
    const nm_guide_vector ha = nm_guide_unit_heading(view, a, &size_a), hb = nm_guide_unit_heading(view, b, &size_b);
    const nm_guide_separation axes[4] = {nm_guide_axis_of(apart, ha, 0, 0.5 * la + margin, hb, lb, wb),
                                         nm_guide_axis_of(apart, ha, 1, 0.5 * wa + margin, hb, lb, wb),
                                         nm_guide_axis_of(apart, hb, 0, 0.5 * lb + margin, ha, la, wa),
                                         nm_guide_axis_of(apart, hb, 1, 0.5 * wb + margin, ha, la, wa)};
    double sum = 0.0;
    for (int i = 0; i < 4; i++) {
        if (axes[i].depth <= 1e-9) return result;
        sum += (i % 2 ? NM_GUIDE_SIDEWAYS : 1.0) / (axes[i].depth * axes[i].depth);
    }
    result.energy = 0.25 * (2.0 + 2.0 * NM_GUIDE_SIDEWAYS) / sum;
    nm_guide_vector by_apart = {0.0, 0.0}, by_a = by_apart, by_b = by_apart;
    for (int i = 0; i < 4; i++) {
        const double depth3 = axes[i].depth * axes[i].depth * axes[i].depth;
        const double slope = result.energy / sum * 2.0 * (i % 2 ? NM_GUIDE_SIDEWAYS : 1.0) / depth3;
        by_apart = nm_guide_plus(by_apart, slope, axes[i].by_apart);
        by_a = nm_guide_plus(by_a, slope, i < 2 ? axes[i].by_own : axes[i].by_other);
        by_b = nm_guide_plus(by_b, slope, i < 2 ? axes[i].by_other : axes[i].by_own);
    }
    result.apart = by_apart;
    result.heading_a = nm_guide_turn(ha, size_a, by_a);
    result.heading_b = nm_guide_turn(hb, size_b, by_b);
    return result;
}

/// Beyond (reach of one + reach of the other) two tokens do not overlap.
NM_HOST_DEVICE static inline double nm_guide_reach_of_box(const nm_guide_view *view, uint32_t n, double margin) {
    return 0.5 * (view->length[n] + view->width[n] + margin) + 0.25; // 0.25: what size_of rounds off, and more
}
/// Whether two tokens that may overlap are pushed apart at all.
NM_HOST_DEVICE static inline int nm_guide_concerns(const nm_guide_view *view, uint32_t a, uint32_t b) {
    return view->foe[a] != b && view->foe[b] != a && !(view->fixed[a] & view->fixed[b]);
}

#define NM_GUIDE_ACROSS 0.3 ///< overlapping agents give way across their lane this much as readily as along it

/// Along the lane as it is, across it less; without a lane, along the agent itself.
NM_HOST_DEVICE static inline nm_guide_vector nm_guide_favour_lane(const nm_guide_view *view, uint32_t n,
                                                                  nm_guide_vector g) {
    double c = view->on_lane[n] ? view->lane_cos[n] : view->state[NM_FIELD_COS][n];
    double s = view->on_lane[n] ? view->lane_sin[n] : view->state[NM_FIELD_SIN][n];
    const double size = sqrt(c * c + s * s);
    if (size < 1e-6) return g;
    c /= size;
    s /= size;
    const double along = c * g.x + s * g.y, across = NM_GUIDE_ACROSS * (c * g.y - s * g.x);
    return (nm_guide_vector){c * along - s * across, s * along + c * across};
}

// ---------------------------------------------------------------------------------------------------------------------
// On the road

/// How far token n is beyond the border of its lane, 0 when it is not, and which way out of there is.
NM_HOST_DEVICE static inline double nm_guide_beyond_lane(const nm_guide_view *view, uint32_t n,
                                                         nm_guide_vector *slope) {
    const double nx = -view->lane_sin[n], ny = view->lane_cos[n]; // to the left
    const double d =
        nx * (view->state[NM_FIELD_X][n] - view->lane_x[n]) + ny * (view->state[NM_FIELD_Y][n] - view->lane_y[n]);
    const double beyond = fabs(d) - view->lane_half[n];
    if (beyond <= 0.0) return 0.0;
    *slope = (nm_guide_vector){d > 0.0 ? beyond * nx : -beyond * nx, d > 0.0 ? beyond * ny : -beyond * ny};
    return beyond;
}

// ---------------------------------------------------------------------------------------------------------------------
// Smooth

/// Square of the unit of a state in m.
NM_HOST_DEVICE static inline double nm_guide_unit2(const nm_guide_view *view, int field) {
    return field < NM_FIELD_COS ? 1.0 : field < NM_FIELD_VX ? NM_GUIDE_ARM * NM_GUIDE_ARM : view->dt * view->dt;
}

/// How many tokens there are on both sides of n, at most `most`; the first and last of them.
NM_HOST_DEVICE static inline uint32_t nm_guide_reach_of(const nm_guide_view *view, uint32_t n, uint32_t most,
                                                        uint32_t *first) {
    uint32_t reach = 0, before = n, after = n;
    while (reach < most && view->previous[before] != NM_NONE && view->next[after] != NM_NONE) {
        before = view->previous[before];
        after = view->next[after];
        reach++;
    }
    *first = before;
    return reach;
}

/// Of the window of 2 reach + 1 tokens from `first`: how far its middle is from the mean in `field`, and the slope.
NM_HOST_DEVICE static inline double nm_guide_smooth_pull(const nm_guide_view *view, uint32_t middle, uint32_t first,
                                                         uint32_t reach, int field, double *off) {
    const double share = 1.0 / (2 * reach + 1);
    double mean = 0.0;
    uint32_t at = first;
    for (uint32_t i = 0; i <= 2 * reach; i++, at = view->next[at]) mean += share * view->state[field][at];
    *off = view->state[field][middle] - mean;
    // 9/16: the largest a window can answer to a state that alternates is 4/3, squared
    return 9.0 / 16.0 * nm_guide_unit2(view, field) * *off;
}

// ---------------------------------------------------------------------------------------------------------------------
// Consistent

/// Positions of two tokens in a row against their mean velocity: what is off, and the slope.
NM_HOST_DEVICE static inline double nm_guide_velocity_pull(const nm_guide_view *view, uint32_t a, uint32_t b, int axis,
                                                           double *off) {
    const double weight = 0.1; // 1 / (2^2 + 1^2) is the largest curvature; half of it for each of two terms
    const double *p = view->state[NM_FIELD_X + axis], *v = view->state[NM_FIELD_VX + axis];
    *off = p[b] - p[a] - 0.5 * view->dt * (v[a] + v[b]);
    return weight * *off;
}

/// Sideways speed k = cos vy - sin vx, as the smaller of what turning (arm k / |v|) and what changing the velocity
/// (dt k) would take: k / sqrt(|v|^2 / arm^2 + 1 / dt^2).
NM_HOST_DEVICE static inline double nm_guide_heading_against_velocity(const nm_guide_view *view, uint32_t n,
                                                                      double slope[NM_GUIDE_STATES]) {
    const double weight = 0.25, arm2 = NM_GUIDE_ARM * NM_GUIDE_ARM;
    const double c = view->state[NM_FIELD_COS][n], s = view->state[NM_FIELD_SIN][n], vx = view->state[NM_FIELD_VX][n],
                 vy = view->state[NM_FIELD_VY][n];
    const double k = c * vy - s * vx;
    const double d2 = (vx * vx + vy * vy) / arm2 + 1.0 / (view->dt * view->dt), d = sqrt(d2);
    const double off = k / d, pull = weight * off, fall = k / (arm2 * d2 * d);
    slope[NM_FIELD_COS] += pull * vy / d;
    slope[NM_FIELD_SIN] -= pull * vx / d;
    slope[NM_FIELD_VX] += pull * (-s / d - fall * vx);
    slope[NM_FIELD_VY] += pull * (c / d - fall * vy);
    return 0.5 * pull * off;
}

NM_HOST_DEVICE static inline double nm_guide_heading_of_length_one(const nm_guide_view *view, uint32_t n,
                                                                   double slope[NM_GUIDE_STATES]) {
    const double weight = 0.25;
    const double c = view->state[NM_FIELD_COS][n], s = view->state[NM_FIELD_SIN][n];
    const double off = 0.5 * NM_GUIDE_ARM * (c * c + s * s - 1.0), pull = weight * off;
    slope[NM_FIELD_COS] += pull * NM_GUIDE_ARM * c;
    slope[NM_FIELD_SIN] += pull * NM_GUIDE_ARM * s;
    return 0.5 * pull * off;
}

// ---------------------------------------------------------------------------------------------------------------------
// Decoding, encoding, and one step down

NM_HOST_DEVICE static inline double nm_guide_decoded(const nm_state_encoding *e, const float *row, int field) {
    return (double)e->mean[field] + (double)e->scale[field] * (double)row[e->channel[field]];
}

/// Length or width: as given, as decoded, or `otherwise` when it is not encoded.
NM_HOST_DEVICE static inline double nm_guide_extent(const nm_state_encoding *e, const float *row, int field,
                                                    float given, double otherwise) {
    if (given > 0.0f) return (double)given;
    const double size = e->channel[field] < 0 ? otherwise : nm_guide_decoded(e, row, field);
    return fmax(0.3, fmin(30.0, size)); // early predictions may be anything
}

/// One state from the channels at `row` into point p of the view.
NM_HOST_DEVICE static inline void nm_guide_decode_state(const nm_state_encoding *e, const float *row,
                                                        const nm_motion *pose, const nm_guide_view *view, uint32_t p) {
    double local[NM_GUIDE_STATES];
    for (int f = 0; f < NM_GUIDE_STATES; f++) local[f] = e->channel[f] >= 0 ? nm_guide_decoded(e, row, f) : 0.0;
    if (e->channel[NM_FIELD_VY] < 0) { // a speed along the heading
        const double size = fmax(1e-6, hypot(local[NM_FIELD_COS], local[NM_FIELD_SIN]));
        const double speed = local[NM_FIELD_VX];
        local[NM_FIELD_VX] = speed * local[NM_FIELD_COS] / size;
        local[NM_FIELD_VY] = speed * local[NM_FIELD_SIN] / size;
    }
    for (int f = 0; f < NM_GUIDE_STATES; f += 2) {
        view->state[f][p] = pose->cos_h * local[f] - pose->sin_h * local[f + 1];
        view->state[f + 1][p] = pose->sin_h * local[f] + pose->cos_h * local[f + 1];
    }
    view->state[NM_FIELD_X][p] += pose->x;
    view->state[NM_FIELD_Y][p] += pose->y;
}

/// Whether point p, decoded, is slower than `least` m/s.
NM_HOST_DEVICE static inline int nm_guide_slow(const nm_guide_view *view, uint32_t p, double least) {
    const double vx = view->state[NM_FIELD_VX][p], vy = view->state[NM_FIELD_VY][p];
    return vx * vx + vy * vy < least * least;
}

NM_HOST_DEVICE static inline void nm_guide_encode_state(const nm_state_encoding *e, const nm_guide_view *view,
                                                        uint32_t p, const nm_motion *pose, float *row) {
    double *const *q = view->state;
    double local[NM_GUIDE_STATES];
    for (int f = 0; f < NM_GUIDE_STATES; f += 2) {
        const double a = q[f][p] - (f ? 0.0 : pose->x), b = q[f + 1][p] - (f ? 0.0 : pose->y);
        local[f] = pose->cos_h * a + pose->sin_h * b;
        local[f + 1] = -pose->sin_h * a + pose->cos_h * b;
    }
    if (e->channel[NM_FIELD_VY] < 0) {
        const double size = fmax(1e-6, hypot(local[NM_FIELD_COS], local[NM_FIELD_SIN]));
        local[NM_FIELD_VX] =
            (local[NM_FIELD_VX] * local[NM_FIELD_COS] + local[NM_FIELD_VY] * local[NM_FIELD_SIN]) / size;
    }
    for (int f = 0; f < NM_GUIDE_STATES; f++) {
        if (e->channel[f] < 0) continue;
        row[e->channel[f]] = (float)((local[f] - (double)e->mean[f]) / (double)e->scale[f]);
    }
}

/// A step down: share of the slope, m at the most, and what 1 m of a position, heading, velocity is in its own unit.
typedef struct nm_guide_descent {
    double step, most, units[NM_GUIDE_STATES / 2];
} nm_guide_descent;

/// How a point moves in the units of the energies, by `most` m at the most; 0 when it stays.
NM_HOST_DEVICE static inline int nm_guide_move(const nm_guide_descent *d, const double slope[NM_GUIDE_STATES],
                                               double move[NM_GUIDE_STATES]) {
    double size2 = 0.0;
    for (int f = 0; f < NM_GUIDE_STATES; f++) {
        const double unit = d->units[f / 2];
        move[f] = -d->step * unit * slope[f]; // in m
        size2 += move[f] * move[f];
        move[f] *= unit; // in the state's own
    }
    if (!(size2 > 0.0)) return 0;
    const double size = sqrt(size2), share = size > d->most ? d->most / size : 1.0;
    for (int f = 0; f < NM_GUIDE_STATES; f++) move[f] *= share;
    return 1;
}

#ifdef __cplusplus
}
#endif
#endif
