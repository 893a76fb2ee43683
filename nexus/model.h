/// The denoising network's shape and parameters.
///
/// A model is a configuration and its parameters in the memory of one backend. It is constant while passes run over it
/// (network.h holds all that changes in a pass), and changed only by loading and by an optimiser between passes. Passes
/// of one backend run one at a time; threads that sample side by side have a backend and a model each.
///
/// Published configuration: Nexus (arXiv 2504.10485), 10.27 M parameters and 1.09 M in the map encoder: a transformer
/// over (agent, time) tokens with temporal and spatial attention in turn, modulated per token (DiT, Peebles and Xie
/// 2023), conditioned on a map that a Perceiver (Jaegle et al. 2021) sums up in latents. Names and shapes of the
/// parameters are those of the published weights; options that the published model lacks add parameters of their own.
#ifndef NM_NEXUS_MODEL_H
#define NM_NEXUS_MODEL_H

#include "nexus/ops/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Which map points the encoder attends to. The published code hands the mask over inverted, so that its weights have
/// only ever seen padding: PADDING reproduces them, VALID is right.
typedef enum nm_map_mask { NM_MAP_MASK_VALID = 0, NM_MAP_MASK_PADDING } nm_map_mask;

/// How the map reaches the tokens.
typedef enum nm_map_encoder {
    NM_MAP_PERCEIVER = 0, ///< points of a scene -> latents; every token attends to its scene's latents (published)
    NM_MAP_POLYLINES ///< rows are polylines in the frame of one agent, each through an MLP; an agent's tokens attend
                     ///< to that agent's rows
} nm_map_encoder;

/// What a spatial layer attends to. Both joint kinds, FULL and BLOCKS, have the same parameters: what was trained as
/// one runs as the other (nm_model_set_attention). They have no biases by poses; queries, keys and values are turned by
/// place, time and heading instead, and tokens are told their heading (network.h).
typedef enum nm_attention_kind {
    NM_ATTENTION_FACTORED = 0, ///< to the tokens of its time (published)
    NM_ATTENTION_FULL,         ///< to all tokens of its scene
    NM_ATTENTION_BLOCKS        ///< to those of them that matter (ops/block_attention.h)
} nm_attention_kind;

typedef struct nm_attention_choice {
    nm_attention_kind kind; ///< default FACTORED
    uint32_t target;        ///< tokens of a block, see nm_partition_config; default 32. Read with BLOCKS only, as is
    float tau;              ///< which share of the attention is kept at least, estimated; 0..1; default 0.7
} nm_attention_choice;
/// "full", "blocks" or "blocks:tau=T,target=N" into `choice`; what is not named stays. NM_E_ARGUMENT naming the
/// choices.
NM_API nm_status nm_attention_parse(const char *text, nm_attention_choice *choice, nm_error *error);
/// "factored", "full" or "blocks"; `kind` is one of those.
NM_API const char *nm_attention_name(nm_attention_kind kind);

typedef struct nm_model_config {
    uint32_t channels;            ///< C of a token, denoised; published 8; 1..256
    uint32_t conditions;          ///< K known channels a token besides; published 0; 0..256
    uint32_t hidden;              ///< H; published 256; a multiple of heads (of 2 heads with rotary); 8..4096
    uint32_t heads;               ///< published 4
    uint32_t blocks;              ///< each a temporal and a spatial layer; published 4; 1..64
    uint32_t widening;            ///< of the layers' MLP; published 4; 1..16
    uint32_t frequencies;         ///< channels of the sinusoids; published 256; even, 2..1024
    uint32_t map_channels;        ///< of a map point (polyline); published 7; 1..1024
    uint32_t latents;             ///< M; published 128; 1..4096. Perceiver
    uint32_t encoder_cross_heads; ///< published 1; divides hidden
    uint32_t encoder_self_heads;  ///< published 8; divides hidden
    uint32_t encoder_rounds;      ///< passes over the same self-attention layers; published 2; 0..16
    uint32_t encoder_layers;      ///< of a round; published 2; 0..16
    nm_map_mask map_mask;         ///< default VALID
    nm_map_encoder map_encoder;   ///< default PERCEIVER
    int rotary;    ///< 0 or 1: rotary positions of time in temporal attention (Su et al. 2021); published 0
    int pose_bias; ///< 0 or 1: spatial attention is biased by relative poses (ops/attention.h); published 0
    nm_attention_choice attention; ///< a joint kind wants heads of an even number of channels, and no pose_bias
} nm_model_config;
NM_API nm_model_config nm_model_config_default(void); ///< the published one, with map_mask VALID
/// NM_E_ARGUMENT naming the field that is out of its range.
NM_API nm_status nm_model_config_check(const nm_model_config *config, nm_error *error);

/// Whether spatial layers attend to other times, too.
static inline int nm_model_is_joint(const nm_model_config *config) {
    return config->attention.kind != NM_ATTENTION_FACTORED;
}
/// Whether passes are told where agents are (nm_pass_input.pose).
static inline int nm_model_wants_poses(const nm_model_config *config) {
    return config->pose_bias || nm_model_is_joint(config);
}

/// A parameter in the flat array: [rows][cols] at `offset`; a vector of the file has rows 1 and `vector` set.
typedef struct nm_parameter {
    char name[160];
    uint32_t rows, cols;
    int vector;    ///< one dimension in files
    int decay;     ///< weight decay applies: matrices of linear layers
    float spread;  ///< of its first values: uniform in centre +- spread; negative = normal with deviation -spread
    float centre;  ///< 1 for gains of norms, else 0
    size_t offset; ///< elements
} nm_parameter;

typedef struct nm_model nm_model;

/// First values, a function of `seed` alone (NM_PURPOSE_INIT): linear layers uniform in +-1 / sqrt(inputs), layers that
/// modulate, and the output, zero (adaLN-Zero), latents normal with deviation 0.02.
/// The backend is borrowed and must outlive the model. NM_E_ARGUMENT (nm_model_config_check), NM_E_LIMIT for 2^32 - 1
/// parameters or more, NM_E_MEMORY; *model is NULL then, as after every failure to make one.
NM_API nm_status nm_model_create(const nm_model_config *config, nm_backend *backend, uint64_t seed, nm_model **model,
                                 nm_error *error);
/// Reads a safetensors file (or a sharded one: its index). Widths and counts of layers come from names and shapes; what
/// those do not tell (heads, encoder_cross_heads, encoder_self_heads, encoder_blocks, map_mask, rotary, attention) from
/// the metadata, the published values where they are silent. Every tensor that the configuration asks for must be there
/// with its shape and finite values, and no other: the first ones that are wrong are named. `map_mask` NULL = the
/// metadata's, else VALID.
///
/// NM_E_FORMAT also where the configuration is out of range, NM_E_NUMERIC for a value that is not finite; the rest as
/// nm_safetensors_open, and like that from one thread at a time. Takes no more memory than a small multiple of the
/// file.
NM_API nm_status nm_model_load(const char *path, const nm_map_mask *map_mask, nm_backend *backend, nm_model **model,
                               nm_error *error);
/// Writes parameters and configuration; in shards of at most `shard_bytes` (0 = one file). Nothing half-written.
NM_API nm_status nm_model_save(const nm_model *model, const char *path, size_t shard_bytes, nm_error *error);
/// The same model on a backend made beside the model's own (nm_backend_create_beside), for passes of another thread.
/// Parameters are read where they are, and what the backend makes of the weights is there once more: the model must
/// outlive it, and stand still while passes run over either. NM_E_MEMORY.
NM_API nm_status nm_model_share(const nm_model *model, nm_backend *backend, nm_model **shared, nm_error *error);
/// After the model that it shares was repacked: renews its own. Cheap where that was not.
NM_API nm_status nm_model_follow(nm_model *shared, nm_error *error);
NM_API void nm_model_destroy(nm_model *model); ///< NULL is fine

/// Another joint kind for a joint model, before passes are made of it: they plan their memory for it. NM_E_ARGUMENT for
/// a factored model, or kind, a kind that there is not, and for a value out of range; the model stays as it was.
NM_API nm_status nm_model_set_attention(nm_model *model, const nm_attention_choice *choice, nm_error *error);

NM_API const nm_model_config *nm_model_get_config(const nm_model *model);
NM_API nm_backend *nm_model_get_backend(const nm_model *model);
NM_API size_t nm_model_parameter_count(const nm_model *model); ///< numbers, all parameters together, padding excluded
NM_API size_t nm_model_parameters(const nm_model *model, const nm_parameter **parameters); ///< how many; the table
/// One number for what the weights say: names, shapes and values, as float32 whatever the backend holds them as. The
/// same for the same file on every backend with float32 parameters. NM_E_MEMORY, or the backend's.
NM_API nm_status nm_model_hash(const nm_model *model, uint64_t *hash, nm_error *error);
/// The flat array [1][n], parameter type. After writing to it call nm_model_repack.
NM_API nm_tensor nm_model_values(const nm_model *model);
/// Renews what backends made of the weights (ops/linear.h, nm_weight).
NM_API nm_status nm_model_repack(nm_model *model, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
