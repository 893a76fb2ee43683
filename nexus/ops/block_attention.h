/// Mixture-of-block attention: every token of a scene, over space and time at once, attends to the blocks of tokens
/// that matter to it, instead of to all of them. For scenes of thousands of tokens (agents x times), where full
/// attention costs N^2.
///
/// After VMoBA (Wu et al. 2025, arXiv 2506.23858), which is after MoBA (Lu et al. 2025, arXiv 2502.13189). What is
/// theirs: keys are cut into blocks, by time in one layer, by space in the next, by both in the third; a block is stood
/// for by the mean of its keys; the pairs (query, block) of a head compete with each other, not those of one query, so
/// that queries with much to look at get more blocks; and as many pairs are kept as it takes for their similarity to
/// add up to a share tau of all. What is ours, and why:
///   - Agents have no grid. Blocks come from halving the tokens at a median again and again (a k-d tree, Bentley 1975)
///     and hold the same number of keys, give or take one: no padding, and no tile that is nearly empty.
///   - The similarity of a pair is p = n_b exp(q . mean_b / sqrt(D)) / sum over the blocks of q's scene: n_b keys as
///     like q as their mean is. That estimates (from below, by Jensen, before it is divided by the sum) which share of
///     q's attention lies in the block, so every query brings a similarity of 1 to the competition, tau is an estimate
///     of the share of attention that is kept, and a query of large norm does not push out the others.
///   - A query keeps its own block, whatever its similarity, as in MoBA: its close surroundings, and no query is left
///     without a key. What it brings counts towards tau.
///   - Similarities compete on a grid of NM_BLOCK_STEPS levels an octave, and pairs of one level are kept or left
///     together. Counting levels takes no sort, gives the same on any number of threads, and depends on no order of
///     tokens. The fewest pairs, then, up to the last level: 0.5 % of the similarity of its pairs.
///   - Scenes of a batch do not compete: what a scene gets does not depend on its company.
/// There is no bias by poses: 14 features of every pair of 100,000 tokens are what this is made to avoid. Place and
/// time come in with the tokens (embeddings, nm_rotary).
///
/// All results are the caller's memory: sizes depend on the number of tokens, scenes and heads, not on what is
/// selected, so a pass plans it when it is made. Results are the same bits every time and for any number of threads.
/// Selection is a constant for gradients.
///
/// Besides, backends keep scratch of their own, which grows the first time a size is seen (that may fail: the operation
/// does nothing then, and nm_ops.synchronize says NM_E_MEMORY) and serves all operations after it. D is the depth of a
/// head, rounded up to 16, B the blocks of the largest scene, blocks those of all scenes:
///   cpu        selection, each thread: about (D + 33) (B + 15) numbers of 4 bytes, and a few NM_BLOCK_LEVELS
///              attention, each thread: what tiles of 32 queries and 128 keys take, whatever there is of them; and
///              together the keys and values of one head, at most 2 D numbers a key, where every block is filled up to
///              the largest one's whole tiles of 128: blocks of 32 tokens take four times what they hold
///              backward, each of min(threads, heads) workers: such tiles, and 2 D (tokens + 16) numbers
///   cuda       none of its own: 4 bytes a scene and head (selection) and a token and head (backward) of the 16 MiB
///              that its products work in
///   reference  none
/// Limits, a caller's bug to pass: tokens x B at most 2^32 - 1, as levels count pairs in 32 bits; NM_BLOCK_MAX tokens
/// in a block; on cuda heads of at most 256 channels, and scenes x heads and, backward, tokens x heads at most 2^22.
#ifndef NM_NEXUS_OPS_BLOCK_ATTENTION_H
#define NM_NEXUS_OPS_BLOCK_ATTENTION_H

#include "nexus/ops/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

// Partition
// ---------------------------------------------------------------------------------------------------------------------

/// What a block has in common. A network goes through the three, layer by layer.
///   TIME        one stretch of time, all agents of it; where a time has more tokens than a block, stretches of x,
///   there
///               and back from time to time, so that a block over the end of a time is still of one place
///   SPACE       one place, at whatever time (2-D)
///   SPACE_TIME  one place during one stretch of time (3-D)
typedef enum nm_block_kind { NM_BLOCK_TIME = 0, NM_BLOCK_SPACE, NM_BLOCK_SPACE_TIME } nm_block_kind;

/// target  keys of a block, NM_BLOCK_MIN..NM_BLOCK_MAX. Blocks hold 3/4 of it to all of it in a scene of at least
///         3 target tokens. Fewer find what matters more exactly and cost more selection; multiples of 32 fill vectors.
/// step_m  how many metres apart two tokens are that are one step of time apart, for SPACE_TIME; > 0
typedef struct nm_partition_config {
    nm_block_kind kind;
    uint32_t target;
    float step_m;
} nm_partition_config;
#define NM_BLOCK_MIN 16
#define NM_BLOCK_MAX 1024
NM_API nm_partition_config nm_partition_config_default(void); ///< SPACE_TIME, 128, 5 m (10 m/s at 2 Hz)

/// scene   index of the scene in the batch
/// time    index of the time in the scene
/// x, y    m, in a frame that all tokens of the scene share; the token's own place, or its agent's at one time
typedef struct nm_block_token {
    uint32_t scene, time;
    float x, y;
} nm_block_token;

/// A partition of N tokens. The arrays are host memory as nm_block_partition fills them; operations take the same
/// struct with arrays in the backend's memory (nm_ops.upload_u32). Blocks of a scene follow each other, and no block
/// holds tokens of two scenes. Block b: the tokens rows[block_offsets[b] .. block_offsets[b + 1]).
typedef struct nm_block_set {
    uint32_t tokens, blocks, scenes;
    uint32_t max_block;            ///< tokens of the largest block, at most NM_BLOCK_MAX
    uint32_t max_scene_blocks;     ///< blocks of the scene that has most
    const uint32_t *rows;          ///< [tokens] a permutation
    const uint32_t *block_offsets; ///< [blocks + 1]
    const uint32_t *scene_blocks;  ///< [scenes + 1] first block of each scene
} nm_block_set;

/// Most blocks that nm_block_partition makes of so many tokens and scenes: what to plan for.
static inline uint32_t nm_block_limit(uint32_t tokens, uint32_t scenes, uint32_t target) {
    return tokens / target + scenes;
}
/// Arrays to fill, of the caller; capacity for `tokens` tokens, `blocks` blocks and `scenes` scenes.
typedef struct nm_block_arrays {
    uint32_t tokens, blocks, scenes;
    uint32_t *rows;          ///< [tokens]
    uint32_t *block_offsets; ///< [blocks + 1]
    uint32_t *scene_blocks;  ///< [scenes + 1]
} nm_block_arrays;

/// Cuts the tokens of every scene into blocks; `blocks` borrows the arrays. Depends on the tokens alone, not on their
/// order, but for tokens of one time and place, which are told apart by their index. Allocates nothing; O(N log N).
/// NM_E_ARGUMENT for a config out of range or a scene >= `scenes`, NM_E_NUMERIC for a place that is not finite (both
/// name the token), NM_E_LIMIT for more tokens or scenes than there is room for; `blocks` is empty then.
NM_API nm_status nm_block_partition(const nm_partition_config *config, const nm_block_token *tokens, uint32_t count,
                                    uint32_t scenes, const nm_block_arrays *arrays, nm_block_set *blocks,
                                    nm_error *error);

// Selection
// ---------------------------------------------------------------------------------------------------------------------

/// Levels of similarity: level(p) = floor(-NM_BLOCK_STEPS log2 p), at least 0, at most NM_BLOCK_LEVELS - 1: what is
/// below 2^-32 is one level.
#define NM_BLOCK_STEPS 128
#define NM_BLOCK_LEVELS 4096
/// What a pair of level l counts as: the middle of its level.
#define NM_BLOCK_SIMILARITY(l) exp2(-((double)(l) + 0.5) / NM_BLOCK_STEPS)

/// 32-bit words that hold one bit for every block of a scene of `scene_blocks` blocks.
static inline uint32_t nm_block_words(uint32_t scene_blocks) {
    return (scene_blocks + 31) / 32;
}

/// Chooses which queries attend to which blocks. Per scene and head, with similarities p as above: all pairs of a query
/// and its own block; and of the others those of level < cut, the lowest cut with which the similarity of all that is
/// kept reaches tau times that of all pairs. tau = 1 keeps every pair, tau = 0 own blocks alone.
///
/// NaN in q or k makes no fault; it selects something.
typedef struct nm_block_select {
    nm_tensor q, k; ///< [N][C] compute type
    uint32_t heads; ///< divides C
    const nm_block_set *blocks;
    float tau;            ///< 0..1
    nm_tensor means;      ///< [out, blocks x C] F32 (F64 reference): of the keys of each block
    nm_tensor normaliser; ///< [out, N x heads] F32 (F64 reference): ln of the sum over blocks of n_b exp(...)
    nm_tensor histogram;  ///< [out, 2 scenes heads x NM_BLOCK_LEVELS] U32, stride = cols: how many pairs of each level;
                          ///< row 2 (scene heads + head): pairs with other blocks, the next: with own blocks
    nm_tensor selected;   ///< [out, N x heads words] U32; words = nm_block_words(blocks->max_scene_blocks), or more.
                          ///< Row n, bit b % 32 of word head words + b / 32: token n attends to block b of its scene
    nm_tensor kept; ///< [out, scenes heads x 3] F32 (F64 reference): share of the similarity kept, pairs kept, all
                    ///< pairs, of row scene heads + head; zeros for a scene without tokens
} nm_block_select;
typedef void nm_block_select_forward(nm_backend *backend, const nm_block_select *op);

// Attention
// ---------------------------------------------------------------------------------------------------------------------

/// out_i = sum_j softmax_j(q_i . k_j / sqrt(D)) v_j, per head, over the keys j of the blocks that i attends to.
/// Sums go through a query's blocks in their order.
typedef struct nm_block_attention {
    nm_tensor q, k, v; ///< [N][C] compute type
    uint32_t heads;    ///< divides C
    const nm_block_set *blocks;
    nm_tensor selected;  ///< as above; also made otherwise. A query that attends to nothing gets zeros
    nm_tensor out;       ///< [out, N x C] compute type
    nm_tensor logsumexp; ///< [out, nullable, N x heads] F32 (F64 reference); -inf for a query that attends to nothing
} nm_block_attention;
typedef void nm_block_attention_forward(nm_backend *backend, const nm_block_attention *op);

/// dq, dk, dv are written, the selection taken as constant.
typedef struct nm_block_attention_grad {
    nm_block_attention forward; ///< as it was, with out and logsumexp filled
    nm_tensor dout;             ///< [N][C] compute type
    nm_tensor dq, dk, dv;       ///< [out, N x C] compute type
} nm_block_attention_grad;
typedef void nm_block_attention_backward(nm_backend *backend, const nm_block_attention_grad *op);

#ifdef __cplusplus
}
#endif
#endif
