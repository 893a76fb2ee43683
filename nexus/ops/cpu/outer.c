/// Gradients of weights in bf16: dw += dp^T x, in chunks of rows whose packed forms stay in the second-level cache.
///
/// Each worker owns a rectangle of dw and goes over all rows. Sums over rows have one order, and what is between two
/// chunks goes through dw, exactly, so neither the rectangles nor the chunks change a bit.
#include "nexus/ops/cpu/internal.h"

#include <string.h>

/// Rows of a chunk: columns of a packed operand then begin an odd number of cache lines apart, which spreads them over
/// the first-level cache.
#define CHUNK 288
/// Columns of dp that are packed at a time, and the unit in which rectangles are cut.
#define COLUMNS 256
#define UNIT 32

typedef struct outer_run {
    nm_cpu *cpu;
    const nm_linear_grad *op;
    uint32_t down, across; ///< rectangles
    int ragged;            ///< products do not fit dw: they are summed beside it
} outer_run;

/// Where a worker works.
typedef struct outer_work {
    nm_range o, i;
    float *sums;  ///< [o filled up to 16][i filled up to 16]; ragged
    double *bias; ///< [o]
    uint16_t *left, *right, *copy;
} outer_work;

static uint32_t round_up(uint32_t n, uint32_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

/// As many rectangles as there are workers, or fewer, so that what each packs is as little as can be.
static void cut(outer_run *r, uint32_t threads) {
    const uint32_t O = r->op->dp.cols, I = r->op->x.cols;
    const uint32_t most_down = nm_blocks(O, UNIT), most_across = nm_blocks(I, UNIT);
    double least = 0.0;
    for (uint32_t down = 1; down <= threads && down <= most_down; down++) {
        const uint32_t rest = threads / down, across = rest < most_across ? rest : most_across;
        // a product of two such parts, and packing them, which takes as long as about 100 columns more
        const double o = (double)O / down, i = (double)I / across, cost = o * i + 100.0 * (o + i);
        if (down > 1 && cost >= least) continue;
        least = cost;
        r->down = down;
        r->across = across;
    }
}

static nm_range share_of(uint32_t cols, uint32_t index, uint32_t count) {
    nm_range share = nm_share(nm_blocks(cols, UNIT), index, count);
    share.first *= UNIT;
    share.end = share.end * UNIT < cols ? share.end * UNIT : cols;
    return share;
}

static size_t whole_lines(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}
/// Cuts scratch into what a worker needs; returns how many bytes that is. The first worker's share is no smaller than
/// any other's by more than a unit, so sizes are those of the whole divided and rounded up.
static size_t cut_scratch(const outer_run *r, char *scratch, outer_work *w) {
    const uint32_t O = round_up(nm_blocks(nm_blocks(r->op->dp.cols, UNIT), r->down) * UNIT, NM_BF16_PANEL);
    const uint32_t I = round_up(nm_blocks(nm_blocks(r->op->x.cols, UNIT), r->across) * UNIT, NM_BF16_PANEL);
    const uint32_t widest = I > COLUMNS ? I : COLUMNS;
    size_t at = 0;
#define CUT(field, bytes) (w->field = scratch ? (void *)(scratch + at) : NULL, at += whole_lines(bytes))
    CUT(left, (size_t)COLUMNS * CHUNK * sizeof(uint16_t));
    CUT(right, (size_t)I * CHUNK * sizeof(uint16_t));
    CUT(copy, (size_t)widest * CHUNK * sizeof(uint16_t));
    CUT(bias, (size_t)O * sizeof(double));
    if (r->ragged) CUT(sums, (size_t)O * I * sizeof(float));
#undef CUT
    return at;
}

/// A part of a matrix in bf16: itself, or what is made of it in `copy`.
static nm_tensor part_of(const outer_run *r, nm_tensor t, uint32_t row, uint32_t rows, uint32_t col, uint32_t cols,
                         uint16_t *copy) {
    const nm_tensor part = nm_tensor_cols(nm_tensor_rows(t, row, rows), col, cols);
    if (t.dtype == NM_BF16) return part;
    const nm_tensor narrow = {copy, rows, cols, cols, NM_BF16};
    r->cpu->kernels->convert(part, narrow);
    return narrow;
}

static void outer_chunk(const outer_run *r, const outer_work *w, uint32_t n, uint32_t rows) {
    const nm_linear_grad *op = r->op;
    const nm_bf16_products *products = r->cpu->gemm->outers;
    const uint32_t I = w->i.end - w->i.first, depth = round_up(rows, NM_BF16_DEPTH);
    const uint32_t panels = nm_blocks(I, NM_BF16_PANEL);
    const nm_tensor x = part_of(r, op->x, n, rows, w->i.first, I, w->copy);
    products->pack_right(x.data, x.stride, rows, I, depth, w->right);
    for (uint32_t o = w->o.first; o < w->o.end; o += COLUMNS) {
        const uint32_t count = w->o.end - o < COLUMNS ? w->o.end - o : COLUMNS;
        const nm_tensor dp = part_of(r, op->dp, n, rows, o, count, w->copy);
        products->pack_left(dp.data, dp.stride, rows, count, depth, w->left);
        if (op->dbias.data && w->i.first == 0) products->sum_left(w->left, count, depth, w->bias + (o - w->o.first));
        const size_t stride = r->ragged ? (size_t)panels * NM_BF16_PANEL : op->dweight.stride;
        float *to =
            r->ragged ? w->sums + (o - w->o.first) * stride : (float *)op->dweight.data + o * stride + w->i.first;
        products->product(w->left, depth, round_up(count, NM_BF16_ROWS), w->right, panels, depth, to, stride, 1);
    }
}

static void finish(const outer_run *r, const outer_work *w) {
    const nm_linear_grad *op = r->op;
    const uint32_t I = w->i.end - w->i.first;
    for (uint32_t o = w->o.first; o < w->o.end; o++) {
        const float *from = w->sums + (size_t)(o - w->o.first) * round_up(I, NM_BF16_PANEL);
        float *to = (float *)op->dweight.data + o * op->dweight.stride + w->i.first;
        for (uint32_t i = 0; r->ragged && i < I; i++) to[i] += from[i];
        if (op->dbias.data && w->i.first == 0) ((float *)op->dbias.data)[o] += (float)w->bias[o - w->o.first];
    }
}

static void run_rectangle(void *context, uint32_t worker, uint32_t workers) {
    const outer_run *r = context;
    const nm_linear_grad *op = r->op;
    const nm_bf16_products *products = r->cpu->gemm->outers;
    (void)workers;
    outer_work w = {0};
    cut_scratch(r, nm_cpu_scratch(r->cpu, worker), &w);
    w.o = share_of(op->dp.cols, worker / r->across, r->down);
    w.i = share_of(op->x.cols, worker % r->across, r->across);
    const uint32_t O = w.o.end - w.o.first, I = w.i.end - w.i.first, N = op->dp.rows;
    memset(w.bias, 0, O * sizeof *w.bias);
    if (r->ragged) memset(w.sums, 0, (size_t)round_up(O, NM_BF16_ROWS) * round_up(I, NM_BF16_PANEL) * sizeof(float));
    if (products->begin) products->begin();
    for (uint32_t n = 0; n < N; n += CHUNK) outer_chunk(r, &w, n, N - n < CHUNK ? N - n : CHUNK);
    if (products->end) products->end();
    finish(r, &w);
}

void nm_cpu_outer_bf16(nm_cpu *cpu, const nm_linear_grad *op) {
    outer_run r = {.cpu = cpu, .op = op};
    r.ragged = op->dp.cols % NM_BF16_ROWS != 0 || op->x.cols % NM_BF16_PANEL != 0;
    const uint64_t work = (uint64_t)op->dp.rows * op->dp.cols * op->x.cols;
    cut(&r, work < 1u << 20 ? 1 : cpu->threads);
    outer_work unused = {0};
    if (!nm_cpu_need_scratch(cpu, cut_scratch(&r, NULL, &unused))) return;
    nm_team_run(cpu->team, r.down * r.across, run_rectangle, &r);
}
