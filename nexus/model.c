#include "nexus/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nexus/model_private.h"

nm_model_config nm_model_config_default(void) {
    return (nm_model_config){
        .channels = 8,
        .conditions = 0,
        .hidden = 256,
        .heads = 4,
        .blocks = 4,
        .widening = 4,
        .frequencies = 256,
        .map_channels = 7,
        .latents = 128,
        .encoder_cross_heads = 1,
        .encoder_self_heads = 8,
        .encoder_rounds = 2,
        .encoder_layers = 2,
        .map_mask = NM_MAP_MASK_VALID,
        .map_encoder = NM_MAP_PERCEIVER,
        .rotary = 0,
        .pose_bias = 0,
        .attention = {.kind = NM_ATTENTION_FACTORED, .target = 32, .tau = 0.7f},
    };
}

static nm_status check_range(const char *name, uint32_t value, uint32_t low, uint32_t high, nm_error *error) {
    if (value >= low && value <= high) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT, "%s of a model is %u, not in %u..%u", name, value, low, high);
}

static nm_status check_divides(const char *name, uint32_t divisor, uint32_t hidden, nm_error *error) {
    if (divisor > 0 && hidden % divisor == 0) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT, "%s of a model is %u, which does not divide hidden, %u", name, divisor,
                    hidden);
}

nm_status nm_model_config_check(const nm_model_config *c, nm_error *error) {
    const struct {
        const char *name;
        uint32_t value, low, high;
    } ranges[] = {
        {"channels", c->channels, 1, 256},
        {"conditions", c->conditions, 0, 256},
        {"hidden", c->hidden, 8, 4096},
        {"blocks", c->blocks, 1, 64},
        {"widening", c->widening, 1, 16},
        {"frequencies", c->frequencies, 2, 1024},
        {"map_channels", c->map_channels, 1, 1024},
        {"latents", c->latents, 1, 4096},
        {"encoder_rounds", c->encoder_rounds, 0, 16},
        {"encoder_layers", c->encoder_layers, 0, 16},
        {"map_mask", (uint32_t)c->map_mask, 0, NM_MAP_MASK_PADDING},
        {"map_encoder", (uint32_t)c->map_encoder, 0, NM_MAP_POLYLINES},
        {"rotary", (uint32_t)c->rotary, 0, 1},
        {"pose_bias", (uint32_t)c->pose_bias, 0, 1},
        {"attention", (uint32_t)c->attention.kind, 0, NM_ATTENTION_BLOCKS},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; ++i) {
        const nm_status status = check_range(ranges[i].name, ranges[i].value, ranges[i].low, ranges[i].high, error);
        if (status != NM_OK) return status;
    }
    nm_status status = check_divides("heads", c->heads, c->hidden, error);
    if (status == NM_OK && c->map_encoder == NM_MAP_PERCEIVER)
        status = check_divides("encoder_cross_heads", c->encoder_cross_heads, c->hidden, error);
    if (status == NM_OK && c->map_encoder == NM_MAP_PERCEIVER)
        status = check_divides("encoder_self_heads", c->encoder_self_heads, c->hidden, error);
    if (status != NM_OK) return status;
    if (c->frequencies % 2) return NM_ERROR(error, NM_E_ARGUMENT, "frequencies of a model is %u, odd", c->frequencies);
    if (c->rotary && c->hidden / c->heads % 2)
        return NM_ERROR(error, NM_E_ARGUMENT, "a head has %u channels, and rotary positions need an even number",
                        c->hidden / c->heads);
    return nm_model_check_attention(c, error);
}

/// First values of one parameter. The key holds its name, so that another parameter more changes none of the rest.
static void first_values(const nm_parameter *p, uint64_t seed, float *values) {
    nm_rng_key key = {.seed = seed, .scene = nm_hash_bytes(p->name, strlen(p->name), 0), .purpose = NM_PURPOSE_INIT};
    const size_t count = (size_t)p->rows * p->cols;
    for (size_t i = 0; i < count; ++i) {
        if (p->spread == 0.0f) {
            values[i] = p->centre;
            continue;
        }
        key.agent = (uint32_t)(i >> 32);
        key.step = (uint32_t)i;
        values[i] = p->spread > 0.0f ? p->centre + p->spread * (2.0f * nm_rng_uniform(&key, 0) - 1.0f)
                                     : p->centre - p->spread * nm_rng_normal(&key, 0);
    }
}

static nm_status fill(nm_model *m, uint64_t seed, nm_error *error) {
    float *host = calloc(m->flat_size, sizeof *host);
    if (!host) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the first values of a model");
    for (size_t i = 0; i < m->parameter_count; ++i)
        first_values(&m->parameters[i], seed, host + m->parameters[i].offset);
    m->backend->ops->upload(m->backend, host, m->values);
    free(host);
    return NM_OK;
}

nm_status nm_model_create(const nm_model_config *config, nm_backend *backend, uint64_t seed, nm_model **model,
                          nm_error *error) {
    nm_model *m;
    *model = NULL;
    nm_status status = nm_model_plan(config, backend, &m, error);
    if (status != NM_OK) return status;
    status = nm_model_allocate(m, error);
    if (status == NM_OK) status = fill(m, seed, error);
    if (status == NM_OK) status = nm_model_repack(m, error);
    if (status != NM_OK) {
        nm_model_destroy(m);
        return status;
    }
    *model = m;
    return NM_OK;
}

nm_status nm_model_share(const nm_model *model, nm_backend *backend, nm_model **shared, nm_error *error) {
    nm_model *m;
    *shared = NULL;
    NM_ASSERT(backend != model->backend && backend->ops == model->backend->ops && model->backend->beside);
    nm_status status = nm_model_plan(&model->config, backend, &m, error);
    if (status != NM_OK) return status;
    nm_model_borrow(m, model);
    status = nm_model_follow(m, error);
    if (status != NM_OK) {
        nm_model_destroy(m);
        return status;
    }
    *shared = m;
    return NM_OK;
}

nm_status nm_model_follow(nm_model *shared, nm_error *error) {
    NM_ASSERT(shared->source);
    if (shared->renewals && shared->followed == shared->source->renewals) return NM_OK;
    const nm_status status = nm_model_repack(shared, error);
    if (status == NM_OK) shared->followed = shared->source->renewals;
    return status;
}

static void release_weight(void *context, nm_weight *weight) {
    nm_backend *backend = context;
    if (weight->packed) backend->ops->release_weight(backend, weight);
}

void nm_model_destroy(nm_model *model) {
    if (!model) return;
    if (model->values.data) nm_model_each_weight(model, release_weight, model->backend);
    if (model->values.data && !model->source) model->backend->ops->release(model->backend, model->values.data);
    free(model->parameters);
    free(model->layers);
    free(model->encoder_layers);
    free(model);
}

typedef struct packing {
    nm_backend *backend;
    nm_status status;
    nm_error *error;
} packing;

static void pack(void *context, nm_weight *weight) {
    packing *p = context;
    if (p->status == NM_OK) p->status = p->backend->ops->pack_weight(p->backend, weight, p->error);
}

nm_status nm_model_repack(nm_model *model, nm_error *error) {
    packing p = {model->backend, NM_OK, error};
    model->renewals++;
    nm_model_each_weight(model, pack, &p);
    return p.status;
}

const nm_model_config *nm_model_get_config(const nm_model *model) {
    return &model->config;
}

nm_backend *nm_model_get_backend(const nm_model *model) {
    return model->backend;
}

size_t nm_model_parameter_count(const nm_model *model) {
    size_t sum = 0;
    for (size_t i = 0; i < model->parameter_count; ++i)
        sum += (size_t)model->parameters[i].rows * model->parameters[i].cols;
    return sum;
}

size_t nm_model_parameters(const nm_model *model, const nm_parameter **parameters) {
    *parameters = model->parameters;
    return model->parameter_count;
}

nm_tensor nm_model_values(const nm_model *model) {
    return model->values;
}
