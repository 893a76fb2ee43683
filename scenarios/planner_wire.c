#include "scenarios/planner_wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"

struct nm_wire {
    nm_arena *out; // of the message that is written
    nm_arena *in;  // of the one that is read
    uint8_t *bytes;
    size_t capacity;
    int failed; // out of memory while a message was put together
};

nm_wire *nm_wire_create(void) {
    nm_wire *wire = calloc(1, sizeof *wire);
    if (!wire) return NULL;
    wire->out = nm_arena_create(0);
    wire->in = nm_arena_create(NM_WIRE_MAX_MEMORY);
    if (wire->out && wire->in) return wire;
    nm_wire_destroy(wire);
    return NULL;
}

void nm_wire_destroy(nm_wire *wire) {
    if (!wire) return;
    nm_arena_destroy(wire->out);
    nm_arena_destroy(wire->in);
    free(wire->bytes);
    free(wire);
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing: structures of planner.h become messages whose arrays point into the former where the types agree.

/// Zeroed memory of the message; where there is none, the message is given up at its end.
static void *take(nm_wire *wire, size_t count, size_t size) {
    void *memory = wire->failed ? NULL : nm_arena_calloc(wire->out, count, size, 16);
    if (!memory) wire->failed = 1;
    return memory;
}

/// A new message, initialised. NULL when memory is out.
static void *make(nm_wire *wire, size_t size, void (*init)(void *)) {
    void *message = take(wire, 1, size);
    if (message) init(message);
    return message;
}

static uint32_t *widened(nm_wire *wire, const uint8_t *values, size_t count) {
    uint32_t *wide = take(wire, count, sizeof *wide);
    for (size_t i = 0; wide && i < count; i++) wide[i] = values[i];
    return wide;
}

static char *text_of(nm_wire *wire, const char *text) {
    const char *from = text ? text : "";
    const size_t size = 4 * strlen(from) + 1; // at most, as text.h says
    char *safe = take(wire, size, 1);
    if (safe) nm_text_escape(safe, size, from); // protobuf strings are UTF-8, names from files may be anything
    return safe;
}

static float *unconst(const float *values) {
    union {
        const float *in;
        float *out;
    } u = {values}; // protobuf-c does not write to what it packs
    return u.out;
}

static uint32_t *unconst_u32(const uint32_t *values) {
    union {
        const uint32_t *in;
        uint32_t *out;
    } u = {values};
    return u.out;
}

static void init_line(void *m) {
    nearmiss__line__init(m);
}
static void init_pose(void *m) {
    nearmiss__pose__init(m);
}
static void init_vehicle(void *m) {
    nearmiss__vehicle__init(m);
}
static void init_lane(void *m) {
    nearmiss__lane__init(m);
}
static void init_map(void *m) {
    nearmiss__map__init(m);
}
static void init_route(void *m) {
    nearmiss__route__init(m);
}
static void init_ego(void *m) {
    nearmiss__ego__init(m);
}
static void init_history(void *m) {
    nearmiss__history__init(m);
}
static void init_agents(void *m) {
    nearmiss__agents__init(m);
}
static void init_signals(void *m) {
    nearmiss__signals__init(m);
}

static Nearmiss__Line *line_of(nm_wire *wire, const nm_planner_point *points, size_t count) {
    Nearmiss__Line *line = make(wire, sizeof *line, init_line);
    float *x = take(wire, count, sizeof *x), *y = take(wire, count, sizeof *y);
    if (wire->failed) return NULL;
    for (size_t i = 0; i < count; i++) {
        x[i] = points[i].x_scene;
        y[i] = points[i].y_scene;
    }
    line->n_x_scene = line->n_y_scene = count;
    line->x_scene = x;
    line->y_scene = y;
    return line;
}

static Nearmiss__Pose *pose_of(nm_wire *wire, nm_planner_pose pose) {
    Nearmiss__Pose *to = make(wire, sizeof *to, init_pose);
    if (!to) return NULL;
    to->x_scene = pose.x_scene;
    to->y_scene = pose.y_scene;
    to->heading_scene = pose.heading_scene;
    return to;
}

static Nearmiss__Lane *lane_of(nm_wire *wire, const nm_planner_map *map, const nm_planner_lane *lane) {
    Nearmiss__Lane *to = make(wire, sizeof *to, init_lane);
    uint32_t *sides = take(wire, 2, sizeof *sides);
    if (wire->failed) return NULL;
    to->id = lane->id;
    to->source_id = lane->source_id;
    to->type = lane->type;
    to->turn = lane->turn;
    to->control = lane->control;
    to->in_junction = lane->in_junction;
    to->on_route = lane->on_route;
    to->may_change_left = lane->may_change_left;
    to->may_change_right = lane->may_change_right;
    to->speed_limit = lane->speed_limit;
    to->length = lane->length;
    to->stop = lane->stop;
    sides[0] = lane->left;
    sides[1] = lane->right;
    to->n_left = lane->left != NM_PLANNER_NONE;
    to->left = &sides[0];
    to->n_right = lane->right != NM_PLANNER_NONE;
    to->right = &sides[1];
    to->n_successors = lane->successor_count;
    to->successors = unconst_u32(map->links + lane->first_successor);
    to->n_predecessors = lane->predecessor_count;
    to->predecessors = unconst_u32(map->links + lane->first_predecessor);
    to->centre = line_of(wire, map->centre + lane->first_point, lane->point_count);
    to->left_border = line_of(wire, map->left_border + lane->first_point, lane->point_count);
    to->right_border = line_of(wire, map->right_border + lane->first_point, lane->point_count);
    return to;
}

static void add_stop_lines(nm_wire *wire, const nm_planner_map *map, Nearmiss__Map *to) {
    const size_t count = map->stop_line_count;
    nm_planner_point *left = take(wire, count, sizeof *left), *right = take(wire, count, sizeof *right);
    uint32_t *lanes = take(wire, count, sizeof *lanes);
    if (wire->failed) return;
    for (size_t i = 0; i < count; i++) {
        left[i] = map->stop_lines[i].left_end;
        right[i] = map->stop_lines[i].right_end;
        lanes[i] = map->stop_lines[i].lane;
    }
    to->stop_lines_left_end = line_of(wire, left, count);
    to->stop_lines_right_end = line_of(wire, right, count);
    to->n_stop_line_lanes = count;
    to->stop_line_lanes = lanes;
}

static Nearmiss__Map *map_of(nm_wire *wire, const nm_planner_map *map) {
    Nearmiss__Map *to = make(wire, sizeof *to, init_map);
    Nearmiss__Lane **lanes = take(wire, map->lane_count, sizeof(Nearmiss__Lane *));
    Nearmiss__Line **crosswalks = take(wire, map->crosswalk_count, sizeof(Nearmiss__Line *));
    if (wire->failed) return NULL;
    to->version = map->version;
    to->middle_x_scene = map->middle.x_scene;
    to->middle_y_scene = map->middle.y_scene;
    to->radius = map->radius;
    for (uint32_t i = 0; i < map->lane_count; i++) lanes[i] = lane_of(wire, map, &map->lanes[i]);
    to->n_lanes = map->lane_count;
    to->lanes = lanes;
    add_stop_lines(wire, map, to);
    for (uint32_t i = 0; i < map->crosswalk_count; i++)
        crosswalks[i] =
            line_of(wire, map->area_points + map->crosswalks[i].first_point, map->crosswalks[i].point_count);
    to->n_crosswalks = map->crosswalk_count;
    to->crosswalks = crosswalks;
    return to;
}

static Nearmiss__Route *route_of(nm_wire *wire, const nm_planner_route *route) {
    Nearmiss__Route *to = make(wire, sizeof *to, init_route);
    const Nearmiss__Line *line = line_of(wire, route->points, route->point_count);
    if (wire->failed) return NULL;
    to->n_lanes = to->n_lane_from = route->lane_count;
    to->lanes = unconst_u32(route->lanes);
    to->lane_from = unconst(route->lane_from);
    to->n_x_scene = to->n_y_scene = to->n_heading_scene = to->n_curvature = to->n_speed_limit = route->point_count;
    to->x_scene = line->x_scene;
    to->y_scene = line->y_scene;
    to->heading_scene = unconst(route->heading_scene);
    to->curvature = unconst(route->curvature);
    to->speed_limit = unconst(route->speed_limit);
    to->length = route->length;
    to->goal = route->goal;
    return to;
}

static Nearmiss__History *history_of(nm_wire *wire, const nm_planner_history *history, size_t rows) {
    Nearmiss__History *to = make(wire, sizeof *to, init_history);
    const size_t count = rows * history->sample_count;
    uint8_t *valid = take(wire, count, 1);
    if (wire->failed) return NULL;
    memcpy(valid, history->valid, count);
    to->sample_count = history->sample_count;
    to->valid = (ProtobufCBinaryData){count, valid};
    to->n_box_centre_x_scene = to->n_box_centre_y_scene = to->n_heading_scene = count;
    to->n_velocity_x_scene = to->n_velocity_y_scene = count;
    to->box_centre_x_scene = unconst(history->box_centre_x_scene);
    to->box_centre_y_scene = unconst(history->box_centre_y_scene);
    to->heading_scene = unconst(history->heading_scene);
    to->velocity_x_scene = unconst(history->velocity_x_scene);
    to->velocity_y_scene = unconst(history->velocity_y_scene);
    return to;
}

static Nearmiss__Agents *agents_of(nm_wire *wire, const nm_planner_agents *agents) {
    Nearmiss__Agents *to = make(wire, sizeof *to, init_agents);
    const size_t count = agents->count;
    int64_t *id = take(wire, count, sizeof *id);
    protobuf_c_boolean *is_static = take(wire, count, sizeof *is_static);
    if (wire->failed) return NULL;
    for (size_t i = 0; i < count; i++) {
        id[i] = agents->id[i];
        is_static[i] = agents->is_static[i];
    }
    to->n_track = to->n_id = to->n_type = to->n_is_static = to->n_length = to->n_width = count;
    to->track = unconst_u32(agents->track);
    to->id = id;
    to->type = widened(wire, agents->type, count);
    to->is_static = is_static;
    to->length = unconst(agents->length);
    to->width = unconst(agents->width);
    to->history = history_of(wire, &agents->history, count);
    return to;
}

static Nearmiss__Signals *signals_of(nm_wire *wire, const nm_planner_signals *signals) {
    Nearmiss__Signals *to = make(wire, sizeof *to, init_signals);
    if (!to) return NULL;
    to->n_lane = to->n_state = to->n_turn = to->n_lane_stop = signals->count;
    to->lane = unconst_u32(signals->lane);
    to->state = widened(wire, signals->state, signals->count);
    to->turn = widened(wire, signals->turn, signals->count);
    to->lane_stop = unconst(signals->lane_stop);
    return to;
}

static Nearmiss__Ego *ego_of(nm_wire *wire, const nm_planner_ego *ego) {
    Nearmiss__Ego *to = make(wire, sizeof *to, init_ego);
    if (!to) return NULL;
    to->rear_axle = pose_of(wire, ego->rear_axle);
    to->box_centre = pose_of(wire, ego->box_centre);
    to->rear_axle_speed_ahead = ego->rear_axle_speed_ahead;
    to->box_centre_velocity_x_scene = ego->box_centre_velocity_x_scene;
    to->box_centre_velocity_y_scene = ego->box_centre_velocity_y_scene;
    to->acceleration_ahead = ego->acceleration_ahead;
    to->rear_axle_curvature = ego->rear_axle_curvature;
    to->steering_angle = ego->steering_angle;
    to->yaw_rate = ego->yaw_rate;
    return to;
}

/// Packs the request, its length in front.
static nm_status finish(nm_wire *wire, const Nearmiss__Request *request, nm_wire_bytes *bytes, nm_error *error) {
    if (wire->failed) return NM_ERROR(error, NM_E_MEMORY, "no memory for a message to a planner");
    const size_t size = nearmiss__request__get_packed_size(request);
    if (size > NM_WIRE_MAX)
        return NM_ERROR(error, NM_E_LIMIT,
                        "a message to a planner would have %zu bytes, at most %u are sent: show it "
                        "less of the map or the past",
                        size, NM_WIRE_MAX);
    if (size + NM_WIRE_HEADER > wire->capacity) {
        const size_t capacity = 2 * (size + NM_WIRE_HEADER);
        uint8_t *grown = realloc(wire->bytes, capacity);
        if (!grown) return NM_ERROR(error, NM_E_MEMORY, "no memory for a message of %zu bytes to a planner", size);
        wire->bytes = grown;
        wire->capacity = capacity;
    }
    for (unsigned i = 0; i < NM_WIRE_HEADER; i++) wire->bytes[i] = (uint8_t)(size >> (8 * i));
    nearmiss__request__pack(request, wire->bytes + NM_WIRE_HEADER);
    *bytes = (nm_wire_bytes){wire->bytes, size + NM_WIRE_HEADER};
    return NM_OK;
}

static Nearmiss__Request start(nm_wire *wire) {
    const Nearmiss__Request request = NEARMISS__REQUEST__INIT;
    nm_arena_reset(wire->out);
    wire->failed = 0;
    return request;
}

nm_status nm_wire_hello(nm_wire *wire, const char *config, nm_wire_bytes *bytes, nm_error *error) {
    Nearmiss__Request request = start(wire);
    Nearmiss__Hello hello = NEARMISS__HELLO__INIT;
    char program[] = "nearmiss " NM_VERSION;
    hello.abi = NM_PLANNER_ABI;
    hello.program = program;
    hello.config = text_of(wire, config);
    request.kind_case = NEARMISS__REQUEST__KIND_HELLO;
    request.hello = &hello;
    return finish(wire, &request, bytes, error);
}

nm_status nm_wire_begin(nm_wire *wire, const nm_planner_scenario *scenario, nm_wire_bytes *bytes, nm_error *error) {
    Nearmiss__Request request = start(wire);
    Nearmiss__Begin begin = NEARMISS__BEGIN__INIT;
    Nearmiss__Vehicle *vehicle = make(wire, sizeof *vehicle, init_vehicle);
    if (vehicle) {
        vehicle->length = scenario->vehicle.length;
        vehicle->width = scenario->vehicle.width;
        vehicle->wheelbase = scenario->vehicle.wheelbase;
        vehicle->rear_axle_to_box_centre = scenario->vehicle.rear_axle_to_box_centre;
    }
    begin.name = text_of(wire, scenario->name);
    begin.seed = scenario->seed;
    begin.step_seconds = scenario->step_seconds;
    begin.step_count = scenario->step_count;
    begin.origin_x = scenario->origin_x;
    begin.origin_y = scenario->origin_y;
    begin.origin_z = scenario->origin_z;
    begin.vehicle = vehicle;
    begin.ego_track = scenario->ego_track;
    begin.map = map_of(wire, scenario->map);
    begin.route = route_of(wire, scenario->route);
    begin.goal_box_centre = pose_of(wire, scenario->goal_box_centre);
    request.kind_case = NEARMISS__REQUEST__KIND_BEGIN;
    request.begin = &begin;
    return finish(wire, &request, bytes, error);
}

nm_status nm_wire_plan(nm_wire *wire, const nm_planner_observation *observation, int with_map, nm_wire_bytes *bytes,
                       nm_error *error) {
    Nearmiss__Request request = start(wire);
    Nearmiss__Plan plan = NEARMISS__PLAN__INIT;
    plan.step = observation->step;
    plan.time = observation->time;
    plan.seed = observation->seed;
    plan.deadline = observation->deadline;
    plan.ego = ego_of(wire, &observation->ego);
    plan.ego_history = history_of(wire, &observation->ego_history, 1);
    plan.agents = agents_of(wire, &observation->agents);
    plan.signals = signals_of(wire, &observation->signals);
    plan.map = with_map ? map_of(wire, observation->map) : NULL;
    plan.route_position = observation->route_position;
    plan.route_offset = observation->route_offset;
    request.kind_case = NEARMISS__REQUEST__KIND_PLAN;
    request.plan = &plan;
    return finish(wire, &request, bytes, error);
}

nm_status nm_wire_end(nm_wire *wire, nm_wire_bytes *bytes, nm_error *error) {
    Nearmiss__Request request = start(wire);
    Nearmiss__End end = NEARMISS__END__INIT;
    request.kind_case = NEARMISS__REQUEST__KIND_END;
    request.end = &end;
    return finish(wire, &request, bytes, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading

uint32_t nm_wire_length(const uint8_t header[NM_WIRE_HEADER]) {
    return (uint32_t)header[0] | (uint32_t)header[1] << 8 | (uint32_t)header[2] << 16 | (uint32_t)header[3] << 24;
}

static void *in_take(void *context, size_t size) {
    return nm_arena_alloc(context, 1, size, 16);
}

static void in_give(void *context, void *memory) {
    (void)context, (void)memory; // all at once, before the next message
}

const Nearmiss__Answer *nm_wire_read(nm_wire *wire, const uint8_t *bytes, size_t size) {
    ProtobufCAllocator allocator = {.alloc = in_take, .free = in_give, .allocator_data = wire->in};
    nm_arena_reset(wire->in);
    return nearmiss__answer__unpack(&allocator, size, bytes);
}

static nm_status read_trajectory(const Nearmiss__Trajectory *t, nm_planner_output *output, nm_error *error) {
    const size_t count = t->n_time;
    if (t->n_rear_axle_x_scene != count || t->n_rear_axle_y_scene != count || t->n_heading_scene != count ||
        t->n_speed_ahead != count)
        return NM_ERROR(error, NM_E_FORMAT, "its trajectory has %zu times, %zu x, %zu y, %zu headings and %zu speeds",
                        count, t->n_rear_axle_x_scene, t->n_rear_axle_y_scene, t->n_heading_scene, t->n_speed_ahead);
    if (count > output->point_capacity)
        return NM_ERROR(error, NM_E_FORMAT, "its trajectory has %zu points, at most %u are taken", count,
                        output->point_capacity);
    output->answer = NM_PLANNER_TRAJECTORY;
    output->point_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        output->points[i] = (nm_planner_trajectory_point){
            t->time[i], {t->rear_axle_x_scene[i], t->rear_axle_y_scene[i], t->heading_scene[i]}, t->speed_ahead[i]};
    return NM_OK;
}

static nm_status read_control(const Nearmiss__Control *control, nm_planner_output *output, nm_error *error) {
    output->acceleration_ahead = control->acceleration_ahead;
    switch (control->steering_case) {
    case NEARMISS__CONTROL__STEERING_REAR_AXLE_CURVATURE:
        output->answer = NM_PLANNER_CONTROL_CURVATURE;
        output->rear_axle_curvature = control->rear_axle_curvature;
        return NM_OK;
    case NEARMISS__CONTROL__STEERING_STEERING_RATE:
        output->answer = NM_PLANNER_CONTROL_STEERING;
        output->steering_rate = control->steering_rate;
        return NM_OK;
    default:
        return NM_ERROR(error, NM_E_FORMAT, "its control has neither curvature nor steering rate");
    }
}

nm_status nm_wire_output(const Nearmiss__Answer *answer, uint32_t step, nm_planner_output *output, nm_error *error) {
    if (answer->kind_case == NEARMISS__ANSWER__KIND__NOT_SET)
        return NM_ERROR(error, NM_E_FORMAT, "it answered nothing");
    if (answer->kind_case != NEARMISS__ANSWER__KIND_TRAJECTORY && answer->kind_case != NEARMISS__ANSWER__KIND_CONTROL)
        return NM_ERROR(error, NM_E_FORMAT, "it answered with neither a trajectory nor a control");
    if (answer->step != step)
        return NM_ERROR(error, NM_E_FORMAT, "it answered step %u when it was asked for step %u", answer->step, step);
    nm_text_escape(output->text, sizeof output->text, answer->text);
    if (answer->kind_case == NEARMISS__ANSWER__KIND_TRAJECTORY)
        return read_trajectory(answer->trajectory, output, error);
    return read_control(answer->control, output, error);
}
