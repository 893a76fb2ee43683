#include "support.h"

#include "scenarios/evaluation_summary.h"

static nm_results_row done(int64_t scene, const char *type, double score) {
    nm_results_row row = {.scene = scene, .name = "n", .type = type};
    row.episode.outcome = NM_EPISODE_DONE;
    row.episode.score.score = score;
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) row.episode.score.metric[m].value = 1.0;
    row.episode.min_ttc = INFINITY;
    row.episode.min_distance = INFINITY;
    row.episode.worst = "";
    row.episode.danger = nm_episode_no_danger();
    return row;
}

static nm_results_row other(int64_t scene, const char *type, nm_episode_outcome outcome) {
    nm_results_row row = done(scene, type, 0.0);
    memset(&row.episode.score, 0, sizeof row.episode.score);
    row.episode.outcome = outcome;
    return row;
}

static void distributions(void **state) {
    (void)state;
    double values[] = {4.0, 1.0, 3.0, 2.0};
    nm_distribution d = nm_distribution_of(values, 4);
    assert_int_equal(d.count, 4);
    assert_float_equal(d.mean, 2.5, 1e-12);
    assert_float_equal(d.deviation, sqrt(5.0 / 3.0), 1e-12);
    assert_float_equal(d.least, 1.0, 0);
    assert_float_equal(d.p05, 1.15, 1e-12); // 0.05 * 3 = 0.15 between the first and the second
    assert_float_equal(d.p25, 1.75, 1e-12);
    assert_float_equal(d.median, 2.5, 1e-12);
    assert_float_equal(d.p75, 3.25, 1e-12);
    assert_float_equal(d.p95, 3.85, 1e-12);
    assert_float_equal(d.most, 4.0, 0);
    d = nm_distribution_of(values + 3, 1);
    assert_float_equal(d.mean, 4.0, 0);
    assert_float_equal(d.p05, 4.0, 0);
    assert_float_equal(d.p95, 4.0, 0);
    assert_true(isnan(d.deviation));
    d = nm_distribution_of(values, 0);
    assert_int_equal(d.count, 0);
    assert_true(isnan(d.mean) && isnan(d.median) && isnan(d.most));
}

/// Two planners: the first fails in scene 3 and collides in scene 5, nobody can drive scene 4, the second lacks scene 4
/// and cannot drive scene 5, the first never saw scene 6.
typedef struct stage {
    nm_results_row a[5], b[5];
    nm_evaluation_entrant entrants[2];
    nm_arena *arena;
    nm_evaluation_summary summary;
} stage;

static void collide(nm_episode *e, uint32_t at, nm_nuplan_class which, nm_nuplan_type type, int at_fault) {
    e->collisions[at] = (nm_nuplan_collision){.collision_class = (uint8_t)which,
                                              .type = (uint8_t)type,
                                              .at_fault = (uint8_t)at_fault,
                                              .step = at,
                                              .track = at};
    e->collision_count = at + 1;
}

static void set_up(stage *s) {
    *s = (stage){.a = {done(1, "cut_in", 1.0), done(2, "cut_in", 0.5), other(3, "brake", NM_EPISODE_FAILED),
                       other(4, "brake", NM_EPISODE_UNFIT), done(5, "brake", 0.8)},
                 .b = {done(1, "cut_in", 0.9), done(2, "cut_in", 0.5), done(3, "brake", 0.4),
                       other(5, "brake", NM_EPISODE_UNFIT), done(6, "aaa", 1.0)}};
    s->a[0].episode.min_ttc = 2.0f;
    s->a[1].episode.min_ttc = 1.0f;
    s->a[2].episode.min_ttc = 0.1f; // failed: not driven to the end
    s->a[0].episode.plan_mean = 0.001;
    s->a[1].episode.plan_mean = 0.003;
    s->a[1].episode.plan_max = 0.5;
    s->a[3].episode.plan_max = 9.0; // unfit: does not count
    s->a[1].episode.score.metric[NM_NUPLAN_COMFORT].value = 0.0;
    s->a[4].episode.score.metric[NM_NUPLAN_COLLISIONS].value = 0.0;
    collide(&s->a[4].episode, 0, NM_NUPLAN_ACTIVE_REAR, NM_NUPLAN_VEHICLE, 0);
    collide(&s->a[4].episode, 1, NM_NUPLAN_ACTIVE_FRONT, NM_NUPLAN_PEDESTRIAN, 1);
    collide(&s->a[4].episode, 2, NM_NUPLAN_ACTIVE_FRONT, NM_NUPLAN_VEHICLE, 1);
    s->entrants[0] = (nm_evaluation_entrant){"a", s->a, 5, NULL};
    s->entrants[1] = (nm_evaluation_entrant){"b", s->b, 5, NULL};
    s->arena = nm_arena_create(0);
    assert_non_null(s->arena);
    assert_int_equal(nm_evaluation_summarize(s->entrants, 2, NULL, s->arena, &s->summary, NULL), NM_OK);
}

static void sums(void **state) {
    (void)state;
    stage s;
    set_up(&s);
    const nm_evaluation_sum *a = &s.summary.planners[0];
    assert_int_equal(a->all.scenes, 4);
    assert_int_equal(a->all.failed, 1);
    assert_int_equal(a->all.unfit, 1);
    assert_int_equal(a->all.collided, 1);
    assert_float_equal(a->all.score, 0.575, 1e-12); // (1 + 0.5 + 0 + 0.8) / 4
    assert_float_equal(a->score.mean, 0.575, 1e-12);
    assert_float_equal(a->score.median, 0.65, 1e-12);
    assert_float_equal(a->mean.value, 0.575, 1e-12);
    assert_true(a->mean.low < 0.575 && a->mean.high > 0.575 && a->mean.low >= 0.0 && a->mean.high <= 1.0);
    assert_float_equal(a->all.metric[NM_NUPLAN_COMFORT], 0.5, 1e-12);    // scene 2 and the failed one
    assert_float_equal(a->all.metric[NM_NUPLAN_COLLISIONS], 0.5, 1e-12); // scene 5 and the failed one
    assert_float_equal(a->all.metric[NM_NUPLAN_DRIVABLE_AREA], 0.75, 1e-12);
    assert_int_equal(a->by_class[NM_NUPLAN_ACTIVE_FRONT][1], 2);
    assert_int_equal(a->by_class[NM_NUPLAN_ACTIVE_FRONT][0], 0);
    assert_int_equal(a->by_class[NM_NUPLAN_ACTIVE_REAR][0], 1);
    assert_int_equal(a->by_type[NM_NUPLAN_PEDESTRIAN][1], 1);
    assert_int_equal(a->by_type[NM_NUPLAN_VEHICLE][0], 1);
    assert_int_equal(a->by_type[NM_NUPLAN_VEHICLE][1], 1);
    assert_int_equal(a->min_ttc.count, 2);
    assert_float_equal(a->min_ttc.median, 1.5, 1e-12);
    assert_int_equal(a->no_ttc, 1);
    assert_int_equal(a->plan_mean.count, 4);
    assert_float_equal(a->plan_mean.mean, 0.001, 1e-12);
    assert_float_equal(a->plan_most, 0.5, 1e-12);
    nm_arena_destroy(s.arena);
}

static void types(void **state) {
    (void)state;
    stage s;
    set_up(&s);
    assert_int_equal(s.summary.type_count, 3);
    assert_string_equal(s.summary.types[0], "aaa");
    assert_string_equal(s.summary.types[1], "brake");
    assert_string_equal(s.summary.types[2], "cut_in");
    const nm_evaluation_part *a = s.summary.planners[0].types, *b = s.summary.planners[1].types;
    assert_int_equal(a[0].scenes, 0);
    assert_true(isnan(a[0].score));
    assert_int_equal(a[1].scenes, 2);
    assert_int_equal(a[1].failed, 1);
    assert_int_equal(a[1].unfit, 1);
    assert_int_equal(a[1].collided, 1);
    assert_float_equal(a[1].score, 0.4, 1e-12);
    assert_float_equal(a[2].score, 0.75, 1e-12);
    assert_float_equal(b[0].score, 1.0, 1e-12);
    assert_float_equal(b[1].score, 0.4, 1e-12);
    assert_int_equal(b[1].unfit, 1);
    nm_arena_destroy(s.arena);
}

static void pairs(void **state) {
    (void)state;
    stage s;
    set_up(&s);
    assert_int_equal(s.summary.pair_count, 1);
    const nm_evaluation_pair *p = &s.summary.pairs[0];
    assert_int_equal(p->first, 0);
    assert_int_equal(p->second, 1);
    assert_int_equal(p->scenes, 3); // 1, 2, 3
    assert_int_equal(p->wins, 1);
    assert_int_equal(p->ties, 1);
    assert_int_equal(p->losses, 1);
    assert_float_equal(p->difference.value, -0.1, 1e-12); // (0.1 + 0 - 0.4) / 3
    // Of the 27 resamples one is all 0.1 and one all -0.4: 3.7 %, more than the 2.5 % of the interval's ends
    assert_float_equal(p->difference.low, -0.4, 1e-12);
    assert_float_equal(p->difference.high, 0.1, 1e-12);
    nm_evaluation_summary again;
    assert_int_equal(nm_evaluation_summarize(s.entrants, 2, NULL, s.arena, &again, NULL), NM_OK);
    assert_memory_equal(&again.pairs[0], p, sizeof *p);
    nm_arena_destroy(s.arena);
}

/// Scenes 1, 2 and 4 are of one recording, 3 and 5 of another. A resample draws two of two groups: both, or one twice,
/// each of these in a quarter of them, so that the interval ends at the groups' own means.
static void groups(void **state) {
    (void)state;
    stage s;
    set_up(&s);
    const uint32_t of_a[5] = {4, 4, 1, 4, 1}, of_b[5] = {4, 4, 1, 1, 0};
    s.entrants[0].group = of_a;
    s.entrants[1].group = of_b;
    assert_int_equal(nm_evaluation_summarize(s.entrants, 2, NULL, s.arena, &s.summary, NULL), NM_OK);
    const nm_estimate *mean = &s.summary.planners[0].mean, *apart = &s.summary.pairs[0].difference;
    assert_int_equal(mean->groups, 2);
    assert_float_equal(mean->value, 0.575, 1e-12);
    assert_float_equal(mean->low, 0.4, 1e-12);   // (0 + 0.8) / 2
    assert_float_equal(mean->high, 0.75, 1e-12); // (1 + 0.5) / 2
    assert_int_equal(apart->groups, 2);
    assert_float_equal(apart->value, -0.1, 1e-12);
    assert_float_equal(apart->low, -0.4, 1e-12);
    assert_float_equal(apart->high, 0.05, 1e-12);
    assert_int_equal(s.summary.planners[1].mean.groups, 3); // 0.9, 0.5; 0.4; 1
    nm_arena_destroy(s.arena);
}

/// Of scenes driven to the end: 2 s, none, not measured; speeds are 0 where there was nobody.
static void danger(void **state) {
    (void)state;
    stage s;
    set_up(&s);
    s.a[0].episode.danger = nm_ego_criticality_none();
    s.a[0].episode.danger.value[NM_EGO_TTC] = 2.0f;
    s.a[0].episode.danger.value[NM_EGO_CLOSING] = 8.0f;
    s.a[1].episode.danger = nm_ego_criticality_none();
    s.a[2].episode.danger = nm_ego_criticality_none(); // it failed
    assert_int_equal(nm_evaluation_summarize(s.entrants, 2, NULL, s.arena, &s.summary, NULL), NM_OK);
    const nm_evaluation_sum *a = &s.summary.planners[0], *b = &s.summary.planners[1];
    assert_int_equal(a->measured, 2);
    assert_int_equal(a->danger[NM_EGO_TTC].count, 1);
    assert_float_equal(a->danger[NM_EGO_TTC].median, 2.0, 1e-12);
    assert_int_equal(a->danger[NM_EGO_CLOSING].count, 2);
    assert_float_equal(a->danger[NM_EGO_CLOSING].mean, 4.0, 1e-12);
    assert_int_equal(a->danger[NM_EGO_PET].count, 0);
    assert_true(b->measured == 0 && isnan(b->danger[NM_EGO_DRAC].mean));
    nm_arena_destroy(s.arena);
}

/// The same scenes against two kinds: sums by kind, and pairs that meet the same adversary.
static void adversaries(void **state) {
    (void)state;
    nm_results_row a[4] = {done(1, "x", 0.5), done(1, "x", 1.0), done(2, "x", 0.0), other(2, "x", NM_EPISODE_UNFIT)};
    nm_results_row b[3] = {done(1, "x", 0.25), done(2, "x", 0.5), done(2, "x", 0.75)};
    a[0].adversary = a[2].adversary = b[1].adversary = "cut_in";
    a[1].adversary = a[3].adversary = b[0].adversary = b[2].adversary = "tailgate";
    a[0].episode.staged = a[0].episode.met = a[2].episode.staged = a[2].episode.met = 1;
    a[0].episode.avoid = NM_AVOID_AVOIDABLE;
    a[2].episode.avoid = NM_AVOID_UNAVOIDABLE;
    a[1].episode.avoid = NM_AVOID_AVOIDABLE; // a conflict that the planner solved
    const nm_evaluation_entrant entrants[2] = {{"a", a, 4, NULL}, {"b", b, 3, NULL}};
    nm_arena *arena = nm_arena_create(0);
    nm_evaluation_summary s;
    assert_int_equal(nm_evaluation_summarize(entrants, 2, NULL, arena, &s, NULL), NM_OK);
    assert_int_equal(s.adversary_count, 2);
    assert_string_equal(s.adversaries[0], "cut_in");
    assert_string_equal(s.adversaries[1], "tailgate");
    const nm_evaluation_part *cut_in = &s.planners[0].adversaries[0], *tailgate = &s.planners[0].adversaries[1];
    assert_true(cut_in->scenes == 2 && cut_in->staged == 2 && cut_in->met == 2 && cut_in->avoidable == 1);
    assert_float_equal(cut_in->score, 0.25, 1e-12);
    assert_true(tailgate->scenes == 1 && tailgate->unfit == 1 && !tailgate->staged && !tailgate->avoidable);
    assert_int_equal(s.planners[0].all.met, 2);
    // (1, tailgate): 1 - 0.25; (2, cut_in): 0 - 0.5; (2, tailgate) is unfit for the first
    assert_int_equal(s.pairs[0].scenes, 2);
    assert_float_equal(s.pairs[0].difference.value, 0.125, 1e-12);
    // without groups a scene is one, whoever was steered in it
    assert_true(s.planners[0].mean.groups == 2 && s.planners[1].mean.groups == 2 && s.pairs[0].difference.groups == 2);
    assert_true(nm_evaluation_row_order(&a[0], &a[1]) < 0 && nm_evaluation_row_order(&a[1], &a[2]) < 0);
    nm_arena_destroy(arena);
}

/// Nobody has a score; a planner without rows; no planners.
static void nothing(void **state) {
    (void)state;
    nm_results_row rows[2] = {other(1, "x", NM_EPISODE_UNFIT), other(2, "x", NM_EPISODE_UNFIT)};
    const nm_evaluation_entrant entrants[2] = {{"a", rows, 2, NULL}, {"b", NULL, 0, NULL}};
    nm_evaluation_summary summary;
    nm_arena *arena = nm_arena_create(0);
    assert_int_equal(nm_evaluation_summarize(entrants, 2, NULL, arena, &summary, NULL), NM_OK);
    assert_int_equal(summary.planners[0].all.unfit, 2);
    assert_true(isnan(summary.planners[0].all.score) && isnan(summary.planners[0].mean.low));
    assert_true(isnan(summary.planners[1].all.score) && isnan(summary.planners[1].plan_most));
    assert_int_equal(summary.pairs[0].scenes, 0);
    assert_true(isnan(summary.pairs[0].difference.value));
    size_t worst[2];
    assert_int_equal(nm_evaluation_worst(&entrants[0], 2, worst), 0);
    assert_int_equal(nm_evaluation_summarize(NULL, 0, NULL, arena, &summary, NULL), NM_OK);
    assert_int_equal(summary.planner_count + summary.pair_count + summary.type_count, 0);
    nm_bootstrap_config wrong = nm_bootstrap_config_default();
    wrong.draws = 0;
    rows[0] = done(1, "x", 1.0);
    assert_int_equal(nm_evaluation_summarize(entrants, 1, &wrong, arena, &summary, NULL), NM_E_ARGUMENT);
    nm_arena_destroy(arena);
}

/// Failed scenes count as 0, perfect and unfit ones are not among them, ties keep the order of scenes.
static void worst(void **state) {
    (void)state;
    stage s;
    set_up(&s);
    size_t rows[8];
    assert_int_equal(nm_evaluation_worst(&s.entrants[0], 8, rows), 3);
    assert_int_equal(rows[0], 2);
    assert_int_equal(rows[1], 1);
    assert_int_equal(rows[2], 4);
    assert_int_equal(nm_evaluation_worst(&s.entrants[0], 1, rows), 1);
    assert_int_equal(rows[0], 2);
    s.a[4].episode.score.score = 0.5; // as scene 2, but with collisions at fault
    assert_int_equal(nm_evaluation_worst(&s.entrants[0], 8, rows), 3);
    assert_int_equal(rows[1], 4);
    assert_int_equal(rows[2], 1);
    collide(&s.a[1].episode, 0, NM_NUPLAN_ACTIVE_FRONT, NM_NUPLAN_VEHICLE, 1);
    s.a[1].episode.collisions[0].energy = 3.0;
    s.a[4].episode.collisions[0].energy = 9.0; // not at fault
    s.a[4].episode.collisions[2].energy = 2.0;
    assert_int_equal(nm_evaluation_worst(&s.entrants[0], 8, rows), 3);
    assert_int_equal(rows[1], 1);
    s.a[4].episode.collisions[1].energy = 3.5;
    assert_int_equal(nm_evaluation_worst(&s.entrants[0], 8, rows), 3);
    assert_int_equal(rows[1], 4);
    s.a[1].episode.collisions[0].energy = 3.5; // a tie in everything
    assert_int_equal(nm_evaluation_worst(&s.entrants[0], 8, rows), 3);
    assert_int_equal(rows[1], 1);
    nm_arena_destroy(s.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distributions), cmocka_unit_test(sums),   cmocka_unit_test(types),
        cmocka_unit_test(groups),        cmocka_unit_test(danger), cmocka_unit_test(pairs),
        cmocka_unit_test(nothing),       cmocka_unit_test(worst),  cmocka_unit_test(adversaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
