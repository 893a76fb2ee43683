/// Runs the kernels of nexus/ops/cuda on the CPU, for tests. See cuda_runtime.h beside this file.
#ifndef NM_TESTS_CUDA_ON_CPU_EMULATOR_H
#define NM_TESTS_CUDA_ON_CPU_EMULATOR_H

#include "base/rng.h"
#include "nexus/guidance_cuda.h"
#include "nexus/ops/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The backend as it is, with two differences: matrix products use its own kernel (no_blas.cc) or what stands in for
/// cuBLASLt (stand_in.cc), and recording is refused. Never fails but for memory. One thread at a time uses all such
/// backends.
nm_status nm_backend_create_cuda_on_cpu(const nm_backend_config *config, nm_backend **backend, nm_error *error);

/// nm_cuda_fill_normal (nexus/ops/cuda/noise.h) on such a backend.
void nm_cuda_fill_normal_on_cpu(nm_backend *backend, const nm_rng_key *key, nm_tensor out);

/// nexus/guidance_cuda.h on such a backend.
nm_status nm_guidance_cuda_create_on_cpu(nm_backend *backend, const nm_guidance_config *config, uint32_t max_channels,
                                         nm_guidance_cuda **guidance, nm_error *error);
void nm_guidance_cuda_destroy_on_cpu(nm_guidance_cuda *guidance);
nm_status nm_guidance_cuda_set_scenes_on_cpu(nm_guidance_cuda *guidance, const nm_guided_scene *scenes, uint32_t count,
                                             nm_error *error);
nm_status nm_guidance_cuda_set_adversaries_on_cpu(nm_guidance_cuda *guidance, const nm_adversary *adversaries,
                                                  uint32_t count, nm_error *error);
nm_status nm_guidance_cuda_apply_on_cpu(void *guidance, const nm_denoise_input *in, float *x0, nm_error *error);
nm_status nm_guidance_cuda_link_on_cpu(nm_guidance_cuda *guidance, const nm_denoise_input *in, nm_error *error);
void nm_guidance_cuda_run_on_cpu(nm_guidance_cuda *guidance, nm_tensor level, nm_tensor x0);

/// In which order threads run between two barriers: 0 rising, 1 falling, else shuffled by this number. What a kernel
/// gives must not depend on it.
void nm_emulator_set_order(uint32_t order);

#ifdef __cplusplus
}
#endif
#endif
