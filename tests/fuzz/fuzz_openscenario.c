/// OpenSCENARIO documents: a scene comes out whole, or one refusal that says what; what comes out can be written and
/// read again.
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "dataset/encoders.h"
#include "dataset/import.h"

typedef struct outcome {
    int scenes, refusals;
    const nm_scene *scene;
} outcome;

static nm_status take_scene(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)record, (void)error, (void)input;
    outcome *o = context;
    ++o->scenes;
    if (!scene->map || !(scene->dt > 0.0f)) abort();
    for (size_t at = 0; at < (size_t)scene->track_count * scene->step_count; ++at) {
        float sum = scene->x[at] + scene->y[at] + scene->vx[at] + scene->vy[at] + scene->heading[at];
        if (!(sum - sum == 0.0f)) abort(); // NaN or infinite
    }
    o->scene = scene;
    return NM_OK;
}

static void take_refusal(void *context, const nm_error *error) {
    outcome *o = context;
    ++o->refusals;
    if (error->code == NM_OK || !error->message[0]) abort();
}

static outcome import(const void *data, size_t size) {
    nm_import_limits limits = nm_import_limits_default();
    limits.max_cells = 1u << 14; // so that a run stays short
    limits.max_steps = 1u << 14;
    outcome o = {0, 0, NULL};
    nm_importer *importer = nm_importer_create(&limits);
    if (!importer) return o;
    nm_error error;
    if (nm_import_memory(importer, "fuzz", data, size, take_scene, take_refusal, &o, &error) != NM_OK) abort();
    if (o.scenes + o.refusals != 1) abort();
    nm_importer_destroy(importer);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (nm_detect_format(data, size) != NM_FORMAT_OPENSCENARIO) return 0;
    outcome first = import(data, size);
    if (!first.scene) return 0;
    nm_encoded out = {0};
    nm_error error;
    const nm_export_item item = {.scene = first.scene};
    if (nm_encoder_of(NM_EXPORT_OPENSCENARIO)->encode(NULL, &item, &out, &error) == NM_OK) {
        outcome second = import(out.main.bytes, out.main.size);
        uint64_t agents[2], states[2];
        // what was moved may be far away from a time step, or further than coordinates go
        if (second.scene) {
            nm_scene_count(first.scene, &agents[0], &states[0]);
            nm_scene_count(second.scene, &agents[1], &states[1]);
            if (states[0] != states[1]) abort();
            nm_scene_destroy(second.scene);
        }
    }
    nm_byte_buffer_free(&out.main);
    nm_byte_buffer_free(&out.shared);
    nm_scene_destroy(first.scene);
    return 0;
}
