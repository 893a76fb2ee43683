/// Excerpts of a map for planners.
#include <stdlib.h>
#include <string.h>

#include "sim/geometry.h"
#include "sim/observation_private.h"

static uint32_t crosswalk_points(const nm_map *map) {
    uint32_t points = 0;
    for (uint32_t i = 0; i < map->area_count; i++)
        if (map->areas[i].kind == NM_AREA_CROSSWALK) points += map->areas[i].points.count;
    return points;
}

static int by_lane(const void *a, const void *b) {
    const nm_seen_signal *p = a, *q = b;
    if (p->lane != q->lane) return p->lane < q->lane ? -1 : 1;
    return p->signal < q->signal ? -1 : p->signal > q->signal;
}

static void list_signals(nm_excerpt *e) {
    const nm_map *map = e->map;
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->signal_count; i++) {
        const nm_range lanes = map->signals[i].lanes;
        for (uint32_t k = lanes.first; k < lanes.first + lanes.count; k++)
            e->all[count++] = (nm_seen_signal){map->lane_refs[k], i};
    }
    qsort(e->all, count, sizeof *e->all, by_lane);
}

nm_status nm_excerpt_create(nm_excerpt *e, const nm_map *map, const nm_planner_route *route, float radius,
                            float refresh, nm_arena *arena, nm_error *error) {
    *e = (nm_excerpt){.map = map, .public.radius = radius, .refresh = refresh};
    for (uint32_t i = 0; i < map->signal_count; i++) e->all_count += map->signals[i].lanes.count;
    const uint32_t shown = radius > 0.0f ? map->lane_count : 0, points = radius > 0.0f ? map->point_count : 0;
    e->on_route = nm_arena_calloc(arena, map->lane_count, 1, 64);
    e->in_excerpt = nm_arena_calloc(arena, map->lane_count, 1, 64);
    e->near = NM_ARENA_ARRAY(arena, uint32_t, shown);
    e->lanes = NM_ARENA_ARRAY(arena, nm_planner_lane, shown);
    e->centre = NM_ARENA_ARRAY(arena, nm_planner_point, points);
    e->left = NM_ARENA_ARRAY(arena, nm_planner_point, points);
    e->right = NM_ARENA_ARRAY(arena, nm_planner_point, points);
    e->links = NM_ARENA_ARRAY(arena, uint32_t, map->lane_ref_count);
    e->stop_lines = NM_ARENA_ARRAY(arena, nm_planner_stop_line, map->stop_line_count);
    e->crosswalks = NM_ARENA_ARRAY(arena, nm_planner_area, map->area_count);
    e->area_points = NM_ARENA_ARRAY(arena, nm_planner_point, crosswalk_points(map));
    e->all = NM_ARENA_ARRAY(arena, nm_seen_signal, e->all_count);
    e->seen = NM_ARENA_ARRAY(arena, nm_seen_signal, e->all_count);
    e->signal_lane = NM_ARENA_ARRAY(arena, uint32_t, e->all_count);
    e->signal_state = NM_ARENA_ARRAY(arena, uint8_t, e->all_count);
    e->signal_turn = NM_ARENA_ARRAY(arena, uint8_t, e->all_count);
    e->signal_stop = NM_ARENA_ARRAY(arena, float, e->all_count);
    if (!e->on_route || !e->in_excerpt || !e->near || !e->lanes || !e->centre || !e->left || !e->right || !e->links ||
        !e->stop_lines || !e->crosswalks || !e->area_points || !e->all || !e->seen || !e->signal_lane ||
        !e->signal_state || !e->signal_turn || !e->signal_stop)
        return NM_ERROR(error, NM_E_MEMORY, "no memory to show a planner a map of %u lanes", map->lane_count);
    for (uint32_t i = 0; i < route->lane_count; i++) e->on_route[route->lanes[i]] = 1;
    list_signals(e);
    return NM_OK;
}

void nm_excerpt_reset(nm_excerpt *e) {
    e->public.version = 0;
}

static nm_planner_point point_of(nm_vec2 p) {
    return (nm_planner_point){p.x, p.y};
}

/// The lane beside for the longest stretch that runs the same way.
static uint32_t beside(const nm_map *map, nm_range range, uint8_t *may_change) {
    uint32_t best = NM_NONE;
    float longest = 0.0f;
    *may_change = 0;
    for (uint32_t k = range.first; k < range.first + range.count; k++) {
        const nm_neighbour *n = &map->neighbours[k];
        if (n->opposite || n->self_end - n->self_start <= longest) continue;
        longest = n->self_end - n->self_start;
        best = n->lane;
        *may_change = n->may_change;
    }
    return best;
}

static uint32_t add_links(nm_excerpt *e, nm_range range, uint32_t *first) {
    *first = e->public.link_count;
    for (uint32_t k = 0; k < range.count; k++) e->links[e->public.link_count++] = e->map->lane_refs[range.first + k];
    return range.count;
}

static void add_lane(nm_excerpt *e, uint32_t id) {
    const nm_map *map = e->map;
    const nm_lane *lane = &map->lanes[id];
    nm_planner_lane *to = &e->lanes[e->public.lane_count++];
    *to = (nm_planner_lane){
        .id = id,
        .source_id = lane->source_id,
        .type = lane->type,
        .turn = lane->turn,
        .control = lane->control,
        .in_junction = lane->junction != NM_NONE,
        .on_route = e->on_route[id],
        .speed_limit = lane->speed_limit,
        .length = lane->length,
        .stop = lane->stop_s,
        .first_point = e->public.point_count,
        .point_count = lane->points.count,
    };
    to->left = beside(map, lane->left, &to->may_change_left);
    to->right = beside(map, lane->right, &to->may_change_right);
    to->successor_count = add_links(e, lane->successors, &to->first_successor);
    to->predecessor_count = add_links(e, lane->predecessors, &to->first_predecessor);
    for (uint32_t k = 0; k < lane->points.count; k++) {
        const uint32_t from = lane->points.first + k, at = e->public.point_count++;
        e->centre[at] = point_of(map->centre[from]);
        e->left[at] = point_of(map->left[from]);
        e->right[at] = point_of(map->right[from]);
    }
}

static void add_crosswalks(nm_excerpt *e, nm_bounds window) {
    for (uint32_t i = 0; i < e->map->area_count; i++) {
        const nm_area *area = &e->map->areas[i];
        if (area->kind != NM_AREA_CROSSWALK) continue;
        const nm_vec2 *points = e->map->area_points + area->points.first;
        const nm_bounds bounds = nm_bounds_of(points, area->points.count);
        if (!nm_bounds_meet(&bounds, &window)) continue;
        e->crosswalks[e->public.crosswalk_count++] = (nm_planner_area){e->public.area_point_count, area->points.count};
        for (uint32_t k = 0; k < area->points.count; k++)
            e->area_points[e->public.area_point_count++] = point_of(points[k]);
    }
}

static void add_stop_lines(nm_excerpt *e) {
    for (uint32_t i = 0; i < e->map->stop_line_count; i++) {
        const nm_stop_line *line = &e->map->stop_lines[i];
        if (line->lane >= e->map->lane_count || !e->in_excerpt[line->lane]) continue;
        e->stop_lines[e->public.stop_line_count++] =
            (nm_planner_stop_line){point_of(line->a), point_of(line->b), line->lane};
    }
}

static void show_signals(nm_excerpt *e) {
    e->seen_count = 0;
    for (uint32_t i = 0; i < e->all_count; i++) {
        const uint32_t lane = e->all[i].lane;
        if (e->in_excerpt[lane] || e->on_route[lane]) e->seen[e->seen_count++] = e->all[i];
    }
    for (uint32_t i = 0; i < e->seen_count; i++) {
        e->signal_lane[i] = e->seen[i].lane;
        e->signal_turn[i] = e->map->signals[e->seen[i].signal].turn;
        e->signal_stop[i] = e->map->lanes[e->seen[i].lane].stop_s;
    }
}

static void make(nm_excerpt *e, float x, float y) {
    // wider by what the ego may go until the next one, so that it always sees `radius` at least
    const float reach = e->public.radius + e->refresh;
    const nm_bounds window = {{x - reach, y - reach}, {x + reach, y + reach}};
    const nm_planner_map empty = {.version = e->public.version + 1, .middle = {x, y}, .radius = e->public.radius};
    e->public = empty;
    memset(e->in_excerpt, 0, e->map->lane_count);
    if (e->public.radius > 0.0f) {
        const size_t count = nm_map_lanes_in(e->map, window.lo, window.hi, e->near, e->map->lane_count);
        for (size_t i = 0; i < count; i++) {
            e->in_excerpt[e->near[i]] = 1;
            add_lane(e, e->near[i]);
        }
        add_crosswalks(e, window);
        add_stop_lines(e);
    }
    show_signals(e);
    e->public.lanes = e->lanes;
    e->public.centre = e->centre;
    e->public.left_border = e->left;
    e->public.right_border = e->right;
    e->public.links = e->links;
    e->public.stop_lines = e->stop_lines;
    e->public.crosswalks = e->crosswalks;
    e->public.area_points = e->area_points;
}

void nm_excerpt_look(nm_excerpt *e, float x, float y) {
    const nm_planner_point middle = e->public.middle;
    const float way = nm_hypotf(x - middle.x_scene, y - middle.y_scene);
    if (e->public.version == 0 || (e->public.radius > 0.0f && way > e->refresh)) make(e, x, y);
}

nm_planner_signals nm_excerpt_signals(nm_excerpt *e, const nm_scene *scene, uint32_t step) {
    for (uint32_t i = 0; i < e->seen_count; i++)
        e->signal_state[i] = (uint8_t)nm_scene_signal(scene, e->seen[i].signal, step);
    return (nm_planner_signals){e->seen_count, e->signal_lane, e->signal_state, e->signal_turn, e->signal_stop};
}
