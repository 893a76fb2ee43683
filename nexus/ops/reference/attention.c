#include "nexus/ops/reference/reference.h"

#include <math.h>

#include "nexus/ops/pose.h"

/// One query row, one head: the columns [first, first + depth) of q, k, v and out.
typedef struct view {
    const nm_attention *op;
    uint32_t row, head, first, depth;
    double scale; ///< 1 / sqrt(depth)
} view;

static view view_of(const nm_attention *op, uint32_t row, uint32_t head) {
    const uint32_t depth = op->q.cols / op->heads;
    return (view){op, row, head, head * depth, depth, 1 / sqrt((double)depth)};
}

/// The dot product of the view's columns in row i of a and row j of b.
static double dot(const view *v, nm_tensor a, uint32_t i, nm_tensor b, uint32_t j) {
    double sum = 0;
    for (uint32_t c = v->first; c < v->first + v->depth; c++)
        sum += nm_reference_row(a, i)[c] * nm_reference_row(b, j)[c];
    return sum;
}

/// q_i . k_j / sqrt(D) + bias_ij
static double score(const view *v, uint32_t key) {
    const nm_attention *op = v->op;
    double sum = dot(v, op->q, v->row, op->k, key) * v->scale;
    if (!op->query_pose.data) return sum;
    double feature[NM_POSE_FEATURES];
    nm_pose_features(nm_reference_row(op->query_pose, v->row), nm_reference_row(op->key_pose, key), feature);
    for (int f = 0; f < NM_POSE_FEATURES; f++) sum += nm_reference_row(op->pose_weight, v->head)[f] * feature[f];
    return sum;
}

static void expect_attention(const nm_attention *op) {
    const nm_groups *groups = op->groups;
    NM_ASSERT(op->heads > 0 && op->q.cols % op->heads == 0);
    NM_REFERENCE_EXPECT(op->q, op->q.rows, op->q.cols);
    NM_REFERENCE_EXPECT(op->k, op->k.rows, op->q.cols);
    NM_REFERENCE_EXPECT(op->v, op->k.rows, op->q.cols);
    NM_REFERENCE_EXPECT(op->out, op->q.rows, op->q.cols);
    NM_ASSERT(groups->query_offsets[groups->count] == op->q.rows);
    if (op->query_pose.data) {
        NM_REFERENCE_EXPECT(op->query_pose, op->q.rows, 4);
        NM_REFERENCE_EXPECT(op->key_pose, op->k.rows, 4);
        NM_REFERENCE_EXPECT(op->pose_weight, op->heads, NM_POSE_FEATURES);
    }
    if (op->logsumexp.data) NM_REFERENCE_EXPECT(op->logsumexp, op->q.rows, op->heads);
}

/// out of one query row and head, over `count` keys.
static void attend(const view *v, const uint32_t *keys, uint32_t count) {
    const nm_attention *op = v->op;
    double largest = -INFINITY, sum = 0;
    for (uint32_t j = 0; j < count; j++) largest = fmax(largest, score(v, keys[j]));
    for (uint32_t j = 0; j < count; j++) sum += exp(score(v, keys[j]) - largest); // the largest taken out: no overflow
    const double logsumexp = count ? largest + log(sum) : -INFINITY;
    if (op->logsumexp.data) nm_reference_row(op->logsumexp, v->row)[v->head] = logsumexp;

    double *out = nm_reference_row(op->out, v->row);
    for (uint32_t c = v->first; c < v->first + v->depth; c++) out[c] = 0;
    for (uint32_t j = 0; j < count; j++) {
        const double probability = exp(score(v, keys[j]) - logsumexp);
        for (uint32_t c = v->first; c < v->first + v->depth; c++)
            out[c] += probability * nm_reference_row(op->v, keys[j])[c];
    }
}

void nm_reference_attention(nm_backend *backend, const nm_attention *op) {
    (void)backend;
    const nm_groups *groups = op->groups;
    expect_attention(op);
    for (uint32_t g = 0; g < groups->count; g++) {
        const uint32_t *keys = groups->key_rows + groups->key_offsets[g];
        const uint32_t count = groups->key_offsets[g + 1] - groups->key_offsets[g];
        for (uint32_t i = groups->query_offsets[g]; i < groups->query_offsets[g + 1]; i++) {
            for (uint32_t head = 0; head < op->heads; head++) {
                const view v = view_of(op, groups->query_rows[i], head);
                attend(&v, keys, count);
            }
        }
    }
}

/// Gradients through one query row and head. With p the softmax of the scores s and out = sum p_j v_j:
///   dv_j += p_j dout,   ds_j = p_j (dout . v_j - dout . out),   dq += ds_j k_j / sqrt(D),   dk_j += ds_j q / sqrt(D)
static void attend_backward(const view *v, const nm_attention_grad *grad, const uint32_t *keys, uint32_t count) {
    const nm_attention *op = v->op;
    const double *q = nm_reference_row(op->q, v->row), *dout = nm_reference_row(grad->dout, v->row);
    const double dout_out = dot(v, grad->dout, v->row, op->out, v->row);
    const double logsumexp = nm_reference_row(op->logsumexp, v->row)[v->head];
    double *dq = nm_reference_row(grad->dq, v->row);
    for (uint32_t j = 0; j < count; j++) {
        const uint32_t key = keys[j];
        const double *k = nm_reference_row(op->k, key);
        double *dk = nm_reference_row(grad->dk, key), *dv = nm_reference_row(grad->dv, key);
        const double probability = exp(score(v, key) - logsumexp);
        const double ds = probability * (dot(v, grad->dout, v->row, op->v, key) - dout_out);
        for (uint32_t c = v->first; c < v->first + v->depth; c++) {
            dv[c] += probability * dout[c];
            dq[c] += ds * k[c] * v->scale;
            dk[c] += ds * q[c] * v->scale;
        }
        if (!op->query_pose.data) continue;
        double feature[NM_POSE_FEATURES];
        nm_pose_features(nm_reference_row(op->query_pose, v->row), nm_reference_row(op->key_pose, key), feature);
        for (int f = 0; f < NM_POSE_FEATURES; f++) nm_reference_row(grad->dpose_weight, v->head)[f] += ds * feature[f];
    }
}

void nm_reference_attention_backward(nm_backend *backend, const nm_attention_grad *grad) {
    const nm_attention *op = &grad->forward;
    const nm_groups *groups = op->groups;
    expect_attention(op);
    NM_REFERENCE_EXPECT(op->logsumexp, op->q.rows, op->heads);
    NM_REFERENCE_EXPECT(grad->dout, op->q.rows, op->q.cols);
    NM_REFERENCE_EXPECT(grad->dq, op->q.rows, op->q.cols);
    NM_REFERENCE_EXPECT(grad->dk, op->k.rows, op->q.cols);
    NM_REFERENCE_EXPECT(grad->dv, op->k.rows, op->q.cols);
    if (op->query_pose.data) NM_REFERENCE_EXPECT(grad->dpose_weight, op->heads, NM_POSE_FEATURES);
    backend->ops->zero(backend, grad->dq);
    backend->ops->zero(backend, grad->dk);
    backend->ops->zero(backend, grad->dv);
    for (uint32_t g = 0; g < groups->count; g++) {
        const uint32_t *keys = groups->key_rows + groups->key_offsets[g];
        const uint32_t count = groups->key_offsets[g + 1] - groups->key_offsets[g];
        for (uint32_t i = groups->query_offsets[g]; i < groups->query_offsets[g + 1]; i++) {
            for (uint32_t head = 0; head < op->heads; head++) {
                const view v = view_of(op, groups->query_rows[i], head);
                attend_backward(&v, grad, keys, count);
            }
        }
    }
}

void nm_reference_rotary(nm_backend *backend, nm_tensor x, nm_tensor time, uint32_t heads, int direction) {
    (void)backend;
    NM_ASSERT(heads > 0 && x.cols % heads == 0 && x.cols / heads % 2 == 0 && (direction == 1 || direction == -1));
    NM_REFERENCE_EXPECT(x, x.rows, x.cols);
    NM_REFERENCE_EXPECT(time, x.rows, 1);
    const uint32_t depth = x.cols / heads;
    for (uint32_t n = 0; n < x.rows; n++) {
        for (uint32_t c = 0; c < x.cols; c += 2) {
            const uint32_t within = c % depth; // 2 i
            const double angle = direction * nm_reference_row(time, n)[0] * pow(10000, -(double)within / depth);
            double *pair = nm_reference_row(x, n) + c;
            const double a = pair[0], b = pair[1];
            pair[0] = a * cos(angle) - b * sin(angle);
            pair[1] = a * sin(angle) + b * cos(angle);
        }
    }
}

void nm_reference_turn(nm_backend *backend, const nm_pair_turn *op) {
    (void)backend;
    const uint32_t width = op->turns.cols;
    NM_ASSERT(op->direction == 1 || op->direction == -1);
    NM_ASSERT(width > 0 && width % 2 == 0 && op->x.cols % width == 0);
    NM_REFERENCE_EXPECT(op->x, op->x.rows, op->x.cols);
    NM_REFERENCE_EXPECT(op->y, op->x.rows, op->x.cols);
    NM_REFERENCE_EXPECT(op->turns, op->x.rows, width);
    for (uint32_t n = 0; n < op->x.rows; n++) {
        for (uint32_t c = 0; c < op->x.cols; c += 2) {
            const double *turn = nm_reference_row(op->turns, n) + c % width, *x = nm_reference_row(op->x, n) + c;
            const double a = x[0], b = x[1], sine = op->direction * turn[1];
            double *y = nm_reference_row(op->y, n) + c;
            y[0] = a * turn[0] - b * sine;
            y[1] = a * sine + b * turn[0];
        }
    }
}
