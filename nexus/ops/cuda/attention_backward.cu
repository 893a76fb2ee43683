#include "nexus/ops/cuda/attention.cuh"

// With p_ij = exp(s_ij - logsumexp_i) and delta_i = dout_i . out_i:
//   ds_ij = p_ij (dout_i . v_j - delta_i)      dq_i = scale sum_j ds_ij k_j      dk_j = scale sum_i ds_ij q_i
//   dv_j = sum_i p_ij dout_i                   dpose_weight[f] = sum_ij ds_ij feature_f(i, j)
// (Dao et al. 2022, appendix B). The gradients of queries and of keys are taken by two passes of one kernel, each of
// which owns what it writes, so that nothing is added by two threads.

namespace nm_cuda {
namespace {

struct gradient_view {
    attention_view a;
    view dout, dq, dk, dv;
    const float *delta;   ///< [Nq][heads]
    float *pose_partials; ///< [group and tile][heads][features], or NULL
};

/// Own rows twice, rows for the lanes twice.
__host__ __device__ size_t shared_floats(uint32_t depth_own) {
    return (size_t)2 * own_rows * depth_own + (size_t)2 * lane_rows * (depth_own + 1);
}

/// delta, one warp for each row and head.
__global__ void delta_kernel(view out, view dout, uint32_t rows, uint32_t heads, uint32_t depth, float *delta) {
    const uint32_t row = blockIdx.x * attention_warps + threadIdx.y, head = blockIdx.y;
    if (row >= rows) return;
    float sum = 0.0f;
    for (uint32_t col = threadIdx.x; col < depth; col += 32)
        sum = fmaf(load1(out, row, head * depth + col), load1(dout, row, head * depth + col), sum);
    sum = warp_sum(sum);
    if (threadIdx.x == 0) delta[(size_t)row * heads + head] = sum;
}

/// One pair, with its query's and key's dot products: the softmax weight and the gradient of the score. The features
/// are computed once and used for both the bias and its gradient.
struct pair {
    float weight, dscore;
};
__device__ pair pair_gradient(const gradient_view &g, uint32_t head, uint32_t query, uint32_t key, float product,
                              float dproduct, float (&pose_sums)[NM_POSE_FEATURES]) {
    float score = product * g.a.scale;
    float features[NM_POSE_FEATURES];
    if (present(g.a.query_pose)) {
        pair_features(g.a, query, key, features);
        score += pose_bias(g.a, head, features);
    }
    pair p;
    p.weight = expf(score - load1(g.a.logsumexp, query, head));
    p.dscore = p.weight * (dproduct - g.delta[(size_t)query * g.a.heads + head]);
    if (g.pose_partials)
        for (int f = 0; f < NM_POSE_FEATURES; f++) pose_sums[f] = fmaf(p.dscore, features[f], pose_sums[f]);
    return p;
}

/// The block's sums of the gradient of the pose weights: lanes, then warps in order. All threads call it.
__device__ void write_pose_sums(const gradient_view &g, uint32_t head, float (&pose_sums)[NM_POSE_FEATURES]) {
    __shared__ float sums[attention_warps][NM_POSE_FEATURES];
    for (int f = 0; f < NM_POSE_FEATURES; f++) {
        const float sum = warp_sum(pose_sums[f]);
        if (threadIdx.x == 0) sums[threadIdx.y][f] = sum;
    }
    __syncthreads();
    if (threadIdx.y != 0 || threadIdx.x >= NM_POSE_FEATURES) return;
    float total = 0.0f;
    for (int w = 0; w < attention_warps; w++) total += sums[w][threadIdx.x];
    g.pose_partials[((size_t)blockIdx.x * g.a.heads + head) * NM_POSE_FEATURES + threadIdx.x] = total;
}

/// The gradients of the warp's own rows with the lane's row (*lane_row; NULL: it has none), in place of their products.
template <bool keys>
__device__ void tile_gradients(const gradient_view &g, uint32_t head, const uint32_t *rows, uint32_t mine,
                               const uint32_t *lane_row, float (&products)[rows_per_warp],
                               float (&dproducts)[rows_per_warp], float (&pose_sums)[NM_POSE_FEATURES]) {
#pragma unroll
    for (int i = 0; i < rows_per_warp; i++) {
        pair p = {0.0f, 0.0f};
        if ((uint32_t)i < mine && lane_row) {
            const uint32_t query = keys ? *lane_row : rows[i], key = keys ? rows[i] : *lane_row;
            p = pair_gradient(g, head, query, key, products[i], dproducts[i], pose_sums);
        }
        products[i] = p.dscore;
        dproducts[i] = p.weight;
    }
}

/// keys false: own rows are queries, lanes are keys; dq and the sums for the pose weights. keys true: own rows are
/// keys, lanes are queries; dk and dv. Block (group and tile of its own rows, head); depth <= 32 P.
template <int P, bool keys>
__global__ void __launch_bounds__(32 * attention_warps) attention_grad_kernel(gradient_view g) {
    const attention_view &a = g.a;
    const uint32_t *own_offsets = keys ? a.key_offsets : a.query_offsets, *own_list = keys ? a.key_rows : a.query_rows;
    const uint32_t *offsets = keys ? a.query_offsets : a.key_offsets, *list = keys ? a.query_rows : a.key_rows;
    const uint32_t group = blockIdx.x / a.tiles, head = blockIdx.y;
    const uint32_t first = own_offsets[group] + blockIdx.x % a.tiles * own_rows, own_end = own_offsets[group + 1];
    const uint32_t owned = first < own_end ? min(own_end - first, (uint32_t)own_rows) : 0;
    const uint32_t before = threadIdx.y * rows_per_warp;
    const uint32_t mine = owned > before ? min(owned - before, (uint32_t)rows_per_warp) : 0;
    const uint32_t *rows = own_list + first + before;

    NM_DYNAMIC_SHARED(shared);
    float *own = shared, *own_second = own + own_rows * a.depth_own;
    float *other = own_second + own_rows * a.depth_own, *other_second = other + lane_rows * a.depth_lanes;
    load_rows(a, keys ? a.k : a.q, head, own_list + first, owned, own_rows, a.depth_own, own);
    load_rows(a, keys ? a.v : g.dout, head, own_list + first, owned, own_rows, a.depth_own, own_second);
    float sums[rows_per_warp][P] = {}, sums_second[rows_per_warp][P] = {}, pose_sums[NM_POSE_FEATURES] = {};

    const uint32_t end = owned ? offsets[group + 1] : 0; // nothing to own, nothing to do
    for (uint32_t at = offsets[group]; at < end; at += lane_rows) {
        const uint32_t count = min(end - at, (uint32_t)lane_rows);
        __syncthreads(); // the tile before has been read
        load_rows(a, keys ? a.q : a.k, head, list + at, count, lane_rows, a.depth_lanes, other);
        load_rows(a, keys ? g.dout : a.v, head, list + at, count, lane_rows, a.depth_lanes, other_second);
        __syncthreads();
        if (mine == 0) continue;
        float products[rows_per_warp], dproducts[rows_per_warp];
        dots(a, own + before * a.depth_own, other + threadIdx.x * a.depth_lanes, products);
        dots(a, own_second + before * a.depth_own, other_second + threadIdx.x * a.depth_lanes, dproducts);
        tile_gradients<keys>(g, head, rows, mine, threadIdx.x < count ? list + at + threadIdx.x : nullptr, products,
                             dproducts, pose_sums);
        accumulate<P>(a, products, count, other, sums);
        if (keys) accumulate<P>(a, dproducts, count, other_second, sums_second);
    }
    write_rows<P>(a, keys ? g.dk : g.dq, head, rows, mine, sums, a.scale);
    if (keys) write_rows<P>(a, g.dv, head, rows, mine, sums_second, 1.0f);
    if (!keys && g.pose_partials) write_pose_sums(g, head, pose_sums);
}

/// The group whose keys the position `at` of the list belongs to.
__device__ uint32_t group_of(const attention_view &a, uint32_t at) {
    uint32_t low = 0, high = a.groups; // key_offsets[low] <= at < key_offsets[high]
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (a.key_offsets[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/// Key gradients where a key may be in several groups: a warp for each key row and head looks the whole list of keys
/// through for its row, and takes the groups it finds in their order. Slower, and needs no inverse list.
template <int P> __global__ void shared_keys_kernel(gradient_view g, uint32_t rows) {
    const attention_view &a = g.a;
    const uint32_t row = blockIdx.x * attention_warps + threadIdx.y, head = blockIdx.y, lane = threadIdx.x;
    if (row >= rows) return;
    float k[P], v[P], dk[P], dv[P], unused[NM_POSE_FEATURES];
#pragma unroll
    for (int p = 0; p < P; p++) {
        const uint32_t col = lane + 32 * p;
        k[p] = col < a.depth ? load1(a.k, row, head * a.depth + col) : 0.0f;
        v[p] = col < a.depth ? load1(a.v, row, head * a.depth + col) : 0.0f;
        dk[p] = dv[p] = 0.0f;
    }
    const uint32_t end = a.key_offsets[a.groups];
    for (uint32_t first = 0; first < end; first += 32) {
        uint32_t found =
            __ballot_sync(0xFFFFFFFFu, first + lane < end && a.key_rows[min(first + lane, end - 1)] == row);
        for (; found; found &= found - 1) {
            const uint32_t group = group_of(a, first + (uint32_t)__ffs((int)found) - 1);
            for (uint32_t i = a.query_offsets[group]; i < a.query_offsets[group + 1]; i++) {
                const uint32_t query = a.query_rows[i];
                float q[P], dout[P], product = 0.0f, dproduct = 0.0f;
#pragma unroll
                for (int p = 0; p < P; p++) {
                    const uint32_t col = lane + 32 * p;
                    q[p] = col < a.depth ? load1(a.q, query, head * a.depth + col) : 0.0f;
                    dout[p] = col < a.depth ? load1(g.dout, query, head * a.depth + col) : 0.0f;
                    product = fmaf(q[p], k[p], product);
                    dproduct = fmaf(dout[p], v[p], dproduct);
                }
                const pair found_pair =
                    pair_gradient(g, head, query, row, warp_sum(product), warp_sum(dproduct), unused);
#pragma unroll
                for (int p = 0; p < P; p++) {
                    dk[p] = fmaf(found_pair.dscore, q[p], dk[p]);
                    dv[p] = fmaf(found_pair.weight, dout[p], dv[p]);
                }
            }
        }
    }
#pragma unroll
    for (int p = 0; p < P; p++) {
        const uint32_t col = lane + 32 * p;
        if (col >= a.depth) continue;
        store1(g.dk, row, head * a.depth + col, dk[p] * a.scale);
        store1(g.dv, row, head * a.depth + col, dv[p]);
    }
}

/// dpose_weight[head][f] += the blocks' sums: one block for each, 128 strands and then pairs.
__global__ void pose_total_kernel(const float *partials, uint32_t blocks, uint32_t heads, view dpose_weight) {
    __shared__ float sums[128];
    const uint32_t f = blockIdx.x, head = blockIdx.y;
    float sum = 0.0f;
    for (uint32_t i = threadIdx.x; i < blocks; i += 128)
        sum += partials[((size_t)i * heads + head) * NM_POSE_FEATURES + f];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (uint32_t half = 64; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) store1(dpose_weight, head, f, load1(dpose_weight, head, f) + sums[0]);
}

} // namespace

cudaError_t prepare_attention_backward() {
    const int bytes = (int)(shared_floats(max_depth) * sizeof(float));
    const cudaError_t result =
        cudaFuncSetAttribute(attention_grad_kernel<8, false>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (result != cudaSuccess) return result;
    return cudaFuncSetAttribute(attention_grad_kernel<8, true>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

void query_deltas(backend *b, nm_tensor out, nm_tensor dout, uint32_t heads, float *delta) {
    launch(b, delta_kernel, dim3((out.rows + attention_warps - 1) / attention_warps, heads), dim3(32, attention_warps),
           0, view_of(out), view_of(dout), out.rows, heads, out.cols / heads, delta);
}

static void query_gradients(backend *b, gradient_view g, nm_tensor dpose_weight) {
    const attention_view &a = g.a;
    const dim3 grid(a.groups * a.tiles, a.heads), block(32, attention_warps);
    if (dpose_weight.data) {
        NM_ASSERT((size_t)grid.x * a.heads * NM_POSE_FEATURES * sizeof(float) <= product_bytes);
        g.pose_partials = reinterpret_cast<float *>(b->product);
    }
    const size_t shared = shared_floats(a.depth_own) * sizeof(float);
    if (a.depth <= 64)
        launch(b, attention_grad_kernel<2, false>, grid, block, shared, g);
    else
        launch(b, attention_grad_kernel<8, false>, grid, block, shared, g);
    if (dpose_weight.data)
        launch(b, pose_total_kernel, dim3(NM_POSE_FEATURES, a.heads), dim3(128), 0, g.pose_partials, grid.x, a.heads,
               view_of(dpose_weight));
}

static void key_gradients(backend *b, const gradient_view &g, uint32_t key_rows, bool shared_keys) {
    const attention_view &a = g.a;
    const dim3 block(32, attention_warps);
    if (shared_keys) {
        const dim3 grid((key_rows + attention_warps - 1) / attention_warps, a.heads);
        if (a.depth <= 64)
            launch(b, shared_keys_kernel<2>, grid, block, 0, g, key_rows);
        else
            launch(b, shared_keys_kernel<8>, grid, block, 0, g, key_rows);
        return;
    }
    const dim3 grid(a.groups * a.tiles, a.heads);
    const size_t shared = shared_floats(a.depth_own) * sizeof(float);
    if (a.depth <= 64)
        launch(b, attention_grad_kernel<2, true>, grid, block, shared, g);
    else
        launch(b, attention_grad_kernel<8, true>, grid, block, shared, g);
}

void attention_backward(nm_backend *handle, const nm_attention_grad *op) {
    backend *b = enter(handle, "attention_backward");
    const nm_attention *forward = &op->forward;
    const uint32_t queries = forward->q.rows, keys = forward->k.rows, cols = forward->q.cols;
    check_attention(forward);
    NM_ASSERT(queries == 0 || (forward->logsumexp.data && is_float(op->dout) && has_shape(op->dout, queries, cols) &&
                               is_float(op->dq) && has_shape(op->dq, queries, cols)));
    NM_ASSERT(keys == 0 ||
              (is_float(op->dk) && is_float(op->dv) && has_shape(op->dk, keys, cols) && has_shape(op->dv, keys, cols)));
    const bool posed = forward->query_pose.data && op->dpose_weight.data;
    NM_ASSERT(!posed || has_shape(op->dpose_weight, forward->heads, NM_POSE_FEATURES));
    NM_ASSERT((size_t)queries * forward->heads * sizeof(float) <= operand_bytes);

    gradient_view g;
    g.a = attention_view_of(forward, forward->groups->max_queries);
    g.a.in_vectors = g.a.in_vectors && vectors({op->dout});
    g.dout = view_of(op->dout);
    g.dq = view_of(op->dq);
    g.dk = view_of(op->dk);
    g.dv = view_of(op->dv);
    g.delta = reinterpret_cast<float *>(b->operands[0]);
    g.pose_partials = nullptr;
    query_deltas(b, forward->out, op->dout, forward->heads, reinterpret_cast<float *>(b->operands[0]));
    if (queries) zero(handle, op->dq); // rows in no group
    if (keys && !forward->groups->shared_keys) {
        zero(handle, op->dk);
        zero(handle, op->dv);
    }
    b->operation = "attention_backward";
    query_gradients(b, g, posed ? op->dpose_weight : nm_tensor_none());
    g.a.tiles = (forward->groups->max_keys + own_rows - 1) / own_rows;
    key_gradients(b, g, keys, forward->groups->shared_keys != 0);
}

} // namespace nm_cuda
