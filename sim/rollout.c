/// A whole rollout, and the scene that comes out of it.
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "sim/world_internal.h"

/// Track definitions and recorded states before start_step; that one and the later ones are read from the world.
static nm_status copy_history(nm_scene_builder *builder, const nm_scene *scene, uint32_t start_step, nm_error *error) {
    for (uint32_t track = 0; track < scene->track_count; ++track) {
        const nm_track *info = &scene->tracks[track];
        nm_track_def def = {.id = info->source_id,
                            .type = (nm_agent_type)info->type,
                            .flags = info->flags,
                            .difficulty = info->difficulty,
                            .length = info->length,
                            .width = info->width,
                            .height = info->height};
        uint32_t index;
        nm_status status = nm_scene_builder_add_track(builder, &def, &index, error);
        if (status != NM_OK) return status;
        NM_ASSERT(index == track);
        for (uint32_t step = 0; step < start_step && step < scene->step_count; ++step) {
            nm_state state;
            if (!nm_scene_get_state(scene, track, step, &state)) continue;
            status = nm_scene_builder_add_local_state(builder, track, step, &state, error);
            if (status != NM_OK) return status;
        }
    }
    return NM_OK;
}

static float last_height(const nm_scene *scene, uint32_t track, uint32_t step) {
    uint32_t t = step < scene->step_count ? step : scene->step_count - 1;
    for (;; --t) {
        const size_t at = nm_scene_at(scene, track, t);
        if (scene->valid[at]) return scene->z[at];
        if (t == 0) return 0.0f;
    }
}

static nm_status record_step(nm_scene_builder *builder, const nm_world *world, nm_error *error) {
    const nm_scene *scene = world->scene;
    for (uint32_t slot = 0; slot < world->count; ++slot) {
        const uint32_t track = world->track[slot];
        const int sized = scene->state_length != NULL;
        const nm_state state = {.x = world->x[slot],
                                .y = world->y[slot],
                                .z = last_height(scene, track, world->step),
                                .heading = world->heading[slot],
                                .vx = world->vx[slot],
                                .vy = world->vy[slot],
                                .length = sized ? world->length[slot] : 0.0f,
                                .width = sized ? world->width[slot] : 0.0f,
                                .height = sized ? scene->tracks[track].height : 0.0f};
        const nm_status status = nm_scene_builder_add_local_state(builder, track, world->step, &state, error);
        if (status != NM_OK) return status;
    }
    for (uint32_t signal = 0; signal < scene->map->signal_count; ++signal) {
        const nm_signal_state light = nm_scene_signal(scene, signal, world->step);
        const nm_status status = nm_scene_builder_set_signal(builder, signal, world->step, light, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

static nm_status describe(nm_scene_builder *builder, const nm_scene *scene, const nm_world_config *config,
                          uint32_t steps, nm_error *error) {
    // A parent that was generated is no file one could go back to: its own recipe travels along.
    const int generated = scene->provenance.file[0] == '\0' && scene->provenance.parameters[0] == '{';
    char parameters[4096], custom[256], source[256];
    nm_text_escape_json(custom, sizeof custom, config->custom && config->custom->name ? config->custom->name : "");
    nm_text_escape_json(source, sizeof source, scene->provenance.source);
    const int length =
        snprintf(parameters, sizeof parameters,
                 "{\"start_step\":%u,\"steps\":%u,\"agents\":\"%s\",\"ego\":\"%s\",\"idm\":\"%s\",\"custom\":\"%s\","
                 "\"spawn_later\":%d,\"remove_on_collision\":%d,\"resampled\":%d,\"parent_source\":\"%s\",\"parent_"
                 "parameters\":%s}",
                 config->start_step, steps, nm_policy_name(config->agents), nm_policy_name(config->ego),
                 config->idm->name, custom, config->spawn_later, config->remove_on_collision, config->parent != 0,
                 source, generated ? scene->provenance.parameters : "{}");
    if (length < 0 || (size_t)length >= sizeof parameters)
        return NM_ERROR(error, NM_E_LIMIT, "the recipe of the scene's parent is longer than 4 KiB");
    const nm_provenance provenance = {.source = "simulate",
                                      .file = scene->provenance.file,
                                      .scene_id = scene->provenance.scene_id,
                                      .record = scene->provenance.record,
                                      .program = "nearmiss " NM_VERSION,
                                      .seed = config->seed,
                                      .parent = config->parent ? config->parent : scene->hash,
                                      .parameters = parameters};
    nm_status status = nm_scene_builder_set_provenance(builder, &provenance, error);
    for (uint32_t i = 0; status == NM_OK && i < scene->tag_count; ++i)
        status = nm_scene_builder_add_tag(builder, scene->tags[i], error);
    nm_scene_builder_set_current(builder, config->start_step, scene->ego);
    return status;
}

static nm_status asked_to_stop(const nm_world *world, nm_error *error) {
    if (!world->config.stop || !world->config.stop(world->config.stop_context)) return NM_OK;
    return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
}

static nm_status run_recorded(nm_world *world, nm_scene_builder *builder, uint32_t steps, const nm_scene **out,
                              nm_error *error) {
    const nm_scene *scene = world->scene;
    const uint32_t total = world->config.start_step + steps + 1;
    nm_status status = nm_scene_builder_begin(builder, scene->map, (double)NM_STEP_SECONDS, total, error);
    if (status == NM_OK) status = copy_history(builder, scene, world->config.start_step, error);
    if (status == NM_OK) status = describe(builder, scene, &world->config, steps, error);
    if (status == NM_OK) status = record_step(builder, world, error);
    for (uint32_t i = 0; status == NM_OK && i < steps; ++i) {
        nm_world_step(world, NULL, 0, NULL); // a frozen agent is counted, the run goes on
        status = record_step(builder, world, error);
        if (status == NM_OK) status = asked_to_stop(world, error);
    }
    if (status == NM_OK) status = nm_scene_builder_build(builder, out, error);
    return status;
}

nm_status nm_rollout(const nm_scene *scene, const nm_world_config *config, uint32_t steps, int keep_scene,
                     nm_rollout_result *result, nm_error *error) {
    NM_ASSERT(scene && config && result);
    memset(result, 0, sizeof *result);
    if (steps == 0 || steps > NM_SCENE_MAX_STEPS - config->start_step - 1)
        return NM_ERROR(error, NM_E_ARGUMENT, "cannot simulate %u steps: 1 to %u are possible from step %u", steps,
                        NM_SCENE_MAX_STEPS - config->start_step - 1, config->start_step);
    nm_world *world;
    nm_status status = nm_world_create(scene, config, &world, error);
    if (status != NM_OK) return status;
    if (keep_scene) {
        nm_scene_builder *builder = nm_scene_builder_create();
        status = builder ? run_recorded(world, builder, steps, &result->scene, error)
                         : NM_ERROR(error, NM_E_MEMORY, "no memory to record the rollout");
        nm_scene_builder_destroy(builder);
    } else {
        for (uint32_t i = 0; status == NM_OK && i < steps; ++i) {
            nm_world_step(world, NULL, 0, NULL);
            status = asked_to_stop(world, error);
        }
    }
    result->stats = nm_world_get_stats(world);
    result->hash = nm_world_hash(world);
    nm_world_destroy(world);
    return status;
}
