#include "scenarios/scene_type.h"

#include <math.h>
#include <stdio.h>

#include "sim/math.h"
#include "sim/metrics/criticality.h"

#define MATCH_RADIUS 3.0f
#define LOOK_EVERY 2u ///< steps between looks at the lane
#define BEFORE 30.0f  ///< m before a light or sign
#define HOPS_MOST 8u
#define LANES_MOST 64u
#define CIRCLE_MOST 400.0f
#define CIRCLE_LANES 64u
#define ROUND 0.85
#define FAST 22.2f
#define BESIDE_MOST 8u
#define TURN 0.698f ///< 40 degrees
#define CLOSE_S 3.0f
#define CLOSE_M 8.0f

static const char *const places[NM_PLACE_TYPE_COUNT] = {
    "roundabout", "signals", "junction", "crosswalk", "ramp", "freeway", "multilane road", "street", "off the lanes"};
static const char *const acts[NM_ACT_COUNT] = {"standing",      "turning left",   "turning right",
                                               "changing left", "changing right", "stopping",
                                               "starting",      "following",      "cruising"};

const char *nm_scene_place_type_name(nm_scene_place_type place) {
    NM_ASSERT((unsigned)place < NM_PLACE_TYPE_COUNT);
    return places[place];
}

const char *nm_scene_act_name(nm_scene_act act) {
    NM_ASSERT((unsigned)act < NM_ACT_COUNT);
    return acts[act];
}

/// What was seen on the way.
typedef struct way {
    const nm_scene *scene;
    uint32_t ego, first, last;
    uint32_t lanes[LANES_MOST]; ///< each once
    uint32_t lane_count;
    int by_signal, by_sign; ///< up to BEFORE m before one
    int lefts, rights;      ///< changes of lane
} way;

// ---------------------------------------------------------------------------------------------------------------------
// Lanes

static int beside(const nm_map *map, nm_range side, uint32_t lane) {
    for (uint32_t i = 0; i < side.count; ++i)
        if (map->neighbours[side.first + i].lane == lane && !map->neighbours[side.first + i].opposite) return 1;
    return 0;
}

static void add_lane(way *w, uint32_t lane) {
    for (uint32_t i = 0; i < w->lane_count; ++i)
        if (w->lanes[i] == lane) return;
    if (w->lane_count < LANES_MOST) w->lanes[w->lane_count++] = lane;
}

/// Ends of lanes up to BEFORE m ahead, as far as there is one way only.
static void look_ahead(way *w, const nm_frenet *at) {
    const nm_map *map = w->scene->map;
    uint32_t index = at->lane;
    float way_to = -at->s; // where the lane begins
    for (uint32_t hop = 0; hop < HOPS_MOST; ++hop) {
        const nm_lane *lane = &map->lanes[index];
        if (way_to + lane->stop_s > BEFORE) return;
        w->by_signal |= lane->control == NM_CONTROL_SIGNAL || lane->signals.count > 0;
        w->by_sign |= lane->control == NM_CONTROL_STOP || lane->control == NM_CONTROL_YIELD ||
                      lane->control == NM_CONTROL_ALL_WAY_STOP;
        way_to += lane->length;
        if (lane->successors.count != 1) return;
        index = map->lane_refs[lane->successors.first];
    }
}

static void follow_lanes(way *w) {
    const nm_scene *scene = w->scene;
    const nm_map *map = scene->map;
    uint32_t before = NM_NONE;
    for (uint32_t step = w->first; step <= w->last; step += LOOK_EVERY) {
        const size_t at = nm_scene_at(scene, w->ego, step);
        if (!scene->valid[at]) continue;
        const nm_frenet on =
            nm_map_match(map, scene->x[at], scene->y[at], scene->heading[at], MATCH_RADIUS, NM_LANE_MASK_VEHICLE);
        if (on.lane == NM_NONE) continue;
        add_lane(w, on.lane);
        look_ahead(w, &on);
        if (before != NM_NONE && before != on.lane) {
            w->lefts += beside(map, map->lanes[before].left, on.lane);
            w->rights += beside(map, map->lanes[before].right, on.lane);
        }
        before = on.lane;
    }
}

/// The shortest way from the lane back to itself is a circle.
static int leads_round(const nm_map *map, uint32_t lane) {
    const nm_lane *from = &map->lanes[lane];
    for (uint32_t i = 0; i < from->successors.count; ++i) {
        uint32_t route[CIRCLE_LANES];
        const uint32_t count =
            nm_map_route(map, map->lane_refs[from->successors.first + i], lane, 1e6f, route, CIRCLE_LANES, NULL);
        if (!count || count == NM_NONE) continue;
        double length = 0.0, area = 0.0;
        nm_vec2 last =
            map->centre[map->lanes[route[count - 1]].points.first + map->lanes[route[count - 1]].points.count - 1];
        for (uint32_t k = 0; k < count; ++k) {
            const nm_range points = map->lanes[route[k]].points;
            for (uint32_t p = points.first; p < points.first + points.count; ++p) {
                const nm_vec2 here = map->centre[p];
                length += hypot((double)here.x - (double)last.x, (double)here.y - (double)last.y);
                area += 0.5 * ((double)last.x * (double)here.y - (double)here.x * (double)last.y);
                last = here;
            }
        }
        if (length <= (double)CIRCLE_MOST && 4.0 * 3.14159265358979 * fabs(area) >= ROUND * length * length) return 1;
    }
    return 0;
}

static int carries_traffic(const nm_lane *lane) {
    return nm_lane_type_drivable((nm_lane_type)lane->type) && lane->type != NM_LANE_SHOULDER;
}

/// Lanes of one direction beside one another, this one included, shoulders left out.
static uint32_t abreast(const nm_map *map, uint32_t lane) {
    uint32_t count = 1;
    for (int left = 0; left < 2; ++left) {
        uint32_t at = lane;
        for (uint32_t moved = 1; moved && count < BESIDE_MOST;) {
            const nm_range side = left ? map->lanes[at].left : map->lanes[at].right;
            moved = 0;
            for (uint32_t i = 0; i < side.count && !moved; ++i) {
                const nm_neighbour *n = &map->neighbours[side.first + i];
                if (n->opposite || !carries_traffic(&map->lanes[n->lane])) continue;
                at = n->lane;
                moved = 1;
            }
            count += moved;
        }
    }
    return count;
}

/// A lane that leads into this one is ruled by a signal.
static int comes_from_signal(const nm_map *map, const nm_lane *lane) {
    for (uint32_t i = 0; i < lane->predecessors.count; ++i) {
        const nm_lane *before = &map->lanes[map->lane_refs[lane->predecessors.first + i]];
        if (before->control == NM_CONTROL_SIGNAL || before->signals.count) return 1;
    }
    return 0;
}

/// It shares ground with a lane for vehicles, or with a crosswalk.
static int shares_ground(const nm_map *map, const nm_lane *lane, int crosswalk) {
    for (uint32_t i = 0; i < lane->conflicts.count; ++i) {
        const nm_lane_type type = (nm_lane_type)map->lanes[map->conflicts[lane->conflicts.first + i].lane].type;
        if (crosswalk ? type == NM_LANE_CROSSWALK : nm_lane_type_drivable(type)) return 1;
    }
    return 0;
}

static nm_scene_place_type place_of(const way *w) {
    const nm_map *map = w->scene->map;
    int found[NM_PLACE_TYPE_COUNT] = {0};
    found[NM_PLACE_SIGNALS] = w->by_signal;
    found[NM_PLACE_JUNCTION] = w->by_sign;
    for (uint32_t i = 0; i < w->lane_count; ++i) {
        const nm_lane *lane = &map->lanes[w->lanes[i]];
        const int inside = lane->junction != NM_NONE || (lane->flags & NM_LANE_JUNCTION);
        found[NM_PLACE_ROUNDABOUT] |= leads_round(map, w->lanes[i]);
        found[NM_PLACE_SIGNALS] |= inside && comes_from_signal(map, lane);
        found[NM_PLACE_JUNCTION] |= inside && shares_ground(map, lane, 0);
        found[NM_PLACE_CROSSWALK] |= shares_ground(map, lane, 1);
        found[NM_PLACE_RAMP] |= lane->type == NM_LANE_RAMP;
        found[NM_PLACE_FREEWAY] |= lane->type == NM_LANE_FREEWAY || lane->speed_limit >= FAST;
        found[NM_PLACE_MULTILANE] |= abreast(map, w->lanes[i]) >= 3;
        found[NM_PLACE_STREET] = 1;
    }
    for (int p = 0; p < NM_PLACE_NO_LANE; ++p)
        if (found[p]) return (nm_scene_place_type)p;
    return NM_PLACE_NO_LANE;
}

// ---------------------------------------------------------------------------------------------------------------------
// What it does

static int has_leader(const way *w, uint32_t step, const nm_criticality_params *params) {
    nm_box ego, other;
    if (!nm_scene_box(w->scene, w->ego, step, &ego)) return 0;
    for (uint32_t track = 0; track < w->scene->track_count; ++track) {
        if (track == w->ego || !nm_scene_box(w->scene, track, step, &other)) continue;
        const nm_following f = nm_follow(&ego, &other, params);
        if (f.following && (f.thw <= CLOSE_S || f.gap <= CLOSE_M)) return 1;
    }
    return 0;
}

static nm_scene_act act_of(const way *w, nm_scene_place_type place) {
    const nm_scene *scene = w->scene;
    const nm_criticality_params params = nm_criticality_params_default();
    float driven = 0.0f, turned = 0.0f, first_speed = 0.0f, last_speed = 0.0f;
    uint32_t steps = 0, led = 0;
    size_t before = SIZE_MAX;
    for (uint32_t step = w->first; step <= w->last; ++step) {
        const size_t at = nm_scene_at(scene, w->ego, step);
        if (!scene->valid[at]) continue;
        last_speed = nm_hypotf(scene->vx[at], scene->vy[at]);
        if (before == SIZE_MAX) {
            first_speed = last_speed;
        } else {
            driven += nm_hypotf(scene->x[at] - scene->x[before], scene->y[at] - scene->y[before]);
            turned += nm_wrap_angle(scene->heading[at] - scene->heading[before]);
        }
        before = at;
        ++steps;
        led += (uint32_t)has_leader(w, step, &params);
    }
    const int junction = place == NM_PLACE_SIGNALS || place == NM_PLACE_JUNCTION;
    if (driven < 1.0f) return NM_ACT_STANDING;
    if (junction && turned >= TURN) return NM_ACT_TURNING_LEFT;
    if (junction && turned <= -TURN) return NM_ACT_TURNING_RIGHT;
    if (w->lefts != w->rights) return w->lefts > w->rights ? NM_ACT_CHANGING_LEFT : NM_ACT_CHANGING_RIGHT;
    if (first_speed >= 3.0f && last_speed <= 0.5f) return NM_ACT_STOPPING;
    if (first_speed <= 0.5f && last_speed >= 3.0f) return NM_ACT_STARTING;
    return 2 * led >= steps ? NM_ACT_FOLLOWING : NM_ACT_CRUISING;
}

void nm_scene_classify(const nm_scene *scene, uint32_t ego, uint32_t first, uint32_t last, nm_scene_place_type *place,
                       nm_scene_act *act) {
    NM_ASSERT(scene && ego < scene->track_count && place && act);
    way w = {.scene = scene, .ego = ego, .first = first, .last = last};
    *place = NM_PLACE_NO_LANE;
    *act = NM_ACT_STANDING;
    if (first >= scene->step_count) return;
    if (w.last >= scene->step_count) w.last = scene->step_count - 1;
    (void)nm_map_prepare(scene->map, NULL); // without memory only the source's junctions are known
    follow_lanes(&w);
    *place = place_of(&w);
    *act = act_of(&w, *place);
}

void nm_scene_type(const nm_scene *scene, uint32_t ego, uint32_t first, uint32_t last, char *text, size_t size) {
    nm_scene_place_type place;
    nm_scene_act act;
    nm_scene_classify(scene, ego, first, last, &place, &act);
    snprintf(text, size, "%s: %s", nm_scene_place_type_name(place), nm_scene_act_name(act));
}
