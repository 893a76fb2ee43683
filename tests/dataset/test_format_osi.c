/// OSI traces: what the standard holds comes back, whatever is broken is refused or read as far as it goes.
#include "formats_support.h"

#include "dataset/protos/osi.pb-c.h"
#include "sim/bytes.h"

/// Lanes with their borders bit for bit, and how they hang together.
static void compare_maps(const nm_map *a, const nm_map *b) {
    assert_true(a->origin.x == b->origin.x && a->origin.y == b->origin.y && a->origin.z == b->origin.z);
    assert_int_equal(a->lane_count, b->lane_count);
    assert_int_equal(a->point_count, b->point_count);
    assert_memory_equal(a->centre, b->centre, a->point_count * sizeof *a->centre);
    assert_memory_equal(a->left, b->left, a->point_count * sizeof *a->left);
    assert_memory_equal(a->right, b->right, a->point_count * sizeof *a->right);
    assert_memory_equal(a->z, b->z, a->point_count * sizeof *a->z);
    assert_int_equal(a->lane_ref_count, b->lane_ref_count);
    assert_int_equal(a->neighbour_count, b->neighbour_count);
    const nm_map_source x = nm_map_get_source(a), y = nm_map_get_source(b);
    for (uint32_t i = 0; i < a->lane_count; i++) {
        const nm_lane *p = &a->lanes[i], *q = &b->lanes[i];
        assert_int_equal(p->source_id, q->source_id);
        assert_int_equal(p->type, q->type);
        assert_int_equal(p->turn, q->turn);
        assert_int_equal(p->control, q->control);
        assert_int_equal(p->left_marking, q->left_marking);
        assert_int_equal(p->right_colour, q->right_colour);
        assert_int_equal(x.lane_flags[i] & 3, y.lane_flags[i] & 3);
        assert_int_equal(x.lane_junctions[i] == NM_NONE, y.lane_junctions[i] == NM_NONE);
        assert_true(p->speed_limit == q->speed_limit && p->length == q->length);
        assert_int_equal(p->successors.count, q->successors.count);
        assert_memory_equal(a->lane_refs + p->successors.first, b->lane_refs + q->successors.first,
                            p->successors.count * sizeof *a->lane_refs);
        assert_memory_equal(a->lane_refs + p->predecessors.first, b->lane_refs + q->predecessors.first,
                            p->predecessors.count * sizeof *a->lane_refs);
        assert_int_equal(p->left.count, q->left.count);
        assert_int_equal(p->right.count, q->right.count);
        for (uint32_t k = 0; k < p->left.count; k++) {
            const nm_neighbour *m = &a->neighbours[p->left.first + k], *n = &b->neighbours[q->left.first + k];
            assert_int_equal(m->lane, n->lane);
            assert_int_equal(m->opposite, n->opposite);
            assert_float_equal(m->self_start, n->self_start, 1e-4);
            assert_float_equal(m->other_end, n->other_end, 1e-4);
        }
    }
    assert_int_equal(a->line_count, b->line_count);
    assert_int_equal(a->line_point_count, b->line_point_count);
    assert_memory_equal(a->line_points, b->line_points, a->line_point_count * sizeof *a->line_points);
    for (uint32_t i = 0; i < a->line_count; i++) assert_int_equal(a->lines[i].marking, b->lines[i].marking);
    uint32_t areas = 0;
    for (uint32_t i = 0; i < a->area_count; i++) areas += a->areas[i].kind != NM_AREA_DRIVEWAY;
    assert_int_equal(areas, b->area_count);
    assert_int_equal(a->sign_count, b->sign_count);
    assert_int_equal(a->signal_count, b->signal_count);
    for (uint32_t i = 0; i < a->signal_count; i++) {
        assert_int_equal(a->signals[i].source_id, b->signals[i].source_id);
        assert_int_equal(a->signals[i].turn, b->signals[i].turn);
        assert_true(a->signals[i].position.x == b->signals[i].position.x);
        assert_int_equal(a->signals[i].lanes.count, b->signals[i].lanes.count);
    }
}

static void compare_signals(const nm_scene *a, const nm_scene *b) {
    for (uint32_t i = 0; i < a->map->signal_count; i++) {
        for (uint32_t t = 0; t < a->step_count; t++)
            assert_int_equal(nm_scene_signal(a, i, t), nm_scene_signal(b, i, t));
    }
}

static void round_trip_as(const nm_encoder *encoder) {
    caught c = {0};
    for (uint64_t seed = 0; seed < FORMAT_SCENES; seed++) {
        const nm_scene *scene = random_scene(seed);
        const nm_export_item item = {.scene = scene, .id = (int64_t)seed};
        const nm_scene *back = round_trip(encoder, &item, &c);
        compare_states(scene, back, 1);
        compare_maps(scene->map, back->map);
        compare_signals(scene, back);
        assert_int_equal(back->step_count, scene->step_count);
        assert_true(back->dt == scene->dt || scene->timestamps || scene->step_count == 1);
        for (uint32_t t = 0; t < scene->step_count && scene->timestamps && back->timestamps; t++)
            assert_float_equal(scene->timestamps[t], back->timestamps[t], 1.1e-9 * 1e3);
        int host = scene->ego != NM_NONE && scene->tracks[scene->ego].first_step <= scene->tracks[scene->ego].last_step;
        assert_int_equal(back->ego != NM_NONE, host);
        if (host) assert_int_equal(back->tracks[back->ego].source_id, scene->tracks[scene->ego].source_id);
        assert_int_equal(back->tag_count, 0);
        nm_scene_destroy(scene);
    }
    forget_caught(&c);
}

static void test_round_trip(void **state) {
    (void)state;
    round_trip_as(&nm_encoder_osi);
}
static void test_complete(void **state) {
    (void)state;
    round_trip_as(&nm_encoder_osi_complete);
}

/// The convention of file names, and what tells a trace.
static void test_name(void **state) {
    (void)state;
    const nm_scene *scene = random_scene(1);
    nm_scene dated = *scene;
    double times[64];
    for (uint32_t i = 0; i < scene->step_count; i++) times[i] = 1735689600.5 + i; // 2025-01-01
    dated.timestamps = times;
    const nm_export_item item = {.scene = &dated, .id = 42};
    nm_encoded out = {0};
    char name[64];
    assert_int_equal(encode_item(&nm_encoder_osi, &item, &out, NULL), NM_OK);
    snprintf(name, sizeof name, "20250101T000000Z_gt_370_32112_%u_000042.osi", scene->step_count);
    assert_string_equal(out.main_name, name);
    assert_int_equal(nm_detect_format(out.main.bytes, 64), NM_FORMAT_OSI);
    nm_byte_buffer_free(&out.main);
    nm_scene_destroy(scene);
}

/// A trace that breaks off is read up to there; one that lies about a length is cut there; other bytes are refused.
static void test_cut(void **state) {
    (void)state;
    uint64_t seed = 0;
    const nm_scene *scene = random_scene(seed);
    while (scene->step_count < 5) {
        nm_scene_destroy(scene);
        scene = random_scene(++seed);
    }
    const nm_export_item item = {.scene = scene};
    size_t size;
    uint8_t *bytes = make_file(&nm_encoder_osi, &item, &size);
    const size_t first = nm_load32(bytes) + 4;
    caught c = {0};
    import_bytes(&c, bytes, size - 1);
    assert_int_equal(c.count, 1);
    assert_int_equal(c.scenes[0]->step_count, scene->step_count - 1);
    assert_int_equal(c.scenes[0]->tag_count, 1);
    assert_string_equal(c.scenes[0]->tags[0], "truncated_trace:1");
    import_bytes(&c, bytes, first);
    assert_int_equal(c.scenes[0]->step_count, 1);
    for (size_t cut = first - 1; cut > 10; cut = cut * 3 / 4) {
        import_bytes(&c, bytes, cut);
        assert_int_equal(c.refusals, 1);
        assert_non_null(strstr(c.refusal.message, "cut off"));
    }
    bytes[first + 6] ^= 0xff; // inside the second message
    bytes[first + 9] ^= 0xff;
    import_bytes(&c, bytes, size);
    assert_int_equal(c.refusals, 1);
    assert_true(c.refusal.offset == (int64_t)first);
    forget_caught(&c);
    free(bytes);
    nm_scene_destroy(scene);
}

/// Traces from elsewhere, made with generated code: one message a step.
typedef struct foreign {
    nm_byte_buffer bytes;
} foreign;

static void append(foreign *f, const ProtobufCMessage *message) {
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *at = nm_byte_buffer_grow(&f->bytes, size + 4);
    assert_non_null(at);
    nm_store32(at, (uint32_t)size);
    protobuf_c_message_pack(message, at + 4);
}

#define SET(message, field, value) ((message).has_##field = 1, (message).field = (value))

typedef struct frame {
    Osi3__GroundTruth truth;
    Osi3__InterfaceVersion version;
    Osi3__Timestamp time;
    Osi3__Identifier host, id;
    Osi3__MovingObject object, *objects[1];
    Osi3__BaseMoving base;
    Osi3__Vector3d position;
    Osi3__Dimension3d size;
} frame;

/// A car of 4.5 m at x, without velocity or orientation.
static frame make_frame(double x, double seconds) {
    frame f = {.truth = OSI3__GROUND_TRUTH__INIT,
               .version = OSI3__INTERFACE_VERSION__INIT,
               .time = OSI3__TIMESTAMP__INIT,
               .host = OSI3__IDENTIFIER__INIT,
               .id = OSI3__IDENTIFIER__INIT,
               .object = OSI3__MOVING_OBJECT__INIT,
               .base = OSI3__BASE_MOVING__INIT,
               .position = OSI3__VECTOR3D__INIT,
               .size = OSI3__DIMENSION3D__INIT};
    SET(f.version, version_major, 3);
    SET(f.version, version_minor, 5);
    SET(f.time, seconds, (int64_t)seconds);
    SET(f.time, nanos, (uint32_t)lround((seconds - floor(seconds)) * 1e9));
    SET(f.host, value, 99);
    SET(f.id, value, 99);
    SET(f.position, x, x);
    SET(f.position, y, 5.0);
    SET(f.size, length, 4.5);
    SET(f.size, width, 1.8);
    SET(f.object, type, 2);
    return f;
}

static void link_frame(frame *f) {
    f->base.position = &f->position;
    f->base.dimension = &f->size;
    f->object.id = &f->id;
    f->object.base_values = &f->base;
    f->objects[0] = &f->object;
    f->truth.version = &f->version;
    f->truth.timestamp = &f->time;
    f->truth.host_vehicle_id = &f->host;
    f->truth.n_moving_object = 1;
    f->truth.moving_object = f->objects;
}

static void test_foreign(void **state) {
    (void)state;
    for (int wrapped = 0; wrapped < 2; wrapped++) { // bare, and as SensorView
        foreign trace = {0};
        for (int i = 0; i < 4; i++) {
            frame f = make_frame(3e6 + 2.0 * i, 100.0 + 0.2 * i);
            link_frame(&f);
            Osi3__SensorView view = OSI3__SENSOR_VIEW__INIT;
            view.version = &f.version;
            view.timestamp = &f.time;
            view.global_ground_truth = &f.truth;
            append(&trace, wrapped ? &view.base : &f.truth.base);
            if (i == 1) append(&trace, &(Osi3__GroundTruth)OSI3__GROUND_TRUTH__INIT.base); // empty: no step
        }
        caught c = {0};
        import_bytes(&c, trace.bytes.bytes, trace.bytes.size);
        if (c.refusals) fail_msg("%s", c.refusal.message);
        const nm_scene *s = c.scenes[0];
        assert_int_equal(s->step_count, 4);
        assert_true(s->dt == 0.2f && s->timestamps && s->timestamps[0] == 100.0);
        assert_int_equal(s->ego, 0);
        assert_int_equal(s->tracks[0].type, NM_AGENT_CAR);
        assert_int_equal(s->tracks[0].source_id, 99);
        assert_float_equal(s->vx[0], 10.0, 1e-4);
        assert_float_equal(s->vx[3], 10.0, 1e-4);
        assert_float_equal(s->heading[2], 0.0, 1e-6);
        assert_true(s->map->origin.x + (double)s->x[3] == 3e6 + 6.0); // not rounded to floats of 3e6
        forget_caught(&c);
        nm_byte_buffer_free(&trace.bytes);
    }
}

/// Physical lanes alone, as before 3.5: two boundaries of different point counts.
static void test_physical_lanes(void **state) {
    (void)state;
    frame f = make_frame(1.0, 0.0);
    link_frame(&f);
    Osi3__Vector3d points[5];
    Osi3__BoundaryPoint ends[5], *left_line[2], *right_line[3];
    const double at[5][2] = {{0, 2}, {20, 2}, {0, -2}, {8, -2}, {20, -2}};
    for (int i = 0; i < 5; i++) {
        points[i] = (Osi3__Vector3d)OSI3__VECTOR3D__INIT;
        ends[i] = (Osi3__BoundaryPoint)OSI3__BOUNDARY_POINT__INIT;
        SET(points[i], x, at[i][0]);
        SET(points[i], y, at[i][1]);
        ends[i].position = &points[i];
        if (i < 2)
            left_line[i] = &ends[i];
        else
            right_line[i - 2] = &ends[i];
    }
    Osi3__Identifier ids[3] = {OSI3__IDENTIFIER__INIT, OSI3__IDENTIFIER__INIT, OSI3__IDENTIFIER__INIT};
    for (uint64_t i = 0; i < 3; i++) SET(ids[i], value, 10 + i);
    Osi3__Identifier *left_ids[] = {&ids[0]}, *right_ids[] = {&ids[1]};
    Osi3__LaneBoundaryClassification marks = OSI3__LANE_BOUNDARY_CLASSIFICATION__INIT;
    SET(marks, type, 4);
    SET(marks, color, 4);
    Osi3__LaneBoundary sides[2] = {OSI3__LANE_BOUNDARY__INIT, OSI3__LANE_BOUNDARY__INIT},
                       *both[] = {&sides[0], &sides[1]};
    sides[0].id = &ids[0], sides[0].n_boundary_line = 2, sides[0].boundary_line = left_line;
    sides[0].classification = &marks;
    sides[1].id = &ids[1], sides[1].n_boundary_line = 3, sides[1].boundary_line = right_line;
    Osi3__LaneClassification kind = OSI3__LANE_CLASSIFICATION__INIT;
    SET(kind, type, 2);
    SET(kind, subtype, 2);
    SET(kind, centerline_is_driving_direction, 0); // driven from right to left
    kind.n_left_lane_boundary_id = kind.n_right_lane_boundary_id = 1;
    kind.left_lane_boundary_id = left_ids, kind.right_lane_boundary_id = right_ids;
    Osi3__Lane lane = OSI3__LANE__INIT, *lanes[] = {&lane};
    lane.id = &ids[2], lane.classification = &kind;
    f.truth.n_lane_boundary = 2, f.truth.lane_boundary = both;
    f.truth.n_lane = 1, f.truth.lane = lanes;
    foreign trace = {0};
    append(&trace, &f.truth.base);
    caught c = {0};
    import_bytes(&c, trace.bytes.bytes, trace.bytes.size);
    if (c.refusals) fail_msg("%s", c.refusal.message);
    const nm_map *map = c.scenes[0]->map;
    assert_int_equal(map->lane_count, 1);
    assert_int_equal(map->line_count, 0); // boundaries of lanes are no lines
    assert_int_equal(map->lanes[0].type, NM_LANE_STREET);
    assert_int_equal(map->lanes[0].points.count, 3);
    assert_float_equal(map->lanes[0].length, 20.0, 1e-4);
    assert_float_equal(map->origin.x + (double)map->centre[0].x, 20.0, 1e-5);
    assert_float_equal(map->origin.y + (double)map->left[1].y, -2.0, 1e-5);
    assert_float_equal(map->origin.x + (double)map->left[1].x, 8.0, 1e-5);
    assert_int_equal(map->lanes[0].right_marking, NM_MARKING_DASHED); // the trace's left
    assert_int_equal(map->lanes[0].right_colour, NM_COLOUR_YELLOW);
    forget_caught(&c);
    nm_byte_buffer_free(&trace.bytes);
}

static void refused_frames(frame *a, frame *b, const char *words) {
    foreign trace = {0};
    link_frame(a);
    append(&trace, &a->truth.base);
    if (b) {
        link_frame(b);
        append(&trace, &b->truth.base);
    }
    caught c = {0};
    import_bytes(&c, trace.bytes.bytes, trace.bytes.size);
    assert_int_equal(c.count, 0);
    assert_int_equal(c.refusals, 1);
    if (!strstr(c.refusal.message, words)) fail_msg("no '%s' in: %s", words, c.refusal.message);
    nm_byte_buffer_free(&trace.bytes);
}

static void test_refusals(void **state) {
    (void)state;
    frame a = make_frame(1.0, 0.5), b = make_frame(1.0, 0.5);
    refused_frames(&a, &b, "does not come after");
    a = make_frame(NAN, 0.5);
    refused_frames(&a, NULL, "absurd");
    a = make_frame(1.0, 0.5);
    SET(a.size, length, -1.0);
    refused_frames(&a, NULL, "absurd");
    a = make_frame(1.0, 0.5);
    SET(a.time, nanos, 1000000000);
    refused_frames(&a, NULL, "makes no sense");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_complete), cmocka_unit_test(test_name),
        cmocka_unit_test(test_cut),        cmocka_unit_test(test_foreign),  cmocka_unit_test(test_physical_lanes),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
