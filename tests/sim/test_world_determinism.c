/// One seed, one result: for any number of threads, twice in a row, in every build. The golden values are those of the
/// release build; debug and sanitizer builds have to give the same.
#include <inttypes.h>

#include "base/thread_pool.h"
#include "sim/builtin.h"
#include "sim/math.h"
#include "world_scenes.h"

#define WORLDS 6
#define STEPS 100

typedef struct golden {
    const char *specification;
    nm_policy_kind policy;
    uint64_t hash;
    uint32_t first_collision_step;
} golden;

static const golden expected[] = {
    {"junction_signal:lanes=2,length=150,density=40,pedestrians=6,cyclists=3", NM_POLICY_IDM, 0xb23164c1c1925cf6,
     NM_NONE},
    {"on_ramp:lanes=3,length=600,density=30", NM_POLICY_IDM, 0x36c112c1588eb3ee, NM_NONE},
    {"roundabout:density=40", NM_POLICY_IDM, 0x4ce63804e806ecdd, NM_NONE},
    // nobody reacts: collisions for certain, and all have to come at the same steps
    {"junction_all_way:lanes=2,density=60", NM_POLICY_CONSTANT_VELOCITY, 0xe5a59a6aa90b01e9, 45},
};

typedef struct batch {
    const nm_scene *scene;
    nm_policy_kind policy;
    uint64_t hash[WORLDS];
    uint32_t first_collision[WORLDS];
} batch;

static nm_status roll(void *context, size_t index, int worker, nm_error *error) {
    (void)worker;
    batch *b = context;
    nm_world_config config = nm_world_config_default();
    config.seed = 100 + index;
    config.agents = config.ego = b->policy;
    nm_rollout_result result;
    const nm_status status = nm_rollout(b->scene, &config, STEPS, 0, &result, error);
    b->hash[index] = result.hash;
    b->first_collision[index] = result.stats.first_collision_step;
    return status;
}

static uint64_t combined(const batch *b) {
    return nm_hash_bytes(b->hash, sizeof b->hash, 0);
}

static uint32_t earliest(const batch *b) {
    uint32_t first = NM_NONE;
    for (int i = 0; i < WORLDS; ++i)
        if (b->first_collision[i] < first) first = b->first_collision[i];
    return first;
}

static void same_bits_for_any_number_of_threads(void **state) {
    (void)state;
    const int threads[] = {1, 2, 3, 8, 1};
    int wrong = 0;
    for (size_t g = 0; g < sizeof expected / sizeof *expected; ++g) {
        batch b = {.policy = expected[g].policy};
        nm_error error;
        nm_error_clear(&error);
        if (nm_builtin_scene(expected[g].specification, 7, &b.scene, &error) != NM_OK) fail_msg("%s", error.message);
        for (size_t t = 0; t < sizeof threads / sizeof *threads; ++t) {
            nm_thread_pool *pool;
            assert_int_equal(nm_thread_pool_create(threads[t], &pool, &error), NM_OK);
            assert_int_equal(nm_thread_pool_for(pool, WORLDS, 1, roll, &b, &error), NM_OK);
            nm_thread_pool_destroy(pool);
            if (combined(&b) == expected[g].hash && earliest(&b) == expected[g].first_collision_step) continue;
            printf("%s, %d threads: hash 0x%016" PRIx64 ", first collision at step %" PRIu32 "\n",
                   expected[g].specification, threads[t], combined(&b), earliest(&b));
            wrong = 1;
        }
        nm_scene_destroy(b.scene);
    }
    assert_false(wrong);
}

static void a_reset_world_repeats_itself(void **state) {
    (void)state;
    const nm_scene *scene;
    assert_int_equal(nm_builtin_scene(expected[0].specification, 7, &scene, NULL), NM_OK);
    nm_world *world = world_of(scene, NM_POLICY_IDM, 5);
    uint64_t hashes[3];
    const uint64_t seeds[3] = {5, 6, 5};
    for (int run = 0; run < 3; ++run) {
        nm_world_reset(world, seeds[run]);
        for (int i = 0; i < STEPS; ++i) nm_world_step(world, NULL, 0, NULL);
        hashes[run] = nm_world_hash(world);
    }
    assert_true(hashes[0] == hashes[2]);
    assert_true(hashes[0] != hashes[1]); // the seed matters
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void a_rollout_repeats_from_its_scene(void **state) {
    (void)state;
    const nm_scene *scene;
    assert_int_equal(nm_builtin_scene(expected[0].specification, 7, &scene, NULL), NM_OK);
    nm_world_config config = nm_world_config_default();
    config.seed = 11;
    nm_rollout_result result;
    nm_error error;
    nm_error_clear(&error);
    if (nm_rollout(scene, &config, 50, 1, &result, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(result.scene->step_count, 51);
    assert_int_equal(result.scene->provenance.parent, scene->hash);
    assert_int_equal(result.scene->provenance.seed, 11);
    // replaying the recorded rollout gives its states back, bit for bit
    nm_world *replay = world_of(result.scene, NM_POLICY_LOG, 0);
    nm_world *again = world_of(scene, NM_POLICY_IDM, 11);
    for (int i = 0; i < 50; ++i) {
        const nm_world_view a = nm_world_get_view(again), b = nm_world_get_view(replay);
        assert_int_equal(a.count, b.count);
        for (uint32_t slot = 0; slot < a.count; ++slot) {
            const uint32_t other = b.slot_of[a.track[slot]];
            assert_int_not_equal(other, NM_NONE);
            assert_memory_equal(&a.x[slot], &b.x[other], sizeof(float));
            assert_memory_equal(&a.y[slot], &b.y[other], sizeof(float));
            assert_memory_equal(&a.heading[slot], &b.heading[other], sizeof(float));
        }
        nm_world_step(replay, NULL, 0, NULL);
        nm_world_step(again, NULL, 0, NULL);
    }
    nm_world_destroy(replay);
    nm_world_destroy(again);
    nm_scene_destroy(result.scene);
    nm_scene_destroy(scene);
}

/// Far from the source's origin, states near the scene's own would be rounded on a way through source coordinates.
static void a_replay_far_from_the_origin_keeps_every_bit(void **state) {
    (void)state;
    nm_error error;
    nm_error_clear(&error);
    nm_map_builder *maps = nm_map_builder_create();
    assert_non_null(maps);
    const nm_point3 origin = {691000.7, 5334000.3, 521.9};
    const nm_point3 left[2] = {{origin.x - 50, origin.y + 1.75, origin.z}, {origin.x + 450, origin.y + 1.75, origin.z}};
    const nm_point3 right[2] = {{origin.x - 50, origin.y - 1.75, origin.z},
                                {origin.x + 450, origin.y - 1.75, origin.z}};
    nm_lane_def def = nm_lane_def_default();
    def.id = 1, def.left = left, def.right = right, def.point_count = 2, def.speed_limit = 20;
    nm_map_builder_set_origin(maps, origin);
    assert_int_equal(nm_map_builder_add_lane(maps, &def, &error), NM_OK);
    const nm_map *map = NULL;
    if (nm_map_builder_build(maps, &map, &error) != NM_OK) fail_msg("%s", error.message);
    nm_map_builder_destroy(maps);

    nm_scene_builder *builder = nm_scene_builder_create();
    assert_non_null(builder);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 40, &error), NM_OK);
    nm_map_release(map);
    const nm_track_def car = {.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f, .height = 1.5f};
    uint32_t track;
    assert_int_equal(nm_scene_builder_add_track(builder, &car, &track, &error), NM_OK);
    for (uint32_t t = 0; t < 40; ++t) {
        const nm_state there = {.x = 1.2345e-5f * (float)t, .y = -1e-7f, .z = 1e-6f, .vx = 1.2345e-4f};
        assert_int_equal(nm_scene_builder_add_local_state(builder, track, t, &there, &error), NM_OK);
    }
    const nm_state turned = {.heading = -NM_PI_F}; // not in (-pi, pi]
    assert_int_equal(nm_scene_builder_add_local_state(builder, track, 41, &turned, &error), NM_E_FORMAT);
    const nm_state nowhere = {.x = NAN};
    assert_int_equal(nm_scene_builder_add_local_state(builder, track, 42, &nowhere, &error), NM_E_FORMAT);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    assert_int_equal(scene->step_count, 40);

    nm_world_config config = nm_world_config_default();
    config.agents = config.ego = NM_POLICY_LOG;
    config.start_step = 10;
    nm_rollout_result result;
    if (nm_rollout(scene, &config, 29, 1, &result, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(result.scene->step_count, 40);
    assert_memory_equal(result.scene->x, scene->x, 40 * sizeof(float));
    assert_memory_equal(result.scene->y, scene->y, 40 * sizeof(float));
    assert_memory_equal(result.scene->z, scene->z, 40 * sizeof(float));
    assert_memory_equal(result.scene->vx, scene->vx, 40 * sizeof(float));
    nm_scene_destroy(result.scene);
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_for_any_number_of_threads),
        cmocka_unit_test(a_reset_world_repeats_itself),
        cmocka_unit_test(a_rollout_repeats_from_its_scene),
        cmocka_unit_test(a_replay_far_from_the_origin_keeps_every_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
