/// Sums of `nearmiss score` as numbers with intervals, and as tables, JSON and CSV.
#ifndef NM_TOOLS_SCORE_REPORT_H
#define NM_TOOLS_SCORE_REPORT_H

#include "sim/metrics/generation.h"
#include "sim/metrics/interval.h"
#include "sim/metrics/realism.h"
#include "tools/score_systems.h"

/// What was added up for a row. Per group, so that intervals are over groups.
typedef struct nm_score_result {
    nm_score_row row;
    nm_generation_sums *groups; ///< [groups]
    nm_future_cost cost;
    uint64_t scenes;     ///< sampled
    uint64_t samples;    ///< of each
    nm_realism *realism; ///< [realism_count] of scenes, in order
    uint32_t *realism_group;
    size_t realism_count;
} nm_score_result;

typedef struct nm_score_report {
    const char *data;
    uint64_t scenes, skipped, agents;
    uint64_t no_realism; ///< scenes where somebody whom the realism metrics are of is not there
    uint32_t groups;
    double history; ///< s; -1 = each scene's own
    const nm_score_models *models;
    int goals; ///< 1 = goals are among the tasks: models that were trained on blocks have no row there
    nm_score_result *results;
    size_t count;
} nm_score_report;

/// A column: a number with its interval for each row.
typedef enum nm_score_column {
    /// m, without the ego: mean over 1..8 s (free), 1..7 s (goal). Whose recording ends before 8 s has his goal there:
    /// where that is at a whole second it counts, with the error of what was given.
    NM_SCORE_DISPLACEMENT = 0,
    NM_SCORE_BEST_SCENE, ///< m, of the best sample for the scene
    NM_SCORE_BEST_AGENT, ///< m, of the best sample for each agent
    NM_SCORE_COLLISION,  ///< colliding pairs per agent
    NM_SCORE_OFF_ROAD,
    NM_SCORE_STABILITY,
    NM_SCORE_COLUMNS = NM_SCORE_STABILITY + NM_STABILITY_COUNT
} nm_score_column;
const char *nm_score_column_name(nm_score_column column);
/// NaN where there is nothing to tell.
nm_estimate nm_score_estimate(const nm_score_report *report, const nm_score_result *result, nm_score_column column);

int nm_score_print(const nm_command *command, const nm_score_report *report); ///< tables for people
int nm_score_print_json(const nm_command *command, const nm_score_report *report);
/// One line per row, with its intervals: the numbers of the JSON document, empty where that has null. NM_E_IO names the
/// file; nothing half-written.
nm_status nm_score_write_csv(const nm_score_report *report, const char *path, nm_error *error);
/// Can it be written? To be asked before hours of work. Leaves nothing behind.
nm_status nm_score_try_csv(const char *path, nm_error *error);

#endif
