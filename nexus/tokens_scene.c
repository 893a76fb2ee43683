/// A scene with the futures that tokens say.
#include "nexus/tokens_private.h"

#include <string.h>

/// Where the copying and replacing of one scene stands.
typedef struct making {
    const nm_tokens *tokens;
    const nm_scene *scene;
    nm_scene_builder *builder;
    uint32_t steps; // of the new scene
} making;

static nm_status copy_states(const making *m, uint32_t track, uint32_t end, nm_error *error) {
    const nm_scene *scene = m->scene;
    for (uint32_t step = 0; step < end && step < scene->step_count; step++) {
        nm_state state;
        if (!nm_scene_get_state(scene, track, step, &state)) continue;
        nm_status status = nm_scene_builder_add_local_state(m->builder, track, step, &state, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

static nm_status add_tracks(const making *m, int keep_rest, const uint8_t *is_agent, nm_error *error) {
    for (uint32_t i = 0; i < m->scene->track_count; i++) {
        const nm_track *info = &m->scene->tracks[i];
        const nm_track_def def = {.id = info->source_id,
                                  .type = (nm_agent_type)info->type,
                                  .flags = info->flags,
                                  .difficulty = info->difficulty,
                                  .length = info->length,
                                  .width = info->width,
                                  .height = info->height};
        uint32_t index;
        nm_status status = nm_scene_builder_add_track(m->builder, &def, &index, error);
        if (status != NM_OK) return status;
        NM_ASSERT(index == i);
        const uint32_t end = !is_agent[i] && keep_rest ? m->steps : m->tokens->current_step + 1;
        status = copy_states(m, i, end, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

static nm_status add_future(const making *m, uint32_t agent, const nm_state *states, const uint8_t *valid,
                            nm_error *error) {
    const int64_t first = nm_tokens_first_step(m->tokens, NM_RATE_10HZ);
    const uint32_t track = m->tokens->track[agent];
    const float z = m->scene->z[nm_scene_at(m->scene, track, m->tokens->frame[agent].step)];
    for (uint32_t step = m->tokens->current_step + 1; step < m->steps; step++) {
        const size_t at = (size_t)((int64_t)step - first);
        if (!valid[at]) continue;
        nm_state state = states[at];
        state.z = z;
        state.length = state.width = state.height = 0.0f; // the track's
        nm_status status = nm_scene_builder_add_local_state(m->builder, track, step, &state, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

static nm_status add_signals(const making *m, nm_error *error) {
    if (!m->scene->signal_states) return NM_OK; // the map's cycles go on
    for (uint32_t i = 0; i < m->scene->map->signal_count; i++) {
        for (uint32_t step = 0; step < m->steps; step++) {
            nm_status status =
                nm_scene_builder_set_signal(m->builder, i, step, nm_scene_signal(m->scene, i, step), error);
            if (status != NM_OK) return status;
        }
    }
    return NM_OK;
}

static nm_status describe(const making *m, const nm_token_output *output, nm_error *error) {
    const nm_provenance *from = &m->scene->provenance;
    const nm_provenance provenance = {.source = output->source ? output->source : "nexus",
                                      .file = from->file,
                                      .scene_id = from->scene_id,
                                      .record = from->record,
                                      .program = "nearmiss " NM_VERSION,
                                      .seed = output->seed,
                                      .parent = output->parent ? output->parent : m->scene->hash,
                                      .parameters = output->parameters ? output->parameters : "{}"};
    nm_status status = nm_scene_builder_set_provenance(m->builder, &provenance, error);
    for (uint32_t i = 0; status == NM_OK && i < m->scene->tag_count; i++)
        status = nm_scene_builder_add_tag(m->builder, m->scene->tags[i], error);
    nm_scene_builder_set_current(m->builder, m->tokens->current_step, m->scene->ego);
    return status;
}

static nm_status make(const making *m, const float *values, const uint8_t *present, const nm_token_output *output,
                      nm_arena *arena, nm_error *error) {
    const uint32_t places = nm_token_timeline(&m->tokens->config, NM_RATE_10HZ);
    uint8_t *is_agent = nm_arena_calloc(arena, m->scene->track_count, 1, 64);
    nm_state *states = NM_ARENA_ARRAY(arena, nm_state, places);
    uint8_t *valid = NM_ARENA_ARRAY(arena, uint8_t, places);
    if (!is_agent || !states || !valid) return NM_ERROR(error, NM_E_MEMORY, "no memory to make a scene of tokens");
    for (uint32_t a = 0; a < m->tokens->shape.agents; a++) is_agent[m->tokens->track[a]] = 1;
    nm_status status = nm_scene_builder_begin(m->builder, m->scene->map, (double)m->scene->dt, m->steps, error);
    if (status == NM_OK) status = add_tracks(m, output->keep_rest, is_agent, error);
    for (uint32_t a = 0; status == NM_OK && a < m->tokens->shape.agents; a++) {
        status = nm_token_decode_agent(m->tokens, a, values, present, NM_RATE_10HZ, states, valid, error);
        if (status == NM_OK) status = add_future(m, a, states, valid, error);
    }
    if (status == NM_OK) status = add_signals(m, error);
    if (status == NM_OK) status = describe(m, output, error);
    return status;
}

nm_status nm_tokens_to_scene(const nm_tokens *tokens, const nm_scene *scene, const float *values,
                             const uint8_t *present, const nm_token_output *output, nm_scene_builder *builder,
                             nm_arena *arena, const nm_scene **out, nm_error *error) {
    NM_ASSERT(tokens && scene && values && output && builder && arena && out);
    NM_ASSERT(tokens->current_step < scene->step_count);
    *out = NULL;
    const making m = {.tokens = tokens,
                      .scene = scene,
                      .builder = builder,
                      .steps = tokens->current_step + tokens->config.future * NM_TOKEN_STEPS + 1};
    nm_scene_builder_reset(builder);
    nm_arena_mark mark = nm_arena_get_mark(arena);
    nm_status status = make(&m, values, present, output, arena, error);
    nm_arena_release(arena, mark);
    if (status == NM_OK) status = nm_scene_builder_build(builder, out, error);
    return status;
}
