/// What futures of a model are sampled with. Shared by model_futures.c and scene_generator.c, so that what is scored is
/// what is kept.
#ifndef NM_SCENARIOS_FUTURE_SAMPLER_H
#define NM_SCENARIOS_FUTURE_SAMPLER_H

#include "scenarios/block_rollout.h"
#include "scenarios/future_proposal.h"

/// Zero it first. With models trained on blocks the rollout alone, else generator and guidance.
typedef struct nm_future_sampler {
    nm_generator *generator;
    nm_block_rollout *rollout;
    nm_guidance *guidance; ///< NULL: none
} nm_future_sampler;

/// What guidance with `ahead` leaves out because it is thrown away must be thrown away: NM_E_ARGUMENT together with
/// several candidates, which are compared by it, or with an agreement that may finish more than ahead + 1 tokens of an
/// agent a pass, or scattered ones. Pure.
NM_API nm_status nm_future_ahead_check(const nm_guidance_config *guidance, const nm_candidates_config *candidates,
                                       const nm_agreement *agreement, nm_error *error);

/// config   of either; candidates are those of config->generator
/// wide     the recipe with room for all agents (nm_future_recipe)
/// driver   who proposes, where agreement is on
/// NM_E_ARGUMENT where nm_future_ahead_check says so.
/// The model is borrowed and outlives it. After a failure destroy it all the same. Errors of nm_block_rollout_create,
/// nm_proposal_check, nm_generator_create and nm_future_guidance_create.
nm_status nm_future_sampler_create(nm_model *model, const nm_recipe *wide, const nm_block_rollout_config *config,
                                   nm_future_driver driver, nm_future_sampler *sampler, nm_error *error);
void nm_future_sampler_destroy(nm_future_sampler *sampler); ///< all zero is fine

#endif
