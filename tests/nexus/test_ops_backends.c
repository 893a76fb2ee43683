// Every operation on every backend of this build, against the reference backend; and the same bits whenever and on
// however many threads (base/thread_pool.h) it is run.
#include "ops_recipes.h"

static const nm_test_shape shapes[] = {
    {1, 1, 1, 1, 1, 1}, {7, 5, 3, 3, 5, 1}, {33, 24, 65, 2, 12, 1}, {64, 64, 48, 4, 16, 0}, {150, 96, 256, 2, 64, 0},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef nm_status create_backend(const nm_backend_config *config, nm_backend **backend, nm_error *error);

/// A backend under test. Defined by tests/CMakeLists.txt: which of them this tree has.
typedef struct entry {
    const char *name;
    create_backend *create;
    nm_dtype compute;
    int threaded; ///< the number of threads is the caller's choice
} entry;

/// The reference against itself: every recipe runs, and draws the same numbers on two benches.
static nm_status create_reference(const nm_backend_config *config, nm_backend **backend, nm_error *error) {
    (void)config;
    return nm_backend_create_reference(backend, error);
}

static entry entries[] = {
    {"reference", create_reference, NM_F64, 0},
#ifdef NM_HAVE_CPU_BACKEND
    {"cpu f32", nm_backend_create_cpu, NM_F32, 1},   {"cpu bf16", nm_backend_create_cpu, NM_BF16, 1},
#endif
#ifdef NM_HAVE_CUDA_BACKEND
    {"cuda f32", nm_backend_create_cuda, NM_F32, 0}, {"cuda bf16", nm_backend_create_cuda, NM_BF16, 0},
#endif
};
enum { ENTRIES = sizeof entries / sizeof *entries };

/// Skips the test, saying why, where this machine has no such backend.
static nm_backend *create(const entry *under_test, int threads) {
    nm_backend_config config = nm_backend_config_default();
    config.threads = threads;
    config.compute = under_test->compute;
    nm_backend *backend = NULL;
    nm_error error;
    const nm_status status = under_test->create(&config, &backend, &error);
    if (status == NM_E_UNSUPPORTED) {
        printf("skipped: %s: %s\n", under_test->name, error.message);
        skip();
    }
    if (status != NM_OK) fail_msg("%s: %s", under_test->name, error.message);
    assert_true(backend->compute == under_test->compute);
    assert_true(backend->stream == (under_test->compute == NM_F64 ? NM_F64 : NM_F32));
    assert_true(backend->parameter == backend->stream);
    assert_non_null(backend->name);
    return backend;
}

/// Called with two benches on which a recipe has run.
typedef void compare(const nm_test_bench *a, const nm_test_bench *b);

/// Runs every recipe on both backends at every shape from the given one on. The reference is its own judge at the small
/// ones: it is slow, and there it has nothing to hide.
static void run_all(nm_backend *a, nm_backend *b, nm_dtype compute, uint32_t first_shape, compare *judge) {
    nm_test_bench *bench_a = malloc(sizeof *bench_a), *bench_b = malloc(sizeof *bench_b);
    assert_true(bench_a && bench_b);
    for (int r = 0; r < NM_TEST_RECIPES; r++) {
        const nm_test_recipe *recipe = &nm_test_recipes[r];
        for (int variant = 0; variant < recipe->variants; variant++) {
            for (uint32_t s = first_shape; s < SHAPES + (recipe->when_empty ? 1 : 0); s++) {
                if (compute == NM_F64 && s > 2 && s < SHAPES) continue;
                nm_test_shape shape = shapes[s < SHAPES ? s : 1];
                if (s == SHAPES) shape.rows = 0;
                const uint64_t seed = ((uint64_t)r * 100 + (uint64_t)variant) * 10 + s;
                char name[64];
                snprintf(name, sizeof name, "%s (variant %d, %u rows)", recipe->name, variant, (unsigned)shape.rows);
                nm_test_bench_begin(bench_a, a, compute, shape.ragged, seed);
                nm_test_bench_begin(bench_b, b, compute, shape.ragged, seed);
                bench_a->recipe = bench_b->recipe = name;
                recipe->run(bench_a, &shape, variant);
                recipe->run(bench_b, &shape, variant);
                assert_true(bench_a->outputs > 0);
                judge(bench_a, bench_b);
                nm_test_bench_end(bench_a);
                nm_test_bench_end(bench_b);
            }
        }
    }
    free(bench_a);
    free(bench_b);
}

static void agrees_with_the_reference(void **state) {
    const entry *under_test = *state;
    nm_backend *backend = create(under_test, 0), *reference;
    assert_int_equal(nm_backend_create_reference(&reference, NULL), NM_OK);
    run_all(reference, backend, under_test->compute, 0, nm_test_expect_close);
    nm_backend_destroy(reference);
    nm_backend_destroy(backend);
}

static void gives_the_same_bits_again(void **state) {
    const entry *under_test = *state;
    nm_backend *backend = create(under_test, 0);
    run_all(backend, backend, under_test->compute, 1, nm_test_expect_same_bits);
    nm_backend_destroy(backend);
}

static void gives_the_same_bits_on_any_number_of_threads(void **state) {
    const entry *under_test = *state;
    if (!under_test->threaded) skip();
    nm_backend *one = create(under_test, 1);
    for (int threads = 2; threads <= 3; threads++) {
        nm_backend *several = create(under_test, threads);
        run_all(one, several, under_test->compute, 2, nm_test_expect_same_bits);
        nm_backend_destroy(several);
    }
    nm_backend_destroy(one);
}

static void rounds_to_nearest_even(void **state) {
    const entry *under_test = *state;
    nm_backend *backend = create(under_test, 0);
    static const float values[] = {
        0,           -0.0f,  1 + 0x1p-8f, 1 + 0x3p-8f, -1 - 0x1p-8f, 1 + 0x1.0001p-8f, 0x1.fffep50f,
        0x1.ffp127f, 1e-38f, 1e-42f,      INFINITY,    -INFINITY};
    enum { COUNT = sizeof values / sizeof *values };
    const nm_ops *ops = backend->ops;
    const nm_tensor stream = nm_tensor_create(backend, 1, COUNT, backend->stream);
    const nm_tensor uploaded = nm_tensor_create(backend, 1, COUNT, backend->compute);
    const nm_tensor converted = nm_tensor_create(backend, 1, COUNT, backend->compute);
    assert_true(stream.data && uploaded.data && converted.data);
    ops->upload(backend, values, stream);
    ops->upload(backend, values, uploaded);
    ops->convert(backend, stream, converted);
    float got[2][COUNT];
    ops->download(backend, uploaded, got[0]);
    ops->download(backend, converted, got[1]);
    assert_int_equal(ops->synchronize(backend, NULL), NM_OK);
    for (int way = 0; way < 2; way++) {
        for (int i = 0; i < COUNT; i++) {
            const float rounded = nm_float_of_bf16(nm_bf16_of_float(values[i]));
            const float expected = under_test->compute == NM_BF16 ? rounded : values[i];
            if (memcmp(&got[way][i], &expected, sizeof expected) != 0)
                fail_msg("%s of %a gave %a", way ? "convert" : "upload", (double)values[i], (double)got[way][i]);
        }
    }
    ops->release(backend, stream.data);
    ops->release(backend, uploaded.data);
    ops->release(backend, converted.data);
    nm_backend_destroy(backend);
}

static void allocates_zeroed_and_aligned(void **state) {
    const entry *under_test = *state;
    nm_backend *backend = create(under_test, 0);
    for (uint32_t count = 1; count < 3000; count *= 3) {
        const nm_tensor t = nm_tensor_create(backend, 1, count, NM_F32);
        assert_non_null(t.data);
        assert_int_equal((uintptr_t)t.data % 256, 0);
        float values[3000] = {0};
        for (uint32_t i = 0; i < count; i++) values[i] = 1;
        backend->ops->download(backend, t, values);
        assert_int_equal(backend->ops->synchronize(backend, NULL), NM_OK);
        for (uint32_t i = 0; i < count; i++) assert_true(values[i] == 0);
        for (uint32_t i = 0; i < count; i++) values[i] = 1; // dirty for whoever gets it next
        backend->ops->upload(backend, values, t);
        assert_int_equal(backend->ops->synchronize(backend, NULL), NM_OK);
        backend->ops->release(backend, t.data);
    }
    nm_backend_destroy(backend);
}

/// The judge judged.
static void the_comparison_tells_differences(void **state) {
    (void)state;
    const float expected[4] = {-INFINITY, 2, -4, 0};
    size_t where;
    assert_true(nm_test_distance(expected, expected, 4, 0, &where) == 0);
    assert_true(nm_test_distance(expected, (const float[]){-INFINITY, 2, -4, 0.5f}, 4, 0, &where) == 0.125);
    assert_int_equal(where, 3);
    assert_true(nm_test_distance(expected, (const float[]){-INFINITY, 2, -4, 0.5f}, 4, 8, &where) == 0.0625);
    assert_true(isinf(nm_test_distance(expected, (const float[]){-INFINITY, NAN, -4, 0}, 4, 0, &where)));
    assert_true(isinf(nm_test_distance(expected, (const float[]){INFINITY, 2, -4, 0}, 4, 0, &where)));
    assert_true(isinf(nm_test_distance(expected, (const float[]){-100, 2, -4, 0}, 4, 0, &where)));
    assert_true(isinf(nm_test_distance((const float[]){NAN}, (const float[]){NAN}, 1, 0, &where)));
}

int main(void) {
    static const struct CMUnitTest per_entry[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(gives_the_same_bits_again),
        cmocka_unit_test(gives_the_same_bits_on_any_number_of_threads),
        cmocka_unit_test(rounds_to_nearest_even),
        cmocka_unit_test(allocates_zeroed_and_aligned),
    };
    enum { PER_ENTRY = sizeof per_entry / sizeof *per_entry };
    struct CMUnitTest tests[ENTRIES * PER_ENTRY + 1];
    char names[ENTRIES * PER_ENTRY][96];
    for (int i = 0; i < ENTRIES * PER_ENTRY; i++) {
        tests[i] = per_entry[i % PER_ENTRY];
        snprintf(names[i], sizeof names[i], "%s %s", entries[i / PER_ENTRY].name, tests[i].name);
        tests[i].name = names[i];
        tests[i].initial_state = &entries[i / PER_ENTRY];
    }
    tests[ENTRIES * PER_ENTRY] = (struct CMUnitTest)cmocka_unit_test(the_comparison_tells_differences);
    return cmocka_run_group_tests_name("backends", tests, NULL, NULL);
}
