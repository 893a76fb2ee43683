// Attempts: a place, the ego's way without the adversary, then runs until timing and severity are met, then the
// detectors.
#include "scenarios/manoeuvre.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "scenarios/manoeuvre_internal.h"

#define PLACE_TRIES 24u  // places looked at until one fits
#define STAGINGS 3u      // of these, places at which the manoeuvre is tried
#define ROUTE_TRIES 12u  // drivers of whom one takes the ego's way
#define RUNS 14          // closed-loop runs at most
#define REPEATS 5        // of these with the same aims, for the timing
#define AFTER 40u        // steps after the conflict within which the severity must show
#define STAYS 25u        // steps after the conflict for which the adversary has to be there
#define UNRESOLVED 4.0f  // s to a collision below which nobody may vanish at the end of its road
#define OFF_LINE 1.5f    // m
#define JUDGED_TTC 10.0f // s

nm_manoeuvre_work *nm_manoeuvre_work_create(void) {
    nm_manoeuvre_work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    work->arena = nm_arena_create(0);
    work->builder = nm_scene_builder_create();
    work->kind = NM_KIND_COUNT;
    if (work->arena && work->builder) return work;
    nm_manoeuvre_work_destroy(work);
    return NULL;
}

void nm_manoeuvre_work_destroy(nm_manoeuvre_work *work) {
    if (!work) return;
    nm_arena_destroy(work->arena);
    nm_scene_builder_destroy(work->builder);
    free(work->places);
    free(work->signals);
    free(work);
}

// --- checks ----------------------------------------------------------------------------------------------------------

static uint32_t start_step(const nm_scene *scene, const nm_case_request *request) {
    return request->start_step == NM_NONE ? scene->current_step : request->start_step;
}

// --- places ----------------------------------------------------------------------------------------------------------

static nm_status find_places(nm_manoeuvre_work *work, const nm_map *map, nm_kind kind, nm_error *error) {
    if (work->map_hash == map->hash && work->kind == kind) return NM_OK;
    work->kind = NM_KIND_COUNT;
    size_t count;
    nm_status status = nm_kind_places(map, kind, work->places, work->place_capacity, &count, error);
    if (status == NM_OK && count > work->place_capacity) {
        nm_place *grown = realloc(work->places, count * sizeof *grown);
        if (!grown) return NM_ERROR(error, NM_E_MEMORY, "no memory for the places of a map");
        work->places = grown;
        work->place_capacity = count;
        status = nm_kind_places(map, kind, work->places, work->place_capacity, &count, error);
    }
    if (status != NM_OK) return status;
    work->place_count = count;
    work->map_hash = map->hash;
    work->kind = kind;
    return NM_OK;
}

static nm_status reserve_signals(nm_attempt *a, nm_error *error) {
    const size_t size = (size_t)a->base->map->signal_count * (a->request->steps + 1);
    if (size <= a->work->signal_capacity) return NM_OK;
    uint8_t *grown = realloc(a->work->signals, size);
    if (!grown) return NM_ERROR(error, NM_E_MEMORY, "no memory for signals");
    a->work->signals = grown;
    a->work->signal_capacity = size;
    return NM_OK;
}

// --- the ego alone ---------------------------------------------------------------------------------------------------

static int keeps_line(const nm_attempt *a, uint32_t until) {
    const nm_course *course = &a->work->course;
    if (course->count <= until) return 0;
    for (uint32_t t = 0; t <= until; t++)
        if (fabsf(course->d[t]) > OFF_LINE) return 0;
    return 1;
}

// Drivers are drawn until one takes the way that the place is on, and is near it in time.
static int ego_comes(nm_attempt *a) {
    // who drives along with the ego has to know all of its way
    const int along = a->spec->kind == NM_KIND_TAILGATE || a->spec->kind == NM_KIND_LANE_DRIFT;
    const uint32_t until = along ? a->request->steps : (uint32_t)(10 * a->seconds) + 12;
    const nm_rng_key key = {
        .seed = a->request->seed, .scene = a->index, .agent = (uint32_t)a->spec->kind, .purpose = NM_PURPOSE_KIND};
    for (uint32_t try = 0; try < ROUTE_TRIES; try++) {
        uint32_t words[4];
        nm_rng_words(&key, 100 + try, words);
        a->world_seed = (uint64_t)words[0] << 32 | words[1];
        nm_stage_run(a, until < a->request->steps ? until : a->request->steps, 0);
        const nm_course *course = &a->work->course;
        if (course->count == 0) return 0;
        const uint32_t last = course->count - 1;
        // it may leave the map after the place, not before
        if (course->s[last] < 0) continue;
        uint32_t there = 0;
        while (there < last && course->s[there] < 2) there++;
        if (keeps_line(a, there)) return 1;
    }
    return 0;
}

static nm_status open_world(nm_attempt *a, nm_error *error) {
    a->config = nm_world_config_default();
    a->config.ego = a->request->ego;
    a->config.custom = a->request->custom;
    a->config.idm = &a->idm;
    a->config.spawn_later = 0;
    a->config.checks = NM_CHECK_COLLISION;
    return nm_world_create(&a->work->stage.scene, &a->config, &a->world, error);
}

// A place where everything fits. The runs without the adversary leave the ego's course.
static nm_status prepare(nm_attempt *a, nm_error *error) {
    const nm_rng_key key = {
        .seed = a->request->seed, .scene = a->index, .agent = (uint32_t)a->spec->kind, .purpose = NM_PURPOSE_KIND};
    nm_manoeuvre_work *work = a->work;
    for (; a->tries < PLACE_TRIES; a->tries++) {
        const uint32_t try = a->tries;
        a->place = work->places[nm_rng_below(&key, 40 + try, (uint32_t)work->place_count)];
        memcpy(a->drawn, a->out->drawn, sizeof a->drawn);
        memcpy(a->value, a->out->drawn, sizeof a->value);
        a->out->reject = nm_plan_setup(a);
        if (a->out->reject != NM_REJECT_NONE) continue;
        if (!nm_stage_signals(a)) {
            a->out->reject = NM_REJECT_SIGNALS;
            continue;
        }
        nm_stage_build(a);
        nm_status status = open_world(a, error);
        if (status != NM_OK) return status;
        if (ego_comes(a)) {
            a->out->reject = nm_plan_scripts(a); // what does not fit is known before anything is run
            if (a->out->reject == NM_REJECT_NONE) {
                a->tries++;
                return NM_OK;
            }
        } else {
            a->out->reject = NM_REJECT_EGO_ELSEWHERE;
        }
        nm_world_destroy(a->world);
        a->world = NULL;
    }
    return NM_OK;
}

// --- severity --------------------------------------------------------------------------------------------------------

typedef enum nm_danger { NM_DANGER_MET = 0, NM_DANGER_MILD, NM_DANGER_HARD } nm_danger;

static nm_box box_at(const nm_arrays *arrays, uint32_t track, uint32_t step) {
    const size_t at = nm_scene_at(&arrays->scene, track, step);
    float sine, cosine;
    nm_sincosf(arrays->heading[at], &sine, &cosine);
    return (nm_box){.x = arrays->x[at],
                    .y = arrays->y[at],
                    .cos_h = cosine,
                    .sin_h = sine,
                    .length = arrays->tracks[track].length,
                    .width = arrays->tracks[track].width,
                    .vx = arrays->vx[at],
                    .vy = arrays->vy[at]};
}

// The ego and whom the danger is with: in a cut-out that is what was hidden.
static void measure_danger(nm_attempt *a, uint32_t until) {
    const nm_arrays *take = &a->work->take;
    const uint32_t with = a->danger;
    nm_case *out = a->out;
    out->min_ttc = out->min_distance = INFINITY;
    out->contact = 0;
    float last = INFINITY; // time to collision when they were last seen together
    a->cut_short = 0;
    for (uint32_t t = 1; t <= until; t++) {
        if (!take->valid[nm_scene_at(&take->scene, NM_ROLE_EGO, t)]) break;
        if (!take->valid[nm_scene_at(&take->scene, with, t)]) {
            a->cut_short = last < UNRESOLVED;
            break;
        }
        const nm_box ego = box_at(take, NM_ROLE_EGO, t), other = box_at(take, with, t);
        const float dx = ego.x - other.x, dy = ego.y - other.y;
        last = INFINITY;
        if (dx * dx + dy * dy > 3600) continue;
        const float distance = nm_box_distance(&ego, &other);
        out->min_distance = nm_minf(out->min_distance, distance);
        if (distance <= 0) {
            out->contact = 1;
            out->min_ttc = 0;
            return;
        }
        last = nm_ttc(&ego, &other, JUDGED_TTC);
        out->min_ttc = nm_minf(out->min_ttc, last);
    }
}

// Time from the adversary's leaving the shared ground to the ego's coming, as it happened; INFINITY when it did not.
static float encroachment(const nm_attempt *a) {
    const nm_script *script = &a->work->script[NM_ROLE_ADVERSARY];
    if (script->line != &a->work->other_line || a->spec->kind == NM_KIND_RIGHT_TURN_CONFLICT) return INFINITY;
    const float end = a->cross_out + 0.5f * a->length, begin = a->ground_in - 0.5f * a->ego_length;
    const nm_course *course = &a->work->course;
    uint32_t leaves = 0, comes = 0;
    while (leaves <= a->request->steps && script->s[leaves] < end) leaves++;
    while (comes < course->count && course->s[comes] < begin) comes++;
    if (leaves > a->request->steps || comes >= course->count) return INFINITY;
    return nm_maxf(((float)comes - (float)leaves) * NM_STEP_SECONDS, 0);
}

static nm_danger judge_danger(nm_attempt *a) {
    const nm_kind_ranges *ranges = &a->request->ranges;
    if (ranges->severity == NM_SEVERITY_COLLISION) return a->out->contact ? NM_DANGER_MET : NM_DANGER_MILD;
    if (a->out->contact || a->cut_short) return NM_DANGER_HARD;
    const int at = nm_kind_param_index(ranges->kind, NM_PARAM_MIN_TTC);
    if (at < 0) return NM_DANGER_MET;
    const nm_kind_range range = ranges->range[at];
    const int asked = ranges->given >> at & 1u;
    const float worst = asked ? a->out->min_ttc : nm_minf(a->out->min_ttc, encroachment(a));
    if (worst > range.high) return NM_DANGER_MILD;
    return worst < range.low ? NM_DANGER_HARD : NM_DANGER_MET;
}

// When a parameter is moved for the severity: those that are free for it first, then those that were not asked for,
// those that were asked for last; -1 = never.
static int turn_of(const nm_attempt *a, size_t i) {
    const nm_kind_param *param = &a->spec->params[i];
    const nm_kind_range *range = &a->request->ranges.range[i];
    if (!param->critical || range->low >= range->high) return -1;
    if (a->request->ranges.given >> i & 1u) return 2;
    return param->free ? 0 : 1;
}

// pressure in [-1, 1]: 0 leaves the drawn values, 1 moves all to their critical ends, -1 to the other ones, in turn.
static void press(nm_attempt *a, float pressure) {
    const nm_kind_spec *spec = a->spec;
    int turns[3] = {0, 0, 0};
    for (size_t i = 0; i < spec->param_count; i++)
        if (turn_of(a, i) >= 0) turns[turn_of(a, i)] = 1;
    const int count = turns[0] + turns[1] + turns[2];
    for (size_t i = 0; i < spec->param_count; i++) {
        a->value[i] = a->drawn[i];
        const int turn = turn_of(a, i);
        if (turn < 0) continue;
        const int before = (turn > 0 ? turns[0] : 0) + (turn > 1 ? turns[1] : 0);
        const float share = nm_clampf((float)count * fabsf(pressure) - (float)before, 0, 1);
        const nm_kind_range *range = &a->request->ranges.range[i];
        const int up = (spec->params[i].critical > 0) == (pressure > 0);
        a->value[i] += share * ((up ? range->high : range->low) - a->drawn[i]);
    }
}

// --- confirmation ----------------------------------------------------------------------------------------------------

// Two touch who are not the two that are meant to.
static int hits_others(const nm_attempt *a) {
    const nm_arrays *take = &a->work->take;
    nm_box boxes[NM_STAGE_TRACKS];
    for (uint32_t t = 0; t <= a->request->steps; t++) {
        for (uint32_t i = 0; i < a->tracks; i++) {
            if (!take->valid[nm_scene_at(&take->scene, i, t)]) continue;
            boxes[i] = box_at(take, i, t);
            for (uint32_t k = 0; k < i; k++) {
                if (!take->valid[nm_scene_at(&take->scene, k, t)] || (k == NM_ROLE_EGO && i == a->danger)) continue;
                const float dx = boxes[i].x - boxes[k].x, dy = boxes[i].y - boxes[k].y;
                const float reach = boxes[i].length + boxes[k].length;
                if (dx * dx + dy * dy < reach * reach && nm_box_overlap(&boxes[i], &boxes[k])) return 1;
            }
        }
    }
    return 0;
}

/// What was made as a collision must be one to the detectors, too: boxes that merely graze are none.
static int finds_collision(const nm_attempt *a) {
    for (size_t i = 0; i < a->out->event_count; i++) {
        const nm_event *event = &a->out->events[i];
        if (event->kind != NM_KIND_COLLISION) continue;
        if ((event->actor == NM_ROLE_EGO && event->other == a->danger) ||
            (event->actor == (uint32_t)a->danger && event->other == NM_ROLE_EGO))
            return 1;
    }
    return 0;
}

static nm_status confirm(nm_attempt *a, int *found, int *grazed, nm_error *error) {
    nm_case *out = a->out;
    nm_manoeuvre_work *work = a->work;
    nm_event *events;
    nm_stage_close(a, a->request->steps);
    nm_arena_reset(work->arena);
    nm_status status =
        nm_detect(&work->take.scene, &a->detect, work->arena, &events, &out->event_count, &work->criticality, error);
    if (status != NM_OK) return status;
    out->events = events;
    out->criticality = &work->criticality;
    const uint32_t actor = a->spec->actor == NM_ROLE_EGO ? NM_ROLE_EGO : NM_ROLE_ADVERSARY;
    const uint32_t other = a->spec->actor == NM_ROLE_EGO ? NM_ROLE_ADVERSARY : NM_ROLE_EGO;
    *found = 0;
    for (size_t i = 0; i < out->event_count && !*found; i++) {
        const nm_event *event = &events[i];
        if (event->kind != a->spec->kind || event->actor != actor) continue;
        if (a->spec->other_named && event->other != other) continue;
        out->event = *event;
        *found = 1;
    }
    *grazed = a->request->ranges.severity == NM_SEVERITY_COLLISION && !finds_collision(a);
    if (*grazed) *found = 0;
    return NM_OK;
}

// --- the search ------------------------------------------------------------------------------------------------------

// Whoever vanished at the end of its road in the midst of it would make any outcome look like a near miss.
static int stays(const nm_attempt *a) {
    const nm_arrays *stage = &a->work->stage;
    const uint32_t last = a->conflict + STAYS < a->request->steps ? a->conflict + STAYS : a->request->steps;
    return stage->valid[nm_scene_at(&stage->scene, a->danger, last)];
}

// Runs with the values as they are until the timing fits what the ego does; 0 and a reject when it never does.
static int meet_timing(nm_attempt *a, uint32_t *until) {
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        a->out->reject = nm_plan_scripts(a);
        if (a->out->reject != NM_REJECT_NONE) return 0;
        for (uint32_t role = NM_ROLE_ADVERSARY; role < (a->has_other ? 3u : 2u); role++)
            nm_stage_script(a, (nm_role)role);
        if (!stays(a)) {
            a->out->reject = NM_REJECT_NO_ROOM;
            return 0;
        }
        *until = a->conflict + AFTER < a->request->steps ? a->conflict + AFTER : a->request->steps;
        // ways that cross are timed by the ego's course without the adversary
        const int keep = a->work->script[NM_ROLE_ADVERSARY].line == &a->work->other_line;
        if (keep) a->work->undisturbed = a->work->course;
        nm_stage_run(a, *until, 0);
        const float off = nm_plan_measure(a, a->out->achieved);
        if (off <= 1) return 1;
    }
    a->out->reject = NM_REJECT_PARAMETERS;
    return 0;
}

static nm_status search(nm_attempt *a, nm_error *error) {
    float mild = -1, hard = 1, pressure = 0;
    nm_case *out = a->out;
    const int crosses = a->work->script[NM_ROLE_ADVERSARY].line == &a->work->other_line;
    nm_reject worst = NM_REJECT_NONE;
    for (uint32_t first = out->simulations; out->simulations - first < RUNS;) {
        uint32_t until;
        press(a, pressure);
        if (!meet_timing(a, &until)) {
            worst = out->reject;
            pressure *= 0.5f; // nearer to what was drawn
            if (fabsf(pressure) < 0.05f || crosses) return NM_OK;
            continue;
        }
        measure_danger(a, until);
        nm_danger verdict = judge_danger(a);
        if (verdict == NM_DANGER_MET) {
            int found = 0, grazed = 0;
            nm_stage_run(a, a->request->steps, 1);
            measure_danger(a, a->request->steps);
            verdict = judge_danger(a);
            if (verdict == NM_DANGER_MET && hits_others(a)) {
                out->reject = NM_REJECT_OTHERS;
                return NM_OK;
            }
            if (verdict == NM_DANGER_MET) {
                nm_status status = confirm(a, &found, &grazed, error);
                if (status != NM_OK) return status;
                out->reject = NM_REJECT_NOT_FOUND;
                // A near miss that the detectors do not see was not dangerous enough; a collision may have cut the
                // manoeuvre short.
                verdict =
                    a->request->ranges.severity == NM_SEVERITY_COLLISION && !grazed ? NM_DANGER_HARD : NM_DANGER_MILD;
            }
            if (found) {
                out->reject = NM_REJECT_NONE;
                return NM_OK;
            }
        }
        if (out->reject == NM_REJECT_NONE) // also where the severity was met at first and not to the end
            out->reject = verdict == NM_DANGER_MILD ? NM_REJECT_TOO_MILD : NM_REJECT_TOO_HARD;
        worst = out->reject;
        if (verdict == NM_DANGER_MILD)
            mild = pressure;
        else
            hard = pressure;
        if (hard - mild < 0.05f) break;
        // to the end first where nothing bounds it yet: most of what cannot be met is known after one run
        pressure = 0.5f * (mild + hard);
        if (crosses) a->work->course = a->work->undisturbed;
    }
    out->reject = worst;
    return NM_OK;
}

// --- results ---------------------------------------------------------------------------------------------------------

static void finish(nm_attempt *a) {
    nm_case *out = a->out;
    memcpy(out->drawn, a->drawn, sizeof out->drawn);
    memcpy(out->requested, a->value, sizeof out->requested);
    const int at = nm_kind_param_index(a->spec->kind, NM_PARAM_MIN_TTC);
    if (at >= 0) out->achieved[at] = out->min_ttc;
    out->ego = NM_ROLE_EGO;
    out->adversary = NM_ROLE_ADVERSARY;
    out->other = a->has_other ? NM_ROLE_OTHER : NM_NONE;
    out->conflict_step = a->conflict;
}

nm_status nm_manoeuvre_attempt(nm_manoeuvre_work *work, const nm_scene *scene, const nm_case_request *request,
                               uint64_t index, nm_case *out, nm_error *error) {
    NM_ASSERT(work && scene && request && out);
    memset(out, 0, sizeof *out);
    nm_attempt a = {.work = work,
                    .base = scene,
                    .request = request,
                    .spec = nm_kind_spec_of(request->ranges.kind),
                    .index = index,
                    .start_step = start_step(scene, request),
                    .detect = nm_detect_params_default(),
                    .out = out};
    a.idm = request->idm ? *request->idm : *nm_idm_named("nearmiss");
    if (!request->idm) a.idm.lane_changes = 0; // so that the ego is where it is expected
    nm_kind_sample(&request->ranges, request->sampling, request->seed, index, out->drawn);
    nm_status status = find_places(work, scene->map, request->ranges.kind, error);
    if (status == NM_OK) status = reserve_signals(&a, error);
    if (status != NM_OK) return status;
    if (work->place_count == 0) return nm_kind_check_map(scene->map, request->ranges.kind, error);
    nm_reject before = NM_REJECT_NONE;
    for (out->stagings = 0; status == NM_OK && out->stagings < STAGINGS && a.tries < PLACE_TRIES;) {
        out->reject = NM_REJECT_NONE;
        status = prepare(&a, error);
        if (status == NM_OK && out->reject == NM_REJECT_NONE) {
            out->stagings++;
            status = search(&a, error);
        } else if (before != NM_REJECT_NONE) {
            out->reject = before; // what stopped the manoeuvre says more than that no further place was found
        }
        nm_world_destroy(a.world);
        a.world = NULL;
        if (out->reject == NM_REJECT_NONE) break;
        before = out->reject;
    }
    if (status != NM_OK) return status;
    finish(&a);
    if (out->reject == NM_REJECT_NONE) status = nm_stage_publish(&a, error);
    return status;
}
