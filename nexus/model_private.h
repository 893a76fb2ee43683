/// What a model is made of, for the network and the files of weights. Views point into the model's flat array.
#ifndef NM_NEXUS_MODEL_PRIVATE_H
#define NM_NEXUS_MODEL_PRIVATE_H

#include "nexus/model.h"
#include "nexus/safetensors.h"

/// Gain and offset of a layer normalisation.
typedef struct nm_affine {
    nm_tensor weight, bias; ///< [1][C]
} nm_affine;

typedef struct nm_mlp_weights {
    nm_weight up, down;
} nm_mlp_weights;

/// Sinusoid -> Linear -> SiLU -> Linear.
typedef struct nm_embedding_weights {
    nm_weight first, second;
} nm_embedding_weights;

/// A temporal or spatial layer of the trunk (DiT block).
typedef struct nm_layer_weights {
    nm_weight modulation;  ///< [6 H][H]
    nm_weight qkv;         ///< [3 H][H], three tensors of the file side by side
    nm_weight projection;  ///< [H][H]
    nm_tensor pose_weight; ///< [heads][NM_POSE_FEATURES], spatial layers with pose_bias
    nm_mlp_weights mlp;
} nm_layer_weights;

/// Cross-attention with its MLP: tokens to the map, latents to map points.
typedef struct nm_cross_weights {
    nm_affine query_norm, key_norm, mlp_norm;
    nm_weight query; ///< [H][H]
    nm_weight kv;    ///< [2 H][Ck], two tensors side by side
    nm_weight projection;
    nm_mlp_weights mlp;
} nm_cross_weights;

/// Self-attention among latents with its MLP.
typedef struct nm_self_weights {
    nm_affine norm, mlp_norm;
    nm_weight qkv, projection;
    nm_mlp_weights mlp;
} nm_self_weights;

struct nm_model {
    nm_model_config config;
    nm_backend *backend;
    nm_parameter *parameters;
    size_t parameter_count;
    size_t flat_size;       ///< elements of `values`, gaps between tensors included
    nm_tensor values;       ///< [1][flat_size]
    uint64_t renewals;      ///< of the packed weights: passes see by it that what they hold of a map is out of date
    const nm_model *source; ///< whose `values` these are, or NULL
    uint64_t followed;      ///< its renewals, when these weights were packed

    nm_weight input;   ///< [H][3 C + K], no bias
    nm_weight heading; ///< [H][2], no bias: of cos, sin of a token's heading. Joint attention
    nm_embedding_weights level, time;
    nm_cross_weights cross;
    nm_layer_weights *layers; ///< [2 blocks]: temporal, spatial, temporal, ...
    nm_weight modulation;     ///< [2 H][H]
    nm_weight output;         ///< [C][H]

    nm_tensor latents; ///< [M][H]. Perceiver
    nm_cross_weights encoder_cross;
    nm_self_weights *encoder_layers; ///< [encoder_layers]
    nm_mlp_weights polyline;         ///< Polylines
};

/// Calls visit(context, weight) for every linear layer, in the order of the flat array.
void nm_model_each_weight(nm_model *model, void (*visit)(void *context, nm_weight *weight), void *context);

/// Errors of nm_model_config_check of the attention.
nm_status nm_model_check_attention(const nm_model_config *config, nm_error *error);

/// A model without values: configuration checked, table made.
nm_status nm_model_plan(const nm_model_config *config, nm_backend *backend, nm_model **model, nm_error *error);
/// Its values, zeroed; weights are not packed. NM_E_LIMIT, NM_E_MEMORY: destroy the model.
nm_status nm_model_allocate(nm_model *model, nm_error *error);
/// Or those of another one, of the same configuration.
void nm_model_borrow(nm_model *model, const nm_model *source);

static inline uint32_t nm_model_layers(const nm_model_config *config) {
    return 2 * config->blocks;
}
static inline uint32_t nm_model_inputs(const nm_model_config *config) {
    return 3 * config->channels + config->conditions;
}

/// nm_model_save with more metadata, at most 4 texts.
nm_status nm_model_save_described(const nm_model *model, const char *path, size_t shard_bytes,
                                  const nm_safetensors_text *more, size_t more_count, nm_error *error);

#endif
