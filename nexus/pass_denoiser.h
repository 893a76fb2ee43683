/// A pass of the network as what the sampler asks for (denoiser.h).
#ifndef NM_NEXUS_PASS_DENOISER_H
#define NM_NEXUS_PASS_DENOISER_H

#include "nexus/denoiser.h"
#include "nexus/network.h"
#include "nexus/prior.h"
#include "nexus/reuse.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What the sampler does not know of its tokens. Borrowed. The pass holds the scenes (nm_pass_set_scenes) whose valid
/// tokens are the sampler's, in the same order.
typedef struct nm_pass_denoiser {
    nm_pass *pass;
    nm_reuse *reuse;             ///< over the pass, nullable: predicts in its place
    const float *condition;      ///< [N][K], NULL when K = 0
    const float *pose;           ///< [N][4], NULL unless nm_model_wants_poses
    nm_prior prior;              ///< that the model was trained with; then the next three are read
    const nm_path *const *paths; ///< [scenes] of each scene, [A]; NM_PRIOR_LANE only, else not read
    const nm_token_config *tokens;
    nm_snr_schedule snr; ///< of the sampler
    float *scratch;      ///< [N][3 C + 1] working memory
} nm_pass_denoiser;

/// `context` is borrowed by the denoiser. A prediction is refused (NM_E_ARGUMENT) when the sampler's tokens are not the
/// pass's: other channels, another count, or another scene, agent or time.
NM_API nm_denoiser nm_denoiser_of_pass(nm_pass_denoiser *context);

#ifdef __cplusplus
}
#endif
#endif
