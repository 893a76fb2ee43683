/// Private to sim/metrics: one pair over all its steps.
#ifndef NM_SIM_METRICS_SUMMARY_H
#define NM_SIM_METRICS_SUMMARY_H

#include "sim/metrics/screen.h"

typedef struct nm_summary_context {
    const nm_scene *scene;
    const nm_criticality_params *params;
    nm_screen_limits limits;
    double follow_cos; ///< of params->follow_angle
    uint32_t *scratch; ///< for nm_course_pet
} nm_summary_context;

/// Under way: what is summed is kept in counts and doubles until the end.
typedef struct nm_summary {
    nm_pair_summary pair;
    nm_collision collision; ///< step NM_NONE until they overlap
    int seen;               ///< within range at any step
    uint32_t exposed_steps, rss_steps;
    double shortfall; ///< s, sum of (threshold - TTC)
} nm_summary;

void nm_summary_begin(nm_summary *summary, uint32_t first, uint32_t second);
/// Takes in `count` <= NM_SCREEN_STEPS steps from `step` on, which both courses have. Call in order of steps.
void nm_summary_add(const nm_summary_context *context, const nm_course *a, const nm_course *b, uint32_t step,
                    uint32_t count, nm_summary *summary);
/// Adds what needs the whole courses. Only for pairs that were seen.
void nm_summary_end(const nm_summary_context *context, const nm_course *a, const nm_course *b, nm_summary *summary);

#endif
