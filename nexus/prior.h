/// What an agent's tokens would be if it went straight on: the network learns the difference to it.
///
/// With p the prior of a token, x' = x - p is diffused instead of x. As z = alpha x + sigma e, that is the same noise
/// in another place: z' = z - alpha p, and v = alpha e - sigma x = v' - sigma p. So sampler, guidance and moving frames
/// go on working with x, z and v, and only what the network sees and says is shifted. A token far in the future has
/// values of several units (80 m at 10 m/s and 8 s) of which constant velocity explains nearly all; without the prior
/// the network has to spend its precision on them.
///
/// A sampler begins with z = e, as if alpha were 0 at level 1, where it is 4e-4: with a prior that leaves 4e-4 x out,
/// without it 4e-4 x'.
///
/// Pure functions, safe everywhere.
#ifndef NM_NEXUS_PRIOR_H
#define NM_NEXUS_PRIOR_H

#include "nexus/denoiser.h"
#include "nexus/noise.h"
#include "nexus/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_prior {
    NM_PRIOR_NONE = 0,
    NM_PRIOR_STRAIGHT ///< constant velocity along the heading of the own frame; NM_TOKENS_AGENT only
} nm_prior;
NM_API const char *nm_prior_name(nm_prior prior); ///< "none", "straight"
/// NM_E_ARGUMENT naming the choices.
NM_API nm_status nm_prior_parse(const char *text, nm_prior *prior, nm_error *error);

/// Priors of packed tokens, from what their conditions say of the own frame (NM_CONDITION_SPEED, NM_CONDITION_AGE):
/// state i of token t is (t - past) 0.5 s - (4 - i) 0.1 s + age after the own frame's, at x = speed * time, y = 0,
/// heading 0, with that speed.
///
/// refs       [count] of which the time counts: token `past` is the current one
/// condition  [count][NM_CONDITION_COUNT]
/// prior      [out, count x nm_token_channels]
NM_API void nm_prior_fill(const nm_token_config *tokens, uint32_t count, const nm_token_ref *refs,
                          const float *condition, float *prior);

/// What a denoiser that knows x - p is to see of a sampler's tokens, and back to what the sampler is to hear of it.
/// prior   [N][C] of the tokens `in`
/// known   [out, N x C] in->known less the prior where it is known
/// noised  [out, N x C] in->noised less alpha times the prior
NM_API void nm_prior_take_off(nm_snr_schedule snr, const nm_denoise_input *in, const float *prior, float *known,
                              float *noised);
/// v [in, out, N x C] of x - p becomes that of x.
NM_API void nm_prior_put_back(nm_snr_schedule snr, const nm_denoise_input *in, const float *prior, float *v);

#ifdef __cplusplus
}
#endif
#endif
