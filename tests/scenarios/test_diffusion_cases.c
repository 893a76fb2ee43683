/// Corner cases by diffusion: with the shipped model, kept ones are what was asked for and can be made again.
#include "support.h"

#include "scenarios/case.h"
#include "scenarios/diffusion.h"
#include "scenarios/manoeuvre.h"
#include "scenarios/validity.h"
#include "sim/builtin.h"

typedef struct stage {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    nm_case_work *work;
} stage;

static int stage_open(stage *s, int threads) {
    const char *const path = NM_SOURCE_DIR "/nexus/weights/nearmiss.safetensors";
    nm_backend_config config = nm_backend_config_default();
    nm_error error;
    FILE *file = fopen(path, "rb");
    *s = (stage){0};
    if (!file) return 0; // a checkout without the weights
    fclose(file);
    config.threads = threads;
    config.compute = NM_F32;
    assert_int_equal(nm_backend_create_cpu(&config, &s->backend, &error), NM_OK);
    if (nm_recipe_load(path, s->backend, &s->model, &s->recipe, &error) != NM_OK) fail_msg("%s", error.message);
    s->work = nm_case_work_create(s->model, &s->recipe);
    assert_non_null(s->work);
    return 1;
}

static void stage_close(stage *s) {
    nm_case_work_destroy(s->work);
    nm_model_destroy(s->model);
    nm_backend_destroy(s->backend);
}

static const nm_scene *base_of(const char *specification) {
    const nm_scene *scene;
    nm_error error;
    if (nm_builtin_scene(specification, 3, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    return scene;
}

static nm_case_request request_of(nm_kind kind, nm_severity severity) {
    nm_case_request request = nm_case_request_default();
    nm_error error;
    request.generator = NM_CASE_DIFFUSION;
    request.seed = 5;
    if (nm_kind_ranges_default(kind, severity, &request.ranges, &error) != NM_OK) fail_msg("%s", error.message);
    return request;
}

static nm_case attempt(nm_case_work *work, const nm_scene *scene, const nm_case_request *request, uint64_t index) {
    nm_case made;
    nm_error error;
    nm_error_clear(&error);
    if (nm_case_attempt(work, scene, request, index, &made, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(made.scene != NULL, made.reject == NM_REJECT_NONE);
    return made;
}

/// The first attempt that is kept.
static nm_case first_kept(nm_case_work *work, const nm_scene *scene, const nm_case_request *request, uint64_t *index) {
    for (*index = 0; *index < 12; ++*index) {
        const nm_case made = attempt(work, scene, request, *index);
        if (made.reject == NM_REJECT_NONE) return made;
    }
    fail_msg("no attempt at %s was kept", nm_kind_name(request->ranges.kind));
    return (nm_case){0};
}

// --- what is kept ----------------------------------------------------------------------------------------------------

/// Roles touch or not, as asked, and nobody jumps.
static void check_motion(const nm_case *made, nm_severity severity) {
    const nm_scene *scene = made->scene;
    int contact = 0;
    for (uint32_t t = 1; t < scene->step_count; t++) {
        nm_box ego, other;
        if (nm_scene_box(scene, made->ego, t, &ego) && nm_scene_box(scene, made->adversary, t, &other))
            contact |= nm_box_overlap(&ego, &other);
        for (uint32_t track = 0; track < 2; track++) {
            nm_state before = {0}, now = {0};
            if (!nm_scene_get_state(scene, track, t - 1, &before) || !nm_scene_get_state(scene, track, t, &now))
                continue;
            const float moved = hypotf(now.x - before.x, now.y - before.y) / scene->dt;
            const float speed = hypotf(now.vx, now.vy), was = hypotf(before.vx, before.vy);
            if (fabsf(moved - 0.5f * (speed + was)) > 2.0f)
                fail_msg("%s track %u step %u: moved at %g m/s, speeds %g and %g", scene->tags[0], track, t,
                         (double)moved, (double)was, (double)speed);
        }
    }
    assert_int_equal(contact, severity == NM_SEVERITY_COLLISION);
}

static void check_valid(const nm_case *made, nm_kind kind) {
    const nm_conflict_case conflict = {.scene = made->scene,
                                       .ego = made->ego,
                                       .adversaries = &made->adversary,
                                       .adversary_count = 1,
                                       .begin = made->scene->current_step,
                                       .event = &made->event};
    nm_validity_params params = nm_validity_params_default();
    nm_validity validity;
    nm_arena *arena = nm_arena_create(0);
    nm_error error;
    params.violations = nm_kind_spec_of(kind)->violations;
    assert_int_equal(nm_validity_of(&conflict, &params, arena, &validity, &error), NM_OK);
    assert_true(validity.valid);
    nm_arena_destroy(arena);
}

/// m, mean distance of a track between the manoeuvre that was the plan and what was made of it; the history is the
/// same.
static float departure(const nm_scene *plan, const nm_scene *made, uint32_t track) {
    float sum = 0;
    uint32_t count = 0;
    assert_int_equal(plan->step_count, made->step_count);
    assert_int_equal(plan->track_count, made->track_count);
    for (uint32_t t = 0; t < plan->step_count; t++) {
        nm_state a = {0}, b = {0};
        if (!nm_scene_get_state(plan, track, t, &a) || !nm_scene_get_state(made, track, t, &b)) continue;
        if (t <= NM_TOKEN_STEPS) assert_true(a.x == b.x && a.y == b.y && a.heading == b.heading);
        sum += hypotf(a.x - b.x, a.y - b.y);
        count++;
    }
    return sum / (float)count;
}

/// Made again out of its parameters alone, by another work.
static void check_again(stage *s, const nm_scene *base, const nm_case *made, uint64_t index) {
    nm_case_request request;
    uint64_t number;
    nm_error error;
    const nm_provenance *from = &made->scene->provenance;
    assert_string_equal(from->source, "diffusion");
    assert_true(from->parent == base->hash);
    assert_int_equal(nm_case_check_weights(from->parameters, s->model, &error), NM_OK);
    if (nm_case_parse(from->parameters, &request, &number, &error) != NM_OK) fail_msg("%s", error.message);
    assert_true(number == index && request.generator == NM_CASE_DIFFUSION);
    nm_case_work *work = nm_case_work_create(s->model, &s->recipe);
    const nm_case again = attempt(work, base, &request, number);
    assert_non_null(again.scene);
    assert_true(again.scene->hash == made->scene->hash);
    assert_string_equal(again.scene->provenance.parameters, from->parameters);
    nm_scene_destroy(again.scene);
    nm_case_work_destroy(work);
}

static void kept_cases_are_what_was_asked_for(void **state) {
    (void)state;
    static const struct {
        nm_kind kind;
        nm_severity severity;
        const char *map;
    } cases[] = {{NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS, "highway:density=12"},
                 {NM_KIND_HARD_BRAKE, NM_SEVERITY_COLLISION, "highway:density=12"},
                 {NM_KIND_CROSSING_CONFLICT, NM_SEVERITY_COLLISION, "junction_priority:density=8"},
                 {NM_KIND_HEAD_ON, NM_SEVERITY_NEAR_MISS, "t_junction:density=8"},
                 {NM_KIND_PEDESTRIAN_CROSSING, NM_SEVERITY_NEAR_MISS, "t_junction:density=8"},
                 {NM_KIND_BLOCKED_LANE, NM_SEVERITY_NEAR_MISS, "highway:density=12"}};
    stage s;
    if (!stage_open(&s, 1)) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const nm_scene *base = base_of(cases[i].map);
        const nm_case_request request = request_of(cases[i].kind, cases[i].severity);
        uint64_t index;
        const nm_case made = first_kept(s.work, base, &request, &index);
        check_motion(&made, cases[i].severity);
        check_valid(&made, cases[i].kind);
        assert_int_equal(made.scene->step_count, request.steps + 1);
        assert_int_equal(made.event.kind, cases[i].kind);
        nm_case_request scripted = request;
        scripted.generator = NM_CASE_MANOEUVRE;
        const nm_case plan = attempt(s.work, base, &scripted, index);
        assert_true(made.simulations > plan.simulations);
        const float off = departure(plan.scene, made.scene, made.adversary);
        if (cases[i].kind == NM_KIND_BLOCKED_LANE)
            assert_float_equal(off, 0.0f, 1e-4f); // what stands stays where it is
        else
            assert_true(off > 0.005f && off < 15.0f); // of the model's own making
        check_again(&s, base, &made, index);
        nm_scene_destroy(plan.scene);
        nm_scene_destroy(made.scene);
        nm_scene_destroy(base);
    }
    stage_close(&s);
}

/// Also where it is hard to meet: whatever is kept stands up to being looked at anew.
static void what_is_kept_is_confirmed(void **state) {
    (void)state;
    stage s;
    if (!stage_open(&s, 1)) skip();
    const nm_scene *base = base_of("junction_signal:density=20");
    const nm_case_request request = request_of(NM_KIND_RED_LIGHT_RUNNER, NM_SEVERITY_COLLISION);
    nm_arena *arena = nm_arena_create(0);
    uint32_t kept = 0, rejected = 0;
    for (uint64_t i = 0; i < 8; i++) {
        const nm_case made = attempt(s.work, base, &request, i);
        nm_case again = made;
        nm_scene_criticality criticality;
        nm_error error;
        rejected += made.reject != NM_REJECT_NONE;
        if (made.reject != NM_REJECT_NONE) continue;
        assert_int_equal(nm_case_confirm(made.scene, &request, arena, &criticality, &again, &error), NM_OK);
        assert_int_equal(again.reject, NM_REJECT_NONE);
        assert_int_equal(again.event_count, made.event_count);
        assert_memory_equal(again.events, made.events, made.event_count * sizeof *made.events);
        nm_scene_destroy(made.scene);
        kept++;
    }
    assert_true(kept > 0 && rejected > 0); // or else nothing was hard
    nm_arena_destroy(arena);
    nm_scene_destroy(base);
    stage_close(&s);
}

// --- determinism -----------------------------------------------------------------------------------------------------

/// Whatever the work did before, and for any number of threads; and another ego makes another scene.
static void the_same_attempt_is_the_same_scene(void **state) {
    (void)state;
    stage s[2];
    if (!stage_open(&s[0], 1)) skip();
    assert_true(stage_open(&s[1], 3));
    const nm_scene *base = base_of("highway:density=12");
    nm_case_request request = request_of(NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS);
    uint64_t index;
    const nm_case made = first_kept(s[0].work, base, &request, &index);
    nm_case_request other = request; // another size of loop
    other.traffic = 9;
    other.steps = 80;
    nm_scene_destroy(attempt(s[1].work, base, &other, index).scene);
    const nm_case again = attempt(s[1].work, base, &request, index);
    assert_non_null(again.scene);
    assert_true(again.scene->hash == made.scene->hash);
    nm_scene_destroy(again.scene);
    other.traffic = NM_CASE_MAX_TRAFFIC; // of the same length: a loop that is kept
    other.steps = request.steps;
    nm_scene_destroy(attempt(s[1].work, base, &other, index).scene);
    const nm_case kept = attempt(s[1].work, base, &request, index);
    assert_non_null(kept.scene);
    assert_true(kept.scene->hash == made.scene->hash);
    nm_scene_destroy(kept.scene);
    request.seed++;
    const nm_case another = first_kept(s[1].work, base, &request, &index);
    assert_true(another.scene->hash != made.scene->hash);
    nm_scene_destroy(another.scene);
    nm_scene_destroy(made.scene);
    nm_scene_destroy(base);
    stage_close(&s[0]);
    stage_close(&s[1]);
}

// --- refusals --------------------------------------------------------------------------------------------------------

static void what_cannot_be_made_is_said(void **state) {
    (void)state;
    const nm_scene *base = base_of("highway:density=12");
    nm_case_request request = request_of(NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS);
    nm_case_work *work = nm_case_work_create(NULL, NULL);
    nm_case made;
    nm_error error;
    nm_error_clear(&error);
    assert_true(nm_case_uses_model(&request));
    assert_int_equal(nm_case_check(base, &request, &error), NM_OK);
    assert_int_equal(nm_case_attempt(work, base, &request, 0, &made, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "model"));
    nm_case_work_destroy(work);
    request.steps = NM_DIFFUSION_STEPS + 1;
    assert_int_equal(nm_case_check(base, &request, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "125"));
    request.generator = NM_CASE_MANOEUVRE;
    assert_int_equal(nm_case_check(base, &request, &error), NM_OK);
    nm_scene_destroy(base);
}

/// What the manoeuvre is rejected for, the diffusion is too, and the model is spared.
static void a_rejected_plan_is_a_rejected_attempt(void **state) {
    (void)state;
    stage s;
    if (!stage_open(&s, 1)) skip();
    const nm_scene *base = base_of("highway:density=12");
    nm_case_request request = request_of(NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS);
    nm_error error;
    assert_int_equal(nm_kind_ranges_set(&request.ranges, "ego_speed=3:4", &error), NM_OK); // on a motorway
    nm_case_request scripted = request;
    scripted.generator = NM_CASE_MANOEUVRE;
    const nm_case plan = attempt(s.work, base, &scripted, 0), made = attempt(s.work, base, &request, 0);
    assert_int_equal(plan.reject, NM_REJECT_EGO_SPEED);
    assert_int_equal(made.reject, plan.reject);
    assert_int_equal(made.simulations, plan.simulations);
    nm_scene_destroy(base);
    stage_close(&s);
}

static void other_weights_are_told_apart(void **state) {
    (void)state;
    stage s;
    nm_error error;
    if (!stage_open(&s, 1)) skip();
    nm_model *other;
    uint64_t hash, changed;
    char parameters[96];
    assert_int_equal(nm_model_hash(s.model, &hash, &error), NM_OK);
    assert_int_equal(nm_model_create(nm_model_get_config(s.model), s.backend, 1, &other, &error), NM_OK);
    assert_int_equal(nm_model_hash(other, &changed, &error), NM_OK);
    assert_true(hash != changed);
    snprintf(parameters, sizeof parameters, "{\"weights\":\"%016llx\",\"sample\":0}", (unsigned long long)hash);
    assert_int_equal(nm_case_check_weights(parameters, s.model, &error), NM_OK);
    assert_int_equal(nm_case_check_weights(parameters, other, &error), NM_E_FORMAT);
    snprintf(parameters, sizeof parameters, "%016llx", (unsigned long long)changed);
    assert_non_null(strstr(error.message, parameters));
    static const char *const broken[] = {"{}", "{\"weights\":\"\"}", "{\"weights\":\"12345678\"}", "{\"weights\":\"",
                                         "{\"weights\":\"12345678123456781\"}"};
    // a parent's weights are not its own
    snprintf(parameters, sizeof parameters, "{\"parent_parameters\":{\"weights\":\"%016llx\"}}",
             (unsigned long long)hash);
    assert_int_equal(nm_case_check_weights(parameters, s.model, &error), NM_E_FORMAT);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_int_equal(nm_case_check_weights(broken[i], s.model, &error), NM_E_FORMAT);
    nm_model_destroy(other);
    stage_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_cases_are_what_was_asked_for),     cmocka_unit_test(what_is_kept_is_confirmed),
        cmocka_unit_test(the_same_attempt_is_the_same_scene),    cmocka_unit_test(what_cannot_be_made_is_said),
        cmocka_unit_test(a_rejected_plan_is_a_rejected_attempt), cmocka_unit_test(other_weights_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
