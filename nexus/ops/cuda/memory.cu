#include <math.h>
#include <string.h>

#include "nexus/ops/bf16.h"
#include "nexus/ops/cuda/device.cuh"

namespace nm_cuda {

void *allocate(nm_backend *handle, size_t bytes) {
    backend *b = enter(handle, "allocate");
    NM_ASSERT(!b->capturing);
    void *memory = nullptr;
    if (cudaMalloc(&memory, bytes ? bytes : 1) != cudaSuccess) {
        (void)cudaGetLastError(); // NULL says it; not a failure of an operation
        return nullptr;
    }
    if (!check(b, cudaMemsetAsync(memory, 0, bytes ? bytes : 1, b->stream))) {
        (void)cudaFree(memory);
        return nullptr;
    }
    return memory;
}

void release(nm_backend *handle, void *memory) {
    backend *b = enter(handle, "release");
    NM_ASSERT(!b->capturing);
    if (memory) check(b, cudaFree(memory)); // waits for the kernels that use it
}

/// The next staging buffer, once the copy that used it last is through. NULL when the device has failed.
static staging *next_staging(backend *b) {
    staging *s = &b->stagings[b->next_staging];
    b->next_staging = (b->next_staging + 1) % staging_count;
    return check(b, cudaEventSynchronize(s->done)) ? s : nullptr;
}

static void pack(const float *host, size_t count, nm_dtype dtype, void *out) {
    if (dtype == NM_F32) {
        memcpy(out, host, count * sizeof *host);
    } else if (dtype == NM_BF16) {
        for (size_t i = 0; i < count; i++) static_cast<uint16_t *>(out)[i] = nm_bf16_of_float(host[i]);
    } else {
        for (size_t i = 0; i < count; i++) static_cast<double *>(out)[i] = host[i];
    }
}
static void unpack(const void *in, size_t count, nm_dtype dtype, float *host) {
    if (dtype == NM_F32) {
        memcpy(host, in, count * sizeof *host);
    } else if (dtype == NM_BF16) {
        for (size_t i = 0; i < count; i++) host[i] = nm_float_of_bf16(static_cast<const uint16_t *>(in)[i]);
    } else {
        for (size_t i = 0; i < count; i++) host[i] = (float)static_cast<const double *>(in)[i];
    }
}

/// A piece of a tensor that fits into a staging buffer: some rows, or some columns of one row.
struct piece {
    uint32_t row, rows, col, cols;
};
static bool next_piece(nm_tensor t, piece *p) {
    const size_t width = nm_dtype_size(t.dtype);
    if (p->rows == 0 && p->cols == 0) {
        p->row = p->col = 0;
    } else if (p->col + p->cols < t.cols) {
        p->col += p->cols;
    } else {
        p->row += p->rows;
        p->col = 0;
    }
    if (t.cols == 0 || p->row >= t.rows) return false;
    if (t.cols * width <= staging_bytes) {
        const size_t fit = staging_bytes / (t.cols * width), left = t.rows - p->row;
        p->rows = (uint32_t)(fit < left ? fit : left);
        p->cols = t.cols;
    } else {
        const size_t fit = staging_bytes / width, left = t.cols - p->col;
        p->rows = 1;
        p->cols = (uint32_t)(fit < left ? fit : left);
    }
    return true;
}
static char *piece_on_device(nm_tensor t, const piece &p) {
    return static_cast<char *>(t.data) + ((size_t)p.row * t.stride + p.col) * nm_dtype_size(t.dtype);
}

void upload(nm_backend *handle, const float *host, nm_tensor to) {
    backend *b = enter(handle, "upload");
    NM_ASSERT(!b->capturing && to.data && to.dtype != NM_U32 && to.stride >= to.cols);
    const size_t width = nm_dtype_size(to.dtype);
    piece p = {0, 0, 0, 0};
    while (next_piece(to, &p)) {
        staging *s = next_staging(b);
        if (!s) return;
        pack(host + (size_t)p.row * to.cols + p.col, (size_t)p.rows * p.cols, to.dtype, s->memory);
        check(b, cudaMemcpy2DAsync(piece_on_device(to, p), to.stride * width, s->memory, p.cols * width, p.cols * width,
                                   p.rows, cudaMemcpyHostToDevice, b->stream));
        check(b, cudaEventRecord(s->done, b->stream));
    }
}

void download(nm_backend *handle, nm_tensor from, float *host) {
    backend *b = enter(handle, "download");
    NM_ASSERT(!b->capturing && from.data && from.dtype != NM_U32 && from.stride >= from.cols);
    const size_t width = nm_dtype_size(from.dtype);
    piece p = {0, 0, 0, 0};
    while (next_piece(from, &p)) {
        const size_t count = (size_t)p.rows * p.cols;
        float *out = host + (size_t)p.row * from.cols + p.col;
        staging *s = next_staging(b);
        if (s &&
            check(b, cudaMemcpy2DAsync(s->memory, p.cols * width, piece_on_device(from, p), from.stride * width,
                                       p.cols * width, p.rows, cudaMemcpyDeviceToHost, b->stream)) &&
            check(b, cudaStreamSynchronize(b->stream))) {
            unpack(s->memory, count, from.dtype, out);
        } else {
            for (size_t i = 0; i < count; i++) out[i] = NAN; // what is not known does not look like a result
        }
    }
}

void upload_u32(nm_backend *handle, const uint32_t *host, size_t count, uint32_t *to) {
    backend *b = enter(handle, "upload_u32");
    NM_ASSERT(!b->capturing);
    constexpr size_t fit = staging_bytes / sizeof *host;
    for (size_t done = 0; done < count; done += fit) {
        const size_t bytes = (count - done < fit ? count - done : fit) * sizeof *host;
        staging *s = next_staging(b);
        if (!s) return;
        memcpy(s->memory, host + done, bytes);
        check(b, cudaMemcpyAsync(to + done, s->memory, bytes, cudaMemcpyHostToDevice, b->stream));
        check(b, cudaEventRecord(s->done, b->stream));
    }
}

void zero(nm_backend *handle, nm_tensor t) {
    backend *b = enter(handle, "zero");
    NM_ASSERT(t.data && t.stride >= t.cols);
    if (t.rows == 0 || t.cols == 0) return;
    const size_t width = nm_dtype_size(t.dtype);
    check(b, cudaMemset2DAsync(t.data, t.stride * width, 0, t.cols * width, t.rows, b->stream));
}

namespace {
struct convert_op {
    view from, to;
    template <int V> __device__ void at(uint32_t row, uint32_t col) const {
        float x[V];
        load<V>(from, row, col, x);
        store<V>(to, row, col, x);
    }
};
struct add_op {
    view from, to;
    template <int V> __device__ void at(uint32_t row, uint32_t col) const {
        float x[V], sum[V];
        load<V>(from, row, col, x);
        load<V>(to, row, col, sum);
        for (int i = 0; i < V; i++) sum[i] += x[i];
        store<V>(to, row, col, sum);
    }
};
} // namespace

void convert_tensor(backend *b, nm_tensor from, nm_tensor to) {
    NM_ASSERT(is_float(from) && is_float(to) && nm_tensor_same_shape(from, to));
    elementwise(b, convert_op{view_of(from), view_of(to)}, from.rows, from.cols, vectors({from, to}));
}

void add_tensor(backend *b, nm_tensor from, nm_tensor to) {
    NM_ASSERT(is_float(from) && is_float(to) && nm_tensor_same_shape(from, to));
    elementwise(b, add_op{view_of(from), view_of(to)}, from.rows, from.cols, vectors({from, to}));
}

void add(nm_backend *handle, nm_tensor from, nm_tensor to) {
    add_tensor(enter(handle, "add"), from, to);
}

void convert(nm_backend *handle, nm_tensor from, nm_tensor to) {
    convert_tensor(enter(handle, "convert"), from, to);
}

nm_status synchronize(nm_backend *handle, nm_error *error) {
    backend *b = reinterpret_cast<backend *>(handle);
    // Not entered: what fails here is what ran last, and that is the name to give.
    NM_ASSERT(!b->capturing);
    if (check(b, cudaSetDevice(b->device))) check(b, cudaStreamSynchronize(b->stream));
    const nm_status status = b->failure.code;
    if (status != NM_OK && error) *error = b->failure;
    nm_error_clear(&b->failure);
    return status;
}

} // namespace nm_cuda
