/// Many worlds stepped as one, for learning: actions in, observations and rewards out, in arrays of the caller's.
///
/// An environment is a world (world.h) over one of the scenes and the agents in it that are controlled from outside:
/// the ego, or everybody who drives. Every step applies one action an agent, steps all worlds by 0.1 s (or as often as
/// an action lasts, until the episode ends), rewards, observes, and begins the next episode where one has ended. A step
/// allocates nothing: all is sized at creation.
///
/// Seeds. Episode k of environment e drives with the world seed s + e + k * env_count, s being what the last reset gave
/// (default config.seed). Its scene is number (e + k * env_count) mod scene_count, or one drawn for (s + e, e, k). So
/// an episode is a function of scenes, configuration, seed and actions, the same bits for any number of threads.
///
/// One nm_vector_env belongs to one thread at a time; its steps share the work out to the threads of its own pool.
#ifndef NM_SIM_VECTOR_ENV_H
#define NM_SIM_VECTOR_ENV_H

#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_vector_control {
    NM_VECTOR_EGO = 0, ///< one agent: the scene's ego; where it has none, the motor vehicle recorded longest
    NM_VECTOR_ALL, ///< the ego first, then every moving car, truck, bus, motorcycle and cyclist there at the start, by
                   ///< track, as many as there are rows for; everybody else is under config.others
    NM_VECTOR_CONTROL_COUNT
} nm_vector_control;

typedef enum nm_vector_action {
    NM_VECTOR_STEERING = 0, ///< [2] acceleration along the heading, m/s^2; steering angle, rad, left positive, of a
                            ///< vehicle with the wheelbase of nm_planner_vehicle_of. The limits of the type apply
    NM_VECTOR_WAYPOINT,  ///< [3] a step of 0.1 s of the action: where the box centre is after it, in the agent's frame
                         ///< as the action begins: x ahead and y left, m, and turn, rad. Taken as it is; speed is the
                         ///< way over 0.1 s, backwards negative
    NM_VECTOR_NO_ACTION, ///< [0] the policy of the others drives the agents, too: they are only observed
    NM_VECTOR_ACTION_COUNT
} nm_vector_action;

typedef enum nm_vector_autoreset {
    NM_VECTOR_NEXT_STEP = 0, ///< the step after an episode's last begins the next: its action is not used, reward 0
    NM_VECTOR_SAME_STEP, ///< the last step of an episode returns the first observation of the next; its own last one is
                         ///< in final_observation
    NM_VECTOR_DISABLED,  ///< to step an environment whose episode is over is NM_E_ARGUMENT
    NM_VECTOR_AUTORESET_COUNT
} nm_vector_autoreset;

#define NM_VECTOR_MAX_ACTION_STEPS 100u
#define NM_VECTOR_MAX_AGENTS 4096u

/// What happened to an agent in a step, as bits of nm_vector_buffers.events.
#define NM_VECTOR_COLLIDED 1u  ///< touched somebody, for the first time since it entered
#define NM_VECTOR_OFF_ROAD 2u  ///< came off the road, as NM_AGENT_WENT_OFF_ROAD
#define NM_VECTOR_WRONG_WAY 4u ///< drives against a lane's direction, at this step
#define NM_VECTOR_GOAL 8u      ///< got to the goal of its route
#define NM_VECTOR_LEFT 16u     ///< is gone: reached the end of the map, or its recording ended
#define NM_VECTOR_FROZEN 32u   ///< its state became non-finite

/// Fill with nm_vector_env_config_default().
typedef struct nm_vector_env_config {
    uint32_t env_count;            ///< 1..65536; default 64
    const nm_scene *const *scenes; ///< [scene_count] borrowed, outlive the environments; time step 0.1 s
    uint32_t scene_count;          ///< at least 1
    nm_vector_control control;     ///< default EGO
    nm_vector_action action;       ///< default STEERING
    uint32_t action_steps;         ///< of 0.1 s that an action lasts, 1 (default)..NM_VECTOR_MAX_ACTION_STEPS: steering
                                   ///< is held, waypoints are one for each
    nm_vector_autoreset autoreset; ///< default NEXT_STEP
    nm_policy_kind others;         ///< IDM (default), LOG or CONSTANT_VELOCITY: everybody who is not controlled
    const nm_idm_params *idm;      ///< default nm_idm_named("nearmiss")
    uint32_t agents;               ///< rows an environment, with ALL; default 0 = as many as the fullest scene has; at
                                   ///< most NM_VECTOR_MAX_AGENTS
    uint32_t start_step;           ///< of the scenes; NM_NONE (default) = their current step
    uint32_t max_steps;     ///< an episode is truncated after so many of 0.1 s; default 200. With others under LOG at
                            ///< the latest where the recording ends
    uint64_t seed;          ///< until a reset gives another; default 0
    int shuffle;            ///< 1 = scenes are drawn; 0 = in turn; default 1
    int end_on_collision;   ///< 1 (default) = an agent that collided is done
    int end_off_road;       ///< 1 (default) = likewise
    int threads;            ///< 1..256; 0 (default) = one per core
    uint32_t neighbours;    ///< rows of the block "neighbours", 0..64; default 8
    float neighbour_radius; ///< m, 1..1000; default 60
    uint32_t lane_points;   ///< rows of "lane", 0..64; default 10
    uint32_t route_points;  ///< rows of "route", 0..64; default 10
    float point_spacing;    ///< m between rows of "lane" and of "route", 0.5..50; default 5
    float progress_reward;  ///< per m of route; default 0.1
    float collision_reward; ///< at NM_VECTOR_COLLIDED; default -10
    float off_road_reward;  ///< at NM_VECTOR_OFF_ROAD; default -10
    float wrong_way_reward; ///< per step with NM_VECTOR_WRONG_WAY; default -0.1
    float goal_reward;      ///< at NM_VECTOR_GOAL; default 1
} nm_vector_env_config;
NM_API nm_vector_env_config nm_vector_env_config_default(void);

/// Where results go. Rows beyond the agents of a scene, and of agents that are gone, are 0. Pointers stay valid until
/// the next bind or destroy; those marked so may be NULL.
typedef struct nm_vector_buffers {
    float *observation;       ///< [env_count][agents][features], see nm_vector_block
    float *reward;            ///< [env_count][agents] of all of the action, as events and progress
    uint8_t *terminated;      ///< [env_count] 1 = every agent is done (collided, off the road, at its goal or gone)
    uint8_t *truncated;       ///< [env_count] 1 = not terminated, but max_steps or the recording are over
    uint8_t *active;          ///< [env_count][agents] 1 = the next action of this row counts
    uint32_t *events;         ///< [env_count][agents] NM_VECTOR_..., of this step
    float *progress;          ///< [env_count][agents] m along the route in this step
    float *final_observation; ///< [env_count][agents][features], nullable: with SAME_STEP, written where an episode
                              ///< ended in this step
    uint32_t *scene;          ///< [env_count] nullable: of the episode that the observation is of
    uint32_t *step;           ///< [env_count] nullable: steps of 0.1 s driven in it
} nm_vector_buffers;

/// One column of a block of the observation.
typedef struct nm_vector_column {
    const char *name, *unit, *meaning;
} nm_vector_column;
/// A part of an agent's observation: `rows` rows of `columns` numbers from `first` on. Frame: the agent's, x ahead, y
/// left, origin at its box centre, where columns are positions, directions or velocities. Nothing is NaN or infinite;
/// where a row's first column, `present`, is 0, the others are, too.
typedef struct nm_vector_block {
    const char *name; ///< "agent", "neighbours" (nearest first), "lane" (ahead along the lane), "route" (along it)
    uint32_t first, rows, columns;
    const nm_vector_column *column; ///< [columns]
} nm_vector_block;
#define NM_VECTOR_BLOCKS 4

typedef struct nm_vector_env nm_vector_env;

/// Prepares maps, finds the route of every agent that is to be controlled (an agent without a lane near it has none:
/// it makes no progress and has no goal).
///
/// returns  NM_OK; NM_E_ARGUMENT for a configuration that makes no sense, and, naming the scene by its number, for one
///          with another time step, without anybody to control at the start, or to be replayed without a recording;
///          NM_E_MEMORY. *env is NULL unless NM_OK
NM_API nm_status nm_vector_env_create(const nm_vector_env_config *config, nm_vector_env **env, nm_error *error);
NM_API void nm_vector_env_destroy(nm_vector_env *env); ///< NULL is fine

NM_API uint32_t nm_vector_env_agents(const nm_vector_env *env);               ///< rows an environment
NM_API uint32_t nm_vector_env_features(const nm_vector_env *env);             ///< of an observation
NM_API uint32_t nm_vector_env_action_size(const nm_vector_env *env);          ///< numbers an action
NM_API size_t nm_vector_env_bytes(const nm_vector_env *env);                  ///< memory held, scenes and maps excluded
NM_API const nm_vector_block *nm_vector_env_layout(const nm_vector_env *env); ///< [NM_VECTOR_BLOCKS]

/// To be called before the first reset.
NM_API void nm_vector_env_bind(nm_vector_env *env, const nm_vector_buffers *buffers);

/// Begins an episode: the first of `seed`, or where that is NULL the next one of what the environment has.
/// mask  [env_count] nullable: only these
NM_API nm_status nm_vector_env_reset(nm_vector_env *env, const uint64_t *seed, const uint8_t *mask, nm_error *error);

/// actions  [env_count][agents][action size]; rows that are not active are not looked at. NULL with NO_ACTION
/// returns  NM_OK; NM_E_NUMERIC, naming environment and agent, for an action that is not finite: nothing was stepped;
///          NM_E_ARGUMENT before the first reset, or for an episode that is over (DISABLED)
NM_API nm_status nm_vector_env_step(nm_vector_env *env, const float *actions, nm_error *error);
/// `steps` steps with the same actions: to measure what calling a step costs.
NM_API nm_status nm_vector_env_run(nm_vector_env *env, const float *actions, uint32_t steps, nm_error *error);

/// The world of environment `index`, to look at: valid until the next step or reset; NULL before the first one.
NM_API const nm_world *nm_vector_env_world(const nm_vector_env *env, uint32_t index);
/// Track of a row in its scene, NM_NONE beyond the agents that there are.
NM_API uint32_t nm_vector_env_track(const nm_vector_env *env, uint32_t index, uint32_t agent);

#ifdef __cplusplus
}
#endif
#endif
