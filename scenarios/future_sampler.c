#include "scenarios/future_sampler.h"

#include "scenarios/future_guidance.h"

nm_status nm_future_sampler_create(nm_model *model, const nm_recipe *wide, const nm_block_rollout_config *config,
                                   nm_future_driver driver, nm_future_sampler *sampler, nm_error *error) {
    const nm_generator_config *g = &config->generator;
    if (wide->blocks.size) return nm_block_rollout_create(model, wide, config, &sampler->rollout, error);
    nm_status status = nm_agreement_is_on(&g->agreement) ? nm_proposal_check(driver, wide, error) : NM_OK;
    if (status == NM_OK) status = nm_generator_create(model, wide, g, &sampler->generator, error);
    if (status != NM_OK) return status;
    const uint32_t slots = g->scenes * g->candidates.count;
    return nm_future_guidance_create(&config->guidance, &wide->tokens, slots, &sampler->guidance, error);
}

void nm_future_sampler_destroy(nm_future_sampler *sampler) {
    nm_generator_destroy(sampler->generator);
    nm_block_rollout_destroy(sampler->rollout);
    nm_guidance_destroy(sampler->guidance);
    *sampler = (nm_future_sampler){0};
}
