/// The part of `nearmiss stats` about generated sets: tables, JSON, plots.
#ifndef NM_TOOLS_CMD_STATS_SET_H
#define NM_TOOLS_CMD_STATS_SET_H

#include "scenarios/set_stats.h"
#include "tools/cli.h"

void nm_set_print(const nm_set_stats *stats);                    ///< tables on standard output
void nm_set_to_json(const nm_set_stats *stats, cJSON *document); ///< as "generated"
/// kinds.png, min_ttc.png, yields.png, rejects.png, parameters.png, distributions.png, confusion.png, severities.png,
/// realism.png and diversity.png into the folder, which is made when it is missing. What there is nothing to show of is
/// left out. NM_E_ARGUMENT when this program was built without pictures.
nm_status nm_set_plot(const nm_set_stats *stats, const char *folder, nm_error *error);

#endif
