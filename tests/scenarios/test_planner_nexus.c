/// The model as planner: it plans every half second out of what was observed, and nothing else.
#include "nexus/network_support.h"
#include "nexus/tokens_support.h"
#include "scenarios/episode.h"
#include "scenarios/planner_nexus.h"
#include "sim/observation.h"

enum { START = 30, STEPS = 12 };

typedef struct stage {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    nm_planner *planner;
} stage;

static stage stage_open(int random, uint32_t samples, uint32_t block) {
    stage s = {.recipe = {.tokens = nm_token_config_default(NM_TOKENS_AGENT), .prior = NM_PRIOR_LANE}};
    s.recipe.tokens.paths = 1;
    s.recipe.tokens.future = 8; // 4 s
    s.recipe.tokens.map_polylines = 8;
    s.recipe.blocks = (nm_block_config){.size = block, .memory = 6};
    nm_model_config model = small_config(2);
    nm_token_fit_model(&s.recipe.tokens, &model);
    nm_backend_config backend = nm_backend_config_default();
    backend.compute = NM_F32;
    backend.threads = 1;
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_backend_create_cpu(&backend, &s.backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&model, s.backend, 1, &s.model, &error), NM_OK);
    if (random) randomise_model(s.model, 3);
    if (nm_planner_nexus(s.model, &s.recipe, samples, &s.planner, &error) != NM_OK) fail_msg("%s", error.message);
    return s;
}

static void stage_close(stage *s) {
    nm_planner_destroy(s->planner);
    nm_model_destroy(s->model);
    nm_backend_destroy(s->backend);
}

typedef struct answers {
    nm_planner_trajectory_point point[STEPS][NM_PLANNER_MAX_POINTS];
    nm_planner_ego ego[STEPS];
    uint32_t count[STEPS];
} answers;

/// The planner's answers while the ego goes its own way: straight on.
static void ask(nm_planner *planner, const nm_scene *scene, uint64_t seed, answers *a) {
    nm_world_config config = nm_world_config_default();
    nm_world *world = NULL;
    nm_observation *observation = NULL;
    nm_error error;
    nm_error_clear(&error);
    config.agents = NM_POLICY_LOG;
    config.ego = NM_POLICY_CONSTANT_VELOCITY;
    config.start_step = START;
    assert_int_equal(nm_world_create(scene, &config, &world, &error), NM_OK);
    nm_observation_config seen = nm_observation_config_default(scene);
    const nm_planner_needs needs = nm_planner_get_needs(planner);
    seen.start_step = START;
    seen.history = needs.history;
    seen.map_radius = needs.map_radius;
    seen.seed = seed;
    if (nm_observation_create(scene, &seen, &observation, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_planner_begin(planner, nm_observation_scenario(observation), &error), NM_OK);
    for (uint32_t k = 0; k < STEPS; ++k) {
        const nm_planner_observation *now;
        const nm_planner_output *output;
        assert_int_equal(nm_observation_update(observation, world, &now, &error), NM_OK);
        if (nm_planner_plan(planner, now, &output, &error) != NM_OK) fail_msg("step %u: %s", k, error.message);
        assert_int_equal(output->answer, NM_PLANNER_TRAJECTORY);
        a->count[k] = output->point_count;
        a->ego[k] = now->ego;
        memcpy(a->point[k], output->points, output->point_count * sizeof *output->points);
        (void)nm_world_step(world, NULL, 0, NULL);
    }
    nm_planner_end(planner);
    nm_observation_destroy(observation);
    nm_world_destroy(world);
}

static int same_place(const nm_planner_trajectory_point *a, const nm_planner_trajectory_point *b) {
    return a->rear_axle.x_scene == b->rear_axle.x_scene && a->rear_axle.y_scene == b->rear_axle.y_scene &&
           a->speed_ahead == b->speed_ahead;
}

static int same_answers(const answers *a, const answers *b) {
    for (uint32_t k = 0; k < STEPS; ++k) {
        if (a->count[k] != b->count[k]) return 0;
        for (uint32_t i = 0; i < a->count[k]; ++i)
            if (!same_place(&a->point[k][i], &b->point[k][i])) return 0;
    }
    return 1;
}

/// Anew at steps 0, 5 and 10, from where the ego is then; what is left of the plan in between.
static void plans_every_half_second(void **state) {
    (void)state;
    stage s = stage_open(1, 6, 0);
    const nm_scene *scene = tokens_rollout("highway:vehicles=12", 7, 120);
    answers *a = calloc(1, sizeof *a);
    ask(s.planner, scene, 1, a);
    for (uint32_t k = 0; k < STEPS; ++k) {
        const nm_planner_trajectory_point *now = a->point[k];
        assert_int_equal(a->count[k], 81 - k % 5);
        for (uint32_t i = 0; i < a->count[k]; ++i) assert_true(fabsf(now[i].time - 0.1f * (float)i) < 1e-5f);
        if (k % 5 == 0) {
            assert_true(fabsf(now->rear_axle.x_scene - a->ego[k].rear_axle.x_scene) < 1e-3f);
            assert_true(fabsf(now->rear_axle.y_scene - a->ego[k].rear_axle.y_scene) < 1e-3f);
            assert_true(k == 0 || !same_place(&now[1], &a->point[k - 1][2]));
        } else {
            for (uint32_t i = 0; i < a->count[k]; ++i) assert_true(same_place(&now[i], &a->point[k - 1][i + 1]));
        }
        // past the model's 4 s straight on, at a speed that stays
        for (uint32_t i = 60; i + 1 < a->count[k]; ++i)
            assert_true(now[i].speed_ahead == now[i + 1].speed_ahead &&
                        now[i].rear_axle.heading_scene == now[i + 1].rear_axle.heading_scene);
    }
    free(a);
    nm_scene_destroy(scene);
    stage_close(&s);
}

/// What was recorded after the start is not looked at: a scene that ends there gives the same plans.
static void future_is_not_known(void **state) {
    (void)state;
    stage s = stage_open(1, 6, 0);
    const nm_scene *scene = tokens_rollout("highway:vehicles=12", 7, 120);
    const nm_scene *shorter = tokens_rollout("highway:vehicles=12", 7, START + STEPS + 3); // the same, but its end
    answers *a = calloc(3, sizeof *a);
    ask(s.planner, scene, 1, &a[0]);
    ask(s.planner, shorter, 1, &a[1]);
    assert_true(same_answers(&a[0], &a[1]));
    ask(s.planner, scene, 1, &a[1]);
    assert_true(same_answers(&a[0], &a[1]));
    ask(s.planner, scene, 2, &a[2]); // another seed, another future
    assert_false(same_answers(&a[0], &a[2]));
    free(a);
    nm_scene_destroy(shorter);
    nm_scene_destroy(scene);
    stage_close(&s);
}

/// Lights are seen as they were, and as they are.
static void lights_of_later_are_not_known(void **state) {
    (void)state;
    stage s = stage_open(1, 6, 0);
    const nm_scene *scene = tokens_rollout("junction_signal:vehicles=12", 7, 120);
    assert_true(scene->map->signal_count > 0 && scene->signal_states);
    const size_t size = (size_t)scene->map->signal_count * scene->step_count;
    uint8_t *later = malloc(size), *now = malloc(size);
    memcpy(later, scene->signal_states, size);
    memcpy(now, scene->signal_states, size);
    for (uint32_t i = 0; i < scene->map->signal_count; ++i)
        for (uint32_t step = 0; step < scene->step_count; ++step) {
            uint8_t *at = (step < START + STEPS ? now : later) + (size_t)i * scene->step_count + step;
            *at = *at == NM_SIGNAL_STOP ? NM_SIGNAL_GO : NM_SIGNAL_STOP;
        }
    nm_scene with_later = *scene, with_now = *scene;
    with_later.signal_states = later;
    with_now.signal_states = now;
    answers *a = calloc(3, sizeof *a);
    ask(s.planner, scene, 1, &a[0]);
    ask(s.planner, &with_later, 1, &a[1]);
    ask(s.planner, &with_now, 1, &a[2]);
    assert_true(same_answers(&a[0], &a[1]));
    assert_false(same_answers(&a[0], &a[2]));
    free(a);
    free(later);
    free(now);
    nm_scene_destroy(scene);
    stage_close(&s);
}

/// A model as it begins says that everybody goes on along the lane: so does the ego.
static void drives_an_episode(void **state) {
    stage s = stage_open(0, 1, *state ? *(const uint32_t *)*state : 0);
    const nm_scene *scene = tokens_rollout("highway:vehicles=12", 7, 120);
    nm_episode_config config = nm_episode_config_default();
    nm_episode_work *work = nm_episode_work_create();
    nm_episode e;
    nm_error error;
    nm_error_clear(&error);
    config.agents = NM_EPISODE_LOG;
    config.start_step = START;
    config.seconds = *state ? 2.0f : 5.0f;
    config.deadline = 0.0f;
    if (nm_episode_run(work, scene, s.planner, &config, &e, &error) != NM_OK) fail_msg("%s", error.message);
    if (e.outcome != NM_EPISODE_DONE) fail_msg("%s", e.reason);
    assert_int_equal(e.samples, *state ? 20 : 50);
    assert_true(e.score.metric[NM_NUPLAN_DRIVABLE_AREA].value == 1.0);
    assert_true(e.score.metric[NM_NUPLAN_PROGRESS].value > 0.7);
    nm_episode_work_destroy(work);
    nm_scene_destroy(scene);
    stage_close(&s);
}

static void what_it_can_not_do_is_said(void **state) {
    (void)state;
    stage s = stage_open(0, 1, 0);
    nm_recipe long_past = s.recipe;
    nm_planner *planner = NULL;
    nm_error error;
    nm_error_clear(&error);
    long_past.tokens.past = 30;
    assert_int_equal(nm_planner_nexus(s.model, &long_past, 1, &planner, &error), NM_E_UNSUPPORTED);
    assert_null(planner);
    const nm_planner_scenario blind = {.name = "blind", .step_seconds = 0.1f};
    assert_int_equal(nm_planner_begin(s.planner, &blind, &error), NM_E_NOT_FOUND);
    nm_planner_end(s.planner);
    stage_close(&s);
}

int main(void) {
    static uint32_t block = 2;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_every_half_second),
        cmocka_unit_test(future_is_not_known),
        cmocka_unit_test(lights_of_later_are_not_known),
        cmocka_unit_test(drives_an_episode),
        cmocka_unit_test_prestate(drives_an_episode, &block),
        cmocka_unit_test(what_it_can_not_do_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
