#include "render/scene_drawing.h"

#include <math.h>
#include <stdlib.h>

#include "render/scene_drawing_private.h"
#include "sim/math.h"

#define TTC_HORIZON 10.0f    ///< s, what nm_series shows of times to collision
#define MOST_DISTANCE 100.0f ///< m, likewise of distances
#define LEAST_MOVE 0.3f      ///< m between two steps either side, below which nothing says where the wheels point
#define MOST_STEERING 0.6f   ///< rad

nm_role nm_role_of(const nm_scene *scene, uint32_t track) {
    NM_ASSERT(scene && track < scene->track_count);
    const nm_track *t = &scene->tracks[track];
    if (track == scene->ego || t->flags & NM_TRACK_EGO) return NM_ROLE_EGO;
    if (t->flags & NM_TRACK_ADVERSARY) return NM_ROLE_ADVERSARY;
    if (t->flags & NM_TRACK_STATIC) return NM_ROLE_STATIC;
    switch ((nm_agent_type)t->type) {
    case NM_AGENT_TRUCK:
    case NM_AGENT_BUS:
    case NM_AGENT_TRAIN:
        return NM_ROLE_LARGE;
    case NM_AGENT_CYCLIST:
    case NM_AGENT_MOTORCYCLE:
        return NM_ROLE_CYCLIST;
    case NM_AGENT_PEDESTRIAN:
        return NM_ROLE_PEDESTRIAN;
    case NM_AGENT_OBSTACLE:
        return NM_ROLE_STATIC;
    default:
        return NM_ROLE_VEHICLE;
    }
}

// --- between steps ---------------------------------------------------------------------------------------------------

static float usual_height(nm_agent_type type) {
    switch (type) {
    case NM_AGENT_TRUCK:
    case NM_AGENT_BUS:
        return 3.2f;
    case NM_AGENT_TRAIN:
        return 3.8f;
    case NM_AGENT_PEDESTRIAN:
    case NM_AGENT_CYCLIST:
        return 1.75f;
    case NM_AGENT_OBSTACLE:
        return 1.0f;
    default:
        return 1.5f;
    }
}

static float size_at(const float *states, size_t at, float track) {
    return states && states[at] > 0 ? states[at] : track;
}

static float mix(float a, float b, float t) {
    return a + t * (b - a);
}

/// Of the front wheels at a step, if the agent rolls on a circle between the steps before and after (single-track
/// model): tan = wheelbase * change of heading / way, the way negative when it reverses. The wheelbase is about 0.6 of
/// the length of a car.
static float turned_wheels(const nm_scene *scene, uint32_t track, uint32_t step, float length) {
    const uint32_t before = step > 0 && scene->valid[nm_scene_at(scene, track, step - 1)] ? step - 1 : step;
    const uint32_t after =
        step + 1 < scene->step_count && scene->valid[nm_scene_at(scene, track, step + 1)] ? step + 1 : step;
    const size_t from = nm_scene_at(scene, track, before), to = nm_scene_at(scene, track, after);
    const float dx = scene->x[to] - scene->x[from], dy = scene->y[to] - scene->y[from];
    const float heading = scene->heading[nm_scene_at(scene, track, step)];
    const float way = cosf(heading) * dx + sinf(heading) * dy;
    if (!(fabsf(way) >= LEAST_MOVE)) return 0.0f;
    const float turned = nm_wrap_angle(scene->heading[to] - scene->heading[from]);
    return nm_clampf(atanf(0.6f * length * turned / way), -MOST_STEERING, MOST_STEERING);
}

int nm_pose_at(const nm_scene *scene, uint32_t track, float step, nm_pose *pose) {
    const nm_track *t = &scene->tracks[track];
    const float last = (float)scene->step_count - 1.0f;
    if (scene->step_count == 0 || !(step > -0.5f) || !(step < last + 0.5f)) return 0;
    step = nm_clampf(step, 0.0f, last);
    uint32_t lower = (uint32_t)step, upper = lower + 1 < scene->step_count ? lower + 1 : lower;
    float between = step - (float)lower;
    if (t->first_step > upper || t->last_step < lower || t->first_step > t->last_step) return 0;
    const int here = scene->valid[nm_scene_at(scene, track, lower)];
    const int there = scene->valid[nm_scene_at(scene, track, upper)];
    if (between < 0.5f ? !here : !there) return 0;
    if (!there) upper = lower, between = 0;
    if (!here) lower = upper, between = 0;
    const size_t a = nm_scene_at(scene, track, lower), b = nm_scene_at(scene, track, upper);
    const float turn = nm_wrap_angle(scene->heading[b] - scene->heading[a]);
    pose->x = mix(scene->x[a], scene->x[b], between), pose->y = mix(scene->y[a], scene->y[b], between);
    pose->vx = mix(scene->vx[a], scene->vx[b], between), pose->vy = mix(scene->vy[a], scene->vy[b], between);
    pose->heading = between > 0 ? nm_wrap_angle(scene->heading[a] + between * turn) : scene->heading[a];
    pose->length = mix(size_at(scene->state_length, a, t->length), size_at(scene->state_length, b, t->length), between);
    pose->width = mix(size_at(scene->state_width, a, t->width), size_at(scene->state_width, b, t->width), between);
    pose->height = size_at(scene->state_height, a, t->height);
    if (!(pose->height > 0)) pose->height = usual_height((nm_agent_type)t->type);
    return isfinite(pose->x + pose->y) && isfinite(pose->heading) && isfinite(pose->vx + pose->vy);
}

float nm_steering_at(const nm_scene *scene, uint32_t track, float step, float length) {
    step = nm_clampf(step, 0.0f, (float)scene->step_count - 1.0f);
    const uint32_t lower = (uint32_t)step, upper = lower + 1 < scene->step_count ? lower + 1 : lower;
    const int here = scene->valid[nm_scene_at(scene, track, lower)];
    const int there = scene->valid[nm_scene_at(scene, track, upper)];
    const float a = here ? turned_wheels(scene, track, lower, length) : 0.0f;
    const float b = there ? turned_wheels(scene, track, upper, length) : 0.0f;
    return here && there ? mix(a, b, step - (float)lower) : a + b;
}

nm_box nm_pose_box(const nm_pose *pose) {
    nm_box box = {
        .x = pose->x, .y = pose->y, .length = pose->length, .width = pose->width, .vx = pose->vx, .vy = pose->vy};
    nm_sincosf(pose->heading, &box.sin_h, &box.cos_h); // as nm_scene_box, so that both give the same times
    return box;
}

// --- pairs: sweep and prune ------------------------------------------------------------------------------------------

void nm_reach_set(nm_reach *reach, float horizon, float margin) {
    const nm_box *b = &reach->box;
    // rounded up a little: a box that is just reached must be found
    const float x = 0.5f * (fabsf(b->cos_h) * b->length + fabsf(b->sin_h) * b->width) + margin + 0.01f;
    const float y = 0.5f * (fabsf(b->sin_h) * b->length + fabsf(b->cos_h) * b->width) + margin + 0.01f;
    const float dx = b->vx * horizon, dy = b->vy * horizon;
    const float slack_x = 1e-6f * fabsf(b->x), slack_y = 1e-6f * fabsf(b->y);
    reach->low_x = b->x + nm_minf(dx, 0.0f) - x - slack_x, reach->high_x = b->x + nm_maxf(dx, 0.0f) + x + slack_x;
    reach->low_y = b->y + nm_minf(dy, 0.0f) - y - slack_y, reach->high_y = b->y + nm_maxf(dy, 0.0f) + y + slack_y;
}

static float low(const nm_reach *reach, int axis) {
    return axis ? reach->low_y : reach->low_x;
}
static float high(const nm_reach *reach, int axis) {
    return axis ? reach->high_y : reach->high_x;
}

static void sift(nm_reach *reaches, uint32_t at, uint32_t count, int axis) {
    const nm_reach moved = reaches[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && low(&reaches[child + 1], axis) > low(&reaches[child], axis)) child++;
        if (!(low(&reaches[child], axis) > low(&moved, axis))) break;
        reaches[at] = reaches[child];
    }
    reaches[at] = moved;
}

int nm_reach_sort(nm_reach *reaches, uint32_t count) {
    float least[2] = {INFINITY, INFINITY}, most[2] = {-INFINITY, -INFINITY};
    for (uint32_t i = 0; i < count; i++) {
        least[0] = nm_minf(least[0], reaches[i].box.x), most[0] = nm_maxf(most[0], reaches[i].box.x);
        least[1] = nm_minf(least[1], reaches[i].box.y), most[1] = nm_maxf(most[1], reaches[i].box.y);
    }
    const int axis = most[1] - least[1] > most[0] - least[0];
    for (uint32_t i = count / 2; i > 0; i--) sift(reaches, i - 1, count, axis); // heap sort: qsort may allocate
    for (uint32_t n = count; n > 1; n--) {
        const nm_reach top = reaches[0];
        reaches[0] = reaches[n - 1];
        reaches[n - 1] = top;
        sift(reaches, 0, n - 1, axis);
    }
    return axis;
}

int nm_reach_next(const nm_reach *reaches, uint32_t count, int axis, nm_reach_pair *pair) {
    uint32_t i = pair->i, j = pair->j + 1;
    for (; i + 1 < count; i++, j = i + 1) {
        const nm_reach *a = &reaches[i];
        const float end = high(a, axis), from = low(a, !axis), to = high(a, !axis);
        for (; j < count && low(&reaches[j], axis) <= end; j++) {
            const nm_reach *b = &reaches[j];
            if (low(b, !axis) > to || high(b, !axis) < from || (a->fixed & b->fixed)) continue;
            *pair = (nm_reach_pair){i, j};
            return 1;
        }
    }
    return 0;
}

// --- criticality over time -------------------------------------------------------------------------------------------

typedef struct moment_of_scene {
    float ttc, distance;
    uint32_t first, second; ///< of the least TTC, else of the least distance
    int collision;
} moment_of_scene;

static uint32_t gather(const nm_scene *scene, uint32_t step, nm_reach *reaches) {
    uint32_t count = 0;
    nm_pose pose;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        if (!nm_pose_at(scene, i, (float)step, &pose)) continue;
        reaches[count++] =
            (nm_reach){.box = nm_pose_box(&pose), .item = i, .fixed = (scene->tracks[i].flags & NM_TRACK_STATIC) != 0};
    }
    return count;
}

/// The least TTC within ever longer horizons: most steps have a near one, and then few pairs need a look.
static void least_ttc(nm_reach *reaches, uint32_t count, moment_of_scene *out) {
    static const float horizons[] = {0.0f, 1.0f, 3.0f, TTC_HORIZON};
    for (size_t h = 0; h < sizeof horizons / sizeof *horizons && out->ttc == INFINITY; h++) {
        for (uint32_t i = 0; i < count; i++) nm_reach_set(&reaches[i], horizons[h], 0);
        const int axis = nm_reach_sort(reaches, count);
        for (nm_reach_pair p = {0, 0}; out->ttc > 0 && nm_reach_next(reaches, count, axis, &p);) { // 0 is the least
            const float ttc = nm_ttc(&reaches[p.i].box, &reaches[p.j].box, horizons[h]);
            if (!(ttc < out->ttc)) continue;
            out->ttc = ttc;
            out->first = reaches[p.i].item, out->second = reaches[p.j].item;
        }
    }
    out->collision = out->ttc == 0 && out->first != NM_NONE;
}

static void least_distance(nm_reach *reaches, uint32_t count, moment_of_scene *out) {
    static const float ranges[] = {2.0f, 10.0f, 30.0f, MOST_DISTANCE};
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges && out->distance == INFINITY; r++) {
        for (uint32_t i = 0; i < count; i++) nm_reach_set(&reaches[i], 0, 0.5f * ranges[r]);
        const int axis = nm_reach_sort(reaches, count);
        for (nm_reach_pair p = {0, 0}; out->distance > 0 && nm_reach_next(reaches, count, axis, &p);) {
            const float distance = nm_box_distance(&reaches[p.i].box, &reaches[p.j].box);
            if (!(distance <= ranges[r]) || !(distance < out->distance)) continue;
            out->distance = distance;
            if (out->ttc == INFINITY) out->first = reaches[p.i].item, out->second = reaches[p.j].item;
        }
    }
}

static float speed_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    nm_pose pose;
    return track < scene->track_count && nm_pose_at(scene, track, (float)step, &pose) ? nm_hypotf(pose.vx, pose.vy)
                                                                                      : INFINITY;
}

nm_status nm_series_create(const nm_scene *scene, nm_series *series, nm_error *error) {
    return nm_series_create_until(scene, NULL, NULL, series, error);
}

nm_status nm_series_create_until(const nm_scene *scene, int (*stop)(void *context), void *context, nm_series *series,
                                 nm_error *error) {
    NM_ASSERT(scene && series);
    const uint32_t steps = scene->step_count;
    *series = (nm_series){0};
    nm_reach *reaches = malloc(sizeof *reaches * ((size_t)scene->track_count + 1));
    float *values = malloc((3 * sizeof *values + 1) * (steps ? steps : 1));
    if (!reaches || !values) {
        free(reaches);
        free(values);
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the graphs of %u steps", steps);
    }
    *series =
        (nm_series){steps, values, values + steps, values + 2 * (size_t)steps, (uint8_t *)(values + 3 * (size_t)steps)};
    uint32_t shown = scene->ego;
    float least_t = INFINITY, least_d = INFINITY;
    for (uint32_t s = 0; s < steps; s++) {
        if (stop && stop(context)) {
            free(reaches);
            nm_series_destroy(series);
            return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        }
        moment_of_scene now = {.ttc = INFINITY, .distance = INFINITY, .first = NM_NONE, .second = NM_NONE};
        const uint32_t count = gather(scene, s, reaches);
        least_ttc(reaches, count, &now);
        least_distance(reaches, count, &now);
        series->min_ttc[s] = now.ttc, series->min_distance[s] = now.distance;
        series->collision[s] = (uint8_t)now.collision;
        if (scene->ego != NM_NONE || now.first == NM_NONE) continue;
        if (!(now.ttc < least_t) && !(least_t == INFINITY && now.distance < least_d)) continue;
        least_t = nm_minf(least_t, now.ttc), least_d = nm_minf(least_d, now.distance);
        // of a pair, the one that moves
        const int second = speed_at(scene, now.second, s) > speed_at(scene, now.first, s);
        shown = second ? now.second : now.first;
    }
    if (shown == NM_NONE && scene->track_count) shown = 0;
    for (uint32_t s = 0; s < steps; s++) series->ego_speed[s] = speed_at(scene, shown, s);
    free(reaches);
    return NM_OK;
}

void nm_series_destroy(nm_series *series) {
    NM_ASSERT(series);
    free(series->min_ttc); // the arrays are one block
    *series = (nm_series){0};
}
