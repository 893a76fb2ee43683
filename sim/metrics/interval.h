/// How far a score can be trusted: bootstrap intervals over independent groups.
///
/// Scenes cut out of one recording repeat the same motion, so scenes are not independent: groups of them are
/// (scenarios/groups.h). A score is a ratio of sums over all groups; its interval comes from computing it again for
/// many resamples, each of as many groups drawn with replacement (Efron 1979; the percentile interval of Efron 1981).
#ifndef NM_SIM_METRICS_INTERVAL_H
#define NM_SIM_METRICS_INTERVAL_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Fill with nm_bootstrap_config_default().
typedef struct nm_bootstrap_config {
    uint64_t seed;
    uint32_t draws;   ///< resamples, 1 to 1,000,000; default 2000
    double low, high; ///< of the interval, as shares of the resamples, 0 <= low <= high <= 1; default 0.025 and 0.975
} nm_bootstrap_config;
NM_API nm_bootstrap_config nm_bootstrap_config_default(void);

typedef struct nm_estimate {
    double value;     ///< over all groups
    double low, high; ///< equal to `value` for a single group: then they say nothing
    uint32_t groups;  ///< that counted anything: the only ones that are drawn
} nm_estimate;

/// The score is the mean over `parts` of (sum over groups of numerator) / (sum over groups of denominator), a part
/// whose denominator is 0 left out: one part for a plain ratio, one for each second for a mean over seconds.
///
/// numerator, denominator  [groups][parts], finite, denominators >= 0
/// returns                 NM_OK; NM_E_ARGUMENT for values or a configuration that make no sense; NM_E_NOT_FOUND when
///                         all denominators are 0; NM_E_MEMORY. *estimate is written only with NM_OK
///
/// Percentiles are interpolated linearly between order statistics (Hyndman and Fan 1996, definition 7). Which groups a
/// resample takes depends on the seed and the number of groups that counted anything alone: scores of the same groups
/// are resampled alike. Deterministic, thread-safe. O(draws * groups * parts).
NM_API nm_status nm_bootstrap_ratio(const double *numerator, const double *denominator, size_t groups, size_t parts,
                                    const nm_bootstrap_config *config, nm_estimate *estimate, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
