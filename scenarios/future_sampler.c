#include "scenarios/future_sampler.h"

#include <stdio.h>

#include "scenarios/future_guidance.h"

nm_status nm_future_ahead_check(const nm_guidance_config *guidance, const nm_candidates_config *candidates,
                                const nm_agreement *a, nm_error *error) {
    char most[32] = "most=1";
    if (guidance->ahead == NM_GUIDANCE_NO_LIMIT) return NM_OK;
    if (candidates->count > 1)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "several candidates are compared by all that is predicted of them: guidance must be without "
                        "ahead=");
    if (guidance->ahead) snprintf(most, sizeof most, "most= of 1 to %llu", guidance->ahead + 1ULL);
    if (nm_agreement_is_on(a) && (a->scattered || !a->most || a->most - 1 > guidance->ahead))
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "agreement may finish states that guidance with ahead=%u leaves alone: it wants %s, and "
                        "scattered=0",
                        (unsigned)guidance->ahead, most);
    return NM_OK;
}

nm_status nm_future_sampler_create(nm_model *model, const nm_recipe *wide, const nm_block_rollout_config *config,
                                   nm_future_driver driver, nm_future_sampler *sampler, nm_error *error) {
    const nm_generator_config *g = &config->generator;
    if (wide->blocks.size) return nm_block_rollout_create(model, wide, config, &sampler->rollout, error);
    nm_status status = nm_future_ahead_check(&config->guidance, &g->candidates, &g->agreement, error);
    if (status == NM_OK && nm_agreement_is_on(&g->agreement)) status = nm_proposal_check(driver, wide, error);
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
