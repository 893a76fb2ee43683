/// Guidance on a GPU: what guidance.h describes, computed by an NVIDIA GPU.
///
/// It takes the configuration, scenes and adversaries of guidance.h and gives the same result: every sum is added up in
/// the same order, by the same formulas in double; only sine, cosine, arc tangent and hypot may differ in the last bit
/// of a double. The same input gives the same bits every time. Lanes are matched on the device, in copies of the maps.
///
/// A pass allocates nothing and works on the backend's stream. A guidance holds scratch memory: one thread at a time,
/// the one that uses the backend. In a build without CUDA creation is refused and nothing else can be called.
#ifndef NM_NEXUS_GUIDANCE_CUDA_H
#define NM_NEXUS_GUIDANCE_CUDA_H

#include "nexus/guidance.h"
#include "nexus/ops/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_guidance_cuda nm_guidance_cuda;

/// backend       borrowed; made by nm_backend_create_cuda, else NM_E_UNSUPPORTED
/// max_channels  the most of a token, for nm_guidance_cuda_apply; NM_E_ARGUMENT when the encoding does not fit
/// The configuration is checked as by nm_guidance_create; NM_E_UNSUPPORTED for `ahead` with a limit, as levels are on
/// the device. Takes about 240 bytes of the device a state.
NM_API nm_status nm_guidance_cuda_create(nm_backend *backend, const nm_guidance_config *config, uint32_t max_channels,
                                         nm_guidance_cuda **guidance, nm_error *error);
NM_API void nm_guidance_cuda_destroy(nm_guidance_cuda *guidance); ///< before the backend; NULL is fine

/// As nm_guidance_set_scenes; prepares the maps and copies those to the device that it does not have. After NM_E_MEMORY
/// there are no scenes.
NM_API nm_status nm_guidance_cuda_set_scenes(nm_guidance_cuda *guidance, const nm_guided_scene *scenes, uint32_t count,
                                             nm_error *error);
/// As nm_guidance_set_adversaries. Also after NM_E_MEMORY they are as before.
NM_API nm_status nm_guidance_cuda_set_adversaries(nm_guidance_cuda *guidance, const nm_adversary *adversaries,
                                                  uint32_t count, nm_error *error);

/// An nm_guide, with nm_guidance_apply's contract: x0 goes to the device and comes back. Its other failures are those
/// of the device; x0 is then of no meaning.
NM_API nm_status nm_guidance_cuda_apply(void *guidance, const nm_denoise_input *in, float *x0, nm_error *error);

/// The same in two parts, for tokens that stay on the device. Link when count, scene, agent or time of the tokens
/// change, or after scenes or adversaries were set; the rest of `in` is not read. Refuses what nm_guidance_apply does.
NM_API nm_status nm_guidance_cuda_link(nm_guidance_cuda *guidance, const nm_denoise_input *in, nm_error *error);
/// Guides the linked tokens. Asynchronous. May be recorded; a recording holds until the next link.
///
/// level  [count x 1] F32, of the backend
/// x0     [in/out, count x channels] F32, of the backend, any stride
NM_API void nm_guidance_cuda_run(nm_guidance_cuda *guidance, nm_tensor level, nm_tensor x0);

#ifdef __cplusplus
}
#endif
#endif
