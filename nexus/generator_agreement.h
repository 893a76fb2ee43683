/// The proposals of a generator's batch, and what they have finished. Part of generator.c.
#ifndef NM_NEXUS_GENERATOR_AGREEMENT_H
#define NM_NEXUS_GENERATOR_AGREEMENT_H

#include "nexus/generator.h"

typedef struct nm_generator_agreement {
    nm_agreement config;
    nm_agreement_tokens tokens;
    uint32_t channels;
    float last_level;           ///< of the sampler: a token there is finished by the pass anyway
    const float *prior;         ///< [N][C] as of the pass, borrowed; NULL: there is none
    nm_generated_count *counts; ///< [scenes] borrowed
    float *proposal;            ///< [N][C]
    uint8_t *given;             ///< [N] 1 = the proposal is the caller's
    uint8_t *proposed;          ///< [N] 1 = there is one
    uint8_t *done;              ///< [scenes] 1 = nothing is left to denoise
    uint32_t *from;             ///< [N] of repacking: where a token was before
    uint8_t *nobody;            ///< [A T] 0: the tokens of a scene that has left
} nm_generator_agreement;

/// *agreement stays NULL where `config` is off. tokens: N, over all scenes. NM_E_MEMORY.
nm_status nm_generator_agreement_create(const nm_generator_config *config, const nm_recipe *recipe, size_t tokens,
                                        const float *prior, nm_generated_count *counts,
                                        nm_generator_agreement **agreement, nm_error *error);
void nm_generator_agreement_destroy(nm_generator_agreement *agreement); ///< NULL is fine

/// NM_E_NUMERIC naming scene, agent and time of a proposal that is not finite, of a token that is to be found.
nm_status nm_generator_agreement_check(const nm_generation *scenes, uint32_t count, nm_error *error);
/// Takes the proposals of one scene, whose tokens are in the batch.
void nm_generator_agreement_gather(nm_generator_agreement *agreement, const nm_batch *batch, const nm_generation *from,
                                   uint32_t index);
/// An nm_settle of the agreement.
void nm_generator_agreement_settle(void *agreement, const nm_denoise_input *in, float *x0, uint8_t *settled);

/// Which tokens of `scene` [count] stay when scenes that are done leave: `from`. Returns how many.
uint32_t nm_generator_agreement_stay(nm_generator_agreement *agreement, const uint32_t *scene, uint32_t count);
/// rows[k] = rows[from[k]] for the tokens that stay; its own rows are moved, too, with `rows` NULL.
void nm_generator_agreement_compact(nm_generator_agreement *agreement, uint32_t stay, void *rows, size_t bytes);

#endif
