#include "planner_drive.h"
#include "scenes.h"

static void lists_and_names(void **state) {
    (void)state;
    nm_planner *planner = NULL;
    nm_error error;
    nm_error_clear(&error);
    size_t count = 0;
    for (; nm_planner_builtin_name(count); count++) {
        assert_int_equal(nm_planner_named(nm_planner_builtin_name(count), "", &planner, &error), NM_OK);
        assert_string_equal(nm_planner_name(planner), nm_planner_builtin_name(count));
        assert_true(strlen(nm_planner_builtin_about(count)) > 10);
        nm_planner_destroy(planner);
    }
    assert_int_equal(count, 4);
    assert_null(nm_planner_builtin_about(count));
    assert_int_equal(nm_planner_named("idn", "", &planner, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "expert, constant_velocity, idm, pdm"));
    assert_int_equal(nm_planner_named("idm", "x=1", &planner, &error), NM_E_ARGUMENT);
    assert_null(planner);
}

/// A bend of a radius of 60 m with a gap in its recording, driven as it was recorded.
static void expert_is_where_it_was_recorded(void **state) {
    (void)state;
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_map *map = straight_road(3, 500, 20);
    nm_error error;
    uint32_t track;
    const nm_track_def def = {.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 40, &error), NM_OK);
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    for (uint32_t t = 0; t < 40; t++) {
        const double h = 0.1 * sin(0.1 * t), v = 8.0 + 0.05 * t;
        const nm_state_def at = {
            .x = 100 + 0.9 * t, .y = 1 + 0.02 * t, .heading = h, .vx = v * cos(h), .vy = v * sin(h)};
        if (t != 17) assert_int_equal(nm_scene_builder_add_state(builder, track, t, &at, &error), NM_OK);
    }
    nm_scene_builder_set_current(builder, 3, 0);
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    nm_planner *planner = planner_named("expert");
    for (uint32_t steps = 1; steps < 50; steps += 4) {
        if (3 + steps == 17) continue;
        const drive_result r = drive_with(planner, scene, NM_POLICY_LOG, steps, 1);
        if (r.status != NM_OK) fail_msg("%s", r.error.message);
        // where it ends is where a world under the log is
        nm_world_config config = nm_world_config_default();
        config.start_step = 3;
        config.ego = NM_POLICY_EXTERNAL;
        nm_world *world;
        assert_int_equal(nm_world_create(scene, &config, &world, NULL), NM_OK);
        nm_observation_config look = nm_observation_config_default(scene);
        nm_observation *observation;
        assert_int_equal(nm_observation_create(scene, &look, &observation, NULL), NM_OK);
        assert_int_equal(nm_planner_begin(planner, nm_observation_scenario(observation), NULL), NM_OK);
        nm_planner_pose at = {0};
        for (uint32_t k = 0; k <= steps; k++) {
            const nm_planner_observation *seen;
            const nm_planner_output *output;
            nm_planner_motion next;
            assert_int_equal(nm_observation_update(observation, world, &seen, NULL), NM_OK);
            assert_int_equal(nm_planner_plan(planner, seen, &output, NULL), NM_OK);
            nm_planner_follow_exactly(NULL, output, &seen->ego, 0.1f, &next);
            at = seen->ego.box_centre;
            nm_world_set_state(world, 0, next.box_centre.x_scene, next.box_centre.y_scene,
                               next.box_centre.heading_scene, next.speed_ahead);
            nm_world_step(world, NULL, 0, NULL);
        }
        nm_planner_end(planner);
        const uint32_t t = 3 + steps;
        const double last_v = 8.0 + 0.05 * 39, last_h = 0.1 * sin(3.9), past = t > 39 ? 0.1 * (t - 39) * last_v : 0.0;
        const double x = t > 39 ? 100 + 0.9 * 39 + past * cos(last_h) : 100 + 0.9 * t;
        const double y = t > 39 ? 1 + 0.02 * 39 + past * sin(last_h) : 1 + 0.02 * t;
        assert_float_equal(at.x_scene, x, 2e-4f);
        assert_float_equal(at.y_scene, y, 2e-4f);
        assert_float_equal(at.heading_scene, t > 39 ? last_h : 0.1 * sin(0.1 * t), 1e-5f);
        nm_observation_destroy(observation);
        nm_world_destroy(world);
    }
    nm_planner_destroy(planner);
    nm_scene_destroy(scene);
}

static void constant_velocity_keeps_both(void **state) {
    (void)state;
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 100, 0, 0.02f, 10}, {NM_AGENT_CAR, 180, 0, 0, 0}};
    const nm_scene *scene = scene_with(straight_road(2, 500, 20), cars, 2, 2);
    nm_planner *planner = planner_named("constant_velocity");
    drive_result r = drive_with(planner, scene, NM_POLICY_LOG, 60, 1);
    assert_int_equal(r.status, NM_OK);
    assert_float_equal(r.way, 60.0f, 1e-3f);
    assert_float_equal(r.top_speed, 10.0f, 1e-4f);
    nm_planner_destroy(planner);
    nm_scene_destroy(scene);
}

/// Behind a standing car, a slow one and a red light: both planners stop or follow in time and do not touch.
static void drivers_keep_their_distance(void **state) {
    (void)state;
    const char *names[2] = {"idm", "pdm"};
    for (int n = 0; n < 2; n++) {
        nm_planner *planner = planner_named(names[n]);
        const test_vehicle standing[2] = {{NM_AGENT_CAR, 50, 0.5f, 0.03f, 14}, {NM_AGENT_CAR, 200, 0.3f, 0, 0}};
        const nm_scene *scene = scene_with(straight_road(1, 900, 20), standing, 2, 300);
        drive_result r = drive_with(planner, scene, NM_POLICY_LOG, 290, 1);
        if (r.status != NM_OK) fail_msg("%s", r.error.message);
        assert_int_equal(r.ego_events, 0);
        // the front stands 1 m (s0), a few more at most, before the rear at 197.75 m
        assert_true(r.way > 197.75f - 52.25f - 4.0f && r.way < 197.75f - 52.25f - 0.5f);
        nm_scene_destroy(scene);
        const test_vehicle slow[2] = {{NM_AGENT_CAR, 50, 0, 0, 15}, {NM_AGENT_CAR, 90, 0, 0, 6}};
        scene = scene_with(straight_road(1, 900, 20), slow, 2, 300);
        r = drive_with(planner, scene, NM_POLICY_LOG, 290, 1);
        assert_int_equal(r.status, NM_OK);
        assert_int_equal(r.ego_events, 0);
        assert_true(r.way > 29.0f * 6.0f && r.way < 29.0f * 6.0f + 40.0f);
        nm_scene_destroy(scene);
        nm_planner_destroy(planner);
    }
}

static void drivers_reach_the_limit_and_slow_down_for_bends(void **state) {
    (void)state;
    const test_vehicle alone = {NM_AGENT_CAR, 20, 0.6f, -0.05f, 5};
    const nm_scene *straight = scene_with(straight_road(1, 900, 15), &alone, 1, 2);
    const nm_scene *bend = scene_of("highway_curved:radius=60,length=600,speed_limit=30,density=0", 1);
    const char *names[2] = {"idm", "pdm"};
    for (int n = 0; n < 2; n++) {
        nm_planner *planner = planner_named(names[n]);
        drive_result r = drive_with(planner, straight, NM_POLICY_IDM, 300, 1);
        assert_int_equal(r.ego_events, 0);
        assert_true(r.top_speed > 14.3f && r.top_speed <= 15.01f);
        r = drive_with(planner, bend, NM_POLICY_IDM, 130, 1);
        assert_int_equal(r.ego_events & NM_AGENT_WENT_OFF_ROAD, 0);
        assert_true(r.way > 50.0f);
        nm_planner_destroy(planner);
    }
    nm_scene_destroy(straight);
    nm_scene_destroy(bend);
}

/// Into a light that is red from the start: nobody passes the line while it is; with green they go.
static void drivers_stop_at_red(void **state) {
    (void)state;
    const char *names[2] = {"idm", "pdm"};
    for (int green = 0; green < 2; green++) {
        nm_map_builder *builder = nm_map_builder_create();
        nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
        nm_error error;
        const double ends[3] = {0, 100, 400};
        for (int i = 0; i < 2; i++) {
            const nm_point3 left[2] = {{ends[i], 2, 0}, {ends[i + 1], 2, 0}};
            const nm_point3 right[2] = {{ends[i], -2, 0}, {ends[i + 1], -2, 0}};
            const int64_t next = 2;
            nm_lane_def def = nm_lane_def_default();
            def.id = i + 1;
            def.left = left, def.right = right, def.point_count = 2;
            def.speed_limit = 14;
            def.type = NM_LANE_STREET;
            if (i == 0) def.successors = &next, def.successor_count = 1, def.control = NM_CONTROL_SIGNAL;
            assert_int_equal(nm_map_builder_add_lane(builder, &def, &error), NM_OK);
        }
        const int64_t ruled = 1;
        const nm_phase phase = {.steps = 1000, .state = green ? NM_SIGNAL_GO : NM_SIGNAL_STOP};
        const nm_signal_def light = {
            .id = 9, .phases = &phase, .phase_count = 1, .cycle_dt = 0.1, .lanes = &ruled, .lane_count = 1};
        assert_int_equal(nm_map_builder_add_signal(builder, &light, &error), NM_OK);
        const nm_map *map = NULL;
        assert_int_equal(nm_map_builder_build(builder, &map, &error), NM_OK);
        nm_map_builder_destroy(builder);
        const test_vehicle car = {NM_AGENT_CAR, 30, 0, 0, 12};
        const nm_scene *scene = scene_with(map, &car, 1, 1);
        for (int n = 0; n < 2; n++) {
            nm_planner *planner = planner_named(names[n]);
            const drive_result r = drive_with(planner, scene, NM_POLICY_IDM, 200, 1);
            if (r.status != NM_OK) fail_msg("%s", r.error.message);
            const float front = 30.0f + 2.25f + r.way;
            if (green)
                assert_true(front > 200.0f);
            else
                assert_true(front < 100.0f && front > 95.0f);
            nm_planner_destroy(planner);
        }
        nm_scene_destroy(scene);
    }
}

/// One that cuts across: IDM alone would not see it before it is on the route, PDM brakes for what it will do.
static void pdm_brakes_for_what_will_cross(void **state) {
    (void)state;
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 50, 3.5f, 0, 12}, {NM_AGENT_CAR, 95, -21.0f, 1.5708f, 6.5f}};
    const nm_scene *scene = scene_with(straight_road(3, 900, 14), cars, 2, 80);
    nm_planner *idm = planner_named("idm"), *pdm = planner_named("pdm");
    assert_true(drive_with(idm, scene, NM_POLICY_LOG, 78, 1).ego_events & NM_AGENT_COLLIDED);
    assert_int_equal(drive_with(pdm, scene, NM_POLICY_LOG, 78, 1).ego_events & NM_AGENT_COLLIDED, 0);
    nm_planner_destroy(idm);
    nm_planner_destroy(pdm);
    nm_scene_destroy(scene);
}

/// Ten seconds on built-in roads among agents that react: no collisions, some way made, the same bits again.
static void drivers_get_along_on_built_in_roads(void **state) {
    (void)state;
    const char *roads[6] = {"highway:density=30",  "highway_curved:density=20", "on_ramp:density=20",
                            "off_ramp:density=20", "roundabout:density=15",     "crosswalk:density=20,pedestrians=6"};
    const char *names[2] = {"idm", "pdm"};
    for (int n = 0; n < 2; n++) {
        nm_planner *planner = planner_named(names[n]);
        for (int road = 0; road < 6; road++) {
            const nm_scene *scene = scene_of(roads[road], 5);
            const drive_result r = drive_with(planner, scene, NM_POLICY_IDM, 100, 5);
            if (r.status != NM_OK) fail_msg("%s on %s: %s", names[n], roads[road], r.error.message);
            if (r.ego_events & NM_AGENT_COLLIDED) fail_msg("%s collided on %s", names[n], roads[road]);
            assert_true(r.way > 20.0f);
            const drive_result again = drive_with(planner, scene, NM_POLICY_IDM, 100, 5);
            assert_true(again.hash == r.hash);
            nm_scene_destroy(scene);
        }
        nm_planner_destroy(planner);
    }
}

/// Wherever the ego got to beside a tight bend, plans begin there, and go nowhere faster than a vehicle could.
static void plans_begin_where_the_ego_is(void **state) {
    (void)state;
    const nm_test_agent ego = {.x = 0.5, .speed = 3};
    const nm_scene *scene = nm_test_scene(nm_test_curve(6, 3.1), &ego, 1, 3);
    const char *const names[] = {"idm", "pdm"};
    for (int n = 0; n < 2; n++) {
        nm_planner *planner = planner_named(names[n]);
        nm_world_config config = nm_world_config_default();
        config.ego = NM_POLICY_EXTERNAL;
        nm_world *world;
        nm_observation *observation;
        const nm_observation_config look = nm_observation_config_default(scene);
        const nm_planner_observation *seen;
        assert_int_equal(nm_world_create(scene, &config, &world, NULL), NM_OK);
        assert_int_equal(nm_observation_create(scene, &look, &observation, NULL), NM_OK);
        assert_int_equal(nm_planner_begin(planner, nm_observation_scenario(observation), NULL), NM_OK);
        assert_int_equal(nm_observation_update(observation, world, &seen, NULL), NM_OK);
        for (int i = 0; i < 400; i++) { // 40 m by 40 m around the bend
            nm_planner_observation from = *seen;
            const nm_planner_output *output;
            nm_error error;
            from.ego.rear_axle =
                (nm_planner_pose){(float)(2 * (i % 20)) - 20, (float)(2 * (i / 20)) - 14, 0.1f * (float)i};
            from.ego.rear_axle.heading_scene = nm_wrap_angle(from.ego.rear_axle.heading_scene);
            if (nm_planner_plan(planner, &from, &output, &error) != NM_OK) fail_msg("%s", error.message);
            const nm_planner_pose at = output->points[0].rear_axle;
            assert_true(nm_hypotf(at.x_scene - from.ego.rear_axle.x_scene, at.y_scene - from.ego.rear_axle.y_scene) <
                        0.51f);
            for (uint32_t k = 1; k < output->point_count; k++) {
                const nm_planner_pose a = output->points[k - 1].rear_axle, b = output->points[k].rear_axle;
                assert_true(nm_hypotf(b.x_scene - a.x_scene, b.y_scene - a.y_scene) < 4.0f);
            }
        }
        nm_observation_destroy(observation);
        nm_world_destroy(world);
        nm_planner_destroy(planner);
    }
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_names),
        cmocka_unit_test(expert_is_where_it_was_recorded),
        cmocka_unit_test(constant_velocity_keeps_both),
        cmocka_unit_test(drivers_keep_their_distance),
        cmocka_unit_test(drivers_reach_the_limit_and_slow_down_for_bends),
        cmocka_unit_test(drivers_stop_at_red),
        cmocka_unit_test(pdm_brakes_for_what_will_cross),
        cmocka_unit_test(drivers_get_along_on_built_in_roads),
        cmocka_unit_test(plans_begin_where_the_ego_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
