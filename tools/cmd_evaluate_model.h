/// The model that drives the agents of an evaluation, or its ego.
#ifndef NM_TOOLS_CMD_EVALUATE_MODEL_H
#define NM_TOOLS_CMD_EVALUATE_MODEL_H

#include "scenarios/closed_loop.h"
#include "sim/planner_host.h"
#include "tools/cli.h"
#include "tools/shipped_model.h"

/// Zero it before the first use.
typedef struct nm_evaluate_model {
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    nm_closed_loop *loop;
    char path[NM_MODEL_PATH];
    char name[48]; ///< what makes it the same one: hash of the weights, precision, and " cuda" there
} nm_evaluate_model;

/// path       as asked for, see nm_model_path
/// precision  "bf16" or "f32"
/// Errors: those of nm_shipped_model, nm_safetensors_open, the backend, nm_recipe_load, nm_closed_loop_create.
nm_status nm_evaluate_model_open(nm_evaluate_model *model, const char *path, const char *precision,
                                 const nm_common *common, nm_error *error);
/// Futures that the planner "nexus" (NM_PLANNER_NEXUS_SAMPLES) or "nexus:N" chooses from; 0 for any other name.
uint32_t nm_evaluate_nexus_samples(const char *planner);
/// That planner with a model of its own, which goes with the handle.
/// threads  of the model; 0 = one per core
nm_status nm_evaluate_model_planner(const char *path, const char *precision, const nm_common *common, int threads,
                                    uint32_t samples, nm_planner **planner, nm_error *error);
void nm_evaluate_model_close(nm_evaluate_model *model);

#endif
