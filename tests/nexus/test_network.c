/// What a pass promises, on every backend.
#include "backends_support.h"
#include "network_support.h"

enum { CHANNELS = 3 };

typedef struct fixture {
    nm_model *model;
    nm_pass *pass;
} fixture;

static fixture make_of(nm_backend *backend, const nm_model_config *config, int training) {
    nm_error error;
    fixture f;
    const nm_batch_capacity capacity = {4, 4 * SCENE_AGENTS * SCENE_STEPS, 4 * SCENE_POINTS};
    assert_int_equal(nm_model_create(config, backend, 1, &f.model, &error), NM_OK);
    randomise_model(f.model, 5);
    assert_int_equal(nm_pass_create(f.model, &capacity, training, &f.pass, &error), NM_OK);
    return f;
}

static fixture make(nm_backend *backend, int variant, int training) {
    const nm_model_config config = small_config(variant);
    return make_of(backend, &config, training);
}

static void destroy(fixture *f) {
    nm_pass_destroy(f->pass);
    nm_model_destroy(f->model);
}

/// Predicts for scenes with tokens made from `seed`; v has room for all.
static void predict(fixture *f, const nm_token_scene *scenes, uint32_t count, uint64_t seed, float *v) {
    nm_error error;
    if (nm_pass_set_scenes(f->pass, scenes, count, &error) != NM_OK) fail_msg("%s", error.message);
    random_tokens t = make_tokens(nm_pass_batch(f->pass), &f->model->config, seed);
    if (nm_pass_predict(f->pass, &t.input, v, &error) != NM_OK) fail_msg("%s", error.message);
    free_tokens(&t);
}

static void on_every_backend(void (*check)(nm_backend *backend, double tolerance, int variant)) {
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int i = 0; i < count; ++i)
        for (int variant = 0; variant < NETWORK_VARIANTS; ++variant)
            check(backends[i].backend, backends[i].tolerance, variant);
    close_backends(backends, count);
}

static void alone_and_in_a_batch(nm_backend *backend, double tolerance, int variant) {
    (void)tolerance;
    fixture f = make(backend, variant, 0);
    random_scene memory[3];
    nm_token_scene scenes[3];
    // random_value of a token depends on its scene's number, so the scene under test is the first
    for (uint32_t i = 0; i < 3; ++i)
        scenes[i] = make_scene(&memory[i], 20 + i, SCENE_AGENTS - i, SCENE_POINTS - 3 * i, &f.model->config);
    float alone[SCENE_AGENTS * SCENE_STEPS * CHANNELS], together[3 * SCENE_AGENTS * SCENE_STEPS * CHANNELS];
    predict(&f, scenes, 1, 9, alone);
    const size_t size = (size_t)nm_pass_batch(f.pass)->tokens * CHANNELS * sizeof *alone;
    predict(&f, scenes, 3, 9, together);
    if (memcmp(alone, together, size) != 0)
        fail_msg("%s, variant %d: a batch changes its scenes", backend->name, variant);
    destroy(&f);
}

static void a_scene_alone_equals_the_scene_in_a_batch(void **state) {
    (void)state;
    on_every_backend(alone_and_in_a_batch);
}

enum { LARGE_AGENTS = 30, LARGE_STEPS = 10, LARGE_POINTS = 150 };

/// Memory of a scene all lists of which are longer than the alignment of a pass's memory.
typedef struct large_scene {
    uint8_t valid[LARGE_AGENTS * LARGE_STEPS];
    uint32_t map_agent[LARGE_POINTS];
    float map[LARGE_POINTS * 5];
} large_scene;

static nm_token_scene make_large(large_scene *s, uint64_t seed, uint32_t agents, uint32_t points, int polylines) {
    for (uint32_t i = 0; i < agents * LARGE_STEPS; ++i) s->valid[i] = random_value(seed, 2, i) > -0.7f;
    for (uint32_t i = 0; i < points * 5; ++i) s->map[i] = random_value(seed, 4, i);
    for (uint32_t i = 0; i < points; ++i) s->map_agent[i] = i % agents;
    return (nm_token_scene){.agents = agents,
                            .steps = LARGE_STEPS,
                            .valid = s->valid,
                            .points = points,
                            .map = s->map,
                            .map_agent = polylines ? s->map_agent : NULL};
}

/// Views that overlap would let one scene write over another's.
static void large_ones(nm_backend *backend, double tolerance, int variant) {
    (void)tolerance;
    nm_error error;
    fixture f;
    large_scene *memory = malloc(3 * sizeof *memory);
    const size_t room = (size_t)3 * LARGE_AGENTS * LARGE_STEPS * CHANNELS * sizeof(float);
    float *alone = malloc(room), *together = malloc(room);
    assert_true(memory && alone && together);
    const nm_model_config config = small_config(variant);
    const nm_batch_capacity capacity = {3, 3 * LARGE_AGENTS * LARGE_STEPS, 3 * LARGE_POINTS};
    assert_int_equal(nm_model_create(&config, backend, 1, &f.model, &error), NM_OK);
    randomise_model(f.model, 5);
    assert_int_equal(nm_pass_create(f.model, &capacity, 0, &f.pass, &error), NM_OK);
    nm_token_scene scenes[3];
    for (uint32_t i = 0; i < 3; ++i)
        scenes[i] = make_large(&memory[i], 80 + i, LARGE_AGENTS - 3 * i, LARGE_POINTS - 20 * i, variant >= 2);
    predict(&f, scenes, 1, 9, alone);
    const size_t size = (size_t)nm_pass_batch(f.pass)->tokens * CHANNELS * sizeof *alone;
    predict(&f, scenes, 3, 9, together);
    if (memcmp(alone, together, size) != 0)
        fail_msg("%s, variant %d: a batch changes its scenes", backend->name, variant);
    free(memory);
    free(alone);
    free(together);
    destroy(&f);
}

static void large_scenes_leave_each_other_alone(void **state) {
    (void)state;
    on_every_backend(large_ones);
}

static void with_padding(nm_backend *backend, double tolerance, int variant) {
    (void)tolerance;
    fixture f = make(backend, variant, 0);
    random_scene memory;
    uint8_t padded[(SCENE_AGENTS + 40) * SCENE_STEPS] = {0};
    nm_token_scene scene = make_scene(&memory, 30, SCENE_AGENTS, SCENE_POINTS, &f.model->config);
    float plain[SCENE_AGENTS * SCENE_STEPS * CHANNELS], more[SCENE_AGENTS * SCENE_STEPS * CHANNELS];
    predict(&f, &scene, 1, 9, plain);
    const uint32_t tokens = nm_pass_batch(f.pass)->tokens;
    const double flops = nm_pass_flops(f.pass);
    memcpy(padded, memory.valid, sizeof memory.valid);
    scene.agents += 40;
    scene.valid = padded;
    predict(&f, &scene, 1, 9, more);
    assert_int_equal(nm_pass_batch(f.pass)->tokens, tokens);
    assert_true(nm_pass_flops(f.pass) == flops);
    assert_memory_equal(plain, more, (size_t)tokens * CHANNELS * sizeof *plain);
    destroy(&f);
}

static void padding_is_not_computed(void **state) {
    (void)state;
    on_every_backend(with_padding);
}

/// Scenes that are almost not there, one after the other in the same pass.
static void bare_scenes(nm_backend *backend, double tolerance, int variant) {
    (void)tolerance;
    fixture f = make(backend, variant, 0);
    random_scene memory[4];
    float v[2 * SCENE_AGENTS * SCENE_STEPS * CHANNELS];
    const nm_model_config *config = &f.model->config;
    nm_token_scene no_map = make_scene(&memory[0], 40, SCENE_AGENTS, 0, config);
    nm_token_scene no_token = make_scene(&memory[1], 41, SCENE_AGENTS, SCENE_POINTS, config);
    memset(memory[1].valid, 0, sizeof memory[1].valid);
    nm_token_scene no_agent = make_scene(&memory[2], 42, 0, 0, config);
    nm_token_scene one = make_scene(&memory[3], 43, 1, SCENE_POINTS, config);
    one.steps = 1;
    memory[3].valid[0] = 1;
    predict(&f, NULL, 0, 1, v);
    predict(&f, &no_token, 1, 1, v);
    predict(&f, &no_agent, 1, 1, v);
    assert_int_equal(nm_pass_batch(f.pass)->tokens, 0);
    predict(&f, &no_map, 1, 1, v);
    for (size_t i = 0; i < (size_t)nm_pass_batch(f.pass)->tokens * CHANNELS; ++i) assert_true(isfinite(v[i]));
    predict(&f, &one, 1, 1, v);
    assert_int_equal(nm_pass_batch(f.pass)->tokens, 1);
    const nm_token_scene all[] = {no_token, one, no_agent, no_map};
    predict(&f, all, 4, 1, v);
    assert_int_equal(nm_pass_batch(f.pass)->scenes, 4);
    destroy(&f);
}

static void scenes_without_map_tokens_or_agents(void **state) {
    (void)state;
    on_every_backend(bare_scenes);
}

enum { ODD_CONFIGS = 6 };

/// Widths that no vector or tile fits, down to the least that a model may have.
static nm_model_config odd_config(int which) {
    static const struct {
        uint32_t hidden, heads, cross_heads, self_heads, frequencies, map_channels, latents, widening;
    } sizes[ODD_CONFIGS] = {{8, 8, 8, 8, 2, 1, 1, 1},    {9, 3, 9, 1, 2, 2, 1, 3},       {25, 5, 1, 25, 6, 16, 5, 1},
                            {40, 5, 2, 4, 10, 7, 17, 2}, {100, 4, 4, 10, 258, 3, 33, 1}, {66, 1, 1, 2, 34, 5, 3, 5}};
    nm_model_config c = small_config(which % 3);
    c.hidden = sizes[which].hidden;
    c.heads = sizes[which].heads;
    c.encoder_cross_heads = sizes[which].cross_heads;
    c.encoder_self_heads = sizes[which].self_heads;
    c.frequencies = sizes[which].frequencies;
    c.map_channels = sizes[which].map_channels;
    c.latents = sizes[which].latents;
    c.widening = sizes[which].widening;
    if (c.hidden / c.heads % 2) c.rotary = 0;
    return c;
}

/// Every backend predicts what the reference predicts.
static void fast_backends_agree_with_the_reference(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int variant = 0; variant < 4 + ODD_CONFIGS; ++variant) {
        float expected[SCENE_AGENTS * SCENE_STEPS * CHANNELS], got[SCENE_AGENTS * SCENE_STEPS * CHANNELS];
        for (int i = 0; i < count; ++i) {
            const nm_model_config config = variant < 4 ? small_config(variant) : odd_config(variant - 4);
            fixture f = make_of(backends[i].backend, &config, 0);
            random_scene memory;
            const nm_token_scene scene = make_scene(&memory, 50, SCENE_AGENTS, SCENE_POINTS, &f.model->config);
            predict(&f, &scene, 1, 9, i == 0 ? expected : got);
            double worst = 0.0, largest = 0.0;
            for (size_t k = 0; i > 0 && k < (size_t)nm_pass_batch(f.pass)->tokens * CHANNELS; ++k) {
                worst = fmax(worst, fabs((double)got[k] - expected[k]));
                largest = fmax(largest, fabs((double)expected[k]));
            }
            if (worst > backends[i].tolerance * largest)
                fail_msg("%s, variant %d: off by %g of %g", backends[i].backend->name, variant, worst, largest);
            destroy(&f);
        }
    }
    close_backends(backends, count);
}

/// Gradients too: of the whole network, relative to the largest of their tensor.
static void fast_backends_train_like_the_reference(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int variant = 0; variant < 4 + ODD_CONFIGS; ++variant) {
        float *expected = NULL;
        for (int i = 0; i < count; ++i) {
            nm_error error;
            double loss;
            const nm_model_config config = variant < 4 ? small_config(variant) : odd_config(variant - 4);
            fixture f = make_of(backends[i].backend, &config, 1);
            random_scene memory;
            const nm_token_scene scene = make_scene(&memory, 50, SCENE_AGENTS, SCENE_POINTS, &f.model->config);
            assert_int_equal(nm_pass_set_scenes(f.pass, &scene, 1, &error), NM_OK);
            random_tokens t = make_tokens(nm_pass_batch(f.pass), &f.model->config, 9);
            nm_pass_zero_gradients(f.pass);
            assert_int_equal(nm_pass_train(f.pass, &t.input, &t.target, &loss, &error), NM_OK);
            const nm_tensor gradients = nm_pass_gradients(f.pass);
            float *got = malloc(gradients.cols * sizeof *got);
            assert_non_null(got);
            backends[i].backend->ops->download(backends[i].backend, gradients, got);
            assert_int_equal(backends[i].backend->ops->synchronize(backends[i].backend, &error), NM_OK);
            double square = 0.0, difference = 0.0;
            for (uint32_t k = 0; i > 0 && k < gradients.cols; ++k) {
                square += (double)expected[k] * expected[k];
                difference += ((double)got[k] - expected[k]) * ((double)got[k] - expected[k]);
            }
            if (sqrt(difference) > backends[i].tolerance * sqrt(square))
                fail_msg("%s, variant %d: gradients off by %g of %g", backends[i].backend->name, variant,
                         sqrt(difference), sqrt(square));
            if (i == 0)
                expected = got;
            else
                free(got);
            free_tokens(&t);
            destroy(&f);
        }
        free(expected);
    }
    close_backends(backends, count);
}

/// Weights that change under a pass are in its next prediction: times and maps too, which are encoded with the scenes.
static void renewed_weights(nm_backend *backend, double tolerance, int variant) {
    (void)tolerance;
    nm_error error;
    fixture f = make(backend, variant, 0);
    random_scene memory;
    const nm_token_scene scene = make_scene(&memory, 50, SCENE_AGENTS, SCENE_POINTS, &f.model->config);
    float expected[SCENE_AGENTS * SCENE_STEPS * CHANNELS], got[SCENE_AGENTS * SCENE_STEPS * CHANNELS];
    float latents[2][4 * 16];
    predict(&f, &scene, 1, 9, got);
    randomise_model(f.model, 6);
    random_tokens t = make_tokens(nm_pass_batch(f.pass), &f.model->config, 9);
    assert_int_equal(nm_pass_predict(f.pass, &t.input, got, &error), NM_OK);
    predict(&f, &scene, 1, 9, expected);
    if (memcmp(got, expected, (size_t)nm_pass_batch(f.pass)->tokens * CHANNELS * sizeof *got) != 0)
        fail_msg("%s, variant %d: a pass goes on with old weights", backend->name, variant);
    if (variant < 2) {
        randomise_model(f.model, 7);
        assert_int_equal(nm_pass_latents(f.pass, latents[0], &error), NM_OK);
        assert_int_equal(nm_pass_set_scenes(f.pass, &scene, 1, &error), NM_OK);
        assert_int_equal(nm_pass_latents(f.pass, latents[1], &error), NM_OK);
        assert_memory_equal(latents[0], latents[1], sizeof latents[0]);
    }
    free_tokens(&t);
    destroy(&f);
}

static void a_pass_follows_its_weights(void **state) {
    (void)state;
    on_every_backend(renewed_weights);
}

/// What the operations were asked for, by the reference backend below.
static struct {
    double flops;
    size_t bytes;
    nm_linear_forward *linear;
    nm_attention_forward *attention;
    void *(*allocate)(nm_backend *backend, size_t bytes);
} seen;

static void seen_linear(nm_backend *backend, const nm_linear *op) {
    seen.flops += 2.0 * op->x.rows * op->x.cols * op->y.cols;
    seen.linear(backend, op);
}
static void seen_attention(nm_backend *backend, const nm_attention *op) {
    const nm_groups *g = op->groups;
    for (uint32_t i = 0; i < g->count; ++i)
        seen.flops += 4.0 * op->q.cols * (g->query_offsets[i + 1] - g->query_offsets[i]) *
                      (g->key_offsets[i + 1] - g->key_offsets[i]);
    seen.attention(backend, op);
}
static void *seen_allocate(nm_backend *backend, size_t bytes) {
    seen.bytes += bytes;
    return seen.allocate(backend, bytes);
}

/// A pass says what it takes: as many operations and bytes as the backend is asked for.
static void the_cost_of_a_pass_is_what_it_says(void **state) {
    (void)state;
    nm_error error;
    nm_backend *reference;
    assert_int_equal(nm_backend_create_reference(&reference, &error), NM_OK);
    nm_backend backend = *reference;
    nm_ops ops = *reference->ops;
    backend.ops = &ops;
    seen.linear = ops.linear, ops.linear = seen_linear;
    seen.attention = ops.attention, ops.attention = seen_attention;
    seen.allocate = ops.allocate, ops.allocate = seen_allocate;
    for (int variant = 0; variant < 4; ++variant) { // for blocks see test_network_joint.c
        for (int training = 0; training < 2; ++training) {
            random_scene memory;
            float v[SCENE_AGENTS * SCENE_STEPS * CHANNELS];
            fixture f;
            const nm_model_config config = small_config(variant);
            const nm_batch_capacity capacity = {1, SCENE_AGENTS * SCENE_STEPS, SCENE_POINTS};
            assert_int_equal(nm_model_create(&config, &backend, 1, &f.model, &error), NM_OK);
            seen.bytes = 0;
            assert_int_equal(nm_pass_create(f.model, &capacity, training, &f.pass, &error), NM_OK);
            assert_in_range(seen.bytes - nm_pass_bytes(f.model, &capacity, training), 0, sizeof(double));
            const nm_token_scene scene = make_scene(&memory, 50, SCENE_AGENTS, SCENE_POINTS, &f.model->config);
            predict(&f, &scene, 1, 9, v);
            random_tokens t = make_tokens(nm_pass_batch(f.pass), &config, 9);
            seen.flops = 0.0;
            assert_int_equal(nm_pass_predict(f.pass, &t.input, v, &error), NM_OK);
            assert_true(seen.flops > 1e4);
            assert_true(fabs(seen.flops - nm_pass_flops(f.pass)) < 0.5);
            free_tokens(&t);
            destroy(&f);
        }
    }
    nm_backend_destroy(reference);
}

static void values_that_are_not_finite_are_refused(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    double loss;
    float v[SCENE_AGENTS * SCENE_STEPS * CHANNELS];
    random_scene memory;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    fixture f = make(backend, 1, 1);
    const nm_token_scene scene = make_scene(&memory, 60, SCENE_AGENTS, SCENE_POINTS, &f.model->config);
    assert_int_equal(nm_pass_set_scenes(f.pass, &scene, 1, &error), NM_OK);
    random_tokens t = make_tokens(nm_pass_batch(f.pass), &f.model->config, 9);
    nm_pass_zero_gradients(f.pass);
    const size_t size = nm_pass_gradients(f.pass).cols * sizeof(double);
    void *zeros = calloc(1, size);
    assert_non_null(zeros);
    const struct {
        float *values;
        const char *name;
        int target;
    } parts[] = {{t.known, "known value", 0},   {t.mask, "mask", 0},   {t.noised, "noised value", 0},
                 {t.condition, "condition", 0}, {t.level, "level", 0}, {t.pose, "pose", 0},
                 {t.noise, "noise", 1},         {t.alpha, "alpha", 1}, {t.sigma, "sigma", 1},
                 {t.weight, "weight", 1}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) {
        for (int infinite = 0; infinite < 2; ++infinite) {
            const float before = parts[i].values[2];
            parts[i].values[2] = infinite ? -INFINITY : NAN;
            if (!parts[i].target) {
                assert_int_equal(nm_pass_predict(f.pass, &t.input, v, &error), NM_E_NUMERIC);
                assert_ptr_equal(strstr(error.message, parts[i].name), error.message);
            }
            assert_int_equal(nm_pass_train(f.pass, &t.input, &t.target, &loss, &error), NM_E_NUMERIC);
            assert_ptr_equal(strstr(error.message, parts[i].name), error.message);
            parts[i].values[2] = before;
        }
    }
    assert_memory_equal(nm_pass_gradients(f.pass).data, zeros, size);
    t.weight[2] = 3e38f; // finite, but not what comes of it in a float
    t.noise[2 * CHANNELS] = 1e6f;
    assert_int_equal(nm_pass_train(f.pass, &t.input, &t.target, &loss, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "loss"));

    double *values = nm_model_values(f.model).data; // a bias of the output
    const nm_parameter *parameters;
    const size_t count = nm_model_parameters(f.model, &parameters);
    for (size_t i = 0; i < count; ++i)
        if (strstr(parameters[i].name, "output_proj.bias")) values[parameters[i].offset + 1] = NAN;
    assert_int_equal(nm_pass_predict(f.pass, &t.input, v, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "prediction of scene 0, agent 0, step"));
    free(zeros);
    free_tokens(&t);
    destroy(&f);
    nm_backend_destroy(backend);
}

static void bad_input_is_refused_by_name(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    fixture f = make(backend, 2, 0);
    random_scene memory;
    nm_token_scene scene = make_scene(&memory, 60, SCENE_AGENTS, SCENE_POINTS, &f.model->config);
    memset(memory.valid, 1, sizeof memory.valid);
    memset(memory.map_valid, 1, sizeof memory.map_valid);
    float v[SCENE_AGENTS * SCENE_STEPS * CHANNELS];

    memory.map[7 * f.model->config.map_channels + 2] = NAN;
    assert_int_equal(nm_pass_set_scenes(f.pass, &scene, 1, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "scene 0, map row 7, channel 2"));
    assert_int_equal(nm_pass_batch(f.pass)->tokens, 0); // and nothing is left of it
    memory.map[7 * f.model->config.map_channels + 2] = 0.0f;
    memory.map_agent[3] = SCENE_AGENTS;
    assert_int_equal(nm_pass_set_scenes(f.pass, &scene, 1, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "map row 3"));
    memory.map_agent[3] = 0;
    scene.map_agent = NULL; // polylines of nobody would have no influence
    assert_int_equal(nm_pass_set_scenes(f.pass, &scene, 1, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "scene 0"));
    assert_int_equal(nm_pass_batch(f.pass)->tokens, 0);
    scene.map_agent = memory.map_agent;
    const nm_token_scene five[5] = {scene, scene, scene, scene, scene};
    assert_int_equal(nm_pass_set_scenes(f.pass, five, 5, &error), NM_E_LIMIT);

    assert_int_equal(nm_pass_set_scenes(f.pass, &scene, 1, &error), NM_OK);
    random_tokens t = make_tokens(nm_pass_batch(f.pass), &f.model->config, 9);
    const uint32_t row = 2 * SCENE_STEPS + 3; // agent 2, step 3
    t.noised[row * CHANNELS + 1] = INFINITY;
    assert_int_equal(nm_pass_predict(f.pass, &t.input, v, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "noised value of scene 0, agent 2, step 3, channel 1"));
    t.noised[row * CHANNELS + 1] = 0.0f;
    t.level[row] = 1.5f;
    assert_int_equal(nm_pass_predict(f.pass, &t.input, v, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "level of scene 0, agent 2, step 3: 1.5"));
    t.level[row] = NAN;
    assert_int_equal(nm_pass_predict(f.pass, &t.input, v, &error), NM_E_NUMERIC);
    t.level[row] = 1.0f;
    assert_int_equal(nm_pass_predict(f.pass, &t.input, v, &error), NM_OK);
    free_tokens(&t);
    destroy(&f);
    nm_backend_destroy(backend);
}

static void check_largest(const nm_groups *g, uint32_t queries, uint32_t keys) {
    uint32_t most_queries = 0, most_keys = 0;
    for (uint32_t i = 0; i < g->count; ++i) {
        const uint32_t some = g->query_offsets[i + 1] - g->query_offsets[i];
        const uint32_t others = g->key_offsets[i + 1] - g->key_offsets[i];
        most_queries = some > most_queries ? some : most_queries;
        most_keys = others > most_keys ? others : most_keys;
    }
    assert_int_equal(g->max_queries, most_queries);
    assert_int_equal(g->max_keys, most_keys);
    assert_int_equal(g->query_offsets[g->count], queries);
    assert_int_equal(g->key_offsets[g->count], keys);
}

/// A backend may make room for the largest group: it is as large as is said, on both sides.
static void groups_are_as_large_as_they_say(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    for (int variant = 0; variant < 3; variant += 2) {
        random_scene memory[2];
        fixture f = make(backend, variant, 0);
        const nm_model_config *c = &f.model->config;
        const nm_token_scene scenes[2] = {make_scene(&memory[0], 70, SCENE_AGENTS, SCENE_POINTS, c),
                                          make_scene(&memory[1], 71, SCENE_AGENTS - 1, SCENE_POINTS - 5, c)};
        assert_int_equal(nm_pass_set_scenes(f.pass, scenes, 2, &error), NM_OK);
        const nm_batch *b = nm_pass_batch(f.pass);
        const uint32_t latents = 2 * c->latents;
        check_largest(&f.pass->by_agent, b->tokens, b->tokens);
        check_largest(&f.pass->by_time, b->tokens, b->tokens);
        if (variant == 0) {
            check_largest(&f.pass->to_map, b->tokens, latents);
            check_largest(&f.pass->to_points, latents, b->points);
            check_largest(&f.pass->among_latents, latents, latents);
        } else {
            check_largest(&f.pass->to_map, b->tokens, b->map_by_agent.offsets[b->map_by_agent.count]);
        }
        destroy(&f);
    }
    nm_backend_destroy(backend);
}

static void capacities_over_the_limit_are_refused(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    nm_model *model;
    nm_pass *pass;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_model_config config = small_config(0);
    assert_int_equal(nm_model_create(&config, backend, 1, &model, &error), NM_OK);
    const nm_batch_capacity bad[] = {{NM_BATCH_MAX_ROWS / 4, 1, 1}, // with 4 latents each
                                     {1, NM_BATCH_MAX_ROWS, 1},
                                     {1, 1, UINT32_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        assert_int_equal(nm_pass_create(model, &bad[i], 0, &pass, &error), NM_E_LIMIT);
        assert_null(pass);
    }
    const nm_batch_capacity none = {0, 0, 0};
    assert_int_equal(nm_pass_create(model, &none, 1, &pass, &error), NM_OK);
    nm_pass_destroy(pass);
    nm_model_destroy(model);
    nm_backend_destroy(backend);
}

static void levels_are_counted_once(void **state) {
    (void)state;
    nm_error error;
    nm_levels levels;
    enum { TOKENS = 1000 };
    float values[TOKENS];
    assert_int_equal(nm_levels_create(TOKENS, &levels, &error), NM_OK);
    for (uint32_t distinct = 1; distinct <= TOKENS; distinct = 3 * distinct + 1) {
        for (uint32_t i = 0; i < TOKENS; ++i) values[i] = (float)((i * 7919) % distinct) / 64.0f;
        nm_levels_find(&levels, values, TOKENS);
        assert_int_equal(levels.count, distinct);
        uint32_t next = 0;
        for (uint32_t e = 0; e < levels.count; ++e) {
            for (uint32_t k = levels.offsets[e]; k < levels.offsets[e + 1]; ++k, ++next) {
                assert_int_equal(levels.index[levels.rows[k]], e);
                assert_true(levels.values[e] == values[levels.rows[k]]);
                assert_true(k == levels.offsets[e] || levels.rows[k] > levels.rows[k - 1]);
            }
        }
        assert_int_equal(next, TOKENS);
    }
    nm_levels_destroy(&levels);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scene_alone_equals_the_scene_in_a_batch),
        cmocka_unit_test(large_scenes_leave_each_other_alone),
        cmocka_unit_test(padding_is_not_computed),
        cmocka_unit_test(scenes_without_map_tokens_or_agents),
        cmocka_unit_test(fast_backends_agree_with_the_reference),
        cmocka_unit_test(fast_backends_train_like_the_reference),
        cmocka_unit_test(a_pass_follows_its_weights),
        cmocka_unit_test(the_cost_of_a_pass_is_what_it_says),
        cmocka_unit_test(values_that_are_not_finite_are_refused),
        cmocka_unit_test(bad_input_is_refused_by_name),
        cmocka_unit_test(groups_are_as_large_as_they_say),
        cmocka_unit_test(capacities_over_the_limit_are_refused),
        cmocka_unit_test(levels_are_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
