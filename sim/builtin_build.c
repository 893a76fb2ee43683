/// From the drawing board to the map.
#include "sim/builtin_sketch.h"

#include <string.h>

/// What one lane's definition points at; lives until the builder has copied it.
typedef struct lane_scratch {
    int64_t predecessors[NM_SKETCH_REFS], successors[NM_SKETCH_REFS];
    nm_neighbour_def left, right;
    nm_point3 *points[2];
} lane_scratch;

static int64_t lane_id(uint32_t lane) {
    return (int64_t)lane + 1;
}

/// Mirrored and turned round, a lane's left border stays on its left.
static void copy_mirrored(nm_point3 *to, const nm_point3 *from, uint32_t count, int mirror) {
    for (uint32_t i = 0; i < count; i++) {
        to[i] = from[mirror ? count - 1 - i : i];
        if (mirror) to[i].x = -to[i].x;
    }
}

static void fill_neighbour(nm_neighbour_def *def, uint32_t lane, int opposite, const nm_neighbour_def **list,
                           size_t *count) {
    *def = (nm_neighbour_def){.lane = lane_id(lane), .opposite = opposite};
    *list = def;
    *count = lane == NM_NONE ? 0 : 1;
}

static nm_status emit_lane(const nm_sketch *sketch, uint32_t index, nm_map_builder *builder, lane_scratch *scratch,
                           nm_error *error) {
    const nm_sketch_lane *lane = &sketch->lanes[index];
    nm_lane_def def = nm_lane_def_default();
    def.id = lane_id(index);
    copy_mirrored(scratch->points[0], lane->left, lane->count, sketch->mirror);
    copy_mirrored(scratch->points[1], lane->right, lane->count, sketch->mirror);
    def.left = scratch->points[0];
    def.right = scratch->points[1];
    def.point_count = lane->count;
    def.speed_limit = lane->speed_limit;
    def.type = lane->type;
    def.turn = lane->turn;
    def.control = lane->control;
    def.flags = lane->flags;
    def.left_marking = lane->left_marking;
    def.right_marking = lane->right_marking;
    def.left_colour = lane->left_colour;
    def.right_colour = lane->right_colour;
    def.junction = lane->junction;
    for (uint32_t i = 0; i < lane->predecessor_count; i++) scratch->predecessors[i] = lane_id(lane->predecessors[i]);
    for (uint32_t i = 0; i < lane->successor_count; i++) scratch->successors[i] = lane_id(lane->successors[i]);
    def.predecessors = sketch->mirror ? scratch->successors : scratch->predecessors;
    def.successors = sketch->mirror ? scratch->predecessors : scratch->successors;
    def.predecessor_count = sketch->mirror ? lane->successor_count : lane->predecessor_count;
    def.successor_count = sketch->mirror ? lane->predecessor_count : lane->successor_count;
    fill_neighbour(&scratch->left, lane->left_neighbour, lane->left_opposite, &def.left_neighbours,
                   &def.left_neighbour_count);
    fill_neighbour(&scratch->right, lane->right_neighbour, lane->right_opposite, &def.right_neighbours,
                   &def.right_neighbour_count);
    def.has_stop_line = lane->stop_line;
    return nm_map_builder_add_lane(builder, &def, error);
}

static nm_status emit_furniture(const nm_sketch *sketch, nm_map_builder *builder, nm_point3 *scratch, nm_error *error) {
    int64_t id = lane_id((uint32_t)sketch->lane_count);
    nm_status status = NM_OK;
    for (size_t i = 0; i < sketch->line_count && status == NM_OK; i++) {
        const nm_sketch_line *line = &sketch->lines[i];
        copy_mirrored(scratch, line->points, line->count, sketch->mirror);
        status = nm_map_builder_add_line(builder, id++, line->kind, line->marking, line->colour, scratch, line->count,
                                         error);
    }
    for (size_t i = 0; i < sketch->area_count && status == NM_OK; i++) {
        const nm_sketch_area *area = &sketch->areas[i];
        copy_mirrored(scratch, area->points, area->count, sketch->mirror);
        status = nm_map_builder_add_area(builder, id++, area->kind, scratch, area->count, error);
    }
    for (size_t i = 0; i < sketch->signal_count && status == NM_OK; i++) {
        const nm_sketch_signal *signal = &sketch->signals[i];
        int64_t lanes[sizeof(signal->lanes) / sizeof(signal->lanes[0])];
        for (uint32_t k = 0; k < signal->lane_count; k++) lanes[k] = lane_id(signal->lanes[k]);
        nm_signal_def def = {.id = id++,
                             .position = &signal->position,
                             .phases = signal->phases,
                             .phase_count = signal->phase_count,
                             .phase_offset = signal->offset,
                             .cycle_dt = 0.1,
                             .lanes = lanes,
                             .lane_count = signal->lane_count};
        status = nm_map_builder_add_signal(builder, &def, error);
    }
    for (size_t i = 0; i < sketch->sign_count && status == NM_OK; i++) {
        const nm_sketch_sign *sign = &sketch->signs[i];
        int64_t lane = lane_id(sign->lane);
        nm_sign_def def = {
            .id = id++, .code = sign->code, .position = &sign->position, .lanes = &lane, .lane_count = 1};
        status = nm_map_builder_add_sign(builder, &def, error);
    }
    return status;
}

/// The most points of any lane, line or area.
static size_t most_points(const nm_sketch *sketch) {
    size_t most = 0;
    for (size_t i = 0; i < sketch->lane_count; i++)
        if (sketch->lanes[i].count > most) most = sketch->lanes[i].count;
    for (size_t i = 0; i < sketch->line_count; i++)
        if (sketch->lines[i].count > most) most = sketch->lines[i].count;
    for (size_t i = 0; i < sketch->area_count; i++)
        if (sketch->areas[i].count > most) most = sketch->areas[i].count;
    return most;
}

nm_status nm_sketch_build(const nm_sketch *sketch, const nm_map **map, nm_error *error) {
    *map = NULL;
    if (sketch->failed) return NM_ERROR(error, sketch->failed, "no memory to draw a map");
    NM_ASSERT(!sketch->mirror || sketch->signal_count + sketch->sign_count == 0);
    lane_scratch scratch;
    size_t most = most_points(sketch);
    scratch.points[0] = NM_ARENA_ARRAY(sketch->arena, nm_point3, most);
    scratch.points[1] = NM_ARENA_ARRAY(sketch->arena, nm_point3, most);
    nm_map_builder *builder = nm_map_builder_create();
    if (!builder || !scratch.points[0] || !scratch.points[1]) {
        nm_map_builder_destroy(builder);
        return NM_ERROR(error, NM_E_MEMORY, "no memory to build a map");
    }
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    nm_status status = NM_OK;
    for (size_t i = 0; i < sketch->lane_count && status == NM_OK; i++)
        status = emit_lane(sketch, (uint32_t)i, builder, &scratch, error);
    if (status == NM_OK) status = emit_furniture(sketch, builder, scratch.points[0], error);
    if (status == NM_OK) status = nm_map_builder_build(builder, map, error);
    nm_map_builder_destroy(builder);
    return status;
}
