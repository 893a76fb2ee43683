// The driver of the detectors: the pass, each detector, then measuring, merging and ordering of what they emitted.
//
// Severity, one number to order events by. Each danger is mapped to [0, 1] and the largest counts:
//   time to collision     1 - TTC / 4 s          (1.5 s, the usual critical value, gives 0.63)
//   needed deceleration   DRAC / 8 m/s^2         (8 = full braking on a dry road)
//   encroachment          1 - PET / 3 s
//   headway               (1 - THW / 2 s) / 2    (a short headway alone is never more than half as bad as a conflict)
//   own braking           deceleration / 10 m/s^2
// times 0.8. A collision gets 0.8 + 0.2 * min(1, delta-v / 11.1 m/s) (11.1 m/s = 40 km/h, above which mortality rises),
// so collisions come first. Events without any of these numbers get 0.2.
#include <stdlib.h>
#include <string.h>

#include "scenarios/detect_internal.h"

#define PAIR_RANGE 100.0f // m between centres
#define MERGE_GAP 1.0f    // s between two events of a kind and pair that count as one

nm_event nm_detect_event(nm_kind kind, uint32_t actor, uint32_t other, uint32_t first, uint32_t critical,
                         uint32_t last) {
    nm_event event = {.kind = kind,
                      .first_step = first,
                      .critical_step = critical,
                      .last_step = last,
                      .actor = actor,
                      .other = other};
    event.min_ttc = event.min_distance = event.min_thw = event.max_drac = event.pet = event.min_ttr = NAN;
    event.closing_speed = event.gap = event.lateral_speed = event.deceleration = NAN;
    event.impact_speed = event.delta_v = NAN;
    event.severity = 0;
    return event;
}

void nm_detect_emit(nm_detect_context *ctx, const nm_event *event) {
    if (ctx->status != NM_OK || !nm_detect_enabled(ctx, event->kind)) return;
    if (ctx->params->conflict_only_ego) {
        uint32_t ego = ctx->scene->ego;
        if (ego == NM_NONE || (event->actor != ego && event->other != ego)) return;
    }
    if (ctx->event_count == ctx->event_capacity) {
        size_t capacity = ctx->event_capacity ? 2 * ctx->event_capacity : 64;
        nm_event *grown = NM_ARENA_ARRAY(ctx->arena, nm_event, capacity);
        if (!grown) {
            ctx->status = NM_E_MEMORY;
            return;
        }
        if (ctx->event_count) memcpy(grown, ctx->events, ctx->event_count * sizeof *grown);
        ctx->events = grown;
        ctx->event_capacity = capacity;
    }
    ctx->events[ctx->event_count++] = *event;
}

int nm_detect_box(const nm_detect_context *ctx, uint32_t track, uint32_t step, nm_box *box) {
    const nm_sample *sample = nm_detect_sample(ctx, track, step);
    if (!sample || !nm_scene_box(ctx->scene, track, step, box)) return 0;
    box->vx = sample->vx;
    box->vy = sample->vy;
    box->ax = sample->accel * box->cos_h;
    box->ay = sample->accel * box->sin_h;
    return 1;
}

// --- numbers ---------------------------------------------------------------------------------------------------------

static float least(float a, float b) {
    return isnan(a) || b < a ? b : a;
}
static float most(float a, float b) {
    return isnan(a) || b > a ? b : a;
}

// Measures the pair at one step into `seen`, whose fields are NaN before the first.
static void measure_pair(const nm_detect_context *ctx, const nm_event *event, uint32_t step, nm_event *seen) {
    nm_box actor, other;
    if (!nm_detect_box(ctx, event->actor, step, &actor) || !nm_detect_box(ctx, event->other, step, &other)) return;
    const nm_criticality_params *params = &ctx->params->criticality;
    float ttc = nm_ttc(&actor, &other, params->ttc_horizon), distance = nm_box_distance(&actor, &other);
    nm_following behind = nm_follow(&other, &actor, params), ahead = nm_follow(&actor, &other, params);
    seen->min_ttc = least(seen->min_ttc, ttc);
    seen->min_distance = least(seen->min_distance, distance);
    if (behind.following || ahead.following) {
        const nm_following *follow = behind.following ? &behind : &ahead;
        seen->min_thw = least(seen->min_thw, follow->thw);
        seen->max_drac = most(seen->max_drac, follow->drac);
    }
    if (ttc < INFINITY && ttc > 0) {
        float ttb, tts, ttr;
        nm_time_to_react(&actor, &other, params, &ttb, &tts, &ttr);
        seen->min_ttr = least(seen->min_ttr, ttr);
        nm_time_to_react(&other, &actor, params, &ttb, &tts, &ttr);
        seen->min_ttr = least(seen->min_ttr, ttr);
    }
    if (step != event->critical_step) return;
    float dx = other.x - actor.x, dy = other.y - actor.y, apart = hypotf(dx, dy);
    seen->closing_speed = apart > 0 ? ((actor.vx - other.vx) * dx + (actor.vy - other.vy) * dy) / apart : 0;
    seen->gap = distance;
    if (behind.following || ahead.following) {
        const nm_following *follow = behind.following ? &behind : &ahead;
        seen->closing_speed = follow->closing;
        seen->gap = follow->gap;
    }
}

static void take(float *field, float measured) {
    if (isnan(*field) && isfinite(measured)) *field = measured;
}

static void measure(const nm_detect_context *ctx, nm_event *event) {
    nm_event seen = nm_detect_event(event->kind, event->actor, event->other, 0, 0, 0);
    for (uint32_t t = event->first_step; t <= event->last_step; t++) {
        const nm_sample *sample = nm_detect_sample(ctx, event->actor, t);
        if (sample) seen.deceleration = most(seen.deceleration, fmaxf(-sample->accel, 0));
        if (event->other != NM_NONE) measure_pair(ctx, event, t, &seen);
    }
    const nm_sample *sample = nm_detect_sample(ctx, event->actor, event->critical_step);
    if (sample && sample->lane != NM_NONE) seen.lateral_speed = fabsf(sample->lateral);
    take(&event->min_ttc, seen.min_ttc);
    take(&event->min_distance, seen.min_distance);
    take(&event->min_thw, seen.min_thw);
    take(&event->max_drac, seen.max_drac);
    take(&event->min_ttr, seen.min_ttr);
    take(&event->closing_speed, seen.closing_speed);
    take(&event->gap, seen.gap);
    take(&event->lateral_speed, seen.lateral_speed);
    take(&event->deceleration, seen.deceleration);
}

static float clamp01(float value) {
    return value > 0 ? value < 1 ? value : 1 : 0;
} // NaN gives 0

static float severity(const nm_event *event) {
    if (event->kind == NM_KIND_COLLISION) return 0.8f + 0.2f * clamp01(event->delta_v / 11.1f);
    float worst = 0.25f;
    worst = fmaxf(worst, clamp01(1 - event->min_ttc / 4));
    worst = fmaxf(worst, clamp01(event->max_drac / 8));
    worst = fmaxf(worst, clamp01(1 - event->pet / 3));
    worst = fmaxf(worst, 0.5f * clamp01(1 - event->min_thw / 2));
    worst = fmaxf(worst, clamp01(event->deceleration / 10));
    return 0.8f * worst;
}

// --- merging and order -----------------------------------------------------------------------------------------------

// Kinds in which it is a matter of definition who is the actor: both orders are one pair.
static int symmetric(nm_kind kind) {
    return kind == NM_KIND_NEAR_MISS || kind == NM_KIND_COLLISION;
}

static int same_event(const nm_event *a, const nm_event *b) {
    if (a->kind != b->kind) return 0;
    if (a->actor == b->actor && a->other == b->other) return 1;
    return symmetric(a->kind) && a->actor == b->other && a->other == b->actor;
}

static int compare_events(const void *left, const void *right) {
    const nm_event *a = left, *b = right;
    const uint32_t keys[5][2] = {{(uint32_t)a->kind, (uint32_t)b->kind},
                                 {a->critical_step, b->critical_step},
                                 {a->actor, b->actor},
                                 {a->other, b->other},
                                 {a->first_step, b->first_step}};
    for (int i = 0; i < 5; i++)
        if (keys[i][0] != keys[i][1]) return keys[i][0] < keys[i][1] ? -1 : 1;
    return a->last_step < b->last_step ? -1 : a->last_step > b->last_step;
}

static int compare_pairs(const void *left, const void *right) {
    const nm_event *a = left, *b = right;
    uint32_t a_low = a->actor, a_high = a->other, b_low = b->actor, b_high = b->other;
    if (symmetric(a->kind) && a_low > a_high) {
        a_low = a->other;
        a_high = a->actor;
    }
    if (symmetric(b->kind) && b_low > b_high) {
        b_low = b->other;
        b_high = b->actor;
    }
    const uint32_t keys[4][2] = {
        {(uint32_t)a->kind, (uint32_t)b->kind}, {a_low, b_low}, {a_high, b_high}, {a->first_step, b->first_step}};
    for (int i = 0; i < 4; i++)
        if (keys[i][0] != keys[i][1]) return keys[i][0] < keys[i][1] ? -1 : 1;
    return compare_events(a, b);
}

// The same kind between the same two, again within MERGE_GAP, is one event: the moment of the more dangerous part
// stays.
static void merge_events(nm_detect_context *ctx) {
    uint32_t reach = nm_detect_steps(ctx, MERGE_GAP, 1);
    size_t kept = 0;
    qsort(ctx->events, ctx->event_count, sizeof *ctx->events, compare_pairs);
    for (size_t i = 0; i < ctx->event_count; i++) {
        const nm_event *event = &ctx->events[i];
        nm_event *before = kept ? &ctx->events[kept - 1] : NULL;
        if (!before || !same_event(before, event) || event->first_step > before->last_step + reach) {
            ctx->events[kept++] = *event;
            continue;
        }
        nm_event joined = event->severity > before->severity ? *event : *before;
        joined.first_step = before->first_step;
        joined.last_step = event->last_step > before->last_step ? event->last_step : before->last_step;
        joined.min_ttc = fminf(before->min_ttc, event->min_ttc); // fminf and fmaxf pass over NaN
        joined.min_distance = fminf(before->min_distance, event->min_distance);
        joined.min_thw = fminf(before->min_thw, event->min_thw);
        joined.max_drac = fmaxf(before->max_drac, event->max_drac);
        joined.min_ttr = fminf(before->min_ttr, event->min_ttr);
        joined.deceleration = fmaxf(before->deceleration, event->deceleration);
        *before = joined;
    }
    ctx->event_count = kept;
    qsort(ctx->events, ctx->event_count, sizeof *ctx->events, compare_events);
}

// --- the run ---------------------------------------------------------------------------------------------------------

typedef nm_status nm_pass(nm_detect_context *ctx);
typedef void nm_detector_run(nm_detect_context *ctx);

static nm_status run_all(nm_detect_context *ctx) {
    nm_pass *const passes[] = {nm_detect_motion,  nm_detect_lanes,     nm_detect_leaders,
                               nm_detect_changes, nm_detect_crossings, nm_detect_stands};
    nm_detector_run *const detectors[] = {nm_detect_cut_in,         nm_detect_cut_out,   nm_detect_hard_brake,
                                          nm_detect_following,      nm_detect_merge,     nm_detect_lane_drift,
                                          nm_detect_crossing_kinds, nm_detect_red_light, nm_detect_wrong_way,
                                          nm_detect_head_on,        nm_detect_near_miss, nm_detect_collision,
                                          nm_detect_chain_brake,    nm_detect_pull_out,  nm_detect_occluded,
                                          nm_detect_blocked_lane,   nm_detect_u_turn};
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        nm_status status = passes[i](ctx);
        if (status != NM_OK) return status;
    }
    for (size_t i = 0; i < sizeof detectors / sizeof *detectors && ctx->status == NM_OK; i++) detectors[i](ctx);
    return ctx->status;
}

// Of a scene without steps.
static nm_scene_criticality no_criticality(void) {
    nm_scene_criticality none = {0};
    none.min_ttc = none.min_ttc_projected = none.min_distance = none.min_thw = INFINITY;
    none.min_pet = none.min_ttr = INFINITY;
    none.critical_step = none.critical_first = none.critical_second = NM_NONE;
    return none;
}

nm_status nm_detect(const nm_scene *scene, const nm_detect_params *params, nm_arena *arena, nm_event **events,
                    size_t *count, nm_scene_criticality *criticality, nm_error *error) {
    NM_ASSERT(scene && params && arena && events && count);
    *events = NULL;
    *count = 0;
    nm_status prepared = nm_map_prepare(scene->map, error);
    if (prepared != NM_OK) return prepared;
    nm_detect_context ctx = {.scene = scene, .map = scene->map, .params = params, .arena = arena, .dt = scene->dt};
    ctx.criticality = no_criticality();
    if (scene->step_count > 0) {
        nm_status status = nm_scene_evaluate(scene, 0, scene->step_count - 1, PAIR_RANGE, &params->criticality, arena,
                                             &ctx.criticality, error);
        if (status == NM_OK) status = run_all(&ctx);
        if (status == NM_E_MEMORY) return NM_ERROR(error, status, "out of memory while looking for events");
        if (status != NM_OK) return status;
    }
    for (size_t i = 0; i < ctx.event_count; i++) {
        measure(&ctx, &ctx.events[i]);
        ctx.events[i].severity = severity(&ctx.events[i]);
    }
    if (ctx.event_count) merge_events(&ctx);
    *events = ctx.events;
    *count = ctx.event_count;
    if (criticality) *criticality = ctx.criticality;
    return NM_OK;
}
