/// The kernels for any machine: vectors as the compiler's baseline has them.
#define KERNELS nm_cpu_kernels_portable
#define KERNELS_NAME "portable"
#include "nexus/ops/cpu/kernels.inc"
