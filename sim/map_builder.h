/// What a map builder holds between adding and building. Private to map_builder.c and map_build.c.
#ifndef NM_SIM_MAP_BUILDER_H
#define NM_SIM_MAP_BUILDER_H

#include "sim/map_private.h"

/// A lane point as it came, in source coordinates.
typedef struct nm_raw_point {
    double cx, cy, lx, ly, rx, ry, z;
} nm_raw_point;

typedef struct nm_raw_lane {
    int64_t id, line, junction;
    double speed_limit;
    nm_range points;                   // into points
    nm_range predecessors, successors; // into refs, as ids
    nm_range left, right;              // into neighbours
    uint8_t type, turn, control, flags;
    uint8_t left_marking, right_marking, left_colour, right_colour;
    uint8_t stop; // 0 = none, 1 = across the end, 2 = between the two points
    nm_point3 stop_a, stop_b;
} nm_raw_lane;

typedef struct nm_raw_signal {
    int64_t id, line;
    nm_point3 position;
    double cycle_dt;
    uint32_t phase_offset;
    uint8_t placed, turn;
    nm_range phases; // into phases
    nm_range lanes;  // into refs, as ids
} nm_raw_signal;

typedef struct nm_raw_sign {
    nm_sign sign; // position and lanes are set by the build
    int64_t line;
    nm_point3 position;
    nm_range lanes; // into refs, as ids
} nm_raw_sign;

struct nm_map_builder {
    nm_pile lanes;       // nm_raw_lane
    nm_pile points;      // nm_raw_point
    nm_pile refs;        // int64_t
    nm_pile neighbours;  // nm_neighbour_def
    nm_pile lines;       // nm_line, points into line_points
    nm_pile line_points; // nm_point3
    nm_pile areas;       // nm_area
    nm_pile area_points; // nm_point3
    nm_pile signals;     // nm_raw_signal
    nm_pile signs;       // nm_raw_sign
    nm_pile phases;      // nm_phase
    nm_id_table lane_ids, signal_ids, sign_ids, junction_ids;
    int has_origin;
    nm_point3 origin;
    double lo_x, lo_y, lo_z, hi_x, hi_y; // of the lanes' points
    double default_speed[NM_LANE_TYPE_COUNT];
    uint32_t repairs[NM_REPAIR_COUNT];
    // working memory of the build
    nm_pile edges;  // uint32_t: successor graph, see map_build.c
    nm_pile starts; // uint32_t
    nm_pile counts; // uint32_t
};

#endif
