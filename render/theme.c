#include "render/theme.h"

const char *nm_role_name(nm_role role) {
    static const char *const names[NM_ROLE_COUNT] = {"ego",     "adversary",  "vehicle", "large vehicle",
                                                     "cyclist", "pedestrian", "static"};
    NM_ASSERT(role >= 0 && role < NM_ROLE_COUNT);
    return names[role];
}
