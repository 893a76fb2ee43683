#include "nexus/augment.h"

#include <math.h>

#include "base/rng.h"
#include "nexus/tokens_private.h"

nm_status nm_augmentation_check(const nm_augmentation *a, nm_error *error) {
    const struct {
        const char *name;
        float value, most;
    } fields[] = {{"mirror", a->mirror, 1.0f},
                  {"rotate", a->rotate, 3.1415927f},
                  {"drop", a->drop, 1.0f},
                  {"history_noise", a->history_noise, 10.0f}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; ++i) {
        if (fields[i].value >= 0.0f && fields[i].value <= fields[i].most) continue;
        return NM_ERROR(error, NM_E_ARGUMENT, "%s is %g, not in 0..%g", fields[i].name, (double)fields[i].value,
                        (double)fields[i].most);
    }
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Mirror: y, sines and everything that has a side

static void negate(float *value) {
    *value = -*value;
}

static void exchange(float *a, float *b) {
    const float kept = *a;
    *a = *b;
    *b = kept;
}

static void mirror_path_condition(float *known) {
    negate(&known[NM_CONDITION_PATH_Y]);
    negate(&known[NM_CONDITION_PATH_SIN]);
    for (uint32_t k = NM_CONDITION_PATH_SHAPE; k < NM_CONDITION_PATH_LIMIT; k += 3) {
        negate(&known[k + 1]);
        negate(&known[k + 2]);
    }
}

static void mirror_paths(nm_tokens *t) {
    for (uint32_t a = 0; t->path && a < t->shape.agents; ++a) {
        for (uint32_t i = 0; i < NM_PATH_POINTS; ++i) {
            negate(&t->path[a].y[i]);
            negate(&t->path[a].heading[i]);
        }
    }
}

static void mirror_values(nm_tokens *t) {
    const uint32_t channels = nm_token_channels(&t->config);
    const size_t count = (size_t)t->shape.agents * t->shape.steps;
    for (size_t n = 0; n < count; ++n) {
        float *values = t->values + n * channels;
        if (t->config.encoding == NM_TOKENS_EGO) {
            negate(&values[NM_EGO_Y]);
            negate(&values[NM_EGO_SIN]);
            negate(&values[NM_EGO_VY]);
        } else {
            for (uint32_t i = 0; i < NM_TOKEN_STEPS; ++i) {
                negate(&values[i * NM_OWN_CHANNELS + NM_OWN_Y]);
                negate(&values[i * NM_OWN_CHANNELS + NM_OWN_SIN]);
            }
            float *known = t->condition + n * nm_token_conditions(&t->config);
            negate(&known[NM_CONDITION_Y]);
            negate(&known[NM_CONDITION_SIN]);
            negate(&known[NM_CONDITION_LANE_OFFSET]);
            negate(&known[NM_CONDITION_LANE_SIN]);
            if (t->path) mirror_path_condition(known);
        }
        negate(&t->pose[4 * n + 1]);
        negate(&t->pose[4 * n + 3]);
    }
}

static void mirror_rows(nm_tokens *t, float *map) {
    const uint32_t channels = nm_token_map_channels(&t->config), points = t->config.map_points;
    for (uint32_t p = 0; p < t->shape.points; ++p) {
        float *row = map + (size_t)p * channels;
        if (t->config.encoding == NM_TOKENS_EGO) {
            negate(&row[NM_POINT_Y]);
            continue;
        }
        for (uint32_t j = 0; j < points; ++j) negate(&row[NM_ROW_POINTS + 2 * j + 1]);
        exchange(&row[NM_ROW_LEFT], &row[NM_ROW_RIGHT]);
        exchange(&row[NM_ROW_CHANGE_LEFT], &row[NM_ROW_CHANGE_RIGHT]);
        exchange(&row[NM_ROW_TURN + NM_TURN_LEFT - NM_TURN_STRAIGHT],
                 &row[NM_ROW_TURN + NM_TURN_RIGHT - NM_TURN_STRAIGHT]);
    }
}

void nm_tokens_mirror(nm_tokens *tokens) {
    mirror_values(tokens);
    mirror_paths(tokens);
    // const for those who read it; made by nm_tokens_build in the caller's arena
    mirror_rows(tokens, (float *)(uintptr_t)tokens->shape.map);
}

// ---------------------------------------------------------------------------------------------------------------------

static void turn(float *x, float *y, float cosine, float sine) {
    const float kept = *x;
    *x = cosine * kept - sine * *y;
    *y = sine * kept + cosine * *y;
}

static void rotate(nm_tokens *t, float angle) {
    const float cosine = cosf(angle), sine = sinf(angle);
    const size_t count = (size_t)t->shape.agents * t->shape.steps;
    for (size_t n = 0; n < count; ++n) {
        float *values = t->values + n * NM_EGO_CHANNELS;
        turn(&values[NM_EGO_X], &values[NM_EGO_Y], cosine, sine);
        turn(&values[NM_EGO_COS], &values[NM_EGO_SIN], cosine, sine);
        turn(&values[NM_EGO_VX], &values[NM_EGO_VY], cosine, sine);
        turn(&t->pose[4 * n], &t->pose[4 * n + 1], cosine, sine);
        turn(&t->pose[4 * n + 2], &t->pose[4 * n + 3], cosine, sine);
    }
    float *map = (float *)(uintptr_t)t->shape.map;
    for (uint32_t p = 0; p < t->shape.points; ++p) {
        float *row = map + (size_t)p * NM_POINT_CHANNELS;
        turn(&row[NM_POINT_X], &row[NM_POINT_Y], cosine, sine);
    }
}

/// Leaves out agents: their tokens are not valid any more, and nobody attends to their map rows.
static void drop(nm_tokens *t, float share, const nm_rng_key *base, int by_id) {
    const uint32_t steps = t->shape.steps;
    uint32_t *owner = (uint32_t *)(uintptr_t)t->shape.map_agent;
    for (uint32_t a = 1; a < t->shape.agents; ++a) {
        nm_rng_key key = *base;
        key.agent = by_id ? t->agent_id[a] : a;
        if (nm_rng_uniform(&key, 0) >= share) continue;
        for (uint32_t k = a * steps; k < (a + 1) * steps; ++k) t->valid[k] = t->known[k] = 0;
        for (uint32_t p = 0; owner && p < t->shape.points; ++p)
            if (owner[p] == a) owner[p] = NM_NO_AGENT;
    }
}

/// Measured positions and speeds are never exact. The current token stays: frames and conditions stand for it.
static void disturb(nm_tokens *t, float deviation, const nm_rng_key *base) {
    const int own = t->config.encoding == NM_TOKENS_AGENT;
    const uint32_t steps = t->shape.steps, channels = nm_token_channels(&t->config),
                   states = nm_token_states(&t->config);
    const float position = deviation / (own ? (float)t->config.position_scale : NM_EGO_POSITION_SCALE);
    const float speed = deviation / (own ? (float)t->config.speed_scale : 4.0f);
    const uint32_t stride = own ? NM_OWN_CHANNELS : NM_EGO_CHANNELS;
    for (uint32_t a = 0; a < t->shape.agents; ++a) {
        for (uint32_t k = 0; k < t->config.past; ++k) {
            if (!t->logged[a * steps + k]) continue;
            nm_rng_key key = *base;
            key.agent = a;
            key.step = 1 + k;
            float *values = t->values + ((size_t)a * steps + k) * channels;
            for (uint32_t i = 0; i < states; ++i) {
                float noise[4];
                nm_rng_normal4(&key, i, noise);
                values[i * stride + NM_OWN_X] += position * noise[0];
                values[i * stride + NM_OWN_Y] += position * noise[1];
                values[i * stride + NM_OWN_SPEED] += speed * noise[2]; // EGO: vx, the fifth channel there, too
                if (!own) values[NM_EGO_VY] += speed * noise[3];
            }
        }
    }
}

static void augment(const nm_augmentation *augmentation, uint64_t seed, uint64_t example, nm_tokens *tokens,
                    int by_id) {
    const nm_rng_key key = {.seed = seed, .scene = example, .purpose = NM_PURPOSE_AUGMENT};
    float draws[4];
    for (uint32_t i = 0; i < 4; ++i) draws[i] = nm_rng_uniform(&key, i);
    if (augmentation->history_noise > 0.0f) disturb(tokens, augmentation->history_noise, &key);
    if (draws[0] < augmentation->mirror) nm_tokens_mirror(tokens);
    if (tokens->config.encoding == NM_TOKENS_EGO && augmentation->rotate > 0.0f)
        rotate(tokens, augmentation->rotate * (2.0f * draws[1] - 1.0f));
    if (augmentation->drop > 0.0f) drop(tokens, augmentation->drop * draws[2], &key, by_id);
}

void nm_augment(const nm_augmentation *augmentation, uint64_t seed, uint64_t example, nm_tokens *tokens) {
    augment(augmentation, seed, example, tokens, 0);
}

void nm_augment_parts(const nm_augmentation *augmentation, uint64_t seed, uint64_t example, nm_tokens *tokens) {
    for (nm_tokens *part = tokens; part; part = part->next) augment(augmentation, seed, example, part, 1);
}
