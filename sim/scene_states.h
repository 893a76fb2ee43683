/// State planes of a scene as compressible bytes; layout and reasons in scene_states.c. Private to the scene's codec.
#ifndef NM_SIM_SCENE_STATES_H
#define NM_SIM_SCENE_STATES_H

#include "sim/scene_private.h"

#define NM_STATE_WAYS 4 // bytes a track that say how its states were predicted

/// Bytes for `count` valid states: ways of all tracks, then 4 planes of `count` bytes for each field.
size_t nm_states_size(const nm_scene *scene, size_t count);
void nm_states_write(const nm_scene *scene, size_t count, unsigned char *bytes);
/// Fills the planes of a scene whose tracks and `valid` are set. 0 when the bytes make no sense; values are not
/// checked.
int nm_states_read(nm_scene *scene, size_t count, unsigned char *bytes);

#endif
