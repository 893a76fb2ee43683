/// The part of CUDA that nexus/ops/cuda uses, on the CPU: enough to run its kernels thread by thread and find wrong
/// indices, wrong arithmetic and missing barriers on a machine without a GPU. It says nothing about speed, rounding of
/// the device's mathematical functions, or memory models.
///
/// Device memory is host memory. A stream does everything at once. The threads of a block are coroutines that change
/// at barriers and shuffles, in an order that nm_emulator_set_order chooses.
#ifndef NM_TESTS_CUDA_ON_CPU_RUNTIME_H
#define NM_TESTS_CUDA_ON_CPU_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define __host__
#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(threads)

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct uint4 {
    unsigned x, y, z, w;
};
struct float4 {
    float x, y, z, w;
};
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
    return {x, y, z, w};
}
static inline float4 make_float4(float x, float y, float z, float w) {
    return {x, y, z, w};
}

// the emulator
extern dim3 threadIdx, blockIdx, blockDim, gridDim;
float *nm_emulator_shared();
void nm_emulator_run(dim3 grid, dim3 block, size_t shared, void (*thread)(const void *), const void *call);
void __syncthreads();
/// What all lanes of the warp gave, once all have: [32], valid until the lane's next exchange.
const uint32_t *nm_emulator_exchange(uint32_t value);
int nm_emulator_lane();

static inline float __uint_as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline uint32_t __float_as_uint(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline long long __double_as_longlong(double value) {
    long long bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline double __longlong_as_double(long long bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline float __shfl_sync(unsigned, float value, int lane) {
    return __uint_as_float(nm_emulator_exchange(__float_as_uint(value))[lane & 31]);
}
static inline float __shfl_xor_sync(unsigned, float value, int mask) {
    return __uint_as_float(nm_emulator_exchange(__float_as_uint(value))[(nm_emulator_lane() ^ mask) & 31]);
}
static inline unsigned __ballot_sync(unsigned, bool value) {
    const uint32_t *values = nm_emulator_exchange(value);
    unsigned all = 0;
    for (int lane = 0; lane < 32; lane++) all |= values[lane] << lane;
    return all;
}
static inline int __ffs(int bits) {
    return __builtin_ffs(bits);
}
static inline uint32_t atomicAdd(uint32_t *to, uint32_t value) {
    const uint32_t before = *to;
    *to += value;
    return before;
}
static inline uint32_t min(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}
static inline double __dmul_rn(double a, double b) {
    return a * b;
}
static inline double __dadd_rn(double a, double b) {
    return a + b;
}
static inline double __dsub_rn(double a, double b) {
    return a - b;
}
static inline double __ddiv_rn(double a, double b) {
    return a / b;
}
static inline double __dsqrt_rn(double a) {
    return sqrt(a);
}
static inline float __double2float_rn(double a) {
    return (float)a;
}

// the runtime
typedef int cudaError_t;
enum { cudaSuccess = 0, cudaErrorMemoryAllocation = 2, cudaErrorNoDevice = 100 };
typedef struct nm_emulator_stream *cudaStream_t;
typedef struct nm_emulator_event *cudaEvent_t;
typedef struct nm_emulator_graph *cudaGraph_t;
typedef struct nm_emulator_graph *cudaGraphExec_t;
enum { cudaStreamNonBlocking, cudaEventDisableTiming, cudaStreamCaptureModeRelaxed };
enum { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };
enum { cudaFuncAttributeMaxDynamicSharedMemorySize };
struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount;
};

static inline const char *cudaGetErrorString(cudaError_t error) {
    return error ? "the emulator can not" : "no error";
}
static inline cudaError_t cudaGetLastError() {
    return cudaSuccess;
}
static inline cudaError_t cudaSetDevice(int) {
    return cudaSuccess;
}
static inline cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return cudaSuccess;
}
static inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int) {
    *properties = {"the CPU in its place", 8, 0, 1};
    return cudaSuccess;
}
template <class Function> cudaError_t cudaFuncSetAttribute(Function, int, int) {
    return cudaSuccess;
}
template <class T> cudaError_t cudaMalloc(T **memory, size_t bytes) {
    *memory = static_cast<T *>(aligned_alloc(256, (bytes + 255) / 256 * 256));
    return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}
static inline cudaError_t cudaFree(void *memory) {
    free(memory);
    return cudaSuccess;
}
static inline cudaError_t cudaMallocHost(void **memory, size_t bytes) {
    return cudaMalloc(memory, bytes);
}
static inline cudaError_t cudaFreeHost(void *memory) {
    return cudaFree(memory);
}
static inline cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t) {
    memset(memory, value, bytes);
    return cudaSuccess;
}
static inline cudaError_t cudaMemset2DAsync(void *memory, size_t pitch, int value, size_t width, size_t height,
                                            cudaStream_t) {
    for (size_t row = 0; row < height; row++) memset(static_cast<char *>(memory) + row * pitch, value, width);
    return cudaSuccess;
}
static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, int, cudaStream_t) {
    memcpy(to, from, bytes);
    return cudaSuccess;
}
static inline cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                                            size_t width, size_t height, int, cudaStream_t) {
    for (size_t row = 0; row < height; row++)
        memcpy(static_cast<char *>(to) + row * to_pitch, static_cast<const char *>(from) + row * from_pitch, width);
    return cudaSuccess;
}
static inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, int) {
    *stream = nullptr;
    return cudaSuccess;
}
static inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
    return cudaSuccess;
}
static inline cudaError_t cudaStreamDestroy(cudaStream_t) {
    return cudaSuccess;
}
static inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, int) {
    *event = nullptr;
    return cudaSuccess;
}
static inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) {
    return cudaSuccess;
}
static inline cudaError_t cudaEventSynchronize(cudaEvent_t) {
    return cudaSuccess;
}
static inline cudaError_t cudaEventDestroy(cudaEvent_t) {
    return cudaSuccess;
}

// There is nothing that records: capture is refused.
static inline cudaError_t cudaStreamBeginCapture(cudaStream_t, int) {
    return 1;
}
static inline cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *) {
    return 1;
}
static inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t *, cudaGraph_t, int) {
    return 1;
}
static inline cudaError_t cudaGraphDestroy(cudaGraph_t) {
    return 1;
}
static inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) {
    return 1;
}
static inline cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t) {
    return 1;
}

#endif
