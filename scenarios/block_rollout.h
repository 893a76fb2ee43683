/// Long futures out of a model that was trained on blocks (nexus/blocks.h): block after block, each encoded where its
/// agents are by then, for as long as wanted. Costs per block, not per horizon: keys of finished blocks are kept.
///
/// What comes out of a request is a function of the model, the configuration but for the batch's size, and the request.
/// One thread at a time, that of the model's backend.
#ifndef NM_SCENARIOS_BLOCK_ROLLOUT_H
#define NM_SCENARIOS_BLOCK_ROLLOUT_H

#include "nexus/block_generator.h"
#include "nexus/guidance.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_block_rollout nm_block_rollout;

#define NM_BLOCK_STANDSTILL 0.3f ///< m/s

/// Fill with nm_block_rollout_config_default().
typedef struct nm_block_rollout_config {
    nm_generator_config generator; ///< scenes = rollouts side by side; default 8, pyramid:1 within a block, 2 levels
    uint32_t agents;               ///< of a scene at most, of those who are there at the current step; default 160
    nm_guidance_config guidance;   ///< as nm_model_futures_config
    /// m/s, >= 0: a vehicle that stands and would roll back no faster stays where it is; default 0.3, 0 = it rolls.
    /// Recorded traffic stands still for long and does not roll back, so that models have not seen what comes of it:
    /// out of a few cm a second a minute makes reversing through the junction.
    float standstill;
    /// Nullable: asked once a pass; not 0 ends the run with NM_E_CANCELLED.
    int (*stop)(void *context);
    void *stop_context;
} nm_block_rollout_config;
NM_API nm_block_rollout_config nm_block_rollout_config_default(void);

/// The model is borrowed and outlives it. Errors as nm_block_generator_create.
NM_API nm_status nm_block_rollout_create(nm_model *model, const nm_recipe *recipe,
                                         const nm_block_rollout_config *config, nm_block_rollout **rollout,
                                         nm_error *error);
NM_API void nm_block_rollout_destroy(nm_block_rollout *rollout); ///< NULL is fine

/// Could so many steps be made, of whatever scene? NM_E_LIMIT with the number that is too large.
NM_API nm_status nm_block_rollout_check_steps(const nm_recipe *recipe, uint32_t steps, nm_error *error);

/// A block as it was sampled, for whoever knows better: what stands here at the end happened, and later blocks see it.
typedef struct nm_block_happening {
    const nm_tokens *tokens; ///< of the block: whose it is; A agents
    uint32_t first;          ///< step of the scene that the first state is of
    uint32_t steps;          ///< of 0.1 s in the block
    nm_state *states;        ///< [in/out, A x steps] scene frame; as sampled also beyond the map's end
    uint8_t *present;        ///< [in/out, A x steps] 0 = is not there; comes not back when it ends so
} nm_block_happening;
/// A status other than NM_OK ends the run with it.
typedef nm_status nm_block_happen(void *context, nm_block_happening *block, nm_error *error);

/// One rollout. Borrowed during the run.
typedef struct nm_block_request {
    const nm_scene *scene;  ///< time step 0.1 s
    uint32_t current_step;  ///< history up to it
    uint64_t key;           ///< of the noise (nm_future_key)
    nm_token_output output; ///< provenance; keep_rest is not read: who is no agent, or not there now, has no future
    const nm_token_bound *bound; ///< nullable: where one agent is going, for as long as a way leads there
    nm_block_happen *happen;     ///< nullable: called once a block, when it is sampled
    void *happen_context;
} nm_block_request;

/// What it took.
typedef struct nm_block_cost {
    double seconds;          ///< all of it
    double sampling;         ///< of these: passes of the network, maps encoded, guidance
    uint64_t blocks, passes; ///< blocks of all rollouts side by side; passes of the network
} nm_block_cost;

/// Rolls `count` scenes out side by side.
///
/// steps  of 0.1 s after the current one, >= 1: as many blocks as cover them, cut there
/// out    [out, count] the caller's (nm_scene_destroy): history as it was, then what was sampled; vehicles that drive
///        off the end of the map are gone from then on; nobody comes in their place. Agents that stand by their role
///        (NM_TRACK_STATIC) are given to the others as standing, and do so, bit for bit, wherever they are. Of more
///        agents than there is room for the nearest to the ego (nm_tokens_build) have a future
/// cost   [in/out, nullable] added to
/// Errors of nm_tokens_build and nm_block_generator_run; NM_E_LIMIT for more scenes than were made room for, or a scene
/// that would be too long (nm_block_rollout_check_steps, NM_SCENE_MAX_STEPS and NM_SCENE_MAX_STATES), before anything
/// is sampled; NM_E_NUMERIC where a state comes out that no scene takes; NM_E_CANCELLED. Nothing is in `out` then.
NM_API nm_status nm_block_rollout_run(nm_block_rollout *rollout, const nm_block_request *requests, uint32_t count,
                                      uint32_t steps, const nm_scene **out, nm_block_cost *cost, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
