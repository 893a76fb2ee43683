/// The WOMD reader on what it must refuse, and where it says that the trouble is; and on files of several records.
#include "womd_fixture.h"

#include <unistd.h>

// One change each, the message that names it, the field whose place is given.

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
static void limit_is_absurd(Womd__Scenario *r) {
    r->map_features[LANE_2]->lane->speed_limit_mph = 5000.0;
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
        {limit_is_absurd, "5000 mph", 8, LANE_2},
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
    char id[300];
    memset(id, 'a', sizeof id);
    f->made.scenario.scenario_id = id;
    id[257] = 0;
    read_made(f);
    assert_int_equal(f->refusals[0].code, NM_E_LIMIT);
    forget(f);
    id[256] = 0;
    accepted(f);
    forget(f);
    f->made = sample_make(f->arena);
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
    for (int32_t i = 0; i < 40; i++) { // so many that the reader does not remember each
        segments[i] = sample_boundary(&f->made, i, i, 11, WOMD__ROAD_LINE__ROAD_LINE_TYPE__TYPE_UNKNOWN)[0];
    }
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
    for (size_t at = 1; at <= 5; at += 2) { // lengths that do not nest
        uint8_t broken[sizeof example];
        memcpy(broken, example, sizeof example);
        broken[at] = (uint8_t)(at == 5 ? 0x16 : 1);
        assert_false(nm_womd_is_example(broken, sizeof broken - 1));
    }
    size_t size;
    const uint8_t *payload = sample_pack(&f->made, &size);
    assert_false(nm_womd_is_example(payload, size));
    uint8_t file[128];
    size = sample_frame(file, example, sizeof example - 1);
    size += sample_frame(file + size, example, sizeof example - 1);
    assert_int_equal(read_file(f, file, size, refuse, NULL), NM_OK);
    assert_int_equal(f->refusal_count, 2); // each by itself: it holds nothing but a name
    assert_int_equal(f->refusals[0].code, NM_E_FORMAT);
    assert_non_null(strstr(f->refusals[0].message, "tf.Example: feature 'state/id' is missing"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(contradictions_are_refused),  TEST(limits_hold),
        TEST(broken_messages_are_placed),  TEST(tiny_bytes_can_not_ask_for_much_memory),
        TEST(endless_matching_is_refused), TEST(absurd_rates_are_refused),
        TEST(other_records_go_on),         TEST(streams_read_the_same),
        TEST(files_are_read_by_record),    TEST(examples_are_recognised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
