/// Who touches whom, and who will: boxes swept over the horizon, sorted, thinned out, and one exact sweep over the four
/// separating axes that gives overlap now and time to collision at once.
///
/// Broad phase: two agents can only meet within the horizon when, along each of two fixed axes, their relative motion
/// brings their extents together. The axes are along and across the direction in which most of the map's lanes run, so
/// that on a straight road lanes are told apart by them. Agents are sorted by (row, x), rows being strips across, high
/// enough that partners lie in the same row or the next one. How far an agent has to look along its row is a matter of
/// how speeds differ there: who drives with the others looks a few metres ahead, not the hundred it covers. Windows are
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

/// Shell sort, for an order that is known to be bad.
static void sort_anew(nm_sweep_entry *order, uint32_t count) {
    for (uint32_t gap = count / 2; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < count; ++i) {
            const nm_sweep_entry entry = order[i];
            uint32_t j = i;
            for (; j >= gap && sweep_before(&entry, &order[j - gap]); j -= gap) order[j] = order[j - gap];
            order[j] = entry;
        }
    }
}

/// How high rows have to be, halved: nobody may get further across, relative to the mean, within the horizon.
static float highest_reach(const nm_world *w, float mean, float horizon) {
    float lanes[8]; // eight maxima at once: a maximum does not mind the order
    for (uint32_t q = 0; q < 8; ++q) lanes[q] = 0.5f * NM_ROW_LEAST;
    uint32_t i = 0;
    for (; i + 8 <= w->count; i += 8)
        for (uint32_t q = 0; q < 8; ++q)
            lanes[q] = nm_maxf(lanes[q], w->across_half[i + q] + fabsf(w->across_v[i + q] - mean) * horizon);
    for (; i < w->count; ++i) lanes[0] = nm_maxf(lanes[0], w->across_half[i] + fabsf(w->across_v[i] - mean) * horizon);
    for (uint32_t q = 1; q < 8; ++q) lanes[0] = nm_maxf(lanes[0], lanes[q]);
    return lanes[0];
}

/// Row and place along the axis of an agent in the order of the step before.
static inline void place_entry(const nm_world *w, nm_sweep_entry *entry) {
    const float row =
        w->across[entry->slot] * (1.0f / w->row_height); // within 1e6 m of the origin and rows of 8 m: fits
    entry->row = (int32_t)row - (row < 0.0f);
    entry->x = w->along[entry->slot];
}

/// Places everybody and sorts by insertion on the way.
static void place_in_order(nm_world *w) {
    nm_sweep_entry *order = w->sweep;
    for (uint32_t k = 0; k < w->count; ++k) {
        place_entry(w, &order[k]);
        if (k == 0 || !sweep_before(&order[k], &order[k - 1])) continue;
        const nm_sweep_entry entry = order[k];
        uint32_t j = k;
        for (; j > 0 && sweep_before(&entry, &order[j - 1]); --j) order[j] = order[j - 1];
        order[j] = entry;
    }
}

/// Copies what the pair loop reads into the order of w->sweep: where an agent is half-way through the horizon, how far
/// it gets in half of it, its half extents. Lists the rows on the way; one without agents ends the list.
static void copy_in_order(nm_world *w, float horizon) {
    const float half_horizon = 0.5f * horizon;
    nm_row row = {.index = w->sweep[0].row, .slowest = INFINITY, .fastest = -INFINITY};
    uint32_t rows = 0;
    for (uint32_t k = 0; k < w->count; ++k) {
        const uint32_t i = w->sweep[k].slot;
        const float v = w->along_v[i], ex = w->along_half[i];
        const float move = v * half_horizon, move_across = w->across_v[i] * half_horizon;
        w->sorted_x[k] = w->along[i] + move;
        w->sorted_y[k] = w->across[i] + move_across;
        w->sorted_vx[k] = move;
        w->sorted_vy[k] = move_across;
        w->sorted_ex[k] = ex;
        w->sorted_ey[k] = w->across_half[i];
        if (w->sweep[k].row != row.index) {
            row.end = k;
            w->rows[rows++] = row;
            row = (nm_row){.first = k, .index = w->sweep[k].row, .slowest = INFINITY, .fastest = -INFINITY};
        }
        row.slowest = nm_minf(row.slowest, v);
        row.fastest = nm_maxf(row.fastest, v);
        row.half = nm_maxf(row.half, ex);
    }
    row.end = w->count;
    w->rows[rows++] = row;
    w->rows[rows] = (nm_row){.first = w->count, .end = w->count};
}

/// Brings w->sweep up to date and lays out what the pair loop reads.
static void sort_agents(nm_world *w, float horizon) {
    int shuffled = w->count > w->sweep_count + w->sweep_count / 4 + 16;
    for (uint32_t slot = w->sweep_count; slot < w->count; ++slot) w->sweep[slot].slot = slot; // newcomers are last
    w->sweep_count = w->count;
    float mean = 0.0f;
    for (uint32_t i = 0; i < w->count; ++i) mean += w->across_v[i];
    mean /= (float)w->count;
    const float highest = highest_reach(w, mean, horizon);
    for (; w->row_height < 2.0f * highest; w->row_height *= 2.0f) shuffled = 1;
    if (NM_LIKELY(!shuffled)) {
        place_in_order(w);
    } else {
        for (uint32_t k = 0; k < w->count; ++k) place_entry(w, &w->sweep[k]);
        sort_anew(w->sweep, w->count);
    }
    copy_in_order(w, horizon);
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

/// Eight floats, and the result of comparing them: all bits set where it holds. Vectors of the compiler, since loops of
/// eight are as likely to be unrolled into single comparisons.
typedef float nm_float8 __attribute__((vector_size(32)));
typedef int32_t nm_int8 __attribute__((vector_size(32)));

/// *near: may `p` and each of the eight from `base` on meet within the horizon, as far as one axis tells? Their
/// distance goes from c - m to c + m, c half-way and m how far it gets in half of the horizon: it comes below r when
/// |c| - |m| <= r.
static inline __attribute__((always_inline)) void near_along(const float *place, const float *move, const float *half,
                                                             uint32_t p, uint32_t base, nm_int8 *near) {
    const nm_int8 magnitude = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX};
    nm_float8 c, m, r;
    memcpy(&c, place + base, sizeof c);
    memcpy(&m, move + base, sizeof m);
    memcpy(&r, half + base, sizeof r);
    c = (nm_float8)((nm_int8)(c - place[p]) & magnitude);
    m = (nm_float8)((nm_int8)(m - move[p]) & magnitude);
    *near = c - m <= r + half[p];
}

/// Compares agent p (in sorted order) with eight from `base` on, all at once; those past `end` are left out.
static inline __attribute__((always_inline)) void compare_eight(nm_world *w, uint32_t p, uint32_t base, uint32_t end,
                                                                float horizon) {
    nm_int8 along, across;
    near_along(w->sorted_x, w->sorted_vx, w->sorted_ex, p, base, &along);
    near_along(w->sorted_y, w->sorted_vy, w->sorted_ey, p, base, &across);
    along &= across;
    uint64_t pairs[4];
    memcpy(pairs, &along, sizeof pairs);
    if (NM_LIKELY(!(pairs[0] | pairs[1] | pairs[2] | pairs[3]))) return;
    const uint32_t count = end - base < 8 ? end - base : 8;
    for (uint32_t q = 0; q < count; ++q)
        if (along[q]) examine_pair(w, w->sweep[p].slot, w->sweep[base + q].slot, horizon);
}

/// Every agent with those that follow it in its row, and with the next row. How far ahead that has to look depends on
/// how much faster it is than the slowest there; behind, on how much faster those there are than the slowest here.
/// Windows end at a multiple of eight agents: testing a few too many costs less than an exact end, which the processor
/// can not foresee.
NM_TARGET_CLONES
static void compare_all(nm_world *w, float horizon) {
    for (const nm_row *row = w->rows; row->first < row->end; ++row) {
        const nm_row *next = row + 1;
        const int adjacent = next->first < next->end && next->index == row->index + 1;
        const float behind = row->half + next->half + nm_maxf(next->fastest - row->slowest, 0.0f) * horizon;
        uint32_t from = next->first;
        for (uint32_t p = row->first; p < row->end; ++p) {
            const float x = w->sweep[p].x, v = w->along_v[w->sweep[p].slot];
            const float to = x + row->half + w->sorted_ex[p] + nm_maxf(v - row->slowest, 0.0f) * horizon;
            for (uint32_t base = p + 1; base < row->end && w->sweep[base].x <= to; base += 8)
                compare_eight(w, p, base, row->end, horizon);
            if (!adjacent) continue;
            while (from < next->end && w->sweep[from].x < x - behind) ++from;
            const float to_next = x + next->half + w->sorted_ex[p] + nm_maxf(v - next->slowest, 0.0f) * horizon;
            for (uint32_t base = from; base < next->end && w->sweep[base].x <= to_next; base += 8)
                compare_eight(w, p, base, next->end, horizon);
        }
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

/// Whose heading is against its lane's: flag[] = 1. Few ever are, and only those need against_traffic().
NM_TARGET_CLONES
static void flag_turned(const nm_world *w, uint32_t count) {
    const float *restrict lane_cos = w->lane_cos, *restrict lane_sin = w->lane_sin, *restrict speed = w->speed;
    const float *restrict cos_h = w->cos_h, *restrict sin_h = w->sin_h;
    uint8_t *restrict flag = w->flag;
    NM_INDEPENDENT
    for (uint32_t i = 0; i < count; ++i)
        flag[i] = (speed[i] >= 1.0f) & (lane_cos[i] * cos_h[i] + lane_sin[i] * sin_h[i] < 0.0f);
}

/// What holds for nearly everybody, for all at once: on the road, and with the traffic. Who neither drives nor moves is
/// not judged. Returns whether anybody is left to be looked at: off_road[] or flag[] set.
NM_TARGET_CLONES
static int clear_the_good(const nm_world *w, uint32_t count) {
    const uint8_t *restrict type = w->type, *restrict fixed = w->fixed;
    uint8_t *restrict off_road = w->off_road, *restrict wrong_way = w->wrong_way, *restrict flag = w->flag;
    uint8_t *restrict was_on_road = w->was_on_road;
    uint8_t left = 0;
    NM_INDEPENDENT
    for (uint32_t i = 0; i < count; ++i) {
        const uint8_t drives = (type[i] != NM_AGENT_PEDESTRIAN) & (type[i] != NM_AGENT_OBSTACLE) & (fixed[i] == 0);
        off_road[i] &= drives;
        flag[i] &= drives;
        wrong_way[i] = 0;
        was_on_road[i] |= drives & (off_road[i] ^ 1u);
        left |= off_road[i] | flag[i];
    }
    return left;
}

void nm_world_check_road(nm_world *w) {
    const unsigned checks = w->config.checks;
    if (checks & NM_CHECK_OFF_ROAD)
        nm_map_boxes_off_road(w->map, w->x, w->y, w->cos_h, w->sin_h, w->length, w->width, w->config.off_road_margin,
                              w->count, w->off_road);
    if (checks & NM_CHECK_WRONG_WAY)
        flag_turned(w, w->count);
    else
        memset(w->flag, 0, w->count);
    if (!clear_the_good(w, w->count)) return;
    for (uint32_t i = 0; i < w->count; ++i) {
        if (w->off_road[i] && w->was_on_road[i])
            nm_world_note_event(w, i, NM_AGENT_WENT_OFF_ROAD);
        else if (w->off_road[i] && w->entered_step[i] == w->step)
            nm_world_note_event(w, i, NM_AGENT_STARTED_OFF_ROAD);
        if (!w->flag[i]) continue;
        w->wrong_way[i] = (uint8_t)against_traffic(w, i);
        if (w->wrong_way[i]) nm_world_note_event(w, i, NM_AGENT_WENT_WRONG_WAY);
    }
}
