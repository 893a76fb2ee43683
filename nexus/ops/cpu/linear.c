/// Matrix products with their epilogues: each worker takes blocks of rows, multiplies one block by a strip of the
/// weight into its scratch, which stays in its first-level cache, and sweeps over it once.
#include "nexus/ops/cpu/internal.h"

#include <stdlib.h>
#include <string.h>

// Weights
// ---------------------------------------------------------------------------------------------------------------------

void nm_cpu_release_weight(nm_backend *backend, nm_weight *weight) {
    nm_gemm *gemm = nm_cpu_of(backend)->gemm;
    nm_cpu_weight *w = weight->packed;
    if (!w) return;
    gemm->release_weight(gemm, w->forward);
    gemm->release_weight(gemm, w->transposed);
    free(w);
    weight->packed = NULL;
}

nm_status nm_cpu_pack_weight(nm_backend *backend, nm_weight *weight, nm_error *error) {
    nm_gemm *gemm = nm_cpu_of(backend)->gemm;
    const nm_tensor *value = &weight->value;
    NM_ASSERT(value->dtype == NM_F32 && (weight->product == NM_F32 || weight->product == NM_BF16));
    const nm_dtype type = weight->product == NM_BF16 ? gemm->bf16 : NM_F32;
    nm_cpu_weight *w = weight->packed;
    if (!w) {
        w = calloc(1, sizeof *w);
        if (!w) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a weight");
        weight->packed = w;
        w->type = type;
        w->forward = gemm->create_weight(gemm, value->rows, value->cols, type, error);
        if (!w->forward) {
            const nm_status status = error ? error->code : NM_E_MEMORY;
            nm_cpu_release_weight(backend, weight);
            return status;
        }
    }
    NM_ASSERT(w->type == type);
    w->stale = 1;
    return gemm->pack(gemm, w->forward, value->data, value->stride, 0, error);
}

/// W^T, for the gradient of x: made when first asked for, renewed when the weight was.
static nm_status pack_transposed(nm_gemm *gemm, const nm_weight *weight, nm_error *error) {
    nm_cpu_weight *w = weight->packed;
    const nm_tensor *value = &weight->value;
    if (!w->transposed) {
        w->transposed = gemm->create_weight(gemm, value->cols, value->rows, w->type, error);
        if (!w->transposed) return error->code;
    } else if (!w->stale) {
        return NM_OK;
    }
    w->stale = 0;
    return gemm->pack(gemm, w->transposed, value->data, value->stride, 1, error);
}

// Products of blocks of rows
// ---------------------------------------------------------------------------------------------------------------------

/// y = epilogue(x W^T + b) with one of a weight's packed forms.
typedef struct run {
    nm_cpu *cpu;
    const nm_linear *op;
    nm_gemm_weight *weight;
    nm_dtype type;
    nm_gemm_traits traits;
    uint32_t O, I, depth;     ///< depth: I, filled up
    uint32_t width, stride;   ///< columns of a strip, and that filled up to whole panels
    size_t sums;              ///< floats of scratch before a block's copy of x
    int direct;               ///< the product writes y itself
    int copies;               ///< x does not have the type or the columns that the product takes
    nm_gemm_shape full, last; ///< of a block, and of the last one where it is smaller
    uint32_t last_rows;       ///< rows that count in the last; last.rows may be more
} run;

/// x of a block as the product wants it, in `to`.
static void copy_block(const run *r, nm_tensor x, void *to) {
    const nm_tensor copy = {to, x.rows, r->I, r->depth, r->type};
    r->cpu->kernels->convert(x, copy);
    if (r->depth == r->I) return;
    const size_t size = nm_dtype_size(r->type);
    for (size_t n = 0; n < x.rows; n++) {
        memset((char *)to + (n * r->depth + r->I) * size, 0, (r->depth - r->I) * size);
    }
}

/// A block of rows, ready to be multiplied.
typedef struct row_block {
    uint32_t first, rows;
    const nm_gemm_shape *shape;
    const void *x;
} row_block;

static row_block block_at(const run *r, uint32_t index, uint32_t worker) {
    const uint32_t size = r->cpu->gemm->block, first = index * size;
    const int is_last = r->last_rows && first + r->last_rows == r->op->y.rows;
    row_block b = {first, is_last ? r->last_rows : size, is_last ? &r->last : &r->full, NULL};
    const nm_tensor x = nm_cut(r->op->x, first, b.rows);
    b.x = x.data;
    if (r->copies || b.shape->rows != b.rows) {
        float *copy = (float *)nm_cpu_scratch(r->cpu, worker) + r->sums;
        copy_block(r, x, copy);
        b.x = copy;
    }
    return b;
}

/// One block of rows, strip by strip of its columns.
static void run_block(const run *r, uint32_t index, uint32_t worker) {
    nm_gemm *gemm = r->cpu->gemm;
    float *sums = nm_cpu_scratch(r->cpu, worker);
    const row_block b = block_at(r, index, worker);
    if (r->direct && b.shape->rows == b.rows) {
        void *y = nm_cut(r->op->y, b.first, b.rows).data;
        gemm->product(gemm, r->weight, b.shape, 0, r->O, b.x, r->op->weight.bias.data, y, worker);
        return;
    }
    if (gemm->block_linear && b.rows == gemm->block &&
        gemm->block_linear(gemm, r->weight, r->op, b.first, b.x, b.shape->x_stride, sums))
        return;
    for (uint32_t o = 0; o < r->O; o += r->width) {
        const nm_cpu_part part = {b.first, b.rows, o, r->O - o < r->width ? r->O - o : r->width};
        gemm->product(gemm, r->weight, b.shape, o, part.cols, b.x, NULL, sums, worker);
        r->cpu->kernels->epilogue(r->op, part, sums, r->stride);
    }
}

static void run_blocks(void *context, uint32_t worker, uint32_t workers) {
    const run *r = context;
    nm_gemm *gemm = r->cpu->gemm;
    const nm_range share = nm_share(nm_blocks(r->op->y.rows, gemm->block), worker, workers);
    if (worker == 0 && gemm->enter) gemm->enter(gemm);
    if (gemm->begin_share) gemm->begin_share();
    for (uint32_t b = share.first; b < share.end; b++) run_block(r, b, worker);
    if (gemm->end_share) gemm->end_share();
    if (worker == 0 && gemm->leave) gemm->leave(gemm);
}

/// Shapes of blocks, and whether anything has to go through scratch.
static void plan(run *r) {
    const nm_linear *op = r->op;
    const nm_gemm *gemm = r->cpu->gemm;
    r->traits = r->type == NM_BF16 ? gemm->of_bf16 : gemm->of_f32;
    const uint32_t rest = op->y.rows % gemm->block, round = r->traits.round;
    r->depth = (r->I + r->traits.depth - 1) / r->traits.depth * r->traits.depth;
    r->width = r->O < r->traits.strip ? r->O : r->traits.strip;
    const int contiguous = r->traits.contiguous;
    r->stride = contiguous ? r->width : (r->width + NM_CPU_PANEL - 1) / NM_CPU_PANEL * NM_CPU_PANEL;
    r->copies = op->x.dtype != r->type || r->depth != r->I || (contiguous && op->x.stride != r->I);
    r->direct = (r->traits.direct >> op->y.dtype & 1) && op->epilogue == NM_EPILOGUE_NONE && !op->pre.data &&
                (!contiguous || op->y.stride == r->O);
    const nm_gemm_shape inside = {gemm->block, r->depth, r->stride, NM_F32, 0};
    r->full = inside;
    if (!r->copies) r->full.x_stride = op->x.stride;
    if (r->direct) {
        r->full.y_stride = op->y.stride;
        r->full.y_type = op->y.dtype;
        r->full.biased = op->weight.bias.data != NULL;
    }
    r->last_rows = rest;
    r->last = rest % round ? inside : r->full;
    r->last.rows = (rest + round - 1) / round * round;
}

static void run_linear(nm_cpu *cpu, const nm_linear *op, nm_gemm_weight *weight, nm_dtype type) {
    nm_gemm *gemm = cpu->gemm;
    run r = {.cpu = cpu, .op = op, .weight = weight, .type = type, .O = op->y.cols, .I = op->x.cols};
    nm_error error;
    nm_error_clear(&error);
    plan(&r);
    r.sums = (size_t)gemm->block * r.stride;
    const size_t whole = gemm->block_scratch ? gemm->block_scratch(gemm, weight) : 0;
    if (r.sums < whole) r.sums = whole;
    if (!nm_cpu_need_scratch(cpu, (r.sums + (size_t)gemm->block * r.depth) * sizeof(float))) return;
    nm_status status = NM_OK;
    if (op->y.rows >= gemm->block) status = gemm->prepare(gemm, weight, &r.full, &error);
    if (status == NM_OK && r.last_rows) status = gemm->prepare(gemm, weight, &r.last, &error);
    if (status != NM_OK) {
        nm_cpu_fail(cpu, &error);
        return;
    }
    nm_team_run(cpu->team, nm_blocks(op->y.rows, gemm->block), run_blocks, &r);
}

void nm_cpu_linear(nm_backend *backend, const nm_linear *op) {
    const nm_tensor *value = &op->weight.value;
    const nm_cpu_weight *w = op->weight.packed;
    NM_ASSERT(w && op->x.cols == value->cols && op->y.cols == value->rows && op->x.rows == op->y.rows);
    NM_ASSERT(op->epilogue < NM_EPILOGUE_RESIDUAL || nm_tensor_same_shape(op->residual, op->y));
    NM_ASSERT(op->epilogue != NM_EPILOGUE_GATED || nm_tensor_same_shape(op->gate, op->y));
    NM_ASSERT(!op->pre.data || nm_tensor_same_shape(op->pre, op->y));
    NM_ASSERT(!op->weight.bias.data || op->weight.bias.cols == value->rows);
    if (op->y.rows == 0) return;
    run_linear(nm_cpu_of(backend), op, w->forward, w->type);
}

// Backward
// ---------------------------------------------------------------------------------------------------------------------

static void input_grad(nm_cpu *cpu, const nm_linear_grad *op) {
    nm_error error;
    nm_error_clear(&error);
    if (pack_transposed(cpu->gemm, &op->weight, &error) != NM_OK) {
        nm_cpu_fail(cpu, &error);
        return;
    }
    const nm_cpu_weight *w = op->weight.packed;
    const nm_linear product = {.x = op->dp,
                               .weight = {.value = op->weight.value},
                               .epilogue = op->add_dx ? NM_EPILOGUE_RESIDUAL : NM_EPILOGUE_NONE,
                               .residual = op->add_dx ? op->dx : nm_tensor_none(),
                               .y = op->dx};
    run_linear(cpu, &product, w->transposed, w->type);
}

/// Gradients of the weight: each worker takes columns of dp and goes over all rows, a fixed number at a time.
#define CHUNK 512

typedef struct weight_run {
    nm_cpu *cpu;
    const nm_linear_grad *op;
    nm_dtype type;
    int copies_dp, copies_x;
} weight_run;

static nm_gemm_outer outer_shape(const weight_run *r, uint32_t O, uint32_t rows) {
    const nm_linear_grad *op = r->op;
    const nm_gemm_outer shape = {r->type,
                                 rows,
                                 O,
                                 op->x.cols,
                                 r->copies_dp ? r->cpu->gemm->columns : op->dp.stride,
                                 r->copies_x ? op->x.cols : op->x.stride,
                                 op->dweight.stride};
    return shape;
}

static nm_tensor in_type(const weight_run *r, nm_tensor t, int copies, uint32_t stride, void *to) {
    if (!copies) return t;
    const nm_tensor copy = {to, t.rows, t.cols, stride, r->type};
    r->cpu->kernels->convert(t, copy);
    return copy;
}

static void run_columns(void *context, uint32_t worker, uint32_t workers) {
    const weight_run *r = context;
    const nm_linear_grad *op = r->op;
    nm_gemm *gemm = r->cpu->gemm;
    const uint32_t O = op->dp.cols, N = op->dp.rows, columns = gemm->columns;
    const nm_range share = nm_share(nm_blocks(O, columns), worker, workers);
    char *dp_copy = nm_cpu_scratch(r->cpu, worker), *x_copy = dp_copy + (size_t)CHUNK * columns * sizeof(float);
    if (share.first == share.end) return;
    if (worker == 0 && gemm->enter) gemm->enter(gemm);
    for (uint32_t n = 0; n < N && op->dweight.data; n += CHUNK) {
        const uint32_t rows = N - n < CHUNK ? N - n : CHUNK;
        const nm_tensor x = in_type(r, nm_tensor_rows(op->x, n, rows), r->copies_x, op->x.cols, x_copy);
        for (uint32_t b = share.first; b < share.end; b++) {
            const uint32_t o = b * columns, count = O - o < columns ? O - o : columns;
            const nm_tensor part = nm_tensor_cols(nm_tensor_rows(op->dp, n, rows), o, count);
            const nm_tensor dp = in_type(r, part, r->copies_dp, columns, dp_copy);
            const nm_gemm_outer shape = outer_shape(r, count, rows);
            float *dw = (float *)op->dweight.data + (size_t)o * op->dweight.stride;
            gemm->outer(gemm, &shape, dp.data, x.data, dw, worker);
        }
    }
    if (worker == 0 && gemm->leave) gemm->leave(gemm);
    if (!op->dbias.data) return;
    const uint32_t first = share.first * columns, end = share.end * columns < O ? share.end * columns : O;
    r->cpu->kernels->sum_rows(nm_tensor_cols(op->dp, first, end - first), NULL, 0, 1, N, 1,
                              nm_tensor_cols(op->dbias, first, end - first));
}

static nm_status prepare_outers(const weight_run *r, nm_error *error) {
    nm_gemm *gemm = r->cpu->gemm;
    const uint32_t O = r->op->dp.cols, N = r->op->dp.rows, columns = gemm->columns;
    const uint32_t widths[] = {O >= columns ? columns : 0, O % columns};
    const uint32_t heights[] = {N >= CHUNK ? CHUNK : 0, N % CHUNK};
    for (int i = 0; i < 4; i++) {
        if (!widths[i & 1] || !heights[i >> 1]) continue;
        const nm_gemm_outer shape = outer_shape(r, widths[i & 1], heights[i >> 1]);
        const nm_status status = gemm->prepare_outer(gemm, &shape, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

static void weight_grad(nm_cpu *cpu, const nm_linear_grad *op) {
    const nm_dtype packed = ((const nm_cpu_weight *)op->weight.packed)->type;
    if (cpu->gemm->outers && op->dweight.data && (packed == NM_BF16 || op->dp.dtype == NM_BF16)) {
        nm_cpu_outer_bf16(cpu, op);
        return;
    }
    const nm_dtype type = packed == NM_BF16 ? cpu->gemm->outer_bf16 : NM_F32;
    weight_run r = {cpu, op, type, op->dp.dtype != type, op->x.dtype != type};
    const size_t cells = (size_t)CHUNK * (cpu->gemm->columns + op->x.cols);
    nm_error error;
    nm_error_clear(&error);
    if (!nm_cpu_need_scratch(cpu, cells * sizeof(float))) return;
    if (op->dweight.data && prepare_outers(&r, &error) != NM_OK) {
        nm_cpu_fail(cpu, &error);
        return;
    }
    nm_team_run(cpu->team, nm_blocks(op->dp.cols, cpu->gemm->columns), run_columns, &r);
}

void nm_cpu_linear_backward(nm_backend *backend, const nm_linear_grad *op) {
    const nm_tensor *value = &op->weight.value;
    NM_ASSERT(op->weight.packed && op->dp.cols == value->rows);
    NM_ASSERT(!op->dx.data || (op->dx.rows == op->dp.rows && op->dx.cols == value->cols));
    NM_ASSERT(!op->dweight.data || nm_tensor_same_shape(op->dweight, *value));
    NM_ASSERT(!op->dweight.data || (op->x.rows == op->dp.rows && op->x.cols == value->cols));
    if (op->dp.rows == 0) return;
    nm_cpu *cpu = nm_cpu_of(backend);
    if (op->dx.data) input_grad(cpu, op);
    if (op->dweight.data || op->dbias.data) weight_grad(cpu, op);
}

static void epilogue_rows(nm_cpu *cpu, const void *context, uint32_t first, uint32_t count, uint32_t worker) {
    nm_epilogue_grad op = *(const nm_epilogue_grad *)context;
    (void)worker;
    op.dy = nm_cut(op.dy, first, count);
    op.pre = nm_cut(op.pre, first, count);
    op.gate = nm_cut(op.gate, first, count);
    op.dp = nm_cut(op.dp, first, count);
    op.dgate = nm_cut(op.dgate, first, count);
    cpu->kernels->epilogue_grad(&op);
}
void nm_cpu_epilogue_backward(nm_backend *backend, const nm_epilogue_grad *op) {
    NM_ASSERT(op->epilogue == NM_EPILOGUE_GELU || op->epilogue == NM_EPILOGUE_SILU ||
              op->epilogue == NM_EPILOGUE_GATED);
    NM_ASSERT(nm_tensor_same_shape(op->dy, op->pre) && nm_tensor_same_shape(op->dy, op->dp));
    NM_ASSERT(op->epilogue != NM_EPILOGUE_GATED ||
              (nm_tensor_same_shape(op->dy, op->gate) && nm_tensor_same_shape(op->dy, op->dgate)));
    nm_cpu_for_rows(nm_cpu_of(backend), op->dy.rows, op->dy.cols, epilogue_rows, op);
}
