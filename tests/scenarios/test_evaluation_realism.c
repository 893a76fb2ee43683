/// How real agents are: replayed ones against the metrics taken by hand, reacting ones below them.
#include "../sim/world_scenes.h"
#include "store_support.h"

#include "base/thread_pool.h"
#include "scenarios/evaluation_realism.h"
#include "sim/baselines.h"
#include "sim/planner_host.h"

#define STEPS 61u

/// A car that keeps its speed though one stands before it, as IDM would not; the ego is the last.
static const test_vehicle traffic[4] = {{NM_AGENT_CAR, 40.0f, 0.0f, 0.0f, 10.0f},
                                        {NM_AGENT_CAR, 150.0f, 0.0f, 0.0f, 2.0f},
                                        {NM_AGENT_CAR, 60.0f, 3.5f, 0.0f, 12.0f},
                                        {NM_AGENT_CAR, 20.0f, 7.0f, 0.0f, 10.0f}};

static const nm_scene *make_scene(void) {
    return scene_with(straight_road(3, 600.0, 15.0), traffic, 4, STEPS);
}

static nm_episode_config config_of(nm_episode_agents agents) {
    nm_episode_config config = nm_episode_config_default();
    config.agents = agents;
    config.ego_track = 3;
    config.seconds = 5.0f;
    return config;
}

static nm_realism rate(const nm_scene *scene, const nm_episode_config *config, uint32_t rollouts, int wanted) {
    nm_episode_work *work = nm_episode_work_create();
    nm_arena *arena = nm_arena_create(0);
    nm_planner *expert = NULL;
    nm_realism out = {0};
    int rated = -1;
    must(nm_planner_named("expert", "", &expert, error));
    must(nm_evaluation_realism_of(work, scene, expert, config, rollouts, arena, &out, &rated, error));
    assert_int_equal(rated, wanted);
    nm_planner_destroy(expert);
    nm_episode_work_destroy(work);
    nm_arena_destroy(arena);
    return out;
}

/// Replayed: the same as the metrics say of the recording itself, of the three agents without the ego. 50 steps are
/// driven, of which the first is the start.
static void replayed_agents(void **state) {
    (void)state;
    const nm_scene *scene = make_scene();
    const nm_episode_config config = config_of(NM_EPISODE_LOG);
    const nm_realism got = rate(scene, &config, 3, 1);
    nm_scene own = *scene;
    nm_track tracks[4];
    const uint32_t all[4] = {0, 1, 2, 3};
    for (int i = 0; i < 4; ++i) {
        tracks[i] = scene->tracks[i];
        tracks[i].flags = i < 3 ? NM_TRACK_TO_PREDICT : 0;
    }
    own.tracks = tracks;
    own.ego = NM_NONE;
    nm_baseline_request request = nm_baseline_request_default();
    request.track = all;
    request.agents = 4;
    request.steps = 49;
    request.samples = 3;
    nm_arena *arena = nm_arena_create(0);
    nm_futures futures;
    nm_realism wanted;
    must(nm_baseline_futures(&own, NM_BASELINE_LOG, &request, arena, &futures, error));
    must(nm_realism_score(&own, &futures, NULL, arena, &wanted, error));
    assert_int_equal(got.agents, 3);
    assert_float_equal(got.ade, 0.0, 1e-4);
    assert_float_equal(got.meta, wanted.meta, 1e-4);
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; ++f)
        if (!isnan(wanted.likelihood[f])) assert_float_equal(got.likelihood[f], wanted.likelihood[f], 1e-3);
    nm_arena_destroy(arena);
    nm_scene_destroy(scene);
}

/// IDM brakes where the recording did not, and speeds up to 15 m/s where it kept 2: less likely, and far from it.
static void reacting_agents_are_below(void **state) {
    (void)state;
    const nm_scene *scene = make_scene();
    const nm_episode_config log = config_of(NM_EPISODE_LOG), idm = config_of(NM_EPISODE_IDM);
    const nm_realism bound = rate(scene, &log, 4, 1), got = rate(scene, &idm, 4, 1);
    assert_true(got.meta < bound.meta - 0.05);
    assert_true(got.kinematic < bound.kinematic - 0.05);
    assert_true(got.ade > 1.0);
    nm_scene_destroy(scene);
}

/// The ego is in no likelihood: where it alone is there nobody is to be rated, nor where nobody can drive.
static void nobody_to_rate(void **state) {
    (void)state;
    const nm_scene *alone = scene_with(straight_road(1, 600.0, 15.0), traffic, 1, STEPS);
    nm_episode_config config = config_of(NM_EPISODE_IDM);
    config.ego_track = 0;
    (void)rate(alone, &config, 2, 0);
    nm_scene_destroy(alone);
    const nm_scene *scene = make_scene();
    config.ego_track = 9;
    (void)rate(scene, &config, 2, 0);
    config.ego_track = 3;
    config.start_step = STEPS - 3; // too little is left
    (void)rate(scene, &config, 2, 0);
    nm_scene_destroy(scene);
}

static nm_evaluation_realism run(const char *path, const int64_t *ids, size_t count, const uint32_t *group,
                                 int threads) {
    nm_thread_pool *pool = NULL;
    nm_evaluation_realism out;
    must(nm_thread_pool_create(threads, &pool, error));
    const nm_evaluation_realism_config config = {.store = path,
                                                 .scenes = ids,
                                                 .group = group,
                                                 .scene_count = count,
                                                 .episode = config_of(NM_EPISODE_IDM),
                                                 .rollouts = 3};
    must(nm_evaluation_realism_run(&config, pool, &out, error));
    nm_thread_pool_destroy(pool);
    return out;
}

/// Any number of threads is the same; what cannot be read is left out; the mean is that of the scenes.
static void over_a_store(void **state) {
    (void)state;
    folder f = folder_make();
    nm_store *store = open_store(f.store, NM_STORE_CREATE);
    int64_t ids[4] = {0, 0, 0, 77};
    double sum = 0.0;
    for (int i = 0; i < 3; ++i) {
        test_vehicle moved[4];
        memcpy(moved, traffic, sizeof moved);
        moved[0].speed += (float)i;
        const nm_scene *scene = scene_with(straight_road(3, 600.0, 15.0), moved, 4, STEPS);
        const nm_episode_config config = config_of(NM_EPISODE_IDM);
        must(nm_store_put_scene(store, scene, &ids[i], error));
        sum += rate(scene, &config, 3, 1).meta;
        nm_scene_destroy(scene);
    }
    nm_store_close(store);
    const uint32_t group[4] = {0, 0, 1, 2};
    const nm_evaluation_realism one = run(f.store, ids, 4, group, 1), three = run(f.store, ids, 4, group, 3);
    assert_int_equal(one.scenes, 3);
    assert_int_equal(one.skipped, 1);
    assert_int_equal(one.mean.agents, 9);
    assert_float_equal(one.mean.meta, sum / 3.0, 1e-12);
    assert_float_equal(one.meta.value, sum / 3.0, 1e-12);
    assert_int_equal(one.meta.groups, 2);
    assert_true(one.meta.low < one.meta.value && one.meta.high > one.meta.value);
    assert_true(one.mean.meta == three.mean.meta && one.mean.ade == three.mean.ade && one.meta.low == three.meta.low);
    const nm_evaluation_realism none = run(f.store, ids + 3, 1, NULL, 2);
    assert_true(none.scenes == 0 && none.skipped == 1 && isnan(none.meta.value));
    folder_remove(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replayed_agents),
        cmocka_unit_test(reacting_agents_are_below),
        cmocka_unit_test(nobody_to_rate),
        cmocka_unit_test(over_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
