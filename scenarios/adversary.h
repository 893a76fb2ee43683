/// An adversary in closed loop: one agent of an episode is steered by a kind of the corner-case catalogue (kinds.h)
/// against the planner under test.
///
/// The episode is first driven without it, the rehearsal. Its manoeuvre is laid against what the ego did there: at a
/// place of the kind (places.h) on the ego's way, NM_ADVERSARY_LEAST to NM_ADVERSARY_MOST seconds after the start, with
/// parameters drawn from the kind's ranges, those of near misses or, as often, of collisions where it has both. What
/// was drawn is a function of scene, kind and seed; where it is laid, of what the planner did in the rehearsal.
///
/// Who plays. A recorded car whose state at the start leads into the manoeuvre with at most NM_ADVERSARY_EFFORT; its
/// past stays what it was. Else somebody new, as an additional track, the last one: it has a past of its own, as far
/// back as its way reaches and nobody else is on it, so that nobody pops up; at the start it is at least
/// NM_ADVERSARY_APART from the ego, box to box, and NM_ADVERSARY_TTC from touching it if both keep their velocity.
/// Whoever plays leads into the manoeuvre by a quintic from its state at the start. The manoeuvre touches nobody in the
/// rehearsal, stays on the road where the kind does, and keeps what vehicles can do (validity.h).
///
/// The adversary is steered, not replayed: its script runs by a clock that is bound to the ego's progress along the way
/// it took in the rehearsal, every 0.1 s, so that an ego that is late, because it saw something coming, is waited for.
/// Its pace changes by at most NM_ADVERSARY_PACE beside what the script does, and stays within NM_ADVERSARY_SLOWEST and
/// NM_ADVERSARY_FASTEST of it; who leads the ego and brakes hardly waits: how close it is followed is the planner's.
/// Once committed (crossing: shortly before the shared ground; braking: when it begins) it carries through. It brakes
/// for others than the ego, and after a contact with anybody. When the script is over, a vehicle drives on by IDM; who
/// stands as a part of the kind, or drives the wrong way, does not.
///
/// Steerable are the kinds in which one agent does it. Not: cut_out, chain_brake and occluded_pedestrian, which need
/// two, and near_miss and collision, which are outcomes.
#ifndef NM_SCENARIOS_ADVERSARY_H
#define NM_SCENARIOS_ADVERSARY_H

#include "scenarios/avoidability.h"
#include "scenarios/kinds.h"
#include "sim/metrics/nuplan_score.h"
#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_ADVERSARY_LEAST 2.5f   ///< s after the start
#define NM_ADVERSARY_MOST 10.0f   ///< s
#define NM_ADVERSARY_AFTER 1.5f   ///< s of rehearsal after the conflict
#define NM_ADVERSARY_EFFORT 2.0f  ///< m/s^2
#define NM_ADVERSARY_APART 10.0f  ///< m
#define NM_ADVERSARY_TTC 3.0f     ///< s
#define NM_ADVERSARY_PACE 2.0f    ///< m/s^2
#define NM_ADVERSARY_SLOWEST 0.3f ///< of the script's pace
#define NM_ADVERSARY_FASTEST 1.3f

/// 1 = one agent can be steered by it.
NM_API int nm_adversary_steers(nm_kind kind);
/// NM_OK, or NM_E_UNSUPPORTED with why not, and which kinds there are.
NM_API nm_status nm_adversary_check(nm_kind kind, nm_error *error);

/// What the ego did without an adversary, and everybody else. Borrowed; box centres, scene frame.
typedef struct nm_rehearsed {
    const nm_scene *scene;                ///< with the ego that was driven
    uint32_t start;                       ///< step
    uint32_t samples;                     ///< at steps start + k
    int reactive;                         ///< the others react to what is in their way
    const float *x, *y, *heading, *speed; ///< [samples] of the ego
    const uint8_t *present;               ///< [samples][tracks] of everybody else
    const nm_nuplan_box *boxes;           ///< the same; not looked at where 0
} nm_rehearsed;

/// Working memory and the manoeuvre that was laid last: one per thread.
typedef struct nm_adversary_agent nm_adversary_agent;
NM_API nm_adversary_agent *nm_adversary_create(void);            ///< NULL: no memory
NM_API void nm_adversary_destroy(nm_adversary_agent *adversary); ///< NULL is fine

/// *scene  the rehearsal's scene with the adversary, who is `*track`, for the episode that is driven: lives until the
///         next call, and no longer than the rehearsal's scene. NULL: the kind has no place here
/// returns NM_OK whether there is a place or not; NM_E_MEMORY. The rehearsal itself is not needed afterwards.
NM_API nm_status nm_adversary_lay(nm_adversary_agent *adversary, const nm_rehearsed *rehearsed, nm_kind kind,
                                  uint64_t seed, const nm_scene **scene, uint32_t *track, nm_error *error);

/// Before every step of the episode's world, from its start on: says where the adversary is after it.
NM_API void nm_adversary_steer(nm_adversary_agent *adversary, nm_world *world);

/// What came of it.
typedef struct nm_adversary_outcome {
    int staged;             ///< the detectors see the kind with these roles, after the start
    int met;                ///< ego and adversary touched
    nm_event event;         ///< it, when staged: the most severe
    nm_avoid_label label;   ///< of the conflict with the adversary
    nm_avoidability detail; ///< all of it
} nm_adversary_outcome;
/// driven  the scene that was driven, recorded history included, in which the tracks are the same
/// Errors of nm_detect and nm_avoidability_of.
NM_API nm_status nm_adversary_judge(nm_adversary_agent *adversary, const nm_scene *driven, nm_adversary_outcome *out,
                                    nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
