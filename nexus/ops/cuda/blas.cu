#include "nexus/ops/cuda/blas.cuh"

#include <cublasLt.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

namespace nm_cuda {

/// The functions used, by their own names and types, found in the library at run time.
#define NM_BLAS_FUNCTIONS(X)                                                                                           \
    X(cublasLtCreate)                                                                                                  \
    X(cublasLtDestroy)                                                                                                 \
    X(cublasLtGetVersion)                                                                                              \
    X(cublasLtMatmul)                                                                                                  \
    X(cublasLtMatmulAlgoGetHeuristic)                                                                                  \
    X(cublasLtMatmulDescCreate)                                                                                        \
    X(cublasLtMatmulDescDestroy)                                                                                       \
    X(cublasLtMatmulDescSetAttribute)                                                                                  \
    X(cublasLtMatmulPreferenceCreate)                                                                                  \
    X(cublasLtMatmulPreferenceDestroy)                                                                                 \
    X(cublasLtMatmulPreferenceSetAttribute)                                                                            \
    X(cublasLtMatrixLayoutCreate)                                                                                      \
    X(cublasLtMatrixLayoutDestroy)                                                                                     \
    X(cublasLtMatrixLayoutSetAttribute)

namespace {

struct functions {
#define NM_DECLARE(name) decltype(&::name) name;
    NM_BLAS_FUNCTIONS(NM_DECLARE)
#undef NM_DECLARE
};

/// What a plan depends on. All 32-bit, so that there is no padding to compare.
///
/// One dimension of every product is the number of tokens, agents or map rows that there happen to be: m where A is not
/// turned, k where it is (gradients of weights). Plans do not depend on its exact value. First, as batches of all
/// sizes come along and finding an algorithm takes longer than most products do. Second, as an algorithm that is
/// chosen by m adds in an order that depends on m, and a scene in a batch would come to other bits than alone.
struct plan_key {
    uint32_t rows;        ///< of the dimension above: 0 = any (m), or its next power of two (k)
    uint32_t cols, depth; ///< n, and k or m
    uint32_t stride_a, stride_b, stride_c, stride_d;
    uint32_t types;      ///< of the operands, of the result
    uint32_t form;       ///< turned operands, something added, a bias
    uint32_t alignments; ///< of the five addresses: log2, at most 16 bytes
};

struct plan {
    plan_key key;
    bool taken;
    bool possible; ///< cuBLASLt has an algorithm
    uint32_t rows; ///< that the layouts are set to
    cublasLtMatmulDesc_t what;
    cublasLtMatrixLayout_t a, b, c, d; ///< in cuBLASLt's order
    cublasLtMatmulAlgo_t algorithm;
};

constexpr uint32_t plan_count = 1024; ///< a power of two
constexpr uint32_t usual_rows = 4096; ///< of a product whose m may be any: the algorithm is chosen for so many
constexpr uint32_t probes = 8;
constexpr size_t workspace_bytes = (size_t)32 << 20;

} // namespace

struct blas {
    void *library;
    functions call;
    cublasLtHandle_t handle;
    void *workspace;
    char name[32];
    plan plans[plan_count];
    uint32_t evicted; ///< counts, so that the place given up rotates
};

static nm_status load(blas *l, nm_error *error) {
    // The major version of the headers first: the one this was tested with.
    const char *names[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
    const int first = CUBLAS_VER_MAJOR >= 13 ? 0 : 1;
    for (int i = 0; i < 2 && !l->library; i++) l->library = dlopen(names[(first + i) % 2], RTLD_NOW | RTLD_LOCAL);
    if (!l->library)
        return NM_ERROR(
            error, NM_E_UNSUPPORTED,
            "There is a GPU, but neither libcublasLt.so.13 nor libcublasLt.so.12 is found: install NVIDIA's "
            "cuBLAS or add its folder to LD_LIBRARY_PATH");
    const char *missing = nullptr;
#define NM_FIND(function)                                                                                              \
    l->call.function = reinterpret_cast<decltype(l->call.function)>(dlsym(l->library, #function));                     \
    if (!l->call.function) missing = #function;
    NM_BLAS_FUNCTIONS(NM_FIND)
#undef NM_FIND
    if (missing) return NM_ERROR(error, NM_E_UNSUPPORTED, "The cuBLASLt that was found has no %s", missing);
    return NM_OK;
}

nm_status blas_open(blas **out, nm_error *error) {
    blas *l = static_cast<blas *>(calloc(1, sizeof *l));
    *out = l; // closed by the caller, however far this comes
    if (!l) return NM_ERROR(error, NM_E_MEMORY, "No memory for the plans of matrix products");
    const nm_status status = load(l, error);
    if (status != NM_OK) return status;
    if (l->call.cublasLtCreate(&l->handle) != CUBLAS_STATUS_SUCCESS)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "cuBLASLt does not start on this GPU");
    if (cudaMalloc(&l->workspace, workspace_bytes) != cudaSuccess)
        return NM_ERROR(error, NM_E_MEMORY, "The GPU has no %zu MiB for matrix products", workspace_bytes >> 20);
    const size_t version = l->call.cublasLtGetVersion();
    snprintf(l->name, sizeof l->name, "cuBLASLt %zu", version);
    return NM_OK;
}

static void forget(blas *l, plan *p) {
    if (p->what) l->call.cublasLtMatmulDescDestroy(p->what);
    for (cublasLtMatrixLayout_t layout : {p->a, p->b, p->c, p->d})
        if (layout) l->call.cublasLtMatrixLayoutDestroy(layout);
    memset(p, 0, sizeof *p);
}

void blas_close(blas *l) {
    if (!l) return;
    for (plan &p : l->plans) forget(l, &p);
    if (l->workspace) (void)cudaFree(l->workspace);
    if (l->handle) l->call.cublasLtDestroy(l->handle);
    if (l->library) dlclose(l->library);
    free(l);
}

const char *blas_name(const blas *l) {
    return l->name;
}

/// No algorithm wants more than 16 bytes.
static uint32_t alignment(const void *address) {
    uint32_t log2 = 0;
    while (log2 < 4 && reinterpret_cast<uintptr_t>(address) % ((uintptr_t)2 << log2) == 0) log2++;
    return log2;
}

static uint32_t next_power_of_two(uint32_t count) {
    uint32_t power = 1;
    while (power < count && power < UINT32_C(1) << 31) power *= 2;
    return power;
}

static plan_key key_of(const product &p) {
    plan_key key;
    key.rows = p.turn_a ? next_power_of_two(p.a.rows) : 0;
    key.cols = p.d.cols;
    key.depth = p.turn_a ? p.d.rows : p.a.cols;
    key.stride_a = p.a.stride;
    key.stride_b = p.b.stride;
    key.stride_c = p.c.data ? p.c.stride : p.d.stride;
    key.stride_d = p.d.stride;
    key.types = (uint32_t)p.a.dtype << 8 | (uint32_t)p.d.dtype;
    key.form = (uint32_t)p.turn_a | (uint32_t)p.turn_b << 1 | (uint32_t)(p.c.data != nullptr) << 2 |
               (uint32_t)(p.bias != nullptr) << 3;
    key.alignments = 0;
    for (const void *address :
         {(const void *)p.a.data, (const void *)p.b.data, (const void *)p.c.data, (const void *)p.d.data, p.bias})
        key.alignments = key.alignments << 4 | alignment(address);
    return key;
}

static cudaDataType_t type_of(nm_tensor t) {
    return t.dtype == NM_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/// cuBLASLt stores columns: a row-major [rows][cols] is its cols x rows. So it is asked for the transposed product
/// d^T = B^T A^T, with b as its first operand and a as its second; an operand that is not turned for us is not turned
/// for it either.
static bool describe(blas *l, plan *n, const product &p) {
    const nm_tensor c = p.c.data ? p.c : p.d;
    const int32_t turn_first = p.turn_b ? CUBLAS_OP_T : CUBLAS_OP_N, turn_second = p.turn_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    const uint32_t epilogue = p.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    const int32_t bias_type = type_of(p.d);
    const functions &f = l->call;
    cublasStatus_t bad = f.cublasLtMatmulDescCreate(&n->what, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const void *value, size_t size) {
        if (!bad) bad = f.cublasLtMatmulDescSetAttribute(n->what, attribute, value, size);
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, &turn_first, sizeof turn_first);
    set(CUBLASLT_MATMUL_DESC_TRANSB, &turn_second, sizeof turn_second);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (p.bias) {
        set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p.bias, sizeof p.bias);
        set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type, sizeof bias_type);
    }
    const auto lay_out = [&](cublasLtMatrixLayout_t *layout, const nm_tensor &t) {
        if (!bad) bad = f.cublasLtMatrixLayoutCreate(layout, type_of(t), t.cols, t.rows, t.stride);
    };
    lay_out(&n->a, p.b);
    lay_out(&n->b, p.a);
    lay_out(&n->c, c);
    lay_out(&n->d, p.d);
    return !bad;
}

/// Sets the dimension that plans do not depend on, which is columns to cuBLASLt. `turned`: A is.
static bool set_rows(blas *l, plan *n, bool turned, uint32_t rows) {
    const uint64_t cols = rows;
    if (n->rows == rows) return true;
    n->rows = 0; // half done is not done
    for (cublasLtMatrixLayout_t layout : {n->b, turned ? n->a : n->c, turned ? n->b : n->d})
        if (l->call.cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_COLS, &cols, sizeof cols))
            return false;
    n->rows = rows;
    return true;
}

/// Whether there is an algorithm. Sums split over k must be put together in the workspace, in a fixed order; where m
/// may be any they are not split, as the workspace would have to grow with it.
static bool choose(blas *l, plan *n, const product &p) {
    const functions &f = l->call;
    cublasLtMatmulPreference_t preference = nullptr;
    cublasStatus_t bad = f.cublasLtMatmulPreferenceCreate(&preference);
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const void *value, size_t size) {
        if (!bad) bad = f.cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, size);
    };
    const auto aligned = [&](cublasLtMatmulPreferenceAttributes_t attribute, const void *address) {
        const uint32_t bytes = 1u << alignment(address);
        set(attribute, &bytes, sizeof bytes);
    };
    const uint32_t reductions = p.turn_a ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE : CUBLASLT_REDUCTION_SCHEME_NONE;
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes, sizeof workspace_bytes);
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions);
    aligned(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p.b.data);
    aligned(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p.a.data);
    aligned(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p.c.data ? p.c.data : p.d.data);
    aligned(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p.d.data);
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    if (!bad)
        bad =
            f.cublasLtMatmulAlgoGetHeuristic(l->handle, n->what, n->a, n->b, n->c, n->d, preference, 1, &best, &found);
    if (preference) f.cublasLtMatmulPreferenceDestroy(preference);
    if (bad || found < 1 || best.state != CUBLAS_STATUS_SUCCESS || best.workspaceSize > workspace_bytes) return false;
    n->algorithm = best.algo;
    return true;
}

/// The plan for a product: a known one, or a new one in the place of one that was not needed for long.
static plan *find(blas *l, const product &p) {
    const plan_key key = key_of(p);
    const uint32_t start = (uint32_t)nm_hash_bytes(&key, sizeof key, 0);
    plan *place = nullptr;
    for (uint32_t i = 0; i < probes; i++) {
        plan *candidate = &l->plans[(start + i) % plan_count];
        if (candidate->taken && memcmp(&candidate->key, &key, sizeof key) == 0) return candidate;
        if (!candidate->taken && !place) place = candidate;
    }
    if (!place) place = &l->plans[(start + l->evicted++ % probes) % plan_count];
    forget(l, place);
    place->key = key;
    place->taken = true;
    place->possible =
        describe(l, place, p) && set_rows(l, place, p.turn_a, p.turn_a ? key.rows : usual_rows) && choose(l, place, p);
    return place;
}

bool blas_multiply(backend *b, const product &p) {
    blas *l = b->blas;
    plan *n = find(l, p);
    if (!n->possible || !set_rows(l, n, p.turn_a, p.a.rows)) return false;
    if (p.bias && l->call.cublasLtMatmulDescSetAttribute(n->what, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p.bias,
                                                         sizeof p.bias) != CUBLAS_STATUS_SUCCESS)
        return false;
    const float one = 1.0f, existing = p.c.data ? 1.0f : 0.0f;
    const void *c = p.c.data ? p.c.data : p.d.data;
    const cublasStatus_t status =
        l->call.cublasLtMatmul(l->handle, n->what, &one, p.b.data, n->a, p.a.data, n->b, &existing, c, n->c, p.d.data,
                               n->d, &n->algorithm, l->workspace, workspace_bytes, b->stream);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return false; // for so few rows
    if (status != CUBLAS_STATUS_SUCCESS) {
        char why[64];
        snprintf(why, sizeof why, "cuBLASLt status %d", (int)status);
        fail(b, NM_E_IO, why);
    }
    return true;
}

} // namespace nm_cuda
