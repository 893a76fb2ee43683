/// Private to sim/metrics: cheap bounds for many steps of a pair at once, so that the exact functions run only where
/// they can change a result.
#ifndef NM_SIM_METRICS_SCREEN_H
#define NM_SIM_METRICS_SCREEN_H

#include "sim/metrics/course.h"

#define NM_SCREEN_STEPS 96 ///< a multiple of NM_COURSE_PAD; most recordings are 91 steps, and so one window

#define NM_SCREEN_IN_RANGE 1u ///< both valid and within range; all else is meaningless without it
#define NM_SCREEN_A_FOLLOWS 2u
#define NM_SCREEN_B_FOLLOWS 4u
#define NM_SCREEN_RSS 8u
#define NM_SCREEN_SAME 16u ///< both states equal those of the step before: so do all results

/// Never above the exact value (flags: never missing), in spite of the rounding of float; +INFINITY = surely none.
typedef struct nm_screen {
    float distance[NM_SCREEN_STEPS];
    float ttc[NM_SCREEN_STEPS];
    float projected[NM_SCREEN_STEPS];
    float approach[NM_SCREEN_STEPS]; ///< distance at closest approach
    uint32_t flags[NM_SCREEN_STEPS];
    float least_distance, least_ttc, least_projected, least_approach;
    uint32_t any_flags; ///< of all steps
} nm_screen;

typedef struct nm_screen_limits {
    float range;
    float horizon, box_horizon;
    float follow_cos;
    float rho, lateral_accel, lateral_per_brake, lateral_margin; ///< of RSS; per_brake: 1 / (2 b)
} nm_screen_limits;

nm_screen_limits nm_screen_limits_of(const nm_criticality_params *params, float max_range);

/// Bounds for `count` <= NM_SCREEN_STEPS steps from index `at_a` of a and `at_b` of b on.
void nm_screen_run(const nm_course *a, uint32_t at_a, const nm_course *b, uint32_t at_b, uint32_t count,
                   const nm_screen_limits *limits, nm_screen *out);

#endif
