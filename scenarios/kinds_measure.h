/// The parameters of a kind, measured in a scene: what its detector's event, its tracks and its map say, whoever made
/// it and however. What generators promise is checked by it.
#ifndef NM_SCENARIOS_KINDS_MEASURE_H
#define NM_SCENARIOS_KINDS_MEASURE_H

#include "scenarios/kinds.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Who plays which role: tracks of the scene, NM_NONE = nobody.
typedef struct nm_kind_roles {
    uint32_t ego, adversary, other;
} nm_kind_roles;

/// value[i] of parameter i of the event's kind, each as its table defines it (kinds_table.c); NaN where the scene does
/// not show it. step [out, nullable]: the moment that they are of.
/// Pure; prepares the map. About a microsecond for each step that is looked at.
NM_API void nm_kind_measure(const nm_scene *scene, const nm_event *event, const nm_kind_roles *roles,
                            float value[NM_KIND_MAX_PARAMS], uint32_t *step);

/// On ways that cross, the time from the adversary's leaving the ground that both drive over to the ego's coming, s, as
/// it happened around `step` (post-encroachment time; 0 when they were on it together); INFINITY when they touched, the
/// ego did not come or went first, and for kinds on one road.
NM_API float nm_kind_encroachment(const nm_scene *scene, nm_kind kind, const nm_kind_roles *roles, uint32_t step);

/// How far a measured value may lie outside of the range that was asked for: as manoeuvre.h states its tolerances.
NM_API float nm_kind_tolerance(nm_kind_param_id id);

#ifdef __cplusplus
}
#endif
#endif
