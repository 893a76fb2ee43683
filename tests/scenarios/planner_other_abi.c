/// Planner libraries that must be refused: of another version, in two ways; NM_TEST_ABI says which.
#include "sim/planner.h"

static void *create(const char *config, char *error, size_t error_size) {
    (void)config, (void)error, (void)error_size;
    return NULL; // never asked for: the table is refused before
}

static const nm_planner_vtable table = {NM_TEST_ABI, sizeof(nm_planner_vtable), "other", create, 0, 0, 0, 0, 0};

#if NM_TEST_ABI
const nm_planner_vtable *nm_planner_entry(uint32_t abi) { // gives what it has, whatever is asked for
    (void)abi;
    return &table;
}
#else
const nm_planner_vtable *nm_planner_entry(uint32_t abi) { // knows that it is another version
    return abi == 0 ? &table : NULL;
}
#endif
