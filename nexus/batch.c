#include "nexus/batch.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/finite.h"

/// The block of a batch, cut up in one place so that the sum and the pointers can not disagree. A NULL block only sums.
typedef struct cutter {
    char *block;
    size_t used;
} cutter;

static void *cut(cutter *c, size_t count, size_t size) {
    void *here = c->block ? c->block + c->used : NULL;
    c->used += (count * size + 63) & ~(size_t)63;
    return here;
}

static void cut_lists(cutter *c, nm_row_lists *lists, size_t groups, size_t rows) {
    lists->offsets = cut(c, groups + 1, sizeof *lists->offsets);
    lists->rows = cut(c, rows, sizeof *lists->rows);
}

static size_t lay_out(nm_batch *b, const nm_batch_capacity *capacity, uint32_t map_channels, char *block) {
    cutter c = {block, 0};
    const size_t scenes = capacity->scenes, tokens = capacity->tokens, points = capacity->points;
    b->refs = cut(&c, tokens, sizeof *b->refs);
    b->scene_tokens = cut(&c, scenes + 1, sizeof *b->scene_tokens);
    cut_lists(&c, &b->by_agent, tokens, tokens);
    cut_lists(&c, &b->by_time, tokens, tokens);
    cut_lists(&c, &b->by_scene, scenes, tokens);
    cut_lists(&c, &b->map_by_scene, scenes, points);
    cut_lists(&c, &b->map_by_agent, tokens, points);
    b->time = cut(&c, tokens, sizeof *b->time);
    b->position = cut(&c, tokens, sizeof *b->position);
    b->map = cut(&c, points * (size_t)map_channels, sizeof *b->map);
    b->cursors = cut(&c, tokens, sizeof *b->cursors);
    return c.used;
}

size_t nm_batch_bytes(const nm_batch_capacity *capacity, uint32_t map_channels) {
    nm_batch unused;
    return lay_out(&unused, capacity, map_channels, NULL);
}

nm_status nm_batch_create(const nm_batch_capacity *capacity, uint32_t map_channels, nm_batch *batch, nm_error *error) {
    *batch = (nm_batch){.capacity = *capacity, .map_channels = map_channels};
    // rows are counted in 32 bits, and rows times columns in size_t
    if (capacity->scenes >= NM_BATCH_MAX_ROWS || capacity->tokens >= NM_BATCH_MAX_ROWS ||
        capacity->points >= NM_BATCH_MAX_ROWS || map_channels >= NM_BATCH_MAX_ROWS)
        return NM_ERROR(error, NM_E_LIMIT,
                        "a batch of %u scenes, %u tokens, %u map rows of %u channels: at most %u of each",
                        capacity->scenes, capacity->tokens, capacity->points, map_channels, NM_BATCH_MAX_ROWS - 1);
    const size_t bytes = nm_batch_bytes(capacity, map_channels);
    batch->block = aligned_alloc(64, bytes);
    if (!batch->block) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a batch of %zu bytes", bytes);
    lay_out(batch, capacity, map_channels, batch->block);
    return nm_batch_set(batch, NULL, 0, 0, error);
}

void nm_batch_destroy(nm_batch *batch) {
    if (!batch) return;
    free(batch->block);
    *batch = (nm_batch){0};
}

static void open_group(nm_row_lists *lists, uint32_t first) {
    lists->offsets[lists->count] = first;
}
/// Closes the group that open_group began; `end` rows are in all lists now.
static void close_group(nm_row_lists *lists, uint32_t end) {
    const uint32_t size = end - lists->offsets[lists->count];
    if (size > lists->longest) lists->longest = size;
    lists->offsets[++lists->count] = end;
}

/// Tokens of one scene, agent by agent. Agents without a token get no group.
static nm_status add_tokens(nm_batch *b, const nm_token_scene *scene, nm_error *error) {
    const uint32_t first = b->tokens;
    for (uint32_t agent = 0; agent < scene->agents; ++agent) {
        const uint8_t *valid = scene->valid + (size_t)agent * scene->steps;
        const uint32_t begin = b->tokens;
        open_group(&b->by_agent, begin);
        for (uint32_t t = 0; t < scene->steps; ++t) {
            if (!valid[t]) continue;
            if (b->tokens == b->capacity.tokens)
                return NM_ERROR(error, NM_E_LIMIT, "scene %u, agent %u, step %u: more than the %u tokens of a batch",
                                b->scenes, agent, t, b->capacity.tokens);
            const uint32_t row = b->tokens++;
            b->refs[row] = (nm_token_ref){b->scenes, agent, t};
            b->time[row] = (float)t / (float)scene->steps;
            b->position[row] = (float)t;
            b->by_agent.rows[row] = row;
            b->by_scene.rows[row] = row;
        }
        if (b->tokens > begin) close_group(&b->by_agent, b->tokens);
    }
    open_group(&b->by_scene, first);
    close_group(&b->by_scene, b->tokens);
    return NM_OK;
}

/// The same tokens again, time by time: agents are walked with a cursor each, in order.
static void add_times(nm_batch *b, uint32_t first_group, uint32_t steps) {
    const nm_row_lists *agents = &b->by_agent;
    uint32_t next = b->scene_tokens[b->scenes];
    for (uint32_t g = first_group; g < agents->count; ++g) b->cursors[g] = agents->offsets[g];
    for (uint32_t t = 0; t < steps && next < b->tokens; ++t) {
        const uint32_t begin = next;
        open_group(&b->by_time, begin);
        for (uint32_t g = first_group; g < agents->count; ++g) {
            const uint32_t row = b->cursors[g];
            if (row == agents->offsets[g + 1] || b->refs[row].time != t) continue;
            b->by_time.rows[next++] = row;
            b->cursors[g]++;
        }
        if (next > begin) close_group(&b->by_time, next);
    }
}

static bool takes(const nm_token_scene *scene, uint32_t point, bool padding) {
    const bool valid = !scene->map_valid || scene->map_valid[point];
    return valid != padding;
}

static nm_status check_owner(const nm_batch *b, const nm_token_scene *scene, uint32_t point, nm_error *error) {
    if (!scene->map_agent || scene->map_agent[point] < scene->agents || scene->map_agent[point] == NM_NO_AGENT)
        return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT, "scene %u, map row %u: agent %u of %u", b->scenes, point,
                    scene->map_agent[point], scene->agents);
}

static nm_status add_point(nm_batch *b, const nm_token_scene *scene, uint32_t point, nm_error *error) {
    if (b->points == b->capacity.points)
        return NM_ERROR(error, NM_E_LIMIT, "scene %u, map row %u: more than the %u map rows of a batch", b->scenes,
                        point, b->capacity.points);
    const float *from = scene->map + (size_t)point * b->map_channels;
    const int finite = nm_all_finite(from, b->map_channels);
    for (uint32_t c = 0; c < b->map_channels && !finite; ++c) {
        if (!isfinite(from[c]))
            return NM_ERROR(error, NM_E_NUMERIC, "scene %u, map row %u, channel %u: not a finite number", b->scenes,
                            point, c);
    }
    const nm_status status = check_owner(b, scene, point, error);
    if (status != NM_OK) return status;
    memcpy(b->map + (size_t)b->points * b->map_channels, from, b->map_channels * sizeof *from);
    b->map_by_scene.rows[b->points] = b->points;
    b->points++;
    return NM_OK;
}

static nm_status add_points(nm_batch *b, const nm_token_scene *scene, bool padding, nm_error *error) {
    open_group(&b->map_by_scene, b->points);
    for (uint32_t p = 0; p < scene->points; ++p) {
        if (!takes(scene, p, padding)) continue;
        const nm_status status = add_point(b, scene, p, error);
        if (status != NM_OK) return status;
    }
    close_group(&b->map_by_scene, b->points);
    return NM_OK;
}

/// The group of an agent of the scene whose groups begin at `first`, or count when it has no token.
static uint32_t group_of(const nm_batch *b, uint32_t first, uint32_t agent) {
    uint32_t low = first, high = b->by_agent.count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (b->refs[b->by_agent.offsets[middle]].agent < agent)
            low = middle + 1;
        else
            high = middle;
    }
    const bool found = low < b->by_agent.count && b->refs[b->by_agent.offsets[low]].agent == agent;
    return found ? low : b->by_agent.count;
}

/// Map rows by the agent they belong to: a counting sort over the scene's agents, in the order of the rows. Rows of
/// agents without a token are in no group.
static void add_agent_points(nm_batch *b, const nm_token_scene *scene, uint32_t first_group, bool padding) {
    nm_row_lists *lists = &b->map_by_agent;
    const uint32_t end = b->by_agent.count, base = lists->offsets[first_group];
    for (uint32_t g = first_group; g < end; ++g) b->cursors[g] = 0;
    for (uint32_t p = 0; scene->map_agent && p < scene->points; ++p) {
        const uint32_t g = takes(scene, p, padding) ? group_of(b, first_group, scene->map_agent[p]) : end;
        if (g < end) b->cursors[g]++;
    }
    uint32_t next = base;
    for (uint32_t g = first_group; g < end; ++g) {
        open_group(lists, next);
        const uint32_t size = b->cursors[g];
        b->cursors[g] = next;
        next += size;
        close_group(lists, next);
    }
    uint32_t row = b->map_by_scene.offsets[b->scenes];
    for (uint32_t p = 0; scene->map_agent && p < scene->points; ++p) {
        if (!takes(scene, p, padding)) continue;
        const uint32_t g = group_of(b, first_group, scene->map_agent[p]);
        if (g < end) lists->rows[b->cursors[g]++] = row;
        row++;
    }
}

static nm_status add_scene(nm_batch *b, const nm_token_scene *scene, bool padding, nm_error *error) {
    const uint32_t first_group = b->by_agent.count;
    nm_status status = add_tokens(b, scene, error);
    if (status == NM_OK) status = add_points(b, scene, padding, error);
    if (status != NM_OK) return status;
    add_times(b, first_group, scene->steps);
    add_agent_points(b, scene, first_group, padding);
    b->scene_tokens[++b->scenes] = b->tokens;
    return NM_OK;
}

static void empty(nm_row_lists *lists) {
    lists->count = lists->longest = 0;
    lists->offsets[0] = 0;
}

static void empty_tokens(nm_batch *b) {
    b->scenes = b->tokens = 0;
    b->scene_tokens[0] = 0;
    empty(&b->by_agent);
    empty(&b->by_time);
    empty(&b->by_scene);
    empty(&b->map_by_agent);
}

nm_status nm_batch_set(nm_batch *batch, const nm_token_scene *scenes, uint32_t count, int use_padding,
                       nm_error *error) {
    batch->points = 0;
    empty_tokens(batch);
    empty(&batch->map_by_scene);
    if (count > batch->capacity.scenes)
        return NM_ERROR(error, NM_E_LIMIT, "%u scenes in a batch for %u", count, batch->capacity.scenes);
    for (uint32_t i = 0; i < count; ++i) {
        const nm_status status = add_scene(batch, &scenes[i], use_padding, error);
        if (status == NM_OK) continue;
        nm_error ignored; // half a batch is of no use to anybody
        nm_batch_set(batch, NULL, 0, 0, &ignored);
        return status;
    }
    return NM_OK;
}

/// The map rows of a scene with owners must be those that are packed.
static nm_status check_owners(const nm_batch *b, const nm_token_scene *scene, bool padding, nm_error *error) {
    uint32_t taken = 0;
    for (uint32_t p = 0; scene->map_agent && p < scene->points; ++p) {
        if (!takes(scene, p, padding)) continue;
        const nm_status status = check_owner(b, scene, p, error);
        if (status != NM_OK) return status;
        taken++;
    }
    const uint32_t packed = b->map_by_scene.offsets[b->scenes + 1] - b->map_by_scene.offsets[b->scenes];
    if (!scene->map_agent || taken == packed) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT, "scene %u has %u map rows, not the %u of its map", b->scenes, taken, packed);
}

static nm_status add_tokens_only(nm_batch *b, const nm_token_scene *scene, bool padding, nm_error *error) {
    const uint32_t first_group = b->by_agent.count;
    nm_status status = check_owners(b, scene, padding, error);
    if (status == NM_OK) status = add_tokens(b, scene, error);
    if (status != NM_OK) return status;
    add_times(b, first_group, scene->steps);
    add_agent_points(b, scene, first_group, padding);
    b->scene_tokens[++b->scenes] = b->tokens;
    return NM_OK;
}

void nm_batch_clear_tokens(nm_batch *batch) {
    const nm_token_scene nobody = {0};
    nm_error ignored;
    empty_tokens(batch);
    for (uint32_t i = 0; i < batch->map_by_scene.count; ++i) add_tokens_only(batch, &nobody, false, &ignored);
}

nm_status nm_batch_set_tokens(nm_batch *batch, const nm_token_scene *scenes, uint32_t count, int use_padding,
                              nm_error *error) {
    const uint32_t maps = batch->map_by_scene.count;
    nm_status status = NM_OK;
    if (count != maps) status = NM_ERROR(error, NM_E_ARGUMENT, "tokens of %u scenes for the maps of %u", count, maps);
    empty_tokens(batch);
    for (uint32_t i = 0; i < maps && status == NM_OK; ++i)
        status = add_tokens_only(batch, &scenes[i], use_padding, error);
    if (status != NM_OK) nm_batch_clear_tokens(batch);
    return status;
}

void nm_batch_gather(const nm_batch *batch, uint32_t scene, uint32_t steps, uint32_t channels, const float *padded,
                     float *packed) {
    NM_ASSERT(scene < batch->scenes);
    for (uint32_t row = batch->scene_tokens[scene]; row < batch->scene_tokens[scene + 1]; ++row) {
        const size_t from = (size_t)batch->refs[row].agent * steps + batch->refs[row].time;
        memcpy(packed + (size_t)row * channels, padded + from * channels, channels * sizeof *packed);
    }
}

void nm_batch_scatter(const nm_batch *batch, uint32_t scene, uint32_t steps, uint32_t channels, const float *packed,
                      float *padded) {
    NM_ASSERT(scene < batch->scenes);
    for (uint32_t row = batch->scene_tokens[scene]; row < batch->scene_tokens[scene + 1]; ++row) {
        const size_t to = (size_t)batch->refs[row].agent * steps + batch->refs[row].time;
        memcpy(padded + to * channels, packed + (size_t)row * channels, channels * sizeof *packed);
    }
}
