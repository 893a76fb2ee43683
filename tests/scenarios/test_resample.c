// Corner cases made by resampling: kept ones are what was asked for, drawn by weight, with those who were recorded.
#include "nexus/network_support.h"
#include "nexus/tokens_support.h"

#include "scenarios/case.h"
#include "scenarios/resample_prior.h"
#include "scenarios/validity.h"
#include "sim/builtin.h"
#include "sim/world.h"

static const nm_scene *base_of(const char *specification, uint64_t seed) {
    const nm_scene *scene;
    nm_error error;
    if (nm_builtin_scene(specification, seed, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    return scene;
}

// Traffic that was simulated for a while stands in for a recording.
static const nm_scene *recording_of(const char *specification, uint64_t seed) {
    const nm_scene *start = base_of(specification, seed);
    nm_world_config config = nm_world_config_default();
    nm_rollout_result result;
    nm_error error;
    config.seed = seed;
    if (nm_rollout(start, &config, 60, 1, &result, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_destroy(start);
    return result.scene;
}

static nm_case_request request_of(nm_kind kind, nm_severity severity) {
    nm_case_request request = nm_case_request_default();
    nm_error error;
    request.generator = NM_CASE_RESAMPLE;
    request.seed = 3;
    if (nm_kind_ranges_default(kind, severity, &request.ranges, &error) != NM_OK) fail_msg("%s", error.message);
    return request;
}

static nm_case attempt(nm_case_work *work, const nm_scene *scene, const nm_case_request *request, uint64_t index) {
    nm_case made;
    nm_error error;
    if (nm_case_attempt(work, scene, request, index, &made, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(made.scene != NULL, made.reject == NM_REJECT_NONE);
    return made;
}

// --- independent measures --------------------------------------------------------------------------------------------

static void check_severity(const nm_case *made, nm_kind kind, nm_severity severity) {
    const nm_scene *scene = made->scene;
    const uint32_t with = kind == NM_KIND_CUT_OUT ? made->other : made->adversary;
    int contact = 0;
    for (uint32_t t = 1; t < scene->step_count && !contact; t++) {
        nm_box ego, other;
        if (!nm_scene_box(scene, made->ego, t, &ego) || !nm_scene_box(scene, with, t, &other)) continue;
        contact = nm_box_overlap(&ego, &other);
    }
    assert_int_equal(contact, severity == NM_SEVERITY_COLLISION);
}

static size_t detect(const nm_scene *scene, nm_arena *arena, nm_event **events) {
    const nm_detect_params params = nm_detect_params_default();
    size_t count;
    nm_error error;
    if (nm_detect(scene, &params, arena, events, &count, NULL, &error) != NM_OK) fail_msg("%s", error.message);
    return count;
}

// The detectors, run anew on the finished scene, name the kind and who did it to whom.
static void check_event(const nm_case *made, nm_kind kind) {
    const nm_kind_spec *spec = nm_kind_spec_of(kind);
    const uint32_t actor = spec->actor == NM_ROLE_EGO ? made->ego : made->adversary;
    const uint32_t other = spec->actor == NM_ROLE_EGO ? made->adversary : made->ego;
    nm_arena *arena = nm_arena_create(0);
    nm_event *events;
    const size_t count = detect(made->scene, arena, &events);
    int found = 0;
    for (size_t i = 0; i < count; i++)
        found |= events[i].kind == kind && events[i].actor == actor && (!spec->other_named || events[i].other == other);
    assert_true(found);
    nm_arena_destroy(arena);
}

// Candidates drive as vehicles can, on the road, by the rules but for those that the kind breaks.
static void check_validity(const nm_case *made, nm_kind kind) {
    uint32_t others[2 + NM_CASE_MAX_ADVERSARIES] = {made->adversary}, count = 1;
    if (made->other != NM_NONE) others[count++] = made->other;
    for (uint32_t i = 0; i < made->more_count; i++) others[count++] = made->more[i];
    const nm_conflict_case conflict = {.scene = made->scene,
                                       .ego = made->ego,
                                       .adversaries = others,
                                       .adversary_count = count,
                                       .begin = made->scene->current_step,
                                       .event = &made->event};
    nm_validity_params params = nm_validity_params_default();
    nm_arena *arena = nm_arena_create(0);
    nm_validity validity;
    nm_error error;
    params.violations = nm_kind_spec_of(kind)->violations;
    params.from = 0;
    if (nm_validity_of(&conflict, &params, arena, &validity, &error) != NM_OK) fail_msg("%s", error.message);
    for (int k = 0; k < NM_VERDICT_COUNT; k++)
        if (validity.verdicts[k].result == NM_VERDICT_FAIL)
            fail_msg("%s: %s is %g, above %g", nm_kind_name(kind), nm_verdict_about((nm_verdict_kind)k)->name,
                     (double)validity.verdicts[k].value, (double)validity.verdicts[k].limit);
    nm_arena_destroy(arena);
}

static void check_values(const nm_case *made, const nm_case_request *request) {
    const nm_kind_spec *spec = nm_kind_spec_of(request->ranges.kind);
    for (size_t i = 0; i < spec->param_count; i++) {
        const nm_kind_range *range = &request->ranges.range[i];
        assert_true(made->requested[i] >= range->low - 1e-4f && made->requested[i] <= range->high + 1e-4f);
    }
}

// --- every kind ------------------------------------------------------------------------------------------------------

typedef struct kind_case {
    nm_kind kind;
    const char *map;
    int near, hit; // of 4 attempts, how many must be kept at least
} kind_case;

static const kind_case kind_cases[] = {
    {NM_KIND_CUT_IN, "highway:lanes=3,density=10", 4, 3},
    {NM_KIND_CUT_OUT, "highway:lanes=3,density=10", 3, 3},
    {NM_KIND_HARD_BRAKE, "highway:lanes=3,density=10", 4, 3},
    {NM_KIND_REAR_END, "highway_curved:density=10", 3, 3},
    {NM_KIND_LEAD_STOPPED, "crosswalk:density=8", 4, 3},
    {NM_KIND_MERGE_CONFLICT, "on_ramp:density=8", 4, 3},
    {NM_KIND_UNPROTECTED_LEFT_TURN, "junction_signal:density=8", 3, 3},
    {NM_KIND_CROSSING_CONFLICT, "junction_priority:density=8", 3, 2},
    {NM_KIND_RED_LIGHT_RUNNER, "junction_signal:density=8", 3, 3},
    {NM_KIND_RIGHT_TURN_CONFLICT, "junction_priority:density=8", 0, 1},
    {NM_KIND_PEDESTRIAN_CROSSING, "crosswalk:density=8", 4, 4},
    {NM_KIND_CYCLIST_CROSSING, "crosswalk:density=8", 4, 4},
    {NM_KIND_WRONG_WAY, "highway:lanes=2,density=6", 4, 3},
    {NM_KIND_TAILGATE, "highway:lanes=2,density=6", 4, 0},
    {NM_KIND_LANE_DRIFT, "highway:lanes=3,density=10", 3, 2},
    {NM_KIND_HEAD_ON, "junction_priority:density=6", 3, 3},
    {NM_KIND_CHAIN_BRAKE, "highway:lanes=2,density=6", 2, 0},
    {NM_KIND_PARKED_PULL_OUT, "crosswalk:density=8", 3, 3},
    {NM_KIND_OCCLUDED_PEDESTRIAN, "crosswalk:density=8", 3, 3},
    {NM_KIND_BLOCKED_LANE, "crosswalk:density=8", 4, 0},
    {NM_KIND_SUDDEN_U_TURN, "crosswalk:lanes=2,density=8", 3, 0},
};

static void run_case(nm_case_work *work, const kind_case *c, nm_severity severity, int least) {
    const nm_case_request request = request_of(c->kind, severity);
    int kept = 0;
    for (uint64_t i = 0; i < 4; i++) {
        const nm_scene *base = base_of(c->map, i + 1);
        const nm_case made = attempt(work, base, &request, i);
        nm_scene_destroy(base);
        if (!made.scene) continue;
        kept++;
        assert_string_equal(made.scene->provenance.source, "resample");
        check_severity(&made, c->kind, severity);
        check_event(&made, c->kind);
        check_validity(&made, c->kind);
        check_values(&made, &request);
        nm_scene_destroy(made.scene);
    }
    if (kept < least)
        fail_msg("%s as %s: %d of 4 kept, not %d", nm_kind_name(c->kind), nm_severity_name(severity), kept, least);
}

static void kept_scenes_are_what_was_asked_for(void **state) {
    (void)state;
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    assert_non_null(work);
    for (size_t i = 0; i < sizeof kind_cases / sizeof *kind_cases; i++) {
        run_case(work, &kind_cases[i], NM_SEVERITY_NEAR_MISS, kind_cases[i].near);
        if (nm_kind_spec_of(kind_cases[i].kind)->severities & 2u)
            run_case(work, &kind_cases[i], NM_SEVERITY_COLLISION, kind_cases[i].hit);
    }
    nm_case_work_destroy(work);
}

// Where everybody has to stop, many who brake before the ego or come from behind would have passed a sign before: these
// are drawn again, somewhere else.
static void futures_against_the_rules_are_not_kept(void **state) {
    (void)state;
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    const nm_kind kinds[] = {NM_KIND_HARD_BRAKE, NM_KIND_REAR_END};
    const nm_scene *base = base_of("junction_all_way:density=10", 3);
    int kept = 0;
    for (size_t k = 0; k < 2; k++) {
        const nm_case_request request = request_of(kinds[k], NM_SEVERITY_NEAR_MISS);
        for (uint64_t i = 0; i < 8; i++) {
            const nm_case made = attempt(work, base, &request, i);
            if (!made.scene) continue;
            kept++;
            check_validity(&made, kinds[k]);
            nm_scene_destroy(made.scene);
        }
    }
    assert_true(kept >= 10);
    nm_scene_destroy(base);
    nm_case_work_destroy(work);
}

// "Cut-ins with a gap of 3 to 8 m and a least time to collision of 0.5 to 1.5 s": measured in the scene itself.
static void asked_ranges_are_met(void **state) {
    (void)state;
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    nm_case_request request = request_of(NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS);
    nm_error error;
    assert_int_equal(nm_kind_ranges_set(&request.ranges, "gap=3:8", &error), NM_OK);
    assert_int_equal(nm_kind_ranges_set(&request.ranges, "min_ttc=0.5:1.5", &error), NM_OK);
    const nm_scene *base = recording_of("highway:lanes=3,density=20", 5);
    int kept = 0;
    for (uint64_t i = 0; i < 8; i++) {
        const nm_case made = attempt(work, base, &request, i);
        if (!made.scene) continue;
        kept++;
        nm_box ego, adversary;
        assert_true(nm_scene_box(made.scene, made.ego, made.conflict_step, &ego));
        assert_true(nm_scene_box(made.scene, made.adversary, made.conflict_step, &adversary));
        const float ahead = (adversary.x - ego.x) * ego.cos_h + (adversary.y - ego.y) * ego.sin_h;
        const float gap = ahead - 0.5f * (ego.length + adversary.length);
        assert_true(gap > 2.4f && gap < 8.6f);
        float ttc = INFINITY;
        for (uint32_t t = 1; t < made.scene->step_count; t++)
            if (nm_scene_box(made.scene, made.ego, t, &ego) && nm_scene_box(made.scene, made.adversary, t, &adversary))
                ttc = fminf(ttc, nm_ttc(&ego, &adversary, 10));
        assert_true(ttc >= 0.5f && ttc <= 1.5f);
        nm_scene_destroy(made.scene);
    }
    assert_true(kept >= 4);
    nm_scene_destroy(base);
    nm_case_work_destroy(work);
}

// --- who was recorded ------------------------------------------------------------------------------------------------

static unsigned member(const char *text, const char *name) {
    const char *at = strstr(text, name);
    assert_non_null(at);
    return (unsigned)strtoul(at + strlen(name), NULL, 10);
}

// The track of the recording that was at the place and speed that a role starts with; NM_NONE when nobody was.
static uint32_t recorded_as(const nm_scene *base, uint32_t moment, const nm_scene *scene, uint32_t role, float within) {
    nm_state start = {0}, state;
    assert_true(nm_scene_get_state(scene, role, 0, &start));
    for (uint32_t track = 0; track < base->track_count; track++) {
        if (!nm_scene_get_state(base, track, moment, &state)) continue;
        if (hypotf(state.x - start.x, state.y - start.y) < within &&
            fabsf(hypotf(state.vx, state.vy) - hypotf(start.vx, start.vy)) < 0.3f)
            return track;
    }
    return NM_NONE;
}

static void roles_go_to_those_who_were_there(void **state) {
    (void)state;
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    const nm_case_request request = request_of(NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS);
    const nm_scene *base = recording_of("highway:lanes=3,density=25", 4);
    unsigned egos = 0, pairs = 0, moments = 0;
    for (uint64_t i = 0; i < 12; i++) {
        const nm_case made = attempt(work, base, &request, i);
        if (!made.scene) continue;
        const unsigned recorded = member(made.scene->provenance.parameters, "\"recorded\":");
        const unsigned moment = member(made.scene->provenance.parameters, "\"moment\":");
        moments |= 1u << moment % 32;
        assert_true(moment < base->step_count);
        const uint32_t ego = recorded_as(base, moment, made.scene, made.ego, 0.1f);
        if (recorded > 0) {
            egos++;
            assert_true(ego != NM_NONE);
            // and is not there a second time
            for (uint32_t track = 0; track < made.scene->track_count; track++)
                if (track != made.ego) assert_true(recorded_as(base, moment, made.scene, track, 0.1f) != ego);
        }
        if (recorded > 1) {
            pairs++;
            const uint32_t adversary = recorded_as(base, moment, made.scene, made.adversary, 0.3f);
            assert_true(adversary != NM_NONE && adversary != ego);
        }
        nm_scene_destroy(made.scene);
    }
    assert_true(egos >= 8 && pairs >= 1);
    assert_true((moments & (moments - 1)) != 0); // not always the same
    nm_scene_destroy(base);
    nm_case_work_destroy(work);
}

static void a_start_step_that_was_given_is_kept_to(void **state) {
    (void)state;
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    nm_case_request request = request_of(NM_KIND_PEDESTRIAN_CROSSING, NM_SEVERITY_NEAR_MISS);
    const nm_scene *base = recording_of("crosswalk:density=15", 4);
    request.start_step = 17;
    request.steps = 60;
    request.traffic = 0;
    int kept = 0;
    for (uint64_t i = 0; i < 4; i++) {
        const nm_case made = attempt(work, base, &request, i);
        if (!made.scene) continue;
        kept++;
        assert_int_equal(member(made.scene->provenance.parameters, "\"moment\":"), 17);
        assert_int_equal(made.scene->step_count, 61);
        assert_int_equal(made.scene->track_count, 2);
        nm_scene_destroy(made.scene);
    }
    assert_true(kept >= 3);
    nm_scene_destroy(base);
    nm_case_work_destroy(work);
}

// --- the same again --------------------------------------------------------------------------------------------------

// Attempt n does not depend on what the work did before, and its provenance says how to make it again.
static void attempts_repeat_bit_for_bit(void **state) {
    (void)state;
    nm_case_work *used = nm_case_work_create(NULL, NULL);
    const nm_kind kinds[] = {NM_KIND_UNPROTECTED_LEFT_TURN, NM_KIND_PEDESTRIAN_CROSSING, NM_KIND_LEAD_STOPPED};
    const nm_scene *base = recording_of("junction_signal:density=12", 2);
    nm_error error;
    int kept = 0;
    for (size_t k = 0; k < 3; k++) {
        nm_case_request request = request_of(kinds[k], k == 0 ? NM_SEVERITY_COLLISION : NM_SEVERITY_NEAR_MISS);
        request.adversaries = k == 1 ? 2 : 1;
        for (uint64_t i = 0; i < 3; i++) {
            const nm_case first = attempt(used, base, &request, i);
            if (!first.scene) continue;
            kept++;
            nm_case_request read;
            uint64_t index;
            if (nm_case_parse(first.scene->provenance.parameters, &read, &index, &error) != NM_OK)
                fail_msg("%s", error.message);
            assert_int_equal(read.generator, NM_CASE_RESAMPLE);
            assert_int_equal(read.adversaries, request.adversaries);
            assert_true(index == i);
            nm_case_work *fresh = nm_case_work_create(NULL, NULL);
            const nm_case second = attempt(fresh, base, &read, index);
            assert_non_null(second.scene);
            assert_true(first.scene->hash == second.scene->hash);
            assert_string_equal(first.scene->provenance.parameters, second.scene->provenance.parameters);
            assert_int_equal(first.simulations, second.simulations);
            nm_scene_destroy(first.scene);
            nm_scene_destroy(second.scene);
            nm_case_work_destroy(fresh);
        }
    }
    assert_true(kept >= 6);
    nm_scene_destroy(base);
    nm_case_work_destroy(used);
}

// --- several adversaries ---------------------------------------------------------------------------------------------

static int endangers(const nm_event *events, size_t count, uint32_t ego, uint32_t track) {
    for (size_t i = 0; i < count; i++)
        if ((events[i].actor == track && events[i].other == ego) ||
            (events[i].actor == ego && events[i].other == track))
            return 1;
    return 0;
}

static void further_adversaries_endanger_the_ego_too(void **state) {
    (void)state;
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    const struct {
        nm_kind kind;
        nm_severity severity;
        const char *map;
        uint32_t adversaries;
        int least; // of 4
    } cases[] = {{NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS, "highway:lanes=3,density=10", 2, 3},
                 {NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS, "highway:lanes=3,density=10", 3, 1},
                 {NM_KIND_PEDESTRIAN_CROSSING, NM_SEVERITY_NEAR_MISS, "crosswalk:density=8", 2, 3},
                 {NM_KIND_HARD_BRAKE, NM_SEVERITY_COLLISION, "highway:lanes=3,density=10", 2, 2}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        nm_case_request request = request_of(cases[c].kind, cases[c].severity);
        request.adversaries = cases[c].adversaries;
        int kept = 0;
        for (uint64_t i = 0; i < 4; i++) {
            const nm_scene *base = base_of(cases[c].map, i + 1);
            const nm_case made = attempt(work, base, &request, i);
            nm_scene_destroy(base);
            if (!made.scene) continue;
            kept++;
            assert_int_equal(made.more_count, cases[c].adversaries - 1);
            check_severity(&made, cases[c].kind, cases[c].severity);
            check_event(&made, cases[c].kind);
            check_validity(&made, cases[c].kind);
            nm_arena *arena = nm_arena_create(0);
            nm_event *events;
            const size_t count = detect(made.scene, arena, &events);
            for (uint32_t k = 0; k < made.more_count; k++) {
                assert_true(made.scene->tracks[made.more[k]].flags & NM_TRACK_ADVERSARY);
                assert_true(endangers(events, count, made.ego, made.more[k]));
            }
            nm_arena_destroy(arena);
            nm_scene_destroy(made.scene);
        }
        if (kept < cases[c].least) fail_msg("%s: %d of 4 kept", nm_kind_name(cases[c].kind), kept);
    }
    nm_case_work_destroy(work);
}

// --- the model -------------------------------------------------------------------------------------------------------

typedef struct small {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
} small;

static small small_open(void) {
    small s = {.recipe = {.tokens = nm_token_config_default(NM_TOKENS_AGENT), .prior = NM_PRIOR_LANE}};
    s.recipe.tokens.paths = 1;
    s.recipe.tokens.future = 6;
    s.recipe.tokens.map_polylines = 8;
    nm_model_config config = small_config(2);
    nm_token_fit_model(&s.recipe.tokens, &config);
    nm_backend_config backend = nm_backend_config_default();
    nm_error error;
    backend.compute = NM_F32;
    backend.threads = 1;
    assert_int_equal(nm_backend_create_cpu(&backend, &s.backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&config, s.backend, 1, &s.model, &error), NM_OK);
    return s;
}

static void candidates_follow_the_model(void **state) {
    (void)state;
    small s = small_open();
    nm_case_work *work = nm_case_work_create(s.model, &s.recipe), *again = nm_case_work_create(s.model, &s.recipe);
    nm_case_request request = request_of(NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS);
    const nm_scene *base = recording_of("highway:lanes=3,density=25", 4);
    request.model_candidates = 2;
    assert_int_equal(nm_case_uses_model(&request), 1);
    unsigned followed = 0;
    for (uint64_t i = 0; i < 40 && followed == 0; i++) {
        const nm_case made = attempt(work, base, &request, i);
        if (!made.scene) continue;
        const unsigned expected = member(made.scene->provenance.parameters, "\"expected\":");
        assert_true(expected <= 2);
        if (expected > 0) {
            followed++;
            // one who was recorded does it, and it can be made again
            assert_int_equal(member(made.scene->provenance.parameters, "\"recorded\":"), 2);
            check_validity(&made, NM_KIND_CUT_IN);
            nm_case_request read;
            uint64_t index;
            nm_error error;
            assert_int_equal(nm_case_parse(made.scene->provenance.parameters, &read, &index, &error), NM_OK);
            assert_int_equal(read.model_candidates, 2);
            assert_int_equal(nm_case_check_weights(made.scene->provenance.parameters, s.model, &error), NM_OK);
            nm_case second;
            assert_int_equal(nm_case_again(again, base, made.scene->provenance.parameters, &second, &error), NM_OK);
            assert_non_null(second.scene);
            assert_true(second.scene->hash == made.scene->hash);
            nm_scene_destroy(second.scene);
        }
        nm_scene_destroy(made.scene);
    }
    assert_true(followed > 0);
    nm_scene_destroy(base);
    nm_case_work_destroy(work);
    nm_case_work_destroy(again);
    nm_model_destroy(s.model);
    nm_backend_destroy(s.backend);
}

// --- the ego ---------------------------------------------------------------------------------------------------------

// An ego that never brakes: what it is asked to drive by is what drives.
static void hold_speed(void *context, const nm_world_view *view, const uint32_t *slots, uint32_t count, float *accel,
                       float *curvature) {
    (void)view;
    (void)slots;
    *(uint32_t *)context += count;
    for (uint32_t i = 0; i < count; i++) accel[i] = curvature[i] = 0;
}

static void the_ego_drives_by_its_policy(void **state) {
    (void)state;
    uint32_t calls = 0;
    const nm_policy policy = {.name = "hold", .act = hold_speed, .context = &calls};
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    const nm_scene *base = base_of("highway:lanes=3,density=10", 1);
    nm_case_request request = request_of(NM_KIND_HARD_BRAKE, NM_SEVERITY_COLLISION);
    nm_error error;
    request.ego = NM_POLICY_CUSTOM;
    request.custom = &policy;
    assert_int_equal(nm_kind_ranges_set(&request.ranges, "reaction=0", &error), NM_OK);
    int kept = 0;
    for (uint64_t i = 0; i < 4; i++) {
        const nm_case made = attempt(work, base, &request, i);
        if (!made.scene) continue;
        kept++;
        nm_state start = {0}, hit = {0};
        assert_true(nm_scene_get_state(made.scene, made.ego, 0, &start));
        for (uint32_t t = 1; t < made.scene->step_count; t++) {
            nm_box ego, adversary;
            assert_true(nm_scene_box(made.scene, made.ego, t, &ego));
            assert_true(nm_scene_box(made.scene, made.adversary, t, &adversary));
            if (nm_box_overlap(&ego, &adversary)) break;
            assert_true(nm_scene_get_state(made.scene, made.ego, t, &hit));
        }
        assert_float_equal(hypotf(start.vx, start.vy), hypotf(hit.vx, hit.vy), 0.2);
        nm_scene_destroy(made.scene);
    }
    assert_true(kept >= 3);
    assert_true(calls > 100);
    // and nobody brakes hard before it without being hit
    request = request_of(NM_KIND_HARD_BRAKE, NM_SEVERITY_NEAR_MISS);
    request.ego = NM_POLICY_CUSTOM;
    request.custom = &policy;
    for (uint64_t i = 0; i < 2; i++) assert_null(attempt(work, base, &request, i).scene);
    nm_scene_destroy(base);
    nm_case_work_destroy(work);
}

// --- weights ---------------------------------------------------------------------------------------------------------

static void draws_are_in_proportion_to_weights(void **state) {
    (void)state;
    const float weights[] = {logf(1), -INFINITY, logf(5), logf(2)},
                shifted[] = {600 + logf(1), -INFINITY, 600 + logf(5), 600 + logf(2)};
    const nm_rng_key key = {.seed = 8, .purpose = NM_PURPOSE_TEST};
    uint32_t times[4] = {0};
    for (uint32_t draw = 0; draw < 8000; draw++) {
        const uint32_t one = nm_resample_pick(weights, 4, &key, draw);
        assert_true(one < 4);
        // what all have in common does not matter
        if (draw < 200) assert_int_equal(one, nm_resample_pick(shifted, 4, &key, draw));
        times[one]++;
    }
    assert_int_equal(times[1], 0);
    const double expected[] = {1000, 0, 5000, 2000}; // within 5 standard deviations
    for (int i = 0; i < 4; i++)
        assert_true(fabs(times[i] - expected[i]) <= 5 * sqrt(expected[i] * (1 - expected[i] / 8000)));
    const float never[] = {-INFINITY, -INFINITY};
    assert_int_equal(nm_resample_pick(never, 2, &key, 1), NM_NONE);
    assert_int_equal(nm_resample_pick(never, 0, &key, 1), NM_NONE);
}

static float plausibility(nm_agent_type type, float speed, float pace, float wave, float across) {
    float v[101], a[101];
    for (int t = 0; t <= 100; t++) {
        v[t] = fmaxf(speed + pace * 0.1f * (float)t + wave * sinf(0.9f * (float)t), 0);
        a[t] = across;
    }
    return nm_motion_plausibility(type, v, a, 101);
}

// Of two motions the one that recorded drivers show more often is the more plausible.
static void rarer_motion_is_less_plausible(void **state) {
    (void)state;
    const float steady = plausibility(NM_AGENT_CAR, 20, 0, 0, 0);
    assert_true(steady <= 0);
    float before = steady;
    for (float pace = 0.8f; pace < 2; pace += 0.8f) { // slowing down more and more
        const float now = plausibility(NM_AGENT_CAR, 20, -pace, 0, 0);
        assert_true(now < before);
        before = now;
    }
    assert_true(plausibility(NM_AGENT_CAR, 20, 0, 0.8f, 0) < steady - 1); // jerks
    assert_true(plausibility(NM_AGENT_CAR, 20, 0, 0, 2) < steady - 1);    // swerves
    assert_true(plausibility(NM_AGENT_CAR, 20, 0, 0, 4) < plausibility(NM_AGENT_CAR, 20, 0, 0, 2));
    // twice as long, twice as much that was decided
    float v[201], a[201];
    for (int t = 0; t <= 200; t++) {
        v[t] = 15;
        a[t] = 1;
    }
    const float one = nm_motion_plausibility(NM_AGENT_CAR, v, a, 101),
                two = nm_motion_plausibility(NM_AGENT_CAR, v, a, 201);
    assert_float_equal(two / one, 191.0 / 91.0, 0.05);
    // people walk at their own pace
    const float walks = plausibility(NM_AGENT_PEDESTRIAN, 1.34f, 0, 0, 0);
    assert_float_equal(walks, 0, 1e-4);
    assert_float_equal(plausibility(NM_AGENT_PEDESTRIAN, 1.34f + 0.52f, 0, 0, 0), -2, 0.01); // two deviations
    assert_true(plausibility(NM_AGENT_PEDESTRIAN, 1.34f, 0, 0.3f, 0) < walks);
    assert_true(plausibility(NM_AGENT_CYCLIST, 4.2f, 0, 0, 0) > plausibility(NM_AGENT_CYCLIST, 8, 0, 0, 0));
    assert_float_equal(nm_motion_plausibility(NM_AGENT_CAR, v, a, 0), 0, 0);
}

// --- requests --------------------------------------------------------------------------------------------------------

static void bad_requests_are_refused_before_work(void **state) {
    (void)state;
    const nm_scene *base = base_of("highway:lanes=3,density=10", 1);
    nm_error error;
    nm_case_request request = request_of(NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS);
    assert_int_equal(nm_case_check(base, &request, &error), NM_OK);
    assert_int_equal(nm_case_uses_model(&request), 0);
    request.adversaries = 4;
    assert_int_equal(nm_case_check(base, &request, &error), NM_OK);
    request.adversaries = 5;
    assert_int_equal(nm_case_check(base, &request, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "1 to 4 adversaries"));
    request.adversaries = 0;
    assert_int_equal(nm_case_check(base, &request, &error), NM_E_ARGUMENT);
    request = request_of(NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS);
    request.start_step = base->step_count;
    assert_int_equal(nm_case_check(base, &request, &error), NM_E_ARGUMENT);
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    nm_case made;
    request = request_of(NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS);
    request.model_candidates = NM_CASE_MAX_MODEL_CANDIDATES + 1;
    assert_int_equal(nm_case_check(base, &request, &error), NM_E_ARGUMENT);
    request.model_candidates = 2;
    assert_int_equal(nm_case_check(base, &request, &error), NM_OK);
    assert_int_equal(nm_case_attempt(work, base, &request, 0, &made, &error), NM_E_UNSUPPORTED); // without a model
    request.generator = NM_CASE_MANOEUVRE;
    assert_int_equal(nm_case_check(base, &request, &error), NM_E_ARGUMENT);
    request = request_of(NM_KIND_PEDESTRIAN_CROSSING, NM_SEVERITY_NEAR_MISS);
    assert_int_equal(nm_case_check(base, &request, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "it can hold cut_in"));
    assert_int_equal(nm_case_attempt(work, base, &request, 0, &made, &error), NM_E_UNSUPPORTED); // all the same
    nm_case_work_destroy(work);
    nm_scene_destroy(base);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_scenes_are_what_was_asked_for),
        cmocka_unit_test(futures_against_the_rules_are_not_kept),
        cmocka_unit_test(asked_ranges_are_met),
        cmocka_unit_test(roles_go_to_those_who_were_there),
        cmocka_unit_test(a_start_step_that_was_given_is_kept_to),
        cmocka_unit_test(attempts_repeat_bit_for_bit),
        cmocka_unit_test(further_adversaries_endanger_the_ego_too),
        cmocka_unit_test(candidates_follow_the_model),
        cmocka_unit_test(the_ego_drives_by_its_policy),
        cmocka_unit_test(draws_are_in_proportion_to_weights),
        cmocka_unit_test(rarer_motion_is_less_plausible),
        cmocka_unit_test(bad_requests_are_refused_before_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
