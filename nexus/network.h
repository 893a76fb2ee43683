/// Passes of the denoising network over a batch: prediction, and gradients for training.
///
/// A pass object holds all memory a pass needs, made once for a capacity; passes allocate nothing. The network is
/// written once over ops/ops.h, so the backend of the model decides where and in which precision it runs.
///
/// The network (nexus-core 5), per packed token n with clean values, mask of what is known, noised values, level u:
///   h = W_in [known * mask, mask, noised, condition] + E_u(u) + E_t(t / T)
///   fused = h + Attn(LN(h); LN(latents)), fused += MLP(LN(fused)), c = SiLU(fused)
///   per block, a temporal layer (tokens of one agent attend to each other), then a spatial one (tokens of one time):
///       shift1, scale1, gate1, shift2, scale2, gate2 = W_ada c
///       h += gate1 Attn(LN(h) (1 + scale1) + shift1);  h += gate2 MLP(LN(h) (1 + scale2) + shift2)
///   v = W_out (LN(h) (1 + scale) + shift)
///
/// Joint attention (nm_attention_kind): spatial layers attend to all times of the scene, FULL to every token, BLOCKS to
/// the blocks that matter (ops/block_attention.h), by time, space and both in turn, layer by layer. A token does not
/// know where the others are by biases then, but because queries, keys and values are turned (nm_pair_turn)
/// by place, time and heading: scores depend on differences, and values come as seen from the query. h has W_heading
/// (cos, sin of the heading) added, so that a query can look along it. What comes out does not change when a scene is
/// shifted; when it is rotated, it does: poses are in a frame that means something, such as that of the ego. Turns and
/// blocks are made again when poses differ from those of the pass before.
#ifndef NM_NEXUS_NETWORK_H
#define NM_NEXUS_NETWORK_H

#include "nexus/batch.h"
#include "nexus/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_pass nm_pass;

/// What a pass is told of each packed token; host memory.
typedef struct nm_pass_input {
    const float *known;     ///< [N][C] clean values; finite also where the mask is 0, where they have no influence
    const float *mask;      ///< [N][C] 1 = known, 0 = not
    const float *noised;    ///< [N][C]
    const float *condition; ///< [N][K], NULL when K = 0
    const float *level;     ///< [N] u in [0, 1]
    const float *pose;      ///< [N][4] x, y in m, cos, sin of heading; NULL unless nm_model_wants_poses
} nm_pass_input;

/// The model is borrowed and outlives the pass. One thread at a time for all passes of a backend.
///
/// training  1: keeps activations of every layer and holds gradients (nm_pass_train), which begin as 0
/// NM_E_LIMIT for a size over nm_batch_create's, or scenes times latents over it; NM_E_MEMORY. *pass is NULL then.
NM_API nm_status nm_pass_create(nm_model *model, const nm_batch_capacity *capacity, int training, nm_pass **pass,
                                nm_error *error);
NM_API void nm_pass_destroy(nm_pass *pass); ///< NULL is fine

/// Room for lists of who attends to whom over time, and for keys that outlive a pass.
typedef struct nm_link_capacity {
    uint32_t groups, keys; ///< of nm_pass_links at most
    uint32_t kept; ///< rows of keys and values that every temporal layer keeps from pass to pass, 0 in training: then
                   ///< key rows are rows of the batch
} nm_link_capacity;
/// nm_pass_create for passes that are told who attends to whom (nm_pass_set_links). NM_E_LIMIT also for a size of
/// NM_BATCH_MAX_ROWS or more, NM_E_UNSUPPORTED for a model with joint attention. nm_pass_bytes does not count what the
/// links take.
NM_API nm_status nm_pass_create_linked(nm_model *model, const nm_batch_capacity *capacity,
                                       const nm_link_capacity *links, int training, nm_pass **pass, nm_error *error);
/// Bytes of the backend's memory that nm_pass_create takes, for printing before a run; for a capacity that it does not
/// refuse.
NM_API size_t nm_pass_bytes(const nm_model *model, const nm_batch_capacity *capacity, int training);

/// Packs scenes and encodes their maps: what does not change from pass to pass. See nm_batch_set for what is refused;
/// so are polylines without the agents they belong to (NM_E_ARGUMENT), and, where attention is to blocks, more than
/// 2^32 - 1 pairs of a token and a block (NM_E_LIMIT). The pass holds no scene then, and predictions do nothing. Where
/// the model's weights are renewed later (nm_model_repack, an optimizer's step), the next use of the pass encodes the
/// maps again.
NM_API nm_status nm_pass_set_scenes(nm_pass *pass, const nm_token_scene *scenes, uint32_t count, nm_error *error);
/// Packs other tokens of the same scenes, as agents come, leave or change places: their maps, as the last
/// nm_pass_set_scenes had them, stay encoded. See nm_batch_set_tokens for what is read and refused; after a failure
/// there are no tokens.
NM_API nm_status nm_pass_set_tokens(nm_pass *pass, const nm_token_scene *scenes, uint32_t count, nm_error *error);

/// Who attends to whom in temporal layers, instead of all tokens of an agent to each other: group g of `queries`, rows
/// of the batch, to group g of `keys`. Every row of the batch is in exactly one group; a key may be in several.
///
/// With kept rows a pass writes the keys and values of row n of the batch to kept row `first` + n of each temporal
/// layer, keys as rotary time has turned them, and key rows are kept rows: those of this pass and those that earlier
/// passes left. What nobody has written holds zeros. Without kept rows `first` is 0.
typedef struct nm_pass_links {
    const nm_row_lists *queries, *keys;
    uint32_t first;
    const float *time;     ///< [N] nullable: in the place of the batch's (nm_batch.time)
    const float *position; ///< [N] of rotary time, nullable: in the place of the batch's
} nm_pass_links;
/// Holds for the tokens that are set, until others are. Copied. NM_E_LIMIT for more groups or keys than there is room
/// for, or rows past the kept ones: there are no links then. A list that contradicts the above is a caller's bug.
NM_API nm_status nm_pass_set_links(nm_pass *pass, const nm_pass_links *links, nm_error *error);
/// Moves kept rows to lower numbers: row n < rows to row to[n] <= n, in ascending order; UINT32_MAX = it is not needed
/// any more. Links are to be set anew.
NM_API void nm_pass_pack_kept(nm_pass *pass, const uint32_t *to, uint32_t rows);
NM_API const nm_batch *nm_pass_batch(const nm_pass *pass);
NM_API const nm_model *nm_pass_model(const nm_pass *pass);

/// v [out, N x C], host memory. Levels that occur often cost once. A level outside [0, 1] or a value that is not
/// finite: NM_E_NUMERIC naming the token, v untouched. A value that is not finite comes out: NM_E_NUMERIC too, v as it
/// came. Allocates nothing once a shape has been seen.
NM_API nm_status nm_pass_predict(nm_pass *pass, const nm_pass_input *input, float *v, nm_error *error);
/// The latents [scenes * M][H] of nm_pass_set_scenes (Perceiver), host memory.
NM_API nm_status nm_pass_latents(nm_pass *pass, float *latents, nm_error *error);

/// What training compares with (ops/train.h, nm_noise_loss); host memory.
typedef struct nm_pass_target {
    const float *noise;                  ///< [N][C] e
    const float *alpha, *sigma, *weight; ///< [N]
} nm_pass_target;
/// Forward and backward, map encoder included. Adds to the gradients; `loss` receives the loss, rounded to a float.
/// nm_pass_zero_gradients first, unless gradients of several batches are to be added up. NM_E_NUMERIC for inputs or
/// targets as in nm_pass_predict, gradients untouched; or for a loss that is not finite: the gradients are of no use
/// then, and must be zeroed.
NM_API nm_status nm_pass_train(nm_pass *pass, const nm_pass_input *input, const nm_pass_target *target, double *loss,
                               nm_error *error);
/// The same loss without a backward pass: for validation. The pass was made for training.
NM_API nm_status nm_pass_loss(nm_pass *pass, const nm_pass_input *input, const nm_pass_target *target, double *loss,
                              nm_error *error);
NM_API void nm_pass_zero_gradients(nm_pass *pass);
/// [1][n], laid out as nm_model_values; absent without training.
NM_API nm_tensor nm_pass_gradients(const nm_pass *pass);

/// Multiply-adds times two of one nm_pass_predict over the batch that is set, matrix products and attention. Levels are
/// counted as in the last prediction, and so are the blocks that tokens attended to: ask after one.
NM_API double nm_pass_flops(const nm_pass *pass);

#ifdef __cplusplus
}
#endif
#endif
