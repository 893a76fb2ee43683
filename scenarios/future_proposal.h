/// What a light driver model says about the future of a scene, as tokens: the proposals of nexus/agreement.h.
#ifndef NM_SCENARIOS_FUTURE_PROPOSAL_H
#define NM_SCENARIOS_FUTURE_PROPOSAL_H

#include "nexus/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Who proposes.
typedef enum nm_future_driver {
    NM_DRIVER_PATH = 0, ///< the prior of the model alone, nm_prior_fill: on along the road at the same speed, to what
                        ///< is given, anew after every pass from where an agent's finished tokens end
    NM_DRIVER_IDM,      ///< the simulator's reactive world: everybody drives by the Intelligent Driver Model along the
                        ///< lanes, people walk; whose later states are given, and who is not there now: as PATH
    NM_DRIVER_COUNT
} nm_future_driver;
NM_API const char *nm_future_driver_name(nm_future_driver driver); ///< "path", "idm"

/// NM_E_ARGUMENT where nobody would propose anything: PATH with a model that has no prior.
NM_API nm_status nm_proposal_check(nm_future_driver driver, const nm_recipe *recipe, nm_error *error);

/// As nm_generation has them. Both NULL: the prior alone.
typedef struct nm_proposal {
    const float *values;     ///< [A][T][C]
    const uint8_t *proposed; ///< [A][T]
} nm_proposal;

/// tokens  of `scene`; its current step counts
/// out     in `arena`, all zero for NM_DRIVER_PATH
/// Errors of nm_baseline_futures; NM_E_MEMORY. Deterministic: the drivers' characters are those of the scene's hash.
NM_API nm_status nm_proposal_make(const nm_scene *scene, const nm_tokens *tokens, nm_future_driver driver,
                                  nm_arena *arena, nm_proposal *out, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
