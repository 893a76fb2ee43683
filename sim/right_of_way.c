/// Who goes first: signals, stop lines, crossing and merging lanes, crosswalks, lanes that end.
///
/// Every agent announces itself on the next few lanes of its path that have conflicts (nm_approach: how far it is from
/// the start of that lane; negative once on it). Then each driver looks at the lanes it is about to enter and compares,
/// for each conflict, the times at which both would occupy the shared ground. Whoever has to yield gets a place to stop
/// (stop_gap); at merges it gets a leader projected onto its own path (merge_gap). Cost: agents near junctions times
/// the conflicts of their lane times the agents announced there.
///
/// Gap acceptance follows the critical gaps of the Highway Capacity Manual in order of magnitude: 0.8 s behind, 1.0 s
/// ahead of a crossing vehicle on top of the time the crossing itself takes.
#include "sim/world_internal.h"

#define NM_LOOK_SECONDS 6.0f
#define NM_BEHIND 0.8f ///< s after the other has left the shared ground
#define NM_AHEAD 1.0f  ///< s before the other reaches it
#define NM_ZONE_MARGIN                                                                                                 \
    0.7f ///< m by which shared ground is taken to be longer: bodies are wider than the map's corridors
#define NM_WAIT_BEFORE 2.0f    ///< m before shared ground, where there is no line: long vehicles swing out
#define NM_MERGE_SHY 4.0f      ///< m before a merge to stay behind who is on it
#define NM_COMFORT_STOP 3.0f   ///< m/s^2, for an amber light
#define NM_FIRM_STOP 5.5f      ///< m/s^2, harder than that nobody stops for a line
#define NM_YIELD_BRAKE 3.0f    ///< m/s^2 expected of who has to yield
#define NM_SUM_MARGIN 1.0f     ///< m, more than sums of lane lengths differ by the order of adding
#define NM_STALEMATE_STEPS 60u ///< after 6 s of waiting for others that wait, too, one goes

/// Puts an agent at the head of the list of `lane`, if that has conflicts; returns 1 if so. Without branches: whether
/// the next lane of somebody's path has any is a toss-up. An agent announces itself on NM_APPROACH_MAX lanes at most.
static inline uint32_t announce(nm_world *w, uint32_t slot, uint32_t lane, float distance) {
    const uint32_t at = w->approach_count, head = w->approach_head[lane];
    const uint32_t conflicts = w->map->lanes[lane].conflicts.count > 0;
    w->approaches[at] = (nm_approach){slot, head, distance};
    w->approach_head[lane] = conflicts ? at : head;
    w->approach_count = at + conflicts;
    w->touched[w->touched_count] = lane;
    w->touched_count += conflicts & (head == NM_NONE);
    return conflicts;
}

/// The stretch that `c` takes of an approaching agent's way: m from its centre to where it begins and ends. A walker
/// against the lane comes from its far end.
static inline void stretch_ahead(const nm_world *w, const nm_approach *a, const nm_conflict *c, float *in, float *out) {
    const int back = nm_is_walker(w->type[a->slot]) && w->walk_way[a->slot] == NM_WALK_BACK;
    *in = back ? -a->distance - c->other_out : a->distance + c->other_in;
    *out = back ? -a->distance - c->other_in : a->distance + c->other_out;
}

/// A walker against its lane's direction: on this lane, and on the one it comes to next.
static void announce_back(nm_world *w, uint32_t slot) {
    const uint32_t lane = w->lane[slot];
    announce(w, slot, lane, -w->lane_s[slot]);
    if (w->lane_s[slot] > 15.0f) return;
    const uint32_t next = nm_walk_back_lane(w, slot);
    if (next != NM_NONE) announce(w, slot, next, -w->lane_s[slot] - w->map->lanes[next].length);
}

static void announce_all(nm_world *w) {
    for (uint32_t i = 0; i < w->touched_count; ++i) w->approach_head[w->touched[i]] = NM_NONE;
    w->touched_count = w->approach_count = 0;
    if (w->map->conflict_count == 0) return;
    for (uint32_t slot = 0; slot < w->count; ++slot) {
        uint32_t lane = w->lane[slot];
        if (lane == NM_NONE) continue;
        const int walks = nm_is_walker(w->type[slot]);
        if (walks && w->walk_way[slot] == NM_WALK_BACK) {
            announce_back(w, slot);
            continue;
        }
        const uint32_t *path = w->path + (size_t)slot * NM_PATH_MAX;
        const float reach = 15.0f + NM_LOOK_SECONDS * w->speed[slot];
        if (w->conflict_ahead[slot] - w->lane_s[slot] > reach + NM_SUM_MARGIN) continue;
        // in a queue only the first one comes: the others wait behind it
        const float queue = w->speed[slot] < 1.0f && !walks ? w->lead_gap[slot] : INFINITY;
        float start = -w->lane_s[slot];
        uint32_t announced = 0;
        for (uint32_t i = 0; start < queue; ++i) {
            announced += announce(w, slot, lane, start);
            if (announced == NM_APPROACH_MAX) break;
            start += w->map->lanes[lane].length;
            if (start > reach || i == w->path_count[slot]) break;
            if (w->fixed[slot]) break; // parked: it blocks where it is, it does not come
            lane = path[i];
        }
    }
}

/// Time to cover `distance` from `speed` when accelerating moderately up to a lane's pace.
static float time_to(float distance, float speed, float accel) {
    if (distance <= 0.0f) return 0.0f;
    return (sqrtf(speed * speed + 2.0f * accel * distance) - speed) / accel;
}

typedef struct nm_window {
    float in, out; ///< s
} nm_window;

/// It stands at a line or before somebody else, on the way to `lane`.
static inline int waits_itself(const nm_world *w, uint32_t other, uint32_t lane) {
    return w->held[other] && w->junction_lane[other] == lane && w->speed[other] < 2.0f;
}

static int must_wait_for(const nm_world *w, uint32_t slot, nm_window mine, const nm_conflict *c, uint32_t other,
                         nm_window theirs) {
    const int overlap = mine.in < theirs.out + NM_BEHIND && theirs.in < mine.out + NM_AHEAD;
    if (!overlap) return 0;
    if (theirs.in <= 0.0f) return 1; // it is on the shared ground
    if (waits_itself(w, other, c->lane)) return 0;
    const uint8_t other_lane = w->map->lanes[c->lane].type;
    const int patience_ends = w->arrived_step[slot] != NM_NONE &&
                              w->step - w->arrived_step[slot] > NM_STALEMATE_STEPS && w->speed[slot] < 0.5f;
    if (other_lane == NM_LANE_CROSSWALK && nm_is_walker(w->type[other]))
        return theirs.in < 2.5f && !(patience_ends && w->speed[other] < 0.1f); // some only stand there
    const int stale = patience_ends && w->speed[other] < 0.5f;
    if (stale && slot < other) return 0;
    if (c->precedence == NM_PRECEDENCE_THEIRS) return 1;
    if (c->precedence == NM_PRECEDENCE_MINE) return 0;
    // first come, first served
    const uint32_t me = w->arrived_step[slot], they = w->arrived_step[other];
    if (me != they) return they < me;
    if (fabsf(mine.in - theirs.in) > 0.3f) return theirs.in < mine.in;
    return other < slot;
}

/// What a merge or a fork puts before `slot` on its own path.
static void project_leader(nm_world *w, uint32_t slot, uint32_t other, float gap) {
    if (gap >= w->merge_gap[slot]) return;
    w->merge_gap[slot] = gap;
    w->merge_speed[slot] = w->speed[other];
}

/// One agent at one conflict, as the driver looking sees it: m from its centre to the shared ground (margins included).
typedef struct nm_meeting {
    uint32_t other;
    float in, out;
    float half; ///< of its length, with the margin
} nm_meeting;

/// A merge: who is nearer to its end goes first, and the other follows as behind a leader; whoever has to yield may
/// also have to wait. `in` and `to_end` are m from this agent's front to the shared ground and from its centre to the
/// end of the merge. Of two agents at most one follows, so nobody waits for each other. Returns 1 to wait.
static int merge_holds(nm_world *w, uint32_t slot, const nm_conflict *c, float in, float out, float to_end, float half,
                       const nm_meeting *m, float other_to_end) {
    const float ahead = to_end - other_to_end;
    const int it_is_ahead = ahead > 0.0f || (ahead == 0.0f && m->other < slot);
    if (m->in >= 0.0f) {
        if (waits_itself(w, m->other, c->lane)) return 0;
        const float v = w->speed[m->other];
        // it has to yield, and still can
        if (in >= 0.0f && c->precedence == NM_PRECEDENCE_MINE && v * v < 2.0f * NM_YIELD_BRAKE * m->in) return 0;
    }
    if (it_is_ahead) {
        const float gap = ahead - half - m->half;
        // up to the shared ground in any case; bodies are wider than corridors, so not quite
        project_leader(w, slot, m->other, nm_maxf(nm_maxf(gap, in - NM_MERGE_SHY), 0.3f));
        return 0;
    }
    if (c->precedence != NM_PRECEDENCE_THEIRS || in < -0.5f) return 0;
    const float v = w->speed[slot], pace = 0.8f * w->idm_accel[slot];
    const nm_window mine = {time_to(in, v, pace), time_to(out, v, pace)};
    const nm_window theirs = {time_to(m->in, w->speed[m->other], 1.0f), time_to(m->out, w->speed[m->other], 1.0f)};
    return must_wait_for(w, slot, mine, c, m->other, theirs);
}

/// m from the front of `slot` to where the body of `other` lies on the way along lane `l` (`start` m ahead), looked for
/// on the shared ground and 3 m around it; INFINITY when it leaves room.
static float body_gap(const nm_world *w, uint32_t slot, const nm_lane *l, float start, const nm_conflict *c,
                      uint32_t other) {
    const nm_rail_point *rail = w->map->rail + l->rail.first;
    const float front = 0.5f * w->length[slot] - start; // on the lane
    const float from = nm_maxf(nm_maxf(c->self_in - 3.0f, front - 0.5f), 0.0f),
                to = nm_minf(c->self_out + 3.0f, l->length);
    const float deep = 0.5f * (w->length[other] + w->width[slot]) + 0.1f;
    const float wide = 0.5f * (w->width[other] + w->width[slot]) + 0.1f;
    const float oc = w->cos_h[other], os = w->sin_h[other];
    for (uint32_t i = (uint32_t)(from * l->rail_inverse); i < l->rail.count; ++i) {
        const float s = (float)i * l->rail_step;
        if (s > to) break;
        // where its middle will be, if it keeps the offset that it has now
        const float x = rail[i].x - rail[i].sin_h * w->offset_target[slot],
                    y = rail[i].y + rail[i].cos_h * w->offset_target[slot];
        const float dx = x - w->x[other], dy = y - w->y[other];
        if (fabsf(dx * oc + dy * os) > deep || fabsf(dy * oc - dx * os) > wide) continue;
        return nm_maxf(s - front - l->rail_step, 0.0f);
    }
    return INFINITY;
}

/// Both are on shared ground where their lanes cross: there is no turning back, but nobody drives into a body.
static void mind_body(nm_world *w, uint32_t slot, const nm_lane *l, float start, const nm_conflict *c,
                      const nm_meeting *m) {
    const float gap = body_gap(w, slot, l, start, c, m->other);
    if (!(gap < 30.0f)) return;
    // if it is moving off, follow; if it waits for this one, which is further on its way, nobody would move
    const float along = w->vx[m->other] * w->cos_h[slot] + w->vy[m->other] * w->sin_h[slot];
    if (along > 2.0f)
        project_leader(w, slot, m->other, nm_maxf(gap, 0.3f));
    else
        w->stop_gap[slot] = nm_minf(w->stop_gap[slot], nm_maxf(gap - 0.5f, 0.0f));
}

/// Does `other`, `in` m before the shared ground, let pass whoever meets it at `c`, however long they take? Says so
/// without the times of must_wait_for(), which would come to the same: well before that ground it takes some time to
/// get there.
static inline int gives_way(const nm_world *w, const nm_conflict *c, uint32_t other, float in) {
    if (in < 0.5f || w->speed[other] > 100.0f) return 0;
    if (c->precedence != NM_PRECEDENCE_MINE) return waits_itself(w, other, c->lane);
    return !nm_is_walker(w->type[other]) || w->map->lanes[c->lane].type != NM_LANE_CROSSWALK;
}

/// Has `slot`, `start` m before lane `l`, to wait for anybody on a conflicting lane? *place receives how far into the
/// lane the first such ground begins.
static int conflicts_hold(nm_world *w, uint32_t slot, const nm_lane *l, float start, float *place) {
    const float v = w->speed[slot], half = 0.5f * w->length[slot] + NM_ZONE_MARGIN;
    const float pace = 0.8f * w->idm_accel[slot];
    for (uint32_t k = 0; k < l->conflicts.count; ++k) {
        const nm_conflict *c = &w->map->conflicts[l->conflicts.first + k];
        const float in = start + c->self_in - half;
        if (in > w->lead_gap[slot]) break; // the leader comes there first; further conflicts lie further on
        const uint32_t head = w->approach_head[c->lane];
        if (head == NM_NONE) continue;
        const float out = start + c->self_out + half;
        if (out < 0.0f) continue; // past it
        nm_window mine = {-1.0f, 0.0f};
        for (uint32_t r = head; r != NM_NONE; r = w->approaches[r].next) {
            const nm_approach *a = &w->approaches[r];
            if (a->slot == slot) continue;
            nm_meeting m = {a->slot, 0.0f, 0.0f, 0.5f * w->length[a->slot] + NM_ZONE_MARGIN};
            stretch_ahead(w, a, c, &m.in, &m.out);
            m.in -= m.half;
            m.out += m.half;
            if (m.out < 0.0f) continue;
            if (c->kind == NM_CONFLICT_DIVERGE) {
                const float gap = start - a->distance - half - m.half;
                const int it_is_ahead = a->distance < start || (a->distance == start && m.other < slot);
                if (it_is_ahead) project_leader(w, slot, m.other, nm_maxf(nm_maxf(gap, in - NM_MERGE_SHY), 0.3f));
                continue;
            }
            int wait = 0;
            if (c->kind == NM_CONFLICT_CROSS && in < -0.5f) { // on it: clear it
                if (m.in < 0.0f) mind_body(w, slot, l, start, c, &m);
            } else if (c->kind == NM_CONFLICT_MERGE) {
                wait = merge_holds(w, slot, c, in, out, start + c->self_out, half, &m, a->distance + c->other_out);
            } else if (!gives_way(w, c, m.other, m.in)) {
                if (mine.in < 0.0f) mine = (nm_window){time_to(in, v, pace), time_to(out, v, pace)};
                const nm_window theirs = {m.in < 0.0f ? 0.0f : time_to(m.in, w->speed[m.other], 1.0f),
                                          time_to(m.out, w->speed[m.other], 1.0f)};
                wait = must_wait_for(w, slot, mine, c, m.other, theirs);
            }
            if (!wait) continue;
            *place = c->self_in;
            return 1; // ordered by self_in: the first is the nearest
        }
    }
    return 0;
}

/// Keeps `stop_gap`, unless that would need harder braking than anybody does.
static int try_stop(nm_world *w, uint32_t slot, float gap, float brake) {
    const float v = w->speed[slot];
    if (gap < -1.0f || v * v > 2.0f * brake * nm_maxf(gap, 0.1f) + 0.5f) return 0;
    w->stop_gap[slot] = nm_minf(w->stop_gap[slot], nm_maxf(gap, 0.0f));
    return 1;
}

/// Signals and stop signs at the end of lane `l`; returns 1 when they keep the agent there.
static int control_holds(nm_world *w, uint32_t slot, uint32_t lane, float gap) {
    const nm_lane *l = &w->map->lanes[lane];
    if (gap < -1.0f) return 0;
    int stop = 0, amber = 0, halt = l->control == NM_CONTROL_STOP || l->control == NM_CONTROL_ALL_WAY_STOP;
    for (uint32_t k = 0; k < l->signals.count; ++k) {
        const uint8_t state = w->signal_now[w->map->signal_refs[l->signals.first + k]];
        stop |= state == NM_SIGNAL_STOP || state == NM_SIGNAL_ARROW_STOP;
        amber |= state == NM_SIGNAL_CAUTION || state == NM_SIGNAL_ARROW_CAUTION;
        halt |= state == NM_SIGNAL_FLASHING_STOP;
    }
    if (stop) return try_stop(w, slot, gap, NM_FIRM_STOP);
    if (amber) return try_stop(w, slot, gap, NM_COMFORT_STOP);
    if (!halt || w->cleared_lane[slot] == lane) return 0;
    if (w->speed[slot] < 0.3f && gap < 3.0f && ++w->halted_steps[slot] >= 8) {
        w->cleared_lane[slot] = lane;
        w->halted_steps[slot] = 0;
        return 0;
    }
    return try_stop(w, slot, gap, NM_FIRM_STOP);
}

/// Walks the lanes ahead of one driver until something holds it.
static void look_ahead(nm_world *w, uint32_t slot) {
    const nm_map *map = w->map;
    const uint32_t *path = w->path + (size_t)slot * NM_PATH_MAX;
    const float v = w->speed[slot], half = 0.5f * w->length[slot];
    const float reach = 15.0f + v * v * 0.25f + v;
    if (w->rule_ahead[slot] - w->lane_s[slot] > reach + NM_SUM_MARGIN) {
        w->held[slot] = 0;
        return;
    }
    uint32_t lane = w->lane[slot];
    float start = -w->lane_s[slot], line = INFINITY; // m to where this lane starts, to the last stop line before it
    uint8_t held = 0;
    // what lies beyond a leader is the leader's to decide
    const float queue = w->lead_gap[slot] + half;
    for (uint32_t i = 0; !held && start < queue; ++i) {
        const nm_lane *l = &map->lanes[lane];
        if (l->conflicts.count > 0) {
            if (start > 0.0f && w->junction_lane[slot] != lane) {
                w->junction_lane[slot] = lane;
                w->arrived_step[slot] = start < 25.0f ? w->step : NM_NONE;
            } else if (start > 0.0f && start < 25.0f && w->arrived_step[slot] == NM_NONE) {
                w->arrived_step[slot] = w->step;
            }
            float place = 0.0f;
            if (conflicts_hold(w, slot, l, start, &place)) {
                // wait at the line when there is one ahead, else just before the shared ground
                const float inside = start + place - half - NM_WAIT_BEFORE;
                const float at = start > 0.0f && line > -1.0f && line < inside ? line : inside;
                held = (uint8_t)(try_stop(w, slot, at, NM_FIRM_STOP) || try_stop(w, slot, inside, NM_FIRM_STOP));
                if (held && start > 0.0f) w->junction_lane[slot] = lane;
            }
        }
        if (!held && (l->signals.count > 0 || l->control >= NM_CONTROL_STOP)) {
            held = (uint8_t)control_holds(w, slot, lane, start + l->stop_s - half);
            if (held && i < w->path_count[slot]) w->junction_lane[slot] = path[i];
        }
        line = start + l->stop_s - half;
        start += l->length;
        if (start > reach || i == w->path_count[slot]) break;
        lane = path[i];
    }
    w->held[slot] = held;
}

float nm_world_path_length(const nm_world *w, uint32_t slot) {
    const uint32_t *path = w->path + (size_t)slot * NM_PATH_MAX;
    float length = w->map->lanes[w->lane[slot]].length - w->lane_s[slot];
    for (uint32_t i = 0; i < w->path_count[slot]; ++i) length += w->map->lanes[path[i]].length;
    return length;
}

void nm_world_right_of_way(nm_world *w) {
    for (uint32_t k = 0; k < w->map->signal_count; ++k)
        w->signal_now[k] = (uint8_t)nm_scene_signal(w->scene, k, w->step);
    announce_all(w);
    for (uint32_t slot = 0; slot < w->count; ++slot) {
        w->stop_gap[slot] = w->merge_gap[slot] = INFINITY;
        w->merge_speed[slot] = 0.0f;
        if (w->policy[slot] != NM_POLICY_IDM || w->fixed[slot] || w->lane[slot] == NM_NONE) continue;
        if (nm_is_walker(w->type[slot])) continue; // they look for themselves: policy_walk.c
        if (w->path_end[slot] == NM_LANE_MUST_CHANGE)
            w->stop_gap[slot] = nm_maxf(nm_world_path_length(w, slot) - 0.5f * w->length[slot] - 1.0f, 0.0f);
        if (w->has_rules) look_ahead(w, slot);
    }
}
