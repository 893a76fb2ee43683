/// Private to sim/builtin*.c: one table describes every parameter of the built-in maps, so that checking, parsing,
/// messages and provenance can not disagree.
#ifndef NM_SIM_BUILTIN_PARAMS_H
#define NM_SIM_BUILTIN_PARAMS_H

#include "sim/builtin.h"

typedef struct nm_map_key {
    const char *name;
    int is_integer; ///< 1 = int, 0 = double, 2 = nm_control_kind, written "yield" or "stop"
    size_t offset;  ///< in nm_builtin_params
} nm_map_key;

#define NM_MAP_KEY_COUNT 10
const nm_map_key *nm_map_key_at(int index);
/// 1 when the key means something for params->kind, with its range; 0 when not.
int nm_map_key_range(const nm_builtin_params *params, int index, double *low, double *high);

/// Checks what applies to params->kind; NM_E_ARGUMENT names parameter, value and range.
nm_status nm_builtin_check(const nm_builtin_params *params, nm_error *error);

#endif
