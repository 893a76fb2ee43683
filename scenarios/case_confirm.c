// What is kept must be what was asked for: found by the detectors, as severe as asked, with the parameters asked for.
#include <math.h>

#include "scenarios/case.h"
#include "scenarios/kinds_measure.h"
#include "sim/geometry.h"
#include "sim/metrics/criticality.h"

#define JUDGED_TTC 10.0f // s

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

static uint32_t danger_of(const nm_case *out, nm_kind kind) {
    return nm_kind_danger(kind, &(nm_kind_roles){out->ego, out->adversary, out->other});
}

void nm_case_danger(const nm_scene *scene, nm_kind kind, nm_case *out) {
    const uint32_t with = danger_of(out, kind);
    out->min_ttc = out->min_distance = INFINITY;
    out->contact = 0;
    for (uint32_t t = 0; t < scene->step_count; t++) {
        if (!scene->valid[nm_scene_at(scene, out->ego, t)] || !scene->valid[nm_scene_at(scene, with, t)]) continue;
        const nm_box ego = box_at(scene, out->ego, t), other = box_at(scene, with, t);
        const float distance = nm_box_distance(&ego, &other);
        out->min_distance = nm_minf(out->min_distance, distance);
        out->min_ttc = nm_minf(out->min_ttc, distance <= 0 ? 0 : nm_ttc(&ego, &other, JUDGED_TTC));
        if (distance > 0) continue;
        out->contact = 1;
        return; // what a crash does to vehicles is not modelled
    }
}

// --- the kind --------------------------------------------------------------------------------------------------------

// What a contact cuts off before it can show, and the reaction of an ego that has no need to react, is not held against
// the scene, unless that reaction was asked for. All else is there to be measured.
static int excused(const nm_kind_ranges *ranges, size_t i, int contact) {
    if (contact) return 1;
    return nm_kind_spec_of(ranges->kind)->params[i].id == NM_PARAM_REACTION && !(ranges->given >> i & 1u);
}

// In tolerances, how far outside of the ranges the worst parameter lies; 0 = all within. What should have been measured
// and was not lies outside of any.
static float off_ranges(const nm_kind_ranges *ranges, const float *achieved, int contact) {
    const nm_kind_spec *spec = nm_kind_spec_of(ranges->kind);
    float worst = 0;
    for (size_t i = 0; i < spec->param_count; i++) {
        const nm_kind_range range = ranges->range[i];
        if (spec->params[i].id == NM_PARAM_MIN_TTC) continue; // judged as the severity
        if (isnan(achieved[i])) {
            if (!excused(ranges, i, contact)) worst = INFINITY;
            continue;
        }
        const float off = nm_maxf(range.low - achieved[i], achieved[i] - range.high);
        worst = nm_maxf(worst, off / nm_kind_tolerance(spec->params[i].id));
    }
    return worst;
}

// The same of what a contact cut off while it grew: it may only be too little.
static float over_ranges(const nm_kind_ranges *ranges, const float *reached) {
    const nm_kind_spec *spec = nm_kind_spec_of(ranges->kind);
    float worst = 0;
    for (size_t i = 0; i < spec->param_count; i++)
        if (!isnan(reached[i]))
            worst = nm_maxf(worst, (reached[i] - ranges->range[i].high) / nm_kind_tolerance(spec->params[i].id));
    return worst;
}

// The kind among the events, with the roles that are meant: what is measured in it, and how far off that is.
static int find_kind(const nm_scene *scene, const nm_case_request *request, nm_case *out, float *off) {
    const nm_kind_spec *spec = nm_kind_spec_of(request->ranges.kind);
    const uint32_t actor = spec->actor == NM_ROLE_EGO ? out->ego : out->adversary;
    const uint32_t other = spec->actor == NM_ROLE_EGO ? out->adversary : out->ego;
    const nm_kind_roles roles = {out->ego, out->adversary, out->other};
    int found = 0;
    for (size_t i = 0; i < out->event_count; i++) {
        const nm_event *event = &out->events[i];
        float achieved[NM_KIND_MAX_PARAMS], reached[NM_KIND_MAX_PARAMS];
        uint32_t step;
        if (event->kind != spec->kind || event->actor != actor) continue;
        if (spec->other_named && event->other != other) continue;
        nm_kind_measure(scene, event, &roles, achieved, &step);
        nm_kind_reached(scene, event, &roles, reached);
        const float now =
            nm_maxf(off_ranges(&request->ranges, achieved, out->contact), over_ranges(&request->ranges, reached));
        if (found && now >= *off) continue;
        found = 1;
        *off = now;
        out->event = *event;
        out->conflict_step = step;
        for (size_t k = 0; k < NM_KIND_MAX_PARAMS; k++) out->achieved[k] = achieved[k];
    }
    return found;
}

// --- severity --------------------------------------------------------------------------------------------------------

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

// What lies on one another from the start is an issue of the source.
int nm_case_come_to_overlap(const nm_scene *scene, uint32_t i, uint32_t k) {
    const nm_track *a = &scene->tracks[i], *b = &scene->tracks[k];
    const uint32_t first = a->first_step > b->first_step ? a->first_step : b->first_step;
    const uint32_t last = a->last_step < b->last_step ? a->last_step : b->last_step;
    const float reach = 0.5f * (a->length + a->width + b->length + b->width);
    int before = 1;
    for (uint32_t t = first; t <= last; t++) {
        const size_t at = nm_scene_at(scene, i, t), there = nm_scene_at(scene, k, t);
        const float dx = scene->x[at] - scene->x[there], dy = scene->y[at] - scene->y[there];
        int now = 0;
        if (!scene->valid[at] || !scene->valid[there]) continue;
        if (dx * dx + dy * dy < reach * reach) {
            const nm_box first_box = box_at(scene, i, t), second_box = box_at(scene, k, t);
            now = nm_box_overlap(&first_box, &second_box);
        }
        if (now && !before) return 1;
        before = now;
    }
    return 0;
}

// Two touch who are not the two that are meant to.
static int hits_others(const nm_scene *scene, const nm_case *out, uint32_t with) {
    for (uint32_t i = 0; i < scene->track_count; i++)
        for (uint32_t k = 0; k < i; k++) {
            if ((i == out->ego && k == with) || (i == with && k == out->ego)) continue;
            if (nm_case_come_to_overlap(scene, i, k)) return 1;
        }
    return 0;
}

nm_reject nm_case_severity(const nm_case_request *request, const nm_case *out, float pet) {
    const nm_kind_ranges *ranges = &request->ranges;
    if (ranges->severity == NM_SEVERITY_COLLISION) return out->contact ? NM_REJECT_NONE : NM_REJECT_TOO_MILD;
    if (out->contact) return NM_REJECT_TOO_HARD;
    const int at = nm_kind_param_index(ranges->kind, NM_PARAM_MIN_TTC);
    if (at < 0) return NM_REJECT_NONE;
    const int asked = ranges->given >> at & 1u;
    // unless it was asked for, the time by which one came after the other counts too (nm_severity)
    const float worst = asked || isnan(pet) ? out->min_ttc : nm_minf(out->min_ttc, pet);
    if (worst > ranges->range[at].high) return NM_REJECT_TOO_MILD;
    return worst < ranges->range[at].low ? NM_REJECT_TOO_HARD : NM_REJECT_NONE;
}

nm_status nm_case_confirm(const nm_scene *scene, const nm_case_request *request, nm_arena *arena,
                          nm_scene_criticality *criticality, nm_case *out, nm_error *error) {
    const nm_kind kind = request->ranges.kind;
    const nm_detect_params params = nm_detect_params_default();
    const uint32_t with = danger_of(out, kind);
    nm_event *events;
    float off = 0;
    nm_arena_reset(arena);
    const nm_status status = nm_detect(scene, &params, arena, &events, &out->event_count, criticality, error);
    if (status != NM_OK) return status;
    out->events = events;
    out->criticality = criticality;
    nm_case_danger(scene, kind, out);
    const int grazes = request->ranges.severity == NM_SEVERITY_COLLISION && out->contact && !finds_collision(out, with);
    out->reject = hits_others(scene, out, with) ? NM_REJECT_OTHERS : grazes ? NM_REJECT_TOO_MILD : NM_REJECT_NONE;
    if (out->reject == NM_REJECT_NONE && !find_kind(scene, request, out, &off)) out->reject = NM_REJECT_NOT_FOUND;
    if (out->reject != NM_REJECT_NONE) return NM_OK;
    const int at = nm_kind_param_index(kind, NM_PARAM_MIN_TTC);
    if (at >= 0) out->achieved[at] = out->min_ttc;
    const nm_kind_roles roles = {out->ego, out->adversary, out->other};
    out->reject = nm_case_severity(request, out, nm_kind_encroachment(scene, kind, &roles, out->event.critical_step));
    if (out->reject == NM_REJECT_NONE && off > 1) out->reject = NM_REJECT_PARAMETERS;
    return NM_OK;
}
