#include "nexus/ops/cuda/attention.cuh"

namespace nm_cuda {
namespace {

/// Floats of shared memory: own queries, and a tile of keys and of values.
__host__ __device__ size_t shared_floats(uint32_t depth_own) {
    return (size_t)own_rows * depth_own + (size_t)2 * lane_rows * (depth_own + 1);
}

/// Block (group and tile of its queries, head). P columns of a head for each lane: depth <= 32 P.
template <int P> __global__ void __launch_bounds__(32 * attention_warps) attention_kernel(attention_view a) {
    const uint32_t group = blockIdx.x / a.tiles, head = blockIdx.y;
    const uint32_t first = a.query_offsets[group] + blockIdx.x % a.tiles * own_rows, end = a.query_offsets[group + 1];
    if (first >= end) return;
    const uint32_t queries = min(end - first, (uint32_t)own_rows), before = threadIdx.y * rows_per_warp;
    const uint32_t mine = queries > before ? min(queries - before, (uint32_t)rows_per_warp) : 0;
    const uint32_t *rows = a.query_rows + first + before;

    NM_DYNAMIC_SHARED(shared);
    float *q = shared, *k = q + own_rows * a.depth_own, *v = k + lane_rows * a.depth_lanes;
    load_rows(a, a.q, head, a.query_rows + first, queries, own_rows, a.depth_own, q);
    state<P> s;
#pragma unroll
    for (int i = 0; i < rows_per_warp; i++) {
        s.largest[i] = -INFINITY;
        s.sum[i] = 0.0f;
#pragma unroll
        for (int p = 0; p < P; p++) s.out[i][p] = 0.0f;
    }
    const uint32_t last_key = a.key_offsets[group + 1];
    for (uint32_t key = a.key_offsets[group]; key < last_key; key += lane_rows) {
        const uint32_t count = min(last_key - key, (uint32_t)lane_rows);
        __syncthreads(); // the tile before has been read
        load_rows(a, a.k, head, a.key_rows + key, count, lane_rows, a.depth_lanes, k);
        load_rows(a, a.v, head, a.key_rows + key, count, lane_rows, a.depth_lanes, v);
        __syncthreads();
        if (mine == 0) continue;
        const bool valid = threadIdx.x < count;
        float scores[rows_per_warp];
        dots(a, q + before * a.depth_own, k + threadIdx.x * a.depth_lanes, scores);
#pragma unroll
        for (int i = 0; i < rows_per_warp; i++) {
            scores[i] *= a.scale;
            if (present(a.query_pose) && valid && (uint32_t)i < mine) {
                float features[NM_POSE_FEATURES];
                pair_features(a, rows[i], a.key_rows[key + threadIdx.x], features);
                scores[i] += pose_bias(a, head, features);
            }
        }
        add_keys(a, s, scores, ~0u, valid, count, v);
    }
    write_queries(a, s, head, rows, mine);
}

struct rotary_op {
    view x, time;
    uint32_t pairs; ///< of a head
    float direction;
    template <int V> __device__ void at(uint32_t row, uint32_t first) const {
        for (uint32_t pair = first; pair < first + V; pair++) {
            // 10000^(-2 i / D) = 2^(-i log2(10000) / (D / 2))
            const float rate = exp2f(-(float)(pair % pairs) / (float)pairs * 13.287712f);
            float s, c;
            sincosf(direction * load1(time, row, 0) * rate, &s, &c);
            const float even = load1(x, row, 2 * pair), odd = load1(x, row, 2 * pair + 1);
            store1(x, row, 2 * pair, even * c - odd * s);
            store1(x, row, 2 * pair + 1, even * s + odd * c);
        }
    }
};

struct turn_op {
    view x, turns, y;
    uint32_t pairs; ///< of a row of turns
    float direction;
    template <int V> __device__ void at(uint32_t row, uint32_t first) const {
        for (uint32_t pair = first; pair < first + V; pair++) {
            const uint32_t of = pair % pairs;
            const float c = load1(turns, row, 2 * of), s = direction * load1(turns, row, 2 * of + 1);
            const float even = load1(x, row, 2 * pair), odd = load1(x, row, 2 * pair + 1);
            store1(y, row, 2 * pair, even * c - odd * s);
            store1(y, row, 2 * pair + 1, even * s + odd * c);
        }
    }
};

} // namespace

cudaError_t prepare_attention() {
    return cudaFuncSetAttribute(attention_kernel<8>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                (int)(shared_floats(max_depth) * sizeof(float)));
}

void attention(nm_backend *handle, const nm_attention *op) {
    backend *b = enter(handle, "attention");
    check_attention(op);
    const attention_view a = attention_view_of(op, op->groups->max_queries);
    const dim3 grid(a.groups * a.tiles, a.heads), block(32, attention_warps);
    const size_t shared = shared_floats(a.depth_own) * sizeof(float);
    if (a.depth <= 64)
        launch(b, attention_kernel<2>, grid, block, shared, a);
    else
        launch(b, attention_kernel<8>, grid, block, shared, a);
}

void rotary(nm_backend *handle, nm_tensor x, nm_tensor time, uint32_t heads, int direction) {
    backend *b = enter(handle, "rotary");
    NM_ASSERT(is_float(x) && heads > 0 && x.cols % (2 * heads) == 0 && (direction == 1 || direction == -1));
    NM_ASSERT(time.dtype == NM_F32 && has_shape(time, x.rows, 1));
    const rotary_op op = {view_of(x), view_of(time), x.cols / (2 * heads), (float)direction};
    elementwise(b, op, x.rows, x.cols / 2, false);
}

void turn(nm_backend *handle, const nm_pair_turn *op) {
    backend *b = enter(handle, "turn");
    const nm_tensor x = op->x, turns = op->turns;
    NM_ASSERT(is_float(x) && is_float(op->y) && has_shape(op->y, x.rows, x.cols));
    NM_ASSERT(turns.cols > 0 && turns.cols % 2 == 0 && x.cols % turns.cols == 0);
    NM_ASSERT(turns.dtype == NM_F32 && turns.rows == x.rows && (op->direction == 1 || op->direction == -1));
    const turn_op part = {view_of(x), view_of(turns), view_of(op->y), turns.cols / 2, (float)op->direction};
    elementwise(b, part, x.rows, x.cols / 2, false);
}

} // namespace nm_cuda
