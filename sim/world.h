/// The closed-loop simulation: all mutable state of one rollout over a constant scene.
///
/// N rollouts = N worlds over one scene, each used by one thread at a time; different worlds may step at the same time.
/// Same scene, configuration and seed give the same bits for any number of threads, in release and debug builds.
///
/// Layout: structure of arrays by slot. A slot is an agent that is present now; slots [0, count) are dense and ordered
/// by (entry step, track). They move when somebody leaves: hold track indices across steps, not slots. Sized once at
/// creation: a step never allocates. Cost O(agents) at bounded density.
#ifndef NM_SIM_WORLD_H
#define NM_SIM_WORLD_H

#include "sim/metrics/criticality.h"
#include "sim/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_STEP_SECONDS 0.1f

/// Physical limits by agent type; see dynamics.c for the table and its sources.
typedef struct nm_dynamics_limits {
    float accel_max, brake_max; ///< m/s^2, both positive
    float jerk_max;             ///< m/s^3, comfort to emergency alike
    float curvature_max;        ///< 1/m, at full lock
    float curvature_rate_max;   ///< 1/(m s): steering rate over the wheelbase
    float friction;             ///< mu; accel^2 + lateral^2 <= (mu g)^2
    float speed_max;            ///< m/s
    float rear_axle;            ///< m from the box centre back to the rear axle, as a share of the length
} nm_dynamics_limits;
NM_API nm_dynamics_limits nm_dynamics_limits_of(nm_agent_type type);

#define NM_CHECK_COLLISION 1u
#define NM_CHECK_OFF_ROAD 2u
#define NM_CHECK_WRONG_WAY 4u
#define NM_CHECK_TTC 8u
#define NM_CHECK_ALL 15u

/// Fill with nm_world_config_default().
typedef struct nm_world_config {
    uint64_t seed;
    uint32_t start_step;   ///< step of the scene at which the world starts, log states before it are history; default 0
    nm_policy_kind agents; ///< policy of every track but the ego; default IDM
    nm_policy_kind ego;    ///< default IDM
    const nm_idm_params *idm; ///< default nm_idm_named("nearmiss"); must outlive the world
    const nm_policy *custom;  ///< for NM_POLICY_CUSTOM
    int spawn_later;       ///< 1 = tracks that appear after start_step enter when they do and there is room; default 1
    int log_static;        ///< 1 = static tracks stay where they are, whatever the policy; default 1
    unsigned checks;       ///< NM_CHECK_...; default all
    float ttc_horizon;     ///< s, default 3
    float off_road_margin; ///< m that corners may lie beyond the border; default 0.0
    int remove_on_collision; ///< 1 = both leave after the step of their collision; default 0: they stay, stopped
    uint64_t parent;     ///< hash recorded as the parent of a kept rollout, for a scene that was resampled; 0 = its own
    uint32_t max_agents; ///< capacity; default 0 = the scene's tracks
    /// Nullable: nm_rollout asks it every step, from the thread it runs in, and ends with NM_E_CANCELLED when it is not
    /// 0.
    int (*stop)(void *context);
    void *stop_context; ///< handed to `stop`; the caller's
} nm_world_config;
NM_API nm_world_config nm_world_config_default(void);

/// Events of one agent's life, as bits.
///
/// Off the road is a vehicle with a corner of its box outside the drivable area: the union of all lanes on which one
/// drives and of driveways, grown by NM_SURFACE_TOLERANCE (5 cm, so that lanes that share a border leave no gap).
/// Waymo's sim agents metric takes corners without a tolerance, too; nuPlan's drivable area compliance lets them lie
/// 0.3 m outside, Nexus tests only the centre, 2.75 m from any map point. Who is off already when it enters (recorded
/// boxes do not always fit the map) is counted as that, and comes off only after it has been on.
#define NM_AGENT_COLLIDED 1u      ///< was in a contact at some step of the simulation (not at its first)
#define NM_AGENT_WENT_OFF_ROAD 2u ///< came off the road (it had been on it since it entered)
#define NM_AGENT_WENT_WRONG_WAY 4u
#define NM_AGENT_FROZEN 8u ///< its state became non-finite and was frozen
#define NM_AGENT_STARTED_OFF_ROAD 16u
#define NM_AGENT_STARTED_IN_CONTACT 32u
#define NM_AGENT_LEFT 64u ///< reached the end of its road and left

/// An overlapping pair at this step.
typedef struct nm_contact {
    uint32_t first, second; ///< tracks, first < second
    uint32_t started;       ///< 1 = new this step
} nm_contact;

/// Read-only access to all arrays by slot, valid until the next call that changes the world.
typedef struct nm_world_view {
    const nm_scene *scene;
    uint32_t step;                                ///< scene step of the state shown
    uint32_t count;                               ///< slots
    const uint32_t *track;                        ///< [count]
    const uint32_t *slot_of;                      ///< [track capacity] slot or NM_NONE
    const float *x, *y, *heading, *cos_h, *sin_h; ///< box centre, rad
    const float *speed, *accel;                   ///< m/s along the heading, m/s^2
    const float *vx, *vy;                         ///< m/s, scene frame
    const float *curvature;                       ///< 1/m
    const float *length, *width;
    const uint8_t *type;          ///< nm_agent_type
    const uint8_t *policy;        ///< nm_policy_kind
    const uint32_t *lane;         ///< lane followed, or NM_NONE
    const float *lane_s, *lane_d; ///< m along and left of its centreline
    const uint32_t *lead;         ///< slot of the leader on the path, or NM_NONE
    const float *lead_gap;        ///< m bumper to bumper
    const float *ttc;             ///< s to the first contact at constant velocity, INFINITY = none within the horizon
    const uint32_t *ttc_with;     ///< slot, or NM_NONE
    const uint8_t *off_road, *wrong_way; ///< 0/1, at this step
    const uint32_t *events;              ///< [track capacity] by track, as nm_world_track_events: NM_AGENT_... so far
} nm_world_view;

/// Counters over the run.
typedef struct nm_world_stats {
    uint64_t agent_steps;                                 ///< states computed
    uint32_t agents;                                      ///< tracks that ever took part and could move
    uint32_t collided, off_road, wrong_way, frozen, left; ///< tracks with that event
    uint32_t started_in_contact, started_off_road;
    uint64_t recorded_agent_steps; ///< those at steps that the recording covers, too: for comparing with it
    double recorded_speed_sum;     ///< over recorded_agent_steps, m/s
    uint32_t first_collision_step; ///< scene step, or NM_NONE
    uint32_t contacts_dropped;     ///< pairs beyond the caller's array or the world's (16 an agent)
    uint32_t lane_changes;
    uint32_t held_back; ///< agents that could not enter for lack of room
    double speed_sum;   ///< over agent_steps, m/s
} nm_world_stats;

typedef struct nm_world nm_world;

/// Prepares the map (once per map, shared), sizes everything and places the agents of `start_step`.
/// NM_E_ARGUMENT when scene->dt is not 0.1 s (use nm_scene_resample) or the configuration, IDM parameters included,
/// makes no sense. `scene` is
/// borrowed and must outlive the world.
NM_API nm_status nm_world_create(const nm_scene *scene, const nm_world_config *config, nm_world **world,
                                 nm_error *error);
NM_API void nm_world_destroy(nm_world *world); ///< NULL is fine
/// For many worlds that go from scene to scene without allocating: how much memory a world takes, and a world in memory
/// of the caller's (aligned to 64 bytes), which may be overwritten by the next one. Such a world is not destroyed.
/// nm_world_measure prepares the map; after that nm_world_create_in allocates nothing. Errors as nm_world_create;
/// NM_E_LIMIT when `size` is too small.
NM_API nm_status nm_world_measure(const nm_scene *scene, const nm_world_config *config, size_t *bytes, nm_error *error);
NM_API nm_status nm_world_create_in(void *memory, size_t size, const nm_scene *scene, const nm_world_config *config,
                                    nm_world **world, nm_error *error);
/// Back to the start with another seed. No allocation.
NM_API void nm_world_reset(nm_world *world, uint64_t seed);

/// Steps every agent by 0.1 s.
///
/// contacts     [out, nullable] overlapping pairs after the step, ordered by (first, second), at most max_contacts
/// count        [out, nullable] how many there are (may exceed max_contacts)
/// returns      NM_OK; NM_E_NUMERIC when a state became non-finite: that agent is frozen where it was and counted
NM_API nm_status nm_world_step(nm_world *world, nm_contact *contacts, size_t max_contacts, size_t *count);

NM_API nm_world_view nm_world_get_view(const nm_world *world);
NM_API nm_world_stats nm_world_get_stats(const nm_world *world);
/// Events (NM_AGENT_...) of a track so far, present or gone.
NM_API uint32_t nm_world_track_events(const nm_world *world, uint32_t track);
/// 1 = the front of a track, all but half a metre, is where its lane leaves the map: drivers under IDM leave there, who
/// is led from outside goes on into nowhere. 0 also when it is not there or beside its lane.
NM_API int nm_world_at_end(const nm_world *world, uint32_t track);

/// For NM_POLICY_EXTERNAL: the command of the next step. Ignored when the track is not present. A command that is not
/// finite counts as NM_AGENT_FROZEN and brakes.
NM_API void nm_world_set_control(nm_world *world, uint32_t track, float accel, float curvature);
/// For NM_POLICY_EXTERNAL: the state after the next step, taken as it is (perfect tracking, a diffusion model's
/// output). Heading rad, wrapped here, within +-1e4. A state that is not finite or beyond NM_SCENE_MAX_DISTANCE or
/// NM_SCENE_MAX_SPEED counts as NM_AGENT_FROZEN: the track stays where it is, without speed. Velocities follow from the
/// way since the step before.
NM_API void nm_world_set_state(nm_world *world, uint32_t track, float x, float y, float heading, float speed);
/// Who drives a track from the next step on. Ignored when the track is not present. A state set for the next step is
/// dropped. Under IDM it goes on from where it is, with the wheels turned as it was recorded where it was replayed.
NM_API void nm_world_set_policy(nm_world *world, uint32_t track, nm_policy_kind policy);

/// Takes a track out of the world in the next step, as if its road ended there (NM_AGENT_LEFT): in the state after it
/// nobody sees it or hits it, and only a track under NM_POLICY_LOG comes back, where its recording begins again.
/// Whatever its policy. Ignored when the track is not present.
NM_API void nm_world_take_out(nm_world *world, uint32_t track);

/// Hash of all state, field by field over live slots (no padding, no addresses).
NM_API uint64_t nm_world_hash(const nm_world *world);
NM_API size_t nm_world_bytes(const nm_world *world); ///< memory held

// ---------------------------------------------------------------------------------------------------------------------
// Whole rollouts

typedef struct nm_rollout_result {
    nm_world_stats stats;
    uint64_t hash;         ///< of the final world
    const nm_scene *scene; ///< when asked for: the recorded history up to start_step, then what was simulated
} nm_rollout_result;

/// Creates a world, runs `steps` and, with `keep_scene`, builds the resulting scene (provenance source "simulate",
/// parent, seed and parameters filled so that it can be made again). result->scene is the caller's.
NM_API nm_status nm_rollout(const nm_scene *scene, const nm_world_config *config, uint32_t steps, int keep_scene,
                            nm_rollout_result *result, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
