// Requests, and which generator they go to.
#include "scenarios/case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/diffusion.h"
#include "scenarios/manoeuvre.h"
#include "scenarios/places.h"
#include "scenarios/resample.h"
#include "sim/world.h"

static const char *const generator_names[NM_CASE_GENERATOR_COUNT] = {"manoeuvre", "resample", "diffusion"};

const char *nm_case_generator_name(nm_case_generator generator) {
    NM_ASSERT((unsigned)generator < NM_CASE_GENERATOR_COUNT);
    return generator_names[generator];
}

int nm_case_generator_from_name(const char *name, nm_case_generator *generator) {
    for (int i = 0; i < NM_CASE_GENERATOR_COUNT; i++)
        if (strcmp(generator_names[i], name) == 0) {
            *generator = (nm_case_generator)i;
            return 1;
        }
    return 0;
}

nm_case_request nm_case_request_default(void) {
    nm_case_request request = {
        .ego = NM_POLICY_IDM, .start_step = NM_NONE, .steps = 100, .traffic = 6, .adversaries = 1};
    nm_kind_ranges_default(NM_KIND_CUT_IN, NM_SEVERITY_NEAR_MISS, &request.ranges, NULL);
    return request;
}

static const char *const reject_names[NM_REJECT_COUNT] = {"none",    "ego_speed",  "no_room",     "ego_elsewhere",
                                                          "signals", "parameters", "too_mild",    "too_hard",
                                                          "others",  "not_found",  "no_candidate"};

const char *nm_reject_name(nm_reject reject) {
    NM_ASSERT((unsigned)reject < NM_REJECT_COUNT);
    return reject_names[reject];
}

nm_status nm_case_check(const nm_scene *scene, const nm_case_request *request, nm_error *error) {
    NM_ASSERT(scene && request);
    const uint32_t start = request->start_step == NM_NONE ? scene->current_step : request->start_step;
    if ((unsigned)request->generator >= NM_CASE_GENERATOR_COUNT)
        return NM_ERROR(error, NM_E_ARGUMENT, "there is no generator %d", (int)request->generator);
    if (request->adversaries < 1 || request->adversaries > NM_CASE_MAX_ADVERSARIES)
        return NM_ERROR(error, NM_E_ARGUMENT, "1 to %u adversaries can be asked for, not %u", NM_CASE_MAX_ADVERSARIES,
                        request->adversaries);
    if (request->adversaries > 1 && request->generator != NM_CASE_RESAMPLE)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "%s makes cases with one adversary; resample with several",
                        nm_case_generator_name(request->generator));
    if (request->model_candidates > NM_CASE_MAX_MODEL_CANDIDATES)
        return NM_ERROR(error, NM_E_ARGUMENT, "at most %u candidates can come from the model, not %u",
                        NM_CASE_MAX_MODEL_CANDIDATES, request->model_candidates);
    if (request->model_candidates > 0 && request->generator != NM_CASE_RESAMPLE)
        return NM_ERROR(error, NM_E_ARGUMENT, "%s draws from no candidates; resample does",
                        nm_case_generator_name(request->generator));
    if (!(fabsf(scene->dt - NM_STEP_SECONDS) < 1e-4f))
        return NM_ERROR(error, NM_E_ARGUMENT, "the scene's time step is %g s; corner cases need 0.1 s: resample it",
                        (double)scene->dt);
    if (start >= scene->step_count)
        return NM_ERROR(error, NM_E_ARGUMENT, "start step %u is outside the scene's %u steps", start,
                        scene->step_count);
    if (request->steps < 60 || request->steps > 400)
        return NM_ERROR(error, NM_E_ARGUMENT, "a scene can have 60 to 400 steps, not %u", request->steps);
    if (request->generator == NM_CASE_DIFFUSION && request->steps > NM_DIFFUSION_STEPS)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "diffusion makes scenes of up to %u steps, not %u", NM_DIFFUSION_STEPS,
                        request->steps);
    if (request->traffic > NM_CASE_MAX_TRAFFIC)
        return NM_ERROR(error, NM_E_ARGUMENT, "at most %u others can be kept, not %u", NM_CASE_MAX_TRAFFIC,
                        request->traffic);
    if ((unsigned)request->ego >= NM_POLICY_COUNT || request->ego == NM_POLICY_LOG ||
        request->ego == NM_POLICY_EXTERNAL)
        return NM_ERROR(error, NM_E_ARGUMENT, "the ego cannot drive by %s here; idm, constant_velocity or custom can",
                        nm_policy_name(request->ego));
    if (request->ego == NM_POLICY_CUSTOM && !request->custom)
        return NM_ERROR(error, NM_E_ARGUMENT, "a custom policy was asked for but none was given");
    if ((unsigned)request->sampling >= NM_SAMPLING_COUNT)
        return NM_ERROR(error, NM_E_ARGUMENT, "there is no sampling %d", (int)request->sampling);
    nm_status status = nm_kind_ranges_check(&request->ranges, error);
    if (status == NM_OK) status = nm_kind_check_map(scene->map, request->ranges.kind, error);
    return status;
}

// --- attempts --------------------------------------------------------------------------------------------------------

struct nm_case_work {
    nm_model *model;         // nullable, borrowed
    const nm_recipe *recipe; // likewise
    nm_manoeuvre_work *manoeuvre;
    nm_resample_work *resample;
    nm_diffusion_work *diffusion;
};

nm_case_work *nm_case_work_create(nm_model *model, const nm_recipe *recipe) {
    nm_case_work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    work->model = model;
    work->recipe = recipe;
    return work;
}

void nm_case_work_destroy(nm_case_work *work) {
    if (!work) return;
    nm_manoeuvre_work_destroy(work->manoeuvre);
    nm_resample_work_destroy(work->resample);
    nm_diffusion_work_destroy(work->diffusion);
    free(work);
}

const nm_model *nm_case_work_model(const nm_case_work *work) {
    NM_ASSERT(work);
    return work->recipe ? work->model : NULL;
}

int nm_case_uses_model(const nm_case_request *request) {
    return request->generator == NM_CASE_DIFFUSION || request->model_candidates > 0;
}

nm_status nm_case_attempt(nm_case_work *work, const nm_scene *scene, const nm_case_request *request, uint64_t index,
                          nm_case *out, nm_error *error) {
    NM_ASSERT(work && scene && request && out);
    if (request->generator == NM_CASE_MANOEUVRE) {
        if (!work->manoeuvre) work->manoeuvre = nm_manoeuvre_work_create();
        if (!work->manoeuvre) return NM_ERROR(error, NM_E_MEMORY, "out of memory for making corner cases");
        return nm_manoeuvre_attempt(work->manoeuvre, scene, request, index, out, error);
    }
    if (request->generator == NM_CASE_RESAMPLE) {
        if (!work->resample) work->resample = nm_resample_work_create(work->model, work->recipe);
        if (!work->resample) return NM_ERROR(error, NM_E_MEMORY, "out of memory for making corner cases");
        return nm_resample_attempt(work->resample, scene, request, index, out, error);
    }
    if (!nm_case_work_model(work))
        return NM_ERROR(error, NM_E_UNSUPPORTED, "diffusion makes corner cases with a model, and there is none");
    if (!work->diffusion) work->diffusion = nm_diffusion_work_create(work->model, work->recipe);
    if (!work->diffusion) return NM_ERROR(error, NM_E_MEMORY, "out of memory for making corner cases");
    return nm_diffusion_attempt(work->diffusion, scene, request, index, out, error);
}

nm_status nm_case_again(nm_case_work *work, const nm_scene *parent, const char *parameters, nm_case *out,
                        nm_error *error) {
    NM_ASSERT(work && parent && parameters && out);
    nm_case_request request;
    uint64_t index;
    nm_status status = nm_case_parse(parameters, &request, &index, error);
    if (status == NM_OK) status = nm_case_check(parent, &request, error);
    if (status == NM_OK && nm_case_uses_model(&request) && work->model)
        status = nm_case_check_weights(parameters, work->model, error);
    return status == NM_OK ? nm_case_attempt(work, parent, &request, index, out, error) : status;
}
