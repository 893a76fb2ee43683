/// The exporter: shards, order, manifest, checksums, and what may be in the folder.
#include "support.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread_pool.h"
#include "dataset/export.h"
#include "dataset/import.h"
#include "sim/builtin.h"

enum { SCENES = 23 };

typedef struct bench {
    char folder[256];
    const nm_scene *scenes[SCENES];
    nm_export_item items[SCENES];
    uint64_t refused[SCENES];
    size_t refused_count;
} bench;

static const nm_scene *make_scene(uint64_t seed, int empty) {
    nm_builtin_params params = nm_builtin_params_default(NM_BUILTIN_HIGHWAY);
    const nm_map *map = NULL;
    const nm_scene *scene = NULL;
    nm_scene_builder *builder = nm_scene_builder_create();
    params.length = 200.0 + 10.0 * (double)(seed % 3);
    assert_int_equal(nm_builtin_map(&params, &map, NULL), NM_OK);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 20, NULL), NM_OK);
    for (uint32_t i = 0; i < 3 && !empty; i++) {
        const nm_track_def def = {.id = i, .type = NM_AGENT_CAR, .length = 4.5f, .width = 2.0f, .height = 1.5f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, NULL), NM_OK);
        for (uint32_t t = 0; t < 20; t++) {
            const nm_state at = {.x = (float)(seed + 10 * i + t), .vx = 10.0f};
            assert_int_equal(nm_scene_builder_add_local_state(builder, track, t, &at, NULL), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, 10, empty ? NM_NONE : 0);
    assert_int_equal(nm_scene_builder_build(builder, &scene, NULL), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

static int setup(void **state) {
    bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    snprintf(b->folder, sizeof b->folder, "%s/nm-export-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(b->folder));
    for (int i = 0; i < SCENES; i++) {
        b->scenes[i] = make_scene((uint64_t)i, i == 7);
        b->items[i] = (nm_export_item){.scene = b->scenes[i], .id = 100 + i};
    }
    *state = b;
    return 0;
}

static int teardown(void **state) {
    bench *b = *state;
    char command[512];
    snprintf(command, sizeof command, "rm -rf '%s'", b->folder);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < SCENES; i++) nm_scene_destroy(b->scenes[i]);
    free(b);
    return 0;
}

static void path_in(const bench *b, char *path, size_t size, const char *part, const char *name) {
    snprintf(path, size, "%s/%s/%s", b->folder, part, name);
}

static char *load(const bench *b, const char *part, const char *name) {
    char path[512];
    path_in(b, path, sizeof path, part, name);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s is not there", path);
    char *text = calloc(1, (size_t)1 << 22);
    assert_non_null(text);
    const size_t got = fread(text, 1, ((size_t)1 << 22) - 1, file);
    assert_true(got < ((size_t)1 << 22) - 1);
    fclose(file);
    return text;
}

static size_t count_files(const bench *b, const char *part) {
    char path[512];
    size_t count = 0;
    path_in(b, path, sizeof path, part, "");
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void note_refusal(void *context, uint64_t index, const nm_export_item *item, const nm_error *error) {
    bench *b = context;
    assert_true(item->id == 100 + (int64_t)index);
    assert_int_equal(error->code, NM_E_UNSUPPORTED);
    b->refused[b->refused_count++] = index;
}

static nm_export_options options_for(const bench *b, char path[512], const char *part) {
    nm_export_options options = nm_export_options_default(NM_EXPORT_WOMD);
    path_in(b, path, 512, part, "");
    options.folder = path;
    options.shards = 4;
    options.scenes = SCENES;
    options.program = "test";
    options.command = "a \"quoted\" one";
    return options;
}

static nm_status export_all(bench *b, const nm_export_options *options, int threads, nm_export_totals *totals,
                            nm_error *error) {
    nm_thread_pool *pool = NULL;
    nm_exporter *exporter = NULL;
    assert_int_equal(nm_thread_pool_create(threads, &pool, NULL), NM_OK);
    nm_status status = nm_exporter_create(options, pool, &exporter, error);
    // in portions of any size
    for (size_t done = 0, part = 1; status == NM_OK && done < SCENES; done += part, part = 2 * part + 1) {
        if (part > SCENES - done) part = SCENES - done;
        status = nm_exporter_add(exporter, b->items + done, part, note_refusal, b, error);
    }
    if (status == NM_OK) status = nm_exporter_finish(exporter, totals, error);
    nm_exporter_destroy(exporter);
    nm_thread_pool_destroy(pool);
    return status;
}

static nm_status count_scene(void *context, const nm_scene *scene, const char *input, uint64_t record,
                             nm_error *error) {
    (void)input, (void)record, (void)error;
    bench *b = context;
    const size_t at = b->refused_count++; // used for counting here
    // the empty one is missing; they come in order
    const nm_scene *expected = b->scenes[at < 7 ? at : at + 1];
    assert_true(scene->x[0] + (float)scene->map->origin.x == expected->x[0] + (float)expected->map->origin.x);
    nm_scene_destroy(scene);
    return NM_OK;
}

static void shards_hold_the_scenes_in_order(void **state) {
    bench *b = *state;
    char path[512], file[600];
    nm_export_totals totals;
    nm_error error;
    const nm_export_options options = options_for(b, path, "a");
    if (export_all(b, &options, 3, &totals, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(totals.scenes, SCENES - 1);
    assert_int_equal(totals.refused, 1);
    assert_int_equal(totals.files, 4);
    assert_int_equal(b->refused_count, 1);
    assert_int_equal(b->refused[0], 7);
    assert_int_equal(count_files(b, "a"), 6);
    b->refused_count = 0;
    nm_importer *importer = nm_importer_create(NULL);
    const size_t ends[] = {6, 11, 17, 22}; // scenes behind each shard: scene i is in shard i * 4 / 23
    for (unsigned i = 0; i < 4; i++) {
        snprintf(file, sizeof file, "%snearmiss-%05u-of-00004.tfrecord", path, i);
        assert_int_equal(nm_import_file(importer, file, count_scene, NULL, b, NULL, NULL), NM_OK);
        if (b->refused_count != ends[i]) fail_msg("%zu scenes behind shard %u", b->refused_count, i);
    }
    nm_importer_destroy(importer);
}

static void the_bytes_do_not_depend_on_threads(void **state) {
    bench *b = *state;
    char path[512], command[1200];
    nm_export_totals totals;
    const char *const parts[] = {"t1", "t2", "t5"};
    const int threads[] = {1, 2, 5};
    for (int i = 0; i < 3; i++) {
        const nm_export_options options = options_for(b, path, parts[i]);
        assert_int_equal(export_all(b, &options, threads[i], &totals, NULL), NM_OK);
    }
    snprintf(command, sizeof command,
             "cd '%s' && diff -r t1 t2 && diff -r t1 t5 && cd t1 && sha256sum -c --quiet SHA256SUMS", b->folder);
    assert_int_equal(system(command), 0);
}

static void the_manifest_says_where_all_went(void **state) {
    bench *b = *state;
    char path[512];
    nm_export_totals totals;
    const nm_scene_label labels[] = {{.kind = "cut_in"}, {.kind = "cut_in"}, {.kind = "rear_end"}};
    b->items[0].labels = labels;
    b->items[0].label_count = 3;
    const nm_export_options options = options_for(b, path, "m");
    assert_int_equal(export_all(b, &options, 1, &totals, NULL), NM_OK);
    char *text = load(b, "m", "manifest.json");
    static const char *const expected[] = {"\"command\": \"a \\\"quoted\\\" one\"",
                                           "\"format\": \"womd\"",
                                           "\"shards\": 4",
                                           "\"kinds\": [\"cut_in\", \"rear_end\"]",
                                           "\"file\": \"nearmiss-00001-of-00004.tfrecord\", \"record\": 0}",
                                           "\"refused\": \"has no tracks",
                                           "\"written\": 22",
                                           "\"refused\": 1"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        if (!strstr(text, expected[i])) fail_msg("no %s in %s", expected[i], text);
    }
    free(text);
    char command[900];
    snprintf(command, sizeof command,
             "python3 -c 'import json; m = json.load(open(\"%s/m/manifest.json\")); "
             "assert len(m[\"scenes\"]) == 23 and sum(f[\"scenes\"] for f in m[\"files\"]) == 22'",
             b->folder);
    assert_int_equal(system(command), 0);
}

static void what_lies_there_is_not_lost(void **state) {
    bench *b = *state;
    char path[512], name[600];
    nm_export_totals totals;
    nm_error error;
    nm_export_options options = options_for(b, path, "o");
    assert_int_equal(export_all(b, &options, 1, &totals, NULL), NM_OK);
    assert_int_equal(export_all(b, &options, 1, &totals, &error), NM_E_EXISTS);
    assert_non_null(strstr(error.message, "holds an export"));
    // what an interrupted run left: shards of another number, and half a file
    snprintf(name, sizeof name, "%sother-00007-of-00009.tfrecord", path);
    fclose(fopen(name, "w"));
    snprintf(name, sizeof name, "%snearmiss-00000-of-00004.tfrecord.0123456789abcdef.part", path);
    fclose(fopen(name, "w"));
    options.overwrite = 1;
    options.shards = 2;
    assert_int_equal(export_all(b, &options, 1, &totals, NULL), NM_OK);
    assert_int_equal(count_files(b, "o"), 4);
    // somebody else's file stays, and so does the export
    snprintf(name, sizeof name, "%snotes.txt", path);
    fclose(fopen(name, "w"));
    assert_int_equal(export_all(b, &options, 1, &totals, &error), NM_E_EXISTS);
    assert_non_null(strstr(error.message, "'notes.txt'"));
    assert_int_equal(count_files(b, "o"), 5);
}

static void an_export_that_ends_early_is_no_export(void **state) {
    bench *b = *state;
    char path[512];
    nm_thread_pool *pool = NULL;
    nm_exporter *exporter = NULL;
    nm_error error;
    nm_export_options options = options_for(b, path, "e");
    assert_int_equal(nm_thread_pool_create(1, &pool, NULL), NM_OK);
    assert_int_equal(nm_exporter_create(&options, pool, &exporter, NULL), NM_OK);
    assert_int_equal(nm_exporter_add(exporter, b->items, 10, NULL, NULL, NULL), NM_OK);
    nm_exporter_destroy(exporter);
    assert_int_equal(count_files(b, "e"), 1); // the shard that was complete, and no manifest
    // nothing at all: no folder
    options = options_for(b, path, "f");
    assert_int_equal(nm_exporter_create(&options, pool, &exporter, NULL), NM_OK);
    nm_exporter_destroy(exporter);
    assert_int_not_equal(access(path, F_OK), 0);
    // fewer than announced
    options.scenes = 100;
    assert_int_equal(nm_exporter_create(&options, pool, &exporter, NULL), NM_OK);
    assert_int_equal(nm_exporter_add(exporter, b->items, 3, NULL, NULL, NULL), NM_OK);
    assert_int_equal(nm_exporter_finish(exporter, NULL, NULL), NM_OK);
    assert_int_not_equal(nm_exporter_add(exporter, b->items, 1, NULL, NULL, NULL), NM_OK);
    nm_exporter_destroy(exporter);
    assert_int_equal(count_files(b, "f"), 6);
    // more than announced
    options.scenes = 2;
    options.overwrite = 1;
    assert_int_equal(nm_exporter_create(&options, pool, &exporter, NULL), NM_OK);
    assert_int_equal(nm_exporter_add(exporter, b->items, 3, NULL, NULL, &error), NM_E_LIMIT);
    assert_int_equal(nm_exporter_finish(exporter, NULL, NULL), NM_E_LIMIT);
    nm_exporter_destroy(exporter);
    nm_thread_pool_destroy(pool);
}

/// Folders above the one asked for are made, and are gone again where nothing was written; one that was there stays.
static void missing_parents_are_made(void **state) {
    bench *b = *state;
    char path[512], deep[600];
    nm_export_totals totals;
    nm_thread_pool *pool = NULL;
    nm_exporter *exporter = NULL;
    nm_export_options options = options_for(b, path, "p");
    const char *const forms[] = {"%sq//r/s/", "%sq/r/s"};
    for (int i = 0; i < 2; i++) {
        snprintf(deep, sizeof deep, forms[i], path);
        options.folder = deep;
        options.overwrite = i;
        if (export_all(b, &options, 1, &totals, NULL) != NM_OK) fail_msg("%s", deep);
        assert_int_equal(count_files(b, "p/q/r/s"), 6);
    }
    assert_int_equal(nm_thread_pool_create(1, &pool, NULL), NM_OK);
    snprintf(deep, sizeof deep, "%sq/t/u//v/", path);
    assert_int_equal(nm_exporter_create(&options, pool, &exporter, NULL), NM_OK);
    assert_int_equal(access(deep, F_OK), 0);
    nm_exporter_destroy(exporter);
    nm_thread_pool_destroy(pool);
    assert_int_equal(count_files(b, "p/q"), 1); // r; t is gone
}

/// More files than wait for the disk at a time; the first of them appear before the end.
static void many_files_are_all_there(void **state) {
    bench *b = *state;
    char path[512], command[1200];
    nm_export_item items[150];
    nm_thread_pool *pool = NULL;
    nm_exporter *exporter = NULL;
    nm_export_totals totals;
    nm_error error;
    nm_export_options options = options_for(b, path, "w");
    options.format = NM_EXPORT_COMMONROAD;
    options.scenes = 151;
    for (int i = 0; i < 150; i++) items[i] = (nm_export_item){.scene = b->scenes[i % 7], .id = 1 + i};
    assert_int_equal(nm_thread_pool_create(2, &pool, NULL), NM_OK);
    assert_int_equal(nm_exporter_create(&options, pool, &exporter, NULL), NM_OK);
    assert_int_equal(nm_exporter_add(exporter, items, 150, NULL, NULL, NULL), NM_OK);
    snprintf(command, sizeof command, "test $(ls '%s'*.xml | wc -l) = 128 && test ! -e '%smanifest.json'", path, path);
    assert_int_equal(system(command), 0);
    assert_int_equal(nm_exporter_finish(exporter, &totals, NULL), NM_OK);
    nm_exporter_destroy(exporter);
    assert_int_equal(totals.files, 150);
    snprintf(command, sizeof command,
             "cd '%s' && sha256sum -c --quiet SHA256SUMS && test $(wc -l < SHA256SUMS) = 150 && ! ls *.part 2> ls.txt",
             path);
    assert_int_equal(system(command), 0);
    // one that is complete and has no name yet is there all the same
    options.folder = b->folder;
    path_in(b, path, sizeof path, "twice", "");
    options.folder = path;
    items[1] = items[0];
    assert_int_equal(nm_exporter_create(&options, pool, &exporter, NULL), NM_OK);
    assert_int_equal(nm_exporter_add(exporter, items, 2, NULL, NULL, &error), NM_E_EXISTS);
    assert_non_null(strstr(error.message, "comes twice"));
    nm_exporter_destroy(exporter);
    assert_int_equal(count_files(b, "twice"), 1); // and stays
    nm_thread_pool_destroy(pool);
}

static void bad_options_are_refused(void **state) {
    bench *b = *state;
    char path[512], below_a_file[512];
    nm_thread_pool *pool = NULL;
    nm_exporter *exporter = NULL;
    assert_int_equal(nm_thread_pool_create(1, &pool, NULL), NM_OK);
    path_in(b, path, sizeof path, "file", "");
    path[strlen(path) - 1] = '\0';
    fclose(fopen(path, "w"));
    path_in(b, below_a_file, sizeof below_a_file, "file", "at/all");
    for (int i = 0; i < 8; i++) {
        nm_export_options options = options_for(b, path, "x");
        nm_status expected = NM_E_ARGUMENT;
        if (i == 0) options.shards = 0;
        if (i == 1) options.shards = 1000001;
        if (i == 2) options.name = "a/b";
        if (i == 3) options.name = "";
        if (i == 4) options.scenes = UINT64_MAX;
        if (i == 5) options.folder = "";
        if (i == 6) options.folder = below_a_file, expected = NM_E_IO;
        if (i == 7) options.format = NM_EXPORT_CSV, options.windows = 91;
        assert_int_equal(nm_exporter_create(&options, pool, &exporter, NULL), expected);
        assert_null(exporter);
    }
    nm_export_format format;
    for (int i = 0; i < NM_EXPORT_FORMAT_COUNT; i++) {
        assert_true(nm_export_format_from_name(nm_export_format_name((nm_export_format)i), &format));
        assert_int_equal(format, i);
    }
    assert_false(nm_export_format_from_name("word", &format));
    nm_thread_pool_destroy(pool);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(shards_hold_the_scenes_in_order),
        TEST(the_bytes_do_not_depend_on_threads),
        TEST(the_manifest_says_where_all_went),
        TEST(what_lies_there_is_not_lost),
        TEST(an_export_that_ends_early_is_no_export),
        TEST(bad_options_are_refused),
        TEST(missing_parents_are_made),
        TEST(many_files_are_all_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
