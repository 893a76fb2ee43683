#include "nexus/guidance_paths.h"

double nm_energy_kinematic(const nm_guide_view *view, uint32_t first, double max_acceleration, double max_curvature,
                           double *const gradient[NM_GUIDE_STATES]) {
    return nm_guide_kinematic(view, first, max_acceleration, max_curvature, gradient);
}

nm_conflict_target nm_conflict_target_of(const nm_guide_view *view, const nm_adversary *what, uint32_t ego,
                                         uint32_t adversary, uint32_t ego_from, uint32_t from) {
    return nm_guide_target_of(view, what, ego, adversary, ego_from, from);
}

double nm_energy_conflict(const nm_guide_view *view, uint32_t first, uint32_t contact, const nm_conflict_target *target,
                          double *const gradient[NM_GUIDE_STATES]) {
    return nm_guide_conflict(view, first, contact, target, gradient);
}

void nm_spread_conflict(const nm_guide_view *view, uint32_t first, uint32_t contact,
                        double *const gradient[NM_GUIDE_STATES]) {
    nm_guide_spread(view, first, contact, gradient);
}

void nm_make_drivable(nm_guide_view *view, uint32_t first, const nm_adversary *limits, const uint8_t *clean,
                      uint8_t *touched) {
    nm_guide_make_drivable(view, first, limits, clean, touched);
}
