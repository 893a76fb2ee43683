/// How dangerous a moment is: criticality metrics per pair and per scene, and the classification of collisions.
///
/// All functions are pure and thread-safe. SI units, scene frame. "No danger" is +INFINITY for times and distances-to-
/// conflict, 0 for needed decelerations; never a magic number, and never NaN for finite input: zero sizes (negative
/// ones count as zero), zero speeds and coincident boxes included. Boxes are closed sets: touching is overlapping.
/// Everything is computed in double by + - * / and sqrt, so results are the same bits everywhere.
/// Functions of an unordered pair (distance, overlap, ttc, ttc_projected, closest_approach, the RSS ones) are
/// symmetric. Definitions, parameters and sources: at each function.
#ifndef NM_SIM_METRICS_CRITICALITY_H
#define NM_SIM_METRICS_CRITICALITY_H

#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

/// An oriented box in motion.
typedef struct nm_box {
    float x, y;         ///< centre
    float cos_h, sin_h; ///< heading
    float length, width;
    float vx, vy; ///< m/s, of the centre, scene frame: need not lie along the heading
    float ax, ay; ///< m/s^2; 0 when not known. For callers; no metric here extrapolates with it
} nm_box;

/// Parameters of all metrics, printed with every result. Fill with nm_criticality_params_default().
typedef struct nm_criticality_params {
    float ttc_horizon;   ///< s, times beyond count as none, for TTC, TTCE/DCE, TTB, TTS; default 10
    float ttc_threshold; ///< s, tau of TET and TIT; default 2 (CommonRoad-CriMe)
    float box_step;      ///< s, default 0.1 (nuPlan's TTC check)
    float box_horizon;   ///< s, exclusive; default 3 (nuPlan)
    float follow_angle;  ///< rad, heading difference up to which two vehicles follow each other; default 75 degrees
                         ///< (WOSAC)
    float max_brake;     ///< m/s^2, default 8 (dry road), for TTB
    float max_lateral;   ///< m/s^2, default 6, for TTS
    float rss_reaction;  ///< s, rho, default 0.75 (UNECE R157 driver, as esmini)
    float rss_accel_max; ///< m/s^2, default 3.0
    float rss_brake_min; ///< m/s^2, default 4.0 (IEEE 2846 range)
    float rss_brake_max; ///< m/s^2, default 8.0
    float rss_lateral_accel_max; ///< m/s^2, default 0.2
    float rss_lateral_brake_min; ///< m/s^2, default 0.8
    float rss_lateral_margin;    ///< m, mu, default 0.3
    float pet_horizon;           ///< s, later arrivals count as none; default 10
    float pet_cross_angle;  ///< rad, heading difference from which paths cross rather than merge; default 30 degrees
                            ///< (SSAM's border between rear-end and other conflicts, Gettman et al. 2008)
    float pet_margin;       ///< m, added to every side of both boxes, for PET only; default 0
    float mass_ratio_truck; ///< mass of a truck or bus in cars, default 8; see nm_classify_collision for the others
} nm_criticality_params;
NM_API nm_criticality_params nm_criticality_params_default(void);

// --- pairs at one moment ---------------------------------------------------------------------------------------------

/// Smallest distance between the two rectangles; 0 when they touch or overlap.
NM_API float nm_box_distance(const nm_box *a, const nm_box *b);
/// Separating-axis test. Touching counts as overlap.
NM_API int nm_box_overlap(const nm_box *a, const nm_box *b);
/// Time to collision by exact sweep of both boxes at constant velocity and heading: closed form over the four
/// separating axes. 0 when overlapping now, even when they are moving apart; INFINITY when they never touch or not
/// within `horizon` (inclusive).
NM_API float nm_ttc(const nm_box *a, const nm_box *b, float horizon);
/// TTC by box projection as nuPlan computes it: both boxes advance along their HEADINGS at their speeds (magnitudes, so
/// that a reversing box is projected forward); the first of the times k * box_step, k = 1, 2, ... below box_horizon, at
/// which they overlap. Now (k = 0) is not looked at; INFINITY when both stand (<= 0.005 m/s). nuPlan's choice of tracks
/// (ahead of the ego, or beside it in a junction) is the caller's.
NM_API float nm_ttc_projected(const nm_box *a, const nm_box *b, const nm_criticality_params *params);

/// Longitudinal quantities of `follower` behind `leader`, along the follower's heading. All fields but `following` are
/// "no danger" when following is 0.
///
/// Who follows (the rule of WOSAC's time-to-collision feature): headings differ by at most params->follow_angle; there
/// is a gap > 0 from the follower's front to the nearest point of the leader; and the leader reaches into the strip the
/// follower's width sweeps, by over 0.5 m when headings differ by more than 10 degrees. Boxes that touch or overlap do
/// not follow (that is a collision), nor does anyone follow what comes towards him. Other boxes between the two do not
/// matter. At most one of (a, b), (b, a) follows, except for boxes at an angle that are ahead of one another.
typedef struct nm_following {
    int following;
    float gap;     ///< m, > 0; INFINITY when not following
    float closing; ///< m/s, follower's minus leader's speed along the follower's heading; > 0 when closing
    float ttc;     ///< s, gap / closing; INFINITY when not closing (equal speeds included)
    float ittc;    ///< 1/s, closing / gap; 0 when not closing (Kiefer et al. 2005)
    float thw;     ///< s, gap / follower's speed along its heading (time headway); INFINITY when it stands or reverses
    float drac;    ///< m/s^2, closing^2 / (2 gap), 0 when not closing (deceleration rate to avoid a crash; Almqvist
                   ///< et al. 1991)
    float rss_gap; ///< m, RSS safe longitudinal distance: max(0, v_r rho + a_max rho^2 / 2 + (v_r + rho a_max)^2 /
                   ///< (2 b_min) - v_f^2 / (2 b_max)) (Shalev-Shwartz et al. 2017, definition 1). Squares keep the sign
                   ///< of the speed: a leader that reverses makes the distance longer. 0 when not following
} nm_following;
NM_API nm_following nm_follow(const nm_box *follower, const nm_box *leader, const nm_criticality_params *params);

/// RSS for boxes without lanes. The longitudinal axis is the bisector of the two headings (of one and the other
/// reversed, when they point against each other); the rear one is behind along it.
/// nm_rss_lateral_gap: safe distance between their sides, m (definition 6): mu + [reach(a) + reach(b)]_+ with
/// reach(v) = (v + v') rho / 2 + v' |v'| / (2 b_lat), v' = v + rho a_lat, v the lateral speed towards the other.
NM_API float nm_rss_lateral_gap(const nm_box *a, const nm_box *b, const nm_criticality_params *params);
/// 1 when both the longitudinal and the lateral gap are below the safe ones. Same direction (headings within
/// follow_angle): definition 1; opposite directions (within follow_angle of that): definition 2 with b_min for both,
/// once they have passed each other only while alongside. Crossing headings: 0, since RSS judges those by priority,
/// which boxes do not have.
NM_API int nm_rss_dangerous(const nm_box *a, const nm_box *b, const nm_criticality_params *params);

/// The smallest distance between the boxes within [0, horizon] at constant velocities (dce), and when it is first
/// reached (ttce): 0 and the present distance when they move apart or keep their distance; the collision, at distance
/// 0, when there is one; `horizon` when they still approach then. Exact: distance of a segment to the Minkowski sum.
NM_API void nm_closest_approach(const nm_box *a, const nm_box *b, float horizon, float *ttce, float *dce);

/// Last moment, s from now, at which `self` can begin to evade and miss `other`, which keeps its velocity, until
/// params->ttc_horizon (Hillenbrand et al. 2006; TTR is the larger of the other two, Tamke et al. 2011).
///   ttb  full braking along its velocity at max_brake until it stands
///   tts  steering: sideways at max_lateral, to the better side, its heading and forward speed kept; sideways it is
///        never faster than it drove, so what stands cannot steer
/// INFINITY: no conflict at constant velocities. 0: must begin now, or it is too late; also while they overlap, and
/// when `self` stands. Exact (see react.c): evading earlier never turns a miss into a hit.
NM_API void nm_time_to_react(const nm_box *self, const nm_box *other, const nm_criticality_params *params, float *ttb,
                             float *tts, float *ttr);

// --- collisions ------------------------------------------------------------------------------------------------------

typedef enum nm_impact {
    NM_IMPACT_NONE = 0,
    NM_IMPACT_FRONT, ///< self's front hit the other
    NM_IMPACT_REAR,  ///< self was hit from behind, or backed into the other
    NM_IMPACT_SIDE
} nm_impact;
typedef enum nm_fault { NM_FAULT_UNKNOWN = 0, NM_FAULT_FIRST, NM_FAULT_SECOND, NM_FAULT_BOTH } nm_fault;

typedef struct nm_collision {
    uint32_t first, second;                ///< track indices, first < second
    uint32_t step;                         ///< first overlapping step
    nm_impact first_impact, second_impact; ///< kind as seen by each
    nm_fault fault;
    float impact_speed;                  ///< m/s, closing speed along the contact normal; 0 when they were moving apart
    float first_delta_v, second_delta_v; ///< m/s, plastic impact: m_other / (m_a + m_b) * |relative velocity|
    float x, y;                          ///< point of contact: middle of the ground both cover at first contact
} nm_collision;

/// Classifies the collision of a (first) and b (second) from their states at, or up to a step before, the contact;
/// first, second, step are set to 0, 1, 0.
///
/// The boxes are moved at constant velocity to their first contact, forwards when they do not overlap yet, backwards
/// when they do, by up to 1 s; the contact normal is that of the separating axis that closed last. Where there is no
/// such contact: the axis of the largest gap at the closest approach, or of the least penetration.
///   impact  FRONT or REAR when the normal is within 60 degrees of the box's axis, else SIDE: a corner that meets a
///   side
///           at under 30 degrees is a sideswipe
///   fault   exactly one stands (<= 0.05 m/s, nuPlan): the other. Both fronts: both. One front, driving towards the
///           other: that one. All else (side against side, backing up): who brought at least 4/5 of the closing speed;
///           otherwise, and when both stand, unknown
///   masses  car, unknown 1; truck, bus params->mass_ratio_truck; motorcycle 0.2; pedestrian, cyclist 0.05; train,
///           obstacle immovable
NM_API nm_collision nm_classify_collision(const nm_box *a, const nm_box *b, nm_agent_type type_a, nm_agent_type type_b,
                                          const nm_criticality_params *params);

// --- over a scene ----------------------------------------------------------------------------------------------------

/// Extremes of one pair over the scene; steps are those where the extreme was met (NM_NONE = never).
typedef struct nm_pair_summary {
    uint32_t first, second;
    float min_ttc; ///< exact sweep
    uint32_t min_ttc_step;
    float min_ttc_projected;
    float min_distance;
    uint32_t min_distance_step;
    float min_thw, max_drac, max_ittc; ///< whoever of the two follows
    uint32_t max_drac_step;
    float min_ttce_dce; ///< m, smallest DCE within ttc_horizon
    float pet;          ///< s, nm_pet over the evaluated steps
    uint32_t pet_step;  ///< when the second one arrived
    float tet;          ///< s, time exposed with TTC below the threshold: dt for every such step
    float tit;          ///< s^2, integral of (threshold - TTC), likewise
    /// Smallest TTB, TTS and TTR, where at each step the longer one of `first` against `second` and the reverse counts:
    /// one who reacts is enough.
    float min_ttb, min_tts, min_ttr;
    float rss_exposed; ///< s, both RSS gaps violated
} nm_pair_summary;

typedef struct nm_scene_criticality {
    uint32_t pair_count;
    nm_pair_summary *pairs; ///< those that came within `max_range`, ordered by (first, second)
    uint32_t collision_count;
    nm_collision *collisions; ///< first overlap of each pair, ordered by (step, first, second)
    // extremes over all pairs (tet, tit: the largest of any pair); INFINITY or 0 when there is none
    float min_ttc, min_ttc_projected, min_distance, min_thw, max_drac, max_ittc, min_pet, min_ttr, max_delta_v, tet,
        tit;
    uint32_t critical_step; ///< of the smallest TTC, or NM_NONE
    uint32_t critical_first, critical_second;
} nm_scene_criticality;

struct nm_arena;

/// Post-encroachment time of two driven paths: the time from when one left a piece of ground to when the other came to
/// it (Allen et al. 1978; over positions, as SSAM has it: Gettman et al. 2008). Boxes move straight between steps, so
/// it is finer than dt. The smallest over both orders and all arrivals. What is an arrival:
///   - a step at which a box covers ground that the other covered up to pet_horizon before, where it covered none such
///     one step earlier. Being there from the first step on is none
///   - paths that cross (headings differ by at least pet_cross_angle on that ground): the smallest time while they do
///   - paths that merge, or a change of lane behind or before the other: the time at the arrival
///   - following on the same path is none: ground is shared all along. Nor is driving up to where the other's recording
///     began, in his direction
/// INFINITY when there is no arrival, or they were on the ground together (that is a collision).
/// step [out, nullable]: the second's step of arrival, NM_NONE when there is none. Scratch comes from `arena` and is
/// given back. NM_E_MEMORY.
NM_API nm_status nm_pet(const nm_scene *scene, uint32_t first, uint32_t second, const nm_criticality_params *params,
                        struct nm_arena *arena, float *pet, uint32_t *step, nm_error *error);

/// Evaluates all pairs over steps [first_step, last_step] (cut to the scene's); tracks flagged NM_TRACK_STATIC are not
/// paired with each other. Only steps at which both are valid count; steps without a valid predecessor (the spawn
/// frame) count too but no derivative is taken across a gap. max_range: m between centres beyond which a pair is
/// skipped at that step, > 0 (100 is a good choice).
/// Every value equals the pair functions above over all such steps. Arrays are allocated from `arena`.
/// NM_E_MEMORY; NM_E_LIMIT when more than NM_CRITICALITY_MAX_PAIRS pairs come within range.
/// Cost O(states + pairs in range * their steps).
NM_API nm_status nm_scene_evaluate(const nm_scene *scene, uint32_t first_step, uint32_t last_step, float max_range,
                                   const nm_criticality_params *params, struct nm_arena *arena,
                                   nm_scene_criticality *out, nm_error *error);
#define NM_CRITICALITY_MAX_PAIRS 4000000u

/// The box of a track at a step; ax, ay by central difference of the velocities where both neighbours are valid, else
/// 0. Returns 0 and leaves *box alone when the state is not valid.
NM_API int nm_scene_box(const nm_scene *scene, uint32_t track, uint32_t step, nm_box *box);

NM_API const char *nm_impact_name(nm_impact impact);
NM_API const char *nm_fault_name(nm_fault fault);

#ifdef __cplusplus
}
#endif
#endif
