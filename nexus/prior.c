#include "nexus/prior.h"

#include <string.h>

static const char *const names[] = {"none", "straight"};

const char *nm_prior_name(nm_prior prior) {
    return names[prior];
}

nm_status nm_prior_parse(const char *text, nm_prior *prior, nm_error *error) {
    for (int i = 0; i < 2; ++i) {
        if (strcmp(text, names[i]) != 0) continue;
        *prior = (nm_prior)i;
        return NM_OK;
    }
    return NM_ERROR(error, NM_E_ARGUMENT, "there is no prior '%s': none and straight are possible", text);
}

void nm_prior_fill(const nm_token_config *tokens, uint32_t count, const nm_token_ref *refs, const float *condition,
                   float *prior) {
    NM_ASSERT(tokens->encoding == NM_TOKENS_AGENT);
    const float position = 1.0f / (float)tokens->position_scale, ahead = 1.0f / (float)tokens->heading_scale;
    const float speed_scale = (float)tokens->speed_scale;
    for (uint32_t n = 0; n < count; ++n) {
        const float *known = condition + (size_t)n * NM_CONDITION_COUNT;
        const float speed = known[NM_CONDITION_SPEED] * speed_scale;
        const float time = 0.5f * ((float)refs[n].time - (float)tokens->past) + known[NM_CONDITION_AGE];
        for (uint32_t i = 0; i < NM_TOKEN_STEPS; ++i) {
            float *state = prior + ((size_t)n * NM_TOKEN_STEPS + i) * NM_OWN_CHANNELS;
            state[NM_OWN_X] = speed * (time - 0.1f * (float)(NM_TOKEN_STEPS - 1 - i)) * position;
            state[NM_OWN_Y] = 0.0f;
            state[NM_OWN_COS] = ahead;
            state[NM_OWN_SIN] = 0.0f;
            state[NM_OWN_SPEED] = known[NM_CONDITION_SPEED];
        }
    }
}

void nm_prior_take_off(nm_snr_schedule snr, const nm_denoise_input *in, const float *prior, float *known,
                       float *noised) {
    for (uint32_t n = 0; n < in->count; ++n) {
        const float alpha = (float)nm_noise_level_at(snr, (double)in->level[n]).alpha;
        for (size_t k = (size_t)n * in->channels; k < ((size_t)n + 1) * in->channels; ++k) {
            known[k] = in->known[k] - in->mask[k] * prior[k];
            noised[k] = in->noised[k] - alpha * prior[k];
        }
    }
}

void nm_prior_put_back(nm_snr_schedule snr, const nm_denoise_input *in, const float *prior, float *v) {
    for (uint32_t n = 0; n < in->count; ++n) {
        const float sigma = (float)nm_noise_level_at(snr, (double)in->level[n]).sigma;
        for (size_t k = (size_t)n * in->channels; k < ((size_t)n + 1) * in->channels; ++k) v[k] -= sigma * prior[k];
    }
}
