/// Scenes out of a trained model: the recorded history goes on as the model says. Futures of several scenes, and
/// several of one scene, are sampled in one batch.
///
/// What comes out of a request is a function of the model, the configuration but for the batch's size, and the request:
/// it depends neither on threads nor on what else is in the batch. One thread at a time, that of the model's backend;
/// with a CPU backend of T threads the batch is shared out to up to T samplers side by side (future_workers.h).
#ifndef NM_SCENARIOS_SCENE_GENERATOR_H
#define NM_SCENARIOS_SCENE_GENERATOR_H

#include "scenarios/block_rollout.h"
#include "scenarios/model_futures.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_scene_generator nm_scene_generator;

/// Fill with nm_scene_generator_config_default().
typedef struct nm_scene_generator_config {
    nm_generator_config generator; ///< scenes = size of a batch, all threads together; default 8
    uint32_t agents;               ///< of a scene at most, also if the model was trained with fewer; default 160
    nm_guidance_config guidance;   ///< as nm_model_futures_config, and so are the next three
    nm_future_driver driver;
    nm_candidates_config candidates;
    const nm_energy *energy;
    uint32_t
        steps; ///< of 0.1 s that are made; default 0 = the recipe's future. Others with models trained on blocks only
    /// Nullable: asked once a pass, as that of nm_model_futures_config; not 0 ends the run with NM_E_CANCELLED.
    int (*stop)(void *context);
    void *stop_context;
} nm_scene_generator_config;
NM_API nm_scene_generator_config nm_scene_generator_config_default(void);

/// The model is borrowed and outlives it. Memory is made for a batch of the largest scenes. Errors as
/// nm_generator_create. Models that were trained on blocks roll out block by block (block_rollout.h): then the task is
/// FREE, and the schedule is within a block.
NM_API nm_status nm_scene_generator_create(nm_model *model, const nm_recipe *recipe,
                                           const nm_scene_generator_config *config, nm_scene_generator **generator,
                                           nm_error *error);
NM_API void nm_scene_generator_destroy(nm_scene_generator *generator); ///< NULL is fine

/// A scene that is wanted. All pointers are borrowed until the run.
typedef struct nm_scene_request {
    const nm_scene *scene;       ///< time step 0.1 s
    uint32_t current_step;       ///< history up to it
    nm_task_kind task;           ///< FREE or GOAL, as nm_future_request
    const nm_token_bound *bound; ///< nullable: where one agent is going
    uint64_t seed; ///< keys the noise with the scene's hash and `sample`: sample n of nm_model_futures_run
    uint32_t sample;
    uint64_t parent;        ///< provenance: 0 = the scene's hash
    const char *parameters; ///< provenance: JSON object that says all of this and the model
} nm_scene_request;

/// Adds one to the batch. Requests in succession about one scene, step and task share their tokens, and requests about
/// one map what is made of the map.
/// NM_E_LIMIT when the batch is full; else errors of nm_token_map_create and nm_tokens_build: the batch is as it was.
NM_API nm_status nm_scene_generator_add(nm_scene_generator *generator, const nm_scene_request *request,
                                        nm_error *error);
NM_API uint32_t nm_scene_generator_count(const nm_scene_generator *generator); ///< requests in the batch
/// The tokens of request `index` < count, which is scene `index` of the sampler's layout, or with K candidates scene
/// index * K and the next ones; until the run ends. For observers.
NM_API const nm_tokens *nm_scene_generator_tokens(const nm_scene_generator *generator, uint32_t index);

/// What came out of a request.
typedef struct nm_generated_scene {
    const nm_scene *scene; ///< the caller's; NULL when status is not NM_OK. See nm_tokens_to_scene: source "nexus". Who
                           ///< is not there at the current step, or did not fit, has no future; vehicles that drive
                           ///< off the end of the map are gone from then on
    uint32_t agents;       ///< that were generated
    uint32_t left_out;     ///< that are there at the current step and did not fit
    nm_status status;
    nm_error error; ///< of the status
} nm_generated_scene;

/// Samples what was added; the batch is empty afterwards, whatever happens.
///
/// out    [count] in the order of the requests. A request for which the model makes something that is not finite, or
///        that no scene takes, fails alone (NM_E_NUMERIC)
/// cost   [in/out, nullable] added to
/// returns  NM_OK though requests failed; NM_E_CANCELLED, NM_E_MEMORY, or an error of the backend: then nothing is in
///          `out`
NM_API nm_status nm_scene_generator_run(nm_scene_generator *generator, nm_generated_scene *out, nm_future_cost *cost,
                                        nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
