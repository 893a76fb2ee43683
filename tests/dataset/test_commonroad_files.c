/// Real files, where they are there: agents and states against the counting script, document by document.
///
/// Only the smallest archive by default; NM_TEST_ALL=1 takes all four (1,831 documents, a minute).
#include "commonroad_support.h"

#define MAX_ROWS 4096

typedef struct row {
    char name[128];
    unsigned long long agents, states;
} row;

typedef struct rows {
    row at[MAX_ROWS];
    size_t count;
    int refused;
} rows;

static int compare_rows(const void *a, const void *b) {
    return strcmp(((const row *)a)->name, ((const row *)b)->name);
}

static nm_status add_row(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)record, (void)error;
    rows *r = context;
    assert_true(r->count < MAX_ROWS);
    row *added = &r->at[r->count++];
    uint64_t agents, states;
    nm_scene_count(scene, &agents, &states);
    added->agents = agents;
    added->states = states;
    const char *slash = strrchr(input, '/');
    snprintf(added->name, sizeof added->name, "%s", slash ? slash + 1 : input);
    nm_scene_destroy(scene);
    return NM_OK;
}

static void print_refusal(void *context, const nm_error *error) {
    char line[1024];
    nm_error_format(error, line, sizeof line);
    printf("refused: %s\n", line);
    ++((rows *)context)->refused;
}

/// Compares an archive with what the script counts. Returns 0 when it was skipped.
static int compare_archive(const char *relative, rows *r) {
    char path[1024], command[2048], line[512];
    if (!nm_test_have(path, sizeof path, relative)) return 0;
    if (system("python3 -c 'import lzma' 2>/dev/null") != 0) {
        printf("skipped: python3 with lzma is missing\n");
        return 0;
    }
    r->count = 0;
    r->refused = 0;
    nm_error error;
    nm_importer *importer = nm_importer_create(NULL);
    assert_int_equal(nm_import_file(importer, path, add_row, print_refusal, r, NULL, &error), NM_OK);
    nm_importer_destroy(importer);
    assert_int_equal(r->refused, 0);
    qsort(r->at, r->count, sizeof r->at[0], compare_rows);

    snprintf(command, sizeof command, "python3 " NM_SOURCE_DIR "/tests/dataset/count_commonroad.py '%s'", path);
    FILE *counted = popen(command, "r");
    assert_non_null(counted);
    for (size_t i = 0; i < r->count; ++i) {
        row expected;
        assert_non_null(fgets(line, sizeof line, counted));
        assert_int_equal(sscanf(line, "%127s %llu %llu", expected.name, &expected.agents, &expected.states), 3);
        assert_string_equal(r->at[i].name, expected.name);
        assert_int_equal(r->at[i].agents, expected.agents);
        assert_int_equal(r->at[i].states, expected.states);
    }
    assert_non_null(fgets(line, sizeof line, counted));
    assert_int_equal(strncmp(line, "total ", 6), 0);
    assert_int_equal(pclose(counted), 0);
    return 1;
}

static void test_archives(void **state) {
    (void)state;
    static const struct {
        const char *path;
        unsigned scenes, states;
    } archives[] = {{"data/commonroad/ngsim-val.tar.xz", 16, 24218},
                    {"data/commonroad/ngsim-train.tar.xz", 77, 180258},
                    {"data/commonroad/handcrafted.tar.xz", 626, 424064},
                    {"data/commonroad/osm-traffic.tar.xz", 1112, 893169}};
    size_t count = getenv("NM_TEST_ALL") ? sizeof archives / sizeof archives[0] : 1;
    rows *r = malloc(sizeof *r);
    assert_non_null(r);
    for (size_t i = 0; i < count; ++i) {
        if (!compare_archive(archives[i].path, r)) continue;
        unsigned long long states = 0;
        for (size_t k = 0; k < r->count; ++k) states += r->at[k].states;
        assert_int_equal(r->count, archives[i].scenes);
        assert_int_equal(states, archives[i].states);
    }
    free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_archives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
