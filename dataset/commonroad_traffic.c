/// What the rules for traffic do: points, shapes, obstacles, states, planning problems.
#include <math.h>
#include <string.h>

#include "dataset/commonroad_xml.h"

#define MAX_COORDINATE 1e8 // m: more than twice around the Earth
#define MAX_DIMENSION 1e6  // m
#define MAX_SPEED 1e4      // m/s
#define MAX_STEP 4e9       // of a goal, which may lie after every state

// --- points ----------------------------------------------------------------------------------------------------------

void nm_cr_open_point(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule, (void)attributes;
    parser->point = (nm_point3){0.0, 0.0, 0.0};
}

void nm_cr_close_coordinate(nm_cr_parser *parser, const nm_cr_rule *rule) {
    if (!(fabs(parser->number) <= MAX_COORDINATE)) {
        nm_cr_fail(parser, NM_E_LIMIT, 0, "the coordinate %g m is beyond %g m", parser->number, MAX_COORDINATE);
        return;
    }
    if (rule->argument == 0)
        parser->point.x = parser->number;
    else if (rule->argument == 1)
        parser->point.y = parser->number;
    else
        parser->point.z = parser->number;
}

void nm_cr_close_point(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    nm_point3 *point = NM_CR_NEW(parser, parser->document->points);
    if (point) *point = parser->point;
}

// --- shapes ----------------------------------------------------------------------------------------------------------

void nm_cr_open_shape(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    nm_cr_shape *shape = NM_CR_NEW(parser, parser->document->shapes);
    if (!shape) return;
    shape->kind = rule->argument;
    shape->line = nm_cr_line(parser);
    parser->inner_mark = parser->document->points.count;
    if (rule->argument == NM_CR_LANELET) nm_cr_get_id(parser, rule, attributes, NM_CR_A_REF, &shape->lanelet);
}

void nm_cr_close_dimension(nm_cr_parser *parser, const nm_cr_rule *rule) {
    nm_cr_shape *shape = NM_CR_LAST(parser->document->shapes);
    if (rule->argument == 2) {
        shape->orientation = parser->number;
        return;
    }
    if (!(parser->number >= 0.0 && parser->number <= MAX_DIMENSION)) {
        nm_cr_fail(parser, NM_E_FORMAT, 0, "<%s> is %g m, not in [0, %g]", nm_cr_element_name(rule->element),
                   parser->number, MAX_DIMENSION);
        return;
    }
    if (rule->argument == 0)
        shape->length = parser->number;
    else if (rule->argument == 1)
        shape->width = parser->number;
    else
        shape->length = shape->width = 2.0 * parser->number;
}

void nm_cr_close_center(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    nm_cr_shape *shape = NM_CR_LAST(parser->document->shapes);
    shape->x = parser->point.x;
    shape->y = parser->point.y;
}

/// Centre of a polygon's area; of its points when it has no area.
static void polygon_centre(const nm_point3 *points, uint32_t count, double *x, double *y) {
    double area = 0.0, sum_x = 0.0, sum_y = 0.0, mean_x = 0.0, mean_y = 0.0;
    for (uint32_t i = 0; i < count; ++i) {
        // relative to the first point: far-off coordinates would cancel
        const nm_point3 *a = &points[i], *b = &points[i + 1 < count ? i + 1 : 0];
        double ax = a->x - points[0].x, ay = a->y - points[0].y, bx = b->x - points[0].x, by = b->y - points[0].y;
        double cross = ax * by - bx * ay;
        area += cross;
        sum_x += (ax + bx) * cross;
        sum_y += (ay + by) * cross;
        mean_x += ax;
        mean_y += ay;
    }
    if (fabs(area) > 1e-9) {
        *x = points[0].x + sum_x / (3.0 * area);
        *y = points[0].y + sum_y / (3.0 * area);
    } else {
        *x = points[0].x + mean_x / count;
        *y = points[0].y + mean_y / count;
    }
}

void nm_cr_close_shape(nm_cr_parser *parser, const nm_cr_rule *rule) {
    if (rule->argument != NM_CR_POLYGON) return;
    nm_cr_document *document = parser->document;
    nm_cr_shape *shape = NM_CR_LAST(document->shapes);
    shape->points = (nm_range){parser->inner_mark, document->points.count - parser->inner_mark};
    if (shape->points.count < 3) {
        nm_cr_fail(parser, NM_E_FORMAT, shape->line, "a polygon of %u points", shape->points.count);
        return;
    }
    polygon_centre(&document->points.at[shape->points.first], shape->points.count, &shape->x, &shape->y);
}

// --- obstacles -------------------------------------------------------------------------------------------------------

void nm_cr_open_obstacle(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    nm_cr_document *document = parser->document;
    if (document->obstacles.count >= parser->limits->max_tracks) {
        nm_cr_fail(parser, NM_E_LIMIT, 0, "more than %u obstacles", parser->limits->max_tracks);
        return;
    }
    nm_cr_obstacle *obstacle = NM_CR_NEW(parser, document->obstacles);
    if (!obstacle || !nm_cr_get_id(parser, rule, attributes, NM_CR_A_ID, &obstacle->id)) return;
    obstacle->line = nm_cr_line(parser);
    obstacle->role = rule->argument;
    obstacle->shapes.first = document->shapes.count;
    obstacle->states.first = document->states.count;
}

void nm_cr_close_role(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    static const nm_cr_word roles[] = {{"dynamic", NM_CR_DYNAMIC}, {"static", NM_CR_STATIC}, {NULL, NM_CR_ROLE_COUNT}};
    nm_cr_obstacle *obstacle = NM_CR_LAST(parser->document->obstacles);
    int role = nm_cr_word_value(roles, parser->text);
    if (role == NM_CR_ROLE_COUNT)
        nm_cr_fail(parser, NM_E_FORMAT, 0, "the role of an obstacle is \"%.40s\", not dynamic or static", parser->text);
    else if (obstacle->role == NM_CR_ROLE_COUNT)
        obstacle->role = (uint8_t)role;
    else if (obstacle->role != role)
        nm_cr_fail(parser, NM_E_FORMAT, 0, "obstacle %lld has a role that contradicts its element",
                   (long long)obstacle->id);
}

void nm_cr_close_obstacle_type(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    static const nm_cr_word types[] = {{"car", NM_AGENT_CAR},
                                       {"truck", NM_AGENT_TRUCK},
                                       {"bus", NM_AGENT_BUS},
                                       {"motorcycle", NM_AGENT_MOTORCYCLE},
                                       {"bicycle", NM_AGENT_CYCLIST},
                                       {"pedestrian", NM_AGENT_PEDESTRIAN},
                                       {"priorityVehicle", NM_AGENT_CAR},
                                       {"taxi", NM_AGENT_CAR},
                                       {"train", NM_AGENT_TRAIN},
                                       {"parkedVehicle", NM_AGENT_CAR},
                                       {"constructionZone", NM_AGENT_OBSTACLE},
                                       {"roadBoundary", NM_AGENT_OBSTACLE},
                                       {"building", NM_AGENT_OBSTACLE},
                                       {"pillar", NM_AGENT_OBSTACLE},
                                       {"median_strip", NM_AGENT_OBSTACLE},
                                       {NULL, NM_AGENT_UNKNOWN}};
    NM_CR_LAST(parser->document->obstacles)->type = (uint8_t)nm_cr_word_value(types, parser->text);
}

void nm_cr_open_trajectory(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule, (void)attributes;
    nm_cr_obstacle *obstacle = NM_CR_LAST(parser->document->obstacles);
    if (!obstacle->has_initial)
        nm_cr_fail(parser, NM_E_FORMAT, 0, "the trajectory of obstacle %lld comes before its <initialState>",
                   (long long)obstacle->id);
    obstacle->has_trajectory = 1;
}

void nm_cr_close_obstacle(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    nm_cr_document *document = parser->document;
    nm_cr_obstacle *obstacle = NM_CR_LAST(document->obstacles);
    obstacle->shapes.count = document->shapes.count - obstacle->shapes.first;
    obstacle->states.count = document->states.count - obstacle->states.first;
    const char *wrong = NULL;
    if (obstacle->role == NM_CR_ROLE_COUNT)
        wrong = "has no <role>";
    else if (obstacle->shapes.count == 0)
        wrong = "has an empty <shape>";
    else if (obstacle->role != NM_CR_ENVIRONMENT && !obstacle->has_initial)
        wrong = "has no <initialState>";
    else if (obstacle->role != NM_CR_DYNAMIC && obstacle->has_trajectory)
        wrong = "is static and yet has a <trajectory>";
    if (wrong) nm_cr_fail(parser, NM_E_FORMAT, obstacle->line, "obstacle %lld %s", (long long)obstacle->id, wrong);
}

// --- states ----------------------------------------------------------------------------------------------------------

/// argument: 0 initial state of an obstacle, 1 state of a trajectory, 2 initial state of a planning problem
void nm_cr_open_state(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)attributes;
    nm_cr_document *document = parser->document;
    nm_cr_state *state = NM_CR_NEW(parser, document->states);
    if (!state) return;
    state->line = nm_cr_line(parser);
    if (rule->argument == 0) NM_CR_LAST(document->obstacles)->has_initial = 1;
    if (rule->argument == 2) NM_CR_LAST(document->problems)->state = document->states.count - 1;
}

void nm_cr_close_state(nm_cr_parser *parser, const nm_cr_rule *rule) {
    if (rule->argument != 1) return;
    const nm_cr_state *state = NM_CR_LAST(parser->document->states);
    if (state->time > state[-1].time) return; // there is one before: a trajectory comes after its initial state
    nm_cr_fail(parser, NM_E_FORMAT, state->line, "obstacle %lld has time step %u %s step %u",
               (long long)NM_CR_LAST(parser->document->obstacles)->id, state->time,
               state->time == state[-1].time ? "again after" : "after", state[-1].time);
}

void nm_cr_open_position(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule, (void)attributes;
    parser->points_mark = parser->document->points.count;
    parser->shapes_mark = parser->document->shapes.count;
}

/// Fails unless the position is one point, or areas.
static int check_position(nm_cr_parser *parser, uint32_t points, uint32_t shapes) {
    if ((points == 1 && shapes == 0) || (points == 0 && shapes > 0)) return 1;
    nm_cr_fail(parser, NM_E_FORMAT, 0, "a <position> with %u points and %u areas: one point or areas are needed",
               points, shapes);
    return 0;
}

/// Points given outside of any shape since the position began. Those of polygons lie in between.
static uint32_t bare_points(const nm_cr_parser *parser) {
    const nm_cr_document *document = parser->document;
    uint32_t count = document->points.count - parser->points_mark;
    for (uint32_t i = parser->shapes_mark; i < document->shapes.count; ++i)
        count -= document->shapes.at[i].points.count;
    return count;
}

/// Where an uncertain position is: the mean of its areas' centres; the first lanelet when there are only lanelets.
void nm_cr_close_position(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    nm_cr_document *document = parser->document;
    uint32_t shapes = document->shapes.count - parser->shapes_mark;
    if (!check_position(parser, bare_points(parser), shapes)) return;
    nm_cr_state *state = NM_CR_LAST(document->states);
    if (shapes == 0) {
        state->x = parser->point.x;
        state->y = parser->point.y;
        state->z = parser->point.z;
    } else {
        uint32_t areas = 0;
        for (uint32_t i = parser->shapes_mark; i < document->shapes.count; ++i) {
            const nm_cr_shape *shape = &document->shapes.at[i];
            if (shape->kind == NM_CR_LANELET) continue;
            ++areas;
            state->x += (shape->x - state->x) / areas;
            state->y += (shape->y - state->y) / areas;
        }
        if (areas == 0) {
            state->flags |= NM_CR_AT_LANELET;
            state->lanelet = document->shapes.at[parser->shapes_mark].lanelet;
        }
    }
    document->points.count = parser->points_mark; // used up
    document->shapes.count = parser->shapes_mark;
}

// --- values ----------------------------------------------------------------------------------------------------------

void nm_cr_open_value(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule, (void)attributes;
    parser->value_parts = 0;
}

void nm_cr_close_value_part(nm_cr_parser *parser, const nm_cr_rule *rule) {
    parser->value_parts |= rule->argument;
    if (rule->argument != 4) parser->value.start = parser->number;
    if (rule->argument != 2) parser->value.end = parser->number;
}

static int check_value(nm_cr_parser *parser, const nm_cr_rule *rule) {
    const char *name = nm_cr_element_name(rule->element);
    if (parser->value_parts != 1 && parser->value_parts != 6)
        nm_cr_fail(parser, NM_E_FORMAT, 0, "<%s> needs either <exact> or <intervalStart> and <intervalEnd>", name);
    else if (parser->value.start > parser->value.end)
        nm_cr_fail(parser, NM_E_FORMAT, 0, "the interval of <%s> ends before it starts", name);
    else if (rule->argument == NM_CR_V_VELOCITY &&
             !(parser->value.start >= -MAX_SPEED && parser->value.end <= MAX_SPEED))
        nm_cr_fail(parser, NM_E_LIMIT, 0, "a velocity beyond %g m/s", MAX_SPEED);
    else if (rule->argument == NM_CR_V_TIME &&
             (parser->value.start != floor(parser->value.start) || parser->value.end != floor(parser->value.end) ||
              parser->value.start < 0.0))
        nm_cr_fail(parser, NM_E_FORMAT, 0, "the time %g is not a number of steps >= 0", parser->value.start);
    return parser->status == NM_OK;
}

void nm_cr_close_value(nm_cr_parser *parser, const nm_cr_rule *rule) {
    if (!check_value(parser, rule)) return;
    nm_cr_state *state = NM_CR_LAST(parser->document->states);
    double middle = parser->value.start + 0.5 * (parser->value.end - parser->value.start);
    switch ((nm_cr_value_kind)rule->argument) {
    case NM_CR_V_ORIENTATION:
        state->orientation = middle;
        break;
    case NM_CR_V_VELOCITY:
        state->velocity = middle;
        state->flags |= NM_CR_HAS_VELOCITY;
        break;
    case NM_CR_V_SLIP:
        state->slip = middle;
        break;
    case NM_CR_V_TIME:
        if (middle >= parser->limits->max_steps)
            nm_cr_fail(parser, NM_E_LIMIT, 0, "time step %.0f, the limit is %u steps", middle,
                       parser->limits->max_steps);
        else
            state->time = (uint32_t)middle;
        break;
    case NM_CR_V_CHECKED:
        break;
    }
}

// --- planning problems -----------------------------------------------------------------------------------------------

void nm_cr_open_problem(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    nm_cr_document *document = parser->document;
    nm_cr_problem *problem = NM_CR_NEW(parser, document->problems);
    if (!problem || !nm_cr_get_id(parser, rule, attributes, NM_CR_A_ID, &problem->id)) return;
    problem->line = nm_cr_line(parser);
    problem->goals.first = document->goals.count;
}

void nm_cr_open_goal(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule, (void)attributes;
    nm_cr_document *document = parser->document;
    nm_cr_goal *goal = NM_CR_NEW(parser, document->goals);
    if (!goal) return;
    goal->line = nm_cr_line(parser);
    goal->orientation = goal->velocity = (nm_cr_value){1.0, -1.0}; // any
    goal->shapes.first = document->shapes.count;
    ++NM_CR_LAST(document->problems)->goals.count;
}

/// Keeps the areas. A point becomes a circle of no size.
void nm_cr_close_goal_position(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    nm_cr_document *document = parser->document;
    uint32_t shapes = document->shapes.count - parser->shapes_mark;
    if (!check_position(parser, bare_points(parser), shapes)) return;
    if (shapes == 0) {
        nm_cr_shape *shape = NM_CR_NEW(parser, document->shapes);
        if (!shape) return;
        shape->kind = NM_CR_CIRCLE;
        shape->line = nm_cr_line(parser);
        shape->x = parser->point.x;
        shape->y = parser->point.y;
    }
    nm_cr_goal *goal = NM_CR_LAST(document->goals);
    goal->shapes = (nm_range){parser->shapes_mark, document->shapes.count - parser->shapes_mark};
}

void nm_cr_close_goal_value(nm_cr_parser *parser, const nm_cr_rule *rule) {
    if (!check_value(parser, rule)) return;
    nm_cr_goal *goal = NM_CR_LAST(parser->document->goals);
    if (rule->argument == NM_CR_V_ORIENTATION) {
        goal->orientation = parser->value;
    } else if (rule->argument == NM_CR_V_VELOCITY) {
        goal->velocity = parser->value;
    } else if (!(parser->value.end <= MAX_STEP)) {
        nm_cr_fail(parser, NM_E_LIMIT, 0, "the goal's time %g is beyond step %g", parser->value.end, MAX_STEP);
    } else {
        goal->first_step = (uint32_t)parser->value.start;
        goal->last_step = (uint32_t)parser->value.end;
    }
}
