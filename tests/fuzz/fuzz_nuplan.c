/// nuPlan logs and maps, and the shapes in maps: scenes come out with finite numbers, or refusals that say why. Logs
/// are read without a map: files cannot be looked for here.
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "dataset/nuplan.h"

static nm_status take_scene(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)context, (void)input, (void)record, (void)error;
    for (uint32_t i = 0; i < scene->map->point_count; ++i) {
        const nm_vec2 *c = &scene->map->centre[i], *l = &scene->map->left[i], *r = &scene->map->right[i];
        const float sum = c->x + c->y + l->x + l->y + r->x + r->y;
        if (!(sum - sum == 0.0f)) abort(); // NaN or infinite
    }
    for (uint32_t t = 0; t < scene->track_count; ++t)
        for (uint32_t k = 0; k < scene->step_count; ++k) {
            const size_t at = nm_scene_at(scene, t, k);
            const float sum = scene->x[at] + scene->y[at] + scene->heading[at] + scene->vx[at] + scene->vy[at];
            if (!(sum - sum == 0.0f)) abort();
        }
    nm_scene_destroy(scene);
    return NM_OK;
}

static void take_refusal(void *context, const nm_error *error) {
    (void)context;
    if (error->code == NM_OK || !error->message[0] || !error->input[0]) abort();
}

static void import(const uint8_t *data, size_t size) {
    nm_import_limits limits = nm_import_limits_default();
    limits.max_cells = 1u << 16; // so that a run stays short
    limits.max_lanes = 1000;
    nm_import_nuplan options = nm_import_nuplan_default();
    options.without_map = 1;
    nm_error error;
    nm_importer *importer = nm_importer_create(&limits);
    if (!importer) abort();
    nm_importer_set_nuplan(importer, &options);
    if (nm_import_memory(importer, "fuzz", data, size, take_scene, take_refusal, NULL, &error) != NM_OK) abort();
    nm_importer_destroy(importer);
}

static void decode(const uint8_t *data, size_t size) {
    for (int shape = 0; shape < 2; ++shape) {
        nm_pile points = {0}, rings = {0};
        int32_t srs;
        size_t offset;
        if (!nm_np_decode(data, size, (nm_np_shape)shape, &srs, &points, &rings, &offset)) {
            size_t sum = 0;
            for (size_t i = 0; i < rings.count; ++i) {
                const nm_np_ring *ring = &NM_AT(rings, nm_np_ring, i);
                if (ring->points.first != sum || (i == 0 && ring->hole)) abort();
                sum += ring->points.count;
            }
            if (sum != points.count || offset != size || sum < 2) abort();
            nm_pile stack = {0};
            if (nm_np_simplify(points.data, points.count, &stack) < 2) abort();
            nm_pile_free(&stack);
        } else if (offset > size) {
            abort();
        }
        nm_pile_free(&points);
        nm_pile_free(&rings);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const nm_format format = nm_detect_format(data, size < 4096 ? size : 4096);
    if (format == NM_FORMAT_NUPLAN || format == NM_FORMAT_NUPLAN_MAP)
        import(data, size);
    else
        decode(data, size);
    return 0;
}
