/// Guidance by its definition: every energy of every state, in every step, whether or not anything can move there. What
/// nexus/guidance_moving.c and guidance_slope.c leave out must not tell.
#ifndef NM_TESTS_GUIDANCE_SLOW_H
#define NM_TESTS_GUIDANCE_SLOW_H

#include "nexus/guidance_private.h"

#define X NM_FIELD_X
#define Y NM_FIELD_Y
#define COS NM_FIELD_COS
#define SIN NM_FIELD_SIN
#define VX NM_FIELD_VX
#define VY NM_FIELD_VY

// ---------------------------------------------------------------------------------------------------------------------
// Agents apart

static inline void nm_slow_add_overlap(const nm_guide_overlap *o, uint32_t a, uint32_t b,
                                       double *const gradient[NM_GUIDE_STATES]) {
    gradient[X][a] += o->apart.x;
    gradient[Y][a] += o->apart.y;
    gradient[X][b] -= o->apart.x;
    gradient[Y][b] -= o->apart.y;
    gradient[COS][a] += o->heading_a.x;
    gradient[SIN][a] += o->heading_a.y;
    gradient[COS][b] += o->heading_b.x;
    gradient[SIN][b] += o->heading_b.y;
}

static inline double nm_energy_overlap(const nm_guide_view *view, double margin,
                                       double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (uint32_t g = 0; g < view->group_count; g++) {
        const uint32_t end = view->group_offsets[g + 1];
        for (uint32_t i = view->group_offsets[g]; i < end; i++) {
            const uint32_t a = view->group_tokens[i];
            for (uint32_t k = i + 1; k < end; k++) {
                const uint32_t b = view->group_tokens[k];
                if (!nm_guide_concerns(view, a, b)) continue;
                const nm_guide_overlap o = nm_guide_overlap_of(view, a, b, margin);
                if (o.energy > 0.0) nm_slow_add_overlap(&o, a, b, gradient);
                energy += o.energy;
            }
        }
    }
    return energy;
}

// ---------------------------------------------------------------------------------------------------------------------
// On the road

static inline double nm_energy_road(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]) {
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

static inline double nm_energy_smooth(const nm_guide_view *view, uint32_t half,
                                      double *const gradient[NM_GUIDE_STATES]) {
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

static inline double nm_slow_velocity(const nm_guide_view *view, uint32_t a, uint32_t b,
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

static inline double nm_energy_consistent(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]) {
    double energy = 0.0;
    for (uint32_t n = 0; n < view->count; n++) {
        if (view->next[n] != NM_NONE) energy += nm_slow_velocity(view, n, view->next[n], gradient);
        double slope[NM_GUIDE_STATES];
        for (int f = COS; f < NM_GUIDE_STATES; f++) slope[f] = gradient[f][n];
        const double across = nm_guide_heading_against_velocity(view, n, slope);
        energy += across + nm_guide_heading_of_length_one(view, n, slope);
        for (int f = COS; f < NM_GUIDE_STATES; f++) gradient[f][n] = slope[f];
    }
    return energy;
}

// ---------------------------------------------------------------------------------------------------------------------
// A pass

static inline void nm_slow_add(const nm_guidance *g, double strength, double *const *term) {
    for (int f = 0; f < NM_GUIDE_STATES; f++) {
        for (uint32_t n = 0; n < g->view.count; n++) {
            g->sum[f][n] += strength * term[f][n];
            term[f][n] = 0.0;
        }
    }
}

/// term: 0, and is again.
static inline void nm_slow_slope(nm_guidance *g, double *const *term) {
    const nm_guidance_config *c = &g->config;
    for (int f = 0; f < NM_GUIDE_STATES; f++) memset(g->sum[f], 0, g->view.count * sizeof(double));
    nm_energy_overlap(&g->view, (double)c->margin, term);
    for (uint32_t n = 0; n < g->view.count; n++) {
        const nm_guide_vector favoured = nm_guide_favour_lane(&g->view, n, (nm_guide_vector){term[X][n], term[Y][n]});
        term[X][n] = favoured.x;
        term[Y][n] = favoured.y;
    }
    nm_slow_add(g, (double)c->overlap, term);
    nm_energy_road(&g->view, term);
    nm_slow_add(g, (double)c->road, term);
    nm_energy_smooth(&g->view, c->window, term);
    nm_slow_add(g, (double)c->smooth, term);
    nm_energy_consistent(&g->view, term);
    nm_slow_add(g, (double)c->consistent, term);
    for (uint32_t i = 0; i < g->adversary_count && c->adversarial > 0.0f; i++) {
        nm_guide_add_encounter(&g->view, &g->encounters[i], term);
        nm_slow_add(g, (double)c->adversarial, term);
    }
}

static inline void nm_slow_lane(const nm_guidance *g, const nm_map *map, uint32_t n, uint32_t mask) {
    const float x = (float)g->view.state[X][n], y = (float)g->view.state[Y][n];
    const float heading = nm_atan2f((float)g->view.state[SIN][n], (float)g->view.state[COS][n]);
    const nm_frenet at = nm_map_match(map, x, y, heading, g->config.lane_radius, mask);
    float lane_x, lane_y, lane_heading;
    if (at.lane == NM_NONE) return;
    nm_map_position(map, at.lane, at.s, 0.0f, &lane_x, &lane_y, &lane_heading);
    g->on_lane[n] = 1;
    g->lane_x[n] = (double)lane_x;
    g->lane_y[n] = (double)lane_y;
    g->lane_cos[n] = cos((double)lane_heading);
    g->lane_sin[n] = sin((double)lane_heading);
    g->lane_half[n] = (double)(at.d >= 0.0f ? at.left : at.right);
}

/// Of all states; `held` [tokens]: those that must stay.
static inline void nm_slow_decode(nm_guidance *g, const nm_denoise_input *in, const uint8_t *held, const float *x0) {
    const nm_state_encoding *e = &g->config.encoding;
    for (uint32_t p = 0; p < g->view.count; p++) {
        const uint32_t n = p / e->states;
        const float *row = x0 + (size_t)n * in->channels + p % e->states * e->stride;
        const nm_map *map = g->scenes[in->scene[n]].map;
        nm_guide_decode_state(e, row, &g->who[n]->pose, &g->view, p);
        g->length[p] = nm_guide_extent(e, row, NM_FIELD_LENGTH, g->who[n]->length, 4.5);
        g->width[p] = nm_guide_extent(e, row, NM_FIELD_WIDTH, g->who[n]->width, 2.0);
        g->clean[p] = in->level[n] == 0.0f;
        g->fixed[p] = g->clean[p] || held[n] || nm_guide_slow(&g->view, p, (double)g->config.min_speed);
        g->touched[p] = g->on_lane[p] = 0;
        if (!g->fixed[p] && map && g->who[n]->lane_mask) nm_slow_lane(g, map, p, g->who[n]->lane_mask);
    }
}

/// What nm_guidance_apply is by definition, but for `ahead`: `held` says what stays. In the memory of a guidance, whose
/// links and encounters are taken for right.
static inline void nm_slow_guidance(nm_guidance *g, const nm_denoise_input *in, const uint8_t *held, float *x0) {
    const nm_state_encoding *e = &g->config.encoding;
    const nm_guide_descent descent = nm_guidance_descent(g);
    double *term[NM_GUIDE_STATES];
    assert_int_equal(nm_guidance_link(g, in, NULL), NM_OK);
    assert_int_equal(nm_guidance_mark_foes(g, in, NULL), NM_OK);
    for (int f = 0; f < NM_GUIDE_STATES; f++) assert_non_null(term[f] = calloc(g->view.count + 1, sizeof(double)));
    nm_slow_decode(g, in, held, x0);
    for (uint32_t i = 0; i < g->config.iterations; i++) {
        nm_slow_slope(g, term);
        for (uint32_t n = 0; n < g->view.count; n++) {
            double slope[NM_GUIDE_STATES], move[NM_GUIDE_STATES];
            for (int f = 0; f < NM_GUIDE_STATES; f++) slope[f] = g->sum[f][n];
            if (g->fixed[n] || !nm_guide_move(&descent, slope, move)) continue;
            for (int f = 0; f < NM_GUIDE_STATES; f++) g->view.state[f][n] += move[f];
            g->touched[n] = 1;
        }
    }
    for (uint32_t i = 0; i < g->adversary_count && g->config.adversarial > 0.0f; i++)
        nm_make_drivable(&g->view, g->encounters[i].first, &g->encounters[i].what, g->clean, g->touched);
    for (uint32_t p = 0; p < g->view.count; p++) {
        const uint32_t n = p / e->states;
        float *row = x0 + (size_t)n * in->channels + p % e->states * e->stride;
        if (g->touched[p]) nm_guide_encode_state(e, &g->view, p, &g->who[n]->pose, row);
    }
    for (int f = 0; f < NM_GUIDE_STATES; f++) free(term[f]);
}

#undef X
#undef Y
#undef COS
#undef SIN
#undef VX
#undef VY

#endif
