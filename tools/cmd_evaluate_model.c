#include "tools/cmd_evaluate_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/safetensors.h"
#include "scenarios/planner_nexus.h"

static nm_status open_weights(nm_evaluate_model *m, const char *path, const char *precision, const char *device,
                              int threads, nm_error *error) {
    nm_backend_config config = nm_backend_config_default();
    config.threads = threads;
    config.compute = strcmp(precision, "f32") == 0 ? NM_F32 : NM_BF16;
    nm_safetensors *file = NULL;
    uint64_t hash = 0;
    nm_status status = nm_shipped_model(path, m->path, error);
    if (status == NM_OK) status = nm_safetensors_open(m->path, &file, error);
    if (status == NM_OK) status = nm_safetensors_hash(file, &hash, error);
    nm_safetensors_close(file);
    const int cuda = strcmp(device, "cuda") == 0; // rounds otherwise
    snprintf(m->name, sizeof m->name, "%016" PRIx64 " %s%s", hash, precision, cuda ? " cuda" : "");
    if (status == NM_OK)
        status = cuda ? nm_backend_create_cuda(&config, &m->backend, error)
                      : nm_backend_create_cpu(&config, &m->backend, error);
    return status == NM_OK ? nm_recipe_load(m->path, m->backend, &m->model, &m->recipe, error) : status;
}

nm_status nm_evaluate_model_open(nm_evaluate_model *m, const char *path, const char *precision, const nm_common *common,
                                 nm_error *error) {
    const nm_status status = open_weights(m, path, precision, common->device, (int)common->threads, error);
    const nm_closed_loop_config loop = nm_closed_loop_config_default();
    return status == NM_OK ? nm_closed_loop_create(m->model, &m->recipe, &loop, &m->loop, error) : status;
}

uint32_t nm_evaluate_nexus_samples(const char *planner) {
    if (strcmp(planner, "nexus") == 0) return NM_PLANNER_NEXUS_SAMPLES;
    if (strncmp(planner, "nexus:", 6) != 0) return 0;
    const char *digits = planner + 6;
    char *end;
    const long samples = *digits >= '1' && *digits <= '9' ? strtol(digits, &end, 10) : 0;
    return samples >= 1 && samples <= (long)NM_PLANNER_NEXUS_MOST_SAMPLES && !*end ? (uint32_t)samples : 0;
}

static void release(void *model) {
    nm_evaluate_model_close(model);
    free(model);
}

nm_status nm_evaluate_model_planner(const char *path, const char *precision, const nm_common *common, int threads,
                                    uint32_t samples, nm_planner **planner, nm_error *error) {
    *planner = NULL;
    nm_evaluate_model *m = calloc(1, sizeof *m);
    if (!m) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a planner");
    nm_status status = open_weights(m, path, precision, common->device, threads, error);
    if (status == NM_OK) status = nm_planner_nexus(m->model, &m->recipe, samples, planner, error);
    if (status == NM_OK)
        nm_planner_release_with(*planner, release, m);
    else
        release(m);
    return status;
}

void nm_evaluate_model_close(nm_evaluate_model *m) {
    nm_closed_loop_destroy(m->loop);
    nm_model_destroy(m->model);
    nm_backend_destroy(m->backend);
    *m = (nm_evaluate_model){0};
}
