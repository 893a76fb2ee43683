/// What the results of an evaluation come to: distributions, sums by type of scene, planners compared scene by scene.
///
/// A scene counts for a planner unless it is unfit; one that the planner failed in counts with a score and metrics of 0
/// (as nm_nuplan_aggregate with NM_NUPLAN_FAILURES_COUNT). Intervals are 95 % percentile intervals of the bootstrap
/// over groups of scenes that are not independent, such as those cut out of one recording (sim/metrics/interval.h,
/// evaluation_groups.h).
///
/// Pure and deterministic; thread-safe.
#ifndef NM_SCENARIOS_EVALUATION_SUMMARY_H
#define NM_SCENARIOS_EVALUATION_SUMMARY_H

#include "scenarios/results.h"
#include "sim/metrics/interval.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Of finite values. Quantiles are interpolated linearly between order statistics (Hyndman and Fan 1996, definition 7),
/// the deviation is of a sample (n - 1). All NaN without values; deviation NaN for a single one.
typedef struct nm_distribution {
    size_t count;
    double mean, deviation;
    double least, p05, p25, median, p75, p95, most;
} nm_distribution;
/// Sorts `values` [count] in place.
NM_API nm_distribution nm_distribution_of(double *values, size_t count);

/// Results of a planner under one configuration. Borrowed.
typedef struct nm_evaluation_entrant {
    const char *planner;
    const nm_results_row *rows; ///< [count], ascending by scene and adversary, each pair once
    size_t count;
    const uint32_t *group; ///< [count], < count of all scenes; NULL: every scene is a group of its own
} nm_evaluation_entrant;

/// A planner in the scenes of one type (nm_evaluation_type) or against adversaries of one kind. Means are NaN where
/// nothing counted.
typedef struct nm_evaluation_part {
    size_t scenes, failed, unfit; ///< scenes: that count, failed ones among them; unfit ones do not
    size_t collided;              ///< scenes with a collision at fault
    size_t staged;                ///< scenes in which the adversary's kind came about
    size_t met;                   ///< scenes in which ego and adversary touched, ...
    size_t avoidable;             ///< ... of them those that a careful driver would have avoided (avoidability.h)
    double score;                 ///< mean
    double metric[NM_NUPLAN_SCORED_COUNT];
} nm_evaluation_part;

typedef struct nm_evaluation_sum {
    nm_evaluation_part all;
    nm_evaluation_part *types;       ///< [type_count] of the summary
    nm_evaluation_part *adversaries; ///< [adversary_count]
    nm_distribution score;           ///< of scenes that count
    nm_estimate mean;                ///< of the score
    /// Contacts, the first NM_EPISODE_COLLISIONS of a scene. [class or type of the other][ego at fault]
    size_t by_class[NM_NUPLAN_CLASS_COUNT][2], by_type[NM_NUPLAN_TYPE_COUNT][2];
    nm_distribution min_ttc; ///< s, over the scenes driven to the end that had a TTC at all
    size_t no_ttc;           ///< scenes driven to the end without
    /// Of measured scenes with a finite value: times that there were, and all speeds and decelerations.
    nm_distribution danger[NM_EGO_MEASURE_COUNT];
    size_t measured;           ///< scenes whose danger was
    nm_distribution plan_mean; ///< s, mean time of an answer in a scene, over scenes that count
    double plan_most;          ///< s, the longest of all; NaN without scenes
} nm_evaluation_sum;

/// Planner `first` against `second` in the scenes that count for both, against the same adversaries.
typedef struct nm_evaluation_pair {
    uint32_t first, second;
    size_t scenes;
    nm_estimate difference;    ///< mean of the scores of `first` minus those of `second`; NaN without scenes
    size_t wins, ties, losses; ///< of `first`; a tie is within NM_EVALUATION_TIE
} nm_evaluation_pair;
#define NM_EVALUATION_TIE 1e-9

typedef struct nm_evaluation_summary {
    nm_evaluation_sum *planners; ///< [planner_count], in the order of the entrants
    const char **types;          ///< [type_count], those of any row, ascending; texts of the rows
    const char **adversaries;    ///< [adversary_count], the same: kinds, "" for nobody
    nm_evaluation_pair *pairs;   ///< [pair_count]: (0, 1), (0, 2), ..., (1, 2), ...
    size_t planner_count, type_count, adversary_count, pair_count;
} nm_evaluation_summary;

/// The mean of `values` [count] with its interval over groups; NaN without values. group as in the entrants, nullable.
/// Working memory is given back to `arena`. NM_E_MEMORY; NM_E_ARGUMENT for a bootstrap that makes no sense.
NM_API nm_status nm_evaluation_mean(const double *values, const uint32_t *group, size_t count,
                                    const nm_bootstrap_config *bootstrap, nm_arena *arena, nm_estimate *mean,
                                    nm_error *error);

/// bootstrap  nullable = nm_bootstrap_config_default()
/// arena      holds the summary afterwards
/// returns    NM_OK; NM_E_MEMORY; NM_E_ARGUMENT for a bootstrap configuration that makes no sense
NM_API nm_status nm_evaluation_summarize(const nm_evaluation_entrant *entrants, size_t count,
                                         const nm_bootstrap_config *bootstrap, nm_arena *arena,
                                         nm_evaluation_summary *summary, nm_error *error);

/// Order of the rows of an entrant: by scene, then by adversary. For qsort.
NM_API int nm_evaluation_row_order(const void *a, const void *b);

/// Kind of the row's adversary, "" for nobody.
NM_API const char *nm_evaluation_adversary_of(const nm_results_row *row);

/// The group of row `row` of an entrant; where it has none, that of its scene.
NM_API uint32_t nm_evaluation_group_of(const nm_evaluation_entrant *entrant, size_t row);

/// The score that a row counts with; NaN where it does not count.
NM_API double nm_evaluation_score_of(const nm_results_row *row);

/// The scenes with the lowest scores, those that count and lost anything. Many score 0: of equal ones the hardest
/// collision at fault comes first, then those without any, in the order of scenes.
/// rows [out, most] indices into entrant->rows. Returns how many there are. NM_EVALUATION_NO_MEMORY without memory.
#define NM_EVALUATION_NO_MEMORY SIZE_MAX
NM_API size_t nm_evaluation_worst(const nm_evaluation_entrant *entrant, size_t most, size_t *rows);

#ifdef __cplusplus
}
#endif
#endif
