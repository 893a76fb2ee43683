/// The WOMD reader on a scenario made by hand: what comes out, what is refused and where, what is left out and counted.
#include "support.h"

#include <unistd.h>

#include "dataset/readers.h"
#include "womd_sample.h"

typedef struct fixture {
    nm_reader_context context;
    nm_arena *arena;
    sample made;
    const nm_scene *scenes[8];
    uint64_t records[8];
    size_t scene_count, refusal_count;
    nm_error refusals[8];
    nm_status answer; // of the sink
} fixture;

static nm_status keep(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    fixture *f = context;
    assert_string_equal(input, "dir/test.tfrecord");
    assert_true(f->scene_count < 8);
    f->records[f->scene_count] = record;
    f->scenes[f->scene_count++] = scene;
    return f->answer == NM_OK ? NM_OK : NM_ERROR(error, f->answer, "the sink said no");
}

static void refuse(void *context, const nm_error *error) {
    fixture *f = context;
    assert_true(f->refusal_count < 8);
    f->refusals[f->refusal_count++] = *error;
}

static void forget(fixture *f) {
    for (size_t i = 0; i < f->scene_count; i++) nm_scene_destroy(f->scenes[i]);
    f->scene_count = f->refusal_count = 0;
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->context.limits = nm_import_limits_default();
    f->context.map_builder = nm_map_builder_create();
    f->context.scene_builder = nm_scene_builder_create();
    f->arena = nm_arena_create(0);
    f->made = sample_make(f->arena);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    forget(f);
    nm_womd_release(&f->context);
    nm_scene_builder_destroy(f->context.scene_builder);
    nm_map_builder_destroy(f->context.map_builder);
    nm_arena_destroy(f->arena);
    free(f);
    return 0;
}

static nm_status read_file(fixture *f, const uint8_t *bytes, size_t size, nm_refusal_sink *refused, nm_error *error) {
    return nm_womd_read(&f->context, "dir/test.tfrecord", bytes, size, keep, refused, f, error);
}

static void read_payload(fixture *f, const uint8_t *payload, size_t size) {
    uint8_t *bytes = malloc(size + 16);
    assert_non_null(bytes);
    size_t framed = sample_frame(bytes, payload, size);
    assert_int_equal(read_file(f, bytes, framed, refuse, NULL), NM_OK);
    free(bytes);
}

static void read_made(fixture *f) {
    size_t size;
    uint8_t *payload = sample_pack(&f->made, &size);
    read_payload(f, payload, size);
}

static const nm_scene *accepted(fixture *f) {
    read_made(f);
    if (f->refusal_count) print_error("%s\n", f->refusals[0].message);
    assert_int_equal(f->refusal_count, 0);
    assert_int_equal(f->scene_count, 1);
    return f->scenes[0];
}

static uint32_t lane_index(const nm_map *map, int64_t id) {
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (map->lanes[i].source_id == id) return i;
    }
    return NM_NONE;
}
static const nm_lane *lane_by_id(const nm_map *map, int64_t id) {
    uint32_t index = lane_index(map, id);
    assert_int_not_equal(index, NM_NONE);
    return &map->lanes[index];
}

static int has_tag(const nm_scene *scene, const char *tag) {
    for (uint32_t i = 0; i < scene->tag_count; i++) {
        if (!strcmp(scene->tags[i], tag)) return 1;
    }
    return 0;
}

#define NEAR(a, b) assert_true(fabs((double)(a) - (double)(b)) < 1e-4)

static void lanes_come_out(void **state) {
    const nm_map *map = accepted(*state)->map;
    assert_int_equal(map->lane_count, 4);
    const nm_lane *lane = lane_by_id(map, 1);
    NEAR(lane->length, 20.0);
    NEAR(lane->speed_limit, 25.0 * 0.44704);
    assert_int_equal(lane->type, NM_LANE_STREET);
    assert_int_equal(lane->points.count, 41);
    assert_int_equal(lane->successors.count, 2);
    assert_int_equal(lane->predecessors.count, 0);
    NEAR(map->origin.x + (double)map->centre[lane->points.first].x, SHIFT_X);
    NEAR(map->origin.y + (double)map->centre[lane->points.first].y, SHIFT_Y);
    NEAR(map->origin.z + (double)map->z[lane->points.first], 12.0);
    for (uint32_t i = 0; i < 41; i++) { // borders lie on the lines that bound the lane
        NEAR(map->origin.y + (double)map->left[lane->points.first + i].y, SHIFT_Y + 1.5);
        NEAR(map->origin.y + (double)map->right[lane->points.first + i].y, SHIFT_Y - 2.25);
    }
    assert_int_equal(lane->left_marking, NM_MARKING_CURB);
    assert_int_equal(lane->right_marking, NM_MARKING_DASHED);
    assert_int_equal(lane->right_colour, NM_COLOUR_WHITE);
    assert_int_equal(lane->flags & (NM_LANE_ASSUMED_LEFT | NM_LANE_ASSUMED_RIGHT), 0);
    assert_int_equal(lane->right.count, 1);
    const nm_neighbour *n = &map->neighbours[lane->right.first];
    assert_int_equal(n->lane, lane_index(map, 4));
    assert_int_equal(n->opposite, 0);
    NEAR(n->self_start, 5.0);
    NEAR(n->self_end, 15.0);
    NEAR(n->other_start, 0.0);
    NEAR(n->other_end, 10.0);
    const nm_lane *beside = lane_by_id(map, 4); // no boundary: half-way to the neighbour; nothing on the right
    NEAR(map->origin.y + (double)map->left[beside->points.first + 10].y, SHIFT_Y - 2.0);
    assert_int_equal(beside->flags & (NM_LANE_ASSUMED_LEFT | NM_LANE_ASSUMED_RIGHT), NM_LANE_ASSUMED_RIGHT);
    assert_int_equal(map->lane_refs[lane_by_id(map, 2)->predecessors.first], lane_index(map, 1));
}

static void other_features_come_out(void **state) {
    const nm_map *map = accepted(*state)->map;
    assert_int_equal(map->line_count, 3);
    assert_int_equal(map->lines[0].source_id, 10);
    assert_int_equal(map->lines[0].kind, NM_LINE_ROAD_LINE);
    assert_int_equal(map->lines[0].marking, NM_MARKING_DASHED);
    assert_int_equal(map->lines[0].points.count, 8);
    assert_int_equal(map->lines[1].kind, NM_LINE_EDGE_MEDIAN);
    assert_int_equal(map->lines[2].kind, NM_LINE_EDGE_BOUNDARY);
    assert_int_equal(map->area_count, 3);
    static const nm_area_kind kinds[] = {NM_AREA_CROSSWALK, NM_AREA_SPEED_BUMP, NM_AREA_DRIVEWAY};
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(map->areas[i].kind, kinds[i]);
        assert_int_equal(map->areas[i].source_id, 21 + i);
        assert_int_equal(map->areas[i].points.count, 4);
    }
    assert_int_equal(map->sign_count, 1);
    assert_string_equal(map->signs[0].code, "STOP");
    assert_int_equal(map->signs[0].placed, 1);
    assert_int_equal(map->signs[0].lanes.count, 1);
    assert_int_equal(map->lane_refs[map->signs[0].lanes.first], lane_index(map, 4));
    // the sign stands at the end of lane 4, which therefore is the lane it stops
    assert_int_equal(lane_by_id(map, 4)->control, NM_CONTROL_STOP);
}

static void signals_rule_the_lanes_before_them(void **state) {
    const nm_scene *scene = accepted(*state);
    const nm_map *map = scene->map;
    assert_int_equal(map->signal_count, 2);
    assert_int_equal(map->signals[0].source_id, 2); // ascending by lane
    assert_int_equal(map->signals[1].source_id, 3);
    assert_int_equal(map->signals[0].turn, NM_TURN_STRAIGHT);
    assert_int_equal(map->signals[1].turn, NM_TURN_LEFT);
    assert_int_equal(lane_by_id(map, 2)->turn, NM_TURN_STRAIGHT);
    assert_int_equal(lane_by_id(map, 3)->turn, NM_TURN_LEFT);
    for (uint32_t i = 0; i < 2; i++) {
        const nm_signal *signal = &map->signals[i];
        assert_int_equal(signal->placed, 1);
        NEAR(map->origin.x + (double)signal->position.x, SHIFT_X + 20.0);
        assert_int_equal(signal->lanes.count, 1);
        assert_int_equal(map->lane_refs[signal->lanes.first], lane_index(map, 1));
    }
    const nm_lane *approach = lane_by_id(map, 1);
    assert_int_equal(approach->control, NM_CONTROL_SIGNAL);
    assert_int_equal(approach->signals.count, 2);
    NEAR(approach->stop_s, 20.0);
    for (uint32_t t = 0; t < STEPS; t++) {
        assert_int_equal(nm_scene_signal(scene, 0, t), t < 4 ? NM_SIGNAL_GO : NM_SIGNAL_UNKNOWN);
        assert_int_equal(nm_scene_signal(scene, 1, t), t < 3 ? NM_SIGNAL_ARROW_STOP : NM_SIGNAL_ARROW_GO);
    }
}

static void stop_points_before_the_end_become_stop_lines(void **state) {
    fixture *f = *state;
    for (size_t t = 0; t < STEPS; t++) { // both signals stop 3 m before the junction
        Womd__DynamicMapState *step = f->made.scenario.dynamic_map_states[t];
        for (size_t i = 0; i < step->n_lane_states; i++) step->lane_states[i]->stop_point->x = SHIFT_X + 17.0;
    }
    const nm_map *map = accepted(f)->map;
    NEAR(lane_by_id(map, 1)->stop_s, 17.0);
    assert_int_not_equal(lane_by_id(map, 1)->stop_line, NM_NONE);
    forget(f);
    for (size_t t = 0; t < STEPS; t++) { // a stop point far along lane 2 rules lane 2 itself
        Womd__DynamicMapState *step = f->made.scenario.dynamic_map_states[t];
        step->lane_states[step->n_lane_states - 1]->stop_point->x = SHIFT_X + (t < 4 ? 28.0 : 20.0);
    }
    map = accepted(f)->map;
    assert_int_equal(lane_by_id(map, 2)->control, NM_CONTROL_SIGNAL);
    NEAR(lane_by_id(map, 2)->stop_s, 8.0);
    assert_int_equal(map->lane_refs[map->signals[0].lanes.first], lane_index(map, 2));
}

static void tracks_come_out(void **state) {
    const nm_scene *scene = accepted(*state);
    assert_int_equal(scene->step_count, STEPS);
    assert_int_equal(scene->current_step, 2);
    assert_int_equal(scene->ego, 0);
    assert_true(scene->dt == 0.1f);
    assert_non_null(scene->timestamps);
    assert_true(scene->timestamps[2] == 0.2003);
    assert_int_equal(scene->track_count, 3);
    assert_int_equal(scene->tracks[0].source_id, 700);
    assert_int_equal(scene->tracks[0].type, NM_AGENT_CAR);
    assert_int_equal(scene->tracks[0].flags, NM_TRACK_EGO);
    assert_true(scene->tracks[0].length == 5.0f); // at the current step
    assert_int_equal(scene->tracks[1].type, NM_AGENT_TRUCK);
    assert_int_equal(scene->tracks[1].flags, NM_TRACK_TO_PREDICT | NM_TRACK_OF_INTEREST);
    assert_int_equal(scene->tracks[1].difficulty, 2);
    assert_int_equal(scene->tracks[1].first_step, 2);
    assert_int_equal(scene->tracks[2].type, NM_AGENT_PEDESTRIAN);
    assert_int_equal(scene->tracks[2].flags, NM_TRACK_OF_INTEREST);
    assert_non_null(scene->state_length);
    for (uint32_t t = 0; t < STEPS; t++) {
        size_t at = nm_scene_at(scene, 0, t);
        assert_int_equal(scene->valid[at], 1);
        assert_int_equal(scene->valid[nm_scene_at(scene, 1, t)], t >= 2);
        NEAR(scene->map->origin.x + (double)scene->x[at], SHIFT_X + 3.0 + t);
        NEAR(scene->map->origin.z + (double)scene->z[at], 12.75);
        NEAR(scene->heading[at], 7.0 + 0.1 * t - 2.0 * 3.14159265358979);
        assert_true(scene->vx[at] == 10.0f && scene->vy[at] == -0.5f);
        assert_true(scene->state_length[at] == 4.5f + 0.25f * (float)t);
    }
    assert_string_equal(scene->provenance.source, "womd");
    assert_string_equal(scene->provenance.file, "test.tfrecord");
    assert_string_equal(scene->provenance.scene_id, "0123456789abcdef");
    assert_int_equal(scene->provenance.record, 0);
    assert_int_equal(scene->tag_count, 0);
}

// ---------------------------------------------------------------------------------------------------------------------
// What is refused: one change each, the message that names it, the field whose place is given.

typedef void change(Womd__Scenario *r);
static void no_steps(Womd__Scenario *r) {
    r->n_timestamps_seconds = 0;
}
static void time_stands(Womd__Scenario *r) {
    r->timestamps_seconds[3] = r->timestamps_seconds[2];
}
static void time_is_nan(Womd__Scenario *r) {
    r->timestamps_seconds[1] = NAN;
}
static void track_too_short(Womd__Scenario *r) {
    r->tracks[1]->n_states = 4;
}
static void signals_too_short(Womd__Scenario *r) {
    r->n_dynamic_map_states = 4;
}
static void now_is_late(Womd__Scenario *r) {
    r->current_time_index = STEPS;
}
static void now_is_negative(Womd__Scenario *r) {
    r->current_time_index = -1;
}
static void ego_is_out(Womd__Scenario *r) {
    r->sdc_track_index = 3;
}
static void ego_is_negative(Womd__Scenario *r) {
    r->sdc_track_index = INT32_MIN;
}
static void predict_is_out(Womd__Scenario *r) {
    r->tracks_to_predict[0]->track_index = INT32_MAX;
}
static void ids_repeat(Womd__Scenario *r) {
    r->tracks[2]->id = 700;
}
static void x_is_nan(Womd__Scenario *r) {
    r->tracks[1]->states[3]->center_x = NAN;
}
static void y_is_far(Womd__Scenario *r) {
    r->tracks[1]->states[3]->center_y = 1e300;
}
static void heading_is_inf(Womd__Scenario *r) {
    r->tracks[0]->states[0]->heading = INFINITY;
}
static void speed_is_nan(Womd__Scenario *r) {
    r->tracks[2]->states[4]->velocity_y = NAN;
}
static void size_is_negative(Womd__Scenario *r) {
    r->tracks[2]->states[4]->width = -1.0f;
}
static void lane_point_is_nan(Womd__Scenario *r) {
    r->map_features[LANE_3]->lane->polyline[7]->y = NAN;
}
static void line_point_is_inf(Womd__Scenario *r) {
    r->map_features[LINE_10]->road_line->polyline[0]->x = INFINITY;
}
static void area_point_is_far(Womd__Scenario *r) {
    r->map_features[BUMP_22]->speed_bump->polygon[3]->z = 1e9;
}
static void sign_is_nan(Womd__Scenario *r) {
    r->map_features[STOP_20]->stop_sign->position->x = NAN;
}
static void stop_point_is_nan(Womd__Scenario *r) {
    r->dynamic_map_states[1]->lane_states[1]->stop_point->y = NAN;
}
static void limit_is_negative(Womd__Scenario *r) {
    r->map_features[LANE_2]->lane->speed_limit_mph = -5.0;
}
static void lane_id_is_negative(Womd__Scenario *r) {
    r->map_features[LANE_2]->id = -2;
}
static void features_repeat(Womd__Scenario *r) {
    r->map_features[EDGE_12]->id = 1;
}
static void id_is_no_text(Womd__Scenario *r) {
    r->scenario_id[3] = '\n';
}
static void id_is_no_utf8(Womd__Scenario *r) {
    r->scenario_id[15] = (char)0xc3;
}

/// Offset of occurrence `nth` of a top-level field, found by packing what comes before it.
static size_t offset_of(const uint8_t *payload, size_t size, uint8_t number, size_t nth) {
    size_t at = 0;
    while (at < size) {
        size_t start = at;
        uint8_t tag = payload[at++], wire = tag & 7;
        if (tag >> 3 == number && nth-- == 0) return start;
        if (wire == 1) {
            at += 8;
            continue;
        }
        size_t value = 0;
        for (unsigned shift = 0;; shift += 7) {
            value |= (size_t)(payload[at] & 0x7f) << shift;
            if (payload[at++] < 0x80) break;
        }
        if (wire == 2) at += value;
    }
    return 0;
}

static void contradictions_are_refused(void **state) {
    fixture *f = *state;
    static const struct {
        change *change;
        const char *message;
        uint8_t field; // 0 = the record
        size_t nth;
    } cases[] = {
        {no_steps, "no time steps", 0, 0},
        {time_stands, "timestamp 3", 1, 3},
        {time_is_nan, "timestamp 1", 1, 1},
        {track_too_short, "track 1 (id 12) has 4 states, but there are 5", 2, 1},
        {signals_too_short, "signal states for 4 steps", 7, 0},
        {now_is_late, "current_time_index is 5", 10, 0},
        {now_is_negative, "current_time_index is -1", 10, 0},
        {ego_is_out, "sdc_track_index is 3", 6, 0},
        {ego_is_negative, "sdc_track_index is -2147483648", 6, 0},
        {predict_is_out, "names track 2147483647", 11, 0},
        {ids_repeat, "700", 2, 2},
        {x_is_nan, "track 1 (id 12), step 3: the position", 2, 1},
        {y_is_far, "track 1 (id 12), step 3: the position", 2, 1},
        {heading_is_inf, "track 0 (id 700), step 0: heading", 2, 0},
        {speed_is_nan, "track 2 (id 350), step 4: heading or velocity", 2, 2},
        {size_is_negative, "track 2 (id 350), step 4: a size", 2, 2},
        {lane_point_is_nan, "point 7 of map feature 3", 8, LANE_3},
        {line_point_is_inf, "point 0 of map feature 10", 8, LINE_10},
        {area_point_is_far, "point 3 of map feature 22", 8, BUMP_22},
        {sign_is_nan, "stop sign 20", 8, STOP_20},
        {stop_point_is_nan, "stop point of lane 2", 7, 1},
        {limit_is_negative, "-5 mph", 8, LANE_2},
        {lane_id_is_negative, "lane id -2", 8, LANE_2},
        {features_repeat, "id 1 is used twice", 8, EDGE_12},
        {id_is_no_text, "plain text", 5, 0},
        {id_is_no_utf8, "plain text", 5, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->made = sample_make(f->arena);
        cases[i].change(&f->made.scenario);
        size_t size;
        const uint8_t *payload = sample_pack(&f->made, &size);
        read_payload(f, payload, size);
        assert_int_equal(f->scene_count, 0);
        assert_int_equal(f->refusal_count, 1);
        const nm_error *error = &f->refusals[0];
        if (!strstr(error->message, cases[i].message)) fail_msg("case %zu says: %s", i, error->message);
        assert_non_null(strstr(error->message, "record 0"));
        assert_int_equal(error->code, NM_E_FORMAT);
        assert_string_equal(error->input, "dir/test.tfrecord");
        size_t place = cases[i].field ? offset_of(payload, size, cases[i].field, cases[i].nth) : 0;
        assert_int_equal(error->offset, place + NM_TFRECORD_HEADER);
        forget(f);
    }
}

static void limits_hold(void **state) {
    fixture *f = *state;
    const nm_import_limits limits = f->context.limits;
    for (int i = 0; i < 4; i++) {
        f->context.limits = limits;
        if (i == 0) f->context.limits.max_tracks = 2;
        if (i == 1) f->context.limits.max_steps = 4;
        if (i == 2) f->context.limits.max_lanes = 3;
        if (i == 3) f->context.limits.max_cells = 3 * STEPS - 1;
        read_made(f);
        assert_int_equal(f->refusal_count, 1);
        assert_int_equal(f->refusals[0].code, NM_E_LIMIT);
        forget(f);
    }
    f->context.limits = limits;
    accepted(f);
}

static void broken_messages_are_placed(void **state) {
    fixture *f = *state;
    size_t size;
    uint8_t *payload = sample_pack(&f->made, &size);
    size_t track = offset_of(payload, size, 2, 1), map = offset_of(payload, size, 8, 3);
    uint8_t saved = payload[map + 2];
    payload[map + 2] = 0x07; // wire type 7 does not exist
    read_payload(f, payload, size);
    assert_int_equal(f->refusals[0].code, NM_E_FORMAT);
    assert_non_null(strstr(f->refusals[0].message, "field 8 is no MapFeature"));
    assert_int_equal(f->refusals[0].offset, map + NM_TFRECORD_HEADER);
    forget(f);
    payload[map + 2] = saved;
    payload[track] = 0x07;
    read_payload(f, payload, size);
    assert_non_null(strstr(f->refusals[0].message, "no field can be read here"));
    assert_int_equal(f->refusals[0].offset, track + NM_TFRECORD_HEADER);
    forget(f);
    // cut off anywhere: refused with a place, or shorter by whole fields and refused or read for that
    payload[track] = 0x12;
    for (size_t cut = 0; cut < size; cut += 7) {
        read_payload(f, payload, cut);
        assert_int_equal(f->scene_count + f->refusal_count, 1);
        if (f->refusal_count) assert_true(f->refusals[0].offset >= 12 && (size_t)f->refusals[0].offset <= 12 + cut);
        forget(f);
    }
}

static void tiny_bytes_can_not_ask_for_much_memory(void **state) {
    fixture *f = *state;
    // a track of three million empty states is 6 MB on the wire and would be over 350 MB in memory
    size_t states = 3000000, content = 2 * states, at = 0;
    uint8_t *payload = malloc(content + 16);
    assert_non_null(payload);
    payload[at++] = 0x12;
    for (size_t left = content; left; left >>= 7) payload[at++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    for (size_t i = 0; i < states; i++) {
        payload[at++] = 0x1a;
        payload[at++] = 0;
    }
    read_payload(f, payload, at);
    free(payload);
    assert_int_equal(f->refusal_count, 1);
    assert_int_equal(f->refusals[0].code, NM_E_MEMORY);
    forget(f);
    accepted(f); // and the next record is read as ever
}

static void endless_matching_is_refused(void **state) {
    fixture *f = *state;
    Womd__LaneCenter *lane = f->made.scenario.map_features[LANE_1]->lane;
    Womd__StopSign *sign = f->made.scenario.map_features[STOP_20]->stop_sign;
    size_t count = 180000;
    Womd__BoundarySegment **segments = sample_take(&f->made, count, sizeof *segments);
    for (size_t i = 0; i < count; i++) segments[i] = lane->left_boundaries[0];
    lane->n_left_boundaries = count;
    lane->left_boundaries = segments;
    read_made(f);
    assert_int_equal(f->refusals[0].code, NM_E_LIMIT);
    assert_non_null(strstr(f->refusals[0].message, "too many and too long"));
    forget(f);
    lane->n_left_boundaries = 1;
    sign->n_lane = 1300000;
    sign->lane = sample_take(&f->made, sign->n_lane, sizeof *sign->lane);
    for (size_t i = 0; i < sign->n_lane; i++) sign->lane[i] = 1;
    read_made(f);
    assert_int_equal(f->refusals[0].code, NM_E_LIMIT);
}

static void absurd_rates_are_refused(void **state) {
    fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        for (size_t t = 0; t < STEPS; t++) f->made.scenario.timestamps_seconds[t] = (double)t * (i ? 1e-300 : 1e5);
        read_made(f);
        assert_non_null(strstr(f->refusals[0].message, "a time step of"));
        forget(f);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What is odd but real: accepted, left out, counted

static void odd_parts_are_counted(void **state) {
    fixture *f = *state;
    Womd__Scenario *r = &f->made.scenario;
    r->map_features[LANE_3]->lane->n_polyline = 1;       // a lane cut down to one point ...
    r->map_features[LANE_2]->lane->entry_lanes[0] = 999; // ... and a reference out of the map
    r->map_features[LANE_1]->lane->left_boundaries[0]->boundary_feature_id = 998;
    r->objects_of_interest[0] = 997;
    r->map_features[LANE_1]->lane->right_boundaries[0]->lane_end_index = 41;
    SAMPLE_SET(r->map_features[LANE_4]->lane->left_neighbors[0], self_start_index, 20);
    r->map_features[LANE_1]->lane->right_neighbors[0]->neighbor_start_index = -1;
    r->map_features[LINE_10]->road_line->n_polyline = 1;
    r->map_features[CROSSWALK_21]->crosswalk->n_polygon = 2;
    r->map_features[DRIVEWAY_23]->feature_data_case = WOMD__MAP_FEATURE__FEATURE_DATA__NOT_SET;
    r->dynamic_map_states[1]->lane_states[0]->lane = 2; // the second state for lane 2
    r->timestamps_seconds[4] += 0.05;
    const nm_scene *scene = accepted(f);
    assert_int_equal(scene->map->lane_count, 3);
    assert_int_equal(scene->map->line_count, 2);
    assert_int_equal(scene->map->area_count, 1);
    assert_int_equal(scene->map->neighbour_count, 0);
    // exits of lane 1 to lane 3, entry 999, boundary 998, object 997, signal of lane 3
    assert_true(has_tag(scene, "dangling_references:5"));
    assert_true(has_tag(scene, "one_point_lanes:1"));
    assert_true(has_tag(scene, "bad_ranges:3"));
    assert_true(has_tag(scene, "degenerate_features:2"));
    assert_true(has_tag(scene, "unknown_features:1"));
    assert_true(has_tag(scene, "repeated_signal_states:1"));
    assert_true(has_tag(scene, "irregular_time_steps:1"));
    assert_int_equal(scene->tag_count, 7);
    assert_int_equal(nm_scene_signal(scene, 0, 1), NM_SIGNAL_ARROW_STOP); // the first state was kept
}

static void other_rates_keep_their_step(void **state) {
    fixture *f = *state;
    for (size_t t = 0; t < STEPS; t++) f->made.scenario.timestamps_seconds[t] = 0.5 * (double)t;
    const nm_scene *scene = accepted(f);
    assert_true(scene->dt == 0.5f);
    assert_int_equal(scene->tag_count, 0);
}

static void invalid_states_are_not_looked_at(void **state) {
    fixture *f = *state;
    Womd__ObjectState *s = f->made.scenario.tracks[0]->states[4];
    s->valid = 0; // everything else is there, and some of it is nonsense
    s->center_x = NAN;
    s->length = -1.0f;
    const nm_scene *scene = accepted(f);
    assert_int_equal(scene->valid[nm_scene_at(scene, 0, 4)], 0);
    assert_true(scene->x[nm_scene_at(scene, 0, 4)] == 0.0f);
    assert_int_equal(scene->tracks[0].last_step, 3);
}

static void empty_parts_are_fine(void **state) {
    fixture *f = *state;
    f->made.scenario.n_map_features = 0;
    const nm_scene *scene = accepted(f);
    assert_int_equal(scene->map->lane_count, 0);
    NEAR(scene->x[nm_scene_at(scene, 2, 1)] + (float)(scene->map->origin.x - SHIFT_X), 14.0); // precise without lanes
    assert_true(fabs(scene->map->origin.x - SHIFT_X) < 100.0);
    forget(f);
    f->made = sample_make(f->arena);
    f->made.scenario.n_tracks = f->made.scenario.n_tracks_to_predict = f->made.scenario.n_objects_of_interest = 0;
    f->made.scenario.has_sdc_track_index = 0;
    f->made.scenario.n_dynamic_map_states = 0;
    scene = accepted(f);
    assert_int_equal(scene->track_count, 0);
    assert_int_equal(scene->ego, NM_NONE);
}

/// Messages that are packed the other way, or hold more than is declared, mean the same.
static void wire_forms_are_tolerated(void **state) {
    fixture *f = *state;
    size_t size;
    const uint8_t *packed = sample_pack(&f->made, &size);
    static const uint8_t more[] = {0x22, 0x02, 0xbc, 0x05,       // objects_of_interest, packed: 700
                                   0x62, 0x03, 0xff, 0xff, 0xff, // field 12: lidar, not to be looked into
                                   0x6a, 0x00,                   // field 13: camera tokens
                                   0xa0, 0x06, 0x01};            // field 100
    uint8_t *payload = malloc(size + sizeof more);
    assert_non_null(payload);
    memcpy(payload, packed, size);
    memcpy(payload + size, more, sizeof more);
    read_payload(f, payload, size + sizeof more);
    free(payload);
    assert_int_equal(f->refusal_count, 0);
    assert_int_equal(f->scenes[0]->tracks[0].flags, NM_TRACK_EGO | NM_TRACK_OF_INTEREST);
}

// ---------------------------------------------------------------------------------------------------------------------
// Files of several records

static size_t three_records(fixture *f, uint8_t **file) {
    size_t size, at = 0;
    const uint8_t *good = sample_pack(&f->made, &size);
    *file = malloc(3 * (size + 16));
    assert_non_null(*file);
    at += sample_frame(*file, good, size);
    at += sample_frame(*file + at, "\x07", 1);
    at += sample_frame(*file + at, good, size);
    return at;
}

static void other_records_go_on(void **state) {
    fixture *f = *state;
    uint8_t *file;
    nm_error error = {0};
    size_t size = three_records(f, &file), first = size - 17;
    assert_int_equal(read_file(f, file, size, refuse, &error), NM_OK);
    assert_int_equal(f->scene_count, 2);
    assert_int_equal(f->refusal_count, 1);
    assert_int_equal(f->records[0], 0);
    assert_int_equal(f->records[1], 2);
    assert_int_equal(f->scenes[1]->provenance.record, 2);
    assert_int_equal(f->scenes[0]->hash, f->scenes[1]->hash);
    assert_int_equal(f->refusals[0].offset, first / 2 + 12);
    forget(f);
    assert_int_equal(read_file(f, file, size, NULL, &error), NM_E_FORMAT); // nobody to tell: stop at the first
    assert_int_equal(error.offset, first / 2 + 12);
    assert_int_equal(f->scene_count, 1);
    forget(f);
    f->answer = NM_E_CANCELLED;
    assert_int_equal(read_file(f, file, size, refuse, &error), NM_E_CANCELLED);
    assert_int_equal(f->scene_count, 1);
    forget(f);
    f->answer = NM_OK;
    file[size - 1] ^= 1; // the checksum of the last payload
    assert_int_equal(read_file(f, file, size, refuse, &error), NM_OK);
    assert_int_equal(f->scene_count, 1);
    assert_int_equal(f->refusal_count, 2);
    free(file);
}

typedef struct file_bytes {
    const uint8_t *bytes;
    size_t size, at, fail_at;
} file_bytes;

static nm_status next_bytes(void *context, void *buffer, size_t size, size_t *got, nm_error *error) {
    file_bytes *f = context;
    if (f->at >= f->fail_at) return NM_ERROR(error, NM_E_IO, "the disk is gone");
    *got = f->size - f->at < size ? f->size - f->at : size;
    if (*got > 1000) *got = 1000;
    memcpy(buffer, f->bytes + f->at, *got);
    f->at += *got;
    return NM_OK;
}

static void streams_read_the_same(void **state) {
    fixture *f = *state;
    uint8_t *file;
    size_t size = three_records(f, &file);
    assert_int_equal(read_file(f, file, size, refuse, NULL), NM_OK);
    uint64_t hash = f->scenes[0]->hash;
    nm_error expected = f->refusals[0];
    for (size_t fail_at = size; fail_at > 0; fail_at = fail_at == size ? size / 2 : 0) {
        forget(f);
        file_bytes bytes = {file, size, 0, fail_at == size ? SIZE_MAX : fail_at};
        assert_int_equal(
            nm_womd_read_stream(&f->context, "dir/test.tfrecord", next_bytes, &bytes, keep, refuse, f, NULL), NM_OK);
        assert_int_equal(f->scene_count, fail_at == size ? 2 : 1);
        assert_int_equal(f->scenes[0]->hash, hash);
        if (fail_at != size)
            assert_int_equal(f->refusals[f->refusal_count - 1].code, NM_E_IO);
        else
            assert_memory_equal(&f->refusals[0], &expected, sizeof expected);
    }
    free(file);
}

static nm_status take_hash(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)error;
    ((uint64_t *)context)[record] = scene->hash;
    nm_scene_destroy(scene);
    return NM_OK;
}
static void ignore(void *context, const nm_error *error) {
    (void)context, (void)error;
}

static void files_are_read_by_record(void **state) {
    fixture *f = *state;
    uint8_t *file;
    size_t size = three_records(f, &file);
    assert_int_equal(read_file(f, file, size, refuse, NULL), NM_OK);
    char path[64];
    snprintf(path, sizeof path, "/tmp/nm-womd-%ld", (long)getpid());
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(file, 1, size, out), size);
    fclose(out);
    nm_import_limits limits = nm_import_limits_default();
    limits.max_file_bytes = 5000; // of what is held whole: this file is not
    nm_importer *importer = nm_importer_create(&limits);
    uint64_t hashes[3] = {0}, bytes_read = 0;
    assert_int_equal(nm_import_file(importer, path, take_hash, ignore, hashes, &bytes_read, NULL), NM_OK);
    assert_int_equal(hashes[0], f->scenes[0]->hash);
    assert_int_equal(hashes[1], 0);
    assert_int_equal(hashes[2], f->scenes[1]->hash);
    assert_int_equal(bytes_read, size);
    nm_importer_destroy(importer);
    unlink(path);
    free(file);
}

static void examples_are_recognised(void **state) {
    fixture *f = *state;
    static const uint8_t example[] = "\x0a\x18\x0a\x16\x0a\x0bscenario/id\x12\x07\x0a\x05\x0a\x03"
                                     "abc";
    assert_true(nm_womd_is_example(example, sizeof example - 1));
    assert_true(nm_womd_is_example(example, 10)); // the head of one
    assert_false(nm_womd_is_example(example, 5 - 1));
    assert_false(nm_womd_is_example(NULL, 0));
    size_t size;
    const uint8_t *payload = sample_pack(&f->made, &size);
    assert_false(nm_womd_is_example(payload, size));
    uint8_t file[128];
    size = sample_frame(file, example, sizeof example - 1);
    size += sample_frame(file + size, example, sizeof example - 1);
    assert_int_equal(read_file(f, file, size, refuse, NULL), NM_OK);
    assert_int_equal(f->refusal_count, 1); // said once for the file
    assert_int_equal(f->refusals[0].code, NM_E_UNSUPPORTED);
    assert_non_null(strstr(f->refusals[0].message, "tf.Example"));
    assert_non_null(strstr(f->refusals[0].message, "training.tfrecord-00000-of-01000"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(lanes_come_out),
        TEST(other_features_come_out),
        TEST(signals_rule_the_lanes_before_them),
        TEST(stop_points_before_the_end_become_stop_lines),
        TEST(tracks_come_out),
        TEST(contradictions_are_refused),
        TEST(limits_hold),
        TEST(broken_messages_are_placed),
        TEST(tiny_bytes_can_not_ask_for_much_memory),
        TEST(endless_matching_is_refused),
        TEST(absurd_rates_are_refused),
        TEST(odd_parts_are_counted),
        TEST(other_rates_keep_their_step),
        TEST(invalid_states_are_not_looked_at),
        TEST(empty_parts_are_fine),
        TEST(wire_forms_are_tolerated),
        TEST(other_records_go_on),
        TEST(streams_read_the_same),
        TEST(files_are_read_by_record),
        TEST(examples_are_recognised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
