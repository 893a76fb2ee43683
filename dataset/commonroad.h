/// What a CommonRoad document says, as flat arrays. Private to dataset/.
///
/// Reading has two halves. The grammar (commonroad_grammar.c, driven by commonroad_xml.c) fills this document while
/// libxml2 calls back, in whatever order the elements come. The build (commonroad_build.c, commonroad_map.c,
/// commonroad_scene.c) then resolves references, which may point forward, and makes map and scene. The arrays are
/// reused from file to file, so a long import allocates nothing after its largest file; they never hold more bytes than
/// about twice the XML.
///
/// All values are as in the source: SI units, source coordinates, unwrapped angles.
#ifndef NM_DATASET_COMMONROAD_H
#define NM_DATASET_COMMONROAD_H

#include "dataset/readers.h"

/// `count` items at `at`; see nm_cr_grow.
#define NM_CR_ARRAY(type)                                                                                              \
    struct {                                                                                                           \
        type *at;                                                                                                      \
        uint32_t count, capacity;                                                                                      \
    }

typedef enum nm_cr_ref_kind {
    // of a lanelet
    NM_CR_PREDECESSOR = 0,
    NM_CR_SUCCESSOR,
    NM_CR_LEFT_SAME,
    NM_CR_LEFT_OPPOSITE,
    NM_CR_RIGHT_SAME,
    NM_CR_RIGHT_OPPOSITE,
    NM_CR_SIGN,
    NM_CR_LIGHT,
    // of an incoming or a crossing
    NM_CR_INCOMING,
    NM_CR_TURN_RIGHT,
    NM_CR_TURN_STRAIGHT,
    NM_CR_TURN_LEFT,
    NM_CR_CROSSING
} nm_cr_ref_kind;

typedef struct nm_cr_ref {
    int64_t id;
    int32_t line;
    uint8_t kind;
} nm_cr_ref;

#define NM_CR_USER_VEHICLE 1u ///< vehicle, car, truck, motorcycle, taxi, priorityVehicle
#define NM_CR_USER_BUS 2u
#define NM_CR_USER_BICYCLE 4u
#define NM_CR_USER_PEDESTRIAN 8u
#define NM_CR_USER_OTHER 16u

typedef struct nm_cr_lanelet {
    int64_t id;
    int32_t line;
    nm_range left, right;                ///< into points
    nm_range refs;                       ///< into refs
    uint8_t left_marking, right_marking; ///< nm_marking
    uint8_t type;                        ///< nm_lane_type, the most specific of those given
    uint8_t junction;                    ///< 1 = laneletType intersection
    uint8_t one_way, both_ways;          ///< NM_CR_USER_...
    uint8_t has_stop_line;
    nm_range stop_line; ///< into points: none or two
    double speed_limit; ///< 2018b; 0 = none
} nm_cr_lanelet;

typedef struct nm_cr_sign_element {
    char code[16];
    double value; ///< the first additional value that is a number; 0 = none
} nm_cr_sign_element;

typedef struct nm_cr_sign {
    int64_t id;
    int32_t line;
    nm_range elements; ///< into sign_elements
    nm_range position; ///< into points: none or one
    uint8_t virtual_sign;
} nm_cr_sign;

typedef struct nm_cr_light {
    int64_t id;
    int32_t line;
    nm_range phases; ///< into phases
    int64_t offset;
    nm_range position; ///< into points: none or one
    uint8_t turn;      ///< nm_turn, unknown = all directions
    uint8_t dark;      ///< 1 = active is false
} nm_cr_light;

typedef struct nm_cr_incoming {
    int64_t id; ///< -1 for a crossing
    int32_t line;
    nm_range refs;
} nm_cr_incoming;

typedef struct nm_cr_intersection {
    int64_t id;
    int32_t line;
    nm_range incomings; ///< crossings among them
} nm_cr_intersection;

typedef enum nm_cr_shape_kind { NM_CR_RECTANGLE = 0, NM_CR_CIRCLE, NM_CR_POLYGON, NM_CR_LANELET } nm_cr_shape_kind;

typedef struct nm_cr_shape {
    uint8_t kind; ///< nm_cr_shape_kind
    int32_t line;
    double x, y;                       ///< centre
    double length, width, orientation; ///< a circle's length is its diameter
    nm_range points;                   ///< of a polygon
    int64_t lanelet;
} nm_cr_shape;

/// A number given exactly (start = end) or as an interval.
typedef struct nm_cr_value {
    double start, end;
} nm_cr_value;

#define NM_CR_HAS_VELOCITY 1u
#define NM_CR_HAS_ORIENTATION 2u
#define NM_CR_HAS_TIME 4u
#define NM_CR_AT_LANELET 8u ///< position is the middle of lanelet `lanelet`

typedef struct nm_cr_state {
    double x, y, z;
    double orientation, velocity, slip; ///< the middle where an interval was given
    int64_t lanelet;
    uint32_t time;
    int32_t line;
    uint32_t flags; ///< NM_CR_HAS_...
} nm_cr_state;

typedef enum nm_cr_role { NM_CR_DYNAMIC = 0, NM_CR_STATIC, NM_CR_ENVIRONMENT, NM_CR_ROLE_COUNT } nm_cr_role;

typedef struct nm_cr_obstacle {
    int64_t id;
    int32_t line;
    uint8_t role; ///< nm_cr_role
    uint8_t type; ///< nm_agent_type
    nm_range shapes;
    nm_range states; ///< the initial state first
    uint8_t has_initial, has_trajectory;
} nm_cr_obstacle;

typedef struct nm_cr_goal {
    int32_t line;
    uint32_t first_step, last_step;
    nm_cr_value orientation, velocity; ///< start > end = any
    nm_range shapes;
} nm_cr_goal;

typedef struct nm_cr_problem {
    int64_t id;
    int32_t line;
    uint32_t state; ///< into states
    nm_range goals;
} nm_cr_problem;

#define NM_CR_MAX_TAG 64

typedef struct nm_cr_tag {
    char text[NM_CR_MAX_TAG];
} nm_cr_tag;

typedef struct nm_cr_document {
    char benchmark_id[256];
    double dt;
    int version; ///< 2018 or 2020

    NM_CR_ARRAY(nm_point3) points;
    NM_CR_ARRAY(nm_cr_ref) refs;
    NM_CR_ARRAY(nm_cr_lanelet) lanelets;
    NM_CR_ARRAY(nm_cr_sign) signs;
    NM_CR_ARRAY(nm_cr_sign_element) sign_elements;
    NM_CR_ARRAY(nm_cr_light) lights;
    NM_CR_ARRAY(nm_phase) phases;
    NM_CR_ARRAY(nm_cr_intersection) intersections;
    NM_CR_ARRAY(nm_cr_incoming) incomings;
    NM_CR_ARRAY(nm_cr_obstacle) obstacles;
    NM_CR_ARRAY(nm_cr_state) states;
    NM_CR_ARRAY(nm_cr_shape) shapes;
    NM_CR_ARRAY(nm_cr_problem) problems;
    NM_CR_ARRAY(nm_cr_goal) goals;
    NM_CR_ARRAY(nm_cr_tag) tags;
} nm_cr_document;

void nm_cr_document_reset(nm_cr_document *document); ///< empties it, keeps its memory
void nm_cr_document_release(nm_cr_document *document);

/// Room for one more item: returns the array, moved when it had to grow; when memory is out or 2^31 items are passed,
/// the old one with *capacity as it was.
void *nm_cr_grow(void *at, uint32_t *capacity, size_t item_size);

/// Appends a zeroed item to an array of the document. Evaluates to 1, or to 0 when there is no memory.
#define NM_CR_APPEND(array)                                                                                            \
    (((array).count < (array).capacity ||                                                                              \
      ((array).at = nm_cr_grow((array).at, &(array).capacity, sizeof *(array).at), (array).count < (array).capacity))  \
         ? (memset(&(array).at[(array).count++], 0, sizeof *(array).at), 1)                                            \
         : 0)

/// The last item of an array that is not empty.
#define NM_CR_LAST(array) (&(array).at[(array).count - 1])

// --- the first half: XML to document ---------------------------------------------------------------------------------

typedef struct nm_cr_parser nm_cr_parser;
nm_cr_parser *nm_cr_parser_create(void); ///< NULL: no memory
void nm_cr_parser_destroy(nm_cr_parser *parser);
/// Checks everything that one element says; references are left to the build.
nm_status nm_cr_parse(nm_cr_parser *parser, const nm_import_limits *limits, const char *name, const void *bytes,
                      size_t size, nm_cr_document *document, nm_error *error);

// --- the second half: document to map and scene ----------------------------------------------------------------------

typedef enum nm_cr_kind {
    NM_CR_KIND_LANELET = 0,
    NM_CR_KIND_SIGN,
    NM_CR_KIND_LIGHT,
    NM_CR_KIND_INTERSECTION,
    NM_CR_KIND_INCOMING,
    NM_CR_KIND_OBSTACLE,
    NM_CR_KIND_PROBLEM
} nm_cr_kind;

typedef struct nm_cr_id {
    int64_t id;
    uint32_t index; ///< into the array of its kind
    int32_t line;
    uint8_t kind; ///< nm_cr_kind
} nm_cr_id;

/// What signs, lights and intersections say about a lanelet.
typedef struct nm_cr_lane_facts {
    double speed_limit; ///< m/s, 0 = unknown
    int64_t junction;   ///< id of the intersection it lies in, -1 = none
    uint8_t turn;       ///< nm_turn
    uint8_t control;    ///< nm_control_kind
    uint8_t crossing;   ///< 1 = an intersection names it as crosswalk
} nm_cr_lane_facts;

/// What a code of a traffic sign means for the lanes that refer to it.
typedef enum nm_cr_sign_meaning {
    NM_CR_SIGN_OTHER = 0,
    NM_CR_SIGN_SPEED,
    NM_CR_SIGN_YIELD,
    NM_CR_SIGN_STOP,
    NM_CR_SIGN_PRIORITY
} nm_cr_sign_meaning;
nm_cr_sign_meaning nm_cr_sign_meaning_of(const char *code);
/// From 50 m/s on a limit means "none": SUMO's converters write 50.0 for roads without one.
int nm_cr_is_limit(double speed);

/// Working memory of the build, reused from file to file.
typedef struct nm_cr_build {
    const nm_cr_document *document;
    const char *name; ///< of the input
    nm_error *error;
    NM_CR_ARRAY(nm_cr_id) ids;           ///< sorted by id
    NM_CR_ARRAY(nm_cr_lane_facts) facts; ///< [lanelets]
    NM_CR_ARRAY(nm_range) lists;         ///< [signs] then [lights]: their lanelets, into members
    NM_CR_ARRAY(int64_t) members;        ///< ids of lanelets
    NM_CR_ARRAY(nm_neighbour_def) neighbours;
} nm_cr_build;

void nm_cr_build_release(nm_cr_build *build);
/// Sorts the ids, refuses repeated ones and references to nothing.
nm_status nm_cr_resolve(nm_cr_build *build);
/// NULL when there is no such thing. Needs nm_cr_resolve.
const nm_cr_id *nm_cr_find(const nm_cr_build *build, nm_cr_kind kind, int64_t id);
nm_status nm_cr_build_map(nm_cr_build *build, nm_map_builder *builder, const nm_map **map);
nm_status nm_cr_build_scene(nm_cr_build *build, const nm_import_limits *limits, const nm_map *map,
                            nm_scene_builder *builder, const nm_scene **scene);

/// The box that holds shapes given around (0, 0), heading along +x: its size, its centre and how far it is turned. One
/// rectangle keeps its own orientation; anything else gets the box along the axes.
typedef struct nm_cr_box {
    double x, y, length, width, orientation;
} nm_cr_box;
nm_cr_box nm_cr_shape_box(const nm_cr_document *document, nm_range shapes);
/// The box around a polygon, along its longest edge: the same polygon when it is a rectangle. `polygon` into points.
nm_cr_box nm_cr_polygon_box(const nm_cr_document *document, nm_range polygon);

#define NM_CR_OUTLINE 16
/// Corners of a rectangle, or of a polygon around a circle, counter-clockwise. Returns how many.
size_t nm_cr_outline(const nm_cr_shape *shape, nm_point3 corners[NM_CR_OUTLINE]);

#endif
