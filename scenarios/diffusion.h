/// The diffusion generator: corner cases in which the trained model drives everybody but the ego, in closed loop.
///
/// An attempt begins with a manoeuvre (manoeuvre.h), which says where, who and when: its first half second is history,
/// the rest of what the roles do in it is a plan. The plan is not replayed. Its tokens begin with little noise, so that
/// the model sees what is meant and makes a motion of it that drivers make; predictions are pulled towards it a little;
/// where a collision is asked for, the adversary is steered into the ego (guidance.h); everybody else drives as the
/// model has it. Near tokens are finished first (pyramid), half a second at a time, and what the ego really does by its
/// policy is known to all passes after it.
///
/// What comes out is kept when it is what was asked for (nm_case_confirm) and every verdict on it holds (validity.h),
/// also those on the others. Otherwise it is tried again with another noise, up to four times, closer to the plan where
/// it is the roles who fail; the best of the tries is kept.
///
/// Attempt n is a function of scene, request, n and weights: the same for any number of threads of the backend.
#ifndef NM_SCENARIOS_DIFFUSION_H
#define NM_SCENARIOS_DIFFUSION_H

#include "scenarios/case.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Working memory: one per thread, as is the model.
typedef struct nm_diffusion_work nm_diffusion_work;
/// Borrowed. NULL: no memory.
NM_API nm_diffusion_work *nm_diffusion_work_create(nm_model *model, const nm_recipe *recipe);
NM_API void nm_diffusion_work_destroy(nm_diffusion_work *work); ///< NULL is fine

#define NM_DIFFUSION_STEPS 125u ///< of a scene at most: the model looks 8 s ahead, and a little further still well

/// As nm_case_attempt. out->simulations counts the closed-loop runs of both. A manoeuvre that is rejected is this
/// attempt's reject. NM_OK also where verdicts do not hold in any try: the caller judges what is kept.
NM_API nm_status nm_diffusion_attempt(nm_diffusion_work *work, const nm_scene *scene, const nm_case_request *request,
                                      uint64_t index, nm_case *out, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
