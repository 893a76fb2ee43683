/// Agreement: tokens that a light driver model would write as the network does are finished early, and the passes that
/// they would still have taken are left out.
///
/// After Guided Diffusion (Hu et al. 2025, arXiv 2505.21467, section 3.3), where a small autoregressive model watches a
/// diffusion model over words and what both say is unmasked at once. Words are equal or not; states are near or not: a
/// token agrees when each of its states, h s after the current one, lies closer to the proposed one than position * h
/// and moves at a speed closer to the proposed one than speed * h. As there, agreement counts up to the first token of
/// an agent that does not agree: what comes after a state that is still open is open, too.
///
/// Where a proposal comes from is the caller's business: a driver model (scenarios/future_proposal.h), or the prior
/// that the network corrects (prior.h), which goes on along the road from wherever an agent's finished tokens end.
#ifndef NM_NEXUS_AGREEMENT_H
#define NM_NEXUS_AGREEMENT_H

#include "nexus/denoiser.h"
#include "nexus/encoding.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What a token that is finished early is from then on.
typedef enum nm_agreement_value {
    NM_AGREE_ON_PREDICTION = 0, ///< what the network said, after guidance
    NM_AGREE_ON_PROPOSAL
} nm_agreement_value;

/// All 0: nobody agrees on anything, and sampling is as without.
typedef struct nm_agreement {
    float position; ///< m a second ahead, [0, inf]; infinite: any place agrees
    float speed;    ///< m/s a second ahead, [0, inf]
    nm_agreement_value value;
    int scattered; ///< 1 = also behind tokens that do not agree; default 0
    uint32_t most; ///< tokens of an agent that a pass finishes; default 0: any number. Few leave guidance time to act
                   ///< on those that follow
} nm_agreement;

/// NM_E_ARGUMENT for a threshold below 0 or not a number, or a value that there is not.
NM_API nm_status nm_agreement_check(const nm_agreement *agreement, nm_error *error);
/// 1 when anything can agree: both thresholds are above 0.
NM_API int nm_agreement_is_on(const nm_agreement *agreement);

/// Tokens as an agreement looks at them.
typedef struct nm_agreement_tokens {
    nm_state_encoding encoding;
    float dt;      ///< s between time tokens, > 0
    uint32_t past; ///< time of the current token: h = 0 at its last state
} nm_agreement_tokens;

/// How far a prediction is from a proposal: the largest share of its threshold that a state of the token is off,
/// infinite where a threshold is 0 or for a state that is not ahead. A token agrees below 1. Speeds are vectors where
/// the encoding has both components.
NM_API float nm_agreement_distance(const nm_agreement *agreement, const nm_agreement_tokens *tokens, uint32_t time,
                                   const float *predicted, const float *proposed);

/// Which tokens of a pass are finished now; an nm_settle (sampler.h) but for its context.
///
/// x0        [in/out, count x channels] predicted; with NM_AGREE_ON_PROPOSAL the rows that agree become the proposal
/// proposal  [count][channels] finite where `proposed`
/// proposed  [count] 0 = nothing is proposed for the token: it does not agree. Of clean tokens nothing is read
/// settled   [out, count] nm_settled
/// returns   how many tokens were settled
///
/// Agents are told apart by scene and agent, in the order of the input. Pure, O(count), allocates nothing.
NM_API uint32_t nm_agreement_settle(const nm_agreement *agreement, const nm_agreement_tokens *tokens,
                                    const nm_denoise_input *in, float *x0, const float *proposal,
                                    const uint8_t *proposed, uint8_t *settled);

#ifdef __cplusplus
}
#endif
#endif
