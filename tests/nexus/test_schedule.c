/// Schedules: their definition, what holds for any delays, and their names.
#include "support.h"

#include "base/rng.h"
#include "nexus/schedule.h"

static uint32_t draw(uint64_t seed, uint32_t *counter, uint32_t bound) {
    const nm_rng_key key = {.seed = seed, .purpose = NM_PURPOSE_TEST};
    return nm_rng_below(&key, (*counter)++, bound);
}

static nm_schedule random_schedule(uint64_t seed, uint32_t *counter) {
    nm_schedule schedule = {.kind = (nm_schedule_kind)draw(seed, counter, 5)};
    schedule.slope = draw(seed, counter, 400) / 37.0;
    schedule.block = 1 + draw(seed, counter, 9);
    return schedule;
}

static void delays_follow_their_definition(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint32_t counter = 0;
        const nm_schedule s = random_schedule(seed, &counter);
        const int levels = 1 + (int)draw(seed, &counter, 100), window = 1 + (int)draw(seed, &counter, 30);
        for (int t = 0; t < window; t++) {
            const int far = window - 1 - t;
            const int expected[] = {0, levels * t, (int)floor(s.slope * t), (int)floor(s.slope * fmin(t, far)),
                                    levels * (t / (int)s.block)};
            assert_int_equal(nm_schedule_delay(&s, (uint32_t)levels, (uint32_t)t, (uint32_t)window), expected[s.kind]);
        }
    }
    const nm_schedule far = {.kind = NM_SCHEDULE_AUTOREGRESSIVE};
    assert_int_equal(nm_schedule_delay(&far, 4000, 4000000, 4000001), NM_SCHEDULE_MAX_DELAY);
    const uint32_t time[3] = {2, 2, 2};
    const int32_t own[3] = {INT32_MAX, NM_SCHEDULE_MAX_DELAY - 7, NM_SCHEDULE_MAX_DELAY - 9};
    int32_t delay[3]; // 8 of the schedule, and so much more
    nm_schedule_delays(&far, 4, 3, time, 0, 3, own, delay);
    assert_int_equal(delay[0], NM_SCHEDULE_MAX_DELAY);
    assert_int_equal(delay[1], NM_SCHEDULE_MAX_DELAY);
    assert_int_equal(delay[2], NM_SCHEDULE_MAX_DELAY - 1);
}

/// For every schedule and any delays: starts at S, ends at 0, never rises, falls by at most one level a pass.
static void levels_fall_one_by_one(void **state) {
    (void)state;
    enum { TOKENS = 40 };
    for (uint64_t seed = 1; seed <= 100; seed++) {
        uint32_t counter = 0;
        const nm_schedule schedule = random_schedule(seed, &counter);
        const uint32_t levels = 1 + draw(seed, &counter, 64), first = draw(seed, &counter, 4);
        const uint32_t end = first + 1 + draw(seed, &counter, 12);
        uint32_t time[TOKENS];
        int32_t own[TOKENS], delay[TOKENS], plain[TOKENS];
        for (int n = 0; n < TOKENS; n++) {
            time[n] = draw(seed, &counter, end);
            own[n] = (int32_t)draw(seed, &counter, 20);
        }
        nm_schedule_delays(&schedule, levels, TOKENS, time, first, end, NULL, plain);
        nm_schedule_delays(&schedule, levels, TOKENS, time, first, end, own, delay);
        const int64_t passes = nm_schedule_passes(levels, TOKENS, delay);
        int last = 0;
        for (int n = 0; n < TOKENS; n++) {
            assert_int_equal(delay[n], plain[n] + own[n]);
            const uint32_t t = time[n] < first ? 0 : time[n] - first;
            assert_int_equal(plain[n], nm_schedule_delay(&schedule, levels, t, end - first));
            uint32_t before = nm_schedule_level(levels, delay[n], 0);
            assert_int_equal(before, levels);
            for (int64_t pass = 1; pass <= passes; pass++) {
                const uint32_t level = nm_schedule_level(levels, delay[n], pass);
                assert_true(level == before || level + 1 == before);
                last |= pass == passes && before == 1;
                before = level;
            }
            assert_int_equal(before, 0);
        }
        assert_true(last); // no pass too many
    }
    assert_int_equal(nm_schedule_passes(32, 0, NULL), 0);
}

static void names_are_read_and_written(void **state) {
    (void)state;
    static const char *const same[] = {"full",
                                       "ar",
                                       "pyramid:2",
                                       "pyramid:0.1",
                                       "trapezoid:1.5",
                                       "trapezoid:0",
                                       "block:4",
                                       "block:65535",
                                       "pyramid:0.3333333333333333"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        nm_schedule schedule;
        nm_error error;
        char text[64];
        assert_int_equal(nm_schedule_parse(same[i], &schedule, &error), NM_OK);
        assert_int_equal(nm_schedule_format(&schedule, text, sizeof text), strlen(same[i]));
        assert_string_equal(text, same[i]);
    }
    nm_schedule schedule;
    assert_int_equal(nm_schedule_parse("autoregressive", &schedule, NULL), NM_OK);
    assert_int_equal(schedule.kind, NM_SCHEDULE_AUTOREGRESSIVE);
    assert_int_equal(nm_schedule_parse("pyramid", &schedule, NULL), NM_OK);
    assert_true(schedule.kind == NM_SCHEDULE_PYRAMID && schedule.slope == 1.0);
    assert_int_equal(nm_schedule_parse("trapezoid", &schedule, NULL), NM_OK);
    assert_true(schedule.kind == NM_SCHEDULE_TRAPEZOID && schedule.slope == 1.0);
}

static void errors_say_what_is_wrong(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"pyrmid:2", "did you mean \"pyramid\""},
        {"", "no schedule \"\""},
        {"zigzag", "known are full"},
        {"full:1", "full takes no number"},
        {"ar:", "takes no number"},
        {"pyramid:", "not a number"},
        {"pyramid:-1", "not a number"},
        {"pyramid:nan", "not a number"},
        {"pyramid:1.2.3", "not a number"},
        {"pyramid:5000", "outside 0..4095"},
        {"trapezoid:1e9", "not a number"},
        {"block", "needs its size"},
        {"block:0", "outside 1..65535"},
        {"block:2.5", "not a whole number"},
        {"block:4x", "\"4x\" is not a number"},
        {"FULL", "no schedule \"FULL\""},
        {"pyramid :2", "did you mean"},
        {"a\033[2Jb", "\\x1b"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nm_schedule schedule = {.kind = NM_SCHEDULE_BLOCK, .block = 77};
        nm_error error;
        assert_int_equal(nm_schedule_parse(bad[i][0], &schedule, &error), NM_E_ARGUMENT);
        if (!strstr(error.message, bad[i][1])) fail_msg("\"%s\" gave: %s", bad[i][0], error.message);
        assert_int_equal(schedule.block, 77);
    }
}

static jmp_buf out_of_range;
static void jump_out(const char *condition, const char *file, int line) {
    (void)condition, (void)file, (void)line;
    longjmp(out_of_range, 1);
}

/// Fields left at 0 or made of nonsense are a caller's bug that is found at once: no division by zero, no odd delays.
static void fields_out_of_range_are_asserted(void **state) {
    (void)state;
    static const nm_schedule bad[] = {{.kind = NM_SCHEDULE_BLOCK, .slope = 1.0},
                                      {.kind = NM_SCHEDULE_PYRAMID, .slope = -1.0},
                                      {.kind = NM_SCHEDULE_PYRAMID, .slope = (double)NAN},
                                      {.kind = NM_SCHEDULE_TRAPEZOID, .slope = 4096.0}};
    nm_set_assert_handler(jump_out);
    for (volatile size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (setjmp(out_of_range)) continue;
        nm_schedule_delay(&bad[i], 8, 2, 4);
        nm_set_assert_handler(NULL);
        fail_msg("schedule %d was taken", (int)i);
    }
    nm_set_assert_handler(NULL);
    const nm_schedule unused = {.kind = NM_SCHEDULE_FULL, .slope = (double)NAN}; // of no meaning there
    assert_int_equal(nm_schedule_delay(&unused, 8, 2, 4), 0);
}

static void the_picture_shows_the_matrix(void **state) {
    (void)state;
    char text[256];
    const nm_schedule pyramid = {.kind = NM_SCHEDULE_PYRAMID, .slope = 2.0};
    assert_int_equal(nm_schedule_draw(&pyramid, 2, 3, 100, text, sizeof text), 3 * 8);
    assert_string_equal(text, "#5.....\n###5...\n#####5.\n");
    assert_int_equal(nm_schedule_draw(&pyramid, 2, 3, 3, text, sizeof text), 3 * 4);
    assert_string_equal(text, "#..\n#5.\n##.\n");
    const nm_schedule full = {.kind = NM_SCHEDULE_FULL};
    nm_schedule_draw(&full, 20, 1, 100, text, sizeof text); // 95 % is not full noise
    assert_string_equal(text, "#9998877665544332211.\n");
    assert_int_equal(nm_schedule_draw(&pyramid, 2, 3, 100, text, 6), 3 * 8);
    assert_string_equal(text, "#5...");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_follow_their_definition), cmocka_unit_test(levels_fall_one_by_one),
        cmocka_unit_test(names_are_read_and_written),     cmocka_unit_test(errors_say_what_is_wrong),
        cmocka_unit_test(the_picture_shows_the_matrix),   cmocka_unit_test(fields_out_of_range_are_asserted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
