#include "nexus/guidance_inline.h"

#define X NM_FIELD_X
#define Y NM_FIELD_Y
#define COS NM_FIELD_COS
#define SIN NM_FIELD_SIN
#define VX NM_FIELD_VX
#define VY NM_FIELD_VY

// ---------------------------------------------------------------------------------------------------------------------
// Agents apart

static void add_overlap(const nm_guide_overlap *o, uint32_t a, uint32_t b, double *const gradient[NM_GUIDE_STATES]) {
    gradient[X][a] += o->apart.x;
    gradient[Y][a] += o->apart.y;
    gradient[X][b] -= o->apart.x;
    gradient[Y][b] -= o->apart.y;
    gradient[COS][a] += o->heading_a.x;
    gradient[SIN][a] += o->heading_a.y;
    gradient[COS][b] += o->heading_b.x;
    gradient[SIN][b] += o->heading_b.y;
}

double nm_energy_overlap(const nm_guide_view *view, double margin, double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    // places and reaches in the order of the groups: almost all pairs are far apart, and seen to be so in one sweep
    double *x = view->scratch[0], *y = view->scratch[1], *reach = view->scratch[2];
    for (uint32_t i = 0; i < view->count; i++) {
        const uint32_t n = view->group_tokens[i];
        x[i] = view->state[X][n];
        y[i] = view->state[Y][n];
        reach[i] = nm_guide_reach_of_box(view, n, margin);
    }
    for (uint32_t g = 0; g < view->group_count; g++) {
        const uint32_t end = view->group_offsets[g + 1];
        for (uint32_t i = view->group_offsets[g]; i < end; i++) {
            const uint32_t a = view->group_tokens[i];
            for (uint32_t k = i + 1; k < end; k++) {
                const double dx = x[k] - x[i], dy = y[k] - y[i], near = reach[i] + reach[k];
                if (NM_LIKELY(dx * dx + dy * dy >= near * near)) continue;
                const uint32_t b = view->group_tokens[k];
                if (!nm_guide_concerns(view, a, b)) continue;
                const nm_guide_overlap o = nm_guide_overlap_of(view, a, b, margin);
                if (o.energy > 0.0) add_overlap(&o, a, b, gradient);
                energy += o.energy;
            }
        }
    }
    return energy;
}

// ---------------------------------------------------------------------------------------------------------------------
// On the road

double nm_energy_road(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (uint32_t n = 0; n < view->count; n++) {
        nm_guide_vector slope;
        const double beyond = view->on_lane[n] ? nm_guide_beyond_lane(view, n, &slope) : 0.0;
        if (beyond <= 0.0) continue;
        energy += 0.5 * beyond * beyond;
        gradient[X][n] += slope.x;
        gradient[Y][n] += slope.y;
    }
    return energy;
}

// ---------------------------------------------------------------------------------------------------------------------
// Smooth

double nm_energy_smooth(const nm_guide_view *view, uint32_t half, double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (uint32_t n = 0; n < view->count; n++) {
        uint32_t first;
        const uint32_t reach = nm_guide_reach_of(view, n, half, &first);
        if (!reach) continue;
        const double share = 1.0 / (2 * reach + 1);
        for (int f = 0; f < NM_GUIDE_STATES; f++) {
            double off;
            const double pull = nm_guide_smooth_pull(view, n, first, reach, f, &off);
            energy += 0.5 * pull * off;
            gradient[f][n] += pull;
            uint32_t at = first;
            for (uint32_t i = 0; i <= 2 * reach; i++, at = view->next[at]) gradient[f][at] -= share * pull;
        }
    }
    return energy;
}

// ---------------------------------------------------------------------------------------------------------------------
// Consistent

static double velocity_against_positions(const nm_guide_view *view, uint32_t a, uint32_t b,
                                         double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (int axis = 0; axis < 2; axis++) {
        double off;
        const double pull = nm_guide_velocity_pull(view, a, b, axis, &off);
        energy += 0.5 * pull * off;
        gradient[X + axis][b] += pull;
        gradient[X + axis][a] -= pull;
        gradient[VX + axis][a] -= 0.5 * view->dt * pull;
        gradient[VX + axis][b] -= 0.5 * view->dt * pull;
    }
    return energy;
}

double nm_energy_consistent(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (uint32_t n = 0; n < view->count; n++) {
        if (view->next[n] != NM_NONE) energy += velocity_against_positions(view, n, view->next[n], gradient);
        double slope[NM_GUIDE_STATES];
        for (int f = COS; f < NM_GUIDE_STATES; f++) slope[f] = gradient[f][n];
        const double across = nm_guide_heading_against_velocity(view, n, slope);
        energy += across + nm_guide_heading_of_length_one(view, n, slope);
        for (int f = COS; f < NM_GUIDE_STATES; f++) gradient[f][n] = slope[f];
    }
    return energy;
}
