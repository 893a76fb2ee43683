/// The slopes of the energies where something can move. Every sum is added up in the order of the definition (each
/// energy alone, over all pairs and windows, those that can move and those that can not), so that its bits are those of
/// it.
#include "nexus/guidance_private.h"

#include <string.h>

#define X NM_FIELD_X
#define Y NM_FIELD_Y
#define COS NM_FIELD_COS
#define SIN NM_FIELD_SIN

// ---------------------------------------------------------------------------------------------------------------------
// Agents apart

static void add_pair(nm_guidance *g, uint32_t a, uint32_t b, double near) {
    const nm_guide_view *v = &g->view;
    const double dx = v->state[X][b] - v->state[X][a], dy = v->state[Y][b] - v->state[Y][a];
    if (NM_LIKELY(dx * dx + dy * dy >= near * near)) return;
    const nm_guide_overlap o = nm_guide_overlap_of(v, a, b, (double)g->config.margin);
    if (!(o.energy > 0.0)) return;
    double *const *term = g->term;
    if (!g->fixed[a]) {
        term[X][a] += o.apart.x;
        term[Y][a] += o.apart.y;
        term[COS][a] += o.heading_a.x;
        term[SIN][a] += o.heading_a.y;
    }
    if (!g->fixed[b]) {
        term[X][b] -= o.apart.x;
        term[Y][b] -= o.apart.y;
        term[COS][b] += o.heading_b.x;
        term[SIN][b] += o.heading_b.y;
    }
}

static void sweep(nm_guidance *g, uint32_t group) {
    const nm_guide_view *v = &g->view;
    const double margin = (double)g->config.margin;
    for (uint32_t i = g->group_offsets[group]; i < g->group_offsets[group + 1]; i++) {
        const uint32_t a = g->group_tokens[i];
        for (uint32_t k = i + 1; k < g->group_offsets[group + 1]; k++) {
            const uint32_t b = g->group_tokens[k];
            if (g->fixed[a] & g->fixed[b] || !nm_guide_concerns(v, a, b)) continue;
            add_pair(g, a, b, nm_guide_reach_of_box(v, a, margin) + nm_guide_reach_of_box(v, b, margin));
        }
    }
}

static void add_overlap(nm_guidance *g) {
    const double strength = (double)g->config.overlap;
    for (uint32_t i = 0; i < g->met_count; i++) {
        for (int f = X; f <= SIN; f++) g->term[f][g->met[i]] = 0.0;
    }
    for (uint32_t i = 0; i < g->pair_count; i++) add_pair(g, g->pairs[i].a, g->pairs[i].b, g->pairs[i].near);
    for (uint32_t i = g->swept_group; i < g->view.group_count; i++) sweep(g, i);
    for (uint32_t i = 0; i < g->met_count; i++) {
        const uint32_t n = g->met[i];
        const nm_guide_vector slope = {g->term[X][n], g->term[Y][n]};
        if (slope.x == 0.0 && slope.y == 0.0 && g->term[COS][n] == 0.0 && g->term[SIN][n] == 0.0) continue;
        const nm_guide_vector favoured = nm_guide_favour_lane(&g->view, n, slope);
        g->sum[X][n] += strength * favoured.x;
        g->sum[Y][n] += strength * favoured.y;
        g->sum[COS][n] += strength * g->term[COS][n];
        g->sum[SIN][n] += strength * g->term[SIN][n];
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// On the road

static void add_road(nm_guidance *g, const nm_guide_run *run) {
    for (uint32_t n = run->first; n < run->end; n++) {
        nm_guide_vector slope;
        if (!g->on_lane[n] || !(nm_guide_beyond_lane(&g->view, n, &slope) > 0.0)) continue;
        g->sum[X][n] += (double)g->config.road * slope.x;
        g->sum[Y][n] += (double)g->config.road * slope.y;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Smooth

/// Windows of three, of one field of a run. pull: scratch, 2 longer than the run; of the states from the one before it.
static void smooth_three(const nm_guide_run *run, const double *restrict x, double weight, double strength,
                         double *restrict pull, double *restrict sum) {
    const double share = 1.0 / 3;
    const uint32_t count = run->end - run->first;
    const uint32_t begin = run->inner_first + 1 - run->first, end = run->inner_end + 1 - run->first;
    for (uint32_t i = 0; i < begin; i++) pull[i] = 0.0;
    for (uint32_t i = end; i < count + 2; i++) pull[i] = 0.0;
    const double *before = x + run->inner_first - 1;
    for (uint32_t i = 0; i < end - begin; i++) {
        const double mean = share * before[i] + share * before[i + 1] + share * before[i + 2];
        pull[begin + i] = weight * (before[i + 1] - mean);
    }
    for (uint32_t i = 0; i < count; i++) {
        const double term = -(share * pull[i]) + pull[i + 1] - share * pull[i + 1] - share * pull[i + 2];
        sum[run->first + i] += strength * term;
    }
}

/// Windows of any size: the pulls of all that hold a state of the run into `term`, then what they do to it.
static void smooth_wide(nm_guidance *g, const nm_guide_run *run) {
    const nm_guide_view *v = &g->view;
    const uint32_t half = g->config.window;
    uint32_t begin = run->first, end = run->end, first;
    for (uint32_t i = 0; i < half && v->previous[begin] != NM_NONE; i++) begin--;
    for (uint32_t i = 0; i < half && v->next[end - 1] != NM_NONE; i++) end++;
    for (uint32_t at = begin; at < end; at++) {
        const uint32_t reach = nm_guide_reach_of(v, at, half, &first);
        for (int f = 0; f < NM_GUIDE_STATES && reach; f++) {
            double off;
            g->term[f][at] = nm_guide_smooth_pull(v, at, first, reach, f, &off);
        }
    }
    for (uint32_t n = run->first; n < run->end; n++) {
        double term[NM_GUIDE_STATES] = {0.0};
        const uint32_t from = n - begin > half ? n - half : begin, to = end - n > half + 1 ? n + half + 1 : end;
        for (uint32_t at = from; at < to; at++) {
            const uint32_t reach = nm_guide_reach_of(v, at, half, &first), distance = at < n ? n - at : at - n;
            if (!reach || distance > reach) continue;
            const double share = 1.0 / (2 * reach + 1);
            for (int f = 0; f < NM_GUIDE_STATES; f++) {
                if (at == n) term[f] += g->term[f][at];
                term[f] -= share * g->term[f][at];
            }
        }
        for (int f = 0; f < NM_GUIDE_STATES; f++) g->sum[f][n] += (double)g->config.smooth * term[f];
    }
}

static void add_smooth(nm_guidance *g, const nm_guide_run *run) {
    if (g->config.window > 1) {
        smooth_wide(g, run);
        return;
    }
    if (run->inner_first == run->inner_end) return;
    for (int f = 0; f < NM_GUIDE_STATES; f++)
        smooth_three(run, g->view.state[f], 9.0 / 16.0 * nm_guide_unit2(&g->view, f), (double)g->config.smooth, g->pull,
                     g->sum[f]);
}

// ---------------------------------------------------------------------------------------------------------------------
// Consistent, and adversaries

static void add_consistent(nm_guidance *g, const nm_guide_run *run) {
    const nm_guide_view *v = &g->view;
    for (uint32_t n = run->first; n < run->end; n++) {
        double term[NM_GUIDE_STATES] = {0.0};
        for (int after = 0; after < 2; after++) {
            const uint32_t other = after ? v->next[n] : v->previous[n];
            for (int axis = 0; other != NM_NONE && axis < 2; axis++) {
                double off;
                const double pull = nm_guide_velocity_pull(v, after ? n : other, after ? other : n, axis, &off);
                term[X + axis] += after ? -pull : pull;
                term[NM_FIELD_VX + axis] -= 0.5 * v->dt * pull;
            }
        }
        nm_guide_heading_against_velocity(v, n, term);
        nm_guide_heading_of_length_one(v, n, term);
        for (int f = 0; f < NM_GUIDE_STATES; f++) g->sum[f][n] += (double)g->config.consistent * term[f];
    }
}

static void add_adversaries(nm_guidance *g) {
    for (uint32_t i = 0; i < g->adversary_count; i++) {
        const uint32_t first = g->encounters[i].first;
        for (uint32_t n = first; n != NM_NONE; n = g->next[n]) {
            for (int f = 0; f < NM_GUIDE_STATES; f++) g->term[f][n] = 0.0;
        }
        nm_guide_add_encounter(&g->view, &g->encounters[i], g->term);
        for (uint32_t n = first; n != NM_NONE; n = g->next[n]) {
            for (int f = 0; f < NM_GUIDE_STATES && !g->fixed[n]; f++)
                g->sum[f][n] += (double)g->config.adversarial * g->term[f][n];
        }
    }
}

void nm_guidance_slope(nm_guidance *g) {
    const nm_guidance_config *c = &g->config;
    for (uint32_t i = 0; i < g->run_count; i++) {
        const nm_guide_run *run = &g->runs[i];
        for (int f = 0; f < NM_GUIDE_STATES; f++)
            memset(g->sum[f] + run->first, 0, (run->end - run->first) * sizeof(double));
    }
    if (c->overlap > 0.0f) add_overlap(g);
    for (uint32_t i = 0; i < g->run_count; i++) {
        const nm_guide_run *run = &g->runs[i];
        if (c->road > 0.0f) add_road(g, run);
        if (c->smooth > 0.0f) add_smooth(g, run);
        if (c->consistent > 0.0f) add_consistent(g, run);
    }
    if (c->adversarial > 0.0f) add_adversaries(g);
}
