/// Planners in several worlds, against what is worked out by hand.
#include "support.h"

#include "scenarios/evaluation_worlds.h"

#define SCENES 8u

static nm_results_row done(int64_t scene, double score) {
    nm_results_row row = {.scene = scene, .name = "n", .type = "t"};
    row.episode.outcome = NM_EPISODE_DONE;
    row.episode.score.score = score;
    row.episode.score.metric[NM_NUPLAN_COLLISIONS].value = score > 0.0;
    row.episode.score.metric[NM_NUPLAN_PROGRESS].value = score / 2;
    row.episode.danger = nm_episode_no_danger();
    row.episode.worst = "";
    return row;
}

/// Three planners in two worlds of one store and in one of another.
typedef struct stage {
    nm_results_row rows[3][3][SCENES];
    nm_evaluation_entrant entrants[3][3];
    nm_evaluation_summary summaries[3];
    nm_evaluation_world worlds[3];
    nm_evaluation_comparison comparison;
    nm_arena *arena;
} stage;

/// score[world][planner] + spread of alternating sign: an interval that leaves out 0 where the planners' differences
/// are larger than it.
static void set_up(stage *s, const double score[3][3]) {
    static const char *const names[3] = {"a", "b", "c"};
    s->arena = nm_arena_create(0);
    for (int w = 0; w < 3; ++w) {
        for (int p = 0; p < 3; ++p) {
            for (uint32_t i = 0; i < SCENES; ++i)
                s->rows[w][p][i] = done(i + 1, score[w][p] + (p == 1 ? (i % 2 ? 0.1 : -0.1) : 0.0));
            s->entrants[w][p] = (nm_evaluation_entrant){.planner = names[p], .rows = s->rows[w][p], .count = SCENES};
        }
        s->worlds[w] = (nm_evaluation_world){.store = w < 2 ? "one.db" : "two.db",
                                             .agents = w == 1 ? NM_EPISODE_IDM : NM_EPISODE_LOG,
                                             .entrants = s->entrants[w],
                                             .summary = &s->summaries[w]};
    }
}

static void compare(stage *s) {
    for (int w = 0; w < 3; ++w)
        assert_int_equal(nm_evaluation_summarize(s->entrants[w], 3, NULL, s->arena, &s->summaries[w], NULL), NM_OK);
    assert_int_equal(nm_evaluation_compare(s->worlds, 3, NULL, s->arena, &s->comparison, NULL), NM_OK);
}

/// World 0: a 0.9, b 0.5 +- 0.1, c 0.5: pairs ab apart (0.4), ac apart, bc tie (means equal but for rounding).
/// World 1: a 0.5, b 0.5 +- 0.1, c 0.9: ab tie, ac apart the other way round, bc apart (b below c).
/// World 2: as world 0 with b lower: 0.3: ab, ac, bc all apart, c above b.
static const double usual[3][3] = {{0.9, 0.5, 0.5}, {0.5, 0.5, 0.9}, {0.9, 0.3, 0.5}};

static void rankings(void **state) {
    (void)state;
    stage s;
    set_up(&s, usual);
    compare(&s);
    const nm_evaluation_pair *pairs = s.summaries[0].pairs;
    assert_int_equal(nm_evaluation_apart(&pairs[0]), 1);
    assert_int_equal(nm_evaluation_apart(&pairs[1]), 1);
    assert_int_equal(nm_evaluation_apart(&pairs[2]), 0);
    assert_int_equal(nm_evaluation_apart(&s.summaries[1].pairs[1]), -1);
    assert_int_equal(s.comparison.agreement_count, 3);
    const nm_evaluation_agreement *a = &s.comparison.agreements[0]; // worlds 0 and 1
    assert_true(a->first == 0 && a->second == 1);
    // orders +, +, 0 and 0, -, -: one product, of opposite signs; two pairs are ordered in each
    assert_float_equal(a->tau, -1.0 / 2.0, 1e-12);
    assert_float_equal(a->tau_apart, -1.0 / 2.0, 1e-12);
    assert_true(a->same == 0 && a->opposite == 1 && a->only_first == 1 && a->only_second == 1 && a->neither == 0);
    a = &s.comparison.agreements[1]; // 0 and 2: +, +, 0 and +, +, -
    assert_true(a->first == 0 && a->second == 2);
    assert_float_equal(a->tau, 2.0 / sqrt(2.0 * 3.0), 1e-12);
    assert_true(a->same == 2 && a->opposite == 0 && a->only_first == 0 && a->only_second == 1);
    a = &s.comparison.agreements[2]; // 1 and 2: 0, -, - and +, +, -
    assert_float_equal(a->tau, 0.0, 1e-12);
    assert_true(a->same == 1 && a->opposite == 1);
    nm_arena_destroy(s.arena);
}

/// ab ties in 1 and is apart in 0 and 2; bc ties in 0 and is apart in 1 and 2.
static void who_is_told_apart_where(void **state) {
    (void)state;
    static const nm_evaluation_split wanted[4] = {{0, 1, 0}, {0, 1, 2}, {2, 0, 1}, {2, 0, 2}};
    stage s;
    set_up(&s, usual);
    compare(&s);
    assert_int_equal(s.comparison.split_count, 4);
    assert_memory_equal(s.comparison.splits, wanted, sizeof wanted);
    nm_arena_destroy(s.arena);
}

/// Means differ where intervals do not: tau of the means is 1, of what is apart none can be said.
static void nothing_is_apart(void **state) {
    (void)state;
    static const double near[3][3] = {{0.51, 0.50, 0.51}, {0.52, 0.50, 0.52}, {0.5, 0.5, 0.5}};
    stage s;
    set_up(&s, near);
    compare(&s);
    const nm_evaluation_agreement *a = &s.comparison.agreements[0];
    assert_float_equal(a->tau, 1.0, 1e-12);
    assert_true(isnan(a->tau_apart));
    assert_int_equal(a->neither, 3);
    assert_true(isnan(s.comparison.agreements[1].tau)); // all equal in world 2
    assert_int_equal(s.comparison.split_count, 0);
    nm_arena_destroy(s.arena);
}

/// Only worlds of one store can be compared scene by scene.
static void shifts(void **state) {
    (void)state;
    stage s;
    set_up(&s, usual);
    s.rows[1][0][0] = done(1, 0.0);                     // a collision: score 0 and no progress
    s.rows[1][0][1].episode.outcome = NM_EPISODE_UNFIT; // counts in neither
    s.rows[1][0][2].episode.outcome = NM_EPISODE_FAILED;
    s.rows[0][0][7].scene = 99; // not in both
    s.rows[1][2][3] = done(4, 1.0);
    compare(&s);
    assert_int_equal(s.comparison.shift_count, 3);
    const nm_evaluation_shift *a = &s.comparison.shifts[0], *b = &s.comparison.shifts[1];
    assert_true(a->planner == 0 && a->from == 0 && a->to == 1);
    // scenes 1, 3 .. 7: -0.9 twice, -0.4 four times
    assert_int_equal(a->scenes, 6);
    assert_float_equal(a->score.value, -3.4 / 6.0, 1e-12);
    assert_float_equal(a->collisions.value, -2.0 / 6.0, 1e-12);
    assert_float_equal(a->progress.value, -1.7 / 6.0, 1e-12);
    assert_true(a->score.low >= -0.9 - 1e-12 && a->score.low < a->score.value && a->score.high <= -0.4 + 1e-12);
    assert_true(b->planner == 1 && b->scenes == 8);
    assert_float_equal(b->score.value, 0.0, 1e-12); // the same scene by scene, whatever they spread
    assert_true(b->score.low == b->score.high);
    assert_float_equal(s.comparison.shifts[2].score.value, (7 * 0.4 + 0.5) / 8.0, 1e-12);
    nm_arena_destroy(s.arena);
}

/// Rows of two worlds belong together where scene and adversary are the same; rows of one scene are no independent
/// ones.
static void shifts_against_adversaries(void **state) {
    (void)state;
    stage s;
    set_up(&s, usual);
    static const char *const kinds[2] = {"cut_in", "tailgate"};
    for (uint32_t i = 0; i < SCENES; ++i) {
        s.rows[0][0][i] = done(i / 2 + 1, i % 2 ? 1.0 : 0.5);
        s.rows[1][0][i] = done(i / 2 + 1, i % 2 ? 0.9 : 0.7);
        s.rows[0][0][i].adversary = s.rows[1][0][i].adversary = kinds[i % 2];
    }
    // of the last scene there is only one kind in each world, and not the same
    s.entrants[0][0].count = SCENES - 1;
    s.rows[1][0][SCENES - 2] = s.rows[1][0][SCENES - 1];
    s.entrants[1][0].count = SCENES - 1;
    compare(&s);
    const nm_evaluation_shift *a = &s.comparison.shifts[0];
    assert_int_equal(a->scenes, 6);
    assert_float_equal(a->score.value, 0.05, 1e-12); // +0.2, -0.1 in each of three scenes
    assert_int_equal(a->score.groups, 3);
    assert_float_equal(a->score.low, 0.05, 1e-9);
    assert_float_equal(a->score.high, 0.05, 1e-9);
    nm_arena_destroy(s.arena);
}

static void one_world_or_none(void **state) {
    (void)state;
    stage s;
    set_up(&s, usual);
    compare(&s);
    assert_int_equal(nm_evaluation_compare(s.worlds, 1, NULL, s.arena, &s.comparison, NULL), NM_OK);
    assert_int_equal(s.comparison.shift_count + s.comparison.agreement_count + s.comparison.split_count, 0);
    assert_int_equal(nm_evaluation_compare(NULL, 0, NULL, s.arena, &s.comparison, NULL), NM_OK);
    nm_arena_destroy(s.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rankings), cmocka_unit_test(who_is_told_apart_where),    cmocka_unit_test(nothing_is_apart),
        cmocka_unit_test(shifts),   cmocka_unit_test(shifts_against_adversaries), cmocka_unit_test(one_world_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
