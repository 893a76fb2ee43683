// The simple parameters, each by a definition of its own, against the ranges that were asked for.
//
// A moment is known to a step only, so a value counts as it is nearest to its range at that step or the ones next to
// it.
#include <math.h>

#include "scenarios/audit_internal.h"

#define ALIGNED 0.785398 // rad: a lane is driven along
#define LANES 16u
#define OWN_LANES 24u
#define BRAKES 1.5    // m/s^2 from which somebody brakes
#define SIDE_STEPS 2u // to each side, of a sideways speed
#define CUT_OFF 5u    // steps before the contact within which the largest sideways speed may still grow
#define LEAVES 0.15   // m/s sideways from which somebody leaves his lane
#define SLOW 0.1      // m/s under which a headway means nothing

static double outside(nm_kind_range range, double value) {
    return fmax(fmax((double)range.low - value, value - (double)range.high), 0);
}

typedef struct moment {
    nm_auditing *a;
    const nm_audit_case *c;
    uint32_t first, last; ///< steps that are looked at: first = NM_NONE when the moment is not found
} moment;

static moment around(nm_auditing *a, uint32_t step) {
    const uint32_t end = a->scene->step_count - 1;
    if (step == NM_NONE) return (moment){.a = a, .c = a->about, .first = NM_NONE, .last = 0};
    return (moment){.a = a, .c = a->about, .first = step ? step - 1 : 0, .last = step < end ? step + 1 : end};
}

// --- quantities of a step: NaN where they have no meaning ------------------------------------------------------------

typedef double quantity(const nm_scene *scene, const nm_audit_case *c, uint32_t t);

static int pair_at(const nm_scene *scene, const nm_audit_case *c, uint32_t t, nm_audit_box *ego,
                   nm_audit_box *adversary) {
    return nm_audit_box_at(scene, c->ego, t, ego) && nm_audit_box_at(scene, c->adversary, t, adversary);
}

static double along(const nm_audit_box *self, const nm_audit_box *other) { // speed of `other` along self's heading
    return other->vx * self->cosine + other->vy * self->sine;
}

static double speed(const nm_audit_box *box) {
    return nm_audit_hypot(box->vx, box->vy);
}

static double gap_before(const nm_scene *scene, const nm_audit_case *c, uint32_t t) {
    nm_audit_box ego, adversary;
    return pair_at(scene, c, t, &ego, &adversary) ? nm_audit_ahead(&ego, &adversary) : NAN;
}

static double closing_before(const nm_scene *scene, const nm_audit_case *c, uint32_t t) {
    nm_audit_box ego, adversary;
    return pair_at(scene, c, t, &ego, &adversary) ? along(&ego, &ego) - along(&ego, &adversary) : NAN;
}

static double closing_behind(const nm_scene *scene, const nm_audit_case *c, uint32_t t) {
    nm_audit_box ego, adversary;
    return pair_at(scene, c, t, &ego, &adversary) ? along(&adversary, &adversary) - along(&adversary, &ego) : NAN;
}

static double headway_before(const nm_scene *scene, const nm_audit_case *c, uint32_t t) {
    nm_audit_box ego, adversary;
    if (!pair_at(scene, c, t, &ego, &adversary) || speed(&ego) < SLOW) return NAN;
    return nm_audit_ahead(&ego, &adversary) / speed(&ego);
}

static double headway_behind(const nm_scene *scene, const nm_audit_case *c, uint32_t t) {
    nm_audit_box ego, adversary;
    if (!pair_at(scene, c, t, &ego, &adversary) || speed(&adversary) < SLOW) return NAN;
    return nm_audit_ahead(&adversary, &ego) / speed(&adversary);
}

static double adversary_speed(const nm_scene *scene, const nm_audit_case *c, uint32_t t) {
    nm_audit_box adversary;
    return nm_audit_box_at(scene, c->adversary, t, &adversary) ? speed(&adversary) : NAN;
}

// The value nearest to the range that was asked for.
static void judge(const moment *m, nm_kind_param_id id, nm_audit_check check, double tolerance, quantity *of) {
    const int at = nm_kind_param_index(m->c->kind, id);
    double best = NAN;
    if (at < 0 || m->first == NM_NONE) return;
    for (uint32_t t = m->first; t <= m->last; t++) {
        const double value = of(m->a->scene, m->c, t);
        if (!isnan(value)) best = fmin(best, outside(m->c->range[at], value)); // fmin passes NaN over
    }
    nm_audit_take(m->a, check, m->c->adversary, m->first, best, tolerance, 0);
}

// Where they touch, their motion is still their own.
static uint32_t through_contact(const nm_scene *scene, uint32_t until) {
    return until + 1 < scene->step_count ? until + 1 : until;
}

// --- moments ---------------------------------------------------------------------------------------------------------

// Lanes along which the ego drives at some step.
static uint32_t own_lanes(const nm_scene *scene, uint32_t ego, uint32_t lanes[OWN_LANES]) {
    uint32_t count = 0;
    for (uint32_t t = 0; t < scene->step_count; t++) {
        const size_t at = nm_scene_at(scene, ego, t);
        nm_frenet under[LANES];
        if (!scene->valid[at]) continue;
        const size_t found = nm_map_lanes_at(scene->map, scene->x[at], scene->y[at], under, LANES);
        for (size_t i = 0; i < found && i < LANES; i++) {
            uint32_t known = 0;
            if (fabs(nm_audit_wrap((double)(scene->heading[at] - under[i].heading))) > ALIGNED) continue;
            while (known < count && lanes[known] != under[i].lane) known++;
            if (known == count && count < OWN_LANES) lanes[count++] = under[i].lane;
        }
    }
    return count;
}

static int point_in(const nm_scene *scene, nm_audit_point p, const uint32_t *lanes, uint32_t count) {
    nm_frenet under[LANES];
    const size_t found = nm_map_lanes_at(scene->map, (float)p.x, (float)p.y, under, LANES);
    for (size_t i = 0; i < found && i < LANES; i++)
        for (uint32_t l = 0; l < count; l++)
            if (lanes[l] == under[i].lane && under[i].d < under[i].left && under[i].d > -under[i].right) return 1;
    return 0;
}

// 2 when the middle of a side is over the border, 1 when a corner is.
static int reaches_into(const nm_scene *scene, const nm_audit_box *box, const uint32_t *lanes, uint32_t count) {
    const nm_audit_point *q = box->corner;
    const nm_audit_point right = {0.5 * (q[0].x + q[1].x), 0.5 * (q[0].y + q[1].y)};
    const nm_audit_point left = {0.5 * (q[2].x + q[3].x), 0.5 * (q[2].y + q[3].y)};
    if (point_in(scene, right, lanes, count) || point_in(scene, left, lanes, count)) return 2;
    for (int k = 0; k < 4; k++)
        if (point_in(scene, q[k], lanes, count)) return 1;
    return 0;
}

// The steps in which the adversary's box comes over the border of a lane of the ego's: from its first corner to the
// middle of its side. What reaches over first depends on how it is turned, and the definition does not say.
static moment entry_of(nm_auditing *a) {
    const nm_scene *scene = a->scene;
    uint32_t lanes[OWN_LANES];
    const uint32_t count = own_lanes(scene, a->about->ego, lanes), end = scene->step_count - 1;
    moment m = around(a, NM_NONE);
    int before = 1;
    for (uint32_t t = 0; t <= end; t++) {
        nm_audit_box ego, adversary;
        if (!pair_at(scene, a->about, t, &ego, &adversary)) continue;
        const int now = reaches_into(scene, &adversary, lanes, count);
        if (now && !before) m.first = t > 0 ? t - 1 : 0;
        before = now;
        if (m.first == NM_NONE) continue;
        m.last = t < end ? t + 1 : end;
        if (now != 1) break;
    }
    return m;
}

static uint32_t hardest_slowing(const nm_scene *scene, uint32_t track, uint32_t last) {
    uint32_t hardest = 0;
    double most = nm_audit_slowing(scene, track, 0, last);
    for (uint32_t t = 1; t <= last; t++) {
        const double now = nm_audit_slowing(scene, track, t, last);
        if (now <= most) continue;
        most = now;
        hardest = t;
    }
    return hardest;
}

// The last step before the adversary's hardest braking at which it is under half of that; when it does not brake, the
// contact, if there is one.
static uint32_t braking_begins(const nm_scene *scene, const nm_audit_case *c, uint32_t until) {
    const uint32_t last = through_contact(scene, until);
    uint32_t t = hardest_slowing(scene, c->adversary, last);
    const double most = nm_audit_slowing(scene, c->adversary, t, last);
    if (most < BRAKES) return last > until ? last : NM_NONE;
    while (t > 0 && nm_audit_slowing(scene, c->adversary, t, last) >= 0.5 * most) t--;
    return nm_audit_slowing(scene, c->adversary, t, last) < 0.5 * most ? t : NM_NONE; // it brakes from the start
}

// Way that it makes across the lane that fits its heading best, over 0.4 s.
static double sideways(const nm_scene *scene, uint32_t track, uint32_t t, uint32_t last) {
    nm_audit_box before, box, after;
    if (t < SIDE_STEPS || t + SIDE_STEPS > last || !nm_audit_box_at(scene, track, t, &box)) return 0;
    if (!nm_audit_box_at(scene, track, t - SIDE_STEPS, &before)) return 0;
    if (!nm_audit_box_at(scene, track, t + SIDE_STEPS, &after)) return 0;
    const nm_frenet lane =
        nm_map_match(scene->map, (float)box.x, (float)box.y, (float)box.heading, 5.0f, NM_LANE_MASK_VEHICLE);
    if (lane.lane == NM_NONE) return 0;
    const double across =
        (after.y - before.y) * cos((double)lane.heading) - (after.x - before.x) * sin((double)lane.heading);
    return fabs(across) / (2 * SIDE_STEPS * NM_AUDIT_DT);
}

static uint32_t most_sideways(const nm_scene *scene, const nm_audit_case *c, uint32_t last) {
    uint32_t most = 0;
    for (uint32_t t = 1; t <= last; t++)
        if (sideways(scene, c->adversary, t, last) > sideways(scene, c->adversary, most, last)) most = t;
    return most;
}

static uint32_t leaving_begins(const nm_scene *scene, const nm_audit_case *c, uint32_t until) {
    uint32_t t = most_sideways(scene, c, until);
    while (t > 0 && sideways(scene, c->adversary, t, until) > LEAVES) t--;
    return t;
}

// The steps at which the adversary is on ground that the ego covers at some step.
static moment on_the_way(nm_auditing *a, uint32_t until) {
    const nm_scene *scene = a->scene;
    moment m = {.a = a, .c = a->about, .first = NM_NONE, .last = 0};
    for (uint32_t t = 0; t <= until; t++) {
        nm_audit_box adversary, ego;
        if (!nm_audit_box_at(scene, a->about->adversary, t, &adversary)) continue;
        for (uint32_t k = 0; k <= until; k++) {
            if (!nm_audit_box_at(scene, a->about->ego, k, &ego)) continue;
            if (nm_audit_hypot(ego.x - adversary.x, ego.y - adversary.y) > ego.length + adversary.length) continue;
            if (nm_audit_depth(&ego, &adversary) < 0) continue;
            if (m.first == NM_NONE) m.first = t;
            m.last = t;
            break;
        }
    }
    return m;
}

// --- kinds -----------------------------------------------------------------------------------------------------------

static void judge_entry(nm_auditing *a) {
    const moment m = entry_of(a);
    judge(&m, NM_PARAM_GAP, NM_AUDIT_ENTRY_GAP, (double)NM_TOLERANCE_GAP, gap_before);
    judge(&m, NM_PARAM_CLOSING, NM_AUDIT_CLOSING, (double)NM_TOLERANCE_SPEED, closing_before);
}

static void judge_headway(nm_auditing *a, uint32_t until) {
    const nm_scene *scene = a->scene;
    const nm_audit_case *c = a->about;
    moment m = around(a, NM_NONE);
    quantity *of = headway_before;
    if (c->kind == NM_KIND_HARD_BRAKE || c->kind == NM_KIND_CHAIN_BRAKE)
        m = around(a, braking_begins(scene, c, until));
    else if (c->kind == NM_KIND_CUT_OUT)
        m = around(a, leaving_begins(scene, c, until));
    else if (c->kind == NM_KIND_TAILGATE) {
        m.first = a->begin; // throughout: the range must hold at some step
        m.last = until;
        of = headway_behind;
    }
    judge(&m, NM_PARAM_HEADWAY, NM_AUDIT_HEADWAY, (double)NM_TOLERANCE_TIME, of);
}

// Of a speed that still grows when they touch nobody knows what it would have come to: it can only be too large.
static void judge_lateral(nm_auditing *a, uint32_t until) {
    const nm_audit_case *c = a->about;
    const int at = nm_kind_param_index(c->kind, NM_PARAM_LATERAL_SPEED);
    if (at < 0) return;
    const uint32_t last = through_contact(a->scene, until), most = most_sideways(a->scene, c, last);
    const double speed_across = sideways(a->scene, c->adversary, most, last);
    const int cut_off = last > until && most + CUT_OFF >= last;
    const double off =
        cut_off ? fmax(speed_across - (double)c->range[at].high, 0) : outside(c->range[at], speed_across);
    nm_audit_take(a, NM_AUDIT_LATERAL_SPEED, c->adversary, most, off, (double)NM_TOLERANCE_LATERAL, 0);
}

static void judge_speed(nm_auditing *a, uint32_t until) {
    moment m = on_the_way(a, until);
    if (a->about->kind == NM_KIND_WRONG_WAY || a->about->kind == NM_KIND_HEAD_ON)
        m = (moment){.a = a, .c = a->about, .first = a->begin, .last = until}; // before it gives in
    judge(&m, NM_PARAM_SPEED, NM_AUDIT_ADVERSARY_SPEED, (double)NM_TOLERANCE_SPEED, adversary_speed);
}

static void judge_deceleration(nm_auditing *a, uint32_t until) {
    const nm_audit_case *c = a->about;
    const int at = nm_kind_param_index(c->kind, NM_PARAM_DECELERATION);
    if (at < 0) return;
    const uint32_t last = through_contact(a->scene, until), when = hardest_slowing(a->scene, c->adversary, last);
    nm_audit_take(a, NM_AUDIT_DECELERATION, c->adversary, when,
                  outside(c->range[at], nm_audit_slowing(a->scene, c->adversary, when, last)),
                  (double)NM_TOLERANCE_SPEED, 0);
}

void nm_audit_judge_params(nm_auditing *a) {
    const nm_scene *scene = a->scene;
    const nm_audit_case *c = a->about;
    const uint32_t until = nm_audit_last_free(a, c->ego);
    const int at = nm_kind_param_index(c->kind, NM_PARAM_EGO_SPEED);
    nm_audit_box ego;
    if (at >= 0 && nm_audit_box_at(scene, c->ego, scene->tracks[c->ego].first_step, &ego))
        nm_audit_take(a, NM_AUDIT_EGO_SPEED, c->ego, scene->tracks[c->ego].first_step,
                      outside(c->range[at], speed(&ego)), (double)NM_TOLERANCE_SPEED, 0);
    if (scene->map->lane_count > 0 && (c->kind == NM_KIND_CUT_IN || c->kind == NM_KIND_MERGE_CONFLICT)) judge_entry(a);
    if (c->kind == NM_KIND_REAR_END) {
        const moment m = around(a, braking_begins(scene, c, until));
        judge(&m, NM_PARAM_CLOSING, NM_AUDIT_CLOSING, (double)NM_TOLERANCE_SPEED, closing_behind);
    }
    judge_headway(a, until);
    if (scene->map->lane_count > 0) judge_lateral(a, until);
    judge_speed(a, until);
    judge_deceleration(a, until);
}
