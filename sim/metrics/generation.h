/// How good generated scenes are: the metrics by which Nexus is scored (arXiv 2504.10485; section numbers of its code
/// as published, commit 713646d4, "aggregated_metrics").
///
/// A scene is looked at in frames of 0.5 s: frame j = 0 .. 15 is (j + 1) * 0.5 s after the scene's current step, that
/// is step current_step + 5 (j + 1) of the recording and step 5 (j + 1) - 1 of the futures. A frame counts for an agent
/// where the recording has a state of it (is valid) and the futures reach: predictions of what was not recorded are not
/// scored, by any metric, nor do their boxes collide. Shorter recordings have fewer frames.
///
/// Displacement, m: distance of the centres of prediction and recording, averaged over all valid pairs of agent and
///   frame, for each whole second 1 .. 8 (j = 1, 3, .. 15). The ego is left out; a second figure has everybody. Their
///   means over the seconds 1 .. 8 (for the free task) and 1 .. 7 (for the goal task, where the last state is given).
/// Collision rate: pairs of agents whose boxes overlap (touching included), ego and all, over agents that are valid, at
///   each whole second; pairs whose centres are over 10 m apart are not looked at. Its mean over the seconds. An agent
///   in two overlaps counts in both; overlaps that the recording has are not taken out.
/// Off-road rate: vehicles that were in a lane in any recorded frame up to the current one (frames -4 .. 0) and are out
///   of every lane in any future frame, over all vehicles. In a lane is within 2.75 m of the centreline of a lane that
///   vehicles drive on, junctions included. Averaged over scenes.
/// Stability: means over agents valid in all 16 frames, see nm_stability; ego included.
///
/// Where the published code leaves a choice or has an accident of its implementation, this does the following instead:
///   - distances to lanes are taken to the centreline itself, not to the 21 points at which it is sampled there, whose
///     spacing of up to several metres would add to the distance; stop lines and crosswalks are no lanes
///   - off-road is for vehicles (nm_agent_type_vehicle); there, nobody else is an agent. So is the share of scenes: a
///     batch there is a scene here
///   - the ego is judged at its box centre like everybody (there its box is 1.461 m too far back)
///   - the step of the yaw is taken the short way round, in any frame of reference (there its sign flips when the
///     heading passes from -pi to pi)
///   - who is an agent is the caller's choice: the futures name them
///
/// Several samples: every sum is a mean over the samples, so a scene weighs the same however many there are. For
/// displacement also the best of them, see nm_generation_over.
#ifndef NM_SIM_METRICS_GENERATION_H
#define NM_SIM_METRICS_GENERATION_H

#include "sim/metrics/futures.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_GENERATION_SECONDS 8u
#define NM_GENERATION_FRAMES 16u
#define NM_GENERATION_FRAME_STEPS 5u ///< scene steps of 0.1 s in a frame
#define NM_GENERATION_HISTORY 4u     ///< frames before the current one

/// Fill with nm_generation_config_default().
typedef struct nm_generation_config {
    uint32_t frames;     ///< future frames that are looked at, 4 to 16; stability wants all of them; default 16
    float lane_distance; ///< m from a centreline within which one is in its lane, > 0; default 2.75
    float pair_distance; ///< m between centres beyond which no pair collides, > 0; default 10
} nm_generation_config;
NM_API nm_generation_config nm_generation_config_default(void);

/// Whose displacement.
typedef enum nm_generation_who {
    NM_WHO_AGENTS = 0, ///< all but the ego: what is published
    NM_WHO_EVERYBODY,
    NM_WHO_COUNT
} nm_generation_who;

/// Displacement over the samples.
typedef enum nm_generation_over {
    NM_OVER_MEAN = 0,   ///< mean over samples
    NM_OVER_BEST_AGENT, ///< for each agent the sample in which it is displaced least, on average over its valid seconds
    NM_OVER_BEST_SCENE, ///< for each scene the sample in which its agents are displaced least, likewise
    NM_OVER_COUNT
} nm_generation_over;

/// With v_j = |p_(j+1) - p_j| / 0.5 s and w_j = |yaw_(j+1) - yaw_j| / 0.5 s between future frames (the way from the
/// current one to the first is not part of it): means of absolute values over time, then over agents. Lower is
/// smoother.
typedef enum nm_stability {
    NM_STABILITY_YAW_STEP = 0, ///< of 0.5 s w_j, degrees (published as average angular change)
    NM_STABILITY_SPEED_STEP,   ///< of v_(j+1) - v_j, m/s
    NM_STABILITY_ACCEL,        ///< of that over 0.5 s, m/s^2
    NM_STABILITY_JERK,         ///< of the second difference of v over 0.25 s^2, m/s^3
    NM_STABILITY_YAW_ACCEL,    ///< of w_(j+1) - w_j over 0.5 s, degrees/s^2 (published as lateral acceleration)
    NM_STABILITY_YAW_JERK,     ///< of the second difference of w over 0.25 s^2, degrees/s^3 (published as lateral jerk)
    NM_STABILITY_COUNT
} nm_stability;
NM_API const char *nm_stability_name(nm_stability which); ///< such as "yaw_step"

/// Sums and counts over scenes. All zero is empty. Plain data: keep one for each group of scenes, add them up, or take
/// numerators and denominators out for nm_bootstrap_ratio. Index s is second s + 1.
typedef struct nm_generation_sums {
    double scenes;
    double displacement[NM_WHO_COUNT][NM_OVER_COUNT][NM_GENERATION_SECONDS]; ///< m
    double displacement_count[NM_WHO_COUNT][NM_GENERATION_SECONDS];          ///< valid agents
    double collisions[NM_GENERATION_SECONDS];                                ///< pairs
    double collision_count[NM_GENERATION_SECONDS];                           ///< valid agents
    double off_road, in_lane, vehicles;   ///< that went off the road; that were in a lane before; all
    double off_road_share;                ///< of scenes: sum of off-road vehicles / vehicles
    double off_road_scenes;               ///< with any vehicle
    double stability[NM_STABILITY_COUNT]; ///< of agents
    double stability_count;               ///< agents valid in all frames
} nm_generation_sums;

/// NaN is what nothing was counted for.
typedef struct nm_generation_result {
    double displacement[NM_WHO_COUNT][NM_OVER_COUNT][NM_GENERATION_SECONDS]; ///< m, at 1 .. 8 s
    double displacement_8s[NM_WHO_COUNT][NM_OVER_COUNT]; ///< mean of those of 1 .. 8 s that there are
    double displacement_7s[NM_WHO_COUNT][NM_OVER_COUNT]; ///< of 1 .. 7 s
    double collision[NM_GENERATION_SECONDS];             ///< pairs per valid agent
    double collision_rate;                               ///< mean of those that there are
    double off_road_rate;                                ///< mean over scenes, as published
    double off_road_pooled;                              ///< over all vehicles of all scenes
    double off_road_in_lane;                             ///< over those that were in a lane before
    double stability[NM_STABILITY_COUNT];
} nm_generation_result;

/// Adds a scene and its futures to `sums`.
///
/// scene    its time step must be 0.1 s (nm_scene_resample). To score from another step than the recording's, hand in a
///          copy of the struct with another current_step
/// futures  see futures.h
/// returns  NM_OK; NM_E_ARGUMENT for another time step, a configuration that makes no sense, a current step outside the
///          scene, or tracks that are not ascending, not the scene's or not valid at the current step; NM_E_NUMERIC for
///          a state that is not finite, or beyond NM_SCENE_MAX_DISTANCE; NM_E_MEMORY. `sums` is changed only with NM_OK
///
/// Prepares the map. Thread-safe for different sums. O(samples * (agents log agents + pairs in reach + lanes)).
NM_API nm_status nm_generation_add(const nm_scene *scene, const nm_futures *futures, const nm_generation_config *config,
                                   nm_generation_sums *sums, nm_error *error);

/// The same for the recording itself: its displacement is 0, its off-road and collision rates and its stability are the
/// floor that predictions are seen against. track: [agents], as in nm_futures.
NM_API nm_status nm_generation_log(const nm_scene *scene, const uint32_t *track, uint32_t agents,
                                   const nm_generation_config *config, nm_generation_sums *sums, nm_error *error);

NM_API void nm_generation_merge(nm_generation_sums *into, const nm_generation_sums *from);
NM_API nm_generation_result nm_generation_result_of(const nm_generation_sums *sums);

#ifdef __cplusplus
}
#endif
#endif
