/// Proposals are what the driver model drives, and futures with agreement: off they are what they were, with no limits
/// they are the proposals, and what is made does not depend on the batch.
#include "base/rng.h"
#include "nexus/network_support.h"
#include "nexus/tokens_support.h"
#include "scenarios/future_tokens.h"
#include "scenarios/scene_generator.h"
#include "sim/baselines.h"

enum { CURRENT = 25, FUTURE = 6, AHEAD = FUTURE * (int)NM_TOKEN_STEPS, TRACKS = 64 };

typedef struct stage {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    const nm_scene *scene;
    nm_arena *arena;
    uint32_t track[TRACKS], agents; ///< who is there at the current step
} stage;

static stage stage_open(nm_token_encoding encoding) {
    stage s = {.recipe = {.tokens = nm_token_config_default(encoding)}, .arena = nm_arena_create(0)};
    nm_error error;
    s.recipe.prior = encoding == NM_TOKENS_AGENT ? NM_PRIOR_LANE : NM_PRIOR_NONE;
    s.recipe.tokens.paths = encoding == NM_TOKENS_AGENT;
    s.recipe.tokens.future = FUTURE;
    s.recipe.tokens.map_polylines = 8;
    nm_model_config config = small_config(encoding == NM_TOKENS_AGENT ? 2 : 0);
    nm_token_fit_model(&s.recipe.tokens, &config);
    nm_backend_config backend = nm_backend_config_default();
    backend.compute = NM_F32;
    backend.threads = 2;
    assert_int_equal(nm_backend_create_cpu(&backend, &s.backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&config, s.backend, 1, &s.model, &error), NM_OK);
    randomise_model(s.model, 3);
    s.scene = tokens_rollout("junction_signal:vehicles=12,pedestrians=3", 7, CURRENT + AHEAD + 8);
    for (uint32_t i = 0; i < s.scene->track_count && s.agents < TRACKS; i++)
        if (s.scene->valid[nm_scene_at(s.scene, i, CURRENT)]) s.track[s.agents++] = i;
    assert_true(s.agents > 6);
    return s;
}

static void stage_close(stage *s) {
    nm_scene_destroy(s->scene);
    nm_arena_destroy(s->arena);
    nm_model_destroy(s->model);
    nm_backend_destroy(s->backend);
}

/// What the driver model drives from the current step on.
static nm_futures driven(stage *s) {
    nm_scene from = *s->scene;
    nm_baseline_request request = nm_baseline_request_default();
    nm_futures futures;
    nm_error error;
    from.current_step = CURRENT;
    request.track = s->track;
    request.agents = s->agents;
    request.steps = AHEAD;
    assert_int_equal(nm_baseline_futures(&from, NM_BASELINE_IDM, &request, s->arena, &futures, &error), NM_OK);
    return futures;
}

static nm_tokens build(stage *s, nm_future_tokens *keep, nm_task_kind task) {
    nm_tokens tokens;
    nm_error error;
    keep->config = nm_future_recipe(&s->recipe, 40).tokens;
    if (nm_future_tokens_build(keep, s->scene, CURRENT, task, NULL, s->arena, &tokens, &error) != NM_OK)
        fail_msg("%s", error.message);
    return tokens;
}

static void check_agent(const stage *s, const nm_tokens *tokens, const nm_proposal *p, const nm_futures *futures,
                        uint32_t agent) {
    const uint32_t steps = tokens->shape.steps, past = tokens->config.past, count = nm_token_states(&tokens->config);
    uint32_t row = 0;
    while (row < s->agents && s->track[row] != tokens->track[agent]) row++;
    for (uint32_t t = 0; t < steps; t++) {
        const size_t at = (size_t)agent * steps + t;
        nm_state states[NM_TOKEN_STEPS];
        assert_int_equal(p->proposed[at], row < s->agents && t > past);
        if (!p->proposed[at]) continue;
        nm_token_decode(&tokens->config, nm_tokens_frame(tokens, agent),
                        p->values + at * nm_token_channels(&tokens->config), states);
        for (uint32_t i = 0; i < count; i++) {
            const size_t step = (size_t)row * AHEAD + NM_TOKEN_STEPS * (t - past) - (count - 1 - i) - 1;
            assert_float_equal(states[i].x, futures->x[step], 2e-3);
            assert_float_equal(states[i].y, futures->y[step], 2e-3);
            assert_float_equal(nm_wrap_angle(states[i].heading - futures->heading[step]), 0.0f, 1e-3);
            if (step % AHEAD == 0) continue;
            const float way = hypotf(futures->x[step] - futures->x[step - 1], futures->y[step] - futures->y[step - 1]);
            assert_float_equal(hypotf(states[i].vx, states[i].vy), 10.0f * way, 0.1f);
        }
    }
}

static void test_proposals_are_driven(void **state) {
    (void)state;
    for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++) {
        stage s = stage_open((nm_token_encoding)encoding);
        nm_future_tokens keep = {0};
        const nm_futures futures = driven(&s);
        const nm_tokens tokens = build(&s, &keep, NM_TASK_FREE);
        nm_proposal p;
        nm_error error;
        assert_int_equal(nm_proposal_make(s.scene, &tokens, NM_DRIVER_IDM, s.arena, &p, &error), NM_OK);
        for (uint32_t a = 0; a < tokens.shape.agents; a++) check_agent(&s, &tokens, &p, &futures, a);
        assert_int_equal(nm_proposal_make(s.scene, &tokens, NM_DRIVER_PATH, s.arena, &p, &error), NM_OK);
        assert_true(!p.values && !p.proposed);
        nm_future_tokens_release(&keep);
        stage_close(&s);
    }
}

/// Where an agent's goal is known, a driver who does not know it has nothing to say.
static void test_goals_are_not_driven(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    nm_future_tokens keep = {0};
    const nm_tokens tokens = build(&s, &keep, NM_TASK_GOAL);
    const uint32_t steps = tokens.shape.steps;
    uint32_t with = 0;
    nm_proposal p;
    nm_error error;
    assert_int_equal(nm_proposal_make(s.scene, &tokens, NM_DRIVER_IDM, s.arena, &p, &error), NM_OK);
    for (uint32_t a = 0; a < tokens.shape.agents; a++) {
        int goal = 0;
        for (uint32_t t = tokens.config.past + 1; t < steps; t++) goal |= tokens.known[a * steps + t];
        with += (uint32_t)goal;
        if (goal) assert_int_equal(p.proposed[a * steps + tokens.config.past + 1], 0);
    }
    assert_true(with > 3);
    nm_future_tokens_release(&keep);
    stage_close(&s);
}

static nm_model_futures_config config_of(const char *schedule, nm_agreement agreement, nm_future_driver driver) {
    nm_model_futures_config c = nm_model_futures_config_default();
    nm_error error;
    assert_int_equal(nm_schedule_parse(schedule, &c.generator.schedule, &error), NM_OK);
    c.generator.scenes = 2;
    c.generator.levels = 3;
    c.generator.seed = 5;
    c.generator.agreement = agreement;
    c.driver = driver;
    c.agents = 40;
    return c;
}

static nm_futures run(stage *s, const nm_model_futures_config *config, nm_task_kind task, nm_future_cost *cost) {
    const nm_future_request request = {.scene = s->scene,
                                       .current_step = CURRENT,
                                       .task = task,
                                       .samples = 3,
                                       .agents = s->agents,
                                       .track = s->track,
                                       .seed = 5};
    nm_model_futures *futures;
    nm_futures out = {0};
    nm_error error;
    nm_error_clear(&error);
    *cost = (nm_future_cost){0};
    if (nm_model_futures_create(s->model, &s->recipe, config, &futures, &error) != NM_OK ||
        nm_model_futures_run(futures, &request, s->arena, &out, cost, &error) != NM_OK)
        fail_msg("%s", error.message);
    nm_model_futures_destroy(futures);
    return out;
}

static int same(const nm_futures *a, const nm_futures *b) {
    const size_t bytes = (size_t)a->samples * a->agents * a->steps * sizeof(float);
    return !memcmp(a->x, b->x, bytes) && !memcmp(a->y, b->y, bytes) && !memcmp(a->heading, b->heading, bytes);
}

/// Whoever drives: without thresholds futures are what they are without agreement.
static void test_off(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    for (int task = NM_TASK_FREE; task <= NM_TASK_GOAL; task++) {
        nm_model_futures_config plain = config_of("pyramid:1", (nm_agreement){0}, NM_DRIVER_PATH);
        nm_future_cost cost, again;
        const nm_futures expected = run(&s, &plain, (nm_task_kind)task, &cost);
        for (int driver = 0; driver < NM_DRIVER_COUNT; driver++) {
            static const nm_agreement off[] = {{.position = INFINITY}, {.position = 1e-30f, .speed = 1e-30f}};
            for (int i = 0; i < 2; i++) {
                const nm_model_futures_config with = config_of("pyramid:1", off[i], (nm_future_driver)driver);
                const nm_futures out = run(&s, &with, (nm_task_kind)task, &again);
                assert_true(same(&out, &expected));
                assert_int_equal(again.passes, cost.passes);
                assert_int_equal(again.futures.agreed, 0);
            }
        }
        assert_int_equal(cost.passes, 2 * (3 + FUTURE - 1));
        assert_int_equal(cost.future_count, 3);
        assert_int_equal(cost.futures.passes, 3 * (3 + FUTURE - 1));
        assert_true(cost.futures.tokens > 3 * 5 * (FUTURE - 1) && cost.futures.tokens % 3 == 0);
    }
    stage_close(&s);
}

/// Without limits and with the driver's states kept, what comes out is what the driver drives, in a pass a batch.
static void test_without_limits(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    const nm_futures expected = driven(&s);
    const nm_agreement all = {.position = INFINITY, .speed = INFINITY, .value = NM_AGREE_ON_PROPOSAL};
    const nm_model_futures_config config = config_of("pyramid:1", all, NM_DRIVER_IDM);
    nm_future_cost cost;
    const nm_futures out = run(&s, &config, NM_TASK_FREE, &cost);
    const size_t states = (size_t)s.agents * AHEAD;
    for (size_t i = 0; i < 3 * states; i++) {
        assert_float_equal(out.x[i], expected.x[i % states], 2e-3);
        assert_float_equal(out.y[i], expected.y[i % states], 2e-3);
    }
    assert_int_equal(cost.passes, 2);
    assert_int_equal(cost.futures.passes, 3);
    assert_int_equal(cost.futures.agreed, cost.futures.tokens);
    // the prior alone drives otherwise
    const nm_model_futures_config path = config_of("pyramid:1", all, NM_DRIVER_PATH);
    const nm_futures other = run(&s, &path, NM_TASK_FREE, &cost);
    assert_false(same(&out, &other));
    stage_close(&s);
}

/// Some agree and some do not: scenes are the same in any batch, and what is scored.
static void test_any_batch(void **state) {
    (void)state;
    stage s = stage_open(NM_TOKENS_AGENT);
    // a random network is nowhere near: wide enough for some
    const nm_agreement some = {.position = 12.0f, .speed = 6.0f};
    for (int driver = 0; driver < NM_DRIVER_COUNT; driver++) {
        const nm_model_futures_config scored = config_of("pyramid:1", some, (nm_future_driver)driver);
        nm_scene_generator_config wide = nm_scene_generator_config_default();
        wide.generator = scored.generator;
        wide.generator.scenes = 3;
        wide.driver = scored.driver;
        wide.agents = scored.agents;
        nm_scene_generator_config narrow = wide;
        narrow.generator.scenes = 1;
        nm_scene_generator *together, *alone;
        nm_future_cost cost = {0}, apart = {0};
        nm_generated_scene out[3], one;
        nm_error error;
        assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &wide, &together, &error), NM_OK);
        assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &narrow, &alone, &error), NM_OK);
        nm_scene_request request = {.scene = s.scene, .current_step = CURRENT, .seed = 5};
        for (request.sample = 0; request.sample < 3; request.sample++)
            assert_int_equal(nm_scene_generator_add(together, &request, &error), NM_OK);
        assert_int_equal(nm_scene_generator_run(together, out, &cost, &error), NM_OK);
        for (uint32_t i = 0; i < 3; i++) {
            request.sample = i;
            assert_int_equal(nm_scene_generator_add(alone, &request, &error), NM_OK);
            assert_int_equal(nm_scene_generator_run(alone, &one, &apart, &error), NM_OK);
            assert_int_equal(one.status, NM_OK);
            assert_true(one.scene->hash == out[i].scene->hash);
            nm_scene_destroy(one.scene);
            nm_scene_destroy(out[i].scene);
        }
        nm_future_cost same_cost;
        run(&s, &scored, NM_TASK_FREE, &same_cost);
        assert_true(cost.futures.agreed > 0 && cost.futures.agreed < cost.futures.tokens);
        assert_int_equal(apart.futures.agreed, cost.futures.agreed);
        assert_int_equal(same_cost.futures.agreed, cost.futures.agreed);
        assert_int_equal(apart.futures.passes, cost.futures.passes);
        assert_int_equal(apart.passes, cost.futures.passes);
        nm_scene_generator_destroy(together);
        nm_scene_generator_destroy(alone);
    }
    stage_close(&s);
}

static void without_a_prior_the_path_proposes_nothing(void **state) {
    (void)state;
    nm_recipe recipe = {.prior = NM_PRIOR_NONE};
    nm_error error;
    assert_int_equal(nm_proposal_check(NM_DRIVER_PATH, &recipe, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_proposal_check(NM_DRIVER_IDM, &recipe, &error), NM_OK);
    recipe.prior = NM_PRIOR_STRAIGHT;
    assert_int_equal(nm_proposal_check(NM_DRIVER_PATH, &recipe, &error), NM_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_prior_the_path_proposes_nothing),
        cmocka_unit_test(test_proposals_are_driven),
        cmocka_unit_test(test_goals_are_not_driven),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_without_limits),
        cmocka_unit_test(test_any_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
