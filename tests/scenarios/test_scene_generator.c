/// Scenes out of a model: the same alone and in any batch, history as it was, goals met, failures that stay alone.
#include "nexus/network_support.h"
#include "nexus/tokens_support.h"
#include "scenarios/scene_generator.h"

enum { PARENTS = 3, SAMPLES = 2, REQUESTS = PARENTS * SAMPLES };

typedef struct stage {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    const nm_scene *scene[PARENTS];
} stage;

static stage stage_open(void) {
    static const char *const maps[PARENTS] = {"junction_signal:vehicles=12,pedestrians=3", "highway:vehicles=8",
                                              "junction_signal:vehicles=5"};
    stage s = {.recipe = {.tokens = nm_token_config_default(NM_TOKENS_AGENT), .prior = NM_PRIOR_BRIDGE}};
    s.recipe.tokens.future = 6;
    s.recipe.tokens.map_polylines = 8;
    nm_model_config config = small_config(2);
    nm_token_fit_model(&s.recipe.tokens, &config);
    nm_backend_config backend = nm_backend_config_default();
    backend.compute = NM_F32;
    backend.threads = 2;
    nm_error error;
    assert_int_equal(nm_backend_create_cpu(&backend, &s.backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&config, s.backend, 1, &s.model, &error), NM_OK);
    randomise_model(s.model, 3);
    for (int i = 0; i < PARENTS; i++) s.scene[i] = tokens_rollout(maps[i], 7 + (uint64_t)i, 60);
    return s;
}

static void stage_close(stage *s) {
    for (int i = 0; i < PARENTS; i++) nm_scene_destroy(s->scene[i]);
    nm_model_destroy(s->model);
    nm_backend_destroy(s->backend);
}

static nm_scene_generator_config config_of(uint32_t batch) {
    nm_scene_generator_config config = nm_scene_generator_config_default();
    config.generator.scenes = batch;
    config.generator.levels = 3;
    config.generator.schedule.kind = NM_SCHEDULE_FULL;
    config.generator.seed = 5;
    config.agents = 20;
    return config;
}

static nm_scene_generator *open_generator(const stage *s, const nm_scene_generator_config *config) {
    nm_scene_generator *g = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_scene_generator_create(s->model, &s->recipe, config, &g, &error) != NM_OK) fail_msg("%s", error.message);
    return g;
}

static nm_scene_request request_of(const stage *s, uint32_t n) {
    return (nm_scene_request){.scene = s->scene[n / SAMPLES],
                              .current_step = 25,
                              .seed = 5,
                              .sample = n % SAMPLES,
                              .parameters = "{\"a\":1}"};
}

static void add(nm_scene_generator *g, const nm_scene_request *request) {
    nm_error error;
    nm_error_clear(&error);
    if (nm_scene_generator_add(g, request, &error) != NM_OK) fail_msg("%s", error.message);
}

/// One request alone.
static const nm_scene *one(nm_scene_generator *g, const nm_scene_request *request) {
    nm_generated_scene out;
    nm_error error;
    add(g, request);
    assert_int_equal(nm_scene_generator_run(g, &out, NULL, &error), NM_OK);
    assert_int_equal(out.status, NM_OK);
    return out.scene;
}

static void test_any_batch(void **state) {
    (void)state;
    stage s = stage_open();
    const nm_scene_generator_config wide = config_of(REQUESTS), narrow = config_of(1);
    nm_scene_generator *together = open_generator(&s, &wide), *alone = open_generator(&s, &narrow);
    nm_generated_scene out[REQUESTS];
    nm_future_cost cost = {0};
    nm_error error;
    for (uint32_t n = 0; n < REQUESTS; n++) {
        const nm_scene_request request = request_of(&s, n);
        add(together, &request);
    }
    assert_int_equal(nm_scene_generator_count(together), REQUESTS);
    assert_ptr_equal(nm_scene_generator_tokens(together, 0), nm_scene_generator_tokens(together, 1));
    assert_ptr_not_equal(nm_scene_generator_tokens(together, 1), nm_scene_generator_tokens(together, 2));
    assert_int_equal(nm_scene_generator_run(together, out, &cost, &error), NM_OK);
    assert_int_equal(nm_scene_generator_count(together), 0);
    assert_int_equal(cost.batches, s.backend->threads); // each thread samples some
    assert_int_equal(cost.passes, 3 * cost.batches);
    for (uint32_t n = 0; n < REQUESTS; n++) {
        const nm_scene_request request = request_of(&s, n);
        const nm_scene *again = one(alone, &request);
        assert_int_equal(out[n].status, NM_OK);
        assert_true(out[n].scene->hash == again->hash);
        assert_true(out[n].scene->hash != out[n ^ 1u].scene->hash); // another sample
        nm_scene_destroy(again);
    }
    for (uint32_t n = 0; n < REQUESTS; n++) nm_scene_destroy(out[n].scene);
    nm_scene_generator_destroy(together);
    nm_scene_generator_destroy(alone);
    stage_close(&s);
}

static void test_what_is_scored(void **state) {
    (void)state;
    stage s = stage_open();
    const nm_scene_generator_config config = config_of(2);
    nm_model_futures_config other = nm_model_futures_config_default();
    other.generator = config.generator;
    other.agents = config.agents;
    nm_scene_generator *g = open_generator(&s, &config);
    nm_model_futures *futures;
    nm_error error;
    assert_int_equal(nm_model_futures_create(s.model, &s.recipe, &other, &futures, &error), NM_OK);
    nm_arena *arena = nm_arena_create(0);
    uint32_t track[16], agents = 0;
    for (uint32_t i = 0; i < s.scene[0]->track_count && agents < 16; i++)
        if (s.scene[0]->valid[nm_scene_at(s.scene[0], i, 25)]) track[agents++] = i;
    const nm_future_request wanted = {
        .scene = s.scene[0], .current_step = 25, .samples = 2, .agents = agents, .track = track, .seed = 5};
    nm_futures out;
    assert_int_equal(nm_model_futures_run(futures, &wanted, arena, &out, NULL, &error), NM_OK);
    uint32_t compared = 0; // who drives off the map has no states in the scene
    for (uint32_t n = 0; n < 2; n++) {
        const nm_scene_request request = request_of(&s, n);
        const nm_scene *scene = one(g, &request);
        for (uint32_t a = 0; a < agents; a++) {
            for (uint32_t k = 0; k < out.steps; k++) {
                const size_t from = nm_scene_at(scene, track[a], 26 + k), to = (n * agents + a) * out.steps + k;
                if (!scene->valid[from]) break;
                assert_true(scene->x[from] == out.x[to] && scene->y[from] == out.y[to]);
                compared++;
            }
        }
        nm_scene_destroy(scene);
    }
    assert_true(compared > agents * out.steps);
    nm_arena_destroy(arena);
    nm_model_futures_destroy(futures);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

static void test_history_and_provenance(void **state) {
    (void)state;
    stage s = stage_open();
    const nm_scene_generator_config config = config_of(1);
    nm_scene_generator *g = open_generator(&s, &config);
    nm_scene_request request = request_of(&s, 1);
    const nm_scene *scene = one(g, &request), *from = s.scene[0];
    assert_int_equal(scene->current_step, 25);
    assert_int_equal(scene->step_count, 25 + 6 * NM_TOKEN_STEPS + 1);
    assert_int_equal(scene->track_count, from->track_count);
    uint32_t changed = 0;
    for (uint32_t i = 0; i < from->track_count; i++) {
        const size_t a = nm_scene_at(from, i, 0), b = nm_scene_at(scene, i, 0);
        assert_memory_equal(from->valid + a, scene->valid + b, 26);
        assert_memory_equal(from->x + a, scene->x + b, 26 * sizeof(float));
        assert_memory_equal(from->y + a, scene->y + b, 26 * sizeof(float));
        if (scene->valid[b + 40] && from->valid[a + 40]) changed += scene->x[b + 40] != from->x[a + 40];
    }
    assert_true(changed > 3);
    assert_string_equal(scene->provenance.source, "nexus");
    assert_string_equal(scene->provenance.parameters, "{\"a\":1}");
    assert_true(scene->provenance.parent == from->hash && scene->provenance.seed == 5);
    nm_scene_destroy(scene);
    request.parent = 77;
    scene = one(g, &request);
    assert_true(scene->provenance.parent == 77);
    nm_scene_destroy(scene);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

/// Who left before the current step, though within the history, does not come back; nor with a goal recorded later.
static void test_gone(void **state) {
    (void)state;
    stage s = stage_open();
    const nm_scene_generator_config config = config_of(1);
    nm_scene_generator *g = open_generator(&s, &config);
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_map *road = nm_test_road(300.0);
    const nm_scene *scene = NULL;
    nm_error error;
    assert_int_equal(nm_scene_builder_begin(builder, road, 0.1, 60, &error), NM_OK);
    for (uint32_t i = 0; i < 3; i++) {
        const nm_track_def def = {.id = i, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t step = 0; step < 60; step++) {
            if ((i == 1 && step > 20) || (i == 2 && step > 20 && step < 30)) continue;
            const nm_state at = {.x = 30.0f * (float)i + 0.8f * (float)step, .vx = 8.0f};
            assert_int_equal(nm_scene_builder_add_local_state(builder, i, step, &at, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, 0, 0);
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    nm_scene_request request = {.scene = scene, .current_step = 25, .parameters = "{}"};
    for (int goal = 0; goal < 2; goal++) {
        nm_generated_scene out;
        request.task = goal ? NM_TASK_GOAL : NM_TASK_FREE;
        add(g, &request);
        assert_int_equal(nm_scene_generator_tokens(g, 0)->shape.agents, 3); // their history is seen
        assert_int_equal(nm_scene_generator_run(g, &out, NULL, &error), NM_OK);
        assert_int_equal(out.status, NM_OK);
        assert_int_equal(out.agents, 1);
        for (uint32_t step = 26; step < out.scene->step_count; step++) {
            assert_true(out.scene->valid[nm_scene_at(out.scene, 0, step)]);
            assert_false(out.scene->valid[nm_scene_at(out.scene, 1, step)]);
            assert_false(out.scene->valid[nm_scene_at(out.scene, 2, step)]);
        }
        nm_scene_destroy(out.scene);
    }
    nm_scene_destroy(scene);
    nm_map_release(road);
    nm_scene_builder_destroy(builder);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

/// Where the recording goes on to the last token, that token's last state is the recorded one.
/// An untrained network expects what the prior says, more or less: one car drives off the end of the road and is gone,
/// one does not get there, and who walks past the end of it does not belong to the road.
static void test_end_of_the_map(void **state) {
    (void)state;
    stage s = stage_open();
    nm_error error;
    nm_model_config shape = small_config(2);
    nm_token_fit_model(&s.recipe.tokens, &shape);
    nm_model_destroy(s.model);
    assert_int_equal(nm_model_create(&shape, s.backend, 1, &s.model, &error), NM_OK);
    static const nm_test_agent agents[] = {
        {.x = 8.5, .speed = 20.0}, // at 58.5 m now, in 2 s at 98.5 m: its front is beyond the end
        {.x = 10.0, .y = 3.5, .speed = 1.0},
        {.x = 96.0, .y = 1.0, .speed = 1.5, .type = NM_AGENT_PEDESTRIAN}};
    const nm_scene *scene = nm_test_scene(nm_test_road(100.0), agents, 3, 26);
    nm_scene_generator_config config = config_of(1);
    config.guidance = (nm_guidance_config){0};
    nm_scene_generator *g = open_generator(&s, &config);
    const nm_scene_request request = {.scene = scene, .current_step = 25, .parameters = "{}"};
    const nm_scene *out = one(g, &request);
    assert_in_range(out->tracks[0].last_step, 25 + 15, 25 + 29); // 23 steps, give or take
    const size_t last = nm_scene_at(out, 0, out->tracks[0].last_step);
    assert_true(out->x[last] > 70.0f && out->x[last] + 0.5f * out->tracks[0].length < 100.0f);
    assert_int_equal(out->tracks[1].last_step, 25 + 30);
    assert_int_equal(out->tracks[2].last_step, 25 + 30);
    nm_scene_destroy(out);
    nm_scene_destroy(scene);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

static void test_goals(void **state) {
    (void)state;
    stage s = stage_open();
    const nm_scene_generator_config config = config_of(1);
    nm_scene_generator *g = open_generator(&s, &config);
    nm_scene_request request = request_of(&s, 0);
    const uint32_t last = 25 + 6 * NM_TOKEN_STEPS;
    double distance[2] = {0.0, 0.0};
    for (int goal = 0; goal < 2; goal++) {
        request.task = goal ? NM_TASK_GOAL : NM_TASK_FREE;
        const nm_scene *scene = one(g, &request);
        for (uint32_t i = 0; i < scene->track_count; i++) {
            const size_t a = nm_scene_at(s.scene[0], i, last), b = nm_scene_at(scene, i, last);
            int whole = scene->valid[b]; // a goal is a whole logged token
            for (uint32_t k = 0; k < NM_TOKEN_STEPS; k++) whole = whole && s.scene[0]->valid[a - k];
            if (!whole) continue;
            distance[goal] = fmax(distance[goal], hypot((double)(scene->x[b] - s.scene[0]->x[a]),
                                                        (double)(scene->y[b] - s.scene[0]->y[a])));
        }
        nm_scene_destroy(scene);
    }
    assert_true(distance[0] > 0.5);
    assert_true(distance[1] < 1e-3);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

static void test_refused(void **state) {
    (void)state;
    stage s = stage_open();
    const nm_scene_generator_config config = config_of(2);
    nm_scene_generator *g = open_generator(&s, &config);
    nm_error error;
    nm_scene_request request = request_of(&s, 0), late = request;
    add(g, &request);
    late.current_step = 5000;
    assert_int_equal(nm_scene_generator_add(g, &late, &error), NM_E_ARGUMENT);
    const nm_scene *nobody = nm_test_scene(nm_test_road(100.0), NULL, 0, 40);
    late = request;
    late.scene = nobody;
    assert_int_equal(nm_scene_generator_add(g, &late, &error), NM_E_NOT_FOUND);
    assert_int_equal(nm_scene_generator_count(g), 1);
    add(g, &request);
    assert_int_equal(nm_scene_generator_add(g, &request, &error), NM_E_LIMIT);
    nm_generated_scene out[2];
    assert_int_equal(nm_scene_generator_run(g, out, NULL, &error), NM_OK);
    assert_int_equal(out[0].status, NM_OK);
    assert_true(out[0].scene->hash == out[1].scene->hash);
    nm_scene_destroy(out[0].scene);
    nm_scene_destroy(out[1].scene);
    assert_int_equal(nm_scene_generator_run(g, NULL, NULL, &error), NM_OK); // nothing to do
    nm_scene_generator_config none = config_of(0);
    nm_scene_generator *refused;
    assert_int_equal(nm_scene_generator_create(s.model, &s.recipe, &none, &refused, &error), NM_E_ARGUMENT);
    assert_null(refused);
    nm_scene_destroy(nobody);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

static int calls_left;
static int stop_later(void *context) {
    (void)context;
    return calls_left-- <= 0;
}

static void test_interrupted(void **state) {
    (void)state;
    stage s = stage_open();
    nm_scene_generator_config config = config_of(2);
    config.stop = stop_later;
    nm_scene_generator *g = open_generator(&s, &config);
    const nm_scene_request request = request_of(&s, 0);
    nm_generated_scene out[2];
    nm_error error;
    calls_left = 100;
    const nm_scene *before = one(g, &request);
    calls_left = 1; // in the second of three passes
    add(g, &request);
    add(g, &request);
    assert_int_equal(nm_scene_generator_run(g, out, NULL, &error), NM_E_CANCELLED);
    assert_int_equal(error.code, NM_E_CANCELLED);
    assert_int_equal(nm_scene_generator_count(g), 0);
    calls_left = 100;
    const nm_scene *after = one(g, &request);
    assert_true(before->hash == after->hash);
    nm_scene_destroy(before);
    nm_scene_destroy(after);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

/// One who is about to leave the numbers that a scene takes spoils his own scene and no other.
static void test_numeric(void **state) {
    (void)state;
    stage s = stage_open();
    const nm_scene_generator_config config = config_of(2);
    nm_scene_generator *g = open_generator(&s, &config);
    const nm_test_agent fast = {.x = 9.96e6, .speed = 1.6e4};
    const nm_scene *leaving = nm_test_scene(nm_test_road(100.0), &fast, 1, 21);
    nm_scene_request request = request_of(&s, 0), bad = request;
    bad.scene = leaving;
    bad.current_step = 20;
    nm_generated_scene out[2];
    nm_error error;
    add(g, &bad);
    add(g, &request);
    assert_int_equal(nm_scene_generator_run(g, out, NULL, &error), NM_OK);
    assert_int_equal(out[0].status, NM_E_NUMERIC);
    assert_null(out[0].scene);
    assert_true(out[0].error.message[0] != '\0');
    assert_int_equal(out[1].status, NM_OK);
    const nm_scene *again = one(g, &request);
    assert_true(again->hash == out[1].scene->hash);
    nm_scene_destroy(again);
    nm_scene_destroy(out[1].scene);
    nm_scene_destroy(leaving);
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

/// A model whose output is not finite: every request fails, the batch does not.
static void test_broken_model(void **state) {
    (void)state;
    stage s = stage_open();
    const nm_tensor values = nm_model_values(s.model);
    float *host = calloc(values.cols, sizeof *host);
    nm_error error;
    assert_non_null(host);
    for (size_t k = 0; k < values.cols; k++) host[k] = 1e30f;
    s.backend->ops->upload(s.backend, host, values);
    free(host);
    assert_int_equal(nm_model_repack(s.model, &error), NM_OK);
    const nm_scene_generator_config config = config_of(2);
    nm_scene_generator *g = open_generator(&s, &config);
    nm_generated_scene out[2];
    for (uint32_t count = 1; count <= 2; count++) {
        for (uint32_t n = 0; n < count; n++) {
            const nm_scene_request request = request_of(&s, n * SAMPLES);
            add(g, &request);
        }
        assert_int_equal(nm_scene_generator_run(g, out, NULL, &error), NM_OK);
        for (uint32_t n = 0; n < count; n++) {
            assert_int_equal(out[n].status, NM_E_NUMERIC);
            assert_int_equal(out[n].error.code, NM_E_NUMERIC);
            assert_null(out[n].scene);
        }
    }
    nm_scene_generator_destroy(g);
    stage_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_batch),
        cmocka_unit_test(test_what_is_scored),
        cmocka_unit_test(test_history_and_provenance),
        cmocka_unit_test(test_end_of_the_map),
        cmocka_unit_test(test_goals),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_numeric),
        cmocka_unit_test(test_broken_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
