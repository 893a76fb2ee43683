/// Time to collision: exact sweep, and nuPlan's box projection.
#include "sim/metrics/pair.h"

float nm_ttc(const nm_box *a, const nm_box *b, float horizon) {
    nm_pair_axes axes = nm_pair_axes_of(a, b);
    nm_interval contact =
        nm_sweep(&axes, (double)b->vx - a->vx, (double)b->vy - a->vy, (nm_interval){0.0, nm_positive(horizon)});
    return contact.from <= contact.to ? nm_result(contact.from) : INFINITY;
}

/// nuPlan steps through the times; since two convex shapes in straight motion overlap during one interval, only the
/// first multiples of the step at or after its beginning need the test (three, so that the rounding of the division
/// decides nothing).
float nm_ttc_projected(const nm_box *a, const nm_box *b, const nm_criticality_params *params) {
    const double standing = 0.005f; // m/s, nuPlan's stopped_speed_threshold
    NM_DEBUG_ASSERT(params->box_step > 0.0f);
    double speed_a = sqrt((double)a->vx * a->vx + (double)a->vy * a->vy);
    double speed_b = sqrt((double)b->vx * b->vx + (double)b->vy * b->vy);
    if (speed_a <= standing && speed_b <= standing) return INFINITY;
    nm_pair_axes axes = nm_pair_axes_of(a, b);
    double vx = speed_b * b->cos_h - speed_a * a->cos_h, vy = speed_b * b->sin_h - speed_a * a->sin_h;
    double step = params->box_step, horizon = nm_positive(params->box_horizon);
    nm_interval contact = nm_sweep(&axes, vx, vy, (nm_interval){0.0, horizon});
    if (contact.from > contact.to) return INFINITY;
    // 3 / 0.1f is 29.9999996: the last multiple below the horizon is 29, as it is meant
    double last = ceil(horizon / step - 1e-3) - 1.0;
    double k = nm_larger(ceil(contact.from / step) - 1.0, 1.0);
    for (int tries = 0; tries < 3 && k <= last; tries++, k += 1.0)
        if (nm_axes_overlap(&axes, vx * k * step, vy * k * step)) return nm_result(k * step);
    return INFINITY;
}
