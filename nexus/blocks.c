#include "nexus/blocks.h"

#include <stdlib.h>
#include <string.h>

nm_block_config nm_block_config_default(void) {
    return (nm_block_config){.size = 0, .memory = 8};
}

nm_status nm_block_config_check(const nm_block_config *c, const nm_token_config *tokens, nm_error *error) {
    if (c->size == 0) return NM_OK;
    if (tokens->encoding != NM_TOKENS_AGENT)
        return NM_ERROR(error, NM_E_ARGUMENT, "blocks need tokens in the agents' own frames");
    if (c->size > tokens->future)
        return NM_ERROR(error, NM_E_ARGUMENT, "a block has %u tokens, more than the %u of the future", c->size,
                        tokens->future);
    if (c->memory < 1 || c->memory > 1024)
        return NM_ERROR(error, NM_E_ARGUMENT, "a block sees %u tokens before it, not 1..1024", c->memory);
    return NM_OK;
}

uint32_t nm_block_parts(const nm_block_config *config, const nm_token_config *tokens) {
    return config->size ? (tokens->future + config->size - 1) / config->size : 1;
}

nm_status nm_block_growth_check(const nm_block_growth *g, const nm_block_config *config, nm_error *error) {
    if (g->count > NM_BLOCK_STAGES)
        return NM_ERROR(error, NM_E_ARGUMENT, "blocks of %u sizes, more than %d", g->count, NM_BLOCK_STAGES);
    for (uint32_t i = 0; i < g->count; ++i) {
        const nm_block_stage *s = &g->stage[i];
        if (i == 0 ? s->first != 0 : s->first <= s[-1].first)
            return NM_ERROR(error, NM_E_ARGUMENT,
                            "sizes of blocks begin at 0, each later than the one before, not %llu",
                            (unsigned long long)s->first);
        if (s->size < 1 || s->size > config->size)
            return NM_ERROR(error, NM_E_ARGUMENT, "blocks of %u tokens on the way to %u", s->size, config->size);
    }
    if (g->count == 0 || g->stage[g->count - 1].size == config->size) return NM_OK;
    return NM_ERROR(error, NM_E_ARGUMENT, "blocks end with %u tokens, not with %u", g->stage[g->count - 1].size,
                    config->size);
}

nm_block_config nm_block_growth_at(const nm_block_growth *g, const nm_block_config *config, uint64_t number) {
    nm_block_config at = *config;
    for (uint32_t i = 0; i < g->count && g->stage[i].first <= number; ++i) at.size = g->stage[i].size;
    return at;
}

// ---------------------------------------------------------------------------------------------------------------------
// Parts

static int in_block(const nm_block_config *c, const nm_token_config *tokens, uint32_t t) {
    return t > tokens->past && t <= tokens->past + c->size;
}

static int has_block(const nm_block_config *c, const nm_tokens *tokens) {
    const uint32_t steps = tokens->shape.steps;
    for (uint32_t a = 0; a < tokens->shape.agents; ++a)
        for (uint32_t t = 0; t < steps; ++t)
            if (in_block(c, &tokens->config, t) && tokens->logged[(size_t)a * steps + t]) return 1;
    return 0;
}

nm_status nm_block_parts_build(const nm_token_map *token_map, const nm_scene *scene, const nm_token_request *request,
                               const nm_block_config *config, uint32_t most, nm_arena *arena, nm_tokens *tokens,
                               nm_error *error) {
    NM_ASSERT(!request->generate && config->size > 0);
    nm_token_request at = *request;
    at.present = 1; // who has left is in no block: as a vehicle ahead it would stand in the way of those that are
    nm_status status = nm_tokens_build(token_map, scene, &at, arena, tokens, error);
    if (status == NM_OK) at.focus = tokens->track[0];
    nm_tokens *last = tokens;
    for (uint32_t i = 1; status == NM_OK && i < most; ++i) {
        at.current_step += config->size * NM_TOKEN_STEPS;
        if (at.current_step >= scene->step_count) break;
        const nm_arena_mark mark = nm_arena_get_mark(arena);
        nm_tokens *next = NM_ARENA_ARRAY(arena, nm_tokens, 1);
        if (!next) return NM_ERROR(error, NM_E_MEMORY, "no memory for the parts of a scene");
        nm_error ignored;
        const nm_status built = nm_tokens_build(token_map, scene, &at, arena, next, &ignored);
        if (built == NM_OK && has_block(config, next)) {
            last->next = next;
            last = next;
            continue;
        }
        nm_arena_release(arena, mark);
        if (built == NM_OK || built == NM_E_NOT_FOUND) break; // the recording ends, or the ego is gone
        status = built;
        if (error) *error = ignored;
    }
    return status;
}

nm_status nm_block_example(const nm_token_map *token_map, const nm_scene *scene, const nm_token_request *request,
                           const nm_block_config *config, uint32_t most, nm_arena *arena, nm_tokens *tokens,
                           nm_error *error) {
    if (!config->size) return nm_tokens_build(token_map, scene, request, arena, tokens, error);
    if (!most) most = nm_block_parts(config, nm_token_map_config(token_map));
    return nm_block_parts_build(token_map, scene, request, config, most, arena, tokens, error);
}

nm_status nm_block_cast_create(const nm_block_config *config, uint32_t agents, nm_arena *arena, nm_block_cast *cast,
                               nm_error *error) {
    *cast = (nm_block_cast){.config = *config, .most = agents};
    cast->track = NM_ARENA_ARRAY(arena, uint32_t, agents);
    if (!cast->track) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u agents of a scene", agents);
    nm_block_cast_clear(cast);
    return NM_OK;
}

void nm_block_cast_clear(nm_block_cast *cast) {
    for (uint32_t i = 0; i < cast->most; ++i) cast->track[i] = NM_NONE;
}

static uint32_t strand_of(const nm_block_cast *cast, uint32_t track) {
    uint32_t i = 0;
    while (i < cast->most && cast->track[i] != track) ++i;
    return i;
}

/// Strands of those who are not in the part are free again.
static void drop_the_rest(nm_block_cast *cast, const nm_tokens *tokens, const nm_block_role *role) {
    for (uint32_t i = 0; i < cast->most; ++i) {
        uint32_t a = 0;
        while (a < tokens->shape.agents && (role[a].strand == NM_NONE || tokens->track[a] != cast->track[i])) ++a;
        if (a == tokens->shape.agents) cast->track[i] = NM_NONE;
    }
}

void nm_block_cast_next(nm_block_cast *cast, const nm_tokens *tokens, uint8_t *valid, nm_block_role *role) {
    const nm_block_config *c = &cast->config;
    const uint32_t steps = tokens->shape.steps, agents = tokens->shape.agents, end = tokens->config.past + c->size;
    NM_ASSERT(agents <= cast->most && end < steps);
    for (uint32_t a = 0; a < agents; ++a) {
        int inside = 0;
        for (uint32_t t = tokens->config.past + 1; t <= end; ++t) inside |= tokens->valid[(size_t)a * steps + t];
        role[a] = (nm_block_role){.strand = inside ? 0 : NM_NONE};
    }
    drop_the_rest(cast, tokens, role);
    for (uint32_t a = 0; a < agents; ++a) {
        if (role[a].strand == NM_NONE) continue;
        uint32_t i = strand_of(cast, tokens->track[a]);
        role[a].begins = i == cast->most;
        if (role[a].begins) i = strand_of(cast, NM_NONE);
        NM_ASSERT(i < cast->most);
        cast->track[i] = tokens->track[a];
        role[a].strand = i;
    }
    for (uint32_t a = 0; a < agents; ++a) {
        const uint8_t *from = tokens->valid + (size_t)a * steps;
        const int inside = role[a].strand != NM_NONE;
        for (uint32_t t = 0; t < steps; ++t)
            valid[(size_t)a * steps + t] =
                inside && from[t] && (in_block(c, &tokens->config, t) || (role[a].begins && t <= tokens->config.past));
        if (inside && !from[end]) cast->track[role[a].strand] = NM_NONE; // it left: comes back as another
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Links

/// A clean token that a strand has left: its place, and the row of its key.
typedef struct trace {
    int64_t place;
    uint32_t row;
} trace;

struct nm_block_links {
    nm_block_links_config config;
    nm_row_lists queries, keys;
    float *time, *place; ///< [tokens]
    uint32_t first, count;
    uint32_t kept;  ///< memory + size: what a part and the past that it sees have at most
    trace *traces;  ///< [strands][kept] a ring for each strand
    uint32_t *left; ///< [strands] how many it has left so far
};

nm_link_capacity nm_block_links_capacity(const nm_block_links_config *c) {
    const uint64_t keys = (uint64_t)c->tokens * (c->blocks.memory + c->blocks.size);
    return (nm_link_capacity){.groups = c->tokens, .keys = keys < UINT32_MAX ? (uint32_t)keys : UINT32_MAX};
}

static int make_lists(nm_row_lists *lists, size_t groups, size_t rows) {
    lists->offsets = calloc(groups + 1, sizeof *lists->offsets);
    lists->rows = calloc(rows + 1, sizeof *lists->rows);
    return lists->offsets && lists->rows;
}

nm_status nm_block_links_create(const nm_block_links_config *config, nm_block_links **links, nm_error *error) {
    const nm_link_capacity room = nm_block_links_capacity(config);
    const uint64_t traces = (uint64_t)config->strands * ((uint64_t)config->blocks.memory + config->blocks.size);
    *links = NULL;
    if (room.keys >= NM_BATCH_MAX_ROWS || traces >= NM_BATCH_MAX_ROWS)
        return NM_ERROR(error, NM_E_LIMIT,
                        "blocks of %u tokens and %u strands have %u keys and %llu traces: %u at most", config->tokens,
                        config->strands, room.keys, (unsigned long long)traces, NM_BATCH_MAX_ROWS - 1);
    nm_block_links *l = calloc(1, sizeof *l);
    if (!l) return NM_ERROR(error, NM_E_MEMORY, "out of memory for links between blocks");
    l->config = *config;
    l->time = calloc((size_t)config->tokens + 1, sizeof *l->time);
    l->place = calloc((size_t)config->tokens + 1, sizeof *l->place);
    l->kept = config->blocks.memory + config->blocks.size;
    l->traces = calloc((size_t)config->strands * l->kept + 1, sizeof *l->traces);
    l->left = calloc((size_t)config->strands + 1, sizeof *l->left);
    if (!make_lists(&l->queries, room.groups, config->tokens) || !make_lists(&l->keys, room.groups, room.keys) ||
        !l->time || !l->place || !l->traces || !l->left) {
        nm_block_links_destroy(l);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the links of %u tokens", config->tokens);
    }
    nm_block_links_begin(l);
    *links = l;
    return NM_OK;
}

void nm_block_links_destroy(nm_block_links *l) {
    if (!l) return;
    void *parts[] = {
        l->queries.offsets, l->queries.rows, l->keys.offsets, l->keys.rows, l->time, l->place, l->traces, l->left, l};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) free(parts[i]);
}

void nm_block_links_begin(nm_block_links *l) {
    l->queries.count = l->queries.longest = l->keys.count = l->keys.longest = 0;
    l->count = l->first = 0;
}

void nm_block_links_forget(nm_block_links *l) {
    nm_block_links_begin(l);
    memset(l->left, 0, l->config.strands * sizeof *l->left);
}

static void put(nm_row_lists *lists, uint32_t *end, uint32_t row) {
    lists->rows[(*end)++] = row;
}

static void close_group(nm_row_lists *lists, uint32_t end) {
    const uint32_t size = end - lists->offsets[lists->count];
    if (size > lists->longest) lists->longest = size;
    lists->offsets[++lists->count] = end;
}

/// Rows [begin, end) of one agent in a part.
typedef struct run {
    const nm_batch *batch;
    const nm_block_part *part;
    uint32_t begin, end, strand;
    int64_t offset; ///< of a token's time to its place
    int64_t start;  ///< place at which the part begins
} run;

static int64_t place_of(const run *r, uint32_t row) {
    return (int64_t)(r->batch->refs[row].time % r->part->steps) + r->offset;
}

/// What a group sees: clean tokens with after < place <= until and, with `own`, its own.
typedef struct view {
    int64_t after, until;
    int own;
} view;

/// Rows [begin, end) have the same view.
static void add_group(nm_block_links *l, const run *r, uint32_t begin, uint32_t end, const view *sees) {
    if (begin == end) return;
    uint32_t query = l->queries.offsets[l->queries.count], key = l->keys.offsets[l->keys.count];
    const uint32_t left = l->left[r->strand];
    const trace *traces = l->traces + (size_t)r->strand * l->kept;
    for (uint32_t row = begin; row < end; ++row) put(&l->queries, &query, row);
    for (uint32_t i = left > l->kept ? left - l->kept : 0; i < left; ++i) {
        const trace *t = &traces[i % l->kept];
        if (t->place > sees->after && t->place <= sees->until) put(&l->keys, &key, t->row);
    }
    for (uint32_t row = begin; row < end && sees->own; ++row) put(&l->keys, &key, r->part->first + row);
    close_group(&l->queries, query);
    close_group(&l->keys, key);
}

static void leave(nm_block_links *l, const run *r, uint32_t row) {
    const uint32_t at = l->left[r->strand]++ % l->kept;
    l->traces[(size_t)r->strand * l->kept + at] = (trace){place_of(r, row), r->part->first + row};
}

/// Rows [begin, end) leave. alone: each sees what came before it and itself.
static void leave_all(nm_block_links *l, const run *r, uint32_t begin, uint32_t end, int alone) {
    for (uint32_t row = begin; row < end; ++row) {
        const int64_t place = place_of(r, row);
        leave(l, r, row);
        if (alone) add_group(l, r, row, row + 1, &(view){place - 1 - l->config.blocks.memory, place, 0});
    }
}

static void add_agent(nm_block_links *l, const run *r) {
    const nm_token_ref *refs = r->batch->refs;
    const int causal = l->config.blocks.causal, causal_block = causal && r->part->clean;
    const view past = {r->start - l->config.blocks.memory, r->start, 0}, together = {past.after, past.until, 1};
    uint32_t block = r->begin, twins;
    while (block < r->end && refs[block].time <= r->part->past) ++block;
    for (twins = block; twins < r->end && refs[twins].time < r->part->steps; ++twins) continue;
    leave_all(l, r, r->begin, block, causal);
    if (!causal) add_group(l, r, r->begin, block, &past);
    if (!r->part->last) leave_all(l, r, block, twins, causal_block); // the last block has no clean copy
    if (!causal_block) add_group(l, r, block, twins, &together);
    add_group(l, r, twins, r->end, &together);
    for (uint32_t row = r->begin; row < r->end; ++row) {
        l->time[row] = (float)(refs[row].time % r->part->steps) / (float)r->part->steps;
        l->place[row] = (float)place_of(r, row);
    }
}

void nm_block_links_add(nm_block_links *l, const nm_batch *batch, const nm_block_part *part) {
    NM_ASSERT(part->scene < batch->scenes && batch->tokens <= l->config.tokens);
    NM_ASSERT(batch->scene_tokens[part->scene] == l->count);
    const uint32_t end = batch->scene_tokens[part->scene + 1];
    const uint32_t size = part->size ? part->size : l->config.blocks.size;
    const int64_t offset = (int64_t)part->number * size;
    NM_ASSERT(size <= l->config.blocks.size && !(part->last && (part->clean || part->again)));
    l->first = part->first;
    for (uint32_t row = l->count; row < end;) {
        const nm_block_role *role = &part->role[batch->refs[row].agent];
        run r = {batch, part, row, row, part->strand + role->strand, offset, offset + part->past};
        NM_ASSERT(role->strand != NM_NONE && r.strand < l->config.strands);
        while (r.end < end && batch->refs[r.end].agent == batch->refs[row].agent) ++r.end;
        if (role->begins)
            l->left[r.strand] = 0;
        else if (part->again)
            l->left[r.strand] -= r.end - r.begin; // its block; what that overwrote nobody sees any more
        add_agent(l, &r);
        row = r.end;
    }
    l->count = end;
}

uint32_t nm_block_links_pack(nm_block_links *l, uint32_t number, uint32_t past, uint32_t rows, uint32_t *to) {
    const uint32_t memory = l->config.blocks.memory;
    const int64_t start = (int64_t)number * l->config.blocks.size + past;
    uint32_t count = 0;
    for (uint32_t row = 0; row < rows; ++row) to[row] = NM_NONE;
    for (int renumber = 0; renumber < 2; ++renumber) {
        for (uint32_t s = 0; s < l->config.strands; ++s) {
            trace *traces = l->traces + (size_t)s * l->kept;
            for (uint32_t i = 0; i < l->kept && i < l->left[s]; ++i) {
                if (traces[i].place <= start - memory) continue; // and later parts see still less
                NM_ASSERT(renumber || traces[i].row < rows);
                if (renumber)
                    traces[i].row = to[traces[i].row];
                else
                    to[traces[i].row] = 0;
            }
        }
        for (uint32_t row = 0; row < rows && !renumber; ++row)
            if (to[row] != NM_NONE) to[row] = count++;
    }
    return count;
}

nm_pass_links nm_block_links_get(const nm_block_links *l) {
    return (nm_pass_links){
        .queries = &l->queries, .keys = &l->keys, .first = l->first, .time = l->time, .position = l->place};
}
