// Attempts: a moment and a place, roles for who is there, then draws of futures until the conflict is confirmed.
#include "scenarios/resample.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/kinds_measure.h"
#include "scenarios/resample_internal.h"
#include "scenarios/validity.h"

#define PLACE_TRIES 40u  // moments and places looked at until one fits
#define PAIR_TRIES 8u    // of these, those that wait for two recorded ones who come together
#define CAST_TRIES 14u   // of these, those that wait for somebody recorded to be the ego
#define STAGINGS 6u      // of these, those at which futures are drawn
#define RUNS 7u          // closed-loop runs of one staging
#define UNMOVED_RUNS 4u  // ... when no value may be moved for the severity
#define MOST_RUNS 16u    // of an attempt, those of the ego on its own not counted
#define TAKES_OVER 10u   // steps before there is something to see: the moment at which a planner takes over
#define DRIFT_QUIET 3.6f // s before and after a drift without change of lane: the detector wants 3
#define OFF_LINE 1.5f    // m
#define ROAD_TRIES 5u    // candidates of which one has to keep to the road
#define EXACT_RUNS 3u    // after which what lies in the ranges is good enough
#define NEAR_ENOUGH 0.1f // of a range
#define NARROW 0.05f     // of the pressure's range that is not worth another run

nm_resample_work *nm_resample_work_create(nm_model *model, const nm_recipe *recipe) {
    nm_resample_work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    work->model = model;
    work->recipe = recipe;
    work->stage = nm_manoeuvre_work_create();
    if (work->stage) return work;
    free(work);
    return NULL;
}

void nm_resample_work_destroy(nm_resample_work *work) {
    if (!work) return;
    nm_manoeuvre_work_destroy(work->stage);
    nm_model_futures_destroy(work->futures);
    free(work);
}

// --- staging ---------------------------------------------------------------------------------------------------------

void nm_suppose_course(nm_attempt *a) {
    nm_course *course = &a->work->course;
    course->count = a->request->steps + 1;
    for (uint32_t t = 0; t < course->count; t++) {
        course->s[t] = a->start_s + a->start_speed * (float)t * NM_STEP_SECONDS;
        course->v[t] = a->start_speed;
        course->d[t] = 0;
    }
    a->work->undisturbed = *course;
}

// Is [from, to] m of the ego's way free of junctions?
static int plain_way(const nm_attempt *a, float from, float to) {
    const nm_drive_line *line = &a->work->ego_line;
    const nm_map *map = a->base->map;
    if (from < nm_drive_line_first(line) || to > nm_drive_line_last(line)) return 0;
    uint32_t at = 0;
    while (at < line->lane_count && line->lanes[at] != a->place.ego_lane) at++;
    float start = -a->place.ego_s; // of the lane
    for (uint32_t i = at; i-- > 0;) start -= map->lanes[line->lanes[i]].length;
    for (uint32_t i = 0; i < line->lane_count; i++) {
        const nm_lane *lane = &map->lanes[line->lanes[i]];
        if ((lane->flags & NM_LANE_JUNCTION) && start < to && start + lane->length > from) return 0;
        start += lane->length;
    }
    return 1;
}

// Who drifts is compared with how it drives before and after: there must be lanes for that.
static int drifts_in_lane(const nm_attempt *a) {
    if (a->spec->kind != NM_KIND_LANE_DRIFT) return 1;
    const float stays = nm_attempt_value(a, NM_PARAM_DURATION) + DRIFT_QUIET;
    return plain_way(a, -DRIFT_QUIET * a->start_speed, stays * a->start_speed);
}

static nm_reject set_scene(nm_drawing *d, uint32_t try) {
    nm_attempt *a = &d->a;
    nm_manoeuvre_work *work = a->work;
    nm_cast_moment(d, try);
    a->place = work->places[nm_rng_below(&d->key, 60 + try, (uint32_t)work->place_count)];
    memcpy(a->drawn, a->out->drawn, sizeof a->drawn);
    memcpy(a->value, a->out->drawn, sizeof a->value);
    memcpy(a->aim, a->out->drawn, sizeof a->aim);
    memset(d->bias, 0, sizeof d->bias);
    a->taken_count = a->more_count = 0;
    a->start_d = a->start_turn = 0;
    nm_reject reject = nm_plan_setup(a);
    if (reject != NM_REJECT_NONE) return reject;
    // waiting for those who fit is worth it only where there is somebody
    const uint32_t wanted = a->base->track_count < 2 ? 0 : try < PAIR_TRIES && d->habit.recorded ? 2 : try < CAST_TRIES;
    if (nm_cast_roles(d) < wanted) return NM_REJECT_EGO_ELSEWHERE;
    reject = drifts_in_lane(a) ? nm_plan_scripts(a) : NM_REJECT_NO_ROOM;
    if (reject != NM_REJECT_NONE) return reject;
    if (nm_plan_blind(a, a->blind) != NM_REJECT_NONE) return NM_REJECT_NO_ROOM;
    return nm_stage_signals(a) ? NM_REJECT_NONE : NM_REJECT_SIGNALS;
}

// Who drives along with the ego needs to know where it is all the time.
static int keeps_line(const nm_attempt *a) {
    const nm_course *course = &a->work->course;
    if (a->spec->kind != NM_KIND_TAILGATE && a->spec->kind != NM_KIND_LANE_DRIFT) return 1;
    for (uint32_t t = 0; t < course->count; t++)
        if (fabsf(course->d[t]) > OFF_LINE || course->s[t] > nm_drive_line_last(&a->work->ego_line)) return 0;
    return 1;
}

// A scene in which the ego comes to the place. Its course on its own is the first of its likely futures.
static nm_status prepare(nm_drawing *d, nm_error *error) {
    nm_attempt *a = &d->a;
    for (; a->tries < PLACE_TRIES; a->tries++) {
        a->out->reject = set_scene(d, a->tries);
        if (a->out->reject != NM_REJECT_NONE) continue;
        nm_stage_build(a);
        nm_status status = nm_stage_open(a, error);
        if (status != NM_OK) return status;
        if (nm_stage_ego_comes(a) && keeps_line(a)) {
            a->tries++;
            d->work->likely_count = 0;
            a->work->undisturbed = a->work->course;
            nm_likely_add(d, 1, 0, 0);
            return nm_resample_ask_model(d, error);
        }
        a->out->reject = NM_REJECT_EGO_ELSEWHERE;
        nm_world_destroy(a->world);
        a->world = NULL;
    }
    return NM_OK;
}

// --- drawing ---------------------------------------------------------------------------------------------------------

// Draws one of the candidates and lays its scripts; 0 and a reject when none can be driven.
static int draw(nm_drawing *d, nm_choice *chosen) {
    nm_attempt *a = &d->a;
    nm_resample_work *work = d->work;
    float wanted[NM_KIND_MAX_PARAMS];
    memcpy(wanted, a->value, sizeof wanted);
    nm_reject first = NM_REJECT_NONE;
    for (uint32_t i = 0; i < NM_CHOICES; i++) {
        nm_choice *choice = &work->choice[i];
        memcpy(a->value, wanted, sizeof wanted);
        nm_choice_draw(d, i, choice);
        work->log_weight[i] = -INFINITY;
        const nm_reject reject = nm_choice_realise(d, choice);
        if (first == NM_REJECT_NONE) first = reject;
        if (reject != NM_REJECT_NONE) continue;
        nm_choice_weigh(d, choice);
        work->log_weight[i] = choice->plausibility + choice->odds - choice->proposal;
    }
    a->out->reject = first == NM_REJECT_NONE ? NM_REJECT_NO_CANDIDATE : first;
    d->round++;
    for (uint32_t try = 0; try < ROAD_TRIES; try++) { // whether it keeps to the road takes long to find out
        const uint32_t best =
            nm_resample_pick(work->log_weight, NM_CHOICES, &d->key, 200 + d->round * ROAD_TRIES + try);
        if (best == NM_NONE) return 0;
        *chosen = work->choice[best];
        work->log_weight[best] = -INFINITY;
        a->out->reject = nm_choice_realise(d, chosen);
        a->shown = a->shown > TAKES_OVER ? a->shown - TAKES_OVER : 0;
        if (a->out->reject == NM_REJECT_NONE) a->out->reject = nm_plan_check(a);
        d->followed = chosen->expected;
        if (a->out->reject == NM_REJECT_NONE) return 1;
    }
    return 0;
}

nm_status nm_resample_play(nm_drawing *d, nm_error *error) {
    nm_attempt *a = &d->a;
    nm_case *out = a->out;
    for (uint32_t role = NM_ROLE_ADVERSARY; role < NM_ROLES + a->more_count; role++)
        if (role != NM_ROLE_OTHER || a->has_other) nm_stage_script(a, role);
    nm_stage_run(a, a->request->steps, 0);
    d->runs++;
    nm_stage_close(a, a->request->steps);
    out->ego = NM_ROLE_EGO;
    out->adversary = NM_ROLE_ADVERSARY;
    out->other = a->has_other ? NM_ROLE_OTHER : NM_NONE;
    memcpy(out->requested, a->value, sizeof out->requested);
    return nm_case_confirm(&a->work->take.scene, a->request, a->work->arena, &a->work->criticality, out, error);
}

// 1 = more danger is needed, -1 = less, 0 = neither helps.
static int correction(const nm_drawing *d) {
    const nm_case *out = d->a.out;
    switch (out->reject) {
    case NM_REJECT_TOO_MILD:
        return 1;
    case NM_REJECT_TOO_HARD:
        return -1;
    case NM_REJECT_NOT_FOUND: // what the detectors do not see was too harmless, or cut short by a collision
        return out->contact ? -1 : 1;
    default:
        return 0;
    }
}

// Would the scene be refused? What is confirmed may still drive off the road or against a rule.
nm_status nm_resample_judge(nm_drawing *d, int *valid, nm_error *error) {
    nm_attempt *a = &d->a;
    const nm_case *out = a->out;
    uint32_t others[NM_SCRIPTS] = {out->adversary}, count = 1;
    if (out->other != NM_NONE) others[count++] = out->other;
    for (uint32_t i = 0; i < a->more_count; i++) others[count++] = nm_stage_track(a, NM_ROLES + i);
    const nm_conflict_case conflict = {.scene = &a->work->take.scene,
                                       .ego = out->ego,
                                       .adversaries = others,
                                       .adversary_count = count,
                                       .begin = a->shown,
                                       .event = &out->event};
    nm_validity_params params = nm_validity_params_default();
    params.violations = a->spec->violations;
    params.from = 0; // of the recording is the first step alone
    nm_validity validity;
    const nm_status status = nm_validity_of(&conflict, &params, a->work->arena, &validity, error);
    *valid = status == NM_OK && validity.valid;
    return status;
}

// What was confirmed lies within the ranges, but perhaps not where it was wanted: then ranges would not be covered as
// they are drawn from.
static int comes_near(const nm_drawing *d) {
    const nm_attempt *a = &d->a;
    for (size_t i = 0; i < a->spec->param_count; i++) {
        const nm_kind_param_id id = a->spec->params[i].id;
        const nm_kind_range *range = &a->request->ranges.range[i];
        if (id == NM_PARAM_EGO_SPEED || id == NM_PARAM_MIN_TTC || id == NM_PARAM_REACTION) continue;
        const float most = nm_maxf(nm_kind_tolerance(id), NEAR_ENOUGH * (range->high - range->low));
        if (fabsf(a->out->achieved[i] - a->out->requested[i]) > most) return 0; // not where it cannot be measured
    }
    return 1;
}

static nm_status search(nm_drawing *d, nm_error *error) {
    nm_attempt *a = &d->a;
    nm_case *out = a->out;
    float mild = -1, hard = 1, pressure = 0;
    nm_reject worst = NM_REJECT_NONE;
    for (uint32_t run = 0; run < (run == 0 || a->movable ? RUNS : UNMOVED_RUNS) && d->runs < MOST_RUNS; run++) {
        nm_choice choice;
        nm_attempt_press(a, pressure);
        if (!draw(d, &choice)) {
            worst = worst == NM_REJECT_NONE ? out->reject : worst;
            pressure *= 0.5f; // nearer to what was drawn
            if (fabsf(pressure) < NARROW) break;
            continue;
        }
        int valid = 0;
        nm_status status = nm_resample_play(d, error);
        if (status == NM_OK && out->reject == NM_REJECT_NONE) {
            const int near = run >= EXACT_RUNS || comes_near(d);
            if (near) status = nm_resample_judge(d, &valid, error);
            out->reject = valid ? NM_REJECT_NONE : near ? NM_REJECT_NO_CANDIDATE : NM_REJECT_PARAMETERS;
        }
        if (status != NM_OK || valid) return status;
        worst = out->reject;
        nm_bias_learn(d);
        nm_likely_add(d, 3, 1, out->contact);
        const int more = correction(d);
        if (more > 0) mild = pressure;
        if (more < 0) hard = pressure;
        if (hard - mild < NARROW) break;
        if (more != 0) pressure = 0.5f * (mild + hard);
    }
    out->reject = worst;
    return NM_OK;
}

// --- attempts --------------------------------------------------------------------------------------------------------

static nm_status finish(nm_drawing *d, nm_error *error) {
    nm_attempt *a = &d->a;
    nm_resample_work *work = d->work;
    char members[160], weights[48] = "";
    if (a->request->model_candidates > 0) {
        if (!work->hashed) {
            const nm_status status = nm_model_hash(work->model, &work->weights, error);
            if (status != NM_OK) return status;
            work->hashed = 1;
        }
        snprintf(weights, sizeof weights, ",\"weights\":\"%016" PRIx64 "\"", work->weights);
    }
    snprintf(members, sizeof members, "\"moment\":%u,\"recorded\":%u,\"expected\":%u%s", a->start_step, a->taken_count,
             d->followed, weights);
    a->members = members;
    memcpy(a->out->drawn, a->drawn, sizeof a->out->drawn);
    return nm_stage_publish(a, error);
}

static nm_status stagings(nm_drawing *d, nm_error *error) {
    nm_attempt *a = &d->a;
    nm_case *out = a->out;
    nm_reject before = NM_REJECT_NONE;
    nm_status status = NM_OK;
    for (out->stagings = 0; out->stagings < STAGINGS && a->tries < PLACE_TRIES && d->runs < MOST_RUNS;) {
        out->reject = NM_REJECT_NONE;
        status = prepare(d, error);
        if (status == NM_OK && out->reject == NM_REJECT_NONE) {
            status = search(d, error);
            if (status == NM_OK && out->reject == NM_REJECT_NONE) status = nm_resample_more(d, error);
            if (status == NM_OK && out->reject == NM_REJECT_OTHERS && nm_stage_leave_out(a)) {
                a->tries--; // there again, without them
            } else {
                out->stagings++;
                a->left_out_count = 0;
            }
        } else if (before != NM_REJECT_NONE) {
            out->reject = before; // what stopped the manoeuvre says more than that no further place was found
        }
        if (status == NM_OK && out->reject == NM_REJECT_NONE) status = finish(d, error);
        nm_world_destroy(a->world);
        a->world = NULL;
        if (status != NM_OK || out->reject == NM_REJECT_NONE) break;
        before = out->reject;
    }
    return status;
}

nm_status nm_resample_attempt(nm_resample_work *work, const nm_scene *scene, const nm_case_request *request,
                              uint64_t index, nm_case *out, nm_error *error) {
    NM_ASSERT(work && scene && request && out);
    memset(out, 0, sizeof *out);
    nm_drawing d = {.work = work,
                    .habit = nm_habit_of(&request->ranges),
                    .key = {.seed = request->seed,
                            .scene = index,
                            .agent = (uint32_t)request->ranges.kind,
                            .step = 2,
                            .purpose = NM_PURPOSE_KIND}};
    d.a = (nm_attempt){.work = work->stage,
                       .base = scene,
                       .request = request,
                       .spec = nm_kind_spec_of(request->ranges.kind),
                       .index = index,
                       .out = out};
    d.a.idm = request->idm ? *request->idm : *nm_idm_named("nearmiss");
    if (!request->idm) d.a.idm.lane_changes = 0; // so that the ego is where it is expected
    if (request->model_candidates > 0 && (!work->model || !work->recipe))
        return NM_ERROR(error, NM_E_UNSUPPORTED, "candidates from a model were asked for, but there is no model");
    nm_kind_sample(&request->ranges, request->sampling, request->seed, index, out->drawn);
    nm_status status = nm_stage_places(work->stage, scene->map, request->ranges.kind, error);
    if (status == NM_OK) status = nm_stage_reserve(&d.a, error);
    if (status != NM_OK) return status;
    if (work->stage->place_count == 0) return nm_kind_check_map(scene->map, request->ranges.kind, error);
    return stagings(&d, error);
}
