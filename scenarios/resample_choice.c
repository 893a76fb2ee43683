// Candidates: the bare manoeuvre of the kind, varied in all that it leaves free.
#include <math.h>
#include <string.h>

#include "scenarios/resample_internal.h"

#define VALUE_SPREAD 0.05f  // of a parameter's range, around what is wanted
#define TIME_SPREAD 0.6f    // s by which the conflict may come sooner or later
#define LEAST_SECONDS 1.8f  // s to it
#define LEAST_TURNED 3.0f   // ... where the adversary has a longer way
#define LEAST_STRAIGHT 3.4f // ... where the detector looks at how it drove before, for 3 s
#define PACE_SPREAD 1.2f    // m/s by which the adversary starts faster or slower than it will be
#define PACE_SHARE 0.08f    // of its speed, at most
#define WALK_SHARE 0.05f    // of those on foot and on bicycles
#define ASIDE_SPREAD 0.15f  // m off the middle of its way
#define LATER_SPREAD 0.4f   // m/s^2 after the conflict
#define LATER_AFTER 12u     // steps after it, for ...
#define LATER_STEPS 20u     // ... so long
#define SETTLED 8u          // steps below which nothing before the conflict is varied
#define HARDEST_BRAKE 9.6f  // m/s^2
#define HARDEST_START 4.0f  // m/s^2 of speeding up
#define SHARPEST 0.25f      // 1/m of a bend that a vehicle takes
#define MOST_ACROSS 8.0f    // m/s^2
#define STAYS 25u           // steps after the conflict for which it has to be on its way
#define FOLLOWS_AFTER 3.0f  // s after which who drives along has come to its place

nm_habit nm_habit_of(const nm_kind_ranges *ranges) {
    const nm_kind kind = ranges->kind;
    const unsigned needs = nm_kind_spec_of(kind)->needs;
    const unsigned crossing =
        NM_NEED_CROSSING_LANE | NM_NEED_LEFT_TURN | NM_NEED_RIGHT_TURN | NM_NEED_SIGNAL | NM_NEED_STREET;
    nm_habit habit = {
        .moves = 1, .recorded = 1, .later = 0, .crosses = (needs & crossing) != 0, .least = LEAST_SECONDS};
    if (kind == NM_KIND_RED_LIGHT_RUNNER || kind == NM_KIND_SUDDEN_U_TURN) habit.least = LEAST_TURNED;
    if (kind == NM_KIND_LANE_DRIFT) {
        habit.least = LEAST_STRAIGHT;
        habit.recorded = ranges->severity == NM_SEVERITY_NEAR_MISS; // it takes a truck to reach into the ego
    }
    switch (kind) {
    case NM_KIND_LEAD_STOPPED:
    case NM_KIND_BLOCKED_LANE:
    case NM_KIND_SUDDEN_U_TURN:
        habit.moves = habit.recorded = 0;
        break;
    case NM_KIND_PARKED_PULL_OUT:
        habit.moves = habit.recorded = habit.crosses = 0; // along the ego's way
        break;
    case NM_KIND_PEDESTRIAN_CROSSING:
    case NM_KIND_CYCLIST_CROSSING:
    case NM_KIND_OCCLUDED_PEDESTRIAN:
        habit.recorded = 0;
        habit.later = 1;
        break;
    case NM_KIND_CUT_IN:
    case NM_KIND_MERGE_CONFLICT:
    case NM_KIND_CUT_OUT:
    case NM_KIND_HEAD_ON:
    case NM_KIND_RED_LIGHT_RUNNER:
    case NM_KIND_CROSSING_CONFLICT:
    case NM_KIND_UNPROTECTED_LEFT_TURN:
        habit.later = 1;
        break;
    default:
        break;
    }
    return habit;
}

static int on_foot_or_bicycle(const nm_attempt *a) {
    return !nm_agent_type_vehicle(a->adversary_type);
}

void nm_choice_draw(const nm_drawing *d, uint32_t i, nm_choice *choice) {
    const nm_attempt *a = &d->a;
    const uint32_t base = 1000 + (d->round * NM_CHOICES + i) * 8;
    float random[16];
    for (uint32_t k = 0; k < 4; k++) nm_rng_normal4(&d->key, base + k, random + 4 * k);
    memset(choice, 0, sizeof *choice);
    // what is asked for is met as it was drawn, give or take this spread: it is wanted, and needs no weight
    for (size_t k = 0; k < a->spec->param_count; k++) {
        const nm_kind_range *range = &a->request->ranges.range[k];
        const nm_kind_param_id id = a->spec->params[k].id;
        choice->value[k] = a->value[k];
        if (id == NM_PARAM_EGO_SPEED || id == NM_PARAM_MIN_TTC || id == NM_PARAM_REACTION) continue;
        choice->value[k] += VALUE_SPREAD * (range->high - range->low) * random[k];
        // mirrored at the ends: cut off, they would pile up there
        if (choice->value[k] < range->low) choice->value[k] = 2 * range->low - choice->value[k];
        if (choice->value[k] > range->high) choice->value[k] = 2 * range->high - choice->value[k];
        choice->value[k] = nm_clampf(choice->value[k], range->low, range->high);
    }
    choice->seconds = a->seconds + TIME_SPREAD * (2 * nm_rng_uniform(&d->key, base + 4) - 1);
    choice->seconds = nm_maxf(choice->seconds, nm_minf(a->seconds, d->habit.least));
    if (d->habit.moves) {
        choice->pace = random[8]; // in deviations: what they are depends on the manoeuvre's speed
        choice->lead = random[9];
        choice->aside = ASIDE_SPREAD * random[10];
        if (!d->fixed) choice->proposal -= 0.5f * random[8] * random[8]; // who was recorded has a pace of its own
    }
    if (d->work->expected_count > 0 && (i & 1u)) {
        choice->expected = 1 + nm_rng_below(&d->key, base + 6, d->work->expected_count);
        choice->leaves = 0.2f + 0.5f * nm_rng_uniform(&d->key, base + 7);
    }
    if (d->habit.later) choice->later = LATER_SPREAD * random[11];
    const float share = nm_rng_uniform(&d->key, base + 5);
    float sum = 0, so_far = 0;
    const uint32_t count = d->habit.crosses ? 1 : d->work->likely_count; // see nm_habit
    for (uint32_t k = 0; k < count; k++) sum += d->work->likely[k].weight;
    for (uint32_t k = 0; k < count; k++) {
        so_far += d->work->likely[k].weight;
        if (share * sum >= so_far) continue;
        choice->likely = k;
        break;
    }
}

// Steps before which the adversary's motion is free.
static uint32_t settled(const nm_drawing *d) {
    const nm_attempt *a = &d->a;
    const nm_script *script = &a->work->script[NM_ROLE_ADVERSARY];
    if (a->spec->kind == NM_KIND_TAILGATE) return (uint32_t)(10 * FOLLOWS_AFTER);
    if (a->spec->kind == NM_KIND_HEAD_ON) return a->conflict > 22 ? a->conflict - 22 : 0; // before it strays
    if (!d->habit.crosses) return a->conflict;
    uint32_t t = 0;
    while (t < a->request->steps && script->s[t] + 0.5f * a->length < -1) t++;
    return t;
}

// The quintic that starts with (offset, speed, 0) and ends with nothing.
float nm_fading(float u, float seconds, float offset, float speed, float *slope) {
    const float u2 = u * u, u3 = u2 * u;
    *slope = offset / seconds * (-30 * u2 + 60 * u3 - 30 * u2 * u2) + speed * (1 - 18 * u2 + 32 * u3 - 15 * u2 * u2);
    return offset * (1 - 10 * u3 + 15 * u3 * u - 6 * u3 * u2) +
           speed * seconds * (u - 6 * u3 + 8 * u3 * u - 3 * u3 * u2);
}

// Does as the model expects at first; returns the step at which it begins to do otherwise.
static uint32_t follow(nm_drawing *d, const nm_choice *choice, uint32_t steps) {
    nm_script *script = &d->a.work->script[NM_ROLE_ADVERSARY];
    if (!d->fixed || choice->expected == 0) return 0;
    const nm_expected *expected = &d->work->expected[choice->expected - 1];
    uint32_t from = (uint32_t)(choice->leaves * (float)steps);
    if (from > expected->steps - 1) from = expected->steps - 1;
    for (uint32_t t = 0; t < from; t++) {
        script->s[t] = expected->s[t];
        script->d[t] = expected->d[t];
        script->v[t] = expected->v[t];
    }
    return from;
}

// The way to the bare manoeuvre: from where it was recorded, or from another speed.
static nm_reject approach(nm_drawing *d, const nm_choice *choice) {
    nm_attempt *a = &d->a;
    nm_script *script = &a->work->script[NM_ROLE_ADVERSARY];
    const float direction = script->reversed ? -1.0f : 1.0f;
    const uint32_t steps = settled(d);
    if (steps < SETTLED) return d->fixed ? NM_REJECT_NO_CANDIDATE : NM_REJECT_NONE;
    const uint32_t from = d->led = follow(d, choice, steps);
    const float seconds = (float)(steps - from) * NM_STEP_SECONDS;
    float offset, pace, aside;
    if (from > 0) {
        const nm_expected *expected = &d->work->expected[choice->expected - 1];
        offset = direction * (expected->s[from] - script->s[from]);
        pace = expected->v[from] - script->v[from];
        aside = expected->d[from] - script->d[from];
    } else if (d->fixed) {
        offset = direction * (d->fixed_s - script->s[0]);
        pace = d->fixed_v - script->v[0];
        aside = d->fixed_d - script->d[0];
    } else {
        const float share = on_foot_or_bicycle(a) ? WALK_SHARE : PACE_SHARE;
        pace = choice->pace * nm_minf(PACE_SPREAD, share * script->v[0]);
        offset = -pace * seconds * (0.5f + 0.08f * choice->lead); // half of it: the speed changes evenly
        aside = choice->aside;
    }
    for (uint32_t t = from; t < steps; t++) {
        const float u = (float)(t - from) / (float)(steps - from);
        float faster;
        script->s[t] += direction * nm_fading(u, seconds, offset, pace, &faster);
        script->v[t] += faster;
        script->d[t] += aside * (1 - nm_quintic(u));
    }
    return NM_REJECT_NONE;
}

static void go_on(nm_drawing *d, float later) {
    nm_attempt *a = &d->a;
    nm_script *script = &a->work->script[NM_ROLE_ADVERSARY];
    const uint32_t from = a->conflict + LATER_AFTER;
    float faster = 0, further = 0;
    for (uint32_t t = from; t <= a->request->steps; t++) {
        const float grip =
            nm_quintic((float)(t - from) / 5.0f) - nm_quintic((float)(t - from) / 5.0f - 0.2f * LATER_STEPS);
        const float before = faster;
        if (script->v[t] > 1) faster += later * grip * NM_STEP_SECONDS;
        faster = nm_maxf(faster, -0.8f * script->v[t]);
        further += 0.5f * (faster + before) * NM_STEP_SECONDS;
        script->v[t] += faster;
        script->s[t] += script->reversed ? -further : further;
    }
}

uint32_t nm_script_steps(const nm_script *script, uint32_t steps) {
    const float first = nm_drive_line_first(script->line), last = nm_drive_line_last(script->line);
    uint32_t t = 0;
    while (t <= steps && script->s[t] >= first && script->s[t] <= last) t++;
    return t;
}

static nm_reject check(const nm_drawing *d) {
    const nm_attempt *a = &d->a;
    const nm_script *script = &a->work->script[NM_ROLE_ADVERSARY];
    const uint32_t steps = a->request->steps, count = nm_script_steps(script, steps);
    if (count <= nm_minf((float)(a->conflict + STAYS), (float)steps)) return NM_REJECT_NO_ROOM;
    for (uint32_t t = 1; t < count; t++) {
        const float faster = (script->v[t] - script->v[t - 1]) / NM_STEP_SECONDS;
        if (!(script->v[t] >= 0) || faster < -HARDEST_BRAKE || faster > HARDEST_START) return NM_REJECT_NO_CANDIDATE;
    }
    return NM_REJECT_NONE;
}

nm_reject nm_choice_realise(nm_drawing *d, const nm_choice *choice) {
    nm_attempt *a = &d->a;
    memcpy(a->value, choice->value, sizeof a->value);
    for (size_t i = 0; i < a->spec->param_count; i++) { // as nm_plan_correct aims
        const nm_kind_range *bounds = &a->spec->params[i].bounds;
        const float span = 0.5f * (bounds->high - bounds->low);
        const float least = bounds->low >= 0 ? 0.5f * bounds->low : bounds->low - span;
        a->aim[i] = nm_clampf(a->value[i] - d->bias[i], least, bounds->high + span);
    }
    const float seconds = a->seconds;
    d->led = 0;
    a->seconds = choice->seconds;
    a->work->course = d->work->likely[choice->likely].course;
    nm_reject reject = nm_plan_scripts(a);
    a->seconds = seconds; // the place's own, for the next choice
    if (reject != NM_REJECT_NONE) return reject;
    if (d->habit.moves) reject = approach(d, choice);
    if (reject != NM_REJECT_NONE) return reject;
    if (d->habit.later) go_on(d, choice->later);
    return check(d);
}

int nm_script_across(const nm_script *script, uint32_t count, float *across) {
    int drivable = 1;
    const nm_drive_line *line = script->line;
    for (uint32_t t = 0; t < count; t++) {
        const uint32_t before = t > 1 ? t - 2 : 0, after = t + 2 < count ? t + 2 : count - 1;
        uint32_t point = (uint32_t)nm_clampf(script->s[t] + NM_LINE_BACK, (float)line->first, (float)line->last);
        if (point < line->first + 2) point = line->first + 2;
        if (point + 2 > line->last) point = line->last - 2;
        const float curvature = 0.25f * nm_wrap_angle(line->heading[point + 2] - line->heading[point - 2]);
        float sideways = 0;
        if (after - before == 4) sideways = (script->d[after] - 2 * script->d[t] + script->d[before]) / (0.04f);
        across[t] = curvature * script->v[t] * script->v[t] + sideways;
        if (script->v[t] > 0.5f && (fabsf(curvature) > SHARPEST || fabsf(across[t]) > MOST_ACROSS)) drivable = 0;
    }
    return drivable;
}
