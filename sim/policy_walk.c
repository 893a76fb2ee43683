/// Pedestrians: along sidewalks and crosswalks in either direction, around one another, waiting at the kerb until there
/// is a gap; elsewhere straight on.
///
/// Each walker has a velocity it wants in the frame of its way: its pace along, and sideways what brings it back to its
/// side of the pavement. Whoever it would touch within three seconds pushes that velocity aside, away from where the
/// other will be, to the right when they meet head on; whoever is near also caps the speed at which it comes closer.
#include "sim/world_internal.h"

#define NM_WALK_SPEED 1.35f ///< m/s, where none was recorded (Bohannon 1997, comfortable pace of adults)
#define NM_KERB 0.6f        ///< m before the crosswalk to wait at
#define NM_EVADE_SECONDS 3.0f
#define NM_EVADE_MOST 0.8f   ///< m/s sideways
#define NM_ELBOW 0.15f       ///< m kept beside others
#define NM_STAND_OFF 0.45f   ///< m kept before others: enough to turn aside
#define NM_SHUFFLE 0.04f     ///< m/s
#define NM_NEAR 7.0f         ///< m, centre to centre
#define NM_WALKER_ROOM 0.45f ///< m left between walkers who stop for each other
#define NM_TURN_SECONDS 0.3f
#define NM_CREEP 0.15f ///< m/s: nobody turns without a step

static int walkable(const nm_map *map, uint32_t lane) {
    return map->lanes[lane].type == NM_LANE_SIDEWALK || map->lanes[lane].type == NM_LANE_CROSSWALK;
}

uint32_t nm_walk_back_lane(const nm_world *w, uint32_t slot) {
    const nm_lane *lane = &w->map->lanes[w->lane[slot]];
    uint32_t choices[8], count = 0;
    for (uint32_t k = 0; k < lane->predecessors.count && count < 8; ++k) {
        const uint32_t before = w->map->lane_refs[lane->predecessors.first + k];
        if (walkable(w->map, before)) choices[count++] = before;
    }
    if (count == 0) return NM_NONE;
    // drawn for (seed, walker, lane) alone, as the way forward is
    const nm_rng_key key = {w->config.seed, w->scene_key, w->track[slot], 0, NM_PURPOSE_ROUTE};
    const uint32_t draw = (uint32_t)(nm_rng_uniform(&key, w->lane[slot]) * (float)count);
    return choices[draw < count ? draw : count - 1];
}

/// Which way a walker goes is settled where it enters or comes back to a walkway, and kept around its corners.
static void settle_way(nm_world *w, uint32_t slot) {
    if (w->entered_step[slot] == w->step || w->lane[slot] == NM_NONE) w->walk_way[slot] = NM_WALK_UNDECIDED;
    if (w->lane[slot] == NM_NONE) return;
    const float along = w->cos_h[slot] * w->lane_cos[slot] + w->sin_h[slot] * w->lane_sin[slot];
    if (w->walk_way[slot] == NM_WALK_UNDECIDED) w->walk_way[slot] = along < 0.0f ? NM_WALK_BACK : NM_WALK_ALONG;
    if (w->walk_way[slot] != NM_WALK_BACK || w->lane_s[slot] >= 0.0f) return;
    const uint32_t before = nm_walk_back_lane(w, slot);
    if (before == NM_NONE) return;
    nm_world_follow_lane(w, slot, before, w->map->lanes[before].length + w->lane_s[slot], w->lane_d[slot]);
}

/// Would somebody who does not stop comfortably be on the crosswalk lane `lane` while this pedestrian crosses?
static int traffic_comes(const nm_world *w, uint32_t lane, int back, float to_kerb, float pace) {
    const nm_lane *l = &w->map->lanes[lane];
    for (uint32_t k = 0; k < l->conflicts.count; ++k) {
        const nm_conflict *c = &w->map->conflicts[l->conflicts.first + k];
        const float from = back ? l->length - c->self_out : c->self_in,
                    to = back ? l->length - c->self_in : c->self_out;
        const float in = (to_kerb + from) / pace, out = (to_kerb + to) / pace;
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
    const int back = w->walk_way[slot] == NM_WALK_BACK;
    const float to_kerb = back ? w->lane_s[slot] : w->map->lanes[lane].length - w->lane_s[slot];
    uint32_t next = w->path_count[slot] ? w->path[(size_t)slot * NM_PATH_MAX] : NM_NONE;
    if (back) next = nm_walk_back_lane(w, slot);
    if (next == NM_NONE) return to_kerb < 0.5f ? 0.0f : wanted;
    if (w->map->lanes[next].type == NM_LANE_CROSSWALK && w->map->lanes[lane].type != NM_LANE_CROSSWALK &&
        to_kerb < NM_KERB + 1.5f && traffic_comes(w, next, back, to_kerb, wanted))
        return to_kerb < NM_KERB ? 0.0f : 0.5f * wanted;
    return wanted;
}

/// What `other` does to the velocity of walker `slot`: a push aside, and a cap on the speed it has now.
static void make_way(const nm_world *w, uint32_t slot, uint32_t other, float *aside, float *most) {
    const float c = w->cos_h[slot], s = w->sin_h[slot];
    const float dx = w->x[other] - w->x[slot], dy = w->y[other] - w->y[slot];
    const float ahead = dx * c + dy * s, left = dy * c - dx * s;
    const float turn_c = fabsf(c * w->cos_h[other] + s * w->sin_h[other]);
    const float turn_s = fabsf(c * w->sin_h[other] - s * w->cos_h[other]);
    const float deep = 0.5f * (w->length[slot] + w->length[other] * turn_c + w->width[other] * turn_s);
    const float wide = 0.5f * (w->width[slot] + w->length[other] * turn_s + w->width[other] * turn_c) + NM_ELBOW;
    if (ahead < -deep) return;
    const float along = w->vx[other] * c + w->vy[other] * s, across = w->vy[other] * c - w->vx[other] * s;
    const float gap = ahead - deep - NM_STAND_OFF, closing = w->speed[slot] - along;
    const float distance = sqrtf(dx * dx + dy * dy);
    if (nm_is_walker(w->type[other])) {
        // Nobody comes closer than both could turn on the spot: of what brings them together each takes its own part.
        // Falls off with the distance that is left, so braking never has to be harder than a walker's.
        const float toward = ahead / nm_maxf(distance, 0.1f);
        const float apart = distance - w->radius[slot] - w->radius[other];
        // One of the two dares more, and may turn on the spot as long as the boxes keep clear: no stand-off lasts. The
        // circles around the boxes may overlap by 0.14 m before two that face each other touch.
        const int dares = w->track[slot] < w->track[other];
        const float room = apart - (dares ? 0.5f : 1.0f) * NM_WALKER_ROOM;
        const float least = apart > (dares ? 0.01f : 0.03f) ? NM_SHUFFLE : 0.0f;
        if (toward > 0.02f) *most = nm_minf(*most, nm_maxf(nm_maxf(along, 0.0f) + 1.2f * room / toward, least));
    } else if (ahead > 0.0f && fabsf(left) < wide && gap < 1.0f) {
        *most = nm_minf(*most, nm_maxf(gap, 0.0f)); // a vehicle in front
    }
    if (gap > 0.0f && gap > closing * NM_EVADE_SECONDS) return;
    const float when = gap > 0.0f ? gap / closing : 0.0f, there = left + across * when;
    const float overlap = wide - fabsf(there);
    if (overlap <= 0.0f) return;
    const float side = there < -0.1f ? 1.0f : -1.0f; // to the right when in doubt: so does the other
    *aside += side * nm_minf(overlap / nm_maxf(when, 0.5f), NM_EVADE_MOST);
}

/// Everybody near a walker, found in the order of the broad phase (see world_contacts.c): in the same row or the next
/// one, within a window. Those that it will touch do not suffice: who turns a corner meets those it walked beside.
static void meet_near(const nm_world *w, float *aside, float *most) {
    const uint32_t n = w->sweep_count;
    uint32_t row_end = 0, next = 0;
    for (uint32_t p = 0; p < n; ++p) {
        const nm_sweep_entry *entry = &w->sweep[p];
        if (p == row_end) {
            while (row_end < n && w->sweep[row_end].row == entry->row) ++row_end;
            next = row_end;
        }
        while (next < n && w->sweep[next].row == entry->row + 1 && w->sweep[next].x < entry->x - NM_NEAR) ++next;
        const uint32_t a = entry->slot;
        const int walks = nm_is_walker(w->type[a]);
        uint32_t q = p + 1;
        for (int32_t row = 0; row < 2; ++row, q = next) {
            for (; q < n && w->sweep[q].row == entry->row + row && w->sweep[q].x < entry->x + NM_NEAR; ++q) {
                const uint32_t b = w->sweep[q].slot;
                if (!walks && !nm_is_walker(w->type[b])) continue;
                const float dx = w->x[b] - w->x[a], dy = w->y[b] - w->y[a];
                if (dx * dx + dy * dy > NM_NEAR * NM_NEAR) continue;
                if (walks) make_way(w, a, b, &aside[a], &most[a]);
                if (nm_is_walker(w->type[b])) make_way(w, b, a, &aside[b], &most[b]);
            }
        }
    }
}

/// Heading and pace for the velocity (along, aside) in the frame of the walker's way.
static void walk(nm_world *w, uint32_t slot, float along, float aside, float most) {
    const float way = w->walk_way[slot] == NM_WALK_BACK ? -1.0f : 1.0f;
    const float tc = way * w->lane_cos[slot], ts = way * w->lane_sin[slot];
    const float vx = along * tc - aside * ts, vy = along * ts + aside * tc;
    const float pace = nm_hypotf(vx, vy);
    if (pace < 0.05f) {
        w->accel_command[slot] = -w->speed[slot] / 0.2f;
        w->curvature_command[slot] = 0.0f;
        return;
    }
    const float c = w->cos_h[slot], s = w->sin_h[slot];
    const float cosine = (vx * c + vy * s) / pace, sine = (vy * c - vx * s) / pace;
    const float error = cosine > 0.0f ? sine : sine < 0.0f ? -1.5f : 1.5f;
    const float wanted = nm_minf(nm_maxf(pace * cosine, NM_CREEP), most);
    w->accel_command[slot] = (wanted - w->speed[slot]) / (wanted < w->speed[slot] ? 0.1f : 0.3f);
    w->curvature_command[slot] = error / (NM_TURN_SECONDS * nm_maxf(w->speed[slot], NM_SHUFFLE));
}

void nm_policy_walk_act(nm_world *w, const uint32_t *slots, uint32_t count) {
    if (count == 0) return;
    float *aside = w->along, *most = w->across, *pace = w->along_v; // scratch of the contacts, free here
    for (uint32_t k = 0; k < count; ++k) {
        const uint32_t slot = slots[k];
        settle_way(w, slot);
        aside[slot] = 0.0f;
        most[slot] = INFINITY;
        pace[slot] = walk_speed(w, slot);
    }
    if (w->config.checks & (NM_CHECK_COLLISION | NM_CHECK_TTC)) meet_near(w, aside, most);
    for (uint32_t k = 0; k < count; ++k) {
        const uint32_t slot = slots[k];
        const int crashed = (w->events[w->track[slot]] & NM_AGENT_COLLIDED) != 0;
        if (crashed || w->lane[slot] == NM_NONE) {
            w->accel_command[slot] = ((crashed ? 0.0f : nm_minf(pace[slot], most[slot])) - w->speed[slot]) / 0.3f;
            w->curvature_command[slot] = crashed ? 0.0f : -nm_clampf(-aside[slot], -1.0f, 1.0f);
            continue;
        }
        const float way = w->walk_way[slot] == NM_WALK_BACK ? -1.0f : 1.0f;
        const float room = 0.5f * w->width[slot] + 0.05f, d = w->lane_d[slot];
        const float low = nm_minf(room - w->lane_right[slot], 0.0f), high = nm_maxf(w->lane_left[slot] - room, 0.0f);
        // its own side of the pavement, unless somebody is in the way; never off the pavement
        const float back = nm_clampf(w->offset_target[slot], low, high) - d;
        const float push = nm_clampf(aside[slot], -NM_EVADE_MOST, NM_EVADE_MOST) * way;
        const float drift = push != 0.0f ? push : nm_clampf(back, -0.5f, 0.5f);
        const float sideways = nm_clampf(drift, (low - d) / 0.5f, nm_maxf((high - d) / 0.5f, (low - d) / 0.5f));
        // held up, it turns further aside
        walk(w, slot, nm_minf(pace[slot], most[slot] + 0.1f), sideways * way, most[slot]);
    }
}
