/// What `nearmiss score` compares: the log, simple baselines, models.
#ifndef NM_TOOLS_SCORE_SYSTEMS_H
#define NM_TOOLS_SCORE_SYSTEMS_H

#include "scenarios/model_futures.h"
#include "sim/baselines.h"
#include "tools/cli.h"
#include "tools/energy_option.h"

enum { NM_SCORE_MODELS = 16, NM_SCORE_SCHEDULES = 12 };

typedef struct nm_score_model {
    char name[96]; ///< of the recipe, or the file where several have the same
    nm_model *model;
    nm_recipe recipe;
    nm_energy *energy; ///< NULL: none
    nm_model_futures *futures[NM_SCORE_SCHEDULES];
} nm_score_model;

/// How models are sampled. Fill with nm_score_sampling_default().
typedef struct nm_score_sampling {
    uint32_t levels;
    nm_solver solver;
    uint32_t schedules;
    nm_schedule schedule[NM_SCORE_SCHEDULES];
    int feedback[NM_SCORE_SCHEDULES]; ///< 1: what was finished is replaced by what happened, as in a closed loop
    nm_guidance_config guidance;
    nm_agreement agreement;
    nm_future_driver driver;
    const char *attention; ///< as --attention; nullable, borrowed
    nm_reuse_config reuse;
    int reduced; ///< 1: by default (sampling_default.h): not with models that it does not fit
    nm_energy_options energy;
    nm_candidates_config candidates;
    uint32_t batch; ///< futures, or candidates, of one sampler at once; 0: what is quickest
    uint64_t seed;
} nm_score_sampling;

typedef struct nm_score_models {
    nm_backend *backend;
    uint32_t count;
    nm_score_model model[NM_SCORE_MODELS];
    nm_score_sampling sampling;
} nm_score_models;

/// Loads the weights. Errors name the file; what was opened before is released.
nm_status nm_score_models_open(const char *const *paths, uint32_t count, const nm_score_sampling *sampling,
                               const nm_common *common, nm_dtype precision, nm_score_models *models, nm_error *error);
void nm_score_models_close(nm_score_models *models);

/// One row of the table: a system at a task.
typedef struct nm_score_row {
    char name[160];    ///< "constant_velocity", "MODEL", "MODEL trapezoid"
    nm_task_kind task; ///< FREE or GOAL
    int model;         ///< index, or -1: `baseline`
    uint32_t schedule; ///< of the model's
    nm_baseline baseline;
} nm_score_row;

/// The futures of a scene by a row's system; NM_E_CANCELLED where nm_cli_interrupted(). samples: of models, and of IDM;
/// the others have one.
nm_status nm_score_futures(const nm_score_models *models, const nm_score_row *row, const nm_scene *scene,
                           const uint32_t *track, uint32_t agents, uint32_t samples, nm_arena *arena, nm_futures *out,
                           nm_future_cost *cost, nm_error *error);

#endif
