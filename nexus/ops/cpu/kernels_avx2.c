/// The kernels for AVX2 and FMA; compiled with those switched on, called where the machine has them.
#include "nexus/ops/cpu/kernels.h"
#if defined(__x86_64__)
#if !defined(__AVX2__) || !defined(__FMA__)
#error "compile this file with -mavx2 -mfma: see nexus/CMakeLists.txt"
#endif
#define KERNELS nm_cpu_kernels_avx2
#define KERNELS_NAME "AVX2"
#include "nexus/ops/cpu/kernels.inc"
#endif
