/// What kind of collision it was: where each was hit, how hard, and who struck.
#include "sim/metrics/pair.h"

#define REACH 1.0       // s, how far states may be from the contact
#define STANDING 0.05f  // m/s, nuPlan's stopped_speed_threshold for collisions
#define HEAD_ON_COS 0.5 // cos(60 degrees) between the contact normal and the box's axis
#define MOST_SHARE 0.8  // of the closing speed, to blame a side or rear for it

const char *nm_impact_name(nm_impact impact) {
    static const char *const names[] = {"none", "front", "rear", "side"};
    NM_ASSERT((unsigned)impact <= NM_IMPACT_SIDE);
    return names[impact];
}

const char *nm_fault_name(nm_fault fault) {
    static const char *const names[] = {"unknown", "first", "second", "both"};
    NM_ASSERT((unsigned)fault <= NM_FAULT_BOTH);
    return names[fault];
}

typedef struct contact {
    double time;   ///< s, relative to the states given
    double nx, ny; ///< unit normal from a to b
} contact;

/// The normal along axis k that points to b's side at `time`.
static contact contact_along(const nm_pair_axes *axes, int k, double vx, double vy, double time) {
    double side = axes->p[k] + (axes->x[k] * vx + axes->y[k] * vy) * time < 0.0 ? -1.0 : 1.0;
    return (contact){time, side * axes->x[k], side * axes->y[k]};
}

static contact find_contact(const nm_box *a, const nm_box *b, const nm_pair_axes *axes, double vx, double vy) {
    int overlap = nm_axes_overlap(axes, 0.0, 0.0);
    nm_interval contact_times = nm_sweep(axes, vx, vy, (nm_interval){overlap ? -REACH : 0.0, overlap ? 0.0 : REACH});
    if (contact_times.from <= contact_times.to && (!overlap || contact_times.from > -REACH)) {
        double latest = -INFINITY;
        int last = 0;
        for (int k = 0; k < 4; k++) {
            double v = axes->x[k] * vx + axes->y[k] * vy;
            double entry = v > 0.0   ? (-axes->e[k] - axes->p[k]) / v
                           : v < 0.0 ? (axes->e[k] - axes->p[k]) / v
                                     : -INFINITY;
            if (entry > latest) latest = entry, last = k;
        }
        return contact_along(axes, last, vx, vy, contact_times.from);
    }
    float time = 0.0f, distance;
    if (!overlap) nm_closest_approach(a, b, (float)REACH, &time, &distance);
    double largest = -INFINITY;
    int widest = 0;
    for (int k = 0; k < 4; k++) {
        double gap = fabs(axes->p[k] + (axes->x[k] * vx + axes->y[k] * vy) * time) - axes->e[k];
        if (gap > largest) largest = gap, widest = k;
    }
    return contact_along(axes, widest, vx, vy, time);
}

/// Centre of the area both boxes cover, each made a millimetre larger so that touching boxes cover some; relative to a.
static void middle_of_overlap(const nm_box *a, const nm_box *b, double dx, double dy, double *x, double *y) {
    const double skin = 1e-3;
    double bl = nm_half_length(b) + skin, bw = nm_half_width(b) + skin;
    double al = nm_half_length(a) + skin, aw = nm_half_width(a) + skin;
    nm_polygon polygon = {.count = 4};
    for (int i = 0; i < 4; i++) {
        double l = i == 1 || i == 2 ? -bl : bl, w = i >= 2 ? -bw : bw; // counter-clockwise
        polygon.x[i] = dx + b->cos_h * l - b->sin_h * w;
        polygon.y[i] = dy + b->sin_h * l + b->cos_h * w;
    }
    nm_polygon_clip(&polygon, a->cos_h, a->sin_h, al);
    nm_polygon_clip(&polygon, -a->cos_h, -a->sin_h, al);
    nm_polygon_clip(&polygon, -a->sin_h, a->cos_h, aw);
    nm_polygon_clip(&polygon, a->sin_h, -a->cos_h, aw);
    *x = 0.5 * dx, *y = 0.5 * dy; // nothing in common: they were never in contact
    if (polygon.count < 3) return;
    double area = 0.0, mx = 0.0, my = 0.0;
    for (int i = 1; i + 1 < polygon.count; i++) { // triangles around corner 0
        double ux = polygon.x[i] - polygon.x[0], uy = polygon.y[i] - polygon.y[0];
        double wx = polygon.x[i + 1] - polygon.x[0], wy = polygon.y[i + 1] - polygon.y[0];
        double twice = ux * wy - uy * wx;
        area += twice, mx += twice * (ux + wx), my += twice * (uy + wy);
    }
    *x = polygon.x[0], *y = polygon.y[0];
    if (area > 0.0) *x += mx / (3.0 * area), *y += my / (3.0 * area);
}

/// Which face of `box` looks along its outward contact normal.
static nm_impact impact_of(const nm_box *box, double nx, double ny) {
    double forward = box->cos_h * nx + box->sin_h * ny;
    return forward >= HEAD_ON_COS ? NM_IMPACT_FRONT : forward <= -HEAD_ON_COS ? NM_IMPACT_REAR : NM_IMPACT_SIDE;
}

static nm_fault fault_of(const nm_collision *collision, double speed_a, double speed_b, double push_a, double push_b) {
    int a_stands = speed_a <= STANDING, b_stands = speed_b <= STANDING;
    if (a_stands && b_stands) return NM_FAULT_UNKNOWN;
    if (a_stands || b_stands) return a_stands ? NM_FAULT_SECOND : NM_FAULT_FIRST;
    int a_strikes = collision->first_impact == NM_IMPACT_FRONT && push_a > 0.0;
    int b_strikes = collision->second_impact == NM_IMPACT_FRONT && push_b > 0.0;
    if (a_strikes && b_strikes) return NM_FAULT_BOTH;
    if (a_strikes || b_strikes) return a_strikes ? NM_FAULT_FIRST : NM_FAULT_SECOND;
    double closing = push_a + push_b;
    if (closing > 0.0 && push_a >= MOST_SHARE * closing) return NM_FAULT_FIRST;
    if (closing > 0.0 && push_b >= MOST_SHARE * closing) return NM_FAULT_SECOND;
    return NM_FAULT_UNKNOWN;
}

/// In cars; INFINITY = immovable.
static double mass_of(nm_agent_type type, const nm_criticality_params *params) {
    switch (type) {
    case NM_AGENT_TRUCK:
    case NM_AGENT_BUS:
        return params->mass_ratio_truck;
    case NM_AGENT_MOTORCYCLE:
        return 0.2;
    case NM_AGENT_CYCLIST:
    case NM_AGENT_PEDESTRIAN:
        return 0.05;
    case NM_AGENT_TRAIN:
    case NM_AGENT_OBSTACLE:
        return INFINITY;
    default:
        return 1.0;
    }
}

/// Share of the relative velocity that `self` takes in a plastic impact.
static double delta_share(double self, double other) {
    if (isinf(self)) return isinf(other) ? 0.5 : 0.0;
    return isinf(other) ? 1.0 : other / (self + other);
}

nm_collision nm_classify_collision(const nm_box *a, const nm_box *b, nm_agent_type type_a, nm_agent_type type_b,
                                   const nm_criticality_params *params) {
    nm_collision out = {.first = 0, .second = 1};
    nm_pair_axes axes = nm_pair_axes_of(a, b);
    double avx = a->vx, avy = a->vy, bvx = b->vx, bvy = b->vy;
    double vx = bvx - avx, vy = bvy - avy;
    contact hit = find_contact(a, b, &axes, vx, vy);
    out.first_impact = impact_of(a, hit.nx, hit.ny);
    out.second_impact = impact_of(b, -hit.nx, -hit.ny);
    double push_a = avx * hit.nx + avy * hit.ny, push_b = -(bvx * hit.nx + bvy * hit.ny);
    out.fault = fault_of(&out, sqrt(avx * avx + avy * avy), sqrt(bvx * bvx + bvy * bvy), push_a, push_b);
    out.impact_speed = nm_result(push_a + push_b);
    double relative = sqrt(vx * vx + vy * vy);
    double mass_a = mass_of(type_a, params), mass_b = mass_of(type_b, params);
    out.first_delta_v = nm_result(relative * delta_share(mass_a, mass_b));
    out.second_delta_v = nm_result(relative * delta_share(mass_b, mass_a));
    double x, y;
    middle_of_overlap(a, b, (double)b->x - a->x + vx * hit.time, (double)b->y - a->y + vy * hit.time, &x, &y);
    out.x = (float)(a->x + avx * hit.time + x);
    out.y = (float)(a->y + avy * hit.time + y);
    return out;
}
