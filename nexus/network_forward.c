/// The forward pass: the network of network.h over the operations of ops/ops.h. Its steps are written once, for
/// whichever rows; nm_pass_forward takes them over all of the batch, reuse_forward.c over those that have changed.
#include "nexus/network_private.h"

static void run_linear(nm_pass *p, const nm_linear *op) {
    p->product_flops += nm_weight_flops(&op->weight, op->x.rows);
    p->backend->ops->linear(p->backend, op);
}
static void linear(nm_pass *p, nm_tensor x, const nm_weight *weight, nm_epilogue epilogue, nm_tensor y, nm_tensor pre) {
    const nm_linear op = {.x = x, .weight = *weight, .epilogue = epilogue, .y = y, .pre = pre};
    run_linear(p, &op);
}
static void linear_residual(nm_pass *p, nm_tensor x, const nm_weight *weight, nm_tensor residual, nm_tensor y) {
    const nm_linear op = {.x = x, .weight = *weight, .epilogue = NM_EPILOGUE_RESIDUAL, .residual = residual, .y = y};
    run_linear(p, &op);
}
static void linear_gated(nm_pass *p, nm_tensor x, const nm_weight *weight, nm_tensor residual, nm_tensor gate,
                         nm_tensor y, nm_tensor pre) {
    const nm_linear op = {.x = x,
                          .weight = *weight,
                          .epilogue = NM_EPILOGUE_GATED,
                          .residual = residual,
                          .gate = gate,
                          .y = y,
                          .pre = pre};
    run_linear(p, &op);
}

/// LayerNorm with gain and offset; epsilon as published for everything outside the trunk.
static void norm_affine(nm_pass *p, nm_tensor x, const nm_affine *affine, nm_tensor y, nm_tensor statistics) {
    const nm_layer_norm op = {
        .x = x, .weight = affine->weight, .bias = affine->bias, .epsilon = 1e-5f, .y = y, .statistics = statistics};
    p->backend->ops->layer_norm(p->backend, &op);
}
/// LayerNorm of the trunk, modulated by two slices of a modulation matrix.
static void norm_modulated(nm_pass *p, nm_tensor x, nm_tensor shift, nm_tensor scale, nm_tensor y,
                           nm_tensor statistics) {
    const nm_layer_norm op = {
        .x = x, .scale = scale, .shift = shift, .epsilon = 1e-6f, .y = y, .statistics = statistics};
    p->backend->ops->layer_norm(p->backend, &op);
}

void nm_pass_embed(nm_pass *p, nm_embedding_acts *a, const nm_embedding_weights *weights) {
    const uint32_t rows = a->distinct.count;
    const nm_tensor sinusoid = nm_tensor_rows(a->sinusoid, 0, rows), hidden = nm_tensor_rows(a->hidden, 0, rows);
    const nm_tensor pre = p->training ? nm_tensor_rows(a->pre, 0, rows) : nm_tensor_none();
    p->backend->ops->sinusoid(p->backend, nm_tensor_rows(a->values, 0, rows), sinusoid);
    linear(p, sinusoid, &weights->first, NM_EPILOGUE_SILU, hidden, pre);
    linear(p, hidden, &weights->second, NM_EPILOGUE_NONE, nm_tensor_rows(a->table, 0, rows), nm_tensor_none());
}

nm_lookup nm_pass_lookup(const nm_embedding_acts *a) {
    return (nm_lookup){.table = nm_tensor_rows(a->table, 0, a->distinct.count),
                       .index = a->index,
                       .offsets = a->offsets,
                       .rows = a->rows};
}

/// y = x + MLP(LayerNorm(x)).
static void mlp(nm_pass *p, const nm_affine *norm, const nm_mlp_weights *w, nm_tensor x, nm_mlp_acts *a, nm_tensor y) {
    norm_affine(p, x, norm, a->normed, a->statistics);
    linear(p, a->normed, &w->up, NM_EPILOGUE_GELU, a->hidden, a->pre);
    linear_residual(p, a->hidden, &w->down, x, y);
}

static void cross_keys(nm_pass *p, const nm_cross_weights *w, nm_cross_acts *a, nm_tensor keys) {
    norm_affine(p, keys, &w->key_norm, a->key_normed, a->key_statistics);
    linear(p, a->key_normed, &w->kv, NM_EPILOGUE_NONE, a->kv, nm_tensor_none());
}

/// out = x + attention to the keys of cross_keys, then its MLP.
static void cross_queries(nm_pass *p, const nm_cross_weights *w, nm_cross_acts *a, nm_tensor x, const nm_groups *groups,
                          uint32_t heads) {
    const uint32_t hidden = x.cols;
    norm_affine(p, x, &w->query_norm, a->normed, a->statistics);
    linear(p, a->normed, &w->query, NM_EPILOGUE_NONE, a->q, nm_tensor_none());
    const nm_attention op = {.q = a->q,
                             .k = nm_tensor_cols(a->kv, 0, hidden),
                             .v = nm_tensor_cols(a->kv, hidden, hidden),
                             .heads = heads,
                             .groups = groups,
                             .out = a->attended,
                             .logsumexp = a->logsumexp};
    p->backend->ops->attention(p->backend, &op);
    linear_residual(p, a->attended, &w->projection, x, a->middle);
    mlp(p, &w->mlp_norm, &w->mlp, a->middle, &a->mlp, a->out);
}

static void self_layer(nm_pass *p, const nm_self_weights *w, nm_self_acts *a, nm_tensor x) {
    const uint32_t hidden = x.cols;
    norm_affine(p, x, &w->norm, a->normed, a->statistics);
    linear(p, a->normed, &w->qkv, NM_EPILOGUE_NONE, a->qkv, nm_tensor_none());
    const nm_attention op = {.q = nm_tensor_cols(a->qkv, 0, hidden),
                             .k = nm_tensor_cols(a->qkv, hidden, hidden),
                             .v = nm_tensor_cols(a->qkv, 2 * hidden, hidden),
                             .heads = p->model->config.encoder_self_heads,
                             .groups = &p->among_latents,
                             .out = a->attended,
                             .logsumexp = a->logsumexp};
    p->backend->ops->attention(p->backend, &op);
    linear_residual(p, a->attended, &w->projection, x, a->middle);
    mlp(p, &w->mlp_norm, &w->mlp, a->middle, &a->mlp, a->out);
}

static void encode_perceiver(nm_pass *p) {
    const nm_model *m = p->model;
    const nm_model_config *c = &m->config;
    p->backend->ops->repeat(p->backend, m->latents, p->batch.scenes, p->first_latents);
    cross_keys(p, &m->encoder_cross, &p->encoder_cross, p->map);
    cross_queries(p, &m->encoder_cross, &p->encoder_cross, p->first_latents, &p->to_points, c->encoder_cross_heads);
    nm_tensor x = p->encoder_cross.out;
    for (uint32_t i = 0; i < c->encoder_rounds * c->encoder_layers; ++i) {
        self_layer(p, &m->encoder_layers[i % c->encoder_layers], &p->encoder[i], x);
        x = p->encoder[i].out;
    }
}

void nm_pass_encode_map(nm_pass *p) {
    const nm_model *m = p->model;
    if (m->config.map_encoder == NM_MAP_PERCEIVER) {
        encode_perceiver(p);
    } else {
        linear(p, p->map, &m->polyline.up, NM_EPILOGUE_GELU, p->polyline_hidden, p->polyline_pre);
        linear(p, p->polyline_hidden, &m->polyline.down, NM_EPILOGUE_NONE, p->polylines, nm_tensor_none());
    }
    cross_keys(p, &m->cross, &p->cross, p->keys);
}

// ---------------------------------------------------------------------------------------------------------------------
// Steps, over whichever rows: see network_private.h

void nm_pass_tell(nm_pass *p) {
    const nm_assemble inputs = {
        .known = p->known, .mask = p->mask, .noised = p->noised, .condition = p->condition, .out = p->assembled};
    p->backend->ops->assemble(p->backend, &inputs);
    nm_pass_embed(p, &p->level, &p->model->level);
}

void nm_pass_enter(nm_pass *p, nm_tensor assembled, const nm_lookup *level, const nm_lookup *time, nm_tensor entry) {
    linear(p, assembled, &p->model->input, NM_EPILOGUE_NONE, entry, nm_tensor_none());
    if (nm_model_is_joint(&p->model->config)) // in passes over all rows alone
        linear_residual(p, nm_tensor_cols(p->pose, 2, 2), &p->model->heading, entry, entry);
    p->backend->ops->lookup(p->backend, level, time, entry);
}

void nm_pass_attend_to_map(nm_pass *p, const nm_groups *groups, nm_tensor x, nm_cross_acts *a) {
    cross_queries(p, &p->model->cross, a, x, groups, p->model->config.heads);
}

void nm_pass_modulate(nm_pass *p, uint32_t layer, nm_tensor modulator, nm_tensor modulation) {
    const nm_model *m = p->model;
    const nm_weight *w = layer < nm_model_layers(&m->config) ? &m->layers[layer].modulation : &m->modulation;
    linear(p, modulator, w, NM_EPILOGUE_NONE, modulation, nm_tensor_none());
}

/// Slice i of a modulation.
static nm_tensor slice(const nm_pass *p, nm_tensor modulation, uint32_t i) {
    const uint32_t hidden = p->model->config.hidden;
    return nm_tensor_cols(modulation, i * hidden, hidden);
}

void nm_pass_make_keys(nm_pass *p, uint32_t layer, nm_tensor x, nm_tensor position, const nm_layer_acts *a) {
    const nm_model_config *c = &p->model->config;
    norm_modulated(p, x, slice(p, a->modulation, 0), slice(p, a->modulation, 1), a->normed, a->statistics);
    linear(p, a->normed, &p->model->layers[layer].qkv, NM_EPILOGUE_NONE, a->qkv, nm_tensor_none());
    if (layer % 2 || !c->rotary) return;
    for (uint32_t i = 0; i < 2; ++i)
        p->backend->ops->rotary(p->backend, nm_tensor_cols(a->qkv, i * c->hidden, c->hidden), position, c->heads, 1);
}

nm_attention nm_pass_layer_attention(const nm_pass *p, uint32_t layer, const nm_layer_acts *a) {
    const nm_model_config *c = &p->model->config;
    const int spatial = layer % 2 == 1;
    nm_attention op = {.q = nm_tensor_cols(a->qkv, 0, c->hidden),
                       .k = nm_tensor_cols(a->qkv, c->hidden, c->hidden),
                       .v = nm_tensor_cols(a->qkv, 2 * c->hidden, c->hidden),
                       .heads = c->heads,
                       .groups = spatial ? &p->by_time : &p->by_agent,
                       .out = a->attended,
                       .logsumexp = a->logsumexp};
    if (!spatial && p->links.set) {
        op.groups = &p->links.groups;
        if (p->links.kept) {
            op.k = nm_tensor_cols(p->links.kept[layer / 2], 0, c->hidden);
            op.v = nm_tensor_cols(p->links.kept[layer / 2], c->hidden, c->hidden);
        }
    }
    if (spatial && c->pose_bias) {
        op.query_pose = op.key_pose = p->pose;
        op.pose_weight = p->model->layers[layer].pose_weight;
    }
    return op;
}

void nm_pass_make_outputs(nm_pass *p, uint32_t layer, nm_tensor x, const nm_attention *attention,
                          const nm_layer_acts *a) {
    const nm_layer_weights *w = &p->model->layers[layer];
    if (attention) p->backend->ops->attention(p->backend, attention);
    linear_gated(p, attention ? a->attended : a->turned, &w->projection, x, slice(p, a->modulation, 2), a->middle,
                 a->projected);
    norm_modulated(p, a->middle, slice(p, a->modulation, 3), slice(p, a->modulation, 4), a->mlp.normed,
                   a->mlp.statistics);
    linear(p, a->mlp.normed, &w->mlp.up, NM_EPILOGUE_GELU, a->mlp.hidden, a->mlp.pre);
    linear_gated(p, a->mlp.hidden, &w->mlp.down, a->middle, slice(p, a->modulation, 5), a->out, a->mlp_out);
}

void nm_pass_leave(nm_pass *p, nm_tensor x, const nm_final_acts *a, nm_tensor v) {
    norm_modulated(p, x, slice(p, a->modulation, 0), slice(p, a->modulation, 1), a->normed, a->statistics);
    linear(p, a->normed, &p->model->output, NM_EPILOGUE_NONE, v, nm_tensor_none());
}

// ---------------------------------------------------------------------------------------------------------------------
// All rows

/// Keys and values of this pass join those that are kept.
static void keep_keys(nm_pass *p, uint32_t layer, nm_tensor kv) {
    if (!p->links.set || !p->links.kept) return;
    p->backend->ops->convert(p->backend, kv, nm_tensor_rows(p->links.kept[layer / 2], p->links.first, kv.rows));
}

static void trunk_layer(nm_pass *p, uint32_t layer, nm_tensor x) {
    const uint32_t hidden = x.cols;
    const nm_layer_acts *a = &p->layers[layer];
    nm_pass_modulate(p, layer, p->modulator, a->modulation);
    nm_pass_make_keys(p, layer, x, p->position, a);
    if (layer % 2 == 0) keep_keys(p, layer, nm_tensor_cols(a->qkv, hidden, 2 * hidden));
    if (nm_pass_is_joint(p, layer)) {
        nm_pass_joint_forward(p, layer);
        nm_pass_make_outputs(p, layer, x, NULL, a);
        return;
    }
    const nm_attention attention = nm_pass_layer_attention(p, layer, a);
    nm_pass_make_outputs(p, layer, x, &attention, a);
}

void nm_pass_forward(nm_pass *p) {
    const uint32_t layers = nm_model_layers(&p->model->config);
    const nm_lookup level = nm_pass_lookup(&p->level), time = nm_pass_lookup(&p->time);
    nm_pass_tell(p);
    nm_pass_enter(p, p->assembled, &level, &time, p->entry);
    nm_pass_attend_to_map(p, &p->to_map, p->entry, &p->cross);
    p->backend->ops->silu(p->backend, p->cross.out, p->modulator);
    nm_tensor x = p->entry;
    for (uint32_t i = 0; i < layers; ++i) {
        trunk_layer(p, i, x);
        x = p->layers[i].out;
    }
    nm_pass_modulate(p, layers, p->modulator, p->final.modulation);
    nm_pass_leave(p, x, &p->final, p->v);
}
