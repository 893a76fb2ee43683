#include "nexus/generator_agreement.h"

#include <stdlib.h>
#include <string.h>

#include "nexus/finite.h"

nm_status nm_generator_agreement_create(const nm_generator_config *config, const nm_recipe *recipe, size_t tokens,
                                        const float *prior, nm_generated_count *counts,
                                        nm_generator_agreement **agreement, nm_error *error) {
    const nm_token_config *t = &recipe->tokens;
    *agreement = NULL;
    const nm_status status = nm_agreement_check(&config->agreement, error);
    if (status != NM_OK || !nm_agreement_is_on(&config->agreement)) return status;
    nm_generator_agreement *a = calloc(1, sizeof *a);
    if (!a) return NM_ERROR(error, NM_E_MEMORY, "out of memory for proposals");
    a->config = config->agreement;
    a->tokens = (nm_agreement_tokens){
        .encoding = nm_token_state_encoding(t), .dt = 0.1f * (float)NM_TOKEN_STEPS, .past = t->past};
    a->channels = nm_token_channels(t);
    a->last_level = 1.0f / (float)config->levels;
    a->prior = recipe->prior == NM_PRIOR_NONE ? NULL : prior;
    a->counts = counts;
    a->proposal = calloc(tokens * a->channels, sizeof(float));
    a->given = calloc(tokens, 1);
    a->proposed = calloc(tokens, 1);
    a->done = calloc(config->scenes, 1);
    a->from = calloc(tokens, sizeof *a->from);
    a->nobody = calloc((size_t)t->agents * nm_token_count(t), 1);
    if (!a->proposal || !a->given || !a->proposed || !a->done || !a->from || !a->nobody) {
        nm_generator_agreement_destroy(a);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the proposals of %u scenes", config->scenes);
    }
    *agreement = a;
    return NM_OK;
}

void nm_generator_agreement_destroy(nm_generator_agreement *a) {
    if (!a) return;
    free(a->proposal);
    free(a->given);
    free(a->proposed);
    free(a->done);
    free(a->from);
    free(a->nobody);
    free(a);
}

nm_status nm_generator_agreement_check(const nm_generation *scenes, uint32_t count, nm_error *error) {
    for (uint32_t i = 0; i < count; ++i) {
        const nm_tokens *t = scenes[i].tokens;
        const size_t channels = nm_token_channels(&t->config), tokens = (size_t)t->shape.agents * t->shape.steps;
        NM_ASSERT(!scenes[i].proposal || scenes[i].proposed);
        for (size_t n = 0; scenes[i].proposal && n < tokens; ++n) {
            if (!scenes[i].proposed[n] || !t->valid[n] || t->known[n]) continue;
            if (!nm_all_finite(scenes[i].proposal + n * channels, channels))
                return NM_ERROR(error, NM_E_NUMERIC,
                                "what is proposed for agent %u of scene %u at time %u is not finite",
                                (unsigned)(n / t->shape.steps), (unsigned)i, (unsigned)(n % t->shape.steps));
        }
    }
    return NM_OK;
}

void nm_generator_agreement_gather(nm_generator_agreement *a, const nm_batch *batch, const nm_generation *from,
                                   uint32_t index) {
    const uint32_t steps = from->tokens->shape.steps;
    a->done[index] = 0;
    for (uint32_t n = batch->scene_tokens[index]; n < batch->scene_tokens[index + 1]; ++n) {
        const size_t at = (size_t)batch->refs[n].agent * steps + batch->refs[n].time;
        a->given[n] = from->proposal && from->proposed[at];
        a->proposed[n] = a->given[n] || a->prior;
    }
    if (from->proposal) nm_batch_gather(batch, index, steps, a->channels, from->proposal, a->proposal);
}

void nm_generator_agreement_settle(void *agreement, const nm_denoise_input *in, float *x0, uint8_t *settled) {
    nm_generator_agreement *a = agreement;
    const size_t channels = a->channels;
    for (uint32_t n = 0; a->prior && n < in->count; ++n) {
        if (a->given[n]) continue;
        memcpy(a->proposal + n * channels, a->prior + n * channels, channels * sizeof(float));
    }
    nm_agreement_settle(&a->config, &a->tokens, in, x0, a->proposal, a->proposed, settled);
    for (uint32_t n = 0; n < in->count; ++n)
        a->counts[in->scene[n]].agreed += settled[n] != NM_NOT_SETTLED && in->level[n] > a->last_level;
}

uint32_t nm_generator_agreement_stay(nm_generator_agreement *a, const uint32_t *scene, uint32_t count) {
    uint32_t stay = 0;
    for (uint32_t n = 0; n < count; ++n)
        if (!a->done[scene[n]]) a->from[stay++] = n;
    return stay;
}

void nm_generator_agreement_compact(nm_generator_agreement *a, uint32_t stay, void *rows, size_t bytes) {
    if (!rows) {
        nm_generator_agreement_compact(a, stay, a->proposal, a->channels * sizeof *a->proposal);
        nm_generator_agreement_compact(a, stay, a->given, sizeof *a->given);
        nm_generator_agreement_compact(a, stay, a->proposed, sizeof *a->proposed);
        return;
    }
    for (uint32_t k = 0; k < stay; ++k)
        if (a->from[k] != k) memmove((char *)rows + k * bytes, (char *)rows + a->from[k] * bytes, bytes);
}
