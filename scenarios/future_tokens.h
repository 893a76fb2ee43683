/// The tokens of a scene whose future a model is to write. Shared by model_futures.c and scene_generator.c, so that
/// what is scored is what is kept.
#ifndef NM_SCENARIOS_FUTURE_TOKENS_H
#define NM_SCENARIOS_FUTURE_TOKENS_H

#include "nexus/generator.h"

/// The recipe with room for `agents`, however many the model was trained with, wherever they are: whoever is in a scene
/// takes part, the nearest to the ego first where there are too many.
nm_recipe nm_future_recipe(const nm_recipe *recipe, uint32_t agents);

/// What building tokens keeps between scenes: the map cut last. Zero it but for `config` and `present`.
typedef struct nm_future_tokens {
    nm_token_config config;
    int present; ///< as nm_token_request
    nm_token_map *map;
    uint64_t map_hash;
} nm_future_tokens;
void nm_future_tokens_release(nm_future_tokens *keep);

/// Tokens with all of the future to be found, but for the goals; who has no state at the current step has none after
/// it. task: FREE or GOAL, of each agent's last whole logged token only the last state is given: those before it lie
/// straight behind it, at its speed. bound: nullable, where one agent is going. Errors of nm_token_map_create and
/// nm_tokens_build.
nm_status nm_future_tokens_build(nm_future_tokens *keep, const nm_scene *scene, uint32_t current_step,
                                 nm_task_kind task, const nm_token_bound *bound, nm_arena *arena, nm_tokens *tokens,
                                 nm_error *error);

/// Which tokens are in a generated scene: the valid ones, but vehicles whose front gets beyond the end of the map are
/// gone from then on. values [A][T][C]; present [out, A x T]
void nm_future_present(const nm_scene *scene, const nm_tokens *tokens, const float *values, uint8_t *present);

/// Keys the noise of one of a scene's futures: another one for each seed, of 64 bits, and sample.
uint64_t nm_future_key(const nm_scene *scene, uint64_t seed, uint32_t sample);

/// Adds what the last run of a generator took for its `futures` scenes.
struct nm_future_cost;
void nm_future_cost_add(struct nm_future_cost *cost, const struct nm_generator *generator, uint32_t futures,
                        double seconds);
/// The same of a rollout in blocks.
struct nm_block_cost;
void nm_future_cost_add_blocks(struct nm_future_cost *cost, const struct nm_block_cost *spent, uint32_t futures);

#endif
