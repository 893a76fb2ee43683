/// Every operation, forward and backward, as a recipe: a function that makes random inputs on a bench, runs the
/// operation there, and keeps what came out. test_ops_backends.c runs them on the reference and on a faster backend.
#ifndef NM_TESTS_NEXUS_OPS_RECIPES_H
#define NM_TESTS_NEXUS_OPS_RECIPES_H

#include "ops_support.h"

/// What a recipe is run at.
typedef struct nm_test_shape {
    uint32_t rows;
    uint32_t inputs, outputs; ///< columns
    uint32_t heads, depth;    ///< of attention
    int ragged;               ///< see nm_test_bench
} nm_test_shape;

typedef struct nm_test_recipe {
    const char *name;
    void (*run)(nm_test_bench *bench, const nm_test_shape *shape, int variant);
    int variants;
    int when_empty; ///< the contract speaks of 0 rows
} nm_test_recipe;

static inline nm_tensor nm_test_noise(nm_test_bench *bench, uint32_t rows, uint32_t cols, nm_test_kind kind) {
    return nm_test_tensor(bench, rows, cols, kind, 1);
}

// matrix products
// -------------------------------------------------------------------------------------------------------------------

/// A packed weight of a usual size. In bf16 it has the bits that bf16 keeps, unless products are taken in float32.
static inline nm_weight nm_test_weight(nm_test_bench *bench, uint32_t outputs, uint32_t inputs, int with_bias,
                                       int full) {
    nm_weight weight = {.product = full ? bench->backend->stream : bench->backend->compute};
    const size_t count = (size_t)outputs * inputs;
    float *values = malloc((count + 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++)
        values[i] = nm_test_round(bench, full ? NM_TEST_STREAM : NM_TEST_COMPUTE,
                                  nm_test_normal(&bench->random) / sqrtf((float)inputs));
    weight.value = nm_test_tensor_of(bench, outputs, inputs, NM_TEST_PARAMETER, values);
    free(values);
    if (with_bias) weight.bias = nm_test_noise(bench, 1, outputs, NM_TEST_PARAMETER);
    nm_error error;
    if (bench->backend->ops->pack_weight(bench->backend, &weight, &error) != NM_OK)
        fail_msg("pack_weight of %s: %s", bench->backend->name, error.message);
    return weight;
}

/// variant = epilogue + 5 * (0 all in the compute type, 1 x in the stream type, 2 products in the stream type,
/// 3 as 0, but p is not kept and the residual is y itself)
static inline void nm_test_linear(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    const nm_ops *ops = bench->backend->ops;
    const uint32_t rows = shape->rows, outputs = shape->outputs;
    const int types = variant / 5, full = types == 2, bare = types == 3;
    nm_linear op = {.epilogue = (nm_epilogue)(variant % 5)};
    op.x = nm_test_noise(bench, rows, shape->inputs, types && !bare ? NM_TEST_STREAM : NM_TEST_COMPUTE);
    op.weight = nm_test_weight(bench, outputs, shape->inputs, variant != 1, full);
    const int onto_stream = op.epilogue == NM_EPILOGUE_RESIDUAL || op.epilogue == NM_EPILOGUE_GATED;
    if (op.epilogue == NM_EPILOGUE_GATED) op.gate = nm_test_noise(bench, rows, outputs, NM_TEST_COMPUTE);
    if (!bare && (types != 1 || onto_stream)) op.pre = nm_test_noise(bench, rows, outputs, NM_TEST_COMPUTE);
    op.y = nm_test_noise(bench, rows, outputs, onto_stream || full ? NM_TEST_STREAM : NM_TEST_COMPUTE);
    if (onto_stream) op.residual = types == 1 || bare ? op.y : nm_test_noise(bench, rows, outputs, NM_TEST_STREAM);
    ops->linear(bench->backend, &op);
    nm_test_keep_sum(bench, "y", full, 1, op.y); // sums of products of size 1; far left, GELU is a difference
    if (op.pre.data) nm_test_keep_sum(bench, "pre", 0, 1, op.pre);

    // a weight that changed and was packed again
    float *values = malloc(((size_t)outputs * shape->inputs + 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < (size_t)outputs * shape->inputs; i++) values[i] = (float)(i % 5) * 0.25f - 0.5f;
    ops->upload(bench->backend, values, op.weight.value);
    assert_int_equal(ops->pack_weight(bench->backend, &op.weight, NULL), NM_OK);
    ops->linear(bench->backend, &op);
    nm_test_keep_sum(bench, "y of the renewed weight", full, 1, op.y);
    free(values);
    ops->release_weight(bench->backend, &op.weight);
}

/// variant: bit 0 dx is added to, bit 1 dx in the stream type, bit 2 the weight's products are in the stream type;
/// 8, 9, 10: dx, dweight, dbias alone
static inline void nm_test_linear_backward(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    const nm_ops *ops = bench->backend->ops;
    const uint32_t rows = shape->rows, inputs = shape->inputs, outputs = shape->outputs;
    const int alone = variant >= 8;
    nm_linear_grad op = {.x = nm_test_noise(bench, rows, inputs, NM_TEST_COMPUTE)};
    op.weight = nm_test_weight(bench, outputs, inputs, 1, !alone && variant & 4);
    op.dp = nm_test_noise(bench, rows, outputs, NM_TEST_COMPUTE);
    op.add_dx = !alone && variant & 1;
    if (!alone || variant == 8)
        op.dx = nm_test_noise(bench, rows, inputs, variant & 2 ? NM_TEST_STREAM : NM_TEST_COMPUTE);
    if (!alone || variant == 9) op.dweight = nm_test_noise(bench, outputs, inputs, NM_TEST_PARAMETER);
    if (!alone || variant == 10) op.dbias = nm_test_noise(bench, 1, outputs, NM_TEST_PARAMETER);
    ops->linear_backward(bench->backend, &op);
    if (op.dx.data) nm_test_keep_sum(bench, "dx", 0, 1, op.dx);
    if (op.dweight.data) nm_test_keep_sum(bench, "dweight", 0, 1, op.dweight);
    if (op.dbias.data) nm_test_keep_sum(bench, "dbias", 0, 1, op.dbias);
    ops->release_weight(bench->backend, &op.weight);
}

/// variant: 0 GELU, 1 SILU, 2 GATED, 3 and 4 the first two in place
static inline void nm_test_epilogue_backward(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    static const nm_epilogue epilogues[] = {NM_EPILOGUE_GELU, NM_EPILOGUE_SILU, NM_EPILOGUE_GATED, NM_EPILOGUE_GELU,
                                            NM_EPILOGUE_SILU};
    const uint32_t rows = shape->rows, cols = shape->outputs;
    nm_epilogue_grad op = {.epilogue = epilogues[variant]};
    const int gated = op.epilogue == NM_EPILOGUE_GATED;
    op.dy = nm_test_noise(bench, rows, cols, gated ? NM_TEST_STREAM : NM_TEST_COMPUTE);
    op.pre = nm_test_tensor(bench, rows, cols, NM_TEST_COMPUTE, 3);
    op.dp = variant > 2 ? op.dy : nm_test_noise(bench, rows, cols, NM_TEST_COMPUTE);
    if (gated) {
        op.gate = nm_test_noise(bench, rows, cols, NM_TEST_COMPUTE);
        op.dgate = nm_test_noise(bench, rows, cols, NM_TEST_COMPUTE);
    }
    bench->backend->ops->epilogue_backward(bench->backend, &op);
    nm_test_keep_sum(bench, "dp", 0, 1, op.dp); // slopes are differences, too
    if (gated) nm_test_keep(bench, "dgate", 0, op.dgate);
}

// normalisation and SiLU
// -------------------------------------------------------------------------------------------------------------------

/// variant: bit 0 modulated, bit 1 y and dy in the compute type, bit 2 no optional output
static inline void nm_test_layer_norm(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    const nm_ops *ops = bench->backend->ops;
    const uint32_t rows = shape->rows, cols = shape->inputs;
    const int modulated = variant & 1, compute = variant >> 1 & 1, bare = variant >> 2 & 1;
    nm_layer_norm op = {.epsilon = 1e-5f};
    op.x = nm_test_tensor(bench, rows, cols, NM_TEST_STREAM, 3);
    if (modulated) {
        op.scale = nm_test_noise(bench, rows, cols, NM_TEST_COMPUTE);
        op.shift = nm_test_noise(bench, rows, cols, NM_TEST_COMPUTE);
    } else {
        op.weight = nm_test_noise(bench, 1, cols, NM_TEST_PARAMETER);
        op.bias = nm_test_noise(bench, 1, cols, NM_TEST_PARAMETER);
    }
    op.y = nm_test_noise(bench, rows, cols, compute ? NM_TEST_COMPUTE : NM_TEST_STREAM);
    if (bare) {
        ops->layer_norm(bench->backend, &op);
        nm_test_keep_sum(bench, "y alone", !compute, 1, op.y);
    }
    op.statistics = nm_test_noise(bench, rows, 2, NM_TEST_PLAIN);
    ops->layer_norm(bench->backend, &op);
    nm_test_keep_sum(bench, "y", !compute, 1, op.y);
    nm_test_keep_sum(bench, "mean", 1, 1, nm_tensor_cols(op.statistics, 0, 1));
    nm_test_keep(bench, "1 / deviation", 1, nm_tensor_cols(op.statistics, 1, 1));

    nm_layer_norm_grad grad = {.x = op.x, .weight = op.weight, .scale = op.scale, .statistics = op.statistics};
    grad.dy = nm_test_noise(bench, rows, cols, compute ? NM_TEST_COMPUTE : NM_TEST_STREAM);
    if (!bare) grad.dx = nm_test_noise(bench, rows, cols, NM_TEST_STREAM);
    const uint32_t own = modulated ? rows : 1;
    const nm_test_kind kind = modulated ? NM_TEST_COMPUTE : NM_TEST_PARAMETER;
    nm_tensor *da = modulated ? &grad.dscale : &grad.dweight, *db = modulated ? &grad.dshift : &grad.dbias;
    *da = nm_test_noise(bench, own, cols, kind);
    *db = nm_test_noise(bench, own, cols, kind);
    ops->layer_norm_backward(bench->backend, &grad);
    if (!bare) nm_test_keep_sum(bench, "dx", 1, 1, grad.dx);
    nm_test_keep(bench, modulated ? "dscale" : "dweight", !modulated, *da);
    nm_test_keep(bench, modulated ? "dshift" : "dbias", !modulated, *db);
}

static inline void nm_test_silu(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    (void)variant;
    const nm_ops *ops = bench->backend->ops;
    const uint32_t rows = shape->rows, cols = shape->outputs;
    const nm_tensor x = nm_test_tensor(bench, rows, cols, NM_TEST_STREAM, 4);
    const nm_tensor y = nm_test_noise(bench, rows, cols, NM_TEST_COMPUTE);
    const nm_tensor dy = nm_test_noise(bench, rows, cols, NM_TEST_COMPUTE);
    const nm_tensor dx = nm_test_noise(bench, rows, cols, NM_TEST_STREAM);
    ops->silu(bench->backend, x, y);
    ops->silu_backward(bench->backend, x, dy, dx);
    nm_test_keep(bench, "y", 0, y);
    nm_test_keep_sum(bench, "dx", 1, 1, dx);
}

// attention
// -------------------------------------------------------------------------------------------------------------------

/// variant: bit 0 poses; above: 0 random groups, 1 with shared keys, 2 over time, 3 over agents, 4 few queries over
/// many shared keys
static inline void nm_test_attention(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    static nm_test_groups lists;
    const nm_ops *ops = bench->backend->ops;
    const int poses = variant & 1, who = variant >> 1;
    const uint32_t width = shape->heads * shape->depth;
    uint32_t queries = shape->rows + 3, keys = who == 4 ? 333 : shape->rows + 5;
    if (who == 2 || who == 3) {
        queries = keys = nm_test_groups_tokens(&bench->random, 2 + shape->rows / 9, 9, 0.8, who == 3, &lists);
    } else {
        const uint32_t count = who == 4 ? 2 + shape->rows / 50 : 2 + shape->rows / 7;
        nm_test_groups_random(&bench->random, queries, keys, count, who == 1 || who == 4, &lists);
    }
    const nm_groups groups = nm_test_groups_upload(bench, &lists);
    nm_attention op = {.heads = shape->heads, .groups = &groups};
    op.q = nm_test_noise(bench, queries, width, NM_TEST_COMPUTE);
    op.k = nm_test_noise(bench, keys, width, NM_TEST_COMPUTE);
    op.v = nm_test_noise(bench, keys, width, NM_TEST_COMPUTE);
    if (poses) {
        op.query_pose = nm_test_poses(bench, queries, 60);
        op.key_pose = nm_test_poses(bench, keys, 60);
        op.pose_weight = nm_test_noise(bench, shape->heads, NM_POSE_FEATURES, NM_TEST_PARAMETER);
    }
    op.out = nm_test_noise(bench, queries, width, NM_TEST_COMPUTE);
    ops->attention(bench->backend, &op); // logsumexp is optional
    nm_test_keep_sum(bench, "out alone", 0, 1, op.out);
    op.logsumexp = nm_test_noise(bench, queries, shape->heads, NM_TEST_PLAIN);
    ops->attention(bench->backend, &op);
    nm_test_keep_sum(bench, "out", 0, 1, op.out);
    nm_test_keep_sum(bench, "logsumexp", 0, 1, op.logsumexp);

    nm_attention_grad grad = {.forward = op, .dout = nm_test_noise(bench, queries, width, NM_TEST_COMPUTE)};
    grad.dq = nm_test_noise(bench, queries, width, NM_TEST_COMPUTE);
    grad.dk = nm_test_noise(bench, keys, width, NM_TEST_COMPUTE);
    grad.dv = nm_test_noise(bench, keys, width, NM_TEST_COMPUTE);
    if (poses) grad.dpose_weight = nm_test_noise(bench, shape->heads, NM_POSE_FEATURES, NM_TEST_PARAMETER);
    ops->attention_backward(bench->backend, &grad);
    // dout . v - dout . out cancels where one key has nearly all the weight, down to the rounding of out: the terms are
    // products of two or three normal numbers, divided by the root of the depth where their sum grows with it
    nm_test_keep_sum(bench, "dq", 0, 1, grad.dq);
    nm_test_keep_sum(bench, "dk", 0, 1, grad.dk);
    nm_test_keep_sum(bench, "dv", 0, 1, grad.dv);
    if (poses) nm_test_keep_sum(bench, "dpose_weight", 0, sqrt(shape->depth), grad.dpose_weight);
}

/// variant: direction
static inline void nm_test_rotary(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    const uint32_t depth = shape->depth + shape->depth % 2; // pairs
    const nm_tensor x = nm_test_noise(bench, shape->rows, shape->heads * depth, NM_TEST_COMPUTE);
    const nm_tensor time = nm_test_tensor(bench, shape->rows, 1, NM_TEST_PLAIN, 8);
    bench->backend->ops->rotary(bench->backend, x, time, shape->heads, variant ? -1 : 1);
    nm_test_keep_sum(bench, "x", 0, 1, x);
}

/// variant: direction, and whether into another tensor; one table for two parts side by side
static inline void nm_test_turn(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    const uint32_t width = shape->heads * (shape->depth + shape->depth % 2); // pairs
    nm_pair_turn op = {.x = nm_test_noise(bench, shape->rows, 2 * width, NM_TEST_COMPUTE),
                       .turns = nm_test_noise(bench, shape->rows, width, NM_TEST_PLAIN),
                       .direction = variant % 2 ? -1 : 1};
    op.y = variant / 2 ? nm_test_noise(bench, shape->rows, 2 * width, NM_TEST_COMPUTE) : op.x;
    bench->backend->ops->turn(bench->backend, &op);
    nm_test_keep_sum(bench, "y", 0, 1, op.y);
    nm_test_keep(bench, "x", 0, op.x);
}

// attention to blocks
// -------------------------------------------------------------------------------------------------------------------

enum { NM_TEST_BLOCK_TOKENS = 1024, NM_TEST_BLOCK_SCENES = 3 };

/// Tokens in three scenes, the second of them empty, cut into blocks; the arrays are in the bench's backend.
/// scene_blocks [tokens], nullable: how many blocks each token's scene has.
static inline nm_block_set nm_test_blocks(nm_test_bench *bench, uint32_t tokens, uint32_t target,
                                          uint32_t *scene_blocks) {
    static nm_block_token token[NM_TEST_BLOCK_TOKENS];
    static uint32_t rows[NM_TEST_BLOCK_TOKENS], offsets[NM_TEST_BLOCK_TOKENS], scenes[NM_TEST_BLOCK_SCENES + 1];
    assert_true(tokens <= NM_TEST_BLOCK_TOKENS);
    for (uint32_t i = 0; i < tokens; i++) {
        token[i] = (nm_block_token){.scene = nm_test_below(&bench->random, 4) ? 0 : 2,
                                    .time = nm_test_below(&bench->random, 9),
                                    .x = 30 * nm_test_normal(&bench->random),
                                    .y = 30 * nm_test_normal(&bench->random)};
    }
    const nm_block_arrays arrays = {.tokens = tokens,
                                    .blocks = NM_TEST_BLOCK_TOKENS - 1,
                                    .scenes = NM_TEST_BLOCK_SCENES,
                                    .rows = rows,
                                    .block_offsets = offsets,
                                    .scene_blocks = scenes};
    nm_partition_config config = nm_partition_config_default();
    config.target = target;
    nm_block_set set;
    assert_int_equal(nm_block_partition(&config, token, tokens, NM_TEST_BLOCK_SCENES, &arrays, &set, NULL), NM_OK);
    for (uint32_t i = 0; scene_blocks && i < tokens; i++)
        scene_blocks[i] = scenes[token[i].scene + 1] - scenes[token[i].scene];
    set.rows = nm_test_indices(bench, rows, tokens);
    set.block_offsets = nm_test_indices(bench, offsets, set.blocks + 1);
    set.scene_blocks = nm_test_indices(bench, scenes, NM_TEST_BLOCK_SCENES + 1);
    return set;
}

/// Any selection: one query in eight attends to nothing, one to everything, the others to a third of the blocks. Bits
/// of blocks that a scene has not got are 0.
static inline nm_tensor nm_test_selection(nm_test_bench *bench, const nm_block_set *set, const uint32_t *blocks_of_row,
                                          uint32_t heads) {
    const uint32_t words = nm_block_words(set->max_scene_blocks) + 1, cols = heads * words;
    uint32_t *host = calloc((size_t)set->tokens * cols + 1, sizeof *host);
    assert_non_null(host);
    for (uint32_t i = 0; i < set->tokens; i++) {
        for (uint32_t h = 0; h < heads; h++) {
            const uint32_t how = nm_test_below(&bench->random, 8);
            for (uint32_t b = 0; b < blocks_of_row[i]; b++) {
                const int in = how == 0 ? 0 : how == 1 ? 1 : nm_test_below(&bench->random, 3) == 0;
                if (in) host[(size_t)i * cols + h * words + b / 32] |= 1u << b % 32;
            }
        }
    }
    const nm_tensor t = {nm_test_indices(bench, host, (size_t)set->tokens * cols), set->tokens, cols, cols, NM_U32};
    free(host);
    return t;
}

/// variant: 1 and 2 heads of 32 columns, 2 few blocks that are larger than a tile
static inline void nm_test_block_attention(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    const nm_ops *ops = bench->backend->ops;
    const uint32_t heads = shape->heads, width = heads * (variant ? 32 : shape->depth);
    const uint32_t tokens = shape->rows + (variant == 2 ? 150 : 41), target = variant == 2 ? 150 : 16;
    static uint32_t blocks_of_row[NM_TEST_BLOCK_TOKENS];
    const nm_block_set set = nm_test_blocks(bench, tokens, target, blocks_of_row);
    nm_block_attention op = {.heads = heads, .blocks = &set};
    op.selected = nm_test_selection(bench, &set, blocks_of_row, heads);
    op.q = nm_test_noise(bench, tokens, width, NM_TEST_COMPUTE);
    op.k = nm_test_noise(bench, tokens, width, NM_TEST_COMPUTE);
    op.v = nm_test_noise(bench, tokens, width, NM_TEST_COMPUTE);
    op.out = nm_test_noise(bench, tokens, width, NM_TEST_COMPUTE);
    ops->block_attention(bench->backend, &op); // logsumexp is optional
    nm_test_keep_sum(bench, "out alone", 0, 1, op.out);
    op.logsumexp = nm_test_noise(bench, tokens, heads, NM_TEST_PLAIN);
    ops->block_attention(bench->backend, &op);
    nm_test_keep_sum(bench, "out", 0, 1, op.out);
    nm_test_keep_sum(bench, "logsumexp", 0, 1, op.logsumexp);
    nm_block_attention_grad grad = {.forward = op, .dout = nm_test_noise(bench, tokens, width, NM_TEST_COMPUTE)};
    grad.dq = nm_test_noise(bench, tokens, width, NM_TEST_COMPUTE);
    grad.dk = nm_test_noise(bench, tokens, width, NM_TEST_COMPUTE);
    grad.dv = nm_test_noise(bench, tokens, width, NM_TEST_COMPUTE);
    ops->block_attention_backward(bench->backend, &grad);
    nm_test_keep_sum(bench, "dq", 0, 1, grad.dq); // as of attention
    nm_test_keep_sum(bench, "dk", 0, 1, grad.dk);
    nm_test_keep_sum(bench, "dv", 0, 1, grad.dv);
}

/// What a selection is made of; which pairs it selects is compared in test_block_attention.c. variant: tau = 0, 0.5
/// (with heads of 32 columns), 1
static inline void nm_test_block_select(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    const uint32_t heads = shape->heads, width = heads * (variant == 1 ? 32 : shape->depth), tokens = shape->rows + 41;
    const nm_block_set set = nm_test_blocks(bench, tokens, 16, NULL);
    const uint32_t cols = heads * nm_block_words(set.max_scene_blocks), pairs = set.scenes * heads;
    nm_block_select op = {.heads = heads, .blocks = &set, .tau = 0.5f * (float)variant};
    op.q = nm_test_noise(bench, tokens, width, NM_TEST_COMPUTE);
    op.k = nm_test_noise(bench, tokens, width, NM_TEST_COMPUTE);
    op.means = nm_test_noise(bench, set.blocks, width, NM_TEST_PLAIN);
    op.normaliser = nm_test_noise(bench, tokens, heads, NM_TEST_PLAIN);
    op.kept = nm_test_noise(bench, pairs, 3, NM_TEST_PLAIN);
    uint32_t *words = calloc((size_t)2 * pairs * NM_BLOCK_LEVELS + (size_t)tokens * cols, sizeof *words);
    assert_non_null(words);
    words[0] = 7; // none is zeroed by the caller
    op.histogram = (nm_tensor){nm_test_indices(bench, words, (size_t)2 * pairs * NM_BLOCK_LEVELS), 2 * pairs,
                               NM_BLOCK_LEVELS, NM_BLOCK_LEVELS, NM_U32};
    op.selected = (nm_tensor){nm_test_indices(bench, words, (size_t)tokens * cols), tokens, cols, cols, NM_U32};
    free(words);
    bench->backend->ops->block_select(bench->backend, &op);
    nm_test_keep(bench, "means", 1, op.means);
    nm_test_keep_sum(bench, "normaliser", 1, 1, op.normaliser);
    if (variant != 1) nm_test_keep(bench, "kept", 0, op.kept); // one pair more or less, by rounding
}

// inputs
// -------------------------------------------------------------------------------------------------------------------

/// variant: bit 0 conditions, bit 1 spare columns, bit 2 out in the compute type
static inline void nm_test_assemble(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    const uint32_t rows = shape->rows, channels = 8, conditions = variant & 1 ? 5 : 0;
    nm_assemble op = {.known = nm_test_noise(bench, rows, channels, NM_TEST_STREAM),
                      .mask = nm_test_noise(bench, rows, channels, NM_TEST_STREAM),
                      .noised = nm_test_noise(bench, rows, channels, NM_TEST_STREAM)};
    if (conditions) op.condition = nm_test_noise(bench, rows, conditions, NM_TEST_STREAM);
    const uint32_t cols = 3 * channels + conditions + (variant & 2 ? 3 : 0);
    op.out = nm_test_noise(bench, rows, cols, variant & 4 ? NM_TEST_COMPUTE : NM_TEST_STREAM);
    bench->backend->ops->assemble(bench->backend, &op);
    nm_test_keep(bench, "out", !(variant & 4), op.out);
}

/// variant: out in the compute type
static inline void nm_test_sinusoid(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    const nm_tensor value = nm_test_tensor(bench, shape->rows, 1, NM_TEST_PLAIN, 4);
    const nm_tensor out =
        nm_test_noise(bench, shape->rows, 2 * shape->outputs, variant ? NM_TEST_COMPUTE : NM_TEST_STREAM);
    bench->backend->ops->sinusoid(bench->backend, value, out);
    nm_test_keep(bench, "out", !variant, out);
}

static inline void nm_test_tables(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    (void)variant;
    const nm_ops *ops = bench->backend->ops;
    const uint32_t rows = shape->rows, cols = shape->outputs;
    const nm_lookup a = nm_test_lookup(bench, 5, rows, cols), b = nm_test_lookup(bench, 1 + rows, rows, cols);
    const nm_tensor x = nm_test_noise(bench, rows, cols, NM_TEST_STREAM);
    ops->lookup(bench->backend, &a, &b, x);
    nm_test_keep_sum(bench, "x", 1, 1, x);
    const nm_tensor dx = nm_test_noise(bench, rows, cols, NM_TEST_STREAM);
    const nm_tensor da = nm_test_noise(bench, 5, cols, NM_TEST_COMPUTE);
    const nm_tensor db = nm_test_noise(bench, 1 + rows, cols, NM_TEST_COMPUTE);
    ops->lookup_backward(bench->backend, &a, dx, da);
    ops->lookup_backward(bench->backend, &b, dx, db);
    nm_test_keep(bench, "dtable a", 0, da);
    nm_test_keep(bench, "dtable b", 0, db);
}

static inline void nm_test_repeats(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    (void)variant;
    const nm_ops *ops = bench->backend->ops;
    const uint32_t rows = shape->rows, cols = shape->outputs, times = 3;
    const nm_tensor table = nm_test_noise(bench, rows, cols, NM_TEST_PARAMETER);
    const nm_tensor x = nm_test_noise(bench, times * rows, cols, NM_TEST_STREAM);
    ops->repeat(bench->backend, table, times, x);
    nm_test_keep(bench, "x", 1, x);
    const nm_tensor dx = nm_test_noise(bench, times * rows, cols, NM_TEST_STREAM);
    const nm_tensor dtable = nm_test_noise(bench, rows, cols, NM_TEST_PARAMETER);
    ops->repeat_backward(bench->backend, dx, times, dtable);
    nm_test_keep(bench, "dtable", 1, dtable);
}

// training
// -------------------------------------------------------------------------------------------------------------------

/// variant: without dv
static inline void nm_test_noise_loss(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    const uint32_t rows = shape->rows, channels = shape->outputs;
    nm_noise_loss op = {.v = nm_test_noise(bench, rows, channels, NM_TEST_STREAM),
                        .z = nm_test_noise(bench, rows, channels, NM_TEST_STREAM),
                        .e = nm_test_noise(bench, rows, channels, NM_TEST_STREAM),
                        .alpha = nm_test_noise(bench, rows, 1, NM_TEST_PLAIN),
                        .sigma = nm_test_noise(bench, rows, 1, NM_TEST_PLAIN)};
    float *weights = malloc(rows * sizeof *weights); // not negative, one in four is 0
    assert_non_null(weights);
    for (uint32_t n = 0; n < rows; n++) weights[n] = fmaxf(0, nm_test_uniform(&bench->random) - 0.25f) / (float)rows;
    op.row_weight = nm_test_tensor_of(bench, rows, 1, NM_TEST_PLAIN, weights);
    free(weights);
    op.loss = nm_test_noise(bench, 1, 1, NM_TEST_DOUBLE);
    if (!variant) op.dv = nm_test_noise(bench, rows, channels, NM_TEST_COMPUTE);
    bench->backend->ops->noise_loss(bench->backend, &op);
    nm_test_keep(bench, "loss", 1, op.loss);
    if (!variant) nm_test_keep(bench, "dv", 0, op.dv);
}

/// variant: bit 0 moving average, bit 1 mask of decay
static inline void nm_test_adamw(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    const uint32_t count = shape->rows * shape->outputs;
    nm_adamw op = {.rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 1e-8f, .decay = 0.1f};
    op.gradient_scale = 0.5f;
    op.ema_decay = 0.75f;
    float *mask = malloc(count * sizeof *mask);
    assert_non_null(mask);
    for (uint32_t i = 0; i < count; i++) mask[i] = (float)nm_test_below(&bench->random, 2);
    op.parameter = nm_test_noise(bench, 1, count, NM_TEST_PARAMETER);
    op.first = nm_test_tensor(bench, 1, count, NM_TEST_PARAMETER, 0);
    op.second = nm_test_tensor(bench, 1, count, NM_TEST_PARAMETER, 0);
    if (variant & 1) op.ema = nm_test_noise(bench, 1, count, NM_TEST_PARAMETER);
    if (variant & 2) op.decay_mask = nm_test_tensor_of(bench, 1, count, NM_TEST_PARAMETER, mask);
    free(mask);
    for (op.step = 1; op.step <= 4; op.step++) {
        op.gradient = nm_test_noise(bench, 1, count, NM_TEST_PARAMETER);
        bench->backend->ops->adamw(bench->backend, &op);
    }
    nm_test_keep(bench, "parameter", 1, op.parameter);
    nm_test_keep(bench, "first", 1, op.first);
    nm_test_keep(bench, "second", 1, op.second);
    if (variant & 1) nm_test_keep(bench, "ema", 1, op.ema);
}

static inline void nm_test_square_sum(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    (void)variant;
    const nm_tensor x = nm_test_noise(bench, shape->rows, shape->outputs, NM_TEST_PARAMETER);
    const nm_tensor sum = nm_test_noise(bench, 1, 1, NM_TEST_DOUBLE);
    bench->backend->ops->square_sum(bench->backend, x, sum);
    nm_test_keep(bench, "sum", 1, sum);
}

/// Memory: converting there and back, and zeroing part of a tensor.
static inline void nm_test_memory(nm_test_bench *bench, const nm_test_shape *shape, int variant) {
    (void)variant;
    const nm_ops *ops = bench->backend->ops;
    const nm_tensor compute = nm_test_noise(bench, shape->rows, shape->outputs, NM_TEST_COMPUTE);
    const nm_tensor stream = nm_test_noise(bench, shape->rows, shape->outputs, NM_TEST_STREAM);
    ops->convert(bench->backend, compute, stream);
    nm_test_keep(bench, "from the compute type", 1, stream);
    ops->zero(bench->backend, nm_tensor_cols(stream, shape->outputs / 2, 1));
    nm_test_keep(bench, "a column of zeros", 1, stream);
    ops->convert(bench->backend, stream, compute);
    nm_test_keep(bench, "to the compute type", 1, compute);
}

static const nm_test_recipe nm_test_recipes[] = {
    {"memory", nm_test_memory, 1, 0},
    {"linear", nm_test_linear, 20, 1},
    {"linear_backward", nm_test_linear_backward, 11, 1},
    {"epilogue_backward", nm_test_epilogue_backward, 5, 0},
    {"layer_norm", nm_test_layer_norm, 8, 0},
    {"silu", nm_test_silu, 1, 0},
    {"attention", nm_test_attention, 10, 0},
    {"block_attention", nm_test_block_attention, 3, 0},
    {"block_select", nm_test_block_select, 3, 0},
    {"rotary", nm_test_rotary, 2, 0},
    {"turn", nm_test_turn, 4, 0},
    {"assemble", nm_test_assemble, 8, 0},
    {"sinusoid", nm_test_sinusoid, 2, 0},
    {"lookup", nm_test_tables, 1, 0},
    {"repeat", nm_test_repeats, 1, 0},
    {"noise_loss", nm_test_noise_loss, 2, 0},
    {"adamw", nm_test_adamw, 4, 0},
    {"square_sum", nm_test_square_sum, 1, 0},
};
enum { NM_TEST_RECIPES = sizeof nm_test_recipes / sizeof *nm_test_recipes };

#endif
