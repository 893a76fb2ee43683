// Does the adversary keep the rules of the road? Red lights, stop signs, driving direction, speed limits; with the
// thresholds of the detectors where they have the same question.
#include <math.h>

#include "scenarios/detect_internal.h"
#include "scenarios/validity_internal.h"
#include "sim/math.h"

#define DT 0.1f
#define LANES 16u
#define ALIGNED 0.79f    // rad (45 degrees): the lane is driven along
#define BEYOND 5.0f      // m past the line that are driving on (the detector's red_light_runner.min_beyond)
#define APPROACH 5.0f    // m before a line within which one stops
#define RED_STEPS 5u     // red for 0.5 s (red_light_runner.min_red): who crosses as it changes does not run it
#define TURN_WAY 25.0f   // m after which a turn shows
#define TURN_ANGLE 0.79f // rad

typedef struct nm_follow_up {
    const nm_scene *scene;
    uint32_t track, last;
    float half; // m, of the length
} nm_follow_up;

static float speed_at(const nm_scene *scene, size_t at) {
    return nm_hypotf(scene->vx[at], scene->vy[at]);
}

// The front of the vehicle; 0 where it is not there.
static int front_at(const nm_follow_up *f, uint32_t t, float *x, float *y) {
    size_t at = nm_scene_at(f->scene, f->track, t);
    float sine, cosine;
    if (!f->scene->valid[at]) return 0;
    nm_sincosf(f->scene->heading[at], &sine, &cosine);
    *x = f->scene->x[at] + f->half * cosine;
    *y = f->scene->y[at] + f->half * sine;
    return 1;
}

// Which way it goes in the 25 m after `step`.
static nm_way way_after(const nm_follow_up *f, uint32_t step) {
    size_t at = nm_scene_at(f->scene, f->track, step);
    float turn = 0;
    for (uint32_t t = step; t <= f->last; t++) {
        size_t here = nm_scene_at(f->scene, f->track, t);
        if (!f->scene->valid[here]) break;
        turn = nm_wrap_angle(f->scene->heading[here] - f->scene->heading[at]);
        if (nm_hypotf(f->scene->x[here] - f->scene->x[at], f->scene->y[here] - f->scene->y[at]) > TURN_WAY) break;
    }
    return turn > TURN_ANGLE ? NM_WAY_LEFT : turn < -TURN_ANGLE ? NM_WAY_RIGHT : NM_WAY_STRAIGHT;
}

static int meant_for(const nm_signal *signal, nm_way way) {
    int turn = signal->turn;
    if (turn == NM_TURN_UNKNOWN) return 1;
    if (turn == NM_TURN_STRAIGHT) return way == NM_WAY_STRAIGHT;
    return way == (turn == NM_TURN_RIGHT ? NM_WAY_RIGHT : NM_WAY_LEFT);
}

// A signal that rules this way is red and has been, and none that rules it says anything else. Turning right on red is
// no offence in many countries, and the map does not say.
static int faces_red(const nm_scene *scene, const nm_lane *lane, nm_way way, uint32_t step) {
    int red = 0;
    if (way == NM_WAY_RIGHT) return 0;
    for (uint32_t i = 0; i < lane->signals.count; i++) {
        uint32_t signal = scene->map->signal_refs[lane->signals.first + i];
        if (!meant_for(&scene->map->signals[signal], way)) continue;
        for (uint32_t t = step > RED_STEPS ? step - RED_STEPS : 0; t <= step; t++) {
            nm_signal_state state = nm_scene_signal(scene, signal, t);
            if (state != NM_SIGNAL_STOP && state != NM_SIGNAL_ARROW_STOP) return 0;
        }
        red = 1;
    }
    return red;
}

// Speed once the front is BEYOND past the place where it crossed; at the end of the record if it does not get there.
static float drives_on(const nm_follow_up *f, uint32_t step) {
    float x0, y0, x, y, speed = 0;
    if (!front_at(f, step, &x0, &y0)) return 0;
    for (uint32_t t = step; t <= f->last && front_at(f, t, &x, &y); t++) {
        speed = speed_at(f->scene, nm_scene_at(f->scene, f->track, t));
        if (nm_hypotf(x - x0, y - y0) >= BEYOND) break;
    }
    return speed;
}

// Least speed while the front was within APPROACH before the place where it crossed.
static float slowest_before(const nm_follow_up *f, uint32_t step) {
    float x0, y0, x, y, least = INFINITY;
    if (!front_at(f, step, &x0, &y0)) return 0;
    for (uint32_t t = step; front_at(f, t, &x, &y) && nm_hypotf(x - x0, y - y0) <= APPROACH; t--) {
        least = nm_minf(least, speed_at(f->scene, nm_scene_at(f->scene, f->track, t)));
        if (t == 0) break;
    }
    return least;
}

// Lines that the front crosses from step t - 1 to t, on the lanes that it was on.
static void judge_lines(nm_judging *j, const nm_follow_up *f, uint32_t t) {
    const nm_scene *scene = f->scene;
    const nm_map *map = scene->map;
    float x0, y0, x1, y1;
    if (!front_at(f, t - 1, &x0, &y0) || !front_at(f, t, &x1, &y1)) return;
    if (x0 == x1 && y0 == y1) return;
    nm_frenet under[LANES];
    size_t count = nm_map_lanes_at(map, x0, y0, under, LANES);
    float heading = scene->heading[nm_scene_at(scene, f->track, t)];
    uint32_t asked = j->params->violations;
    for (size_t i = 0; i < count && i < LANES; i++) {
        const nm_lane *lane = &map->lanes[under[i].lane];
        int sign = lane->control == NM_CONTROL_STOP || lane->control == NM_CONTROL_ALL_WAY_STOP;
        if ((lane->signals.count == 0 && !sign) || !nm_lane_type_drivable((nm_lane_type)lane->type)) continue;
        if (fabsf(nm_wrap_angle(heading - under[i].heading)) > ALIGNED || under[i].s >= lane->stop_s) continue;
        nm_frenet after = nm_map_project(map, under[i].lane, x1, y1);
        if (after.s + after.beyond < lane->stop_s) continue;
        if (sign)
            nm_verdict_take(j, NM_VERDICT_STOP_LINE, f->track, t, slowest_before(f, t), j->params->stop_line,
                            (asked & NM_VIOLATION_STOP_LINE) != 0);
        if (lane->signals.count > 0)
            nm_verdict_take(j, NM_VERDICT_RED_LIGHT, f->track, t,
                            faces_red(scene, lane, way_after(f, t), t) ? drives_on(f, t) : 0, j->params->red_light,
                            (asked & NM_VIOLATION_RED_LIGHT) != 0);
    }
}

// Against every lane that it lies on, as the detector of wrong_way asks it.
static int against_lanes(const nm_scene *scene, size_t at, const nm_frenet *under, size_t count) {
    const nm_detector_param *params = nm_detector(NM_KIND_WRONG_WAY)->params;
    float least = params[WRONG_WAY_MIN_ANGLE].value, inside = -INFINITY;
    if (speed_at(scene, at) < params[WRONG_WAY_MIN_SPEED].value || count > LANES) return 0;
    if (nm_detect_between(nm_atan2f(scene->vy[at], scene->vx[at]), scene->heading[at]) > ALIGNED) return 0; // reverses
    for (size_t i = 0; i < count; i++) {
        const nm_lane *lane = &scene->map->lanes[under[i].lane];
        if (!nm_lane_type_drivable((nm_lane_type)lane->type)) continue;
        if (lane->flags & (NM_LANE_BIDIRECTIONAL | NM_LANE_JUNCTION)) return 0;
        if (nm_detect_between(scene->heading[at], under[i].heading) < least) return 0;
        inside = nm_maxf(inside, nm_minf(under[i].left - under[i].d, under[i].d + under[i].right));
    }
    return inside >= params[WRONG_WAY_MIN_INSIDE].value;
}

// m/s over the highest limit of the lanes driven along; 0 where one has no limit, or there is none.
static float over_limit(const nm_scene *scene, size_t at, const nm_frenet *under, size_t count) {
    float limit = 0;
    for (size_t i = 0; i < count && i < LANES; i++) {
        const nm_lane *lane = &scene->map->lanes[under[i].lane];
        if (!nm_lane_type_drivable((nm_lane_type)lane->type)) continue;
        if (nm_detect_between(scene->heading[at], under[i].heading) > ALIGNED) continue;
        if (lane->speed_limit <= 0) return 0;
        limit = nm_maxf(limit, lane->speed_limit);
    }
    return limit > 0 ? nm_maxf(speed_at(scene, at) - limit, 0) : 0;
}

nm_status nm_judge_rules(nm_judging *j, uint32_t track) {
    const nm_scene *scene = j->conflict->scene;
    const nm_validity_params *p = j->params;
    nm_follow_up f = {.scene = scene, .track = track, .last = j->last, .half = 0.5f * scene->tracks[track].length};
    float wrong = 0;
    if (scene->map->lane_count == 0 || !nm_agent_type_vehicle((nm_agent_type)scene->tracks[track].type)) return NM_OK;
    for (uint32_t t = j->begin; t <= j->last; t++) {
        size_t at = nm_scene_at(scene, track, t);
        nm_frenet under[LANES];
        if (!scene->valid[at]) {
            wrong = 0;
            continue;
        }
        size_t count = nm_map_lanes_at(scene->map, scene->x[at], scene->y[at], under, LANES);
        wrong = against_lanes(scene, at, under, count) ? wrong + speed_at(scene, at) * DT : 0;
        nm_verdict_take(j, NM_VERDICT_WRONG_WAY, track, t, wrong, p->wrong_way,
                        (p->violations & NM_VIOLATION_WRONG_WAY) != 0);
        nm_verdict_take(j, NM_VERDICT_SPEEDING, track, t, over_limit(scene, at, under, count), p->speeding,
                        (p->violations & NM_VIOLATION_SPEEDING) != 0);
        if (t > 0) judge_lines(j, &f, t);
    }
    return NM_OK;
}
