/// Gradients of weights in bf16: dw += dp^T x, in chunks of rows whose packed forms stay in the second-level cache.
///
/// Each worker owns a rectangle of dw and goes over all rows. Sums over rows have one order, and what is between two
/// chunks goes through dw, exactly, so neither the rectangles nor the chunks change a bit.
///
/// Where the product is one of float32, x is cut into three numbers in bf16 whose sum it is, exactly: 24 bits of
/// significand are three times 8. They are taken as columns side by side, and their sums are added in the end. dp has
/// been rounded to bf16 before, so nothing more is lost than in sums of float32.
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
    uint32_t parts;        ///< that x is cut into: 1, or 3
    int beside;            ///< products do not fit dw: they are summed beside it
} outer_run;

/// Where a worker works.
typedef struct outer_work {
    nm_range o, i;
    uint32_t O, width; ///< columns of dp, and of x as it is packed: parts times those of i
    float *sums;       ///< [O][width], both filled up to 16; beside
    double *bias;      ///< [O]
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
        const double o = (double)O / down, i = (double)r->parts * I / across, cost = o * i + 100.0 * (o + i);
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
    const uint32_t O = nm_blocks(nm_blocks(r->op->dp.cols, UNIT), r->down) * UNIT;
    const uint32_t width = r->parts * nm_blocks(nm_blocks(r->op->x.cols, UNIT), r->across) * UNIT;
    const uint32_t widest = width > COLUMNS ? width : COLUMNS;
    size_t at = 0;
#define CUT(field, bytes) (w->field = scratch ? (void *)(scratch + at) : NULL, at += whole_lines(bytes))
    CUT(left, (size_t)COLUMNS * CHUNK * sizeof(uint16_t));
    CUT(right, (size_t)width * CHUNK * sizeof(uint16_t));
    CUT(copy, (size_t)widest * CHUNK * sizeof(uint16_t));
    CUT(bias, (size_t)O * sizeof(double));
    if (r->beside) CUT(sums, (size_t)O * width * sizeof(float));
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

/// Three numbers in bf16 for each in float32, all the first ones of a row before the second ones. Bits are cut off, not
/// rounded: the largest numbers stay finite, and what is left over is exact.
static nm_tensor three_of(nm_tensor x, uint16_t *copy) {
    const uint32_t cols = x.cols;
    for (uint32_t n = 0; n < x.rows; n++) {
        const float *row = (const float *)x.data + (size_t)n * x.stride;
        uint16_t *to = copy + (size_t)n * 3 * cols;
        for (uint32_t c = 0; c < cols; c++) {
            float rest = row[c], part;
            for (uint32_t p = 0; p < 3; p++, rest -= part) {
                uint32_t bits;
                memcpy(&bits, &rest, sizeof bits);
                bits &= 0xffff0000u;
                memcpy(&part, &bits, sizeof part);
                to[p * cols + c] = (uint16_t)(bits >> 16);
            }
        }
    }
    return (nm_tensor){copy, x.rows, 3 * cols, 3 * cols, NM_BF16};
}
static nm_tensor x_of(const outer_run *r, const outer_work *w, uint32_t n, uint32_t rows) {
    const uint32_t I = w->i.end - w->i.first;
    if (r->parts == 1) return part_of(r, r->op->x, n, rows, w->i.first, I, w->copy);
    return three_of(nm_tensor_cols(nm_tensor_rows(r->op->x, n, rows), w->i.first, I), w->copy);
}

static void outer_chunk(const outer_run *r, const outer_work *w, uint32_t n, uint32_t rows) {
    const nm_linear_grad *op = r->op;
    const nm_bf16_products *products = r->cpu->gemm->outers;
    const uint32_t depth = round_up(rows, NM_BF16_DEPTH), panels = nm_blocks(w->width, NM_BF16_PANEL);
    const size_t stride = r->beside ? (size_t)panels * NM_BF16_PANEL : op->dweight.stride;
    float *sums = r->beside ? w->sums : (float *)op->dweight.data + w->o.first * stride + w->i.first;
    const nm_tensor x = x_of(r, w, n, rows);
    products->pack_right(x.data, x.stride, rows, w->width, depth, w->right);
    for (uint32_t o = w->o.first; o < w->o.end; o += COLUMNS) {
        const uint32_t count = w->o.end - o < COLUMNS ? w->o.end - o : COLUMNS;
        const nm_tensor dp = part_of(r, op->dp, n, rows, o, count, w->copy);
        products->pack_left(dp.data, dp.stride, rows, count, depth, w->left);
        if (op->dbias.data && w->i.first == 0) products->sum_left(w->left, count, depth, w->bias + (o - w->o.first));
        products->product(w->left, depth, round_up(count, NM_BF16_ROWS), w->right, panels, depth,
                          sums + (o - w->o.first) * stride, stride, 1);
    }
}

/// What was summed beside dw to where it belongs; of three parts of a number, the smaller ones first.
static void add_sums(const outer_run *r, const outer_work *w) {
    const nm_tensor *dw = &r->op->dweight;
    const uint32_t I = w->i.end - w->i.first;
    for (uint32_t o = 0; o < w->O; o++) {
        const float *from = w->sums + (size_t)o * round_up(w->width, NM_BF16_PANEL);
        float *to = (float *)dw->data + (w->o.first + o) * dw->stride + w->i.first;
        for (uint32_t i = 0; i < I; i++) to[i] += r->parts == 1 ? from[i] : from[i] + (from[I + i] + from[2 * I + i]);
    }
}

static void run_rectangle(void *context, uint32_t worker, uint32_t workers) {
    const outer_run *r = context;
    const nm_linear_grad *op = r->op;
    const nm_bf16_products *products = r->cpu->gemm->outers;
    const uint32_t N = op->dp.rows;
    (void)workers;
    outer_work w = {0};
    cut_scratch(r, nm_cpu_scratch(r->cpu, worker), &w);
    w.o = share_of(op->dp.cols, worker / r->across, r->down);
    w.i = share_of(op->x.cols, worker % r->across, r->across);
    w.O = w.o.end - w.o.first;
    w.width = r->parts * (w.i.end - w.i.first);
    memset(w.bias, 0, w.O * sizeof *w.bias);
    if (r->beside)
        memset(w.sums, 0, (size_t)round_up(w.O, NM_BF16_ROWS) * round_up(w.width, NM_BF16_PANEL) * sizeof(float));
    if (products->begin) products->begin();
    for (uint32_t n = 0; n < N; n += CHUNK) outer_chunk(r, &w, n, N - n < CHUNK ? N - n : CHUNK);
    if (products->end) products->end();
    if (r->beside) add_sums(r, &w);
    if (!op->dbias.data || w.i.first != 0) return;
    for (uint32_t o = w.o.first; o < w.o.end; o++) ((float *)op->dbias.data)[o] += (float)w.bias[o - w.o.first];
}

void nm_cpu_outer_bf16(nm_cpu *cpu, const nm_linear_grad *op) {
    const nm_cpu_weight *weight = op->weight.packed;
    const uint32_t O = op->dp.cols, I = op->x.cols;
    outer_run r = {.cpu = cpu, .op = op, .parts = weight->type == NM_F32 && op->x.dtype == NM_F32 ? 3 : 1};
    r.beside = r.parts > 1 || O % NM_BF16_ROWS != 0 || I % NM_BF16_PANEL != 0;
    const uint64_t work = (uint64_t)op->dp.rows * O * I;
    cut(&r, work < 1u << 20 ? 1 : cpu->threads);
    outer_work unused = {0};
    if (!nm_cpu_need_scratch(cpu, cut_scratch(&r, NULL, &unused))) return;
    nm_team_run(cpu->team, r.down * r.across, run_rectangle, &r);
}
