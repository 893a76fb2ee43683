/// The kernels for AVX-512 (F, BW, DQ, VL); compiled with those switched on, called where the machine has them.
#include "nexus/ops/cpu/kernels.h"
#if defined(__x86_64__)
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) || !defined(__AVX512VL__)
#error "compile this file with -mavx512f -mavx512bw -mavx512dq -mavx512vl: see nexus/CMakeLists.txt"
#endif
#define KERNELS nm_cpu_kernels_avx512
#define KERNELS_NAME "AVX-512"
#include "nexus/ops/cpu/kernels.inc"
#endif
