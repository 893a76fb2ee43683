/// What the parts of `nearmiss generate` share.
#ifndef NM_TOOLS_CMD_GENERATE_H
#define NM_TOOLS_CMD_GENERATE_H

#include "scenarios/scene_generator.h"
#include "scenarios/store.h"
#include "sim/world.h"
#include "tools/agreement_option.h"
#include "tools/cli.h"
#include "tools/energy_option.h"
#include "tools/guidance_option.h"
#include "tools/reuse_option.h"
#include "tools/shipped_model.h"

typedef struct nm_generate_options {
    // of corner cases
    nm_text_list kinds, params, generators, from;
    const char *severity, *sampling, *mix, *ego; ///< NULL = not given
    double hours, seconds;                       ///< 0 = not given
    int64_t traffic;                             ///< -1 = not given
    int64_t sources, adversaries;                ///< 0 = not given
    int list_kinds;
    // of the model
    const char *store, *map, *model, *schedule, *solver, *task, *precision, *recording, *guidance, *agree, *attention,
        *reuse, *reduce;
    nm_text_list scenes;
    double history;      ///< s; negative = each scene's own current step, else 2 s
    int64_t count, seed; ///< 0, -1 = not given
    int64_t levels, batch;
    nm_energy_options energy;
} nm_generate_options;

/// A scene whose futures are wanted. Held until the last of them is done.
typedef struct nm_generate_parent {
    int64_t id; ///< in the store; 0 = made here
    const nm_scene *scene;
    uint64_t hash; ///< of the stored scene where this one was resampled from it, else 0
    uint32_t current_step;
    uint32_t holders;     ///< jobs, and whoever adds them: the last one to let go releases it
    int checked;          ///< 1 = `stats` says what happens in it after the current step
    nm_world_stats stats; ///< of the recording, over the same seconds as the futures
} nm_generate_parent;

/// One future.
typedef struct nm_generate_job {
    nm_generate_parent *parent;
    uint32_t sample;
    char *parameters;
    nm_generated_scene made;
    nm_world_stats stats, compared; ///< over all of its seconds; over those that are recorded, too
    nm_packed_scene *packed;
} nm_generate_job;

/// Over everything.
typedef struct nm_generate_totals {
    uint64_t scenes, agents, left_out, stored, existed, failed, too_short, generated_before;
    uint64_t parents, parents_checked, compared_scenes;
    nm_world_stats made, compared, recorded; ///< agents, collided, off_road, started_* only
    nm_future_cost cost;
} nm_generate_totals;

typedef struct nm_generate_recording nm_generate_recording;

typedef struct nm_generate_run {
    const nm_command *command;
    const nm_common *common;
    nm_generate_options options;
    nm_task_kind task;
    nm_schedule schedule;
    nm_solver solver;
    nm_guidance_config guidance;
    nm_agreement agreement;
    nm_future_driver driver;
    nm_reuse_config reuse;
    int reduced; ///< 1: by default (sampling_default.h), unless the model does not fit
    char model_path[NM_MODEL_PATH];
    uint64_t model_hash; ///< nm_safetensors_hash
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    nm_candidates_config candidates;
    nm_energy *energy; ///< NULL: none
    uint64_t energy_hash;
    nm_scene_generator *generator;
    nm_generate_recording *recording; ///< NULL = none, or written
    nm_store *store;
    nm_thread_pool *pool;
    nm_packer **packers; ///< one a thread
    nm_progress *progress;
    nm_generate_job *jobs; ///< [options.batch]
    uint32_t job_count;
    nm_generate_totals totals;
    cJSON *rows;
} nm_generate_run;

// cmd_generate_batch.c

/// Adds all futures of a scene, whose holder passes, and runs the batch whenever it is full. A scene from which no
/// tokens can be made is named on standard error and counted; that is no failure of this function.
nm_status nm_generate_add(nm_generate_run *run, nm_generate_parent *parent, nm_error *error);
/// Samples, checks and stores what was added, in one transaction.
nm_status nm_generate_flush(nm_generate_run *run, nm_error *error);
void nm_generate_let_go(nm_generate_parent *parent);
void nm_generate_release_jobs(nm_generate_run *run);
/// Says which scene could not be used and why, and counts it.
void nm_generate_report_failed(nm_generate_run *run, int64_t id, const nm_error *why);

// cmd_generate_kinds.c

/// Corner cases instead of futures; the exit status.
int nm_generate_kinds(const nm_command *command, const nm_common *common, const nm_generate_options *options);

// cmd_generate_list.c

int nm_generate_list_kinds(const nm_command *command, int json);

// cmd_generate_report.c

int nm_generate_print(nm_generate_run *run); ///< the exit status
void nm_generate_add_row(nm_generate_run *run, const nm_generate_job *job, int64_t stored);

// cmd_generate_recording.c

/// Watches the first future that is sampled, for `nearmiss view`. NM_E_UNSUPPORTED in a build without pictures.
nm_status nm_generate_recording_create(nm_generate_recording **recording, nm_error *error);
void nm_generate_recording_destroy(nm_generate_recording *recording); ///< NULL is fine
void nm_generate_recording_observe(void *context, const nm_sampler *sampler);
/// Before a batch is sampled: its first scene is recorded unless one was before.
nm_status nm_generate_recording_begin(nm_generate_recording *recording, const nm_tokens *tokens, const nm_scene *scene,
                                      const char *title, nm_error *error);
/// After it.
nm_status nm_generate_recording_write(nm_generate_recording *recording, const char *path, nm_error *error);

#endif
