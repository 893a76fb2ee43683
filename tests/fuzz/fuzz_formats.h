/// What the targets of the scene formats share: small scenes for seeds, and what must hold for accepted ones.
#ifndef NM_TESTS_FUZZ_FORMATS_H
#define NM_TESTS_FUZZ_FORMATS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/encoders.h"
#include "dataset/readers.h"
#include "dataset/tfrecord.h"

/// Two lanes in a row.
static inline void fuzz_lanes(nm_map_builder *maps) {
    const nm_point3 left[3] = {{0, 2, 1}, {10, 2, 1}, {20, 2.5, 1}},
                    right[3] = {{0, -2, 1}, {10, -2, 1}, {20, -1.5, 1}};
    const nm_point3 far_left[2] = {{20, 2.5, 1}, {50, 3, 1}}, far_right[2] = {{20, -1.5, 1}, {50, -1, 1}};
    const int64_t second = 2;
    for (int i = 0; i < 2; i++) {
        nm_lane_def def = nm_lane_def_default();
        nm_point3 l[3], r[3];
        def.id = i + 1;
        def.point_count = i ? 2 : 3;
        for (size_t k = 0; k < def.point_count; k++) {
            l[k] = i ? far_left[k] : left[k];
            r[k] = i ? far_right[k] : right[k];
            l[k].x += 5000.0, r[k].x += 5000.0, l[k].y -= 7000.0, r[k].y -= 7000.0;
        }
        def.left = l, def.right = r;
        def.type = NM_LANE_STREET;
        def.successors = &second;
        def.successor_count = i == 0;
        def.junction = i ? 5 : -1;
        if (nm_map_builder_add_lane(maps, &def, NULL) != NM_OK) abort();
    }
}

/// A junction's worth of lanes, two tracks, a signal, a goal. Index 1 leaves out the tracks, 2 most of the map.
static inline const nm_scene *fuzz_scene(size_t index) {
    const nm_point3 left[3] = {{0, 2, 1}, {10, 2, 1}, {20, 2.5, 1}};
    const int64_t first = 1;
    const nm_phase phases[] = {{.steps = 30, .state = NM_SIGNAL_GO}, {.steps = 20, .state = NM_SIGNAL_STOP}};
    nm_map_builder *maps = nm_map_builder_create();
    nm_scene_builder *scenes = nm_scene_builder_create();
    const nm_map *map = NULL;
    const nm_scene *scene = NULL;
    if (!maps || !scenes) abort();
    nm_map_builder_set_origin(maps, (nm_point3){5000.0, -7000.0, 0.0});
    if (index != 2) fuzz_lanes(maps);
    nm_map_builder_add_line(maps, 5, NM_LINE_ROAD_LINE, NM_MARKING_DASHED, NM_COLOUR_WHITE, left, 3, NULL);
    nm_map_builder_add_area(maps, 6, NM_AREA_CROSSWALK, left, 3, NULL);
    nm_signal_def signal = {
        .id = 7, .phases = phases, .phase_count = 2, .cycle_dt = 0.1, .lanes = &first, .lane_count = index != 2};
    nm_sign_def sign = {
        .id = 8, .code = "274", .value = 13.9, .position = left, .lanes = &first, .lane_count = index != 2};
    nm_map_builder_add_signal(maps, &signal, NULL);
    nm_map_builder_add_sign(maps, &sign, NULL);
    if (nm_map_builder_build(maps, &map, NULL) != NM_OK) abort();
    nm_scene_builder_begin(scenes, map, 0.1, 4, NULL);
    nm_state_def state = {.x = 5003.0, .y = -7000.0, .heading = 0.05, .vx = 8.0, .vy = 0.4};
    for (int64_t id = 1; id <= 2 && index != 1; id++) {
        nm_track_def def = {.id = id, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.9f};
        uint32_t track = 0;
        nm_scene_builder_add_track(scenes, &def, &track, NULL);
        for (uint32_t t = (uint32_t)id - 1; t < 4; t++) {
            state.x += 0.8;
            state.length = id == 2 ? 4.5f + 0.01f * (float)t : 0.0f;
            nm_scene_builder_add_state(scenes, track, t, &state, NULL);
        }
    }
    nm_scene_builder_set_signal(scenes, 0, 1, NM_SIGNAL_CAUTION, NULL);
    nm_scene_builder_add_problem(scenes, 9, &state, 0, NULL);
    const nm_goal goal = {.last_step = 30, .heading_min = 1.0f, .speed_min = 1.0f};
    nm_scene_builder_add_goal(scenes, &goal, NULL);
    nm_scene_builder_add_goal_area(scenes, 5010.0, -7000.0, 5.0, 3.0, 0.0, -1, NULL);
    nm_scene_builder_add_tag(scenes, "urban", NULL);
    nm_scene_builder_set_current(scenes, 1, index == 1 ? NM_NONE : 0);
    if (nm_scene_builder_build(scenes, &scene, NULL) != NM_OK) abort();
    nm_map_release(map);
    nm_scene_builder_destroy(scenes);
    nm_map_builder_destroy(maps);
    return scene;
}

/// Header and scene as a file begins; 0 when there is no room.
static inline size_t fuzz_encode(const nm_encoder *encoder, const nm_export_item *item, uint8_t *buffer,
                                 size_t capacity) {
    nm_encoded out = {0};
    void *work = encoder->create ? encoder->create() : NULL;
    if (encoder->encode(work, item, &out, NULL) != NM_OK) abort();
    if (encoder->destroy) encoder->destroy(work);
    size_t header = encoder->header ? strlen(encoder->header) : 0, size = header + out.main.size;
    if (size <= capacity && header) memcpy(buffer, encoder->header, header);
    if (size <= capacity && out.main.size) memcpy(buffer + header, out.main.bytes, out.main.size);
    nm_byte_buffer_free(&out.main);
    return size <= capacity ? size : 0;
}

typedef struct fuzz_outcome {
    const nm_encoder *encoder;
    size_t scenes, refusals;
} fuzz_outcome;

static inline nm_status fuzz_take(void *context, const nm_scene *scene, const char *input, uint64_t record,
                                  nm_error *error) {
    fuzz_outcome *o = context;
    (void)input, (void)record, (void)error;
    o->scenes++;
    if (scene->current_step >= scene->step_count) abort();
    if (scene->ego != NM_NONE && scene->ego >= scene->track_count) abort();
    for (size_t i = 0; i < (size_t)scene->track_count * scene->step_count; i++) {
        if (!scene->valid[i]) continue;
        if (!isfinite(scene->x[i]) || !isfinite(scene->y[i]) || !isfinite(scene->z[i])) abort();
        if (!(scene->heading[i] > -3.1415928f && scene->heading[i] <= 3.1415928f)) abort();
    }
    if (scene->hash % 16 == 0) nm_scene_validate(scene, NULL, 0, NULL); // prepares the map, which takes milliseconds
    size_t size = nm_scene_encode(scene, NULL, 0);
    uint8_t *bytes = malloc(size);
    const nm_scene *again = NULL;
    if (!bytes || nm_scene_encode(scene, bytes, size) != size) abort();
    if (nm_scene_decode(bytes, size, scene->map, &again, NULL) != NM_OK || again->hash != scene->hash) abort();
    nm_scene_destroy(again);
    free(bytes);
    // what was read can be written, or it is said why not
    nm_encoded out = {0};
    const nm_export_item item = {.scene = scene, .id = 1};
    nm_error why = {0};
    void *work = o->encoder->create ? o->encoder->create() : NULL;
    nm_status status =
        (size_t)scene->track_count * scene->step_count > 4096 ? NM_OK : o->encoder->encode(work, &item, &out, &why);
    if (status != NM_OK && (status != NM_E_UNSUPPORTED || !why.message[0])) abort();
    if (o->encoder->destroy) o->encoder->destroy(work);
    nm_byte_buffer_free(&out.main);
    nm_scene_destroy(scene);
    return NM_OK;
}

static inline void fuzz_refuse(void *context, const nm_error *error) {
    ((fuzz_outcome *)context)->refusals++;
    if (error->code == NM_OK || !error->message[0] || !error->input[0]) abort();
}

static inline void fuzz_extras(void *context, const nm_export_item *item) {
    (void)context;
    for (size_t i = 0; i < item->label_count; i++) {
        if (item->labels[i].actor >= item->scene->track_count || !item->labels[i].kind) abort();
    }
    if (item->generated && !item->generated->verdicts) abort();
}

static inline void fuzz_import(const uint8_t *bytes, size_t size, const nm_encoder *encoder) {
    nm_import_limits limits = nm_import_limits_default();
    limits.max_tracks = limits.max_steps = limits.max_lanes = 1000; // so that a run stays short
    nm_importer *importer = nm_importer_create(&limits);
    fuzz_outcome found = {.encoder = encoder};
    if (!importer) abort();
    nm_importer_set_extras(importer, fuzz_extras, &found);
    if (nm_import_memory(importer, "fuzz", bytes, size, fuzz_take, fuzz_refuse, &found, NULL) != NM_OK) abort();
    nm_importer_destroy(importer);
}

#endif
