/// nuPlan's two-stage controller against its formulas worked by hand, and against a dense solution of its fits.
#include "support.h"

#include "sim/math.h"
#include "sim/tracker.h"

static nm_tracker_scratch scratch;

/// A plan along a line or a circle from (0, 0), heading `heading`, at 10 Hz.
static void circle(nm_plan_state *plan, uint32_t count, double speed, double curvature, double heading) {
    for (uint32_t k = 0; k < count; ++k) {
        const double s = 0.1 * k * speed, h = heading + curvature * s;
        plan[k] = (nm_plan_state){.time_us = 100000 * (int64_t)k, .heading = h, .speed = speed};
        plan[k].x = curvature == 0.0 ? s * cos(heading) : (sin(h) - sin(heading)) / curvature;
        plan[k].y = curvature == 0.0 ? s * sin(heading) : (cos(heading) - cos(h)) / curvature;
    }
}

static nm_bicycle_command command_of(const nm_plan_state *plan, size_t count, const nm_bicycle_state *ego) {
    const nm_tracker_params params = nm_tracker_params_default();
    nm_bicycle_command command;
    nm_error error;
    if (nm_tracker_command(plan, count, ego, &params, &scratch, &command, &error) != NM_OK)
        fail_msg("%s", error.message);
    return command;
}

// --- fit -------------------------------------------------------------------------------------------------------------

/// theta_k = 0.3 sin(0.4 k) + 0.05 k; the way of step k is 0.1 (6 + 2 cos(0.5 k)), at theta_k + 0.02.
static void make_wave(nm_plan_state plan[13]) {
    memset(plan, 0, 13 * sizeof *plan);
    for (int k = 0; k <= 12; ++k) {
        plan[k].time_us = 100000 * k;
        plan[k].heading = 0.3 * sin(0.4 * k) + 0.05 * k;
        if (k == 12) break;
        const double way = 0.1 * (6.0 + 2.0 * cos(0.5 * k));
        plan[k + 1].x = plan[k].x + way * cos(plan[k].heading + 0.02);
        plan[k + 1].y = plan[k].y + way * sin(plan[k].heading + 0.02);
    }
}

/// Reference: numpy, with the unknowns as published (the initial value and M - 1 rates) and the pseudo-inverse of the
/// normal equations. A: rows dt (1, dt, .. dt, 0 ..) times cos and sin of theta_k; D: differences of the rates;
/// v = cumulated numpy.linalg.pinv(A.T @ A + 1e-4 * D.T @ D) @ A.T @ b. Likewise for the curvatures, with rows v_k dt
/// (1, dt, .. dt, 0 ..) and diag(1e-10, 1e-2, ..). At t = 0.13 s the command as the product of the ten matrices.
static void test_fit_against_dense_solution(void **state) {
    (void)state;
    static const double v[12] = {8.15058749199, 7.61521642542, 6.92765792018, 6.07412225466,
                                 5.19235032505, 4.48620692232, 4.13387933244, 4.22418117476,
                                 4.73125776675, 5.53133448676, 6.46115319337, 7.40341401505};
    static const double c[12] = {0.183157962773,   0.168861015112,   0.139493548824,   0.0978166460669,
                                 0.0495521582215,  0.00274779529614, -0.0344637150861, -0.0560096313016,
                                 -0.0588216398039, -0.043932188655,  -0.0179887789544, 0.00589807664403};
    nm_plan_state plan[13], here;
    const nm_tracker_params params = nm_tracker_params_default();
    uint32_t steps;
    nm_error error;
    make_wave(plan);
    assert_int_equal(nm_tracker_fit(plan, 13, &params, &scratch, &steps, &error), NM_OK);
    assert_int_equal(steps, 12);
    for (int k = 0; k < 12; ++k) {
        assert_float_equal(scratch.speed[k], v[k], 1e-9);
        assert_float_equal(scratch.curvature[k], c[k], 1e-9);
    }
    assert_int_equal(nm_plan_at(plan, 13, 130000, &here, &error), NM_OK);
    const nm_bicycle_state ego = {.time_us = 130000,
                                  .x = here.x + 0.2,
                                  .y = here.y - 0.35,
                                  .heading = here.heading + 0.15,
                                  .speed = 5.5,
                                  .steering = 0.07};
    const nm_bicycle_command command = command_of(plan, 13, &ego);
    assert_float_equal(command.accel, 1.73037637732, 1e-9);
    assert_float_equal(command.steering_rate, -0.149138175816, 1e-9);
}

/// On a circle of curvature c with steps of dth the fits are exact: v = sin(dth) / (c dt), curvature dth / (v dt).
static void test_fit_of_a_circle(void **state) {
    (void)state;
    nm_plan_state plan[81];
    const nm_tracker_params params = nm_tracker_params_default();
    uint32_t steps;
    nm_error error;
    circle(plan, 81, 10.0, -0.05, 3.0); // through -pi
    for (int k = 0; k < 81; ++k) plan[k].heading = nm_wrap_angle_d(plan[k].heading);
    assert_int_equal(nm_tracker_fit(plan, 81, &params, &scratch, &steps, &error), NM_OK);
    assert_int_equal(steps, 80);
    for (int k = 0; k < 80; ++k) {
        assert_float_equal(scratch.speed[k], sin(0.05) / 0.005, 1e-9);
        assert_float_equal(scratch.curvature[k], -0.05 / (0.1 * scratch.speed[k]), 1e-8);
    }
    // standing: speeds and curvatures 0
    for (int k = 0; k < 81; ++k) plan[k].x = 1.0, plan[k].y = 2.0, plan[k].heading = 0.5;
    assert_int_equal(nm_tracker_fit(plan, 81, &params, &scratch, &steps, &error), NM_OK);
    for (int k = 0; k < 80; ++k) assert_true(scratch.speed[k] == 0.0 && scratch.curvature[k] == 0.0);
}

/// The plan is resampled from its start every 0.1 s; the end counts when it is on that raster.
static void test_resampling(void **state) {
    (void)state;
    const nm_tracker_params params = nm_tracker_params_default();
    nm_plan_state plan[17];
    uint32_t steps;
    nm_error error;
    for (int k = 0; k < 17; ++k)
        plan[k] = (nm_plan_state){.time_us = 7 + 500000 * (int64_t)k, .x = 2.0 * k, .heading = 0.0}; // 4 m/s, 8 s
    assert_int_equal(nm_tracker_fit(plan, 17, &params, &scratch, &steps, &error), NM_OK);
    assert_int_equal(steps, 80);
    for (int k = 0; k < 80; ++k) assert_float_equal(scratch.speed[k], 4.0, 1e-9);
    plan[16].time_us -= 1;
    assert_int_equal(nm_tracker_fit(plan, 17, &params, &scratch, &steps, &error), NM_OK);
    assert_int_equal(steps, 79);
}

// --- command ---------------------------------------------------------------------------------------------------------

/// a = 10 / 11 (v_ref - v0), where v_ref is 1 s ahead.
static void test_longitudinal(void **state) {
    (void)state;
    nm_plan_state plan[81];
    circle(plan, 81, 10.0, 0.0, 0.3);
    nm_bicycle_state ego = {.x = 0.0, .y = 0.0, .heading = 0.3, .speed = 8.9};
    nm_bicycle_command command = command_of(plan, 81, &ego);
    assert_float_equal(command.accel, 1.0, 1e-9);
    assert_float_equal(command.steering_rate, 0.0, 1e-9);
    // accelerating at 1.5 m/s^2: a step at v_k = 5 + 0.15 k: fitted exactly, and 6.5 after a second
    for (int k = 0; k < 81; ++k) {
        plan[k].x = (0.5 * k + 0.0075 * k * (k - 1)) * cos(0.3);
        plan[k].y = (0.5 * k + 0.0075 * k * (k - 1)) * sin(0.3);
    }
    ego.speed = 5.0;
    assert_float_equal(command_of(plan, 81, &ego).accel, 1.5 * 10.0 / 11.0, 1e-8);
    // at the end of the plan the last speed goes on: v_79 = 16.85
    ego = (nm_bicycle_state){.time_us = 7500000, .heading = 0.3, .speed = 16.85};
    assert_float_equal(command_of(plan, 81, &ego).accel, 0.0, 1e-8);
}

/// At a constant speed the ten steps have closed forms: with w = v dt and L the wheelbase,
///   psi_10 = psi + 10 w / L delta,  e_10 = e + 10 w psi + 45 w^2 / L delta   (45 = 10 * 9 / 2)
/// per unit of steering rate: delta 1, psi 45 w dt / L, e 120 w^2 dt / L        (120 = 10 over 3)
static void test_lateral(void **state) {
    (void)state;
    const double v = 10.0, w = 0.1 * v, L = 3.089, e = 0.5, psi = 0.1, delta = 0.02, heading = 0.8;
    nm_plan_state plan[81];
    circle(plan, 81, v, 0.0, heading);
    const nm_bicycle_state ego = {.x = -e * sin(heading), // to the left by e
                                  .y = e * cos(heading),
                                  .heading = heading + psi,
                                  .speed = v,
                                  .steering = delta};
    const double r_e = e + 10 * w * psi + 45 * w * w / L * delta, r_psi = psi + 10 * w / L * delta;
    const double b_e = 120 * w * w * 0.1 / L, b_psi = 45 * w * 0.1 / L;
    const nm_bicycle_command command = command_of(plan, 81, &ego);
    assert_float_equal(command.accel, 0.0, 1e-9);
    assert_float_equal(command.steering_rate, -(b_e * r_e + 10 * b_psi * r_psi) / (b_e * b_e + 10 * b_psi * b_psi + 1),
                       1e-9);
    // on a circle with the wheels turned to match it (delta = c L, linearised), nothing has to change
    nm_plan_state bend[81];
    uint32_t steps;
    nm_error error;
    const nm_tracker_params params = nm_tracker_params_default();
    circle(bend, 81, v, 0.02, heading);
    assert_int_equal(nm_tracker_fit(bend, 81, &params, &scratch, &steps, &error), NM_OK);
    const nm_bicycle_state on = {.heading = heading, .speed = scratch.speed[0], .steering = scratch.curvature[0] * L};
    assert_float_equal(command_of(bend, 81, &on).steering_rate, 0.0, 1e-7);
}

/// The heading error is the short way round, and so is the predicted one.
static void test_headings_wrap(void **state) {
    (void)state;
    nm_plan_state plan[81];
    circle(plan, 81, 10.0, 0.0, NM_PI - 0.05);
    nm_bicycle_state ego = {.heading = -NM_PI + 0.05, .speed = 10.0}; // 0.1 to the left
    const double turned = command_of(plan, 81, &ego).steering_rate;
    circle(plan, 81, 10.0, 0.0, 0.0);
    ego.heading = 0.1;
    assert_float_equal(turned, command_of(plan, 81, &ego).steering_rate, 1e-9);
    assert_true(turned < -0.1); // to the right
}

/// Both at 0.2 m/s or below: stop; one above: the usual.
static void test_stopping(void **state) {
    (void)state;
    nm_plan_state plan[81];
    circle(plan, 81, 0.2 - 1e-9, 0.0, 0.0);
    nm_bicycle_state ego = {.y = 0.3, .speed = 0.2};
    nm_bicycle_command command = command_of(plan, 81, &ego);
    assert_float_equal(command.accel, 0.0, 1e-8);
    assert_float_equal(command.steering_rate, 0.0, 0);
    ego.speed = 0.1;
    assert_float_equal(command_of(plan, 81, &ego).accel, 0.05, 1e-8); // -0.5 (0.1 - 0.2)
    ego.speed = 0.2 + 1e-6;
    command = command_of(plan, 81, &ego);
    assert_float_equal(command.accel, -1e-6 * 10 / 11, 1e-8);
    assert_true(command.steering_rate < 0.0);
    circle(plan, 81, 0.2 + 1e-6, 0.0, 0.0);
    ego.speed = 0.1;
    assert_float_equal(command_of(plan, 81, &ego).accel, 0.1 * 10 / 11, 1e-5);
}

// --- bicycle ---------------------------------------------------------------------------------------------------------

/// At 0.1 s the gains are 1 / 3 and 2 / 3. The pose moves with the old speed, heading and steering.
static void test_bicycle_step(void **state) {
    (void)state;
    const nm_bicycle_params params = nm_bicycle_params_default();
    const nm_bicycle_state s = {.time_us = 5,
                                .x = 1.0,
                                .y = 2.0,
                                .heading = 3.1,
                                .speed = 10.0,
                                .accel = 0.3,
                                .steering = 0.2,
                                .yaw_rate = 0.5};
    const nm_bicycle_state n = nm_bicycle_step(&params, &s, (nm_bicycle_command){1.5, 0.3}, 100000);
    assert_int_equal(n.time_us, 100005);
    assert_float_equal(n.x, 1.0 + cos(3.1), 1e-12);
    assert_float_equal(n.y, 2.0 + sin(3.1), 1e-12);
    assert_float_equal(n.heading, 3.1 + tan(0.2) / 3.089 - 2.0 * NM_PI, 1e-12);
    assert_float_equal(n.accel, 0.7, 1e-12);     // 0.3 + (1.5 - 0.3) / 3
    assert_float_equal(n.speed, 10.07, 1e-12);   // with the new acceleration
    assert_float_equal(n.steering, 0.22, 1e-12); // 0.2 + 2 / 3 * 0.03
    assert_float_equal(n.yaw_rate, 10.07 * tan(0.22) / 3.089, 1e-12);
    assert_float_equal(n.yaw_accel, (n.yaw_rate - 0.5) / 0.1, 1e-12);
    const nm_nuplan_ego sample = nm_bicycle_sample(&n);
    assert_true(sample.vx == n.speed && sample.vy == 0.0 && sample.ax == n.accel && sample.ay == 0.0);
    assert_true(sample.yaw_rate == n.yaw_rate && sample.yaw_accel == n.yaw_accel && sample.time_us == n.time_us);
    // the real step: 0.13 s
    const nm_bicycle_state j = nm_bicycle_step(&params, &s, (nm_bicycle_command){1.5, 0.3}, 130000);
    assert_float_equal(j.accel, 0.3 + 0.13 / 0.33 * 1.2, 1e-12);
    assert_float_equal(j.steering, 0.2 + 0.13 / 0.18 * 0.039, 1e-12);
    assert_float_equal(j.x, 1.0 + 1.3 * cos(3.1), 1e-12);
}

static void test_bicycle_limits(void **state) {
    (void)state;
    const nm_bicycle_params params = nm_bicycle_params_default();
    nm_bicycle_state s = {.speed = 0.1, .steering = 1.0};
    const nm_bicycle_state n = nm_bicycle_step(&params, &s, (nm_bicycle_command){-9.0, 5.0}, 100000);
    assert_float_equal(n.steering, NM_PI / 3.0, 0);
    assert_float_equal(n.speed, 0.1 - 0.3, 1e-12); // backwards: not held at 0
    s.steering = -1.0;
    assert_float_equal(nm_bicycle_step(&params, &s, (nm_bicycle_command){0.0, -5.0}, 100000).steering, -NM_PI / 3.0, 0);
}

// --- together --------------------------------------------------------------------------------------------------------

/// Drives `steps` steps with a new command each; the lateral error at the end, and the way behind the plan.
static double follow(const nm_plan_state *plan, size_t count, nm_bicycle_state *ego, int steps, double *behind) {
    const nm_bicycle_params params = nm_bicycle_params_default();
    nm_plan_state here;
    nm_error error;
    for (int k = 0; k < steps; ++k) *ego = nm_bicycle_step(&params, ego, command_of(plan, count, ego), 100000);
    assert_int_equal(nm_plan_at(plan, count, ego->time_us, &here, &error), NM_OK);
    const double dx = ego->x - here.x, dy = ego->y - here.y;
    *behind = -dx * cos(here.heading) - dy * sin(here.heading);
    return dy * cos(here.heading) - dx * sin(here.heading);
}

/// From 1 m beside a straight plan, turned away and too slow, the ego comes onto it. What it has fallen behind by then
/// stays: speeds are controlled, distances are not.
static void test_converges(void **state) {
    (void)state;
    enum { STATES = 161 };
    nm_plan_state plan[STATES];
    double before, after;
    circle(plan, STATES, 8.0, 0.0, 1.0);
    nm_bicycle_state ego = {.x = sin(1.0), .y = -cos(1.0), .heading = 1.1, .speed = 6.0};
    assert_true(fabs(follow(plan, STATES, &ego, 110, &before)) < 0.02);
    assert_true(fabs(follow(plan, STATES, &ego, 40, &after)) < 0.01);
    assert_float_equal(ego.speed, 8.0, 1e-4);
    assert_float_equal(ego.heading, 1.0, 0.005);
    assert_true(before > 1.0);
    assert_float_equal(after, before, 0.01);
    // on a bend the Euler step drifts outwards by 1 cm, v dt c v dt / 2, each time; the tracker stops that
    circle(plan, STATES, 8.0, 0.03, 1.0);
    ego = (nm_bicycle_state){.heading = 1.0, .speed = 8.0, .steering = atan(0.03 * 3.089)};
    for (int k = 0; k < 15; ++k) assert_true(fabs(follow(plan, STATES, &ego, 10, &after)) < 0.15);
    assert_true(fabs(follow(plan, STATES, &ego, 1, &after)) < 0.05);
}

// --- plans -----------------------------------------------------------------------------------------------------------

static void test_plan_at(void **state) {
    (void)state;
    const nm_plan_state plan[3] = {
        {1000, 0, 0, 3.1, 1, 0.5, 0.1}, {2000, 4, 8, -3.1, 2, 0.1, 0.3}, {6000, 8, 8, -3.1, 2, 0, 0}};
    nm_plan_state s;
    nm_error error;
    assert_int_equal(nm_plan_at(plan, 3, 1250, &s, &error), NM_OK);
    assert_true(s.x == 1.0 && s.y == 2.0 && s.speed == 1.25 && s.time_us == 1250);
    assert_float_equal(s.accel, 0.4, 1e-12);
    assert_float_equal(s.steering, 0.15, 1e-12);
    assert_float_equal(s.heading, 3.1 + 0.25 * (2.0 * NM_PI - 6.2), 1e-12);
    assert_int_equal(nm_plan_at(plan, 3, 1750, &s, &error), NM_OK);
    assert_float_equal(s.heading, -3.1 - 0.25 * (2.0 * NM_PI - 6.2), 1e-12);
    assert_int_equal(nm_plan_at(plan, 3, 2000, &s, &error), NM_OK);
    assert_true(s.x == 4.0);
    assert_int_equal(nm_plan_at(plan, 3, 6000, &s, &error), NM_OK);
    assert_true(s.x == 8.0);
    assert_int_equal(nm_plan_at(plan, 3, 1000, &s, &error), NM_OK);
    assert_true(s.x == 0.0);
    assert_int_equal(nm_plan_at(plan, 3, 999, &s, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_plan_at(plan, 3, 6001, &s, &error), NM_E_ARGUMENT);
    assert_true(s.x == 0.0); // as it was
}

static void test_refuses(void **state) {
    (void)state;
    nm_plan_state plan[81];
    const nm_bicycle_state ego = {.speed = 5.0};
    nm_tracker_params params = nm_tracker_params_default();
    nm_bicycle_command command = {77.0, 77.0};
    nm_error error;
#define BAD(change, n, status)                                                                                         \
    do {                                                                                                               \
        nm_bicycle_state e = ego;                                                                                      \
        circle(plan, 81, 5.0, 0.0, 0.0);                                                                               \
        params = nm_tracker_params_default();                                                                          \
        change;                                                                                                        \
        assert_int_equal(nm_tracker_command(plan, n, &e, &params, &scratch, &command, &error), status);                \
        assert_true(command.accel == 77.0);                                                                            \
    } while (0)
    BAD((void)e, 0, NM_E_ARGUMENT);
    BAD((void)e, 1, NM_E_ARGUMENT);
    BAD(plan[7].x = NAN, 81, NM_E_NUMERIC);
    BAD(plan[7].heading = INFINITY, 81, NM_E_NUMERIC);
    BAD(plan[7].y = 1e9, 81, NM_E_NUMERIC);
    BAD(plan[7].time_us = plan[6].time_us, 81, NM_E_ARGUMENT);
    BAD(plan[0].time_us = -5, 81, NM_E_ARGUMENT);
    BAD(plan[1].time_us = 99999, 2, NM_E_ARGUMENT); // under a step
    BAD(plan[80].time_us = 102500000, 81, NM_E_LIMIT);
    BAD(e.time_us = 8000001, 81, NM_E_ARGUMENT);
    BAD(e.time_us = -1, 81, NM_E_ARGUMENT);
    BAD(e.steering = NAN, 81, NM_E_NUMERIC);
    BAD(params.r_accel = 0.0, 81, NM_E_ARGUMENT);
    BAD(params.q_speed = -1.0, 81, NM_E_ARGUMENT);
    BAD(params.horizon = 0, 81, NM_E_ARGUMENT);
    BAD(params.horizon = 101, 81, NM_E_ARGUMENT);
    BAD(params.wheelbase = NAN, 81, NM_E_ARGUMENT);
#undef BAD
    circle(plan, 81, 5.0, 0.0, 0.0);
    plan[80].time_us = 102400000; // the longest
    params = nm_tracker_params_default();
    assert_int_equal(nm_tracker_command(plan, 81, &ego, &params, &scratch, &command, &error), NM_OK);
    assert_int_equal(nm_tracker_command(plan, 2, &ego, &params, &scratch, &command, &error), NM_OK); // the shortest
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fit_against_dense_solution),
        cmocka_unit_test(test_fit_of_a_circle),
        cmocka_unit_test(test_resampling),
        cmocka_unit_test(test_longitudinal),
        cmocka_unit_test(test_lateral),
        cmocka_unit_test(test_headings_wrap),
        cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_bicycle_step),
        cmocka_unit_test(test_bicycle_limits),
        cmocka_unit_test(test_converges),
        cmocka_unit_test(test_plan_at),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
