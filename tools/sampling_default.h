/// What futures are sampled with where nothing else is asked for: passes that leave as it was what is far from what is
/// being denoised, and guidance of what is near it. A third of the time at the same scores (docs/ablation.md;
/// nexus/EXPERIMENTS.md, "A fifth of the time").
#ifndef NM_TOOLS_SAMPLING_DEFAULT_H
#define NM_TOOLS_SAMPLING_DEFAULT_H

#include "nexus/model.h"
#include "nexus/recipe.h"
#include "nexus/schedule.h"
#include "tools/guidance_option.h"

#define NM_REDUCE_DEFAULT "ahead=1,behind=1"
#define NM_GUIDANCE_NEAR NM_GUIDANCE_DEFAULT ",ahead=0"

/// What was asked for.
typedef struct nm_sampling_asked {
    const char *reuse, *device;   ///< reuse: NULL = not given
    const nm_schedule *schedules; ///< [count]
    uint32_t count;
    int otherwise; ///< 1 = something that does not go with it: agreement, candidates, feedback
} nm_sampling_asked;

/// 1: *reduce (NULL = not given) is NM_REDUCE_DEFAULT now, and *guidance NM_GUIDANCE_NEAR where it was
/// NM_GUIDANCE_DEFAULT; to be undone if the model does not fit. 0: both are as they were. 1 is on the processor, where
/// neither --reuse nor --reduce is given and every schedule is pyramid:1, for which it was measured.
int nm_sampling_reduce(const nm_sampling_asked *asked, const char **reduce, const char **guidance);
/// 1: the model's passes can be reduced: it writes whole windows and its attention is factored.
int nm_sampling_fits(const nm_model *model, const nm_recipe *recipe);

#endif
