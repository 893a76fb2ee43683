/// Events as find and show print them.
#ifndef NM_TOOLS_CMD_EVENT_H
#define NM_TOOLS_CMD_EVENT_H

#include "scenarios/detect.h"
#include "tools/cli.h"

/// Adds the members of an event: "kind", steps, tracks (null = none) and numbers (null = not measured).
void nm_event_to_json(cJSON *object, const nm_event *event);
/// Parameters of the detectors as `mine` stores them (cmd_mine.c). The caller's; NULL without memory.
cJSON *nm_detect_params_json(const nm_detect_params *params);
/// A cell with a number, or "-" when it is not finite.
void nm_table_number(nm_table *table, int decimals, double value);

#endif
