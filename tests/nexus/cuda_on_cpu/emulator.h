/// Runs the kernels of nexus/ops/cuda on the CPU, for tests. See cuda_runtime.h beside this file.
#ifndef NM_TESTS_CUDA_ON_CPU_EMULATOR_H
#define NM_TESTS_CUDA_ON_CPU_EMULATOR_H

#include "base/rng.h"
#include "nexus/ops/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The backend as it is, with two differences: matrix products use its own kernel, as there is no cuBLASLt, and
/// recording is refused. Never fails but for memory. One thread at a time uses all such backends.
nm_status nm_backend_create_cuda_on_cpu(const nm_backend_config *config, nm_backend **backend, nm_error *error);

/// nm_cuda_fill_normal (nexus/ops/cuda/noise.h) on such a backend.
void nm_cuda_fill_normal_on_cpu(nm_backend *backend, const nm_rng_key *key, nm_tensor out);

/// In which order threads run between two barriers: 0 rising, 1 falling, else shuffled by this number. What a kernel
/// gives must not depend on it.
void nm_emulator_set_order(uint32_t order);

#ifdef __cplusplus
}
#endif
#endif
