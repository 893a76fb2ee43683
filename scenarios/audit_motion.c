// Motion by least squares over positions, and what must not be passed. The definitions are those of validity.h.
#include <math.h>

#include "scenarios/audit_internal.h"

#define DT NM_AUDIT_DT
#define HALF 5u        // steps to each side: +-0.5 s
#define YAW 2u         // +-0.2 s
#define JERK 3u        // +-0.3 s
#define STANDING 0.3   // m
#define MOVING 1.0     // m/s over which the direction is that of the motion
#define SLIP_SPEED 3.0 // m/s
#define REAR 0.3       // of the length, from the centre back to the rear axle
#define CHORD 2.0      // m
#define SPOT_STEPS 20u // 2 s
#define WINDOW (2 * HALF + 1)
#define SPEEDS 2u // +-0.2 s, of a braking
#define PLACES 3u // +-0.3 s
#define LEAST_SPEEDS 3u
#define LEAST_PLACES 5u

typedef struct limits {
    double speed, acceleration, braking, lateral, jerk, yaw_rate, curvature, slip, turn_on_spot;
} limits;

// As validity.h says it for cars; g = 9.81. Where full lock meets the grip: yaw rate = sqrt(curvature * lateral).
static limits limits_of(nm_agent_type type) {
    const double g = 9.81;
    limits l = {70, 6, g, 8.83, 15, 0, 0.3, 0.2, 0.2};
    switch (type) {
    case NM_AGENT_TRUCK:
        l = (limits){40, 3, g, 7.36, 15, 0, 0.18, 0.2, 0.2};
        break;
    case NM_AGENT_BUS:
        l = (limits){40, 3, g, 7.36, 15, 0, 0.15, 0.2, 0.2};
        break;
    case NM_AGENT_MOTORCYCLE:
        l = (limits){70, g, g, 8.83, 15, 0, 0.5, 0.2, 0.3};
        break;
    case NM_AGENT_CYCLIST:
        l = (limits){20, 4, 7, 6.87, 15, 0, 1, 0.3, 0.5};
        break;
    case NM_AGENT_TRAIN:
        l = (limits){100, 2, 3, 3, 10, 0, 0.05, 0.2, 0.1};
        break;
    case NM_AGENT_PEDESTRIAN:
        return (limits){5, 8, 8, 8, INFINITY, INFINITY, INFINITY, INFINITY, INFINITY};
    default:
        break;
    }
    l.yaw_rate = sqrt(l.curvature * l.lateral);
    return l;
}

int nm_audit_next_run(const nm_scene *scene, uint32_t track, uint32_t from, uint32_t last, uint32_t *first,
                      uint32_t *end) {
    const uint8_t *valid = scene->valid + nm_scene_at(scene, track, 0);
    while (from <= last && !valid[from]) from++;
    if (from > last) return 0;
    *first = *end = from;
    while (*end < last && valid[*end + 1]) ++*end;
    return 1;
}

// --- least squares ---------------------------------------------------------------------------------------------------

/// value(t) = at + rate t + half t^2, t in s from the middle of the window.
typedef struct parabola {
    double at, rate, half;
} parabola;

// The normal equations of the three unknowns, by Cramer's rule.
static parabola fit_parabola(const double *value, uint32_t count) {
    const double from = value[count / 2];
    double s[5] = {0}, b[3] = {0};
    for (uint32_t k = 0; k < count; k++) {
        const double t = ((double)k - 0.5 * (count - 1)) * DT, y = value[k] - from;
        double power = 1;
        for (int n = 0; n < 5; n++) {
            s[n] += power;
            if (n < 3) b[n] += power * y;
            power *= t;
        }
    }
    const double d =
        s[0] * (s[2] * s[4] - s[3] * s[3]) - s[1] * (s[1] * s[4] - s[2] * s[3]) + s[2] * (s[1] * s[3] - s[2] * s[2]);
    const double d0 =
        b[0] * (s[2] * s[4] - s[3] * s[3]) - s[1] * (b[1] * s[4] - s[3] * b[2]) + s[2] * (b[1] * s[3] - s[2] * b[2]);
    const double d1 =
        s[0] * (b[1] * s[4] - s[3] * b[2]) - b[0] * (s[1] * s[4] - s[2] * s[3]) + s[2] * (s[1] * b[2] - b[1] * s[2]);
    const double d2 =
        s[0] * (s[2] * b[2] - s[3] * b[1]) - s[1] * (s[1] * b[2] - s[2] * b[1]) + b[0] * (s[1] * s[3] - s[2] * s[2]);
    return (parabola){from + d0 / d, d1 / d, d2 / d};
}

// The slope of the straight line through `count` values.
static double fit_slope(const double *value, uint32_t count) {
    double mean = 0, above = 0, below = 0;
    for (uint32_t k = 0; k < count; k++) mean += value[k] / count;
    for (uint32_t k = 0; k < count; k++) {
        const double t = ((double)k - 0.5 * (count - 1)) * DT;
        above += t * (value[k] - mean);
        below += t * t;
    }
    return above / below;
}

// --- measuring -------------------------------------------------------------------------------------------------------

// Of the point `back` m behind the centre: the angle between the heading and the way that it moves, left positive. The
// motion is that of the window, so the heading is, too: its mean. Reversing along the heading is no slip.
static double slip_angle(const nm_audit_motion *m, uint32_t i, double back) {
    double x[WINDOW], y[WINDOW], heading = 0;
    for (uint32_t k = 0; k < WINDOW; k++) {
        const uint32_t at = i + k - HALF;
        x[k] = m->x[at] - back * cos(m->heading[at]);
        y[k] = m->y[at] - back * sin(m->heading[at]);
        heading += m->heading[at] / WINDOW;
    }
    const double vx = fit_parabola(x, WINDOW).rate, vy = fit_parabola(y, WINDOW).rate;
    const double along = vx * cos(heading) + vy * sin(heading), aside = vy * cos(heading) - vx * sin(heading);
    return atan2(aside, fabs(along));
}

static void measure_at(const nm_scene *scene, size_t at, double length, uint32_t i, nm_audit_motion *m) {
    double vx[WINDOW], vy[WINDOW];
    const parabola px = fit_parabola(&m->x[i - HALF], WINDOW), py = fit_parabola(&m->y[i - HALF], WINDOW);
    const parabola turn = fit_parabola(&m->heading[i - HALF], WINDOW);
    const double speed = nm_audit_hypot(px.rate, py.rate);
    double ux = cos(turn.at), uy = sin(turn.at);
    if (speed > MOVING) ux = px.rate / speed, uy = py.rate / speed;
    for (uint32_t k = 0; k < WINDOW; k++) {
        vx[k] = (double)scene->vx[at + i + k - HALF];
        vy[k] = (double)scene->vy[at + i + k - HALF];
    }
    const double positions = 2 * (px.half * ux + py.half * uy);
    const double velocities = fit_slope(vx, WINDOW) * ux + fit_slope(vy, WINDOW) * uy;
    m->speed[i] = speed;
    m->across[i] = 2 * (py.half * ux - px.half * uy);
    m->along[i] = positions * velocities <= 0 ? 0 : fabs(positions) < fabs(velocities) ? positions : velocities;
    if (speed <= SLIP_SPEED) return;
    const double centre = slip_angle(m, i, 0), axle = slip_angle(m, i, REAR * length);
    // of opposite signs: a point between the two drives along the heading
    m->slip[i] = centre * axle < 0 ? 0 : fmin(fabs(centre), fabs(axle));
}

static double way(const nm_audit_motion *m, uint32_t a, uint32_t b) {
    return nm_audit_hypot(m->x[b] - m->x[a], m->y[b] - m->y[a]);
}

nm_status nm_audit_measure_motion(const nm_scene *scene, uint32_t track, uint32_t first, uint32_t end, nm_arena *arena,
                                  nm_audit_motion *motion) {
    nm_audit_motion m = {.first = first, .count = end - first + 1};
    double **const arrays[] = {&m.x, &m.y, &m.heading, &m.speed, &m.along, &m.across, &m.jerk, &m.yaw_rate, &m.slip};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) {
        *arrays[k] = NM_ARENA_ARRAY(arena, double, m.count);
        if (!*arrays[k]) return NM_E_MEMORY;
        for (uint32_t i = 0; i < m.count; i++) (*arrays[k])[i] = NAN;
    }
    const size_t at = nm_scene_at(scene, track, first);
    for (uint32_t i = 0; i < m.count; i++) {
        const double heading = (double)scene->heading[at + i];
        m.x[i] = (double)scene->x[at + i];
        m.y[i] = (double)scene->y[at + i];
        m.heading[i] = i ? m.heading[i - 1] + nm_audit_wrap(heading - m.heading[i - 1]) : heading;
    }
    for (uint32_t i = HALF; i + HALF < m.count; i++) measure_at(scene, at, (double)scene->tracks[track].length, i, &m);
    for (uint32_t i = YAW; i + YAW < m.count; i++)
        m.yaw_rate[i] = way(&m, i - YAW, i + YAW) < STANDING ? 0 : fit_slope(&m.heading[i - YAW], 2 * YAW + 1);
    for (uint32_t i = HALF + JERK; i + HALF + JERK < m.count; i++)
        m.jerk[i] = fit_slope(&m.along[i - JERK], 2 * JERK + 1);
    *motion = m;
    return NM_OK;
}

// The steps around `t` that there are, `half` to each side.
static uint32_t window(const nm_scene *scene, uint32_t track, uint32_t t, uint32_t half, uint32_t last,
                       uint32_t *count) {
    const uint8_t *valid = scene->valid + nm_scene_at(scene, track, 0);
    uint32_t first = t, end = t;
    while (first > 0 && t - first < half && valid[first - 1]) first--;
    while (end < last && end - t < half && valid[end + 1]) end++;
    *count = end - first + 1;
    return first;
}

double nm_audit_slowing(const nm_scene *scene, uint32_t track, uint32_t t, uint32_t last) {
    double value[2 * PLACES + 1];
    uint32_t count;
    nm_audit_box now, box;
    if (t > last || !nm_audit_box_at(scene, track, t, &now)) return 0;
    uint32_t first = window(scene, track, t, SPEEDS, last, &count);
    if (count < LEAST_SPEEDS) return 0;
    for (uint32_t k = 0; k < count; k++) {
        nm_audit_box_at(scene, track, first + k, &box);
        value[k] = box.vx * box.cosine + box.vy * box.sine;
    }
    const double speeds = -fit_slope(value, count);
    first = window(scene, track, t, PLACES, last, &count);
    if (count < LEAST_PLACES) return 0;
    for (uint32_t k = 0; k < count; k++) {
        nm_audit_box_at(scene, track, first + k, &box);
        value[k] = (box.x - now.x) * now.cosine + (box.y - now.y) * now.sine;
    }
    const double places = -2 * fit_parabola(value, count).half;
    return speeds * places <= 0 ? 0 : fabs(speeds) < fabs(places) ? speeds : places;
}

// --- judging ---------------------------------------------------------------------------------------------------------

static void judge_fits(nm_auditing *a, uint32_t track, const nm_audit_motion *m, uint32_t i, const limits *l) {
    const uint32_t t = m->first + i;
    nm_audit_take(a, NM_AUDIT_SPEED, track, t, m->speed[i], l->speed, 0);
    nm_audit_take(a, NM_AUDIT_LATERAL_ACCELERATION, track, t, fabs(m->across[i]), l->lateral, 0);
    nm_audit_take(a, NM_AUDIT_JERK, track, t, fabs(m->jerk[i]), l->jerk, 0);
    nm_audit_take(a, NM_AUDIT_YAW_RATE, track, t, fabs(m->yaw_rate[i]), l->yaw_rate, 0);
    nm_audit_take(a, NM_AUDIT_SLIP, track, t, m->slip[i], l->slip, 0);
    if (isnan(m->along[i])) return;
    nm_audit_take(a, NM_AUDIT_ACCELERATION, track, t, fmax(m->along[i], 0), l->acceleration, 0);
    nm_audit_take(a, NM_AUDIT_BRAKING, track, t, fmax(-m->along[i], 0), l->braking, 0);
}

static void judge_turning(nm_auditing *a, uint32_t track, const nm_audit_motion *m, uint32_t i, const limits *l) {
    double spot = 0;
    for (uint32_t back = i; back > 0 && i - back < SPOT_STEPS && way(m, back - 1, i) < STANDING; back--)
        spot = fmax(spot, fabs(m->heading[i] - m->heading[back - 1]));
    nm_audit_take(a, NM_AUDIT_TURN_ON_SPOT, track, m->first + i, spot, l->turn_on_spot, 0);
    uint32_t from = i;
    while (from > 0 && way(m, from, i) < CHORD) from--;
    if (way(m, from, i) < CHORD) return;
    const double turn = fmin(fabs(m->heading[i] - m->heading[from]), 3.14159265358979323846);
    nm_audit_take(a, NM_AUDIT_CURVATURE, track, m->first + i, 2 * sin(turn / 2) / way(m, from, i), l->curvature, 0);
}

static void judge_step(nm_auditing *a, uint32_t track, const nm_audit_motion *m, uint32_t i) {
    const size_t at = nm_scene_at(a->scene, track, m->first + i);
    const float *vx = a->scene->vx + at, *vy = a->scene->vy + at;
    const double dx = m->x[i] - m->x[i - 1], dy = m->y[i] - m->y[i - 1];
    const double stated_x = 0.5 * ((double)vx[0] + (double)vx[-1]), stated_y = 0.5 * ((double)vy[0] + (double)vy[-1]);
    nm_audit_take(a, NM_AUDIT_VELOCITY, track, m->first + i, nm_audit_hypot(dx / DT - stated_x, dy / DT - stated_y), 5,
                  0);
    nm_audit_take(a, NM_AUDIT_HEADING_JUMP, track, m->first + i, fabs(m->heading[i] - m->heading[i - 1]), 0.5, 0);
    const double before_x = i > 1 ? m->x[i - 1] - m->x[i - 2] : (double)vx[-1] * DT;
    const double before_y = i > 1 ? m->y[i - 1] - m->y[i - 2] : (double)vy[-1] * DT;
    nm_audit_take(a, NM_AUDIT_TELEPORT, track, m->first + i, nm_audit_hypot(dx - before_x, dy - before_y), 1, 0);
}

nm_status nm_audit_judge_motion(nm_auditing *a, uint32_t track, uint32_t last) {
    const limits l = limits_of((nm_agent_type)a->scene->tracks[track].type);
    uint32_t first, end, before = NM_NONE;
    for (uint32_t from = 0; nm_audit_next_run(a->scene, track, from, last, &first, &end); from = end + 1) {
        const nm_arena_mark mark = nm_arena_get_mark(a->arena);
        nm_audit_motion m;
        if (nm_audit_measure_motion(a->scene, track, first, end, a->arena, &m) != NM_OK) return NM_E_MEMORY;
        for (uint32_t i = 0; i < m.count; i++) {
            if (first + i < a->begin) continue;
            judge_fits(a, track, &m, i, &l);
            if (i == 0) continue;
            judge_turning(a, track, &m, i, &l);
            judge_step(a, track, &m, i);
        }
        nm_arena_release(a->arena, mark);
        if (end >= a->begin) {
            nm_audit_take(a, NM_AUDIT_GAP, track, first, before == NM_NONE ? 0 : (first - before - 1) * DT, 0, 0);
            before = end;
        }
        if (end == last) break;
    }
    return NM_OK;
}

void nm_audit_judge_overlap(nm_auditing *a, uint32_t track) {
    for (uint32_t other = 0; other < a->scene->track_count; other++) {
        if (other == track) continue;
        for (uint32_t t = a->begin; t < a->scene->step_count; t++) {
            nm_audit_box one, two;
            if (!nm_audit_box_at(a->scene, track, t, &one) || !nm_audit_box_at(a->scene, other, t, &two)) continue;
            nm_audit_take(a, NM_AUDIT_OVERLAP_AT_START, track, t, fmax(nm_audit_depth(&one, &two), 0), 0.1, 0);
            break;
        }
    }
}

// --- contacts --------------------------------------------------------------------------------------------------------

uint32_t nm_audit_last_free(const nm_auditing *a, uint32_t track) {
    uint32_t last = a->scene->step_count - 1;
    for (uint32_t other = 0; other < a->scene->track_count; other++) {
        if (other == track) continue;
        int before = 1; // who begins in contact overlaps at the start: a check of its own
        for (uint32_t t = a->begin; t <= last; t++) {
            nm_audit_box one, two;
            if (!nm_audit_box_at(a->scene, track, t, &one) || !nm_audit_box_at(a->scene, other, t, &two)) continue;
            const int now = nm_audit_touch(a->scene, track, other, t);
            if (now && !before) {
                last = t - 1;
                break;
            }
            before = now;
        }
    }
    return last;
}
