/// The resampling generator: corner cases out of futures that ordinary traffic could have had.
///
/// As CAT has it (Zhang, Peng, Li and Zhou 2023, "CAT: Closed-loop Adversarial Training for Safe End-to-End Driving"),
/// the future of an adversary is drawn in proportion to
///     p(future | a prior of what road users do) * p(conflict | future, what the ego is likely to do)
/// from a finite number of candidates, and played against an ego that reacts; what the ego does then is one of its
/// likely futures for the next draw. Here the conflict is one of a kind, of a severity and with parameters that were
/// asked for, any number of adversaries takes part, and the ego may drive by any policy.
///
/// scene       A moment of the recording: the traffic is where it was. Ego and adversary are road users who were there,
///             when some fit the kind's roles; else they are put where the kind can happen (places.h).
/// candidates  The way that the kind needs on the lane graph, times what is free about it: where and how fast the
///             adversary starts (as recorded, where it was), when it begins, how it speeds up or slows down before and
///             after, how far off its lane's middle it drives, and the kind's parameters around the values wanted. They
///             are proposed near to what conflicts, because blind draws hit a given kind once in thousands of times;
///             the weights divide by the density of the proposal.
///             With request.model_candidates half of them follow what the model expects the adversary to do, where that
///             was recorded, before they turn into the manoeuvre.
/// prior       nm_motion_plausibility (resample_prior.h)
/// conflict    Predicted against each likely future of the ego: parameters in their ranges and near to the values
///             wanted, ways that come close, nobody else hit.
///
/// Further adversaries come one after the other, with those before fixed: behind the ego, beside it, or along with the
/// first across its way, wherever there is room and the detectors see them and the ego in conflict. Where there is none
/// the attempt is rejected: three and four need several lanes, or ways that cross.
///
/// What is kept was confirmed in closed loop (nm_case_confirm). Attempt n of a request about a scene is a function of
/// these three: the same for any number of threads.
#ifndef NM_SCENARIOS_RESAMPLE_H
#define NM_SCENARIOS_RESAMPLE_H

#include "scenarios/case.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Working memory: one per thread.
typedef struct nm_resample_work nm_resample_work;
/// model, recipe: nullable, borrowed; asked for futures when a request wants them. NULL: no memory.
NM_API nm_resample_work *nm_resample_work_create(nm_model *model, const nm_recipe *recipe);
NM_API void nm_resample_work_destroy(nm_resample_work *work); ///< NULL is fine

/// As nm_case_attempt. Some 2 to 10 closed-loop runs with the detectors behind each: 2 to 8 ms. Memory: one world an
/// attempt and what the kept scene takes; no allocation within runs. With model_candidates what the model takes comes
/// on top; NM_E_UNSUPPORTED without a model.
NM_API nm_status nm_resample_attempt(nm_resample_work *work, const nm_scene *scene, const nm_case_request *request,
                                     uint64_t index, nm_case *out, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
