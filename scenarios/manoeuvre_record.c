// What is kept: the scene, with its recipe.
#include "scenarios/manoeuvre_internal.h"

// --- the scene -------------------------------------------------------------------------------------------------------

static nm_status add_tracks(nm_attempt *a, nm_scene_builder *builder, nm_error *error) {
    const nm_scene *take = &a->work->take.scene;
    nm_status status = NM_OK;
    for (uint32_t track = 0; status == NM_OK && track < take->track_count; track++) {
        const nm_track *info = &take->tracks[track];
        const nm_track_def def = {.id = info->source_id,
                                  .type = (nm_agent_type)info->type,
                                  .flags = info->flags,
                                  .length = info->length,
                                  .width = info->width,
                                  .height = info->height};
        uint32_t index;
        status = nm_scene_builder_add_track(builder, &def, &index, error);
        for (uint32_t t = info->first_step; status == NM_OK && t <= info->last_step; t++) {
            nm_state state;
            if (!nm_scene_get_state(take, track, t, &state)) continue;
            status = nm_scene_builder_add_local_state(builder, index, t, &state, error);
        }
    }
    for (uint32_t i = 0; status == NM_OK && take->signal_states && i < take->map->signal_count; i++)
        for (uint32_t t = 0; status == NM_OK && t < take->step_count; t++)
            status = nm_scene_builder_set_signal(
                builder, i, t, (nm_signal_state)take->signal_states[(size_t)i * take->step_count + t], error);
    return status;
}

nm_status nm_stage_publish(nm_attempt *a, nm_error *error) {
    nm_scene_builder *builder = a->work->builder;
    const nm_provenance *parent = &a->base->provenance;
    char recipe[NM_CASE_RECIPE];
    nm_scene_builder_reset(builder);
    nm_status status =
        nm_case_write_recipe(a->base, a->request, a->index, a->out, a->members ? a->members : "", recipe, error);
    if (status == NM_OK)
        status = nm_scene_builder_begin(builder, a->base->map, (double)NM_STEP_SECONDS, a->request->steps + 1, error);
    if (status == NM_OK) status = add_tracks(a, builder, error);
    if (status == NM_OK) status = nm_scene_builder_add_tag(builder, a->spec->name, error);
    if (status == NM_OK)
        status = nm_scene_builder_add_tag(builder, nm_severity_name(a->request->ranges.severity), error);
    const nm_provenance provenance = {.source = nm_case_generator_name(a->request->generator),
                                      .file = parent->file,
                                      .scene_id = parent->scene_id,
                                      .record = parent->record,
                                      .program = "nearmiss " NM_VERSION,
                                      .seed = a->request->seed,
                                      .parent = a->base->hash,
                                      .parameters = recipe};
    if (status == NM_OK) status = nm_scene_builder_set_provenance(builder, &provenance, error);
    if (status != NM_OK) return status;
    nm_scene_builder_set_current(builder, a->shown, NM_ROLE_EGO); // what nobody could act on is history
    return nm_scene_builder_build(builder, &a->out->scene, error);
}
