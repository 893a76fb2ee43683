/// Training a small network: the loss falls, and a run that is saved and resumed goes on bit for bit.
#include <unistd.h>

#include "backends_support.h"
#include "network_support.h"
#include "nexus/optimizer.h"
#include "nexus/safetensors.h"

enum { TRAINING_STEPS = 10 };

typedef struct fixture {
    nm_model *model;
    nm_pass *pass;
    nm_optimizer *optimizer;
    random_scene memory;
    random_tokens tokens;
} fixture;

static fixture *make(nm_backend *backend, uint64_t seed, const nm_optimizer_config *config) {
    nm_error error;
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    const nm_model_config shape = small_config(1);
    const nm_batch_capacity capacity = {1, SCENE_AGENTS * SCENE_STEPS, SCENE_POINTS};
    assert_int_equal(nm_model_create(&shape, backend, seed, &f->model, &error), NM_OK);
    assert_int_equal(nm_pass_create(f->model, &capacity, 1, &f->pass, &error), NM_OK);
    assert_int_equal(nm_optimizer_create(f->model, config, &f->optimizer, &error), NM_OK);
    const nm_token_scene scene = make_scene(&f->memory, 3, SCENE_AGENTS, SCENE_POINTS, &shape);
    assert_int_equal(nm_pass_set_scenes(f->pass, &scene, 1, &error), NM_OK);
    f->tokens = make_tokens(nm_pass_batch(f->pass), &shape, 4);
    return f;
}

static void destroy(fixture *f) {
    free_tokens(&f->tokens);
    nm_optimizer_destroy(f->optimizer);
    nm_pass_destroy(f->pass);
    nm_model_destroy(f->model);
    free(f);
}

static double train_step(fixture *f) {
    nm_error error;
    double loss, norm;
    nm_pass_zero_gradients(f->pass);
    assert_int_equal(nm_pass_train(f->pass, &f->tokens.input, &f->tokens.target, &loss, &error), NM_OK);
    assert_int_equal(nm_optimizer_step(f->optimizer, f->pass, 0.01f, &norm, &error), NM_OK);
    assert_true(norm > 0.0);
    return loss;
}

static float *values_of(nm_backend *backend, const nm_model *model) {
    nm_error error;
    const nm_tensor values = nm_model_values(model);
    float *host = malloc(values.cols * sizeof *host);
    assert_non_null(host);
    backend->ops->download(backend, values, host);
    assert_int_equal(backend->ops->synchronize(backend, &error), NM_OK);
    return host;
}

/// The pass predicts what a new pass over a saved copy of the model predicts.
static void check_prediction(fixture *f, const char *path) {
    nm_error error;
    nm_model *copy;
    nm_pass *pass;
    const nm_batch_capacity capacity = {1, SCENE_AGENTS * SCENE_STEPS, SCENE_POINTS};
    float expected[SCENE_AGENTS * SCENE_STEPS * 3], got[SCENE_AGENTS * SCENE_STEPS * 3];
    assert_int_equal(nm_model_save(f->model, path, 0, &error), NM_OK);
    assert_int_equal(nm_model_load(path, NULL, f->model->backend, &copy, &error), NM_OK);
    assert_int_equal(nm_pass_create(copy, &capacity, 1, &pass, &error), NM_OK);
    const nm_token_scene scene = make_scene(&f->memory, 3, SCENE_AGENTS, SCENE_POINTS, &copy->config);
    assert_int_equal(nm_pass_set_scenes(pass, &scene, 1, &error), NM_OK);
    assert_int_equal(nm_pass_predict(pass, &f->tokens.input, expected, &error), NM_OK);
    assert_int_equal(nm_pass_predict(f->pass, &f->tokens.input, got, &error), NM_OK);
    assert_memory_equal(expected, got, (size_t)nm_pass_batch(pass)->tokens * 3 * sizeof *got);
    nm_pass_destroy(pass);
    nm_model_destroy(copy);
}

static void check_resume(nm_backend *backend, const char *path) {
    nm_error error;
    const nm_optimizer_config config = nm_optimizer_config_default();
    double curve[TRAINING_STEPS];
    fixture *f = make(backend, 1, &config);
    for (int i = 0; i < TRAINING_STEPS; ++i) {
        curve[i] = train_step(f);
        if (i == TRAINING_STEPS / 2 - 1) assert_int_equal(nm_optimizer_save(f->optimizer, path, 0, &error), NM_OK);
    }
    assert_true(curve[TRAINING_STEPS - 1] < 0.9 * curve[0]);
    fixture *resumed = make(backend, 2, &config); // other first values: all has to come out of the file
    if (nm_optimizer_load(resumed->optimizer, path, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_optimizer_steps(resumed->optimizer), TRAINING_STEPS / 2);
    for (int i = TRAINING_STEPS / 2; i < TRAINING_STEPS; ++i) {
        const double loss = train_step(resumed);
        if (memcmp(&loss, &curve[i], sizeof loss) != 0)
            fail_msg("%s: step %d after resuming: loss %.17g, before %.17g", backend->name, i, loss, curve[i]);
    }
    check_prediction(f, path); // of the values, then of the average
    assert_int_equal(nm_optimizer_swap_average(f->optimizer, &error), NM_OK);
    check_prediction(f, path);
    assert_int_equal(nm_optimizer_swap_average(f->optimizer, &error), NM_OK);
    for (int swap = 0; swap < 2; ++swap) { // the values, then the average
        float *straight = values_of(backend, f->model), *again = values_of(backend, resumed->model);
        assert_memory_equal(straight, again, nm_model_values(f->model).cols * sizeof *straight);
        free(straight);
        free(again);
        assert_int_equal(nm_optimizer_swap_average(f->optimizer, &error), NM_OK);
        assert_int_equal(nm_optimizer_swap_average(resumed->optimizer, &error), NM_OK);
    }
    destroy(resumed);
    destroy(f);
}

static void a_resumed_run_equals_an_unbroken_one(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    char path[] = "/tmp/nm_optimizer_XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    // files hold float32: all there is on the fast backends
    for (int i = 0; i < count; ++i)
        if (backends[i].backend->parameter == NM_F32) check_resume(backends[i].backend, path);
    unlink(path);
    close_backends(backends, count);
}

static void a_wrong_file_changes_nothing(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_optimizer_config config = nm_optimizer_config_default();
    fixture *f = make(backend, 1, &config);
    train_step(f);
    float *before = values_of(backend, f->model);
    assert_int_equal(
        nm_optimizer_load(f->optimizer, NM_SOURCE_DIR "/tests/nexus/golden/small-weights.safetensors", &error),
        NM_E_FORMAT);
    assert_non_null(strstr(error.message, "optimizer.values"));
    assert_int_equal(nm_optimizer_load(f->optimizer, "/nowhere/state.safetensors", &error), NM_E_NOT_FOUND);
    float *after = values_of(backend, f->model);
    assert_memory_equal(before, after, nm_model_values(f->model).cols * sizeof *before);
    assert_int_equal(nm_optimizer_steps(f->optimizer), 1);
    free(before);
    free(after);
    destroy(f);
    nm_backend_destroy(backend);
}

/// A state that is well-formed and would poison the run, or belongs to another model.
static void a_state_that_can_not_be_is_refused(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_optimizer_config config = nm_optimizer_config_default();
    fixture *f = make(backend, 1, &config);
    train_step(f);
    char path[] = "/tmp/nm_optimizer_XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);

    assert_int_equal(nm_optimizer_save(f->optimizer, path, 0, &error), NM_OK);
    nm_safetensors *saved;
    assert_int_equal(nm_safetensors_open(path, &saved, &error), NM_OK);
    const uint64_t place = nm_safetensors_find(saved, "optimizer.second")->offset;
    nm_safetensors_close(saved);
    const float negative = -1e-3f;
    FILE *bytes = fopen(path, "r+b");
    assert_non_null(bytes);
    assert_int_equal(fseek(bytes, (long)place + 8, SEEK_SET), 0);
    assert_int_equal(fwrite(&negative, sizeof negative, 1, bytes), 1);
    assert_int_equal(fclose(bytes), 0);
    assert_int_equal(nm_optimizer_load(f->optimizer, path, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "'optimizer.second' holds -0.001 at [2]"));
    assert_string_equal(error.input, path);

    // as many numbers, of another meaning: two inputs of a token fewer, one channel of the map more
    nm_model *other;
    nm_optimizer *others;
    nm_model_config shape = small_config(1);
    shape.map_channels++;
    shape.conditions -= 2;
    assert_int_equal(nm_model_create(&shape, backend, 1, &other, &error), NM_OK);
    assert_int_equal(nm_model_values(other).cols, nm_model_values(f->model).cols);
    assert_int_equal(nm_optimizer_create(other, &config, &others, &error), NM_OK);
    assert_int_equal(nm_optimizer_save(others, path, 0, &error), NM_OK);
    assert_int_equal(nm_optimizer_load(f->optimizer, path, &error), NM_E_FORMAT);
    nm_optimizer_destroy(others);
    nm_model_destroy(other);
    assert_int_equal(nm_optimizer_steps(f->optimizer), 1);
    unlink(path);
    destroy(f);
    nm_backend_destroy(backend);
}

static void rates_and_settings_that_make_no_sense_are_refused(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    nm_optimizer *none;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_optimizer_config config = nm_optimizer_config_default();
    fixture *f = make(backend, 1, &config);
    train_step(f);
    float *before = values_of(backend, f->model);
    const float rates[] = {NAN, INFINITY, -0.1f};
    for (int i = 0; i < 3; ++i)
        assert_int_equal(nm_optimizer_step(f->optimizer, f->pass, rates[i], NULL, &error), NM_E_ARGUMENT);
    float *after = values_of(backend, f->model);
    assert_memory_equal(before, after, nm_model_values(f->model).cols * sizeof *before);
    assert_int_equal(nm_optimizer_steps(f->optimizer), 1);
    free(before);
    free(after);
    for (int i = 0; i < 8; ++i) {
        nm_optimizer_config bad = config;
        if (i == 0) bad.beta1 = 1.0f;
        if (i == 1) bad.beta2 = NAN;
        if (i == 2) bad.epsilon = 0.0f;
        if (i == 3) bad.epsilon = INFINITY;
        if (i == 4) bad.decay = INFINITY;
        if (i == 5) bad.decay = -0.1f;
        if (i == 6) bad.clip = NAN;
        if (i == 7) bad.ema_decay = 1.0f;
        assert_int_equal(nm_optimizer_create(f->model, &bad, &none, &error), NM_E_ARGUMENT);
        assert_null(none);
    }
    destroy(f);
    nm_backend_destroy(backend);
}

/// One parameter and what belongs to it, stepped as train.h writes it down.
typedef struct scalar {
    double value, first, second, average;
} scalar;

static void step_scalar(scalar *s, double gradient, const nm_optimizer_config *c, double rate, int decays, int step) {
    const double b1 = (double)c->beta1, b2 = (double)c->beta2;
    s->first = b1 * s->first + (1 - b1) * gradient;
    s->second = b2 * s->second + (1 - b2) * gradient * gradient;
    const double direction =
        s->first / (1 - pow(b1, step)) / (sqrt(s->second / (1 - pow(b2, step))) + (double)c->epsilon);
    s->value -= rate * (direction + (decays ? (double)c->decay * s->value : 0.0));
    const double decay = (double)(float)fmin((double)c->ema_decay, (1.0 + step) / (10.0 + step));
    s->average += (1 - decay) * (s->value - s->average);
}

/// Weight decay pulls at matrices of linear layers alone.
static int decays(const char *name) {
    return strstr(name, ".weight") && !strstr(name, "norm");
}

static void steps_are_those_of_adamw(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_optimizer_config config = {
        .beta1 = 0.8f, .beta2 = 0.7f, .epsilon = 1e-3f, .decay = 0.3f, .clip = 0.0f, .ema_decay = 0.6f};
    fixture *f = make(backend, 1, &config);
    randomise_model(f->model, 5);
    nm_optimizer_destroy(f->optimizer); // the average is to begin with these values
    assert_int_equal(nm_optimizer_create(f->model, &config, &f->optimizer, &error), NM_OK);
    const nm_parameter *parameters;
    const size_t count = nm_model_parameters(f->model, &parameters);
    double *values = nm_model_values(f->model).data;
    const double *gradients = nm_pass_gradients(f->pass).data;
    scalar *expected = calloc(nm_model_values(f->model).cols, sizeof *expected);
    assert_non_null(expected);
    for (size_t i = 0; i < nm_model_values(f->model).cols; ++i)
        expected[i] = (scalar){.value = values[i], .average = values[i]};
    for (int step = 1; step <= 3; ++step) {
        double loss;
        nm_pass_zero_gradients(f->pass);
        assert_int_equal(nm_pass_train(f->pass, &f->tokens.input, &f->tokens.target, &loss, &error), NM_OK);
        for (size_t i = 0; i < count; ++i)
            for (size_t k = parameters[i].offset; k < parameters[i].offset + parameters[i].rows * parameters[i].cols;
                 ++k)
                step_scalar(&expected[k], gradients[k], &config, (double)0.01f, decays(parameters[i].name), step);
        assert_int_equal(nm_optimizer_step(f->optimizer, f->pass, 0.01f, NULL, &error), NM_OK);
    }
    for (int average = 0; average < 2; ++average) {
        for (size_t i = 0; i < count; ++i) {
            const size_t k = parameters[i].offset;
            const double right = average ? expected[k].average : expected[k].value;
            if (fabs(values[k] - right) > 1e-12)
                fail_msg("%s of %s: %.17g, not %.17g", average ? "average" : "value", parameters[i].name, values[k],
                         right);
        }
        assert_int_equal(nm_optimizer_swap_average(f->optimizer, &error), NM_OK);
    }
    free(expected);
    destroy(f);
    nm_backend_destroy(backend);
}

static void gradients_that_are_not_finite_change_nothing(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    const nm_optimizer_config config = nm_optimizer_config_default();
    fixture *f = make(backend, 1, &config);
    train_step(f);
    float *before = values_of(backend, f->model);
    ((double *)nm_pass_gradients(f->pass).data)[5] = NAN;
    double norm = 0.0;
    assert_int_equal(nm_optimizer_step(f->optimizer, f->pass, 0.01f, &norm, &error), NM_E_NUMERIC);
    assert_true(isnan(norm));
    float *after = values_of(backend, f->model);
    assert_memory_equal(before, after, nm_model_values(f->model).cols * sizeof *before);
    assert_int_equal(nm_optimizer_steps(f->optimizer), 1);
    free(before);
    free(after);
    destroy(f);
    nm_backend_destroy(backend);
}

/// Clipping scales the step's gradient to the norm that was asked for: with huge epsilon a step is proportional to it.
static void gradients_are_clipped(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    nm_optimizer_config config = {.beta1 = 0.0f, .beta2 = 0.0f, .epsilon = 1e6f, .clip = 1e-3f};
    double moved[2], norm = 0.0;
    for (int i = 0; i < 2; ++i) {
        fixture *f = make(backend, 1, &config);
        double loss;
        nm_pass_zero_gradients(f->pass);
        assert_int_equal(nm_pass_train(f->pass, &f->tokens.input, &f->tokens.target, &loss, &error), NM_OK);
        const size_t size = nm_model_values(f->model).cols;
        double *values = nm_model_values(f->model).data, *before = malloc(size * sizeof *before);
        assert_non_null(before);
        memcpy(before, values, size * sizeof *before);
        assert_int_equal(nm_optimizer_step(f->optimizer, f->pass, 1e6f, &norm, &error), NM_OK);
        moved[i] = 0.0;
        for (size_t k = 0; k < size; ++k) moved[i] += (values[k] - before[k]) * (values[k] - before[k]);
        moved[i] = sqrt(moved[i]);
        free(before);
        destroy(f);
        config.clip = 0.0f;
    }
    assert_true(norm > 2e-3);
    assert_true(fabs(moved[0] - 1e-3) < 1e-9);
    assert_true(fabs(moved[1] - norm) < 1e-3 * norm);
    nm_backend_destroy(backend);
}

/// A model in a file is the model.
static void a_saved_model_is_loaded_again(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend;
    assert_int_equal(nm_backend_create_reference(&backend, &error), NM_OK);
    char path[] = "/tmp/nm_model_XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    for (int variant = 0; variant < 4; ++variant) {
        nm_model *model, *again;
        nm_model_config shape = small_config(variant % 3);
        if (variant == 1) shape.map_mask = NM_MAP_MASK_PADDING;
        if (variant == 3) // nothing as published, and no two numbers alike
            shape = (nm_model_config){.channels = 5,
                                      .conditions = 6,
                                      .hidden = 16,
                                      .heads = 8,
                                      .blocks = 3,
                                      .widening = 7,
                                      .frequencies = 10,
                                      .map_channels = 9,
                                      .latents = 11,
                                      .encoder_cross_heads = 2,
                                      .encoder_self_heads = 4,
                                      .encoder_rounds = 1,
                                      .encoder_layers = 0};
        assert_int_equal(nm_model_create(&shape, backend, 1, &model, &error), NM_OK);
        randomise_model(model, 2);
        assert_int_equal(nm_model_save(model, path, 0, &error), NM_OK);
        if (nm_model_load(path, NULL, backend, &again, &error) != NM_OK) fail_msg("%s", error.message);
        nm_model_config got = *nm_model_get_config(again);
        if (variant == 2) // polylines have no latents: nothing in the file speaks of them
            got.latents = shape.latents, got.encoder_layers = shape.encoder_layers;
        got.attention = shape.attention; // nor of blocks of tokens, where attention is factored
        assert_memory_equal(&got, &shape, sizeof got);
        float *a = values_of(backend, model), *b = values_of(backend, again);
        assert_memory_equal(a, b, nm_model_values(model).cols * sizeof *a);
        free(a);
        free(b);
        nm_model_destroy(model);
        nm_model_destroy(again);
    }
    unlink(path);
    nm_backend_destroy(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resumed_run_equals_an_unbroken_one),
        cmocka_unit_test(a_wrong_file_changes_nothing),
        cmocka_unit_test(a_state_that_can_not_be_is_refused),
        cmocka_unit_test(rates_and_settings_that_make_no_sense_are_refused),
        cmocka_unit_test(steps_are_those_of_adamw),
        cmocka_unit_test(gradients_that_are_not_finite_change_nothing),
        cmocka_unit_test(gradients_are_clipped),
        cmocka_unit_test(a_saved_model_is_loaded_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
