/// The CommonRoad grammar, 2018b and 2020a in one: the versions differ by additions, not by meaning (sources: the XSDs
/// and the format document of commonroad.in.tum.de). An element that stands in no rule is skipped whole; an obstacle's
/// signals, the location and whatever later versions add go that way.
#include "dataset/commonroad_xml.h"

#define ANY NM_CR_ANY_NUMBER
#define MAYBE NM_CR_AT_MOST_ONE
#define ONE NM_CR_EXACTLY_ONE

#define RULE(parent, element, content, occurs, argument, open, close)                                                  \
    { NM_CR_C_##parent, NM_CR_E_##element, NM_CR_C_##content, occurs, argument, open, close }

// clang-format off
const nm_cr_rule nm_cr_rules[] = {
    RULE(DOCUMENT, COMMON_ROAD, ROOT, ONE, 0, nm_cr_open_root, NULL),

    RULE(ROOT, SCENARIO_TAGS, TAGS, MAYBE, 0, NULL, NULL),
    RULE(ROOT, LANELET, LANELET, ANY, 0, nm_cr_open_lanelet, nm_cr_close_lanelet),
    RULE(ROOT, TRAFFIC_SIGN, SIGN, ANY, 0, nm_cr_open_sign, NULL),
    RULE(ROOT, TRAFFIC_LIGHT, LIGHT, ANY, 0, nm_cr_open_light, NULL),
    RULE(ROOT, INTERSECTION, INTERSECTION, ANY, 0, nm_cr_open_intersection, NULL),
    RULE(ROOT, OBSTACLE, OBSTACLE, ANY, NM_CR_ROLE_COUNT, nm_cr_open_obstacle, nm_cr_close_obstacle),
    RULE(ROOT, DYNAMIC_OBSTACLE, OBSTACLE, ANY, NM_CR_DYNAMIC, nm_cr_open_obstacle, nm_cr_close_obstacle),
    RULE(ROOT, STATIC_OBSTACLE, OBSTACLE, ANY, NM_CR_STATIC, nm_cr_open_obstacle, nm_cr_close_obstacle),
    RULE(ROOT, ENVIRONMENT_OBSTACLE, OBSTACLE, ANY, NM_CR_ENVIRONMENT, nm_cr_open_obstacle, nm_cr_close_obstacle),
    RULE(ROOT, PLANNING_PROBLEM, PROBLEM, ANY, 0, nm_cr_open_problem, NULL),

    RULE(TAGS, ANY, EMPTY, ANY, 0, nm_cr_open_tag, NULL),

    RULE(LANELET, LEFT_BOUND, BOUND, ONE, 0, nm_cr_open_bound, nm_cr_close_bound),
    RULE(LANELET, RIGHT_BOUND, BOUND, ONE, 1, nm_cr_open_bound, nm_cr_close_bound),
    RULE(LANELET, PREDECESSOR, EMPTY, ANY, NM_CR_PREDECESSOR, nm_cr_open_ref, NULL),
    RULE(LANELET, SUCCESSOR, EMPTY, ANY, NM_CR_SUCCESSOR, nm_cr_open_ref, NULL),
    RULE(LANELET, ADJACENT_LEFT, EMPTY, MAYBE, NM_CR_LEFT_SAME, nm_cr_open_adjacent, NULL),
    RULE(LANELET, ADJACENT_RIGHT, EMPTY, MAYBE, NM_CR_RIGHT_SAME, nm_cr_open_adjacent, NULL),
    RULE(LANELET, STOP_LINE, STOP_LINE, MAYBE, 0, nm_cr_open_stop_line, nm_cr_close_stop_line),
    RULE(LANELET, LANELET_TYPE, TEXT, ANY, 0, NULL, nm_cr_close_lanelet_type),
    RULE(LANELET, USER_ONE_WAY, TEXT, ANY, 0, NULL, nm_cr_close_user),
    RULE(LANELET, USER_BIDIRECTIONAL, TEXT, ANY, 1, NULL, nm_cr_close_user),
    RULE(LANELET, SPEED_LIMIT, NUMBER, MAYBE, 0, NULL, nm_cr_close_speed_limit),
    RULE(LANELET, TRAFFIC_SIGN_REF, EMPTY, ANY, NM_CR_SIGN, nm_cr_open_ref, NULL),
    RULE(LANELET, TRAFFIC_LIGHT_REF, EMPTY, ANY, NM_CR_LIGHT, nm_cr_open_ref, NULL),
    RULE(BOUND, POINT, POINT, ANY, 0, nm_cr_open_point, nm_cr_close_point),
    RULE(BOUND, LINE_MARKING, TEXT, MAYBE, 0, NULL, nm_cr_close_marking),
    RULE(STOP_LINE, POINT, POINT, ANY, 0, nm_cr_open_point, nm_cr_close_point),
    RULE(STOP_LINE, TRAFFIC_SIGN_REF, EMPTY, ANY, NM_CR_SIGN, nm_cr_open_ref, NULL),
    RULE(STOP_LINE, TRAFFIC_LIGHT_REF, EMPTY, ANY, NM_CR_LIGHT, nm_cr_open_ref, NULL),
    RULE(POINT, X, NUMBER, ONE, 0, NULL, nm_cr_close_coordinate),
    RULE(POINT, Y, NUMBER, ONE, 1, NULL, nm_cr_close_coordinate),
    RULE(POINT, Z, NUMBER, MAYBE, 2, NULL, nm_cr_close_coordinate),

    RULE(SIGN, TRAFFIC_SIGN_ELEMENT, SIGN_ELEMENT, ANY, 0, nm_cr_open_sign_element, NULL),
    RULE(SIGN, POSITION, PLACE, MAYBE, 0, nm_cr_open_place, nm_cr_close_place),
    RULE(SIGN, VIRTUAL, TEXT, MAYBE, 0, NULL, nm_cr_close_virtual),
    RULE(SIGN_ELEMENT, TRAFFIC_SIGN_ID, TEXT, ONE, 0, NULL, nm_cr_close_sign_code),
    RULE(SIGN_ELEMENT, ADDITIONAL_VALUE, TEXT, ANY, 0, NULL, nm_cr_close_additional_value),
    RULE(PLACE, POINT, POINT, MAYBE, 0, nm_cr_open_point, nm_cr_close_point),

    RULE(LIGHT, CYCLE, CYCLE, MAYBE, 0, NULL, nm_cr_close_cycle),
    RULE(LIGHT, POSITION, PLACE, MAYBE, 1, nm_cr_open_place, nm_cr_close_place),
    RULE(LIGHT, DIRECTION, TEXT, MAYBE, 0, NULL, nm_cr_close_direction),
    RULE(LIGHT, ACTIVE, TEXT, MAYBE, 0, NULL, nm_cr_close_active),
    RULE(CYCLE, CYCLE_ELEMENT, CYCLE_ELEMENT, ANY, 0, nm_cr_open_cycle_element, NULL),
    RULE(CYCLE, TIME_OFFSET, NUMBER, MAYBE, 0, NULL, nm_cr_close_time_offset),
    RULE(CYCLE_ELEMENT, DURATION, NUMBER, ONE, 0, NULL, nm_cr_close_duration),
    RULE(CYCLE_ELEMENT, COLOR, TEXT, ONE, 0, NULL, nm_cr_close_color),

    RULE(INTERSECTION, INCOMING, INCOMING, ANY, 0, nm_cr_open_incoming, NULL),
    RULE(INTERSECTION, CROSSING, CROSSING, ANY, 0, nm_cr_open_crossing, NULL),
    RULE(INCOMING, INCOMING_LANELET, EMPTY, ANY, NM_CR_INCOMING, nm_cr_open_ref, NULL),
    RULE(INCOMING, SUCCESSORS_RIGHT, EMPTY, ANY, NM_CR_TURN_RIGHT, nm_cr_open_ref, NULL),
    RULE(INCOMING, SUCCESSORS_STRAIGHT, EMPTY, ANY, NM_CR_TURN_STRAIGHT, nm_cr_open_ref, NULL),
    RULE(INCOMING, SUCCESSORS_LEFT, EMPTY, ANY, NM_CR_TURN_LEFT, nm_cr_open_ref, NULL),
    RULE(INCOMING, IS_LEFT_OF, EMPTY, MAYBE, 0, nm_cr_open_left_of, NULL),
    RULE(CROSSING, CROSSING_LANELET, EMPTY, ANY, NM_CR_CROSSING, nm_cr_open_ref, NULL),

    RULE(OBSTACLE, ROLE, TEXT, MAYBE, 0, NULL, nm_cr_close_role),
    RULE(OBSTACLE, TYPE, TEXT, ONE, 0, NULL, nm_cr_close_obstacle_type),
    RULE(OBSTACLE, SHAPE, SHAPES, ONE, 0, NULL, NULL),
    RULE(OBSTACLE, INITIAL_STATE, STATE, MAYBE, 0, nm_cr_open_state, nm_cr_close_state),
    RULE(OBSTACLE, TRAJECTORY, TRAJECTORY, MAYBE, 0, nm_cr_open_trajectory, NULL),
    RULE(SHAPES, RECTANGLE, RECTANGLE, ANY, NM_CR_RECTANGLE, nm_cr_open_shape, nm_cr_close_shape),
    RULE(SHAPES, CIRCLE, CIRCLE, ANY, NM_CR_CIRCLE, nm_cr_open_shape, nm_cr_close_shape),
    RULE(SHAPES, POLYGON, POLYGON, ANY, NM_CR_POLYGON, nm_cr_open_shape, nm_cr_close_shape),
    RULE(RECTANGLE, LENGTH, NUMBER, ONE, 0, NULL, nm_cr_close_dimension),
    RULE(RECTANGLE, WIDTH, NUMBER, ONE, 1, NULL, nm_cr_close_dimension),
    RULE(RECTANGLE, ORIENTATION, NUMBER, MAYBE, 2, NULL, nm_cr_close_dimension),
    RULE(RECTANGLE, CENTER, CENTER, MAYBE, 0, nm_cr_open_point, nm_cr_close_center),
    RULE(CIRCLE, RADIUS, NUMBER, ONE, 3, NULL, nm_cr_close_dimension),
    RULE(CIRCLE, CENTER, CENTER, MAYBE, 0, nm_cr_open_point, nm_cr_close_center),
    RULE(CENTER, X, NUMBER, ONE, 0, NULL, nm_cr_close_coordinate),
    RULE(CENTER, Y, NUMBER, ONE, 1, NULL, nm_cr_close_coordinate),
    RULE(POLYGON, POINT, POINT, ANY, 0, nm_cr_open_point, nm_cr_close_point),

    RULE(TRAJECTORY, STATE, STATE, ANY, 1, nm_cr_open_state, nm_cr_close_state),
    RULE(STATE, POSITION, POSITION, ONE, 0, nm_cr_open_position, nm_cr_close_position),
    RULE(STATE, ORIENTATION, VALUE, ONE, NM_CR_V_ORIENTATION, nm_cr_open_value, nm_cr_close_value),
    RULE(STATE, TIME, VALUE, ONE, NM_CR_V_TIME, nm_cr_open_value, nm_cr_close_value),
    RULE(STATE, VELOCITY, VALUE, MAYBE, NM_CR_V_VELOCITY, nm_cr_open_value, nm_cr_close_value),
    RULE(STATE, SLIP_ANGLE, VALUE, MAYBE, NM_CR_V_SLIP, nm_cr_open_value, nm_cr_close_value),
    RULE(STATE, ACCELERATION, VALUE, MAYBE, NM_CR_V_CHECKED, nm_cr_open_value, nm_cr_close_value),
    RULE(STATE, YAW_RATE, VALUE, MAYBE, NM_CR_V_CHECKED, nm_cr_open_value, nm_cr_close_value),
    RULE(POSITION, POINT, POINT, ANY, 0, nm_cr_open_point, nm_cr_close_point),
    RULE(POSITION, RECTANGLE, RECTANGLE, ANY, NM_CR_RECTANGLE, nm_cr_open_shape, nm_cr_close_shape),
    RULE(POSITION, CIRCLE, CIRCLE, ANY, NM_CR_CIRCLE, nm_cr_open_shape, nm_cr_close_shape),
    RULE(POSITION, POLYGON, POLYGON, ANY, NM_CR_POLYGON, nm_cr_open_shape, nm_cr_close_shape),
    RULE(POSITION, LANELET, EMPTY, ANY, NM_CR_LANELET, nm_cr_open_shape, NULL),
    RULE(VALUE, EXACT, NUMBER, MAYBE, 1, NULL, nm_cr_close_value_part),
    RULE(VALUE, INTERVAL_START, NUMBER, MAYBE, 2, NULL, nm_cr_close_value_part),
    RULE(VALUE, INTERVAL_END, NUMBER, MAYBE, 4, NULL, nm_cr_close_value_part),

    RULE(PROBLEM, INITIAL_STATE, STATE, ONE, 2, nm_cr_open_state, nm_cr_close_state),
    RULE(PROBLEM, GOAL_STATE, GOAL, ANY, 0, nm_cr_open_goal, NULL),
    RULE(PROBLEM, GOAL_REGION, GOAL_REGION, ANY, 0, NULL, NULL),
    RULE(GOAL_REGION, STATE, GOAL, ANY, 0, nm_cr_open_goal, NULL),
    RULE(GOAL, POSITION, POSITION, MAYBE, 0, nm_cr_open_position, nm_cr_close_goal_position),
    RULE(GOAL, TIME, VALUE, ONE, NM_CR_V_TIME, nm_cr_open_value, nm_cr_close_goal_value),
    RULE(GOAL, ORIENTATION, VALUE, MAYBE, NM_CR_V_ORIENTATION, nm_cr_open_value, nm_cr_close_goal_value),
    RULE(GOAL, VELOCITY, VALUE, MAYBE, NM_CR_V_VELOCITY, nm_cr_open_value, nm_cr_close_goal_value),
};
// clang-format on

const size_t nm_cr_rule_count = sizeof nm_cr_rules / sizeof nm_cr_rules[0];
