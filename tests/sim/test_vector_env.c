/// Many worlds as one: the same bits as worlds driven by hand and for any number of threads, what ends an episode, what
/// begins the next, and what an agent sees, computed a second time here.
#include "base/thread_pool.h"
#include "sim/builtin.h"
#include "sim/math.h"
#include "sim/observation.h"
#include "sim/route.h"
#include "sim/vector_env.h"
#include "world_scenes.h"
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#define MOST_ENVS 8
#define MOST_ROWS 40
#define MOST_FEATURES 400

typedef struct fixture {
    nm_vector_env *env;
    uint32_t envs, rows, features;
    float *observation, *final, reward[MOST_ENVS * MOST_ROWS], progress[MOST_ENVS * MOST_ROWS];
    uint8_t terminated[MOST_ENVS], truncated[MOST_ENVS], active[MOST_ENVS * MOST_ROWS];
    uint32_t events[MOST_ENVS * MOST_ROWS], scene[MOST_ENVS], step[MOST_ENVS];
} fixture;

static void open_env(fixture *f, const nm_vector_env_config *config) {
    nm_error error;
    nm_error_clear(&error);
    memset(f, 0, sizeof *f);
    if (nm_vector_env_create(config, &f->env, &error) != NM_OK) fail_msg("%s", error.message);
    f->envs = config->env_count;
    f->rows = nm_vector_env_agents(f->env);
    f->features = nm_vector_env_features(f->env);
    assert_true(f->envs <= MOST_ENVS && f->rows <= MOST_ROWS && f->features <= MOST_FEATURES);
    const size_t size = sizeof(float) * MOST_ENVS * MOST_ROWS * MOST_FEATURES;
    f->observation = malloc(size);
    f->final = malloc(size);
    assert_true(f->observation && f->final);
    memset(f->observation, 0xff, size);
    memset(f->final, 0xff, size);
    const nm_vector_buffers buffers = {f->observation, f->reward,   f->terminated, f->truncated, f->active,
                                       f->events,      f->progress, f->final,      f->scene,     f->step};
    nm_vector_env_bind(f->env, &buffers);
}

static void close_env(fixture *f) {
    nm_vector_env_destroy(f->env);
    free(f->observation);
    free(f->final);
}

static const nm_scene *built(const char *specification, uint64_t seed) {
    const nm_scene *scene = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_builtin_scene(specification, seed, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    return scene;
}

static void reset(fixture *f, uint64_t seed) {
    assert_int_equal(nm_vector_env_reset(f->env, &seed, NULL, NULL), NM_OK);
}

static void step(fixture *f, const float *actions) {
    nm_error error;
    nm_error_clear(&error);
    if (nm_vector_env_step(f->env, actions, &error) != NM_OK) fail_msg("%s", error.message);
}

/// A column of a block, by name.
static float seen(const fixture *f, uint32_t env, uint32_t agent, const char *block, uint32_t row, const char *column) {
    const nm_vector_block *layout = nm_vector_env_layout(f->env);
    for (int b = 0; b < NM_VECTOR_BLOCKS; ++b) {
        if (strcmp(layout[b].name, block) != 0) continue;
        for (uint32_t c = 0; c < layout[b].columns; ++c)
            if (strcmp(layout[b].column[c].name, column) == 0)
                return f->observation[((size_t)env * f->rows + agent) * f->features + layout[b].first +
                                      row * layout[b].columns + c];
    }
    fail_msg("no column %s of %s", column, block);
    return 0.0f;
}

/// Something to do that differs from agent to agent and step to step.
static void make_actions(uint32_t step_index, uint32_t count, uint32_t size, float *actions) {
    for (uint32_t i = 0; i < count; ++i) {
        const nm_rng_key key = {.seed = 3, .agent = i, .step = step_index, .purpose = NM_PURPOSE_TEST};
        for (uint32_t k = 0; k < size; ++k) {
            const float u = 2.0f * nm_rng_uniform(&key, k) - 1.0f;
            actions[i * size + k] =
                size == 2 ? (k == 0 ? 3.0f * u : 0.03f * u) : (k == 0 ? 1.0f + 0.2f * u : 0.005f * u);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------

static void worlds_are_those_of_rollouts(void **state) {
    (void)state;
    const nm_scene *scenes[4];
    for (uint64_t i = 0; i < 4; ++i) scenes[i] = built("junction_signal:density=30", 5 + i);
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 4;
    config.scenes = scenes;
    config.scene_count = 4;
    config.shuffle = 0;
    config.action = NM_VECTOR_NO_ACTION;
    config.end_off_road = config.end_on_collision = 0;
    fixture f;
    open_env(&f, &config);
    reset(&f, 5);
    for (int i = 0; i < 60; ++i) step(&f, NULL);
    for (uint32_t e = 0; e < 4; ++e) {
        nm_world_config world = nm_world_config_default();
        nm_rollout_result result;
        world.seed = 5 + e;
        assert_int_equal(nm_rollout(scenes[e], &world, 60, 0, &result, NULL), NM_OK);
        assert_true(nm_world_hash(nm_vector_env_world(f.env, e)) == result.hash);
        assert_int_equal(f.step[e], 60);
    }
    close_env(&f);
    for (int i = 0; i < 4; ++i) nm_scene_destroy(scenes[i]);
}

/// Episode k of environment e: scene e + k * 2 in turn, world seed 7 + e + k * 2.
static void the_next_episode_is_another_scene_and_seed(void **state) {
    (void)state;
    const nm_scene *scenes[3];
    for (uint64_t i = 0; i < 3; ++i) scenes[i] = built(i == 1 ? "on_ramp:density=30" : "roundabout:density=30", i);
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 2;
    config.scenes = scenes;
    config.scene_count = 3;
    config.shuffle = 0;
    config.action = NM_VECTOR_NO_ACTION;
    config.end_off_road = config.end_on_collision = 0;
    config.max_steps = 5;
    fixture f;
    open_env(&f, &config);
    reset(&f, 7);
    for (uint32_t k = 0; k < 3; ++k) {
        for (uint32_t e = 0; e < 2; ++e) assert_int_equal(f.scene[e], (e + 2 * k) % 3);
        for (int i = 0; i < 5; ++i) step(&f, NULL);
        for (uint32_t e = 0; e < 2; ++e) {
            nm_world_config world = nm_world_config_default();
            nm_rollout_result result;
            world.seed = 7 + e + 2 * k;
            assert_int_equal(f.truncated[e], 1);
            assert_int_equal(nm_rollout(scenes[(e + 2 * k) % 3], &world, 5, 0, &result, NULL), NM_OK);
            assert_true(nm_world_hash(nm_vector_env_world(f.env, e)) == result.hash);
        }
        step(&f, NULL); // begins the next
    }
    // a reset without a seed goes on, too
    assert_int_equal(nm_vector_env_reset(f.env, NULL, NULL, NULL), NM_OK);
    for (uint32_t e = 0; e < 2; ++e) assert_int_equal(f.scene[e], (e + 2 * 4) % 3);
    close_env(&f);
    for (int i = 0; i < 3; ++i) nm_scene_destroy(scenes[i]);
}

static void steering_is_a_control_of_the_ego(void **state) {
    (void)state;
    const nm_scene *scene = built("highway:lanes=3,density=20", 2);
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 2;
    config.scenes = &scene;
    config.scene_count = 1;
    config.end_off_road = config.end_on_collision = 0;
    fixture f;
    open_env(&f, &config);
    reset(&f, 9);
    nm_world *worlds[2];
    float actions[4];
    const nm_track *ego = &scene->tracks[scene->ego];
    const float wheelbase = nm_planner_vehicle_of((nm_agent_type)ego->type, ego->length, ego->width).wheelbase;
    for (uint32_t e = 0; e < 2; ++e) {
        nm_world_config world = nm_world_config_default();
        world.seed = 9 + e;
        assert_int_equal(nm_world_create(scene, &world, &worlds[e], NULL), NM_OK);
        nm_world_set_policy(worlds[e], scene->ego, NM_POLICY_EXTERNAL);
    }
    for (uint32_t i = 0; i < 50; ++i) {
        make_actions(i, 2, 2, actions);
        step(&f, actions);
        for (uint32_t e = 0; e < 2; ++e) {
            float sine, cosine;
            nm_sincosf(actions[2 * e + 1], &sine, &cosine);
            nm_world_set_control(worlds[e], scene->ego, actions[2 * e], sine / (cosine * wheelbase));
            nm_world_step(worlds[e], NULL, 0, NULL);
            assert_true(nm_world_hash(nm_vector_env_world(f.env, e)) == nm_world_hash(worlds[e]));
        }
    }
    // the ego moved as it was told: tan(steering) over the wheelbase is the curvature that was reached
    const nm_world_view v = nm_world_get_view(nm_vector_env_world(f.env, 0));
    assert_float_equal(v.curvature[v.slot_of[scene->ego]], tanf(actions[1]) / wheelbase, 0.03f);
    for (uint32_t e = 0; e < 2; ++e) nm_world_destroy(worlds[e]);
    close_env(&f);
    nm_scene_destroy(scene);
}

static void waypoints_are_taken_as_they_are(void **state) {
    (void)state;
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 100, 0, 0, 10}, {NM_AGENT_CAR, 200, 3.5f, 0, 10}};
    const nm_scene *scene = scene_with(straight_road(2, 800, 20), cars, 2, 40);
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 1;
    config.scenes = &scene;
    config.scene_count = 1;
    config.action = NM_VECTOR_WAYPOINT;
    config.others = NM_POLICY_LOG;
    fixture f;
    open_env(&f, &config);
    reset(&f, 0);
    const float action[3] = {1.2f, 0.1f, 0.02f};
    step(&f, action);
    const nm_world_view v = nm_world_get_view(nm_vector_env_world(f.env, 0));
    assert_float_equal(v.x[0], 101.2f, 1e-4f);
    assert_float_equal(v.y[0], 0.1f, 1e-5f);
    assert_float_equal(v.heading[0], 0.02f, 1e-6f);
    assert_float_equal(v.speed[0], 10.0f * sqrtf(1.2f * 1.2f + 0.1f * 0.1f), 1e-3f);
    assert_float_equal(f.progress[0], 1.2f, 1e-3f);
    assert_float_equal(f.reward[0], 0.12f, 1e-4f);
    // the other one is where it was recorded
    assert_float_equal(v.x[1], scene->x[nm_scene_at(scene, 1, 1)], 0.0f);
    // the recording has 40 steps: the episode is cut with the last one
    int steps = 1;
    const float on[3] = {1.0f, 0.0f, 0.0f};
    while (!f.truncated[0] && !f.terminated[0]) {
        step(&f, on);
        ++steps;
    }
    assert_true(f.terminated[0] || steps == 39);
    close_env(&f);
    nm_scene_destroy(scene);
}

/// An action of five steps is what five of one step are: steering held, its rewards summed, the others' bits the same.
static void an_action_may_last_several_steps(void **state) {
    (void)state;
    enum { LAST = 5, ENVS = 3 };
    const nm_scene *scene = built("junction_signal:density=20", 4);
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = ENVS;
    config.scenes = &scene;
    config.scene_count = 1;
    config.max_steps = 22; // within an action
    fixture one, many;
    open_env(&one, &config);
    config.action_steps = LAST;
    open_env(&many, &config);
    assert_int_equal(nm_vector_env_action_size(many.env), 2);
    reset(&one, 1);
    reset(&many, 1);
    for (uint32_t k = 0; k < 5; ++k) {
        float actions[ENVS * 2], reward[ENVS] = {0.0f}, progress[ENVS] = {0.0f};
        uint32_t events[ENVS] = {0};
        make_actions(k, ENVS, 2, actions);
        step(&many, actions);
        for (uint32_t i = 0; i < (k < 4 ? LAST : 2); ++i) { // the last one is cut off
            step(&one, actions);
            for (uint32_t e = 0; e < ENVS; ++e)
                reward[e] += one.reward[e], progress[e] += one.progress[e], events[e] |= one.events[e];
        }
        for (uint32_t e = 0; e < ENVS; ++e) {
            assert_true(nm_world_hash(nm_vector_env_world(one.env, e)) ==
                        nm_world_hash(nm_vector_env_world(many.env, e)));
            assert_true(reward[e] == many.reward[e] && progress[e] == many.progress[e] && events[e] == many.events[e]);
            assert_int_equal(many.step[e], k < 4 ? LAST * (k + 1) : 22);
            assert_int_equal(many.truncated[e], k == 4);
        }
        assert_memory_equal(one.observation, many.observation, sizeof(float) * ENVS * one.features);
    }
    close_env(&one);
    close_env(&many);
    nm_scene_destroy(scene);
}

/// Waypoints of one action are in the frame that the agent has as it begins: here a quarter of a circle to the left.
static void waypoints_of_an_action_are_a_trajectory(void **state) {
    (void)state;
    enum { LAST = 4 };
    const test_vehicle car = {NM_AGENT_CAR, 100, 0, 0, 10};
    const nm_scene *scene = scene_with(straight_road(2, 800, 20), &car, 1, 40);
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 1;
    config.scenes = &scene;
    config.scene_count = 1;
    config.action = NM_VECTOR_WAYPOINT;
    config.action_steps = LAST;
    config.end_off_road = 0;
    fixture f;
    open_env(&f, &config);
    assert_int_equal(nm_vector_env_action_size(f.env), 3 * LAST);
    reset(&f, 0);
    const float first[3 * LAST] = {1, 0, 0, 2, 0.2f, 0.4f, 3, 0.6f, 0.6f, 3.5f, 1.5f, 1.5707964f};
    step(&f, first);
    nm_world_view v = nm_world_get_view(nm_vector_env_world(f.env, 0));
    assert_int_equal(f.step[0], LAST);
    assert_float_equal(v.x[0], 103.5f, 1e-4f);
    assert_float_equal(v.y[0], 1.5f, 1e-4f);
    assert_float_equal(v.heading[0], 1.5707964f, 1e-5f);
    assert_float_equal(v.speed[0], 10.0f * sqrtf(0.5f * 0.5f + 0.9f * 0.9f), 1e-2f);
    assert_float_equal(f.progress[0], 3.5f, 1e-2f);
    // ahead is +y now; the last one is behind the one before it
    const float second[3 * LAST] = {1, 0, 0, 2, 0, 0, 3, 0, 0, 2.5f, 0, 0};
    step(&f, second);
    v = nm_world_get_view(nm_vector_env_world(f.env, 0));
    assert_float_equal(v.x[0], 103.5f, 1e-3f);
    assert_float_equal(v.y[0], 4.0f, 1e-3f);
    assert_float_equal(v.speed[0], -5.0f, 1e-2f);
    const float bad[3 * LAST] = {[11] = NAN};
    assert_int_equal(nm_vector_env_step(f.env, bad, NULL), NM_E_NUMERIC);
    assert_int_equal(f.step[0], 2 * LAST);
    close_env(&f);
    nm_scene_destroy(scene);
}

static void same_bits_for_any_number_of_threads(void **state) {
    (void)state;
    const nm_scene *scenes[3] = {built("roundabout:density=40", 1), built("on_ramp:density=30", 2),
                                 built("junction_priority:density=30", 3)};
    uint64_t hash[2][2] = {{0}};
    for (int run = 0; run < 2; ++run) {
        for (int control = 0; control < 2; ++control) {
            nm_vector_env_config config = nm_vector_env_config_default();
            config.env_count = 6;
            config.scenes = scenes;
            config.scene_count = 3;
            config.control = control ? NM_VECTOR_ALL : NM_VECTOR_EGO;
            config.agents = control ? 20 : 0;
            config.max_steps = 25;
            config.autoreset = control ? NM_VECTOR_SAME_STEP : NM_VECTOR_NEXT_STEP;
            config.threads = run ? 3 : 1;
            fixture f;
            open_env(&f, &config);
            reset(&f, 77);
            uint64_t all = 0;
            float actions[MOST_ENVS * MOST_ROWS * 2];
            for (uint32_t i = 0; i < 70; ++i) {
                make_actions(i, f.envs * f.rows, 2, actions);
                step(&f, actions);
                const size_t rows = (size_t)f.envs * f.rows;
                all = nm_hash_bytes(f.observation, sizeof(float) * rows * f.features, all);
                all = nm_hash_bytes(f.reward, sizeof(float) * rows, all);
                all = nm_hash_bytes(f.events, sizeof(uint32_t) * rows, all);
                all = nm_hash_bytes(f.scene, sizeof(uint32_t) * f.envs, all);
                all = nm_hash_bytes(f.terminated, f.envs, all);
            }
            for (size_t i = 0; i < (size_t)f.envs * f.rows * f.features; ++i) assert_true(isfinite(f.observation[i]));
            hash[run][control] = all;
            close_env(&f);
        }
    }
    assert_true(hash[0][0] == hash[1][0] && hash[0][1] == hash[1][1]);
    assert_true(hash[0][0] != hash[0][1]);
    for (int i = 0; i < 3; ++i) nm_scene_destroy(scenes[i]);
}

// ---------------------------------------------------------------------------------------------------------------------

/// A car that brakes for nobody behind one that stands.
static const nm_scene *about_to_hit(void) {
    const test_vehicle cars[2] = {{NM_AGENT_CAR, 100, 0, 0, 10}, {NM_AGENT_CAR, 112, 0, 0, 0}};
    return scene_with(straight_road(2, 800, 20), cars, 2, 1); // nothing recorded: the goal lies far ahead
}

static void a_collision_ends_an_episode_once(void **state) {
    (void)state;
    const nm_scene *scene = about_to_hit();
    for (int mode = 0; mode < NM_VECTOR_AUTORESET_COUNT; ++mode) {
        nm_vector_env_config config = nm_vector_env_config_default();
        config.env_count = 2;
        config.scenes = &scene;
        config.scene_count = 1;
        config.autoreset = (nm_vector_autoreset)mode;
        config.others = NM_POLICY_CONSTANT_VELOCITY;
        fixture f;
        open_env(&f, &config);
        reset(&f, 1);
        float still[4] = {0}, first[MOST_FEATURES], last[MOST_FEATURES];
        still[2] = -8.0f; // the second one brakes in time
        memcpy(first, f.observation, sizeof(float) * f.features);
        int steps = 0;
        for (; !f.terminated[0]; ++steps) {
            assert_true(steps < 20);
            memcpy(last, f.observation, sizeof(float) * f.features);
            step(&f, still);
        }
        // 7.5 m at 10 m/s: touches within the eighth step
        assert_int_equal(steps, 8);
        assert_int_equal(f.events[0], NM_VECTOR_COLLIDED);
        assert_float_equal(f.reward[0], -10.0f + 0.1f * f.progress[0], 1e-5f);
        assert_int_equal(f.terminated[1], 0);
        if (mode == NM_VECTOR_SAME_STEP) {
            assert_int_equal(f.step[0], 0);
            assert_memory_equal(f.observation, first, sizeof(float) * f.features);
            assert_memory_not_equal(f.final, last, sizeof(float) * f.features);
            assert_float_equal(f.final[20], 192.0f, 0.0f); // steps_left of the episode that ended
            assert_int_equal(f.active[0], 1);
        } else {
            assert_int_equal(f.step[0], 8);
            assert_int_equal(f.active[0], 0);
        }
        nm_error error;
        nm_error_clear(&error);
        const nm_status status = nm_vector_env_step(f.env, still, &error);
        if (mode == NM_VECTOR_DISABLED) {
            assert_int_equal(status, NM_E_ARGUMENT);
            assert_non_null(strstr(error.message, "environment 0"));
            const uint8_t mask[2] = {1, 0};
            assert_int_equal(nm_vector_env_reset(f.env, NULL, mask, NULL), NM_OK);
            assert_int_equal(f.step[0], 0);
            assert_int_equal(f.step[1], 8); // untouched
        } else {
            assert_int_equal(status, NM_OK);
            assert_int_equal(f.terminated[0], 0);
            assert_int_equal(f.step[0], mode == NM_VECTOR_SAME_STEP ? 1 : 0);
            assert_int_equal(f.step[1], 9);
            if (mode == NM_VECTOR_NEXT_STEP) {
                assert_float_equal(f.reward[0], 0.0f, 0.0f);
                assert_memory_equal(f.observation, first, sizeof(float) * f.features);
            }
        }
        close_env(&f);
    }
    nm_scene_destroy(scene);
}

static void rewards_follow_the_configuration(void **state) {
    (void)state;
    const nm_scene *scene = about_to_hit();
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 1;
    config.scenes = &scene;
    config.scene_count = 1;
    config.others = NM_POLICY_CONSTANT_VELOCITY;
    config.end_on_collision = config.end_off_road = 0;
    config.progress_reward = 2.0f;
    config.collision_reward = 5.0f;
    config.off_road_reward = -7.0f;
    config.max_steps = 30;
    fixture f;
    open_env(&f, &config);
    reset(&f, 1);
    const float right[2] = {0.0f, -0.5f};
    uint32_t happened = 0;
    int steps = 0;
    do {
        step(&f, right);
        float expected = 2.0f * f.progress[0];
        if (f.events[0] & NM_VECTOR_COLLIDED) expected += 5.0f;
        if (f.events[0] & NM_VECTOR_OFF_ROAD) expected -= 7.0f;
        assert_float_equal(f.reward[0], expected, 1e-5f);
        assert_false(happened & f.events[0] & (NM_VECTOR_COLLIDED | NM_VECTOR_OFF_ROAD)); // each comes once
        happened |= f.events[0];
        ++steps;
    } while (!f.truncated[0] && !f.terminated[0]);
    assert_int_equal(steps, 30); // neither ended it
    assert_true(f.truncated[0]);
    assert_true(happened & NM_VECTOR_OFF_ROAD);
    close_env(&f);
    nm_scene_destroy(scene);
}

static void goals_and_ends_of_roads_end_episodes(void **state) {
    (void)state;
    const test_vehicle car = {NM_AGENT_CAR, 100, 0, 0, 20};
    const nm_scene *short_log = scene_with(straight_road(1, 800, 30), &car, 1, 21); // recorded for 40 m
    const test_vehicle late = {NM_AGENT_CAR, 740, 0, 0, 20};
    const nm_scene *short_road = scene_with(straight_road(1, 800, 30), &late, 1, 1);
    const nm_scene *scenes[2] = {short_log, short_road};
    const uint32_t wanted[2] = {NM_VECTOR_GOAL, NM_VECTOR_LEFT};
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 2;
    config.scenes = scenes;
    config.scene_count = 2;
    config.shuffle = 0;
    config.autoreset = NM_VECTOR_NEXT_STEP;
    fixture f;
    open_env(&f, &config);
    reset(&f, 0);
    int done[2] = {0, 0};
    const float still[4] = {0};
    for (int i = 1; i <= 40 && !(done[0] && done[1]); ++i) {
        step(&f, still);
        for (int e = 0; e < 2; ++e) {
            if (!f.terminated[e] || done[e]) continue;
            done[e] = i;
            assert_int_equal(f.events[e] & wanted[e], wanted[e]);
        }
    }
    assert_in_range(done[0], 19, 21);
    assert_in_range(done[1], 27, 30);
    close_env(&f);
    nm_scene_destroy(short_log);
    nm_scene_destroy(short_road);
}

static void everybody_who_drives_can_be_controlled(void **state) {
    (void)state;
    const nm_scene *scene = built("junction_signal:density=20,pedestrians=4,cyclists=2", 4);
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 2;
    config.scenes = &scene;
    config.scene_count = 1;
    config.control = NM_VECTOR_ALL;
    fixture f;
    open_env(&f, &config);
    reset(&f, 1);
    uint32_t drivers = 0;
    for (uint32_t t = 0; t < scene->track_count; ++t)
        drivers += scene->tracks[t].type != NM_AGENT_PEDESTRIAN && !(scene->tracks[t].flags & NM_TRACK_STATIC);
    assert_int_equal(f.rows, drivers);
    assert_int_equal(nm_vector_env_track(f.env, 0, 0), scene->ego);
    const nm_world_view v = nm_world_get_view(nm_vector_env_world(f.env, 1));
    for (uint32_t slot = 0; slot < v.count; ++slot)
        assert_int_equal(v.policy[slot] == NM_POLICY_EXTERNAL, v.type[slot] != NM_AGENT_PEDESTRIAN);
    // who is done stands in nobody's hands, and the others go on
    float actions[2 * MOST_ROWS * 2] = {0};
    int seen_done = 0;
    for (int i = 0; i < 100 && !f.terminated[0]; ++i) {
        step(&f, actions);
        int active = 0;
        for (uint32_t a = 0; a < f.rows; ++a) active += f.active[a];
        seen_done |= active < (int)f.rows && active > 0;
        assert_int_equal(f.terminated[0], active == 0);
    }
    assert_true(seen_done);
    close_env(&f);

    config.agents = 3; // fewer rows than agents
    open_env(&f, &config);
    assert_int_equal(f.rows, 3);
    close_env(&f);
    nm_scene_destroy(scene);
}

// ---------------------------------------------------------------------------------------------------------------------

static void agents_see_what_is_there(void **state) {
    (void)state;
    // heading north-west of nothing: the ego turned by 0.1 on a road to the east, one ahead, one behind to the left
    const test_vehicle cars[4] = {{NM_AGENT_CAR, 100, 0.4f, 0.1f, 10},
                                  {NM_AGENT_TRUCK, 130, 0, 0, 8},
                                  {NM_AGENT_CAR, 80, 3.5f, 0, 12},
                                  {NM_AGENT_CAR, 400, 3.5f, 0, 12}};
    const nm_scene *scene = scene_with(straight_road(2, 800, 20), cars, 4, 2);
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 1;
    config.scenes = &scene;
    config.scene_count = 1;
    config.neighbours = 3;
    fixture f;
    open_env(&f, &config);
    reset(&f, 1);
    const float c = cosf(0.1f), s = sinf(0.1f);
    assert_float_equal(seen(&f, 0, 0, "agent", 0, "speed"), 10.0f, 1e-4f);
    assert_float_equal(seen(&f, 0, 0, "agent", 0, "lane_offset"), 0.4f, 1e-3f);
    assert_float_equal(seen(&f, 0, 0, "agent", 0, "lane_heading"), 0.1f, 1e-4f);
    assert_float_equal(seen(&f, 0, 0, "agent", 0, "lane_left"), 1.35f, 1e-3f);
    assert_float_equal(seen(&f, 0, 0, "agent", 0, "lane_right"), 2.15f, 1e-3f);
    assert_float_equal(seen(&f, 0, 0, "agent", 0, "speed_limit"), 20.0f, 1e-3f);
    assert_float_equal(seen(&f, 0, 0, "agent", 0, "lead_gap"), 25.5f, 0.2f);
    assert_float_equal(seen(&f, 0, 0, "agent", 0, "stop_distance"), 100.0f, 0.0f);
    assert_float_equal(seen(&f, 0, 0, "agent", 0, "steps_left"), 200.0f, 0.0f);
    // nearest first, in the agent's frame; the fourth car is too far away
    const float dx[2] = {-20.0f, 30.0f}, dy[2] = {3.1f, -0.4f}, speed[2] = {12.0f, 8.0f}, type[2] = {1.0f, 2.0f};
    for (uint32_t i = 0; i < 2; ++i) {
        assert_float_equal(seen(&f, 0, 0, "neighbours", i, "present"), 1.0f, 0.0f);
        assert_float_equal(seen(&f, 0, 0, "neighbours", i, "x"), c * dx[i] + s * dy[i], 1e-3f);
        assert_float_equal(seen(&f, 0, 0, "neighbours", i, "y"), c * dy[i] - s * dx[i], 1e-3f);
        assert_float_equal(seen(&f, 0, 0, "neighbours", i, "cos"), c, 1e-5f);
        assert_float_equal(seen(&f, 0, 0, "neighbours", i, "sin"), -s, 1e-5f);
        assert_float_equal(seen(&f, 0, 0, "neighbours", i, "vx"), c * speed[i] - 10.0f, 1e-3f);
        assert_float_equal(seen(&f, 0, 0, "neighbours", i, "vy"), -s * speed[i], 1e-3f);
        assert_float_equal(seen(&f, 0, 0, "neighbours", i, "type"), type[i], 0.0f);
    }
    for (int k = 0; k < 2; ++k) assert_float_equal(seen(&f, 0, 0, "neighbours", 2, k ? "x" : "present"), 0.0f, 0.0f);
    // the lane ahead: points 5 m apart on y = 0
    for (uint32_t i = 0; i < 10; ++i) {
        const float ahead = 5.0f * (float)i;
        assert_float_equal(seen(&f, 0, 0, "lane", i, "x"), c * ahead - s * 0.4f, 2e-3f);
        assert_float_equal(seen(&f, 0, 0, "lane", i, "y"), -c * 0.4f - s * ahead, 2e-3f);
        assert_float_equal(seen(&f, 0, 0, "lane", i, "left"), 1.75f, 1e-3f);
        assert_float_equal(seen(&f, 0, 0, "lane", i, "speed_limit"), 20.0f, 1e-3f);
    }
    assert_float_equal(seen(&f, 0, 0, "agent", 0, "has_route"), 1.0f, 0.0f);
    assert_float_equal(seen(&f, 0, 0, "route", 3, "present"), 1.0f, 0.0f);
    assert_float_equal(seen(&f, 0, 0, "route", 3, "x"), c * 20.0f, 0.5f);
    close_env(&f);
    nm_scene_destroy(scene);
}

/// In the built-in junction somebody stands before a red light: the distance seen is the one along its lane.
static void red_lights_are_seen(void **state) {
    (void)state;
    const nm_scene *scene = built("junction_signal:density=30", 3);
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 1;
    config.scenes = &scene;
    config.scene_count = 1;
    config.control = NM_VECTOR_ALL;
    config.action = NM_VECTOR_NO_ACTION;
    fixture f;
    open_env(&f, &config);
    reset(&f, 2);
    int red = 0, green = 0;
    for (int i = 0; i < 100; ++i) {
        step(&f, NULL);
        const nm_world_view v = nm_world_get_view(nm_vector_env_world(f.env, 0));
        for (uint32_t a = 0; a < f.rows; ++a) {
            const uint32_t slot = v.slot_of[nm_vector_env_track(f.env, 0, a)];
            if (slot == NM_NONE || v.lane[slot] == NM_NONE || !f.active[a]) continue;
            const nm_lane *lane = &scene->map->lanes[v.lane[slot]];
            const float line = lane->stop_s - v.lane_s[slot] - 0.5f * v.length[slot];
            if (lane->signals.count != 1 || line < 0.0f || line > 99.0f) continue;
            const nm_signal_state light = nm_scene_signal(scene, scene->map->signal_refs[lane->signals.first], v.step);
            const float at = seen(&f, 0, a, "agent", 0, "stop_distance");
            if (light == NM_SIGNAL_STOP || light == NM_SIGNAL_CAUTION) {
                assert_float_equal(at, line, 1e-3f);
                ++red;
            } else if (light == NM_SIGNAL_GO) {
                assert_true(at > line);
                ++green;
            }
        }
    }
    assert_true(red > 100 && green > 100);
    close_env(&f);
    nm_scene_destroy(scene);
}

// ---------------------------------------------------------------------------------------------------------------------

static void what_makes_no_sense_is_refused(void **state) {
    (void)state;
    const nm_scene *scene = built("highway:density=10", 1);
    const nm_scene *empty = scene_with(straight_road(1, 200, 20), NULL, 0, 2);
    const nm_scene *slow = NULL;
    const nm_scene *log = about_to_hit();
    assert_int_equal(nm_scene_resample(log, 0.2, &slow, NULL), NM_OK);
    nm_vector_env_config good = nm_vector_env_config_default();
    good.env_count = 2;
    good.scenes = &scene;
    good.scene_count = 1;
    enum { BAD = 14 };
    nm_vector_env_config bad[BAD];
    const char *words[BAD] = {"environments", "no scene", "control",   "idm, log",   "no steps",
                              "neighbours",   "radius",   "apart",     "finite",     "nobody",
                              "to replay",    "0 steps",  "in 1..100", "4097 agents"};
    for (int i = 0; i < BAD; ++i) bad[i] = good;
    bad[0].env_count = 0;
    bad[1].scene_count = 0;
    bad[2].control = NM_VECTOR_CONTROL_COUNT;
    bad[3].others = NM_POLICY_EXTERNAL;
    bad[4].max_steps = 0;
    bad[5].neighbours = 65;
    bad[6].neighbour_radius = NAN;
    bad[7].point_spacing = 0.0f;
    bad[8].goal_reward = INFINITY;
    bad[9].scenes = &empty;
    bad[10].others = NM_POLICY_LOG;
    bad[11].action_steps = 0;
    bad[12].action_steps = NM_VECTOR_MAX_ACTION_STEPS + 1;
    bad[13].agents = NM_VECTOR_MAX_AGENTS + 1;
    for (int i = 0; i < BAD; ++i) {
        nm_error error;
        nm_error_clear(&error);
        nm_vector_env *env = (nm_vector_env *)&error;
        assert_int_equal(nm_vector_env_create(&bad[i], &env, &error), NM_E_ARGUMENT);
        assert_null(env);
        if (!strstr(error.message, words[i])) fail_msg("\"%s\" lacks \"%s\"", error.message, words[i]);
    }
    good.scenes = &slow;
    nm_error error;
    nm_error_clear(&error);
    nm_vector_env *env;
    assert_int_equal(nm_vector_env_create(&good, &env, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "scene 0"));
    nm_scene_destroy(scene);
    nm_scene_destroy(empty);
    nm_scene_destroy(slow);
    nm_scene_destroy(log);
}

static void bad_actions_step_nobody(void **state) {
    (void)state;
    const nm_scene *scene = built("highway:density=10", 1);
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 3;
    config.scenes = &scene;
    config.scene_count = 1;
    config.max_steps = 4;
    fixture f;
    open_env(&f, &config);
    float actions[6] = {0};
    assert_int_equal(nm_vector_env_step(f.env, actions, NULL), NM_E_ARGUMENT); // never reset
    reset(&f, 0);
    step(&f, actions);
    const uint64_t before = nm_world_hash(nm_vector_env_world(f.env, 0));
    actions[5] = NAN;
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_vector_env_step(f.env, actions, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "environment 2, agent 0"));
    assert_true(nm_world_hash(nm_vector_env_world(f.env, 0)) == before);
    actions[5] = 1e30f; // absurd but finite: the vehicle does what it can
    step(&f, actions);
    for (int i = 0; i < 2; ++i) step(&f, actions);
    assert_int_equal(f.truncated[2], 1);
    actions[5] = NAN; // of an episode that is over: not looked at
    step(&f, actions);
    actions[5] = 0.0f;
    step(&f, actions);
    for (uint32_t i = 0; i < f.features * 3; ++i) assert_true(isfinite(f.observation[i]));
    close_env(&f);
    nm_scene_destroy(scene);
}

static void worlds_in_the_callers_memory(void **state) {
    (void)state;
    const nm_scene *scene = built("on_ramp:density=30", 1);
    nm_world_config config = nm_world_config_default();
    size_t size;
    assert_int_equal(nm_world_measure(scene, &config, &size, NULL), NM_OK);
    void *memory = aligned_alloc(64, size);
    assert_non_null(memory);
    memset(memory, 0xa5, size);
    nm_world *world, *own;
    assert_int_equal(nm_world_create_in(memory, size - 64, scene, &config, &world, NULL), NM_E_LIMIT);
    assert_null(world);
    assert_int_equal(nm_world_create_in(memory, size, scene, &config, &world, NULL), NM_OK);
    assert_int_equal(nm_world_create(scene, &config, &own, NULL), NM_OK);
    for (int i = 0; i < 20; ++i) {
        nm_world_step(world, NULL, 0, NULL);
        nm_world_step(own, NULL, 0, NULL);
    }
    assert_true(nm_world_hash(world) == nm_world_hash(own));
    nm_world_destroy(own);
    free(memory);
    nm_scene_destroy(scene);
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
static void a_step_allocates_nothing(void **state) {
    (void)state;
    const nm_scene *scenes[2] = {built("roundabout:density=40", 1), built("on_ramp:density=30", 2)};
    nm_vector_env_config config = nm_vector_env_config_default();
    config.env_count = 6;
    config.scenes = scenes;
    config.scene_count = 2;
    config.max_steps = 10; // resets included
    config.threads = 1;
    fixture f;
    open_env(&f, &config);
    reset(&f, 1);
    const float actions[12] = {0};
    const struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < 50; ++i) step(&f, actions);
    const struct mallinfo2 after = mallinfo2();
    assert_true(before.uordblks == after.uordblks && before.hblkhd == after.hblkhd && before.arena == after.arena);
    close_env(&f);
    nm_scene_destroy(scenes[0]);
    nm_scene_destroy(scenes[1]);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worlds_are_those_of_rollouts),
        cmocka_unit_test(the_next_episode_is_another_scene_and_seed),
        cmocka_unit_test(steering_is_a_control_of_the_ego),
        cmocka_unit_test(waypoints_are_taken_as_they_are),
        cmocka_unit_test(an_action_may_last_several_steps),
        cmocka_unit_test(waypoints_of_an_action_are_a_trajectory),
        cmocka_unit_test(same_bits_for_any_number_of_threads),
        cmocka_unit_test(a_collision_ends_an_episode_once),
        cmocka_unit_test(rewards_follow_the_configuration),
        cmocka_unit_test(goals_and_ends_of_roads_end_episodes),
        cmocka_unit_test(everybody_who_drives_can_be_controlled),
        cmocka_unit_test(agents_see_what_is_there),
        cmocka_unit_test(red_lights_are_seen),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(bad_actions_step_nobody),
        cmocka_unit_test(worlds_in_the_callers_memory),
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(a_step_allocates_nothing),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
