/// The loops over steps, written to vectorise: element-wise, no branches, one array per quantity.
///
/// Everything is what pair.h computes, in float, with the extents of the boxes enlarged by more than float can lose
/// ("slack"): then separations come out too small, contacts too early, and no step that matters is left out.
#include "sim/metrics/screen.h"

#include "sim/math.h"

#define INLINE static inline __attribute__((always_inline))

INLINE float magnitude(float x) {
    return x < 0.0f ? -x : x;
}

/// One separating axis: place and speed of b relative to a with the sign that makes the speed positive.
typedef struct axis {
    float p, v, e;
} axis;

INLINE axis axis_of(float p, float v, float e) {
    return (axis){v < 0.0f ? -p : p, nm_maxf(magnitude(v), 1e-9f), e};
}

/// Least |p + v t| - e for t in [0, horizon].
INLINE float closest_along(axis k, float horizon) {
    return nm_maxf(nm_maxf(k.p, -k.p - k.v * horizon), 0.0f) - k.e;
}

/// Begin of the overlap along all four axes, or INFINITY.
INLINE float first_contact(axis k0, axis k1, axis k2, axis k3, float horizon) {
    float i0 = 1.0f / k0.v, i1 = 1.0f / k1.v, i2 = 1.0f / k2.v, i3 = 1.0f / k3.v;
    float from =
        nm_maxf(nm_maxf((-k0.e - k0.p) * i0, (-k1.e - k1.p) * i1), nm_maxf((-k2.e - k2.p) * i2, (-k3.e - k3.p) * i3));
    float to =
        nm_minf(nm_minf((k0.e - k0.p) * i0, (k1.e - k1.p) * i1), nm_minf((k2.e - k2.p) * i2, (k3.e - k3.p) * i3));
    from = nm_maxf(from, 0.0f);
    // negated, so that what overflowed to NaN counts as a contact
    return !(from > to) & !(from > horizon * 1.001f) ? from - 1e-5f * (1.0f + from) : INFINITY;
}

/// See lateral_reach in following.c.
INLINE float reach_of(float v, const nm_screen_limits *limits) {
    float after = v + limits->rho * limits->lateral_accel;
    return 0.5f * (v + after) * limits->rho + after * magnitude(after) / (2.0f * limits->lateral_brake);
}

nm_screen_limits nm_screen_limits_of(const nm_criticality_params *params, float max_range) {
    nm_screen_limits limits = {
        .range_squared = max_range * max_range,
        .horizon = nm_maxf(params->ttc_horizon, 0.0f),
        .box_horizon = nm_maxf(params->box_horizon, 0.0f),
        .rho = params->rss_reaction,
        .lateral_accel = params->rss_lateral_accel_max,
        .lateral_brake = params->rss_lateral_brake_min,
        .lateral_margin = params->rss_lateral_margin,
    };
    float sine;
    nm_sincosf(params->follow_angle, &sine, &limits.follow_cos);
    limits.follow_cos -= 1e-5f;
    return limits;
}

NM_TARGET_CLONES static void run(const nm_course *a, uint32_t at_a, const nm_course *b, uint32_t at_b, uint32_t count,
                                 const nm_screen_limits *limits, nm_screen *restrict out) {
    const float *ax = a->x + at_a, *ay = a->y + at_a, *avx = a->vx + at_a, *avy = a->vy + at_a;
    const float *ac = a->cos_h + at_a, *as = a->sin_h + at_a, *al = a->half_length + at_a, *aw = a->half_width + at_a;
    const float *bx = b->x + at_b, *by = b->y + at_b, *bvx = b->vx + at_b, *bvy = b->vy + at_b;
    const float *bc = b->cos_h + at_b, *bs = b->sin_h + at_b, *bl = b->half_length + at_b, *bw = b->half_width + at_b;
    const nm_screen_limits limit = *limits;
    for (uint32_t t = 0; t < count; t++) {
        float dx = bx[t] - ax[t], dy = by[t] - ay[t], vx = bvx[t] - avx[t], vy = bvy[t] - avy[t];
        float c = ac[t] * bc[t] + as[t] * bs[t], cm = magnitude(c), sm = magnitude(ac[t] * bs[t] - as[t] * bc[t]);
        float slack =
            1e-3f + 4e-6f * (magnitude(dx) + magnitude(dy) + al[t] + aw[t] + bl[t] + bw[t]) +
            2e-6f * limit.horizon * (magnitude(avx[t]) + magnitude(avy[t]) + magnitude(bvx[t]) + magnitude(bvy[t]));
        float e0 = al[t] + cm * bl[t] + sm * bw[t] + slack, e1 = aw[t] + sm * bl[t] + cm * bw[t] + slack;
        float e2 = bl[t] + cm * al[t] + sm * aw[t] + slack, e3 = bw[t] + sm * al[t] + cm * aw[t] + slack;
        float p0 = ac[t] * dx + as[t] * dy, p1 = ac[t] * dy - as[t] * dx;
        float p2 = bc[t] * dx + bs[t] * dy, p3 = bc[t] * dy - bs[t] * dx;
        axis k0 = axis_of(p0, ac[t] * vx + as[t] * vy, e0), k1 = axis_of(p1, ac[t] * vy - as[t] * vx, e1);
        axis k2 = axis_of(p2, bc[t] * vx + bs[t] * vy, e2), k3 = axis_of(p3, bc[t] * vy - bs[t] * vx, e3);
        uint32_t in_range = dx * dx + dy * dy <= limit.range_squared ? NM_SCREEN_IN_RANGE : 0u;

        float m0 = magnitude(p0) - e0, m1 = magnitude(p1) - e1, m2 = magnitude(p2) - e2, m3 = magnitude(p3) - e3;
        float distance = nm_maxf(nm_maxf(m0, m1), nm_maxf(m2, m3));
        float approach = nm_maxf(nm_maxf(closest_along(k0, limit.horizon), closest_along(k1, limit.horizon)),
                                 nm_maxf(closest_along(k2, limit.horizon), closest_along(k3, limit.horizon)));
        float ttc = first_contact(k0, k1, k2, k3, limit.horizon);
        out->distance[t] = in_range ? distance : INFINITY;
        out->approach[t] = in_range ? approach : INFINITY;
        out->ttc[t] = in_range ? ttc : INFINITY;

        // both at their speeds along their headings
        float sa = nm_hypotf(avx[t], avy[t]), sb = nm_hypotf(bvx[t], bvy[t]);
        float wx = sb * bc[t] - sa * ac[t], wy = sb * bs[t] - sa * as[t];
        axis w0 = axis_of(p0, ac[t] * wx + as[t] * wy, e0), w1 = axis_of(p1, ac[t] * wy - as[t] * wx, e1);
        axis w2 = axis_of(p2, bc[t] * wx + bs[t] * wy, e2), w3 = axis_of(p3, bc[t] * wy - bs[t] * wx, e3);
        float projected = first_contact(w0, w1, w2, w3, limit.box_horizon);
        out->projected[t] = in_range ? projected : INFINITY;

        uint32_t alike = c >= limit.follow_cos ? NM_SCREEN_A_FOLLOWS | NM_SCREEN_B_FOLLOWS : 0u;
        uint32_t a_follows = (p0 > e0 - 2.0f * slack) & (m1 < 0.0f) ? NM_SCREEN_A_FOLLOWS : 0u;
        uint32_t b_follows = (-p2 > e2 - 2.0f * slack) & (m3 < 0.0f) ? NM_SCREEN_B_FOLLOWS : 0u;

        // across the bisector of the headings; half is the cosine of half the angle between them
        float sign = c < 0.0f ? -1.0f : 1.0f, norm = sqrtf(2.0f + 2.0f * cm), half = 0.5f * norm;
        float half_sine = sm / norm, across = (p1 + sign * p3) / norm;
        float side = across < 0.0f ? -1.0f : 1.0f;
        float a_aside = (ac[t] * avy[t] - as[t] * avx[t] + sign * (bc[t] * avy[t] - bs[t] * avx[t])) / norm;
        float b_aside = (ac[t] * bvy[t] - as[t] * bvx[t] + sign * (bc[t] * bvy[t] - bs[t] * bvx[t])) / norm;
        float one = reach_of(side * a_aside, &limit), other = reach_of(-side * b_aside, &limit);
        float safe = limit.lateral_margin + nm_maxf(one + other, 0.0f) + 1e-5f * (magnitude(one) + magnitude(other));
        float aside = magnitude(across) - half * (aw[t] + bw[t]) - half_sine * (al[t] + bl[t]) - 4.0f * slack;
        // which side is uncertain where the centres are in line
        uint32_t beside = !(aside > safe) | (magnitude(across) < slack) ? NM_SCREEN_RSS : 0u;
        uint32_t rss = cm >= limit.follow_cos ? beside : 0u;
        out->flags[t] = in_range ? in_range | (alike & (a_follows | b_follows)) | rss : 0u;
    }
}

/// Marks steps at which nothing has changed.
NM_TARGET_CLONES static void mark_same(const float *const *a, const float *const *b, uint32_t count,
                                       uint32_t *restrict flags) {
    for (int f = 0; f < 8; f++) {
        const float *u = a[f], *v = b[f];
        for (uint32_t t = 1; t < count; t++)
            flags[t] &= (u[t] == u[t - 1]) & (v[t] == v[t - 1]) ? ~0u : ~(uint32_t)NM_SCREEN_SAME;
    }
}

void nm_screen_run(const nm_course *a, uint32_t at_a, const nm_course *b, uint32_t at_b, uint32_t count,
                   const nm_screen_limits *limits, nm_screen *out) {
    NM_DEBUG_ASSERT(count <= NM_SCREEN_STEPS);
    run(a, at_a, b, at_b, count, limits, out);
    const float *const of_a[8] = {a->x + at_a,     a->y + at_a,     a->vx + at_a,          a->vy + at_a,
                                  a->cos_h + at_a, a->sin_h + at_a, a->half_length + at_a, a->half_width + at_a};
    const float *const of_b[8] = {b->x + at_b,     b->y + at_b,     b->vx + at_b,          b->vy + at_b,
                                  b->cos_h + at_b, b->sin_h + at_b, b->half_length + at_b, b->half_width + at_b};
    // only where it can be so at all: most pairs move
    uint32_t last = count - 1;
    if (count < 2 || (of_a[0][last] != of_a[0][last - 1] && of_b[0][last] != of_b[0][last - 1])) return;
    for (uint32_t t = 1; t < count; t++) out->flags[t] |= NM_SCREEN_SAME;
    mark_same(of_a, of_b, count, out->flags);
}
