/// How agents decide: the policies a world knows, their parameters, and the small interface by which more are added.
#ifndef NM_SIM_POLICY_H
#define NM_SIM_POLICY_H

#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nm_policy_kind {
    NM_POLICY_LOG = 0,           ///< replays the recorded states exactly; leaves when the recording does
    NM_POLICY_IDM,               ///< vehicles and cyclists: IDM on a lane route, MOBIL, right of way; pedestrians: walk
    NM_POLICY_CONSTANT_VELOCITY, ///< keeps speed and heading
    NM_POLICY_EXTERNAL,          ///< nm_world_set_control / nm_world_set_state each step; else keeps the last control
    NM_POLICY_CUSTOM,            ///< nm_policy given in the configuration
    NM_POLICY_COUNT
} nm_policy_kind;

NM_API const char *nm_policy_name(nm_policy_kind kind); ///< "log", "idm", "constant_velocity", "external", "custom"
NM_API int nm_policy_from_name(const char *name, nm_policy_kind *kind); ///< 1 when found

/// Intelligent Driver Model (Treiber, Hennecke, Helbing 2000, eq. 2-4) and MOBIL (Kesting, Treiber, Helbing 2007).
/// a = a_max (1 - (v/v0)^4 - (s*/s)^2),  s* = s0 + max(0, v T + v dv / (2 sqrt(a_max b))).
typedef struct nm_idm_params {
    const char *name;
    float time_gap;       ///< T, s
    float min_gap;        ///< s0, m
    float accel;          ///< a_max, m/s^2
    float brake;          ///< b, comfortable, m/s^2
    float desired_speed;  ///< v0, m/s; 0 = the lane's limit times speed_factor
    float speed_factor;   ///< of the limit; 1 = at the limit
    float spread;         ///< standard deviation of the per-agent factor on v0 and T; 0 = all alike
    float politeness;     ///< MOBIL p, 0..1
    float change_gain;    ///< MOBIL a_thr, m/s^2
    float safe_brake;     ///< MOBIL b_safe, m/s^2
    int lane_changes;     ///< 0 = never
    int adapt_to_history; ///< 1 = v0 and T of agents with a recorded past are estimated from it (past only)
} nm_idm_params;

/// "nearmiss" (ours, the default), "nuplan", "waymax", "metadrive": values as published, see policy_params.c. NULL when
/// unknown.
NM_API const nm_idm_params *nm_idm_named(const char *name);
/// For listing: i-th set, NULL past the end.
NM_API const nm_idm_params *nm_idm_at(size_t i);

/// NM_E_ARGUMENT, with the parameter, for a set without a name or with a value that makes no sense; NULL is one.
NM_API nm_status nm_idm_check(const nm_idm_params *params, nm_error *error);

/// What a custom policy sees: the world's arrays by slot (see nm_world_view), read-only.
struct nm_world_view;
/// Writes a command for each of the `count` slots: accel[i] m/s^2 along the heading, curvature[i] 1/m (left positive).
/// Commands pass through the dynamic limits. Must not allocate; deterministic functions of the view and of nm_rng keys.
typedef void nm_policy_act(void *context, const struct nm_world_view *view, const uint32_t *slots, uint32_t count,
                           float *accel, float *curvature);
typedef struct nm_policy {
    const char *name;
    nm_policy_act *act;
    void *context; ///< owned by the caller; used by one world at a time
} nm_policy;

#ifdef __cplusplus
}
#endif
#endif
