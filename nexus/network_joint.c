/// Joint attention: the spatial layers of a network whose tokens attend to all times of their scene, too; to all
/// tokens, or to the blocks of them that matter. Where tokens are comes in by turns of queries, keys and values.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/network_private.h"

/// What the angle of a pair of channels grows with.
struct nm_turn_rates {
    double x, y, time, heading; ///< rad per m, m, step and rad
};

enum { TURN_X, TURN_Y, TURN_TIME, TURN_HEADING, TURN_NONE, TURN_KINDS };
/// Of pairs, again and again: what is nearest in a head's columns is of every kind. Some channels are left as they are.
static const int turn_kinds[8] = {TURN_X, TURN_Y, TURN_TIME, TURN_X, TURN_Y, TURN_HEADING, TURN_TIME, TURN_NONE};

/// Wavelengths, as those of rotary positions, are a geometric series: of places from 8 m (two lanes apart turns by most
/// of a circle) to 512 m, of times from 4 steps to 256. Heads have different ones, and axes in different directions, so
/// that a few pairs a head see many of both. Headings turn by whole multiples: a circle more changes nothing.
static struct nm_turn_rates rates_of(int kind, uint32_t index, uint32_t count, uint32_t head, uint32_t heads) {
    const double along = ((double)index + (double)head / heads) / count, circle = 6.283185307179586;
    const double place = circle / 8.0 * pow(64.0, -along), axis = 0.25 * circle * head / heads;
    switch (kind) {
    case TURN_X:
        return (struct nm_turn_rates){.x = place * cos(axis), .y = place * sin(axis)};
    case TURN_Y:
        return (struct nm_turn_rates){.x = -place * sin(axis), .y = place * cos(axis)};
    case TURN_TIME:
        return (struct nm_turn_rates){.time = circle / 4.0 * pow(64.0, -along)};
    case TURN_HEADING:
        return (struct nm_turn_rates){.heading = 1.0 + index};
    default:
        return (struct nm_turn_rates){0};
    }
}

static void fill_rates(const nm_model_config *c, struct nm_turn_rates *rates) {
    const uint32_t pairs = c->hidden / c->heads / 2;
    uint32_t count[TURN_KINDS] = {0};
    for (uint32_t i = 0; i < pairs; ++i) count[turn_kinds[i % 8]]++;
    for (uint32_t h = 0; h < c->heads; ++h) {
        uint32_t index[TURN_KINDS] = {0};
        for (uint32_t i = 0; i < pairs; ++i) {
            const int kind = turn_kinds[i % 8];
            rates[h * pairs + i] = rates_of(kind, index[kind]++, count[kind], h, c->heads);
        }
    }
}

nm_status nm_pass_create_joint(nm_pass *p, const nm_batch_capacity *capacity, nm_error *error) {
    const nm_model_config *c = &p->model->config;
    nm_joint_acts *j = &p->joint;
    const size_t tokens = (size_t)capacity->tokens + 1, scenes = (size_t)capacity->scenes + 1;
    if (!nm_model_is_joint(c)) return NM_OK;
    j->rates = calloc(c->hidden / 2, sizeof *j->rates);
    j->pose = calloc(tokens, 4 * sizeof *j->pose);
    j->host_turns = calloc(tokens, c->hidden * sizeof *j->host_turns);
    if (!j->rates || !j->pose || !j->host_turns)
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the places of %u tokens", capacity->tokens);
    fill_rates(c, j->rates);
    if (c->attention.kind != NM_ATTENTION_BLOCKS) return NM_OK;
    const size_t blocks = (size_t)nm_block_limit(capacity->tokens, capacity->scenes, c->attention.target) + 1;
    j->tokens = calloc(tokens, sizeof *j->tokens);
    j->indices = calloc(tokens + blocks + scenes, sizeof *j->indices);
    j->host_kept = calloc(scenes, 3 * c->heads * sizeof *j->host_kept);
    if (j->tokens && j->indices && j->host_kept) return NM_OK;
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for blocks of %u tokens", capacity->tokens);
}

void nm_pass_release_joint(nm_pass *p) {
    nm_joint_acts *j = &p->joint;
    free(j->rates);
    free(j->pose);
    free(j->host_turns);
    free(j->tokens);
    free(j->indices);
    free(j->host_kept);
}

// ---------------------------------------------------------------------------------------------------------------------
// Places

/// Tokens of an agent follow each other and are at one place: only what grows with time differs.
static void fill_turns(nm_pass *p) {
    const nm_joint_acts *j = &p->joint;
    const uint32_t width = p->model->config.hidden;
    for (uint32_t n = 0; n < p->batch.tokens; ++n) {
        const float *pose = j->pose + (size_t)n * 4;
        float *row = j->host_turns + (size_t)n * width;
        const int same = n > 0 && memcmp(pose, pose - 4, 4 * sizeof *pose) == 0;
        const double heading = same ? 0.0 : atan2((double)pose[3], (double)pose[2]);
        if (same) memcpy(row, row - width, width * sizeof *row);
        for (uint32_t i = 0; i < width / 2; ++i) {
            const struct nm_turn_rates *r = &j->rates[i];
            if (same && r->time == 0.0) continue;
            const double angle = r->x * (double)pose[0] + r->y * (double)pose[1] + r->heading * heading +
                                 r->time * (double)p->batch.position[n];
            row[2 * i] = (float)cos(angle);
            row[2 * i + 1] = (float)sin(angle);
        }
    }
}

static void upload_indices(nm_pass *p, const uint32_t *host, size_t count, const uint32_t *to) {
    p->backend->ops->upload_u32(p->backend, host, count, (uint32_t *)(uintptr_t)to);
}

static void partition(nm_pass *p, nm_block_kind kind) {
    nm_joint_acts *j = &p->joint;
    const nm_batch *b = &p->batch;
    nm_partition_config config = nm_partition_config_default();
    config.kind = kind;
    config.target = p->model->config.attention.target;
    nm_block_arrays arrays = {.tokens = b->capacity.tokens,
                              .blocks = nm_block_limit(b->capacity.tokens, b->capacity.scenes, config.target),
                              .scenes = b->capacity.scenes,
                              .rows = j->indices};
    arrays.block_offsets = arrays.rows + arrays.tokens;
    arrays.scene_blocks = arrays.block_offsets + arrays.blocks + 1;
    nm_block_set made;
    const nm_status status = nm_block_partition(&config, j->tokens, b->tokens, b->scenes, &arrays, &made, NULL);
    NM_ASSERT(status == NM_OK); // the configuration and the poses have been checked
    nm_block_set *to = &j->blocks[kind];
    upload_indices(p, made.rows, made.tokens, to->rows);
    upload_indices(p, made.block_offsets, (size_t)made.blocks + 1, to->block_offsets);
    upload_indices(p, made.scene_blocks, (size_t)made.scenes + 1, to->scene_blocks);
    made.rows = to->rows;
    made.block_offsets = to->block_offsets;
    made.scene_blocks = to->scene_blocks;
    *to = made;
}

void nm_pass_place(nm_pass *p, const float *pose) {
    nm_joint_acts *j = &p->joint;
    const uint32_t tokens = p->batch.tokens;
    const size_t bytes = (size_t)tokens * 4 * sizeof *pose;
    if (!nm_model_is_joint(&p->model->config) || (j->placed && memcmp(j->pose, pose, bytes) == 0)) return;
    memcpy(j->pose, pose, bytes);
    fill_turns(p);
    p->backend->ops->upload(p->backend, j->host_turns, j->turns);
    // how many blocks there are, and how large, is decided by the sizes of scenes: recordings go on with other places
    for (uint32_t n = 0; j->tokens && n < tokens; ++n)
        j->tokens[n] = (nm_block_token){
            .scene = p->batch.refs[n].scene, .time = p->batch.refs[n].time, .x = pose[4 * n], .y = pose[4 * n + 1]};
    for (int kind = 0; j->tokens && kind < NM_JOINT_KINDS; ++kind) partition(p, (nm_block_kind)kind);
    j->placed = 1;
}

nm_status nm_pass_check_joint(const nm_pass *p, nm_error *error) {
    const nm_attention_choice *a = &p->model->config.attention;
    if (a->kind != NM_ATTENTION_BLOCKS) return NM_OK;
    const uint64_t blocks = ((uint64_t)p->batch.by_scene.longest + a->target - 1) / a->target;
    if (p->batch.tokens * blocks <= UINT32_MAX) return NM_OK;
    return NM_ERROR(error, NM_E_LIMIT, "%u tokens with %llu blocks of %u in a scene are too many: take larger blocks",
                    p->batch.tokens, (unsigned long long)blocks, a->target);
}

void nm_pass_begin_joint(nm_pass *p) {
    const nm_row_lists *scenes = &p->batch.by_scene;
    nm_groups *all = &p->joint.everyone;
    p->joint.placed = 0;
    if (p->model->config.attention.kind != NM_ATTENTION_FULL) return;
    all->count = scenes->count;
    all->max_queries = all->max_keys = scenes->longest;
    upload_indices(p, scenes->offsets, (size_t)scenes->count + 1, all->query_offsets);
    upload_indices(p, scenes->rows, scenes->offsets[scenes->count], all->query_rows);
}

// ---------------------------------------------------------------------------------------------------------------------
// A layer

static void turn(nm_pass *p, nm_tensor x, int direction, nm_tensor y) {
    const nm_pair_turn op = {.x = x, .turns = p->joint.turns, .direction = direction, .y = y};
    p->backend->ops->turn(p->backend, &op);
}

static nm_attention attention_to_all(const nm_pass *p, uint32_t layer) {
    nm_attention op = nm_pass_layer_attention(p, layer, &p->layers[layer]);
    op.groups = &p->joint.everyone;
    return op;
}

/// Layers go through the kinds of blocks in turn.
static const nm_block_set *blocks_of(const nm_pass *p, uint32_t layer) {
    return &p->joint.blocks[layer / 2 % NM_JOINT_KINDS];
}

static nm_block_attention attention_to_blocks(const nm_pass *p, uint32_t layer) {
    const nm_attention op = nm_pass_layer_attention(p, layer, &p->layers[layer]);
    return (nm_block_attention){.q = op.q,
                                .k = op.k,
                                .v = op.v,
                                .heads = op.heads,
                                .blocks = blocks_of(p, layer),
                                .selected = p->layers[layer].selected,
                                .out = op.out,
                                .logsumexp = op.logsumexp};
}

static void select_blocks(nm_pass *p, const nm_block_attention *a, uint32_t layer) {
    const nm_joint_acts *j = &p->joint;
    const nm_block_select op = {.q = a->q,
                                .k = a->k,
                                .heads = a->heads,
                                .blocks = a->blocks,
                                .tau = p->model->config.attention.tau,
                                .means = nm_tensor_rows(j->means, 0, a->blocks->blocks),
                                .normaliser = j->normaliser,
                                .histogram = j->histogram,
                                .selected = a->selected,
                                .kept = j->kept[layer / 2]};
    p->backend->ops->block_select(p->backend, &op);
}

void nm_pass_joint_forward(nm_pass *p, uint32_t layer) {
    const nm_layer_acts *a = &p->layers[layer];
    turn(p, a->qkv, 1, a->qkv);
    if (p->model->config.attention.kind == NM_ATTENTION_FULL) {
        const nm_attention op = attention_to_all(p, layer);
        p->backend->ops->attention(p->backend, &op);
    } else {
        const nm_block_attention op = attention_to_blocks(p, layer);
        select_blocks(p, &op, layer);
        p->backend->ops->block_attention(p->backend, &op);
    }
    turn(p, a->attended, -1, a->turned);
}

void nm_pass_joint_backward(nm_pass *p, uint32_t layer, nm_tensor dout) {
    const uint32_t hidden = p->model->config.hidden;
    const nm_tensor dqkv = p->d.qkv, dq = nm_tensor_cols(dqkv, 0, hidden), dk = nm_tensor_cols(dqkv, hidden, hidden),
                    dv = nm_tensor_cols(dqkv, 2 * hidden, hidden);
    turn(p, dout, 1, dout);
    if (p->model->config.attention.kind == NM_ATTENTION_FULL) {
        const nm_attention_grad op = {
            .forward = attention_to_all(p, layer), .dout = dout, .dq = dq, .dk = dk, .dv = dv};
        p->backend->ops->attention_backward(p->backend, &op);
    } else {
        const nm_block_attention_grad op = {
            .forward = attention_to_blocks(p, layer), .dout = dout, .dq = dq, .dk = dk, .dv = dv};
        p->backend->ops->block_attention_backward(p->backend, &op);
    }
    turn(p, dqkv, -1, dqkv);
}

/// Scoring a block takes as much as scoring a key, and is done twice, as if there were values, too.
double nm_pass_joint_pairs(const nm_pass *p, uint32_t layer) {
    const nm_model_config *c = &p->model->config;
    const nm_joint_acts *j = &p->joint;
    const uint32_t *offsets = p->batch.by_scene.offsets, scenes = p->batch.by_scene.count;
    double sum = 0.0;
    nm_error ignored; // a backend that failed says so to whoever waits for a result
    if (c->attention.kind == NM_ATTENTION_BLOCKS) {
        p->backend->ops->download(p->backend, j->kept[layer / 2], j->host_kept);
        if (p->backend->ops->synchronize(p->backend, &ignored) != NM_OK) return (double)NAN;
    }
    for (uint32_t s = 0; s < scenes; ++s) {
        const double size = offsets[s + 1] - offsets[s];
        const double blocks = ceil(size / c->attention.target);
        if (c->attention.kind == NM_ATTENTION_FULL) sum += size * size;
        for (uint32_t h = 0; c->attention.kind == NM_ATTENTION_BLOCKS && blocks > 0.0 && h < c->heads; ++h) {
            const float *kept = j->host_kept + 3 * ((size_t)s * c->heads + h);
            sum += ((double)kept[1] * size / blocks + (double)kept[2]) / c->heads;
        }
    }
    return sum;
}
