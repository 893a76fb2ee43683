/// The project's own format, protos/nearmiss.proto. Private to nearmiss_*.c.
#ifndef NM_DATASET_NEARMISS_PRIVATE_H
#define NM_DATASET_NEARMISS_PRIVATE_H

#include "base/arena.h"
#include "dataset/encoders.h"
#include "dataset/protos/nearmiss.pb-c.h"
#include "dataset/readers.h"

#define NM_NEARMISS_MAGIC "nearmiss.scene"
#define NM_NEARMISS_VERSION 1u
#define NM_NEARMISS_RUNS 8u ///< Track.valid_runs

/// One state plane of a track and its field.
#define NM_NEARMISS_PLANES(X)                                                                                          \
    X(x, 9)                                                                                                            \
    X(y, 10)                                                                                                           \
    X(z, 11)                                                                                                           \
    X(heading, 12)                                                                                                     \
    X(vx, 13)                                                                                                          \
    X(vy, 14)                                                                                                          \
    X(state_length, 15)                                                                                                \
    X(state_width, 16)                                                                                                 \
    X(state_height, 17)

/// The numbers of a label and their fields; NaN is left out.
#define NM_NEARMISS_MEASURES(X)                                                                                        \
    X(min_ttc, 8)                                                                                                      \
    X(min_distance, 9)                                                                                                 \
    X(min_thw, 10)                                                                                                     \
    X(max_drac, 11)                                                                                                    \
    X(pet, 12)                                                                                                         \
    X(min_ttr, 13)                                                                                                     \
    X(closing_speed, 14)                                                                                               \
    X(gap, 15)                                                                                                         \
    X(lateral_speed, 16)                                                                                               \
    X(deceleration, 17)                                                                                                \
    X(impact_speed, 18)                                                                                                \
    X(delta_v, 19)

/// nearmiss_map.c: the map of a message. `arena` holds what is needed meanwhile.
nm_status nm_nearmiss_read_map(const NearmissScene__Map *from, nm_arena *arena, const nm_map **map, nm_error *error);

#endif
