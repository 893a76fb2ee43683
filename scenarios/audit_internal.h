/// What the parts of the audit share. Private to scenarios/.
#ifndef NM_SCENARIOS_AUDIT_INTERNAL_H
#define NM_SCENARIOS_AUDIT_INTERNAL_H

#include "scenarios/audit.h"

#define NM_AUDIT_DT 0.1

typedef struct nm_audit_point {
    double x, y;
} nm_audit_point;

/// A rectangle on the ground: its corners counter-clockwise from the rear right one.
typedef struct nm_audit_box {
    nm_audit_point corner[4];
    double x, y, heading, cosine, sine, length, width, vx, vy; ///< cosine and sine of the heading
} nm_audit_box;

/// 0 where the track is not there.
int nm_audit_box_at(const nm_scene *scene, uint32_t track, uint32_t step, nm_audit_box *box);
nm_audit_box nm_audit_box_moved(const nm_audit_box *box, double seconds); ///< at its velocity
/// The shortest way by which one has to be pushed to be free of the other, m; negative: they are apart.
double nm_audit_depth(const nm_audit_box *a, const nm_audit_box *b);
/// From the front of `self` to the nearest point of `other` along the heading of `self`, m.
double nm_audit_ahead(const nm_audit_box *self, const nm_audit_box *other);
#define NM_AUDIT_GRAZE 0.01 ///< m by which boxes may pass each other and may be said to touch
/// s until they touch at their velocities, or come within `slack` m, to the half of a thousandth; INFINITY = not within
/// `horizon`.
double nm_audit_ttc(const nm_audit_box *a, const nm_audit_box *b, double horizon, double slack);
double nm_audit_wrap(double angle);                                               ///< to (-pi, pi]
double nm_audit_hypot(double x, double y);                                        ///< without the care of hypot()
double nm_audit_to_segment(nm_audit_point p, nm_audit_point a, nm_audit_point b); ///< distance, m

/// The carriageway around a place: quadrangles between border points of lanes on which one drives, and driveways.
typedef struct nm_audit_quad {
    nm_audit_point p[4];
    double low_x, low_y, high_x, high_y;
} nm_audit_quad;
typedef struct nm_audit_road {
    const nm_map *map;
    const nm_audit_quad *quads;
    size_t quad_count;
} nm_audit_road;
/// NM_E_MEMORY. Quadrangles that meet the rectangle.
nm_status nm_audit_road_around(const nm_map *map, nm_audit_point low, nm_audit_point high, nm_arena *arena,
                               nm_audit_road *road);
int nm_audit_on_road(const nm_audit_road *road, nm_audit_point p);
double nm_audit_off_road(const nm_audit_road *road, nm_audit_point p);  ///< m, 0 = on it
double nm_audit_into_road(const nm_audit_road *road, nm_audit_point p); ///< m from its edge, 0 = off it
int nm_audit_on_area(const nm_map *map, nm_area_kind kind, nm_audit_point p, double slack);

typedef struct nm_auditing {
    const nm_scene *scene;
    const nm_audit_case *about;
    nm_arena *arena;
    nm_audit_report *report;
    uint32_t begin;
} nm_auditing;

/// Lays a value beside the finding: the worse one stays. NaN is one that could not be measured, an infinite limit none.
void nm_audit_take(nm_auditing *a, nm_audit_check check, uint32_t track, uint32_t step, double value, double limit,
                   int allowed);
/// Two values of a check that measuring in two ways does not explain.
int nm_audit_other_value(nm_audit_check check, double a, double b);
/// The last step before the track first touches somebody that it did not touch at the beginning.
uint32_t nm_audit_last_free(const nm_auditing *a, uint32_t track);
/// 1 when the pair touches at `step`.
int nm_audit_touch(const nm_scene *scene, uint32_t first, uint32_t second, uint32_t step);

/// The motion of one run of valid steps, each [count]; NaN where no whole window fits.
typedef struct nm_audit_motion {
    uint32_t first, count;
    double *x, *y, *heading; ///< unwrapped
    double *speed, *along, *across, *jerk, *yaw_rate, *slip;
} nm_audit_motion;
/// The run of valid steps that holds, or follows, `from`, up to `last` at most. 0 when there is none.
int nm_audit_next_run(const nm_scene *scene, uint32_t track, uint32_t from, uint32_t last, uint32_t *first,
                      uint32_t *end);
/// NM_E_MEMORY.
nm_status nm_audit_measure_motion(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t end, nm_arena *arena,
                                  nm_audit_motion *motion);

/// m/s^2 by which the track's speed falls around `t`, as kinds_measure.h defines it: the weaker of what stated speeds
/// over +-0.2 s and positions over +-0.3 s say, up to `last`; 0 where they contradict one another or are too few.
double nm_audit_slowing(const nm_scene *scene, uint32_t track, uint32_t t, uint32_t last);

nm_status nm_audit_judge_motion(nm_auditing *a, uint32_t track, uint32_t last);
void nm_audit_judge_overlap(nm_auditing *a, uint32_t track);
nm_status nm_audit_judge_road(nm_auditing *a, uint32_t track, uint32_t last, int adversary);
void nm_audit_judge_rules(nm_auditing *a, uint32_t track, uint32_t last);
void nm_audit_judge_severity(nm_auditing *a);
void nm_audit_judge_params(nm_auditing *a);

#endif
