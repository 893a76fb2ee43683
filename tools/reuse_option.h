/// The options --reuse and --reduce of commands that sample, and what is said of what they saved.
#ifndef NM_TOOLS_REUSE_OPTION_H
#define NM_TOOLS_REUSE_OPTION_H

#include "nexus/reuse.h"
#include "tools/cli.h"

#define NM_REUSE_HELP                                                                                                  \
    "passes keep what changed by less than drift= (0 to 1) since it was computed, all of it anew every refresh= "      \
    "passes; check=N prints the error of every N-th pass, compare that of what is sampled, in m; exact: what is the "  \
    "same to the bit (default: nothing is kept; cpu only)"
#define NM_REDUCE_HELP                                                                                                 \
    "what passes leave as it was besides: tokens ahead= and behind= so many of what is being denoised, settled "       \
    "agents far= m away, map= shares of the map within so many levels, skip=FIRST-LAST@LEVEL blocks below a level "    \
    "or none of it (default: ahead=1,behind=1 with --schedule pyramid:1 on the cpu and nothing that is in the way; "   \
    "guidance is ahead=0 then, too)"

/// Both nullable: not given. NM_E_ARGUMENT.
nm_status nm_reuse_option(const char *reuse, const char *reduce, nm_reuse_config *config, nm_error *error);
/// "41 % of the operations, ..." into `text`, which is returned.
const char *nm_reuse_describe(const nm_reuse_stats *stats, char *text, size_t size);
/// The same as an object "reuse"; none where no pass kept anything.
void nm_reuse_json(cJSON *object, const nm_reuse_stats *stats);

#endif
