// What must hold for every kind: the place, the direction, the time and the order of the tracks do not matter; the same
// input gives the same events; parameters, similarity features, large and empty scenes.
#include "test_detect_worlds.h"

static const placing plain = {0};

// Fails unless both scenes have the same events, steps `delay` later, agents by name.
static void check_same(const char *what, const found *a, const found *b, int delay) {
    if (a->count != b->count) {
        print_events(a);
        print_message("  against, %s:\n", what);
        print_events(b);
        fail_msg("%s: %zu events became %zu", what, a->count, b->count);
    }
    for (size_t i = 0; i < a->count; i++) {
        const nm_event *e = &a->events[i];
        int matched = 0;
        for (size_t j = 0; j < b->count && !matched; j++) {
            const nm_event *g = &b->events[j];
            matched = e->kind == g->kind && agent_of(a, e->actor) == agent_of(b, g->actor) &&
                      agent_of(a, e->other) == agent_of(b, g->other) &&
                      abs((int)(g->critical_step - e->critical_step) - delay) <= 1 &&
                      abs((int)(g->first_step - e->first_step) - delay) <= 1 &&
                      fabs((double)(e->severity - g->severity)) < 0.02;
        }
        if (!matched) {
            print_events(a);
            print_message("  against, %s:\n", what);
            print_events(b);
            fail_msg("%s: a %s was lost", what, nm_kind_name(e->kind));
        }
    }
}

static void check_placing(const char *what, const world *w, const found *as_built, placing p) {
    found moved = detect(w, &p);
    check_same(what, as_built, &moved, p.delay);
    release(&moved);
}

static void test_invariance(void **state) {
    (void)state;
    static world w;
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        kind_cases[i].make(&w, 0);
        found f = detect(&w, &plain);
        check_placing("delayed", &w, &f, (placing){.delay = 17});
        check_placing("moved", &w, &f, (placing){.east = 431000, .north = 5420000});
        check_placing("turned", &w, &f, (placing){.turn = 2.2});
        check_placing("turned and moved", &w, &f, (placing){.turn = -0.7, .east = -1500, .north = 800});
        check_placing("in another order", &w, &f, (placing){.backwards = 1});
        if (!kind_cases[i].chiral) check_placing("mirrored", &w, &f, (placing){.mirror = 1});
        release(&f);
    }
}

static void test_repeatable(void **state) {
    (void)state;
    static world w;
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        kind_cases[i].make(&w, 0);
        found a = detect(&w, &plain), b = detect(&w, &plain);
        assert_int_equal(a.count, b.count);
        if (a.count) assert_memory_equal(a.events, b.events, a.count * sizeof *a.events);
        release(&a);
        release(&b);
    }
}

static void test_order_of_events(void **state) {
    (void)state;
    static world w;
    world_collision(&w, 0);
    straight_at(&w, add_car(&w), 400, 7, 0, 20);
    straight_at(&w, add_car(&w), 412, 7, 0, 20);
    found f = detect(&w, &plain);
    assert_true(f.count >= 3);
    for (size_t i = 1; i < f.count; i++) {
        assert_true(f.events[i - 1].kind <= f.events[i].kind);
        if (f.events[i - 1].kind == f.events[i].kind)
            assert_true(f.events[i - 1].critical_step <= f.events[i].critical_step);
    }
    release(&f);
}

static void test_enabled_and_ego(void **state) {
    (void)state;
    static world w;
    world_collision(&w, 0);
    nm_detect_params params = nm_detect_params_default();
    params.enabled = 1u << NM_KIND_REAR_END;
    found f = detect_with(&w, &plain, &params);
    assert_true(f.count == 1 && f.events[0].kind == NM_KIND_REAR_END);
    release(&f);
    params = nm_detect_params_default();
    params.conflict_only_ego = 1; // the scene has none
    f = detect_with(&w, &plain, &params);
    assert_int_equal(f.count, 0);
    release(&f);
}

// The same kind between the same two within a second is one event.
static void test_merging(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_HIGHWAY, 150); // the headway is over the limit for a moment
    straight_at(&w, add_car(&w), 100, 0, 0, 20);
    straight_at(&w, add_car(&w), 105 + 16, 0, 0, 20);
    for (int t = 60; t <= 80; t++) {
        w.agent[1].poses[t].x += 3 * pow(sin(PI * (t - 60) / 20), 2);
        w.agent[1].poses[t].speed += 3 * PI / 2 * sin(2 * PI * (t - 60) / 20);
    }
    found f = detect(&w, &plain);
    assert_int_equal(count_of_kind(&f, NM_KIND_TAILGATE), 1);
    const nm_event *event = event_of(&f, NM_KIND_TAILGATE);
    assert_true(event->first_step < 10 && event->last_step > 140);
    release(&f);
}

// --- parameters ------------------------------------------------------------------------------------------------------

static void test_table(void **state) {
    (void)state;
    nm_detect_params params = nm_detect_params_default();
    for (int i = 0; i < NM_KIND_COUNT; i++) {
        const nm_detector_info *info = nm_detector((nm_kind)i);
        nm_kind kind;
        assert_int_equal(info->kind, i);
        assert_true(info->param_count > 0 && info->param_count <= NM_DETECTOR_MAX_PARAMS);
        assert_true(strlen(info->definition) > 20);
        assert_string_equal(info->name, nm_kind_name((nm_kind)i));
        assert_true(nm_kind_from_name(info->name, &kind) && kind == (nm_kind)i);
        for (size_t j = 0; j < info->param_count; j++) {
            const nm_detector_param *param = &info->params[j];
            char name[96];
            assert_true(param->min <= param->value && param->value <= param->max && param->min < param->max);
            assert_true(param->name && param->unit && strlen(param->meaning) > 5);
            snprintf(name, sizeof name, "%s.%s", info->name, param->name);
            assert_int_equal(nm_detect_params_set(&params, name, (double)param->max, NULL), NM_OK);
            assert_true(params.values[i][j] == param->max);
            assert_int_equal(nm_detect_params_set(&params, name, (double)param->max * 1.01 + 1, NULL), NM_E_ARGUMENT);
            assert_int_equal(nm_detect_params_set(&params, name, NAN, NULL), NM_E_ARGUMENT);
            assert_true(params.values[i][j] == param->max);
        }
    }
    assert_false(nm_kind_from_name("cut_inn", &(nm_kind){NM_KIND_CUT_IN}));
    const char *const wrong[] = {"", ".", "cut_in", "cut_in.", "cut.max_gap", "cut_in.max_gap2", "cut_in_.max_gap"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        nm_error error;
        nm_error_clear(&error);
        assert_int_equal(nm_detect_params_set(&params, wrong[i], 1, &error), NM_E_ARGUMENT);
        assert_true(error.message[0]);
    }
}

static void test_parameters_matter(void **state) {
    (void)state;
    static world w;
    nm_detect_params params = nm_detect_params_default();
    world_tailgate(&w, 1); // gap 22 m at 20 m/s
    assert_int_equal(nm_detect_params_set(&params, "tailgate.max_headway", 1.2, NULL), NM_OK);
    found f = detect_with(&w, &plain, &params);
    assert_int_equal(count_of_kind(&f, NM_KIND_TAILGATE), 1);
    release(&f);
    world_cut_in(&w, 0); // moves 3.5 m sideways, 10 m ahead
    assert_int_equal(nm_detect_params_set(&params, "cut_in.min_lateral", 4, NULL), NM_OK);
    f = detect_with(&w, &plain, &params);
    assert_int_equal(count_of_kind(&f, NM_KIND_CUT_IN), 0);
    release(&f);
    assert_int_equal(nm_detect_params_set(&params, "cut_in.min_lateral", 3, NULL), NM_OK);
    assert_int_equal(nm_detect_params_set(&params, "cut_in.min_closing", 1, NULL), NM_OK);
    f = detect_with(&w, &plain, &params);
    assert_int_equal(count_of_kind(&f, NM_KIND_CUT_IN), 0);
    release(&f);
}

// --- features --------------------------------------------------------------------------------------------------------

static void feature_of(const world *w, float *feature) {
    found f = detect(w, &plain);
    nm_scene_feature(f.scene, &f.criticality, f.events, f.count, feature);
    for (int i = 0; i < NM_FEATURE_COUNT; i++) assert_true(isfinite(feature[i]) && fabsf(feature[i]) <= 1.0f);
    release(&f);
}

static double feature_distance(const float *a, const float *b) {
    double sum = 0;
    for (int i = 0; i < NM_FEATURE_COUNT; i++) sum += (double)(a[i] - b[i]) * (double)(a[i] - b[i]);
    return sqrt(sum);
}

static void test_features(void **state) {
    (void)state;
    static world w;
    float cut_in[NM_FEATURE_COUNT], cut_in_again[NM_FEATURE_COUNT], other[NM_FEATURE_COUNT];
    world_cut_in(&w, 0);
    feature_of(&w, cut_in);
    point path[63]; // a cut-in a little nearer and slower
    start_world(&w, MAP_HIGHWAY, 100);
    size_t count = change_path(path, 0, 3.5, 0, 180, 250);
    cruise(&w, add_car(&w), path, count, 113, 19);
    straight_at(&w, add_car(&w), 100, 0, 0, 19);
    feature_of(&w, cut_in_again);
    for (int i = 1; i < NM_KIND_COUNT; i++) {
        kind_cases[i].make(&w, 0);
        feature_of(&w, other);
        assert_true(feature_distance(cut_in, cut_in_again) < feature_distance(cut_in, other));
    }
    start_world(&w, MAP_EMPTY, 1);
    feature_of(&w, other);
    found f = detect(&w, &plain);
    nm_scene_feature(f.scene, NULL, NULL, 0, other);
    for (int i = 0; i < NM_FEATURE_COUNT; i++) assert_true(isfinite(other[i]));
    release(&f);
}

// --- sizes -----------------------------------------------------------------------------------------------------------

static void test_empty(void **state) {
    (void)state;
    static world w;
    start_world(&w, MAP_EMPTY, 30);
    found f = detect(&w, &plain);
    assert_int_equal(f.count, 0);
    release(&f);
    start_world(&w, MAP_HIGHWAY, 30); // a map without tracks
    f = detect(&w, &plain);
    assert_int_equal(f.count, 0);
    release(&f);
    world_collision(&w, 0); // tracks without a map
    w.map = MAP_EMPTY;
    f = detect(&w, &plain);
    assert_int_equal(count_of_kind(&f, NM_KIND_COLLISION), 1);
    release(&f);
    world_near_miss(&w, 0);
    w.map = MAP_EMPTY;
    f = detect(&w, &plain);
    assert_int_equal(count_of_kind(&f, NM_KIND_NEAR_MISS), 1);
    release(&f);
}

static void test_gaps_in_validity(void **state) {
    (void)state;
    static world w;
    for (int i = 0; i < NM_KIND_COUNT; i++) { // every third step missing: nothing may be read across, nothing crashes
        kind_cases[i].make(&w, 0);
        for (int a = 0; a < w.agents; a++)
            for (int t = 0; t < w.steps; t++)
                if ((t + a) % 3 == 0) w.agent[a].poses[t].valid = 0;
        found f = detect(&w, &plain);
        for (size_t j = 0; j < f.count; j++)
            assert_true(f.scene->valid[nm_scene_at(f.scene, f.events[j].actor, f.events[j].critical_step)]);
        release(&f);
    }
    start_world(&w, MAP_HIGHWAY, 20); // tracks without any state
    for (int a = 0; a < 3; a++) add_car(&w);
    found f = detect(&w, &plain);
    assert_int_equal(f.count, 0);
    release(&f);
}

static void test_ten_thousand_agents(void **state) {
    (void)state;
    enum { SIDE = 100, STEPS = 5 };
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    nm_error_clear(&error);
    const nm_map *map = build_map(MAP_HIGHWAY, &plain);
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_begin(builder, map, DT, STEPS, &error), NM_OK);
    for (int i = 0; i < SIDE * SIDE; i++) {
        uint32_t track;
        nm_track_def def = {.id = i + 1, .type = NM_AGENT_CAR, .length = 5, .width = 2};
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t t = 0; t < STEPS; t++) {
            nm_state_def at = {.x = 200.0 * (i % SIDE) + t, .y = 200.0 * (i / SIDE), .vx = 10};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &at, &error), NM_OK);
        }
    }
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_arena *arena = nm_arena_create((size_t)256 << 20);
    nm_detect_params params = nm_detect_params_default();
    nm_event *events;
    size_t count;
    assert_int_equal(nm_detect(scene, &params, arena, &events, &count, NULL, &error), NM_OK);
    assert_int_equal(count, 0);
    nm_arena_destroy(arena);
    arena = nm_arena_create(4096); // and a limit is kept, with a message
    assert_int_equal(nm_detect(scene, &params, arena, &events, &count, NULL, &error), NM_E_MEMORY);
    assert_true(error.message[0] && !events && count == 0);
    nm_arena_destroy(arena);
    nm_scene_destroy(scene);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invariance),
        cmocka_unit_test(test_repeatable),
        cmocka_unit_test(test_order_of_events),
        cmocka_unit_test(test_enabled_and_ego),
        cmocka_unit_test(test_merging),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_parameters_matter),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_gaps_in_validity),
        cmocka_unit_test(test_ten_thousand_agents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
