/// What the OpenDRIVE reader is made of. Private to dataset/.
///
/// Three steps: opendrive_xml.c reads the document as it stands; opendrive_lanes.c samples the roads and finds out
/// which stretch of which lane leads into which; opendrive_map.c makes lanes, signals, signs and crosswalks of a map of
/// it.
///
/// A road is cut at its lane sections and wherever a marking, a speed or a rule of traffic changes ("cuts"). What one
/// lane is between two cuts is a piece. Pieces of one lane that follow one another and do not differ are one lane of
/// the map again (a "chain"): so a lane of the map is as long as everything said of it holds for all of it, and no
/// longer. The alternatives lost: one lane a section cuts all lanes where a turn lane opens beside them, and keeps a
/// solid line before the stop line from being told from the dashed one before it; one lane a road lane would have
/// several markings, limits and controls.
///
/// Source: ASAM OpenDRIVE 1.4 to 1.8; formulas are stated where they are used. s runs along the reference line, t to
/// its left; headings are counter-clockwise from +x.
#ifndef NM_DATASET_OPENDRIVE_H
#define NM_DATASET_OPENDRIVE_H

#include <string.h>

#include "dataset/readers.h"

/// `count` items at `at`.
#define NM_OD_ARRAY(type)                                                                                              \
    struct {                                                                                                           \
        type *at;                                                                                                      \
        uint32_t count, capacity;                                                                                      \
    }
/// Room for one more item of an array: its memory, moved when it had to grow; with *capacity as it was when memory is
/// out or 2^31 items are passed.
void *nm_od_grow(void *at, uint32_t *capacity, size_t item_size);
/// Appends a zeroed item. Evaluates to a pointer to it, or to NULL when there is no memory.
#define NM_OD_NEW(array)                                                                                               \
    (((array).count < (array).capacity ||                                                                              \
      ((array).at = nm_od_grow((array).at, &(array).capacity, sizeof *(array).at), (array).count < (array).capacity))  \
         ? (memset(&(array).at[(array).count], 0, sizeof *(array).at), &(array).at[(array).count++])                   \
         : NULL)

/// Into the document's texts, not terminated. Length 0 = none.
typedef struct nm_od_text {
    uint32_t first, length;
} nm_od_text;

/// A cubic in ds = s - own s.
typedef struct nm_od_poly {
    double s, a, b, c, d;
} nm_od_poly;

typedef enum nm_od_shape {
    NM_OD_NO_SHAPE = 0,
    NM_OD_LINE,
    NM_OD_ARC,
    NM_OD_SPIRAL,
    NM_OD_POLY3,
    NM_OD_PARAM_POLY3
} nm_od_shape;

#define NM_OD_KNOTS 16 // stretches of a cubic whose lengths are tabled

typedef struct nm_od_geometry {
    double s, x, y, hdg, length;
    uint8_t shape;      ///< nm_od_shape
    uint8_t normalized; ///< of PARAM_POLY3: p runs from 0 to 1
    int32_t line;
    double u[4], v[4]; ///< of the cubics; ARC: u[0] = curvature; SPIRAL: u[0], u[1] = curvature at start and end
    double end;        ///< of the cubics: p at the end of the geometry
    double arc[NM_OD_KNOTS + 1]; ///< of the cubics: length of the curve up to p = end * i / KNOTS
} nm_od_geometry;

typedef struct nm_od_mark {
    double s;
    uint8_t marking; ///< nm_marking; of a mixed pair the first line is the inner one, of lane 0 the left one
    uint8_t colour;  ///< nm_colour
} nm_od_mark;

typedef struct nm_od_speed {
    double s, max; ///< m/s; 0 = no limit
    uint8_t type;  ///< nm_lane_type that a driving lane of the road has from here on; of road types
} nm_od_speed;

typedef enum nm_od_lane_kind {
    NM_OD_LANE_OTHER = 0, ///< none, border, median, rail, ...: no lane of the map
    NM_OD_LANE_DRIVING,   ///< street or freeway, by the road's type
    NM_OD_LANE_RAMP,
    NM_OD_LANE_BOTH_WAYS,
    NM_OD_LANE_BUS,
    NM_OD_LANE_BIKE,
    NM_OD_LANE_SIDEWALK,
    NM_OD_LANE_SHOULDER
} nm_od_lane_kind;

typedef struct nm_od_lane {
    int32_t id;
    int32_t line;
    uint8_t kind;     ///< nm_od_lane_kind
    uint8_t reversed; ///< 1.8: direction "reversed"
    nm_range widths, borders, marks, speeds;
    nm_range links; ///< into lane_links
} nm_od_lane;
typedef struct nm_od_lane_link {
    int32_t lane;
    uint8_t successor; ///< 1 = at the end of the section, 0 = at its start
} nm_od_lane_link;

typedef struct nm_od_section {
    double s;
    int32_t line;
    nm_range lanes;  ///< into lanes; sorted from left to right, lane 0 among them
    uint32_t centre; ///< which of them is lane 0
} nm_od_section;

typedef struct nm_od_road_link {
    nm_od_text id;
    int32_t line;
    uint8_t given, junction; ///< junction: `id` is one
    uint8_t at_end;          ///< contact point on the other road
    uint32_t target;         ///< road or junction, resolved
} nm_od_road_link;

typedef struct nm_od_signal {
    double s, t;
    nm_point3 place; ///< where it stands, where that is said
    uint8_t placed;
    nm_od_text id; ///< of the signal, or the one a reference names
    int32_t line;
    uint8_t reference;
    int8_t orientation; ///< +1, -1, 0 = both
    uint8_t dynamic;
    char code[16];
    double value; ///< m/s where it is a speed with a unit, else as given; 0 = none
    uint8_t has_unit;
    uint8_t meaning;   ///< nm_od_meaning, of the signal that a reference names
    uint32_t meant;    ///< the signal itself, or the one a reference names; NM_NONE: it is not there
    nm_range validity; ///< into validities; empty = all lanes of its direction
} nm_od_signal;
typedef struct nm_od_validity {
    int32_t from, to;
} nm_od_validity;

typedef struct nm_od_object {
    double s, t, hdg, length, width;
    int32_t line;
    nm_range corners; ///< into corners; of the first outline
    uint8_t outlines;
} nm_od_object;
typedef struct nm_od_corner {
    double a, b;   ///< s and t on the road, or u and v in the object's frame
    uint8_t local; ///< 1 = u and v
} nm_od_corner;

typedef struct nm_od_road {
    nm_od_text id, junction_id;
    int32_t line;
    double length;
    uint8_t left_hand;
    uint32_t junction;        ///< NM_NONE or index
    nm_od_road_link links[2]; ///< predecessor, successor
    nm_range geometries, elevations, rolls, offsets, types, sections, signals, objects;
} nm_od_road;

typedef struct nm_od_connection {
    nm_od_text incoming_id, connecting_id;
    int32_t line;
    uint8_t at_end;                ///< contact point on the connecting road
    uint8_t direct;                ///< linkedRoad: no road between
    uint32_t incoming, connecting; ///< resolved
    nm_range links;                ///< into junction_links
} nm_od_connection;
typedef struct nm_od_junction_link {
    int32_t from, to;
} nm_od_junction_link;
typedef struct nm_od_junction {
    nm_od_text id;
    int32_t line;
    uint8_t virtual_junction;
    nm_range connections;
} nm_od_junction;

typedef struct nm_od_document {
    NM_OD_ARRAY(char) texts;
    NM_OD_ARRAY(nm_od_road) roads;
    NM_OD_ARRAY(nm_od_geometry) geometries;
    NM_OD_ARRAY(nm_od_poly) elevations;
    NM_OD_ARRAY(nm_od_poly) rolls;
    NM_OD_ARRAY(nm_od_poly) offsets;
    NM_OD_ARRAY(nm_od_poly) widths;
    NM_OD_ARRAY(nm_od_poly) borders;
    NM_OD_ARRAY(nm_od_speed) types;
    NM_OD_ARRAY(nm_od_section) sections;
    NM_OD_ARRAY(nm_od_lane) lanes;
    NM_OD_ARRAY(nm_od_lane_link) lane_links;
    NM_OD_ARRAY(nm_od_mark) marks;
    NM_OD_ARRAY(nm_od_speed) speeds;
    NM_OD_ARRAY(nm_od_signal) signals;
    NM_OD_ARRAY(nm_od_validity) validities;
    NM_OD_ARRAY(nm_od_object) objects;
    NM_OD_ARRAY(nm_od_corner) corners;
    NM_OD_ARRAY(nm_od_junction) junctions;
    NM_OD_ARRAY(nm_od_connection) connections;
    NM_OD_ARRAY(nm_od_junction_link) junction_links;
    nm_od_text name, geo_reference;
    int has_offset; ///< <offset> in the header moves or turns it all
} nm_od_document;
void nm_od_document_reset(nm_od_document *document); ///< empties it, keeps its memory
void nm_od_document_release(nm_od_document *document);

// --- opendrive_xml.c -------------------------------------------------------------------------------------------------

/// Reads the document and checks everything that one element says, and the order of what is ordered by s. Geometries of
/// length 0 are left out. References are left to nm_od_resolve.
nm_status nm_od_parse(const char *name, const void *bytes, size_t size, nm_od_document *document, nm_error *error);

// --- opendrive_curve.c -----------------------------------------------------------------------------------------------

typedef struct nm_od_pose {
    double x, y, hdg;
} nm_od_pose;

/// Makes a geometry ready: of cubics, the table of lengths. Returns NULL, or what is wrong with it.
const char *nm_od_geometry_prepare(nm_od_geometry *geometry);
/// rad by which the heading changes at most along the whole geometry, all bends added up; of cubics an estimate.
double nm_od_geometry_turn(const nm_od_geometry *geometry);
/// The point at ds m from its start, ds in [0, length] up to rounding. Cubics are taken at their true arc length,
/// scaled so that the curve ends at the length stated.
nm_od_pose nm_od_geometry_at(const nm_od_geometry *geometry, double ds);
static inline double nm_od_poly_at(const nm_od_poly *poly, double s) {
    double ds = s - poly->s;
    return poly->a + ds * (poly->b + ds * (poly->c + ds * poly->d));
}

#define NM_OD_OFFSET_TAG "header_offset_not_applied" ///< of a scene

// --- opendrive_lanes.c, opendrive_sample.c ---------------------------------------------------------------------------

/// A road between two cuts. Its borders are sampled in rows, from left to right: as many as the section has lanes, lane
/// 0 among them. Border i of a row lies left of the lane in place i where that is left of the centre, right of it where
/// it is right of the centre; that of lane 0 is the centre itself.
typedef struct nm_od_stretch {
    double start, end; ///< s
    uint32_t road, section;
    uint32_t rows, border_count;
    uint32_t first_point, first_row; ///< into points and row_s
    uint32_t first_piece;            ///< its pieces: one for each lane of the section, lane 0 among them
} nm_od_stretch;

#define NM_OD_USED 1u
#define NM_OD_FORWARD 2u ///< driven with s
#define NM_OD_RULED 4u   ///< a signal or sign rules its end: no chain goes on over it

typedef struct nm_od_piece {
    uint32_t stretch, lane; ///< into stretches, lanes
    uint32_t place;         ///< of the lane in the section, from the left, lane 0 among them
    uint32_t next, chain;   ///< the piece that carries the chain on, or NM_NONE; the chain it belongs to
    uint32_t left_border;   ///< the one on its left, seen along s; the next one is on its right
    float length, width;    ///< m: of the centreline; the widest place
    float chain_s;          ///< m from the start of the chain, in driving direction
    float speed;            ///< m/s, 0 = none
    uint8_t flags, type, control, bidirectional;
    uint8_t left_marking, right_marking, left_colour, right_colour; ///< in driving direction
} nm_od_piece;

typedef struct nm_od_chain {
    uint32_t first, last;              ///< pieces, in driving direction
    nm_point3 stop[2];                 ///< where to stop, left end first
    uint8_t has_stop;                  ///< 1 = by a signal's place, 2 = by a line on the road
    nm_range successors, predecessors; ///< into targets
} nm_od_chain;

typedef struct nm_od_edge {
    uint32_t from, to; ///< pieces
} nm_od_edge;

/// A signal rules the end of a piece.
typedef struct nm_od_ruling {
    uint32_t signal, piece;
} nm_od_ruling;

typedef struct nm_od_named {
    const char *text;
    uint32_t length, index;
} nm_od_named;

/// What the steps hand on to one another. Cleared, and its memory kept, for every document.
typedef struct nm_od_build {
    nm_od_document *document;
    const nm_import_limits *limits;
    const char *name;
    nm_error *error;
    NM_OD_ARRAY(nm_od_stretch) stretches;
    NM_OD_ARRAY(nm_point3) points;
    NM_OD_ARRAY(double) row_s;
    NM_OD_ARRAY(nm_od_piece) pieces;
    NM_OD_ARRAY(nm_od_edge) edges;    ///< by from, then to
    NM_OD_ARRAY(nm_od_edge) incoming; ///< the same by to
    NM_OD_ARRAY(nm_od_chain) chains;
    NM_OD_ARRAY(uint32_t) targets;
    NM_OD_ARRAY(nm_range) road_stretches; ///< [roads]
    NM_OD_ARRAY(nm_od_ruling) rulings;    ///< by signal
    NM_OD_ARRAY(double) cuts;             ///< of the road at hand
    NM_OD_ARRAY(double) breaks;           ///< of the stretch at hand
    NM_OD_ARRAY(nm_point3) scratch;       ///< rows that wait
    NM_OD_ARRAY(nm_od_named) road_names;
    NM_OD_ARRAY(nm_od_named) junction_names;
    NM_OD_ARRAY(nm_od_named) signal_names;
    NM_OD_ARRAY(double) axes;  ///< [junctions] direction of the first road with a light, or NaN
    uint32_t assumed_programs; ///< of traffic lights
    uint32_t dangling;         ///< references to lanes that are not there, left out
    uint32_t ignored_junctions;
} nm_od_build;
void nm_od_build_reset(nm_od_build *build);
void nm_od_build_release(nm_od_build *build);

/// opendrive_resolve.c: ids to indices. Refuses ids used twice and references to roads and junctions that are not
/// there.
nm_status nm_od_resolve(nm_od_build *build);
/// The index of a name in a sorted list, or NM_NONE.
uint32_t nm_od_find(const nm_od_named *names, uint32_t count, const char *text, uint32_t length);

/// opendrive_sample.c: samples the borders of a stretch, whose start, end, road and section are set, so that chords
/// stay within NM_OD_TOLERANCE of them.
#define NM_OD_TOLERANCE 0.004 // m
nm_status nm_od_sample(nm_od_build *build, nm_od_stretch *stretch);
/// The place (s, t) of a road, s clamped to it; *hdg [out, nullable] the heading of the reference line there.
nm_point3 nm_od_place(const nm_od_document *document, const nm_od_road *road, double s, double t, double *hdg);
/// The last item of an array that is not empty.
#define NM_OD_LAST(array) (&(array).at[(array).count - 1])

/// The last cubic that begins at or before s, or NULL.
const nm_od_poly *nm_od_active(const nm_od_poly *polys, nm_range range, double s);
static inline const nm_point3 *nm_od_border(const nm_od_build *build, const nm_od_stretch *stretch, uint32_t row,
                                            uint32_t border) {
    return &build->points.at[stretch->first_point + row * stretch->border_count + border];
}

/// opendrive_lanes.c: cuts roads, samples them and makes pieces.
nm_status nm_od_make_pieces(nm_od_build *build);
int nm_od_forward(const nm_od_road *road, const nm_od_lane *lane); ///< 1 = driven with s
/// 1 when the road's end leads to its own start.
int nm_od_is_ring(const nm_od_document *document, const nm_od_road *road);

/// opendrive_links.c: which piece leads into which, and the chains.
nm_status nm_od_make_edges(nm_od_build *build);
nm_status nm_od_make_chains(nm_od_build *build);

/// opendrive_rules.c: what signals and signs mean.
typedef enum nm_od_meaning { // in order of strictness as far as they rule the end of a lane
    NM_OD_MEANS_NOTHING = 0,
    NM_OD_MEANS_PRIORITY,
    NM_OD_MEANS_YIELD,
    NM_OD_MEANS_STOP,
    NM_OD_MEANS_LIGHT,
    NM_OD_MEANS_WALK_LIGHT, ///< for people on foot or bicycles
    NM_OD_MEANS_SPEED,
    NM_OD_MEANS_STOP_LINE
} nm_od_meaning;
nm_od_meaning nm_od_meaning_of(const nm_od_signal *signal);
double nm_od_sign_speed(const nm_od_signal *signal); ///< m/s; 0 = none
/// 1 when it holds for the lane; `forward`: the lane is driven with s.
int nm_od_signal_holds(const nm_od_document *document, const nm_od_signal *signal, const nm_od_lane *lane, int forward);
#define NM_OD_END_REACH 40.0 // m: what stands so near to the end of a road rules that end
/// Between edges and chains: controls of pieces, and rulings.
nm_status nm_od_apply_rules(nm_od_build *build);
/// After the chains: where to stop.
void nm_od_place_stop_lines(nm_od_build *build);

/// opendrive_lights.c: what a light that rules the end of this piece does. Asked in the order of the document, after
/// nm_od_find_axes.
#define NM_OD_PHASES 3u
#define NM_OD_CYCLE_DT 0.1 // s
nm_status nm_od_find_axes(nm_od_build *build);
void nm_od_light_program(nm_od_build *build, uint32_t piece, nm_phase phases[NM_OD_PHASES], uint32_t *offset);

/// opendrive_overlap.c: refuses a road that lies on another one.
nm_status nm_od_check_overlap(nm_od_build *build);

/// opendrive_map.c
nm_status nm_od_build_map(nm_od_build *build, nm_map_builder *builder, const nm_map **map);

#endif
