/// The WOMD reader over arbitrary payloads. The input is framed here, with good checksums, so that mutations reach the
/// message; framing itself is fuzz_tfrecord's. A scene that is accepted must keep its promises.
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>

#include "../dataset/womd_sample.h"
#include "dataset/womd_private.h"

typedef struct outcome {
    int scenes, refusals;
} outcome;

/// What is done with every imported scene: it is looked at, stored and read back.
static void use(const nm_scene *scene) {
    // the derived part of a map takes milliseconds: on one scene in sixteen
    if (scene->hash % 16 == 0) {
        if (nm_map_prepare(scene->map, NULL) != NM_OK) abort();
        nm_scene_validate(scene, NULL, 0, NULL);
    }
    size_t size = nm_scene_encode(scene, NULL, 0);
    uint8_t *bytes = malloc(size);
    const nm_scene *again = NULL;
    if (!bytes || nm_scene_encode(scene, bytes, size) != size) abort();
    if (nm_scene_decode(bytes, size, scene->map, &again, NULL) != NM_OK || again->hash != scene->hash) abort();
    nm_scene_destroy(again);
    free(bytes);
}

static nm_status take(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)error;
    ((outcome *)context)->scenes++;
    if (record != 0 || scene->current_step >= scene->step_count) abort();
    if (scene->ego != NM_NONE && scene->ego >= scene->track_count) abort();
    for (size_t i = 0; i < (size_t)scene->track_count * scene->step_count; i++) {
        if (!scene->valid[i]) continue;
        if (!isfinite(scene->x[i]) || !isfinite(scene->y[i]) || !isfinite(scene->z[i])) abort();
        if (!(scene->heading[i] > -3.1415928f && scene->heading[i] <= 3.1415928f)) abort();
    }
    for (uint32_t i = 0; i < scene->map->lane_count; i++) {
        if (!(scene->map->lanes[i].length > 0.0f)) abort();
    }
    use(scene);
    nm_scene_destroy(scene);
    return NM_OK;
}

static void refuse(void *context, const nm_error *error) {
    ((outcome *)context)->refusals++;
    if (error->code == NM_OK || !error->message[0] || !error->input[0] || error->offset < 0) abort();
}

static uint8_t *packed(const Womd__Scenario *s, size_t *size) {
    *size = womd__scenario__get_packed_size(s);
    uint8_t *bytes = malloc(*size + 1);
    if (!bytes || womd__scenario__pack(s, bytes) != *size) abort();
    return bytes;
}

/// What the fast reader makes of a record is what protobuf-c makes of it.
static void compare_readers(const uint8_t *data, size_t size) {
    nm_womd_record record = {.arena = nm_arena_create(0), .name = "fuzz", .frame = {.payload = data, .size = size}};
    if (!record.arena) abort();
    const Womd__Scenario *fast = nm_womd_unpack_fast(&record);
    if (fast) {
        Womd__Scenario *slow = womd__scenario__unpack(NULL, size, data);
        if (!slow) abort();
        size_t sizes[2];
        uint8_t *bytes[2] = {packed(fast, &sizes[0]), packed(slow, &sizes[1])};
        if (sizes[0] != sizes[1] || memcmp(bytes[0], bytes[1], sizes[0]) != 0) abort();
        womd__scenario__free_unpacked(slow, NULL);
        free(bytes[0]);
        free(bytes[1]);
    }
    nm_arena_destroy(record.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nm_reader_context context = {.limits = nm_import_limits_default(),
                                 .map_builder = nm_map_builder_create(),
                                 .scene_builder = nm_scene_builder_create()};
    context.limits.max_tracks = context.limits.max_steps = context.limits.max_lanes = 1000; // so that a run stays short
    uint8_t *bytes = malloc(size + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER);
    if (!bytes || !context.map_builder || !context.scene_builder) abort();
    size_t framed = sample_frame(bytes, data, size);
    compare_readers(data, size);
    outcome found = {0};
    if (nm_womd_read(&context, "fuzz", bytes, framed, take, refuse, &found, NULL) != NM_OK) abort();
    if (found.scenes + found.refusals != 1) abort();
    free(bytes);
    nm_womd_release(&context);
    nm_scene_builder_destroy(context.scene_builder);
    nm_map_builder_destroy(context.map_builder);
    return 0;
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    nm_arena *arena = nm_arena_create(0);
    sample s = sample_make(arena);
    // one whole scenario, then smaller ones that mutations spend their time on better
    if (index == 1) s.scenario.n_tracks = s.scenario.n_tracks_to_predict = 0, s.scenario.has_sdc_track_index = 0;
    if (index == 2) s.scenario.n_map_features = 0;
    if (index == 3) s.scenario.n_map_features = LINE_10, s.scenario.n_tracks = s.scenario.n_dynamic_map_states = 0;
    if (index == 3) s.scenario.n_tracks_to_predict = 0, s.scenario.has_sdc_track_index = 0;
    size_t size = 0;
    const uint8_t *bytes = sample_pack(&s, &size);
    if (index > 3 || size > capacity)
        size = 0;
    else
        memcpy(buffer, bytes, size);
    nm_arena_destroy(arena);
    return size;
}
