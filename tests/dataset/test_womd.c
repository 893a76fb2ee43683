/// The WOMD reader on a scenario made by hand: what comes out, and what is left out and counted.
#include "dataset/womd_private.h"
#include "womd_fixture.h"

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
    assert_int_equal(map->repairs[NM_REPAIR_ONE_WAY_REFERENCE], 0);
}

/// Moves a polyline: from (x0, y0) to (x1, y1), unshifted.
static void lay(Womd__MapPoint **points, size_t count, double x0, double y0, double x1, double y1) {
    for (size_t i = 0; i < count; i++) {
        double k = (double)i / (double)(count - 1);
        points[i]->x = SHIFT_X + x0 + k * (x1 - x0);
        points[i]->y = SHIFT_Y + y0 + k * (y1 - y0);
    }
}

static void borders_are_found_in_any_direction(void **state) {
    static const double headings[] = {0.3, 1.9, 3.0, 4.4, 5.5};
    fixture *f = *state;
    for (size_t k = 0; k < sizeof headings / sizeof headings[0]; k++) {
        f->made = sample_make(f->arena);
        double c = cos(headings[k]), s = sin(headings[k]);
        Womd__LaneCenter *lane = f->made.scenario.map_features[LANE_1]->lane;
        lay(lane->polyline, 41, 0, 0, 20 * c, 20 * s);
        lane->n_exit_lanes = 0;
        Womd__RoadLine *right = f->made.scenario.map_features[LINE_10]->road_line;
        Womd__RoadEdge *left = f->made.scenario.map_features[EDGE_11]->road_edge;
        lay(right->polyline, 8, 2 * s - c, -2 * c - s, 2 * s + 21 * c, -2 * c + 21 * s); // 2 m to the right
        lay(left->polyline, 8, -1.5 * s - c, 1.5 * c - s, -1.5 * s + 21 * c, 1.5 * c + 21 * s);
        const nm_map *map = accepted(f)->map;
        const nm_lane *found = lane_by_id(map, 1);
        for (uint32_t i = found->points.first; i < found->points.first + 41; i++) {
            NEAR((double)map->left[i].x, (double)map->centre[i].x - 1.5 * s);
            NEAR((double)map->left[i].y, (double)map->centre[i].y + 1.5 * c);
            NEAR((double)map->right[i].x, (double)map->centre[i].x + 2.0 * s);
            NEAR((double)map->right[i].y, (double)map->centre[i].y - 2.0 * c);
        }
        forget(f);
    }
}

static void gaps_between_borders_are_bridged(void **state) {
    fixture *f = *state;
    Womd__LaneCenter *lane = f->made.scenario.map_features[LANE_1]->lane;
    // the left boundary is made of two edges with a hole from x = 8 to 12, and they end 2 m before the lane does
    lay(f->made.scenario.map_features[EDGE_11]->road_edge->polyline, 8, 2, 1.5, 8, 1.5);
    lay(f->made.scenario.map_features[EDGE_12]->road_edge->polyline, 8, 12, 2.5, 18, 2.5);
    Womd__BoundarySegment **both = sample_take(&f->made, 2, sizeof *both);
    both[0] = lane->left_boundaries[0];
    both[1] = sample_boundary(&f->made, 0, 40, 12, WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_UNKNOWN)[0];
    lane->left_boundaries = both;
    lane->n_left_boundaries = 2;
    const nm_map *map = accepted(f)->map;
    const nm_lane *found = lane_by_id(map, 1);
    assert_int_equal(found->flags & NM_LANE_ASSUMED_LEFT, 0);
    static const struct {
        uint32_t point; // every 0.5 m
        double width;
    } expected[] = {{0, 1.5}, {4, 1.5}, {16, 1.5}, {18, 1.75}, {20, 2.0}, {22, 2.25}, {24, 2.5}, {36, 2.5}, {40, 2.5}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        NEAR(map->origin.y + (double)map->left[found->points.first + expected[i].point].y, SHIFT_Y + expected[i].width);
    }
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
// What is odd but real: accepted, left out, counted

static void odd_parts_are_counted(void **state) {
    fixture *f = *state;
    Womd__Scenario *r = &f->made.scenario;
    r->map_features[LANE_3]->lane->n_polyline = 1;       // a lane cut down to one point ...
    r->map_features[LANE_2]->lane->entry_lanes[0] = 999; // ... and a reference out of the map
    r->map_features[LANE_1]->lane->left_boundaries[0]->boundary_feature_id = 998;
    r->objects_of_interest = (int32_t[]){997, 12, 996};
    r->n_objects_of_interest = 3;
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
    // exits of lane 1 to lane 3, entry 999, boundary 998, objects 997 and 996, signal of lane 3
    assert_true(has_tag(scene, "dangling_references:6"));
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

/// The fast reader takes records as they are written, and leaves anything odd to protobuf-c.
static void ordinary_records_are_read_fast(void **state) {
    fixture *f = *state;
    nm_womd_record record = {.context = &f->context, .arena = nm_arena_create(0), .name = "test"};
    size_t size;
    uint8_t *payload = sample_pack(&f->made, &size);
    record.frame = (nm_tfrecord){.payload = payload, .size = size};
    const Womd__Scenario *read = nm_womd_unpack_fast(&record);
    assert_non_null(read);
    uint8_t *packed = malloc(size);
    assert_non_null(packed);
    assert_int_equal(womd__scenario__get_packed_size(read), size);
    womd__scenario__pack(read, packed);
    assert_memory_equal(packed, payload, size);
    free(packed);
    f->made.scenario.tracks[0]->id = -5; // ten bytes: protobuf-c's
    payload = sample_pack(&f->made, &size);
    record.frame = (nm_tfrecord){.payload = payload, .size = size};
    assert_null(nm_womd_unpack_fast(&record));
    assert_int_equal(accepted(f)->tracks[0].source_id, -5);
    nm_arena_destroy(record.arena);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(lanes_come_out),
        TEST(borders_are_found_in_any_direction),
        TEST(gaps_between_borders_are_bridged),
        TEST(other_features_come_out),
        TEST(signals_rule_the_lanes_before_them),
        TEST(stop_points_before_the_end_become_stop_lines),
        TEST(tracks_come_out),
        TEST(odd_parts_are_counted),
        TEST(other_rates_keep_their_step),
        TEST(invalid_states_are_not_looked_at),
        TEST(empty_parts_are_fine),
        TEST(wire_forms_are_tolerated),
        TEST(ordinary_records_are_read_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
