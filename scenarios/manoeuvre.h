/// The manoeuvre generator: corner cases made of an adversary's parametric manoeuvre whose timing is solved so that the
/// conflict happens with an ego that reacts.
///
/// An attempt takes a place on the scene's map where the kind can happen, puts the ego there with its traffic around
/// it, runs the closed loop once without the adversary, lays the adversary's manoeuvre against what the ego did, runs
/// again, measures (kinds_measure.h), and corrects what is staged until what was drawn is what is measured; then it
/// moves the parameters that are free for it, and were not asked for, within their ranges until the severity is met.
/// What results is kept when nm_case_confirm agrees.
///
/// The drawn ego speed is met where a place of some that are drawn allows it, else carried over to what the road
/// allows; an adversary's on lanes likewise. An ego that is slow to react by itself may react later than was drawn.
///
/// An ego may be late: where something stands in its way already, and with the parameter `reaction`, it keeps its
/// velocity until it notices. The scene's current step, at which a planner under test takes over, is a second before
/// there is something to see, if the scene has that: sooner than the ego noticed that is recorded.
///
/// A contact is the end of what is staged. Vehicles go on as wrecks: they brake, and whom the ego runs into from behind
/// is pushed on.
///
/// Attempt n of a request about a scene is a function of these three: the same for any number of threads.
#ifndef NM_SCENARIOS_MANOEUVRE_H
#define NM_SCENARIOS_MANOEUVRE_H

#include "scenarios/case.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Working memory: one per thread.
typedef struct nm_manoeuvre_work nm_manoeuvre_work;
NM_API nm_manoeuvre_work *nm_manoeuvre_work_create(void);       ///< NULL: no memory
NM_API void nm_manoeuvre_work_destroy(nm_manoeuvre_work *work); ///< NULL is fine

/// As nm_case_attempt. Who is in the way of the roles is left out of the traffic; everybody else drives by IDM. About
/// 10 closed-loop runs of 2 to 16 agents at most: 1 to 2 ms, detection included. Memory: one world an attempt and what
/// the kept scene takes; no allocation within runs.
NM_API nm_status nm_manoeuvre_attempt(nm_manoeuvre_work *work, const nm_scene *scene, const nm_case_request *request,
                                      uint64_t index, nm_case *out, nm_error *error);

/// What a scene does not say of the attempt that made it, for who goes on from it.
typedef struct nm_manoeuvre_drive {
    uint32_t notices; ///< step from which on the ego's policy drives; before, it keeps its velocity
    uint64_t seed;    ///< of the world: which way is taken at forks ...
    uint64_t scene;   ///< ... and the hash of the world's scene, which keys that too
} nm_manoeuvre_drive;
/// Of the last attempt with this work that was kept.
NM_API nm_manoeuvre_drive nm_manoeuvre_last(const nm_manoeuvre_work *work);

#ifdef __cplusplus
}
#endif
#endif
