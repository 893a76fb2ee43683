/// The kernels of the CUDA backend, run thread by thread on the CPU: against the reference, and whatever the order in
/// which threads run between barriers.
#include "../ops_recipes.h"

#include "emulator.h"

// Ragged, then aligned for 128-bit accesses; more than one row per lane, block and slab.
static const nm_test_shape shapes[] = {{7, 5, 3, 3, 5, 1}, {37, 24, 65, 2, 12, 1}, {35, 64, 48, 2, 16, 0}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static nm_backend *create(nm_dtype compute) {
    nm_backend_config config = nm_backend_config_default();
    config.compute = compute;
    nm_backend *backend = NULL;
    assert_int_equal(nm_backend_create_cuda_on_cpu(&config, &backend, NULL), NM_OK);
    assert_true(backend->compute == compute);
    return backend;
}

typedef void compare(const nm_test_bench *a, const nm_test_bench *b);

/// Every recipe at every shape, `a` with threads in the one order and `b` in the other.
static void run_all(nm_backend *a, nm_backend *b, uint32_t order_a, uint32_t order_b, uint32_t first, compare *judge) {
    static nm_test_bench bench_a, bench_b;
    for (int r = 0; r < NM_TEST_RECIPES; r++) {
        const nm_test_recipe *recipe = &nm_test_recipes[r];
        for (int variant = 0; variant < recipe->variants; variant++) {
            for (uint32_t s = first; s < SHAPES; s++) {
                nm_test_bench_begin(&bench_a, a, b->compute, shapes[s].ragged, (uint64_t)variant * 10 + s);
                nm_test_bench_begin(&bench_b, b, b->compute, shapes[s].ragged, (uint64_t)variant * 10 + s);
                bench_a.recipe = bench_b.recipe = recipe->name;
                nm_emulator_set_order(order_a);
                recipe->run(&bench_a, &shapes[s], variant);
                nm_emulator_set_order(order_b);
                recipe->run(&bench_b, &shapes[s], variant);
                judge(&bench_a, &bench_b);
                nm_test_bench_end(&bench_a);
                nm_test_bench_end(&bench_b);
            }
        }
    }
}

static void against_the_reference(nm_dtype compute) {
    nm_backend *backend = create(compute), *reference;
    assert_int_equal(nm_backend_create_reference(&reference, NULL), NM_OK);
    run_all(reference, backend, 0, 0, 0, nm_test_expect_close);
    nm_backend_destroy(reference);
    nm_backend_destroy(backend);
}
static void test_f32_against_the_reference(void **state) {
    (void)state;
    against_the_reference(NM_F32);
}
static void test_bf16_against_the_reference(void **state) {
    (void)state;
    against_the_reference(NM_BF16);
}

/// A missing barrier shows when threads run the other way round.
static void test_any_order_of_threads(void **state) {
    (void)state;
    nm_backend *backend = create(NM_BF16);
    run_all(backend, backend, 0, 1, 1, nm_test_expect_same_bits);
    run_all(backend, backend, 1, 12345, 2, nm_test_expect_same_bits);
    nm_backend_destroy(backend);
}

/// A head of 256 columns takes other kernels than one of 64, and a long list of keys many tiles.
static void test_wide_heads_and_many_keys(void **state) {
    (void)state;
    nm_backend *backend = create(NM_F32), *reference;
    assert_int_equal(nm_backend_create_reference(&reference, NULL), NM_OK);
    static nm_test_bench bench_a, bench_b;
    const nm_test_shape shape = {9, 0, 0, 1, 256, 0};
    for (int r = 0; r < NM_TEST_RECIPES; r++) {
        if (nm_test_recipes[r].run != nm_test_attention) continue;
        for (int variant = 0; variant < nm_test_recipes[r].variants; variant++) {
            nm_test_bench_begin(&bench_a, reference, NM_F32, 0, (uint64_t)variant);
            nm_test_bench_begin(&bench_b, backend, NM_F32, 0, (uint64_t)variant);
            bench_a.recipe = bench_b.recipe = "attention with wide heads";
            nm_test_attention(&bench_a, &shape, variant);
            nm_test_attention(&bench_b, &shape, variant);
            nm_test_expect_close(&bench_a, &bench_b);
            nm_test_bench_end(&bench_a);
            nm_test_bench_end(&bench_b);
        }
    }
    nm_backend_destroy(reference);
    nm_backend_destroy(backend);
}

enum { MANY = 2500, FEW = 40 };

static nm_tensor random_tensor(nm_backend *backend, uint32_t rows, uint32_t cols, uint64_t seed) {
    static float values[MANY * FEW];
    const nm_rng_key key = {.seed = seed, .purpose = NM_PURPOSE_TEST};
    const nm_tensor t = nm_tensor_create(backend, rows, cols, backend->stream);
    assert_true(t.data && rows * cols <= MANY * FEW);
    for (uint32_t i = 0; i < rows * cols; i++) values[i] = nm_rng_normal(&key, i);
    backend->ops->upload(backend, values, t);
    return t;
}

/// The gradients of a norm's gain and offset: sums over rows, plain and weighted. [2][FEW]
static void sum_columns(nm_backend *backend, float *sums) {
    const nm_ops *ops = backend->ops;
    const nm_tensor x = random_tensor(backend, MANY, FEW, 1), dy = random_tensor(backend, MANY, FEW, 2);
    const nm_tensor weight = random_tensor(backend, 1, FEW, 3), bias = random_tensor(backend, 1, FEW, 4);
    const nm_tensor y = nm_tensor_create(backend, MANY, FEW, backend->stream);
    const nm_tensor dx = nm_tensor_create(backend, MANY, FEW, backend->stream);
    const nm_tensor statistics = nm_tensor_create(backend, MANY, 2, backend->stream);
    const nm_tensor dweight = random_tensor(backend, 1, FEW, 5), dbias = random_tensor(backend, 1, FEW, 6); // added to
    const nm_layer_norm norm = {
        .x = x, .weight = weight, .bias = bias, .epsilon = 1e-5f, .y = y, .statistics = statistics};
    const nm_layer_norm_grad grad = {
        .x = x, .weight = weight, .statistics = statistics, .dy = dy, .dx = dx, .dweight = dweight, .dbias = dbias};
    ops->layer_norm(backend, &norm);
    ops->layer_norm_backward(backend, &grad);
    ops->download(backend, dweight, sums);
    ops->download(backend, dbias, sums + FEW);
    assert_int_equal(ops->synchronize(backend, NULL), NM_OK);
    void *memory[] = {x.data,  dy.data,         weight.data,  bias.data, y.data,
                      dx.data, statistics.data, dweight.data, dbias.data};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) ops->release(backend, memory[i]);
}

/// So many rows that their slabs are more than the threads that add them up.
static void test_sums_over_many_rows(void **state) {
    (void)state;
    nm_backend *backend = create(NM_F32), *reference;
    assert_int_equal(nm_backend_create_reference(&reference, NULL), NM_OK);
    float expected[2 * FEW], got[2 * FEW], other[2 * FEW];
    sum_columns(reference, expected);
    nm_emulator_set_order(0);
    sum_columns(backend, got);
    nm_emulator_set_order(54321);
    sum_columns(backend, other);
    assert_memory_equal(got, other, sizeof got);
    for (int i = 0; i < 2 * FEW; i++) assert_float_equal(got[i], expected[i], 2e-3); // of sums that reach 50 and more
    nm_backend_destroy(reference);
    nm_backend_destroy(backend);
}

static void test_noise_is_the_hosts(void **state) {
    (void)state;
    nm_backend *backend = create(NM_F32);
    enum { N = 100, C = 77 };
    const nm_tensor noise = nm_tensor_create(backend, N, C, NM_F32);
    const nm_rng_key key = {
        .seed = 0x123456789abcdef0u, .scene = 77, .agent = 3, .step = 5, .purpose = NM_PURPOSE_NOISE};
    nm_cuda_fill_normal_on_cpu(backend, &key, noise);
    static float got[N * C];
    backend->ops->download(backend, noise, got);
    for (uint32_t i = 0; i < N * C; i++) {
        const float expected = nm_rng_normal(&key, i);
        assert_memory_equal(&got[i], &expected, sizeof expected);
    }
    backend->ops->release(backend, noise.data);
    nm_backend_destroy(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32_against_the_reference), cmocka_unit_test(test_bf16_against_the_reference),
        cmocka_unit_test(test_any_order_of_threads),      cmocka_unit_test(test_wide_heads_and_many_keys),
        cmocka_unit_test(test_sums_over_many_rows),       cmocka_unit_test(test_noise_is_the_hosts),
    };
    return cmocka_run_group_tests_name("cuda on cpu", tests, NULL, NULL);
}
