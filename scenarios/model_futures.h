/// Futures of a recorded scene out of a trained model, all agents together, as metrics and simulation take them.
///
/// What comes out of a request is a function of the model, the configuration but for the batch's size, and the request:
/// the same bits for any number of threads. One thread at a time, that of the model's backend. With a CPU backend of T
/// threads up to T samplers work side by side, each on whole futures: min(T, samples), of T divided by as many threads
/// each. A single future takes all threads, and so do candidates (`energy`), whatever an observer watches, and CUDA.
/// The other samplers are made by the first run that has use for them (NM_E_MEMORY, then) and stay: each takes the
/// weights once more, as its backend packs them, and memory for a batch, which counts only as far as it was touched.
#ifndef NM_SCENARIOS_MODEL_FUTURES_H
#define NM_SCENARIOS_MODEL_FUTURES_H

#include "nexus/energy.h"
#include "nexus/generator.h"
#include "nexus/guidance.h"
#include "scenarios/future_proposal.h"
#include "sim/metrics/futures.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_model_futures nm_model_futures;

/// Fill with nm_model_futures_config_default().
typedef struct nm_model_futures_config {
    nm_generator_config generator; ///< scenes = futures sampled at once by one sampler; default 8, pyramid:1, 2 levels
    uint32_t agents;               ///< of a scene at most, also if the model was trained with fewer; default 160
    /// Behaviour terms; max_tokens, encoding and dt are set here. Default: agents are pushed apart and back
    /// onto the road. All strengths 0: none.
    nm_guidance_config guidance;
    nm_future_driver driver; ///< what proposes with generator.agreement; default PATH
    /// Of each future; default one. `energy`, borrowed, chooses among several (the candidates' own energy and context
    /// are set here, those of `generator` not read); that it is the model's is for the caller to check. A batch has
    /// generator.scenes futures all the same: memory for as many candidates of each.
    nm_candidates_config candidates;
    const nm_energy *energy;
    /// Nullable: asked once a pass, by whichever thread samples but by one at a time, and no more in a run in which it
    /// said so; not 0 ends the run with NM_E_CANCELLED.
    int (*stop)(void *context);
    void *stop_context;
} nm_model_futures_config;
NM_API nm_model_futures_config nm_model_futures_config_default(void);

/// The model is borrowed and outlives it. One that was trained on blocks rolls out block by block, tasks FREE without
/// feedback only (NM_E_ARGUMENT from the run). Memory is made for the largest scene. Errors as nm_generator_create.
NM_API nm_status nm_model_futures_create(nm_model *model, const nm_recipe *recipe,
                                         const nm_model_futures_config *config, nm_model_futures **futures,
                                         nm_error *error);
NM_API void nm_model_futures_destroy(nm_model_futures *futures); ///< NULL is fine

/// What is to be generated.
typedef struct nm_future_request {
    const nm_scene *scene; ///< time step 0.1 s
    uint32_t current_step; ///< history up to it
    nm_task_kind task;     ///< FREE or GOAL: of each agent's last whole token only the last state is given
    uint32_t samples;      ///< >= 1
    uint32_t agents;
    const uint32_t *track; ///< [agents] whose futures are wanted: ascending, valid at the current step
    int feedback;          ///< 1: nm_generation.feedback of all agents: replayed logs, a closed loop
    uint64_t seed;         ///< keys the noise with the scene's hash and the sample's number
} nm_future_request;

/// What it took.
typedef struct nm_future_cost {
    /// That it took, on the wall: sampling alone, maps encoded, tokens built and decoded outside; proposals included.
    /// Of samplers side by side, that of the one that took longest. All the rest are sums over batches.
    double seconds;
    uint64_t passes;            ///< of the network, of all batches together
    uint32_t batches;           ///< of all samplers: their number depends on how many there are
    nm_generated_count futures; ///< sums over futures; see nm_generator_count
    uint64_t future_count;
    nm_reuse_stats reuse; ///< what passes kept, where the generator's configuration says so
    uint64_t chosen;      ///< futures that were chosen among candidates
    double effective;     ///< sum of their effective numbers of candidates
    double energy_gained; ///< sum of what the chosen ones have less than the mean of their candidates
} nm_future_cost;

/// out      its arrays are in `arena`; steps = 5 x tokens of the future. Everybody in the scene takes part, wanted or
///          not, the nearest to the ego first where there are too many; who is wanted and does not fit goes straight on
/// cost     [out, nullable] added to if all is well
/// Errors of nm_tokens_build and nm_generator_run; NM_E_CANCELLED; NM_E_NUMERIC where a state comes out that no scene
/// takes.
NM_API nm_status nm_model_futures_run(nm_model_futures *futures, const nm_future_request *request, nm_arena *arena,
                                      nm_futures *out, nm_future_cost *cost, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
