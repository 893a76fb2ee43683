/// Trained keys for `nearmiss bench attention`, instead of synthetic ones.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nexus/recipe.h"
#include "sim/builtin.h"
#include "sim/world.h"
#include "tools/bench_attention_pass.h"
#include "tools/bench_network.h"

/// A junction with a kilometre of road to each side, driven for longer than a pass is told of.
static const char junction[] = "junction_signal:lanes=3,length=1000,density=24,vehicles=480";
enum { FUTURE = 120, SECONDS = 64, CURRENT = 30 };
static const uint32_t crowds[] = {40, 160, 400}; ///< agents
static const float taus[] = {0.5f, 0.7f, 0.9f};
enum { CROWDS = sizeof crowds / sizeof *crowds, TAUS = sizeof taus / sizeof *taus, TARGET = 128 };

typedef struct trained {
    nm_bench *bench;
    nm_model *model;
    nm_recipe recipe;
    const nm_scene *scene;
    nm_arena *arena;
    nm_token_map *map;
    nm_batch batch;
    nm_tokens tokens;
    nm_bench_crowd crowd;
    float *v[2];
} trained;

static nm_status drive(const nm_scene **scene, nm_error *error) {
    const nm_scene *road = NULL;
    nm_rollout_result driven = {0};
    nm_world_config config = nm_world_config_default();
    config.seed = 1;
    nm_status status = nm_builtin_scene(junction, 1, &road, error);
    if (status == NM_OK) status = nm_rollout(road, &config, 10 * SECONDS, 1, &driven, error);
    nm_scene_destroy(road);
    *scene = driven.scene;
    return status;
}

static nm_status build(trained *t, uint32_t agents, nm_error *error) {
    nm_token_config *c = &t->recipe.tokens;
    c->agents = agents;
    c->future = FUTURE;
    c->range = 3000.0;
    nm_arena_reset(t->arena);
    nm_token_map_destroy(t->map);
    nm_batch_destroy(&t->batch);
    t->map = NULL;
    t->batch = (nm_batch){0};
    nm_token_request request = nm_token_request_default(t->scene);
    request.current_step = CURRENT;
    nm_status status = nm_token_map_create(t->scene->map, c, &t->map, error);
    if (status == NM_OK) status = nm_tokens_build(t->map, t->scene, &request, t->arena, &t->tokens, error);
    if (status != NM_OK) return status;
    nm_tokens_set_task(&t->tokens, &(nm_token_task){.kind = NM_TASK_FREE});
    nm_token_scene shape = t->tokens.shape;
    const nm_batch_capacity room = {1, shape.agents * shape.steps, shape.points};
    status = nm_batch_create(&room, nm_token_map_channels(c), &t->batch, error);
    if (status == NM_OK) status = nm_batch_set(&t->batch, &shape, 1, 0, error);
    return status;
}

/// What the network is asked half way through sampling all at once: z = alpha x + sigma e where nothing is known.
static nm_status noise(trained *t, nm_error *error) {
    const nm_token_config *c = &t->recipe.tokens;
    const uint32_t channels = nm_token_channels(c), conditions = nm_token_conditions(c), n = t->batch.tokens;
    const uint32_t steps = t->tokens.shape.steps;
    const size_t values = (size_t)n * channels;
    float *block = NM_ARENA_ARRAY(t->arena, float, 8 * values + (size_t)n * (conditions + 8));
    uint32_t *refs = NM_ARENA_ARRAY(t->arena, uint32_t, 3 * (size_t)n + 1);
    if (!block || !refs) return NM_ERROR(error, NM_E_MEMORY, "no memory for %" PRIu32 " tokens", n);
    float *x = block, *mask = x + values, *known = mask + values, *noised = known + values, *prior = noised + values,
          *told = prior + values, *asked = told + values, *condition = asked + values,
          *pose = condition + (size_t)n * conditions, *level = pose + 4 * (size_t)n, *spread = level + n;
    nm_batch_gather(&t->batch, 0, steps, channels, t->tokens.values, x);
    nm_batch_gather(&t->batch, 0, steps, conditions, t->tokens.condition, condition);
    nm_batch_gather(&t->batch, 0, steps, 4, t->tokens.pose, pose);
    const nm_noise_level at = nm_noise_level_at(t->recipe.snr, 0.5);
    for (uint32_t i = 0; i < n; ++i) {
        const nm_token_ref r = t->batch.refs[i];
        const int given = t->tokens.known[(size_t)r.agent * steps + r.time];
        refs[i] = r.scene, refs[n + i] = r.agent, refs[2 * n + i] = r.time;
        level[i] = given ? 0.0f : 0.5f;
        for (size_t k = (size_t)i * channels; k < ((size_t)i + 1) * channels; ++k) {
            mask[k] = given ? 1.0f : 0.0f;
            known[k] = given ? x[k] : 0.0f;
            noised[k] = given ? x[k] : (float)at.alpha * x[k] + (float)at.sigma * nm_bench_normal(7, k);
        }
    }
    t->crowd =
        (nm_bench_crowd){.scene = t->tokens.shape, .tokens = n, .input = {known, mask, noised, condition, level, pose}};
    if (t->recipe.prior == NM_PRIOR_NONE) return NM_OK;
    const nm_denoise_input in = {.count = n,
                                 .channels = channels,
                                 .scene_count = 1,
                                 .scene = refs,
                                 .agent = refs + n,
                                 .time = refs + 2 * (size_t)n,
                                 .known = known,
                                 .mask = mask,
                                 .noised = noised,
                                 .level = level};
    const nm_path *const paths = t->tokens.path;
    nm_prior_fill(t->recipe.prior, c, &t->batch, condition, &paths, known, mask, prior, spread);
    nm_prior_take_off(t->recipe.prior, (float)c->heading_scale, t->recipe.snr, &in, prior, spread, told, asked);
    t->crowd.input.known = told;
    t->crowd.input.noised = asked;
    return NM_OK;
}

static void row(const trained *t, const char *what, double value, const char *unit) {
    char name[96];
    snprintf(name, sizeof name, "trained.%s.%" PRIu32, what, t->crowd.tokens);
    nm_bench_row(t->bench, name, value, unit);
}

static nm_status run(trained *t, const nm_attention_choice *choice, float *v, nm_bench_passed *passed,
                     nm_error *error) {
    *passed = (nm_bench_passed){.v = v};
    const nm_status status = nm_model_set_attention(t->model, choice, error);
    return status == NM_OK ? nm_bench_run_pass(t->model, &t->crowd, 0, passed, error) : status;
}

static nm_status compare(trained *t, nm_error *error) {
    const nm_attention_choice full = {.kind = NM_ATTENTION_FULL};
    const size_t values = (size_t)t->crowd.tokens * nm_model_get_config(t->model)->channels;
    nm_bench_passed exact, some;
    for (int i = 0; i < 2; ++i) {
        free(t->v[i]);
        t->v[i] = calloc(values, sizeof *t->v[i]);
        if (!t->v[i]) return NM_ERROR(error, NM_E_MEMORY, "no memory for %" PRIu32 " tokens", t->crowd.tokens);
    }
    nm_status status = run(t, &full, t->v[0], &exact, error);
    if (status != NM_OK) return status;
    row(t, "full_ms", exact.ms, "ms");
    row(t, "full_gflop", 1e-9 * exact.flops, "GFLOP");
    for (int i = 0; status == NM_OK && i < TAUS; ++i) {
        const nm_attention_choice blocks = {.kind = NM_ATTENTION_BLOCKS, .target = TARGET, .tau = taus[i]};
        char what[64];
        status = run(t, &blocks, t->v[1], &some, error);
        if (status != NM_OK) break;
        const struct {
            const char *name, *unit;
            double value;
        } rows[] = {{"blocks_ms", "ms", some.ms},
                    {"speedup", "x", exact.ms / some.ms},
                    {"fewer_operations", "x", exact.flops / some.flops},
                    {"error", "of the exact output", nm_bench_distance(some.v, exact.v, values)}};
        for (size_t k = 0; k < sizeof rows / sizeof *rows; ++k) {
            snprintf(what, sizeof what, "tau_%g.%s", (double)taus[i], rows[k].name);
            row(t, what, rows[k].value, rows[k].unit);
        }
    }
    return status;
}

nm_status nm_bench_trained_passes(nm_bench *bench, nm_backend *backend, const char *weights, nm_error *error) {
    trained t = {.bench = bench, .arena = nm_arena_create(0)};
    nm_status status = t.arena ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "no memory for an arena");
    if (status == NM_OK) status = nm_recipe_load(weights, backend, &t.model, &t.recipe, error);
    if (status == NM_OK && !nm_model_is_joint(nm_model_get_config(t.model)))
        status = NM_ERROR_AT(error, NM_E_ARGUMENT, weights, 0, -1,
                             "weights with factored attention: there are no blocks to choose");
    if (status == NM_OK) status = drive(&t.scene, error);
    for (int i = 0; status == NM_OK && i < CROWDS; ++i) {
        status = build(&t, crowds[i], error);
        if (status == NM_OK) status = noise(&t, error);
        if (status == NM_OK) status = compare(&t, error);
    }
    nm_batch_destroy(&t.batch);
    nm_token_map_destroy(t.map);
    nm_scene_destroy(t.scene);
    nm_model_destroy(t.model);
    nm_arena_destroy(t.arena);
    free(t.v[0]);
    free(t.v[1]);
    return status;
}
