/// Is a recording one that its own driver can be measured by? Looks at the recording alone, never at a score.
///
/// Clean is what the validity checker (validity.h) finds nothing wrong with, over the steps that an episode would drive
/// (nm_episode_span): the motion of the ego within nuPlan's bounds of comfort (NM_LIMITS_COMFORT, measured by fits to
/// the positions), without jumps, gaps or headings that turn on the spot; its box on the road; no red light, no
/// NM_CLEAN_WRONG_WAY against the lane, no speed more than NM_CLEAN_SPEEDING over the limit; and around it nobody whose
/// box reaches into the ego's where both are first there, or touches it later. A recording too short for its jerk to be
/// measured (1.7 s, with up to 0.8 s of what was recorded before) is not clean.
#ifndef NM_SCENARIOS_EPISODE_CLEAN_H
#define NM_SCENARIOS_EPISODE_CLEAN_H

#include "scenarios/episode.h"
#include "scenarios/validity.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_CLEAN_SPEEDING 2.23f ///< m/s, the excess at which nuPlan's compliance has nothing left
#define NM_CLEAN_WRONG_WAY 2.0f ///< m, where nuPlan's compliance begins to lack

typedef enum nm_blemish {
    NM_BLEMISH_NONE = 0, ///< clean
    NM_BLEMISH_UNFIT,    ///< there is nothing to drive, see nm_episode_outcome
    NM_BLEMISH_CONTACT,  ///< somebody touches the ego
    NM_BLEMISH_SHORT,    ///< too short to be measured
    NM_BLEMISH_VERDICT   ///< a verdict fails
} nm_blemish;

typedef struct nm_cleanness {
    nm_blemish blemish;
    nm_verdict_kind verdict; ///< the first that fails, by number; of NM_BLEMISH_VERDICT
    float value, limit;      ///< of the verdict
    uint32_t track, step;    ///< of the scene: whom, when; NM_NONE where there is none
} nm_cleanness;

/// Static: "clean", "unfit", "contact", "too_short", or the verdict's name.
NM_API const char *nm_cleanness_name(const nm_cleanness *cleanness);

/// config  of the episode: its start, ego and time
/// arena   what is taken from it is given back
/// returns NM_OK; NM_E_MEMORY. Prepares the map. Pure and thread-safe for different arenas.
NM_API nm_status nm_episode_clean(const nm_scene *scene, const nm_episode_config *config, nm_arena *arena,
                                  nm_cleanness *out, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
