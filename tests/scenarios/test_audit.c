/// The audit: for every check a scene that breaks it and nothing else, quantities against closed forms, agreement with
/// the filter, rows that lie, whole sets, and a planner on trial.
#include <unistd.h>

#include "scenarios/audit.h"
#include "scenarios/corner_set.h"
#include "scenarios/kinds_measure.h"
#include "scenarios/planner_trial.h"
#include "sim/builtin.h"

#include "test_breaches.h" // last: its names are short

#define WIDE 1e9f

// --- scenes ----------------------------------------------------------------------------------------------------------

/// A request that everything fits. cut_out has nothing that its adversary may do against the rules.
static nm_audit_case anything(nm_kind kind, nm_severity severity) {
    nm_audit_case c = {.kind = kind,
                       .severity = severity,
                       .ego = (uint32_t)t.ego,
                       .adversary = (uint32_t)t.adversary,
                       .staged = {(uint32_t)t.adversary},
                       .staged_count = 1,
                       .danger = (uint32_t)t.adversary};
    for (int i = 0; i < NM_KIND_MAX_PARAMS; i++) c.range[i] = (nm_kind_range){-WIDE, WIDE};
    const int at = nm_kind_param_index(kind, NM_PARAM_MIN_TTC);
    if (at >= 0) c.range[at].high = INFINITY;
    return c;
}

static void ask(nm_audit_case *c, nm_kind_param_id id, float low, float high) {
    const int at = nm_kind_param_index(c->kind, id);
    assert_true(at >= 0);
    c->range[at] = (nm_kind_range){low, high};
    c->given |= 1u << at;
}

static nm_audit_report audit_scene(const nm_scene *scene, const nm_audit_case *about, uint32_t begin) {
    nm_audit_case from = *about;
    nm_audit_report report;
    nm_error error;
    nm_error_clear(&error);
    nm_arena *arena = nm_arena_create(0);
    from.begin = begin;
    if (nm_audit_scene(scene, &from, arena, &report, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_arena_used(arena), 0);
    nm_arena_destroy(arena);
    return report;
}

static nm_audit_report audit_at(const placing *where, const nm_audit_case *about) {
    const nm_scene *scene = build_scene(&t.world, where);
    const nm_audit_report report = audit_scene(scene, about, BEGIN);
    nm_scene_destroy(scene);
    return report;
}

static uint64_t broken(const nm_audit_report *report) {
    uint64_t bits = 0;
    for (int i = 0; i < NM_AUDIT_COUNT; i++)
        if (report->found[i].result == NM_AUDIT_BROKEN) bits |= 1ull << i;
    return bits;
}

static void expect_broken(const nm_audit_report *report, uint64_t expected, const char *what) {
    if (broken(report) == expected) return;
    for (int i = 0; i < NM_AUDIT_COUNT; i++)
        print_error("  %-22s %d %.4g (limit %.4g) track %u step %u\n", nm_audit_name((nm_audit_check)i),
                    (int)report->found[i].result, report->found[i].value, report->found[i].limit,
                    report->found[i].track, report->found[i].step);
    fail_msg("%s: %llx broken, expected %llx", what, (unsigned long long)broken(report), (unsigned long long)expected);
}

// --- limits ----------------------------------------------------------------------------------------------------------

/// Names and numbers are those of the verdicts.
static void limits_are_those_of_the_filter(void **state) {
    (void)state;
    for (int i = 0; i < NM_AUDIT_VERDICTS; i++) {
        assert_string_equal(nm_audit_name((nm_audit_check)i), nm_verdict_about((nm_verdict_kind)i)->name);
        assert_string_equal(nm_audit_unit((nm_audit_check)i), nm_verdict_about((nm_verdict_kind)i)->unit);
    }
    assert_int_equal(NM_AUDIT_VERDICTS, NM_VERDICT_REALISM);
}

/// In the feasible limits it takes more than the yaw rate.
static void break_yaw(void) {
    start_plain(60);
    circle(2.5, 4.4);
    t.implied = BIT(NM_VERDICT_CURVATURE);
}

static void each_limit_alone(void **state) {
    (void)state;
    const placing *const where[] = {&here, &elsewhere, &mirrored};
    uint32_t seen = 0;
    for (size_t i = 0; i < BREACHES; i++) {
        const nm_verdict_kind kind = breaches[i].kind;
        if (kind >= (nm_verdict_kind)NM_AUDIT_VERDICTS) continue; // opinions of models
        for (size_t k = 0; k < 3; k++) {
            if (kind == NM_VERDICT_YAW_RATE)
                break_yaw();
            else
                breaches[i].make();
            const nm_audit_case about = anything(NM_KIND_CUT_OUT, NM_SEVERITY_NEAR_MISS);
            const nm_audit_report report = audit_at(where[k], &about);
            expect_broken(&report, BIT(kind) | t.implied, nm_verdict_about(kind)->name);
            assert_true(report.found[kind].step >= BEGIN && report.found[kind].value > report.found[kind].limit);
            seen |= BIT(kind);
        }
    }
    assert_int_equal(seen | BIT(NM_VERDICT_STOP_LINE) | BIT(NM_VERDICT_SPEEDING), BIT(NM_AUDIT_VERDICTS) - 1);
}

/// On all those scenes both say the same: the verdicts and the audit, to what the ways of measuring explain.
static void the_filter_says_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < BREACHES; i++) {
        breaches[i].make();
        nm_validity v;
        nm_error error;
        nm_validity_params params = nm_validity_params_default();
        nm_arena *arena = nm_arena_create(0);
        const nm_scene *scene = build_scene(&t.world, &elsewhere);
        const uint32_t other = (uint32_t)t.adversary;
        const nm_conflict_case conflict = {
            .scene = scene, .ego = (uint32_t)t.ego, .adversaries = &other, .adversary_count = 1, .begin = BEGIN};
        assert_int_equal(nm_validity_of(&conflict, &params, arena, &v, &error), NM_OK);
        const nm_audit_case about = anything(NM_KIND_CUT_OUT, NM_SEVERITY_NEAR_MISS);
        const nm_audit_report report = audit_scene(scene, &about, BEGIN);
        for (int k = 0; k < NM_AUDIT_VERDICTS; k++) {
            const nm_audit_finding *f = &report.found[k];
            const double coarse = k == NM_AUDIT_JAYWALK ? 0.2 : 0.02;
            assert_int_equal(f->result == NM_AUDIT_UNJUDGED, v.verdicts[k].result == NM_VERDICT_UNJUDGED);
            assert_int_equal(f->result == NM_AUDIT_BROKEN, v.verdicts[k].result == NM_VERDICT_FAIL);
            assert_float_equal(f->value, v.verdicts[k].value, coarse + 0.01 * f->value);
            assert_float_equal(f->limit, f->value > 0 ? v.verdicts[k].limit : f->limit, 0.001);
        }
        nm_scene_destroy(scene);
        nm_arena_destroy(arena);
    }
}

static void what_the_kind_has_is_allowed(void **state) {
    static const nm_kind kinds[] = {NM_KIND_PARKED_PULL_OUT, NM_KIND_PEDESTRIAN_CROSSING, NM_KIND_RED_LIGHT_RUNNER,
                                    NM_KIND_HEAD_ON};
    static const nm_verdict_kind what[] = {NM_VERDICT_OFF_ROAD, NM_VERDICT_JAYWALK, NM_VERDICT_RED_LIGHT,
                                           NM_VERDICT_WRONG_WAY};
    (void)state;
    for (size_t i = 0; i < BREACHES; i++)
        for (int k = 0; k < 4; k++) {
            if (breaches[i].kind != what[k]) continue;
            breaches[i].make();
            const nm_audit_case about = anything(kinds[k], NM_SEVERITY_NEAR_MISS);
            const nm_audit_report report = audit_at(&here, &about);
            expect_broken(&report, 0, nm_kind_name(kinds[k]));
            assert_int_equal(report.found[what[k]].result, NM_AUDIT_ALLOWED);
        }
}

static void stop_signs_and_speed_limits(void **state) {
    (void)state;
    start(MAP_EMPTY, 60); // who is who
    const nm_audit_case about = anything(NM_KIND_CUT_OUT, NM_SEVERITY_NEAR_MISS);
    const nm_test_agent agents[2] = {{.x = 30, .y = 0, .speed = 1}, {.x = 0, .y = -30, .heading = PI / 2, .speed = 6}};
    const nm_scene *scene = nm_test_scene(nm_test_crossing(NM_CONTROL_PRIORITY, NM_CONTROL_STOP), agents, 2, 60);
    nm_audit_report report = audit_scene(scene, &about, BEGIN);
    expect_broken(&report, BIT(NM_AUDIT_STOP_LINE), "past a stop sign");
    assert_float_equal(report.found[NM_AUDIT_STOP_LINE].value, 6, 1e-4);
    nm_scene_destroy(scene);
    const nm_test_agent fast[2] = {{.x = 50, .y = 0, .speed = 20}, {.x = 50, .y = 7, .speed = 37}};
    scene = nm_test_scene(nm_test_road(500), fast, 2, 60); // limit 30
    report = audit_scene(scene, &about, BEGIN);
    expect_broken(&report, BIT(NM_AUDIT_SPEEDING), "37 where 30 is allowed");
    assert_float_equal(report.found[NM_AUDIT_SPEEDING].value, 7, 1e-4);
    nm_scene_destroy(scene);
}

// --- severity --------------------------------------------------------------------------------------------------------

/// The ego at 20 m/s comes up to an adversary at `speed`, whose rear is `gap` m ahead at the beginning.
static void follow(double gap, double speed, int steps) {
    start(MAP_HIGHWAY, steps);
    straight_at(&t.world, add_car(&t.world), 100, 0, 0, 20);
    straight_at(&t.world, add_car(&t.world), 105 + gap, 0, 0, speed);
}

static void near_misses_miss_by_what_was_asked_for(void **state) {
    (void)state;
    follow(30, 15, 41); // 10 m are left at the end: 2 s
    nm_audit_case about = anything(NM_KIND_HARD_BRAKE, NM_SEVERITY_NEAR_MISS);
    ask(&about, NM_PARAM_MIN_TTC, 1.8f, 2.05f);
    nm_audit_report report = audit_at(&elsewhere, &about);
    expect_broken(&report, 0, "as asked for");
    assert_float_equal(report.min_ttc, 2, 0.001);
    assert_true(report.min_ttc_grazing <= report.min_ttc && report.min_ttc_grazing > 1.99);
    ask(&about, NM_PARAM_MIN_TTC, 0.5f, 1.8f);
    report = audit_at(&here, &about);
    expect_broken(&report, 1ull << NM_AUDIT_CLOSENESS, "too far");
    assert_float_equal(report.found[NM_AUDIT_CLOSENESS].value, 0.2, 0.002);
    ask(&about, NM_PARAM_MIN_TTC, 2.2f, 3);
    report = audit_at(&here, &about);
    expect_broken(&report, 1ull << NM_AUDIT_CLOSENESS, "too near");
    about.severity = NM_SEVERITY_COLLISION;
    report = audit_at(&here, &about);
    expect_broken(&report, 1ull << NM_AUDIT_CONTACT, "no collision");
}

/// What is stated of a case is what is found in it: from the first step on, and however far apart the two are.
static void stated_dangers_are_found(void **state) {
    (void)state;
    for (int far = 0; far < 2; far++) {
        double speeds[STEPS_MAX];
        start(MAP_EMPTY, 80);
        profile(speeds, 80, 30, 0, far ? -6 : -60, 0);
        straight(&t.world, add_car(&t.world), 0, 0, 0, speeds);
        straight_at(&t.world, add_car(&t.world), far ? 85 : 65, 0, 0, 0); // stops 5 m before it
        const nm_scene *scene = build_scene(&t.world, &here);
        const nm_audit_case about = anything(NM_KIND_LEAD_STOPPED, NM_SEVERITY_NEAR_MISS);
        const nm_audit_report report = audit_scene(scene, &about, 0);
        const nm_case_request request = nm_case_request_default();
        nm_case stated = {.ego = 0, .adversary = 1, .other = NM_NONE};
        nm_scene_criticality criticality;
        nm_error error;
        nm_arena *arena = nm_arena_create(0);
        assert_int_equal(nm_case_confirm(scene, &request, arena, &criticality, &stated, &error), NM_OK);
        assert_float_equal(report.min_ttc, stated.min_ttc, 0.002);
        if (!far) assert_float_equal(stated.min_ttc, 60.0 / 30, 1e-4); // braking from then on
        nm_arena_destroy(arena);
        nm_scene_destroy(scene);
    }
}

static void collisions_hit_the_one_that_is_meant(void **state) {
    (void)state;
    follow(10, 15, 41); // after 2 s
    nm_audit_case about = anything(NM_KIND_HARD_BRAKE, NM_SEVERITY_COLLISION);
    nm_audit_report report = audit_at(&here, &about);
    expect_broken(&report, 0, "a collision");
    assert_float_equal(report.min_ttc, 0, 0);
    about.severity = NM_SEVERITY_NEAR_MISS;
    report = audit_at(&here, &about);
    expect_broken(&report, 1ull << NM_AUDIT_CONTACT, "no miss");
    assert_float_equal(report.found[NM_AUDIT_CONTACT].value, 21, 0);
    assert_in_range(report.found[NM_AUDIT_CONTACT].step, 20, 21);
    about.severity = NM_SEVERITY_COLLISION;
    straight_at(&t.world, add_car(&t.world), 82.5, 0, 0, 28); // hits the ego from behind, earlier
    report = audit_at(&here, &about);
    expect_broken(&report, 1ull << NM_AUDIT_OTHERS, "somebody else first");
    straight_at(&t.world, &t.world.agent[2], 70, 0, 0, 28); // later: a consequence
    report = audit_at(&here, &about);
    expect_broken(&report, 0, "somebody else afterwards");
}

/// Both at 10 m/s; the ego's rear leaves the shared ground 0.7 s before the adversary's front comes there.
static void who_comes_after_the_other(void **state) {
    (void)state;
    start(MAP_EMPTY, 80);
    straight_at(&t.world, add_car(&t.world), 0, 0, 0, 10);
    // the ego is off at x = 40 + 0.9 + 2.5, the adversary comes at y = -0.9 - 2.5
    straight_at(&t.world, add_car(&t.world), 40, -3.4 - 43.4 - 7, PI / 2, 10);
    nm_audit_case about = anything(NM_KIND_CROSSING_CONFLICT, NM_SEVERITY_NEAR_MISS);
    const int at = nm_kind_param_index(about.kind, NM_PARAM_MIN_TTC);
    about.range[at] = (nm_kind_range){0, 0}; // then the check's value is how near they came
    nm_audit_report report = audit_at(&elsewhere, &about);
    expect_broken(&report, 1ull << NM_AUDIT_CLOSENESS, "0.7 s after it");
    assert_float_equal(report.found[NM_AUDIT_CLOSENESS].value, 0.7, 0.021);
    assert_true(isinf(report.min_ttc));
    about.given = 1u << at; // a time to collision was asked for
    report = audit_at(&here, &about);
    assert_true(isinf(report.found[NM_AUDIT_CLOSENESS].value));
}

// --- parameters ------------------------------------------------------------------------------------------------------

/// The value of a parameter: how far it lies beyond a range of 0.
static double value_of(nm_kind kind, nm_kind_param_id id, nm_audit_check check) {
    nm_audit_case about = anything(kind, NM_SEVERITY_NEAR_MISS);
    ask(&about, id, 0, 0);
    const nm_audit_report report = audit_at(&mirrored, &about);
    assert_int_equal(broken(&report) & ~BIT(NM_AUDIT_OFF_ROAD), 1ull << check);
    return report.found[check].value;
}

static void parameters_are_measured(void **state) {
    (void)state;
    double speeds[STEPS_MAX];
    point path[63];
    start(MAP_HIGHWAY, 80);
    straight_at(&t.world, add_car(&t.world), 100, 0, 0, 20);
    size_t count = change_path(path, 0, 3.5, 0, 180, 250);
    cruise(&t.world, add_car(&t.world), path, count, 130, 17);
    assert_float_equal(value_of(NM_KIND_CUT_IN, NM_PARAM_EGO_SPEED, NM_AUDIT_EGO_SPEED), 20, 1e-4);
    assert_float_equal(value_of(NM_KIND_CUT_IN, NM_PARAM_CLOSING, NM_AUDIT_CLOSING), 3, 0.05);
    // sideways at most 17 sin(atan(3.5 pi / 140))
    assert_float_equal(value_of(NM_KIND_CUT_IN, NM_PARAM_LATERAL_SPEED, NM_AUDIT_LATERAL_SPEED), 1.33, 0.03);
    // its side is over the border, 0.9 m from the middle, where 2.65 of 3.5 m are left: after 3.5 to 4.6 s; the gap
    // shrinks by 0.3 m a step
    const double gap = value_of(NM_KIND_CUT_IN, NM_PARAM_GAP, NM_AUDIT_ENTRY_GAP);
    assert_true(gap > 25 - 3 * 4.7 && gap < 25 - 3 * 3.9);
    assert_float_equal(value_of(NM_KIND_MERGE_CONFLICT, NM_PARAM_GAP, NM_AUDIT_ENTRY_GAP), gap, 1e-6);
    start(MAP_HIGHWAY, 80);
    straight_at(&t.world, add_car(&t.world), 100, 0, 0, 20);
    profile(speeds, 80, 28, 30, -6, 16);
    straight(&t.world, add_car(&t.world), 130, 0, 0, speeds);
    assert_float_equal(value_of(NM_KIND_HARD_BRAKE, NM_PARAM_DECELERATION, NM_AUDIT_DECELERATION), 6, 0.05);
    // 25 m, then 8 m/s apart for 3 s: 49 m
    assert_float_equal(value_of(NM_KIND_HARD_BRAKE, NM_PARAM_HEADWAY, NM_AUDIT_HEADWAY), 49.0 / 20, 0.045);
    start(MAP_EMPTY, 80);
    straight_at(&t.world, add_car(&t.world), 0, 0, 0, 10);
    straight_at(&t.world, add_car(&t.world), 40, -80, PI / 2, 13);
    assert_float_equal(value_of(NM_KIND_CROSSING_CONFLICT, NM_PARAM_SPEED, NM_AUDIT_ADVERSARY_SPEED), 13, 1e-4);
}

static nm_audit_finding finding_of(const nm_audit_case *about, nm_audit_check check) {
    return audit_at(&mirrored, about).found[check];
}

/// 0.8 s of braking by 7 m/s^2, and then they touch.
static void brakings_that_a_contact_ends_are_measured(void **state) {
    (void)state;
    double speeds[STEPS_MAX];
    start(MAP_HIGHWAY, 50);
    straight_at(&t.world, add_car(&t.world), 100, 0, 0, 20);
    profile(speeds, 50, 20, 20, -7, 2);
    straight(&t.world, add_car(&t.world), 107.2, 0, 0, speeds);
    nm_audit_case about = anything(NM_KIND_HARD_BRAKE, NM_SEVERITY_COLLISION);
    ask(&about, NM_PARAM_DECELERATION, 0, 0);
    assert_float_equal(finding_of(&about, NM_AUDIT_DECELERATION).value, 7, 0.1);
    ask(&about, NM_PARAM_DECELERATION, 6.9f, 7.1f);
    const nm_audit_report report = audit_at(&here, &about);
    expect_broken(&report, 0, "as asked for");
}

/// However short a braking is, the audit and the measuring of generators say the same of it.
static void short_brakings_are_measured_alike(void **state) {
    (void)state;
    const int at = nm_kind_param_index(NM_KIND_HARD_BRAKE, NM_PARAM_DECELERATION);
    double last = 0;
    for (int steps = 2; steps <= 10; steps++) {
        double speeds[STEPS_MAX];
        start(MAP_HIGHWAY, 60);
        straight_at(&t.world, add_car(&t.world), 100, 0, 0, 20);
        for (int i = 0; i < 60; i++) speeds[i] = 25 - 0.8 * fmin(fmax(i - 20, 0), steps);
        straight(&t.world, add_car(&t.world), 130, 0, 0, speeds);
        nm_audit_case about = anything(NM_KIND_HARD_BRAKE, NM_SEVERITY_NEAR_MISS);
        ask(&about, NM_PARAM_DECELERATION, 0, 0);
        const nm_scene *scene = build_scene(&t.world, &elsewhere);
        const nm_audit_report report = audit_scene(scene, &about, BEGIN);
        const nm_kind_roles roles = {about.ego, about.adversary, NM_NONE};
        const nm_event event = {.kind = about.kind, .first_step = 20, .critical_step = 25, .last_step = 30};
        float value[NM_KIND_MAX_PARAMS];
        nm_kind_measure(scene, &event, &roles, value, NULL);
        const double is = report.found[NM_AUDIT_DECELERATION].value;
        assert_float_equal(is, value[at], 0.02);
        assert_true(is > last - 0.02 && is < 8.1);
        last = is;
        nm_scene_destroy(scene);
    }
    assert_float_equal(last, 8, 0.05);
}

/// It brakes by 2 m/s^2 for a second and only then by 8: that passes half of the hardest. When it does not brake it is
/// the contact that counts.
static void who_comes_from_behind_is_measured_when_it_brakes_hard(void **state) {
    (void)state;
    double speeds[STEPS_MAX];
    start(MAP_HIGHWAY, 80);
    straight_at(&t.world, add_car(&t.world), 160, 0, 0, 10);
    for (int i = 0; i < 80; i++) speeds[i] = i < 20 ? 20 : i < 30 ? 20 - 0.2 * (i - 20) : fmax(18 - 0.8 * (i - 30), 10);
    straight(&t.world, add_car(&t.world), 110, 0, 0, speeds);
    const double closing = value_of(NM_KIND_REAR_END, NM_PARAM_CLOSING, NM_AUDIT_CLOSING);
    assert_true(closing > 7 && closing < 8.1);
    start(MAP_HIGHWAY, 80);
    straight_at(&t.world, add_car(&t.world), 160, 0, 0, 10);
    straight_at(&t.world, add_car(&t.world), 131, 0, 0, 18);
    nm_audit_case about = anything(NM_KIND_REAR_END, NM_SEVERITY_COLLISION);
    ask(&about, NM_PARAM_CLOSING, 0, 0);
    const nm_audit_finding one = finding_of(&about, NM_AUDIT_CLOSING);
    assert_float_equal(one.value, 8, 1e-4);
    assert_in_range(one.step, 28, 31); // 24 m at 8 m/s
}

/// What a heading says for a moment is no way made, and of what grows until they touch only too much is wrong.
static void sideways_speeds_are_ways_made(void **state) {
    (void)state;
    point path[63];
    start(MAP_HIGHWAY, 60);
    straight_at(&t.world, add_car(&t.world), 100, 0, 0, 20);
    straight_at(&t.world, add_car(&t.world), 130, 3.5, 0, 20);
    t.world.agent[1].poses[30].heading += 0.1; // 2 m/s
    t.world.agent[1].poses[40].y += 0.05;      // as is a jump: 0.5 m/s
    nm_audit_case about = anything(NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS);
    ask(&about, NM_PARAM_LATERAL_SPEED, 0, 0);
    assert_float_equal(finding_of(&about, NM_AUDIT_LATERAL_SPEED).value, 0.05 / 0.4, 0.02);
    start(MAP_HIGHWAY, 60);
    straight_at(&t.world, add_car(&t.world), 100, 0, 0, 25);
    const size_t count = change_path(path, 0, 3.5, 0, 180, 240);
    cruise(&t.world, add_car(&t.world), path, count, 146, 15);
    about.severity = NM_SEVERITY_COLLISION;
    nm_audit_finding one = finding_of(&about, NM_AUDIT_LATERAL_SPEED);
    assert_float_equal(one.value, 15 * 1.75 * PI / 60, 0.06);
    assert_int_equal(one.result, NM_AUDIT_BROKEN);
    assert_float_equal(one.limit, NM_TOLERANCE_LATERAL, 1e-6);
    ask(&about, NM_PARAM_LATERAL_SPEED, 2, 3);
    one = finding_of(&about, NM_AUDIT_LATERAL_SPEED);
    assert_float_equal(one.value, 0, 0);
}

// --- rows and sets ---------------------------------------------------------------------------------------------------

typedef struct made_set {
    const nm_scene *sources[2];
    char path[64];
} made_set;

/// 18 scenes of three kinds on two maps, both severities.
static made_set make_set(void) {
    static const nm_kind kinds[3] = {NM_KIND_CUT_IN, NM_KIND_RED_LIGHT_RUNNER, NM_KIND_PEDESTRIAN_CROSSING};
    made_set set;
    nm_corner_kind asked[3];
    nm_corner_yield yields[3 * NM_CASE_GENERATOR_COUNT];
    nm_corner_report report = {.yields = yields};
    nm_corner_config config = nm_corner_config_default();
    nm_store *store;
    nm_thread_pool *pool;
    nm_error error;
    nm_error_clear(&error);
    snprintf(set.path, sizeof set.path, "/tmp/nm_audit_%ld.db", (long)getpid());
    unlink(set.path);
    assert_int_equal(nm_builtin_scene("highway:density=12", 3, &set.sources[0], &error), NM_OK);
    assert_int_equal(nm_builtin_scene("junction_signal:density=12", 3, &set.sources[1], &error), NM_OK);
    for (int k = 0; k < 3; k++) {
        assert_int_equal(nm_corner_kind_default(kinds[k], &asked[k], &error), NM_OK);
        asked[k].collisions = 0.3;
    }
    config.kinds = asked;
    config.kind_count = 3;
    config.sources = set.sources;
    config.source_count = 2;
    config.count = 6;
    config.seed = 8;
    config.run = (nm_generation_run){.parameters = "{}", .program = "test"};
    assert_int_equal(nm_thread_pool_create(2, &pool, &error), NM_OK);
    assert_int_equal(nm_store_open(set.path, NM_STORE_CREATE, &store, &error), NM_OK);
    if (nm_corner_set_run(&config, store, pool, &report, &error) != NM_OK) fail_msg("%s", error.message);
    nm_store_close(store);
    nm_thread_pool_destroy(pool);
    return set;
}

static void drop_set(made_set *set) {
    for (int i = 0; i < 2; i++) nm_scene_destroy(set->sources[i]);
    unlink(set->path);
}

static nm_audit_totals audit_set(const made_set *set, int threads, uint64_t regenerate, const char *where) {
    nm_thread_pool *pool;
    nm_error error;
    nm_audit_totals totals;
    nm_error_clear(&error);
    nm_audit_config config = nm_audit_config_default();
    config.store = set->path;
    config.regenerate = regenerate;
    config.where = where;
    assert_int_equal(nm_thread_pool_create(threads, &pool, &error), NM_OK);
    if (nm_audit_run(&config, pool, &totals, &error) != NM_OK) fail_msg("%s", error.message);
    nm_thread_pool_destroy(pool);
    return totals;
}

static void a_set_holds_and_is_made_again(void **state) {
    (void)state;
    made_set set = make_set();
    const nm_audit_totals one = audit_set(&set, 1, 10, NULL), three = audit_set(&set, 3, 10, NULL);
    if (one.broken) fail_msg("%s", one.remark);
    assert_int_equal(one.scenes, 18);
    assert_int_equal(one.unreadable, 0);
    assert_int_equal(one.check[NM_AUDIT_AGAIN].scenes, 10);
    assert_int_equal(one.check[NM_AUDIT_CONTACT].scenes, 18);
    assert_int_equal(one.check[NM_AUDIT_EGO_SPEED].scenes, 18);
    assert_true(one.check[NM_AUDIT_RED_LIGHT].allowed >= 4 && one.check[NM_AUDIT_JAYWALK].allowed >= 1);
    for (int i = 0; i < NM_AUDIT_COUNT; i++) {
        assert_int_equal(one.check[i].differs, 0);
        assert_int_equal(one.check[i].scenes, three.check[i].scenes);
        assert_int_equal(one.check[i].worst_scene, three.check[i].worst_scene);
        assert_true(one.check[i].value == three.check[i].value);
    }
    assert_int_equal(audit_set(&set, 2, 0, "kind = 'cut_in'").scenes, 6);
    drop_set(&set);
}

/// How many statements of the row of scene 1 are wrong, and how many verdicts, once `lie` has changed it.
static void count_lies(const made_set *set, void (*lie)(nm_scene *scene, nm_generated *row), double *wrong,
                       double *verdicts) {
    nm_store *store;
    const nm_scene *scene;
    nm_generated row;
    nm_audit_case about;
    nm_audit_report report;
    nm_error error;
    nm_arena *arena = nm_arena_create(0);
    assert_int_equal(nm_store_open(set->path, NM_STORE_READ, &store, &error), NM_OK);
    assert_int_equal(nm_store_get_scene(store, 1, &scene, &error), NM_OK);
    assert_int_equal(nm_store_get_generated(store, 1, arena, &row, &error), NM_OK);
    nm_scene told = *scene;
    lie(&told, &row);
    assert_int_equal(nm_audit_read_case(&told, &about, &error), NM_OK);
    assert_int_equal(nm_audit_scene(&told, &about, arena, &report, &error), NM_OK);
    nm_audit_row(&told, &about, &row, &report);
    assert_int_equal(report.found[NM_AUDIT_ROW].value > 0, report.remark[0] != '\0');
    *wrong = report.found[NM_AUDIT_ROW].value;
    *verdicts = report.found[NM_AUDIT_JUDGEMENT].value;
    nm_scene_destroy(scene);
    nm_store_close(store);
    nm_arena_destroy(arena);
}

static void no_lie(nm_scene *scene, nm_generated *row) {
    (void)scene;
    (void)row;
}
static void another_kind(nm_scene *scene, nm_generated *row) {
    (void)scene;
    row->kind = NM_KIND_TAILGATE;
}
static void another_severity(nm_scene *scene, nm_generated *row) {
    (void)scene;
    row->severity = strcmp(row->severity, "collision") == 0 ? "near_miss" : "collision";
}
static void another_generator(nm_scene *scene, nm_generated *row) {
    (void)scene;
    row->generator = "resample";
}
static void another_label(nm_scene *scene, nm_generated *row) {
    (void)scene;
    row->label = "harmless";
}
static void another_result(nm_scene *scene, nm_generated *row) {
    (void)scene;
    row->achieved = row->requested; // without min_ttc
}
static void another_seed(nm_scene *scene, nm_generated *row) {
    (void)row;
    scene->provenance.seed++;
}
static void no_parent(nm_scene *scene, nm_generated *row) {
    (void)row;
    scene->provenance.parent = 0;
}
static void no_tags(nm_scene *scene, nm_generated *row) {
    (void)row;
    scene->tag_count = 0;
}
static void another_source(nm_scene *scene, nm_generated *row) {
    (void)row;
    scene->provenance.source = "commonroad";
}
static void no_verdicts(nm_scene *scene, nm_generated *row) {
    (void)scene;
    row->verdicts = "{\"valid\":true,\"avoidability\":{}}";
    row->label = "";
}

static void rows_that_lie(void **state) {
    (void)state;
    static const struct {
        void (*lie)(nm_scene *scene, nm_generated *row);
        double wrong;
    } lies[] = {{no_lie, 0},        {another_kind, 1},   {another_severity, 1}, {another_generator, 1},
                {another_label, 1}, {another_result, 1}, {another_seed, 1},     {no_parent, 1},
                {no_tags, 1},       {another_source, 1}, {no_verdicts, 0}};
    made_set set = make_set();
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        double wrong, verdicts;
        count_lies(&set, lies[i].lie, &wrong, &verdicts);
        // a result that is another contradicts as many statements as it has numbers
        const int right = lies[i].lie == another_result ? wrong >= lies[i].wrong : wrong == lies[i].wrong;
        if (!right) fail_msg("lie %zu: %g statements are wrong", i, wrong);
        assert_int_equal(verdicts > 0, lies[i].lie == no_verdicts);
    }
    drop_set(&set);
}

static void another_scene_is_not_the_same_again(void **state) {
    (void)state;
    made_set set = make_set();
    nm_store *store;
    nm_error error;
    const nm_scene *scene, *parent;
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    assert_int_equal(nm_store_open(set.path, NM_STORE_READ, &store, &error), NM_OK);
    assert_int_equal(nm_store_get_scene(store, 1, &scene, &error), NM_OK);
    assert_int_equal(nm_audit_build_parent(scene, &parent, &error), NM_OK);
    assert_non_null(parent);
    assert_true(parent->hash == scene->provenance.parent);
    for (int i = 0; i < 3; i++) {
        nm_scene told = *scene;
        nm_audit_report report;
        memset(&report, 0, sizeof report);
        told.hash += (uint64_t)(i == 1);
        nm_audit_again(work, &told, i == 2 ? NULL : parent, &report);
        const nm_audit_result wanted[] = {NM_AUDIT_PASS, NM_AUDIT_BROKEN, NM_AUDIT_UNJUDGED};
        assert_int_equal(report.found[NM_AUDIT_AGAIN].result, wanted[i]);
        assert_int_equal(report.remark[0] != '\0', i > 0);
    }
    nm_scene_destroy(parent);
    nm_scene_destroy(scene);
    nm_case_work_destroy(work);
    nm_store_close(store);
    drop_set(&set);
}

/// A row may ask for anything: what no request may ask for is said, not made.
static void a_hostile_row_is_not_made_again(void **state) {
    static const char *const members[][2] = {
        {"\"steps\":100,", "\"steps\":4000000,"},    {"\"steps\":100,", "\"steps\":0,"},
        {"\"traffic\":", "\"traffic\":9"},           {"\"start_step\":", "\"start_step\":99999"},
        {"\"adversaries\":1", "\"adversaries\":77"}, {"\"ego\":\"idm\"", "\"ego\":\"log\""}};
    (void)state;
    nm_error error;
    nm_case_request request = nm_case_request_default();
    const nm_scene *parent;
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    nm_case made;
    assert_int_equal(nm_builtin_scene("highway:density=12", 3, &parent, &error), NM_OK);
    request.traffic = 7;
    assert_int_equal(nm_case_attempt(work, parent, &request, 0, &made, &error), NM_OK);
    assert_non_null(made.scene);
    const char *from = made.scene->provenance.parameters;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char text[NM_CASE_RECIPE + 32];
        nm_scene told = *made.scene;
        nm_audit_report report;
        memset(&report, 0, sizeof report);
        const char *at = strstr(from, members[i][0]);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - from), from, members[i][1], at + strlen(members[i][0]));
        told.provenance.parameters = text;
        nm_audit_again(work, &told, parent, &report);
        assert_int_equal(report.found[NM_AUDIT_AGAIN].result, NM_AUDIT_BROKEN);
        assert_null(strstr(report.remark, "made again")); // it was not
    }
    nm_scene_destroy(made.scene);
    nm_scene_destroy(parent);
    nm_case_work_destroy(work);
}

static void what_is_no_corner_case_is_refused(void **state) {
    static const char *const parameters[] = {"{}", "not JSON", "{\"kind\":\"cut_in\",\"severity\":\"near_miss\"}",
                                             "{\"kind\":\"tailgate\",\"severity\":\"near_miss\",\"given\":0,\"ranges\":"
                                             "{\"ego_speed\":[9,36],\"headway\":[0.3,"
                                             "0.8]},\"roles\":{\"ego\":0,\"adversary\":7}}",
                                             "{\"kind\":\"tailgate\",\"severity\":\"near_miss\",\"given\":0,\"ranges\":"
                                             "{\"ego_speed\":[9,36],\"headway\":[0.3,"
                                             "0.8]},\"roles\":{\"ego\":0,\"adversary\":0}}"};
    (void)state;
    follow(30, 15, 41);
    const nm_scene *scene = build_scene(&t.world, &here);
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        nm_scene told = *scene;
        nm_audit_case about;
        nm_error error;
        nm_error_clear(&error);
        told.provenance.parameters = parameters[i];
        assert_int_equal(nm_audit_read_case(&told, &about, &error), NM_E_FORMAT);
        assert_true(error.message[0] != '\0');
    }
    nm_scene_destroy(scene);
}

// --- a planner on trial ----------------------------------------------------------------------------------------------

static nm_trial try_world(int has_ego, nm_policy_kind agents) {
    nm_trial outcome = {0};
    nm_error error;
    nm_error_clear(&error);
    nm_world_config config = nm_world_config_default();
    config.agents = agents;
    const nm_scene *scene = build_scene(&t.world, &here);
    nm_scene seen = *scene;
    seen.ego = has_ego ? 0 : NM_NONE;
    if (nm_trial_scene(&seen, &config, &outcome, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_destroy(scene);
    return outcome;
}

static void planners_collide(void **state) {
    (void)state;
    follow(12, 0, 60); // stands 12 m ahead of one who drives 20 m/s
    nm_trial outcome = try_world(1, NM_POLICY_LOG);
    assert_true(outcome.scenes == 1 && outcome.runs == 1 && outcome.collided == 1 && outcome.at_fault == 1);
    assert_in_range(outcome.steps, 5, 12);
    follow(60, 20, 60);
    outcome = try_world(1, NM_POLICY_LOG);
    assert_true(outcome.runs == 1 && outcome.collided == 0 && outcome.steps == 59);
    outcome = try_world(0, NM_POLICY_LOG); // both take their turn
    assert_true(outcome.scenes == 1 && outcome.runs == 2 && outcome.collided == 0 && outcome.steps == 118);
    start(MAP_HIGHWAY, 60); // run into from behind by one who was recorded
    straight_at(&t.world, add_car(&t.world), 200, 0, 0, 20);
    straight_at(&t.world, add_car(&t.world), 170, 0, 0, 35);
    outcome = try_world(1, NM_POLICY_LOG);
    assert_true(outcome.runs == 1 && outcome.collided == 1 && outcome.at_fault == 0);
    outcome = try_world(1, NM_POLICY_IDM); // who reacts brakes
    assert_true(outcome.runs == 1 && outcome.collided == 0);
    start(MAP_HIGHWAY, 60); // many who touch each other come first
    for (int i = 0; i < AGENTS_MAX - 2; i++) straight_at(&t.world, add_car(&t.world), 400, 0, 0, 0);
    straight_at(&t.world, add_car(&t.world), 117, 0, 0, 0);
    straight_at(&t.world, add_car(&t.world), 100, 0, 0, 20);
    outcome = try_world(0, NM_POLICY_LOG);
    assert_true(outcome.runs == 1 && outcome.collided == 1 && outcome.at_fault == 1);
    start(MAP_HIGHWAY, 60); // parked, and gone too soon: nobody to drive
    straight_at(&t.world, add_car(&t.world), 200, 0, 0, 0);
    straight_at(&t.world, add_car(&t.world), 170, 0, 0, 15);
    for (int i = 20; i < 60; i++) t.world.agent[1].poses[i].valid = 0;
    outcome = try_world(0, NM_POLICY_LOG);
    assert_true(outcome.runs == 0 && outcome.scenes == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_those_of_the_filter),
        cmocka_unit_test(each_limit_alone),
        cmocka_unit_test(the_filter_says_the_same),
        cmocka_unit_test(what_the_kind_has_is_allowed),
        cmocka_unit_test(stop_signs_and_speed_limits),
        cmocka_unit_test(near_misses_miss_by_what_was_asked_for),
        cmocka_unit_test(stated_dangers_are_found),
        cmocka_unit_test(collisions_hit_the_one_that_is_meant),
        cmocka_unit_test(who_comes_after_the_other),
        cmocka_unit_test(parameters_are_measured),
        cmocka_unit_test(brakings_that_a_contact_ends_are_measured),
        cmocka_unit_test(short_brakings_are_measured_alike),
        cmocka_unit_test(who_comes_from_behind_is_measured_when_it_brakes_hard),
        cmocka_unit_test(sideways_speeds_are_ways_made),
        cmocka_unit_test(a_set_holds_and_is_made_again),
        cmocka_unit_test(rows_that_lie),
        cmocka_unit_test(another_scene_is_not_the_same_again),
        cmocka_unit_test(a_hostile_row_is_not_made_again),
        cmocka_unit_test(what_is_no_corner_case_is_refused),
        cmocka_unit_test(planners_collide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
