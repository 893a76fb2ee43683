/// Why scores are not 1: as a table, as JSON, and one by one in a CSV.
#ifndef NM_TOOLS_EVALUATE_REASONS_H
#define NM_TOOLS_EVALUATE_REASONS_H

#include "tools/evaluate_report.h"

/// Returns the episodes driven to the end, those without any loss among them. unknown [out, nullable]: how many more
/// were, of which results of an older version do not say why they lost what they lost.
size_t nm_evaluate_reasons_of(const nm_evaluation_entrant *entrant, nm_reasons *reasons, size_t *unknown);
/// Per planner: reason, episodes with it, its mean cost over all episodes driven to the end, and in how many of those
/// that have it the recording has it, too.
void nm_evaluate_print_reasons(const nm_evaluate_report *report, FILE *file);
/// [{"metric": ..., "detail": ..., "episodes": 3, "mean_cost": 0.01, "recordings": 2}, ...], the most costly first.
cJSON *nm_evaluate_reasons_json(const nm_evaluation_entrant *entrant);
/// Losses of one episode: [{"metric", "detail", "value", "cost", "step", "track", "recording", "recorded"}, ...].
cJSON *nm_evaluate_losses_json(const nm_results_row *row);
/// One line per world, planner, scene and loss. RFC 4180, UTF-8, header line. NM_E_IO names the file.
nm_status nm_evaluate_write_losses(const nm_evaluate_study *study, const char *path, nm_error *error);

#endif
