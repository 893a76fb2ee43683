#include "stand_in.h"

#include "cublasLt.h"

#include <initializer_list>

// Matrices are stored by columns here, as cuBLASLt has them by default.

struct nm_stand_in_handle {
    int unused;
};
struct nm_stand_in_desc {
    int32_t turn_a, turn_b;
    uint32_t epilogue;
    const void *bias;
    int32_t bias_type;
};
struct nm_stand_in_layout {
    cudaDataType_t type;
    uint64_t rows, cols;
    int64_t stride;
};
struct nm_stand_in_preference {
    uint32_t reductions;
};

static int searches, products;
static unsigned refused_below;

int nm_stand_in_searches(void) {
    return searches;
}
int nm_stand_in_products(void) {
    return products;
}
void nm_stand_in_refuse_below(unsigned rows) {
    refused_below = rows;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
    *handle = new nm_stand_in_handle();
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}
size_t cublasLtGetVersion(void) {
    return 130000;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t, cudaDataType_t) {
    *desc = new nm_stand_in_desc();
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
    delete desc;
    return CUBLAS_STATUS_SUCCESS;
}
template <class T> static cublasStatus_t set(T &field, const void *value, size_t size) {
    if (size != sizeof field) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(&field, value, size);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t size) {
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(desc->turn_a, value, size);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(desc->turn_b, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(desc->epilogue, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return set(desc->bias, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        return set(desc->bias_type, value, size);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType_t type, uint64_t rows,
                                          uint64_t cols, int64_t stride) {
    *layout = new nm_stand_in_layout{type, rows, cols, stride};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t,
                                                const void *value, size_t size) {
    return set(layout->cols, value, size);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
    *preference = new nm_stand_in_preference();
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                    size_t size) {
    if (attribute != CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) return CUBLAS_STATUS_SUCCESS;
    return set(preference->reductions, value, size);
}

/// The sizes of D = op(A) op(B) where they fit together.
struct sizes {
    uint64_t m, n, k;
    bool fit;
};
static sizes sizes_of(const nm_stand_in_desc *desc, const nm_stand_in_layout *a, const nm_stand_in_layout *b,
                      const nm_stand_in_layout *c, const nm_stand_in_layout *d) {
    sizes s = {d->rows, d->cols, desc->turn_a ? a->rows : a->cols, true};
    s.fit = (desc->turn_a ? a->cols : a->rows) == s.m && (desc->turn_b ? b->rows : b->cols) == s.n &&
            (desc->turn_b ? b->cols : b->rows) == s.k && c->rows == s.m && c->cols == s.n && a->type == b->type &&
            c->type == d->type && (d->type == CUDA_R_32F || a->type == CUDA_R_16BF);
    for (const nm_stand_in_layout *layout : {a, b, c, d}) s.fit = s.fit && layout->stride >= (int64_t)layout->rows;
    return s;
}

/// How many terms are added up before they join the sum: more where the product is larger. Odd ones are declined.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int,
                                              cublasLtMatmulHeuristicResult_t *results, int *found) {
    const sizes s = sizes_of(desc, a, b, c, d);
    searches++;
    *found = 0;
    if (!s.fit) return CUBLAS_STATUS_INVALID_VALUE;
    if (s.m % 2) return CUBLAS_STATUS_NOT_SUPPORTED;
    uint64_t terms = 2;
    while (terms * terms < s.m * s.n) terms++;
    results[0] = {};
    results[0].algo.data[0] = preference->reductions ? terms + s.k : terms;
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

static float element(const void *data, const nm_stand_in_layout *layout, uint64_t row, uint64_t col) {
    const size_t at = row + col * (size_t)layout->stride;
    if (layout->type == CUDA_R_32F) return static_cast<const float *>(data)[at];
    return __uint_as_float((uint32_t) static_cast<const uint16_t *>(data)[at] << 16);
}
static void put(void *data, const nm_stand_in_layout *layout, uint64_t row, uint64_t col, float value) {
    const size_t at = row + col * (size_t)layout->stride;
    if (layout->type == CUDA_R_32F) {
        static_cast<float *>(data)[at] = value;
        return;
    }
    const uint32_t bits = __float_as_uint(value);
    static_cast<uint16_t *>(data)[at] = (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t layout_a, const void *b, cublasLtMatrixLayout_t layout_b,
                              const void *beta, const void *c, cublasLtMatrixLayout_t layout_c, void *d,
                              cublasLtMatrixLayout_t layout_d, const cublasLtMatmulAlgo_t *algorithm, void *, size_t,
                              cudaStream_t) {
    const sizes s = sizes_of(desc, layout_a, layout_b, layout_c, layout_d);
    const float factor = *static_cast<const float *>(alpha), existing = *static_cast<const float *>(beta);
    if (!s.fit) return CUBLAS_STATUS_EXECUTION_FAILED;
    if (s.n < refused_below) return CUBLAS_STATUS_NOT_SUPPORTED;
    products++;
    for (uint64_t j = 0; j < s.n; j++) {
        for (uint64_t i = 0; i < s.m; i++) {
            float sum = 0.0f, part = 0.0f;
            for (uint64_t t = 0; t < s.k; t++) {
                const float x = desc->turn_a ? element(a, layout_a, t, i) : element(a, layout_a, i, t);
                const float y = desc->turn_b ? element(b, layout_b, j, t) : element(b, layout_b, t, j);
                part += x * y;
                if ((t + 1) % algorithm->data[0] && t + 1 < s.k) continue;
                sum += part;
                part = 0.0f;
            }
            sum *= factor;
            const nm_stand_in_layout bias = {(cudaDataType_t)desc->bias_type, s.m, 1, (int64_t)s.m};
            if (desc->epilogue == CUBLASLT_EPILOGUE_BIAS) sum += element(desc->bias, &bias, i, 0);
            if (existing != 0.0f) sum += existing * element(c, layout_c, i, j);
            put(d, layout_d, i, j, sum);
        }
    }
    return CUBLAS_STATUS_SUCCESS;
}
