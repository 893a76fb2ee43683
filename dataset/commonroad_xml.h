/// The first half of the CommonRoad reader: how elements are recognised. Private to dataset/.
///
/// The grammar is a table of rules: "inside content P the element E holds content C, at most so often, and these two
/// functions are called". commonroad_xml.c walks the document with libxml2's SAX2 interface and applies the rules; an
/// element without a rule is skipped with all it holds, so newer files with additions are read as far as they go.
#ifndef NM_DATASET_COMMONROAD_XML_H
#define NM_DATASET_COMMONROAD_XML_H

#include "dataset/commonroad.h"

#define NM_CR_ELEMENTS(X)                                                                                              \
    X(COMMON_ROAD, "commonRoad")                                                                                       \
    X(SCENARIO_TAGS, "scenarioTags")                                                                                   \
    X(LANELET, "lanelet")                                                                                              \
    X(LEFT_BOUND, "leftBound")                                                                                         \
    X(RIGHT_BOUND, "rightBound")                                                                                       \
    X(POINT, "point")                                                                                                  \
    X(X, "x")                                                                                                          \
    X(Y, "y")                                                                                                          \
    X(Z, "z")                                                                                                          \
    X(LINE_MARKING, "lineMarking")                                                                                     \
    X(PREDECESSOR, "predecessor")                                                                                      \
    X(SUCCESSOR, "successor")                                                                                          \
    X(ADJACENT_LEFT, "adjacentLeft")                                                                                   \
    X(ADJACENT_RIGHT, "adjacentRight")                                                                                 \
    X(STOP_LINE, "stopLine")                                                                                           \
    X(LANELET_TYPE, "laneletType")                                                                                     \
    X(USER_ONE_WAY, "userOneWay")                                                                                      \
    X(USER_BIDIRECTIONAL, "userBidirectional")                                                                         \
    X(SPEED_LIMIT, "speedLimit")                                                                                       \
    X(TRAFFIC_SIGN_REF, "trafficSignRef")                                                                              \
    X(TRAFFIC_LIGHT_REF, "trafficLightRef")                                                                            \
    X(TRAFFIC_SIGN, "trafficSign")                                                                                     \
    X(TRAFFIC_SIGN_ELEMENT, "trafficSignElement")                                                                      \
    X(TRAFFIC_SIGN_ID, "trafficSignID")                                                                                \
    X(ADDITIONAL_VALUE, "additionalValue")                                                                             \
    X(VIRTUAL, "virtual")                                                                                              \
    X(TRAFFIC_LIGHT, "trafficLight")                                                                                   \
    X(CYCLE, "cycle")                                                                                                  \
    X(CYCLE_ELEMENT, "cycleElement")                                                                                   \
    X(DURATION, "duration")                                                                                            \
    X(COLOR, "color")                                                                                                  \
    X(TIME_OFFSET, "timeOffset")                                                                                       \
    X(DIRECTION, "direction")                                                                                          \
    X(ACTIVE, "active")                                                                                                \
    X(INTERSECTION, "intersection")                                                                                    \
    X(INCOMING, "incoming")                                                                                            \
    X(INCOMING_LANELET, "incomingLanelet")                                                                             \
    X(SUCCESSORS_RIGHT, "successorsRight")                                                                             \
    X(SUCCESSORS_STRAIGHT, "successorsStraight")                                                                       \
    X(SUCCESSORS_LEFT, "successorsLeft")                                                                               \
    X(IS_LEFT_OF, "isLeftOf")                                                                                          \
    X(CROSSING, "crossing")                                                                                            \
    X(CROSSING_LANELET, "crossingLanelet")                                                                             \
    X(OBSTACLE, "obstacle")                                                                                            \
    X(STATIC_OBSTACLE, "staticObstacle")                                                                               \
    X(DYNAMIC_OBSTACLE, "dynamicObstacle")                                                                             \
    X(ENVIRONMENT_OBSTACLE, "environmentObstacle")                                                                     \
    X(ROLE, "role")                                                                                                    \
    X(TYPE, "type")                                                                                                    \
    X(SHAPE, "shape")                                                                                                  \
    X(RECTANGLE, "rectangle")                                                                                          \
    X(CIRCLE, "circle")                                                                                                \
    X(POLYGON, "polygon")                                                                                              \
    X(LENGTH, "length")                                                                                                \
    X(WIDTH, "width")                                                                                                  \
    X(RADIUS, "radius")                                                                                                \
    X(CENTER, "center")                                                                                                \
    X(INITIAL_STATE, "initialState")                                                                                   \
    X(TRAJECTORY, "trajectory")                                                                                        \
    X(OCCUPANCY_SET, "occupancySet")                                                                                   \
    X(STATE, "state")                                                                                                  \
    X(POSITION, "position")                                                                                            \
    X(ORIENTATION, "orientation")                                                                                      \
    X(TIME, "time")                                                                                                    \
    X(VELOCITY, "velocity")                                                                                            \
    X(ACCELERATION, "acceleration")                                                                                    \
    X(YAW_RATE, "yawRate")                                                                                             \
    X(SLIP_ANGLE, "slipAngle")                                                                                         \
    X(EXACT, "exact")                                                                                                  \
    X(INTERVAL_START, "intervalStart")                                                                                 \
    X(INTERVAL_END, "intervalEnd")                                                                                     \
    X(PLANNING_PROBLEM, "planningProblem")                                                                             \
    X(GOAL_STATE, "goalState")                                                                                         \
    X(GOAL_REGION, "goalRegion")

#define NM_CR_ATTRIBUTES(X)                                                                                            \
    X(ID, "id")                                                                                                        \
    X(REF, "ref")                                                                                                      \
    X(DRIVING_DIR, "drivingDir")                                                                                       \
    X(VERSION, "commonRoadVersion")                                                                                    \
    X(BENCHMARK_ID, "benchmarkID")                                                                                     \
    X(TIME_STEP_SIZE, "timeStepSize")                                                                                  \
    X(TAGS, "tags")

typedef enum nm_cr_element {
    NM_CR_E_ANY = 0, ///< in a rule: whatever is called, matches
#define X(name, text) NM_CR_E_##name,
    NM_CR_ELEMENTS(X)
#undef X
        NM_CR_E_COUNT
} nm_cr_element;

typedef enum nm_cr_attribute {
#define X(name, text) NM_CR_A_##name,
    NM_CR_ATTRIBUTES(X)
#undef X
        NM_CR_A_COUNT
} nm_cr_attribute;

/// What an element holds. Those before NM_CR_C_LEAVES hold elements, the others text.
typedef enum nm_cr_content {
    NM_CR_C_DOCUMENT = 0,
    NM_CR_C_ROOT,
    NM_CR_C_TAGS,
    NM_CR_C_LANELET,
    NM_CR_C_BOUND,
    NM_CR_C_STOP_LINE,
    NM_CR_C_POINT,
    NM_CR_C_SIGN,
    NM_CR_C_SIGN_ELEMENT,
    NM_CR_C_PLACE, ///< position of a sign or a light
    NM_CR_C_LIGHT,
    NM_CR_C_CYCLE,
    NM_CR_C_CYCLE_ELEMENT,
    NM_CR_C_INTERSECTION,
    NM_CR_C_INCOMING,
    NM_CR_C_CROSSING,
    NM_CR_C_OBSTACLE,
    NM_CR_C_SHAPES,
    NM_CR_C_RECTANGLE,
    NM_CR_C_CIRCLE,
    NM_CR_C_CENTER,
    NM_CR_C_POLYGON,
    NM_CR_C_TRAJECTORY,
    NM_CR_C_STATE,
    NM_CR_C_POSITION,
    NM_CR_C_VALUE,
    NM_CR_C_PROBLEM,
    NM_CR_C_GOAL_REGION,
    NM_CR_C_GOAL,
    NM_CR_C_EMPTY, ///< nothing that matters, only attributes
    NM_CR_C_LEAVES,
    NM_CR_C_TEXT = NM_CR_C_LEAVES,
    NM_CR_C_NUMBER, ///< one finite number
    NM_CR_C_COUNT
} nm_cr_content;

typedef struct nm_cr_text {
    const char *at; ///< not terminated; NULL = not given
    size_t length;
} nm_cr_text;

typedef enum nm_cr_occurs { NM_CR_ANY_NUMBER = 0, NM_CR_AT_MOST_ONE, NM_CR_EXACTLY_ONE } nm_cr_occurs;

typedef struct nm_cr_rule nm_cr_rule;
typedef void nm_cr_open(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes);
typedef void nm_cr_close(nm_cr_parser *parser, const nm_cr_rule *rule);

struct nm_cr_rule {
    uint8_t parent;     ///< nm_cr_content
    uint8_t element;    ///< nm_cr_element
    uint8_t content;    ///< nm_cr_content
    uint8_t occurs;     ///< nm_cr_occurs
    uint8_t argument;   ///< for the functions
    nm_cr_open *open;   ///< nullable; attributes are indexed by nm_cr_attribute
    nm_cr_close *close; ///< nullable; parser->text or ->number is filled
};

extern const nm_cr_rule nm_cr_rules[];
extern const size_t nm_cr_rule_count;

#define NM_CR_MAX_TEXT 512

/// What the functions of the rules see and fill. The thing being read is the last of its array in the document.
struct nm_cr_parser {
    nm_cr_document *document;
    const nm_import_limits *limits;
    nm_status status; ///< the first failure; nothing is called after it

    char text[NM_CR_MAX_TEXT]; ///< of the leaf being closed, terminated
    size_t text_length;
    double number;
    const char *element_name; ///< in an `open` function of NM_CR_E_ANY

    nm_point3 point;      ///< being read
    nm_cr_value value;    ///< being read
    unsigned value_parts; ///< 1 exact, 2 start, 4 end
    unsigned bound;       ///< being read: 0 left, 1 right
    uint32_t points_mark; ///< the document's' point count when the position began
    uint32_t shapes_mark;
    uint32_t inner_mark;   ///< point count when the polygon, bound or stop line began
    struct nm_cr_xml *xml; ///< private to commonroad_xml.c
};

/// Refuses the document: keeps the message, with the line that is being read (or `line` when it is > 0). Reading stops
/// when the function of the rule returns; what was passed to it may be used until then.
void nm_cr_fail(nm_cr_parser *parser, nm_status code, int32_t line, const char *format, ...) NM_PRINTF(4, 5);
int32_t nm_cr_line(const nm_cr_parser *parser); ///< being read, from 1
const char *nm_cr_element_name(nm_cr_element element);

/// The value of a required attribute as an id (a whole number, not negative). Fails and returns 0 otherwise.
int nm_cr_get_id(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes, nm_cr_attribute which,
                 int64_t *id);
int nm_cr_text_is(const nm_cr_text *text, const char *word);

typedef struct nm_cr_word {
    const char *text;
    int value;
} nm_cr_word;
/// The value of `text` in a list that ends with NULL, whose value is the answer for words not in it.
int nm_cr_word_value(const nm_cr_word *list, const char *text);

/// Appends a zeroed item: evaluates to the item, or to NULL after failing the document for want of memory.
#define NM_CR_NEW(parser, array) (NM_CR_APPEND(array) ? NM_CR_LAST(array) : (nm_cr_fail_memory(parser), NULL))
void nm_cr_fail_memory(nm_cr_parser *parser);

/// What the `argument` of a rule for a value element says.
typedef enum nm_cr_value_kind {
    NM_CR_V_ORIENTATION = 0,
    NM_CR_V_TIME,
    NM_CR_V_VELOCITY,
    NM_CR_V_SLIP,
    NM_CR_V_CHECKED ///< must be a number, is not kept: scenes hold no accelerations, they follow from the states
} nm_cr_value_kind;

// --- the functions of the rules, by the file that holds them ---------------------------------------------------------

// commonroad_road.c
nm_cr_open nm_cr_open_root, nm_cr_open_tag, nm_cr_open_lanelet, nm_cr_open_bound, nm_cr_open_ref, nm_cr_open_adjacent,
    nm_cr_open_stop_line, nm_cr_open_sign, nm_cr_open_sign_element, nm_cr_open_place, nm_cr_open_light,
    nm_cr_open_cycle_element, nm_cr_open_intersection, nm_cr_open_incoming, nm_cr_open_crossing, nm_cr_open_left_of;
nm_cr_close nm_cr_close_lanelet, nm_cr_close_bound, nm_cr_close_marking, nm_cr_close_stop_line,
    nm_cr_close_lanelet_type, nm_cr_close_user, nm_cr_close_speed_limit, nm_cr_close_sign_code,
    nm_cr_close_additional_value, nm_cr_close_virtual, nm_cr_close_place, nm_cr_close_duration, nm_cr_close_color,
    nm_cr_close_time_offset, nm_cr_close_direction, nm_cr_close_active, nm_cr_close_cycle;
// commonroad_traffic.c
nm_cr_open nm_cr_open_point, nm_cr_open_obstacle, nm_cr_open_shape, nm_cr_open_state, nm_cr_open_trajectory,
    nm_cr_open_position, nm_cr_open_value, nm_cr_open_problem, nm_cr_open_goal;
nm_cr_close nm_cr_close_coordinate, nm_cr_close_point, nm_cr_close_role, nm_cr_close_obstacle_type,
    nm_cr_close_dimension, nm_cr_close_center, nm_cr_close_shape, nm_cr_close_obstacle, nm_cr_close_state,
    nm_cr_close_position, nm_cr_close_value_part, nm_cr_close_value, nm_cr_close_goal_position, nm_cr_close_goal_value;

#endif
