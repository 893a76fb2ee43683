/// What the attention kernels share: how a group's rows are brought into shared memory, and the bias of a pair.
///
/// All kernels work alike: a block takes a tile of 16 rows of one group and one head ("own" rows: queries, or keys in
/// the backward pass for keys), four for each of its four warps, and walks over the rows of the other side 32 at a
/// time, one for each lane. Arithmetic is float32 throughout.
#ifndef NM_NEXUS_OPS_CUDA_ATTENTION_CUH
#define NM_NEXUS_OPS_CUDA_ATTENTION_CUH

#include <math.h>

#include "nexus/ops/cuda/device.cuh"
#include "nexus/ops/pose.h"

namespace nm_cuda {

constexpr int attention_warps = 4;
constexpr int rows_per_warp = 4;
constexpr int own_rows = attention_warps * rows_per_warp;
constexpr int lane_rows = 32;
constexpr uint32_t max_depth = 256; ///< of a head; shared memory is sized for it

/// One attention as kernels see it. Heads lie side by side in the columns, `depth` each.
struct attention_view {
    view q, k, v, out, logsumexp;
    view query_pose, key_pose, pose_weight;
    const uint32_t *query_offsets, *query_rows, *key_offsets, *key_rows;
    uint32_t groups, heads, depth;
    uint32_t tiles;       ///< blocks for each group: own rows of the largest, in tiles
    uint32_t depth_own;   ///< depth rounded up to 4: floats of an own row in shared memory
    uint32_t depth_lanes; ///< depth_own + 1: an odd stride, so that lanes reading one column do not collide
    float scale;          ///< 1 / sqrt(depth)
    bool in_vectors;      ///< q, k, v (dout) may be read eight elements at a time
};

inline attention_view attention_view_of(const nm_attention *op, uint32_t max_own) {
    const nm_groups *g = op->groups;
    const uint32_t depth = op->q.cols / op->heads;
    attention_view a;
    a.q = view_of(op->q);
    a.k = view_of(op->k);
    a.v = view_of(op->v);
    a.out = view_of(op->out);
    a.logsumexp = view_of(op->logsumexp);
    a.query_pose = view_of(op->query_pose);
    a.key_pose = view_of(op->key_pose);
    a.pose_weight = view_of(op->pose_weight);
    a.query_offsets = g->query_offsets;
    a.query_rows = g->query_rows;
    a.key_offsets = g->key_offsets;
    a.key_rows = g->key_rows;
    a.groups = g->count;
    a.heads = op->heads;
    a.depth = depth;
    a.tiles = (max_own + own_rows - 1) / own_rows;
    a.depth_own = (depth + 3) / 4 * 4;
    a.depth_lanes = a.depth_own + 1;
    a.scale = 1.0f / sqrtf((float)depth);
    a.in_vectors = depth % 8 == 0 && vectors({op->q, op->k, op->v});
    return a;
}

inline void check_attention(const nm_attention *op) {
    const uint32_t queries = op->q.rows, keys = op->k.rows, cols = op->q.cols;
    NM_ASSERT(op->heads > 0 && cols % op->heads == 0 && cols / op->heads <= max_depth && op->groups);
    NM_ASSERT(queries == 0 || (is_float(op->q) && is_float(op->out) && has_shape(op->out, queries, cols)));
    NM_ASSERT(keys == 0 || (is_float(op->k) && is_float(op->v) && op->k.cols == cols && has_shape(op->v, keys, cols)));
    NM_ASSERT(!op->logsumexp.data || (has_shape(op->logsumexp, queries, op->heads) && op->logsumexp.dtype == NM_F32));
    if (!op->query_pose.data) return;
    NM_ASSERT(has_shape(op->query_pose, queries, 4) && op->query_pose.dtype == NM_F32);
    NM_ASSERT(has_shape(op->key_pose, keys, 4) && op->key_pose.dtype == NM_F32);
    NM_ASSERT(has_shape(op->pose_weight, op->heads, NM_POSE_FEATURES));
}

/// Copies columns [head depth, (head + 1) depth) of the rows list[0 .. count) of `from` into shared memory, `stride`
/// floats a row. All `rows` rows are written, and all columns up to depth_own: 0 where there is nothing, which adds
/// nothing to any dot product.
__device__ inline void load_rows(const attention_view &a, const view &from, uint32_t head, const uint32_t *list,
                                 uint32_t count, uint32_t rows, uint32_t stride, float *to) {
    const uint32_t first = head * a.depth, threads = 32 * attention_warps;
    const uint32_t thread = threadIdx.y * 32 + threadIdx.x;
    if (a.in_vectors) {
        const uint32_t parts = a.depth / 8;
        for (uint32_t i = thread; i < rows * parts; i += threads) {
            const uint32_t row = i / parts, col = i % parts * 8;
            float values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            if (row < count) load<8>(from, list[row], first + col, values);
#pragma unroll
            for (int j = 0; j < 8; j++) to[row * stride + col + j] = values[j];
        }
    } else {
        for (uint32_t i = thread; i < rows * a.depth_own; i += threads) {
            const uint32_t row = i / a.depth_own, col = i % a.depth_own;
            to[row * stride + col] = row < count && col < a.depth ? load1(from, list[row], first + col) : 0.0f;
        }
    }
}

/// Dot products of the warp's own rows (`own`, depth_own floats each) with the lane's row.
__device__ inline void dots(const attention_view &a, const float *own, const float *lane,
                            float (&sums)[rows_per_warp]) {
#pragma unroll
    for (int i = 0; i < rows_per_warp; i++) sums[i] = 0.0f;
    for (uint32_t col = 0; col < a.depth_own; col += 4) {
        const float x = lane[col], y = lane[col + 1], z = lane[col + 2], w = lane[col + 3];
#pragma unroll
        for (int i = 0; i < rows_per_warp; i++) {
            const float4 o = *reinterpret_cast<const float4 *>(own + i * a.depth_own + col);
            sums[i] = fmaf(o.w, w, fmaf(o.z, z, fmaf(o.y, y, fmaf(o.x, x, sums[i]))));
        }
    }
}

/// The features of a pair, by the rows of its query and its key.
__device__ inline void pair_features(const attention_view &a, uint32_t query, uint32_t key,
                                     float (&features)[NM_POSE_FEATURES]) {
    float query_pose[4], key_pose[4];
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
        query_pose[i] = load1(a.query_pose, query, i);
        key_pose[i] = load1(a.key_pose, key, i);
    }
    nm_pose_features_f32(query_pose, key_pose, features);
}
__device__ inline float pose_bias(const attention_view &a, uint32_t head, const float (&features)[NM_POSE_FEATURES]) {
    float bias = 0.0f;
    for (int f = 0; f < NM_POSE_FEATURES; f++) bias = fmaf(load1(a.pose_weight, head, (uint32_t)f), features[f], bias);
    return bias;
}

/// What a warp keeps of its four queries: the online softmax (Milakov and Gimelshein 2018). A lane holds columns
/// lane, lane + 32, ... of the weighted sums, P of them.
template <int P> struct state { float largest[rows_per_warp], sum[rows_per_warp], out[rows_per_warp][P]; };

/// Adds up to 32 keys, one a lane, to the rows i with bit i of `chosen` (of the whole warp). `valid`: the lane has one.
template <int P>
__device__ inline void add_keys(const attention_view &a, state<P> &s, float (&scores)[rows_per_warp], uint32_t chosen,
                                bool valid, uint32_t count, const float *values) {
    const uint32_t lane = threadIdx.x;
#pragma unroll
    for (int i = 0; i < rows_per_warp; i++) {
        if (!(chosen >> i & 1)) continue;
        const float score = valid ? scores[i] : -INFINITY;
        const float largest = fmaxf(s.largest[i], warp_max(score));
        const float weight = valid ? expf(score - largest) : 0.0f;
        const float shrink = expf(s.largest[i] - largest); // 0 the first time
        s.largest[i] = largest;
        s.sum[i] = fmaf(s.sum[i], shrink, warp_sum(weight));
        scores[i] = weight;
#pragma unroll
        for (int p = 0; p < P; p++) s.out[i][p] *= shrink;
    }
    for (uint32_t j = 0; j < count; j++) {
        float value[P];
#pragma unroll
        for (int p = 0; p < P; p++) {
            const uint32_t col = lane + 32 * p;
            value[p] = col < a.depth ? values[j * a.depth_lanes + col] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < rows_per_warp; i++) {
            if (!(chosen >> i & 1)) continue;
            const float weight = __shfl_sync(0xFFFFFFFFu, scores[i], (int)j);
#pragma unroll
            for (int p = 0; p < P; p++) s.out[i][p] = fmaf(weight, value[p], s.out[i][p]);
        }
    }
}

template <int P>
__device__ inline void write_queries(const attention_view &a, const state<P> &s, uint32_t head, const uint32_t *rows,
                                     uint32_t mine) {
    const uint32_t lane = threadIdx.x;
#pragma unroll
    for (int i = 0; i < rows_per_warp; i++) {
        if ((uint32_t)i >= mine) continue;
        const float inverse = s.sum[i] != 0.0f ? 1.0f / s.sum[i] : 0.0f; // 0: no key
#pragma unroll
        for (int p = 0; p < P; p++) {
            const uint32_t col = lane + 32 * p;
            if (col < a.depth) store1(a.out, rows[i], head * a.depth + col, s.out[i][p] * inverse);
        }
        if (lane == 0 && present(a.logsumexp)) store1(a.logsumexp, rows[i], head, s.largest[i] + logf(s.sum[i]));
    }
}

/// sums[i] += the sum over the lanes j < count of lane j's factors[i] times its row of `others`, columns lane + 32 p.
template <int P>
__device__ inline void accumulate(const attention_view &a, const float (&factors)[rows_per_warp], uint32_t count,
                                  const float *others, float (&sums)[rows_per_warp][P]) {
    for (uint32_t j = 0; j < count; j++) {
        float value[P];
#pragma unroll
        for (int p = 0; p < P; p++) {
            const uint32_t col = threadIdx.x + 32 * p;
            value[p] = col < a.depth ? others[j * a.depth_lanes + col] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < rows_per_warp; i++) {
            const float factor = __shfl_sync(0xFFFFFFFFu, factors[i], (int)j);
#pragma unroll
            for (int p = 0; p < P; p++) sums[i][p] = fmaf(factor, value[p], sums[i][p]);
        }
    }
}

template <int P>
__device__ inline void write_rows(const attention_view &a, const view &to, uint32_t head, const uint32_t *rows,
                                  uint32_t mine, const float (&sums)[rows_per_warp][P], float factor) {
#pragma unroll
    for (int i = 0; i < rows_per_warp; i++) {
        if ((uint32_t)i >= mine) continue;
#pragma unroll
        for (int p = 0; p < P; p++) {
            const uint32_t col = threadIdx.x + 32 * p;
            if (col < a.depth) store1(to, rows[i], head * a.depth + col, sums[i][p] * factor);
        }
    }
}

/// delta [rows][heads] = out . dout, per row and head.
void query_deltas(backend *b, nm_tensor out, nm_tensor dout, uint32_t heads, float *delta);

} // namespace nm_cuda
#endif
