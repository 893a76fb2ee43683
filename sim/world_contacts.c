/// Who touches whom, and who will: boxes swept over the horizon, sorted, thinned out, and one exact sweep over the four
/// separating axes that gives overlap now and time to collision at once.
///
/// Broad phase: each agent's bounds over [now, now + horizon] at constant velocity, along and across the direction in
/// which most of the map's lanes run (so that on a straight road lanes are told apart by them). Two agents can only
/// meet when these overlap. They are sorted by (row, x), where rows are strips in y at least as high as any bounds, so
/// partners lie in the same row or in the next one, and in each within a window of x: contiguous in memory, compared
/// eight at a time. From step to step the order hardly changes, so an insertion sort keeps it in nearly linear time.
/// Rows only grow higher during a rollout (by powers of two), since another height would reorder everything.
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

NM_TARGET_CLONES
static void sweep_bounds(const nm_world *w, uint32_t count, float horizon) {
    const float *restrict x = w->x, *restrict y = w->y, *restrict vx = w->vx, *restrict vy = w->vy;
    const float *restrict c = w->cos_h, *restrict s = w->sin_h, *restrict length = w->length,
                          *restrict width = w->width;
    float *restrict x0 = w->low_x, *restrict x1 = w->high_x, *restrict y0 = w->low_y, *restrict y1 = w->high_y;
    const float ac = w->axis_cos, as = w->axis_sin;
    for (uint32_t i = 0; i < count; ++i) {
        const float px = x[i] * ac + y[i] * as, py = y[i] * ac - x[i] * as;
        const float mx = (vx[i] * ac + vy[i] * as) * horizon, my = (vy[i] * ac - vx[i] * as) * horizon;
        const float hc = fabsf(c[i] * ac + s[i] * as), hs = fabsf(s[i] * ac - c[i] * as);
        const float ex = 0.5f * (hc * length[i] + hs * width[i]) + 0.05f; // rounding never loses a touching pair
        const float ey = 0.5f * (hs * length[i] + hc * width[i]) + 0.05f;
        x0[i] = px - ex + nm_minf(mx, 0.0f);
        x1[i] = px + ex + nm_maxf(mx, 0.0f);
        y0[i] = py - ey + nm_minf(my, 0.0f);
        y1[i] = py + ey + nm_maxf(my, 0.0f);
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

/// Brings w->sweep up to date and copies the bounds in its order.
static void sort_bounds(nm_world *w) {
    float highest = NM_ROW_LEAST, widest = 0.0f;
    for (uint32_t i = 0; i < w->count; ++i) {
        highest = nm_maxf(highest, w->high_y[i] - w->low_y[i]);
        widest = nm_maxf(widest, w->high_x[i] - w->low_x[i]);
    }
    w->sweep_widest = widest;
    int shuffled = w->count > w->sweep_count + w->sweep_count / 4 + 16;
    for (; w->row_height < highest; w->row_height *= 2.0f) shuffled = 1;
    for (uint32_t slot = w->sweep_count; slot < w->count; ++slot) w->sweep[slot].slot = slot; // newcomers are last
    w->sweep_count = w->count;
    const float inverse = 1.0f / w->row_height;
    for (uint32_t k = 0; k < w->count; ++k) {
        nm_sweep_entry *entry = &w->sweep[k];
        const float row = w->low_y[entry->slot] * inverse; // within 1e6 m of the origin and rows of 8 m: fits
        entry->row = (int32_t)row - (row < 0.0f);
        entry->x = w->low_x[entry->slot];
    }
    sort_sweep(w->sweep, w->count, shuffled);
    for (uint32_t k = 0; k < w->count; ++k) {
        const uint32_t i = w->sweep[k].slot;
        w->sorted_x0[k] = w->low_x[i];
        w->sorted_x1[k] = w->high_x[i];
        w->sorted_y0[k] = w->low_y[i];
        w->sorted_y1[k] = w->high_y[i];
    }
}

/// flag[q] = 1 when the bounds of p and from + q overlap. Whole vectors of eight: what lies past `to` is computed and
/// not looked at.
NM_TARGET_CLONES
static void bounds_overlap(const nm_world *w, uint32_t p, uint32_t from, uint32_t to) {
    const float px0 = w->sorted_x0[p], px1 = w->sorted_x1[p], py0 = w->sorted_y0[p], py1 = w->sorted_y1[p];
    for (uint32_t base = from; base < to; base += 8) {
        const float *restrict x0 = w->sorted_x0 + base, *restrict x1 = w->sorted_x1 + base;
        const float *restrict y0 = w->sorted_y0 + base, *restrict y1 = w->sorted_y1 + base;
        uint8_t *restrict flag = w->flag + (base - from);
        for (uint32_t q = 0; q < 8; ++q)
            flag[q] = (uint8_t)((x0[q] <= px1) & (x1[q] >= px0) & (y0[q] <= py1) & (y1[q] >= py0));
    }
}

/// The circles around two agents meet within the horizon: cheap, and most pairs whose bounds overlap fail it.
static inline int circles_meet(const nm_world *w, uint32_t a, uint32_t b, float horizon) {
    const float dx = w->x[b] - w->x[a], dy = w->y[b] - w->y[a], dvx = w->vx[b] - w->vx[a], dvy = w->vy[b] - w->vy[a];
    const float speed2 = dvx * dvx + dvy * dvy, toward = -(dx * dvx + dy * dvy),
                r = w->radius[a] + w->radius[b] + 0.01f;
    const float gap2 = dx * dx + dy * dy - r * r;
    if (gap2 <= 0.0f) return 1;
    if (toward <= 0.0f) return 0;
    if (toward < speed2 * horizon) return gap2 * speed2 <= toward * toward;
    return gap2 - horizon * (2.0f * toward - horizon * speed2) <= 0.0f;
}

static uint32_t gather_pairs(nm_world *w, uint32_t p, uint32_t from, uint32_t to, float horizon, uint32_t count) {
    if (from >= to) return count;
    bounds_overlap(w, p, from, to);
    const uint32_t a = w->sweep[p].slot;
    memset(w->flag + (to - from), 0, 8);
    for (uint32_t q = 0; q < to - from; q += 8) {
        uint64_t eight;
        memcpy(&eight, w->flag + q, 8);
        for (; eight; eight &= eight - 1) { // little-endian: the lowest byte is the first
            const uint32_t b = w->sweep[from + q + (uint32_t)__builtin_ctzll(eight) / 8].slot;
            if (!circles_meet(w, a, b, horizon)) continue;
            if (count == w->pair_capacity) {
                w->pairs_dropped++;
                continue;
            }
            w->candidates[count++] = a < b ? (nm_pair){a, b} : (nm_pair){b, a};
        }
    }
    return count;
}

static uint32_t find_candidates(nm_world *w, float horizon) {
    sweep_bounds(w, w->count, horizon);
    sort_bounds(w);
    const uint32_t n = w->count;
    uint32_t count = 0, row_end = 0, next_from = 0, next_to = 0;
    for (uint32_t p = 0; p < n; ++p) {
        const int32_t row = w->sweep[p].row;
        const float high = w->sorted_x1[p];
        if (p == row_end) { // a new row begins here
            while (row_end < n && w->sweep[row_end].row == row) ++row_end;
            next_from = next_to = row_end;
        }
        uint32_t to = p + 1;
        while (to < row_end && w->sorted_x0[to] <= high) ++to;
        count = gather_pairs(w, p, p + 1, to, horizon, count);
        // the window in the next row moves along with p: its start with the lowest x that can reach p
        const float low = w->sorted_x0[p] - w->sweep_widest;
        while (next_from < n && w->sweep[next_from].row == row + 1 && w->sorted_x0[next_from] < low) ++next_from;
        next_to = next_from;
        while (next_to < n && w->sweep[next_to].row == row + 1 && w->sorted_x0[next_to] <= high) ++next_to;
        count = gather_pairs(w, p, next_from, next_to, horizon, count);
    }
    return count;
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

static int pair_before(nm_pair p, nm_pair q) {
    return p.a != q.a ? p.a < q.a : p.b < q.b;
}

/// Keeps contacts ordered by track; there are few.
static void add_contact(nm_world *w, uint32_t a, uint32_t b) {
    nm_pair pair = {w->track[a], w->track[b]};
    if (pair.a > pair.b) pair = (nm_pair){pair.b, pair.a};
    uint32_t at = w->contact_count++;
    for (; at > 0 && pair_before(pair, w->contacts[at - 1]); --at) {
        w->contacts[at] = w->contacts[at - 1];
    }
    w->contacts[at] = pair;
}

/// Collisions are contacts that began while both were there: touching since one of them entered is the scene's fault.
static void judge_contacts(nm_world *w) {
    uint32_t before = 0;
    for (uint32_t i = 0; i < w->contact_count; ++i) {
        const nm_pair pair = w->contacts[i];
        while (before < w->contact_before_count && pair_before(w->contacts_before[before], pair)) ++before;
        const int held = before < w->contact_before_count && !pair_before(pair, w->contacts_before[before]);
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
    const uint32_t count = find_candidates(w, horizon);
    for (uint32_t k = 0; k < count; ++k) {
        const uint32_t a = w->candidates[k].a, b = w->candidates[k].b;
        float enter, leave;
        if (!sweep_boxes(w, a, b, horizon, &enter, &leave) || (w->fixed[a] && w->fixed[b])) continue;
        if (horizon > 0.0f) note_ttc(w, a, b, nm_maxf(enter, 0.0f));
        if (enter < 0.0f && w->config.checks & NM_CHECK_COLLISION) add_contact(w, a, b);
    }
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
