/// Our own loops: float32 on any machine (kernels_products.inc), bf16 where there are instructions for it.
#include "nexus/ops/cpu/gemm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/ops/cpu/products_bf16.h"

typedef struct portable {
    nm_gemm base;
    const nm_cpu_kernels *kernels;
    const nm_bf16_products *bf16; ///< NULL: float32 only
} portable;

struct nm_gemm_weight {
    uint32_t O, I;
    nm_dtype type;
    void *packed; ///< see nm_cpu_kernels.pack and products_bf16.h
};

static void destroy(nm_gemm *gemm) {
    free(gemm);
}

static uint32_t round_up(uint32_t n, uint32_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

static nm_gemm_weight *create_weight(nm_gemm *gemm, uint32_t O, uint32_t I, nm_dtype type, nm_error *error) {
    (void)gemm;
    const size_t wide = round_up(O, NM_CPU_PANEL), deep = type == NM_BF16 ? round_up(I, NM_BF16_DEPTH) : I;
    nm_gemm_weight *weight = malloc(sizeof *weight);
    void *packed = aligned_alloc(64, (wide * deep * nm_dtype_size(type) / 64 + 1) * 64);
    if (!weight || !packed) {
        free(weight);
        free(packed);
        NM_ERROR(error, NM_E_MEMORY, "out of memory for a weight of %u x %u", O, I);
        return NULL;
    }
    *weight = (nm_gemm_weight){O, I, type, packed};
    return weight;
}
static void release_weight(nm_gemm *gemm, nm_gemm_weight *weight) {
    (void)gemm;
    if (weight) free(weight->packed);
    free(weight);
}

static nm_status pack(nm_gemm *gemm, nm_gemm_weight *weight, const float *value, size_t stride, int transposed,
                      nm_error *error) {
    (void)error;
    const portable *p = (const portable *)gemm;
    if (weight->type == NM_BF16)
        p->bf16->pack_weight(value, stride, weight->O, weight->I, transposed, weight->packed);
    else
        p->kernels->pack(value, stride, weight->O, weight->I, transposed, weight->packed);
    return NM_OK;
}

static nm_status prepare(nm_gemm *gemm, nm_gemm_weight *weight, const nm_gemm_shape *shape, nm_error *error) {
    (void)gemm, (void)weight, (void)shape, (void)error;
    return NM_OK;
}
static void product(nm_gemm *gemm, const nm_gemm_weight *weight, const nm_gemm_shape *shape, uint32_t o, uint32_t count,
                    const void *x, const float *bias, void *y, uint32_t worker) {
    const portable *p = (const portable *)gemm;
    (void)worker;
    NM_DEBUG_ASSERT(o % NM_CPU_PANEL == 0);
    if (weight->type == NM_BF16) {
        const uint32_t deep = round_up(weight->I, NM_BF16_DEPTH),
                       panels = round_up(count, NM_BF16_PANEL) / NM_BF16_PANEL;
        p->bf16->product(x, shape->x_stride, shape->rows, (const uint16_t *)weight->packed + (size_t)o * deep, panels,
                         deep, y, shape->y_stride, 0);
        return;
    }
    const float *packed = (const float *)weight->packed + (size_t)o * weight->I;
    p->kernels->product(x, shape->x_stride, shape->rows, packed, count, weight->I, shape->biased ? bias : NULL, y,
                        shape->y_stride, shape->y_type);
}

static int block_linear(nm_gemm *gemm, const nm_gemm_weight *weight, const nm_linear *op, uint32_t row, const void *x,
                        size_t x_stride, float *sums) {
    const portable *p = (const portable *)gemm;
    if (weight->type != NM_BF16) return 0;
    return p->bf16->linear(op, row, x, x_stride, weight->packed, round_up(weight->I, NM_BF16_DEPTH), sums);
}
static size_t block_scratch(nm_gemm *gemm, const nm_gemm_weight *weight) {
    const portable *p = (const portable *)gemm;
    return p->bf16->linear_scratch(weight->O, round_up(weight->I, NM_BF16_DEPTH));
}

static nm_status prepare_outer(nm_gemm *gemm, const nm_gemm_outer *shape, nm_error *error) {
    (void)gemm, (void)shape, (void)error;
    return NM_OK;
}
static void outer(nm_gemm *gemm, const nm_gemm_outer *s, const void *dp, const void *x, float *dw, uint32_t worker) {
    (void)worker;
    ((const portable *)gemm)->kernels->outer(dp, s->dp_stride, x, s->x_stride, s->rows, s->O, s->I, dw, s->dw_stride);
}

/// The best there is; with other kernels than the machine's best, which tests ask for, none.
const nm_bf16_products *nm_gemm_portable_bf16(const nm_cpu_kernels *kernels) {
#if defined(__x86_64__)
    if (kernels == &nm_cpu_kernels_avx512bf16) {
        const nm_bf16_products *amx = nm_bf16_find_amx();
        return amx ? amx : nm_bf16_find_avx512();
    }
#endif
    (void)kernels;
    return NULL;
}

nm_status nm_gemm_create_portable(const nm_cpu_kernels *kernels, int bf16, nm_gemm **gemm, nm_error *error) {
    portable *made = malloc(sizeof *made);
    *gemm = NULL;
    if (!made) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the CPU backend");
    const nm_bf16_products *found = bf16 ? nm_gemm_portable_bf16(kernels) : NULL;
    *made = (portable){
        .base = {.bf16 = found ? NM_BF16 : NM_F32,
                 .outer_bf16 = NM_F32,
                 .outers = found,
                 // float32: a multiple of every variant's rows per inner loop
                 .block = found ? found->block : 48,
                 .columns = 48,
                 .side_by_side = 1,
                 .of_f32 = {.round = 1, .depth = 1, .strip = UINT32_MAX, .direct = 1 << NM_F32 | 1 << NM_BF16},
                 // 64 x 64 sums are 16 KiB
                 .of_bf16 = {.round = NM_BF16_ROWS, .depth = NM_BF16_DEPTH, .strip = 4 * NM_BF16_PANEL},
                 .destroy = destroy,
                 .begin_share = found ? found->begin : NULL,
                 .end_share = found ? found->end : NULL,
                 .create_weight = create_weight,
                 .release_weight = release_weight,
                 .pack = pack,
                 .prepare = prepare,
                 .product = product,
                 .block_linear = found && found->linear ? block_linear : NULL,
                 .block_scratch = found && found->linear ? block_scratch : NULL,
                 .prepare_outer = prepare_outer,
                 .outer = outer},
        .kernels = kernels,
        .bf16 = found};
    snprintf(made->base.name, sizeof made->base.name, "%s", found ? found->name : "own loops");
    *gemm = &made->base;
    return NM_OK;
}
