/// Rails: every lane resampled at equal steps of about 1 m, with tangent, curvature, half widths and speed limit. Once
/// conflicts are known, lanes without any that run straight are thinned to steps of up to 8 m: on a motorway most of
/// the simulator's memory traffic is rails.
///
/// Real centrelines have repeated points, segments of a millimetre and kinks at the joints of long segments. All
/// derivatives are therefore taken over the resampled points: tangents over two steps, curvature over six.
#include "sim/geometry.h"
#include "sim/map_private.h"

#define STEP 1.0f            // m
#define MAX_POINTS 2000000.0 // on all rails together; beyond it the step grows
#define CURVATURE_REACH 3u   // steps to each side
#define THIN_STEP 8.0f       // m, at most between the points of a straight lane
#define THIN_BEND 0.005f     // 1/m: tighter lanes keep their points
#define THIN_ERROR 0.01f     // m between rail and lane
#define MAX_CURVATURE 0.5f   // 1/m: no road vehicle turns tighter than 2 m; more is noise

static nm_vec2 unit(nm_vec2 v, nm_vec2 otherwise) {
    float length = nm_hypotf(v.x, v.y);
    return length > 1e-9f ? (nm_vec2){v.x / length, v.y / length} : otherwise;
}

/// Positions, and the half widths as seen along the border pairs.
static void resample(const nm_map *map, const nm_lane *lane, nm_rail_point *rail, uint32_t count, float speed) {
    uint32_t k = lane->points.first, last = k + lane->points.count - 2;
    for (uint32_t i = 0; i < count; i++) {
        float s = i + 1 < count ? lane->rail_step * (float)i : lane->length;
        while (k < last && map->point_s[k + 1] < s) k++;
        float span = map->point_s[k + 1] - map->point_s[k];
        float t = span > 0.0f ? nm_clampf((s - map->point_s[k]) / span, 0.0f, 1.0f) : 0.0f;
        nm_vec2 p = nm_lerp(map->centre[k], map->centre[k + 1], t);
        nm_vec2 l = nm_sub(nm_lerp(map->left[k], map->left[k + 1], t), p);
        nm_vec2 r = nm_sub(nm_lerp(map->right[k], map->right[k + 1], t), p);
        // the offsets wait in cos_h.. until the tangents are known
        rail[i] = (nm_rail_point){.x = p.x, .y = p.y, .left = nm_hypotf(l.x, l.y), .right = nm_hypotf(r.x, r.y)};
        rail[i].cos_h = l.x - r.x;
        rail[i].sin_h = l.y - r.y;
        rail[i].speed_limit = speed;
    }
}

static nm_vec2 chord(const nm_rail_point *rail, uint32_t a, uint32_t b) {
    return (nm_vec2){rail[b].x - rail[a].x, rail[b].y - rail[a].y};
}

/// Tangents by central differences; at the ends by the one-sided difference of second order, so that a curve begins
/// with its own direction and not with that of its first chord.
static void set_tangents(nm_rail_point *rail, uint32_t count) {
    uint32_t n = count - 1;
    nm_vec2 forward = unit(chord(rail, 0, n), (nm_vec2){1.0f, 0.0f});
    for (uint32_t i = 0; i < count; i++) {
        nm_vec2 across = {rail[i].cos_h, rail[i].sin_h};
        nm_vec2 t;
        if (i > 0 && i < n) {
            t = unit(chord(rail, i - 1, i + 1), forward);
        } else {
            nm_vec2 near = unit(i ? chord(rail, n - 1, n) : chord(rail, 0, 1), forward);
            t = near;
            if (n >= 2) {
                nm_vec2 next = unit(i ? chord(rail, n - 2, n - 1) : chord(rail, 1, 2), near);
                nm_vec2 ahead = {1.5f * near.x - 0.5f * next.x, 1.5f * near.y - 0.5f * next.y};
                if (nm_dot(near, next) > 0.95f) t = unit(ahead, near);
            }
        }
        rail[i].cos_h = t.x;
        rail[i].sin_h = t.y;
        forward = t;
        // border pairs need not lie square to the lane: keep what is lateral
        float length = nm_hypotf(across.x, across.y);
        float square = length > 0.0f ? nm_cross(t, across) / length : 0.0f;
        rail[i].left *= nm_maxf(square, 0.0f);
        rail[i].right *= nm_maxf(square, 0.0f);
    }
}

/// Curvature of the circle through three points (Menger): 2 sin(angle) / opposite side. Exact on circles at any
/// spacing. Then two passes of a (1 2 1) / 4 filter over the steps.
static void set_curvature(nm_rail_point *rail, uint32_t count) {
    uint32_t n = count - 1;
    if (n < 2) return;
    for (uint32_t i = 1; i < n; i++) {
        uint32_t reach = CURVATURE_REACH;
        if (reach > i) reach = i;
        if (reach > n - i) reach = n - i;
        nm_vec2 a = chord(rail, i - reach, i), b = chord(rail, i, i + reach), c = chord(rail, i - reach, i + reach);
        float product = sqrtf(nm_dot(a, a) * nm_dot(b, b)) * nm_hypotf(c.x, c.y);
        float curvature = product > 1e-9f ? 2.0f * nm_cross(a, b) / product : 0.0f;
        rail[i].curvature = nm_clampf(curvature, -MAX_CURVATURE, MAX_CURVATURE);
    }
    rail[0].curvature = rail[1].curvature;
    rail[n].curvature = rail[n - 1].curvature;
    for (int pass = 0; pass < 2; pass++) {
        float before = rail[0].curvature;
        for (uint32_t i = 1; i < n; i++) {
            float here = rail[i].curvature;
            rail[i].curvature = 0.25f * (before + 2.0f * here + rail[i + 1].curvature);
            before = here;
        }
    }
}

/// Lays out and fills all rails; `steps` [lane_count] m. Returns the array, or NULL without memory.
static nm_rail_point *make(nm_map_object *object, const float *steps, uint32_t *point_count) {
    nm_map *map = &object->map;
    nm_lane *lanes = NM_MUTABLE(nm_lane, map->lanes);
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const float length = lanes[i].length;
        count += (length < 2.0f * steps[i] ? 1u : (uint32_t)ceilf(length / steps[i])) + 1;
    }
    nm_rail_point *rail = aligned_alloc(64, ((size_t)count * sizeof *rail + 127) / 64 * 64);
    if (!rail) return NULL;
    count = 0;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        nm_lane *lane = &lanes[i];
        uint32_t intervals = lane->length < 2.0f * steps[i] ? 1u : (uint32_t)ceilf(lane->length / steps[i]);
        lane->rail_step = lane->length / (float)intervals;
        lane->rail_inverse = (float)intervals / lane->length;
        lane->rail = (nm_range){count, intervals + 1};
        count += intervals + 1;
        nm_rail_point *points = rail + lane->rail.first;
        float speed = lane->speed_limit > 0.0f ? lane->speed_limit : object->default_speed[lane->type];
        resample(map, lane, points, lane->rail.count, speed);
        set_tangents(points, lane->rail.count);
        set_curvature(points, lane->rail.count);
    }
    *point_count = count;
    return rail;
}

static void replace(nm_map_object *object, nm_rail_point *rail, uint32_t count) {
    nm_map *map = &object->map;
    map->bytes -= (size_t)map->rail_count * sizeof *rail;
    free(object->rail);
    map->rail_count = count;
    map->rail = object->rail = rail;
    map->bytes += (size_t)count * sizeof *rail;
}

int nm_map_make_rails(nm_map_object *object) {
    const nm_map *map = &object->map;
    double total = 0.0;
    for (uint32_t i = 0; i < map->lane_count; i++) total += (double)map->lanes[i].length;
    const float step = total > MAX_POINTS * (double)STEP ? (float)(total / MAX_POINTS) : STEP;
    float *steps = malloc(((size_t)map->lane_count + 1) * sizeof *steps);
    if (!steps) return 0;
    for (uint32_t i = 0; i < map->lane_count; i++) steps[i] = step;
    uint32_t count = 0;
    nm_rail_point *rail = make(object, steps, &count);
    free(steps);
    if (!rail) return 0;
    replace(object, rail, count);
    return 1;
}

/// The longest step that keeps a lane's rail true: no conflicts on it, straight enough for THIN_ERROR between points,
/// and widths that do not change (a lane that opens or ends needs its outline).
static float longest_step(const nm_map *map, const nm_lane *lane) {
    const nm_rail_point *rail = map->rail + lane->rail.first;
    float bend = 0.0f, narrowest = INFINITY, widest = 0.0f;
    for (uint32_t k = 0; k < lane->rail.count; k++) {
        bend = nm_maxf(bend, fabsf(rail[k].curvature));
        narrowest = nm_minf(narrowest, nm_minf(rail[k].left, rail[k].right));
        widest = nm_maxf(widest, nm_maxf(rail[k].left, rail[k].right));
    }
    if (lane->conflicts.count > 0 || widest - narrowest > 0.1f || bend > THIN_BEND) return lane->rail_step;
    // sagitta of a chord of one step: curvature step^2 / 8
    const float step = nm_minf(sqrtf(8.0f * THIN_ERROR / nm_maxf(bend, 1e-6f)), THIN_STEP);
    return nm_maxf(step, lane->rail_step);
}

int nm_map_thin_rails(nm_map_object *object) {
    const nm_map *map = &object->map;
    float *steps = malloc(((size_t)map->lane_count + 1) * sizeof *steps);
    if (!steps) return 0;
    double points = 0.0;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        steps[i] = longest_step(map, &map->lanes[i]);
        points += (double)(map->lanes[i].length / steps[i]);
    }
    nm_rail_point *rail = NULL;
    uint32_t count = 0;
    const int worth_it = points < 0.7 * (double)map->rail_count;
    if (worth_it) rail = make(object, steps, &count);
    free(steps);
    if (rail) replace(object, rail, count);
    return rail != NULL || !worth_it;
}
