/// The kernels for AVX-512 with its instructions for bf16; compiled with those switched on, called where the machine
/// has them.
#include "nexus/ops/cpu/kernels.h"
#if defined(__x86_64__)
#if !defined(__AVX512BF16__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) || !defined(__AVX512VL__)
#error "compile this file with -mavx512bf16 and what kernels_avx512.c takes: see nexus/CMakeLists.txt"
#endif
#define KERNELS nm_cpu_kernels_avx512bf16
#define KERNELS_NAME "AVX512-BF16"
#include "nexus/ops/cpu/kernels.inc"
#endif
