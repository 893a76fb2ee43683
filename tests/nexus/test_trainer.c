/// Training on built-in traffic: the loss falls, and a run is the same for any number of threads and any slices.
#include <stdatomic.h>
#include <unistd.h>

#include "backends_support.h"
#include "base/rng.h"
#include "nexus/trainer.h"
#include "tokens_support.h"

/// Examples out of one driven scene: another moment and another ego for each number.
typedef struct traffic {
    const nm_scene *scene;
    nm_token_map *map;
    int spoil; ///< 1: one value of example 9 is not a number
    int fail;  ///< 1: there is no example 13
    atomic_int made;
} traffic;

static nm_token_config small_tokens(void) {
    nm_token_config c = nm_token_config_default(NM_TOKENS_AGENT);
    c.past = 2;
    c.future = 6;
    c.agents = 6;
    c.map_polylines = 8;
    return c;
}

static nm_status make_example(void *context, uint64_t number, nm_arena *arena, nm_tokens *tokens, nm_error *error) {
    traffic *t = context;
    atomic_fetch_add(&t->made, 1);
    if (t->fail && number == 13) return NM_ERROR(error, NM_E_FORMAT, "no example 13 today");
    const nm_rng_key key = {.seed = 5, .scene = number, .purpose = NM_PURPOSE_EXAMPLE};
    nm_token_request request = {.focus = NM_NONE, .generate = 0};
    request.current_step = 20 + nm_rng_below(&key, 0, 40);
    const nm_status status = nm_tokens_build(t->map, t->scene, &request, arena, tokens, error);
    if (status == NM_OK && t->spoil && number == 9)
        for (uint32_t k = 0; k < tokens->shape.steps * nm_token_channels(&tokens->config); ++k) tokens->values[k] = NAN;
    return status;
}

static traffic make_traffic(void) {
    nm_error error;
    traffic t = {.scene = tokens_rollout("junction_signal:density=20", 3, 100)};
    const nm_token_config config = small_tokens();
    assert_int_equal(nm_token_map_create(t.scene->map, &config, &t.map, &error), NM_OK);
    return t;
}

static void free_traffic(traffic *t) {
    nm_token_map_destroy(t->map);
    nm_scene_destroy(t->scene);
}

typedef struct fixture {
    nm_thread_pool *pool;
    nm_model *model;
    nm_trainer *trainer;
} fixture;

static nm_trainer_config small_run(void) {
    nm_trainer_config c = nm_trainer_config_default();
    c.seed = 11;
    c.scenes = 4;
    c.accumulate = 2;
    c.max_tokens = 6 * 9;
    c.max_map_rows = 6 * 8;
    c.rate = 3e-3f;
    c.warm_up = 5;
    c.steps = 60;
    c.optimizer.ema_decay = 0.9f;
    return c;
}

static fixture make_with(nm_backend *backend, traffic *t, int threads, int ahead) {
    nm_error error;
    fixture f = {0};
    const nm_token_config tokens = small_tokens();
    nm_model_config shape = nm_model_config_default();
    shape.hidden = 32;
    shape.blocks = 1;
    shape.widening = 2;
    shape.frequencies = 16;
    shape.rotary = 1;
    nm_token_fit_model(&tokens, &shape);
    nm_trainer_config config = small_run();
    config.ahead = ahead;
    if (threads > 0) assert_int_equal(nm_thread_pool_create(threads, &f.pool, &error), NM_OK);
    if (nm_model_create(&shape, backend, 1, &f.model, &error) != NM_OK) fail_msg("%s", error.message);
    const nm_example_source source = {t, make_example};
    if (nm_trainer_create(f.model, source, &config, f.pool, &f.trainer, &error) != NM_OK) fail_msg("%s", error.message);
    return f;
}

static fixture make(nm_backend *backend, traffic *t, int threads) {
    return make_with(backend, t, threads, 0);
}

static void destroy(fixture *f) {
    nm_trainer_destroy(f->trainer);
    nm_model_destroy(f->model);
    nm_thread_pool_destroy(f->pool);
}

static nm_train_report step(fixture *f) {
    nm_error error;
    nm_train_report report;
    if (nm_trainer_step(f->trainer, &report, &error) != NM_OK) fail_msg("%s", error.message);
    return report;
}

static nm_backend *float_backend(void) {
    nm_error error;
    nm_backend *backend;
    nm_backend_config config = nm_backend_config_default();
    config.compute = NM_F32;
    config.threads = 2;
    assert_int_equal(nm_backend_create_cpu(&config, &backend, &error), NM_OK);
    return backend;
}

static void the_loss_falls(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend = float_backend();
    traffic t = make_traffic();
    fixture f = make(backend, &t, 2);
    const nm_example_source source = {&t, make_example};
    double before, after, average;
    assert_int_equal(nm_trainer_validate(f.trainer, source, 99, 1000, 24, 0, &before, &error), NM_OK);
    for (int i = 0; i < 60; ++i) {
        const nm_train_report r = step(&f);
        assert_int_equal(r.step, i + 1);
        assert_int_equal(r.scenes, 8);
        assert_true(r.tokens > 100 && r.norm > 0.0 && r.flops > 1e6);
    }
    assert_int_equal(nm_trainer_validate(f.trainer, source, 99, 1000, 24, 0, &after, &error), NM_OK);
    assert_int_equal(nm_trainer_validate(f.trainer, source, 99, 1000, 24, 1, &average, &error), NM_OK);
    if (!(after < 0.6 * before)) fail_msg("the loss fell from %g to %g only", before, after);
    assert_true(average < before && average != after);
    double again; // looking changes nothing
    assert_int_equal(nm_trainer_validate(f.trainer, source, 99, 1000, 24, 0, &again, &error), NM_OK);
    assert_true(again == after);
    destroy(&f);
    free_traffic(&t);
    nm_backend_destroy(backend);
}

static void threads_do_not_matter(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    traffic t = make_traffic();
    double expected[6];
    static const int threads[] = {0, 1, 2, 3};
    for (int i = 0; i < 4; ++i) {
        fixture f = make(backend, &t, threads[i]);
        for (int k = 0; k < 6; ++k) {
            const double loss = step(&f).loss;
            if (i == 0) expected[k] = loss;
            assert_memory_equal(&loss, &expected[k], sizeof loss);
        }
        destroy(&f);
    }
    assert_true(expected[0] != expected[1]);
    free_traffic(&t);
    nm_backend_destroy(backend);
}

/// Examples are made while the pass before is computed, each once, and a validation in between does not disturb it.
static void examples_made_ahead_are_the_same(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend = float_backend();
    traffic t = make_traffic(), other = t;
    const nm_example_source validation = {&other, make_example};
    double expected[5];
    for (int ahead = 0; ahead < 2; ++ahead) {
        for (int threads = 0; threads < 3; threads += 2) {
            fixture f = make_with(backend, &t, threads, ahead);
            atomic_store(&t.made, 0);
            for (int k = 0; k < 5; ++k) {
                double loss = step(&f).loss, unused;
                if (!ahead && !threads) expected[k] = loss;
                assert_memory_equal(&loss, &expected[k], sizeof loss);
                if (k != 3) continue;
                assert_int_equal(nm_trainer_validate(f.trainer, validation, 99, 0, 6, 0, &unused, &error), NM_OK);
            }
            destroy(&f);
            assert_int_equal(atomic_load(&t.made), 5 * 8 + 4 * ahead); // those of the pass that did not come
        }
    }
    assert_int_equal(atomic_load(&other.made), 4 * 6);
    free_traffic(&t);
    nm_backend_destroy(backend);
}

static void a_failure_ahead_is_told_when_its_step_comes(void **state) {
    (void)state;
    nm_error error;
    nm_train_report report;
    nm_backend *backend = float_backend();
    traffic t = make_traffic();
    t.fail = 1;
    fixture f = make_with(backend, &t, 2, 1);
    step(&f); // examples 0 to 7; then 8 to 11 ahead, and while those are computed 12 to 15
    for (int again = 0; again < 2; ++again) {
        assert_int_equal(nm_trainer_step(f.trainer, &report, &error), NM_E_FORMAT);
        assert_non_null(strstr(error.message, "no example 13"));
        assert_int_equal(nm_trainer_step(f.trainer, &report, NULL), NM_E_FORMAT);
        assert_int_equal(nm_trainer_steps(f.trainer), 1);
    }
    destroy(&f);
    free_traffic(&t);
    nm_backend_destroy(backend);
}

static void slices_do_not_matter(void **state) {
    (void)state;
    nm_error error;
    nm_backend *backend = float_backend();
    traffic t = make_traffic();
    char path[] = "/tmp/nm_trainer_XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    fixture whole = make(backend, &t, 2), first = make(backend, &t, 2), second = make(backend, &t, 1);
    for (int i = 0; i < 3; ++i) step(&first);
    assert_int_equal(nm_optimizer_save(nm_trainer_optimizer(first.trainer), path, 0, &error), NM_OK);
    assert_int_equal(nm_optimizer_load(nm_trainer_optimizer(second.trainer), path, &error), NM_OK);
    assert_int_equal(nm_trainer_steps(second.trainer), 3);
    for (int i = 0; i < 6; ++i) {
        const nm_train_report expected = step(&whole);
        if (i < 3) continue;
        const nm_train_report got = step(&second);
        assert_int_equal(got.step, expected.step);
        assert_memory_equal(&got.loss, &expected.loss, sizeof got.loss);
        assert_memory_equal(&got.norm, &expected.norm, sizeof got.norm);
    }
    unlink(path);
    destroy(&whole);
    destroy(&first);
    destroy(&second);
    free_traffic(&t);
    nm_backend_destroy(backend);
}

static void leave_the_model_alone(int ahead) {
    nm_error error;
    nm_train_report report;
    nm_backend *backend = float_backend();
    traffic t = make_traffic();
    t.spoil = 1;
    fixture f = make_with(backend, &t, 2, ahead);
    step(&f); // examples 0 to 7
    const uint32_t size = nm_model_values(f.model).cols;
    float *before = malloc(size * sizeof *before), *after = malloc(size * sizeof *after);
    assert_true(before && after);
    backend->ops->download(backend, nm_model_values(f.model), before);
    for (int again = 0; again < 2; ++again) { // what was made ahead is not what the second attempt wants
        assert_int_equal(nm_trainer_step(f.trainer, &report, &error), NM_E_NUMERIC);
        assert_non_null(strstr(error.message, "step 2, examples 8 to 15"));
    }
    backend->ops->download(backend, nm_model_values(f.model), after);
    assert_memory_equal(before, after, size * sizeof *before);
    assert_int_equal(nm_trainer_steps(f.trainer), 1);
    free(before);
    free(after);
    destroy(&f);
    free_traffic(&t);
    nm_backend_destroy(backend);
}

static void a_bad_example_leaves_the_model_alone(void **state) {
    (void)state;
    leave_the_model_alone(0);
    leave_the_model_alone(1);
}

static void rates_rise_and_fall(void **state) {
    (void)state;
    nm_trainer_config c = nm_trainer_config_default();
    c.rate = 1.0f;
    c.warm_up = 10;
    c.steps = 110;
    c.final_rate = 0.1f;
    assert_float_equal(nm_trainer_rate(&c, 5), 0.5f, 1e-6f);
    assert_float_equal(nm_trainer_rate(&c, 10), 1.0f, 1e-6f);
    assert_float_equal(nm_trainer_rate(&c, 60), 0.55f, 1e-6f); // half way down
    assert_float_equal(nm_trainer_rate(&c, 110), 0.1f, 1e-6f);
    assert_float_equal(nm_trainer_rate(&c, 5000), 0.1f, 1e-6f);
    for (uint64_t s = 11; s < 110; ++s) assert_true(nm_trainer_rate(&c, s) < nm_trainer_rate(&c, s - 1) + 1e-7f);
    c.warm_up = 0;
    assert_float_equal(nm_trainer_rate(&c, 1), 1.0f, 1e-3f);
}

static void nonsense_is_refused(void **state) {
    (void)state;
    nm_error error;
    nm_trainer_config c = nm_trainer_config_default();
    assert_int_equal(nm_trainer_config_check(&c, &error), NM_OK);
    c.scenes = 0;
    assert_int_equal(nm_trainer_config_check(&c, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "scenes"));
    c = nm_trainer_config_default();
    c.rate = NAN;
    assert_int_equal(nm_trainer_config_check(&c, &error), NM_E_ARGUMENT);
    c = nm_trainer_config_default();
    c.max_tokens = UINT32_MAX;
    assert_int_equal(nm_trainer_config_check(&c, &error), NM_E_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_falls),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(examples_made_ahead_are_the_same),
        cmocka_unit_test(a_failure_ahead_is_told_when_its_step_comes),
        cmocka_unit_test(slices_do_not_matter),
        cmocka_unit_test(a_bad_example_leaves_the_model_alone),
        cmocka_unit_test(rates_rise_and_fall),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
