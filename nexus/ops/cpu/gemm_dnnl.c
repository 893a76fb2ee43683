/// oneDNN, versions 2 and 3, whose C interfaces differ in how descriptors are made: the first part of this file hides
/// that.
///
/// A primitive is made for one shape, by a thread that allows OpenMP a single thread, and so runs in the thread that
/// calls it; the threads are ours. Weights are reordered once into the layout that the product of a full block asks
/// for. Scratch memory and memory objects are one per worker, made with the primitive: a product only sets pointers
/// (oneDNN itself still builds a small map of arguments per call).
#define _GNU_SOURCE // RTLD_DEFAULT
#include "nexus/ops/cpu/gemm.h"

#ifdef NM_HAVE_DNNL

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Descriptors in both versions
// ---------------------------------------------------------------------------------------------------------------------

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t layout;            ///< owned
typedef const_dnnl_memory_desc_t layout_view; ///< borrowed

static layout_view view(const layout *l) {
    return *l;
}
static dnnl_status_t layout_strided(layout *l, const dnnl_dims_t dims, dnnl_data_type_t type,
                                    const dnnl_dims_t strides) {
    return dnnl_memory_desc_create_with_strides(l, 2, dims, type, strides);
}
static dnnl_status_t layout_any(layout *l, const dnnl_dims_t dims, dnnl_data_type_t type) {
    return dnnl_memory_desc_create_with_tag(l, 2, dims, type, dnnl_format_tag_any);
}
static dnnl_status_t layout_copy(layout *l, layout_view from) {
    return dnnl_memory_desc_clone(l, from);
}
static void layout_release(layout *l) {
    if (*l) dnnl_memory_desc_destroy(*l);
}
static dnnl_status_t matmul_create(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const layout *x, const layout *w,
                                   const layout *bias, const layout *y, const_dnnl_primitive_attr_t attr) {
    return dnnl_matmul_primitive_desc_create(pd, engine, *x, *w, bias ? *bias : NULL, *y, attr);
}
static dnnl_status_t append_sum(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
}

#else

typedef dnnl_memory_desc_t layout;
typedef const dnnl_memory_desc_t *layout_view;

static layout_view view(const layout *l) {
    return l;
}
static dnnl_status_t layout_strided(layout *l, const dnnl_dims_t dims, dnnl_data_type_t type,
                                    const dnnl_dims_t strides) {
    return dnnl_memory_desc_init_by_strides(l, 2, dims, type, strides);
}
static dnnl_status_t layout_any(layout *l, const dnnl_dims_t dims, dnnl_data_type_t type) {
    return dnnl_memory_desc_init_by_tag(l, 2, dims, type, dnnl_format_tag_any);
}
static dnnl_status_t layout_copy(layout *l, layout_view from) {
    *l = *from;
    return dnnl_success;
}
static void layout_release(layout *l) {
    (void)l;
}
static dnnl_status_t matmul_create(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const layout *x, const layout *w,
                                   const layout *bias, const layout *y, const_dnnl_primitive_attr_t attr) {
    dnnl_matmul_desc_t desc;
    const dnnl_status_t status = dnnl_matmul_desc_init(&desc, x, w, bias, y);
    return status == dnnl_success ? dnnl_primitive_desc_create(pd, &desc, attr, engine, NULL) : status;
}
static dnnl_status_t append_sum(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_sum(ops, 1.0f);
}

#endif

/// Rows of every product: with one number of rows every product of a weight wants the same layout of it. Version 2 has
/// its fast path for matrices without gaps only, so operands with gaps are copied.
#define DNNL_BLOCK 64

// Products of one shape
// ---------------------------------------------------------------------------------------------------------------------

enum { ARG_X, ARG_W, ARG_Y, ARG_SCRATCH, ARG_BIAS, ARGS };
static const int arg_names[ARGS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD, DNNL_ARG_BIAS};

/// A primitive and what each worker calls it with.
typedef struct call {
    dnnl_primitive_t primitive;
    dnnl_memory_t (*memory)[ARGS]; ///< [threads]
    char *scratch;                 ///< [threads][scratch_size]
    size_t scratch_size;
    int args;
} call;

typedef struct product_call {
    nm_gemm_shape shape;
    call call;
} product_call;

struct nm_gemm_weight {
    uint32_t O, I;
    dnnl_data_type_t type;
    layout packed;
    void *data;
    product_call *calls;
    size_t count, capacity;
};

typedef struct outer_call {
    nm_gemm_outer shape;
    call call;
} outer_call;

typedef void set_threads(int);
typedef int get_threads(void);

typedef struct dnnl {
    nm_gemm base;
    dnnl_engine_t engine;
    dnnl_stream_t *streams; ///< [threads]
    uint32_t threads;
    outer_call *outers;
    size_t outer_count, outer_capacity;
    set_threads *set; ///< of OpenMP; NULL where oneDNN runs on something else
    get_threads *get;
    int before;
} dnnl;

static nm_status refuse(nm_error *error, dnnl_status_t status, const char *what, uint32_t O, uint32_t I) {
    const nm_status code = status == dnnl_out_of_memory ? NM_E_MEMORY : NM_E_UNSUPPORTED;
    return NM_ERROR(error, code, "oneDNN refuses to %s of %u x %u (status %d)", what, O, I, (int)status);
}

static void call_release(call *c, uint32_t threads) {
    for (uint32_t t = 0; c->memory && t < threads; t++) {
        for (int a = 0; a < ARGS; a++) {
            if (c->memory[t][a]) dnnl_memory_destroy(c->memory[t][a]);
        }
    }
    if (c->primitive) dnnl_primitive_destroy(c->primitive);
    free(c->memory);
    free(c->scratch);
    *c = (call){0};
}

static dnnl_status_t call_memory(const dnnl *d, call *c, const_dnnl_primitive_desc_t pd) {
    static const dnnl_query_t queries[ARGS] = {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md,
                                               dnnl_query_scratchpad_md, dnnl_query_weights_md};
    const layout_view scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    c->scratch_size = (dnnl_memory_desc_get_size(scratch) + 4095) / 4096 * 4096;
    c->memory = calloc(d->threads, sizeof *c->memory);
    if (c->scratch_size) c->scratch = aligned_alloc(4096, c->scratch_size * d->threads);
    if (!c->memory || (c->scratch_size && !c->scratch)) return dnnl_out_of_memory;
    for (uint32_t t = 0; t < d->threads; t++) {
        for (int a = 0; a < c->args; a++) {
            const layout_view md = dnnl_primitive_desc_query_md(pd, queries[a], a == ARG_BIAS);
            void *handle = a == ARG_SCRATCH && c->scratch ? c->scratch + t * c->scratch_size : DNNL_MEMORY_NONE;
            const dnnl_status_t status = dnnl_memory_create(&c->memory[t][a], md, d->engine, handle);
            if (status != dnnl_success) return status;
        }
    }
    return dnnl_success;
}

/// y [M][N] (+)= x [M][K] w [K][N] (+ bias), all as laid out. `chosen` (nullable) gets the layout of w that was chosen.
static dnnl_status_t call_create(const dnnl *d, const layout *x, const layout *w, const layout *bias, const layout *y,
                                 int sum, layout *chosen, call *c) {
    *c = (call){.args = bias ? ARGS : ARGS - 1};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attr);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success) status = dnnl_post_ops_create(&ops);
    if (status == dnnl_success && sum) status = append_sum(ops);
    if (status == dnnl_success && sum) status = dnnl_primitive_attr_set_post_ops(attr, ops);
    if (status == dnnl_success) status = matmul_create(&pd, d->engine, x, w, bias, y, attr);
    if (status == dnnl_success) status = dnnl_primitive_create(&c->primitive, pd);
    if (status == dnnl_success) status = call_memory(d, c, pd);
    if (status == dnnl_success && chosen) {
        status = layout_copy(chosen, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0));
    }
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (ops) dnnl_post_ops_destroy(ops);
    if (attr) dnnl_primitive_attr_destroy(attr);
    if (status != dnnl_success) call_release(c, d->threads);
    return status;
}

static void call_run(const dnnl *d, const call *c, const void *x, const void *w, const void *bias, void *y,
                     uint32_t worker) {
    dnnl_memory_t *memory = c->memory[worker];
    dnnl_exec_arg_t args[ARGS];
    // oneDNN takes pointers to what it only reads as non-const too
    dnnl_memory_set_data_handle(memory[ARG_X], (void *)(uintptr_t)x);
    dnnl_memory_set_data_handle(memory[ARG_W], (void *)(uintptr_t)w);
    dnnl_memory_set_data_handle(memory[ARG_Y], y);
    if (c->args == ARGS) dnnl_memory_set_data_handle(memory[ARG_BIAS], (void *)(uintptr_t)bias);
    for (int a = 0; a < c->args; a++) args[a] = (dnnl_exec_arg_t){arg_names[a], memory[a]};
    const dnnl_status_t status = dnnl_primitive_execute(c->primitive, d->streams[worker], c->args, args);
    NM_ASSERT(status == dnnl_success); // a prepared shape with all its arguments: nothing is left that can fail
}

// OpenMP
// ---------------------------------------------------------------------------------------------------------------------

/// ISO C has no cast from an object pointer to a function pointer; POSIX promises that the bits are the same.
static void find(const char *name, void *function, size_t size) {
    void *symbol = dlsym(RTLD_DEFAULT, name);
    memcpy(function, &symbol, size);
}
static void begin_thread(void) {
    set_threads *set;
    find("omp_set_num_threads", &set, sizeof set);
    if (set) set(1);
}
static void enter(nm_gemm *gemm) {
    dnnl *d = (dnnl *)gemm;
    if (!d->set || !d->get) return;
    d->before = d->get();
    d->set(1);
}
static void leave(nm_gemm *gemm) {
    const dnnl *d = (const dnnl *)gemm;
    if (d->set && d->get) d->set(d->before);
}

// Weights
// ---------------------------------------------------------------------------------------------------------------------

static dnnl_status_t create_call(const dnnl *d, const nm_gemm_weight *weight, const nm_gemm_shape *shape,
                                 const layout *w, layout *chosen, call *c) {
    const dnnl_dim_t rows = shape->rows, O = weight->O, I = weight->I;
    layout x = {0}, y = {0}, bias = {0};
    dnnl_status_t status =
        layout_strided(&x, (dnnl_dims_t){rows, I}, weight->type, (dnnl_dims_t){(dnnl_dim_t)shape->x_stride, 1});
    if (status == dnnl_success) {
        status = layout_strided(&y, (dnnl_dims_t){rows, O}, shape->y_type == NM_BF16 ? dnnl_bf16 : dnnl_f32,
                                (dnnl_dims_t){(dnnl_dim_t)shape->y_stride, 1});
    }
    if (status == dnnl_success) {
        status = layout_strided(&bias, (dnnl_dims_t){1, O}, dnnl_f32, (dnnl_dims_t){O, 1});
    }
    if (status == dnnl_success) status = call_create(d, &x, w, shape->biased ? &bias : NULL, &y, 0, chosen, c);
    layout_release(&x);
    layout_release(&y);
    layout_release(&bias);
    return status;
}

static void release_weight(nm_gemm *gemm, nm_gemm_weight *weight) {
    if (!weight) return;
    for (size_t i = 0; i < weight->count; i++) call_release(&weight->calls[i].call, ((dnnl *)gemm)->threads);
    layout_release(&weight->packed);
    free(weight->calls);
    free(weight->data);
    free(weight);
}

static dnnl_status_t choose_layout(dnnl *d, nm_gemm_weight *weight) {
    const nm_gemm_shape block = {d->base.block, weight->I, weight->O, NM_F32, 0};
    layout any = {0};
    dnnl_status_t status = layout_any(&any, (dnnl_dims_t){(dnnl_dim_t)weight->I, (dnnl_dim_t)weight->O}, weight->type);
    call c = {0};
    if (status == dnnl_success) status = create_call(d, weight, &block, &any, &weight->packed, &c);
    layout_release(&any);
    call_release(&c, d->threads);
    return status;
}

static nm_gemm_weight *create_weight(nm_gemm *gemm, uint32_t O, uint32_t I, nm_dtype type, nm_error *error) {
    nm_gemm_weight *weight = calloc(1, sizeof *weight);
    if (!weight) {
        NM_ERROR(error, NM_E_MEMORY, "out of memory for a weight of %u x %u", O, I);
        return NULL;
    }
    weight->O = O;
    weight->I = I;
    weight->type = type == NM_BF16 ? dnnl_bf16 : dnnl_f32;
    enter(gemm);
    dnnl_status_t status = choose_layout((dnnl *)gemm, weight);
    leave(gemm);
    if (status == dnnl_success) {
        const size_t size = dnnl_memory_desc_get_size(view(&weight->packed));
        weight->data = aligned_alloc(4096, (size + 4096) / 4096 * 4096);
        if (!weight->data) status = dnnl_out_of_memory;
    }
    if (status == dnnl_success) return weight;
    refuse(error, status, "take a weight", O, I);
    release_weight(gemm, weight);
    return NULL;
}

static dnnl_status_t reorder(dnnl *d, const layout *from, const void *source, const layout *to, void *target) {
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t in = NULL, out = NULL;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&pd, view(from), d->engine, view(to), d->engine, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(&primitive, pd);
    if (status == dnnl_success) {
        status = dnnl_memory_create(&in, view(from), d->engine, (void *)(uintptr_t)source);
    }
    if (status == dnnl_success) status = dnnl_memory_create(&out, view(to), d->engine, target);
    if (status == dnnl_success) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, in}, {DNNL_ARG_TO, out}};
        status = dnnl_primitive_execute(primitive, d->streams[0], 2, args);
    }
    if (status == dnnl_success) status = dnnl_stream_wait(d->streams[0]);
    if (in) dnnl_memory_destroy(in);
    if (out) dnnl_memory_destroy(out);
    if (primitive) dnnl_primitive_destroy(primitive);
    if (pd) dnnl_primitive_desc_destroy(pd);
    return status;
}

static nm_status pack(nm_gemm *gemm, nm_gemm_weight *weight, const float *value, size_t stride, int transposed,
                      nm_error *error) {
    const dnnl_dim_t step = (dnnl_dim_t)stride;
    layout plain = {0};
    dnnl_status_t status = layout_strided(&plain, (dnnl_dims_t){(dnnl_dim_t)weight->I, (dnnl_dim_t)weight->O}, dnnl_f32,
                                          (dnnl_dims_t){transposed ? step : 1, transposed ? 1 : step});
    enter(gemm);
    if (status == dnnl_success) status = reorder((dnnl *)gemm, &plain, value, &weight->packed, weight->data);
    leave(gemm);
    layout_release(&plain);
    return status == dnnl_success ? NM_OK : refuse(error, status, "pack a weight", weight->O, weight->I);
}

// Products
// ---------------------------------------------------------------------------------------------------------------------

static const product_call *find_product(const nm_gemm_weight *weight, const nm_gemm_shape *s) {
    for (size_t i = 0; i < weight->count; i++) {
        const nm_gemm_shape *c = &weight->calls[i].shape;
        if (c->rows == s->rows && c->x_stride == s->x_stride && c->y_stride == s->y_stride && c->y_type == s->y_type &&
            c->biased == s->biased) {
            return &weight->calls[i];
        }
    }
    return NULL;
}

/// Room for one more element at the end; the array may move.
static void *reserve(void *array, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) return array;
    const size_t more = *capacity ? 2 * *capacity : 4;
    void *moved = realloc(array, more * size);
    if (moved) *capacity = more;
    return moved;
}

/// Version 2 takes its fast path only when it may choose the layout of the weight itself, even if it then chooses the
/// one that it would have been given. So it is let choose, and told only if it chose another than the weight has.
static dnnl_status_t create_fast_call(const dnnl *d, const nm_gemm_weight *weight, const nm_gemm_shape *shape,
                                      call *c) {
    layout any = {0}, chosen = {0};
    dnnl_status_t status = layout_any(&any, (dnnl_dims_t){(dnnl_dim_t)weight->I, (dnnl_dim_t)weight->O}, weight->type);
    if (status == dnnl_success) status = create_call(d, weight, shape, &any, &chosen, c);
    if (status == dnnl_success && !dnnl_memory_desc_equal(view(&chosen), view(&weight->packed))) {
        call_release(c, d->threads);
        status = create_call(d, weight, shape, &weight->packed, NULL, c);
    }
    layout_release(&any);
    layout_release(&chosen);
    return status;
}

static nm_status prepare(nm_gemm *gemm, nm_gemm_weight *weight, const nm_gemm_shape *shape, nm_error *error) {
    if (find_product(weight, shape)) return NM_OK;
    product_call *calls = reserve(weight->calls, weight->count, &weight->capacity, sizeof *calls);
    if (!calls) return refuse(error, dnnl_out_of_memory, "multiply a weight", weight->O, weight->I);
    weight->calls = calls;
    call c;
    enter(gemm);
    const dnnl_status_t status = create_fast_call((dnnl *)gemm, weight, shape, &c);
    leave(gemm);
    if (status != dnnl_success) return refuse(error, status, "multiply a weight", weight->O, weight->I);
    calls[weight->count++] = (product_call){*shape, c};
    return NM_OK;
}

static void product(nm_gemm *gemm, const nm_gemm_weight *weight, const nm_gemm_shape *shape, uint32_t o, uint32_t count,
                    const void *x, const float *bias, void *y, uint32_t worker) {
    const product_call *c = find_product(weight, shape);
    NM_ASSERT(c && o == 0 && count == weight->O);
    call_run((const dnnl *)gemm, &c->call, x, weight->data, bias, y, worker);
}

static const call *find_outer(const dnnl *d, const nm_gemm_outer *s) {
    for (size_t i = 0; i < d->outer_count; i++) {
        const nm_gemm_outer *c = &d->outers[i].shape;
        if (c->type == s->type && c->rows == s->rows && c->O == s->O && c->I == s->I && c->dp_stride == s->dp_stride &&
            c->x_stride == s->x_stride && c->dw_stride == s->dw_stride) {
            return &d->outers[i].call;
        }
    }
    return NULL;
}

static nm_status prepare_outer(nm_gemm *gemm, const nm_gemm_outer *s, nm_error *error) {
    dnnl *d = (dnnl *)gemm;
    if (find_outer(d, s)) return NM_OK;
    outer_call *outers = reserve(d->outers, d->outer_count, &d->outer_capacity, sizeof *outers);
    if (!outers) return refuse(error, dnnl_out_of_memory, "take a weight's gradient", s->O, s->I);
    d->outers = outers;
    const dnnl_data_type_t type = s->type == NM_BF16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_dim_t rows = s->rows, O = s->O, I = s->I;
    layout dp = {0}, x = {0}, dw = {0};
    call c;
    enter(gemm);
    dnnl_status_t status =
        layout_strided(&dp, (dnnl_dims_t){O, rows}, type, (dnnl_dims_t){1, (dnnl_dim_t)s->dp_stride});
    if (status == dnnl_success) {
        status = layout_strided(&x, (dnnl_dims_t){rows, I}, type, (dnnl_dims_t){(dnnl_dim_t)s->x_stride, 1});
    }
    if (status == dnnl_success) {
        status = layout_strided(&dw, (dnnl_dims_t){O, I}, dnnl_f32, (dnnl_dims_t){(dnnl_dim_t)s->dw_stride, 1});
    }
    if (status == dnnl_success) status = call_create(d, &dp, &x, NULL, &dw, 1, NULL, &c);
    leave(gemm);
    layout_release(&dp);
    layout_release(&x);
    layout_release(&dw);
    if (status != dnnl_success) return refuse(error, status, "take a weight's gradient", s->O, s->I);
    outers[d->outer_count++] = (outer_call){*s, c};
    return NM_OK;
}

static void outer(nm_gemm *gemm, const nm_gemm_outer *shape, const void *dp, const void *x, float *dw,
                  uint32_t worker) {
    const call *c = find_outer((const dnnl *)gemm, shape);
    NM_ASSERT(c);
    call_run((const dnnl *)gemm, c, dp, x, NULL, dw, worker);
}

// The whole
// ---------------------------------------------------------------------------------------------------------------------

static void destroy(nm_gemm *gemm) {
    dnnl *d = (dnnl *)gemm;
    for (size_t i = 0; i < d->outer_count; i++) call_release(&d->outers[i].call, d->threads);
    for (uint32_t t = 0; d->streams && t < d->threads; t++) {
        if (d->streams[t]) dnnl_stream_destroy(d->streams[t]);
    }
    if (d->engine) dnnl_engine_destroy(d->engine);
    free(d->outers);
    free(d->streams);
    free(d);
}

/// Without instructions for bf16 oneDNN emulates them, more slowly than it computes in float32.
static int has_bf16(void) {
    const unsigned isa = (unsigned)dnnl_get_effective_cpu_isa(), wanted = (unsigned)dnnl_cpu_isa_avx512_core_bf16;
    return (isa & wanted) == wanted;
}

nm_status nm_gemm_create_dnnl(uint32_t threads, int bf16, nm_gemm **gemm, nm_error *error) {
    *gemm = NULL;
    dnnl *d = calloc(1, sizeof *d);
    if (!d) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the CPU backend");
    d->threads = threads;
    const nm_dtype type = bf16 && has_bf16() ? NM_BF16 : NM_F32;
    d->base = (nm_gemm){.bf16 = type,
                        .outer_bf16 = type,
                        .block = DNNL_BLOCK,
                        .columns = 64,
                        .side_by_side = 1,
                        .of_f32 = {DNNL_BLOCK, 1, UINT32_MAX, 1 << NM_F32, 1},
                        .of_bf16 = {DNNL_BLOCK, 1, UINT32_MAX, 1 << NM_F32 | 1 << NM_BF16, 1},
                        .destroy = destroy,
                        .begin_thread = begin_thread,
                        .enter = enter,
                        .leave = leave,
                        .create_weight = create_weight,
                        .release_weight = release_weight,
                        .pack = pack,
                        .prepare = prepare,
                        .product = product,
                        .prepare_outer = prepare_outer,
                        .outer = outer};
    find("omp_set_num_threads", &d->set, sizeof d->set);
    find("omp_get_max_threads", &d->get, sizeof d->get);
    const dnnl_version_t *version = dnnl_version();
    snprintf(d->base.name, sizeof d->base.name, "oneDNN %d.%d", version->major, version->minor);
    d->streams = calloc(threads, sizeof *d->streams);
    dnnl_status_t status = d->streams ? dnnl_engine_create(&d->engine, dnnl_cpu, 0) : dnnl_out_of_memory;
    for (uint32_t t = 0; t < threads && status == dnnl_success; t++) {
        status = dnnl_stream_create(&d->streams[t], d->engine, dnnl_stream_default_flags);
    }
    if (status != dnnl_success) {
        destroy(&d->base);
        return NM_ERROR(error, NM_E_UNSUPPORTED, "oneDNN does not start (status %d)", (int)status);
    }
    *gemm = &d->base;
    return NM_OK;
}

#else

nm_status nm_gemm_create_dnnl(uint32_t threads, int bf16, nm_gemm **gemm, nm_error *error) {
    (void)threads, (void)bf16;
    *gemm = NULL;
    return NM_ERROR(error, NM_E_UNSUPPORTED, "built without oneDNN (Debian: libdnnl-dev)");
}

#endif
