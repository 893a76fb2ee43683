/// Tokens back to states over time.
#include "nexus/tokens_private.h"

#include <string.h>

#define TOKEN_SECONDS 0.5f
#define FARTHEST 1e7 // m from the origin, as far as scenes go
#define FASTEST 1e5  // m/s along x or y, as they go

// ---------------------------------------------------------------------------------------------------------------------
// One token

static float turn_back(const nm_token_frame *frame, float cosine, float sine) {
    return nm_wrap_angle(frame->heading + nm_atan2f(sine, cosine));
}

static void place_back(const nm_token_frame *frame, float x, float y, nm_state *state) {
    const double c = (double)frame->cos, s = (double)frame->sin;
    state->x = (float)(frame->x + c * (double)x - s * (double)y);
    state->y = (float)(frame->y + s * (double)x + c * (double)y);
}

static nm_state decode_ego(const nm_token_frame *frame, const float *values) {
    nm_state state = {.heading = turn_back(frame, values[NM_EGO_COS], values[NM_EGO_SIN]),
                      .length = values[NM_EGO_LENGTH] * 5.0f + 4.5f,
                      .width = values[NM_EGO_WIDTH] * 1.6f + 2.0f};
    const float vx = values[NM_EGO_VX] * 4.0f, vy = values[NM_EGO_VY] * 4.0f;
    place_back(frame, values[NM_EGO_X] * NM_EGO_POSITION_SCALE, values[NM_EGO_Y] * NM_EGO_POSITION_SCALE, &state);
    state.vx = vx * frame->cos - vy * frame->sin;
    state.vy = vx * frame->sin + vy * frame->cos;
    return state;
}

static nm_state decode_own(const nm_token_config *config, const nm_token_frame *frame, const float *values) {
    const float scale = (float)config->position_scale, speed = values[NM_OWN_SPEED] * (float)config->speed_scale;
    nm_state state = {.heading = turn_back(frame, values[NM_OWN_COS], values[NM_OWN_SIN])};
    float sine, cosine;
    nm_sincosf(state.heading, &sine, &cosine);
    place_back(frame, values[NM_OWN_X] * scale, values[NM_OWN_Y] * scale, &state);
    state.vx = speed * cosine;
    state.vy = speed * sine;
    return state;
}

void nm_token_decode(const nm_token_config *config, const nm_token_frame *frame, const float *values,
                     nm_state *states) {
    if (config->encoding == NM_TOKENS_EGO) {
        states[0] = decode_ego(frame, values);
        return;
    }
    for (uint32_t i = 0; i < NM_TOKEN_STEPS; i++)
        states[i] = decode_own(config, frame, values + (size_t)i * NM_OWN_CHANNELS);
}

// ---------------------------------------------------------------------------------------------------------------------
// Between two tokens of the published encoding

/// Value and derivative (by u) at u in [0, 1] of the cubic with ends a, b and derivatives at them da, db.
static float hermite(float a, float da, float b, float db, float u, float *derivative) {
    const float rise = b - a;
    *derivative = da + u * (6.0f * rise - 4.0f * da - 2.0f * db + u * (3.0f * (da + db) - 6.0f * rise));
    return a + u * (da + u * (3.0f * rise - 2.0f * da - db + u * (da + db - 2.0f * rise)));
}

/// Derivative at a point between two rises so that the cubic never overshoots: their harmonic mean.
static float monotone(float before, float after) {
    return before * after > 0.0f ? 2.0f * before * after / (before + after) : 0.0f;
}

/// Between states[0] and states[1]; before and after are the tokens around them, or NULL. At u strictly between 0, 1.
static nm_state between(const nm_state *before, const nm_state *states, const nm_state *after, float u) {
    const nm_state *a = &states[0], *b = &states[1];
    const float turn = nm_wrap_angle(b->heading - a->heading);
    const float first = before ? monotone(nm_wrap_angle(a->heading - before->heading), turn) : turn;
    const float last = after ? monotone(turn, nm_wrap_angle(after->heading - b->heading)) : turn;
    nm_state state = {.length = a->length + u * (b->length - a->length), .width = a->width + u * (b->width - a->width)};
    float unused;
    state.x = hermite(a->x, a->vx * TOKEN_SECONDS, b->x, b->vx * TOKEN_SECONDS, u, &state.vx);
    state.y = hermite(a->y, a->vy * TOKEN_SECONDS, b->y, b->vy * TOKEN_SECONDS, u, &state.vy);
    state.vx /= TOKEN_SECONDS;
    state.vy /= TOKEN_SECONDS;
    state.heading = nm_wrap_angle(a->heading + hermite(0.0f, first, turn, last, u, &unused));
    return state;
}

/// Fills in between tokens that stand at every fifth place already.
static void interpolate(uint32_t tokens, nm_state *states, uint8_t *valid) {
    enum { STEP = NM_TOKEN_STEPS };
    for (uint32_t t = 0; t + 1 < tokens; t++) {
        const size_t at = (size_t)t * STEP;
        if (!valid[at] || !valid[at + STEP]) continue;
        const int before = t > 0 && valid[at - STEP], after = t + 2 < tokens && valid[at + 2 * STEP];
        const nm_state pair[2] = {states[at], states[at + STEP]};
        for (uint32_t i = 1; i < STEP; i++) {
            states[at + i] = between(before ? &states[at - STEP] : NULL, pair, after ? &states[at + 2 * STEP] : NULL,
                                     (float)i / (float)STEP);
            valid[at + i] = 1;
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Whole scenes

uint32_t nm_token_timeline(const nm_token_config *config, nm_token_rate rate) {
    const uint32_t tokens = nm_token_count(config);
    if (rate == NM_RATE_2HZ) return tokens;
    return config->encoding == NM_TOKENS_AGENT ? tokens * NM_TOKEN_STEPS : (tokens - 1) * NM_TOKEN_STEPS + 1;
}

int64_t nm_tokens_first_step(const nm_tokens *tokens, nm_token_rate rate) {
    int64_t first = (int64_t)tokens->current_step - (int64_t)tokens->config.past * (int64_t)NM_TOKEN_STEPS;
    return rate == NM_RATE_10HZ ? first - (int64_t)(nm_token_states(&tokens->config) - 1) : first;
}

/// Is it a state that a scene takes? `token` is the one that it is of, or the one before it.
static nm_status check_state(const nm_tokens *tokens, const nm_state *state, uint32_t agent, uint32_t token,
                             nm_error *error) {
    const double x = (double)state->x, y = (double)state->y, vx = (double)state->vx, vy = (double)state->vy;
    if (!(fabs(x) <= FARTHEST && fabs(y) <= FARTHEST))
        return NM_ERROR(error, NM_E_NUMERIC, "agent %u (track %u), token %u: is %g, %g m away", agent,
                        tokens->track[agent], token, x, y);
    if (!(fabs(vx) <= FASTEST && fabs(vy) <= FASTEST))
        return NM_ERROR(error, NM_E_NUMERIC, "agent %u (track %u), token %u: moves at %g, %g m/s", agent,
                        tokens->track[agent], token, vx, vy);
    if (!isfinite(state->length) || !isfinite(state->width))
        return NM_ERROR(error, NM_E_NUMERIC, "agent %u (track %u), token %u: its size is not finite", agent,
                        tokens->track[agent], token);
    return NM_OK;
}

static nm_status check_token(const nm_tokens *tokens, const float *values, const nm_state *states, uint32_t agent,
                             uint32_t token, nm_error *error) {
    const uint32_t channels = nm_token_channels(&tokens->config);
    for (uint32_t c = 0; c < channels; c++) {
        if (!isfinite(values[c]))
            return NM_ERROR(error, NM_E_NUMERIC, "agent %u (track %u), token %u: channel %u is not finite", agent,
                            tokens->track[agent], token, c);
    }
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < nm_token_states(&tokens->config); i++)
        status = check_state(tokens, &states[i], agent, token, error);
    return status;
}

nm_status nm_token_decode_agent(const nm_tokens *tokens, uint32_t agent, const float *values, const uint8_t *present,
                                nm_token_rate rate, nm_state *states, uint8_t *valid, nm_error *error) {
    const nm_token_config *config = &tokens->config;
    const uint32_t steps = tokens->shape.steps, channels = nm_token_channels(config), count = nm_token_states(config);
    const uint32_t places = nm_token_timeline(config, rate);
    memset(states, 0, places * sizeof *states);
    memset(valid, 0, places);
    for (uint32_t t = 0; t < steps; t++) {
        const size_t at = (size_t)agent * steps + t;
        if (!(present ? present[at] : tokens->valid[at])) continue;
        nm_state made[NM_TOKEN_STEPS];
        nm_token_decode(config, nm_tokens_frame(tokens, agent), values + at * channels, made);
        nm_status status = check_token(tokens, values + at * channels, made, agent, t, error);
        if (status != NM_OK) return status;
        const uint32_t taken = rate == NM_RATE_2HZ ? 1 : count;
        const size_t to = rate == NM_RATE_2HZ ? t : (size_t)t * NM_TOKEN_STEPS;
        memcpy(states + to, made + (count - taken), taken * sizeof *made);
        memset(valid + to, 1, taken);
    }
    if (rate == NM_RATE_2HZ || config->encoding != NM_TOKENS_EGO) return NM_OK;
    interpolate(steps, states, valid);
    nm_status status = NM_OK; // a curve may leave the bounds that its ends are in
    for (uint32_t i = 0; status == NM_OK && i < places; i++)
        status = check_state(tokens, &states[i], agent, i / NM_TOKEN_STEPS, error); // all 0 where not valid
    return status;
}

nm_status nm_tokens_decode(const nm_tokens *tokens, const float *values, const uint8_t *present, nm_token_rate rate,
                           nm_state *states, uint8_t *valid, nm_error *error) {
    NM_ASSERT(tokens && values && states && valid);
    const size_t places = nm_token_timeline(&tokens->config, rate);
    for (uint32_t a = 0; a < tokens->shape.agents; a++) {
        nm_status status =
            nm_token_decode_agent(tokens, a, values, present, rate, states + a * places, valid + a * places, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}
