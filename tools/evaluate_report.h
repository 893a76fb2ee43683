/// What an evaluation leaves behind: results as CSV, JSON and JUnit XML, and one page of HTML that needs nothing else.
///
/// Files appear under their names when they are complete. Texts from outside (planners, scenes, reasons) are escaped;
/// rows are written one after the other, so that memory does not grow with their number.
#ifndef NM_TOOLS_EVALUATE_REPORT_H
#define NM_TOOLS_EVALUATE_REPORT_H

#include <stdio.h>

#include <cjson/cJSON.h>

#include "scenarios/evaluation_realism.h"
#include "scenarios/evaluation_worlds.h"
#include "tools/evaluate_gallery.h"

/// What came out of one world: planners over the scenes of one store among agents of one kind. Everything is borrowed.
typedef struct nm_evaluate_report {
    const char *store;   ///< path of the scenes
    const char *name;    ///< of the world, for people: "idm agents", "cases.db, idm agents"; "" = there is no other
    const char *anchor;  ///< ends the ids of its sections on the page: "", "-2"
    const char *options; ///< those that drive a scene the same way again, quoted, each with a blank before it
    const nm_episode_config *episode;
    const nm_evaluation_entrant *entrants; ///< [summary->planner_count]
    const nm_evaluation_summary *summary;
    size_t scenes;
    uint32_t groups;                    ///< of scenes that are not independent; 0 = not known
    const nm_evaluate_gallery *gallery; ///< nullable
} nm_evaluate_report;

/// How real agents of one kind are over the scenes of one store.
typedef struct nm_evaluate_realism {
    const char *store; ///< path
    nm_episode_agents agents;
    nm_evaluation_realism of;
} nm_evaluate_realism;

/// All that an evaluation has to tell. Everything is borrowed. All worlds have the same planners.
typedef struct nm_evaluate_study {
    const char *results;                        ///< path of the results
    const char *command_line;                   ///< that made it, quoted for a shell
    const char *made;                           ///< when, such as "2025-01-31 12:00 UTC"
    const char *grouping;                       ///< what scenes are grouped by: "motion", "place", "scene"
    double pass_score;                          ///< JUnit: a lower score is a failure; NaN: only a planner's failure is
    const nm_evaluate_report *worlds;           ///< [world_count], at least one
    const nm_evaluation_world *compared;        ///< [world_count] the same, as they were compared
    const nm_evaluation_comparison *comparison; ///< nullable: of one world there is none
    size_t world_count;
    const nm_evaluate_realism *realism; ///< [realism_count]
    size_t realism_count;
} nm_evaluate_study;

/// One line per world, planner and scene: all that is in the results. score and metrics are 0 where the planner failed,
/// empty where the scene is unfit. RFC 4180, UTF-8, header line. NM_E_IO names the file, as below.
nm_status nm_evaluate_write_csv(const nm_evaluate_study *study, const char *path, nm_error *error);
/// {..., "planners": [...], "pairs": [...], "rows": [...]}: rows as in the CSV, null where that is empty, and
/// with "losses", why the score is not 1, and "said", what a failed planner wrote to standard error. Planners and pairs
/// of all worlds, each with its "agents" and "store".
nm_status nm_evaluate_write_json(const nm_evaluate_study *study, const char *path, nm_error *error);
/// A suite per planner and world, a case per scene; unfit scenes are skipped ones.
nm_status nm_evaluate_write_junit(const nm_evaluate_study *study, const char *path, nm_error *error);
nm_status nm_evaluate_write_html(const nm_evaluate_study *study, const char *path, nm_error *error);

/// Sums of a planner with its types, and of the pairs. NULL without memory.
cJSON *nm_evaluate_planner_json(const nm_evaluate_report *report, size_t planner);
void nm_evaluate_add_pairs_json(const nm_evaluate_report *report, cJSON *list);
/// Adds "worlds", and where there are several "comparison", and "realism" where that was asked for.
void nm_evaluate_add_worlds_json(const nm_evaluate_study *study, cJSON *document);

/// Scores by type of scene as a table for people.
void nm_evaluate_print_types(const nm_evaluate_report *report, FILE *file);
/// Planners in all worlds side by side, how far the worlds agree, and who is told apart where.
void nm_evaluate_print_worlds(const nm_evaluate_study *study, FILE *file);
void nm_evaluate_print_realism(const nm_evaluate_study *study, FILE *file);

/// `text` as one word of a POSIX shell: as it is, or between single quotes.
void nm_evaluate_shell_word(FILE *file, const char *text);

/// "0.123"; "-" for what is not finite.
#define NM_EVALUATE_NUMBER 32
const char *nm_evaluate_number(char text[NM_EVALUATE_NUMBER], double value, int digits);

/// The metrics in the order in which tables show them, multipliers first.
extern const nm_nuplan_metric nm_evaluate_order[NM_NUPLAN_SCORED_COUNT];
/// A few words for a heading.
const char *nm_evaluate_metric_title(nm_nuplan_metric metric);

#endif
