// Attempts: a manoeuvre as the plan, tries of the model at it, and what comes out judged.
#include "scenarios/diffusion.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/diffusion_internal.h"
#include "scenarios/future_guidance.h"
#include "scenarios/validity.h"
#include "sim/geometry.h"

#define OFF_LANES (NM_VIOLATION_WRONG_WAY | NM_VIOLATION_LANE_KEEPING | NM_VIOLATION_OFF_ROAD)

nm_diffusion_settings nm_diffusion_settings_default(void) {
    nm_diffusion_settings s = {.history = NM_TOKEN_STEPS,
                               .levels = 2,
                               .schedule = {.kind = NM_SCHEDULE_PYRAMID, .slope = 1.0},
                               .guidance = nm_future_guidance_default(),
                               .goal = 1,
                               .unbound = 1,
                               .rungs = {{1, 0.15f}, {1, 0.5f}, {1, 0.8f}, {1, 0.97f}},
                               .rung_count = NM_DIFFUSION_RUNGS};
    s.guidance.adversarial = 0.5f;
    s.guidance.smooth = 0.6f;
    s.guidance.consistent = 0.5f;
    return s;
}

nm_diffusion_work *nm_diffusion_work_create(nm_model *model, const nm_recipe *recipe) {
    nm_diffusion_work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    work->model = model;
    work->recipe = recipe;
    work->settings = nm_diffusion_settings_default();
    work->manoeuvre = nm_manoeuvre_work_create();
    work->builder = nm_scene_builder_create();
    work->arena = nm_arena_create(0);
    work->scratch = nm_arena_create(0);
    if (work->manoeuvre && work->builder && work->arena && work->scratch) return work;
    nm_diffusion_work_destroy(work);
    return NULL;
}

void nm_diffusion_work_destroy(nm_diffusion_work *work) {
    if (!work) return;
    nm_closed_loop_destroy(work->loop);
    nm_manoeuvre_work_destroy(work->manoeuvre);
    nm_scene_builder_destroy(work->builder);
    nm_arena_destroy(work->arena);
    nm_arena_destroy(work->scratch);
    free(work);
}

// --- the model -------------------------------------------------------------------------------------------------------

// A loop for scenes of this size; kept for the next attempt.
static nm_status open_loop(nm_diffusion_work *work, const nm_case_request *request, nm_error *error) {
    const nm_diffusion_settings *settings = &work->settings;
    const uint32_t future = (request->steps - settings->history + NM_TOKEN_STEPS - 1) / NM_TOKEN_STEPS;
    const uint32_t agents = 3 + request->traffic;
    nm_status status = NM_OK;
    if (!work->hashed) status = nm_model_hash(work->model, &work->weights, error);
    if (status != NM_OK) return status;
    work->hashed = 1;
    if (work->loop && work->future == future && work->agents >= agents) return NM_OK;
    nm_closed_loop_destroy(work->loop);
    work->loop = NULL;
    nm_closed_loop_config config = nm_closed_loop_config_default();
    config.generator.levels = settings->levels;
    config.generator.schedule = settings->schedule;
    config.agents = agents;
    config.future = future;
    config.guidance = settings->guidance;
    work->future = future;
    work->agents = agents;
    return nm_closed_loop_create(work->model, work->recipe, &config, &work->loop, error);
}

// --- the plan --------------------------------------------------------------------------------------------------------

typedef struct diffusion {
    nm_diffusion_work *work;
    const nm_scene *base;
    const nm_case_request *request;
    uint64_t index;
    nm_case plan; ///< the manoeuvre
    nm_manoeuvre_drive drive;
    nm_idm_params idm;
    uint32_t kept_try, kept_rung; ///< of the try that is best
    uint64_t passes;              ///< likewise
    uint32_t meets;               ///< step at which ego and the one it is to meet are closest in the plan
} diffusion;

// Whom the ego comes close to.
static uint32_t danger_of(const diffusion *d) {
    return d->request->ranges.kind == NM_KIND_CUT_OUT ? d->plan.other : d->plan.adversary;
}

// First contact, or where the two come closest.
static uint32_t meeting_step(const nm_scene *scene, uint32_t ego, uint32_t other) {
    float least = INFINITY;
    uint32_t step = 0;
    for (uint32_t t = 0; t < scene->step_count && least > 0; t++) {
        nm_box a, b;
        if (!nm_scene_box(scene, ego, t, &a) || !nm_scene_box(scene, other, t, &b)) continue;
        const float distance = nm_box_distance(&a, &b);
        if (distance >= least) continue;
        least = distance;
        step = t;
    }
    return step;
}

// What the adversary is to be steered into, where guidance knows such a conflict: from behind and from beside it does
// not.
static int aim_of(nm_kind kind, nm_conflict_aim *aim) {
    switch (kind) {
    case NM_KIND_CUT_IN:
    case NM_KIND_MERGE_CONFLICT:
    case NM_KIND_PARKED_PULL_OUT:
        *aim = NM_AIM_CUT_IN;
        return 1;
    case NM_KIND_HARD_BRAKE:
    case NM_KIND_CHAIN_BRAKE:
    case NM_KIND_CUT_OUT:
    case NM_KIND_RIGHT_TURN_CONFLICT:
        *aim = NM_AIM_REAR_END;
        return 1;
    case NM_KIND_UNPROTECTED_LEFT_TURN:
    case NM_KIND_CROSSING_CONFLICT:
    case NM_KIND_RED_LIGHT_RUNNER:
    case NM_KIND_PEDESTRIAN_CROSSING:
    case NM_KIND_OCCLUDED_PEDESTRIAN:
    case NM_KIND_CYCLIST_CROSSING:
    case NM_KIND_SUDDEN_U_TURN:
        *aim = NM_AIM_CROSSING;
        return 1;
    case NM_KIND_WRONG_WAY:
    case NM_KIND_HEAD_ON:
        *aim = NM_AIM_HEAD_ON;
        return 1;
    default:
        return 0;
    }
}

// --- tries -----------------------------------------------------------------------------------------------------------

static int moves(const nm_scene *scene, uint32_t track) {
    return track != NM_NONE && !(scene->tracks[track].flags & NM_TRACK_STATIC);
}

static nm_status drive(diffusion *d, uint32_t rung_index, uint32_t try, const nm_scene **out, nm_error *error) {
    const nm_diffusion_settings *settings = &d->work->settings;
    const nm_diffusion_rung *rung = &settings->rungs[rung_index];
    const nm_scene *scene = d->plan.scene;
    const uint32_t roles[2] = {d->plan.adversary, d->plan.other};
    const nm_kind_spec *spec = nm_kind_spec_of(d->request->ranges.kind);
    nm_loop_plan plans[2];
    nm_loop_request r = nm_loop_request_default(scene);
    for (int i = 0; i < 2; i++) {
        if (!moves(scene, roles[i])) continue;
        nm_loop_plan *plan = &plans[r.plan_count++];
        *plan = nm_loop_plan_default(roles[i]);
        plan->most = rung->most;
        plan->pull = rung->pull;
        plan->unbound = settings->unbound > 1 || (settings->unbound && spec->violations & OFF_LANES);
        if (settings->goal)
            plan->goal = scene->step_count - 1 - (scene->step_count - 1 - settings->history) % NM_TOKEN_STEPS;
    }
    nm_loop_adversary adversary = {.track = danger_of(d), .step = d->meets};
    r.current_step = settings->history;
    r.plans = plans;
    r.adversaries = &adversary;
    r.adversary_count = d->request->ranges.severity == NM_SEVERITY_COLLISION && settings->guidance.adversarial > 0 &&
                        moves(scene, adversary.track) && d->meets > settings->history &&
                        aim_of(d->request->ranges.kind, &adversary.aim);
    // whom guidance cannot steer must not be kept apart by it either
    r.touching = d->request->ranges.severity == NM_SEVERITY_COLLISION && !r.adversary_count;
    r.ego = d->request->ego;
    r.custom = d->request->custom;
    r.idm = &d->idm;
    r.notices = d->drive.notices;
    r.seed = d->request->seed;
    r.sample = settings->sample + try;
    r.drivers = d->drive.seed;
    r.drivers_scene = d->drive.scene;
    d->plan.simulations++;
    return nm_closed_loop_run(d->work->loop, &r, out, error);
}

// The first steps of `from`, as long as the plan.
static nm_status cut(const diffusion *d, const nm_scene *from, const char *recipe, const nm_scene **out,
                     nm_error *error) {
    const nm_scene *plan = d->plan.scene;
    const nm_case_footage footage = {.take = from, .signals = plan, .current = plan->current_step, .ego = plan->ego};
    return nm_case_build(&footage, d->base, d->request, recipe, d->work->builder, out, error);
}

// How good a try is.
typedef enum grade {
    GRADE_REJECTED = 0,
    GRADE_CONFIRMED, // what was asked for, but not fit to be kept
    GRADE_VALID,     // ego and roles are
    GRADE_ALL_VALID  // everybody is
} grade;

static nm_status judge(const diffusion *d, const nm_case *made, int everyone, int *valid, nm_error *error) {
    const uint32_t others[2] = {made->adversary, made->other};
    const nm_conflict_case conflict = {.scene = made->scene,
                                       .ego = made->ego,
                                       .adversaries = others,
                                       .adversary_count = made->other != NM_NONE ? 2 : 1,
                                       .begin = made->scene->current_step,
                                       .event = &made->event};
    nm_validity_params params = nm_validity_params_default();
    nm_validity validity;
    params.violations = nm_kind_spec_of(d->request->ranges.kind)->violations;
    params.everyone = everyone;
    nm_arena_reset(d->work->scratch);
    const nm_status status = nm_validity_of(&conflict, &params, d->work->scratch, &validity, error);
    *valid = status == NM_OK && validity.valid;
    return status;
}

// Is the scene what was asked for, and fit to be kept? Fills in what `out` says of it.
static nm_status rate(const diffusion *d, nm_case *out, grade *g, nm_error *error) {
    int valid = 0, all = 0;
    *g = GRADE_REJECTED;
    nm_status status = nm_case_confirm(out->scene, d->request, d->work->arena, &d->work->criticality, out, error);
    if (status != NM_OK || out->reject != NM_REJECT_NONE) return status;
    status = judge(d, out, 0, &valid, error);
    if (status == NM_OK && valid) status = judge(d, out, 1, &all, error);
    *g = all ? GRADE_ALL_VALID : valid ? GRADE_VALID : GRADE_CONFIRMED;
    return status;
}

// One try; its scene is the caller's, kept or not.
static nm_status attempt(diffusion *d, uint32_t rung, uint32_t try, nm_case *out, grade *g, nm_error *error) {
    const nm_scene *driven = NULL;
    nm_status status = drive(d, rung, try, &driven, error);
    *out = d->plan;
    out->scene = NULL;
    if (status == NM_OK) status = cut(d, driven, "{}", &out->scene, error);
    nm_scene_destroy(driven);
    return status == NM_OK ? rate(d, out, g, error) : status;
}

// The best of the tries into `best`: the first that is fit in all respects, else the first of those that are fittest.
// Closer to the plan goes only what is not fit for its roles; where it is others who are not, another noise will do.
static nm_status climb(diffusion *d, uint32_t tries, nm_case *best, nm_error *error) {
    grade most = GRADE_REJECTED, now = GRADE_REJECTED;
    nm_status status = NM_OK;
    uint32_t try = 0, rung = 0;
    for (; status == NM_OK && most != GRADE_ALL_VALID && try < tries; try++) {
        nm_case made;
        status = attempt(d, rung, try, &made, &now, error);
        const int better = status == NM_OK && (try == 0 || now > most);
        nm_scene_destroy(better ? best->scene : made.scene);
        if (better) {
            *best = made;
            most = now;
            d->kept_try = try;
            d->kept_rung = rung;
            d->passes = nm_closed_loop_passes(d->work->loop);
        }
        if (now < GRADE_VALID) rung++;
    }
    best->simulations = d->plan.simulations;
    // what is said of the events is that of the last try
    return status == NM_OK && d->kept_try + 1 < try ? rate(d, best, &now, error) : status;
}

static nm_status publish(const diffusion *d, nm_case *out, nm_error *error) {
    const nm_scene *bare = out->scene;
    const nm_diffusion_rung *rung = &d->work->settings.rungs[d->kept_rung];
    char members[160], recipe[NM_CASE_RECIPE];
    snprintf(members, sizeof members,
             "\"weights\":\"%016" PRIx64 "\",\"sample\":%u,\"pull\":%.9g,\"noise\":%.9g,\"passes\":%" PRIu64,
             d->work->weights, d->work->settings.sample + d->kept_try, (double)rung->pull,
             (double)rung->most / d->work->settings.levels, d->passes);
    out->scene = NULL;
    nm_status status = nm_case_write_recipe(d->base, d->request, d->index, out, members, recipe, error);
    if (status == NM_OK) status = cut(d, bare, recipe, &out->scene, error);
    nm_scene_destroy(bare);
    return status;
}

// What is wrong with the manoeuvre itself is not mended by driving it another way: its reject, or how many tries are
// worth their while.
static nm_status examine(diffusion *d, uint32_t *tries, nm_error *error) {
    grade g = GRADE_REJECTED;
    *tries = 0;
    if (d->plan.reject != NM_REJECT_NONE) return NM_OK;
    const nm_status status = rate(d, &d->plan, &g, error);
    if (status == NM_OK && g != GRADE_REJECTED) *tries = g == GRADE_CONFIRMED ? 1 : d->work->settings.rung_count;
    return status;
}

nm_status nm_diffusion_attempt(nm_diffusion_work *work, const nm_scene *scene, const nm_case_request *request,
                               uint64_t index, nm_case *out, nm_error *error) {
    NM_ASSERT(work && scene && request && out);
    diffusion d = {.work = work, .base = scene, .request = request, .index = index};
    d.idm = request->idm ? *request->idm : *nm_idm_named("nearmiss");
    if (!request->idm) d.idm.lane_changes = 0; // as in the manoeuvre
    nm_status status = nm_manoeuvre_attempt(work->manoeuvre, scene, request, index, &d.plan, error);
    uint32_t tries;
    if (status != NM_OK) return status;
    status = examine(&d, &tries, error);
    *out = d.plan;
    out->scene = NULL;
    if (status == NM_OK && tries) {
        d.drive = nm_manoeuvre_last(work->manoeuvre);
        d.meets = meeting_step(d.plan.scene, d.plan.ego, danger_of(&d));
        status = open_loop(work, request, error);
        if (status == NM_OK) status = climb(&d, tries, out, error);
    }
    const int fit = status == NM_OK && out->scene && out->reject == NM_REJECT_NONE;
    if (fit) status = publish(&d, out, error);
    nm_scene_destroy(d.plan.scene);
    if (fit && status == NM_OK) return NM_OK;
    nm_scene_destroy(out->scene);
    out->scene = NULL;
    return status;
}
