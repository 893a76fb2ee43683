/// The adversarial formulas of guidance: where to meet the ego, how to get there, and what a vehicle can do. As
/// guidance_inline.h; what the functions do is described in guidance_terms.h.
#ifndef NM_NEXUS_GUIDANCE_PATHS_H
#define NM_NEXUS_GUIDANCE_PATHS_H

#include "nexus/guidance_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------------------------------------------------------------
// What a vehicle can do

/// Adds the gradient by the steps before and after `n`, g1 and g2, to the three positions.
NM_HOST_DEVICE static inline void nm_guide_add_steps(const nm_guide_view *view, uint32_t n, nm_guide_vector g1,
                                                     nm_guide_vector g2, double *const gradient[NM_GUIDE_STATES]) {
    const uint32_t before = view->previous[n], after = view->next[n];
    gradient[NM_FIELD_X][before] -= g1.x;
    gradient[NM_FIELD_Y][before] -= g1.y;
    gradient[NM_FIELD_X][n] += g1.x - g2.x;
    gradient[NM_FIELD_Y][n] += g1.y - g2.y;
    gradient[NM_FIELD_X][after] += g2.x;
    gradient[NM_FIELD_Y][after] += g2.y;
}

NM_HOST_DEVICE static inline double nm_guide_excess_acceleration(const nm_guide_view *view, uint32_t n, double limit,
                                                                 double *const gradient[NM_GUIDE_STATES]) {
    const double weight = 1.0 / 16.0; // (1, -2, 1) answers to an alternating path with 4
    const nm_guide_vector d1 = nm_guide_step_between(view, view->previous[n], n),
                          d2 = nm_guide_step_between(view, n, view->next[n]);
    const nm_guide_vector a = {d2.x - d1.x, d2.y - d1.y};
    const double size = sqrt(a.x * a.x + a.y * a.y), off = size - limit * view->dt * view->dt;
    if (off <= 0.0) return 0.0;
    const double pull = weight * off / size;
    nm_guide_add_steps(view, n, (nm_guide_vector){-pull * a.x, -pull * a.y}, (nm_guide_vector){pull * a.x, pull * a.y},
                       gradient);
    return 0.5 * weight * off * off;
}

/// With m the mean step: the offset across the path |d1 x d2| / m, against curvature times m^2.
NM_HOST_DEVICE static inline double nm_guide_excess_curvature(const nm_guide_view *view, uint32_t n, double limit,
                                                              double *const gradient[NM_GUIDE_STATES]) {
    const double weight = 1.0 / 16.0;
    const nm_guide_vector d1 = nm_guide_step_between(view, view->previous[n], n),
                          d2 = nm_guide_step_between(view, n, view->next[n]);
    const double cross = d1.x * d2.y - d1.y * d2.x, side = cross < 0.0 ? -1.0 : 1.0;
    const double m2 = 0.5 * (d1.x * d1.x + d1.y * d1.y + d2.x * d2.x + d2.y * d2.y) + 1e-6, m = sqrt(m2);
    const double off = side * cross / m - limit * m2;
    if (off <= 0.0) return 0.0;
    const double pull = weight * off, turn = side / m, fall = side * cross / (2.0 * m2 * m) + limit;
    const nm_guide_vector g1 = {pull * (turn * d2.y - fall * d1.x), pull * (-turn * d2.x - fall * d1.y)};
    const nm_guide_vector g2 = {pull * (-turn * d1.y - fall * d2.x), pull * (turn * d1.x - fall * d2.y)};
    nm_guide_add_steps(view, n, g1, g2, gradient);
    return 0.5 * weight * off * off;
}

NM_HOST_DEVICE static inline double nm_guide_kinematic(const nm_guide_view *view, uint32_t first,
                                                       double max_acceleration, double max_curvature,
                                                       double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (uint32_t n = first; n != NM_NONE; n = view->next[n]) {
        if (view->previous[n] == NM_NONE || view->next[n] == NM_NONE) continue;
        energy += nm_guide_excess_acceleration(view, n, max_acceleration, gradient);
        energy += nm_guide_excess_curvature(view, n, max_curvature, gradient);
    }
    return energy;
}

// ---------------------------------------------------------------------------------------------------------------------
// Where to meet

/// Heading of a token with length 1; along x when it has none.
NM_HOST_DEVICE static inline nm_guide_vector nm_guide_heading_of(const nm_guide_view *view, uint32_t n) {
    const double c = view->state[NM_FIELD_COS][n], s = view->state[NM_FIELD_SIN][n], size = sqrt(c * c + s * s);
    return size > 1e-6 ? (nm_guide_vector){c / size, s / size} : (nm_guide_vector){1.0, 0.0};
}

NM_HOST_DEVICE static inline nm_guide_vector nm_guide_turned(nm_guide_vector v, double angle) {
    const double c = cos(angle), s = sin(angle);
    return (nm_guide_vector){v.x * c - v.y * s, v.x * s + v.y * c};
}

NM_HOST_DEVICE static inline nm_conflict_target nm_guide_target_of(const nm_guide_view *view, const nm_adversary *what,
                                                                   uint32_t ego, uint32_t adversary, uint32_t ego_from,
                                                                   uint32_t from) {
    const nm_guide_vector h = nm_guide_heading_of(view, ego), h0 = nm_guide_heading_of(view, ego_from),
                          apart = nm_guide_step_between(view, ego_from, from);
    const double side = h0.x * apart.y - h0.y * apart.x >= 0.0 ? 1.0 : -1.0; // +1: it comes from the left
    const double bumpers = 0.5 * (view->length[ego] + view->length[adversary]);
    const double speed = sqrt(view->state[NM_FIELD_VX][ego] * view->state[NM_FIELD_VX][ego] +
                              view->state[NM_FIELD_VY][ego] * view->state[NM_FIELD_VY][ego]);
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
    const nm_guide_vector facing = nm_guide_turned(h, angle);
    return (nm_conflict_target){view->state[NM_FIELD_X][ego] + ahead * h.x - left * h.y,
                                view->state[NM_FIELD_Y][ego] + ahead * h.y + left * h.x, facing.x, facing.y, meet};
}

NM_HOST_DEVICE static inline double nm_guide_conflict(const nm_guide_view *view, uint32_t first, uint32_t contact,
                                                      const nm_conflict_target *target,
                                                      double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    uint32_t steps = 0;
    for (uint32_t n = contact;; n = view->previous[n], steps++) {
        const double s = steps * view->dt, weight = 1.0 / (1.0 + (double)steps * steps);
        const double ex = view->state[NM_FIELD_X][n] + s * view->state[NM_FIELD_VX][n] - target->x;
        const double ey = view->state[NM_FIELD_Y][n] + s * view->state[NM_FIELD_VY][n] - target->y;
        energy += 0.5 * weight * (ex * ex + ey * ey);
        gradient[NM_FIELD_X][n] += weight * ex;
        gradient[NM_FIELD_Y][n] += weight * ey;
        gradient[NM_FIELD_VX][n] += weight * s * ex;
        gradient[NM_FIELD_VY][n] += weight * s * ey;
        if (n == first) break;
    }
    const double arm2 = NM_GUIDE_ARM * NM_GUIDE_ARM, dt2 = view->dt * view->dt;
    const double dc = view->state[NM_FIELD_COS][contact] - target->cos_h,
                 ds = view->state[NM_FIELD_SIN][contact] - target->sin_h;
    energy += 0.5 * arm2 * (dc * dc + ds * ds);
    gradient[NM_FIELD_COS][contact] += arm2 * dc;
    gradient[NM_FIELD_SIN][contact] += arm2 * ds;
    if (target->speed < 0.0) return energy;
    const double dvx = view->state[NM_FIELD_VX][contact] - target->speed * target->cos_h;
    const double dvy = view->state[NM_FIELD_VY][contact] - target->speed * target->sin_h;
    gradient[NM_FIELD_VX][contact] += dt2 * dvx;
    gradient[NM_FIELD_VY][contact] += dt2 * dvy;
    return energy + 0.5 * dt2 * (dvx * dvx + dvy * dvy);
}

#define NM_GUIDE_LOCAL 0.1

NM_HOST_DEVICE static inline void nm_guide_spread(const nm_guide_view *view, uint32_t first, uint32_t contact,
                                                  double *const gradient[NM_GUIDE_STATES]) {
    uint32_t base = contact, tokens = 0; // tokens that may move, up to the contact
    while (!view->fixed[base] && base != first) {
        base = view->previous[base];
        tokens++;
    }
    if (!tokens) return;
    // Along the displacement r = (k / K)^2, r' = 2 k / (K^2 dt), a token that is s before the contact moves its miss by
    // r + s r' <= 1; the weights of the misses sum up to less than 2.1, and the speed adds (2 / K)^2.
    const double span = tokens, curvature = 2.1 + 4.0 / (span * span);
    for (int axis = 0; axis < 2; axis++) {
        double *gp = gradient[NM_FIELD_X + axis], *gv = gradient[NM_FIELD_VX + axis], slope = 0.0;
        uint32_t n = base;
        for (uint32_t k = 0; k <= tokens; k++, n = view->next[n]) {
            slope += k * k / (span * span) * gp[n] + 2.0 * k / (span * span * view->dt) * gv[n];
            gp[n] *= NM_GUIDE_LOCAL;
            gv[n] *= NM_GUIDE_LOCAL;
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
typedef struct nm_guide_stride {
    double length;
    nm_guide_vector along;
} nm_guide_stride;

#define NM_GUIDE_STANDING 1e-3 ///< m in a step

/// The step nearest to the wish d that the limits allow after `last`. The turn is limited for the shortest and the
/// fastest step that might come of it, so that the limits hold whichever it is.
NM_HOST_DEVICE static inline nm_guide_stride nm_guide_allowed_step(nm_guide_stride last, nm_guide_vector d,
                                                                   const nm_adversary *limits, double dt) {
    const double dt2 = dt * dt;
    const double shortest = fmax(0.0, last.length - (double)limits->max_braking * dt2);
    const double longest = last.length + (double)limits->max_acceleration * dt2;
    const double most = fmin((double)limits->max_curvature * 0.5 * (last.length + shortest),
                             (double)limits->max_lateral * dt2 / fmax(longest, 1e-3));
    const double across = last.along.x * d.y - last.along.y * d.x, along = last.along.x * d.x + last.along.y * d.y;
    const double wish =
        across * across + along * along > NM_GUIDE_STANDING * NM_GUIDE_STANDING ? atan2(across, along) : 0.0;
    nm_guide_stride next;
    next.along = nm_guide_turned(last.along, fmax(-most, fmin(most, wish)));
    next.length = fmax(shortest, fmin(longest, next.along.x * d.x + next.along.y * d.y));
    if (next.length <= NM_GUIDE_STANDING) next.along = last.along; // who stands does not turn
    return next;
}

/// Heading and velocity of token n between the steps before and after it.
NM_HOST_DEVICE static inline void nm_guide_set_motion(nm_guide_view *view, uint32_t n, nm_guide_stride before,
                                                      nm_guide_stride after, uint8_t *touched) {
    nm_guide_vector h = {before.along.x + after.along.x, before.along.y + after.along.y};
    const double size = sqrt(h.x * h.x + h.y * h.y), speed = 0.5 * (before.length + after.length) / view->dt;
    h = size > 1e-6 ? (nm_guide_vector){h.x / size, h.y / size} : after.along;
    view->state[NM_FIELD_COS][n] = h.x;
    view->state[NM_FIELD_SIN][n] = h.y;
    view->state[NM_FIELD_VX][n] = speed * h.x;
    view->state[NM_FIELD_VY][n] = speed * h.y;
    touched[n] = 1;
}

NM_HOST_DEVICE static inline void nm_guide_make_drivable(nm_guide_view *view, uint32_t first,
                                                         const nm_adversary *limits, const uint8_t *clean,
                                                         uint8_t *touched) {
    const nm_guide_vector v = {view->state[NM_FIELD_VX][first], view->state[NM_FIELD_VY][first]};
    nm_guide_stride last = {sqrt(v.x * v.x + v.y * v.y) * view->dt, nm_guide_heading_of(view, first)};
    for (uint32_t n = first; view->next[n] != NM_NONE; n = view->next[n]) {
        const uint32_t after = view->next[n];
        const nm_guide_vector d = nm_guide_step_between(view, n, after);
        nm_guide_stride next;
        if (clean[after]) {
            const double size = sqrt(d.x * d.x + d.y * d.y);
            next = (nm_guide_stride){size, size > 1e-2 ? (nm_guide_vector){d.x / size, d.y / size} : last.along};
        } else {
            next = nm_guide_allowed_step(last, d, limits, view->dt);
            view->state[NM_FIELD_X][after] = view->state[NM_FIELD_X][n] + next.length * next.along.x;
            view->state[NM_FIELD_Y][after] = view->state[NM_FIELD_Y][n] + next.length * next.along.y;
            nm_guide_set_motion(view, after, next, next, touched);
        }
        if (!clean[n] && n != first) nm_guide_set_motion(view, n, last, next, touched);
        last = next;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// An adversary among the tokens

typedef struct nm_guide_encounter {
    nm_adversary what;
    uint32_t contact, ego, first, ego_first; ///< states
} nm_guide_encounter;

/// Adds the slope of the conflict and of what is not drivable, for the path from `first` on.
NM_HOST_DEVICE static inline void nm_guide_add_encounter(const nm_guide_view *view, const nm_guide_encounter *e,
                                                         double *const gradient[NM_GUIDE_STATES]) {
    const nm_adversary *a = &e->what;
    const nm_conflict_target target = nm_guide_target_of(view, a, e->ego, e->contact, e->ego_first, e->first);
    nm_guide_conflict(view, e->first, e->contact, &target, gradient);
    nm_guide_spread(view, e->first, e->contact, gradient);
    const double acceleration = fmax((double)a->max_braking, (double)a->max_lateral);
    nm_guide_kinematic(view, e->first, acceleration, (double)a->max_curvature, gradient);
}

#ifdef __cplusplus
}
#endif
#endif
