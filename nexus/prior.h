/// What an agent's tokens would be if it went straight on: the network learns the difference to it.
///
/// With p the prior of a token, x' = x - p is diffused instead of x. As z = alpha x + sigma e, that is the same noise
/// in another place: z' = z - alpha p, and v = alpha e - sigma x = v' - sigma p. So sampler, guidance and moving frames
/// go on working with x, z and v, and only what the network sees and says is shifted. A token far in the future has
/// values of several units (80 m at 10 m/s and 8 s) of which constant velocity explains nearly all; without the prior
/// the network has to spend its precision on them.
///
/// Pure functions, safe everywhere.
#ifndef NM_NEXUS_PRIOR_H
#define NM_NEXUS_PRIOR_H

#include "nexus/noise.h"
#include "nexus/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_prior {
    NM_PRIOR_NONE = 0,
    NM_PRIOR_STRAIGHT, ///< constant velocity along the heading of the own frame; NM_TOKENS_AGENT only
    NM_PRIOR_BRIDGE ///< straight; but tokens that are not known, from known ones of their agent: cubic curves between
                    ///< two of them (a goal, an executed state), straight on from the last. NM_TOKENS_AGENT only
} nm_prior;
NM_API const char *nm_prior_name(nm_prior prior); ///< "none", "straight", "bridge"
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
/// batch      whose refs and groups by agent count; token `past` is the current one
/// condition  [N][NM_CONDITION_COUNT]
/// known      [N][nm_token_channels] read where mask is not 0; BRIDGE only
/// mask       [N][nm_token_channels] its first channel stands for the token; BRIDGE only
/// prior      [out, N x nm_token_channels]
NM_API void nm_prior_fill(nm_prior kind, const nm_token_config *tokens, const nm_batch *batch, const float *condition,
                          const float *known, const float *mask, float *prior);

#ifdef __cplusplus
}
#endif
#endif
