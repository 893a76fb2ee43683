/// In place of nexus/ops/cuda/launch.cuh: kernels run on the CPU, see emulator.h.
#ifndef NM_NEXUS_OPS_CUDA_LAUNCH_CUH
#define NM_NEXUS_OPS_CUDA_LAUNCH_CUH

#include <initializer_list>

#include <cuda_runtime.h>

#define NM_DYNAMIC_SHARED(name) float *const name = nm_emulator_shared()

namespace nm_cuda {

template <class... Parameters>
cudaError_t start_kernel(cudaStream_t, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared,
                         Parameters... parameters) {
    const auto thread = [&] { kernel(parameters...); };
    const auto call = [](const void *bound) { (*static_cast<const decltype(thread) *>(bound))(); };
    nm_emulator_run(grid, block, shared, call, &thread);
    return cudaSuccess;
}

} // namespace nm_cuda
#endif
