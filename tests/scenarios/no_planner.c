/// A shared library that is no planner.
#include "sim/planner.h"

NM_PLANNER_EXPORT int nm_planner_version(void);
int nm_planner_version(void) {
    return (int)NM_PLANNER_ABI;
}
