/// The examples of a training pass: made, noised and ready to be packed, if wanted while the pass before is computed.
#ifndef NM_NEXUS_TRAINER_LOAD_H
#define NM_NEXUS_TRAINER_LOAD_H

#include "nexus/batch.h"
#include "nexus/model.h"
#include "nexus/trainer.h"

/// Examples [first, first + count) of `source`, levels and noise by `seed`. count <= the trainer's scenes.
typedef struct nm_load_order {
    nm_example_source source;
    uint64_t seed, first;
    uint32_t count;
    nm_block_config blocks; ///< of the examples; size 0: those of the trainer
} nm_load_order;

/// One example, the tokens of its scenes packed as a batch has them: what the network sees and what it is to say
/// (nexus-core 2, 3). Clean tokens are given, the others are z = alpha x + sigma e, of what the prior leaves of the
/// values.
typedef struct nm_loaded {
    nm_tokens tokens;
    nm_token_scene *scenes; ///< [scene_count] for nm_pass_set_scenes
    nm_block_part *parts;   ///< [scene_count] with blocks, else NULL; scene, strand are the pass's business
    uint32_t scene_count;   ///< parts of the example; without blocks 1
    uint32_t count;         ///< valid tokens, n
    uint32_t noised_count;  ///< those that are not clean
    float *known, *mask, *noised, *noise; ///< [n][C]
    float *condition, *pose;              ///< [n][K], [n][4]; NULL where the model has none
    float *level, *alpha, *sigma;         ///< [n]
    float *weight;                        ///< [n] of each token's loss; 0 = clean
    float *says_next; ///< [n] 1 = a clean one that is to say the next one, which stands in the place of its noise, with
                      ///< alpha 1 and sigma 0 (trainer.h); NULL without the autoregressive loss
    uint32_t next_count; ///< of those
} nm_loaded;

typedef struct nm_loader nm_loader;

/// model, pool: as in nm_trainer_create, borrowed. The configuration is copied.
nm_status nm_loader_create(const nm_model_config *model, const nm_trainer_config *config, nm_thread_pool *pool,
                           nm_loader **loader, nm_error *error);
void nm_loader_destroy(nm_loader *loader); ///< waits for what is being made; NULL is fine

/// Begins to make what is ordered on a thread of its own, with the pool. Returns at once; what goes wrong is told by
/// the nm_loader_get that asks for it. One order at a time: an earlier one that nobody has asked for is dropped.
void nm_loader_ahead(nm_loader *loader, const nm_load_order *order);

/// What is ordered, made now unless it was ahead; the same bits either way. *loaded [order->count], until the next
/// call. Waits for the pool where it makes something else ahead, which stays. Fails as the source does, and with
/// NM_E_ARGUMENT for an example that does not fit the model.
nm_status nm_loader_get(nm_loader *loader, const nm_load_order *order, const nm_loaded **loaded, nm_error *error);

#endif
