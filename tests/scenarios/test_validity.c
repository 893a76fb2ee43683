/// The validity filter: for every verdict a scene that breaks it and nothing else, scenes in which nothing is wrong,
/// measurements against closed forms, and recorded traffic.
#include "test_breaches.h"

#include <cjson/cJSON.h>

#include "dataset/import.h"
#include "scenarios/validity_internal.h"
#include "sim/builtin.h"
#include "sim/scenes.h"
#include "sim/world.h"

// --- running ---------------------------------------------------------------------------------------------------------

static nm_validity judge_scene(const nm_scene *scene, uint32_t ego, uint32_t adversary_track,
                               const nm_validity_params *params) {
    nm_validity out;
    nm_error error;
    nm_arena *arena = nm_arena_create(0);
    const nm_conflict_case conflict = {
        .scene = scene, .ego = ego, .adversaries = &adversary_track, .adversary_count = 1, .begin = BEGIN};
    if (nm_validity_of(&conflict, params, arena, &out, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_arena_used(arena), 0);
    nm_arena_destroy(arena);
    return out;
}

static nm_validity judge_at(const placing *where) {
    const nm_scene *scene = build_scene(&t.world, where);
    nm_validity out = judge_scene(scene, (uint32_t)t.ego, (uint32_t)t.adversary, &t.params);
    nm_scene_destroy(scene);
    return out;
}

static uint32_t failed(const nm_validity *v) {
    uint32_t bits = 0;
    for (int i = 0; i < NM_VERDICT_COUNT; i++)
        if (v->verdicts[i].result == NM_VERDICT_FAIL) bits |= BIT(i);
    return bits;
}

static void expect_failed(const nm_validity *v, uint32_t expected, const char *what) {
    uint32_t got = failed(v);
    if (got == expected && v->valid == (expected == 0)) return;
    for (int i = 0; i < NM_VERDICT_COUNT; i++)
        print_error("  %-22s %-8s %.4g (limit %.4g) track %u step %u\n", nm_verdict_about((nm_verdict_kind)i)->name,
                    nm_verdict_result_name(v->verdicts[i].result), (double)v->verdicts[i].value,
                    (double)v->verdicts[i].limit, v->verdicts[i].track, v->verdicts[i].step);
    fail_msg("%s: verdicts %x failed, expected %x", what, got, expected);
}

static void test_each_verdict_alone(void **state) {
    (void)state;
    const placing *const where[] = {&here, &elsewhere, &mirrored};
    uint32_t seen = 0;
    for (size_t i = 0; i < BREACHES; i++)
        for (size_t k = 0; k < 3; k++) {
            breaches[i].make();
            nm_validity v = judge_at(where[k]);
            expect_failed(&v, BIT(breaches[i].kind) | t.implied, nm_verdict_about(breaches[i].kind)->name);
            const nm_verdict *verdict = &v.verdicts[breaches[i].kind];
            assert_true(verdict->value > verdict->limit && verdict->step >= BEGIN);
            seen |= BIT(breaches[i].kind);
        }
    // the two that need other maps have tests of their own
    assert_int_equal(seen | BIT(NM_VERDICT_STOP_LINE) | BIT(NM_VERDICT_SPEEDING), BIT(NM_VERDICT_COUNT) - 1);
}

static void test_history_is_not_judged(void **state) {
    (void)state;
    start_highway(80, 20);
    for (int i = 0; i < 4; i++) adversary()->poses[i].x -= 30; // long before the generated part
    nm_validity v = judge_at(&here);
    expect_failed(&v, 0, "a jump in the history");
    start_highway(80, 20);
    for (int i = 0; i < BEGIN; i++) adversary()->poses[i].x -= 3;
    v = judge_at(&here);
    expect_failed(&v, BIT(NM_VERDICT_TELEPORT) | BIT(NM_VERDICT_VELOCITY), "a jump at the seam");
    assert_int_equal(v.verdicts[NM_VERDICT_TELEPORT].step, BEGIN);
}

/// What was generated from the start on is judged from there.
static void test_history_may_be_judged(void **state) {
    (void)state;
    for (uint32_t from = 0; from <= 6; from += 6) {
        start_highway(80, 20);
        t.params.from = from;
        for (int i = 0; i < 4; i++) adversary()->poses[i].x -= 30;
        nm_validity v = judge_at(&here);
        expect_failed(&v, from == 0 ? BIT(NM_VERDICT_TELEPORT) | BIT(NM_VERDICT_VELOCITY) : 0, "long before");
    }
    start_highway(80, 20); // hit from behind in what was history: nothing is left to judge
    t.params.from = 0;
    straight_at(&t.world, add_car(&t.world), 118, 3.5, 0, 40);
    nm_validity v = judge_at(&here);
    assert_int_equal(v.verdicts[NM_VERDICT_REALISM].track, 0);
}

static void test_requested_violations(void **state) {
    (void)state;
    for (size_t i = 0; i < BREACHES; i++) {
        if (!breaches[i].violation) continue;
        breaches[i].make();
        t.params.violations = breaches[i].violation;
        nm_validity v = judge_at(&here);
        expect_failed(&v, 0, "as requested");
        assert_int_equal(v.verdicts[breaches[i].kind].result, NM_VERDICT_ALLOWED);
        t.params.violations = ~breaches[i].violation; // all others
        v = judge_at(&here);
        expect_failed(&v, BIT(breaches[i].kind), "not requested");
    }
}

/// What the adversary may do the ego may not.
static void test_only_adversaries_may(void **state) {
    (void)state;
    break_off_road();
    t.params.violations = NM_VIOLATION_OFF_ROAD;
    t.ego = 1;
    t.adversary = 0;
    nm_validity v = judge_at(&here);
    expect_failed(&v, BIT(NM_VERDICT_OFF_ROAD), "the ego off the road");
    break_wrong_way(); // how the ego drives is its own affair
    t.ego = 0;
    t.adversary = 1;
    v = judge_at(&here);
    expect_failed(&v, 0, "the ego against its lane");
}

static void test_everyone(void **state) {
    (void)state;
    start_highway(80, 20);
    straight_at(&t.world, add_car(&t.world), 300, 7, 0, 75);
    nm_validity v = judge_at(&here);
    expect_failed(&v, 0, "a bystander");
    t.params.everyone = 1;
    v = judge_at(&here);
    expect_failed(&v, BIT(NM_VERDICT_SPEED), "a bystander, everyone judged");
    assert_int_equal(v.verdicts[NM_VERDICT_SPEED].track, 2);
    t.world.agent[2].flags = NM_TRACK_STATIC;
    v = judge_at(&here);
    expect_failed(&v, 0, "a standing track");
}

/// After a crash vehicles stop dead, as the simulator has it: that is no braking. Before it all counts.
static void test_crashes_end_it(void **state) {
    (void)state;
    for (int jump = 0; jump < 2; jump++) {
        start_highway(100, 20);
        straight_at(&t.world, adversary(), 160, 0, 0, 8);
        for (int i = 31; jump && i < 100; i++) adversary()->poses[i].x += 1.5;
        int crash = jump ? 48 : 46; // the gap of 55 m, or 56.5, closes at 12 m/s
        for (int i = crash; i < 100; i++)
            for (int k = 0; k < 2; k++) {
                t.world.agent[k].poses[i] = t.world.agent[k].poses[crash];
                t.world.agent[k].poses[i].speed = 0;
            }
        nm_validity v = judge_at(&elsewhere);
        expect_failed(&v, jump ? BIT(NM_VERDICT_TELEPORT) | BIT(NM_VERDICT_VELOCITY) : 0, "crash");
        assert_int_equal(v.avoidability.collided, 1);
        assert_true(v.verdicts[NM_VERDICT_BRAKING].value < 0.1f);
    }
}

/// Dangerous, but ordinary vehicles can do it: hard braking, a cut-in, a pedestrian, a cyclist.
static void test_dangers_pass(void **state) {
    (void)state;
    start_highway(100, 20);
    double speeds[STEPS_MAX];
    profile(speeds, 100, 20, 30, -8, 0);
    straight(&t.world, adversary(), 115, 0, 0, speeds); // a full stop ahead of the ego, who does not react
    nm_validity v = judge_at(&here);
    expect_failed(&v, 0, "hard braking");
    assert_true(v.verdicts[NM_VERDICT_BRAKING].value > 7.8f);
    assert_int_equal(v.avoidability.collided, 1);
    assert_true(v.verdicts[NM_VERDICT_CAUSE].value == 0);

    point path[63];
    start_highway(100, 25);
    size_t count = change_path(path, 0, 3.5, 0, 180, 220);
    cruise(&t.world, adversary(), path, count, 125, 20); // 1.6 s for the lane
    v = judge_at(&here);
    expect_failed(&v, 0, "cut-in");

    break_jaywalk();
    adversary()->poses[0].valid = 1;
    straight_at(&t.world, adversary(), 200, -9, PI / 2, 0.8); // stays beside the road
    v = judge_at(&here);
    expect_failed(&v, 0, "pedestrian beside the road");

    start(MAP_TWO_WAY, 80);
    straight_at(&t.world, add_car(&t.world), 100, 0, 0, 8);
    straight_at(&t.world, add_agent(&t.world, NM_AGENT_CYCLIST, 1.8, 0.6), 130, -1.2, 0, 4);
    v = judge_at(&here);
    expect_failed(&v, 0, "cyclist");
    assert_int_equal(v.verdicts[NM_VERDICT_REALISM].track, 0); // of the ego: cyclists have no range
}

// --- rules on other maps ---------------------------------------------------------------------------------------------

static nm_validity judge_agents(const nm_map *map, const nm_test_agent agents[2], uint32_t steps,
                                const nm_validity_params *params) {
    const nm_scene *scene = nm_test_scene(map, agents, 2, steps);
    nm_validity v = judge_scene(scene, 0, 1, params);
    nm_scene_destroy(scene);
    return v;
}

static void test_stop_line(void **state) {
    (void)state;
    nm_validity_params params = nm_validity_params_default();
    const nm_test_agent agents[2] = {{.x = 30, .y = 0, .speed = 1}, {.x = 0, .y = -30, .heading = PI / 2, .speed = 6}};
    nm_validity v = judge_agents(nm_test_crossing(NM_CONTROL_PRIORITY, NM_CONTROL_STOP), agents, 60, &params);
    expect_failed(&v, BIT(NM_VERDICT_STOP_LINE), "past a stop sign");
    assert_float_equal(v.verdicts[NM_VERDICT_STOP_LINE].value, 6, 1e-4);
    params.violations = NM_VIOLATION_STOP_LINE;
    v = judge_agents(nm_test_crossing(NM_CONTROL_PRIORITY, NM_CONTROL_STOP), agents, 60, &params);
    expect_failed(&v, 0, "past a stop sign, as requested");
    assert_int_equal(v.verdicts[NM_VERDICT_STOP_LINE].result, NM_VERDICT_ALLOWED);
    params.violations = 0;
    v = judge_agents(nm_test_crossing(NM_CONTROL_STOP, NM_CONTROL_PRIORITY), agents, 60, &params);
    expect_failed(&v, 0, "on the priority road");
    assert_int_equal(v.verdicts[NM_VERDICT_STOP_LINE].result, NM_VERDICT_UNJUDGED);
}

static void test_speeding(void **state) {
    (void)state;
    nm_validity_params params = nm_validity_params_default();
    const nm_test_agent agents[2] = {{.x = 50, .y = 0, .speed = 20}, {.x = 50, .y = 7, .speed = 37}};
    nm_validity v = judge_agents(nm_test_road(500), agents, 60, &params); // limit 30
    expect_failed(&v, BIT(NM_VERDICT_SPEEDING), "37 where 30 is allowed");
    assert_float_equal(v.verdicts[NM_VERDICT_SPEEDING].value, 7, 1e-4);
    params.speeding = 7.5f; // over the limit by up to 7.5 was asked for
    v = judge_agents(nm_test_road(500), agents, 60, &params);
    expect_failed(&v, 0, "37 with 7.5 over the limit");
}

static void test_green_and_stopping(void **state) {
    (void)state;
    break_red_light();
    t.world.signal = NM_SIGNAL_GO;
    nm_validity v = judge_at(&here);
    expect_failed(&v, 0, "green");
    assert_int_equal(v.verdicts[NM_VERDICT_RED_LIGHT].result, NM_VERDICT_PASS);
    break_red_light();
    double speeds[STEPS_MAX]; // stops 1 m past the line at x = -10
    profile(speeds, t.world.steps, 10, 15, -2.4, 0);
    straight(&t.world, adversary(), -11.5 - 15 - 100 / 4.8, -1.75, 0, speeds);
    v = judge_at(&here);
    expect_failed(&v, 0, "stops over the line");
}

/// A road with two signals: red for those who turn left, green for the others. Everybody goes straight on.
static void test_signals_for_turns(void **state) {
    (void)state;
    for (int left = 0; left < 2; left++) {
        nm_map_builder *builder = nm_map_builder_create();
        nm_error error;
        nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
        for (int i = 0; i < 2; i++) {
            nm_lane_def def = nm_lane_def_default();
            const int64_t next = 2;
            def.id = 1 + i;
            def.type = NM_LANE_STREET;
            def.successors = &next;
            def.successor_count = i == 0;
            nm_test_lane(builder, &def, (double[]){100.0 * i, 0, 100.0 + 100.0 * i, 0}, 2, 3.5);
        }
        const int64_t ruled = 1;
        const nm_turn turns[2] = {left ? NM_TURN_LEFT : NM_TURN_STRAIGHT, left ? NM_TURN_STRAIGHT : NM_TURN_LEFT};
        for (int i = 0; i < 2; i++) { // the first is red
            const nm_phase phase = {.steps = 10, .state = i == 0 ? NM_SIGNAL_STOP : NM_SIGNAL_GO};
            const nm_signal_def signal = {.id = 90 + i,
                                          .turn = turns[i],
                                          .phases = &phase,
                                          .phase_count = 1,
                                          .cycle_dt = DT,
                                          .lanes = &ruled,
                                          .lane_count = 1};
            assert_int_equal(nm_map_builder_add_signal(builder, &signal, &error), NM_OK);
        }
        const nm_test_agent agents[2] = {{.x = 20, .speed = 10}, {.x = 70, .speed = 10}};
        nm_validity_params params = nm_validity_params_default();
        nm_validity v = judge_agents(nm_test_build(builder), agents, 60, &params);
        expect_failed(&v, left ? 0 : BIT(NM_VERDICT_RED_LIGHT), left ? "red for left" : "red for straight on");
        assert_true(v.verdicts[NM_VERDICT_RED_LIGHT].result != NM_VERDICT_UNJUDGED);
    }
}

// --- measurements ----------------------------------------------------------------------------------------------------

static void test_closed_forms(void **state) {
    (void)state;
    start_plain(80);
    with_profile(5, 20, 2.5, 15);
    nm_validity v = judge_at(&elsewhere);
    assert_float_equal(v.verdicts[NM_VERDICT_ACCELERATION].value, 2.5, 0.05);
    assert_float_equal(v.verdicts[NM_VERDICT_SPEED].value, 15, 0.01);
    start_plain(80);
    circle(20, 8);
    v = judge_at(&elsewhere);
    assert_float_equal(v.verdicts[NM_VERDICT_LATERAL_ACCELERATION].value, 64.0 / 20, 0.05);
    assert_float_equal(v.verdicts[NM_VERDICT_YAW_RATE].value, 8.0 / 20, 0.01);
    assert_float_equal(v.verdicts[NM_VERDICT_CURVATURE].value, 1.0 / 20, 0.001);
    assert_true(v.verdicts[NM_VERDICT_SLIP].value < 0.02f);
    assert_true(v.verdicts[NM_VERDICT_BRAKING].value < 0.1f);
}

/// Where no whole window fits nothing is measured, and nothing is said to hold.
static void test_too_short_to_measure(void **state) {
    static const nm_verdict_kind fitted[] = {NM_VERDICT_SPEED, NM_VERDICT_ACCELERATION, NM_VERDICT_BRAKING,
                                             NM_VERDICT_LATERAL_ACCELERATION, NM_VERDICT_JERK};
    (void)state;
    start_plain(60);
    straight_at(&t.world, adversary(), 0, 0, 0, 10);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 60; i++) t.world.agent[k].poses[i].valid = i >= BEGIN - 2 && i < BEGIN + 8;
    nm_validity v = judge_at(&here);
    for (size_t i = 0; i < sizeof fitted / sizeof *fitted; i++)
        assert_int_equal(v.verdicts[fitted[i]].result, NM_VERDICT_UNJUDGED);
    assert_int_equal(v.verdicts[NM_VERDICT_TELEPORT].result, NM_VERDICT_PASS);
}

/// The noise of floats far from the origin is no motion.
static void test_standing_far_off(void **state) {
    (void)state;
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    const placing none = {0};
    const nm_map *map = build_map(MAP_EMPTY, &none);
    assert_int_equal(nm_scene_builder_begin(builder, map, DT, 80, &error), NM_OK);
    for (int i = 0; i < 2; i++) {
        const nm_track_def def = {.id = i, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t k = 0; k < 80; k++) { // half a unit in the last place, to and fro
            const nm_state_def s = {.x = 30000 + 200 * i + 0.0015 * (k % 2), .y = -30000 - 0.0015 * (k / 2 % 2)};
            assert_int_equal(nm_scene_builder_add_state(builder, track, k, &s, &error), NM_OK);
        }
    }
    const nm_scene *scene;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    nm_validity_params params = nm_validity_params_default();
    nm_validity v = judge_scene(scene, 0, 1, &params);
    expect_failed(&v, 0, "standing");
    assert_float_equal(v.verdicts[NM_VERDICT_ACCELERATION].value, 0, 0.1);
    assert_float_equal(v.verdicts[NM_VERDICT_YAW_RATE].value, 0, 1e-6);
    nm_scene_destroy(scene);
}

// --- bad input, names, JSON ------------------------------------------------------------------------------------------

static void expect_refused(const nm_conflict_case *conflict, const nm_validity_params *params, const char *words) {
    nm_arena *arena = nm_arena_create(0);
    nm_error error;
    nm_validity out;
    nm_error_clear(&error);
    memset(&out, 0x5a, sizeof out);
    assert_int_equal(nm_validity_of(conflict, params, arena, &out, &error), NM_E_ARGUMENT);
    if (!strstr(error.message, words)) fail_msg("'%s' does not say '%s'", error.message, words);
    for (size_t i = 0; i < sizeof out; i++) assert_int_equal(((unsigned char *)&out)[i], 0x5a);
    assert_int_equal(nm_arena_used(arena), 0);
    nm_arena_destroy(arena);
}

static void test_bad_input(void **state) {
    (void)state;
    start_highway(80, 20);
    const nm_scene *scene = build_scene(&t.world, &here);
    const uint32_t one = 1, zero = 0, nine = 9;
    const nm_conflict_case good = {.scene = scene, .ego = 0, .adversaries = &one, .adversary_count = 1, .begin = BEGIN};
    nm_validity_params params = nm_validity_params_default();
    nm_conflict_case bad = good;
    bad.ego = 7;
    expect_refused(&bad, &params, "no track 7");
    bad = good, bad.adversaries = &zero;
    expect_refused(&bad, &params, "both ego and adversary");
    bad = good, bad.adversaries = &nine;
    expect_refused(&bad, &params, "no track 9");
    bad = good, bad.adversary_count = 0;
    expect_refused(&bad, &params, "0 adversaries");
    bad = good, bad.begin = 80;
    expect_refused(&bad, &params, "begins at step 80");
    params.off_road = NAN;
    expect_refused(&good, &params, "off_road");
    params = nm_validity_params_default();
    params.cause = -1;
    expect_refused(&good, &params, "cause");
    params = nm_validity_params_default();
    params.driver.brake = 0;
    expect_refused(&good, &params, "brake");
    params = nm_validity_params_default();
    params.driver.lateral = 9;
    expect_refused(&good, &params, "lateral");
    nm_scene_destroy(scene);
}

static void test_names(void **state) {
    (void)state;
    nm_verdict_kind kind;
    for (int i = 0; i < NM_VERDICT_COUNT; i++) {
        assert_int_equal(nm_verdict_from_name(nm_verdict_about((nm_verdict_kind)i)->name, &kind), 1);
        assert_int_equal(kind, i);
        assert_non_null(nm_verdict_about((nm_verdict_kind)i)->meaning);
    }
    assert_int_equal(nm_verdict_from_name("nothing", &kind), 0);
}

static void test_json(void **state) {
    (void)state;
    break_speed();
    nm_validity v = judge_at(&here);
    cJSON *document = nm_validity_json(&v);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(document, "valid")));
    const cJSON *verdicts = cJSON_GetObjectItem(document, "verdicts");
    assert_int_equal(cJSON_GetArraySize(verdicts), NM_VERDICT_COUNT);
    const cJSON *speed = cJSON_GetObjectItem(verdicts, "speed");
    assert_string_equal(cJSON_GetObjectItem(speed, "result")->valuestring, "fail");
    assert_float_equal(cJSON_GetObjectItem(speed, "value")->valuedouble, 75, 0.01);
    assert_float_equal(cJSON_GetObjectItem(speed, "limit")->valuedouble, 70, 0);
    const cJSON *jaywalk = cJSON_GetObjectItem(verdicts, "jaywalk");
    assert_string_equal(cJSON_GetObjectItem(jaywalk, "result")->valuestring, "unjudged");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(jaywalk, "value")));
    const cJSON *avoid = cJSON_GetObjectItem(document, "avoidability");
    assert_string_equal(cJSON_GetObjectItem(avoid, "label")->valuestring, "no_conflict");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(avoid, "margin")));
    cJSON_Delete(document);
}

// --- simulated and recorded traffic
// ------------------------------------------------------------------------------------------------

/// Everything in simulated traffic on the built-in maps is valid, whoever is called the adversary.
static void test_simulated_traffic(void **state) {
    (void)state;
    const char *const maps[] = {"on_ramp", "junction_signal:density=15", "junction_all_way", "roundabout"};
    int judged = 0;
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        const nm_scene *start_scene;
        nm_error error;
        nm_rollout_result rollout;
        nm_world_config config = nm_world_config_default();
        if (nm_builtin_scene(maps[i], 3, &start_scene, &error) != NM_OK) fail_msg("%s", error.message);
        if (nm_rollout(start_scene, &config, 100, 1, &rollout, &error) != NM_OK) fail_msg("%s", error.message);
        nm_validity_params params = nm_validity_params_default();
        params.everyone = i == 0;
        for (uint32_t track = 1; track < rollout.scene->track_count && track < 12; track++) {
            if (!rollout.scene->valid[nm_scene_at(rollout.scene, track, BEGIN)]) continue;
            nm_validity v = judge_scene(rollout.scene, 0, track, &params);
            expect_failed(&v, 0, maps[i]);
            judged++;
        }
        nm_scene_destroy(rollout.scene);
        nm_scene_destroy(start_scene);
    }
    assert_true(judged > 20);
}

typedef struct census {
    size_t tracks, kinematic, road;
    size_t fails[NM_VERDICT_COUNT];
} census;

static nm_status take_scene(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)record;
    census *c = context;
    nm_arena *arena = nm_arena_create(0);
    nm_validity_params params = nm_validity_params_default();
    assert_int_equal(nm_map_prepare(scene->map, error), NM_OK);
    for (uint32_t track = 0; track < scene->track_count; track++) {
        const nm_track *info = &scene->tracks[track];
        if ((info->flags & NM_TRACK_STATIC) || info->first_step + 20 > info->last_step) continue;
        const nm_conflict_case conflict = {.scene = scene, .ego = track, .begin = info->first_step};
        nm_validity out = {0};
        nm_judging j = {
            .conflict = &conflict, .params = &params, .arena = arena, .out = &out, .last = scene->step_count - 1};
        assert_int_equal(nm_judge_motion(&j, track), NM_OK);
        assert_int_equal(nm_judge_road(&j, track, 0), NM_OK);
        int moves = 1;
        for (int k = 0; k < NM_VERDICT_COUNT; k++) {
            int fails = out.verdicts[k].result == NM_VERDICT_FAIL;
            c->fails[k] += (size_t)fails;
            if (k <= NM_VERDICT_TURN_ON_SPOT) moves &= !fails;
        }
        c->tracks++;
        c->kinematic += (size_t)moves;
        c->road += out.verdicts[NM_VERDICT_OFF_ROAD].result != NM_VERDICT_FAIL;
    }
    nm_arena_destroy(arena);
    nm_scene_destroy(scene);
    return NM_OK;
}

/// Real drivers keep the limits: what fails are artefacts of tracking.
static void test_recorded_traffic(void **state) {
    (void)state;
    char path[1024];
    nm_error error;
    census c = {0};
    if (!nm_test_have(path, sizeof path, "data/commonroad/ngsim-train.tar.xz")) return;
    nm_importer *importer = nm_importer_create(NULL);
    if (nm_import_file(importer, path, take_scene, NULL, &c, NULL, &error) != NM_OK) fail_msg("%s", error.message);
    nm_importer_destroy(importer);
    printf("%zu tracks: motion passes %.2f %%, road %.2f %%\n", c.tracks,
           100.0 * (double)c.kinematic / (double)c.tracks, 100.0 * (double)c.road / (double)c.tracks);
    for (int k = 0; k < NM_VERDICT_COUNT; k++)
        if (c.fails[k])
            printf("  %s fails %.2f %%\n", nm_verdict_about((nm_verdict_kind)k)->name,
                   100.0 * (double)c.fails[k] / (double)c.tracks);
    assert_true(c.tracks > 2000);
    assert_true((double)c.kinematic >= 0.95 * (double)c.tracks);
    assert_true((double)c.road >= 0.95 * (double)c.tracks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_verdict_alone),
        cmocka_unit_test(test_history_is_not_judged),
        cmocka_unit_test(test_history_may_be_judged),
        cmocka_unit_test(test_requested_violations),
        cmocka_unit_test(test_only_adversaries_may),
        cmocka_unit_test(test_everyone),
        cmocka_unit_test(test_dangers_pass),
        cmocka_unit_test(test_stop_line),
        cmocka_unit_test(test_speeding),
        cmocka_unit_test(test_green_and_stopping),
        cmocka_unit_test(test_closed_forms),
        cmocka_unit_test(test_too_short_to_measure),
        cmocka_unit_test(test_standing_far_off),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_crashes_end_it),
        cmocka_unit_test(test_signals_for_turns),
        cmocka_unit_test(test_simulated_traffic),
        cmocka_unit_test(test_recorded_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
