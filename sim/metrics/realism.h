/// How real simulated futures look: the realism metrics of the Waymo Open Sim Agents Challenge (WOSAC; Montali et al.
/// 2023, "The Waymo Open Sim Agents Challenge", and its configurations of 2023 to 2025).
///
/// An independent reimplementation from a description of the metrics, not Waymo's code, and its results are not
/// official scores. Waymo publishes that code with a patent licence that names the pending US applications 18/603,102
/// and 63/563,894 and that is limited to the distributed code: whoever uses this file decides whether that concerns
/// them.
///
/// How it works: ten features are measured on the recorded future and on every sample (nm_realism_measure); each
/// recorded value gets a likelihood under the distribution of the simulated ones; a feature's likelihood is the
/// geometric mean over what is scored; the meta-metric is their weighted sum (nm_realism_rate). SI units, the scene's
/// frame. Pure and thread-safe, one arena a thread; the same bits for any number of threads.
///
/// Which agents: simulated are those of the nm_futures; every track that is valid at the current step must be among
/// them, but those with NM_TRACK_STATIC: these stand where they are now. Scored are the ego and the tracks flagged
/// NM_TRACK_TO_PREDICT; where no track has that flag (sources other than WOMD), all agents valid at the current step
/// that are not static. Others can be collided with and get no score. Tracks that appear later do not exist. Sizes are
/// those of the current step.
///
/// Steps: k = 0 .. futures->steps - 1 are the steps after the current one; dt is the scene's. Of the history only the
/// step before the current one enters the features; without it accelerations begin one step later. The challenge has
/// 10 steps of history, 80 of future, 0.1 s and 32 samples; any numbers will do here.
///
/// Where the challenge's own code does what one would not expect, this does the same, so that numbers can be compared:
/// - Histograms count what has no value (differences at the end of the future) in their highest bin.
/// - Distributions are made of all samples at all steps; the recording's validity masks only what is scored.
/// - An invalid recorded state counts as standing at the SOURCE's origin (0, 0), which can show in the derivatives at
///   the first step of who was not seen one step before.
/// - ADE counts the history: its steps are in the denominator.
/// - A polyline of road edges that closes on itself is treated as closed only if it is the scene's longest.
/// - Which lane a centre is on (for traffic lights) is decided by |(q - s) + tau (e - s)|, with a plus, and a lane
///   shorter than the longest has one more segment, to the source's origin.
///
/// Where it differs, for a scene does not keep what it would take:
/// - Headings of a scene are wrapped. The challenge does not wrap the difference of headings in the time to collision,
///   and headings of WOMD are off by whole turns: agents that follow one another then do not match. Here they do,
///   unless nm_realism_headings are given. On the log replays of the two public records that makes a time to collision
///   likelihood of 0.836213 (the same) and 0.937980 (challenge: 0.999649), a meta-metric of 0.829067 (0.835234).
/// - A signal has one stop point; at a step at which a signal was not seen the challenge puts it at the origin.
/// - The challenge computes in single precision in the source's frame, thousands of metres off its origin. Values that
///   lie on the border of two bins then fall to either side: on the public records likelihoods differ by up to 3e-5
///   with the bins of 2024 and 2025, 2e-4 with those of 2023, which have a border at acceleration 0.
///
/// Other sources than WOMD (ours, no part of the challenge):
/// - A map without road edges: the distance is that to the border of the drivable area (nm_map_border_distance, at most
///   NM_REALISM_REACH), negative inside. A map with neither: both road features are left out.
/// - A signal that does not say which lane through the junction it belongs to: a vehicle violates it when its centre
///   passes the stop line of a lane it rules, within the lane's borders, while a signal of that lane shows STOP or
///   ARROW_STOP and none shows anything else.
/// - A feature that is left out, or has nothing to be scored (a future of under 3 steps has no speeds), has a NaN
///   likelihood and weight 0; the other weights are raised so that their sum stays.
#ifndef NM_SIM_METRICS_REALISM_H
#define NM_SIM_METRICS_REALISM_H

#include "base/arena.h"
#include "sim/metrics/futures.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_realism_feature {
    NM_REALISM_LINEAR_SPEED = 0,     ///< m/s, of the central difference of the position in space
    NM_REALISM_LINEAR_ACCELERATION,  ///< m/s^2, central difference of the speed
    NM_REALISM_ANGULAR_SPEED,        ///< rad/s
    NM_REALISM_ANGULAR_ACCELERATION, ///< rad/s^2
    NM_REALISM_NEAREST_DISTANCE,     ///< m, signed, to the nearest box; corners are rounded
    NM_REALISM_COLLISION,            ///< flag: that distance was negative
    NM_REALISM_TIME_TO_COLLISION,    ///< s, to the box driven behind, at most 5; scored for vehicles
    NM_REALISM_ROAD_EDGE_DISTANCE,   ///< m, signed, of the corner furthest out, negative on the road
    NM_REALISM_OFF_ROAD,             ///< flag: that distance was positive
    NM_REALISM_RED_LIGHT,            ///< flag: ran a red light; scored for vehicles, counted for all
    NM_REALISM_FEATURE_COUNT
} nm_realism_feature;
NM_API const char *nm_realism_feature_name(nm_realism_feature feature); ///< as in WOSAC: "linear_speed", ...
NM_API int nm_realism_feature_flag(nm_realism_feature feature);         ///< 1: one flag an agent, no time series

#define NM_REALISM_NOBODY 1e10f ///< nearest distance where nobody is near, or the agent is not valid
#define NM_REALISM_REACH 40.0f  ///< m

/// What was measured. Lives in the arena it was measured into. Index 0 of the samples is the recording, sample r is at
/// r + 1; agents are the scored ones, ascending by source id.
typedef struct nm_realism_values {
    uint32_t samples, agents, steps;
    const uint32_t *track;  ///< [agents] of the scene
    const uint8_t *vehicle; ///< [agents] car, truck, bus, motorcycle
    const uint8_t *valid;   ///< [agents][steps] in the recording
    /// [1 + samples][agents][steps] of time series, NULL for flags and for what was left out. NaN where there is no
    /// difference to take. NM_REALISM_NOBODY, or minus that for the road edge, where the recording is not valid.
    const float *series[NM_REALISM_FEATURE_COUNT];
    /// [1 + samples][agents] of flags: was it flagged at any step valid in the recording? NULL for time series and for
    /// what was left out.
    const uint8_t *flag[NM_REALISM_FEATURE_COUNT];
    const float *displacement; ///< [samples][agents] average displacement error, m
} nm_realism_values;

/// Headings as the source or the simulation has them, whole turns included, for what only the challenge's own time to
/// collision asks for. Given, it takes their plain differences, as the challenge does. Borrowed during the call.
typedef struct nm_realism_headings {
    const float *recorded;  ///< [track_count][step_count]; NULL: scene->heading
    const float *simulated; ///< like futures->heading; NULL: that
} nm_realism_headings;

/// Measures all features.
/// headings  [nullable] NULL: headings that differ by whole turns are the same
/// values    [out] allocated from `arena`; working memory is not
/// returns   NM_E_ARGUMENT: the futures do not fit the scene (no samples or steps; more steps than were recorded; a
///           track twice, unordered, out of range, not valid at the current step or missing; a state that is not
///           finite) or there is no agent to score; NM_E_MEMORY
/// Cost O(samples * steps * scored * (agents + log(edges))): for 32 samples of 80 steps of a WOMD scene with 50 agents
/// about 20 ms when 4 are scored, 0.25 s when all are. Prepares the map where it has no road edges.
NM_API nm_status nm_realism_measure(const nm_scene *scene, const nm_futures *futures,
                                    const nm_realism_headings *headings, nm_arena *arena, nm_realism_values *values,
                                    nm_error *error);

// ---------------------------------------------------------------------------------------------------------------------
// Rating

typedef enum nm_realism_kind {
    NM_REALISM_HISTOGRAM = 0, ///< time series: probability of the bin
    NM_REALISM_KERNEL,        ///< time series: Gaussian kernel density over its largest possible value
    NM_REALISM_BERNOULLI      ///< flags
} nm_realism_kind;

#define NM_REALISM_MAX_BINS 256

typedef struct nm_realism_setting {
    nm_realism_kind kind;
    double min, max;      ///< histogram: range, same unit as the feature; what is outside counts as at its end
    uint32_t bins;        ///< histogram: 1 to NM_REALISM_MAX_BINS
    double smoothing;     ///< histogram, Bernoulli: added to every count; >= 0
    double bandwidth;     ///< kernel: > 0, unit of the feature
    double weight;        ///< in the meta-metric; >= 0
    int independent;      ///< time series: 1 = one distribution of all steps, 0 = one for each step
    int aggregate_agents; ///< 1 = one distribution of all agents, 0 = one for each agent
} nm_realism_setting;

typedef struct nm_realism_config {
    nm_realism_setting feature[NM_REALISM_FEATURE_COUNT];
} nm_realism_config;

typedef enum nm_realism_preset {
    NM_REALISM_2025 = 0, ///< sim agents challenge of 2025, the default
    NM_REALISM_2024,     ///< today's definitions with the weights of 2024: not what its leaderboard says of the time to
                         ///< collision
    NM_REALISM_2023,     ///< likewise; red lights have weight 0; weights sum to 0.99
    NM_REALISM_PRESET_COUNT
} nm_realism_preset;
NM_API const char *nm_realism_preset_name(nm_realism_preset preset); ///< "2025", "2024", "2023"
NM_API nm_realism_config nm_realism_config_of(nm_realism_preset preset);

/// Of one scene, or the mean of many.
typedef struct nm_realism {
    uint32_t agents;                             ///< scored; of a mean: in all scenes
    double likelihood[NM_REALISM_FEATURE_COUNT]; ///< in [0, 1]; NaN: left out
    double weight[NM_REALISM_FEATURE_COUNT];     ///< as used
    double meta;                                 ///< sum of weight * likelihood; not divided by the sum of the weights
    double kinematic, interactive, map_based;    ///< means by weight: features 0-3, 4-6, 7-9; NaN: none, or weights 0
    double ade, min_ade;                         ///< m, mean over samples and agents; of the best sample of the scene
    uint32_t best;                               ///< that sample; of a mean: 0
    double collision_rate, off_road_rate, red_light_rate; ///< share of (sample, agent); NaN: left out
} nm_realism;

/// Rates what was measured. Returns NM_E_ARGUMENT for a config that makes no sense (a kind that does not fit the
/// feature, an empty range, no bins, a negative weight). Allocates nothing.
NM_API nm_status nm_realism_rate(const nm_realism_values *values, const nm_realism_config *config, nm_realism *out,
                                 nm_error *error);

/// Both in one, without nm_realism_headings. Everything taken from `arena` is given back. config NULL: NM_REALISM_2025.
NM_API nm_status nm_realism_score(const nm_scene *scene, const nm_futures *futures, const nm_realism_config *config,
                                  nm_arena *arena, nm_realism *out, nm_error *error);

/// Plain mean of every field over the scenes that have it (agents: their sum); count > 0.
NM_API nm_realism nm_realism_mean(const nm_realism *scenes, size_t count);

#ifdef __cplusplus
}
#endif
#endif
