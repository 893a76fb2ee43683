/// CommonRoad documents and whatever else nm_import_memory takes for one: a scene comes out whole, or a refusal that
/// says what and where; never both, never neither.
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "dataset/import.h"

typedef struct outcome {
    int scenes, refusals;
} outcome;

static nm_status take_scene(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)record, (void)error;
    outcome *o = context;
    ++o->scenes;
    if (strcmp(input, "fuzz") != 0 || !scene->map || !(scene->dt > 0.0f)) abort();
    for (uint32_t track = 0; track < scene->track_count; ++track) {
        for (uint32_t step = 0; step < scene->step_count; ++step) {
            size_t at = nm_scene_at(scene, track, step);
            float sum = scene->x[at] + scene->y[at] + scene->vx[at] + scene->vy[at] + scene->heading[at];
            if (!(sum - sum == 0.0f)) abort(); // NaN or infinite
        }
    }
    nm_scene_destroy(scene);
    return NM_OK;
}

static void take_refusal(void *context, const nm_error *error) {
    outcome *o = context;
    ++o->refusals;
    if (error->code == NM_OK || !error->message[0]) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nm_import_limits limits = nm_import_limits_default();
    limits.max_cells = 1u << 16; // so that a run stays short
    nm_importer *importer = nm_importer_create(&limits);
    if (!importer) return 0;
    outcome o = {0, 0};
    nm_error error;
    nm_status status = nm_import_memory(importer, "fuzz", data, size, take_scene, take_refusal, &o, &error);
    if (status != NM_OK || o.scenes + o.refusals < 1) abort();
    if (nm_detect_format(data, size) == NM_FORMAT_COMMONROAD && o.scenes + o.refusals != 1) abort();
    nm_importer_destroy(importer);
    return 0;
}
