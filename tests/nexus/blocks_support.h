/// Agents that come and go, in parts of blocks, with random inputs for the network.
#ifndef NM_TESTS_BLOCKS_SUPPORT_H
#define NM_TESTS_BLOCKS_SUPPORT_H

#include "network_support.h"
#include "nexus/blocks.h"

enum { TRACKS = 5, PAST = 2, FUTURE = 5, STEPS = PAST + 1 + FUTURE, PARTS = 7, ROWS_OF_AGENT = 2 };

/// One part: what nm_tokens_build would say of it, as far as blocks read it.
typedef struct block_part {
    nm_tokens tokens;
    uint32_t track[TRACKS];
    uint8_t logged[TRACKS * STEPS], valid[TRACKS * STEPS], twins[TRACKS * 2 * STEPS];
    nm_block_role role[TRACKS];
    uint32_t owner[TRACKS * ROWS_OF_AGENT];
    float map[TRACKS * ROWS_OF_AGENT * 16];
} block_part;

typedef struct block_story {
    nm_arena *arena;
    nm_block_cast cast;
    block_part part[PARTS];
} block_story;

/// 1 = the track is there at a place. Track 0 always; others for a while, some of them twice, and not at every place.
static inline int is_there(uint64_t seed, uint32_t track, int64_t place) {
    if (track == 0) return 1;
    if (place < 0) return random_value(seed, 50 + track, (size_t)(place + 100)) > 0.0f;
    const size_t era = (size_t)place / 4;
    return random_value(seed, 60 + track, era) > -0.3f && random_value(seed, 70 + track, (size_t)place) > -0.9f;
}

static inline void tell_part(block_story *s, uint64_t seed, uint32_t number, const nm_model_config *model) {
    block_part *p = &s->part[number];
    const uint32_t size = s->cast.config.size;
    nm_tokens *t = &p->tokens;
    memset(p, 0, sizeof *p);
    t->config = nm_token_config_default(NM_TOKENS_AGENT);
    t->config.past = PAST;
    t->config.future = FUTURE;
    t->track = p->track;
    t->logged = p->logged;
    t->valid = p->valid;
    t->shape = (nm_token_scene){.steps = STEPS, .valid = p->valid, .map = p->map, .map_agent = p->owner};
    for (uint32_t i = 0; i < TRACKS; ++i) { // in another order in every part
        const uint32_t track = (i * 2 + number) % TRACKS, a = t->shape.agents;
        if (!is_there(seed, track, (int64_t)(PAST + number * size))) continue; // nobody without a current state
        p->track[a] = track;
        for (uint32_t k = 0; k < STEPS; ++k)
            p->logged[a * STEPS + k] = (uint8_t)is_there(seed, track, (int64_t)(k + number * size));
        t->shape.agents++;
    }
    for (uint32_t k = 0; k < t->shape.agents * ROWS_OF_AGENT; ++k) {
        const uint32_t a = k / ROWS_OF_AGENT,
                       name = (number * TRACKS + p->track[a]) * ROWS_OF_AGENT + k % ROWS_OF_AGENT;
        p->owner[k] = a;
        for (uint32_t c = 0; c < model->map_channels; ++c)
            p->map[k * model->map_channels + c] = random_value(seed, 80, name * 16 + c);
    }
    t->shape.points = t->shape.agents * ROWS_OF_AGENT;
    memcpy(p->valid, p->logged, sizeof p->valid);
    nm_block_cast_next(&s->cast, t, p->valid, p->role); // in place: it reads an agent before it writes it
    for (uint32_t a = 0; a < t->shape.agents; ++a) {
        for (uint32_t k = 0; k < STEPS; ++k) {
            p->twins[a * 2 * STEPS + k] = p->valid[a * STEPS + k];
            p->twins[a * 2 * STEPS + STEPS + k] = k > PAST && p->valid[a * STEPS + k];
        }
    }
}

static inline void tell_story(block_story *s, uint64_t seed, const nm_block_config *config,
                              const nm_model_config *model) {
    nm_error error;
    s->arena = nm_arena_create(0);
    assert_non_null(s->arena);
    assert_int_equal(nm_block_cast_create(config, TRACKS, s->arena, &s->cast, &error), NM_OK);
    for (uint32_t i = 0; i < PARTS; ++i) tell_part(s, seed, i, model);
}

static inline void end_story(block_story *s) {
    nm_arena_destroy(s->arena);
}

/// Part `number` as a scene of a batch. twins: with the noised copies.
static inline nm_token_scene scene_of_part(const block_story *s, uint32_t number, int twins) {
    nm_token_scene scene = s->part[number].tokens.shape;
    if (!twins) return scene;
    scene.steps = 2 * STEPS;
    scene.valid = s->part[number].twins;
    return scene;
}

/// Random inputs and targets for the rows of a batch whose scene i is part `first` + i; what a row gets depends on its
/// track, its part, its time and whether it is noised. noised: rows of the block are, without being twins.
static inline random_tokens make_block_tokens(const nm_batch *batch, const block_story *s, uint32_t first, int noised,
                                              const nm_model_config *config, uint64_t seed) {
    random_tokens t = make_tokens(batch, config, seed); // memory; all values are written anew
    for (uint32_t row = 0; row < batch->tokens; ++row) {
        const nm_token_ref r = batch->refs[row];
        const uint32_t number = first + r.scene, time = r.time % STEPS, track = s->part[number].track[r.agent];
        const int is_noised = r.time >= STEPS || (noised && time > PAST);
        const size_t name = (((size_t)number * TRACKS + track) * STEPS + time) * 64;
        for (uint32_t c = 0; c < config->channels; ++c) {
            const size_t at = (size_t)row * config->channels + c;
            t.known[at] = is_noised ? 0.0f : random_value(seed, 10, name + c);
            t.mask[at] = is_noised ? 0.0f : 1.0f;
            t.noised[at] = is_noised ? random_value(seed, 12, name + c) : t.known[at];
            t.noise[at] = random_value(seed, 13, name + c);
        }
        for (uint32_t c = 0; c < config->conditions; ++c)
            t.condition[(size_t)row * config->conditions + c] = random_value(seed, 14, name + c);
        const float turn = 3.0f * random_value(seed, 15, number * TRACKS + track);
        t.level[row] = is_noised ? 0.25f * (float)(1 + (track + time) % 4) : 0.0f;
        t.pose[4 * row] = 30.0f * random_value(seed, 16, number * TRACKS + track);
        t.pose[4 * row + 1] = 30.0f * random_value(seed, 17, number * TRACKS + track);
        t.pose[4 * row + 2] = cosf(turn);
        t.pose[4 * row + 3] = sinf(turn);
        t.weight[row] = is_noised ? 0.1f + 0.05f * (float)track : 0.0f;
    }
    return t;
}

#endif
