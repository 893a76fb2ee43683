#include "nexus/training_set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

typedef struct member {
    const nm_scene *scene;
    const nm_token_map *map;
    uint32_t first, moments; ///< current steps [first, first + moments)
    uint64_t before;         ///< moments of all members of the part before this one
} member;

typedef struct part {
    double weight;
    member *members;
    size_t count, capacity;
    uint64_t moments;
    nm_example_source source; ///< make NULL: the members
} part;

/// Maps that were cut, by content.
typedef struct cut_map {
    uint64_t hash;
    nm_token_map *map;
} cut_map;

struct nm_training_set {
    nm_training_set_config config;
    part *parts;
    size_t part_count;
    cut_map *maps;
    size_t map_count, map_capacity;
};

nm_training_set_config nm_training_set_config_default(nm_token_encoding encoding) {
    return (nm_training_set_config){.tokens = nm_token_config_default(encoding),
                                    .other_ego = 0.5f,
                                    .routes = 0.5f,
                                    .least_future = 4,
                                    .blocks = nm_block_config_default()};
}

nm_status nm_training_set_create(const nm_training_set_config *config, nm_training_set **set, nm_error *error) {
    *set = NULL;
    nm_status status = nm_token_config_check(&config->tokens, error);
    if (status == NM_OK) status = nm_augmentation_check(&config->augmentation, error);
    if (status == NM_OK) status = nm_block_config_check(&config->blocks, &config->tokens, error);
    if (status == NM_OK) status = nm_block_growth_check(&config->growth, &config->blocks, error);
    if (status != NM_OK) return status;
    if (!(config->other_ego >= 0.0f && config->other_ego <= 1.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "other_ego is %g, not in 0..1", (double)config->other_ego);
    if (!(config->routes >= 0.0f && config->routes <= 1.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "routes is %g, not in 0..1", (double)config->routes);
    if (config->least_future > config->tokens.future)
        return NM_ERROR(error, NM_E_ARGUMENT, "least_future is %u, more than the %u tokens of the future",
                        config->least_future, config->tokens.future);
    nm_training_set *s = calloc(1, sizeof *s);
    if (!s) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a training set");
    s->config = *config;
    *set = s;
    return NM_OK;
}

void nm_training_set_destroy(nm_training_set *s) {
    if (!s) return;
    for (size_t p = 0; p < s->part_count; ++p) {
        for (size_t i = 0; i < s->parts[p].count; ++i) nm_scene_destroy(s->parts[p].members[i].scene);
        free(s->parts[p].members);
    }
    for (size_t i = 0; i < s->map_count; ++i) nm_token_map_destroy(s->maps[i].map);
    free(s->parts);
    free(s->maps);
    free(s);
}

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for a training set");
}

static nm_status add_part(nm_training_set *s, double weight, nm_example_source source, uint32_t *index,
                          nm_error *error) {
    if (!(weight > 0.0 && weight < 1e9))
        return NM_ERROR(error, NM_E_ARGUMENT, "a weight of %g is no share of the examples", weight);
    part *grown = realloc(s->parts, (s->part_count + 1) * sizeof *grown);
    if (!grown) return no_memory(error);
    s->parts = grown;
    s->parts[s->part_count] = (part){.weight = weight, .source = source};
    if (index) *index = (uint32_t)s->part_count;
    s->part_count++;
    return NM_OK;
}

nm_status nm_training_set_add_part(nm_training_set *set, double weight, uint32_t *index, nm_error *error) {
    return add_part(set, weight, (nm_example_source){0}, index, error);
}

nm_status nm_training_set_add_source(nm_training_set *set, double weight, nm_example_source source, nm_error *error) {
    return add_part(set, weight, source, NULL, error);
}

static nm_status cut(nm_training_set *s, const nm_map *map, const nm_token_map **out, nm_error *error) {
    for (size_t i = s->map_count; i-- > 0;) { // scenes of one map come in a row
        if (s->maps[i].hash != map->hash) continue;
        *out = s->maps[i].map;
        return NM_OK;
    }
    if (s->map_count == s->map_capacity) {
        const size_t capacity = s->map_capacity ? 2 * s->map_capacity : 16;
        cut_map *grown = realloc(s->maps, capacity * sizeof *grown);
        if (!grown) return no_memory(error);
        s->maps = grown;
        s->map_capacity = capacity;
    }
    nm_token_map *made;
    const nm_status status = nm_token_map_create(map, &s->config.tokens, &made, error);
    if (status != NM_OK) return status;
    s->maps[s->map_count++] = (cut_map){map->hash, made};
    *out = made;
    return NM_OK;
}

/// Moments with a whole current token before them and least_future tokens after them, as far as the scene has them.
static int choose_moments(const nm_training_set *s, const nm_scene *scene, member *m) {
    uint32_t first = scene->step_count, last = 0;
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        const nm_track *track = &scene->tracks[i];
        if (track->first_step > track->last_step) continue;
        if (track->first_step < first) first = track->first_step;
        if (track->last_step > last) last = track->last_step;
    }
    if (first > last) return 0;
    const uint32_t length = last - first, need = NM_TOKEN_STEPS * s->config.least_future;
    const uint32_t history = length >= NM_TOKEN_STEPS - 1 + need ? NM_TOKEN_STEPS - 1 : 0;
    m->first = first + history;
    m->moments = length >= history + need ? length - history - need + 1 : 1;
    return 1;
}

nm_status nm_training_set_add(nm_training_set *s, uint32_t index, const nm_scene *scene, nm_error *error) {
    NM_ASSERT(index < s->part_count);
    part *p = &s->parts[index];
    member m = {.scene = scene};
    if (!(fabsf(scene->dt - 0.1f) < 1e-6f))
        return NM_ERROR(error, NM_E_ARGUMENT, "scene '%s' has a time step of %g s, not 0.1 s",
                        scene->provenance.scene_id, (double)scene->dt);
    if (!choose_moments(s, scene, &m))
        return NM_ERROR(error, NM_E_ARGUMENT, "scene '%s' has no states", scene->provenance.scene_id);
    if (p->count == p->capacity) {
        const size_t capacity = p->capacity ? 2 * p->capacity : 64;
        member *grown = realloc(p->members, capacity * sizeof *grown);
        if (!grown) return no_memory(error);
        p->members = grown;
        p->capacity = capacity;
    }
    const nm_status status = cut(s, scene->map, &m.map, error);
    if (status != NM_OK) return status;
    m.before = p->moments;
    p->moments += m.moments;
    p->members[p->count++] = m;
    return NM_OK;
}

size_t nm_training_set_scenes(const nm_training_set *s) {
    size_t count = 0;
    for (size_t p = 0; p < s->part_count; ++p) count += s->parts[p].count;
    return count;
}

uint64_t nm_training_set_moments(const nm_training_set *s) {
    uint64_t count = 0;
    for (size_t p = 0; p < s->part_count; ++p) count += s->parts[p].moments;
    return count;
}

// ---------------------------------------------------------------------------------------------------------------------
// Examples

static double weight_of(const part *p) {
    return p->source.make || p->count ? p->weight : 0.0;
}

static const part *choose_part(const nm_training_set *s, double u) {
    double total = 0.0;
    const part *last = NULL;
    for (size_t i = 0; i < s->part_count; ++i) total += weight_of(&s->parts[i]);
    for (size_t i = 0; i < s->part_count; ++i) {
        if (weight_of(&s->parts[i]) <= 0.0) continue;
        last = &s->parts[i];
        u -= weight_of(last) / total;
        if (u < 0.0) break;
    }
    return last;
}

/// The member that moment number `moment` of the part belongs to.
static const member *find_member(const part *p, uint64_t moment) {
    size_t low = 0, high = p->count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (p->members[middle].before <= moment)
            low = middle;
        else
            high = middle;
    }
    return &p->members[low];
}

/// A random vehicle that is there and no static track, NM_NONE when there is none.
static uint32_t other_ego(const nm_scene *scene, uint32_t step, float u) {
    uint32_t count = 0, pick = NM_NONE;
    for (int round = 0; round < 2; ++round) {
        uint32_t wanted = (uint32_t)(u * (float)count), seen = 0;
        if (wanted >= count && count) wanted = count - 1;
        for (uint32_t i = 0; i < scene->track_count; ++i) {
            const nm_track *track = &scene->tracks[i];
            if (track->flags & NM_TRACK_STATIC || !nm_agent_type_vehicle((nm_agent_type)track->type)) continue;
            if (!scene->valid[nm_scene_at(scene, i, step)]) continue;
            if (round && seen == wanted) pick = i;
            seen++;
        }
        count = seen;
    }
    return pick;
}

static double uniform64(const nm_rng_key *key, uint32_t draw) {
    uint32_t words[4];
    nm_rng_words(key, draw, words);
    return ((double)words[0] + (double)words[1] / 4294967296.0) / 4294967296.0;
}

static nm_status make_example(void *context, uint64_t number, nm_arena *arena, nm_tokens *tokens, nm_error *error) {
    nm_training_set *s = context;
    const nm_training_set_config *c = &s->config;
    nm_rng_key key = {.seed = c->seed, .scene = number, .purpose = NM_PURPOSE_EXAMPLE};
    const nm_block_config blocks = nm_block_growth_at(&c->growth, &c->blocks, number);
    const part *p = choose_part(s, uniform64(&key, 0));
    NM_ASSERT(p && "a training set without examples");
    nm_status status = NM_E_NOT_FOUND;
    if (p->source.make) status = p->source.make(p->source.context, number, arena, tokens, error);
    // a moment with nobody there is tried again elsewhere
    for (key.step = 0; !p->source.make && status == NM_E_NOT_FOUND && key.step < 16; ++key.step) {
        uint64_t moment = (uint64_t)(uniform64(&key, 1) * (double)p->moments);
        if (moment >= p->moments) moment = p->moments - 1;
        const member *m = find_member(p, moment);
        nm_token_request request = {.current_step = m->first + (uint32_t)(moment - m->before),
                                    .focus = NM_NONE,
                                    .routes = c->routes,
                                    .seed = nm_hash64(c->seed ^ nm_hash64(number))};
        if (nm_rng_uniform(&key, 2) < c->other_ego)
            request.focus = other_ego(m->scene, request.current_step, nm_rng_uniform(&key, 3));
        status = nm_block_example(m->map, m->scene, &request, &blocks, c->parts, arena, tokens, error);
    }
    if (status == NM_OK && c->blocks.size)
        nm_augment_parts(&c->augmentation, c->seed, number, tokens);
    else if (status == NM_OK)
        nm_augment(&c->augmentation, c->seed, number, tokens);
    return status;
}

nm_example_source nm_training_set_source(nm_training_set *set) {
    return (nm_example_source){.context = set, .make = make_example};
}
