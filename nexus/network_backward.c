/// The backward pass: the forward pass in reverse. `dx` arguments hold the gradient of a part's output when it begins
/// and that of its input when it ends: residual connections pass it through, branches add to it.
#include "nexus/network_private.h"

nm_tensor nm_pass_gradient_of(const nm_pass *p, nm_tensor parameter) {
    if (!parameter.data) return parameter;
    const ptrdiff_t bytes = (char *)parameter.data - (char *)p->model->values.data;
    parameter.data = (char *)p->gradients.data + bytes;
    return parameter;
}

/// dx absent: not wanted.
static void linear_back(nm_pass *p, nm_tensor x, const nm_weight *weight, nm_tensor dp, nm_tensor dx, int add_dx) {
    const nm_linear_grad op = {.x = x,
                               .weight = *weight,
                               .dp = dp,
                               .dx = dx,
                               .add_dx = add_dx,
                               .dweight = nm_pass_gradient_of(p, weight->value),
                               .dbias = nm_pass_gradient_of(p, weight->bias)};
    p->backend->ops->linear_backward(p->backend, &op);
}
static void epilogue_back(nm_pass *p, nm_epilogue epilogue, nm_tensor d, nm_tensor pre) {
    const nm_epilogue_grad op = {.epilogue = epilogue, .dy = d, .pre = pre, .dp = d};
    p->backend->ops->epilogue_backward(p->backend, &op);
}
static void gate_back(nm_pass *p, nm_tensor dy, nm_tensor pre, nm_tensor gate, nm_tensor dp, nm_tensor dgate) {
    const nm_epilogue_grad op = {
        .epilogue = NM_EPILOGUE_GATED, .dy = dy, .pre = pre, .gate = gate, .dp = dp, .dgate = dgate};
    p->backend->ops->epilogue_backward(p->backend, &op);
}
static void affine_back(nm_pass *p, nm_tensor x, const nm_affine *affine, nm_tensor statistics, nm_tensor dy,
                        nm_tensor dx) {
    const nm_layer_norm_grad op = {.x = x,
                                   .weight = affine->weight,
                                   .statistics = statistics,
                                   .dy = dy,
                                   .dx = dx,
                                   .dweight = nm_pass_gradient_of(p, affine->weight),
                                   .dbias = nm_pass_gradient_of(p, affine->bias)};
    p->backend->ops->layer_norm_backward(p->backend, &op);
}
static void modulated_back(nm_pass *p, nm_tensor x, nm_tensor scale, nm_tensor statistics, nm_tensor dy, nm_tensor dx,
                           nm_tensor dscale, nm_tensor dshift) {
    const nm_layer_norm_grad op = {
        .x = x, .scale = scale, .statistics = statistics, .dy = dy, .dx = dx, .dscale = dscale, .dshift = dshift};
    p->backend->ops->layer_norm_backward(p->backend, &op);
}

/// Room for gradients inside a part, one row per row of its stream.
typedef struct room {
    nm_tensor narrow, normed, inner; ///< [N][H], [N][H], [N][inner] compute type
} room;

static void mlp_back(nm_pass *p, const nm_affine *norm, const nm_mlp_weights *w, nm_tensor x, const nm_mlp_acts *a,
                     const room *r, nm_tensor dx) {
    p->backend->ops->convert(p->backend, dx, r->narrow);
    linear_back(p, a->hidden, &w->down, r->narrow, r->inner, 0);
    epilogue_back(p, NM_EPILOGUE_GELU, r->inner, a->pre);
    linear_back(p, a->normed, &w->up, r->inner, r->normed, 0);
    affine_back(p, x, norm, a->statistics, r->normed, dx);
}

/// dkv, dkey_normed: room for the keys' side. dkeys absent: the keys are data.
typedef struct key_room {
    nm_tensor dkv, dkey_normed, dkeys;
} key_room;

static void cross_back(nm_pass *p, const nm_cross_weights *w, const nm_cross_acts *a, nm_tensor x, nm_tensor keys,
                       const nm_groups *groups, uint32_t heads, const room *r, const key_room *k, nm_tensor dq,
                       nm_tensor dx) {
    const uint32_t hidden = x.cols;
    mlp_back(p, &w->mlp_norm, &w->mlp, a->middle, &a->mlp, r, dx);
    p->backend->ops->convert(p->backend, dx, r->narrow);
    linear_back(p, a->attended, &w->projection, r->narrow, r->normed, 0);
    const nm_attention_grad op = {.forward = {.q = a->q,
                                              .k = nm_tensor_cols(a->kv, 0, hidden),
                                              .v = nm_tensor_cols(a->kv, hidden, hidden),
                                              .heads = heads,
                                              .groups = groups,
                                              .out = a->attended,
                                              .logsumexp = a->logsumexp},
                                  .dout = r->normed,
                                  .dq = dq,
                                  .dk = nm_tensor_cols(k->dkv, 0, hidden),
                                  .dv = nm_tensor_cols(k->dkv, hidden, hidden)};
    p->backend->ops->attention_backward(p->backend, &op);
    linear_back(p, a->normed, &w->query, dq, r->narrow, 0);
    affine_back(p, x, &w->query_norm, a->statistics, r->narrow, dx);
    linear_back(p, a->key_normed, &w->kv, k->dkv, k->dkey_normed, 0);
    affine_back(p, keys, &w->key_norm, a->key_statistics, k->dkey_normed, k->dkeys);
}

static void self_back(nm_pass *p, const nm_self_weights *w, const nm_self_acts *a, nm_tensor x, const room *r,
                      nm_tensor dqkv, nm_tensor dx) {
    const uint32_t hidden = x.cols;
    mlp_back(p, &w->mlp_norm, &w->mlp, a->middle, &a->mlp, r, dx);
    p->backend->ops->convert(p->backend, dx, r->narrow);
    linear_back(p, a->attended, &w->projection, r->narrow, r->normed, 0);
    const nm_attention_grad op = {.forward = {.q = nm_tensor_cols(a->qkv, 0, hidden),
                                              .k = nm_tensor_cols(a->qkv, hidden, hidden),
                                              .v = nm_tensor_cols(a->qkv, 2 * hidden, hidden),
                                              .heads = p->model->config.encoder_self_heads,
                                              .groups = &p->among_latents,
                                              .out = a->attended,
                                              .logsumexp = a->logsumexp},
                                  .dout = r->normed,
                                  .dq = nm_tensor_cols(dqkv, 0, hidden),
                                  .dk = nm_tensor_cols(dqkv, hidden, hidden),
                                  .dv = nm_tensor_cols(dqkv, 2 * hidden, hidden)};
    p->backend->ops->attention_backward(p->backend, &op);
    linear_back(p, a->normed, &w->qkv, dqkv, r->narrow, 0);
    affine_back(p, x, &w->norm, a->statistics, r->narrow, dx);
}

static void layer_attention_back(nm_pass *p, uint32_t layer, nm_tensor dout) {
    const nm_model_config *c = &p->model->config;
    const nm_attention_grad op = {.forward = nm_pass_layer_attention(p, layer, &p->layers[layer]),
                                  .dout = dout,
                                  .dq = nm_tensor_cols(p->d.qkv, 0, c->hidden),
                                  .dk = nm_tensor_cols(p->d.qkv, c->hidden, c->hidden),
                                  .dv = nm_tensor_cols(p->d.qkv, 2 * c->hidden, c->hidden),
                                  .dpose_weight = nm_pass_gradient_of(p, p->model->layers[layer].pose_weight)};
    p->backend->ops->attention_backward(p->backend, &op);
    if (layer % 2 == 0 && c->rotary) {
        p->backend->ops->rotary(p->backend, op.dq, p->position, c->heads, -1);
        p->backend->ops->rotary(p->backend, op.dk, p->position, c->heads, -1);
    }
}

static void layer_back(nm_pass *p, uint32_t layer, nm_tensor x) {
    const nm_layer_weights *w = &p->model->layers[layer];
    const nm_layer_acts *a = &p->layers[layer];
    const nm_pass_grads *d = &p->d;
    const uint32_t hidden = x.cols;
    nm_tensor m[6], dm[6]; // shift1, scale1, gate1, shift2, scale2, gate2
    for (uint32_t i = 0; i < 6; ++i) {
        m[i] = nm_tensor_cols(a->modulation, i * hidden, hidden);
        dm[i] = nm_tensor_cols(d->modulation, i * hidden, hidden);
    }
    gate_back(p, d->stream, a->mlp_out, m[5], d->narrow, dm[5]);
    linear_back(p, a->mlp.hidden, &w->mlp.down, d->narrow, d->inner, 0);
    epilogue_back(p, NM_EPILOGUE_GELU, d->inner, a->mlp.pre);
    linear_back(p, a->mlp.normed, &w->mlp.up, d->inner, d->normed, 0);
    modulated_back(p, a->middle, m[4], a->mlp.statistics, d->normed, d->stream, dm[4], dm[3]);

    gate_back(p, d->stream, a->projected, m[2], d->narrow, dm[2]);
    linear_back(p, a->turned, &w->projection, d->narrow, d->normed, 0);
    if (nm_pass_is_joint(p, layer))
        nm_pass_joint_backward(p, layer, d->normed);
    else
        layer_attention_back(p, layer, d->normed);
    linear_back(p, a->normed, &w->qkv, d->qkv, d->narrow, 0);
    modulated_back(p, x, m[1], a->statistics, d->narrow, d->stream, dm[1], dm[0]);

    linear_back(p, p->modulator, &w->modulation, d->modulation, d->condition, 1);
}

static void embedding_back(nm_pass *p, nm_embedding_acts *a, const nm_embedding_weights *w) {
    const uint32_t rows = a->distinct.count;
    const nm_lookup lookup = nm_pass_lookup(a);
    const nm_tensor dtable = nm_tensor_rows(p->d.table, 0, rows), dhidden = nm_tensor_rows(p->d.hidden, 0, rows);
    p->backend->ops->lookup_backward(p->backend, &lookup, p->d.stream, dtable);
    linear_back(p, nm_tensor_rows(a->hidden, 0, rows), &w->second, dtable, dhidden, 0);
    epilogue_back(p, NM_EPILOGUE_SILU, dhidden, nm_tensor_rows(a->pre, 0, rows));
    linear_back(p, nm_tensor_rows(a->sinusoid, 0, rows), &w->first, dhidden, nm_tensor_none(), 0);
}

static void perceiver_back(nm_pass *p) {
    const nm_model *m = p->model;
    const nm_model_config *c = &m->config;
    const nm_pass_grads *d = &p->d;
    const room r = {d->map_narrow, d->map_normed, d->map_inner};
    for (uint32_t i = c->encoder_rounds * c->encoder_layers; i-- > 0;) {
        const nm_tensor x = i > 0 ? p->encoder[i - 1].out : p->encoder_cross.out;
        self_back(p, &m->encoder_layers[i % c->encoder_layers], &p->encoder[i], x, &r, d->map_qkv, d->keys);
    }
    const key_room k = {d->point_kv, d->point_normed, nm_tensor_none()};
    cross_back(p, &m->encoder_cross, &p->encoder_cross, p->first_latents, p->map, &p->to_points, c->encoder_cross_heads,
               &r, &k, nm_tensor_cols(d->map_qkv, 0, c->hidden), d->keys);
    p->backend->ops->repeat_backward(p->backend, d->keys, p->batch.scenes, nm_pass_gradient_of(p, m->latents));
}

static void polylines_back(nm_pass *p) {
    const nm_mlp_weights *w = &p->model->polyline;
    p->backend->ops->convert(p->backend, p->d.keys, p->d.map_narrow);
    linear_back(p, p->polyline_hidden, &w->down, p->d.map_narrow, p->d.map_inner, 0);
    epilogue_back(p, NM_EPILOGUE_GELU, p->d.map_inner, p->polyline_pre);
    linear_back(p, p->map, &w->up, p->d.map_inner, nm_tensor_none(), 0);
}

/// From dv to the stream at the end of the trunk.
static void head_back(nm_pass *p, nm_tensor x) {
    const nm_model *m = p->model;
    const nm_pass_grads *d = &p->d;
    const uint32_t hidden = m->config.hidden;
    const nm_tensor dm = nm_tensor_cols(d->modulation, 0, 2 * hidden);
    p->backend->ops->zero(p->backend, d->stream);
    p->backend->ops->zero(p->backend, d->condition);
    linear_back(p, p->final.normed, &m->output, d->output, d->normed, 0);
    modulated_back(p, x, nm_tensor_cols(p->final.modulation, hidden, hidden), p->final.statistics, d->normed, d->stream,
                   nm_tensor_cols(dm, hidden, hidden), nm_tensor_cols(dm, 0, hidden));
    linear_back(p, p->modulator, &m->modulation, dm, d->condition, 1);
}

void nm_pass_backward(nm_pass *p) {
    const nm_ops *ops = p->backend->ops;
    const nm_model *m = p->model;
    const nm_pass_grads *d = &p->d;
    const uint32_t layers = nm_model_layers(&m->config);
    head_back(p, p->layers[layers - 1].out);
    for (uint32_t i = layers; i-- > 0;) layer_back(p, i, i > 0 ? p->layers[i - 1].out : p->entry);

    ops->zero(p->backend, d->fused);
    ops->convert(p->backend, d->condition, d->narrow);
    ops->silu_backward(p->backend, p->cross.out, d->narrow, d->fused);
    ops->zero(p->backend, d->keys);
    const room r = {d->narrow, d->normed, nm_tensor_cols(d->inner, 0, m->config.hidden)};
    const key_room k = {nm_tensor_cols(d->map_qkv, 0, 2 * m->config.hidden), d->map_normed, d->keys};
    cross_back(p, &m->cross, &p->cross, p->entry, p->keys, &p->to_map, m->config.heads, &r, &k,
               nm_tensor_cols(d->qkv, 0, m->config.hidden), d->fused);
    ops->add(p->backend, d->fused, d->stream);

    embedding_back(p, &p->level, &m->level);
    embedding_back(p, &p->time, &m->time);
    ops->convert(p->backend, d->stream, d->narrow);
    linear_back(p, p->assembled, &m->input, d->narrow, nm_tensor_none(), 0);
    if (nm_model_is_joint(&m->config))
        linear_back(p, nm_tensor_cols(p->pose, 2, 2), &m->heading, d->narrow, nm_tensor_none(), 0);

    if (m->config.map_encoder == NM_MAP_PERCEIVER)
        perceiver_back(p);
    else
        polylines_back(p);
}
