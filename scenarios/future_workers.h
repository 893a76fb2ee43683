/// Samplers side by side: futures, shared out to threads that each sample some of them from end to end. A pass over a
/// few futures is too short to be split operation by operation; whole futures need each other for nothing.
///
/// With a backend of T threads (nm_backend.threads) there are up to T workers, each with a backend of T / workers
/// threads of its own, a model that shares the parameters (nm_model_share) and all that passes keep. What comes out is
/// the same for any number of them, because a future depends neither on threads nor on what else is in its batch.
/// There is one worker, on the model's own backend with all its threads, where
///   - a single future is wanted, or the backend has one thread or can have none beside it (CUDA, the reference);
///   - there are candidates: the energy that compares them has a backend of its own;
///   - an observer is told of the sampler's batch as a whole.
///
/// Workers are made by the first run that wants as many, and stay. Each has the weights once more as its backend packs
/// them, and memory for `scenes` of the largest futures, which is real only where it was touched. A run is started from
/// one thread at a time, that of the model's backend, which is one of those that work. Shared by model_futures.c and
/// scene_generator.c.
#ifndef NM_SCENARIOS_FUTURE_WORKERS_H
#define NM_SCENARIOS_FUTURE_WORKERS_H

#include "scenarios/future_sampler.h"
#include "scenarios/model_futures.h"

typedef struct nm_future_workers nm_future_workers;

/// What samples one piece at a time.
typedef struct nm_future_worker {
    nm_future_sampler sampler;
    nm_arena *arena; ///< empty when a piece begins
    nm_future_workers *all;
    nm_backend *backend; ///< these two: NULL = those that all were made with
    nm_model *model;
    uint32_t threads; ///< of its backend
    uint32_t piece;   ///< that it samples, counted in a run
    double seconds;   ///< of sampling in this run, all its pieces together
} nm_future_worker;

/// config, driver  of every worker's sampler, see nm_future_sampler_create; the stop is asked by one thread at a time,
///                 and never again in a run in which it said so. Copied
/// wide            likewise
/// The model is borrowed and outlives them. Errors of nm_future_sampler_create.
nm_status nm_future_workers_create(nm_model *model, const nm_recipe *wide, const nm_block_rollout_config *config,
                                   nm_future_driver driver, nm_future_workers **workers, nm_error *error);
void nm_future_workers_destroy(nm_future_workers *workers); ///< NULL is fine

/// The sampler of which there is one always: what it is says what all are. Of the workers.
const nm_future_sampler *nm_future_workers_sampler(const nm_future_workers *workers);

/// For guides (nm_guide) of a worker: NM_E_CANCELLED where the run is to end, by the stop or because of a failure of
/// futures before these; else the guidance, if there is one. `worker` is an nm_future_worker.
nm_status nm_future_worker_guide(void *worker, const nm_denoise_input *in, float *x0, nm_error *error);
int nm_future_worker_asks(const nm_future_worker *worker); ///< 0: it does nothing, and need not be called

/// Samples futures [first, first + count) and writes to places of theirs. cost [in/out] what it took.
typedef nm_status nm_future_task(void *context, nm_future_worker *worker, uint32_t first, uint32_t count,
                                 nm_future_cost *cost, nm_error *error);

/// Runs `task` on pieces of [0, futures), in order, of config->generator.scenes each, less where all workers have
/// something to do only then.
/// cost     [in/out, nullable] added to if all is well: sums over pieces, in order; seconds are those of the worker
///          that took longest
/// returns  the first failure, in the order of the futures; tasks of later ones may have run, or not. NM_E_MEMORY where
///          workers can not be made
nm_status nm_future_workers_run(nm_future_workers *workers, uint32_t futures, nm_future_task *task, void *context,
                                nm_future_cost *cost, nm_error *error);

#endif
