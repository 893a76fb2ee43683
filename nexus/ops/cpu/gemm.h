/// Matrix products of packed weights with blocks of rows, in one thread: what oneDNN, a CBLAS or our own loops do.
///
/// Threads, row blocks and what follows a product are linear.c's business. Except for `create` and `destroy`, functions
/// that may allocate (create_weight, pack, prepare, prepare_outer) are called by one thread at a time; product and
/// outer by several at once, with different `worker`, for shapes that were prepared.
#ifndef NM_NEXUS_OPS_CPU_GEMM_H
#define NM_NEXUS_OPS_CPU_GEMM_H

#include "nexus/ops/cpu/kernels.h"

typedef struct nm_gemm nm_gemm;
typedef struct nm_gemm_weight nm_gemm_weight; ///< each back end's own

/// y [rows][O] = x [rows][I] W^T (+ bias). Strides in elements. Rows filled up as the traits want;
/// y may be written up to the next multiple of 16 columns unless `direct`.
typedef struct nm_gemm_shape {
    uint32_t rows;
    size_t x_stride, y_stride;
    nm_dtype y_type; ///< F32, or one that is `direct`
    int biased;      ///< only where y_type is `direct`
} nm_gemm_shape;

/// dw [O][I] += dp [rows][O]^T x [rows][I]; dp and x of type `type`, dw F32.
typedef struct nm_gemm_outer {
    nm_dtype type;
    uint32_t rows, O, I;
    size_t dp_stride, x_stride, dw_stride;
} nm_gemm_outer;

/// What products want of their operands.
typedef struct nm_gemm_traits {
    uint32_t round; ///< rows of the last block are filled up to a multiple of this
    uint32_t depth; ///< columns of x are filled up to a multiple of this, with zeros
    uint32_t strip; ///< columns O per call, so that the sums stay in the first-level cache; UINT32_MAX: all
    int direct;     ///< set of types (1 << nm_dtype) of y in which product adds the bias, too
    int contiguous; ///< strides are as small as they can be
} nm_gemm_traits;

struct nm_gemm {
    char name[48];                  ///< such as "oneDNN 2.6"
    nm_dtype bf16;                  ///< the type that products in bf16 take x in: BF16, or F32 where that is no slower
    nm_dtype outer_bf16;            ///< the same for outer
    const nm_bf16_products *outers; ///< what takes outer products instead of outer where dp is in bf16, or NULL
    uint32_t block;                 ///< rows of a block; fixed, so that results do not depend on the number of threads
    uint32_t columns;               ///< columns O of a block of `outer`
    int side_by_side;               ///< 1: several of the kind may be called at once, by threads of different callers
    nm_gemm_traits of_f32, of_bf16; ///< by the type of x

    void (*destroy)(nm_gemm *gemm);
    void (*begin_thread)(void);   ///< nullable: first thing in every thread that calls product or outer
    void (*enter)(nm_gemm *gemm); ///< nullable: in the caller's thread, before product or outer are called in it,
    void (*leave)(nm_gemm *gemm); ///< and after
    void (*begin_share)(void);    ///< nullable: in every thread, before it calls product for an operation,
    void (*end_share)(void);      ///< and after

    /// O x I, taking x in `type`. NULL when there is no memory, or the library refuses: error is filled.
    nm_gemm_weight *(*create_weight)(nm_gemm *gemm, uint32_t O, uint32_t I, nm_dtype type, nm_error *error);
    void (*release_weight)(nm_gemm *gemm, nm_gemm_weight *weight);
    /// Out of value [O][I], or of value [I][O] when transposed.
    nm_status (*pack)(nm_gemm *gemm, nm_gemm_weight *weight, const float *value, size_t stride, int transposed,
                      nm_error *error);
    /// Makes what products of that shape need, if it is not there; cheap if it is.
    nm_status (*prepare)(nm_gemm *gemm, nm_gemm_weight *weight, const nm_gemm_shape *shape, nm_error *error);
    /// Columns [o, o + count) of y, which begins at the first of them.
    void (*product)(nm_gemm *gemm, const nm_gemm_weight *weight, const nm_gemm_shape *shape, uint32_t o, uint32_t count,
                    const void *x, const float *bias, void *y, uint32_t worker);
    /// Nullable: a whole block of rows, the first of which is `row` of op, with what follows the product; x of the
    /// block. 0, and nothing done, where product and an epilogue have to do it. `sums`: scratch of block_scratch
    /// floats.
    int (*block_linear)(nm_gemm *gemm, const nm_gemm_weight *weight, const nm_linear *op, uint32_t row, const void *x,
                        size_t x_stride, float *sums);
    size_t (*block_scratch)(nm_gemm *gemm, const nm_gemm_weight *weight);
    nm_status (*prepare_outer)(nm_gemm *gemm, const nm_gemm_outer *shape, nm_error *error);
    void (*outer)(nm_gemm *gemm, const nm_gemm_outer *shape, const void *dp, const void *x, float *dw, uint32_t worker);
};

/// Each fails with NM_E_UNSUPPORTED, saying what is missing, in a build or on a machine without it; and with
/// NM_E_MEMORY. bf16 = 1: products in bf16 will be asked for. `threads`: workers that will call.
nm_status nm_gemm_create_portable(const nm_cpu_kernels *kernels, int bf16, nm_gemm **gemm, nm_error *error);
nm_status nm_gemm_create_cblas(uint32_t threads, nm_gemm **gemm, nm_error *error);
nm_status nm_gemm_create_dnnl(uint32_t threads, int bf16, nm_gemm **gemm, nm_error *error);
/// What our own loops take products in bf16 with: the best there is for these kernels, or NULL.
const nm_bf16_products *nm_gemm_portable_bf16(const nm_cpu_kernels *kernels);
/// Whether the CBLAS that was linked is one of the fast ones (OpenBLAS, BLIS, MKL), not the reference.
int nm_gemm_cblas_is_fast(void);

#endif
