/// Candidates in a generator: whoever is chosen is what it would have been alone, bit for bit, wherever the window
/// ends.
#include "nexus/generator.h"

#include "backends_support.h"
#include "base/rng.h"
#include "nexus/network_private.h"
#include "tokens_support.h"

enum { SCENES = 2, EACH = 3 };

typedef struct fixture {
    nm_recipe recipe;
    nm_model *model;
    const nm_scene *scenes[SCENES];
    tokens_fixture made[SCENES];
    float *values[SCENES];
    size_t sizes[SCENES];
} fixture;

/// Values for all parameters, so that every input bears on every output.
static void randomise(nm_model *model) {
    const nm_tensor values = nm_model_values(model);
    float *host = calloc(values.cols, sizeof *host);
    nm_error error;
    assert_non_null(host);
    for (size_t i = 0; i < model->parameter_count; i++) {
        const nm_parameter *p = &model->parameters[i];
        const float scale = p->vector ? 0.2f : 0.3f * fminf(1.0f, 3.0f / sqrtf((float)p->cols));
        for (size_t k = p->offset; k < p->offset + (size_t)p->rows * p->cols; k++) {
            const nm_rng_key key = {.seed = 3, .step = (uint32_t)k, .purpose = NM_PURPOSE_TEST};
            host[k] = scale * (2.0f * nm_rng_uniform(&key, 0) - 1.0f);
        }
    }
    model->backend->ops->upload(model->backend, host, values);
    free(host);
    assert_int_equal(nm_model_repack(model, &error), NM_OK);
}

static fixture begin(nm_backend *backend, nm_token_encoding encoding) {
    static const char *const specifications[SCENES] = {"junction_signal:density=25", "highway:density=20"};
    fixture f = {.recipe = {.tokens = nm_token_config_default(encoding), .name = "test"}};
    nm_token_config *t = &f.recipe.tokens;
    t->past = 2;
    t->future = 4;
    t->agents = 5;
    t->map_polylines = 6;
    t->paths = encoding == NM_TOKENS_AGENT;
    if (encoding == NM_TOKENS_AGENT) f.recipe.prior = NM_PRIOR_LANE;
    nm_model_config shape = nm_model_config_default();
    nm_error error;
    shape.hidden = 16;
    shape.heads = 2;
    shape.blocks = 2;
    shape.widening = 2;
    shape.frequencies = 12;
    shape.latents = 4;
    shape.rotary = encoding == NM_TOKENS_AGENT;
    nm_token_fit_model(t, &shape);
    if (nm_model_create(&shape, backend, 1, &f.model, &error) != NM_OK) fail_msg("%s", error.message);
    randomise(f.model);
    for (int i = 0; i < SCENES; i++) {
        f.scenes[i] = tokens_rollout(specifications[i], 3, 60);
        const nm_token_request request = {.current_step = 30, .focus = NM_NONE, .generate = 1};
        f.made[i] = tokens_begin(f.scenes[i], t, &request);
        const nm_tokens *made = &f.made[i].tokens;
        f.sizes[i] = (size_t)made->shape.agents * made->shape.steps * nm_token_channels(t);
        f.values[i] = calloc(f.sizes[i], sizeof(float));
        assert_non_null(f.values[i]);
    }
    return f;
}

static void end(fixture *f) {
    for (int i = 0; i < SCENES; i++) {
        free(f->values[i]);
        tokens_end(&f->made[i]);
        nm_scene_destroy(f->scenes[i]);
    }
    nm_model_destroy(f->model);
}

/// Prefers candidate `context`[future] of each future; does not mind scenes without tokens.
static nm_status prefer(void *context, const nm_denoise_input *in, const float *x0, double *energy, nm_error *error) {
    (void)x0, (void)error;
    const uint32_t *wanted = context;
    for (uint32_t i = 0; i < in->scene_count; ++i) energy[i] = wanted[i / EACH] == i % EACH ? -300.0 : 300.0;
    return NM_OK;
}

static nm_generator_config config_of(const char *schedule, nm_solver solver) {
    nm_generator_config c = nm_generator_config_default();
    nm_error error;
    c.scenes = 4;
    c.levels = 4;
    c.clip = 5.0f;
    c.seed = 8;
    c.solver = solver;
    assert_int_equal(nm_schedule_parse(schedule, &c.schedule, &error), NM_OK);
    return c;
}

static nm_generator *make(const fixture *f, const nm_generator_config *config) {
    nm_generator *generator;
    nm_error error;
    nm_error_clear(&error);
    if (nm_generator_create(f->model, &f->recipe, config, &generator, &error) != NM_OK) fail_msg("%s", error.message);
    return generator;
}

static uint64_t sample(const fixture *f, const nm_generator_config *config, const uint64_t *keys, uint32_t count,
                       nm_candidate_report *reports) {
    nm_generator *generator = make(f, config);
    nm_generation scenes[SCENES];
    nm_error error;
    nm_error_clear(&error);
    for (uint32_t i = 0; i < count; i++)
        scenes[i] = (nm_generation){.tokens = &f->made[i].tokens, .key = keys[i], .values = f->values[i]};
    for (int twice = 0; twice < 2; twice++) // a run leaves nothing behind
        if (nm_generator_run(generator, scenes, count, NULL, NULL, &error) != NM_OK) fail_msg("%s", error.message);
    for (uint32_t i = 0; reports && i < count; i++) reports[i] = *nm_generator_candidates(generator, i);
    const uint64_t passes = nm_generator_passes(generator);
    nm_generator_destroy(generator);
    return passes;
}

static void the_chosen_one_is_as_it_would_be_alone(void **state) {
    (void)state;
    static const struct {
        const char *schedule;
        nm_solver solver;
        double last;
    } runs[] = {{"full", NM_SOLVER_DDIM, 1.0},
                {"full", NM_SOLVER_2M, 0.5},
                {"pyramid:1", NM_SOLVER_DDIM, 0.4},
                {"pyramid:1", NM_SOLVER_ANCESTRAL, 0.0}};
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int b = 0; b < count; b++) {
        for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++) {
            fixture f = begin(backends[b].backend, (nm_token_encoding)encoding);
            for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
                uint32_t wanted[SCENES] = {2, 0};
                nm_generator_config config = config_of(runs[i].schedule, runs[i].solver);
                const uint64_t keys[SCENES] = {100, 200};
                uint64_t alone[SCENES] = {nm_candidate_key(100, 2), 200};
                const uint64_t passes = sample(&f, &config, alone, SCENES, NULL);
                float *expected[SCENES];
                for (int s = 0; s < SCENES; s++) {
                    expected[s] = malloc(f.sizes[s] * sizeof(float));
                    memcpy(expected[s], f.values[s], f.sizes[s] * sizeof(float));
                    memset(f.values[s], 0xff, f.sizes[s] * sizeof(float));
                }
                config.candidates = (nm_candidates_config){.count = EACH,
                                                           .first = runs[i].last,
                                                           .last = runs[i].last,
                                                           .choice = i % 2 ? NM_CHOOSE_BEST : NM_CHOOSE_SAMPLED,
                                                           .temperature = 1.0,
                                                           .energy = prefer,
                                                           .context = wanted};
                nm_candidate_report reports[SCENES];
                assert_int_equal(sample(&f, &config, keys, SCENES, reports), passes);
                for (int s = 0; s < SCENES; s++) {
                    assert_memory_equal(f.values[s], expected[s], f.sizes[s] * sizeof(float));
                    assert_int_equal(reports[s].chosen, wanted[s]);
                    assert_float_equal(reports[s].effective, 1.0, 1e-9);
                    assert_float_equal(reports[s].energy, -300.0, 0.0);
                    assert_float_equal(reports[s].mean_energy, 100.0, 1e-9);
                    free(expected[s]);
                }
            }
            end(&f);
        }
    }
    close_backends(backends, count);
}

static void one_candidate_is_none(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int b = 0; b < count; b++) {
        fixture f = begin(backends[b].backend, NM_TOKENS_AGENT);
        nm_generator_config config = config_of("pyramid:1", NM_SOLVER_DDIM);
        const uint64_t keys[SCENES] = {1, 2};
        sample(&f, &config, keys, SCENES, NULL);
        float *plain = malloc(f.sizes[1] * sizeof(float));
        memcpy(plain, f.values[1], f.sizes[1] * sizeof(float));
        memset(f.values[1], 0xff, f.sizes[1] * sizeof(float));
        config.candidates.energy = prefer; // with one, nothing else is read
        config.candidates.last = 0.5;
        config.candidates.first = 0.25;
        sample(&f, &config, keys, SCENES, NULL);
        assert_memory_equal(f.values[1], plain, f.sizes[1] * sizeof(float));
        free(plain);
        end(&f);
    }
    close_backends(backends, count);
}

static nm_status happen(void *context, uint32_t time, const float *sampled, uint8_t *told, float *actual,
                        nm_error *error) {
    (void)context, (void)time, (void)sampled, (void)told, (void)actual, (void)error;
    return NM_OK;
}

static void what_is_lived_through_has_no_candidates(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    fixture f = begin(backends[0].backend, NM_TOKENS_AGENT);
    uint32_t wanted[SCENES] = {0, 0};
    nm_generator_config config = config_of("pyramid:1", NM_SOLVER_DDIM);
    config.candidates.count = EACH;
    config.candidates.energy = prefer;
    config.candidates.context = wanted;
    nm_generator *generator = make(&f, &config);
    nm_error error;
    nm_generation scene = {.tokens = &f.made[0].tokens, .values = f.values[0], .happened = happen};
    assert_int_equal(nm_generator_run(generator, &scene, 1, NULL, NULL, &error), NM_E_ARGUMENT);
    scene.happened = NULL;
    scene.feedback = f.made[0].tokens.logged;
    assert_int_equal(nm_generator_run(generator, &scene, 1, NULL, NULL, &error), NM_E_ARGUMENT);
    assert_string_equal(error.message, "scene 0 is lived through: there can be no candidates");
    nm_generator_destroy(generator);
    config.candidates.count = 0;
    assert_int_equal(nm_generator_create(f.model, &f.recipe, &config, &generator, &error), NM_E_ARGUMENT);
    end(&f);
    close_backends(backends, count);
}

/// Refused with `message` when there are several candidates, fine when there is one.
static void only_alone(const fixture *f, const nm_recipe *recipe, nm_generator_config config, const char *message) {
    nm_generator *generator = NULL;
    nm_error error;
    nm_error_clear(&error);
    assert_int_equal(nm_generator_create(f->model, recipe, &config, &generator, &error), NM_E_ARGUMENT);
    assert_null(generator);
    if (!strstr(error.message, message)) fail_msg("%s", error.message);
    config.candidates.count = 1;
    generator = make(f, &config);
    nm_generator_destroy(generator);
}

static void whoever_leaves_something_out_has_no_candidates(void **state) {
    (void)state;
    nm_backend *backend = NULL; // reuse wants one in the host's memory
    nm_backend_config cpu = nm_backend_config_default();
    nm_error error;
    assert_int_equal(nm_backend_create_cpu(&cpu, &backend, &error), NM_OK);
    fixture f = begin(backend, NM_TOKENS_AGENT);
    uint32_t wanted[SCENES] = {0, 0};
    nm_generator_config config = config_of("pyramid:1", NM_SOLVER_DDIM);
    config.candidates.count = EACH;
    config.candidates.energy = prefer;
    config.candidates.context = wanted;
    nm_generator_destroy(make(&f, &config));
    nm_generator_config agreeing = config, reusing = config;
    agreeing.agreement = (nm_agreement){.position = 1.0f, .speed = 1.0f};
    only_alone(&f, &f.recipe, agreeing, "agreement");
    reusing.reuse.on = 1;
    nm_generator_destroy(make(&f, &reusing));
    reusing.reuse.map = 0.5f;
    only_alone(&f, &f.recipe, reusing, "map shares");
    reusing.reuse.map = -1.0f;
    reusing.reuse.skip_end = 1;
    reusing.reuse.skip_level = 1.0f;
    only_alone(&f, &f.recipe, reusing, "skip no blocks");
    reusing.reuse.skip_end = 0;
    reusing.reuse.compare = 1;
    only_alone(&f, &f.recipe, reusing, "not compare");
    nm_recipe blocks = f.recipe;
    blocks.blocks = (nm_block_config){.size = 2, .memory = 4};
    nm_generator *generator;
    assert_int_equal(nm_generator_create(f.model, &blocks, &config, &generator, &error), NM_E_ARGUMENT);
    assert_null(generator);
    assert_non_null(strstr(error.message, "blocks of 2"));
    end(&f);
    nm_backend_destroy(backend);
}

/// Candidates are replaced by others and left alone with one, and passes see it: what they keep is nobody else's.
static void reuse_sees_who_takes_a_place(void **state) {
    (void)state;
    nm_backend *backend = NULL; // reuse wants one in the host's memory
    nm_backend_config cpu = nm_backend_config_default();
    nm_error error;
    assert_int_equal(nm_backend_create_cpu(&cpu, &backend, &error), NM_OK);
    fixture f = begin(backend, NM_TOKENS_AGENT);
    static const struct {
        const char *schedule;
        nm_solver solver;
        double first, last;
    } runs[] = {{"pyramid:1", NM_SOLVER_ANCESTRAL, 0.2, 0.7}, {"full", NM_SOLVER_ANCESTRAL, 0.0, 1.0}};
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        uint32_t wanted[SCENES] = {2, 1};
        nm_generator_config config = config_of(runs[i].schedule, runs[i].solver);
        const uint64_t keys[SCENES] = {100, 200};
        config.candidates = (nm_candidates_config){.count = EACH,
                                                   .first = runs[i].first,
                                                   .last = runs[i].last,
                                                   .temperature = 1.0,
                                                   .energy = prefer,
                                                   .context = wanted};
        nm_candidate_report reports[2][SCENES];
        float *whole[SCENES], most = 0.0f;
        sample(&f, &config, keys, SCENES, reports[0]);
        for (int s = 0; s < SCENES; s++) {
            whole[s] = malloc(f.sizes[s] * sizeof(float));
            memcpy(whole[s], f.values[s], f.sizes[s] * sizeof(float));
        }
        config.reuse.on = 1;
        sample(&f, &config, keys, SCENES, reports[1]);
        for (int s = 0; s < SCENES; s++) {
            assert_true(reports[0][s].resampled >= 1);
            assert_int_equal(reports[0][s].resampled, reports[1][s].resampled);
            assert_memory_equal(f.values[s], whole[s], f.sizes[s] * sizeof(float));
        }
        config.reuse.ahead = config.reuse.behind = 1;
        sample(&f, &config, keys, SCENES, reports[1]);
        for (int s = 0; s < SCENES; s++) {
            for (size_t k = 0; k < f.sizes[s]; k++) {
                assert_true(isfinite(f.values[s][k]));
                most = fmaxf(most, fabsf(f.values[s][k] - whole[s][k]));
            }
            free(whole[s]);
        }
        if (i == 0) assert_true(most > 0.0f); // it leaves something out
    }
    end(&f);
    nm_backend_destroy(backend);
}

static void what_was_done_is_counted_for_the_chosen_one(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    fixture f = begin(backends[0].backend, NM_TOKENS_AGENT);
    uint32_t wanted[SCENES] = {1, 2};
    nm_generator_config config = config_of("full", NM_SOLVER_DDIM);
    nm_generation scenes[SCENES];
    nm_generated_count alone[SCENES];
    const uint8_t given[5] = {1}; // fewer tokens than the other scene has
    nm_tokens_set_task(&f.made[1].tokens, &(nm_token_task){.kind = NM_TASK_FREE, .given = given});
    nm_error error;
    nm_error_clear(&error);
    for (uint32_t i = 0; i < SCENES; i++)
        scenes[i] = (nm_generation){.tokens = &f.made[i].tokens, .key = i, .values = f.values[i]};
    for (int several = 0; several < 2; several++) {
        config.candidates = (nm_candidates_config){.count = several ? EACH : 1,
                                                   .first = 0.5,
                                                   .last = 0.5,
                                                   .temperature = 1.0,
                                                   .energy = prefer,
                                                   .context = wanted};
        nm_generator *generator = make(&f, &config);
        if (nm_generator_run(generator, scenes, SCENES, NULL, NULL, &error) != NM_OK) fail_msg("%s", error.message);
        for (uint32_t i = 0; i < SCENES; i++) {
            const nm_generated_count one = nm_generator_count(generator, i);
            if (!several) alone[i] = one;
            assert_int_equal(one.passes, 4);
            assert_true(one.tokens > 0);
            assert_int_equal(one.tokens, alone[i].tokens);
            assert_int_equal(one.agreed, 0);
            assert_int_equal(nm_generator_candidates(generator, i) != NULL, several);
        }
        nm_generator_destroy(generator);
    }
    assert_true(alone[0].tokens > alone[1].tokens);
    end(&f);
    close_backends(backends, count);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chosen_one_is_as_it_would_be_alone),
        cmocka_unit_test(one_candidate_is_none),
        cmocka_unit_test(what_is_lived_through_has_no_candidates),
        cmocka_unit_test(whoever_leaves_something_out_has_no_candidates),
        cmocka_unit_test(reuse_sees_who_takes_a_place),
        cmocka_unit_test(what_was_done_is_counted_for_the_chosen_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
