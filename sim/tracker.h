/// How a planned trajectory is driven: nuPlan's two-stage controller, an LQR tracker followed by a kinematic bicycle,
/// or the plan itself, executed perfectly (motional/nuplan-devkit, commit e9241677: the default of its closed-loop
/// challenges).
///
/// All poses are those of the REAR AXLE; the controller knows no other point. SI units, times in microseconds as they
/// were recorded: the real, jittered step goes into the integration. Computed in double. Pure functions, thread-safe;
/// no allocation: the tracker works in scratch that the caller holds.
///
/// In a closed loop, step k to k + 1:
///   command = nm_tracker_command(plan, state of k);  state of k + 1 = nm_bicycle_step(state of k, command)
#ifndef NM_SIM_TRACKER_H
#define NM_SIM_TRACKER_H

#include "base/status.h"
#include "sim/metrics/nuplan_score.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A state of a plan, as a planner hands it out.
typedef struct nm_plan_state {
    int64_t time_us;
    double x, y, heading; ///< rear axle; rad, any
    double speed;         ///< m/s
    double accel;         ///< m/s^2
    double steering;      ///< rad, of the front wheels
} nm_plan_state;

/// The state at a time within the plan: everything linear between its neighbours, the heading the short way round and
/// wrapped to [-pi, pi).
///
/// plan     [count] at least 2, times strictly ascending
/// returns  NM_OK; NM_E_ARGUMENT for a time outside the plan, too few states or times that do not ascend; NM_E_NUMERIC
///          for a state that is not finite, or over 1e8. *state is changed only with NM_OK
/// O(count): the whole plan is checked.
NM_API nm_status nm_plan_at(const nm_plan_state *plan, size_t count, int64_t time_us, nm_plan_state *state,
                            nm_error *error);

/// The ego of the bicycle.
typedef struct nm_bicycle_state {
    int64_t time_us;
    double x, y, heading;       ///< rear axle; heading in [-pi, pi)
    double speed;               ///< m/s along the heading; may become negative
    double accel;               ///< m/s^2, filtered
    double steering;            ///< rad
    double yaw_rate, yaw_accel; ///< rad/s, rad/s^2
} nm_bicycle_state;

typedef struct nm_bicycle_command {
    double accel;         ///< m/s^2
    double steering_rate; ///< rad/s
} nm_bicycle_command;

/// Fill with nm_bicycle_params_default().
typedef struct nm_bicycle_params {
    double wheelbase;    ///< m, > 0; default 3.089 (Pacifica)
    double max_steering; ///< rad, > 0; default pi / 3
    double accel_lag;    ///< s, >= 0, time constant of the acceleration; default 0.2
    double steering_lag; ///< s, >= 0, of the steering angle; default 0.05
} nm_bicycle_params;
NM_API nm_bicycle_params nm_bicycle_params_default(void);

/// One step of `step_us` > 0. Forward Euler with the old speed, heading and steering angle for the pose; both commands
/// through a first-order lag:
///   a+ = a + dt / (dt + 0.2) (a_cmd - a)                    delta_f = delta + dt / (dt + 0.05) (dt rate_cmd)
///   x+ = x + v cos(th) dt, y+ = y + v sin(th) dt            th+ = wrap(th + v tan(delta) / L dt)
///   v+ = v + a+ dt                                          delta+ = clip(delta_f, +-pi / 3)
///   yaw rate+ = v+ tan(delta+) / L                          yaw acceleration+ = (yaw rate+ - yaw rate) / dt
NM_API nm_bicycle_state nm_bicycle_step(const nm_bicycle_params *params, const nm_bicycle_state *state,
                                        nm_bicycle_command command, int64_t step_us);

/// What is scored: velocity (v, 0), acceleration (a, 0). In simulation the lateral acceleration is 0 by construction.
NM_API nm_nuplan_ego nm_bicycle_sample(const nm_bicycle_state *state);

/// Fill with nm_tracker_params_default(). All weights >= 0, and R > 0.
typedef struct nm_tracker_params {
    double q_speed, r_accel;                     ///< default 10, 1
    double q_lateral, q_heading, q_steering;     ///< default 1, 10, 0
    double r_steering_rate;                      ///< default 1
    uint32_t horizon;                            ///< steps of 0.1 s, 1 to 100; default 10
    double jerk_penalty, curvature_rate_penalty; ///< > 0; default 1e-4, 1e-2
    double initial_curvature_penalty;            ///< > 0; default 1e-10
    double stopping_gain, stopping_speed;        ///< default 0.5, 0.2 m/s
    double wheelbase;                            ///< m, > 0; default 3.089
} nm_tracker_params;
NM_API nm_tracker_params nm_tracker_params_default(void);

#define NM_TRACKER_STEP_US 100000
#define NM_TRACKER_MAX_STEPS 1024 ///< of 0.1 s, that a plan may last

/// Working memory, about 60 kB; content does not matter.
typedef struct nm_tracker_scratch {
    double x[NM_TRACKER_MAX_STEPS + 1], y[NM_TRACKER_MAX_STEPS + 1], heading[NM_TRACKER_MAX_STEPS + 1];
    double speed[NM_TRACKER_MAX_STEPS], curvature[NM_TRACKER_MAX_STEPS];
    double band[3][NM_TRACKER_MAX_STEPS];
} nm_tracker_scratch;

/// Speeds and curvatures that explain the plan, resampled every 0.1 s from its start, best: the least squares
///   SUM_k |d_k - dt v_k (cos th_k, sin th_k)|^2 + jerk_penalty SUM ((v_k+2 - 2 v_k+1 + v_k) / dt)^2
///   SUM_k (th_k+1 - th_k - dt v_k c_k)^2 + curvature_rate_penalty SUM ((c_k+1 - c_k) / dt)^2
///     + initial_curvature_penalty c_0^2
/// with d_k the way from pose k to pose k + 1. The unknowns there are an initial value and rates; here they are the
/// values themselves, an invertible change that makes the normal equations banded: O(steps).
///
/// steps    [out] number of speeds and curvatures, in scratch->speed and ->curvature, at the plan's start + k 0.1 s
/// returns  as nm_plan_at; NM_E_ARGUMENT also for a plan under 0.1 s; NM_E_LIMIT for one over 102.4 s
NM_API nm_status nm_tracker_fit(const nm_plan_state *plan, size_t count, const nm_tracker_params *params,
                                nm_tracker_scratch *scratch, uint32_t *steps, nm_error *error);

/// The command that makes the ego follow the plan.
///
/// Longitudinal: acceleration constant over the horizon T to the speed fitted at now + T: with B = T, a = -B Q (v -
/// v_ref) / (B^2 Q + R). Lateral: lateral error, heading error and steering, linearised over speeds v + k dt a and the
/// fitted curvatures, a steering rate constant over the horizon. When reference and ego are both at 0.2 m/s or below:
/// acceleration -0.5 (v - v_ref), steering held.
/// The way along the plan is not controlled, only the speed: an ego that has fallen behind stays behind.
/// Beyond the plan's ends the fitted values of the ends go on. Commands are not limited here.
///
/// returns  as nm_tracker_fit, also NM_E_ARGUMENT for parameters that make no sense and for an ego at a time outside
///          the plan; NM_E_NUMERIC for an ego that is not finite. *command is changed only with NM_OK
NM_API nm_status nm_tracker_command(const nm_plan_state *plan, size_t count, const nm_bicycle_state *ego,
                                    const nm_tracker_params *params, nm_tracker_scratch *scratch,
                                    nm_bicycle_command *command, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
