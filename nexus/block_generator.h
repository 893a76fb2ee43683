/// Futures of scenes block by block, as long as wanted (blocks.h): each round samples the next block of every scene,
/// and is told what became of it before the next one.
///
/// All memory is made by the creation; rounds allocate nothing but what a backend may for recording a pass. One thread
/// at a time, that of the model's backend.
#ifndef NM_NEXUS_BLOCK_GENERATOR_H
#define NM_NEXUS_BLOCK_GENERATOR_H

#include "nexus/block_cache.h"
#include "nexus/generator.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_block_generator nm_block_generator;

/// Of the configuration, the schedule orders the tokens of a block; agreement and reuse must be off, and there is one
/// candidate of each future (NM_E_ARGUMENT). Errors as nm_block_cache_create.
NM_API nm_status nm_block_generator_create(nm_model *model, const nm_recipe *recipe, const nm_generator_config *config,
                                           nm_block_generator **generator, nm_error *error);
NM_API void nm_block_generator_destroy(nm_block_generator *generator); ///< NULL is fine
/// The next block is the first of other scenes.
NM_API void nm_block_generator_forget(nm_block_generator *generator);

/// One scene of a round.
typedef struct nm_block_generation {
    const nm_tokens *tokens; ///< as for nm_block_cache_set; known tokens of the block are given
    uint64_t key;            ///< keys the noise of the scene; the same from round to round
    float *values;           ///< [out, A x T x C] the block's tokens: known ones as they are, others as sampled; the
                             ///< rest is 0
} nm_block_generation;

/// Samples the next block of `count` scenes. What comes out of a scene does not depend on which others are with it.
/// guide  nullable, see sampler.h
/// Errors as nm_block_cache_set and nm_sampler_run; forget, then.
NM_API nm_status nm_block_generator_run(nm_block_generator *generator, const nm_block_generation *scenes,
                                        uint32_t count, nm_guide *guide, void *guide_context, nm_error *error);
/// What became of the block, before the next round: values [scene] [A][T][C], of which the block's tokens are read; a
/// NULL entry, or values NULL, stands for what was sampled. Errors as nm_block_cache_keep.
NM_API nm_status nm_block_generator_keep(nm_block_generator *generator, const float *const *values, nm_error *error);

NM_API uint64_t nm_block_generator_passes(const nm_block_generator *generator); ///< of all rounds since the creation
NM_API const nm_block_cache *nm_block_generator_cache(const nm_block_generator *generator);

#ifdef __cplusplus
}
#endif
#endif
