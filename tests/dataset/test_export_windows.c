/// Long scenes as several records of WOMD: every step is in one of them, and each is a scene of its own.
#include "support.h"

#include <unistd.h>

#include "base/thread_pool.h"
#include "dataset/export.h"
#include "dataset/import.h"
#include "sim/builtin.h"

enum { RECORDS_MOST = 32 };

typedef struct room {
    char folder[256], path[300];
    const nm_map *map;
    const nm_scene *back[RECORDS_MOST];
    uint32_t count;
} room;

static int setup(void **state) {
    room *r = calloc(1, sizeof *r);
    const nm_builtin_params params = nm_builtin_params_default(NM_BUILTIN_HIGHWAY);
    assert_non_null(r);
    snprintf(r->folder, sizeof r->folder, "%s/nm-windows-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(r->folder));
    snprintf(r->path, sizeof r->path, "%s/out", r->folder);
    assert_int_equal(nm_builtin_map(&params, &r->map, NULL), NM_OK);
    *state = r;
    return 0;
}

static void forget(room *r) {
    for (uint32_t i = 0; i < r->count; i++) nm_scene_destroy(r->back[i]);
    r->count = 0;
}

static int teardown(void **state) {
    room *r = *state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", r->folder);
    assert_int_equal(system(command), 0);
    forget(r);
    nm_map_release(r->map);
    free(r);
    return 0;
}

/// Two tracks: the ego up to before step `ego_end`, and another all the time. x is the step, in steps of 0.1 s.
static const nm_scene *long_scene(const room *r, double dt, uint32_t steps, uint32_t ego_end) {
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_begin(builder, r->map, dt, steps, NULL), NM_OK);
    for (uint32_t i = 0; i < 2; i++) {
        const nm_track_def def = {.id = 7 + i, .type = NM_AGENT_CAR, .length = 4.5f, .width = 2.0f, .height = 1.5f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, NULL), NM_OK);
        for (uint32_t t = 0; t < (i ? steps : ego_end); t++) {
            const nm_state at = {.x = (float)(t * dt * 10.0), .y = 3.0f * (float)i, .vx = 10.0f};
            assert_int_equal(nm_scene_builder_add_local_state(builder, track, t, &at, NULL), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, 10, 0);
    assert_int_equal(nm_scene_builder_build(builder, &scene, NULL), NM_OK);
    nm_scene_builder_destroy(builder);
    return scene;
}

static nm_status keep(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    room *r = context;
    (void)input, (void)record, (void)error;
    assert_true(r->count < RECORDS_MOST);
    r->back[r->count++] = scene;
    return NM_OK;
}

static void import_folder(room *r, uint32_t shards) {
    nm_importer *importer = nm_importer_create(NULL);
    for (uint32_t i = 0; i < shards; i++) {
        char file[400];
        snprintf(file, sizeof file, "%s/nearmiss-%05u-of-%05u.tfrecord", r->path, i, shards);
        assert_int_equal(nm_import_file(importer, file, keep, NULL, r, NULL, NULL), NM_OK);
    }
    nm_importer_destroy(importer);
}

static nm_export_totals there_and_back(room *r, nm_export_format format, const nm_export_item *items, size_t count,
                                       uint32_t windows, uint32_t shards) {
    nm_export_options options = nm_export_options_default(format);
    nm_export_totals totals;
    nm_thread_pool *pool = NULL;
    nm_exporter *exporter = NULL;
    nm_error error;
    options.folder = r->path;
    options.scenes = count;
    options.windows = windows;
    options.shards = shards;
    options.overwrite = 1;
    forget(r);
    assert_int_equal(nm_thread_pool_create(3, &pool, NULL), NM_OK);
    if (nm_exporter_create(&options, pool, &exporter, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_exporter_add(exporter, items, count, NULL, NULL, &error), NM_OK);
    assert_int_equal(nm_exporter_finish(exporter, &totals, NULL), NM_OK);
    nm_exporter_destroy(exporter);
    nm_thread_pool_destroy(pool);
    if (totals.scenes) import_folder(r, shards); // a file of none is refused as empty
    assert_int_equal(r->count, totals.scenes);
    return totals;
}

/// The record holds steps `first` to `first` + 90 of a scene of `steps`, and is called after that.
static void expect(const nm_scene *back, const nm_scene *of, uint32_t first, uint32_t steps, int whole) {
    char name[64];
    assert_int_equal(back->step_count, 91);
    assert_int_equal(back->current_step, 10);
    snprintf(name, sizeof name, whole ? "%016llx" : "%016llx-%u", (unsigned long long)of->hash, first);
    assert_string_equal(back->provenance.scene_id, name);
    const uint32_t other = back->track_count - 1; // the ego may be missing
    for (uint32_t t = 0; t < 91; t++) {
        nm_state at = {0};
        assert_int_equal(nm_scene_get_state(back, other, t, &at), first + t < steps);
        if (first + t < steps)
            assert_float_equal((double)at.x + back->map->origin.x - of->map->origin.x, first + t, 2e-3);
    }
}

static void every_step_is_in_a_window(void **state) {
    room *r = *state;
    const struct {
        uint32_t steps, every, count, firsts[8];
    } cases[] = {{91, 91, 1, {0}},
                 {30, 91, 1, {0}},
                 {92, 91, 2, {0, 1}},
                 {182, 91, 2, {0, 91}},
                 {200, 91, 3, {0, 91, 109}},
                 {200, 40, 4, {0, 40, 80, 109}},
                 {211, 40, 4, {0, 40, 80, 120}},
                 {300, 200, 3, {0, 200, 209}}};
    static const nm_export_format formats[] = {NM_EXPORT_WOMD, NM_EXPORT_WOMD_EXAMPLE};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const uint32_t k = (uint32_t)i / 2, steps = cases[k].steps;
        if (i % 2 && cases[k].every != 40) continue; // both formats cut alike
        const nm_scene *scene = long_scene(r, 0.1, steps, steps);
        const nm_export_item item = {.scene = scene, .id = 5};
        there_and_back(r, formats[i % 2], &item, 1, cases[k].every, 1);
        assert_int_equal(r->count, cases[k].count);
        for (uint32_t w = 0; w < r->count; w++) expect(r->back[w], scene, cases[k].firsts[w], steps, steps <= 91);
        nm_scene_destroy(scene);
    }
}

/// Other time steps: windows are those of what is written, 0.1 s each.
static void windows_are_of_tenths_of_a_second(void **state) {
    room *r = *state;
    const nm_scene *scene = long_scene(r, 0.04, 501, 501); // 20 s: 201 steps of 0.1 s
    const nm_export_item item = {.scene = scene, .id = 5};
    there_and_back(r, NM_EXPORT_WOMD, &item, 1, 91, 1);
    const uint32_t firsts[] = {0, 91, 110};
    assert_int_equal(r->count, 3);
    for (uint32_t w = 0; w < 3; w++) expect(r->back[w], scene, firsts[w], 201, 0);
    nm_scene_destroy(scene);
}

/// What is too long to be written in steps of 0.1 s is refused as one scene, not window by window: 100,000 steps of an
/// hour each would be 40 million.
static void too_long_scenes_have_no_windows(void **state) {
    room *r = *state;
    const nm_scene *scene = long_scene(r, 0.2, 60000, 60000);
    const nm_export_item item = {.scene = scene, .id = 5};
    const nm_export_totals totals = there_and_back(r, NM_EXPORT_WOMD, &item, 1, 91, 1);
    assert_int_equal(totals.scenes, 0);
    assert_int_equal(totals.refused, 1);
    nm_scene_destroy(scene);
}

static char *manifest(const room *r) {
    char path[400];
    snprintf(path, sizeof path, "%s/manifest.json", r->path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

/// Labels go with the window of their critical step: to the manifest, and to who is of interest.
static void labels_stay_with_their_window(void **state) {
    room *r = *state;
    const nm_scene *scene = long_scene(r, 0.1, 182, 182);
    const nm_scene_label labels[] = {{.kind = "cut_in", .actor = 1, .other = NM_NONE, .critical_step = 91},
                                     {.kind = "rear_end", .actor = 0, .other = NM_NONE, .critical_step = 90}};
    const nm_export_item item = {.scene = scene, .id = 5, .labels = labels, .label_count = 2};
    there_and_back(r, NM_EXPORT_WOMD, &item, 1, 91, 1);
    assert_int_equal(r->count, 2);
    for (uint32_t w = 0; w < 2; w++) {
        for (uint32_t i = 0; i < 2; i++)
            assert_int_equal((r->back[w]->tracks[i].flags & NM_TRACK_OF_INTEREST) != 0, i == w);
    }
    char *text = manifest(r);
    static const char *const wanted[] = {
        "\"kinds\": [\"rear_end\"], \"first_step\": 0, \"file\": \"nearmiss-00000-of-00001.tfrecord\", \"record\": 0}",
        "\"kinds\": [\"cut_in\"], \"first_step\": 91, \"file\": \"nearmiss-00000-of-00001.tfrecord\", \"record\": 1}",
        "\"written\": 2"};
    for (int i = 0; i < 3; i++) {
        if (!strstr(text, wanted[i])) fail_msg("no %s in %s", wanted[i], text);
    }
    free(text);
    nm_scene_destroy(scene);
}

/// Where the ego has left, somebody else is the autonomous vehicle; a window in which nobody is any more is refused.
static void an_ego_that_left_is_replaced(void **state) {
    room *r = *state;
    const nm_scene *scene = long_scene(r, 0.1, 182, 95);
    nm_export_item item = {.scene = scene, .id = 5};
    there_and_back(r, NM_EXPORT_WOMD, &item, 1, 91, 1);
    assert_int_equal(r->count, 2);
    assert_int_equal(r->back[0]->tracks[r->back[0]->ego].source_id, 7);
    assert_int_equal(r->back[1]->tracks[r->back[1]->ego].source_id, 8);
    uint8_t *valid = malloc(2 * 182);
    assert_non_null(valid);
    memcpy(valid, scene->valid, 2 * 182);
    for (uint32_t t = 91; t < 182; t++) valid[nm_scene_at(scene, 0, t)] = valid[nm_scene_at(scene, 1, t)] = 0;
    nm_scene gone = *scene;
    gone.valid = valid;
    item.scene = &gone;
    const nm_export_totals totals = there_and_back(r, NM_EXPORT_WOMD, &item, 1, 91, 1);
    assert_int_equal(totals.scenes, 1);
    assert_int_equal(totals.refused, 1);
    free(valid);
    nm_scene_destroy(scene);
}

/// The records of a scene lie together, in the scene's shard, whatever number of them others have.
static void shards_are_of_scenes(void **state) {
    room *r = *state;
    const nm_scene *longer = long_scene(r, 0.1, 500, 500), *shorter = long_scene(r, 0.1, 60, 60);
    const nm_export_item items[] = {{.scene = longer, .id = 1},
                                    {.scene = shorter, .id = 2},
                                    {.scene = longer, .id = 3},
                                    {.scene = shorter, .id = 4}};
    const nm_export_totals totals = there_and_back(r, NM_EXPORT_WOMD, items, 4, 91, 2);
    assert_int_equal(totals.scenes, 14);
    char *text = manifest(r);
    int first = 0, second = 0;
    for (const char *at = text; (at = strstr(at, "\"file\": \"nearmiss-00000")); at++) first++;
    for (const char *at = text; (at = strstr(at, "\"file\": \"nearmiss-00001")); at++) second++;
    assert_int_equal(first, 7);
    assert_int_equal(second, 7);
    free(text);
    nm_scene_destroy(longer);
    nm_scene_destroy(shorter);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_step_is_in_a_window),       TEST(windows_are_of_tenths_of_a_second),
        TEST(too_long_scenes_have_no_windows), TEST(labels_stay_with_their_window),
        TEST(an_ego_that_left_is_replaced),    TEST(shards_are_of_scenes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
