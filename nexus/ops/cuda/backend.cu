#include <stdio.h>
#include <stdlib.h>

#include "nexus/ops/cuda/backend.cuh"
#include "nexus/ops/cuda/blas.cuh"

namespace nm_cuda {

backend *enter(nm_backend *handle, const char *operation) {
    backend *b = reinterpret_cast<backend *>(handle);
    b->operation = operation;
    check(b, cudaSetDevice(b->device)); // per thread, and other backends may have set theirs
    return b;
}

void fail(backend *b, nm_status code, const char *why) {
    if (b->failure.code == NM_OK)
        NM_ERROR(&b->failure, code, "The GPU failed in or before the operation %s: %s", b->operation, why);
}

bool check(backend *b, cudaError_t result) {
    if (result == cudaSuccess) return true;
    fail(b, result == cudaErrorMemoryAllocation ? NM_E_MEMORY : NM_E_IO, cudaGetErrorString(result));
    return false;
}

static void fill_table(nm_ops *table) {
    table->allocate = allocate;
    table->release = release;
    table->upload = upload;
    table->download = download;
    table->upload_u32 = upload_u32;
    table->zero = zero;
    table->convert = convert;
    table->add = add;
    table->pack_weight = pack_weight;
    table->release_weight = release_weight;
    table->synchronize = synchronize;
    table->linear = linear;
    table->linear_backward = linear_backward;
    table->epilogue_backward = epilogue_backward;
    table->layer_norm = layer_norm;
    table->layer_norm_backward = layer_norm_backward;
    table->silu = silu;
    table->silu_backward = silu_backward;
    table->attention = attention;
    table->attention_backward = attention_backward;
    table->block_select = block_select;
    table->block_attention = block_attention;
    table->block_attention_backward = block_attention_backward;
    table->rotary = rotary;
    table->turn = turn;
    table->assemble = assemble;
    table->sinusoid = sinusoid;
    table->lookup = lookup;
    table->lookup_backward = lookup_backward;
    table->repeat = repeat;
    table->repeat_backward = repeat_backward;
    table->noise_loss = noise_loss;
    table->adamw = adamw;
    table->square_sum = square_sum;
    table->capture_begin = capture_begin;
    table->capture_end = capture_end;
    table->replay = replay;
    table->release_recording = release_recording;
}

static void destroy(nm_backend *handle) {
    backend *b = reinterpret_cast<backend *>(handle);
    NM_ASSERT(!b->capturing);
    (void)cudaSetDevice(b->device);
    if (b->stream) (void)cudaStreamSynchronize(b->stream);
    blas_close(b->blas);
    for (staging &s : b->stagings) {
        if (s.done) (void)cudaEventDestroy(s.done);
        if (s.memory) (void)cudaFreeHost(s.memory);
    }
    (void)cudaFree(b->product);
    for (char *memory : b->operands) (void)cudaFree(memory);
    if (b->stream) (void)cudaStreamDestroy(b->stream);
    (void)cudaGetLastError();
    free(b);
}

/// Everything that a pass needs, taken now.
static nm_status take_memory(backend *b, nm_error *error) {
    cudaError_t result = cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking);
    for (staging &s : b->stagings) {
        if (result == cudaSuccess) result = cudaMallocHost(&s.memory, staging_bytes);
        if (result == cudaSuccess) result = cudaEventCreateWithFlags(&s.done, cudaEventDisableTiming);
    }
    if (result == cudaSuccess) result = cudaMalloc(&b->product, product_bytes);
    for (char *&memory : b->operands)
        if (result == cudaSuccess) result = cudaMalloc(&memory, operand_bytes);
    if (result == cudaSuccess) return NM_OK;
    return NM_ERROR(error, NM_E_MEMORY, "The GPU does not give the memory it takes to start: %s",
                    cudaGetErrorString(result));
}

/// Whether the device can run the kernels in this build at all.
static nm_status find_device(int device, cudaDeviceProp *properties, nm_error *error) {
    int count = 0;
    cudaError_t result = cudaGetDeviceCount(&count);
    if (result == cudaSuccess && count == 0) result = cudaErrorNoDevice;
    if (result != cudaSuccess) {
        (void)cudaGetLastError();
        return NM_ERROR(error, NM_E_UNSUPPORTED, "No GPU can be used: %s", cudaGetErrorString(result));
    }
    if (device < 0 || device >= count)
        return NM_ERROR(error, NM_E_ARGUMENT, "There is no GPU number %d; this machine has %d, counted from 0", device,
                        count);
    result = cudaSetDevice(device);
    if (result == cudaSuccess) result = cudaGetDeviceProperties(properties, device);
    if (result == cudaSuccess && properties->major < 8)
        return NM_ERROR(error, NM_E_UNSUPPORTED,
                        "GPU %d (%s) has compute capability %d.%d; bf16 matrix products take 8.0 or newer", device,
                        properties->name, properties->major, properties->minor);
    if (result == cudaSuccess) result = prepare_attention();
    if (result == cudaSuccess) result = prepare_attention_backward();
    if (result == cudaSuccess) result = prepare_block_attention();
    if (result == cudaSuccess) return NM_OK;
    (void)cudaGetLastError();
    return NM_ERROR(error, NM_E_UNSUPPORTED, "GPU %d can not be used: %s", device, cudaGetErrorString(result));
}

static nm_status start(backend *b, const nm_backend_config *config, nm_error *error) {
    cudaDeviceProp properties;
    nm_status status = find_device(config->device, &properties, error);
    if (status == NM_OK) status = take_memory(b, error);
    if (status == NM_OK) status = blas_open(&b->blas, error);
    if (status != NM_OK) return status;
    snprintf(b->name, sizeof b->name, "cuda: %s, %d multiprocessors, %s, %s", properties.name,
             properties.multiProcessorCount, blas_name(b->blas), config->compute == NM_BF16 ? "bf16" : "f32");
    return NM_OK;
}

} // namespace nm_cuda

nm_status nm_backend_create_cuda(const nm_backend_config *config, nm_backend **handle, nm_error *error) {
    NM_ASSERT(config && handle && (config->compute == NM_F32 || config->compute == NM_BF16));
    *handle = nullptr;
    nm_cuda::backend *b = static_cast<nm_cuda::backend *>(calloc(1, sizeof *b));
    if (!b) return NM_ERROR(error, NM_E_MEMORY, "No memory for a backend");
    b->device = config->device;
    b->operation = "create";
    nm_error_clear(&b->failure);
    nm_cuda::fill_table(&b->table);
    b->base = {&b->table, b->name, NM_F32, config->compute, NM_F32, nm_cuda::destroy, 1, nullptr};
    const nm_status status = nm_cuda::start(b, config, error);
    if (status != NM_OK) {
        nm_cuda::destroy(&b->base);
        return status;
    }
    *handle = &b->base;
    return NM_OK;
}
