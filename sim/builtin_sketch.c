/// The drawing board of the built-in maps: storage, sweeping sections along curves, linking, and the hand-over to the
/// map builder.
#include "sim/builtin_sketch.h"
#include "sim/math.h"

#include <stdlib.h>
#include <string.h>

#define GRID 4096.0        // points are rounded to 1 / GRID m
#define PIECE_LENGTH 400.0 // m, longest lane on open road
#define SNAP 0.1           // m

/// Not hypot(): libm does not promise the same bits everywhere.
static double length_of(double x, double y) {
    return sqrt(x * x + y * y);
}

double nm_sketch_round(double value) {
    return nearbyint(value * GRID) / GRID;
}

nm_status nm_sketch_begin(nm_sketch *sketch, nm_error *error) {
    memset(sketch, 0, sizeof(*sketch));
    sketch->arena = nm_arena_create(0);
    if (!sketch->arena) return NM_ERROR(error, NM_E_MEMORY, "no memory to draw a map");
    sketch->spare_lane.left = sketch->spare_points;
    sketch->spare_lane.right = sketch->spare_points + 2;
    sketch->spare_lane.count = 2;
    return NM_OK;
}

void nm_sketch_end(nm_sketch *sketch) {
    free(sketch->lanes);
    free(sketch->lines);
    free(sketch->areas);
    free(sketch->signals);
    free(sketch->signs);
    nm_arena_destroy(sketch->arena);
    memset(sketch, 0, sizeof(*sketch));
}

void *nm_sketch_alloc(nm_sketch *sketch, size_t count, size_t size) {
    if (sketch->failed) return NULL;
    void *memory = nm_arena_alloc(sketch->arena, count, size, sizeof(double));
    if (!memory) sketch->failed = NM_E_MEMORY;
    return memory;
}

/// Room for one more element in a growing array; NULL after a failure.
static void *grow(nm_sketch *sketch, void *array, size_t count, size_t *room, size_t size) {
    if (sketch->failed) return NULL;
    if (count < *room) return array;
    size_t wanted = *room ? 2 * *room : 64;
    void *grown = realloc(array, wanted * size);
    if (!grown) {
        sketch->failed = NM_E_MEMORY;
        return NULL;
    }
    *room = wanted;
    return grown;
}

nm_sketch_lane *nm_sketch_get(nm_sketch *sketch, uint32_t lane) {
    if (sketch->failed) return &sketch->spare_lane;
    NM_ASSERT(lane < sketch->lane_count);
    return &sketch->lanes[lane];
}

static uint32_t add_lane(nm_sketch *sketch, uint32_t points) {
    nm_sketch_lane *lanes = grow(sketch, sketch->lanes, sketch->lane_count, &sketch->lane_room, sizeof(*lanes));
    if (!lanes) return 0;
    sketch->lanes = lanes;
    nm_sketch_lane *lane = &lanes[sketch->lane_count];
    memset(lane, 0, sizeof(*lane));
    lane->left = nm_sketch_alloc(sketch, points, sizeof(nm_point3));
    lane->right = nm_sketch_alloc(sketch, points, sizeof(nm_point3));
    if (sketch->failed) return 0;
    lane->count = points;
    lane->junction = -1;
    lane->left_neighbour = lane->right_neighbour = NM_NONE;
    return (uint32_t)sketch->lane_count++;
}

void nm_sketch_add_line(nm_sketch *sketch, nm_line_kind kind, nm_marking marking, nm_colour colour,
                        const nm_point3 *points, uint32_t count) {
    if (count < 2) return;
    nm_sketch_line *lines = grow(sketch, sketch->lines, sketch->line_count, &sketch->line_room, sizeof(*lines));
    if (!lines) return;
    sketch->lines = lines;
    nm_point3 *copy = nm_sketch_alloc(sketch, count, sizeof(*copy));
    if (!copy) return;
    memcpy(copy, points, count * sizeof(*copy));
    lines[sketch->line_count++] =
        (nm_sketch_line){.kind = kind, .marking = marking, .colour = colour, .points = copy, .count = count};
}

void nm_sketch_add_area(nm_sketch *sketch, nm_area_kind kind, const nm_point3 *points, uint32_t count) {
    nm_sketch_area *areas = grow(sketch, sketch->areas, sketch->area_count, &sketch->area_room, sizeof(*areas));
    if (!areas) return;
    sketch->areas = areas;
    nm_point3 *copy = nm_sketch_alloc(sketch, count, sizeof(*copy));
    if (!copy) return;
    memcpy(copy, points, count * sizeof(*copy));
    areas[sketch->area_count++] = (nm_sketch_area){.kind = kind, .points = copy, .count = count};
}

void nm_sketch_add_signal(nm_sketch *sketch, const nm_sketch_signal *signal) {
    nm_sketch_signal *signals =
        grow(sketch, sketch->signals, sketch->signal_count, &sketch->signal_room, sizeof(*signals));
    if (!signals) return;
    sketch->signals = signals;
    signals[sketch->signal_count++] = *signal;
}

void nm_sketch_add_sign(nm_sketch *sketch, const char *code, uint32_t lane) {
    const nm_sketch_lane *on = nm_sketch_get(sketch, lane);
    nm_sketch_sign *signs = grow(sketch, sketch->signs, sketch->sign_count, &sketch->sign_room, sizeof(*signs));
    if (!signs) return;
    sketch->signs = signs;
    // 1 m to the right of the lane's end
    nm_point3 left = on->left[on->count - 1], right = on->right[on->count - 1];
    double width = fmax(length_of(right.x - left.x, right.y - left.y), 0.1);
    nm_point3 position = {right.x + (right.x - left.x) / width, right.y + (right.y - left.y) / width, 0.0};
    signs[sketch->sign_count++] = (nm_sketch_sign){.code = code, .position = position, .lane = lane};
}

// ---------------------------------------------------------------------------------------------------------------------
// Sections

void nm_section_border(nm_section *section, double offset, nm_border_use use, nm_marking marking, nm_colour colour) {
    section->borders[section->count] =
        (nm_border){.from = offset, .to = offset, .use = use, .marking = marking, .colour = colour};
}

nm_band *nm_section_band(nm_section *section, nm_lane_type type, double speed_limit) {
    NM_ASSERT(section->count < NM_SKETCH_BANDS);
    nm_band *band = &section->bands[section->count++];
    *band = (nm_band){.type = type, .speed_limit = speed_limit, .junction = -1};
    return band;
}

/// The points of border `index` of a section.
static nm_point3 *border_points(nm_sketch *sketch, const nm_curve *curve, uint32_t first, uint32_t last,
                                const nm_section *section, uint32_t index) {
    uint32_t count = last - first + 1;
    nm_point3 *points = nm_sketch_alloc(sketch, count, sizeof(*points));
    if (!points) return NULL;
    const nm_border *border = &section->borders[index];
    double total = 0.0, gone = 0.0;
    const nm_frame *frames = curve->frames;
    for (uint32_t i = first; i < last; i++)
        total += length_of(frames[i + 1].x - frames[i].x, frames[i + 1].y - frames[i].y);
    double span = fmax(total - section->lead_in - section->lead_out, 1e-9);
    for (uint32_t i = first; i <= last; i++) {
        const nm_frame *at = &frames[i];
        if (i > first) gone += length_of(at->x - frames[i - 1].x, at->y - frames[i - 1].y);
        double share = i == last ? 1.0 : fmin(fmax((gone - section->lead_in) / span, 0.0), 1.0);
        double offset = border->from + (border->to - border->from) * share * share * (3.0 - 2.0 * share);
        points[i - first] =
            (nm_point3){nm_sketch_round(at->x - at->s * offset), nm_sketch_round(at->y + at->c * offset), 0.0};
    }
    return points;
}

static void copy_points(nm_point3 *to, const nm_point3 *from, uint32_t count, int reverse) {
    for (uint32_t i = 0; i < count; i++) to[i] = from[reverse ? count - 1 - i : i];
}

static void draw_border(nm_sketch *sketch, const nm_border *border, const nm_point3 *points, uint32_t count) {
    switch (border->use) {
    case NM_BORDER_PLAIN:
        break;
    case NM_BORDER_PAINT:
        nm_sketch_add_line(sketch, NM_LINE_ROAD_LINE, border->marking, border->colour, points, count);
        break;
    case NM_BORDER_EDGE:
        nm_sketch_add_line(sketch, NM_LINE_EDGE_BOUNDARY, NM_MARKING_UNKNOWN, NM_COLOUR_UNKNOWN, points, count);
        break;
    case NM_BORDER_MEDIAN:
        nm_sketch_add_line(sketch, NM_LINE_EDGE_MEDIAN, NM_MARKING_UNKNOWN, NM_COLOUR_UNKNOWN, points, count);
        break;
    }
}

static uint32_t sweep_band(nm_sketch *sketch, const nm_band *band, const nm_border *borders, nm_point3 *const points[2],
                           uint32_t count) {
    uint32_t index = add_lane(sketch, count);
    if (sketch->failed) return NM_NONE;
    nm_sketch_lane *lane = &sketch->lanes[index];
    int left = band->reverse ? 1 : 0, right = 1 - left;
    copy_points(lane->left, points[left], count, band->reverse);
    copy_points(lane->right, points[right], count, band->reverse);
    lane->type = band->type;
    lane->turn = band->turn;
    lane->flags = band->flags;
    lane->junction = band->junction;
    lane->speed_limit = band->speed_limit;
    lane->left_marking = borders[left].marking;
    lane->right_marking = borders[right].marking;
    lane->left_colour = borders[left].colour;
    lane->right_colour = borders[right].colour;
    return index;
}

/// Tells two bands beside each other about it. `a` lies to the left along the curve.
static void set_neighbours(nm_sketch *sketch, const nm_band *band, uint32_t a, uint32_t b) {
    nm_sketch_lane *lanes = sketch->lanes;
    uint8_t opposite = band[0].reverse != band[1].reverse;
    uint32_t *from_a = band[0].reverse ? &lanes[a].left_neighbour : &lanes[a].right_neighbour;
    uint32_t *from_b = band[1].reverse ? &lanes[b].right_neighbour : &lanes[b].left_neighbour;
    *from_a = b;
    *from_b = a;
    *(band[0].reverse ? &lanes[a].left_opposite : &lanes[a].right_opposite) = opposite;
    *(band[1].reverse ? &lanes[b].right_opposite : &lanes[b].left_opposite) = opposite;
}

void nm_sketch_sweep(nm_sketch *sketch, const nm_curve *curve, uint32_t first, uint32_t last, const nm_section *section,
                     uint32_t *lanes) {
    for (uint32_t i = 0; i < section->count; i++) lanes[i] = NM_NONE;
    if (sketch->failed) return;
    NM_ASSERT(first < last && last < curve->count);
    uint32_t count = last - first + 1;
    nm_point3 *points[NM_SKETCH_BANDS + 1];
    for (uint32_t i = 0; i <= section->count; i++) {
        points[i] = border_points(sketch, curve, first, last, section, i);
        if (!points[i]) return;
        draw_border(sketch, &section->borders[i], points[i], count);
    }
    for (uint32_t i = 0; i < section->count; i++)
        if (!section->bands[i].absent)
            lanes[i] = sweep_band(sketch, &section->bands[i], &section->borders[i], &points[i], count);
    if (sketch->failed) return;
    for (uint32_t i = 0; i + 1 < section->count; i++) {
        const nm_band *band = &section->bands[i];
        if (lanes[i] == NM_NONE || lanes[i + 1] == NM_NONE || band[0].alone || band[1].alone) continue;
        set_neighbours(sketch, band, lanes[i], lanes[i + 1]);
    }
}

void nm_sketch_road(nm_sketch *sketch, const nm_curve *curve, const nm_section *section, uint32_t *first,
                    uint32_t *last) {
    uint32_t lanes[NM_SKETCH_BANDS], start = 0;
    for (uint32_t i = 0; i < section->count; i++) first[i] = last[i] = NM_NONE;
    double total = 0.0, gone = 0.0;
    const nm_frame *frames = curve->frames;
    for (uint32_t i = 0; i + 1 < curve->count; i++)
        total += length_of(frames[i + 1].x - frames[i].x, frames[i + 1].y - frames[i].y);
    double piece = total / ceil(fmax(total, 1.0) / PIECE_LENGTH);
    double goal = piece;
    for (uint32_t i = 0; i + 1 < curve->count && !sketch->failed; i++) {
        gone += length_of(frames[i + 1].x - frames[i].x, frames[i + 1].y - frames[i].y);
        // a sample nearest to each piece's end; the last piece ends with the curve
        if (i + 2 < curve->count && (gone < goal - 1e-6 || total - gone < 0.5 * piece)) continue;
        goal += piece;
        nm_sketch_sweep(sketch, curve, start, i + 1, section, lanes);
        start = i + 1;
        if (sketch->failed) return;
        for (uint32_t band = 0; band < section->count; band++) {
            if (lanes[band] == NM_NONE) continue;
            if (first[band] == NM_NONE)
                first[band] = lanes[band];
            else if (section->bands[band].reverse)
                nm_sketch_link(sketch, lanes[band], last[band]);
            else
                nm_sketch_link(sketch, last[band], lanes[band]);
            last[band] = lanes[band];
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Links

static double apart(nm_point3 a, nm_point3 b) {
    return length_of(a.x - b.x, a.y - b.y);
}

void nm_sketch_link(nm_sketch *sketch, uint32_t from, uint32_t to) {
    if (sketch->failed) return;
    nm_sketch_lane *a = nm_sketch_get(sketch, from), *b = nm_sketch_get(sketch, to);
    NM_ASSERT(a->successor_count < NM_SKETCH_REFS && b->predecessor_count < NM_SKETCH_REFS);
    a->successors[a->successor_count++] = to;
    b->predecessors[b->predecessor_count++] = from;
    nm_point3 *ends[2] = {&a->left[a->count - 1], &a->right[a->count - 1]}, *starts[2] = {&b->left[0], &b->right[0]};
    for (int side = 0; side < 2; side++) {
        if (apart(*ends[side], *starts[side]) > SNAP) continue;
        if (a->flags & NM_LANE_JUNCTION)
            *ends[side] = *starts[side];
        else
            *starts[side] = *ends[side];
    }
}

static nm_frame end_frame(nm_point3 left, nm_point3 right) {
    double x = left.x - right.x, y = left.y - right.y, width = length_of(x, y);
    return (nm_frame){left.x, left.y, y / width, -x / width};
}

/// The straight part at one end of a joint, with samples where walkways leave the kerb.
static void draw_lead(nm_sketch *sketch, nm_curve *curve, double lead, int outwards) {
    const double sample = 2.0;
    if (outwards) nm_curve_line(sketch, curve, lead - 2.0 * sample);
    nm_curve_line(sketch, curve, fmin(sample, lead));
    nm_curve_line(sketch, curve, fmin(sample, lead - sample));
    if (!outwards) nm_curve_line(sketch, curve, lead - 2.0 * sample);
}

/// The curve of a joint: the left border of its leftmost lane.
static void joint_curve(nm_sketch *sketch, const nm_joint *joint, nm_curve *curve) {
    const nm_sketch_lane *from = nm_sketch_get(sketch, joint->from[0]), *to = nm_sketch_get(sketch, joint->to[0]);
    nm_frame a = end_frame(from->left[from->count - 1], from->right[from->count - 1]);
    nm_frame b = end_frame(to->left[0], to->right[0]);
    nm_curve_start(sketch, curve, a);
    draw_lead(sketch, curve, joint->lead_in, 0);
    a.x += joint->lead_in * a.c, a.y += joint->lead_in * a.s;
    b.x -= joint->lead_out * b.c, b.y -= joint->lead_out * b.s;
    double cross = a.c * b.s - a.s * b.c, dot = a.c * b.c + a.s * b.s;
    double x = b.x - a.x, y = b.y - a.y;
    double angle = nm_atan2f((float)cross, (float)dot);
    if (fabs(angle) < 1e-3) {
        nm_curve_line(sketch, curve, x * a.c + y * a.s);
    } else {
        double before = (x * b.s - y * b.c) / cross, after = (a.c * y - a.s * x) / cross;
        NM_ASSERT(before > 0.0 && after > 0.0); // the parameters' ranges see to it
        nm_curve_turn(sketch, curve, before, after, angle);
    }
    draw_lead(sketch, curve, joint->lead_out, 1);
}

void nm_sketch_join(nm_sketch *sketch, const nm_joint *joint, uint32_t *lanes, nm_curve *curve) {
    *curve = (nm_curve){0};
    if (sketch->failed) return;
    joint_curve(sketch, joint, curve);
    nm_section section = {.lead_in = joint->lead_in, .lead_out = joint->lead_out};
    double from = 0.0, to = 0.0;
    for (uint32_t i = 0; i <= joint->count; i++) {
        section.borders[i] = (nm_border){.from = -from, .to = -to, .marking = NM_MARKING_NONE};
        if (i == joint->count) break;
        nm_band *band = nm_section_band(&section, NM_LANE_STREET, joint->speed_limit);
        band->alone = 1;
        band->turn = joint->turn;
        band->flags = NM_LANE_JUNCTION;
        band->junction = joint->junction;
        const nm_sketch_lane *a = nm_sketch_get(sketch, joint->from[i]), *b = nm_sketch_get(sketch, joint->to[i]);
        from += apart(a->left[a->count - 1], a->right[a->count - 1]);
        to += apart(b->left[0], b->right[0]);
    }
    if (sketch->failed) return;
    nm_sketch_sweep(sketch, curve, 0, curve->count - 1, &section, lanes);
    for (uint32_t i = 0; i < joint->count && !sketch->failed; i++) {
        nm_sketch_link(sketch, joint->from[i], lanes[i]);
        nm_sketch_link(sketch, lanes[i], joint->to[i]);
    }
}
