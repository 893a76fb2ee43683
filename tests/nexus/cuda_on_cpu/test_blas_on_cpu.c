/// What the CUDA backend does with cuBLASLt (nexus/ops/cuda/blas.cu), on a library that stands in for it: the right
/// products, the same bits for a row whatever others come with it, and no search for an algorithm for every batch.
#include "../ops_recipes.h"

#include "emulator.h"
#include "stand_in.h"

static nm_backend *create(nm_dtype compute) {
    nm_backend_config config = nm_backend_config_default();
    config.compute = compute;
    nm_backend *backend = NULL;
    nm_error error;
    if (nm_backend_create_cuda_on_cpu(&config, &backend, &error) != NM_OK) fail_msg("%s", error.message);
    assert_non_null(strstr(backend->name, "cuBLASLt 130000"));
    return backend;
}

/// Every recipe with products in it; some of them the stand-in declines.
static void test_products_are_right(void **state) {
    (void)state;
    static const nm_test_shape shapes[] = {{7, 5, 3, 3, 5, 1}, {37, 24, 65, 2, 12, 1}, {35, 64, 48, 2, 16, 0}};
    static const nm_dtype types[] = {NM_F32, NM_BF16};
    static nm_test_bench bench_a, bench_b;
    nm_backend *reference;
    assert_int_equal(nm_backend_create_reference(&reference, NULL), NM_OK);
    const int before = nm_stand_in_products();
    for (int t = 0; t < 2; t++) {
        nm_backend *backend = create(types[t]);
        for (int r = 0; r < NM_TEST_RECIPES; r++) {
            const nm_test_recipe *recipe = &nm_test_recipes[r];
            for (int variant = 0; variant < recipe->variants; variant++) {
                for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
                    nm_test_bench_begin(&bench_a, reference, types[t], shapes[s].ragged, s);
                    nm_test_bench_begin(&bench_b, backend, types[t], shapes[s].ragged, s);
                    bench_a.recipe = bench_b.recipe = recipe->name;
                    recipe->run(&bench_a, &shapes[s], variant);
                    recipe->run(&bench_b, &shapes[s], variant);
                    nm_test_expect_close(&bench_a, &bench_b);
                    nm_test_bench_end(&bench_a);
                    nm_test_bench_end(&bench_b);
                }
            }
        }
        nm_backend_destroy(backend);
    }
    assert_true(nm_stand_in_products() > before + 50);
    nm_backend_destroy(reference);
}

enum { ROWS = 300, INPUTS = 96, OUTPUTS = 64 };

static nm_tensor random_tensor(nm_backend *backend, uint32_t rows, uint32_t cols, nm_dtype dtype, uint64_t seed) {
    static float values[ROWS * INPUTS];
    const nm_rng_key key = {.seed = seed, .purpose = NM_PURPOSE_TEST};
    const nm_tensor t = nm_tensor_create(backend, rows, cols, dtype);
    assert_true(t.data && rows * cols <= ROWS * INPUTS);
    for (uint32_t i = 0; i < rows * cols; i++) values[i] = nm_rng_normal(&key, i);
    backend->ops->upload(backend, values, t);
    return t;
}

/// A linear layer and what its gradients need.
typedef struct layer {
    nm_backend *backend;
    nm_weight weight;
    nm_tensor x, y, dy, dx, dweight;
} layer;

static layer make_layer(nm_dtype compute) {
    layer l = {.backend = create(compute)};
    l.weight = (nm_weight){.value = random_tensor(l.backend, OUTPUTS, INPUTS, NM_F32, 1), .product = compute};
    l.weight.bias = random_tensor(l.backend, 1, OUTPUTS, NM_F32, 2);
    assert_int_equal(l.backend->ops->pack_weight(l.backend, &l.weight, NULL), NM_OK);
    l.x = random_tensor(l.backend, ROWS, INPUTS, compute, 3);
    l.y = nm_tensor_create(l.backend, ROWS, OUTPUTS, compute);
    l.dy = random_tensor(l.backend, ROWS, OUTPUTS, compute, 4);
    l.dx = nm_tensor_create(l.backend, ROWS, INPUTS, compute);
    l.dweight = nm_tensor_create(l.backend, OUTPUTS, INPUTS, NM_F32);
    return l;
}

static void destroy_layer(layer *l) {
    void *memory[] = {l->weight.value.data, l->weight.bias.data, l->x.data,      l->y.data,
                      l->dy.data,           l->dx.data,          l->dweight.data};
    l->backend->ops->release_weight(l->backend, &l->weight);
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) l->backend->ops->release(l->backend, memory[i]);
    nm_backend_destroy(l->backend);
}

/// The first rows forward, and the gradient of their inputs.
static void run_rows(const layer *l, uint32_t rows, float *y, float *dx) {
    const nm_ops *ops = l->backend->ops;
    const nm_tensor out = nm_tensor_rows(l->y, 0, rows), back = nm_tensor_rows(l->dx, 0, rows);
    const nm_linear op = {.x = nm_tensor_rows(l->x, 0, rows), .weight = l->weight, .y = out};
    const nm_linear_grad grad = {.weight = l->weight, .dp = nm_tensor_rows(l->dy, 0, rows), .dx = back};
    ops->linear(l->backend, &op);
    ops->linear_backward(l->backend, &grad);
    ops->download(l->backend, out, y);
    ops->download(l->backend, back, dx);
    assert_int_equal(ops->synchronize(l->backend, NULL), NM_OK);
}

/// A scene in a batch comes to the bits it comes to alone.
static void test_a_row_does_not_depend_on_the_others(void **state) {
    (void)state;
    static const nm_dtype types[] = {NM_F32, NM_BF16};
    static const uint32_t counts[] = {1, 2, 7, 64, 65, 200};
    static float all_y[ROWS * OUTPUTS], all_dx[ROWS * INPUTS], y[ROWS * OUTPUTS], dx[ROWS * INPUTS];
    for (int t = 0; t < 2; t++) {
        layer l = make_layer(types[t]);
        run_rows(&l, ROWS, all_y, all_dx);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            layer fresh = make_layer(types[t]); // nor on what was computed before
            run_rows(&l, counts[c], y, dx);
            assert_memory_equal(y, all_y, counts[c] * OUTPUTS * sizeof *y);
            assert_memory_equal(dx, all_dx, counts[c] * INPUTS * sizeof *dx);
            run_rows(&fresh, counts[c], y, dx);
            assert_memory_equal(y, all_y, counts[c] * OUTPUTS * sizeof *y);
            assert_memory_equal(dx, all_dx, counts[c] * INPUTS * sizeof *dx);
            destroy_layer(&fresh);
        }
        destroy_layer(&l);
    }
}

/// Batches of every size come along in training: an algorithm is looked for when a layer is new, and once for each
/// power of two of the rows that gradients of weights are sums over.
static void test_batches_of_any_size_share_algorithms(void **state) {
    (void)state;
    static float y[ROWS * OUTPUTS], dx[ROWS * INPUTS];
    layer l = make_layer(NM_BF16);
    const nm_ops *ops = l.backend->ops;
    const int before = nm_stand_in_searches();
    for (uint32_t rows = 1; rows <= ROWS; rows += 13) run_rows(&l, rows, y, dx);
    assert_int_equal(nm_stand_in_searches(), before + 2); // forward, and back
    for (uint32_t rows = 129; rows <= 256; rows++) {
        const nm_linear_grad grad = {.x = nm_tensor_rows(l.x, 0, rows),
                                     .weight = l.weight,
                                     .dp = nm_tensor_rows(l.dy, 0, rows),
                                     .dweight = l.dweight};
        ops->linear_backward(l.backend, &grad);
    }
    assert_int_equal(ops->synchronize(l.backend, NULL), NM_OK);
    assert_int_equal(nm_stand_in_searches(), before + 3);
    destroy_layer(&l);
}

/// An algorithm that was chosen for many rows may not do for few: then the backend's own kernel takes the product.
static void test_what_is_refused_is_computed_all_the_same(void **state) {
    (void)state;
    static float y[ROWS * OUTPUTS], dx[ROWS * INPUTS], own_y[ROWS * OUTPUTS], own_dx[ROWS * INPUTS];
    layer l = make_layer(NM_F32);
    run_rows(&l, 5, y, dx);
    const int before = nm_stand_in_products();
    nm_stand_in_refuse_below(6);
    run_rows(&l, 5, own_y, own_dx);
    nm_stand_in_refuse_below(0);
    assert_int_equal(nm_stand_in_products(), before);
    for (int i = 0; i < 5 * OUTPUTS; i++) assert_float_equal(own_y[i], y[i], 1e-4);
    for (int i = 0; i < 5 * INPUTS; i++) assert_float_equal(own_dx[i], dx[i], 1e-4);
    destroy_layer(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_are_right),
        cmocka_unit_test(test_a_row_does_not_depend_on_the_others),
        cmocka_unit_test(test_batches_of_any_size_share_algorithms),
        cmocka_unit_test(test_what_is_refused_is_computed_all_the_same),
    };
    return cmocka_run_group_tests_name("cuBLASLt on cpu", tests, NULL, NULL);
}
