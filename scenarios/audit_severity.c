// How near the two came, and who else was hit.
#include <math.h>

#include "scenarios/audit_internal.h"

#define HORIZON 10.0 // s, beyond which a time to collision is none
#define FINE 5u      // parts of a step, for the time between two on crossing ways
#define LONGEST 5.0  // s, beyond which nobody comes "after" the other

// The first step at which the two touch; NM_NONE = never.
static uint32_t first_touch(const nm_scene *scene, uint32_t first, uint32_t second, uint32_t *steps) {
    uint32_t when = NM_NONE;
    *steps = 0;
    for (uint32_t t = 0; t < scene->step_count; t++) {
        if (!nm_audit_touch(scene, first, second, t)) continue;
        if (when == NM_NONE) when = t;
        ++*steps;
    }
    return when;
}

static double least_ttc(const nm_scene *scene, uint32_t first, uint32_t second, double slack, uint32_t *step) {
    double least = INFINITY;
    *step = NM_NONE;
    for (uint32_t t = 0; t < scene->step_count; t++) {
        nm_audit_box a, b;
        if (!nm_audit_box_at(scene, first, t, &a) || !nm_audit_box_at(scene, second, t, &b)) continue;
        const double ttc = nm_audit_ttc(&a, &b, fmin(least, HORIZON), slack);
        if (ttc >= least) continue;
        least = ttc;
        *step = t;
    }
    return least;
}

// --- ways that cross -------------------------------------------------------------------------------------------------

static int ways_cross(nm_kind kind) {
    switch (kind) {
    case NM_KIND_UNPROTECTED_LEFT_TURN:
    case NM_KIND_CROSSING_CONFLICT:
    case NM_KIND_RED_LIGHT_RUNNER:
    case NM_KIND_RIGHT_TURN_CONFLICT:
    case NM_KIND_PEDESTRIAN_CROSSING:
    case NM_KIND_CYCLIST_CROSSING:
    case NM_KIND_OCCLUDED_PEDESTRIAN:
    case NM_KIND_SUDDEN_U_TURN:
        return 1;
    default:
        return 0;
    }
}

// Between two steps a box moves straight. `at` counts FINE parts of a step.
static int box_between(const nm_scene *scene, uint32_t track, uint32_t at, nm_audit_box *box) {
    nm_audit_box next;
    const uint32_t t = at / FINE, part = at % FINE;
    if (!nm_audit_box_at(scene, track, t, box)) return 0;
    if (part == 0) return 1;
    if (t + 1 >= scene->step_count || !nm_audit_box_at(scene, track, t + 1, &next)) return 0;
    const double share = (double)part / FINE, dx = share * (next.x - box->x), dy = share * (next.y - box->y);
    box->vx = dx, box->vy = dy;
    *box = nm_audit_box_moved(box, 1);
    return 1;
}

// The least time between the one being on a piece of ground and the other being there, whoever was first.
static double least_lag(const nm_scene *scene, uint32_t first, uint32_t second) {
    const uint32_t count = (scene->step_count - 1) * FINE + 1;
    const double part = NM_AUDIT_DT / FINE;
    for (uint32_t lag = 0; lag * part <= LONGEST; lag++) {
        for (uint32_t i = 0; i + lag < count; i++) {
            for (int order = 0; order < 2; order++) {
                nm_audit_box a, b;
                if (!box_between(scene, order ? second : first, i, &a) ||
                    !box_between(scene, order ? first : second, i + lag, &b))
                    continue;
                if (nm_audit_hypot(a.x - b.x, a.y - b.y) > a.length + a.width + b.length + b.width) continue;
                if (nm_audit_depth(&a, &b) >= 0) return lag * part;
            }
        }
    }
    return INFINITY;
}

static void judge_closeness(nm_auditing *a) {
    const nm_audit_case *c = a->about;
    const int at = nm_kind_param_index(c->kind, NM_PARAM_MIN_TTC);
    uint32_t step;
    a->report->min_ttc_grazing = least_ttc(a->scene, c->ego, c->danger, NM_AUDIT_GRAZE, &step);
    a->report->min_ttc = least_ttc(a->scene, c->ego, c->danger, 0, &step);
    if (at < 0) return;
    const int lag = ways_cross(c->kind) && !(c->given >> at & 1u);
    const double after = lag ? least_lag(a->scene, c->ego, c->danger) : INFINITY;
    const double most = fmin(a->report->min_ttc, after), least = fmin(a->report->min_ttc_grazing, after);
    const double low = (double)c->range[at].low, high = (double)c->range[at].high;
    nm_audit_take(a, NM_AUDIT_CLOSENESS, c->danger, step, fmax(fmax(low - most, least - high), 0),
                  (double)NM_TOLERANCE_TIME, 0);
}

// --- others ----------------------------------------------------------------------------------------------------------

// Do the two come to touch, having been apart, at a step up to `until`?
static int come_to_touch(const nm_scene *scene, uint32_t first, uint32_t second, uint32_t until, uint32_t *step) {
    int before = 1;
    for (uint32_t t = 0; t <= until && t < scene->step_count; t++) {
        if (!scene->valid[nm_scene_at(scene, first, t)] || !scene->valid[nm_scene_at(scene, second, t)]) continue;
        const int now = nm_audit_touch(scene, first, second, t);
        *step = t;
        if (now && !before) return 1;
        before = now;
    }
    return 0;
}

static void judge_others(nm_auditing *a, uint32_t until) {
    const nm_scene *scene = a->scene;
    const nm_audit_case *c = a->about;
    double count = 0;
    uint32_t who = NM_NONE, when = NM_NONE;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            uint32_t step = 0;
            const int meant = (i == c->ego && k == c->danger) || (k == c->ego && i == c->danger);
            if (meant || (scene->tracks[i].flags & scene->tracks[k].flags & NM_TRACK_STATIC)) continue;
            if (!come_to_touch(scene, i, k, until, &step)) continue;
            if (count++ > 0) continue;
            who = i;
            when = step;
        }
    }
    nm_audit_take(a, NM_AUDIT_OTHERS, who, when, count, 0, 0);
}

void nm_audit_judge_severity(nm_auditing *a) {
    const nm_audit_case *c = a->about;
    uint32_t steps;
    const uint32_t touch = first_touch(a->scene, c->ego, c->danger, &steps);
    const int collides = c->severity == NM_SEVERITY_COLLISION;
    a->report->min_ttc = a->report->min_ttc_grazing = touch == NM_NONE ? INFINITY : 0;
    nm_audit_take(a, NM_AUDIT_CONTACT, c->danger, touch, collides ? steps == 0 : steps, 0, 0);
    if (touch == NM_NONE && !collides) judge_closeness(a);
    judge_others(a, touch == NM_NONE ? a->scene->step_count : touch);
}
