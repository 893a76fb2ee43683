/// The ego driving its scene again, otherwise: along its way with another speed, or beside it, against the recorded
/// others. Private to scenarios/: what avoidability and the cause of danger are measured with.
#ifndef NM_SCENARIOS_REHEARSAL_H
#define NM_SCENARIOS_REHEARSAL_H

#include "scenarios/avoidability.h"

/// Where the ego drives: its recorded poses from the first step on, then its lane.
typedef struct nm_way_point {
    float s, x, y; ///< m along the way; centre of the box
    float heading; ///< rad, of the box, unwrapped
} nm_way_point;

/// Another track over the steps of the rehearsal; its boxes are [steps], valid where `there`.
typedef struct nm_other {
    uint32_t track;
    uint8_t adversary;
    uint8_t *there;
    nm_box *boxes;
    float radius; ///< m, of the circle around its largest box
} nm_other;

typedef struct nm_rehearsal {
    const nm_scene *scene;
    uint32_t ego, first, steps; ///< steps first .. first + steps - 1, of which the last may lie past the recording
    float length, width, radius;
    nm_way_point *way;
    uint32_t way_count, way_capacity;
    float *s, *v, *a; ///< [recorded] the ego's own: m along the way, m/s, m/s^2 (of differences over 0.2 s)
    uint32_t recorded;
    nm_other *others; ///< ascending tracks, only those that come near the way
    uint32_t other_count;
    int pass_adversaries; ///< 1 = adversaries who run into the ego from behind are passed over like third parties
} nm_rehearsal;

/// What the ego does from a step on.
typedef struct nm_manoeuvre {
    float brake;   ///< m/s^2, 0 = keeps its speed
    float jerk;    ///< m/s^3
    float side;    ///< m to the left; 0 = keeps to its way
    float lateral; ///< m/s^2
    float grip;    ///< m/s^2, both together
} nm_manoeuvre;

/// Whom to look at.
typedef enum nm_whom { NM_WHOM_ALL = 0, NM_WHOM_ADVERSARIES, NM_WHOM_THIRD_PARTIES } nm_whom;

/// Prepares steps [first, first + steps) for a checked case. until: step up to which the recorded way is used; past it
/// the way goes on along the lane. Lives in `arena`.
nm_status nm_rehearsal_make(const nm_conflict_case *conflict, uint32_t first, uint32_t steps, uint32_t until,
                            nm_arena *arena, nm_rehearsal *out, nm_error *error);

/// Drives from `step` at arc length s with speed v and acceleration a until `last`, both within the rehearsal. Returns
/// the first step, after `step`, at which it overlaps somebody or leaves the road while it steers; NM_NONE = none.
/// other [out, nullable]: whom, an index into others; NM_NONE for the road.
uint32_t nm_rehearse(const nm_rehearsal *rehearsal, uint32_t step, float s, float v, float a,
                     const nm_manoeuvre *manoeuvre, uint32_t last, nm_whom whom, uint32_t *other);

/// First step from `from` to `last` at which the recorded ego overlaps an adversary, or NM_NONE.
uint32_t nm_rehearsal_contact(const nm_rehearsal *rehearsal, uint32_t from, uint32_t last, uint32_t *other);

/// The box of the ego at arc length s, `side` m to the left, turned by `turn`. Motion is left at 0.
nm_box nm_rehearsal_box(const nm_rehearsal *rehearsal, float s, float side, float turn);

#endif
