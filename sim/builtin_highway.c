/// Highways: straight and curved ones, on-ramps and off-ramps.
#include "sim/builtin_sketch.h"
#include "sim/math.h"

#define LEFT_SHOULDER 1.5 // m
#define RIGHT_SHOULDER 2.5
#define MEDIAN 6.0       // m between the two carriageways
#define BEND_ANGLE 0.6   // rad that each bend of the curved highway turns by: the ends stay nearly square to the map
#define WIDENING 50.0    // m over which the shoulder widens before the acceleration lane
#define TAPER 60.0       // m behind the acceleration lane
#define RAMP_RADIUS 300. // m
#define RAMP_ANGLE 0.2   // rad between ramp and highway
#define RAMP_SPEED 22.22 // m/s, 80 km/h

/// Left shoulder, lanes, right shoulder; `top` is the left edge of the leftmost lane, m left of the curve. Without
/// `outer` the right shoulder is left to the caller.
static void add_carriageway(nm_section *section, const nm_builtin_params *params, double top, nm_border_use median,
                            int outer) {
    nm_section_border(section, top + LEFT_SHOULDER, median, NM_MARKING_NONE, NM_COLOUR_UNKNOWN);
    nm_section_band(section, NM_LANE_SHOULDER, params->speed_limit);
    nm_section_border(section, top, NM_BORDER_PAINT, NM_MARKING_SOLID, NM_COLOUR_YELLOW);
    for (int i = 1; i <= params->lanes; i++) {
        nm_section_band(section, NM_LANE_FREEWAY, params->speed_limit);
        nm_section_border(section, top - i * params->lane_width, NM_BORDER_PAINT,
                          i < params->lanes ? NM_MARKING_DASHED : NM_MARKING_SOLID, NM_COLOUR_WHITE);
    }
    if (!outer) return;
    nm_section_band(section, NM_LANE_SHOULDER, params->speed_limit);
    nm_section_border(section, top - params->lanes * params->lane_width - RIGHT_SHOULDER, NM_BORDER_EDGE,
                      NM_MARKING_NONE, NM_COLOUR_UNKNOWN);
}

/// The oncoming carriageway, left of the median: the same from right to left, driven the other way.
static void add_oncoming(nm_section *section, const nm_builtin_params *params, double bottom) {
    double top = bottom + params->lanes * params->lane_width;
    nm_section_border(section, top + RIGHT_SHOULDER, NM_BORDER_EDGE, NM_MARKING_NONE, NM_COLOUR_UNKNOWN);
    nm_section_band(section, NM_LANE_SHOULDER, params->speed_limit)->reverse = 1;
    nm_section_border(section, top, NM_BORDER_PAINT, NM_MARKING_SOLID, NM_COLOUR_WHITE);
    for (int i = 1; i <= params->lanes; i++) {
        nm_section_band(section, NM_LANE_FREEWAY, params->speed_limit)->reverse = 1;
        int last = i == params->lanes;
        nm_section_border(section, top - i * params->lane_width, NM_BORDER_PAINT,
                          last ? NM_MARKING_SOLID : NM_MARKING_DASHED, last ? NM_COLOUR_YELLOW : NM_COLOUR_WHITE);
    }
    nm_section_band(section, NM_LANE_SHOULDER, params->speed_limit)->reverse = 1;
    nm_section_border(section, bottom - LEFT_SHOULDER, NM_BORDER_MEDIAN, NM_MARKING_NONE, NM_COLOUR_UNKNOWN);
    nm_section_band(section, NM_LANE_UNKNOWN, 0.0)->absent = 1;
}

/// Bends of alternating sides, clothoid - arc - clothoid each, so that a road of any length stays clear of itself.
static void wind(nm_sketch *sketch, nm_curve *curve, double length, double radius) {
    float sine, cosine;
    nm_sincosf((float)(-0.5 * fmin(BEND_ANGLE, length / radius)), &sine, &cosine);
    nm_curve_start(sketch, curve, (nm_frame){0.0, 0.0, cosine, sine});
    double clothoid = fmin(radius / 5.0, length / 6.0), arc = BEND_ANGLE * radius - clothoid;
    double curvature = 1.0 / radius, left = length;
    for (int part = 0; left > 0.0; part = (part + 1) % 3) {
        double whole = part == 1 ? arc : clothoid;
        double piece = left - whole < 1.0 ? left : whole; // no crumbs at the end
        double k0 = part == 0 ? 0.0 : curvature, k1 = part == 2 ? 0.0 : curvature;
        nm_curve_bend(sketch, curve, piece, k0, k0 + (k1 - k0) * piece / whole);
        left -= piece;
        if (part == 2) curvature = -curvature;
    }
    if (sketch->failed) return;
    // the middle between the ends becomes the origin
    nm_frame a = curve->frames[0], b = curve->frames[curve->count - 1];
    for (uint32_t i = 0; i < curve->count; i++) {
        curve->frames[i].x -= 0.5 * (a.x + b.x);
        curve->frames[i].y -= 0.5 * (a.y + b.y);
    }
}

void nm_draw_highway(nm_sketch *sketch, const nm_builtin_params *params) {
    nm_curve curve;
    if (params->kind == NM_BUILTIN_HIGHWAY_CURVED) {
        wind(sketch, &curve, params->length, params->radius);
    } else {
        nm_curve_start(sketch, &curve, (nm_frame){-0.5 * params->length, 0.0, 1.0, 0.0});
        nm_curve_line(sketch, &curve, params->length);
    }
    nm_section section = {0};
    if (params->carriageways == 2) {
        double edge = 0.5 * MEDIAN + LEFT_SHOULDER;
        add_oncoming(&section, params, edge);
        add_carriageway(&section, params, -edge, NM_BORDER_MEDIAN, 1);
    } else {
        add_carriageway(&section, params, 0.5 * params->lanes * params->lane_width, NM_BORDER_EDGE, 1);
    }
    uint32_t first[NM_SKETCH_BANDS], last[NM_SKETCH_BANDS];
    nm_sketch_road(sketch, &curve, &section, first, last);
}

// ---------------------------------------------------------------------------------------------------------------------
// Ramps. Drawn as an on-ramp; an off-ramp is its mirror image driven the other way.
//
//   left shoulder  ----------------------------------------------------------------
//   lanes          ================================================================
//   right shoulder ---------------widening|  acceleration lane   | taper \---------
//                      ramp ____________/ |  right shoulder      | shoulder

typedef struct ramp_map {
    nm_sketch *sketch;
    const nm_builtin_params *params;
    double edge;                     ///< y of the rightmost lane's right border
    uint32_t last[NM_SKETCH_BANDS];  ///< lanes at the end of what was drawn so far
    uint32_t first[NM_SKETCH_BANDS]; ///< and at the start of the last piece
} ramp_map;

static void straight(ramp_map *map, nm_curve *curve, double from, double to, int fine) {
    nm_curve_start(map->sketch, curve, (nm_frame){from, 0.0, 1.0, 0.0});
    if (fine)
        nm_curve_bend(map->sketch, curve, to - from, 0.0, 0.0);
    else
        nm_curve_line(map->sketch, curve, to - from);
}

/// Draws a piece and links the left shoulder and the lanes to the piece before.
static void add_piece(ramp_map *map, const nm_curve *curve, const nm_section *section, int is_first) {
    uint32_t before[NM_SKETCH_BANDS];
    for (int i = 0; i < (int)NM_SKETCH_BANDS; i++) before[i] = map->last[i];
    nm_sketch_road(map->sketch, curve, section, map->first, map->last);
    if (is_first || map->sketch->failed) return;
    for (int i = 0; i <= map->params->lanes; i++) nm_sketch_link(map->sketch, before[i], map->first[i]);
}

static nm_section mainline(const ramp_map *map) {
    nm_section section = {0};
    add_carriageway(&section, map->params, 0.5 * map->params->lanes * map->params->lane_width, NM_BORDER_EDGE, 0);
    return section;
}

/// Right shoulder, or whatever else lies right of the lanes: from width `from` to width `to`.
static void add_outer(nm_section *section, nm_lane_type type, double speed, double edge, double from, double to,
                      nm_border_use use) {
    nm_section_band(section, type, speed);
    nm_section_border(section, edge - from, use, NM_MARKING_NONE, NM_COLOUR_UNKNOWN);
    section->borders[section->count].to = edge - to;
}

/// Where segments pq and rs cross, as a share of pq; -1 when they do not.
static double crossing(nm_point3 p, nm_point3 q, nm_point3 r, nm_point3 s) {
    double ax = q.x - p.x, ay = q.y - p.y, bx = s.x - r.x, by = s.y - r.y;
    double cross = ax * by - ay * bx;
    if (fabs(cross) < 1e-12) return -1.0;
    double t = ((r.x - p.x) * by - (r.y - p.y) * bx) / cross, u = ((r.x - p.x) * ay - (r.y - p.y) * ax) / cross;
    return t >= 0.0 && t <= 1.0 && u >= 0.0 && u <= 1.0 ? t : -1.0;
}

/// Edges of the road on both sides of the gore, up to the point where they meet.
static void draw_gore(ramp_map *map, uint32_t widening, uint32_t ramp, double start) {
    const nm_sketch_lane *a = nm_sketch_get(map->sketch, widening), *b = nm_sketch_get(map->sketch, ramp);
    nm_point3 *shoulder = nm_sketch_alloc(map->sketch, (size_t)a->count + 2, sizeof(*shoulder));
    nm_point3 *left = nm_sketch_alloc(map->sketch, (size_t)b->count + 1, sizeof(*left));
    if (map->sketch->failed) return;
    shoulder[0] = (nm_point3){start, a->right[0].y, 0.0};
    for (uint32_t i = 0; i < a->count; i++) shoulder[i + 1] = a->right[i];
    for (uint32_t i = 0; i < b->count; i++) left[i] = b->left[i];
    uint32_t shoulder_count = a->count + 1, left_count = b->count;
    for (uint32_t i = 0; i + 1 < shoulder_count; i++) {
        for (uint32_t k = 0; k + 1 < left_count; k++) {
            double t = crossing(shoulder[i], shoulder[i + 1], left[k], left[k + 1]);
            if (t < 0.0) continue;
            nm_point3 tip = {nm_sketch_round(shoulder[i].x + t * (shoulder[i + 1].x - shoulder[i].x)),
                             nm_sketch_round(shoulder[i].y + t * (shoulder[i + 1].y - shoulder[i].y)), 0.0};
            shoulder[i + 1] = left[k + 1] = tip;
            shoulder_count = i + 2;
            left_count = k + 2;
        }
    }
    nm_sketch_add_line(map->sketch, NM_LINE_EDGE_BOUNDARY, NM_MARKING_UNKNOWN, NM_COLOUR_UNKNOWN, shoulder,
                       shoulder_count);
    nm_sketch_add_line(map->sketch, NM_LINE_EDGE_BOUNDARY, NM_MARKING_UNKNOWN, NM_COLOUR_UNKNOWN, left, left_count);
}

/// The ramp itself: lane and shoulder, ending beside the highway at `nose`. lanes[0] is the ramp, lanes[1] its
/// shoulder, both at the nose.
static void draw_ramp_lane(ramp_map *map, double nose, double length, uint32_t *lanes) {
    const nm_builtin_params *params = map->params;
    double clothoid = RAMP_RADIUS * RAMP_ANGLE * 2.0 / 3.0, arc = RAMP_RADIUS * RAMP_ANGLE / 3.0;
    double curvature = 1.0 / RAMP_RADIUS, speed = fmin(params->speed_limit, RAMP_SPEED);
    nm_curve curve; // of the left border, from the nose backwards
    nm_curve_start(map->sketch, &curve, (nm_frame){nose, map->edge, -1.0, 0.0});
    nm_curve_bend(map->sketch, &curve, clothoid, 0.0, curvature);
    nm_curve_bend(map->sketch, &curve, arc, curvature, curvature);
    nm_curve_bend(map->sketch, &curve, clothoid, curvature, 0.0);
    nm_curve_line(map->sketch, &curve, length - 2.0 * clothoid - arc);
    nm_curve_reverse(&curve);
    nm_section section = {0};
    nm_section_border(&section, 0.0, NM_BORDER_PLAIN, NM_MARKING_SOLID, NM_COLOUR_WHITE);
    nm_section_band(&section, NM_LANE_RAMP, speed);
    nm_section_border(&section, -params->lane_width, NM_BORDER_PAINT, NM_MARKING_SOLID, NM_COLOUR_WHITE);
    add_outer(&section, NM_LANE_SHOULDER, speed, -params->lane_width, RIGHT_SHOULDER, RIGHT_SHOULDER, NM_BORDER_EDGE);
    uint32_t last[NM_SKETCH_BANDS];
    nm_sketch_sweep(map->sketch, &curve, 0, map->sketch->failed ? 0 : curve.count - 1, &section, last);
    lanes[0] = last[0];
    lanes[1] = last[1];
}

void nm_draw_ramp(nm_sketch *sketch, const nm_builtin_params *params) {
    int n = params->lanes;
    double width = params->lane_width, start = -0.5 * params->length, end = 0.5 * params->length;
    double merge = fmin(fmax(0.25 * params->length, 100.0), 250.0);
    double nose = -0.5 * (merge + TAPER), speed = params->speed_limit;
    ramp_map map = {.sketch = sketch, .params = params, .edge = -0.5 * n * width};
    nm_curve curve;
    sketch->mirror = params->kind == NM_BUILTIN_OFF_RAMP;

    nm_section section = mainline(&map); // upstream
    add_outer(&section, NM_LANE_SHOULDER, speed, map.edge, RIGHT_SHOULDER, RIGHT_SHOULDER, NM_BORDER_PLAIN);
    straight(&map, &curve, start, nose - WIDENING, 0);
    add_piece(&map, &curve, &section, 1);
    uint32_t upstream = map.last[n + 1];

    section = mainline(&map); // the shoulder widens to a lane
    add_outer(&section, NM_LANE_SHOULDER, speed, map.edge, RIGHT_SHOULDER, width, NM_BORDER_PLAIN);
    straight(&map, &curve, nose - WIDENING, nose, 1);
    add_piece(&map, &curve, &section, 0);
    uint32_t widening = map.last[n + 1], ramp[2];
    nm_sketch_link(sketch, upstream, widening);
    // who drives on the shoulder gives way to the ramp
    if (!sketch->mirror) nm_sketch_get(sketch, upstream)->control = NM_CONTROL_YIELD;
    draw_ramp_lane(&map, nose, fmin(nose - start, 300.0), ramp); // not beyond the highway's end
    draw_gore(&map, widening, ramp[0], start);

    section = mainline(&map); // beside the acceleration lane: one may change over the broad dashes
    section.borders[section.count].marking = NM_MARKING_BROAD_DASHED;
    nm_section_band(&section, NM_LANE_RAMP, speed);
    nm_section_border(&section, map.edge - width, NM_BORDER_PAINT, NM_MARKING_SOLID, NM_COLOUR_WHITE);
    add_outer(&section, NM_LANE_SHOULDER, speed, map.edge - width, RIGHT_SHOULDER, RIGHT_SHOULDER, NM_BORDER_EDGE);
    straight(&map, &curve, nose, nose + merge, 0);
    add_piece(&map, &curve, &section, 0);
    nm_sketch_link(sketch, ramp[0], map.first[n + 1]);
    uint32_t acceleration = map.last[n + 1];
    if (!sketch->mirror) nm_sketch_link(sketch, widening, acceleration); // the way off a shoulder that ends
    nm_sketch_link(sketch, ramp[1], map.first[n + 2]);
    uint32_t shoulder = map.last[n + 2], beside[NM_SKETCH_BANDS];

    // behind it: a paved wedge straight ahead, and the shoulder that swings back to the lanes across its end
    section = mainline(&map);
    add_outer(&section, NM_LANE_SHOULDER, speed, map.edge, width, RIGHT_SHOULDER, NM_BORDER_PLAIN);
    straight(&map, &curve, nose + merge, nose + merge + TAPER, 1);
    add_piece(&map, &curve, &section, 0);
    uint32_t wedge = map.last[n + 1];
    if (sketch->mirror) nm_sketch_link(sketch, acceleration, wedge); // likewise; the arrow turns round
    nm_section swing = {0};
    nm_section_border(&swing, map.edge - width, NM_BORDER_PLAIN, NM_MARKING_NONE, NM_COLOUR_UNKNOWN);
    swing.borders[0].to = map.edge;
    add_outer(&swing, NM_LANE_SHOULDER, speed, map.edge, width + RIGHT_SHOULDER, RIGHT_SHOULDER, NM_BORDER_EDGE);
    nm_sketch_sweep(sketch, &curve, 0, sketch->failed ? 0 : curve.count - 1, &swing, beside);
    nm_sketch_link(sketch, shoulder, beside[0]);

    section = mainline(&map); // downstream
    add_outer(&section, NM_LANE_SHOULDER, speed, map.edge, RIGHT_SHOULDER, RIGHT_SHOULDER, NM_BORDER_EDGE);
    straight(&map, &curve, nose + merge + TAPER, end, 0);
    add_piece(&map, &curve, &section, 0);
    nm_sketch_link(sketch, wedge, map.first[n + 1]);
    nm_sketch_link(sketch, beside[0], map.first[n + 1]);
}
