/// Passes over one block after another, for networks that were trained on blocks (blocks.h): what attention reads of
/// finished blocks is kept, so that a pass costs the tokens of one block, however long the scene has been going on.
///
/// A round per block: nm_block_cache_set with the tokens of the scenes at the block's first moment, any number of
/// predictions, and nm_block_cache_keep with what became of the block, which leaves its keys. That is exact: a
/// prediction is what a pass over all parts with the mask of blocks.h says, but for rounding, as nothing that went into
/// a finished block changes.
///
/// Memory: keys and values of every temporal layer (nm_block_cache_bytes), for each agent those of blocks.memory
/// tokens, which is as far as attention sees, and those of a block in the making: past + 1 + blocks.size, since anybody
/// may be new in it. Blocks leave theirs one after another; when the room is full those that are seen move together.
/// One thread at a time, that of the model's backend. Memory is sized by the creation; nothing after it allocates.
#ifndef NM_NEXUS_BLOCK_CACHE_H
#define NM_NEXUS_BLOCK_CACHE_H

#include "nexus/blocks.h"
#include "nexus/pass_denoiser.h"
#include "nexus/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_block_cache nm_block_cache;

#define NM_BLOCK_CACHE_MAX_BYTES (UINT64_C(64) << 30) ///< what no machine has room for is refused before it is tried

/// For up to `scenes` scenes of up to recipe->tokens.agents agents side by side. The model is borrowed and outlives it;
/// after its weights are renewed begin anew. NM_E_ARGUMENT for a recipe without blocks; NM_E_FORMAT for one that is not
/// the model's; NM_E_LIMIT, with the number, for more than NM_BLOCK_CACHE_MAX_BYTES or too many rows; NM_E_MEMORY.
NM_API nm_status nm_block_cache_create(nm_model *model, const nm_recipe *recipe, uint32_t scenes,
                                       nm_block_cache **cache, nm_error *error);
NM_API void nm_block_cache_destroy(nm_block_cache *cache); ///< NULL is fine
/// Bytes of keys and values that are kept.
NM_API size_t nm_block_cache_bytes(const nm_block_cache *cache);

/// Forgets all blocks: the next one is the first of other scenes.
NM_API void nm_block_cache_forget(nm_block_cache *cache);

/// The next block of every scene. The number of scenes is the same from block to block.
///
/// tokens   [count] built at the block's first moment (nm_tokens_build), with the recipe's encoding, past and future;
/// of
///          them the block, and the history of agents that were not in the block before, are packed
///          (nm_block_cast_next). Borrowed until the next call. A track is the same agent in all blocks of its scene
/// NM_E_ARGUMENT for tokens of another configuration, or where the block before was not kept; NM_E_LIMIT for too many
/// scenes or agents: nothing has changed then. Others as nm_pass_set_scenes: forget then, and begin anew.
NM_API nm_status nm_block_cache_set(nm_block_cache *cache, const nm_tokens *const *tokens, uint32_t count,
                                    nm_error *error);
NM_API const nm_batch *nm_block_cache_batch(const nm_block_cache *cache); ///< of the block that is set
NM_API uint32_t nm_block_cache_blocks(const nm_block_cache *cache);       ///< that are kept since nm_block_cache_forget
/// For a sampler whose tokens are those of the batch, in the same order.
NM_API nm_denoiser nm_block_cache_denoiser(nm_block_cache *cache);

/// The block is finished: its tokens are passed once more, clean, and what attention reads of them is kept.
/// values [N][C] of all tokens of the batch. NM_E_NUMERIC for one that is not finite, others as nm_pass_predict: the
/// block is not kept then.
NM_API nm_status nm_block_cache_keep(nm_block_cache *cache, const float *values, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
