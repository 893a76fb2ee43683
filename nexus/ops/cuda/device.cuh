/// What kernels share: views of tensors in two types, 128-bit loads, reductions over a warp, element-wise kernels.
///
/// Compiled without contraction (--fmad=false), like the rest of the project; loops that want fused multiply-adds say
/// fmaf.
#ifndef NM_NEXUS_OPS_CUDA_DEVICE_CUH
#define NM_NEXUS_OPS_CUDA_DEVICE_CUH

#include "nexus/ops/cuda/backend.cuh"

namespace nm_cuda {

/// A tensor as a kernel sees it. The type is a run-time flag, the same for a whole launch: a branch that never diverges
/// costs next to nothing where memory is the limit, and every kernel is compiled once instead of once per mix of types.
struct view {
    char *data;
    uint32_t stride; ///< elements
    bool bf16;       ///< else float32
};
inline view view_of(nm_tensor t) {
    return {static_cast<char *>(t.data), t.stride, t.dtype == NM_BF16};
}
__host__ __device__ inline bool present(const view &v) {
    return v.data != nullptr;
}

__device__ inline float bf16_to_float(uint16_t bits) {
    return __uint_as_float((uint32_t)bits << 16);
}
/// Rounds to nearest even.
__device__ inline uint16_t float_to_bf16(float value) {
#ifdef __CUDA_ARCH__
    uint16_t bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    const uint32_t bits = __float_as_uint(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return 0x7FFF;
    return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
#endif
}

/// V elements from (row, col): 128-bit accesses for V = 8 (see `vectors`), single elements for V = 1.
template <int V> __device__ inline void load(const view &v, uint32_t row, uint32_t col, float (&out)[V]) {
    const size_t at = (size_t)row * v.stride + col;
    if (V == 1) {
        out[0] = v.bf16 ? bf16_to_float(reinterpret_cast<const uint16_t *>(v.data)[at])
                        : reinterpret_cast<const float *>(v.data)[at];
    } else if (v.bf16) {
        const uint4 words = *reinterpret_cast<const uint4 *>(v.data + at * 2);
        const uint32_t pairs[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
        for (int i = 0; i < V; i++) out[i] = bf16_to_float((uint16_t)(pairs[(i / 2) & 3] >> (i % 2 * 16)));
    } else {
#pragma unroll
        for (int i = 0; i < V; i += 4) {
            const float4 four = *reinterpret_cast<const float4 *>(v.data + (at + i) * 4);
            const float parts[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
            for (int j = 0; j < 4; j++) out[(i + j) % V] = parts[j];
        }
    }
}
template <int V> __device__ inline void store(const view &v, uint32_t row, uint32_t col, const float (&in)[V]) {
    const size_t at = (size_t)row * v.stride + col;
    if (V == 1) {
        if (v.bf16)
            reinterpret_cast<uint16_t *>(v.data)[at] = float_to_bf16(in[0]);
        else
            reinterpret_cast<float *>(v.data)[at] = in[0];
    } else if (v.bf16) {
        uint32_t pairs[4] = {0, 0, 0, 0};
#pragma unroll
        for (int i = 0; i < V; i++) pairs[(i / 2) & 3] |= (uint32_t)float_to_bf16(in[i]) << (i % 2 * 16);
        *reinterpret_cast<uint4 *>(v.data + at * 2) = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    } else {
#pragma unroll
        for (int i = 0; i < V; i += 4)
            *reinterpret_cast<float4 *>(v.data + (at + i) * 4) =
                make_float4(in[i % V], in[(i + 1) % V], in[(i + 2) % V], in[(i + 3) % V]);
    }
}
__device__ inline float load1(const view &v, uint32_t row, uint32_t col) {
    float value[1];
    load<1>(v, row, col, value);
    return value[0];
}
__device__ inline void store1(const view &v, uint32_t row, uint32_t col, float value) {
    const float values[1] = {value};
    store<1>(v, row, col, values);
}

/// Whether eight elements at a time may be read from every one of `tensors` (absent ones do not count).
inline bool vectors(std::initializer_list<nm_tensor> tensors) {
    for (const nm_tensor &t : tensors) {
        if (!t.data) continue;
        if (reinterpret_cast<uintptr_t>(t.data) % 16 != 0 || t.cols % 8 != 0) return false;
        if (t.rows > 1 && t.stride % 8 != 0) return false;
    }
    return true;
}

/// Over the lanes of a warp; every lane gets the result, and the same bits.
__device__ inline float warp_sum(float value) {
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xFFFFFFFFu, value, distance);
    return value;
}
__device__ inline float warp_max(float value) {
    for (int distance = 16; distance > 0; distance /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, distance));
    return value;
}

__device__ inline float sigmoid(float x) {
    return 1.0f / (1.0f + expf(-x));
}
/// Phi, by the complement: no digits are lost on the left.
__device__ inline float normal_cdf(float x) {
    return 0.5f * erfcf(-0.70710678f * x);
}

/// Calls op.at<V>(row, col) once for every V-th column of [rows][cols].
template <int V, class Op> __global__ void elementwise_kernel(Op op, uint32_t count, uint32_t groups) {
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) op.template at<V>(i / groups, i % groups * V);
}
template <class Op> void elementwise(backend *b, const Op &op, uint32_t rows, uint32_t cols, bool in_vectors) {
    constexpr uint32_t threads = 256;
    const uint32_t groups = in_vectors ? cols / 8 : cols;
    NM_ASSERT((uint64_t)rows * groups <= UINT32_MAX - threads);
    const uint32_t count = rows * groups;
    const dim3 grid((count + threads - 1) / threads);
    if (in_vectors)
        launch(b, elementwise_kernel<8, Op>, grid, dim3(threads), 0, op, count, groups);
    else
        launch(b, elementwise_kernel<1, Op>, grid, dim3(threads), 0, op, count, groups);
}

} // namespace nm_cuda
#endif
