/// The CPU backend from inside: what its files share.
#ifndef NM_NEXUS_OPS_CPU_INTERNAL_H
#define NM_NEXUS_OPS_CPU_INTERNAL_H

#include "nexus/ops/cpu/gemm.h"
#include "nexus/ops/cpu/team.h"

/// Scratch memory grows to what the largest operation so far needed and stays: the first pass of a shape allocates,
/// the next does not. What goes wrong in an operation is kept in `failure` until synchronize tells.
typedef struct nm_cpu {
    nm_backend base;
    char name[128];
    nm_backend_config config; ///< that it was made with
    const nm_cpu_kernels *kernels;
    nm_gemm *gemm;
    const nm_bf16_products *products; ///< for attention in bf16; nullable
    nm_team *team;
    uint32_t threads;
    char *scratch; ///< [threads][scratch_size]: one piece per worker
    size_t scratch_size;
    char *shared; ///< partial sums and tables that all workers see
    size_t shared_size;
    nm_error failure;
} nm_cpu;

/// A weight's packed forms.
typedef struct nm_cpu_weight {
    nm_gemm_weight *forward, *transposed; ///< transposed is made by the first backward pass that needs it
    nm_dtype type;                        ///< products take x in this type
    int stale;                            ///< value was renewed since `transposed` was packed
} nm_cpu_weight;

static inline nm_cpu *nm_cpu_of(nm_backend *backend) {
    return (nm_cpu *)backend;
}

/// At least `bytes` for every worker, or 0 and a failure.
int nm_cpu_need_scratch(nm_cpu *cpu, size_t bytes);
int nm_cpu_need_shared(nm_cpu *cpu, size_t bytes);
static inline void *nm_cpu_scratch(const nm_cpu *cpu, uint32_t worker) {
    return cpu->scratch + worker * cpu->scratch_size;
}
/// Remembers the first failure.
void nm_cpu_fail(nm_cpu *cpu, const nm_error *error);

/// Share `worker` of `workers` of [0, count): consecutive, the same every time.
typedef struct nm_range {
    uint32_t first, end;
} nm_range;
static inline nm_range nm_share(uint32_t count, uint32_t worker, uint32_t workers) {
    const nm_range r = {(uint32_t)((uint64_t)count * worker / workers),
                        (uint32_t)((uint64_t)count * (worker + 1) / workers)};
    return r;
}
static inline uint32_t nm_blocks(size_t count, uint32_t size) {
    return (uint32_t)((count + size - 1) / size);
}
/// Rows of a tensor that may be absent.
static inline nm_tensor nm_cut(nm_tensor t, uint32_t first, uint32_t count) {
    return t.data ? nm_tensor_rows(t, first, count) : t;
}

/// Runs task on the blocks of `rows` rows, shared out as the products share theirs, so that a row stays in the cache of
/// one core. `cols` decides whether it is worth waking the others.
typedef void nm_cpu_rows_task(nm_cpu *cpu, const void *op, uint32_t first, uint32_t count, uint32_t worker);
void nm_cpu_for_rows(nm_cpu *cpu, uint32_t rows, uint32_t cols, nm_cpu_rows_task *task, const void *op);

/// dweight += dp^T x and dbias += the sums of dp's columns, with gemm->outers. Of a weight whose products are taken in
/// float32, dp is in bf16 and x keeps all its bits, except those below the smallest normal number.
void nm_cpu_outer_bf16(nm_cpu *cpu, const nm_linear_grad *op);

nm_linear_forward nm_cpu_linear;
nm_linear_backward nm_cpu_linear_backward;
nm_epilogue_backward nm_cpu_epilogue_backward;
nm_layer_norm_forward nm_cpu_layer_norm;
nm_layer_norm_backward nm_cpu_layer_norm_backward;
nm_silu_forward nm_cpu_silu;
nm_silu_backward nm_cpu_silu_backward;
nm_attention_forward nm_cpu_attention;
nm_attention_backward nm_cpu_attention_backward;
nm_block_select_forward nm_cpu_block_select;
nm_block_attention_forward nm_cpu_block_attention;
nm_block_attention_backward nm_cpu_block_attention_backward;
nm_rotary nm_cpu_rotary;
nm_pair_turn_forward nm_cpu_turn;
nm_assemble_forward nm_cpu_assemble;
nm_sinusoid_forward nm_cpu_sinusoid;
nm_lookup_forward nm_cpu_lookup;
nm_lookup_backward nm_cpu_lookup_backward;
nm_repeat_forward nm_cpu_repeat;
nm_repeat_backward nm_cpu_repeat_backward;
nm_noise_loss_forward nm_cpu_noise_loss;
nm_adamw_step nm_cpu_adamw;
nm_square_sum nm_cpu_square_sum;
nm_status nm_cpu_pack_weight(nm_backend *backend, nm_weight *weight, nm_error *error);
void nm_cpu_release_weight(nm_backend *backend, nm_weight *weight);

#endif
