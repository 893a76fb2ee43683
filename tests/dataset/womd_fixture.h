/// Reads the scenario made by hand (womd_sample.h), however it was changed, and keeps what comes out. For test_womd*.c.
#ifndef NM_TESTS_WOMD_FIXTURE_H
#define NM_TESTS_WOMD_FIXTURE_H

#include "support.h"

#include "dataset/readers.h"
#include "womd_sample.h"

typedef struct fixture {
    nm_reader_context context;
    nm_arena *arena;
    sample made;
    const nm_scene *scenes[8];
    uint64_t records[8];
    size_t scene_count, refusal_count;
    nm_error refusals[8];
    nm_status answer; // of the sink
} fixture;

static inline nm_status keep(void *context, const nm_scene *scene, const char *input, uint64_t record,
                             nm_error *error) {
    fixture *f = context;
    assert_string_equal(input, "dir/test.tfrecord");
    assert_true(f->scene_count < 8);
    f->records[f->scene_count] = record;
    f->scenes[f->scene_count++] = scene;
    return f->answer == NM_OK ? NM_OK : NM_ERROR(error, f->answer, "the sink said no");
}

static inline void refuse(void *context, const nm_error *error) {
    fixture *f = context;
    assert_true(f->refusal_count < 8);
    f->refusals[f->refusal_count++] = *error;
}

static inline void forget(fixture *f) {
    for (size_t i = 0; i < f->scene_count; i++) nm_scene_destroy(f->scenes[i]);
    f->scene_count = f->refusal_count = 0;
}

static inline int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->context.limits = nm_import_limits_default();
    f->context.map_builder = nm_map_builder_create();
    f->context.scene_builder = nm_scene_builder_create();
    f->arena = nm_arena_create(0);
    f->made = sample_make(f->arena);
    *state = f;
    return 0;
}

static inline int teardown(void **state) {
    fixture *f = *state;
    forget(f);
    nm_womd_release(&f->context);
    nm_scene_builder_destroy(f->context.scene_builder);
    nm_map_builder_destroy(f->context.map_builder);
    nm_arena_destroy(f->arena);
    free(f);
    return 0;
}

static inline nm_status read_file(fixture *f, const uint8_t *bytes, size_t size, nm_refusal_sink *refused,
                                  nm_error *error) {
    return nm_womd_read(&f->context, "dir/test.tfrecord", bytes, size, keep, refused, f, error);
}

static inline void read_payload(fixture *f, const uint8_t *payload, size_t size) {
    uint8_t *bytes = malloc(size + 16);
    assert_non_null(bytes);
    size_t framed = sample_frame(bytes, payload, size);
    assert_int_equal(read_file(f, bytes, framed, refuse, NULL), NM_OK);
    free(bytes);
}

static inline void read_made(fixture *f) {
    size_t size;
    uint8_t *payload = sample_pack(&f->made, &size);
    read_payload(f, payload, size);
}

static inline const nm_scene *accepted(fixture *f) {
    read_made(f);
    if (f->refusal_count) print_error("%s\n", f->refusals[0].message);
    assert_int_equal(f->refusal_count, 0);
    assert_int_equal(f->scene_count, 1);
    return f->scenes[0];
}

static inline uint32_t lane_index(const nm_map *map, int64_t id) {
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (map->lanes[i].source_id == id) return i;
    }
    return NM_NONE;
}
static inline const nm_lane *lane_by_id(const nm_map *map, int64_t id) {
    uint32_t index = lane_index(map, id);
    assert_int_not_equal(index, NM_NONE);
    return &map->lanes[index];
}

static inline int has_tag(const nm_scene *scene, const char *tag) {
    for (uint32_t i = 0; i < scene->tag_count; i++) {
        if (!strcmp(scene->tags[i], tag)) return 1;
    }
    return 0;
}

#define NEAR(a, b) assert_true(fabs((double)(a) - (double)(b)) < 1e-4)

#endif
