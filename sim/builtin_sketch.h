/// Private to sim/builtin*.c: the drawing board on which the built-in maps are made.
///
/// A road is drawn along a curve: a cross-section of bands (lanes) between borders is swept over it. Two lanes beside
/// each other take their common border from the same points, and lanes that follow each other are snapped together, so
/// the drivable area has no cracks. All coordinates are rounded to 2^-12 m: they survive the conversion to float
/// unchanged within 4 km of the origin, and a last-bit difference in the arithmetic before can not show.
///
/// Failures are sticky: drawing functions do nothing after one, and nm_sketch_build reports it.
#ifndef NM_SIM_BUILTIN_SKETCH_H
#define NM_SIM_BUILTIN_SKETCH_H

#include "base/arena.h"
#include "sim/builtin.h"

#define NM_SKETCH_REFS 6u
#define NM_SKETCH_BANDS 16u

// ---------------------------------------------------------------------------------------------------------------------
// Curves: a place and a unit tangent at each sample.

typedef struct nm_frame {
    double x, y; ///< m
    double c, s; ///< unit tangent
} nm_frame;

typedef struct nm_curve {
    nm_frame *frames;
    uint32_t count, capacity;
} nm_curve;

typedef struct nm_sketch nm_sketch;

void nm_curve_start(nm_sketch *sketch, nm_curve *curve, nm_frame start);
/// Straight on for `length` m, a sample each 10 m. Lengths of 0 and less add nothing.
void nm_curve_line(nm_sketch *sketch, nm_curve *curve, double length);
/// Curvature runs linearly from k0 to k1 (1/m, left positive): a clothoid, or an arc when they are equal.
void nm_curve_bend(nm_sketch *sketch, nm_curve *curve, double length, double k0, double k1);
/// From the present place to where the tangents meet it is `before` m, from there to the end `after` m; `angle` rad in
/// (-pi, pi) is what the tangent turns by. Straight on the longer side, then clothoid, arc, clothoid.
void nm_curve_turn(nm_sketch *sketch, nm_curve *curve, double before, double after, double angle);
/// Tangent length of such a turn over the radius of its arc.
double nm_curve_turn_ratio(double angle);
void nm_curve_place(nm_sketch *sketch, nm_curve *curve, nm_frame frame); ///< one more sample
void nm_curve_reverse(nm_curve *curve);

// ---------------------------------------------------------------------------------------------------------------------
// The sketch

typedef struct nm_sketch_lane {
    nm_point3 *left, *right; ///< [count], in driving direction; count >= 2
    uint32_t count;
    nm_lane_type type;
    nm_turn turn;
    nm_control_kind control;
    unsigned flags;
    nm_marking left_marking, right_marking;
    nm_colour left_colour, right_colour;
    double speed_limit;
    int64_t junction;
    uint32_t successors[NM_SKETCH_REFS], predecessors[NM_SKETCH_REFS];
    uint32_t successor_count, predecessor_count;
    uint32_t left_neighbour, right_neighbour; ///< beside it all along, or NM_NONE
    uint8_t left_opposite, right_opposite;
    uint8_t stop_line; ///< across its end
} nm_sketch_lane;

typedef struct nm_sketch_line {
    nm_line_kind kind;
    nm_marking marking;
    nm_colour colour;
    nm_point3 *points;
    uint32_t count;
} nm_sketch_line;

typedef struct nm_sketch_area {
    nm_area_kind kind;
    nm_point3 *points;
    uint32_t count;
} nm_sketch_area;

typedef struct nm_sketch_signal {
    nm_point3 position;
    nm_phase phases[4];
    uint32_t phase_count, offset; ///< steps of 0.1 s
    uint32_t lanes[8];
    uint32_t lane_count;
} nm_sketch_signal;

typedef struct nm_sketch_sign {
    const char *code; ///< static string
    nm_point3 position;
    uint32_t lane;
} nm_sketch_sign;

struct nm_sketch {
    nm_arena *arena; ///< curves and points
    nm_status failed;
    int mirror; ///< x -> -x and all driving directions turned round: an on-ramp becomes an off-ramp
    nm_sketch_lane *lanes;
    nm_sketch_line *lines;
    nm_sketch_area *areas;
    nm_sketch_signal *signals;
    nm_sketch_sign *signs;
    size_t lane_count, line_count, area_count, signal_count, sign_count;
    size_t lane_room, line_room, area_room, signal_room, sign_room;
    nm_sketch_lane spare_lane; ///< what is drawn into after a failure
    nm_point3 spare_points[4];
};

/// What becomes of a border: a painted line, an edge of the road, or nothing visible.
typedef enum nm_border_use { NM_BORDER_PLAIN = 0, NM_BORDER_PAINT, NM_BORDER_EDGE, NM_BORDER_MEDIAN } nm_border_use;

/// Offsets are m to the left of the curve at the start and the end of the section; smooth between.
typedef struct nm_border {
    double from, to;
    nm_border_use use;
    nm_marking marking;
    nm_colour colour;
} nm_border;

typedef struct nm_band {
    int absent;  ///< ground between two borders that is no lane (a median)
    int reverse; ///< driven against the curve
    int alone;   ///< no neighbour of the bands beside it (a sidewalk)
    nm_lane_type type;
    double speed_limit;
    nm_turn turn;
    unsigned flags;
    int64_t junction; ///< -1 = none
} nm_band;

/// `count` bands from left to right between `count + 1` borders.
typedef struct nm_section {
    uint32_t count;
    double lead_in, lead_out; ///< m at the start and the end over which offsets do not change yet or any more
    nm_border borders[NM_SKETCH_BANDS + 1];
    nm_band bands[NM_SKETCH_BANDS];
} nm_section;

nm_status nm_sketch_begin(nm_sketch *sketch, nm_error *error);
void nm_sketch_end(nm_sketch *sketch);
/// Hands everything to a map builder. Coordinates are the map's: origin (0, 0, 0).
nm_status nm_sketch_build(const nm_sketch *sketch, const nm_map **map, nm_error *error);

/// Appends a border from left to right; the band that it closes on its left must have been filled in first.
void nm_section_border(nm_section *section, double offset, nm_border_use use, nm_marking marking, nm_colour colour);
nm_band *nm_section_band(nm_section *section, nm_lane_type type, double speed_limit);

/// Sweeps `section` over the samples first..last of `curve`; lanes[band] receives the lane or NM_NONE.
void nm_sketch_sweep(nm_sketch *sketch, const nm_curve *curve, uint32_t first, uint32_t last, const nm_section *section,
                     uint32_t *lanes);
/// The same over the whole curve in pieces of about 400 m, linked: first[band] and last[band] receive the lanes at the
/// start and the end of the curve. The section must not change along the curve.
void nm_sketch_road(nm_sketch *sketch, const nm_curve *curve, const nm_section *section, uint32_t *first,
                    uint32_t *last);
/// `to` follows `from`. Where they meet within 0.1 m the one inside a junction is moved onto the other.
void nm_sketch_link(nm_sketch *sketch, uint32_t from, uint32_t to);

/// Joins `count` lanes that lie beside each other (left to right) to as many others by lanes through a junction, all
/// swept over one curve. The first `lead_in` and the last `lead_out` m are straight, with samples 2 and 4 m from the
/// outer ends when they are that long. lanes[] receives the new lanes, curve [out] what they were swept over.
typedef struct nm_joint {
    const uint32_t *from, *to;
    uint32_t count;
    double lead_in, lead_out;
    nm_turn turn;
    int64_t junction;
    double speed_limit;
} nm_joint;
void nm_sketch_join(nm_sketch *sketch, const nm_joint *joint, uint32_t *lanes, nm_curve *curve);

/// `points` are copied; fewer than two draw nothing.
void nm_sketch_add_line(nm_sketch *sketch, nm_line_kind kind, nm_marking marking, nm_colour colour,
                        const nm_point3 *points, uint32_t count);
void nm_sketch_add_area(nm_sketch *sketch, nm_area_kind kind, const nm_point3 *points, uint32_t count);
void nm_sketch_add_signal(nm_sketch *sketch, const nm_sketch_signal *signal);
void nm_sketch_add_sign(nm_sketch *sketch, const char *code, uint32_t lane);

/// The lane, or a dummy after a failure: never NULL.
nm_sketch_lane *nm_sketch_get(nm_sketch *sketch, uint32_t lane);
double nm_sketch_round(double value); ///< to 2^-12 m
void *nm_sketch_alloc(nm_sketch *sketch, size_t count, size_t size);

// ---------------------------------------------------------------------------------------------------------------------
// The maps. Parameters have been checked.

void nm_draw_highway(nm_sketch *sketch, const nm_builtin_params *params);
void nm_draw_ramp(nm_sketch *sketch, const nm_builtin_params *params);
void nm_draw_junction(nm_sketch *sketch, const nm_builtin_params *params);
void nm_draw_roundabout(nm_sketch *sketch, const nm_builtin_params *params);
void nm_draw_crosswalk(nm_sketch *sketch, const nm_builtin_params *params);

#endif
