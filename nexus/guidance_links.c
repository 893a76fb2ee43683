/// Which tokens follow, surround and meet each other.
#include "nexus/guidance_private.h"

#include <string.h>

// ---------------------------------------------------------------------------------------------------------------------
// Links between tokens, made anew when the layout changes

static const nm_guided_agent *find_agent(const nm_guided_scene *scene, uint32_t agent) {
    uint32_t low = 0, high = scene->agent_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (scene->agents[middle].agent < agent)
            low = middle + 1;
        else
            high = middle;
    }
    return low < scene->agent_count && scene->agents[low].agent == agent ? &scene->agents[low] : NULL;
}

static nm_status link_agents(nm_guidance *g, const nm_denoise_input *in, nm_error *error) {
    const uint32_t states = g->config.encoding.states;
    for (uint32_t n = 0; n < in->count; n++) {
        const int same = n && in->scene[n] == in->scene[n - 1] && in->agent[n] == in->agent[n - 1];
        const int adjacent = same && in->time[n] == in->time[n - 1] + 1;
        for (uint32_t p = n * states; p < (n + 1) * states; p++) {
            g->previous[p] = p > n * states || adjacent ? p - 1 : NM_NONE;
            g->next[p] = NM_NONE;
            if (g->previous[p] != NM_NONE) g->next[p - 1] = p;
        }
        g->who[n] = same                            ? g->who[n - 1]
                    : in->scene[n] < g->scene_count ? find_agent(&g->scenes[in->scene[n]], in->agent[n])
                                                    : NULL;
        if (!g->who[n])
            return NM_ERROR(error, NM_E_NOT_FOUND, "guidance knows no agent %u of scene %u", (unsigned)in->agent[n],
                            (unsigned)in->scene[n]);
        if (in->time[n] >= NM_GUIDE_MOST_TIME / states)
            return NM_ERROR(error, NM_E_LIMIT, "guidance: token %u is at time %u, not below %u", (unsigned)n,
                            (unsigned)in->time[n], (unsigned)(NM_GUIDE_MOST_TIME / states));
    }
    return NM_OK;
}

/// Sorts the states of the tokens [first, end) of a scene by time, stably (counting sort), and appends their groups.
static void link_times(nm_guidance *g, const nm_denoise_input *in, uint32_t first, uint32_t end) {
    const uint32_t states = g->config.encoding.states, from = first * states;
    uint32_t times = 0;
    for (uint32_t n = first; n < end; n++) times = in->time[n] + 1 > times ? in->time[n] + 1 : times;
    times *= states;
    memset(g->bucket, 0, (times + 1) * sizeof *g->bucket);
    for (uint32_t p = from; p < end * states; p++) g->bucket[in->time[p / states] * states + p % states + 1]++;
    for (uint32_t t = 0; t < times; t++) {
        if (g->bucket[t + 1]) g->group_offsets[g->view.group_count++] = from + g->bucket[t];
        g->bucket[t + 1] += g->bucket[t];
    }
    for (uint32_t p = from; p < end * states; p++) {
        g->group_tokens[from + g->bucket[in->time[p / states] * states + p % states]++] = p;
    }
}

nm_status nm_guidance_link(nm_guidance *g, const nm_denoise_input *in, nm_error *error) {
    const size_t bytes = in->count * sizeof(uint32_t);
    if (g->linked && g->count == in->count && !memcmp(g->scene, in->scene, bytes) &&
        !memcmp(g->agent, in->agent, bytes) && !memcmp(g->time, in->time, bytes)) {
        return NM_OK;
    }
    g->linked = 0;
    if (in->count > g->config.max_tokens)
        return NM_ERROR(error, NM_E_LIMIT, "%u tokens; guidance was made for %u", (unsigned)in->count,
                        (unsigned)g->config.max_tokens);
    const nm_status status = link_agents(g, in, error);
    if (status) return status;
    g->count = in->count;
    g->view.count = in->count * g->config.encoding.states;
    g->view.group_count = 0;
    for (uint32_t first = 0, n = 0; n < in->count; n++) {
        if (n + 1 < in->count && in->scene[n + 1] == in->scene[first]) continue;
        link_times(g, in, first, n + 1);
        first = n + 1;
    }
    g->group_offsets[g->view.group_count] = g->view.count;
    memcpy(g->scene, in->scene, bytes);
    memcpy(g->agent, in->agent, bytes);
    memcpy(g->time, in->time, bytes);
    g->linked = 1;
    g->link_count++;
    return NM_OK;
}

/// The token of an agent at a time, or NM_NONE.
static uint32_t find_token(const nm_guidance *g, const nm_denoise_input *in, uint32_t scene, uint32_t agent,
                           uint32_t time) {
    uint32_t low = 0, high = g->count;
    while (low < high) {
        const uint32_t n = low + (high - low) / 2;
        const int less = in->scene[n] != scene   ? in->scene[n] < scene
                         : in->agent[n] != agent ? in->agent[n] < agent
                                                 : in->time[n] < time;
        if (less)
            low = n + 1;
        else
            high = n;
    }
    return low < g->count && in->scene[low] == scene && in->agent[low] == agent && in->time[low] == time ? low
                                                                                                         : NM_NONE;
}

// ---------------------------------------------------------------------------------------------------------------------
// Adversaries

static uint32_t first_of(const nm_guidance *g, uint32_t n) {
    while (g->previous[n] != NM_NONE) n = g->previous[n];
    return n;
}

nm_status nm_guidance_find_encounter(const nm_guidance *g, const nm_denoise_input *in, const nm_adversary *a,
                                     nm_guide_encounter *e, nm_error *error) {
    e->what = *a;
    e->contact = find_token(g, in, a->scene, a->adversary, a->time);
    e->ego = find_token(g, in, a->scene, a->ego, a->time);
    if (e->contact == NM_NONE || e->ego == NM_NONE) {
        return NM_ERROR(error, NM_E_NOT_FOUND, "agent %u of scene %u has no token at time %u, where it shall be met",
                        (unsigned)(e->ego == NM_NONE ? a->ego : a->adversary), (unsigned)a->scene, (unsigned)a->time);
    }
    const uint32_t states = g->config.encoding.states; // the last of a token is at its time
    e->contact = e->contact * states + states - 1;
    e->ego = e->ego * states + states - 1;
    e->first = first_of(g, e->contact);
    e->ego_first = first_of(g, e->ego);
    return NM_OK;
}

nm_status nm_guidance_mark_foes(nm_guidance *g, const nm_denoise_input *in, nm_error *error) {
    const uint32_t states = g->config.encoding.states;
    for (uint32_t n = 0; n < g->view.count; n++) g->foe[n] = NM_NONE;
    for (uint32_t i = 0; g->config.adversarial > 0.0f && i < g->adversary_count; i++) {
        nm_guide_encounter *e = &g->encounters[i];
        const nm_status status = nm_guidance_find_encounter(g, in, &g->adversaries[i], e, error);
        if (status) return status;
        for (uint32_t n = e->first; n != NM_NONE; n = g->next[n]) {
            const uint32_t foe = find_token(g, in, e->what.scene, e->what.ego, in->time[n / states]);
            g->foe[n] = foe == NM_NONE ? NM_NONE : foe * states + n % states;
        }
    }
    return NM_OK;
}
