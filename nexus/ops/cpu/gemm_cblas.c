/// Any CBLAS: float32.
///
/// The threads are ours, so the library is told to use none of its own while we call it. OpenBLAS has that as a setting
/// of the process only: it is set back afterwards.
#define _GNU_SOURCE // RTLD_DEFAULT
#include "nexus/ops/cpu/gemm.h"

#ifdef NM_HAVE_CBLAS

#include <cblas.h>
#undef I // OpenBLAS brings <complex.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int get_threads(void);
typedef void set_threads(int);

typedef struct blas {
    nm_gemm base;
    get_threads *get; ///< NULL where the library has none
    set_threads *set;
    int before;
} blas;

struct nm_gemm_weight {
    uint32_t O, I;
    float *value; ///< [O][I]
};

/// ISO C has no cast from an object pointer to a function pointer; POSIX promises that the bits are the same.
static void find(const char *name, void *function, size_t size) {
    void *symbol = dlsym(RTLD_DEFAULT, name);
    memcpy(function, &symbol, size);
}

static void destroy(nm_gemm *gemm) {
    free(gemm);
}
static void enter(nm_gemm *gemm) {
    blas *b = (blas *)gemm;
    if (!b->get || !b->set) return;
    b->before = b->get();
    if (b->before != 1) b->set(1);
}
static void leave(nm_gemm *gemm) {
    const blas *b = (const blas *)gemm;
    if (b->get && b->set && b->before != 1) b->set(b->before);
}

static nm_gemm_weight *create_weight(nm_gemm *gemm, uint32_t O, uint32_t I, nm_dtype type, nm_error *error) {
    (void)gemm;
    NM_ASSERT(type == NM_F32);
    nm_gemm_weight *weight = malloc(sizeof *weight);
    float *value = malloc(((size_t)O * I + 1) * sizeof *value);
    if (!weight || !value) {
        free(weight);
        free(value);
        NM_ERROR(error, NM_E_MEMORY, "out of memory for a weight of %u x %u", O, I);
        return NULL;
    }
    *weight = (nm_gemm_weight){O, I, value};
    return weight;
}
static void release_weight(nm_gemm *gemm, nm_gemm_weight *weight) {
    (void)gemm;
    if (weight) free(weight->value);
    free(weight);
}

static nm_status pack(nm_gemm *gemm, nm_gemm_weight *weight, const float *value, size_t stride, int transposed,
                      nm_error *error) {
    (void)gemm, (void)error;
    for (size_t o = 0; o < weight->O; o++) {
        for (size_t i = 0; i < weight->I; i++) {
            weight->value[o * weight->I + i] = transposed ? value[i * stride + o] : value[o * stride + i];
        }
    }
    return NM_OK;
}

static nm_status prepare(nm_gemm *gemm, nm_gemm_weight *weight, const nm_gemm_shape *shape, nm_error *error) {
    (void)gemm, (void)weight, (void)shape, (void)error;
    return NM_OK;
}
static void product(nm_gemm *gemm, const nm_gemm_weight *weight, const nm_gemm_shape *shape, uint32_t o, uint32_t count,
                    const void *x, const float *bias, void *y, uint32_t worker) {
    (void)gemm, (void)bias, (void)worker;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)shape->rows, (int)count, (int)weight->I, 1.0f, x,
                (int)shape->x_stride, weight->value + (size_t)o * weight->I, (int)weight->I, 0.0f, y,
                (int)shape->y_stride);
}

static nm_status prepare_outer(nm_gemm *gemm, const nm_gemm_outer *shape, nm_error *error) {
    (void)gemm, (void)shape, (void)error;
    return NM_OK;
}
static void outer(nm_gemm *gemm, const nm_gemm_outer *s, const void *dp, const void *x, float *dw, uint32_t worker) {
    (void)gemm, (void)worker;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)s->O, (int)s->I, (int)s->rows, 1.0f, dp,
                (int)s->dp_stride, x, (int)s->x_stride, 1.0f, dw, (int)s->dw_stride);
}

int nm_gemm_cblas_is_fast(void) {
    return dlsym(RTLD_DEFAULT, "openblas_get_config") || dlsym(RTLD_DEFAULT, "bli_info_get_version_str") ||
           dlsym(RTLD_DEFAULT, "MKL_Get_Version");
}

nm_status nm_gemm_create_cblas(uint32_t threads, nm_gemm **gemm, nm_error *error) {
    (void)threads;
    blas *made = calloc(1, sizeof *made);
    *gemm = NULL;
    if (!made) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the CPU backend");
    made->base = (nm_gemm){.bf16 = NM_F32,
                           .outer_bf16 = NM_F32,
                           .block = 64,
                           .columns = 64,
                           .of_f32 = {.round = 1, .depth = 1, .strip = UINT32_MAX},
                           .destroy = destroy,
                           .enter = enter,
                           .leave = leave,
                           .create_weight = create_weight,
                           .release_weight = release_weight,
                           .pack = pack,
                           .prepare = prepare,
                           .product = product,
                           .prepare_outer = prepare_outer,
                           .outer = outer};
    find("openblas_get_num_threads", &made->get, sizeof made->get);
    find("openblas_set_num_threads", &made->set, sizeof made->set);
    made->base.side_by_side = !made->set; // the setting is the whole program's
    snprintf(made->base.name, sizeof made->base.name, "%s", made->set ? "OpenBLAS" : "CBLAS");
    *gemm = &made->base;
    return NM_OK;
}

#else

int nm_gemm_cblas_is_fast(void) {
    return 0;
}

nm_status nm_gemm_create_cblas(uint32_t threads, nm_gemm **gemm, nm_error *error) {
    (void)threads;
    *gemm = NULL;
    return NM_ERROR(error, NM_E_UNSUPPORTED, "built without a CBLAS (Debian: libopenblas-dev)");
}

#endif
