// Motion by fits to the positions, and the verdicts on it.
//
// Windows are symmetric, so that the slope of a parabola is that of a straight line and the terms separate (Savitzky
// and Golay 1964): over k = -5 .. 5 the mean is sum(x) / 11, the velocity sum(k x) / 110 and the acceleration
// 2 sum((k^2 - 10) x) / 858; over k = -n .. n a slope is sum(k x) / sum(k^2).
#include <math.h>

#include "scenarios/validity_internal.h"
#include "sim/math.h"

#define DT 0.1f
#define HALF 5          // steps to each side of a parabola
#define YAW 2           // of the slope of the heading
#define JERK 3          // of the slope of the acceleration
#define MOVING 1.0f     // m/s above which the direction is that of the motion
#define SLIP_SPEED 3.0f // m/s above which slip means something
#define CHORD 2.0f      // m over which a curvature is measured
#define TURN_STEPS 20u  // of turning on the spot

int nm_valid_run(const nm_scene *scene, uint32_t track, uint32_t from, uint32_t last, uint32_t *first, uint32_t *end) {
    const uint8_t *valid = scene->valid + nm_scene_at(scene, track, 0);
    uint32_t t = from;
    while (t <= last && !valid[t]) t++;
    if (t > last) return 0;
    *first = t;
    while (t < last && valid[t + 1]) t++;
    *end = t;
    return 1;
}

// --- measuring -------------------------------------------------------------------------------------------------------

typedef struct nm_fit {
    float mean, velocity, acceleration;
} nm_fit;

// Values are taken relative to the middle one, so that large coordinates cost no precision.
static nm_fit parabola(const float *middle) {
    nm_fit fit = {0, 0, 0};
    for (int k = -HALF; k <= HALF; k++) {
        float value = middle[k] - middle[0];
        fit.mean += value;
        fit.velocity += (float)k * value;
        fit.acceleration += (float)(k * k - 10) * value;
    }
    fit.mean = middle[0] + fit.mean / 11.0f;
    fit.velocity /= 110.0f * DT;
    fit.acceleration *= 2.0f / (858.0f * DT * DT);
    return fit;
}

static float slope(const float *middle, int half) {
    float sum = 0, norm = 0;
    for (int k = 1; k <= half; k++) {
        sum += (float)k * (middle[k] - middle[-k]);
        norm += 2.0f * (float)(k * k);
    }
    return sum / (norm * DT);
}

static float chord(const float *x, const float *y, uint32_t a, uint32_t b) {
    return nm_hypotf(x[b] - x[a], y[b] - y[a]);
}

// The weaker of what positions and stated velocities say, nothing where they disagree in sign: an artefact of tracking
// rarely shows in both (as the detectors measure it). Where both are made up, they agree: nm_judge_steps sees to that.
static float weaker(float a, float b) {
    if (a * b <= 0) return 0;
    return fabsf(a) < fabsf(b) ? a : b;
}

static void measure_at(const nm_scene *scene, size_t at, float rear, uint32_t i, nm_motion *m) {
    const float *x = scene->x + at, *y = scene->y + at;
    if (i >= YAW && i + YAW < m->count)
        m->yaw_rate[i] = chord(x, y, i - YAW, i + YAW) < NM_VALID_CHORD ? 0 : slope(&m->heading[i], YAW);
    if (i < HALF || i + HALF >= m->count) return;
    nm_fit fx = parabola(&x[i]), fy = parabola(&y[i]), turn = parabola(&m->heading[i]);
    float sine, cosine, speed = nm_hypotf(fx.velocity, fy.velocity);
    nm_sincosf(nm_wrap_angle(turn.mean), &sine, &cosine);
    float along = fx.velocity * cosine + fy.velocity * sine, aside = fy.velocity * cosine - fx.velocity * sine;
    float ux = cosine, uy = sine;
    if (speed > MOVING) ux = fx.velocity / speed, uy = fy.velocity / speed;
    m->speed[i] = speed;
    float by_position = fx.acceleration * ux + fy.acceleration * uy;
    float by_velocity = slope(&scene->vx[at + i], HALF) * ux + slope(&scene->vy[at + i], HALF) * uy;
    m->along[i] = weaker(by_position, by_velocity);
    m->across[i] = fy.acceleration * ux - fx.acceleration * uy;
    if (speed <= SLIP_SPEED) return;
    float with_turn = turn.velocity < 0 ? -aside : aside;
    float skid = nm_maxf(with_turn - rear * fabsf(turn.velocity), -with_turn);
    m->slip[i] = atan2f(nm_maxf(skid, 0), fabsf(along));
}

nm_status nm_motion_measure(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t last, nm_arena *arena,
                            nm_motion *out) {
    nm_motion m = {.first = first, .count = last - first + 1};
    float **const arrays[] = {&m.heading, &m.speed, &m.along, &m.across, &m.jerk, &m.yaw_rate, &m.slip};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) {
        *arrays[k] = NM_ARENA_ARRAY(arena, float, m.count);
        if (!*arrays[k]) return NM_E_MEMORY;
        for (uint32_t i = 0; i < m.count; i++) (*arrays[k])[i] = NAN;
    }
    size_t at = nm_scene_at(scene, track, first);
    const float *heading = scene->heading + at;
    m.heading[0] = heading[0];
    for (uint32_t i = 1; i < m.count; i++) m.heading[i] = m.heading[i - 1] + nm_wrap_angle(heading[i] - heading[i - 1]);
    float rear = NM_VALID_REAR * scene->tracks[track].length;
    for (uint32_t i = 0; i < m.count; i++) measure_at(scene, at, rear, i, &m);
    for (uint32_t i = JERK; i + JERK < m.count; i++) m.jerk[i] = slope(&m.along[i], JERK); // NaN where a window is cut
    *out = m;
    return NM_OK;
}

// --- verdicts --------------------------------------------------------------------------------------------------------

static void judge_fits(nm_judging *j, uint32_t track, const nm_motion *m, const nm_kinematic_limits *limits) {
    for (uint32_t i = 0; i < m->count; i++) {
        uint32_t t = m->first + i;
        if (t < j->begin) continue;
        nm_verdict_take(j, NM_VERDICT_YAW_RATE, track, t, fabsf(m->yaw_rate[i]), limits->yaw_rate, 0);
        nm_verdict_take(j, NM_VERDICT_SPEED, track, t, m->speed[i], limits->speed, 0);
        nm_verdict_take(j, NM_VERDICT_LATERAL_ACCELERATION, track, t, fabsf(m->across[i]), limits->lateral, 0);
        nm_verdict_take(j, NM_VERDICT_JERK, track, t, fabsf(m->jerk[i]), limits->jerk, 0);
        nm_verdict_take(j, NM_VERDICT_SLIP, track, t, m->slip[i], limits->slip, 0);
        if (isnan(m->along[i])) continue; // a maximum with 0 would be a measurement
        nm_verdict_take(j, NM_VERDICT_ACCELERATION, track, t, nm_maxf(m->along[i], 0), limits->acceleration, 0);
        nm_verdict_take(j, NM_VERDICT_BRAKING, track, t, nm_maxf(-m->along[i], 0), limits->braking, 0);
    }
}

// Turning against the way made: curvature over the shortest chord that is long enough, or turning on the spot.
static void judge_turning(nm_judging *j, uint32_t track, const nm_motion *m, const nm_kinematic_limits *limits) {
    size_t at = nm_scene_at(j->conflict->scene, track, m->first);
    const float *x = j->conflict->scene->x + at, *y = j->conflict->scene->y + at;
    for (uint32_t i = 1; i < m->count; i++) {
        if (m->first + i < j->begin) continue;
        float spot = 0;
        uint32_t back = i;
        while (back > 0 && i - back < TURN_STEPS && chord(x, y, back - 1, i) < NM_VALID_CHORD) {
            back--;
            spot = nm_maxf(spot, fabsf(m->heading[i] - m->heading[back]));
        }
        nm_verdict_take(j, NM_VERDICT_TURN_ON_SPOT, track, m->first + i, spot, limits->turn_on_spot, 0);
        while (back > 0 && chord(x, y, back, i) < CHORD) back--;
        float way = chord(x, y, back, i), turn = fabsf(m->heading[i] - m->heading[back]);
        if (way < CHORD) continue;
        float curvature = 2 * sinf(0.5f * nm_minf(turn, NM_PI_F)) / way;
        nm_verdict_take(j, NM_VERDICT_CURVATURE, track, m->first + i, curvature, limits->curvature, 0);
    }
}

static void judge_steps(nm_judging *j, uint32_t track, const nm_motion *m) {
    const nm_scene *scene = j->conflict->scene;
    const nm_validity_params *p = j->params;
    size_t at = nm_scene_at(scene, track, m->first);
    const float *x = scene->x + at, *y = scene->y + at, *vx = scene->vx + at, *vy = scene->vy + at;
    for (uint32_t i = 1; i < m->count; i++) {
        uint32_t t = m->first + i;
        if (t < j->begin) continue;
        float dx = x[i] - x[i - 1], dy = y[i] - y[i - 1];
        float wrong_x = dx / DT - 0.5f * (vx[i] + vx[i - 1]), wrong_y = dy / DT - 0.5f * (vy[i] + vy[i - 1]);
        nm_verdict_take(j, NM_VERDICT_VELOCITY, track, t, nm_hypotf(wrong_x, wrong_y), p->velocity, 0);
        nm_verdict_take(j, NM_VERDICT_HEADING_JUMP, track, t, fabsf(m->heading[i] - m->heading[i - 1]), p->heading_jump,
                        0);
        // the first displacement of a run has only the stated velocity to be compared with
        float before_x = i > 1 ? x[i - 1] - x[i - 2] : vx[i - 1] * DT;
        float before_y = i > 1 ? y[i - 1] - y[i - 2] : vy[i - 1] * DT;
        nm_verdict_take(j, NM_VERDICT_TELEPORT, track, t, nm_hypotf(dx - before_x, dy - before_y), p->teleport, 0);
    }
}

nm_status nm_judge_motion(nm_judging *j, uint32_t track) {
    const nm_scene *scene = j->conflict->scene;
    const nm_track *info = &scene->tracks[track];
    nm_kinematic_limits limits = nm_kinematic_limits_of((nm_agent_type)info->type, j->params->profile);
    // a little of the history, so that windows reach over the seam
    uint32_t history = HALF + JERK, first, end, before = NM_NONE;
    uint32_t from = j->begin > history ? j->begin - history : 0;
    for (; nm_valid_run(scene, track, from, j->last, &first, &end); from = end + 1) {
        nm_motion motion;
        nm_arena_mark mark = nm_arena_get_mark(j->arena);
        nm_status status = nm_motion_measure(scene, track, first, end, j->arena, &motion);
        if (status != NM_OK) return status;
        judge_fits(j, track, &motion, &limits);
        judge_turning(j, track, &motion, &limits);
        judge_steps(j, track, &motion);
        nm_arena_release(j->arena, mark);
        if (end < j->begin) continue;
        float gap = before == NM_NONE ? 0 : (float)(first - before - 1) * DT;
        nm_verdict_take(j, NM_VERDICT_GAP, track, first, gap, 0, 0);
        before = end;
        if (end == j->last) break;
    }
    return NM_OK;
}

// --- overlaps --------------------------------------------------------------------------------------------------------

// How far the boxes reach into each other: the least of the overlaps along the four edge normals (Gottschalk et al.
// 1996); negative when they are apart.
static float penetration(const nm_box *a, const nm_box *b) {
    float dx = b->x - a->x, dy = b->y - a->y, depth = INFINITY;
    float c = fabsf(a->cos_h * b->cos_h + a->sin_h * b->sin_h), s = fabsf(a->cos_h * b->sin_h - a->sin_h * b->cos_h);
    const nm_box *boxes[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        const nm_box *self = boxes[i], *other = boxes[1 - i];
        float along = fabsf(dx * self->cos_h + dy * self->sin_h), across = fabsf(dy * self->cos_h - dx * self->sin_h);
        depth = nm_minf(depth, 0.5f * (self->length + c * other->length + s * other->width) - along);
        depth = nm_minf(depth, 0.5f * (self->width + s * other->length + c * other->width) - across);
    }
    return depth;
}

static void judge_pair(nm_judging *j, uint32_t track, uint32_t other) {
    const nm_scene *scene = j->conflict->scene;
    const nm_track *a = &scene->tracks[track], *b = &scene->tracks[other];
    uint32_t t = j->begin;
    if (a->first_step > t) t = a->first_step;
    if (b->first_step > t) t = b->first_step;
    for (; t <= j->last; t++) {
        nm_box first, second;
        if (!nm_scene_box(scene, track, t, &first) || !nm_scene_box(scene, other, t, &second)) continue;
        nm_verdict_take(j, NM_VERDICT_OVERLAP_AT_START, track, t, nm_maxf(penetration(&first, &second), 0),
                        j->params->overlap, 0);
        return;
    }
}

// Is there a step t > begin at which they touch, and did not one step before? NM_NONE = never.
static uint32_t first_contact(const nm_scene *scene, uint32_t track, uint32_t other, uint32_t begin, uint32_t last) {
    const nm_track *a = &scene->tracks[track], *b = &scene->tracks[other];
    float reach = 0.5f * (nm_hypotf(a->length, a->width) + nm_hypotf(b->length, b->width)) + 1.0f;
    int before = 1; // what begins in contact is no collision but an overlap at the start
    for (uint32_t t = begin > b->first_step ? begin : b->first_step; t <= last && t <= b->last_step; t++) {
        size_t i = nm_scene_at(scene, track, t), k = nm_scene_at(scene, other, t);
        nm_box first, second;
        int now = 0;
        if (!scene->valid[i] || !scene->valid[k]) continue;
        float dx = scene->x[k] - scene->x[i], dy = scene->y[k] - scene->y[i];
        if (dx * dx + dy * dy <= reach * reach)
            now = nm_scene_box(scene, track, t, &first) && nm_scene_box(scene, other, t, &second) &&
                  nm_box_overlap(&first, &second);
        if (now && !before) return t;
        before = now;
    }
    return NM_NONE;
}

uint32_t nm_last_free_step(const nm_judging *j, uint32_t track) {
    const nm_scene *scene = j->conflict->scene;
    uint32_t last = j->last;
    for (uint32_t other = 0; other < scene->track_count; other++) {
        if (other == track || scene->tracks[other].first_step > scene->tracks[other].last_step) continue;
        uint32_t contact = first_contact(scene, track, other, j->begin, last);
        if (contact != NM_NONE) last = contact - 1;
    }
    return last;
}

nm_status nm_judge_overlaps(nm_judging *j) {
    const nm_scene *scene = j->conflict->scene;
    const nm_conflict_case *conflict = j->conflict;
    for (uint32_t i = 0; i <= conflict->adversary_count; i++) {
        uint32_t track = i == 0 ? conflict->ego : conflict->adversaries[i - 1];
        for (uint32_t other = 0; other < scene->track_count; other++)
            if (other != track) judge_pair(j, track, other);
    }
    return NM_OK;
}
