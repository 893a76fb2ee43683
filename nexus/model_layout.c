/// The parameters of a configuration: names, shapes, places in the flat array, first values. One function describes
/// them; it runs to count, to fill the table, and to point into the flat array once that is there.
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/model_private.h"

#define ALIGNMENT 16 // elements: a cache line of float32

typedef struct builder {
    nm_model *model;
    nm_parameter *table; ///< NULL while counting
    size_t count;
    size_t used;     ///< elements of the flat array
    char prefix[96]; ///< of the names being added
} builder;

static void prefix(builder *b, const char *format, ...) NM_PRINTF(2, 3);
static void prefix(builder *b, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(b->prefix, sizeof b->prefix, format, arguments);
    va_end(arguments);
}

typedef struct shape {
    uint32_t rows, cols;
    int vector, decay, joined;
    float spread, centre;
} shape;

/// Adds PREFIX.NAME. `joined` parameters begin where the one before ended, so that several make one matrix.
static nm_tensor add(builder *b, const char *name, shape s) {
    if (!s.joined) b->used = (b->used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (b->table) {
        nm_parameter *p = &b->table[b->count];
        *p = (nm_parameter){.rows = s.rows,
                            .cols = s.cols,
                            .vector = s.vector,
                            .decay = s.decay,
                            .spread = s.spread,
                            .centre = s.centre,
                            .offset = b->used};
        snprintf(p->name, sizeof p->name, "%s%s%s", b->prefix, *b->prefix ? "." : "", name);
    }
    nm_tensor t = {NULL, s.rows, s.cols, s.cols, b->model->backend->parameter};
    if (b->model->values.data) t.data = (char *)b->model->values.data + b->used * nm_dtype_size(t.dtype);
    b->count++;
    b->used += (size_t)s.rows * s.cols;
    return t;
}

static nm_tensor add_matrix(builder *b, const char *name, uint32_t rows, uint32_t cols, int zero, int joined) {
    const float bound = zero ? 0.0f : 1.0f / sqrtf((float)cols);
    return add(b, name, (shape){rows, cols, 0, 1, joined, bound, 0.0f});
}
static nm_tensor add_bias(builder *b, const char *name, uint32_t size, uint32_t inputs, int zero, int joined) {
    const float bound = zero ? 0.0f : 1.0f / sqrtf((float)inputs);
    return add(b, name, (shape){1, size, 1, 0, joined, bound, 0.0f});
}

/// What of a linear layer is not ordinary.
enum { ORDINARY = 0, ZERO = 1, NO_BIAS = 2, EXACT = 4 };

/// A linear layer PREFIX.NAME. EXACT: its products are taken in the stream type even when others are in bf16.
static nm_weight add_linear(builder *b, const char *name, uint32_t outputs, uint32_t inputs, int how) {
    char full[64];
    nm_weight w = {.product = how & EXACT ? b->model->backend->stream : b->model->backend->compute};
    snprintf(full, sizeof full, "%s.weight", name);
    w.value = add_matrix(b, full, outputs, inputs, how & ZERO, 0);
    snprintf(full, sizeof full, "%s.bias", name);
    if (!(how & NO_BIAS)) w.bias = add_bias(b, full, outputs, inputs, how & ZERO, 0);
    return w;
}

/// Several linear layers of the same inputs as one matrix: PREFIX.STEM.LETTER for every letter of `letters`.
static nm_weight add_joined(builder *b, const char *stem, const char *letters, uint32_t outputs, uint32_t inputs,
                            int how) {
    const uint32_t parts = (uint32_t)strlen(letters);
    nm_weight w = {.product = how & EXACT ? b->model->backend->stream : b->model->backend->compute};
    char full[64];
    for (uint32_t i = 0; i < parts; ++i) {
        snprintf(full, sizeof full, "%s.%c.weight", stem, letters[i]);
        const nm_tensor t = add_matrix(b, full, outputs, inputs, 0, i > 0);
        if (i == 0) w.value = t;
    }
    for (uint32_t i = 0; i < parts; ++i) {
        snprintf(full, sizeof full, "%s.%c.bias", stem, letters[i]);
        const nm_tensor t = add_bias(b, full, outputs, inputs, 0, i > 0);
        if (i == 0) w.bias = t;
    }
    w.value.rows = parts * outputs;
    w.bias.cols = w.bias.stride = parts * outputs;
    return w;
}

static nm_affine add_affine(builder *b, const char *name, uint32_t channels) {
    char full[64];
    nm_affine norm;
    snprintf(full, sizeof full, "%s.weight", name);
    norm.weight = add(b, full, (shape){1, channels, 1, 0, 0, 0.0f, 1.0f});
    snprintf(full, sizeof full, "%s.bias", name);
    norm.bias = add(b, full, (shape){1, channels, 1, 0, 0, 0.0f, 0.0f});
    return norm;
}

static nm_mlp_weights add_mlp(builder *b, uint32_t outputs, uint32_t inner, uint32_t inputs) {
    nm_mlp_weights mlp;
    mlp.up = add_linear(b, "mlp.mlp.0", inner, inputs, ORDINARY);
    mlp.down = add_linear(b, "mlp.mlp.2", outputs, inner, ORDINARY);
    return mlp;
}

/// Levels and times differ in digits that bf16 does not have, so their first products are exact.
static nm_embedding_weights add_embedding(builder *b, const char *name) {
    const nm_model_config *c = &b->model->config;
    prefix(b, "model.diffuser.model.%s", name);
    nm_embedding_weights e;
    e.first = add_linear(b, "mlp.0", c->hidden, c->frequencies, EXACT);
    e.second = add_linear(b, "mlp.2", c->hidden, c->hidden, ORDINARY);
    return e;
}

/// `exact`: keys are coordinates.
static nm_cross_weights add_cross(builder *b, const char *name, uint32_t key_channels, int exact) {
    const uint32_t hidden = b->model->config.hidden;
    prefix(b, "%s", name);
    nm_cross_weights w;
    w.key_norm = add_affine(b, "kv_layer_norm", key_channels);
    w.query_norm = add_affine(b, "q_layer_norm", hidden);
    w.mlp_norm = add_affine(b, "qkv_layer_norm", hidden);
    w.query = add_linear(b, "attention.q", hidden, hidden, ORDINARY);
    w.kv = add_joined(b, "attention", "kv", hidden, key_channels, exact ? EXACT : ORDINARY);
    w.projection = add_linear(b, "attention.projection", hidden, hidden, ORDINARY);
    w.mlp = add_mlp(b, hidden, hidden, hidden);
    return w;
}

static nm_self_weights add_self(builder *b, uint32_t index) {
    const uint32_t hidden = b->model->config.hidden;
    prefix(b, "model.global_encoder._encoder.self_attention_block.%u", index);
    nm_self_weights w;
    w.norm = add_affine(b, "layer_norm", hidden);
    w.mlp_norm = add_affine(b, "qkv_layer_norm", hidden);
    w.qkv = add_joined(b, "attention", "qkv", hidden, hidden, ORDINARY);
    w.projection = add_linear(b, "attention.projection", hidden, hidden, ORDINARY);
    w.mlp = add_mlp(b, hidden, hidden, hidden);
    return w;
}

static nm_layer_weights add_layer(builder *b, uint32_t block, int spatial) {
    const nm_model_config *c = &b->model->config;
    prefix(b, "model.diffuser.model.backbone.%u.%s_attention", block, spatial ? "spatial" : "temporal");
    nm_layer_weights w = {0};
    w.modulation = add_linear(b, "adaLN_modulation.1", 6 * c->hidden, c->hidden, ZERO);
    w.qkv = add_joined(b, "attn", "qkv", c->hidden, c->hidden, ORDINARY);
    w.projection = add_linear(b, "attn.projection", c->hidden, c->hidden, ORDINARY);
    if (spatial && c->pose_bias)
        w.pose_weight = add(b, "attn.pose_bias", (shape){c->heads, NM_POSE_FEATURES, 0, 0, 0, 0.0f, 0.0f});
    w.mlp = add_mlp(b, c->hidden, c->widening * c->hidden, c->hidden);
    return w;
}

static void add_map_encoder(builder *b) {
    nm_model *m = b->model;
    const nm_model_config *c = &m->config;
    if (c->map_encoder == NM_MAP_POLYLINES) {
        prefix(b, "model.global_encoder.polyline");
        m->polyline.up = add_linear(b, "mlp.mlp.0", c->hidden, c->map_channels, EXACT);
        m->polyline.down = add_linear(b, "mlp.mlp.2", c->hidden, c->hidden, ORDINARY);
        return;
    }
    prefix(b, "model.global_encoder._encoder");
    m->latents = add(b, "latents", (shape){c->latents, c->hidden, 0, 0, 0, -0.02f, 0.0f});
    m->encoder_cross = add_cross(b, "model.global_encoder._encoder.cross_attn", c->map_channels, 1);
    for (uint32_t i = 0; i < c->encoder_layers; ++i) m->encoder_layers[i] = add_self(b, i);
}

static void describe(builder *b) {
    nm_model *m = b->model;
    const nm_model_config *c = &m->config;
    prefix(b, "model.diffuser.model");
    m->input = add_linear(b, "input_proj", c->hidden, nm_model_inputs(c), NO_BIAS | EXACT);
    if (nm_model_is_joint(c)) m->heading = add_linear(b, "heading_proj", c->hidden, 2, NO_BIAS | EXACT);
    m->level = add_embedding(b, "diffusion_timestep_embeddor");
    m->time = add_embedding(b, "physical_timestep_embeddor");
    m->cross = add_cross(b, "model.diffuser.model.cross_attention", c->hidden, 0);
    for (uint32_t i = 0; i < nm_model_layers(c); ++i) m->layers[i] = add_layer(b, i / 2, i % 2);
    prefix(b, "model.diffuser.model");
    m->modulation = add_linear(b, "adaLN_modulation.1", 2 * c->hidden, c->hidden, ZERO);
    m->output = add_linear(b, "output_proj", c->channels, c->hidden, ZERO);
    add_map_encoder(b);
}

void nm_model_each_weight(nm_model *model, void (*visit)(void *context, nm_weight *weight), void *context) {
    nm_weight *single[] = {&model->input, &model->level.first, &model->level.second, &model->time.first,
                           &model->time.second};
    for (size_t i = 0; i < sizeof single / sizeof *single; ++i) visit(context, single[i]);
    if (nm_model_is_joint(&model->config)) visit(context, &model->heading);
    nm_cross_weights *crosses[] = {&model->cross, &model->encoder_cross};
    const size_t cross_count = model->config.map_encoder == NM_MAP_PERCEIVER ? 2 : 1;
    for (size_t i = 0; i < cross_count; ++i) {
        nm_cross_weights *w = crosses[i];
        nm_weight *weights[] = {&w->query, &w->kv, &w->projection, &w->mlp.up, &w->mlp.down};
        for (size_t k = 0; k < sizeof weights / sizeof *weights; ++k) visit(context, weights[k]);
    }
    for (uint32_t i = 0; i < nm_model_layers(&model->config); ++i) {
        nm_layer_weights *w = &model->layers[i];
        nm_weight *weights[] = {&w->modulation, &w->qkv, &w->projection, &w->mlp.up, &w->mlp.down};
        for (size_t k = 0; k < sizeof weights / sizeof *weights; ++k) visit(context, weights[k]);
    }
    visit(context, &model->modulation);
    visit(context, &model->output);
    if (model->config.map_encoder == NM_MAP_POLYLINES) {
        visit(context, &model->polyline.up);
        visit(context, &model->polyline.down);
        return;
    }
    for (uint32_t i = 0; i < model->config.encoder_layers; ++i) {
        nm_self_weights *w = &model->encoder_layers[i];
        nm_weight *weights[] = {&w->qkv, &w->projection, &w->mlp.up, &w->mlp.down};
        for (size_t k = 0; k < sizeof weights / sizeof *weights; ++k) visit(context, weights[k]);
    }
}

/// Fills the table, and the views where there are values.
static void place(nm_model *m) {
    builder b = {.model = m, .table = m->parameters};
    describe(&b);
    NM_ASSERT(b.count == m->parameter_count && b.used == m->flat_size);
}

nm_status nm_model_plan(const nm_model_config *config, nm_backend *backend, nm_model **model, nm_error *error) {
    *model = NULL;
    const nm_status status = nm_model_config_check(config, error);
    if (status != NM_OK) return status;
    nm_model *m = calloc(1, sizeof *m);
    if (!m) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a model");
    m->config = *config;
    m->backend = backend;
    m->layers = calloc(nm_model_layers(config), sizeof *m->layers);
    m->encoder_layers = calloc(config->encoder_layers + 1, sizeof *m->encoder_layers);
    builder b = {.model = m};
    if (m->layers && m->encoder_layers) {
        describe(&b);
        m->parameters = calloc(b.count, sizeof *m->parameters);
    }
    if (!m->parameters) {
        nm_model_destroy(m);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the names of a model");
    }
    m->parameter_count = b.count;
    m->flat_size = b.used;
    place(m);
    *model = m;
    return NM_OK;
}

nm_status nm_model_allocate(nm_model *m, nm_error *error) {
    if (m->flat_size >= UINT32_MAX)
        return NM_ERROR(error, NM_E_LIMIT, "a model of %zu parameters, over the limit of %u", m->flat_size,
                        UINT32_MAX - 1);
    m->values = nm_tensor_create(m->backend, 1, (uint32_t)m->flat_size, m->backend->parameter);
    if (!m->values.data)
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for a model of %zu parameters", m->flat_size);
    place(m);
    return NM_OK;
}

void nm_model_borrow(nm_model *m, const nm_model *source) {
    NM_ASSERT(m->flat_size == source->flat_size && m->backend->parameter == source->backend->parameter);
    m->source = source;
    m->values = source->values;
    place(m);
}
