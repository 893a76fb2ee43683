// The last moments at which a reference driver still would have avoided the conflict.
//
// Whether a manoeuvre saves is not monotonic in the step at which it begins (braking earlier may lead in front of
// somebody else), so there is nothing to bisect: the steps are tried one by one from the conflict back, and the first
// that saves is the last moment, exactly. That is cheap because late manoeuvres fail after a few steps of driving.
#include "scenarios/avoidability.h"

#include <math.h>

#include "scenarios/rehearsal.h"

#define DT 0.1f
#define BRIDGE 3u       // steps for which the danger may be hidden without being over
#define OFFSETS_MAX 40u // offsets tried to a side

nm_reference_driver nm_reference_driver_default(void) {
    return (nm_reference_driver){.perception = 0.4f,
                                 .delay = 0.75f,
                                 .brake = 0.774f * 9.81f,
                                 .jerk = 12.65f,
                                 .lateral = 4.89f,
                                 .widest = 4.0f,
                                 .horizon = 4.0f,
                                 .settle = 3.0f};
}

const char *nm_avoid_label_name(nm_avoid_label label) {
    static const char *const names[] = {"no_conflict", "avoidable", "unavoidable"};
    return (unsigned)label < sizeof names / sizeof *names ? names[label] : "invalid";
}

// --- checks ----------------------------------------------------------------------------------------------------------

nm_status nm_conflict_case_check(const nm_conflict_case *conflict, nm_error *error) {
    NM_ASSERT(conflict && conflict->scene && (conflict->adversaries || conflict->adversary_count == 0));
    const nm_scene *scene = conflict->scene;
    if (!(fabsf(scene->dt - DT) < 1e-4f))
        return NM_ERROR(error, NM_E_ARGUMENT, "the scene's time step is %g s, not 0.1 s", (double)scene->dt);
    if (conflict->ego >= scene->track_count)
        return NM_ERROR(error, NM_E_ARGUMENT, "there is no track %u for the ego: the scene has %u", conflict->ego,
                        scene->track_count);
    if (conflict->begin >= scene->step_count)
        return NM_ERROR(error, NM_E_ARGUMENT, "the generated part begins at step %u, the scene has %u steps",
                        conflict->begin, scene->step_count);
    if (!scene->valid[nm_scene_at(scene, conflict->ego, conflict->begin)])
        return NM_ERROR(error, NM_E_ARGUMENT, "the ego has no state at step %u, where the generated part begins",
                        conflict->begin);
    if (conflict->adversary_count == 0 || conflict->adversary_count > NM_MAX_ADVERSARIES)
        return NM_ERROR(error, NM_E_ARGUMENT, "%u adversaries: 1 to %u are possible", conflict->adversary_count,
                        NM_MAX_ADVERSARIES);
    for (uint32_t i = 0; i < conflict->adversary_count; i++) {
        if (conflict->adversaries[i] >= scene->track_count)
            return NM_ERROR(error, NM_E_ARGUMENT, "there is no track %u for an adversary: the scene has %u",
                            conflict->adversaries[i], scene->track_count);
        if (conflict->adversaries[i] == conflict->ego)
            return NM_ERROR(error, NM_E_ARGUMENT, "track %u is both ego and adversary", conflict->ego);
    }
    return NM_OK;
}

static int within(float value, float low, float high) {
    return value >= low && value <= high;
}

static nm_status check_driver(const nm_reference_driver *d, nm_error *error) {
    const char *wrong = NULL;
    if (!within(d->perception, 0, 5)) wrong = "perception (s, 0 to 5)";
    if (!within(d->delay, 0, 5)) wrong = "delay (s, 0 to 5)";
    if (!within(d->brake, 0.1f, 20)) wrong = "brake (m/s^2, 0.1 to 20)";
    if (!within(d->jerk, 0.1f, 1000)) wrong = "jerk (m/s^3, 0.1 to 1000)";
    if (!within(d->lateral, 0, d->brake)) wrong = "lateral (m/s^2, 0 to brake)";
    if (!within(d->widest, 0, 20)) wrong = "widest (m, 0 to 20)";
    if (!within(d->horizon, 0.1f, 20)) wrong = "horizon (s, 0.1 to 20)";
    if (!within(d->settle, 0, 20)) wrong = "settle (s, 0 to 20)";
    return wrong ? NM_ERROR(error, NM_E_ARGUMENT, "the reference driver's %s is out of range", wrong) : NM_OK;
}

// --- the motion that leads into the conflict -------------------------------------------------------------------------

typedef struct nm_baseline {
    const nm_rehearsal *rehearsal;
    const nm_reference_driver *driver;
    uint32_t first;    // step from which on it may be left
    int recorded;      // as recorded; else speed is kept from `first` on
    uint32_t conflict; // step
    uint32_t other;    // index
} nm_baseline;

static void baseline_at(const nm_baseline *b, uint32_t step, float *s, float *v, float *a) {
    const nm_rehearsal *r = b->rehearsal;
    uint32_t at = step - r->first;
    if (b->recorded) {
        at = at < r->recorded ? at : r->recorded - 1;
        *s = r->s[at];
        *v = r->v[at];
        *a = r->a[at];
        return;
    }
    uint32_t from = b->first - r->first;
    *s = r->s[from] + r->v[from] * DT * (float)(step - b->first);
    *v = r->v[from];
    *a = 0;
}

// Does the straight line from a to b meet the box? Cut to the box's two slabs (Liang and Barsky 1984).
static int line_meets(const nm_box *box, float ax, float ay, float bx, float by) {
    const float from[2] = {(ax - box->x) * box->cos_h + (ay - box->y) * box->sin_h,
                           (ay - box->y) * box->cos_h - (ax - box->x) * box->sin_h};
    const float way[2] = {(bx - ax) * box->cos_h + (by - ay) * box->sin_h,
                          (by - ay) * box->cos_h - (bx - ax) * box->sin_h};
    const float half[2] = {0.5f * box->length, 0.5f * box->width};
    float enter = 0, leave = 1;
    for (int k = 0; k < 2; k++) {
        if (way[k] == 0) {
            if (fabsf(from[k]) > half[k]) return 0;
            continue;
        }
        float t0 = (-half[k] - from[k]) / way[k], t1 = (half[k] - from[k]) / way[k];
        enter = fmaxf(enter, fminf(t0, t1));
        leave = fminf(leave, fmaxf(t0, t1));
    }
    return enter <= leave;
}

// From the middle of the ego's box, which is about where the driver sits, to the middle of the other's.
static int sees(const nm_baseline *b, uint32_t at, const nm_box *ego, const nm_box *them) {
    const nm_rehearsal *r = b->rehearsal;
    for (uint32_t i = 0; i < r->other_count; i++) {
        if (i == b->other || !r->others[i].there[at]) continue;
        if (line_meets(&r->others[i].boxes[at], ego->x, ego->y, them->x, them->y)) return 0;
    }
    return 1;
}

// Would both, keeping speed and course from `step` on, touch within the horizon, and can the driver see the other?
static int danger_at(const nm_baseline *b, uint32_t step) {
    const nm_rehearsal *r = b->rehearsal;
    const nm_other *other = &r->others[b->other];
    uint32_t at = step - r->first, ahead = (uint32_t)(b->driver->horizon / DT + 0.5f);
    float s, v, a;
    if (!other->there[at]) return 0;
    baseline_at(b, step, &s, &v, &a);
    nm_box them = other->boxes[at], here = nm_rehearsal_box(r, s, 0, 0);
    if (!sees(b, at, &here, &them)) return 0;
    for (uint32_t i = 0; i <= ahead; i++) {
        nm_box ego = nm_rehearsal_box(r, s + v * DT * (float)i, 0, 0);
        float dx = them.x - ego.x, dy = them.y - ego.y, reach = r->radius + other->radius;
        if (dx * dx + dy * dy <= reach * reach && nm_box_overlap(&ego, &them)) return 1;
        them.x += them.vx * DT;
        them.y += them.vy * DT;
    }
    return 0;
}

static uint32_t danger_step(const nm_baseline *b) {
    uint32_t danger = b->conflict, hidden = 0;
    for (uint32_t step = b->conflict; step-- > b->first;) {
        if (danger_at(b, step)) {
            danger = step;
            hidden = 0;
        } else if (++hidden > BRIDGE) {
            break;
        }
    }
    return danger;
}

// --- what saves ------------------------------------------------------------------------------------------------------

static int saves(const nm_baseline *b, uint32_t step, const nm_manoeuvre *manoeuvre) {
    float s, v, a;
    uint32_t last = b->conflict + (uint32_t)(b->driver->settle / DT + 0.5f);
    baseline_at(b, step, &s, &v, &a);
    return nm_rehearse(b->rehearsal, step, s, v, a, manoeuvre, last, NM_WHOM_ALL, NULL) == NM_NONE;
}

static int braking_saves(const nm_baseline *b, uint32_t step) {
    const nm_reference_driver *d = b->driver;
    const nm_manoeuvre brake = {.brake = d->brake, .jerk = d->jerk, .grip = d->brake};
    return saves(b, step, &brake);
}

// Smaller offsets first, left before right.
static int steering_saves(const nm_baseline *b, uint32_t step, int braking) {
    const nm_reference_driver *d = b->driver;
    uint32_t offsets = (uint32_t)(d->widest / NM_STEER_STEP + 1e-3f);
    if (d->lateral <= 0) return 0;
    for (uint32_t i = 1; i <= offsets && i <= OFFSETS_MAX; i++)
        for (int side = 1; side >= -1; side -= 2) {
            nm_manoeuvre steer = {.side = (float)side * (float)i * NM_STEER_STEP, .lateral = d->lateral};
            if (braking) {
                steer.brake = d->brake;
                steer.jerk = d->jerk;
                steer.grip = d->brake;
            }
            if (saves(b, step, &steer)) return 1;
        }
    return 0;
}

static void find_last_steps(const nm_baseline *b, nm_avoidability *out) {
    for (uint32_t step = b->conflict; step-- > out->first_step;) {
        if (out->last_brake_step == NM_NONE && braking_saves(b, step)) out->last_brake_step = step;
        if (out->last_steer_step == NM_NONE && steering_saves(b, step, 0)) out->last_steer_step = step;
        int either = out->last_brake_step == step || out->last_steer_step == step;
        if (out->last_both_step == NM_NONE && (either || steering_saves(b, step, 1))) out->last_both_step = step;
        if (out->last_brake_step != NM_NONE && out->last_steer_step != NM_NONE) break;
    }
}

static void judge(const nm_baseline *b, nm_avoidability *out) {
    const nm_reference_driver *d = b->driver;
    out->other = b->rehearsal->others[b->other].track;
    out->conflict_step = b->conflict;
    out->danger_step = danger_step(b);
    // nobody evades before the danger shows
    uint32_t ahead = (uint32_t)(d->horizon / DT + 0.5f);
    out->first_step = b->conflict > b->first + ahead ? b->conflict - ahead : b->first;
    if (out->danger_step < out->first_step) out->first_step = out->danger_step;
    find_last_steps(b, out);
    out->label = NM_AVOID_UNAVOIDABLE;
    out->margin = -INFINITY;
    if (out->last_both_step == NM_NONE) return;
    float acts = (float)out->danger_step * DT + d->perception + d->delay;
    out->margin = (float)out->last_both_step * DT - acts;
    if (out->margin > -1e-3f) out->label = NM_AVOID_AVOIDABLE;
}

static uint32_t event_first(const nm_conflict_case *conflict) {
    const nm_scene *scene = conflict->scene;
    uint32_t first = conflict->event ? conflict->event->first_step : conflict->begin;
    if (first < conflict->begin || first >= scene->step_count) first = conflict->begin;
    for (uint32_t t = conflict->begin; t <= first; t++)
        if (!scene->valid[nm_scene_at(scene, conflict->ego, t)]) return conflict->begin; // the ego's run ended before
    return first;
}

static nm_status find_conflict(const nm_conflict_case *conflict, const nm_reference_driver *driver, nm_arena *arena,
                               nm_avoidability *out, nm_error *error) {
    const nm_scene *scene = conflict->scene;
    uint32_t begin = conflict->begin, more = (uint32_t)((driver->horizon + driver->settle) / DT + 2.5f);
    nm_rehearsal r;
    uint32_t steps = scene->step_count - begin + more, last = scene->step_count - 1;
    nm_status status = nm_rehearsal_make(conflict, begin, steps, last, arena, &r, error);
    if (status != NM_OK) return status;
    nm_baseline b = {.rehearsal = &r, .driver = driver, .first = begin, .recorded = 1};
    b.conflict = nm_rehearsal_contact(&r, begin, last, &b.other);
    if (b.conflict != NM_NONE) {
        out->collided = 1;
        // what the ego does after it was hit is no way to drive along
        status = nm_rehearsal_make(conflict, begin, steps, b.conflict, arena, &r, error);
        if (status != NM_OK) return status;
        nm_rehearsal_contact(&r, begin, last, &b.other);
        judge(&b, out);
        return NM_OK;
    }
    b.recorded = 0;
    b.first = event_first(conflict);
    r.pass_adversaries = 1; // an ego that recorded went on is run over by its own followers when it does not
    uint32_t at = b.first - r.first, until = last + (uint32_t)(driver->horizon / DT + 0.5f);
    const nm_manoeuvre keep = {0};
    b.conflict = nm_rehearse(&r, b.first, r.s[at], r.v[at], 0, &keep, until, NM_WHOM_ADVERSARIES, &b.other);
    if (b.conflict != NM_NONE) judge(&b, out);
    return NM_OK;
}

nm_status nm_avoidability_of(const nm_conflict_case *conflict, const nm_reference_driver *driver, nm_arena *arena,
                             nm_avoidability *out, nm_error *error) {
    NM_ASSERT(driver && arena && out);
    nm_status status = nm_conflict_case_check(conflict, error);
    if (status == NM_OK) status = check_driver(driver, error);
    if (status == NM_OK) status = nm_map_prepare(conflict->scene->map, error);
    if (status != NM_OK) return status;
    nm_avoidability result = {.label = NM_AVOID_NO_CONFLICT, .margin = INFINITY};
    result.other = result.conflict_step = result.danger_step = result.first_step = NM_NONE;
    result.last_brake_step = result.last_steer_step = result.last_both_step = NM_NONE;
    nm_arena_mark mark = nm_arena_get_mark(arena);
    status = find_conflict(conflict, driver, arena, &result, error);
    nm_arena_release(arena, mark);
    if (status == NM_OK) *out = result;
    return status;
}
