/// Two vehicles abreast in one lane: recordings have them (lanes that the map does not know, wide lanes, queues), and
/// neither may pull to the middle while the other is there. The same holds for who reaches into the lane from the one
/// beside, whichever way it drives, and for who will be abreast in a moment.
#include "sim/world_internal.h"

#define NM_SIDE_CLEARANCE 0.3f ///< m kept between boxes side by side
#define NM_SQUEEZE 0.2f        ///< m of it that are given up rather than go over the border of the lane
#define NM_KERB 0.1f           ///< m kept to that border
#define NM_END_CLEARANCE 1.0f  ///< m that boxes have to be apart lengthwise to be out of each other's way
#define NM_FORESIGHT 3.0f      ///< s until the boxes are abreast, from which on it is minded
#define NM_ONCOMING 10.0f      ///< m/s against the lane, for how far is looked

/// Is `slot` beside `entry`, `apart` m before or behind it, or will be within the foresight? Not if one is in the
/// other's way as things are: then that one follows.
static int abreast(const nm_world *w, uint32_t slot, const nm_order_entry *entry, float apart) {
    if (apart <= 0.0f) return 1;
    const uint32_t other = entry->slot & ~NM_GHOST;
    if (fabsf(entry->d - w->lane_d[slot]) < 0.5f * (w->width[slot] + w->width[other])) return 0;
    const float along = w->vx[other] * w->lane_cos[slot] + w->vy[other] * w->lane_sin[slot];
    return apart <= NM_END_CLEARANCE + NM_FORESIGHT * nm_maxf(w->speed[slot] - along, 0.0f);
}

float nm_world_elbow_room(const nm_world *w, uint32_t slot, float wanted) {
    const uint32_t lane = w->lane[slot], first = w->lane_first[lane], end = first + w->lane_agents[lane];
    const float s = w->lane_s[slot], d = w->lane_d[slot];
    uint32_t after = w->order_position[slot] + 1;
    if (w->order[after - 1].lane != lane) after = nm_world_order_after(w, lane, s); // changed lanes in this step
    const float ahead = NM_END_CLEARANCE + NM_FORESIGHT * (w->speed[slot] + NM_ONCOMING);
    const float side = 0.5f * w->width[slot] + NM_KERB;
    const float leftmost = w->lane_left[slot] - side, rightmost = side - w->lane_right[slot];
    float low = -INFINITY, high = INFINITY;
    // outwards from where it is in the order, until not even the longest vehicle would reach it any more
    for (int step = -1; step <= 1; step += 2) {
        const float within = step > 0 ? ahead : NM_END_CLEARANCE;
        for (uint32_t p = step > 0 ? after : after - 1; p >= first && p < end; p += (uint32_t)step) {
            const nm_order_entry *entry = &w->order[p];
            const uint32_t other = entry->slot & ~NM_GHOST;
            if (other == slot) continue;
            const float middles = fabsf(entry->s - s), apart = middles - 0.5f * (w->length[slot] + w->length[other]);
            if (middles - 0.5f * (w->length[slot] + w->longest) > within) break;
            if (apart > within || !abreast(w, slot, entry, apart)) continue;
            const float widths = 0.5f * (w->width[slot] + w->width[other]) + NM_SIDE_CLEARANCE;
            if (entry->d > d)
                high = nm_minf(high, nm_clampf(rightmost, entry->d - widths, entry->d - widths + NM_SQUEEZE));
            else
                low = nm_maxf(low, nm_clampf(leftmost, entry->d + widths - NM_SQUEEZE, entry->d + widths));
        }
    }
    if (low > high) return d;
    return nm_clampf(wanted, low, high);
}
