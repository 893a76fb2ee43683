// Hard brakings of any length.
#include "test_detect_support.h"

// From 28 m/s with 6 m/s^2: for half a second, for the 2.5 s over which the mean is judged, and for longer, to the
// standstill and to a lower speed.
static void long_brakings_are_found_as_short_ones_are(void **state) {
    (void)state;
    const double until[] = {24, 13, 10, 6, 0};
    for (size_t i = 0; i < sizeof until / sizeof *until; i++) {
        world w;
        double speeds[STEPS_MAX];
        memset(&w, 0, sizeof w);
        w.map = MAP_HIGHWAY;
        w.steps = 110;
        profile(speeds, w.steps, 28, 30, -6, until[i]);
        straight(&w, add_car(&w), 100, 0, 0, speeds);
        found f = detect(&w, &(placing){0});
        const nm_event *event = event_of(&f, NM_KIND_HARD_BRAKE);
        if (28 - until[i] < 7.5) { // a mean of less than 3 m/s^2 over 2.5 s
            assert_null(event);
        } else {
            assert_non_null(event);
            assert_int_equal(agent_of(&f, event->actor), 0);
            assert_true(fabs((double)(event->last_step - event->first_step) * DT - (28 - until[i]) / 6) < 0.6);
        }
        release(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(long_brakings_are_found_as_short_ones_are)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
