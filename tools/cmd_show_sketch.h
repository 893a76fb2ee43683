/// A scene from above in characters, for terminals.
#ifndef NM_TOOLS_CMD_SHOW_SKETCH_H
#define NM_TOOLS_CMD_SHOW_SKETCH_H

#include <stdio.h>

#include "sim/scene.h"

/// Draws what lies around the agents at `step`: lane borders as dots, vehicles as > ^ < v by heading, cyclists c,
/// pedestrians p, standing obstacles #, and the ego, `actor` and `other` (NM_NONE = none) as E, A, B. North is up; a
/// character is as wide as half its height. Nothing is drawn when no agent is valid at that step.
void nm_sketch(FILE *file, const nm_scene *scene, uint32_t step, uint32_t actor, uint32_t other);

#endif
