#include "sim/recording.h"

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

nm_status nm_recording_begin(nm_scene_builder *builder, const nm_scene *scene, uint32_t start_step, uint32_t steps,
                             nm_error *error) {
    nm_status status = nm_scene_builder_begin(builder, scene->map, (double)NM_STEP_SECONDS, steps, error);
    if (status == NM_OK) status = copy_history(builder, scene, start_step, error);
    if (status == NM_OK) nm_scene_builder_set_current(builder, start_step, scene->ego);
    return status;
}

static float last_height(const nm_scene *scene, uint32_t track, uint32_t step) {
    uint32_t t = step < scene->step_count ? step : scene->step_count - 1;
    for (;; --t) {
        const size_t at = nm_scene_at(scene, track, t);
        if (scene->valid[at]) return scene->z[at];
        if (t == 0) return 0.0f;
    }
}

nm_status nm_recording_step(nm_scene_builder *builder, const nm_world *world, nm_error *error) {
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
