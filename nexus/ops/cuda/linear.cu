#include <stdlib.h>

#include "nexus/ops/cuda/blas.cuh"
#include "nexus/ops/cuda/device.cuh"
#include "nexus/ops/cuda/reduce.cuh"

namespace nm_cuda {

/// What nm_weight.packed points to: bf16 copies on the device of the weight and, behind it, its bias, which a product
/// with a bf16 result wants in the same type. Contiguous; the bias begins at the next multiple of 256 bytes.
struct packed_weight {
    nm_tensor value; ///< [O][I]
    nm_tensor bias;  ///< [1][O], or absent
};

nm_status pack_weight(nm_backend *handle, nm_weight *weight, nm_error *error) {
    backend *b = enter(handle, "pack_weight");
    NM_ASSERT(!b->capturing && weight->value.data && weight->value.dtype == NM_F32);
    if (weight->product != NM_BF16) return NM_OK; // used as it is
    const uint32_t outputs = weight->value.rows, inputs = weight->value.cols;
    packed_weight *packed = static_cast<packed_weight *>(weight->packed);
    if (!packed) {
        const size_t bytes = ((size_t)outputs * inputs * 2 + 255) / 256 * 256;
        packed = static_cast<packed_weight *>(calloc(1, sizeof *packed));
        char *memory = packed ? static_cast<char *>(allocate(handle, bytes + (size_t)outputs * 2)) : nullptr;
        if (!memory) {
            free(packed);
            return NM_ERROR(error, NM_E_MEMORY, "No memory for a weight of %u x %u in bf16", outputs, inputs);
        }
        packed->value = {memory, outputs, inputs, inputs, NM_BF16};
        if (weight->bias.data) packed->bias = {memory + bytes, 1, outputs, outputs, NM_BF16};
        weight->packed = packed;
    }
    convert_tensor(b, weight->value, packed->value);
    if (packed->bias.data) convert_tensor(b, weight->bias, packed->bias);
    return NM_OK;
}

void release_weight(nm_backend *handle, nm_weight *weight) {
    packed_weight *packed = static_cast<packed_weight *>(weight->packed);
    if (!packed) return;
    release(handle, packed->value.data);
    free(packed);
    weight->packed = nullptr;
}

namespace {

__device__ float gelu_slope(float x) {
    return normal_cdf(x) + x * (0.39894228f * expf(-0.5f * x * x));
}
__device__ float silu_slope(float x) {
    const float s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

/// What follows a product that could not do it itself.
struct epilogue_op {
    view product, bias, residual, gate, y, pre;
    nm_epilogue epilogue;
    template <int V> __device__ void at(uint32_t row, uint32_t col) const {
        float p[V], other[V];
        load<V>(product, row, col, p);
        if (present(bias)) {
            load<V>(bias, 0, col, other);
            for (int i = 0; i < V; i++) p[i] += other[i];
        }
        if (present(pre)) store<V>(pre, row, col, p);
        if (epilogue == NM_EPILOGUE_GELU) {
            for (int i = 0; i < V; i++) p[i] *= normal_cdf(p[i]);
        } else if (epilogue == NM_EPILOGUE_SILU) {
            for (int i = 0; i < V; i++) p[i] *= sigmoid(p[i]);
        } else if (epilogue != NM_EPILOGUE_NONE) {
            if (epilogue == NM_EPILOGUE_GATED) {
                load<V>(gate, row, col, other);
                for (int i = 0; i < V; i++) p[i] *= other[i];
            }
            load<V>(residual, row, col, other);
            for (int i = 0; i < V; i++) p[i] += other[i];
        }
        store<V>(y, row, col, p);
    }
};

struct epilogue_grad_op {
    view dy, pre, gate, dp, dgate;
    nm_epilogue epilogue;
    template <int V> __device__ void at(uint32_t row, uint32_t col) const {
        float d[V], x[V], g[V];
        load<V>(dy, row, col, d);
        load<V>(pre, row, col, x);
        if (epilogue == NM_EPILOGUE_GATED) {
            load<V>(gate, row, col, g);
            for (int i = 0; i < V; i++) x[i] *= d[i];
            for (int i = 0; i < V; i++) d[i] *= g[i];
            store<V>(dgate, row, col, x);
        } else if (epilogue == NM_EPILOGUE_GELU) {
            for (int i = 0; i < V; i++) d[i] *= gelu_slope(x[i]);
        } else {
            for (int i = 0; i < V; i++) d[i] *= silu_slope(x[i]);
        }
        store<V>(dp, row, col, d);
    }
};

} // namespace

/// The weight and bias that products of its type are taken with.
static nm_tensor weight_value(const nm_weight &w) {
    if (w.product != NM_BF16) return w.value;
    NM_ASSERT(w.packed);
    return static_cast<const packed_weight *>(w.packed)->value;
}

/// The tensor itself when it has the type, else a copy of it in scratch memory.
static nm_tensor in_type(backend *b, nm_tensor t, nm_dtype dtype, char *scratch) {
    if (t.dtype == dtype) return t;
    // Rows begin at multiples of 16 bytes, for the sake of cuBLASLt.
    nm_tensor copy = {scratch, t.rows, t.cols, (t.cols + 7) / 8 * 8, dtype};
    convert_tensor(b, t, copy);
    return copy;
}

/// How many rows at a time fit into the scratch memories, given the widest of what goes into each.
static uint32_t rows_at_once(uint32_t operand_cols, uint32_t product_cols) {
    const size_t by_operand = operand_bytes / (((size_t)operand_cols + 7) / 8 * 8 * sizeof(float));
    const size_t by_product = product_bytes / (((size_t)product_cols + 7) / 8 * 8 * sizeof(float));
    const size_t rows = by_operand < by_product ? by_operand : by_product;
    NM_ASSERT(rows > 0);
    return rows > UINT32_MAX ? UINT32_MAX : (uint32_t)rows;
}

static nm_tensor some_rows(nm_tensor t, uint32_t first, uint32_t count) {
    return t.data ? nm_tensor_rows(t, first, count) : t;
}

static void check_linear(const nm_linear *op) {
    const uint32_t rows = op->x.rows, outputs = op->weight.value.rows;
    const bool gated = op->epilogue == NM_EPILOGUE_GATED, added = gated || op->epilogue == NM_EPILOGUE_RESIDUAL;
    NM_ASSERT(is_float(op->x) && op->x.cols == op->weight.value.cols && op->weight.value.dtype == NM_F32);
    NM_ASSERT(op->x.dtype == op->weight.product || op->x.dtype == NM_F32);
    NM_ASSERT(is_float(op->y) && has_shape(op->y, rows, outputs));
    NM_ASSERT(!op->weight.bias.data || has_shape(op->weight.bias, 1, outputs));
    NM_ASSERT(!added || (has_shape(op->residual, rows, outputs) && op->residual.dtype == NM_F32));
    NM_ASSERT(!gated || (has_shape(op->gate, rows, outputs) && is_float(op->gate)));
    NM_ASSERT(!op->pre.data || (has_shape(op->pre, rows, outputs) && is_float(op->pre)));
}

/// Whether the product can write y itself: nothing but a bias and a residual comes after it.
static bool is_plain(const nm_linear *op) {
    if (op->pre.data) return false;
    if (op->epilogue == NM_EPILOGUE_RESIDUAL) return op->y.dtype == NM_F32;
    return op->epilogue == NM_EPILOGUE_NONE && (op->y.dtype == NM_F32 || op->weight.product == NM_BF16);
}

static void linear_rows(backend *b, const nm_linear *op, uint32_t first, uint32_t count) {
    const nm_weight &w = op->weight;
    const nm_tensor x = in_type(b, nm_tensor_rows(op->x, first, count), w.product, b->operands[0]);
    const nm_tensor y = nm_tensor_rows(op->y, first, count);
    const nm_tensor residual = some_rows(op->residual, first, count);
    if (is_plain(op)) {
        const nm_tensor bias = y.dtype == NM_F32 ? w.bias : static_cast<const packed_weight *>(w.packed)->bias;
        const nm_tensor c = op->epilogue == NM_EPILOGUE_RESIDUAL ? residual : nm_tensor_none();
        multiply(b, {x, weight_value(w), false, true, c, y, bias.data});
        return;
    }
    const uint32_t outputs = w.value.rows;
    const nm_tensor p = {b->product, count, outputs, (outputs + 7) / 8 * 8, NM_F32};
    multiply(b, {x, weight_value(w), false, true, nm_tensor_none(), p, nullptr});
    const nm_tensor gate = some_rows(op->gate, first, count), pre = some_rows(op->pre, first, count);
    const epilogue_op rest = {view_of(p), view_of(w.bias), view_of(residual), view_of(gate),
                              view_of(y), view_of(pre),    op->epilogue};
    elementwise(b, rest, count, outputs, vectors({p, w.bias, residual, gate, y, pre}));
}

void linear(nm_backend *handle, const nm_linear *op) {
    backend *b = enter(handle, "linear");
    check_linear(op);
    // Only what goes through scratch memory is cut.
    const bool whole = is_plain(op) && op->x.dtype == op->weight.product;
    const uint32_t step = whole ? UINT32_MAX : rows_at_once(op->x.cols, op->weight.value.rows);
    for (uint32_t first = 0; first < op->x.rows;) {
        const uint32_t left = op->x.rows - first, count = left < step ? left : step;
        linear_rows(b, op, first, count);
        first += count;
    }
}

/// dx of some rows: dp W, written or added.
static void input_gradient(backend *b, const nm_linear_grad *op, nm_tensor dp, nm_tensor dx) {
    const nm_tensor w = weight_value(op->weight);
    if (dx.dtype == NM_F32 || op->weight.product == NM_BF16) {
        multiply(b, {dp, w, false, false, op->add_dx ? dx : nm_tensor_none(), dx, nullptr});
        return;
    }
    const nm_tensor sum = {b->product, dx.rows, dx.cols, (dx.cols + 7) / 8 * 8, NM_F32};
    multiply(b, {dp, w, false, false, nm_tensor_none(), sum, nullptr});
    if (op->add_dx)
        add_tensor(b, sum, dx);
    else
        convert_tensor(b, sum, dx);
}

void linear_backward(nm_backend *handle, const nm_linear_grad *op) {
    backend *b = enter(handle, "linear_backward");
    const nm_weight &w = op->weight;
    const uint32_t rows = op->dp.rows, inputs = w.value.cols, outputs = w.value.rows;
    NM_ASSERT(is_float(op->dp) && op->dp.cols == outputs);
    NM_ASSERT(!op->dx.data || (is_float(op->dx) && has_shape(op->dx, rows, inputs)));
    NM_ASSERT(!op->dweight.data || (is_float(op->x) && has_shape(op->x, rows, inputs) && op->dweight.dtype == NM_F32 &&
                                    has_shape(op->dweight, outputs, inputs)));
    const bool same = op->dp.dtype == w.product && (!op->dweight.data || op->x.dtype == w.product);
    const bool whole = same && (!op->dx.data || op->dx.dtype == NM_F32 || w.product == NM_BF16);
    const uint32_t widest = inputs > outputs ? inputs : outputs;
    const uint32_t step = whole ? UINT32_MAX : rows_at_once(widest, inputs);
    for (uint32_t first = 0; first < rows;) {
        const uint32_t left = rows - first, count = left < step ? left : step;
        const nm_tensor dp = in_type(b, nm_tensor_rows(op->dp, first, count), w.product, b->operands[0]);
        if (op->dx.data) input_gradient(b, op, dp, nm_tensor_rows(op->dx, first, count));
        if (op->dweight.data) {
            const nm_tensor x = in_type(b, nm_tensor_rows(op->x, first, count), w.product, b->operands[1]);
            multiply(b, {dp, x, true, false, op->dweight, op->dweight, nullptr});
        }
        first += count;
    }
    if (op->dbias.data) add_column_sums(b, op->dp, nm_tensor_none(), nm_tensor_none(), op->dbias, nm_tensor_none());
}

void epilogue_backward(nm_backend *handle, const nm_epilogue_grad *op) {
    backend *b = enter(handle, "epilogue_backward");
    const uint32_t rows = op->dy.rows, cols = op->dy.cols;
    const bool gated = op->epilogue == NM_EPILOGUE_GATED;
    NM_ASSERT(gated || op->epilogue == NM_EPILOGUE_GELU || op->epilogue == NM_EPILOGUE_SILU);
    NM_ASSERT(is_float(op->dy) && is_float(op->pre) && is_float(op->dp));
    NM_ASSERT(has_shape(op->pre, rows, cols) && has_shape(op->dp, rows, cols));
    NM_ASSERT(!gated || (has_shape(op->gate, rows, cols) && has_shape(op->dgate, rows, cols)));
    const nm_tensor gate = gated ? op->gate : nm_tensor_none(), dgate = gated ? op->dgate : nm_tensor_none();
    const epilogue_grad_op grad = {view_of(op->dy), view_of(op->pre), view_of(gate),
                                   view_of(op->dp), view_of(dgate),   op->epilogue};
    elementwise(b, grad, rows, cols, vectors({op->dy, op->pre, gate, op->dp, dgate}));
}

} // namespace nm_cuda
