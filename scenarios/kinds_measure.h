/// The parameters of a kind, measured in a scene: what its detector's event, its tracks and its map say, whoever made
/// it and however. What generators promise is checked by it.
///
/// Gaps and times are along the way that the ego drove, carried on along its lanes, at moments between the steps, from
/// fits over some tenths of a second, and up to the first contact of the ego and whom the danger is with. Moments are
/// looked for within 4 s of the event's critical step, of wrong_way and right_turn_conflict within 4 s of all of it.
/// What each parameter is says its kind's table (kinds_table.c):
///   braking            the rate at which its speed falls: the weaker of what its stated speeds over 0.5 s (a line
///                      through five) and its positions over 0.7 s (a parabola through seven) say, windows being cut
///                      at a contact; 0 where one says that it speeds up. The hardest is the largest of these
///   begins to brake    half of the hardest braking is passed for the last time before that; at the contact when it
///                      does not brake, by 1.5 m/s^2 or more, before
///   sideways speed     across the lane that it is in, from positions over some tenths of a second: what headings or
///                      stated velocities say from one step to the next is none
///   reaches over       the first corner of the box is over the border of the ego's lane
///   in the ego's way   the box reaches into the strip that the ego drives over, as wide as the ego
///   shared ground      what the adversary's box covers of that strip on its way across it
///   had it not reacted the ego kept the velocity that it had when it began to brake (by 1 m/s^2 or more, within 6 s
///                      before); an adversary stopped by the contact went on along its lane as fast
///   notices            its speed departs from what it was, by the line through the first 0.3 m/s of it
///   begins to leave    0.1 m sideways; begins to go back: 0.1 m back
/// A value that a contact cuts off before it can show is NaN: the sideways speed that still grew, a braking of less
/// than half a second, an overhang at its largest when they touch, a reaction that had not come yet.
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

/// Whom the ego comes close to: the adversary, in cut_out what it revealed.
NM_API uint32_t nm_kind_danger(nm_kind kind, const nm_kind_roles *roles);

/// value[i] of parameter i of the event's kind; NaN where the scene does not show it, and of min_ttc (nm_case_danger).
/// step [out, nullable]: the moment that they are of.
/// Of the event only kind and steps are used. A time step of 0.1 s. Pure; prepares the map. About 20 microseconds, and
/// 50 KB of stack.
NM_API void nm_kind_measure(const nm_scene *scene, const nm_event *event, const nm_kind_roles *roles,
                            float value[NM_KIND_MAX_PARAMS], uint32_t *step);

/// What a parameter had come to by a contact that may have cut it off while it grew: it would have become at least
/// that, so whose range it exceeds was missed. Of lateral_speed and overhang; NaN of all else, and without a contact.
/// Costs as much. Looked for up to the contact, where the windows of nm_kind_measure no longer fit.
NM_API void nm_kind_reached(const nm_scene *scene, const nm_event *event, const nm_kind_roles *roles,
                            float value[NM_KIND_MAX_PARAMS]);

/// On ways that cross, the time from the adversary's leaving the ground that both drive over to the ego's coming, s, as
/// it happened around `step` (post-encroachment time; 0 when they were on it together); INFINITY when they touched, the
/// ego did not come or went first, and for kinds on one road.
NM_API float nm_kind_encroachment(const nm_scene *scene, nm_kind kind, const nm_kind_roles *roles, uint32_t step);

/// How far a measured value may lie outside of the range that was asked for (NM_TOLERANCE_... of case.h). Values of
/// scenes whose motion was written down are found again within a fifth of it; positions that are off by 2 cm stay
/// within it (tests/scenarios/test_kinds_measure.c).
NM_API float nm_kind_tolerance(nm_kind_param_id id);

#ifdef __cplusplus
}
#endif
#endif
