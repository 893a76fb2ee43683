/// Guidance looks only at what can move; what comes out is, to the bit, what its definition says.
#include "guidance_support.h"

#include "guidance_slow.h"

static nm_guidance *guidance_of(const nm_test_crowd *c) {
    nm_guidance *g;
    nm_error error;
    if (nm_guidance_create(&c->config, &g, &error)) fail_msg("%s", error.message);
    nm_guidance_set_scenes(g, c->scenes, c->in.scene_count);
    assert_int_equal(nm_guidance_set_adversaries(g, c->adversaries, c->adversary_count, &error), NM_OK);
    return g;
}

/// Compares both on the crowd; returns how many tokens were changed.
static uint32_t compare(const nm_test_crowd *c, const uint8_t *held) {
    nm_guidance *fast = guidance_of(c), *slow = guidance_of(c);
    float *got = nm_test_crowd_copy(c), *expected = nm_test_crowd_copy(c);
    assert_int_equal(nm_guidance_apply(fast, &c->in, got, NULL), NM_OK);
    nm_slow_guidance(slow, &c->in, held, expected);
    const uint32_t changed = nm_test_crowd_compare(c, expected, got, 0.0);
    nm_guidance_destroy(fast);
    nm_guidance_destroy(slow);
    free(got);
    free(expected);
    return changed;
}

static const nm_test_crowd_shape shapes[] = {
    {1, 1, 12, 0, 1, 0}, {1, 9, 8, 0, 1, 4}, {5, 6, 7, 0, 1, 9},   {4, 6, 5, 1, 1, 8},
    {3, 8, 7, 0, 0, 6},  {2, 5, 1, 1, 1, 1}, {1, 120, 2, 1, 1, 0}, // the last has more pairs than there is room for
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/// As a schedule may leave it: `finished` times of each agent, more or less, are clean, and `moving` more move.
static void set_front(nm_test_crowd *c, uint32_t finished, uint32_t moving, uint8_t *moves) {
    for (uint32_t n = 0; n < c->in.count; n++) {
        const uint32_t begin = finished + c->scene[n] + c->agent[n] % 2; // scenes begin at times of their own
        c->level[n] = c->time[n] < begin ? 0.0f : c->time[n] + 1 < begin + moving ? 0.5f : 1.0f;
        moves[n] = c->time[n] >= begin && c->time[n] < begin + moving;
    }
    c->in.moves = moves;
}

/// What guidance.h says of `ahead`, token by token.
static void find_held(const nm_test_crowd *c, uint8_t *held) {
    for (uint32_t n = 0; n < c->in.count; n++) {
        int any = 0, before_all = 1, exempt = 0;
        for (uint32_t k = 0; k < c->in.count; k++) {
            if (c->scene[k] != c->scene[n] || !c->in.moves[k]) continue;
            any = 1;
            before_all &= c->time[n] > c->time[k] && c->time[n] - c->time[k] > c->config.ahead;
        }
        for (uint32_t i = 0; i < c->adversary_count && c->config.adversarial > 0.0f; i++) {
            const nm_adversary *a = &c->adversaries[i];
            uint32_t contact = n; // the path is that around the contact: no gap lies between
            if (a->scene != c->scene[n] || (a->ego != c->agent[n] && a->adversary != c->agent[n])) continue;
            while (c->time[contact] < a->time && contact + 1 < c->in.count && c->agent[contact + 1] == c->agent[n] &&
                   c->scene[contact + 1] == c->scene[n] && c->time[contact + 1] == c->time[contact] + 1)
                contact++;
            while (c->time[contact] > a->time && contact > 0 && c->agent[contact - 1] == c->agent[n] &&
                   c->scene[contact - 1] == c->scene[n] && c->time[contact - 1] == c->time[contact] - 1)
                contact--;
            exempt |= c->time[contact] == a->time;
        }
        held[n] = !exempt && any && before_all && c->level[n] == 1.0f && !c->in.moves[n];
    }
}

static void every_bit_is_that_of_the_definition(void **state) {
    (void)state;
    uint32_t changed[NM_TEST_TERMS] = {0};
    for (int s = 0; s < SHAPES; s++) {
        nm_test_crowd crowd;
        nm_test_crowd_begin(&crowd, &shapes[s], 20 + (uint64_t)s);
        uint8_t *held = calloc(crowd.in.count, 1);
        for (int term = 0; term < NM_TEST_TERMS; term++) {
            nm_test_crowd_strength(&crowd, term, 0.6f);
            crowd.config.window = 1 + (uint32_t)(term + s) % 4;
            crowd.config.iterations = s % 2 ? 15 : 4;
            crowd.config.min_speed = s % 3 ? 0.7f : 8.0f;
            changed[term] += compare(&crowd, held);
            crowd.config.window = 1;
            changed[term] += compare(&crowd, held);
        }
        free(held);
        nm_test_crowd_end(&crowd);
    }
    for (int term = 0; term < NM_TEST_TERMS; term++) {
        if (changed[term] < 20) fail_msg("term %d was hardly tested: it changed %u tokens", term, changed[term]);
    }
}

static void also_where_a_schedule_has_finished_some_of_it(void **state) {
    (void)state;
    uint32_t changed = 0;
    for (int s = 0; s < SHAPES; s++) {
        nm_test_crowd crowd;
        nm_test_crowd_begin(&crowd, &shapes[s], 40 + (uint64_t)s);
        uint8_t *held = calloc(crowd.in.count, 1), *moves = calloc(crowd.in.count, 1);
        nm_test_crowd_strength(&crowd, 5, 0.8f);
        for (uint32_t finished = 0; finished <= shapes[s].times; finished++) {
            set_front(&crowd, finished, 2, moves);
            crowd.config.window = 1 + finished % 3;
            changed += compare(&crowd, held);
            crowd.config.ahead = NM_GUIDANCE_NO_LIMIT - 1; // nothing is so far ahead
            changed += compare(&crowd, held);
            crowd.config.ahead = NM_GUIDANCE_NO_LIMIT;
        }
        free(held);
        free(moves);
        nm_test_crowd_end(&crowd);
    }
    assert_true(changed > 200);
}

static void noise_far_ahead_stays_and_is_minded(void **state) {
    (void)state;
    uint32_t changed = 0, stayed = 0, exempt = 0;
    for (int s = 0; s < SHAPES; s++) {
        nm_test_crowd crowd;
        nm_test_crowd_begin(&crowd, &shapes[s], 60 + (uint64_t)s);
        uint8_t *held = calloc(crowd.in.count, 1), *moves = calloc(crowd.in.count, 1);
        for (uint32_t finished = 0; finished <= shapes[s].times; finished++) {
            nm_test_crowd_strength(&crowd, (int)finished % 2 ? 5 : (int)finished % 5, 0.8f);
            set_front(&crowd, finished, 1 + finished % 2, moves);
            crowd.config.ahead = finished % 3;
            crowd.config.window = 1 + (finished + (uint32_t)s) % 2;
            find_held(&crowd, held);
            changed += compare(&crowd, held);
            for (uint32_t n = 0; n < crowd.in.count; n++) {
                stayed += held[n];
                exempt += crowd.adversary_count > 0 && crowd.config.adversarial > 0.0f && !held[n] && !moves[n] &&
                          crowd.level[n] == 1.0f;
            }
        }
        free(held);
        free(moves);
        nm_test_crowd_end(&crowd);
    }
    assert_true(changed > 100 && stayed > 200 && exempt > 50);
}

static void all_are_guided_where_it_is_not_known_what_moves(void **state) {
    (void)state;
    nm_test_crowd crowd;
    nm_test_crowd_begin(&crowd, &shapes[3], 5);
    uint8_t *held = calloc(crowd.in.count, 1), *moves = calloc(crowd.in.count, 1);
    nm_test_crowd_strength(&crowd, 2, 0.8f);
    crowd.config.ahead = 0;
    set_front(&crowd, 0, 1, moves);
    crowd.in.moves = NULL;
    assert_true(compare(&crowd, held) > 20);
    memset(moves, 0, crowd.in.count); // nothing moves: nobody says where the front is
    crowd.in.moves = moves;
    assert_true(compare(&crowd, held) > 20);
    free(held);
    free(moves);
    nm_test_crowd_end(&crowd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_is_that_of_the_definition),
        cmocka_unit_test(also_where_a_schedule_has_finished_some_of_it),
        cmocka_unit_test(noise_far_ahead_stays_and_is_minded),
        cmocka_unit_test(all_are_guided_where_it_is_not_known_what_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
