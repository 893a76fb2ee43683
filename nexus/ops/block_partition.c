/// Blocks of tokens: a k-d tree whose leaves hold the same number of tokens, give or take one.
#include "nexus/ops/block_attention.h"

#include <math.h>

typedef enum axis { AXIS_TIME = 0, AXIS_X, AXIS_Y } axis;

typedef struct work {
    const nm_partition_config *config;
    const nm_block_token *tokens;
    uint32_t *rows; ///< of the scene at hand
} work;

nm_partition_config nm_partition_config_default(void) {
    return (nm_partition_config){.kind = NM_BLOCK_SPACE_TIME, .target = 128, .step_m = 5.0f};
}

static int compare(float a, float b) {
    return (a > b) - (a < b);
}

/// A total order along an axis. Where several tokens have the same value there, the other two decide, at last the
/// index.
static int is_before(const nm_block_token *tokens, axis along, uint32_t i, uint32_t j) {
    const nm_block_token *a = &tokens[i], *b = &tokens[j];
    const int time = (a->time > b->time) - (a->time < b->time);
    const int x = compare(a->x, b->x), y = compare(a->y, b->y);
    int first = time, then = x, last = y;
    if (along == AXIS_TIME && a->time % 2) then = -x; // there and back
    if (along == AXIS_X) first = x, then = y, last = time;
    if (along == AXIS_Y) first = y, then = x, last = time;
    const int order = first ? first : then ? then : last;
    return order ? order < 0 : i < j;
}

static void swap(uint32_t *rows, uint32_t i, uint32_t j) {
    const uint32_t row = rows[i];
    rows[i] = rows[j];
    rows[j] = row;
}

/// Moves the `k` least of rows[0 .. count) to the front (Hoare 1961). No order of the tokens makes it slow on purpose:
/// pivots are drawn, by a generator of Lehmer, always in the same way.
static void select_least(const nm_block_token *tokens, axis along, uint32_t *rows, uint32_t count, uint32_t k) {
    uint64_t draw = 1;
    while (count > 1 && k > 0 && k < count) {
        draw = draw * 48271 % 2147483647;
        swap(rows, 0, (uint32_t)(draw % count));
        uint32_t less = 0; // rows[1 .. less] are before the pivot, rows[0]
        for (uint32_t i = 1; i < count; i++) {
            if (is_before(tokens, along, rows[i], rows[0])) swap(rows, ++less, i);
        }
        swap(rows, 0, less);
        if (k <= less) {
            count = less;
        } else {
            rows += less + 1;
            count -= less + 1;
            k -= less + 1;
        }
    }
}

/// A block's rows in an order that the tokens give: sums over them do not depend on the order of tokens, then.
static void sort_block(const nm_block_token *tokens, uint32_t *rows, uint32_t count) {
    if (count < 2) return;
    const uint32_t half = count / 2;
    select_least(tokens, AXIS_TIME, rows, count, half);
    sort_block(tokens, rows, half);
    sort_block(tokens, rows + half, count - half);
}

/// Along which axis these tokens reach farthest, of those that the kind cuts.
static axis widest(const work *w, const uint32_t *rows, uint32_t count) {
    if (w->config->kind == NM_BLOCK_TIME) return AXIS_TIME;
    float low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (uint32_t i = 0; i < count; i++) {
        const nm_block_token *t = &w->tokens[rows[i]];
        const float at[3] = {w->config->step_m * (float)t->time, t->x, t->y};
        for (int a = 0; a < 3; a++) {
            low[a] = fminf(low[a], at[a]);
            high[a] = fmaxf(high[a], at[a]);
        }
    }
    const int in_time = w->config->kind == NM_BLOCK_SPACE_TIME;
    const float x = high[AXIS_X] - low[AXIS_X], y = high[AXIS_Y] - low[AXIS_Y], t = high[AXIS_TIME] - low[AXIS_TIME];
    if (in_time && t > x && t > y) return AXIS_TIME;
    return x >= y ? AXIS_X : AXIS_Y;
}

/// First token of block b out of `blocks` of a scene of `count` tokens.
static uint32_t start_of(uint32_t b, uint32_t blocks, uint32_t count) {
    return (uint32_t)((uint64_t)b * count / blocks);
}

/// Splits blocks [first, end) out of `blocks` of a scene of `count` tokens. As deep as a number has bits.
static void split(const work *w, uint32_t first, uint32_t end, uint32_t blocks, uint32_t count) {
    const uint32_t begin = start_of(first, blocks, count), tokens = start_of(end, blocks, count) - begin;
    uint32_t *rows = w->rows + begin;
    if (end - first == 1) {
        sort_block(w->tokens, rows, tokens);
        return;
    }
    const uint32_t middle = first + (end - first) / 2;
    select_least(w->tokens, widest(w, rows, tokens), rows, tokens, start_of(middle, blocks, count) - begin);
    split(w, first, middle, blocks, count);
    split(w, middle, end, blocks, count);
}

static nm_status check(const nm_partition_config *config, const nm_block_token *tokens, uint32_t count, uint32_t scenes,
                       const nm_block_arrays *arrays, nm_error *error) {
    if ((int)config->kind < 0 || config->kind > NM_BLOCK_SPACE_TIME)
        return NM_ERROR(error, NM_E_ARGUMENT, "there is no kind %d of blocks", (int)config->kind);
    if (config->target < NM_BLOCK_MIN || config->target > NM_BLOCK_MAX)
        return NM_ERROR(error, NM_E_ARGUMENT, "blocks of %u tokens, not of %d to %d", config->target, NM_BLOCK_MIN,
                        NM_BLOCK_MAX);
    if (!(config->step_m > 0.0f) || !isfinite(config->step_m))
        return NM_ERROR(error, NM_E_ARGUMENT, "a step of time counts as %g m, which is not over 0",
                        (double)config->step_m);
    if (count > arrays->tokens || scenes > arrays->scenes)
        return NM_ERROR(error, NM_E_LIMIT, "%u tokens of %u scenes; there is room for %u of %u", count, scenes,
                        arrays->tokens, arrays->scenes);
    for (uint32_t i = 0; i < count; i++) {
        if (tokens[i].scene >= scenes)
            return NM_ERROR(error, NM_E_ARGUMENT, "token %u is of scene %u; there are %u", i, tokens[i].scene, scenes);
        if (!isfinite(tokens[i].x) || !isfinite(tokens[i].y))
            return NM_ERROR(error, NM_E_NUMERIC, "the place of token %u is not finite", i);
    }
    return NM_OK;
}

/// rows = the tokens, scene by scene; starts[s] = where scene s + 1 begins.
static void sort_by_scene(const nm_block_token *tokens, uint32_t count, uint32_t scenes, uint32_t *rows,
                          uint32_t *starts) {
    for (uint32_t s = 0; s <= scenes; s++) starts[s] = 0;
    for (uint32_t i = 0; i < count; i++) starts[tokens[i].scene + 1]++;
    for (uint32_t s = 0; s < scenes; s++) starts[s + 1] += starts[s];
    for (uint32_t i = 0; i < count; i++) rows[starts[tokens[i].scene]++] = i;
}

nm_status nm_block_partition(const nm_partition_config *config, const nm_block_token *tokens, uint32_t count,
                             uint32_t scenes, const nm_block_arrays *arrays, nm_block_set *blocks, nm_error *error) {
    *blocks = (nm_block_set){0};
    const nm_status status = check(config, tokens, count, scenes, arrays, error);
    if (status != NM_OK) return status;
    sort_by_scene(tokens, count, scenes, arrays->rows, arrays->scene_blocks);
    nm_block_set made = {.tokens = count, .scenes = scenes};
    uint32_t begin = 0;
    for (uint32_t s = 0; s < scenes; s++) {
        const uint32_t end = arrays->scene_blocks[s], size = end - begin;
        const uint32_t own = (uint32_t)(((uint64_t)size + config->target - 1) / config->target);
        if (own > arrays->blocks - made.blocks)
            return NM_ERROR(error, NM_E_LIMIT, "scene %u makes more than the %u blocks that there is room for", s,
                            arrays->blocks);
        const work w = {config, tokens, arrays->rows + begin};
        if (own) split(&w, 0, own, own, size);
        for (uint32_t b = 0; b < own; b++) {
            arrays->block_offsets[made.blocks + b] = begin + start_of(b, own, size);
            const uint32_t block = start_of(b + 1, own, size) - start_of(b, own, size);
            if (block > made.max_block) made.max_block = block;
        }
        arrays->scene_blocks[s] = made.blocks;
        made.blocks += own;
        if (own > made.max_scene_blocks) made.max_scene_blocks = own;
        begin = end;
    }
    arrays->scene_blocks[scenes] = made.blocks;
    arrays->block_offsets[made.blocks] = count;
    made.rows = arrays->rows;
    made.block_offsets = arrays->block_offsets;
    made.scene_blocks = arrays->scene_blocks;
    *blocks = made;
    return NM_OK;
}
