/// What the tests of the operations share: a bench that makes random tensors on a backend and keeps what came out,
/// random groups for attention, and the comparison of two benches.
///
/// The same recipe (a function of a bench) run on two benches with one seed sees the same numbers on both backends:
/// inputs are rounded on the host to the types of the faster one. Every tensor lies in a wider buffer whose other
/// elements hold a known value, so that a write outside of a view is found; what an operation has to write starts as
/// noise, so that an element left out is found.
#ifndef NM_TESTS_NEXUS_OPS_SUPPORT_H
#define NM_TESTS_NEXUS_OPS_SUPPORT_H

#include "support.h"

#include "base/rng.h"
#include "nexus/ops/bf16.h"
#include "nexus/ops/ops.h"

// random numbers
// -------------------------------------------------------------------------------------------------------------------

typedef struct nm_test_random {
    nm_rng_key key;
    uint32_t draw;
} nm_test_random;

static inline nm_test_random nm_test_random_of(uint64_t seed) {
    return (nm_test_random){.key = {.seed = seed, .purpose = NM_PURPOSE_TEST}, .draw = 0};
}
/// Two of a few thousand normal numbers, added: most of what these tests would do is to draw real ones. The two are
/// chosen by the finaliser of SplitMix64 (Steele et al. 2014).
static inline float nm_test_normal(nm_test_random *random) {
    enum { COUNT = 4096 };
    static float normal[COUNT];
    if (normal[0] == 0) {
        const nm_rng_key key = {.seed = 1, .purpose = NM_PURPOSE_TEST};
        for (uint32_t i = 0; i < COUNT; i++) normal[i] = nm_rng_normal(&key, i);
    }
    uint64_t z = (random->key.seed << 32 | random->draw++) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (normal[z % COUNT] + normal[(z >> 32) % COUNT]) * 0.70710678f;
}
static inline float nm_test_uniform(nm_test_random *random) {
    return nm_rng_uniform(&random->key, random->draw++);
}
static inline uint32_t nm_test_below(nm_test_random *random, uint32_t bound) {
    return nm_rng_below(&random->key, random->draw++, bound);
}
/// A random order of 0 .. count - 1 (Fisher and Yates).
static inline void nm_test_shuffle(nm_test_random *random, uint32_t count, uint32_t *order) {
    for (uint32_t i = 0; i < count; i++) order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        const uint32_t j = nm_test_below(random, i), other = order[j];
        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

// the bench
// -------------------------------------------------------------------------------------------------------------------

/// What a contract calls a tensor's type.
typedef enum nm_test_kind {
    NM_TEST_STREAM,    ///< F32; F64 in the reference
    NM_TEST_COMPUTE,   ///< BF16 or F32; F64 in the reference
    NM_TEST_PARAMETER, ///< F32; F64 in the reference
    NM_TEST_PLAIN,     ///< "F32 (F64 reference)": statistics, times, poses, per-row numbers
    NM_TEST_DOUBLE     ///< F64 everywhere: sums
} nm_test_kind;

enum { NM_TEST_MAX_BLOCKS = 96, NM_TEST_MAX_OUTPUTS = 24 };

typedef struct nm_test_output {
    const char *name;
    uint32_t rows, cols;
    int full;      ///< in bf16, too, all that made it was in float32 or better
    double least;  ///< magnitude of the terms whose sum it is: where they cancel, their rounding remains
    float *values; ///< [rows][cols]
} nm_test_output;

typedef struct nm_test_bench {
    nm_backend *backend; ///< borrowed
    const char *recipe;  ///< what runs, for messages; set it after nm_test_bench_begin
    nm_dtype compute;    ///< what COMPUTE inputs are rounded to, on the host: that of the faster backend
    int ragged;          ///< views start anywhere and have any stride; else both are multiples of 16 elements
    nm_test_random random;
    uint32_t blocks; ///< everything allocated
    struct {
        void *memory;
        nm_tensor whole, view; ///< whole.data NULL: indices
    } block[NM_TEST_MAX_BLOCKS];
    uint32_t outputs;
    nm_test_output output[NM_TEST_MAX_OUTPUTS];
} nm_test_bench;

/// Held by every element of a buffer that belongs to no view: exact in all float types, far off everything.
#define NM_TEST_OUTSIDE 1048576.0f

static inline nm_dtype nm_test_dtype(const nm_backend *backend, nm_test_kind kind) {
    switch (kind) {
    case NM_TEST_STREAM:
        return backend->stream;
    case NM_TEST_COMPUTE:
        return backend->compute;
    case NM_TEST_PARAMETER:
        return backend->parameter;
    case NM_TEST_PLAIN:
        return backend->compute == NM_F64 ? NM_F64 : NM_F32;
    default:
        return NM_F64;
    }
}

/// Large: keep it static or on the heap. `compute`: see the field.
static inline void nm_test_bench_begin(nm_test_bench *bench, nm_backend *backend, nm_dtype compute, int ragged,
                                       uint64_t seed) {
    memset(bench, 0, sizeof *bench);
    bench->backend = backend;
    bench->recipe = "a recipe";
    bench->compute = compute;
    bench->ragged = ragged;
    bench->random = nm_test_random_of(seed);
}

/// The rounding that the faster backend's type does, on the host.
static inline float nm_test_round(const nm_test_bench *bench, nm_test_kind kind, float value) {
    if (kind != NM_TEST_COMPUTE || bench->compute != NM_BF16) return value;
    return nm_float_of_bf16(nm_bf16_of_float(value));
}

/// A view [rows][cols] with room around it, holding `values` [rows][cols] (rounded).
static inline nm_tensor nm_test_tensor_of(nm_test_bench *bench, uint32_t rows, uint32_t cols, nm_test_kind kind,
                                          const float *values) {
    const nm_ops *ops = bench->backend->ops;
    uint32_t first = nm_test_below(&bench->random, 4), after = nm_test_below(&bench->random, 4);
    uint32_t width = first + cols + after;
    if (!bench->ragged) {
        first *= 16;
        width = (first + cols + 15) / 16 * 16 + after * 16;
    }
    assert_true(bench->blocks < NM_TEST_MAX_BLOCKS);
    nm_tensor whole = nm_tensor_create(bench->backend, rows, width, nm_test_dtype(bench->backend, kind));
    assert_non_null(whole.data);
    float *host = malloc(((size_t)rows * width + 1) * sizeof *host);
    assert_non_null(host);
    for (size_t i = 0; i < (size_t)rows * width; i++) host[i] = NM_TEST_OUTSIDE;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c++)
            host[(size_t)r * width + first + c] = nm_test_round(bench, kind, values[(size_t)r * cols + c]);
    ops->upload(bench->backend, host, whole);
    assert_int_equal(ops->synchronize(bench->backend, NULL), NM_OK); // upload may read `host` until then
    free(host);
    const nm_tensor view = nm_tensor_cols(whole, first, cols);
    bench->block[bench->blocks].memory = whole.data;
    bench->block[bench->blocks].whole = whole;
    bench->block[bench->blocks++].view = view;
    return view;
}

/// Normal numbers times `scale`: an input, a tensor that is added to, or noise where an output will be.
static inline nm_tensor nm_test_tensor(nm_test_bench *bench, uint32_t rows, uint32_t cols, nm_test_kind kind,
                                       float scale) {
    float *values = malloc(((size_t)rows * cols + 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < (size_t)rows * cols; i++) values[i] = scale * nm_test_normal(&bench->random);
    const nm_tensor t = nm_test_tensor_of(bench, rows, cols, kind, values);
    free(values);
    return t;
}

/// [rows][4]: positions within `reach` metres of the origin, cos and sin of any heading. Rows 0 and 1 are at one place.
static inline nm_tensor nm_test_poses(nm_test_bench *bench, uint32_t rows, float reach) {
    float *values = malloc(((size_t)rows * 4 + 1) * sizeof *values);
    assert_non_null(values);
    for (uint32_t r = 0; r < rows; r++) {
        const double heading = 6.283185307179586 * nm_test_uniform(&bench->random);
        values[4 * r] = reach * (2 * nm_test_uniform(&bench->random) - 1);
        values[4 * r + 1] = reach * (2 * nm_test_uniform(&bench->random) - 1);
        values[4 * r + 2] = (float)cos(heading);
        values[4 * r + 3] = (float)sin(heading);
    }
    if (rows > 1) memcpy(values + 4, values, 2 * sizeof *values);
    const nm_tensor t = nm_test_tensor_of(bench, rows, 4, NM_TEST_PLAIN, values);
    free(values);
    return t;
}

/// `count` indices in the backend's memory.
static inline uint32_t *nm_test_indices(nm_test_bench *bench, const uint32_t *host, size_t count) {
    const nm_ops *ops = bench->backend->ops;
    assert_true(bench->blocks < NM_TEST_MAX_BLOCKS);
    uint32_t *memory = ops->allocate(bench->backend, (count + 1) * sizeof *memory);
    assert_non_null(memory);
    if (count) ops->upload_u32(bench->backend, host, count, memory);
    assert_int_equal(ops->synchronize(bench->backend, NULL), NM_OK);
    bench->block[bench->blocks++].memory = memory;
    return memory;
}

/// A table of `entries`, read by `rows` rows at random (the last entry by none), with its inverse lists.
static inline nm_lookup nm_test_lookup(nm_test_bench *bench, uint32_t entries, uint32_t rows, uint32_t cols) {
    uint32_t *host = malloc((2 * (size_t)rows + entries + 1) * sizeof *host);
    assert_non_null(host);
    uint32_t *index = host, *listed = host + rows, *offsets = listed + rows, count = 0;
    for (uint32_t r = 0; r < rows; r++) index[r] = nm_test_below(&bench->random, entries > 1 ? entries - 1 : 1);
    for (uint32_t e = 0; e < entries; e++) {
        offsets[e] = count;
        for (uint32_t r = 0; r < rows; r++)
            if (index[r] == e) listed[count++] = r;
    }
    offsets[entries] = count;
    nm_lookup lookup = {.table = nm_test_tensor(bench, entries, cols, NM_TEST_STREAM, 1)};
    lookup.index = nm_test_indices(bench, index, rows);
    lookup.offsets = nm_test_indices(bench, offsets, entries + 1);
    lookup.rows = nm_test_indices(bench, listed, rows);
    free(host);
    return lookup;
}

/// Waits and keeps what `t` holds now, under a name (static string). `full`, `least`: see the fields.
static inline void nm_test_keep_sum(nm_test_bench *bench, const char *name, int full, double least, nm_tensor t) {
    nm_error error;
    const nm_status status = bench->backend->ops->synchronize(bench->backend, &error);
    if (status != NM_OK) fail_msg("%s, %s of %s: %s", bench->recipe, name, bench->backend->name, error.message);
    assert_true(bench->outputs < NM_TEST_MAX_OUTPUTS);
    nm_test_output *output = &bench->output[bench->outputs++];
    *output = (nm_test_output){.name = name, .rows = t.rows, .cols = t.cols, .full = full, .least = least};
    output->values = malloc(((size_t)t.rows * t.cols + 1) * sizeof(float));
    assert_non_null(output->values);
    bench->backend->ops->download(bench->backend, t, output->values);
    assert_int_equal(bench->backend->ops->synchronize(bench->backend, NULL), NM_OK);
}

static inline void nm_test_keep(nm_test_bench *bench, const char *name, int full, nm_tensor t) {
    nm_test_keep_sum(bench, name, full, 0, t);
}

/// Fails when an element outside of the views was written to.
static inline void nm_test_check_outside(nm_test_bench *bench) {
    for (uint32_t b = 0; b < bench->blocks; b++) {
        const nm_tensor whole = bench->block[b].whole, view = bench->block[b].view;
        if (!whole.data) continue;
        float *host = malloc(((size_t)whole.rows * whole.cols + 1) * sizeof *host);
        assert_non_null(host);
        bench->backend->ops->download(bench->backend, whole, host);
        assert_int_equal(bench->backend->ops->synchronize(bench->backend, NULL), NM_OK);
        const size_t first = (size_t)((char *)view.data - (char *)whole.data) / nm_dtype_size(whole.dtype);
        for (size_t i = 0; i < (size_t)whole.rows * whole.cols; i++) {
            const size_t column = i % whole.cols;
            if (column >= first && column < first + view.cols) continue;
            if (host[i] != NM_TEST_OUTSIDE)
                fail_msg("%s, tensor %u of %s: written outside of the view, row %zu column %zu of %u", bench->recipe,
                         (unsigned)b, bench->backend->name, i / whole.cols, column, (unsigned)whole.cols);
        }
        free(host);
    }
}

/// Checks what lies outside of the views, and releases everything.
static inline void nm_test_bench_end(nm_test_bench *bench) {
    nm_test_check_outside(bench);
    for (uint32_t b = 0; b < bench->blocks; b++) bench->backend->ops->release(bench->backend, bench->block[b].memory);
    for (uint32_t o = 0; o < bench->outputs; o++) free(bench->output[o].values);
    bench->blocks = bench->outputs = 0;
}

// comparison
// -------------------------------------------------------------------------------------------------------------------

/// How far two backends may be apart, relative to the largest magnitude of an output: sums over rows and channels make
/// the scale, and an element near zero is as wrong as its terms.
static inline double nm_test_tolerance(nm_dtype compute) {
    return compute == NM_F64 ? 1e-12 : compute == NM_F32 ? 2e-5 : 2e-2;
}

/// The largest difference over the largest finite magnitude of `expected`, or over `least` if that is more (and 1e-6:
/// all may be zero). Infinities and NaN count as infinitely far, except equal infinities.
static inline double nm_test_distance(const float *expected, const float *actual, size_t count, double least,
                                      size_t *where) {
    double largest = fmax(1e-6, least), distance = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(expected[i])) largest = fmax(largest, fabs((double)expected[i]));
    *where = 0;
    for (size_t i = 0; i < count; i++) {
        if (isinf(expected[i]) && expected[i] == actual[i]) continue;
        double error = fabs((double)actual[i] - (double)expected[i]) / largest;
        if (!isfinite(error)) error = INFINITY;
        if (error > distance) {
            distance = error;
            *where = i;
        }
    }
    return distance;
}

/// Fails when an output of `actual` is further from that of `expected` than the tolerance of the type it was made in.
static inline void nm_test_expect_close(const nm_test_bench *expected, const nm_test_bench *actual) {
    assert_int_equal(expected->outputs, actual->outputs);
    for (uint32_t o = 0; o < expected->outputs; o++) {
        const nm_test_output *e = &expected->output[o], *a = &actual->output[o];
        assert_true(e->rows == a->rows && e->cols == a->cols);
        const nm_dtype compute = actual->backend->compute;
        const double tolerance = nm_test_tolerance(a->full && compute == NM_BF16 ? NM_F32 : compute);
        size_t where;
        const double distance = nm_test_distance(e->values, a->values, (size_t)e->rows * e->cols, e->least, &where);
        if (!(distance <= tolerance))
            fail_msg("%s, %s of %s: %.3g off at row %zu column %zu (expected %.9g, got %.9g), allowed %.3g",
                     actual->recipe, e->name, actual->backend->name, distance, where / e->cols, where % e->cols,
                     (double)e->values[where], (double)a->values[where], tolerance);
    }
}

/// Fails when an output differs in a bit.
static inline void nm_test_expect_same_bits(const nm_test_bench *first, const nm_test_bench *second) {
    assert_int_equal(first->outputs, second->outputs);
    for (uint32_t o = 0; o < first->outputs; o++) {
        const nm_test_output *a = &first->output[o], *b = &second->output[o];
        assert_true(a->rows == b->rows && a->cols == b->cols);
        if (memcmp(a->values, b->values, (size_t)a->rows * a->cols * sizeof(float)) != 0)
            fail_msg("%s, %s: other bits on %s than on %s", second->recipe, a->name, second->backend->name,
                     first->backend->name);
    }
}

// groups of attention
// -------------------------------------------------------------------------------------------------------------------

enum { NM_TEST_MAX_ROWS = 4096, NM_TEST_MAX_GROUPS = 512, NM_TEST_MAX_LISTED = 16384 };

/// Groups on the host, being filled. Large: keep it static or on the heap.
typedef struct nm_test_groups {
    uint32_t count;
    uint32_t query_offsets[NM_TEST_MAX_GROUPS + 1], key_offsets[NM_TEST_MAX_GROUPS + 1];
    uint32_t query_rows[NM_TEST_MAX_ROWS], key_rows[NM_TEST_MAX_LISTED];
    int shared_keys;
} nm_test_groups;

static inline void nm_test_groups_begin(nm_test_groups *groups, int shared_keys) {
    groups->count = 0;
    groups->query_offsets[0] = groups->key_offsets[0] = 0;
    groups->shared_keys = shared_keys;
}
static inline void nm_test_groups_add(nm_test_groups *groups, const uint32_t *queries, uint32_t query_count,
                                      const uint32_t *keys, uint32_t key_count) {
    assert_true(groups->count < NM_TEST_MAX_GROUPS);
    const uint32_t q = groups->query_offsets[groups->count], k = groups->key_offsets[groups->count];
    assert_true(q + query_count <= NM_TEST_MAX_ROWS && k + key_count <= NM_TEST_MAX_LISTED);
    if (query_count) memcpy(groups->query_rows + q, queries, query_count * sizeof *queries);
    if (key_count) memcpy(groups->key_rows + k, keys, key_count * sizeof *keys);
    groups->count++;
    groups->query_offsets[groups->count] = q + query_count;
    groups->key_offsets[groups->count] = k + key_count;
}

/// `queries` rows dealt out to `count` groups in a random order, the first with one query, the second with no key.
/// Without `shared_keys` every key row is in one group or (one in eight) in none; with it every group takes every key
/// row with probability one half.
static inline void nm_test_groups_random(nm_test_random *random, uint32_t queries, uint32_t keys, uint32_t count,
                                         int shared_keys, nm_test_groups *groups) {
    static uint32_t query_order[NM_TEST_MAX_ROWS], key_order[NM_TEST_MAX_ROWS], taken[NM_TEST_MAX_ROWS];
    static uint32_t query_group[NM_TEST_MAX_ROWS], key_group[NM_TEST_MAX_ROWS], own[NM_TEST_MAX_ROWS];
    assert_true(queries >= count && count >= 2 && queries <= NM_TEST_MAX_ROWS && keys <= NM_TEST_MAX_ROWS);
    nm_test_shuffle(random, queries, query_order);
    nm_test_shuffle(random, keys, key_order);
    // one query each, the others anywhere but in the first
    for (uint32_t i = 0; i < queries; i++) query_group[i] = i < count ? i : 1 + nm_test_below(random, count - 1);
    for (uint32_t i = 0; i < keys; i++)
        key_group[i] = nm_test_below(random, 8) == 0 ? count : nm_test_below(random, count);
    nm_test_groups_begin(groups, shared_keys);
    for (uint32_t g = 0; g < count; g++) {
        uint32_t query_count = 0, key_count = 0;
        for (uint32_t i = 0; i < queries; i++)
            if (query_group[i] == g) own[query_count++] = query_order[i];
        for (uint32_t i = 0; i < keys; i++) {
            const int mine = shared_keys ? nm_test_below(random, 2) == 0 : key_group[i] == g;
            if (mine && g != 1) taken[key_count++] = key_order[i];
        }
        nm_test_groups_add(groups, own, query_count, taken, key_count);
    }
}

/// The attentions of the network over a random validity mask (`share` of the tokens) of agents x times, packed agent by
/// agent: a group per agent over its times, or (spatial) per time over its agents. Returns the number of tokens.
static inline uint32_t nm_test_groups_tokens(nm_test_random *random, uint32_t agents, uint32_t times, double share,
                                             int spatial, nm_test_groups *groups) {
    static uint32_t row_of[NM_TEST_MAX_ROWS], rows[NM_TEST_MAX_ROWS];
    assert_true(agents * times <= NM_TEST_MAX_ROWS);
    uint32_t tokens = 0;
    for (uint32_t i = 0; i < agents * times; i++)
        row_of[i] = (double)nm_test_uniform(random) < share ? tokens++ : UINT32_MAX;
    nm_test_groups_begin(groups, 0);
    for (uint32_t g = 0; g < (spatial ? times : agents); g++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < (spatial ? agents : times); i++) {
            const uint32_t row = spatial ? row_of[i * times + g] : row_of[g * times + i];
            if (row != UINT32_MAX) rows[count++] = row;
        }
        if (count) nm_test_groups_add(groups, rows, count, rows, count);
    }
    return tokens;
}

/// The groups in the memory of the bench's backend.
static inline nm_groups nm_test_groups_upload(nm_test_bench *bench, const nm_test_groups *groups) {
    nm_groups g = {.count = groups->count, .shared_keys = groups->shared_keys};
    for (uint32_t i = 0; i < groups->count; i++) {
        const uint32_t queries = groups->query_offsets[i + 1] - groups->query_offsets[i];
        const uint32_t keys = groups->key_offsets[i + 1] - groups->key_offsets[i];
        if (queries > g.max_queries) g.max_queries = queries;
        if (keys > g.max_keys) g.max_keys = keys;
    }
    g.query_offsets = nm_test_indices(bench, groups->query_offsets, groups->count + 1);
    g.query_rows = nm_test_indices(bench, groups->query_rows, groups->query_offsets[groups->count]);
    g.key_offsets = nm_test_indices(bench, groups->key_offsets, groups->count + 1);
    g.key_rows = nm_test_indices(bench, groups->key_rows, groups->key_offsets[groups->count]);
    return g;
}

#endif
