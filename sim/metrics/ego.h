/// How dangerous a drive was for the one who drove it: the extremes of criticality.h over the pairs that he is one of.
///
/// Where there was none: INFINITY for times, 0 for speeds and decelerations, which is what nobody near comes to.
#ifndef NM_SIM_METRICS_EGO_H
#define NM_SIM_METRICS_EGO_H

#include "base/arena.h"
#include "sim/metrics/criticality.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_ego_measure {
    NM_EGO_TTC = 0,  ///< s, least time to collision with anybody: nm_ttc within ttc_horizon; 0 on contact
    NM_EGO_THW,      ///< s, least time headway behind somebody it follows (nm_follow)
    NM_EGO_PET,      ///< s, least post-encroachment time (nm_pet), in either order
    NM_EGO_CLOSING,  ///< m/s, relative speed of the two at the moment of the least TTC; 0 without a TTC
    NM_EGO_DRAC,     ///< m/s^2, largest deceleration to avoid a crash behind somebody it follows (nm_follow)
    NM_EGO_REQUIRED, ///< m/s^2, largest deceleration of the relative motion that would just have avoided a contact at
                     ///< unchanged velocities: relative speed / (2 TTC), before any contact. Straight behind somebody
                     ///< this is DRAC; with others it says how hard the two had to brake between them
    NM_EGO_MEASURE_COUNT
} nm_ego_measure;

typedef struct nm_ego_description {
    const char *name;    ///< of columns: "sweep_ttc_s", ...
    const char *title;   ///< of tables
    const char *unit;    ///< "s", "m/s", "m/s2"
    const char *meaning; ///< a sentence
    int more_is_worse;   ///< else less is, and INFINITY is none
    float drawn_to;      ///< up to where a chart of it goes
} nm_ego_description;
NM_API const nm_ego_description *nm_ego_describe(nm_ego_measure measure);

typedef struct nm_ego_criticality {
    float value[NM_EGO_MEASURE_COUNT];
    uint32_t worst_step;  ///< of the least TTC, the first such; NM_NONE without one
    uint32_t worst_track; ///< with whom; of several the first
} nm_ego_criticality;
NM_API nm_ego_criticality nm_ego_criticality_none(void); ///< nobody near

/// Looks at steps [first_step, last_step], cut to the scene's; PET looks at all steps of the scene. Only steps at which
/// both are valid count. Memory is taken from `arena` and given back. NM_E_MEMORY. Thread-safe, deterministic.
/// Cost O(tracks * steps): 64 agents over 15 s take about a millisecond.
NM_API nm_status nm_ego_criticality_of(const nm_scene *scene, uint32_t ego, uint32_t first_step, uint32_t last_step,
                                       const nm_criticality_params *params, nm_arena *arena, nm_ego_criticality *out,
                                       nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
