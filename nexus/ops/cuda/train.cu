#include <math.h>

#include "nexus/ops/cuda/device.cuh"

namespace nm_cuda {
namespace {

constexpr uint32_t threads = 256;
constexpr uint32_t max_blocks = 512; ///< of a sum over everything; each leaves one partial sum

/// The sum over a block's threads, pair by pair; valid in thread 0.
__device__ double block_sum(double value) {
    __shared__ double sums[threads];
    sums[threadIdx.x] = value;
    __syncthreads();
    for (uint32_t half = threads / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    return sums[0];
}

struct loss_args {
    view v, z, e, alpha, sigma, row_weight, dv;
    uint32_t rows, cols;
};

/// Element i belongs to thread i mod (all threads), whatever the GPU.
__global__ void noise_loss_kernel(loss_args a, double *partial) {
    const size_t count = (size_t)a.rows * a.cols, step = (size_t)gridDim.x * threads;
    double sum = 0.0;
    for (size_t i = (size_t)blockIdx.x * threads + threadIdx.x; i < count; i += step) {
        const uint32_t row = (uint32_t)(i / a.cols), col = (uint32_t)(i % a.cols);
        const float weight = load1(a.row_weight, row, 0);
        float gradient = 0.0f;
        if (weight != 0.0f) { // what does not count may hold anything
            const float alpha = load1(a.alpha, row, 0), sigma = load1(a.sigma, row, 0);
            const float error = sigma * load1(a.z, row, col) + alpha * load1(a.v, row, col) - load1(a.e, row, col);
            sum += (double)weight * ((double)error * (double)error);
            gradient = weight * 2.0f * alpha * error / (float)a.cols;
        }
        if (present(a.dv)) store1(a.dv, row, col, gradient);
    }
    sum = block_sum(sum / (double)a.cols);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void square_sum_kernel(view x, uint32_t rows, uint32_t cols, double *partial) {
    const size_t count = (size_t)rows * cols, step = (size_t)gridDim.x * threads;
    double sum = 0.0;
    for (size_t i = (size_t)blockIdx.x * threads + threadIdx.x; i < count; i += step) {
        const double value = (double)load1(x, (uint32_t)(i / cols), (uint32_t)(i % cols));
        sum += value * value;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/// One block: out = the sum of the partial sums.
__global__ void total_kernel(const double *partial, uint32_t count, double *out) {
    double sum = 0.0;
    for (uint32_t i = threadIdx.x; i < count; i += threads) sum += partial[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *out = sum;
}

struct adamw_op {
    view parameter, gradient, first, second, ema, decay_mask;
    float rate, beta1, beta2, epsilon, decay, gradient_scale, ema_rate;
    float unbias1, unbias2; ///< 1 / (1 - beta^step)
    template <int V> __device__ void at(uint32_t row, uint32_t col) const {
        float p[V], g[V], m[V], s[V], mask[V], average[V];
        load<V>(parameter, row, col, p);
        load<V>(gradient, row, col, g);
        load<V>(first, row, col, m);
        load<V>(second, row, col, s);
        for (int i = 0; i < V; i++) mask[i] = 1.0f;
        if (present(decay_mask)) load<V>(decay_mask, row, col, mask);
        for (int i = 0; i < V; i++) {
            const float scaled = g[i] * gradient_scale;
            m[i] = beta1 * m[i] + (1.0f - beta1) * scaled;
            s[i] = beta2 * s[i] + (1.0f - beta2) * scaled * scaled;
            const float step = m[i] * unbias1 / (sqrtf(s[i] * unbias2) + epsilon);
            p[i] -= rate * (step + decay * mask[i] * p[i]);
        }
        store<V>(parameter, row, col, p);
        store<V>(first, row, col, m);
        store<V>(second, row, col, s);
        if (!present(ema)) return;
        load<V>(ema, row, col, average);
        for (int i = 0; i < V; i++) average[i] += ema_rate * (p[i] - average[i]);
        store<V>(ema, row, col, average);
    }
};

} // namespace

static uint32_t blocks_for(size_t count) {
    const size_t blocks = (count + threads - 1) / threads;
    return blocks < max_blocks ? (uint32_t)blocks : max_blocks;
}

void noise_loss(nm_backend *handle, const nm_noise_loss *op) {
    backend *b = enter(handle, "noise_loss");
    const uint32_t rows = op->v.rows, cols = op->v.cols;
    NM_ASSERT(is_float(op->v) && is_float(op->z) && is_float(op->e) && cols > 0);
    NM_ASSERT(has_shape(op->z, rows, cols) && has_shape(op->e, rows, cols));
    for (const nm_tensor &t : {op->alpha, op->sigma, op->row_weight})
        NM_ASSERT(has_shape(t, rows, 1) && t.dtype == NM_F32);
    NM_ASSERT(!op->dv.data || (is_float(op->dv) && has_shape(op->dv, rows, cols)));
    NM_ASSERT(has_shape(op->loss, 1, 1) && op->loss.dtype == NM_F64);
    const loss_args args = {view_of(op->v),
                            view_of(op->z),
                            view_of(op->e),
                            view_of(op->alpha),
                            view_of(op->sigma),
                            view_of(op->row_weight),
                            view_of(op->dv),
                            rows,
                            cols};
    double *partial = reinterpret_cast<double *>(b->product);
    const uint32_t blocks = blocks_for((size_t)rows * cols);
    launch(b, noise_loss_kernel, dim3(blocks), dim3(threads), 0, args, partial);
    launch(b, total_kernel, dim3(1), dim3(threads), 0, partial, blocks, static_cast<double *>(op->loss.data));
}

void square_sum(nm_backend *handle, nm_tensor x, nm_tensor out) {
    backend *b = enter(handle, "square_sum");
    NM_ASSERT(is_float(x) && has_shape(out, 1, 1) && out.dtype == NM_F64);
    double *partial = reinterpret_cast<double *>(b->product);
    const uint32_t blocks = blocks_for((size_t)x.rows * x.cols);
    launch(b, square_sum_kernel, dim3(blocks), dim3(threads), 0, view_of(x), x.rows, x.cols, partial);
    launch(b, total_kernel, dim3(1), dim3(threads), 0, partial, blocks, static_cast<double *>(out.data));
}

void adamw(nm_backend *handle, const nm_adamw *op) {
    backend *b = enter(handle, "adamw");
    const uint32_t count = op->parameter.cols;
    for (const nm_tensor &t : {op->parameter, op->gradient, op->first, op->second})
        NM_ASSERT(t.dtype == NM_F32 && has_shape(t, 1, count));
    for (const nm_tensor &t : {op->ema, op->decay_mask})
        NM_ASSERT(!t.data || (t.dtype == NM_F32 && has_shape(t, 1, count)));
    NM_ASSERT(op->step > 0);
    const double steps = (double)op->step;
    const adamw_op update = {view_of(op->parameter),
                             view_of(op->gradient),
                             view_of(op->first),
                             view_of(op->second),
                             view_of(op->ema),
                             view_of(op->decay_mask),
                             op->rate,
                             op->beta1,
                             op->beta2,
                             op->epsilon,
                             op->decay,
                             op->gradient_scale,
                             1.0f - op->ema_decay,
                             (float)(1.0 / (1.0 - pow((double)op->beta1, steps))),
                             (float)(1.0 / (1.0 - pow((double)op->beta2, steps)))};
    elementwise(b, update, 1, count,
                vectors({op->parameter, op->gradient, op->first, op->second, op->ema, op->decay_mask}));
}

} // namespace nm_cuda
