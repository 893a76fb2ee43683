#include "scenarios/future_tokens.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "sim/math.h"

nm_recipe nm_future_recipe(const nm_recipe *recipe, uint32_t agents) {
    nm_recipe wide = *recipe;
    wide.tokens.agents = agents;
    wide.tokens.range = 1e6;
    return wide;
}

void nm_future_tokens_release(nm_future_tokens *keep) {
    nm_token_map_destroy(keep->map);
    keep->map = NULL;
}

static nm_status cut_map(nm_future_tokens *keep, const nm_map *map, nm_error *error) {
    if (keep->map && keep->map_hash == map->hash) return NM_OK;
    nm_future_tokens_release(keep);
    const nm_status status = nm_token_map_create(map, &keep->config, &keep->map, error);
    keep->map_hash = map->hash;
    return status;
}

/// Of a goal only the state at its time is given: those before it are what leads there at its speed.
static void give_last_state(const nm_scene *scene, nm_tokens *tokens) {
    const uint32_t steps = tokens->shape.steps, past = tokens->config.past;
    if (tokens->config.encoding != NM_TOKENS_AGENT) return; // a token is one state
    for (uint32_t a = 0; a < tokens->shape.agents; ++a) {
        for (uint32_t t = past + 1; t < steps; ++t) {
            if (!tokens->known[(size_t)a * steps + t]) continue;
            nm_state states[NM_TOKEN_STEPS], goal;
            const uint32_t step = tokens->current_step + NM_TOKEN_STEPS * (t - past);
            if (!nm_scene_get_state(scene, tokens->track[a], step, &goal)) continue;
            for (uint32_t i = 0; i < NM_TOKEN_STEPS; ++i) {
                const float before = 0.1f * (float)(NM_TOKEN_STEPS - 1 - i);
                states[i] = goal;
                states[i].x -= before * goal.vx;
                states[i].y -= before * goal.vy;
            }
            nm_token_encode(&tokens->config, nm_tokens_frame(tokens, a), states,
                            tokens->values + ((size_t)a * steps + t) * nm_token_channels(&tokens->config));
        }
    }
}

/// Who has left by the current step, or is out of sight, has a history and no future: as in what models are trained on,
/// where futures are those that were recorded.
static void forget_gone(const nm_scene *scene, nm_tokens *tokens) {
    const uint32_t steps = tokens->shape.steps, first = tokens->config.past + 1;
    for (uint32_t a = 0; a < tokens->shape.agents; ++a) {
        if (scene->valid[nm_scene_at(scene, tokens->track[a], tokens->current_step)]) continue;
        memset(tokens->valid + (size_t)a * steps + first, 0, steps - first);
        memset(tokens->known + (size_t)a * steps + first, 0, steps - first);
    }
}

nm_status nm_future_tokens_build(nm_future_tokens *keep, const nm_scene *scene, uint32_t current_step,
                                 nm_task_kind task, const nm_token_bound *bound, nm_arena *arena, nm_tokens *tokens,
                                 nm_error *error) {
    nm_status status = cut_map(keep, scene->map, error);
    if (status != NM_OK) return status;
    nm_token_request request = nm_token_request_default(scene);
    request.current_step = current_step;
    request.generate = 1;
    request.present = keep->present;
    request.routes = task == NM_TASK_GOAL ? 1.0f : 0.0f; // where to is known
    request.bounds = bound;
    request.bound_count = bound ? 1 : 0;
    status = nm_tokens_build(keep->map, scene, &request, arena, tokens, error);
    if (status != NM_OK) return status;
    nm_tokens_set_task(tokens, &(nm_token_task){.kind = task});
    if (task == NM_TASK_GOAL) give_last_state(scene, tokens);
    forget_gone(scene, tokens);
    return NM_OK;
}

#define END_RADIUS 30.0f // m, that an agent goes in half a second at most
#define END_ASIDE 4.0f   // m beside the drawn-out lane

/// 1 when the front of a vehicle lies beyond the end of a road that nothing is known of: there the map ends. While its
/// middle were still on it, its front would be off the road.
static int beyond_the_map(const nm_map *map, const nm_state *at, float length) {
    float sine, cosine;
    nm_sincosf(at->heading, &sine, &cosine);
    const nm_frenet on = nm_map_match(map, at->x + 0.5f * length * cosine, at->y + 0.5f * length * sine, at->heading,
                                      END_RADIUS, NM_LANE_MASK_VEHICLE);
    return on.lane != NM_NONE && on.beyond > 0.0f && fabsf(on.d) < END_ASIDE &&
           map->lanes[on.lane].successors.count == 0;
}

void nm_future_present(const nm_scene *scene, const nm_tokens *tokens, const float *values, uint8_t *present) {
    const nm_token_config *config = &tokens->config;
    const uint32_t steps = tokens->shape.steps, channels = nm_token_channels(config),
                   last = nm_token_states(config) - 1;
    memcpy(present, tokens->valid, (size_t)tokens->shape.agents * steps);
    for (uint32_t a = 0; a < tokens->shape.agents; ++a) {
        const uint8_t type = scene->tracks[tokens->track[a]].type;
        const float length = scene->tracks[tokens->track[a]].length;
        int gone = 0;
        for (uint32_t t = config->past + 1; t < steps && nm_agent_type_vehicle((nm_agent_type)type); ++t) {
            const size_t at = (size_t)a * steps + t;
            nm_state states[NM_TOKEN_STEPS];
            if (!present[at]) continue;
            if (!gone) {
                nm_token_decode(config, nm_tokens_frame(tokens, a), values + at * channels, states);
                gone = beyond_the_map(scene->map, &states[last], length);
            }
            if (gone) present[at] = 0;
        }
    }
}

uint64_t nm_future_key(const nm_scene *scene, uint64_t seed, uint32_t sample) {
    // seed and sample share 64 bits: the upper half of a large seed must not be taken for the number of a sample
    const uint64_t low = (seed & UINT32_MAX) | (uint64_t)sample << 32, high = seed >> 32;
    return nm_hash64(scene->hash ^ nm_hash64(low ^ (high ? nm_hash64(high) : 0)));
}
