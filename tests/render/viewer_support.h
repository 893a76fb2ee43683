/// A source of built-in scenes for tests of the viewer, and what its lists and scenes are known to be.
#ifndef NM_TESTS_RENDER_VIEWER_SUPPORT_H
#define NM_TESTS_RENDER_VIEWER_SUPPORT_H

#include "render/viewer/viewer_state.h"
#include "sim/builtin.h"
#include "sim/world.h"
#include "support.h"

#define SCENES 12u ///< of them the first two are a highway and its variant, the others are lines of the list

/// Ids are 101, 102, ...; odd ones have kind "cut_in", even ones "hard_brake".
typedef struct test_source {
    const nm_scene *scenes[2]; ///< of 40 and 60 steps on the same map
    nm_moment moments[2];
    uint32_t shown[SCENES], count;
    int open;      ///< given out and not released
    int loaded;    ///< ever
    int broken;    ///< loading fails
    uint32_t gone; ///< so many of the first scenes are not in the list any more
} test_source;

static inline uint32_t test_count(void *context) {
    return ((test_source *)context)->count;
}

static inline nm_status test_entry(void *context, uint32_t index, nm_viewer_entry *entry, nm_error *error) {
    test_source *source = context;
    (void)error;
    assert_true(index < source->count);
    const uint32_t i = source->shown[index];
    *entry = (nm_viewer_entry){.id = 101 + i, .severity = 0.9f - 0.05f * (float)i, .min_ttc = i == 3 ? NAN : 0.7f};
    snprintf(entry->name, sizeof entry->name, "scene number %u", i);
    snprintf(entry->source, sizeof entry->source, "builtin");
    snprintf(entry->kinds, sizeof entry->kinds, "%s", i % 2 ? "hard_brake" : "cut_in");
    return NM_OK;
}

static inline nm_status test_filter(void *context, const char *text, nm_error *error) {
    test_source *source = context;
    nm_viewer_entry entry;
    uint32_t kept[SCENES], count = 0;
    if (strcmp(text, "where (") == 0) return NM_ERROR(error, NM_E_ARGUMENT, "the condition is not understood");
    source->count = SCENES;
    for (uint32_t i = 0; i < SCENES; i++) source->shown[i] = i;
    for (uint32_t i = 0; i < SCENES; i++) {
        test_entry(source, i, &entry, error);
        if (i < source->gone) continue;
        if (strstr(entry.kinds, text) || strstr(entry.name, text)) kept[count++] = i;
    }
    memcpy(source->shown, kept, count * sizeof *kept);
    source->count = count;
    return NM_OK;
}

static inline nm_status test_load(void *context, int64_t id, nm_viewer_scene *scene, nm_error *error) {
    test_source *source = context;
    if (source->broken || id < 101 || id >= 101 + (int64_t)SCENES)
        return NM_ERROR(error, NM_E_NOT_FOUND, "there is no scene %lld", (long long)id);
    const int which = id % 2 == 0;
    *scene = (nm_viewer_scene){.scene = source->scenes[which], .moments = &source->moments[which], .moment_count = 1};
    source->open++;
    source->loaded++;
    return NM_OK;
}

static inline nm_status test_find(void *context, uint64_t hash, int64_t *id, nm_error *error) {
    const test_source *source = context;
    for (uint32_t i = 0; i < 2; i++) {
        *id = 101 + i;
        if (source->scenes[i]->hash == hash) return NM_OK;
    }
    return NM_ERROR(error, NM_E_NOT_FOUND, "there is no scene with hash %llx", (unsigned long long)hash);
}

static inline void test_release(void *context, nm_viewer_scene *scene) {
    test_source *source = context;
    assert_non_null(scene->scene);
    assert_true(source->open > 0);
    source->open--;
    *scene = (nm_viewer_scene){0};
}

static inline const nm_scene *test_drive(const nm_scene *start, uint32_t steps, uint64_t seed) {
    nm_world_config config = nm_world_config_default();
    nm_rollout_result result;
    nm_error error;
    nm_error_clear(&error);
    config.seed = seed;
    if (nm_rollout(start, &config, steps, 1, &result, &error) != NM_OK) fail_msg("%s", error.message);
    return result.scene;
}

static inline void test_source_begin(test_source *source) {
    const nm_scene *start;
    nm_error error;
    nm_error_clear(&error);
    *source = (test_source){0};
    if (nm_builtin_scene("highway:lanes=3,length=600,vehicles=20", 4, &start, &error) != NM_OK)
        fail_msg("%s", error.message);
    source->scenes[0] = test_drive(start, 39, 1);
    source->scenes[1] = test_drive(start, 59, 2);
    nm_scene_destroy(start);
    assert_int_equal(source->scenes[0]->step_count, 40);
    assert_int_equal(source->scenes[1]->step_count, 60);
    for (int i = 0; i < 2; i++)
        source->moments[i] = (nm_moment){.first_step = 20,
                                         .peak_step = 25u + 5u * (uint32_t)i,
                                         .last_step = 32,
                                         .first = source->scenes[i]->ego,
                                         .second = NM_NONE,
                                         .kind = "cut_in",
                                         .severity = 0.8f};
    test_filter(source, "", &error);
}

static inline void test_source_end(test_source *source) {
    assert_int_equal(source->open, 0); // the viewer gave everything back
    nm_scene_destroy(source->scenes[0]);
    nm_scene_destroy(source->scenes[1]);
}

static inline nm_viewer_source test_source_of(test_source *source) {
    return (nm_viewer_source){source, test_count, test_entry, test_filter, test_load, test_release};
}

static inline nm_viewer *test_viewer(test_source *source, int width, int height) {
    const nm_viewer_source interface = test_source_of(source);
    nm_viewer_config config = nm_viewer_config_default();
    nm_viewer *viewer;
    nm_error error;
    nm_error_clear(&error);
    config.source = &interface;
    config.find = test_find;
    config.find_context = source;
    config.width = width;
    config.height = height;
    config.live_seconds = 5.0f;
    config.thumbnails = 4;
    if (nm_viewer_create(&config, &viewer, &error) != NM_OK) fail_msg("%s", error.message);
    return viewer;
}

static inline void test_open(nm_viewer *viewer, int64_t id, int beside) {
    nm_error error;
    nm_error_clear(&error);
    if (nm_viewer_open(viewer, id, beside, &error) != NM_OK) fail_msg("%s", error.message);
}

/// 1 when a screen drawing has a label that contains `text`.
static inline int test_says(nm_viewer *viewer, const char *text) {
    const nm_viewer_view *views;
    const nm_drawing *screen[2];
    uint32_t count;
    nm_error error;
    nm_error_clear(&error);
    if (nm_viewer_compose(viewer, &views, &count, screen, &error) != NM_OK) fail_msg("%s", error.message);
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < screen[k]->label_count; i++)
            if (strstr(screen[k]->text + screen[k]->labels[i].text, text)) return 1;
    return 0;
}

#endif
