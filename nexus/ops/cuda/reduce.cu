#include "nexus/ops/cuda/reduce.cuh"

#include "nexus/ops/cuda/device.cuh"

namespace nm_cuda {
namespace {

constexpr int lanes = 32, strands = 8; ///< columns and interleaved rows of a block
constexpr int gather_strands = 32;     ///< interleaved slabs of a block
constexpr uint32_t max_slabs = 256;    ///< pieces that the rows are cut into
constexpr uint32_t rows_per_slab = 64; ///< at least

/// Partial sums of one slab: partial[(slab * 2 + which) * cols + col].
__global__ void slab_kernel(view dy, view x, view statistics, uint32_t rows, uint32_t cols, uint32_t slab_rows,
                            float *partial) {
    __shared__ float plain[strands][lanes], weighted[strands][lanes];
    const uint32_t col = blockIdx.x * lanes + threadIdx.x;
    const uint32_t first = blockIdx.y * slab_rows;
    const uint32_t end = min(rows, first + slab_rows);
    float sum = 0.0f, sum_n = 0.0f;
    if (col < cols) {
        for (uint32_t row = first + threadIdx.y; row < end; row += strands) {
            const float d = load1(dy, row, col);
            sum += d;
            if (present(x)) {
                const float n = (load1(x, row, col) - load1(statistics, row, 0)) * load1(statistics, row, 1);
                sum_n = fmaf(d, n, sum_n);
            }
        }
    }
    plain[threadIdx.y][threadIdx.x] = sum;
    weighted[threadIdx.y][threadIdx.x] = sum_n;
    __syncthreads();
    if (threadIdx.y != 0 || col >= cols) return;
    for (int s = 1; s < strands; s++) {
        sum += plain[s][threadIdx.x];
        sum_n += weighted[s][threadIdx.x];
    }
    partial[(size_t)blockIdx.y * 2 * cols + col] = sum;
    partial[((size_t)blockIdx.y * 2 + 1) * cols + col] = sum_n;
}

/// Adds the slabs up: those of a strand one after the other, then strand after strand.
__global__ void gather_kernel(const float *partial, uint32_t slabs, uint32_t cols, float *sums, float *weighted) {
    __shared__ float plain[gather_strands][lanes], normed[gather_strands][lanes];
    const uint32_t col = blockIdx.x * lanes + threadIdx.x;
    float sum = 0.0f, sum_n = 0.0f;
    for (uint32_t slab = threadIdx.y; slab < slabs && col < cols; slab += gather_strands) {
        if (sums) sum += partial[(size_t)slab * 2 * cols + col];
        if (weighted) sum_n += partial[((size_t)slab * 2 + 1) * cols + col];
    }
    plain[threadIdx.y][threadIdx.x] = sum;
    normed[threadIdx.y][threadIdx.x] = sum_n;
    __syncthreads();
    if (threadIdx.y != 0 || col >= cols) return;
    for (int s = 1; s < gather_strands; s++) {
        sum += plain[s][threadIdx.x];
        sum_n += normed[s][threadIdx.x];
    }
    if (sums) sums[col] += sum;
    if (weighted) weighted[col] += sum_n;
}

} // namespace

void add_column_sums(backend *b, nm_tensor dy, nm_tensor x, nm_tensor statistics, nm_tensor sums, nm_tensor weighted) {
    const uint32_t rows = dy.rows, cols = dy.cols;
    if (rows == 0) return;
    for (const nm_tensor &t : {sums, weighted})
        NM_ASSERT(!t.data || (t.dtype == NM_F32 && t.cols == cols && t.rows == 1));
    uint32_t slab_rows = (rows + max_slabs - 1) / max_slabs;
    if (slab_rows < rows_per_slab) slab_rows = rows_per_slab;
    const uint32_t slabs = (rows + slab_rows - 1) / slab_rows;
    NM_ASSERT((size_t)slabs * 2 * cols * sizeof(float) <= product_bytes);
    float *partial = reinterpret_cast<float *>(b->product);
    launch(b, slab_kernel, dim3((cols + lanes - 1) / lanes, slabs), dim3(lanes, strands), 0, view_of(dy), view_of(x),
           view_of(statistics), rows, cols, slab_rows, partial);
    launch(b, gather_kernel, dim3((cols + lanes - 1) / lanes), dim3(lanes, gather_strands), 0, partial, slabs, cols,
           static_cast<float *>(sums.data), static_cast<float *>(weighted.data));
}

} // namespace nm_cuda
