/// Speeds at the start: what a driver wants, less what the gap ahead, curves, stop lines and lane ends demand, so that
/// nobody has to brake hard in the first step.
#include "sim/math.h"
#include "sim/spawn_field.h"

#include <stdlib.h>

#define LOOK_AHEAD 220.0f // m: 35 m/s to standstill with 3 m/s^2
#define STATION 8.0f      // m between the places where the way ahead is searched
#define MOST_LEADERS 4
#define MOST_BRANCHES 24
#define LATERAL_ACCELERATION 2.0f // m/s^2 in curves: comfortable; drivers rarely go beyond 3
#define SIDE_GAP 0.3f             // m beside which others may be passed
#define COMFORT 2.0f              // m/s^2 of braking behind others and towards stops
#define EASY 1.5f                 // m/s^2 of braking towards curves
// The follower's IDM (Treiber, Hennecke and Helbing 2000) for which the first step must be easy: time gap, standstill
// distance, acceleration. Of the published sets the most timid (see the IDM defaults of nuPlan and Waymax).
#define IDM_TIME_GAP 1.5f
#define IDM_STANDSTILL 2.0f
#define IDM_ACCELERATION 1.0f

typedef struct leader {
    float gap;   ///< m, bumper to bumper
    float align; ///< share of its speed that counts along the follower's way; 0 when oncoming
    uint32_t other;
} leader;

typedef struct outlook {
    leader leaders[MOST_LEADERS];
    uint32_t count;
    float limit; ///< m/s, from everything that does not move
} outlook;

/// The fastest one may go `gap` m behind somebody at `ahead` m/s so that the IDM brakes with at most COMFORT: with
/// s* <= gap sqrt(1 + COMFORT / a), where s* = s0 + v T + v (v - ahead) / (2 sqrt(a b)).
static float follow_speed(float gap, float ahead) {
    float c = sqrtf(IDM_ACCELERATION * COMFORT);
    float room = gap * sqrtf(1.0f + COMFORT / IDM_ACCELERATION) - IDM_STANDSTILL;
    if (room <= 0.0f) return 0.0f;
    float half = IDM_TIME_GAP - ahead / (2.0f * c);
    return c * (sqrtf(half * half + 2.0f * room / c) - half);
}

/// The speed at which the gap is the IDM's equilibrium for a driver who wants `desired`: (s0 + v T) / sqrt(1 - (v /
/// v0)^4) = gap, by bisection.
static float equilibrium_speed(float gap, float desired, float time_gap) {
    float low = 0.0f, high = desired;
    for (int i = 0; i < 24; i++) {
        float v = 0.5f * (low + high), ratio = v / nm_maxf(desired, 1e-3f);
        float free = 1.0f - ratio * ratio * ratio * ratio;
        if ((IDM_STANDSTILL + v * time_gap) * (IDM_STANDSTILL + v * time_gap) < gap * gap * free)
            low = v;
        else
            high = v;
    }
    return low;
}

/// 1 when a vehicle must be able to stop at the end of the lane at step 0.
static int must_stop(const nm_map *map, const nm_lane *lane) {
    switch (lane->control) {
    case NM_CONTROL_YIELD:
    case NM_CONTROL_STOP:
    case NM_CONTROL_ALL_WAY_STOP:
        return 1;
    default:
        break;
    }
    if (lane->signals.count == 0) return lane->control == NM_CONTROL_SIGNAL;
    for (uint32_t i = 0; i < lane->signals.count; i++) {
        const nm_signal *signal = &map->signals[map->signal_refs[lane->signals.first + i]];
        uint64_t cycle = 0;
        for (uint32_t k = 0; k < signal->phases.count; k++) cycle += map->phases[signal->phases.first + k].steps;
        if (cycle == 0) return 1;
        uint64_t phase = (cycle - signal->phase_offset % cycle) % cycle;
        for (uint32_t k = 0; k < signal->phases.count; k++) {
            const nm_phase *part = &map->phases[signal->phases.first + k];
            if (phase < part->steps) {
                if (part->state != NM_SIGNAL_GO && part->state != NM_SIGNAL_ARROW_GO) return 1;
                break;
            }
            phase -= part->steps;
        }
    }
    return 0;
}

/// 1 when signals rule what leads into the lane.
static int before_signal(const nm_map *map, const nm_lane *lane) {
    for (uint32_t i = 0; i < lane->predecessors.count; i++)
        if (map->lanes[map->lane_refs[lane->predecessors.first + i]].control == NM_CONTROL_SIGNAL) return 1;
    return 0;
}

/// 1 when the lane ends while the road goes on beside it.
static int runs_out(const nm_map *map, const nm_lane *lane) {
    if (lane->successors.count) return 0;
    nm_range sides[2] = {lane->left, lane->right};
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < sides[side].count; i++) {
            const nm_neighbour *beside = &map->neighbours[sides[side].first + i];
            if (!beside->opposite && map->lanes[beside->lane].successors.count) return 1;
        }
    }
    return 0;
}

typedef struct search {
    const nm_field *field;
    uint32_t self;
    nm_rail_point at; ///< the station
    float half_step;  ///< half the stretch it stands for
    float before;     ///< m of way from the searcher's centre to the station
    leader nearest;
} search;

static void check_leader(void *context, uint32_t index) {
    search *look = context;
    if (index == look->self) return;
    const nm_spawned *self = &look->field->agents[look->self], *other = &look->field->agents[index];
    if (other->type == NM_AGENT_PEDESTRIAN) return;
    float x = other->x - look->at.x, y = other->y - look->at.y;
    float along = x * look->at.cos_h + y * look->at.sin_h;
    if (along < -look->half_step || along > look->half_step || look->before + along <= 0.0f) return;
    float dot = look->at.cos_h * other->cos_h + look->at.sin_h * other->sin_h;
    float cross = look->at.cos_h * other->sin_h - look->at.sin_h * other->cos_h;
    float lengthwise = 0.5f * (fabsf(dot) * other->length + fabsf(cross) * other->width);
    float sideways = 0.5f * (fabsf(cross) * other->length + fabsf(dot) * other->width);
    float across = y * look->at.cos_h - x * look->at.sin_h - self->d;
    if (fabsf(across) > 0.5f * self->width + sideways + SIDE_GAP) return;
    float gap = nm_maxf(look->before + along - lengthwise - 0.5f * self->length, 0.0f);
    // the lower index decides between equals, whatever the order of the grid
    leader *nearest = &look->nearest;
    if (nearest->other != NM_NONE && (gap > nearest->gap || (gap == nearest->gap && index > nearest->other))) return;
    *nearest = (leader){.gap = gap, .align = nm_maxf(dot, 0.0f), .other = index};
}

static void add_leader(outlook *view, leader found) {
    for (uint32_t i = 0; i < view->count; i++)
        if (view->leaders[i].other == found.other) return;
    if (view->count < MOST_LEADERS) {
        view->leaders[view->count++] = found;
        return;
    }
    uint32_t farthest = 0;
    for (uint32_t i = 1; i < MOST_LEADERS; i++)
        if (view->leaders[i].gap > view->leaders[farthest].gap) farthest = i;
    if (found.gap < view->leaders[farthest].gap) view->leaders[farthest] = found;
}

/// Ground ahead where others go first must be within reach of a comfortable stop: oncoming traffic for who turns left,
/// walkers where no signal keeps them off.
static void look_at_conflicts(const nm_field *field, uint32_t lane, float s, float before, float half_length,
                              outlook *view) {
    const nm_map *map = field->map;
    const nm_lane *on = &map->lanes[lane];
    for (uint32_t i = 0; i < on->conflicts.count; i++) {
        const nm_conflict *conflict = &map->conflicts[on->conflicts.first + i];
        const nm_lane *other = &map->lanes[conflict->lane];
        if (conflict->kind == NM_CONFLICT_DIVERGE || conflict->precedence != NM_PRECEDENCE_THEIRS) continue;
        if (conflict->self_in < s || other->type == NM_LANE_SHOULDER) continue;
        if (other->type == NM_LANE_CROSSWALK && (field->params->pedestrians == 0 || before_signal(map, other)))
            continue;
        float way = nm_maxf(before + conflict->self_in - s - half_length, 0.0f);
        view->limit = nm_minf(view->limit, sqrtf(2.0f * COMFORT * way) + 0.5f);
    }
}

/// Looks along one lane from s on; `before` m of way lie behind. Returns 1 when a leader was found.
static int look_along(const nm_field *field, uint32_t self, uint32_t lane, float s, float before, outlook *view) {
    const nm_map *map = field->map;
    const nm_lane *on = &map->lanes[lane];
    const nm_spawned *agent = &field->agents[self];
    float end = nm_minf(on->length, s + LOOK_AHEAD - before), reach = STATION + 3.0f;
    uint32_t stations = end > s ? (uint32_t)ceilf((end - s) / STATION) : 0;
    for (uint32_t i = 0; i < stations; i++) {
        float u = s + (float)i * STATION;
        float stretch = nm_minf(STATION, end - u);
        search look = {.field = field,
                       .self = self,
                       .at = nm_map_rail(map, lane, u + 0.5f * stretch),
                       .half_step = 0.5f * stretch,
                       .before = before + u - s + 0.5f * stretch,
                       .nearest = {.other = NM_NONE}};
        nm_field_near(field, look.at.x, look.at.y, reach + 0.5f * agent->width + 9.0f, check_leader, &look);
        float away = nm_maxf(look.before - 0.5f * agent->length, 0.0f);
        float curve = LATERAL_ACCELERATION / nm_maxf(fabsf(look.at.curvature), 1e-6f);
        view->limit = nm_minf(view->limit, sqrtf(curve + 2.0f * EASY * away));
        if (look.nearest.other == NM_NONE) continue;
        add_leader(view, look.nearest);
        return 1;
    }
    return 0;
}

/// Where the lane makes one stop: its stop line, or its end when it runs out.
static void look_at_end(const nm_map *map, uint32_t lane, float s, float before, float half_length, outlook *view) {
    const nm_lane *on = &map->lanes[lane];
    float stop = must_stop(map, on) ? on->stop_s : runs_out(map, on) ? on->length : -1.0f;
    float way = before + stop - s - half_length;
    if (stop >= s && before + stop - s < LOOK_AHEAD)
        view->limit = nm_minf(view->limit, follow_speed(nm_maxf(way, 0.0f) + IDM_STANDSTILL, 0.0f));
}

/// Everything ahead on all branches of the way.
static outlook look_ahead(const nm_field *field, uint32_t self) {
    const nm_map *map = field->map;
    const nm_spawned *agent = &field->agents[self];
    float here = fabsf(nm_map_rail(map, agent->lane, agent->s).curvature);
    outlook view = {.limit = nm_minf(agent->desired, sqrtf(LATERAL_ACCELERATION / nm_maxf(here, 1e-6f)))};
    struct {
        uint32_t lane;
        float s, before;
    } branches[MOST_BRANCHES] = {{agent->lane, agent->s, 0.0f}};
    uint32_t count = 1, looked = 0;
    while (count && looked++ < 4 * MOST_BRANCHES) {
        count--;
        uint32_t lane = branches[count].lane;
        float s = branches[count].s, before = branches[count].before;
        const nm_lane *on = &map->lanes[lane];
        look_at_end(map, lane, s, before, 0.5f * agent->length, &view);
        look_at_conflicts(field, lane, s, before, 0.5f * agent->length, &view);
        if (look_along(field, self, lane, s, before, &view)) continue;
        before += on->length - s;
        if (before >= LOOK_AHEAD) continue;
        for (uint32_t i = 0; i < on->successors.count && count < MOST_BRANCHES; i++) {
            branches[count].lane = map->lane_refs[on->successors.first + i];
            branches[count].s = 0.0f;
            branches[count].before = before;
            count++;
        }
    }
    return view;
}

void nm_spawn_speeds(nm_field *field) {
    if (field->failed || field->count == 0) return;
    outlook *views = malloc(field->count * sizeof(*views));
    if (!views) {
        field->failed = NM_E_MEMORY;
        return;
    }
    for (size_t i = 0; i < field->count; i++) {
        nm_spawned *agent = &field->agents[i];
        views[i].count = 0;
        if (agent->type == NM_AGENT_PEDESTRIAN) continue;
        views[i] = look_ahead(field, (uint32_t)i);
        agent->speed = views[i].limit;
        for (uint32_t k = 0; k < views[i].count; k++)
            agent->speed = nm_minf(agent->speed, equilibrium_speed(views[i].leaders[k].gap, agent->desired,
                                                                   (float)field->params->min_gap));
    }
    // A leader that goes slower slows its followers: until nothing changes. Speeds only fall, so it ends; queues are
    // mostly ordered from rear to front, so going backwards settles them in a few rounds.
    for (int round = 0, changed = 1; changed && round < 256; round++) {
        changed = 0;
        for (size_t i = field->count; i-- > 0;) {
            nm_spawned *agent = &field->agents[i];
            for (uint32_t k = 0; k < views[i].count; k++) {
                const leader *ahead = &views[i].leaders[k];
                float speed = follow_speed(ahead->gap, ahead->align * field->agents[ahead->other].speed);
                if (speed >= agent->speed - 1e-3f) continue;
                agent->speed = speed;
                changed = 1;
            }
        }
    }
    free(views);
}
