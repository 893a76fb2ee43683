#include "nexus/ops/reference/reference.h"

#include <math.h>

/// One scene and one head of a selection.
typedef struct view {
    const nm_block_select *op;
    uint32_t scene, head, first_block, blocks, first, depth; ///< first: column of the head
    double scale;
    uint32_t *histogram; ///< [2][NM_BLOCK_LEVELS]
} view;

static uint32_t *word_row(nm_tensor t, uint32_t row) {
    return (uint32_t *)t.data + (size_t)row * t.stride;
}

static int is_words(nm_tensor t, const nm_block_set *blocks, uint32_t heads) {
    const uint32_t words = heads * nm_block_words(blocks->max_scene_blocks);
    return blocks->tokens == 0 ||
           (t.data && t.dtype == NM_U32 && t.rows == blocks->tokens && t.cols >= words && t.cols % heads == 0);
}

/// The mean of every block's keys.
static void find_means(const nm_block_select *op) {
    for (uint32_t b = 0; b < op->blocks->blocks; b++) {
        const uint32_t begin = op->blocks->block_offsets[b], end = op->blocks->block_offsets[b + 1];
        double *mean = nm_reference_row(op->means, b);
        for (uint32_t c = 0; c < op->k.cols; c++) {
            double sum = 0;
            for (uint32_t i = begin; i < end; i++) sum += nm_reference_row(op->k, op->blocks->rows[i])[c];
            mean[c] = sum / (end - begin);
        }
    }
}

/// ln n_b + q . mean_b / sqrt(D), of block b of the scene.
static double score(const view *v, uint32_t row, uint32_t b) {
    const uint32_t *offsets = v->op->blocks->block_offsets + v->first_block + b;
    const double *q = nm_reference_row(v->op->q, row), *mean = nm_reference_row(v->op->means, v->first_block + b);
    double sum = 0;
    for (uint32_t c = v->first; c < v->first + v->depth; c++) sum += q[c] * mean[c];
    return sum * v->scale + log(offsets[1] - offsets[0]);
}

static double normaliser_of(const view *v, uint32_t row) {
    double largest = -INFINITY, sum = 0;
    for (uint32_t b = 0; b < v->blocks; b++) largest = fmax(largest, score(v, row, b));
    for (uint32_t b = 0; b < v->blocks; b++) sum += exp(score(v, row, b) - largest);
    return largest + log(sum);
}

static uint32_t level_of(const view *v, uint32_t row, uint32_t b) {
    const double normaliser = nm_reference_row(v->op->normaliser, row)[v->head];
    const double level = floor(-NM_BLOCK_STEPS * (score(v, row, b) - normaliser) / log(2));
    return level < 0 ? 0 : level < NM_BLOCK_LEVELS - 1 ? (uint32_t)level : NM_BLOCK_LEVELS - 1;
}

/// The lowest cut that keeps enough, and what is kept then.
static uint32_t find_cut(const view *v) {
    double all = 0, kept = 0, pairs = 0, kept_pairs = 0;
    for (uint32_t l = 0; l < NM_BLOCK_LEVELS; l++) {
        const double others = v->histogram[l], own = v->histogram[NM_BLOCK_LEVELS + l];
        all += (others + own) * NM_BLOCK_SIMILARITY(l);
        kept += own * NM_BLOCK_SIMILARITY(l);
        pairs += others + own;
        kept_pairs += own;
    }
    const int every = v->op->tau >= 1; // also the levels that add nothing to a sum
    const double enough = v->op->tau * all;
    uint32_t cut = 0;
    for (; cut < NM_BLOCK_LEVELS && (every || kept < enough); cut++) {
        kept += v->histogram[cut] * NM_BLOCK_SIMILARITY(cut);
        kept_pairs += v->histogram[cut];
    }
    double *out = nm_reference_row(v->op->kept, v->scene * v->op->heads + v->head);
    out[0] = all > 0 ? kept / all : 0;
    out[1] = kept_pairs;
    out[2] = pairs;
    return cut;
}

static void select_pairs(const view *v) {
    const nm_block_set *blocks = v->op->blocks;
    const uint32_t words = v->op->selected.cols / v->op->heads;
    for (uint32_t l = 0; l < 2 * NM_BLOCK_LEVELS; l++) v->histogram[l] = 0;
    for (uint32_t own = 0; own < v->blocks; own++) {
        const uint32_t *offsets = blocks->block_offsets + v->first_block + own;
        for (uint32_t i = offsets[0]; i < offsets[1]; i++) {
            const uint32_t row = blocks->rows[i];
            nm_reference_row(v->op->normaliser, row)[v->head] = normaliser_of(v, row);
            for (uint32_t b = 0; b < v->blocks; b++)
                v->histogram[(b == own ? NM_BLOCK_LEVELS : 0) + level_of(v, row, b)]++;
        }
    }
    const uint32_t cut = find_cut(v);
    for (uint32_t own = 0; own < v->blocks; own++) {
        const uint32_t *offsets = blocks->block_offsets + v->first_block + own;
        for (uint32_t i = offsets[0]; i < offsets[1]; i++) {
            uint32_t *bits = word_row(v->op->selected, blocks->rows[i]) + v->head * words;
            for (uint32_t w = 0; w < words; w++) bits[w] = 0;
            for (uint32_t b = 0; b < v->blocks; b++) {
                if (b == own || level_of(v, blocks->rows[i], b) < cut) bits[b / 32] |= 1u << b % 32;
            }
        }
    }
}

void nm_reference_block_select(nm_backend *backend, const nm_block_select *op) {
    (void)backend;
    const nm_block_set *blocks = op->blocks;
    NM_ASSERT(op->heads > 0 && op->q.cols % op->heads == 0 && op->tau >= 0 && op->tau <= 1);
    NM_REFERENCE_EXPECT(op->q, blocks->tokens, op->q.cols);
    NM_REFERENCE_EXPECT(op->k, blocks->tokens, op->q.cols);
    NM_REFERENCE_EXPECT(op->means, blocks->blocks, op->q.cols);
    NM_REFERENCE_EXPECT(op->normaliser, blocks->tokens, op->heads);
    NM_REFERENCE_EXPECT(op->kept, blocks->scenes * op->heads, 3);
    NM_ASSERT(is_words(op->selected, blocks, op->heads));
    NM_ASSERT(op->histogram.dtype == NM_U32 && op->histogram.rows == 2 * blocks->scenes * op->heads &&
              op->histogram.cols == NM_BLOCK_LEVELS && op->histogram.stride == NM_BLOCK_LEVELS);
    find_means(op);
    const uint32_t depth = op->q.cols / op->heads;
    for (uint32_t s = 0; s < blocks->scenes; s++) {
        for (uint32_t h = 0; h < op->heads; h++) {
            const view v = {.op = op,
                            .scene = s,
                            .head = h,
                            .first_block = blocks->scene_blocks[s],
                            .blocks = blocks->scene_blocks[s + 1] - blocks->scene_blocks[s],
                            .first = h * depth,
                            .depth = depth,
                            .scale = 1 / sqrt((double)depth),
                            .histogram = word_row(op->histogram, 2 * (s * op->heads + h))};
            select_pairs(&v);
        }
    }
}

// Attention
// ---------------------------------------------------------------------------------------------------------------------

/// One query and one head, and its scene's blocks.
typedef struct query {
    const nm_block_attention *op;
    uint32_t row, head, first, depth, first_block, blocks;
    const uint32_t *bits;
    double scale;
} query;

typedef void visit(const query *q, const nm_block_attention_grad *grad);

static void for_all_queries(const nm_block_attention *op, const nm_block_attention_grad *grad, visit *visit_one) {
    const nm_block_set *blocks = op->blocks;
    const uint32_t depth = op->q.cols / op->heads, words = op->selected.cols / op->heads;
    for (uint32_t s = 0; s < blocks->scenes; s++) {
        const uint32_t first = blocks->scene_blocks[s], end = blocks->scene_blocks[s + 1];
        for (uint32_t i = blocks->block_offsets[first]; i < blocks->block_offsets[end]; i++) {
            for (uint32_t h = 0; h < op->heads; h++) {
                const uint32_t row = blocks->rows[i];
                const query q = {.op = op,
                                 .row = row,
                                 .head = h,
                                 .first = h * depth,
                                 .depth = depth,
                                 .first_block = first,
                                 .blocks = end - first,
                                 .bits = word_row(op->selected, row) + h * words,
                                 .scale = 1 / sqrt((double)depth)};
                visit_one(&q, grad);
            }
        }
    }
}

static double dot(const query *q, nm_tensor a, uint32_t i, nm_tensor b, uint32_t j) {
    double sum = 0;
    for (uint32_t c = q->first; c < q->first + q->depth; c++)
        sum += nm_reference_row(a, i)[c] * nm_reference_row(b, j)[c];
    return sum;
}

/// The next key of the query from position *at on, or 0 when there is none. Begin with position 0.
static int next_key(const query *q, uint32_t *at, uint32_t *key) {
    const uint32_t *offsets = q->op->blocks->block_offsets + q->first_block;
    const uint32_t begin = offsets[0];
    for (uint32_t b = 0; b < q->blocks; b++) {
        if (begin + *at >= offsets[b + 1]) continue;
        if (q->bits[b / 32] >> b % 32 & 1) {
            *key = q->op->blocks->rows[begin + (*at)++];
            return 1;
        }
        *at = offsets[b + 1] - begin;
    }
    return 0;
}

static void attend(const query *q, const nm_block_attention_grad *grad) {
    (void)grad;
    const nm_block_attention *op = q->op;
    double largest = -INFINITY, sum = 0;
    uint32_t key, count = 0;
    for (uint32_t at = 0; next_key(q, &at, &key); count++)
        largest = fmax(largest, dot(q, op->q, q->row, op->k, key) * q->scale);
    for (uint32_t at = 0; next_key(q, &at, &key);) sum += exp(dot(q, op->q, q->row, op->k, key) * q->scale - largest);
    const double logsumexp = count ? largest + log(sum) : -INFINITY;
    if (op->logsumexp.data) nm_reference_row(op->logsumexp, q->row)[q->head] = logsumexp;
    double *out = nm_reference_row(op->out, q->row);
    for (uint32_t c = q->first; c < q->first + q->depth; c++) out[c] = 0;
    for (uint32_t at = 0; next_key(q, &at, &key);) {
        const double probability = exp(dot(q, op->q, q->row, op->k, key) * q->scale - logsumexp);
        for (uint32_t c = q->first; c < q->first + q->depth; c++)
            out[c] += probability * nm_reference_row(op->v, key)[c];
    }
}

/// As in attention.c: with p the softmax of the scores and out = sum p_j v_j,
///   dv_j += p_j dout,   ds_j = p_j (dout . v_j - dout . out),   dq += ds_j k_j / sqrt(D),   dk_j += ds_j q / sqrt(D)
static void attend_backward(const query *q, const nm_block_attention_grad *grad) {
    const nm_block_attention *op = q->op;
    const double *of_q = nm_reference_row(op->q, q->row), *dout = nm_reference_row(grad->dout, q->row);
    const double dout_out = dot(q, grad->dout, q->row, op->out, q->row);
    const double logsumexp = nm_reference_row(op->logsumexp, q->row)[q->head];
    double *dq = nm_reference_row(grad->dq, q->row);
    uint32_t key;
    for (uint32_t at = 0; next_key(q, &at, &key);) {
        const double *k = nm_reference_row(op->k, key);
        double *dk = nm_reference_row(grad->dk, key), *dv = nm_reference_row(grad->dv, key);
        const double probability = exp(dot(q, op->q, q->row, op->k, key) * q->scale - logsumexp);
        const double ds = probability * (dot(q, grad->dout, q->row, op->v, key) - dout_out);
        for (uint32_t c = q->first; c < q->first + q->depth; c++) {
            dv[c] += probability * dout[c];
            dq[c] += ds * k[c] * q->scale;
            dk[c] += ds * of_q[c] * q->scale;
        }
    }
}

static void expect_attention(const nm_block_attention *op) {
    NM_ASSERT(op->heads > 0 && op->q.cols % op->heads == 0);
    NM_REFERENCE_EXPECT(op->q, op->blocks->tokens, op->q.cols);
    NM_REFERENCE_EXPECT(op->k, op->blocks->tokens, op->q.cols);
    NM_REFERENCE_EXPECT(op->v, op->blocks->tokens, op->q.cols);
    NM_REFERENCE_EXPECT(op->out, op->blocks->tokens, op->q.cols);
    NM_ASSERT(is_words(op->selected, op->blocks, op->heads));
    if (op->logsumexp.data) NM_REFERENCE_EXPECT(op->logsumexp, op->blocks->tokens, op->heads);
}

void nm_reference_block_attention(nm_backend *backend, const nm_block_attention *op) {
    (void)backend;
    expect_attention(op);
    for_all_queries(op, NULL, attend);
}

void nm_reference_block_attention_backward(nm_backend *backend, const nm_block_attention_grad *grad) {
    const nm_block_attention *op = &grad->forward;
    expect_attention(op);
    NM_REFERENCE_EXPECT(op->logsumexp, op->blocks->tokens, op->heads);
    NM_REFERENCE_EXPECT(grad->dout, op->q.rows, op->q.cols);
    NM_REFERENCE_EXPECT(grad->dq, op->q.rows, op->q.cols);
    NM_REFERENCE_EXPECT(grad->dk, op->q.rows, op->q.cols);
    NM_REFERENCE_EXPECT(grad->dv, op->q.rows, op->q.cols);
    backend->ops->zero(backend, grad->dq);
    backend->ops->zero(backend, grad->dk);
    backend->ops->zero(backend, grad->dv);
    for_all_queries(op, grad, attend_backward);
}
