/// Block-autoregressive generation: the future is denoised block by block, each block with all blocks before it clean
/// (ACDiT, Hu et al. 2024, arXiv 2412.07720). Any block size from one token of 0.5 s to the horizon: with size 1 it is
/// an autoregressive model whose every token is diffused, with size = horizon it is full-sequence diffusion.
///
/// What makes finished blocks cheap is that nothing about them changes any more, so that what attention reads of them
/// can be kept. Three choices see to that:
///
/// 1. A block is encoded as the scene is at its start. Its part, as we call it, is what nm_tokens_build makes with the
///    block's first moment as the current step: own frames, conditions (leader, signals, path) and map rows are those
///    of that moment, and stay so when the block is history. With t the token's place in these tokens, the block is t =
///    past + 1 .. past + size. A window that slides never re-anchors anything: the next part has frames of its own.
///    Priors (prior.h) are those of a part, too: constant velocity or the lane from the state at the block's start.
/// 2. Only temporal attention crosses parts. Tokens of one time attend to each other (spatial layers) within their
/// part,
///    where all frames are of one moment, and an agent's tokens attend to the map rows of their part. What a token of a
///    later block hears of an earlier one is the key and value of its own agent's tokens, in each temporal layer.
///    How far apart they are is told by rotary time, which depends on differences only: places are counted on through
///    all parts, `place` = t + size * (number of the part).
/// 3. The past is bounded: with s the place at which a part begins (past + size * number), its tokens see clean tokens
///    with s - memory < place <= s, and their own block. The mask is the same in training, so that a model knows no
///    other past, and what is kept has a fixed size.
///
/// The skip-causal mask: in training every token of a block but the last is there twice, clean and noised, in one pass.
///   - clean tokens attend to the clean ones before their part and to those of their own block;
///   - noised tokens attend to the clean ones before their part and to the noised ones of their own block;
///   - spatial layers: clean ones with clean ones, noised ones with noised ones of the same part and time.
/// The context-causal mask (`causal`; NBDiff, arXiv 2512.06776): clean tokens, history too, attend to clean ones of
/// their agent up to themselves only, the one at place p to p - memory <= place <= p. That is what blocks of one token
/// do anyway, so that what a clean token's key is made of does not depend on where blocks end, but for the frame of its
/// part; noised ones attend as above. A network may be trained on small blocks and go on with larger ones
/// (nm_block_growth): what it reads of the past stays what it was.
/// So the noised copy of each block sees exactly what it sees in generation, where block b is denoised in S passes over
/// its tokens alone, and then passed once more at level 0, which leaves its keys for the blocks after it
/// (block_cache.h). The loss counts noised tokens only. A noised token of level 0 is one that is given within its
/// block: a goal, or a token that a schedule has finished earlier.
///
/// History: an agent that was not there in the part before begins with its history, tokens t <= past, which are clean
/// and attend to each other. It enters with the part in which it begins, whether that is the first one or a later one.
///
/// What lost: one frame for all blocks of a window (shorter, as tokens need no rebuilding; but when the window slides
/// its frame must, and every key with it); keeping keys of tokens as the frame of the current block sees them (exact
/// only if they are computed anew); relative poses between parts as a bias of temporal attention (an agent's next frame
/// is where its last token ends, which that token says already).
///
/// Everything here is thread-safe on different objects.
#ifndef NM_NEXUS_BLOCKS_H
#define NM_NEXUS_BLOCKS_H

#include "nexus/network.h"
#include "nexus/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_block_config {
    uint32_t size;   ///< tokens of a block, 1..256; 0 = no blocks: all of the future at once
    uint32_t memory; ///< tokens before a block that it sees, 1..1024; default 8, four seconds
    int causal;      ///< 1 = clean tokens see no later ones (the context-causal mask); default 0
} nm_block_config;
NM_API nm_block_config nm_block_config_default(void); ///< size 0
/// NM_E_ARGUMENT naming the field that is out of range, or a block longer than the future of `tokens`.
NM_API nm_status nm_block_config_check(const nm_block_config *config, const nm_token_config *tokens, nm_error *error);
/// Blocks that cover the future of `tokens`, at least partly.
NM_API uint32_t nm_block_parts(const nm_block_config *config, const nm_token_config *tokens);

/// Sizes of blocks that change as training goes on: from number `first` of something that is counted on (steps,
/// examples) blocks have `size` tokens. A caller's struct.
enum { NM_BLOCK_STAGES = 16 };
typedef struct nm_block_stage {
    uint64_t first;
    uint32_t size;
} nm_block_stage;
typedef struct nm_block_growth {
    uint32_t count; ///< of stages; 0 = the size of the configuration from beginning to end
    nm_block_stage stage[NM_BLOCK_STAGES];
} nm_block_growth;
/// NM_E_ARGUMENT unless the first stage begins at 0, each later than the one before, with sizes of 1 to that of the
/// configuration, which is the last one's.
NM_API nm_status nm_block_growth_check(const nm_block_growth *growth, const nm_block_config *config, nm_error *error);
/// The configuration with the size that number `number` has.
NM_API nm_block_config nm_block_growth_at(const nm_block_growth *growth, const nm_block_config *config,
                                          uint64_t number);

// ---------------------------------------------------------------------------------------------------------------------
// Parts

/// The parts of a recorded scene, one after another through `next` (nm_tokens.next): the first is nm_tokens_build's,
/// each following one is built a block later, with the same ego. Ends after `most` parts, with the recording, or where
/// the ego is gone: a part in which nobody has a logged token of the block is left out, but for the first. Arguments,
/// errors and cost of each as nm_tokens_build; request->generate must be 0.
NM_API nm_status nm_block_parts_build(const nm_token_map *token_map, const nm_scene *scene,
                                      const nm_token_request *request, const nm_block_config *config, uint32_t most,
                                      nm_arena *arena, nm_tokens *tokens, nm_error *error);

/// An example to train on: nm_tokens_build without blocks; with blocks its parts, at most `most`, where 0 stands for as
/// many as cover the future.
NM_API nm_status nm_block_example(const nm_token_map *token_map, const nm_scene *scene, const nm_token_request *request,
                                  const nm_block_config *config, uint32_t most, nm_arena *arena, nm_tokens *tokens,
                                  nm_error *error);

/// Who takes part in the parts of one scene, as agents come and go. An agent that stays keeps its strand, one of `most`
/// numbers. A caller's struct; its array is in an arena.
typedef struct nm_block_cast {
    nm_block_config config;
    uint32_t most;
    uint32_t *track; ///< [most] whose strand it is, NM_NONE = free
} nm_block_cast;
/// Nobody yet, and at most `agents` in a part. NM_E_MEMORY.
NM_API nm_status nm_block_cast_create(const nm_block_config *config, uint32_t agents, nm_arena *arena,
                                      nm_block_cast *cast, nm_error *error);
NM_API void nm_block_cast_clear(nm_block_cast *cast); ///< nobody any more

/// How an agent is in a part.
typedef struct nm_block_role {
    uint32_t strand; ///< the lowest that is free; NM_NONE = not at all: it has no valid token of the block
    int begins;      ///< 1 = it was not in the part before, up to the block's last token: its history is in this part
} nm_block_role;

/// The next part: which of its tokens are in it.
///
/// tokens  of at most cast->most agents; an agent has one track in all parts
/// valid   [out, A x T] tokens that are in the part: those of the block, and the history of agents that begin; may be
///         tokens->valid
/// role    [out, A]
NM_API void nm_block_cast_next(nm_block_cast *cast, const nm_tokens *tokens, uint8_t *valid, nm_block_role *role);

// ---------------------------------------------------------------------------------------------------------------------
// Links

/// Who sees whom: makes the lists of nm_pass_set_links, part by part, and remembers which key rows hold the past of
/// each strand.
typedef struct nm_block_links nm_block_links;

typedef struct nm_block_links_config {
    nm_block_config blocks; ///< size: the largest
    uint32_t strands;       ///< over all scenes
    uint32_t tokens;        ///< of a pass at most
} nm_block_links_config;
/// NM_E_LIMIT, with the number, for NM_BATCH_MAX_ROWS keys or traces of strands (memory + size each); NM_E_MEMORY.
NM_API nm_status nm_block_links_create(const nm_block_links_config *config, nm_block_links **links, nm_error *error);
NM_API void nm_block_links_destroy(nm_block_links *links); ///< NULL is fine
/// What a pass must have room for (nm_link_capacity), without kept rows.
NM_API nm_link_capacity nm_block_links_capacity(const nm_block_links_config *config);

/// Empties the lists, for another pass; the past of strands stays.
NM_API void nm_block_links_begin(nm_block_links *links);
NM_API void nm_block_links_forget(nm_block_links *links); ///< the past, too

/// One part, scene `scene` of a batch, whose scenes are added in order.
typedef struct nm_block_part {
    uint32_t scene;
    uint32_t number;           ///< of the part in its scene, from 0
    uint32_t past;             ///< of the tokens' configuration
    uint32_t steps;            ///< T; tokens of time T and later are the noised copies of those T before
    const nm_block_role *role; ///< [A]
    uint32_t strand;           ///< of all scenes' strands, that which strand 0 of this scene is
    uint32_t first;            ///< key row of the batch's row 0; the same for all parts of a pass
    int last;                  ///< 1 = no part comes after it
    uint32_t size;             ///< tokens of its block; 0 = the configuration's. The same for all parts of a scene
    int clean; ///< 1 = tokens of the block before time T are clean: with a causal mask they see no later ones
    int again; ///< 1 = the part was added before, with the same rows, and none of its strands since: lists only, as for
               ///< a pass over clean tokens after one over noised ones. Not with `last`
} nm_block_part;

/// Adds the lists of a part, and to the past of its strands those of its tokens that come before time T.
NM_API void nm_block_links_add(nm_block_links *links, const nm_batch *batch, const nm_block_part *part);

/// Makes room among kept rows (nm_pass_pack_kept): those that part `number` or a later one may see are numbered anew
/// from 0 on, in the order in which they lie. They are at most blocks.memory for each strand.
///
/// past    as in nm_block_part
/// rows    that may be in use
/// to      [out, rows] their new numbers, none larger than the old one; NM_NONE = nobody sees it any more
/// returns how many are seen
NM_API uint32_t nm_block_links_pack(nm_block_links *links, uint32_t number, uint32_t past, uint32_t rows, uint32_t *to);

/// For nm_pass_set_links: lists, times t / T and places, of all parts since nm_block_links_begin.
NM_API nm_pass_links nm_block_links_get(const nm_block_links *links);

#ifdef __cplusplus
}
#endif
#endif
