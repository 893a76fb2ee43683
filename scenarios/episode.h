/// One planner through one scene in closed loop, and what it scored.
///
/// The recording is history up to the start; from there the planner drives the ego and the others are replayed, react
/// by IDM, or are driven by a trained model. Every 0.1 s the planner sees the world (observation.h), its answer is
/// tracked (tracker.h) or followed exactly, and the world steps. What was driven is scored as nuPlan does
/// (nuplan_score.h), the recorded drive of the ego being the expert's.
///
/// Unlike nuPlan: whoever touches the ego at the start, which is the recording's doing, is not looked at until they
/// have parted; and where the road leaves the map the episode ends with the sample before the ego's front gets there
/// (drivers that react leave there, too). The ego's axles are nm_nuplan_vehicle_sized's.
///
/// Against an adversary (adversary.h) the episode is driven twice: first without, to see what the planner does, then
/// with one agent steered against that; the second drive is scored. The planner begins and ends an episode in both.
///
/// An episode is a function of scene, planner and configuration, as long as the planner is.
#ifndef NM_SCENARIOS_EPISODE_H
#define NM_SCENARIOS_EPISODE_H

#include "scenarios/avoidability.h"
#include "scenarios/closed_loop.h"
#include "scenarios/episode_losses.h"
#include "sim/metrics/ego.h"
#include "sim/planner_host.h"
#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_episode_agents {
    NM_EPISODE_LOG = 0, ///< replayed: nuPlan's non-reactive agents
    NM_EPISODE_IDM,     ///< IDM, agents that appear later included; pedestrians walk on
    NM_EPISODE_NEXUS,   ///< the trained model, every half second anew (closed_loop.h)
    NM_EPISODE_AGENTS_COUNT
} nm_episode_agents;
NM_API const char *nm_episode_agents_name(nm_episode_agents agents); ///< "log", "idm", "nexus"
NM_API int nm_episode_agents_from_name(const char *name, nm_episode_agents *agents);

/// Fill with nm_episode_config_default().
typedef struct nm_episode_config {
    nm_episode_agents agents; ///< default IDM
    /// NEXUS: who drives the others, borrowed; the model's thread is the episode's. Where its future ends, another one
    /// begins with what was driven as its past. Whoever it has no room for drives by IDM. Who appears in the recording
    /// later comes in with the next future, where there is room.
    nm_closed_loop *loop;
    const nm_idm_params *idm; ///< of IDM agents; default nm_idm_named("nuplan")
    int perfect;              ///< 1 = trajectories are followed exactly; default 0: nuPlan's two-stage controller
    uint32_t start_step;      ///< of the scene; NM_NONE (default) = its current step
    /// Who is driven: a track; NM_NONE (default) = the scene's ego, where it has none the motor vehicle that was
    /// recorded longest from the start on, of several the one that drove furthest, of these the first.
    uint32_t ego_track;
    float seconds;  ///< at most, 1..60, default 15; an episode ends where the recording of the ego does at the latest
    float deadline; ///< s for an answer, 0 = none; default 1 (nuPlan's)
    uint64_t seed;
    int adversary; ///< nm_kind by which one agent is steered against the ego; default -1: nobody is
    /// Nullable, borrowed: the scene that a nm_problem_scene was made from. What is recorded of the ego is then no
    /// drive of anybody's, and the goals of `problem` of this scene are looked for.
    const nm_scene *asked;
    uint32_t problem;
    int keep_scene; ///< 1 = the driven scene is built, history included; it ends with the last sample
    /// Nullable: asked every step; not 0 ends the episode with NM_E_CANCELLED.
    int (*stop)(void *context);
    void *stop_context;
} nm_episode_config;
NM_API nm_episode_config nm_episode_config_default(void);
/// NM_E_ARGUMENT for what makes no sense, such as NM_EPISODE_NEXUS without a loop; NM_E_UNSUPPORTED for a kind that one
/// adversary cannot be steered by.
NM_API nm_status nm_episode_check(const nm_episode_config *config, nm_error *error);

/// Who is driven, and over which steps of the scene: *first is the start, *last the last recorded one within the time.
/// Returns 0 where nobody is there at the start; *last may be too close to it for an episode.
NM_API int nm_episode_span(const nm_scene *scene, const nm_episode_config *config, uint32_t *ego, uint32_t *first,
                           uint32_t *last);

typedef enum nm_episode_outcome {
    NM_EPISODE_DONE = 0,
    NM_EPISODE_FAILED, ///< the planner did: counts as a score of 0
    NM_EPISODE_UNFIT   ///< the scene has no ego, route or map to drive on, or too little recording, or is nothing that
                       ///< the model of the agents can go on with, or has no place for the adversary's kind: nobody's
                       ///< score
} nm_episode_outcome;
NM_API const char *nm_episode_outcome_name(nm_episode_outcome outcome); ///< "done", "failed", "unfit"

#define NM_EPISODE_COLLISIONS 8u
typedef struct nm_episode {
    nm_episode_outcome outcome;
    char reason[512];                                      ///< why it is not done; else ""
    uint32_t start_step;                                   ///< of the scene
    uint32_t ego_track;                                    ///< who was driven
    uint32_t samples;                                      ///< scored: of the scene's steps start_step + sample
    float seconds;                                         ///< driven
    double wall_seconds;                                   ///< of the whole episode, planner included
    double plan_mean, plan_max;                            ///< s of real time for an answer
    nm_nuplan_result score;                                ///< all 0 unless done
    nm_nuplan_collision collisions[NM_EPISODE_COLLISIONS]; ///< the first ones; step = sample, track of the scene
    uint32_t collision_count;                              ///< of those here
    float min_ttc;      ///< s, least time to collision of the ego after the start, INFINITY = none within 3 s
    float min_distance; ///< m, box to box, to anybody
    /// After the start, with the default parameters and without those who touched the ego at the start until they have
    /// parted; steps are samples. Measured of episodes that are done; NaN of others.
    nm_ego_criticality danger;
    uint32_t worst_sample; ///< the moment to look at: where the score lost most; NM_NONE when it lost nothing
    const char *worst;     ///< static name of the metric that lost most, or ""
    uint32_t adversary;   ///< who was steered: of the driven scene's tracks, the last one where it is somebody new, who
                          ///< is not in the scene that was given; NM_NONE = nobody
    int staged;           ///< 1 = the detectors see its kind in what was driven
    int met;              ///< 1 = ego and adversary touched
    nm_avoid_label avoid; ///< could the reference driver have avoided the conflict with it; NO_CONFLICT without one
    nm_loss losses[NM_NUPLAN_SCORED_COUNT]; ///< why the score is not 1
    uint32_t loss_count;
    int has_goal;          ///< of a planning problem
    uint32_t goal_sample;  ///< at which it is reached first; NM_NONE = never
    uint32_t sizeless;     ///< tracks left out of the score since their boxes have no size
    const nm_scene *scene; ///< driven, the caller's (nm_scene_destroy); NULL unless kept, or without a sample
} nm_episode;

/// Danger that was not measured.
NM_API nm_ego_criticality nm_episode_no_danger(void);

/// Working memory: one per thread.
typedef struct nm_episode_work nm_episode_work;
NM_API nm_episode_work *nm_episode_work_create(void);       ///< NULL: no memory
NM_API void nm_episode_work_destroy(nm_episode_work *work); ///< NULL is fine

/// planner  one that nobody else uses meanwhile; good for the next episode whatever happens
/// returns  NM_OK with an outcome of any kind; the errors of nm_episode_check; NM_E_CANCELLED;
///          NM_E_MEMORY. *out is then empty
NM_API nm_status nm_episode_run(nm_episode_work *work, const nm_scene *scene, nm_planner *planner,
                                const nm_episode_config *config, nm_episode *out, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
