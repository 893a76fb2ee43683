/// Inside of a scene: its memory. Private to sim/scene_*.c.
#ifndef NM_SIM_SCENE_PRIVATE_H
#define NM_SIM_SCENE_PRIVATE_H

#include "sim/map_private.h"
#include "sim/scene.h"

/// Lengths of a scene's arrays that its fields do not tell.
typedef struct nm_scene_shape {
    uint32_t track_count, step_count, signal_count;
    uint32_t problem_count, goal_count, goal_area_count, tag_count;
    int has_sizes, has_signals, has_timestamps;
    size_t text_bytes; // tags and provenance with their terminators
} nm_scene_shape;

/// One state plane: name, always there (1) or only with varying sizes (0).
#define NM_SCENE_PLANES(X)                                                                                             \
    X(x, 1)                                                                                                            \
    X(y, 1)                                                                                                            \
    X(z, 1)                                                                                                            \
    X(heading, 1)                                                                                                      \
    X(vx, 1)                                                                                                           \
    X(vy, 1)                                                                                                           \
    X(state_length, 0)                                                                                                 \
    X(state_width, 0)                                                                                                  \
    X(state_height, 0)

/// Allocates a scene with zeroed arrays; retains `map`. *text receives the room for strings. NM_E_LIMIT when the arrays
/// would be absurd: more than NM_SCENE_MAX_STATES cells.
nm_status nm_scene_allocate(const nm_scene_shape *shape, const nm_map *map, nm_scene **scene, char **text,
                            nm_error *error);
/// Scenes of more cells than NM_SCENE_LARGE must have a state in every NM_SCENE_SPARSE cells: a few bytes of input can
/// not make gigabytes.
#define NM_SCENE_LARGE 16777216u
#define NM_SCENE_SPARSE 512u

/// The shape of a finished scene.
nm_scene_shape nm_scene_shape_of(const nm_scene *scene);
/// Copies a string into the text room and advances it.
const char *nm_scene_put_text(char **text, const char *string);
/// Sets scene->hash.
nm_status nm_scene_seal(nm_scene *scene, nm_error *error);

#endif
