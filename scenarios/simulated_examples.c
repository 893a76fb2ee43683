#include "scenarios/simulated_examples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "sim/world.h"

typedef struct variant {
    const nm_map *map;
    nm_token_map *pieces;
    nm_builtin_kind kind;
} variant;

struct nm_simulated_examples {
    nm_simulated_config config;
    variant *variants; ///< [config.maps]
};

nm_simulated_config nm_simulated_config_default(nm_token_encoding encoding) {
    return (nm_simulated_config){.tokens = nm_token_config_default(encoding),
                                 .map = "all",
                                 .maps = 64,
                                 .density = 40.0,
                                 .seconds = 15.0,
                                 .routes = 0.5f,
                                 .blocks = nm_block_config_default()};
}

static nm_status check(const nm_simulated_config *c, nm_builtin_kind *kind, nm_error *error) {
    if (c->maps < 1 || c->maps > 1024)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u variants of maps, not 1..1024", c->maps);
    if (!(c->density >= 5.0 && c->density <= 150.0))
        return NM_ERROR(error, NM_E_ARGUMENT, "density is %g vehicles per km of lane, not 5..150", c->density);
    if (!(c->seconds >= 1.0 && c->seconds <= 120.0))
        return NM_ERROR(error, NM_E_ARGUMENT, "%g s before the current step, not 1..120", c->seconds);
    nm_status status = nm_token_config_check(&c->tokens, error);
    if (status == NM_OK) status = nm_block_config_check(&c->blocks, &c->tokens, error);
    if (status == NM_OK) status = nm_block_growth_check(&c->growth, &c->blocks, error);
    const uint64_t ahead = (uint64_t)c->parts * c->blocks.size;
    if (status == NM_OK && ahead > NM_SIMULATED_MOST_TOKENS)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "block_parts, %u, times blocks, %u, is %llu tokens of simulated traffic an example: %d at most",
                        c->parts, c->blocks.size, (unsigned long long)ahead, NM_SIMULATED_MOST_TOKENS);
    if (status != NM_OK || strcmp(c->map, "all") == 0) return status;
    return nm_builtin_from_name(c->map, kind, error);
}

/// Map number `index`: lanes and their width, the speed limit and the radius are drawn about the kind's defaults.
static nm_status make_variant(const nm_simulated_config *c, uint32_t index, nm_builtin_kind kind, variant *v,
                              nm_error *error) {
    const nm_rng_key key = {.seed = c->seed, .scene = index, .agent = 1, .purpose = NM_PURPOSE_EXAMPLE};
    nm_builtin_params p = nm_builtin_params_default(kind);
    const int highway = kind <= NM_BUILTIN_OFF_RAMP, round = kind == NM_BUILTIN_ROUNDABOUT;
    p.lanes = highway ? 2 + (int)nm_rng_below(&key, 0, 3) : 1 + (int)nm_rng_below(&key, 0, round ? 2 : 3);
    p.lane_width = 3.0 + 0.9 * (double)nm_rng_uniform(&key, 1);
    p.speed_limit = p.speed_limit * (0.7 + 0.6 * (double)nm_rng_uniform(&key, 2));
    p.radius = p.radius * (0.9 + 0.6 * (double)nm_rng_uniform(&key, 3));
    if (round && p.lanes == 2 && p.radius < 15.0) p.radius = 15.0;
    if (highway && nm_rng_uniform(&key, 4) < 0.3f) p.carriageways = 2;
    v->kind = kind;
    nm_status status = nm_builtin_map(&p, &v->map, error);
    if (status == NM_OK) status = nm_token_map_create(v->map, &c->tokens, &v->pieces, error);
    return status;
}

nm_status nm_simulated_examples_create(const nm_simulated_config *config, nm_simulated_examples **examples,
                                       nm_error *error) {
    *examples = NULL;
    nm_builtin_kind only = NM_BUILTIN_COUNT;
    nm_status status = check(config, &only, error);
    if (status != NM_OK) return status;
    nm_simulated_examples *e = calloc(1, sizeof *e);
    if (e) e->variants = calloc(config->maps, sizeof *e->variants);
    if (!e || !e->variants) {
        free(e);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for %u maps", config->maps);
    }
    e->config = *config;
    for (uint32_t i = 0; status == NM_OK && i < config->maps; ++i) {
        const nm_builtin_kind kind = only < NM_BUILTIN_COUNT ? only : (nm_builtin_kind)(i % NM_BUILTIN_COUNT);
        status = make_variant(config, i, kind, &e->variants[i], error);
    }
    if (status == NM_OK)
        *examples = e;
    else
        nm_simulated_examples_destroy(e);
    return status;
}

void nm_simulated_examples_destroy(nm_simulated_examples *e) {
    if (!e) return;
    for (uint32_t i = 0; i < e->config.maps; ++i) {
        nm_token_map_destroy(e->variants[i].pieces);
        nm_map_release(e->variants[i].map);
    }
    free(e->variants);
    free(e);
}

/// Steps after the current one that an example in these blocks reads.
static uint32_t steps_ahead(const nm_simulated_config *c, const nm_block_config *blocks) {
    const uint32_t parts = c->parts ? c->parts : nm_block_parts(blocks, &c->tokens);
    return NM_TOKEN_STEPS * (blocks->size ? parts * blocks->size : c->tokens.future);
}

/// Drives from spawned traffic for `steps`: to the end of the example's future.
static nm_status drive(const nm_simulated_examples *e, const variant *v, const nm_rng_key *key, uint32_t steps,
                       const nm_scene **out, nm_error *error) {
    nm_spawn_params spawn = nm_spawn_params_default();
    uint32_t words[4];
    nm_rng_words(key, 3, words);
    spawn.seed = (uint64_t)words[0] << 32 | words[1];
    spawn.density = 5.0 + (e->config.density - 5.0) * (double)nm_rng_uniform(key, 2);
    spawn.max_vehicles = 2 * e->config.tokens.agents;
    if (v->kind >= NM_BUILTIN_JUNCTION_SIGNAL && v->kind != NM_BUILTIN_ROUNDABOUT)
        spawn.pedestrians = nm_rng_below(key, 4, 6);
    const nm_scene *start;
    nm_status status = nm_spawn_traffic(v->map, &spawn, "{}", &start, error);
    if (status != NM_OK) return status;
    nm_world_config world = nm_world_config_default();
    world.seed = spawn.seed;
    world.checks = 0;
    nm_rollout_result result;
    status = nm_rollout(start, &world, steps, 1, &result, error);
    nm_scene_destroy(start);
    *out = status == NM_OK ? result.scene : NULL;
    return status;
}

static nm_status make_example(void *context, uint64_t number, nm_arena *arena, nm_tokens *tokens, nm_error *error) {
    const nm_simulated_examples *e = context;
    const nm_token_config *t = &e->config.tokens;
    const nm_block_config blocks = nm_block_growth_at(&e->config.growth, &e->config.blocks, number);
    nm_rng_key key = {.seed = e->config.seed, .scene = number, .agent = 2, .purpose = NM_PURPOSE_EXAMPLE};
    nm_status status = NM_E_NOT_FOUND;
    // everybody may have left the map: another try
    for (; status == NM_E_NOT_FOUND && key.step < 16; ++key.step) {
        const variant *v = &e->variants[nm_rng_below(&key, 0, e->config.maps)];
        const uint32_t history = NM_TOKEN_STEPS * (t->past + 1);
        const uint32_t before = (uint32_t)(10.0 * e->config.seconds);
        const uint32_t spare = before > history ? before - history : 0;
        const uint32_t current = history + nm_rng_below(&key, 1, spare + 1);
        const nm_scene *scene;
        status = drive(e, v, &key, current + steps_ahead(&e->config, &blocks), &scene, error);
        if (status != NM_OK) break;
        const nm_token_request request = {.current_step = current,
                                          .focus = NM_NONE,
                                          .routes = e->config.routes,
                                          .seed = nm_hash64(e->config.seed ^ nm_hash64(number))};
        status = nm_block_example(v->pieces, scene, &request, &blocks, e->config.parts, arena, tokens, error);
        nm_scene_destroy(scene);
    }
    return status;
}

nm_example_source nm_simulated_examples_source(nm_simulated_examples *examples) {
    return (nm_example_source){.context = examples, .make = make_example};
}
