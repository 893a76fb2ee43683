#include "sim/policy.h"

#include <string.h>

/// Published values. Waymax: IDM defaults of its reactive agents (T 2 s, s0 2 m, a 2, b 4, v0 30 m/s). nuPlan: IDM
/// agents (T 1.5, s0 1, a 1, b 2, v0 10 m/s). MetaDrive: IDM policy (T 1.5, s0 10, a 1, b 5). Ours:
/// brisker than the textbook's highway values (Treiber and Kesting, "Traffic Flow Dynamics", 2013), and drivers that
/// differ; chosen, not fitted.
static const nm_idm_params sets[] = {
    {"nearmiss", 1.1f, 2.0f, 1.8f, 2.5f, 0.0f, 1.0f, 0.08f, 0.2f, 0.3f, 3.0f, 1, 1},
    {"nuplan", 1.5f, 1.0f, 1.0f, 2.0f, 10.0f, 1.0f, 0.0f, 0.0f, 0.2f, 2.0f, 0, 0},
    {"waymax", 2.0f, 2.0f, 2.0f, 4.0f, 30.0f, 1.0f, 0.0f, 0.0f, 0.2f, 4.0f, 0, 0},
    {"metadrive", 1.5f, 10.0f, 1.0f, 5.0f, 0.0f, 1.0f, 0.0f, 0.0f, 0.1f, 5.0f, 1, 0},
};

const nm_idm_params *nm_idm_at(size_t i) {
    return i < sizeof sets / sizeof *sets ? &sets[i] : NULL;
}

const nm_idm_params *nm_idm_named(const char *name) {
    for (size_t i = 0; i < sizeof sets / sizeof *sets; ++i)
        if (name && strcmp(sets[i].name, name) == 0) return &sets[i];
    return NULL;
}

static const char *const policy_names[NM_POLICY_COUNT] = {"log", "idm", "constant_velocity", "external", "custom"};

const char *nm_policy_name(nm_policy_kind kind) {
    return kind < NM_POLICY_COUNT ? policy_names[kind] : "unknown";
}

int nm_policy_from_name(const char *name, nm_policy_kind *kind) {
    for (int i = 0; i < NM_POLICY_COUNT; ++i) {
        if (strcmp(policy_names[i], name) != 0) continue;
        *kind = (nm_policy_kind)i;
        return 1;
    }
    return 0;
}
