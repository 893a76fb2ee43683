/// Collecting issues. Private to sim/scene_validate*.c.
#ifndef NM_SIM_SCENE_VALIDATE_H
#define NM_SIM_SCENE_VALIDATE_H

#include "sim/scene_private.h"

typedef struct nm_issue_list {
    nm_issue *issues;
    size_t max, total;
    uint32_t counts[NM_ISSUE_COUNT];
    int no_memory;
} nm_issue_list;

/// Counts an issue and returns where to describe it, or NULL when the caller's array is full. The index fields are set
/// to NM_NONE.
nm_issue *nm_issue_add(nm_issue_list *list, nm_issue_kind kind);
void nm_issue_say(nm_issue *issue, const char *format, ...) NM_PRINTF(2, 3);

void nm_validate_overlaps(const nm_scene *scene, nm_issue_list *list);
void nm_validate_goals(const nm_scene *scene, nm_issue_list *list);
/// All kinds from NM_ISSUE_SHORT_LANE on, in order.
void nm_validate_map(const nm_map *map, nm_issue_list *list);

#endif
