/// Could the collision have been avoided? The last moments at which a reference driver in the ego's place, by braking,
/// by steering, or by both, still would have missed everybody, found by driving on from each step of the recorded
/// motion against the recorded motion of the others.
///
/// What is avoided (the conflict):
///   - the first step at which the ego's box overlaps that of an adversary, where there is one (the scene collides);
///   - else what would have happened had the ego not reacted: from the first step of the event (without an event: of
///     the generated part) it keeps speed along the way that it took, which then goes on along its lane.
/// No overlap within `horizon` of the last step either way: NM_AVOID_NO_CONFLICT.
///
/// From a step k before the conflict the ego moves along that way with the speed it had there:
///   braking   the deceleration grows by `jerk` to `brake` and stays until it stands
///   steering  at constant speed, by up to `widest` m to one side in steps of NM_STEER_STEP: sideways with at most
///             `lateral` m/s^2, slowed down again so that it ends there, never sharper than NM_STEER_CURVATURE and
///             never at more than NM_STEER_ANGLE to the way; the box must stay on the drivable area, but for
///             NM_ROAD_SLACK
///   both      steering, and braking with what the friction circle of radius `brake` leaves while it does
/// A manoeuvre saves when the ego's box touches nobody's at any step until `settle` after the conflict. Beyond the end
/// of the recording the others keep their velocity. Those who run into the ego from behind are passed over: they are
/// recorded, and do not see that it brakes. An adversary is passed over only where the recorded ego did not collide.
///
/// The driver: UNECE R157, Annex 4 appendix 3 ("competent and careful human driver"): risk perception 0.4 s, delay
/// 0.75 s until the braking begins, 0.774 g reached in 0.6 s, which is 12.65 m/s^3. R157's driver does not steer;
/// `lateral` is nuPlan's comfort bound, 4.89 m/s^2, well below what tyres hold on a dry road.
#ifndef NM_SCENARIOS_AVOIDABILITY_H
#define NM_SCENARIOS_AVOIDABILITY_H

#include "scenarios/detect.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_STEER_STEP 0.5f      ///< m between the offsets that are tried
#define NM_STEER_CURVATURE 0.2f ///< 1/m, full lock (nm_dynamics_limits_of)
#define NM_STEER_ANGLE 0.35f    ///< rad
#define NM_ROAD_SLACK 0.3f      ///< m that corners may be off the road (nuPlan's drivable area compliance)
#define NM_MAX_ADVERSARIES 16u  ///< of one scene

/// Fill with nm_reference_driver_default().
typedef struct nm_reference_driver {
    float perception; ///< s from when the danger shows until it is seen, 0..5; default 0.4
    float delay;      ///< s from then until the brakes or the wheel act, 0..5; default 0.75
    float brake;      ///< m/s^2, 0.1..20; default 7.593 (0.774 g)
    float jerk;       ///< m/s^3, 0.1..1000; default 12.65
    float lateral;    ///< m/s^2, 0..brake; default 4.89; 0 = does not steer
    float widest;     ///< m, 0..20; default 4
    float horizon;    ///< s, how far ahead danger is looked for, 0.1..20; default 4
    float settle;     ///< s after the conflict that must be free of contacts, 0..20; default 3
} nm_reference_driver;
NM_API nm_reference_driver nm_reference_driver_default(void);

/// What happened in the scene. Arrays are borrowed.
typedef struct nm_conflict_case {
    const nm_scene *scene; ///< time step 0.1 s
    uint32_t ego;          ///< track
    const uint32_t *adversaries;
    uint32_t adversary_count; ///< 1 to NM_MAX_ADVERSARIES
    uint32_t begin;           ///< first step of the generated part; the steps before are history
    const nm_event *event;    ///< the critical event, or NULL
} nm_conflict_case;

typedef enum nm_avoid_label {
    NM_AVOID_NO_CONFLICT = 0,
    NM_AVOID_AVOIDABLE,  ///< by the reference driver, given his reaction
    NM_AVOID_UNAVOIDABLE ///< the danger showed too late for him, or nothing helps
} nm_avoid_label;
NM_API const char *nm_avoid_label_name(nm_avoid_label label); ///< "no_conflict", "avoidable", "unavoidable"

/// Steps are NM_NONE where there is none.
typedef struct nm_avoidability {
    nm_avoid_label label;
    int collided;           ///< the recorded ego really did
    uint32_t other;         ///< whom it meets: track
    uint32_t conflict_step; ///< at which it does; may lie past the recording
    /// From which on the danger shows: the beginning of the last stretch of steps, up to the conflict, in which the ego
    /// along its way and `other` along its velocity would touch within driver.horizon if both kept their speeds, and
    /// no third box lies on the line between their centres (who is hidden shows no danger). Gaps of up to 0.3 s are
    /// bridged.
    uint32_t danger_step;
    /// The last step before the conflict at which each, begun then, still saves; NM_NONE: none does, from
    /// first_step on. last_both_step is that of all manoeuvres together, so never earlier than the others.
    uint32_t last_brake_step, last_steer_step, last_both_step;
    uint32_t first_step; ///< from which on was tried: danger_step, or driver.horizon before the conflict if earlier
    /// s from when the reference driver acts (danger_step + perception + delay) to last_both_step: negative means too
    /// late. -INFINITY where nothing saves, +INFINITY without a conflict.
    float margin;
} nm_avoidability;

/// Judges one scene. Pure and thread-safe for different arenas; what was taken from `arena` is given back. Prepares the
/// map. Costs about 0.05 ms, up to 2 ms where nothing saves.
/// returns  NM_E_ARGUMENT: a time step other than 0.1 s, a track out of range, the ego among the adversaries or not
///          valid at `begin`, no or too many adversaries, `begin` outside the scene, a driver that makes no sense;
///          NM_E_MEMORY. `out` is written only with NM_OK
NM_API nm_status nm_avoidability_of(const nm_conflict_case *conflict, const nm_reference_driver *driver,
                                    nm_arena *arena, nm_avoidability *out, nm_error *error);

/// What nm_avoidability_of refuses about the case, for those who judge other things of it.
NM_API nm_status nm_conflict_case_check(const nm_conflict_case *conflict, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
