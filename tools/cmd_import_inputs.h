/// From what people write after `nearmiss import` to the list of files: folders walked, BASE@COUNT expanded.
#ifndef NM_TOOLS_CMD_IMPORT_INPUTS_H
#define NM_TOOLS_CMD_IMPORT_INPUTS_H

#include "base/status.h"

typedef struct nm_inputs {
    char **paths;
    size_t count, capacity;
    size_t archives; ///< how many of them are
    size_t ignored;  ///< files in folders that are nothing to import
} nm_inputs;

/// Adds what `argument` stands for: a file (whatever it holds; one that is missing is refused later, with its name),
/// the shards of BASE@COUNT, or, in order of their names, all files below a folder that are of a known format or named
/// as if they were. Hidden files, links to folders and nuPlan maps, which are there for the logs beside them, are left
/// out. NM_E_MEMORY; NM_E_IO when a folder cannot be read.
nm_status nm_inputs_add(nm_inputs *inputs, const char *argument, nm_error *error);
void nm_inputs_release(nm_inputs *inputs);

#endif
