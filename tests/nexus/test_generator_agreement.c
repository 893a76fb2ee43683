/// Agreement in the generator: what is proposed and agreed on comes out, passes are left out and counted, scenes that
/// are done leave the batch, and none of it depends on who else is in the batch.
#include "backends_support.h"
#include "network_support.h"
#include "nexus/generator.h"
#include "tokens_support.h"

enum { SCENES = 3, LEVELS = 5, FUTURE = 4 };

typedef struct fixture {
    nm_recipe recipe;
    nm_backend *backend;
    nm_model *model;
    const nm_scene *scenes[SCENES];
    tokens_fixture made[SCENES];
    nm_generation batch[SCENES];
    float *values[SCENES], *proposal[SCENES]; ///< [A x T x C]
    uint8_t *proposed[SCENES];                ///< [A x T]
    size_t sizes[SCENES];
} fixture;

/// In place: what is to be generated points into it.
static void begin(fixture *f, nm_backend *backend, nm_prior prior) {
    static const char *const specifications[SCENES] = {"junction_signal:density=25", "highway:density=20",
                                                       "roundabout:density=25"};
    *f = (fixture){.recipe = {.tokens = nm_token_config_default(NM_TOKENS_AGENT), .prior = prior}, .backend = backend};
    nm_model_config shape = small_config(2);
    nm_error error;
    f->recipe.tokens.past = 2;
    f->recipe.tokens.future = FUTURE;
    f->recipe.tokens.agents = 5;
    f->recipe.tokens.map_polylines = 6;
    f->recipe.tokens.paths = 1;
    nm_token_fit_model(&f->recipe.tokens, &shape);
    assert_int_equal(nm_model_create(&shape, backend, 1, &f->model, &error), NM_OK);
    randomise_model(f->model, 3);
    for (uint32_t i = 0; i < SCENES; i++) {
        f->scenes[i] = tokens_rollout(specifications[i], 3, 60);
        const nm_token_request request = {.current_step = 30, .focus = NM_NONE, .generate = 1};
        f->made[i] = tokens_begin(f->scenes[i], &f->recipe.tokens, &request);
        const nm_tokens *t = &f->made[i].tokens;
        const size_t tokens = (size_t)t->shape.agents * t->shape.steps;
        nm_tokens_set_task(&f->made[i].tokens, &(nm_token_task){.kind = NM_TASK_FREE});
        f->sizes[i] = tokens * nm_token_channels(&t->config);
        f->values[i] = calloc(f->sizes[i], sizeof(float));
        f->proposal[i] = calloc(f->sizes[i], sizeof(float));
        f->proposed[i] = calloc(tokens, 1);
        assert_true(f->values[i] && f->proposal[i] && f->proposed[i] && t->shape.agents > 1);
        f->batch[i] = (nm_generation){.tokens = t, .key = 100 + i, .values = f->values[i]};
    }
}

static void end(fixture *f) {
    for (int i = 0; i < SCENES; i++) {
        free(f->values[i]);
        free(f->proposal[i]);
        free(f->proposed[i]);
        tokens_end(&f->made[i]);
        nm_scene_destroy(f->scenes[i]);
    }
    nm_model_destroy(f->model);
}

static nm_generator_config config_of(const char *schedule, nm_agreement agreement) {
    nm_generator_config c = nm_generator_config_default();
    nm_error error;
    c.scenes = SCENES;
    c.levels = LEVELS;
    c.seed = 8;
    c.agreement = agreement;
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

static void run(nm_generator *generator, const nm_generation *scenes, uint32_t count) {
    nm_error error;
    nm_error_clear(&error);
    if (nm_generator_run(generator, scenes, count, NULL, NULL, &error) != NM_OK) fail_msg("%s", error.message);
}

/// The batch into f->values, and the generator's counts of each scene.
static void run_batch(fixture *f, const nm_generator_config *config, nm_generated_count *counts) {
    nm_generator *generator = make(f, config);
    for (int i = 0; i < SCENES; i++) memset(f->values[i], 0xff, f->sizes[i] * sizeof(float)); // every value is written
    run(generator, f->batch, SCENES);
    for (uint32_t i = 0; i < SCENES; i++) counts[i] = nm_generator_count(generator, i);
    nm_generator_destroy(generator);
}

/// Proposes what the network says in its first pass, of the first `times` times, for agents up to `agents`.
static void propose_first_pass(fixture *f, const char *schedule, int scene, uint32_t agents, uint32_t times) {
    const nm_agreement all = {.position = INFINITY, .speed = INFINITY};
    const nm_generator_config config = config_of(schedule, all);
    const nm_tokens *t = f->batch[scene].tokens;
    uint8_t *none = calloc((size_t)t->shape.agents * t->shape.steps, 1);
    nm_generator *generator = make(f, &config);
    nm_generation one = f->batch[scene];
    one.values = f->proposal[scene];
    one.proposal = f->values[scene];
    one.proposed = none;
    for (uint32_t a = 0; a < t->shape.agents; a++) memset(none + a * t->shape.steps, 1, t->shape.steps);
    memset(f->values[scene], 0, f->sizes[scene] * sizeof(float));
    run(generator, &one, 1);
    assert_int_equal(nm_generator_passes(generator), 1);
    nm_generator_destroy(generator);
    free(none);
    for (uint32_t a = 0; a < t->shape.agents; a++)
        for (uint32_t k = 0; k < t->shape.steps; k++)
            f->proposed[scene][a * t->shape.steps + k] =
                a < agents && k > t->config.past && k - t->config.past <= times;
    f->batch[scene].proposal = f->proposal[scene];
    f->batch[scene].proposed = f->proposed[scene];
}

static nm_backend *float_backend(void) {
    nm_backend_config config = nm_backend_config_default();
    nm_backend *backend;
    nm_error error;
    config.compute = NM_F32;
    config.threads = 1;
    assert_int_equal(nm_backend_create_cpu(&config, &backend, &error), NM_OK);
    return backend;
}

static float *copy_of(const fixture *f, int scene) {
    float *copy = calloc(f->sizes[scene], sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, f->values[scene], f->sizes[scene] * sizeof *copy);
    return copy;
}

// ---------------------------------------------------------------------------------------------------------------------

static void without_thresholds_nothing_changes(void **state) {
    (void)state;
    static const char *const schedules[] = {"full", "pyramid:1", "ar", "trapezoid:1"};
    static const nm_agreement off[] = {{0}, {.position = INFINITY}, {.speed = INFINITY}};
    nm_backend *backend = float_backend();
    for (int prior = 0; prior < 2; prior++) {
        fixture f;
        begin(&f, backend, prior ? NM_PRIOR_LANE : NM_PRIOR_NONE);
        for (int k = 0; k < 4; k++) {
            nm_generated_count counts[SCENES];
            float *plain[SCENES];
            const nm_generator_config without = config_of(schedules[k], off[0]);
            for (int i = 0; i < SCENES; i++) f.batch[i].proposal = NULL, f.batch[i].proposed = NULL;
            run_batch(&f, &without, counts);
            for (int i = 0; i < SCENES; i++) plain[i] = copy_of(&f, i);
            for (int i = 0; i < SCENES; i++) f.batch[i].proposal = f.proposal[i], f.batch[i].proposed = f.proposed[i];
            // thresholds that nothing is within: the sampler's settling is at work and settles nothing
            const nm_agreement tight = {.position = 1e-30f, .speed = 1e-30f};
            for (int o = 0; o < 4; o++) {
                const nm_generator_config with = config_of(schedules[k], o < 3 ? off[o] : tight);
                run_batch(&f, &with, counts);
                for (int i = 0; i < SCENES; i++) {
                    assert_memory_equal(f.values[i], plain[i], f.sizes[i] * sizeof(float));
                    assert_int_equal(counts[i].agreed, 0);
                    assert_true(counts[i].tokens >= FUTURE && counts[i].passes >= LEVELS);
                }
            }
            for (int i = 0; i < SCENES; i++) free(plain[i]);
        }
        end(&f);
    }
    nm_backend_destroy(backend);
}

/// Everything within reach is the proposal after one pass: given tokens stay, what nothing is proposed for is sampled.
static void without_limits_proposals_come_out(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f;
    begin(&f, backend, NM_PRIOR_NONE);
    const nm_agreement all = {.position = INFINITY, .speed = INFINITY, .value = NM_AGREE_ON_PROPOSAL};
    const nm_generator_config config = config_of("pyramid:1", all);
    nm_generated_count counts[SCENES];
    for (int i = 0; i < SCENES; i++) {
        const nm_tokens *t = f.batch[i].tokens;
        for (size_t k = 0; k < f.sizes[i]; k++) f.proposal[i][k] = random_value(9, 7 + (uint32_t)i, k);
        memset(f.proposed[i], 1, (size_t)t->shape.agents * t->shape.steps);
        if (i == 2) memset(f.proposed[i], 0, t->shape.steps); // nothing for the first agent
        f.batch[i].proposal = f.proposal[i];
        f.batch[i].proposed = f.proposed[i];
    }
    run_batch(&f, &config, counts);
    for (int i = 0; i < SCENES; i++) {
        const nm_tokens *t = f.batch[i].tokens;
        const size_t channels = nm_token_channels(&t->config);
        uint64_t agreed = 0, open = 0;
        for (size_t n = 0; n < (size_t)t->shape.agents * t->shape.steps; n++) {
            const float *out = f.values[i] + n * channels;
            if (!t->valid[n] || t->known[n]) {
                for (size_t c = 0; c < channels; c++)
                    assert_true(out[c] == (t->valid[n] ? t->values[n * channels + c] : 0));
                continue;
            }
            const int same = memcmp(out, f.proposal[i] + n * channels, channels * sizeof *out) == 0;
            assert_int_equal(same, f.proposed[i][n]);
            agreed += (uint64_t)same;
            open++;
        }
        assert_int_equal(counts[i].tokens, open);
        assert_int_equal(counts[i].agreed, agreed);
        assert_int_equal(counts[i].passes, i == 2 ? LEVELS + FUTURE - 1 : 1);
    }
    end(&f);
    nm_backend_destroy(backend);
}

/// One scene is done after a pass, one after a few, one never: each is what it is alone, on every backend.
static void scenes_leave_and_nobody_minds(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    const nm_agreement close = {.position = 1e-3f, .speed = 1e-3f};
    for (int b = 0; b < count; b++) {
        fixture f;
        begin(&f, backends[b].backend, NM_PRIOR_NONE);
        const nm_generator_config config = config_of("ar", close);
        nm_generated_count counts[SCENES];
        float *together[SCENES];
        propose_first_pass(&f, "ar", 0, UINT32_MAX, FUTURE);
        propose_first_pass(&f, "ar", 1, UINT32_MAX, 2);
        propose_first_pass(&f, "ar", 2, 1, FUTURE);
        run_batch(&f, &config, counts);
        assert_int_equal(counts[0].passes, 1);
        assert_int_equal(counts[1].passes, 1 + 2 * LEVELS); // two times of four are left, LEVELS passes each
        assert_int_equal(counts[2].passes, FUTURE * LEVELS);
        for (int i = 0; i < SCENES; i++) together[i] = copy_of(&f, i);
        nm_generator *generator = make(&f, &config);
        for (int i = 0; i < SCENES; i++) {
            run(generator, &f.batch[i], 1);
            assert_memory_equal(f.values[i], together[i], f.sizes[i] * sizeof(float));
            assert_int_equal(nm_generator_passes(generator), counts[i].passes);
            assert_int_equal(nm_generator_count(generator, 0).agreed, counts[i].agreed);
        }
        const nm_generation turned[SCENES] = {f.batch[2], f.batch[0], f.batch[1]};
        run(generator, turned, SCENES);
        for (int i = 0; i < SCENES; i++) {
            assert_memory_equal(f.values[i], together[i], f.sizes[i] * sizeof(float));
            free(together[i]);
        }
        // the last one was alone at the end
        const nm_batch *batch = nm_generator_batch(generator);
        assert_int_equal(batch->scenes, SCENES);
        assert_true(batch->scene_tokens[1] > 0 && batch->tokens == batch->scene_tokens[1]);
        nm_generator_destroy(generator);
        end(&f);
    }
    close_backends(backends, count);
}

static void count_tokens(void *context, const nm_sampler *sampler) {
    uint32_t *least = context;
    const uint32_t count = nm_sampler_get(sampler).in.count;
    if (count < *least) *least = count;
}

/// Whoever watches sees all scenes to the end.
static void scenes_stay_for_an_observer(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f;
    begin(&f, backend, NM_PRIOR_NONE);
    nm_generator_config config = config_of("ar", (nm_agreement){.position = 1e-3f, .speed = 1e-3f});
    nm_generated_count counts[SCENES], watched[SCENES];
    float *first = NULL;
    uint32_t least = UINT32_MAX;
    propose_first_pass(&f, "ar", 0, UINT32_MAX, FUTURE);
    run_batch(&f, &config, counts);
    first = copy_of(&f, 0);
    config.observer = count_tokens;
    config.observer_context = &least;
    nm_generator *generator = make(&f, &config);
    run(generator, f.batch, SCENES);
    assert_int_equal(least, nm_generator_batch(generator)->tokens);
    assert_true(nm_generator_batch(generator)->scene_tokens[1] > 0);
    assert_memory_equal(f.values[0], first, f.sizes[0] * sizeof *first);
    for (uint32_t i = 0; i < SCENES; i++) {
        watched[i] = nm_generator_count(generator, i);
        assert_int_equal(watched[i].passes, counts[i].passes);
        assert_int_equal(watched[i].agreed, counts[i].agreed);
    }
    assert_int_equal(counts[0].passes, 1);
    free(first);
    nm_generator_destroy(generator);
    end(&f);
    nm_backend_destroy(backend);
}

/// What passes keep is worth more than the rows of scenes that are done: they stay, cost nothing, and nobody minds.
static void scenes_stay_for_what_passes_keep(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f;
    begin(&f, backend, NM_PRIOR_NONE);
    nm_generator_config config = config_of("ar", (nm_agreement){.position = 1e-3f, .speed = 1e-3f});
    nm_generated_count counts[SCENES];
    float *without[SCENES];
    propose_first_pass(&f, "ar", 0, UINT32_MAX, FUTURE);
    propose_first_pass(&f, "ar", 1, UINT32_MAX, 2);
    run_batch(&f, &config, counts);
    for (int i = 0; i < SCENES; i++) without[i] = copy_of(&f, i);
    config.reuse.on = 1;
    nm_generator *generator = make(&f, &config);
    run(generator, f.batch, SCENES);
    assert_true(nm_generator_batch(generator)->scene_tokens[1] > 0);
    const double together = nm_generator_reuse_stats(generator).outputs;
    for (uint32_t i = 0; i < SCENES; i++) {
        assert_memory_equal(f.values[i], without[i], f.sizes[i] * sizeof(float));
        assert_int_equal(nm_generator_count(generator, i).passes, counts[i].passes);
        assert_int_equal(nm_generator_count(generator, i).agreed, counts[i].agreed);
        free(without[i]);
    }
    double alone = 0.0;
    for (uint32_t i = 0; i < SCENES; i++) {
        run(generator, &f.batch[i], 1);
        alone += nm_generator_reuse_stats(generator).outputs;
    }
    assert_true(counts[0].passes == 1 && counts[2].passes > 4 && together == alone);
    nm_generator_destroy(generator);
    end(&f);
    nm_backend_destroy(backend);
}

/// Times are told in order, each once, and what is told is what the rest is sampled after.
typedef struct teller {
    uint32_t next, agents, channels;
    float shift;
} teller;

static nm_status tell(void *context, uint32_t time, const float *sampled, uint8_t *told, float *actual,
                      nm_error *error) {
    teller *t = context;
    (void)error;
    assert_int_equal(time, t->next++);
    for (uint32_t k = 0; k < t->agents * t->channels; k++) actual[k] = sampled[k] + t->shift;
    memset(told, t->shift != 0.0f, t->agents);
    return NM_OK;
}

static void what_happened_is_told_all_the_same(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f;
    begin(&f, backend, NM_PRIOR_NONE);
    const nm_generator_config config = config_of("ar", (nm_agreement){.position = 1e-3f, .speed = 1e-3f});
    propose_first_pass(&f, "ar", 0, UINT32_MAX, FUTURE);
    propose_first_pass(&f, "ar", 1, UINT32_MAX, 2);
    float *quiet[SCENES] = {0};
    for (int shifted = 0; shifted < 2; shifted++) {
        teller tellers[SCENES];
        nm_generated_count counts[SCENES];
        for (int i = 0; i < SCENES; i++) {
            tellers[i] = (teller){.next = f.recipe.tokens.past + 1,
                                  .agents = f.batch[i].tokens->shape.agents,
                                  .channels = nm_token_channels(&f.recipe.tokens),
                                  .shift = shifted ? 0.25f : 0.0f};
            f.batch[i].happened = tell;
            f.batch[i].happened_context = &tellers[i];
        }
        run_batch(&f, &config, counts);
        for (int i = 0; i < SCENES; i++) {
            assert_int_equal(tellers[i].next, nm_token_count(&f.recipe.tokens));
            if (!shifted) quiet[i] = copy_of(&f, i);
            // whose first times were finished in one pass has what follows sampled after what was told
            if (shifted) assert_int_equal(memcmp(quiet[i], f.values[i], f.sizes[i] * sizeof(float)) == 0, i == 0);
        }
    }
    for (int i = 0; i < SCENES; i++) free(quiet[i]);
    end(&f);
    nm_backend_destroy(backend);
}

/// Without proposals the prior proposes, anew from what is finished: with no limits all is settled in a pass, and as
/// it says; no agent is beyond the prior's reach.
static void the_prior_proposes(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f;
    begin(&f, backend, NM_PRIOR_LANE);
    nm_agreement all = {.position = INFINITY, .speed = INFINITY, .value = NM_AGREE_ON_PROPOSAL};
    nm_generated_count counts[SCENES];
    const nm_generator_config config = config_of("full", all);
    run_batch(&f, &config, counts);
    for (int i = 0; i < SCENES; i++) {
        const nm_tokens *t = f.batch[i].tokens;
        const size_t steps = t->shape.steps, channels = nm_token_channels(&t->config);
        assert_int_equal(counts[i].passes, 1);
        assert_int_equal(counts[i].agreed, counts[i].tokens);
        for (uint32_t a = 0; a < t->shape.agents; a++) { // it keeps the speed that is known
            if (!t->logged[a * steps + t->config.past]) continue;
            const float *now = t->values + (a * steps + t->config.past) * channels;
            const float *last = f.values[i] + ((a + 1) * steps - 1) * channels;
            if (t->valid[(a + 1) * steps - 1])
                assert_float_equal(last[20 + NM_OWN_SPEED], now[20 + NM_OWN_SPEED], 1e-4);
        }
    }
    all.value = NM_AGREE_ON_PREDICTION;
    float *prior = copy_of(&f, 0);
    const nm_generator_config kept = config_of("full", all);
    run_batch(&f, &kept, counts);
    assert_int_equal(counts[0].passes, 1);
    assert_true(memcmp(prior, f.values[0], f.sizes[0] * sizeof *prior) != 0);
    free(prior);
    end(&f);
    nm_backend_destroy(backend);
}

static void bad_proposals_are_refused(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f;
    begin(&f, backend, NM_PRIOR_NONE);
    nm_generator *generator;
    nm_error error;
    nm_generator_config config = config_of("full", (nm_agreement){.position = -1.0f, .speed = 1.0f});
    assert_int_equal(nm_generator_create(f.model, &f.recipe, &config, &generator, &error), NM_E_ARGUMENT);
    assert_null(generator);
    config.agreement.position = 1.0f;
    generator = make(&f, &config);
    const nm_tokens *t = f.batch[1].tokens;
    const size_t channels = nm_token_channels(&t->config), at = t->shape.steps + t->config.past + 2;
    assert_true(t->valid[at] && !t->known[at]);
    f.batch[1].proposal = f.proposal[1];
    f.batch[1].proposed = f.proposed[1];
    f.proposal[1][at * channels + 3] = NAN;
    run(generator, f.batch, SCENES); // nobody proposes it
    f.proposed[1][at] = 1;
    assert_int_equal(nm_generator_run(generator, f.batch, SCENES, NULL, NULL, &error), NM_E_NUMERIC);
    assert_non_null(strstr(error.message, "agent 1 of scene 1 at time 4"));
    f.proposal[1][at * channels + 3] = 0.0f;
    run(generator, f.batch, SCENES);
    nm_generator_destroy(generator);
    end(&f);
    nm_backend_destroy(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_thresholds_nothing_changes),
        cmocka_unit_test(without_limits_proposals_come_out),
        cmocka_unit_test(scenes_leave_and_nobody_minds),
        cmocka_unit_test(scenes_stay_for_an_observer),
        cmocka_unit_test(scenes_stay_for_what_passes_keep),
        cmocka_unit_test(what_happened_is_told_all_the_same),
        cmocka_unit_test(the_prior_proposes),
        cmocka_unit_test(bad_proposals_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
