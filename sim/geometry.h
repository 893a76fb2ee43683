/// Small plane geometry shared by map and scene code. Private; everything inline.
#ifndef NM_SIM_GEOMETRY_H
#define NM_SIM_GEOMETRY_H

#include "sim/map.h"
#include "sim/math.h"

NM_HOST_DEVICE static inline nm_vec2 nm_sub(nm_vec2 a, nm_vec2 b) {
    return (nm_vec2){a.x - b.x, a.y - b.y};
}
NM_HOST_DEVICE static inline nm_vec2 nm_lerp(nm_vec2 a, nm_vec2 b, float t) {
    return (nm_vec2){a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)};
}
NM_HOST_DEVICE static inline float nm_dot(nm_vec2 a, nm_vec2 b) {
    return a.x * b.x + a.y * b.y;
}
NM_HOST_DEVICE static inline float nm_cross(nm_vec2 a, nm_vec2 b) {
    return a.x * b.y - a.y * b.x;
} ///< > 0: b is left of a

/// fmin and fmax are calls (NaN rules); these are one instruction.
NM_HOST_DEVICE static inline double nm_min(double a, double b) {
    return a < b ? a : b;
}
NM_HOST_DEVICE static inline double nm_max(double a, double b) {
    return a > b ? a : b;
}

typedef struct nm_bounds {
    nm_vec2 lo, hi;
} nm_bounds;

/// Empty (lo > hi) for no points.
NM_HOST_DEVICE static inline nm_bounds nm_bounds_of(const nm_vec2 *points, size_t count) {
    nm_bounds b = {{INFINITY, INFINITY}, {-INFINITY, -INFINITY}};
    for (size_t i = 0; i < count; i++) {
        b.lo = (nm_vec2){nm_minf(b.lo.x, points[i].x), nm_minf(b.lo.y, points[i].y)};
        b.hi = (nm_vec2){nm_maxf(b.hi.x, points[i].x), nm_maxf(b.hi.y, points[i].y)};
    }
    return b;
}
NM_HOST_DEVICE static inline int nm_bounds_meet(const nm_bounds *a, const nm_bounds *b) {
    return (a->lo.x <= b->hi.x) & (b->lo.x <= a->hi.x) & (a->lo.y <= b->hi.y) & (b->lo.y <= a->hi.y);
}

/// Parameter in [0, 1] of the point of segment ab nearest to p; 0 for a segment without length.
NM_HOST_DEVICE static inline float nm_segment_nearest(nm_vec2 a, nm_vec2 b, nm_vec2 p) {
    nm_vec2 d = nm_sub(b, a);
    float square = nm_dot(d, d);
    return square > 0.0f ? nm_clampf(nm_dot(nm_sub(p, a), d) / square, 0.0f, 1.0f) : 0.0f;
}

NM_HOST_DEVICE static inline float nm_segment_distance2(nm_vec2 a, nm_vec2 b, nm_vec2 p) {
    nm_vec2 d = nm_sub(p, nm_lerp(a, b, nm_segment_nearest(a, b, p)));
    return nm_dot(d, d);
}

/// Does the ray from p towards +x cross edge ab? Summed modulo 2 over a polygon: is p inside (even-odd rule)? Half-open
/// in y, so that a vertex counts once.
NM_HOST_DEVICE static inline int nm_ray_crosses(nm_vec2 a, nm_vec2 b, nm_vec2 p) {
    if ((a.y > p.y) == (b.y > p.y)) return 0;
    // side of p relative to the upward edge, without a division
    float side = (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
    return (side > 0.0f) == (b.y > a.y);
}

/// Is p within sqrt(reach2) of segment ab? Without a division.
NM_HOST_DEVICE static inline int nm_near_segment(nm_vec2 a, nm_vec2 b, nm_vec2 p, float reach2) {
    nm_vec2 d = nm_sub(b, a), e = nm_sub(p, a);
    float along = nm_dot(e, d), square = nm_dot(d, d);
    if (along <= 0.0f) return nm_dot(e, e) <= reach2;
    if (along >= square) {
        nm_vec2 f = nm_sub(p, b);
        return nm_dot(f, f) <= reach2;
    }
    float side = nm_cross(d, e);
    return side * side <= reach2 * square;
}

/// Is p inside the polygon (even-odd rule) or within sqrt(reach2) of its outline?
NM_HOST_DEVICE static inline int nm_polygon_contains(const nm_vec2 *points, uint32_t count, nm_vec2 p, float reach2) {
    int inside = 0;
    for (uint32_t i = 0, k = count - 1; i < count; k = i++) inside ^= nm_ray_crosses(points[k], points[i], p);
    if (inside) return 1;
    for (uint32_t i = 0, k = count - 1; i < count; k = i++) {
        if (nm_near_segment(points[k], points[i], p, reach2)) return 1;
    }
    return 0;
}

#endif
