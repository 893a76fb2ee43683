#include "nexus/agreement.h"

#include <math.h>
#include <string.h>

nm_status nm_agreement_check(const nm_agreement *agreement, nm_error *error) {
    if (!(agreement->position >= 0.0f) || !(agreement->speed >= 0.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "agreement within %g m and %g m/s a second ahead: neither is below 0",
                        (double)agreement->position, (double)agreement->speed);
    if (agreement->value != NM_AGREE_ON_PREDICTION && agreement->value != NM_AGREE_ON_PROPOSAL)
        return NM_ERROR(error, NM_E_ARGUMENT, "agreement on neither the prediction nor the proposal");
    return NM_OK;
}

int nm_agreement_is_on(const nm_agreement *agreement) {
    return agreement->position > 0.0f && agreement->speed > 0.0f;
}

/// How much one field of a state differs, in its unit; 0 where it is not encoded.
static float difference(const nm_state_encoding *e, uint32_t state, nm_state_field field, const float *a,
                        const float *b) {
    if (e->channel[field] < 0) return 0.0f;
    const size_t at = (size_t)state * e->stride + (size_t)e->channel[field];
    return (a[at] - b[at]) * e->scale[field];
}

/// off / threshold, with 0 for an infinite threshold and infinity for one of 0.
static float share(float off, float threshold) {
    return threshold > 0.0f ? off / threshold : INFINITY;
}

float nm_agreement_distance(const nm_agreement *agreement, const nm_agreement_tokens *tokens, uint32_t time,
                            const float *predicted, const float *proposed) {
    const nm_state_encoding *e = &tokens->encoding;
    float most = 0.0f;
    if (time <= tokens->past) return INFINITY;
    for (uint32_t i = 0; i < e->states; i++) {
        // the last state is at the token's time, the first one a state's step after the token before
        const float ahead = tokens->dt * ((float)(time - tokens->past) - (float)(e->states - 1 - i) / (float)e->states);
        const float x = difference(e, i, NM_FIELD_X, predicted, proposed),
                    y = difference(e, i, NM_FIELD_Y, predicted, proposed),
                    vx = difference(e, i, NM_FIELD_VX, predicted, proposed),
                    vy = difference(e, i, NM_FIELD_VY, predicted, proposed);
        most = fmaxf(most, share(sqrtf(x * x + y * y), agreement->position * ahead));
        most = fmaxf(most, share(sqrtf(vx * vx + vy * vy), agreement->speed * ahead));
    }
    return most;
}

uint32_t nm_agreement_settle(const nm_agreement *agreement, const nm_agreement_tokens *tokens,
                             const nm_denoise_input *in, float *x0, const float *proposal, const uint8_t *proposed,
                             uint8_t *settled) {
    const size_t channels = in->channels;
    uint32_t count = 0, taken = 0; // taken: of the agent
    int open = 0;                  // an earlier token of the agent is neither finished nor agreed on
    memset(settled, 0, in->count);
    if (!nm_agreement_is_on(agreement)) return 0;
    for (uint32_t n = 0; n < in->count; n++) {
        const size_t at = n * channels;
        if (n == 0 || in->scene[n] != in->scene[n - 1] || in->agent[n] != in->agent[n - 1]) open = 0, taken = 0;
        if (in->mask[at] != 0.0f) continue;
        const int agrees = (!open || agreement->scattered) && (!agreement->most || taken < agreement->most) &&
                           proposed[n] &&
                           nm_agreement_distance(agreement, tokens, in->time[n], x0 + at, proposal + at) < 1.0f;
        open |= !agrees;
        if (!agrees) continue;
        if (agreement->value == NM_AGREE_ON_PROPOSAL) memcpy(x0 + at, proposal + at, channels * sizeof *x0);
        settled[n] = agreement->value == NM_AGREE_ON_PROPOSAL ? NM_SETTLED_OTHERWISE : NM_SETTLED_AS_PREDICTED;
        taken++;
        count++;
    }
    return count;
}
