/// Our own loops (kernels_products.inc): float32, on any machine.
#include "nexus/ops/cpu/gemm.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct portable {
    nm_gemm base;
    const nm_cpu_kernels *kernels;
} portable;

struct nm_gemm_weight {
    uint32_t O, I;
    float *packed;
};

static void destroy(nm_gemm *gemm) {
    free(gemm);
}

static nm_gemm_weight *create_weight(nm_gemm *gemm, uint32_t O, uint32_t I, nm_dtype type, nm_error *error) {
    (void)gemm;
    NM_ASSERT(type == NM_F32);
    nm_gemm_weight *weight = malloc(sizeof *weight);
    const size_t panels = ((size_t)O + NM_CPU_PANEL - 1) / NM_CPU_PANEL;
    float *packed = aligned_alloc(64, (panels * I * NM_CPU_PANEL + NM_CPU_PANEL) * sizeof(float));
    if (!weight || !packed) {
        free(weight);
        free(packed);
        NM_ERROR(error, NM_E_MEMORY, "out of memory for a weight of %u x %u", O, I);
        return NULL;
    }
    *weight = (nm_gemm_weight){O, I, packed};
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
    ((const portable *)gemm)->kernels->pack(value, stride, weight->O, weight->I, transposed, weight->packed);
    return NM_OK;
}

static nm_status prepare(nm_gemm *gemm, nm_gemm_weight *weight, const nm_gemm_shape *shape, nm_error *error) {
    (void)gemm, (void)weight, (void)shape, (void)error;
    return NM_OK;
}
static void product(nm_gemm *gemm, const nm_gemm_weight *weight, const nm_gemm_shape *shape, const void *x,
                    const float *bias, void *y, uint32_t worker) {
    (void)worker;
    ((const portable *)gemm)
        ->kernels->product(x, shape->x_stride, shape->rows, weight->packed, weight->O, weight->I,
                           shape->biased ? bias : NULL, y, shape->y_stride, shape->y_type);
}

static nm_status prepare_outer(nm_gemm *gemm, const nm_gemm_outer *shape, nm_error *error) {
    (void)gemm, (void)shape, (void)error;
    return NM_OK;
}
static void outer(nm_gemm *gemm, const nm_gemm_outer *s, const void *dp, const void *x, float *dw, uint32_t worker) {
    (void)worker;
    ((const portable *)gemm)
        ->kernels->outer(dp, s->dp_stride, x, s->x_stride, s->rows, s->O, s->I, dw, s->dw_stride);
}

nm_status nm_gemm_create_portable(const nm_cpu_kernels *kernels, nm_gemm **gemm, nm_error *error) {
    portable *made = malloc(sizeof *made);
    *gemm = NULL;
    if (!made) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the CPU backend");
    *made = (portable){.base = {.bf16 = NM_F32,
                                .block = 48, // a multiple of every variant's rows per inner loop
                                .round = 1,
                                .columns = 48,
                                .direct = 1,
                                .destroy = destroy,
                                .create_weight = create_weight,
                                .release_weight = release_weight,
                                .pack = pack,
                                .prepare = prepare,
                                .product = product,
                                .prepare_outer = prepare_outer,
                                .outer = outer},
                       .kernels = kernels};
    snprintf(made->base.name, sizeof made->base.name, "own loops");
    *gemm = &made->base;
    return NM_OK;
}
