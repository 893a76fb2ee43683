/// sim/math.h against libm in double.
#include "support.h"

#include "sim/math.h"

static void test_sincos_sweep(void **state) {
    (void)state;
    double worst = 0.0;
    for (int i = -200000; i <= 200000; i++) {
        float x = (float)i * 0.05000123f;
        float s, c;
        nm_sincosf(x, &s, &c);
        worst = fmax(worst, fmax(fabs(s - sin((double)x)), fabs(c - cos((double)x))));
    }
    assert_true(worst <= 1e-7);
    float s, c;
    nm_sincosf(0.0f, &s, &c);
    assert_true(s == 0.0f && c == 1.0f);
}

static void test_sincos_small_angles_keep_relative_precision(void **state) {
    (void)state;
    for (float x = 1e-6f; x < 0.7f; x *= 1.37f) {
        float s, c;
        nm_sincosf(x, &s, &c);
        assert_true(fabs(s - sin((double)x)) <= 2.5e-7 * sin((double)x));
        nm_sincosf(-x, &s, &c);
        assert_true(fabs(s + sin((double)x)) <= 2.5e-7 * sin((double)x));
    }
}

static void test_atan2_sweep(void **state) {
    (void)state;
    double worst = 0.0;
    for (int i = -31400; i <= 31400; i++) {
        for (double r = 1e-3; r < 1e5; r *= 97.0) {
            float x = (float)(r * cos(i * 1e-4)), y = (float)(r * sin(i * 1e-4));
            worst = fmax(worst, fabs(nm_atan2f(y, x) - atan2((double)y, (double)x)));
        }
    }
    assert_true(worst <= 3e-7);
    assert_true(nm_atan2f(0.0f, 0.0f) == 0.0f);
    assert_true(nm_atan2f(0.0f, 1.0f) == 0.0f);
    assert_true(nm_atan2f(0.0f, -1.0f) == NM_PI_F);
    assert_true(nm_atan2f(-0.0f, -1.0f) == NM_PI_F);
    assert_true(nm_atan2f(-1e-12f, -1.0f) == NM_PI_F); // -pi is not in the range
    assert_true(nm_atan2f(1.0f, 0.0f) == NM_HALF_PI_F);
    assert_true(nm_atan2f(-1.0f, 0.0f) == -NM_HALF_PI_F);
}

static void test_wrap_angle(void **state) {
    (void)state;
    assert_true(nm_wrap_angle(NM_PI_F) == NM_PI_F);
    assert_true(nm_wrap_angle(-NM_PI_F) == NM_PI_F);
    assert_true(nm_wrap_angle(0.1f) == 0.1f);
    assert_true(nm_wrap_angle(nextafterf(-NM_PI_F, 0.0f)) == nextafterf(-NM_PI_F, 0.0f));
    for (int i = -100000; i <= 100000; i++) {
        float x = (float)i * 0.1000017f;
        float w = nm_wrap_angle(x);
        assert_true(w > -NM_PI_F && w <= NM_PI_F);
        double error = remainder((double)w - (double)x, 2.0 * NM_PI);
        assert_true(fabs(error) < 1e-6);
        double d = nm_wrap_angle_d((double)x);
        assert_true(d > -NM_PI && d <= NM_PI);
        assert_true(fabs(remainder(d - (double)x, 2.0 * NM_PI)) < 1e-9);
    }
    assert_true(fabs(nm_wrap_angle_d(1e300)) <= NM_PI);
    assert_true(nm_wrap_angle_d(-NM_PI) == NM_PI);
}

static void test_clamp(void **state) {
    (void)state;
    assert_true(nm_clampf(3.0f, -1.0f, 2.0f) == 2.0f);
    assert_true(nm_clampf(-3.0f, -1.0f, 2.0f) == -1.0f);
    assert_true(nm_clampf(0.5f, -1.0f, 2.0f) == 0.5f);
    assert_true(nm_nearest(2.5f) == 2.0f && nm_nearest(-3.5f) == -4.0f && nm_nearest(0.49f) == 0.0f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sincos_sweep), cmocka_unit_test(test_sincos_small_angles_keep_relative_precision),
        cmocka_unit_test(test_atan2_sweep),  cmocka_unit_test(test_wrap_angle),
        cmocka_unit_test(test_clamp),
    };
    return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
