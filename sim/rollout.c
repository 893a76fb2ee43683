/// A whole rollout, and the scene that comes out of it.
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "sim/recording.h"
#include "sim/world_internal.h"

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
    nm_status status = nm_recording_begin(builder, scene, world->config.start_step, total, error);
    if (status == NM_OK) status = describe(builder, scene, &world->config, steps, error);
    if (status == NM_OK) status = nm_recording_step(builder, world, error);
    for (uint32_t i = 0; status == NM_OK && i < steps; ++i) {
        nm_world_step(world, NULL, 0, NULL); // a frozen agent is counted, the run goes on
        status = nm_recording_step(builder, world, error);
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
