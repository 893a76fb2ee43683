/// OpenDRIVE documents: a scene with a map and nobody on it comes out, or a refusal that says what and where; and what
/// was accepted can be written, and what was written is accepted.
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "dataset/import.h"
#include "dataset/opendrive_write.h"

typedef struct outcome {
    int scenes, refusals;
    const nm_scene *scene;
} outcome;

static nm_status take_scene(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)record, (void)error;
    outcome *o = context;
    ++o->scenes;
    nm_scene_destroy(o->scene);
    o->scene = scene;
    for (uint32_t i = 0; i < scene->map->point_count; ++i) {
        const nm_vec2 *c = &scene->map->centre[i], *l = &scene->map->left[i], *r = &scene->map->right[i];
        float sum = c->x + c->y + l->x + l->y + r->x + r->y + scene->map->z[i];
        if (!(sum - sum == 0.0f)) abort(); // NaN or infinite
    }
    return NM_OK;
}

static void take_refusal(void *context, const nm_error *error) {
    outcome *o = context;
    ++o->refusals;
    if (error->code == NM_OK || !error->message[0]) abort();
}

static outcome import(const void *data, size_t size) {
    nm_import_limits limits = nm_import_limits_default();
    limits.max_cells = 1u << 16; // so that a run stays short
    limits.max_lanes = 1000;
    outcome o = {0, 0, NULL};
    nm_error error;
    nm_importer *importer = nm_importer_create(&limits);
    if (!importer) abort();
    if (nm_import_memory(importer, "fuzz", data, size, take_scene, take_refusal, &o, &error) != NM_OK) abort();
    nm_importer_destroy(importer);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (nm_detect_format(data, size < 4096 ? size : 4096) != NM_FORMAT_OPENDRIVE) return 0;
    outcome o = import(data, size);
    if (o.scenes + o.refusals != 1) abort();
    if (o.scenes && o.scene->map->point_count < 20000) {
        nm_byte_buffer text = {0};
        nm_error error;
        nm_opendrive_writer *writer = nm_opendrive_writer_create();
        if (!writer || nm_opendrive_write(writer, o.scene->map, NULL, &text, &error) != NM_OK) abort();
        outcome again = import(text.bytes, text.size);
        if (again.scenes + again.refusals != 1) abort();
        nm_scene_destroy(again.scene);
        nm_opendrive_writer_destroy(writer);
        nm_byte_buffer_free(&text);
    }
    nm_scene_destroy(o.scene);
    return 0;
}
