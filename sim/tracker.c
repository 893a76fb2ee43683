/// nuPlan's two-stage controller: LQR tracker and kinematic bicycle.
#include "sim/tracker.h"

#include <math.h>
#include <string.h>

#include "sim/math.h"

#define MAX_VALUE 1e8
#define STEP (1e-6 * NM_TRACKER_STEP_US) // s
#define MAX_HORIZON 100u

/// To [-pi, pi).
static double wrap(double angle) {
    const double wrapped = nm_wrap_angle_d(angle);
    return wrapped >= NM_PI ? -NM_PI : wrapped;
}

static int sane(double value) {
    return fabs(value) <= MAX_VALUE; // false for NaN
}

// --- plans -----------------------------------------------------------------------------------------------------------

static nm_status check_plan(const nm_plan_state *plan, size_t count, nm_error *error) {
    NM_ASSERT(plan || count == 0);
    if (count < 2) return NM_ERROR(error, NM_E_ARGUMENT, "a plan of %zu states: at least 2 are needed", count);
    for (size_t i = 0; i < count; ++i) {
        const nm_plan_state *s = &plan[i];
        if (!(sane(s->x) && sane(s->y) && sane(s->heading) && sane(s->speed) && sane(s->accel) && sane(s->steering)))
            return NM_ERROR(error, NM_E_NUMERIC, "state %zu of the plan is not finite", i);
        if (s->time_us < 0 || s->time_us > INT64_MAX / 4 || (i && s->time_us <= plan[i - 1].time_us))
            return NM_ERROR(error, NM_E_ARGUMENT,
                            "state %zu of the plan, at %lld us, does not come after the one before", i,
                            (long long)s->time_us);
    }
    return NM_OK;
}

static double between(double a, double b, double t) {
    return a + t * (b - a);
}

/// The state at a time within a checked plan; *segment, the one before it, may be where an earlier time was found.
static nm_plan_state at(const nm_plan_state *plan, size_t count, int64_t time_us, size_t *segment) {
    size_t i = *segment;
    while (i + 2 < count && plan[i + 1].time_us <= time_us) ++i;
    *segment = i;
    const nm_plan_state *a = &plan[i], *b = &plan[i + 1];
    const double t = (double)(time_us - a->time_us) / (double)(b->time_us - a->time_us);
    return (nm_plan_state){
        .time_us = time_us,
        .x = between(a->x, b->x, t),
        .y = between(a->y, b->y, t),
        .heading = wrap(a->heading + t * wrap(b->heading - a->heading)),
        .speed = between(a->speed, b->speed, t),
        .accel = between(a->accel, b->accel, t),
        .steering = between(a->steering, b->steering, t),
    };
}

static nm_status check_time(const nm_plan_state *plan, size_t count, int64_t time_us, nm_error *error) {
    if (time_us < plan[0].time_us || time_us > plan[count - 1].time_us)
        return NM_ERROR(error, NM_E_ARGUMENT, "%lld us is outside the plan, which goes from %lld to %lld us",
                        (long long)time_us, (long long)plan[0].time_us, (long long)plan[count - 1].time_us);
    return NM_OK;
}

nm_status nm_plan_at(const nm_plan_state *plan, size_t count, int64_t time_us, nm_plan_state *state, nm_error *error) {
    NM_ASSERT(state);
    nm_status status = check_plan(plan, count, error);
    if (status == NM_OK) status = check_time(plan, count, time_us, error);
    if (status != NM_OK) return status;
    size_t segment = 0;
    *state = at(plan, count, time_us, &segment);
    return NM_OK;
}

// --- bicycle ---------------------------------------------------------------------------------------------------------

nm_bicycle_params nm_bicycle_params_default(void) {
    return (nm_bicycle_params){.wheelbase = 3.089, .max_steering = NM_PI / 3.0, .accel_lag = 0.2, .steering_lag = 0.05};
}

nm_bicycle_state nm_bicycle_step(const nm_bicycle_params *params, const nm_bicycle_state *state,
                                 nm_bicycle_command command, int64_t step_us) {
    NM_ASSERT(params && state && step_us > 0);
    const double dt = 1e-6 * (double)step_us;
    const nm_bicycle_state *s = state;
    const double accel = s->accel + dt / (dt + params->accel_lag) * (command.accel - s->accel);
    const double steering = s->steering + dt / (dt + params->steering_lag) * (dt * command.steering_rate);
    nm_bicycle_state next = {
        .time_us = s->time_us + step_us,
        .x = s->x + s->speed * cos(s->heading) * dt,
        .y = s->y + s->speed * sin(s->heading) * dt,
        .heading = wrap(s->heading + s->speed * tan(s->steering) / params->wheelbase * dt),
        .speed = s->speed + accel * dt,
        .accel = accel,
        .steering = fmin(fmax(steering, -params->max_steering), params->max_steering),
    };
    next.yaw_rate = next.speed * tan(next.steering) / params->wheelbase;
    next.yaw_accel = (next.yaw_rate - s->yaw_rate) / dt;
    return next;
}

nm_nuplan_ego nm_bicycle_sample(const nm_bicycle_state *state) {
    NM_ASSERT(state);
    return (nm_nuplan_ego){
        .time_us = state->time_us,
        .x = state->x,
        .y = state->y,
        .heading = state->heading,
        .vx = state->speed,
        .ax = state->accel,
        .yaw_rate = state->yaw_rate,
        .yaw_accel = state->yaw_accel,
    };
}

// --- fit -------------------------------------------------------------------------------------------------------------

nm_tracker_params nm_tracker_params_default(void) {
    return (nm_tracker_params){
        .q_speed = 10.0,
        .r_accel = 1.0,
        .q_lateral = 1.0,
        .q_heading = 10.0,
        .q_steering = 0.0,
        .r_steering_rate = 1.0,
        .horizon = 10,
        .jerk_penalty = 1e-4,
        .curvature_rate_penalty = 1e-2,
        .initial_curvature_penalty = 1e-10,
        .stopping_gain = 0.5,
        .stopping_speed = 0.2,
        .wheelbase = 3.089,
    };
}

static nm_status check_params(const nm_tracker_params *p, nm_error *error) {
    const double weights[] = {p->q_speed, p->q_lateral, p->q_heading, p->q_steering, p->stopping_gain};
    const double positive[] = {
        p->r_accel,  p->r_steering_rate, p->jerk_penalty, p->curvature_rate_penalty, p->initial_curvature_penalty,
        p->wheelbase};
    int fine = p->horizon >= 1 && p->horizon <= MAX_HORIZON && isfinite(p->stopping_speed);
    for (size_t i = 0; i < sizeof weights / sizeof *weights; ++i) fine &= weights[i] >= 0.0 && isfinite(weights[i]);
    for (size_t i = 0; i < sizeof positive / sizeof *positive; ++i) fine &= positive[i] > 0.0 && isfinite(positive[i]);
    return fine ? NM_OK : NM_ERROR(error, NM_E_ARGUMENT, "parameters of the tracker that make no sense");
}

static void clear_band(nm_tracker_scratch *s, uint32_t count) {
    for (int d = 0; d < 3; ++d) memset(s->band[d], 0, count * sizeof *s->band[d]);
}

/// Adds weight * (SUM_i c[i] u[at + i])^2 to the quadratic form: band[d][k] couples the unknowns k and k + d.
static void add_square(nm_tracker_scratch *s, uint32_t first, const double *c, uint32_t count, double weight) {
    for (uint32_t i = 0; i < count; ++i)
        for (uint32_t j = i; j < count; ++j) s->band[j - i][first + i] += weight * c[i] * c[j];
}

/// Solves the symmetric positive definite system, right-hand side in `u`, by L D L^T within the band.
static void solve(nm_tracker_scratch *s, double *u, uint32_t count) {
    double *d = s->band[0], *l1 = s->band[1], *l2 = s->band[2]; // become D, L(k + 1, k) and L(k + 2, k)
    for (uint32_t k = 0; k < count; ++k) {
        if (k >= 1) d[k] -= l1[k - 1] * l1[k - 1] * d[k - 1];
        if (k >= 2) d[k] -= l2[k - 2] * l2[k - 2] * d[k - 2];
        if (k >= 1) l1[k] -= l2[k - 1] * l1[k - 1] * d[k - 1];
        l1[k] /= d[k];
        l2[k] /= d[k];
        if (k >= 1) u[k] -= l1[k - 1] * u[k - 1];
        if (k >= 2) u[k] -= l2[k - 2] * u[k - 2];
    }
    for (uint32_t k = count; k-- > 0;) {
        u[k] /= d[k];
        if (k + 1 < count) u[k] -= l1[k] * u[k + 1];
        if (k + 2 < count) u[k] -= l2[k] * u[k + 2];
    }
}

static void fit_speeds(nm_tracker_scratch *s, uint32_t steps, double jerk_penalty) {
    const double jerk[3] = {1.0 / STEP, -2.0 / STEP, 1.0 / STEP};
    clear_band(s, steps);
    for (uint32_t k = 0; k < steps; ++k) {
        s->band[0][k] += STEP * STEP;
        s->speed[k] =
            STEP * ((s->x[k + 1] - s->x[k]) * cos(s->heading[k]) + (s->y[k + 1] - s->y[k]) * sin(s->heading[k]));
        if (k + 2 < steps) add_square(s, k, jerk, 3, jerk_penalty);
    }
    solve(s, s->speed, steps);
}

static void fit_curvatures(nm_tracker_scratch *s, uint32_t steps, const nm_tracker_params *params) {
    const double rate[2] = {-1.0 / STEP, 1.0 / STEP};
    clear_band(s, steps);
    s->band[0][0] = params->initial_curvature_penalty;
    for (uint32_t k = 0; k < steps; ++k) {
        const double way = STEP * s->speed[k];
        s->band[0][k] += way * way;
        s->curvature[k] = way * wrap(s->heading[k + 1] - s->heading[k]);
        if (k + 1 < steps) add_square(s, k, rate, 2, params->curvature_rate_penalty);
    }
    solve(s, s->curvature, steps);
}

nm_status nm_tracker_fit(const nm_plan_state *plan, size_t count, const nm_tracker_params *params,
                         nm_tracker_scratch *scratch, uint32_t *steps, nm_error *error) {
    NM_ASSERT(params && scratch && steps);
    nm_status status = check_plan(plan, count, error);
    if (status == NM_OK) status = check_params(params, error);
    if (status != NM_OK) return status;
    const int64_t found = (plan[count - 1].time_us - plan[0].time_us) / NM_TRACKER_STEP_US;
    if (found < 1) return NM_ERROR(error, NM_E_ARGUMENT, "a plan shorter than 0.1 s cannot be tracked");
    if (found > NM_TRACKER_MAX_STEPS)
        return NM_ERROR(error, NM_E_LIMIT, "a plan of %lld steps is longer than %d", (long long)found,
                        NM_TRACKER_MAX_STEPS);
    size_t segment = 0;
    for (uint32_t k = 0; k <= (uint32_t)found; ++k) {
        const nm_plan_state state = at(plan, count, plan[0].time_us + (int64_t)k * NM_TRACKER_STEP_US, &segment);
        scratch->x[k] = state.x, scratch->y[k] = state.y, scratch->heading[k] = state.heading;
    }
    *steps = (uint32_t)found;
    fit_speeds(scratch, *steps, params->jerk_penalty);
    fit_curvatures(scratch, *steps, params);
    return NM_OK;
}

// --- command ---------------------------------------------------------------------------------------------------------

/// Fitted values at `time_us` after the plan's start, linear, held beyond the ends.
static double fitted(const double *values, uint32_t steps, int64_t time_us) {
    const double place = (double)time_us / NM_TRACKER_STEP_US;
    if (place <= 0.0) return values[0];
    if (place >= (double)(steps - 1)) return values[steps - 1];
    const uint32_t k = (uint32_t)place;
    return between(values[k], values[k + 1], place - (double)k);
}

/// Lateral error, heading error, steering, at the end of the horizon: free, and per unit of steering rate.
typedef struct lateral {
    double free[3], forced[3];
} lateral;

static void advance(double z[3], double way, double wheelbase) {
    z[0] += way * z[1];
    z[1] += way / wheelbase * z[2]; // after the line above, which takes the old one
}

static lateral predict(const nm_tracker_params *params, const nm_tracker_scratch *s, uint32_t steps, int64_t since_us,
                       const double start[3], double speed, double accel) {
    lateral end = {.free = {start[0], start[1], start[2]}};
    for (uint32_t k = 0; k < params->horizon; ++k) {
        const double way = (speed + (double)k * STEP * accel) * STEP;
        advance(end.free, way, params->wheelbase);
        advance(end.forced, way, params->wheelbase);
        end.free[1] -= way * fitted(s->curvature, steps, since_us + (int64_t)k * NM_TRACKER_STEP_US);
        end.forced[2] += STEP;
    }
    end.free[1] = wrap(end.free[1]);
    end.free[2] = wrap(end.free[2]);
    return end;
}

static double steer(const nm_tracker_params *p, const lateral *end) {
    const double q[3] = {p->q_lateral, p->q_heading, p->q_steering};
    double top = 0.0, bottom = p->r_steering_rate;
    for (int i = 0; i < 3; ++i) {
        top += end->forced[i] * q[i] * end->free[i];
        bottom += end->forced[i] * q[i] * end->forced[i];
    }
    return -top / bottom;
}

nm_status nm_tracker_command(const nm_plan_state *plan, size_t count, const nm_bicycle_state *ego,
                             const nm_tracker_params *params, nm_tracker_scratch *scratch, nm_bicycle_command *command,
                             nm_error *error) {
    NM_ASSERT(ego && params && scratch && command);
    uint32_t steps;
    nm_status status = nm_tracker_fit(plan, count, params, scratch, &steps, error);
    if (status == NM_OK) status = check_time(plan, count, ego->time_us, error);
    if (status != NM_OK) return status;
    if (!(sane(ego->x) && sane(ego->y) && sane(ego->heading) && sane(ego->speed) && sane(ego->steering)))
        return NM_ERROR(error, NM_E_NUMERIC, "the ego's state at %lld us is not finite", (long long)ego->time_us);
    size_t segment = 0;
    const nm_plan_state here = at(plan, count, ego->time_us, &segment);
    const int64_t since = ego->time_us - plan[0].time_us;
    const double reference = fitted(scratch->speed, steps, since + (int64_t)params->horizon * NM_TRACKER_STEP_US);
    if (reference <= params->stopping_speed && ego->speed <= params->stopping_speed) {
        *command = (nm_bicycle_command){.accel = -params->stopping_gain * (ego->speed - reference)};
        return NM_OK;
    }
    const double b = (double)params->horizon * STEP;
    const double accel = -b * params->q_speed * (ego->speed - reference) / (b * b * params->q_speed + params->r_accel);
    const double dx = ego->x - here.x, dy = ego->y - here.y;
    const double start[3] = {dy * cos(here.heading) - dx * sin(here.heading), wrap(ego->heading - here.heading),
                             ego->steering};
    const lateral end = predict(params, scratch, steps, since, start, ego->speed, accel);
    *command = (nm_bicycle_command){.accel = accel, .steering_rate = steer(params, &end)};
    return NM_OK;
}
