/// Which scenes of a store a command works on.
#ifndef NM_TOOLS_SCENE_IDS_H
#define NM_TOOLS_SCENE_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/// Each once, ascending. Zero it before the first use.
typedef struct nm_scene_ids {
    int64_t *ids; ///< own block: nm_scene_ids_release
    size_t count, capacity;
} nm_scene_ids;
void nm_scene_ids_release(nm_scene_ids *list);

/// Scenes of these names (the source's own, NULL = any; patterns with * and ?, separated by commas; what is beyond 95
/// bytes of a name does not count) with an event of `kind` (-1 = any) for which the condition `where` (NULL = none)
/// holds; without both, events or not.
/// limit 0 = all of them, else so many, evenly over them. NM_E_NOT_FOUND, with a message, when there is none.
nm_status nm_scene_ids_choose(const char *store, const char *only, int kind, const char *where, size_t limit,
                              nm_scene_ids *list, nm_error *error);
/// 1 when a scene's name is one of `only`, as above.
int nm_scene_ids_named(const char *only, const char *name);
/// From what was typed. NM_E_ARGUMENT for what is no id.
nm_status nm_scene_ids_parse(char **texts, int count, nm_scene_ids *list, nm_error *error);

#endif
