#include "tools/sampling_default.h"

#include <string.h>

int nm_sampling_reduce(const nm_sampling_asked *asked, const char **reduce, const char **guidance) {
    if (asked->reuse || *reduce || asked->otherwise || strcmp(asked->device, "cpu") != 0) return 0;
    for (uint32_t i = 0; i < asked->count; ++i)
        if (asked->schedules[i].kind != NM_SCHEDULE_PYRAMID || asked->schedules[i].slope != 1.0) return 0;
    *reduce = NM_REDUCE_DEFAULT;
    if (strcmp(*guidance, NM_GUIDANCE_DEFAULT) == 0) *guidance = NM_GUIDANCE_NEAR;
    return 1;
}

int nm_sampling_fits(const nm_model *model, const nm_recipe *recipe) {
    return !recipe->blocks.size && !nm_model_is_joint(nm_model_get_config(model));
}
