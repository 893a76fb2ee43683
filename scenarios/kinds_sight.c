// The ego's way and everybody along it.
#include "scenarios/kinds_sight.h"

#include <math.h>

#include "scenarios/places.h"

#define DT 0.1f
#define LANE_STEP 2.5f    // m between points carried on
#define MOST_LANES 256u   // that a way is carried on over: a file's may be micrometres long, and lead in a circle
#define LEAST_STEP 2.0f   // m between recorded points: noise of a decimetre turns them by little
#define MATCH_RADIUS 3.0f // m
#define MATCH_ANGLE 1.0f  // rad: beyond it somebody does not drive along that lane
#define FAR 60.0f         // m between centres beyond which nobody touches
#define SPEED_HALF 2u     // steps to each side of the slope of the stated speeds
#define PLACE_HALF 3u     // of the parabola of the positions
#define SIDE_HALF 5       // of the cubic
#define DRIFT_HALF 2      // of the line

// --- the way ---------------------------------------------------------------------------------------------------------

static nm_frenet lane_under(const nm_map *map, float x, float y, float heading) {
    nm_frenet at = {.lane = NM_NONE};
    if (map->lane_count > 0) at = nm_map_match(map, x, y, heading, MATCH_RADIUS, NM_LANE_MASK_VEHICLE);
    if (at.lane != NM_NONE && fabsf(nm_wrap_angle(at.heading - heading)) > MATCH_ANGLE) at.lane = NM_NONE;
    return at;
}

// Points along the lanes from a pose on, backwards or ahead; where they end, straight on.
static void carry_on(nm_sight_way *way, const nm_map *map, float x, float y, float heading, int forward,
                     uint32_t count) {
    const nm_frenet at = lane_under(map, x, y, heading);
    uint32_t lane = at.lane;
    uint32_t lanes = 0;
    float s = at.s, sine, cosine;
    for (uint32_t i = 0; i < count; i++) {
        s += forward ? LANE_STEP : -LANE_STEP;
        while (lane != NM_NONE && (s < 0 || s > map->lanes[lane].length)) {
            if (forward) s -= map->lanes[lane].length;
            lane = ++lanes < MOST_LANES ? nm_straightest(map, lane, forward) : NM_NONE;
            if (lane != NM_NONE && !forward) s += map->lanes[lane].length;
        }
        if (lane != NM_NONE) {
            nm_map_position(map, lane, s, at.d, &x, &y, &heading);
        } else {
            nm_sincosf(heading, &sine, &cosine);
            x += (forward ? LANE_STEP : -LANE_STEP) * cosine;
            y += (forward ? LANE_STEP : -LANE_STEP) * sine;
        }
        const uint32_t k = forward ? ++way->last : --way->first;
        way->x[k] = x;
        way->y[k] = y;
    }
}

static void finish_way(nm_sight_way *way) {
    way->s[NM_SIGHT_BACK] = 0;
    for (uint32_t i = way->first; i < way->last; i++) {
        const float dx = way->x[i + 1] - way->x[i], dy = way->y[i + 1] - way->y[i];
        const float length = nm_maxf(nm_hypotf(dx, dy), 1e-4f);
        way->cos_h[i] = dx / length;
        way->sin_h[i] = dy / length;
    }
    way->cos_h[way->last] = way->cos_h[way->last - 1];
    way->sin_h[way->last] = way->sin_h[way->last - 1];
    for (uint32_t i = NM_SIGHT_BACK; i < way->last; i++)
        way->s[i + 1] = way->s[i] + nm_hypotf(way->x[i + 1] - way->x[i], way->y[i + 1] - way->y[i]);
    for (uint32_t i = NM_SIGHT_BACK; i > way->first; i--)
        way->s[i - 1] = way->s[i] - nm_hypotf(way->x[i] - way->x[i - 1], way->y[i] - way->y[i - 1]);
}

static void make_way(nm_sight *sight) {
    const nm_scene *scene = sight->scene;
    nm_sight_way *way = &sight->way;
    const size_t at = nm_scene_at(scene, sight->roles.ego, 0);
    way->first = way->last = NM_SIGHT_BACK;
    way->x[NM_SIGHT_BACK] = scene->x[at + sight->lo];
    way->y[NM_SIGHT_BACK] = scene->y[at + sight->lo];
    for (uint32_t t = sight->lo + 1; t <= sight->hi; t++) {
        const float dx = scene->x[at + t] - way->x[way->last], dy = scene->y[at + t] - way->y[way->last];
        if (dx * dx + dy * dy < LEAST_STEP * LEAST_STEP) continue;
        way->last++;
        way->x[way->last] = scene->x[at + t];
        way->y[way->last] = scene->y[at + t];
    }
    const size_t first = at + sight->lo, last = at + sight->hi;
    carry_on(way, scene->map, scene->x[first], scene->y[first], scene->heading[first], 0, NM_SIGHT_BACK);
    carry_on(way, scene->map, way->x[way->last], way->y[way->last], scene->heading[last], 1, NM_SIGHT_AHEAD);
    finish_way(way);
}

// Nearest point, downhill from *hint on; returns the index of the segment, with s and d on it.
static uint32_t project(const nm_sight_way *way, float x, float y, uint32_t *hint, float *s, float *d) {
    uint32_t i = *hint < way->first ? way->first : *hint > way->last ? way->last : *hint;
    float now = (way->x[i] - x) * (way->x[i] - x) + (way->y[i] - y) * (way->y[i] - y);
    for (int direction = 1; direction >= -1; direction -= 2) {
        while (direction > 0 ? i < way->last : i > way->first) {
            const uint32_t k = direction > 0 ? i + 1 : i - 1;
            const float then = (way->x[k] - x) * (way->x[k] - x) + (way->y[k] - y) * (way->y[k] - y);
            if (then >= now) break;
            i = k;
            now = then;
        }
    }
    *hint = i;
    float along = (x - way->x[i]) * way->cos_h[i] + (y - way->y[i]) * way->sin_h[i];
    if (along < 0 && i > way->first) {
        i--;
        along = (x - way->x[i]) * way->cos_h[i] + (y - way->y[i]) * way->sin_h[i];
    }
    *s = way->s[i] + along;
    *d = (y - way->y[i]) * way->cos_h[i] - (x - way->x[i]) * way->sin_h[i];
    return i;
}

nm_trace_point nm_sight_point(const nm_sight *sight, const nm_box *box, uint32_t *hint) {
    nm_trace_point point;
    const nm_sight_way *way = &sight->way;
    const uint32_t i = project(way, box->x, box->y, hint, &point.s, &point.d);
    point.v = box->vx * box->cos_h + box->vy * box->sin_h;
    point.turn_c = box->cos_h * way->cos_h[i] + box->sin_h * way->sin_h[i];
    point.turn_s = box->sin_h * way->cos_h[i] - box->cos_h * way->sin_h[i];
    point.along = 0.5f * (box->length * fabsf(point.turn_c) + box->width * fabsf(point.turn_s));
    point.across = 0.5f * (box->length * fabsf(point.turn_s) + box->width * fabsf(point.turn_c));
    return point;
}

void nm_sight_hint(const nm_sight *sight, float s, uint32_t *hint) {
    const nm_sight_way *way = &sight->way;
    uint32_t low = way->first, high = way->last;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (way->s[middle] <= s)
            low = middle;
        else
            high = middle;
    }
    *hint = low;
}

int nm_sight_borders(const nm_sight *sight, float s, float *left, float *right) {
    const nm_sight_way *way = &sight->way;
    uint32_t low;
    nm_sight_hint(sight, s, &low);
    const float rest = s - way->s[low], x = way->x[low] + rest * way->cos_h[low];
    const float y = way->y[low] + rest * way->sin_h[low];
    const nm_frenet at = lane_under(sight->scene->map, x, y, nm_atan2f(way->sin_h[low], way->cos_h[low]));
    if (at.lane == NM_NONE) return 0;
    *left = at.left - at.d;
    *right = at.right + at.d;
    return 1;
}

// --- the sight -------------------------------------------------------------------------------------------------------

static void trace(const nm_sight *sight, uint32_t track, nm_trace_point *points) {
    uint32_t hint = NM_SIGHT_BACK + (sight->anchor - sight->lo);
    // from the moment to both sides, each step near the one before
    for (int side = 0; side < 2; side++) {
        uint32_t from = hint;
        for (uint32_t t = sight->anchor; side ? t <= sight->hi : t + 1 > sight->lo; side ? t++ : t--) {
            nm_box box;
            if (track == NM_NONE || !nm_scene_box(sight->scene, track, t, &box))
                points[t - sight->lo] = (nm_trace_point){.s = NAN, .d = NAN, .v = NAN};
            else
                points[t - sight->lo] = nm_sight_point(sight, &box, &from);
            if (t == 0 && !side) break;
        }
    }
}

static int both_there(const nm_scene *scene, const nm_kind_roles *roles, uint32_t step) {
    return scene->valid[nm_scene_at(scene, roles->ego, step)] &&
           scene->valid[nm_scene_at(scene, roles->adversary, step)];
}

static void find_contact(nm_sight *sight, uint32_t danger) {
    const nm_scene *scene = sight->scene;
    int before = 1; // what begins in contact is an issue of the scene
    for (uint32_t t = sight->lo; t <= sight->hi; t++) {
        const size_t i = nm_scene_at(scene, sight->roles.ego, t), k = nm_scene_at(scene, danger, t);
        nm_box ego, other;
        int now = 0;
        if (scene->valid[k] && fabsf(scene->x[i] - scene->x[k]) + fabsf(scene->y[i] - scene->y[k]) < FAR)
            now = nm_scene_box(scene, sight->roles.ego, t, &ego) && nm_scene_box(scene, danger, t, &other) &&
                  nm_box_overlap(&ego, &other);
        if (now && !before) {
            sight->hi = t;
            sight->contact = 1;
            return;
        }
        before = now;
    }
}

int nm_sight_of(const nm_scene *scene, const nm_kind_roles *roles, uint32_t danger, uint32_t anchor, nm_sight *sight) {
    sight->scene = scene;
    sight->roles = *roles;
    sight->contact = 0;
    if (anchor >= scene->step_count || !both_there(scene, roles, anchor)) return 0;
    sight->lo = sight->hi = anchor;
    while (sight->lo > 0 && anchor - sight->lo < NM_SIGHT_REACH && both_there(scene, roles, sight->lo - 1)) sight->lo--;
    while (sight->hi + 1 < scene->step_count && sight->hi - anchor < NM_SIGHT_REACH &&
           both_there(scene, roles, sight->hi + 1))
        sight->hi++;
    find_contact(sight, danger);
    sight->anchor = anchor < sight->hi ? anchor : sight->hi;
    sight->ego_width = scene->tracks[roles->ego].width;
    make_way(sight);
    trace(sight, roles->ego, sight->ego);
    trace(sight, roles->adversary, sight->adversary);
    trace(sight, roles->other, sight->other);
    return 1;
}

// --- between and over steps ------------------------------------------------------------------------------------------

static float mix(float a, float b, float share) {
    return a + share * (b - a);
}

nm_trace_point nm_trace_at(const nm_sight *sight, const nm_trace_point *points, float step) {
    const float place = nm_clampf(step, (float)sight->lo, (float)sight->hi) - (float)sight->lo;
    uint32_t i = (uint32_t)place;
    if (i == sight->hi - sight->lo && i > 0) i--;
    const float share = place - (float)i;
    const nm_trace_point *a = &points[i], *b = &points[sight->hi > sight->lo ? i + 1 : i];
    return (nm_trace_point){mix(a->s, b->s, share),           mix(a->d, b->d, share),
                            mix(a->v, b->v, share),           mix(a->turn_c, b->turn_c, share),
                            mix(a->turn_s, b->turn_s, share), mix(a->along, b->along, share),
                            mix(a->across, b->across, share)};
}

typedef struct nm_window {
    uint32_t first, last;
    float count, middle;
} nm_window;

static nm_window window_at(const nm_sight *sight, uint32_t step, uint32_t half) {
    nm_window w = {step - sight->lo > half ? step - half : sight->lo, sight->hi - step > half ? step + half : sight->hi,
                   0, 0};
    w.count = (float)(w.last - w.first + 1);
    w.middle = 0.5f * (w.count - 1);
    return w;
}

float nm_trace_braking(const nm_sight *sight, uint32_t track, const nm_trace_point *points, uint32_t step) {
    const nm_scene *scene = sight->scene;
    const nm_window speeds = window_at(sight, step, SPEED_HALF), places = window_at(sight, step, PLACE_HALF);
    if (speeds.count < 3 || places.count < 5) return 0;
    float sum = 0, norm = 0;
    for (uint32_t t = speeds.first; t <= speeds.last; t++) {
        const float k = (float)(t - speeds.first) - speeds.middle;
        sum += k * points[t - sight->lo].v;
        norm += k * k;
    }
    const float by_speed = -sum / (norm * DT);
    // second derivative by the window's second orthogonal polynomial, along the heading
    const size_t at = nm_scene_at(scene, track, 0);
    const float offset = (places.count * places.count - 1) / 12;
    float sine, cosine;
    nm_sincosf(scene->heading[at + step], &sine, &cosine);
    sum = norm = 0;
    for (uint32_t t = places.first; t <= places.last; t++) {
        const float k = (float)(t - places.first) - places.middle, weight = k * k - offset;
        const float along =
            (scene->x[at + t] - scene->x[at + step]) * cosine + (scene->y[at + t] - scene->y[at + step]) * sine;
        sum += weight * along;
        norm += weight * weight;
    }
    const float by_place = -2 * sum / (norm * DT * DT);
    if (by_speed * by_place <= 0) return 0;
    return fabsf(by_speed) < fabsf(by_place) ? by_speed : by_place;
}

// weight[k] of the difference of the positions k steps to both sides of `step`, all over `norm`.
static float slope_across(const nm_sight *sight, uint32_t track, const nm_trace_point *points, uint32_t step,
                          const float *weight, uint32_t half, float norm) {
    const nm_scene *scene = sight->scene;
    if (step < sight->lo + half || step + half > sight->hi || isnan(points[step - sight->lo].s)) return NAN;
    const size_t at = nm_scene_at(scene, track, step);
    float vx = 0, vy = 0, sine, cosine, heading = scene->heading[at];
    for (uint32_t k = 1; k <= half; k++) {
        vx += weight[k] * (scene->x[at + k] - scene->x[at - k]);
        vy += weight[k] * (scene->y[at + k] - scene->y[at - k]);
    }
    const nm_frenet place = lane_under(scene->map, scene->x[at], scene->y[at], heading);
    if (place.lane != NM_NONE) heading = place.heading;
    nm_sincosf(heading, &sine, &cosine);
    return (vy * cosine - vx * sine) / (norm * DT);
}

float nm_sight_sideways(const nm_sight *sight, uint32_t track, const nm_trace_point *points, uint32_t step) {
    static const float weight[SIDE_HALF + 1] = {0, 296, 503, 532, 294, -300};
    return slope_across(sight, track, points, step, weight, SIDE_HALF, 5148);
}

float nm_sight_drifting(const nm_sight *sight, uint32_t track, const nm_trace_point *points, uint32_t step) {
    static const float weight[DRIFT_HALF + 1] = {0, 1, 2};
    return slope_across(sight, track, points, step, weight, DRIFT_HALF, 10);
}

// --- going on --------------------------------------------------------------------------------------------------------

void nm_go_on_from(const nm_sight *sight, uint32_t track, uint32_t step, nm_going_on *going) {
    const nm_scene *scene = sight->scene;
    const size_t at = nm_scene_at(scene, track, step);
    nm_scene_box(scene, track, step, &going->box);
    going->speed = going->box.vx * going->box.cos_h + going->box.vy * going->box.sin_h;
    going->lane = NM_NONE;
    if (!nm_agent_type_vehicle((nm_agent_type)scene->tracks[track].type)) return;
    const nm_frenet place = lane_under(scene->map, scene->x[at], scene->y[at], scene->heading[at]);
    going->lane = place.lane;
    going->s = place.s;
    going->d = place.d;
    going->skew = nm_wrap_angle(scene->heading[at] - place.heading);
}

void nm_go_on(const nm_sight *sight, nm_going_on *going) {
    const nm_map *map = sight->scene->map;
    nm_box *box = &going->box;
    going->s += going->speed * DT;
    for (uint32_t lanes = 1; going->lane != NM_NONE && going->s > map->lanes[going->lane].length; lanes++) {
        going->s -= map->lanes[going->lane].length;
        going->lane = lanes < MOST_LANES ? nm_straightest(map, going->lane, 1) : NM_NONE;
    }
    if (going->lane == NM_NONE) {
        box->x += box->vx * DT;
        box->y += box->vy * DT;
        return;
    }
    float heading;
    nm_map_position(map, going->lane, going->s, going->d, &box->x, &box->y, &heading);
    going->skew *= 0.8f; // it turns into the lane's direction
    nm_sincosf(heading + going->skew, &box->sin_h, &box->cos_h);
    box->vx = going->speed * box->cos_h;
    box->vy = going->speed * box->sin_h;
}
