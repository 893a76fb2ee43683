// The manoeuvres: where the ego begins, and what adversary and others do against the ego's course.
#include <string.h>

#include "base/rng.h"
#include "scenarios/manoeuvre_internal.h"

#define JERK 25.0f        // m/s^3, how fast brakes grip
#define WORST_BRAKE 8.0f  // m/s^2 of an adversary that gives in
#define SLOWEST 0.55f     // of what the road allows: the ego's least speed
#define LEAD_SECONDS 0.6f // s until somebody who leads the ego begins
#define LEAD_SHORT 0.3f
#define BLIND_STEPS                                                                                                    \
    12u // until the ego notices what stands in its way: a reaction of 0.75 s and 0.4 s to perceive (R157)
#define BLIND_TURN 0.03f // rad that the way may turn meanwhile
#define FLOOR 1.5f       // m/s: slower adversaries stand
#define MARGIN 3.0f      // m of way left at a line's start

static uint32_t last_step(const nm_attempt *a) {
    return a->request->steps;
}

// --- setup -----------------------------------------------------------------------------------------------------------

// The drawn value carried over to where the asked range and what is possible overlap; 0 when they do not.
static int fit(nm_attempt *a, nm_kind_param_id id, float low, float high) {
    const int at = nm_kind_param_index(a->spec->kind, id);
    const nm_kind_range *range = &a->request->ranges.range[at];
    const float from = nm_maxf(low, range->low), to = nm_minf(high, range->high);
    if (!(from <= to)) return 0;
    const float wide = range->high - range->low;
    const float share = wide > 0 ? (a->drawn[at] - range->low) / wide : 0.5f;
    a->drawn[at] = a->value[at] = from + share * (to - from);
    return 1;
}

static float lead_time(const nm_attempt *a, float random) {
    const int hits = a->request->ranges.severity == NM_SEVERITY_COLLISION;
    switch (a->spec->kind) {
    case NM_KIND_HARD_BRAKE:
        return hits ? LEAD_SHORT : LEAD_SECONDS; // left alone, the ego would open the gap
    case NM_KIND_CUT_OUT:
        return LEAD_SECONDS;
    case NM_KIND_LEAD_STOPPED:
        return (float)BLIND_STEPS * NM_STEP_SECONDS;
    case NM_KIND_TAILGATE:
        return 1.0f;
    case NM_KIND_RED_LIGHT_RUNNER:
        return 4.5f + random; // the line lies well before the shared ground
    case NM_KIND_LANE_DRIFT:
        return 4.5f; // the detector looks at how it drove before
    default:
        return 3.0f + random;
    }
}

static void build_lines(nm_attempt *a) {
    nm_manoeuvre_work *work = a->work;
    const nm_map *map = a->base->map;
    nm_guide_along(map, a->place.ego_lane, a->place.ego_s, &work->ego_line);
    work->script[NM_ROLE_ADVERSARY].line = &work->ego_line;
    work->script[NM_ROLE_OTHER].line = &work->ego_line;
    work->script[NM_ROLE_ADVERSARY].reversed = work->script[NM_ROLE_OTHER].reversed = 0;
    const unsigned needs = a->spec->needs;
    if (needs & NM_NEED_STREET) {
        const nm_pose pose = nm_guide_at(&work->ego_line, 0, 0);
        const float turn = a->place.side < 0 ? NM_HALF_PI_F : -NM_HALF_PI_F;
        nm_guide_straight(pose.x, pose.y, pose.heading + turn, 60, &work->other_line);
        work->script[NM_ROLE_ADVERSARY].line = &work->other_line;
    } else if (needs & (NM_NEED_CROSSING_LANE | NM_NEED_LEFT_TURN | NM_NEED_RIGHT_TURN | NM_NEED_SIGNAL)) {
        nm_guide_along(map, a->place.lane, a->place.in, &work->other_line);
        work->script[NM_ROLE_ADVERSARY].line = &work->other_line;
    }
    if (a->spec->kind == NM_KIND_HEAD_ON || a->spec->kind == NM_KIND_WRONG_WAY)
        work->script[NM_ROLE_ADVERSARY].reversed = 1;
}

static void set_sizes(nm_attempt *a, const nm_rng_key *key) {
    const nm_scene *base = a->base;
    a->ego_length = 4.6f;
    a->ego_width = 1.85f;
    if (base->ego != NM_NONE && nm_agent_type_vehicle((nm_agent_type)base->tracks[base->ego].type) &&
        base->tracks[base->ego].length > 2 && base->tracks[base->ego].width > 1) {
        a->ego_length = nm_minf(base->tracks[base->ego].length, 6);
        a->ego_width = nm_minf(base->tracks[base->ego].width, 2.2f);
    }
    a->adversary_type = NM_AGENT_CAR;
    a->length = 4.2f + 0.8f * nm_rng_uniform(key, 20);
    a->width = 1.75f + 0.2f * nm_rng_uniform(key, 21);
    a->other_length = 4.2f + 0.8f * nm_rng_uniform(key, 22);
    a->other_width = 1.75f + 0.2f * nm_rng_uniform(key, 23);
    if (a->spec->kind == NM_KIND_PEDESTRIAN_CROSSING) {
        a->adversary_type = NM_AGENT_PEDESTRIAN;
        a->length = a->width = 0.5f;
    } else if (a->spec->kind == NM_KIND_CYCLIST_CROSSING) {
        a->adversary_type = NM_AGENT_CYCLIST;
        a->length = 1.8f;
        a->width = 0.6f;
    }
    a->has_other = a->spec->kind == NM_KIND_CUT_OUT;
}

// An adversary on a way of its own drives as fast as that allows.
static int fit_adversary(nm_attempt *a) {
    const nm_manoeuvre_work *work = a->work;
    if (nm_kind_param_index(a->spec->kind, NM_PARAM_SPEED) < 0 || (a->spec->needs & NM_NEED_STREET)) return 1;
    const int own = work->script[NM_ROLE_ADVERSARY].line == &work->other_line;
    const float limit = own ? nm_guide_limit(&work->other_line, -25, a->place.out - a->place.in + 10)
                            : nm_guide_limit(&work->ego_line, 0, 80);
    const float slowest = a->spec->kind == NM_KIND_RED_LIGHT_RUNNER ? 0.65f : 0.4f;
    return fit(a, NM_PARAM_SPEED, slowest * limit, 1.15f * limit);
}

nm_reject nm_plan_setup(nm_attempt *a) {
    const nm_rng_key key = {
        .seed = a->request->seed, .scene = a->index, .agent = (uint32_t)a->spec->kind, .purpose = NM_PURPOSE_KIND};
    build_lines(a);
    set_sizes(a, &key);
    const float first = nm_guide_first(&a->work->ego_line) + MARGIN;
    const float limit = nm_guide_limit(&a->work->ego_line, nm_maxf(first, -80), 30);
    if (!fit(a, NM_PARAM_EGO_SPEED, SLOWEST * limit, limit) || !fit_adversary(a)) return NM_REJECT_EGO_SPEED;
    a->start_speed = nm_attempt_value(a, NM_PARAM_EGO_SPEED);
    a->seconds = lead_time(a, nm_rng_uniform(&key, 24));
    const float front = a->work->script[NM_ROLE_ADVERSARY].line == &a->work->other_line ? 0.5f * a->ego_length : 0;
    // less time where the way is short
    const float most = (-first - front) / a->start_speed;
    const float least = nm_minf(a->seconds, a->spec->kind == NM_KIND_RED_LIGHT_RUNNER ? 3.0f : 1.8f);
    if (most < least) return NM_REJECT_NO_ROOM;
    a->seconds = nm_minf(a->seconds, most);
    a->start_s = -front - a->start_speed * a->seconds;
    a->blind = a->spec->kind == NM_KIND_LEAD_STOPPED ? BLIND_STEPS : 0;
    const float turned =
        nm_guide_at(&a->work->ego_line, a->start_s, 0).heading - nm_guide_at(&a->work->ego_line, 0, 0).heading;
    if (a->blind > 0 && fabsf(nm_wrap_angle(turned)) > BLIND_TURN) return NM_REJECT_NO_ROOM;
    return NM_REJECT_NONE;
}

// --- pieces of motion ------------------------------------------------------------------------------------------------

static void cruise(const nm_attempt *a, nm_script *script, float time, float s, float speed) {
    for (uint32_t t = 0; t <= last_step(a); t++) {
        const float moved = speed * ((float)t * NM_STEP_SECONDS - time);
        script->s[t] = s + (script->reversed ? -moved : moved);
        script->d[t] = 0;
        script->v[t] = speed;
    }
}

// Brakes from step `from` on, `steps` long, down to `floor`; then keeps its speed.
static void brake(const nm_attempt *a, nm_script *script, uint32_t from, uint32_t steps, float deceleration,
                  float floor) {
    float now = 0;
    for (uint32_t t = from + 1; t <= last_step(a); t++) {
        const float wanted = t - from <= steps && script->v[t - 1] > floor ? deceleration : 0;
        now = nm_clampf(wanted, now - JERK * NM_STEP_SECONDS, now + JERK * NM_STEP_SECONDS);
        script->v[t] = nm_maxf(script->v[t - 1] - now * NM_STEP_SECONDS, nm_minf(floor, script->v[t - 1]));
        const float moved = 0.5f * (script->v[t] + script->v[t - 1]) * NM_STEP_SECONDS;
        script->s[t] = script->s[t - 1] + (script->reversed ? -moved : moved);
    }
}

// Sideways from where it is to `to` between two times, s.
static void shift(const nm_attempt *a, nm_script *script, float begin, float duration, float from, float to) {
    for (uint32_t t = 0; t <= last_step(a); t++) {
        const float time = (float)t * NM_STEP_SECONDS;
        if (time < begin) continue;
        script->d[t] = from + (to - from) * nm_quintic((time - begin) / duration);
    }
}

static void keep_aside(const nm_attempt *a, nm_script *script, float d) {
    for (uint32_t t = 0; t <= last_step(a); t++) script->d[t] = d;
}

// Share of its duration after which the quintic has covered `share` of its way.
static float quintic_time(float share) {
    float low = 0, high = 1;
    for (int i = 0; i < 20; i++) {
        const float middle = 0.5f * (low + high);
        if (nm_quintic(middle) < share)
            low = middle;
        else
            high = middle;
    }
    return high;
}

// The course at a step, carried on at its last speed.
static void ego_at(const nm_attempt *a, uint32_t step, float *s, float *v) {
    const nm_course *course = &a->work->course;
    const uint32_t at = step < course->count ? step : course->count - 1;
    *v = course->v[at];
    *s = course->s[at] + *v * (float)(step - at) * NM_STEP_SECONDS;
}

static float halves(const nm_attempt *a) {
    return 0.5f * (a->ego_length + a->length);
}

static uint32_t step_of(float seconds) {
    return (uint32_t)(seconds * 10 + 0.5f);
}

static int starts_on_line(const nm_script *script) {
    return script->s[0] >= nm_guide_first(script->line) + 1 && script->s[0] <= nm_guide_last(script->line) - 1;
}

static nm_script *adversary(const nm_attempt *a) {
    return &a->work->script[NM_ROLE_ADVERSARY];
}

// --- the manoeuvres --------------------------------------------------------------------------------------------------

// cut_in, merge_conflict: reaches over the border at the conflict, `gap` ahead of the ego and slower by `closing`.
static nm_reject plan_cut_in(nm_attempt *a) {
    nm_script *script = adversary(a);
    float s, v;
    a->conflict = step_of(a->seconds);
    ego_at(a, a->conflict, &s, &v);
    const float speed = v - nm_attempt_value(a, NM_PARAM_CLOSING), offset = a->place.offset, apart = fabsf(offset);
    if (speed < FLOOR) return NM_REJECT_NO_ROOM;
    cruise(a, script, (float)a->conflict * NM_STEP_SECONDS, s + nm_attempt_value(a, NM_PARAM_GAP) + halves(a), speed);
    const float duration = NM_QUINTIC_PEAK * apart / nm_attempt_value(a, NM_PARAM_LATERAL_SPEED);
    const float reaches = quintic_time((apart - a->place.border - 0.5f * a->width) / apart) * duration;
    const float crosses = quintic_time((apart - a->place.border) / apart) * duration;
    const float begin = (float)a->conflict * NM_STEP_SECONDS - reaches;
    if (begin < 0.2f) return NM_REJECT_NO_ROOM;
    keep_aside(a, script, offset);
    shift(a, script, begin, duration, offset, 0);
    const float braking = nm_attempt_value(a, NM_PARAM_BRAKING);
    if (braking > 0) brake(a, script, step_of(begin + crosses), 25, braking, 0.2f * speed);
    return starts_on_line(script) ? NM_REJECT_NONE : NM_REJECT_NO_ROOM;
}

// cut_out: leads, and begins to leave at the conflict.
static nm_reject plan_cut_out(nm_attempt *a) {
    nm_script *script = adversary(a), *slow = &a->work->script[NM_ROLE_OTHER];
    float s, v;
    a->conflict = step_of(a->seconds);
    ego_at(a, a->conflict, &s, &v);
    const float begin = (float)a->conflict * NM_STEP_SECONDS, offset = a->place.offset, apart = fabsf(offset);
    cruise(a, script, begin, s + nm_attempt_value(a, NM_PARAM_HEADWAY) * v + halves(a), a->start_speed);
    const float duration = NM_QUINTIC_PEAK * apart / nm_attempt_value(a, NM_PARAM_LATERAL_SPEED);
    shift(a, script, begin, duration, 0, offset);
    // the box has left the lane
    const float left = begin + quintic_time(nm_minf((a->place.border + 0.5f * a->width) / apart, 1)) * duration;
    const uint32_t step = step_of(left);
    if (step > last_step(a)) return NM_REJECT_NO_ROOM;
    const float speed = nm_minf(nm_attempt_value(a, NM_PARAM_REVEALED_SPEED), 0.6f * a->start_speed);
    cruise(a, slow, (float)step * NM_STEP_SECONDS,
           script->s[step] + nm_attempt_value(a, NM_PARAM_REVEAL) + 0.5f * (a->length + a->other_length), speed);
    if (slow->s[0] - script->s[0] < 0.5f * (a->length + a->other_length) + 1) return NM_REJECT_NO_ROOM;
    return starts_on_line(script) && starts_on_line(slow) ? NM_REJECT_NONE : NM_REJECT_NO_ROOM;
}

static nm_reject plan_hard_brake(nm_attempt *a) {
    nm_script *script = adversary(a);
    float s, v;
    a->conflict = step_of(a->seconds);
    ego_at(a, a->conflict, &s, &v);
    cruise(a, script, (float)a->conflict * NM_STEP_SECONDS, s + nm_attempt_value(a, NM_PARAM_HEADWAY) * v + halves(a),
           a->start_speed);
    brake(a, script, a->conflict, last_step(a), nm_attempt_value(a, NM_PARAM_DECELERATION), 0);
    return starts_on_line(script) ? NM_REJECT_NONE : NM_REJECT_NO_ROOM;
}

static nm_reject plan_rear_end(nm_attempt *a) {
    nm_script *script = adversary(a);
    float s, v;
    a->conflict = step_of(a->seconds);
    ego_at(a, a->conflict, &s, &v);
    const float closing = nm_attempt_value(a, NM_PARAM_CLOSING);
    cruise(a, script, (float)a->conflict * NM_STEP_SECONDS,
           s - halves(a) - nm_attempt_value(a, NM_PARAM_BRAKE_TTC) * closing, v + closing);
    brake(a, script, a->conflict, last_step(a), WORST_BRAKE, nm_maxf(v - 1, 0));
    return starts_on_line(script) ? NM_REJECT_NONE : NM_REJECT_NO_ROOM;
}

static nm_reject plan_lead_stopped(nm_attempt *a) {
    nm_script *script = adversary(a);
    a->conflict = a->blind;
    cruise(a, script, 0, halves(a) + nm_attempt_value(a, NM_PARAM_WARNING) * a->start_speed, 0);
    return starts_on_line(script) ? NM_REJECT_NONE : NM_REJECT_NO_ROOM;
}

// Keeps the place relative to the ego: behind by a headway, or beside it.
static void shadow(const nm_attempt *a, nm_script *script, float ahead, float headway) {
    float s, v;
    for (uint32_t t = 0; t <= last_step(a); t++) {
        ego_at(a, t, &s, &v);
        script->s[t] = s + ahead - headway * v;
        script->d[t] = 0;
        script->v[t] = v;
    }
}

static nm_reject plan_tailgate(nm_attempt *a) {
    nm_script *script = adversary(a);
    a->conflict = step_of(a->seconds);
    shadow(a, script, -halves(a), nm_attempt_value(a, NM_PARAM_HEADWAY));
    return starts_on_line(script) ? NM_REJECT_NONE : NM_REJECT_NO_ROOM;
}

static nm_reject plan_lane_drift(nm_attempt *a) {
    nm_script *script = adversary(a);
    const float offset = a->place.offset, apart = fabsf(offset), overhang = nm_attempt_value(a, NM_PARAM_OVERHANG);
    const float room = apart - a->place.border - 0.5f * a->width; // to the border
    const float drift = room + overhang, to = offset > 0 ? offset - drift : offset + drift;
    const float ramp = nm_maxf(1.2f, NM_QUINTIC_PEAK * drift / 1.6f), reaches = quintic_time(room / drift) * ramp;
    // out at both ends of the stay by the ramps' own share
    const float stay = nm_maxf(nm_attempt_value(a, NM_PARAM_DURATION) - 2 * (ramp - reaches), 0);
    if (room < 0) return NM_REJECT_NO_ROOM;
    a->conflict = step_of(a->seconds);
    shadow(a, script, 0.3f * a->length, 0);
    keep_aside(a, script, offset);
    const float begin = nm_maxf(a->seconds - reaches, 0.2f);
    shift(a, script, begin, ramp, offset, to);
    shift(a, script, begin + ramp + stay, ramp, to, offset);
    return starts_on_line(script) ? NM_REJECT_NONE : NM_REJECT_NO_ROOM;
}

// Strays, and begins to go back at the conflict.
static nm_reject plan_head_on(nm_attempt *a) {
    nm_script *script = adversary(a);
    const int hits = a->request->ranges.severity == NM_SEVERITY_COLLISION;
    const float offset = a->place.offset, speed = nm_attempt_value(a, NM_PARAM_SPEED);
    const float in = (hits ? 0.2f : 0.4f) * offset;
    float s, v;
    a->conflict = step_of(a->seconds);
    ego_at(a, a->conflict, &s, &v);
    const float time = (float)a->conflict * NM_STEP_SECONDS;
    cruise(a, script, time, s + halves(a) + nm_attempt_value(a, NM_PARAM_BRAKE_TTC) * (v + speed), speed);
    keep_aside(a, script, offset);
    shift(a, script, nm_maxf(time - 2.2f, 0.1f), 1.6f, offset, in);
    shift(a, script, time, 1.5f, in, offset);
    return starts_on_line(script) ? NM_REJECT_NONE : NM_REJECT_NO_ROOM;
}

static nm_reject plan_wrong_way(nm_attempt *a) {
    nm_script *script = adversary(a);
    const float speed = nm_attempt_value(a, NM_PARAM_SPEED);
    float s, v;
    a->conflict = step_of(a->seconds);
    ego_at(a, a->conflict, &s, &v);
    cruise(a, script, (float)a->conflict * NM_STEP_SECONDS,
           s + halves(a) + nm_attempt_value(a, NM_PARAM_BRAKE_TTC) * (v + speed), speed);
    brake(a, script, a->conflict, last_step(a), WORST_BRAKE, 0);
    return starts_on_line(script) ? NM_REJECT_NONE : NM_REJECT_NO_ROOM;
}

// Seconds at which the ego's front is at s on its line; -1 when it does not come there.
static float front_at(const nm_attempt *a, float s) {
    const nm_course *course = &a->work->course;
    for (uint32_t t = 1; t < course->count; t++) {
        const float before = course->s[t - 1] + 0.5f * a->ego_length, now = course->s[t] + 0.5f * a->ego_length;
        if (now < s) continue;
        const float share = now > before ? (s - before) / (now - before) : 1;
        return ((float)t - 1 + nm_clampf(share, 0, 1)) * NM_STEP_SECONDS;
    }
    return -1;
}

// The rear leaves the shared ground predicted_pet before the ego comes to it.
static nm_reject plan_crossing(nm_attempt *a) {
    nm_script *script = adversary(a);
    const int walks = (a->spec->needs & NM_NEED_STREET) != 0;
    // where ways join it is the end of the shared ground that both come to
    const float joins = a->spec->kind == NM_KIND_RIGHT_TURN_CONFLICT ? a->place.ego_out - a->place.ego_s : 0;
    const float arrives = front_at(a, walks ? -0.5f * a->width : joins);
    const float end = walks ? 0.5f * a->ego_width : a->place.out - a->place.in;
    const float pet = nm_attempt_value(a, NM_PARAM_PREDICTED_PET), speed = nm_attempt_value(a, NM_PARAM_SPEED);
    if (arrives < 0) return NM_REJECT_EGO_ELSEWHERE;
    cruise(a, script, arrives - pet, end + 0.5f * a->length, speed);
    a->conflict = step_of(nm_clampf(arrives - nm_maxf(pet, 0), 0, (float)last_step(a) * NM_STEP_SECONDS));
    return starts_on_line(script) ? NM_REJECT_NONE : NM_REJECT_NO_ROOM;
}

nm_reject nm_plan_scripts(nm_attempt *a) {
    switch (a->spec->kind) {
    case NM_KIND_CUT_IN:
    case NM_KIND_MERGE_CONFLICT:
        return plan_cut_in(a);
    case NM_KIND_CUT_OUT:
        return plan_cut_out(a);
    case NM_KIND_HARD_BRAKE:
        return plan_hard_brake(a);
    case NM_KIND_REAR_END:
        return plan_rear_end(a);
    case NM_KIND_LEAD_STOPPED:
        return plan_lead_stopped(a);
    case NM_KIND_TAILGATE:
        return plan_tailgate(a);
    case NM_KIND_LANE_DRIFT:
        return plan_lane_drift(a);
    case NM_KIND_HEAD_ON:
        return plan_head_on(a);
    case NM_KIND_WRONG_WAY:
        return plan_wrong_way(a);
    default:
        return plan_crossing(a);
    }
}

// --- measuring -------------------------------------------------------------------------------------------------------

static void judge(float *worst, float achieved, float wanted, float tolerance) {
    const float off = fabsf(achieved - wanted) / tolerance;
    *worst = isfinite(off) ? nm_maxf(*worst, off) : INFINITY;
}

float nm_plan_measure(nm_attempt *a, float achieved[NM_KIND_MAX_PARAMS]) {
    const nm_script *script = adversary(a);
    const nm_kind kind = a->spec->kind;
    float worst = 0, s, v;
    memcpy(achieved, a->value, sizeof a->value); // what is scripted comes out as it was written
    const int min_ttc = nm_kind_param_index(kind, NM_PARAM_MIN_TTC);
    if (min_ttc >= 0) achieved[min_ttc] = NAN;
    if (script->line != &a->work->ego_line) return 0;
    if (a->conflict >= a->work->course.count) return INFINITY;
    ego_at(a, a->conflict, &s, &v);
    const float direction = script->reversed ? -1.0f : 1.0f, speed = script->v[a->conflict];
    const float ahead = fabsf(script->s[a->conflict] - s) - halves(a);
    for (size_t i = 0; i < a->spec->param_count; i++) {
        const float wanted = a->value[i];
        switch (a->spec->params[i].id) {
        case NM_PARAM_GAP:
            achieved[i] = ahead;
            judge(&worst, ahead, wanted, NM_TOLERANCE_GAP);
            break;
        case NM_PARAM_CLOSING:
            achieved[i] = kind == NM_KIND_REAR_END ? speed - v : v - speed;
            judge(&worst, achieved[i], wanted, NM_TOLERANCE_SPEED);
            break;
        case NM_PARAM_HEADWAY:
            achieved[i] = ahead / nm_maxf(kind == NM_KIND_TAILGATE ? speed : v, 0.1f);
            judge(&worst, achieved[i], wanted, NM_TOLERANCE_TIME);
            break;
        case NM_PARAM_WARNING:
            achieved[i] = ahead / nm_maxf(v, 0.1f);
            judge(&worst, achieved[i], wanted, NM_TOLERANCE_TIME);
            break;
        case NM_PARAM_BRAKE_TTC:
            achieved[i] = ahead / nm_maxf(kind == NM_KIND_REAR_END ? speed - v : v - direction * speed, 0.1f);
            judge(&worst, achieved[i], wanted, NM_TOLERANCE_TIME);
            break;
        default:
            break;
        }
    }
    return worst;
}
