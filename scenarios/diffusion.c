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

nm_diffusion_settings nm_diffusion_settings_default(void) {
    nm_diffusion_settings s = {.history = NM_TOKEN_STEPS,
                               .levels = 8,
                               .schedule = {.kind = NM_SCHEDULE_PYRAMID, .slope = 1.0},
                               .guidance = nm_future_guidance_default(),
                               .goal = 0,
                               .rungs = {{1, 0.5f}, {1, 0.7f}, {1, 0.9f}, {1, 0.97f}},
                               .rung_count = NM_DIFFUSION_RUNGS};
    s.guidance.adversarial = 0.5f;
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
    uint32_t meets; ///< step at which ego and the one it is to meet are closest in the plan
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

static nm_status drive(diffusion *d, uint32_t try, const nm_scene **out, nm_error *error) {
    const nm_diffusion_settings *settings = &d->work->settings;
    const nm_diffusion_rung *rung = &settings->rungs[try];
    const nm_scene *scene = d->plan.scene;
    const uint32_t roles[2] = {d->plan.adversary, d->plan.other};
    nm_loop_plan plans[2];
    nm_loop_request r = nm_loop_request_default(scene);
    for (int i = 0; i < 2; i++) {
        if (!moves(scene, roles[i])) continue;
        nm_loop_plan *plan = &plans[r.plan_count++];
        *plan = nm_loop_plan_default(roles[i]);
        plan->most = rung->most;
        plan->pull = rung->pull;
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
    r.ego = d->request->ego;
    r.custom = d->request->custom;
    r.idm = &d->idm;
    r.notices = d->drive.notices;
    r.seed = d->request->seed;
    r.sample = try;
    r.drivers = d->drive.seed;
    r.drivers_scene = d->drive.scene;
    d->plan.simulations++;
    return nm_closed_loop_run(d->work->loop, &r, out, error);
}

static nm_status add_tracks(const nm_scene *from, uint32_t steps, nm_scene_builder *builder, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t track = 0; status == NM_OK && track < from->track_count; track++) {
        const nm_track *info = &from->tracks[track];
        const nm_track_def def = {.id = info->source_id,
                                  .type = (nm_agent_type)info->type,
                                  .flags = info->flags,
                                  .length = info->length,
                                  .width = info->width,
                                  .height = info->height};
        uint32_t index;
        status = nm_scene_builder_add_track(builder, &def, &index, error);
        for (uint32_t t = info->first_step; status == NM_OK && t <= info->last_step && t < steps; t++) {
            nm_state state;
            if (!nm_scene_get_state(from, track, t, &state)) continue;
            status = nm_scene_builder_add_local_state(builder, index, t, &state, error);
        }
    }
    return status;
}

// The first steps of `from`, as long as the plan, with its signals and tags.
static nm_status cut(const diffusion *d, const nm_scene *from, const char *recipe, const nm_scene **out,
                     nm_error *error) {
    nm_scene_builder *builder = d->work->builder;
    const nm_scene *plan = d->plan.scene;
    const nm_provenance *parent = &d->base->provenance;
    const uint32_t steps = plan->step_count;
    nm_scene_builder_reset(builder);
    nm_status status = nm_scene_builder_begin(builder, plan->map, (double)plan->dt, steps, error);
    if (status == NM_OK) status = add_tracks(from, steps, builder, error);
    for (uint32_t i = 0; plan->signal_states && i < plan->map->signal_count; i++)
        for (uint32_t t = 0; status == NM_OK && t < steps; t++)
            status = nm_scene_builder_set_signal(builder, i, t,
                                                 (nm_signal_state)plan->signal_states[(size_t)i * steps + t], error);
    for (uint32_t i = 0; status == NM_OK && i < plan->tag_count; i++)
        status = nm_scene_builder_add_tag(builder, plan->tags[i], error);
    const nm_provenance provenance = {.source = nm_case_generator_name(NM_CASE_DIFFUSION),
                                      .file = parent->file,
                                      .scene_id = parent->scene_id,
                                      .record = parent->record,
                                      .program = "nearmiss " NM_VERSION,
                                      .seed = d->request->seed,
                                      .parent = d->base->hash,
                                      .parameters = recipe};
    if (status == NM_OK) status = nm_scene_builder_set_provenance(builder, &provenance, error);
    if (status != NM_OK) return status;
    nm_scene_builder_set_current(builder, plan->current_step, plan->ego);
    return nm_scene_builder_build(builder, out, error);
}

static nm_status judge(const diffusion *d, const nm_case *made, int *valid, nm_error *error) {
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
    nm_arena_reset(d->work->scratch);
    const nm_status status = nm_validity_of(&conflict, &params, d->work->scratch, &validity, error);
    *valid = status == NM_OK && validity.valid;
    return status;
}

// One try; *valid tells whether what is kept is fit to be.
static nm_status attempt(diffusion *d, uint32_t try, nm_case *out, int *valid, nm_error *error) {
    const nm_scene *driven = NULL;
    *valid = 0;
    nm_status status = drive(d, try, &driven, error);
    if (status != NM_OK) return status;
    *out = d->plan;
    out->scene = NULL;
    status = cut(d, driven, "{}", &out->scene, error);
    nm_scene_destroy(driven);
    if (status == NM_OK)
        status = nm_case_confirm(out->scene, d->request, d->work->arena, &d->work->criticality, out, error);
    if (status == NM_OK && out->reject == NM_REJECT_NONE) status = judge(d, out, valid, error);
    if (status == NM_OK && out->reject == NM_REJECT_NONE) return NM_OK;
    nm_scene_destroy(out->scene);
    out->scene = NULL;
    return status;
}

static nm_status publish(const diffusion *d, uint32_t try, nm_case *out, nm_error *error) {
    const nm_scene *bare = out->scene;
    char members[160], recipe[NM_CASE_RECIPE];
    snprintf(members, sizeof members,
             "\"weights\":\"%016" PRIx64 "\",\"sample\":%u,\"pull\":%.9g,\"noise\":%.9g,\"passes\":%" PRIu64,
             d->work->weights, try, (double)d->work->settings.rungs[try].pull,
             (double)d->work->settings.rungs[try].most / d->work->settings.levels,
             nm_closed_loop_passes(d->work->loop));
    out->scene = NULL;
    nm_status status = nm_case_write_recipe(d->base, d->request, d->index, out, members, recipe, error);
    if (status == NM_OK) status = cut(d, bare, recipe, &out->scene, error);
    nm_scene_destroy(bare);
    return status;
}

nm_status nm_diffusion_attempt(nm_diffusion_work *work, const nm_scene *scene, const nm_case_request *request,
                               uint64_t index, nm_case *out, nm_error *error) {
    NM_ASSERT(work && scene && request && out);
    diffusion d = {.work = work, .base = scene, .request = request, .index = index};
    d.idm = request->idm ? *request->idm : *nm_idm_named("nearmiss");
    if (!request->idm) d.idm.lane_changes = 0; // as in the manoeuvre
    nm_status status = nm_manoeuvre_attempt(work->manoeuvre, scene, request, index, &d.plan, error);
    if (status != NM_OK) return status;
    *out = d.plan;
    if (d.plan.reject != NM_REJECT_NONE) return NM_OK;
    d.drive = nm_manoeuvre_last(work->manoeuvre);
    d.meets = meeting_step(d.plan.scene, d.plan.ego, danger_of(&d));
    out->scene = NULL;
    status = open_loop(work, request, error);
    int valid = 0;
    uint32_t kept = 0;
    for (uint32_t try = 0; status == NM_OK && !valid && try < work->settings.rung_count; try++) {
        nm_scene_destroy(out->scene);
        kept = try;
        status = attempt(&d, try, out, &valid, error);
    }
    if (status == NM_OK && out->scene) status = publish(&d, kept, out, error);
    nm_scene_destroy(d.plan.scene);
    if (status == NM_OK) return NM_OK;
    nm_scene_destroy(out->scene);
    out->scene = NULL;
    return status;
}

nm_status nm_diffusion_check_weights(const char *parameters, const nm_model *model, nm_error *error) {
    static const char key[] = "\"weights\":\"";
    const char *at = strstr(parameters, key);
    char *end = NULL;
    const uint64_t made = at ? strtoull(at + sizeof key - 1, &end, 16) : 0;
    if (!at || end != at + sizeof key - 1 + 16 || *end != '"')
        return NM_ERROR(error, NM_E_FORMAT, "these are not the parameters of a scene made by diffusion");
    uint64_t weights;
    const nm_status status = nm_model_hash(model, &weights, error);
    if (status != NM_OK || weights == made) return status;
    return NM_ERROR(error, NM_E_FORMAT,
                    "the scene was made with the weights %016" PRIx64 "; those at hand are %016" PRIx64, made, weights);
}
