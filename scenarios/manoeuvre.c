// Attempts: a place, the ego's way without the adversary, then runs until timing and severity are met, then the
// detectors.
#include "scenarios/manoeuvre.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "scenarios/kinds_measure.h"
#include "scenarios/manoeuvre_internal.h"

#define PLACE_TRIES 24u  // places looked at until one fits
#define CHOICES 6u       // places drawn at a time
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

// --- places ----------------------------------------------------------------------------------------------------------

nm_status nm_stage_places(nm_manoeuvre_work *work, const nm_map *map, nm_kind kind, nm_error *error) {
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

nm_status nm_stage_reserve(nm_attempt *a, nm_error *error) {
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
int nm_stage_ego_comes(nm_attempt *a) {
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

nm_status nm_stage_open(nm_attempt *a, nm_error *error) {
    a->config = nm_world_config_default();
    a->config.ego = a->request->ego;
    a->config.custom = a->request->custom;
    a->config.idm = &a->idm;
    a->config.spawn_later = 0;
    a->config.checks = NM_CHECK_COLLISION;
    return nm_world_create(&a->work->stage.scene, &a->config, &a->world, error);
}

// A place drawn from all; of CHOICES the first whose road takes the ego speed that was drawn, if there is one.
static nm_place draw_place(const nm_attempt *a, const nm_rng_key *key) {
    const nm_manoeuvre_work *work = a->work;
    const float wanted = a->out->drawn[nm_kind_param_index(a->spec->kind, NM_PARAM_EGO_SPEED)];
    nm_place first = {0};
    for (uint32_t i = 0; i < CHOICES; i++) {
        const nm_place place =
            work->places[nm_rng_below(key, 1000 + CHOICES * a->tries + i, (uint32_t)work->place_count)];
        const float limit = nm_map_rail(a->base->map, place.ego_lane, place.ego_s).speed_limit;
        if (wanted >= NM_SLOWEST * limit && wanted <= limit) return place;
        if (i == 0) first = place;
    }
    return first;
}

// A place where everything fits. The runs without the adversary leave the ego's course.
static nm_status prepare(nm_attempt *a, nm_error *error) {
    const nm_rng_key key = {
        .seed = a->request->seed, .scene = a->index, .agent = (uint32_t)a->spec->kind, .purpose = NM_PURPOSE_KIND};
    nm_manoeuvre_work *work = a->work;
    for (; a->tries < PLACE_TRIES; a->tries++) {
        a->place = draw_place(a, &key);
        memcpy(a->drawn, a->out->drawn, sizeof a->drawn);
        memcpy(a->value, a->out->drawn, sizeof a->value);
        memcpy(a->aim, a->out->drawn, sizeof a->aim);
        a->out->reject = nm_plan_setup(a);
        a->out->other = a->has_other ? NM_ROLE_OTHER : NM_NONE;
        if (a->out->reject != NM_REJECT_NONE) continue;
        if (!nm_stage_signals(a)) {
            a->out->reject = NM_REJECT_SIGNALS;
            continue;
        }
        nm_stage_build(a);
        nm_status status = nm_stage_open(a, error);
        if (status != NM_OK) return status;
        if (nm_stage_ego_comes(a)) {
            work->undisturbed = work->course;
            a->out->reject = nm_plan_scripts(a); // what does not fit is known before anything is run
            if (a->out->reject == NM_REJECT_NONE) a->out->reject = nm_plan_check(a);
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

// Who leaves the map in the midst of it would make any outcome look like a near miss.
static int cut_short(const nm_attempt *a, uint32_t until) {
    const nm_scene *take = &a->work->take.scene;
    nm_box ego, other;
    uint32_t last = 0;
    while (last < until && take->valid[nm_scene_at(take, a->danger, last + 1)]) last++;
    if (last == until || !nm_scene_box(take, NM_ROLE_EGO, last, &ego)) return 0;
    return nm_scene_box(take, a->danger, last, &other) && nm_ttc(&ego, &other, JUDGED_TTC) < UNRESOLVED;
}

// As far as it has been run: before the detectors are asked.
static nm_reject judge(nm_attempt *a, uint32_t until) {
    nm_case_danger(&a->work->take.scene, a->spec->kind, a->out);
    if (!a->out->contact && cut_short(a, until)) return NM_REJECT_TOO_HARD;
    const nm_kind_roles roles = {NM_ROLE_EGO, NM_ROLE_ADVERSARY, a->out->other};
    const uint32_t step = a->conflict < until ? a->conflict : until;
    return nm_case_severity(a->request, a->out,
                            nm_kind_encroachment(&a->work->take.scene, a->spec->kind, &roles, step));
}

// Only those that are free for it are moved for the severity, and never what was asked for: all others are met as
// drawn.
static int moves(const nm_attempt *a, size_t i) {
    const nm_kind_param *param = &a->spec->params[i];
    const nm_kind_range *range = &a->request->ranges.range[i];
    return param->free && param->critical && range->low < range->high && !(a->request->ranges.given >> i & 1u);
}

// pressure in [-1, 1]: 0 leaves the drawn values, 1 moves the free ones to their critical ends, -1 to the other ones.
void nm_attempt_press(nm_attempt *a, float pressure) {
    const nm_kind_spec *spec = a->spec;
    a->movable = 0;
    for (size_t i = 0; i < spec->param_count; i++) {
        a->value[i] = a->drawn[i];
        if (!moves(a, i)) continue;
        const nm_kind_range *range = &a->request->ranges.range[i];
        const int up = (spec->params[i].critical > 0) == (pressure > 0);
        a->value[i] += fabsf(pressure) * ((up ? range->high : range->low) - a->drawn[i]);
        a->movable = 1;
    }
}

// --- the search ------------------------------------------------------------------------------------------------------

// Whoever vanished at the end of its road in the midst of it would make any outcome look like a near miss.
static int stays(const nm_attempt *a) {
    const nm_arrays *stage = &a->work->stage;
    const uint32_t last = a->conflict + STAYS < a->request->steps ? a->conflict + STAYS : a->request->steps;
    return stage->valid[nm_scene_at(&stage->scene, a->danger, last)];
}

// Runs with the values as they are until what is measured is what was aimed at; 0 and a reject when it never is.
static int meet_values(nm_attempt *a, uint32_t *until) {
    memcpy(a->aim, a->value, sizeof a->aim);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        a->out->reject = nm_plan_scripts(a);
        if (a->out->reject != NM_REJECT_NONE) return 0;
        for (uint32_t role = NM_ROLE_ADVERSARY; role < (a->has_other ? 3u : 2u); role++) nm_stage_script(a, role);
        if (!stays(a)) {
            a->out->reject = NM_REJECT_NO_ROOM;
            return 0;
        }
        *until = a->conflict + AFTER < a->request->steps ? a->conflict + AFTER : a->request->steps;
        nm_stage_run(a, *until, 0);
        nm_stage_close(a, *until);
        if (nm_plan_correct(a, *until) <= 1) return 1;
    }
    a->out->reject = NM_REJECT_PARAMETERS;
    return 0;
}

// The severity is met as far as was run: the rest of it, and what all who keep corner cases ask of them.
static nm_status finish_run(nm_attempt *a, nm_reject *verdict, nm_error *error) {
    nm_stage_run(a, a->request->steps, 1);
    nm_stage_close(a, a->request->steps);
    *verdict = judge(a, a->request->steps);
    if (*verdict != NM_REJECT_NONE) return NM_OK;
    nm_manoeuvre_work *work = a->work;
    const nm_status status =
        nm_case_confirm(&work->take.scene, a->request, work->arena, &work->criticality, a->out, error);
    *verdict = a->out->reject;
    return status;
}

static nm_status search(nm_attempt *a, nm_error *error) {
    float mild = -1, hard = 1, pressure = 0;
    nm_case *out = a->out;
    const int crosses = a->work->script[NM_ROLE_ADVERSARY].line == &a->work->other_line;
    const int hits = a->request->ranges.severity == NM_SEVERITY_COLLISION;
    nm_reject worst = NM_REJECT_NONE;
    for (uint32_t first = out->simulations; out->simulations - first < RUNS;) {
        uint32_t until;
        nm_attempt_press(a, pressure);
        if (!meet_values(a, &until)) {
            worst = out->reject;
            pressure *= 0.5f; // nearer to what was drawn
            if (fabsf(pressure) < 0.05f || crosses) return NM_OK;
            continue;
        }
        nm_reject verdict = judge(a, until);
        if (verdict == NM_REJECT_NONE) {
            const nm_status status = finish_run(a, &verdict, error);
            if (status != NM_OK) return status;
        }
        worst = out->reject = verdict;
        if (verdict == NM_REJECT_NONE || verdict == NM_REJECT_OTHERS || verdict == NM_REJECT_PARAMETERS) return NM_OK;
        // A near miss that the detectors do not see was not dangerous enough; a collision may have cut the manoeuvre
        // short.
        if (verdict == NM_REJECT_TOO_MILD || (verdict == NM_REJECT_NOT_FOUND && !hits))
            mild = pressure;
        else
            hard = pressure;
        if (hard - mild < 0.05f || !a->movable) break;
        pressure = 0.5f * (mild + hard);
    }
    out->reject = worst;
    return NM_OK;
}

int nm_stage_leave_out(nm_attempt *a) {
    const nm_scene *take = &a->work->take.scene;
    const uint32_t before = a->left_out_count;
    for (uint32_t i = nm_stage_track(a, NM_ROLES) + a->more_count;
         i < take->track_count && a->left_out_count < NM_LEFT_OUT; i++) {
        int hit = 0;
        for (uint32_t k = 0; k < i && !hit; k++) hit = nm_case_come_to_overlap(take, i, k);
        if (!hit) continue;
        const int64_t from = take->tracks[i].source_id - NM_FIRST_TRAFFIC_ID;
        NM_ASSERT(from >= 0 && from < (int64_t)a->base->track_count);
        a->left_out[a->left_out_count++] = (uint32_t)from;
    }
    return a->left_out_count > before;
}

// --- results ---------------------------------------------------------------------------------------------------------

static void finish(nm_attempt *a) {
    nm_case *out = a->out;
    memcpy(out->drawn, a->drawn, sizeof out->drawn);
    memcpy(out->requested, a->value, sizeof out->requested);
    if (out->reject != NM_REJECT_NONE) return;
    a->work->drive =
        (nm_manoeuvre_drive){.notices = a->blind, .seed = a->world_seed, .scene = a->work->stage.scene.hash};
}

nm_manoeuvre_drive nm_manoeuvre_last(const nm_manoeuvre_work *work) {
    return work->drive;
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
                    .start_step = request->start_step == NM_NONE ? scene->current_step : request->start_step,
                    .out = out};
    out->ego = NM_ROLE_EGO;
    out->adversary = NM_ROLE_ADVERSARY;
    out->other = NM_NONE;
    a.idm = request->idm ? *request->idm : *nm_idm_named("nearmiss");
    if (!request->idm) a.idm.lane_changes = 0; // so that the ego is where it is expected
    nm_kind_sample(&request->ranges, request->sampling, request->seed, index, out->drawn);
    nm_status status = nm_stage_places(work, scene->map, request->ranges.kind, error);
    if (status == NM_OK) status = nm_stage_reserve(&a, error);
    if (status != NM_OK) return status;
    if (work->place_count == 0) return nm_kind_check_map(scene->map, request->ranges.kind, error);
    nm_reject before = NM_REJECT_NONE;
    for (out->stagings = 0; status == NM_OK && out->stagings < STAGINGS && a.tries < PLACE_TRIES;) {
        out->reject = NM_REJECT_NONE;
        status = prepare(&a, error);
        if (status == NM_OK && out->reject == NM_REJECT_NONE) {
            status = search(&a, error);
            if (status == NM_OK && out->reject == NM_REJECT_OTHERS && nm_stage_leave_out(&a)) {
                a.tries--; // there again, without them
            } else {
                out->stagings++;
                a.left_out_count = 0;
            }
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
