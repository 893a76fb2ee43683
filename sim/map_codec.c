/// Maps as bytes.
///
/// Little-endian. `r` stands for a count whose range begins where the one of the record before ended.
///
///   offset  size  header
///   0       8     magic "nm-map\n\0"
///   8       4     version: 2 where lines have heights, else 1
///   12      4     0
///   16      8     bytes of payload that follow
///   24      8     hash of the payload (nm_hash_block, seed 0): the map's identity
///
///   payload
///   24      origin x, y, z (f64)
///   56      14 counts (u32): lanes, points, lane references, neighbours, lines, line points, areas, area points,
///           stop lines, signs, signals, signal references, phases, junctions
///   20      5 repair counts (u32), order of nm_map_repair
///   40      10 default speeds, m/s (f32), order of nm_lane_type
///   56 n    lanes: id i64; speed limit f32; type, turn, control, flags, left marking, right marking, left colour,
///           right colour u8; junction u32; r points, r successors, r predecessors, r left neighbours, r right
///           neighbours, r signals u32; stop line u32; stop s f32
///   8 n     centre points (f32 x, y); then left; then right; then heights (4 n)
///   4 n     lane references (u32): of all successor lists, all predecessor lists, all signs, all signals
///   24 n    neighbours: lane u32; self start, self end, other start, other end f32; opposite, may change, 0, 0 u8
///   16 n    lines: id i64; kind, marking, colour, 0 u8; r points u32; then 8 n line points; in version 2 then 4 n
///           heights of the line points (f32)
///   16 n    areas: id i64; kind, 0, 0, 0 u8; r points u32; then 8 n area points
///   24 n    stop lines: a, b (f32 x, y); lane u32; s f32
///   44 n    signs: id i64; code char[16]; value f32; placed, virtual, 0, 0 u8; position f32 x, y; r lanes u32
///   36 n    signals: id i64; position f32 x, y; placed, turn, 0, 0 u8; phase offset u32; cycle dt f32; r phases,
///           r lanes u32
///   4 n     signal references (u32), then
///   8 n     phases: steps u32; state, 0, 0, 0 u8
///
/// What nm_map_prepare derives is not stored; lengths and arc lengths are measured again.
#include "sim/bytes.h"
#include "sim/map_private.h"

#define HEADER 32
#define VERSION 2u             // newest
#define FLAT_VERSION 1u        // without heights of lines: so flat maps keep their hashes and older programs read them
#define MAX_COORDINATE 1.01e6f // m, see MAX_EXTENT in map_build.c

static const unsigned char magic[8] = {'n', 'm', '-', 'm', 'a', 'p', '\n', 0};

/// Ends of the ranges handed out so far, by array.
typedef struct cursors {
    uint32_t points, successors, predecessors, neighbours, signals, lane_refs, line_points, area_points, phases;
} cursors;

/// A range stored as its count; 0 when it would pass `limit`.
static int range_io(nm_io *io, nm_range *range, uint32_t *cursor, uint32_t limit) {
    nm_io_u32(io, &range->count);
    if (io->mode != NM_IO_READ) return 1;
    if (range->count > limit - *cursor) {
        io->bad = 1;
        range->count = 0;
    }
    range->first = *cursor;
    *cursor += range->count;
    return !io->bad;
}

static void padding_io(nm_io *io, int count) {
    for (int i = 0; i < count; i++) {
        uint8_t zero = 0;
        nm_io_u8(io, &zero);
        if (zero) io->bad = 1;
    }
}

static void vec2_io(nm_io *io, nm_vec2 *v) {
    nm_io_f32(io, &v->x);
    nm_io_f32(io, &v->y);
}

static void counts_io(nm_io *io, nm_map *map) {
    nm_io_f64(io, &map->origin.x);
    nm_io_f64(io, &map->origin.y);
    nm_io_f64(io, &map->origin.z);
    uint32_t *counts[] = {&map->lane_count,      &map->point_count,      &map->lane_ref_count, &map->neighbour_count,
                          &map->line_count,      &map->line_point_count, &map->area_count,     &map->area_point_count,
                          &map->stop_line_count, &map->sign_count,       &map->signal_count,   &map->signal_ref_count,
                          &map->phase_count,     &map->junction_count};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) nm_io_u32(io, counts[i]);
}

static void lane_io(nm_io *io, const nm_map *map, nm_lane *lane, uint8_t *flags, uint32_t *junction, cursors *c) {
    nm_io_i64(io, &lane->source_id);
    nm_io_f32(io, &lane->speed_limit);
    uint8_t *bytes[] = {&lane->type,         &lane->turn,          &lane->control,     flags,
                        &lane->left_marking, &lane->right_marking, &lane->left_colour, &lane->right_colour};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) nm_io_u8(io, bytes[i]);
    nm_io_u32(io, junction);
    range_io(io, &lane->points, &c->points, map->point_count);
    range_io(io, &lane->successors, &c->successors, map->lane_ref_count);
    range_io(io, &lane->predecessors, &c->predecessors, map->lane_ref_count);
    range_io(io, &lane->left, &c->neighbours, map->neighbour_count);
    range_io(io, &lane->right, &c->neighbours, map->neighbour_count);
    range_io(io, &lane->signals, &c->signals, map->signal_ref_count);
    nm_io_u32(io, &lane->stop_line);
    nm_io_f32(io, &lane->stop_s);
}

static void lanes_io(nm_io *io, nm_map_object *object, cursors *c) {
    const nm_map *map = &object->map;
    nm_lane *lanes = NM_MUTABLE(nm_lane, map->lanes);
    for (uint32_t i = 0; i < map->lane_count; i++) {
        uint32_t junction = object->source_junction[i];
        uint8_t flags = object->source_flags[i];
        lane_io(io, map, &lanes[i], &flags, &junction, c);
        if (io->mode != NM_IO_READ) continue;
        object->source_junction[i] = lanes[i].junction = junction;
        object->source_flags[i] = lanes[i].flags = flags;
    }
    if (io->mode != NM_IO_READ) return;
    // predecessor lists follow all successor lists
    uint32_t successors = c->successors;
    for (uint32_t i = 0; i < map->lane_count; i++) lanes[i].predecessors.first += successors;
    c->lane_refs = successors + c->predecessors;
    if (c->predecessors > map->lane_ref_count - successors) io->bad = 1;
}

static void neighbours_io(nm_io *io, const nm_map *map) {
    nm_neighbour *neighbours = NM_MUTABLE(nm_neighbour, map->neighbours);
    for (uint32_t i = 0; i < map->neighbour_count; i++) {
        nm_neighbour *n = &neighbours[i];
        nm_io_u32(io, &n->lane);
        nm_io_f32(io, &n->self_start);
        nm_io_f32(io, &n->self_end);
        nm_io_f32(io, &n->other_start);
        nm_io_f32(io, &n->other_end);
        nm_io_u8(io, &n->opposite);
        nm_io_u8(io, &n->may_change);
        padding_io(io, 2);
    }
}

static void shapes_io(nm_io *io, const nm_map *map, cursors *c) {
    nm_line *lines = NM_MUTABLE(nm_line, map->lines);
    for (uint32_t i = 0; i < map->line_count; i++) {
        nm_io_i64(io, &lines[i].source_id);
        nm_io_u8(io, &lines[i].kind);
        nm_io_u8(io, &lines[i].marking);
        nm_io_u8(io, &lines[i].colour);
        padding_io(io, 1);
        range_io(io, &lines[i].points, &c->line_points, map->line_point_count);
    }
    nm_io_words(io, NM_MUTABLE(void, map->line_points), (size_t)map->line_point_count * 2);
    nm_io_words(io, NM_MUTABLE(void, map->line_z), map->line_z_count);
    nm_area *areas = NM_MUTABLE(nm_area, map->areas);
    for (uint32_t i = 0; i < map->area_count; i++) {
        nm_io_i64(io, &areas[i].source_id);
        nm_io_u8(io, &areas[i].kind);
        padding_io(io, 3);
        range_io(io, &areas[i].points, &c->area_points, map->area_point_count);
    }
    nm_io_words(io, NM_MUTABLE(void, map->area_points), (size_t)map->area_point_count * 2);
}

static void controls_io(nm_io *io, const nm_map *map, cursors *c) {
    nm_stop_line *stops = NM_MUTABLE(nm_stop_line, map->stop_lines);
    for (uint32_t i = 0; i < map->stop_line_count; i++) {
        vec2_io(io, &stops[i].a);
        vec2_io(io, &stops[i].b);
        nm_io_u32(io, &stops[i].lane);
        nm_io_f32(io, &stops[i].s);
    }
    nm_sign *signs = NM_MUTABLE(nm_sign, map->signs);
    for (uint32_t i = 0; i < map->sign_count; i++) {
        nm_io_i64(io, &signs[i].source_id);
        nm_io_bytes(io, signs[i].code, sizeof signs[i].code);
        nm_io_f32(io, &signs[i].value);
        nm_io_u8(io, &signs[i].placed);
        nm_io_u8(io, &signs[i].virtual_sign);
        padding_io(io, 2);
        vec2_io(io, &signs[i].position);
        range_io(io, &signs[i].lanes, &c->lane_refs, map->lane_ref_count);
    }
    nm_signal *signals = NM_MUTABLE(nm_signal, map->signals);
    for (uint32_t i = 0; i < map->signal_count; i++) {
        nm_io_i64(io, &signals[i].source_id);
        vec2_io(io, &signals[i].position);
        nm_io_u8(io, &signals[i].placed);
        nm_io_u8(io, &signals[i].turn);
        padding_io(io, 2);
        nm_io_u32(io, &signals[i].phase_offset);
        nm_io_f32(io, &signals[i].cycle_dt);
        range_io(io, &signals[i].phases, &c->phases, map->phase_count);
        range_io(io, &signals[i].lanes, &c->lane_refs, map->lane_ref_count);
    }
    nm_io_words(io, NM_MUTABLE(void, map->signal_refs), map->signal_ref_count);
    nm_phase *phases = NM_MUTABLE(nm_phase, map->phases);
    for (uint32_t i = 0; i < map->phase_count; i++) {
        nm_io_u32(io, &phases[i].steps);
        nm_io_u8(io, &phases[i].state);
        padding_io(io, 3);
    }
}

/// Everything of the payload behind the counts.
static void arrays_io(nm_io *io, nm_map_object *object, cursors *c) {
    nm_map *map = &object->map;
    nm_io_words(io, map->repairs, NM_REPAIR_COUNT);
    nm_io_words(io, object->default_speed, NM_LANE_TYPE_COUNT);
    lanes_io(io, object, c);
    nm_io_words(io, NM_MUTABLE(void, map->centre), (size_t)map->point_count * 2);
    nm_io_words(io, NM_MUTABLE(void, map->left), (size_t)map->point_count * 2);
    nm_io_words(io, NM_MUTABLE(void, map->right), (size_t)map->point_count * 2);
    nm_io_words(io, NM_MUTABLE(void, map->z), map->point_count);
    nm_io_words(io, NM_MUTABLE(void, map->lane_refs), map->lane_ref_count);
    neighbours_io(io, map);
    shapes_io(io, map, c);
    controls_io(io, map, c);
}

/// Writing and measuring leave the map alone, so the cast away from const is sound; counts that nm_map_prepare may be
/// changing right now (junctions) are taken from what the source said.
static void payload_io(nm_io *io, const nm_map_object *object) {
    nm_map counts = {.origin = object->map.origin};
#define COUNT(type, name, length) counts.length = object->map.length;
    NM_MAP_ARRAYS(COUNT)
#undef COUNT
    counts.junction_count = object->source_junction_count;
    counts_io(io, &counts);
    cursors c = {0};
    arrays_io(io, nm_map_object_of(&object->map), &c);
}

static size_t payload_size(const nm_map_object *object) {
    nm_io io = {.mode = NM_IO_MEASURE};
    payload_io(&io, object);
    return io.done;
}

int nm_map_seal(nm_map_object *object) {
    size_t size = payload_size(object);
    unsigned char *bytes = malloc(size);
    if (!bytes) return 0;
    nm_io io = {.mode = NM_IO_WRITE, .at = bytes};
    payload_io(&io, object);
    object->map.hash = nm_hash_block(bytes, size, 0);
    free(bytes);
    return 1;
}

static void header_io(nm_io *io, unsigned char mark[8], uint32_t *version, uint64_t *size, uint64_t *hash) {
    uint32_t zero = 0;
    nm_io_bytes(io, mark, sizeof magic);
    nm_io_u32(io, version);
    nm_io_u32(io, &zero);
    nm_io_u64(io, size);
    nm_io_u64(io, hash);
    if (zero) io->bad = 1;
}

size_t nm_map_encode(const nm_map *map, void *buffer, size_t size) {
    const nm_map_object *object = nm_map_object_of(map);
    uint64_t payload = payload_size(object), hash = map->hash;
    if (!buffer || size < HEADER + payload) return HEADER + (size_t)payload;
    nm_io io = {.mode = NM_IO_WRITE, .at = buffer};
    unsigned char mark[8];
    memcpy(mark, magic, sizeof mark);
    uint32_t version = map->line_z_count ? VERSION : FLAT_VERSION;
    header_io(&io, mark, &version, &payload, &hash);
    payload_io(&io, object);
    return HEADER + (size_t)payload;
}

// ---------------------------------------------------------------------------------------------------------------------
// Decoding: the hash guards against accidents, the checks below against everything else.

static int finite_points(const nm_vec2 *points, size_t count) {
    int good = 1;
    for (size_t i = 0; i < count; i++) {
        good &= fabsf(points[i].x) <= MAX_COORDINATE && fabsf(points[i].y) <= MAX_COORDINATE;
    }
    return good;
}

static int indices_below(const uint32_t *indices, size_t count, uint32_t limit) {
    int good = 1;
    for (size_t i = 0; i < count; i++) good &= indices[i] < limit;
    return good;
}

static const char *check_lanes(const nm_map_object *object) {
    const nm_map *map = &object->map;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_lane *lane = &map->lanes[i];
        if (lane->points.count < 2) return "a lane has fewer than two points";
        if (lane->type >= NM_LANE_TYPE_COUNT || lane->turn > NM_TURN_U || lane->control > NM_CONTROL_SIGNAL ||
            lane->left_marking > NM_MARKING_CURB || lane->right_marking > NM_MARKING_CURB ||
            lane->left_colour > NM_COLOUR_YELLOW || lane->right_colour > NM_COLOUR_YELLOW || lane->flags > 15u) {
            return "a lane has a property that does not exist";
        }
        if (!(lane->speed_limit >= 0.0f && lane->speed_limit < 1000.0f)) return "a speed limit makes no sense";
        if (lane->junction != NM_NONE && lane->junction >= map->junction_count) return "a junction does not exist";
        if (lane->stop_line != NM_NONE && lane->stop_line >= map->stop_line_count) return "a stop line does not exist";
    }
    for (int i = 0; i < NM_LANE_TYPE_COUNT; i++) {
        if (!(object->default_speed[i] > 0.0f && object->default_speed[i] < 1000.0f))
            return "a default speed is absurd";
    }
    return NULL;
}

static const char *check_neighbours(const nm_map *map) {
    for (uint32_t i = 0; i < map->neighbour_count; i++) {
        const nm_neighbour *n = &map->neighbours[i];
        if (n->lane >= map->lane_count || n->opposite > 1 || n->may_change > 1) return "a neighbour does not exist";
        float stretch[4] = {n->self_start, n->self_end, n->other_start, n->other_end};
        for (int k = 0; k < 4; k++) {
            if (!(stretch[k] >= 0.0f && stretch[k] < 1e9f)) return "a stretch beside a lane makes no sense";
        }
    }
    return NULL;
}

static const char *check_shapes(const nm_map *map) {
    if (!finite_points(map->centre, map->point_count) || !finite_points(map->left, map->point_count) ||
        !finite_points(map->right, map->point_count) || !finite_points(map->line_points, map->line_point_count) ||
        !finite_points(map->area_points, map->area_point_count)) {
        return "a coordinate is not finite or absurd";
    }
    for (uint32_t i = 0; i < map->point_count; i++) {
        if (!(fabsf(map->z[i]) < 1e9f)) return "a height is not finite or absurd";
    }
    for (uint32_t i = 0; i < map->line_z_count; i++) {
        if (!(fabsf(map->line_z[i]) < 1e9f)) return "a height is not finite or absurd";
    }
    for (uint32_t i = 0; i < map->line_count; i++) {
        const nm_line *line = &map->lines[i];
        if (line->kind > NM_LINE_EDGE_MEDIAN || line->marking > NM_MARKING_CURB || line->colour > NM_COLOUR_YELLOW) {
            return "a line has a property that does not exist";
        }
    }
    for (uint32_t i = 0; i < map->area_count; i++) {
        if (map->areas[i].kind > NM_AREA_OBSTACLE) return "an area has a kind that does not exist";
    }
    return NULL;
}

static const char *check_controls(const nm_map *map) {
    for (uint32_t i = 0; i < map->stop_line_count; i++) {
        const nm_stop_line *stop = &map->stop_lines[i];
        if (stop->lane >= map->lane_count || !finite_points(&stop->a, 1) || !finite_points(&stop->b, 1) ||
            !(stop->s >= 0.0f && stop->s < 1e9f)) {
            return "a stop line makes no sense";
        }
    }
    for (uint32_t i = 0; i < map->sign_count; i++) {
        const nm_sign *sign = &map->signs[i];
        if (sign->code[sizeof sign->code - 1] || sign->placed > 1 || sign->virtual_sign > 1 ||
            !finite_points(&sign->position, 1) || !(fabsf(sign->value) < 2e30f)) {
            return "a sign makes no sense";
        }
    }
    for (uint32_t i = 0; i < map->signal_count; i++) {
        const nm_signal *signal = &map->signals[i];
        uint64_t cycle = 0;
        for (uint32_t k = 0; k < signal->phases.count; k++) cycle += map->phases[signal->phases.first + k].steps;
        int timed = cycle > 0 && signal->cycle_dt > 0.0f && signal->cycle_dt <= 3600.0f;
        int untimed = signal->phases.count == 0 && signal->cycle_dt == 0.0f;
        if (signal->placed > 1 || signal->turn > NM_TURN_U || !finite_points(&signal->position, 1) ||
            (!timed && !untimed)) {
            return "a signal makes no sense";
        }
    }
    for (uint32_t i = 0; i < map->phase_count; i++) {
        if (map->phases[i].state >= NM_SIGNAL_STATE_COUNT) return "a signal state does not exist";
    }
    return NULL;
}

static const char *check_map(const nm_map_object *object, const cursors *c) {
    const nm_map *map = &object->map;
    if (c->points != map->point_count || c->neighbours != map->neighbour_count || c->signals != map->signal_ref_count ||
        c->lane_refs != map->lane_ref_count || c->line_points != map->line_point_count ||
        c->area_points != map->area_point_count || c->phases != map->phase_count) {
        return "its parts do not add up";
    }
    if (!(fabs(map->origin.x) <= 1e9 && fabs(map->origin.y) <= 1e9 && fabs(map->origin.z) <= 1e9)) {
        return "its origin is absurd";
    }
    if (!indices_below(map->lane_refs, map->lane_ref_count, map->lane_count)) return "a lane does not exist";
    if (!indices_below(map->signal_refs, map->signal_ref_count, map->signal_count)) return "a signal does not exist";
    const char *wrong = check_lanes(object);
    if (!wrong) wrong = check_neighbours(map);
    if (!wrong) wrong = check_shapes(map);
    if (!wrong) wrong = check_controls(map);
    return wrong;
}

static nm_status refuse(nm_error *error, const char *why) {
    return NM_ERROR(error, NM_E_FORMAT, "stored map: %s", why);
}

/// Smallest payload with these counts: guards the allocation against counts that the bytes can not hold.
static uint64_t least_size(const nm_map *m) {
    return 56u * (uint64_t)m->lane_count + 28u * (uint64_t)m->point_count + 4u * (uint64_t)m->lane_ref_count +
           24u * (uint64_t)m->neighbour_count + 16u * (uint64_t)m->line_count + 8u * (uint64_t)m->line_point_count +
           4u * (uint64_t)m->line_z_count + 16u * (uint64_t)m->area_count + 8u * (uint64_t)m->area_point_count +
           24u * (uint64_t)m->stop_line_count + 44u * (uint64_t)m->sign_count + 36u * (uint64_t)m->signal_count +
           4u * (uint64_t)m->signal_ref_count + 8u * (uint64_t)m->phase_count;
}

nm_status nm_map_decode(const void *bytes, size_t size, const nm_map **map, nm_error *error) {
    *map = NULL;
    nm_io io = {.mode = NM_IO_READ, .at = (unsigned char *)(uintptr_t)bytes, .left = size};
    unsigned char mark[8];
    uint32_t version = 0;
    uint64_t payload = 0, hash = 0;
    if (size < HEADER) return refuse(error, "too short");
    header_io(&io, mark, &version, &payload, &hash);
    if (memcmp(mark, magic, sizeof magic) != 0) return refuse(error, "these bytes are not a map");
    if (version > VERSION) return NM_ERROR(error, NM_E_VERSION, "stored map: version %u is newer", version);
    if (io.bad || version < FLAT_VERSION) return refuse(error, "broken header");
    if (payload != io.left) return refuse(error, "cut off, or followed by something else");
    if (nm_hash_block(io.at, io.left, 0) != hash) return refuse(error, "its hash does not match");
    nm_map shape = {0};
    counts_io(&io, &shape);
    shape.line_z_count = version == FLAT_VERSION ? 0 : shape.line_point_count;
    if (io.bad || least_size(&shape) > io.left || shape.lane_count > NM_NONE / 8 ||
        shape.junction_count > shape.lane_count) {
        return refuse(error, "its counts do not fit its size");
    }
    nm_map_object *object = nm_map_allocate(&shape);
    if (!object) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a map");
    cursors c = {0};
    arrays_io(&io, object, &c);
    const char *wrong = io.bad || io.left ? "its parts do not add up" : check_map(object, &c);
    object->source_junction_count = shape.junction_count;
    object->map.hash = hash;
    if (!wrong && nm_map_measure(object) != NM_NONE) wrong = "a lane has no length";
    for (uint32_t i = 0; !wrong && i < shape.lane_count; i++) {
        float stop = object->map.lanes[i].stop_s;
        if (!(stop >= 0.0f && stop <= object->map.lanes[i].length)) wrong = "a lane's stop lies beyond it";
    }
    if (wrong) {
        nm_map_release(&object->map);
        return refuse(error, wrong);
    }
    *map = &object->map;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Fields

nm_map_source nm_map_get_source(const nm_map *map) {
    const nm_map_object *object = nm_map_object_of(map);
    return (nm_map_source){object->source_flags, object->source_junction, object->source_junction_count,
                           object->default_speed};
}

nm_status nm_map_assemble(const nm_map *fields, const nm_map_source *source, const nm_map **map, nm_error *error) {
    nm_map_object view = {.map = *fields,
                          .source_flags = NM_MUTABLE(uint8_t, source->lane_flags),
                          .source_junction = NM_MUTABLE(uint32_t, source->lane_junctions),
                          .source_junction_count = source->junction_count};
    memcpy(view.default_speed, source->default_speeds, sizeof view.default_speed);
    *map = NULL;
    // by way of the bytes: what decoding checks is checked once, and the hash is theirs anyway
    uint64_t payload = payload_size(&view);
    unsigned char *bytes = malloc(HEADER + payload);
    if (!bytes) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a map");
    nm_io body = {.mode = NM_IO_WRITE, .at = bytes + HEADER};
    payload_io(&body, &view);
    uint64_t hash = nm_hash_block(bytes + HEADER, payload, 0);
    unsigned char mark[8];
    memcpy(mark, magic, sizeof mark);
    uint32_t version = fields->line_z_count ? VERSION : FLAT_VERSION;
    nm_io header = {.mode = NM_IO_WRITE, .at = bytes};
    header_io(&header, mark, &version, &payload, &hash);
    nm_status status = nm_map_decode(bytes, HEADER + (size_t)payload, map, error);
    free(bytes);
    return status;
}
