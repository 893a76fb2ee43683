/// The adversarial terms of guidance: where to meet the ego, how to get there, and what a vehicle can do.
#include "nexus/guidance_terms.h"

#include "sim/math.h"

#include <math.h>

#define X NM_FIELD_X
#define Y NM_FIELD_Y
#define COS NM_FIELD_COS
#define SIN NM_FIELD_SIN
#define VX NM_FIELD_VX
#define VY NM_FIELD_VY

// ---------------------------------------------------------------------------------------------------------------------
// What a vehicle can do

typedef struct vector {
    double x, y;
} vector;

static vector step_between(const nm_guide_view *view, uint32_t a, uint32_t b) {
    return (vector){view->state[X][b] - view->state[X][a], view->state[Y][b] - view->state[Y][a]};
}

/// Adds the gradient by the steps before and after `n`, g1 and g2, to the three positions.
static void add_steps(const nm_guide_view *view, uint32_t n, vector g1, vector g2,
                      double *const gradient[NM_GUIDE_STATES]) {
    const uint32_t before = view->previous[n], after = view->next[n];
    gradient[X][before] -= g1.x;
    gradient[Y][before] -= g1.y;
    gradient[X][n] += g1.x - g2.x;
    gradient[Y][n] += g1.y - g2.y;
    gradient[X][after] += g2.x;
    gradient[Y][after] += g2.y;
}

static double excess_acceleration(const nm_guide_view *view, uint32_t n, double limit,
                                  double *const gradient[NM_GUIDE_STATES]) {
    const double weight = 1.0 / 16.0; // (1, -2, 1) answers to an alternating path with 4
    const vector d1 = step_between(view, view->previous[n], n), d2 = step_between(view, n, view->next[n]);
    const vector a = {d2.x - d1.x, d2.y - d1.y};
    const double size = sqrt(a.x * a.x + a.y * a.y), off = size - limit * view->dt * view->dt;
    if (off <= 0.0) return 0.0;
    const double pull = weight * off / size;
    add_steps(view, n, (vector){-pull * a.x, -pull * a.y}, (vector){pull * a.x, pull * a.y}, gradient);
    return 0.5 * weight * off * off;
}

/// With m the mean step: the offset across the path |d1 x d2| / m, against curvature times m^2.
static double excess_curvature(const nm_guide_view *view, uint32_t n, double limit,
                               double *const gradient[NM_GUIDE_STATES]) {
    const double weight = 1.0 / 16.0;
    const vector d1 = step_between(view, view->previous[n], n), d2 = step_between(view, n, view->next[n]);
    const double cross = d1.x * d2.y - d1.y * d2.x, side = cross < 0.0 ? -1.0 : 1.0;
    const double m2 = 0.5 * (d1.x * d1.x + d1.y * d1.y + d2.x * d2.x + d2.y * d2.y) + 1e-6, m = sqrt(m2);
    const double off = side * cross / m - limit * m2;
    if (off <= 0.0) return 0.0;
    const double pull = weight * off, turn = side / m, fall = side * cross / (2.0 * m2 * m) + limit;
    const vector g1 = {pull * (turn * d2.y - fall * d1.x), pull * (-turn * d2.x - fall * d1.y)};
    const vector g2 = {pull * (-turn * d1.y - fall * d2.x), pull * (turn * d1.x - fall * d2.y)};
    add_steps(view, n, g1, g2, gradient);
    return 0.5 * weight * off * off;
}

double nm_energy_kinematic(const nm_guide_view *view, uint32_t first, double max_acceleration, double max_curvature,
                           double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (uint32_t n = first; n != NM_NONE; n = view->next[n]) {
        if (view->previous[n] == NM_NONE || view->next[n] == NM_NONE) continue;
        energy += excess_acceleration(view, n, max_acceleration, gradient);
        energy += excess_curvature(view, n, max_curvature, gradient);
    }
    return energy;
}

// ---------------------------------------------------------------------------------------------------------------------
// Where to meet

/// Heading of a token with length 1; along x when it has none.
static vector heading_of(const nm_guide_view *view, uint32_t n) {
    const double c = view->state[COS][n], s = view->state[SIN][n], size = sqrt(c * c + s * s);
    return size > 1e-6 ? (vector){c / size, s / size} : (vector){1.0, 0.0};
}

static vector turned(vector v, double angle) {
    const double c = cos(angle), s = sin(angle);
    return (vector){v.x * c - v.y * s, v.x * s + v.y * c};
}

nm_conflict_target nm_conflict_target_of(const nm_guide_view *view, const nm_adversary *what, uint32_t ego,
                                         uint32_t adversary, uint32_t ego_from, uint32_t from) {
    const vector h = heading_of(view, ego), h0 = heading_of(view, ego_from), apart = step_between(view, ego_from, from);
    const double side = h0.x * apart.y - h0.y * apart.x >= 0.0 ? 1.0 : -1.0; // +1: it comes from the left
    const double bumpers = 0.5 * (view->length[ego] + view->length[adversary]);
    const double speed =
        sqrt(view->state[VX][ego] * view->state[VX][ego] + view->state[VY][ego] * view->state[VY][ego]);
    double ahead = bumpers, left = 0.0, angle = 0.0, meet = -1.0;
    switch (what->aim) {
    case NM_AIM_REAR_END:
        meet = fmax(0.0, speed - (double)what->closing_speed);
        break;
    case NM_AIM_CUT_IN: // a quarter of the ego's width not in yet, at 6 degrees
        left = 0.25 * side * view->width[ego];
        angle = -0.1 * side;
        meet = fmax(0.0, speed - (double)what->closing_speed);
        break;
    case NM_AIM_CROSSING:
        ahead = 0.0;
        left = 0.5 * side * (view->width[ego] + view->length[adversary]);
        angle = -0.5 * NM_PI * side;
        break;
    case NM_AIM_HEAD_ON:
    case NM_AIM_COUNT:
        angle = NM_PI;
        break;
    }
    const vector facing = turned(h, angle);
    return (nm_conflict_target){view->state[X][ego] + ahead * h.x - left * h.y,
                                view->state[Y][ego] + ahead * h.y + left * h.x, facing.x, facing.y, meet};
}

double nm_energy_conflict(const nm_guide_view *view, uint32_t first, uint32_t contact, const nm_conflict_target *target,
                          double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    uint32_t steps = 0;
    for (uint32_t n = contact;; n = view->previous[n], steps++) {
        const double s = steps * view->dt, weight = 1.0 / (1.0 + (double)steps * steps);
        const double ex = view->state[X][n] + s * view->state[VX][n] - target->x;
        const double ey = view->state[Y][n] + s * view->state[VY][n] - target->y;
        energy += 0.5 * weight * (ex * ex + ey * ey);
        gradient[X][n] += weight * ex;
        gradient[Y][n] += weight * ey;
        gradient[VX][n] += weight * s * ex;
        gradient[VY][n] += weight * s * ey;
        if (n == first) break;
    }
    const double arm2 = NM_GUIDE_ARM * NM_GUIDE_ARM, dt2 = view->dt * view->dt;
    const double dc = view->state[COS][contact] - target->cos_h, ds = view->state[SIN][contact] - target->sin_h;
    energy += 0.5 * arm2 * (dc * dc + ds * ds);
    gradient[COS][contact] += arm2 * dc;
    gradient[SIN][contact] += arm2 * ds;
    if (target->speed < 0.0) return energy;
    const double dvx = view->state[VX][contact] - target->speed * target->cos_h;
    const double dvy = view->state[VY][contact] - target->speed * target->sin_h;
    gradient[VX][contact] += dt2 * dvx;
    gradient[VY][contact] += dt2 * dvy;
    return energy + 0.5 * dt2 * (dvx * dvx + dvy * dvy);
}

#define LOCAL 0.1

void nm_spread_conflict(const nm_guide_view *view, uint32_t first, uint32_t contact,
                        double *const gradient[NM_GUIDE_STATES]) {
    uint32_t base = contact, tokens = 0; // tokens that may move, up to the contact
    while (!view->fixed[base] && base != first) {
        base = view->previous[base];
        tokens++;
    }
    if (!tokens) return;
    // Along the displacement r = (k / K)^2, r' = 2 k / (K^2 dt), a token that is s before the contact moves its miss by
    // r
    // + s r' <= 1; the weights of the misses sum up to less than 2.1, and the speed adds (2 / K)^2.
    const double span = tokens, curvature = 2.1 + 4.0 / (span * span);
    for (int axis = 0; axis < 2; axis++) {
        double *gp = gradient[X + axis], *gv = gradient[VX + axis], slope = 0.0;
        uint32_t n = base;
        for (uint32_t k = 0; k <= tokens; k++, n = view->next[n]) {
            slope += k * k / (span * span) * gp[n] + 2.0 * k / (span * span * view->dt) * gv[n];
            gp[n] *= LOCAL;
            gv[n] *= LOCAL;
            if (n == contact) break;
        }
        const double c = slope / curvature;
        n = base;
        for (uint32_t k = 0; n != NM_NONE; k++, n = view->next[n]) { // past the contact in a straight line
            const double share = k <= tokens ? k * k / (span * span) : 2.0 * k / span - 1.0;
            const double rate = 2.0 * (k <= tokens ? k / span : 1.0) / (span * view->dt);
            gp[n] += share * c;
            gv[n] += view->dt * view->dt * rate * c;
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Drivable paths

/// A step of the path: its length and direction.
typedef struct stride {
    double length;
    vector along;
} stride;

#define STANDING 1e-3 ///< m in a step

/// The step nearest to the wish d that the limits allow after `last`. The turn is limited for the shortest and the
/// fastest step that might come of it, so that the limits hold whichever it is.
static stride allowed_step(stride last, vector d, const nm_adversary *limits, double dt) {
    const double dt2 = dt * dt;
    const double shortest = fmax(0.0, last.length - (double)limits->max_braking * dt2);
    const double longest = last.length + (double)limits->max_acceleration * dt2;
    const double most = fmin((double)limits->max_curvature * 0.5 * (last.length + shortest),
                             (double)limits->max_lateral * dt2 / fmax(longest, 1e-3));
    const double across = last.along.x * d.y - last.along.y * d.x, along = last.along.x * d.x + last.along.y * d.y;
    const double wish = across * across + along * along > STANDING * STANDING ? atan2(across, along) : 0.0;
    stride next;
    next.along = turned(last.along, fmax(-most, fmin(most, wish)));
    next.length = fmax(shortest, fmin(longest, next.along.x * d.x + next.along.y * d.y));
    if (next.length <= STANDING) next.along = last.along; // who stands does not turn
    return next;
}

/// Heading and velocity of token n between the steps before and after it.
static void set_motion(nm_guide_view *view, uint32_t n, stride before, stride after, uint8_t *touched) {
    vector h = {before.along.x + after.along.x, before.along.y + after.along.y};
    const double size = sqrt(h.x * h.x + h.y * h.y), speed = 0.5 * (before.length + after.length) / view->dt;
    h = size > 1e-6 ? (vector){h.x / size, h.y / size} : after.along;
    view->state[COS][n] = h.x;
    view->state[SIN][n] = h.y;
    view->state[VX][n] = speed * h.x;
    view->state[VY][n] = speed * h.y;
    touched[n] = 1;
}

void nm_make_drivable(nm_guide_view *view, uint32_t first, const nm_adversary *limits, const uint8_t *clean,
                      uint8_t *touched) {
    const vector v = {view->state[VX][first], view->state[VY][first]};
    stride last = {sqrt(v.x * v.x + v.y * v.y) * view->dt, heading_of(view, first)};
    for (uint32_t n = first; view->next[n] != NM_NONE; n = view->next[n]) {
        const uint32_t after = view->next[n];
        const vector d = step_between(view, n, after);
        stride next;
        if (clean[after]) {
            const double size = sqrt(d.x * d.x + d.y * d.y);
            next = (stride){size, size > 1e-2 ? (vector){d.x / size, d.y / size} : last.along};
        } else {
            next = allowed_step(last, d, limits, view->dt);
            view->state[X][after] = view->state[X][n] + next.length * next.along.x;
            view->state[Y][after] = view->state[Y][n] + next.length * next.along.y;
            set_motion(view, after, next, next, touched);
        }
        if (!clean[n] && n != first) set_motion(view, n, last, next, touched);
        last = next;
    }
}
