#include "nexus/pass_denoiser.h"

static nm_status check_tokens(const nm_pass *pass, const nm_denoise_input *in, nm_error *error) {
    const nm_batch *batch = nm_pass_batch(pass);
    const uint32_t channels = nm_model_get_config(nm_pass_model(pass))->channels;
    if (in->channels != channels)
        return NM_ERROR(error, NM_E_ARGUMENT, "the sampler's tokens have %u channels, the model's %u", in->channels,
                        channels);
    if (in->count != batch->tokens)
        return NM_ERROR(error, NM_E_ARGUMENT, "the sampler has %u tokens, the pass %u", in->count, batch->tokens);
    for (uint32_t i = 0; i < in->count; ++i) {
        const nm_token_ref ref = batch->refs[i];
        if (in->scene[i] == ref.scene && in->agent[i] == ref.agent && in->time[i] == ref.time) continue;
        return NM_ERROR(
            error, NM_E_ARGUMENT,
            "token %u is scene %u, agent %u, time %u to the sampler, and scene %u, agent %u, time %u to the "
            "pass",
            i, in->scene[i], in->agent[i], in->time[i], ref.scene, ref.agent, ref.time);
    }
    return NM_OK;
}

static nm_status predict_v(const nm_pass_denoiser *d, const nm_pass_input *input, float *v, nm_error *error) {
    return d->reuse ? nm_reuse_predict(d->reuse, input, v, error) : nm_pass_predict(d->pass, input, v, error);
}

/// Asks for what the prior leaves (prior.h).
static nm_status predict_rest(const nm_pass_denoiser *d, const nm_denoise_input *in, nm_pass_input *input, float *v,
                              nm_error *error) {
    NM_ASSERT(d->tokens && d->scratch && d->condition);
    const size_t values = (size_t)in->count * in->channels;
    float *prior = d->scratch, *known = prior + values, *noised = known + values, *spread = noised + values;
    nm_prior_fill(d->prior, d->tokens, nm_pass_batch(d->pass), d->condition, d->paths, in->known, in->mask, prior,
                  spread);
    nm_prior_take_off(d->prior, (float)d->tokens->heading_scale, d->snr, in, prior, spread, known, noised);
    input->known = known;
    input->noised = noised;
    const nm_status status = predict_v(d, input, v, error);
    if (status == NM_OK)
        nm_prior_put_back(d->prior, (float)d->tokens->heading_scale, d->snr, in, prior, spread, noised, v);
    return status;
}

static nm_status predict(void *context, const nm_denoise_input *in, float *v, nm_error *error) {
    const nm_pass_denoiser *d = context;
    const nm_status status = check_tokens(d->pass, in, error);
    if (status != NM_OK) return status;
    nm_pass_input input = {.known = in->known,
                           .mask = in->mask,
                           .noised = in->noised,
                           .condition = d->condition,
                           .level = in->level,
                           .pose = d->pose};
    if (d->prior != NM_PRIOR_NONE) return predict_rest(d, in, &input, v, error);
    return predict_v(d, &input, v, error);
}

nm_denoiser nm_denoiser_of_pass(nm_pass_denoiser *context) {
    return (nm_denoiser){.context = context, .predict = predict};
}
