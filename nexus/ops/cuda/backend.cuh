/// What the files of the CUDA backend share on the host side.
///
/// One stream, owned by the backend: operations run in the order they were called and may use the same scratch memory
/// one after the other. No operation allocates, waits for the device or looks at what device memory holds, so any
/// sequence of them can be recorded.
#ifndef NM_NEXUS_OPS_CUDA_BACKEND_CUH
#define NM_NEXUS_OPS_CUDA_BACKEND_CUH

#include "nexus/ops/cuda/launch.cuh"
#include "nexus/ops/ops.h"

namespace nm_cuda {

struct blas;

/// Pinned host memory on its way to the device. `done` is recorded behind the last copy out of it.
struct staging {
    void *memory;
    cudaEvent_t done;
};
constexpr int staging_count = 2;
constexpr size_t staging_bytes = (size_t)4 << 20;

/// Device memory for what lives only inside one operation.
constexpr size_t product_bytes = (size_t)32 << 20; ///< float32 products before their epilogue; partial sums
constexpr size_t operand_bytes = (size_t)16 << 20; ///< operands in the product's type; what attention keeps per row

struct backend {
    nm_backend base; // first: nm_backend is what callers hold
    nm_ops table;
    char name[384];
    int device;
    cudaStream_t stream;
    nm_cuda::blas *blas;
    staging stagings[staging_count];
    int next_staging;
    char *product;     ///< [product_bytes] device
    char *operands[2]; ///< [operand_bytes] device
    bool capturing;
    const char *operation; ///< the last one started: the best guess when a kernel fails later
    nm_error failure;      ///< the first since the last synchronize
};

/// The backend behind the handle; makes its device the calling thread's and notes which operation runs.
backend *enter(nm_backend *handle, const char *operation);

/// Notes a failure unless there was one before. Returns whether `result` is a success.
bool check(backend *b, cudaError_t result);
void fail(backend *b, nm_status code, const char *why);

/// Starts a kernel on the backend's stream; an empty grid starts nothing. The error, if any, is kept for synchronize.
template <class... Parameters, class... Arguments>
void launch(backend *b, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared,
            const Arguments &...arguments) {
    if (grid.x == 0 || grid.y == 0) return;
    check(b, start_kernel(b->stream, kernel, grid, block, shared, Parameters(arguments)...));
}

/// A tensor of one of the three types that kernels take, or absent.
inline bool is_float(nm_tensor t) {
    return t.data && (t.dtype == NM_F32 || t.dtype == NM_BF16);
}
inline bool has_shape(nm_tensor t, uint32_t rows, uint32_t cols) {
    return t.data && t.rows == rows && t.cols == cols && t.stride >= cols;
}

// memory.cu
void *allocate(nm_backend *handle, size_t bytes);
void release(nm_backend *handle, void *memory);
void upload(nm_backend *handle, const float *host, nm_tensor to);
void download(nm_backend *handle, nm_tensor from, float *host);
void upload_u32(nm_backend *handle, const uint32_t *host, size_t count, uint32_t *to);
void zero(nm_backend *handle, nm_tensor t);
void convert(nm_backend *handle, nm_tensor from, nm_tensor to);
void add(nm_backend *handle, nm_tensor from, nm_tensor to);
nm_status synchronize(nm_backend *handle, nm_error *error);
/// The same as `convert` and `add`, of any two types, as parts of other operations.
void convert_tensor(backend *b, nm_tensor from, nm_tensor to);
void add_tensor(backend *b, nm_tensor from, nm_tensor to);

// linear.cu
nm_status pack_weight(nm_backend *handle, nm_weight *weight, nm_error *error);
void release_weight(nm_backend *handle, nm_weight *weight);
nm_linear_forward linear;
nm_linear_backward linear_backward;
nm_epilogue_backward epilogue_backward;

// norm.cu
nm_layer_norm_forward layer_norm;
nm_layer_norm_backward layer_norm_backward;
nm_silu_forward silu;
nm_silu_backward silu_backward;

// attention.cu, attention_backward.cu
nm_attention_forward attention;
nm_attention_backward attention_backward;
nm_rotary rotary;
nm_pair_turn_forward turn;
/// Lets the attention kernels use more shared memory than a kernel gets unasked.
cudaError_t prepare_attention();
cudaError_t prepare_attention_backward();

// block_attention.cu
nm_block_select_forward block_select;
nm_block_attention_forward block_attention;
nm_block_attention_backward block_attention_backward;
cudaError_t prepare_block_attention();

// embed.cu
nm_assemble_forward assemble;
nm_sinusoid_forward sinusoid;
nm_lookup_forward lookup;
nm_lookup_backward lookup_backward;
nm_repeat_forward repeat;
nm_repeat_backward repeat_backward;

// train.cu
nm_noise_loss_forward noise_loss;
nm_adamw_step adamw;
nm_square_sum square_sum;

// graph.cu
nm_status capture_begin(nm_backend *handle, nm_error *error);
nm_status capture_end(nm_backend *handle, nm_recording **recording, nm_error *error);
void replay(nm_backend *handle, const nm_recording *recording);
void release_recording(nm_backend *handle, nm_recording *recording);

} // namespace nm_cuda
#endif
