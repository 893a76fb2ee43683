#include "tools/score_systems.h"

#include "tools/sampling_default.h"

#include <stdio.h>
#include <string.h>

#include "tools/attention_option.h"

static nm_status open_backend(nm_score_models *m, const nm_common *common, nm_dtype precision, nm_error *error) {
    nm_backend_config config = nm_backend_config_default();
    config.threads = (int)common->threads;
    config.compute = precision;
    return strcmp(common->device, "cuda") == 0 ? nm_backend_create_cuda(&config, &m->backend, error)
                                               : nm_backend_create_cpu(&config, &m->backend, error);
}

/// Two models of one name are told apart by their files: what is long differs at the end.
static void name_model(nm_score_models *m, uint32_t index, const char *path) {
    nm_score_model *one = &m->model[index];
    const size_t length = strlen(path), most = sizeof one->name - 1;
    snprintf(one->name, sizeof one->name, "%s", one->recipe.name);
    for (uint32_t i = 0; i < index; ++i)
        if (strcmp(m->model[i].name, one->name) == 0)
            snprintf(one->name, sizeof one->name, "%s", path + (length > most ? length - most : 0));
}

/// Futures at once. On the CPU one is quickest: what its passes keep stays in the cache, and other threads have others.
/// Candidates of a future are a batch of their own.
static uint32_t scenes_of(const nm_score_models *m, uint32_t candidates) {
    const int alone = m->backend->beside && candidates == 1;
    const uint32_t batch = m->sampling.batch ? m->sampling.batch : alone ? 1 : 8;
    return candidates < batch ? batch / candidates : 1;
}

static nm_status open_model(nm_score_models *m, uint32_t index, const char *path, nm_error *error) {
    nm_score_model *one = &m->model[index];
    const nm_score_sampling *s = &m->sampling;
    nm_status status = nm_recipe_load(path, m->backend, &one->model, &one->recipe, error);
    if (status != NM_OK) return status;
    name_model(m, index, path);
    status = nm_attention_option_apply(s->attention, one->model, error);
    if (status != NM_OK) return status;
    status = nm_energy_option_open(&s->energy, one->model, &one->recipe, &one->energy, error);
    for (uint32_t i = 0; status == NM_OK && i < s->schedules; ++i) {
        nm_model_futures_config c = nm_model_futures_config_default();
        c.generator.levels = s->levels;
        c.generator.solver = s->solver;
        c.generator.schedule = s->schedule[i];
        c.generator.seed = s->seed;
        c.guidance = s->guidance;
        if (!s->reduced || nm_sampling_fits(one->model, &one->recipe))
            c.generator.reuse = s->reuse;
        else
            c.guidance.ahead = NM_GUIDANCE_NO_LIMIT;
        c.generator.agreement = s->agreement;
        c.driver = s->driver;
        c.candidates = s->candidates;
        c.energy = one->energy;
        c.generator.scenes = scenes_of(m, c.candidates.count);
        c.stop = nm_cli_stop;
        status = nm_model_futures_create(one->model, &one->recipe, &c, &one->futures[i], error);
    }
    return status;
}

nm_status nm_score_models_open(const char *const *paths, uint32_t count, const nm_score_sampling *sampling,
                               const nm_common *common, nm_dtype precision, nm_score_models *models, nm_error *error) {
    *models = (nm_score_models){.count = count, .sampling = *sampling};
    if (!count) return NM_OK;
    nm_status status = open_backend(models, common, precision, error);
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) status = open_model(models, i, paths[i], error);
    if (status != NM_OK) nm_score_models_close(models);
    return status;
}

void nm_score_models_close(nm_score_models *m) {
    for (uint32_t i = 0; i < m->count; ++i) {
        for (uint32_t k = 0; k < m->sampling.schedules; ++k) nm_model_futures_destroy(m->model[i].futures[k]);
        nm_energy_destroy(m->model[i].energy);
        nm_model_destroy(m->model[i].model);
    }
    if (m->backend) nm_backend_destroy(m->backend);
    *m = (nm_score_models){0};
}

nm_status nm_score_futures(const nm_score_models *models, const nm_score_row *row, const nm_scene *scene,
                           const uint32_t *track, uint32_t agents, uint32_t samples, nm_arena *arena, nm_futures *out,
                           nm_future_cost *cost, nm_error *error) {
    if (row->model >= 0) {
        const nm_future_request request = {.scene = scene,
                                           .current_step = scene->current_step,
                                           .task = row->task,
                                           .feedback = models->sampling.feedback[row->schedule],
                                           .samples = samples,
                                           .agents = agents,
                                           .track = track,
                                           .seed = models->sampling.seed};
        return nm_model_futures_run(models->model[row->model].futures[row->schedule], &request, arena, out, cost,
                                    error);
    }
    nm_baseline_request request = nm_baseline_request_default();
    request.track = track;
    request.agents = agents;
    request.seed = models->sampling.seed;
    request.samples = row->baseline == NM_BASELINE_IDM ? samples : 1;
    return nm_baseline_futures(scene, row->baseline, &request, arena, out, error);
}
