/// What a pass keeps: activations and their gradients as views into one block of the backend's memory.
///
/// The block is cut for the batch at hand (nm_pass_cut), never larger than for the capacity it was made for, so that
/// every view has exactly the rows that are computed. In inference all layers share one set of activations and the
/// residual stream is updated in place; in training every layer has its own, and what only the backward pass reads
/// (statistics, values before epilogues) exists.
#ifndef NM_NEXUS_NETWORK_PRIVATE_H
#define NM_NEXUS_NETWORK_PRIVATE_H

#include "nexus/levels.h"
#include "nexus/model_private.h"
#include "nexus/network.h"

/// y = x + down(GELU(up(norm(x)))).
typedef struct nm_mlp_acts {
    nm_tensor normed, statistics;
    nm_tensor pre, hidden; ///< before and after GELU
} nm_mlp_acts;

typedef struct nm_layer_acts {
    nm_tensor modulation; ///< [N][6 H] shift1, scale1, gate1, shift2, scale2, gate2
    nm_tensor normed, statistics, qkv, attended, logsumexp;
    nm_tensor turned;    ///< attention's output as seen from each token, joint layers; else `attended`
    nm_tensor selected;  ///< blocks that tokens attend to, joint layers of that kind
    nm_tensor projected; ///< attention's output before its gate
    nm_tensor middle;    ///< the stream after attention
    nm_mlp_acts mlp;
    nm_tensor mlp_out; ///< the MLP's output before its gate
    nm_tensor out;     ///< the stream after the layer
} nm_layer_acts;

typedef struct nm_cross_acts {
    nm_tensor key_normed, key_statistics, kv;
    nm_tensor normed, statistics, q, attended, logsumexp;
    nm_tensor middle;
    nm_mlp_acts mlp;
    nm_tensor out;
} nm_cross_acts;

typedef struct nm_self_acts {
    nm_tensor normed, statistics, qkv, attended, logsumexp;
    nm_tensor middle;
    nm_mlp_acts mlp;
    nm_tensor out;
} nm_self_acts;

typedef struct nm_final_acts {
    nm_tensor modulation; ///< [N][2 H] shift, scale
    nm_tensor normed, statistics;
} nm_final_acts;

/// A table of embeddings, one row per distinct value (level or time), and which token uses which.
typedef struct nm_embedding_acts {
    nm_levels distinct; ///< host
    nm_tensor values;   ///< [E][1]
    nm_tensor sinusoid, pre, hidden, table;
    uint32_t *index, *offsets, *rows; ///< nm_lookup, backend memory
} nm_embedding_acts;

/// Temporal attention by lists (nm_pass_set_links).
typedef struct nm_link_acts {
    nm_link_capacity capacity;
    int set;           ///< there are lists for the tokens at hand; else all tokens of an agent attend to each other
    nm_groups groups;  ///< in `indices`
    uint32_t *indices; ///< backend memory, owned
    nm_tensor *kept;   ///< [blocks] [capacity.kept][2 H] compute type, owned: keys, then values; NULL without
    uint32_t first;    ///< kept row of the batch's first token
    double pairs;      ///< queries times keys over all groups
} nm_link_acts;

#define NM_JOINT_KINDS 3 // of nm_block_kind

/// Joint attention (network_joint.c).
typedef struct nm_joint_acts {
    nm_tensor turns;                        ///< [N][H] cos, sin of the angles of queries, keys and values
    nm_groups everyone;                     ///< tokens of a scene. FULL
    nm_block_set blocks[NM_JOINT_KINDS];    ///< in backend memory. BLOCKS, as is the rest
    nm_tensor means, normaliser, histogram; ///< room for a selection
    nm_tensor *kept;                        ///< [blocks of layers] of each selection: nm_block_select
    // host memory, owned
    struct nm_turn_rates *rates; ///< [H / 2]
    float *pose;                 ///< [N][4] what turns and blocks were made of
    float *host_turns;           ///< [N][H]
    nm_block_token *tokens;      ///< [N]
    uint32_t *indices;           ///< room for a partition
    float *host_kept;            ///< [scenes heads][3]
    int placed;                  ///< turns and blocks are those of the tokens at hand
} nm_joint_acts;

/// Gradients while they flow back; one set, reused layer by layer.
typedef struct nm_pass_grads {
    nm_tensor stream;     ///< [N][H] of the residual stream
    nm_tensor fused;      ///< [N][H] stream type
    nm_tensor condition;  ///< [N][H] stream type: of c = SiLU(fused), added up over layers
    nm_tensor modulation; ///< [N][6 H]
    nm_tensor narrow;     ///< [N][H] compute: of a branch's output, then of its input
    nm_tensor normed;     ///< [N][H] compute: of a normed input
    nm_tensor inner;      ///< [N][widening H] compute
    nm_tensor qkv;        ///< [N][3 H] compute
    nm_tensor output;     ///< [N][C] compute: dv
    nm_tensor keys;       ///< [map side rows][H] stream: of what tokens attend to (latents or polylines)
    nm_tensor map_narrow, map_normed, map_inner, map_qkv; ///< as above for the map side, rows of the map side
    nm_tensor point_kv, point_normed;                     ///< [P][2 H] compute, [P][map channels] stream
    nm_tensor table;                                      ///< [N][H] compute: of an embedding table
    nm_tensor hidden;                                     ///< [N][H] compute
} nm_pass_grads;

struct nm_pass {
    nm_model *model;
    nm_backend *backend;
    int training;
    nm_batch batch;
    void *block; ///< backend memory
    size_t bytes;

    nm_tensor known, mask, noised, condition, pose, position, map;
    nm_tensor assembled; ///< [N][3 C + K]
    nm_embedding_acts level, time;
    nm_tensor entry; ///< [N][H] the stream at the start of the trunk
    nm_cross_acts cross;
    nm_tensor modulator; ///< [N][H] c = SiLU(fused)
    nm_layer_acts *layers;
    nm_final_acts final;
    nm_tensor v;

    nm_tensor first_latents;
    nm_cross_acts encoder_cross;
    nm_self_acts *encoder; ///< [rounds * layers]
    nm_tensor polyline_pre, polyline_hidden, polylines;
    nm_tensor keys; ///< what tokens attend to: latents or polylines, [rows][H]

    nm_groups by_agent, by_time, to_map, among_latents, to_points;
    nm_link_acts links;
    nm_joint_acts joint;
    uint32_t *latent_offsets_host, *latent_rows_host; ///< for among_latents and to_map

    /// Where the backend can record (nm_ops.capture_begin): the forward pass over the batch that is set, and for how
    /// many distinct levels it was recorded; and for how many it last ran, which prepared it for recording. 0 = none.
    nm_recording *recording;
    uint32_t recorded_levels, warm_levels;
    uint64_t encoded;     ///< renewals of the model when times and maps were encoded
    uint64_t batches;     ///< how often scenes or tokens were set
    double product_flops; ///< multiply-adds times two of the matrix products that were asked for, for whoever resets it

    nm_tensor noise, alpha, sigma, weight, loss; ///< training
    nm_pass_grads d;
    nm_tensor gradients;
};

static inline double nm_weight_flops(const nm_weight *weight, double rows) {
    return 2.0 * rows * weight->value.rows * weight->value.cols;
}

/// Sizes of a batch; at capacity or as it is.
typedef struct nm_pass_sizes {
    uint32_t tokens, scenes, points, token_groups, time_groups;
    uint32_t longest_scene; ///< tokens
} nm_pass_sizes;

/// Cuts the block (NULL: only sums) and returns the bytes used. What is made of maps comes first, in places and sizes
/// that scenes and points alone decide: with other tokens of the same scenes it stays what it is.
size_t nm_pass_cut(nm_pass *pass, const nm_pass_sizes *sizes, void *block);

/// Checks and uploads what a pass is told, and encodes maps again where weights were renewed. Errors of
/// nm_pass_predict.
nm_status nm_pass_upload(nm_pass *pass, const nm_pass_input *input, nm_error *error);
/// NM_E_NUMERIC naming the first prediction that is not finite.
nm_status nm_pass_check_prediction(const nm_pass *pass, const float *v, nm_error *error);
void nm_pass_encode_map(nm_pass *pass);
/// From uploaded inputs to pass->v, of all rows: the steps below, one after another.
void nm_pass_forward(nm_pass *pass);

// Steps of the forward pass, over whichever rows: as many as `x`, or what comes first, has. Working memory and results
// are the views of `acts`, with as many rows each.

/// From uploaded inputs to pass->assembled and the table of levels, of all rows.
void nm_pass_tell(nm_pass *pass);
/// entry: the stream at the start of the trunk. level, time: which of the tables' rows belong to whom.
void nm_pass_enter(nm_pass *pass, nm_tensor assembled, const nm_lookup *level, const nm_lookup *time, nm_tensor entry);
/// acts->out = fused. groups: queries are rows of x, keys those of pass->cross.
void nm_pass_attend_to_map(nm_pass *pass, const nm_groups *groups, nm_tensor x, nm_cross_acts *acts);
/// modulator: SiLU(fused). The layer after the last is the output's, whose modulation is [.][2 H].
void nm_pass_modulate(nm_pass *pass, uint32_t layer, nm_tensor modulator, nm_tensor modulation);
/// acts->qkv of x, rotated in temporal layers. Reads the first two slices of acts->modulation.
void nm_pass_make_keys(nm_pass *pass, uint32_t layer, nm_tensor x, nm_tensor position, const nm_layer_acts *acts);
/// Attention among all rows of acts->qkv.
nm_attention nm_pass_layer_attention(const nm_pass *pass, uint32_t layer, const nm_layer_acts *acts);
/// acts->out of x, whose `attention` goes to acts->attended; NULL: it is in acts->turned already. Reads the last four
/// slices of acts->modulation.
void nm_pass_make_outputs(nm_pass *pass, uint32_t layer, nm_tensor x, const nm_attention *attention,
                          const nm_layer_acts *acts);
void nm_pass_leave(nm_pass *pass, nm_tensor x, const nm_final_acts *acts, nm_tensor v);

/// From d.output to the gradients of all parameters.
void nm_pass_backward(nm_pass *pass);
/// The gradient that belongs to a view of the model's values; none for none.
nm_tensor nm_pass_gradient_of(const nm_pass *pass, nm_tensor parameter);

/// Tables of distinct levels and times: values, then the embeddings.
void nm_pass_embed(nm_pass *pass, nm_embedding_acts *acts, const nm_embedding_weights *weights);
nm_lookup nm_pass_lookup(const nm_embedding_acts *acts);
/// Which token has which of the distinct values, and these.
void nm_pass_upload_values(nm_pass *pass, nm_embedding_acts *acts, const float *values);
/// Whatever was recorded has addresses and shapes of another batch.
void nm_pass_forget_recording(nm_pass *pass);
void nm_pass_release_links(nm_pass *pass);

static inline int nm_pass_is_joint(const nm_pass *pass, uint32_t layer) {
    return layer % 2 == 1 && nm_model_is_joint(&pass->model->config);
}
/// Host memory of joint attention; nothing for a model without. NM_E_MEMORY: release it.
nm_status nm_pass_create_joint(nm_pass *pass, const nm_batch_capacity *capacity, nm_error *error);
void nm_pass_release_joint(nm_pass *pass);
/// NM_E_LIMIT for a batch that makes more pairs of a token and a block than can be counted (ops/block_attention.h).
nm_status nm_pass_check_joint(const nm_pass *pass, nm_error *error);
/// After a cut of the block: there are other tokens.
void nm_pass_begin_joint(nm_pass *pass);
/// Turns and blocks for tokens at these poses [N][4], where they are not theirs yet. Poses are finite.
void nm_pass_place(nm_pass *pass, const float *pose);
/// From the queries, keys and values of a layer to what its projection takes.
void nm_pass_joint_forward(nm_pass *pass, uint32_t layer);
/// From the gradient of that, which is overwritten, to d.qkv.
void nm_pass_joint_backward(nm_pass *pass, uint32_t layer, nm_tensor dout);
/// Pairs of a query and a key that a layer's last pass scored, mean over heads.
double nm_pass_joint_pairs(const nm_pass *pass, uint32_t layer);

#endif
