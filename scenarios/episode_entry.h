/// Who appears in a recording later comes into an episode that a model drives when the model looks anew. Private to
/// scenarios/.
#ifndef NM_SCENARIOS_EPISODE_ENTRY_H
#define NM_SCENARIOS_EPISODE_ENTRY_H

#include "sim/scene.h"

/// Replaces *driven, which ends with step `now`, by a scene in which those are there, too, who are recorded at `now`,
/// were not there since `start`, and have room: their box is 2 m and half a second's closing in away from every other.
/// They bring no past along: nobody has seen it. Who finds no room waits for the next time. Leaves *driven as it is
/// where nobody comes in. The builder is reset.
///
/// recorded  the recording; same map, tracks and ego as *driven
/// returns   NM_OK; NM_E_MEMORY, and *driven is NULL then
nm_status nm_episode_let_in(nm_scene_builder *builder, const nm_scene *recorded, uint32_t start, uint32_t now,
                            const nm_scene **driven, nm_error *error);

#endif
