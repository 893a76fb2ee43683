// What is kept must be what was asked for: found by the detectors, as severe as asked, with the parameters asked for.
#include <math.h>

#include "scenarios/case.h"
#include "scenarios/kinds_measure.h"
#include "sim/geometry.h"
#include "sim/metrics/criticality.h"

#define JUDGED_TTC 10.0f // s
#define REACH 60.0f      // m beyond which nobody is in danger

static nm_box box_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    const size_t at = nm_scene_at(scene, track, step);
    float sine, cosine;
    nm_sincosf(scene->heading[at], &sine, &cosine);
    return (nm_box){.x = scene->x[at],
                    .y = scene->y[at],
                    .cos_h = cosine,
                    .sin_h = sine,
                    .length = scene->tracks[track].length,
                    .width = scene->tracks[track].width,
                    .vx = scene->vx[at],
                    .vy = scene->vy[at]};
}

// Whom the ego comes close to: in cut_out it is what the adversary revealed.
static uint32_t danger_of(const nm_case *out, nm_kind kind) {
    return kind == NM_KIND_CUT_OUT && out->other != NM_NONE ? out->other : out->adversary;
}

static void measure_danger(const nm_scene *scene, uint32_t with, nm_case *out) {
    out->min_ttc = out->min_distance = INFINITY;
    out->contact = 0;
    for (uint32_t t = 1; t < scene->step_count; t++) {
        if (!scene->valid[nm_scene_at(scene, out->ego, t)] || !scene->valid[nm_scene_at(scene, with, t)]) continue;
        const nm_box ego = box_at(scene, out->ego, t), other = box_at(scene, with, t);
        if (hypotf(ego.x - other.x, ego.y - other.y) > REACH) continue;
        const float distance = nm_box_distance(&ego, &other);
        out->min_distance = nm_minf(out->min_distance, distance);
        out->min_ttc = nm_minf(out->min_ttc, distance <= 0 ? 0 : nm_ttc(&ego, &other, JUDGED_TTC));
        if (distance > 0) continue;
        out->contact = 1;
        return; // what a crash does to vehicles is not modelled
    }
}

// The kind among the events, with the roles that are meant.
static int find_kind(const nm_kind_spec *spec, nm_case *out) {
    const uint32_t actor = spec->actor == NM_ROLE_EGO ? out->ego : out->adversary;
    const uint32_t other = spec->actor == NM_ROLE_EGO ? out->adversary : out->ego;
    for (size_t i = 0; i < out->event_count; i++) {
        const nm_event *event = &out->events[i];
        if (event->kind != spec->kind || event->actor != actor) continue;
        if (spec->other_named && event->other != other) continue;
        out->event = *event;
        return 1;
    }
    return 0;
}

// Boxes that merely graze are no collision to the detectors.
static int finds_collision(const nm_case *out, uint32_t with) {
    for (size_t i = 0; i < out->event_count; i++) {
        const nm_event *event = &out->events[i];
        if (event->kind != NM_KIND_COLLISION) continue;
        if ((event->actor == out->ego && event->other == with) || (event->actor == with && event->other == out->ego))
            return 1;
    }
    return 0;
}

// Two touch who are not the two that are meant to.
static int hits_others(const nm_case *out, uint32_t with) {
    for (size_t i = 0; i < out->event_count; i++) {
        const nm_event *event = &out->events[i];
        if (event->kind != NM_KIND_COLLISION) continue;
        const int meant =
            (event->actor == out->ego && event->other == with) || (event->actor == with && event->other == out->ego);
        if (!meant) return 1;
    }
    return 0;
}

static nm_reject judge_severity(const nm_case_request *request, const nm_case *out, uint32_t with) {
    const nm_kind_ranges *ranges = &request->ranges;
    if (ranges->severity == NM_SEVERITY_COLLISION)
        return out->contact && finds_collision(out, with) ? NM_REJECT_NONE : NM_REJECT_TOO_MILD;
    if (out->contact) return NM_REJECT_TOO_HARD;
    const int at = nm_kind_param_index(ranges->kind, NM_PARAM_MIN_TTC);
    if (at < 0) return NM_REJECT_NONE;
    const int asked = ranges->given >> at & 1u;
    // unless it was asked for, the time by which one came after the other counts too (nm_severity)
    const float pet = isnan(out->event.pet) ? INFINITY : out->event.pet;
    const float worst = asked ? out->min_ttc : nm_minf(out->min_ttc, pet);
    if (worst > ranges->range[at].high) return NM_REJECT_TOO_MILD;
    return worst < ranges->range[at].low ? NM_REJECT_TOO_HARD : NM_REJECT_NONE;
}

static int meets_ranges(const nm_kind_ranges *ranges, const float *achieved) {
    const nm_kind_spec *spec = nm_kind_spec_of(ranges->kind);
    for (size_t i = 0; i < spec->param_count; i++) {
        const nm_kind_range range = ranges->range[i];
        const float tolerance = nm_kind_tolerance(spec->params[i].id);
        if (spec->params[i].id == NM_PARAM_MIN_TTC || isnan(achieved[i])) continue; // judged as the severity
        if (achieved[i] < range.low - tolerance || achieved[i] > range.high + tolerance) return 0;
    }
    return 1;
}

nm_status nm_case_confirm(const nm_scene *scene, const nm_case_request *request, nm_arena *arena,
                          nm_scene_criticality *criticality, nm_case *out, nm_error *error) {
    const nm_kind_spec *spec = nm_kind_spec_of(request->ranges.kind);
    const nm_detect_params params = nm_detect_params_default();
    nm_event *events;
    nm_arena_reset(arena);
    const nm_status status = nm_detect(scene, &params, arena, &events, &out->event_count, criticality, error);
    if (status != NM_OK) return status;
    out->events = events;
    out->criticality = criticality;
    const uint32_t with = danger_of(out, spec->kind);
    measure_danger(scene, with, out);
    out->reject = hits_others(out, with) ? NM_REJECT_OTHERS : NM_REJECT_NONE;
    if (out->reject == NM_REJECT_NONE && !find_kind(spec, out)) out->reject = NM_REJECT_NOT_FOUND;
    if (out->reject != NM_REJECT_NONE) return NM_OK;
    const nm_kind_roles roles = {out->ego, out->adversary, out->other};
    nm_kind_measure(scene, &out->event, &roles, out->achieved, &out->conflict_step);
    const int at = nm_kind_param_index(spec->kind, NM_PARAM_MIN_TTC);
    if (at >= 0) out->achieved[at] = out->min_ttc;
    out->reject = judge_severity(request, out, with);
    if (out->reject == NM_REJECT_NONE && !meets_ranges(&request->ranges, out->achieved))
        out->reject = NM_REJECT_PARAMETERS;
    return NM_OK;
}
