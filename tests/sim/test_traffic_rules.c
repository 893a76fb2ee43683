/// Who goes first: lights, stop lines, yielding, crosswalks, lanes that end. Runs over built-in scenes are watched step
/// by step; single encounters are set up by hand.
#include "sim/builtin.h"
#include "world_scenes.h"

static const nm_scene *builtin(const char *specification, uint64_t seed) {
    const nm_scene *scene = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_builtin_scene(specification, seed, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    return scene;
}

static nm_world *world_over(const nm_scene *scene, uint64_t seed) {
    nm_world_config config = nm_world_config_default();
    config.seed = seed;
    nm_world *world = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_world_create(scene, &config, &world, &error) != NM_OK) fail_msg("%s", error.message);
    return world;
}

static int on_foot(uint8_t type) {
    return type == NM_AGENT_PEDESTRIAN;
}

/// What is remembered of a track from step to step.
typedef struct memory {
    uint32_t lane;
    float front;   ///< m along `lane`
    float slowest; ///< m/s since it came within 6 m of the end of `lane`
} memory;

typedef void line_crossed(const nm_scene *scene, const nm_lane *lane, uint32_t step, const memory *before,
                          unsigned *seen);

/// Runs the world and calls `crossed` for everybody whose front passes the stop line of the lane it was on.
static unsigned watch_lines(const nm_scene *scene, uint64_t seed, int steps, line_crossed *crossed) {
    nm_world *world = world_over(scene, seed);
    memory *memories = calloc(scene->track_count, sizeof *memories);
    assert_non_null(memories);
    for (uint32_t i = 0; i < scene->track_count; ++i) memories[i] = (memory){NM_NONE, 0.0f, INFINITY};
    unsigned seen = 0;
    for (int t = 0; t < steps; ++t) {
        const nm_world_view view = nm_world_get_view(world);
        for (uint32_t slot = 0; slot < view.count; ++slot) {
            if (on_foot(view.type[slot]) || view.lane[slot] == NM_NONE) continue;
            memory *m = &memories[view.track[slot]];
            const float front = view.lane_s[slot] + 0.5f * view.length[slot];
            if (m->lane != NM_NONE) {
                const nm_lane *was = &scene->map->lanes[m->lane];
                const int passed = m->lane == view.lane[slot] ? front > was->stop_s : 1;
                if (m->front <= was->stop_s && passed) crossed(scene, was, view.step, m, &seen);
            }
            const nm_lane *lane = &scene->map->lanes[view.lane[slot]];
            if (m->lane != view.lane[slot] || front < lane->stop_s - 6.0f) m->slowest = INFINITY;
            m->slowest = fminf(m->slowest, view.speed[slot]);
            m->lane = view.lane[slot];
            m->front = front;
        }
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    }
    free(memories);
    nm_world_destroy(world);
    return seen;
}

static void not_on_red(const nm_scene *scene, const nm_lane *lane, uint32_t step, const memory *before,
                       unsigned *seen) {
    (void)before;
    for (uint32_t k = 0; k < lane->signals.count; ++k) {
        const uint32_t signal = scene->map->signal_refs[lane->signals.first + k];
        ++*seen;
        // who could not stop for the amber light may be late by half a second
        const nm_signal_state now = nm_scene_signal(scene, signal, step);
        const nm_signal_state then = nm_scene_signal(scene, signal, step < 5 ? 0 : step - 5);
        if (now == NM_SIGNAL_STOP && then == NM_SIGNAL_STOP) fail_msg("the line was crossed on red at step %u", step);
    }
}

static void nobody_crosses_on_red(void **state) {
    (void)state;
    unsigned seen = 0;
    for (uint64_t seed = 1; seed <= 4; ++seed) {
        const nm_scene *scene = builtin("junction_signal:density=35,lanes=2", seed);
        seen += watch_lines(scene, seed, 900, not_on_red);
        nm_scene_destroy(scene);
    }
    assert_true(seen > 60);
}

static void only_after_a_halt(const nm_scene *scene, const nm_lane *lane, uint32_t step, const memory *before,
                              unsigned *seen) {
    (void)scene;
    if (lane->control != NM_CONTROL_STOP && lane->control != NM_CONTROL_ALL_WAY_STOP) return;
    ++*seen;
    if (before->slowest > 0.3f)
        fail_msg("a stop line was passed at %g m/s or more at step %u", (double)before->slowest, step);
}

static void everybody_halts_at_stop_signs(void **state) {
    (void)state;
    static const char *const junctions[] = {"junction_priority:density=30,minor_control=stop",
                                            "junction_all_way:density=30", "t_junction:density=30,minor_control=stop"};
    unsigned seen = 0;
    for (size_t k = 0; k < sizeof junctions / sizeof *junctions; ++k) {
        const nm_scene *scene = builtin(junctions[k], 2);
        seen += watch_lines(scene, 2, 900, only_after_a_halt);
        nm_scene_destroy(scene);
    }
    if (seen <= 12) fail_msg("only %u passed a stop line", seen);
}

// ---------------------------------------------------------------------------------------------------------------------
// Single encounters

static const nm_map *map_of(nm_builtin_kind kind, nm_control_kind minor) {
    nm_builtin_params params = nm_builtin_params_default(kind);
    if (minor != NM_CONTROL_NONE) params.minor_control = minor;
    const nm_map *map = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_builtin_map(&params, &map, &error) != NM_OK) fail_msg("%s", error.message);
    return map;
}

/// The car-carrying lanes that end at the junction, in the order of the map; returns how many.
static uint32_t entries(const nm_map *map, uint32_t *lanes, uint32_t max) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->lane_count && count < max; ++i) {
        const nm_lane *lane = &map->lanes[i];
        if (!nm_lane_type_drivable((nm_lane_type)lane->type) || lane->flags & NM_LANE_JUNCTION) continue;
        if (lane->successors.count == 0) continue;
        const nm_lane *next = &map->lanes[map->lane_refs[lane->successors.first]];
        if (next->flags & NM_LANE_JUNCTION) lanes[count++] = i;
    }
    return count;
}

/// A car `back` m before the end of `lane`.
static test_vehicle before_end(const nm_map *map, uint32_t lane, float back, float speed) {
    test_vehicle car = {NM_AGENT_CAR, 0.0f, 0.0f, 0.0f, speed};
    float s = map->lanes[lane].length - back;
    while (s < 0.0f && map->lanes[lane].predecessors.count > 0) {
        lane = map->lane_refs[map->lanes[lane].predecessors.first];
        s += map->lanes[lane].length;
    }
    nm_map_position(map, lane, s, 0.0f, &car.x, &car.y, &car.heading);
    return car;
}

/// What two cars did: the steps at which each came into the junction, the hardest that each braked, how the second one
/// turned.
typedef struct encounter {
    uint32_t entered[2];
    float hardest[2];
    uint8_t turn[2];
    uint32_t collided;
} encounter;

static encounter meet(const nm_scene *scene, uint64_t seed, int steps) {
    encounter e = {{NM_NONE, NM_NONE}, {0.0f, 0.0f}, {0, 0}, 0};
    nm_world *world = world_over(scene, seed);
    for (int t = 0; t < steps; ++t) {
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
        const nm_world_view view = nm_world_get_view(world);
        for (uint32_t i = 0; i < 2; ++i) {
            const uint32_t slot = view.slot_of[i];
            if (slot == NM_NONE || view.lane[slot] == NM_NONE) continue;
            const nm_lane *lane = &scene->map->lanes[view.lane[slot]];
            if (e.entered[i] == NM_NONE) e.hardest[i] = fminf(e.hardest[i], view.accel[slot]);
            if (!(lane->flags & NM_LANE_JUNCTION) || e.entered[i] != NM_NONE) continue;
            e.entered[i] = view.step;
            e.turn[i] = lane->turn;
        }
    }
    e.collided = nm_world_get_stats(world).collided;
    nm_world_destroy(world);
    return e;
}

/// All-way stop: who comes first goes first, whichever arm it is on.
static void first_come_first_served_at_the_all_way_stop(void **state) {
    (void)state;
    for (int swapped = 0; swapped < 2; ++swapped)
        for (uint32_t other = 1; other < 4; ++other) {
            const nm_map *map = map_of(NM_BUILTIN_JUNCTION_ALL_WAY, NM_CONTROL_NONE);
            uint32_t lanes[8];
            assert_true(entries(map, lanes, 8) >= 4);
            const test_vehicle near = before_end(map, lanes[swapped ? other : 0], 18.0f, 4.0f);
            const test_vehicle far = before_end(map, lanes[swapped ? 0 : other], 30.0f, 9.0f);
            const test_vehicle cars[] = {near, far};
            const nm_scene *scene = scene_with(map, cars, 2, 1);
            const encounter e = meet(scene, 1, 400);
            assert_int_equal(e.collided, 0);
            assert_true(e.entered[0] < e.entered[1]);
            assert_true(e.entered[1] != NM_NONE);
            nm_scene_destroy(scene);
        }
}

/// Whoever comes from the minor road, or into the roundabout, lets pass: the other one need hardly brake.
static void minor_roads_yield(void **state) {
    (void)state;
    static const nm_builtin_kind kinds[] = {NM_BUILTIN_JUNCTION_PRIORITY, NM_BUILTIN_T_JUNCTION};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; ++k)
        for (uint64_t seed = 1; seed <= 6; ++seed) {
            const nm_map *map = map_of(kinds[k], NM_CONTROL_YIELD);
            uint32_t lanes[8], major = NM_NONE, minor = NM_NONE;
            const uint32_t count = entries(map, lanes, 8);
            for (uint32_t i = 0; i < count; ++i) {
                if (map->lanes[lanes[i]].control == NM_CONTROL_PRIORITY && major == NM_NONE) major = lanes[i];
                if (map->lanes[lanes[i]].control == NM_CONTROL_YIELD) minor = lanes[i];
            }
            assert_true(major != NM_NONE && minor != NM_NONE);
            const test_vehicle cars[] = {before_end(map, major, 25.0f, 8.0f), before_end(map, minor, 12.0f, 5.0f)};
            const nm_scene *scene = scene_with(map, cars, 2, 1);
            const encounter e = meet(scene, seed, 300);
            assert_int_equal(e.collided, 0);
            assert_true(e.entered[1] != NM_NONE);
            assert_true(e.hardest[0] > -2.6f); // slowing down for its own turn included
            nm_scene_destroy(scene);
        }
}

/// Two meet head on at a junction on green; where one turns left and the other goes straight on, the latter is first.
static void left_turns_yield_to_oncoming(void **state) {
    (void)state;
    unsigned seen = 0;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        const nm_map *map = map_of(NM_BUILTIN_JUNCTION_PRIORITY, NM_CONTROL_YIELD);
        uint32_t lanes[8], arms[2] = {NM_NONE, NM_NONE};
        const uint32_t count = entries(map, lanes, 8);
        for (uint32_t i = 0; i < count; ++i)
            if (map->lanes[lanes[i]].control == NM_CONTROL_PRIORITY) arms[arms[0] != NM_NONE] = lanes[i];
        assert_true(arms[1] != NM_NONE);
        const test_vehicle cars[] = {before_end(map, arms[0], 22.0f, 7.0f), before_end(map, arms[1], 26.0f, 9.0f)};
        const nm_scene *scene = scene_with(map, cars, 2, 1);
        const encounter e = meet(scene, seed, 250);
        assert_int_equal(e.collided, 0);
        if (e.turn[0] == NM_TURN_LEFT && e.turn[1] == NM_TURN_STRAIGHT) {
            ++seen;
            assert_true(e.hardest[1] > -1.5f);
        }
        nm_scene_destroy(scene);
    }
    assert_true(seen > 2);
}

// ---------------------------------------------------------------------------------------------------------------------
// Crosswalks and ramps

/// People get across, some drivers wait for them, and a walker steps out only where the nearest car can still stop.
static void drivers_and_walkers_share_the_crosswalk(void **state) {
    (void)state;
    unsigned crossings = 0, waits = 0;
    for (uint64_t seed = 1; seed <= 6; ++seed) {
        const nm_scene *scene = builtin("crosswalk:density=25,pedestrians=6", seed);
        nm_world *world = world_over(scene, seed);
        uint8_t *was_on = calloc(scene->track_count, 1);
        assert_non_null(was_on);
        for (int t = 0; t < 500; ++t) {
            assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
            const nm_world_view view = nm_world_get_view(world);
            unsigned on_crosswalk = 0;
            for (uint32_t slot = 0; slot < view.count; ++slot) {
                if (!on_foot(view.type[slot]) || view.lane[slot] == NM_NONE) continue;
                const int on = scene->map->lanes[view.lane[slot]].type == NM_LANE_CROSSWALK;
                crossings += (unsigned)(on && !was_on[view.track[slot]]);
                was_on[view.track[slot]] = (uint8_t)on;
                on_crosswalk += (unsigned)on;
            }
            for (uint32_t slot = 0; slot < view.count; ++slot) // the road runs along x, the crosswalk over it at x = 0
                if (!on_foot(view.type[slot]) && on_crosswalk && view.speed[slot] < 0.3f && fabsf(view.x[slot]) < 15.0f)
                    ++waits;
        }
        assert_int_equal(nm_world_get_stats(world).collided, 0);
        free(was_on);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
    if (crossings <= 6 || waits <= 20) fail_msg("only %u crossings, %u steps of waiting", crossings, waits);
}

/// Everybody is off the acceleration lane before it ends, and nobody touches.
static void ramps_merge_before_they_end(void **state) {
    (void)state;
    unsigned merged = 0;
    for (uint64_t seed = 1; seed <= 4; ++seed) {
        const nm_scene *scene = builtin("on_ramp:density=20", seed);
        nm_world *world = world_over(scene, seed);
        uint8_t *on_ramp = calloc(scene->track_count, 1);
        assert_non_null(on_ramp);
        for (int t = 0; t < 1500 && nm_world_get_view(world).count > 0; ++t) {
            assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
            const nm_world_view view = nm_world_get_view(world);
            for (uint32_t slot = 0; slot < view.count; ++slot) {
                if (view.lane[slot] == NM_NONE) continue;
                const nm_lane *lane = &scene->map->lanes[view.lane[slot]];
                const int ends = lane->type == NM_LANE_RAMP && lane->successors.count == 0;
                if (ends) assert_true(view.lane_s[slot] + 0.5f * view.length[slot] < lane->length + 0.5f);
                merged += (unsigned)(on_ramp[view.track[slot]] && lane->type == NM_LANE_FREEWAY);
                on_ramp[view.track[slot]] = (uint8_t)ends;
            }
        }
        const nm_world_stats stats = nm_world_get_stats(world);
        assert_int_equal(stats.collided, 0);
        assert_int_equal(stats.left, stats.agents);
        free(on_ramp);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
    assert_true(merged > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_crosses_on_red),
        cmocka_unit_test(everybody_halts_at_stop_signs),
        cmocka_unit_test(first_come_first_served_at_the_all_way_stop),
        cmocka_unit_test(minor_roads_yield),
        cmocka_unit_test(left_turns_yield_to_oncoming),
        cmocka_unit_test(drivers_and_walkers_share_the_crosswalk),
        cmocka_unit_test(ramps_merge_before_they_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
