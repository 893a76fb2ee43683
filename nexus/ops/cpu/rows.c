/// Operations on rows, one by one: shared out in blocks, or, where rows are summed, by what is written.
#include "nexus/ops/cpu/internal.h"

#include <math.h>
#include <string.h>

// Norms and activations
// ---------------------------------------------------------------------------------------------------------------------

static void norm_rows(nm_cpu *cpu, const void *context, uint32_t first, uint32_t count, uint32_t worker) {
    nm_layer_norm op = *(const nm_layer_norm *)context;
    (void)worker;
    op.x = nm_cut(op.x, first, count);
    op.scale = nm_cut(op.scale, first, count);
    op.shift = nm_cut(op.shift, first, count);
    op.y = nm_cut(op.y, first, count);
    op.statistics = nm_cut(op.statistics, first, count);
    cpu->kernels->layer_norm(&op);
}
void nm_cpu_layer_norm(nm_backend *backend, const nm_layer_norm *op) {
    NM_ASSERT(nm_tensor_same_shape(op->x, op->y) && op->x.dtype == NM_F32);
    NM_ASSERT(!op->weight.data == !op->bias.data && !op->scale.data == !op->shift.data);
    NM_ASSERT(!op->weight.data == !!op->scale.data);
    NM_ASSERT(!op->scale.data || (nm_tensor_same_shape(op->x, op->scale) && nm_tensor_same_shape(op->x, op->shift)));
    NM_ASSERT(!op->weight.data || (op->weight.cols == op->x.cols && op->bias.cols == op->x.cols));
    nm_cpu_for_rows(nm_cpu_of(backend), op->x.rows, op->x.cols, norm_rows, op);
}

/// Rows whose contributions to the gradients of weight and bias are summed together before the sums are.
#define NORM_BLOCK 64

static nm_layer_norm_grad cut_norm_grad(const nm_layer_norm_grad *whole, uint32_t first, uint32_t count) {
    nm_layer_norm_grad op = *whole;
    op.x = nm_cut(op.x, first, count);
    op.scale = nm_cut(op.scale, first, count);
    op.statistics = nm_cut(op.statistics, first, count);
    op.dy = nm_cut(op.dy, first, count);
    op.dx = nm_cut(op.dx, first, count);
    op.dscale = nm_cut(op.dscale, first, count);
    op.dshift = nm_cut(op.dshift, first, count);
    return op;
}
static void norm_grad_rows(nm_cpu *cpu, const void *context, uint32_t first, uint32_t count, uint32_t worker) {
    (void)worker;
    const nm_layer_norm_grad op = cut_norm_grad(context, first, count);
    cpu->kernels->layer_norm_grad(&op, NULL);
}
typedef struct norm_run {
    nm_cpu *cpu;
    const nm_layer_norm_grad *op;
} norm_run;
static void norm_grad_blocks(void *context, uint32_t worker, uint32_t workers) {
    const norm_run *run = context;
    const uint32_t N = run->op->x.rows, C = run->op->x.cols;
    const nm_range share = nm_share(nm_blocks(N, NORM_BLOCK), worker, workers);
    for (uint32_t b = share.first; b < share.end; b++) {
        const uint32_t first = b * NORM_BLOCK, count = N - first < NORM_BLOCK ? N - first : NORM_BLOCK;
        const nm_layer_norm_grad op = cut_norm_grad(run->op, first, count);
        run->cpu->kernels->layer_norm_grad(&op, (float *)run->cpu->shared + (size_t)b * 2 * C);
    }
}
void nm_cpu_layer_norm_backward(nm_backend *backend, const nm_layer_norm_grad *op) {
    nm_cpu *cpu = nm_cpu_of(backend);
    const uint32_t N = op->x.rows, C = op->x.cols;
    NM_ASSERT(op->statistics.data && nm_tensor_same_shape(op->x, op->dy) && !op->weight.data == !!op->scale.data);
    NM_ASSERT(!op->dx.data || nm_tensor_same_shape(op->x, op->dx));
    if (!op->weight.data) {
        nm_cpu_for_rows(cpu, N, C, norm_grad_rows, op);
        return;
    }
    const uint32_t blocks = nm_blocks(N, NORM_BLOCK);
    if (!blocks || !nm_cpu_need_shared(cpu, (size_t)blocks * 2 * C * sizeof(float))) return;
    norm_run run = {cpu, op};
    nm_team_run(cpu->team, blocks, norm_grad_blocks, &run);
    const nm_tensor sums = {cpu->shared, blocks, 2 * C, 2 * C, NM_F32};
    if (op->dweight.data) {
        cpu->kernels->sum_rows(nm_tensor_cols(sums, 0, C), NULL, 0, 1, blocks, 1, op->dweight);
    }
    if (op->dbias.data) cpu->kernels->sum_rows(nm_tensor_cols(sums, C, C), NULL, 0, 1, blocks, 1, op->dbias);
}

typedef struct three {
    nm_tensor a, b, c;
} three;
static void silu_rows(nm_cpu *cpu, const void *context, uint32_t first, uint32_t count, uint32_t worker) {
    const three *t = context;
    (void)worker;
    cpu->kernels->silu(nm_cut(t->a, first, count), nm_cut(t->b, first, count));
}
void nm_cpu_silu(nm_backend *backend, nm_tensor x, nm_tensor y) {
    NM_ASSERT(nm_tensor_same_shape(x, y));
    const three t = {x, y, nm_tensor_none()};
    nm_cpu_for_rows(nm_cpu_of(backend), x.rows, x.cols, silu_rows, &t);
}
static void silu_grad_rows(nm_cpu *cpu, const void *context, uint32_t first, uint32_t count, uint32_t worker) {
    const three *t = context;
    (void)worker;
    cpu->kernels->silu_grad(nm_cut(t->a, first, count), nm_cut(t->b, first, count), nm_cut(t->c, first, count));
}
void nm_cpu_silu_backward(nm_backend *backend, nm_tensor x, nm_tensor dy, nm_tensor dx) {
    NM_ASSERT(nm_tensor_same_shape(x, dy) && nm_tensor_same_shape(x, dx));
    const three t = {x, dy, dx};
    nm_cpu_for_rows(nm_cpu_of(backend), x.rows, x.cols, silu_grad_rows, &t);
}

// Inputs
// ---------------------------------------------------------------------------------------------------------------------

/// 10000^(-i / count), in shared memory; NULL when there is none.
static const float *frequencies(nm_cpu *cpu, uint32_t count) {
    if (!nm_cpu_need_shared(cpu, count * sizeof(float))) return NULL;
    float *f = (float *)(void *)cpu->shared;
    for (uint32_t i = 0; i < count; i++) f[i] = (float)exp(-log(10000.0) * i / count);
    return f;
}

typedef struct turn {
    nm_tensor x, time;
    uint32_t heads;
    float sign;
    const float *frequency;
} turn;
static void rotary_rows(nm_cpu *cpu, const void *context, uint32_t first, uint32_t count, uint32_t worker) {
    const turn *t = context;
    cpu->kernels->rotary(nm_cut(t->x, first, count), nm_cut(t->time, first, count), t->heads, t->sign, t->frequency,
                         nm_cpu_scratch(cpu, worker));
}
void nm_cpu_rotary(nm_backend *backend, nm_tensor x, nm_tensor time, uint32_t heads, int direction) {
    nm_cpu *cpu = nm_cpu_of(backend);
    NM_ASSERT(heads && x.cols % (2 * heads) == 0 && time.rows == x.rows && time.dtype == NM_F32);
    const uint32_t width = x.cols / heads;
    if (!nm_cpu_need_scratch(cpu, 3 * (size_t)width * sizeof(float))) return;
    const turn t = {x, time, heads, direction < 0 ? -1.0f : 1.0f, frequencies(cpu, width / 2)};
    if (t.frequency) nm_cpu_for_rows(cpu, x.rows, x.cols, rotary_rows, &t);
}

static void turn_rows(nm_cpu *cpu, const void *context, uint32_t first, uint32_t count, uint32_t worker) {
    nm_pair_turn op = *(const nm_pair_turn *)context;
    op.x = nm_cut(op.x, first, count);
    op.turns = nm_cut(op.turns, first, count);
    op.y = nm_cut(op.y, first, count);
    cpu->kernels->turn(&op, nm_cpu_scratch(cpu, worker));
}
void nm_cpu_turn(nm_backend *backend, const nm_pair_turn *op) {
    nm_cpu *cpu = nm_cpu_of(backend);
    const uint32_t width = op->turns.cols;
    NM_ASSERT(op->direction == 1 || op->direction == -1);
    NM_ASSERT(width && width % 2 == 0 && op->x.cols % width == 0 && nm_tensor_same_shape(op->x, op->y));
    NM_ASSERT(op->turns.rows == op->x.rows && op->turns.dtype == NM_F32);
    if (!nm_cpu_need_scratch(cpu, 2 * (size_t)width * sizeof(float))) return;
    nm_cpu_for_rows(cpu, op->x.rows, op->x.cols, turn_rows, op);
}

static void sinusoid_rows(nm_cpu *cpu, const void *context, uint32_t first, uint32_t count, uint32_t worker) {
    const turn *t = context;
    (void)worker;
    cpu->kernels->sinusoid(nm_cut(t->time, first, count), nm_cut(t->x, first, count), t->frequency);
}
void nm_cpu_sinusoid(nm_backend *backend, nm_tensor value, nm_tensor out) {
    nm_cpu *cpu = nm_cpu_of(backend);
    NM_ASSERT(out.cols % 2 == 0 && value.rows == out.rows && value.dtype == NM_F32);
    const turn t = {.x = out, .time = value, .frequency = frequencies(cpu, out.cols / 2)};
    if (t.frequency) nm_cpu_for_rows(cpu, out.rows, out.cols, sinusoid_rows, &t);
}

static void assemble_rows(nm_cpu *cpu, const void *context, uint32_t first, uint32_t count, uint32_t worker) {
    nm_assemble op = *(const nm_assemble *)context;
    (void)worker;
    op.known = nm_cut(op.known, first, count);
    op.mask = nm_cut(op.mask, first, count);
    op.noised = nm_cut(op.noised, first, count);
    op.condition = nm_cut(op.condition, first, count);
    op.out = nm_cut(op.out, first, count);
    cpu->kernels->assemble(&op);
}
void nm_cpu_assemble(nm_backend *backend, const nm_assemble *op) {
    const uint32_t conditions = op->condition.data ? op->condition.cols : 0;
    NM_ASSERT(nm_tensor_same_shape(op->known, op->mask) && nm_tensor_same_shape(op->known, op->noised));
    NM_ASSERT(op->out.rows == op->known.rows && op->out.cols >= 3 * op->known.cols + conditions);
    nm_cpu_for_rows(nm_cpu_of(backend), op->out.rows, op->out.cols, assemble_rows, op);
}

typedef struct lookups {
    const nm_lookup *a, *b;
    nm_tensor x;
} lookups;
static void lookup_rows(nm_cpu *cpu, const void *context, uint32_t first, uint32_t count, uint32_t worker) {
    const lookups *l = context;
    (void)worker;
    cpu->kernels->lookup(l->a, l->b, l->x, first, count);
}
void nm_cpu_lookup(nm_backend *backend, const nm_lookup *a, const nm_lookup *b, nm_tensor x) {
    NM_ASSERT(a->table.cols == x.cols && b->table.cols == x.cols && x.dtype == NM_F32);
    const lookups l = {a, b, x};
    nm_cpu_for_rows(nm_cpu_of(backend), x.rows, x.cols, lookup_rows, &l);
}

// Sums over rows: every entry of a table is one worker's
// ---------------------------------------------------------------------------------------------------------------------

typedef struct sums_run {
    nm_cpu *cpu;
    const nm_lookup *lookup; ///< NULL: rows e, e + E, ... belong to entry e
    uint32_t times;
    nm_tensor dx, dtable;
} sums_run;
static void sum_entries(void *context, uint32_t worker, uint32_t workers) {
    const sums_run *r = context;
    const nm_range share = nm_share(r->dtable.rows, worker, workers);
    for (uint32_t e = share.first; e < share.end; e++) {
        const nm_tensor out = nm_tensor_rows(r->dtable, e, 1);
        if (r->lookup) {
            const uint32_t first = r->lookup->offsets[e], count = r->lookup->offsets[e + 1] - first;
            // entry without rows: the list may end here
            r->cpu->kernels->sum_rows(r->dx, r->lookup->rows + first, 0, 1, count, 0, out);
        } else {
            r->cpu->kernels->sum_rows(r->dx, NULL, e, r->dtable.rows, r->times, 1, out);
        }
    }
}
void nm_cpu_lookup_backward(nm_backend *backend, const nm_lookup *lookup, nm_tensor dx, nm_tensor dtable) {
    NM_ASSERT(dtable.cols == dx.cols && dtable.rows == lookup->table.rows);
    nm_cpu *cpu = nm_cpu_of(backend);
    sums_run r = {cpu, lookup, 0, dx, dtable};
    if (dtable.rows) nm_team_run(cpu->team, dtable.rows, sum_entries, &r);
}

static void repeat_rows(nm_cpu *cpu, const void *context, uint32_t first, uint32_t count, uint32_t worker) {
    const three *t = context;
    const uint32_t E = t->a.rows;
    (void)worker;
    for (uint32_t n = first; n < first + count;) {
        const uint32_t e = n % E, run = E - e < first + count - n ? E - e : first + count - n;
        cpu->kernels->convert(nm_tensor_rows(t->a, e, run), nm_tensor_rows(t->b, n, run));
        n += run;
    }
}
void nm_cpu_repeat(nm_backend *backend, nm_tensor table, uint32_t times, nm_tensor x) {
    NM_ASSERT(table.cols == x.cols && (uint64_t)table.rows * times == x.rows);
    const three t = {table, x, nm_tensor_none()};
    nm_cpu_for_rows(nm_cpu_of(backend), x.rows, x.cols, repeat_rows, &t);
}
void nm_cpu_repeat_backward(nm_backend *backend, nm_tensor dx, uint32_t times, nm_tensor dtable) {
    NM_ASSERT(dtable.cols == dx.cols && (uint64_t)dtable.rows * times == dx.rows);
    nm_cpu *cpu = nm_cpu_of(backend);
    sums_run r = {cpu, NULL, times, dx, dtable};
    if (dtable.rows) nm_team_run(cpu->team, dtable.rows, sum_entries, &r);
}

// Training
// ---------------------------------------------------------------------------------------------------------------------

/// Rows of a loss, and numbers of an array, that are summed together before the sums are.
#define LOSS_BLOCK 64
#define ARRAY_BLOCK 16384

static double *partial_sums(nm_cpu *cpu, uint32_t count) {
    return nm_cpu_need_shared(cpu, ((size_t)count + 1) * sizeof(double)) ? (double *)(void *)cpu->shared : NULL;
}
static double total_of(const double *partial, uint32_t count) {
    double total = 0.0;
    for (uint32_t i = 0; i < count; i++) total += partial[i];
    return total;
}

typedef struct train_run {
    nm_cpu *cpu;
    const void *op;
    nm_tensor x;
    double *partial;
} train_run;
static void loss_blocks(void *context, uint32_t worker, uint32_t workers) {
    const train_run *r = context;
    const nm_noise_loss *whole = r->op;
    const uint32_t N = whole->v.rows;
    const nm_range share = nm_share(nm_blocks(N, LOSS_BLOCK), worker, workers);
    for (uint32_t b = share.first; b < share.end; b++) {
        const uint32_t first = b * LOSS_BLOCK, count = N - first < LOSS_BLOCK ? N - first : LOSS_BLOCK;
        nm_noise_loss op = *whole;
        op.v = nm_cut(op.v, first, count);
        op.z = nm_cut(op.z, first, count);
        op.e = nm_cut(op.e, first, count);
        op.alpha = nm_cut(op.alpha, first, count);
        op.sigma = nm_cut(op.sigma, first, count);
        op.row_weight = nm_cut(op.row_weight, first, count);
        op.dv = nm_cut(op.dv, first, count);
        r->partial[b] = r->cpu->kernels->noise_loss(&op);
    }
}
void nm_cpu_noise_loss(nm_backend *backend, const nm_noise_loss *op) {
    nm_cpu *cpu = nm_cpu_of(backend);
    const uint32_t blocks = nm_blocks(op->v.rows, LOSS_BLOCK);
    NM_ASSERT(nm_tensor_same_shape(op->v, op->z) && nm_tensor_same_shape(op->v, op->e) && op->loss.dtype == NM_F64);
    NM_ASSERT(!op->dv.data || nm_tensor_same_shape(op->v, op->dv));
    train_run r = {cpu, op, nm_tensor_none(), partial_sums(cpu, blocks)};
    if (!r.partial) return;
    if (blocks) nm_team_run(cpu->team, op->v.rows < 1024 ? 1 : blocks, loss_blocks, &r);
    *(double *)op->loss.data = total_of(r.partial, blocks);
}

static void adamw_blocks(void *context, uint32_t worker, uint32_t workers) {
    const train_run *r = context;
    const nm_adamw *op = r->op;
    const size_t n = op->parameter.cols;
    const nm_range share = nm_share(nm_blocks(n, ARRAY_BLOCK), worker, workers);
    const size_t first = (size_t)share.first * ARRAY_BLOCK, end = (size_t)share.end * ARRAY_BLOCK;
    if (share.first < share.end) r->cpu->kernels->adamw(op, first, (end < n ? end : n) - first);
}
void nm_cpu_adamw(nm_backend *backend, const nm_adamw *op) {
    nm_cpu *cpu = nm_cpu_of(backend);
    NM_ASSERT(op->parameter.rows == 1 && op->step >= 1);
    NM_ASSERT(nm_tensor_same_shape(op->parameter, op->gradient) && nm_tensor_same_shape(op->parameter, op->first) &&
              nm_tensor_same_shape(op->parameter, op->second));
    NM_ASSERT(!op->ema.data || nm_tensor_same_shape(op->parameter, op->ema));
    NM_ASSERT(!op->decay_mask.data || nm_tensor_same_shape(op->parameter, op->decay_mask));
    train_run r = {cpu, op, nm_tensor_none(), NULL};
    if (op->parameter.cols) nm_team_run(cpu->team, nm_blocks(op->parameter.cols, ARRAY_BLOCK), adamw_blocks, &r);
}

/// A block never spans rows, which need not be neighbours in memory.
static void square_blocks(void *context, uint32_t worker, uint32_t workers) {
    const train_run *r = context;
    const uint32_t per_row = nm_blocks(r->x.cols, ARRAY_BLOCK);
    const nm_range share = nm_share(r->x.rows * per_row, worker, workers);
    for (uint32_t b = share.first; b < share.end; b++) {
        const size_t row = b / per_row, first = (size_t)(b % per_row) * ARRAY_BLOCK;
        const size_t count = r->x.cols - first < ARRAY_BLOCK ? r->x.cols - first : ARRAY_BLOCK;
        const float *x = (const float *)r->x.data + row * r->x.stride + first;
        r->partial[b] = r->cpu->kernels->square_sum(x, count);
    }
}
void nm_cpu_square_sum(nm_backend *backend, nm_tensor x, nm_tensor out) {
    nm_cpu *cpu = nm_cpu_of(backend);
    NM_ASSERT(x.dtype == NM_F32 && out.dtype == NM_F64);
    const uint32_t blocks = x.rows * nm_blocks(x.cols, ARRAY_BLOCK);
    train_run r = {cpu, NULL, x, partial_sums(cpu, blocks)};
    if (!r.partial) return;
    if (blocks) nm_team_run(cpu->team, blocks, square_blocks, &r);
    *(double *)out.data = total_of(r.partial, blocks);
}
