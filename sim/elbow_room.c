/// Two vehicles abreast in one lane: recordings have them (lanes that the map does not know, wide lanes, queues), and
/// neither may pull to the middle while the other is there.
#include "sim/world_internal.h"

#define NM_SIDE_CLEARANCE 0.3f ///< m kept between boxes side by side
#define NM_END_CLEARANCE 1.0f  ///< m that boxes have to be apart lengthwise to be out of each other's way

float nm_world_elbow_room(const nm_world *w, uint32_t slot, float wanted) {
    const uint32_t lane = w->lane[slot], first = w->lane_first[lane], end = first + w->lane_agents[lane];
    const float s = w->lane_s[slot], d = w->lane_d[slot];
    if (fabsf(wanted - d) < 0.1f) return wanted; // it is where it wants to be: nothing to pull over to
    float low = -INFINITY, high = INFINITY;
    // outwards from its own place in the order, until nobody reaches it any more
    for (int step = -1; step <= 1; step += 2) {
        for (uint32_t p = w->order_position[slot] + (uint32_t)step; p >= first && p < end; p += (uint32_t)step) {
            const nm_order_entry *entry = &w->order[p];
            const uint32_t other = entry->slot & ~NM_GHOST;
            if (other == slot) continue;
            const float lengths = 0.5f * (w->length[slot] + w->length[other]);
            if (fabsf(entry->s - s) > lengths + NM_END_CLEARANCE) break;
            const float widths = 0.5f * (w->width[slot] + w->width[other]) + NM_SIDE_CLEARANCE;
            if (entry->d > d)
                high = nm_minf(high, entry->d - widths);
            else
                low = nm_maxf(low, entry->d + widths);
        }
    }
    if (low > high) return d;
    return nm_clampf(wanted, low, high);
}
