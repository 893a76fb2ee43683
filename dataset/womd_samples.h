/// The map of a Scenario as the points that tf.Example holds. Private to dataset/womd_*.c.
///
/// Order, spacing and codes are those of the dataset's converter: lanes, road lines, stop signs, crosswalks, speed
/// bumps, road edges, driveways, each in the order of the record. The converter takes polylines as points 0.5 m apart
/// and keeps every second one and the last; a line whose points are about 1 m apart is kept whole, and one of any other
/// spacing is sampled every 1 m along it. Sides of polygons are cut into equal parts of 1 m or somewhat more, the first
/// corner comes again at the end.
#ifndef NM_DATASET_WOMD_SAMPLES_H
#define NM_DATASET_WOMD_SAMPLES_H

#include "base/arena.h"
#include "dataset/encoders.h"

typedef struct nm_womd_sample {
    float xyz[3];
    float dir[3]; ///< unit vector to the feature's next sample; 0 at its last
    int32_t type; ///< code of the format
    int64_t id;   ///< of the feature
} nm_womd_sample;

typedef struct nm_womd_samples {
    nm_womd_sample *items;
    size_t count, room;
} nm_womd_samples;

/// Codes of the format's map points.
enum {
    NM_WOMD_CODE_LANE = 0,  ///< + LaneCenter.LaneType
    NM_WOMD_CODE_LINE = 5,  ///< + RoadLine.RoadLineType
    NM_WOMD_CODE_EDGE = 14, ///< + RoadEdge.RoadEdgeType
    NM_WOMD_CODE_STOP = 17,
    NM_WOMD_CODE_CROSSWALK,
    NM_WOMD_CODE_BUMP,
    NM_WOMD_CODE_DRIVEWAY,
    NM_WOMD_CODE_COUNT
};

/// Samples of features as nm_womd_map_write makes them (Scenario's field 8, one after the other). Emptied first. 0 when
/// memory is out.
int nm_womd_sample_features(const nm_byte_buffer *features, nm_arena *arena, nm_womd_samples *out);
void nm_womd_samples_free(nm_womd_samples *samples);

#endif
