#include "nexus/ops/cpu/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "base/thread_pool.h"

// Memory
// ---------------------------------------------------------------------------------------------------------------------

static void *allocate(nm_backend *backend, size_t bytes) {
    (void)backend;
    return nm_pages_allocate(bytes);
}
static void release(nm_backend *backend, void *memory) {
    (void)backend;
    nm_pages_release(memory);
}

static int grow(nm_cpu *cpu, char **memory, size_t *size, size_t pieces, size_t bytes) {
    if (bytes <= *size) return 1;
    const size_t rounded = (bytes + 4095) / 4096 * 4096;
    char *larger = aligned_alloc(4096, rounded * pieces);
    if (!larger) {
        nm_error error;
        NM_ERROR(&error, NM_E_MEMORY, "out of memory: an operation needs %zu bytes of scratch", rounded * pieces);
        nm_cpu_fail(cpu, &error);
        return 0;
    }
    memset(larger, 0, rounded * pieces);
    free(*memory);
    *memory = larger;
    *size = rounded;
    return 1;
}
int nm_cpu_need_scratch(nm_cpu *cpu, size_t bytes) {
    return grow(cpu, &cpu->scratch, &cpu->scratch_size, cpu->threads, bytes);
}
int nm_cpu_need_shared(nm_cpu *cpu, size_t bytes) {
    return grow(cpu, &cpu->shared, &cpu->shared_size, 1, bytes);
}
void nm_cpu_fail(nm_cpu *cpu, const nm_error *error) {
    if (cpu->failure.code == NM_OK) cpu->failure = *error;
}

static int is_fast(nm_dtype type) {
    return type == NM_F32 || type == NM_BF16;
}
/// float64 appears in scalars only, where losses and norms are summed: element by element will do.
static void copy_f64(nm_tensor from, nm_tensor to, nm_cpu *cpu) {
    for (uint32_t r = 0; r < to.rows; r++) {
        for (uint32_t c = 0; c < to.cols; c++) {
            const size_t f = (size_t)r * from.stride + c, t = (size_t)r * to.stride + c;
            float narrow = 0.0f;
            const nm_tensor one = {&narrow, 1, 1, 1, NM_F32};
            if (from.dtype == NM_F64 && to.dtype == NM_F64) {
                ((double *)to.data)[t] = ((const double *)from.data)[f];
            } else if (from.dtype == NM_F64) {
                narrow = (float)((const double *)from.data)[f];
                nm_tensor cell = to;
                cell.data = (char *)to.data + t * nm_dtype_size(to.dtype);
                cell.rows = cell.cols = cell.stride = 1;
                cpu->kernels->convert(one, cell);
            } else {
                nm_tensor cell = from;
                cell.data = (char *)from.data + f * nm_dtype_size(from.dtype);
                cell.rows = cell.cols = cell.stride = 1;
                cpu->kernels->convert(cell, one);
                ((double *)to.data)[t] = (double)narrow;
            }
        }
    }
}

typedef struct copy {
    nm_tensor from, to;
} copy;
static void copy_rows(nm_cpu *cpu, const void *op, uint32_t first, uint32_t count, uint32_t worker) {
    const copy *c = op;
    (void)worker;
    cpu->kernels->convert(nm_cut(c->from, first, count), nm_cut(c->to, first, count));
}
static void convert(nm_backend *backend, nm_tensor from, nm_tensor to) {
    NM_ASSERT(nm_tensor_same_shape(from, to) && from.dtype != NM_U32 && to.dtype != NM_U32);
    nm_cpu *cpu = nm_cpu_of(backend);
    const copy c = {from, to};
    if (is_fast(from.dtype) && is_fast(to.dtype))
        nm_cpu_for_rows(cpu, to.rows, to.cols, copy_rows, &c);
    else
        copy_f64(from, to, cpu);
}
static void add_rows(nm_cpu *cpu, const void *op, uint32_t first, uint32_t count, uint32_t worker) {
    const copy *c = op;
    (void)worker;
    for (uint32_t r = first; r < first + count; r++) {
        cpu->kernels->sum_rows(c->from, NULL, r, 1, 1, 1, nm_tensor_rows(c->to, r, 1));
    }
}
static void add(nm_backend *backend, nm_tensor from, nm_tensor to) {
    NM_ASSERT(nm_tensor_same_shape(from, to) && from.dtype == NM_F32 && to.dtype == NM_F32);
    const copy c = {from, to};
    nm_cpu_for_rows(nm_cpu_of(backend), to.rows, to.cols, add_rows, &c);
}
static void upload(nm_backend *backend, const float *host, nm_tensor to) {
    // a view of what is only read; tensors have no const form
    const nm_tensor from = {(void *)(uintptr_t)host, to.rows, to.cols, to.cols, NM_F32};
    convert(backend, from, to);
}
static void download(nm_backend *backend, nm_tensor from, float *host) {
    const nm_tensor to = {host, from.rows, from.cols, from.cols, NM_F32};
    convert(backend, from, to);
}
static void upload_u32(nm_backend *backend, const uint32_t *host, size_t count, uint32_t *to) {
    (void)backend;
    if (count) memcpy(to, host, count * sizeof *to);
}
static void zero_rows(nm_cpu *cpu, const void *op, uint32_t first, uint32_t count, uint32_t worker) {
    const nm_tensor *t = op;
    const size_t size = nm_dtype_size(t->dtype);
    (void)cpu, (void)worker;
    for (size_t r = first; r < (size_t)first + count; r++) {
        memset((char *)t->data + r * t->stride * size, 0, t->cols * size);
    }
}
static void zero(nm_backend *backend, nm_tensor t) {
    enum { PIECE = 4096 };
    nm_cpu *cpu = nm_cpu_of(backend);
    if (t.rows != 1) {
        nm_cpu_for_rows(cpu, t.rows, t.cols, zero_rows, &t);
        return;
    }
    // a long array, such as all gradients, in pieces
    const nm_tensor pieces = {t.data, t.cols / PIECE, PIECE, PIECE, t.dtype};
    nm_cpu_for_rows(cpu, pieces.rows, PIECE, zero_rows, &pieces);
    const nm_tensor rest = nm_tensor_cols(t, pieces.rows * PIECE, t.cols % PIECE);
    zero_rows(cpu, &rest, 0, 1, 0);
}
static nm_status synchronize(nm_backend *backend, nm_error *error) {
    nm_cpu *cpu = nm_cpu_of(backend);
    const nm_status status = cpu->failure.code;
    if (status != NM_OK && error) *error = cpu->failure;
    nm_error_clear(&cpu->failure);
    return status;
}

// Rows
// ---------------------------------------------------------------------------------------------------------------------

typedef struct rows_run {
    nm_cpu *cpu;
    nm_cpu_rows_task *task;
    const void *op;
    uint32_t rows;
} rows_run;

static void run_rows(void *context, uint32_t worker, uint32_t workers) {
    const rows_run *run = context;
    const uint32_t block = run->cpu->gemm->block;
    const nm_range share = nm_share(nm_blocks(run->rows, block), worker, workers);
    const uint32_t first = share.first * block, end = share.end * block < run->rows ? share.end * block : run->rows;
    if (first < end) run->task(run->cpu, run->op, first, end - first, worker);
}
void nm_cpu_for_rows(nm_cpu *cpu, uint32_t rows, uint32_t cols, nm_cpu_rows_task *task, const void *op) {
    rows_run run = {cpu, task, op, rows};
    const int small = (size_t)rows * cols < 8192; // a few microseconds, about what waking the others takes
    nm_team_run(cpu->team, small ? 1 : nm_blocks(rows, cpu->gemm->block), run_rows, &run);
}

// The table
// ---------------------------------------------------------------------------------------------------------------------

static const nm_ops cpu_ops = {
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .upload_u32 = upload_u32,
    .zero = zero,
    .convert = convert,
    .add = add,
    .pack_weight = nm_cpu_pack_weight,
    .release_weight = nm_cpu_release_weight,
    .synchronize = synchronize,
    .linear = nm_cpu_linear,
    .linear_backward = nm_cpu_linear_backward,
    .epilogue_backward = nm_cpu_epilogue_backward,
    .layer_norm = nm_cpu_layer_norm,
    .layer_norm_backward = nm_cpu_layer_norm_backward,
    .silu = nm_cpu_silu,
    .silu_backward = nm_cpu_silu_backward,
    .attention = nm_cpu_attention,
    .attention_backward = nm_cpu_attention_backward,
    .block_select = nm_cpu_block_select,
    .block_attention = nm_cpu_block_attention,
    .block_attention_backward = nm_cpu_block_attention_backward,
    .rotary = nm_cpu_rotary,
    .turn = nm_cpu_turn,
    .assemble = nm_cpu_assemble,
    .sinusoid = nm_cpu_sinusoid,
    .lookup = nm_cpu_lookup,
    .lookup_backward = nm_cpu_lookup_backward,
    .repeat = nm_cpu_repeat,
    .repeat_backward = nm_cpu_repeat_backward,
    .noise_loss = nm_cpu_noise_loss,
    .adamw = nm_cpu_adamw,
    .square_sum = nm_cpu_square_sum,
};

static void destroy(nm_backend *backend) {
    nm_cpu *cpu = nm_cpu_of(backend);
    nm_team_destroy(cpu->team);
    if (cpu->gemm) cpu->gemm->destroy(cpu->gemm);
    free(cpu->scratch);
    free(cpu->shared);
    free(cpu);
}

/// The best kernels that the machine runs, or those asked for.
static const nm_cpu_kernels *choose_kernels(nm_cpu_isa isa, nm_error *error) {
#if defined(__x86_64__)
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    const int bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
    if (bf16 && (isa == NM_CPU_ISA_AUTO || isa == NM_CPU_ISA_AVX512BF16)) return &nm_cpu_kernels_avx512bf16;
    if (avx512 && (isa == NM_CPU_ISA_AUTO || isa == NM_CPU_ISA_AVX512)) return &nm_cpu_kernels_avx512;
    if (avx2 && (isa == NM_CPU_ISA_AUTO || isa == NM_CPU_ISA_AVX2)) return &nm_cpu_kernels_avx2;
#endif
    if (isa == NM_CPU_ISA_AUTO || isa == NM_CPU_ISA_PORTABLE) return &nm_cpu_kernels_portable;
    const char *name = isa == NM_CPU_ISA_AVX2 ? "AVX2 and FMA" : isa == NM_CPU_ISA_AVX512 ? "AVX-512" : "AVX512-BF16";
    NM_ERROR(error, NM_E_UNSUPPORTED, "this processor has no %s", name);
    return NULL;
}

static nm_status choose_gemm(const nm_backend_config *config, uint32_t threads, nm_cpu *cpu, nm_error *error) {
    const int bf16 = config->compute == NM_BF16;
    switch (config->gemm) {
    case NM_GEMM_PORTABLE:
        return nm_gemm_create_portable(cpu->kernels, bf16, &cpu->gemm, error);
    case NM_GEMM_CBLAS:
        return nm_gemm_create_cblas(threads, &cpu->gemm, error);
    case NM_GEMM_DNNL:
        return nm_gemm_create_dnnl(threads, bf16, &cpu->gemm, error);
    case NM_GEMM_AUTO:
        break;
    }
    if (cpu->products &&
        cpu->products == nm_bf16_find_amx()) { // about as fast as oneDNN, which allocates in every call
        return nm_gemm_create_portable(cpu->kernels, bf16, &cpu->gemm, error);
    }
    if (nm_gemm_create_dnnl(threads, bf16, &cpu->gemm, NULL) == NM_OK) return NM_OK;
    if (nm_gemm_cblas_is_fast() && nm_gemm_create_cblas(threads, &cpu->gemm, NULL) == NM_OK) return NM_OK;
    return nm_gemm_create_portable(cpu->kernels, bf16, &cpu->gemm, error);
}

static nm_status set_up(const nm_backend_config *config, nm_cpu *cpu, nm_error *error) {
    cpu->kernels = choose_kernels(config->isa, error);
    if (!cpu->kernels) return NM_E_UNSUPPORTED;
    if (config->compute == NM_BF16) cpu->products = nm_gemm_portable_bf16(cpu->kernels);
    int threads = config->threads;
    if (threads < 0 || threads > 256) {
        return NM_ERROR(error, NM_E_ARGUMENT, "the number of threads is %d, not in 0..256", threads);
    }
    if (threads == 0) threads = nm_cpu_count() < 256 ? nm_cpu_count() : 256;
    cpu->threads = (uint32_t)threads;
    nm_status status = choose_gemm(config, cpu->threads, cpu, error);
    if (status == NM_OK) status = nm_team_create(threads, cpu->gemm->begin_thread, &cpu->team, error);
    return status;
}

static nm_status create_beside(const nm_backend *backend, int threads, nm_backend **made, nm_error *error) {
    nm_backend_config config = ((const nm_cpu *)backend)->config;
    config.threads = threads;
    return nm_backend_create_cpu(&config, made, error);
}

nm_status nm_backend_create_cpu(const nm_backend_config *config, nm_backend **backend, nm_error *error) {
    *backend = NULL;
    if (config->compute != NM_F32 && config->compute != NM_BF16) {
        return NM_ERROR(error, NM_E_ARGUMENT, "the CPU backend computes in float32 or bf16");
    }
    nm_cpu *cpu = calloc(1, sizeof *cpu);
    if (!cpu) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the CPU backend");
    cpu->base = (nm_backend){.ops = &cpu_ops,
                             .name = cpu->name,
                             .stream = NM_F32,
                             .compute = config->compute,
                             .parameter = NM_F32,
                             .destroy = destroy,
                             .threads = 1};
    cpu->config = *config;
    const nm_status status = set_up(config, cpu, error);
    if (status != NM_OK) {
        destroy(&cpu->base);
        return status;
    }
    if (cpu->gemm->side_by_side) {
        cpu->base.threads = cpu->threads;
        cpu->base.beside = create_beside;
    }
    const char *compute = config->compute == NM_F32    ? "float32"
                          : cpu->gemm->bf16 == NM_BF16 ? "bf16"
                                                       : "bf16 by float32";
    snprintf(cpu->name, sizeof cpu->name, "cpu: %s, %s, %s, %u thread%s", cpu->gemm->name, cpu->kernels->name, compute,
             cpu->threads, cpu->threads == 1 ? "" : "s");
    *backend = &cpu->base;
    return NM_OK;
}
