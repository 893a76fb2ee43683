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

typedef struct vector {
    double x, y;
} vector;

static double dot(vector a, vector b) {
    return a.x * b.x + a.y * b.y;
}
static vector left_of(vector a) {
    return (vector){-a.y, a.x};
}
static vector right_of(vector a) {
    return (vector){a.y, -a.x};
}
static vector plus(vector a, double factor, vector b) {
    return (vector){a.x + factor * b.x, a.y + factor * b.y};
}
/// |x|, rounded off at 0.
static double size_of(double x) {
    return sqrt(x * x + 4e-4);
}

/// One of the four directions that may separate two boxes, and how deep they are in each other along it.
typedef struct separation {
    double depth;
    vector by_apart, by_own, by_other; ///< gradient by a - b, by the heading of the axis's box, by the other heading
} separation;

/// Along (0) or across (1) the box of heading `own` and half size `half`, the other being of `length` and `width`.
static separation axis_of(vector apart, vector own, int across, double half, vector other, double length,
                          double width) {
    const vector n = across ? left_of(own) : own;
    const double p = dot(apart, n), lengthwise = dot(other, n), sideways = dot(left_of(other), n);
    const double reach = half + 0.5 * (length * size_of(lengthwise) + width * size_of(sideways));
    const double by_p = -p / size_of(p);
    const double by_length = 0.5 * length * lengthwise / size_of(lengthwise);
    const double by_width = 0.5 * width * sideways / size_of(sideways);
    const vector by_n =
        plus(plus((vector){by_p * apart.x, by_p * apart.y}, by_length, other), by_width, left_of(other));
    return (separation){.depth = reach - size_of(p),
                        .by_apart = {by_p * n.x, by_p * n.y},
                        .by_own = across ? right_of(by_n) : by_n,
                        .by_other = plus((vector){by_length * n.x, by_length * n.y}, by_width, right_of(n))};
}

static vector heading_of(const nm_guide_view *view, uint32_t n, double *size) {
    const double c = view->state[COS][n], s = view->state[SIN][n];
    *size = sqrt(c * c + s * s + 1e-12);
    return (vector){c / *size, s / *size};
}

/// The gradient by a heading made that by (cos, sin) of any size.
static void turn(uint32_t n, vector heading, double size, vector g, double *const gradient[NM_GUIDE_STATES]) {
    const double along = dot(g, heading);
    gradient[COS][n] += (g.x - along * heading.x) / size;
    gradient[SIN][n] += (g.y - along * heading.y) / size;
}

#define SIDEWAYS 0.25 ///< 1 / 2^2: a depth across a box counts as twice that along it, when the way out is chosen

static double overlap_of(const nm_guide_view *view, uint32_t a, uint32_t b, double margin,
                         double *const gradient[NM_GUIDE_STATES]) {
    double *const *q = view->state;
    const double la = view->length[a], wa = view->width[a], lb = view->length[b], wb = view->width[b];
    const vector apart = {q[X][a] - q[X][b], q[Y][a] - q[Y][b]};
    double size_a, size_b;
    const vector ha = heading_of(view, a, &size_a), hb = heading_of(view, b, &size_b);
    const separation axes[4] = {
        axis_of(apart, ha, 0, 0.5 * la + margin, hb, lb, wb), axis_of(apart, ha, 1, 0.5 * wa + margin, hb, lb, wb),
        axis_of(apart, hb, 0, 0.5 * lb + margin, ha, la, wa), axis_of(apart, hb, 1, 0.5 * wb + margin, ha, la, wa)};
    double sum = 0.0;
    for (int i = 0; i < 4; i++) {
        if (axes[i].depth <= 1e-9) return 0.0;
        sum += (i % 2 ? SIDEWAYS : 1.0) / (axes[i].depth * axes[i].depth);
    }
    const double energy = 0.25 * (2.0 + 2.0 * SIDEWAYS) / sum;
    vector by_apart = {0}, by_a = {0}, by_b = {0};
    for (int i = 0; i < 4; i++) {
        const double depth3 = axes[i].depth * axes[i].depth * axes[i].depth;
        const double slope = energy / sum * 2.0 * (i % 2 ? SIDEWAYS : 1.0) / depth3;
        by_apart = plus(by_apart, slope, axes[i].by_apart);
        by_a = plus(by_a, slope, i < 2 ? axes[i].by_own : axes[i].by_other);
        by_b = plus(by_b, slope, i < 2 ? axes[i].by_other : axes[i].by_own);
    }
    gradient[X][a] += by_apart.x;
    gradient[Y][a] += by_apart.y;
    gradient[X][b] -= by_apart.x;
    gradient[Y][b] -= by_apart.y;
    turn(a, ha, size_a, by_a, gradient);
    turn(b, hb, size_b, by_b, gradient);
    return energy;
}

double nm_energy_overlap(const nm_guide_view *view, double margin, double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    // places and reaches in the order of the groups: almost all pairs are far apart, and seen to be so in one sweep
    double *x = view->scratch[0], *y = view->scratch[1], *reach = view->scratch[2];
    for (uint32_t i = 0; i < view->count; i++) {
        const uint32_t n = view->group_tokens[i];
        x[i] = view->state[X][n];
        y[i] = view->state[Y][n];
        reach[i] = 0.5 * (view->length[n] + view->width[n] + margin) + 0.25; // 0.25: what size_of rounds off, and more
    }
    for (uint32_t g = 0; g < view->group_count; g++) {
        const uint32_t end = view->group_offsets[g + 1];
        for (uint32_t i = view->group_offsets[g]; i < end; i++) {
            const uint32_t a = view->group_tokens[i];
            for (uint32_t k = i + 1; k < end; k++) {
                const double dx = x[k] - x[i], dy = y[k] - y[i], near = reach[i] + reach[k];
                if (NM_LIKELY(dx * dx + dy * dy >= near * near)) continue;
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
