/// Why a score is not 1: each metric below its maximum, what that cost, when, with whom, and whether the recording has
/// it, too.
///
/// A loss is the RECORDING's where the same metric of the recorded drive over the same steps lacks at least half as
/// much: noise of its positions, boxes that overlap, a driver over the limit. Else the planner made it, or the
/// execution of its plans; of the expert only the latter is left. What every recording loses of the progress is the
/// definition's: of N steps the expert has N samples, and the ego N - 1.
///
/// Pure; thread-safe.
#ifndef NM_SCENARIOS_EPISODE_LOSSES_H
#define NM_SCENARIOS_EPISODE_LOSSES_H

#include "sim/metrics/nuplan_score.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_LOSS_LEAST 1e-6 ///< of a metric, below which it is rounding

typedef struct nm_loss {
    uint8_t metric;    ///< nm_nuplan_metric, one of those scored
    uint8_t detail;    ///< collisions: nm_nuplan_class; comfort: the part, a nm_nuplan_metric; else 0
    uint8_t recording; ///< 1 = the recording's
    double value;      ///< of the metric
    double recorded;   ///< value of the metric of the recorded drive; NaN where that cannot be scored
    double cost;       ///< the score with this metric at 1, less the score; 0 beside another that makes the score 0
    uint32_t sample;   ///< NM_NONE where no moment can be named
    uint32_t track;    ///< with whom; NM_NONE = nobody, or nobody in particular
} nm_loss;

/// collisions  [collision_count] at least the first one at fault, where there is any
/// recorded    score of the recorded drive; NULL = unknown
/// losses      [out, NM_NUPLAN_SCORED_COUNT] in the order of the metrics
/// Returns how many there are.
NM_API uint32_t nm_losses_of(const nm_nuplan_result *score, const nm_nuplan_collision *collisions,
                             uint32_t collision_count, const nm_nuplan_result *recorded, nm_loss *losses);

/// Static: "active_front", "ego_lon_jerk"; "" for a metric without details.
NM_API const char *nm_loss_detail(const nm_loss *loss);
/// The other way round; 0 for names of nothing.
NM_API int nm_loss_from_names(const char *metric, const char *detail, nm_loss *loss);

/// The score that the recording of the scene's ego gets over `samples` samples from step `first` on, the ego recorded
/// at least a step longer. As in an episode, whoever touches the ego at the start is left out until they have parted,
/// and so are boxes without size. Errors as nm_nuplan_record_scene and nm_nuplan_score.
NM_API nm_status nm_recording_score(const nm_nuplan_map *map, const nm_scene *scene, uint32_t first, uint32_t samples,
                                    nm_nuplan_result *score, nm_error *error);

// ---------------------------------------------------------------------------------------------------------------------
// Of many episodes

/// Losses with the same metric and detail.
typedef struct nm_reason {
    nm_loss about;     ///< metric and detail
    size_t episodes;   ///< that have it
    size_t recordings; ///< of these, how many recordings have it, too
    double cost;       ///< sum over the episodes
} nm_reason;
#define NM_REASONS_MAX (NM_NUPLAN_SCORED_COUNT + NM_NUPLAN_CLASS_COUNT + NM_NUPLAN_METRIC_COUNT)

typedef struct nm_reasons {
    nm_reason reasons[NM_REASONS_MAX];
    uint32_t count;
} nm_reasons;
/// Starts from {0}.
NM_API void nm_reasons_add(nm_reasons *reasons, const nm_loss *losses, uint32_t count);
/// The most costly first; of equals the more frequent.
NM_API void nm_reasons_sort(nm_reasons *reasons);

#ifdef __cplusplus
}
#endif
#endif
