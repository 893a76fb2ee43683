/// Matrix products: by cuBLASLt where it knows the shape, else by a kernel that takes any.
///
/// cuBLASLt is loaded when a backend is made, not when the program starts: the program runs on machines without it.
#ifndef NM_NEXUS_OPS_CUDA_BLAS_CUH
#define NM_NEXUS_OPS_CUDA_BLAS_CUH

#include "nexus/ops/cuda/backend.cuh"

namespace nm_cuda {

/// d [m][n] = A B (+ bias [n] to every row) (+ c), accumulated in float32; A is a [m][k], or a [k][m] turned; B is
/// b [k][n], or b [n][k] turned. a and b have one type, F32 or BF16; c and d have one type, F32, or BF16 with BF16
/// operands; the bias has the type of d. c may be d. m, n, k > 0.
struct product {
    nm_tensor a, b;
    bool turn_a, turn_b;
    nm_tensor c; ///< or absent
    nm_tensor d;
    const void *bias; ///< or NULL
};

/// Runs it on the backend's stream. Failures are kept for synchronize.
void multiply(backend *b, const product &p);

/// What cuBLASLt needs: the library, a workspace, a plan for every shape seen. blas_multiply returns false where it has
/// no algorithm for the shape (then `multiply` uses its own kernel).
/// NM_E_UNSUPPORTED when the library is missing.
nm_status blas_open(blas **blas, nm_error *error);
void blas_close(blas *blas); ///< NULL is fine
const char *blas_name(const blas *blas);
bool blas_multiply(backend *b, const product &p);

} // namespace nm_cuda
#endif
