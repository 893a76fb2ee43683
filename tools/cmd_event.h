/// Events as find and show print them.
#ifndef NM_TOOLS_CMD_EVENT_H
#define NM_TOOLS_CMD_EVENT_H

#include "scenarios/detect.h"
#include "tools/cli.h"

/// Adds the members of an event: "kind", steps, tracks (null = none) and numbers (null = not measured).
void nm_event_to_json(cJSON *object, const nm_event *event);
/// A cell with a number, or "-" when it is not finite.
void nm_table_number(nm_table *table, int decimals, double value);

#endif
