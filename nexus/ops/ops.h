/// The operations of the diffusion core as a table of functions: the network is written once over it.
///
/// Three backends fill the table:
///   reference  scalar plain C in float64, one thread: the specification, and the path on which gradients are checked
///   cpu        float32, or bf16 matrix products with a float32 residual stream; threads, vector instructions
///   cuda       the same two on an NVIDIA GPU
/// What a contract calls "stream type" is F32 (F64 in the reference): the residual stream and its gradient. "Compute
/// type" is what goes into matrix products: BF16 or F32 (F64). "Parameter type" is F32 (F64).
///
/// Operations check shapes by assertion: a wrong shape is a bug of the caller. They allocate nothing (nm_backend_create
/// and pack_weight do). They may run asynchronously; `synchronize` waits and tells what went wrong. One thread at a
/// time per backend; several backends may be used at once.
///
/// Determinism: the same input gives the same bits, every time, for any number of threads.
#ifndef NM_NEXUS_OPS_OPS_H
#define NM_NEXUS_OPS_OPS_H

#include "nexus/ops/attention.h"
#include "nexus/ops/block_attention.h"
#include "nexus/ops/embed.h"
#include "nexus/ops/linear.h"
#include "nexus/ops/norm.h"
#include "nexus/ops/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A sequence of operations recorded once and replayed as a whole, which spares the cost of starting each one (a CUDA
/// graph). Between capture_begin and capture_end, network and training operations, `zero`, `convert` and `add` are
/// recorded and do not run; nothing else may be called. Replaying runs them with the same addresses and shapes and the
/// same values of everything that was given by value (an optimiser's step, for one); what the addresses hold may change
/// between replays. Run the same sequence once before it is recorded: backends prepare each shape the first time they
/// see it. Recordings end before the backend does.
typedef struct nm_recording nm_recording;

typedef struct nm_ops {
    // memory
    // -----------------------------------------------------------------------------------------------------------
    /// Zeroed memory of the backend, aligned to 256 bytes; NULL when there is none.
    void *(*allocate)(nm_backend *backend, size_t bytes);
    void (*release)(nm_backend *backend, void *memory);
    /// Host floats to a tensor of any float type, and back; rounding to nearest even. `host` is [rows][cols]
    /// contiguous. The caller may change or free it once upload or upload_u32 returned; what download writes is there
    /// once synchronize returned NM_OK.
    void (*upload)(nm_backend *backend, const float *host, nm_tensor to);
    void (*download)(nm_backend *backend, nm_tensor from, float *host);
    void (*upload_u32)(nm_backend *backend, const uint32_t *host, size_t count, uint32_t *to);
    void (*zero)(nm_backend *backend, nm_tensor t);
    /// to = from, converting between float types; the same shape.
    void (*convert)(nm_backend *backend, nm_tensor from, nm_tensor to);
    /// to += from, both of the stream type; the same shape.
    void (*add)(nm_backend *backend, nm_tensor from, nm_tensor to);
    /// Makes or renews weight->packed out of weight->value and bias. Renewing keeps the addresses, so that
    /// recordings go on with the new values.
    nm_status (*pack_weight)(nm_backend *backend, nm_weight *weight, nm_error *error);
    void (*release_weight)(nm_backend *backend, nm_weight *weight); ///< packed, which is NULL then
    /// Waits for everything; the first failure since the last call.
    nm_status (*synchronize)(nm_backend *backend, nm_error *error);

    // network
    // ----------------------------------------------------------------------------------------------------------
    nm_linear_forward *linear;
    nm_linear_backward *linear_backward;
    nm_epilogue_backward *epilogue_backward;
    nm_layer_norm_forward *layer_norm;
    nm_layer_norm_backward *layer_norm_backward;
    nm_silu_forward *silu;
    nm_silu_backward *silu_backward;
    nm_attention_forward *attention;
    nm_attention_backward *attention_backward;
    nm_block_select_forward *block_select;
    nm_block_attention_forward *block_attention;
    nm_block_attention_backward *block_attention_backward;
    nm_rotary *rotary;
    nm_pair_turn_forward *turn;
    nm_assemble_forward *assemble;
    nm_sinusoid_forward *sinusoid;
    nm_lookup_forward *lookup;
    nm_lookup_backward *lookup_backward;
    nm_repeat_forward *repeat;
    nm_repeat_backward *repeat_backward;

    // training
    // ---------------------------------------------------------------------------------------------------------
    nm_noise_loss_forward *noise_loss;
    nm_adamw_step *adamw;
    nm_square_sum *square_sum;

    // recording of a pass, NULL where the backend has none; see nm_recording
    // ------------------------------------------------------------------------------------------------------------
    nm_status (*capture_begin)(nm_backend *backend, nm_error *error);
    nm_status (*capture_end)(nm_backend *backend, nm_recording **recording, nm_error *error);
    void (*replay)(nm_backend *backend, const nm_recording *recording);
    void (*release_recording)(nm_backend *backend, nm_recording *recording);
} nm_ops;

/// Every backend's struct begins with this.
struct nm_backend {
    const nm_ops *ops;
    const char *name; ///< such as "cpu: oneDNN 2.6, AVX-512, bf16, 2 threads"; owned by the backend
    nm_dtype stream, compute, parameter;
    void (*destroy)(nm_backend *backend);
    uint32_t threads; ///< that backends beside it may have all together, its own; 1 where there can be none
    nm_status (*beside)(const nm_backend *backend, int threads, nm_backend **made, nm_error *error); ///< NULL: none
};

/// Who takes the CPU backend's matrix products. AUTO: in bf16 our own loops where the processor has AMX; else oneDNN,
/// else a fast CBLAS (OpenBLAS, BLIS, MKL), else our own loops. Where a library or the processor does no better, what
/// is asked for in bf16 is computed in float32.
typedef enum nm_gemm_kind { NM_GEMM_AUTO = 0, NM_GEMM_DNNL, NM_GEMM_CBLAS, NM_GEMM_PORTABLE } nm_gemm_kind;
/// Instructions of the CPU backend's own kernels. AUTO: the best that the processor has.
typedef enum nm_cpu_isa {
    NM_CPU_ISA_AUTO = 0,
    NM_CPU_ISA_PORTABLE,
    NM_CPU_ISA_AVX2,
    NM_CPU_ISA_AVX512,
    NM_CPU_ISA_AVX512BF16 ///< with AMX, where that is there too
} nm_cpu_isa;

/// threads      cpu: 1..256, 0 = one per core
/// compute      NM_F32 or NM_BF16
/// device       cuda: its number
/// gemm, isa    cpu: for tests and benches; what the build or the machine lacks is refused with NM_E_UNSUPPORTED
typedef struct nm_backend_config {
    int threads;
    nm_dtype compute;
    int device;
    nm_gemm_kind gemm;
    nm_cpu_isa isa;
} nm_backend_config;
NM_API nm_backend_config nm_backend_config_default(void); ///< threads 0, NM_BF16, device 0, AUTO, AUTO

NM_API nm_status nm_backend_create_reference(nm_backend **backend, nm_error *error);
NM_API nm_status nm_backend_create_cpu(const nm_backend_config *config, nm_backend **backend, nm_error *error);
/// NM_E_UNSUPPORTED, saying why, in a build without CUDA or on a machine without a usable GPU.
NM_API nm_status nm_backend_create_cuda(const nm_backend_config *config, nm_backend **backend, nm_error *error);
/// Another one of the same kind, with as many threads, that computes the same bits in the same memory: for threads that
/// sample side by side. NM_E_UNSUPPORTED where backend->threads is 1 for want of such: CUDA and the reference, and CPU
/// backends whose products a CBLAS takes that has one setting for all threads of the program; else errors of
/// nm_backend_create_cpu.
NM_API nm_status nm_backend_create_beside(const nm_backend *backend, int threads, nm_backend **made, nm_error *error);
NM_API void nm_backend_destroy(nm_backend *backend); ///< NULL is fine

/// A new [rows][cols] tensor, stride = cols, zeroed; data NULL when there is no memory. Release with ops->release.
static inline nm_tensor nm_tensor_create(nm_backend *backend, uint32_t rows, uint32_t cols, nm_dtype dtype) {
    nm_tensor t = {NULL, rows, cols, cols, dtype};
    t.data = backend->ops->allocate(backend, ((size_t)rows * cols + 1) * nm_dtype_size(dtype));
    return t;
}

#ifdef __cplusplus
}
#endif
#endif
