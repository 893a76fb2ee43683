/// The tables of the built-in planners. Private to sim/.
#ifndef NM_SIM_PLANNER_BUILTIN_H
#define NM_SIM_PLANNER_BUILTIN_H

#include "sim/planner.h"

extern const nm_planner_vtable nm_planner_expert, nm_planner_constant_velocity, nm_planner_idm, nm_planner_pdm;

#endif
