/// Rows of docs/formats/csv.md. Private to csv_*.c.
#ifndef NM_DATASET_CSV_PRIVATE_H
#define NM_DATASET_CSV_PRIVATE_H

#include "dataset/encoders.h"
#include "dataset/readers.h"

/// The columns in their order: identifier, name. A reader finds them by name.
#define NM_CSV_COLUMNS(COLUMN_OF)                                                                                      \
    COLUMN_OF(SCENE, "scene")                                                                                          \
    COLUMN_OF(STEP, "step")                                                                                            \
    COLUMN_OF(TIME, "time_s")                                                                                          \
    COLUMN_OF(TRACK, "track_id")                                                                                       \
    COLUMN_OF(TYPE, "type")                                                                                            \
    COLUMN_OF(ROLE, "role")                                                                                            \
    COLUMN_OF(FLAGS, "flags")                                                                                          \
    COLUMN_OF(X, "x_m")                                                                                                \
    COLUMN_OF(Y, "y_m")                                                                                                \
    COLUMN_OF(Z, "z_m")                                                                                                \
    COLUMN_OF(EAST, "east_m")                                                                                          \
    COLUMN_OF(NORTH, "north_m")                                                                                        \
    COLUMN_OF(UP, "up_m")                                                                                              \
    COLUMN_OF(HEADING, "heading_rad")                                                                                  \
    COLUMN_OF(VX, "vx_mps")                                                                                            \
    COLUMN_OF(VY, "vy_mps")                                                                                            \
    COLUMN_OF(SPEED, "speed_mps")                                                                                      \
    COLUMN_OF(LENGTH, "length_m")                                                                                      \
    COLUMN_OF(WIDTH, "width_m")                                                                                        \
    COLUMN_OF(HEIGHT, "height_m")                                                                                      \
    COLUMN_OF(LANE, "lane_id")                                                                                         \
    COLUMN_OF(OFFSET, "lane_offset_m")                                                                                 \
    COLUMN_OF(EVENTS, "events")

typedef enum nm_csv_column {
#define COLUMN(id, name) NM_CSV_##id,
    NM_CSV_COLUMNS(COLUMN)
#undef COLUMN
        NM_CSV_COLUMN_COUNT
} nm_csv_column;

/// The time of a step where no clock was recorded: decimal, so that 3 steps of 0.1 s are 0.3 s.
double nm_csv_time(double dt, uint32_t step);
/// The shortest decimal that is `value` as a float, as a double: 0.1 for 0.1f.
double nm_csv_float(float value);

#endif
