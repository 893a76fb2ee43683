/// What an agent's tokens would be if it went straight on: the network learns the difference to it.
///
/// Token x has a prior p and a spread s, what is likely to be left of x - p in units of the encoding: x' = (x - p) / s
/// is diffused in its place. With z = alpha x + sigma e and q^2 = alpha^2 s^2 + sigma^2,
///   z' = (z - alpha p) / q = alpha' x' + sigma' e,  alpha' = alpha s / q, sigma' = sigma / q
/// is the same noise at another level: log-SNR' = log-SNR + 2 ln s. So sampler, guidance and moving frames go on
/// working with x, z and v, and only what the network sees and says is another: it says v', and x0 = p + s (alpha' z' -
/// sigma' v').
///
/// Why: a token 8 s ahead has values of several units (80 m at 10 m/s), of which constant velocity explains nearly all,
/// and a token 0.5 s ahead differs from it by a hundredth of a unit. Without the prior the network has to spend its
/// precision on what is known, and without the spread nothing that happens in the next seconds counts in the loss.
///
/// A prior that bends (LANE) turns x' into its own direction besides: z' = R (z - alpha p) / q with the rotation R of
/// each state, which leaves noise what it is.
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
    NM_PRIOR_STRAIGHT, ///< constant velocity along the heading of the own frame; NM_TOKENS_AGENT only
    NM_PRIOR_BRIDGE, ///< straight; but tokens that are not known, from known ones of their agent: cubic curves between
                     ///< two of them (a goal, an executed state), straight on from the last. NM_TOKENS_AGENT only
    NM_PRIOR_LANE    ///< bridge along the path of the agent (path.h), where it has one: with a road that bends, so does
                     ///< what is expected. NM_TOKENS_AGENT with nm_token_config.paths only
} nm_prior;
#define NM_PRIOR_COUNT 4
NM_API const char *nm_prior_name(nm_prior prior); ///< "none", "straight", "bridge", "lane"
/// NM_E_ARGUMENT naming the choices.
NM_API nm_status nm_prior_parse(const char *text, nm_prior *prior, nm_error *error);

/// Priors of packed tokens.
///
/// STRAIGHT  from what the conditions say of the own frame (NM_CONDITION_SPEED, NM_CONDITION_AGE): state i of token t
/// is
///           (t - past) 0.5 s - (4 - i) 0.1 s + age after the own frame's, at x = speed * time, y = 0, heading 0, with
///           that speed.
/// BRIDGE    the same for known tokens, so that the network sees their values. Anchors are the own frame's state and
/// the last
///           state of each known token. Between two anchors in time: the cubic Hermite curve of both positions and
///           velocities; speed and heading are its derivative's, the heading that of the nearer anchor where it is
///           slower than 0.5 m/s. After the last anchor: its velocity and heading, held; before the first: likewise.
///
/// LANE      known tokens as STRAIGHT. Others after the own frame's time as BRIDGE, but in (s, d) along the path:
/// Hermite curves
///           between anchors, nm_path_coast after the last. Where an anchor lies more than 8 m beside the path or looks
///           across it, and without a path: as BRIDGE. What is left of a state is seen from the prior's heading: x' is
///           how much farther along it is.
///
/// batch      whose refs and groups by agent count; token `past` is the current one
/// condition  [N][NM_CONDITION_COUNT]
/// known      [N][nm_token_channels] read where mask is not 0; BRIDGE only
/// mask       [N][nm_token_channels] its first channel stands for the token; BRIDGE only
/// prior      [out, N x nm_token_channels]
/// paths      [scenes] of each scene, [A]; LANE only
/// spread     [out, N] (d / 8 s)^1.2 within 0.02 .. 2, d the time from the token to the anchor nearest to it; STRAIGHT:
/// to the own
///            frame's state
NM_API void nm_prior_fill(nm_prior kind, const nm_token_config *tokens, const nm_batch *batch, const float *condition,
                          const nm_path *const *paths, const float *known, const float *mask, float *prior,
                          float *spread);

/// x' of one token, [channels]; `rest` may be `x`. heading_scale: of the token configuration; LANE only. Within +-10: a
/// recording that jumps is no more of a surprise than that.
NM_API void nm_prior_rest(nm_prior kind, float heading_scale, uint32_t channels, const float *x, const float *prior,
                          float spread, float *rest);

/// The level of x' where x is at `level` (see above), and q. Log-SNR' is not let below -14: what little signal there is
/// would be lost in rounding.
typedef struct nm_spread_level {
    double alpha, sigma, logsnr, q;
} nm_spread_level;
NM_API nm_spread_level nm_spread_level_of(const nm_noise_level *level, double spread);

/// What a denoiser that knows x' is to see of a sampler's tokens, and back from what it says to what the sampler is to
/// hear.
/// prior, spread  of the tokens `in`, as from nm_prior_fill
/// known          [out, N x C] x' where it is known, else 0
/// noised         [out, N x C] z'; of known tokens x'
NM_API void nm_prior_take_off(nm_prior kind, float heading_scale, nm_snr_schedule snr, const nm_denoise_input *in,
                              const float *prior, const float *spread, float *known, float *noised);
/// v [in, out, N x C] v' of x' becomes v of x; rows of known tokens are left alone. noised: z' as from above.
NM_API void nm_prior_put_back(nm_prior kind, float heading_scale, nm_snr_schedule snr, const nm_denoise_input *in,
                              const float *prior, const float *spread, const float *noised, float *v);

#ifdef __cplusplus
}
#endif
#endif
