#include "planner_drive.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

static nm_observation *observe(const nm_scene *scene, const nm_observation_config *config) {
    nm_observation *observation = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_observation_create(scene, config, &observation, &error) != NM_OK) fail_msg("%s", error.message);
    return observation;
}

static const nm_planner_observation *look(nm_observation *observation, const nm_world *world) {
    const nm_planner_observation *seen = NULL;
    assert_int_equal(nm_observation_update(observation, world, &seen, NULL), NM_OK);
    return seen;
}

static nm_world *world_at(const nm_scene *scene, uint32_t start, nm_policy_kind policy) {
    nm_world_config config = nm_world_config_default();
    config.agents = config.ego = policy;
    config.start_step = start;
    nm_world *world = NULL;
    assert_int_equal(nm_world_create(scene, &config, &world, NULL), NM_OK);
    return world;
}

static void names_reference_points_and_frames(void **state) {
    (void)state;
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 100, 1.0f, 0.3f, 10}, {NM_AGENT_TRUCK, 140, 3.5f, 0, 7}};
    const nm_scene *scene = scene_with(straight_road(2, 500, 20), cars, 2, 20);
    const nm_observation_config config = nm_observation_config_default(scene);
    nm_observation *observation = observe(scene, &config);
    nm_world *world = world_of(scene, NM_POLICY_LOG, 1);
    const nm_planner_ego *ego = &look(observation, world)->ego;
    // a car of 4.5 m: rear axle 0.30 of it behind the middle, axles 0.60 of it apart
    assert_float_equal(ego->vehicle.rear_axle_to_box_centre, 1.35f, 1e-5f);
    assert_float_equal(ego->vehicle.wheelbase, 2.7f, 1e-5f);
    assert_float_equal(ego->vehicle.length, 4.5f, 1e-5f);
    assert_float_equal(ego->vehicle.width, 1.8f, 1e-5f);
    assert_float_equal(ego->box_centre.x_scene, 100.0f, 1e-4f);
    assert_float_equal(ego->box_centre.y_scene, 1.0f, 1e-4f);
    assert_float_equal(ego->rear_axle.x_scene, 100.0 - 1.35 * cos(0.3), 1e-4f);
    assert_float_equal(ego->rear_axle.y_scene, 1.0 - 1.35 * sin(0.3), 1e-4f);
    assert_float_equal(ego->rear_axle.heading_scene, 0.3f, 1e-5f);
    assert_float_equal(ego->rear_axle_speed_ahead, 10.0f, 1e-4f);
    assert_float_equal(ego->box_centre_velocity_x_scene, 10.0 * cos(0.3), 1e-4f);
    assert_float_equal(ego->box_centre_velocity_y_scene, 10.0 * sin(0.3), 1e-4f);
    const nm_planner_agents *agents = &look(observation, world)->agents;
    assert_int_equal(agents->count, 1);
    assert_int_equal(agents->track[0], 1);
    assert_int_equal(agents->id[0], 2);
    assert_int_equal(agents->type[0], NM_PLANNER_TRUCK);
    assert_int_equal(agents->is_static[0], 0);
    const size_t now = agents->history.sample_count - 1;
    assert_float_equal(agents->history.box_centre_x_scene[now], 140.0f, 1e-4f);
    assert_float_equal(agents->history.velocity_x_scene[now], 7.0f, 1e-4f);
    const nm_planner_scenario *scenario = nm_observation_scenario(observation);
    assert_int_equal(scenario->ego_track, 0);
    assert_true(scenario->scene == scene);
    assert_float_equal(scenario->step_seconds, 0.1f, 1e-7f);
    assert_float_equal(scenario->goal_box_centre.x_scene, 100.0 + 19.0 * cos(0.3), 1e-3f);
    nm_observation_destroy(observation);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void remembers_what_was_recorded_before_the_start(void **state) {
    (void)state;
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 100, 0, 0, 10}, {NM_AGENT_CAR, 140, 3.5f, 0, 7}};
    const nm_scene *scene = scene_with(straight_road(2, 500, 20), cars, 2, 60);
    nm_observation_config config = nm_observation_config_default(scene);
    config.start_step = 10;
    nm_observation *observation = observe(scene, &config);
    nm_world *world = world_at(scene, 10, NM_POLICY_LOG);
    for (uint32_t step = 0; step < 40; step++) {
        const nm_planner_observation *seen = look(observation, world);
        assert_int_equal(seen->step, step);
        assert_float_equal(seen->time, 0.1 * step, 1e-9);
        const nm_planner_history *h[2] = {&seen->ego_history, &seen->agents.history};
        for (int a = 0; a < 2; a++) {
            assert_int_equal(h[a]->sample_count, 22);
            for (int k = 0; k < 22; k++) {
                const int t = 10 + (int)step - 21 + k; // the scene's step
                assert_int_equal(h[a]->valid[k], t >= 0);
                const float x = t >= 0 ? scene->x[nm_scene_at(scene, (uint32_t)a, (uint32_t)t)] : 0.0f;
                assert_float_equal(h[a]->box_centre_x_scene[k], x, 0.0f);
                assert_float_equal(h[a]->velocity_x_scene[k], t >= 0 ? cars[a].speed : 0.0f, 1e-5f);
            }
        }
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    }
    nm_observation_destroy(observation);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// The start is in the middle of a bend and a braking: the world starts without either, the recording knows.
static void derives_acceleration_and_curvature_at_the_start(void **state) {
    (void)state;
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_map *map = straight_road(3, 500, 20);
    nm_error error;
    uint32_t track;
    const nm_track_def def = {.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 3, &error), NM_OK);
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    for (uint32_t t = 0; t < 3; t++) {
        const double h = 0.02 * t, v = 10.0 - 0.3 * t; // yaw rate 0.2 rad/s, -3 m/s^2
        const nm_state_def at = {.x = 100 + t, .y = 1, .heading = h, .vx = v * cos(h), .vy = v * sin(h)};
        assert_int_equal(nm_scene_builder_add_state(builder, track, t, &at, &error), NM_OK);
    }
    nm_scene_builder_set_current(builder, 1, 0);
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    const nm_observation_config config = nm_observation_config_default(scene);
    nm_observation *observation = observe(scene, &config);
    nm_world *world = world_at(scene, 1, NM_POLICY_EXTERNAL);
    const nm_planner_ego *ego = &look(observation, world)->ego;
    assert_float_equal(ego->acceleration_ahead, -3.0f, 1e-3f);
    assert_float_equal(ego->rear_axle_curvature, 0.2 / 9.7, 1e-4f);
    assert_float_equal(ego->yaw_rate, 0.2f, 1e-3f);
    assert_float_equal(ego->steering_angle, atan(2.7 * 0.2 / 9.7), 1e-4f);
    nm_observation_destroy(observation);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// An agent that is away for some steps has a gap in its history, and others keep theirs when it leaves.
static void keeps_gaps_apart(void **state) {
    (void)state;
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_map *map = straight_road(3, 500, 20);
    nm_error error;
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 40, &error), NM_OK);
    for (uint32_t a = 0; a < 3; a++) {
        uint32_t track;
        const nm_track_def def = {
            .id = 7 + a, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f, .flags = a == 2 ? NM_TRACK_STATIC : 0};
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t t = 0; t < 40; t++) {
            if (a == 1 && t >= 5 && t < 9) continue;
            const nm_state_def at = {.x = 100.0 + (a == 2 ? 0 : t), .y = 3.5 * a, .vx = a == 2 ? 0 : 10};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &at, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, 0, 0);
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    nm_observation_config config = nm_observation_config_default(scene);
    config.history = 8;
    nm_observation *observation = observe(scene, &config);
    nm_world *world = world_of(scene, NM_POLICY_LOG, 1);
    for (uint32_t t = 0; t < 30; t++) {
        const nm_planner_agents *agents = &look(observation, world)->agents;
        const int away = t >= 5 && t < 9;
        assert_int_equal(agents->count, away ? 1 : 2);
        const uint32_t parked = agents->count - 1;
        assert_int_equal(agents->track[parked], 2);
        assert_int_equal(agents->is_static[parked], 1);
        for (uint32_t a = 0; a < agents->count; a++) {
            for (uint32_t k = 0; k < 8; k++) {
                const int then = (int)t - 7 + (int)k;
                const int valid = then >= 0 && (a == parked || then < 5 || then >= 9);
                assert_int_equal(agents->history.valid[a * 8 + k], valid);
                const float x = !valid ? 0.0f : a == parked ? 100.0f : 100.0f + (float)then;
                assert_float_equal(agents->history.box_centre_x_scene[a * 8 + k], x, 1e-4f);
                assert_float_equal(agents->history.box_centre_y_scene[a * 8 + k],
                                   !valid        ? 0.0f
                                   : a == parked ? 7.0f
                                                 : 3.5f,
                                   1e-5f);
            }
        }
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    }
    nm_observation_destroy(observation);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static int shown(const nm_planner_map *map, uint32_t lane) {
    for (uint32_t i = 0; i < map->lane_count; i++)
        if (map->lanes[i].id == lane) return 1;
    return 0;
}

/// Against the map itself: what is near is there, whole; nothing that is far.
static void check_excerpt(const nm_map *map, const nm_planner_map *excerpt, nm_planner_pose ego, float refresh) {
    const float r = excerpt->radius;
    for (uint32_t lane = 0; lane < map->lane_count; lane++) {
        const nm_frenet f = nm_map_project(map, lane, ego.x_scene, ego.y_scene);
        if (hypotf(f.d, f.beyond) < r) assert_true(shown(excerpt, lane));
        if (hypotf(f.d, f.beyond) > 1.5f * (r + 2.0f * refresh)) assert_false(shown(excerpt, lane));
    }
    for (uint32_t i = 0; i < excerpt->lane_count; i++) {
        const nm_planner_lane *seen = &excerpt->lanes[i];
        const nm_lane *lane = &map->lanes[seen->id];
        assert_true(i == 0 || seen->id > excerpt->lanes[i - 1].id);
        assert_int_equal(seen->point_count, lane->points.count);
        assert_true(seen->first_point + seen->point_count <= excerpt->point_count);
        for (uint32_t k = 0; k < seen->point_count; k++) {
            assert_float_equal(excerpt->centre[seen->first_point + k].x_scene, map->centre[lane->points.first + k].x,
                               0.0f);
            assert_float_equal(excerpt->left_border[seen->first_point + k].y_scene, map->left[lane->points.first + k].y,
                               0.0f);
            assert_float_equal(excerpt->right_border[seen->first_point + k].y_scene,
                               map->right[lane->points.first + k].y, 0.0f);
        }
        assert_int_equal(seen->successor_count, lane->successors.count);
        for (uint32_t k = 0; k < seen->successor_count; k++)
            assert_int_equal(excerpt->links[seen->first_successor + k], map->lane_refs[lane->successors.first + k]);
        assert_int_equal(seen->predecessor_count, lane->predecessors.count);
        for (uint32_t k = 0; k < seen->predecessor_count; k++)
            assert_int_equal(excerpt->links[seen->first_predecessor + k], map->lane_refs[lane->predecessors.first + k]);
    }
}

static void shows_the_map_around_the_ego(void **state) {
    (void)state;
    const nm_scene *scene = scene_of("junction_signal:density=10,lanes=2,length=400", 2);
    nm_observation_config config = nm_observation_config_default(scene);
    config.map_radius = 60.0f;
    config.map_refresh = 15.0f;
    nm_observation *observation = observe(scene, &config);
    nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
    const nm_planner_map *map = nm_observation_scenario(observation)->map;
    assert_int_equal(map->version, 1);
    float made_x = map->middle.x_scene, made_y = map->middle.y_scene;
    uint32_t version = 1, changes = 0, lights = 0;
    for (int t = 0; t < 120; t++) {
        const nm_planner_observation *seen = look(observation, world);
        const nm_planner_pose ego = seen->ego.box_centre;
        check_excerpt(scene->map, seen->map, ego, config.map_refresh);
        const float way = hypotf(ego.x_scene - made_x, ego.y_scene - made_y);
        assert_int_equal(seen->map->version, version + (way > 15.0f));
        if (seen->map->version != version) {
            version = seen->map->version;
            made_x = ego.x_scene, made_y = ego.y_scene;
            changes++;
        }
        for (uint32_t i = 0; i < seen->signals.count; i++) {
            int found = 0; // some light of that lane says so
            const nm_lane *lane = &scene->map->lanes[seen->signals.lane[i]];
            for (uint32_t k = 0; k < lane->signals.count; k++)
                found |= nm_scene_signal(scene, scene->map->signal_refs[lane->signals.first + k], (uint32_t)t) ==
                         (nm_signal_state)seen->signals.state[i];
            assert_true(found);
            assert_float_equal(seen->signals.lane_stop[i], lane->stop_s, 0.0f);
        }
        lights = seen->signals.count > lights ? seen->signals.count : lights;
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    }
    assert_true(changes >= 2);
    assert_true(lights > 0);
    assert_true(map->crosswalk_count > 0);
    nm_observation_destroy(observation);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void tells_neighbours_and_the_route(void **state) {
    (void)state;
    const test_vehicle car = {NM_AGENT_CAR, 100, 3.5f, 0, 10};
    const nm_scene *scene = scene_with(straight_road(3, 500, 20), &car, 1, 10);
    nm_observation_config config = nm_observation_config_default(scene);
    nm_observation *observation = observe(scene, &config);
    const nm_planner_map *map = nm_observation_scenario(observation)->map;
    assert_int_equal(map->lane_count, 3);
    assert_int_equal(map->lanes[1].left, 2);
    assert_int_equal(map->lanes[1].right, 0);
    assert_int_equal(map->lanes[1].may_change_left, 1);
    assert_int_equal(map->lanes[2].left, NM_PLANNER_NONE);
    assert_int_equal(map->lanes[0].on_route, 0);
    assert_int_equal(map->lanes[1].on_route, 1);
    assert_int_equal(map->lanes[1].source_id, 2);
    nm_observation_destroy(observation);
    config.map_radius = 0.0f;
    observation = observe(scene, &config);
    assert_int_equal(nm_observation_scenario(observation)->map->lane_count, 0);
    nm_observation_destroy(observation);
    nm_scene_destroy(scene);
}

static void measures_along_the_route(void **state) {
    (void)state;
    const test_vehicle car = {NM_AGENT_CAR, 100, 4.0f, 0, 10};
    const nm_scene *scene = scene_with(straight_road(3, 500, 20), &car, 1, 60);
    const nm_observation_config config = nm_observation_config_default(scene);
    nm_observation *observation = observe(scene, &config);
    nm_world *world = world_of(scene, NM_POLICY_LOG, 1);
    for (int t = 0; t < 50; t++) {
        const nm_planner_observation *seen = look(observation, world);
        assert_float_equal(seen->route_position, 20.0f + (float)t, 1e-2f);
        assert_float_equal(seen->route_offset, 0.5f, 1e-3f);
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    }
    nm_observation_destroy(observation);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void refuses_what_makes_no_sense(void **state) {
    (void)state;
    const test_vehicle car = {NM_AGENT_CAR, 100, 0, 0, 10};
    const nm_scene *scene = scene_with(straight_road(1, 500, 20), &car, 1, 10);
    const nm_observation_config good = nm_observation_config_default(scene);
    nm_observation_config bad[5] = {good, good, good, good, good};
    bad[0].history = 0;
    bad[1].history = 101;
    bad[2].map_radius = NAN;
    bad[3].map_refresh = 0.0f;
    bad[4].deadline = -1.0f;
    nm_observation *observation = NULL;
    nm_error error;
    for (int i = 0; i < 5; i++) {
        nm_error_clear(&error);
        assert_int_equal(nm_observation_create(scene, &bad[i], &observation, &error), NM_E_ARGUMENT);
        assert_null(observation);
        assert_true(error.message[0] != '\0');
    }
    // the recording of the ego ends: it is gone from the world then
    observation = observe(scene, &good);
    nm_world *world = world_of(scene, NM_POLICY_LOG, 1);
    for (int t = 0; t < 10; t++) {
        look(observation, world);
        nm_world_step(world, NULL, 0, NULL);
    }
    const nm_planner_observation *seen;
    assert_int_equal(nm_observation_update(observation, world, &seen, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "ego is gone at step 10"));
    nm_observation_destroy(observation);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// Every number that a planner may read, as one hash.
static uint64_t hash_of(const nm_planner_observation *o) {
    const nm_planner_history *h = &o->agents.history;
    const size_t count = (size_t)o->agents.count * h->sample_count;
    uint64_t hash = nm_hash_bytes(&o->ego, sizeof o->ego, 0);
    hash = nm_hash_bytes(o->agents.track, o->agents.count * sizeof(uint32_t), hash);
    hash = nm_hash_bytes(h->valid, count, hash);
    hash = nm_hash_bytes(h->box_centre_x_scene, count * sizeof(float), hash);
    hash = nm_hash_bytes(h->heading_scene, count * sizeof(float), hash);
    hash = nm_hash_bytes(o->signals.state, o->signals.count, hash);
    hash = nm_hash_bytes(&o->map->version, sizeof o->map->version, hash);
    return nm_hash_bytes(&o->seed, sizeof o->seed, hash);
}

static void looks_again_after_a_reset(void **state) {
    (void)state;
    const nm_scene *scene = scene_of("junction_signal:density=20", 3);
    nm_observation_config config = nm_observation_config_default(scene);
    config.seed = 5;
    config.map_refresh = 5.0f;
    nm_observation *observation = observe(scene, &config);
    nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
    uint64_t first[60], seeds[60], other = 0;
    for (int run = 0; run < 3; run++) {
        nm_world_reset(world, 1);
        nm_observation_reset(observation, run < 2 ? 5 : 6);
        for (int t = 0; t < 60; t++) {
            const nm_planner_observation *seen = look(observation, world);
            const uint64_t hash = hash_of(seen);
            if (run == 0) first[t] = hash, seeds[t] = seen->seed;
            for (int k = 0; run == 2 && k < 60; k++) assert_true(seen->seed != seeds[k]); // neighbours share none
            if (run == 1) assert_true(hash == first[t]);
            if (run == 2) other += hash == first[t];
            nm_world_step(world, NULL, 0, NULL);
        }
    }
    assert_int_equal(other, 0); // another seed
    nm_observation_destroy(observation);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void never_allocates_while_it_looks(void **state) {
    (void)state;
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
    const nm_scene *scene = scene_of("junction_signal:density=20", 3);
    nm_observation_config config = nm_observation_config_default(scene);
    config.map_refresh = 1.0f;
    nm_observation *observation = observe(scene, &config);
    nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
    const struct mallinfo2 before = mallinfo2();
    for (int t = 0; t < 100; t++) {
        look(observation, world);
        nm_world_step(world, NULL, 0, NULL);
    }
    const struct mallinfo2 after = mallinfo2();
    assert_true(after.uordblks == before.uordblks && after.hblkhd == before.hblkhd);
    nm_observation_destroy(observation);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
#else
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_reference_points_and_frames),
        cmocka_unit_test(remembers_what_was_recorded_before_the_start),
        cmocka_unit_test(derives_acceleration_and_curvature_at_the_start),
        cmocka_unit_test(keeps_gaps_apart),
        cmocka_unit_test(shows_the_map_around_the_ego),
        cmocka_unit_test(tells_neighbours_and_the_route),
        cmocka_unit_test(measures_along_the_route),
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(looks_again_after_a_reset),
        cmocka_unit_test(never_allocates_while_it_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
