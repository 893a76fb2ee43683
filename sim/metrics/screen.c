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
    return (!(from > to) & !(from > horizon * 1.001f)) ? from - 1e-5f * (1.0f + from) : INFINITY;
}

/// See lateral_reach in following.c.
INLINE float reach_of(float v, const nm_screen_limits *limits) {
    float after = v + limits->rho * limits->lateral_accel;
    return 0.5f * (v + after) * limits->rho + after * magnitude(after) * limits->lateral_per_brake;
}

nm_screen_limits nm_screen_limits_of(const nm_criticality_params *params, float max_range) {
    nm_screen_limits limits = {
        .range = max_range,
        .horizon = nm_maxf(params->ttc_horizon, 0.0f),
        .box_horizon = nm_maxf(params->box_horizon, 0.0f),
        .rho = params->rss_reaction,
        .lateral_accel = params->rss_lateral_accel_max,
        .lateral_per_brake = 0.5f / params->rss_lateral_brake_min,
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
    const float *a_speed = a->speed + at_a, *b_speed = b->speed + at_b;
    const uint32_t *a_same = a->same + at_a, *b_same = b->same + at_b;
    const nm_screen_limits limit = *limits;
    const float range_squared = limit.range * limit.range;
    // what differences of positions, products and times may be wrong by
    const float slack = 1e-3f + 4e-6f * (2.0f * limit.range + a->most_extent + b->most_extent) +
                        2e-6f * limit.horizon * (a->most_speed + b->most_speed);
    for (uint32_t t = 0; t < count; t++) {
        float dx = bx[t] - ax[t], dy = by[t] - ay[t], vx = bvx[t] - avx[t], vy = bvy[t] - avy[t];
        float c = ac[t] * bc[t] + as[t] * bs[t], s = ac[t] * bs[t] - as[t] * bc[t];
        float cm = magnitude(c), sm = magnitude(s);
        float e0 = al[t] + cm * bl[t] + sm * bw[t] + slack, e1 = aw[t] + sm * bl[t] + cm * bw[t] + slack;
        float e2 = bl[t] + cm * al[t] + sm * aw[t] + slack, e3 = bw[t] + sm * al[t] + cm * aw[t] + slack;
        float p0 = ac[t] * dx + as[t] * dy, p1 = ac[t] * dy - as[t] * dx;
        float p2 = bc[t] * dx + bs[t] * dy, p3 = bc[t] * dy - bs[t] * dx;
        axis k0 = axis_of(p0, ac[t] * vx + as[t] * vy, e0), k1 = axis_of(p1, ac[t] * vy - as[t] * vx, e1);
        axis k2 = axis_of(p2, bc[t] * vx + bs[t] * vy, e2), k3 = axis_of(p3, bc[t] * vy - bs[t] * vx, e3);
        uint32_t in_range = dx * dx + dy * dy <= range_squared ? NM_SCREEN_IN_RANGE : 0u;

        // b lies in the rectangle around it along a's axes, and the reverse
        float m0 = magnitude(p0) - e0, m1 = magnitude(p1) - e1, m2 = magnitude(p2) - e2, m3 = magnitude(p3) - e3;
        float distance =
            nm_maxf(nm_hypotf(nm_maxf(m0, 0.0f), nm_maxf(m1, 0.0f)), nm_hypotf(nm_maxf(m2, 0.0f), nm_maxf(m3, 0.0f)));
        // the same with the gap along each axis the least of all times; or the gap square to the relative velocity,
        // which is the same at all times
        float n0 = nm_maxf(closest_along(k0, limit.horizon), 0.0f),
              n1 = nm_maxf(closest_along(k1, limit.horizon), 0.0f);
        float n2 = nm_maxf(closest_along(k2, limit.horizon), 0.0f),
              n3 = nm_maxf(closest_along(k3, limit.horizon), 0.0f);
        float extents = al[t] * k1.v + aw[t] * k0.v + bl[t] * k3.v + bw[t] * k2.v;
        float beside_way = (magnitude(vx * dy - vy * dx) - extents) / nm_maxf(nm_hypotf(vx, vy), 1e-9f) - slack;
        float approach = nm_maxf(nm_maxf(nm_hypotf(n0, n1), nm_hypotf(n2, n3)), beside_way);
        float ttc = first_contact(k0, k1, k2, k3, limit.horizon);
        out->distance[t] = in_range ? distance * 0.999999f : INFINITY;
        out->approach[t] = in_range ? approach * 0.999999f : INFINITY;
        out->ttc[t] = in_range ? ttc : INFINITY;

        // both at their speeds along their headings
        float sa = a_speed[t], sb = b_speed[t];
        axis w0 = axis_of(p0, sb * c - sa, e0), w1 = axis_of(p1, sb * s, e1);
        axis w2 = axis_of(p2, sb - sa * c, e2), w3 = axis_of(p3, sa * s, e3);
        float projected = first_contact(w0, w1, w2, w3, limit.box_horizon);
        out->projected[t] = in_range ? projected : INFINITY;

        uint32_t alike = c >= limit.follow_cos ? NM_SCREEN_A_FOLLOWS | NM_SCREEN_B_FOLLOWS : 0u;
        uint32_t a_follows = ((p0 > e0 - 2.0f * slack) & (m1 < 0.0f)) ? NM_SCREEN_A_FOLLOWS : 0u;
        uint32_t b_follows = ((-p2 > e2 - 2.0f * slack) & (m3 < 0.0f)) ? NM_SCREEN_B_FOLLOWS : 0u;

        // across the bisector of the headings; half is the cosine of half the angle between them
        float sign = c < 0.0f ? -1.0f : 1.0f, norm = sqrtf(2.0f + 2.0f * cm), half = 0.5f * norm, inverse = 1.0f / norm;
        float half_sine = sm * inverse, across = (p1 + sign * p3) * inverse;
        float towards = across < 0.0f ? -inverse : inverse; // the other side
        float nx = as[t] + sign * bs[t], ny = ac[t] + sign * bc[t];
        float one = reach_of(towards * (ny * avy[t] - nx * avx[t]), &limit);
        float other = reach_of(towards * (nx * bvx[t] - ny * bvy[t]), &limit);
        float safe = limit.lateral_margin + nm_maxf(one + other, 0.0f) + 1e-5f * (magnitude(one) + magnitude(other));
        float aside = magnitude(across) - half * (aw[t] + bw[t]) - half_sine * (al[t] + bl[t]) - 4.0f * slack;
        // which side is uncertain where the centres are in line
        uint32_t beside = (!(aside > safe) | (magnitude(across) < slack)) ? NM_SCREEN_RSS : 0u;
        uint32_t rss = cm >= limit.follow_cos ? beside : 0u;
        uint32_t same = a_same[t] & b_same[t] & NM_SCREEN_SAME;
        out->flags[t] = in_range ? in_range | (alike & (a_follows | b_follows)) | rss | same : 0u;
    }
}

/// Eight minima side by side: the order of a single one would forbid vectors.
INLINE float least(const float *values) {
    float of[8];
    for (int j = 0; j < 8; j++) of[j] = values[j];
    for (int t = 8; t < NM_SCREEN_STEPS; t += 8)
        for (int j = 0; j < 8; j++) of[j] = nm_minf(values[t + j], of[j]);
    for (int j = 1; j < 8; j++) of[0] = nm_minf(of[j], of[0]);
    return of[0];
}

NM_TARGET_CLONES static void sum_up(nm_screen *out) {
    out->least_distance = least(out->distance);
    out->least_ttc = least(out->ttc);
    out->least_projected = least(out->projected);
    out->least_approach = least(out->approach);
    uint32_t any = 0;
    for (uint32_t t = 0; t < NM_SCREEN_STEPS; t++) any |= out->flags[t];
    out->any_flags = any;
}

void nm_screen_run(const nm_course *a, uint32_t at_a, const nm_course *b, uint32_t at_b, uint32_t count,
                   const nm_screen_limits *limits, nm_screen *out) {
    NM_DEBUG_ASSERT(count <= NM_SCREEN_STEPS);
    uint32_t whole = (count + NM_COURSE_PAD - 1) / NM_COURSE_PAD * NM_COURSE_PAD; // vectors, no single steps
    run(a, at_a, b, at_b, whole, limits, out);
    for (uint32_t t = count; t < NM_SCREEN_STEPS; t++) {
        out->distance[t] = out->ttc[t] = out->projected[t] = out->approach[t] = INFINITY;
        out->flags[t] = 0;
    }
    sum_up(out);
}
