/// A roundabout of four arms. Each arm is a small junction of its own: the exit leaves the ring ahead of the arm's
/// axis, the entry meets it behind, both on one curve tangent to the ring.
#include "sim/builtin_arm.h"
#include "sim/math.h"

#define RING_EXTRA 0.5     // m that lanes are wider on the ring
#define ENTRY_TANGENT 13.0 // m, aimed at: makes entry curves of about 20 m radius
#define LARGEST_SINE 0.643 // of 40 degrees: leaves ring between the arms
#define SIGN_YIELD "205"

typedef struct ring_map {
    nm_sketch *sketch;
    const nm_builtin_params *params;
    double width;        ///< m, of a ring lane
    double cosine, sine; ///< of the angle between an arm's axis and where its entry meets the ring
    nm_arm arms[4];
    uint32_t pass[4][2]; ///< ring lanes in front of arm i, from the innermost
    uint32_t ring[4][2]; ///< ring lanes from arm i to arm i + 1
    nm_curve ring_curve[4];
} ring_map;

/// Place on the central island's kerb, `side` -1 at the exit of the arm, +1 at its entry; tangent counter-clockwise.
static nm_frame ring_frame(const ring_map *map, const nm_arm *arm, double side) {
    double c = arm->c * map->cosine - arm->s * side * map->sine, s = arm->s * map->cosine + arm->c * side * map->sine;
    return (nm_frame){map->params->radius * c, map->params->radius * s, -s, c};
}

/// Ring lanes of `angle` rad from `start`, innermost first.
static void draw_ring_piece(ring_map *map, nm_frame start, double angle, int64_t junction, nm_curve *curve,
                            uint32_t *lanes) {
    int n = map->params->lanes;
    nm_section section = {0};
    for (int i = 0; i <= n; i++) {
        nm_section_border(&section, -i * map->width,
                          i == 0  ? NM_BORDER_MEDIAN
                          : i < n ? NM_BORDER_PAINT
                                  : NM_BORDER_PLAIN,
                          i == 0  ? NM_MARKING_CURB
                          : i < n ? NM_MARKING_DASHED
                                  : NM_MARKING_NONE,
                          i > 0 && i < n ? NM_COLOUR_WHITE : NM_COLOUR_UNKNOWN);
        if (i == n) break;
        nm_band *band = nm_section_band(&section, NM_LANE_STREET, map->params->speed_limit);
        band->junction = junction;
        band->flags = junction >= 0 ? NM_LANE_JUNCTION : 0;
        band->turn = junction >= 0 ? NM_TURN_STRAIGHT : NM_TURN_UNKNOWN;
    }
    double curvature = 1.0 / map->params->radius;
    uint32_t swept[NM_SKETCH_BANDS];
    nm_curve_start(map->sketch, curve, start);
    nm_curve_bend(map->sketch, curve, angle * map->params->radius, curvature, curvature);
    nm_sketch_sweep(map->sketch, curve, 0, map->sketch->failed ? 0 : curve->count - 1, &section, swept);
    for (int i = 0; i < n && !map->sketch->failed; i++) {
        lanes[i] = swept[i];
        nm_sketch_get(map->sketch, swept[i])->control = NM_CONTROL_PRIORITY;
    }
}

static void draw_ring(ring_map *map) {
    double angle = nm_atan2f((float)map->sine, (float)map->cosine);
    nm_curve curve;
    for (int i = 0; i < 4 && !map->sketch->failed; i++) {
        draw_ring_piece(map, ring_frame(map, &map->arms[i], -1.0), 2.0 * angle, i, &curve, map->pass[i]);
        draw_ring_piece(map, ring_frame(map, &map->arms[i], 1.0), 0.5 * NM_PI - 2.0 * angle, -1, &map->ring_curve[i],
                        map->ring[i]);
    }
    if (map->sketch->failed) return;
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < map->params->lanes; k++) {
            nm_sketch_link(map->sketch, map->pass[i][k], map->ring[i][k]);
            nm_sketch_link(map->sketch, map->ring[i][k], map->pass[(i + 1) % 4][k]);
        }
    }
}

/// The edge of the island between exit and entry of an arm: along both left borders as long as they lie outside the
/// ring, and along the ring between.
static void draw_splitter(ring_map *map, const nm_arm *arm, uint32_t exit, uint32_t entry) {
    enum { ARC = 12 };
    nm_sketch *sketch = map->sketch;
    const nm_sketch_lane *lanes[2] = {nm_sketch_get(sketch, entry), nm_sketch_get(sketch, exit)};
    nm_point3 *points = nm_sketch_alloc(sketch, (size_t)lanes[0]->count + lanes[1]->count + ARC, sizeof(*points));
    if (!points) return;
    double rim = map->params->radius + map->params->lanes * map->width, head = arm->stop - NM_ARM_LEAD + 1e-6;
    uint32_t count = 0;
    nm_point3 tips[2] = {{0}};
    for (uint32_t i = 0; i < lanes[0]->count; i++) { // inwards along the entry
        nm_point3 p = lanes[0]->left[i];
        if (p.x * arm->c + p.y * arm->s > head || p.x * p.x + p.y * p.y < rim * rim) continue;
        points[count++] = tips[0] = p;
    }
    uint32_t turn = count;
    for (uint32_t i = 0; i < lanes[1]->count; i++) { // outwards along the exit
        nm_point3 p = lanes[1]->left[i];
        if (p.x * arm->c + p.y * arm->s > head || p.x * p.x + p.y * p.y < rim * rim) continue;
        if (count == turn) tips[1] = p;
        points[count++] = p;
    }
    if (turn == 0 || count == turn) return; // all of it within the ring
    // the rim from one tip to the other, put between
    for (uint32_t i = count; i > turn; i--) points[i - 1 + ARC] = points[i - 1];
    for (uint32_t i = 0; i < ARC; i++) {
        double share = ((double)i + 0.5) / ARC;
        double x = tips[0].x + share * (tips[1].x - tips[0].x), y = tips[0].y + share * (tips[1].y - tips[0].y);
        double norm = rim / sqrt(x * x + y * y);
        points[turn + i] = (nm_point3){nm_sketch_round(x * norm), nm_sketch_round(y * norm), 0.0};
    }
    nm_sketch_add_line(sketch, NM_LINE_EDGE_MEDIAN, NM_MARKING_UNKNOWN, NM_COLOUR_UNKNOWN, points, count + ARC);
}

static void draw_arm_joints(ring_map *map, int index, nm_curve *entry_curve, uint32_t *entry, nm_curve *exit_curve,
                            uint32_t *exit) {
    const nm_arm *arm = &map->arms[index];
    nm_joint joint = {.from = arm->in,
                      .to = map->ring[index],
                      .count = arm->count,
                      .lead_in = NM_ARM_LEAD,
                      .turn = NM_TURN_RIGHT,
                      .junction = index,
                      .speed_limit = map->params->speed_limit};
    nm_sketch_join(map->sketch, &joint, entry, entry_curve);
    joint.from = map->ring[(index + 3) % 4];
    joint.to = arm->out;
    joint.lead_in = 0.0;
    joint.lead_out = NM_ARM_LEAD;
    nm_sketch_join(map->sketch, &joint, exit, exit_curve);
}

void nm_draw_roundabout(nm_sketch *sketch, const nm_builtin_params *params) {
    static const double axis[4][2] = {{1.0, 0.0}, {0.0, 1.0}, {-1.0, 0.0}, {0.0, -1.0}};
    ring_map map = {.sketch = sketch, .params = params, .width = params->lane_width + RING_EXTRA};
    int n = params->lanes;
    // The entry's curve is its left border: v = 0 on the arm, the island's kerb on the ring (radius r). The tangent at
    // the angle alpha meets the axis (r sin alpha - v) / cos alpha before it touches; the outermost lane has least
    // room.
    double outer = params->radius + (n - 0.5) * map.width, offset = (n - 0.5) * params->lane_width;
    map.sine = fmin((offset + ENTRY_TANGENT) / outer, LARGEST_SINE);
    map.cosine = sqrt(1.0 - map.sine * map.sine);
    double tangent = params->radius * map.sine / map.cosine;
    double stop = params->radius / map.cosine + tangent + NM_ARM_LEAD;
    for (int i = 0; i < 4; i++) {
        map.arms[i] = (nm_arm){.c = axis[i][0], .s = axis[i][1], .stop = stop, .junction = i, .crossing = 1};
        nm_arm_draw(sketch, &map.arms[i], params, NM_CONTROL_YIELD);
        if (sketch->failed) return;
        nm_sketch_add_sign(sketch, SIGN_YIELD, map.arms[i].in[n - 1]);
    }
    draw_ring(&map);
    nm_curve entry_curves[4], exit_curves[4];
    uint32_t entries[4][NM_SKETCH_BANDS], exits[4][NM_SKETCH_BANDS];
    for (int i = 0; i < 4 && !sketch->failed; i++)
        draw_arm_joints(&map, i, &entry_curves[i], entries[i], &exit_curves[i], exits[i]);
    for (int i = 0; i < 4 && !sketch->failed; i++) {
        int next = (i + 1) % 4;
        nm_kerb kerb = {0};
        nm_kerb_add(sketch, &kerb, entries[i][n - 1], &entry_curves[i]);
        nm_kerb_add(sketch, &kerb, map.ring[i][n - 1], &map.ring_curve[i]);
        nm_kerb_add(sketch, &kerb, exits[next][n - 1], &exit_curves[next]);
        nm_arm_corner(sketch, &map.arms[i], &map.arms[next], &kerb);
        draw_splitter(&map, &map.arms[i], exits[i][0], entries[i][0]);
    }
}
