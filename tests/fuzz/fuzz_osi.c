/// The reader of OSI traces over arbitrary bytes.
#include "fuzz.h"

#include "fuzz_formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (nm_osi_is(data, size)) fuzz_import(data, size, &nm_encoder_osi);
    return 0;
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    if (index > 3) return 0;
    const nm_scene *scene = fuzz_scene(index);
    const nm_export_item item = {.scene = scene, .id = 7};
    size_t size = fuzz_encode(index == 3 ? &nm_encoder_osi_complete : &nm_encoder_osi, &item, buffer, capacity);
    nm_scene_destroy(scene);
    return size;
}
