#include "nexus/prior.h"

#include <math.h>
#include <string.h>

static const char *const names[] = {"none", "straight", "bridge", "lane"};

const char *nm_prior_name(nm_prior prior) {
    return names[prior];
}

nm_status nm_prior_parse(const char *text, nm_prior *prior, nm_error *error) {
    for (int i = 0; i < NM_PRIOR_COUNT; ++i) {
        if (strcmp(text, names[i]) != 0) continue;
        *prior = (nm_prior)i;
        return NM_OK;
    }
    return NM_ERROR(error, NM_E_ARGUMENT, "there is no prior '%s': none, straight, bridge and lane are possible", text);
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

/// An anchor along a path: x = s, y = d, the heading relative to the path's; and back.
static anchor onto(const nm_path *path, const anchor *a) {
    const nm_path_pose on =
        nm_path_project(path, &(nm_path_pose){.x = a->x, .y = a->y, .cos_h = a->cos_h, .sin_h = a->sin_h});
    return (anchor){a->time, on.x, on.y, on.cos_h, on.sin_h, a->speed};
}

static anchor off(const nm_path *path, const anchor *a) {
    const nm_path_pose at =
        nm_path_place(path, &(nm_path_pose){.x = a->x, .y = a->y, .cos_h = a->cos_h, .sin_h = a->sin_h});
    return (anchor){a->time, at.x, at.y, at.cos_h, at.sin_h, a->speed};
}

static anchor coast(const anchor *from, float time) {
    const nm_path_pose to =
        nm_path_coast(&(nm_path_pose){.x = from->x, .y = from->y, .cos_h = from->cos_h, .sin_h = from->sin_h},
                      from->speed, time - from->time);
    return (anchor){time, to.x, to.y, to.cos_h, to.sin_h, from->speed};
}

#define BESIDE 8.0f // m
#define ACROSS 0.5f // cosine

/// The path, if it leads the agent past all that is known of it.
static const nm_path *path_of(const nm_token_config *tokens, const nm_batch *batch, uint32_t group,
                              const nm_path *const *paths, const float *known, const float *mask) {
    const size_t channels = nm_token_channels(tokens);
    const uint32_t *rows = batch->by_agent.rows, begin = batch->by_agent.offsets[group];
    const nm_token_ref *ref = &batch->refs[rows[begin]];
    const nm_path *path = &paths[ref->scene][ref->agent];
    if (!(path->step > 0.0f)) return NULL;
    for (uint32_t k = begin; k < batch->by_agent.offsets[group + 1]; ++k) {
        const uint32_t n = rows[k], t = batch->refs[n].time;
        if (t <= tokens->past || mask[n * channels] == 0.0f) continue;
        const anchor a = read_anchor(tokens, t, known + n * channels), on = onto(path, &a);
        if (fabsf(on.y) > BESIDE || on.cos_h < ACROSS) return NULL;
    }
    return path;
}

/// Walks the tokens of one agent in the order of time, with the anchors on either side. path: NULL = none.
static void fill_agent(const nm_token_config *tokens, const nm_batch *batch, uint32_t group, const float *condition,
                       const nm_path *path, const float *known, const float *mask, float *prior, float *spread) {
    const size_t channels = nm_token_channels(tokens), conditions = nm_token_conditions(tokens);
    const uint32_t *rows = batch->by_agent.rows;
    const uint32_t begin = batch->by_agent.offsets[group], end = batch->by_agent.offsets[group + 1];
    const anchor frame = own_frame(tokens, condition + (size_t)rows[begin] * conditions);
    anchor last = frame; // the known state before the token; before all of them, what is known of the agent
    anchor from = last, until = last; // `last` and `to`, along the path where it leads
    uint32_t next = begin, until_of = UINT32_MAX;
    int is_new = 1; // `last` is not that of `from`
    for (uint32_t k = begin; k < end; ++k) {
        const uint32_t n = rows[k], t = batch->refs[n].time;
        if (mask[n * channels] != 0.0f) {
            last = read_anchor(tokens, t, known + n * channels);
            is_new = 1;
            continue;
        }
        // the state of the own frame lies between known tokens of the history and this one
        if (frame.time < time_of(tokens, t, 0) && last.time < frame.time) {
            last = frame;
            is_new = 1;
        }
        next = next > k ? next : k + 1;
        while (next < end && mask[rows[next] * channels] == 0.0f) ++next;
        const int bridged = next < end;
        const anchor to =
            bridged ? read_anchor(tokens, batch->refs[rows[next]].time, known + rows[next] * channels) : last;
        const float now = time_of(tokens, t, NM_TOKEN_STEPS - 1);
        const int led = path && last.time >= frame.time; // the path begins with the own frame
        if (is_new) from = led ? onto(path, &last) : last;
        if (is_new || until_of != next) until = led && bridged ? onto(path, &to) : to;
        until_of = next;
        is_new = 0;
        spread[n] = spread_of(fminf(fabsf(now - last.time), fabsf(now - to.time)));
        for (uint32_t i = 0; i < NM_TOKEN_STEPS; ++i) {
            const float time = time_of(tokens, t, i);
            const int inside = bridged && last.time < time && time < to.time;
            anchor state = inside ? between(&from, &until, time) : led ? coast(&from, time) : hold(&from, time);
            if (led) state = off(path, &state);
            write_state(tokens, &state, prior + n * channels + i * NM_OWN_CHANNELS);
        }
    }
}

static void fill_straight(const nm_token_config *tokens, const nm_batch *batch, const float *condition, float *prior,
                          float *spread) {
    const size_t conditions = nm_token_conditions(tokens);
    for (uint32_t n = 0; n < batch->tokens; ++n) {
        const anchor frame = own_frame(tokens, condition + (size_t)n * conditions);
        spread[n] = spread_of(time_of(tokens, batch->refs[n].time, NM_TOKEN_STEPS - 1) - frame.time);
        for (uint32_t i = 0; i < NM_TOKEN_STEPS; ++i) {
            const anchor state = hold(&frame, time_of(tokens, batch->refs[n].time, i));
            write_state(tokens, &state, prior + ((size_t)n * NM_TOKEN_STEPS + i) * NM_OWN_CHANNELS);
        }
    }
}

void nm_prior_fill(nm_prior kind, const nm_token_config *tokens, const nm_batch *batch, const float *condition,
                   const nm_path *const *paths, const float *known, const float *mask, float *prior, float *spread) {
    NM_ASSERT(kind != NM_PRIOR_NONE && tokens->encoding == NM_TOKENS_AGENT);
    NM_ASSERT(kind != NM_PRIOR_LANE || (paths && tokens->paths));
    fill_straight(tokens, batch, condition, prior, spread);
    if (kind == NM_PRIOR_STRAIGHT) return;
    for (uint32_t g = 0; g < batch->by_agent.count; ++g) {
        if (batch->by_agent.offsets[g] == batch->by_agent.offsets[g + 1]) continue;
        const nm_path *path = kind == NM_PRIOR_LANE ? path_of(tokens, batch, g, paths, known, mask) : NULL;
        fill_agent(tokens, batch, g, condition, path, known, mask, prior, spread);
    }
}

/// Turns each state's position and heading by -1 (into the prior's direction) or 1 (back).
static void turn(nm_prior kind, float heading_scale, const float *prior, float sign, float *values) {
    if (kind != NM_PRIOR_LANE) return;
    for (uint32_t i = 0; i < NM_TOKEN_STEPS; ++i) {
        const float *p = prior + (size_t)i * NM_OWN_CHANNELS;
        float *v = values + (size_t)i * NM_OWN_CHANNELS;
        const float c = p[NM_OWN_COS] * heading_scale, s = sign * p[NM_OWN_SIN] * heading_scale;
        const float x = v[NM_OWN_X], y = v[NM_OWN_Y], h = v[NM_OWN_COS], g = v[NM_OWN_SIN];
        v[NM_OWN_X] = c * x - s * y;
        v[NM_OWN_Y] = s * x + c * y;
        v[NM_OWN_COS] = c * h - s * g;
        v[NM_OWN_SIN] = s * h + c * g;
    }
}

void nm_prior_rest(nm_prior kind, float heading_scale, uint32_t channels, const float *x, const float *prior,
                   float spread, float *rest) {
    for (uint32_t k = 0; k < channels; ++k) rest[k] = (x[k] - prior[k]) / spread;
    turn(kind, heading_scale, prior, -1.0f, rest);
    for (uint32_t k = 0; k < channels; ++k) rest[k] = fminf(fmaxf(rest[k], -10.0f), 10.0f);
}

void nm_prior_take_off(nm_prior kind, float heading_scale, nm_snr_schedule snr, const nm_denoise_input *in,
                       const float *prior, const float *spread, float *known, float *noised) {
    const size_t channels = in->channels;
    for (uint32_t n = 0; n < in->count; ++n) {
        const size_t at = n * channels;
        if (in->mask[at] != 0.0f) {
            nm_prior_rest(kind, heading_scale, in->channels, in->known + at, prior + at, spread[n], known + at);
            memcpy(noised + at, known + at, channels * sizeof *noised);
            continue;
        }
        const nm_noise_level level = nm_noise_level_at(snr, (double)in->level[n]);
        const nm_spread_level rest = nm_spread_level_of(&level, (double)spread[n]);
        for (size_t k = at; k < at + channels; ++k) {
            known[k] = 0.0f;
            noised[k] = (float)(((double)in->noised[k] - level.alpha * (double)prior[k]) / rest.q);
        }
        turn(kind, heading_scale, prior + at, -1.0f, noised + at);
    }
}

void nm_prior_put_back(nm_prior kind, float heading_scale, nm_snr_schedule snr, const nm_denoise_input *in,
                       const float *prior, const float *spread, const float *noised, float *v) {
    const size_t channels = in->channels;
    for (uint32_t n = 0; n < in->count; ++n) {
        const size_t at = n * channels;
        if (in->mask[at] != 0.0f) continue;
        const nm_noise_level level = nm_noise_level_at(snr, (double)in->level[n]);
        const nm_spread_level rest = nm_spread_level_of(&level, (double)spread[n]);
        for (size_t k = at; k < at + channels; ++k)
            v[k] = (float)(rest.alpha * (double)noised[k] - rest.sigma * (double)v[k]); // x'
        turn(kind, heading_scale, prior + at, 1.0f, v + at);
        for (size_t k = at; k < at + channels; ++k) {
            const double x0 = (double)prior[k] + (double)spread[n] * (double)v[k];
            v[k] = (float)((level.alpha * (double)in->noised[k] - x0) / level.sigma);
        }
    }
}
