/// Which scenes of an evaluation are independent of each other: for the intervals of its report.
///
/// NM_EVALUATION_MOTION (the choice that is meant for most stores): scenes are one group that show the same motion
///   (NM_GROUP_MOTION of groups.h; of more than 256 scenes with its keys thinned out), that were made from one scene
///   (their provenance's parent), or of which one was made from the other; and what belongs together through others.
///   Scenes made from different cuts of one recording that is not in the store are not seen to belong together.
/// NM_EVALUATION_PLACE: scenes of one town or map (NM_GROUP_PLACE).
/// NM_EVALUATION_SCENE: every scene is a group.
#ifndef NM_SCENARIOS_EVALUATION_GROUPS_H
#define NM_SCENARIOS_EVALUATION_GROUPS_H

#include "scenarios/store.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_evaluation_grouping {
    NM_EVALUATION_MOTION = 0,
    NM_EVALUATION_PLACE,
    NM_EVALUATION_SCENE,
    NM_EVALUATION_GROUPING_COUNT
} nm_evaluation_grouping;
NM_API const char *nm_evaluation_grouping_name(nm_evaluation_grouping grouping); ///< "motion", "place", "scene"
NM_API int nm_evaluation_grouping_from_name(const char *name, nm_evaluation_grouping *grouping);

/// Reads each scene once; one that cannot be read is a group of its own.
/// scenes   [count] ids, ascending, each once
/// group    [out, count] numbered from 0 in the order of their first scenes
/// groups   [out] how many
/// stop     [nullable] asked after each scene; not 0: NM_E_CANCELLED
/// Errors: NM_E_MEMORY, NM_E_CANCELLED, and of the machine those of the store. Memory: under 200 MB for 10,000 scenes.
NM_API nm_status nm_evaluation_groups(nm_store *store, const int64_t *scenes, size_t count,
                                      nm_evaluation_grouping grouping, int (*stop)(void *context), void *context,
                                      uint32_t *group, uint32_t *groups, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
