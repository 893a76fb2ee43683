/// MOBIL (Kesting, Treiber, Helbing 2007): change when the own gain, less politeness times what the new follower loses,
/// exceeds a threshold, and nobody has to brake harder than is safe. Each agent considers it once a second, at a time
/// of its own, so a step's cost is spread.
#include "sim/world_internal.h"

#define NM_CONSIDER_EVERY 10u ///< steps
#define NM_CHANGE_PAUSE 40u   ///< steps after a change
#define NM_SIGHT 60.0f        ///< m over the ends of a lane
#define NM_URGENT 200.0f      ///< m to the end of the lane from which on a change has to be made

typedef struct nm_gap {
    uint32_t lead, follower; ///< slots or NM_NONE
    float ahead, behind;     ///< m, bumper to bumper
} nm_gap;

/// The nearest before and behind (lane, s), those who changed into the lane in this very step (`changed`) included.
static nm_gap gap_at(const nm_world *w, uint32_t slot, uint32_t lane, float s, const uint32_t *changed,
                     uint32_t changed_count) {
    nm_gap gap = {NM_NONE, NM_NONE, INFINITY, INFINITY};
    for (uint32_t k = 0; k < changed_count; ++k) {
        const uint32_t other = changed[k];
        if (w->lane[other] != lane || other == slot) continue;
        const float apart = fabsf(w->lane_s[other] - s) - 0.5f * (w->length[slot] + w->length[other]);
        if (w->lane_s[other] >= s && apart < gap.ahead) gap.lead = other, gap.ahead = apart;
        if (w->lane_s[other] < s && apart < gap.behind) gap.follower = other, gap.behind = apart;
    }
    if (w->lane_agents[lane] == 0) return gap;
    const uint32_t first = w->lane_first[lane], end = first + w->lane_agents[lane];
    const uint32_t at = nm_world_order_after(w, lane, s);
    for (uint32_t p = at; p < end; ++p) {
        const uint32_t other = w->order[p].slot & ~NM_GHOST;
        if (other == slot) continue;
        const float ahead = w->order[p].s - s - 0.5f * (w->length[slot] + w->length[other]);
        if (ahead < gap.ahead) gap.lead = other, gap.ahead = ahead;
        break;
    }
    for (uint32_t p = at; p-- > first;) {
        const uint32_t other = w->order[p].slot & ~NM_GHOST;
        if (other == slot) continue;
        const float behind = s - w->order[p].s - 0.5f * (w->length[slot] + w->length[other]);
        if (behind < gap.behind) gap.follower = other, gap.behind = behind;
        break;
    }
    return gap;
}

/// Over the ends of the lane: the last ones on the lanes that lead to it, the first ones on those that it leads to.
static void look_beyond(const nm_world *w, uint32_t slot, uint32_t lane, float s, nm_gap *gap) {
    const nm_map *map = w->map;
    const nm_lane *l = &map->lanes[lane];
    const float half = 0.5f * w->length[slot];
    const int open_behind = gap->follower == NM_NONE && s < NM_SIGHT;
    const int open_ahead = gap->lead == NM_NONE && l->length - s < NM_SIGHT;
    for (uint32_t k = 0; open_behind && k < l->predecessors.count; ++k) {
        const uint32_t before = map->lane_refs[l->predecessors.first + k];
        if (w->lane_agents[before] == 0) continue;
        const nm_order_entry *last = &w->order[w->lane_first[before] + w->lane_agents[before] - 1];
        const uint32_t other = last->slot & ~NM_GHOST;
        const float behind = s + map->lanes[before].length - last->s - half - 0.5f * w->length[other];
        if (other != slot && behind < gap->behind) gap->follower = other, gap->behind = behind;
    }
    for (uint32_t k = 0; open_ahead && k < l->successors.count; ++k) {
        const uint32_t after = map->lane_refs[l->successors.first + k];
        if (w->lane_agents[after] == 0) continue;
        const nm_order_entry *first = &w->order[w->lane_first[after]];
        const uint32_t other = first->slot & ~NM_GHOST;
        const float ahead = l->length - s + first->s - half - 0.5f * w->length[other];
        if (other != slot && ahead < gap->ahead) gap->lead = other, gap->ahead = ahead;
    }
}

/// A change takes three seconds: there has to be room for it before the next junction, and the last one must lie
/// behind.
static int clear_of_junctions(const nm_world *w, uint32_t slot, const nm_lane *target, float s) {
    const nm_map *map = w->map;
    if (s < w->length[slot] + 5.0f)
        for (uint32_t k = 0; k < target->predecessors.count; ++k)
            if (map->lanes[map->lane_refs[target->predecessors.first + k]].flags & NM_LANE_JUNCTION) return 0;
    if (target->length - s > 10.0f + 3.0f * w->speed[slot]) return 1;
    for (uint32_t k = 0; k < target->successors.count; ++k)
        if (map->lanes[map->lane_refs[target->successors.first + k]].flags & NM_LANE_JUNCTION) return 0;
    return 1;
}

/// Gain of moving to (lane, s), or -INFINITY when it is not safe.
static float change_gain(const nm_world *w, uint32_t slot, nm_gap gap, int urgent) {
    const nm_idm_params *idm = w->config.idm;
    const float v = w->speed[slot];
    if (gap.ahead < 1.5f || gap.behind < 1.5f) return -INFINITY;
    const float safe = urgent ? -(idm->safe_brake + 1.0f) : -idm->safe_brake;
    const float lead_speed = gap.lead == NM_NONE ? 0.0f : nm_world_speed_along(w, slot, gap.lead);
    const float mine = nm_idm_acceleration(w, slot, v, gap.ahead, lead_speed);
    if (mine < safe) return -INFINITY;
    float others = 0.0f;
    if (gap.follower != NM_NONE) {
        const uint32_t f = gap.follower;
        const float loss = nm_idm_acceleration(w, f, w->speed[f], gap.behind, v);
        if (loss < safe) return -INFINITY;
        // and it must not be hit within three seconds if it does not react
        const float closing = w->speed[f] - v;
        if (closing > 0.0f && gap.behind < 3.0f * closing) return -INFINITY;
        others = nm_minf(loss - w->accel[f], 0.0f);
    }
    return mine - w->accel_command[slot] + idm->politeness * others;
}

static int consider(nm_world *w, uint32_t slot, const uint32_t *changed, uint32_t changed_count) {
    const nm_lane *lane = &w->map->lanes[w->lane[slot]];
    const int urgent = w->path_end[slot] == NM_LANE_MUST_CHANGE && nm_world_path_length(w, slot) < NM_URGENT;
    if (!urgent && (w->speed[slot] < 3.0f || lane->flags & NM_LANE_JUNCTION)) return 0;
    const nm_range sides[2] = {lane->left, lane->right};
    float best = urgent ? -4.0f : w->config.idm->change_gain;
    uint32_t best_lane = NM_NONE;
    float best_s = 0.0f;
    for (int side = 0; side < 2; ++side) {
        for (uint32_t k = 0; k < sides[side].count; ++k) {
            const nm_neighbour *n = &w->map->neighbours[sides[side].first + k];
            const float s = w->lane_s[slot];
            if (n->opposite || !n->may_change || s < n->self_start || s + 0.5f * w->speed[slot] > n->self_end) continue;
            const nm_lane *target = &w->map->lanes[n->lane];
            if (!(NM_LANE_MASK_VEHICLE >> target->type & 1u) || target->type == NM_LANE_SHOULDER) continue;
            if (w->lane_end[n->lane] == NM_LANE_MUST_CHANGE && !urgent) continue;
            const float span = nm_maxf(n->self_end - n->self_start, 0.1f);
            const float there = n->other_start + (s - n->self_start) / span * (n->other_end - n->other_start);
            if (!urgent && target->length - there < 3.0f * w->speed[slot] && target->successors.count == 0) continue;
            if (!urgent && !clear_of_junctions(w, slot, target, there)) continue;
            nm_gap gap = gap_at(w, slot, n->lane, there, changed, changed_count);
            look_beyond(w, slot, n->lane, there, &gap);
            const float gain = change_gain(w, slot, gap, urgent);
            if (gain <= best) continue;
            best = gain;
            best_lane = n->lane;
            best_s = there;
        }
    }
    if (best_lane == NM_NONE) return 0;
    nm_world_follow_lane(w, slot, best_lane, best_s, 0.0f);
    w->offset_target[slot] = w->lane_d[slot];
    w->change_after[slot] = w->step + NM_CHANGE_PAUSE;
    w->stats.lane_changes++;
    return 1;
}

void nm_policy_change_lanes(nm_world *w, const uint32_t *slots, uint32_t count) {
    if (!w->config.idm->lane_changes) return;
    uint32_t *changed = w->list, changed_count = 0;
    for (uint32_t k = 0; k < count; ++k) {
        const uint32_t slot = slots[k];
        if ((w->step + w->track[slot]) % NM_CONSIDER_EVERY != 0 || w->step < w->change_after[slot]) continue;
        if (w->lane[slot] == NM_NONE || w->type[slot] == NM_AGENT_CYCLIST) continue;
        if (fabsf(w->offset_target[slot]) > 0.6f) continue; // still at the last one
        if (consider(w, slot, changed, changed_count)) changed[changed_count++] = slot;
    }
}
