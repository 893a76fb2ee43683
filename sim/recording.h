/// Writes what a world does into a scene under construction, step by step. Private to sim/ and scenarios/.
#ifndef NM_SIM_RECORDING_H
#define NM_SIM_RECORDING_H

#include "sim/world.h"

/// Begins a scene of `steps` steps: tracks and recorded states before `start_step`, which is its current step. Tracks
/// keep their indices. Provenance and tags are the caller's to set.
nm_status nm_recording_begin(nm_scene_builder *builder, const nm_scene *scene, uint32_t start_step, uint32_t steps,
                             nm_error *error);
/// Adds the states and lights of the world as it is now, at its step.
nm_status nm_recording_step(nm_scene_builder *builder, const nm_world *world, nm_error *error);

#endif
