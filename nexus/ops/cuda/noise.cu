#include "nexus/ops/cuda/noise.h"

#include "nexus/ops/cuda/device.cuh"
#include "nexus/ops/cuda/philox.cuh"

namespace nm_cuda {
namespace {

struct noise_op {
    nm_rng_key key;
    view out;
    uint32_t cols;
    template <int V> __device__ void at(uint32_t row, uint32_t col) const {
        float values[V];
        for (int i = 0; i < V; i++) values[i] = rng_normal(key, row * cols + col + (uint32_t)i);
        store<V>(out, row, col, values);
    }
};

} // namespace
} // namespace nm_cuda

void nm_cuda_fill_normal(nm_backend *handle, const nm_rng_key *key, nm_tensor out) {
    NM_ASSERT(handle->ops->linear == nm_cuda::linear); // a backend of this kind
    nm_cuda::backend *b = nm_cuda::enter(handle, "fill_normal");
    NM_ASSERT(nm_cuda::is_float(out));
    nm_cuda::elementwise(b, nm_cuda::noise_op{*key, nm_cuda::view_of(out), out.cols}, out.rows, out.cols, false);
}
