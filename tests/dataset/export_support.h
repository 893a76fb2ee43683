/// A scene through an encoder and back through the importer, and what must be equal then. For test_export_*.c.
#ifndef NM_TESTS_EXPORT_SUPPORT_H
#define NM_TESTS_EXPORT_SUPPORT_H

#include "support.h"

#include "dataset/encoders.h"
#include "dataset/import.h"
#include "dataset/tfrecord.h"

static inline nm_status nm_test_keep(void *context, const nm_scene *scene, const char *input, uint64_t record,
                                     nm_error *error) {
    (void)input, (void)record, (void)error;
    const nm_scene **out = context;
    assert_null(*out); // one record, one scene
    *out = scene;
    return NM_OK;
}

/// The payload of a scene, to be freed.
static inline uint8_t *nm_test_encode(nm_export_format format, const nm_export_item *item, size_t *size) {
    const nm_encoder *encoder = nm_encoder_of(format);
    nm_encoded out = {0};
    nm_error error;
    void *work = encoder->create ? encoder->create() : NULL;
    nm_error_clear(&error);
    if (encoder->encode(work, item, &out, &error) != NM_OK) fail_msg("%s", error.message);
    assert_false(out.main.failed);
    nm_byte_buffer_free(&out.shared);
    if (encoder->destroy) encoder->destroy(work);
    *size = out.main.size;
    return out.main.bytes;
}

/// The one scene of a payload framed as TFRecord.
static inline const nm_scene *nm_test_import(const void *payload, size_t size) {
    uint8_t *bytes = malloc(size + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER);
    const nm_scene *scene = NULL;
    nm_error error;
    nm_error_clear(&error);
    nm_importer *importer = nm_importer_create(NULL);
    assert_non_null(bytes);
    assert_non_null(importer);
    nm_tfrecord_header(size, bytes);
    memcpy(bytes + NM_TFRECORD_HEADER, payload, size);
    nm_tfrecord_footer(payload, size, bytes + NM_TFRECORD_HEADER + size);
    if (nm_import_memory(importer, "test.tfrecord", bytes, size + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER, nm_test_keep,
                         NULL, &scene, &error) != NM_OK)
        fail_msg("%s", error.message);
    nm_importer_destroy(importer);
    free(bytes);
    assert_non_null(scene);
    return scene;
}

static inline const nm_scene *nm_test_round_trip(nm_export_format format, const nm_export_item *item) {
    size_t size;
    uint8_t *payload = nm_test_encode(format, item, &size);
    const nm_scene *back = nm_test_import(payload, size);
    free(payload);
    return back;
}

static inline const nm_scene *nm_test_import_file(const char *path) {
    const nm_scene *scene = NULL;
    nm_error error;
    nm_error_clear(&error);
    nm_importer *importer = nm_importer_create(NULL);
    if (nm_import_file(importer, path, nm_test_keep, NULL, &scene, NULL, &error) != NM_OK)
        fail_msg("%s", error.message);
    nm_importer_destroy(importer);
    assert_non_null(scene);
    return scene;
}

/// How far positions may be off: the two maps may have other origins, and positions are floats relative to them.
static inline double nm_test_slack(const nm_scene *a, const nm_scene *b) {
    const nm_point3 *p = &a->map->origin, *q = &b->map->origin;
    return p->x == q->x && p->y == q->y && p->z == q->z ? 0.0 : 2e-4;
}

static inline void nm_test_same_state(const nm_scene *a, size_t i, const nm_scene *b, size_t k, const nm_track *x,
                                      const nm_track *y, double slack) {
    const nm_point3 *p = &a->map->origin, *q = &b->map->origin;
    assert_true(fabs(p->x + (double)a->x[i] - q->x - (double)b->x[k]) <= slack);
    assert_true(fabs(p->y + (double)a->y[i] - q->y - (double)b->y[k]) <= slack);
    assert_true(fabs(p->z + (double)a->z[i] - q->z - (double)b->z[k]) <= slack);
    assert_true(a->heading[i] == b->heading[k]);
    assert_true(a->vx[i] == b->vx[k] && a->vy[i] == b->vy[k]);
    const float *const have[] = {a->state_length, a->state_width, a->state_height};
    const float *const got[] = {b->state_length, b->state_width, b->state_height};
    const float whole[] = {x->length, x->width, x->height}, back[] = {y->length, y->width, y->height};
    for (int d = 0; d < 3; d++) {
        const float expected = have[d] && have[d][i] > 0.0f ? have[d][i] : whole[d];
        assert_true(expected == (got[d] && got[d][k] > 0.0f ? got[d][k] : back[d]));
    }
}

/// Tracks, times and states of `b` are those of `a` from step `first` on; steps of `b` behind the end of `a` are empty.
static inline void nm_test_same_traffic(const nm_scene *a, const nm_scene *b, uint32_t first) {
    assert_int_equal(a->track_count, b->track_count);
    assert_true(fabsf(a->dt - b->dt) < 1e-6f);
    const double slack = nm_test_slack(a, b);
    for (uint32_t i = 0; i < a->track_count; i++) {
        assert_true(a->tracks[i].source_id == b->tracks[i].source_id);
        for (uint32_t t = 0; t < b->step_count; t++) {
            const size_t k = nm_scene_at(b, i, t), at = nm_scene_at(a, i, first + t);
            const int there = first + t < a->step_count && a->valid[at];
            assert_int_equal(b->valid[k] != 0, there);
            if (there) nm_test_same_state(a, at, b, k, &a->tracks[i], &b->tracks[i], slack);
        }
    }
}

#endif
