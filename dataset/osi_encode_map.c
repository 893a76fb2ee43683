/// The static part of an OSI message: physical lanes for those who read old releases, logical lanes with all of the
/// lane graph, boundaries, signs, road marks and what stands about.
#include <math.h>

#include "dataset/osi_private.h"
#include "dataset/protobuf_out.h"

uint64_t nm_osi_physical_lane(const nm_map_source *source, const nm_osi_ids *ids, uint32_t lane) {
    uint32_t junction = source->lane_junctions[lane];
    return junction == NM_NONE ? ids->lanes + lane : ids->junctions + junction; // a junction is one lane
}

typedef struct drawing {
    nm_byte_buffer *out;
    const nm_map *map;
    const nm_osi_ids *ids;
    nm_map_source source;
} drawing;

// ---------------------------------------------------------------------------------------------------------------------
// Names of things

static int boundary_type(nm_marking marking) {
    switch (marking) {
    case NM_MARKING_NONE:
        return NM_OSI_NO_LINE;
    case NM_MARKING_DASHED:
    case NM_MARKING_DOUBLE_DASHED:
    case NM_MARKING_BROAD_DASHED:
        return NM_OSI_DASHED_LINE;
    case NM_MARKING_SOLID:
    case NM_MARKING_DOUBLE_SOLID:
    case NM_MARKING_BROAD_SOLID:
    case NM_MARKING_SOLID_DASHED:
    case NM_MARKING_DASHED_SOLID:
        return NM_OSI_SOLID_LINE;
    case NM_MARKING_CURB:
        return NM_OSI_CURB;
    default:
        return NM_OSI_OTHER;
    }
}

static int boundary_colour(nm_marking marking, nm_colour colour) {
    if (colour == NM_COLOUR_WHITE) return NM_OSI_COLOUR_WHITE;
    if (colour == NM_COLOUR_YELLOW) return NM_OSI_COLOUR_YELLOW;
    return marking == NM_MARKING_NONE ? NM_OSI_COLOUR_NONE : NM_OSI_OTHER;
}

/// May the line be crossed? Increasing t is from right to left.
static int passing_rule(nm_marking marking) {
    switch (boundary_type(marking)) {
    case NM_OSI_NO_LINE:
    case NM_OSI_DASHED_LINE:
        return NM_OSI_BOTH_ALLOWED;
    case NM_OSI_SOLID_LINE:
        if (marking == NM_MARKING_SOLID_DASHED) return NM_OSI_INCREASING_T; // dashed on the right: from there
        return marking == NM_MARKING_DASHED_SOLID ? NM_OSI_DECREASING_T : NM_OSI_NONE_ALLOWED;
    case NM_OSI_CURB:
        return NM_OSI_NONE_ALLOWED;
    default:
        return NM_OSI_OTHER;
    }
}

static int lane_subtype(nm_lane_type type) {
    static const uint8_t subtypes[NM_LANE_TYPE_COUNT] = {
        NM_OSI_OTHER, NM_OSI_LANE_NORMAL,     NM_OSI_LANE_NORMAL, NM_OSI_LANE_CONNECTINGRAMP, NM_OSI_LANE_SHOULDER,
        NM_OSI_OTHER, NM_OSI_LANE_RESTRICTED, NM_OSI_LANE_BIKING, NM_OSI_LANE_SIDEWALK,       NM_OSI_OTHER};
    return subtypes[type];
}

static void put_number(nm_byte_buffer *out, uint32_t field, int value) {
    nm_pb_uint(out, field, (uint64_t)value);
}

// ---------------------------------------------------------------------------------------------------------------------
// Physical lanes

static void put_boundary(const drawing *d, uint32_t lane, int right) {
    const nm_lane *l = &d->map->lanes[lane];
    const nm_vec2 *points = right ? d->map->right : d->map->left;
    const nm_marking marking = (nm_marking)(right ? l->right_marking : l->left_marking);
    size_t begun = nm_pb_begin(d->out, 9);
    nm_osi_put_id(d->out, 1, d->ids->boundaries + 2 * (uint64_t)lane + (uint64_t)right);
    for (uint32_t i = l->points.first; i < l->points.first + l->points.count; i++) {
        size_t inner = nm_pb_begin(d->out, 2);
        nm_osi_put_vector(d->out, 1, (double)points[i].x, (double)points[i].y, (double)d->map->z[i]);
        nm_pb_end(d->out, inner);
    }
    size_t inner = nm_pb_begin(d->out, 3);
    put_number(d->out, 1, boundary_type(marking));
    put_number(d->out, 2, boundary_colour(marking, (nm_colour)(right ? l->right_colour : l->left_colour)));
    nm_pb_end(d->out, inner);
    nm_pb_end(d->out, begun);
}

static void put_pairing(const drawing *d, uint64_t from, uint64_t to) {
    size_t begun = nm_pb_begin(d->out, 7);
    if (from) nm_osi_put_id(d->out, 1, from);
    if (to) nm_osi_put_id(d->out, 2, to);
    nm_pb_end(d->out, begun);
}

static uint64_t physical(const drawing *d, nm_range refs, uint32_t i) {
    return nm_osi_physical_lane(&d->source, d->ids, d->map->lane_refs[refs.first + i]);
}

/// Has the list named the same physical lane before?
static int repeated(const drawing *d, nm_range refs, uint32_t i) {
    for (uint32_t k = 0; k < i; k++) {
        if (physical(d, refs, k) == physical(d, refs, i)) return 1;
    }
    return 0;
}

/// All ways through a lane, other lanes of the junction `self` left out; returns how many. `put` 0 only counts.
static uint32_t pair_up(const drawing *d, const nm_lane *lane, uint64_t self, int put) {
    const nm_range in = lane->predecessors, out = lane->successors;
    uint32_t count = 0;
    for (uint32_t i = 0; i < (in.count ? in.count : 1); i++) {
        uint64_t from = in.count ? physical(d, in, i) : 0;
        if (from == self || (in.count && repeated(d, in, i))) continue;
        for (uint32_t k = 0; k < (out.count ? out.count : 1); k++) {
            uint64_t to = out.count ? physical(d, out, k) : 0;
            if (to == self || (out.count && repeated(d, out, k)) || (!from && !to)) continue;
            if (put) put_pairing(d, from, to);
            count++;
        }
    }
    return count;
}

static void put_adjacent(const drawing *d, uint32_t field, nm_range range) {
    for (uint32_t i = 0; i < range.count; i++) {
        uint32_t other = d->map->neighbours[range.first + i].lane;
        if (d->source.lane_junctions[other] == NM_NONE) nm_osi_put_id(d->out, field, d->ids->lanes + other);
    }
}

static void put_lane(const drawing *d, uint32_t index) {
    const nm_lane *lane = &d->map->lanes[index];
    if (d->source.lane_junctions[index] != NM_NONE) return;
    size_t begun = nm_pb_begin(d->out, 10);
    nm_osi_put_id(d->out, 1, d->ids->lanes + index);
    size_t inner = nm_pb_begin(d->out, 2);
    int drives = nm_lane_type_drivable((nm_lane_type)lane->type);
    put_number(d->out, 1, drives ? NM_OSI_DRIVING : NM_OSI_NONDRIVING);
    // the standard's rule: a lane that forks has no centreline
    int line = drives && pair_up(d, lane, 0, 0) <= 1;
    for (uint32_t i = lane->points.first; line && i < lane->points.first + lane->points.count; i++)
        nm_osi_put_vector(d->out, 3, (double)d->map->centre[i].x, (double)d->map->centre[i].y, (double)d->map->z[i]);
    put_number(d->out, 4, 1);
    put_adjacent(d, 5, lane->left);
    put_adjacent(d, 6, lane->right);
    pair_up(d, lane, 0, 1);
    nm_osi_put_id(d->out, 8, d->ids->boundaries + 2 * (uint64_t)index + 1);
    nm_osi_put_id(d->out, 9, d->ids->boundaries + 2 * (uint64_t)index);
    put_number(d->out, 12, lane_subtype((nm_lane_type)lane->type));
    nm_pb_end(d->out, inner);
    nm_pb_end(d->out, begun);
}

/// A junction: all ways through it, and the borders of its paths.
static void put_junction(const drawing *d, uint32_t junction) {
    const uint64_t self = d->ids->junctions + junction;
    size_t begun = nm_pb_begin(d->out, 10);
    nm_osi_put_id(d->out, 1, self);
    size_t inner = nm_pb_begin(d->out, 2);
    put_number(d->out, 1, NM_OSI_INTERSECTION);
    for (uint32_t i = 0; i < d->map->lane_count; i++) {
        if (d->source.lane_junctions[i] == junction) pair_up(d, &d->map->lanes[i], self, 1);
    }
    for (uint32_t i = 0; i < d->map->lane_count; i++) {
        if (d->source.lane_junctions[i] != junction) continue;
        nm_osi_put_id(d->out, 10, d->ids->boundaries + 2 * (uint64_t)i);
        nm_osi_put_id(d->out, 10, d->ids->boundaries + 2 * (uint64_t)i + 1);
    }
    nm_pb_end(d->out, inner);
    nm_pb_end(d->out, begun);
}

// ---------------------------------------------------------------------------------------------------------------------
// Logical lanes: each with a reference line of its own, its centreline

static void put_reference_line(const drawing *d, uint32_t index) {
    const nm_map *map = d->map;
    const nm_range points = map->lanes[index].points;
    size_t begun = nm_pb_begin(d->out, 17);
    nm_osi_put_id(d->out, 1, d->ids->reference_lines + index);
    for (uint32_t i = points.first; i < points.first + points.count; i++) {
        size_t inner = nm_pb_begin(d->out, 2);
        nm_osi_put_vector(d->out, 1, (double)map->centre[i].x, (double)map->centre[i].y, (double)map->z[i]);
        nm_pb_double(d->out, 2, (double)map->point_s[i]);
        nm_pb_double(
            d->out, 3,
            atan2((double)map->left[i].y - (double)map->right[i].y, (double)map->left[i].x - (double)map->right[i].x));
        nm_pb_end(d->out, inner);
    }
    put_number(d->out, 3, 1); // with t axes
    nm_pb_end(d->out, begun);
}

static void put_logical_boundary(const drawing *d, uint32_t index, int right) {
    const nm_map *map = d->map;
    const nm_lane *lane = &map->lanes[index];
    const nm_vec2 *side = right ? map->right : map->left;
    size_t begun = nm_pb_begin(d->out, 18);
    nm_osi_put_id(d->out, 1, d->ids->logical_boundaries + 2 * (uint64_t)index + (uint64_t)right);
    for (uint32_t i = lane->points.first; i < lane->points.first + lane->points.count; i++) {
        double t = hypot((double)side[i].x - (double)map->centre[i].x, (double)side[i].y - (double)map->centre[i].y);
        size_t inner = nm_pb_begin(d->out, 2);
        nm_osi_put_vector(d->out, 1, (double)side[i].x, (double)side[i].y, (double)map->z[i]);
        nm_pb_double(d->out, 2, (double)map->point_s[i]);
        nm_pb_double(d->out, 3, right ? -t : t);
        nm_pb_end(d->out, inner);
    }
    nm_osi_put_id(d->out, 3, d->ids->reference_lines + index);
    nm_osi_put_id(d->out, 4, d->ids->boundaries + 2 * (uint64_t)index + (uint64_t)right);
    put_number(d->out, 5, passing_rule((nm_marking)(right ? lane->right_marking : lane->left_marking)));
    nm_pb_end(d->out, begun);
}

static void put_relations(const drawing *d, uint32_t field, nm_range range) {
    for (uint32_t i = 0; i < range.count; i++) {
        const nm_neighbour *n = &d->map->neighbours[range.first + i];
        size_t begun = nm_pb_begin(d->out, field);
        nm_osi_put_id(d->out, 1, d->ids->logical_lanes + n->lane);
        nm_pb_double(d->out, 2, (double)n->self_start);
        nm_pb_double(d->out, 3, (double)n->self_end);
        nm_pb_double(d->out, 4, (double)n->other_start);
        nm_pb_double(d->out, 5, (double)n->other_end);
        nm_pb_end(d->out, begun);
    }
}

static void put_connections(const drawing *d, uint32_t field, nm_range refs, int at_begin) {
    for (uint32_t i = 0; i < refs.count; i++) {
        size_t begun = nm_pb_begin(d->out, field);
        nm_osi_put_id(d->out, 1, d->ids->logical_lanes + d->map->lane_refs[refs.first + i]);
        put_number(d->out, 2, at_begin);
        nm_pb_end(d->out, begun);
    }
}

/// What the standard has no field for.
static void put_lane_reference(const drawing *d, uint32_t index) {
    const nm_lane *lane = &d->map->lanes[index];
    const struct {
        const char *key;
        int64_t value;
    } keys[] = {{"id", lane->source_id},
                {"type", lane->type},
                {"turn", lane->turn},
                {"control", lane->control},
                {"flags", d->source.lane_flags[index]},
                {"left_marking", lane->left_marking},
                {"right_marking", lane->right_marking},
                {"left_colour", lane->left_colour},
                {"right_colour", lane->right_colour}};
    size_t begun = nm_osi_begin_reference(d->out, 3, NM_OSI_REF_LANE);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (keys[i].value || i == 0) nm_osi_put_key(d->out, keys[i].key, keys[i].value);
    }
    if (d->source.lane_junctions[index] != NM_NONE) nm_osi_put_key(d->out, "junction", d->source.lane_junctions[index]);
    nm_pb_end(d->out, begun);
}

static void put_speed_limit(const drawing *d, const nm_lane *lane) {
    if (!(lane->speed_limit > 0.0f)) return;
    size_t begun = nm_pb_begin(d->out, 17);
    put_number(d->out, 1, 0);
    size_t validity = nm_pb_begin(d->out, 2);
    nm_pb_double(d->out, 1, 0.0);
    nm_pb_double(d->out, 2, (double)lane->length);
    nm_pb_end(d->out, validity);
    size_t limit = nm_pb_begin(d->out, 3);
    size_t value = nm_pb_begin(d->out, 1);
    nm_pb_double(d->out, 1, (double)lane->speed_limit * 3.6);
    put_number(d->out, 2, NM_OSI_KMH);
    nm_pb_end(d->out, value);
    nm_pb_end(d->out, limit);
    nm_pb_end(d->out, begun);
}

static void put_logical_lane(const drawing *d, uint32_t index) {
    const nm_lane *lane = &d->map->lanes[index];
    nm_byte_buffer *out = d->out;
    size_t begun = nm_pb_begin(out, 19);
    nm_osi_put_id(out, 1, d->ids->logical_lanes + index);
    put_number(out, 2, lane_subtype((nm_lane_type)lane->type));
    put_lane_reference(d, index);
    size_t inner = nm_pb_begin(out, 4);
    nm_osi_put_id(out, 1, nm_osi_physical_lane(&d->source, d->ids, index));
    nm_pb_double(out, 2, 0.0);
    nm_pb_double(out, 3, (double)lane->length);
    nm_pb_end(out, inner);
    nm_osi_put_id(out, 5, d->ids->reference_lines + index);
    nm_pb_double(out, 6, 0.0);
    nm_pb_double(out, 7, (double)lane->length);
    put_number(out, 8, d->source.lane_flags[index] & NM_LANE_BIDIRECTIONAL ? NM_OSI_MOVE_BOTH : NM_OSI_MOVE_INCREASING);
    put_relations(d, 9, lane->right);
    put_relations(d, 10, lane->left);
    nm_osi_put_id(out, 12, d->ids->logical_boundaries + 2 * (uint64_t)index + 1);
    nm_osi_put_id(out, 13, d->ids->logical_boundaries + 2 * (uint64_t)index);
    put_connections(d, 14, lane->predecessors, 0);
    put_connections(d, 15, lane->successors, 1);
    put_speed_limit(d, lane);
    nm_pb_end(out, begun);
}

// ---------------------------------------------------------------------------------------------------------------------
// Lines, areas, signs

static void put_line(const drawing *d, uint32_t index) {
    const nm_line *line = &d->map->lines[index];
    size_t begun = nm_pb_begin(d->out, 9);
    nm_osi_put_id(d->out, 1, d->ids->lines + index);
    for (uint32_t i = line->points.first; i < line->points.first + line->points.count; i++) {
        const nm_vec2 *p = &d->map->line_points[i];
        size_t inner = nm_pb_begin(d->out, 2);
        nm_osi_put_vector(d->out, 1, (double)p->x, (double)p->y,
                          d->map->line_z_count ? (double)d->map->line_z[i] : 0.0);
        nm_pb_end(d->out, inner);
    }
    int type = line->kind == NM_LINE_ROAD_LINE     ? boundary_type((nm_marking)line->marking)
               : line->kind == NM_LINE_EDGE_MEDIAN ? NM_OSI_BARRIER
                                                   : NM_OSI_ROAD_EDGE;
    size_t inner = nm_pb_begin(d->out, 3);
    put_number(d->out, 1, type);
    put_number(d->out, 2, boundary_colour((nm_marking)line->marking, (nm_colour)line->colour));
    nm_pb_end(d->out, inner);
    inner = nm_osi_begin_reference(d->out, 4, NM_OSI_REF_LINE);
    nm_osi_put_key(d->out, "id", line->source_id);
    nm_osi_put_key(d->out, "kind", line->kind);
    nm_osi_put_key(d->out, "marking", line->marking);
    nm_osi_put_key(d->out, "colour", line->colour);
    nm_pb_end(d->out, inner);
    nm_pb_end(d->out, begun);
}

/// Driveways are surfaces, for which there is nothing in the standard.
static void put_area(const drawing *d, uint32_t index) {
    const nm_area *area = &d->map->areas[index];
    const nm_vec2 *points = d->map->area_points + area->points.first;
    if (area->kind == NM_AREA_DRIVEWAY || !area->points.count) return;
    nm_vec2 lo = points[0], hi = points[0];
    for (uint32_t i = 1; i < area->points.count; i++) {
        lo = (nm_vec2){fminf(lo.x, points[i].x), fminf(lo.y, points[i].y)};
        hi = (nm_vec2){fmaxf(hi.x, points[i].x), fmaxf(hi.y, points[i].y)};
    }
    double x = 0.5 * ((double)lo.x + (double)hi.x), y = 0.5 * ((double)lo.y + (double)hi.y);
    double height = area->kind == NM_AREA_OBSTACLE ? 2.0 : area->kind == NM_AREA_SPEED_BUMP ? 0.1 : 0.0;
    int mark = area->kind == NM_AREA_CROSSWALK;
    size_t begun = nm_pb_begin(d->out, mark ? 8 : 4);
    nm_osi_put_id(d->out, 1, d->ids->areas + index);
    size_t inner = nm_pb_begin(d->out, 2);
    nm_osi_put_vector(d->out, 1, (double)hi.x - (double)lo.x, (double)hi.y - (double)lo.y, height);
    nm_osi_put_vector(d->out, 2, x, y, 0.5 * height);
    nm_osi_put_vector(d->out, 3, 0.0, 0.0, 0.0);
    for (uint32_t i = 0; i < area->points.count; i++) {
        size_t point = nm_pb_begin(d->out, 4);
        nm_pb_double(d->out, 1, (double)points[i].x - x);
        nm_pb_double(d->out, 2, (double)points[i].y - y);
        nm_pb_end(d->out, point);
    }
    nm_pb_end(d->out, inner);
    inner = nm_pb_begin(d->out, 3);
    put_number(d->out, 1, mark ? NM_OSI_SYMBOL : area->kind == NM_AREA_SPEED_BUMP ? NM_OSI_SPEED_BUMP : NM_OSI_OTHER);
    if (mark) put_number(d->out, 3, NM_OSI_MARKING_WHITE);
    nm_pb_end(d->out, inner);
    inner = nm_osi_begin_reference(d->out, mark ? 4 : 5, NM_OSI_REF_AREA);
    nm_osi_put_key(d->out, "id", area->source_id);
    nm_osi_put_key(d->out, "kind", area->kind);
    nm_pb_end(d->out, inner);
    nm_pb_end(d->out, begun);
}

/// German, American and WOMD codes that importers know.
static int sign_type(const char *code) {
    static const struct {
        const char *code;
        int type;
    } known[] = {{"205", NM_OSI_GIVE_WAY},     {"R1-2", NM_OSI_GIVE_WAY},    {"206", NM_OSI_STOP},
                 {"R1-1", NM_OSI_STOP},        {"STOP", NM_OSI_STOP},        {"274", NM_OSI_SPEED_LIMIT},
                 {"R2-1", NM_OSI_SPEED_LIMIT}, {"274.1", NM_OSI_SPEED_LIMIT}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(code, known[i].code) == 0) return known[i].type;
    }
    return NM_OSI_OTHER;
}

static void put_sign(const drawing *d, uint32_t index) {
    const nm_sign *sign = &d->map->signs[index];
    nm_byte_buffer *out = d->out;
    size_t begun = nm_pb_begin(out, 6);
    nm_osi_put_id(out, 1, d->ids->signs + index);
    size_t main = nm_pb_begin(out, 2);
    size_t inner = nm_pb_begin(out, 1);
    nm_osi_put_vector(out, 1, 0.05, 0.6, 0.6);
    nm_osi_put_vector(out, 2, (double)sign->position.x, (double)sign->position.y, 2.2);
    nm_osi_put_vector(out, 3, 0.0, 0.0, 0.0);
    nm_pb_end(out, inner);
    inner = nm_pb_begin(out, 2);
    int type = sign_type(sign->code);
    put_number(out, 2, type);
    if (sign->value != 0.0f) {
        size_t value = nm_pb_begin(out, 3);
        nm_pb_double(out, 1, (double)sign->value * (type == NM_OSI_SPEED_LIMIT ? 3.6 : 1.0));
        put_number(out, 2, type == NM_OSI_SPEED_LIMIT ? NM_OSI_KMH : NM_OSI_OTHER);
        nm_pb_end(out, value);
    }
    for (uint32_t i = 0; i < sign->lanes.count; i++) nm_osi_put_id(out, 5, physical(d, sign->lanes, i));
    nm_pb_text(out, 10, sign->code);
    nm_pb_end(out, inner);
    nm_pb_end(out, main);
    inner = nm_osi_begin_reference(out, 4, NM_OSI_REF_SIGN);
    nm_osi_put_key(out, "id", sign->source_id);
    nm_osi_put_key(out, "placed", sign->placed);
    nm_osi_put_key(out, "virtual", sign->virtual_sign);
    for (uint32_t i = 0; i < sign->lanes.count; i++) // junctions are one physical lane: which path is meant
        nm_osi_put_key(out, "lane", d->map->lanes[d->map->lane_refs[sign->lanes.first + i]].source_id);
    nm_pb_end(out, inner);
    nm_pb_end(out, begun);
}

/// Everything of one kind together.
void nm_osi_put_map(nm_byte_buffer *out, const nm_map *map, const nm_osi_ids *ids) {
    const drawing d = {out, map, ids, nm_map_get_source(map)};
    for (uint32_t i = 0; i < map->area_count; i++) put_area(&d, i);
    for (uint32_t i = 0; i < map->sign_count; i++) put_sign(&d, i);
    for (uint32_t i = 0; i < map->lane_count; i++) {
        put_boundary(&d, i, 0);
        put_boundary(&d, i, 1);
    }
    for (uint32_t i = 0; i < map->line_count; i++) put_line(&d, i);
    for (uint32_t i = 0; i < map->lane_count; i++) put_lane(&d, i);
    for (uint32_t i = 0; i < d.source.junction_count; i++) put_junction(&d, i);
    for (uint32_t i = 0; i < map->lane_count; i++) put_reference_line(&d, i);
    for (uint32_t i = 0; i < map->lane_count; i++) {
        put_logical_boundary(&d, i, 0);
        put_logical_boundary(&d, i, 1);
    }
    for (uint32_t i = 0; i < map->lane_count; i++) put_logical_lane(&d, i);
}
