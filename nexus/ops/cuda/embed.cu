#include "nexus/ops/cuda/device.cuh"

namespace nm_cuda {
namespace {

struct assemble_op {
    view known, mask, noised, condition, out;
    uint32_t channels, conditions;
    template <int V> __device__ void at(uint32_t row, uint32_t first) const {
        for (uint32_t col = first; col < first + V; col++) {
            const uint32_t part = col / channels, channel = col % channels;
            float value = 0.0f;
            if (part == 0)
                value = load1(known, row, channel) * load1(mask, row, channel);
            else if (part == 1)
                value = load1(mask, row, channel);
            else if (part == 2)
                value = load1(noised, row, channel);
            else if (col - 3 * channels < conditions)
                value = load1(condition, row, col - 3 * channels);
            store1(out, row, col, value);
        }
    }
};

struct sinusoid_op {
    view value, out;
    uint32_t frequencies;
    template <int V> __device__ void at(uint32_t row, uint32_t first) const {
        const float x = load1(value, row, 0);
        for (uint32_t i = first; i < first + V; i++) {
            // 10000^(-i / F) = 2^(-i log2(10000) / F)
            const float angle = x * exp2f(-(float)i / (float)frequencies * 13.287712f);
            float s, c;
            sincosf(angle, &s, &c);
            store1(out, row, i, c);
            store1(out, row, i + frequencies, s);
        }
    }
};

struct lookup_op {
    view table_a, table_b, x;
    const uint32_t *index_a, *index_b;
    template <int V> __device__ void at(uint32_t row, uint32_t col) const {
        float sum[V], a[V], b[V];
        load<V>(x, row, col, sum);
        load<V>(table_a, index_a[row], col, a);
        load<V>(table_b, index_b[row], col, b);
        for (int i = 0; i < V; i++) sum[i] += a[i] + b[i];
        store<V>(x, row, col, sum);
    }
};

struct repeat_op {
    view table, x;
    uint32_t entries;
    template <int V> __device__ void at(uint32_t row, uint32_t col) const {
        float value[V];
        load<V>(table, row % entries, col, value);
        store<V>(x, row, col, value);
    }
};

struct repeat_grad_op {
    view dx, dtable;
    uint32_t entries, times;
    template <int V> __device__ void at(uint32_t entry, uint32_t col) const {
        float sum[V], value[V];
        for (int i = 0; i < V; i++) sum[i] = 0.0f;
        for (uint32_t t = 0; t < times; t++) {
            load<V>(dx, t * entries + entry, col, value);
            for (int i = 0; i < V; i++) sum[i] += value[i];
        }
        load<V>(dtable, entry, col, value);
        for (int i = 0; i < V; i++) sum[i] += value[i];
        store<V>(dtable, entry, col, sum);
    }
};

constexpr int strands = 8; ///< rows of an entry that are summed side by side, and then in this order

/// One block per entry and 32 columns.
__global__ void lookup_grad_kernel(view dx, const uint32_t *offsets, const uint32_t *rows, view dtable, uint32_t cols) {
    __shared__ float sums[strands][32];
    const uint32_t entry = blockIdx.x, col = blockIdx.y * 32 + threadIdx.x;
    const uint32_t end = offsets[entry + 1];
    float sum = 0.0f;
    if (col < cols)
        for (uint32_t i = offsets[entry] + threadIdx.y; i < end; i += strands) sum += load1(dx, rows[i], col);
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || col >= cols) return;
    for (int s = 1; s < strands; s++) sum += sums[s][threadIdx.x];
    store1(dtable, entry, col, sum);
}

} // namespace

void assemble(nm_backend *handle, const nm_assemble *op) {
    backend *b = enter(handle, "assemble");
    const uint32_t rows = op->known.rows, channels = op->known.cols;
    const uint32_t conditions = op->condition.data ? op->condition.cols : 0;
    NM_ASSERT(is_float(op->known) && is_float(op->mask) && is_float(op->noised) && is_float(op->out) && channels > 0);
    NM_ASSERT(nm_tensor_same_shape(op->known, op->mask) && nm_tensor_same_shape(op->known, op->noised));
    NM_ASSERT(!op->condition.data || (is_float(op->condition) && op->condition.rows == rows));
    NM_ASSERT(op->out.rows == rows && op->out.cols >= 3 * channels + conditions);
    const assemble_op parts = {view_of(op->known), view_of(op->mask), view_of(op->noised), view_of(op->condition),
                               view_of(op->out),   channels,          conditions};
    elementwise(b, parts, rows, op->out.cols, false);
}

void sinusoid(nm_backend *handle, nm_tensor value, nm_tensor out) {
    backend *b = enter(handle, "sinusoid");
    NM_ASSERT(value.dtype == NM_F32 && has_shape(value, out.rows, 1) && is_float(out) && out.cols % 2 == 0);
    elementwise(b, sinusoid_op{view_of(value), view_of(out), out.cols / 2}, out.rows, out.cols / 2, false);
}

void lookup(nm_backend *handle, const nm_lookup *a, const nm_lookup *b, nm_tensor x) {
    backend *backend = enter(handle, "lookup");
    NM_ASSERT(a && b && is_float(a->table) && is_float(b->table) && is_float(x) && a->index && b->index);
    NM_ASSERT(a->table.cols == x.cols && b->table.cols == x.cols);
    const lookup_op op = {view_of(a->table), view_of(b->table), view_of(x), a->index, b->index};
    elementwise(backend, op, x.rows, x.cols, vectors({a->table, b->table, x}));
}

void lookup_backward(nm_backend *handle, const nm_lookup *lookup, nm_tensor dx, nm_tensor dtable) {
    backend *b = enter(handle, "lookup_backward");
    NM_ASSERT(is_float(dx) && is_float(dtable) && dx.cols == dtable.cols && dtable.rows == lookup->table.rows);
    NM_ASSERT(lookup->offsets && lookup->rows);
    launch(b, lookup_grad_kernel, dim3(dtable.rows, (dtable.cols + 31) / 32), dim3(32, strands), 0, view_of(dx),
           lookup->offsets, lookup->rows, view_of(dtable), dtable.cols);
}

void repeat(nm_backend *handle, nm_tensor table, uint32_t times, nm_tensor x) {
    backend *b = enter(handle, "repeat");
    NM_ASSERT(is_float(table) && is_float(x) && table.cols == x.cols && (uint64_t)table.rows * times == x.rows);
    elementwise(b, repeat_op{view_of(table), view_of(x), table.rows}, x.rows, x.cols, vectors({table, x}));
}

void repeat_backward(nm_backend *handle, nm_tensor dx, uint32_t times, nm_tensor dtable) {
    backend *b = enter(handle, "repeat_backward");
    NM_ASSERT(is_float(dx) && is_float(dtable) && dtable.cols == dx.cols && (uint64_t)dtable.rows * times == dx.rows);
    const repeat_grad_op op = {view_of(dx), view_of(dtable), dtable.rows, times};
    elementwise(b, op, dtable.rows, dtable.cols, vectors({dx, dtable}));
}

} // namespace nm_cuda
