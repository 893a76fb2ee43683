// The parameters of kinds by their definitions (kinds_table.c), from what the scene shows.
#include "scenarios/kinds_measure.h"

#include <math.h>

#include "scenarios/case.h"
#include "scenarios/kinds_sight.h"

#define DT 0.1f
#define LOOK_BACK 40u   // steps before the anchor within which a moment is looked for
#define LOOK_ON 40u     // steps after it
#define BRAKES 1.5f     // m/s^2 of an adversary that brakes, at its hardest
#define EGO_BRAKES 1.0f // m/s^2 of an ego that reacts
#define SHOWN 5u        // steps that a braking must have had before a contact
#define DEPARTED 0.3f   // m/s off its speed: it reacts
#define STEADY 0.1f     // m/s that its speed may have changed by in STEADY_STEPS before
#define STEADY_STEPS 3u
#define SIDE_STARTS 0.1f // m sideways when a change of lane has begun
#define SIDE_QUIET 0.02f // m sideways in a step: not yet
#define GOES_BACK 0.1f   // m back from the furthest: it returns
#define SETS_OFF 0.5f    // m/s
#define PREDICT 80u      // steps for which somebody is thought to go on
#define EGO_TURNS 60u    // steps before the conflict in which the ego's braking is a reaction to it

float nm_kind_tolerance(nm_kind_param_id id) {
    switch (id) {
    case NM_PARAM_GAP:
    case NM_PARAM_REVEAL:
        return NM_TOLERANCE_GAP;
    case NM_PARAM_HEADWAY:
    case NM_PARAM_WARNING:
    case NM_PARAM_BRAKE_TTC:
    case NM_PARAM_DURATION:
    case NM_PARAM_PREDICTED_PET:
    case NM_PARAM_REACTION:
        return NM_TOLERANCE_TIME;
    case NM_PARAM_OVERHANG:
        return NM_TOLERANCE_OVERHANG;
    case NM_PARAM_LATERAL_SPEED:
        return NM_TOLERANCE_LATERAL;
    default:
        return NM_TOLERANCE_SPEED;
    }
}

// What is known of one scene, as far as the kind needs it. Moments are steps with fractions; NAN = not seen.
typedef struct nm_findings {
    float moment;                 // that the parameters are of
    float seen;                   // from which on there is something to react to
    float pet;                    // s
    float speed;                  // m/s of the adversary
    float overhang, duration;     // m, s
    float overhung;               // m, when a contact cut it off
    float reveal, revealed_speed; // m, m/s
    float lateral;                // m/s
    float braking;                // m/s^2
    float warning;                // s
} nm_findings;

static uint32_t from_step(const nm_sight *sight, uint32_t back) {
    return sight->anchor - sight->lo > back ? sight->anchor - back : sight->lo;
}

static uint32_t to_step(const nm_sight *sight, uint32_t on) {
    return sight->hi - sight->anchor > on ? sight->anchor + on : sight->hi;
}

// The same of all of the event.
static uint32_t from_event(const nm_sight *sight, const nm_event *event) {
    const uint32_t first = event->first_step > LOOK_BACK ? event->first_step - LOOK_BACK : 0;
    const uint32_t from = from_step(sight, LOOK_BACK);
    return first > from ? from : first > sight->lo ? first : sight->lo;
}

static uint32_t to_event(const nm_sight *sight, const nm_event *event) {
    const uint32_t to = to_step(sight, LOOK_ON);
    const uint32_t last = event->last_step < sight->hi ? event->last_step + LOOK_ON : sight->hi;
    return last < to ? to : last < sight->hi ? last : sight->hi;
}

// Where a value that was `before` at step t - 1 and is `now` at t passes 0.
static float zero_between(uint32_t t, float before, float now) {
    return before == now ? (float)t : (float)t - 1 + nm_clampf(before / (before - now), 0, 1);
}

// m between the bumpers along the way; the ego lies along it.
static float gap_at(const nm_sight *sight, const nm_trace_point *other, float moment) {
    const nm_trace_point ego = nm_trace_at(sight, sight->ego, moment), they = nm_trace_at(sight, other, moment);
    return fabsf(they.s - ego.s) - they.along - ego.along;
}

static float along_at(const nm_sight *sight, const nm_trace_point *trace, float moment) {
    const nm_trace_point point = nm_trace_at(sight, trace, moment);
    return point.v * point.turn_c;
}

// --- braking ---------------------------------------------------------------------------------------------------------

// The step of the hardest braking in [from, to], and how hard.
static uint32_t hardest(const nm_sight *sight, uint32_t track, const nm_trace_point *trace, uint32_t from, uint32_t to,
                        float *most) {
    uint32_t best = from;
    *most = 0;
    for (uint32_t t = from; t <= to; t++) {
        const float now = nm_trace_braking(sight, track, trace, t);
        if (now <= *most) continue;
        *most = now;
        best = t;
    }
    return best;
}

// When the braking that is hardest at `step` sets in: passes half of what it comes to.
static float braking_sets_in(const nm_sight *sight, uint32_t track, const nm_trace_point *trace, uint32_t step,
                             float most) {
    float now = most;
    for (uint32_t t = step; t > sight->lo; t--) {
        const float before = nm_trace_braking(sight, track, trace, t - 1);
        if (before < 0.5f * most) return zero_between(t, before - 0.5f * most, now - 0.5f * most);
        now = before;
    }
    return NAN; // it brakes from the start
}

// When the adversary begins to brake in [from, to]; at the contact when it does not before.
static float adversary_brakes(const nm_sight *sight, uint32_t from, uint32_t to, float *most) {
    const uint32_t step = hardest(sight, sight->roles.adversary, sight->adversary, from, to, most);
    if (*most >= BRAKES) return braking_sets_in(sight, sight->roles.adversary, sight->adversary, step, *most);
    return sight->contact ? (float)sight->hi : NAN;
}

// When the ego's speed departs from what it was at `from`, by the line through its first changes; NAN when it does not.
static float departs(const nm_sight *sight, uint32_t from) {
    const nm_trace_point *ego = sight->ego;
    const float was = ego[from - sight->lo].v;
    for (uint32_t t = from + 1; t <= sight->hi; t++) {
        const float off = fabsf(ego[t - sight->lo].v - was), before = fabsf(ego[t - 1 - sight->lo].v - was);
        if (off < DEPARTED) continue;
        const float rate = nm_maxf(off - before, 0.02f);
        return nm_maxf((float)t - off / rate, (float)from);
    }
    return NAN;
}

// From `moment` on it keeps its velocity for so long, s; NAN where it did not keep it before, or to the end.
static float reaction_after(const nm_sight *sight, float moment) {
    if (isnan(moment)) return NAN;
    const uint32_t step = (uint32_t)nm_maxf(moment, 0);
    if (step < sight->lo + STEADY_STEPS || step >= sight->hi) return NAN;
    const nm_trace_point *ego = &sight->ego[step - sight->lo];
    if (fabsf(ego[0].v - ego[-(int)STEADY_STEPS].v) > STEADY) return NAN;
    const float departed = departs(sight, step);
    return isnan(departed) ? NAN : nm_maxf((departed - moment) * DT, 0);
}

// When the ego begins to brake for what is before it; NAN when it does not.
static float ego_brakes(const nm_sight *sight, uint32_t from, uint32_t to) {
    float most;
    uint32_t step = hardest(sight, sight->roles.ego, sight->ego, from, to, &most);
    if (most < EGO_BRAKES) return NAN;
    while (step > sight->lo && nm_trace_braking(sight, sight->roles.ego, sight->ego, step - 1) > 0.25f) step--;
    const uint32_t quiet = step > sight->lo + 1 ? step - 1 : sight->lo;
    return departs(sight, quiet);
}

// --- sideways --------------------------------------------------------------------------------------------------------

// What it comes to before the contact: the steepest of lines through 0.4 s, which are gentler than what they smooth.
static float sideways_reached(const nm_sight *sight) {
    float most = NAN;
    const uint32_t track = sight->roles.adversary;
    for (uint32_t t = from_step(sight, LOOK_BACK); t <= sight->hi; t++) {
        const float now = fabsf(nm_sight_drifting(sight, track, sight->adversary, t));
        if (!isnan(now) && !(now <= most)) most = now;
    }
    return most;
}

// The largest sideways speed around the anchor; NAN when a contact cuts it off while it still grows.
static float largest_sideways(const nm_sight *sight) {
    float most = NAN;
    uint32_t best = 0;
    const uint32_t last = to_step(sight, LOOK_ON);
    for (uint32_t t = from_step(sight, LOOK_BACK); t <= last; t++) {
        const float now = fabsf(nm_sight_sideways(sight, sight->roles.adversary, sight->adversary, t));
        if (isnan(now) || now <= most) continue;
        most = now;
        best = t;
    }
    return sight->contact && best + 5 >= sight->hi ? NAN : most;
}

// m by which the adversary reaches over the border of the ego's lane on `side` (+1 left); NAN without a lane.
static float reach_over(const nm_sight *sight, uint32_t step, float side) {
    const nm_trace_point *point = &sight->adversary[step - sight->lo];
    float left, right;
    if (!nm_sight_borders(sight, point->s, &left, &right)) return NAN;
    return side > 0 ? left - (point->d - point->across) : right - (-point->d - point->across);
}

// Where the adversary was before the moment: +1 left of the ego's way.
static float side_before(const nm_sight *sight, uint32_t step) {
    return sight->adversary[step - sight->lo].d > 0 ? 1.0f : -1.0f;
}

// cut_in, merge_conflict: when the adversary's box reaches over the border; and when its middle does.
static float enters_lane(const nm_sight *sight, float *crosses) {
    const uint32_t first = from_step(sight, LOOK_BACK), last = to_step(sight, 15);
    const float side = side_before(sight, from_step(sight, 20));
    float now = reach_over(sight, last, side), middle_now = now - sight->adversary[last - sight->lo].across;
    *crosses = NAN;
    for (uint32_t t = last; t > first; t--) {
        const float before = reach_over(sight, t - 1, side);
        const float middle_before = before - sight->adversary[t - 1 - sight->lo].across;
        if (middle_before < 0 && middle_now >= 0) *crosses = zero_between(t, middle_before, middle_now);
        if (before <= 0 && now > 0) return zero_between(t, before, now);
        now = before;
        middle_now = middle_before;
    }
    return NAN;
}

static float braking_after(const nm_sight *sight, float crosses) {
    float most;
    if (isnan(crosses)) return NAN;
    const uint32_t first = (uint32_t)(crosses + 0.5f);
    if (first + SHOWN > sight->hi) return NAN; // over before it could show
    const uint32_t last = sight->hi - first > LOOK_ON ? first + LOOK_ON : sight->hi;
    hardest(sight, sight->roles.adversary, sight->adversary, first, last, &most);
    return most;
}

static void find_cut_in(const nm_sight *sight, nm_findings *f) {
    float crosses;
    f->moment = enters_lane(sight, &crosses);
    if (isnan(crosses)) { // the middle may come over later than was looked for the box
        const uint32_t last = to_step(sight, LOOK_ON);
        const float side = side_before(sight, from_step(sight, 20));
        for (uint32_t t = to_step(sight, 15) + 1; t <= last && isnan(crosses); t++)
            if (reach_over(sight, t, side) >= sight->adversary[t - sight->lo].across) crosses = (float)t;
    }
    f->braking = braking_after(sight, crosses);
}

// Begins to leave, has left, and what is behind it then.
static void find_cut_out(const nm_sight *sight, nm_findings *f) {
    const nm_trace_point *trace = sight->adversary;
    const uint32_t first = from_step(sight, LOOK_BACK), last = to_step(sight, LOOK_ON);
    const float side = side_before(sight, to_step(sight, 10));
    float now = -reach_over(sight, last, side);
    f->seen = NAN;
    for (uint32_t t = last; t > first && isnan(f->seen); t--) {
        const float before = -reach_over(sight, t - 1, side);
        if (before <= 0 && now > 0) f->seen = zero_between(t, before, now);
        now = before;
    }
    if (isnan(f->seen)) return;
    const float left = f->seen;
    const nm_trace_point own = nm_trace_at(sight, trace, left), slow = nm_trace_at(sight, sight->other, left);
    f->reveal = slow.s - own.s - slow.along - own.along;
    f->revealed_speed = fabsf(slow.v);
    uint32_t begin = (uint32_t)left;
    while (begin > sight->lo && side * (trace[begin - sight->lo].d - trace[begin - 1 - sight->lo].d) > SIDE_QUIET)
        begin--;
    const float from = trace[begin - sight->lo].d;
    for (uint32_t t = begin + 1; t <= last; t++) {
        const float moved = side * (trace[t - sight->lo].d - from) - SIDE_STARTS;
        if (moved < 0) continue;
        f->moment = zero_between(t, side * (trace[t - 1 - sight->lo].d - from) - SIDE_STARTS, moved);
        return;
    }
}

static void find_drift(const nm_sight *sight, nm_findings *f) {
    const uint32_t first = from_step(sight, LOOK_BACK), last = to_step(sight, LOOK_ON);
    const float side = side_before(sight, first);
    uint32_t peak = first;
    float most = -INFINITY;
    for (uint32_t t = from_step(sight, 20); t <= to_step(sight, 20); t++) {
        const float now = reach_over(sight, t, side);
        if (!(now > most)) continue;
        most = now;
        peak = t;
    }
    if (!(most > 0)) return;
    f->moment = (float)peak;
    if (!sight->contact || peak + 1 < sight->hi)
        f->overhang = most;
    else
        f->overhung = most;
    float begin = NAN, end = NAN, now = most;
    for (uint32_t t = peak; t > first && isnan(begin); t--) {
        const float before = reach_over(sight, t - 1, side);
        if (before <= 0) begin = zero_between(t, before, now);
        now = before;
    }
    now = most;
    for (uint32_t t = peak + 1; t <= last && isnan(end); t++) {
        const float then = reach_over(sight, t, side);
        if (then <= 0) end = zero_between(t, now, then);
        now = then;
    }
    f->duration = (end - begin) * DT;
}

// head_on: when it has come back a little from where it strayed to; at the contact when it does not before.
static void find_return(const nm_sight *sight, nm_findings *f) {
    const uint32_t last = to_step(sight, LOOK_ON);
    uint32_t furthest = from_step(sight, LOOK_BACK);
    const nm_trace_point *trace = sight->adversary;
    for (uint32_t t = furthest; t <= last; t++)
        if (fabsf(trace[t - sight->lo].d) < fabsf(trace[furthest - sight->lo].d)) furthest = t;
    const float least = fabsf(trace[furthest - sight->lo].d) + GOES_BACK;
    f->moment = sight->contact ? (float)sight->hi : NAN;
    for (uint32_t t = furthest + 1; t <= last; t++) {
        const float now = fabsf(trace[t - sight->lo].d) - least;
        if (now < 0) continue;
        f->moment = zero_between(t, fabsf(trace[t - 1 - sight->lo].d) - least, now);
        break;
    }
    if (!isnan(f->moment)) f->speed = nm_trace_at(sight, trace, f->moment).v;
}

// --- ways that cross -------------------------------------------------------------------------------------------------

// Where a box first reaches into the strip that the ego drives over, m along the way; INFINITY when it does not.
static float into_strip(const nm_trace_point *point, float length, float width, float half) {
    const float c = point->turn_c, s = point->turn_s, l = 0.5f * length, w = 0.5f * width;
    const float along[4] = {l, l, -l, -l}, aside[4] = {w, -w, -w, w};
    float first = INFINITY;
    for (int i = 0; i < 4; i++) {
        const int k = (i + 1) % 4;
        const float s0 = point->s + along[i] * c - aside[i] * s, d0 = point->d + along[i] * s + aside[i] * c;
        const float s1 = point->s + along[k] * c - aside[k] * s, d1 = point->d + along[k] * s + aside[k] * c;
        if (fabsf(d0) <= half) first = nm_minf(first, s0);
        for (int edge = -1; edge <= 1; edge += 2) {
            const float to0 = d0 - (float)edge * half, to1 = d1 - (float)edge * half;
            if (to0 * to1 < 0) first = nm_minf(first, s0 + (s1 - s0) * to0 / (to0 - to1));
        }
    }
    return first;
}

// Outside of the strip, m; negative within.
static float off_strip(const nm_sight *sight, const nm_trace_point *point) {
    return fabsf(point->d) - point->across - 0.5f * sight->ego_width;
}

// The adversary on the ego's strip: from when to when (steps), and where along the way.
typedef struct nm_passage {
    float enters, leaves;
    float s; // m, the nearest of it
    float speed;
} nm_passage;

// Goes on from the sight's end as it would have without a contact, until it has left.
static void pass_on(const nm_sight *sight, nm_passage *passage) {
    const nm_track *info = &sight->scene->tracks[sight->roles.adversary];
    nm_going_on going;
    uint32_t hint = sight->way.last;
    float before = off_strip(sight, &sight->adversary[sight->hi - sight->lo]);
    nm_go_on_from(sight, sight->roles.adversary, sight->hi, &going);
    nm_sight_hint(sight, sight->adversary[sight->hi - sight->lo].s, &hint);
    for (uint32_t i = 1; i <= PREDICT; i++) {
        nm_go_on(sight, &going);
        const nm_trace_point point = nm_sight_point(sight, &going.box, &hint);
        const float now = off_strip(sight, &point);
        if (isnan(passage->enters) && now < 0) passage->enters = zero_between(sight->hi + i, before, now);
        if (!isnan(passage->enters) && now >= 0) {
            passage->leaves = zero_between(sight->hi + i, before, now);
            return;
        }
        before = now;
        passage->s = nm_minf(passage->s, into_strip(&point, info->length, info->width, 0.5f * sight->ego_width));
    }
}

// The passage nearest to the anchor; 0 when there is none.
static int find_passage(const nm_sight *sight, nm_passage *passage) {
    const nm_track *info = &sight->scene->tracks[sight->roles.adversary];
    const nm_trace_point *trace = sight->adversary;
    uint32_t on = NM_NONE;
    *passage = (nm_passage){NAN, NAN, INFINITY, 0};
    for (uint32_t t = sight->anchor; t <= sight->hi && on == NM_NONE; t++)
        if (off_strip(sight, &trace[t - sight->lo]) < 0) on = t;
    for (uint32_t t = sight->anchor; t > sight->lo && on == NM_NONE; t--)
        if (off_strip(sight, &trace[t - 1 - sight->lo]) < 0) on = t - 1;
    if (on == NM_NONE) {
        if (sight->contact) pass_on(sight, passage);
        return !isnan(passage->leaves);
    }
    uint32_t first = on, last = on;
    while (first > sight->lo && off_strip(sight, &trace[first - 1 - sight->lo]) < 0) first--;
    while (last < sight->hi && off_strip(sight, &trace[last + 1 - sight->lo]) < 0) last++;
    passage->enters = first == sight->lo ? (float)first
                                         : zero_between(first, off_strip(sight, &trace[first - 1 - sight->lo]),
                                                        off_strip(sight, &trace[first - sight->lo]));
    for (uint32_t t = first; t <= last; t++) {
        const nm_trace_point *point = &trace[t - sight->lo];
        passage->s = nm_minf(passage->s, into_strip(point, info->length, info->width, 0.5f * sight->ego_width));
        passage->speed = nm_maxf(passage->speed, point->v);
    }
    if (last < sight->hi)
        passage->leaves = zero_between(last + 1, off_strip(sight, &trace[last - sight->lo]),
                                       off_strip(sight, &trace[last + 1 - sight->lo]));
    else
        pass_on(sight, passage);
    return !isnan(passage->leaves);
}

// When the ego's front comes to s, had it kept the velocity that it had when it began to brake for what happens around
// `around`; NAN when it stood.
static float ego_comes(const nm_sight *sight, float s, float around) {
    const nm_trace_point *ego = sight->ego;
    uint32_t reaches = sight->lo, first = sight->lo;
    while (reaches < sight->hi && ego[reaches - sight->lo].s + ego[reaches - sight->lo].along < s) reaches++;
    const int gets_there = ego[reaches - sight->lo].s + ego[reaches - sight->lo].along >= s;
    if (around > (float)(sight->lo + EGO_TURNS)) first = (uint32_t)nm_minf(around, (float)reaches) - EGO_TURNS;
    if ((int32_t)first < (int32_t)sight->lo) first = sight->lo;
    const float brakes = ego_brakes(sight, first, reaches);
    if (isnan(brakes) && gets_there) {
        if (reaches == sight->lo) return NAN; // past it all the time
        const nm_trace_point *now = &ego[reaches - sight->lo], *before = now - 1;
        return zero_between(reaches, before->s + before->along - s, now->s + now->along - s);
    }
    const float from = isnan(brakes) ? (float)sight->hi : brakes;
    const nm_trace_point at = nm_trace_at(sight, ego, from);
    return at.v > 0.5f ? from + (s - at.s - at.along) / (at.v * DT) : NAN;
}

// When its front really came there, steps; INFINITY when it did not while it was seen.
static float ego_came(const nm_sight *sight, float s) {
    const nm_trace_point *ego = sight->ego;
    for (uint32_t t = sight->lo + 1; t <= sight->hi; t++) {
        const nm_trace_point *now = &ego[t - sight->lo], *before = now - 1;
        if (before->s + before->along < s && now->s + now->along >= s)
            return zero_between(t, before->s + before->along - s, now->s + now->along - s);
    }
    return INFINITY;
}

static void find_crossing(const nm_sight *sight, nm_findings *f) {
    nm_passage passage;
    if (!find_passage(sight, &passage)) return;
    const float comes = ego_comes(sight, passage.s, passage.leaves);
    f->seen = passage.enters;
    f->speed = passage.speed > 0 ? passage.speed : NAN;
    f->pet = (comes - passage.leaves) * DT;
    f->moment = isnan(comes) ? passage.leaves : nm_minf(comes, passage.leaves);
}

static void find_u_turn(const nm_sight *sight, nm_findings *f) {
    const nm_trace_point *trace = sight->adversary;
    find_crossing(sight, f);
    uint32_t t = nm_clampf(f->seen, (float)sight->lo, (float)sight->hi) > 0
                     ? (uint32_t)nm_clampf(f->seen, (float)sight->lo, (float)sight->hi)
                     : sight->anchor;
    while (t > sight->lo && trace[t - sight->lo].v > SETS_OFF) t--;
    f->seen = t > sight->lo ? (float)t : NAN;
}

// right_turn_conflict: when the adversary's box no longer reaches over the border that it came across. The event is
// most critical when the ego has come near, which may be long after that.
static void find_right_turn(const nm_sight *sight, const nm_event *event, nm_findings *f) {
    nm_going_on going;
    nm_trace_point point = {0};
    uint32_t hint = 0, t = from_event(sight, event);
    float before = NAN, left, right;
    const float side = -1.0f;
    nm_passage passage;
    f->seen = find_passage(sight, &passage) || !isnan(passage.enters) ? passage.enters : NAN;
    for (uint32_t i = 0; i < PREDICT + 2 * LOOK_BACK; i++, t++) {
        if (t <= sight->hi) {
            point = sight->adversary[t - sight->lo];
            f->speed = isnan(f->speed) ? point.v : nm_maxf(f->speed, point.v);
        } else if (!sight->contact) {
            return;
        } else {
            if (t == sight->hi + 1) {
                nm_go_on_from(sight, sight->roles.adversary, sight->hi, &going);
                nm_sight_hint(sight, point.s, &hint);
            }
            nm_go_on(sight, &going);
            point = nm_sight_point(sight, &going.box, &hint);
        }
        if (!nm_sight_borders(sight, point.s, &left, &right)) continue;
        const float within = right + side * -point.d - point.across; // of the right border
        if (within >= 0 && point.turn_c > 0.8f) {
            if (isnan(before)) return; // it was in the lane from the start
            f->moment = before < 0 ? zero_between(t, before, within) : (float)t;
            const float comes = ego_comes(sight, point.s - point.along, f->moment);
            f->pet = (comes - f->moment) * DT;
            return;
        }
        before = within;
    }
}

// parked_pull_out: when it gets in the ego's way.
static void find_pull_out(const nm_sight *sight, nm_findings *f) {
    nm_passage passage;
    find_passage(sight, &passage);
    f->moment = f->seen = passage.enters;
}

// --- along the lane --------------------------------------------------------------------------------------------------

// lead_stopped, blocked_lane: when the ego begins to brake for it.
static void find_standing(const nm_sight *sight, nm_findings *f) {
    f->moment = ego_brakes(sight, from_step(sight, LOOK_BACK), to_step(sight, LOOK_ON));
    if (isnan(f->moment)) return;
    f->warning = gap_at(sight, sight->adversary, f->moment) / nm_maxf(along_at(sight, sight->ego, f->moment), 0.1f);
}

static float mean_headway(const nm_sight *sight, const nm_event *event) {
    float sum = 0;
    uint32_t count = 0;
    for (uint32_t t = event->first_step; t <= event->last_step; t++) {
        if (t < sight->lo || t > sight->hi) continue;
        sum += gap_at(sight, sight->adversary, (float)t) / nm_maxf(along_at(sight, sight->adversary, (float)t), 0.1f);
        count++;
    }
    return count ? sum / (float)count : NAN;
}

// --- all of it -------------------------------------------------------------------------------------------------------

static void find(const nm_sight *sight, const nm_event *event, nm_findings *f) {
    *f = (nm_findings){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    switch (event->kind) {
    case NM_KIND_CUT_IN:
    case NM_KIND_MERGE_CONFLICT:
        find_cut_in(sight, f);
        break;
    case NM_KIND_CUT_OUT:
        find_cut_out(sight, f);
        break;
    case NM_KIND_HARD_BRAKE:
    case NM_KIND_CHAIN_BRAKE:
    case NM_KIND_REAR_END:
        f->moment = f->seen =
            adversary_brakes(sight, from_step(sight, LOOK_BACK), to_step(sight, LOOK_ON), &f->braking);
        break;
    case NM_KIND_WRONG_WAY: // the event may begin, and be as critical as ever, long before it brakes
        f->moment = adversary_brakes(sight, from_event(sight, event), to_event(sight, event), &f->braking);
        if (!isnan(f->moment)) f->speed = nm_trace_at(sight, sight->adversary, f->moment).v;
        break;
    case NM_KIND_HEAD_ON:
        find_return(sight, f);
        break;
    case NM_KIND_LANE_DRIFT:
        find_drift(sight, f);
        break;
    case NM_KIND_LEAD_STOPPED:
    case NM_KIND_BLOCKED_LANE:
        find_standing(sight, f);
        break;
    case NM_KIND_PARKED_PULL_OUT:
        find_pull_out(sight, f);
        break;
    case NM_KIND_SUDDEN_U_TURN:
        find_u_turn(sight, f);
        break;
    case NM_KIND_RIGHT_TURN_CONFLICT:
        find_right_turn(sight, event, f);
        break;
    case NM_KIND_TAILGATE:
        f->moment = (float)sight->anchor;
        break;
    default:
        find_crossing(sight, f);
        break;
    }
}

// m/s at which the two come together along the way: whoever is behind gains on the other.
static float closing_at(const nm_sight *sight, float moment) {
    const nm_trace_point ego = nm_trace_at(sight, sight->ego, moment);
    const nm_trace_point they = nm_trace_at(sight, sight->adversary, moment);
    const float faster = ego.v * ego.turn_c - they.v * they.turn_c;
    return they.s > ego.s ? faster : -faster;
}

static float value_of(const nm_sight *sight, const nm_event *event, const nm_findings *f, nm_kind_param_id id) {
    const int seen = !isnan(f->moment);
    switch (id) {
    case NM_PARAM_GAP:
        return seen ? gap_at(sight, sight->adversary, f->moment) : NAN;
    case NM_PARAM_CLOSING:
        return seen ? closing_at(sight, f->moment) : NAN;
    case NM_PARAM_HEADWAY:
        if (event->kind == NM_KIND_TAILGATE) return mean_headway(sight, event);
        return seen ? gap_at(sight, sight->adversary, f->moment) / nm_maxf(along_at(sight, sight->ego, f->moment), 0.1f)
                    : NAN;
    case NM_PARAM_BRAKE_TTC:
        return seen ? nm_maxf(gap_at(sight, sight->adversary, f->moment), 0) /
                          nm_maxf(closing_at(sight, f->moment), 0.1f)
                    : NAN;
    case NM_PARAM_LATERAL_SPEED:
        return largest_sideways(sight);
    case NM_PARAM_BRAKING:
    case NM_PARAM_DECELERATION:
        return f->braking;
    case NM_PARAM_REVEAL:
        return f->reveal;
    case NM_PARAM_REVEALED_SPEED:
        return f->revealed_speed;
    case NM_PARAM_WARNING:
        return f->warning;
    case NM_PARAM_OVERHANG:
        return f->overhang;
    case NM_PARAM_DURATION:
        return f->duration;
    case NM_PARAM_SPEED:
        return f->speed;
    case NM_PARAM_PREDICTED_PET:
        return f->pet;
    case NM_PARAM_REACTION:
        return reaction_after(sight, f->seen);
    default:
        return NAN;
    }
}

float nm_kind_encroachment(const nm_scene *scene, nm_kind kind, const nm_kind_roles *roles, uint32_t step) {
    nm_sight sight;
    nm_passage passage;
    const int at = nm_kind_param_index(kind, NM_PARAM_PREDICTED_PET);
    if (at < 0 || kind == NM_KIND_RIGHT_TURN_CONFLICT) return INFINITY;
    if (!nm_sight_of(scene, roles, roles->adversary, step, &sight) || sight.contact) return INFINITY;
    if (!find_passage(&sight, &passage) || passage.leaves > (float)sight.hi) return INFINITY;
    return nm_maxf((ego_came(&sight, passage.s) - passage.leaves) * DT, 0);
}

uint32_t nm_kind_danger(nm_kind kind, const nm_kind_roles *roles) {
    return kind == NM_KIND_CUT_OUT && roles->other != NM_NONE ? roles->other : roles->adversary;
}

void nm_kind_reached(const nm_scene *scene, const nm_event *event, const nm_kind_roles *roles,
                     float value[NM_KIND_MAX_PARAMS]) {
    const nm_kind_spec *spec = nm_kind_spec_of(event->kind);
    nm_sight sight;
    nm_findings f;
    for (size_t i = 0; i < NM_KIND_MAX_PARAMS; i++) value[i] = NAN;
    if (!nm_sight_of(scene, roles, nm_kind_danger(event->kind, roles), event->critical_step, &sight) || !sight.contact)
        return;
    find(&sight, event, &f);
    for (size_t i = 0; i < spec->param_count; i++) {
        if (spec->params[i].id == NM_PARAM_OVERHANG) value[i] = f.overhung;
        if (spec->params[i].id == NM_PARAM_LATERAL_SPEED) value[i] = sideways_reached(&sight);
    }
}

void nm_kind_measure(const nm_scene *scene, const nm_event *event, const nm_kind_roles *roles,
                     float value[NM_KIND_MAX_PARAMS], uint32_t *step) {
    const nm_kind_spec *spec = nm_kind_spec_of(event->kind);
    nm_sight sight;
    nm_findings f;
    for (size_t i = 0; i < NM_KIND_MAX_PARAMS; i++) value[i] = NAN;
    if (step) *step = event->critical_step;
    const int there = nm_sight_of(scene, roles, nm_kind_danger(event->kind, roles), event->critical_step, &sight);
    if (there) find(&sight, event, &f);
    if (there && step && !isnan(f.moment))
        *step = (uint32_t)nm_clampf(f.moment + 0.5f, 0, (float)scene->step_count - 1);
    for (size_t i = 0; i < spec->param_count; i++) {
        if (spec->params[i].id == NM_PARAM_EGO_SPEED) {
            const size_t at = nm_scene_at(scene, roles->ego, scene->tracks[roles->ego].first_step);
            value[i] = nm_hypotf(scene->vx[at], scene->vy[at]);
        } else if (there) {
            value[i] = value_of(&sight, event, &f, spec->params[i].id);
        }
    }
}
