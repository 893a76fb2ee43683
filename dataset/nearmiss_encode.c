/// Scenes as messages of protos/nearmiss.proto, written field by field: what is 0 is left out.
#include "dataset/nearmiss_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "dataset/protobuf_out.h"

static void put_uint(nm_byte_buffer *out, uint32_t field, uint64_t value) {
    if (value) nm_pb_uint(out, field, value);
}
static void put_sint(nm_byte_buffer *out, uint32_t field, int64_t value) {
    if (value) nm_pb_sint(out, field, value);
}
/// An index, or -1: the default of such fields.
static void put_index(nm_byte_buffer *out, uint32_t field, uint32_t index) {
    if (index != NM_NONE) nm_pb_sint(out, field, index);
}
static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
/// -0 is not 0 here: all comes back bit by bit.
static void put_float(nm_byte_buffer *out, uint32_t field, float value) {
    if (bits_of(value)) nm_pb_float(out, field, value);
}
static void put_double(nm_byte_buffer *out, uint32_t field, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (bits) nm_pb_fixed64(out, field, bits);
}
static void put_fixed64(nm_byte_buffer *out, uint32_t field, uint64_t value) {
    if (value) nm_pb_fixed64(out, field, value);
}
static void put_text(nm_byte_buffer *out, uint32_t field, const char *text) {
    if (*text) nm_pb_text(out, field, text);
}
static void put_points(nm_byte_buffer *out, uint32_t field, const nm_vec2 *points, size_t count) {
    if (count) nm_pb_packed32(out, field, points, 2 * count);
}

/// [all or one]: a single value where all are the same, nothing where that is 0.
static void put_floats(nm_byte_buffer *out, uint32_t field, const float *values, size_t count) {
    if (!count) return;
    uint32_t first = bits_of(values[0]), differ = 0;
    for (size_t i = 1; i < count && !differ; i++) differ = bits_of(values[i]) ^ first;
    if (differ || first) nm_pb_packed32(out, field, values, differ ? count : 1);
}

// ---------------------------------------------------------------------------------------------------------------------
// The map

static void put_neighbours(nm_byte_buffer *out, uint32_t field, const nm_map *map, nm_range range) {
    for (uint32_t i = 0; i < range.count; i++) {
        const nm_neighbour *n = &map->neighbours[range.first + i];
        size_t begun = nm_pb_begin(out, field);
        put_uint(out, 1, n->lane);
        put_float(out, 2, n->self_start);
        put_float(out, 3, n->self_end);
        put_float(out, 4, n->other_start);
        put_float(out, 5, n->other_end);
        put_uint(out, 6, n->opposite);
        put_uint(out, 7, n->may_change);
        nm_pb_end(out, begun);
    }
}

static void put_lane(nm_byte_buffer *out, const nm_map *map, const nm_map_source *source, uint32_t index) {
    const nm_lane *lane = &map->lanes[index];
    const nm_range points = lane->points;
    size_t begun = nm_pb_begin(out, 5);
    put_sint(out, 1, lane->source_id);
    put_uint(out, 2, lane->type);
    put_float(out, 3, lane->speed_limit);
    put_uint(out, 4, lane->turn);
    put_uint(out, 5, lane->control);
    put_uint(out, 6, source->lane_flags[index]);
    put_index(out, 7, source->lane_junctions[index]);
    put_uint(out, 8, lane->left_marking);
    put_uint(out, 9, lane->right_marking);
    put_uint(out, 10, lane->left_colour);
    put_uint(out, 11, lane->right_colour);
    put_points(out, 12, map->centre + points.first, points.count);
    put_points(out, 13, map->left + points.first, points.count);
    put_points(out, 14, map->right + points.first, points.count);
    put_floats(out, 15, map->z + points.first, points.count);
    nm_pb_packed_uint(out, 16, map->lane_refs + lane->successors.first, lane->successors.count);
    nm_pb_packed_uint(out, 17, map->lane_refs + lane->predecessors.first, lane->predecessors.count);
    put_neighbours(out, 18, map, lane->left);
    put_neighbours(out, 19, map, lane->right);
    nm_pb_packed_uint(out, 20, map->signal_refs + lane->signals.first, lane->signals.count);
    put_index(out, 21, lane->stop_line);
    put_float(out, 22, lane->stop_s);
    nm_pb_end(out, begun);
}

static void put_shapes(nm_byte_buffer *out, const nm_map *map) {
    for (uint32_t i = 0; i < map->line_count; i++) {
        const nm_line *line = &map->lines[i];
        size_t begun = nm_pb_begin(out, 6);
        put_sint(out, 1, line->source_id);
        put_uint(out, 2, line->kind);
        put_uint(out, 3, line->marking);
        put_uint(out, 4, line->colour);
        put_points(out, 5, map->line_points + line->points.first, line->points.count);
        if (map->line_z_count) put_floats(out, 6, map->line_z + line->points.first, line->points.count);
        nm_pb_end(out, begun);
    }
    for (uint32_t i = 0; i < map->area_count; i++) {
        const nm_area *area = &map->areas[i];
        size_t begun = nm_pb_begin(out, 7);
        put_sint(out, 1, area->source_id);
        put_uint(out, 2, area->kind);
        put_points(out, 3, map->area_points + area->points.first, area->points.count);
        nm_pb_end(out, begun);
    }
    for (uint32_t i = 0; i < map->stop_line_count; i++) {
        const nm_stop_line *stop = &map->stop_lines[i];
        size_t begun = nm_pb_begin(out, 8);
        put_float(out, 1, stop->a.x);
        put_float(out, 2, stop->a.y);
        put_float(out, 3, stop->b.x);
        put_float(out, 4, stop->b.y);
        put_uint(out, 5, stop->lane);
        put_float(out, 6, stop->s);
        nm_pb_end(out, begun);
    }
}

static void put_sign(nm_byte_buffer *out, const nm_map *map, const nm_sign *sign) {
    size_t begun = nm_pb_begin(out, 9);
    put_sint(out, 1, sign->source_id);
    // all 16 bytes count for the hash; what stands behind the text is 0 in every map a builder made
    size_t size = sizeof sign->code;
    while (size && !sign->code[size - 1]) size--;
    if (size) nm_pb_bytes(out, 2, sign->code, size);
    put_float(out, 3, sign->value);
    put_uint(out, 4, sign->placed);
    put_uint(out, 5, sign->virtual_sign);
    put_float(out, 6, sign->position.x);
    put_float(out, 7, sign->position.y);
    nm_pb_packed_uint(out, 8, map->lane_refs + sign->lanes.first, sign->lanes.count);
    nm_pb_end(out, begun);
}

/// Numbers of 1 to 5 bytes each, known one at a time: packed by way of their size.
static void put_phases(nm_byte_buffer *out, const nm_phase *phases, uint32_t count) {
    if (!count) return;
    size_t begun = nm_pb_begin(out, 8);
    for (uint32_t i = 0; i < count; i++) nm_pb_raw_varint(out, phases[i].steps);
    nm_pb_end(out, begun);
    begun = nm_pb_begin(out, 9);
    for (uint32_t i = 0; i < count; i++) nm_pb_raw_varint(out, phases[i].state);
    nm_pb_end(out, begun);
}

static void put_signal(nm_byte_buffer *out, const nm_map *map, const nm_signal *signal) {
    size_t begun = nm_pb_begin(out, 10);
    put_sint(out, 1, signal->source_id);
    put_float(out, 2, signal->position.x);
    put_float(out, 3, signal->position.y);
    put_uint(out, 4, signal->placed);
    put_uint(out, 5, signal->turn);
    put_uint(out, 6, signal->phase_offset);
    put_float(out, 7, signal->cycle_dt);
    put_phases(out, map->phases + signal->phases.first, signal->phases.count);
    nm_pb_packed_uint(out, 10, map->lane_refs + signal->lanes.first, signal->lanes.count);
    nm_pb_end(out, begun);
}

static void put_map(nm_byte_buffer *out, const nm_map *map) {
    const nm_map_source source = nm_map_get_source(map);
    size_t begun = nm_pb_begin(out, 9);
    put_fixed64(out, 1, map->hash);
    put_double(out, 2, map->origin.x);
    put_double(out, 3, map->origin.y);
    put_double(out, 4, map->origin.z);
    for (uint32_t i = 0; i < map->lane_count; i++) put_lane(out, map, &source, i);
    put_shapes(out, map);
    for (uint32_t i = 0; i < map->sign_count; i++) put_sign(out, map, &map->signs[i]);
    for (uint32_t i = 0; i < map->signal_count; i++) put_signal(out, map, &map->signals[i]);
    put_uint(out, 11, map->line_z_count > 0);
    nm_pb_packed32(out, 12, source.default_speeds, NM_LANE_TYPE_COUNT);
    nm_pb_packed_uint(out, 13, map->repairs, NM_REPAIR_COUNT);
    put_uint(out, 14, source.junction_count);
    nm_pb_end(out, begun);
}

// ---------------------------------------------------------------------------------------------------------------------
// Tracks

/// Invalid, valid, invalid, ... up to the last valid step.
static void put_runs(nm_byte_buffer *out, const uint8_t *valid, uint32_t count) {
    if (!count) return;
    size_t begun = nm_pb_begin(out, NM_NEARMISS_RUNS);
    uint8_t state = 0;
    for (uint32_t i = 0; i < count;) {
        uint32_t first = i;
        while (i < count && valid[i] == state) i++;
        nm_pb_raw_varint(out, i - first);
        state = !state;
    }
    nm_pb_end(out, begun);
}

/// The values of the valid steps: straight from the plane where there is no gap.
static void put_plane(nm_byte_buffer *out, uint32_t field, const float *plane, const uint8_t *valid,
                      const nm_track *track, float *packed) {
    if (!plane || track->first_step > track->last_step) return;
    uint32_t span = track->last_step - track->first_step + 1, count = 0;
    plane += track->first_step;
    valid += track->first_step;
    if (!memchr(valid, 0, span)) {
        put_floats(out, field, plane, span);
        return;
    }
    for (uint32_t i = 0; i < span; i++) {
        if (valid[i]) packed[count++] = plane[i];
    }
    put_floats(out, field, packed, count);
}

static void put_track(nm_byte_buffer *out, const nm_scene *scene, uint32_t index, float *packed) {
    const nm_track *track = &scene->tracks[index];
    const size_t at = nm_scene_at(scene, index, 0);
    const uint8_t *valid = scene->valid + at;
    size_t begun = nm_pb_begin(out, 10);
    put_sint(out, 1, track->source_id);
    put_uint(out, 2, track->type);
    put_uint(out, 3, track->flags);
    put_uint(out, 4, track->difficulty);
    put_float(out, 5, track->length);
    put_float(out, 6, track->width);
    put_float(out, 7, track->height);
    put_runs(out, valid, track->first_step <= track->last_step ? track->last_step + 1 : 0);
#define PLANE(name, field) put_plane(out, field, scene->name ? scene->name + at : NULL, valid, track, packed);
    NM_NEARMISS_PLANES(PLANE)
#undef PLANE
    nm_pb_end(out, begun);
}

static void put_goal(nm_byte_buffer *out, const nm_scene *scene, const nm_goal *goal) {
    size_t begun = nm_pb_begin(out, 4);
    put_uint(out, 1, goal->first_step);
    put_uint(out, 2, goal->last_step);
    put_float(out, 3, goal->heading_min);
    put_float(out, 4, goal->heading_max);
    put_float(out, 5, goal->speed_min);
    put_float(out, 6, goal->speed_max);
    for (uint32_t i = 0; i < goal->areas.count; i++) {
        const nm_goal_area *area = &scene->goal_areas[goal->areas.first + i];
        size_t inner = nm_pb_begin(out, 7);
        put_float(out, 1, area->centre.x);
        put_float(out, 2, area->centre.y);
        put_float(out, 3, area->length);
        put_float(out, 4, area->width);
        put_float(out, 5, area->heading);
        put_index(out, 6, area->lane);
        nm_pb_end(out, inner);
    }
    nm_pb_end(out, begun);
}

static void put_problem(nm_byte_buffer *out, const nm_scene *scene, const nm_problem *problem) {
    const nm_state *s = &problem->start;
    const float start[] = {s->x, s->y, s->z, s->heading, s->vx, s->vy, s->length, s->width, s->height};
    size_t begun = nm_pb_begin(out, 13);
    put_sint(out, 1, problem->source_id);
    put_uint(out, 2, problem->start_step);
    nm_pb_packed32(out, 3, start, sizeof start / sizeof *start);
    for (uint32_t i = 0; i < problem->goals.count; i++) put_goal(out, scene, &scene->goals[problem->goals.first + i]);
    nm_pb_end(out, begun);
}

// ---------------------------------------------------------------------------------------------------------------------
// The rest

static void put_provenance(nm_byte_buffer *out, const nm_provenance *p) {
    size_t begun = nm_pb_begin(out, 15);
    put_text(out, 1, p->source);
    put_text(out, 2, p->file);
    put_text(out, 3, p->scene_id);
    put_uint(out, 4, p->record);
    put_text(out, 5, p->program);
    put_fixed64(out, 6, p->seed);
    put_fixed64(out, 7, p->parent);
    put_text(out, 8, p->parameters);
    nm_pb_end(out, begun);
}

static void put_label(nm_byte_buffer *out, const nm_scene_label *label) {
    size_t begun = nm_pb_begin(out, 16);
    put_text(out, 1, label->kind);
    put_uint(out, 2, label->actor);
    put_index(out, 3, label->other);
    put_uint(out, 4, label->first_step);
    put_uint(out, 5, label->last_step);
    put_uint(out, 6, label->critical_step);
    put_float(out, 7, label->severity);
#define MEASURE(name, field)                                                                                           \
    if (!isnan(label->name)) nm_pb_float(out, field, label->name);
    NM_NEARMISS_MEASURES(MEASURE)
#undef MEASURE
    nm_pb_end(out, begun);
}

static void put_generation(nm_byte_buffer *out, const nm_scene_generation *g) {
    const char *texts[] = {g->kind, g->generator, g->severity, g->label, g->requested, g->achieved, g->verdicts};
    size_t begun = nm_pb_begin(out, 17);
    for (uint32_t i = 0; i < sizeof texts / sizeof *texts; i++) put_text(out, i + 1, texts[i]);
    nm_pb_end(out, begun);
}

static int is_utf8(const char *text) {
    size_t left = strlen(text), step;
    for (; left; text += step, left -= step) {
        step = nm_utf8_next(text, left);
        if (!step) return 0;
    }
    return 1;
}

/// What the format does not hold: planning problems whose goals lie in another order than their owners (no builder
/// makes such a scene), and texts that no protobuf reader would take.
static nm_status check(const nm_scene *scene, nm_error *error) {
    uint32_t goals = 0, areas = 0, ordered = 1;
    for (uint32_t i = 0; i < scene->problem_count; i++) {
        ordered &= scene->problems[i].goals.first == goals;
        goals += scene->problems[i].goals.count;
    }
    for (uint32_t i = 0; i < scene->goal_count; i++) {
        ordered &= scene->goals[i].areas.first == areas;
        areas += scene->goals[i].areas.count;
    }
    if (!ordered || goals != scene->goal_count || areas != scene->goal_area_count)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "goals do not belong to one planning problem each, in order");
    const nm_provenance *p = &scene->provenance;
    int good = is_utf8(p->source) && is_utf8(p->scene_id) && is_utf8(p->program) && is_utf8(p->parameters);
    for (uint32_t i = 0; i < scene->tag_count; i++) good &= is_utf8(scene->tags[i]);
    if (!good) return NM_ERROR(error, NM_E_UNSUPPORTED, "a tag or the provenance is not UTF-8");
    return NM_OK;
}

static void put_scene(nm_byte_buffer *out, const nm_export_item *item, float *packed) {
    const nm_scene *scene = item->scene;
    nm_pb_text(out, 1, NM_NEARMISS_MAGIC);
    nm_pb_uint(out, 2, NM_NEARMISS_VERSION);
    put_fixed64(out, 3, scene->hash);
    put_float(out, 4, scene->dt);
    put_uint(out, 5, scene->step_count);
    put_uint(out, 6, scene->current_step);
    put_index(out, 7, scene->ego);
    put_uint(out, 8, scene->state_length != NULL);
    put_map(out, scene->map);
    for (uint32_t i = 0; i < scene->track_count; i++) put_track(out, scene, i, packed);
    // states are below 128: a byte each, as they lie in memory
    if (scene->signal_states)
        nm_pb_bytes(out, 11, scene->signal_states, (size_t)scene->map->signal_count * scene->step_count);
    if (scene->timestamps) nm_pb_packed64(out, 12, scene->timestamps, scene->step_count);
    for (uint32_t i = 0; i < scene->problem_count; i++) put_problem(out, scene, &scene->problems[i]);
    for (uint32_t i = 0; i < scene->tag_count; i++) nm_pb_text(out, 14, scene->tags[i]);
    put_provenance(out, &scene->provenance);
    for (size_t i = 0; i < item->label_count; i++) put_label(out, &item->labels[i]);
    if (item->generated) put_generation(out, item->generated);
    if (item->id > 0) put_uint(out, 18, (uint64_t)item->id);
}

static nm_status encode(void *work, const nm_export_item *item, nm_encoded *out, nm_error *error) {
    nm_byte_buffer *steps = work;
    nm_status status = check(item->scene, error);
    if (status != NM_OK) return status;
    steps->size = 0;
    float *packed = (float *)(void *)nm_byte_buffer_grow(steps, item->scene->step_count * sizeof(float));
    if (packed) put_scene(&out->main, item, packed);
    if (packed && !out->main.failed) return NM_OK;
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for a message");
}

static void *create(void) {
    return calloc(1, sizeof(nm_byte_buffer));
}

static void destroy(void *work) {
    if (work) nm_byte_buffer_free(work);
    free(work);
}

const nm_encoder nm_encoder_nearmiss = {.format = NM_EXPORT_NEARMISS,
                                        .layout = NM_ENCODER_RECORDS,
                                        .extension = ".tfrecord",
                                        .create = create,
                                        .destroy = destroy,
                                        .encode = encode};
