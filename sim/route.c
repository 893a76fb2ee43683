#include "sim/route_private.h"

#include <stdlib.h>

#define CHANGE_METRES 40.0f // over which a change of lanes is drawn out
#define SHORTEST_CHANGE 5.0f
#define LONGEST_ROUTE 200000.0f // m
#define BEND_REACH 2u           // points to each side over which curvature is measured

struct nm_route {
    nm_arena *arena;
    nm_planner_route public;
    nm_planner_pose goal;
};

/// The line while it grows: points as they come, then those 1 m apart.
typedef struct line {
    const nm_map *map;
    nm_planner_point *points;
    float *limit;
    float *along; // m from the first point
    uint32_t count, capacity;
    int full; // out of memory
} line;

nm_status nm_route_add_leg(nm_route_legs *legs, uint32_t lane, float change_at, nm_error *error) {
    if (legs->count == legs->capacity) {
        const uint32_t capacity = legs->capacity ? 2 * legs->capacity : 32;
        nm_route_leg *items = realloc(legs->items, capacity * sizeof *items);
        if (!items) return NM_ERROR(error, NM_E_MEMORY, "no memory for a route of %u lanes", capacity);
        legs->items = items;
        legs->capacity = capacity;
    }
    legs->items[legs->count++] = (nm_route_leg){lane, change_at};
    return NM_OK;
}

static void line_release(line *l) {
    free(l->points);
    free(l->limit);
    free(l->along);
}

static int line_grow(line *l) {
    const uint32_t capacity = l->capacity ? 2 * l->capacity : 512;
    nm_planner_point *points = realloc(l->points, capacity * sizeof *points);
    if (points) l->points = points;
    float *limit = realloc(l->limit, capacity * sizeof *limit);
    if (limit) l->limit = limit;
    float *along = realloc(l->along, capacity * sizeof *along);
    if (along) l->along = along;
    if (!points || !limit || !along) return 0;
    l->capacity = capacity;
    return 1;
}

/// Points closer than a decimetre are left out: their directions would be noise.
static void line_add(line *l, float x, float y, float limit) {
    float along = 0.0f;
    if (l->count) {
        const nm_planner_point last = l->points[l->count - 1];
        const float way = nm_hypotf(x - last.x_scene, y - last.y_scene);
        if (way < 0.1f) return;
        along = l->along[l->count - 1] + way;
    }
    if (l->full || (l->count == l->capacity && !line_grow(l))) {
        l->full = 1;
        return;
    }
    l->points[l->count] = (nm_planner_point){x, y};
    l->limit[l->count] = limit;
    l->along[l->count++] = along;
}

static float line_length(const line *l) {
    return l->count ? l->along[l->count - 1] : 0.0f;
}

static float limit_at(const nm_map *map, uint32_t lane, float s) {
    return nm_map_rail(map, lane, s).speed_limit;
}

/// The centreline of a lane from `from` to `to`, a metre at a time; not on and on, as a lane may be longer than a float
/// can count in metres.
static void draw_lane(line *l, uint32_t lane, float from, float to) {
    for (uint32_t i = 0; line_length(l) <= LONGEST_ROUTE; i++) {
        float x, y, heading;
        const float at = nm_minf(from + (float)i, to);
        nm_map_position(l->map, lane, at, 0.0f, &x, &y, &heading);
        line_add(l, x, y, limit_at(l->map, lane, at));
        if (at >= to || l->full) return;
    }
}

static float smooth(float u) {
    return u * u * (3.0f - 2.0f * u);
}

/// From one lane over to another, beginning at `from` on the first. Returns where it ends on the second.
static float draw_change(line *l, uint32_t lane, float from, uint32_t next) {
    float x, y, heading;
    nm_map_position(l->map, lane, from, 0.0f, &x, &y, &heading);
    nm_frenet there = nm_map_project(l->map, next, x, y);
    const float room = nm_minf(l->map->lanes[next].length - there.s, l->map->lanes[lane].length - from + 10.0f);
    const float length = nm_clampf(room, SHORTEST_CHANGE, CHANGE_METRES);
    for (float u = 0.0f; u <= length; u += 1.0f) {
        nm_map_position(l->map, lane, from + u, 0.0f, &x, &y, &heading);
        there = nm_map_project(l->map, next, x, y);
        float to_x, to_y;
        nm_map_position(l->map, next, there.s + there.beyond, 0.0f, &to_x, &to_y, &heading);
        const float share = smooth(nm_minf(u / length, 1.0f));
        line_add(l, x + share * (to_x - x), y + share * (to_y - y), limit_at(l->map, next, there.s));
    }
    return there.s;
}

/// The place on `next` beside `s` of a lane.
static float beside(const nm_map *map, uint32_t lane, float s, uint32_t next) {
    float x, y, heading;
    nm_map_position(map, lane, s, 0.0f, &x, &y, &heading);
    return nm_map_project(map, next, x, y).s;
}

/// Does `next` run the other way where it is beside `s` of a lane: who drives on it there has turned round.
static int turns_round(const nm_map *map, uint32_t lane, float s, uint32_t next) {
    float x, y, heading, there;
    nm_map_position(map, lane, s, 0.0f, &x, &y, &heading);
    nm_map_position(map, next, beside(map, lane, s, next), 0.0f, &x, &y, &there);
    return fabsf(nm_wrap_angle(there - heading)) > 2.3f;
}

/// The line through all legs from `start` on the first to the end of the last. lane_from [out, legs->count]
static void draw(line *l, const nm_route_legs *legs, float start, float *lane_from) {
    float from = start;
    for (uint32_t i = 0; i < legs->count; i++) {
        const nm_route_leg *leg = &legs->items[i];
        lane_from[i] = line_length(l);
        const float length = l->map->lanes[leg->lane].length;
        if (i + 1 == legs->count || nm_route_follows(l->map, leg->lane, legs->items[i + 1].lane)) {
            draw_lane(l, leg->lane, nm_minf(from, length), length);
            from = 0.0f;
            continue;
        }
        const uint32_t next = legs->items[i + 1].lane;
        const float change = leg->change_at < 0.0f ? from : leg->change_at;
        const int round = turns_round(l->map, leg->lane, nm_minf(change, length), next);
        const float at = round ? nm_clampf(change, from, length)
                               : nm_clampf(change - 0.5f * CHANGE_METRES * (leg->change_at >= 0.0f), from, length);
        draw_lane(l, leg->lane, nm_minf(from, at), at);
        from = round ? beside(l->map, leg->lane, at, next) : draw_change(l, leg->lane, at, next);
    }
}

/// Adds the straightest lanes until `metres` of road follow. Dead ends end it.
static nm_status extend(const nm_map *map, nm_route_legs *legs, float metres, nm_error *error) {
    uint32_t lane = legs->items[legs->count - 1].lane;
    while (metres > 0.0f) {
        const nm_range range = map->lanes[lane].successors;
        const nm_rail_point end = nm_map_rail(map, lane, map->lanes[lane].length);
        uint32_t best = NM_NONE;
        float straightest = -2.0f;
        for (uint32_t k = range.first; k < range.first + range.count; k++) {
            const uint32_t next = map->lane_refs[k];
            if (!nm_lane_type_drivable((nm_lane_type)map->lanes[next].type)) continue;
            const nm_rail_point far = nm_map_rail(map, next, map->lanes[next].length);
            const float cosine = end.cos_h * far.cos_h + end.sin_h * far.sin_h;
            if (cosine <= straightest) continue;
            straightest = cosine;
            best = next;
        }
        if (best == NM_NONE) return NM_OK;
        const nm_status status = nm_route_add_leg(legs, best, -1.0f, error);
        if (status != NM_OK) return status;
        lane = best;
        metres -= nm_maxf(map->lanes[lane].length, 0.5f);
    }
    return NM_OK;
}

static void measure_bends(const nm_planner_point *points, uint32_t count, float *heading, float *curvature) {
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t a = i ? i - 1 : 0, b = i + 1 < count ? i + 1 : i;
        heading[i] = nm_atan2f(points[b].y_scene - points[a].y_scene, points[b].x_scene - points[a].x_scene);
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t a = i > BEND_REACH ? i - BEND_REACH : 0, b = i + BEND_REACH < count ? i + BEND_REACH : count - 1;
        const float way = nm_hypotf(points[b].x_scene - points[a].x_scene, points[b].y_scene - points[a].y_scene);
        curvature[i] = way > 0.0f ? nm_wrap_angle(heading[b] - heading[a]) / way : 0.0f;
    }
}

/// The line again with points 1 m apart, in the route's memory.
static nm_status resample(nm_route *route, const line *l, nm_error *error) {
    const float length = line_length(l);
    if (l->full || length > LONGEST_ROUTE || length < 1.0f)
        return l->full ? NM_ERROR(error, NM_E_MEMORY, "no memory for the points of a route")
                       : NM_ERROR(error, NM_E_LIMIT, "the scene's route is %s: 1 m to 200 km are possible",
                                  length < 1.0f ? "shorter than 1 m" : "longer than 200 km");
    const uint32_t count = (uint32_t)ceilf(length) + 1;
    nm_planner_point *points = NM_ARENA_ARRAY(route->arena, nm_planner_point, count);
    float *heading = NM_ARENA_ARRAY(route->arena, float, count), *limit = NM_ARENA_ARRAY(route->arena, float, count);
    float *curvature = NM_ARENA_ARRAY(route->arena, float, count);
    if (!points || !heading || !limit || !curvature)
        return NM_ERROR(error, NM_E_MEMORY, "no memory for a route of %u m", count);
    uint32_t k = 0;
    for (uint32_t i = 0; i < count; i++) {
        const float s = nm_minf((float)i, length);
        while (k + 2 < l->count && l->along[k + 1] < s) k++;
        const float span = l->along[k + 1] - l->along[k];
        const float t = nm_clampf((s - l->along[k]) / span, 0.0f, 1.0f);
        const nm_planner_point a = l->points[k], b = l->points[k + 1];
        points[i].x_scene = a.x_scene + t * (b.x_scene - a.x_scene);
        points[i].y_scene = a.y_scene + t * (b.y_scene - a.y_scene);
        limit[i] = l->limit[k];
    }
    measure_bends(points, count, heading, curvature);
    route->public.point_count = count;
    route->public.points = points;
    route->public.heading_scene = heading;
    route->public.curvature = curvature;
    route->public.speed_limit = limit;
    route->public.length = length;
    return NM_OK;
}

static nm_status fill(nm_route *route, const nm_map *map, const nm_route_legs *legs, float start, nm_error *error) {
    uint32_t *lanes = NM_ARENA_ARRAY(route->arena, uint32_t, legs->count);
    float *lane_from = NM_ARENA_ARRAY(route->arena, float, legs->count);
    if (!lanes || !lane_from) return NM_ERROR(error, NM_E_MEMORY, "no memory for a route of %u lanes", legs->count);
    line l = {.map = map};
    for (uint32_t i = 0; i < legs->count; i++) lanes[i] = legs->items[i].lane;
    draw(&l, legs, start, lane_from);
    const nm_status status = resample(route, &l, error);
    line_release(&l);
    route->public.lane_count = legs->count;
    route->public.lanes = lanes;
    route->public.lane_from = lane_from;
    return status;
}

/// Makes the route of legs whose last `goal_leg` holds the goal; `goal` NULL puts it NM_ROUTE_AHEAD.
static nm_status make(const nm_map *map, nm_route_legs *legs, nm_planner_pose start, const nm_planner_pose *goal,
                      nm_route **out, nm_error *error) {
    const uint32_t goal_leg = legs->count - 1;
    nm_status status = extend(map, legs, goal ? NM_ROUTE_BEYOND : NM_ROUTE_AHEAD + NM_ROUTE_BEYOND, error);
    if (status != NM_OK) return status;
    nm_route *route = calloc(1, sizeof *route);
    if (!route || !(route->arena = nm_arena_create(0))) {
        free(route);
        return NM_ERROR(error, NM_E_MEMORY, "no memory for a route");
    }
    // From some way behind the ego, so that its rear axle and what it drives off are on the line, too.
    const float begin = nm_maxf(nm_map_project(map, legs->items[0].lane, start.x_scene, start.y_scene).s - 20.0f, 0.0f);
    status = fill(route, map, legs, begin, error);
    if (status != NM_OK) {
        nm_route_destroy(route);
        return status;
    }
    nm_planner_route *made = &route->public;
    if (goal) {
        route->goal = *goal;
        made->goal = nm_route_project(made, goal->x_scene, goal->y_scene, made->lane_from[goal_leg] + 20.0f, NULL);
    } else {
        const float from = nm_route_project(made, start.x_scene, start.y_scene, 0.0f, NULL);
        made->goal = nm_minf(from + NM_ROUTE_AHEAD, made->length);
        route->goal = nm_route_at(made, made->goal).pose;
    }
    *out = route;
    return NM_OK;
}

static nm_planner_pose recorded_pose(const nm_scene *scene, uint32_t step) {
    const size_t at = nm_scene_at(scene, scene->ego, step);
    return (nm_planner_pose){scene->x[at], scene->y[at], scene->heading[at]};
}

nm_status nm_route_of_scene(const nm_scene *scene, uint32_t start_step, nm_route **route, nm_error *error) {
    NM_ASSERT(scene && route);
    *route = NULL;
    const nm_map *map = scene->map;
    if (map->lane_count == 0) return NM_ERROR(error, NM_E_NOT_FOUND, "the scene has no map: there are no lanes");
    if (scene->ego == NM_NONE) return NM_ERROR(error, NM_E_NOT_FOUND, "the scene has no ego");
    if (start_step >= scene->step_count || !scene->valid[nm_scene_at(scene, scene->ego, start_step)])
        return NM_ERROR(error, NM_E_NOT_FOUND, "the scene's ego is not there at step %u", start_step);
    nm_status status = nm_map_prepare(map, error);
    if (status != NM_OK) return status;
    const uint32_t last = scene->tracks[scene->ego].last_step;
    const nm_planner_pose start = recorded_pose(scene, start_step), goal = recorded_pose(scene, last);
    nm_route_legs legs = {0};
    status = nm_route_match(scene, start_step, &legs, error);
    if (status == NM_OK) status = make(map, &legs, start, last > start_step ? &goal : NULL, route, error);
    free(legs.items);
    return status;
}

nm_status nm_route_through(const nm_map *map, const uint32_t *lanes, uint32_t count, nm_planner_pose start,
                           nm_planner_pose goal, nm_route **route, nm_error *error) {
    NM_ASSERT(map && lanes && route);
    *route = NULL;
    if (count == 0) return NM_ERROR(error, NM_E_ARGUMENT, "a route needs a lane at least");
    nm_status status = nm_map_prepare(map, error);
    nm_route_legs legs = {0};
    for (uint32_t i = 0; status == NM_OK && i < count; i++) {
        if (lanes[i] >= map->lane_count)
            status = NM_ERROR(error, NM_E_ARGUMENT, "lane %u of the route is %u: the map has %u lanes", i, lanes[i],
                              map->lane_count);
        else
            status = nm_route_add_leg(&legs, lanes[i], -1.0f, error);
    }
    if (status == NM_OK) {
        // the first change begins beside the ego, not at the start of its lane
        legs.items[0].change_at = nm_map_project(map, lanes[0], start.x_scene, start.y_scene).s + 0.5f * CHANGE_METRES;
        status = make(map, &legs, start, &goal, route, error);
    }
    free(legs.items);
    return status;
}

void nm_route_destroy(nm_route *route) {
    if (!route) return;
    nm_arena_destroy(route->arena);
    free(route);
}

const nm_planner_route *nm_route_get(const nm_route *route) {
    return &route->public;
}

nm_planner_pose nm_route_goal(const nm_route *route) {
    return route->goal;
}

nm_route_place nm_route_at(const nm_planner_route *route, float s) {
    const uint32_t last = route->point_count - 1;
    const float on = nm_clampf(s, 0.0f, route->length);
    const uint32_t i = (uint32_t)on < last ? (uint32_t)on : last - 1;
    const float span = i + 1 == last ? route->length - (float)i : 1.0f;
    const float t = span > 0.0f ? nm_minf((on - (float)i) / span, 1.0f) : 0.0f;
    const nm_planner_point a = route->points[i], b = route->points[i + 1];
    const float turn = nm_wrap_angle(route->heading_scene[i + 1] - route->heading_scene[i]);
    return (nm_route_place){
        .pose = {a.x_scene + t * (b.x_scene - a.x_scene), a.y_scene + t * (b.y_scene - a.y_scene),
                 nm_wrap_angle(route->heading_scene[i] + t * turn)},
        .curvature = route->curvature[i] + t * (route->curvature[i + 1] - route->curvature[i]),
        .speed_limit = route->speed_limit[i],
    };
}

/// Nearest place among the segments [first, last).
static float nearest(const nm_planner_route *route, nm_vec2 p, uint32_t first, uint32_t last, float *offset) {
    float least = INFINITY, s = 0.0f;
    *offset = INFINITY;
    for (uint32_t i = first; i < last; i++) {
        const nm_vec2 a = {route->points[i].x_scene, route->points[i].y_scene};
        const nm_vec2 b = {route->points[i + 1].x_scene, route->points[i + 1].y_scene};
        const float t = nm_segment_nearest(a, b, p);
        const nm_vec2 d = nm_sub(p, nm_lerp(a, b, t));
        const float d2 = nm_dot(d, d);
        if (d2 >= least) continue;
        least = d2;
        s = (float)i + t * (i + 1 == route->point_count - 1 ? route->length - (float)i : 1.0f);
        *offset = nm_cross(nm_sub(b, a), d) < 0.0f ? -sqrtf(d2) : sqrtf(d2);
    }
    return s;
}

float nm_route_project_within(const nm_planner_route *route, float x_scene, float y_scene, float from, float to,
                              float *offset) {
    const uint32_t last = route->point_count - 1;
    const uint32_t first = (uint32_t)nm_clampf(from, 0.0f, (float)(last - 1));
    const uint32_t end = (uint32_t)nm_clampf(to, (float)(first + 1), (float)last);
    float off;
    const float s = nearest(route, (nm_vec2){x_scene, y_scene}, first, end, &off);
    if (offset) *offset = off;
    return s;
}

float nm_route_project(const nm_planner_route *route, float x_scene, float y_scene, float near, float *offset) {
    const float from = near - 20.0f, to = near + 50.0f;
    float off = INFINITY, s = 0.0f;
    if (near >= 0.0f) s = nm_route_project_within(route, x_scene, y_scene, from, to, &off);
    // at an end of what was looked at that is none of the route, a nearer place may lie beyond it
    const int cut = (s < from + 1.0f && from > 0.0f) || (s > to - 1.0f && to < route->length);
    if (fabsf(off) > 20.0f || cut) s = nearest(route, (nm_vec2){x_scene, y_scene}, 0, route->point_count - 1, &off);
    if (offset) *offset = off;
    return s;
}
