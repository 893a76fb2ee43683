/// Who touches whom, and who will: boxes swept over the horizon, sorted, thinned out, and one exact sweep over the four
/// separating axes that gives overlap now and time to collision at once.
///
/// Broad phase: two agents can only meet within the horizon when, along each of two fixed axes, their relative motion
/// brings their extents together. The axes are along and across the direction in which most of the map's lanes run, so
/// that on a straight road lanes are told apart by them. Agents are sorted by (row, x), rows being strips across, high
/// enough that partners lie in the same row or the next one. Within a row all that counts is how much speeds differ
/// from the row's mean: who drives with the others looks a few metres ahead, not the hundred it covers. Windows are
/// contiguous in memory and are compared eight at a time. From step to step the order hardly changes, so an insertion
/// sort keeps it in nearly linear time; rows only grow higher during a rollout (by powers of two), since another height
/// would reorder everything.
#include "sim/world_internal.h"

#include <string.h>

#define NM_ROW_LEAST 8.0f ///< m

/// The direction with the most lane metres, as an axis: angles doubled, so that both ways along a road count as one.
void nm_world_choose_axis(nm_world *w) {
    float sum_c = 0.0f, sum_s = 0.0f;
    for (uint32_t l = 0; l < w->map->lane_count; ++l) {
        const nm_lane *lane = &w->map->lanes[l];
        for (uint32_t k = 0; k < lane->rail.count; ++k) {
            const nm_rail_point *p = &w->map->rail[lane->rail.first + k];
            sum_c += (p->cos_h * p->cos_h - p->sin_h * p->sin_h) * lane->rail_step;
            sum_s += 2.0f * p->cos_h * p->sin_h * lane->rail_step;
        }
    }
    nm_sincosf(0.5f * nm_atan2f(sum_s, sum_c), &w->axis_sin, &w->axis_cos);
}

/// Positions, velocities and half extents along the axes.
NM_TARGET_CLONES
static void project_on_axes(const nm_world *w, uint32_t count) {
    const float *restrict x = w->x, *restrict y = w->y, *restrict vx = w->vx, *restrict vy = w->vy;
    const float *restrict c = w->cos_h, *restrict s = w->sin_h, *restrict length = w->length,
                          *restrict width = w->width;
    float *restrict to_x = w->along, *restrict to_y = w->across, *restrict to_vx = w->along_v;
    float *restrict to_vy = w->across_v, *restrict to_ex = w->along_half, *restrict to_ey = w->across_half;
    const float ac = w->axis_cos, as = w->axis_sin;
    NM_INDEPENDENT
    for (uint32_t i = 0; i < count; ++i) {
        const float hc = fabsf(c[i] * ac + s[i] * as), hs = fabsf(s[i] * ac - c[i] * as);
        to_x[i] = x[i] * ac + y[i] * as;
        to_y[i] = y[i] * ac - x[i] * as;
        to_vx[i] = vx[i] * ac + vy[i] * as;
        to_vy[i] = vy[i] * ac - vx[i] * as;
        to_ex[i] = 0.5f * (hc * length[i] + hs * width[i]) + 0.03f; // rounding never loses a touching pair
        to_ey[i] = 0.5f * (hs * length[i] + hc * width[i]) + 0.03f;
    }
}

static inline int sweep_before(const nm_sweep_entry *a, const nm_sweep_entry *b) {
    if (a->row != b->row) return a->row < b->row;
    if (a->x != b->x) return a->x < b->x;
    return a->slot < b->slot;
}

/// Insertion sort; for an order that is known to be bad, gaps first (Shell).
static void sort_sweep(nm_sweep_entry *order, uint32_t count, int shuffled) {
    for (uint32_t gap = shuffled ? count / 2 : 1; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < count; ++i) {
            if (!sweep_before(&order[i], &order[i - gap])) continue;
            const nm_sweep_entry entry = order[i];
            uint32_t j = i;
            for (; j >= gap && sweep_before(&entry, &order[j - gap]); j -= gap) order[j] = order[j - gap];
            order[j] = entry;
        }
    }
}

/// Brings w->sweep up to date and copies what the pair loop reads in its order.
static void sort_agents(nm_world *w, float horizon) {
    float mean = 0.0f, highest = 0.5f * NM_ROW_LEAST;
    for (uint32_t i = 0; i < w->count; ++i) mean += w->across_v[i];
    mean /= (float)w->count;
    for (uint32_t i = 0; i < w->count; ++i)
        highest = nm_maxf(highest, w->across_half[i] + fabsf(w->across_v[i] - mean) * horizon);
    int shuffled = w->count > w->sweep_count + w->sweep_count / 4 + 16;
    for (; w->row_height < 2.0f * highest; w->row_height *= 2.0f) shuffled = 1;
    for (uint32_t slot = w->sweep_count; slot < w->count; ++slot) w->sweep[slot].slot = slot; // newcomers are last
    w->sweep_count = w->count;
    const float inverse = 1.0f / w->row_height;
    for (uint32_t k = 0; k < w->count; ++k) {
        nm_sweep_entry *entry = &w->sweep[k];
        const float row = w->across[entry->slot] * inverse; // within 1e6 m of the origin and rows of 8 m: fits
        entry->row = (int32_t)row - (row < 0.0f);
        entry->x = w->along[entry->slot];
    }
    sort_sweep(w->sweep, w->count, shuffled);
    for (uint32_t k = 0; k < w->count; ++k) {
        const uint32_t i = w->sweep[k].slot;
        w->sorted_x[k] = w->along[i];
        w->sorted_y[k] = w->across[i];
        w->sorted_vx[k] = w->along_v[i];
        w->sorted_vy[k] = w->across_v[i];
        w->sorted_ex[k] = w->along_half[i];
        w->sorted_ey[k] = w->across_half[i];
    }
}

/// One axis of the sweep: when the projections start and stop to overlap. `p` separation, `v` its rate, `r` half
/// extents.
static inline void sweep_axis(float p, float v, float r, float *enter, float *leave) {
    const float rate = fabsf(v) < 1e-6f ? 1e-6f : v; // so slow that it decides nothing within any horizon
    const float inverse = 1.0f / rate;
    const float t0 = (-r - p) * inverse, t1 = (r - p) * inverse;
    *enter = nm_maxf(*enter, nm_minf(t0, t1));
    *leave = nm_minf(*leave, nm_maxf(t0, t1));
}

/// The two boxes overlap at t (constant velocities and headings) when *enter < t < *leave. Returns 0 as soon as an axis
/// shows that they do not within [0, horizon]: across a's lane first, where most neighbours are told apart.
static inline int sweep_boxes(const nm_world *w, uint32_t a, uint32_t b, float horizon, float *enter, float *leave) {
    const float dx = w->x[b] - w->x[a], dy = w->y[b] - w->y[a];
    const float dvx = w->vx[b] - w->vx[a], dvy = w->vy[b] - w->vy[a];
    const float ca = w->cos_h[a], sa = w->sin_h[a], cb = w->cos_h[b], sb = w->sin_h[b];
    const float la = 0.5f * w->length[a], wa = 0.5f * w->width[a], lb = 0.5f * w->length[b], wb = 0.5f * w->width[b];
    const float c = fabsf(ca * cb + sa * sb), s = fabsf(ca * sb - sa * cb); // of the angle between
    *enter = -1e30f;
    *leave = 1e30f;
#define NM_APART (!(*enter < *leave) || *leave <= 0.0f || *enter > horizon)
    sweep_axis(dy * ca - dx * sa, dvy * ca - dvx * sa, wa + lb * s + wb * c, enter, leave);
    if (NM_APART) return 0;
    sweep_axis(dx * ca + dy * sa, dvx * ca + dvy * sa, la + lb * c + wb * s, enter, leave);
    if (NM_APART) return 0;
    sweep_axis(dy * cb - dx * sb, dvy * cb - dvx * sb, wb + la * s + wa * c, enter, leave);
    if (NM_APART) return 0;
    sweep_axis(dx * cb + dy * sb, dvx * cb + dvy * sb, lb + la * c + wa * s, enter, leave);
    return !NM_APART;
#undef NM_APART
}

static void note_ttc(nm_world *w, uint32_t a, uint32_t b, float ttc) {
    if (ttc < w->ttc[a] || (ttc == w->ttc[a] && b < w->ttc_with[a])) w->ttc[a] = ttc, w->ttc_with[a] = b;
    if (ttc < w->ttc[b] || (ttc == w->ttc[b] && a < w->ttc_with[b])) w->ttc[b] = ttc, w->ttc_with[b] = a;
    // who has the other in front of the bumper can still brake for it
    const float dx = w->x[b] - w->x[a], dy = w->y[b] - w->y[a];
    if (dx * w->cos_h[a] + dy * w->sin_h[a] > 0.3f * w->length[a]) w->brake_ttc[a] = nm_minf(w->brake_ttc[a], ttc);
    if (dx * w->cos_h[b] + dy * w->sin_h[b] < -0.3f * w->length[b]) w->brake_ttc[b] = nm_minf(w->brake_ttc[b], ttc);
}

static void examine_pair(nm_world *w, uint32_t a, uint32_t b, float horizon) {
    float enter, leave;
    if (!sweep_boxes(w, a, b, horizon, &enter, &leave) || (w->fixed[a] && w->fixed[b])) return;
    if (horizon > 0.0f) note_ttc(w, a, b, nm_maxf(enter, 0.0f));
    if (enter >= 0.0f || !(w->config.checks & NM_CHECK_COLLISION)) return;
    if (w->contact_count == w->contact_capacity) {
        w->stats.contacts_dropped++;
        return;
    }
    const uint32_t first = w->track[a], second = w->track[b];
    w->contacts[w->contact_count++] = first < second ? (nm_pair){first, second} : (nm_pair){second, first};
}

/// Compares agent p (in sorted order) with the window [from, to), eight at a time; what lies past `to` is masked.
static inline __attribute__((always_inline)) void compare_window(nm_world *w, uint32_t p, uint32_t from, uint32_t to,
                                                                 float horizon) {
    const float px = w->sorted_x[p], py = w->sorted_y[p], pvx = w->sorted_vx[p], pvy = w->sorted_vy[p];
    const float pex = w->sorted_ex[p], pey = w->sorted_ey[p];
    for (uint32_t base = from; base < to; base += 8) {
        const float *restrict x = w->sorted_x + base, *restrict y = w->sorted_y + base;
        const float *restrict vx = w->sorted_vx + base, *restrict vy = w->sorted_vy + base;
        const float *restrict ex = w->sorted_ex + base, *restrict ey = w->sorted_ey + base;
        uint32_t near[8];
        for (uint32_t q = 0; q < 8; ++q) {
            const float dx = x[q] - px, dy = y[q] - py;
            const float mx = (vx[q] - pvx) * horizon, my = (vy[q] - pvy) * horizon;
            const float rx = ex[q] + pex, ry = ey[q] + pey;
            const uint32_t left = dx + nm_minf(mx, 0.0f) <= rx, right = dx + nm_maxf(mx, 0.0f) >= -rx;
            const uint32_t below = dy + nm_minf(my, 0.0f) <= ry, above = dy + nm_maxf(my, 0.0f) >= -ry;
            near[q] = left & right & below & above; // without branches: all eight at once
        }
        uint64_t pairs[4];
        memcpy(pairs, near, sizeof pairs);
        if (!(pairs[0] | pairs[1] | pairs[2] | pairs[3])) continue;
        const uint32_t count = to - base < 8 ? to - base : 8;
        for (uint32_t q = 0; q < count; ++q)
            if (near[q]) examine_pair(w, w->sweep[p].slot, w->sweep[base + q].slot, horizon);
    }
}

/// One row of the sorted agents: its range, mean speed along, and how far anybody strays from it within the horizon.
typedef struct nm_row {
    uint32_t first, end;
    int32_t index;
    float mean, stray;
} nm_row;

static nm_row read_row(const nm_world *w, uint32_t first, float horizon) {
    nm_row row = {first, first, 0, 0.0f, 0.0f};
    if (first == w->count) return row;
    row.index = w->sweep[first].row;
    for (; row.end < w->count && w->sweep[row.end].row == row.index; ++row.end) row.mean += w->sorted_vx[row.end];
    row.mean /= (float)(row.end - row.first);
    for (uint32_t k = row.first; k < row.end; ++k)
        row.stray = nm_maxf(row.stray, w->sorted_ex[k] + fabsf(w->sorted_vx[k] - row.mean) * horizon);
    return row;
}

NM_TARGET_CLONES
static void compare_all(nm_world *w, float horizon) {
    nm_row row = read_row(w, 0, horizon);
    while (row.first < w->count) {
        const nm_row next = read_row(w, row.end, horizon);
        const int adjacent = next.first < next.end && next.index == row.index + 1;
        const float reach = 2.0f * row.stray;
        const float reach_next = row.stray + next.stray + fabsf(row.mean - next.mean) * horizon;
        uint32_t to = row.first, next_from = next.first, next_to = next.first;
        for (uint32_t p = row.first; p < row.end; ++p) {
            const float x = w->sorted_x[p];
            while (to < row.end && w->sorted_x[to] <= x + reach) ++to;
            compare_window(w, p, p + 1, to, horizon);
            if (!adjacent) continue;
            while (next_from < next.end && w->sorted_x[next_from] < x - reach_next) ++next_from;
            while (next_to < next.end && w->sorted_x[next_to] <= x + reach_next) ++next_to;
            compare_window(w, p, next_from, next_to, horizon);
        }
        row = next;
    }
}

/// By track; there are few, and mostly the same as a step ago.
static void sort_contacts(nm_world *w) {
    for (uint32_t gap = w->contact_count > 64 ? w->contact_count / 2 : 1; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < w->contact_count; ++i) {
            const nm_pair pair = w->contacts[i];
            uint32_t j = i;
            for (; j >= gap && nm_pair_before(pair, w->contacts[j - gap]); j -= gap)
                w->contacts[j] = w->contacts[j - gap];
            w->contacts[j] = pair;
        }
    }
}

/// Collisions are contacts that began while both were there: touching since one of them entered is the scene's fault.
static void judge_contacts(nm_world *w) {
    uint32_t before = 0;
    for (uint32_t i = 0; i < w->contact_count; ++i) {
        const nm_pair pair = w->contacts[i];
        while (before < w->contact_before_count && nm_pair_before(w->contacts_before[before], pair)) ++before;
        const int held = before < w->contact_before_count && !nm_pair_before(pair, w->contacts_before[before]);
        const uint32_t a = w->slot_of[pair.a], b = w->slot_of[pair.b];
        const int entered = w->entered_step[a] == w->step || w->entered_step[b] == w->step;
        w->contact_since_entry[i] = (uint8_t)(held ? w->contact_before_since_entry[before] : entered);
        const uint32_t event = w->contact_since_entry[i] ? NM_AGENT_STARTED_IN_CONTACT : NM_AGENT_COLLIDED;
        nm_world_note_event(w, a, event);
        nm_world_note_event(w, b, event);
        if (event == NM_AGENT_COLLIDED && w->stats.first_collision_step == NM_NONE)
            w->stats.first_collision_step = w->step;
    }
}

void nm_world_find_contacts(nm_world *w) {
    nm_pair *pairs = w->contacts_before;
    uint8_t *since = w->contact_before_since_entry;
    w->contacts_before = w->contacts;
    w->contact_before_since_entry = w->contact_since_entry;
    w->contact_before_count = w->contact_count;
    w->contacts = pairs;
    w->contact_since_entry = since;
    w->contact_count = 0;
    for (uint32_t i = 0; i < w->count; ++i) {
        w->ttc[i] = w->brake_ttc[i] = INFINITY;
        w->ttc_with[i] = NM_NONE;
    }
    if (w->count < 2 || !(w->config.checks & (NM_CHECK_COLLISION | NM_CHECK_TTC))) return;
    const float horizon = w->config.checks & NM_CHECK_TTC ? w->config.ttc_horizon : 0.0f;
    project_on_axes(w, w->count);
    sort_agents(w, horizon);
    compare_all(w, horizon);
    sort_contacts(w);
    judge_contacts(w);
}

static int drives(uint8_t type) {
    return type != NM_AGENT_PEDESTRIAN && type != NM_AGENT_OBSTACLE;
}

/// Against the lane it is on, and no other lane there runs its way.
static int against_traffic(const nm_world *w, uint32_t i) {
    if (w->lane[i] == NM_NONE || w->speed[i] < 1.0f) return 0;
    if (w->lane_cos[i] * w->cos_h[i] + w->lane_sin[i] * w->sin_h[i] >= 0.0f) return 0;
    nm_frenet here[8];
    const size_t found = nm_map_lanes_at(w->map, w->x[i], w->y[i], here, 8);
    int on_lane = 0;
    for (size_t k = 0; k < found && k < 8; ++k) {
        const nm_lane *lane = &w->map->lanes[here[k].lane];
        if (!nm_lane_type_drivable((nm_lane_type)lane->type) || lane->flags & NM_LANE_BIDIRECTIONAL) continue;
        float s, c;
        nm_sincosf(here[k].heading, &s, &c);
        if (c * w->cos_h[i] + s * w->sin_h[i] > 0.0f) return 0;
        on_lane = 1;
    }
    return on_lane;
}

void nm_world_check_road(nm_world *w) {
    const unsigned checks = w->config.checks;
    if (checks & NM_CHECK_OFF_ROAD)
        nm_map_boxes_off_road(w->map, w->x, w->y, w->cos_h, w->sin_h, w->length, w->width, w->config.off_road_margin,
                              w->count, w->off_road);
    for (uint32_t i = 0; i < w->count; ++i) {
        if (!drives(w->type[i]) || w->fixed[i]) {
            w->off_road[i] = w->wrong_way[i] = 0;
            continue;
        }
        if (!w->off_road[i])
            w->was_on_road[i] = 1;
        else if (w->was_on_road[i])
            nm_world_note_event(w, i, NM_AGENT_WENT_OFF_ROAD);
        else if (w->entered_step[i] == w->step)
            nm_world_note_event(w, i, NM_AGENT_STARTED_OFF_ROAD);
        if (!(checks & NM_CHECK_WRONG_WAY)) continue;
        w->wrong_way[i] = (uint8_t)against_traffic(w, i);
        if (w->wrong_way[i]) nm_world_note_event(w, i, NM_AGENT_WENT_WRONG_WAY);
    }
}
