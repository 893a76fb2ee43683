#include "nexus/ops/reference/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/ops/bf16.h"

enum { ALIGNMENT = 256 };

static void *allocate(nm_backend *backend, size_t bytes) {
    (void)backend;
    if (bytes > SIZE_MAX - ALIGNMENT) return NULL;
    const size_t rounded = bytes == 0 ? ALIGNMENT : (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, rounded);
    if (memory) memset(memory, 0, rounded);
    return memory;
}

static void release(nm_backend *backend, void *memory) {
    (void)backend;
    free(memory);
}

/// The float next to x, exact or the one of its two neighbours whose last bit is 1. What is rounded to nearest from it
/// (to a type at least two bits shorter) is as if rounded from x: Boldo and Melquiond 2008.
static float float_to_odd(double x) {
    const float nearest = (float)x;
    if ((double)nearest == x || isnan(x)) return nearest;
    uint32_t bits;
    memcpy(&bits, &nearest, sizeof bits);
    if (fabs((double)nearest) > fabs(x)) bits--;
    bits |= 1;
    float odd;
    memcpy(&odd, &bits, sizeof odd);
    return odd;
}

static double load(const void *from, nm_dtype dtype, size_t i) {
    NM_DEBUG_ASSERT(dtype == NM_F64 || dtype == NM_F32 || dtype == NM_BF16);
    if (dtype == NM_F64) return ((const double *)from)[i];
    if (dtype == NM_F32) return (double)((const float *)from)[i];
    return (double)nm_float_of_bf16(((const uint16_t *)from)[i]);
}

static void store(void *to, nm_dtype dtype, size_t i, double value) {
    if (dtype == NM_F64) {
        ((double *)to)[i] = value;
    } else if (dtype == NM_F32) {
        ((float *)to)[i] = (float)value;
    } else {
        ((uint16_t *)to)[i] = nm_bf16_of_float(float_to_odd(value));
    }
}

static void convert(nm_backend *backend, nm_tensor from, nm_tensor to) {
    (void)backend;
    NM_ASSERT(nm_tensor_same_shape(from, to) && from.dtype != NM_U32 && to.dtype != NM_U32);
    for (uint32_t r = 0; r < to.rows; r++)
        for (uint32_t c = 0; c < to.cols; c++)
            store(to.data, to.dtype, (size_t)r * to.stride + c,
                  load(from.data, from.dtype, (size_t)r * from.stride + c));
}

static void upload(nm_backend *backend, const float *host, nm_tensor to) {
    // only read; a view has no constness of its own
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

static void zero(nm_backend *backend, nm_tensor t) {
    (void)backend;
    const size_t size = nm_dtype_size(t.dtype);
    // all bits zero is 0 in every type
    for (uint32_t r = 0; r < t.rows; r++) memset((char *)t.data + (size_t)r * t.stride * size, 0, t.cols * size);
}

static void add(nm_backend *backend, nm_tensor from, nm_tensor to) {
    (void)backend;
    NM_ASSERT(nm_tensor_same_shape(from, to) && from.dtype == NM_F64 && to.dtype == NM_F64);
    for (uint32_t r = 0; r < to.rows; r++)
        for (uint32_t c = 0; c < to.cols; c++)
            ((double *)to.data)[(size_t)r * to.stride + c] += ((double *)from.data)[(size_t)r * from.stride + c];
}

/// Products are taken out of `value` itself: nothing to make, renew or release.
static nm_status pack_weight(nm_backend *backend, nm_weight *weight, nm_error *error) {
    (void)backend;
    NM_ASSERT(weight->value.data && weight->value.dtype == NM_F64);
    nm_error_clear(error);
    weight->packed = NULL;
    return NM_OK;
}

static void release_weight(nm_backend *backend, nm_weight *weight) {
    (void)backend;
    weight->packed = NULL;
}

static nm_status synchronize(nm_backend *backend, nm_error *error) {
    (void)backend;
    nm_error_clear(error);
    return NM_OK;
}

static void destroy(nm_backend *backend) {
    free(backend);
}

static const nm_ops reference_ops = {
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .upload_u32 = upload_u32,
    .zero = zero,
    .convert = convert,
    .add = add,
    .pack_weight = pack_weight,
    .release_weight = release_weight,
    .synchronize = synchronize,
    .linear = nm_reference_linear,
    .linear_backward = nm_reference_linear_backward,
    .epilogue_backward = nm_reference_epilogue_backward,
    .layer_norm = nm_reference_layer_norm,
    .layer_norm_backward = nm_reference_layer_norm_backward,
    .silu = nm_reference_silu,
    .silu_backward = nm_reference_silu_backward,
    .attention = nm_reference_attention,
    .attention_backward = nm_reference_attention_backward,
    .block_select = nm_reference_block_select,
    .block_attention = nm_reference_block_attention,
    .block_attention_backward = nm_reference_block_attention_backward,
    .rotary = nm_reference_rotary,
    .turn = nm_reference_turn,
    .assemble = nm_reference_assemble,
    .sinusoid = nm_reference_sinusoid,
    .lookup = nm_reference_lookup,
    .lookup_backward = nm_reference_lookup_backward,
    .repeat = nm_reference_repeat,
    .repeat_backward = nm_reference_repeat_backward,
    .noise_loss = nm_reference_noise_loss,
    .adamw = nm_reference_adamw,
    .square_sum = nm_reference_square_sum,
};

nm_status nm_backend_create_reference(nm_backend **backend, nm_error *error) {
    *backend = NULL;
    nm_backend *made = malloc(sizeof *made); // it has no state: the common part is all of it
    if (!made) return NM_ERROR(error, NM_E_MEMORY, "no memory for the reference backend");
    *made = (nm_backend){.ops = &reference_ops,
                         .name = "reference: scalar float64, 1 thread",
                         .stream = NM_F64,
                         .compute = NM_F64,
                         .parameter = NM_F64,
                         .destroy = destroy,
                         .threads = 1};
    *backend = made;
    return NM_OK;
}
