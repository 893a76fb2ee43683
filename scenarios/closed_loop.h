/// A trained model drives everybody but the ego, and the ego reacts: half a second is sampled and driven in the
/// simulator, what the ego really did becomes a token without noise, and the rest is sampled on with it known.
///
/// Near tokens finish first under a pyramid or trapezoid schedule, so that the futures of the others answer to the
/// ego's past, each pass once more. Under `full` all is finished before the ego moves: the others do not react.
///
/// Others can be given a plan, such as an adversary's manoeuvre: its tokens begin with little noise instead of much, so
/// that everybody reckons with it from the first pass on and the model makes its own motion of it; every prediction can
/// be pulled towards it; and where it leads can be given as a goal. And adversaries can be steered into a conflict with
/// the ego (guidance.h), wherever it is by then.
///
/// Models that were trained on blocks drive a block at a time: each is sampled, driven, and the next one knows what
/// came of it, so that the others react once a block. Plans and adversaries they know not.
///
/// One thread at a time, that of the model's backend. A run is a function of model, configuration and request.
#ifndef NM_SCENARIOS_CLOSED_LOOP_H
#define NM_SCENARIOS_CLOSED_LOOP_H

#include "nexus/generator.h"
#include "nexus/guidance.h"
#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_closed_loop nm_closed_loop;

/// Fill with nm_closed_loop_config_default().
typedef struct nm_closed_loop_config {
    nm_generator_config generator; ///< its scenes are set to 1; default pyramid:1, 2 levels
    uint32_t agents;               ///< that take part at most, the ego and the nearest to it; default 32
    uint32_t future;               ///< tokens of half a second that are sampled; 0 (default) = the recipe's
    nm_guidance_config guidance;   ///< as nm_model_futures_config; adversarial of adversaries; default 0.5
    /// Nullable: asked once a pass; not 0 ends the run with NM_E_CANCELLED.
    int (*stop)(void *context);
    void *stop_context;
} nm_closed_loop_config;
NM_API nm_closed_loop_config nm_closed_loop_config_default(void);

/// The model is borrowed and outlives it. Memory is made for the largest scene. Errors as nm_generator_create, or
/// nm_block_rollout_create.
NM_API nm_status nm_closed_loop_create(nm_model *model, const nm_recipe *recipe, const nm_closed_loop_config *config,
                                       nm_closed_loop **loop, nm_error *error);
NM_API void nm_closed_loop_destroy(nm_closed_loop *loop); ///< NULL is fine

/// Whose recorded future is a plan; without a future there is none.
typedef struct nm_loop_plan {
    uint32_t track;
    uint32_t most; ///< its tokens' level at most, in steps of 1 / levels: 1 (little noise) .. levels (begins unknown)
    float pull;    ///< [0, 1] of every prediction towards it
    int unbound;   ///< 1 = guidance does not draw it to lanes: it leaves them on purpose; default 0
    uint32_t goal; ///< step whose token is given: the plan is reached there, whatever happens; NM_NONE: no goal
} nm_loop_plan;
NM_API nm_loop_plan nm_loop_plan_default(uint32_t track); ///< begins unknown, pull 0.7, no goal

/// Who is steered into the ego.
typedef struct nm_loop_adversary {
    uint32_t track;
    nm_conflict_aim aim;
    uint32_t step; ///< of the scene, at which they are to meet; after the current one, within the tokens' future
} nm_loop_adversary;

/// Somebody from outside who drives the ego, under NM_POLICY_EXTERNAL. A status other than NM_OK ends the run with it.
typedef struct nm_loop_driver {
    /// Before every step of the simulator, which shows the world as it is then: says by nm_world_set_state or
    /// nm_world_set_control what the ego does in it.
    nm_status (*before)(void *context, nm_world *world, nm_error *error);
    nm_status (*after)(void *context, nm_world *world, nm_error *error); ///< after it
    void *context;
} nm_loop_driver;

/// Fill with nm_loop_request_default(). All pointers are borrowed during the run.
typedef struct nm_loop_request {
    const nm_scene *scene;        ///< time step 0.1 s; its ego is the ego
    uint32_t current_step;        ///< history up to it
    nm_policy_kind ego;           ///< default IDM; EXTERNAL needs a driver
    const nm_loop_driver *driver; ///< nullable: default
    const nm_policy *custom;      ///< for NM_POLICY_CUSTOM
    const nm_idm_params *idm;     ///< default nm_idm_named("nearmiss")
    nm_policy_kind rest;          ///< of those who take no part; default EXTERNAL: they keep speed and steering
    unsigned checks;              ///< NM_CHECK_... besides collisions, for the driver to see; default 0
    uint32_t notices;             ///< step from which on the ego drives by its policy; before, it keeps its velocity;
                                  ///< default 0
    const nm_loop_plan *plans;    ///< [plan_count]
    uint32_t plan_count;
    const nm_loop_adversary *adversaries; ///< [adversary_count]
    uint32_t adversary_count;
    int touching;  ///< 1 = guidance does not push agents apart: they are to touch; default 0
    uint64_t seed; ///< keys the noise with the scene's hash and `sample`
    uint32_t sample;
    uint64_t drivers;       ///< seed of the simulator, for where ways fork; default 0: `seed`
    uint64_t drivers_scene; ///< what that is keyed by besides; default 0: the scene's hash
    const char *source;     ///< provenance; NULL = "nexus"
    uint64_t parent;        ///< provenance: 0 = the scene's hash
    const char *parameters; ///< provenance: JSON object; NULL = "{}"
} nm_loop_request;
NM_API nm_loop_request nm_loop_request_default(const nm_scene *scene); ///< at the scene's current step

/// *out  [nullable] the caller's (nm_scene_destroy): history as it was, then what the model sampled and the ego drove.
/// Who did not
///       fit, or is not there at the current step, has no future; who drives off the map is gone from then on;
///       with a model that was trained on blocks from the simulator, too, so that the ego meets nobody who is not there
/// Errors: NM_E_ARGUMENT for a scene without an ego that is there at the current step, a plan's or adversary's track
/// that there is not, is the ego or takes no part, a level or pull or a step out of range, or plans, adversaries and
/// touching with a model that was trained on blocks; those of nm_tokens_build, nm_generator_run and nm_world_create;
/// NM_E_NUMERIC for a state that no scene takes; NM_E_CANCELLED.
NM_API nm_status nm_closed_loop_run(nm_closed_loop *loop, const nm_loop_request *request, const nm_scene **out,
                                    nm_error *error);
NM_API uint64_t nm_closed_loop_passes(const nm_closed_loop *loop); ///< of the network, in the last run

#ifdef __cplusplus
}
#endif
#endif
