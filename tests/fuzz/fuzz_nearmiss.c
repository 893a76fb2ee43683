/// The reader of the project's own format over arbitrary payloads, framed here with good checksums. A scene that is
/// accepted must be written and read again as the same.
#include "fuzz.h"

#include <stdlib.h>

#include "fuzz_formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = malloc(size + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER);
    if (!bytes) abort();
    nm_tfrecord_header(size, bytes);
    memcpy(bytes + NM_TFRECORD_HEADER, data, size);
    nm_tfrecord_footer(data, size, bytes + NM_TFRECORD_HEADER + size);
    if (nm_nearmiss_is(data, size))
        fuzz_import(bytes, size + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER, &nm_encoder_nearmiss);
    free(bytes);
    return 0;
}

/// Without hashes, so that what mutations change is looked at.
size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    if (index > 3) return 0;
    const nm_scene *scene = fuzz_scene(index);
    nm_scene named = *scene;
    const nm_scene_label label = {.kind = "cut_in", .actor = 0, .other = 1, .severity = 0.5f};
    const nm_scene_generation generated = {"cut_in", "manoeuvre", "", "", "{}", "{}", "{}"};
    named.hash = 0;
    const nm_export_item item = {.scene = &named, .id = 7, .labels = &label, .label_count = 1, .generated = &generated};
    size_t size = fuzz_encode(&nm_encoder_nearmiss, &item, buffer, capacity);
    // the map's hash is its first field, behind the length of the map, which is field 9
    for (size_t at = 16; at + 12 < size; at++) {
        if (buffer[at] != 0x09 || memcmp(buffer + at + 1, &scene->map->hash, 8) != 0) continue;
        memset(buffer + at + 1, 0, 8);
        break;
    }
    nm_scene_destroy(scene);
    return size;
}
