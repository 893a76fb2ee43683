// The manoeuvres: what adversary and others do against the ego's course.
#include <string.h>

#include "scenarios/kinds_measure.h"
#include "scenarios/manoeuvre_internal.h"

#define JERK 25.0f       // m/s^3, how fast brakes grip
#define WORST_BRAKE 8.0f // m/s^2 of an adversary that gives in
#define SET_OFF 2.0f     // m/s^2 of one that sets off
#define OVER 11.0f       // m driven from the roadside into the lane
#define REACHES_IN 0.4f  // m of a parked vehicle within the lane
#define LEAST_RAMP 1.2f  // s of a drift out of the lane
#define LEAST_DRIFT 0.8f // m sideways that are one
#define TAKEOVER 1.0f    // s before there is something to see: whoever takes over then drives on ordinarily at first
#define FLOOR 1.5f       // m/s: slower adversaries stand

static uint32_t last_step(const nm_attempt *a) {
    return a->request->steps;
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
    return script->s[0] >= nm_drive_line_first(script->line) + 1 &&
           script->s[0] <= nm_drive_line_last(script->line) - 1;
}

// Beside the lane on the right, as far as a kerb lets it: m to the left of the ego's line.
static float parked_at(const nm_attempt *a, float width) {
    return -(nm_map_rail(a->base->map, a->place.ego_lane, a->place.ego_s).right - REACHES_IN + 0.5f * width);
}

static nm_script *adversary(const nm_attempt *a) {
    return &a->work->script[NM_ROLE_ADVERSARY];
}

// The ego notices nothing until `reaction` after the moment at which there is something to see, s.
static nm_reject plan_reaction(nm_attempt *a, float moment) {
    const int at = nm_kind_param_index(a->spec->kind, NM_PARAM_REACTION);
    if (at < 0 || a->value[at] <= 0) return nm_plan_blind(a, 0);
    const nm_reject reject = nm_plan_blind(a, step_of(nm_maxf(moment, 0) + a->aim[at]));
    a->shown = step_of(nm_maxf(moment - TAKEOVER, 0));
    return reject;
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
    if (!starts_on_line(script) || !starts_on_line(slow)) return NM_REJECT_NO_ROOM;
    return plan_reaction(a, left);
}

// hard_brake, chain_brake
static nm_reject plan_hard_brake(nm_attempt *a) {
    nm_script *script = adversary(a), *follower = &a->work->script[NM_ROLE_OTHER];
    const float headway = nm_attempt_value(a, NM_PARAM_HEADWAY);
    float s, v;
    a->conflict = step_of(a->seconds);
    ego_at(a, a->conflict, &s, &v);
    cruise(a, script, (float)a->conflict * NM_STEP_SECONDS, s + headway * v + halves(a), a->start_speed);
    brake(a, script, a->conflict, last_step(a), nm_attempt_value(a, NM_PARAM_DECELERATION), 0);
    if (!starts_on_line(script)) return NM_REJECT_NO_ROOM;
    if (a->spec->kind == NM_KIND_CHAIN_BRAKE) {
        cruise(a, follower, 0, a->start_s - headway * a->start_speed - 0.5f * (a->ego_length + a->other_length),
               a->start_speed);
        return starts_on_line(follower) ? NM_REJECT_NONE : NM_REJECT_NO_ROOM;
    }
    return plan_reaction(a, (float)a->conflict * NM_STEP_SECONDS);
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
    if (a->start_s + a->start_speed * (float)a->blind * NM_STEP_SECONDS < -1) return NM_REJECT_NO_ROOM;
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

// Out and back in ramps that fit into the duration, no faster than comfortable where there is time.
static nm_reject plan_lane_drift(nm_attempt *a) {
    nm_script *script = adversary(a);
    const float offset = a->place.offset, apart = fabsf(offset), overhang = nm_attempt_value(a, NM_PARAM_OVERHANG);
    const float room = apart - a->place.border - 0.5f * a->width; // to the border
    const float drift = room + overhang, to = offset > 0 ? offset - drift : offset + drift;
    if (room < 0 || drift < LEAST_DRIFT) return NM_REJECT_NO_ROOM;
    const float duration = nm_attempt_value(a, NM_PARAM_DURATION), share = quintic_time(room / drift);
    const float comfortable = nm_maxf(LEAST_RAMP, NM_QUINTIC_PEAK * drift / 1.6f);
    const float ramp = nm_clampf(0.5f * duration / (1 - share), LEAST_RAMP, comfortable), reaches = share * ramp;
    // out at both ends of the stay by the ramps' own share; what is too short for that is not met
    const float stay = nm_maxf(duration - 2 * (ramp - reaches), 0);
    a->conflict = step_of(a->seconds + 0.5f * duration);
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

// Seconds at which the ego's front is at s on its line when nobody disturbs it; -1 when it does not come there.
static float front_at(const nm_attempt *a, float s) {
    const nm_course *course = &a->work->undisturbed;
    for (uint32_t t = 1; t < course->count; t++) {
        const float before = course->s[t - 1] + 0.5f * a->ego_length, now = course->s[t] + 0.5f * a->ego_length;
        if (now < s) continue;
        const float share = now > before ? (s - before) / (now - before) : 1;
        return ((float)t - 1 + nm_clampf(share, 0, 1)) * NM_STEP_SECONDS;
    }
    return -1;
}

// The rear leaves the shared ground predicted_pet before the ego comes to it. What hides a pedestrian stands just
// before its way, as at a kerb.
static nm_reject plan_crossing(nm_attempt *a) {
    nm_script *script = adversary(a), *parked = &a->work->script[NM_ROLE_OTHER];
    const float arrives = front_at(a, a->ground_in), pet = nm_attempt_value(a, NM_PARAM_PREDICTED_PET);
    if (arrives < 0) return NM_REJECT_EGO_ELSEWHERE;
    cruise(a, script, arrives - pet, a->cross_out + 0.5f * a->length, nm_attempt_value(a, NM_PARAM_SPEED));
    a->conflict = step_of(nm_clampf(arrives - nm_maxf(pet, 0), 0, (float)last_step(a) * NM_STEP_SECONDS));
    if (a->spec->kind == NM_KIND_OCCLUDED_PEDESTRIAN) {
        cruise(a, parked, 0, -0.5f * a->other_length - 0.8f, 0);
        keep_aside(a, parked, parked_at(a, a->other_width));
    }
    if (!starts_on_line(script)) return NM_REJECT_NO_ROOM;
    const float ground = a->cross_out + a->length; // that its front has entered when the rear leaves it
    return plan_reaction(a, arrives - pet - ground / script->v[0]);
}

// Speeds up from rest at `begin` s, and keeps `speed` then.
static void set_off(const nm_attempt *a, nm_script *script, float begin, float s, float pace, float speed) {
    const float ramp = speed / pace;
    for (uint32_t t = 0; t <= last_step(a); t++) {
        const float gone = nm_maxf((float)t * NM_STEP_SECONDS - begin, 0);
        const float first = nm_minf(gone, ramp);
        script->v[t] = pace * first;
        script->s[t] = s + 0.5f * pace * first * first + speed * (gone - first);
        script->d[t] = 0;
    }
}

static nm_reject plan_u_turn(nm_attempt *a) {
    nm_script *script = adversary(a);
    const float arrives = front_at(a, a->ground_in), speed = nm_attempt_value(a, NM_PARAM_SPEED);
    if (arrives < 0) return NM_REJECT_EGO_ELSEWHERE;
    const float takes = (a->cross_out + 0.5f * a->length) / speed + 0.5f * speed / SET_OFF;
    const float begin = arrives - nm_attempt_value(a, NM_PARAM_PREDICTED_PET) - takes;
    if (begin < 0.3f) return NM_REJECT_NO_ROOM;
    set_off(a, script, begin, 0, SET_OFF, speed);
    a->conflict = step_of(begin + takes);
    return plan_reaction(a, begin);
}

// Stands aside, sets off and comes over within OVER m; gets in the way `headway` before the ego at the conflict.
static nm_reject plan_pull_out(nm_attempt *a) {
    nm_script *script = adversary(a);
    const float aside = parked_at(a, a->width), in_way = -0.5f * (a->ego_width + a->width);
    const float way = OVER * quintic_time(nm_clampf((aside - in_way) / aside, 0, 1));
    const float takes = sqrtf(2 * way / SET_OFF);
    float s, v;
    a->conflict = step_of(a->seconds);
    ego_at(a, a->conflict, &s, &v);
    const float begin = (float)a->conflict * NM_STEP_SECONDS - takes;
    if (begin < 1.2f) return NM_REJECT_NO_ROOM; // it has to stand for a second
    set_off(a, script, begin, s + nm_attempt_value(a, NM_PARAM_HEADWAY) * v + halves(a) - way, SET_OFF,
            0.7f * a->start_speed);
    for (uint32_t t = 0; t <= last_step(a); t++)
        script->d[t] = aside * (1 - nm_quintic((script->s[t] - script->s[0]) / OVER));
    return starts_on_line(script) ? plan_reaction(a, a->seconds) : NM_REJECT_NO_ROOM;
}

// --- what vehicles can do --------------------------------------------------------------------------------------------

#define CHECK_STRIDE 3u
#define CHECKED_POSES ((NM_STAGE_STEPS + CHECK_STRIDE - 1) / CHECK_STRIDE)
#define MOST_ACROSS 7.0f // m/s^2 in bends
#define OFF_ROAD 0.25f   // m that a corner may be off the road

// A vehicle that is scripted keeps to the road, unless it is to leave it, and takes no bend too fast.
static int can_be_driven(const nm_attempt *a) {
    const nm_script *script = adversary(a);
    if (!nm_agent_type_vehicle(a->adversary_type)) return 1;
    float x[CHECKED_POSES], y[CHECKED_POSES], sine[CHECKED_POSES], cosine[CHECKED_POSES];
    float length[CHECKED_POSES], width[CHECKED_POSES], before = 0;
    uint8_t off[CHECKED_POSES];
    size_t count = 0;
    const float first = nm_drive_line_first(script->line), last = nm_drive_line_last(script->line);
    for (uint32_t t = 0; t <= last_step(a) && script->s[t] >= first && script->s[t] <= last; t += CHECK_STRIDE) {
        const nm_pose pose = nm_drive_line_at(script->line, script->s[t], script->d[t]);
        const float turned = count > 0 ? fabsf(nm_wrap_angle(pose.heading - before)) : 0;
        if (turned * script->v[t] > MOST_ACROSS * (float)CHECK_STRIDE * NM_STEP_SECONDS) return 0;
        before = pose.heading;
        x[count] = pose.x;
        y[count] = pose.y;
        nm_sincosf(pose.heading, &sine[count], &cosine[count]);
        length[count] = a->length;
        width[count] = a->width;
        count++;
    }
    if (a->spec->violations & NM_VIOLATION_OFF_ROAD) return 1;
    nm_map_boxes_off_road(a->base->map, x, y, cosine, sine, length, width, OFF_ROAD, count, off);
    for (size_t i = 0; i < count; i++)
        if (off[i]) return 0;
    return 1;
}

// A drift is one out of a lane that goes on as it is: no junction, and no lane that is narrower than what drives on it.
static int keeps_plain_lane(const nm_attempt *a) {
    const nm_script *script = adversary(a);
    const nm_map *map = a->base->map;
    const float first = nm_drive_line_first(script->line), last = nm_drive_line_last(script->line);
    for (uint32_t t = 0; t <= last_step(a); t += 2 * CHECK_STRIDE) {
        if (script->s[t] < first || script->s[t] > last) return 0;
        const nm_pose pose = nm_drive_line_at(script->line, script->s[t], a->place.offset);
        const nm_frenet at = nm_map_match(map, pose.x, pose.y, pose.heading, 2, NM_LANE_MASK_VEHICLE);
        if (at.lane == NM_NONE || (map->lanes[at.lane].flags & NM_LANE_JUNCTION)) return 0;
        if (at.left + at.right < a->width + 0.6f) return 0;
    }
    return 1;
}

nm_reject nm_plan_check(const nm_attempt *a) {
    if (!can_be_driven(a)) return NM_REJECT_NO_ROOM;
    return a->spec->kind == NM_KIND_LANE_DRIFT && !keeps_plain_lane(a) ? NM_REJECT_NO_ROOM : NM_REJECT_NONE;
}

nm_reject nm_plan_scripts(nm_attempt *a) {
    switch (a->spec->kind) {
    case NM_KIND_CUT_IN:
    case NM_KIND_MERGE_CONFLICT:
        return plan_cut_in(a);
    case NM_KIND_CUT_OUT:
        return plan_cut_out(a);
    case NM_KIND_HARD_BRAKE:
    case NM_KIND_CHAIN_BRAKE:
        return plan_hard_brake(a);
    case NM_KIND_REAR_END:
        return plan_rear_end(a);
    case NM_KIND_LEAD_STOPPED:
    case NM_KIND_BLOCKED_LANE:
        return plan_lead_stopped(a);
    case NM_KIND_PARKED_PULL_OUT:
        return plan_pull_out(a);
    case NM_KIND_SUDDEN_U_TURN:
        return plan_u_turn(a);
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

void nm_plan_staged(const nm_attempt *a, float value[NM_KIND_MAX_PARAMS]) {
    const nm_script *script = adversary(a);
    const nm_kind kind = a->spec->kind;
    float s, v;
    memcpy(value, a->aim, sizeof a->aim);
    if (script->line != &a->work->ego_line || a->conflict >= a->work->course.count) return;
    ego_at(a, a->conflict, &s, &v);
    const float direction = script->reversed ? -1.0f : 1.0f, speed = script->v[a->conflict];
    const float ahead = fabsf(script->s[a->conflict] - s) - halves(a);
    for (size_t i = 0; i < a->spec->param_count; i++) {
        switch (a->spec->params[i].id) {
        case NM_PARAM_GAP:
            value[i] = ahead;
            break;
        case NM_PARAM_CLOSING:
            value[i] = kind == NM_KIND_REAR_END ? speed - v : v - speed;
            break;
        case NM_PARAM_HEADWAY:
            value[i] = ahead / nm_maxf(kind == NM_KIND_TAILGATE ? speed : v, 0.1f);
            break;
        case NM_PARAM_WARNING:
            value[i] = ahead / nm_maxf(v, 0.1f);
            break;
        case NM_PARAM_BRAKE_TTC:
            value[i] = ahead / nm_maxf(kind == NM_KIND_REAR_END ? speed - v : v - direction * speed, 0.1f);
            break;
        default:
            break;
        }
    }
}

float nm_plan_correct(nm_attempt *a, uint32_t until) {
    const nm_kind_roles roles = {NM_ROLE_EGO, NM_ROLE_ADVERSARY, a->has_other ? NM_ROLE_OTHER : NM_NONE};
    const nm_event event = {.kind = a->spec->kind,
                            .first_step = a->conflict,
                            .last_step = until,
                            .critical_step = a->conflict < until ? a->conflict : until};
    float measured[NM_KIND_MAX_PARAMS], plan[NM_KIND_MAX_PARAMS], worst = 0;
    nm_kind_measure(&a->work->take.scene, &event, &roles, measured, NULL);
    nm_plan_staged(a, plan);
    for (size_t i = 0; i < a->spec->param_count; i++) {
        const nm_kind_param *param = &a->spec->params[i];
        if (isnan(measured[i]) || param->id == NM_PARAM_EGO_SPEED || param->id == NM_PARAM_MIN_TTC) continue;
        // an ego that is slow by itself is as quick as it is
        if (param->id == NM_PARAM_REACTION && a->aim[i] < 0.05f && measured[i] > a->value[i]) continue;
        worst = nm_maxf(worst, fabsf(measured[i] - a->value[i]) / nm_kind_tolerance(param->id));
        const float span = 0.5f * (param->bounds.high - param->bounds.low);
        const float least = param->bounds.low >= 0 ? 0.5f * param->bounds.low : param->bounds.low - span;
        a->aim[i] = nm_clampf(a->value[i] - (measured[i] - plan[i]), least, param->bounds.high + span);
    }
    return worst;
}
