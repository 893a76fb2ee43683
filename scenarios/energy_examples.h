/// What an energy (nexus/energy_trainer.h) is trained on: moments of recorded scenes, and the futures that the model
/// makes of them.
#ifndef NM_SCENARIOS_ENERGY_EXAMPLES_H
#define NM_SCENARIOS_ENERGY_EXAMPLES_H

#include "nexus/energy_trainer.h"
#include "scenarios/model_futures.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_energy_examples nm_energy_examples;

/// futures: of each moment, as those of the set. Sampled as `config` says, as nm_model_futures_run does (its batch, its
/// agreement, its candidates and its energy are not read). The model is borrowed. Errors as nm_model_futures_create;
/// NM_E_ARGUMENT for one that was trained on blocks.
NM_API nm_status nm_energy_examples_create(nm_model *model, const nm_recipe *recipe, uint32_t futures,
                                           const nm_model_futures_config *config, nm_energy_examples **examples,
                                           nm_error *error);
NM_API void nm_energy_examples_destroy(nm_energy_examples *examples); ///< NULL is fine
/// Adds a moment of `scene` (time step 0.1 s) to the set: everybody who is there at the step and in a whole token after
/// it. Of all futures only the tokens are read that the recording has, so that nothing but the motion tells them apart.
/// sampled  [count, nullable] what nm_energy_examples_sampled said of this moment: it is not sampled again
/// Errors as nm_model_futures_run, NM_E_FORMAT for another number of values than the moment has, NM_E_NUMERIC for one
/// that is not finite; the set has whole agents then.
NM_API nm_status nm_energy_examples_add(nm_energy_examples *examples, const nm_scene *scene, uint32_t current_step,
                                        uint64_t seed, int held, const float *sampled, size_t count, nm_energy_set *set,
                                        nm_error *error);
/// The model's futures of the moment that was added last, [*count]; borrowed until the next one.
NM_API const float *nm_energy_examples_sampled(const nm_energy_examples *examples, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
