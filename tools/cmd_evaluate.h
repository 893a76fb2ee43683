/// What `nearmiss evaluate` works with. Private to cmd_evaluate*.c.
#ifndef NM_TOOLS_CMD_EVALUATE_H
#define NM_TOOLS_CMD_EVALUATE_H

#include "scenarios/evaluation.h"
#include "scenarios/evaluation_groups.h"
#include "scenarios/planner_open.h"
#include "tools/cli.h"
#include "tools/cmd_evaluate_model.h"
#include "tools/evaluate_adversaries.h"
#include "tools/evaluate_clean.h"
#include "tools/evaluate_folder.h"
#include "tools/scene_ids.h"

#define NM_EVALUATE_PLANNERS 8u
#define NM_EVALUATE_STORES 8u
#define NM_EVALUATE_WORLDS (NM_EVALUATE_STORES * NM_EPISODE_AGENTS_COUNT)

typedef struct nm_evaluate_options {
    const char *agents, *idm, *execution, *kind, *where, *only, *results, *config, *report, *by, *model, *precision,
        *groups;
    nm_text_list planners, stores, adversaries;
    int64_t limit, seed, gallery, realism;
    double seconds, deadline, pass_score;
    int no_expert, reasons, clean, problems, fresh;
} nm_evaluate_options;

/// A set of scenes.
typedef struct nm_evaluate_store {
    const char *path;
    nm_scene_ids scenes;
    uint32_t *group; ///< [scenes.count], own block
    uint32_t groups;
    char name[320];          ///< as results name it: with planning problems another run
    nm_evaluate_clean tally; ///< with --clean
} nm_evaluate_store;

/// The planners over the scenes of one store among agents of one kind.
typedef struct nm_evaluate_place {
    const nm_evaluate_store *store;
    nm_episode_config episode;
    nm_evaluation_entrant entrants[NM_EVALUATE_PLANNERS + 1];
    nm_evaluation_report reports[NM_EVALUATE_PLANNERS + 1][NM_KIND_COUNT]; ///< [planner][adversary]
    nm_evaluation_summary summary;
    nm_evaluate_gallery *gallery;
    char name[160], anchor[8];
    char *options; ///< own block
} nm_evaluate_place;

typedef struct nm_evaluate_run {
    const nm_command *command;
    const nm_common *common;
    const nm_evaluate_options *options;
    nm_episode_config episode; ///< of all, but for the agents
    nm_planner_options planner_options;
    nm_evaluation_grouping grouping;
    int kind; ///< nm_kind, -1 = any
    int uses_model;
    nm_episode_agents agents[NM_EPISODE_AGENTS_COUNT];
    uint32_t agents_count;
    nm_evaluate_adversaries adversaries;
    const char *planners[NM_EVALUATE_PLANNERS + 1];
    char libraries[NM_EVALUATE_PLANNERS + 1][20]; ///< hash of a shared library's content; "" for other planners
    uint32_t planner_count;
    nm_evaluate_store stores[NM_EVALUATE_STORES];
    uint32_t store_count;
    nm_evaluate_place places[NM_EVALUATE_WORLDS];
    uint32_t place_count;
    const nm_evaluate_place *place; ///< at work
    uint32_t current;               ///< planner at work
    nm_evaluate_folder folder;      ///< of the report; empty without one
    nm_evaluate_model model;
    nm_results *results;
    nm_evaluation_comparison comparison;
    nm_evaluation_world compared[NM_EVALUATE_WORLDS];
    nm_evaluate_report worlds[NM_EVALUATE_WORLDS];
    nm_evaluate_realism realism[NM_EVALUATE_STORES * (NM_EPISODE_AGENTS_COUNT + 1)];
    nm_evaluate_study study; // borrows the above
    char *command_line;
    nm_thread_pool *pool;
    nm_progress *progress;
    nm_arena *arena;
} nm_evaluate_run;

/// Drives everything, sums it up and leaves the report. ids: scenes by number, of the only store; none = by the
/// options.
nm_status nm_evaluate_execute(nm_evaluate_run *run, int id_count, char **ids, nm_error *error);
void nm_evaluate_release(nm_evaluate_run *run); ///< what nm_evaluate_execute made

int nm_evaluate_print_table(const nm_evaluate_run *run); ///< exit statuses
int nm_evaluate_print_json(const nm_evaluate_run *run);
/// Says of each planner in each world which scenes failed and why, a few of them.
void nm_evaluate_list_failures(const nm_evaluate_run *run);

/// Options that drive a scene of the world the same way again, those that are not the default. NULL: no memory.
char *nm_evaluate_same_options(const nm_evaluate_options *options, nm_episode_agents agents);

#endif
