/// Futures sampled side by side: the same bits for any number of threads, the first failure in order whatever the
/// timing, and a model that has learnt in between.
#define _DEFAULT_SOURCE // usleep
#include <stdatomic.h>
#include <unistd.h>

#include "base/progress.h"
#include "base/thread_pool.h" // several threads: this label has the test run under ThreadSanitizer
#include "nexus/network_support.h"
#include "nexus/tokens_support.h"
#include "scenarios/future_guidance.h"
#include "scenarios/future_tokens.h"
#include "scenarios/future_workers.h"
#include "scenarios/scene_generator.h"

enum { CURRENT = 25, FUTURE = 4, AGENTS = 8, SAMPLES = 5 };

static const int threads_of[] = {1, 2, 3, 5};
enum { SIZES = sizeof threads_of / sizeof *threads_of };

typedef struct stage {
    nm_backend *backend;
    nm_model *model;
} stage;

typedef struct world {
    nm_recipe recipe;
    nm_model_config config;
    const nm_scene *scene;
    nm_arena *arena;
    uint32_t track[AGENTS], agents;
} world;

static world world_open(uint32_t block) {
    world w = {.recipe = {.tokens = nm_token_config_default(NM_TOKENS_AGENT), .prior = NM_PRIOR_LANE},
               .config = small_config(2),
               .arena = nm_arena_create(0)};
    w.recipe.tokens.future = FUTURE;
    w.recipe.tokens.map_polylines = 8;
    w.recipe.tokens.paths = 1;
    if (block) w.recipe.blocks = (nm_block_config){.size = block, .memory = 4};
    nm_token_fit_model(&w.recipe.tokens, &w.config);
    w.scene = tokens_rollout("junction_signal:vehicles=10,pedestrians=2", 7, 50);
    for (uint32_t i = 0; i < w.scene->track_count && w.agents < AGENTS; i++)
        if (w.scene->valid[nm_scene_at(w.scene, i, CURRENT)]) w.track[w.agents++] = i;
    assert_true(w.agents > 4);
    return w;
}

static void world_close(world *w) {
    nm_scene_destroy(w->scene);
    nm_arena_destroy(w->arena);
}

/// Random, but what it says is a small part of what the prior leaves: nobody is off the map at once.
static void teach(nm_model *model, uint64_t seed) {
    nm_error error;
    randomise_model(model, seed);
    const nm_tensor values = nm_model_values(model);
    float *host = calloc(values.cols, sizeof *host);
    assert_non_null(host);
    model->backend->ops->download(model->backend, values, host);
    for (size_t i = 0; i < model->parameter_count; i++) {
        const nm_parameter *p = &model->parameters[i];
        if (!strstr(p->name, "output_proj")) continue;
        for (size_t k = p->offset; k < p->offset + (size_t)p->rows * p->cols; k++) host[k] *= 0.02f;
    }
    model->backend->ops->upload(model->backend, host, values);
    free(host);
    assert_int_equal(nm_model_repack(model, &error), NM_OK);
}

static stage stage_open(const world *w, int threads, nm_dtype compute) {
    stage s;
    nm_backend_config backend = nm_backend_config_default();
    nm_error error;
    backend.compute = compute;
    backend.threads = threads;
    assert_int_equal(nm_backend_create_cpu(&backend, &s.backend, &error), NM_OK);
    assert_int_equal(nm_model_create(&w->config, s.backend, 1, &s.model, &error), NM_OK);
    teach(s.model, 3);
    return s;
}

static void stage_close(stage *s) {
    nm_model_destroy(s->model);
    nm_backend_destroy(s->backend);
}

static nm_model_futures_config config_of(uint32_t batch, int reuse) {
    nm_model_futures_config c = nm_model_futures_config_default();
    c.generator.scenes = batch;
    c.generator.seed = 5;
    c.agents = AGENTS;
    c.guidance.overlap = c.guidance.road = c.guidance.smooth = 0.5f;
    if (reuse) {
        c.generator.reuse.on = 1;
        c.generator.reuse.ahead = c.generator.reuse.behind = 1;
        c.guidance.ahead = 0;
    }
    return c;
}

static nm_model_futures *open_futures(const world *w, const stage *s, const nm_model_futures_config *config) {
    nm_model_futures *futures = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_model_futures_create(s->model, &w->recipe, config, &futures, &error) != NM_OK) fail_msg("%s", error.message);
    return futures;
}

static nm_future_request request_of(const world *w, uint32_t samples) {
    return (nm_future_request){.scene = w->scene,
                               .current_step = CURRENT,
                               .samples = samples,
                               .agents = w->agents,
                               .track = w->track,
                               .seed = 5};
}

static nm_futures run(world *w, nm_model_futures *futures, const nm_future_request *request, nm_future_cost *cost) {
    nm_futures out;
    nm_error error;
    nm_error_clear(&error);
    if (nm_model_futures_run(futures, request, w->arena, &out, cost, &error) != NM_OK) fail_msg("%s", error.message);
    return out;
}

/// The samples that the shorter one has, bit by bit.
static int same(const nm_futures *a, const nm_futures *b) {
    assert_int_equal(a->agents, b->agents);
    assert_int_equal(a->steps, b->steps);
    const size_t size = (size_t)(a->samples < b->samples ? a->samples : b->samples) * a->agents * a->steps;
    return memcmp(a->x, b->x, size * sizeof(float)) == 0 && memcmp(a->y, b->y, size * sizeof(float)) == 0 &&
           memcmp(a->z, b->z, size * sizeof(float)) == 0 && memcmp(a->heading, b->heading, size * sizeof(float)) == 0;
}

// ---------------------------------------------------------------------------------------------------------------------

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/// As many batches as it takes for everybody to have something to do, and no more than the batch's size asks for.
static uint32_t batches_of(uint32_t threads, uint32_t samples, uint32_t batch) {
    const uint32_t workers = least(threads, samples), each = least(batch, (samples + workers - 1) / workers);
    return (samples + each - 1) / each;
}

static void check_same_bits(world *w, uint32_t batch, int reuse, nm_dtype compute, const nm_future_request *request) {
    nm_futures alone = {0};
    nm_future_cost of_alone = {0};
    for (int t = 0; t < SIZES; t++) {
        stage s = stage_open(w, threads_of[t], compute);
        const nm_model_futures_config config = config_of(batch, reuse);
        nm_model_futures *futures = open_futures(w, &s, &config);
        nm_future_request wanted = *request;
        for (wanted.samples = SAMPLES; wanted.samples >= 1; wanted.samples--) { // the most first, then those again
            nm_future_cost cost = {0};
            const nm_futures out = run(w, futures, &wanted, &cost);
            if (!alone.samples) {
                alone = out;
                of_alone = cost;
            }
            assert_true(same(&alone, &out));
            assert_int_equal(cost.future_count, wanted.samples);
            assert_int_equal(cost.futures.passes * SAMPLES, of_alone.futures.passes * wanted.samples);
            assert_true(cost.seconds > 0.0);
            const uint32_t batches = batches_of(s.backend->beside ? (uint32_t)threads_of[t] : 1, wanted.samples, batch);
            assert_int_equal(cost.batches, batches);
            assert_int_equal(cost.passes * SAMPLES, of_alone.futures.passes * batches);
            assert_int_equal(cost.reuse.passes, reuse ? cost.passes : 0);
        }
        nm_model_futures_destroy(futures);
        stage_close(&s);
    }
}

static void test_same_bits(void **state) {
    (void)state;
    world w = world_open(0);
    nm_future_request request = request_of(&w, SAMPLES);
    check_same_bits(&w, 8, 0, NM_F32, &request);
    check_same_bits(&w, 1, 1, NM_BF16, &request);
    request.task = NM_TASK_GOAL;
    check_same_bits(&w, 2, 0, NM_BF16, &request);
    world_close(&w);
}

static void test_same_bits_of_rollouts(void **state) {
    (void)state;
    world w = world_open(2);
    const nm_future_request request = request_of(&w, 4);
    nm_futures alone = {0};
    for (int t = 0; t < SIZES; t++) {
        stage s = stage_open(&w, threads_of[t], NM_F32);
        const nm_model_futures_config config = config_of(8, 0);
        nm_model_futures *futures = open_futures(&w, &s, &config);
        nm_future_cost cost = {0};
        const nm_futures out = run(&w, futures, &request, &cost);
        if (t == 0) alone = out;
        assert_true(same(&alone, &out));
        assert_int_equal(cost.batches, batches_of(s.backend->beside ? (uint32_t)threads_of[t] : 1, 4, 8));
        nm_model_futures_destroy(futures);
        stage_close(&s);
    }
    world_close(&w);
}

/// Whole scenes, of a batch that is shared out; windows and rollouts.
static void test_same_scenes(void **state) {
    (void)state;
    for (uint32_t block = 0; block <= 2; block += 2) {
        world w = world_open(block);
        uint64_t hashes[SAMPLES] = {0};
        for (int t = 0; t < SIZES; t++) {
            stage s = stage_open(&w, threads_of[t], NM_F32);
            nm_scene_generator_config config = nm_scene_generator_config_default();
            nm_scene_generator *g;
            nm_error error;
            nm_error_clear(&error);
            config.agents = AGENTS;
            assert_int_equal(nm_scene_generator_create(s.model, &w.recipe, &config, &g, &error), NM_OK);
            for (uint32_t i = 0; i < SAMPLES; i++) {
                const nm_scene_request request = {
                    .scene = w.scene, .current_step = CURRENT, .seed = 5, .sample = i, .parameters = "{}"};
                assert_int_equal(nm_scene_generator_add(g, &request, &error), NM_OK);
            }
            nm_generated_scene out[SAMPLES];
            nm_future_cost cost = {0};
            if (nm_scene_generator_run(g, out, &cost, &error) != NM_OK) fail_msg("%s", error.message);
            for (uint32_t i = 0; i < SAMPLES; i++) {
                if (out[i].status != NM_OK) fail_msg("%s", out[i].error.message);
                if (t == 0) hashes[i] = out[i].scene->hash;
                assert_true(out[i].scene->hash == hashes[i]);
                assert_true(i == 0 || hashes[i] != hashes[i - 1]);
                nm_scene_destroy(out[i].scene);
            }
            assert_int_equal(cost.future_count, SAMPLES);
            assert_int_equal(cost.batches, batches_of(s.backend->beside ? (uint32_t)threads_of[t] : 1, SAMPLES, 8));
            nm_scene_generator_destroy(g);
            stage_close(&s);
        }
        world_close(&w);
    }
}

/// Somebody whose numbers no scene takes spoils his own scene, whoever samples it, and none of those beside him.
static void test_one_scene_fails(void **state) {
    (void)state;
    for (uint32_t block = 0; block <= 2; block += 2) {
        world w = world_open(block);
        stage s = stage_open(&w, 3, NM_F32);
        const nm_test_agent fast = {.x = 9.96e6, .speed = 1.6e4};
        const nm_scene *leaving = nm_test_scene(nm_test_road(100.0), &fast, 1, 21);
        nm_scene_generator_config config = nm_scene_generator_config_default();
        nm_scene_generator *g;
        nm_error error;
        nm_error_clear(&error);
        config.agents = AGENTS;
        assert_int_equal(nm_scene_generator_create(s.model, &w.recipe, &config, &g, &error), NM_OK);
        for (uint32_t i = 0; i < SAMPLES; i++) {
            const int bad = i == 3;
            const nm_scene_request request = {
                .scene = bad ? leaving : w.scene, .current_step = bad ? 20 : CURRENT, .sample = i, .parameters = "{}"};
            assert_int_equal(nm_scene_generator_add(g, &request, &error), NM_OK);
        }
        nm_generated_scene out[SAMPLES];
        if (nm_scene_generator_run(g, out, NULL, &error) != NM_OK) fail_msg("%s", error.message);
        for (uint32_t i = 0; i < SAMPLES; i++) {
            assert_int_equal(out[i].status, i == 3 ? NM_E_NUMERIC : NM_OK);
            assert_int_equal(out[i].scene == NULL, i == 3);
            nm_scene_destroy(out[i].scene);
        }
        nm_scene_generator_destroy(g);
        nm_scene_destroy(leaving);
        stage_close(&s);
        world_close(&w);
    }
}

static int passes_left, asked_again;
static int stop_later(void *context) { // by one thread at a time, so this needs no care
    (void)context;
    if (passes_left < 0) asked_again++;
    return passes_left-- <= 0;
}

static void test_interrupted(void **state) {
    (void)state;
    for (uint32_t block = 0; block <= 2; block += 2) {
        world w = world_open(block);
        stage s = stage_open(&w, 3, NM_F32);
        const nm_future_request request = request_of(&w, SAMPLES);
        nm_model_futures_config config = config_of(1, 0);
        nm_model_futures *plain = open_futures(&w, &s, &config);
        config.stop = stop_later;
        nm_model_futures *asked = open_futures(&w, &s, &config);
        const nm_futures before = run(&w, plain, &request, NULL);
        for (int left = 0; left < 8; left += 3) {
            nm_futures out;
            nm_error error;
            nm_future_cost cost = {0};
            passes_left = left;
            asked_again = 0;
            assert_int_equal(nm_model_futures_run(asked, &request, w.arena, &out, &cost, &error), NM_E_CANCELLED);
            assert_int_equal(error.code, NM_E_CANCELLED);
            assert_int_equal(passes_left, -1);
            assert_int_equal(asked_again, 0);
            assert_int_equal(cost.batches, 0);
        }
        passes_left = 1000;
        const nm_futures after = run(&w, asked, &request, NULL);
        assert_true(same(&before, &after));
        nm_model_futures_destroy(plain);
        nm_model_futures_destroy(asked);
        stage_close(&s);
        world_close(&w);
    }
}

/// What a model learns between two runs is what all workers sample with.
static void test_model_that_learns(void **state) {
    (void)state;
    world w = world_open(0);
    stage one = stage_open(&w, 1, NM_F32), three = stage_open(&w, 3, NM_F32);
    const nm_model_futures_config config = config_of(8, 0);
    nm_model_futures *alone = open_futures(&w, &one, &config), *beside = open_futures(&w, &three, &config);
    const nm_future_request request = request_of(&w, SAMPLES);
    const nm_futures first = run(&w, beside, &request, NULL);
    teach(one.model, 4);
    teach(three.model, 4);
    const nm_futures a = run(&w, alone, &request, NULL), b = run(&w, beside, &request, NULL);
    assert_false(same(&first, &b));
    assert_true(same(&a, &b));
    nm_model_futures_destroy(alone);
    nm_model_futures_destroy(beside);
    stage_close(&one);
    stage_close(&three);
    world_close(&w);
}

// ---------------------------------------------------------------------------------------------------------------------
// Failures, with tasks of our own

typedef struct plan {
    int fails[SAMPLES];        ///< pieces that fail by themselves
    int first_waits;           ///< piece 0 goes on only when piece 1 is on
    int second_waits;          ///< piece 1 ends only when it is told to
    atomic_int began[SAMPLES]; ///< of each piece
    atomic_int ended_because;  ///< piece 1 was told to end
    nm_status told_to_first;   ///< what piece 0 heard after piece 1 had failed
    double seconds;            ///< of each
    uint32_t threads[SAMPLES]; ///< of the worker
    uint8_t touched[SAMPLES];
} plan;

static int wait_until(atomic_int *there) {
    const double start = nm_clock();
    while (!atomic_load(there)) {
        if (nm_clock() - start > 20.0) return 0;
        usleep(100);
    }
    return 1;
}

static nm_status follow_plan(void *context, nm_future_worker *worker, uint32_t first, uint32_t count,
                             nm_future_cost *cost, nm_error *error) {
    plan *p = context;
    nm_error why;
    nm_error_clear(&why);
    for (uint32_t i = first; i < first + count; i++) {
        p->touched[i]++;
        p->threads[i] = worker->threads;
    }
    atomic_store(&p->began[first], 1);
    cost->batches = 1;
    cost->seconds = p->seconds;
    if (first == 0 && p->first_waits && !wait_until(&p->began[1])) return NM_ERROR(error, NM_E_BUSY, "alone");
    if (first == 1 && p->second_waits) {
        const double start = nm_clock();
        while (nm_clock() - start < 20.0) {
            const nm_status status = nm_future_worker_guide(worker, NULL, NULL, error);
            if (status == NM_OK) continue;
            atomic_store(&p->ended_because, 1);
            return status;
        }
    }
    if (p->fails[first]) return NM_ERROR(error, NM_E_NUMERIC, "future %u", first);
    if (first == 0 && p->fails[1] && p->first_waits) {
        usleep(2000); // by now it has failed, which is no concern of futures before it
        p->told_to_first = nm_future_worker_guide(worker, NULL, NULL, &why);
    }
    return NM_OK;
}

static nm_future_workers *open_workers(const world *w, const stage *s, int guided) {
    nm_future_workers *workers = NULL;
    nm_error error;
    nm_error_clear(&error);
    nm_block_rollout_config config = nm_block_rollout_config_default();
    config.generator.scenes = 1;
    config.agents = AGENTS;
    if (!guided) config.guidance.overlap = config.guidance.road = config.guidance.smooth = 0.0f;
    const nm_recipe wide = nm_future_recipe(&w->recipe, AGENTS);
    if (nm_future_workers_create(s->model, &wide, &config, NM_DRIVER_PATH, &workers, &error) != NM_OK)
        fail_msg("%s", error.message);
    return workers;
}

static void check_failure(nm_future_workers *workers, plan *p, uint32_t futures, const char *message) {
    nm_error error;
    nm_error_clear(&error);
    nm_future_cost cost = {0};
    assert_int_equal(nm_future_workers_run(workers, futures, follow_plan, p, &cost, &error), NM_E_NUMERIC);
    assert_string_equal(error.message, message);
    assert_int_equal(cost.batches, 0);
}

static void test_first_failure(void **state) {
    (void)state;
    world w = world_open(0);
    stage s = stage_open(&w, 3, NM_F32);
    if (!s.backend->beside) skip(); // a CBLAS with one setting for all threads
    nm_future_workers *workers = open_workers(&w, &s, 0);
    for (int again = 0; again < 20; again++) {
        plan p = {.fails = {0, 0, 1, 0, 1}};
        check_failure(workers, &p, SAMPLES, "future 2");
        assert_true(p.touched[0] && p.touched[1] && p.touched[2]);
    }
    plan ends = {
        .fails = {1}, .first_waits = 1, .second_waits = 1}; // what comes after a failure ends, and tells nothing
    check_failure(workers, &ends, 2, "future 0");
    assert_int_equal(ends.ended_because, 1);
    plan goes_on = {.fails = {0, 1}, .first_waits = 1, .told_to_first = NM_E_BUSY}; // what comes before it does not
    check_failure(workers, &goes_on, 2, "future 1");
    assert_int_equal(goes_on.told_to_first, NM_OK);
    plan well = {.seconds = 1.0};
    nm_error error;
    nm_future_cost cost = {.seconds = 2.0};
    assert_int_equal(nm_future_workers_run(workers, SAMPLES, follow_plan, &well, &cost, &error), NM_OK);
    for (int i = 0; i < SAMPLES; i++) assert_int_equal(well.touched[i], 1);
    assert_int_equal(cost.batches, SAMPLES);
    assert_true(cost.seconds >= 4.0 && cost.seconds <= 7.0); // on the wall: five pieces of a second by three, at best
    assert_int_equal(nm_future_workers_run(workers, 0, follow_plan, &well, &cost, &error), NM_OK);
    nm_future_workers_destroy(workers);
    stage_close(&s);
    world_close(&w);
}

/// Threads that futures leave idle help with those that there are; what takes a second together took a second.
static void test_threads_of_workers(void **state) {
    (void)state;
    world w = world_open(0);
    stage s = stage_open(&w, 5, NM_F32);
    if (!s.backend->beside) skip();
    nm_future_workers *workers = open_workers(&w, &s, 1);
    static const uint32_t expected[SAMPLES + 1] = {0, 0, 2, 1, 1, 1}; // 0: the model's own backend
    for (uint32_t futures = 1; futures <= SAMPLES; futures++) {
        plan p = {.seconds = 1.0};
        nm_future_cost cost = {0};
        nm_error error;
        assert_int_equal(nm_future_workers_run(workers, futures, follow_plan, &p, &cost, &error), NM_OK);
        for (uint32_t i = 0; i < futures; i++) assert_int_equal(p.threads[i], expected[futures]);
        assert_true(cost.seconds == 1.0); // on the wall: all at the same time
    }
    nm_future_workers_destroy(workers);
    stage_close(&s);
    world_close(&w);
}

static void test_backends_beside(void **state) {
    (void)state;
    nm_backend *reference, *made;
    nm_error error;
    assert_int_equal(nm_backend_create_reference(&reference, &error), NM_OK);
    assert_int_equal(reference->threads, 1);
    assert_int_equal(nm_backend_create_beside(reference, 1, &made, &error), NM_E_UNSUPPORTED);
    assert_null(made);
    assert_non_null(strstr(error.message, "reference"));
    nm_backend_destroy(reference);
    nm_backend_config config = nm_backend_config_default();
    config.threads = 3;
    config.compute = NM_F32;
    config.gemm = NM_GEMM_PORTABLE;
    config.isa = NM_CPU_ISA_PORTABLE;
    nm_backend *cpu;
    assert_int_equal(nm_backend_create_cpu(&config, &cpu, &error), NM_OK);
    assert_int_equal(cpu->threads, 3);
    assert_int_equal(nm_backend_create_beside(cpu, 2, &made, &error), NM_OK);
    assert_int_equal(made->threads, 2);
    assert_int_equal(made->compute, NM_F32);
    assert_int_equal(strncmp(made->name, cpu->name, strcspn(cpu->name, "3")), 0); // alike up to their threads
    nm_backend_destroy(made);
    assert_int_equal(nm_backend_create_beside(cpu, 257, &made, &error), NM_E_ARGUMENT);
    nm_backend_destroy(cpu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),       cmocka_unit_test(test_same_bits_of_rollouts),
        cmocka_unit_test(test_same_scenes),     cmocka_unit_test(test_one_scene_fails),
        cmocka_unit_test(test_interrupted),     cmocka_unit_test(test_model_that_learns),
        cmocka_unit_test(test_first_failure),   cmocka_unit_test(test_threads_of_workers),
        cmocka_unit_test(test_backends_beside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
