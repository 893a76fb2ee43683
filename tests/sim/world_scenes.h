/// Small scenes for the tests of worlds: a straight road with parallel lanes, and vehicles put on it by hand.
#ifndef NM_TESTS_WORLD_SCENES_H
#define NM_TESTS_WORLD_SCENES_H

#include "support.h"

#include "base/rng.h"
#include "sim/world.h"

/// `lanes` lanes to the east, 3.5 m wide, lane 0 the rightmost with its centre at y = 0, ids 1, 2, ...
static inline const nm_map *straight_road(int lanes, double length, double limit) {
    nm_map_builder *builder = nm_map_builder_create();
    assert_non_null(builder);
    nm_error error;
    nm_error_clear(&error);
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    for (int i = 0; i < lanes; ++i) {
        const double y = 3.5 * i;
        const nm_point3 left[2] = {{0, y + 1.75, 0}, {length, y + 1.75, 0}};
        const nm_point3 right[2] = {{0, y - 1.75, 0}, {length, y - 1.75, 0}};
        nm_lane_def def = nm_lane_def_default();
        nm_neighbour_def up = {.lane = i + 2}, down = {.lane = i};
        def.id = i + 1;
        def.left = left;
        def.right = right;
        def.point_count = 2;
        def.speed_limit = limit;
        def.type = NM_LANE_FREEWAY;
        def.left_marking = def.right_marking = NM_MARKING_DASHED;
        if (i + 1 < lanes) def.left_neighbours = &up, def.left_neighbour_count = 1;
        if (i > 0) def.right_neighbours = &down, def.right_neighbour_count = 1;
        assert_int_equal(nm_map_builder_add_lane(builder, &def, &error), NM_OK);
    }
    const nm_map *map = NULL;
    if (nm_map_builder_build(builder, &map, &error) != NM_OK) fail_msg("%s", error.message);
    nm_map_builder_destroy(builder);
    return map;
}

typedef struct test_vehicle {
    nm_agent_type type;
    float x, y, heading, speed;
} test_vehicle;

/// Takes over the map's reference. Each vehicle drives on at constant velocity for `steps` recorded steps.
static inline const nm_scene *scene_with(const nm_map *map, const test_vehicle *vehicles, size_t count,
                                         uint32_t steps) {
    nm_scene_builder *builder = nm_scene_builder_create();
    assert_non_null(builder);
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, &error), NM_OK);
    for (size_t i = 0; i < count; ++i) {
        const test_vehicle *v = &vehicles[i];
        const int person = v->type == NM_AGENT_PEDESTRIAN;
        const nm_track_def def = {.id = (int64_t)i + 1,
                                  .type = v->type,
                                  .length = person ? 0.6f : 4.5f,
                                  .width = person ? 0.6f : 1.8f,
                                  .height = 1.5f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t t = 0; t < steps; ++t) {
            const double vx = (double)v->speed * cos((double)v->heading),
                         vy = (double)v->speed * sin((double)v->heading);
            const nm_state_def state = {.x = (double)v->x + vx * 0.1 * t,
                                        .y = (double)v->y + vy * 0.1 * t,
                                        .heading = (double)v->heading,
                                        .vx = vx,
                                        .vy = vy};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &state, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, 0, count ? 0 : NM_NONE);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

static inline nm_world *world_of(const nm_scene *scene, nm_policy_kind policy, uint64_t seed) {
    nm_world_config config = nm_world_config_default();
    config.agents = config.ego = policy;
    config.seed = seed;
    nm_world *world = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_world_create(scene, &config, &world, &error) != NM_OK) fail_msg("%s", error.message);
    return world;
}

/// Uniform in [low, high) for property tests: draw number `draw` of case `index`.
static inline float draw_in(uint32_t index, uint32_t draw, float low, float high) {
    const nm_rng_key key = {20240611, 0, index, 0, NM_PURPOSE_TEST};
    return low + (high - low) * nm_rng_uniform(&key, draw);
}

#endif
