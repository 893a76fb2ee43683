#include "nexus/ops/cuda/attention.cuh"

// Attention to blocks. As in attention.cu, a block of threads takes 16 rows of one head, and walks over the rows of the
// other side 32 at a time; here its rows are of one block of tokens, and it walks over those blocks alone that one of
// them at least attends to (that attend to it). Where a warp's rows differ, each takes part in what it chose.

namespace nm_cuda {
namespace {

/// A partition as kernels see it.
struct set_view {
    const uint32_t *rows, *block_offsets, *scene_blocks;
    uint32_t scenes, blocks;
    uint32_t *selected; ///< [tokens][stride]
    uint32_t stride, words;
};
set_view set_view_of(const nm_block_set *set, nm_tensor selected, uint32_t heads) {
    return {set->rows,       set->block_offsets,   set->scene_blocks,
            set->scenes,     set->blocks,          static_cast<uint32_t *>(selected.data),
            selected.stride, selected.cols / heads};
}
__device__ uint32_t *bits_of(const set_view &s, uint32_t row, uint32_t head) {
    return s.selected + (size_t)row * s.stride + head * s.words;
}

/// The scene of a block.
__device__ uint32_t scene_of(const set_view &s, uint32_t block) {
    uint32_t low = 0, high = s.scenes; // scene_blocks[low] <= block < scene_blocks[high]
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (s.scene_blocks[middle] <= block)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// Selection
// ---------------------------------------------------------------------------------------------------------------------

struct select_view {
    set_view set;
    view q, k, means, normaliser, kept;
    uint32_t *histogram, *cuts;
    uint32_t heads, depth;
    float scale, tau;
};

__global__ void means_kernel(select_view v, uint32_t cols) {
    const uint32_t col = blockIdx.y * blockDim.x + threadIdx.x, block = blockIdx.x;
    if (col >= cols) return;
    const uint32_t first = v.set.block_offsets[block], end = v.set.block_offsets[block + 1];
    float sum = 0.0f;
    for (uint32_t i = first; i < end; i++) sum += load1(v.k, v.set.rows[i], col);
    store1(v.means, block, col, sum / (float)(end - first));
}

__global__ void clear_kernel(uint32_t *counts, uint32_t count) {
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) counts[i] = 0;
}

/// ln n_b + q . mean_b / sqrt(D)
__device__ float block_score(const select_view &v, uint32_t row, uint32_t head, uint32_t block) {
    float sum = 0.0f;
    for (uint32_t d = 0; d < v.depth; d++)
        sum = fmaf(load1(v.q, row, head * v.depth + d), load1(v.means, block, head * v.depth + d), sum);
    return fmaf(sum, v.scale, logf((float)(v.set.block_offsets[block + 1] - v.set.block_offsets[block])));
}
__device__ uint32_t level_of(float score, float normaliser) {
    const float level = fmaxf(0.0f, (normaliser - score) * (NM_BLOCK_STEPS * 1.44269504f));
    return level < NM_BLOCK_LEVELS - 1 ? (uint32_t)level : NM_BLOCK_LEVELS - 1;
}

/// One block of queries, one head; a warp for each query, a lane for each block of keys.
__global__ void measure_kernel(select_view v) {
    __shared__ uint32_t counts[2 * NM_BLOCK_LEVELS];
    const uint32_t own = blockIdx.x, head = blockIdx.y, lane = threadIdx.x;
    const uint32_t thread = threadIdx.y * 32 + lane, threads = 32 * attention_warps;
    for (uint32_t i = thread; i < 2 * NM_BLOCK_LEVELS; i += threads) counts[i] = 0;
    __syncthreads();
    const uint32_t scene = scene_of(v.set, own);
    const uint32_t first = v.set.scene_blocks[scene], end = v.set.scene_blocks[scene + 1];
    for (uint32_t i = v.set.block_offsets[own] + threadIdx.y; i < v.set.block_offsets[own + 1]; i += attention_warps) {
        const uint32_t row = v.set.rows[i];
        float largest = -INFINITY, sum = 0.0f;
        for (uint32_t b = first + lane; b < end; b += 32) largest = fmaxf(largest, block_score(v, row, head, b));
        largest = warp_max(largest);
        for (uint32_t b = first + lane; b < end; b += 32) sum += expf(block_score(v, row, head, b) - largest);
        const float normaliser = largest + logf(warp_sum(sum));
        if (lane == 0) store1(v.normaliser, row, head, normaliser);
        for (uint32_t b = first + lane; b < end; b += 32) {
            const uint32_t level = level_of(block_score(v, row, head, b), normaliser);
            atomicAdd(&counts[(b == own ? NM_BLOCK_LEVELS : 0) + level], 1u);
        }
    }
    __syncthreads();
    uint32_t *to = v.histogram + (size_t)2 * (scene * v.heads + head) * NM_BLOCK_LEVELS;
    for (uint32_t i = thread; i < 2 * NM_BLOCK_LEVELS; i += threads) // whole numbers: in any order
        if (counts[i]) atomicAdd(&to[i], counts[i]);
}

constexpr uint32_t cut_threads = 128, cut_levels = NM_BLOCK_LEVELS / cut_threads;

/// One scene and head: every thread sums its levels up, and the first finds the levels among which the cut is.
__global__ void cut_kernel(select_view v) {
    __shared__ double others_sums[cut_threads], own_sums[cut_threads];
    __shared__ uint32_t others_pairs[cut_threads], own_pairs[cut_threads];
    const uint32_t *others = v.histogram + (size_t)2 * blockIdx.x * NM_BLOCK_LEVELS, *own = others + NM_BLOCK_LEVELS;
    const uint32_t thread = threadIdx.x;
    others_sums[thread] = own_sums[thread] = 0.0;
    others_pairs[thread] = own_pairs[thread] = 0;
    for (uint32_t l = thread * cut_levels; l < (thread + 1) * cut_levels; l++) {
        others_sums[thread] += others[l] * NM_BLOCK_SIMILARITY(l);
        own_sums[thread] += own[l] * NM_BLOCK_SIMILARITY(l);
        others_pairs[thread] += others[l];
        own_pairs[thread] += own[l];
    }
    __syncthreads();
    if (thread != 0) return;
    double all = 0.0, sum = 0.0;
    uint32_t pairs = 0, chosen = 0, cut = 0;
    for (uint32_t t = 0; t < cut_threads; t++) {
        all += others_sums[t] + own_sums[t];
        sum += own_sums[t];
        pairs += others_pairs[t] + own_pairs[t];
        chosen += own_pairs[t];
    }
    const bool every = v.tau >= 1.0f; // also the levels that add nothing to a sum
    const double enough = (double)v.tau * all;
    while (cut < NM_BLOCK_LEVELS && (every || sum < enough)) {
        const uint32_t t = cut / cut_levels;
        if (cut % cut_levels == 0 && (every || sum + others_sums[t] < enough)) {
            sum += others_sums[t];
            chosen += others_pairs[t];
            cut += cut_levels;
        } else {
            sum += others[cut] * NM_BLOCK_SIMILARITY(cut);
            chosen += others[cut++];
        }
    }
    v.cuts[blockIdx.x] = cut;
    store1(v.kept, blockIdx.x, 0, all > 0.0 ? (float)(sum / all) : 0.0f);
    store1(v.kept, blockIdx.x, 1, (float)chosen);
    store1(v.kept, blockIdx.x, 2, (float)pairs);
}

/// As measure_kernel; a word of bits at a time.
__global__ void mark_kernel(select_view v) {
    const uint32_t own = blockIdx.x, head = blockIdx.y, lane = threadIdx.x, scene = scene_of(v.set, own);
    const uint32_t first = v.set.scene_blocks[scene], blocks = v.set.scene_blocks[scene + 1] - first;
    const uint32_t cut = v.cuts[scene * v.heads + head];
    for (uint32_t i = v.set.block_offsets[own] + threadIdx.y; i < v.set.block_offsets[own + 1]; i += attention_warps) {
        const uint32_t row = v.set.rows[i];
        const float normaliser = load1(v.normaliser, row, head);
        for (uint32_t w = 0; w < v.set.words; w++) {
            const uint32_t b = 32 * w + lane;
            bool chosen = false;
            if (b < blocks)
                chosen = first + b == own || level_of(block_score(v, row, head, first + b), normaliser) < cut;
            const uint32_t bits = __ballot_sync(0xFFFFFFFFu, chosen);
            if (lane == 0) bits_of(v.set, row, head)[w] = bits;
        }
    }
}

// Attention
// ---------------------------------------------------------------------------------------------------------------------

attention_view block_view_of(const nm_block_attention *op) {
    attention_view a = {};
    a.q = view_of(op->q);
    a.k = view_of(op->k);
    a.v = view_of(op->v);
    a.out = view_of(op->out);
    a.logsumexp = view_of(op->logsumexp);
    a.heads = op->heads;
    a.depth = op->q.cols / op->heads;
    a.tiles = (op->blocks->max_block + own_rows - 1) / own_rows;
    a.depth_own = (a.depth + 3) / 4 * 4;
    a.depth_lanes = a.depth_own + 1;
    a.scale = 1.0f / sqrtf((float)a.depth);
    a.in_vectors = a.depth % 8 == 0 && vectors({op->q, op->k, op->v});
    return a;
}

/// The own rows of a block of threads, which are of one block of tokens, and the scene around them.
struct own_part {
    uint32_t first, owned, block, scene_first, scene_blocks, before, mine;
};
__device__ own_part own_part_of(const attention_view &a, const set_view &s) {
    own_part p;
    p.block = blockIdx.x / a.tiles;
    p.first = s.block_offsets[p.block] + blockIdx.x % a.tiles * own_rows;
    const uint32_t end = s.block_offsets[p.block + 1], scene = scene_of(s, p.block);
    p.owned = p.first < end ? min(end - p.first, (uint32_t)own_rows) : 0;
    p.scene_first = s.scene_blocks[scene];
    p.scene_blocks = s.scene_blocks[scene + 1] - p.scene_first;
    p.before = threadIdx.y * rows_per_warp;
    p.mine = p.owned > p.before ? min(p.owned - p.before, (uint32_t)rows_per_warp) : 0;
    return p;
}

/// Which of 32 blocks any of the own queries attends to. own_bits [own_rows]: of each. All threads call it.
__device__ uint32_t union_of_bits(const set_view &s, const own_part &p, uint32_t head, uint32_t word,
                                  uint32_t *own_bits) {
    const uint32_t thread = threadIdx.y * 32 + threadIdx.x;
    __syncthreads(); // the word before has been read
    if (thread < own_rows) own_bits[thread] = thread < p.owned ? bits_of(s, s.rows[p.first + thread], head)[word] : 0;
    __syncthreads();
    uint32_t all = 0;
    for (int i = 0; i < own_rows; i++) all |= own_bits[i];
    return all;
}
/// Bit i: own row i of the warp attends to block `bit` of the word.
__device__ uint32_t chosen_rows(const own_part &p, const uint32_t *own_bits, uint32_t bit) {
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < p.mine; i++) chosen |= (own_bits[p.before + i] >> bit & 1u) << i;
    return chosen;
}

__host__ __device__ size_t forward_floats(uint32_t depth_own) {
    return (size_t)own_rows * depth_own + (size_t)2 * lane_rows * (depth_own + 1);
}
__host__ __device__ size_t backward_floats(uint32_t depth_own) {
    return (size_t)2 * own_rows * depth_own + (size_t)2 * lane_rows * (depth_own + 1);
}

template <int P>
__global__ void __launch_bounds__(32 * attention_warps) block_attention_kernel(attention_view a, set_view set) {
    __shared__ uint32_t own_bits[own_rows];
    const uint32_t head = blockIdx.y;
    const own_part p = own_part_of(a, set);
    if (p.owned == 0) return;
    NM_DYNAMIC_SHARED(shared);
    float *q = shared, *k = q + own_rows * a.depth_own, *v = k + lane_rows * a.depth_lanes;
    load_rows(a, a.q, head, set.rows + p.first, p.owned, own_rows, a.depth_own, q);
    state<P> s;
#pragma unroll
    for (int i = 0; i < rows_per_warp; i++) {
        s.largest[i] = -INFINITY;
        s.sum[i] = 0.0f;
#pragma unroll
        for (int c = 0; c < P; c++) s.out[i][c] = 0.0f;
    }
    for (uint32_t w = 0; 32 * w < p.scene_blocks; w++) {
        for (uint32_t left = union_of_bits(set, p, head, w, own_bits); left; left &= left - 1) {
            const uint32_t bit = (uint32_t)__ffs((int)left) - 1, block = p.scene_first + 32 * w + bit;
            const uint32_t chosen = chosen_rows(p, own_bits, bit), last_key = set.block_offsets[block + 1];
            for (uint32_t key = set.block_offsets[block]; key < last_key; key += lane_rows) {
                const uint32_t count = min(last_key - key, (uint32_t)lane_rows);
                __syncthreads(); // the tile before has been read
                load_rows(a, a.k, head, set.rows + key, count, lane_rows, a.depth_lanes, k);
                load_rows(a, a.v, head, set.rows + key, count, lane_rows, a.depth_lanes, v);
                __syncthreads();
                if (chosen == 0) continue;
                float scores[rows_per_warp];
                dots(a, q + p.before * a.depth_own, k + threadIdx.x * a.depth_lanes, scores);
#pragma unroll
                for (int i = 0; i < rows_per_warp; i++) scores[i] *= a.scale;
                add_keys(a, s, scores, chosen, threadIdx.x < count, count, v);
            }
        }
    }
    write_queries(a, s, head, set.rows + p.first + p.before, p.mine);
}

// Backward
// ---------------------------------------------------------------------------------------------------------------------

struct gradient_view {
    attention_view a;
    set_view set;
    view dout, dq, dk, dv;
    const float *delta; ///< [tokens][heads]
};

/// What a block of threads works in.
struct tiles {
    float *own, *own_second, *other, *other_second;
};

/// The own rows against one tile of 32 rows of the other side. chosen: bit i, own row i of the warp takes part with the
/// lane's row; any: of any lane of any warp.
template <int P, bool keys>
__device__ void add_tile(const gradient_view &g, const own_part &p, uint32_t head, const tiles &t, uint32_t at,
                         uint32_t count, uint32_t chosen, float (&sums)[rows_per_warp][P],
                         float (&sums_second)[rows_per_warp][P]) {
    const attention_view &a = g.a;
    const uint32_t *rows = g.set.rows + p.first + p.before;
    __syncthreads(); // the tile before has been read
    load_rows(a, keys ? a.q : a.k, head, g.set.rows + at, count, lane_rows, a.depth_lanes, t.other);
    load_rows(a, keys ? g.dout : a.v, head, g.set.rows + at, count, lane_rows, a.depth_lanes, t.other_second);
    __syncthreads();
    if (__ballot_sync(0xFFFFFFFFu, chosen != 0) == 0) return;
    float products[rows_per_warp], dproducts[rows_per_warp];
    dots(a, t.own + p.before * a.depth_own, t.other + threadIdx.x * a.depth_lanes, products);
    dots(a, t.own_second + p.before * a.depth_own, t.other_second + threadIdx.x * a.depth_lanes, dproducts);
#pragma unroll
    for (int i = 0; i < rows_per_warp; i++) {
        float weight = 0.0f, dscore = 0.0f;
        if (chosen >> i & 1) {
            const uint32_t query = keys ? g.set.rows[at + threadIdx.x] : rows[i];
            weight = expf(products[i] * a.scale - load1(a.logsumexp, query, head));
            dscore = weight * (dproducts[i] - g.delta[(size_t)query * a.heads + head]);
        }
        products[i] = dscore;
        dproducts[i] = weight;
    }
    accumulate<P>(a, products, count, t.other, sums);
    if (keys) accumulate<P>(a, dproducts, count, t.other_second, sums_second);
}

/// keys false: own rows are queries; dq. keys true: own rows are keys, lanes are the queries of the scene; dk and dv.
template <int P, bool keys> __global__ void __launch_bounds__(32 * attention_warps) block_grad_kernel(gradient_view g) {
    __shared__ uint32_t own_bits[own_rows];
    const attention_view &a = g.a;
    const uint32_t head = blockIdx.y;
    const own_part p = own_part_of(a, g.set);
    if (p.owned == 0) return;
    NM_DYNAMIC_SHARED(shared);
    tiles t;
    t.own = shared;
    t.own_second = t.own + own_rows * a.depth_own;
    t.other = t.own_second + own_rows * a.depth_own;
    t.other_second = t.other + lane_rows * a.depth_lanes;
    load_rows(a, keys ? a.k : a.q, head, g.set.rows + p.first, p.owned, own_rows, a.depth_own, t.own);
    load_rows(a, keys ? a.v : g.dout, head, g.set.rows + p.first, p.owned, own_rows, a.depth_own, t.own_second);
    float sums[rows_per_warp][P] = {}, sums_second[rows_per_warp][P] = {};
    const uint32_t *offsets = g.set.block_offsets + p.scene_first;
    if (keys) {
        const uint32_t number = p.block - p.scene_first, rows = (1u << p.mine) - 1u;
        for (uint32_t at = offsets[0]; at < offsets[p.scene_blocks]; at += lane_rows) {
            const uint32_t count = min(offsets[p.scene_blocks] - at, (uint32_t)lane_rows);
            const bool attends =
                threadIdx.x < count &&
                (bits_of(g.set, g.set.rows[at + threadIdx.x], head)[number / 32] >> number % 32 & 1u) != 0;
            if (__ballot_sync(0xFFFFFFFFu, attends) == 0) continue; // every warp sees the same
            add_tile<P, keys>(g, p, head, t, at, count, attends ? rows : 0, sums, sums_second);
        }
    } else {
        for (uint32_t w = 0; 32 * w < p.scene_blocks; w++) {
            for (uint32_t left = union_of_bits(g.set, p, head, w, own_bits); left; left &= left - 1) {
                const uint32_t bit = (uint32_t)__ffs((int)left) - 1, end = offsets[32 * w + bit + 1];
                const uint32_t chosen = chosen_rows(p, own_bits, bit);
                for (uint32_t at = offsets[32 * w + bit]; at < end; at += lane_rows) {
                    const uint32_t count = min(end - at, (uint32_t)lane_rows);
                    add_tile<P, keys>(g, p, head, t, at, count, threadIdx.x < count ? chosen : 0, sums, sums_second);
                }
            }
        }
    }
    const uint32_t *rows = g.set.rows + p.first + p.before;
    write_rows<P>(a, keys ? g.dk : g.dq, head, rows, p.mine, sums, a.scale);
    if (keys) write_rows<P>(a, g.dv, head, rows, p.mine, sums_second, 1.0f);
}

void check_attention(const nm_block_attention *op) {
    const uint32_t tokens = op->blocks->tokens, cols = op->q.cols;
    NM_ASSERT(op->heads > 0 && cols % op->heads == 0 && cols / op->heads <= max_depth);
    NM_ASSERT(tokens == 0 || (is_float(op->q) && is_float(op->k) && is_float(op->v) && is_float(op->out)));
    NM_ASSERT(tokens == 0 || (has_shape(op->q, tokens, cols) && has_shape(op->k, tokens, cols) &&
                              has_shape(op->v, tokens, cols) && has_shape(op->out, tokens, cols)));
    NM_ASSERT(!op->logsumexp.data || (has_shape(op->logsumexp, tokens, op->heads) && op->logsumexp.dtype == NM_F32));
    NM_ASSERT(op->selected.dtype == NM_U32 && op->selected.rows == tokens && op->selected.cols % op->heads == 0 &&
              op->selected.cols / op->heads >= nm_block_words(op->blocks->max_scene_blocks));
}

} // namespace

cudaError_t prepare_block_attention() {
    const int forward = (int)(forward_floats(max_depth) * sizeof(float));
    const int backward = (int)(backward_floats(max_depth) * sizeof(float));
    cudaError_t result =
        cudaFuncSetAttribute(block_attention_kernel<8>, cudaFuncAttributeMaxDynamicSharedMemorySize, forward);
    if (result != cudaSuccess) return result;
    result = cudaFuncSetAttribute(block_grad_kernel<8, false>, cudaFuncAttributeMaxDynamicSharedMemorySize, backward);
    if (result != cudaSuccess) return result;
    return cudaFuncSetAttribute(block_grad_kernel<8, true>, cudaFuncAttributeMaxDynamicSharedMemorySize, backward);
}

void block_select(nm_backend *handle, const nm_block_select *op) {
    backend *b = enter(handle, "block_select");
    const nm_block_set *set = op->blocks;
    const uint32_t cols = op->q.cols, pairs = set->scenes * op->heads;
    NM_ASSERT(op->heads > 0 && cols % op->heads == 0 && op->tau >= 0.0f && op->tau <= 1.0f);
    NM_ASSERT(op->means.dtype == NM_F32 && op->normaliser.dtype == NM_F32 && op->kept.dtype == NM_F32);
    NM_ASSERT(op->histogram.dtype == NM_U32 && op->histogram.rows == 2 * pairs &&
              op->histogram.cols == NM_BLOCK_LEVELS && op->histogram.stride == NM_BLOCK_LEVELS);
    NM_ASSERT(op->selected.dtype == NM_U32 && op->selected.rows == set->tokens && op->selected.cols % op->heads == 0 &&
              op->selected.cols / op->heads >= nm_block_words(set->max_scene_blocks));
    NM_ASSERT((size_t)set->tokens * set->max_scene_blocks <= UINT32_MAX && pairs * sizeof(uint32_t) <= operand_bytes);
    if (pairs == 0) return;
    NM_ASSERT(has_shape(op->kept, pairs, 3));
    select_view v;
    v.set = set_view_of(set, op->selected, op->heads);
    v.q = view_of(op->q);
    v.k = view_of(op->k);
    v.means = view_of(op->means);
    v.normaliser = view_of(op->normaliser);
    v.kept = view_of(op->kept);
    v.histogram = static_cast<uint32_t *>(op->histogram.data);
    v.cuts = reinterpret_cast<uint32_t *>(b->operands[0]);
    v.heads = op->heads;
    v.depth = cols / op->heads;
    v.scale = 1.0f / sqrtf((float)v.depth);
    v.tau = op->tau;
    const uint32_t counts = 2 * pairs * NM_BLOCK_LEVELS;
    const dim3 grid(set->blocks, op->heads), block(32, attention_warps);
    launch(b, clear_kernel, dim3((counts + 255) / 256), dim3(256), 0, v.histogram, counts);
    launch(b, means_kernel, dim3(set->blocks, (cols + 127) / 128), dim3(128), 0, v, cols);
    launch(b, measure_kernel, grid, block, 0, v);
    launch(b, cut_kernel, dim3(pairs), dim3(cut_threads), 0, v);
    launch(b, mark_kernel, grid, block, 0, v);
}

void block_attention(nm_backend *handle, const nm_block_attention *op) {
    backend *b = enter(handle, "block_attention");
    check_attention(op);
    const attention_view a = block_view_of(op);
    const set_view set = set_view_of(op->blocks, op->selected, op->heads);
    const dim3 grid(set.blocks * a.tiles, a.heads), block(32, attention_warps);
    const size_t shared = forward_floats(a.depth_own) * sizeof(float);
    if (a.depth <= 64)
        launch(b, block_attention_kernel<2>, grid, block, shared, a, set);
    else
        launch(b, block_attention_kernel<8>, grid, block, shared, a, set);
}

void block_attention_backward(nm_backend *handle, const nm_block_attention_grad *op) {
    backend *b = enter(handle, "block_attention_backward");
    const nm_block_attention *forward = &op->forward;
    const uint32_t tokens = forward->q.rows, cols = forward->q.cols;
    check_attention(forward);
    if (tokens == 0) return;
    NM_ASSERT(forward->logsumexp.data && is_float(op->dout) && has_shape(op->dout, tokens, cols));
    NM_ASSERT(is_float(op->dq) && is_float(op->dk) && is_float(op->dv) && has_shape(op->dq, tokens, cols) &&
              has_shape(op->dk, tokens, cols) && has_shape(op->dv, tokens, cols));
    NM_ASSERT((size_t)tokens * forward->heads * sizeof(float) <= operand_bytes);
    gradient_view g;
    g.a = block_view_of(forward);
    g.a.in_vectors = g.a.in_vectors && vectors({op->dout});
    g.set = set_view_of(forward->blocks, forward->selected, forward->heads);
    g.dout = view_of(op->dout);
    g.dq = view_of(op->dq);
    g.dk = view_of(op->dk);
    g.dv = view_of(op->dv);
    g.delta = reinterpret_cast<float *>(b->operands[0]);
    query_deltas(b, forward->out, op->dout, forward->heads, reinterpret_cast<float *>(b->operands[0]));
    const dim3 grid(g.set.blocks * g.a.tiles, g.a.heads), block(32, attention_warps);
    const size_t shared = backward_floats(g.a.depth_own) * sizeof(float);
    if (g.a.depth <= 64) {
        launch(b, block_grad_kernel<2, false>, grid, block, shared, g);
        launch(b, block_grad_kernel<2, true>, grid, block, shared, g);
    } else {
        launch(b, block_grad_kernel<8, false>, grid, block, shared, g);
        launch(b, block_grad_kernel<8, true>, grid, block, shared, g);
    }
}

} // namespace nm_cuda
