/// Which recorded scenes are independent of each other: for splits, and for intervals (sim/metrics/interval.h).
///
/// Files are cut out of a recording so that they repeat and overlap one another. Two scenes belong to one group when
/// they show the same, and so does whatever belongs together through others. What counts as the same is a choice:
///
/// NM_GROUP_MOTION, for recordings: an agent moves the same way in both for 5 consecutive steps (NM_GROUP_WINDOW). That
///   is, either its id is the same and so are its speeds, to 1 mm/s, or its places in the source's coordinates are, to
///   1 cm. It must move (over 1 m/s at every step of the window), and without two equal speeds in the window: recorded
///   speeds rest on round values, and smoothed ones on lines, so that equal ones say little. Ids with speeds are looked
///   at because converters move and turn the coordinates of every file; places because some number agents anew in every
///   file. Scenes of one road at other times, even with the same vehicles a little later, are no group: the same motion
///   is not in both.
/// NM_GROUP_PLACE, for generated traffic: the same town, or what a recording's files are named after (nm_scene_place);
///   without a name, the same map.
#ifndef NM_SCENARIOS_GROUPS_H
#define NM_SCENARIOS_GROUPS_H

#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_GROUP_WINDOW 5u ///< steps of one agent that must agree

typedef enum nm_grouping { NM_GROUP_MOTION = 0, NM_GROUP_PLACE } nm_grouping;

typedef struct nm_groups nm_groups;
NM_API nm_groups *nm_groups_create(nm_grouping grouping); ///< NULL: no memory
NM_API void nm_groups_destroy(nm_groups *groups);         ///< NULL is fine

/// Before the first scene: keeps one in `one_in` (>= 1, default 1) of the keys of motion, by their content, so that the
/// same ones are kept of every scene. Needs so much less memory, and overlooks scenes that share fewer than a few times
/// `one_in` windows; cuts of one recording that overlap share hundreds.
NM_API void nm_groups_thin_out(nm_groups *groups, uint32_t one_in);

/// Takes in a scene, which is not kept: scene i is the i-th one added. Needs about 100 bytes for each state of a moving
/// agent, so that a few million states are no trouble. NM_E_MEMORY: the scene is not in, the others are as they were;
/// NM_E_LIMIT beyond 2^31 scenes. Not thread-safe.
NM_API nm_status nm_groups_add(nm_groups *groups, const nm_scene *scene, nm_error *error);
NM_API uint32_t nm_groups_scenes(const nm_groups *groups); ///< added so far
/// Writes the group of every scene, numbered from 0 in the order of their first scenes, and returns how many groups
/// there are. group [nullable]: [nm_groups_scenes]. The result does not depend on the order in which scenes were added,
/// but for the numbers. More scenes may be added afterwards.
NM_API uint32_t nm_groups_get(nm_groups *groups, uint32_t *group);

/// The place a scene is named after: of a CommonRoad benchmark id such as "DEU_Aachen-10_2_T-1" or
/// "C-USA_US101-3_1_T-1" the part before the number of the map, without the mark of a cooperative one ("DEU_Aachen",
/// "USA_US101"). Always terminated, cut to `size`. Returns 1, or 0 and an empty text when the scene's id is not of that
/// form.
NM_API int nm_scene_place(const nm_scene *scene, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
