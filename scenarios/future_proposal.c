#include "scenarios/future_proposal.h"

#include <math.h>
#include <string.h>

#include "sim/baselines.h"

const char *nm_future_driver_name(nm_future_driver driver) {
    static const char *const names[NM_DRIVER_COUNT] = {"path", "idm"};
    NM_ASSERT(driver >= 0 && driver < NM_DRIVER_COUNT);
    return names[driver];
}

/// 1 for agents that are there now and of whose future nothing is given.
static int is_driven(const nm_scene *scene, const nm_tokens *tokens, uint32_t agent) {
    const uint32_t steps = tokens->shape.steps;
    if (!scene->valid[nm_scene_at(scene, tokens->track[agent], tokens->current_step)]) return 0;
    for (uint32_t t = tokens->config.past + 1; t < steps; ++t)
        if (tokens->known[(size_t)agent * steps + t]) return 0;
    return 1;
}

/// The tracks of the agents that are driven, ascending, and which agent each is; returns how many.
static uint32_t list_driven(const nm_scene *scene, const nm_tokens *tokens, uint32_t *track, uint32_t *agent) {
    uint32_t count = 0;
    for (uint32_t a = 0; a < tokens->shape.agents; ++a) {
        if (!is_driven(scene, tokens, a)) continue;
        uint32_t at = count++;
        for (; at > 0 && track[at - 1] > tokens->track[a]; --at) track[at] = track[at - 1], agent[at] = agent[at - 1];
        track[at] = tokens->track[a];
        agent[at] = a;
    }
    return count;
}

/// State `step` steps of 0.1 s ahead. What futures do not say is taken from the current state; the speed is that of the
/// way since the step before, seen along the heading.
static nm_state state_at(const nm_futures *futures, size_t row, const nm_state *now, uint32_t step) {
    const size_t at = row * futures->steps + step - 1;
    nm_state state = *now;
    const float x = step > 1 ? futures->x[at - 1] : now->x, y = step > 1 ? futures->y[at - 1] : now->y;
    state.x = futures->x[at];
    state.y = futures->y[at];
    state.heading = futures->heading[at];
    const float c = cosf(state.heading), s = sinf(state.heading),
                speed = 10.0f * ((state.x - x) * c + (state.y - y) * s);
    state.vx = speed * c;
    state.vy = speed * s;
    return state;
}

static void encode(const nm_scene *scene, const nm_tokens *tokens, const nm_futures *futures, size_t row,
                   uint32_t agent, float *values, uint8_t *proposed) {
    const uint32_t steps = tokens->shape.steps, past = tokens->config.past,
                   channels = nm_token_channels(&tokens->config);
    const uint32_t count = nm_token_states(&tokens->config);
    nm_state now = {0}, states[NM_TOKEN_STEPS];
    nm_scene_get_state(scene, tokens->track[agent], tokens->current_step, &now);
    for (uint32_t t = past + 1; t < steps; ++t) {
        const size_t at = (size_t)agent * steps + t;
        const uint32_t last = NM_TOKEN_STEPS * (t - past);
        for (uint32_t i = 0; i < count; ++i) states[i] = state_at(futures, row, &now, last - (count - 1 - i));
        nm_token_encode(&tokens->config, nm_tokens_frame(tokens, agent), states, values + at * channels);
        proposed[at] = 1;
    }
}

nm_status nm_proposal_check(nm_future_driver driver, const nm_recipe *recipe, nm_error *error) {
    if (driver != NM_DRIVER_PATH || recipe->prior != NM_PRIOR_NONE) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT,
                    "the model has no prior to agree with on the path ahead: agree with another driver (by=idm)");
}

nm_status nm_proposal_make(const nm_scene *scene, const nm_tokens *tokens, nm_future_driver driver, nm_arena *arena,
                           nm_proposal *out, nm_error *error) {
    NM_ASSERT(driver >= 0 && driver < NM_DRIVER_COUNT);
    *out = (nm_proposal){0};
    if (driver == NM_DRIVER_PATH) return NM_OK;
    const size_t rows = (size_t)tokens->shape.agents * tokens->shape.steps,
                 channels = nm_token_channels(&tokens->config);
    float *values = NM_ARENA_ARRAY(arena, float, rows *channels);
    uint8_t *proposed = NM_ARENA_ARRAY(arena, uint8_t, rows);
    uint32_t *track = NM_ARENA_ARRAY(arena, uint32_t, tokens->shape.agents);
    uint32_t *agent = NM_ARENA_ARRAY(arena, uint32_t, tokens->shape.agents);
    if (!values || !proposed || !track || !agent) return NM_ERROR(error, NM_E_MEMORY, "out of memory for proposals");
    memset(values, 0, rows * channels * sizeof *values);
    memset(proposed, 0, rows);
    nm_scene from = *scene; // to be driven on from the tokens' present
    from.current_step = tokens->current_step;
    nm_baseline_request request = nm_baseline_request_default();
    request.track = track;
    request.agents = list_driven(scene, tokens, track, agent);
    request.steps = NM_TOKEN_STEPS * tokens->config.future;
    nm_futures futures = {0};
    if (request.agents && request.steps) {
        const nm_status status = nm_baseline_futures(&from, NM_BASELINE_IDM, &request, arena, &futures, error);
        if (status != NM_OK) return status;
    }
    for (uint32_t i = 0; i < request.agents; ++i) encode(scene, tokens, &futures, i, agent[i], values, proposed);
    *out = (nm_proposal){values, proposed};
    return NM_OK;
}
