// Where the staged are, and whether they keep the rules of the road. The definitions are those of validity.h.
#include <math.h>

#include "scenarios/audit_internal.h"

#define EDGE 20.0    // m from the map's bounds within which a road that ends goes on unseen
#define GOES_ON 10.0 // m for which it does
#define SLACK 0.3    // m
#define LANES 32u
#define EIGHTH 0.785398 // rad, 45 degrees
#define LINE_WAY 5.0    // m before and behind a stop line
#define RED_STEPS 5u    // red for 0.5 s
#define TURN_WAY 25.0   // m after which a turn shows
#define AGAINST 2.36    // rad between vehicle and lane: 135 degrees
#define AGAINST_SPEED 2.0
#define AGAINST_INSIDE 0.5

static double speed_of(const nm_scene *scene, uint32_t track, uint32_t t) {
    const size_t at = nm_scene_at(scene, track, t);
    return nm_audit_hypot((double)scene->vx[at], (double)scene->vy[at]);
}

// --- on the road -----------------------------------------------------------------------------------------------------

// Beyond the end of a lane that nothing follows: along it, and no further aside than its borders.
static int behind_end(nm_vec2 from, nm_vec2 end, nm_vec2 left, nm_vec2 right, nm_audit_point p) {
    const double dx = (double)(end.x - from.x), dy = (double)(end.y - from.y), length = nm_audit_hypot(dx, dy);
    if (length <= 0) return 0;
    const double ux = dx / length, uy = dy / length, x = p.x - (double)end.x, y = p.y - (double)end.y;
    const double along = x * ux + y * uy, aside = y * ux - x * uy;
    const double on_left = nm_audit_hypot((double)(left.x - end.x), (double)(left.y - end.y));
    const double on_right = nm_audit_hypot((double)(right.x - end.x), (double)(right.y - end.y));
    return along >= 0 && along <= GOES_ON && aside <= on_left + SLACK && aside >= -on_right - SLACK;
}

// At the edge of the map nothing says that a road does not go on.
static int off_the_map(const nm_map *map, nm_audit_point p) {
    if (p.x > (double)map->bounds_min.x + EDGE && p.x < (double)map->bounds_max.x - EDGE &&
        p.y > (double)map->bounds_min.y + EDGE && p.y < (double)map->bounds_max.y - EDGE)
        return 0;
    for (uint32_t l = 0; l < map->lane_count; l++) {
        const nm_lane *lane = &map->lanes[l];
        const uint32_t first = lane->points.first, last = first + lane->points.count - 1;
        if (!nm_lane_type_drivable((nm_lane_type)lane->type)) continue;
        if (lane->successors.count == 0 &&
            behind_end(map->centre[last - 1], map->centre[last], map->left[last], map->right[last], p))
            return 1;
        if (lane->predecessors.count == 0 && // seen from the lane's end left and right are exchanged
            behind_end(map->centre[first + 1], map->centre[first], map->right[first], map->left[first], p))
            return 1;
    }
    return 0;
}

static double corners_off(const nm_audit_road *road, const nm_audit_box *box) {
    double worst = 0;
    for (int i = 0; i < 4; i++) {
        const nm_audit_point p = box->corner[i];
        if (nm_audit_on_road(road, p) || off_the_map(road->map, p)) continue;
        worst = fmax(worst, nm_audit_off_road(road, p));
    }
    return worst;
}

static int on_lane_of(const nm_map *map, nm_audit_point p, unsigned types) {
    nm_frenet under[LANES];
    const size_t count = nm_map_lanes_at(map, (float)p.x, (float)p.y, under, LANES);
    for (size_t i = 0; i < count && i < LANES; i++)
        if ((1u << map->lanes[under[i].lane].type) & types) return 1;
    return 0;
}

static double cyclist_off(const nm_audit_road *road, nm_audit_point p) {
    const unsigned ways = (1u << NM_LANE_BIKE) | (1u << NM_LANE_SIDEWALK) | (1u << NM_LANE_CROSSWALK);
    return nm_audit_on_road(road, p) || on_lane_of(road->map, p, ways) ? 0 : nm_audit_off_road(road, p);
}

static double walks_on(const nm_audit_road *road, nm_audit_point p) {
    const unsigned ways = (1u << NM_LANE_SIDEWALK) | (1u << NM_LANE_CROSSWALK);
    if (on_lane_of(road->map, p, ways) || nm_audit_on_area(road->map, NM_AREA_CROSSWALK, p, 0.25)) return 0;
    return nm_audit_into_road(road, p);
}

// The rectangle that the track stays in, and some more.
static void reach_of(const nm_scene *scene, uint32_t track, nm_audit_point *low, nm_audit_point *high) {
    const double more = 30;
    *low = (nm_audit_point){INFINITY, INFINITY};
    *high = (nm_audit_point){-INFINITY, -INFINITY};
    for (uint32_t t = 0; t < scene->step_count; t++) {
        const size_t at = nm_scene_at(scene, track, t);
        if (!scene->valid[at]) continue;
        low->x = fmin(low->x, (double)scene->x[at] - more);
        low->y = fmin(low->y, (double)scene->y[at] - more);
        high->x = fmax(high->x, (double)scene->x[at] + more);
        high->y = fmax(high->y, (double)scene->y[at] + more);
    }
}

nm_status nm_audit_judge_road(nm_auditing *a, uint32_t track, uint32_t last, int adversary) {
    const nm_scene *scene = a->scene;
    const nm_track *info = &scene->tracks[track];
    const nm_agent_type type = (nm_agent_type)info->type;
    const unsigned asked = adversary ? nm_kind_spec_of(a->about->kind)->violations : 0;
    const int leaves = (asked & NM_VIOLATION_OFF_ROAD) != 0, walks = (asked & NM_VIOLATION_JAYWALK) != 0;
    if (scene->map->lane_count == 0 || (info->flags & NM_TRACK_STATIC)) return NM_OK;
    nm_audit_point low, high;
    nm_audit_road road;
    const nm_arena_mark mark = nm_arena_get_mark(a->arena);
    reach_of(scene, track, &low, &high);
    if (nm_audit_road_around(scene->map, low, high, a->arena, &road) != NM_OK) return NM_E_MEMORY;
    for (uint32_t t = a->begin; t <= last; t++) {
        nm_audit_box box;
        if (!nm_audit_box_at(scene, track, t, &box)) continue;
        const nm_audit_point centre = {box.x, box.y};
        if (nm_agent_type_vehicle(type))
            nm_audit_take(a, NM_AUDIT_OFF_ROAD, track, t, corners_off(&road, &box), SLACK, leaves);
        else if (type == NM_AGENT_CYCLIST)
            nm_audit_take(a, NM_AUDIT_OFF_ROAD, track, t, cyclist_off(&road, centre), SLACK, leaves);
        else if (type == NM_AGENT_PEDESTRIAN && adversary)
            nm_audit_take(a, NM_AUDIT_JAYWALK, track, t, walks_on(&road, centre), 0.5, walks);
    }
    nm_arena_release(a->arena, mark);
    return NM_OK;
}

// --- rules -----------------------------------------------------------------------------------------------------------

static int front_of(const nm_scene *scene, uint32_t track, uint32_t t, nm_audit_point *front) {
    nm_audit_box box;
    if (!nm_audit_box_at(scene, track, t, &box)) return 0;
    front->x = 0.5 * (box.corner[1].x + box.corner[2].x);
    front->y = 0.5 * (box.corner[1].y + box.corner[2].y);
    return 1;
}

static double apart(nm_audit_point a, nm_audit_point b) {
    return nm_audit_hypot(b.x - a.x, b.y - a.y);
}

// 1 left, -1 right, 0 straight on: over the next 25 m, or to the end of what is recorded.
static int turns(const nm_scene *scene, uint32_t track, uint32_t t, uint32_t last) {
    nm_audit_box here, there;
    double turn = 0;
    if (!nm_audit_box_at(scene, track, t, &here)) return 0;
    for (uint32_t k = t; k <= last && nm_audit_box_at(scene, track, k, &there); k++) {
        turn = nm_audit_wrap(there.heading - here.heading);
        if (nm_audit_hypot(there.x - here.x, there.y - here.y) > TURN_WAY) break;
    }
    return turn > EIGHTH ? 1 : turn < -EIGHTH ? -1 : 0;
}

static int rules_way(const nm_signal *signal, int turn) {
    switch (signal->turn) {
    case NM_TURN_UNKNOWN:
        return 1;
    case NM_TURN_STRAIGHT:
        return turn == 0;
    case NM_TURN_RIGHT:
        return turn < 0;
    default:
        return turn > 0;
    }
}

static int was_red(const nm_scene *scene, uint32_t signal, uint32_t t) {
    for (uint32_t k = t > RED_STEPS ? t - RED_STEPS : 0; k <= t; k++) {
        const nm_signal_state state = nm_scene_signal(scene, signal, k);
        if (state != NM_SIGNAL_STOP && state != NM_SIGNAL_ARROW_STOP) return 0;
    }
    return 1;
}

// All signals that rule its way are red and were for half a second. Who turns right is let go.
static int faces_red(const nm_scene *scene, const nm_lane *lane, int turn, uint32_t t) {
    uint32_t count = 0, red = 0;
    for (uint32_t i = 0; turn >= 0 && i < lane->signals.count; i++) {
        const uint32_t signal = scene->map->signal_refs[lane->signals.first + i];
        if (!rules_way(&scene->map->signals[signal], turn)) continue;
        count++;
        red += was_red(scene, signal, t);
    }
    return count > 0 && red == count;
}

static double speed_beyond(const nm_scene *scene, uint32_t track, uint32_t t, uint32_t last) {
    nm_audit_point line, front;
    double speed = 0;
    if (!front_of(scene, track, t, &line)) return 0;
    for (uint32_t k = t; k <= last && front_of(scene, track, k, &front); k++) {
        speed = speed_of(scene, track, k);
        if (apart(line, front) >= LINE_WAY) break;
    }
    return speed;
}

static double slowest_before(const nm_scene *scene, uint32_t track, uint32_t t) {
    nm_audit_point line, front;
    double least = INFINITY;
    if (!front_of(scene, track, t, &line)) return 0;
    for (uint32_t k = t + 1; k-- > 0 && front_of(scene, track, k, &front) && apart(line, front) <= LINE_WAY;)
        least = fmin(least, speed_of(scene, track, k));
    return least;
}

static void judge_line(nm_auditing *a, uint32_t track, uint32_t t, uint32_t last, const nm_lane *lane) {
    const unsigned asked = nm_kind_spec_of(a->about->kind)->violations;
    if (lane->control == NM_CONTROL_STOP || lane->control == NM_CONTROL_ALL_WAY_STOP)
        nm_audit_take(a, NM_AUDIT_STOP_LINE, track, t, slowest_before(a->scene, track, t), 1,
                      (asked & NM_VIOLATION_STOP_LINE) != 0);
    if (lane->signals.count == 0) return;
    const int red = faces_red(a->scene, lane, turns(a->scene, track, t, last), t);
    nm_audit_take(a, NM_AUDIT_RED_LIGHT, track, t, red ? speed_beyond(a->scene, track, t, last) : 0, 0.5,
                  (asked & NM_VIOLATION_RED_LIGHT) != 0);
}

// The lines that its front crosses on its way to step t, of the lanes along which it drives.
static void judge_lines(nm_auditing *a, uint32_t track, uint32_t t, uint32_t last) {
    const nm_scene *scene = a->scene;
    nm_audit_point before, now;
    if (!front_of(scene, track, t - 1, &before) || !front_of(scene, track, t, &now) || apart(before, now) <= 0) return;
    nm_frenet under[LANES];
    const size_t count = nm_map_lanes_at(scene->map, (float)before.x, (float)before.y, under, LANES);
    const double heading = (double)scene->heading[nm_scene_at(scene, track, t)];
    for (size_t i = 0; i < count && i < LANES; i++) {
        const nm_lane *lane = &scene->map->lanes[under[i].lane];
        if (!nm_lane_type_drivable((nm_lane_type)lane->type)) continue;
        if (fabs(nm_audit_wrap(heading - (double)under[i].heading)) > EIGHTH || under[i].s >= lane->stop_s) continue;
        const nm_frenet after = nm_map_project(scene->map, under[i].lane, (float)now.x, (float)now.y);
        if (after.s + after.beyond >= lane->stop_s) judge_line(a, track, t, last, lane);
    }
}

// Along no lane, against every one under it, well inside of one, outside of junctions, forwards.
static int drives_against(const nm_scene *scene, uint32_t track, uint32_t t, const nm_frenet *under, size_t count) {
    const size_t at = nm_scene_at(scene, track, t);
    const double heading = (double)scene->heading[at];
    const double course = atan2((double)scene->vy[at], (double)scene->vx[at]);
    double inside = -INFINITY;
    if (speed_of(scene, track, t) < AGAINST_SPEED || fabs(nm_audit_wrap(course - heading)) > EIGHTH) return 0;
    for (size_t i = 0; i < count; i++) {
        const nm_lane *lane = &scene->map->lanes[under[i].lane];
        if (!nm_lane_type_drivable((nm_lane_type)lane->type)) continue;
        if (lane->flags & (NM_LANE_BIDIRECTIONAL | NM_LANE_JUNCTION)) return 0;
        if (fabs(nm_audit_wrap(heading - (double)under[i].heading)) < AGAINST) return 0;
        const double to_left = (double)(under[i].left - under[i].d), to_right = (double)(under[i].right + under[i].d);
        inside = fmax(inside, fmin(to_left, to_right));
    }
    return inside >= AGAINST_INSIDE;
}

// Over the highest limit of the lanes along which it drives; 0 where one of them has none.
static double speeds(const nm_scene *scene, uint32_t track, uint32_t t, const nm_frenet *under, size_t count) {
    const double heading = (double)scene->heading[nm_scene_at(scene, track, t)];
    double limit = 0;
    for (size_t i = 0; i < count; i++) {
        const nm_lane *lane = &scene->map->lanes[under[i].lane];
        if (!nm_lane_type_drivable((nm_lane_type)lane->type)) continue;
        if (fabs(nm_audit_wrap(heading - (double)under[i].heading)) > EIGHTH) continue;
        if (lane->speed_limit <= 0) return 0;
        limit = fmax(limit, (double)lane->speed_limit);
    }
    return limit > 0 ? fmax(speed_of(scene, track, t) - limit, 0) : 0;
}

void nm_audit_judge_rules(nm_auditing *a, uint32_t track, uint32_t last) {
    const nm_scene *scene = a->scene;
    const unsigned asked = nm_kind_spec_of(a->about->kind)->violations;
    double against = 0;
    if (scene->map->lane_count == 0 || !nm_agent_type_vehicle((nm_agent_type)scene->tracks[track].type)) return;
    for (uint32_t t = a->begin; t <= last; t++) {
        const size_t at = nm_scene_at(scene, track, t);
        nm_frenet under[LANES];
        if (!scene->valid[at]) {
            against = 0;
            continue;
        }
        size_t count = nm_map_lanes_at(scene->map, scene->x[at], scene->y[at], under, LANES);
        if (count > LANES) count = LANES;
        against = drives_against(scene, track, t, under, count) ? against + speed_of(scene, track, t) * NM_AUDIT_DT : 0;
        nm_audit_take(a, NM_AUDIT_WRONG_WAY, track, t, against, 6, (asked & NM_VIOLATION_WRONG_WAY) != 0);
        nm_audit_take(a, NM_AUDIT_SPEEDING, track, t, speeds(scene, track, t, under, count), 5,
                      (asked & NM_VIOLATION_SPEEDING) != 0);
        if (t > 0) judge_lines(a, track, t, last);
    }
}
