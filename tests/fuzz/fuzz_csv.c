/// The reader of rows over arbitrary text behind a header that is right or not.
#include "fuzz.h"

#include "fuzz_formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (nm_csv_is(data, size)) fuzz_import(data, size, &nm_encoder_csv);
    return 0;
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    static const char loose[] = "scene,step,time_s,track_id,\"type\",y_m,x_m,heading_rad,role\r\n"
                                "a,0.0,0,7.0,\"car\",2,1.5,0.25,agent\r\nb,2,0.2,7,,4,3.5,0.5,ego\r\n";
    if (index > 1) return 0;
    if (index == 1) {
        memcpy(buffer, loose, sizeof loose - 1);
        return sizeof loose - 1;
    }
    const nm_scene *scene = fuzz_scene(0);
    const nm_export_item item = {.scene = scene, .id = 7};
    size_t size = fuzz_encode(&nm_encoder_csv, &item, buffer, capacity);
    nm_scene_destroy(scene);
    return size;
}
