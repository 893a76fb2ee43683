/// Time to react: the last moment at which braking or steering still helps.
///
/// Evading displaces `self` by q(t) >= 0 along a direction e (backwards for braking, to a side for steering) from where
/// it would be. The pairs (t, q) at which the boxes overlap form a convex polygon C, since every separating axis gives
/// a strip |p_k + w_k t - d_k q| <= e_k (w relative velocity, d_k = e along the axis). Without evasion q = 0 runs
/// through C. Evading begun at t0 follows q(t) = profile(t - t0), a continuous curve that never lies below q = 0; so at
/// a time when q = 0 is inside C the curve is above C or hits it, and being continuous it misses C if and only if it
/// stays above C's upper border Q(t) all the time C lasts. Hence, with `delay` the inverse of the profile, the last
/// moment is the least of f(t) = t - delay(Q(t)). It also shows that beginning earlier never does harm.
///
/// Q is the least of at most four lines, delay is concave and rises: f is the largest of four convex functions, so its
/// least value is at an end of C, at the minimum of one of the four, or where two of them meet.
#include "sim/metrics/pair.h"

/// Displacement from steady acceleration `accel` until it has changed the speed by `speed`, then at that speed: for
/// braking that is standing, for steering it keeps the velocity from turning by more than it is long.
typedef struct profile {
    double accel, speed;
} profile;

static double delay(const profile *evasion, double displacement) {
    double ramp = evasion->speed * evasion->speed / (2.0 * evasion->accel);
    if (displacement <= ramp) return sqrt(2.0 * nm_positive(displacement) / evasion->accel);
    return displacement / evasion->speed + evasion->speed / (2.0 * evasion->accel);
}

/// Upper border of the polygon: lines from[k] + slope[k] t.
typedef struct border {
    int count;
    double from[4], slope[4];
    double half[4]; ///< the polygon reaches down to half[k] below the middle line
    nm_interval times;
} border;

static border conflict_border(const nm_pair_axes *axes, double wx, double wy, double ex, double ey, double horizon) {
    border out = {.count = 0, .times = {0.0, horizon}};
    double middle[4];
    for (int k = 0; k < 4; k++) {
        double w = axes->x[k] * wx + axes->y[k] * wy, d = axes->x[k] * ex + axes->y[k] * ey;
        if (fabs(d) < 1e-6) { // evading does not move along this axis
            out.times = nm_clip_slab(out.times, axes->p[k], w, axes->e[k]);
            continue;
        }
        int n = out.count++;
        middle[n] = axes->p[k] / d;
        out.half[n] = axes->e[k] / fabs(d);
        out.slope[n] = w / d;
        out.from[n] = middle[n] + out.half[n];
    }
    // C lasts while no strip's lower border is above another's upper one
    for (int i = 0; i < out.count; i++)
        for (int j = i + 1; j < out.count; j++)
            out.times =
                nm_clip_slab(out.times, middle[i] - middle[j], out.slope[i] - out.slope[j], out.half[i] + out.half[j]);
    return out;
}

/// f(t); nothing is asked for where the polygon lies below q = 0.
static double last_moment_at(const border *upper, const profile *evasion, double t) {
    double displacement = INFINITY;
    for (int k = 0; k < upper->count; k++)
        displacement = nm_smaller(displacement, upper->from[k] + upper->slope[k] * t);
    return displacement >= 0.0 ? t - delay(evasion, displacement) : INFINITY;
}

/// contact: when the boxes first touch without evasion. (ex, ey): unit vector of the displacement.
static double last_moment(const nm_pair_axes *axes, double wx, double wy, double ex, double ey, profile evasion,
                          double contact, double horizon) {
    if (!(evasion.accel > 0.0)) return 0.0;
    border upper = conflict_border(axes, wx, wy, ex, ey, horizon);
    double from = upper.times.from, to = upper.times.to;
    double least = nm_smaller(contact, last_moment_at(&upper, &evasion, contact));
    if (!(from <= to)) return nm_positive(least); // a graze, lost to rounding
    least = nm_smaller(least, last_moment_at(&upper, &evasion, from));
    least = nm_smaller(least, last_moment_at(&upper, &evasion, to));
    for (int i = 0; i < upper.count; i++) {
        double slope = upper.slope[i];
        // the border recedes at `slope`: the worst moment is when evading has become as fast
        if (slope > 0.0 && slope < evasion.speed) {
            double t = (slope * slope / (2.0 * evasion.accel) - upper.from[i]) / slope;
            if (t > from && t < to) least = nm_smaller(least, last_moment_at(&upper, &evasion, t));
        }
        for (int j = i + 1; j < upper.count; j++) {
            double t = (upper.from[j] - upper.from[i]) / (slope - upper.slope[j]);
            if (t > from && t < to) least = nm_smaller(least, last_moment_at(&upper, &evasion, t));
        }
    }
    return nm_positive(least);
}

void nm_time_to_react(const nm_box *self, const nm_box *other, const nm_criticality_params *params, float *ttb,
                      float *tts, float *ttr) {
    double horizon = nm_positive(params->ttc_horizon);
    nm_pair_axes axes = nm_pair_axes_of(self, other);
    double wx = (double)other->vx - self->vx, wy = (double)other->vy - self->vy;
    nm_interval contact = nm_sweep(&axes, wx, wy, (nm_interval){0.0, horizon});
    *ttb = *tts = *ttr = INFINITY;
    if (!(contact.from <= contact.to)) return;
    *ttb = *tts = *ttr = 0.0f;
    double vx = self->vx, vy = self->vy, speed = sqrt(vx * vx + vy * vy);
    if (contact.from <= 0.0 || !(speed > 0.0)) return;
    double ux = vx / speed, uy = vy / speed;
    profile braking = {params->max_brake, speed}, steering = {params->max_lateral, speed};
    double brake = last_moment(&axes, wx, wy, -ux, -uy, braking, contact.from, horizon);
    double left = last_moment(&axes, wx, wy, -uy, ux, steering, contact.from, horizon);
    double right = last_moment(&axes, wx, wy, uy, -ux, steering, contact.from, horizon);
    *ttb = nm_result(brake);
    *tts = nm_result(nm_larger(left, right));
    *ttr = nm_larger(*ttb, *tts);
}
