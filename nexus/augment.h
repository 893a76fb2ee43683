/// Augmentation of training examples: what leaves a scene plausible and shows the network something new. On tokens, in
/// place. A function of (seed, example) alone (NM_PURPOSE_AUGMENT); safe everywhere on different tokens.
#ifndef NM_NEXUS_AUGMENT_H
#define NM_NEXUS_AUGMENT_H

#include "nexus/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Every field 0 = off, the default.
typedef struct nm_augmentation {
    float mirror; ///< [0, 1] share of examples that are mirrored, left for right (traffic keeps to the other side)
    float rotate; ///< rad, [0, pi]: frames of NM_TOKENS_EGO are turned by up to this; own frames are not, they
                  ///< are as the agent stands by definition
    float drop;   ///< [0, 1] of each example's agents up to this share, drawn anew, is left out; never the ego
    float history_noise; ///< m, [0, 10] deviation of the positions of tokens before the current one, white; speeds by
                         ///< as many m/s (along the heading; EGO: vx and vy)
} nm_augmentation;
/// NM_E_ARGUMENT naming the field that is out of range.
NM_API nm_status nm_augmentation_check(const nm_augmentation *augmentation, nm_error *error);

/// Changes values, conditions, poses, map rows and which tokens are valid. Arrays are those that nm_tokens_build made.
NM_API void nm_augment(const nm_augmentation *augmentation, uint64_t seed, uint64_t example, nm_tokens *tokens);

/// The same for an example of several parts (blocks.h, nm_tokens.next): all are mirrored or none, and who is left out
/// is so in all of them, which is why agents are drawn by their ids here.
NM_API void nm_augment_parts(const nm_augmentation *augmentation, uint64_t seed, uint64_t example, nm_tokens *tokens);

/// The mirror image of everything in the tokens but for `frame`, which goes on saying where the agents stand in the
/// scene that was not mirrored; twice is the identity, bit for bit.
NM_API void nm_tokens_mirror(nm_tokens *tokens);

#ifdef __cplusplus
}
#endif
#endif
