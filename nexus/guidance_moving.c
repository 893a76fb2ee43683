/// What a pass of guidance can move, and what that may meet: finished states, slow ones and noise far ahead stay where
/// they are, and two that stay do nothing to each other.
#include "nexus/guidance_private.h"

#include <string.h>

// ---------------------------------------------------------------------------------------------------------------------
// Tokens

/// Of the tokens of a scene, [first, end): which may be moved.
static void choose_scene(nm_guidance *g, const nm_denoise_input *in, uint32_t first, uint32_t end) {
    const uint32_t ahead = g->config.ahead;
    int any = 0;
    uint32_t latest = 0;
    for (uint32_t n = first; n < end && in->moves && ahead != NM_GUIDANCE_NO_LIMIT; n++) {
        if (!in->moves[n]) continue;
        any = 1;
        if (in->time[n] > latest) latest = in->time[n];
    }
    for (uint32_t n = first; n < end; n++) {
        const int waits = any && !in->moves[n] && in->level[n] >= 1.0f && in->time[n] > latest;
        g->free_token[n] = in->level[n] != 0.0f && !(waits && in->time[n] - latest > ahead);
    }
}

/// All that is not clean of the path that begins at state p.
static void choose_path(nm_guidance *g, const nm_denoise_input *in, uint32_t p) {
    for (; p != NM_NONE; p = g->next[p]) {
        const uint32_t n = p / g->config.encoding.states;
        g->free_token[n] = in->level[n] != 0.0f;
    }
}

static uint32_t encounters_of(const nm_guidance *g) {
    return g->config.adversarial > 0.0f ? g->adversary_count : 0;
}

/// Tokens that meet one that may be moved: at the same time, and in the windows that hold it.
static void see(nm_guidance *g) {
    const nm_guidance_config *c = &g->config;
    const uint32_t states = c->encoding.states, reach = c->smooth > 0.0f ? 2 * c->window : c->consistent > 0.0f ? 1 : 0;
    const uint32_t tokens = (reach + states - 1) / states;
    memset(g->seen, encounters_of(g) > 0, g->count);             // adversaries look ahead as far as there is anything
    for (uint32_t i = 0; i < g->view.group_count; i += states) { // of a time there are as many groups as states
        const uint32_t *members = g->group_tokens + g->group_offsets[i];
        const uint32_t size = g->group_offsets[i + 1] - g->group_offsets[i];
        int any = 0;
        for (uint32_t k = 0; k < size; k++) any |= g->free_token[members[k] / states];
        for (uint32_t k = 0; k < size && any; k++) g->seen[members[k] / states] = 1;
    }
    for (uint32_t n = 0; n < g->count; n++) {
        if (!g->free_token[n]) continue;
        for (uint32_t k = 0; k < tokens && g->previous[(n - k) * states] != NM_NONE; k++) g->seen[n - k - 1] = 1;
        for (uint32_t k = 0; k < tokens && g->next[(n + k + 1) * states - 1] != NM_NONE; k++) g->seen[n + k + 1] = 1;
    }
}

void nm_guidance_choose(nm_guidance *g, const nm_denoise_input *in) {
    for (uint32_t first = 0, end; first < g->count; first = end) {
        for (end = first; end < g->count && in->scene[end] == in->scene[first];) end++;
        choose_scene(g, in, first, end);
    }
    for (uint32_t i = 0; i < encounters_of(g); i++) {
        choose_path(g, in, g->encounters[i].first);
        choose_path(g, in, g->encounters[i].ego_first);
    }
    see(g);
}

// ---------------------------------------------------------------------------------------------------------------------
// States

static int is_inner(const nm_guidance *g, uint32_t p) {
    return g->previous[p] != NM_NONE && g->next[p] != NM_NONE;
}

void nm_guidance_gather_runs(nm_guidance *g) {
    const uint32_t count = g->view.count;
    g->run_count = 0;
    for (uint32_t p = 0; p < count; p++) {
        if (g->fixed[p]) continue;
        nm_guide_run *run = &g->runs[g->run_count++];
        run->first = p;
        while (g->next[p] != NM_NONE && !g->fixed[p + 1]) p++;
        run->end = p + 1;
        run->inner_first = g->previous[run->first] != NM_NONE ? run->first - 1 : run->first;
        run->inner_end = g->next[p] != NM_NONE ? run->end + 1 : run->end;
        while (run->inner_first < run->inner_end && !is_inner(g, run->inner_first)) run->inner_first++;
        while (run->inner_end > run->inner_first && !is_inner(g, run->inner_end - 1)) run->inner_end--;
    }
}

/// Of the group `i`: places and reaches into x, y, reach. Returns whether any of it can move.
static int gather_group(nm_guidance *g, uint32_t i) {
    const nm_guide_view *v = &g->view;
    int any = 0;
    for (uint32_t k = g->group_offsets[i]; k < g->group_offsets[i + 1]; k++) any |= !g->fixed[g->group_tokens[k]];
    if (!any) return 0;
    for (uint32_t k = g->group_offsets[i]; k < g->group_offsets[i + 1]; k++) {
        const uint32_t n = g->group_tokens[k];
        g->x[k] = v->state[NM_FIELD_X][n];
        g->y[k] = v->state[NM_FIELD_Y][n];
        g->reach[k] = nm_guide_reach_of_box(v, n, (double)g->config.margin);
    }
    return 1;
}

/// The pairs of state k of a group, up to `end`, that may come to overlap: each that can move comes closer by `most`
/// at most. 0 when there is no room for them.
static int gather_pairs_of(nm_guidance *g, uint32_t k, uint32_t end, double most, uint32_t room) {
    const uint32_t a = g->group_tokens[k];
    const double x = g->x[k], y = g->y[k], reach = g->reach[k], own = g->fixed[a] ? 0.0 : most;
    for (uint32_t i = k + 1; i < end; i++) {
        const uint32_t b = g->group_tokens[i];
        const double dx = g->x[i] - x, dy = g->y[i] - y, near = reach + g->reach[i];
        const double bound = near + own + (g->fixed[b] ? 0.0 : most);
        if (NM_LIKELY(dx * dx + dy * dy >= bound * bound) || !nm_guide_concerns(&g->view, a, b)) continue;
        if (g->pair_count == room) return 0;
        g->pairs[g->pair_count++] = (nm_guide_pair){a, b, near};
    }
    return 1;
}

static void meet(nm_guidance *g, uint32_t n) {
    if (g->fixed[n] || g->marked[n]) return;
    g->marked[n] = 1;
    g->met[g->met_count++] = n;
}

void nm_guidance_gather_pairs(nm_guidance *g) {
    const double most = 1.001 * (double)g->config.max_move + 1e-3; // and what rounding adds
    const uint32_t room = nm_guidance_pair_room(&g->config);
    uint32_t i = 0;
    int fits = 1;
    g->pair_count = 0;
    for (; i < g->view.group_count && fits; i++) {
        const uint32_t before = g->pair_count;
        if (!gather_group(g, i)) continue;
        for (uint32_t k = g->group_offsets[i]; k < g->group_offsets[i + 1] && fits; k++)
            fits = gather_pairs_of(g, k, g->group_offsets[i + 1], most, room);
        if (fits) continue;
        g->pair_count = before;
        break;
    }
    g->swept_group = i;
    g->met_count = 0;
    for (uint32_t k = 0; k < g->pair_count; k++) {
        meet(g, g->pairs[k].a);
        meet(g, g->pairs[k].b);
    }
    for (uint32_t k = g->group_offsets[i]; k < g->view.count; k++) meet(g, g->group_tokens[k]);
    for (uint32_t k = 0; k < g->met_count; k++) g->marked[g->met[k]] = 0;
}
