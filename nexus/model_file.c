/// Models in safetensors files, under the published names.
///
/// Widths are read off the shapes; what shapes do not tell stands in the metadata: heads, encoder_cross_heads,
/// encoder_self_heads, encoder_blocks (rounds), map_mask ("valid" or "padding"), rotary, attention ("full", or "blocks"
/// with block_target and block_tau). Where the metadata is silent the published values hold. Joint attention has a
/// parameter of its own, by which programs that do not know it refuse the file.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/model_private.h"
#include "nexus/safetensors.h"

#define TRUNK "model.diffuser.model."
#define ENCODER "model.global_encoder._encoder."

/// Dimension `axis` of tensor `name`; 0 and an error when it is not there or has another rank.
static uint32_t dimension(const nm_safetensors *file, const char *name, uint32_t rank, uint32_t axis, nm_status *status,
                          nm_error *error) {
    const nm_stored_tensor *t = nm_safetensors_find(file, name);
    if (t && t->rank == rank && t->shape[axis] > 0 && t->shape[axis] < 65536) return (uint32_t)t->shape[axis];
    if (*status == NM_OK)
        *status =
            t ? NM_ERROR(error, NM_E_FORMAT, "tensor %s is not a %s of a model", name, rank == 1 ? "vector" : "matrix")
              : NM_ERROR(error, NM_E_FORMAT, "no tensor %s: not the weights of a model", name);
    return 0;
}

/// How many of NAME0SUFFIX, NAME1SUFFIX, ... there are in a row.
static uint32_t count_in_row(const nm_safetensors *file, const char *name, const char *suffix, uint32_t most) {
    char full[160];
    uint32_t count = 0;
    for (; count < most; ++count) {
        snprintf(full, sizeof full, "%s%u%s", name, count, suffix);
        if (!nm_safetensors_find(file, full)) break;
    }
    return count;
}

static nm_status widths_of(const nm_safetensors *file, nm_model_config *c, nm_error *error) {
    nm_status status = NM_OK;
    c->hidden = dimension(file, TRUNK "input_proj.weight", 2, 0, &status, error);
    c->channels = dimension(file, TRUNK "output_proj.weight", 2, 0, &status, error);
    const uint32_t inputs = dimension(file, TRUNK "input_proj.weight", 2, 1, &status, error);
    c->frequencies = dimension(file, TRUNK "diffusion_timestep_embeddor.mlp.0.weight", 2, 1, &status, error);
    const uint32_t inner =
        dimension(file, TRUNK "backbone.0.temporal_attention.mlp.mlp.0.weight", 2, 0, &status, error);
    if (nm_safetensors_find(file, "model.global_encoder.polyline.mlp.mlp.0.weight")) {
        c->map_encoder = NM_MAP_POLYLINES;
        c->map_channels = dimension(file, "model.global_encoder.polyline.mlp.mlp.0.weight", 2, 1, &status, error);
    } else {
        c->map_channels = dimension(file, ENCODER "cross_attn.kv_layer_norm.weight", 1, 0, &status, error);
        c->latents = dimension(file, ENCODER "latents", 2, 0, &status, error);
        c->encoder_layers = count_in_row(file, ENCODER "self_attention_block.", ".attention.q.weight", 17);
    }
    if (status != NM_OK) return status;
    if (inputs < 3 * c->channels)
        return NM_ERROR(error, NM_E_FORMAT, "tensor " TRUNK "input_proj.weight has %u inputs for %u channels", inputs,
                        c->channels);
    if (inner % c->hidden)
        return NM_ERROR(error, NM_E_FORMAT, "the layers' MLP has %u channels, no multiple of %u", inner, c->hidden);
    c->conditions = inputs - 3 * c->channels;
    c->widening = inner / c->hidden;
    c->blocks = count_in_row(file, TRUNK "backbone.", ".temporal_attention.attn.q.weight", 65);
    c->pose_bias = nm_safetensors_find(file, TRUNK "backbone.0.spatial_attention.attn.pose_bias") != NULL;
    return NM_OK;
}

static nm_status number(const nm_safetensors *file, const char *key, int64_t most, uint32_t *value, nm_error *error) {
    int64_t given;
    if (!nm_safetensors_metadata(file, key)) return NM_OK;
    const nm_status status = nm_safetensors_metadata_number(file, key, 0, most, &given, error);
    if (status == NM_OK) *value = (uint32_t)given;
    return status;
}

static nm_status attention_of(const nm_safetensors *file, nm_attention_choice *choice, nm_error *error) {
    const char *kind = nm_safetensors_metadata(file, "attention"), *tau = nm_safetensors_metadata(file, "block_tau");
    if (!kind) return NM_OK;
    if (strcmp(kind, "full") != 0 && strcmp(kind, "blocks") != 0)
        return NM_ERROR(error, NM_E_FORMAT, "attention is '%s', neither full nor blocks", kind);
    choice->kind = strcmp(kind, "full") == 0 ? NM_ATTENTION_FULL : NM_ATTENTION_BLOCKS;
    char *end = NULL;
    if (tau) choice->tau = strtof(tau, &end);
    if (tau && (end == tau || *end)) return NM_ERROR(error, NM_E_FORMAT, "block_tau is '%s', not a number", tau);
    return number(file, "block_target", NM_BLOCK_MAX, &choice->target, error);
}

static nm_status metadata_of(const nm_safetensors *file, nm_model_config *c, nm_error *error) {
    uint32_t rotary = 0;
    nm_status status = number(file, "heads", 4096, &c->heads, error);
    if (status == NM_OK) status = number(file, "encoder_cross_heads", 4096, &c->encoder_cross_heads, error);
    if (status == NM_OK) status = number(file, "encoder_self_heads", 4096, &c->encoder_self_heads, error);
    if (status == NM_OK) status = number(file, "encoder_blocks", 16, &c->encoder_rounds, error);
    if (status == NM_OK) status = number(file, "rotary", 1, &rotary, error);
    if (status != NM_OK) return status;
    c->rotary = (int)rotary;
    status = attention_of(file, &c->attention, error);
    if (status != NM_OK) return status;
    const char *mask = nm_safetensors_metadata(file, "map_mask");
    if (!mask || strcmp(mask, "valid") == 0) return NM_OK;
    if (strcmp(mask, "padding") != 0)
        return NM_ERROR(error, NM_E_FORMAT, "map_mask is '%s', neither valid nor padding", mask);
    c->map_mask = NM_MAP_MASK_PADDING;
    return NM_OK;
}

static nm_wanted_tensor wanted_of(const nm_parameter *p) {
    nm_wanted_tensor w = {.name = p->name, .rank = p->vector ? 1 : 2};
    w.shape[0] = p->vector ? p->cols : p->rows;
    w.shape[1] = p->cols;
    return w;
}

static nm_status match(const nm_safetensors *file, const nm_model *m, nm_error *error) {
    nm_wanted_tensor *wanted = calloc(m->parameter_count, sizeof *wanted);
    if (!wanted) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the names of a model");
    for (size_t i = 0; i < m->parameter_count; ++i) wanted[i] = wanted_of(&m->parameters[i]);
    const nm_status status = nm_safetensors_match(file, wanted, m->parameter_count, error);
    free(wanted);
    return status;
}

static nm_status read_values(const nm_safetensors *file, nm_model *m, nm_error *error) {
    float *host = calloc(m->flat_size, sizeof *host);
    if (!host) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the values of a model");
    nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < m->parameter_count; ++i) {
        const nm_wanted_tensor w = wanted_of(&m->parameters[i]);
        status = nm_safetensors_read_f32(file, w.name, w.rank, w.shape, host + m->parameters[i].offset, error);
    }
    if (status == NM_OK) m->backend->ops->upload(m->backend, host, m->values);
    free(host);
    return status;
}

nm_status nm_model_load(const char *path, const nm_map_mask *map_mask, nm_backend *backend, nm_model **model,
                        nm_error *error) {
    *model = NULL;
    nm_safetensors *file;
    nm_status status = nm_safetensors_open(path, &file, error);
    if (status != NM_OK) return status;
    nm_model *m = NULL;
    nm_model_config config = nm_model_config_default();
    status = widths_of(file, &config, error);
    if (status == NM_OK) status = metadata_of(file, &config, error);
    if (map_mask) config.map_mask = *map_mask;
    if (status == NM_OK) status = nm_model_plan(&config, backend, &m, error);
    if (status == NM_E_ARGUMENT) { // what makes no sense came out of the file
        status = NM_E_FORMAT;
        if (error) error->code = status;
    }
    if (status == NM_OK) status = match(file, m, error);
    if (status == NM_OK) status = nm_model_allocate(m, error); // now as large as what the file holds
    if (status == NM_OK) status = read_values(file, m, error);
    if (status == NM_OK) status = nm_model_repack(m, error);
    nm_safetensors_close(file);
    if (status == NM_OK) {
        *model = m;
        return NM_OK;
    }
    nm_model_destroy(m);
    if (error && !error->input[0])
        snprintf(error->input, sizeof error->input, "%.*s", (int)sizeof error->input - 1, path);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------

enum { TEXTS = 16 };

/// The metadata of a configuration, numbers printed into `texts`.
static size_t describe_config(const nm_model_config *c, char texts[TEXTS][16], nm_safetensors_text *metadata) {
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {
        {"hidden", c->hidden},
        {"blocks", c->blocks},
        {"heads", c->heads},
        {"latents", c->latents},
        {"encoder_cross_heads", c->encoder_cross_heads},
        {"encoder_self_heads", c->encoder_self_heads},
        {"encoder_blocks", c->encoder_rounds},
        {"encoder_self_layers_per_block", c->encoder_layers},
        {"rotary", (uint32_t)c->rotary},
    };
    size_t count = 0;
    for (; count < sizeof numbers / sizeof *numbers; ++count) {
        snprintf(texts[count], sizeof texts[count], "%u", numbers[count].value);
        metadata[count] = (nm_safetensors_text){numbers[count].key, texts[count]};
    }
    metadata[count++] = (nm_safetensors_text){"map_mask", c->map_mask == NM_MAP_MASK_PADDING ? "padding" : "valid"};
    if (!nm_model_is_joint(c)) return count;
    metadata[count++] = (nm_safetensors_text){"attention", nm_attention_name(c->attention.kind)};
    if (c->attention.kind != NM_ATTENTION_BLOCKS) return count;
    snprintf(texts[count], sizeof texts[count], "%u", c->attention.target);
    metadata[count] = (nm_safetensors_text){"block_target", texts[count]};
    ++count;
    snprintf(texts[count], sizeof texts[count], "%.9g", (double)c->attention.tau);
    metadata[count] = (nm_safetensors_text){"block_tau", texts[count]};
    return count + 1;
}

static nm_safetensors_item item_of(const nm_parameter *p, const float *host) {
    const nm_wanted_tensor w = wanted_of(p);
    nm_safetensors_item item = {.name = w.name, .type = NM_STORED_F32, .rank = w.rank, .data = host + p->offset};
    memcpy(item.shape, w.shape, sizeof item.shape);
    return item;
}

nm_status nm_model_save(const nm_model *m, const char *path, size_t shard_bytes, nm_error *error) {
    return nm_model_save_described(m, path, shard_bytes, NULL, 0, error);
}

nm_status nm_model_save_described(const nm_model *m, const char *path, size_t shard_bytes,
                                  const nm_safetensors_text *more, size_t more_count, nm_error *error) {
    char texts[TEXTS][16];
    nm_safetensors_text metadata[TEXTS + 4];
    nm_safetensors_config config = nm_safetensors_config_default();
    NM_ASSERT(more_count <= 4);
    config.metadata = metadata;
    config.metadata_count = describe_config(&m->config, texts, metadata);
    for (size_t i = 0; i < more_count; ++i) metadata[config.metadata_count++] = more[i];
    config.shard_bytes = shard_bytes;
    float *host = calloc(m->flat_size, sizeof *host);
    nm_safetensors_item *items = calloc(m->parameter_count, sizeof *items);
    nm_status status = NM_OK;
    if (!host || !items) status = NM_ERROR(error, NM_E_MEMORY, "out of memory for writing a model");
    if (status == NM_OK) {
        m->backend->ops->download(m->backend, m->values, host);
        status = m->backend->ops->synchronize(m->backend, error);
    }
    for (size_t i = 0; status == NM_OK && i < m->parameter_count; ++i) items[i] = item_of(&m->parameters[i], host);
    if (status == NM_OK) status = nm_safetensors_write(path, items, m->parameter_count, &config, error);
    free(host);
    free(items);
    return status;
}
