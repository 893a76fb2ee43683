/// Attention: who takes which groups, heads and queries. The arithmetic is in kernels_attention.inc.
#include "nexus/ops/cpu/internal.h"

#include <string.h>

/// One operation, cut into parts in a fixed order. A forward part is one head of one group, or, where few groups hold
/// many queries, of a tile of its queries; with poses it is all heads of a tile, which share the features. Queries do
/// not depend on each other, so how finely they are cut changes no bit.
typedef struct run {
    nm_cpu *cpu;
    const nm_attention *op;
    const nm_attention_grad *grad;
    uint32_t heads_per_part, queries_per_part;
    double *dpose;  ///< [groups][heads][NM_POSE_FEATURES]
    float *dk, *dv; ///< float accumulators for shared keys, or NULL
    uint64_t cost;  ///< of all groups
} run;

static uint32_t queries_of(const nm_groups *g, uint32_t group) {
    return g->query_offsets[group + 1] - g->query_offsets[group];
}
static uint32_t keys_of(const nm_groups *g, uint32_t group) {
    return g->key_offsets[group + 1] - g->key_offsets[group];
}
/// Roughly, in products of one head: a row has to be fetched and put away, too.
static uint64_t cost_of(uint32_t queries, uint32_t keys) {
    return (uint64_t)queries * (keys + 16) + (uint64_t)keys * 8;
}
static uint64_t cost_of_all(const nm_groups *g) {
    uint64_t cost = 0;
    for (uint32_t i = 0; i < g->count; i++) cost += cost_of(queries_of(g, i), keys_of(g, i));
    return cost;
}
static void check(const nm_attention *op) {
    NM_ASSERT(op->heads && op->q.cols % op->heads == 0 && op->k.cols == op->q.cols);
    NM_ASSERT(nm_tensor_same_shape(op->k, op->v) && nm_tensor_same_shape(op->q, op->out));
    NM_ASSERT(!op->logsumexp.data || (op->logsumexp.rows == op->q.rows && op->logsumexp.cols == op->heads));
    NM_ASSERT(!op->pose_weight.data || (op->query_pose.data && op->key_pose.data && op->pose_weight.rows == op->heads &&
                                        op->pose_weight.cols == NM_POSE_FEATURES));
}

/// Asks for what a head reads of some rows: they are far apart, nothing that the processor foresees.
static void fetch_rows(nm_tensor t, const uint32_t *list, uint32_t count, uint32_t heads, uint32_t head) {
    const size_t size = nm_dtype_size(t.dtype), bytes = t.cols / heads * size;
    for (uint32_t i = 0; i < count; i++) {
        const char *row = (const char *)t.data + (list[i] * t.stride) * size + head * bytes;
        for (size_t b = 0; b < bytes; b += 64) __builtin_prefetch(row + b);
    }
}
/// What a part of small groups reads; large ones take long enough without.
static void fetch_part(const run *r, uint32_t group, uint32_t head) {
    const nm_attention *op = r->op;
    const nm_groups *g = op->groups;
    const uint32_t queries = queries_of(g, group), keys = keys_of(g, group);
    if (queries > 2 * NM_CPU_QUERIES || keys > 2 * NM_CPU_QUERIES) return;
    const uint32_t *query_rows = g->query_rows + g->query_offsets[group];
    const uint32_t *key_rows = g->key_rows + g->key_offsets[group];
    fetch_rows(op->q, query_rows, queries, op->heads, head);
    fetch_rows(op->k, key_rows, keys, op->heads, head);
    fetch_rows(op->v, key_rows, keys, op->heads, head);
    if (!r->grad) return;
    fetch_rows(op->out, query_rows, queries, op->heads, head);
    fetch_rows(r->grad->dout, query_rows, queries, op->heads, head);
}
/// The part that comes after this one, in the order of groups and their heads.
static void fetch_next_part(const run *r, uint32_t group, uint32_t head) {
    if (head + 1 < r->op->heads)
        fetch_part(r, group, head + 1);
    else if (group + 1 < r->op->groups->count)
        fetch_part(r, group + 1, 0);
}

static void begin_products(const run *r) {
    if (r->cpu->products && r->cpu->products->begin) r->cpu->products->begin();
}
static void end_products(const run *r) {
    if (r->cpu->products && r->cpu->products->end) r->cpu->products->end();
}

/// Worker w takes the parts that begin in its share of the cost, counted part by part.
static void forward_parts(void *context, uint32_t worker, uint32_t workers) {
    const run *r = context;
    const nm_groups *g = r->op->groups;
    const uint64_t total = r->cost * r->op->heads;
    const uint64_t begin = total * worker / workers, end = total * (worker + 1) / workers;
    uint64_t at = 0;
    const nm_bf16_products *products = r->cpu->products;
    begin_products(r);
    for (uint32_t i = 0; i < g->count && at < end; i++) {
        const uint32_t queries = queries_of(g, i), keys = keys_of(g, i);
        const uint64_t all = cost_of(queries, keys) * r->op->heads;
        if (at + all <= begin) {
            at += all;
            continue;
        }
        const uint64_t group_at = at;
        for (uint32_t h = 0; h < r->op->heads; h += r->heads_per_part) {
            for (uint32_t q = 0; q < queries; q += r->queries_per_part) {
                const uint32_t count = queries - q < r->queries_per_part ? queries - q : r->queries_per_part;
                const nm_cpu_attention_part part = {i, q, count, h, r->heads_per_part};
                // position within the group by the share of its rows and heads that came before
                const uint64_t here = group_at + all * ((uint64_t)h * queries + (uint64_t)q * r->heads_per_part) /
                                                     ((uint64_t)queries * r->op->heads);
                if (here < begin || here >= end) continue;
                if (r->heads_per_part == 1) fetch_next_part(r, i, h);
                r->cpu->kernels->attention(r->op, part, products, nm_cpu_scratch(r->cpu, worker));
            }
        }
        at = group_at + all;
    }
    end_products(r);
}

void nm_cpu_attention(nm_backend *backend, const nm_attention *op) {
    nm_cpu *cpu = nm_cpu_of(backend);
    check(op);
    const nm_groups *g = op->groups;
    run r = {.cpu = cpu, .op = op, .cost = cost_of_all(g)};
    if (!nm_cpu_need_scratch(cpu, cpu->kernels->attention_scratch(op, cpu->products) * sizeof(float))) return;
    const int posed = op->pose_weight.data != NULL;
    const int few = (uint64_t)g->count * op->heads < 4 * (uint64_t)cpu->threads;
    r.heads_per_part = posed ? op->heads : 1;
    r.queries_per_part = posed || few ? NM_CPU_QUERIES : UINT32_MAX;
    if (r.cost == 0) return;
    const uint64_t work = r.cost * op->q.cols;
    nm_team_run(cpu->team, work < 65536 ? 1 : cpu->threads, forward_parts, &r);
}

// Backward
// ---------------------------------------------------------------------------------------------------------------------

static void backward_part(const run *r, uint32_t group, uint32_t head, uint32_t worker) {
    const nm_attention *op = r->op;
    const nm_cpu_attention_part part = {group, 0, queries_of(op->groups, group), head, 1};
    const nm_cpu_attention_sums sums = {
        .dpose = r->dpose ? r->dpose + ((size_t)group * op->heads + head) * NM_POSE_FEATURES : NULL,
        .dk = r->dk,
        .dv = r->dv};
    r->cpu->kernels->attention_grad(r->grad, part, sums, r->cpu->products, nm_cpu_scratch(r->cpu, worker));
}

/// Keys of one group each: groups and heads are independent.
static void backward_groups(void *context, uint32_t worker, uint32_t workers) {
    const run *r = context;
    const nm_groups *g = r->op->groups;
    const uint64_t begin = r->cost * worker / workers, end = r->cost * (worker + 1) / workers;
    uint64_t at = 0;
    begin_products(r);
    for (uint32_t i = 0; i < g->count && at < end; i++) {
        const uint64_t cost = cost_of(queries_of(g, i), keys_of(g, i));
        for (uint32_t h = 0; h < r->op->heads; h++) {
            const uint64_t here = at + cost * h / r->op->heads;
            if (here < begin || here >= end) continue;
            fetch_next_part(r, i, h);
            backward_part(r, i, h, worker);
        }
        at += cost;
    }
    end_products(r);
}

/// Shared keys: a worker takes whole heads, whose columns are its own, and goes through the groups in order.
static void backward_heads(void *context, uint32_t worker, uint32_t workers) {
    const run *r = context;
    const nm_range share = nm_share(r->op->heads, worker, workers);
    begin_products(r);
    for (uint32_t h = share.first; h < share.end; h++) {
        for (uint32_t i = 0; i < r->op->groups->count; i++) backward_part(r, i, h, worker);
    }
    end_products(r);
}

static void add_pose_grads(const run *r) {
    const nm_tensor *to = &r->grad->dpose_weight;
    for (uint32_t h = 0; h < to->rows; h++) {
        for (uint32_t k = 0; k < NM_POSE_FEATURES; k++) {
            double sum = 0.0;
            for (size_t i = 0; i < r->op->groups->count; i++) {
                sum += r->dpose[(i * r->op->heads + h) * NM_POSE_FEATURES + k];
            }
            ((float *)to->data)[(size_t)h * to->stride + k] += (float)sum;
        }
    }
}

/// What no part writes gets zeros: queries of a group without keys, keys of one without queries or of none.
static void zero_the_rest(nm_backend *backend, const nm_attention_grad *grad) {
    const nm_groups *g = grad->forward.groups;
    int idle = 0;
    for (uint32_t i = 0; i < g->count; i++) idle |= !queries_of(g, i) != !keys_of(g, i);
    if (idle) backend->ops->zero(backend, grad->dq);
    if (g->shared_keys || (!idle && g->key_offsets[g->count] == grad->dk.rows)) return;
    backend->ops->zero(backend, grad->dk);
    backend->ops->zero(backend, grad->dv);
}

void nm_cpu_attention_backward(nm_backend *backend, const nm_attention_grad *grad) {
    nm_cpu *cpu = nm_cpu_of(backend);
    const nm_attention *op = &grad->forward;
    const nm_ops *ops = backend->ops;
    check(op);
    NM_ASSERT(op->logsumexp.data && nm_tensor_same_shape(grad->dout, op->q) && nm_tensor_same_shape(grad->dq, op->q) &&
              nm_tensor_same_shape(grad->dk, op->k) && nm_tensor_same_shape(grad->dv, op->k));
    zero_the_rest(backend, grad);
    run r = {.cpu = cpu, .op = op, .grad = grad, .cost = cost_of_all(op->groups)};
    if (r.cost == 0) return;
    const int posed = op->pose_weight.data && grad->dpose_weight.data, shared = op->groups->shared_keys;
    const size_t poses = posed ? (size_t)op->groups->count * op->heads * NM_POSE_FEATURES : 0;
    const size_t keys = shared ? (size_t)op->k.rows * op->k.cols : 0;
    if (!nm_cpu_need_scratch(cpu, cpu->kernels->attention_grad_scratch(grad, cpu->products) * sizeof(float))) return;
    if (!nm_cpu_need_shared(cpu, poses * sizeof(double) + 2 * keys * sizeof(float))) return;
    if (posed) r.dpose = (double *)(void *)cpu->shared;
    if (shared) {
        r.dk = (float *)(void *)(cpu->shared + poses * sizeof(double));
        r.dv = r.dk + keys;
        memset(r.dk, 0, 2 * keys * sizeof(float));
    }
    nm_team_run(cpu->team, cpu->threads, shared ? backward_heads : backward_groups, &r);
    if (posed) add_pose_grads(&r);
    if (shared) {
        const nm_tensor dk = {r.dk, op->k.rows, op->k.cols, op->k.cols, NM_F32};
        const nm_tensor dv = {r.dv, op->k.rows, op->k.cols, op->k.cols, NM_F32};
        ops->convert(backend, dk, grad->dk);
        ops->convert(backend, dv, grad->dv);
    }
}
