#include "nexus/block_cache.h"

#include <stdlib.h>
#include <string.h>

#include "nexus/finite.h"

struct nm_block_cache {
    nm_model *model;
    nm_recipe recipe;
    uint32_t most_scenes;
    uint32_t page;   ///< rows of a block at most
    uint32_t room;   ///< kept rows there are: what attention sees of those before, and a page
    uint32_t end;    ///< of those in use: the block that is set begins there, or, once it is kept, the next one
    uint32_t number; ///< of the block that is set
    uint32_t scenes; ///< of it; 0 = none is set
    int kept;        ///< the block that is set is kept
    uint32_t *moved; ///< [room] where kept rows move to
    nm_arena *arena;
    nm_pass *pass;
    nm_block_links *links;
    nm_pass_denoiser context;
    nm_denoiser denoiser;
    nm_block_cast *casts;           ///< [most_scenes]
    nm_block_role *roles;           ///< [most_scenes][agents]
    uint8_t *valid;                 ///< [most_scenes][agents][T]
    nm_token_scene *shapes;         ///< [most_scenes]
    const nm_path **paths;          ///< [most_scenes]
    float *condition, *pose;        ///< [page][K], [page][4]
    float *ones, *zeros, *v;        ///< [page][C], [page], [page][C]
    uint32_t *scene, *agent, *time; ///< [page]
};

static uint32_t tokens_of_agent(const nm_recipe *r) {
    return r->tokens.past + 1 + r->blocks.size;
}

static int allocate(nm_block_cache *c) {
    nm_arena *a = c->arena;
    const nm_model_config *m = nm_model_get_config(c->model);
    const size_t scenes = c->most_scenes, agents = c->recipe.tokens.agents, page = c->page, channels = m->channels;
    return (c->casts = NM_ARENA_ARRAY(a, nm_block_cast, scenes)) &&
           (c->roles = NM_ARENA_ARRAY(a, nm_block_role, scenes * agents)) &&
           (c->valid = NM_ARENA_ARRAY(a, uint8_t, scenes * agents * nm_token_count(&c->recipe.tokens))) &&
           (c->shapes = NM_ARENA_ARRAY(a, nm_token_scene, scenes)) &&
           (c->paths = NM_ARENA_ARRAY(a, const nm_path *, scenes)) &&
           (c->condition = NM_ARENA_ARRAY(a, float, page * m->conditions + 1)) &&
           (c->pose = NM_ARENA_ARRAY(a, float, page * 4)) && (c->ones = NM_ARENA_ARRAY(a, float, page *channels)) &&
           (c->zeros = NM_ARENA_ARRAY(a, float, page)) && (c->v = NM_ARENA_ARRAY(a, float, page *channels)) &&
           (c->scene = NM_ARENA_ARRAY(a, uint32_t, page)) && (c->agent = NM_ARENA_ARRAY(a, uint32_t, page)) &&
           (c->time = NM_ARENA_ARRAY(a, uint32_t, page)) && (c->moved = NM_ARENA_ARRAY(a, uint32_t, c->room)) &&
           (c->context.scratch = NM_ARENA_ARRAY(a, float, page *(channels * 3 + 1)));
}

static nm_status create_casts(nm_block_cache *c, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t i = 0; i < c->most_scenes && status == NM_OK; ++i)
        status = nm_block_cast_create(&c->recipe.blocks, c->recipe.tokens.agents, c->arena, &c->casts[i], error);
    return status;
}

/// Bytes of a kept row in all temporal layers.
static uint64_t row_bytes(const nm_model *model) {
    const nm_model_config *m = nm_model_get_config(model);
    return UINT64_C(2) * m->hidden * nm_dtype_size(nm_model_get_backend(model)->compute) * m->blocks;
}

/// How many rows there are to be, or why not so many.
static nm_status size_up(nm_block_cache *c, nm_error *error) {
    const nm_token_config *t = &c->recipe.tokens;
    const nm_block_config *blocks = &c->recipe.blocks;
    const uint64_t strands = (uint64_t)c->most_scenes * t->agents;
    const uint64_t page = strands * tokens_of_agent(&c->recipe), room = page + strands * blocks->memory;
    const uint64_t keys = page * (blocks->memory + blocks->size), bytes = room * row_bytes(c->model);
    const uint64_t map = c->most_scenes * (uint64_t)nm_token_map_rows(t, t->agents);
    const uint64_t most = keys > map ? keys : map; // of keys there are more than of kept rows
    if (most >= NM_BATCH_MAX_ROWS)
        return NM_ERROR(error, NM_E_LIMIT, "%u scenes of %u agents at once have %llu rows of keys or maps, %u at most",
                        c->most_scenes, t->agents, (unsigned long long)most, NM_BATCH_MAX_ROWS - 1);
    if (bytes > NM_BLOCK_CACHE_MAX_BYTES)
        return NM_ERROR(error, NM_E_LIMIT, "%u scenes of %u agents at once keep %llu bytes of keys, %llu at most",
                        c->most_scenes, t->agents, (unsigned long long)bytes,
                        (unsigned long long)NM_BLOCK_CACHE_MAX_BYTES);
    c->page = (uint32_t)page;
    c->room = (uint32_t)room;
    return NM_OK;
}

static nm_status create_parts(nm_block_cache *c, nm_error *error) {
    const nm_token_config *t = &c->recipe.tokens;
    const nm_model_config *m = nm_model_get_config(c->model);
    const nm_block_config *blocks = &c->recipe.blocks;
    const nm_status sized = size_up(c, error);
    if (sized != NM_OK) return sized;
    c->arena = nm_arena_create(0);
    if (!c->arena || !allocate(c)) return NM_ERROR(error, NM_E_MEMORY, "no memory for %u tokens of blocks", c->page);
    const nm_block_links_config links = {.blocks = *blocks, .strands = c->most_scenes * t->agents, .tokens = c->page};
    nm_link_capacity room = nm_block_links_capacity(&links);
    room.kept = c->room;
    const nm_batch_capacity capacity = {c->most_scenes, c->page, c->most_scenes * nm_token_map_rows(t, t->agents)};
    nm_status status = create_casts(c, error);
    if (status == NM_OK) status = nm_block_links_create(&links, &c->links, error);
    if (status == NM_OK) status = nm_pass_create_linked(c->model, &capacity, &room, 0, &c->pass, error);
    c->context.pass = c->pass;
    c->context.condition = m->conditions ? c->condition : NULL;
    c->context.pose = m->pose_bias ? c->pose : NULL;
    c->context.prior = c->recipe.prior;
    c->context.paths = (const nm_path *const *)c->paths;
    c->context.tokens = &c->recipe.tokens;
    c->context.snr = c->recipe.snr;
    c->denoiser = nm_denoiser_of_pass(&c->context);
    for (size_t i = 0; status == NM_OK && i < (size_t)c->page * m->channels; ++i) c->ones[i] = 1.0f;
    if (status == NM_OK) memset(c->zeros, 0, c->page * sizeof *c->zeros);
    return status;
}

nm_status nm_block_cache_create(nm_model *model, const nm_recipe *recipe, uint32_t scenes, nm_block_cache **cache,
                                nm_error *error) {
    *cache = NULL;
    if (scenes < 1 || scenes > 4096) return NM_ERROR(error, NM_E_ARGUMENT, "%u scenes at once, not 1..4096", scenes);
    if (recipe->blocks.size == 0) return NM_ERROR(error, NM_E_ARGUMENT, "the model was not trained on blocks");
    nm_status status = nm_token_config_check(&recipe->tokens, error);
    if (status == NM_OK) status = nm_block_config_check(&recipe->blocks, &recipe->tokens, error);
    if (status == NM_OK) status = nm_recipe_check(recipe, model, error);
    if (status != NM_OK) return status;
    nm_block_cache *c = calloc(1, sizeof *c);
    if (!c) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a cache of blocks");
    c->model = model;
    c->recipe = *recipe;
    c->most_scenes = scenes;
    status = create_parts(c, error);
    if (status == NM_OK)
        *cache = c;
    else
        nm_block_cache_destroy(c);
    return status;
}

void nm_block_cache_destroy(nm_block_cache *c) {
    if (!c) return;
    nm_pass_destroy(c->pass);
    nm_block_links_destroy(c->links);
    nm_arena_destroy(c->arena);
    free(c);
}

size_t nm_block_cache_bytes(const nm_block_cache *c) {
    return (size_t)(c->room * row_bytes(c->model));
}

void nm_block_cache_forget(nm_block_cache *c) {
    for (uint32_t i = 0; i < c->most_scenes; ++i) nm_block_cast_clear(&c->casts[i]);
    nm_block_links_forget(c->links);
    c->number = c->scenes = c->end = 0;
    c->kept = 0;
}

// ---------------------------------------------------------------------------------------------------------------------

static nm_status check_tokens(const nm_block_cache *c, const nm_tokens *const *tokens, uint32_t count,
                              nm_error *error) {
    const nm_token_config *ours = &c->recipe.tokens;
    if (c->scenes && !c->kept) return NM_ERROR(error, NM_E_ARGUMENT, "block %u was not kept", c->number);
    if (count > c->most_scenes || (c->scenes && count != c->scenes))
        return NM_ERROR(error, NM_E_LIMIT, "blocks of %u scenes, not %u", count,
                        c->scenes ? c->scenes : c->most_scenes);
    for (uint32_t i = 0; i < count; ++i) {
        const nm_tokens *t = tokens[i];
        if (t->shape.agents > ours->agents)
            return NM_ERROR(error, NM_E_LIMIT, "scene %u has %u agents, over %u", i, t->shape.agents, ours->agents);
        if (!nm_token_config_same(&t->config, ours))
            return NM_ERROR(error, NM_E_ARGUMENT, "scene %u has tokens of another configuration than the model's", i);
    }
    return NM_OK;
}

/// Conditions and poses in the order of the batch.
static void gather(nm_block_cache *c, const nm_tokens *tokens, uint32_t index) {
    const nm_batch *batch = nm_pass_batch(c->pass);
    const nm_model_config *m = nm_model_get_config(c->model);
    const uint32_t steps = tokens->shape.steps;
    if (m->conditions) nm_batch_gather(batch, index, steps, m->conditions, tokens->condition, c->condition);
    if (m->pose_bias) nm_batch_gather(batch, index, steps, 4, tokens->pose, c->pose);
    for (uint32_t row = batch->scene_tokens[index]; row < batch->scene_tokens[index + 1]; ++row) {
        c->scene[row] = index;
        c->agent[row] = batch->refs[row].agent;
        c->time[row] = batch->refs[row].time;
    }
    c->paths[index] = tokens->path;
}

/// clean: 1 = for the pass over the finished block. again: 1 = the block was linked before.
static nm_status link_parts(nm_block_cache *c, uint32_t count, int clean, int again, nm_error *error) {
    const nm_token_config *t = &c->recipe.tokens;
    nm_block_links_begin(c->links);
    if (nm_pass_batch(c->pass)->tokens > c->room - c->end) {
        const uint32_t in_use = c->end;
        c->end = nm_block_links_pack(c->links, c->number, t->past, in_use, c->moved);
        nm_pass_pack_kept(c->pass, c->moved, in_use);
    }
    for (uint32_t i = 0; i < count; ++i) {
        const nm_block_part part = {.scene = i,
                                    .number = c->number,
                                    .past = t->past,
                                    .steps = nm_token_count(t),
                                    .role = c->roles + (size_t)i * t->agents,
                                    .strand = i * t->agents,
                                    .first = c->end,
                                    .clean = clean,
                                    .again = again};
        nm_block_links_add(c->links, nm_pass_batch(c->pass), &part);
    }
    const nm_pass_links links = nm_block_links_get(c->links);
    return nm_pass_set_links(c->pass, &links, error);
}

nm_status nm_block_cache_set(nm_block_cache *c, const nm_tokens *const *tokens, uint32_t count, nm_error *error) {
    const nm_token_config *t = &c->recipe.tokens;
    nm_status status = check_tokens(c, tokens, count, error);
    if (status != NM_OK) return status;
    c->number += c->kept != 0;
    c->kept = 0;
    for (uint32_t i = 0; i < count; ++i) {
        uint8_t *valid = c->valid + (size_t)i * t->agents * nm_token_count(t);
        nm_block_cast_next(&c->casts[i], tokens[i], valid, c->roles + (size_t)i * t->agents);
        c->shapes[i] = tokens[i]->shape;
        c->shapes[i].valid = valid;
    }
    status = nm_pass_set_scenes(c->pass, c->shapes, count, error);
    if (status != NM_OK) return status;
    for (uint32_t i = 0; i < count; ++i) gather(c, tokens[i], i);
    c->scenes = count;
    return link_parts(c, count, 0, 0, error);
}

const nm_batch *nm_block_cache_batch(const nm_block_cache *c) {
    return nm_pass_batch(c->pass);
}

uint32_t nm_block_cache_blocks(const nm_block_cache *c) {
    return c->number + (c->kept != 0);
}

nm_denoiser nm_block_cache_denoiser(nm_block_cache *c) {
    return c->denoiser;
}

nm_status nm_block_cache_keep(nm_block_cache *c, const float *values, nm_error *error) {
    NM_ASSERT(c->scenes > 0 && !c->kept);
    const nm_batch *batch = nm_pass_batch(c->pass);
    const uint32_t channels = nm_model_get_config(c->model)->channels;
    for (uint32_t n = 0; n < batch->tokens; ++n) {
        if (nm_all_finite(values + (size_t)n * channels, channels)) continue;
        const nm_token_ref r = batch->refs[n];
        return NM_ERROR(error, NM_E_NUMERIC, "scene %u, agent %u, token %u is not finite", r.scene, r.agent, r.time);
    }
    const nm_denoise_input in = {.count = batch->tokens,
                                 .channels = channels,
                                 .scene_count = c->scenes,
                                 .scene = c->scene,
                                 .agent = c->agent,
                                 .time = c->time,
                                 .known = values,
                                 .mask = c->ones,
                                 .noised = values,
                                 .level = c->zeros};
    // blocks of one token see the same either way
    const int apart = c->recipe.blocks.causal && c->recipe.blocks.size > 1;
    nm_status status = apart ? link_parts(c, c->scenes, 1, 1, error) : NM_OK;
    if (status == NM_OK) status = c->denoiser.predict(c->denoiser.context, &in, c->v, error);
    c->kept = status == NM_OK;
    if (c->kept) c->end += batch->tokens;
    nm_error ignored; // room that was enough before is so again
    if (apart && !c->kept) (void)link_parts(c, c->scenes, 0, 1, &ignored);
    return status;
}
