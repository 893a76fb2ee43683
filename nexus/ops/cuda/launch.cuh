/// How a kernel is started, and how it names its dynamic shared memory (floats, aligned to 16 bytes).
///
/// The only place that starts kernels: everything else is plain C++, so that kernels can be run thread by thread on a
/// machine without a GPU by putting another file of this name first (tests/nexus/cuda_on_cpu).
#ifndef NM_NEXUS_OPS_CUDA_LAUNCH_CUH
#define NM_NEXUS_OPS_CUDA_LAUNCH_CUH

#include <cuda_runtime.h>

#define NM_DYNAMIC_SHARED(name) extern __shared__ __align__(16) float name[]

namespace nm_cuda {

/// Not by <<<>>>: the code that nvcc makes for it initialises a static on the way, which without the C++ library is not
/// safe when two threads start a kernel for the first time.
template <class... Parameters>
cudaError_t start_kernel(cudaStream_t stream, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared,
                         Parameters... parameters) {
    void *addresses[] = {&parameters...};
    return cudaLaunchKernel(reinterpret_cast<const void *>(kernel), grid, block, addresses, shared, stream);
}

} // namespace nm_cuda
#endif
