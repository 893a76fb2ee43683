#include "nexus/ops/cuda/blas.cuh"
#include "nexus/ops/cuda/device.cuh"

// A matrix product for what cuBLASLt declines: no speed to speak of, any shape, stride and alignment.

namespace nm_cuda {
namespace {

constexpr int tile = 16;

/// An operand as element (i, j) at i * row + j * col.
struct operand {
    view data;
    size_t row, col;
};
__device__ float element(const operand &o, uint32_t i, uint32_t j) {
    const size_t at = i * o.row + j * o.col;
    return o.data.bf16 ? bf16_to_float(reinterpret_cast<const uint16_t *>(o.data.data)[at])
                       : reinterpret_cast<const float *>(o.data.data)[at];
}

__global__ void product_kernel(operand a, operand b, view c, view bias, view d, uint32_t m, uint32_t n, uint32_t k) {
    __shared__ float left[tile][tile + 1], right[tile][tile + 1];
    const uint32_t i = blockIdx.y * tile + threadIdx.y, j = blockIdx.x * tile + threadIdx.x;
    float sum = 0.0f;
    for (uint32_t first = 0; first < k; first += tile) {
        const uint32_t k_left = first + threadIdx.x, k_right = first + threadIdx.y;
        left[threadIdx.y][threadIdx.x] = i < m && k_left < k ? element(a, i, k_left) : 0.0f;
        right[threadIdx.y][threadIdx.x] = j < n && k_right < k ? element(b, k_right, j) : 0.0f;
        __syncthreads();
        for (int t = 0; t < tile; t++) sum = fmaf(left[threadIdx.y][t], right[t][threadIdx.x], sum);
        __syncthreads();
    }
    if (i >= m || j >= n) return;
    if (present(bias)) sum += load1(bias, 0, j);
    if (present(c)) sum += load1(c, i, j);
    store1(d, i, j, sum);
}

} // namespace

void multiply(backend *backend, const product &p) {
    const uint32_t m = p.d.rows, n = p.d.cols, k = p.turn_a ? p.a.rows : p.a.cols;
    NM_ASSERT(m && n && k && is_float(p.a) && p.a.dtype == p.b.dtype && is_float(p.d));
    NM_ASSERT((p.turn_a ? p.a.cols : p.a.rows) == m);
    NM_ASSERT((p.turn_b ? p.b.rows : p.b.cols) == n && (p.turn_b ? p.b.cols : p.b.rows) == k);
    NM_ASSERT(!p.c.data || (p.c.dtype == p.d.dtype && nm_tensor_same_shape(p.c, p.d)));
    if (blas_multiply(backend, p)) return;
    const operand a = {view_of(p.a), p.turn_a ? 1 : (size_t)p.a.stride, p.turn_a ? (size_t)p.a.stride : 1};
    const operand b = {view_of(p.b), p.turn_b ? 1 : (size_t)p.b.stride, p.turn_b ? (size_t)p.b.stride : 1};
    const view bias = {static_cast<char *>(const_cast<void *>(p.bias)), n, p.d.dtype == NM_BF16};
    // Rows in pieces, as a grid has no more than 65535 blocks in y.
    constexpr uint32_t piece = 65535u * tile;
    for (uint32_t first = 0; first < m; first += piece) {
        const uint32_t rows = m - first < piece ? m - first : piece;
        operand part = a;
        part.data.data += first * a.row * nm_dtype_size(p.a.dtype);
        const view c = view_of(p.c.data ? nm_tensor_rows(p.c, first, rows) : p.c);
        const view d = view_of(nm_tensor_rows(p.d, first, rows));
        launch(backend, product_kernel, dim3((n + tile - 1) / tile, (rows + tile - 1) / tile), dim3(tile, tile), 0,
               part, b, c, bias, d, rows, n, k);
    }
}

} // namespace nm_cuda
