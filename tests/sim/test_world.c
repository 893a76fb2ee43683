#include "world_scenes.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include "sim/builtin.h"

static nm_world_view view_of(const nm_world *world) {
    return nm_world_get_view(world);
}

static void log_replay_is_exact(void **state) {
    (void)state;
    const test_vehicle cars[3] = {
        {NM_AGENT_CAR, 10, 0, 0, 10}, {NM_AGENT_TRUCK, 60, 3.5f, 0.02f, 7}, {NM_AGENT_CAR, 120, 0, 0, 12}};
    const nm_scene *scene = scene_with(straight_road(2, 500, 20), cars, 3, 30);
    nm_world *world = world_of(scene, NM_POLICY_LOG, 1);
    for (uint32_t t = 0; t < 30; ++t) {
        const nm_world_view v = view_of(world);
        assert_int_equal(v.count, 3);
        assert_int_equal(v.step, t);
        for (uint32_t slot = 0; slot < 3; ++slot) {
            const size_t at = nm_scene_at(scene, v.track[slot], t);
            assert_memory_equal(&v.x[slot], &scene->x[at], sizeof(float));
            assert_memory_equal(&v.y[slot], &scene->y[at], sizeof(float));
            assert_memory_equal(&v.heading[slot], &scene->heading[at], sizeof(float));
            assert_memory_equal(&v.vx[slot], &scene->vx[at], sizeof(float));
            assert_memory_equal(&v.vy[slot], &scene->vy[at], sizeof(float));
        }
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    }
    assert_int_equal(view_of(world).count, 0); // the recording has ended
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void idm_reaches_the_limit_on_a_free_road(void **state) {
    (void)state;
    const test_vehicle car = {NM_AGENT_CAR, 10, 0.4f, 0, 5};
    const nm_scene *scene = scene_with(straight_road(1, 3000, 20), &car, 1, 2);
    nm_world_config config = nm_world_config_default();
    nm_idm_params idm = *nm_idm_named("nearmiss");
    idm.spread = 0.0f;
    config.idm = &idm;
    nm_world *world;
    assert_int_equal(nm_world_create(scene, &config, &world, NULL), NM_OK);
    for (int i = 0; i < 600; ++i) assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    const nm_world_view v = view_of(world);
    assert_int_equal(v.count, 1);
    assert_float_equal(v.speed[0], 20.0f, 0.3f);
    assert_float_equal(v.lane_d[0], 0.0f, 0.05f); // and to the centre of its lane
    assert_float_equal(v.heading[0], 0.0f, 1e-3f);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void idm_stops_behind_a_standing_car(void **state) {
    (void)state;
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 20, 0, 0, 15}, {NM_AGENT_CAR, 150, 0, 0, 0}};
    const nm_scene *scene = scene_with(straight_road(1, 400, 20), cars, 2, 2);
    nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
    nm_world_set_policy(world, 1, NM_POLICY_EXTERNAL); // stands: no control is ever set
    for (int i = 0; i < 300; ++i) assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    const nm_world_view v = view_of(world);
    const float gap = v.x[1] - v.x[0] - 4.5f;
    assert_float_equal(v.speed[0], 0.0f, 0.05f);
    assert_in_range((int)(gap * 10), 10, 35); // about the standing gap of 2 m
    assert_int_equal(nm_world_get_stats(world).collided, 0);
    assert_int_equal(v.lead[0], 1);
    assert_float_equal(v.lead_gap[0], gap, 0.01f);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// Still seen before the step that takes it out, gone after it, and nobody brakes for it or hits it from then on.
static void who_is_taken_out_is_in_nobodys_way(void **state) {
    (void)state;
    const test_vehicle cars[3] = {
        {NM_AGENT_CAR, 150, 0, 0, 0}, {NM_AGENT_CAR, 20, 0, 0, 15}, {NM_AGENT_CAR, 154.6, 0, 0, 0}};
    const nm_scene *scene = scene_with(straight_road(1, 3000, 20), cars, 3, 2);
    nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
    nm_world_set_policy(world, 0, NM_POLICY_EXTERNAL);
    nm_world_set_policy(world, 2, NM_POLICY_EXTERNAL);
    for (int i = 0; i < 30; ++i) assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    nm_world_set_state(world, 0, 151.0f, 0.0f, 0.0f, 10.0f); // into the third, were it still there
    nm_world_take_out(world, 0);
    nm_world_view v = view_of(world);
    assert_true(v.count == 3 && v.slot_of[0] == 0 && v.lead[v.slot_of[1]] == 0);
    assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    v = view_of(world);
    assert_true(v.count == 2 && v.slot_of[0] == NM_NONE && v.slot_of[1] == 0 && v.slot_of[2] == 1);
    assert_int_equal(v.lead[0], 1);
    assert_int_equal(nm_world_track_events(world, 0), NM_AGENT_LEFT);
    nm_world_take_out(world, 0); // no matter
    nm_world_take_out(world, 2);
    for (int i = 0; i < 100; ++i) assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    v = view_of(world);
    assert_true(v.count == 1 && v.track[0] == 1 && v.x[0] > 170.0f && v.speed[0] > 15.0f);
    assert_true(nm_world_get_stats(world).collided == 0 && nm_world_get_stats(world).left == 2);
    nm_world_reset(world, 1);
    assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    assert_int_equal(view_of(world).count, 3);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void mobil_overtakes_a_slow_leader(void **state) {
    (void)state;
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 20, 0, 0, 20}, {NM_AGENT_CAR, 100, 0, 0, 8}};
    const nm_scene *scene = scene_with(straight_road(2, 3000, 25), cars, 2, 2);
    nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
    nm_world_set_policy(world, 1, NM_POLICY_CONSTANT_VELOCITY);
    for (int i = 0; i < 250; ++i) assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    const nm_world_view v = view_of(world);
    assert_true(v.x[0] > v.x[1] + 10.0f);
    assert_true(nm_world_get_stats(world).lane_changes >= 1);
    assert_int_equal(nm_world_get_stats(world).collided, 0);
    assert_int_equal(nm_world_get_stats(world).off_road, 0);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void collision_is_seen_at_its_step(void **state) {
    (void)state;
    // 20 m apart bumper to bumper, closing at 10 m/s: they overlap after step 20
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 20, 0, 0, 10}, {NM_AGENT_CAR, 44.52f, 0, 0, 0}};
    const nm_scene *scene = scene_with(straight_road(1, 400, 20), cars, 2, 2);
    nm_world *world = world_of(scene, NM_POLICY_CONSTANT_VELOCITY, 1);
    nm_contact contact;
    size_t count = 0;
    for (uint32_t i = 1; i <= 20; ++i) {
        assert_float_equal(view_of(world).ttc[0], (20.02f - (float)(i - 1)) / 10.0f, 2e-3f);
        assert_int_equal(nm_world_step(world, &contact, 1, &count), NM_OK);
        assert_int_equal(count, 0);
    }
    assert_int_equal(nm_world_step(world, &contact, 1, &count), NM_OK);
    assert_int_equal(count, 1);
    assert_int_equal(contact.first, 0);
    assert_int_equal(contact.second, 1);
    assert_int_equal(contact.started, 1);
    assert_int_equal(nm_world_get_stats(world).first_collision_step, 21);
    assert_int_equal(nm_world_get_stats(world).collided, 2);
    assert_int_equal(nm_world_step(world, &contact, 1, &count), NM_OK);
    assert_int_equal(contact.started, 0);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void overlap_at_the_start_is_no_collision(void **state) {
    (void)state;
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 20, 0, 0, 5}, {NM_AGENT_CAR, 22, 0.5f, 0, 5}};
    const nm_scene *scene = scene_with(straight_road(1, 400, 20), cars, 2, 10);
    nm_world *world = world_of(scene, NM_POLICY_LOG, 1);
    for (int i = 0; i < 8; ++i) assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    const nm_world_stats stats = nm_world_get_stats(world);
    assert_int_equal(stats.started_in_contact, 2);
    assert_int_equal(stats.collided, 0);
    assert_int_equal(stats.first_collision_step, NM_NONE);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void leaving_the_road_is_seen(void **state) {
    (void)state;
    const test_vehicle car = {NM_AGENT_CAR, 50, 0, 0.3f, 10};
    const nm_scene *scene = scene_with(straight_road(1, 400, 20), &car, 1, 2);
    nm_world *world = world_of(scene, NM_POLICY_CONSTANT_VELOCITY, 1);
    assert_int_equal(view_of(world).off_road[0], 0);
    // the corner that is furthest out: y = 2.25 sin 0.3 + 0.9 cos 0.3 = 1.525; the border (1.75 + 0.05 tolerance) is
    // 0.275 further, at 10 sin 0.3 * 0.1 = 0.2955 a step
    assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    assert_int_equal(view_of(world).off_road[0], 1);
    assert_int_equal(nm_world_get_stats(world).off_road, 1);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void driving_against_the_lane_is_seen(void **state) {
    (void)state;
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 200, 0, 3.14159f, 10}, {NM_AGENT_CAR, 20, 0, 0, 10}};
    const nm_scene *scene = scene_with(straight_road(1, 400, 20), cars, 2, 2);
    nm_world *world = world_of(scene, NM_POLICY_CONSTANT_VELOCITY, 1);
    assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    assert_int_equal(view_of(world).wrong_way[0], 1);
    assert_int_equal(view_of(world).wrong_way[1], 0);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void state_set_from_outside_is_taken(void **state) {
    (void)state;
    const test_vehicle car = {NM_AGENT_CAR, 50, 0, 0, 10};
    const nm_scene *scene = scene_with(straight_road(1, 400, 20), &car, 1, 2);
    nm_world *world = world_of(scene, NM_POLICY_EXTERNAL, 1);
    nm_world_set_state(world, 0, 51.5f, 0.25f, 0.1f, 11.0f);
    assert_float_equal(view_of(world).x[0], 50.0f, 0.0f); // not before the step
    assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    const nm_world_view v = view_of(world);
    assert_float_equal(v.x[0], 51.5f, 0.0f);
    assert_float_equal(v.y[0], 0.25f, 0.0f);
    assert_float_equal(v.speed[0], 11.0f, 0.0f);
    assert_float_equal(v.vx[0], 15.0f, 1e-4f);
    nm_world_set_state(world, 0, NAN, 0, 0, 0);
    assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    assert_true(isfinite(view_of(world).x[0]));
    assert_true(nm_world_track_events(world, 0) & NM_AGENT_FROZEN);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void limits_hold_for_any_command(void **state) {
    (void)state;
    const test_vehicle car = {NM_AGENT_CAR, 2000, 0, 0, 15};
    const nm_scene *scene = scene_with(straight_road(1, 4000, 20), &car, 1, 2);
    nm_world *world = world_of(scene, NM_POLICY_EXTERNAL, 1);
    const nm_dynamics_limits limits = nm_dynamics_limits_of(NM_AGENT_CAR);
    float accel = 0.0f, curvature = 0.0f;
    for (uint32_t i = 0; i < 3000; ++i) {
        nm_world_set_control(world, 0, draw_in(i, 0, -30, 30), draw_in(i, 1, -2, 2));
        const float before = view_of(world).speed[0];
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
        const nm_world_view v = view_of(world);
        const float a = v.accel[0], k = v.curvature[0];
        assert_true(a <= limits.accel_max + 1e-4f && a >= -limits.brake_max - 1e-4f);
        if (v.speed[0] > 0.0f) assert_true(fabsf(a - accel) <= limits.jerk_max * 0.1f + 1e-3f);
        assert_true(fabsf(k) <= limits.curvature_max + 1e-6f);
        const float tyre = limits.friction * 9.81f;
        assert_true(a * a + before * before * k * before * before * k <= 1.1f * tyre * tyre || before < 1.1f);
        assert_true(v.speed[0] >= 0.0f);
        assert_true(fabsf(v.cos_h[0] * v.cos_h[0] + v.sin_h[0] * v.sin_h[0] - 1.0f) < 1e-5f);
        accel = a;
        curvature = k;
    }
    (void)curvature;
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void constant_curvature_closes_the_circle(void **state) {
    (void)state;
    // radius 20 m at the rear axle, 5 m/s: 2 pi 20 / 5 = 25.13 s; in steps of 0.1 s the circle closes within a step's
    // length
    const test_vehicle car = {NM_AGENT_CAR, 200, 0, 0, 5};
    const nm_scene *scene = scene_with(straight_road(1, 400, 20), &car, 1, 2);
    nm_world *world = world_of(scene, NM_POLICY_EXTERNAL, 1);
    nm_world_set_control(world, 0, 0.0f, 0.05f);
    for (int i = 0; i < 20; ++i) nm_world_step(world, NULL, 0, NULL); // steering settles
    nm_world_view v = view_of(world);
    assert_float_equal(v.curvature[0], 0.05f, 1e-6f);
    const float x0 = v.x[0], y0 = v.y[0], h0 = v.heading[0];
    float nearest = 1e9f, widest = 0.0f;
    for (int i = 0; i < 252; ++i) {
        nm_world_step(world, NULL, 0, NULL);
        v = view_of(world);
        const float d = hypotf(v.x[0] - x0, v.y[0] - y0);
        if (i > 200) nearest = fminf(nearest, d);
        widest = fmaxf(widest, d);
    }
    assert_true(nearest < 0.3f);
    assert_float_equal(widest, 2.0f * hypotf(20.0f, 0.3f * 4.5f), 0.05f); // the centre's circle is a little wider
    assert_true(fabsf(v.heading[0] - h0) < 0.06f);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void bad_configurations_are_refused(void **state) {
    (void)state;
    const test_vehicle car = {NM_AGENT_CAR, 50, 0, 0, 10};
    const nm_scene *scene = scene_with(straight_road(1, 400, 20), &car, 1, 5);
    nm_world_config config = nm_world_config_default();
    nm_world *world = (nm_world *)&config;
    nm_error error;
    nm_error_clear(&error);
    config.start_step = 5;
    assert_int_equal(nm_world_create(scene, &config, &world, &error), NM_E_ARGUMENT);
    assert_null(world);
    assert_non_null(strstr(error.message, "start step 5"));
    config = nm_world_config_default();
    config.agents = NM_POLICY_CUSTOM;
    assert_int_equal(nm_world_create(scene, &config, &world, &error), NM_E_ARGUMENT);
    config = nm_world_config_default();
    config.ttc_horizon = NAN;
    assert_int_equal(nm_world_create(scene, &config, &world, &error), NM_E_ARGUMENT);
    nm_scene_destroy(scene);
}

static void swerve(void *context, const struct nm_world_view *view, const uint32_t *slots, uint32_t count, float *accel,
                   float *curvature) {
    uint32_t *calls = context;
    ++*calls;
    for (uint32_t i = 0; i < count; ++i) {
        accel[i] = view->speed[slots[i]] < 12.0f ? 1.0f : 0.0f;
        curvature[i] = view->step == 7 ? NAN : 0.0f;
    }
}

static void custom_policy_drives_and_nan_is_caught(void **state) {
    (void)state;
    const test_vehicle car = {NM_AGENT_CAR, 50, 0, 0, 10};
    const nm_scene *scene = scene_with(straight_road(1, 400, 20), &car, 1, 5);
    uint32_t calls = 0;
    const nm_policy policy = {"swerve", swerve, &calls};
    nm_world_config config = nm_world_config_default();
    config.agents = config.ego = NM_POLICY_CUSTOM;
    config.custom = &policy;
    nm_world *world;
    assert_int_equal(nm_world_create(scene, &config, &world, NULL), NM_OK);
    for (int i = 0; i < 6; ++i) assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    assert_int_equal(calls, 6);
    assert_true(view_of(world).speed[0] > 10.3f);
    assert_int_equal(nm_world_track_events(world, 0) & NM_AGENT_FROZEN, 0);
    for (int i = 0; i < 3; ++i) nm_world_step(world, NULL, 0, NULL);
    assert_true(nm_world_track_events(world, 0) & NM_AGENT_FROZEN);
    assert_true(isfinite(view_of(world).x[0]));
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void a_step_allocates_nothing(void **state) {
    (void)state;
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const nm_scene *scene;
    assert_int_equal(nm_builtin_scene("junction_signal:density=40,pedestrians=6,cyclists=3", 3, &scene, NULL), NM_OK);
    nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
    const struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < 300; ++i) assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    nm_world_reset(world, 2);
    const struct mallinfo2 after = mallinfo2();
    assert_int_equal(before.uordblks, after.uordblks);
    assert_int_equal(before.hblkhd, after.hblkhd);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
#else
    skip(); // another allocator: nothing to ask
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_replay_is_exact),
        cmocka_unit_test(idm_reaches_the_limit_on_a_free_road),
        cmocka_unit_test(idm_stops_behind_a_standing_car),
        cmocka_unit_test(who_is_taken_out_is_in_nobodys_way),
        cmocka_unit_test(mobil_overtakes_a_slow_leader),
        cmocka_unit_test(collision_is_seen_at_its_step),
        cmocka_unit_test(overlap_at_the_start_is_no_collision),
        cmocka_unit_test(leaving_the_road_is_seen),
        cmocka_unit_test(driving_against_the_lane_is_seen),
        cmocka_unit_test(state_set_from_outside_is_taken),
        cmocka_unit_test(limits_hold_for_any_command),
        cmocka_unit_test(constant_curvature_closes_the_circle),
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(custom_policy_drives_and_nan_is_caught),
        cmocka_unit_test(a_step_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
