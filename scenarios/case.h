/// Corner cases on request: one interface in front of three generators.
///
/// manoeuvre  an adversary's parametric manoeuvre, timed so that the conflict happens with an ego that reacts
///            (manoeuvre.h)
/// resample   futures that ordinary traffic could have had, drawn by plausibility times the odds that they end in a
///            conflict with what the ego is likely to do (resample.h)
/// diffusion  the trained model drives everybody but the ego in closed loop, adversaries steered (diffusion.h)
///
/// All take the same request and give the same result: a scene in which the detectors find the kind with the roles that
/// were meant, whose measured parameters lie in the ranges asked for and whose severity is the one asked for
/// (nm_case_confirm), or a reason why not. Attempt n of a request about a scene is a function of these three (and of
/// the model's weights, where one takes part): the same for any number of threads.
#ifndef NM_SCENARIOS_CASE_H
#define NM_SCENARIOS_CASE_H

#include "base/arena.h"
#include "nexus/model.h"
#include "nexus/recipe.h"
#include "scenarios/kinds.h"
#include "sim/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Stable numbers and names: stored. Append only.
typedef enum nm_case_generator {
    NM_CASE_MANOEUVRE = 0,
    NM_CASE_RESAMPLE,
    NM_CASE_DIFFUSION,
    NM_CASE_GENERATOR_COUNT
} nm_case_generator;
NM_API const char *nm_case_generator_name(nm_case_generator generator); ///< "manoeuvre", "resample", "diffusion"
NM_API int nm_case_generator_from_name(const char *name, nm_case_generator *generator); ///< 1 when found

#define NM_CASE_MAX_TRAFFIC 32u
#define NM_CASE_MAX_ADVERSARIES 4u
#define NM_CASE_MAX_MODEL_CANDIDATES 32u

/// Fill with nm_case_request_default(). Borrowed pointers outlive the attempts.
typedef struct nm_case_request {
    nm_case_generator generator;
    nm_kind_ranges ranges; ///< kind, severity and parameters: nm_kind_ranges_default, nm_kind_ranges_set
    nm_sampling sampling;
    uint64_t seed;
    nm_policy_kind ego;        ///< default IDM; LOG and EXTERNAL are refused: nothing is recorded of this ego
    const nm_policy *custom;   ///< for NM_POLICY_CUSTOM
    const nm_idm_params *idm;  ///< of all reactive agents; default nm_idm_named("nearmiss") without lane changes
    uint32_t start_step;       ///< of the scene, whose traffic is taken; NM_NONE (default) = its current step, but for
                               ///< resample a moment drawn in the recording
    uint32_t steps;            ///< of 0.1 s, 60..400; default 100
    uint32_t traffic;          ///< others kept, the nearest ones, 0..NM_CASE_MAX_TRAFFIC; default 6
    uint32_t adversaries;      ///< 1..NM_CASE_MAX_ADVERSARIES who endanger the ego; default 1. More than one: resample
    uint32_t model_candidates; ///< of resample: futures of the adversary that the model is asked for, to draw from
                               ///< along with its own; 0..NM_CASE_MAX_MODEL_CANDIDATES, default 0: no model takes part
} nm_case_request;
NM_API nm_case_request nm_case_request_default(void);

/// Why an attempt was not kept. Append only.
typedef enum nm_reject {
    NM_REJECT_NONE = 0,
    NM_REJECT_EGO_SPEED,     ///< the wanted speed and what the place allows have nothing in common
    NM_REJECT_NO_ROOM,       ///< the manoeuvre does not fit into the way there is
    NM_REJECT_EGO_ELSEWHERE, ///< the ego did not come to the place
    NM_REJECT_SIGNALS,       ///< no moment at which the signals are as the kind needs them
    NM_REJECT_PARAMETERS,    ///< the wanted values were not met within tolerance
    NM_REJECT_TOO_MILD,      ///< the ego avoids even the most dangerous values of the ranges
    NM_REJECT_TOO_HARD,      ///< even the least dangerous ones end in a collision, or below min_ttc
    NM_REJECT_OTHERS,        ///< somebody else was hit
    NM_REJECT_NOT_FOUND,     ///< the detectors do not see the kind
    NM_REJECT_NO_CANDIDATE,  ///< no plausible future of anybody comes into conflict with the ego's
    NM_REJECT_COUNT
} nm_reject;
NM_API const char *nm_reject_name(nm_reject reject); ///< "ego_speed", ...

/// How closely what was asked for is met, as it is measured (kinds_measure.h): m, s, m/s and m/s^2.
#define NM_TOLERANCE_GAP 0.5f
#define NM_TOLERANCE_TIME 0.1f
#define NM_TOLERANCE_SPEED 0.5f
#define NM_TOLERANCE_LATERAL 0.15f  ///< m/s sideways
#define NM_TOLERANCE_OVERHANG 0.15f ///< m

/// One attempt. Arrays by place in the kind's table of parameters.
typedef struct nm_case {
    nm_reject reject;
    const nm_scene *scene;               ///< the caller's (nm_scene_destroy); NULL when rejected
    uint32_t ego, adversary, other;      ///< tracks of the scene; other NM_NONE when the kind has no further role
    float drawn[NM_KIND_MAX_PARAMS];     ///< what the sampler gave
    float requested[NM_KIND_MAX_PARAMS]; ///< what was aimed at in the end: moved within the ranges for the severity
    float achieved[NM_KIND_MAX_PARAMS];  ///< measured in the scene; NaN where nothing is to measure
    float min_ttc;                       ///< s, INFINITY = none
    float min_distance;                  ///< m
    int contact;
    uint32_t conflict_step; ///< the moment the parameters are of
    nm_event event;         ///< of the kind
    const nm_event *events; ///< all of the scene, until the next attempt with this work
    size_t event_count;
    const nm_scene_criticality *criticality; ///< likewise
    uint32_t simulations;                    ///< closed-loop runs that it took
    uint32_t stagings;                       ///< places at which it was tried
    uint32_t more[NM_CASE_MAX_ADVERSARIES];  ///< [more_count] further adversaries beside `adversary` and `other`
    uint32_t more_count;
} nm_case;

/// Working memory of all generators, made as they are first used: one per thread.
typedef struct nm_case_work nm_case_work;

/// model, recipe: nullable; borrowed. Without them diffusion is NM_E_UNSUPPORTED. A model serves one thread at a time.
/// NULL: no memory.
NM_API nm_case_work *nm_case_work_create(nm_model *model, const nm_recipe *recipe);
NM_API void nm_case_work_destroy(nm_case_work *work); ///< NULL is fine

NM_API const nm_model *nm_case_work_model(const nm_case_work *work); ///< NULL = none, or none with a recipe
/// 1 = the attempts of this request use the model.
NM_API int nm_case_uses_model(const nm_case_request *request);

/// Everything that can be said before work starts: NM_E_ARGUMENT for a request that makes no sense or a scene at
/// another time step than 0.1 s, or without a valid start step; NM_E_UNSUPPORTED when the map cannot hold the kind (see
/// nm_kind_check_map) or the generator cannot make it.
NM_API nm_status nm_case_check(const nm_scene *scene, const nm_case_request *request, nm_error *error);

/// Attempt `index` of a request that has been checked. `scene` gives map, signals and traffic; its ego's size is the
/// ego's. NM_OK whether it is kept or not; NM_E_MEMORY, NM_E_UNSUPPORTED as of the check, or what world, detectors and
/// model return.
///
/// Provenance of what is kept: source = the generator's name, the scene's file and id, parent its hash, seed, and
/// parameters: all of the request, the index, what was achieved, and the weights of a model that took part;
/// nm_case_parse reads the request back.
NM_API nm_status nm_case_attempt(nm_case_work *work, const nm_scene *scene, const nm_case_request *request,
                                 uint64_t index, nm_case *out, nm_error *error);

/// Request and index out of the parameters of a kept scene's provenance, so that the scene can be made again from its
/// parent. A custom policy and IDM sets other than the named ones are the caller's to fill in again. NM_E_FORMAT.
NM_API nm_status nm_case_parse(const char *parameters, nm_case_request *request, uint64_t *index, nm_error *error);

/// Is the scene with these provenance parameters made with the weights of `model`? NM_E_FORMAT when they name none, or
/// others: the message has both numbers.
NM_API nm_status nm_case_check_weights(const char *parameters, const nm_model *model, nm_error *error);

/// The attempt that made a kept scene, again, out of its parent and its provenance parameters, which may be anybody's:
/// parsed, checked, its weights compared, attempted, with the errors of each.
NM_API nm_status nm_case_again(nm_case_work *work, const nm_scene *parent, const char *parameters, nm_case *out,
                               nm_error *error);

// --- for generators --------------------------------------------------------------------------------------------------

/// Is what happens in `scene` what was asked for? Detects, looks for the kind with the roles out->ego, adversary and
/// other, measures parameters (kinds_measure.h) and severity, and looks for boxes of any other two that come to
/// overlap. Of several events of the kind between the roles the one counts whose parameters are met best. A parameter
/// that cannot be measured is not met, unless a contact cut it off and it had not come to more than was asked for by
/// then (nm_kind_reached), or it is a reaction nobody asked for. Fills event,
/// events, criticality, achieved, min_ttc, min_distance, contact and conflict_step of `out`, and `reject`. events and
/// what they point to live in `arena`, which is reset first; criticality is written through `criticality`. Errors are
/// those of nm_detect.
NM_API nm_status nm_case_confirm(const nm_scene *scene, const nm_case_request *request, nm_arena *arena,
                                 nm_scene_criticality *criticality, nm_case *out, nm_error *error);

/// Its parts, for generators that look before they ask the detectors. Of roles and scene alone: min_ttc, min_distance
/// and contact of the ego and whom the danger is with (in cut_out what was revealed), up to the first contact.
NM_API void nm_case_danger(const nm_scene *scene, nm_kind kind, nm_case *out);
/// NM_REJECT_NONE, TOO_MILD or TOO_HARD by these. pet: s, INFINITY or NAN = none.
NM_API nm_reject nm_case_severity(const nm_case_request *request, const nm_case *out, float pet);

/// 1 when the boxes of two tracks come to overlap after they were apart.
NM_API int nm_case_come_to_overlap(const nm_scene *scene, uint32_t first, uint32_t second);

#define NM_CASE_RECIPE 8192
/// The parameters of the provenance. members: what a generator adds, as JSON members ("\"a\":1,\"b\":2"), or "".
/// NM_E_LIMIT when it does not fit.
NM_API nm_status nm_case_write_recipe(const nm_scene *source, const nm_case_request *request, uint64_t index,
                                      const nm_case *made, const char *members, char recipe[NM_CASE_RECIPE],
                                      nm_error *error);

/// What a case is cut out of.
typedef struct nm_case_footage {
    const nm_scene *take;    ///< whose tracks are kept, for the request's steps
    const nm_scene *signals; ///< whose signals are; as long as the request at least
    uint32_t current, ego;   ///< step; track of the take
} nm_case_footage;
/// The scene that is kept, over the source's map, with its tags and its provenance. builder: emptied first.
NM_API nm_status nm_case_build(const nm_case_footage *footage, const nm_scene *source, const nm_case_request *request,
                               const char *recipe, nm_scene_builder *builder, const nm_scene **out, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
