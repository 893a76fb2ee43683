/// What callers and recordings can do to a world that nobody would do on purpose.
#include "world_scenes.h"

static void is_sound(const nm_world *world) {
    const nm_world_view v = nm_world_get_view(world);
    for (uint32_t i = 0; i < v.count; ++i) {
        assert_true(isfinite(v.x[i]) && isfinite(v.y[i]) && isfinite(v.speed[i]) && isfinite(v.lane_s[i]));
        assert_true(isfinite(v.vx[i]) && isfinite(v.vy[i]) && isfinite(v.accel[i]) && isfinite(v.curvature[i]));
        assert_float_equal(v.cos_h[i] * v.cos_h[i] + v.sin_h[i] * v.sin_h[i], 1.0f, 1e-4f);
        assert_true(v.heading[i] > -3.1416f && v.heading[i] < 3.1416f);
    }
}

/// Finite, and yet no state: nothing of it may reach the others.
static void states_out_of_this_world_are_refused(void **state) {
    (void)state;
    static const float wild[][4] = {{3e38f, 0, 0, 5}, {0, -3e38f, 0, 5}, {1.1e7f, 0, 0, 5}, {60, 0, 1e30f, 5},
                                    {60, 0, 2e4f, 5}, {60, 0, 0, 3e38f}, {60, 0, 0, -2e5f}};
    const test_vehicle cars[3] = {
        {NM_AGENT_CAR, 60, 0, 0, 5}, {NM_AGENT_CAR, 40, 0, 0, 5}, {NM_AGENT_CAR, 90, 0, 0, 5}};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; ++i) {
        const nm_scene *scene = scene_with(straight_road(2, 400, 20), cars, 3, 2);
        nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
        nm_world_set_policy(world, 0, NM_POLICY_EXTERNAL);
        nm_world_set_state(world, 0, wild[i][0], wild[i][1], wild[i][2], wild[i][3]);
        assert_true(nm_world_track_events(world, 0) & NM_AGENT_FROZEN);
        for (int t = 0; t < 20; ++t) {
            assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
            is_sound(world);
        }
        assert_float_equal(nm_world_get_view(world).x[0], 60.0f, 0.0f);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
}

/// What was told of the next step counts only as long as nobody else drives.
static void a_state_set_before_a_change_of_policy_is_dropped(void **state) {
    (void)state;
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 60, 0, 0, 5}, {NM_AGENT_CAR, 20, 3.5f, 0, 5}};
    for (int others = 0; others <= 1; ++others) {
        const nm_scene *scene = scene_with(straight_road(2, 400, 20), cars, 2, 2);
        nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
        if (others) nm_world_set_policy(world, 1, NM_POLICY_EXTERNAL);
        nm_world_set_policy(world, 0, NM_POLICY_EXTERNAL);
        nm_world_set_state(world, 0, 300, 0, 0, 5);
        nm_world_set_policy(world, 0, NM_POLICY_IDM);
        for (int t = 0; t < 10; ++t) assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
        nm_world_set_policy(world, 1, NM_POLICY_EXTERNAL);
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
        assert_in_range((int)nm_world_get_view(world).x[0], 64, 70);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
}

/// Recordings whose velocities are all zero are there: who is replayed moves along its lane all the same.
static void who_is_replayed_without_velocities_moves_along_its_lane(void **state) {
    (void)state;
    nm_scene_builder *builder = nm_scene_builder_create();
    assert_non_null(builder);
    nm_error error;
    nm_error_clear(&error);
    const nm_map *map = straight_road(1, 400, 20);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 100, &error), NM_OK);
    const nm_track_def def = {.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f, .height = 1.5f};
    uint32_t track;
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    for (uint32_t t = 0; t < 100; ++t) {
        const nm_state_def at = {.x = 20 + 1.0 * t};
        assert_int_equal(nm_scene_builder_add_state(builder, track, t, &at, &error), NM_OK);
    }
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    nm_world *world = world_of(scene, NM_POLICY_LOG, 1);
    for (uint32_t t = 1; t < 100; ++t) {
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
        assert_float_equal(nm_world_get_view(world).lane_s[0], 20.0f + (float)t, 0.01f);
    }
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void drivers_that_make_no_sense_are_refused(void **state) {
    (void)state;
    const test_vehicle car = {NM_AGENT_CAR, 50, 0, 0, 10};
    const nm_scene *scene = scene_with(straight_road(1, 400, 20), &car, 1, 5);
    nm_idm_params bad[9];
    for (size_t i = 0; i < 9; ++i) bad[i] = *nm_idm_named("nearmiss");
    bad[0].accel = 0.0f;
    bad[1].brake = -1.0f;
    bad[2].time_gap = NAN;
    bad[3].min_gap = -2.0f;
    bad[4].speed_factor = 0.0f;
    bad[5].spread = INFINITY;
    bad[6].desired_speed = -1.0f;
    bad[7].politeness = NAN;
    bad[8].name = NULL; // it goes into the provenance of what is kept
    for (size_t i = 0; i < 9; ++i) {
        nm_world_config config = nm_world_config_default();
        config.idm = &bad[i];
        nm_world *world;
        nm_error error;
        nm_error_clear(&error);
        assert_int_equal(nm_world_create(scene, &config, &world, &error), NM_E_ARGUMENT);
        assert_non_null(strstr(error.message, "IDM"));
    }
    for (size_t i = 0; nm_idm_at(i); ++i) {
        nm_world_config config = nm_world_config_default();
        config.idm = nm_idm_at(i);
        nm_world *world;
        assert_int_equal(nm_world_create(scene, &config, &world, NULL), NM_OK);
        nm_world_destroy(world);
    }
    nm_scene_destroy(scene);
}

/// Head on at 38 m/s, 24 m away: within 2 m and what closes in half a second there has to be nobody.
static void nobody_enters_before_who_comes_fast(void **state) {
    (void)state;
    nm_scene_builder *builder = nm_scene_builder_create();
    assert_non_null(builder);
    nm_error error;
    nm_error_clear(&error);
    const nm_map *map = straight_road(1, 400, 50);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 3, &error), NM_OK);
    const nm_track_def defs[2] = {{.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f, .height = 1.5f},
                                  {.id = 2, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f, .height = 1.5f}};
    for (uint32_t i = 0; i < 2; ++i) {
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &defs[i], &track, &error), NM_OK);
        for (uint32_t t = i; t < 3; ++t) {
            const nm_state_def at = i ? (nm_state_def){.x = 129} : (nm_state_def){.x = 100 + 4.0 * t, .vx = 40};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &at, &error), NM_OK);
        }
    }
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    nm_world *world = world_of(scene, NM_POLICY_CONSTANT_VELOCITY, 1);
    assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK); // 25 m apart, 20.5 m between the bumpers, 22 needed
    assert_int_equal(nm_world_get_view(world).count, 1);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_out_of_this_world_are_refused),
        cmocka_unit_test(a_state_set_before_a_change_of_policy_is_dropped),
        cmocka_unit_test(who_is_replayed_without_velocities_moves_along_its_lane),
        cmocka_unit_test(drivers_that_make_no_sense_are_refused),
        cmocka_unit_test(nobody_enters_before_who_comes_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
