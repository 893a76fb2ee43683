#include "scenarios/future_guidance.h"

#include <math.h>

nm_generator_config nm_future_generator_default(void) {
    nm_generator_config c = nm_generator_config_default();
    c.levels = 2;
    c.schedule = (nm_schedule){.kind = NM_SCHEDULE_PYRAMID, .slope = 1.0};
    return c;
}

nm_guidance_config nm_future_guidance_default(void) {
    nm_guidance_config c = nm_guidance_config_default();
    c.overlap = 1.0f;
    c.road = 0.5f;
    c.smooth = 0.3f;
    c.iterations = 15;
    return c;
}

nm_status nm_future_guidance_create(const nm_guidance_config *config, const nm_token_config *tokens, uint32_t scenes,
                                    nm_guidance **guidance, nm_error *error) {
    *guidance = NULL;
    if (!(config->overlap > 0.0f || config->road > 0.0f || config->smooth > 0.0f || config->consistent > 0.0f ||
          config->adversarial > 0.0f))
        return NM_OK;
    nm_guidance_config c = *config;
    c.max_tokens = scenes * tokens->agents * nm_token_count(tokens);
    c.encoding = nm_token_state_encoding(tokens);
    c.dt = 0.1f * (float)NM_TOKEN_STEPS;
    return nm_guidance_create(&c, guidance, error);
}

static void describe(const nm_scene *scene, const nm_tokens *tokens, uint32_t agent, nm_guided_agent *out) {
    const nm_token_frame *frame = nm_tokens_frame(tokens, agent);
    const nm_track *track = &scene->tracks[tokens->track[agent]];
    const int drives = nm_agent_type_vehicle((nm_agent_type)track->type);
    *out = (nm_guided_agent){
        .agent = agent,
        .lane_mask = drives ? NM_LANE_MASK_VEHICLE : 0,
        .length = track->length,
        .width = track->width,
        .pose = {
            .x = frame->x, .y = frame->y, .cos_h = cos((double)frame->heading), .sin_h = sin((double)frame->heading)}};
}

nm_status nm_future_guided(const nm_scene *const *scenes, const nm_tokens *const *tokens, uint32_t count,
                           const uint8_t *unbound, nm_arena *arena, const nm_guided_scene **out, nm_error *error) {
    nm_guided_scene *guided = NM_ARENA_ARRAY(arena, nm_guided_scene, count);
    if (!guided) return NM_ERROR(error, NM_E_MEMORY, "out of memory for guidance");
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t agents = tokens[i]->shape.agents;
        if (i > 0 && tokens[i] == tokens[i - 1]) { // several futures of one scene
            guided[i] = guided[i - 1];
            continue;
        }
        const nm_status status = nm_map_prepare(scenes[i]->map, error);
        nm_guided_agent *all = NM_ARENA_ARRAY(arena, nm_guided_agent, agents);
        if (status != NM_OK) return status;
        if (!all) return NM_ERROR(error, NM_E_MEMORY, "out of memory for guidance");
        for (uint32_t a = 0; a < agents; ++a) {
            describe(scenes[i], tokens[i], a, &all[a]);
            if (unbound && unbound[a]) all[a].lane_mask = 0;
        }
        guided[i] = (nm_guided_scene){.map = scenes[i]->map, .agent_count = agents, .agents = all};
    }
    *out = guided;
    return NM_OK;
}

nm_status nm_future_guidance_set(nm_guidance *guidance, const nm_scene *const *scenes, const nm_tokens *const *tokens,
                                 uint32_t count, const uint8_t *unbound, nm_arena *arena, nm_error *error) {
    const nm_guided_scene *guided;
    const nm_status status = nm_future_guided(scenes, tokens, count, unbound, arena, &guided, error);
    if (status == NM_OK) nm_guidance_set_scenes(guidance, guided, count);
    return status;
}
