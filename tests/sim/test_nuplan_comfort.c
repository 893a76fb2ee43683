/// The filters and bounds of nuPlan's comfort metrics.
#include "nuplan_support.h"

// --- filters ---------------------------------------------------------------------------------------------------------

/// What scipy 1.17.1 makes of x[i] = sin(0.7 i) + 0.05 i^2 - (i % 3):
///   python3 -c 'import numpy as np; from scipy.signal import savgol_filter as f; i = np.arange(20.0);
///   x = np.sin(0.7 * i) + 0.05 * i ** 2 - i % 3; print(f(x[:n], min(w, n), p, deriv=m, delta=d)[at])'
static void make_wave(double *x, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) x[i] = sin(0.7 * i) + 0.05 * i * i - (double)(i % 3);
}

typedef struct savgol_case {
    uint32_t count, window, degree, derivative;
    double delta;
    uint32_t checks, at[5];
    double want[5];
} savgol_case;

static const savgol_case savgol_cases[] = {
    {20,
     8,
     2,
     0,
     0.10,
     5,
     {0, 3, 4, 12, 19},
     {-0.130720742683439, -0.0376503407984621, 0.161544302057495, 7.19168947401739, 18.1247201168483}},
    {20,
     15,
     2,
     1,
     0.10,
     5,
     {0, 6, 7, 12, 19},
     {-2.23614652670901, 5.29088754440573, 6.54539322292482, 12.4499309526783, 17.7305526711128}},
    {20,
     5,
     2,
     1,
     0.11,
     5,
     {0, 1, 2, 17, 19},
     {-0.598729853364355, 0.559256882282819, 1.71724361792999, 18.2830289279173, 32.4689429820838}},
    {20,
     5,
     3,
     2,
     0.10,
     5,
     {0, 1, 2, 17, 19},
     {323.037374958763, 167.88761452544, 12.7378540921189, 78.0225272979154, -269.611075759747}},
    {6,
     8,
     2,
     0,
     0.10,
     5,
     {0, 2, 3, 4, 5},
     {-0.418292586249745, 0.249461803261692, 0.19078051431789, -0.129606430425591, -0.711699030968753}},
    {10,
     15,
     2,
     1,
     0.10,
     5,
     {0, 4, 5, 8, 9},
     {-4.80755064744424, 1.98398508337446, 3.68186901607914, 8.77552081419316, 10.4734047468978}},
    {12,
     15,
     2,
     1,
     0.10,
     5,
     {0, 5, 6, 7, 11},
     {-4.8272986932115, 3.80650829151915, 5.53326968846528, 7.26003108541141, 14.1670766731959}},
    {9,
     8,
     2,
     0,
     0.10,
     5,
     {0, 3, 4, 5, 8},
     {-0.130720742683439, -0.0376503407984621, 0.161544302057495, 0.221314560885496, 0.554794180596278}},
    {4,
     5,
     3,
     2,
     0.10,
     5,
     {0, 1, 2, 3, 3},
     {-304.249888288348, -20.2985644486915, 263.652759390965, 547.604083230621, 547.604083230621}},
};

static void test_savgol_reference(void **state) {
    (void)state;
    double x[20], y[20];
    for (size_t c = 0; c < sizeof savgol_cases / sizeof *savgol_cases; ++c) {
        const savgol_case *s = &savgol_cases[c];
        make_wave(x, s->count);
        nm_nuplan_savgol(x, s->count, s->window, s->degree, s->derivative, s->delta, y);
        for (uint32_t i = 0; i < s->checks; ++i) {
            if (fabs(y[s->at[i]] - s->want[i]) > 1e-11 * fmax(1.0, fabs(s->want[i])))
                fail_msg("case %zu, sample %u: %.15g, wanted %.15g", c, s->at[i], y[s->at[i]], s->want[i]);
        }
    }
}

/// The closed forms of the specification, term by term, on impulses.
static void test_savgol_closed_forms(void **state) {
    (void)state;
    static const double even[8] = {-3, 3, 7, 9, 9, 7, 3, -3}; // x[i - 3] .. x[i + 4], over 32
    static const double second[5] = {2, -1, -2, -1, 2};       // over 7 delta^2
    double x[40] = {0}, y[40];
    x[20] = 1.0;
    nm_nuplan_savgol(x, 40, 8, 2, 0, 0.1, y);
    for (uint32_t j = 0; j < 8; ++j) assert_float_equal(y[23 - j], even[j] / 32.0, 1e-15);
    assert_float_equal(y[24], 0.0, 1e-15);
    assert_float_equal(y[15], 0.0, 1e-15);
    nm_nuplan_savgol(x, 40, 15, 2, 1, 0.1, y);
    for (int j = -7; j <= 7; ++j) assert_float_equal(y[20 - j], j / (280.0 * 0.1), 1e-14);
    nm_nuplan_savgol(x, 40, 5, 2, 1, 0.1, y);
    for (int j = -2; j <= 2; ++j) assert_float_equal(y[20 - j], j / (10.0 * 0.1), 1e-13);
    nm_nuplan_savgol(x, 40, 5, 3, 2, 0.1, y);
    for (int j = -2; j <= 2; ++j) assert_float_equal(y[20 - j], second[j + 2] / (7.0 * 0.01), 1e-12);
}

/// An even window evaluates its fit half a sample ahead, but at the samples themselves over the first and the last
/// four: a ramp jumps by half a step on the way in and back on the way out.
static void test_half_sample_shift(void **state) {
    (void)state;
    double x[20], y[20];
    for (int i = 0; i < 20; ++i) x[i] = 3.0 * i;
    nm_nuplan_savgol(x, 20, 8, 2, 0, 0.1, y);
    for (int i = 0; i < 20; ++i) assert_float_equal(y[i], 3.0 * i + (i >= 4 && i < 16 ? 1.5 : 0.0), 1e-12);
    nm_nuplan_savgol(x, 20, 15, 2, 1, 0.1, y); // odd: no shift, and the slope of a line everywhere
    for (int i = 0; i < 20; ++i) assert_float_equal(y[i], 30.0, 1e-11);
}

static void test_round_and_unwrap(void **state) {
    (void)state;
    double r[3] = {0.123456789, -0.123456784, 2.5e-8}; // 2.5 units: to the even neighbour, 2
    nm_nuplan_round(r, 3);
    assert_true(r[0] == 0.12345679 && r[1] == -0.12345678 && r[2] == 2e-8);
    const double turning[5] = {3.0, -3.0, -2.8, 3.1, 3.0 - 4.0 * NM_PI};
    double out[5];
    nm_nuplan_unwrap(turning, 5, out);
    assert_float_equal(out[1], -3.0 + 2.0 * NM_PI, 1e-15);
    assert_float_equal(out[2], -2.8 + 2.0 * NM_PI, 1e-15);
    assert_float_equal(out[3], 3.1, 1e-14); // back again
    assert_float_equal(out[4], 3.0, 1e-14); // two turns at once
}

// --- bounds ----------------------------------------------------------------------------------------------------------

static hand_map town;
static const nm_nuplan_map *map;

static int setup(void **state) {
    (void)state;
    hand_town(&town);
    map = hand_finish(&town);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    nm_nuplan_map_destroy(map);
    return 0;
}

static void drive(hand_drive *d) {
    drive_east(d, map, 40, 10, 0, 5);
}

/// A constant goes through all filters as it is, rounded to 8 decimals: the bounds are met from both sides.
static void assert_bound(nm_nuplan_metric which, double ax, double ay, int inside) {
    hand_drive d;
    drive(&d);
    for (int k = 0; k < 40; ++k) d.ego[k].ax = ax, d.ego[k].ay = ay;
    const nm_nuplan_result *r = score(&d);
    const double worst = rint((which == NM_NUPLAN_LON_ACCEL ? ax : ay) * 1e8) / 1e8;
    assert_metric(&d, which, inside, worst, r->metric[which].step);
    assert_float_equal(r->metric[NM_NUPLAN_COMFORT].value, inside, 0);
}

static void test_acceleration_bounds(void **state) {
    (void)state;
    assert_bound(NM_NUPLAN_LON_ACCEL, 2.39999, 0, 1);
    assert_bound(NM_NUPLAN_LON_ACCEL, 2.40, 0, 0); // strict
    assert_bound(NM_NUPLAN_LON_ACCEL, -4.04999, 0, 1);
    assert_bound(NM_NUPLAN_LON_ACCEL, -4.05, 0, 0);
    assert_bound(NM_NUPLAN_LAT_ACCEL, 0, 4.88999, 1);
    assert_bound(NM_NUPLAN_LAT_ACCEL, 0, 4.89, 0);
    assert_bound(NM_NUPLAN_LAT_ACCEL, 0, -4.88999, 1);
    assert_bound(NM_NUPLAN_LAT_ACCEL, 0, -4.89, 0);
    assert_bound(NM_NUPLAN_LON_ACCEL, 2.3999999951, 0, 0); // rounds to 2.40
    assert_bound(NM_NUPLAN_LON_ACCEL, 2.3999999949, 0, 1); // rounds to 2.39999999
}

/// The centre's acceleration: rear_to_centre (1 m here) times (omega^2 + alpha), along x alone, both added.
static void test_centre_acceleration(void **state) {
    (void)state;
    hand_drive d;
    drive(&d);
    for (int k = 0; k < 40; ++k)
        d.ego[k].ax = 0.5, d.ego[k].ay = 0.25, d.ego[k].yaw_rate = -0.8, d.ego[k].yaw_accel = 0.3;
    score(&d);
    for (int k = 0; k < 40; ++k) {
        assert_float_equal(d.lon_accel[k], 0.5 + 0.64 + 0.3, 1e-8);
        assert_float_equal(d.lat_accel[k], 0.25, 1e-8);
        assert_float_equal(d.lon_jerk[k], 0.0, 1e-8);
        assert_float_equal(d.yaw_rate[k], 0.0, 1e-8); // from the headings, not from the state
    }
    assert_float_equal(d.result.metric[NM_NUPLAN_COMFORT].worst, 1.44 / 2.40, 1e-8);
}

/// Turning at a constant rate, across the jump of the heading at pi; then with a constant acceleration.
static void yaw(hand_drive *d, double rate, double acceleration) {
    drive(d);
    for (int k = 0; k < 40; ++k) {
        const double t = 0.1 * k - 2.0;
        d->ego[k].heading = nm_wrap_angle_d(3.0 + rate * t + 0.5 * acceleration * t * t);
    }
    score(d);
}

static void test_yaw_bounds(void **state) {
    (void)state;
    hand_drive d;
    yaw(&d, 0.94999, 0.0);
    for (int k = 0; k < 40; ++k) assert_float_equal(d.yaw_rate[k], 0.94999, 1e-8);
    assert_float_equal(d.result.metric[NM_NUPLAN_YAW_RATE].value, 1.0, 0);
    yaw(&d, -0.95, 0.0);
    assert_float_equal(d.result.metric[NM_NUPLAN_YAW_RATE].value, 0.0, 0);
    assert_float_equal(d.result.metric[NM_NUPLAN_YAW_ACCEL].value, 1.0, 0);
    yaw(&d, 0.0, 1.92999); // a parabola: fitted exactly at every sample, edges included
    for (int k = 0; k < 40; ++k) assert_float_equal(d.yaw_accel[k], 1.92999, 1e-8);
    assert_float_equal(d.result.metric[NM_NUPLAN_YAW_ACCEL].value, 1.0, 0);
    yaw(&d, 0.0, -1.93);
    assert_float_equal(d.result.metric[NM_NUPLAN_YAW_ACCEL].value, 0.0, 0);
}

/// The yaw rate is fitted to 5 samples: a step of the heading between samples 19 and 20 by h gives, at sample 19, the
/// sum of k x[19 + k] over k = 1, 2: 3 h / (10 * 0.1) = 3 h; over 15 samples it would be 28 h / 28 = h.
static void test_yaw_window_is_5(void **state) {
    (void)state;
    hand_drive d;
    drive(&d);
    for (int k = 20; k < 40; ++k) d.ego[k].heading = 0.25;
    score(&d);
    assert_float_equal(d.yaw_rate[19], 0.75, 1e-8);
    assert_float_equal(d.yaw_rate[20], 0.75, 1e-8);
    assert_float_equal(d.yaw_rate[18], 0.5, 1e-8);
    assert_float_equal(d.yaw_rate[17], 0.0, 1e-8);
    assert_metric(&d, NM_NUPLAN_YAW_RATE, 1.0, 0.75, 19);
}

/// Acceleration that grows by 4.1 (and 4.2) m/s^3: the smoothing shifts all but the first and last four samples by half
/// a sample, so the first derivative is the slope j where its window of 15 sees only shifted ones, samples 11 .. 28,
/// and more where the jump of j dt / 2 lies in the window. Sample 7 sees its samples 0 .. 14, of which 4 .. 14 (k = -3
/// .. 7) are shifted: the sum of k is 22, so j (1 + 22 * 0.05 / (280 * 0.1)) = 1.0392857 j.
static void test_jerk(void **state) {
    (void)state;
    hand_drive d;
    drive(&d);
    for (int k = 0; k < 40; ++k) d.ego[k].ax = 0.41 * (k - 24) * 0.1; // 0.41 m/s^3
    score(&d);
    for (int k = 11; k <= 28; ++k) assert_float_equal(d.lon_jerk[k], 0.41, 2e-8);
    assert_float_equal(d.lon_jerk[7], 0.41 * (1.0 + 22.0 * 0.05 / 28.0), 2e-8);
    // the magnitude falls up to sample 24 although the jerk vector stays: both filters see only that up to sample 13
    for (int k = 11; k <= 13; ++k) assert_float_equal(d.jerk[k], -0.41, 2e-8);
    assert_float_equal(d.result.metric[NM_NUPLAN_LON_JERK].value, 1.0, 0);
}

/// Bounds of the jerks from both sides. A square wave of the rear axle's acceleration would do, but the filters mix; so
/// the series is scaled: the jerk is linear in it but for the rounding to 1e-8.
static double jerk_peak(nm_nuplan_metric which, double amplitude, hand_drive *d) {
    drive(d);
    for (int k = 0; k < 40; ++k) {
        d->ego[k].ax = which == NM_NUPLAN_LON_JERK ? amplitude * sin(0.35 * k) : amplitude * (1.0 + sin(0.35 * k));
        if (which == NM_NUPLAN_JERK) d->ego[k].ay = d->ego[k].ax, d->ego[k].ax = 0.0;
    }
    return fabs(score(d)->metric[which].worst);
}

static void test_jerk_bounds(void **state) {
    (void)state;
    hand_drive d;
    const double lon = NM_NUPLAN_LON_JERK_MAX / jerk_peak(NM_NUPLAN_LON_JERK, 1.0, &d);
    jerk_peak(NM_NUPLAN_LON_JERK, lon * (1.0 - 1e-6), &d);
    assert_float_equal(d.result.metric[NM_NUPLAN_LON_JERK].value, 1.0, 0);
    jerk_peak(NM_NUPLAN_LON_JERK, lon * (1.0 + 1e-6), &d);
    assert_float_equal(d.result.metric[NM_NUPLAN_LON_JERK].value, 0.0, 0);
    assert_float_equal(d.result.metric[NM_NUPLAN_COMFORT].value, 0.0, 0);
    const double any = NM_NUPLAN_JERK_MAX / jerk_peak(NM_NUPLAN_JERK, 1.0, &d);
    jerk_peak(NM_NUPLAN_JERK, any * (1.0 - 1e-6), &d);
    assert_float_equal(d.result.metric[NM_NUPLAN_JERK].value, 1.0, 0);
    jerk_peak(NM_NUPLAN_JERK, any * (1.0 + 1e-6), &d);
    assert_float_equal(d.result.metric[NM_NUPLAN_JERK].value, 0.0, 0);
    assert_float_equal(d.result.metric[NM_NUPLAN_LON_JERK].value, 1.0, 0); // ay is none of its business
}

/// The magnitude metric is d/dt |a|: an acceleration that turns around at a constant length has none, though its jerk
/// vector is 2 m/s^2 * 4 rad/s = 8 m/s^3 all the time.
static void test_jerk_is_of_the_magnitude(void **state) {
    (void)state;
    hand_drive d;
    drive(&d);
    for (int k = 0; k < 40; ++k) d.ego[k].ax = 2.0 * cos(0.4 * k), d.ego[k].ay = 2.0 * sin(0.4 * k);
    score(&d);
    for (int k = 0; k < 40; ++k) assert_float_equal(d.jerk[k], 0.0, 1e-7);
}

/// Derivatives divide by the mean of the real spacing: at 0.11 s a heading of 0.05 rad a sample is 0.4545 rad/s, and
/// jitter around the same mean changes nothing.
static void test_real_time_stamps(void **state) {
    (void)state;
    hand_drive d;
    drive(&d);
    for (int k = 0; k < 40; ++k) {
        d.ego[k].time_us = 5000000 + 110000 * (int64_t)k + (k % 39 ? 9000 * (k % 2 ? 1 : -1) : 0);
        d.ego[k].heading = 0.05 * k;
    }
    score(&d);
    for (int k = 0; k < 40; ++k) assert_float_equal(d.yaw_rate[k], 0.05 / 0.11, 1e-8);
}

/// Fewer samples than a window: the windows are cut; 4 are the fewest that a cubic can be fitted to.
static void test_short_series(void **state) {
    (void)state;
    hand_drive d;
    nm_error error;
    for (uint32_t n = 4; n < 16; ++n) {
        drive_east(&d, map, n, 10, 0, 5);
        for (uint32_t k = 0; k < n; ++k) d.ego[k].ax = 0.3 * k * 0.1, d.ego[k].heading = 0.02 * k;
        score(&d);
        for (uint32_t k = 0; k < n; ++k) assert_float_equal(d.yaw_rate[k], 0.2, 1e-8);
        // up to 8 samples all is edge, so that the ramp stays one: its slope is exact
        for (uint32_t k = 0; k < n && n <= 8; ++k) assert_float_equal(d.lon_accel[k], 0.03 * k, 1e-8);
        if (n <= 8) assert_float_equal(d.lon_jerk[n / 2], 0.3, 1e-6);
    }
    drive_east(&d, map, 3, 10, 0, 5);
    assert_int_equal(nm_nuplan_score(&d.view, &d.result, NULL, 0, NULL, &error), NM_E_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_savgol_reference),
        cmocka_unit_test(test_savgol_closed_forms),
        cmocka_unit_test(test_half_sample_shift),
        cmocka_unit_test(test_round_and_unwrap),
        cmocka_unit_test(test_acceleration_bounds),
        cmocka_unit_test(test_centre_acceleration),
        cmocka_unit_test(test_yaw_bounds),
        cmocka_unit_test(test_yaw_window_is_5),
        cmocka_unit_test(test_jerk),
        cmocka_unit_test(test_jerk_bounds),
        cmocka_unit_test(test_jerk_is_of_the_magnitude),
        cmocka_unit_test(test_real_time_stamps),
        cmocka_unit_test(test_short_series),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
