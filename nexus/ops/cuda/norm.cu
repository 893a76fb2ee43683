#include "nexus/ops/cuda/device.cuh"
#include "nexus/ops/cuda/reduce.cuh"

namespace nm_cuda {
namespace {

constexpr int warps = 4; ///< of a block; one row each

struct norm_args {
    view x, weight, bias, scale, shift, y, statistics;
    uint32_t rows, cols;
    float epsilon;
};

/// Two passes for the moments: the variance of what is left after the mean, so that large means cost no digits.
template <int V> __global__ void __launch_bounds__(32 * warps) layer_norm_kernel(norm_args a) {
    const uint32_t row = blockIdx.x * warps + threadIdx.y, lane = threadIdx.x;
    if (row >= a.rows) return;
    float x[V], factor[V], offset[V];
    float sum = 0.0f;
    for (uint32_t col = lane * V; col < a.cols; col += 32 * V) {
        load<V>(a.x, row, col, x);
        for (int i = 0; i < V; i++) sum += x[i];
    }
    const float mean = warp_sum(sum) / (float)a.cols;
    float squares = 0.0f;
    for (uint32_t col = lane * V; col < a.cols; col += 32 * V) {
        load<V>(a.x, row, col, x);
        for (int i = 0; i < V; i++) squares = fmaf(x[i] - mean, x[i] - mean, squares);
    }
    const float inverse = 1.0f / sqrtf(warp_sum(squares) / (float)a.cols + a.epsilon);
    for (uint32_t col = lane * V; col < a.cols; col += 32 * V) {
        load<V>(a.x, row, col, x);
        if (present(a.weight)) {
            load<V>(a.weight, 0, col, factor);
            load<V>(a.bias, 0, col, offset);
        } else {
            load<V>(a.scale, row, col, factor);
            load<V>(a.shift, row, col, offset);
            for (int i = 0; i < V; i++) factor[i] += 1.0f;
        }
        for (int i = 0; i < V; i++) x[i] = fmaf((x[i] - mean) * inverse, factor[i], offset[i]);
        store<V>(a.y, row, col, x);
    }
    if (lane == 0 && present(a.statistics)) {
        store1(a.statistics, row, 0, mean);
        store1(a.statistics, row, 1, inverse);
    }
}

struct norm_grad_args {
    view x, weight, scale, statistics, dy, dx, dscale, dshift;
    uint32_t rows, cols;
};

/// dy, the normalised x and the gradient of the normalised x (dn = dy a) of V columns.
template <int V>
__device__ void gradients(const norm_grad_args &a, uint32_t row, uint32_t col, float mean, float inverse,
                          float (&dy)[V], float (&n)[V], float (&dn)[V]) {
    load<V>(a.x, row, col, n);
    load<V>(a.dy, row, col, dy);
    if (present(a.weight))
        load<V>(a.weight, 0, col, dn);
    else
        load<V>(a.scale, row, col, dn);
    const float extra = present(a.weight) ? 0.0f : 1.0f;
    for (int i = 0; i < V; i++) {
        n[i] = (n[i] - mean) * inverse;
        dn[i] = dy[i] * (dn[i] + extra);
    }
}

/// dx += inverse (dn - mean(dn) - n mean(dn n)): the derivative of n = (x - mean) / sqrt(variance + epsilon).
template <int V> __global__ void __launch_bounds__(32 * warps) layer_norm_grad_kernel(norm_grad_args a) {
    const uint32_t row = blockIdx.x * warps + threadIdx.y, lane = threadIdx.x;
    if (row >= a.rows) return;
    const float mean = load1(a.statistics, row, 0), inverse = load1(a.statistics, row, 1);
    float dy[V], n[V], dn[V], old[V];
    float sum = 0.0f, sum_n = 0.0f;
    for (uint32_t col = lane * V; col < a.cols; col += 32 * V) {
        gradients<V>(a, row, col, mean, inverse, dy, n, dn);
        for (int i = 0; i < V; i++) {
            sum += dn[i];
            sum_n = fmaf(dn[i], n[i], sum_n);
        }
    }
    sum = warp_sum(sum) / (float)a.cols;
    sum_n = warp_sum(sum_n) / (float)a.cols;
    for (uint32_t col = lane * V; col < a.cols; col += 32 * V) {
        gradients<V>(a, row, col, mean, inverse, dy, n, dn);
        if (present(a.dshift)) store<V>(a.dshift, row, col, dy);
        if (present(a.dx)) {
            load<V>(a.dx, row, col, old);
            for (int i = 0; i < V; i++) old[i] += inverse * (dn[i] - sum - n[i] * sum_n);
            store<V>(a.dx, row, col, old);
        }
        if (present(a.dscale)) {
            for (int i = 0; i < V; i++) n[i] *= dy[i];
            store<V>(a.dscale, row, col, n);
        }
    }
}

struct silu_op {
    view x, y;
    template <int V> __device__ void at(uint32_t row, uint32_t col) const {
        float v[V];
        load<V>(x, row, col, v);
        for (int i = 0; i < V; i++) v[i] *= sigmoid(v[i]);
        store<V>(y, row, col, v);
    }
};

struct silu_grad_op {
    view x, dy, dx;
    template <int V> __device__ void at(uint32_t row, uint32_t col) const {
        float v[V], d[V], sum[V];
        load<V>(x, row, col, v);
        load<V>(dy, row, col, d);
        load<V>(dx, row, col, sum);
        for (int i = 0; i < V; i++) {
            const float s = sigmoid(v[i]);
            sum[i] += d[i] * (s * (1.0f + v[i] * (1.0f - s)));
        }
        store<V>(dx, row, col, sum);
    }
};

} // namespace

void layer_norm(nm_backend *handle, const nm_layer_norm *op) {
    backend *b = enter(handle, "layer_norm");
    const uint32_t rows = op->x.rows, cols = op->x.cols;
    const bool affine = op->weight.data != nullptr;
    NM_ASSERT(is_float(op->x) && is_float(op->y) && has_shape(op->y, rows, cols) && cols > 0);
    NM_ASSERT(affine != (op->scale.data != nullptr));
    NM_ASSERT(affine ? has_shape(op->weight, 1, cols) && has_shape(op->bias, 1, cols)
                     : has_shape(op->scale, rows, cols) && has_shape(op->shift, rows, cols));
    NM_ASSERT(!op->statistics.data || (has_shape(op->statistics, rows, 2) && op->statistics.dtype == NM_F32));
    const norm_args args = {view_of(op->x),
                            view_of(op->weight),
                            view_of(op->bias),
                            view_of(op->scale),
                            view_of(op->shift),
                            view_of(op->y),
                            view_of(op->statistics),
                            rows,
                            cols,
                            op->epsilon};
    const dim3 grid((rows + warps - 1) / warps), block(32, warps);
    if (vectors({op->x, op->weight, op->bias, op->scale, op->shift, op->y}))
        launch(b, layer_norm_kernel<8>, grid, block, 0, args);
    else
        launch(b, layer_norm_kernel<1>, grid, block, 0, args);
}

void layer_norm_backward(nm_backend *handle, const nm_layer_norm_grad *op) {
    backend *b = enter(handle, "layer_norm_backward");
    const uint32_t rows = op->x.rows, cols = op->x.cols;
    const bool affine = op->weight.data != nullptr;
    NM_ASSERT(is_float(op->x) && is_float(op->dy) && has_shape(op->dy, rows, cols) && cols > 0);
    NM_ASSERT(affine ? has_shape(op->weight, 1, cols) : has_shape(op->scale, rows, cols));
    NM_ASSERT(has_shape(op->statistics, rows, 2) && op->statistics.dtype == NM_F32);
    NM_ASSERT(!op->dx.data || has_shape(op->dx, rows, cols));
    const nm_tensor dscale = affine ? nm_tensor_none() : op->dscale, dshift = affine ? nm_tensor_none() : op->dshift;
    NM_ASSERT((!dscale.data || has_shape(dscale, rows, cols)) && (!dshift.data || has_shape(dshift, rows, cols)));
    const norm_grad_args args = {view_of(op->x),
                                 view_of(op->weight),
                                 view_of(op->scale),
                                 view_of(op->statistics),
                                 view_of(op->dy),
                                 view_of(op->dx),
                                 view_of(dscale),
                                 view_of(dshift),
                                 rows,
                                 cols};
    const dim3 grid((rows + warps - 1) / warps), block(32, warps);
    if (vectors({op->x, op->weight, op->scale, op->dy, op->dx, dscale, dshift}))
        launch(b, layer_norm_grad_kernel<8>, grid, block, 0, args);
    else
        launch(b, layer_norm_grad_kernel<1>, grid, block, 0, args);
    if (affine && (op->dweight.data || op->dbias.data))
        add_column_sums(b, op->dy, op->x, op->statistics, op->dbias, op->dweight);
}

void silu(nm_backend *handle, nm_tensor x, nm_tensor y) {
    backend *b = enter(handle, "silu");
    NM_ASSERT(is_float(x) && is_float(y) && nm_tensor_same_shape(x, y));
    elementwise(b, silu_op{view_of(x), view_of(y)}, x.rows, x.cols, vectors({x, y}));
}

void silu_backward(nm_backend *handle, nm_tensor x, nm_tensor dy, nm_tensor dx) {
    backend *b = enter(handle, "silu_backward");
    NM_ASSERT(is_float(x) && is_float(dy) && is_float(dx));
    NM_ASSERT(nm_tensor_same_shape(x, dy) && nm_tensor_same_shape(x, dx));
    elementwise(b, silu_grad_op{view_of(x), view_of(dy), view_of(dx)}, x.rows, x.cols, vectors({x, dy, dx}));
}

} // namespace nm_cuda
