// Further adversaries: the same again with the first one fixed. The ego's response is known now, so candidates are laid
// against what it did.
//
// behind     comes up behind the ego and follows at a short headway: its way is the ego's, later by that headway and
//            shorter by a gap, as Newell has it (2002, "A simplified car-following theory")
// companion  goes the adversary's way across the ego's, a little before or after it
// beside     drives along in a lane beside the ego's, comes close to it and goes back
#include <math.h>
#include <string.h>

#include "scenarios/resample_internal.h"

#define CANDIDATES 48u
#define MORE_DRAWS (1u << 20) // random numbers beyond those of the first adversary
#define PLAYED 5u             // runs for one further adversary
#define COMES_UP 30u          // steps in which one that was recorded gets behind the ego
#define WRECK_BRAKE 8.5f      // m/s^2
#define WRECK_GRIP 25.0f      // m/s^3
#define MILD 2.0f             // m/s^2 that this may take
#define CLOSE 1.0f            // m: deviation of how near a candidate comes to the ego
#define TOUCHES 0.15f         // m that are too near for two who shall not touch
#define HITS_OTHERS 8.0f      // nats
#define REACH 40.0f           // m
#define QUIET 3.1f            // s that who drifts has to drive straight before: the detector looks at 3
#define NARROWEST 2.4f        // m between the middles of two lanes
#define WIDEST 5.5f           // m
#define SPREAD_OF_TIME 2.0f   // s by which a companion may be away from the adversary

typedef enum nm_part { NM_PART_BEHIND = 0, NM_PART_COMPANION, NM_PART_BESIDE, NM_PART_COUNT } nm_part;

typedef struct nm_further {
    nm_part part;
    uint32_t recorded; // track of the base that plays it, or NM_NONE
    uint32_t contact;  // step at which the ego is hit, or NM_NONE
    nm_seen seen;
    float headway, gap;         // s, m: behind; s after the adversary, and m to the side of its way: companion
    float offset, close, ahead; // m: lane beside, sideways way to the ego, and in front of its middle
    float begin, stay;          // s
    float log_weight;
} nm_further;

static void ego_at(const nm_course *course, float time, float *s, float *v) {
    const float step = time / NM_STEP_SECONDS;
    const uint32_t last = course->count - 1;
    if (step <= 0 || step >= (float)last) {
        const uint32_t at = step <= 0 ? 0 : last;
        *v = course->v[at];
        *s = course->s[at] + *v * (time - (float)at * NM_STEP_SECONDS);
        return;
    }
    const uint32_t at = (uint32_t)step;
    const float share = step - (float)at;
    *s = course->s[at] + share * (course->s[at + 1] - course->s[at]);
    *v = course->v[at] + share * (course->v[at + 1] - course->v[at]);
}

// The step at which the ego is hit; NM_NONE when it is not.
static uint32_t contact_step(const nm_case *out) {
    for (size_t i = 0; i < out->event_count; i++) {
        const nm_event *event = &out->events[i];
        if (event->kind == NM_KIND_COLLISION && (event->actor == out->ego || event->other == out->ego))
            return event->critical_step;
    }
    return NM_NONE;
}

// --- what they do ----------------------------------------------------------------------------------------------------

static void script_behind(const nm_attempt *a, const nm_further *f, const nm_extra *extra, nm_script *script) {
    const float halves = 0.5f * (a->ego_length + extra->length);
    *script = (nm_script){.line = &a->work->ego_line};
    for (uint32_t t = 0; t <= a->request->steps; t++) {
        float s, v;
        ego_at(&a->work->course, (float)t * NM_STEP_SECONDS - f->headway, &s, &v);
        script->s[t] = s - halves - f->gap;
        script->v[t] = v;
    }
    if (f->recorded == NM_NONE) return;
    const float offset = f->seen.s - script->s[0], pace = f->seen.v - script->v[0];
    for (uint32_t t = 0; t < COMES_UP; t++) {
        const float u = (float)t / COMES_UP;
        float faster;
        script->s[t] += nm_fading(u, COMES_UP * NM_STEP_SECONDS, offset, pace, &faster);
        script->v[t] += faster;
        script->d[t] = f->seen.d * (1 - nm_quintic(u));
    }
}

static void script_companion(const nm_attempt *a, const nm_further *f, nm_script *script) {
    const nm_script *first = &a->work->script[NM_ROLE_ADVERSARY];
    const float direction = first->reversed ? -1.0f : 1.0f;
    *script = (nm_script){.line = first->line, .reversed = first->reversed};
    for (uint32_t t = 0; t <= a->request->steps; t++) {
        const float step = (float)t - f->headway / NM_STEP_SECONDS;
        const float inside = nm_clampf(step, 0, (float)a->request->steps);
        const uint32_t at = inside >= (float)a->request->steps ? a->request->steps - 1 : (uint32_t)inside;
        const float share = inside - (float)at;
        script->v[t] = first->v[at] + share * (first->v[at + 1] - first->v[at]);
        script->s[t] = first->s[at] + share * (first->s[at + 1] - first->s[at]) +
                       direction * script->v[t] * (step - inside) * NM_STEP_SECONDS;
        script->d[t] = f->gap;
    }
}

static void script_beside(const nm_attempt *a, const nm_further *f, nm_script *script) {
    *script = (nm_script){.line = &a->work->ego_line};
    for (uint32_t t = 0; t <= a->request->steps; t++) {
        const float time = (float)t * NM_STEP_SECONDS;
        float s, v;
        ego_at(&a->work->course, time - f->headway, &s, &v);
        script->s[t] = s + f->ahead;
        script->v[t] = v;
        const float out = nm_quintic((time - f->begin) / f->gap), back = nm_quintic((time - f->stay) / f->gap);
        script->d[t] = f->offset + f->close * (out - back);
    }
}

// The ego is hit and rolls on as if it were not: who follows does not, but brakes at the wreck.
static void brake_at_wreck(const nm_attempt *a, uint32_t contact, nm_script *script) {
    float now = 0;
    for (uint32_t t = contact + 1; t <= a->request->steps; t++) {
        now = nm_minf(now + WRECK_GRIP * NM_STEP_SECONDS, WRECK_BRAKE);
        const float slower = nm_maxf(script->v[t - 1] - now * NM_STEP_SECONDS, 0);
        script->v[t] = nm_minf(script->v[t], slower);
        script->s[t] = script->s[t - 1] + 0.5f * (script->v[t] + script->v[t - 1]) * NM_STEP_SECONDS;
    }
}

static void write_further(const nm_attempt *a, const nm_further *f, const nm_extra *extra, nm_script *script) {
    if (f->part == NM_PART_BEHIND) {
        script_behind(a, f, extra, script);
        if (f->contact != NM_NONE) brake_at_wreck(a, f->contact, script);
    } else if (f->part == NM_PART_COMPANION)
        script_companion(a, f, script);
    else
        script_beside(a, f, script);
}

// --- who they are ----------------------------------------------------------------------------------------------------

// Who was recorded behind the ego and can come up; NM_NONE when nobody.
static uint32_t find_behind(const nm_attempt *a, float s, float v, nm_seen *chosen) {
    uint32_t best = NM_NONE;
    float least = INFINITY;
    for (uint32_t track = 0; track < a->base->track_count; track++) {
        nm_seen seen;
        int taken = 0;
        for (uint32_t i = 0; i < a->taken_count; i++) taken |= a->taken[i] == track;
        if (taken || !nm_cast_see(a, track, &a->work->ego_line, 0, s, &seen) || fabsf(seen.d) > 0.7f) continue;
        // a quintic's largest acceleration, of the way and of the speed that it makes up
        const float seconds = COMES_UP * NM_STEP_SECONDS;
        const float effort = 5.8f * fabsf(seen.s - s + 0.5f * (seen.v - v) * seconds) / (seconds * seconds) +
                             2 * fabsf(seen.v - v) / seconds;
        if (seen.s > s + 2 || effort > MILD || effort >= least) continue;
        least = effort;
        best = track;
        *chosen = seen;
    }
    return best;
}

// m to the middle of the lane on a side of the ego's that runs the same way; 0 when there is none.
static float lane_beside(const nm_attempt *a, int left) {
    const nm_map *map = a->base->map;
    const nm_lane *lane = &map->lanes[a->place.ego_lane];
    const nm_range range = left ? lane->left : lane->right;
    float x, y, heading;
    nm_map_position(map, a->place.ego_lane, a->place.ego_s, 0, &x, &y, &heading);
    for (uint32_t i = 0; i < range.count; i++) {
        const nm_neighbour *neighbour = &map->neighbours[range.first + i];
        if (neighbour->opposite) continue;
        const nm_frenet there = nm_map_project(map, neighbour->lane, x, y);
        const float apart = fabsf(there.d);
        if (fabsf(there.beyond) < 0.5f && apart > NARROWEST && apart < WIDEST) return -there.d;
    }
    return 0;
}

static nm_extra extra_of(const nm_drawing *d, const nm_further *f, uint32_t draw) {
    const nm_attempt *a = &d->a;
    if (f->part == NM_PART_COMPANION) return (nm_extra){a->adversary_type, a->length, a->width};
    if (f->recorded != NM_NONE)
        return (nm_extra){NM_AGENT_CAR, a->base->tracks[f->recorded].length, a->base->tracks[f->recorded].width};
    return (nm_extra){NM_AGENT_CAR, 4.2f + 0.8f * nm_rng_uniform(&d->key, draw), 1.8f};
}

static int has_companions(nm_kind kind) {
    return kind == NM_KIND_PEDESTRIAN_CROSSING || kind == NM_KIND_CYCLIST_CROSSING ||
           kind == NM_KIND_CROSSING_CONFLICT || kind == NM_KIND_RED_LIGHT_RUNNER ||
           kind == NM_KIND_UNPROTECTED_LEFT_TURN;
}

static nm_further draw_further(const nm_drawing *d, const float beside[2], int behind_taken, uint32_t draw) {
    const nm_attempt *a = &d->a;
    nm_further f = {
        .part = NM_PART_BEHIND, .recorded = NM_NONE, .contact = contact_step(a->out), .log_weight = -INFINITY};
    float random[4];
    nm_rng_normal4(&d->key, draw, random);
    const uint32_t side = nm_rng_below(&d->key, draw + 1, 2);
    const float share = nm_rng_uniform(&d->key, draw + 2), second = nm_rng_uniform(&d->key, draw + 3);
    const int walks = !nm_agent_type_vehicle(a->adversary_type);
    f.part = (nm_part)nm_rng_below(&d->key, draw + 4, NM_PART_COUNT);
    switch (f.part) {
    case NM_PART_BEHIND:
        if (behind_taken) f.part = NM_PART_COUNT;
        f.headway = 0.25f + 0.55f * share;
        f.gap = 0.8f + 1.2f * second;
        break;
    case NM_PART_COMPANION:
        if (!has_companions(a->spec->kind)) f.part = NM_PART_COUNT;
        f.headway = SPREAD_OF_TIME * (2 * share - 1);
        f.gap = walks ? 0.7f * random[0] : 0;
        break;
    default:
        f.offset = beside[side];
        if (f.offset == 0) f.part = NM_PART_COUNT;
        f.headway = 0.1f + 0.4f * share;
        f.ahead = 2 * random[0];
        f.gap = 1.2f + 0.4f * second;
        f.close = -f.offset * (0.3f + 0.15f * nm_rng_uniform(&d->key, draw + 5));
        f.begin = QUIET + 0.4f * second;
        f.stay = f.begin + f.gap + 0.2f;
        break;
    }
    return f;
}

// --- weights ---------------------------------------------------------------------------------------------------------

// How near it comes to a track of the last run; circles of `length` around its own.
static float nearest_to(const nm_attempt *a, uint32_t track, const nm_script *script, const nm_extra *extra,
                        uint32_t count) {
    const nm_arrays *take = &a->work->take;
    const nm_track *info = &take->tracks[track];
    float least = REACH;
    for (uint32_t t = 0; t < count; t += NM_COARSE) {
        const size_t at = nm_scene_at(&take->scene, track, t);
        if (!take->valid[at]) continue;
        float x[NM_CIRCLES], y[NM_CIRCLES], other_x[NM_CIRCLES], other_y[NM_CIRCLES];
        nm_circles_put(nm_script_pose(script, t), extra->length, x, y);
        nm_circles_put((nm_pose){take->x[at], take->y[at], take->heading[at]}, info->length, other_x, other_y);
        least = nm_minf(least, nm_circles_apart(x, y, other_x, other_y));
    }
    return least - nm_circles_radius(extra->length, extra->width) - nm_circles_radius(info->length, info->width);
}

static void weigh(nm_drawing *d, nm_further *f, const nm_extra *extra, nm_script *script) {
    nm_attempt *a = &d->a;
    const uint32_t count = nm_script_steps(script, a->request->steps);
    if (count <= a->conflict) return;
    for (uint32_t t = 0; t < count; t++)
        if (!(script->v[t] >= 0)) return;
    if (!nm_script_across(script, count, d->work->across) && nm_agent_type_vehicle(extra->type)) return;
    const float near = nearest_to(a, NM_ROLE_EGO, script, extra, count);
    // what is behind comes no nearer than its gap; sideways the circles reach further than the boxes
    if (f->part == NM_PART_COMPANION && near < TOUCHES) return;
    f->log_weight = nm_motion_plausibility(extra->type, script->v, d->work->across, count);
    f->log_weight -= 0.5f * nm_maxf(near, 0) * nm_maxf(near, 0) / (CLOSE * CLOSE);
    for (uint32_t track = NM_ROLE_ADVERSARY; track < a->tracks; track++)
        if (nearest_to(a, track, script, extra, count) < 0) f->log_weight -= HITS_OTHERS;
}

// --- the search ------------------------------------------------------------------------------------------------------

// Do the detectors see something between the ego and it?
static int endangers(const nm_case *out, uint32_t track) {
    for (size_t i = 0; i < out->event_count; i++) {
        const nm_event *event = &out->events[i];
        if ((event->actor == track && event->other == out->ego) || (event->actor == out->ego && event->other == track))
            return 1;
    }
    return 0;
}

static nm_status try_on_stage(nm_drawing *d, nm_error *error) {
    nm_attempt *a = &d->a;
    nm_world_destroy(a->world);
    a->world = NULL;
    nm_stage_build(a);
    nm_status status = nm_stage_open(a, error);
    if (status == NM_OK) status = nm_resample_play(d, error);
    if (status != NM_OK || a->out->reject != NM_REJECT_NONE) return status;
    int valid;
    status = nm_resample_judge(d, &valid, error);
    for (uint32_t i = 0; i < a->more_count; i++) valid = valid && endangers(a->out, nm_stage_track(a, NM_ROLES + i));
    if (!valid) a->out->reject = NM_REJECT_NO_CANDIDATE;
    return status;
}

// One more. Candidates are drawn without replacement until one is confirmed along with those before it.
static nm_status add_one(nm_drawing *d, const float beside[2], int *behind_taken, nm_error *error) {
    nm_attempt *a = &d->a;
    const uint32_t k = a->more_count, taken = a->taken_count;
    nm_script *script = &a->work->script[NM_ROLES + k];
    nm_further candidates[CANDIDATES];
    float weights[CANDIDATES];
    const uint32_t base = MORE_DRAWS + k * CANDIDATES * 8;
    for (uint32_t i = 0; i < CANDIDATES; i++) {
        nm_further *f = &candidates[i];
        *f = draw_further(d, beside, *behind_taken, base + i * 8);
        weights[i] = -INFINITY;
        if (f->part == NM_PART_COUNT) continue;
        nm_extra extra = extra_of(d, f, base + i * 8 + 6);
        write_further(a, f, &extra, script);
        if (f->part == NM_PART_BEHIND) {
            f->recorded = find_behind(a, script->s[0], script->v[0], &f->seen);
            extra = extra_of(d, f, base + i * 8 + 6);
            write_further(a, f, &extra, script);
        }
        weigh(d, f, &extra, script);
        weights[i] = f->log_weight;
    }
    const nm_course response = a->work->course; // which the candidates are laid against
    a->out->reject = NM_REJECT_NO_CANDIDATE;
    for (uint32_t run = 0; run < PLAYED; run++) {
        const uint32_t best = nm_resample_pick(weights, CANDIDATES, &d->key, MORE_DRAWS - 1000 + k * PLAYED + run);
        if (best == NM_NONE) break;
        weights[best] = -INFINITY;
        const nm_further *f = &candidates[best];
        a->more[k] = extra_of(d, f, base + best * 8 + 6);
        a->work->course = response;
        write_further(a, f, &a->more[k], script);
        a->more_count = k + 1;
        if (f->recorded != NM_NONE) a->taken[a->taken_count++] = f->recorded;
        const nm_status status = try_on_stage(d, error);
        if (status != NM_OK) return status;
        if (a->out->reject == NM_REJECT_NONE) {
            *behind_taken |= f->part == NM_PART_BEHIND;
            return NM_OK;
        }
        a->taken_count = taken; // more_count stays as the take has it, for who looks whom it hit
    }
    return NM_OK;
}

nm_status nm_resample_more(nm_drawing *d, nm_error *error) {
    nm_attempt *a = &d->a;
    nm_case *out = a->out;
    const nm_kind kind = a->spec->kind;
    // somebody is behind the ego in these already
    int behind_taken = kind == NM_KIND_TAILGATE || kind == NM_KIND_REAR_END || kind == NM_KIND_CHAIN_BRAKE;
    const float beside[2] = {lane_beside(a, 0), lane_beside(a, 1)};
    nm_status status = NM_OK;
    while (status == NM_OK && out->reject == NM_REJECT_NONE && a->more_count + 1 < a->request->adversaries)
        status = add_one(d, beside, &behind_taken, error);
    out->more_count = a->more_count;
    for (uint32_t i = 0; i < a->more_count; i++) out->more[i] = nm_stage_track(a, NM_ROLES + i);
    return status;
}
