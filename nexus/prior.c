#include "nexus/prior.h"

#include <math.h>
#include <string.h>

static const char *const names[] = {"none", "straight", "bridge"};

const char *nm_prior_name(nm_prior prior) {
    return names[prior];
}

nm_status nm_prior_parse(const char *text, nm_prior *prior, nm_error *error) {
    for (int i = 0; i < 3; ++i) {
        if (strcmp(text, names[i]) != 0) continue;
        *prior = (nm_prior)i;
        return NM_OK;
    }
    return NM_ERROR(error, NM_E_ARGUMENT, "there is no prior '%s': none, straight and bridge are possible", text);
}

nm_spread_level nm_spread_level_of(const nm_noise_level *level, double spread) {
    const double signal = level->alpha * spread, q = sqrt(signal * signal + level->sigma * level->sigma);
    const nm_noise_level at = nm_noise_level_of(fmax(level->logsnr + 2.0 * log(spread), -14.0));
    return (nm_spread_level){at.alpha, at.sigma, at.logsnr, q};
}

static float spread_of(float distance) {
    return fminf(fmaxf(powf(fabsf(distance) / 8.0f, 1.2f), 0.02f), 2.0f);
}

/// A state at a time, own frame: m, m/s, s after the current step.
typedef struct anchor {
    float time, x, y, cos_h, sin_h, speed;
} anchor;

/// Time of state i of token t, s after the current step.
static float time_of(const nm_token_config *tokens, uint32_t t, uint32_t i) {
    return 0.5f * ((float)t - (float)tokens->past) - 0.1f * (float)(NM_TOKEN_STEPS - 1 - i);
}

static void write_state(const nm_token_config *tokens, const anchor *a, float *state) {
    state[NM_OWN_X] = a->x / (float)tokens->position_scale;
    state[NM_OWN_Y] = a->y / (float)tokens->position_scale;
    state[NM_OWN_COS] = a->cos_h / (float)tokens->heading_scale;
    state[NM_OWN_SIN] = a->sin_h / (float)tokens->heading_scale;
    state[NM_OWN_SPEED] = a->speed / (float)tokens->speed_scale;
}

/// The last state of a known token.
static anchor read_anchor(const nm_token_config *tokens, uint32_t t, const float *values) {
    const float *state = values + (size_t)(NM_TOKEN_STEPS - 1) * NM_OWN_CHANNELS;
    anchor a = {.time = time_of(tokens, t, NM_TOKEN_STEPS - 1),
                .x = state[NM_OWN_X] * (float)tokens->position_scale,
                .y = state[NM_OWN_Y] * (float)tokens->position_scale,
                .cos_h = state[NM_OWN_COS],
                .sin_h = state[NM_OWN_SIN],
                .speed = state[NM_OWN_SPEED] * (float)tokens->speed_scale};
    const float length = sqrtf(a.cos_h * a.cos_h + a.sin_h * a.sin_h);
    a.cos_h = length > 1e-6f ? a.cos_h / length : 1.0f;
    a.sin_h = length > 1e-6f ? a.sin_h / length : 0.0f;
    return a;
}

static anchor own_frame(const nm_token_config *tokens, const float *condition) {
    return (anchor){.time = -condition[NM_CONDITION_AGE],
                    .cos_h = 1.0f,
                    .speed = condition[NM_CONDITION_SPEED] * (float)tokens->speed_scale};
}

static anchor hold(const anchor *from, float time) {
    anchor a = *from;
    a.x += (time - from->time) * from->speed * from->cos_h;
    a.y += (time - from->time) * from->speed * from->sin_h;
    a.time = time;
    return a;
}

/// The cubic Hermite curve from a to b, a->time < time < b->time.
static anchor between(const anchor *a, const anchor *b, float time) {
    const float d = b->time - a->time, s = (time - a->time) / d, q = 1.0f - s;
    const float ha = q * q * (1.0f + 2.0f * s), hb = s * s * (3.0f - 2.0f * s), ta = d * s * q * q, tb = -d * s * s * q;
    const float da = 6.0f * s * (s - 1.0f) / d, ea = q * (1.0f - 3.0f * s), eb = s * (3.0f * s - 2.0f);
    const float ax = a->speed * a->cos_h, ay = a->speed * a->sin_h, bx = b->speed * b->cos_h, by = b->speed * b->sin_h;
    const float vx = da * (a->x - b->x) + ea * ax + eb * bx, vy = da * (a->y - b->y) + ea * ay + eb * by;
    anchor out = s < 0.5f ? *a : *b;
    const float speed = sqrtf(vx * vx + vy * vy), along = vx * out.cos_h + vy * out.sin_h;
    out.time = time;
    out.x = ha * a->x + hb * b->x + ta * ax + tb * bx;
    out.y = ha * a->y + hb * b->y + ta * ay + tb * by;
    out.speed = along;
    if (speed < 0.5f || along < 0.0f) return out; // standing, or backwards: as the nearer end stands
    out.cos_h = vx / speed;
    out.sin_h = vy / speed;
    out.speed = speed;
    return out;
}

/// Walks the tokens of one agent in the order of time, with the anchors on either side.
static void fill_agent(const nm_token_config *tokens, const nm_batch *batch, uint32_t group, const float *condition,
                       const float *known, const float *mask, float *prior, float *spread) {
    const size_t channels = nm_token_channels(tokens);
    const uint32_t *rows = batch->by_agent.rows;
    const uint32_t begin = batch->by_agent.offsets[group], end = batch->by_agent.offsets[group + 1];
    const anchor frame = own_frame(tokens, condition + (size_t)rows[begin] * NM_CONDITION_COUNT);
    anchor last = frame; // the known state before the token; before all of them, what is known of the agent
    uint32_t next = begin;
    for (uint32_t k = begin; k < end; ++k) {
        const uint32_t n = rows[k], t = batch->refs[n].time;
        if (mask[n * channels] != 0.0f) {
            last = read_anchor(tokens, t, known + n * channels);
            continue;
        }
        // the state of the own frame lies between known tokens of the history and this one
        if (frame.time < time_of(tokens, t, 0) && last.time < frame.time) last = frame;
        next = next > k ? next : k + 1;
        while (next < end && mask[rows[next] * channels] == 0.0f) ++next;
        const int bridged = next < end;
        const anchor to =
            bridged ? read_anchor(tokens, batch->refs[rows[next]].time, known + rows[next] * channels) : last;
        const float now = time_of(tokens, t, NM_TOKEN_STEPS - 1);
        spread[n] = spread_of(fminf(fabsf(now - last.time), fabsf(now - to.time)));
        for (uint32_t i = 0; i < NM_TOKEN_STEPS; ++i) {
            const float time = time_of(tokens, t, i);
            const int inside = bridged && last.time < time && time < to.time;
            const anchor state = inside ? between(&last, &to, time) : hold(&last, time);
            write_state(tokens, &state, prior + n * channels + i * NM_OWN_CHANNELS);
        }
    }
}

static void fill_straight(const nm_token_config *tokens, const nm_batch *batch, const float *condition, float *prior,
                          float *spread) {
    for (uint32_t n = 0; n < batch->tokens; ++n) {
        const anchor frame = own_frame(tokens, condition + (size_t)n * NM_CONDITION_COUNT);
        spread[n] = spread_of(time_of(tokens, batch->refs[n].time, NM_TOKEN_STEPS - 1) - frame.time);
        for (uint32_t i = 0; i < NM_TOKEN_STEPS; ++i) {
            const anchor state = hold(&frame, time_of(tokens, batch->refs[n].time, i));
            write_state(tokens, &state, prior + ((size_t)n * NM_TOKEN_STEPS + i) * NM_OWN_CHANNELS);
        }
    }
}

void nm_prior_fill(nm_prior kind, const nm_token_config *tokens, const nm_batch *batch, const float *condition,
                   const float *known, const float *mask, float *prior, float *spread) {
    NM_ASSERT(kind != NM_PRIOR_NONE && tokens->encoding == NM_TOKENS_AGENT);
    fill_straight(tokens, batch, condition, prior, spread);
    for (uint32_t g = 0; kind == NM_PRIOR_BRIDGE && g < batch->by_agent.count; ++g)
        fill_agent(tokens, batch, g, condition, known, mask, prior, spread);
}

void nm_prior_take_off(nm_snr_schedule snr, const nm_denoise_input *in, const float *prior, const float *spread,
                       float *known, float *noised) {
    const size_t channels = in->channels;
    for (uint32_t n = 0; n < in->count; ++n) {
        const nm_noise_level level = nm_noise_level_at(snr, (double)in->level[n]);
        const nm_spread_level rest = nm_spread_level_of(&level, (double)spread[n]);
        const int clean = in->mask[n * channels] != 0.0f;
        for (size_t k = n * channels; k < (n + 1) * channels; ++k) {
            known[k] = clean ? nm_prior_rest(in->known[k], prior[k], spread[n]) : 0.0f;
            noised[k] = clean ? known[k] : (float)(((double)in->noised[k] - level.alpha * (double)prior[k]) / rest.q);
        }
    }
}

void nm_prior_put_back(nm_snr_schedule snr, const nm_denoise_input *in, const float *prior, const float *spread,
                       const float *noised, float *v) {
    const size_t channels = in->channels;
    for (uint32_t n = 0; n < in->count; ++n) {
        if (in->mask[n * channels] != 0.0f) continue;
        const nm_noise_level level = nm_noise_level_at(snr, (double)in->level[n]);
        const nm_spread_level rest = nm_spread_level_of(&level, (double)spread[n]);
        for (size_t k = n * channels; k < (n + 1) * channels; ++k) {
            const double left = rest.alpha * (double)noised[k] - rest.sigma * (double)v[k];
            const double x0 = (double)prior[k] + (double)spread[n] * left;
            v[k] = (float)((level.alpha * (double)in->noised[k] - x0) / level.sigma);
        }
    }
}
