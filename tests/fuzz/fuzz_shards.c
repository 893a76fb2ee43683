/// Shards from arbitrary bytes: refused, or every scene is refused or sound. The first byte says what is done to the
/// rest: 0 nothing; 1 the checksums of header and table of contents are made to fit, since no mutation would guess
/// them; 2 those of the sections, too.
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataset/crc32c.h"
#include "dataset/shards_private.h"
#include "sim/bytes.h"

static void reseal_section(uint8_t *bytes, uint64_t end, const uint8_t *place, uint8_t *crc) {
    const uint64_t offset = nm_load64(place), size = nm_load64(place + 8);
    if (offset > end || size > end - offset || nm_shard_padded(size) > end - offset) return;
    nm_store32(crc, nm_crc32c(0, bytes + offset, (size_t)nm_shard_padded(size)));
}

static void reseal(uint8_t *bytes, size_t size, int sections) {
    if (size < NM_SHARD_HEADER) return;
    const uint64_t contents = nm_load64(bytes + NM_SHARD_AT_CONTENTS);
    const uint64_t maps = nm_load32(bytes + NM_SHARD_AT_MAPS), scenes = nm_load32(bytes + NM_SHARD_AT_SCENES);
    const uint64_t tables = NM_SHARD_MAP_ENTRY * maps + NM_SHARD_SCENE_ENTRY * scenes;
    if (contents <= size && tables <= size - contents) {
        uint8_t *map = bytes + contents, *scene = map + NM_SHARD_MAP_ENTRY * maps;
        for (uint64_t i = 0; sections && i < maps; i++, map += NM_SHARD_MAP_ENTRY)
            reseal_section(bytes, contents, map + 8, map + 24);
        for (uint64_t i = 0; sections && i < scenes; i++, scene += NM_SHARD_SCENE_ENTRY)
            reseal_section(bytes, contents, scene, scene + 32);
    }
    if (contents <= size)
        nm_store32(bytes + NM_SHARD_AT_CONTENTS_CRC, nm_crc32c(0, bytes + contents, (size_t)(size - contents)));
    nm_store32(bytes + NM_SHARD_AT_HEADER_CRC, nm_crc32c(0, bytes, NM_SHARD_AT_HEADER_CRC));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const size_t count = size - 1;
    uint8_t *bytes = malloc(count ? count : 1);
    nm_shard *shard = NULL;
    nm_error error = {.code = NM_OK};
    if (!bytes) abort();
    if (count) memcpy(bytes, data + 1, count);
    if (data[0] % 3) reseal(bytes, count, data[0] % 3 == 2);
    const nm_status status = nm_shard_open_memory("fuzz.nmshard", bytes, count, 0, &shard, &error);
    if ((status == NM_OK) != (shard != NULL) || (status != NM_OK && (!error.message[0] || error.code != status)))
        abort();
    for (uint32_t i = 0; shard && i < nm_shard_scene_count(shard); i++) {
        const nm_shard_entry entry = nm_shard_scene_entry(shard, i);
        nm_error_clear(&error);
        const nm_scene *scene = nm_shard_scene(shard, i, &error);
        if (!scene && !error.message[0]) abort();
        if (scene && (scene->hash != entry.hash || scene->track_count != entry.track_count)) abort();
        nm_scene_destroy(scene);
    }
    nm_shard_close(shard);
    free(bytes);
    return 0;
}

static const nm_scene *make_scene(double length, uint32_t steps) {
    nm_map_builder *maps = nm_map_builder_create();
    nm_scene_builder *scenes = nm_scene_builder_create();
    const nm_map *map = NULL;
    const nm_scene *scene = NULL;
    if (!maps || !scenes) abort();
    nm_lane_def lane = nm_lane_def_default();
    lane.id = 1;
    lane.centre = (nm_point3[]){{0, 0, 0}, {length, 1, 0}};
    lane.point_count = 2;
    nm_map_builder_add_lane(maps, &lane, NULL);
    if (nm_map_builder_build(maps, &map, NULL) != NM_OK) abort();
    nm_scene_builder_begin(scenes, map, 0.1, steps, NULL);
    nm_track_def track = {.id = 5, .type = NM_AGENT_CAR, .length = 4.5f, .width = 1.8f};
    uint32_t index;
    nm_scene_builder_add_track(scenes, &track, &index, NULL);
    for (uint32_t t = 0; t < steps; t++)
        nm_scene_builder_add_state(scenes, index, t, &(nm_state_def){.x = 5.0 + t, .vx = 10.0}, NULL);
    nm_scene_builder_set_current(scenes, 0, 0);
    if (nm_scene_builder_build(scenes, &scene, NULL) != NM_OK) abort();
    nm_scene_builder_destroy(scenes);
    nm_map_builder_destroy(maps);
    nm_map_release(map);
    return scene;
}

/// Three scenes on two maps, as the writer writes them.
static size_t write_seed(uint8_t *buffer, size_t capacity) {
    char folder[] = "/tmp/nearmiss-fuzz-XXXXXX", path[128];
    if (!mkdtemp(folder)) abort();
    snprintf(path, sizeof path, "%s/s", folder);
    nm_shard_writer *writer = NULL;
    if (nm_shard_writer_create(path, 0, &writer, NULL) != NM_OK) abort();
    for (uint32_t i = 0; i < 3; i++) {
        const nm_scene *scene = make_scene(i == 2 ? 40.0 : 60.0, 3 + i);
        if (nm_shard_writer_add(writer, scene, NULL, NULL) != NM_OK) abort();
        nm_scene_destroy(scene);
    }
    if (nm_shard_writer_finish(writer, NULL, NULL) != NM_OK) abort();
    snprintf(path, sizeof path, "%s/s-00000-of-00001.nmshard", folder);
    FILE *file = fopen(path, "rb");
    if (!file) abort();
    const size_t size = fread(buffer, 1, capacity, file);
    fclose(file);
    unlink(path);
    rmdir(folder);
    return size;
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    if (index > 2) return 0;
    buffer[0] = (uint8_t)index;
    const size_t size = write_seed(buffer + 1, capacity - 1);
    nm_shard *shard = NULL;
    if (nm_shard_open_memory("seed", buffer + 1, size, NM_SHARD_VERIFY, &shard, NULL) != NM_OK) abort();
    nm_shard_close(shard);
    return size + 1;
}
