/// The memory of a pass: which views there are, and the block they are cut from.
#include "nexus/network_private.h"

#define ALIGNMENT 256

typedef struct cutter {
    char *block; ///< NULL: only sums
    size_t used;
    nm_dtype stream, compute;
    int training;
} cutter;

static nm_tensor cut(cutter *c, uint32_t rows, uint32_t cols, nm_dtype dtype) {
    nm_tensor t = {c->block ? c->block + c->used : NULL, rows, cols, cols, dtype};
    const size_t bytes = ((size_t)rows * cols + 1) * nm_dtype_size(dtype);
    c->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return t;
}
static nm_tensor cut_stream(cutter *c, uint32_t rows, uint32_t cols) {
    return cut(c, rows, cols, c->stream);
}
static nm_tensor cut_compute(cutter *c, uint32_t rows, uint32_t cols) {
    return cut(c, rows, cols, c->compute);
}
/// What only the backward pass reads.
static nm_tensor kept(cutter *c, uint32_t rows, uint32_t cols, nm_dtype dtype) {
    return c->training ? cut(c, rows, cols, dtype) : nm_tensor_none();
}
/// The stream after a step: a new matrix in training, in place else.
static nm_tensor next_stream(cutter *c, nm_tensor before) {
    return c->training ? cut_stream(c, before.rows, before.cols) : before;
}
static uint32_t *cut_indices(cutter *c, size_t count) {
    return cut(c, 1, (uint32_t)count, NM_U32).data;
}

static void cut_groups(cutter *c, nm_groups *groups, size_t offsets, size_t rows) {
    groups->query_offsets = groups->key_offsets = cut_indices(c, offsets + 1);
    groups->query_rows = groups->key_rows = cut_indices(c, rows);
}

static nm_mlp_acts cut_mlp(cutter *c, uint32_t rows, uint32_t channels, uint32_t inner) {
    nm_mlp_acts a;
    a.normed = cut_compute(c, rows, channels);
    a.statistics = kept(c, rows, 2, c->stream);
    a.pre = kept(c, rows, inner, c->compute);
    a.hidden = cut_compute(c, rows, inner);
    return a;
}

/// `joint`: the layer, or one that it stands for, attends to all times.
static nm_layer_acts cut_layer(cutter *c, const nm_model_config *config, const nm_pass_sizes *s, nm_tensor before,
                               int joint) {
    const uint32_t rows = before.rows, hidden = config->hidden;
    nm_layer_acts a;
    a.modulation = cut_compute(c, rows, 6 * hidden);
    a.normed = cut_compute(c, rows, hidden);
    a.statistics = kept(c, rows, 2, c->stream);
    a.qkv = cut_compute(c, rows, 3 * hidden);
    a.attended = cut_compute(c, rows, hidden);
    a.logsumexp = kept(c, rows, config->heads, c->stream);
    a.turned = joint && c->training ? cut_compute(c, rows, hidden) : a.attended;
    a.selected = nm_tensor_none();
    if (joint && config->attention.kind == NM_ATTENTION_BLOCKS) {
        const uint32_t most = nm_block_limit(s->longest_scene, 1, config->attention.target);
        a.selected = cut(c, rows, config->heads * nm_block_words(most), NM_U32);
    }
    a.projected = kept(c, rows, hidden, c->compute);
    a.middle = next_stream(c, before);
    a.mlp = cut_mlp(c, rows, hidden, config->widening * hidden);
    a.mlp_out = kept(c, rows, hidden, c->compute);
    a.out = next_stream(c, a.middle);
    return a;
}

/// The keys' half of a cross attention. `type`: of the normed keys.
static void cut_cross_keys(cutter *c, nm_cross_acts *a, uint32_t keys, uint32_t channels, nm_dtype type,
                           uint32_t hidden) {
    a->key_normed = cut(c, keys, channels, type);
    a->key_statistics = kept(c, keys, 2, c->stream);
    a->kv = cut_compute(c, keys, 2 * hidden);
}

/// The rest. `apart`: the input lives on beside the output.
static void cut_cross_queries(cutter *c, nm_cross_acts *a, nm_tensor x, uint32_t heads, int apart) {
    const uint32_t rows = x.rows, hidden = x.cols;
    a->normed = cut_compute(c, rows, hidden);
    a->statistics = kept(c, rows, 2, c->stream);
    a->q = cut_compute(c, rows, hidden);
    a->attended = cut_compute(c, rows, hidden);
    a->logsumexp = kept(c, rows, heads, c->stream);
    a->middle = apart ? cut_stream(c, rows, hidden) : next_stream(c, x);
    a->mlp = cut_mlp(c, rows, hidden, hidden);
    a->out = next_stream(c, a->middle);
}

static nm_self_acts cut_self(cutter *c, nm_tensor x, uint32_t heads) {
    const uint32_t rows = x.rows, hidden = x.cols;
    nm_self_acts a;
    a.normed = cut_compute(c, rows, hidden);
    a.statistics = kept(c, rows, 2, c->stream);
    a.qkv = cut_compute(c, rows, 3 * hidden);
    a.attended = cut_compute(c, rows, hidden);
    a.logsumexp = kept(c, rows, heads, c->stream);
    a.middle = next_stream(c, x);
    a.mlp = cut_mlp(c, rows, hidden, hidden);
    a.out = next_stream(c, a.middle);
    return a;
}

static void cut_embedding(cutter *c, nm_embedding_acts *a, const nm_model_config *config, uint32_t tokens) {
    a->values = cut_stream(c, tokens, 1);
    a->sinusoid = cut_stream(c, tokens, config->frequencies);
    a->pre = kept(c, tokens, config->hidden, c->compute);
    a->hidden = cut_compute(c, tokens, config->hidden);
    a->table = cut_stream(c, tokens, config->hidden);
    a->index = cut_indices(c, tokens);
    a->offsets = cut_indices(c, (size_t)tokens + 1);
    a->rows = cut_indices(c, tokens);
}

static void cut_inputs(cutter *c, nm_pass *p, const nm_pass_sizes *s) {
    const nm_model_config *config = &p->model->config;
    const uint32_t tokens = s->tokens, channels = config->channels;
    p->known = cut_stream(c, tokens, channels);
    p->mask = cut_stream(c, tokens, channels);
    p->noised = cut_stream(c, tokens, channels);
    p->condition = config->conditions ? cut_stream(c, tokens, config->conditions) : nm_tensor_none();
    p->pose = nm_model_wants_poses(config) ? cut_stream(c, tokens, 4) : nm_tensor_none();
    p->position = config->rotary ? cut_stream(c, tokens, 1) : nm_tensor_none();
    p->assembled = cut_stream(c, tokens, nm_model_inputs(config));
    cut_embedding(c, &p->level, config, tokens);
    cut_embedding(c, &p->time, config, tokens);
    cut_groups(c, &p->by_agent, s->token_groups, tokens);
    cut_groups(c, &p->by_time, s->time_groups, tokens);
}

static void cut_joint(cutter *c, nm_pass *p, const nm_pass_sizes *s) {
    const nm_model_config *config = &p->model->config;
    nm_joint_acts *j = &p->joint;
    if (!nm_model_is_joint(config)) return;
    j->turns = cut_stream(c, s->tokens, config->hidden);
    if (config->attention.kind == NM_ATTENTION_FULL) {
        cut_groups(c, &j->everyone, s->scenes, s->tokens);
        return;
    }
    const uint32_t blocks = nm_block_limit(s->tokens, s->scenes, config->attention.target);
    for (int kind = 0; kind < NM_JOINT_KINDS; ++kind)
        j->blocks[kind] = (nm_block_set){.rows = cut_indices(c, s->tokens),
                                         .block_offsets = cut_indices(c, (size_t)blocks + 1),
                                         .scene_blocks = cut_indices(c, (size_t)s->scenes + 1)};
    j->means = cut_stream(c, blocks, config->hidden);
    j->normaliser = cut_stream(c, s->tokens, config->heads);
    j->histogram = cut(c, 2 * s->scenes * config->heads, NM_BLOCK_LEVELS, NM_U32);
    for (uint32_t i = 0; i < config->blocks; ++i) j->kept[i] = cut_stream(c, s->scenes * config->heads, 3);
}

static void cut_perceiver(cutter *c, nm_pass *p, const nm_pass_sizes *s) {
    const nm_model_config *config = &p->model->config;
    const uint32_t rows = s->scenes * config->latents;
    p->first_latents = cut_stream(c, rows, config->hidden);
    cut_cross_keys(c, &p->encoder_cross, s->points, config->map_channels, c->stream, config->hidden);
    cut_cross_queries(c, &p->encoder_cross, p->first_latents, config->encoder_cross_heads, 0);
    p->keys = p->encoder_cross.out;
    for (uint32_t i = 0; i < config->encoder_rounds * config->encoder_layers; ++i) {
        p->encoder[i] = i == 0 || c->training ? cut_self(c, p->keys, config->encoder_self_heads) : p->encoder[0];
        p->keys = p->encoder[i].out;
    }
    cut_groups(c, &p->among_latents, s->scenes, rows);
    p->to_points = p->among_latents;
    p->to_points.key_offsets = cut_indices(c, (size_t)s->scenes + 1);
    p->to_points.key_rows = cut_indices(c, s->points);
}

static void cut_polylines(cutter *c, nm_pass *p, const nm_pass_sizes *s) {
    const uint32_t hidden = p->model->config.hidden;
    p->polyline_pre = kept(c, s->points, hidden, c->compute);
    p->polyline_hidden = cut_compute(c, s->points, hidden);
    p->keys = p->polylines = cut_stream(c, s->points, hidden);
}

/// All that is made of maps alone, up to what tokens attend to: p->keys and their half of the attention.
static void cut_map(cutter *c, nm_pass *p, const nm_pass_sizes *s) {
    const nm_model_config *config = &p->model->config;
    p->map = cut_stream(c, s->points, config->map_channels);
    if (config->map_encoder == NM_MAP_PERCEIVER)
        cut_perceiver(c, p, s);
    else
        cut_polylines(c, p, s);
    cut_cross_keys(c, &p->cross, p->keys.rows, config->hidden, c->compute, config->hidden);
}

/// Which tokens attend to which keys; after cut_map and cut_inputs.
static void cut_to_map(cutter *c, nm_pass *p, const nm_pass_sizes *s) {
    if (p->model->config.map_encoder == NM_MAP_PERCEIVER) {
        p->to_map = p->among_latents;
        p->to_map.query_offsets = cut_indices(c, (size_t)s->scenes + 1);
        p->to_map.query_rows = cut_indices(c, s->tokens);
        return;
    }
    p->to_map = p->by_agent;
    p->to_map.key_offsets = cut_indices(c, (size_t)s->token_groups + 1);
    p->to_map.key_rows = cut_indices(c, s->points);
}

static void cut_gradients(cutter *c, nm_pass *p, const nm_pass_sizes *s) {
    const nm_model_config *config = &p->model->config;
    const uint32_t n = s->tokens, hidden = config->hidden, keys = p->keys.rows;
    nm_pass_grads *d = &p->d;
    p->noise = cut_stream(c, n, config->channels);
    p->alpha = cut_stream(c, n, 1);
    p->sigma = cut_stream(c, n, 1);
    p->weight = cut_stream(c, n, 1);
    p->loss = cut(c, 1, 1, NM_F64);
    d->stream = cut_stream(c, n, hidden);
    d->fused = cut_stream(c, n, hidden);
    d->condition = cut_stream(c, n, hidden);
    d->modulation = cut_compute(c, n, 6 * hidden);
    d->narrow = cut_compute(c, n, hidden);
    d->normed = cut_compute(c, n, hidden);
    d->inner = cut_compute(c, n, config->widening * hidden);
    d->qkv = cut_compute(c, n, 3 * hidden);
    d->output = cut_compute(c, n, config->channels);
    d->table = cut_compute(c, n, hidden);
    d->hidden = cut_compute(c, n, hidden);
    d->keys = cut_stream(c, keys, hidden);
    d->map_narrow = cut_compute(c, keys, hidden);
    d->map_normed = cut_compute(c, keys, hidden);
    d->map_inner = cut_compute(c, keys, hidden);
    d->map_qkv = cut_compute(c, keys, 3 * hidden);
    d->point_kv = cut_compute(c, s->points, 2 * hidden);
    d->point_normed = cut_stream(c, s->points, config->map_channels);
}

size_t nm_pass_cut(nm_pass *p, const nm_pass_sizes *sizes, void *block) {
    const nm_model_config *config = &p->model->config;
    const nm_backend *backend = p->model->backend;
    const uint32_t tokens = sizes->tokens;
    cutter c = {block, 0, backend->stream, backend->compute, p->training};
    cut_map(&c, p, sizes); // first, so that it does not move when there are other tokens
    cut_inputs(&c, p, sizes);
    cut_to_map(&c, p, sizes);
    cut_joint(&c, p, sizes);
    p->entry = cut_stream(&c, tokens, config->hidden);
    cut_cross_queries(&c, &p->cross, p->entry, config->heads, 1);
    p->modulator = cut_compute(&c, tokens, config->hidden);
    nm_tensor stream = p->entry;
    for (uint32_t i = 0; i < nm_model_layers(config); ++i) {
        if (i == 0 || p->training)
            p->layers[i] = cut_layer(&c, config, sizes, stream, nm_model_is_joint(config) && (!p->training || i % 2));
        else
            p->layers[i] = p->layers[0];
        stream = p->layers[i].out;
    }
    p->final.modulation = cut_compute(&c, tokens, 2 * config->hidden);
    p->final.normed = cut_compute(&c, tokens, config->hidden);
    p->final.statistics = kept(&c, tokens, 2, c.stream);
    p->v = cut_stream(&c, tokens, config->channels);
    if (p->training) cut_gradients(&c, p, sizes);
    return c.used;
}
