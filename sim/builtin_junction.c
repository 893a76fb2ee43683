/// Junctions of three and four arms, and the crosswalk between junctions.
#include "sim/builtin_arm.h"
#include "sim/math.h"

#define KERB_RADIUS                                                                                                    \
    6.0                // m, least radius of the kerbs at the corners, and in lane widths: beyond, there would be a hole
#define KERB_LANES 2.0 // between the right turn and the lanes that go straight on
#define STEPS_PER_SECOND 10.0

// What the signs are called in the Vienna convention's German numbering, which CommonRoad uses too.
#define SIGN_YIELD "205"
#define SIGN_STOP "206"
#define SIGN_PRIORITY "306"
#define SIGN_CROSSING "350"

typedef struct junction_map {
    nm_sketch *sketch;
    const nm_builtin_params *params;
    nm_arm arms[4]; ///< east, north, west, south
    int present[4];
} junction_map;

/// 0 straight on, 1 left, 3 right; 2 would be back.
static int turn_between(int from, int to) {
    return (to - from + 6) % 4;
}

static nm_control_kind arm_control(const nm_builtin_params *params, int arm) {
    int minor = arm % 2 == 1;
    switch (params->kind) {
    case NM_BUILTIN_JUNCTION_SIGNAL:
        return NM_CONTROL_SIGNAL;
    case NM_BUILTIN_JUNCTION_ALL_WAY:
        return NM_CONTROL_ALL_WAY_STOP;
    default:
        return minor ? params->minor_control : NM_CONTROL_PRIORITY;
    }
}

static void add_signs(nm_sketch *sketch, const nm_arm *arm, nm_control_kind control) {
    uint32_t lane = arm->in[arm->count - 1];
    if (control == NM_CONTROL_YIELD) nm_sketch_add_sign(sketch, SIGN_YIELD, lane);
    if (control == NM_CONTROL_STOP || control == NM_CONTROL_ALL_WAY_STOP) nm_sketch_add_sign(sketch, SIGN_STOP, lane);
    if (control == NM_CONTROL_PRIORITY) nm_sketch_add_sign(sketch, SIGN_PRIORITY, lane);
}

/// Lanes from one arm to another. On four arms only the leftmost lane turns left; out of the stem of a T all lanes do,
/// because none goes straight on, and into it all that its lanes can take. Only the rightmost turns right.
static void connect(junction_map *map, int from, int to, nm_kerb *kerb) {
    static const nm_turn turns[4] = {NM_TURN_STRAIGHT, NM_TURN_LEFT, NM_TURN_UNKNOWN, NM_TURN_RIGHT};
    const nm_arm *a = &map->arms[from], *b = &map->arms[to];
    int turn = turn_between(from, to), out_of_stem = !map->present[(from + 2) % 4];
    uint32_t rightmost = a->count - 1, first = turn == 3 ? rightmost : 0, last = rightmost;
    if (turn == 1 && !out_of_stem) {
        int into_stem = !map->present[(to + 2) % 4];
        last = into_stem && rightmost > 1 ? rightmost - 1 : 0;
    }
    nm_joint joint = {.from = &a->in[first],
                      .to = &b->out[first],
                      .count = last - first + 1,
                      .lead_in = NM_ARM_LEAD,
                      .lead_out = NM_ARM_LEAD,
                      .turn = turns[turn],
                      .junction = 0,
                      .speed_limit = map->params->speed_limit};
    uint32_t lanes[NM_SKETCH_BANDS];
    nm_curve curve;
    nm_sketch_join(map->sketch, &joint, lanes, &curve);
    if (map->sketch->failed) return;
    // the kerb of the corner runs along whatever lies furthest right
    if (turn == 3 || (turn == 0 && !map->present[(from + 1) % 4]))
        nm_kerb_add(map->sketch, kerb, lanes[joint.count - 1], &curve);
}

static uint32_t steps_of(double seconds) {
    return (uint32_t)nearbyint(seconds * STEPS_PER_SECOND);
}

/// Two stages, one per road; left turns yield to the oncoming traffic of their stage. Walkers go along with the road
/// beside them, as long as they can clear the crossing before it stops.
static void add_signals(junction_map *map) {
    const nm_builtin_params *params = map->params;
    uint32_t green = steps_of(params->green), yellow = steps_of(params->yellow), red = steps_of(params->all_red);
    uint32_t stage = green + yellow + red;
    for (int i = 0; i < 4 && !map->sketch->failed; i++) {
        const nm_arm *arm = &map->arms[i];
        nm_sketch_signal signal = {.phase_count = 3, .offset = (uint32_t)(i % 2) * stage, .lane_count = arm->count};
        signal.phases[0] = (nm_phase){.steps = green, .state = NM_SIGNAL_GO};
        signal.phases[1] = (nm_phase){.steps = yellow, .state = NM_SIGNAL_CAUTION};
        signal.phases[2] = (nm_phase){.steps = red + stage, .state = NM_SIGNAL_STOP};
        for (uint32_t k = 0; k < arm->count; k++) signal.lanes[k] = arm->in[k];
        signal.position = nm_arm_point(arm, arm->stop, arm->half + 1.0);
        nm_sketch_add_signal(map->sketch, &signal);
        double clear = 2.0 * arm->half / NM_CLEAR_SPEED;
        uint32_t walk = steps_of(fmax(params->green + params->yellow - clear, fmin(params->green, 4.0)));
        if (walk > green) walk = green;
        nm_sketch_signal walkers = {.phase_count = 2, .offset = (uint32_t)(1 - i % 2) * stage, .lane_count = 2};
        walkers.phases[0] = (nm_phase){.steps = walk, .state = NM_SIGNAL_GO};
        walkers.phases[1] = (nm_phase){.steps = 2 * stage - walk, .state = NM_SIGNAL_STOP};
        for (int k = 0; k < 2; k++) {
            walkers.lanes[k] = arm->wait[k];
            nm_sketch_get(map->sketch, arm->wait[k])->control = NM_CONTROL_SIGNAL;
        }
        walkers.position = nm_arm_point(arm, arm->stop - NM_STOP_GAP, -arm->half - 0.5);
        nm_sketch_add_signal(map->sketch, &walkers);
    }
}

/// The stem of a T opens between its turning lanes onto ground that no lane covers but everybody may drive on.
static void add_mouth(junction_map *map, const nm_arm *stem) {
    double near = stem->half - 1.0, far = stem->stop;
    nm_point3 area[4] = {nm_arm_point(stem, near, -stem->half), nm_arm_point(stem, far, -stem->half),
                         nm_arm_point(stem, far, stem->half), nm_arm_point(stem, near, stem->half)};
    for (int i = 0; i < 4; i++) area[i] = (nm_point3){nm_sketch_round(area[i].x), nm_sketch_round(area[i].y), 0.0};
    nm_sketch_add_area(map->sketch, NM_AREA_DRIVEWAY, area, 4);
}

void nm_draw_junction(nm_sketch *sketch, const nm_builtin_params *params) {
    static const double axis[4][2] = {{1.0, 0.0}, {0.0, 1.0}, {-1.0, 0.0}, {0.0, -1.0}};
    junction_map map = {.sketch = sketch, .params = params};
    // a right turn's left border, the kerb's radius and a lane from the centre of its arc, decides where the arms end
    double kerb_radius = fmin(KERB_RADIUS, KERB_LANES * params->lane_width);
    double turn = nm_curve_turn_ratio(0.5 * NM_PI) * (kerb_radius + params->lane_width);
    double stop = (params->lanes - 1) * params->lane_width + turn + NM_ARM_LEAD;
    for (int i = 0; i < 4; i++) {
        map.present[i] = params->kind != NM_BUILTIN_T_JUNCTION || i != 1;
        if (!map.present[i]) continue;
        map.arms[i] = (nm_arm){.c = axis[i][0], .s = axis[i][1], .stop = stop, .junction = 0, .crossing = 1};
        nm_arm_draw(sketch, &map.arms[i], params, arm_control(params, i));
        add_signs(sketch, &map.arms[i], arm_control(params, i));
    }
    for (int from = 0; from < 4; from++) {
        nm_kerb kerb = {0};
        int next = (from + 1) % 4; // the arm right of an approach
        if (!map.present[from]) continue;
        for (int to = 0; to < 4; to++)
            if (map.present[to] && to != from) connect(&map, from, to, &kerb);
        if (!map.present[next]) next = (next + 1) % 4;
        nm_arm_corner(sketch, &map.arms[from], &map.arms[next], &kerb);
    }
    if (params->kind == NM_BUILTIN_JUNCTION_SIGNAL) add_signals(&map);
    if (params->kind == NM_BUILTIN_T_JUNCTION) add_mouth(&map, &map.arms[3]);
}

void nm_draw_crosswalk(nm_sketch *sketch, const nm_builtin_params *params) {
    // the arms meet in the middle of the crosswalk, which belongs to the eastern one
    double stop = NM_STOP_GAP + 0.5 * NM_CROSSWALK;
    nm_arm arms[2] = {{.c = 1.0, .stop = stop, .junction = 0, .crossing = 1},
                      {.c = -1.0, .stop = stop, .junction = 0, .crossing = 0}};
    for (int i = 0; i < 2; i++) {
        nm_arm_draw(sketch, &arms[i], params, NM_CONTROL_YIELD);
        if (sketch->failed) return;
        nm_sketch_add_sign(sketch, SIGN_CROSSING, arms[i].in[arms[i].count - 1]);
    }
    for (int i = 0; i < 2; i++) {
        const nm_arm *from = &arms[i], *to = &arms[1 - i];
        nm_joint joint = {.from = from->in,
                          .to = to->out,
                          .count = from->count,
                          .lead_in = from->crossing ? 2.0 * stop - NM_STOP_GAP : 0.0,
                          .lead_out = to->crossing ? 2.0 * stop - NM_STOP_GAP : 0.0,
                          .turn = NM_TURN_STRAIGHT,
                          .junction = 0,
                          .speed_limit = params->speed_limit};
        uint32_t lanes[NM_SKETCH_BANDS];
        nm_curve curve;
        nm_kerb kerb = {0};
        nm_sketch_join(sketch, &joint, lanes, &curve);
        if (sketch->failed) return;
        nm_kerb_add(sketch, &kerb, lanes[joint.count - 1], &curve);
        nm_arm_corner(sketch, from, to, &kerb);
    }
}
