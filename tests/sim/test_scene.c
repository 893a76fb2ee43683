/// Building scenes, and asking them.
#include <pthread.h>

#include "sim/scenes.h"

static void test_constant_velocity(void **state) {
    (void)state;
    nm_test_agent agents[2] = {{.x = 10.0, .y = 0.0, .speed = 10.0}, {.x = 50.0, .y = 3.5, .speed = 5.0}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), agents, 2, 20);
    assert_int_equal(scene->track_count, 2);
    assert_int_equal(scene->step_count, 20);
    assert_int_equal(scene->ego, 0);
    assert_true(scene->tracks[0].flags & NM_TRACK_EGO);
    assert_true(fabsf(scene->x[nm_scene_at(scene, 0, 10)] - 20.0f) < 1e-4f);
    assert_true(scene->vx[nm_scene_at(scene, 1, 3)] == 5.0f);
    assert_null(scene->state_length);
    assert_int_equal(scene->tracks[1].last_step, 19);
    uint64_t count, states;
    nm_scene_count(scene, &count, &states);
    assert_int_equal(count, 2);
    assert_int_equal(states, 40);
    nm_scene_destroy(scene);
}

// ---------------------------------------------------------------------------------------------------------------------
// Building

typedef struct fixture {
    const nm_map *map;
    nm_scene_builder *builder;
    nm_error error;
} fixture;

static void begin(fixture *f, uint32_t steps) {
    f->map = nm_test_road(100.0);
    f->builder = nm_scene_builder_create();
    nm_error_clear(&f->error);
    assert_int_equal(nm_scene_builder_begin(f->builder, f->map, 0.1, steps, &f->error), NM_OK);
}

static void end(fixture *f) {
    nm_scene_builder_destroy(f->builder);
    nm_map_release(f->map);
}

static uint32_t add_track(fixture *f, int64_t id) {
    nm_track_def def = {.id = id, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
    uint32_t track = NM_NONE;
    assert_int_equal(nm_scene_builder_add_track(f->builder, &def, &track, &f->error), NM_OK);
    return track;
}

static nm_status add_state(fixture *f, uint32_t track, uint32_t step, double x, double heading) {
    nm_state_def s = {.x = x, .y = 1.0, .heading = heading};
    return nm_scene_builder_add_state(f->builder, track, step, &s, &f->error);
}

static void test_states_in_any_order(void **state) {
    (void)state;
    fixture f;
    begin(&f, 1);
    uint32_t a = add_track(&f, 1), b = add_track(&f, 2);
    const uint32_t order[] = {5, 2, 9, 3};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(add_state(&f, a, order[i], order[i], 0.0), NM_OK);
        assert_int_equal(add_state(&f, b, (uint32_t)i, 100.0 + i, 0.0), NM_OK);
    }
    assert_int_equal(add_state(&f, a, 9, 1.0, 0.0), NM_E_FORMAT); // again
    assert_non_null(strstr(f.error.message, "two states for step 9"));
    assert_int_equal(add_state(&f, b, 2, 1.0, 0.0), NM_E_FORMAT);
    assert_int_equal(add_state(&f, b, 4, 104.0, 0.0), NM_OK);
    const nm_scene *scene;
    assert_int_equal(nm_scene_builder_build(f.builder, &scene, &f.error), NM_OK);
    assert_int_equal(scene->step_count, 10); // grew
    assert_int_equal(scene->tracks[a].first_step, 2);
    assert_int_equal(scene->tracks[a].last_step, 9);
    for (uint32_t t = 0; t < 10; t++) {
        size_t at = nm_scene_at(scene, a, t);
        int there = t == 5 || t == 2 || t == 9 || t == 3;
        assert_int_equal(scene->valid[at], there);
        assert_true(scene->x[at] == (there ? (float)t : 0.0f));
    }
    nm_scene_destroy(scene);
    end(&f);
}

static void test_refusals(void **state) {
    (void)state;
    fixture f;
    begin(&f, 10);
    nm_scene_builder *other = nm_scene_builder_create();
    assert_int_equal(nm_scene_builder_begin(other, f.map, 0.0, 1, &f.error), NM_E_FORMAT);
    assert_int_equal(nm_scene_builder_begin(other, f.map, NAN, 1, &f.error), NM_E_FORMAT);
    assert_int_equal(nm_scene_builder_begin(other, f.map, 0.1, NM_SCENE_MAX_STEPS + 1, &f.error), NM_E_LIMIT);
    const nm_scene *scene;
    assert_int_equal(nm_scene_builder_build(other, &scene, &f.error), NM_E_ARGUMENT); // not begun
    nm_scene_builder_destroy(other);
    uint32_t a = add_track(&f, 7), unused;
    nm_track_def def = {.id = 7, .line = 12, .type = NM_AGENT_CAR};
    assert_int_equal(nm_scene_builder_add_track(f.builder, &def, &unused, &f.error), NM_E_FORMAT);
    assert_int_equal(f.error.line, 12);
    def = (nm_track_def){.id = 8, .type = NM_AGENT_CAR, .length = NAN};
    assert_int_equal(nm_scene_builder_add_track(f.builder, &def, &unused, &f.error), NM_E_FORMAT);
    assert_int_equal(add_state(&f, a, 0, NAN, 0.0), NM_E_FORMAT);
    assert_int_equal(add_state(&f, a, 0, INFINITY, 0.0), NM_E_FORMAT);
    assert_int_equal(add_state(&f, a, 0, 1e300, 0.0), NM_E_FORMAT);
    assert_int_equal(add_state(&f, a, 0, 0.0, NAN), NM_E_FORMAT);
    assert_int_equal(add_state(&f, a, NM_SCENE_MAX_STEPS, 0.0, 0.0), NM_E_LIMIT);
    assert_int_equal(add_state(&f, a, 0, 0.0, 0.0), NM_OK); // a refused state leaves nothing behind
    nm_goal goal = {.first_step = 5, .last_step = 4};
    nm_state_def start = {.x = 0.0};
    assert_int_equal(nm_scene_builder_add_problem(f.builder, 1, &start, 0, &f.error), NM_OK);
    assert_int_equal(nm_scene_builder_add_goal(f.builder, &goal, &f.error), NM_E_FORMAT);
    goal.last_step = 6;
    assert_int_equal(nm_scene_builder_add_goal(f.builder, &goal, &f.error), NM_OK);
    assert_int_equal(nm_scene_builder_add_goal_area(f.builder, 0, 0, 0, 0, 0, 999, &f.error), NM_E_FORMAT);
    assert_int_equal(nm_scene_builder_add_goal_area(f.builder, NAN, 0, 1, 1, 0, -1, &f.error), NM_E_FORMAT);
    assert_int_equal(nm_scene_builder_add_goal_area(f.builder, 0, 0, 0, 0, 0, 11, &f.error), NM_OK);
    double times[3] = {0.0, 0.1, 0.1};
    assert_int_equal(nm_scene_builder_set_timestamps(f.builder, times, 3, &f.error), NM_E_FORMAT);
    assert_int_equal(nm_scene_builder_set_timestamps(f.builder, times, 2, &f.error), NM_OK);
    assert_int_equal(nm_scene_builder_build(f.builder, &scene, &f.error), NM_E_FORMAT); // 2 for 10 steps
    assert_null(scene);
    assert_int_equal(nm_scene_builder_set_timestamps(f.builder, NULL, 0, &f.error), NM_OK);
    nm_scene_builder_set_current(f.builder, 10, NM_NONE);
    assert_int_equal(nm_scene_builder_build(f.builder, &scene, &f.error), NM_E_FORMAT);
    nm_scene_builder_set_current(f.builder, 9, 1);
    assert_int_equal(nm_scene_builder_build(f.builder, &scene, &f.error), NM_E_FORMAT);
    nm_scene_builder_set_current(f.builder, 9, 0);
    assert_int_equal(nm_scene_builder_build(f.builder, &scene, &f.error), NM_OK);
    assert_int_equal(scene->goal_areas[0].lane, 1);
    nm_scene_destroy(scene);
    end(&f);
}

static void test_huge_and_empty_is_refused(void **state) {
    (void)state;
    fixture f;
    begin(&f, 1);
    for (int i = 0; i < 500; i++) add_track(&f, i);
    assert_int_equal(add_state(&f, 0, NM_SCENE_MAX_STEPS - 1, 0.0, 0.0), NM_OK);
    const nm_scene *scene;
    assert_int_equal(nm_scene_builder_build(f.builder, &scene, &f.error), NM_E_LIMIT);
    end(&f);
}

static void test_headings_are_wrapped(void **state) {
    (void)state;
    fixture f;
    begin(&f, 6);
    uint32_t a = add_track(&f, 1);
    const double in[6] = {NM_PI, -NM_PI, 3.0 * NM_PI, 7.0, -NM_PI + 1e-12, 100.0};
    for (uint32_t t = 0; t < 6; t++) assert_int_equal(add_state(&f, a, t, 0.0, in[t]), NM_OK);
    const nm_scene *scene;
    assert_int_equal(nm_scene_builder_build(f.builder, &scene, &f.error), NM_OK);
    for (uint32_t t = 0; t < 6; t++) {
        assert_true(scene->heading[t] > -NM_PI_F && scene->heading[t] <= NM_PI_F);
        assert_true(fabs(remainder((double)scene->heading[t] - in[t], 2.0 * NM_PI)) < 1e-6);
    }
    nm_scene_destroy(scene);
    end(&f);
}

static void test_sizes(void **state) {
    (void)state;
    fixture f;
    begin(&f, 4);
    for (int same = 0; same < 2; same++) {
        nm_track_def def = {.id = 1, .type = NM_AGENT_CAR};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(f.builder, &def, &track, &f.error), NM_OK);
        for (uint32_t t = 0; t < 4; t++) {
            nm_state_def s = {.length = same ? 4.0f : 4.0f + (float)t, .width = 2.0f, .height = 1.5f};
            assert_int_equal(nm_scene_builder_add_state(f.builder, track, t, &s, &f.error), NM_OK);
        }
        nm_scene_builder_set_current(f.builder, 2, NM_NONE);
        const nm_scene *scene;
        assert_int_equal(nm_scene_builder_build(f.builder, &scene, &f.error), NM_OK);
        assert_true(scene->tracks[0].length == (same ? 4.0f : 6.0f)); // that of the current step
        assert_true(scene->tracks[0].height == 1.5f);
        assert_int_equal(scene->state_length == NULL, same);
        if (!same) assert_true(scene->state_length[3] == 7.0f && scene->state_width[3] == 2.0f);
        nm_scene_destroy(scene);
        nm_scene_builder_reset(f.builder);
        assert_int_equal(nm_scene_builder_begin(f.builder, f.map, 0.1, 4, &f.error), NM_OK);
    }
    end(&f);
}

static void test_signals(void **state) {
    (void)state;
    nm_map_builder *maps = nm_map_builder_create();
    nm_error error;
    nm_lane_def lane = nm_lane_def_default();
    nm_test_lane(maps, &lane, (double[]){0.0, 0.0, 50.0, 0.0}, 2, 3.5);
    nm_phase phases[3] = {{.steps = 5, .state = NM_SIGNAL_GO},
                          {.steps = 2, .state = NM_SIGNAL_CAUTION},
                          {.steps = 3, .state = NM_SIGNAL_STOP}};
    nm_signal_def def = {.id = 1, .phases = phases, .phase_count = 3, .phase_offset = 12, .cycle_dt = 0.1};
    assert_int_equal(nm_map_builder_add_signal(maps, &def, &error), NM_OK);
    nm_signal_def none = {.id = 2};
    assert_int_equal(nm_map_builder_add_signal(maps, &none, &error), NM_OK);
    const nm_map *map = nm_test_build(maps);
    const nm_scene *scene = nm_test_scene(nm_map_retain(map), NULL, 0, 5);
    for (uint32_t step = 0; step < 300; step++) {
        uint32_t phase = (step + 8) % 10; // (step - 12) mod 10
        nm_signal_state expected = phase < 5 ? NM_SIGNAL_GO : phase < 7 ? NM_SIGNAL_CAUTION : NM_SIGNAL_STOP;
        assert_int_equal(nm_scene_signal(scene, 0, step), expected);
        assert_int_equal(nm_scene_signal(scene, 1, step), NM_SIGNAL_UNKNOWN);
    }
    nm_scene_destroy(scene);
    nm_scene_builder *builder = nm_scene_builder_create(); // recorded states go before the cycle
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 3, &error), NM_OK);
    assert_int_equal(nm_scene_builder_set_signal(builder, 0, 1, NM_SIGNAL_OFF, &error), NM_OK);
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    assert_int_equal(nm_scene_signal(scene, 0, 1), NM_SIGNAL_OFF);
    assert_int_equal(nm_scene_signal(scene, 0, 4), NM_SIGNAL_GO);
    nm_scene_destroy(scene);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
}

// ---------------------------------------------------------------------------------------------------------------------
// Resampling

static void test_resample_same_is_a_copy(void **state) {
    (void)state;
    nm_test_agent agents[2] = {{.x = 10.0, .speed = 10.0}, {.x = 50.0, .y = 3.5, .speed = 5.0}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), agents, 2, 37);
    const nm_scene *copy;
    nm_error error;
    assert_int_equal(nm_scene_resample(scene, 0.1, &copy, &error), NM_OK);
    assert_true(copy->hash == scene->hash && copy != scene);
    nm_scene_destroy(copy);
    nm_scene_destroy(scene);
}

static void test_resample(void **state) {
    (void)state;
    nm_test_agent agents[1] = {{.x = 10.0, .heading = 0.3, .speed = 10.0}};
    const nm_scene *scene = nm_test_scene(nm_test_road(200.0), agents, 1, 81), *out, *back;
    nm_error error;
    assert_int_equal(nm_scene_resample(scene, 0.04, &out, &error), NM_OK);
    assert_int_equal(out->step_count, 201);
    for (uint32_t t = 0; t < out->step_count; t++) {
        assert_true(out->valid[t]);
        assert_true(fabsf(out->x[t] - (10.0f + 0.4f * (float)t * cosf(0.3f))) < 1e-4f);
        assert_true(fabsf(out->heading[t] - 0.3f) < 1e-6f);
    }
    assert_int_equal(nm_scene_resample(out, 0.1, &back, &error), NM_OK); // every other one meets a 0.04 step
    assert_int_equal(back->step_count, 81);
    for (uint32_t t = 0; t < 81; t += 2) assert_true(back->x[t] == scene->x[t]);
    nm_scene_destroy(back);
    nm_scene_destroy(out);
    assert_int_equal(nm_scene_resample(scene, 0.0, &out, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_scene_resample(scene, NAN, &out, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_scene_resample(scene, 1e-6, &out, &error), NM_E_LIMIT);
    assert_int_equal(nm_scene_resample(scene, 100.0, &out, &error), NM_OK);
    assert_int_equal(out->step_count, 1);
    nm_scene_destroy(out);
    nm_scene_destroy(scene);
}

static void test_resample_gaps_and_turns(void **state) {
    (void)state;
    fixture f;
    begin(&f, 5);
    uint32_t a = add_track(&f, 1);
    assert_int_equal(add_state(&f, a, 0, 0.0, 3.0), NM_OK);
    assert_int_equal(add_state(&f, a, 1, 1.0, -3.0), NM_OK); // across pi
    assert_int_equal(add_state(&f, a, 3, 3.0, 0.0), NM_OK);
    nm_scene_builder_set_current(f.builder, 3, 0);
    const nm_scene *scene, *out;
    assert_int_equal(nm_scene_builder_build(f.builder, &scene, &f.error), NM_OK);
    assert_int_equal(nm_scene_resample(scene, 0.05, &out, &f.error), NM_OK);
    const uint8_t valid[9] = {1, 1, 1, 0, 0, 0, 1, 0, 0};
    assert_int_equal(out->step_count, 9);
    assert_memory_equal(out->valid, valid, 9);
    assert_true(fabsf(fabsf(out->heading[1]) - NM_PI_F) < 1e-5f);
    assert_true(fabsf(out->x[1] - 0.5f) < 1e-6f);
    assert_int_equal(out->current_step, 6);
    assert_int_equal(out->tracks[0].last_step, 6);
    nm_scene_destroy(out);
    nm_scene_destroy(scene);
    end(&f);
}

// ---------------------------------------------------------------------------------------------------------------------

static void *ask(void *map) {
    int on = 0;
    for (int i = 0; i < 200; i++) on += nm_map_drivable(map, (float)i, 1.0f);
    on += (int)(nm_map_rail(map, 0, 5.0f).x);
    return (void *)(intptr_t)on;
}

/// Threads that come first together to a map that nobody prepared all get the same answers.
static void test_prepare_from_many_threads(void **state) {
    (void)state;
    for (int round = 0; round < 10; round++) {
        nm_map_builder *builder = nm_map_builder_create();
        nm_map_builder_set_origin(builder, (nm_point3){0});
        nm_lane_def def = nm_lane_def_default();
        nm_test_lane(builder, &def, (double[]){0.0, 0.0, 100.2, 0.0}, 2, 4.0);
        const nm_map *map;
        nm_error error;
        assert_int_equal(nm_map_builder_build(builder, &map, &error), NM_OK);
        nm_map_builder_destroy(builder);
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, ask, (void *)(uintptr_t)map), 0);
        }
        for (int i = 0; i < 4; i++) {
            void *on;
            pthread_join(threads[i], &on);
            assert_int_equal((intptr_t)on, 101 + 5);
        }
        nm_map_release(map);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant_velocity),
        cmocka_unit_test(test_states_in_any_order),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_huge_and_empty_is_refused),
        cmocka_unit_test(test_headings_are_wrapped),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_resample_same_is_a_copy),
        cmocka_unit_test(test_resample),
        cmocka_unit_test(test_resample_gaps_and_turns),
        cmocka_unit_test(test_prepare_from_many_threads),
    };
    return cmocka_run_group_tests_name("scene", tests, NULL, NULL);
}
