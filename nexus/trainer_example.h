/// What makes one example out of tokens: shared by trainer_load.c and trainer_blocks.c.
#ifndef NM_NEXUS_TRAINER_EXAMPLE_H
#define NM_NEXUS_TRAINER_EXAMPLE_H

#include "nexus/trainer_load.h"

/// How examples are made.
typedef struct nm_example_how {
    nm_model_config model;
    nm_trainer_config config;
} nm_example_how;

/// One place in a pass.
typedef struct nm_example_slot {
    nm_arena *arena; ///< of all that nm_loaded points to
    nm_batch batch;  ///< of the one scene, or part of it, without its map
    uint32_t place;  ///< of the tokens' time 0: keys their noise
    uint64_t *scene; ///< [n] of the noise's key
    uint32_t *agent, *step;
    float *prior, *spread; ///< [n][C], [n]
} nm_example_slot;

/// NM_E_ARGUMENT where tokens do not fit model and prior.
nm_status nm_example_check(const nm_example_how *how, const nm_tokens *tokens, uint64_t number, nm_error *error);
/// Packs tokens by themselves, those that `shape` says are valid; their maps are the pass's business.
nm_status nm_example_pack(nm_example_slot *slot, const nm_token_scene *shape, nm_error *error);
/// Memory for `count` tokens; 0 when there is none.
int nm_example_allocate(const nm_example_how *how, nm_arena *arena, uint32_t count, nm_loaded *e);
/// Fills e for the packed tokens: level [A][T]. e->tokens and e's memory are there.
nm_status nm_example_fill(const nm_example_how *how, nm_example_slot *slot, const nm_tokens *tokens, const float *level,
                          uint64_t seed, uint64_t number, nm_loaded *e, nm_error *error);
/// An example in parts (blocks.h), e->tokens being the first.
nm_status nm_example_fill_parts(const nm_example_how *how, nm_example_slot *slot, uint64_t seed, uint64_t number,
                                nm_loaded *e, nm_error *error);

#endif
