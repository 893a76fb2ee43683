#include "scenarios/planner_open.h"

#include <string.h>

#include "scenarios/planner_private.h"

nm_planner_options nm_planner_options_default(void) {
    return (nm_planner_options){.config = "", .start_deadline = 30.0, .begin_deadline = 30.0, .plan_deadline = 10.0};
}

static int is_library(const char *specification) {
    const size_t length = strlen(specification);
    return strchr(specification, '/') || (length > 3 && strcmp(specification + length - 3, ".so") == 0);
}

static int starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

nm_status nm_planner_open(const char *specification, const nm_planner_options *options, nm_planner **planner,
                          nm_error *error) {
    NM_ASSERT(specification && planner);
    *planner = NULL;
    nm_planner_options chosen = options ? *options : nm_planner_options_default();
    if (!chosen.config) chosen.config = "";
    if (!(chosen.start_deadline > 0.0 && chosen.begin_deadline > 0.0 && chosen.plan_deadline > 0.0))
        return NM_ERROR(error, NM_E_ARGUMENT, "deadlines of a planner must be over 0 s");
    if (starts_with(specification, "exec:") || starts_with(specification, "unix:")) {
        if (specification[5] == '\0')
            return NM_ERROR(error, NM_E_ARGUMENT, "'%s' names no planner: exec:COMMAND LINE or unix:PATH",
                            specification);
        return nm_planner_open_process(specification, &chosen, planner, error);
    }
    if (is_library(specification)) return nm_planner_open_library(specification, &chosen, planner, error);
    return nm_planner_named(specification, chosen.config, planner, error);
}
