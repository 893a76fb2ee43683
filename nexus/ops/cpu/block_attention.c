/// Attention to blocks: who takes which scenes, heads and blocks. The arithmetic is in kernels_block.inc.
#include "nexus/ops/cpu/internal.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/// The columns of a head, filled up to whole vectors.
static size_t padded_depth(const nm_block_attention *op) {
    return (op->q.cols / op->heads + 15u) / 16 * 16;
}
static uint32_t size_of(const nm_block_set *b, uint32_t block) {
    return b->block_offsets[block + 1] - b->block_offsets[block];
}
static uint32_t scene_size(const nm_block_set *b, uint32_t scene) {
    return b->block_offsets[b->scene_blocks[scene + 1]] - b->block_offsets[b->scene_blocks[scene]];
}
static uint32_t scene_blocks(const nm_block_set *b, uint32_t scene) {
    return b->scene_blocks[scene + 1] - b->scene_blocks[scene];
}
static int is_words(nm_tensor t, const nm_block_set *blocks, uint32_t heads) {
    return t.dtype == NM_U32 && t.rows == blocks->tokens && t.cols % heads == 0 &&
           t.cols / heads >= nm_block_words(blocks->max_scene_blocks);
}

// Selection
// ---------------------------------------------------------------------------------------------------------------------

typedef struct select_run {
    nm_cpu *cpu;
    const nm_block_select *op;
    int marking;        ///< else measuring
    uint64_t cost;      ///< of all scenes and heads
    double *similarity; ///< [NM_BLOCK_LEVELS]
    uint32_t *cuts;     ///< [scenes][heads]
} select_run;

static void find_means(void *context, uint32_t worker, uint32_t workers) {
    const select_run *r = context;
    const nm_range share = nm_share(r->op->blocks->blocks, worker, workers);
    for (uint32_t b = share.first; b < share.end; b++) r->cpu->kernels->block_means(r->op, b);
}

/// Worker w takes the blocks of queries that begin in its share of the pairs, counted scene by scene, head by head.
/// Those of one scene and head are one part: what it needs of the scene is prepared once.
static void select_parts(void *context, uint32_t worker, uint32_t workers) {
    const select_run *r = context;
    const nm_block_select *op = r->op;
    const nm_block_set *b = op->blocks;
    const uint64_t begin = r->cost * worker / workers, end = r->cost * (worker + 1) / workers;
    uint64_t at = 0;
    for (uint32_t s = 0; s < b->scenes; s++) {
        for (uint32_t h = 0; h < op->heads; h++) {
            const uint64_t pairs = (uint64_t)scene_size(b, s) * scene_blocks(b, s);
            nm_cpu_block_part part = {s, h, 0, 0};
            for (uint32_t i = b->scene_blocks[s]; at + pairs > begin && at < end && i < b->scene_blocks[s + 1]; i++) {
                const uint64_t here =
                    at + (uint64_t)(b->block_offsets[i] - b->block_offsets[b->scene_blocks[s]]) * scene_blocks(b, s);
                if (here < begin || here >= end) continue;
                if (part.end == 0) part.first = i;
                part.end = i + 1;
            }
            at += pairs;
            float *scratch = nm_cpu_scratch(r->cpu, worker);
            if (part.end == 0) continue;
            if (r->marking)
                r->cpu->kernels->block_mark(op, part, r->cuts[s * op->heads + h], scratch);
            else
                r->cpu->kernels->block_measure(op, part, scratch);
        }
    }
}

/// The lowest cut that keeps enough similarity; `kept` [3] receives what is kept then.
static uint32_t find_cut(const select_run *r, const uint32_t *others, float *kept) {
    const uint32_t *own = others + NM_BLOCK_LEVELS;
    double all = 0, sum = 0;
    uint64_t pairs = 0, chosen = 0;
    for (uint32_t l = 0; l < NM_BLOCK_LEVELS; l++) {
        all += ((double)others[l] + own[l]) * r->similarity[l];
        sum += own[l] * r->similarity[l];
        pairs += (uint64_t)others[l] + own[l];
        chosen += own[l];
    }
    const int every = r->op->tau >= 1.0f; // also the levels that add nothing to a sum
    const double enough = (double)r->op->tau * all;
    uint32_t cut = 0;
    for (; cut < NM_BLOCK_LEVELS && (every || sum < enough); cut++) {
        sum += others[cut] * r->similarity[cut];
        chosen += others[cut];
    }
    kept[0] = all > 0 ? (float)(sum / all) : 0.0f;
    kept[1] = (float)chosen;
    kept[2] = (float)pairs;
    return cut;
}

static void find_cuts(void *context, uint32_t worker, uint32_t workers) {
    const select_run *r = context;
    const nm_block_select *op = r->op;
    const nm_range share = nm_share(op->blocks->scenes * op->heads, worker, workers);
    for (uint32_t i = share.first; i < share.end; i++) {
        const uint32_t *levels = (const uint32_t *)op->histogram.data + (size_t)2 * i * NM_BLOCK_LEVELS;
        r->cuts[i] = find_cut(r, levels, (float *)op->kept.data + (size_t)i * op->kept.stride);
    }
}

static void check_select(const nm_block_select *op) {
    const nm_block_set *b = op->blocks;
    NM_ASSERT(op->heads > 0 && op->q.cols % op->heads == 0 && op->tau >= 0.0f && op->tau <= 1.0f);
    NM_ASSERT(op->q.rows == b->tokens && nm_tensor_same_shape(op->q, op->k));
    NM_ASSERT(op->means.dtype == NM_F32 && op->means.rows == b->blocks && op->means.cols == op->q.cols);
    NM_ASSERT(op->normaliser.dtype == NM_F32 && op->normaliser.rows == b->tokens && op->normaliser.cols == op->heads);
    NM_ASSERT(op->kept.dtype == NM_F32 && op->kept.rows == b->scenes * op->heads && op->kept.cols == 3);
    NM_ASSERT(op->histogram.dtype == NM_U32 && op->histogram.rows == 2 * b->scenes * op->heads &&
              op->histogram.cols == NM_BLOCK_LEVELS && op->histogram.stride == NM_BLOCK_LEVELS);
    NM_ASSERT(is_words(op->selected, b, op->heads));
}

void nm_cpu_block_select(nm_backend *backend, const nm_block_select *op) {
    nm_cpu *cpu = nm_cpu_of(backend);
    check_select(op);
    const nm_block_set *b = op->blocks;
    const size_t cuts = (size_t)b->scenes * op->heads;
    select_run r = {.cpu = cpu, .op = op};
    for (uint32_t s = 0; s < b->scenes; s++) r.cost += (uint64_t)scene_size(b, s) * scene_blocks(b, s) * op->heads;
    NM_ASSERT(r.cost / op->heads <= UINT32_MAX); // what a count of pairs holds
    if (!nm_cpu_need_scratch(cpu, cpu->kernels->block_select_scratch(op) * sizeof(float))) return;
    if (!nm_cpu_need_shared(cpu, NM_BLOCK_LEVELS * sizeof(double) + cuts * sizeof(uint32_t))) return;
    r.similarity = (double *)(void *)cpu->shared;
    r.cuts = (uint32_t *)(void *)(r.similarity + NM_BLOCK_LEVELS);
    for (uint32_t l = 0; l < NM_BLOCK_LEVELS; l++) r.similarity[l] = NM_BLOCK_SIMILARITY(l);
    if (cuts) memset(op->histogram.data, 0, 2 * cuts * NM_BLOCK_LEVELS * sizeof(uint32_t));
    const uint32_t workers = r.cost < 16384 ? 1 : cpu->threads;
    nm_team_run(cpu->team, workers, find_means, &r);
    nm_team_run(cpu->team, workers, select_parts, &r);
    nm_team_run(cpu->team, workers, find_cuts, &r);
    r.marking = 1;
    nm_team_run(cpu->team, workers, select_parts, &r);
}

// Attention
// ---------------------------------------------------------------------------------------------------------------------

/// One head. Blocks of queries go to whoever is free: they do not depend on each other.
typedef struct attention_run {
    nm_cpu *cpu;
    const nm_block_attention *op;
    uint32_t head;
    float *packed; ///< [blocks][block_floats]
    size_t block_floats;
    atomic_uint next;
} attention_run;

static void begin_products(const nm_cpu *cpu) {
    if (cpu->products && cpu->products->begin) cpu->products->begin();
}
static void end_products(const nm_cpu *cpu) {
    if (cpu->products && cpu->products->end) cpu->products->end();
}

static void pack_blocks(void *context, uint32_t worker, uint32_t workers) {
    attention_run *r = context;
    const nm_range share = nm_share(r->op->blocks->blocks, worker, workers);
    for (uint32_t b = share.first; b < share.end; b++)
        r->cpu->kernels->block_pack(r->op, r->head, b, r->cpu->products, r->packed + b * r->block_floats);
}

/// The scene of a block; `scene` is that of an earlier one.
static uint32_t scene_of(const nm_block_set *b, uint32_t block, uint32_t scene) {
    while (block >= b->scene_blocks[scene + 1]) scene++;
    return scene;
}

static void attend_blocks(void *context, uint32_t worker, uint32_t workers) {
    (void)workers;
    attention_run *r = context;
    const nm_block_set *b = r->op->blocks;
    begin_products(r->cpu);
    uint32_t block, scene = 0;
    while ((block = atomic_fetch_add(&r->next, 1)) < b->blocks) {
        scene = scene_of(b, block, scene);
        const nm_cpu_block_part part = {scene, r->head, block, block + 1};
        r->cpu->kernels->block_attention(r->op, part, r->packed, r->block_floats, r->cpu->products,
                                         nm_cpu_scratch(r->cpu, worker));
    }
    end_products(r->cpu);
}

static void check_attention(const nm_block_attention *op) {
    const nm_block_set *b = op->blocks;
    NM_ASSERT(op->heads > 0 && op->q.cols % op->heads == 0 && op->q.rows == b->tokens && b->max_block <= NM_BLOCK_MAX);
    NM_ASSERT(nm_tensor_same_shape(op->q, op->k) && nm_tensor_same_shape(op->q, op->v) &&
              nm_tensor_same_shape(op->q, op->out));
    NM_ASSERT(!op->logsumexp.data ||
              (op->logsumexp.dtype == NM_F32 && op->logsumexp.rows == b->tokens && op->logsumexp.cols == op->heads));
    NM_ASSERT(is_words(op->selected, b, op->heads));
}

void nm_cpu_block_attention(nm_backend *backend, const nm_block_attention *op) {
    nm_cpu *cpu = nm_cpu_of(backend);
    check_attention(op);
    const nm_block_set *b = op->blocks;
    if (b->tokens == 0) return;
    attention_run r = {.cpu = cpu, .op = op};
    r.block_floats = cpu->kernels->block_tile(op, cpu->products) * ((b->max_block + NM_CPU_KEYS - 1) / NM_CPU_KEYS);
    if (!nm_cpu_need_scratch(cpu, cpu->kernels->block_attention_scratch(op) * sizeof(float))) return;
    if (!nm_cpu_need_shared(cpu, r.block_floats * b->blocks * sizeof(float))) return;
    r.packed = (float *)(void *)cpu->shared;
    const uint32_t workers = b->tokens < 256 ? 1 : cpu->threads;
    for (r.head = 0; r.head < op->heads; r.head++) { // one at a time: what is packed stays near
        nm_team_run(cpu->team, workers, pack_blocks, &r);
        atomic_store(&r.next, 0);
        nm_team_run(cpu->team, workers, attend_blocks, &r);
    }
}

// Backward
// ---------------------------------------------------------------------------------------------------------------------

typedef struct grad_run {
    nm_cpu *cpu;
    const nm_block_attention_grad *grad;
    float *sums; ///< [threads][2][size]: dk and dv of the head that a worker is at
    size_t size;
} grad_run;

/// A worker takes whole heads, whose gradients are its own, and goes through the blocks in order.
static void backward_heads(void *context, uint32_t worker, uint32_t workers) {
    const grad_run *r = context;
    const nm_block_attention *op = &r->grad->forward;
    const nm_block_set *b = op->blocks;
    const nm_range share = nm_share(op->heads, worker, workers);
    float *dk = r->sums + 2 * worker * r->size, *dv = dk + r->size;
    begin_products(r->cpu);
    for (uint32_t h = share.first; h < share.end; h++) {
        memset(dk, 0, 2 * r->size * sizeof *dk);
        uint32_t scene = 0;
        for (uint32_t block = 0; block < b->blocks; block++) {
            scene = scene_of(b, block, scene);
            const nm_cpu_block_part part = {scene, h, block, block + 1};
            r->cpu->kernels->block_attention_grad(r->grad, part, dk, dv, r->cpu->products,
                                                  nm_cpu_scratch(r->cpu, worker));
        }
        for (uint32_t block = 0; block < b->blocks; block++)
            r->cpu->kernels->block_attention_grad_keys(r->grad, h, b->block_offsets[block], size_of(b, block), dk, dv);
    }
    end_products(r->cpu);
}

void nm_cpu_block_attention_backward(nm_backend *backend, const nm_block_attention_grad *grad) {
    nm_cpu *cpu = nm_cpu_of(backend);
    const nm_block_attention *op = &grad->forward;
    check_attention(op);
    NM_ASSERT(op->logsumexp.data && nm_tensor_same_shape(grad->dout, op->q) && nm_tensor_same_shape(grad->dq, op->q) &&
              nm_tensor_same_shape(grad->dk, op->q) && nm_tensor_same_shape(grad->dv, op->q));
    if (op->blocks->tokens == 0) return;
    grad_run r = {.cpu = cpu, .grad = grad};
    r.size = ((size_t)op->blocks->tokens + 16) * padded_depth(op); // products in bf16 take 16 rows at a time
    const uint32_t workers = cpu->threads < op->heads ? cpu->threads : op->heads;
    const size_t scratch = cpu->kernels->block_attention_grad_scratch(grad, cpu->products);
    if (!nm_cpu_need_scratch(cpu, scratch * sizeof(float))) return;
    if (!nm_cpu_need_shared(cpu, 2 * workers * r.size * sizeof(float))) return;
    r.sums = (float *)(void *)cpu->shared;
    nm_team_run(cpu->team, workers, backward_heads, &r);
}
