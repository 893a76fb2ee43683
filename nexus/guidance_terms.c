#include "nexus/guidance_terms.h"

#include <math.h>

#define X NM_FIELD_X
#define Y NM_FIELD_Y
#define COS NM_FIELD_COS
#define SIN NM_FIELD_SIN
#define VX NM_FIELD_VX
#define VY NM_FIELD_VY

// ---------------------------------------------------------------------------------------------------------------------
// Agents apart

#define MOST_CIRCLES 8

/// Circles of one box: `count` of them, `pitch` apart, the first at `start` from the centre along the heading.
typedef struct circles {
    uint32_t count;
    double radius, start, pitch;
} circles;

static circles circles_of(double length, double width) {
    const double ratio = ceil(length / fmax(width, 0.1));
    const uint32_t count = ratio < 1.0 ? 1 : ratio > MOST_CIRCLES ? MOST_CIRCLES : (uint32_t)ratio;
    const double pitch = length / count;
    return (circles){count, 0.5 * sqrt(width * width + pitch * pitch), 0.5 * (pitch - length), pitch};
}

/// Adds -force on a circle `offset` along the heading of token n.
static void push_circle(uint32_t n, double offset, double fx, double fy, double *const gradient[NM_GUIDE_STATES]) {
    gradient[X][n] += fx;
    gradient[Y][n] += fy;
    gradient[COS][n] += offset * fx;
    gradient[SIN][n] += offset * fy;
}

static double overlap_of(const nm_guide_view *view, uint32_t a, uint32_t b, double margin,
                         double *const gradient[NM_GUIDE_STATES]) {
    double *const *q = view->state;
    const circles ca = circles_of(view->length[a], view->width[a]), cb = circles_of(view->length[b], view->width[b]);
    const double dx = q[X][a] - q[X][b], dy = q[Y][a] - q[Y][b];
    const double reach = ca.radius - ca.start + cb.radius - cb.start + margin;
    if (dx * dx + dy * dy >= 2.25 * reach * reach) return 0.0; // headings not yet of length 1 reach a little farther
    const double touch = ca.radius + cb.radius + margin;
    // a box deep in another meets about half of its circles twice: this keeps the curvature of the sum near 1
    const double weight = 0.5 / (ca.count + cb.count);
    double energy = 0.0;
    for (uint32_t i = 0; i < ca.count; i++) {
        const double oa = ca.start + i * ca.pitch, xa = dx + oa * q[COS][a], ya = dy + oa * q[SIN][a];
        for (uint32_t k = 0; k < cb.count; k++) {
            const double ob = cb.start + k * cb.pitch;
            const double ex = xa - ob * q[COS][b], ey = ya - ob * q[SIN][b];
            const double distance = sqrt(ex * ex + ey * ey + 1e-6); // smooth where two centres meet
            const double depth = touch - distance;
            if (depth <= 0.0) continue;
            const double force = -weight * depth / distance;
            energy += 0.5 * weight * depth * depth;
            push_circle(a, oa, force * ex, force * ey, gradient);
            push_circle(b, ob, -force * ex, -force * ey, gradient);
        }
    }
    return energy;
}

double nm_energy_overlap(const nm_guide_view *view, double margin, double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (uint32_t g = 0; g < view->group_count; g++) {
        const uint32_t end = view->group_offsets[g + 1];
        for (uint32_t i = view->group_offsets[g]; i < end; i++) {
            const uint32_t a = view->group_tokens[i];
            for (uint32_t k = i + 1; k < end; k++) {
                const uint32_t b = view->group_tokens[k];
                if (view->foe[a] == b || view->foe[b] == a) continue;
                if (!(view->fixed[a] & view->fixed[b])) energy += overlap_of(view, a, b, margin, gradient);
            }
        }
    }
    return energy;
}

// ---------------------------------------------------------------------------------------------------------------------
// On the road

double nm_energy_road(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (uint32_t n = 0; n < view->count; n++) {
        if (!view->on_lane[n]) continue;
        const double nx = -view->lane_sin[n], ny = view->lane_cos[n]; // to the left
        const double d = nx * (view->state[X][n] - view->lane_x[n]) + ny * (view->state[Y][n] - view->lane_y[n]);
        const double beyond = fabs(d) - view->lane_half[n];
        if (beyond <= 0.0) continue;
        energy += 0.5 * beyond * beyond;
        gradient[X][n] += d > 0.0 ? beyond * nx : -beyond * nx;
        gradient[Y][n] += d > 0.0 ? beyond * ny : -beyond * ny;
    }
    return energy;
}

// ---------------------------------------------------------------------------------------------------------------------
// Smooth

/// Square of the unit of a state in m.
static double unit2(const nm_guide_view *view, int field) {
    return field < COS ? 1.0 : field < VX ? NM_GUIDE_ARM * NM_GUIDE_ARM : view->dt * view->dt;
}

/// How many tokens there are on both sides of n, at most `most`; the first and last of them.
static uint32_t reach_of(const nm_guide_view *view, uint32_t n, uint32_t most, uint32_t *first) {
    uint32_t reach = 0, before = n, after = n;
    while (reach < most && view->previous[before] != NM_NONE && view->next[after] != NM_NONE) {
        before = view->previous[before];
        after = view->next[after];
        reach++;
    }
    *first = before;
    return reach;
}

double nm_energy_smooth(const nm_guide_view *view, uint32_t half, double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (uint32_t n = 0; n < view->count; n++) {
        uint32_t first;
        const uint32_t reach = reach_of(view, n, half, &first);
        if (!reach) continue;
        const double share = 1.0 / (2 * reach + 1);
        for (int f = 0; f < NM_GUIDE_STATES; f++) {
            double mean = 0.0;
            uint32_t at = first;
            for (uint32_t i = 0; i <= 2 * reach; i++, at = view->next[at]) mean += share * view->state[f][at];
            // 9/16: the largest a window can answer to a state that alternates is 4/3, squared
            const double off = view->state[f][n] - mean, pull = 9.0 / 16.0 * unit2(view, f) * off;
            energy += 0.5 * pull * off;
            gradient[f][n] += pull;
            at = first;
            for (uint32_t i = 0; i <= 2 * reach; i++, at = view->next[at]) gradient[f][at] -= share * pull;
        }
    }
    return energy;
}

// ---------------------------------------------------------------------------------------------------------------------
// Consistent

static double velocity_against_positions(const nm_guide_view *view, uint32_t a, uint32_t b,
                                         double *const gradient[NM_GUIDE_STATES]) {
    const double weight = 0.1; // 1 / (2^2 + 1^2) is the largest curvature; half of it for each of two terms
    double energy = 0.0;
    for (int axis = 0; axis < 2; axis++) {
        const double *p = view->state[X + axis], *v = view->state[VX + axis];
        const double off = p[b] - p[a] - 0.5 * view->dt * (v[a] + v[b]), pull = weight * off;
        energy += 0.5 * pull * off;
        gradient[X + axis][b] += pull;
        gradient[X + axis][a] -= pull;
        gradient[VX + axis][a] -= 0.5 * view->dt * pull;
        gradient[VX + axis][b] -= 0.5 * view->dt * pull;
    }
    return energy;
}

/// Sideways speed k = cos vy - sin vx, as the smaller of what turning (arm k / |v|) and what changing the velocity
/// (dt k) would take: k / sqrt(|v|^2 / arm^2 + 1 / dt^2).
static double heading_against_velocity(const nm_guide_view *view, uint32_t n, double *const gradient[NM_GUIDE_STATES]) {
    const double weight = 0.25, arm2 = NM_GUIDE_ARM * NM_GUIDE_ARM;
    const double c = view->state[COS][n], s = view->state[SIN][n], vx = view->state[VX][n], vy = view->state[VY][n];
    const double k = c * vy - s * vx;
    const double d2 = (vx * vx + vy * vy) / arm2 + 1.0 / (view->dt * view->dt), d = sqrt(d2);
    const double off = k / d, pull = weight * off, fall = k / (arm2 * d2 * d);
    gradient[COS][n] += pull * vy / d;
    gradient[SIN][n] -= pull * vx / d;
    gradient[VX][n] += pull * (-s / d - fall * vx);
    gradient[VY][n] += pull * (c / d - fall * vy);
    return 0.5 * pull * off;
}

static double heading_of_length_one(const nm_guide_view *view, uint32_t n, double *const gradient[NM_GUIDE_STATES]) {
    const double weight = 0.25;
    const double c = view->state[COS][n], s = view->state[SIN][n];
    const double off = 0.5 * NM_GUIDE_ARM * (c * c + s * s - 1.0), pull = weight * off;
    gradient[COS][n] += pull * NM_GUIDE_ARM * c;
    gradient[SIN][n] += pull * NM_GUIDE_ARM * s;
    return 0.5 * pull * off;
}

double nm_energy_consistent(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (uint32_t n = 0; n < view->count; n++) {
        if (view->next[n] != NM_NONE) energy += velocity_against_positions(view, n, view->next[n], gradient);
        energy += heading_against_velocity(view, n, gradient) + heading_of_length_one(view, n, gradient);
    }
    return energy;
}
