/// What measuring looks at: the ego's way, and where everybody was along it. Private to scenarios/.
///
/// way    the line that the ego's centre drove, carried on along its lanes before and after. s m along it, 0 where the
///        recorded part begins; d m to its left
/// trace  a track's box in that frame, step by step
/// sight  both, over the steps around a moment at which ego and adversary are there, up to their first contact: what a
///        crash does to vehicles is not modelled
///
/// Fits are least squares over windows that are cut at the ends of the sight. All of it is plain memory of the caller.
#ifndef NM_SCENARIOS_KINDS_SIGHT_H
#define NM_SCENARIOS_KINDS_SIGHT_H

#include "scenarios/kinds_measure.h"
#include "sim/geometry.h"

#define NM_SIGHT_BACK 48u   ///< points before the recorded part, 2.5 m apart
#define NM_SIGHT_AHEAD 96u  ///< points after it
#define NM_SIGHT_REACH 150u ///< steps looked at to each side of the moment
#define NM_SIGHT_STEPS (2 * NM_SIGHT_REACH + 1)
#define NM_WAY_POINTS (NM_SIGHT_BACK + NM_SIGHT_STEPS + NM_SIGHT_AHEAD)

typedef struct nm_sight_way {
    uint32_t first, last; ///< points that there are
    float x[NM_WAY_POINTS], y[NM_WAY_POINTS], s[NM_WAY_POINTS];
    float cos_h[NM_WAY_POINTS], sin_h[NM_WAY_POINTS]; ///< from the point to the next one
} nm_sight_way;

typedef struct nm_trace_point {
    float s, d;           ///< of the centre; NAN where the track is not there
    float v;              ///< m/s along its heading, as stated
    float turn_c, turn_s; ///< of its heading against the way's direction
    float along, across;  ///< m, half of what the box takes up along and across the way
} nm_trace_point;

typedef struct nm_sight {
    const nm_scene *scene;
    nm_kind_roles roles;
    uint32_t anchor; ///< the moment looked around
    uint32_t lo, hi; ///< steps, inclusive; `at` indexes from lo
    int contact;     ///< they touch at hi
    float ego_width; ///< m
    nm_sight_way way;
    nm_trace_point ego[NM_SIGHT_STEPS], adversary[NM_SIGHT_STEPS], other[NM_SIGHT_STEPS];
} nm_sight;

/// danger: whose contact with the ego ends the sight. 0 when ego or adversary are not there at `anchor`.
int nm_sight_of(const nm_scene *scene, const nm_kind_roles *roles, uint32_t danger, uint32_t anchor, nm_sight *sight);

/// A pose as a point of a trace; hint: of nm_way_project.
nm_trace_point nm_sight_point(const nm_sight *sight, const nm_box *box, uint32_t *hint);
/// The hint for a place along the way.
void nm_sight_hint(const nm_sight *sight, float s, uint32_t *hint);
/// The borders of the ego's lane at s, m from the way to its left and right; 0 when there is no lane.
int nm_sight_borders(const nm_sight *sight, float s, float *left, float *right);

/// A point between two steps, linearly.
nm_trace_point nm_trace_at(const nm_sight *sight, const nm_trace_point *trace, float step);
/// m/s^2 by which the track's speed falls at a step: the weaker of what stated speeds (+-0.2 s) and positions (+-0.3 s)
/// say, 0 where they disagree in sign. 0 with too few steps.
float nm_trace_braking(const nm_sight *sight, uint32_t track, const nm_trace_point *trace, uint32_t step);
/// m/s to the left across the lane that the track is in, by a cubic over +-0.5 s (Savitzky and Golay 1964); NAN where
/// the window is cut.
float nm_sight_sideways(const nm_sight *sight, uint32_t track, const nm_trace_point *trace, uint32_t step);
/// The same by a line over +-0.2 s.
float nm_sight_drifting(const nm_sight *sight, uint32_t track, const nm_trace_point *trace, uint32_t step);

/// Where the track would go on from its pose at `step` with the speed it has then, `ahead` steps later: along its lane,
/// pedestrians and who has none straight on.
typedef struct nm_going_on {
    nm_box box;
    uint32_t lane;
    float s, d, skew, speed;
} nm_going_on;
void nm_go_on_from(const nm_sight *sight, uint32_t track, uint32_t step, nm_going_on *going);
void nm_go_on(const nm_sight *sight, nm_going_on *going); ///< by one step

#endif
