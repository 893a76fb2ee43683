/// `nearmiss bench rollout`: 60 s of 64 agents, block by block with kept keys (scenarios/block_rollout.h), against a
/// whole window of 8 s sampled anew every half second, of which the first half second is lived.
///
/// Both know every half second what happened before it. The networks are of the shipped size and untrained: what a
/// rollout costs depends on their size. They say what the prior says, so that everybody goes along the road. Or MODEL,
/// weights that were trained on blocks, is rolled out. Whole windows cost the same each time: a few are timed, not all
/// 120.
///
/// Before anything is timed a short rollout is made and must be the beginning of the long one.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/progress.h"
#include "scenarios/future_tokens.h"
#include "scenarios/scene_generator.h"
#include "sim/builtin.h"
#include "sim/world.h"
#include "tools/cli.h"

#define MAP "highway:length=12000,lanes=3,speed_limit=8,vehicles=64"
enum { HISTORY = 25, STEPS = 600, EVERY = 5, WINDOWS = 3, AGENTS = 64 };

typedef struct rollout_bench {
    nm_bench *bench;
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    const nm_scene *scene;
} rollout_bench;

/// Time by the clock, and what processors worked in it: on a machine with other work the second tells more.
typedef struct span {
    double clock, busy;
} span;

static span now(void) {
    struct rusage usage;
    span s = {nm_clock(), NAN};
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        s.busy = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    return s;
}

static span since(span start) {
    const span end = now();
    return (span){end.clock - start.clock, end.busy - start.busy};
}

static nm_status open_backend(rollout_bench *b, const nm_common *common, nm_error *error) {
    nm_backend_config config = nm_backend_config_default();
    config.threads = (int)common->threads;
    return strcmp(common->device, "cuda") == 0 ? nm_backend_create_cuda(&config, &b->backend, error)
                                               : nm_backend_create_cpu(&config, &b->backend, error);
}

/// The shipped network before its first step.
static nm_status create_model(rollout_bench *b, nm_error *error) {
    nm_token_config *t = &b->recipe.tokens;
    b->recipe = (nm_recipe){.tokens = nm_token_config_default(NM_TOKENS_AGENT), .prior = NM_PRIOR_LANE};
    t->position_scale = 10.0;
    t->heading_scale = 0.5;
    t->speed_scale = 5.0;
    t->paths = 1;
    b->recipe.blocks = nm_block_config_default();
    nm_model_config shape = nm_model_config_default();
    shape.hidden = shape.frequencies = 128;
    shape.rotary = 1;
    nm_token_fit_model(t, &shape);
    return nm_model_create(&shape, b->backend, 1, &b->model, error);
}

static nm_status open_scene(rollout_bench *b, nm_error *error) {
    nm_world_config config = nm_world_config_default();
    const nm_scene *start;
    nm_rollout_result result;
    nm_status status = nm_builtin_scene(MAP, 1, &start, error);
    if (status != NM_OK) return status;
    status = nm_rollout(start, &config, HISTORY, 1, &result, error);
    nm_scene_destroy(start);
    b->scene = status == NM_OK ? result.scene : NULL;
    return status;
}

static nm_status open_generator(const rollout_bench *b, const nm_recipe *recipe, uint32_t steps,
                                nm_scene_generator **generator, nm_error *error) {
    nm_scene_generator_config config = nm_scene_generator_config_default();
    config.generator.scenes = 1;
    config.agents = AGENTS;
    config.guidance = nm_guidance_config_default();
    config.guidance.overlap = config.guidance.road = config.guidance.smooth = config.guidance.consistent = 0.0f;
    config.steps = steps;
    return nm_scene_generator_create(b->model, recipe, &config, generator, error);
}

static nm_status make(nm_scene_generator *g, const nm_scene *scene, uint32_t current, nm_future_cost *cost,
                      const nm_scene **out, nm_error *error) {
    nm_generated_scene made;
    const nm_scene_request request = {.scene = scene, .current_step = current, .seed = 1};
    nm_status status = nm_scene_generator_add(g, &request, error);
    if (status == NM_OK) status = nm_scene_generator_run(g, &made, cost, error);
    if (status != NM_OK) return status;
    if (made.status != NM_OK && error) *error = made.error;
    *out = made.scene;
    return made.status;
}

// ---------------------------------------------------------------------------------------------------------------------

/// What a rollout or some windows took.
typedef struct taken {
    span all;
    nm_future_cost sampling;
    double rounds; ///< blocks or windows
} taken;

/// The short one must be the beginning of the long one, which most of the agents must live to see the end of.
static nm_status check(const nm_scene *brief, const nm_scene *all, uint32_t *left, nm_error *error) {
    *left = 0;
    for (uint32_t t = 0; t < all->track_count; ++t) {
        *left += all->valid[nm_scene_at(all, t, all->step_count - 1)];
        for (uint32_t k = 0; k < brief->step_count; ++k) {
            const size_t a = nm_scene_at(brief, t, k), b = nm_scene_at(all, t, k);
            if (brief->valid[a] != all->valid[b] || brief->x[a] != all->x[b] || brief->y[a] != all->y[b])
                return NM_ERROR(error, NM_E_NUMERIC, "track %u is elsewhere at step %u of a longer rollout", t, k);
        }
    }
    if (*left < AGENTS / 2)
        return NM_ERROR(error, NM_E_NUMERIC, "only %u of %u agents are left after 60 s", *left, AGENTS);
    return NM_OK;
}

static nm_status roll_blocks(const rollout_bench *b, const nm_recipe *recipe, uint32_t steps, taken *t,
                             const nm_scene **out, nm_error *error) {
    nm_scene_generator *g;
    nm_status status = open_generator(b, recipe, steps, &g, error);
    if (status != NM_OK) return status;
    const span start = now();
    *t = (taken){.rounds = ceil((double)steps / (NM_TOKEN_STEPS * recipe->blocks.size))};
    status = make(g, b->scene, HISTORY, &t->sampling, out, error);
    t->all = since(start);
    nm_scene_generator_destroy(g);
    return status;
}

/// Windows one after another, each from where the one before was after half a second.
static nm_status roll_windows(const rollout_bench *b, taken *t, nm_error *error) {
    nm_recipe whole = b->recipe;
    nm_scene_generator *g;
    const nm_scene *scene = b->scene, *next;
    whole.blocks.size = 0;
    nm_status status = open_generator(b, &whole, 0, &g, error);
    if (status != NM_OK) return status;
    *t = (taken){.rounds = WINDOWS};
    span start = now();
    for (uint32_t i = 0; status == NM_OK && i <= WINDOWS; ++i) {
        if (i == 1) { // the first one warms up
            start = now();
            t->sampling = (nm_future_cost){0};
        }
        status = make(g, scene, HISTORY + i * EVERY, &t->sampling, &next, error);
        if (scene != b->scene) nm_scene_destroy(scene);
        scene = status == NM_OK ? next : b->scene;
    }
    t->all = since(start);
    if (scene != b->scene) nm_scene_destroy(scene);
    nm_scene_generator_destroy(g);
    return status;
}

static void row(const rollout_bench *b, const char *name, uint32_t size, double value, const char *unit) {
    char full[64];
    snprintf(full, sizeof full, size ? "%s.block_%u" : "%s", name, size);
    nm_bench_row(b->bench, full, value, unit);
}

/// windows: of half a second each.
static nm_status measure(const rollout_bench *b, uint32_t size, const taken *windows, nm_error *error) {
    nm_recipe recipe = b->recipe;
    if (size != recipe.blocks.size) recipe.blocks = (nm_block_config){.size = size, .memory = 8};
    const nm_scene *brief = NULL, *all = NULL;
    taken warm, t;
    uint32_t left = 0;
    nm_status status = roll_blocks(b, &recipe, 4 * NM_TOKEN_STEPS * size, &warm, &brief, error);
    if (status == NM_OK) status = roll_blocks(b, &recipe, STEPS, &t, &all, error);
    if (status == NM_OK) status = check(brief, all, &left, error);
    nm_scene_destroy(brief);
    nm_scene_destroy(all);
    if (status != NM_OK) return status;
    // windows are as often as blocks: both answer to what happens as soon
    const double repeats = t.rounds / windows->rounds;
    row(b, "agents_left", size, left, "");
    row(b, "rollout_60s", size, t.all.clock, "s");
    row(b, "rollout_60s_processor", size, t.all.busy, "s");
    row(b, "sampling_60s", size, t.sampling.seconds, "s");
    row(b, "passes", size, (double)t.sampling.passes, "");
    row(b, "block_ms", size, 1e3 * t.all.clock / t.rounds, "ms");
    row(b, "against_windows", size, repeats * windows->all.clock / t.all.clock, "times");
    row(b, "against_windows_processor", size, repeats * windows->all.busy / t.all.busy, "times");
    row(b, "against_windows_sampling", size, repeats * windows->sampling.seconds / t.sampling.seconds, "times");
    return NM_OK;
}

static void close_bench(rollout_bench *b) {
    nm_scene_destroy(b->scene);
    nm_model_destroy(b->model);
    nm_backend_destroy(b->backend);
}

static nm_status run(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error) {
    rollout_bench b = {.bench = bench};
    taken windows;
    if (argc > 1) return NM_ERROR(error, NM_E_ARGUMENT, "bench rollout wants at most the weights of a model");
    nm_status status = open_backend(&b, common, error);
    if (status == NM_OK && argc)
        status = nm_recipe_load(argv[0], b.backend, &b.model, &b.recipe, error);
    else if (status == NM_OK)
        status = create_model(&b, error);
    if (status == NM_OK && argc && !b.recipe.blocks.size)
        status = NM_ERROR(error, NM_E_ARGUMENT, "%.200s was not trained on blocks", argv[0]);
    if (status == NM_OK) status = open_scene(&b, error);
    if (status == NM_OK) status = roll_windows(&b, &windows, error);
    if (status == NM_OK) {
        nm_bench_row(bench, "agents", AGENTS, "");
        nm_bench_row(bench, "window_ms", 1e3 * windows.all.clock / windows.rounds, "ms");
        nm_bench_row(bench, "window_processor_ms", 1e3 * windows.all.busy / windows.rounds, "ms");
        nm_bench_row(bench, "window_passes", (double)windows.sampling.passes / windows.rounds, "");
    }
    static const uint32_t sizes[] = {1, 4, 16};
    for (size_t i = 0; status == NM_OK && i < sizeof sizes / sizeof *sizes && (i == 0 || !argc); ++i)
        status = measure(&b, argc ? b.recipe.blocks.size : sizes[i], &windows, error);
    close_bench(&b);
    return status;
}

const nm_bench_entry nm_bench_rollout = {
    .name = "rollout",
    .summary =
        "60 s of 64 agents block by block against whole windows of 8 s sampled anew as often (untrained, or MODEL).",
    .cuda = 1,
    .run = run,
};
