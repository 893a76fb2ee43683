/// `nearmiss bench sim`: agent-steps per second with dynamics, collision, off-road, lane and TTC checks all on and IDM
/// agents deciding at every step. Work is fixed; results are checked to repeat bit for bit before anything is timed;
/// the median of the repeats counts. An agent-step is one state computed for one moving agent.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "sim/builtin.h"
#include "sim/world.h"
#include "tools/cli.h"
#ifndef NM_CORE_ONLY
#include "dataset/import.h"
#endif

#define ROLLOUT_STEPS 80
#define REPEATS 7

typedef struct bench_worlds {
    nm_world **worlds;
    size_t count;
} bench_worlds;

/// One rollout per index, on a world of its own; the seed is the index.
static nm_status roll(void *context, size_t index, int worker, nm_error *error) {
    (void)worker;
    (void)error;
    bench_worlds *b = context;
    nm_world_reset(b->worlds[index], (uint64_t)index);
    for (int step = 0; step < ROLLOUT_STEPS; ++step) nm_world_step(b->worlds[index], NULL, 0, NULL);
    return NM_OK;
}

static uint64_t steps_done(const bench_worlds *b) {
    uint64_t steps = 0;
    for (size_t i = 0; i < b->count; ++i) steps += nm_world_get_stats(b->worlds[i]).agent_steps;
    return steps;
}

static uint64_t hash_all(const bench_worlds *b) {
    uint64_t hash = 0;
    for (size_t i = 0; i < b->count; ++i) {
        const uint64_t one = nm_world_hash(b->worlds[i]);
        hash = nm_hash_bytes(&one, sizeof one, hash);
    }
    return hash;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values) {
    qsort(values, REPEATS, sizeof *values, by_value);
    return values[REPEATS / 2];
}

/// All rollouts once; *rate receives agent-steps per second. *hash holds what they have to give, 0 = not known yet.
static nm_status pass(nm_thread_pool *pool, bench_worlds *b, double *rate, uint64_t *hash, nm_error *error) {
    if (nm_cli_interrupted()) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    const double start = nm_clock();
    const nm_status status = nm_thread_pool_for(pool, b->count, 1, roll, b, error);
    *rate = (double)steps_done(b) / (nm_clock() - start);
    if (status != NM_OK) return status;
    const uint64_t now = hash_all(b);
    if (*hash == 0) *hash = now;
    return now == *hash ? NM_OK : NM_ERROR(error, NM_E_NUMERIC, "two runs of the same rollouts differ");
}

/// Medians over the repeats: agent-steps per second on one thread, and, with a second pool, the ratio of both, taken
/// side by side because a shared machine is not equally fast from one second to the next. Every pass has to give the
/// same bits.
static nm_status measure(nm_thread_pool *one, nm_thread_pool *two, bench_worlds *b, double *rate, double *scaling,
                         nm_error *error) {
    double rates[REPEATS], ratios[REPEATS];
    uint64_t hash = 0;
    nm_status status = NM_OK;
    for (int r = -1; status == NM_OK && r < REPEATS; ++r) { // the first one warms up
        double single = 0.0, both = 0.0;
        status = pass(one, b, &single, &hash, error);
        if (status == NM_OK && two) status = pass(two, b, &both, &hash, error);
        if (r < 0) continue;
        rates[r] = single;
        ratios[r] = both / single;
    }
    if (status != NM_OK) return status;
    *rate = median(rates);
    *scaling = median(ratios);
    return NM_OK;
}

static void destroy_worlds(bench_worlds *b) {
    for (size_t i = 0; i < b->count; ++i) nm_world_destroy(b->worlds[i]);
    free(b->worlds);
    *b = (bench_worlds){0};
}

static nm_status create_worlds(const nm_scene *scene, uint32_t max_agents, size_t count, bench_worlds *b,
                               nm_error *error) {
    b->worlds = calloc(count, sizeof *b->worlds);
    if (!b->worlds) return NM_ERROR(error, NM_E_MEMORY, "no memory for %zu worlds", count);
    nm_world_config config = nm_world_config_default();
    config.max_agents = max_agents;
    for (; b->count < count; ++b->count) {
        const nm_status status = nm_world_create(scene, &config, &b->worlds[b->count], error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

typedef struct case_result {
    double rate;    ///< agent-steps/s on one thread
    double scaling; ///< two threads over one
    uint32_t agents;
    double collided_percent;
} case_result;

static nm_status run_case(const nm_scene *scene, uint32_t max_agents, int two_threads, case_result *result,
                          nm_error *error) {
    // about 0.4 million agent-steps a repeat
    const uint32_t agents = scene->track_count < max_agents ? scene->track_count : max_agents;
    const size_t worlds = 2 + 400000u / (ROLLOUT_STEPS * (agents ? agents : 1));
    bench_worlds b = {0};
    nm_thread_pool *one = NULL, *two = NULL;
    nm_status status = create_worlds(scene, max_agents, worlds, &b, error);
    if (status == NM_OK) status = nm_thread_pool_create(1, &one, error);
    if (status == NM_OK && two_threads) status = nm_thread_pool_create(2, &two, error);
    if (status == NM_OK) status = measure(one, two, &b, &result->rate, &result->scaling, error);
    if (status == NM_OK) {
        uint64_t took_part = 0, collided = 0;
        for (size_t i = 0; i < b.count; ++i) {
            const nm_world_stats stats = nm_world_get_stats(b.worlds[i]);
            took_part += stats.agents;
            collided += stats.collided;
        }
        result->agents = (uint32_t)(took_part / b.count);
        result->collided_percent = took_part ? 100.0 * (double)collided / (double)took_part : 0.0;
    }
    nm_thread_pool_destroy(one);
    nm_thread_pool_destroy(two);
    destroy_worlds(&b);
    return status;
}

#ifndef NM_CORE_ONLY
/// Keeps the scene with the most agents at its first step among those offered.
static nm_status keep_largest(void *context, const nm_scene *scene, const char *input, uint64_t record,
                              nm_error *error) {
    (void)input;
    (void)record;
    (void)error;
    const nm_scene **best = context;
    uint32_t present = 0, best_present = 0;
    for (uint32_t k = 0; k < scene->track_count; ++k) present += scene->valid[nm_scene_at(scene, k, 0)];
    for (uint32_t k = 0; *best && k < (*best)->track_count; ++k)
        best_present += (*best)->valid[nm_scene_at(*best, k, 0)];
    if (present > best_present && scene->dt > 0.0999f && scene->dt < 0.1001f) {
        nm_scene_destroy(*best);
        *best = scene;
    } else {
        nm_scene_destroy(scene);
    }
    return NM_OK;
}

static void ignore_refusal(void *context, const nm_error *error) {
    (void)context;
    (void)error;
}

static nm_status imported_scene(const char *path, const nm_scene **scene, nm_error *error) {
    nm_importer *importer = nm_importer_create(NULL);
    if (!importer) return NM_ERROR(error, NM_E_MEMORY, "no memory for an importer");
    *scene = NULL;
    nm_status status = nm_import_file(importer, path, keep_largest, ignore_refusal, scene, NULL, error);
    nm_importer_destroy(importer);
    if (status == NM_OK && !*scene)
        status =
            NM_ERROR_AT(error, NM_E_NOT_FOUND, path, 0, -1, "no scene with agents at its first step and a 0.1 s step");
    return status;
}
#endif

static nm_status bench_scene(int argc, char **argv, const nm_scene **scene, nm_error *error) {
    if (argc > 1) return NM_ERROR(error, NM_E_ARGUMENT, "bench sim takes one file at most");
#ifndef NM_CORE_ONLY
    if (argc == 1) return imported_scene(argv[0], scene, error);
#else
    (void)argv;
    if (argc == 1) return NM_ERROR(error, NM_E_UNSUPPORTED, "this core build cannot import files");
#endif
    return nm_builtin_scene("junction_signal:lanes=2,length=250,density=40,vehicles=64", 1, scene, error);
}

static nm_status bench_sim(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error) {
    (void)common;
    const nm_scene *small = NULL, *large = NULL;
    case_result at64 = {0}, at1000 = {0};
    nm_status status = bench_scene(argc, argv, &small, error);
    if (status == NM_OK)
        status = nm_builtin_scene("highway:lanes=5,length=8000,density=25,vehicles=1000", 1, &large, error);
    if (status == NM_OK) status = run_case(small, 64, 1, &at64, error);
    if (status == NM_OK) status = run_case(large, 1000, 0, &at1000, error);
    if (status == NM_OK) {
        nm_bench_row(bench, "agent_steps_per_s_per_core.64", at64.rate, "agent-steps/s");
        nm_bench_row(bench, "agent_steps_per_s_per_core.1000", at1000.rate, "agent-steps/s");
        nm_bench_row(bench, "thread_scaling.2", at64.scaling, "x");
        nm_bench_row(bench, "cost_ratio.1000_to_64", at64.rate / at1000.rate, "x");
        nm_bench_row(bench, "agents.64", at64.agents, "agents");
        nm_bench_row(bench, "agents.1000", at1000.agents, "agents");
        char note[256];
        snprintf(
            note, sizeof note,
            "IDM agents; dynamics, collision, off-road, wrong-way, lane and TTC checks on; 64: %s, %.2f %% collide; "
            "1000: built-in highway, %.2f %% collide",
            argc == 1 ? "imported" : "built-in junction (give a file to import one)", at64.collided_percent,
            at1000.collided_percent);
        nm_bench_note(bench, note);
    }
    nm_scene_destroy(small);
    nm_scene_destroy(large);
    return status;
}

const nm_bench_entry nm_bench_sim = {
    .name = "sim",
    .summary = "closed-loop simulation: agent-steps per second and core [FILE: a scene to import]",
    .run = bench_sim,
};
