/// What kind of driving a recording shows, in a few words, such as "signals: turning left" or "freeway: following": for
/// scores by type of scene, where nothing was generated or mined.
///
/// In the spirit of nuPlan's scenario types, from the map and the ego's recorded drive alone. Pure, deterministic,
/// thread-safe.
#ifndef NM_SCENARIOS_SCENE_TYPE_H
#define NM_SCENARIOS_SCENE_TYPE_H

#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Where the ego drives; the first that holds. Its lanes are those that match its poses best, within 3 m.
typedef enum nm_scene_place_type {
    /// A lane that leads back to itself along a circle: the way round it is at most 400 m, the isoperimetric quotient
    /// (4 pi area / length^2) at least 0.85 (a square's is 0.785).
    NM_PLACE_ROUNDABOUT = 0,
    NM_PLACE_SIGNALS, ///< on a lane within a junction into which a signal leads, or up to 30 m before a signal, no fork
                      ///< between
    NM_PLACE_JUNCTION,  ///< on a lane within a junction that shares ground with another one for vehicles, or up to 30 m
                        ///< before a stop or yield sign
    NM_PLACE_CROSSWALK, ///< on a lane that a crosswalk leads over
    NM_PLACE_RAMP,      ///< on a ramp
    NM_PLACE_FREEWAY,   ///< on a freeway's lane, or where 80 km/h (22.2 m/s) and more are allowed
    NM_PLACE_MULTILANE, ///< at least 3 lanes beside one another in its direction, shoulders left out
    NM_PLACE_STREET,    ///< on any other lane
    NM_PLACE_NO_LANE,   ///< "off the lanes"
    NM_PLACE_TYPE_COUNT
} nm_scene_place_type;

/// What it does there; the first that holds.
typedef enum nm_scene_act {
    NM_ACT_STANDING = 0,  ///< drives less than 1 m
    NM_ACT_TURNING_LEFT,  ///< at a junction or signals: its heading turns by 40 degrees or more, all in all
    NM_ACT_TURNING_RIGHT, ///< likewise
    NM_ACT_CHANGING_LEFT, ///< it is on lanes to the left of what it came from more often than to the right
    NM_ACT_CHANGING_RIGHT,
    NM_ACT_STOPPING,  ///< from 3 m/s or more to 0.5 m/s or less
    NM_ACT_STARTING,  ///< the reverse
    NM_ACT_FOLLOWING, ///< at half of the steps or more somebody drives within 3 s or 8 m before it (nm_follow)
    NM_ACT_CRUISING,  ///< none of these
    NM_ACT_COUNT
} nm_scene_act;

NM_API const char *nm_scene_place_type_name(nm_scene_place_type place); ///< "roundabout", "signals", ...
NM_API const char *nm_scene_act_name(nm_scene_act act);                 ///< "standing", "turning left", ...

/// Of the valid steps of track `ego` within [first, last], cut to the scene's. Prepares the map. place, act: [out].
NM_API void nm_scene_classify(const nm_scene *scene, uint32_t ego, uint32_t first, uint32_t last,
                              nm_scene_place_type *place, nm_scene_act *act);
/// "PLACE: ACT", terminated, cut to `size`.
NM_API void nm_scene_type(const nm_scene *scene, uint32_t ego, uint32_t first, uint32_t last, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
