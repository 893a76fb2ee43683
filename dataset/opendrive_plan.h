/// How a map becomes roads and junctions. Private to opendrive_write.c, opendrive_plan.c, opendrive_joints.c and
/// opendrive_line.c.
#ifndef NM_DATASET_OPENDRIVE_PLAN_H
#define NM_DATASET_OPENDRIVE_PLAN_H

#include "dataset/opendrive_write.h"
#include "sim/pile.h"

/// A stretch of a reference line: from its start along an arc.
typedef struct nm_ow_arc {
    double s, x, y, hdg, length, curvature;
} nm_ow_arc;

/// A border's place beside the reference line: linear between its points.
typedef struct nm_ow_place {
    double s, t;
} nm_ow_place;

typedef enum nm_ow_link_kind { NM_OW_NO_LINK = 0, NM_OW_TO_ROAD, NM_OW_TO_JUNCTION } nm_ow_link_kind;
typedef struct nm_ow_link {
    nm_ow_link_kind kind;
    uint32_t target; ///< road, or junction of the plan
    int at_end;      ///< contact point on the road
} nm_ow_link;

/// Lanes from left to right, seen along the reference line; the first `backward` of them are driven against it.
typedef struct nm_ow_road {
    nm_range lanes; ///< into plan->order
    uint32_t backward;
    uint32_t junction; ///< whose connecting road it is, into plan->junctions, or NM_NONE
    nm_ow_link links[2];
} nm_ow_road;

typedef struct nm_ow_lane {
    uint32_t road, place;
    int32_t id; ///< in OpenDRIVE
} nm_ow_lane;

/// A movement of traffic from an end of one road to an end of another.
typedef struct nm_ow_edge {
    uint32_t from_end, to_end; ///< road * 2 + (1 = its end)
    uint32_t from, to;         ///< lanes of the map
} nm_ow_edge;

/// A joint is a junction without roads of its own: every movement over it gets a stub, a connecting road of NM_OW_STUB
/// m.
typedef struct nm_ow_junction {
    int joint;
} nm_ow_junction;
#define NM_OW_STUB 0.05 // m

/// Where a lane ends, in driving direction: the reference line there, and the lane beside it.
typedef struct nm_ow_exit {
    double x, y, z, hdg, left, width;
} nm_ow_exit;

/// A light or sign of the map rules the end of a lane.
typedef struct nm_ow_ruler {
    uint32_t lane;
    uint32_t sign; ///< 1 = a sign, 0 = a light
    uint32_t index;
} nm_ow_ruler;

typedef struct nm_ow_plan {
    const nm_map *map;
    nm_pile order;     // uint32_t: lanes of the map
    nm_pile roads;     // nm_ow_road
    nm_pile lanes;     // nm_ow_lane, [lanes of the map]
    nm_pile edges;     // nm_ow_edge, sorted by from_end, to_end
    nm_pile junctions; // nm_ow_junction
    nm_pile rulers;    // nm_ow_ruler: by lane, then kind and index
    nm_pile exits;     // nm_ow_exit, [lanes of the map]: of roads written
    uint32_t stubs;    // how many there are: road ids after those of the roads
    nm_pile written;   // uint8_t [signals + signs of the map]: defined in the document
    // working memory
    nm_pile joint;        // uint32_t [ends]: which joint an end belongs to
    nm_pile kind;         // uint8_t [ends], by joint
    nm_pile hub;          // uint32_t [ends], by joint: the end of the road that is no connecting road
    nm_pile inside;       // uint32_t [ends], by joint: the junction of its connecting roads
    nm_pile source;       // uint32_t [roads]: junction of the map whose connecting road it may be
    nm_pile number;       // uint32_t [junctions of the map]: in the plan
    nm_pile path;         // nm_point3: the line that the reference line follows
    nm_pile headings;     // double
    nm_pile arcs;         // nm_ow_arc
    nm_pile places;       // nm_ow_place: of the border at hand
    nm_pile borders;      // nm_ow_place: of all borders of a road, simplified
    nm_pile ranges;       // nm_range: of each border, into borders
    nm_pile breaks;       // double
    nm_pile rows;         // of opendrive_rows.c
    nm_pile places_right; // nm_ow_place: of the right border, where both are made at once
    nm_pile drawn, kept;  // nm_point3: of the border that is measured, as written and as it is
} nm_ow_plan;
void nm_ow_plan_free(nm_ow_plan *plan);

/// opendrive_plan.c: which lanes form roads. 0 when memory is out.
int nm_ow_group_lanes(nm_ow_plan *plan);
/// opendrive_joints.c: links and junctions. 0 when memory is out.
int nm_ow_join_roads(nm_ow_plan *plan);
/// opendrive_line.c: the reference line and the borders of a road, into arcs, borders and ranges. *length in m; *error
/// how far borders come to lie from the map's, m. 0 when memory is out.
int nm_ow_lay_out(nm_ow_plan *plan, const nm_ow_road *road, double *length, double *error);
/// Appends an arc from where the last one ended, or from (px, py), to (x, y). *end_heading: its heading there. 0 when
/// memory is out.
int nm_ow_add_arc(nm_ow_plan *plan, double px, double py, double heading, double x, double y, double *end_heading);
/// opendrive_rows.c: for a road of one lane, a reference line square to all rows, into arcs, and the borders beside it,
/// into places and places_right. 0 where there is none, -1 when memory is out.
int nm_ow_follow_rows(nm_ow_plan *plan, const nm_ow_road *road, double *length);
/// opendrive_error.c: raises *error to the distance, m, of a border that has been laid out from that of the map, corner
/// by corner, both ways. 0 when memory is out.
int nm_ow_measure(nm_ow_plan *plan, const nm_ow_road *road, uint32_t border, double length, double *error);
/// The place of a point beside the reference line, near s = `guess`.
nm_ow_place nm_ow_project(const nm_ow_plan *plan, double x, double y, double guess);
/// t of a border at s.
double nm_ow_border_at(const nm_ow_plan *plan, uint32_t border, double s);

/// opendrive_write_signals.c: which lights and signs rule which lane. 0 when memory is out.
int nm_ow_list_rulers(nm_ow_plan *plan);
/// <signals> of a road that has been laid out.
void nm_ow_write_signals(nm_ow_plan *plan, uint32_t road, double length, nm_byte_buffer *out);
/// " NAME=\"VALUE\"", with at most so many digits behind the point.
void nm_ow_number(nm_byte_buffer *out, const char *name, int digits, double value);

/// opendrive_write_junctions.c: notes where the lanes of a road that has been laid out end.
void nm_ow_note_exits(nm_ow_plan *plan, const nm_ow_road *road, double length);
/// The reference line at s.
void nm_ow_pose(const nm_ow_plan *plan, double s, double *x, double *y, double *hdg);
void nm_ow_write_stubs(const nm_ow_plan *plan, nm_byte_buffer *out);
void nm_ow_write_junctions(const nm_ow_plan *plan, nm_byte_buffer *out);
/// The number that is a junction's id.
static inline uint32_t nm_ow_junction_id(const nm_ow_plan *plan, uint32_t junction) {
    return (uint32_t)plan->roads.count + plan->stubs + 1 + junction;
}

static inline const nm_ow_road *nm_ow_road_at(const nm_ow_plan *plan, uint32_t road) {
    return &NM_AT(plan->roads, nm_ow_road, road);
}
static inline uint32_t nm_ow_lane_of(const nm_ow_plan *plan, const nm_ow_road *road, uint32_t place) {
    return NM_AT(plan->order, uint32_t, road->lanes.first + place);
}

#endif
