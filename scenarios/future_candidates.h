/// Candidates of futures, and the energy that chooses among them: shared by model_futures.c and scene_generator.c.
#ifndef NM_SCENARIOS_FUTURE_CANDIDATES_H
#define NM_SCENARIOS_FUTURE_CANDIDATES_H

#include "scenarios/model_futures.h"

typedef struct nm_future_candidates nm_future_candidates;

/// Sets generator->candidates: those of `config`, chosen by `energy` (borrowed; its model is the caller's to check).
/// *candidates stays NULL where there is one of each. NM_E_ARGUMENT for several without an energy, and as
/// nm_candidates_config_check; NM_E_MEMORY. The generator must not outlive them.
nm_status nm_future_candidates_create(const nm_energy *energy, const nm_candidates_config *config,
                                      const nm_token_config *tokens, nm_generator_config *generator,
                                      nm_future_candidates **candidates, nm_error *error);
void nm_future_candidates_destroy(nm_future_candidates *candidates); ///< NULL is fine
/// scenes [count] of a batch, candidates counted each; borrowed until the batch is sampled.
void nm_future_candidates_set(nm_future_candidates *candidates, const nm_guided_scene *scenes, uint32_t count);

#endif
