/// Arms of junctions: the road, its sidewalks, and the crosswalk between them.
///
/// Walkways form a directed graph in which every way round is possible: along each corner one chain A -> M -> C -> M'
/// -> B runs from the sidewalk towards the junction to the one away from it on the next arm; over each arm there are
/// two crossings, the far one from A's side to B's and the near one back, each between two stubs from the sidewalk's
/// middle to the kerb. The first stub ends at the kerb: that is where walkers wait and what signals for walkers rule.
#include "sim/builtin_arm.h"

#define MARKED 30.0 // m before the stop line where lanes may not be changed

static nm_frame arm_frame(const nm_arm *arm, double u, double v, double du, double dv) {
    nm_point3 p = nm_arm_point(arm, u, v);
    return (nm_frame){p.x, p.y, du * arm->c - dv * arm->s, du * arm->s + dv * arm->c};
}

nm_point3 nm_arm_point(const nm_arm *arm, double u, double v) {
    return (nm_point3){u * arm->c - v * arm->s, u * arm->s + v * arm->c, 0.0};
}

/// The road's cross-section seen outwards. Next to the junction lanes of one direction are parted by solid lines.
static nm_section road_section(const nm_arm *arm, const nm_builtin_params *params, int near) {
    nm_section section = {0};
    int n = (int)arm->count;
    for (int i = 0; i <= 2 * n; i++) {
        double offset = (n - i) * params->lane_width;
        if (i == 0 || i == 2 * n)
            nm_section_border(&section, offset, NM_BORDER_EDGE, NM_MARKING_CURB, NM_COLOUR_UNKNOWN);
        else if (i == n)
            nm_section_border(&section, offset, NM_BORDER_PAINT, NM_MARKING_DOUBLE_SOLID, NM_COLOUR_YELLOW);
        else
            nm_section_border(&section, offset, NM_BORDER_PAINT, near && i < n ? NM_MARKING_SOLID : NM_MARKING_DASHED,
                              NM_COLOUR_WHITE);
        if (i < 2 * n) nm_section_band(&section, NM_LANE_STREET, params->speed_limit)->reverse = i < n;
    }
    return section;
}

static void draw_road(nm_sketch *sketch, nm_arm *arm, const nm_builtin_params *params) {
    uint32_t near[NM_SKETCH_BANDS], first[NM_SKETCH_BANDS], last[NM_SKETCH_BANDS];
    double marked = arm->length < 2.0 * MARKED ? 0.5 * arm->length : MARKED;
    nm_curve curve;
    nm_section section = road_section(arm, params, 1);
    nm_curve_start(sketch, &curve, arm_frame(arm, arm->stop, 0.0, 1.0, 0.0));
    nm_curve_line(sketch, &curve, marked);
    nm_sketch_road(sketch, &curve, &section, near, last);
    section = road_section(arm, params, 0);
    nm_curve_start(sketch, &curve, arm_frame(arm, arm->stop + marked, 0.0, 1.0, 0.0));
    nm_curve_line(sketch, &curve, arm->length - marked);
    nm_sketch_road(sketch, &curve, &section, first, last);
    if (sketch->failed) return;
    for (uint32_t i = 0; i < arm->count; i++) {
        arm->in[i] = near[arm->count - 1 - i];
        arm->out[i] = near[arm->count + i];
        nm_sketch_link(sketch, first[arm->count - 1 - i], arm->in[i]);
        nm_sketch_link(sketch, arm->out[i], first[arm->count + i]);
    }
}

/// One band of `width` m over the whole curve.
static nm_section walk_section(nm_lane_type type, double width, int64_t junction) {
    nm_section section = {0};
    nm_section_border(&section, 0.5 * width, NM_BORDER_PLAIN, NM_MARKING_NONE, NM_COLOUR_UNKNOWN);
    nm_band *band = nm_section_band(&section, type, 0.0);
    band->alone = 1;
    band->flags = NM_LANE_BIDIRECTIONAL;
    band->junction = junction;
    nm_section_border(&section, -0.5 * width, NM_BORDER_PLAIN, NM_MARKING_NONE, NM_COLOUR_UNKNOWN);
    return section;
}

static uint32_t draw_walk(nm_sketch *sketch, nm_frame start, double length, const nm_section *section) {
    nm_curve curve;
    uint32_t lane[NM_SKETCH_BANDS];
    nm_curve_start(sketch, &curve, start);
    nm_curve_line(sketch, &curve, length);
    nm_sketch_sweep(sketch, &curve, 0, sketch->failed ? 0 : curve.count - 1, section, lane);
    return lane[0];
}

/// Sidewalks beside the arm, from the far crossing to the arm's end: A towards the junction, B away from it.
static void draw_sidewalks(nm_sketch *sketch, nm_arm *arm, double far) {
    uint32_t first[NM_SKETCH_BANDS], last[NM_SKETCH_BANDS];
    double middle = arm->half + 0.5 * NM_SIDEWALK, length = arm->stop + arm->length - far;
    nm_section section = walk_section(NM_LANE_SIDEWALK, NM_SIDEWALK, -1);
    nm_curve curve;
    nm_curve_start(sketch, &curve, arm_frame(arm, far, middle, 1.0, 0.0));
    nm_curve_line(sketch, &curve, length);
    nm_sketch_road(sketch, &curve, &section, first, last);
    arm->away = first[0];
    section.bands[0].reverse = 1;
    nm_curve_start(sketch, &curve, arm_frame(arm, far, -middle, 1.0, 0.0));
    nm_curve_line(sketch, &curve, length);
    nm_sketch_road(sketch, &curve, &section, first, last);
    arm->towards = first[0];
}

/// One crossing: stub, crosswalk, stub. `which` 0 is the far one, from A's side (v < 0) to B's.
static void draw_crossing(nm_sketch *sketch, nm_arm *arm, double u, int which) {
    double way = which == 0 ? 1.0 : -1.0, middle = arm->half + 0.5 * NM_SIDEWALK;
    nm_section stub = walk_section(NM_LANE_SIDEWALK, NM_DROPPED_KERB, -1);
    nm_section cross = walk_section(NM_LANE_CROSSWALK, 0.5 * NM_CROSSWALK, arm->junction);
    cross.bands[0].flags |= NM_LANE_JUNCTION;
    double kerb = arm->half + NM_KERB_GAP, stand = middle - kerb;
    arm->wait[which] = draw_walk(sketch, arm_frame(arm, u, -way * middle, 0.0, way), stand, &stub);
    arm->cross[which] = draw_walk(sketch, arm_frame(arm, u, -way * kerb, 0.0, way), 2.0 * kerb, &cross);
    arm->leave[which] = draw_walk(sketch, arm_frame(arm, u, way * kerb, 0.0, way), stand, &stub);
    nm_sketch_get(sketch, arm->wait[which])->control = NM_CONTROL_PRIORITY;
    nm_sketch_link(sketch, arm->wait[which], arm->cross[which]);
    nm_sketch_link(sketch, arm->cross[which], arm->leave[which]);
}

static void draw_crosswalk(nm_sketch *sketch, nm_arm *arm, double far) {
    double outer = arm->stop - NM_STOP_GAP, inner = outer - NM_CROSSWALK;
    draw_crossing(sketch, arm, far, 0);
    draw_crossing(sketch, arm, inner + 0.25 * NM_CROSSWALK, 1);
    nm_point3 area[4] = {nm_arm_point(arm, inner, -arm->half), nm_arm_point(arm, outer, -arm->half),
                         nm_arm_point(arm, outer, arm->half), nm_arm_point(arm, inner, arm->half)};
    for (int i = 0; i < 4; i++) area[i] = (nm_point3){nm_sketch_round(area[i].x), nm_sketch_round(area[i].y), 0.0};
    nm_sketch_add_area(sketch, NM_AREA_CROSSWALK, area, 4);
    if (sketch->failed) return;
    nm_sketch_link(sketch, arm->towards, arm->wait[0]);
    nm_sketch_link(sketch, arm->leave[0], arm->away);
}

void nm_arm_draw(nm_sketch *sketch, nm_arm *arm, const nm_builtin_params *params, nm_control_kind control) {
    arm->count = (uint32_t)params->lanes;
    arm->half = params->lanes * params->lane_width;
    arm->length = params->length;
    draw_road(sketch, arm, params);
    double far = arm->crossing ? arm->stop - NM_STOP_GAP - 0.25 * NM_CROSSWALK : arm->stop;
    draw_sidewalks(sketch, arm, far);
    if (arm->crossing) draw_crosswalk(sketch, arm, far);
    if (sketch->failed) return;
    for (uint32_t i = 0; i < arm->count; i++) {
        nm_sketch_lane *lane = nm_sketch_get(sketch, arm->in[i]);
        lane->control = control;
        lane->stop_line = control != NM_CONTROL_PRIORITY && control != NM_CONTROL_NONE;
    }
}

void nm_kerb_add(nm_sketch *sketch, nm_kerb *kerb, uint32_t lane, const nm_curve *curve) {
    if (sketch->failed) return;
    const nm_sketch_lane *from = nm_sketch_get(sketch, lane);
    NM_ASSERT(from->count == curve->count);
    nm_frame *frames = nm_sketch_alloc(sketch, (size_t)kerb->count + from->count, sizeof(*frames));
    if (!frames) return;
    for (uint32_t i = 0; i < kerb->count; i++) frames[i] = kerb->frames[i];
    for (uint32_t i = kerb->count > 0; i < from->count; i++) {
        const nm_frame *along = &curve->frames[i];
        frames[kerb->count++] = (nm_frame){from->right[i].x, from->right[i].y, along->c, along->s};
    }
    kerb->frames = frames;
}

/// A sidewalk along samples first..last of the kerb, walked against the driving direction: the road is on its right, as
/// it is on all sidewalks of the chain's direction.
static uint32_t draw_corner_walk(nm_sketch *sketch, const nm_kerb *kerb, uint32_t first, uint32_t last) {
    nm_curve curve = {0};
    for (uint32_t i = first; i <= last && !sketch->failed; i++) {
        const nm_frame *at = &kerb->frames[i];
        nm_frame middle = {at->x + 0.5 * NM_SIDEWALK * at->s, at->y - 0.5 * NM_SIDEWALK * at->c, at->c, at->s};
        if (i == first) {
            nm_curve_start(sketch, &curve, middle);
            continue;
        }
        nm_curve_place(sketch, &curve, middle);
    }
    nm_curve_reverse(&curve);
    nm_section section = walk_section(NM_LANE_SIDEWALK, NM_SIDEWALK, -1);
    uint32_t lane[NM_SKETCH_BANDS];
    nm_sketch_sweep(sketch, &curve, 0, sketch->failed ? 0 : curve.count - 1, &section, lane);
    return lane[0];
}

void nm_arm_corner(nm_sketch *sketch, const nm_arm *from, const nm_arm *to, const nm_kerb *kerb) {
    if (sketch->failed) return;
    nm_point3 *edge = nm_sketch_alloc(sketch, kerb->count, sizeof(*edge));
    if (!edge) return;
    for (uint32_t i = 0; i < kerb->count; i++) edge[i] = (nm_point3){kerb->frames[i].x, kerb->frames[i].y, 0.0};
    nm_sketch_add_line(sketch, NM_LINE_EDGE_BOUNDARY, NM_MARKING_UNKNOWN, NM_COLOUR_UNKNOWN, edge, kerb->count);
    // where the arm has a crosswalk, samples 1 and 2 from its end are the middles of the far and the near crossing
    // (nm_sketch_join puts them there); a chain without crosswalk begins and ends with the kerb
    uint32_t last = kerb->count - 1, near = from->crossing ? 2 : 0, far = to->crossing ? last - 2 : last;
    NM_ASSERT(near < far && far <= last);
    uint32_t corner = draw_corner_walk(sketch, kerb, near, far);
    if (to->crossing) {
        uint32_t before = draw_corner_walk(sketch, kerb, far, far + 1);
        nm_sketch_link(sketch, to->towards, before);
        nm_sketch_link(sketch, before, corner);
        nm_sketch_link(sketch, to->leave[1], corner);
    } else {
        nm_sketch_link(sketch, to->towards, corner);
    }
    if (from->crossing) {
        uint32_t behind = draw_corner_walk(sketch, kerb, near - 1, near);
        nm_sketch_link(sketch, corner, behind);
        nm_sketch_link(sketch, corner, from->wait[1]);
        nm_sketch_link(sketch, behind, from->away);
    } else {
        nm_sketch_link(sketch, corner, from->away);
    }
}
