// The CPU backend from inside: each set of instructions and each library of products that this machine has against the
// others, the elementary functions against libm, the team of threads, and that a pass allocates nothing.
#include "ops_recipes.h"

#include <float.h>
#include <stdatomic.h>

#include "nexus/ops/cpu/kernels.h"
#include "nexus/ops/cpu/products_bf16.h"
#include "nexus/ops/cpu/team.h"

/// Allocations are counted where the C library lets its functions be replaced, and sanitizers do not do so themselves.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
#define COUNTS_ALLOCATIONS
#endif
#else
#define COUNTS_ALLOCATIONS
#endif
#endif

#ifdef COUNTS_ALLOCATIONS
static atomic_size_t allocations;
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *malloc(size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __libc_memalign(alignment, size);
}
static const int counts_allocations = 1;
static size_t allocations_so_far(void) {
    return atomic_load(&allocations);
}
#else
static const int counts_allocations = 0;
static size_t allocations_so_far(void) {
    return 0;
}
#endif

/// NULL, having said why, where the build or the machine has no such thing.
static nm_backend *create(nm_gemm_kind gemm, nm_cpu_isa isa, nm_dtype compute, int threads) {
    nm_backend_config config = nm_backend_config_default();
    config.threads = threads;
    config.compute = compute;
    config.gemm = gemm;
    config.isa = isa;
    nm_backend *backend;
    nm_error error;
    const nm_status status = nm_backend_create_cpu(&config, &backend, &error);
    if (status == NM_OK) return backend;
    assert_null(backend);
    assert_int_equal(status, NM_E_UNSUPPORTED);
    assert_true(strlen(error.message) > 10);
    printf("left out: %s\n", error.message);
    return NULL;
}

typedef void compare(const nm_test_bench *a, const nm_test_bench *b);

/// Runs the recipes, or only those of matrix products, on both backends.
static void run_both(nm_backend *a, nm_backend *b, const nm_test_shape *shape, int products, compare *judge) {
    static nm_test_bench bench_a, bench_b;
    for (int r = 0; r < NM_TEST_RECIPES; r++) {
        const nm_test_recipe *recipe = &nm_test_recipes[r];
        if (products && strncmp(recipe->name, "linear", 6) != 0) continue;
        if (shape->rows == 0 && !recipe->when_empty) continue;
        for (int variant = 0; variant < recipe->variants; variant++) {
            char name[128];
            snprintf(name, sizeof name, "%s (variant %d, %u x %u x %u)", recipe->name, variant, (unsigned)shape->rows,
                     (unsigned)shape->inputs, (unsigned)shape->outputs);
            const uint64_t seed = (uint64_t)r * 100 + (uint64_t)variant;
            nm_test_bench_begin(&bench_a, a, a->compute, shape->ragged, seed);
            nm_test_bench_begin(&bench_b, b, b->compute, shape->ragged, seed);
            bench_a.recipe = bench_b.recipe = name;
            recipe->run(&bench_a, shape, variant);
            recipe->run(&bench_b, shape, variant);
            assert_true(bench_a.outputs > 0);
            judge(&bench_a, &bench_b);
            nm_test_bench_end(&bench_a);
            nm_test_bench_end(&bench_b);
        }
    }
}

// elementary functions
// ---------------------------------------------------------------------------------------------------------------------

static double exact(char function, double x) {
    const double phi = exp(-x * x / 2) / sqrt(2 * 3.14159265358979323846), Phi = 0.5 * erfc(-x / sqrt(2.0));
    const double s = 1 / (1 + exp(-x));
    switch (function) {
    case 'e':
        return exp(x);
    case 'g':
    case 'h':
        return x * Phi;
    case 'G':
    case 'H':
        return Phi + x * phi;
    case 's':
        return s;
    case 'S':
        return s * (1 + x * (1 - s));
    case 'l':
        return log2(x);
    case 'n':
        return sin(x);
    default:
        return cos(x);
    }
}

/// Where a function is looked at, and how far off it may be: bound * max(least, |exact|).
typedef struct sweep {
    char function;
    float low, high, bound, least;
} sweep;
static const sweep sweeps[] = {
    {'e', -100, 0, 4e-7f, 1}, {'e', 0, 80, 1e-6f, 1},       {'g', -1, 1, 1e-7f, 1},   {'g', -14, 14, 4e-7f, 1},
    {'h', -14, 14, 1e-6f, 1}, {'h', -3, 3, 2e-5f, 0},       {'G', -14, 14, 4e-7f, 1}, {'H', -14, 14, 1.3e-6f, 1},
    {'s', -90, 90, 3e-7f, 1}, {'S', -90, 90, 1e-6f, 1},     {'l', 1, 4, 4e-7f, 1},    {'l', 1e-6f, 1e9f, 4e-7f, 1},
    {'n', -4, 4, 3e-7f, 1},   {'n', -8192, 8192, 6e-7f, 1}, {'c', -4, 4, 3e-7f, 1},   {'c', -8192, 8192, 6e-7f, 1},
};

static void check_functions(const nm_cpu_kernels *kernels) {
    enum { COUNT = 1 << 14 };
    static float x[COUNT], out[COUNT];
    for (size_t s = 0; s < sizeof sweeps / sizeof *sweeps; s++) {
        const sweep *w = &sweeps[s];
        for (size_t i = 0; i < COUNT; i++) x[i] = w->low + (w->high - w->low) * ((float)i / (COUNT - 1));
        kernels->evaluate(w->function, x, out, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            const double e = exact(w->function, (double)x[i]), off = fabs((double)out[i] - e);
            if (!(off <= (double)w->bound * fmax((double)w->least, fabs(e))))
                fail_msg("%s: %c(%a) is %.9g, not %.9g", kernels->name, w->function, (double)x[i], (double)out[i], e);
        }
    }
    for (size_t i = 0; i < 16; i++) x[i] = NAN;
    for (const char *f = "eghGHsSnc"; *f; f++) {
        kernels->evaluate(*f, x, out, 16);
        for (size_t i = 0; i < 16; i++) assert_true(isnan(out[i]));
    }
    for (size_t i = 0; i < 16; i++) x[i] = i % 2 ? 200 : -200;
    for (const char *f = "gh"; *f; f++) {
        kernels->evaluate(*f, x, out, 16);
        assert_true(out[0] == 0 && out[1] == 200);
    }
    for (const char *f = "GH"; *f; f++) {
        kernels->evaluate(*f, x, out, 16);
        assert_true(out[0] == 0 && out[1] == 1);
    }
}

static void functions_agree_with_libm(void **state) {
    (void)state;
    check_functions(&nm_cpu_kernels_portable);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) check_functions(&nm_cpu_kernels_avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        check_functions(&nm_cpu_kernels_avx512);
    if (__builtin_cpu_supports("avx512bf16")) check_functions(&nm_cpu_kernels_avx512bf16);
#endif
}

// variants against each other
// ---------------------------------------------------------------------------------------------------------------------

static void instruction_sets_agree(void **state) {
    (void)state;
    static const nm_test_shape shapes[] = {{13, 7, 35, 3, 5, 1}, {50, 40, 33, 2, 40, 0}};
    for (int type = NM_F32; type <= NM_BF16; type++) {
        nm_backend *plain = create(NM_GEMM_PORTABLE, NM_CPU_ISA_PORTABLE, (nm_dtype)type, 1);
        assert_non_null(plain);
        for (int isa = NM_CPU_ISA_AVX2; isa <= NM_CPU_ISA_AVX512BF16; isa++) {
            nm_backend *fast = create(NM_GEMM_PORTABLE, (nm_cpu_isa)isa, (nm_dtype)type, 1);
            if (!fast) continue;
            for (int s = 0; s < 2; s++) run_both(plain, fast, &shapes[s], 0, nm_test_expect_close);
            nm_backend_destroy(fast);
        }
        nm_backend_destroy(plain);
    }
}

static void products_agree(void **state) {
    (void)state;
    static const nm_test_shape shapes[] = {{1, 7, 1, 1, 1, 1},     {65, 24, 8, 1, 1, 1},   {0, 24, 3, 1, 1, 1},
                                           {67, 256, 3, 1, 1, 0},  {5, 24, 1536, 1, 1, 0}, {530, 17, 20, 1, 1, 0},
                                           {70, 600, 64, 1, 1, 0}, {600, 64, 288, 1, 1, 1}};
    for (int type = NM_F32; type <= NM_BF16; type++) {
        nm_backend *plain = create(NM_GEMM_PORTABLE, NM_CPU_ISA_PORTABLE, (nm_dtype)type, 1);
        for (int gemm = NM_GEMM_DNNL; gemm <= NM_GEMM_PORTABLE; gemm++) {
            nm_backend *other = create((nm_gemm_kind)gemm, NM_CPU_ISA_AUTO, (nm_dtype)type, 2);
            if (!other) continue;
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
                run_both(plain, other, &shapes[s], 1, nm_test_expect_close);
            nm_backend_destroy(other);
        }
        nm_backend_destroy(plain);
    }
}

/// Both kinds of instructions for bf16, where a backend would only use the better one.
static void bf16_products_agree(void **state) {
    (void)state;
    enum { ROWS = 48, DEPTH = 96, PANELS = 3, COLS = 16 * PANELS };
    static uint16_t x[ROWS][DEPTH], w[PANELS][DEPTH / 2][16][2];
    static float y[ROWS][COLS];
    nm_test_random random = nm_test_random_of(5);
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < DEPTH; i++) x[r][i] = nm_bf16_of_float(nm_test_normal(&random));
    for (int i = 0; i < PANELS * DEPTH * 16; i++) (&w[0][0][0][0])[i] = nm_bf16_of_float(nm_test_normal(&random));
    const nm_bf16_products *const found[] = {nm_bf16_find_amx(), nm_bf16_find_avx512()};
    for (int f = 0; f < 2; f++) {
        if (!found[f]) {
            printf("left out: %s\n", f ? "AVX512-BF16" : "AMX");
            continue;
        }
        for (int add = 0; add < 2; add++) {
            for (int i = 0; i < ROWS * COLS; i++) (&y[0][0])[i] = 3;
            if (found[f]->begin) found[f]->begin();
            found[f]->product(&x[0][0], DEPTH, ROWS, &w[0][0][0][0], PANELS, DEPTH, &y[0][0], COLS, add);
            if (found[f]->end) found[f]->end();
            for (int r = 0; r < ROWS; r++) {
                for (int c = 0; c < COLS; c++) {
                    double sum = add ? 3 : 0;
                    for (int i = 0; i < DEPTH; i++) {
                        sum += (double)nm_float_of_bf16(x[r][i]) *
                               (double)nm_float_of_bf16(w[c / 16][i / 2][c % 16][i % 2]);
                    }
                    assert_true(fabs((double)y[r][c] - sum) < 1e-4);
                }
            }
        }
    }
}

static void renewed_weights_are_used_both_ways(void **state) {
    (void)state;
    static nm_test_bench bench;
    for (int gemm = NM_GEMM_DNNL; gemm <= NM_GEMM_PORTABLE; gemm++) {
        nm_backend *backend = create((nm_gemm_kind)gemm, NM_CPU_ISA_AUTO, NM_F32, 1);
        if (!backend) continue;
        nm_test_bench_begin(&bench, backend, NM_F32, 0, 8);
        nm_weight weight = nm_test_weight(&bench, 2, 1, 0, 0);
        const nm_tensor x = nm_test_noise(&bench, 1, 1, NM_TEST_COMPUTE),
                        y = nm_test_noise(&bench, 1, 2, NM_TEST_COMPUTE);
        const nm_linear forward = {.x = x, .weight = weight, .y = y};
        const nm_linear_grad back = {
            .x = x, .weight = weight, .dp = y, .dx = nm_test_noise(&bench, 1, 1, NM_TEST_STREAM)};
        for (int i = 0; i < 3; i++) {
            const float one = 1, values[2] = {(float)(i + 1), 10};
            float out[2], gradient;
            backend->ops->upload(backend, &one, x);
            backend->ops->upload(backend, values, weight.value);
            assert_int_equal(backend->ops->pack_weight(backend, &weight, NULL), NM_OK);
            backend->ops->linear(backend, &forward);
            backend->ops->linear_backward(backend, &back);
            backend->ops->download(backend, y, out);
            backend->ops->download(backend, back.dx, &gradient);
            assert_int_equal(backend->ops->synchronize(backend, NULL), NM_OK);
            assert_true(out[0] == values[0] && out[1] == values[1]);
            assert_true(gradient == values[0] * values[0] + values[1] * values[1]);
        }
        backend->ops->release_weight(backend, &weight);
        assert_null(weight.packed);
        nm_test_bench_end(&bench);
        nm_backend_destroy(backend);
    }
}

/// Every weight's gradient is one number of x times a power of two, which leaves no excuse for losing any of its bits.
static void gradients_of_float32_products_lose_nothing(void **state) {
    (void)state;
    enum { ROWS = 320, INPUTS = 59 };
    static float x[ROWS][INPUTS], dp[ROWS][ROWS], dweight[ROWS][INPUTS], dbias[ROWS];
    static nm_test_bench bench;
    static const float extremes[] = {FLT_MAX, -FLT_MAX, 1e-30f, 0.0f, 16777215.0f};
    for (int threads = 1; threads <= 3; threads += 2) {
        nm_backend *backend = create(NM_GEMM_PORTABLE, NM_CPU_ISA_AUTO, NM_BF16, threads);
        nm_test_bench_begin(&bench, backend, NM_BF16, 0, 9);
        for (int n = 0; n < ROWS; n++) {
            for (int i = 0; i < INPUTS; i++) x[n][i] = nm_test_normal(&bench.random);
            memcpy(x[n] + n % 50, extremes, sizeof extremes);
            dp[n][n] = ldexpf(1.0f, -(n % 3));
        }
        const nm_linear_grad op = {.x = nm_test_noise(&bench, ROWS, INPUTS, NM_TEST_STREAM),
                                   .weight = nm_test_weight(&bench, ROWS, INPUTS, 1, 1),
                                   .dp = nm_test_noise(&bench, ROWS, ROWS, NM_TEST_COMPUTE),
                                   .dweight = nm_test_noise(&bench, ROWS, INPUTS, NM_TEST_PARAMETER),
                                   .dbias = nm_test_noise(&bench, 1, ROWS, NM_TEST_PARAMETER)};
        backend->ops->upload(backend, &x[0][0], op.x);
        backend->ops->upload(backend, &dp[0][0], op.dp);
        backend->ops->zero(backend, op.dweight);
        backend->ops->zero(backend, op.dbias);
        backend->ops->linear_backward(backend, &op);
        backend->ops->download(backend, op.dweight, &dweight[0][0]);
        backend->ops->download(backend, op.dbias, dbias);
        assert_int_equal(backend->ops->synchronize(backend, NULL), NM_OK);
        for (int n = 0; n < ROWS; n++) {
            assert_true(dbias[n] == dp[n][n]);
            for (int i = 0; i < INPUTS; i++) assert_true(dweight[n][i] == x[n][i] * dp[n][n]);
        }
        nm_weight weight = op.weight;
        backend->ops->release_weight(backend, &weight);
        nm_test_bench_end(&bench);
        nm_backend_destroy(backend);
    }
}

/// Gradients of slices of a modulation, out[1], which begin at column `at`; `rows` at a time.
static void modulation_gradients(nm_backend *backend, nm_test_bench *bench, uint32_t rows, uint32_t at,
                                 nm_tensor out[3]) {
    enum { ROWS = 2400, COLS = 152, SLICE = 160, SLICES = 12 };
    bench->random = nm_test_random_of(5);
    const nm_tensor x = nm_test_noise(bench, ROWS, COLS, NM_TEST_STREAM),
                    dy = nm_test_noise(bench, ROWS, COLS, NM_TEST_COMPUTE),
                    scale = nm_test_noise(bench, ROWS, COLS, NM_TEST_COMPUTE),
                    statistics = nm_test_noise(bench, ROWS, 2, NM_TEST_PLAIN);
    out[0] = nm_tensor_create(backend, ROWS, COLS, NM_F32);
    out[1] = nm_tensor_create(backend, ROWS, SLICES * SLICE, NM_BF16);
    out[2] = nm_tensor_create(backend, ROWS, COLS, NM_BF16);
    for (uint32_t n = 0; n < ROWS; n += rows) {
        const nm_tensor slices = nm_tensor_rows(out[1], n, rows);
        const nm_layer_norm_grad norm = {.x = nm_tensor_rows(x, n, rows),
                                         .scale = nm_tensor_rows(scale, n, rows),
                                         .statistics = nm_tensor_rows(statistics, n, rows),
                                         .dy = nm_tensor_rows(dy, n, rows),
                                         .dx = nm_tensor_rows(out[0], n, rows),
                                         .dscale = nm_tensor_cols(slices, at, COLS),
                                         .dshift = nm_tensor_cols(slices, SLICE + at, COLS)};
        const nm_epilogue_grad gate = {.epilogue = NM_EPILOGUE_GATED,
                                       .dy = norm.x,
                                       .pre = norm.dy,
                                       .gate = norm.scale,
                                       .dp = nm_tensor_rows(out[2], n, rows),
                                       .dgate = nm_tensor_cols(slices, 3 * SLICE + at, COLS)};
        backend->ops->layer_norm_backward(backend, &norm);
        backend->ops->epilogue_backward(backend, &gate);
    }
    assert_int_equal(backend->ops->synchronize(backend, NULL), NM_OK);
}

/// Large results are written past the caches, small ones are not; the same numbers have to be there, also where slices
/// do not begin with a cache line and do not end with one.
static void size_changes_no_bit(void **state) {
    (void)state;
    static nm_test_bench bench;
    for (int threads = 1; threads <= 2; threads++) {
        nm_backend *backend = create(NM_GEMM_PORTABLE, NM_CPU_ISA_AUTO, NM_BF16, threads);
        for (uint32_t at = 0; at <= 8; at += 8) {
            nm_tensor whole[3], pieces[3];
            nm_test_bench_begin(&bench, backend, NM_BF16, 0, 5);
            modulation_gradients(backend, &bench, 2400, at, whole);
            modulation_gradients(backend, &bench, 100, at, pieces);
            for (int i = 0; i < 3; i++) {
                const size_t size = (size_t)whole[i].rows * whole[i].stride * nm_dtype_size(whole[i].dtype);
                assert_memory_equal(whole[i].data, pieces[i].data, size);
                backend->ops->release(backend, whole[i].data);
                backend->ops->release(backend, pieces[i].data);
            }
            nm_test_bench_end(&bench);
        }
        nm_backend_destroy(backend);
    }
}

static void threads_change_no_bit(void **state) {
    (void)state;
    static const nm_test_shape shape = {200, 32, 70, 2, 16, 0}, large = {700, 96, 192, 1, 1, 0},
                               ragged = {700, 40, 150, 1, 1, 1};
    static const nm_gemm_kind kinds[] = {NM_GEMM_PORTABLE, NM_GEMM_DNNL, NM_GEMM_CBLAS};
    for (int k = 0; k < 3; k++) {
        for (int type = NM_F32; type <= NM_BF16; type++) {
            nm_backend *one = create(kinds[k], NM_CPU_ISA_AUTO, (nm_dtype)type, 1);
            for (int threads = 2; one && threads <= 3; threads++) {
                nm_backend *several = create(kinds[k], NM_CPU_ISA_AUTO, (nm_dtype)type, threads);
                run_both(one, several, &shape, k > 0, nm_test_expect_same_bits); // the libraries take products only
                run_both(one, several, &large, 1, nm_test_expect_same_bits);
                run_both(one, several, &ragged, 1, nm_test_expect_same_bits);
                nm_backend_destroy(several);
            }
            nm_backend_destroy(one);
        }
    }
}

// memory
// ---------------------------------------------------------------------------------------------------------------------

/// A block of the network, forward and back.
typedef struct pass {
    nm_layer_norm norm;
    nm_linear qkv, widen;
    nm_attention attention;
    nm_linear_grad back;
    nm_attention_grad attention_back;
} pass;

static void run_pass(nm_backend *backend, const pass *p) {
    const nm_ops *ops = backend->ops;
    ops->layer_norm(backend, &p->norm);
    ops->linear(backend, &p->qkv);
    ops->attention(backend, &p->attention);
    ops->linear(backend, &p->widen);
    ops->linear_backward(backend, &p->back);
    ops->attention_backward(backend, &p->attention_back);
    assert_int_equal(ops->synchronize(backend, NULL), NM_OK);
}

static pass make_pass(nm_test_bench *bench, const nm_groups *groups, uint32_t rows) {
    enum { C = 48 };
    pass p = {0};
    const nm_tensor x = nm_test_noise(bench, rows, C, NM_TEST_STREAM),
                    modulation = nm_test_noise(bench, rows, 2 * C, NM_TEST_COMPUTE);
    const nm_tensor h = nm_test_noise(bench, rows, C, NM_TEST_COMPUTE),
                    qkv = nm_test_noise(bench, rows, 3 * C, NM_TEST_COMPUTE);
    p.norm = (nm_layer_norm){.x = x,
                             .scale = nm_tensor_cols(modulation, 0, C),
                             .shift = nm_tensor_cols(modulation, C, C),
                             .epsilon = 1e-6f,
                             .y = h};
    p.qkv = (nm_linear){.x = h, .weight = nm_test_weight(bench, 3 * C, C, 1, 0), .y = qkv};
    p.attention = (nm_attention){.q = nm_tensor_cols(qkv, 0, C),
                                 .k = nm_tensor_cols(qkv, C, C),
                                 .v = nm_tensor_cols(qkv, 2 * C, C),
                                 .heads = 2,
                                 .groups = groups,
                                 .out = nm_test_noise(bench, rows, C, NM_TEST_COMPUTE),
                                 .logsumexp = nm_test_noise(bench, rows, 2, NM_TEST_PLAIN)};
    p.widen = (nm_linear){.x = p.attention.out,
                          .weight = nm_test_weight(bench, 4 * C, C, 1, 0),
                          .epilogue = NM_EPILOGUE_GELU,
                          .y = nm_test_noise(bench, rows, 4 * C, NM_TEST_COMPUTE)};
    const nm_tensor dqkv = nm_test_noise(bench, rows, 3 * C, NM_TEST_COMPUTE);
    p.attention_back = (nm_attention_grad){.forward = p.attention,
                                           .dout = nm_test_noise(bench, rows, C, NM_TEST_COMPUTE),
                                           .dq = nm_tensor_cols(dqkv, 0, C),
                                           .dk = nm_tensor_cols(dqkv, C, C),
                                           .dv = nm_tensor_cols(dqkv, 2 * C, C)};
    p.back = (nm_linear_grad){.x = h,
                              .weight = p.qkv.weight,
                              .dp = dqkv,
                              .dx = nm_test_noise(bench, rows, C, NM_TEST_STREAM),
                              .add_dx = 1,
                              .dweight = nm_test_noise(bench, 3 * C, C, NM_TEST_PARAMETER),
                              .dbias = nm_test_noise(bench, 1, 3 * C, NM_TEST_PARAMETER)};
    return p;
}

/// oneDNN makes a small map of arguments in every call, so it is not among those that are counted.
static void second_pass_allocates_nothing(void **state) {
    (void)state;
    static nm_test_bench bench;
    static nm_test_groups host;
    for (int type = NM_F32; type <= NM_BF16; type++) {
        nm_backend *backend = create(NM_GEMM_PORTABLE, NM_CPU_ISA_AUTO, (nm_dtype)type, 2);
        nm_test_bench_begin(&bench, backend, backend->compute, 0, 3);
        const uint32_t rows = nm_test_groups_tokens(&bench.random, 20, 11, 0.9, 1, &host);
        const nm_groups groups = nm_test_groups_upload(&bench, &host);
        pass p = make_pass(&bench, &groups, rows);
        const size_t before = allocations_so_far();
        run_pass(backend, &p);
        const size_t between = allocations_so_far();
        if (counts_allocations) assert_true(between > before); // scratch: the counter counts
        for (int i = 0; i < 3; i++) run_pass(backend, &p);
        assert_int_equal(allocations_so_far() - between, 0);
        backend->ops->release_weight(backend, &p.qkv.weight);
        backend->ops->release_weight(backend, &p.widen.weight);
        nm_test_bench_end(&bench);
        nm_backend_destroy(backend);
    }
    if (!counts_allocations) skip();
}

// threads
// ---------------------------------------------------------------------------------------------------------------------

typedef struct shares {
    uint32_t taken[16], workers; ///< each worker writes its own: a race would be seen by ThreadSanitizer
} shares;
static void take_share(void *context, uint32_t worker, uint32_t workers) {
    shares *s = context;
    s->taken[worker]++;
    if (worker == 0) s->workers = workers;
}

static void team_runs_every_share_once(void **state) {
    (void)state;
    static const int sizes[] = {1, 2, 3, 9};
    for (int t = 0; t < 4; t++) {
        nm_team *team;
        assert_int_equal(nm_team_create(sizes[t], NULL, &team, NULL), NM_OK);
        assert_int_equal(nm_team_threads(team), sizes[t]);
        shares s = {{0}, 0};
        uint32_t expected[16] = {0};
        for (uint32_t run = 0; run < 300; run++) {
            const uint32_t wanted = 1 + run % 11, workers = wanted < (uint32_t)sizes[t] ? wanted : (uint32_t)sizes[t];
            nm_team_run(team, wanted, take_share, &s);
            assert_int_equal(s.workers, workers);
            for (uint32_t w = 0; w < workers; w++) expected[w]++;
            assert_memory_equal(s.taken, expected, sizeof expected);
        }
        nm_team_destroy(team);
    }
    nm_team_destroy(NULL);
}

static void refuses_what_makes_no_sense(void **state) {
    (void)state;
    nm_team *team;
    nm_backend *backend;
    nm_error error;
    assert_int_equal(nm_team_create(-1, NULL, &team, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "-1"));
    assert_int_equal(nm_team_create(257, NULL, &team, NULL), NM_E_ARGUMENT);
    nm_backend_config config = nm_backend_config_default();
    config.threads = 257;
    assert_int_equal(nm_backend_create_cpu(&config, &backend, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "257"));
    assert_null(backend);
    config.threads = 1;
    config.compute = NM_F64;
    assert_int_equal(nm_backend_create_cpu(&config, &backend, &error), NM_E_ARGUMENT);
    assert_null(backend);
}

static void says_what_it_is(void **state) {
    (void)state;
    nm_backend *backend = create(NM_GEMM_PORTABLE, NM_CPU_ISA_PORTABLE, NM_BF16, 3);
    assert_string_equal(backend->name, "cpu: own loops, portable, bf16 by float32, 3 threads");
    nm_backend_destroy(backend);
    backend = create(NM_GEMM_AUTO, NM_CPU_ISA_AUTO, NM_F32, 1);
    assert_non_null(strstr(backend->name, "float32, 1 thread"));
    nm_backend_destroy(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_agree_with_libm),
        cmocka_unit_test(instruction_sets_agree),
        cmocka_unit_test(products_agree),
        cmocka_unit_test(bf16_products_agree),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(renewed_weights_are_used_both_ways),
        cmocka_unit_test(gradients_of_float32_products_lose_nothing),
        cmocka_unit_test(size_changes_no_bit),
        cmocka_unit_test(second_pass_allocates_nothing),
        cmocka_unit_test(team_runs_every_share_once),
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(says_what_it_is),
    };
    return cmocka_run_group_tests_name("cpu backend", tests, NULL, NULL);
}
