/// Examples in parts (blocks.h): every block clean and noised, side by side in one pass.
#include <string.h>

#include "base/rng.h"
#include "nexus/trainer_example.h"

/// What one part is to be.
typedef struct part_plan {
    const nm_tokens *tokens;
    uint8_t *valid; ///< [A][T] tokens that are in it
    uint32_t rows;  ///< of the pass
} part_plan;

typedef struct plan {
    const nm_example_how *how;
    nm_arena *arena;
    nm_block_cast cast;
    uint32_t count;   ///< parts
    part_plan *parts; ///< [count]
} plan;

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for an example in parts");
}

/// A source that goes by another size of blocks than the trainer would teach nonsense.
static nm_status check_spacing(const plan *p, const nm_tokens *t, uint64_t number, nm_error *error) {
    const uint32_t size = p->how->config.blocks.size;
    for (; t->next; t = t->next) {
        const uint32_t apart = t->next->current_step - t->current_step;
        if (apart != size * NM_TOKEN_STEPS)
            return NM_ERROR(error, NM_E_ARGUMENT, "example %llu has parts %u steps apart, which blocks of %u are not",
                            (unsigned long long)number, apart, size);
    }
    return NM_OK;
}

static uint32_t count_valid(const part_plan *p, uint32_t first) {
    const uint32_t steps = p->tokens->shape.steps;
    uint32_t count = 0;
    for (uint32_t a = 0; a < p->tokens->shape.agents; ++a)
        for (uint32_t t = first; t < steps; ++t) count += p->valid[(size_t)a * steps + t];
    return count;
}

/// Who is in each part. Parts that are one too many for the pass are left out; the first must fit.
static nm_status plan_parts(plan *p, nm_loaded *e, nm_error *error) {
    uint32_t most = 0, agents = 0, rows = 0;
    for (const nm_tokens *t = &e->tokens; t && most < p->how->config.parts; t = t->next, ++most)
        if (t->shape.agents > agents) agents = t->shape.agents;
    nm_status status = nm_block_cast_create(&p->how->config.blocks, agents, p->arena, &p->cast, error);
    if (status != NM_OK) return status;
    p->parts = NM_ARENA_ARRAY(p->arena, part_plan, most);
    e->parts = NM_ARENA_ARRAY(p->arena, nm_block_part, most);
    e->scenes = NM_ARENA_ARRAY(p->arena, nm_token_scene, most);
    if (!p->parts || !e->parts || !e->scenes) return no_memory(error);
    const nm_tokens *t = &e->tokens;
    for (uint32_t i = 0; i < most; ++i, t = t->next) {
        const size_t count = (size_t)t->shape.agents * t->shape.steps;
        part_plan *part = &p->parts[i];
        nm_block_role *role = NM_ARENA_ARRAY(p->arena, nm_block_role, t->shape.agents);
        *part = (part_plan){.tokens = t, .valid = NM_ARENA_ARRAY(p->arena, uint8_t, count)};
        if (!role || !part->valid) return no_memory(error);
        nm_block_cast_next(&p->cast, t, part->valid, role);
        part->rows = count_valid(part, 0);
        rows += part->rows;
        if (i > 0) rows += count_valid(&p->parts[i - 1], t->config.past + 1); // that one is no longer the last
        if (i > 0 && rows > p->how->config.max_tokens) break;
        e->parts[i] = (nm_block_part){.number = i,
                                      .past = t->config.past,
                                      .steps = t->shape.steps,
                                      .role = role,
                                      .size = p->how->config.blocks.size,
                                      .clean = 1};
        p->count = i + 1;
    }
    e->parts[p->count - 1].last = 1;
    e->parts[p->count - 1].clean = 0;
    return NM_OK;
}

/// The part as a scene of the pass: with twins, times from T on are the noised copies.
static nm_status describe_scene(const plan *p, uint32_t index, nm_token_scene *scene, nm_error *error) {
    const part_plan *part = &p->parts[index];
    const nm_tokens *t = part->tokens;
    const uint32_t steps = t->shape.steps;
    *scene = t->shape;
    scene->valid = part->valid;
    if (index + 1 == p->count) return NM_OK;
    uint8_t *valid = NM_ARENA_ARRAY(p->arena, uint8_t, (size_t)t->shape.agents * steps * 2);
    if (!valid) return no_memory(error);
    for (uint32_t a = 0; a < t->shape.agents; ++a) {
        const uint8_t *from = part->valid + (size_t)a * steps;
        uint8_t *to = valid + (size_t)a * steps * 2;
        memcpy(to, from, steps);
        for (uint32_t k = 0; k < steps; ++k) to[steps + k] = k > t->config.past && from[k];
    }
    scene->steps = 2 * steps;
    scene->valid = valid;
    return NM_OK;
}

/// Levels of the block, drawn as if it were all of the future; history is clean.
static nm_status draw_levels(const plan *p, uint32_t index, uint64_t seed, uint64_t number, float *level,
                             nm_error *error) {
    const nm_tokens *t = p->parts[index].tokens;
    const uint32_t steps = t->shape.steps, agents = t->shape.agents, past = t->config.past;
    const uint32_t shorter = past + 1 + p->how->config.blocks.size;
    uint8_t *valid = NM_ARENA_ARRAY(p->arena, uint8_t, (size_t)agents * shorter);
    float *drawn = NM_ARENA_ARRAY(p->arena, float, (size_t)agents *shorter);
    if (!valid || !drawn) return no_memory(error);
    for (uint32_t a = 0; a < agents; ++a)
        memcpy(valid + (size_t)a * shorter, p->parts[index].valid + (size_t)a * steps, shorter);
    nm_noise_mask_draw(&p->how->config.mask, seed, nm_hash64(number ^ nm_hash64(index)), agents, shorter, valid,
                       past + 1, drawn);
    for (uint32_t a = 0; a < agents; ++a)
        for (uint32_t k = 0; k < steps; ++k)
            level[(size_t)a * steps + k] = k > past && k < shorter ? drawn[(size_t)a * shorter + k] : 0.0f;
    return NM_OK;
}

static void copy_row(const nm_example_how *how, const nm_loaded *from, uint32_t row, nm_loaded *to, uint32_t at) {
    const struct {
        const float *from;
        float *to;
        size_t width;
    } arrays[] = {{from->known, to->known, how->model.channels},
                  {from->mask, to->mask, how->model.channels},
                  {from->noised, to->noised, how->model.channels},
                  {from->noise, to->noise, how->model.channels},
                  {from->condition, to->condition, how->model.conditions},
                  {from->pose, to->pose, from->pose ? 4 : 0},
                  {from->level, to->level, 1},
                  {from->alpha, to->alpha, 1},
                  {from->sigma, to->sigma, 1},
                  {from->weight, to->weight, 1},
                  {from->says_next, to->says_next, from->says_next ? 1 : 0}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; ++i)
        if (arrays[i].width)
            memcpy(arrays[i].to + at * arrays[i].width, arrays[i].from + row * arrays[i].width,
                   arrays[i].width * sizeof(float));
}

/// Rows of a part in the order of the pass: of each agent its history, its clean block, its noised block. clean: NULL =
/// there is no clean copy.
static uint32_t merge(const plan *p, const nm_example_slot *s, const nm_loaded *clean, const nm_loaded *noised,
                      nm_loaded *e, uint32_t at) {
    const nm_batch *batch = &s->batch;
    const uint32_t past = e->tokens.config.past;
    for (uint32_t g = 0; g < batch->by_agent.count; ++g) {
        const uint32_t begin = batch->by_agent.offsets[g], end = batch->by_agent.offsets[g + 1];
        for (uint32_t row = begin; row < end && clean; ++row) copy_row(p->how, clean, row, e, at++);
        for (uint32_t row = begin; row < end; ++row)
            if (!clean || batch->refs[row].time > past) copy_row(p->how, noised, row, e, at++);
    }
    return at;
}

/// x0 of every token of the block as a block of that one token would have it, [n][C]; of others nothing is said.
static nm_status fill_alone(const plan *p, nm_example_slot *s, const nm_tokens *of, const nm_loaded *e, float *alone,
                            nm_error *error) {
    const nm_token_config *tokens = &of->config;
    const nm_prior kind = p->how->config.prior;
    const size_t channels = p->how->model.channels, n = s->batch.tokens;
    const nm_path *paths = of->path;
    float *values = NM_ARENA_ARRAY(p->arena, float, n *channels), *mask = NM_ARENA_ARRAY(p->arena, float, n *channels);
    if (!values || !mask) return no_memory(error);
    nm_batch_gather(&s->batch, 0, of->shape.steps, (uint32_t)channels, of->values, values);
    memcpy(alone, values, n * channels * sizeof *alone);
    for (uint32_t k = 1; kind != NM_PRIOR_NONE && n > 0 && k <= p->how->config.blocks.size; ++k) {
        const uint32_t time = tokens->past + k; // all before it are known
        for (size_t row = 0; row < n; ++row) mask[row * channels] = s->batch.refs[row].time < time ? 1.0f : 0.0f;
        nm_prior_fill(kind, tokens, &s->batch, e->condition, &paths, values, mask, s->prior, s->spread);
        for (size_t row = 0; row < n; ++row)
            if (s->batch.refs[row].time == time)
                nm_prior_rest(kind, (float)tokens->heading_scale, (uint32_t)channels, values + row * channels,
                              s->prior + row * channels, s->spread[row], alone + row * channels);
    }
    return NM_OK;
}

/// What clean tokens up to time `until` are to say: the next one of their agent in the block, where there is one.
static nm_status ask_for_next(const plan *p, nm_example_slot *s, const nm_tokens *of, uint32_t until, nm_loaded *e,
                              nm_error *error) {
    const size_t channels = p->how->model.channels;
    const nm_token_ref *refs = s->batch.refs;
    float *alone = NM_ARENA_ARRAY(p->arena, float, s->batch.tokens *channels);
    if (!alone) return no_memory(error);
    const nm_status status = fill_alone(p, s, of, e, alone, error);
    for (size_t row = 0; status == NM_OK && row + 1 < s->batch.tokens; ++row) {
        const uint32_t time = refs[row].time;
        if (time < of->config.past || time > until) continue;
        if (refs[row + 1].agent != refs[row].agent || refs[row + 1].time != time + 1) continue;
        NM_ASSERT(e->level[row] <= 0.0f);
        memcpy(e->noise + row * channels, alone + (row + 1) * channels, channels * sizeof *e->noise);
        e->alpha[row] = 1.0f;
        e->sigma[row] = 0.0f;
        e->says_next[row] = 1.0f;
    }
    return status;
}

static nm_status fill_part(const plan *p, nm_example_slot *s, uint32_t index, uint64_t seed, uint64_t number,
                           nm_loaded *e, uint32_t *at, nm_error *error) {
    const nm_tokens *t = p->parts[index].tokens;
    const size_t count = (size_t)t->shape.agents * t->shape.steps;
    const int last = index + 1 == p->count;
    nm_token_scene shape = t->shape;
    nm_loaded clean = {0}, noised = {0};
    shape.valid = p->parts[index].valid;
    s->place = index * p->how->config.blocks.size;
    nm_status status = nm_example_pack(s, &shape, error);
    float *level = NM_ARENA_ARRAY(p->arena, float, count);
    if (status == NM_OK && (!level || !nm_example_allocate(p->how, p->arena, s->batch.tokens, &noised) ||
                            !nm_example_allocate(p->how, p->arena, s->batch.tokens, &clean)))
        status = no_memory(error);
    if (status == NM_OK) status = draw_levels(p, index, seed, number, level, error);
    if (status == NM_OK) status = nm_example_fill(p->how, s, t, level, seed, number, &noised, error);
    if (status != NM_OK) return status;
    for (size_t k = 0; k < count; ++k) level[k] = 0.0f;
    if (!last) status = nm_example_fill(p->how, s, t, level, seed, number, &clean, error);
    if (status == NM_OK && p->how->config.next > 0.0f) // the last block has no clean copy: but for the history
        status = ask_for_next(p, s, t, last ? t->config.past : t->shape.steps, last ? &noised : &clean, error);
    if (status != NM_OK) return status;
    *at = merge(p, s, last ? NULL : &clean, &noised, e, *at);
    e->noised_count += noised.noised_count;
    return describe_scene(p, index, &e->scenes[index], error);
}

nm_status nm_example_fill_parts(const nm_example_how *how, nm_example_slot *s, uint64_t seed, uint64_t number,
                                nm_loaded *e, nm_error *error) {
    plan p = {.how = how, .arena = s->arena};
    nm_status status = nm_block_config_check(&how->config.blocks, &e->tokens.config, error);
    if (status == NM_OK) status = check_spacing(&p, &e->tokens, number, error);
    if (status == NM_OK) status = plan_parts(&p, e, error);
    if (status != NM_OK) return status;
    uint32_t rows = 0, at = 0;
    for (uint32_t i = 0; i < p.count; ++i) {
        rows += p.parts[i].rows;
        if (i + 1 < p.count) rows += count_valid(&p.parts[i], e->tokens.config.past + 1);
    }
    if (!nm_example_allocate(how, s->arena, rows, e)) return no_memory(error);
    e->scene_count = p.count;
    e->noised_count = e->next_count = 0;
    for (uint32_t i = 0; status == NM_OK && i < p.count; ++i) status = fill_part(&p, s, i, seed, number, e, &at, error);
    NM_ASSERT(status != NM_OK || at == rows);
    for (uint32_t row = 0; status == NM_OK && e->says_next && row < rows; ++row)
        e->next_count += e->says_next[row] > 0.0f;
    return status;
}
