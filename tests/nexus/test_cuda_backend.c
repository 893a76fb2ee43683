/// The CUDA backend's own: memory, recordings, noise, and how it refuses. What its operations compute is compared with
/// the reference in test_ops_backends.c (on a GPU) and cuda_on_cpu/test_cuda_on_cpu.c (anywhere).
#include "support.h"

#include "nexus/ops/bf16.h"
#include "nexus/ops/cuda/noise.h"
#include "nexus/ops/ops.h"

static nm_backend *create(nm_dtype compute) {
    nm_backend_config config = nm_backend_config_default();
    config.compute = compute;
    nm_backend *backend = NULL;
    nm_error error;
    const nm_status status = nm_backend_create_cuda(&config, &backend, &error);
    if (status == NM_E_UNSUPPORTED) {
        printf("skipped: %s\n", error.message);
        skip();
    }
    if (status != NM_OK) fail_msg("%s", error.message);
    return backend;
}

static float *numbers(size_t count, uint64_t seed) {
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    const nm_rng_key key = {.seed = seed, .purpose = NM_PURPOSE_TEST};
    for (size_t i = 0; i < count; i++) values[i] = nm_rng_normal(&key, (uint32_t)i);
    return values;
}

static void test_refusals_say_why(void **state) {
    (void)state;
    nm_backend_config config = nm_backend_config_default();
    config.device = 4096;
    nm_backend *backend = (nm_backend *)&config;
    nm_error error;
    const nm_status status = nm_backend_create_cuda(&config, &backend, &error);
    assert_true(status == NM_E_UNSUPPORTED || status == NM_E_ARGUMENT); // no GPU at all, or not so many
    assert_null(backend);
    assert_int_equal(error.code, status);
    assert_true(strlen(error.message) > 20);
    assert_int_equal(nm_backend_create_cuda(&config, &backend, NULL), status); // nobody has to ask why
}

/// Larger than a staging buffer, by rows and by columns, contiguous and not.
static void test_memory_of_any_shape(void **state) {
    (void)state;
    nm_backend *backend = create(NM_BF16);
    static const uint32_t shapes[][3] = {
        {1, 1, 1}, {1000, 3000, 3000}, {1000, 3000, 3001}, {2, 3000000, 3000003}, {0, 5, 5}};
    static const nm_dtype types[] = {NM_F32, NM_BF16, NM_F64};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const uint32_t rows = shapes[s][0], cols = shapes[s][1], stride = shapes[s][2];
        const size_t count = (size_t)rows * cols;
        float *sent = numbers(count + 1, 1), *got = malloc((count + 1) * sizeof *got);
        assert_non_null(got);
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            nm_tensor tensor = {NULL, rows, cols, stride, types[t]};
            tensor.data = backend->ops->allocate(backend, ((size_t)rows * stride + 1) * nm_dtype_size(types[t]));
            assert_non_null(tensor.data);
            backend->ops->upload(backend, sent, tensor);
            backend->ops->download(backend, tensor, got);
            assert_int_equal(backend->ops->synchronize(backend, NULL), NM_OK);
            for (size_t i = 0; i < count; i++) {
                const float expected = types[t] == NM_BF16 ? nm_float_of_bf16(nm_bf16_of_float(sent[i])) : sent[i];
                if (got[i] != expected) fail_msg("type %d, element %zu", (int)types[t], i);
            }
            backend->ops->release(backend, tensor.data);
        }
        free(sent);
        free(got);
    }
    nm_backend_destroy(backend);
}

static void test_too_much_memory_is_null_and_no_failure(void **state) {
    (void)state;
    nm_backend *backend = create(NM_F32);
    assert_null(backend->ops->allocate(backend, (size_t)1 << 50));
    assert_int_equal(backend->ops->synchronize(backend, NULL), NM_OK);
    void *memory = backend->ops->allocate(backend, 0);
    assert_non_null(memory);
    backend->ops->release(backend, memory);
    backend->ops->release(backend, NULL);
    nm_backend_destroy(backend);
}

/// A small block of the network: norm, product with GELU, product onto the residual.
enum { ROWS = 200, WIDTH = 64, INNER = 256 };
typedef struct block {
    nm_tensor x, normed, inner;
    nm_weight up, down;
    nm_tensor norm_weight, norm_bias;
} block;

static nm_tensor filled(nm_backend *backend, uint32_t rows, uint32_t cols, nm_dtype dtype, uint64_t seed) {
    const nm_tensor t = nm_tensor_create(backend, rows, cols, dtype);
    assert_non_null(t.data);
    float *values = numbers((size_t)rows * cols, seed);
    backend->ops->upload(backend, values, t);
    free(values);
    return t;
}

static void make_block(nm_backend *backend, block *b) {
    memset(b, 0, sizeof *b);
    b->x = nm_tensor_create(backend, ROWS, WIDTH, NM_F32);
    b->normed = nm_tensor_create(backend, ROWS, WIDTH, backend->compute);
    b->inner = nm_tensor_create(backend, ROWS, INNER, backend->compute);
    b->norm_weight = filled(backend, 1, WIDTH, NM_F32, 2);
    b->norm_bias = filled(backend, 1, WIDTH, NM_F32, 3);
    b->up = (nm_weight){.value = filled(backend, INNER, WIDTH, NM_F32, 4), .product = backend->compute};
    b->up.bias = filled(backend, 1, INNER, NM_F32, 5);
    b->down = (nm_weight){.value = filled(backend, WIDTH, INNER, NM_F32, 6), .product = backend->compute};
    b->down.bias = filled(backend, 1, WIDTH, NM_F32, 7);
    assert_int_equal(backend->ops->pack_weight(backend, &b->up, NULL), NM_OK);
    assert_int_equal(backend->ops->pack_weight(backend, &b->down, NULL), NM_OK);
}

static void release_block(nm_backend *backend, block *b) {
    backend->ops->release_weight(backend, &b->up);
    backend->ops->release_weight(backend, &b->down);
    void *all[] = {b->x.data,        b->normed.data,  b->inner.data,      b->norm_weight.data, b->norm_bias.data,
                   b->up.value.data, b->up.bias.data, b->down.value.data, b->down.bias.data};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) backend->ops->release(backend, all[i]);
}

static void run_block(nm_backend *backend, const block *b) {
    const nm_layer_norm norm = {
        .x = b->x, .weight = b->norm_weight, .bias = b->norm_bias, .epsilon = 1e-5f, .y = b->normed};
    const nm_linear up = {.x = b->normed, .weight = b->up, .epilogue = NM_EPILOGUE_GELU, .y = b->inner};
    const nm_linear down = {
        .x = b->inner, .weight = b->down, .epilogue = NM_EPILOGUE_RESIDUAL, .residual = b->x, .y = b->x};
    backend->ops->layer_norm(backend, &norm);
    backend->ops->linear(backend, &up);
    backend->ops->linear(backend, &down);
}

/// Starts from the input of this seed and leaves the output in `out`.
static void start_and_finish(nm_backend *backend, const block *b, const nm_recording *recording, uint64_t seed,
                             float *out) {
    float *values = numbers(ROWS * WIDTH, seed);
    backend->ops->upload(backend, values, b->x);
    if (recording)
        backend->ops->replay(backend, recording);
    else
        run_block(backend, b);
    backend->ops->download(backend, b->x, out);
    assert_int_equal(backend->ops->synchronize(backend, NULL), NM_OK);
    free(values);
}

static void test_a_recording_does_what_was_recorded(void **state) {
    (void)state;
    const nm_dtype types[] = {NM_F32, NM_BF16};
    for (int t = 0; t < 2; t++) {
        nm_backend *backend = create(types[t]);
        block b;
        make_block(backend, &b);
        static float first[ROWS * WIDTH], again[ROWS * WIDTH], other[ROWS * WIDTH], replayed[ROWS * WIDTH];
        start_and_finish(backend, &b, NULL, 8, first);
        start_and_finish(backend, &b, NULL, 8, again);
        start_and_finish(backend, &b, NULL, 9, other);
        assert_memory_equal(first, again, sizeof first);
        assert_memory_not_equal(first, other, sizeof first);

        nm_recording *recording = NULL;
        assert_int_equal(backend->ops->capture_begin(backend, NULL), NM_OK);
        run_block(backend, &b);
        assert_int_equal(backend->ops->capture_end(backend, &recording, NULL), NM_OK);
        assert_non_null(recording);
        float kept[1];
        backend->ops->download(backend, nm_tensor_cols(nm_tensor_rows(b.x, 0, 1), 0, 1), kept);
        assert_true(kept[0] == other[0]); // recording ran nothing
        start_and_finish(backend, &b, recording, 8, replayed);
        assert_memory_equal(first, replayed, sizeof first);
        start_and_finish(backend, &b, recording, 9, replayed); // what the memory holds may change
        assert_memory_equal(other, replayed, sizeof first);
        backend->ops->release_recording(backend, recording);
        release_block(backend, &b);
        nm_backend_destroy(backend);
    }
}

static void test_noise_is_the_hosts(void **state) {
    (void)state;
    nm_backend *backend = create(NM_F32);
    enum { N = 300, C = 333 };
    const nm_tensor noise = nm_tensor_create(backend, N, C, NM_F32);
    const nm_rng_key key = {
        .seed = 0x123456789abcdef0u, .scene = 77, .agent = 3, .step = 5, .purpose = NM_PURPOSE_NOISE};
    nm_cuda_fill_normal(backend, &key, noise);
    static float got[N * C];
    backend->ops->download(backend, noise, got);
    assert_int_equal(backend->ops->synchronize(backend, NULL), NM_OK);
    for (uint32_t i = 0; i < N * C; i++) {
        const float expected = nm_rng_normal(&key, i);
        if (memcmp(&got[i], &expected, sizeof expected) != 0)
            fail_msg("draw %u: %a on the device, %a on the host", (unsigned)i, (double)got[i], (double)expected);
    }
    backend->ops->release(backend, noise.data);
    nm_backend_destroy(backend);
}

/// Two at once, each with a stream and a workspace of its own.
static void test_backends_do_not_meet(void **state) {
    (void)state;
    nm_backend *a = create(NM_BF16), *b = create(NM_BF16);
    block block_a, block_b;
    make_block(a, &block_a);
    make_block(b, &block_b);
    static float alone[ROWS * WIDTH], with[ROWS * WIDTH];
    start_and_finish(a, &block_a, NULL, 10, alone);
    for (int i = 0; i < 20; i++) run_block(b, &block_b);
    start_and_finish(a, &block_a, NULL, 10, with);
    assert_memory_equal(alone, with, sizeof alone);
    assert_int_equal(b->ops->synchronize(b, NULL), NM_OK);
    release_block(a, &block_a);
    release_block(b, &block_b);
    nm_backend_destroy(a);
    nm_backend_destroy(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals_say_why),
        cmocka_unit_test(test_memory_of_any_shape),
        cmocka_unit_test(test_too_much_memory_is_null_and_no_failure),
        cmocka_unit_test(test_a_recording_does_what_was_recorded),
        cmocka_unit_test(test_noise_is_the_hosts),
        cmocka_unit_test(test_backends_do_not_meet),
    };
    return cmocka_run_group_tests_name("cuda backend", tests, NULL, NULL);
}
