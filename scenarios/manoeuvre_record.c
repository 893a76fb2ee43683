// What is kept: the scene, with its recipe.
#include "scenarios/manoeuvre_internal.h"

nm_status nm_stage_publish(nm_attempt *a, nm_error *error) {
    const nm_scene *take = &a->work->take.scene;
    // what nobody could act on is history
    const nm_case_footage footage = {.take = take, .signals = take, .current = a->shown, .ego = NM_ROLE_EGO};
    char recipe[NM_CASE_RECIPE];
    const nm_status status =
        nm_case_write_recipe(a->base, a->request, a->index, a->out, a->members ? a->members : "", recipe, error);
    if (status != NM_OK) return status;
    return nm_case_build(&footage, a->base, a->request, recipe, a->work->builder, &a->out->scene, error);
}
