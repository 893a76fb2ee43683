/// Noise drawn on the device, the same bits as base/rng.h gives on the host.
#ifndef NM_NEXUS_OPS_CUDA_NOISE_H
#define NM_NEXUS_OPS_CUDA_NOISE_H

#include "base/rng.h"
#include "nexus/ops/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/// out[r][c] = nm_rng_normal(key, r * cols + c), on a backend made by nm_backend_create_cuda (any other is a caller's
/// bug). out [out, N x C] F32 or BF16 (rounded to nearest even), at most 2^32 - 257 elements. Asynchronous, may be
/// recorded.
NM_API void nm_cuda_fill_normal(nm_backend *backend, const nm_rng_key *key, nm_tensor out);

#ifdef __cplusplus
}
#endif
#endif
