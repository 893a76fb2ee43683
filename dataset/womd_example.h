/// Inside of the tf.Example reader. Private to dataset/womd_example*.c and womd.c.
#ifndef NM_DATASET_WOMD_EXAMPLE_H
#define NM_DATASET_WOMD_EXAMPLE_H

#include "dataset/womd_private.h"

/// Reads the payload, a tf.Example, and sets record->scenario to what it says. Errors name the feature.
nm_status nm_womd_unpack_example(nm_womd_record *record, nm_error *error);

/// The map's points, `count` of each.
typedef struct nm_womd_points {
    size_t count;
    const float *xyz, *dir; ///< [count][3]; dir nullable
    const int64_t *type, *id, *valid;
} nm_womd_points;
/// womd_example_map.c: gathers the points into features of the scenario and links the lanes.
nm_status nm_womd_points_to_features(nm_womd_record *record, const nm_womd_points *points, Womd__Scenario *out,
                                     nm_error *error);

#endif
