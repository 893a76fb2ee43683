/// How vehicles drive behind one another: IDM and MOBIL against their formulas, and whole runs without a collision or a
/// standstill that lasts.
#include "sim/builtin.h"
#include "world_scenes.h"

static const nm_scene *builtin(const char *specification, uint64_t seed) {
    const nm_scene *scene = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_builtin_scene(specification, seed, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    return scene;
}

static nm_world *world_over(const nm_scene *scene, const nm_idm_params *idm, uint64_t seed) {
    nm_world_config config = nm_world_config_default();
    config.seed = seed;
    if (idm) config.idm = idm;
    nm_world *world = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_world_create(scene, &config, &world, &error) != NM_OK) fail_msg("%s", error.message);
    return world;
}

static void step(nm_world *world) {
    assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
}

/// A set without scatter, lane changes or memory, as the formulas know it.
static nm_idm_params plain(const char *name) {
    nm_idm_params idm = *nm_idm_named(name);
    idm.spread = 0.0f;
    idm.lane_changes = idm.adapt_to_history = 0;
    return idm;
}

static void parameter_sets_are_the_published_ones(void **state) {
    (void)state;
    const nm_idm_params *nuplan = nm_idm_named("nuplan"), *waymax = nm_idm_named("waymax");
    assert_float_equal(nuplan->time_gap, 1.5f, 0.0f);
    assert_float_equal(nuplan->min_gap, 1.0f, 0.0f);
    assert_float_equal(nuplan->accel, 1.0f, 0.0f);
    assert_float_equal(nuplan->brake, 2.0f, 0.0f);
    assert_float_equal(nuplan->desired_speed, 10.0f, 0.0f);
    assert_float_equal(waymax->time_gap, 2.0f, 0.0f);
    assert_float_equal(waymax->min_gap, 2.0f, 0.0f);
    assert_float_equal(waymax->accel, 2.0f, 0.0f);
    assert_float_equal(waymax->brake, 4.0f, 0.0f);
    assert_float_equal(waymax->desired_speed, 30.0f, 0.0f);
    assert_float_equal(nm_idm_named("metadrive")->min_gap, 10.0f, 0.0f);
    assert_null(nm_idm_named("nobody"));
    assert_null(nm_idm_named(NULL));
    size_t count = 0;
    while (nm_idm_at(count)) assert_ptr_equal(nm_idm_named(nm_idm_at(count)->name), nm_idm_at(count)), ++count;
    assert_int_equal(count, 4);
}

/// s_e(v) = (s0 + v T) / sqrt(1 - (v / v0)^4), Treiber et al. 2000, eq. 5.
static void following_settles_at_the_equilibrium_gap(void **state) {
    (void)state;
    static const struct {
        const char *set;
        float speed, desired;
    } cases[] = {
        {"nuplan", 6.0f, 10.0f}, {"waymax", 15.0f, 30.0f}, {"nearmiss", 15.0f, 25.0f}, {"nearmiss", 3.0f, 14.0f}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        nm_idm_params idm = plain(cases[i].set);
        idm.desired_speed = cases[i].desired;
        const float v = cases[i].speed;
        const test_vehicle two[] = {{NM_AGENT_CAR, 150.0f, 0.0f, 0.0f, v}, {NM_AGENT_CAR, 100.0f, 0.0f, 0.0f, v}};
        const nm_scene *scene = scene_with(straight_road(1, 5000.0, 40.0), two, 2, 1);
        nm_world *world = world_over(scene, &idm, 1);
        nm_world_set_policy(world, 0, NM_POLICY_CONSTANT_VELOCITY);
        for (int t = 0; t < 2000; ++t) step(world);
        const nm_world_view view = nm_world_get_view(world);
        const uint32_t front = view.slot_of[0], rear = view.slot_of[1];
        const float gap = view.x[front] - view.x[rear] - 4.5f;
        const float ratio = v / cases[i].desired;
        const float expected = (idm.min_gap + v * idm.time_gap) / sqrtf(1.0f - ratio * ratio * ratio * ratio);
        if (fabsf(gap - expected) > 0.02f * expected)
            fail_msg("%s at %g m/s: gap %g m instead of %g m", cases[i].set, (double)v, (double)gap, (double)expected);
        assert_float_equal(view.speed[rear], v, 0.02f);
        assert_int_equal(view.lead[rear], front);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
}

static void a_free_road_is_driven_at_the_desired_speed(void **state) {
    (void)state;
    nm_idm_params idm = plain("waymax");
    const test_vehicle one = {NM_AGENT_CAR, 50.0f, 0.0f, 0.0f, 5.0f};
    const nm_scene *scene = scene_with(straight_road(1, 5000.0, 20.0), &one, 1, 1);
    nm_world *world = world_over(scene, &idm, 1);
    for (int t = 0; t < 600; ++t) step(world);
    assert_float_equal(nm_world_get_view(world).speed[0], 20.0f, 0.2f); // the limit, as v0 is above it
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// A leader that slows down from 15 to 8 m/s and goes on: nobody behind touches, and the wave dies out along the queue.
static void a_platoon_damps_what_its_leader_does(void **state) {
    (void)state;
    enum { CARS = 10 };
    nm_idm_params idm = plain("nearmiss");
    test_vehicle queue[CARS];
    for (int i = 0; i < CARS; ++i)
        queue[i] = (test_vehicle){NM_AGENT_CAR, 600.0f - 26.0f * (float)i, 0.0f, 0.0f, 15.0f};
    const nm_scene *scene = scene_with(straight_road(1, 5000.0, 20.0), queue, CARS, 1);
    nm_world *world = world_over(scene, &idm, 1);
    nm_world_set_policy(world, 0, NM_POLICY_EXTERNAL);
    float slowest[CARS];
    for (int i = 0; i < CARS; ++i) slowest[i] = 15.0f;
    for (int t = 0; t < 900; ++t) {
        nm_world_set_control(world, 0, t < 200 ? 0.0f : t < 235 ? -2.0f : t < 305 ? 1.0f : 0.0f, 0.0f);
        step(world);
        const nm_world_view view = nm_world_get_view(world);
        for (uint32_t i = 0; i < CARS; ++i) slowest[i] = fminf(slowest[i], view.speed[view.slot_of[i]]);
    }
    assert_int_equal(nm_world_get_stats(world).collided, 0);
    for (int i = 1; i < CARS; ++i) assert_true(slowest[i] > slowest[i - 1] - 0.3f);
    assert_true(slowest[CARS - 1] > slowest[0] + 1.0f);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// Who stands in the way is stopped for, from any speed at which that can be done comfortably.
static void standing_vehicles_are_stopped_for(void **state) {
    (void)state;
    for (float speed = 5.0f; speed < 31.0f; speed += 5.0f) {
        nm_idm_params idm = plain("nearmiss");
        const test_vehicle two[] = {{NM_AGENT_CAR, 400.0f, 0.6f, 0.0f, 0.0f},
                                    {NM_AGENT_CAR, 100.0f, 0.0f, 0.0f, speed}};
        const nm_scene *scene = scene_with(straight_road(1, 1000.0, 35.0), two, 2, 1);
        nm_world *world = world_over(scene, &idm, 1);
        nm_world_set_policy(world, 0, NM_POLICY_CONSTANT_VELOCITY);
        float hardest = 0.0f;
        for (int t = 0; t < 800; ++t) {
            step(world);
            const nm_world_view view = nm_world_get_view(world);
            hardest = fminf(hardest, view.accel[view.slot_of[1]]);
        }
        const nm_world_view view = nm_world_get_view(world);
        const float gap = view.x[view.slot_of[0]] - view.x[view.slot_of[1]] - 4.5f;
        assert_int_equal(nm_world_get_stats(world).collided, 0);
        assert_true(gap > 1.0f && gap < 4.0f);
        if (hardest <= -4.5f) fail_msg("from %g m/s: %g", (double)speed, (double)hardest);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
}

/// A slow leader, a free lane beside: changes. With somebody fast just behind in that lane: does not.
static void lanes_are_changed_for_a_gain_and_only_when_safe(void **state) {
    (void)state;
    for (int blocked = 0; blocked < 2; ++blocked) {
        nm_idm_params idm = plain("nearmiss");
        idm.lane_changes = 1;
        const test_vehicle cars[] = {{NM_AGENT_CAR, 160.0f, 0.0f, 0.0f, 8.0f},
                                     {NM_AGENT_CAR, 120.0f, 0.0f, 0.0f, 12.0f},
                                     {NM_AGENT_CAR, 108.0f, 3.5f, 0.0f, 13.0f}};
        const nm_scene *scene = scene_with(straight_road(2, 3000.0, 20.0), cars, blocked ? 3 : 2, 1);
        nm_world *world = world_over(scene, &idm, 1);
        nm_world_set_policy(world, 0, NM_POLICY_CONSTANT_VELOCITY);
        float beside = INFINITY;
        for (int t = 0; t < 200; ++t) {
            step(world);
            const nm_world_view view = nm_world_get_view(world);
            const uint32_t slot = view.slot_of[1];
            if (!blocked || view.lane[slot] == 0) continue;
            beside = fminf(beside, fabsf(view.x[slot] - view.x[view.slot_of[2]]) - 4.5f);
        }
        const nm_world_stats stats = nm_world_get_stats(world);
        assert_int_equal(stats.collided, 0);
        if (!blocked) assert_int_equal(stats.lane_changes, 1);
        if (blocked) assert_true(beside > 1.5f); // if it went after all, then where there was room
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
}

/// Two cars, one on each side of a free lane, want it at the same time: they do not take the same gap.
static void two_do_not_change_into_one_gap(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        nm_idm_params idm = plain("nearmiss");
        idm.lane_changes = 1;
        // tracks 2 and 12 consider a change at the same steps; those between are far away
        test_vehicle cars[13] = {{NM_AGENT_CAR, 130.0f, 0.0f, 0.0f, 6.0f}, {NM_AGENT_CAR, 130.0f, 7.0f, 0.0f, 6.0f}};
        for (int i = 2; i < 12; ++i)
            cars[i] = (test_vehicle){NM_AGENT_CAR, 1000.0f + 60.0f * (float)i, 0.0f, 0.0f, 15.0f};
        cars[2] = (test_vehicle){NM_AGENT_CAR, 100.0f, 0.0f, 0.0f, 13.0f};
        cars[12] = (test_vehicle){NM_AGENT_CAR, 100.5f, 7.0f, 0.0f, 13.0f};
        const nm_scene *scene = scene_with(straight_road(3, 3000.0, 20.0), cars, 13, 1);
        nm_world *world = world_over(scene, &idm, seed);
        for (uint32_t track = 0; track < 13; ++track)
            if (track != 2 && track != 12) nm_world_set_policy(world, track, NM_POLICY_CONSTANT_VELOCITY);
        for (int t = 0; t < 200; ++t) step(world);
        assert_int_equal(nm_world_get_stats(world).collided, 0);
        assert_true(nm_world_get_stats(world).lane_changes > 0);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
}

/// MOBIL: whoever is behind after a change need not brake harder than b_safe (and a metre per second squared more when
/// the change was urgent), with slack for the jerk limit and for what else happens within that second.
static void followers_are_not_forced_to_brake(void **state) {
    (void)state;
    static const char *const roads[] = {"highway:density=30,lanes=3", "on_ramp:density=25", "off_ramp:density=25"};
    const float hardest = nm_idm_named("nearmiss")->safe_brake + 1.0f + 1.5f;
    uint32_t changes = 0;
    for (size_t r = 0; r < sizeof roads / sizeof *roads; ++r) {
        const nm_scene *scene = builtin(roads[r], 3);
        nm_world *world = world_over(scene, NULL, 3);
        uint32_t *lane = calloc(scene->track_count, sizeof *lane), *watch = calloc(scene->track_count, sizeof *watch);
        assert_non_null(lane);
        assert_non_null(watch);
        for (uint32_t t = 0; t < 400; ++t) {
            step(world);
            const nm_world_view view = nm_world_get_view(world);
            for (uint32_t slot = 0; slot < view.count; ++slot) {
                const uint32_t track = view.track[slot], was = lane[track];
                lane[track] = view.lane[slot] + 1;
                if (watch[track] > t) assert_true(view.accel[slot] > -hardest);
                const uint32_t lead = view.lead[slot];
                (void)was;
                if (lead == NM_NONE || fabsf(view.lane_d[lead]) < 2.5f || view.lane[lead] != view.lane[slot]) continue;
                if (watch[track] <= t) ++changes; // its leader is just coming over from another lane
                watch[track] = t + 10;
            }
        }
        free(lane);
        free(watch);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
    if (changes <= 5) fail_msg("%u changes", changes);
}

static const char *const all_kinds[] = {"highway:density=30",
                                        "highway_curved:density=30",
                                        "on_ramp:density=25",
                                        "off_ramp:density=25",
                                        "junction_signal:density=30,pedestrians=8,cyclists=3",
                                        "junction_priority:density=30,pedestrians=8,cyclists=3",
                                        "junction_priority:density=30,minor_control=stop,pedestrians=8,cyclists=3",
                                        "junction_all_way:density=30,pedestrians=8,cyclists=3",
                                        "t_junction:density=30,pedestrians=8,cyclists=3",
                                        "roundabout:density=30,pedestrians=8,cyclists=3",
                                        "crosswalk:density=30,pedestrians=8,cyclists=3"};

static void nobody_collides_on_built_in_maps(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof all_kinds / sizeof *all_kinds; ++k)
        for (uint64_t seed = 1; seed <= 6; ++seed) {
            const nm_scene *scene = builtin(all_kinds[k], seed);
            nm_world *world = world_over(scene, NULL, seed);
            for (int t = 0; t < 600; ++t) step(world);
            const nm_world_stats stats = nm_world_get_stats(world);
            if (stats.collided || stats.wrong_way || stats.frozen)
                fail_msg("%s, seed %d: %u collided (first at step %u), %u the wrong way, %u frozen", all_kinds[k],
                         (int)seed, stats.collided, stats.first_collision_step, stats.wrong_way, stats.frozen);
            nm_world_destroy(world);
            nm_scene_destroy(scene);
        }
}

/// Nobody waits for ever: after ten minutes at most all that can drive has driven off the map.
static void everybody_gets_away(void **state) {
    (void)state;
    static const char *const kinds[] = {
        "on_ramp:density=25",           "junction_signal:density=30,cyclists=3",
        "junction_priority:density=30", "junction_priority:density=30,minor_control=stop",
        "junction_all_way:density=30",  "t_junction:density=30",
        "roundabout:density=30",        "crosswalk:density=30,cyclists=3"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; ++k)
        for (uint64_t seed = 1; seed <= 2; ++seed) {
            char specification[120];
            snprintf(specification, sizeof specification, "%s,truck_share=0,bus_share=0", kinds[k]);
            const nm_scene *scene = builtin(specification, seed);
            nm_world *world = world_over(scene, NULL, seed);
            for (int t = 0; t < 6000 && nm_world_get_view(world).count > 0; ++t) step(world);
            const nm_world_stats stats = nm_world_get_stats(world);
            if (stats.left != stats.agents || stats.collided)
                fail_msg("%s, seed %d: %u of %u left, %u collided", kinds[k], (int)seed, stats.left, stats.agents,
                         stats.collided);
            nm_world_destroy(world);
            nm_scene_destroy(scene);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameter_sets_are_the_published_ones),
        cmocka_unit_test(following_settles_at_the_equilibrium_gap),
        cmocka_unit_test(a_free_road_is_driven_at_the_desired_speed),
        cmocka_unit_test(a_platoon_damps_what_its_leader_does),
        cmocka_unit_test(standing_vehicles_are_stopped_for),
        cmocka_unit_test(lanes_are_changed_for_a_gain_and_only_when_safe),
        cmocka_unit_test(two_do_not_change_into_one_gap),
        cmocka_unit_test(followers_are_not_forced_to_brake),
        cmocka_unit_test(nobody_collides_on_built_in_maps),
        cmocka_unit_test(everybody_gets_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
