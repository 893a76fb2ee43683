/// What is wrong with goals and with the map.
#include "sim/geometry.h"
#include "sim/scene_validate.h"

#define SHORT_LANE 0.1f   // m
#define NARROW 1.0f       // m
#define WIDE 8.0f         // m
#define INSIDE 20.0f      // m from the map's bounds: a lane that ends there should lead on
#define GAP 0.5f          // m between a lane and its successor
#define START_RADIUS 5.0f // m around a start that is on no lane
#define CHANGE_COST 0.0f
#define MAX_LANES 16

static uint32_t lanes_under(const nm_map *map, float x, float y, uint32_t lanes[MAX_LANES]) {
    nm_frenet at[MAX_LANES];
    size_t found = nm_map_lanes_at(map, x, y, at, MAX_LANES);
    if (found > MAX_LANES) found = MAX_LANES;
    uint32_t count = 0;
    for (size_t i = 0; i < found; i++) {
        if (nm_lane_type_drivable((nm_lane_type)map->lanes[at[i].lane].type)) lanes[count++] = at[i].lane;
    }
    return count;
}

/// Lanes that touch the goal's rectangle, judged by its axis-parallel box.
static uint32_t lanes_of_area(const nm_map *map, const nm_goal_area *area, uint32_t lanes[MAX_LANES]) {
    if (area->lane != NM_NONE) {
        lanes[0] = area->lane;
        return 1;
    }
    uint32_t count = lanes_under(map, area->centre.x, area->centre.y, lanes);
    if (count) return count;
    float half = 0.5f * nm_hypotf(area->length, area->width);
    nm_vec2 lo = {area->centre.x - half, area->centre.y - half}, hi = {area->centre.x + half, area->centre.y + half};
    size_t found = nm_map_lanes_in(map, lo, hi, lanes, MAX_LANES);
    return (uint32_t)(found < MAX_LANES ? found : MAX_LANES);
}

static int any_route(const nm_map *map, const uint32_t *from, uint32_t from_count, const uint32_t *to,
                     uint32_t to_count) {
    uint32_t unused;
    for (uint32_t i = 0; i < from_count; i++) {
        for (uint32_t k = 0; k < to_count; k++) {
            if (from[i] == to[k] || nm_map_route(map, from[i], to[k], CHANGE_COST, &unused, 0, NULL) != 0) return 1;
        }
    }
    return 0;
}

static int reachable(const nm_scene *scene, const nm_problem *problem) {
    const nm_map *map = scene->map;
    uint32_t from[MAX_LANES], to[MAX_LANES];
    uint32_t from_count = lanes_under(map, problem->start.x, problem->start.y, from);
    if (!from_count) {
        nm_frenet near = nm_map_match(map, problem->start.x, problem->start.y, problem->start.heading, START_RADIUS,
                                      NM_LANE_MASK_VEHICLE);
        if (near.lane != NM_NONE) from[from_count++] = near.lane;
    }
    if (!problem->goals.count) return 1; // nothing is asked for
    for (uint32_t g = problem->goals.first; g < problem->goals.first + problem->goals.count; g++) {
        const nm_goal *goal = &scene->goals[g];
        if (!goal->areas.count) return 1; // anywhere
        for (uint32_t a = goal->areas.first; a < goal->areas.first + goal->areas.count; a++) {
            uint32_t to_count = lanes_of_area(map, &scene->goal_areas[a], to);
            if (any_route(map, from, from_count, to, to_count)) return 1;
        }
    }
    return 0;
}

void nm_validate_goals(const nm_scene *scene, nm_issue_list *list) {
    if (!scene->map->lane_count) return;
    for (uint32_t i = 0; i < scene->problem_count; i++) {
        if (reachable(scene, &scene->problems[i])) continue;
        nm_issue *issue = nm_issue_add(list, NM_ISSUE_GOAL_UNREACHABLE);
        if (!issue) continue;
        issue->step = scene->problems[i].start_step;
        issue->value = (float)i;
        nm_issue_say(issue, "planning problem %lld: no route on lanes from its start to any of its goals",
                     (long long)scene->problems[i].source_id);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Lanes: each test gives the worst value of a lane and whether that is wrong.

typedef int lane_test(const nm_map *map, const nm_lane *lane, float *value);

static int is_short(const nm_map *map, const nm_lane *lane, float *value) {
    (void)map;
    *value = lane->length;
    return lane->length < SHORT_LANE;
}

static int is_narrow(const nm_map *map, const nm_lane *lane, float *value) {
    float least = INFINITY;
    for (uint32_t k = lane->points.first; k < lane->points.first + lane->points.count; k++) {
        nm_vec2 across = nm_sub(map->left[k], map->right[k]);
        least = nm_minf(least, nm_hypotf(across.x, across.y));
    }
    *value = least;
    return least < NARROW;
}

/// Measured square to the lane, since border pairs may lie aslant.
static int is_wide(const nm_map *map, const nm_lane *lane, float *value) {
    *value = 0.0f;
    if (lane->type == NM_LANE_CROSSWALK) return 0;
    for (uint32_t k = lane->points.first; k + 1 < lane->points.first + lane->points.count; k++) {
        nm_vec2 along = nm_sub(map->centre[k + 1], map->centre[k]);
        float length = nm_hypotf(along.x, along.y);
        if (!(length > 0.0f)) continue;
        *value = nm_maxf(*value, nm_cross(along, nm_sub(map->left[k], map->right[k])) / length);
        *value = nm_maxf(*value, nm_cross(along, nm_sub(map->left[k + 1], map->right[k + 1])) / length);
    }
    return *value > WIDE;
}

static int can_leave(const nm_map *map, nm_range neighbours) {
    for (uint32_t k = neighbours.first; k < neighbours.first + neighbours.count; k++) {
        if (map->neighbours[k].may_change && !map->neighbours[k].opposite) return 1;
    }
    return 0;
}

static int is_dead_end(const nm_map *map, const nm_lane *lane, float *value) {
    if (lane->successors.count || !nm_lane_type_drivable((nm_lane_type)lane->type)) return 0;
    if (can_leave(map, lane->left) || can_leave(map, lane->right)) return 0;
    nm_vec2 end = map->centre[lane->points.first + lane->points.count - 1];
    float x = nm_minf(end.x - map->bounds_min.x, map->bounds_max.x - end.x);
    float y = nm_minf(end.y - map->bounds_min.y, map->bounds_max.y - end.y);
    *value = nm_minf(x, y);
    return *value > INSIDE;
}

static int is_kinked(const nm_map *map, const nm_lane *lane, float *value) {
    nm_vec2 last = {0.0f, 0.0f};
    *value = 0.0f;
    for (uint32_t k = lane->points.first; k + 1 < lane->points.first + lane->points.count; k++) {
        nm_vec2 d = nm_sub(map->centre[k + 1], map->centre[k]);
        if (d.x == 0.0f && d.y == 0.0f) continue;
        if (nm_dot(last, d) < 0.0f) {
            *value = nm_maxf(*value, fabsf(nm_atan2f(nm_cross(last, d), nm_dot(last, d))));
        }
        last = d;
    }
    return *value > 0.0f;
}

static int is_disconnected(const nm_map *map, const nm_lane *lane, float *value) {
    nm_vec2 end = map->centre[lane->points.first + lane->points.count - 1];
    *value = 0.0f;
    for (uint32_t k = lane->successors.first; k < lane->successors.first + lane->successors.count; k++) {
        nm_vec2 gap = nm_sub(map->centre[map->lanes[map->lane_refs[k]].points.first], end);
        *value = nm_maxf(*value, nm_hypotf(gap.x, gap.y));
    }
    return *value > GAP;
}

static void check_lanes(const nm_map *map, nm_issue_kind kind, lane_test *test, const char *what, nm_issue_list *list) {
    for (uint32_t i = 0; i < map->lane_count; i++) {
        float value;
        if (!test(map, &map->lanes[i], &value)) continue;
        nm_issue *issue = nm_issue_add(list, kind);
        if (!issue) continue;
        issue->lane = i;
        issue->value = value;
        nm_issue_say(issue, what, (long long)map->lanes[i].source_id, (double)value);
    }
}

static void check_repairs(const nm_map *map, nm_issue_list *list) {
    static const char *const what[NM_REPAIR_COUNT] = {
        "repeated border points dropped", "references of lanes to themselves dropped",
        "lanes whose borders were swapped", "one-way lane references completed", "lanes whose width was assumed"};
    for (int i = 0; i < NM_REPAIR_COUNT; i++) {
        if (!map->repairs[i]) continue;
        nm_issue *issue = nm_issue_add(list, NM_ISSUE_REPAIRED);
        if (!issue) continue;
        issue->value = (float)map->repairs[i];
        nm_issue_say(issue, "%u %s", map->repairs[i], what[i]);
    }
}

void nm_validate_map(const nm_map *map, nm_issue_list *list) {
    check_lanes(map, NM_ISSUE_SHORT_LANE, is_short, "lane %lld is only %.3f m long", list);
    check_lanes(map, NM_ISSUE_NARROW_LANE, is_narrow, "lane %lld is only %.2f m wide in one place", list);
    check_lanes(map, NM_ISSUE_WIDE_LANE, is_wide, "lane %lld is %.2f m wide in one place", list);
    check_lanes(map, NM_ISSUE_DEAD_END, is_dead_end, "lane %lld ends without a successor %.1f m inside the map", list);
    check_lanes(map, NM_ISSUE_KINK, is_kinked, "lane %lld: its centreline turns by %.2f rad in one point", list);
    check_lanes(map, NM_ISSUE_DISCONNECTED, is_disconnected, "lane %lld: a successor begins %.2f m from its end", list);
    check_repairs(map, list);
    if (!map->lane_count) {
        nm_issue *issue = nm_issue_add(list, NM_ISSUE_EMPTY_MAP);
        if (issue) nm_issue_say(issue, "the map has no lanes");
    }
}
