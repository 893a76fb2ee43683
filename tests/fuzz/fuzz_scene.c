/// Stored maps and scenes from arbitrary bytes: refused, or as sound as what a builder makes. The first byte says what
/// the rest is: 0 a map's payload, 1 a scene's body, both given a header that fits, since no mutation would guess a
/// hash; 2 a map, 3 a scene, header included.
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/bytes.h"
#include "sim/scene.h"

#define MAP_HEADER 32
#define SCENE_HEADER 48

/// Two lanes in a row, one beside them, something of everything else.
static const nm_map *make_map(void) {
    nm_map_builder *builder = nm_map_builder_create();
    const nm_map *map = NULL;
    const nm_point3 centres[3][3] = {
        {{0, 0, 1}, {10, 0, 1}, {20, 1, 1}}, {{20, 1, 1}, {30, 2, 1}, {40, 3, 1}}, {{0, 4, 1}, {10, 4, 1}, {20, 5, 1}}};
    const int64_t ids[] = {1, 2, 3};
    const nm_neighbour_def beside = {.lane = 3, .self_start = 5, .self_end = 15, .other_start = 5, .other_end = 15};
    const nm_phase phases[] = {{.steps = 30, .state = NM_SIGNAL_GO}, {.steps = 20, .state = NM_SIGNAL_STOP}};
    nm_signal_def signal = {
        .id = 7, .phases = phases, .phase_count = 2, .cycle_dt = 0.1, .lanes = ids, .lane_count = 1};
    nm_sign_def sign = {.id = 8, .code = "274", .value = 13.9, .position = centres[0], .lanes = ids, .lane_count = 2};
    if (!builder) return NULL;
    for (int i = 0; i < 3; i++) {
        nm_lane_def def = nm_lane_def_default();
        def.id = ids[i];
        def.centre = centres[i];
        def.point_count = 3;
        def.width = 3.5;
        def.type = NM_LANE_STREET;
        def.successors = ids + 1;
        def.successor_count = i == 0;
        def.left_neighbours = &beside;
        def.left_neighbour_count = i == 0;
        def.has_stop_line = i == 0;
        nm_map_builder_add_lane(builder, &def, NULL);
    }
    nm_map_builder_add_line(builder, 5, NM_LINE_ROAD_LINE, NM_MARKING_DASHED, NM_COLOUR_WHITE, centres[2], 3, NULL);
    nm_map_builder_add_area(builder, 6, NM_AREA_CROSSWALK, centres[1], 3, NULL);
    nm_map_builder_add_signal(builder, &signal, NULL);
    nm_map_builder_add_sign(builder, &sign, NULL);
    nm_map_builder_build(builder, &map, NULL);
    nm_map_builder_destroy(builder);
    return map;
}

static const nm_scene *make_scene(const nm_map *map) {
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_scene *scene = NULL;
    const double times[] = {0.0, 0.1, 0.2, 0.3};
    nm_state_def state = {.x = 3.0, .y = 0.1, .z = 1.0, .heading = 0.05, .vx = 8.0, .vy = 0.4};
    nm_goal goal = {.last_step = 30, .heading_min = 1.0f, .speed_min = 1.0f};
    if (!builder) return NULL;
    nm_scene_builder_begin(builder, map, 0.1, 4, NULL);
    for (int64_t id = 1; id <= 2; id++) {
        nm_track_def def = {.id = id, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.9f};
        uint32_t track = 0;
        nm_scene_builder_add_track(builder, &def, &track, NULL);
        for (uint32_t t = (uint32_t)id - 1; t < 4; t++) {
            state.x += 0.8;
            state.length = id == 2 ? 4.5f + 0.01f * (float)t : 0.0f;
            nm_scene_builder_add_state(builder, track, t, &state, NULL);
        }
    }
    nm_scene_builder_set_signal(builder, 0, 1, NM_SIGNAL_CAUTION, NULL);
    nm_scene_builder_set_timestamps(builder, times, 4, NULL);
    nm_scene_builder_add_problem(builder, 9, &state, 0, NULL);
    nm_scene_builder_add_goal(builder, &goal, NULL);
    nm_scene_builder_add_goal_area(builder, 10.0, 0.0, 5.0, 3.0, 0.0, -1, NULL);
    nm_scene_builder_add_tag(builder, "urban", NULL);
    nm_scene_builder_set_current(builder, 1, 0);
    nm_provenance provenance = {.source = "fuzz", .scene_id = "S", .program = "p", .parameters = "{}"};
    nm_scene_builder_set_provenance(builder, &provenance, NULL);
    nm_scene_builder_build(builder, &scene, NULL);
    nm_scene_builder_destroy(builder);
    return scene;
}

static void put64(uint8_t *bytes, uint64_t value) {
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

static void check_map(const nm_map *map) {
    uint64_t points = 0;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_lane *lane = &map->lanes[i];
        if (lane->points.count < 2 || !(lane->length > 0.0f) || !isfinite(lane->length)) abort();
        points += lane->points.count;
        for (uint32_t k = 0; k < lane->successors.count; k++) {
            if (map->lane_refs[lane->successors.first + k] >= map->lane_count) abort();
        }
    }
    if (points != map->point_count) abort();
    size_t size = nm_map_encode(map, NULL, 0);
    uint8_t *bytes = malloc(size);
    const nm_map *again = NULL;
    if (!bytes || nm_map_encode(map, bytes, size) != size) abort();
    if (nm_map_decode(bytes, size, &again, NULL) != NM_OK || again->hash != map->hash) abort();
    nm_map_release(again);
    free(bytes);
    // the derived part takes milliseconds: on one map in sixteen
    if (map->hash % 16 == 0 && nm_map_prepare(map, NULL) == NM_OK) nm_map_drivable(map, 1.0f, 1.0f);
}

static void try_map(const uint8_t *bytes, size_t size) {
    const nm_map *map = NULL;
    nm_error error = {0};
    nm_status status = nm_map_decode(bytes, size, &map, &error);
    if ((status == NM_OK) != (map != NULL) || (status != NM_OK && !error.message[0])) abort();
    if (map) check_map(map);
    nm_map_release(map);
}

static void try_scene(const uint8_t *bytes, size_t size, const nm_map *map) {
    const nm_scene *scene = NULL;
    nm_error error = {0};
    uint64_t hash;
    nm_scene_peek_map(bytes, size, &hash, NULL);
    nm_status status = nm_scene_decode(bytes, size, map, &scene, &error);
    if ((status == NM_OK) != (scene != NULL) || (status != NM_OK && !error.message[0])) abort();
    if (scene) nm_scene_validate(scene, NULL, 0, NULL);
    nm_scene_destroy(scene);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    int what = data[0] & 3;
    size_t header = what == 0 ? MAP_HEADER : what == 1 ? SCENE_HEADER : 0, content = size - 1;
    const nm_map *map = what & 1 ? make_map() : NULL;
    uint8_t *bytes = malloc(header + content + 1); // never 0
    if (!bytes || (what & 1 && !map)) abort();
    if (header) {
        memcpy(bytes, what ? "nm-scn\n\0" : "nm-map\n\0", 8);
        put64(bytes + 8, 1); // version, padding
        put64(bytes + 16, content);
        put64(bytes + 24, nm_hash_block(data + 1, content, 0));
    }
    if (what == 1) {
        put64(bytes + 32, map->hash);
        const nm_scene *scene = make_scene(map); // the content's hash, so that the seed is accepted
        if (!scene) abort();
        put64(bytes + 40, scene->hash);
        nm_scene_destroy(scene);
    }
    if (content) memcpy(bytes + header, data + 1, content);
    if (what & 1)
        try_scene(bytes, header + content, map);
    else
        try_map(bytes, header + content);
    free(bytes);
    nm_map_release(map);
    return 0;
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    if (index > 3) return 0;
    const nm_map *map = make_map();
    const nm_scene *scene = map ? make_scene(map) : NULL;
    if (!scene || capacity < 8192) abort();
    size_t header = index == 0 ? MAP_HEADER : index == 1 ? SCENE_HEADER : 0;
    size_t size = index & 1 ? nm_scene_encode(scene, buffer, capacity) : nm_map_encode(map, buffer, capacity);
    if (size > capacity) abort();
    memmove(buffer + 1, buffer + header, size - header);
    buffer[0] = (uint8_t)index;
    // the headers written here must be the real ones, or nothing behind them is ever reached
    const nm_scene *again = NULL;
    if (index == 3 && nm_scene_decode(buffer + 1, size, map, &again, NULL) != NM_OK) abort();
    nm_scene_destroy(again);
    nm_scene_destroy(scene);
    nm_map_release(map);
    return size - header + 1;
}
