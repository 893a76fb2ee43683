/// Pedestrians: along sidewalks and crosswalks, waiting at the kerb until there is a gap; elsewhere straight on.
#include "sim/world_internal.h"

#define NM_WALK_SPEED 1.35f ///< m/s, where none was recorded (Bohannon 1997, comfortable pace of adults)
#define NM_KERB 0.6f        ///< m before the crosswalk to wait at

/// Would somebody who does not stop comfortably be on the crosswalk lane `lane` while this pedestrian crosses?
static int traffic_comes(const nm_world *w, uint32_t lane, float to_kerb, float pace) {
    const nm_lane *l = &w->map->lanes[lane];
    for (uint32_t k = 0; k < l->conflicts.count; ++k) {
        const nm_conflict *c = &w->map->conflicts[l->conflicts.first + k];
        const float in = (to_kerb + c->self_in) / pace, out = (to_kerb + c->self_out) / pace;
        for (uint32_t r = w->approach_head[c->lane]; r != NM_NONE; r = w->approaches[r].next) {
            const uint32_t other = w->approaches[r].slot;
            if (nm_is_walker(w->type[other])) continue;
            const float half = 0.5f * w->length[other], v = w->speed[other];
            const float distance = w->approaches[r].distance + c->other_in - half;
            const float past = w->approaches[r].distance + c->other_out + half;
            if (past < 0.0f || (v < 0.3f && distance > 0.5f)) continue; // gone, or it stands and waits
            const float arrives = nm_maxf(distance, 0.0f) / nm_maxf(v, 0.5f), gone = past / nm_maxf(v, 0.5f);
            const int yields = distance > 2.0f && v * v < 2.0f * 2.0f * (distance - 2.0f);
            if (!yields && arrives < out + 1.0f && gone > in - 1.0f) return 1;
        }
    }
    return 0;
}

static float walk_speed(const nm_world *w, uint32_t slot) {
    const float wanted = w->desired_cap[slot] < 3.0f ? w->desired_cap[slot] : NM_WALK_SPEED * w->desired_factor[slot];
    const uint32_t lane = w->lane[slot];
    if (lane == NM_NONE) return w->speed[slot] > 0.2f ? w->speed[slot] : 0.0f;
    if (w->path_count[slot] == 0) {
        const float left = w->map->lanes[lane].length - w->lane_s[slot];
        return left < 0.5f ? 0.0f : wanted;
    }
    const uint32_t next = w->path[(size_t)slot * NM_PATH_MAX];
    const float to_kerb = w->map->lanes[lane].length - w->lane_s[slot];
    if (w->map->lanes[next].type == NM_LANE_CROSSWALK && w->map->lanes[lane].type != NM_LANE_CROSSWALK &&
        to_kerb < NM_KERB + 1.5f && traffic_comes(w, next, to_kerb, wanted))
        return to_kerb < NM_KERB ? 0.0f : 0.5f * wanted;
    return wanted;
}

void nm_policy_walk_act(nm_world *w, const uint32_t *slots, uint32_t count) {
    for (uint32_t k = 0; k < count; ++k) {
        const uint32_t slot = slots[k];
        const int crashed = (w->events[w->track[slot]] & NM_AGENT_COLLIDED) != 0;
        float wanted = crashed ? 0.0f : walk_speed(w, slot);
        if (w->brake_ttc[slot] < 1.0f) wanted = 0.0f; // does not walk into things
        w->accel_command[slot] = (wanted - w->speed[slot]) / 0.5f;
        if (w->lane[slot] == NM_NONE) {
            w->curvature_command[slot] = 0.0f;
            continue;
        }
        const float look = 1.5f;
        const float offset = w->lane_d[slot] - w->offset_target[slot]; // keeps its side of the pavement
        const float slip = w->sin_h[slot] * w->lane_cos[slot] - w->cos_h[slot] * w->lane_sin[slot];
        w->curvature_command[slot] = w->lane_curvature[slot] - 2.0f * offset / (look * look) - 2.0f * slip / look;
    }
}
