/// Noise levels in training: every token draws its own, so that the network learns every task that differs from others
/// only in which tokens are clean (nexus-core section 3).
///
/// Half of the examples are behaviour prediction: the history is clean. Half are conditioned generation: the ego and a
/// random subset of the other agents are clean from beginning to end, everything else is noise, history too. What is
/// not clean has a level from one of five families. Pure functions, safe everywhere.
#ifndef NM_NEXUS_NOISE_MASK_H
#define NM_NEXUS_NOISE_MASK_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/// How the levels of an example hang together. u0 < u1 are uniform draws, t runs from 0 at the first token that is not
/// history to 1 at the last.
typedef enum nm_noise_family {
    NM_NOISE_SCENE = 0, ///< one level for all
    NM_NOISE_RISING,    ///< u0 + (u1 - u0) t: the farther, the noisier; history at u0
    NM_NOISE_AGENT,     ///< one level for each agent
    NM_NOISE_TOKEN,     ///< independent
    NM_NOISE_SMOOTH,    ///< 1/2 + 1/2 sin of a random plane wave over agents and time, two of them averaged
    NM_NOISE_FAMILIES
} nm_noise_family;

typedef struct nm_noise_mask_config {
    float weight[NM_NOISE_FAMILIES]; ///< >= 0, how often each family is drawn relative to the others; default 1 each
    float threshold;                 ///< levels below it become exactly 0 with probability 1/2; default 0.15
    float behaviour;                 ///< share of behaviour prediction; default 0.5
    float goals;                     ///< share of behaviour prediction in which the last valid token of each agent is
                                     ///< clean, as in the goal task; default 0.25
} nm_noise_mask_config;
NM_API nm_noise_mask_config nm_noise_mask_config_default(void);
/// NM_E_ARGUMENT naming the field that is out of range: weights all 0, shares outside [0, 1].
NM_API nm_status nm_noise_mask_config_check(const nm_noise_mask_config *config, nm_error *error);

/// What was drawn, for statistics and tests.
typedef struct nm_noise_mask {
    nm_noise_family family;
    int behaviour, goals;
} nm_noise_mask;

/// Levels of example `example` of a run with `seed` (NM_PURPOSE_MASK).
///
/// valid    [agents][steps]
/// history  tokens before this time are history; the ego is agent 0
/// level    [out, agents x steps] in [0, 1]; 0 = clean, a condition; not valid: 1
NM_API nm_noise_mask nm_noise_mask_draw(const nm_noise_mask_config *config, uint64_t seed, uint64_t example,
                                        uint32_t agents, uint32_t steps, const uint8_t *valid, uint32_t history,
                                        float *level);

#ifdef __cplusplus
}
#endif
#endif
