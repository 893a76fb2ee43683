#include "nexus/ops/cuda/guidance.h"
#include "nexus/ops/cuda/noise.h"
#include "nexus/ops/ops.h"

// What a build without CUDA has in place of nexus/ops/cuda/.

nm_status nm_backend_create_cuda(const nm_backend_config *config, nm_backend **backend, nm_error *error) {
    NM_ASSERT(config && backend);
    *backend = NULL;
    return NM_ERROR(error, NM_E_UNSUPPORTED, "This program was built without CUDA; use the cpu backend");
}

void nm_cuda_fill_normal(nm_backend *backend, const nm_rng_key *key, nm_tensor out) {
    (void)backend, (void)key, (void)out;
    NM_ASSERT(!"a CUDA backend, which this build can not make");
}

int nm_cuda_made(const nm_backend *backend) {
    (void)backend;
    return 0;
}

void nm_cuda_guide_pass(nm_backend *backend, const nm_cuda_guide *guide) {
    (void)backend, (void)guide;
    NM_ASSERT(!"a CUDA backend, which this build can not make");
}
