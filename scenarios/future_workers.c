#include "scenarios/future_workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/thread_pool.h"
#include "scenarios/future_tokens.h"

struct nm_future_workers {
    nm_model *model;
    nm_recipe wide;
    nm_block_rollout_config config;
    nm_future_driver driver;
    uint32_t most;           ///< threads that may be shared out
    nm_thread_pool *pool;    ///< NULL until there is a run with several
    nm_future_worker *first; ///< on the model's own backend
    nm_future_worker **more; ///< [made], of whatever numbers of threads runs have asked for
    uint32_t made;
    pthread_mutex_t asking;    ///< the stop is asked under it
    int stopped;               ///< under it: what the stop said in this run
    atomic_uint_least32_t bad; ///< lowest piece that failed
};

/// One run.
typedef struct work {
    nm_future_workers *all;
    nm_future_task *task;
    void *context;
    nm_future_worker **workers; ///< [count]
    uint32_t count;
    uint32_t futures, each, pieces;
    nm_future_cost *costs; ///< [pieces]
} work;

// ---------------------------------------------------------------------------------------------------------------------
// When to end

/// A failure ends what comes after it, and only that, so that the first one in order is found whatever the timing.
static int must_stop(void *context) {
    const nm_future_worker *worker = context;
    nm_future_workers *all = worker->all;
    if (atomic_load_explicit(&all->bad, memory_order_relaxed) < worker->piece) return 1;
    if (!all->config.stop) return 0;
    pthread_mutex_lock(&all->asking);
    if (!all->stopped) all->stopped = all->config.stop(all->config.stop_context) != 0;
    const int stopped = all->stopped;
    pthread_mutex_unlock(&all->asking);
    return stopped;
}

nm_status nm_future_worker_guide(void *context, const nm_denoise_input *in, float *x0, nm_error *error) {
    nm_future_worker *worker = context;
    if (must_stop(worker)) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    return worker->sampler.guidance ? nm_guidance_apply(worker->sampler.guidance, in, x0, error) : NM_OK;
}

int nm_future_worker_asks(const nm_future_worker *worker) {
    return worker->sampler.guidance || worker->all->config.stop || worker->backend;
}

static void tell_failure(nm_future_workers *all, uint32_t piece) {
    uint_least32_t lowest = atomic_load(&all->bad);
    while (piece < lowest && !atomic_compare_exchange_weak(&all->bad, &lowest, piece)) {
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Workers

static void destroy_worker(nm_future_worker *w) {
    if (!w) return;
    nm_future_sampler_destroy(&w->sampler);
    nm_arena_destroy(w->arena);
    nm_model_destroy(w->model);
    nm_backend_destroy(w->backend);
    free(w);
}

/// threads 0: on the model's own backend.
static nm_status create_worker(nm_future_workers *all, uint32_t threads, nm_future_worker **worker, nm_error *error) {
    *worker = NULL;
    nm_future_worker *w = calloc(1, sizeof *w);
    if (w) w->arena = nm_arena_create(0);
    if (!w || !w->arena) {
        free(w);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for sampling futures");
    }
    w->all = all;
    w->threads = threads;
    nm_status status = NM_OK;
    if (threads) {
        status = nm_backend_create_beside(nm_model_get_backend(all->model), (int)threads, &w->backend, error);
        if (status == NM_OK) status = nm_model_share(all->model, w->backend, &w->model, error);
    }
    nm_block_rollout_config config = all->config;
    config.stop = must_stop;
    config.stop_context = w;
    if (status == NM_OK)
        status = nm_future_sampler_create(threads ? w->model : all->model, &all->wide, &config, all->driver,
                                          &w->sampler, error);
    if (status == NM_OK)
        *worker = w;
    else
        destroy_worker(w);
    return status;
}

nm_status nm_future_workers_create(nm_model *model, const nm_recipe *wide, const nm_block_rollout_config *config,
                                   nm_future_driver driver, nm_future_workers **workers, nm_error *error) {
    *workers = NULL;
    nm_future_workers *all = calloc(1, sizeof *all);
    if (!all) return NM_ERROR(error, NM_E_MEMORY, "out of memory for sampling futures");
    const int together = config->generator.candidates.count > 1 || config->generator.observer;
    all->model = model;
    all->wide = *wide;
    all->config = *config;
    all->driver = driver;
    all->most = together ? 1 : nm_model_get_backend(model)->threads;
    pthread_mutex_init(&all->asking, NULL);
    const nm_status status = create_worker(all, 0, &all->first, error);
    if (status == NM_OK)
        *workers = all;
    else
        nm_future_workers_destroy(all);
    return status;
}

void nm_future_workers_destroy(nm_future_workers *all) {
    if (!all) return;
    nm_thread_pool_destroy(all->pool);
    for (uint32_t i = 0; i < all->made; ++i) destroy_worker(all->more[i]);
    free(all->more);
    destroy_worker(all->first);
    pthread_mutex_destroy(&all->asking);
    free(all);
}

const nm_future_sampler *nm_future_workers_sampler(const nm_future_workers *all) {
    return &all->first->sampler;
}

static nm_status add_worker(nm_future_workers *all, uint32_t threads, nm_error *error) {
    nm_future_worker **more = realloc(all->more, (all->made + 1u) * sizeof(*more));
    if (!more) return NM_ERROR(error, NM_E_MEMORY, "out of memory for sampling futures");
    all->more = more;
    const nm_status status = create_worker(all, threads, &more[all->made], error);
    all->made += status == NM_OK;
    return status;
}

/// Workers of the run: as many as it wants, of `threads` each. The model may have learnt since the last one.
static nm_status find_workers(work *w, uint32_t threads, nm_error *error) {
    nm_future_workers *all = w->all;
    nm_status status = NM_OK;
    uint32_t found = 0;
    for (uint32_t i = 0; status == NM_OK && found < w->count; ++i) {
        if (i == all->made) status = add_worker(all, threads, error);
        if (status != NM_OK || all->more[i]->threads != threads) continue;
        w->workers[found++] = all->more[i];
        status = nm_model_follow(all->more[i]->model, error);
    }
    if (status == NM_OK && !all->pool) status = nm_thread_pool_create((int)all->most, &all->pool, error);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// The run

static nm_status sample_piece(work *w, nm_future_worker *worker, uint32_t piece, nm_error *error) {
    const uint32_t first = piece * w->each, left = w->futures - first;
    nm_arena_reset(worker->arena);
    worker->piece = piece;
    const nm_status status =
        w->task(w->context, worker, first, left < w->each ? left : w->each, &w->costs[piece], error);
    if (status != NM_OK) tell_failure(w->all, piece);
    worker->seconds += w->costs[piece].seconds;
    return status;
}

/// As many pieces as workers: each has its own, whichever thread it is; more of them, and every thread has a worker.
static nm_status sample_beside(void *context, size_t index, int thread, nm_error *error) {
    work *w = context;
    return sample_piece(w, w->workers[w->count == w->pieces ? (uint32_t)index : (uint32_t)thread], (uint32_t)index,
                        error);
}

static nm_status sample_all(work *w, nm_error *error) {
    for (uint32_t i = 0; i < w->count; ++i) w->workers[i]->seconds = 0.0;
    atomic_store(&w->all->bad, UINT32_MAX);
    w->all->stopped = 0;
    if (w->count > 1) return nm_thread_pool_for(w->all->pool, w->pieces, 1, sample_beside, w, error);
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < w->pieces; ++i) status = sample_piece(w, w->workers[0], i, error);
    return status;
}

static void add_cost(nm_future_cost *sum, const nm_future_cost *more) {
    sum->passes += more->passes;
    sum->batches += more->batches;
    sum->futures.passes += more->futures.passes;
    sum->futures.tokens += more->futures.tokens;
    sum->futures.agreed += more->futures.agreed;
    sum->future_count += more->future_count;
    nm_reuse_stats_add(&sum->reuse, &more->reuse);
    sum->chosen += more->chosen;
    sum->effective += more->effective;
    sum->energy_gained += more->energy_gained;
}

static void add_costs(const work *w, nm_future_cost *cost) {
    double longest = 0.0;
    for (uint32_t i = 0; i < w->count; ++i)
        if (w->workers[i]->seconds > longest) longest = w->workers[i]->seconds;
    for (uint32_t i = 0; i < w->pieces; ++i) add_cost(cost, &w->costs[i]);
    cost->seconds += longest;
}

static uint32_t lower(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

nm_status nm_future_workers_run(nm_future_workers *all, uint32_t futures, nm_future_task *task, void *context,
                                nm_future_cost *cost, nm_error *error) {
    if (!futures) return NM_OK;
    const uint32_t most = lower(all->most ? all->most : 1, futures);
    const uint32_t each = lower(all->config.generator.scenes, (futures + most - 1) / most);
    const uint32_t pieces = (futures + each - 1) / each;
    work w = {.all = all,
              .task = task,
              .context = context,
              .count = lower(most, pieces),
              .futures = futures,
              .each = each,
              .pieces = pieces,
              .workers = calloc(most, sizeof *w.workers),
              .costs = calloc(pieces, sizeof *w.costs)};
    nm_status status =
        w.workers && w.costs ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for %u futures", futures);
    if (status == NM_OK && w.count > 1) status = find_workers(&w, all->most / w.count, error);
    if (status == NM_OK && w.count == 1) w.workers[0] = all->first;
    if (status == NM_OK) status = sample_all(&w, error);
    if (status == NM_OK && cost) add_costs(&w, cost);
    free(w.workers);
    free(w.costs);
    return status;
}
