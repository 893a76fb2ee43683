/// Futures out of a model: what is given stays, scenes do not see each other, keys make futures, nothing is allocated.
///
/// Every allocation of the process is counted, see test_sampling_memory.c.
#include "nexus/generator.h"

#include "backends_support.h"
#include "base/rng.h"
#include "nexus/network_private.h"
#include "tokens_support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define COUNTS 0
#else
#define COUNTS 1
static long allocations;

void *__libc_malloc(size_t size);                     // NOLINT
void *__libc_calloc(size_t count, size_t size);       // NOLINT
void *__libc_realloc(void *memory, size_t size);      // NOLINT
void *__libc_memalign(size_t alignment, size_t size); // NOLINT

void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    allocations++;
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
    allocations++;
    return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}
#endif

enum { SCENES = 3 };

/// Three scenes' tokens and a model for them.
typedef struct fixture {
    nm_recipe recipe;
    nm_backend *backend;
    nm_model *model;
    const nm_scene *scenes[SCENES];
    tokens_fixture made[SCENES];
    float *values[SCENES]; ///< [A x T x C] room for a future of each
    size_t sizes[SCENES];
} fixture;

static nm_recipe recipe_of(nm_token_encoding encoding) {
    nm_recipe r = {.tokens = nm_token_config_default(encoding), .name = "test"};
    r.tokens.past = 2;
    r.tokens.future = 4;
    r.tokens.agents = 5;
    r.tokens.map_polylines = 6;
    r.tokens.paths = encoding == NM_TOKENS_AGENT;
    if (encoding == NM_TOKENS_AGENT) r.prior = NM_PRIOR_LANE;
    return r;
}

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

static nm_model *make_model(nm_backend *backend, const nm_token_config *tokens) {
    nm_model_config shape = nm_model_config_default();
    nm_model *model;
    nm_error error;
    shape.hidden = 16;
    shape.heads = 2;
    shape.blocks = 2;
    shape.widening = 2;
    shape.frequencies = 12;
    shape.latents = 4;
    shape.rotary = tokens->encoding == NM_TOKENS_AGENT;
    nm_token_fit_model(tokens, &shape);
    if (nm_model_create(&shape, backend, 1, &model, &error) != NM_OK) fail_msg("%s", error.message);
    randomise(model);
    return model;
}

static fixture begin(nm_backend *backend, nm_token_encoding encoding) {
    static const char *const specifications[SCENES] = {"junction_signal:density=25", "highway:density=20",
                                                       "roundabout:density=25"};
    fixture f = {.recipe = recipe_of(encoding), .backend = backend};
    f.model = make_model(backend, &f.recipe.tokens);
    for (int i = 0; i < SCENES; i++) {
        f.scenes[i] = tokens_rollout(specifications[i], 3, 60);
        const nm_token_request request = {.current_step = 30, .focus = NM_NONE, .generate = 1};
        f.made[i] = tokens_begin(f.scenes[i], &f.recipe.tokens, &request);
        const nm_tokens *t = &f.made[i].tokens;
        f.sizes[i] = (size_t)t->shape.agents * t->shape.steps * nm_token_channels(&t->config);
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

static nm_backend *float_backend(void) {
    nm_backend_config config = nm_backend_config_default();
    nm_backend *backend;
    nm_error error;
    config.compute = NM_F32;
    config.threads = 1;
    assert_int_equal(nm_backend_create_cpu(&config, &backend, &error), NM_OK);
    return backend;
}

static nm_generator_config small_config(void) {
    nm_generator_config c = nm_generator_config_default();
    c.scenes = 4;
    c.levels = 5;
    c.clip = 5.0f;
    c.seed = 8;
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

/// Given tokens are as they went in, what is not there is 0, all else is made: finite, and not the recording.
static void check_output(const nm_tokens *t, const float *values) {
    const uint32_t channels = nm_token_channels(&t->config);
    uint32_t given = 0, made = 0;
    for (size_t n = 0; n < (size_t)t->shape.agents * t->shape.steps; n++) {
        const float *in = t->values + n * channels, *out = values + n * channels;
        for (uint32_t k = 0; k < channels; k++) assert_true(isfinite(out[k]));
        if (t->known[n]) {
            assert_memory_equal(out, in, channels * sizeof *out);
            given++;
        } else if (t->valid[n]) {
            assert_true(memcmp(out, in, channels * sizeof *out) != 0);
            made++;
        } else {
            for (uint32_t k = 0; k < channels; k++) assert_true(out[k] == 0.0f);
        }
    }
    assert_true(given > 3 && made > 3);
}

static void given_tokens_come_out_as_they_went_in(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int b = 0; b < count; b++) {
        for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++) {
            fixture f = begin(backends[b].backend, (nm_token_encoding)encoding);
            static const nm_token_task tasks[] = {
                {.kind = NM_TASK_FREE}, {.kind = NM_TASK_GOAL}, {.kind = NM_TASK_INFILL, .gap_first = 1, .gap_end = 5}};
            const nm_generator_config config = small_config();
            nm_generator *generator = make(&f, &config);
            nm_generation scenes[SCENES];
            for (int i = 0; i < SCENES; i++) {
                nm_tokens_set_task(&f.made[i].tokens, &tasks[i]);
                memset(f.values[i], 0xff, f.sizes[i] * sizeof(float)); // NaN: every value is written
                scenes[i] =
                    (nm_generation){.tokens = &f.made[i].tokens, .key = 100 + (uint64_t)i, .values = f.values[i]};
            }
            run(generator, scenes, SCENES);
            assert_int_equal(nm_generator_passes(generator), config.levels);
            assert_int_equal(nm_generator_batch(generator)->scenes, SCENES);
            for (int i = 0; i < SCENES; i++) check_output(&f.made[i].tokens, f.values[i]);
            nm_generator_destroy(generator);
            end(&f);
        }
    }
    close_backends(backends, count);
}

static void a_scene_alone_is_as_in_a_batch(void **state) {
    (void)state;
    test_backend backends[TEST_BACKENDS];
    const int count = open_backends(backends);
    for (int b = 0; b < count; b++) {
        fixture f = begin(backends[b].backend, NM_TOKENS_AGENT);
        nm_generator_config config = small_config();
        nm_generator *generator = make(&f, &config);
        nm_generation scenes[SCENES];
        for (int i = 0; i < SCENES; i++)
            scenes[i] = (nm_generation){.tokens = &f.made[i].tokens, .key = 100 + (uint64_t)i, .values = f.values[i]};
        run(generator, scenes, SCENES);
        config.scenes = 1; // nor does the room for others matter
        nm_generator *small = make(&f, &config);
        for (int i = 0; i < SCENES; i++) {
            float *alone = calloc(f.sizes[i], sizeof *alone);
            const nm_generation one = {.tokens = &f.made[i].tokens, .key = 100 + (uint64_t)i, .values = alone};
            run(small, &one, 1);
            assert_memory_equal(alone, f.values[i], f.sizes[i] * sizeof *alone);
            run(generator, &one, 1);
            assert_memory_equal(alone, f.values[i], f.sizes[i] * sizeof *alone);
            free(alone);
        }
        nm_generator_destroy(small);
        nm_generator_destroy(generator);
        end(&f);
    }
    close_backends(backends, count);
}

static void keys_make_futures(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f = begin(backend, NM_TOKENS_AGENT);
    nm_generator_config config = small_config();
    nm_generator *generator = make(&f, &config);
    const size_t bytes = f.sizes[0] * sizeof(float);
    float *futures[5];
    nm_generation scenes[4];
    static const uint64_t keys[4] = {1, 2, 1, UINT64_C(1) << 40};
    for (int i = 0; i < 5; i++) futures[i] = calloc(f.sizes[0], sizeof(float));
    for (int i = 0; i < 4; i++)
        scenes[i] = (nm_generation){.tokens = &f.made[0].tokens, .key = keys[i], .values = futures[i]};
    run(generator, scenes, 4);
    for (int i = 0; i < 4; i++) {
        check_output(&f.made[0].tokens, futures[i]);
        for (int k = 0; k < i; k++) assert_int_equal(memcmp(futures[i], futures[k], bytes) == 0, keys[i] == keys[k]);
    }
    nm_generator_destroy(generator);
    config.seed++;
    generator = make(&f, &config);
    scenes[0].values = futures[4];
    run(generator, scenes, 1);
    assert_true(memcmp(futures[4], futures[0], bytes) != 0);
    for (int i = 0; i < 5; i++) free(futures[i]);
    nm_generator_destroy(generator);
    end(&f);
    nm_backend_destroy(backend);
}

static void schedules_and_solvers_are_used(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f = begin(backend, NM_TOKENS_AGENT);
    static const struct {
        const char *schedule;
        nm_solver solver;
        uint64_t passes;
    } runs[] = {{"full", NM_SOLVER_DDIM, 5},
                {"ar", NM_SOLVER_DDIM, 20},
                {"pyramid:1", NM_SOLVER_DDIM, 8},
                {"full", NM_SOLVER_2M, 5},
                {"full", NM_SOLVER_ANCESTRAL, 5}};
    enum { RUNS = sizeof runs / sizeof *runs };
    float *futures[RUNS];
    for (int i = 0; i < RUNS; i++) {
        nm_generator_config config = small_config();
        nm_error error;
        assert_int_equal(nm_schedule_parse(runs[i].schedule, &config.schedule, &error), NM_OK);
        config.solver = runs[i].solver;
        nm_generator *generator = make(&f, &config);
        futures[i] = calloc(f.sizes[0], sizeof(float));
        const nm_generation scene = {.tokens = &f.made[0].tokens, .key = 5, .values = futures[i]};
        run(generator, &scene, 1);
        check_output(&f.made[0].tokens, futures[i]);
        assert_int_equal(nm_generator_passes(generator), runs[i].passes);
        for (int k = 0; k < i; k++) assert_true(memcmp(futures[i], futures[k], f.sizes[0] * sizeof(float)) != 0);
        nm_generator_destroy(generator);
    }
    for (int i = 0; i < RUNS; i++) free(futures[i]);
    end(&f);
    nm_backend_destroy(backend);
}

static void count_states(void *context, const nm_sampler *sampler) {
    (void)sampler;
    ++*(int *)context;
}

static nm_status refuse(void *context, const nm_denoise_input *in, float *x0, nm_error *error) {
    (void)context, (void)in, (void)x0;
    return NM_ERROR(error, NM_E_CANCELLED, "enough");
}

static void see_nothing(void *context, const nm_sampler *sampler) {
    (void)context;
    (void)sampler;
}

static void generators_that_can_not_be_are_refused(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f = begin(backend, NM_TOKENS_AGENT);
    nm_error error;
    nm_generator *generator = (nm_generator *)&error;
    nm_generator_config config = small_config();
    static const uint32_t wrong[] = {0, 4097};
    for (int i = 0; i < 2; i++) {
        config.scenes = wrong[i];
        assert_int_equal(nm_generator_create(f.model, &f.recipe, &config, &generator, &error), NM_E_ARGUMENT);
        assert_null(generator);
    }
    config = small_config();
    config.levels = 0;
    assert_int_equal(nm_generator_create(f.model, &f.recipe, &config, &generator, &error), NM_E_ARGUMENT);
    config = small_config();
    config.observer = see_nothing;
    config.reuse.on = config.reuse.compare = 1;
    assert_int_equal(nm_generator_create(f.model, &f.recipe, &config, &generator, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "observer"));
    config = small_config();
    nm_recipe other = f.recipe;
    other.tokens.map_points++;
    assert_int_equal(nm_generator_create(f.model, &other, &config, &generator, &error), NM_E_FORMAT);
    other = f.recipe;
    other.tokens.agents = 65536;
    other.tokens.future = 256;
    config.scenes = 4096;
    assert_int_equal(nm_generator_create(f.model, &other, &config, &generator, &error), NM_E_LIMIT);
    assert_null(generator);
    end(&f);
    nm_backend_destroy(backend);
}

static void runs_that_can_not_be_spoil_nothing(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f = begin(backend, NM_TOKENS_AGENT);
    nm_error error;
    int states = 0;
    nm_generator_config config = small_config();
    config.observer = count_states;
    config.observer_context = &states;
    nm_generator *generator = make(&f, &config);
    nm_generation scenes[5];
    for (int i = 0; i < 5; i++)
        scenes[i] = (nm_generation){.tokens = &f.made[0].tokens, .key = (uint64_t)i, .values = f.values[0]};
    assert_int_equal(nm_generator_run(generator, scenes, 5, NULL, NULL, &error), NM_E_LIMIT);
    assert_int_equal(nm_generator_run(generator, scenes, 0, NULL, NULL, &error), NM_OK);
    for (int i = 0; i < 5; i++) { // tokens of another configuration
        nm_tokens t = f.made[0].tokens;
        if (i == 0) t.config.past++;
        if (i == 1) t.config.future--;
        if (i == 2) t.config.position_scale *= 2.0;
        if (i == 3) t.config.encoding = NM_TOKENS_EGO;
        if (i == 4) t.config.map_points = 3;
        nm_generation one[2] = {scenes[0], {.tokens = &t, .key = 1, .values = f.values[1]}};
        assert_int_equal(nm_generator_run(generator, one, 2, NULL, NULL, &error), NM_E_ARGUMENT);
        assert_non_null(strstr(error.message, "scene 1"));
    }
    // neither of these spoils the next run
    float *kept = calloc(f.sizes[0], sizeof *kept);
    run(generator, scenes, 1);
    assert_int_equal(states, (int)config.levels + 1);
    memcpy(kept, f.values[0], f.sizes[0] * sizeof *kept);
    const float value = f.made[0].tokens.values[0];
    assert_true(f.made[0].tokens.known[0]);
    f.made[0].tokens.values[0] = NAN;
    assert_int_equal(nm_generator_run(generator, scenes, 1, NULL, NULL, &error), NM_E_NUMERIC);
    f.made[0].tokens.values[0] = value;
    assert_int_equal(nm_generator_run(generator, scenes, 1, refuse, NULL, &error), NM_E_CANCELLED);
    assert_memory_equal(kept, f.values[0], f.sizes[0] * sizeof *kept);
    memset(f.values[0], 0, f.sizes[0] * sizeof *kept);
    run(generator, scenes, 1);
    assert_memory_equal(kept, f.values[0], f.sizes[0] * sizeof *kept);
    free(kept);
    nm_generator_destroy(generator);
    nm_generator_destroy(NULL);
    end(&f);
    nm_backend_destroy(backend);
}

/// Tells what was recorded, moved by `shift`, and keeps what it was asked.
typedef struct witness {
    const nm_tokens *tokens;
    float shift;
    uint32_t asked; ///< times, from the first after the current one
    uint32_t last;  ///< the run ends at this time; 0 = never
    float *seen;    ///< [A x T x C] sampled
} witness;

static nm_status tell_recorded(void *context, uint32_t time, const float *sampled, uint8_t *told, float *actual,
                               nm_error *error) {
    witness *w = context;
    const nm_tokens *t = w->tokens;
    const uint32_t channels = nm_token_channels(&t->config), steps = t->shape.steps;
    assert_int_equal(time, t->config.past + 1 + w->asked);
    w->asked++;
    if (w->last && time == w->last) return NM_ERROR(error, NM_E_CANCELLED, "enough");
    for (uint32_t a = 0; a < t->shape.agents; a++) {
        const size_t at = (size_t)a * steps + time;
        memcpy(w->seen + at * channels, sampled + (size_t)a * channels, channels * sizeof *sampled);
        assert_true(told[a] == 0);
        if (!t->logged[at]) continue;
        told[a] = 1;
        for (uint32_t k = 0; k < channels; k++)
            actual[(size_t)a * channels + k] = t->values[at * channels + k] + w->shift;
    }
    return NM_OK;
}

/// What happened is asked once a time, in order, and told to all that comes after it: with a recording it is feedback.
static void a_loop_is_closed_as_with_feedback(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f = begin(backend, NM_TOKENS_AGENT);
    nm_generator_config config = small_config();
    nm_error error;
    assert_int_equal(nm_schedule_parse("pyramid:2", &config.schedule, &error), NM_OK);
    nm_generator *generator = make(&f, &config);
    const nm_tokens *t = &f.made[0].tokens;
    const size_t bytes = f.sizes[0] * sizeof(float);
    float *replayed = calloc(f.sizes[0], sizeof *replayed), *free_run = calloc(f.sizes[0], sizeof *free_run);
    witness w = {.tokens = t, .seen = calloc(f.sizes[0], sizeof *w.seen)};
    nm_generation scenes[2] = {{.tokens = t, .key = 3, .values = f.values[0]},
                               {.tokens = &f.made[1].tokens, .key = 4, .values = f.values[1]}};
    run(generator, scenes, 2); // nothing is told
    memcpy(free_run, f.values[0], bytes);
    scenes[0].feedback = t->logged;
    run(generator, scenes, 2);
    memcpy(replayed, f.values[0], bytes);
    scenes[0].feedback = NULL;
    scenes[0].happened = tell_recorded;
    scenes[0].happened_context = &w;
    run(generator, scenes, 2);
    assert_int_equal(w.asked, t->config.future);
    assert_memory_equal(f.values[0], replayed, bytes);
    assert_true(memcmp(free_run, replayed, bytes) != 0);
    const uint32_t channels = nm_token_channels(&t->config);
    for (uint32_t n = 0; n < t->shape.agents * t->shape.steps; n++) // what it was asked is what came out
        if (n % t->shape.steps > t->config.past && t->valid[n])
            assert_memory_equal(w.seen + n * channels, f.values[0] + n * channels, channels * sizeof(float));
    w = (witness){.tokens = t, .shift = 0.01f, .seen = w.seen};
    run(generator, scenes, 2);
    assert_true(memcmp(f.values[0], replayed, bytes) != 0); // another life
    w = (witness){.tokens = t, .last = t->config.past + 2, .seen = w.seen};
    assert_int_equal(nm_generator_run(generator, scenes, 2, NULL, NULL, &error), NM_E_CANCELLED);
    assert_int_equal(w.asked, 2);
    w = (witness){.tokens = t, .shift = NAN, .seen = w.seen};
    assert_int_equal(nm_generator_run(generator, scenes, 2, NULL, NULL, &error), NM_E_NUMERIC);
    w = (witness){.tokens = t, .seen = w.seen};
    config.reuse.on = config.reuse.compare = 1;
    nm_generator *twice = make(&f, &config);
    assert_int_equal(nm_generator_run(twice, scenes, 2, NULL, NULL, &error), NM_E_ARGUMENT);
    assert_int_equal(w.asked, 0);
    nm_generator_destroy(twice);
    free(replayed);
    free(free_run);
    free(w.seen);
    nm_generator_destroy(generator);
    end(&f);
    nm_backend_destroy(backend);
}

/// Futures of two scenes with feedback in one of them.
static void sample_two(const fixture *f, nm_generator *generator, float *values[2]) {
    nm_generation scenes[2];
    for (int i = 0; i < 2; i++)
        scenes[i] = (nm_generation){.tokens = &f->made[i].tokens, .key = 7, .values = values[i]};
    scenes[1].feedback = f->made[1].tokens.logged;
    run(generator, scenes, 2);
}

/// Passes that keep what is the same to the bit make the same futures, under all schedules and with feedback; where
/// they keep more, futures are others, and still no scene sees another.
static void reuse_of_what_is_the_same_changes_no_future(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    fixture f = begin(backend, NM_TOKENS_AGENT);
    float *plain[2], *kept[2];
    for (int i = 0; i < 2; i++) {
        plain[i] = calloc(f.sizes[i], sizeof(float));
        kept[i] = calloc(f.sizes[i], sizeof(float));
    }
    static const char *const schedules[] = {"full", "ar", "pyramid:1", "trapezoid:1", "block:2"};
    for (size_t s = 0; s < sizeof schedules / sizeof *schedules; s++) {
        nm_generator_config config = small_config();
        nm_error error;
        assert_int_equal(nm_schedule_parse(schedules[s], &config.schedule, &error), NM_OK);
        nm_generator *whole = make(&f, &config);
        config.reuse.on = 1;
        nm_generator *exact = make(&f, &config);
        config.reuse.drift = 0.3f;
        config.scenes = 2;
        nm_generator *other = make(&f, &config);
        sample_two(&f, whole, plain);
        assert_int_equal(nm_generator_reuse_stats(whole).passes, 0);
        sample_two(&f, exact, kept);
        for (int i = 0; i < 2; i++) assert_memory_equal(kept[i], plain[i], f.sizes[i] * sizeof(float));
        const nm_reuse_stats stats = nm_generator_reuse_stats(exact);
        assert_true(stats.passes == nm_generator_passes(exact) && stats.flops < stats.exact_flops);
        assert_int_equal(stats.positions, 0);
        sample_two(&f, other, kept);
        assert_true(memcmp(kept[0], plain[0], f.sizes[0] * sizeof(float)) != 0);
        const nm_generation alone = {.tokens = &f.made[0].tokens, .key = 7, .values = plain[0]};
        run(other, &alone, 1);
        assert_memory_equal(kept[0], plain[0], f.sizes[0] * sizeof(float));
        nm_generator_destroy(whole);
        nm_generator_destroy(exact);
        nm_generator_destroy(other);
    }
    for (int i = 0; i < 2; i++) {
        free(plain[i]);
        free(kept[i]);
    }
    end(&f);
    nm_backend_destroy(backend);
}

/// Distances in m of what was sampled of the first two scenes: how many, their sum and the largest.
static nm_reuse_stats distances(const fixture *f, float *a[2], float *b[2]) {
    nm_reuse_stats sum = {0};
    for (int i = 0; i < 2; i++) {
        const nm_tokens *t = &f->made[i].tokens;
        const int own = t->config.encoding == NM_TOKENS_AGENT;
        const uint32_t states = own ? NM_TOKEN_STEPS : 1, channels = own ? NM_OWN_CHANNELS : NM_EGO_CHANNELS;
        const double scale = own ? t->config.position_scale : 104.0; // twice the deviation
        for (size_t n = 0; n < (size_t)t->shape.agents * t->shape.steps; n++) {
            if (!t->valid[n] || t->known[n]) continue;
            for (size_t k = n * states; k < (n + 1) * states; k++) {
                const double x = (double)(a[i][k * channels] - b[i][k * channels]);
                const double y = (double)(a[i][k * channels + 1] - b[i][k * channels + 1]);
                const double away = scale * sqrt(x * x + y * y);
                sum.positions++;
                sum.position_error_sum += away;
                sum.position_error_max = fmax(sum.position_error_max, away);
            }
        }
    }
    return sum;
}

/// What is said of how far samples are from those of exact passes is how far they are, in metres; and the samples are
/// those of passes that keep.
static void futures_are_compared_with_those_of_exact_passes(void **state) {
    (void)state;
    nm_backend *backend = float_backend();
    for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++) {
        fixture f = begin(backend, (nm_token_encoding)encoding);
        float *values[3][2];
        for (int i = 0; i < 6; i++) values[i / 2][i % 2] = calloc(f.sizes[i % 2], sizeof(float));
        nm_generator_config config = small_config();
        nm_generator *generators[3];
        generators[0] = make(&f, &config);
        config.reuse.on = 1;
        config.reuse.drift = 0.3f;
        config.reuse.check = 1;
        generators[1] = make(&f, &config);
        config.reuse.compare = 1;
        generators[2] = make(&f, &config);
        for (int k = 0; k < 3; k++) sample_two(&f, generators[k], values[k]);
        for (int i = 0; i < 2; i++) assert_memory_equal(values[2][i], values[1][i], f.sizes[i] * sizeof(float));
        const nm_reuse_stats stats = nm_generator_reuse_stats(generators[2]),
                             right = distances(&f, values[2], values[0]);
        assert_true(right.positions > 10 && right.position_error_max > 0.0);
        assert_int_equal(stats.positions, right.positions);
        assert_true(fabs(stats.position_error_sum - right.position_error_sum) <= 1e-6 * right.position_error_sum);
        assert_true(fabs(stats.position_error_max - right.position_error_max) <= 1e-6 * right.position_error_max);
        assert_int_equal(stats.passes, nm_generator_passes(generators[2]));
        assert_true(stats.relative_max > 0.0 && stats.relative_max < 1.0);
        sample_two(&f, generators[2], values[1]); // of the last run alone
        assert_int_equal(nm_generator_reuse_stats(generators[2]).positions, right.positions);
        for (int k = 0; k < 3; k++) nm_generator_destroy(generators[k]);
        for (int i = 0; i < 6; i++) free(values[i / 2][i % 2]);
        end(&f);
    }
    nm_backend_destroy(backend);
}

static void runs_allocate_nothing(void **state) {
    (void)state;
#if !COUNTS
    skip();
#else
    nm_backend *backend = float_backend();
    for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++) {
        fixture f = begin(backend, (nm_token_encoding)encoding);
        const nm_generator_config config = small_config();
        nm_generator *generator = make(&f, &config);
        nm_generation scenes[SCENES];
        for (int i = 0; i < SCENES; i++)
            scenes[i] = (nm_generation){.tokens = &f.made[i].tokens, .key = 7, .values = f.values[i]};
        run(generator, scenes, SCENES); // the backend may prepare what it has not seen before
        nm_error error;
        allocations = 0;
        const nm_status again = nm_generator_run(generator, scenes, SCENES, NULL, NULL, &error);
        const long made = allocations;
        assert_int_equal(again, NM_OK);
        if (made) fail_msg("%ld allocations", made);
        nm_generator_destroy(generator);
        assert_true(allocations == made);                   // and counting does work:
        void *volatile kept = malloc(1 + (size_t)encoding); // volatile: or the pair is left out by the compiler
        free(kept);
        assert_true(allocations > made);
        end(&f);
    }
    nm_backend_destroy(backend);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_tokens_come_out_as_they_went_in),
        cmocka_unit_test(a_scene_alone_is_as_in_a_batch),
        cmocka_unit_test(keys_make_futures),
        cmocka_unit_test(schedules_and_solvers_are_used),
        cmocka_unit_test(generators_that_can_not_be_are_refused),
        cmocka_unit_test(runs_that_can_not_be_spoil_nothing),
        cmocka_unit_test(a_loop_is_closed_as_with_feedback),
        cmocka_unit_test(reuse_of_what_is_the_same_changes_no_future),
        cmocka_unit_test(futures_are_compared_with_those_of_exact_passes),
        cmocka_unit_test(runs_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
