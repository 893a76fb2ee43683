#include "nexus/ops/cuda/blas.cuh"

// No cuBLASLt: every product takes the backend's own kernel.
namespace nm_cuda {
nm_status blas_open(blas **blas, nm_error *) {
    *blas = nullptr;
    return NM_OK;
}
void blas_close(blas *) {}
const char *blas_name(const blas *) {
    return "own matrix products";
}
bool blas_multiply(backend *, const product &) {
    return false;
}
} // namespace nm_cuda
