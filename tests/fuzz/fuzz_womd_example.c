/// The tf.Example reader over arbitrary payloads, framed here with good checksums. A scene that is accepted must keep
/// its promises, and go out and in again.
#include "fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataset/protobuf_out.h"
#include "dataset/readers.h"

typedef struct outcome {
    int scenes, refusals;
} outcome;

static void use(const nm_scene *scene) {
    const nm_encoder *encoder = nm_encoder_of(NM_EXPORT_WOMD);
    const nm_export_item item = {.scene = scene, .id = 1};
    nm_encoded out = {0};
    void *work = encoder->create();
    if (!work) abort();
    const nm_status status = encoder->encode(work, &item, &out, NULL);
    if (status != NM_OK && status != NM_E_UNSUPPORTED) abort();
    if (status == NM_OK && (out.main.failed || out.main.size == 0)) abort();
    nm_byte_buffer_free(&out.main);
    encoder->destroy(work);
}

static nm_status take(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)error;
    ((outcome *)context)->scenes++;
    if (record != 0 || scene->current_step >= scene->step_count) abort();
    if (scene->track_count ? scene->ego >= scene->track_count : scene->ego != NM_NONE) abort();
    for (size_t i = 0; i < (size_t)scene->track_count * scene->step_count; i++) {
        if (scene->valid[i] && (!isfinite(scene->x[i]) || !isfinite(scene->y[i]) || !isfinite(scene->z[i]))) abort();
    }
    use(scene);
    nm_scene_destroy(scene);
    return NM_OK;
}

static void refuse(void *context, const nm_error *error) {
    ((outcome *)context)->refusals++;
    if (error->code == NM_OK || !error->message[0] || !error->input[0] || error->offset < 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nm_reader_context context = {.limits = nm_import_limits_default(),
                                 .map_builder = nm_map_builder_create(),
                                 .scene_builder = nm_scene_builder_create()};
    context.limits.max_tracks = context.limits.max_steps = context.limits.max_lanes = 1000; // so that a run stays short
    uint8_t *bytes = malloc(size + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER);
    if (!bytes || !context.map_builder || !context.scene_builder) abort();
    nm_tfrecord_header(size, bytes);
    memcpy(bytes + NM_TFRECORD_HEADER, data, size);
    nm_tfrecord_footer(data, size, bytes + NM_TFRECORD_HEADER + size);
    outcome found = {0};
    if (nm_womd_read(&context, "fuzz", bytes, size + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER, take, refuse, &found,
                     NULL) != NM_OK)
        abort();
    if (found.scenes + found.refusals != 1) abort();
    free(bytes);
    nm_womd_release(&context);
    nm_scene_builder_destroy(context.scene_builder);
    nm_map_builder_destroy(context.map_builder);
    return 0;
}

/// Adds a list of `count` values from `first` on, `step` apart; packed or one by one.
static void add(nm_byte_buffer *out, const char *key, int floats, size_t count, double first, double step, int packed) {
    const size_t entry = nm_pb_begin(out, 1);
    nm_pb_bytes(out, 1, key, strlen(key));
    const size_t feature = nm_pb_begin(out, 2), list = nm_pb_begin(out, floats ? 2 : 3);
    const size_t values = packed ? nm_pb_begin(out, 1) : 0;
    for (size_t i = 0; i < count; i++) {
        const double value = first + step * (double)i;
        if (!packed) nm_pb_tag(out, 1, floats ? NM_PB_32 : NM_PB_VARINT);
        if (floats) {
            uint8_t *at = nm_byte_buffer_grow(out, 4);
            if (at) nm_pb_store_float(at, (float)value);
        } else {
            nm_pb_raw_varint(out, (uint64_t)(int64_t)value);
        }
    }
    if (packed) nm_pb_end(out, values);
    nm_pb_end(out, list);
    nm_pb_end(out, feature);
    nm_pb_end(out, entry);
}

static void add_states(nm_byte_buffer *out, const char *period, size_t count, int packed) {
    static const char *const names[] = {"x",      "y",        "z",          "length",    "width",
                                        "height", "bbox_yaw", "velocity_x", "velocity_y"};
    char key[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(key, sizeof key, "state/%s/%s", period, names[i]);
        add(out, key, 1, count, 1.0 + (double)i, 0.25, packed);
    }
    snprintf(key, sizeof key, "state/%s/valid", period);
    add(out, key, 0, count, 1.0, 0.0, packed);
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    nm_byte_buffer out = {0};
    const int packed = index != 1;
    if (index > 2) return 0;
    const size_t whole = nm_pb_begin(&out, 1);
    add(&out, "state/id", 1, 2, 5.0, 1.0, packed);
    add(&out, "state/type", 1, 2, 1.0, 1.0, packed);
    add(&out, "state/is_sdc", 0, 2, 1.0, -1.0, packed);
    add(&out, "state/tracks_to_predict", 0, 2, 0.0, 1.0, packed);
    add_states(&out, "current", 2, packed);
    if (index < 2) {
        add_states(&out, "past", 4, packed);
        add(&out, "roadgraph_samples/xyz", 1, 30, 0.0, 0.3, packed);
        add(&out, "roadgraph_samples/type", 0, 10, 2.0, 0.0, packed);
        add(&out, "roadgraph_samples/id", 0, 10, 7.0, 0.25, packed);
        add(&out, "roadgraph_samples/valid", 0, 10, 1.0, 0.0, packed);
    }
    if (index == 0) {
        static const char *const names[] = {"x", "y", "z"};
        char key[64];
        for (int i = 0; i < 3; i++) {
            snprintf(key, sizeof key, "traffic_light_state/current/%s", names[i]);
            add(&out, key, 1, 2, 0.0, 1.0, 1);
        }
        add(&out, "traffic_light_state/current/id", 0, 2, 7.0, 1.0, 1);
        add(&out, "traffic_light_state/current/state", 0, 2, 4.0, 1.0, 1);
        add(&out, "traffic_light_state/current/valid", 0, 2, 1.0, 0.0, 1);
    }
    nm_pb_end(&out, whole);
    size_t size = out.failed || out.size > capacity ? 0 : out.size;
    if (size) memcpy(buffer, out.bytes, size);
    nm_byte_buffer_free(&out);
    return size;
}
