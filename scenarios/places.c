// Finding places. Every kind has a test of one lane that adds the places on it; the order is that of the lanes.
#include "scenarios/places.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/geometry.h"

#define SPACING 25.0f        // m between places on one lane, where all of a map are looked at
#define BEHIND 40.0f         // m of way before a place that every kind needs
#define AHEAD 45.0f          // m after
#define CROSS_BEHIND 25.0f   // m before shared ground, for either
#define PARALLEL_SPREAD 0.6f // m by which the distance of two lanes may vary along a change
#define PARALLEL_BACK 40.0f  // m over which they must be parallel, before and ...
#define PARALLEL_ON 50.0f    // ... after the place
#define WALK_LIMIT 17.0f     // m/s: faster roads have no pedestrians on them (60 km/h)
#define NARROWEST 2.4f       // m: on narrower lanes boxes are over the border anyway
#define WIDEST 5.5f
#define MAX_BEND 0.02f     // 1/m for kinds along a road
#define SIDE_ANGLE 0.7f    // rad (40 degrees) from which on an approach is from the side ...
#define ONCOMING 2.44f     // ... and from which on from ahead (140 degrees)
#define ENDS_SOONER 20.0f  // m by which a lane must end before its neighbour, within ...
#define RAMP_END 150.0f    // ... this way
#define DRIFT_BEFORE 3.5f  // s that a drift needs before the place, and ...
#define DRIFT_AFTER 6.0f   // ... after it, at ...
#define U_TURN_BEFORE 4.5f // s that the ego is on its way while somebody turns back, at ...
#define LEAST_SHARE 0.55f  // ... this share of the speed limit, ...
#define LEAST_PACE 8.0f    // m/s ... or this
#define LOOKED_AT 50000.0f // m of a lane: in a file's lane of a million kilometres, s + SPACING is s
#define UNSEEING 25.0f     // m that the ego may drive before it notices anything, and ...
#define MOST_DRIFT 1.0f    // ... m that its lane may turn away from a straight line meanwhile

typedef struct nm_finder {
    const nm_map *map;
    nm_kind kind;
    float spacing;  // m between places on one lane
    float from, to; // m of a lane on which they may be
    nm_place *places;
    size_t max, count;
} nm_finder;

static void add(nm_finder *finder, const nm_place *place) {
    if (finder->count < finder->max) finder->places[finder->count] = *place;
    finder->count++;
}

static int drivable(const nm_map *map, uint32_t lane) {
    const nm_lane *l = &map->lanes[lane];
    return nm_lane_type_drivable((nm_lane_type)l->type) && l->type != NM_LANE_SHOULDER && l->type != NM_LANE_DRIVEWAY;
}

// The first of a lane within what is looked at.
static float first_place(const nm_finder *finder, const nm_lane *lane) {
    const float first = nm_minf(0.5f * lane->length, finder->spacing);
    const float later = nm_minf(finder->from, LOOKED_AT) - first;
    return later > 0 ? first + ceilf(later / finder->spacing) * finder->spacing : first;
}

uint32_t nm_straightest(const nm_map *map, uint32_t lane, int forward) {
    const nm_lane *l = &map->lanes[lane];
    const nm_range next = forward ? l->successors : l->predecessors;
    const nm_rail_point end = nm_map_rail(map, lane, forward ? l->length : 0);
    uint32_t best = NM_NONE;
    float least = INFINITY;
    for (uint32_t i = 0; i < next.count; i++) {
        const uint32_t candidate = map->lane_refs[next.first + i];
        if (candidate == lane || !drivable(map, candidate)) continue;
        const nm_rail_point far = nm_map_rail(map, candidate, forward ? map->lanes[candidate].length : 0);
        const float turn = 1 - (end.cos_h * far.cos_h + end.sin_h * far.sin_h);
        if (turn < least || (turn == least && candidate < best)) {
            least = turn;
            best = candidate;
        }
    }
    return best;
}

// m of way from s on (or back) along the straightest lanes, up to `reach`.
static float way(const nm_map *map, uint32_t lane, float s, int forward, float reach) {
    float length = forward ? map->lanes[lane].length - s : s;
    for (int hop = 0; hop < 24 && length < reach; hop++) {
        lane = nm_straightest(map, lane, forward);
        if (lane == NM_NONE) return length;
        length += map->lanes[lane].length;
    }
    return length < reach ? length : reach;
}

// --- along one road --------------------------------------------------------------------------------------------------

// The neighbour's centreline seen from (lane, s): m to the left. 0 when it does not lie beside it there.
static int beside(const nm_map *map, uint32_t lane, float s, uint32_t other, float *offset) {
    float x, y, heading;
    nm_map_position(map, lane, s, 0, &x, &y, &heading);
    const nm_frenet there = nm_map_project(map, other, x, y);
    if (fabsf(there.beyond) > 0.5f) return 0;
    const int against = fabsf(nm_wrap_angle(there.heading - heading)) > NM_HALF_PI_F;
    *offset = against ? there.d : -there.d;
    return 1;
}

// Walks both lanes and what follows them from `from` to `to` m relative to s, and compares their distance.
static int parallel(const nm_map *map, uint32_t lane, float s, uint32_t other, int opposite, float from, float to,
                    float wanted) {
    for (float at = from; at <= to; at += 10) {
        uint32_t own = lane, their = other;
        float on = s + at, offset = 0;
        while (own != NM_NONE && (on < 0 || on > map->lanes[own].length)) {
            const int forward = on > 0;
            if (forward) on -= map->lanes[own].length;
            own = nm_straightest(map, own, forward);
            if (own != NM_NONE && !forward) on += map->lanes[own].length;
        }
        if (own == NM_NONE) return 0;
        int found = 0;
        for (int hop = 0; hop < 6 && their != NM_NONE && !found; hop++) {
            found = beside(map, own, on, their, &offset);
            if (!found) their = nm_straightest(map, their, (at > 0) != (opposite != 0));
        }
        if (!found || fabsf(offset - wanted) > PARALLEL_SPREAD) return 0;
    }
    return 1;
}

// As the detectors see it: a ramp beside another lane, or one that ends sooner.
static int must_be_left(const nm_map *map, uint32_t lane, float s, uint32_t through, float through_s) {
    if (map->lanes[lane].type == NM_LANE_RAMP) return map->lanes[through].type != NM_LANE_RAMP;
    return way(map, lane, s, 1, RAMP_END) + ENDS_SOONER < way(map, through, through_s, 1, RAMP_END);
}

// m before and after the place over which somebody who drifts must be seen to keep to its lane, at the road's pace.
static int plain_lane(const nm_map *map, uint32_t lane, float s) {
    const float pace = nm_maxf(LEAST_SHARE * nm_map_rail(map, lane, s).speed_limit, LEAST_PACE);
    for (int forward = 0; forward <= 1; forward++) {
        float left = pace * (forward ? DRIFT_AFTER : DRIFT_BEFORE);
        uint32_t at = lane;
        left -= forward ? map->lanes[lane].length - s : s;
        for (int hop = 0; hop < 24 && left > 0; hop++) {
            at = nm_straightest(map, at, forward);
            if (at == NM_NONE || (map->lanes[at].flags & NM_LANE_JUNCTION)) return 0;
            left -= map->lanes[at].length;
        }
    }
    return 1;
}

static int fits_beside(const nm_finder *finder, const nm_place *place, const nm_neighbour *neighbour) {
    const nm_map *map = finder->map;
    const uint32_t other = neighbour->lane;
    if (!drivable(map, other) || (map->lanes[other].flags & NM_LANE_JUNCTION)) return 0;
    if (place->ego_s < neighbour->self_start || place->ego_s > neighbour->self_end) return 0;
    if (finder->kind == NM_KIND_HEAD_ON)
        return neighbour->opposite && place->offset > 0 &&
               parallel(map, place->ego_lane, place->ego_s, other, 1, -20, 60, place->offset);
    if (neighbour->opposite || !neighbour->may_change) return 0;
    float x, y, heading;
    nm_map_position(map, place->ego_lane, place->ego_s, 0, &x, &y, &heading);
    const float there = nm_map_project(map, other, x, y).s;
    const int ends = must_be_left(map, other, there, place->ego_lane, place->ego_s);
    if (finder->kind == NM_KIND_MERGE_CONFLICT)
        return ends && parallel(map, place->ego_lane, place->ego_s, other, 0, -25, 15, place->offset);
    if (ends || must_be_left(map, place->ego_lane, place->ego_s, other, there)) return 0; // a change there is a merge
    if (finder->kind == NM_KIND_LANE_DRIFT && !plain_lane(map, other, there)) return 0;
    return parallel(map, place->ego_lane, place->ego_s, other, 0, -PARALLEL_BACK, PARALLEL_ON, place->offset);
}

static void add_neighbours(nm_finder *finder, const nm_place *place, int left) {
    const nm_map *map = finder->map;
    const nm_lane *lane = &map->lanes[place->ego_lane];
    const nm_range range = left ? lane->left : lane->right;
    const nm_rail_point rail = nm_map_rail(map, place->ego_lane, place->ego_s);
    for (uint32_t i = 0; i < range.count; i++) {
        const nm_neighbour *neighbour = &map->neighbours[range.first + i];
        nm_place found = *place;
        found.side = left ? 1 : -1;
        found.lane = neighbour->lane;
        found.border = left ? rail.left : rail.right;
        if (!beside(map, place->ego_lane, place->ego_s, neighbour->lane, &found.offset)) continue;
        const float apart = fabsf(found.offset);
        if ((found.offset > 0) != left || apart < NARROWEST || apart > WIDEST) continue;
        if (fits_beside(finder, &found, neighbour)) add(finder, &found);
    }
}

// A wrong way only where no lane runs the other way on the same ground.
static int one_way_there(const nm_map *map, const nm_place *place) {
    nm_frenet under[8];
    for (float at = -10; at <= 40; at += 10) {
        float x, y, heading;
        const float s = nm_clampf(place->ego_s + at, 0, map->lanes[place->ego_lane].length);
        nm_map_position(map, place->ego_lane, s, 0, &x, &y, &heading);
        const size_t count = nm_map_lanes_at(map, x, y, under, 8);
        if (count > 8) return 0;
        for (size_t i = 0; i < count; i++)
            if (fabsf(nm_wrap_angle(under[i].heading - heading)) > NM_HALF_PI_F ||
                (map->lanes[under[i].lane].flags & NM_LANE_BIDIRECTIONAL))
                return 0;
    }
    return 1;
}

static void find_on_road(nm_finder *finder, uint32_t lane) {
    const nm_map *map = finder->map;
    const nm_lane *l = &map->lanes[lane];
    const unsigned needs = nm_kind_spec_of(finder->kind)->needs;
    const unsigned pair = NM_NEED_ADJACENT_LANE | NM_NEED_ENDING_LANE | NM_NEED_ONCOMING_LANE;
    if ((l->flags & NM_LANE_JUNCTION) || l->length < 5) return;
    const float end = nm_minf(nm_minf(l->length, LOOKED_AT), finder->to);
    for (float s = first_place(finder, l); s < end; s += finder->spacing) {
        nm_place place = {.ego_lane = lane, .ego_s = s, .ego_out = s, .lane = NM_NONE};
        const nm_rail_point rail = nm_map_rail(map, lane, s);
        if (fabsf(rail.curvature) > MAX_BEND || rail.left + rail.right < NARROWEST) continue;
        place.behind = way(map, lane, s, 0, NM_PLACE_REACH);
        place.ahead = way(map, lane, s, 1, NM_PLACE_REACH);
        if (place.behind < BEHIND || place.ahead < (finder->kind == NM_KIND_WRONG_WAY ? 2 * AHEAD : AHEAD)) continue;
        if (finder->kind == NM_KIND_WRONG_WAY && (s + 25 > l->length || !one_way_there(map, &place))) continue;
        if (!(needs & pair)) {
            add(finder, &place);
            continue;
        }
        add_neighbours(finder, &place, 0);
        add_neighbours(finder, &place, 1);
    }
}

// The ego's lanes run straight on before the place: an ego that keeps its velocity stays in them.
static int straight_before(const nm_finder *finder, uint32_t lane, float s) {
    const nm_map *map = finder->map;
    if (nm_kind_param_index(finder->kind, NM_PARAM_REACTION) < 0) return 1;
    const nm_rail_point here = nm_map_rail(map, lane, s);
    float on = s - UNSEEING;
    while (on < 0) {
        lane = nm_straightest(map, lane, 0);
        if (lane == NM_NONE) return 1;
        on += map->lanes[lane].length;
    }
    const nm_rail_point there = nm_map_rail(map, lane, on);
    const float sine = here.sin_h * there.cos_h - here.cos_h * there.sin_h;
    return fabsf(sine) * UNSEEING <= MOST_DRIFT && here.cos_h * there.cos_h + here.sin_h * there.sin_h > 0;
}

// --- across a street -------------------------------------------------------------------------------------------------

static int street(const nm_map *map, uint32_t lane, float s) {
    const uint8_t type = map->lanes[lane].type;
    if (type == NM_LANE_FREEWAY || type == NM_LANE_RAMP || type == NM_LANE_SHOULDER) return 0;
    return nm_map_rail(map, lane, s).speed_limit <= WALK_LIMIT;
}

// Nothing drives to the right of the lane around the place, and what stands there is not in a junction.
static int at_roadside(const nm_map *map, const nm_place *place) {
    const nm_lane *lane = &map->lanes[place->ego_lane];
    nm_frenet under[8];
    if (place->behind < BEHIND || place->ahead < AHEAD) return 0;
    if (place->ego_s < 8 || place->ego_s + 12 > lane->length) return 0;
    for (float at = -8; at <= 12; at += 5) {
        float x, y, heading;
        const nm_rail_point rail = nm_map_rail(map, place->ego_lane, place->ego_s + at);
        nm_map_position(map, place->ego_lane, place->ego_s + at, -rail.right - 1.5f, &x, &y, &heading);
        const size_t count = nm_map_lanes_at(map, x, y, under, 8);
        for (size_t i = 0; i < count && i < 8; i++)
            if (under[i].lane != place->ego_lane && drivable(map, under[i].lane)) return 0;
    }
    return 1;
}

// The half circle that the adversary drives lies on the road, its corners as well.
static int may_turn(const nm_map *map, const nm_place *place) {
    const nm_rail_point rail = nm_map_rail(map, place->ego_lane, place->ego_s);
    for (int i = 0; i <= 12; i++) {
        float sine, cosine, x, y, heading;
        nm_sincosf((float)NM_PI * (float)i / 12, &sine, &cosine);
        const float outside = NM_U_TURN_RADIUS + 1; // the corner that swings out
        const float s = place->ego_s + outside * sine;
        const float d = NM_U_TURN_START(rail.right) + NM_U_TURN_RADIUS - outside * cosine;
        if (d < 0.2f - rail.right) continue; // where it stood, beside the road
        nm_map_position(map, place->ego_lane, nm_minf(s, map->lanes[place->ego_lane].length), d, &x, &y, &heading);
        if (!nm_map_drivable(map, x, y)) return 0;
    }
    return 1;
}

static void find_on_street(nm_finder *finder, uint32_t lane) {
    const nm_map *map = finder->map;
    const nm_lane *l = &map->lanes[lane];
    if ((l->flags & NM_LANE_JUNCTION) || l->length < 5) return;
    const float end = nm_minf(nm_minf(l->length, LOOKED_AT), finder->to);
    for (float s = first_place(finder, l); s < end; s += finder->spacing) {
        nm_place place = {.ego_lane = lane, .ego_s = s, .ego_out = s, .lane = NM_NONE};
        if (!street(map, lane, s) || fabsf(nm_map_rail(map, lane, s).curvature) > MAX_BEND) continue;
        place.behind = way(map, lane, s, 0, NM_PLACE_REACH);
        place.ahead = way(map, lane, s, 1, NM_PLACE_REACH);
        if (place.behind < CROSS_BEHIND || place.ahead < 15 || !straight_before(finder, lane, s)) continue;
        if (nm_kind_spec_of(finder->kind)->needs & (NM_NEED_ROADSIDE | NM_NEED_TURNING_ROOM)) {
            place.side = -1;
            const float pace = nm_maxf(LEAST_SHARE * nm_map_rail(map, lane, s).speed_limit, LEAST_PACE);
            if (finder->kind == NM_KIND_SUDDEN_U_TURN && place.behind < pace * U_TURN_BEFORE) continue;
            if (at_roadside(map, &place) && (finder->kind != NM_KIND_SUDDEN_U_TURN || may_turn(map, &place)))
                add(finder, &place);
            continue;
        }
        for (place.side = -1; place.side <= 1; place.side += 2) add(finder, &place);
    }
}

// --- crossing ways ---------------------------------------------------------------------------------------------------

// Direction in which one comes to a lane: 15 m before its start.
static float approach(const nm_map *map, uint32_t lane) {
    const uint32_t before = nm_straightest(map, lane, 0);
    const nm_rail_point rail =
        before == NM_NONE ? nm_map_rail(map, lane, 0) : nm_map_rail(map, before, map->lanes[before].length - 15);
    return nm_atan2f(rail.sin_h, rail.cos_h);
}

static int has_signal(const nm_map *map, uint32_t lane) {
    const uint32_t before = nm_straightest(map, lane, 0);
    return map->lanes[lane].signals.count > 0 || (before != NM_NONE && map->lanes[before].signals.count > 0);
}

// Nobody who drives on it has to stop or give way by sign.
static int has_way(const nm_map *map, uint32_t lane) {
    for (int hop = 0; hop < 3 && lane != NM_NONE; hop++) {
        const uint8_t control = map->lanes[lane].control;
        if (control == NM_CONTROL_YIELD || control == NM_CONTROL_STOP || control == NM_CONTROL_ALL_WAY_STOP) return 0;
        lane = nm_straightest(map, lane, 0);
    }
    return 1;
}

static int goes_straight(const nm_map *map, uint32_t lane) {
    const nm_lane *l = &map->lanes[lane];
    if (l->turn == NM_TURN_LEFT || l->turn == NM_TURN_RIGHT || l->turn == NM_TURN_U) return 0;
    const nm_rail_point a = nm_map_rail(map, lane, 0), b = nm_map_rail(map, lane, l->length);
    return a.cos_h * b.cos_h + a.sin_h * b.sin_h > 0.9f;
}

static int turns(const nm_map *map, uint32_t lane, int left) {
    const nm_lane *l = &map->lanes[lane];
    const nm_rail_point a = nm_map_rail(map, lane, 0), b = nm_map_rail(map, lane, l->length);
    const float sine = a.cos_h * b.sin_h - a.sin_h * b.cos_h;
    return l->turn == (left ? NM_TURN_LEFT : NM_TURN_RIGHT) && (left ? sine : -sine) > 0.75f;
}

static int fits_crossing(const nm_finder *finder, uint32_t lane, const nm_conflict *conflict) {
    const nm_map *map = finder->map;
    const uint32_t other = conflict->lane;
    const float angle = fabsf(nm_wrap_angle(approach(map, other) - approach(map, lane)));
    const int merges = conflict->kind == NM_CONFLICT_MERGE, crosses = conflict->kind == NM_CONFLICT_CROSS;
    if (!drivable(map, other) || conflict->precedence == NM_PRECEDENCE_THEIRS) return 0;
    const int side = angle > SIDE_ANGLE && angle < ONCOMING;
    switch (finder->kind) {
    case NM_KIND_UNPROTECTED_LEFT_TURN:
        return crosses && angle > ONCOMING && turns(map, other, 1);
    case NM_KIND_RIGHT_TURN_CONFLICT:
        return merges && side && turns(map, other, 0) && !has_signal(map, other);
    case NM_KIND_RED_LIGHT_RUNNER:
        return crosses && side && goes_straight(map, other) && has_signal(map, other);
    default:
        return crosses && side && goes_straight(map, other) && !has_signal(map, other);
    }
}

static void find_crossing(nm_finder *finder, uint32_t lane) {
    const nm_map *map = finder->map;
    const nm_lane *l = &map->lanes[lane];
    if (l->conflicts.count == 0 || !goes_straight(map, lane) || !has_way(map, lane)) return;
    for (uint32_t i = 0; i < l->conflicts.count; i++) {
        const nm_conflict *conflict = &map->conflicts[l->conflicts.first + i];
        if (conflict->self_in < finder->from || conflict->self_in > finder->to) continue;
        if (conflict->kind == NM_CONFLICT_DIVERGE || !fits_crossing(finder, lane, conflict)) continue;
        nm_place place = {.ego_lane = lane,
                          .ego_s = conflict->self_in,
                          .ego_out = conflict->self_out,
                          .lane = conflict->lane,
                          .in = conflict->other_in,
                          .out = conflict->other_out};
        place.behind = way(map, lane, place.ego_s, 0, NM_PLACE_REACH);
        place.ahead = way(map, lane, place.ego_s, 1, NM_PLACE_REACH);
        if (place.behind < CROSS_BEHIND || place.ahead < 10 || !straight_before(finder, lane, place.ego_s)) continue;
        if (way(map, place.lane, place.in, 0, CROSS_BEHIND) < CROSS_BEHIND) continue;
        if (finder->kind == NM_KIND_RIGHT_TURN_CONFLICT && place.ahead < 40) continue;
        add(finder, &place);
    }
}

// --- the finder ------------------------------------------------------------------------------------------------------

static void find_on_lane(nm_finder *finder, uint32_t lane) {
    const unsigned crossing = NM_NEED_CROSSING_LANE | NM_NEED_LEFT_TURN | NM_NEED_RIGHT_TURN | NM_NEED_SIGNAL;
    const unsigned needs = nm_kind_spec_of(finder->kind)->needs;
    if (!drivable(finder->map, lane)) return;
    if (needs & crossing)
        find_crossing(finder, lane);
    else if (needs & NM_NEED_STREET)
        find_on_street(finder, lane);
    else
        find_on_road(finder, lane);
}

nm_status nm_kind_places(const nm_map *map, nm_kind kind, nm_place *places, size_t max, size_t *count,
                         nm_error *error) {
    NM_ASSERT(map && count && (places || max == 0));
    *count = 0;
    nm_status status = nm_map_prepare(map, error);
    if (status != NM_OK || !nm_kind_spec_of(kind)->generable) return status;
    nm_finder finder = {.map = map, .kind = kind, .spacing = SPACING, .to = INFINITY, .places = places, .max = max};
    for (uint32_t lane = 0; lane < map->lane_count; lane++) find_on_lane(&finder, lane);
    *count = finder.count;
    return NM_OK;
}

nm_status nm_kind_places_on(const nm_map *map, nm_kind kind, const nm_lane_piece *pieces, size_t piece_count,
                            float spacing, nm_place *places, size_t max, size_t *count, nm_error *error) {
    NM_ASSERT(map && count && (places || max == 0) && (pieces || piece_count == 0) && spacing > 0);
    *count = 0;
    nm_status status = nm_map_prepare(map, error);
    if (status != NM_OK || !nm_kind_spec_of(kind)->generable) return status;
    nm_finder finder = {.map = map, .kind = kind, .spacing = spacing, .places = places, .max = max};
    for (size_t i = 0; i < piece_count; i++) {
        NM_ASSERT(pieces[i].lane < map->lane_count);
        finder.from = pieces[i].from;
        finder.to = pieces[i].to;
        find_on_lane(&finder, pieces[i].lane);
    }
    *count = finder.count;
    return NM_OK;
}

nm_status nm_kinds_on_map(const nm_map *map, uint32_t *kinds, nm_error *error) {
    *kinds = 0;
    for (int kind = 0; kind < NM_KIND_COUNT; kind++) {
        size_t count;
        nm_status status = nm_kind_places(map, (nm_kind)kind, NULL, 0, &count, error);
        if (status != NM_OK) return status;
        if (count > 0) *kinds |= 1u << kind;
    }
    return NM_OK;
}

static void append(char *text, size_t size, const char *between, const char *word) {
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used ? between : "", word);
}

nm_status nm_kind_check_map(const nm_map *map, nm_kind kind, nm_error *error) {
    const nm_kind_spec *spec = nm_kind_spec_of(kind);
    size_t count;
    nm_status status = nm_kind_places(map, kind, NULL, 0, &count, error);
    if (status != NM_OK || count > 0) return status;
    uint32_t kinds;
    status = nm_kinds_on_map(map, &kinds, error);
    if (status != NM_OK) return status;
    char needs[256] = "", fit[256] = "";
    for (unsigned bit = NM_NEED_ROAD; bit < 1u << NM_NEED_COUNT; bit <<= 1)
        // way to drive goes without saying where something rarer is needed
        if ((spec->needs & bit) && (bit != NM_NEED_ROAD || spec->needs == NM_NEED_ROAD))
            append(needs, sizeof needs, " and ", nm_need_text(bit));
    for (int i = 0; i < NM_KIND_COUNT; i++)
        if (kinds >> i & 1u) append(fit, sizeof fit, ", ", nm_kind_name((nm_kind)i));
    if (!spec->generable)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "%s is an outcome, not a manoeuvre; this map can hold %s", spec->name,
                        fit[0] ? fit : "no kind");
    return NM_ERROR(error, NM_E_UNSUPPORTED, "%s needs %s, and the map has none; it can hold %s", spec->name, needs,
                    fit[0] ? fit : "no kind");
}
