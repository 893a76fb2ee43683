/// Private to scenarios/planner_*.c.
#ifndef NM_SCENARIOS_PLANNER_PRIVATE_H
#define NM_SCENARIOS_PLANNER_PRIVATE_H

#include "scenarios/planner_open.h"

/// planner_library.c
nm_status nm_planner_open_library(const char *path, const nm_planner_options *options, nm_planner **planner,
                                  nm_error *error);
/// planner_process.c. `specification` begins with "exec:" or "unix:".
nm_status nm_planner_open_process(const char *specification, const nm_planner_options *options, nm_planner **planner,
                                  nm_error *error);

#endif
