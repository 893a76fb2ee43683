/// What the resampling generator (resample.h) draws by: how plausible motion is, and draws in proportion to weights.
///
/// Pure functions of their arguments, safe everywhere.
#ifndef NM_SCENARIOS_RESAMPLE_PRIOR_H
#define NM_SCENARIOS_RESAMPLE_PRIOR_H

#include "base/rng.h"
#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Time over which what a driver does is one decision, s: the integral time scale of recorded accelerations, twice the
/// area under their autocorrelation up to 4 s, of the motor vehicles in the 77 NGSIM scenes of CommonRoad's training
/// part (by parabolas over +-0.5 s, over 1 m/s: the correlation is 0.34 after 0.4 s, 0.02 after 0.6 s and 0.1 from 1.5
/// to 3 s).
#define NM_DECISION_SECONDS 1.2f

/// Log density of a motion, up to a constant, under what ordinary road users do: 0 = at each moment the most common
/// thing; the lower the rarer.
///
/// Motor vehicles: minus the sum over decisions (NM_DECISION_SECONDS) of the mean over the steps in it of the nats that
/// nm_realism_of_motion counts - acceleration along, acceleration across and jerk, each given the speed, against the
/// frequencies of recorded traffic (ordinary_motion.h). Pedestrians and cyclists: normal densities of their speed, mean
/// 1.34 and deviation 0.26 m/s (Weidmann 1993, free walking speeds) and 4.2 and 1.0 m/s (Euro NCAP's 15 km/h; the
/// deviation is chosen), and of accelerations, deviation 0.5 m/s^2 (chosen).
///
/// speed    [count] m/s, steps of 0.1 s
/// across   [count] m/s^2, sideways acceleration
/// Pure. Some microseconds.
NM_API float nm_motion_plausibility(nm_agent_type type, const float *speed, const float *across, uint32_t count);

/// One of `count` candidates, in proportion to the exponential of its weight; -INFINITY = never. NM_NONE when all are
/// that. A function of its arguments alone.
NM_API uint32_t nm_resample_pick(const float *log_weight, uint32_t count, const nm_rng_key *key, uint32_t draw);

#ifdef __cplusplus
}
#endif
#endif
