/// Criticality of pairs: numbers worked by hand on both sides of each threshold, and properties against oracles.
#include "criticality_support.h"

static nm_criticality_params params;

static void test_distance_and_overlap(void **state) {
    (void)state;
    nm_box a = car_at(0, 0, 0), b = car_at(10, 0, 0);
    assert_near(nm_box_distance(&a, &b), 6.0, 0); // 10 - 2 - 2
    b = car_at(7, 6, 0);                          // corners (2, 1) and (5, 5)
    assert_near(nm_box_distance(&a, &b), 5.0, 0);
    b = box_at(5, 0, 1.5707963267948966, 4, 2, 0); // crosswise: reaches to x = 4
    assert_near(nm_box_distance(&a, &b), 2.0, 1e-6);
    b = car_at(4, 2, 0); // corners touch
    assert_int_equal(nm_box_overlap(&a, &b), 1);
    assert_near(nm_box_distance(&a, &b), 0.0, 0);
    b = car_at(4.0001, 2, 0);
    assert_int_equal(nm_box_overlap(&a, &b), 0);
    assert_near(nm_box_distance(&a, &b), 0.0001, 1e-6);
    b = box_at(0, 0, 0.785398163397448, 1, 1, 0); // inside
    assert_int_equal(nm_box_overlap(&a, &b), 1);
    // a plus sign: no corner of either lies in the other
    a = box_at(0, 0, 0, 10, 1, 0), b = box_at(0, 0, 1.5707963267948966, 10, 1, 0);
    assert_int_equal(nm_box_overlap(&a, &b), 1);
    assert_near(nm_box_distance(&a, &b), 0.0, 0);
    // points: zero size
    a = box_at(0, 0, 0, 0, 0, 0), b = box_at(3, 4, 1, 0, 0, 0);
    assert_near(nm_box_distance(&a, &b), 5.0, 1e-6);
}

static void test_ttc(void **state) {
    (void)state;
    nm_box a = car_at(0, 0, 15), b = car_at(24, 0, 5); // gap 20, closing 10
    assert_near(nm_ttc(&a, &b, 10), 2.0, 0);
    assert_near(nm_ttc(&a, &b, 2.0f), 2.0, 0); // the horizon counts
    assert_near(nm_ttc(&a, &b, 1.99f), INFINITY, 0);
    b = car_at(24, 0, 15); // equal speeds
    assert_near(nm_ttc(&a, &b, 10), INFINITY, 0);
    b = car_at(24, 0, 16); // opening
    assert_near(nm_ttc(&a, &b, 10), INFINITY, 0);
    b = car_at(24, 0, -5); // backing up: 20 / 20
    assert_near(nm_ttc(&a, &b, 10), 1.0, 0);
    b = car_at(4, 0, 15); // touching
    assert_near(nm_ttc(&a, &b, 10), 0.0, 0);
    b = car_at(2, 0, 25); // overlapping, moving apart
    assert_near(nm_ttc(&a, &b, 10), 0.0, 0);
    b = car_at(24, 2.0, 5); // sides exactly in line: a graze is a touch
    assert_near(nm_ttc(&a, &b, 10), 2.0, 0);
    b = car_at(24, 2.001, 5);
    assert_near(nm_ttc(&a, &b, 10), INFINITY, 0);
    // crossing: b comes up from below to x in [19, 21]; a's front is there at (19 - 2) / 10 = 1.7 s and leaves at 2.3
    // s; b's front (y = -22 + 2) reaches a's side at (20 - 1) / 10 = 1.9 s
    a = car_at(0, 0, 10), b = box_at(20, -22, 1.5707963267948966, 4, 2, 10);
    assert_near(nm_ttc(&a, &b, 10), 1.9, 1e-6);
    b = box_at(20, -27, 1.5707963267948966, 4, 2, 10); // 0.5 s later: a's rear is gone at 2.3 s, b there at 2.4 s
    assert_near(nm_ttc(&a, &b, 10), INFINITY, 0);
}

static void test_ttc_projected(void **state) {
    (void)state;
    // gap 9.5, closing 10: 0.95 s, so the first multiple of 0.1 is 1.0
    nm_box a = car_at(0, 0, 15), b = car_at(13.5, 0, 5);
    assert_near(nm_ttc_projected(&a, &b, &params), 1.0, 1e-6);
    b = car_at(13.0, 0, 5); // 0.9 s exactly: touching counts
    assert_near(nm_ttc_projected(&a, &b, &params), 0.9, 1e-6);
    b = car_at(33.0, 0, 5); // 2.9 s is the last time tested
    assert_near(nm_ttc_projected(&a, &b, &params), 2.9, 1e-6);
    b = car_at(33.1, 0, 5);
    assert_near(nm_ttc_projected(&a, &b, &params), INFINITY, 0);
    // now is not looked at, but 0.1 s is
    b = car_at(2, 0, 5);
    assert_near(nm_ttc_projected(&a, &b, &params), 0.1, 1e-6);
    // overlaps now, passed by at 0.1 s: never
    a = box_at(0, 0, 0, 1, 1, 50), b = box_at(0.5, 0, 0, 1, 1, 0);
    assert_near(nm_ttc_projected(&a, &b, &params), INFINITY, 0);
    // too short to be met by the steps: overlap only from 0.11 s to 0.15 s
    b = box_at(6.5, 0, 0, 1, 1, 0); // |50 t - 6.5| <= 1
    assert_near(nm_ttc_projected(&a, &b, &params), INFINITY, 0);
    // a reversing box is projected forward: both drive off along +x at 5, nobody meets; backing up they would
    a = car_at(0, 0, 5), b = car_at(10, 0, -5);
    assert_near(nm_ttc_projected(&a, &b, &params), INFINITY, 0);
    assert_near(nm_ttc(&a, &b, 3), 0.6, 1e-6);
    // both stand, overlapping
    a = car_at(0, 0, 0.005), b = car_at(1, 0, 0);
    assert_near(nm_ttc_projected(&a, &b, &params), INFINITY, 0);
    a = car_at(0, 0, 0.006);
    assert_near(nm_ttc_projected(&a, &b, &params), 0.1, 1e-6);
}

static void test_following(void **state) {
    (void)state;
    nm_box a = car_at(0, 0, 15), b = car_at(24, 0, 5); // gap 20, closing 10
    nm_following f = nm_follow(&a, &b, &params);
    assert_int_equal(f.following, 1);
    assert_near(f.gap, 20, 0);
    assert_near(f.closing, 10, 0);
    assert_near(f.ttc, 2, 0);
    assert_near(f.ittc, 0.5, 0);
    assert_near(f.thw, 20.0 / 15, 1e-6);
    assert_near(f.drac, 100.0 / 40, 0);
    // 15 * 0.75 + 0.5 * 3 * 0.5625 + (15 + 2.25)^2 / 8 - 25 / 16 = 11.25 + 0.84375 + 37.1953125 - 1.5625
    assert_near(f.rss_gap, 47.7265625, 1e-5);
    f = nm_follow(&b, &a, &params); // the one ahead follows nobody
    assert_int_equal(f.following, 0);
    assert_near(f.gap, INFINITY, 0);
    assert_near(f.drac, 0, 0);
    assert_near(f.thw, INFINITY, 0);

    b = car_at(24, 0, 15); // equal speeds: headway but no closing
    f = nm_follow(&a, &b, &params);
    assert_near(f.ttc, INFINITY, 0);
    assert_near(f.ittc, 0, 0);
    assert_near(f.drac, 0, 0);
    assert_near(f.thw, 20.0 / 15, 1e-6);
    a = car_at(0, 0, 0), b = car_at(24, 0, -2); // standing behind one that backs up
    f = nm_follow(&a, &b, &params);
    assert_near(f.thw, INFINITY, 0);
    assert_near(f.ttc, 10, 0);
    // 0 + 0.84375 + 2.25^2 / 8 + 4 / 16 (the leader's square keeps its sign)
    assert_near(f.rss_gap, 0.84375 + 0.6328125 + 0.25, 1e-6);
    a = car_at(0, 0, 1), b = car_at(24, 0, 30); // far slower: the safe gap is not negative
    assert_near(nm_follow(&a, &b, &params).rss_gap, 0, 0);

    a = car_at(0, 0, 15);
    b = car_at(4, 0, 5); // touching is no following
    assert_int_equal(nm_follow(&a, &b, &params).following, 0);
    b = car_at(4.001, 0, 5);
    assert_int_equal(nm_follow(&a, &b, &params).following, 1);
    b = car_at(24, 2.0, 5); // just beside the swept width
    assert_int_equal(nm_follow(&a, &b, &params).following, 0);
    b = car_at(24, 1.99, 5);
    assert_int_equal(nm_follow(&a, &b, &params).following, 1);
    b = box_at(24, 0, 3.14159265, 4, 2, 5); // oncoming
    assert_int_equal(nm_follow(&a, &b, &params).following, 0);
    const double degree = 0.017453292519943295;
    b = box_at(24, 0, 74.9 * degree, 4, 2, 5);
    assert_int_equal(nm_follow(&a, &b, &params).following, 1);
    b = box_at(24, 0, 75.1 * degree, 4, 2, 5);
    assert_int_equal(nm_follow(&a, &b, &params).following, 0);
    // at 11 degrees half a metre of overlap is needed: lateral extents 1 + 2 sin + 1 cos = 2.3632
    b = box_at(24, 1.87, 11 * degree, 4, 2, 5);
    assert_int_equal(nm_follow(&a, &b, &params).following, 0);
    b = box_at(24, 1.86, 11 * degree, 4, 2, 5);
    assert_int_equal(nm_follow(&a, &b, &params).following, 1);
    b = box_at(24, 1.87, 9.9 * degree, 4, 2, 5);
    assert_int_equal(nm_follow(&a, &b, &params).following, 1);
}

static void test_rss(void **state) {
    (void)state;
    // side by side at rest: each reaches 0.15 / 2 * 0.75 + 0.15^2 / 1.6 = 0.05625 + 0.0140625
    nm_box a = car_at(0, 0, 15), b = car_at(24, 3.5, 15);
    const double still = 0.3 + 2 * 0.0703125;
    assert_near(nm_rss_lateral_gap(&a, &b, &params), still, 1e-6);
    b.vy = -1; // towards a: (1 + 1.15) / 2 * 0.75 + 1.15^2 / 1.6 = 0.80625 + 0.8265625
    assert_near(nm_rss_lateral_gap(&a, &b, &params), 0.3 + 0.0703125 + 1.6328125, 1e-6);
    assert_near(nm_rss_lateral_gap(&b, &a, &params), 0.3 + 0.0703125 + 1.6328125, 1e-6);
    b.vy = 5; // away: never below the margin
    assert_near(nm_rss_lateral_gap(&a, &b, &params), 0.3, 1e-6);

    // rear at 15, front at 15: 11.25 + 0.84375 + 37.1953125 - 225 / 16 = 35.2265625
    const double safe = 35.2265625;
    a = car_at(0, 0, 15);
    b = car_at(4 + safe - 0.01, 0, 15);
    assert_int_equal(nm_rss_dangerous(&a, &b, &params), 1);
    assert_int_equal(nm_rss_dangerous(&b, &a, &params), 1);
    b = car_at(4 + safe + 0.01, 0, 15);
    assert_int_equal(nm_rss_dangerous(&a, &b, &params), 0);
    b = car_at(24, 2 + still - 0.01, 15);
    assert_int_equal(nm_rss_dangerous(&a, &b, &params), 1);
    b = car_at(24, 2 + still + 0.01, 15);
    assert_int_equal(nm_rss_dangerous(&a, &b, &params), 0);

    // oncoming, 10 each: 2 * ((10 + 12.25) / 2 * 0.75 + 12.25^2 / 8) = 2 * (8.34375 + 18.7578125) = 54.203125
    a = car_at(0, 0, 10);
    b = box_at(4 + 54.19, 0, 3.14159265358979, 4, 2, 10);
    assert_int_equal(nm_rss_dangerous(&a, &b, &params), 1);
    b = box_at(4 + 54.21, 0, 3.14159265358979, 4, 2, 10);
    assert_int_equal(nm_rss_dangerous(&a, &b, &params), 0);
    b = box_at(-4.1, 0, 3.14159265358979, 4, 2, 10); // passed each other
    assert_int_equal(nm_rss_dangerous(&a, &b, &params), 0);
    b = box_at(-3.9, 0, 3.14159265358979, 4, 2, 10);
    assert_int_equal(nm_rss_dangerous(&a, &b, &params), 1);
    b = box_at(3, 0, 1.5707963267948966, 4, 2, 10); // crossing: not RSS's to say
    assert_int_equal(nm_rss_dangerous(&a, &b, &params), 0);
}

static void test_closest_approach(void **state) {
    (void)state;
    float ttce, dce;
    nm_box a = car_at(0, 0, 15), b = car_at(24, 3.5, 5); // passes at 1.5 m, alongside from 2.0 s on
    nm_closest_approach(&a, &b, 10, &ttce, &dce);
    assert_near(ttce, 2.0, 1e-6);
    assert_near(dce, 1.5, 1e-6);
    nm_closest_approach(&b, &a, 10, &ttce, &dce);
    assert_near(ttce, 2.0, 1e-6);
    nm_closest_approach(&a, &b, 1, &ttce, &dce); // still 10 m short: sqrt(10^2 + 1.5^2)
    assert_near(ttce, 1.0, 0);
    assert_near(dce, 10.1118742, 1e-5);
    b = car_at(24, 3.5, 15); // never nearer than now
    nm_closest_approach(&a, &b, 10, &ttce, &dce);
    assert_near(ttce, 0, 0);
    assert_near(dce, 20.0561711, 1e-5);
    b = car_at(24, 0, 5);
    nm_closest_approach(&a, &b, 10, &ttce, &dce);
    assert_near(ttce, 2.0, 0);
    assert_near(dce, 0.0, 0);
    b = car_at(-24, 0, 5); // moving apart
    nm_closest_approach(&a, &b, 10, &ttce, &dce);
    assert_near(ttce, 0, 0);
    assert_near(dce, 20, 0);
}

static void test_time_to_react(void **state) {
    (void)state;
    float ttb, tts, ttr;
    // 10 m/s towards a standing car, gap 20: brakes 100 / 16 = 6.25 m, so 13.75 m are left: 1.375 s.
    // Steering needs 2 m to the side by 2.0 s: sqrt(2 * 2 / 6) = 0.8165 s before
    nm_box a = car_at(0, 0, 10), b = car_at(24, 0, 0);
    nm_time_to_react(&a, &b, &params, &ttb, &tts, &ttr);
    assert_near(ttb, 1.375, 1e-6);
    assert_near(tts, 2.0 - 0.81649658, 1e-6);
    assert_near(ttr, 1.375, 1e-6);
    // behind one that drives 6: closing 4, gap 20, contact at 5 s; braking off 4 m/s takes 16 / 16 = 1 m: 19 / 4
    b = car_at(24, 0, 6);
    nm_time_to_react(&a, &b, &params, &ttb, &tts, &ttr);
    assert_near(ttb, 4.75 - 0.0, 1e-6);
    // ... the relative speed is 0 after 0.5 s more; steering by 5 s
    assert_near(tts, 5.0 - 0.81649658, 1e-6);
    // the one ahead can not brake away from who follows, but steer
    nm_time_to_react(&b, &a, &params, &ttb, &tts, &ttr);
    assert_near(ttb, 0, 0);
    assert_near(tts, 5.0 - 0.81649658, 1e-6);
    assert_near(ttr, tts, 0);
    // offset by 1.5 m to the left: half a metre to the right is enough: sqrt(2 * 0.5 / 6)
    b = car_at(24, 1.5, 0);
    nm_time_to_react(&a, &b, &params, &ttb, &tts, &ttr);
    assert_near(tts, 2.0 - 0.40824829, 1e-6);
    assert_near(ttr, tts, 0);
    // crossing wide truck: a (10 m/s) reaches x = 19 at 1.7 s; the truck covers the road from 1 s to 4 s. Stopping is
    // the only way: braking way 6.25, so 10.75 m from now
    b = box_at(20, -22, 1.5707963267948966, 22, 2, 10);
    nm_time_to_react(&a, &b, &params, &ttb, &tts, &ttr);
    assert_near(ttb, 1.075, 1e-5);
    // too late: gap 5 < 6.25 and 0.5 s < 0.8165 s
    b = car_at(9, 0, 0);
    nm_time_to_react(&a, &b, &params, &ttb, &tts, &ttr);
    assert_near(ttb, 0, 0);
    assert_near(tts, 0, 0);
    assert_near(ttr, 0, 0);
    // no conflict; overlapping; standing
    b = car_at(24, 3, 0);
    nm_time_to_react(&a, &b, &params, &ttb, &tts, &ttr);
    assert_near(ttb, INFINITY, 0);
    assert_near(tts, INFINITY, 0);
    assert_near(ttr, INFINITY, 0);
    b = car_at(1, 0, 0);
    nm_time_to_react(&a, &b, &params, &ttb, &tts, &ttr);
    assert_near(ttr, 0, 0);
    b = car_at(24, 0, 0);
    nm_time_to_react(&b, &a, &params, &ttb, &tts, &ttr);
    assert_near(ttr, 0, 0);
    // beyond the horizon: 101 m at 10 m/s
    b = car_at(105, 0, 0);
    nm_time_to_react(&a, &b, &params, &ttb, &tts, &ttr);
    assert_near(ttr, INFINITY, 0);
}

static void test_distance_against_samples(void **state) {
    (void)state;
    draws from = draws_of(1);
    for (int i = 0; i < 2000; i++) {
        nm_box a = random_box(&from, 8), b = random_box(&from, 8);
        double sampled = sampled_distance(&a, &b, 40), exact = nm_box_distance(&a, &b);
        assert_near(exact, nm_box_distance(&b, &a), 1e-6);
        if (nm_box_overlap(&a, &b)) {
            assert_near(exact, 0, 0);
            continue;
        }
        // samples are 0.2 m apart at most: the nearest is within 0.1 m along the outline
        if (exact > sampled + 1e-5 || sampled > exact + 0.1) fail_msg("distance %g, sampled %g", exact, sampled);
    }
}

/// Distance is convex in time, so its sampled minimum bounds the true one: between two samples it can not be below the
/// least sample by more than half a step at the relative speed.
static void test_sweep_against_time_steps(void **state) {
    (void)state;
    draws from = draws_of(2);
    int hits = 0;
    for (int i = 0; i < 1200; i++) {
        nm_box a = random_box(&from, 15), b = random_box(&from, 15);
        const double horizon = 6.0, step = 0.01;
        double relative = hypot(a.vx - b.vx, a.vy - b.vy), least = INFINITY, first = INFINITY;
        for (int k = 0; k <= 600; k++) {
            nm_box ma = moved(a, k * step), mb = moved(b, k * step);
            double distance = nm_box_distance(&ma, &mb);
            if (distance < least) least = distance;
            if (distance == 0 && first == INFINITY) first = k * step;
        }
        float ttc = nm_ttc(&a, &b, (float)horizon), ttce, dce;
        nm_closest_approach(&a, &b, (float)horizon, &ttce, &dce);
        hits += first < INFINITY;
        if (first < INFINITY) {
            if (!(ttc <= first + 1e-4 && ttc >= first - step - 1e-4)) fail_msg("ttc %g, stepped %g", ttc, first);
            assert_near(ttce, ttc, 0);
            assert_near(dce, 0, 0);
        } else {
            // a hit between the steps must be a short one
            if (ttc < INFINITY && least > 0.5 * step * relative + 1e-4)
                fail_msg("ttc %g, least distance %g", ttc, least);
            if (dce > least + 1e-4 || dce < least - 0.5 * step * relative - 1e-4)
                fail_msg("dce %g, stepped %g", dce, least);
            nm_box ma = moved(a, ttce), mb = moved(b, ttce);
            assert_near(nm_box_distance(&ma, &mb), dce, 1e-4);
        }
        // nuPlan's definition, literally
        float projected = nm_ttc_projected(&a, &b, &params), expected = INFINITY;
        double sa = hypot(a.vx, a.vy), sb = hypot(b.vx, b.vy);
        for (int k = 29; k >= 1; k--) {
            nm_box pa = a, pb = b;
            pa.x += (float)(sa * k * 0.1 * a.cos_h), pa.y += (float)(sa * k * 0.1 * a.sin_h);
            pb.x += (float)(sb * k * 0.1 * b.cos_h), pb.y += (float)(sb * k * 0.1 * b.sin_h);
            if (nm_box_overlap(&pa, &pb)) expected = (float)(k * 0.1);
        }
        if (fabs(projected - expected) > 1e-5 && projected != expected)
            fail_msg("projected %g, stepped %g", projected, expected);
    }
    printf("%d hits\n", hits);
    assert_true(hits > 100);
}

static void test_symmetry_and_frames(void **state) {
    (void)state;
    draws from = draws_of(3);
    for (int i = 0; i < 2000; i++) {
        nm_box a = random_box(&from, 30), b = random_box(&from, 30);
        double angle = draw(&from, -3, 3), dx = draw(&from, -200, 200), dy = draw(&from, -200, 200);
        nm_box c = placed(a, angle, dx, dy), d = placed(b, angle, dx, dy);
        assert_near(nm_ttc(&a, &b, 10), nm_ttc(&b, &a, 10), 1e-5);
        assert_near(nm_ttc_projected(&a, &b, &params), nm_ttc_projected(&b, &a, &params), 0);
        assert_near(nm_rss_lateral_gap(&a, &b, &params), nm_rss_lateral_gap(&b, &a, &params), 1e-4);
        assert_int_equal(nm_rss_dangerous(&a, &b, &params), nm_rss_dangerous(&b, &a, &params));
        assert_near(nm_box_distance(&a, &b), nm_box_distance(&c, &d), 2e-4);
        float ttce, dce, moved_ttce, moved_dce;
        nm_closest_approach(&a, &b, 5, &ttce, &dce);
        nm_closest_approach(&c, &d, 5, &moved_ttce, &moved_dce);
        assert_near(dce, moved_dce, 1e-3);
        if (dce < 0.01f) continue; // a graze may become a miss
        float first = nm_ttc(&a, &b, 5), second = nm_ttc(&c, &d, 5);
        assert_near(first, second, 1e-2);
    }
}

/// Drives `self` through the evasion and says whether it hits.
static int evasion_hits(const nm_box *self, const nm_box *other, double begin, int kind) {
    double speed = hypot(self->vx, self->vy), ux = self->vx / speed, uy = self->vy / speed;
    for (int k = 0; k <= 2000; k++) {
        double t = k * 0.005, since = t > begin ? t - begin : 0, accel = kind == 0 ? 8.0 : 6.0;
        double ramp = speed / accel;
        double q = since <= ramp ? 0.5 * accel * since * since : speed * since - 0.5 * speed * ramp;
        double ex = kind == 0 ? -ux : kind == 1 ? -uy : uy, ey = kind == 0 ? -uy : kind == 1 ? ux : -ux;
        nm_box a = moved(*self, t), b = moved(*other, t);
        a.x += (float)(q * ex), a.y += (float)(q * ey);
        if (nm_box_overlap(&a, &b)) return 1;
    }
    return 0;
}

static void test_last_moments_against_driving(void **state) {
    (void)state;
    draws from = draws_of(4);
    int braked = 0, steered = 0;
    for (int i = 0; i < 20000 && braked + steered < 240; i++) {
        nm_box a = random_box(&from, 40), b = random_box(&from, 40);
        if (nm_ttc(&a, &b, 10) == INFINITY || nm_box_overlap(&a, &b)) continue;
        float ttb, tts, ttr;
        nm_time_to_react(&a, &b, &params, &ttb, &tts, &ttr);
        assert_true(ttb <= nm_ttc(&a, &b, 10) && tts <= nm_ttc(&a, &b, 10));
        assert_near(ttr, ttb > tts ? ttb : tts, 0);
        if (ttb > 0.03f) {
            assert_int_equal(evasion_hits(&a, &b, ttb - 0.03, 0), 0);
            assert_int_equal(evasion_hits(&a, &b, 0.3 * ttb, 0), 0); // earlier is never worse
            braked++;
        }
        if (tts > 0.03f) {
            assert_true(!evasion_hits(&a, &b, tts - 0.03, 1) || !evasion_hits(&a, &b, tts - 0.03, 2));
            steered++;
        }
        // later is too late, unless the conflict is but a graze
        int late = evasion_hits(&a, &b, ttb + 0.06, 0) && evasion_hits(&a, &b, tts + 0.06, 1) &&
                   evasion_hits(&a, &b, tts + 0.06, 2);
        nm_box slim_a = a, slim_b = b;
        slim_a.length *= 0.9f, slim_a.width *= 0.9f, slim_b.length *= 0.9f, slim_b.width *= 0.9f;
        if (nm_ttc(&slim_a, &slim_b, 9) < INFINITY && !late)
            fail_msg("still evades 0.06 s after ttb %g, tts %g (case %d)", ttb, tts, i);
    }
    printf("%d braked, %d steered\n", braked, steered);
    assert_true(braked > 100 && steered > 100);
}

/// Nothing is NaN, whatever the boxes.
static void test_degenerate_boxes(void **state) {
    (void)state;
    const nm_box kinds[] = {
        car_at(0, 0, 0),
        car_at(0, 0, 10),
        box_at(0, 0, 1, 0, 0, 0),
        box_at(0, 0, 2, 0, 0, 5),
        box_at(0, 0, 0, 4, 0, 3),
        box_at(0, 0, 0, -1, -1, 3),
        box_at(5, 0, 0, 0, 0, -5),
        car_at(1e6, 0, 10),
        car_at(5, 0, 1e-20),
        car_at(-5, 0, 1e30),
        box_at(0, 5, 0, 1e6, 1e6, 1),
        box_at(4, 2, 3.1415927, 4, 2, 7),
    };
    const size_t count = sizeof kinds / sizeof kinds[0];
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            const nm_box *a = &kinds[i], *b = &kinds[j];
            float ttce, dce, ttb, tts, ttr;
            nm_closest_approach(a, b, 10, &ttce, &dce);
            nm_time_to_react(a, b, &params, &ttb, &tts, &ttr);
            nm_following f = nm_follow(a, b, &params);
            nm_collision c = nm_classify_collision(a, b, NM_AGENT_CAR, NM_AGENT_TRUCK, &params);
            const float all[] = {nm_box_distance(a, b),
                                 nm_ttc(a, b, 10),
                                 nm_ttc_projected(a, b, &params),
                                 nm_rss_lateral_gap(a, b, &params),
                                 ttce,
                                 dce,
                                 ttb,
                                 tts,
                                 ttr,
                                 f.gap,
                                 f.closing,
                                 f.ttc,
                                 f.ittc,
                                 f.thw,
                                 f.drac,
                                 f.rss_gap,
                                 c.impact_speed,
                                 c.first_delta_v,
                                 c.second_delta_v,
                                 c.x,
                                 c.y};
            (void)nm_rss_dangerous(a, b, &params);
            for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
                if (isnan(all[k])) fail_msg("value %zu of boxes %zu and %zu is NaN", k, i, j);
        }
}

int main(void) {
    params = nm_criticality_params_default();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distance_and_overlap),
        cmocka_unit_test(test_ttc),
        cmocka_unit_test(test_ttc_projected),
        cmocka_unit_test(test_following),
        cmocka_unit_test(test_rss),
        cmocka_unit_test(test_closest_approach),
        cmocka_unit_test(test_time_to_react),
        cmocka_unit_test(test_distance_against_samples),
        cmocka_unit_test(test_sweep_against_time_steps),
        cmocka_unit_test(test_symmetry_and_frames),
        cmocka_unit_test(test_last_moments_against_driving),
        cmocka_unit_test(test_degenerate_boxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
