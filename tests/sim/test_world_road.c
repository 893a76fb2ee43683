/// Roads drawn by hand, where nobody crosses: forks and stop signs.
#include "world_scenes.h"

static nm_map_builder *new_builder(void) {
    nm_map_builder *builder = nm_map_builder_create();
    assert_non_null(builder);
    nm_map_builder_set_origin(builder, (nm_point3){0, 0, 0});
    return builder;
}

static void add_lane(nm_map_builder *builder, nm_lane_def def, const nm_point3 *centre, size_t count) {
    nm_error error;
    nm_error_clear(&error);
    def.centre = centre;
    def.point_count = count;
    def.width = 3.5;
    def.speed_limit = 20;
    def.type = NM_LANE_STREET;
    if (nm_map_builder_add_lane(builder, &def, &error) != NM_OK) fail_msg("%s", error.message);
}

static const nm_map *finish(nm_map_builder *builder) {
    const nm_map *map = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_map_builder_build(builder, &map, &error) != NM_OK) fail_msg("%s", error.message);
    nm_map_builder_destroy(builder);
    return map;
}

/// 100 m to the east, then straight on, or left with a radius of 10 m.
static const nm_map *fork(void) {
    const nm_point3 before[2] = {{0, 0, 0}, {100, 0, 0}}, straight[2] = {{100, 0, 0}, {250, 0, 0}};
    nm_point3 bend[20];
    for (int i = 0; i < 17; ++i) bend[i] = (nm_point3){100 + 10 * sin(i * 0.0982), 10 - 10 * cos(i * 0.0982), 0};
    for (int i = 17; i < 20; ++i) bend[i] = (nm_point3){110, 10 + 40 * (i - 16), 0};
    const int64_t first = 1, next[2] = {2, 3};
    nm_map_builder *builder = new_builder();
    nm_lane_def def = nm_lane_def_default();
    def.id = 1, def.successors = next, def.successor_count = 2;
    add_lane(builder, def, before, 2);
    def = nm_lane_def_default();
    def.id = 2, def.predecessors = &first, def.predecessor_count = 1;
    add_lane(builder, def, straight, 2);
    def.id = 3;
    add_lane(builder, def, bend, 20);
    return finish(builder);
}

/// A route is drawn among what can be driven: nobody who comes at 20 m/s turns off 25 m ahead, but some of those do who
/// have time to brake.
static void nobody_turns_off_too_fast(void **state) {
    (void)state;
    int turned[2] = {0, 0};
    for (uint64_t seed = 0; seed < 200; ++seed)
        for (int far = 0; far <= 1; ++far) {
            const test_vehicle car = {NM_AGENT_CAR, far ? 10 : 75, 0, 0, far ? 8 : 20};
            const nm_scene *scene = scene_with(fork(), &car, 1, 2);
            nm_world *world = world_of(scene, NM_POLICY_IDM, seed);
            for (int t = 0; t < 180 && nm_world_get_view(world).count; ++t) {
                assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
                if (!nm_world_get_view(world).count || nm_world_get_view(world).lane[0] != 2) continue;
                turned[far]++;
                break;
            }
            assert_int_equal(nm_world_get_stats(world).off_road, 0);
            nm_world_destroy(world);
            nm_scene_destroy(scene);
        }
    assert_int_equal(turned[0], 0);
    assert_in_range(turned[1], 20, 180);
}

/// The bend is slowed down for where it is taken, and only there: the lanes' own profile knows no routes.
static void who_turns_off_slows_down_for_it(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 10; ++seed) {
        const test_vehicle car = {NM_AGENT_CAR, 10, 0, 0, 8};
        const nm_scene *scene = scene_with(fork(), &car, 1, 2);
        nm_world *world = world_of(scene, NM_POLICY_IDM, seed);
        float at_fork = 0.0f;
        nm_world_view v = nm_world_get_view(world);
        for (int t = 0; t < 180 && v.lane[0] == 0; ++t) {
            assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
            v = nm_world_get_view(world);
            at_fork = v.speed[0];
        }
        assert_int_not_equal(v.lane[0], 0);
        if (v.lane[0] == 2)
            assert_true(at_fork < 6.5f); // 2.5 m/s^2 sideways are 5 m/s
        else
            assert_true(at_fork > 10.0f);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
}

/// A stop sign is obeyed where nothing crosses and no signal is anywhere, too.
static void stop_signs_hold_away_from_junctions(void **state) {
    (void)state;
    const nm_point3 before[2] = {{0, 0, 0}, {100, 0, 0}}, after[2] = {{100, 0, 0}, {200, 0, 0}};
    const int64_t first = 1, second = 2;
    nm_map_builder *builder = new_builder();
    nm_lane_def def = nm_lane_def_default();
    def.id = 1, def.successors = &second, def.successor_count = 1, def.control = NM_CONTROL_STOP;
    add_lane(builder, def, before, 2);
    def = nm_lane_def_default();
    def.id = 2, def.predecessors = &first, def.predecessor_count = 1;
    add_lane(builder, def, after, 2);
    const test_vehicle car = {NM_AGENT_CAR, 20, 0, 0, 12};
    const nm_scene *scene = scene_with(finish(builder), &car, 1, 2);
    nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
    float slowest = INFINITY;
    for (int t = 0; t < 250; ++t) {
        assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
        const nm_world_view v = nm_world_get_view(world);
        if (v.count == 0) break;
        if (v.lane[0] == 0) slowest = fminf(slowest, v.speed[0]);
    }
    assert_true(slowest < 0.3f);
    assert_int_equal(nm_world_get_stats(world).left, 1); // and it went on
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_turns_off_too_fast),
        cmocka_unit_test(who_turns_off_slows_down_for_it),
        cmocka_unit_test(stop_signs_hold_away_from_junctions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
