/// Views of matrices in the memory of a backend: all that operations take and give.
///
/// Everything in the network is a matrix: rows are packed tokens (or map points, latents, levels), columns are
/// channels. A view owns nothing. Its memory belongs to the backend that made it and is only touched through that
/// backend.
#ifndef NM_NEXUS_OPS_TENSOR_H
#define NM_NEXUS_OPS_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_dtype {
    NM_F64 = 0, ///< the reference backend: activations, parameters, gradients
    NM_F32,     ///< the residual stream, parameters, gradients of parameters, statistics
    NM_BF16,    ///< inputs and outputs of matrix products of the fast backends in bf16
    NM_U32      ///< indices
} nm_dtype;

/// Rows of `cols` elements, `stride` elements apart (stride >= cols). data NULL = absent (an optional argument).
typedef struct nm_tensor {
    void *data;
    uint32_t rows, cols;
    uint32_t stride;
    nm_dtype dtype;
} nm_tensor;

static inline size_t nm_dtype_size(nm_dtype dtype) {
    return dtype == NM_F64 ? 8 : dtype == NM_BF16 ? 2 : 4;
}
/// Columns [first, first + count) of `t`.
static inline nm_tensor nm_tensor_cols(nm_tensor t, uint32_t first, uint32_t count) {
    NM_DEBUG_ASSERT(first + count <= t.cols);
    t.data = (char *)t.data + (size_t)first * nm_dtype_size(t.dtype);
    t.cols = count;
    return t;
}
/// Rows [first, first + count) of `t`.
static inline nm_tensor nm_tensor_rows(nm_tensor t, uint32_t first, uint32_t count) {
    NM_DEBUG_ASSERT(first + count <= t.rows);
    t.data = (char *)t.data + (size_t)first * t.stride * nm_dtype_size(t.dtype);
    t.rows = count;
    return t;
}
static inline nm_tensor nm_tensor_none(void) {
    nm_tensor none = {NULL, 0, 0, 0, NM_F32};
    return none;
}
/// One place where operations run; see ops.h.
typedef struct nm_backend nm_backend;

/// The same shape (not necessarily stride or type).
static inline int nm_tensor_same_shape(nm_tensor a, nm_tensor b) {
    return a.rows == b.rows && a.cols == b.cols;
}

#ifdef __cplusplus
}
#endif
#endif
