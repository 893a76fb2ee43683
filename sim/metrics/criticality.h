/// How dangerous a moment is: criticality metrics per pair and per scene, and the classification of collisions.
///
/// All functions are pure and thread-safe. SI units, scene frame. "No danger" is +INFINITY for times and distances-to-
/// conflict, 0 for needed decelerations; never a magic number. Definitions, parameters and sources: at each function.
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
    float vx, vy;
    float ax, ay; ///< m/s^2; 0 when not known
} nm_box;

/// Parameters of all metrics, printed with every result. Fill with nm_criticality_params_default().
typedef struct nm_criticality_params {
    float ttc_horizon;   ///< s, times beyond count as none; default 10
    float ttc_threshold; ///< s, tau of TET and TIT; default 2 (CommonRoad-CriMe)
    float box_step;      ///< s, default 0.1 (nuPlan's TTC check)
    float box_horizon;   ///< s, default 3 (nuPlan)
    float follow_angle;  ///< rad, heading difference up to which two vehicles follow each other; default 75 degrees
                         ///< (WOSAC)
    float max_brake;     ///< m/s^2, default 8 (dry road), for TTB/TTR
    float max_lateral;   ///< m/s^2, default 6, for TTS
    float rss_reaction;  ///< s, rho, default 0.75 (UNECE R157 driver, as esmini)
    float rss_accel_max; ///< m/s^2, default 3.0
    float rss_brake_min; ///< m/s^2, default 4.0 (IEEE 2846 range)
    float rss_brake_max; ///< m/s^2, default 8.0
    float rss_lateral_accel_max; ///< m/s^2, default 0.2
    float rss_lateral_brake_min; ///< m/s^2, default 0.8
    float rss_lateral_margin;    ///< m, mu, default 0.3
    float pet_cell; ///< m, half width of the conflict zone around the crossing of two paths beyond the boxes; default 0
    float mass_ratio_truck; ///< mass of a truck or bus in cars, default 8; pedestrians and cyclists weigh 0.05
} nm_criticality_params;
NM_API nm_criticality_params nm_criticality_params_default(void);

// --- pairs at one moment ---------------------------------------------------------------------------------------------

/// Smallest distance between the two rectangles; 0 when they touch or overlap.
NM_API float nm_box_distance(const nm_box *a, const nm_box *b);
/// Separating-axis test. Touching counts as overlap.
NM_API int nm_box_overlap(const nm_box *a, const nm_box *b);
/// Time to collision by exact sweep of both boxes at constant velocity and heading: closed form over the four
/// separating axes. 0 when overlapping now.
NM_API float nm_ttc(const nm_box *a, const nm_box *b, float horizon);
/// TTC by box projection as nuPlan computes it: boxes advanced along their headings in steps of params->box_step.
NM_API float nm_ttc_projected(const nm_box *a, const nm_box *b, const nm_criticality_params *params);
/// Longitudinal quantities of `follower` behind `leader`: gap bumper to bumper along the follower's heading, closing
/// speed.
typedef struct nm_following {
    int following; ///< 1 = leader is ahead within the follower's swept width and headings agree (params->follow_angle)
    float gap;     ///< m
    float closing; ///< m/s, > 0 when closing
    float ttc;     ///< s, gap / closing
    float ittc;    ///< 1/s, closing / gap, 0 when not closing (Kiefer et al. 2005)
    float thw;     ///< s, gap / follower's speed (time headway)
    float drac;    ///< m/s^2, closing^2 / (2 gap) (deceleration rate to avoid a crash; Almqvist et al. 1991)
    float rss_gap; ///< m, RSS safe longitudinal distance (Shalev-Shwartz et al. 2017, definition 1)
} nm_following;
NM_API nm_following nm_follow(const nm_box *follower, const nm_box *leader, const nm_criticality_params *params);
/// RSS lateral safe distance for the pair, m (definition 6), and whether both RSS distances are violated.
NM_API float nm_rss_lateral_gap(const nm_box *a, const nm_box *b, const nm_criticality_params *params);
NM_API int nm_rss_dangerous(const nm_box *a, const nm_box *b, const nm_criticality_params *params);
/// Time of, and distance between the boxes at, closest approach at constant velocities within the horizon.
NM_API void nm_closest_approach(const nm_box *a, const nm_box *b, float horizon, float *ttce, float *dce);
/// Last moment (s from now, >= 0; 0 = now; INFINITY = no conflict) at which `self` still avoids `other` (constant
/// velocity) by full braking (TTB), by steering at max_lateral to either side (TTS), and the larger of both (TTR).
NM_API void nm_time_to_react(const nm_box *self, const nm_box *other, const nm_criticality_params *params, float *ttb,
                             float *tts, float *ttr);

// --- collisions ------------------------------------------------------------------------------------------------------

typedef enum nm_impact {
    NM_IMPACT_NONE = 0,
    NM_IMPACT_FRONT, ///< self's front hit the other
    NM_IMPACT_REAR,  ///< self was hit from behind
    NM_IMPACT_SIDE
} nm_impact;
typedef enum nm_fault { NM_FAULT_UNKNOWN = 0, NM_FAULT_FIRST, NM_FAULT_SECOND, NM_FAULT_BOTH } nm_fault;

typedef struct nm_collision {
    uint32_t first, second;                ///< track indices, first < second
    uint32_t step;                         ///< first overlapping step
    nm_impact first_impact, second_impact; ///< kind as seen by each
    nm_fault fault;     ///< front into rear or side: the one whose front hit; standing: the other; both fronts: both
    float impact_speed; ///< m/s, relative speed along the line of contact (closing speed)
    float first_delta_v, second_delta_v; ///< m/s, plastic impact: m_other / (m_a + m_b) * relative velocity
    float x, y;                          ///< point of contact: middle of the overlap
} nm_collision;

/// Classifies an overlapping pair from the states of the step before (or of the step itself where there is none).
/// type_a/type_b: nm_agent_type, for masses.
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
    float min_thw, max_drac, max_ittc;
    uint32_t max_drac_step;
    float min_ttce_dce; ///< m, smallest DCE with TTCE within ttc_horizon
    float pet; ///< s, smallest post-encroachment time over the crossing of the two driven paths; INFINITY = no crossing
    uint32_t pet_step;               ///< when the second one arrived
    float tet;                       ///< s, time exposed with TTC below the threshold
    float tit;                       ///< s^2, integral of (threshold - TTC)
    float min_ttb, min_tts, min_ttr; ///< of `first` against `second` and the reverse, the smaller
    float rss_exposed;               ///< s, both RSS gaps violated
} nm_pair_summary;

typedef struct nm_scene_criticality {
    uint32_t pair_count;
    nm_pair_summary *pairs; ///< those that ever came within `max_range`, ordered by (first, second)
    uint32_t collision_count;
    nm_collision *collisions; ///< first overlap of each pair, ordered by (step, first, second)
    // extremes over all pairs
    float min_ttc, min_ttc_projected, min_distance, min_thw, max_drac, max_ittc, min_pet, min_ttr, max_delta_v, tet,
        tit;
    uint32_t critical_step; ///< of the smallest TTC, or NM_NONE
    uint32_t critical_first, critical_second;
} nm_scene_criticality;

/// Post-encroachment time of two driven paths: the second's arrival at the area both boxes swept, minus the first's
/// leaving (Allen et al. 1978). INFINITY when they share no ground or were on it together (that is a collision).
NM_API float nm_pet(const nm_scene *scene, uint32_t first, uint32_t second, const nm_criticality_params *params,
                    uint32_t *step);

/// Evaluates all pairs over steps [first_step, last_step]. Only steps at which both are valid count; steps without a
/// valid predecessor (the spawn frame) count too but no derivative is taken across a gap. max_range: m between centres
/// beyond which a pair is skipped at that step (default 100). Arrays are allocated from `arena`. NM_E_MEMORY.
struct nm_arena;
NM_API nm_status nm_scene_evaluate(const nm_scene *scene, uint32_t first_step, uint32_t last_step, float max_range,
                                   const nm_criticality_params *params, struct nm_arena *arena,
                                   nm_scene_criticality *out, nm_error *error);

/// The box of a track at a step; ax, ay by central difference where both neighbours are valid. 0 when invalid.
NM_API int nm_scene_box(const nm_scene *scene, uint32_t track, uint32_t step, nm_box *box);

NM_API const char *nm_impact_name(nm_impact impact);
NM_API const char *nm_fault_name(nm_fault fault);

#ifdef __cplusplus
}
#endif
#endif
