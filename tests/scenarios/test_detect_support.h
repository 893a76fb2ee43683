/// Constructed traffic for the tests of the detectors: small maps, agents that drive along polylines with a speed
/// profile, and the whole scene turned, moved, mirrored, delayed or with its tracks in another order.
#ifndef NM_TESTS_SCENARIOS_TEST_DETECT_SUPPORT_H
#define NM_TESTS_SCENARIOS_TEST_DETECT_SUPPORT_H

#include "support.h"

#include "scenarios/detect.h"

#define STEPS_MAX 200
#define AGENTS_MAX 16
#define DT 0.1
#define PI 3.14159265358979323846

typedef struct point {
    double x, y;
} point;

typedef struct pose {
    double x, y, heading, speed;
    int valid;
} pose;

typedef struct agent {
    nm_agent_type type;
    unsigned flags;
    double length, width, height; ///< m; height 0 = unknown
    pose poses[STEPS_MAX];
} agent;

typedef enum map_kind {
    MAP_EMPTY = 0,
    MAP_HIGHWAY,  ///< 3 lanes east, 3 pieces of 300 m from x = 0; centres y = 0, 3.5, 7
    MAP_TWO_WAY,  ///< one lane east at y = 0, one lane west at y = 3.5, x = 0 to 600
    MAP_MERGE,    ///< main road east at y = 0 and a lane that joins it at x = 200 from the right
    MAP_JUNCTION, ///< four arms; lanes at 1.75 m to the right of the axes; the signal rules the eastbound approach
    MAP_SINGLE,   ///< two lanes on each other, east and west, x = 0 to 600, y = 0
    MAP_HAIRPIN,  ///< like MAP_BEND, 16 m counter-clockwise and 12.5 m clockwise
    MAP_BEND,     ///< one lane each way on the same bend: 150 m counter-clockwise, 146.5 m clockwise
    MAP_CURVE     ///< two lanes on a left bend, radius 150 m, centre (0, 150): inner lane at 150 m, outer 153.5 m
} map_kind;

typedef struct world {
    map_kind map;
    int steps, agents;
    agent agent[AGENTS_MAX];
    nm_signal_state signal; ///< of the junction's signal, throughout
} world;

/// How the world is put into a scene.
typedef struct placing {
    double turn, east, north; ///< rad, m, m
    int mirror;               ///< y becomes -y, left becomes right
    int delay;                ///< steps before anything is there
    int backwards;            ///< tracks in reverse order
} placing;

// --- geometry --------------------------------------------------------------------------------------------------------

static inline nm_point3 place_point(const placing *p, double x, double y) {
    if (p->mirror) y = -y;
    return (nm_point3){p->east + x * cos(p->turn) - y * sin(p->turn), p->north + x * sin(p->turn) + y * cos(p->turn),
                       0};
}

static inline double place_heading(const placing *p, double heading) {
    return (p->mirror ? -heading : heading) + p->turn;
}

typedef struct lane_spec {
    int64_t id;
    const point *points;
    size_t count;
    int64_t left, right; ///< neighbours that run the same way; 0 = none
    int64_t opposite;    ///< neighbour on the left that runs the other way
    int64_t successors[3];
    nm_turn turn;
    int junction;
    nm_lane_type type;
} lane_spec;

static inline nm_turn mirrored_turn(const placing *p, nm_turn turn) {
    if (!p->mirror) return turn;
    return turn == NM_TURN_LEFT ? NM_TURN_RIGHT : turn == NM_TURN_RIGHT ? NM_TURN_LEFT : turn;
}

static inline void add_lane(nm_map_builder *builder, const placing *p, const lane_spec *spec) {
    nm_point3 centre[64];
    nm_error error;
    nm_error_clear(&error);
    nm_neighbour_def left[2], right[2];
    nm_lane_def def = nm_lane_def_default();
    assert_true(spec->count <= 64);
    for (size_t i = 0; i < spec->count; i++) centre[i] = place_point(p, spec->points[i].x, spec->points[i].y);
    def.id = spec->id;
    def.centre = centre;
    def.point_count = spec->count;
    def.width = 3.5;
    def.type = spec->type ? spec->type : NM_LANE_STREET;
    def.turn = mirrored_turn(p, spec->turn);
    if (spec->junction) def.junction = 1;
    if (spec->left) left[def.left_neighbour_count++] = (nm_neighbour_def){.lane = spec->left};
    if (spec->opposite) left[def.left_neighbour_count++] = (nm_neighbour_def){.lane = spec->opposite, .opposite = 1};
    if (spec->right) right[def.right_neighbour_count++] = (nm_neighbour_def){.lane = spec->right};
    def.left_neighbours = p->mirror ? right : left;
    def.right_neighbours = p->mirror ? left : right;
    if (p->mirror) {
        size_t count = def.left_neighbour_count;
        def.left_neighbour_count = def.right_neighbour_count;
        def.right_neighbour_count = count;
    }
    def.successors = spec->successors;
    while (def.successor_count < 3 && spec->successors[def.successor_count]) def.successor_count++;
    if (nm_map_builder_add_lane(builder, &def, &error) != NM_OK) fail_msg("%s", error.message);
}

static inline void build_highway(nm_map_builder *builder, const placing *p) {
    for (int piece = 0; piece < 3; piece++)
        for (int lane = 0; lane < 3; lane++) {
            point line[4];
            for (int i = 0; i < 4; i++) line[i] = (point){300.0 * piece + 100.0 * i, 3.5 * lane};
            lane_spec spec = {.id = 10 * (piece + 1) + lane, .points = line, .count = 4, .type = NM_LANE_FREEWAY};
            if (lane < 2) spec.left = spec.id + 1;
            if (lane > 0) spec.right = spec.id - 1;
            if (piece < 2) spec.successors[0] = spec.id + 10;
            add_lane(builder, p, &spec);
        }
}

static inline void build_two_way(nm_map_builder *builder, const placing *p) {
    const point east[] = {{0, 0}, {300, 0}, {600, 0}}, west[] = {{600, 3.5}, {300, 3.5}, {0, 3.5}};
    add_lane(builder, p, &(lane_spec){.id = 1, .points = east, .count = 3, .opposite = 2});
    add_lane(builder, p, &(lane_spec){.id = 2, .points = west, .count = 3, .opposite = 1});
}

static inline void build_single(nm_map_builder *builder, const placing *p) {
    const point east[] = {{0, 0}, {300, 0}, {600, 0}}, west[] = {{600, 0}, {300, 0}, {0, 0}};
    add_lane(builder, p, &(lane_spec){.id = 1, .points = east, .count = 3});
    add_lane(builder, p, &(lane_spec){.id = 2, .points = west, .count = 3});
}

static inline void build_merge(nm_map_builder *builder, const placing *p) {
    const point main_road[] = {{0, 0}, {100, 0}, {200, 0}}, on[] = {{200, 0}, {300, 0}, {500, 0}};
    const point joining[] = {{0, -30}, {100, -15}, {160, -5}, {185, -1}, {200, 0}};
    add_lane(builder, p, &(lane_spec){.id = 1, .points = main_road, .count = 3, .successors = {3}});
    add_lane(builder, p, &(lane_spec){.id = 2, .points = joining, .count = 5, .successors = {3}});
    add_lane(builder, p, &(lane_spec){.id = 3, .points = on, .count = 3});
}

static inline size_t arc(point *out, double cx, double cy, double radius, double from, double to) {
    for (int i = 0; i <= 20; i++) {
        double angle = from + (to - from) * i / 20;
        out[i] = (point){cx + radius * cos(angle), cy + radius * sin(angle)};
    }
    return 21;
}

/// From the end of the eastbound approach into the northbound exit, and from the northbound approach east.
static inline size_t left_turn(point *out) {
    return arc(out, -10, 10, 11.75, -PI / 2, 0);
}
static inline size_t right_turn(point *out) {
    return arc(out, 10, -10, 8.25, PI, PI / 2);
}

static inline void build_junction(nm_map_builder *builder, const placing *p) {
    const point in_e[] = {{-150, -1.75}, {-10, -1.75}}, out_e[] = {{10, -1.75}, {150, -1.75}};
    const point in_w[] = {{150, 1.75}, {10, 1.75}}, out_w[] = {{-10, 1.75}, {-150, 1.75}};
    const point in_n[] = {{1.75, -150}, {1.75, -10}}, out_n[] = {{1.75, 10}, {1.75, 150}};
    const point across_e[] = {{-10, -1.75}, {10, -1.75}}, across_w[] = {{10, 1.75}, {-10, 1.75}};
    const point across_n[] = {{1.75, -10}, {1.75, 10}};
    point left[21], right[21];
    size_t left_count = left_turn(left), right_count = right_turn(right);
    nm_error error;
    nm_error_clear(&error);
    add_lane(builder, p, &(lane_spec){.id = 1, .points = in_e, .count = 2, .successors = {11, 12}, .opposite = 6});
    add_lane(builder, p, &(lane_spec){.id = 2, .points = out_e, .count = 2, .opposite = 3});
    add_lane(builder, p, &(lane_spec){.id = 3, .points = in_w, .count = 2, .successors = {13}, .opposite = 2});
    add_lane(builder, p, &(lane_spec){.id = 4, .points = in_n, .count = 2, .successors = {14, 15}});
    add_lane(builder, p, &(lane_spec){.id = 5, .points = out_n, .count = 2});
    add_lane(builder, p, &(lane_spec){.id = 6, .points = out_w, .count = 2, .opposite = 1});
    add_lane(builder, p,
             &(lane_spec){
                 .id = 11, .points = across_e, .count = 2, .successors = {2}, .junction = 1, .turn = NM_TURN_STRAIGHT});
    add_lane(
        builder, p,
        &(lane_spec){
            .id = 12, .points = left, .count = left_count, .successors = {5}, .junction = 1, .turn = NM_TURN_LEFT});
    add_lane(builder, p,
             &(lane_spec){
                 .id = 13, .points = across_w, .count = 2, .successors = {6}, .junction = 1, .turn = NM_TURN_STRAIGHT});
    add_lane(builder, p,
             &(lane_spec){
                 .id = 14, .points = across_n, .count = 2, .successors = {5}, .junction = 1, .turn = NM_TURN_STRAIGHT});
    add_lane(
        builder, p,
        &(lane_spec){
            .id = 15, .points = right, .count = right_count, .successors = {2}, .junction = 1, .turn = NM_TURN_RIGHT});
    const int64_t ruled[] = {1};
    nm_signal_def signal = {.id = 900, .lanes = ruled, .lane_count = 1, .cycle_dt = DT};
    if (nm_map_builder_add_signal(builder, &signal, &error) != NM_OK) fail_msg("%s", error.message);
}

static inline void build_curve(nm_map_builder *builder, const placing *p) {
    for (int lane = 0; lane < 2; lane++) {
        point line[49];
        for (int i = 0; i < 49; i++) {
            double angle = -PI / 2 + 2.4 * i / 48, radius = 150 + 3.5 * lane;
            line[i] = (point){radius * cos(angle), 150 + radius * sin(angle)};
        }
        lane_spec spec = {.id = 1 + lane, .points = line, .count = 49};
        if (lane == 0)
            spec.right = 2;
        else
            spec.left = 1;
        add_lane(builder, p, &spec);
    }
}

/// A left bend around (0, centre), driven counter-clockwise or clockwise.
static inline size_t bend(point *out, double centre, double radius, int clockwise) {
    for (int i = 0; i < 49; i++) {
        double angle = -PI / 2 + 2.4 * (clockwise ? 48 - i : i) / 48;
        out[i] = (point){radius * cos(angle), centre + radius * sin(angle)};
    }
    return 49;
}

static inline void build_bend(nm_map_builder *builder, const placing *p, double radius) {
    point line[49];
    size_t count = bend(line, radius, radius, 0);
    add_lane(builder, p, &(lane_spec){.id = 1, .points = line, .count = count, .opposite = 2});
    count = bend(line, radius, radius - 3.5, 1);
    add_lane(builder, p, &(lane_spec){.id = 2, .points = line, .count = count, .opposite = 1});
}

static inline const nm_map *build_map(map_kind kind, const placing *p) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_error error;
    nm_error_clear(&error);
    const nm_map *map = NULL;
    nm_map_builder_set_origin(builder, (nm_point3){floor(p->east), floor(p->north), 0});
    if (kind == MAP_HIGHWAY) build_highway(builder, p);
    if (kind == MAP_TWO_WAY) build_two_way(builder, p);
    if (kind == MAP_SINGLE) build_single(builder, p);
    if (kind == MAP_MERGE) build_merge(builder, p);
    if (kind == MAP_JUNCTION) build_junction(builder, p);
    if (kind == MAP_BEND) build_bend(builder, p, 150);
    if (kind == MAP_HAIRPIN) build_bend(builder, p, 16);
    if (kind == MAP_CURVE) build_curve(builder, p);
    if (nm_map_builder_build(builder, &map, &error) != NM_OK) fail_msg("%s", error.message);
    nm_map_builder_destroy(builder);
    return map;
}

// --- agents ----------------------------------------------------------------------------------------------------------

static inline agent *add_agent(world *w, nm_agent_type type, double length, double width) {
    assert_true(w->agents < AGENTS_MAX);
    agent *a = &w->agent[w->agents++];
    memset(a, 0, sizeof *a);
    a->type = type;
    a->length = length;
    a->width = width;
    return a;
}
static inline agent *add_car(world *w) {
    return add_agent(w, NM_AGENT_CAR, 5, 1.8);
}

/// Speeds: `from` until step `begin`, then changing by `accel` (m/s^2) until `to` is reached.
static inline void profile(double *speeds, int steps, double from, int begin, double accel, double to) {
    double v = from;
    for (int t = 0; t < steps; t++) {
        if (t > begin) {
            v += accel * DT;
            if ((accel < 0 && v < to) || (accel > 0 && v > to)) v = to;
        }
        speeds[t] = v;
    }
}

/// Drives along the polyline from `start` m on, with the given speed at each step.
static inline void drive(const world *w, agent *a, const point *path, size_t count, double start,
                         const double *speeds) {
    double s = start;
    for (int t = 0; t < w->steps; t++) {
        if (t > 0) s += 0.5 * (speeds[t] + speeds[t - 1]) * DT;
        double left = s;
        size_t i = 0;
        double length = hypot(path[1].x - path[0].x, path[1].y - path[0].y);
        while (i + 2 < count && left > length) {
            left -= length;
            i++;
            length = hypot(path[i + 1].x - path[i].x, path[i + 1].y - path[i].y);
        }
        double ux = (path[i + 1].x - path[i].x) / length, uy = (path[i + 1].y - path[i].y) / length;
        a->poses[t] = (pose){path[i].x + ux * left, path[i].y + uy * left, atan2(uy, ux), speeds[t], 1};
    }
}

static inline void cruise(const world *w, agent *a, const point *path, size_t count, double start, double speed) {
    double speeds[STEPS_MAX];
    profile(speeds, w->steps, speed, 0, 0, speed);
    drive(w, a, path, count, start, speeds);
}

/// Drives straight from (x, y) in direction `heading`.
static inline void straight(const world *w, agent *a, double x, double y, double heading, const double *speeds) {
    const point path[] = {{x, y}, {x + 1000 * cos(heading), y + 1000 * sin(heading)}};
    drive(w, a, path, 2, 0, speeds);
}
static inline void straight_at(const world *w, agent *a, double x, double y, double heading, double speed) {
    double speeds[STEPS_MAX];
    profile(speeds, w->steps, speed, 0, 0, speed);
    straight(w, a, x, y, heading, speeds);
}

/// A path east from x0: at y0, moving over to y1 between x = from and x = to on a cosine, then on.
static inline size_t change_path(point *path, double x0, double y0, double y1, double from, double to) {
    path[0] = (point){x0, y0};
    for (int i = 0; i <= 60; i++)
        path[1 + i] = (point){from + (to - from) * i / 60, y0 + (y1 - y0) * 0.5 * (1 - cos(PI * i / 60))};
    path[62] = (point){to + 1000, y1};
    return 63;
}

// --- scenes ----------------------------------------------------------------------------------------------------------

static inline const nm_scene *build_scene(const world *w, const placing *p) {
    const nm_map *map = build_map(w->map, p);
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    nm_error_clear(&error);
    const nm_scene *scene = NULL;
    nm_status status = nm_scene_builder_begin(builder, map, DT, (uint32_t)(w->steps + p->delay), &error);
    for (int i = 0; i < w->agents && status == NM_OK; i++) {
        int which = p->backwards ? w->agents - 1 - i : i;
        const agent *a = &w->agent[which];
        uint32_t track;
        nm_track_def def = {.id = 100 + which,
                            .type = a->type,
                            .flags = a->flags,
                            .length = (float)a->length,
                            .width = (float)a->width,
                            .height = (float)a->height};
        status = nm_scene_builder_add_track(builder, &def, &track, &error);
        for (int t = 0; t < w->steps && status == NM_OK; t++) {
            const pose *at = &a->poses[t];
            if (!at->valid) continue;
            nm_point3 where = place_point(p, at->x, at->y);
            double heading = place_heading(p, at->heading);
            nm_state_def state = {.x = where.x,
                                  .y = where.y,
                                  .heading = heading,
                                  .vx = at->speed * cos(heading),
                                  .vy = at->speed * sin(heading)};
            status = nm_scene_builder_add_state(builder, track, (uint32_t)(t + p->delay), &state, &error);
        }
    }
    for (int t = 0; t < w->steps + p->delay && status == NM_OK && w->map == MAP_JUNCTION; t++)
        status = nm_scene_builder_set_signal(builder, 0, (uint32_t)t, w->signal, &error);
    if (status == NM_OK) status = nm_scene_builder_build(builder, &scene, &error);
    if (status != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

typedef struct found {
    const nm_scene *scene;
    nm_arena *arena;
    nm_event *events;
    size_t count;
    nm_scene_criticality criticality;
} found;

static inline found detect_with(const world *w, const placing *p, const nm_detect_params *params) {
    found f = {.scene = build_scene(w, p), .arena = nm_arena_create(0)};
    nm_error error;
    nm_error_clear(&error);
    if (nm_detect(f.scene, params, f.arena, &f.events, &f.count, &f.criticality, &error) != NM_OK)
        fail_msg("%s", error.message);
    return f;
}
static inline found detect(const world *w, const placing *p) {
    nm_detect_params params = nm_detect_params_default();
    return detect_with(w, p, &params);
}
static inline void release(found *f) {
    nm_scene_destroy(f->scene);
    nm_arena_destroy(f->arena);
}

/// Index of the agent in the world that a track of the scene is; -1 for NM_NONE.
static inline int agent_of(const found *f, uint32_t track) {
    return track == NM_NONE ? -1 : (int)(f->scene->tracks[track].source_id - 100);
}

static inline const nm_event *event_of(const found *f, nm_kind kind) {
    for (size_t i = 0; i < f->count; i++)
        if (f->events[i].kind == kind) return &f->events[i];
    return NULL;
}
static inline size_t count_of_kind(const found *f, nm_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++) count += f->events[i].kind == kind;
    return count;
}

static inline void print_events(const found *f) {
    for (size_t i = 0; i < f->count; i++) {
        const nm_event *e = &f->events[i];
        print_message("    %s actor %d other %d steps %u-%u-%u ttc %.2f gap %.2f pet %.2f drac %.2f severity %.2f\n",
                      nm_kind_name(e->kind), agent_of(f, e->actor), agent_of(f, e->other), e->first_step,
                      e->critical_step, e->last_step, (double)e->min_ttc, (double)e->gap, (double)e->pet,
                      (double)e->max_drac, (double)e->severity);
    }
}

#endif
