/// The map of a message: its fields become those of an nm_map, which are checked as stored maps are.
#include <string.h>

#include "dataset/nearmiss_private.h"

/// Counts of the map, and where the next element of each array goes.
typedef struct building {
    const NearmissScene__Map *from;
    nm_map to;
    nm_lane *lanes;
    uint8_t *flags;
    uint32_t *junctions;
    nm_vec2 *centre, *left, *right, *line_points, *area_points;
    float *z, *line_z;
    uint32_t *lane_refs, *signal_refs;
    nm_neighbour *neighbours;
    nm_line *lines;
    nm_area *areas;
    nm_stop_line *stop_lines;
    nm_sign *signs;
    nm_signal *signals;
    nm_phase *phases;
    uint32_t points, refs, beside, rules, of_lines, of_areas, steps;
} building;

#define MAX_COUNT (UINT32_MAX / 16)

/// What does not fit is given a value that no field has, and refused with the map.
static uint8_t narrow(int64_t value) {
    return value < 0 || value > 255 ? 255 : (uint8_t)value;
}

static nm_status refuse(nm_error *error, const char *what, size_t index, const char *why) {
    return NM_ERROR(error, NM_E_FORMAT, "map: %s %zu %s", what, index, why);
}

/// All counts; 0 when they are absurd.
static int count(building *b) {
    const NearmissScene__Map *m = b->from;
    uint64_t points = 0, refs = 0, neighbours = 0, rules = 0, of_lines = 0, of_areas = 0, phases = 0;
    for (size_t i = 0; i < m->n_lanes; i++) {
        const NearmissScene__Lane *lane = m->lanes[i];
        points += lane->n_centre / 2;
        refs += lane->n_successors + lane->n_predecessors;
        neighbours += lane->n_left_neighbours + lane->n_right_neighbours;
        rules += lane->n_signals;
    }
    for (size_t i = 0; i < m->n_lines; i++) of_lines += m->lines[i]->n_points / 2;
    for (size_t i = 0; i < m->n_areas; i++) of_areas += m->areas[i]->n_points / 2;
    for (size_t i = 0; i < m->n_signs; i++) refs += m->signs[i]->n_lanes;
    for (size_t i = 0; i < m->n_signals; i++) {
        refs += m->signals[i]->n_lanes;
        phases += m->signals[i]->n_phase_steps;
    }
    const uint64_t counts[] = {points,     refs,       neighbours, rules,        of_lines,   of_areas,       phases,
                               m->n_lanes, m->n_lines, m->n_areas, m->n_signals, m->n_signs, m->n_stop_lines};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (counts[i] > MAX_COUNT) return 0;
    }
    b->to.point_count = (uint32_t)points;
    b->to.lane_ref_count = (uint32_t)refs;
    b->to.neighbour_count = (uint32_t)neighbours;
    b->to.signal_ref_count = (uint32_t)rules;
    b->to.line_point_count = (uint32_t)of_lines;
    b->to.line_z_count = m->line_heights ? (uint32_t)of_lines : 0;
    b->to.area_point_count = (uint32_t)of_areas;
    b->to.phase_count = (uint32_t)phases;
    b->to.lane_count = (uint32_t)m->n_lanes;
    b->to.line_count = (uint32_t)m->n_lines;
    b->to.area_count = (uint32_t)m->n_areas;
    b->to.stop_line_count = (uint32_t)m->n_stop_lines;
    b->to.sign_count = (uint32_t)m->n_signs;
    b->to.signal_count = (uint32_t)m->n_signals;
    return 1;
}

/// Zeroed arrays; 0 when there is no memory.
static int allocate(building *b, nm_arena *arena) {
    int good = 1;
#define ROOM(type, name, length)                                                                                       \
    b->name = nm_arena_calloc(arena, (length), sizeof(type), 16);                                                      \
    good &= b->name != NULL;
    ROOM(uint8_t, flags, b->to.lane_count)
    ROOM(uint32_t, junctions, b->to.lane_count)
#undef ROOM
#define ROOM(type, name, length)                                                                                       \
    b->name = nm_arena_calloc(arena, b->to.length, sizeof(type), 16);                                                  \
    b->to.name = b->name;                                                                                              \
    good &= b->name != NULL;
    ROOM(nm_lane, lanes, lane_count)
    ROOM(nm_vec2, centre, point_count)
    ROOM(nm_vec2, left, point_count)
    ROOM(nm_vec2, right, point_count)
    ROOM(float, z, point_count)
    ROOM(uint32_t, lane_refs, lane_ref_count)
    ROOM(nm_neighbour, neighbours, neighbour_count)
    ROOM(nm_line, lines, line_count)
    ROOM(nm_vec2, line_points, line_point_count)
    ROOM(float, line_z, line_z_count)
    ROOM(nm_area, areas, area_count)
    ROOM(nm_vec2, area_points, area_point_count)
    ROOM(nm_stop_line, stop_lines, stop_line_count)
    ROOM(nm_sign, signs, sign_count)
    ROOM(nm_signal, signals, signal_count)
    ROOM(uint32_t, signal_refs, signal_ref_count)
    ROOM(nm_phase, phases, phase_count)
#undef ROOM
    return good;
}

/// [all or one] into `to`, which is 0; 0 when there are neither.
static int spread(float *to, uint32_t wanted, const float *from, size_t given) {
    if (given == 0) return 1;
    if (given != 1 && given != wanted) return 0;
    for (uint32_t i = 0; i < wanted; i++) to[i] = from[given == 1 ? 0 : i];
    return 1;
}

static nm_range append_refs(building *b, const uint32_t *values, size_t n) {
    nm_range range = {b->refs, (uint32_t)n};
    if (n) memcpy(b->lane_refs + b->refs, values, n * sizeof *values);
    b->refs += (uint32_t)n;
    return range;
}

static nm_range append_neighbours(building *b, NearmissScene__Neighbour *const *from, size_t n) {
    nm_range range = {b->beside, (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        b->neighbours[b->beside++] = (nm_neighbour){.lane = from[i]->lane,
                                                    .self_start = from[i]->self_start,
                                                    .self_end = from[i]->self_end,
                                                    .other_start = from[i]->other_start,
                                                    .other_end = from[i]->other_end,
                                                    .opposite = from[i]->opposite != 0,
                                                    .may_change = from[i]->may_change != 0};
    }
    return range;
}

static nm_status add_lane(building *b, size_t i, nm_error *error) {
    const NearmissScene__Lane *from = b->from->lanes[i];
    nm_lane *lane = &b->lanes[i];
    uint32_t points = (uint32_t)(from->n_centre / 2);
    if (from->n_centre % 2 || from->n_left != from->n_centre || from->n_right != from->n_centre)
        return refuse(error, "lane", i, "does not have as many points on its borders as on its centreline");
    if (!spread(b->z + b->points, points, from->z, from->n_z))
        return refuse(error, "lane", i, "has neither one height nor one for each point");
    lane->source_id = from->id;
    lane->speed_limit = from->speed_limit;
    lane->type = narrow(from->type);
    lane->turn = narrow(from->turn);
    lane->control = narrow(from->control);
    lane->left_marking = narrow(from->left_marking);
    lane->right_marking = narrow(from->right_marking);
    lane->left_colour = narrow(from->left_colour);
    lane->right_colour = narrow(from->right_colour);
    lane->flags = b->flags[i] = narrow(from->flags);
    lane->junction = b->junctions[i] = (uint32_t)from->junction; // -1 is NM_NONE
    lane->stop_line = (uint32_t)from->stop_line;
    lane->stop_s = from->stop_s;
    lane->points = (nm_range){b->points, points};
    if (points) {
        memcpy(b->centre + b->points, from->centre, points * sizeof(nm_vec2));
        memcpy(b->left + b->points, from->left, points * sizeof(nm_vec2));
        memcpy(b->right + b->points, from->right, points * sizeof(nm_vec2));
    }
    b->points += points;
    lane->successors = append_refs(b, from->successors, from->n_successors);
    lane->left = append_neighbours(b, from->left_neighbours, from->n_left_neighbours);
    lane->right = append_neighbours(b, from->right_neighbours, from->n_right_neighbours);
    lane->signals = (nm_range){b->rules, (uint32_t)from->n_signals};
    if (from->n_signals) memcpy(b->signal_refs + b->rules, from->signals, from->n_signals * sizeof(uint32_t));
    b->rules += (uint32_t)from->n_signals;
    return NM_OK;
}

static nm_status add_shapes(building *b, nm_error *error) {
    for (size_t i = 0; i < b->from->n_lines; i++) {
        const NearmissScene__Line *from = b->from->lines[i];
        uint32_t points = (uint32_t)(from->n_points / 2);
        if (from->n_points % 2) return refuse(error, "line", i, "has an odd number of coordinates");
        if (from->n_z && !b->from->line_heights)
            return refuse(error, "line", i, "has heights, but line_heights is off");
        if (b->from->line_heights && !spread(b->line_z + b->of_lines, points, from->z, from->n_z))
            return refuse(error, "line", i, "has neither one height nor one for each point");
        b->lines[i] = (nm_line){.source_id = from->id,
                                .kind = narrow(from->kind),
                                .marking = narrow(from->marking),
                                .colour = narrow(from->colour),
                                .points = {b->of_lines, points}};
        if (points) memcpy(b->line_points + b->of_lines, from->points, points * sizeof(nm_vec2));
        b->of_lines += points;
    }
    for (size_t i = 0; i < b->from->n_areas; i++) {
        const NearmissScene__Area *from = b->from->areas[i];
        uint32_t points = (uint32_t)(from->n_points / 2);
        if (from->n_points % 2) return refuse(error, "area", i, "has an odd number of coordinates");
        b->areas[i] = (nm_area){.source_id = from->id, .kind = narrow(from->kind), .points = {b->of_areas, points}};
        if (points) memcpy(b->area_points + b->of_areas, from->points, points * sizeof(nm_vec2));
        b->of_areas += points;
    }
    for (size_t i = 0; i < b->from->n_stop_lines; i++) {
        const NearmissScene__StopLine *from = b->from->stop_lines[i];
        b->stop_lines[i] = (nm_stop_line){{from->a_x, from->a_y}, {from->b_x, from->b_y}, from->lane, from->s};
    }
    return NM_OK;
}

static nm_status add_controls(building *b, nm_error *error) {
    for (size_t i = 0; i < b->from->n_signs; i++) {
        const NearmissScene__Sign *from = b->from->signs[i];
        nm_sign *sign = &b->signs[i];
        if (from->code.len >= sizeof sign->code) return refuse(error, "sign", i, "has a code of over 15 bytes");
        *sign = (nm_sign){.source_id = from->id,
                          .value = from->value,
                          .placed = from->placed != 0,
                          .virtual_sign = from->is_virtual != 0,
                          .position = {from->x, from->y}};
        if (from->code.len) memcpy(sign->code, from->code.data, from->code.len);
        sign->lanes = append_refs(b, from->lanes, from->n_lanes);
    }
    for (size_t i = 0; i < b->from->n_signals; i++) {
        const NearmissScene__Signal *from = b->from->signals[i];
        if (from->n_phase_steps != from->n_phase_states)
            return refuse(error, "signal", i, "does not have as many phase_states as phase_steps");
        b->signals[i] = (nm_signal){.source_id = from->id,
                                    .position = {from->x, from->y},
                                    .placed = from->placed != 0,
                                    .turn = narrow(from->turn),
                                    .phase_offset = from->phase_offset,
                                    .cycle_dt = from->cycle_dt,
                                    .phases = {b->steps, (uint32_t)from->n_phase_steps},
                                    .lanes = append_refs(b, from->lanes, from->n_lanes)};
        for (size_t k = 0; k < from->n_phase_steps; k++)
            b->phases[b->steps++] =
                (nm_phase){.steps = from->phase_steps[k], .state = narrow((int64_t)from->phase_states[k])};
    }
    return NM_OK;
}

static nm_status add_all(building *b, nm_error *error) {
    const NearmissScene__Map *m = b->from;
    nm_status status = NM_OK;
    for (size_t i = 0; i < m->n_lanes && status == NM_OK; i++) status = add_lane(b, i, error);
    for (size_t i = 0; i < m->n_lanes && status == NM_OK; i++) // all successor lists, then these
        b->lanes[i].predecessors = append_refs(b, m->lanes[i]->predecessors, m->lanes[i]->n_predecessors);
    if (status == NM_OK) status = add_shapes(b, error);
    return status == NM_OK ? add_controls(b, error) : status;
}

nm_status nm_nearmiss_read_map(const NearmissScene__Map *from, nm_arena *arena, const nm_map **map, nm_error *error) {
    building b = {.from = from};
    *map = NULL;
    if (from->n_default_speeds != NM_LANE_TYPE_COUNT)
        return NM_ERROR(error, NM_E_FORMAT, "map: there are %zu default_speeds, not %d", from->n_default_speeds,
                        NM_LANE_TYPE_COUNT);
    if (from->n_repairs > NM_REPAIR_COUNT)
        return NM_ERROR(error, NM_E_FORMAT, "map: there are %zu repairs, not %d", from->n_repairs, NM_REPAIR_COUNT);
    if (!count(&b)) return NM_ERROR(error, NM_E_LIMIT, "map: it is too large");
    if (!allocate(&b, arena)) return NM_ERROR(error, NM_E_MEMORY, "map: out of memory");
    nm_status status = add_all(&b, error);
    if (status != NM_OK) return status;
    b.to.origin = (nm_point3){from->origin_x, from->origin_y, from->origin_z};
    if (from->n_repairs) memcpy(b.to.repairs, from->repairs, from->n_repairs * sizeof(uint32_t));
    const nm_map_source source = {b.flags, b.junctions, from->junctions, from->default_speeds};
    status = nm_map_assemble(&b.to, &source, map, error);
    if (status != NM_OK || from->hash == 0 || (*map)->hash == from->hash) return status;
    nm_map_release(*map);
    *map = NULL;
    return NM_ERROR(error, NM_E_FORMAT,
                    "map: its content is not what its hash says (leave the hash out after changes)");
}
