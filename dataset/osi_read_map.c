/// Lanes, lines, areas, signs and lights of an OSI message as a map. Logical lanes where there are any, else physical
/// ones.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/osi_read.h"

#define SAME 1e-6     // m along a lane
#define SAME_POLE 1.5 // m between bulbs of one light

typedef struct polyline {
    nm_point3 *points;
    double *s; // NULL: not said
    size_t count;
} polyline;

typedef struct building {
    nm_reader_context *context;
    nm_map_builder *builder;
    const nm_osi_truth *truth;
    nm_arena *arena;
    nm_osi_map *to;
    int own;                                                                   // all lanes have our references
    nm_id_table references, logical_boundaries, boundaries, logical, physical; // id -> index
    nm_id_table used;                                                          // physical boundaries that lanes have
    nm_id_table signalled; // physical and logical lanes with a light
    int failed;
} building;

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for the map");
}

static void *room(building *b, size_t count, size_t size) {
    void *memory = nm_arena_calloc(b->arena, count, size, 16);
    if (!memory) b->failed = 1;
    return memory;
}

static void remember(building *b, nm_id_table *table, const Osi3__Identifier *id, size_t index) {
    if (id && nm_id_table_add(table, nm_osi_id(id), (uint32_t)index) == NM_NONE) b->failed = 1;
}

static nm_point3 place(const Osi3__Vector3d *v) {
    if (!v) return (nm_point3){NAN, NAN, NAN}; // refused by the builder
    return (nm_point3){v->x, v->y, v->z};
}

static void index_items(building *b) {
    const nm_osi_truth *t = b->truth;
    for (size_t i = 0; i < t->n_reference_line; i++) remember(b, &b->references, t->reference_line[i]->id, i);
    for (size_t i = 0; i < t->n_logical_lane_boundary; i++)
        remember(b, &b->logical_boundaries, t->logical_lane_boundary[i]->id, i);
    for (size_t i = 0; i < t->n_lane_boundary; i++) remember(b, &b->boundaries, t->lane_boundary[i]->id, i);
    for (size_t i = 0; i < t->n_logical_lane; i++) remember(b, &b->logical, t->logical_lane[i]->id, i);
    for (size_t i = 0; i < t->n_lane; i++) {
        const Osi3__LaneClassification *c = t->lane[i]->classification;
        remember(b, &b->physical, t->lane[i]->id, i);
        if (!c) continue;
        for (size_t k = 0; k < c->n_left_lane_boundary_id; k++) remember(b, &b->used, c->left_lane_boundary_id[k], i);
        for (size_t k = 0; k < c->n_right_lane_boundary_id; k++) remember(b, &b->used, c->right_lane_boundary_id[k], i);
        for (size_t k = 0; k < c->n_free_lane_boundary_id; k++) remember(b, &b->used, c->free_lane_boundary_id[k], i);
    }
    for (size_t i = 0; i < t->n_traffic_light; i++) {
        const Osi3__TrafficLightClassification *c = t->traffic_light[i]->classification;
        if (!c) continue;
        for (size_t k = 0; k < c->n_assigned_lane_id; k++) remember(b, &b->signalled, c->assigned_lane_id[k], i);
        for (size_t k = 0; k < c->n_logical_lane_assignment; k++)
            remember(b, &b->signalled, c->logical_lane_assignment[k]->assigned_lane_id, i);
    }
}

static const Osi3__ExternalReference *lane_reference(const Osi3__LogicalLane *lane) {
    return nm_osi_find_reference(lane->source_reference, lane->n_source_reference, NM_OSI_REF_LANE);
}

/// The name of a lane: our own source's where all have one, else the trace's.
static int64_t name_of(const building *b, uint32_t index) {
    const Osi3__LogicalLane *lane = b->truth->logical_lane[index];
    return b->own ? nm_osi_key(lane_reference(lane), "id", 0, -1) : nm_osi_id(lane->id);
}

// ---------------------------------------------------------------------------------------------------------------------
// Geometry

/// The boundaries of one side, one after the other; a point that repeats the last one is left out.
static polyline logical_side(building *b, Osi3__Identifier *const *ids, size_t count) {
    polyline line = {NULL, NULL, 0};
    size_t total = 0;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            uint32_t index = nm_id_table_find(&b->logical_boundaries, nm_osi_id(ids[i]));
            if (index == NM_NONE) continue;
            const Osi3__LogicalLaneBoundary *from = b->truth->logical_lane_boundary[index];
            if (pass == 0) total += from->n_boundary_line;
            for (size_t k = 0; pass && k < from->n_boundary_line; k++) {
                double s = from->boundary_line[k]->s_position;
                if (line.count && !(s > line.s[line.count - 1]) && count > 1) continue;
                line.points[line.count] = place(from->boundary_line[k]->position);
                line.s[line.count++] = s;
            }
        }
        if (pass) break;
        line.points = room(b, total, sizeof *line.points);
        line.s = room(b, total, sizeof *line.s);
        if (b->failed) return (polyline){NULL, NULL, 0};
    }
    return line;
}

static polyline physical_side(building *b, Osi3__Identifier *const *ids, size_t count) {
    polyline line = {NULL, NULL, 0};
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t index = nm_id_table_find(&b->boundaries, nm_osi_id(ids[i]));
        if (index != NM_NONE) total += b->truth->lane_boundary[index]->n_boundary_line;
    }
    line.points = room(b, total, sizeof *line.points);
    line.s = room(b, total, sizeof *line.s);
    for (size_t i = 0; i < count && !b->failed; i++) {
        uint32_t index = nm_id_table_find(&b->boundaries, nm_osi_id(ids[i]));
        if (index == NM_NONE) continue;
        const Osi3__LaneBoundary *from = b->truth->lane_boundary[index];
        for (size_t k = 0; k < from->n_boundary_line; k++) {
            nm_point3 p = place(from->boundary_line[k]->position);
            double step =
                line.count ? hypot(p.x - line.points[line.count - 1].x, p.y - line.points[line.count - 1].y) : 0.0;
            if (line.count && !(step > SAME)) continue;
            line.s[line.count] = line.count ? line.s[line.count - 1] + step : 0.0;
            line.points[line.count++] = p;
        }
    }
    // shares of the whole: both sides run from 0 to 1
    double length = line.count ? line.s[line.count - 1] : 0.0;
    for (size_t i = 0; i < line.count; i++) line.s[i] = length > 0.0 ? line.s[i] / length : 0.0;
    return line;
}

/// The point at s; *from is where the last one was found: s only grows.
static nm_point3 sample(const polyline *line, double s, size_t *from) {
    size_t i = *from;
    while (i + 1 < line->count && line->s[i] < s) i++;
    *from = i;
    if (line->count == 1) i = 0;
    const nm_point3 *a = &line->points[i ? i - 1 : 0], *c = &line->points[i];
    double span = i ? line->s[i] - line->s[i - 1] : 0.0, u = span > 0.0 ? (s - line->s[i - 1]) / span : 0.0;
    u = u < 0.0 ? 0.0 : u > 1.0 ? 1.0 : u;
    return (nm_point3){a->x + u * (c->x - a->x), a->y + u * (c->y - a->y), a->z + u * (c->z - a->z)};
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/// Both sides at the places where either has a point, within [first, last]. Empty when they do not overlap.
static void pair_sides(building *b, polyline *left, polyline *right, double first, double last) {
    size_t count = 0, kept = 0;
    double *s = room(b, left->count + right->count + 2, sizeof *s);
    if (b->failed || !left->count || !right->count) {
        left->count = right->count = 0;
        return;
    }
    first = fmax(first, fmax(left->s[0], right->s[0]));
    last = fmin(last, fmin(left->s[left->count - 1], right->s[right->count - 1]));
    s[count++] = first;
    s[count++] = last;
    const polyline *sides[] = {left, right};
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < sides[k]->count; i++) {
            if (sides[k]->s[i] > first && sides[k]->s[i] < last) s[count++] = sides[k]->s[i];
        }
    }
    if (!(last > first)) count = 0;
    qsort(s, count, sizeof *s, ascending);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || s[i] - s[kept - 1] > SAME * (last - first)) s[kept++] = s[i];
    }
    polyline made[2];
    for (int k = 0; k < 2; k++) {
        made[k] = (polyline){room(b, kept, sizeof(nm_point3)), s, kept};
        size_t from = 1;
        for (size_t i = 0; i < kept && !b->failed; i++) made[k].points[i] = sample(sides[k], s[i], &from);
    }
    *left = made[0];
    *right = made[1];
}

static void reverse(polyline *line) {
    for (size_t i = 0; i < line->count / 2; i++) {
        nm_point3 p = line->points[i];
        line->points[i] = line->points[line->count - 1 - i];
        line->points[line->count - 1 - i] = p;
    }
}

/// Our own lanes: the reference line is the centreline, and the sides have a point for each of its own.
static int read_own(building *b, const Osi3__LogicalLane *lane, const polyline *left, const polyline *right,
                    nm_point3 **centre) {
    uint32_t index = nm_id_table_find(&b->references, nm_osi_id(lane->reference_line_id));
    if (!b->own || index == NM_NONE || lane->move_direction == NM_OSI_MOVE_DECREASING) return 0;
    const Osi3__ReferenceLine *line = b->truth->reference_line[index];
    if (line->n_poly_line < 2 || line->n_poly_line != left->count || left->count != right->count) return 0;
    *centre = room(b, left->count, sizeof **centre);
    for (size_t i = 0; i < left->count && *centre; i++) (*centre)[i] = place(line->poly_line[i]->world_position);
    return *centre != NULL;
}

// ---------------------------------------------------------------------------------------------------------------------
// Lanes

static nm_lane_type lane_type(int type) {
    switch (type) {
    case NM_OSI_LANE_BIKING:
        return NM_LANE_BIKE;
    case NM_OSI_LANE_SIDEWALK:
        return NM_LANE_SIDEWALK;
    case NM_OSI_LANE_SHOULDER:
        return NM_LANE_SHOULDER;
    case NM_OSI_LANE_NORMAL:
        return NM_LANE_STREET;
    default:
        return type >= NM_OSI_LANE_EXIT && type <= NM_OSI_LANE_CONNECTINGRAMP ? NM_LANE_RAMP : NM_LANE_UNKNOWN;
    }
}

static nm_marking marking_of(int type) {
    switch (type) {
    case NM_OSI_NO_LINE:
        return NM_MARKING_NONE;
    case NM_OSI_SOLID_LINE:
        return NM_MARKING_SOLID;
    case NM_OSI_DASHED_LINE:
    case NM_OSI_BOTTS_DOTS:
        return NM_MARKING_DASHED;
    default:
        return type >= NM_OSI_ROAD_EDGE ? NM_MARKING_CURB : NM_MARKING_UNKNOWN;
    }
}

static nm_colour colour_of(int colour) {
    return colour == NM_OSI_COLOUR_WHITE    ? NM_COLOUR_WHITE
           : colour == NM_OSI_COLOUR_YELLOW ? NM_COLOUR_YELLOW
                                            : NM_COLOUR_UNKNOWN;
}

/// Marking and colour of the physical boundary with this id.
static void mark_side(const building *b, const Osi3__Identifier *id, nm_marking *marking, nm_colour *colour) {
    uint32_t index = id ? nm_id_table_find(&b->boundaries, nm_osi_id(id)) : NM_NONE;
    const Osi3__LaneBoundaryClassification *c =
        index == NM_NONE ? NULL : b->truth->lane_boundary[index]->classification;
    if (!c) return;
    *marking = marking_of(c->type);
    *colour = colour_of(c->color);
}

static void mark_logical(const building *b, Osi3__Identifier *const *ids, size_t count, nm_marking *marking,
                         nm_colour *colour) {
    uint32_t index = count ? nm_id_table_find(&b->logical_boundaries, nm_osi_id(ids[0])) : NM_NONE;
    if (index == NM_NONE) return;
    const Osi3__LogicalLaneBoundary *side = b->truth->logical_lane_boundary[index];
    if (side->n_physical_boundary_id) mark_side(b, side->physical_boundary_id[0], marking, colour);
}

static const Osi3__Identifier *physical_of(const Osi3__LogicalLane *lane) {
    return lane->n_physical_lane_reference ? lane->physical_lane_reference[0]->physical_lane_id : NULL;
}

static int is_signalled(const building *b, const Osi3__LogicalLane *lane) {
    const Osi3__Identifier *physical = physical_of(lane);
    return nm_id_table_find(&b->signalled, nm_osi_id(lane->id)) != NM_NONE ||
           (physical && nm_id_table_find(&b->signalled, nm_osi_id(physical)) != NM_NONE);
}

/// What kind of lane it is: from our own reference, else as far as the standard tells.
static void describe(const building *b, const Osi3__LogicalLane *lane, nm_lane_def *def) {
    const Osi3__ExternalReference *own = lane_reference(lane);
    if (own) {
        def->type = (nm_lane_type)nm_osi_key_enum(own, "type", NM_LANE_TYPE_COUNT);
        def->turn = (nm_turn)nm_osi_key_enum(own, "turn", NM_TURN_U + 1);
        def->control = (nm_control_kind)nm_osi_key_enum(own, "control", NM_CONTROL_SIGNAL + 1);
        def->flags = (unsigned)nm_osi_key_enum(own, "flags", 16);
        def->left_marking = (nm_marking)nm_osi_key_enum(own, "left_marking", NM_MARKING_CURB + 1);
        def->right_marking = (nm_marking)nm_osi_key_enum(own, "right_marking", NM_MARKING_CURB + 1);
        def->left_colour = (nm_colour)nm_osi_key_enum(own, "left_colour", NM_COLOUR_YELLOW + 1);
        def->right_colour = (nm_colour)nm_osi_key_enum(own, "right_colour", NM_COLOUR_YELLOW + 1);
        def->junction = nm_osi_key(own, "junction", 0, -1);
    } else {
        def->type = lane_type(lane->type);
        if (lane->move_direction == NM_OSI_MOVE_BOTH) def->flags |= NM_LANE_BIDIRECTIONAL;
        if (is_signalled(b, lane)) def->control = NM_CONTROL_SIGNAL;
        mark_logical(b, lane->left_boundary_id, lane->n_left_boundary_id, &def->left_marking, &def->left_colour);
        mark_logical(b, lane->right_boundary_id, lane->n_right_boundary_id, &def->right_marking, &def->right_colour);
        const Osi3__Identifier *physical = physical_of(lane);
        uint32_t index = physical ? nm_id_table_find(&b->physical, nm_osi_id(physical)) : NM_NONE;
        const Osi3__LaneClassification *c = index == NM_NONE ? NULL : b->truth->lane[index]->classification;
        if (c && c->type == NM_OSI_INTERSECTION) {
            def->junction = nm_osi_id(physical);
            def->flags |= NM_LANE_JUNCTION;
        }
    }
    for (size_t i = 0; i < lane->n_traffic_rule; i++) {
        const Osi3__SpeedLimit *limit = lane->traffic_rule[i]->speed_limit;
        const Osi3__TrafficSignValue *value = limit ? limit->speed_limit_value : NULL;
        double unit = !value || lane->traffic_rule[i]->traffic_rule_type != 0 ? 0.0
                      : value->value_unit == NM_OSI_KMH                       ? 1.0 / 3.6
                      : value->value_unit == NM_OSI_MPH                       ? 0.44704
                                                                              : 0.0;
        if (unit == 1.0 / 3.6) def->speed_limit = value->value / 3.6;
        if (unit == 0.44704) def->speed_limit = value->value * 0.44704;
    }
}

/// Lanes beside it. What is not there is left out: traces are cut, too.
static const nm_neighbour_def *relations(building *b, Osi3__LaneRelation *const *from, size_t n, double start,
                                         int direction, size_t *count) {
    nm_neighbour_def *made = room(b, n, sizeof *made);
    *count = 0;
    for (size_t i = 0; i < n && made; i++) {
        uint32_t other = nm_id_table_find(&b->logical, nm_osi_id(from[i]->other_lane_id));
        if (other == NM_NONE) continue;
        int turned = b->truth->logical_lane[other]->move_direction == NM_OSI_MOVE_DECREASING;
        nm_neighbour_def *to = &made[(*count)++];
        *to = (nm_neighbour_def){.lane = name_of(b, other)};
        to->opposite = (from[i]->start_s_other > from[i]->end_s_other) != (turned != direction);
        if (direction || turned) continue; // stretches are along reference lines: the whole lane
        to->self_start = from[i]->start_s - start;
        to->self_end = from[i]->end_s - start;
        to->other_start = from[i]->start_s_other - b->truth->logical_lane[other]->start_s;
        to->other_end = from[i]->end_s_other - b->truth->logical_lane[other]->start_s;
    }
    return made;
}

static const int64_t *connections(building *b, Osi3__LaneConnection *const *from, size_t n, size_t *count) {
    int64_t *made = room(b, n, sizeof *made);
    *count = 0;
    for (size_t i = 0; i < n && made; i++) {
        uint32_t other = nm_id_table_find(&b->logical, nm_osi_id(from[i]->other_lane_id));
        if (other != NM_NONE) made[(*count)++] = name_of(b, other);
    }
    return made;
}

static int finite_sides(const polyline *left, const polyline *right) {
    for (size_t i = 0; i < left->count; i++) {
        if (!isfinite(left->s[i])) return 0;
    }
    for (size_t i = 0; i < right->count; i++) {
        if (!isfinite(right->s[i])) return 0;
    }
    return 1;
}

static nm_status add_logical(building *b, uint32_t index, nm_error *error) {
    const Osi3__LogicalLane *lane = b->truth->logical_lane[index];
    nm_lane_def def = nm_lane_def_default();
    nm_point3 *centre = NULL;
    polyline left = logical_side(b, lane->left_boundary_id, lane->n_left_boundary_id);
    polyline right = logical_side(b, lane->right_boundary_id, lane->n_right_boundary_id);
    int turned = lane->move_direction == NM_OSI_MOVE_DECREASING;
    if (!finite_sides(&left, &right) || !isfinite(lane->start_s) || !isfinite(lane->end_s))
        return NM_ERROR(error, NM_E_FORMAT, "logical lane %u: an s position is not finite", index);
    if (!read_own(b, lane, &left, &right, &centre)) {
        pair_sides(b, &left, &right, lane->start_s, lane->end_s);
        if (turned) {
            polyline swap = left;
            left = right;
            right = swap;
            reverse(&left);
            reverse(&right);
        }
    }
    def.id = name_of(b, index);
    describe(b, lane, &def);
    def.centre = centre;
    def.left = left.points;
    def.right = right.points;
    def.point_count = left.count;
    def.left_neighbours = relations(b, turned ? lane->right_adjacent_lane : lane->left_adjacent_lane,
                                    turned ? lane->n_right_adjacent_lane : lane->n_left_adjacent_lane, lane->start_s,
                                    turned, &def.left_neighbour_count);
    def.right_neighbours = relations(b, turned ? lane->left_adjacent_lane : lane->right_adjacent_lane,
                                     turned ? lane->n_left_adjacent_lane : lane->n_right_adjacent_lane, lane->start_s,
                                     turned, &def.right_neighbour_count);
    def.predecessors = connections(b, turned ? lane->successor_lane : lane->predecessor_lane,
                                   turned ? lane->n_successor_lane : lane->n_predecessor_lane, &def.predecessor_count);
    def.successors = connections(b, turned ? lane->predecessor_lane : lane->successor_lane,
                                 turned ? lane->n_predecessor_lane : lane->n_successor_lane, &def.successor_count);
    if (b->failed) return no_memory(error);
    return nm_map_builder_add_lane(b->builder, &def, error);
}

/// Physical lanes that can be driven or walked on: their ids, of those in `from` that are.
static const int64_t *lanes_of(building *b, Osi3__Identifier *const *from, size_t n, size_t *count) {
    int64_t *made = room(b, n, sizeof *made);
    *count = 0;
    for (size_t i = 0; i < n && made; i++) {
        uint32_t other = nm_id_table_find(&b->physical, nm_osi_id(from[i]));
        const Osi3__LaneClassification *c = other == NM_NONE ? NULL : b->truth->lane[other]->classification;
        if (c && (c->type == NM_OSI_DRIVING || c->type == NM_OSI_NONDRIVING)) made[(*count)++] = nm_osi_id(from[i]);
    }
    return made;
}

static const nm_neighbour_def *beside(building *b, Osi3__Identifier *const *from, size_t n, size_t *count) {
    const int64_t *ids = lanes_of(b, from, n, count);
    nm_neighbour_def *made = room(b, *count, sizeof *made);
    for (size_t i = 0; i < *count && made; i++) made[i] = (nm_neighbour_def){.lane = ids[i]};
    return made;
}

/// An old trace's lane: both sides by their share of the length, or a centreline.
static nm_status add_physical(building *b, const Osi3__Lane *lane, nm_error *error) {
    const Osi3__LaneClassification *c = lane->classification;
    if (!c || !lane->id || (c->type != NM_OSI_DRIVING && c->type != NM_OSI_NONDRIVING)) return NM_OK;
    nm_lane_def def = nm_lane_def_default();
    polyline left = physical_side(b, c->left_lane_boundary_id, c->n_left_lane_boundary_id);
    polyline right = physical_side(b, c->right_lane_boundary_id, c->n_right_lane_boundary_id);
    if (!b->failed && !finite_sides(&left, &right))
        return NM_ERROR(error, NM_E_FORMAT, "a boundary has a position that is not finite");
    pair_sides(b, &left, &right, 0.0, 1.0);
    polyline middle = {room(b, c->n_centerline, sizeof(nm_point3)), NULL, c->n_centerline};
    int turned = c->has_centerline_is_driving_direction && !c->centerline_is_driving_direction;
    for (size_t i = 0; i < c->n_centerline && !b->failed; i++) middle.points[i] = place(c->centerline[i]);
    if (turned) reverse(&left), reverse(&right), reverse(&middle);
    if (left.count >= 2) {
        def.left = turned ? right.points : left.points;
        def.right = turned ? left.points : right.points;
        def.point_count = left.count;
    } else {
        def.centre = middle.points;
        def.point_count = middle.count;
    }
    if (def.point_count < 2 && !b->failed) return NM_OK; // only named
    def.id = nm_osi_id(lane->id);
    def.type =
        c->type == NM_OSI_NONDRIVING && c->subtype <= NM_OSI_LANE_NORMAL ? NM_LANE_SIDEWALK : lane_type(c->subtype);
    nm_marking marks[2] = {NM_MARKING_UNKNOWN, NM_MARKING_UNKNOWN}; // left, right along the stored points
    nm_colour colours[2] = {NM_COLOUR_UNKNOWN, NM_COLOUR_UNKNOWN};
    if (c->n_left_lane_boundary_id) mark_side(b, c->left_lane_boundary_id[0], &marks[0], &colours[0]);
    if (c->n_right_lane_boundary_id) mark_side(b, c->right_lane_boundary_id[0], &marks[1], &colours[1]);
    def.left_marking = marks[turned], def.right_marking = marks[!turned];
    def.left_colour = colours[turned], def.right_colour = colours[!turned];
    if (nm_id_table_find(&b->signalled, def.id) != NM_NONE) def.control = NM_CONTROL_SIGNAL;
    size_t counts[2];
    const nm_neighbour_def *sides[] = {beside(b, c->left_adjacent_lane_id, c->n_left_adjacent_lane_id, &counts[0]),
                                       beside(b, c->right_adjacent_lane_id, c->n_right_adjacent_lane_id, &counts[1])};
    def.left_neighbours = sides[turned], def.left_neighbour_count = counts[turned];
    def.right_neighbours = sides[!turned], def.right_neighbour_count = counts[!turned];
    Osi3__Identifier **before = room(b, c->n_lane_pairing, sizeof *before);
    Osi3__Identifier **after = room(b, c->n_lane_pairing, sizeof *after);
    for (size_t i = 0; i < c->n_lane_pairing && !b->failed; i++) {
        before[i] = c->lane_pairing[i]->antecessor_lane_id;
        after[i] = c->lane_pairing[i]->successor_lane_id;
    }
    if (b->failed) return no_memory(error);
    def.predecessors = lanes_of(b, before, c->n_lane_pairing, &def.predecessor_count);
    def.successors = lanes_of(b, after, c->n_lane_pairing, &def.successor_count);
    return b->failed ? no_memory(error) : nm_map_builder_add_lane(b->builder, &def, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Lines, areas, signs, lights

static nm_status add_line(building *b, const Osi3__LaneBoundary *from, nm_error *error) {
    const Osi3__ExternalReference *own =
        nm_osi_find_reference(from->source_reference, from->n_source_reference, NM_OSI_REF_LINE);
    if (!own && (b->own || nm_id_table_find(&b->used, nm_osi_id(from->id)) != NM_NONE)) return NM_OK;
    if (!own && from->n_boundary_line < 2) return NM_OK;
    int type = from->classification ? from->classification->type : 0;
    nm_line_kind kind = type >= NM_OSI_ROAD_EDGE ? NM_LINE_EDGE_BOUNDARY : NM_LINE_ROAD_LINE;
    nm_marking marking = kind == NM_LINE_ROAD_LINE ? marking_of(type) : NM_MARKING_UNKNOWN;
    nm_colour colour = colour_of(from->classification ? from->classification->color : 0);
    if (own) {
        kind = (nm_line_kind)nm_osi_key_enum(own, "kind", NM_LINE_EDGE_MEDIAN + 1);
        marking = (nm_marking)nm_osi_key_enum(own, "marking", NM_MARKING_CURB + 1);
        colour = (nm_colour)nm_osi_key_enum(own, "colour", NM_COLOUR_YELLOW + 1);
    }
    nm_point3 *points = room(b, from->n_boundary_line, sizeof *points);
    if (!points) return no_memory(error);
    for (size_t i = 0; i < from->n_boundary_line; i++) points[i] = place(from->boundary_line[i]->position);
    return nm_map_builder_add_line(b->builder, nm_osi_key(own, "id", 0, nm_osi_id(from->id)), kind, marking, colour,
                                   points, from->n_boundary_line, error);
}

/// A polygon around a middle, or the box where there is none.
static nm_status add_area(building *b, const Osi3__BaseStationary *base, const Osi3__ExternalReference *own, int64_t id,
                          nm_error *error) {
    if (!base || !base->position) return NM_OK;
    const Osi3__Dimension3d *d = base->dimension;
    size_t count = base->n_base_polygon ? base->n_base_polygon : 4;
    nm_point3 *points = room(b, count, sizeof *points);
    if (!points) return no_memory(error);
    double yaw = base->orientation ? base->orientation->yaw : 0.0, c = cos(yaw), s = sin(yaw);
    if (!base->n_base_polygon && (!d || !(d->length > 0.0 && d->width > 0.0))) return NM_OK;
    for (size_t i = 0; i < count; i++) {
        double x, y;
        if (base->n_base_polygon) {
            x = base->base_polygon[i]->x;
            y = base->base_polygon[i]->y;
        } else {
            x = (i == 0 || i == 3 ? 0.5 : -0.5) * d->length;
            y = (i < 2 ? 0.5 : -0.5) * d->width;
        }
        nm_point3 p = place(base->position);
        // the middle first: it is exact, and so is what was taken from it
        points[i] = yaw == 0.0 ? (nm_point3){base->position->x + x, base->position->y + y, p.z}
                               : (nm_point3){p.x + c * x - s * y, p.y + s * x + c * y, p.z};
    }
    nm_area_kind kind = own ? (nm_area_kind)nm_osi_key_enum(own, "kind", NM_AREA_OBSTACLE + 1) : NM_AREA_OBSTACLE;
    return nm_map_builder_add_area(b->builder, nm_osi_key(own, "id", 0, id), kind, points, count, error);
}

static nm_status add_sign(building *b, const Osi3__TrafficSign *from, nm_error *error) {
    const Osi3__ExternalReference *own =
        nm_osi_find_reference(from->source_reference, from->n_source_reference, NM_OSI_REF_SIGN);
    const Osi3__MainSignClassification *c = from->main_sign ? from->main_sign->classification : NULL;
    if (!c || !from->id) return NM_OK;
    nm_sign_def def = {.id = nm_osi_key(own, "id", 0, nm_osi_id(from->id)), .code = c->code ? c->code : ""};
    const Osi3__BaseStationary *base = from->main_sign->base_values;
    nm_point3 position = place(base ? base->position : NULL);
    position.z = 0.0;
    if (base && base->position && nm_osi_key(own, "placed", 0, 1)) def.position = &position;
    if (!own && c->type == NM_OSI_STOP) def.code = "STOP";
    if (c->value) def.value = c->value->value / (c->type == NM_OSI_SPEED_LIMIT ? 3.6 : 1.0);
    def.virtual_sign = nm_osi_key(own, "virtual", 0, 0) == 1;
    int64_t *lanes = room(b, (own ? own->n_identifier : 0) + c->n_assigned_lane_id, sizeof *lanes);
    if (!lanes) return no_memory(error);
    for (size_t i = 0; b->own && own && i < own->n_identifier; i++) {
        const char *text = own->identifier[i];
        if (strncmp(text, "lane=", 5) == 0) lanes[def.lane_count++] = strtoll(text + 5, NULL, 10);
    }
    if (!b->truth->n_logical_lane) {
        for (size_t i = 0; i < c->n_assigned_lane_id; i++) {
            size_t one;
            const int64_t *found = lanes_of(b, &c->assigned_lane_id[i], 1, &one);
            if (found && one) lanes[def.lane_count++] = found[0];
        }
    }
    def.lanes = lanes;
    return nm_map_builder_add_sign(b->builder, &def, error);
}

/// The lanes a light rules; without logical ones, the physical lanes.
static const int64_t *ruled(building *b, const Osi3__TrafficLightClassification *c, size_t *count) {
    if (!b->truth->n_logical_lane) return lanes_of(b, c->assigned_lane_id, c->n_assigned_lane_id, count);
    int64_t *made = room(b, c->n_logical_lane_assignment, sizeof *made);
    *count = 0;
    for (size_t i = 0; i < c->n_logical_lane_assignment && made; i++) {
        uint32_t lane = nm_id_table_find(&b->logical, nm_osi_id(c->logical_lane_assignment[i]->assigned_lane_id));
        if (lane != NM_NONE) made[(*count)++] = name_of(b, lane);
    }
    return made;
}

/// Is the bulb part of the light that the last one began? Ours say so, others hang on one pole for the same lanes.
static int same_light(const Osi3__TrafficLight *a, const Osi3__ExternalReference *own_a, const Osi3__TrafficLight *c,
                      const Osi3__ExternalReference *own_c) {
    if (own_a && own_c) return nm_osi_key(own_a, "id", 0, -1) == nm_osi_key(own_c, "id", 0, -2);
    if (own_a || own_c || !a->base_values || !c->base_values) return 0;
    const Osi3__Vector3d *p = a->base_values->position, *q = c->base_values->position;
    const Osi3__TrafficLightClassification *x = a->classification, *y = c->classification;
    if (!p || !q || !(hypot(p->x - q->x, p->y - q->y) < SAME_POLE)) return 0;
    if (x->n_assigned_lane_id != y->n_assigned_lane_id) return 0;
    return x->color != y->color &&
           (!x->n_assigned_lane_id || nm_osi_id(x->assigned_lane_id[0]) == nm_osi_id(y->assigned_lane_id[0]));
}

static nm_status add_lights(building *b, nm_error *error) {
    const Osi3__TrafficLight *last = NULL;
    const Osi3__ExternalReference *last_own = NULL;
    uint32_t signals = 0;
    for (size_t i = 0; i < b->truth->n_traffic_light; i++) {
        const Osi3__TrafficLight *light = b->truth->traffic_light[i];
        const Osi3__ExternalReference *own =
            nm_osi_find_reference(light->source_reference, light->n_source_reference, NM_OSI_REF_SIGNAL);
        if (!light->id || !light->classification) continue;
        if (!last || !same_light(last, last_own, light, own)) {
            nm_signal_def def = {.id = nm_osi_key(own, "id", 0, nm_osi_id(light->id))};
            const Osi3__BaseStationary *base = light->base_values;
            nm_point3 position = place(base ? base->position : NULL);
            position.z = 0.0;
            if (base && base->position && nm_osi_key(own, "placed", 0, 1)) def.position = &position;
            def.turn = (nm_turn)nm_osi_key_enum(own, "turn", NM_TURN_U + 1);
            def.lanes = ruled(b, light->classification, &def.lane_count);
            if (b->failed) return no_memory(error);
            nm_status status = nm_map_builder_add_signal(b->builder, &def, error);
            if (status != NM_OK) return status;
            signals++;
        }
        last = light;
        last_own = own;
        if (nm_id_table_add(&b->to->bulbs, nm_osi_id(light->id), signals - 1) == NM_NONE) return no_memory(error);
    }
    return NM_OK;
}

static nm_status add_all(building *b, nm_error *error) {
    const nm_osi_truth *t = b->truth;
    nm_status status = b->failed ? no_memory(error) : NM_OK;
    for (uint32_t i = 0; i < t->n_logical_lane && status == NM_OK; i++) status = add_logical(b, i, error);
    for (size_t i = 0; i < t->n_lane && status == NM_OK && !t->n_logical_lane; i++)
        status = add_physical(b, t->lane[i], error);
    for (size_t i = 0; i < t->n_lane_boundary && status == NM_OK; i++) status = add_line(b, t->lane_boundary[i], error);
    for (size_t i = 0; i < t->n_stationary_object && status == NM_OK; i++) {
        const Osi3__StationaryObject *o = t->stationary_object[i];
        if (nm_osi_find_reference(o->source_reference, o->n_source_reference, NM_OSI_REF_TRACK)) continue;
        status = add_area(b, o->base_values,
                          nm_osi_find_reference(o->source_reference, o->n_source_reference, NM_OSI_REF_AREA),
                          nm_osi_id(o->id), error);
    }
    for (size_t i = 0; i < t->n_road_marking && status == NM_OK; i++) {
        const Osi3__RoadMarking *m = t->road_marking[i];
        const Osi3__ExternalReference *own =
            nm_osi_find_reference(m->source_reference, m->n_source_reference, NM_OSI_REF_AREA);
        if (own) status = add_area(b, m->base_values, own, nm_osi_id(m->id), error);
    }
    for (size_t i = 0; i < t->n_traffic_sign && status == NM_OK; i++) status = add_sign(b, t->traffic_sign[i], error);
    return status == NM_OK ? add_lights(b, error) : status;
}

/// The same map around another origin: coordinates relative to it are as they were, bit for bit.
static nm_status move_origin(const nm_map **map, nm_point3 origin, nm_error *error) {
    const nm_map *old = *map;
    nm_map fields = *old;
    const nm_map_source source = nm_map_get_source(old);
    fields.origin = origin;
    nm_status status = nm_map_assemble(&fields, &source, map, error);
    nm_map_release(old);
    return status;
}

nm_status nm_osi_read_map(nm_reader_context *context, const nm_osi_truth *truth, nm_arena *arena, nm_osi_map *to,
                          nm_error *error) {
    building b = {.context = context, .builder = context->map_builder, .truth = truth, .arena = arena, .to = to};
    nm_point3 offset;
    int says = nm_osi_offset(truth, &offset);
    if (truth->n_logical_lane > context->limits.max_lanes || truth->n_lane > context->limits.max_lanes)
        return NM_ERROR(error, NM_E_LIMIT, "there are %zu lanes", truth->n_logical_lane + truth->n_lane);
    b.own = truth->n_logical_lane > 0;
    for (size_t i = 0; i < truth->n_logical_lane; i++) b.own &= lane_reference(truth->logical_lane[i]) != NULL;
    nm_map_builder_reset(b.builder);
    if (says) nm_map_builder_set_origin(b.builder, (nm_point3){0.0, 0.0, 0.0});
    index_items(&b);
    nm_status status = add_all(&b, error);
    if (status == NM_OK) status = nm_map_builder_build(b.builder, &to->map, error);
    if (status == NM_OK && says) status = move_origin(&to->map, offset, error);
    nm_id_table *tables[] = {&b.references, &b.logical_boundaries, &b.boundaries, &b.logical, &b.physical,
                             &b.used,       &b.signalled};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) nm_id_table_free(tables[i]);
    return status;
}
