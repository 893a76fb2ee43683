/// From the sampler's observer to a recording: every token's prediction decoded to where it puts its agent.
#include "tools/record_denoising.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nm_denoising_recorder {
    const nm_tokens *tokens;
    const nm_scene *scene;
    uint32_t batch_scene;
    char title[NM_DENOISING_TITLE];
    nm_denoising_builder *builder;
    uint64_t layout;       ///< of the sampler, as at the first call
    uint32_t first, count; ///< tokens of the scene in it
    float *level, *x, *y, *heading;
    uint8_t *valid;
    nm_state *states; ///< of one token
    nm_error error;   ///< the first that went wrong
};

nm_status nm_denoising_recorder_create(const nm_tokens *tokens, const nm_scene *scene, uint32_t batch_scene,
                                       const char *title, nm_denoising_recorder **out, nm_error *error) {
    NM_ASSERT(tokens && scene && title && out);
    nm_denoising_recorder *r = calloc(1, sizeof *r);
    *out = NULL;
    if (r) r->states = calloc(nm_token_states(&tokens->config), sizeof *r->states);
    if (!r || !r->states) {
        free(r);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for a recording");
    }
    r->tokens = tokens;
    r->scene = scene;
    r->batch_scene = batch_scene;
    snprintf(r->title, sizeof r->title, "%s", title);
    nm_error_clear(&r->error);
    *out = r;
    return NM_OK;
}

void nm_denoising_recorder_destroy(nm_denoising_recorder *r) {
    if (!r) return;
    nm_denoising_builder_destroy(r->builder);
    free(r->level);
    free(r->x);
    free(r->y);
    free(r->heading);
    free(r->valid);
    free(r->states);
    free(r);
}

static nm_status allocate(nm_denoising_recorder *r) {
    r->level = calloc(r->count + 1u, sizeof *r->level);
    r->x = calloc(r->count + 1u, sizeof *r->x);
    r->y = calloc(r->count + 1u, sizeof *r->y);
    r->heading = calloc(r->count + 1u, sizeof *r->heading);
    r->valid = calloc(r->count + 1u, sizeof *r->valid);
    if (r->level && r->x && r->y && r->heading && r->valid) return NM_OK;
    return NM_ERROR(&r->error, NM_E_MEMORY, "out of memory for a recording of %u tokens", r->count);
}

/// Finds the scene's tokens in the layout and starts the recording.
static nm_status begin(nm_denoising_recorder *r, const nm_sampler_state *state) {
    const nm_denoise_input *in = &state->in;
    const uint32_t agents = r->tokens->shape.agents, times = nm_token_count(&r->tokens->config);
    r->layout = in->layout;
    while (r->first < in->count && in->scene[r->first] < r->batch_scene) r->first++;
    while (r->first + r->count < in->count && in->scene[r->first + r->count] == r->batch_scene) r->count++;
    nm_status status = allocate(r);
    uint32_t *track = calloc(r->count + 1u, sizeof *track);
    if (status == NM_OK && !track) status = NM_ERROR(&r->error, NM_E_MEMORY, "out of memory for a recording");
    for (uint32_t i = 0; i < r->count && status == NM_OK; i++) {
        const uint32_t agent = in->agent[r->first + i];
        if (agent >= agents)
            status = NM_ERROR(&r->error, NM_E_ARGUMENT, "token %u is of agent %u; the scene has %u", r->first + i,
                              agent, agents);
        else
            track[i] = r->tokens->track[agent];
    }
    if (status == NM_OK)
        status = nm_denoising_builder_create(r->scene, r->title, r->count, times, r->tokens->config.past, track,
                                             in->time + r->first, &r->builder, &r->error);
    free(track);
    return status;
}

void nm_denoising_recorder_observe(void *context, const nm_sampler *sampler) {
    nm_denoising_recorder *r = context;
    const nm_sampler_state state = nm_sampler_get(sampler);
    const nm_token_config *config = &r->tokens->config;
    if (r->error.code != NM_OK || (!r->builder && begin(r, &state) != NM_OK)) return;
    if (state.in.layout != r->layout) {
        NM_ERROR(&r->error, NM_E_UNSUPPORTED, "the layout of the tokens changed during the recording");
        return;
    }
    NM_ASSERT(state.in.channels == nm_token_channels(config));
    for (uint32_t i = 0; i < r->count; i++) {
        const uint32_t token = r->first + i;
        nm_token_decode(config, nm_tokens_frame(r->tokens, state.in.agent[token]),
                        state.x0 + (size_t)token * state.in.channels, r->states);
        const nm_state *last = &r->states[nm_token_states(config) - 1]; // the one at the token's time
        r->level[i] = (float)state.step[token] / (float)state.levels;
        r->x[i] = last->x;
        r->y[i] = last->y;
        r->heading[i] = last->heading;
        r->valid[i] = 1;
    }
    nm_denoising_builder_add(r->builder, r->level, r->x, r->y, r->heading, r->valid, &r->error);
}

nm_status nm_denoising_recorder_finish(nm_denoising_recorder *r, nm_denoising **denoising, nm_error *error) {
    NM_ASSERT(r && denoising);
    *denoising = NULL;
    if (r->error.code != NM_OK) {
        if (error) *error = r->error;
        return r->error.code;
    }
    if (!r->builder) return NM_ERROR(error, NM_E_ARGUMENT, "nothing was recorded");
    nm_denoising_builder *builder = r->builder;
    r->builder = NULL;
    return nm_denoising_builder_finish(builder, denoising, error);
}
